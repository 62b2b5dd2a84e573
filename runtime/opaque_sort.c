/* opaque_sort.c: kernels of sort, argsort, topk, kthvalue, median, mode, and of the unique family.
 *
 * All order by the same comparison: NaN is the greatest value.  sort and argsort are stable in both
 * directions; what selects (topk, kthvalue, median, mode) breaks ties as PyTorch's kernels do
 * (opaque_select.c). */
#include "runtime/opaque.h"

#include <math.h>

/* ------------------------------------------------------------------ one row at a time */

typedef struct sorter {
    bool descending;
    rt_dtype dtype;
    rt_item *o, *tmp; /* of one row */
} sorter;

static bool sorter_new(sorter *s, const rt_tensor *t, int64_t n, bool descending) {
    *s = (sorter){.descending = descending, .dtype = t->dtype};
    s->o = rt_calloc((size_t)n, sizeof *s->o);
    s->tmp = rt_calloc((size_t)n, sizeof *s->tmp);
    return s->o && s->tmp;
}

static void sorter_free(sorter *s) {
    rt_free(s->o);
    rt_free(s->tmp);
}

/* Brings s->o of one row into an order in which the first k are wanted. */
typedef void arrange(sorter *s, int64_t n, int64_t k);

static void load_row(sorter *s, const rt_rows *rows, int64_t row) {
    rt_items_load(s->o, rows->t, rt_row_at(rows, row), rows->step, rows->len, s->descending);
}

static void arrange_stable(sorter *s, int64_t n, int64_t k) {
    (void)k;
    rt_items_sort(s->o, s->tmp, n);
}

enum { PARTIAL_SORT_FROM = 64 }; /* topk sorts partially where n is that much larger than k */

static void arrange_top(sorter *s, int64_t n, int64_t k) {
    if (k == 0) return;
    if (k <= RT_SELECT_FEW && k < n / 4 && rt_select_few(s->o, n, k, s->tmp)) {
        memcpy(s->o, s->tmp, (size_t)k * sizeof *s->o);
        return;
    }
    if (k <= n / PARTIAL_SORT_FROM) {
        rt_select_partial_sort(s->o, k, n);
        return;
    }
    rt_select_nth(s->o, k - 1, n);
    rt_select_sort(s->o, k - 1);
}

/* Copies element `from` of a row of `in` to place `to` of the same row of `out`, and its number to `index`.
 */
static void take(const rt_rows *in, int64_t at_in, int64_t from, const rt_rows *out, int64_t at_out,
                 int64_t to, rt_tensor *index) {
    int bytes = rt_dtypes[in->t->dtype].bytes;
    const char *src = (const char *)in->t->storage->data + (at_in + from * in->step) * bytes;
    memcpy((char *)out->t->storage->data + (at_out + to * out->step) * bytes, src, (size_t)bytes);
    ((int64_t *)index->storage->data)[at_out + to * out->step] = from;
}

static rt_tensor *tensor_along(rt_dtype dtype, const rt_tensor *t, int axis, int64_t n, bool keep) {
    int64_t shape[RT_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < t->ndim; i++)
        if (i != axis) shape[rank++] = t->shape[i];
        else if (keep) shape[rank++] = n;
    return rt_tensor_new(dtype, rank, shape);
}

/* The first k of each arranged row. */
static bool sort_into(rt_env *env, const rt_tensor *t, int axis, bool descending, int64_t k, arrange *order,
                      rt_value *out) {
    sorter s = {0};
    rt_tensor *r[2] = {tensor_along(t->dtype, t, axis, k, true), tensor_along(DT_I64, t, axis, k, true)};
    rt_rows in = rt_rows_of(t, axis);
    bool ok = r[0] && r[1] && sorter_new(&s, t, in.len, descending);
    if (ok) {
        rt_rows to = rt_rows_of(r[0], axis);
        for (int64_t row = 0; row < in.n; row++) {
            int64_t at_in = rt_row_at(&in, row), at_out = rt_row_at(&to, row);
            load_row(&s, &in, row);
            order(&s, in.len, k);
            for (int64_t i = 0; i < k; i++) take(&in, at_in, s.o[i].at, &to, at_out, i, r[1]);
        }
    }
    sorter_free(&s);
    if (ok) return rt_give_tensors(env, out, 2, r);
    rt_tensor_release(r[0]);
    rt_tensor_release(r[1]);
    return rt_host_memory_error(env);
}

static bool sort_all(rt_env *env, const rt_tensor *t, rt_value dim, rt_value descending, rt_value *out) {
    int axis;
    if (!rt_axis_arg(env, dim, t, &axis)) return false;
    return sort_into(env, t, axis, rt_int_arg(descending, 0), axis < 0 ? 1 : t->shape[axis], arrange_stable,
                     out);
}

static bool argsort_all(rt_env *env, const rt_tensor *t, rt_value dim, rt_value descending, rt_value *out) {
    rt_value both[2];
    if (!sort_all(env, t, dim, descending, both)) return false;
    rt_release(both[0]);
    *out = both[1];
    return true;
}

HOST(rt_op_sort) {
    WANT(0, V_TENSOR);
    return sort_all(env, args[0].tensor, args[1], args[2], out);
}
HOST(rt_op_sort_stable) {
    WANT(0, V_TENSOR);
    return sort_all(env, args[0].tensor, args[2], args[3], out);
}
HOST(rt_op_argsort) {
    WANT(0, V_TENSOR);
    return argsort_all(env, args[0].tensor, args[1], args[2], out);
}
HOST(rt_op_argsort_stable) {
    WANT(0, V_TENSOR);
    return argsort_all(env, args[0].tensor, args[2], args[3], out);
}

HOST(rt_op_topk) {
    WANT(0, V_TENSOR);
    WANT(1, V_INT);
    const rt_tensor *t = args[0].tensor;
    int axis;
    if (!rt_axis_arg(env, args[2], t, &axis)) return false;
    if (args[1].i < 0 || args[1].i > (axis < 0 ? 1 : t->shape[axis]))
        return rt_raise(env, "RuntimeError", "selected index k out of range");
    return sort_into(env, t, axis, rt_int_arg(args[3], 1), args[1].i, arrange_top, out);
}

/* ------------------------------------------------------------------ one element of each row */

/* Chooses an element of a row of n > 0, using s->o. */
typedef int64_t chooser(sorter *s, int64_t n, int64_t k);

static int64_t choose_kth(sorter *s, int64_t n, int64_t k) {
    rt_select_quick(s->o, k - 1, n); /* which goes through the row in descending order */
    return s->o[k - 1].at;
}

/* The lower median; the first NaN wins. */
static int64_t choose_median(sorter *s, int64_t n, int64_t k) {
    (void)k;
    for (int64_t i = 0; i < n; i++)
        if (rt_item_is_nan(s->dtype, s->o[i])) return i;
    rt_select_nth(s->o, (n - 1) / 2, n);
    return s->o[(n - 1) / 2].at;
}

static int64_t choose_nanmedian(sorter *s, int64_t n, int64_t k) {
    (void)k;
    int64_t count = n;
    for (int64_t i = 0; i < n; i++) count -= rt_item_is_nan(s->dtype, s->o[i]);
    int64_t at = count ? (count - 1) / 2 : 0;
    rt_select_nth(s->o, at, n);
    return s->o[at].at;
}

/* The smallest of the most frequent values, at the last place of its run. */
static int64_t choose_mode(sorter *s, int64_t n, int64_t k) {
    (void)k;
    rt_select_sort(s->o, n);
    int64_t best = 0, most = 0, run = 0;
    for (int64_t i = 0; i < n; i++) {
        run++;
        bool last = i + 1 == n || s->o[i].key < s->o[i + 1].key || rt_item_is_nan(s->dtype, s->o[i]);
        if (!last) continue;
        if (run > most) most = run, best = s->o[i].at;
        run = 0;
    }
    return best;
}

static bool pick(rt_env *env, const rt_tensor *t, rt_value dim, bool keep, chooser *choose, int64_t k,
                 rt_value *out) {
    int axis;
    if (!rt_axis_arg(env, dim, t, &axis)) return false;
    rt_rows in = rt_rows_of(t, axis);
    if (in.n && !in.len)
        return rt_raise(env, "IndexError", "Expected reduction dim %d to have non-zero size.", axis);
    if (choose == choose_kth && (k < 1 || k > in.len))
        return rt_raise(env, "RuntimeError", "kthvalue(): selected number k out of range for dimension %d",
                        axis);
    sorter s = {0};
    rt_tensor *r[2] = {tensor_along(t->dtype, t, axis, 1, keep), tensor_along(DT_I64, t, axis, 1, keep)};
    bool ok = r[0] && r[1] && sorter_new(&s, t, in.len, choose == choose_kth);
    for (int64_t row = 0; ok && row < in.n; row++) {
        rt_rows to = {r[0], -1, in.n, 1, 1};
        load_row(&s, &in, row);
        take(&in, rt_row_at(&in, row), choose(&s, in.len, k), &to, row, 0, r[1]);
    }
    sorter_free(&s);
    if (ok) return rt_give_tensors(env, out, 2, r);
    rt_tensor_release(r[0]);
    rt_tensor_release(r[1]);
    return rt_host_memory_error(env);
}

HOST(rt_op_kthvalue) {
    WANT(0, V_TENSOR);
    WANT(1, V_INT);
    return pick(env, args[0].tensor, args[2], rt_int_arg(args[3], 0), choose_kth, args[1].i, out);
}
HOST(rt_op_median_dim) {
    WANT(0, V_TENSOR);
    return pick(env, args[0].tensor, args[1], rt_int_arg(args[2], 0), choose_median, 0, out);
}
HOST(rt_op_nanmedian_dim) {
    WANT(0, V_TENSOR);
    return pick(env, args[0].tensor, args[1], rt_int_arg(args[2], 0), choose_nanmedian, 0, out);
}
HOST(rt_op_mode) {
    WANT(0, V_TENSOR);
    return pick(env, args[0].tensor, args[1], rt_int_arg(args[2], 0), choose_mode, 0, out);
}

static rt_tensor *flat_view(rt_tensor *t) { /* t contiguous */
    int64_t n = rt_tensor_numel(t), one = 1;
    return rt_tensor_view(t, 1, &n, &one, t->offset);
}

static bool median_all(rt_env *env, rt_tensor *t, chooser *choose, rt_value *out) {
    if (!rt_tensor_numel(t)) {
        rt_tensor *r = rt_tensor_new(t->dtype, 0, NULL);
        if (r) rt_store_f64(r->storage->data, r->dtype, 0, rt_dtypes[t->dtype].kind == 'F' ? (double)NAN : 0);
        return rt_give_tensors(env, out, 1, &r);
    }
    rt_tensor *c = rt_contiguous(t), *flat = c ? flat_view(c) : NULL;
    rt_value both[2];
    bool ok = flat ? pick(env, flat, rt_int(0), false, choose, 0, both) : rt_host_memory_error(env);
    rt_tensor_release(c);
    rt_tensor_release(flat);
    if (!ok) return false;
    rt_release(both[1]);
    *out = both[0];
    return true;
}

HOST(rt_op_median) {
    WANT(0, V_TENSOR);
    return median_all(env, args[0].tensor, choose_median, out);
}
HOST(rt_op_nanmedian) {
    WANT(0, V_TENSOR);
    return median_all(env, args[0].tensor, choose_nanmedian, out);
}

/* ------------------------------------------------------------------ unique: of rows of one or more elements
 */

/* n rows of `width` keys each. */
typedef struct distinct {
    rt_keys keys;
    int64_t n, width;
    int64_t *order, *tmp;
    int64_t *group; /* per row: number of its distinct value */
    int64_t *first; /* per distinct value: a row that has it */
    int64_t *count;
    int64_t ngroups;
} distinct;

static int row_order(const distinct *d, int64_t a, int64_t b) {
    for (int64_t j = 0; j < d->width; j++) {
        if (rt_key_less(&d->keys, a * d->width + j, b * d->width + j)) return -1;
        if (rt_key_less(&d->keys, b * d->width + j, a * d->width + j)) return 1;
    }
    return 0;
}

static bool rows_before(const void *env, int64_t a, int64_t b) { return row_order(env, a, b) < 0; }

/* NaN differs from itself. */
static bool rows_same(const distinct *d, int64_t a, int64_t b) {
    for (int64_t j = 0; j < d->width; j++)
        if (rt_key_is_nan(&d->keys, a * d->width + j)) return false;
    return row_order(d, a, b) == 0;
}

static void distinct_free(distinct *d) {
    rt_keys_free(&d->keys);
    rt_free(d->order);
    rt_free(d->tmp);
    rt_free(d->group);
    rt_free(d->first);
    rt_free(d->count);
}

/* rows: contiguous, of n * width elements.  Sorted unless consecutive.  False: out of memory. */
static bool distinct_of(distinct *d, const rt_tensor *rows, int64_t n, int64_t width, bool consecutive) {
    *d = (distinct){.n = n, .width = width};
    size_t m = (size_t)n;
    d->order = rt_calloc(m, sizeof(int64_t)), d->tmp = rt_calloc(m, sizeof(int64_t));
    d->group = rt_calloc(m, sizeof(int64_t)), d->first = rt_calloc(m, sizeof(int64_t)),
    d->count = rt_calloc(m, sizeof(int64_t));
    if (!rt_keys_new(&d->keys, rows->dtype, n * width) || !d->order || !d->tmp || !d->group || !d->first ||
        !d->count)
        return false;
    rt_keys_load(&d->keys, rows, rows->offset, 1, n * width);
    for (int64_t i = 0; i < n; i++) d->order[i] = i;
    if (!consecutive) rt_sort_order(d->order, d->tmp, n, rows_before, d);
    for (int64_t i = 0; i < n; i++) {
        if (!i || !rows_same(d, d->order[i - 1], d->order[i])) d->first[d->ngroups++] = d->order[i];
        d->group[d->order[i]] = d->ngroups - 1;
        d->count[d->ngroups - 1]++;
    }
    return true;
}

static rt_tensor *ints_tensor(int ndim, const int64_t *shape, const int64_t *at) {
    rt_tensor *t = rt_tensor_new(DT_I64, ndim, shape);
    if (t && at && rt_tensor_numel(t)) memcpy(t->storage->data, at, (size_t)rt_tensor_numel(t) * sizeof *at);
    return t;
}

static rt_tensor *distinct_rows(const distinct *d, const rt_tensor *rows, int ndim, const int64_t *shape) {
    rt_tensor *t = rt_tensor_new(rows->dtype, ndim, shape);
    size_t bytes = (size_t)d->width * (size_t)rt_dtypes[rows->dtype].bytes;
    for (int64_t i = 0; t && bytes && i < d->ngroups; i++)
        memcpy((char *)t->storage->data + (size_t)i * bytes,
               (const char *)rt_tensor_data(rows) + (size_t)d->first[i] * bytes, bytes);
    return t;
}

static bool unique_flat(rt_env *env, const rt_tensor *t, bool inverse, bool counts, bool consecutive,
                        rt_value *out) {
    rt_tensor *c = rt_contiguous(t);
    distinct d = {0};
    const int64_t none = 0;
    if (!c || !distinct_of(&d, c, rt_tensor_numel(c), 1, consecutive)) {
        rt_tensor_release(c);
        distinct_free(&d);
        return rt_host_memory_error(env);
    }
    rt_tensor *r[3] = {distinct_rows(&d, c, 1, &d.ngroups),
                       inverse ? ints_tensor(t->ndim, t->shape, d.group) : ints_tensor(1, &none, NULL),
                       ints_tensor(1, counts ? &d.ngroups : &none, d.count)};
    rt_tensor_release(c);
    distinct_free(&d);
    return rt_give_tensors(env, out, 3, r);
}

/* t with dim `axis` moved to `to`; owned contiguous copy. */
static rt_tensor *moved(rt_tensor *t, int axis, int to) {
    int64_t shape[RT_MAX_RANK], strides[RT_MAX_RANK];
    for (int i = 0, j = 0; i < t->ndim; i++) {
        if (j == axis) j++;
        int from = i == to ? axis : j++;
        shape[i] = t->shape[from], strides[i] = t->strides[from];
    }
    rt_tensor *v = rt_tensor_view(t, t->ndim, shape, strides, t->offset),
              *c = v ? rt_tensor_copy_to(v, v->dtype) : NULL;
    rt_tensor_release(v);
    return c;
}

static bool unique_along(rt_env *env, rt_tensor *t, int axis, bool consecutive, rt_value *out) {
    int64_t n = axis < 0 ? 1 : t->shape[axis], width = n ? rt_tensor_numel(t) / n : 0, shape[RT_MAX_RANK];
    if (axis >= 0 && !n)
        for (int i = 0; i < t->ndim; i++)
            if (i != axis && !t->shape[i])
                return rt_raise(
                    env, "RuntimeError",
                    "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied");
    rt_tensor *rows = axis < 0 ? rt_contiguous(t) : moved(t, axis, 0), *r[3] = {NULL};
    distinct d = {0};
    bool ok = rows && distinct_of(&d, rows, n, width, consecutive);
    if (ok) {
        for (int i = 0; i < t->ndim; i++) shape[i] = i ? rows->shape[i] : d.ngroups;
        rt_tensor *front = distinct_rows(&d, rows, t->ndim, shape);
        r[0] = axis > 0 && front ? moved(front, 0, axis) : front;
        if (axis > 0) rt_tensor_release(front);
        r[1] = ints_tensor(1, &n, d.group), r[2] = ints_tensor(1, &d.ngroups, d.count);
    }
    rt_tensor_release(rows);
    distinct_free(&d);
    return rt_give_tensors(env, out, 3, r);
}

HOST(rt_op_unique2) {
    WANT(0, V_TENSOR);
    return unique_flat(env, args[0].tensor, rt_int_arg(args[2], 0), rt_int_arg(args[3], 0), false, out);
}

HOST(rt_op_unique_consecutive) {
    WANT(0, V_TENSOR);
    int axis;
    if (args[3].tag == V_NONE)
        return unique_flat(env, args[0].tensor, rt_int_arg(args[1], 0), rt_int_arg(args[2], 0), true, out);
    return rt_axis_arg(env, args[3], args[0].tensor, &axis) &&
           unique_along(env, args[0].tensor, axis, true, out);
}

HOST(rt_op_unique_dim) {
    WANT(0, V_TENSOR);
    int axis;
    return rt_axis_arg(env, args[1], args[0].tensor, &axis) &&
           unique_along(env, args[0].tensor, axis, false, out);
}
