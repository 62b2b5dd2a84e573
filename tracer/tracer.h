/* tracer.h: inside of eager mode and tracing.
 *
 * context.c  the context: slots behind handles, scopes, errors        convert.c  C arguments -> values of a schema's types
 * eager.c    operators on real tensors, script calls, custom operators  record.c   the same calls as a graph
 * guard.c    values read into C                                        control.c  cond and while
 * trace.c    jitc_trace: several examples, checks, saving              handle.c   compiled functions
 *
 * Everything of an operator's call runs within trace_protect, so that running out of memory leaves the context
 * whole.  Letters: c context, r recorder, s slot, a argument. */
#ifndef JITC_TRACER_TRACER_H
#define JITC_TRACER_TRACER_H

#include "jitc/jitc.h"
#include "lower/comp.h"
#include "runtime/module.h"

/* The script language, which lies beside this folder: jitc.c connects the two. */
typedef struct trace_language {
    void (*init)(ir_context *c); /* sets the hooks of the vocabularies */
    void *(*unit)(ir_module *m); /* parses into m */
    bool (*parse)(void *unit, const char *file, const char *text, size_t n);
    ir_func *(*func)(void *unit, const char *name); /* NULL: no such function (no diagnostic), or diagnostics */
    bool (*param_default)(void *unit, const ir_func *f, int i, rt_value *out);
} trace_language;

/* jitc_open without the language. */
jitc_status trace_open(const trace_language *language, jitc_context **out);

typedef struct trace_place { const char *file; int line; } trace_place;

/* What a handle stands for. */
typedef struct trace_slot {
    uint32_t serial;      /* odd: in use */
    int scope, next, prev; /* in the scope's list, or (next) the free list; -1 at the ends */
    rt_value v;           /* owned */
    const ir_type *type;  /* surface type */
    int recording;        /* number of the recording that it was made in, 0 none */
    ir_value *node;       /* in the recording `traced`; NULL: not known there */
    int traced;
    const char *name;     /* jitc_name */
    rt_tensor *flat;      /* contiguous copy for jitc_data, or NULL */
} trace_slot;

/* An argument on its way to a schema's parameter: a value, or a list of arguments not built yet. */
typedef struct trace_arg trace_arg;
struct trace_arg {
    const ir_type *type;
    rt_value v;           /* borrowed */
    ir_value *node;       /* its value in the graph; NULL: a constant (or nothing is recorded) */
    bool list, number;    /* number: a C integer, which may be meant as a bool */
    int n;
    trace_arg *items;
};

/* A tensor from outside that a recording uses. */
typedef struct trace_capture {
    rt_tensor *base;      /* the whole storage as the graph knows it; owned */
    ir_value *node;
    const char *name;
    ir_tensor_data *data; /* NULL: an input of the function */
    bool input;           /* given by jitc_trace_input */
    bool written;
    trace_place place;    /* of the first use */
} trace_capture;

typedef struct trace_guard {
    const char *what;     /* "item of a tensor read as bool: true" */
    trace_place place;
    int nodes;            /* nodes recorded before it */
} trace_guard;

typedef struct trace_script { const char *file, *text; } trace_script;
typedef struct trace_seen { rt_tensor *t; uint64_t hash; trace_place place; } trace_seen; /* t owned */
typedef struct trace_undo { rt_tensor *whole; void *copy; } trace_undo; /* whole: keeps the storage; both owned */

typedef struct trace_recorder {
    int id;
    ir_module *m;
    ir_func *f;
    ir_block *b;          /* where nodes go */
    ir_node *head;        /* last of the params at the head of the function */
    bool live;            /* captures become inputs: a function handle */
    int paused;           /* > 0: later iterations of a loop run unrecorded */
    void *unit;           /* script functions of m */
    int ninputs;
    RT_VEC(trace_capture) captures;
    RT_VEC(trace_guard) guards;
    RT_VEC(trace_seen) seen; /* outside values read in C */
    bool writes;          /* something may be written in place */
} trace_recorder;

struct jitc_context {
    ir_context *ir;
    const trace_language *language;
    ir_module *base;      /* of eager script functions */
    void *unit;
    lower_interp *in;
    trace_slot *slots;
    int nslots, cap, free;
    uint32_t serial;
    RT_VEC(int) scopes;   /* first slot of each scope, -1 none.  Scope 0 is held */
    rt_text error;
    jitc_status status;
    trace_place at;       /* of the call that is being done */
    trace_recorder *rec;  /* NULL: no trace is on */
    int nrecordings;
    RT_VEC(trace_undo) undo;
    RT_VEC(int) marks;    /* where each undoable part begins in `undo` */
    rt_arena own;         /* tables that live as long as the context */
    rt_arena tmp;         /* of one operator's call */
    RT_VEC(rt_value) temps; /* values of one call, owned */
    rt_map matches;       /* name and argument types -> overload */
    rt_text key;
    RT_VEC(trace_script) scripts;
    RT_VEC(jitc_graph *) graphs;
    RT_VEC(jitc_fn *) functions;
};

/* ---- context.c */
/* Records the first error; *always* false.  place.file NULL: none. */
bool trace_fail(jitc_context *c, jitc_status status, trace_place at, const char *fmt, ...) RT_PRINTF(4, 5);
bool trace_memory(jitc_context *c);
/* Turns diagnostics since `before` into the error. */
bool trace_diagnostics(jitc_context *c, int before, trace_place at);
bool trace_raised(jitc_context *c, trace_place at, const char *what, rt_env *env); /* clears env */
bool trace_protect(jitc_context *c, bool (*fn)(void *env), void *env);
trace_slot *trace_slot_of(jitc_t x); /* NULL: not valid */
static inline bool trace_recording(const jitc_context *c) { return c->rec && !c->rec->paused; }
/* A handle in the innermost scope; v taken.  node may be NULL. */
jitc_t trace_handle(jitc_context *c, rt_value v, const ir_type *type, ir_value *node);
jitc_t trace_poison(jitc_context *c);
rt_value trace_temp(jitc_context *c, rt_value taken); /* released when the call ends */
void trace_end_call(jitc_context *c);
const ir_type *trace_type_of(jitc_context *c, rt_value v);
/* Moves x to the scope number `scope`. */
void trace_move(jitc_t x, int scope);

/* ---- convert.c */
/* false: a handle is not valid, or an error was recorded. */
bool trace_arg_of(jitc_context *c, const jitc_arg *a, trace_place at, trace_arg *out);
bool trace_arg_slot(jitc_context *c, trace_slot *s, trace_arg *out);
/* a as `want` with PyTorch's implicit conversions; false: there is none (no error is recorded), or an error. */
bool trace_coerce(jitc_context *c, trace_arg *a, const ir_type *want, int list_size);
bool trace_default(jitc_context *c, const ir_param *p, trace_arg *out);
/* Lists are built as values; nodes (while recording) as well. */
bool trace_build(jitc_context *c, trace_arg *a);
ir_value *trace_node(jitc_context *c, trace_arg *a); /* while recording; after trace_build.  NULL: error */

/* ---- eager.c */
enum { TRACE_MAX_RESULTS = 8 };
/* Runs op on arguments of its schema's types and records it.  out[0..max(nresults, 1)) have the types given. */
bool trace_op(jitc_context *c, const ir_op *op, trace_arg *args, const ir_type *const *types, trace_arg *out);
/* One of a name's overloads; keywords may be NULL.  *nout results (at most 8; one, None, for an op without results). */
bool trace_apply(jitc_context *c, const char *name, int nargs, const trace_arg *args, const char *const *keywords, trace_arg *out,
                 int *nout);
/* The same where one result is known to come. */
bool trace_apply1(jitc_context *c, const char *name, int nargs, const trace_arg *args, trace_arg *out);
jitc_t trace_result(jitc_context *c, const trace_arg *a); /* a handle of it */
trace_arg trace_const(jitc_context *c, rt_value v); /* borrowed */

/* ---- record.c */
trace_recorder *trace_record(jitc_context *c, const char *name, bool live); /* begins */
bool trace_record_result(jitc_context *c, int nout, const jitc_t *results);  /* the function's result */
void trace_record_end(jitc_context *c, trace_recorder *r); /* the graph stays */
void trace_recorder_free(trace_recorder *r);               /* captures; the graph is the context's */
ir_value *trace_slot_node(jitc_context *c, trace_slot *s);  /* NULL: error */
bool trace_visible(const trace_recorder *r, const ir_value *v);
ir_span trace_span(jitc_context *c);
/* Before a write: what may change is kept for trace_release.  certain: a captured tensor is written, so it is state. */
bool trace_will_write(jitc_context *c, rt_value v, bool certain);
bool trace_mark(jitc_context *c);                 /* begins an undoable part; false: out of memory, there is none */
void trace_release(jitc_context *c, bool rollback); /* ends it */
uint64_t trace_hash(const rt_tensor *t);            /* of the elements */

/* ---- trace.c */
struct jitc_graph {
    jitc_context *c;
    trace_recorder *r;    /* captures and guards */
    lower_interp *in;     /* made by the first run */
    int nin, nout;
    rt_text text;
};
void trace_graph_free(jitc_graph *g);
/* A handle that is the next input of the recording. */
jitc_t trace_input(jitc_context *c, const char *name, jitc_t example);
/* Ends the recording; false: an error was recorded, now or before. */
bool trace_finish(jitc_context *c, int nout, const jitc_t *results);
/* Handles of what a run gave: one value, or a tuple of nout.  v borrowed. */
bool trace_results(jitc_context *c, rt_value v, int nout, jitc_t *out);
/* What differs first between two recordings of one function, as text in the arena; NULL: nothing. */
const char *trace_difference(jitc_context *c, const trace_recorder *a, const trace_recorder *b, int example);

/* ---- handle.c */
void trace_function_free(jitc_fn *f);

#endif
