/* opaque.c: see opaque.h. */
#include "runtime/opaque.h"

#include <math.h>

rt_rows rt_rows_of(const rt_tensor *t, int axis) {
    rt_rows r = {t, axis, 1, 1, 1};
    for (int i = 0; i < t->ndim; i++)
        if (i != axis) r.n *= t->shape[i];
    if (axis >= 0) r.len = t->shape[axis], r.step = t->strides[axis];
    return r;
}

int64_t rt_row_at(const rt_rows *r, int64_t row) {
    int64_t at = r->t->offset;
    for (int i = r->t->ndim - 1; i >= 0; i--) {
        if (i == r->axis) continue;
        at += row % r->t->shape[i] * r->t->strides[i];
        row /= r->t->shape[i];
    }
    return at;
}

bool rt_keys_new(rt_keys *k, rt_dtype dtype, int64_t n) {
    *k = (rt_keys){.real = rt_dtypes[dtype].kind == 'F'};
    if (k->real) k->f = rt_calloc((size_t)n, sizeof *k->f);
    else k->i = rt_calloc((size_t)n, sizeof *k->i);
    return k->f || k->i;
}

void rt_keys_free(rt_keys *k) {
    rt_free(k->f);
    rt_free(k->i);
}

void rt_keys_load(rt_keys *k, const rt_tensor *t, int64_t at, int64_t step, int64_t n) {
    const void *data = t->storage->data;
    for (int64_t j = 0; j < n; j++)
        if (k->real) k->f[j] = rt_load_f64(data, t->dtype, at + j * step);
        else k->i[j] = rt_load_i64(data, t->dtype, at + j * step);
}

bool rt_key_is_nan(const rt_keys *k, int64_t a) { return k->real && isnan(k->f[a]); }

bool rt_key_less(const rt_keys *k, int64_t a, int64_t b) {
    if (!k->real) return k->i[a] < k->i[b];
    return isnan(k->f[b]) ? !isnan(k->f[a]) : k->f[a] < k->f[b];
}

static void merge(int64_t *to, const int64_t *a, int64_t na, const int64_t *b, int64_t nb, rt_before *before,
                  const void *env) {
    int64_t i = 0, j = 0, n = 0;
    while (i < na && j < nb) to[n++] = before(env, b[j], a[i]) ? b[j++] : a[i++];
    while (i < na) to[n++] = a[i++];
    while (j < nb) to[n++] = b[j++];
}

void rt_sort_order(int64_t *order, int64_t *tmp, int64_t n, rt_before *before, const void *env) {
    int64_t *from = order, *to = tmp;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t i = 0; i < n; i += 2 * width) {
            int64_t mid = i + width < n ? i + width : n, end = i + 2 * width < n ? i + 2 * width : n;
            merge(to + i, from + i, mid - i, from + mid, end - mid, before, env);
        }
        int64_t *swap = from;
        from = to, to = swap;
    }
    if (from != order) memcpy(order, from, (size_t)n * sizeof *order);
}

/* ------------------------------------------------------------------ items */

static const uint64_t NAN_KEY = UINT64_MAX;

static uint64_t key_of_f32(float x) {
    uint32_t b;
    float y = x + 0.0f; /* -0 is 0 */
    memcpy(&b, &y, sizeof b);
    return x != x ? NAN_KEY : b ^ ((uint32_t)-(int32_t)(b >> 31) | 1u << 31);
}

static uint64_t key_of_f64(double x) {
    uint64_t b;
    if (isnan(x)) return NAN_KEY;
    x += 0.0;
    memcpy(&b, &x, sizeof b);
    return b >> 63 ? ~b : b | UINT64_C(1) << 63;
}

bool rt_item_is_nan(rt_dtype dtype, rt_item a) { return rt_dtypes[dtype].kind == 'F' && a.key == NAN_KEY; }

static uint64_t key_at(const void *data, rt_dtype dtype, int64_t i) {
    if (dtype == DT_F64) return key_of_f64(((const double *)data)[i]);
    if (rt_dtypes[dtype].kind == 'F') return key_of_f32((float)rt_load_f64(data, dtype, i));
    return (uint64_t)rt_load_i64(data, dtype, i) ^ UINT64_C(1) << 63;
}

void rt_items_load(rt_item *o, const rt_tensor *t, int64_t at, int64_t step, int64_t n, bool descending) {
    const void *data = t->storage->data;
    const float *f = t->dtype == DT_F32 ? (const float *)data + at : NULL;
    uint64_t flip = descending ? UINT64_MAX : 0;
    for (int64_t j = 0; j < n && f; j++) o[j] = (rt_item){key_of_f32(f[j * step]) ^ flip, j};
    for (int64_t j = 0; j < n && !f; j++) o[j] = (rt_item){key_at(data, t->dtype, at + j * step) ^ flip, j};
}

enum { DIGITS = 8, VALUES = 256, INSERT_BELOW = 48 };

static void insertion_sort(rt_item *o, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        rt_item x = o[i];
        int64_t at = i;
        for (; at > 0 && x.key < o[at - 1].key; at--) o[at] = o[at - 1];
        o[at] = x;
    }
}

/* Radix sort by the bytes of the keys, the last one first; those that all keys share are left out. */
void rt_items_sort(rt_item *o, rt_item *tmp, int64_t n) {
    rt_item *from = o, *to = tmp;
    if (n < INSERT_BELOW) {
        insertion_sort(o, n);
        return;
    }
    uint64_t differ = 0;
    for (int64_t i = 0; i < n; i++) differ |= o[i].key ^ o[0].key;
    for (int d = 0; d < DIGITS; d++) {
        int64_t c[VALUES] = {0}, sum = 0;
        if (!(differ >> 8 * d & 0xff)) continue;
        for (int64_t i = 0; i < n; i++) c[from[i].key >> 8 * d & 0xff]++;
        for (int v = 0; v < VALUES; v++) {
            int64_t here = c[v];
            c[v] = sum;
            sum += here;
        }
        for (int64_t i = 0; i < n; i++) to[c[from[i].key >> 8 * d & 0xff]++] = from[i];
        rt_item *swap = from;
        from = to, to = swap;
    }
    if (from != o) memcpy(o, from, (size_t)n * sizeof *o);
}

rt_tensor *rt_contiguous(const rt_tensor *t) {
    if (!rt_tensor_contiguous(t)) return rt_tensor_copy_to(t, t->dtype);
    rt_tensor_retain((rt_tensor *)t);
    return (rt_tensor *)t;
}

rt_tensor *rt_expanded(rt_tensor *t, int n, const int64_t *shape) {
    int64_t strides[RT_MAX_RANK];
    for (int i = 0; i < n; i++) {
        int d = i - (n - t->ndim);
        strides[i] = d < 0 || t->shape[d] == 1 ? 0 : t->strides[d];
    }
    rt_tensor *view = rt_tensor_view(t, n, shape, strides, t->offset);
    rt_tensor *copy = view ? rt_tensor_copy_to(view, t->dtype) : NULL;
    rt_tensor_release(view);
    return copy;
}

bool rt_broadcast(rt_env *env, const rt_tensor *a, const rt_tensor *b, int *n, int64_t *shape) {
    *n = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 0; i < *n; i++) {
        int da = i - (*n - a->ndim), db = i - (*n - b->ndim);
        int64_t x = da < 0 ? 1 : a->shape[da], y = db < 0 ? 1 : b->shape[db];
        if (x != y && x != 1 && y != 1)
            return rt_raise(env, "RuntimeError",
                            "The size of tensor a (%lld) must match the size of tensor b (%lld) at "
                            "non-singleton dimension %d",
                            (long long)x, (long long)y, i);
        shape[i] = x == 1 ? y : x;
    }
    return true;
}

int64_t rt_int_arg(rt_value v, int64_t none) { return v.tag == V_INT || v.tag == V_BOOL ? v.i : none; }

bool rt_axis_arg(rt_env *env, rt_value v, const rt_tensor *t, int *axis) {
    int64_t d = rt_int_arg(v, 0), n = t->ndim ? t->ndim : 1;
    if (!rt_host_index(&d, n))
        return rt_raise(env, "IndexError",
                        "Dimension out of range (expected to be in range of [%lld, %lld], but got %lld)",
                        (long long)-n, (long long)n - 1, (long long)rt_int_arg(v, 0));
    *axis = t->ndim ? (int)d : -1;
    return true;
}

bool rt_give_tensors(rt_env *env, rt_value *out, int n, rt_tensor *const *t) {
    bool ok = true;
    for (int i = 0; i < n; i++) ok = ok && t[i];
    for (int i = 0; i < n; i++)
        if (ok) out[i] = rt_tensor_value(t[i]);
        else rt_tensor_release(t[i]);
    return ok || rt_host_memory_error(env);
}
