/* scalar.h: scalar expressions: what a POINTWISE or REDUCE row's text becomes, and the body of a comprehension.
 *
 * Text language of bodies (ops.def, lower/math.c):
 *   body  = alt { "||" alt }          alternatives by kind of the compute dtype, first match wins
 *   alt   = [ kinds ":" ] { name "=" expr ";" } expr      kinds: letters of b u i f ("iu: a >> b"), none: all;
 *                                     every alternative but the first names its kinds ("||" without is the operator)
 *   expr  = c ? a : b   || && (bool)   | ^ & (bits)   == != < <= > >=   << >>   + -   * / %   unary - ! ~   calls, literals
 * `/` on integers truncates; `%` is rem; names are the row's parameters or earlier `name =`; literals take the type
 * of the other operand; `inf`, `nan`, `pi`, `true`, `false`, `lowest`, `highest` (extremes of the compute dtype).
 * Calls: the primitives of scalar.def; `f32(x)`, `i64(x)`... casts; `compute(x)`: cast to the compute dtype;
 * `at(d)`: i64 output index of dim d (negative: from the end); `isnan(x)`; `has(p)`: is parameter p not None (a
 * constant; p itself reads as 0 then).  `p.word`: does the string parameter p have that value.  `lowest` and
 * `highest` are -inf and inf for floats.  Integers and indices mixed with the compute dtype are cast to it. */
#ifndef JITC_IR_SCALAR_H
#define JITC_IR_SCALAR_H

#include "ir/ir.h"

typedef enum ir_prim {
#define SCALAR(id, name, n, kinds, result) id,
#include "ir/scalar.def"
#undef SCALAR
    K_COUNT,
    X_CONST = K_COUNT, /* literal of dtype: f or i */
    X_INDEX,           /* i64: loop index `i`: 0..nout-1 output dims, nout.. reduced dims */
    X_DIM,             /* i64: value of `dim` */
    X_LOAD,            /* element of operand `i` at index args[0..n) (i64 each), in the operand's dtype */
    X_PARAM,           /* while parsing: parameter `i` of the row; REDUCE: state or element, see comp.h */
    X_SCALAR           /* run-time scalar operand `i` (an int, float or bool SSA value), of dtype */
} ir_prim;

typedef struct ir_prim_info { const char *name; int arity; const char *kinds; char result; } ir_prim_info;
extern const ir_prim_info ir_prims[K_COUNT];

/* A node of an expression DAG.  Hash-consed per ir_exprs, so equal nodes are the same pointer. */
typedef struct ir_expr ir_expr;
struct ir_expr {
    ir_prim op;
    rt_dtype dtype; /* of the result */
    int id;         /* dense within its ir_exprs, operands have smaller ids */
    int i, n;       /* i: see ir_prim; n: number of args */
    const ir_expr **args;
    double f;       /* X_CONST of floats */
    int64_t k;      /* X_CONST of integers and bool */
    const ir_dim *dim;
};

/* Builder: folds constants, index arithmetic (0*x, x+0, 1*x) and nothing that changes float results. */
typedef struct ir_exprs { ir_context *c; rt_map table; int n; } ir_exprs;
const ir_expr *ir_x(ir_exprs *x, ir_prim op, rt_dtype dtype, int n, const ir_expr *const *args);
const ir_expr *ir_x1(ir_exprs *x, ir_prim op, const ir_expr *a);
const ir_expr *ir_x2(ir_exprs *x, ir_prim op, const ir_expr *a, const ir_expr *b); /* dtype of a, or bool for comparisons */
const ir_expr *ir_x_int(ir_exprs *x, rt_dtype dtype, int64_t k);
const ir_expr *ir_x_float(ir_exprs *x, rt_dtype dtype, double f);
const ir_expr *ir_x_index(ir_exprs *x, int i);
const ir_expr *ir_x_dim(ir_exprs *x, const ir_dim *d); /* a constant dim becomes X_CONST */
const ir_expr *ir_x_load(ir_exprs *x, int operand, rt_dtype dtype, int n, const ir_expr *const *index);
const ir_expr *ir_x_scalar(ir_exprs *x, int operand, rt_dtype dtype);
const ir_expr *ir_x_param(ir_exprs *x, int i, rt_dtype dtype);
const ir_expr *ir_x_cast(ir_exprs *x, const ir_expr *a, rt_dtype to); /* a itself if it has that dtype */
const ir_expr *ir_x_select(ir_exprs *x, const ir_expr *cond, const ir_expr *a, const ir_expr *b);

/* Parses a body for `compute` dtype.  names[i] -> values[i] (already of the dtypes they should have; operands of
 * different dtypes in the text are cast to `compute`).  index: output index expressions for at(d), may be NULL.
 * NULL after a diagnostic that quotes the text. */
const ir_expr *ir_scalar_parse(ir_exprs *x, const char *text, rt_dtype compute, int n, const char *const *names,
                               const ir_expr *const *values, int nindex, const ir_expr *const *index);
bool ir_scalar_has(const char *text, rt_dtype compute); /* is there an alternative for this dtype */
/* Rewrites index variables and loads: subst returns the replacement of a leaf (X_INDEX, X_LOAD after its index
 * args were rewritten, X_SCALAR) or NULL to keep it. */
const ir_expr *ir_x_subst(ir_exprs *x, const ir_expr *e, const ir_expr *(*subst)(void *env, const ir_expr *leaf), void *env);
/* Scalar semantics, exact in the dtype of the node: the oracle for the primitives.  Floats as double (rounded to
 * the dtype), integers and bool as int64. */
typedef union ir_scalar { double f; int64_t i; } ir_scalar;
ir_scalar ir_prim_eval(ir_prim op, rt_dtype result, rt_dtype operand, const ir_scalar *args);

#endif
