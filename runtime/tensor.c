/* tensor.c: strided tensors over counted storage, element access and conversion (value.h).
 *
 * A tensor's own block holds the struct, its shape and its strides; owned data lies in the block of its
 * rt_storage, aligned to 64.  Copies walk the outer dims like an odometer and convert rows of the innermost
 * dim in chunks through an int64 or double buffer, so that there is one loop per dtype and not one per pair.
 */
#include "runtime/value.h"

#include <math.h>
#include <stdatomic.h>

enum { DATA_ALIGN = 64, CHUNK = 256, SPARE_DIMS = 2 };

/* ---- making */

/* With room for a few dims more: see rt_tensor_take_view. */
static rt_tensor *tensor_block(rt_dtype dtype, int ndim) {
    int room = ndim + SPARE_DIMS;
    size_t bytes = sizeof(rt_tensor) + 2 * (size_t)room * sizeof(int64_t);
    rt_tensor *t = rt_malloc(bytes);
    if (!t) return NULL;
    atomic_init(&t->refs, 1);
    t->dtype = dtype;
    t->ndim = ndim;
    t->shape = (int64_t *)(t + 1);
    t->strides = t->shape + room;
    t->offset = 0;
    t->storage = NULL;
    return t;
}

static void set_contiguous(rt_tensor *t) {
    int64_t stride = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        t->strides[i] = stride;
        if (t->shape[i] > 1) stride *= t->shape[i];
    }
}

/* Sizes of empty tensors must not overflow either: zero dims count as one. */
static bool shape_bytes(rt_dtype dtype, int ndim, const int64_t *shape, size_t *bytes) {
    int64_t n = rt_dtypes[dtype].bytes, zero = 1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0 || !rt_mul_i64(n, shape[i] ? shape[i] : 1, &n)) return false;
        if (!shape[i]) zero = 0;
    }
    if ((uint64_t)n > SIZE_MAX / 2) return false;
    *bytes = (size_t)(n * zero);
    return true;
}

static rt_storage *storage_new(size_t bytes) {
    size_t total;
    rt_storage *s;
    if (!rt_add_size(bytes, sizeof *s + DATA_ALIGN, &total) || !(s = rt_malloc(total))) return NULL;
    atomic_init(&s->refs, 1);
    s->data = (void *)(((uintptr_t)(s + 1) + DATA_ALIGN - 1) & ~(uintptr_t)(DATA_ALIGN - 1));
    s->bytes = bytes;
    s->destroy = NULL;
    s->owner = NULL;
    return s;
}

rt_tensor *rt_tensor_new(rt_dtype dtype, int ndim, const int64_t *shape) {
    size_t bytes;
    if (dtype < 0 || dtype >= DT_COUNT || ndim < 0 || ndim > RT_MAX_RANK ||
        !shape_bytes(dtype, ndim, shape, &bytes))
        return NULL;
    rt_tensor *t = tensor_block(dtype, ndim);
    if (!t) return NULL;
    if (!(t->storage = storage_new(bytes))) {
        rt_free(t);
        return NULL;
    }
    if (ndim) memcpy(t->shape, shape, (size_t)ndim * sizeof *shape);
    set_contiguous(t);
    return t;
}

rt_tensor *rt_tensor_view(rt_tensor *t, int ndim, const int64_t *shape, const int64_t *strides,
                          int64_t offset) {
    if (ndim < 0 || ndim > RT_MAX_RANK) return NULL;
    rt_tensor *v = tensor_block(t->dtype, ndim);
    if (!v) return NULL;
    if (ndim) memcpy(v->shape, shape, (size_t)ndim * sizeof *shape);
    if (ndim) memcpy(v->strides, strides, (size_t)ndim * sizeof *strides);
    v->offset = offset;
    v->storage = t->storage;
    atomic_fetch_add_explicit(&t->storage->refs, 1, memory_order_relaxed);
    return v;
}

rt_tensor *rt_tensor_wrap(rt_dtype dtype, int ndim, const int64_t *shape, const int64_t *strides, void *data,
                          size_t bytes, void (*destroy)(void *), void *owner) {
    if (dtype < 0 || dtype >= DT_COUNT || ndim < 0 || ndim > RT_MAX_RANK) return NULL;
    rt_tensor *t = tensor_block(dtype, ndim);
    rt_storage *s = t ? rt_malloc(sizeof *s) : NULL;
    if (!s) {
        rt_free(t);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->data = data;
    s->bytes = bytes;
    s->destroy = destroy;
    s->owner = owner;
    t->storage = s;
    if (ndim) memcpy(t->shape, shape, (size_t)ndim * sizeof *shape);
    if (!strides) set_contiguous(t);
    else if (ndim) memcpy(t->strides, strides, (size_t)ndim * sizeof *strides);
    return t;
}

bool rt_tensor_take_view(rt_tensor *t, const rt_tensor *view) {
    if (view->ndim > t->strides - t->shape) return false;
    if (view->ndim) memcpy(t->shape, view->shape, (size_t)view->ndim * sizeof *t->shape);
    if (view->ndim) memcpy(t->strides, view->strides, (size_t)view->ndim * sizeof *t->strides);
    t->ndim = view->ndim;
    t->offset = view->offset;
    return true;
}

void rt_tensor_retain(rt_tensor *t) { atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed); }

void rt_tensor_release(rt_tensor *t) {
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) return;
    rt_storage *s = t->storage;
    rt_free(t);
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    if (s->destroy) s->destroy(s->owner);
    rt_free(s);
}

int64_t rt_tensor_numel(const rt_tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
    return n;
}

bool rt_tensor_contiguous(const rt_tensor *t) {
    int64_t stride = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->strides[i] != stride) return rt_tensor_numel(t) == 0;
        stride *= t->shape[i];
    }
    return true;
}

void *rt_tensor_data(const rt_tensor *t) {
    char *data = t->storage->data; /* may be NULL for an empty foreign tensor */
    return data ? data + t->offset * rt_dtypes[t->dtype].bytes : NULL;
}

/* ---- elements */

/* Float to integer truncates; what does not fit gives the lowest value (as x86's conversion does), and types
 * narrower than 32 bits take the low bits of the 64-bit result. */
static int64_t to_i64(double x) { return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN; }
static int32_t to_i32(double x) { return x > -0x1p31 - 1 && x < 0x1p31 ? (int32_t)x : INT32_MIN; }

double rt_load_f64(const void *data, rt_dtype dtype, int64_t i) {
    switch (dtype) {
    case DT_BOOL: return ((const uint8_t *)data)[i] != 0;
    case DT_F16: return (double)rt_f16_to_f32(((const uint16_t *)data)[i]);
    case DT_BF16: return (double)rt_bf16_to_f32(((const uint16_t *)data)[i]);
    case DT_F32: return (double)((const float *)data)[i];
    case DT_F64: return ((const double *)data)[i];
    default: return (double)rt_load_i64(data, dtype, i);
    }
}

int64_t rt_load_i64(const void *data, rt_dtype dtype, int64_t i) {
    switch (dtype) {
    case DT_BOOL: return ((const uint8_t *)data)[i] != 0;
    case DT_U8: return ((const uint8_t *)data)[i];
    case DT_I8: return ((const int8_t *)data)[i];
    case DT_I16: return ((const int16_t *)data)[i];
    case DT_I32: return ((const int32_t *)data)[i];
    case DT_I64: return ((const int64_t *)data)[i];
    default: return to_i64(rt_load_f64(data, dtype, i));
    }
}

void rt_store_f64(void *data, rt_dtype dtype, int64_t i, double x) {
    switch (dtype) {
    case DT_BOOL: ((uint8_t *)data)[i] = x != 0; break; /* NaN is true */
    case DT_F16: ((uint16_t *)data)[i] = rt_f32_to_f16((float)x); break;
    case DT_BF16: ((uint16_t *)data)[i] = rt_f32_to_bf16((float)x); break;
    case DT_F32: ((float *)data)[i] = (float)x; break;
    case DT_F64: ((double *)data)[i] = x; break;
    case DT_I32: ((int32_t *)data)[i] = to_i32(x); break;
    default: rt_store_i64(data, dtype, i, to_i64(x));
    }
}

void rt_store_i64(void *data, rt_dtype dtype, int64_t i, int64_t x) {
    switch (dtype) {
    case DT_BOOL: ((uint8_t *)data)[i] = x != 0; break;
    case DT_U8: ((uint8_t *)data)[i] = (uint8_t)x; break;
    case DT_I8: ((int8_t *)data)[i] = (int8_t)x; break;
    case DT_I16: ((int16_t *)data)[i] = (int16_t)x; break;
    case DT_I32: ((int32_t *)data)[i] = (int32_t)x; break;
    case DT_I64: ((int64_t *)data)[i] = x; break;
    case DT_F16: ((uint16_t *)data)[i] = rt_f32_to_f16((float)x); break; /* one rounding to f32, as PyTorch */
    case DT_BF16: ((uint16_t *)data)[i] = rt_f32_to_bf16((float)x); break;
    case DT_F32: ((float *)data)[i] = (float)x; break;
    case DT_F64: ((double *)data)[i] = (double)x; break;
    default: break;
    }
}

/* ---- copies */

#define ROW(T, EXPR)                                                                                         \
    do {                                                                                                     \
        const T *p = (const T *)src;                                                                         \
        for (int64_t k = 0; k < n; k++, p += stride) out[k] = (EXPR);                                        \
    } while (0)

static void load_row_i64(int64_t *out, const void *src, rt_dtype dtype, int64_t stride, int64_t n) {
    switch (dtype) {
    case DT_BOOL: ROW(uint8_t, *p != 0); break;
    case DT_U8: ROW(uint8_t, *p); break;
    case DT_I8: ROW(int8_t, *p); break;
    case DT_I16: ROW(int16_t, *p); break;
    case DT_I32: ROW(int32_t, *p); break;
    default: ROW(int64_t, *p); break;
    }
}

static void load_row_f64(double *out, const void *src, rt_dtype dtype, int64_t stride, int64_t n) {
    switch (dtype) {
    case DT_F16: ROW(uint16_t, (double)rt_f16_to_f32(*p)); break;
    case DT_BF16: ROW(uint16_t, (double)rt_bf16_to_f32(*p)); break;
    case DT_F32: ROW(float, (double)*p); break;
    default: ROW(double, *p); break;
    }
}
#undef ROW

#define ROW(T, EXPR)                                                                                         \
    do {                                                                                                     \
        T *p = (T *)dst;                                                                                     \
        for (int64_t k = 0; k < n; k++, p += stride) *p = (T)(EXPR);                                         \
    } while (0)

static void store_row_i64(void *dst, rt_dtype dtype, int64_t stride, const int64_t *in, int64_t n) {
    switch (dtype) {
    case DT_BOOL: ROW(uint8_t, in[k] != 0); break;
    case DT_U8: ROW(uint8_t, in[k]); break;
    case DT_I8: ROW(int8_t, in[k]); break;
    case DT_I16: ROW(int16_t, in[k]); break;
    case DT_I32: ROW(int32_t, in[k]); break;
    case DT_I64: ROW(int64_t, in[k]); break;
    case DT_F32: ROW(float, in[k]); break;
    case DT_F64: ROW(double, in[k]); break;
    default:
        for (int64_t k = 0; k < n; k++) rt_store_i64(dst, dtype, k * stride, in[k]);
    }
}

static void store_row_f64(void *dst, rt_dtype dtype, int64_t stride, const double *in, int64_t n) {
    switch (dtype) {
    case DT_F32: ROW(float, in[k]); break;
    case DT_F64: ROW(double, in[k]); break;
    case DT_I64: ROW(int64_t, to_i64(in[k])); break;
    case DT_I32: ROW(int32_t, to_i32(in[k])); break;
    case DT_F16: ROW(uint16_t, rt_f32_to_f16((float)in[k])); break;
    case DT_BF16: ROW(uint16_t, rt_f32_to_bf16((float)in[k])); break;
    default:
        for (int64_t k = 0; k < n; k++) rt_store_f64(dst, dtype, k * stride, in[k]);
    }
}
#undef ROW

static void move_row(char *dst, int64_t ds, const char *src, int64_t ss, size_t bytes, int64_t n) {
    if (ds == 1 && ss == 1) {
        memcpy(dst, src, (size_t)n * bytes);
        return;
    }
    for (int64_t k = 0; k < n; k++) switch (bytes) {
        case 1: dst[k * ds] = src[k * ss]; break;
        case 2: memcpy(dst + k * ds * 2, src + k * ss * 2, 2); break;
        case 4: memcpy(dst + k * ds * 4, src + k * ss * 4, 4); break;
        default: memcpy(dst + k * ds * 8, src + k * ss * 8, 8); break;
        }
}

static void copy_row(char *dst, rt_dtype to, int64_t ds, const char *src, rt_dtype from, int64_t ss,
                     int64_t n) {
    int64_t db = rt_dtypes[to].bytes, sb = rt_dtypes[from].bytes;
    union {
        int64_t i[CHUNK];
        double f[CHUNK];
    } buf;
    if (to == from) {
        move_row(dst, ds, src, ss, (size_t)db, n);
        return;
    }
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t m = n - at < CHUNK ? n - at : CHUNK;
        char *d = dst + at * ds * db;
        const char *s = src + at * ss * sb;
        if (rt_dtypes[from].kind == 'F') {
            load_row_f64(buf.f, s, from, ss, m);
            store_row_f64(d, to, ds, buf.f, m);
        } else {
            load_row_i64(buf.i, s, from, ss, m);
            store_row_i64(d, to, ds, buf.i, m);
        }
    }
}

/* Elementwise copy of disjoint memory; shapes are equal. */
static void copy_elements(rt_tensor *dst, const rt_tensor *src) {
    int64_t numel = rt_tensor_numel(dst), at[RT_MAX_RANK] = {0};
    char *d = rt_tensor_data(dst);
    const char *s = rt_tensor_data(src);
    int64_t db = rt_dtypes[dst->dtype].bytes, sb = rt_dtypes[src->dtype].bytes;
    if (!numel) return;
    if (rt_tensor_contiguous(dst) && rt_tensor_contiguous(src)) {
        copy_row(d, dst->dtype, 1, s, src->dtype, 1, numel);
        return;
    }
    int last = dst->ndim - 1; /* a 0-d tensor is contiguous, so last >= 0 */
    for (;;) {
        copy_row(d, dst->dtype, dst->strides[last], s, src->dtype, src->strides[last], dst->shape[last]);
        int i = last - 1;
        for (; i >= 0; i--) {
            d += dst->strides[i] * db;
            s += src->strides[i] * sb;
            if (++at[i] < dst->shape[i]) break;
            d -= dst->shape[i] * dst->strides[i] * db;
            s -= src->shape[i] * src->strides[i] * sb;
            at[i] = 0;
        }
        if (i < 0) return;
    }
}

rt_tensor *rt_tensor_copy_to(const rt_tensor *t, rt_dtype dtype) {
    rt_tensor *copy = rt_tensor_new(dtype, t->ndim, t->shape);
    if (copy) copy_elements(copy, t);
    return copy;
}

static bool same_layout(const rt_tensor *a, const rt_tensor *b) {
    if (a->dtype != b->dtype || rt_tensor_data(a) != rt_tensor_data(b)) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] > 1 && a->strides[i] != b->strides[i]) return false;
    return true;
}

static void byte_range(const rt_tensor *t, uintptr_t *lo, uintptr_t *hi) {
    int64_t last = 0;
    for (int i = 0; i < t->ndim; i++) last += (t->shape[i] - 1) * t->strides[i];
    *lo = (uintptr_t)rt_tensor_data(t);
    *hi = *lo + (uintptr_t)(last + 1) * (uintptr_t)rt_dtypes[t->dtype].bytes;
}

bool rt_tensor_assign(rt_tensor *dst, const rt_tensor *src) {
    if (dst->ndim != src->ndim) return false;
    for (int i = 0; i < dst->ndim; i++)
        if (dst->shape[i] != src->shape[i]) return false;
    if (!rt_tensor_numel(dst) || same_layout(dst, src)) return true;
    uintptr_t dlo, dhi, slo, shi;
    byte_range(dst, &dlo, &dhi);
    byte_range(src, &slo, &shi);
    if (dhi <= slo || shi <= dlo) {
        copy_elements(dst, src);
        return true;
    }
    rt_tensor *copy = rt_tensor_copy_to(src, src->dtype);
    if (!copy) return false;
    copy_elements(dst, copy);
    rt_tensor_release(copy);
    return true;
}
