/* nest.h: the loop nest of a comprehension: which index variables are merged into one loop, and how every load's
 * address depends on the loops. */
#ifndef JITC_LOWER_NEST_H
#define JITC_LOWER_NEST_H

#include "lower/fused.h"

enum { NEST_MAX = 2 * RT_MAX_RANK };

/* Flat address of a load, in elements: sum over index variables of coef[i] * i, plus rest. */
typedef struct nest_access {
    const ir_expr *load;
    const ir_dim *coef[NEST_MAX]; /* NULL: 0 */
    const ir_expr *rest;          /* NULL: 0; what is not affine, or constant */
    uint32_t rest_uses;           /* index variables in rest, by bit */
} nest_access;

typedef struct nest_loop { /* the index variables of the mask merged; `last` runs fastest */
    uint32_t vars;
    int last;
    const ir_dim *size;
    bool reduce;
} nest_loop;

typedef struct nest {
    ir_context *c;
    const fused *f;
    RT_VEC(nest_access) accesses;
    int *access_of, nexprs;        /* by expression id: number of the access + 1 */
    int64_t *base;                 /* nest_rebase: by operand, elements in front of all that is read */
    int nfactors;                  /* accesses by the factors of a product: the first ones */
    RT_VEC(nest_loop) loops; /* output loops, then reduce loops */
    int nouter;
    const ir_dim *ocoef[NEST_MAX]; /* of the output's address */
    int order[NEST_MAX];           /* index variables from the slowest to the fastest: those of the output, then those of the reduction */
    uint32_t pinned; /* index variables used other than in affine addresses: their loops are not merged */
} nest;

void nest_build(ir_context *c, const fused *f, const ir_value *result, nest *out); /* `result`: for the order of the outputs */
/* Merges index variables anew: those of `free` whatever the address of `a` is (which is then no sum over loops). */
void nest_merge(nest *t, const nest_access *a, uint32_t free);
/* Accesses count from `base` then.  What lies in front of a part of a tensor is left to the call: kernels that read different
 * parts in the same way are the same. */
void nest_rebase(nest *t);
/* May two of the output's index variables be one loop? */
bool nest_one_run(nest *t, int slow, int fast);
/* The index variables that an expression uses other than in affine addresses of loads, by bit. */
uint32_t nest_pins(const nest *t, const ir_expr *e);
/* Elements from one index to the next, by dim, of a tensor in this order (NULL: row-major). */
void nest_strides(ir_context *c, int rank, const ir_dim *const *dims, const ir_layout *order, const ir_dim **stride);
/* Does one of n expressions load operand `operand`? */
bool nest_loads(const nest *t, const ir_expr *const *x, int n, int operand);
const nest_access *nest_find(const nest *t, const ir_expr *load);
/* Coefficient of loop l in an access: that of its fastest variable. */
const ir_dim *nest_coef(const nest *t, const nest_access *a, int loop);

/* Facts about the expressions of one ir_exprs, each computed once: by expression id, zeroed (NULL: none known yet). */
typedef struct nest_facts {
    uint32_t uses; /* index variables that it depends on, inside addresses too, by bit */
    bool known, affine; /* affine: sums and products of variables, constants and sizes */
} nest_facts;
const nest_facts *nest_facts_of(nest_facts *by_id, const ir_expr *e);

#endif
