/* custom.h: calls of custom operators (ir/custom.h) by the interpreter and eager mode. */
#ifndef JITC_LOWER_CUSTOM_H
#define JITC_LOWER_CUSTOM_H

#include "ir/custom.h"
#include "runtime/ffi.h"

/* Calls go to f (taken) from now on. */
void lower_custom_bind(ir_context *c, const ir_op *op, rt_ffi *f);
/* `types`: of the application.  c: the context of the op, which opens the library of an op that has one on the first
 * call, and closes it with itself.  false: raised. */
bool lower_custom_call(ir_context *c, const ir_op *op, const ir_infer *types, const rt_value *args, rt_value *out, rt_env *env);

#endif
