/* custom.h: operators that are C functions outside of jitc.
 *
 * A declaration is a schema and, where the compiler shall know sizes, after a semicolon the types of arguments and then
 * those of the results, as an .ir file writes them:
 *     my_ops::norms(Tensor x, float eps=1e-5) -> Tensor; x: f32[N, C] -> f32[N]
 * A symbol is bound by the first argument that has it alone (int<K> binds K to an int); one that only results have is a size
 * that the function decides.  A tensor result that is not declared has dtype and rank of the first tensor argument, and
 * sizes that the function decides.  Every call checks what is declared, and compiled code what it relies on. */
#ifndef JITC_IR_CUSTOM_H
#define JITC_IR_CUSTOM_H

#include "ir/infer.h"

typedef struct ir_custom {
    const char *signature;   /* flat, as runtime/ffi.h takes it; that of the C function also in the pure form */
    const ir_type **params, **results; /* by schema; NULL: not declared */
    const ir_op *pure;       /* of an op that writes arguments: results are those that are no written argument, then the
                              * new value of each written argument; nothing is written.  NULL: nothing is written anyway */
    const ir_op *writer;     /* of a pure form: the op itself */
    const char *library, *symbol; /* where the function is, for whoever calls it; or NULL */
    void *call;              /* what lower calls it with, once it was needed */
} ir_custom;

/* Adds an op to the table.  NULL after a diagnostic. */
ir_op *ir_custom_add(ir_context *c, const char *declaration);
/* From the option text "LIBRARY:SYMBOL=DECLARATION", "LIBRARY=DECLARATION" (the symbol is the op's name without namespace
 * and overload) or "DECLARATION" alone (enough to compile).  The library is not opened.  Also put into c->customs. */
ir_op *ir_custom_option(ir_context *c, const char *text);
/* "f32[N, C]", of what is declared, for messages. */
const char *ir_custom_text(ir_context *c, const ir_type *t);
/* Has the op results that are taken from its written arguments? */
bool ir_custom_is_written(const ir_schema *s, int result);

#endif
