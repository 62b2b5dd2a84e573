/* comp_move.c: comprehensions of MOVE and VIEW rows: for a result index, where it reads; or for a source
 * index, where it writes.
 *
 * Views are pure read maps here: the operand is taken as a value of its logical shape (strides matter to
 * as_strided alone).  Maps stay affine where they can; a reshape divides only within the groups of dims that
 * it merges. */
#include "lower/comp_maps.h"

#define C (x->c)

/* ------------------------------------------------------------------ shared */

ex map_load(comp *k, const ir_arg *t, const ex *at) {
    return ir_x_load(&k->x, t->operand, t->type->dtype, t->type->rank, at);
}

ex map_inside(comp *k, ex i, const ir_dim *size) {
    return map_and(k, map_op(k, K_GE, i, map_int(k, 0)), map_op(k, K_LT, i, map_dim(k, size)));
}

ex map_zero(comp *k, rt_dtype dtype) {
    return ir_is_float(dtype) ? ir_x_float(&k->x, dtype, 0) : ir_x_int(&k->x, dtype, 0);
}

ex map_number(comp *k, ir_infer *x, const ir_arg *a, rt_dtype as) {
    ex e, at[RT_MAX_RANK];
    switch (a->kind) {
    case A_INT: e = a->dim ? map_dim(k, a->dim) : ir_x_scalar(&k->x, a->operand, DT_I64); break;
    case A_FLOAT:
        e = a->known ? ir_x_float(&k->x, DT_F64, a->f) : ir_x_scalar(&k->x, a->operand, DT_F64);
        break;
    case A_BOOL:
        e = a->known ? ir_x_int(&k->x, DT_BOOL, a->i) : ir_x_scalar(&k->x, a->operand, DT_BOOL);
        break;
    case A_TENSOR:
        for (int i = 0; i < a->type->rank; i++) at[i] = map_int(k, 0);
        e = map_load(k, a, at);
        break;
    default: return ir_missing(x, "%s: an argument that is no number", x->op->full), NULL;
    }
    return ir_x_cast(&k->x, e, as);
}

static const ir_type *self_of(ir_infer *x) { return x->args[0].type; }

static void identity(comp *k, int n, ex *at) {
    for (int i = 0; i < n; i++) at[i] = map_at(k, i);
}

static bool read_self(comp *k, ir_infer *x, const ex *at) {
    k->out[0] = map_load(k, &x->args[0], at);
    return true;
}

/* Row-major number of an index. */
static ex ravel(comp *k, ir_context *c, int n, const ir_dim *const *dims, const ex *at) {
    ex sum = map_int(k, 0);
    const ir_dim *step = ir_dim_const(c, 1);
    for (int i = n - 1; i >= 0; i--) {
        if (!ir_dim_is(dims[i], 1)) sum = map_op(k, K_ADD, map_op(k, K_MUL, at[i], map_dim(k, step)), sum);
        step = ir_dim_mul(c, step, dims[i]);
    }
    return sum;
}

/* The index with the row-major number `e`. */
static void unravel(comp *k, ir_context *c, ex e, int n, const ir_dim *const *dims, ex *at) {
    const ir_dim *step = ir_dim_const(c, 1);
    int first = 0;
    while (first < n && ir_dim_is(dims[first], 1)) at[first++] = map_int(k, 0);
    for (int i = n - 1; i >= first; i--) {
        if (ir_dim_is(dims[i], 1)) {
            at[i] = map_int(k, 0);
            continue;
        }
        at[i] = ir_dim_is(step, 1) ? e : map_op(k, K_FLOORDIV, e, map_dim(k, step));
        if (i > first) at[i] = map_op(k, K_MOD, at[i], map_dim(k, dims[i]));
        step = ir_dim_mul(c, step, dims[i]);
    }
}

/* ------------------------------------------------------------------ view, reshape */

/* Is a the smaller of two products that must still grow to be equal.  Unknown: 2. */
static ir_truth grows(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (ir_dim_exact_div(c, b, a)) return IR_YES;
    if (ir_dim_exact_div(c, a, b)) return IR_NO;
    return ir_dim_lt(c, a, b);
}

/* Index of an input of shape `in` from the index `at` of a result of shape `out` with as many elements in the
 * same order: dims are matched in the smallest groups of equal product. */
static void regroup(comp *k, ir_context *c, int nin, const ir_dim *const *in, int nout,
                    const ir_dim *const *out, const ex *at, ex *from) {
    int i = 0, j = 0;
    while (i < nin) {
        if (ir_dim_is(in[i], 1)) {
            from[i++] = map_int(k, 0);
            continue;
        }
        if (j < nout && ir_dim_is(out[j], 1)) {
            j++;
            continue;
        }
        int i1 = i + 1, j1 = j < nout ? j + 1 : j;
        const ir_dim *a = in[i], *b = j < nout ? out[j] : ir_dim_const(c, 1);
        while (ir_dim_eq(c, a, b) != IR_YES && (i1 < nin || j1 < nout)) {
            ir_truth more = grows(c, a, b);
            if (more != IR_NO && i1 < nin) a = ir_dim_mul(c, a, in[i1++]);
            else if (more != IR_YES && j1 < nout) b = ir_dim_mul(c, b, out[j1++]);
            else if (i1 < nin) a = ir_dim_mul(c, a, in[i1++]);
            else b = ir_dim_mul(c, b, out[j1++]);
            if (more == IR_UNKNOWN) {
                while (i1 < nin) a = ir_dim_mul(c, a, in[i1++]);
                while (j1 < nout) b = ir_dim_mul(c, b, out[j1++]);
            }
        }
        unravel(k, c, ravel(k, c, j1 - j, out + j, at + j), i1 - i, in + i, from + i);
        i = i1, j = j1;
    }
}

static bool map_reshape(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    ex at[RT_MAX_RANK], from[RT_MAX_RANK];
    identity(k, k->ndims, at);
    regroup(k, C, t->rank, t->dims, k->ndims, k->dims, at, from);
    return read_self(k, x, from);
}

static bool map_same(comp *k, ir_infer *x) {
    ex at[RT_MAX_RANK];
    identity(k, k->ndims, at);
    return read_self(k, x, at);
}

/* ------------------------------------------------------------------ views */

static bool map_permute(comp *k, ir_infer *x) {
    int n, axis, rank = self_of(x)->rank;
    int64_t *order;
    ex at[RT_MAX_RANK];
    if (!ir_arg_const_ints(x, "dims", &n, &order)) return false;
    for (int i = 0; i < n; i++) {
        if (!ir_wrap_axis(x, order[i], rank, &axis)) return false;
        at[axis] = map_at(k, i);
    }
    return read_self(k, x, at);
}

static bool map_swapped(comp *k, ir_infer *x, int a, int b) {
    ex at[RT_MAX_RANK];
    identity(k, k->ndims, at);
    if (k->ndims > 1) at[a] = map_at(k, b), at[b] = map_at(k, a);
    return read_self(k, x, at);
}

static bool map_transpose(comp *k, ir_infer *x) {
    int a, b;
    return ir_arg_axis(x, "dim0", k->ndims, &a) && ir_arg_axis(x, "dim1", k->ndims, &b) &&
           map_swapped(k, x, a, b);
}

static bool map_t(comp *k, ir_infer *x) { return map_swapped(k, x, 0, 1); }

static bool map_expand(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int lead = k->ndims - t->rank;
    ex at[RT_MAX_RANK];
    for (int i = 0; i < t->rank; i++) at[i] = comp_broadcast(k, t->dims[i], k->dims[lead + i], map_at(k, lead + i));
    return read_self(k, x, at);
}

static bool map_select(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    const ir_dim *index;
    ex at[RT_MAX_RANK];
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !ir_select_index(x, t, axis, &index)) return false;
    for (int i = 0; i < t->rank; i++) at[i] = i == axis ? map_dim(k, index) : map_at(k, i - (i > axis));
    return read_self(k, x, at);
}

static ex times_plus(comp *k, ex i, const ir_dim *step, const ir_dim *start) {
    return map_op(k, K_ADD, map_op(k, K_MUL, i, map_dim(k, step)), map_dim(k, start));
}

static bool map_slice(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    const ir_dim *start, *len, *step;
    ex at[RT_MAX_RANK];
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !ir_slice_bounds(x, t->dims[axis], &start, &len, &step))
        return false;
    identity(k, k->ndims, at);
    at[axis] = times_plus(k, at[axis], step, start);
    return read_self(k, x, at);
}

static bool map_squeeze(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    uint32_t which = ~0u;
    ex at[RT_MAX_RANK];
    if (ir_arg_given(x, "dim") && !ir_arg_axes(x, "dim", t->rank, &which)) return false;
    for (int i = 0, j = 0; i < t->rank; i++)
        at[i] = (which >> i & 1) && ir_taken_as_one(C, t->dims[i]) ? map_int(k, 0) : map_at(k, j++);
    return read_self(k, x, at);
}

static bool map_unsqueeze(comp *k, ir_infer *x) {
    int axis;
    ex at[RT_MAX_RANK];
    if (!ir_arg_axis(x, "dim", k->ndims, &axis)) return false;
    for (int i = 0; i < k->ndims - 1; i++) at[i] = map_at(k, i + (i >= axis));
    return read_self(k, x, at);
}

static void diagonal_at(comp *k, const ir_diagonal *d, ex along, ex *a, ex *b) {
    *a = map_op(k, K_ADD, along, map_dim(k, d->down));
    *b = map_op(k, K_ADD, along, map_dim(k, d->right));
}

static bool map_diagonal(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    ir_diagonal d;
    ex at[RT_MAX_RANK];
    if (!ir_diagonal_of(x, t, &d)) return false;
    for (int i = 0, j = 0; i < t->rank; i++)
        if (i != d.d1 && i != d.d2) at[i] = map_at(k, j++);
    diagonal_at(k, &d, map_at(k, k->ndims - 1), &at[d.d1], &at[d.d2]);
    return read_self(k, x, at);
}

static bool map_unfold(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    const ir_dim *step;
    ex at[RT_MAX_RANK];
    if (!t->rank) return read_self(k, x, at);
    if (!ir_arg_axis(x, "dimension", t->rank, &axis) || !ir_arg_step(x, &step)) return false;
    identity(k, t->rank, at);
    at[axis] = map_op(k, K_ADD, map_op(k, K_MUL, at[axis], map_dim(k, step)), map_at(k, t->rank));
    return read_self(k, x, at);
}

/* Dims of a dense tensor by falling stride, so that its storage is row-major in that order; false: it is not
 * dense. */
static bool storage_order(ir_context *c, const ir_arg *t, int *order) {
    const ir_type *y = t->type;
    const ir_dim *step = ir_dim_const(c, 1);
    bool used[RT_MAX_RANK] = {false};
    for (int left = y->rank; left > 0; left--) {
        int d = y->rank - 1;
        while (d >= 0 && (used[d] || !(ir_dim_is(y->dims[d], 1) || !t->strides ||
                                       ir_dim_eq(c, t->strides[d], step) == IR_YES)))
            d--;
        if (d < 0) return false;
        used[d] = true;
        order[left - 1] = d;
        step = ir_dim_mul(c, step, y->dims[d]);
    }
    return true;
}

/* The linear number of a strided access, as index of the dense base it lies in; checked. */
static bool strided_at(comp *k, ir_infer *x, ex linear, ex *at) {
    const ir_arg *self = &x->args[0];
    const ir_type *t = self->type;
    int order[RT_MAX_RANK];
    const ir_dim *dims[RT_MAX_RANK];
    ex sorted[RT_MAX_RANK];
    if (self->strides && !self->offset)
        return ir_missing(x, "%s of a view whose place in its storage is not known", x->op->name);
    if (!storage_order(C, self, order)) return ir_missing(x, "%s of a view that is not dense", x->op->name);
    for (int i = 0; i < t->rank; i++) dims[i] = t->dims[order[i]];
    unravel(k, C, linear, t->rank, dims, sorted);
    for (int i = 0; i < t->rank; i++) at[order[i]] = sorted[i];
    return true;
}

static bool strided_linear(comp *k, ir_infer *x, ex *linear) {
    const ir_arg *self = &x->args[0], *offset = ir_arg_given(x, "storage_offset");
    int n, m;
    const ir_dim **dims, **strides;
    if (!ir_arg_ints(x, "size", &n, &dims) || !ir_arg_ints(x, "stride", &m, &strides)) return false;
    *linear = map_int(k, 0);
    if (offset) {
        const ir_dim *d = self->offset ? ir_dim_sub(C, offset->dim, self->offset) : offset->dim;
        *linear = map_dim(k, d);
    }
    for (int i = 0; i < n; i++)
        *linear = map_op(k, K_ADD, *linear, map_op(k, K_MUL, map_at(k, i), map_dim(k, strides[i])));
    return true;
}

static bool map_as_strided(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    ex linear, at[RT_MAX_RANK];
    if (!strided_linear(k, x, &linear) || !strided_at(k, x, linear, at)) return false;
    RT_PUSH(&C->arena, &k->checks,
            ((struct comp_check){linear, ir_numel(C, t->rank, t->dims),
                                 "as_strided: outside of the tensor's elements"}));
    return read_self(k, x, at);
}

/* ------------------------------------------------------------------ cat, pads */

static bool map_cat(comp *k, ir_infer *x) {
    const ir_arg *l = ir_arg_named(x, "tensors");
    rt_dtype dtype = k->out_dtype[0];
    int axis;
    ex at[RT_MAX_RANK], value = NULL;
    const ir_dim *end = k->ndims ? ir_dim_const(C, 0) : NULL;
    if (!ir_arg_axis(x, "dim", k->ndims, &axis)) return false;
    const ir_dim **ends = ir_dims_new(C, l->n);
    for (int i = 0; i < l->n; i++)
        ends[i] = end = l->at[i].type->rank == k->ndims ? ir_dim_add(C, end, l->at[i].type->dims[axis]) : end;
    identity(k, k->ndims, at);
    for (int i = l->n - 1; i >= 0; i--) {
        const ir_type *t = l->at[i].type;
        if (t->rank != k->ndims || ir_dim_is(t->dims[axis], 0)) continue; /* the legacy empty tensor */
        at[axis] = i ? map_op(k, K_SUB, map_at(k, axis), map_dim(k, ends[i - 1])) : map_at(k, axis);
        ex one = ir_x_cast(&k->x, map_load(k, &l->at[i], at), dtype);
        value = value ? map_if(k, map_op(k, K_LT, map_at(k, axis), map_dim(k, ends[i])), one, value) : one;
    }
    k->out[0] = value ? value : map_zero(k, dtype);
    return true;
}

static bool map_pad(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_dim **before, **after;
    ex at[RT_MAX_RANK], inside = NULL;
    if (!ir_pads_of(x, "pad", t, &before, &after)) return false;
    for (int d = 0; d < t->rank; d++) {
        at[d] = map_op(k, K_SUB, map_at(k, d), map_dim(k, before[d]));
        int64_t lo, hi, lo2, hi2;
        ir_dim_range(C, before[d], &lo, &hi), ir_dim_range(C, after[d], &lo2, &hi2);
        if (hi > 0) inside = map_and(k, inside, map_op(k, K_GE, at[d], map_int(k, 0)));
        if (hi2 > 0) inside = map_and(k, inside, map_op(k, K_LT, at[d], map_dim(k, t->dims[d])));
    }
    ex fill = map_number(k, x, ir_arg_named(x, "value"), t->dtype), value = map_load(k, &x->args[0], at);
    if (!fill) return false;
    k->out[0] = inside ? map_if(k, inside, value, fill) : value;
    return true;
}

/* Index inside the input from one that may lie outside by less than a size. */
static ex pad_inside(comp *k, char how, ex i, const ir_dim *size) {
    ex n = map_dim(k, size), zero = map_int(k, 0), last = map_op(k, K_SUB, n, map_int(k, 1));
    if (how == 'r') return map_op(k, K_MIN, map_op(k, K_MAX, i, zero), last);
    ex low = how == 'm' ? ir_x1(&k->x, K_NEG, i) : map_op(k, K_ADD, i, n);
    ex high =
        how == 'm' ? map_op(k, K_SUB, map_op(k, K_MUL, last, map_int(k, 2)), i) : map_op(k, K_SUB, i, n);
    return map_if(k, map_op(k, K_LT, i, zero), low, map_if(k, map_op(k, K_GT, i, last), high, i));
}

static bool map_pad_by(comp *k, ir_infer *x, char how) {
    const ir_type *t = self_of(x);
    const ir_dim **before, **after;
    ex at[RT_MAX_RANK];
    if (!ir_pads_of(x, ir_arg_given(x, "pad") ? "pad" : "padding", t, &before, &after)) return false;
    for (int d = 0; d < t->rank; d++) {
        at[d] = map_op(k, K_SUB, map_at(k, d), map_dim(k, before[d]));
        if (!ir_dim_is(before[d], 0) || !ir_dim_is(after[d], 0)) at[d] = pad_inside(k, how, at[d], t->dims[d]);
    }
    return read_self(k, x, at);
}

static bool map_pad_reflect(comp *k, ir_infer *x) { return map_pad_by(k, x, 'm'); }
static bool map_pad_replicate(comp *k, ir_infer *x) { return map_pad_by(k, x, 'r'); }
static bool map_pad_circular(comp *k, ir_infer *x) { return map_pad_by(k, x, 'c'); }

/* ------------------------------------------------------------------ flip, roll, repeat, diag_embed */

static bool map_flip(comp *k, ir_infer *x) {
    uint32_t set;
    ex at[RT_MAX_RANK];
    if (!ir_arg_axes(x, "dims", k->ndims, &set)) return false;
    for (int i = 0; i < k->ndims; i++) {
        at[i] = map_at(k, i);
        if (set >> i & 1)
            at[i] = map_op(k, K_SUB, map_dim(k, ir_dim_sub(C, k->dims[i], ir_dim_const(C, 1))), at[i]);
    }
    return read_self(k, x, at);
}

/* (i - shift) mod size */
static ex rolled(comp *k, ex i, const ir_dim *shift, const ir_dim *size) {
    int64_t s, n;
    if (ir_dim_is_const(shift, &s) && ir_dim_is_const(size, &n) && n > 0) {
        s = ((s % n) + n) % n;
        ex j = map_op(k, K_SUB, i, map_int(k, s));
        return s ? map_if(k, map_op(k, K_LT, j, map_int(k, 0)), map_op(k, K_ADD, j, map_int(k, n)), j) : i;
    }
    return map_op(k, K_MOD, map_op(k, K_SUB, i, map_dim(k, shift)), map_dim(k, size));
}

static bool map_roll(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int n, m, axis;
    const ir_dim **shifts;
    int64_t *dims;
    ex at[RT_MAX_RANK];
    if (!ir_arg_ints(x, "shifts", &n, &shifts) || !ir_arg_const_ints(x, "dims", &m, &dims)) return false;
    identity(k, k->ndims, at);
    if (!m) {
        ex flat = rolled(k, ravel(k, C, t->rank, t->dims, at), shifts[0], ir_numel(C, t->rank, t->dims));
        unravel(k, C, flat, t->rank, t->dims, at);
    }
    for (int i = 0; i < m; i++) {
        if (!ir_wrap_axis(x, dims[i], t->rank, &axis)) return false;
        if (t->rank) at[axis] = rolled(k, at[axis], shifts[i], t->dims[axis]);
    }
    return read_self(k, x, at);
}

static bool map_repeat(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int lead = k->ndims - t->rank;
    ex at[RT_MAX_RANK];
    for (int i = 0; i < t->rank; i++) {
        at[i] = map_at(k, lead + i);
        if (ir_dim_is(t->dims[i], 1)) at[i] = map_int(k, 0);
        else if (ir_dim_eq(C, t->dims[i], k->dims[lead + i]) != IR_YES)
            at[i] = map_op(k, K_MOD, at[i], map_dim(k, t->dims[i]));
    }
    return read_self(k, x, at);
}

static bool map_repeat_interleave(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    ex times = map_dim(k, ir_arg_named(x, "repeats")->dim), at[RT_MAX_RANK];
    int axis;
    if (!ir_arg_given(x, "dim")) {
        unravel(k, C, map_op(k, K_FLOORDIV, map_at(k, 0), times), t->rank, t->dims, at);
        return read_self(k, x, at);
    }
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    identity(k, t->rank, at);
    if (t->rank) at[axis] = map_op(k, K_FLOORDIV, at[axis], times);
    return read_self(k, x, at);
}

static bool map_diag_embed(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int a, b;
    const ir_dim *down, *right;
    ex at[RT_MAX_RANK];
    if (!ir_arg_axis(x, "dim1", k->ndims, &a) || !ir_arg_axis(x, "dim2", k->ndims, &b)) return false;
    ir_diagonal_offset(x, &down, &right);
    for (int i = 0, j = 0; i < k->ndims; i++)
        if (i != a && i != b) at[j++] = map_at(k, i);
    at[t->rank - 1] = map_op(k, K_SUB, map_at(k, a), map_dim(k, down));
    ex on = map_op(k, K_EQ, at[t->rank - 1], map_op(k, K_SUB, map_at(k, b), map_dim(k, right)));
    k->out[0] = map_if(k, on, map_load(k, &x->args[0], at), map_zero(k, t->dtype));
    return true;
}

/* ------------------------------------------------------------------ im2col, col2im */

typedef struct window2 {
    int64_t kernel[2], dilation[2], padding[2], stride[2];
} window2;

static bool window2_of(ir_infer *x, window2 *w) {
    const char *const names[] = {"kernel_size", "dilation", "padding", "stride"};
    int64_t *const into[] = {w->kernel, w->dilation, w->padding, w->stride};
    for (int i = 0; i < 4; i++) {
        int n;
        int64_t *at;
        if (!ir_arg_const_ints(x, names[i], &n, &at)) return false;
        into[i][0] = at[0], into[i][1] = at[n - 1];
    }
    return true;
}

static const ir_dim *steps_of(ir_infer *x, const window2 *w, int i, const ir_dim *size) {
    const ir_dim *span =
        ir_dim_add(C, size, ir_dim_const(C, 2 * w->padding[i] - w->dilation[i] * (w->kernel[i] - 1) - 1));
    return ir_dim_add(C, ir_dim_floordiv(C, span, ir_dim_const(C, w->stride[i])), ir_dim_const(C, 1));
}

static bool map_im2col(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    window2 w;
    ex at[RT_MAX_RANK], chan[3], step[2], inside = NULL;
    int n = t->rank - 3;
    if (!window2_of(x, &w)) return false;
    const ir_dim *parts[3] = {t->dims[n], ir_dim_const(C, w.kernel[0]), ir_dim_const(C, w.kernel[1])};
    const ir_dim *steps[2] = {steps_of(x, &w, 0, t->dims[n + 1]), steps_of(x, &w, 1, t->dims[n + 2])};
    unravel(k, C, map_at(k, n), 3, parts, chan);
    unravel(k, C, map_at(k, n + 1), 2, steps, step);
    at[0] = map_at(k, 0);
    at[n] = chan[0];
    for (int i = 0; i < 2; i++) {
        ex e = map_op(k, K_MUL, step[i], map_int(k, w.stride[i]));
        e = map_op(k, K_ADD, e, map_op(k, K_MUL, chan[1 + i], map_int(k, w.dilation[i])));
        at[n + 1 + i] = map_op(k, K_SUB, e, map_int(k, w.padding[i]));
        if (w.padding[i]) inside = map_and(k, inside, map_inside(k, at[n + 1 + i], t->dims[n + 1 + i]));
    }
    ex value = map_load(k, &x->args[0], at);
    k->out[0] = inside ? map_if(k, inside, value, map_zero(k, t->dtype)) : value;
    return true;
}

/* A sum over kernel positions: which step of the window put its element there, if any did. */
static bool map_col2im(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    window2 w;
    int n = t->rank - 2;
    ex at[3], step[2], kern[2], ok = NULL;
    if (!window2_of(x, &w)) return false;
    k->nrdims = 2, k->rdims = ir_dims_new(C, 2);
    const ir_dim *steps[2];
    for (int i = 0; i < 2; i++) {
        k->rdims[i] = ir_dim_const(C, w.kernel[i]);
        steps[i] = steps_of(x, &w, i, k->dims[n + 1 + i]);
        kern[i] = map_at(k, k->ndims + i);
        ex e = map_op(k, K_ADD, map_at(k, n + 1 + i), map_int(k, w.padding[i]));
        e = map_op(k, K_SUB, e, map_op(k, K_MUL, kern[i], map_int(k, w.dilation[i])));
        step[i] = map_op(k, K_FLOORDIV, e, map_int(k, w.stride[i]));
        ok = map_and(k, ok, map_op(k, K_EQ, map_op(k, K_MUL, step[i], map_int(k, w.stride[i])), e));
        ok = map_and(k, ok, map_inside(k, step[i], steps[i]));
    }
    ex chan = map_op(k, K_ADD, map_op(k, K_MUL, map_at(k, n), map_int(k, w.kernel[0])), kern[0]);
    at[0] = map_at(k, 0);
    at[n] = map_op(k, K_ADD, map_op(k, K_MUL, chan, map_int(k, w.kernel[1])), kern[1]);
    at[n + 1] = ravel(k, C, 2, steps, step);
    rt_dtype sum = t->dtype == DT_F16 || t->dtype == DT_BF16 ? DT_F32 : t->dtype;
    k->nstate = 1, k->state_dtype[0] = sum, k->associative = true;
    k->init[0] = map_zero(k, sum);
    k->elem[0] = map_if(k, ok, ir_x_cast(&k->x, map_load(k, &x->args[0], at), sum), map_zero(k, sum));
    k->combine[0] = map_op(k, K_ADD, ir_x_param(&k->x, 0, sum), ir_x_param(&k->x, 1, sum));
    k->out[0] = ir_x_param(&k->x, 0, sum);
    return true;
}

/* ------------------------------------------------------------------ reads through index tensors */

/* The value of an index tensor as an index into a dim of `size`: wrapped if `wrap`, checked unless the use
 * checks. */
static ex index_value(comp *k, ir_infer *x, const ir_arg *t, const ex *at, const ir_dim *size, bool wrap,
                      bool check, int dim) {
    ex i = ir_x_cast(&k->x, map_load(k, t, at), DT_I64);
    if (wrap) i = map_if(k, map_op(k, K_LT, i, map_int(k, 0)), map_op(k, K_ADD, i, map_dim(k, size)), i);
    if (check)
        RT_PUSH(&C->arena, &k->checks,
                ((struct comp_check){i, size,
                                     ir_fmt(C, "index is out of bounds for dimension %d with size %s", dim,
                                            ir_dims_text(C, 1, &size))}));
    return i;
}

/* The element of broadcast operand t for the index at[0..n) of the common shape `dims`. */
static void broadcast_at(comp *k, const ir_type *t, int n, const ir_dim *const *dims, const ex *at, ex *own) {
    for (int i = 0; i < t->rank; i++) own[i] = comp_broadcast(k, t->dims[i], dims[n - t->rank + i], at[n - t->rank + i]);
}

/* Index of self from an index into the result of advanced indexing. */
static void indexed_at(comp *k, ir_infer *x, const ir_indexing *g, const ex *result, bool check, ex *at) {
    int plain = 0;
    for (int d = 0; d < g->nself; d++) {
        if (!g->at[d]) {
            if (plain == g->place) plain += g->nb;
            at[d] = result[plain++];
            continue;
        }
        ex own[RT_MAX_RANK];
        broadcast_at(k, g->at[d]->type, g->nb, g->bdims, result + g->place, own);
        at[d] = index_value(k, x, g->at[d], own, self_of(x)->dims[d], true, check, d);
    }
}

static bool map_index(comp *k, ir_infer *x) {
    ir_indexing g;
    ex result[RT_MAX_RANK], at[RT_MAX_RANK];
    if (!ir_indexing_of(x, self_of(x), &g)) return false;
    identity(k, k->ndims, result);
    indexed_at(k, x, &g, result, true, at);
    return read_self(k, x, at);
}

static bool map_index_select(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *index = ir_arg_named(x, "index");
    int axis;
    ex at[RT_MAX_RANK], i;
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    identity(k, k->ndims, at);
    if (!t->rank) return read_self(k, x, at);
    i = at[axis];
    at[axis] = index_value(k, x, index, &i, t->dims[axis], false, true, axis);
    return read_self(k, x, at);
}

static bool map_gather(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    ex at[RT_MAX_RANK], own[RT_MAX_RANK];
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    identity(k, k->ndims, own);
    identity(k, t->rank, at);
    if (!t->rank) return read_self(k, x, at);
    at[axis] = index_value(k, x, ir_arg_named(x, "index"), own, t->dims[axis], false, true, axis);
    return read_self(k, x, at);
}

static bool map_take(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    ex own[RT_MAX_RANK], at[RT_MAX_RANK];
    identity(k, k->ndims, own);
    const ir_dim *n = ir_numel(C, t->rank, t->dims);
    unravel(k, C, index_value(k, x, ir_arg_named(x, "index"), own, n, true, true, 0), t->rank, t->dims, at);
    return read_self(k, x, at);
}

static bool map_take_along_dim(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *index = ir_arg_named(x, "indices");
    int axis;
    ex at[RT_MAX_RANK], own[RT_MAX_RANK], all[RT_MAX_RANK];
    if (!ir_arg_given(x, "dim")) {
        unravel(k, C, map_at(k, 0), index->type->rank, index->type->dims, own);
        const ir_dim *n = ir_numel(C, t->rank, t->dims);
        unravel(k, C, index_value(k, x, index, own, n, true, true, 0), t->rank, t->dims, at);
        return read_self(k, x, at);
    }
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    identity(k, k->ndims, all);
    broadcast_at(k, index->type, k->ndims, k->dims, all, own);
    broadcast_at(k, t, k->ndims, k->dims, all, at);
    if (t->rank) at[axis] = index_value(k, x, index, own, t->dims[axis], true, true, axis);
    return read_self(k, x, at);
}

static bool map_embedding(comp *k, ir_infer *x) {
    const ir_arg *w = ir_arg_named(x, "weight"), *index = ir_arg_named(x, "indices");
    ex own[RT_MAX_RANK], at[2];
    identity(k, k->ndims - 1, own);
    at[0] = index_value(k, x, index, own, w->type->dims[0], false, true, 0);
    at[1] = map_at(k, k->ndims - 1);
    k->out[0] = map_load(k, w, at);
    return true;
}

/* ------------------------------------------------------------------ writes */

/* Turns k into a write into a copy of self: loops over the index of `source`. */
static void writes(comp *k, ir_infer *x, int n, const ir_dim *const *dims, const ex *at, ex elem) {
    const ir_type *t = self_of(x);
    k->write = true;
    k->base = x->args[0].operand;
    k->ndims = n;
    k->dims = ir_dims_new(C, n);
    memcpy(k->dims, dims, (size_t)n * sizeof *dims);
    k->nat = t->rank;
    k->at = rt_arena_copy(&C->arena, at, (size_t)(t->rank + 1) * sizeof *at);
    k->nstate = 1;
    k->state_dtype[0] = t->dtype;
    k->elem[0] = ir_x_cast(&k->x, elem, t->dtype);
    k->out[0] = ir_x_param(&k->x, 0, t->dtype);
    k->out_type = x->res[0];
}

/* f16 and bf16 are computed in f32 and rounded. */
static ex element_op(comp *k, ir_prim op, ex a, ex b) {
    rt_dtype d = a->dtype;
    if (d != DT_F16 && d != DT_BF16) return map_op(k, op, a, b);
    return ir_x_cast(&k->x, map_op(k, op, ir_x_cast(&k->x, a, DT_F32), ir_x_cast(&k->x, b, DT_F32)), d);
}

static bool combine_by(comp *k, ir_infer *x, const char *how) {
    rt_dtype d = self_of(x)->dtype;
    ex old = ir_x_param(&k->x, 0, d), in = ir_x_param(&k->x, 1, d);
    ir_prim op;
    if (!strcmp(how, "sum") || !strcmp(how, "add")) op = d == DT_BOOL ? K_OR : K_ADD;
    else if (!strcmp(how, "prod") || !strcmp(how, "multiply")) op = d == DT_BOOL ? K_AND : K_MUL;
    else if (!strcmp(how, "amax")) op = K_MAX;
    else if (!strcmp(how, "amin")) op = K_MIN;
    else return ir_missing(x, "%s with reduce='%s'", x->op->full, how);
    k->combine[0] = element_op(k, op, old, in);
    return true;
}

static bool accumulates(comp *k, ir_infer *x) {
    bool add;
    return ir_arg_bool(x, "accumulate", &add) && (!add || combine_by(k, x, "add"));
}

static bool map_index_put(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *v = ir_arg_named(x, "values");
    ir_indexing g;
    ex result[RT_MAX_RANK], at[RT_MAX_RANK + 1] = {NULL}, own[RT_MAX_RANK];
    if (!ir_indexing_of(x, t, &g)) return false;
    identity(k, g.rank, result);
    indexed_at(k, x, &g, result, false, at);
    int lead = v->type->rank > g.rank ? v->type->rank - g.rank : 0; /* leading dims of size 1 */
    for (int i = 0; i < v->type->rank; i++) {
        int at_dim = g.rank - v->type->rank + i;
        own[i] = i < lead ? map_int(k, 0) : comp_broadcast(k, v->type->dims[i], g.dims[at_dim], result[at_dim]);
    }
    writes(k, x, g.rank, g.dims, at, map_load(k, v, own));
    return accumulates(k, x);
}

static bool map_put(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *index = ir_arg_named(x, "index"), *src = ir_arg_named(x, "source");
    const ir_dim *n = ir_numel(C, t->rank, t->dims);
    ex all[RT_MAX_RANK], own[RT_MAX_RANK], at[RT_MAX_RANK + 1] = {NULL};
    identity(k, index->type->rank, all);
    ex i = index_value(k, x, index, all, n, true, true, 0);
    unravel(k, C, i, t->rank, t->dims, at);
    regroup(k, C, src->type->rank, src->type->dims, index->type->rank, index->type->dims, all, own);
    writes(k, x, index->type->rank, index->type->dims, at, map_load(k, src, own));
    return accumulates(k, x);
}

/* index_add, index_copy, _index_reduce: slices of source go to slices of self. */
static bool map_index_write(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *index = ir_arg_named(x, "index"), *src = ir_arg_named(x, "source"),
                 *alpha = ir_arg_given(x, "alpha");
    int axis;
    const char *how = "add";
    ex at[RT_MAX_RANK + 1] = {NULL}, own[RT_MAX_RANK], i;
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    if (ir_arg_given(x, "reduce") && !ir_arg_str(x, "reduce", &how)) return false;
    const ir_dim *one = ir_dim_const(C, 1), *dims[RT_MAX_RANK];
    int rank = t->rank ? t->rank : 1;
    for (int d = 0; d < rank; d++)
        dims[d] = d == axis ? (index->type->rank ? index->type->dims[0] : one) : t->dims[d];
    identity(k, rank, at);
    identity(k, src->type->rank, own);
    i = at[axis];
    ex target = index_value(k, x, index, &i, t->rank ? t->dims[axis] : one, false, !t->rank, axis);
    if (t->rank) at[axis] = target;
    ex elem = map_load(k, src, own);
    if (alpha) {
        ex a = map_number(k, x, alpha, t->dtype);
        if (!a) return false;
        elem = element_op(k, t->dtype == DT_BOOL ? K_AND : K_MUL, elem, a);
    }
    writes(k, x, rank, dims, at, elem);
    return !strcmp(x->op->name, "index_copy") || combine_by(k, x, how);
}

static bool map_index_fill(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *index = ir_arg_named(x, "index");
    int axis;
    ex at[RT_MAX_RANK + 1] = {NULL}, i, value = map_number(k, x, ir_arg_named(x, "value"), t->dtype);
    if (!value || !ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    const ir_dim *one = ir_dim_const(C, 1), *dims[RT_MAX_RANK];
    int rank = t->rank ? t->rank : 1;
    for (int d = 0; d < rank; d++)
        dims[d] = d == axis ? (index->type->rank ? index->type->dims[0] : one) : t->dims[d];
    identity(k, rank, at);
    i = at[axis];
    ex target = index_value(k, x, index, &i, t->rank ? t->dims[axis] : one, true, !t->rank, axis);
    if (t->rank) at[axis] = target;
    writes(k, x, rank, dims, at, value);
    return true;
}

static bool map_scatter(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *index = ir_arg_named(x, "index"), *src = ir_arg_given(x, "src");
    const char *how = !strcmp(x->op->name, "scatter_add") ? "add" : NULL;
    int axis, n = index->type->rank;
    ex at[RT_MAX_RANK + 1] = {NULL}, own[RT_MAX_RANK], elem;
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    if (ir_arg_given(x, "reduce") && !ir_arg_str(x, "reduce", &how)) return false;
    identity(k, n, own);
    identity(k, t->rank, at);
    const ir_dim *one = ir_dim_const(C, 1);
    ex target = index_value(k, x, index, own, t->rank ? t->dims[axis] : one, false, !t->rank, axis);
    if (t->rank) at[axis] = target;
    if (src && src->type->rank && !n) own[0] = map_int(k, 0);
    elem = src ? map_load(k, src, own) : map_number(k, x, ir_arg_named(x, "value"), t->dtype);
    if (!elem) return false;
    writes(k, x, n, index->type->dims, at, elem);
    return !how || combine_by(k, x, how);
}

/* ---- scatters of regular slices read instead: fusable, and no order to keep */

static bool either(comp *k, ir_infer *x, ex inside, const ex *at_src) {
    const ir_arg *src = ir_arg_named(x, "src");
    ex at[RT_MAX_RANK];
    identity(k, k->ndims, at);
    ex new = ir_x_cast(&k->x, map_load(k, src, at_src), k->out_dtype[0]), old = map_load(k, &x->args[0], at);
    k->out[0] = inside ? map_if(k, inside, new, old) : new;
    return true;
}

static bool map_select_scatter(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    const ir_dim *index;
    ex at[RT_MAX_RANK];
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !ir_select_index(x, t, axis, &index)) return false;
    for (int i = 0, j = 0; i < t->rank; i++)
        if (i != axis) at[j++] = map_at(k, i);
    return either(k, x, map_op(k, K_EQ, map_at(k, axis), map_dim(k, index)), at);
}

static bool map_slice_scatter(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    const ir_dim *start, *len, *step;
    ex at[RT_MAX_RANK], ok = NULL;
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !ir_slice_bounds(x, t->dims[axis], &start, &len, &step))
        return false;
    identity(k, t->rank, at);
    ex from = map_op(k, K_SUB, at[axis], map_dim(k, start)), i = from;
    if (!ir_dim_is(start, 0)) ok = map_op(k, K_GE, from, map_int(k, 0));
    if (!ir_dim_is(step, 1)) {
        i = map_op(k, K_FLOORDIV, from, map_dim(k, step));
        ok = map_and(k, ok, map_op(k, K_EQ, map_op(k, K_MUL, i, map_dim(k, step)), from));
    }
    if (!ir_dim_is(step, 1) || ir_dim_eq(C, ir_dim_add(C, start, len), t->dims[axis]) != IR_YES)
        ok = map_and(k, ok, map_op(k, K_LT, i, map_dim(k, len)));
    at[axis] = i;
    return either(k, x, ok, at);
}

static bool map_diagonal_scatter(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    ir_diagonal d;
    ex at[RT_MAX_RANK];
    if (!ir_diagonal_of(x, t, &d)) return false;
    int j = 0;
    for (int i = 0; i < t->rank; i++)
        if (i != d.d1 && i != d.d2) at[j++] = map_at(k, i);
    at[j] = map_op(k, K_SUB, map_at(k, d.d1), map_dim(k, d.down));
    ex on = map_op(k, K_EQ, at[j], map_op(k, K_SUB, map_at(k, d.d2), map_dim(k, d.right)));
    return either(k, x, on, at);
}

static bool map_as_strided_scatter(comp *k, ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *src = ir_arg_named(x, "src");
    ex linear, at[RT_MAX_RANK + 1] = {NULL}, own[RT_MAX_RANK];
    if (!strided_linear(k, x, &linear) || !strided_at(k, x, linear, at)) return false;
    RT_PUSH(&C->arena, &k->checks,
            ((struct comp_check){linear, ir_numel(C, t->rank, t->dims),
                                 "as_strided_scatter: outside of the tensor's elements"}));
    identity(k, src->type->rank, own);
    writes(k, x, src->type->rank, src->type->dims, at, map_load(k, src, own));
    return true;
}

/* ------------------------------------------------------------------ the table */

static const struct {
    const char *name;
    bool (*map)(comp *k, ir_infer *x);
} maps[] = {
    {"view", map_reshape},
    {"reshape", map_reshape},
    {"permute", map_permute},
    {"transpose", map_transpose},
    {"t", map_t},
    {"expand", map_expand},
    {"_expand_with", map_expand},
    {"select", map_select},
    {"slice", map_slice},
    {"squeeze", map_squeeze},
    {"unsqueeze", map_unsqueeze},
    {"diagonal", map_diagonal},
    {"unfold", map_unfold},
    {"as_strided", map_as_strided},
    {"detach", map_same},
    {"alias", map_same},
    {"contiguous", map_same},
    {"clone", map_same},
    {"cat", map_cat},
    {"squeeze_", map_squeeze},
    {"unsqueeze_", map_unsqueeze},
    {"t_", map_t},
    {"transpose_", map_transpose},
    {"swapaxes_", map_transpose},
    {"swapdims_", map_transpose},
    {"as_strided_", map_as_strided},
    {"detach_", map_same},
    {"constant_pad_nd", map_pad},
    {"_pad_reflect", map_pad_reflect},
    {"_pad_replicate", map_pad_replicate},
    {"_pad_circular", map_pad_circular},
    {"reflection_pad1d", map_pad_reflect},
    {"reflection_pad2d", map_pad_reflect},
    {"reflection_pad3d", map_pad_reflect},
    {"replication_pad1d", map_pad_replicate},
    {"replication_pad2d", map_pad_replicate},
    {"replication_pad3d", map_pad_replicate},
    {"flip", map_flip},
    {"roll", map_roll},
    {"repeat", map_repeat},
    {"repeat_interleave", map_repeat_interleave},
    {"diag_embed", map_diag_embed},
    {"im2col", map_im2col},
    {"col2im", map_col2im},
    {"_index", map_index},
    {"index_select", map_index_select},
    {"gather", map_gather},
    {"take", map_take},
    {"take_along_dim", map_take_along_dim},
    {"embedding", map_embedding},
    {"_index_put", map_index_put},
    {"put", map_put},
    {"index_add", map_index_write},
    {"index_copy", map_index_write},
    {"_index_reduce", map_index_write},
    {"index_fill", map_index_fill},
    {"scatter", map_scatter},
    {"scatter_add", map_scatter},
    {"_scatter_reduce", map_scatter},
    {"select_scatter", map_select_scatter},
    {"slice_scatter", map_slice_scatter},
    {"diagonal_scatter", map_diagonal_scatter},
    {"as_strided_scatter", map_as_strided_scatter},
    {"grid_sampler", map_grid_sampler},
    {"grid_sampler_2d", map_grid_sampler},
    {"grid_sampler_3d", map_grid_sampler},
};

static bool (*find_map(const char *name))(comp *, ir_infer *) {
    for (int i = 0; i < (int)RT_COUNT(maps); i++)
        if (!strcmp(maps[i].name, name)) return maps[i].map;
    return strstr(name, "upsample_") ? map_resample : NULL;
}

bool comp_move(comp *k, ir_infer *x) {
    bool (*map)(comp *, ir_infer *) = find_map(x->op->name);
    if (!map) return ir_missing(x, "%s has no comprehension", x->op->full);
    if (!k->x.c) k->x.c = C;
    k->ndims = x->res[0]->rank;
    k->dims = ir_dims_new(C, k->ndims);
    memcpy(k->dims, x->res[0]->dims, (size_t)k->ndims * sizeof *k->dims);
    k->scan = -1;
    k->nout = 1;
    k->out_dtype[0] = x->res[0]->dtype;
    if (!map(k, x)) return false;
    if (!k->write) k->out[0] = ir_x_cast(&k->x, k->out[0], k->out_dtype[0]);
    return true;
}
