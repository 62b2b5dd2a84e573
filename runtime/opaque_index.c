/* opaque_index.c: kernels whose result size or place the data decides: nonzero, masked_select,
 * masked_scatter, searchsorted, bucketize, bincount, histc, repeat_interleave, nms. */
#include "runtime/opaque.h"

#include <math.h>

/* ------------------------------------------------------------------ nonzero and masks */

static bool is_nonzero(const rt_tensor *t, int64_t at) { /* NaN counts as true */
    if (rt_dtypes[t->dtype].kind == 'F') return !(rt_load_f64(t->storage->data, t->dtype, at) == 0);
    return rt_load_i64(t->storage->data, t->dtype, at) != 0;
}

/* Counts up an index; false after the last. */
static bool next_index(int n, const int64_t *shape, int64_t *at) {
    for (int i = n - 1; i >= 0; i--) {
        if (++at[i] < shape[i]) return true;
        at[i] = 0;
    }
    return false;
}

HOST(rt_op_nonzero) {
    WANT(0, V_TENSOR);
    rt_tensor *c = rt_contiguous(args[0].tensor);
    if (!c) return rt_host_memory_error(env);
    int64_t n = rt_tensor_numel(c), shape[2] = {0, c->ndim}, at[RT_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++) shape[0] += is_nonzero(c, c->offset + i);
    rt_tensor *r = rt_tensor_new(DT_I64, 2, shape);
    int64_t *p = r ? r->storage->data : NULL;
    for (int64_t i = 0; r && i < n; i++, next_index(c->ndim, c->shape, at))
        if (is_nonzero(c, c->offset + i))
            for (int d = 0; d < c->ndim; d++) *p++ = at[d];
    rt_tensor_release(c);
    return rt_give_tensors(env, out, 1, &r);
}

/* Two tensors at their common shape, contiguous and owned. */
static bool expand_both(rt_env *env, const rt_value *args, rt_tensor **a, rt_tensor **b) {
    int n;
    int64_t shape[RT_MAX_RANK];
    if (!rt_broadcast(env, args[0].tensor, args[1].tensor, &n, shape)) return false;
    *a = rt_expanded(args[0].tensor, n, shape);
    *b = rt_expanded(args[1].tensor, n, shape);
    if (*a && *b) return true;
    rt_tensor_release(*a);
    rt_tensor_release(*b);
    return rt_host_memory_error(env);
}

HOST(rt_op_masked_select) {
    WANT(0, V_TENSOR);
    WANT(1, V_TENSOR);
    rt_tensor *t, *m;
    if (!expand_both(env, args, &t, &m)) return false;
    int64_t n = rt_tensor_numel(t), count = 0;
    size_t bytes = (size_t)rt_dtypes[t->dtype].bytes;
    for (int64_t i = 0; i < n; i++) count += is_nonzero(m, m->offset + i);
    rt_tensor *r = rt_tensor_new(t->dtype, 1, &count);
    char *p = r ? r->storage->data : NULL;
    for (int64_t i = 0; r && i < n; i++) {
        if (!is_nonzero(m, m->offset + i)) continue;
        memcpy(p, (const char *)rt_tensor_data(t) + (size_t)i * bytes, bytes);
        p += bytes;
    }
    rt_tensor_release(t);
    rt_tensor_release(m);
    return rt_give_tensors(env, out, 1, &r);
}

HOST(rt_op_masked_scatter) {
    WANT(0, V_TENSOR);
    WANT(1, V_TENSOR);
    WANT(2, V_TENSOR);
    rt_tensor *t, *m, *src;
    if (args[2].tensor->dtype != args[0].tensor->dtype)
        return rt_raise(env, "RuntimeError", "masked_scatter: expected self and source to have same dtypes");
    if (!expand_both(env, args, &t, &m)) return false;
    src = rt_contiguous(args[2].tensor);
    int64_t n = rt_tensor_numel(t), used = 0, have = src ? rt_tensor_numel(src) : 0;
    size_t bytes = (size_t)rt_dtypes[t->dtype].bytes;
    bool ok = true;
    for (int64_t i = 0; src && i < n && ok; i++) {
        if (!is_nonzero(m, m->offset + i)) continue;
        ok = used < have;
        if (ok)
            memcpy((char *)rt_tensor_data(t) + (size_t)i * bytes,
                   (const char *)rt_tensor_data(src) + (size_t)used++ * bytes, bytes);
    }
    rt_tensor_release(m);
    if (src && ok) {
        rt_tensor_release(src);
        return rt_give_tensors(env, out, 1, &t);
    }
    bool memory = !src;
    rt_tensor_release(src);
    rt_tensor_release(t);
    return memory ? rt_host_memory_error(env)
                  : rt_raise(env, "RuntimeError", "Number of elements of source < number of ones in mask");
}

/* ------------------------------------------------------------------ search */

/* How many of the sorted values seq[at .. at+n) lie before v (at or before, if right); order: sorter or NULL.
 */
static int64_t search(const rt_tensor *seq, int64_t at, int64_t n, const rt_tensor *order, int64_t order_at,
                      rt_value v, bool right) {
    int64_t lo = 0, hi = n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2,
                i = order ? rt_load_i64(order->storage->data, order->dtype, order_at + mid) : mid;
        if (i < 0 || i >= n) return -1;
        bool before;
        if (v.tag != V_FLOAT && rt_dtypes[seq->dtype].kind != 'F') {
            int64_t x = rt_load_i64(seq->storage->data, seq->dtype, at + i);
            before = right ? !(x > v.i) : !(x >= v.i);
        } else {
            double x = rt_load_f64(seq->storage->data, seq->dtype, at + i), y = rt_host_number(v);
            before = right ? !(x > y) : !(x >= y);
        }
        if (before) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static rt_value element(const rt_tensor *t, int64_t i) { /* t contiguous */
    if (rt_dtypes[t->dtype].kind == 'F')
        return rt_float(rt_load_f64(t->storage->data, t->dtype, t->offset + i));
    return rt_int(rt_load_i64(t->storage->data, t->dtype, t->offset + i));
}

/* seq, values and sorter contiguous; values NULL: the number v. */
static bool search_all(rt_env *env, const rt_tensor *seq, const rt_tensor *values, rt_value v,
                       const rt_tensor *sorter, bool small, bool right, rt_value *out) {
    int64_t n = seq->ndim ? seq->shape[seq->ndim - 1] : 1, count = values ? rt_tensor_numel(values) : 1;
    int64_t per = values && seq->ndim > 1 && values->ndim ? values->shape[values->ndim - 1] : count;
    int64_t rows = seq->ndim > 1 && n ? rt_tensor_numel(seq) / n : 1;
    rt_tensor *r =
        rt_tensor_new(small ? DT_I32 : DT_I64, values ? values->ndim : 0, values ? values->shape : NULL);
    for (int64_t i = 0; r && i < count; i++) {
        int64_t row = per ? i / per : 0;
        if (rows > 0 && row >= rows) row = rows - 1;
        int64_t at = search(seq, seq->offset + row * n, n, sorter, sorter ? sorter->offset + row * n : 0,
                            values ? element(values, i) : v, right);
        if (at < 0) {
            rt_tensor_release(r);
            return rt_raise(env, "RuntimeError", "torch.searchsorted(): sorter index out of range");
        }
        rt_store_i64(r->storage->data, r->dtype, i, at);
    }
    return rt_give_tensors(env, out, 1, &r);
}

/* Makes the tensors contiguous around search_all. */
static bool search_in(rt_env *env, const rt_tensor *seq, rt_value v, rt_value sorter, bool small, bool right,
                      rt_value *out) {
    rt_tensor *s = rt_contiguous(seq), *x = v.tag == V_TENSOR ? rt_contiguous(v.tensor) : NULL;
    rt_tensor *o = sorter.tag == V_TENSOR ? rt_contiguous(sorter.tensor) : NULL;
    bool ok = s && (x || v.tag != V_TENSOR) && (o || sorter.tag != V_TENSOR);
    if (!ok) rt_host_memory_error(env);
    else if (o && rt_tensor_numel(o) != rt_tensor_numel(s))
        ok = rt_raise(env, "RuntimeError", "boundary and sorter must have the same size");
    else ok = search_all(env, s, x, v, o, small, right, out);
    rt_tensor_release(s);
    rt_tensor_release(x);
    rt_tensor_release(o);
    return ok;
}

HOST(rt_op_searchsorted) { /* sorted_sequence, self, out_int32, right, side, sorter */
    WANT(0, V_TENSOR);
    bool right = rt_int_arg(args[3], 0);
    if (args[1].tag != V_TENSOR && !rt_is_number(args[1])) return rt_host_type_error(env, 1);
    if (args[4].tag == V_STR) {
        const char *side = args[4].str->s;
        if (strcmp(side, "left") && strcmp(side, "right"))
            return rt_raise(env, "RuntimeError",
                            "torch.searchsorted(): side can only be 'left' or 'right' but got %s", side);
        if (right && !strcmp(side, "left"))
            return rt_raise(env, "RuntimeError",
                            "torch.searchsorted(): side and right can't be set to opposites, got side of "
                            "left while right was True");
        right = !strcmp(side, "right");
    }
    const rt_tensor *seq = args[0].tensor;
    if (args[1].tag == V_TENSOR && seq->ndim > 1) {
        const rt_tensor *v = args[1].tensor;
        bool same = v->ndim == seq->ndim;
        for (int i = 0; same && i < seq->ndim - 1; i++) same = v->shape[i] == seq->shape[i];
        if (!same)
            return rt_raise(
                env, "RuntimeError",
                "the first N-1 dimensions of boundaries tensor and input value tensor must match");
    }
    return search_in(env, seq, args[1], args[5], rt_int_arg(args[2], 0), right, out);
}

HOST(rt_op_bucketize) { /* self, boundaries, out_int32, right */
    WANT(1, V_TENSOR);
    if (args[0].tag != V_TENSOR && !rt_is_number(args[0])) return rt_host_type_error(env, 0);
    if (args[1].tensor->ndim != 1)
        return rt_raise(env, "RuntimeError", "boundaries tensor must be 1 dimension, but got dim(%d)",
                        args[1].tensor->ndim);
    return search_in(env, args[1].tensor, args[0], V_NULL, rt_int_arg(args[2], 0), rt_int_arg(args[3], 0),
                     out);
}

/* ------------------------------------------------------------------ counts */

static rt_tensor *zeros(rt_dtype dtype, int n, const int64_t *shape) {
    rt_tensor *t = rt_tensor_new(dtype, n, shape);
    if (t) memset(t->storage->data, 0, (size_t)rt_tensor_numel(t) * (size_t)rt_dtypes[dtype].bytes);
    return t;
}

HOST(rt_op_bincount) { /* self, weights, minlength */
    WANT(0, V_TENSOR);
    const rt_tensor *w = args[1].tag == V_TENSOR ? args[1].tensor : NULL;
    int64_t n = rt_int_arg(args[2], 0), most = -1;
    if (args[0].tensor->ndim != 1)
        return rt_raise(env, "RuntimeError", "bincount only supports 1-d non-negative integral inputs.");
    rt_rows t = rt_rows_of(args[0].tensor, 0), v = w && w->ndim == 1 ? rt_rows_of(w, 0) : t;
    if (w && (w->ndim != 1 || v.len != t.len))
        return rt_raise(env, "RuntimeError", "weights should be 1-d and have the same length as input");
    if (n < 0) return rt_raise(env, "RuntimeError", "minlength should be >= 0");
    const void *data = t.t->storage->data;
    for (int64_t i = 0; i < t.len; i++) {
        int64_t x = rt_load_i64(data, t.t->dtype, t.t->offset + i * t.step);
        if (x < 0)
            return rt_raise(env, "RuntimeError", "bincount only supports 1-d non-negative integral inputs.");
        if (x > most) most = x;
    }
    if (most >= n && !rt_add_i64(most, 1, &n)) return rt_host_memory_error(env);
    rt_dtype dtype = !w ? DT_I64 : w->dtype == DT_F32 ? DT_F32 : DT_F64;
    rt_tensor *r = zeros(dtype, 1, &n);
    for (int64_t i = 0; r && i < t.len; i++) {
        int64_t x = rt_load_i64(data, t.t->dtype, t.t->offset + i * t.step);
        void *to = r->storage->data;
        if (!w) ((int64_t *)to)[x]++;
        else
            rt_store_f64(to, dtype, x,
                         rt_load_f64(to, dtype, x) +
                             rt_load_f64(w->storage->data, w->dtype, w->offset + i * v.step));
    }
    return rt_give_tensors(env, out, 1, &r);
}

/* The range of histc: as given, or that of the data. */
static bool histc_range(rt_env *env, const rt_tensor *t, int64_t n, double *lo, double *hi) {
    if (*lo == *hi && n) {
        *lo = INFINITY, *hi = -INFINITY;
        for (int64_t i = 0; i < n; i++) {
            double x = rt_load_f64(t->storage->data, t->dtype, t->offset + i);
            if (isnan(x)) *lo = *hi = x;
            if (isnan(*lo)) break;
            *lo = x < *lo ? x : *lo, *hi = x > *hi ? x : *hi;
        }
    }
    if (*lo == *hi) *lo -= 1, *hi += 1;
    if (!isfinite(*lo) || !isfinite(*hi))
        return rt_raise(env, "RuntimeError", "histc: range of [%g, %g] is not finite", *lo, *hi);
    if (*lo > *hi) return rt_raise(env, "RuntimeError", "torch.histc: max must be larger than min");
    return true;
}

HOST(rt_op_histc) { /* self, bins, min, max */
    WANT(0, V_TENSOR);
    WANT(1, V_INT);
    int64_t bins = args[1].i;
    if (bins <= 0) return rt_raise(env, "RuntimeError", "bins must be > 0");
    rt_tensor *c = rt_contiguous(args[0].tensor);
    if (!c) return rt_host_memory_error(env);
    double lo = rt_host_number(args[2]), hi = rt_host_number(args[3]);
    int64_t n = rt_tensor_numel(c);
    bool single = c->dtype == DT_F32;
    if (!histc_range(env, c, n, &lo, &hi)) return rt_tensor_release(c), false;
    rt_tensor *count = zeros(DT_F64, 1, &bins), *r = NULL;
    for (int64_t i = 0; count && i < n; i++) {
        double x = rt_load_f64(c->storage->data, c->dtype, c->offset + i);
        if (!(x >= lo && x <= hi)) continue;
        double at = single ? ((float)x - (float)lo) * (float)bins / ((float)hi - (float)lo)
                           : (x - lo) * (double)bins / (hi - lo);
        int64_t bin = (int64_t)at;
        ((double *)count->storage->data)[bin < bins ? bin : bins - 1] += 1;
    }
    if (count) r = rt_tensor_copy_to(count, c->dtype);
    rt_tensor_release(count);
    rt_tensor_release(c);
    return rt_give_tensors(env, out, 1, &r);
}

/* ------------------------------------------------------------------ repeat_interleave */

/* Row numbers, each as often as `repeats` says; a single repeat counts for all n rows.  NULL: raised. */
static rt_tensor *repeat_rows(rt_env *env, const rt_tensor *repeats, int64_t n, rt_value output_size) {
    int64_t step = repeats->ndim && repeats->shape[0] != 1 ? repeats->strides[0] : 0, total = 0;
    const void *data = repeats->storage->data;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = rt_load_i64(data, repeats->dtype, repeats->offset + i * step);
        if (k < 0) return rt_raise(env, "RuntimeError", "repeats can not be negative"), NULL;
        if (!rt_add_i64(total, k, &total)) return rt_host_memory_error(env), NULL;
    }
    if (output_size.tag == V_INT && output_size.i != total)
        return rt_raise(env, "RuntimeError", "allocated size does not match required size"), NULL;
    rt_tensor *r = rt_tensor_new(DT_I64, 1, &total);
    if (!r) return rt_host_memory_error(env), NULL;
    int64_t *p = r->storage->data;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = rt_load_i64(data, repeats->dtype, repeats->offset + i * step); k > 0; k--) *p++ = i;
    return r;
}

HOST(rt_op_repeats) { /* repeats, output_size */
    WANT(0, V_TENSOR);
    const rt_tensor *t = args[0].tensor;
    if (t->ndim > 1)
        return rt_raise(env, "RuntimeError", "repeat_interleave only accept 1D vector as repeat");
    rt_tensor *r = repeat_rows(env, t, t->ndim ? t->shape[0] : 1, args[1]);
    if (!r) return false;
    *out = rt_tensor_value(r);
    return true;
}

/* ------------------------------------------------------------------ nms */

static bool higher_score(const void *env, int64_t a, int64_t b) { return rt_key_less(env, b, a); }

/* Overlap of boxes a and b (x1, y1, x2, y2) as a share of their union, in the precision of the boxes. */
static bool overlaps(const double *a, const double *b, double limit, bool single) {
    double x1 = a[0] > b[0] ? a[0] : b[0], y1 = a[1] > b[1] ? a[1] : b[1];
    double x2 = a[2] < b[2] ? a[2] : b[2], y2 = a[3] < b[3] ? a[3] : b[3];
    if (single) {
        float w = (float)x2 - (float)x1, h = (float)y2 - (float)y1;
        float inter = (w > 0 ? w : 0) * (h > 0 ? h : 0);
        float area_a = ((float)a[2] - (float)a[0]) * ((float)a[3] - (float)a[1]);
        float area_b = ((float)b[2] - (float)b[0]) * ((float)b[3] - (float)b[1]);
        return (double)(inter / (area_a + area_b - inter)) > limit;
    }
    double w = x2 - x1, h = y2 - y1, inter = (w > 0 ? w : 0) * (h > 0 ? h : 0);
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter) > limit;
}

static rt_tensor *nms(const double *box, const rt_keys *score, int64_t n, double limit, bool single) {
    int64_t *order = rt_calloc((size_t)n, 8), *tmp = rt_calloc((size_t)n, 8), kept = 0;
    rt_tensor *r = NULL;
    if (order && tmp) {
        for (int64_t i = 0; i < n; i++) order[i] = i;
        rt_sort_order(order, tmp, n, higher_score, score);
        for (int64_t i = 0; i < n; i++) {
            bool drop = false;
            for (int64_t j = 0; j < kept && !drop; j++)
                drop = overlaps(box + 4 * tmp[j], box + 4 * order[i], limit, single);
            if (!drop) tmp[kept++] = order[i];
        }
        r = rt_tensor_new(DT_I64, 1, &kept);
        if (r && kept) memcpy(r->storage->data, tmp, (size_t)kept * 8);
    }
    rt_free(order);
    rt_free(tmp);
    return r;
}

HOST(rt_op_nms) { /* dets, scores, iou_threshold */
    WANT(0, V_TENSOR);
    WANT(1, V_TENSOR);
    if (!rt_is_number(args[2])) return rt_host_type_error(env, 2);
    const rt_tensor *b = args[0].tensor, *s = args[1].tensor;
    if (b->ndim != 2 || b->shape[1] != 4 || s->ndim != 1 || s->shape[0] != b->shape[0])
        return rt_raise(env, "RuntimeError", "nms: boxes should be [N, 4] and scores [N]");
    rt_tensor *box = rt_tensor_copy_to(b, DT_F64), *r = NULL;
    rt_keys keys;
    bool ok = rt_keys_new(&keys, s->dtype, s->shape[0]) && box;
    if (ok) {
        rt_keys_load(&keys, s, s->offset, s->strides[0], s->shape[0]);
        r = nms(box->storage->data, &keys, s->shape[0], rt_host_number(args[2]), b->dtype == DT_F32);
    }
    rt_keys_free(&keys);
    rt_tensor_release(box);
    return rt_give_tensors(env, out, 1, &r);
}
