/* rules.h: what shape rules and comprehension maps share: reading arguments, axes, sizes.
 *
 * Every helper that returns bool returns false after setting x->error (ir_fail, or ir_missing for what is not
 * supported), so that rules chain them with `return false`.  Memory: x->c->arena. */
#ifndef JITC_IR_RULES_H
#define JITC_IR_RULES_H

#include "ir/infer.h"

/* Argument by parameter name, NULL if the schema has no such parameter or the argument is None. */
const ir_arg *ir_arg_given(const ir_infer *x, const char *name);
const ir_type *ir_arg_tensor(const ir_infer *x,
                             const char *name); /* type of a tensor argument that must be there */
bool ir_missing(ir_infer *x, const char *fmt, ...)
    RT_PRINTF(2, 3); /* unsupported: error_cls NULL; always false */

/* A constant axis, wrapped: 0 <= *out < max(rank, 1).  IndexError "Dimension out of range ..." */
bool ir_arg_axis(ir_infer *x, const char *name, int rank, int *out);
bool ir_wrap_axis(ir_infer *x, int64_t axis, int rank, int *out);
/* Distinct axes from an int or a list: bit set. */
bool ir_arg_axes(ir_infer *x, const char *name, int rank, uint32_t *set);
/* int[] argument (an int counts as a list of one); n = 0 if None. */
bool ir_arg_ints(ir_infer *x, const char *name, int *n, const ir_dim ***out);
bool ir_arg_const_ints(ir_infer *x, const char *name, int *n, int64_t **out);
bool ir_arg_bool(ir_infer *x, const char *name, bool *out);       /* must be known */
bool ir_arg_str(ir_infer *x, const char *name, const char **out); /* must be known; None gives NULL */

const ir_dim *ir_numel(ir_context *c, int rank, const ir_dim *const *dims);
const ir_dim **ir_dims_new(ir_context *c, int n);
const ir_dim **ir_contiguous_strides(ir_context *c, int rank, const ir_dim *const *dims);
const ir_dim **ir_arg_strides(ir_context *c, const ir_arg *tensor); /* contiguous ones made when NULL */
const ir_dim *ir_dim_smaller(ir_context *c, const ir_dim *a,
                             const ir_dim *b); /* min, decided where provable */
const ir_dim *ir_dim_larger(ir_context *c, const ir_dim *a, const ir_dim *b);
const char *ir_dims_text(ir_context *c, int n, const ir_dim *const *dims); /* "[2, N]" */
bool ir_is_int(rt_dtype d);                                                /* integers without bool */
bool ir_is_float(rt_dtype d);

/* One result of a fresh (not aliasing) tensor; more results with ir_result_at. */
bool ir_result(ir_infer *x, rt_dtype dtype, int rank, const ir_dim *const *dims); /* always true */
bool ir_result_at(ir_infer *x, int k, rt_dtype dtype, int rank, const ir_dim *const *dims);
/* The single result as a view; strides taken. */
bool ir_result_view(ir_infer *x, rt_dtype dtype, int rank, const ir_dim *const *dims, const ir_dim **strides,
                    const ir_dim *offset);

/* Sizes of view/reshape with the -1 filled in; checks the number of elements. */
bool ir_view_sizes(ir_infer *x, const ir_type *self, int *rank, const ir_dim ***dims);
/* Parameter `step`, at least 1: that of one that only the run knows is a guard. */
bool ir_arg_step(ir_infer *x, const ir_dim **step);
/* Python's slice on a size: first index, length and step. */
bool ir_slice_bounds(ir_infer *x, const ir_dim *size, const ir_dim **start, const ir_dim **len,
                     const ir_dim **step);
bool ir_select_index(ir_infer *x, const ir_type *self, int axis, const ir_dim **index);
typedef struct ir_diagonal { /* element i is at (i + down, i + right); one of the two is 0 */
    int d1, d2;
    const ir_dim *down, *right, *len;
} ir_diagonal;
void ir_diagonal_offset(ir_infer *x, const ir_dim **down, const ir_dim **right); /* of parameter `offset` */
bool ir_diagonal_of(ir_infer *x, const ir_type *self, ir_diagonal *d);
/* Where result dim i of expand reads: the input's dim, or -1 (new or size 1: index 0). */
bool ir_expand_dims(ir_infer *x, const ir_type *self, int *rank, const ir_dim ***dims, int **from);

/* Advanced indexing: which dims of self are indexed and where the index dims go in the result. */
typedef struct ir_indexing {
    int nself;
    const ir_arg *at[RT_MAX_RANK]; /* per dim of self: its index tensor or NULL */
    int nb;                        /* rank and dims of the broadcast index */
    const ir_dim **bdims;
    int place; /* result dim where the index dims begin */
    int rank;  /* of the result */
    const ir_dim **dims;
} ir_indexing;
bool ir_indexing_of(ir_infer *x, const ir_type *self, ir_indexing *out);
/* Pads of constant_pad_nd and its like, outermost dim first: before[d], after[d]. */
bool ir_pads_of(ir_infer *x, const char *name, const ir_type *self, const ir_dim ***before,
                const ir_dim ***after);

/* Rule functions named in the op table. */
#define VIEW(schema, rule) ir_rule rule;
#define MOVE(schema, promote, rule) ir_rule rule;
#define OPAQUE(schema, effects, rule) ir_rule rule;
#include "ir/ops_move.def"
#include "ir/ops_opaque.def"
#undef VIEW
#undef MOVE
#undef OPAQUE

#endif
