/* host_tensor.c: what a tensor is (sizes, dtype, one number of it) and tensors made of numbers and lists.
 *
 * dtypes are c10 numbers, devices are strings: everything lives on "cpu". */
#include "runtime/host.h"

#include <math.h>

enum { C10_CONTIGUOUS = 0, C10_PRESERVE = 1, C10_CHANNELS_LAST = 2, C10_CHANNELS_LAST_3D = 3 };

/* ---- sizes */

static bool list_of(rt_env *env, int n, const int64_t *at, rt_value *out) {
    rt_value v = rt_list_new(V_LIST, n);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int i = 0; i < n; i++) v.list->at[i] = rt_int(at[i]);
    *out = v;
    return true;
}

HOST(rt_host_size) {
    WANT(0, V_TENSOR);
    return list_of(env, args[0].tensor->ndim, args[0].tensor->shape, out);
}

HOST(rt_host_stride) {
    WANT(0, V_TENSOR);
    return list_of(env, args[0].tensor->ndim, args[0].tensor->strides, out);
}

static bool wrap_dim(rt_env *env, const rt_value *args, int nargs, int64_t *d) {
    WANT(0, V_TENSOR);
    WANT(1, V_INT);
    int64_t n = args[0].tensor->ndim;
    *d = args[1].i;
    if (rt_host_index(d, n)) return true;
    int64_t m = n ? n : 1;
    return rt_raise(env, "IndexError",
                    "Dimension out of range (expected to be in range of [%lld, %lld], but got %lld)",
                    (long long)-m, (long long)m - 1, (long long)args[1].i);
}

HOST(rt_host_size_int) {
    int64_t d;
    if (!wrap_dim(env, args, nargs, &d)) return false;
    *out = rt_int(args[0].tensor->shape[d]);
    return true;
}

HOST(rt_host_stride_int) {
    int64_t d;
    if (!wrap_dim(env, args, nargs, &d)) return false;
    *out = rt_int(args[0].tensor->strides[d]);
    return true;
}

HOST(rt_host_tensor_len) {
    WANT(0, V_TENSOR);
    if (args[0].tensor->ndim == 0) return rt_raise(env, "TypeError", "len() of a 0-d tensor");
    *out = rt_int(args[0].tensor->shape[0]);
    return true;
}

#define OF_TENSOR(fn, expr)                                                                                  \
    HOST(fn) {                                                                                               \
        WANT(0, V_TENSOR);                                                                                   \
        const rt_tensor *t = args[0].tensor;                                                                 \
        *out = (expr);                                                                                       \
        return true;                                                                                         \
    }
OF_TENSOR(rt_host_dim, rt_int(t->ndim))
OF_TENSOR(rt_host_numel, rt_int(rt_tensor_numel(t)))
OF_TENSOR(rt_host_storage_offset, rt_int(t->offset))
OF_TENSOR(rt_host_itemsize, rt_int(rt_dtypes[t->dtype].bytes))
OF_TENSOR(rt_host_nbytes, rt_int(rt_tensor_numel(t) * rt_dtypes[t->dtype].bytes))
OF_TENSOR(rt_host_dtype, rt_int(rt_dtypes[t->dtype].c10))
OF_TENSOR(rt_host_is_float, rt_bool(rt_dtypes[t->dtype].kind == 'F'))
OF_TENSOR(rt_host_is_signed, rt_bool(rt_dtypes[t->dtype].kind == 'F' || rt_dtypes[t->dtype].kind == 'I'))
OF_TENSOR(rt_host_is_contiguous, rt_bool(rt_tensor_contiguous(t)))

#define CONSTANT(fn, value)                                                                                  \
    HOST(fn) {                                                                                               \
        HOST_UNUSED;                                                                                         \
        *out = (value);                                                                                      \
        return true;                                                                                         \
    }
CONSTANT(rt_host_layout, rt_int(0)) /* strided */
CONSTANT(rt_host_get_device, rt_int(-1))
CONSTANT(rt_host_is_cpu, rt_bool(true))

HOST(rt_host_is_same_size) {
    WANT(0, V_TENSOR);
    WANT(1, V_TENSOR);
    const rt_tensor *a = args[0].tensor, *b = args[1].tensor;
    *out = rt_bool(a->ndim == b->ndim && !memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape));
    return true;
}

/* Dense with the channel (dim 1) innermost. */
static bool channels_last(const rt_tensor *t, int ndim) {
    int64_t expected = 1;
    if (t->ndim != ndim) return false;
    for (int k = 0; k < ndim; k++) {
        int d = k == 0 ? 1 : k == ndim - 1 ? 0 : ndim - k;
        if (t->shape[d] != 1 && t->strides[d] != expected) return false;
        if (t->shape[d] > 1) expected *= t->shape[d];
    }
    return true;
}

HOST(rt_host_is_contiguous_format) {
    WANT(0, V_TENSOR);
    WANT(1, V_INT);
    const rt_tensor *t = args[0].tensor;
    if (args[1].i == C10_CHANNELS_LAST) *out = rt_bool(channels_last(t, 4));
    else if (args[1].i == C10_CHANNELS_LAST_3D) *out = rt_bool(channels_last(t, 5));
    else *out = rt_bool(rt_tensor_contiguous(t));
    return true;
}

/* ---- devices */

HOST(rt_host_device) {
    HOST_UNUSED;
    return rt_host_give(env, out, rt_strz("cpu"));
}

HOST(rt_host_device_str) {
    WANT(0, V_STR);
    *out = rt_retain(args[0]);
    return true;
}

HOST(rt_host_device_type) {
    WANT(0, V_STR);
    const char *colon = strchr(args[0].str->s, ':');
    return rt_host_give(env, out,
                        rt_str(args[0].str->s, colon ? (size_t)(colon - args[0].str->s) : args[0].str->n));
}

/* ---- one number of a tensor */

static bool scalar_of(rt_env *env, const rt_value *args, int nargs, rt_value *out) {
    WANT(0, V_TENSOR);
    const rt_tensor *t = args[0].tensor;
    int64_t n = rt_tensor_numel(t);
    const void *data = t->storage->data;
    if (n != 1)
        return rt_raise(env, "RuntimeError", "a Tensor with %lld elements cannot be converted to Scalar",
                        (long long)n);
    char kind = rt_dtypes[t->dtype].kind;
    if (kind == 'F') *out = rt_float(rt_load_f64(data, t->dtype, t->offset));
    else if (kind == 'B') *out = rt_bool(rt_load_i64(data, t->dtype, t->offset) != 0);
    else *out = rt_int(rt_load_i64(data, t->dtype, t->offset));
    return true;
}

HOST(rt_host_item) { return scalar_of(env, args, nargs, out); }

HOST(rt_host_int_tensor) {
    if (!scalar_of(env, args, nargs, out)) return false;
    if (out->tag == V_FLOAT) {
        if (!(out->f >= -0x1p63 && out->f < 0x1p63))
            return rt_raise(env, "RuntimeError",
                            "value cannot be converted to type int64_t without overflow");
        *out = rt_int((int64_t)out->f);
    }
    out->tag = V_INT;
    return true;
}

HOST(rt_host_float_tensor) {
    if (!scalar_of(env, args, nargs, out)) return false;
    *out = rt_float(rt_host_number(*out));
    return true;
}

HOST(rt_host_bool_tensor) {
    if (nargs > 0 && args[0].tag == V_TENSOR) {
        int64_t n = rt_tensor_numel(args[0].tensor);
        if (n == 0)
            return rt_raise(env, "RuntimeError", "Boolean value of Tensor with no values is ambiguous");
        if (n > 1)
            return rt_raise(env, "RuntimeError",
                            "Boolean value of Tensor with more than one value is ambiguous");
    }
    if (!scalar_of(env, args, nargs, out)) return false;
    *out = rt_bool(rt_host_number(*out) != 0);
    return true;
}

/* The implicit forms take 0-d tensors only; ints from integral ones. */
HOST(rt_host_int_implicit) {
    if (!scalar_of(env, args, nargs, out)) return false;
    if (out->tag == V_FLOAT)
        return rt_raise(env, "RuntimeError",
                        "Cannot input a tensor of scalar type %s as an integral argument",
                        rt_dtypes[args[0].tensor->dtype].name);
    out->tag = V_INT;
    return true;
}

/* ---- nested lists of a tensor */

static rt_value nested(const rt_tensor *t, int d, int64_t at) {
    if (d == t->ndim) {
        char kind = rt_dtypes[t->dtype].kind;
        if (kind == 'F') return rt_float(rt_load_f64(t->storage->data, t->dtype, at));
        int64_t i = rt_load_i64(t->storage->data, t->dtype, at);
        return kind == 'B' ? rt_bool(i != 0) : rt_int(i);
    }
    rt_value v = rt_list_new(V_LIST, t->shape[d]);
    for (int64_t i = 0; v.tag != V_UNDEF && i < t->shape[d]; i++)
        if ((v.list->at[i] = nested(t, d + 1, at + i * t->strides[d])).tag == V_UNDEF) {
            rt_release(v);
            return (rt_value){.tag = V_UNDEF};
        }
    return v;
}

HOST(rt_host_tolist) {
    WANT(0, V_TENSOR);
    return rt_host_give(env, out, nested(args[0].tensor, 0, args[0].tensor->offset));
}

/* ---- tensors of numbers: (value, dtype or none, ...) */

static rt_dtype dtype_of(rt_value v) {
    return v.tag == V_FLOAT ? DT_F32 : v.tag == V_BOOL ? DT_BOOL : DT_I64;
}

static bool wanted_dtype(rt_env *env, const rt_value *args, int nargs, int i, rt_dtype fallback,
                         rt_dtype *out) {
    *out = fallback;
    if (i >= nargs || args[i].tag != V_INT) return true;
    *out = rt_dtype_by_c10(args[i].i);
    return *out != DT_NONE ||
           rt_raise(env, "RuntimeError", "dtype %lld is not supported", (long long)args[i].i);
}

static void store(rt_tensor *t, int64_t i, rt_value v) {
    if (v.tag == V_FLOAT) rt_store_f64(t->storage->data, t->dtype, i, v.f);
    else rt_store_i64(t->storage->data, t->dtype, i, v.i);
}

static bool tensor_of_number(rt_env *env, rt_value v, rt_dtype dtype, rt_value *out) {
    if (!rt_is_number(v)) return rt_host_type_error(env, 0);
    rt_tensor *t = rt_tensor_new(dtype, 0, NULL);
    if (!t) return rt_host_memory_error(env);
    store(t, 0, v);
    *out = rt_tensor_value(t);
    return true;
}

HOST(rt_host_num_to_tensor) {
    (void)nargs;
    rt_dtype d = args[0].tag == V_FLOAT ? DT_F64 : dtype_of(args[0]);
    return tensor_of_number(env, args[0], d, out);
}

HOST(rt_host_scalar_tensor) {
    rt_dtype d;
    return wanted_dtype(env, args, nargs, 1, DT_F32, &d) && tensor_of_number(env, args[0], d, out);
}

/* Shape of a nested list from its first elements, checked against the rest. */
static bool shape_of(rt_env *env, rt_value v, int *ndim, int64_t *shape) {
    for (*ndim = 0; v.tag == V_LIST; v = v.list->at[0]) {
        if (*ndim == RT_MAX_RANK) return rt_raise(env, "ValueError", "too many dimensions in list");
        shape[(*ndim)++] = v.list->n;
        if (v.list->n == 0) return true;
    }
    return true;
}

typedef struct fill {
    rt_tensor *t;
    int64_t at;
    rt_dtype seen;
} fill;

/* Walks the leaves in order; with f->t NULL only collects their dtype. */
static bool walk(rt_env *env, fill *f, rt_value v, int d, int ndim, const int64_t *shape) {
    if (d == ndim) {
        if (v.tag == V_LIST) return rt_raise(env, "ValueError", "expected sequence of equal length");
        if (v.tag == V_TENSOR) {
            rt_value x;
            f->seen = v.tensor->dtype > f->seen ? v.tensor->dtype : f->seen;
            if (!scalar_of(env, &v, 1, &x)) return false;
            v = x;
        } else if (!rt_is_number(v)) {
            return rt_host_type_error(env, 0);
        } else if (f->seen == DT_NONE) {
            f->seen = dtype_of(v);
        } else {
            rt_dtype leaf = dtype_of(v);
            f->seen = f->seen == DT_F32 || leaf == DT_F32   ? DT_F32
                      : f->seen == DT_I64 || leaf == DT_I64 ? DT_I64
                                                            : leaf;
        }
        if (f->t) store(f->t, f->at++, v);
        return true;
    }
    if (v.tag != V_LIST || v.list->n != shape[d])
        return rt_raise(env, "ValueError", "expected sequence of length %lld at dim %d (got %lld)",
                        (long long)shape[d], d, v.tag == V_LIST ? (long long)v.list->n : 0LL);
    for (int64_t i = 0; i < v.list->n; i++)
        if (!walk(env, f, v.list->at[i], d + 1, ndim, shape)) return false;
    return true;
}

/* `empty`: the dtype where there are no elements to tell it. */
static bool tensor_of_list(rt_env *env, const rt_value *args, int nargs, rt_dtype empty, rt_value *out) {
    int ndim;
    int64_t shape[RT_MAX_RANK];
    fill f = {.seen = DT_NONE};
    rt_dtype dtype;
    if (!shape_of(env, args[0], &ndim, shape) || !walk(env, &f, args[0], 0, ndim, shape)) return false;
    if (!wanted_dtype(env, args, nargs, 1, f.seen == DT_NONE ? empty : f.seen, &dtype)) return false;
    if (!(f.t = rt_tensor_new(dtype, ndim, shape))) return rt_host_memory_error(env);
    if (!walk(env, &f, args[0], 0, ndim, shape)) {
        rt_tensor_release(f.t);
        return false;
    }
    *out = rt_tensor_value(f.t);
    return true;
}

HOST(rt_host_tensor) {
    rt_dtype dtype;
    if (args[0].tag == V_LIST) return tensor_of_list(env, args, nargs, DT_F32, out);
    return wanted_dtype(env, args, nargs, 1, dtype_of(args[0]), &dtype) &&
           tensor_of_number(env, args[0], dtype, out);
}

HOST(rt_host_tensor_ints) {
    WANT(0, V_LIST);
    return tensor_of_list(env, args, nargs, DT_I64, out);
}

HOST(rt_host_tensor_bools) {
    WANT(0, V_LIST);
    return tensor_of_list(env, args, nargs, DT_BOOL, out);
}

HOST(rt_host_assert_async) {
    rt_value ok;
    WANT(1, V_STR);
    if (!rt_host_bool_tensor(env, args, nargs, &ok)) return false;
    if (!ok.i) return rt_raise(env, "RuntimeError", "%s", args[1].str->s);
    *out = V_NULL;
    return true;
}
