/* eval_int.h: the machine that evaluates expression DAGs for many index points at once; between eval.c (how a
 * comprehension's loops run) and eval_node.c (what a node's column is).
 *
 * The index variables (output dims, then reduced dims) are split in two: *lane* variables, whose combined
 * range is walked in chunks of up to EV_LANES points, and the others, which have one value (`at`) at a time.
 * A node's column is computed on demand and kept until a variable that it depends on changes. */
#ifndef JITC_LOWER_EVAL_INT_H
#define JITC_LOWER_EVAL_INT_H

#include "lower/eval.h"
#include "lower/eval_kernels.h"

enum { EV_MAX_VARS = 2 * RT_MAX_RANK + 4 };
#define EV_PARAMS ((uint64_t)1 << 63) /* in a mask of variables: the state */

/* base + sum of coef[v] * variable v */
typedef struct ev_affine {
    int64_t base, coef[EV_MAX_VARS];
} ev_affine;

typedef struct ev_node {
    const ir_expr *e;
    uint64_t vars; /* variables that the value depends on */
    bool valid;
    int filled;            /* lanes of col that hold the value */
    void *col, *buf;       /* col: the column now; buf: own memory, NULL until needed */
    struct ev_node **args; /* of e's operands; loads at places that are not affine: the indices */
    /* X_LOAD (and X_PARAM with a source) */
    const void *data;
    rt_dtype dtype; /* of data */
    int rank;
    bool affine, safe; /* safe: always in bounds */
    ev_affine flat;    /* element offset within data */
    ev_affine *dims;   /* not safe: the index of each dim, and its size */
    int64_t *size, *stride;
    int64_t offset;
} ev_node;

/* Lanes [lane, lane + n) in which only the innermost lane variable moves, from val[innermost]. */
typedef struct ev_run {
    int lane, n;
    int64_t val[EV_MAX_VARS];
} ev_run;

typedef struct ev {
    const comp *k;
    const lower_operands *in;
    rt_env *env;
    rt_arena *a;
    int nvars;
    int64_t ext[EV_MAX_VARS], at[EV_MAX_VARS];
    ev_node **by_id; /* by expression id */
    RT_VEC(ev_node *) nodes;
    uint64_t indexed;             /* variables whose value itself is computed with */
    int nlane, lane[EV_MAX_VARS]; /* outermost first; all of extent > 1 */
    uint64_t lanemask;
    int cap;      /* lanes of a buffer */
    int n, nruns; /* the current chunk */
    ev_run *runs;
    void *param[2 * COMP_MAX_STATE];
    const void *acc; /* X_PARAM 0 is read from here, at acc_at (contractions) */
    rt_dtype acc_dtype;
    ev_affine acc_at;
    bool failed; /* an index check failed: raised in env */
} ev;

void ev_init(ev *x, const comp *k, const lower_operands *in, rt_arena *a, rt_env *env);
bool ev_size(ev *x, const ir_dim *d, int64_t *out); /* false: raised */
ev_node *ev_compile(ev *x, const ir_expr *e);       /* NULL: raised.  Before ev_lanes */
/* Chooses the lane variables (outermost first); those of extent 1 are dropped and neighbours merged where the
 * loads and `more` (other affine uses: stores) allow it.  Gives the number of points. */
int64_t ev_lanes(ev *x, int n, const int *vars, int nmore, ev_affine **more);
void ev_chunk(ev *x, int64_t start, int n); /* lanes [start, start + n) of the flat lane range */
void ev_set_at(ev *x, int var, int64_t value);
void ev_invalidate(ev *x, uint64_t vars);
void *ev_column(ev *x, ev_node *n, int lanes); /* the node's values for at least `lanes` lanes */
int64_t ev_place(const ev *x, const ev_affine *f, const ev_run *r); /* f at the run's first lane */

#endif
