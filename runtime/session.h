/* session.h: inside of the runtime: the run state (context.c) and the services that compiled code reaches
 * (services.c). */
#ifndef JITC_RUNTIME_SESSION_H
#define JITC_RUNTIME_SESSION_H

#include "runtime/module.h"
#include "runtime/pool.h"

typedef struct rt_region {
    char *at;
    size_t bytes;
    void *block;
} rt_region; /* at: block, aligned to 64 */

typedef struct rt_block {         /* before each block that running code asked for */
    struct rt_block *prev, *next; /* of the live ones, or (next only) of the idle ones */
    size_t bytes;                 /* that fit behind it */
} rt_block;
enum { RT_BLOCK_HEAD = 64 };

typedef struct rt_profile {
    jitc_profile_row *rows;
    int n, cap, described; /* described: so many rows have their names */
    bool open; /* the last row has no end yet */
    int64_t begin;
    const rt_art_entry *entry;
} rt_profile;

typedef struct rt_frame { /* what a session keeps for one entry */
    rt_tensor **cache;    /* two for each output leaf */
    rt_tensor **copies;   /* contiguous copies of input leaves */
    rt_value *boxes;      /* tuples of the result */
} rt_frame;

typedef struct rt_repeat_leaf { /* a tensor of the last run */
    rt_dtype dtype;
    int ndim;
    int64_t *sizes; /* shape, then strides */
    size_t bytes;
} rt_repeat_leaf;

typedef struct rt_repeat { /* the last run, if another may be like it: repeat.c */
    int entry;             /* or -1 */
    const char *method;
    rt_run_fn *run;
    int nin, nout;
    rt_repeat_leaf *in, *out;
    rt_tensor **own; /* the session's tensor for each result, NULL: it went to one of the caller's.  Borrowed of the cache */
    int64_t *sizes;
} rt_repeat;

struct jitc_session {
    jitc_module *m;
    rt_env env;
    rt_pool *pool;
    rt_frame *frames;
    rt_value *args;     /* of the call: borrowed */
    rt_value *leaves;   /* flattened: borrowed */
    rt_value *in, *out; /* of the run: owned */
    void **in_data, **out_data;
    int nin, nout;      /* how many of in and out are set */
    rt_tensor **target; /* the caller's tensors for the output leaves, or NULL: borrowed */
    rt_tensor **wraps;  /* over DLPack arguments, then results */
    rt_value *slots;
    int64_t *symbols;
    rt_value *state;
    void **state_data;
    rt_region workspace, scratch;
    int64_t work_bytes, scratch_stride;
    rt_block *live, *idle;
    rt_run run; /* what the code got in the last run */
    rt_repeat repeat;
    rt_value result;
    int last; /* entry whose boxes the result uses, or -1 */
    rt_text error;
    int32_t place; /* row of messages: where the failure was; -1 unknown */
    bool out_of_memory, running, profiling;
    bool lost; /* state was left in memory that is the caller's again: only a reset helps */
    rt_profile profile;
};

extern const rt_services rt_service_table;

void rt_blocks_reset(jitc_session *s); /* all live blocks become idle */
void rt_blocks_free(jitc_session *s);
void rt_profile_begin(jitc_session *s, const rt_art_entry *e);
void rt_profile_end(jitc_session *s);

/* ---- repeat.c */
/* Does this call, with s->args and s->target, repeat the last run?  Then s->run is ready for it. */
bool rt_repeats(jitc_session *s, const char *method, int nargs);
void rt_repeat_note(jitc_session *s, int entry, int nargs); /* after the code, while s->out is set */

/* ---- dlpack.c: NULL, or why this tensor cannot be used.  bytes: from element 0 to behind the last one. */
const char *rt_dlpack_check(const DLTensor *d, rt_dtype *dtype, size_t *bytes);

#endif
