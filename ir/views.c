/* views.c: shape rules of VIEW rows: dims, strides and offset of the view, exactly as PyTorch computes them,
 * on symbolic dims; and the decision whether a reshape can be a view.
 *
 * Strides and offset are in elements; the offset is relative to element 0 of the base.  Where a size is not
 * known the rule assumes what PyTorch needs to go on and leaves a guard. */
#include "ir/rules.h"

#define C (x->c)

static const ir_dim *num(ir_infer *x, int64_t k) { return ir_dim_const(C, k); }

/* ------------------------------------------------------------------ sizes of view and reshape */

static bool view_infer_size(ir_infer *x, const ir_type *self, int n, const ir_dim **dims, int hole) {
    const ir_dim *total = ir_numel(C, self->rank, self->dims), *known = num(x, 1);
    for (int i = 0; i < n; i++)
        if (i != hole) known = ir_dim_mul(C, known, dims[i]);
    const char *text = ir_dims_text(C, n, dims);
    if (hole >= 0 && ir_dim_is(known, 0))
        return ir_fail(x, "RuntimeError",
                       "cannot reshape tensor of 0 elements into shape %s because the unspecified "
                       "dimension size -1 can be any value and is ambiguous",
                       text);
    if (hole < 0)
        return ir_require_eq(x, known, total, "shape '%s' is invalid for input of size %s", text,
                             ir_dims_text(C, 1, &total));
    dims[hole] = ir_dim_exact_div(C, total, known);
    if (dims[hole]) return true;
    dims[hole] = ir_dim_floordiv(C, total, known);
    return ir_require_eq(x, ir_dim_mul(C, dims[hole], known), total,
                         "shape '%s' is invalid for input of size %s", text, ir_dims_text(C, 1, &total));
}

bool ir_view_sizes(ir_infer *x, const ir_type *self, int *rank, const ir_dim ***out) {
    const char *name = ir_arg_given(x, "size") ? "size" : "shape";
    const ir_dim **given;
    if (!ir_arg_ints(x, name, rank, &given)) return false;
    if (*rank > RT_MAX_RANK) return ir_missing(x, "tensors of more than %d dimensions", RT_MAX_RANK);
    const ir_dim **dims = ir_dims_new(C, *rank);
    int hole = -1;
    for (int i = 0; i < *rank; i++) {
        int64_t k, lo, hi;
        dims[i] = given[i];
        if (ir_dim_is_const(given[i], &k)) {
            if (k == -1 && hole >= 0) return ir_fail(x, "RuntimeError", "only one dimension can be inferred");
            if (k == -1) hole = i;
            if (k < -1) return ir_fail(x, "RuntimeError", "invalid shape dimension %lld", (long long)k);
            continue;
        }
        ir_dim_range(C, given[i], &lo, &hi);
        if (lo < 0 && !ir_require_le(x, num(x, 0), given[i], "%s: size %d is not negative", x->op->name, i))
            return false;
    }
    *out = dims;
    return view_infer_size(x, self, *rank, dims, hole);
}

/* ------------------------------------------------------------------ can it be a view */

/* One run of input dims that lie contiguously in memory, innermost stride `base`, is given to output dims
 * from the right until the sizes agree.  *at: next output dim, moves left. */
static ir_truth view_chunk(ir_infer *x, const ir_dim *size, const ir_dim *base, const ir_dim *const *dims,
                           int *at, const ir_dim **strides) {
    const ir_dim *got = num(x, 1);
    for (; *at >= 0; --*at) {
        ir_truth same = ir_dim_eq(C, got, size);
        if (same == IR_YES && !ir_dim_is(dims[*at], 1)) return IR_YES;
        ir_truth less = same == IR_YES ? IR_YES : ir_dim_lt(C, got, size);
        if (less == IR_NO && !ir_dim_is(dims[*at], 1)) return IR_NO;
        if (less == IR_UNKNOWN && same == IR_UNKNOWN &&
            !ir_dim_exact_div(C, size, ir_dim_mul(C, got, dims[*at])))
            return IR_UNKNOWN;
        strides[*at] = ir_dim_mul(C, got, base);
        got = ir_dim_mul(C, got, dims[*at]);
    }
    return ir_dim_eq(C, got, size);
}

ir_truth ir_viewable(ir_infer *x, const ir_arg *self, int rank, const ir_dim *const *dims,
                     const ir_dim **strides) {
    const ir_type *t = self->type;
    const ir_dim **old = ir_arg_strides(C, self), *size = num(x, 1), *base;
    if (!t->rank || ir_contiguous(x, self) == IR_YES) {
        memcpy(strides, ir_contiguous_strides(C, rank, dims), (size_t)rank * sizeof *strides);
        return IR_YES;
    }
    int at = rank - 1;
    base = old[t->rank - 1];
    for (int d = t->rank - 1; d >= 0; d--) {
        size = ir_dim_mul(C, size, t->dims[d]);
        ir_truth joined = d == 0                        ? IR_NO
                          : ir_dim_is(t->dims[d - 1], 1) ? IR_YES
                                                        : ir_dim_eq(C, old[d - 1], ir_dim_mul(C, size, base));
        if (joined == IR_UNKNOWN) return IR_UNKNOWN;
        if (joined == IR_YES) continue;
        ir_truth fits = view_chunk(x, size, base, dims, &at, strides);
        if (fits == IR_NO) return IR_NO;
        if (fits == IR_UNKNOWN) return IR_UNKNOWN;
        if (d) base = old[d - 1], size = num(x, 1);
    }
    for (; at >= 0 && ir_dim_is(dims[at], 1); at--) strides[at] = base;
    return at >= 0 ? IR_NO : IR_YES;
}

ir_truth ir_contiguous(ir_infer *x, const ir_arg *self) {
    const ir_type *t = self->type;
    if (!self->strides || ir_dim_is(ir_numel(C, t->rank, t->dims), 0)) return IR_YES;
    const ir_dim **want = ir_contiguous_strides(C, t->rank, t->dims);
    ir_truth all = IR_YES;
    for (int i = 0; i < t->rank; i++) {
        if (ir_dim_is(t->dims[i], 1)) continue;
        ir_truth same = ir_dim_eq(C, want[i], self->strides[i]);
        if (same == IR_NO) return IR_NO;
        if (same == IR_UNKNOWN) all = IR_UNKNOWN;
    }
    return all;
}

static const ir_dim **unknown_strides(ir_infer *x, int n) {
    const ir_dim **s = ir_dims_new(C, n);
    for (int i = 0; i < n; i++) s[i] = ir_dim_fresh(C, "stride", 0, INT64_MAX);
    return s;
}

bool ir_rule_view(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    int rank;
    const ir_dim **dims;
    if (!ir_view_sizes(x, self->type, &rank, &dims)) return false;
    const ir_dim **strides = ir_dims_new(C, rank);
    ir_truth can = ir_viewable(x, self, rank, dims, strides);
    if (can == IR_NO)
        return ir_fail(x, "RuntimeError",
                       "view size is not compatible with input tensor's size and stride (at least "
                       "one dimension spans across two contiguous subspaces). Use .reshape(...) instead.");
    if (can == IR_UNKNOWN) strides = unknown_strides(x, rank);
    return ir_result_view(x, self->type->dtype, rank, dims, strides, num(x, 0));
}

bool ir_rule_reshape(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    int rank;
    const ir_dim **dims;
    if (!ir_view_sizes(x, self->type, &rank, &dims)) return false;
    const ir_dim **strides = ir_dims_new(C, rank);
    ir_truth can = ir_viewable(x, self, rank, dims, strides);
    if (can == IR_YES) return ir_result_view(x, self->type->dtype, rank, dims, strides, num(x, 0));
    x->uncertain_view = can == IR_UNKNOWN;
    return ir_result(x, self->type->dtype, rank, dims);
}

bool ir_rule_alias(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    return ir_result_view(x, self->type->dtype, self->type->rank, self->type->dims, ir_arg_strides(C, self),
                          num(x, 0));
}

bool ir_rule_contiguous(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    ir_truth is = ir_contiguous(x, self);
    if (is == IR_YES) return ir_rule_alias(x);
    x->uncertain_view = is == IR_UNKNOWN;
    return ir_result(x, self->type->dtype, self->type->rank, self->type->dims);
}

/* ------------------------------------------------------------------ permutations */

static bool view_permuted(ir_infer *x, const ir_arg *self, const int *from) {
    int n = self->type->rank;
    const ir_dim **dims = ir_dims_new(C, n), **strides = ir_dims_new(C, n), **old = ir_arg_strides(C, self);
    for (int i = 0; i < n; i++) dims[i] = self->type->dims[from[i]], strides[i] = old[from[i]];
    return ir_result_view(x, self->type->dtype, n, dims, strides, num(x, 0));
}

bool ir_rule_permute(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    int n, rank = self->type->rank, from[RT_MAX_RANK];
    int64_t *order;
    if (!ir_arg_const_ints(x, "dims", &n, &order)) return false;
    if (n != rank)
        return ir_fail(
            x, "RuntimeError",
            "permute(sparse_coo): number of dimensions in the tensor input does not match "
            "the length of the desired ordering of dimensions i.e. input.dim() = %d is not equal to "
            "len(dims) = %d",
            rank, n);
    uint32_t seen = 0;
    for (int i = 0; i < n; i++) {
        if (!ir_wrap_axis(x, order[i], rank, &from[i])) return false;
        if (seen >> from[i] & 1)
            return ir_fail(x, "RuntimeError", "permute(): duplicate dims are not allowed.");
        seen |= 1u << from[i];
    }
    return view_permuted(x, self, from);
}

static bool view_swapped(ir_infer *x, const ir_arg *self, int a, int b) {
    int from[RT_MAX_RANK];
    for (int i = 0; i < self->type->rank; i++) from[i] = i == a ? b : i == b ? a : i;
    return view_permuted(x, self, from);
}

bool ir_rule_transpose(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    int a, b;
    return ir_arg_axis(x, "dim0", self->type->rank, &a) && ir_arg_axis(x, "dim1", self->type->rank, &b) &&
           view_swapped(x, self, a, b);
}

bool ir_rule_t(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    if (self->type->rank > 2)
        return ir_fail(x, "RuntimeError", "t() expects a tensor with <= 2 dimensions, but self is %dD",
                       self->type->rank);
    return view_swapped(x, self, 0, self->type->rank > 1);
}

/* ------------------------------------------------------------------ expand */

bool ir_expand_dims(ir_infer *x, const ir_type *self, int *rank, const ir_dim ***out, int **from) {
    const ir_dim **want;
    if (!ir_arg_ints(x, "size", rank, &want)) return false;
    int n = *rank, lead = n - self->rank;
    if (lead < 0)
        return ir_fail(x, "RuntimeError",
                       "expand: the number of sizes provided (%d) must be greater or equal to the "
                       "number of dimensions in the tensor (%d)",
                       n, self->rank);
    if (n > RT_MAX_RANK) return ir_missing(x, "tensors of more than %d dimensions", RT_MAX_RANK);
    const ir_dim **dims = ir_dims_new(C, n);
    int *map = RT_ARRAY(&C->arena, int, n + 1);
    for (int i = 0; i < n; i++) {
        const ir_dim *old = i < lead ? num(x, 1) : self->dims[i - lead];
        bool keep = ir_dim_is(want[i], -1);
        if (keep && i < lead)
            return ir_fail(x, "RuntimeError",
                           "The expanded size of the tensor (-1) isn't allowed in a leading, "
                           "non-existing dimension %d",
                           i);
        if (!keep && ir_dim_le(C, num(x, 0), want[i]) == IR_NO)
            return ir_fail(x, "RuntimeError", "expand: invalid size %s", ir_dims_text(C, 1, &want[i]));
        dims[i] = keep ? old : want[i];
        map[i] = i < lead || (ir_dim_is(old, 1) && !ir_dim_is(dims[i], 1)) ? -1 : i - lead;
        if (map[i] >= 0 &&
            !ir_require_broadcast(x, old, dims[i],
                           "The expanded size of the tensor (%s) must match the existing "
                           "size (%s) at non-singleton dimension %d. Target sizes: %s. Tensor sizes: %s",
                           ir_dims_text(C, 1, &dims[i]), ir_dims_text(C, 1, &old), i,
                           ir_dims_text(C, n, want), ir_dims_text(C, self->rank, self->dims)))
            return false;
    }
    *out = dims, *from = map;
    return true;
}

static bool expanded(ir_infer *x, const ir_arg *self, int n, const ir_dim **dims, const int *from) {
    const ir_dim **old = ir_arg_strides(C, self), **strides = ir_dims_new(C, n);
    int lead = n - self->type->rank;
    for (int i = n - 1; i >= 0; i--) {
        if (from[i] >= 0) strides[i] = ir_dim_mul(C, old[from[i]], ir_broadcast_step(C, self->type->dims[from[i]], dims[i]));
        else if (i >= lead || !ir_dim_is(dims[i], 1)) strides[i] = num(x, 0);
        else strides[i] = i + 1 < n ? ir_dim_mul(C, dims[i + 1], strides[i + 1]) : num(x, 1);
    }
    return ir_result_view(x, self->type->dtype, n, dims, strides, num(x, 0));
}

bool ir_rule_expand(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    int n, *from;
    const ir_dim **dims;
    return ir_expand_dims(x, self->type, &n, &dims, &from) && expanded(x, self, n, dims, from);
}

bool ir_rule_expand_with(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self"), *l = ir_arg_named(x, "tensors");
    const ir_dim **dims = ir_dims_new(C, RT_MAX_RANK);
    int n, from[RT_MAX_RANK];
    if (l->kind != A_LIST) return ir_missing(x, "broadcasting a list of unknown length");
    const ir_type **all = RT_ARRAY(&C->arena, const ir_type *, l->n + 1);
    for (int i = 0; i < l->n; i++) all[i] = l->at[i].type;
    all[l->n] = self->type;
    if (!ir_broadcast_dims(x, l->n + 1, all, &n, dims)) return false;
    for (int i = 0; i < n; i++) {
        int d = i - (n - self->type->rank);
        from[i] = d < 0 || (ir_dim_is(self->type->dims[d], 1) && !ir_dim_is(dims[i], 1)) ? -1 : d;
    }
    return expanded(x, self, n, dims, from);
}

/* ------------------------------------------------------------------ select and slice */

/* i, or i + size if i is negative. */
static const ir_dim *wrapped_index(ir_infer *x, const ir_dim *i, const ir_dim *size) {
    int64_t lo, hi;
    ir_dim_range(C, i, &lo, &hi);
    if (lo >= 0) return i;
    if (hi < 0) return ir_dim_add(C, i, size);
    const ir_dim *below = ir_dim_larger(C, ir_dim_sub(C, num(x, 0), i), num(x, 0)); /* how far */
    return ir_dim_add(C, i, ir_dim_mul(C, size, ir_dim_smaller(C, below, num(x, 1))));
}

bool ir_select_index(ir_infer *x, const ir_type *self, int axis, const ir_dim **out) {
    const ir_dim *i = ir_arg_named(x, "index")->dim, *size = self->dims[axis];
    const char *text = ir_fmt(C, "select(): index %s out of range for tensor of size %s at dimension %d",
                              ir_dims_text(C, 1, &i), ir_dims_text(C, self->rank, self->dims), axis);
    *out = wrapped_index(x, i, size);
    if (ir_dim_le(C, num(x, 0), *out) == IR_NO || ir_dim_lt(C, *out, size) == IR_NO)
        return ir_fail(x, "IndexError", "%s", text);
    return ir_require_le(x, num(x, 0), *out, "%s", text) &&
           ir_require_le(x, ir_dim_add(C, *out, num(x, 1)), size, "%s", text);
}

bool ir_rule_select(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    int axis, rank = self->type->rank;
    const ir_dim *index;
    if (!rank) return ir_fail(x, "IndexError", "select() cannot be applied to a 0-dim tensor.");
    if (!ir_arg_axis(x, "dim", rank, &axis) || !ir_select_index(x, self->type, axis, &index)) return false;
    const ir_dim **dims = ir_dims_new(C, rank), **strides = ir_dims_new(C, rank),
                 **old = ir_arg_strides(C, self);
    for (int i = 0, k = 0; i < rank; i++)
        if (i != axis) dims[k] = self->type->dims[i], strides[k++] = old[i];
    return ir_result_view(x, self->type->dtype, rank - 1, dims, strides, ir_dim_mul(C, index, old[axis]));
}

/* A bound of a slice, clamped to 0..size. */
static bool slice_bound(ir_infer *x, const ir_arg *a, const ir_dim *size, const ir_dim **out) {
    int64_t k;
    if (!a) return true;
    if (ir_dim_is_const(a->dim, &k) && (k == INT64_MAX || k == INT64_MIN))
        return *out = k > 0 ? size : num(x, 0), true;
    *out = wrapped_index(x, a->dim, size);
    *out = ir_dim_smaller(C, ir_dim_larger(C, *out, num(x, 0)), size);
    return true;
}

bool ir_arg_step(ir_infer *x, const ir_dim **step) {
    const ir_dim *given = ir_arg_named(x, "step")->dim;
    if (!ir_require_le(x, num(x, 1), given, "%s step must be positive", x->op->name)) return false;
    *step = ir_dim_larger(C, given, num(x, 1)); /* a divisor, also where the guard is not reached yet */
    return true;
}

bool ir_slice_bounds(ir_infer *x, const ir_dim *size, const ir_dim **start, const ir_dim **len,
                     const ir_dim **step) {
    const ir_dim *end = size, *one = num(x, 1);
    *start = num(x, 0);
    if (!ir_arg_step(x, step) || !slice_bound(x, ir_arg_given(x, "start"), size, start) ||
        !slice_bound(x, ir_arg_given(x, "end"), size, &end))
        return false;
    const ir_dim *span = ir_dim_larger(C, ir_dim_sub(C, end, *start), num(x, 0));
    *len = *step == one ? span : ir_dim_floordiv(C, ir_dim_sub(C, ir_dim_add(C, span, *step), one), *step);
    return true;
}

bool ir_rule_slice(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    int axis, rank = self->type->rank;
    const ir_dim *start, *len, *step, **old = ir_arg_strides(C, self);
    if (!rank) return ir_fail(x, "RuntimeError", "slice() cannot be applied to a 0-dim tensor.");
    if (!ir_arg_axis(x, "dim", rank, &axis) ||
        !ir_slice_bounds(x, self->type->dims[axis], &start, &len, &step))
        return false;
    const ir_dim **dims = ir_dims_new(C, rank), **strides = ir_dims_new(C, rank);
    memcpy(dims, self->type->dims, (size_t)rank * sizeof *dims);
    memcpy(strides, old, (size_t)rank * sizeof *strides);
    dims[axis] = len;
    strides[axis] = ir_dim_mul(C, old[axis], step);
    return ir_result_view(x, self->type->dtype, rank, dims, strides, ir_dim_mul(C, start, old[axis]));
}

/* ------------------------------------------------------------------ squeeze, unsqueeze */

bool ir_rule_squeeze(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    const ir_type *t = self->type;
    uint32_t which = ~0u;
    if (ir_arg_given(x, "dim") && !ir_arg_axes(x, "dim", t->rank, &which)) return false;
    const ir_dim **dims = ir_dims_new(C, t->rank), **strides = ir_dims_new(C, t->rank),
                 **old = ir_arg_strides(C, self);
    int n = 0;
    for (int i = 0; i < t->rank; i++) {
        if ((which >> i & 1) && ir_taken_as_one(C, t->dims[i])) {
            if (!ir_require_eq(x, t->dims[i], num(x, 1), "squeeze: dimension %d is of size 1 in the examples", i)) return false;
            continue;
        }
        int64_t size;
        if ((which >> i & 1) && !ir_dim_is_const(t->dims[i], &size) &&
            ir_dim_eq(C, t->dims[i], num(x, 1)) == IR_UNKNOWN &&
            !ir_require_le(x, num(x, 2), t->dims[i], "squeeze: dimension %d is not of size 1", i))
            return false;
        dims[n] = t->dims[i], strides[n++] = old[i];
    }
    return ir_result_view(x, t->dtype, n, dims, strides, num(x, 0));
}

bool ir_rule_unsqueeze(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    const ir_type *t = self->type;
    int axis, n = t->rank + 1;
    if (n > RT_MAX_RANK) return ir_missing(x, "tensors of more than %d dimensions", RT_MAX_RANK);
    if (!ir_arg_axis(x, "dim", n, &axis)) return false;
    const ir_dim **dims = ir_dims_new(C, n), **strides = ir_dims_new(C, n), **old = ir_arg_strides(C, self);
    for (int i = 0; i < n; i++) {
        if (i == axis)
            dims[i] = num(x, 1), strides[i] = i < t->rank ? ir_dim_mul(C, t->dims[i], old[i]) : num(x, 1);
        else dims[i] = t->dims[i - (i > axis)], strides[i] = old[i - (i > axis)];
    }
    return ir_result_view(x, t->dtype, n, dims, strides, num(x, 0));
}

/* ------------------------------------------------------------------ diagonal, unfold, as_strided */

void ir_diagonal_offset(ir_infer *x, const ir_dim **down, const ir_dim **right) {
    const ir_dim *offset = ir_arg_named(x, "offset")->dim;
    *right = ir_dim_larger(C, offset, num(x, 0));
    *down = ir_dim_sub(C, *right, offset);
}

bool ir_diagonal_of(ir_infer *x, const ir_type *self, ir_diagonal *d) {
    if (!ir_arg_axis(x, "dim1", self->rank, &d->d1) || !ir_arg_axis(x, "dim2", self->rank, &d->d2))
        return false;
    if (d->d1 == d->d2 || self->rank < 2)
        return ir_fail(x, "RuntimeError", "diagonal dimensions cannot be identical %d, %d", d->d1, d->d2);
    ir_diagonal_offset(x, &d->down, &d->right);
    const ir_dim *a = ir_dim_sub(C, self->dims[d->d1], d->down), *b = ir_dim_sub(C, self->dims[d->d2], d->right);
    d->len = ir_dim_larger(C, ir_dim_smaller(C, a, b), num(x, 0));
    return true;
}

bool ir_rule_diagonal(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    const ir_type *t = self->type;
    ir_diagonal d;
    if (!ir_diagonal_of(x, t, &d)) return false;
    const ir_dim **dims = ir_dims_new(C, t->rank), **strides = ir_dims_new(C, t->rank),
                 **old = ir_arg_strides(C, self);
    int n = 0;
    for (int i = 0; i < t->rank; i++)
        if (i != d.d1 && i != d.d2) dims[n] = t->dims[i], strides[n++] = old[i];
    dims[n] = d.len, strides[n++] = ir_dim_add(C, old[d.d1], old[d.d2]);
    const ir_dim *offset = num(x, 0);
    if (!ir_dim_is(d.len, 0))
        offset = ir_dim_add(C, ir_dim_mul(C, d.right, old[d.d2]), ir_dim_mul(C, d.down, old[d.d1]));
    return ir_result_view(x, t->dtype, n, dims, strides, offset);
}

bool ir_rule_unfold(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self");
    const ir_type *t = self->type;
    int axis, n = t->rank;
    const ir_dim *step;
    if (!ir_arg_axis(x, "dimension", n, &axis) || !ir_arg_step(x, &step)) return false;
    const ir_dim *size = ir_arg_named(x, "size")->dim, *full = n ? t->dims[axis] : num(x, 1);
    if (!ir_require_le(x, num(x, 0), size, "size is %s but must be >= 0", ir_dims_text(C, 1, &size)) ||
        !ir_require_le(x, size, full, "maximum size for tensor at dimension %d is %s but size is %s", axis,
                       ir_dims_text(C, 1, &full), ir_dims_text(C, 1, &size)))
        return false;
    const ir_dim **dims = ir_dims_new(C, n + 1), **strides = ir_dims_new(C, n + 1),
                 **old = ir_arg_strides(C, self);
    for (int i = 0; i < n; i++) dims[i] = t->dims[i], strides[i] = old[i];
    if (n) {
        dims[axis] = ir_dim_add(C, ir_dim_floordiv(C, ir_dim_sub(C, full, size), step), num(x, 1));
        strides[axis] = ir_dim_mul(C, old[axis], step);
    }
    dims[n] = size, strides[n] = n ? old[axis] : num(x, 1);
    return ir_result_view(x, t->dtype, n + 1, dims, strides, num(x, 0));
}

/* Largest offset, from element 0, that a strided view touches; NULL: it is empty. */
static const ir_dim *extent(ir_infer *x, int n, const ir_dim *const *dims, const ir_dim *const *strides) {
    const ir_dim *last = num(x, 0);
    for (int i = 0; i < n; i++) {
        if (ir_dim_is(dims[i], 0)) return NULL;
        last = ir_dim_add(C, last, ir_dim_mul(C, ir_dim_sub(C, dims[i], num(x, 1)), strides[i]));
    }
    return last;
}

/* The view must stay within what self itself reaches: how much more its storage holds is not known here. */
static bool as_strided_fits(ir_infer *x, const ir_arg *self, int n, const ir_dim **dims,
                            const ir_dim **strides, const ir_dim *offset) {
    const ir_dim *last = extent(x, n, dims, strides);
    const ir_dim *own = extent(x, self->type->rank, self->type->dims, ir_arg_strides(C, self));
    if (!last) return true;
    if (!own) own = num(x, -1);
    const ir_dim *size = ir_dim_add(C, own, num(x, 1));
    return ir_require_le(
        x, ir_dim_add(C, last, offset), own,
        "setStorage: sizes %s, strides %s, storage offset %s are out of bounds for storage of size %s",
        ir_dims_text(C, n, dims), ir_dims_text(C, n, strides), ir_dims_text(C, 1, &offset),
        ir_dims_text(C, 1, &size));
}

bool ir_rule_as_strided(ir_infer *x) {
    const ir_arg *self = ir_arg_named(x, "self"), *at = ir_arg_given(x, "storage_offset");
    int n, m;
    const ir_dim **dims, **strides, *offset = num(x, 0);
    if (!ir_arg_ints(x, "size", &n, &dims) || !ir_arg_ints(x, "stride", &m, &strides)) return false;
    if (n != m) return ir_fail(x, "RuntimeError", "mismatch in length of strides and shape");
    if (n > RT_MAX_RANK) return ir_missing(x, "tensors of more than %d dimensions", RT_MAX_RANK);
    if (self->strides && !self->offset)
        return ir_missing(x, "as_strided of a view whose place in its storage is not known");
    for (int i = 0; i < n; i++)
        if (!ir_require_le(x, num(x, 0), dims[i], "as_strided: negative size") ||
            !ir_require_le(x, num(x, 0), strides[i],
                           "as_strided: Negative strides are not supported at the moment"))
            return false;
    if (at) {
        if (!ir_require_le(x, num(x, 0), at->dim, "as_strided: negative storage offset")) return false;
        offset = self->offset ? ir_dim_sub(C, at->dim, self->offset) : at->dim;
    }
    if (!as_strided_fits(x, self, n, dims, strides, offset)) return false;
    return ir_result_view(x, self->type->dtype, n, dims, strides, offset);
}
