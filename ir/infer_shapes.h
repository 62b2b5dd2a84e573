/* infer_shapes.h: what the shape rules of REDUCE and CONTRACT rows share with their comprehensions. */
#ifndef JITC_IR_INFER_SHAPES_H
#define JITC_IR_INFER_SHAPES_H

#include "ir/rules.h"

rt_dtype ir_promoted_type(const ir_infer *x); /* of all tensors and numbers that promote */
rt_dtype ir_compute_dtype(rt_dtype d);        /* f16 and bf16 are computed in f32 */
bool ir_param_is_condition(const char *name); /* a mask: never cast to the compute dtype */
bool ir_param_is_limit(const char *name);     /* a Scalar that bounds the values */
bool ir_int_range(rt_dtype d, int64_t *low, int64_t *high); /* false for floats and bool */
bool ir_reduced_axes(ir_infer *x, int rank, uint32_t *set);

enum { IR_MAX_SPATIAL = 3 };

/* A pooling: the last n dims of `self` are covered by windows. */
typedef struct ir_window {
    int n, rank; /* spatial dims; rank of self and the result */
    bool adaptive, count_pad;
    const ir_type *self;
    const ir_dim *dims[RT_MAX_RANK]; /* of the result */
    const ir_dim *size[IR_MAX_SPATIAL], *out[IR_MAX_SPATIAL];
    int64_t kernel[IR_MAX_SPATIAL], stride[IR_MAX_SPATIAL], pad[IR_MAX_SPATIAL], dilation[IR_MAX_SPATIAL];
    int64_t divisor; /* 0: the number of elements */
} ir_window;
bool ir_window_of(ir_infer *x, ir_window *w);

/* A convolution: dims of input [batch, channels, spatial...]. */
typedef struct ir_conv {
    int n;
    bool transposed;
    const ir_type *input, *weight, *bias; /* bias may be NULL */
    int64_t groups, stride[IR_MAX_SPATIAL], pad[IR_MAX_SPATIAL], dilation[IR_MAX_SPATIAL],
        output_pad[IR_MAX_SPATIAL];
    const ir_dim *dims[IR_MAX_SPATIAL + 2];     /* of the result */
    const ir_dim *out_per_group, *in_per_group; /* channels */
} ir_conv;
bool ir_conv_of(ir_infer *x, ir_conv *v);

/* An equation over operands: letters are numbered in the order: result's, then the summed ones. */
enum { IR_MAX_LETTERS = 52 + RT_MAX_RANK, IR_MAX_OPERANDS = 8 };
typedef struct ir_equation {
    int noperands, nletters, nout; /* letters 0..nout-1 are the result's dims in order */
    const ir_dim *dims[IR_MAX_LETTERS];
    int operand[IR_MAX_OPERANDS]; /* run-time operand numbers */
    const ir_type *type[IR_MAX_OPERANDS];
    int rank[IR_MAX_OPERANDS];
    int letter[IR_MAX_OPERANDS][RT_MAX_RANK]; /* of each dim; -1: size 1 that is broadcast, index 0 */
} ir_equation;
bool ir_equation_of(ir_infer *x, ir_equation *e);
bool ir_infer_contract(ir_infer *x);

#endif
