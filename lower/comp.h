/* comp.h: comprehensions: an op of class POINTWISE, REDUCE, MOVE or CONTRACT as loops over scalar expressions.
 * The one form from which the reference interpreter evaluates and the scheduler makes kernels:
 *
 *   for i in dims:  state = init;  for r in rdims: state = combine(state, elem);  out[k][i] = finish[k](state)
 *
 * Without reduction (nrdims == 0, nstate == 0) it is just out[k][i] = finish[k].  Index variables: X_INDEX 0..ndims-1
 * are i, ndims.. are r.  X_LOAD reads operand `i` at one i64 expression per dim of the operand; a load is always in
 * bounds unless guarded by a select on its index, and evaluators do not evaluate the arm that is not taken. */
#ifndef JITC_LOWER_COMP_H
#define JITC_LOWER_COMP_H

#include "ir/infer.h"
#include "ir/scalar.h"

enum { COMP_MAX_STATE = 4, COMP_MAX_OUT = 4 };

typedef struct comp {
    ir_exprs x;
    int ndims, nrdims;
    const ir_dim **dims, **rdims;
    int nstate;
    rt_dtype state_dtype[COMP_MAX_STATE];
    const ir_expr *init[COMP_MAX_STATE];    /* may use X_INDEX < ndims */
    const ir_expr *elem[COMP_MAX_STATE];    /* what iteration r contributes (loads) */
    const ir_expr *combine[COMP_MAX_STATE]; /* of X_PARAM 0..nstate-1 (state) and nstate..2*nstate-1 (elem, or another state) */
    bool associative;                       /* combine may merge two states: tree reductions are allowed */
    int scan;                               /* >= 0: rdims[0] is a scan: the state after each step is written; index of the output dim it runs over, else -1 */
    int nout;
    const ir_expr *out[COMP_MAX_OUT];       /* of X_PARAM 0..nstate-1 */
    rt_dtype out_dtype[COMP_MAX_OUT];
    /* CONTRACT: elem[0] is a product and combine[0] an add: which loads are the two factors, for the tile engine */
    bool contract;
    /* scatter-like MOVE: out[0] starts as a copy of operand `base`; then in order over dims: out at index `at` =
     * combine[0] of X_PARAM 0 (old) and X_PARAM 1 (elem[0]); combine[0] NULL: plain store.  `at` has one expression
     * per output dim (nat), always bounds-checked by the evaluator; out_dtype[0] is the dtype of the result. */
    bool write;
    int base, nat;
    const ir_expr **at;
    const ir_type *out_type;                /* write: type of the output */
    /* index loads that must be checked against [0, size): raised as IndexError with this text */
    RT_VEC(struct comp_check { const ir_expr *index; const ir_dim *size; const char *why; }) checks;
} comp;

/* With `scan` >= 0: dims are the output's, X_INDEX scan equals the step X_INDEX ndims, which runs over rdims[0]. */

/* Builds the comprehension of one application (after ir_infer_op).  Memory: c->arena.  NULL: the class has none
 * (OPAQUE, HOST) or an argument that must be constant is not (x->error set). */
comp *comp_build(ir_infer *x);
bool comp_move(comp *k, ir_infer *x); /* MOVE and VIEW rows: comp_move.c; k is zeroed but for k->x */
bool comp_reduce(comp *k, ir_infer *x);
bool comp_contract(comp *k, ir_infer *x);
/* Parameter `i` as an expression of dtype `as` (DT_NONE: its own): a tensor is loaded at the output index, right
 * aligned and broadcast; numbers become constants or X_SCALAR.  NULL: None, a string, a list. */
const ir_expr *comp_param(comp *k, ir_infer *x, int i, rt_dtype as);
/* Index into a dim of size `from` of an operand, at index `at` of the dim of size `to` that it is broadcast to. */
const ir_expr *comp_broadcast(comp *k, const ir_dim *from, const ir_dim *to, const ir_expr *at);

/* Applies an op to concrete values: host functions, comprehensions, opaque kernels; composite bodies are
 * interpreted.  args: one per schema parameter, defaults filled in.  False: raised in env. */
typedef struct lower_interp lower_interp;
lower_interp *lower_interp_new(ir_module *m);        /* the graph interpreter: module state lives here */
void lower_interp_free(lower_interp *in);
bool lower_apply(lower_interp *in, const ir_op *op, const rt_value *args, rt_value *out, rt_env *env);
/* Calls a surface or core function: args by parameter (self excluded: it is the module's object). */
bool lower_interp_call(lower_interp *in, ir_func *f, int nargs, const rt_value *args, rt_value *out, rt_env *env);
/* The place in the module's own code where the last call failed; 0: not known. */
ir_span lower_interp_failed(const lower_interp *in);

#endif
