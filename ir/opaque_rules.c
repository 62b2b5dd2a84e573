/* opaque_rules.c: shape rules of OPAQUE rows.  A size that the data decides is a fresh symbol, and
 * x->data_dependent tells the user of the rule to bind it from the result. */
#include "ir/rules.h"

#define C (x->c)

static const ir_dim *num(ir_infer *x, int64_t k) { return ir_dim_const(C, k); }
static const ir_type *self_of(ir_infer *x) { return x->args[0].type; }

/* A size between 0 and `most` that only the data tells. */
static const ir_dim *counted(ir_infer *x, const ir_dim *most) {
    int64_t lo, hi;
    x->data_dependent = true;
    ir_dim_range(C, most, &lo, &hi);
    return ir_dim_fresh(C, "u", 0, hi > 0 ? hi : INT32_MAX);
}

static const ir_dim *elements(ir_infer *x, const ir_type *t) { return ir_numel(C, t->rank, t->dims); }

/* The shape of t without dim `axis`, or with size `n` there (NULL: dropped). */
static bool result_along(ir_infer *x, int k, rt_dtype dtype, const ir_type *t, int axis, const ir_dim *n) {
    const ir_dim **dims = ir_dims_new(C, t->rank);
    int rank = 0;
    for (int i = 0; i < t->rank; i++)
        if (i != axis) dims[rank++] = t->dims[i];
        else if (n) dims[rank++] = n;
    return ir_result_at(x, k, dtype, rank, dims);
}

/* ------------------------------------------------------------------ order */

bool ir_rule_sort(ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    return ir_arg_axis(x, "dim", t->rank, &axis) && ir_result_at(x, 0, t->dtype, t->rank, t->dims) &&
           ir_result_at(x, 1, DT_I64, t->rank, t->dims);
}

bool ir_rule_argsort(ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    return ir_arg_axis(x, "dim", t->rank, &axis) && ir_result(x, DT_I64, t->rank, t->dims);
}

bool ir_rule_topk(ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    const ir_dim *k = ir_arg_named(x, "k")->dim;
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    if (!ir_require_le(x, num(x, 0), k, "selected index k out of range") ||
        !ir_require_le(x, k, t->rank ? t->dims[axis] : num(x, 1), "selected index k out of range"))
        return false;
    return result_along(x, 0, t->dtype, t, axis, k) && result_along(x, 1, DT_I64, t, axis, k);
}

/* One element along dim: kthvalue, median, mode. */
bool ir_rule_pick(ir_infer *x) {
    const ir_type *t = self_of(x);
    int axis;
    bool keep;
    if (!ir_arg_axis(x, "dim", t->rank, &axis) || !ir_arg_bool(x, "keepdim", &keep)) return false;
    const ir_dim *size = t->rank ? t->dims[axis] : num(x, 1);
    if (ir_arg_given(x, "k")) {
        const ir_dim *k = ir_arg_named(x, "k")->dim;
        if (!ir_require_le(x, num(x, 1), k, "kthvalue(): selected number k out of range for dimension %d",
                           axis) ||
            !ir_require_le(x, k, size, "kthvalue(): selected number k out of range for dimension %d", axis))
            return false;
    }
    if (ir_dim_eq(C, size, num(x, 0)) == IR_YES)
        return ir_fail(x, "IndexError", "%s(): Expected reduction dim %d to have non-zero size.", x->op->name,
                       axis);
    const ir_dim *left = keep ? num(x, 1) : NULL;
    return result_along(x, 0, t->dtype, t, axis, left) && result_along(x, 1, DT_I64, t, axis, left);
}

bool ir_rule_median_all(ir_infer *x) { return ir_result(x, self_of(x)->dtype, 0, NULL); }

/* ------------------------------------------------------------------ sizes from the data */

bool ir_rule_nonzero(ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_dim *dims[2] = {counted(x, elements(x, t)), num(x, t->rank)};
    return ir_result(x, DT_I64, 2, dims);
}

static bool is_mask(ir_infer *x, const ir_type *m) {
    if (m->dtype == DT_BOOL) return true;
    return ir_fail(x, "RuntimeError", "%s: expected BoolTensor for mask", x->op->name);
}

bool ir_rule_masked_select(ir_infer *x) {
    const ir_type *both[2] = {self_of(x), ir_arg_tensor(x, "mask")};
    const ir_dim *dims[RT_MAX_RANK];
    int rank;
    if (!is_mask(x, both[1]) || !ir_broadcast_dims(x, 2, both, &rank, dims)) return false;
    const ir_dim *n = counted(x, ir_numel(C, rank, dims));
    return ir_result(x, both[0]->dtype, 1, &n);
}

bool ir_rule_masked_scatter(ir_infer *x) {
    const ir_type *t = self_of(x), *m = ir_arg_tensor(x, "mask"), *both[2] = {t, m};
    const ir_dim *dims[RT_MAX_RANK];
    int rank;
    if (!is_mask(x, m) || !ir_broadcast_dims(x, 2, both, &rank, dims)) return false;
    if (t->dtype != ir_arg_tensor(x, "source")->dtype)
        return ir_fail(x, "RuntimeError", "masked_scatter: expected self and source to have same dtypes");
    return ir_result(x, t->dtype, rank, dims);
}

bool ir_rule_unique(ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_dim *none = num(x, 0), *all = elements(x, t), *n;
    bool inverse, counts;
    int axis = -1;
    bool by_dim = ir_arg_given(x, "dim") != NULL;
    if (!ir_arg_bool(x, "return_inverse", &inverse) || !ir_arg_bool(x, "return_counts", &counts))
        return false;
    if (by_dim && !ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    if (by_dim) {
        const ir_dim *size = t->rank ? t->dims[axis] : num(x, 1);
        n = counted(x, size);
        /* the inverse and the counts are computed in any case */
        return result_along(x, 0, t->dtype, t, t->rank ? axis : -1, n) &&
               ir_result_at(x, 1, DT_I64, 1, &size) && ir_result_at(x, 2, DT_I64, 1, &n);
    }
    n = counted(x, all);
    bool ok = ir_result_at(x, 0, t->dtype, 1, &n);
    ok =
        ok && (inverse ? ir_result_at(x, 1, DT_I64, t->rank, t->dims) : ir_result_at(x, 1, DT_I64, 1, &none));
    return ok && ir_result_at(x, 2, DT_I64, 1, counts ? &n : &none);
}

bool ir_rule_bincount(ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *w = ir_arg_given(x, "weights");
    if (t->rank != 1 || !ir_is_int(t->dtype))
        return ir_fail(x, "RuntimeError", "bincount only supports 1-d non-negative integral inputs.");
    if (w &&
        (w->type->rank != 1 || !ir_require_eq(x, w->type->dims[0], t->dims[0],
                                              "weights should be 1-d and have the same length as input")))
        return x->error
                   ? false
                   : ir_fail(x, "RuntimeError", "weights should be 1-d and have the same length as input");
    if (!ir_require_le(x, num(x, 0), ir_arg_named(x, "minlength")->dim, "minlength should be >= 0"))
        return false;
    const ir_dim *n = counted(x, num(x, INT32_MAX));
    return ir_result(x, !w ? DT_I64 : w->type->dtype == DT_F32 ? DT_F32 : DT_F64, 1, &n);
}

bool ir_rule_repeats(ir_infer *x) {
    const ir_type *t = self_of(x);
    const ir_arg *size = ir_arg_given(x, "output_size");
    if (t->rank > 1) return ir_fail(x, "RuntimeError", "repeat_interleave only accept 1D vector as repeat");
    if (t->dtype != DT_I64 && t->dtype != DT_I32)
        return ir_fail(x, "RuntimeError", "repeats has to be Long or Int tensor");
    const ir_dim *n = size ? size->dim : counted(x, num(x, INT32_MAX));
    return ir_result(x, DT_I64, 1, &n);
}

bool ir_rule_nms(ir_infer *x) {
    const ir_type *t = self_of(x), *s = ir_arg_tensor(x, "scores");
    if (t->rank != 2 || s->rank != 1)
        return ir_fail(x, "RuntimeError",
                       "boxes should be a 2d tensor and scores a 1d tensor, got %dD and %dD", t->rank,
                       s->rank);
    if (!ir_require_eq(x, t->dims[1], num(x, 4), "boxes should have 4 elements in dimension 1") ||
        !ir_require_eq(x, t->dims[0], s->dims[0],
                       "boxes and scores should have same number of elements in dimension 0"))
        return false;
    const ir_dim *n = counted(x, t->dims[0]);
    return ir_result(x, DT_I64, 1, &n);
}

/* ------------------------------------------------------------------ search and histograms */

static bool found(ir_infer *x, const ir_type *shape) {
    bool small;
    return ir_arg_bool(x, "out_int32", &small) &&
           ir_result(x, small ? DT_I32 : DT_I64, shape ? shape->rank : 0, shape ? shape->dims : NULL);
}

bool ir_rule_searchsorted(ir_infer *x) {
    const ir_type *seq = ir_arg_tensor(x, "sorted_sequence");
    const ir_arg *v = ir_arg_named(x, "self"), *sorter = ir_arg_given(x, "sorter");
    if (v->kind != A_TENSOR) {
        if (seq->rank != 1)
            return ir_fail(x, "RuntimeError",
                           "input value can be a scalar only when boundaries tensor dimension is 1");
        return found(x, NULL);
    }
    if (seq->rank != 1 && seq->rank != v->type->rank)
        return ir_fail(x, "RuntimeError",
                       "boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
                       "tensor and input value tensor must match");
    for (int i = 0; seq->rank > 1 && i < seq->rank - 1; i++)
        if (!ir_require_eq(x, seq->dims[i], v->type->dims[i],
                           "the first N-1 dimensions of boundaries tensor and input value tensor must match"))
            return false;
    if (sorter && sorter->type->rank != seq->rank)
        return ir_fail(x, "RuntimeError", "boundary and sorter must have the same size");
    return found(x, v->type);
}

bool ir_rule_bucketize(ir_infer *x) {
    const ir_arg *v = ir_arg_named(x, "self");
    if (ir_arg_tensor(x, "boundaries")->rank != 1)
        return ir_fail(x, "RuntimeError", "boundaries tensor must be 1 dimension, but got dim(%d)",
                       ir_arg_tensor(x, "boundaries")->rank);
    return found(x, v->kind == A_TENSOR ? v->type : NULL);
}

bool ir_rule_histc(ir_infer *x) {
    const ir_dim *n = ir_arg_named(x, "bins")->dim;
    if (!ir_require_le(x, num(x, 1), n, "bins must be > 0")) return false;
    if (!ir_is_float(self_of(x)->dtype))
        return ir_fail(x, "RuntimeError", "histc: not implemented for integers");
    return ir_result(x, self_of(x)->dtype, 1, &n);
}

/* ------------------------------------------------------------------ embedding bags, regions */

bool ir_rule_embedding_bag(ir_infer *x) {
    const ir_type *w = ir_arg_tensor(x, "weight"), *index = ir_arg_tensor(x, "indices"),
                  *offsets = ir_arg_tensor(x, "offsets");
    bool last;
    int64_t mode;
    if (!ir_arg_const_int(x, "mode", &mode)) return ir_missing(x, "embedding_bag: 'mode' must be constant");
    if (mode < 0 || mode > 2) return ir_fail(x, "RuntimeError", "mode has to be one of sum, mean or max");
    if (!ir_arg_bool(x, "include_last_offset", &last)) return false;
    if (w->rank != 2) return ir_fail(x, "RuntimeError", "embedding_bag: 'weight' must be 2-D");
    if (!ir_is_int(index->dtype) || !ir_is_int(offsets->dtype))
        return ir_fail(x, "RuntimeError", "embedding_bag: expected scalar type Long for indices and offsets");
    if (index->rank != 1 || offsets->rank != 1)
        return ir_fail(x, "RuntimeError", "embedding_bag: indices and offsets have to be 1D Tensors");
    const ir_arg *per = ir_arg_given(x, "per_sample_weights");
    if (per && mode != 0)
        return ir_fail(x, "RuntimeError",
                       "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
                       "for mode='sum'");
    if (per && (per->type->rank != 1 || per->type->dtype != w->dtype))
        return ir_fail(x, "RuntimeError",
                       "embedding_bag: expected 'per_sample_weights' to have the dtype of 'weight' and the "
                       "shape of 'indices'");
    const ir_dim *bags = last ? ir_dim_sub(C, offsets->dims[0], num(x, 1)) : offsets->dims[0];
    if (last &&
        !ir_require_le(x, num(x, 0), bags, "include_last_offset: number of offsets should be at least 1"))
        return false;
    const ir_dim *out[2] = {bags, w->dims[1]};
    const ir_dim *none = num(x, 0);
    return ir_result_at(x, 0, w->dtype, 2, out) &&
           ir_result_at(x, 1, DT_I64, 1, mode == 0 ? &none : &index->dims[0]) &&
           ir_result_at(x, 2, DT_I64, 1, &bags) &&
           ir_result_at(x, 3, DT_I64, mode == 2 ? 2 : 1, mode == 2 ? out : &bags);
}

bool ir_rule_roi_align(ir_infer *x) {
    const ir_type *t = self_of(x), *rois = ir_arg_tensor(x, "rois");
    if (t->rank != 4 || rois->rank != 2)
        return ir_fail(x, "RuntimeError", "roi_align: expected a 4D input and rois of shape [K, 5]");
    if (!ir_require_eq(x, rois->dims[1], num(x, 5), "rois must have shape as Tensor[K, 5]")) return false;
    const ir_dim *dims[4] = {rois->dims[0], t->dims[1], ir_arg_named(x, "pooled_height")->dim,
                             ir_arg_named(x, "pooled_width")->dim};
    return ir_result(x, t->dtype, 4, dims);
}

/* ------------------------------------------------------------------ linear algebra */

static bool is_square(ir_infer *x, const ir_type *t) {
    if (t->rank < 2)
        return ir_fail(x, "RuntimeError", "%s: The input tensor must have at least 2 dimensions.",
                       x->op->name);
    if (t->dtype != DT_F32 && t->dtype != DT_F64)
        return ir_fail(x, "RuntimeError", "%s: Expected a floating point tensor of f32 or f64", x->op->name);
    return ir_require_eq(x, t->dims[t->rank - 2], t->dims[t->rank - 1],
                         "%s: A must be batches of square matrices, but they are %s by %s matrices",
                         x->op->name, ir_dims_text(C, 1, &t->dims[t->rank - 2]),
                         ir_dims_text(C, 1, &t->dims[t->rank - 1]));
}

bool ir_rule_square(ir_infer *x) {
    const ir_type *t = self_of(x);
    return is_square(x, t) && ir_result(x, t->dtype, t->rank, t->dims);
}

bool ir_rule_det(ir_infer *x) {
    const ir_type *t = self_of(x);
    return is_square(x, t) && ir_result(x, t->dtype, t->rank - 2, t->dims);
}

/* B is a batch of vectors if it has the shape of A without the last dim, else of matrices. */
bool ir_rule_solve(ir_infer *x) {
    const ir_type *a = self_of(x), *b = ir_arg_tensor(x, "B");
    bool left, vector = b->rank == 1;
    if (!is_square(x, a) || !ir_arg_bool(x, "left", &left)) return false;
    if (!left) return ir_missing(x, "linalg_solve with left=False");
    if (a->dtype != b->dtype)
        return ir_fail(x, "RuntimeError", "linalg.solve: Expected A and B to have the same dtype");
    if (b->rank == a->rank - 1 && a->rank > 1) {
        vector = true;
        for (int i = 0; i < b->rank; i++)
            if (ir_dim_eq(C, a->dims[i], b->dims[i]) != IR_YES) vector = b->rank == 1;
    }
    if (!vector && b->rank < 2)
        return ir_fail(x, "RuntimeError", "linalg.solve: B must have at least 1 dimension");
    int nb = a->rank - 2, mb = b->rank - (vector ? 1 : 2), rank;
    const ir_type *batches[2] = {ir_type_tensor(C, a->dtype, nb, a->dims),
                                 ir_type_tensor(C, b->dtype, mb, b->dims)};
    const ir_dim *dims[RT_MAX_RANK + 2], *n = a->dims[a->rank - 1];
    if (!ir_broadcast_dims(x, 2, batches, &rank, dims)) return false;
    if (!ir_require_eq(x, n, b->dims[mb],
                       "linalg.solve: Incompatible shapes of A and B for the equation AX = B"))
        return false;
    dims[rank++] = n;
    if (!vector) dims[rank++] = b->dims[mb + 1];
    return ir_result(x, a->dtype, rank, dims);
}

bool ir_rule_svdvals(ir_infer *x) {
    const ir_type *t = self_of(x);
    if (t->rank < 2 || (t->dtype != DT_F32 && t->dtype != DT_F64))
        return ir_fail(x, "RuntimeError",
                       "linalg.svdvals: The input tensor A must be a float tensor of at least 2 dimensions.");
    const ir_dim *dims[RT_MAX_RANK];
    memcpy(dims, t->dims, (size_t)(t->rank - 1) * sizeof *dims);
    dims[t->rank - 2] = ir_dim_smaller(C, t->dims[t->rank - 2], t->dims[t->rank - 1]);
    return ir_result(x, t->dtype, t->rank - 1, dims);
}

bool ir_rule_slogdet(ir_infer *x) {
    const ir_type *t = self_of(x);
    return ir_rule_det(x) && ir_result_at(x, 1, t->dtype, t->rank - 2, t->dims);
}

bool ir_rule_eigh(ir_infer *x) {
    const ir_type *t = self_of(x);
    return is_square(x, t) && ir_result_at(x, 0, t->dtype, t->rank - 1, t->dims) &&
           ir_result_at(x, 1, t->dtype, t->rank, t->dims);
}

bool ir_rule_solve_triangular(ir_infer *x) {
    const ir_type *a = self_of(x), *b = ir_arg_tensor(x, "B");
    bool left;
    if (!is_square(x, a) || !ir_arg_bool(x, "left", &left)) return false;
    if (!left || a->rank != b->rank)
        return ir_missing(x, "linalg_solve_triangular with left=False or broadcast batches");
    for (int i = 0; i < a->rank - 1; i++)
        if (!ir_require_eq(x, a->dims[i], b->dims[i],
                           "linalg.solve_triangular: Incompatible shapes of A and B"))
            return false;
    return ir_result(x, a->dtype, b->rank, b->dims);
}

/* Batch dims of t followed by rows, cols. */
static bool matrix_result(ir_infer *x, int k, const ir_type *t, const ir_dim *rows, const ir_dim *cols) {
    const ir_dim *dims[RT_MAX_RANK];
    memcpy(dims, t->dims, (size_t)t->rank * sizeof *dims);
    dims[t->rank - 2] = rows, dims[t->rank - 1] = cols;
    return ir_result_at(x, k, t->dtype, t->rank, dims);
}

static bool is_matrix(ir_infer *x, const ir_type *t) {
    if (t->rank < 2 || (t->dtype != DT_F32 && t->dtype != DT_F64))
        return ir_fail(x, "RuntimeError",
                       "%s: The input tensor A must be a float tensor of at least 2 dimensions.",
                       x->op->name);
    return true;
}

bool ir_rule_qr(ir_infer *x) {
    const ir_type *t = self_of(x);
    const char *mode;
    if (!is_matrix(x, t) || !ir_arg_str(x, "mode", &mode)) return false;
    const ir_dim *m = t->dims[t->rank - 2], *n = t->dims[t->rank - 1], *k = ir_dim_smaller(C, m, n),
                 *none = num(x, 0);
    const ir_dim *side = !strcmp(mode, "complete") ? m : k;
    bool ok = !strcmp(mode, "r") ? ir_result_at(x, 0, t->dtype, 1, &none) : matrix_result(x, 0, t, m, side);
    return ok && matrix_result(x, 1, t, side, n);
}

bool ir_rule_svd(ir_infer *x) {
    const ir_type *t = self_of(x);
    bool full;
    if (!is_matrix(x, t) || !ir_arg_bool(x, "full_matrices", &full)) return false;
    const ir_dim *m = t->dims[t->rank - 2], *n = t->dims[t->rank - 1], *k = ir_dim_smaller(C, m, n);
    if (!matrix_result(x, 0, t, m, full ? m : k) || !matrix_result(x, 2, t, full ? n : k, n)) return false;
    const ir_dim *dims[RT_MAX_RANK];
    memcpy(dims, t->dims, (size_t)t->rank * sizeof *dims);
    dims[t->rank - 2] = k;
    return ir_result_at(x, 1, t->dtype, t->rank - 1, dims);
}

/* ------------------------------------------------------------------ run-time lists */

bool ir_rule_cat_list(ir_infer *x) {
    const ir_type *l = ir_arg_named(x, "tensors")->type, *t = l && l->kind == T_LIST ? l->elem[0] : NULL;
    int axis;
    if (!t || t->kind != T_TENSOR || t->rank < 0)
        return ir_missing(x, "%s of a list whose elements have no one dtype and rank", x->op->full);
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    const ir_dim **dims = ir_dims_new(C, t->rank);
    for (int i = 0; i < t->rank; i++)
        dims[i] = i != axis && t->dims[i] ? t->dims[i] : ir_dim_fresh(C, "u", 0, INT32_MAX);
    x->data_dependent = true;
    return ir_result(x, t->dtype, t->rank, dims);
}
