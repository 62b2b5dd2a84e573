/* eval.h: evaluation of a comprehension on concrete tensors: the reference for every backend. */
#ifndef JITC_LOWER_EVAL_H
#define JITC_LOWER_EVAL_H

#include "lower/comp.h"

/* The operands by number (X_LOAD's and X_SCALAR's `i`): a tensor, or an int, float or bool.  `symbol` gives
 * the value of a dim symbol; NULL: there are none. */
typedef struct lower_operands {
    int n;
    const rt_value *at; /* borrowed */
    bool (*symbol)(void *env, const char *symbol, int64_t *x);
    void *symbol_env;
} lower_operands;

/* Evaluates k into fresh tensors out[0..nout), contiguous unless `like` gives an order: then the results get
 * dense strides in the order of those (ndims of them, in elements).  False: raised in env, nothing is owned.
 */
bool lower_eval(const comp *k, const lower_operands *in, const int64_t *like, rt_tensor **out, rt_env *env);
/* Value of a scalar expression without loads or indices (a HOST body); symbols and X_SCALAR from `in`. */
bool lower_eval_scalar(const ir_expr *e, const lower_operands *in, ir_scalar *out, rt_env *env);

/* Part of the interpreter behind lower_apply: the comprehensions built so far, by op and signature.
 * Made by lower_interp_new(m) with m->c and ended by lower_interp_free; lower_interp_applier gives it back.
 */
typedef struct lower_applier lower_applier;
lower_applier *lower_applier_new(ir_context *c);       /* NULL: out of memory */
void lower_applier_free(lower_applier *a);             /* takes NULL */
lower_applier *lower_interp_applier(lower_interp *in); /* in interp.c */

#endif
