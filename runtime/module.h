/* module.h: inside of the runtime: loaded modules and what their sessions share.
 *
 * A module is immutable after loading.  The leaves of each entry (see artefact.h) are listed here once, so
 * that a run only walks arrays. */
#ifndef JITC_RUNTIME_MODULE_H
#define JITC_RUNTIME_MODULE_H

#include "jitc/runtime.h"
#include "runtime/artefact.h"

typedef struct rt_leaves {
    int n;
    int32_t *desc;     /* row of descs of each leaf */
    rt_text_ref *name; /* its name, or that of the tuple it is in */
} rt_leaves;

typedef struct rt_entry_info {
    rt_leaves in, out;  /* out: those of the result, then the extra ones */
    int nresult;        /* leaves of out that belong to the result */
    bool all_tensors;   /* every leaf, in and out, is a tensor */
    bool plain;         /* every argument and result leaf is a tensor, made before the code runs; nothing is kept or written back */
    int nboxes;         /* tuples that the runtime builds for the result */
    rt_value *defaults; /* of each argument: V_NONE without one */
    int *arg_leaf;      /* first leaf of each argument */
} rt_entry_info;

typedef struct rt_host_slot { /* exactly one of the two functions is set */
    rt_host_fn *host;
    jitc_op_fn *custom;
    void *data;
} rt_host_slot;

struct jitc_module {
    _Atomic int refs;
    const rt_artefact *a;
    int level; /* chosen code */
    const char *weights;
    char *prepared; /* a mapping of a->prepared_bytes, or NULL */
    void *library; /* of dlopen, or NULL */
    int fd;        /* kept open while the library is loaded: its name must stay unique.  Or -1 */
    void *mapped;  /* side file */
    size_t mapped_bytes;
    rt_host_slot *hosts;                                   /* a->nhosts */
    rt_entry_info *entries;                                /* a->nentries */
    int max_args, max_in, max_out, max_symbols, max_slots; /* over all entries */
    int max_sizes;                                         /* twice the ranks of all tensor leaves of an entry */
};

/* jitc_value is rt_value under a public name. */
_Static_assert(sizeof(jitc_value) == sizeof(rt_value) && offsetof(jitc_value, as) == offsetof(rt_value, i),
               "layout");
static inline rt_value rt_of_public(jitc_value v) {
    rt_value r;
    memcpy(&r, &v, sizeof r);
    r.tag = (rt_tag)v.kind;
    return r;
}
static inline jitc_value rt_to_public(rt_value v) {
    jitc_value r = {.kind = (int32_t)v.tag};
    r.as.i = v.i; /* the union's widest member */
    return r;
}

static inline const char *rt_art_text(const rt_artefact *a, rt_text_ref t) { return a->text + t; }

/* Records the text of jitc_error(); returns status. */
jitc_status rt_fail(jitc_status status, const char *fmt, ...) RT_PRINTF(2, 3);

/* ---- cpu.c: sets m->level: the first one whose instructions this processor has, or the one of that name (NULL:
 * any); asks once, so that no run has to.  JITC_E_CPU: it has none. */
jitc_status rt_choose_level(jitc_module *m, const char *wanted);

/* ---- signature.c: matching arguments with entries */

/* Chooses the first variant of `method` that args fit and whose sizes and guards hold.  leaves (room for
 * max_in) gets the flattened arguments, all borrowed; symbols (room for 2 * max_symbols) the bound symbols.
 * why: the text of a failure. */
jitc_status rt_select_entry(const jitc_module *m, const char *method, int nargs, const rt_value *args,
                            rt_value *leaves, int64_t *symbols, int *entry, rt_text *why);
/* Value of expression row `expr`; false on overflow or division by zero. */
bool rt_expr_eval(const rt_artefact *a, int32_t expr, const int64_t *symbols, int64_t *out);
/* Size of a dim under bound symbols; -1: not known before the run, -2: overflow or negative. */
int64_t rt_dim_eval(const rt_artefact *a, const rt_dim *d, const int64_t *symbols);
void rt_type_text(rt_text *out, const rt_artefact *a, int32_t desc);

/* A fresh value of a literal; V_UNDEF: out of memory. */
rt_value rt_literal_value(const jitc_module *m, int32_t literal);

#endif
