/* infer.h: what an op does to types and shapes, once for all users: the interpreter and eager mode (all sizes
 * constant), specialise (sizes symbolic).  A rule sees its arguments as `ir_arg`, in the order of the schema's
 * parameters with defaults filled in, and gives the type of each result. */
#ifndef JITC_IR_INFER_H
#define JITC_IR_INFER_H

#include "ir/ir.h"

typedef enum ir_arg_kind { A_NONE, A_BOOL, A_INT, A_FLOAT, A_STR, A_TENSOR, A_LIST /* list or tuple, elements known */, A_OTHER } ir_arg_kind;

typedef struct ir_arg ir_arg;
struct ir_arg {
    ir_arg_kind kind;
    bool known;               /* A_BOOL, A_FLOAT, A_STR: is the value known; A_INT: `dim` always set (fresh symbol if need be) */
    int64_t i;                /* A_BOOL */
    double f;                 /* A_FLOAT */
    const char *s;            /* A_STR, interned */
    const ir_dim *dim;        /* A_INT */
    const ir_type *type;      /* A_TENSOR: dtype, rank, dims all set.  Others: the type */
    const ir_dim **strides;   /* A_TENSOR: strides as PyTorch would have them; NULL: contiguous */
    const ir_dim *offset;     /* A_TENSOR: where element 0 lies in its storage; NULL: 0 if strides is NULL too,
                               * else not known; as_strided needs it */
    bool wrapped;             /* A_TENSOR of rank 0 made from a Python number: promotes like a scalar */
    int n;                    /* A_LIST */
    const ir_arg *at;
    int operand;              /* A_TENSOR, and A_INT/A_FLOAT/A_BOOL that are not constant: number of the run-time operand */
};

/* One application of an op. */
typedef struct ir_infer {
    ir_context *c;
    const ir_op *op;
    ir_span span;
    int nargs;                /* == op->schema->nparams */
    const ir_arg *args;
    /* results */
    int nres;
    const ir_type *res[8];    /* tensors: full types */
    const ir_dim **strides[8]; /* view ops only: strides and offset of the view within the storage of the base */
    const ir_dim *offset;
    rt_dtype compute;         /* POINTWISE, REDUCE: dtype that the body is computed in */
    RT_VEC(ir_guard) guards;  /* assumptions that were not proven; specialise turns them into checks */
    const char *error_cls, *error; /* set when it is certain to fail: "RuntimeError", text */
    bool uncertain_view;      /* whether the result aliases the input depends on sizes that are not known (a copy is given) */
    bool data_dependent;      /* OPAQUE: result dims hold fresh symbols */
} ir_infer;

/* Fills results by class and the row's rule.  false: certain to fail (error set), or unsupported
 * (error_cls NULL, error names what is missing). */
bool ir_infer_op(ir_infer *x);

/* For rules. */
bool ir_fail(ir_infer *x, const char *cls, const char *fmt, ...) RT_PRINTF(3, 4); /* always false */
bool ir_require_eq(ir_infer *x, const ir_dim *a, const ir_dim *b, const char *fmt, ...) RT_PRINTF(4, 5);
bool ir_require_le(ir_infer *x, const ir_dim *a, const ir_dim *b, const char *fmt, ...) RT_PRINTF(4, 5);
const ir_arg *ir_arg_named(const ir_infer *x, const char *name); /* by parameter name; asserts that it exists */
bool ir_arg_const_int(const ir_infer *x, const char *name, int64_t *out); /* a constant int, else false */
/* Broadcast: 1 yields.  Sizes of which the run decides whether they are 1: the result has the larger one, with a guard
 * that they fit (see ir_broadcast_step for the reader). */
bool ir_broadcast_dims(ir_infer *x, int n, const ir_type *const *tensors, int *rank, const ir_dim **dims);
/* Is d 1, as far as constants and the examples say? */
bool ir_taken_as_one(ir_context *c, const ir_dim *d);
/* *into becomes the size of two broadcast dims, *into and d. */
bool ir_broadcast_size(ir_infer *x, const ir_dim **into, const ir_dim *d, const char *fmt, ...) RT_PRINTF(4, 5);
/* One dim `from` of an operand must be `to` or 1: certain to fail, fine, or a guard with the text. */
bool ir_require_broadcast(ir_infer *x, const ir_dim *from, const ir_dim *to, const char *fmt, ...) RT_PRINTF(4, 5);
/* How far an operand's index moves along a dim of size `from` per step along the broadcast dim `to`: 0 if from is 1,
 * 1 if it is not; where only the run knows, an expression for that. */
const ir_dim *ir_broadcast_step(ir_context *c, const ir_dim *from, const ir_dim *to);
typedef bool ir_rule(ir_infer *x);

/* View ops (MOVE rows marked VIEW): from the base's dims, strides and offset to the view's. */
bool ir_is_view(const ir_op *op);
/* Can `self` be seen at sizes `dims` without a copy, as PyTorch decides it; IR_YES fills strides[rank].
 * `reshape` and `contiguous` (MOVE rows) set strides[0] and offset when the application is certain to be a view
 * of argument 0, and leave strides[0] NULL otherwise.  x->offset is relative to element 0 of the base. */
ir_truth ir_viewable(ir_infer *x, const ir_arg *self, int rank, const ir_dim *const *dims, const ir_dim **strides);
ir_truth ir_contiguous(ir_infer *x, const ir_arg *self);

#endif
