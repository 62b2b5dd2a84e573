/* plan.h: where every value of an entry lives at run time. */
#ifndef JITC_LOWER_PLAN_H
#define JITC_LOWER_PLAN_H

#include "lower/group.h"

typedef enum plan_kind {
    PL_NONE,  /* a scalar or nothing: in registers of the host code, or not needed at all */
    PL_IN,    /* input leaf `index` */
    PL_PARAM, /* in the weights */
    PL_STATE, /* state cell */
    PL_WORK,  /* in the workspace at `offset` */
    PL_OUT,   /* written where output leaf `index` lies */
    PL_SLOT,  /* boxed, in slot `index`: containers, strings, optionals, and tensors whose size is not known at entry */
    PL_PHI    /* one of several places, chosen by control flow: the host code carries the address */
} plan_kind;

typedef struct plan_place { plan_kind kind; int index; const ir_dim *offset; } plan_place;

/* Buffers of a planned loop-carried tensor: the body's results alternate between them. */
typedef struct plan_carry { const ir_dim *offset[2]; } plan_carry;

typedef struct lower_plan {
    ir_func *f;
    plan_place *at;          /* by value id */
    plan_carry **carries;    /* by node id of loops: per carried value; NULL entries: not planned */
    const ir_dim **scratch;  /* by node id of kernels: offset of the LB_SCRATCH buffers; NULL: none, or of a size not known at entry */
    int nslots;
    const ir_dim *workspace; /* bytes, over entry symbols; never NULL */
    int64_t gap;             /* bytes behind each slot of the workspace that nobody may touch; 0: none */
    RT_VEC(const ir_dim *) gaps; /* where they begin */
    int64_t alive;           /* the most bytes of it that are in use at one time, below which no plan gets; -1: depends on sizes */
    RT_VEC(ir_value *) in;   /* input leaves in order; NULL: nobody uses it */
    RT_VEC(ir_value *) out;  /* output leaves in order (result, taken apart), then written-back values */
    RT_VEC(ir_node *) writes;/* S_WRITEBACK nodes, in the order of the extra leaves */
    RT_VEC(const char *) symbols; /* bound at entry, in order */
} lower_plan;

/* Plans one entry of a grouped module.  gap: a multiple of 64.  Memory: the context's arena. */
lower_plan *lower_plan_entry(ir_module *m, ir_func *f, int64_t gap);
bool plan_known(const lower_plan *p, const ir_dim *d); /* are all its symbols bound at entry */
bool plan_static(const lower_plan *p, const ir_type *tensor); /* are all its dims known at entry */
const ir_dim *plan_bytes(ir_context *c, const ir_type *tensor);
int plan_symbol(const lower_plan *p, const char *symbol); /* its number or -1 */
bool plan_boxed(const ir_type *t); /* is a value of this type a box: not a scalar, none or tensor */

#endif
