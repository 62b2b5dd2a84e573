/* rules.c: shape rules of MOVE rows, and what all rules share (rules.h).
 *
 * A rule checks what PyTorch checks, in its words, and gives the type of the result.  Sizes stay symbolic;
 * what must hold and is not proven becomes a guard by ir_require_eq / ir_require_le. */
#include "ir/rules.h"

#include <math.h>

#define C (x->c)

static const ir_dim *num(ir_infer *x, int64_t k) { return ir_dim_const(C, k); }

/* ------------------------------------------------------------------ shared by all rules */

const ir_arg *ir_arg_given(const ir_infer *x, const char *name) {
    const ir_schema *s = x->op->schema;
    for (int i = 0; i < s->nparams && i < x->nargs; i++)
        if (!strcmp(s->params[i].name, name)) return x->args[i].kind == A_NONE ? NULL : &x->args[i];
    return NULL;
}

const ir_type *ir_arg_tensor(const ir_infer *x, const char *name) { return ir_arg_named(x, name)->type; }

bool ir_missing(ir_infer *x, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    x->error = rt_arena_vfmt(&C->arena, fmt, ap);
    x->error_cls = NULL;
    va_end(ap);
    return false;
}

bool ir_wrap_axis(ir_infer *x, int64_t axis, int rank, int *out) {
    int64_t n = rank > 0 ? rank : 1;
    if (axis < -n || axis >= n)
        return ir_fail(x, "IndexError",
                       "Dimension out of range (expected to be in range of [%lld, %lld], but got %lld)",
                       (long long)-n, (long long)n - 1, (long long)axis);
    *out = (int)(axis < 0 ? axis + n : axis);
    return true;
}

bool ir_arg_axis(ir_infer *x, const char *name, int rank, int *out) {
    int64_t axis;
    if (!ir_arg_const_int(x, name, &axis))
        return ir_missing(x, "%s: '%s' must be constant", x->op->full, name);
    return ir_wrap_axis(x, axis, rank, out);
}

bool ir_arg_axes(ir_infer *x, const char *name, int rank, uint32_t *set) {
    int n;
    int64_t *at;
    *set = 0;
    if (!ir_arg_const_ints(x, name, &n, &at)) return false;
    for (int i = 0; i < n; i++) {
        int axis;
        if (!ir_wrap_axis(x, at[i], rank, &axis)) return false;
        if (*set >> axis & 1)
            return ir_fail(x, "RuntimeError", "dim %d appears multiple times in the list of dims", axis);
        *set |= 1u << axis;
    }
    return true;
}

bool ir_arg_ints(ir_infer *x, const char *name, int *n, const ir_dim ***out) {
    const ir_arg *a = ir_arg_given(x, name);
    *n = 0, *out = NULL;
    if (!a) return true;
    if (a->kind == A_INT && a->dim) {
        *n = 1, *out = ir_dims_new(C, 1);
        return (*out)[0] = a->dim, true;
    }
    if (a->kind != A_LIST) return ir_missing(x, "%s: the length of '%s' is not known", x->op->full, name);
    *n = a->n, *out = ir_dims_new(C, a->n);
    for (int i = 0; i < a->n; i++) {
        if (a->at[i].kind != A_INT || !a->at[i].dim)
            return ir_missing(x, "%s: '%s' holds something that is no known int", x->op->full, name);
        (*out)[i] = a->at[i].dim;
    }
    return true;
}

bool ir_arg_const_ints(ir_infer *x, const char *name, int *n, int64_t **out) {
    const ir_dim **dims;
    if (!ir_arg_ints(x, name, n, &dims)) return false;
    *out = RT_ARRAY(&C->arena, int64_t, *n + 1);
    for (int i = 0; i < *n; i++)
        if (!ir_dim_is_const(dims[i], &(*out)[i]))
            return ir_missing(x, "%s: '%s' must be constant", x->op->full, name);
    return true;
}

bool ir_arg_bool(ir_infer *x, const char *name, bool *out) {
    const ir_arg *a = ir_arg_named(x, name);
    *out = a->kind == A_BOOL && a->i;
    if (a->kind == A_NONE || (a->kind == A_BOOL && a->known)) return true;
    return ir_missing(x, "%s: '%s' must be constant", x->op->full, name);
}

bool ir_arg_str(ir_infer *x, const char *name, const char **out) {
    const ir_arg *a = ir_arg_given(x, name);
    *out = a && a->kind == A_STR && a->known ? a->s : NULL;
    return !a || *out || ir_missing(x, "%s: '%s' must be constant", x->op->full, name);
}

const ir_dim **ir_dims_new(ir_context *c, int n) { return RT_ARRAY(&c->arena, const ir_dim *, n + 1); }

const ir_dim *ir_numel(ir_context *c, int rank, const ir_dim *const *dims) {
    const ir_dim *n = ir_dim_const(c, 1);
    for (int i = 0; i < rank; i++) n = ir_dim_mul(c, n, dims[i]);
    return n;
}

const ir_dim **ir_contiguous_strides(ir_context *c, int rank, const ir_dim *const *dims) {
    const ir_dim **s = ir_dims_new(c, rank), *step = ir_dim_const(c, 1);
    for (int i = rank - 1; i >= 0; i--) {
        int64_t k;
        s[i] = step;
        if (!ir_dim_is_const(dims[i], &k) || k > 1) step = ir_dim_mul(c, step, dims[i]);
    }
    return s;
}

const ir_dim **ir_arg_strides(ir_context *c, const ir_arg *t) {
    return t->strides ? t->strides : ir_contiguous_strides(c, t->type->rank, t->type->dims);
}

const ir_dim *ir_dim_smaller(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (ir_dim_le(c, a, b) == IR_YES) return a;
    return ir_dim_le(c, b, a) == IR_YES ? b : ir_dim_min(c, a, b);
}
const ir_dim *ir_dim_larger(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (ir_dim_le(c, a, b) == IR_YES) return b;
    return ir_dim_le(c, b, a) == IR_YES ? a : ir_dim_max(c, a, b);
}

const char *ir_dims_text(ir_context *c, int n, const ir_dim *const *dims) {
    rt_text t = {0};
    if (n != 1) rt_text_str(&t, "[");
    for (int i = 0; i < n; i++) {
        if (i) rt_text_str(&t, ", ");
        ir_dim_print(&t, dims[i]);
    }
    if (n != 1) rt_text_str(&t, "]");
    const char *s = rt_arena_str(&c->arena, t.s ? t.s : "", t.n);
    rt_text_free(&t);
    return s;
}

bool ir_is_int(rt_dtype d) { return d >= 0 && (rt_dtypes[d].kind == 'I' || rt_dtypes[d].kind == 'U'); }
bool ir_is_float(rt_dtype d) { return d >= 0 && rt_dtypes[d].kind == 'F'; }

bool ir_result_at(ir_infer *x, int k, rt_dtype dtype, int rank, const ir_dim *const *dims) {
    if (rank > RT_MAX_RANK) return ir_missing(x, "tensors of more than %d dimensions", RT_MAX_RANK);
    x->res[k] = ir_type_tensor(C, dtype, rank, dims);
    x->strides[k] = NULL;
    if (x->nres <= k) x->nres = k + 1;
    return true;
}
bool ir_result(ir_infer *x, rt_dtype dtype, int rank, const ir_dim *const *dims) {
    return ir_result_at(x, 0, dtype, rank, dims);
}
bool ir_result_view(ir_infer *x, rt_dtype dtype, int rank, const ir_dim *const *dims, const ir_dim **strides,
                    const ir_dim *offset) {
    if (!ir_result(x, dtype, rank, dims)) return false;
    x->strides[0] = strides;
    x->offset = offset;
    return true;
}

/* ------------------------------------------------------------------ copies of the same or a joined shape */

static const ir_type *self_of(ir_infer *x) { return x->args[0].type; }

bool ir_rule_same(ir_infer *x) {
    const ir_type *t = self_of(x);
    return ir_result(x, t->dtype, t->rank, t->dims);
}

/* cat skips tensors of shape [0], whatever the rank of the others. */
static bool is_legacy_empty(const ir_type *t) {
    int64_t k;
    return t->rank == 1 && ir_dim_is_const(t->dims[0], &k) && k == 0;
}

static bool cat_add(ir_infer *x, const ir_type *t, int k, int axis, int rank, const ir_dim **dims) {
    if (t->rank != rank)
        return ir_fail(x, "RuntimeError", "Tensors must have same number of dimensions: got %d and %d", rank,
                       t->rank);
    for (int d = 0; d < rank; d++)
        if (d == axis) dims[d] = ir_dim_add(C, dims[d], t->dims[d]);
        else if (!ir_require_eq(x, dims[d], t->dims[d],
                                "Sizes of tensors must match except in dimension %d. Expected size "
                                "%s but got size %s for tensor number %d in the list.",
                                axis, ir_dims_text(C, 1, &dims[d]), ir_dims_text(C, 1, &t->dims[d]), k))
            return false;
    return true;
}

bool ir_rule_cat(ir_infer *x) {
    const ir_arg *l = ir_arg_named(x, "tensors");
    if (l->kind != A_LIST) return ir_missing(x, "cat: the number of tensors is not known");
    if (!l->n) return ir_fail(x, "RuntimeError", "torch.cat(): expected a non-empty list of Tensors");
    rt_dtype dtype = DT_NONE;
    const ir_type *first = NULL;
    for (int i = 0; i < l->n; i++) {
        const ir_type *t = l->at[i].type;
        if (!t->rank)
            return ir_fail(x, "RuntimeError",
                           "zero-dimensional tensor (at position %d) cannot be concatenated", i);
        dtype = i ? rt_promote(dtype, t->dtype) : t->dtype;
        if (!first && !is_legacy_empty(t)) first = t;
    }
    if (!first) first = l->at[0].type;
    int axis, rank = first->rank;
    const ir_dim **dims = ir_dims_new(C, rank);
    if (!ir_arg_axis(x, "dim", rank, &axis)) return false;
    memcpy(dims, first->dims, (size_t)rank * sizeof *dims);
    dims[axis] = num(x, 0);
    for (int i = 0; i < l->n; i++)
        if (!is_legacy_empty(l->at[i].type) && !cat_add(x, l->at[i].type, i, axis, rank, dims)) return false;
    return ir_result(x, dtype, rank, dims);
}

/* ------------------------------------------------------------------ pads */

bool ir_pads_of(ir_infer *x, const char *name, const ir_type *self, const ir_dim ***before,
                const ir_dim ***after) {
    int n;
    const ir_dim **pad;
    if (!ir_arg_ints(x, name, &n, &pad)) return false;
    if (n % 2) return ir_fail(x, "RuntimeError", "Length of pad must be even but instead it equals %d", n);
    if (n / 2 > self->rank)
        return ir_fail(x, "RuntimeError",
                       "Length of pad should be no more than twice the number of dimensions of the "
                       "input. Pad length is %d while the input has %d dimensions.",
                       n, self->rank);
    *before = ir_dims_new(C, self->rank), *after = ir_dims_new(C, self->rank);
    for (int d = 0; d < self->rank; d++) {
        int k = 2 * (self->rank - 1 - d);
        (*before)[d] = k < n ? pad[k] : num(x, 0);
        (*after)[d] = k < n ? pad[k + 1] : num(x, 0);
    }
    return true;
}

static bool padded(ir_infer *x, const char *name, const char *limit) {
    const ir_type *t = self_of(x);
    const ir_dim **before, **after, **dims = ir_dims_new(C, t->rank);
    if (!ir_pads_of(x, name, t, &before, &after)) return false;
    for (int d = 0; d < t->rank; d++) {
        const ir_dim *n = t->dims[d];
        dims[d] = ir_dim_add(C, n, ir_dim_add(C, before[d], after[d]));
        if (before[d] == num(x, 0) && after[d] == num(x, 0)) continue;
        const char *text =
            ir_fmt(C,
                   "The input size %s, plus padding %s and %s, resulted in a negative output size for "
                   "dimension %d",
                   ir_dims_text(C, 1, &n), ir_dims_text(C, 1, &before[d]), ir_dims_text(C, 1, &after[d]), d);
        if (!ir_require_le(x, num(x, 0), dims[d], "%s", text)) return false;
        if (!limit) continue;
        const ir_dim *most = *limit == '<' ? ir_dim_sub(C, n, num(x, 1)) : n;
        if (*limit == '1') {
            if (!ir_require_le(x, num(x, 1), n, "Expected a non-empty dimension %d to pad", d)) return false;
        } else if (!ir_require_le(x, before[d], most,
                                  "Padding size should be less than the corresponding input dimension, "
                                  "but got: padding (%s, %s) at dimension %d of input %s",
                                  ir_dims_text(C, 1, &before[d]), ir_dims_text(C, 1, &after[d]), d,
                                  ir_dims_text(C, t->rank, t->dims)) ||
                   !ir_require_le(x, after[d], most,
                                  "Padding size should be less than the corresponding input dimension, "
                                  "but got: padding (%s, %s) at dimension %d of input %s",
                                  ir_dims_text(C, 1, &before[d]), ir_dims_text(C, 1, &after[d]), d,
                                  ir_dims_text(C, t->rank, t->dims)))
            return false;
    }
    return ir_result(x, t->dtype, t->rank, dims);
}

static const char *pad_name(const ir_infer *x) { return ir_arg_given(x, "pad") ? "pad" : "padding"; }
bool ir_rule_pad(ir_infer *x) { return padded(x, "pad", NULL); }
bool ir_rule_pad_reflect(ir_infer *x) { return padded(x, pad_name(x), "<"); }
bool ir_rule_pad_replicate(ir_infer *x) { return padded(x, pad_name(x), "1"); }
bool ir_rule_pad_circular(ir_infer *x) { return padded(x, "pad", "="); }

/* ------------------------------------------------------------------ flip, roll, repeat, diag_embed */

bool ir_rule_flip(ir_infer *x) {
    uint32_t set;
    return ir_arg_axes(x, "dims", self_of(x)->rank, &set) && ir_rule_same(x);
}

bool ir_rule_roll(ir_infer *x) {
    int n, m;
    const ir_dim **shifts;
    int64_t *dims;
    if (!ir_arg_ints(x, "shifts", &n, &shifts) || !ir_arg_const_ints(x, "dims", &m, &dims)) return false;
    if (!n) return ir_fail(x, "RuntimeError", "`shifts` required");
    if (!m && n == 1) return ir_rule_same(x);
    if (n != m)
        return ir_fail(x, "RuntimeError", "shifts and dimensions must align. shifts: %d, dims: %d", n, m);
    for (int i = 0, axis; i < m; i++)
        if (!ir_wrap_axis(x, dims[i], self_of(x)->rank, &axis)) return false;
    return ir_rule_same(x);
}

bool ir_rule_repeat(ir_infer *x) {
    const ir_type *t = self_of(x);
    int n;
    const ir_dim **times;
    if (!ir_arg_ints(x, "repeats", &n, &times)) return false;
    if (n < t->rank)
        return ir_fail(x, "RuntimeError",
                       "Number of dimensions of repeat dims can not be smaller than number of "
                       "dimensions of tensor");
    const ir_dim **dims = ir_dims_new(C, n);
    for (int i = 0; i < n; i++) {
        if (!ir_require_le(x, num(x, 0), times[i], "Trying to create tensor with negative dimension %s",
                           ir_dims_text(C, 1, &times[i])))
            return false;
        dims[i] = i < n - t->rank ? times[i] : ir_dim_mul(C, times[i], t->dims[i - (n - t->rank)]);
    }
    return ir_result(x, t->dtype, n, dims);
}

bool ir_rule_repeat_interleave(ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_dim *times = ir_arg_named(x, "repeats")->dim, *total;
    if (!ir_require_le(x, num(x, 0), times, "repeats can not be negative")) return false;
    int axis = 0, rank = t->rank;
    if (!ir_arg_given(x, "dim")) {
        total = ir_dim_mul(C, ir_numel(C, t->rank, t->dims), times);
        return ir_result(x, t->dtype, 1, &total);
    }
    if (!ir_arg_axis(x, "dim", rank, &axis)) return false;
    if (!rank) return ir_result(x, t->dtype, 1, &times);
    const ir_dim **dims = ir_dims_new(C, rank);
    memcpy(dims, t->dims, (size_t)rank * sizeof *dims);
    dims[axis] = ir_dim_mul(C, dims[axis], times);
    return ir_result(x, t->dtype, rank, dims);
}

bool ir_rule_diag_embed(ir_infer *x) {
    const ir_type *t = self_of(x);
    int n = t->rank + 1, a, b;
    const ir_dim *down, *right;
    if (!t->rank)
        return ir_fail(x, "RuntimeError", "diag_embed: expected a tensor of at least one dimension");
    if (!ir_arg_axis(x, "dim1", n, &a) || !ir_arg_axis(x, "dim2", n, &b)) return false;
    if (a == b) return ir_fail(x, "RuntimeError", "diagonal dimensions cannot be identical %d, %d", a, b);
    const ir_dim **dims = ir_dims_new(C, n);
    ir_diagonal_offset(x, &down, &right);
    const ir_dim *side = ir_dim_add(C, t->dims[t->rank - 1], ir_dim_add(C, down, right));
    for (int i = 0, k = 0; i < n; i++) dims[i] = i == a || i == b ? side : t->dims[k++];
    return ir_result(x, t->dtype, n, dims);
}

/* ------------------------------------------------------------------ im2col, col2im */

/* Reads int[2] parameters; one value stands for both. */
static bool int_pair(ir_infer *x, const char *name, int64_t out[2], int64_t least) {
    int n;
    int64_t *at;
    if (!ir_arg_const_ints(x, name, &n, &at)) return false;
    if (n != 1 && n != 2)
        return ir_fail(x, "RuntimeError", "%s: It is expected %s equals to 2, but got size %d", x->op->name,
                       name, n);
    out[0] = at[0], out[1] = at[n - 1];
    if (out[0] < least || out[1] < least)
        return ir_fail(x, "RuntimeError", "%s: %s should be at least %lld", x->op->name, name,
                       (long long)least);
    return true;
}

static bool window_steps(ir_infer *x, const ir_dim *const size[2], const int64_t kernel[2],
                         const ir_dim *out[2]) {
    int64_t dilation[2], padding[2], stride[2];
    if (!int_pair(x, "dilation", dilation, 1) || !int_pair(x, "padding", padding, 0) ||
        !int_pair(x, "stride", stride, 1))
        return false;
    for (int i = 0; i < 2; i++) {
        const ir_dim *span =
            ir_dim_add(C, size[i], num(x, 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1));
        if (!ir_require_le(x, num(x, 0), span,
                           "%s: calculated shape of the array of sliding blocks is not positive",
                           x->op->name))
            return false;
        out[i] = ir_dim_add(C, ir_dim_floordiv(C, span, num(x, stride[i])), num(x, 1));
    }
    return true;
}

bool ir_rule_im2col(ir_infer *x) {
    const ir_type *t = self_of(x);
    int64_t kernel[2];
    const ir_dim *steps[2], *dims[3];
    if (t->rank != 3 && t->rank != 4)
        return ir_fail(x, "RuntimeError", "Expected 3D or 4D (batch mode) tensor for input, but got %dD",
                       t->rank);
    if (!int_pair(x, "kernel_size", kernel, 1) || !window_steps(x, t->dims + t->rank - 2, kernel, steps))
        return false;
    int k = t->rank - 3;
    dims[0] = t->dims[0];
    dims[k] = ir_dim_mul(C, t->dims[k], num(x, kernel[0] * kernel[1]));
    dims[k + 1] = ir_dim_mul(C, steps[0], steps[1]);
    return ir_result(x, t->dtype, k + 2, dims);
}

bool ir_rule_col2im(ir_infer *x) {
    const ir_type *t = self_of(x);
    int64_t kernel[2];
    int n;
    const ir_dim *steps[2], **size, *dims[4];
    if (t->rank != 2 && t->rank != 3)
        return ir_fail(x, "RuntimeError", "Expected 2D or 3D (batch mode) tensor for input, but got %dD",
                       t->rank);
    if (!ir_arg_ints(x, "output_size", &n, &size) || !int_pair(x, "kernel_size", kernel, 1)) return false;
    if (n != 2)
        return ir_fail(x, "RuntimeError", "It is expected output_size equals to 2, but got size %d", n);
    if (!window_steps(x, size, kernel, steps)) return false;
    int k = t->rank - 2;
    const ir_dim *area = num(x, kernel[0] * kernel[1]), *channels = ir_dim_floordiv(C, t->dims[k], area);
    if (!ir_require_eq(
            x, ir_dim_mul(C, channels, area), t->dims[k],
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size") ||
        !ir_require_eq(
            x, t->dims[k + 1], ir_dim_mul(C, steps[0], steps[1]),
            "Given output_size, kernel_size, dilation, padding, stride, expected size of input's dimension 2 "
            "to match the calculated number of sliding blocks"))
        return false;
    dims[0] = t->dims[0];
    dims[k] = channels, dims[k + 1] = size[0], dims[k + 2] = size[1];
    return ir_result(x, t->dtype, k + 3, dims);
}

/* ------------------------------------------------------------------ advanced indexing */

static bool is_index_dtype(ir_infer *x, const ir_type *t, const char *what) {
    if (t->dtype == DT_I64 || t->dtype == DT_I32) return true;
    return ir_fail(x, "RuntimeError", "%s: Expected dtype int32/int64 for %s", x->op->name, what);
}

static bool indexing_tensors(ir_infer *x, const ir_type *self, const ir_arg *l, ir_indexing *out) {
    const ir_type *types[RT_MAX_RANK];
    int n = 0;
    for (int i = 0; i < l->n; i++) {
        const ir_arg *a = &l->at[i];
        if (a->kind == A_NONE) continue;
        if (a->kind != A_TENSOR)
            return ir_missing(x, "%s: an index that may or may not be None", x->op->full);
        if (a->type->dtype == DT_BOOL || a->type->dtype == DT_U8)
            return ir_missing(x, "%s: a mask among the indices", x->op->full);
        if (!ir_is_int(a->type->dtype))
            return ir_fail(x, "IndexError",
                           "tensors used as indices must be long, int, byte or bool tensors");
        if (i >= self->rank)
            return ir_fail(x, "IndexError", "too many indices for tensor of dimension %d (got %d)",
                           self->rank, l->n);
        out->at[i] = a;
        types[n++] = a->type;
    }
    if (!n) return true;
    out->bdims = ir_dims_new(C, RT_MAX_RANK);
    return ir_broadcast_dims(x, n, types, &out->nb, out->bdims);
}

bool ir_indexing_of(ir_infer *x, const ir_type *self, ir_indexing *out) {
    const ir_arg *l = ir_arg_named(x, "indices");
    *out = (ir_indexing){.nself = self->rank};
    if (l->kind != A_LIST) return ir_missing(x, "%s: the number of indices is not known", x->op->full);
    if (!indexing_tensors(x, self, l, out)) return false;
    int first = -1, last = -1, count = 0;
    for (int d = 0; d < self->rank; d++)
        if (out->at[d]) first = first < 0 ? d : first, last = d, count++;
    out->place = count && last - first + 1 == count ? first : 0;
    out->rank = self->rank - count + out->nb;
    if (out->rank > RT_MAX_RANK) return ir_missing(x, "tensors of more than %d dimensions", RT_MAX_RANK);
    out->dims = ir_dims_new(C, out->rank);
    int d = 0;
    for (int i = 0; i < out->rank; i++) {
        if (i >= out->place && i < out->place + out->nb) {
            out->dims[i] = out->bdims[i - out->place];
            continue;
        }
        while (d < self->rank && out->at[d]) d++;
        out->dims[i] = self->dims[d++];
    }
    return true;
}

bool ir_rule_index(ir_infer *x) {
    ir_indexing g;
    return ir_indexing_of(x, self_of(x), &g) && ir_result(x, self_of(x)->dtype, g.rank, g.dims);
}

bool ir_rule_index_put(ir_infer *x) {
    const ir_type *self = self_of(x), *v = ir_arg_tensor(x, "values");
    ir_indexing g;
    if (!ir_indexing_of(x, self, &g)) return false;
    if (v->dtype != self->dtype)
        return ir_fail(x, "RuntimeError",
                       "Index put requires the source and destination dtypes match, got %s for the "
                       "destination and %s for the source.",
                       rt_dtypes[self->dtype].name, rt_dtypes[v->dtype].name);
    int lead = v->rank - g.rank;
    for (int i = 0; i < v->rank; i++) {
        int64_t k;
        if (ir_dim_is_const(v->dims[i], &k) && k == 1) continue;
        if (!ir_require_broadcast(
                x, v->dims[i], i < lead ? num(x, 1) : g.dims[i - lead],
                "shape mismatch: value tensor of shape %s cannot be broadcast to indexing result of shape %s",
                ir_dims_text(C, v->rank, v->dims), ir_dims_text(C, g.rank, g.dims)))
            return false;
    }
    return ir_rule_same(x);
}

bool ir_rule_index_select(ir_infer *x) {
    const ir_type *t = self_of(x), *index = ir_arg_tensor(x, "index");
    int axis;
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !is_index_dtype(x, index, "index")) return false;
    if (index->rank > 1) return ir_fail(x, "IndexError", "index_select(): Index is supposed to be a vector");
    const ir_dim *n = index->rank ? index->dims[0] : num(x, 1);
    if (!t->rank)
        return ir_require_eq(x, n, num(x, 1), "index_select(): Index to scalar can have only 1 value") &&
               ir_rule_same(x);
    const ir_dim **dims = ir_dims_new(C, t->rank);
    memcpy(dims, t->dims, (size_t)t->rank * sizeof *dims);
    dims[axis] = n;
    return ir_result(x, t->dtype, t->rank, dims);
}

static int rank1(const ir_type *t) { return t->rank ? t->rank : 1; }
static const ir_dim *dim1(ir_infer *x, const ir_type *t, int d) { return t->rank ? t->dims[d] : num(x, 1); }

/* index no larger than `other` in all dims but axis (axis -1: in all). */
static bool index_within(ir_infer *x, const ir_type *index, const ir_type *other, int axis,
                         const char *what) {
    if (rank1(index) != rank1(other))
        return ir_fail(x, "RuntimeError", "Index tensor must have the same number of dimensions as %s tensor",
                       what);
    for (int d = 0; d < rank1(index); d++)
        if (d != axis &&
            !ir_require_le(x, dim1(x, index, d), dim1(x, other, d),
                           "Size does not match at dimension %d expected index %s to be no larger than %s %s "
                           "apart from dimension %d",
                           d, ir_dims_text(C, index->rank, index->dims), what,
                           ir_dims_text(C, other->rank, other->dims), axis))
            return false;
    return true;
}

static bool is_empty(ir_infer *x, const ir_type *t) {
    int64_t k;
    return ir_dim_is_const(ir_numel(C, t->rank, t->dims), &k) && k == 0;
}

bool ir_rule_gather(ir_infer *x) {
    const ir_type *t = self_of(x), *index = ir_arg_tensor(x, "index");
    int axis;
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    if (!is_empty(x, index) &&
        (!is_index_dtype(x, index, "index") || !index_within(x, index, t, axis, "input")))
        return false;
    return ir_result(x, t->dtype, index->rank, index->dims);
}

bool ir_rule_take_along_dim(ir_infer *x) {
    const ir_type *t = self_of(x), *index = ir_arg_tensor(x, "indices");
    int axis;
    if (!is_index_dtype(x, index, "indices")) return false;
    if (!ir_arg_given(x, "dim")) {
        const ir_dim *n = ir_numel(C, index->rank, index->dims);
        return ir_result(x, t->dtype, 1, &n);
    }
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    if (index->rank != t->rank)
        return ir_fail(x, "RuntimeError",
                       "torch.take_along_dim(): input and indices should have the same number of "
                       "dimensions, but got %d dimensions for input, and %d dimensions for indices",
                       t->rank, index->rank);
    const ir_dim **dims = ir_dims_new(C, t->rank), **a = ir_dims_new(C, t->rank);
    memcpy(a, t->dims, (size_t)t->rank * sizeof *a);
    if (t->rank) a[axis] = index->dims[axis];
    const ir_type *both[2] = {ir_type_tensor(C, t->dtype, t->rank, a), index};
    int rank;
    return ir_broadcast_dims(x, 2, both, &rank, dims) && ir_result(x, t->dtype, rank, dims);
}

bool ir_rule_take(ir_infer *x) {
    const ir_type *index = ir_arg_tensor(x, "index");
    return is_index_dtype(x, index, "index") && ir_result(x, self_of(x)->dtype, index->rank, index->dims);
}

bool ir_rule_embedding(ir_infer *x) {
    const ir_type *w = ir_arg_tensor(x, "weight"), *index = ir_arg_tensor(x, "indices");
    if (w->rank != 2) return ir_fail(x, "RuntimeError", "'weight' must be 2-D");
    if (!is_index_dtype(x, index, "indices")) return false;
    const ir_dim **dims = ir_dims_new(C, index->rank + 1);
    memcpy(dims, index->dims, (size_t)index->rank * sizeof *dims);
    dims[index->rank] = w->dims[1];
    return ir_result(x, w->dtype, index->rank + 1, dims);
}

/* ------------------------------------------------------------------ writes */

static bool same_dtype(ir_infer *x, const ir_type *a, const ir_type *b) {
    if (a->dtype == b->dtype) return true;
    return ir_fail(x, "RuntimeError", "%s(): Expected self.dtype to be equal to src.dtype, got %s and %s",
                   x->op->name, rt_dtypes[a->dtype].name, rt_dtypes[b->dtype].name);
}

static bool known_reduce(ir_infer *x) {
    static const char *const names[] = {"sum", "prod", "mean", "amax", "amin", "add", "multiply"};
    const char *s;
    if (!ir_arg_given(x, "reduce")) return true;
    if (!ir_arg_str(x, "reduce", &s)) return false;
    for (int i = 0; i < (int)RT_COUNT(names); i++)
        if (!strcmp(s, names[i])) return true;
    return ir_fail(x, "RuntimeError", "reduce argument must be either sum, prod, mean, amax or amin, got %s",
                   s);
}

bool ir_rule_put(ir_infer *x) {
    const ir_type *index = ir_arg_tensor(x, "index"), *src = ir_arg_tensor(x, "source");
    return is_index_dtype(x, index, "index") && same_dtype(x, self_of(x), src) &&
           ir_require_eq(x, ir_numel(C, index->rank, index->dims), ir_numel(C, src->rank, src->dims),
                         "put_(): Expected source and index to have the same number of elements") &&
           ir_rule_same(x);
}

bool ir_rule_index_write(ir_infer *x) {
    const ir_type *t = self_of(x), *index = ir_arg_tensor(x, "index"), *src = ir_arg_tensor(x, "source");
    int axis;
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !is_index_dtype(x, index, "index") ||
        !same_dtype(x, t, src) || !known_reduce(x))
        return false;
    if (index->rank > 1)
        return ir_fail(x, "IndexError", "%s(): Index is supposed to be a vector", x->op->name);
    if (t->rank != src->rank && (t->rank || rank1(src) != 1) && (src->rank || rank1(t) != 1))
        return ir_fail(x, "RuntimeError",
                       "%s(): Source and destination must have the same number of dimensions", x->op->name);
    const ir_dim *n = dim1(x, index, 0);
    for (int d = 0; d < rank1(src); d++)
        if (!ir_require_eq(x, dim1(x, src, d), d == axis ? n : dim1(x, t, d),
                           d == axis ? "%s(): Number of indices should be equal to source.size(dim)"
                                     : "%s(): Source/destination tensor must have same slice shapes",
                           x->op->name))
            return false;
    return ir_rule_same(x);
}

bool ir_rule_index_fill(ir_infer *x) {
    const ir_type *index = ir_arg_tensor(x, "index");
    int axis;
    const ir_arg *v = ir_arg_named(x, "value");
    if (!ir_arg_axis(x, "dim", self_of(x)->rank, &axis)) return false;
    if (index->dtype != DT_I64 && index->dtype != DT_I32)
        return ir_fail(x, "IndexError", "index_fill_(): Expected dtype int64 for index.");
    if (index->rank > 1) return ir_fail(x, "IndexError", "Index has to be a vector/scalar");
    if (v->kind == A_TENSOR && v->type->rank)
        return ir_fail(
            x, "RuntimeError",
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with %d dimension(s).",
            v->type->rank);
    return ir_rule_same(x);
}

bool ir_rule_scatter(ir_infer *x) {
    const ir_type *t = self_of(x), *index = ir_arg_tensor(x, "index");
    const ir_arg *src = ir_arg_given(x, "src");
    int axis;
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !known_reduce(x)) return false;
    if (src && !same_dtype(x, t, src->type)) return false;
    if (is_empty(x, index)) return ir_rule_same(x);
    if (!is_index_dtype(x, index, "index")) return false;
    return index_within(x, index, t, axis, "self") &&
           (!src || index_within(x, index, src->type, -1, "src")) && ir_rule_same(x);
}

/* src must have the shape of a slice of self. */
static bool slice_shaped(ir_infer *x, const ir_type *src, int rank, const ir_dim *const *dims) {
    const char *want = ir_dims_text(C, rank, dims), *got = ir_dims_text(C, src->rank, src->dims);
    if (src->rank != rank)
        return ir_fail(
            x, "RuntimeError",
            "expected src to have a size equal to the slice of self. src size = %s, slice size = %s", got,
            want);
    for (int i = 0; i < rank; i++)
        if (!ir_require_eq(x, src->dims[i], dims[i],
                           "expected src to have a size equal to the slice of self. src size = "
                           "%s, slice size = %s",
                           got, want))
            return false;
    return true;
}

bool ir_rule_select_scatter(ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis, n = 0;
    const ir_dim *index, *dims[RT_MAX_RANK];
    if (!t->rank) return ir_fail(x, "IndexError", "select() cannot be applied to a 0-dim tensor.");
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !ir_select_index(x, t, axis, &index)) return false;
    for (int i = 0; i < t->rank; i++)
        if (i != axis) dims[n++] = t->dims[i];
    return slice_shaped(x, ir_arg_tensor(x, "src"), n, dims) && ir_rule_same(x);
}

bool ir_rule_slice_scatter(ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    const ir_dim *start, *len, *step, *dims[RT_MAX_RANK];
    if (!t->rank) return ir_fail(x, "RuntimeError", "slice() cannot be applied to a 0-dim tensor.");
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !ir_slice_bounds(x, t->dims[axis], &start, &len, &step))
        return false;
    memcpy(dims, t->dims, (size_t)t->rank * sizeof *dims);
    dims[axis] = len;
    return slice_shaped(x, ir_arg_tensor(x, "src"), t->rank, dims) && ir_rule_same(x);
}

bool ir_rule_diagonal_scatter(ir_infer *x) {
    const ir_type *t = self_of(x);
    ir_diagonal d;
    const ir_dim *dims[RT_MAX_RANK];
    int n = 0;
    if (!ir_diagonal_of(x, t, &d)) return false;
    for (int i = 0; i < t->rank; i++)
        if (i != d.d1 && i != d.d2) dims[n++] = t->dims[i];
    dims[n++] = d.len;
    return slice_shaped(x, ir_arg_tensor(x, "src"), n, dims) && ir_rule_same(x);
}

bool ir_rule_as_strided_scatter(ir_infer *x) {
    int n, m;
    const ir_dim **dims, **strides;
    if (!ir_arg_ints(x, "size", &n, &dims) || !ir_arg_ints(x, "stride", &m, &strides)) return false;
    if (n != m) return ir_fail(x, "RuntimeError", "mismatch in length of strides and shape");
    return slice_shaped(x, ir_arg_tensor(x, "src"), n, dims) && ir_rule_same(x);
}

/* ------------------------------------------------------------------ resampling */

bool ir_rule_upsample(ir_infer *x) {
    const ir_type *t = self_of(x);
    int n, nd = t->rank - 2, wanted = x->op->name[strlen(x->op->name) - 2] - '0';
    if (!strncmp(x->op->name + strlen(x->op->name) - 3, "_aa", 3)) wanted = 2;
    const ir_dim **size, **dims = ir_dims_new(C, t->rank);
    if (nd != wanted)
        return ir_fail(x, "RuntimeError", "It is expected input_size equals to %d, but got size %d",
                       wanted + 2, t->rank);
    if (!ir_arg_ints(x, "output_size", &n, &size)) return false;
    if (n != nd)
        return ir_fail(x, "RuntimeError", "It is expected output_size equals to %d, but got size %d", nd, n);
    dims[0] = t->dims[0], dims[1] = t->dims[1];
    for (int i = 0; i < nd; i++) {
        dims[2 + i] = size[i];
        if (!ir_require_le(x, num(x, 1), dims[2 + i], "Input and output sizes should be greater than 0") ||
            !ir_require_le(x, num(x, 1), t->dims[2 + i], "Input and output sizes should be greater than 0"))
            return false;
    }
    return ir_result(x, t->dtype, t->rank, dims);
}

bool ir_rule_grid_sampler(ir_infer *x) {
    const ir_type *t = self_of(x), *g = ir_arg_tensor(x, "grid");
    if ((t->rank != 4 && t->rank != 5) || g->rank != t->rank)
        return ir_fail(x, "RuntimeError",
                       "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, "
                       "but got input with sizes %s and grid with sizes %s",
                       ir_dims_text(C, t->rank, t->dims), ir_dims_text(C, g->rank, g->dims));
    if (!ir_is_float(t->dtype) || t->dtype != g->dtype)
        return ir_fail(x, "RuntimeError",
                       "grid_sampler(): expected input and grid to have the same floating dtype");
    if (!ir_require_eq(x, t->dims[0], g->dims[0],
                       "grid_sampler(): expected grid and input to have same batch size") ||
        !ir_require_eq(x, g->dims[g->rank - 1], num(x, t->rank - 2),
                       "grid_sampler(): expected grid to have size %d in last dimension", t->rank - 2))
        return false;
    const ir_dim **dims = ir_dims_new(C, t->rank);
    dims[0] = t->dims[0], dims[1] = t->dims[1];
    for (int i = 2; i < t->rank; i++) {
        dims[i] = g->dims[i - 1];
        if (!ir_require_le(x, num(x, 1), t->dims[i],
                           "grid_sampler(): expected input to have non-empty spatial dimensions"))
            return false;
    }
    return ir_result(x, t->dtype, t->rank, dims);
}
