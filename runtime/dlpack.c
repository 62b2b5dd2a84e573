/* dlpack.c: public tensors, and their exchange with other libraries by DLPack. */
#include "runtime/session.h"

/* ---- public tensors (jitc_tensor is rt_tensor) */

static bool valid_shape(jitc_dtype dtype, int ndim, const int64_t *shape) {
    int64_t bytes = 1;
    if ((int)dtype < 0 || (int)dtype >= DT_COUNT || ndim < 0 || ndim > JITC_MAX_RANK || (ndim && !shape))
        return false;
    for (int i = 0; i < ndim; i++)
        if (shape[i] < 0 || !rt_mul_i64(bytes, shape[i] ? shape[i] : 1, &bytes)) return false;
    return rt_mul_i64(bytes, rt_dtypes[dtype].bytes, &bytes);
}

/* Bytes from element 0 to behind the last; false on overflow or a negative stride. */
static bool extent(rt_dtype dtype, int ndim, const int64_t *shape, const int64_t *strides, size_t *bytes) {
    int64_t last = 0, step, numel = 1;
    for (int i = 0; i < ndim; i++) {
        numel *= shape[i];
        if (!strides || shape[i] <= 1) continue;
        if (strides[i] < 0 || !rt_mul_i64(shape[i] - 1, strides[i], &step) || !rt_add_i64(last, step, &last))
            return false;
    }
    int64_t elements = numel, total;
    if (numel && strides && !rt_add_i64(last, 1, &elements)) return false;
    if (!rt_mul_i64(elements, rt_dtypes[dtype].bytes, &total)) return false;
    *bytes = (size_t)total;
    return true;
}

jitc_status jitc_tensor_new(jitc_dtype dtype, int ndim, const int64_t *shape, jitc_tensor **out) {
    *out = NULL;
    if (!valid_shape(dtype, ndim, shape)) return rt_fail(JITC_E_ARGUMENT, "bad dtype or shape of a tensor");
    *out = rt_tensor_new((rt_dtype)dtype, ndim, shape);
    return *out ? JITC_OK : rt_fail(JITC_E_MEMORY, "out of memory");
}

jitc_status jitc_tensor_wrap(jitc_dtype dtype, int ndim, const int64_t *shape, const int64_t *strides,
                             void *data, void (*destroy)(void *), void *owner, jitc_tensor **out) {
    size_t bytes;
    *out = NULL;
    if (!valid_shape(dtype, ndim, shape) || !extent((rt_dtype)dtype, ndim, shape, strides, &bytes) ||
        (bytes && !data))
        return rt_fail(JITC_E_ARGUMENT, "bad dtype, shape, strides or data of a tensor");
    *out = rt_tensor_wrap((rt_dtype)dtype, ndim, shape, strides, data, bytes, destroy, owner);
    return *out ? JITC_OK : rt_fail(JITC_E_MEMORY, "out of memory");
}

void jitc_tensor_retain(jitc_tensor *t) { rt_tensor_retain(t); }
void jitc_tensor_release(jitc_tensor *t) { rt_tensor_release(t); }
jitc_dtype jitc_tensor_dtype(const jitc_tensor *t) { return (jitc_dtype)t->dtype; }
int jitc_tensor_ndim(const jitc_tensor *t) { return t->ndim; }
const int64_t *jitc_tensor_shape(const jitc_tensor *t) { return t->shape; }
const int64_t *jitc_tensor_strides(const jitc_tensor *t) { return t->strides; }
int64_t jitc_tensor_numel(const jitc_tensor *t) { return rt_tensor_numel(t); }
int jitc_tensor_is_contiguous(const jitc_tensor *t) { return rt_tensor_contiguous(t); }
void *jitc_tensor_data(const jitc_tensor *t) { return rt_tensor_data(t); }

_Static_assert(JITC_BOOL == (int)DT_BOOL && JITC_I64 == (int)DT_I64 && JITC_F16 == (int)DT_F16 &&
                   JITC_F64 == (int)DT_F64 && (int)JITC_F64 == DT_COUNT - 1 && JITC_MAX_RANK == RT_MAX_RANK,
               "public dtypes");
const char *jitc_dtype_name(jitc_dtype d) {
    return (int)d >= 0 && (int)d < DT_COUNT ? rt_dtypes[d].name : "?";
}
size_t jitc_dtype_size(jitc_dtype d) {
    return (int)d >= 0 && (int)d < DT_COUNT ? (size_t)rt_dtypes[d].bytes : 0;
}

/* ---- DLPack */

static rt_dtype dtype_of(DLDataType t) {
    for (int i = 0; i < DT_COUNT; i++)
        if (rt_dtypes[i].dlpack == t.code && rt_dtypes[i].bytes * 8 == t.bits && t.lanes == 1)
            return (rt_dtype)i;
    return DT_NONE;
}

/* NULL: in host memory. */
static const char *elsewhere(DLDevice device) {
    switch (device.device_type) {
    case kDLCPU:
    case kDLCUDAHost:
    case kDLROCMHost: return NULL;
    case kDLCUDA:
    case kDLCUDAManaged: return "the DLPack tensor is on a CUDA device, and must be in host memory";
    case kDLROCM: return "the DLPack tensor is on a ROCm device, and must be in host memory";
    default: return "the DLPack tensor is on another device, and must be in host memory";
    }
}

const char *rt_dlpack_check(const DLTensor *d, rt_dtype *dtype, size_t *bytes) {
    const char *where = elsewhere(d->device);
    *dtype = dtype_of(d->dtype);
    if (where) return where;
    if (*dtype == DT_NONE) return "the DLPack tensor has a dtype that is not supported";
    if (!valid_shape((jitc_dtype)*dtype, d->ndim, d->shape)) return "the DLPack tensor has a bad shape";
    if (!extent(*dtype, d->ndim, d->shape, d->strides, bytes))
        return "the DLPack tensor has negative or too large strides";
    return *bytes && !d->data ? "the DLPack tensor has no data" : NULL;
}

static jitc_status import(const DLTensor *d, void (*destroy)(void *), void *owner, jitc_tensor **out) {
    rt_dtype dtype;
    size_t bytes;
    const char *why = rt_dlpack_check(d, &dtype, &bytes);
    if (why) return rt_fail(JITC_E_ARGUMENT, "%s", why);
    char *data = d->data ? (char *)d->data + d->byte_offset : NULL;
    *out = rt_tensor_wrap(dtype, d->ndim, d->shape, d->strides, data, bytes, destroy, owner);
    return *out ? JITC_OK : rt_fail(JITC_E_MEMORY, "out of memory");
}

static void destroy_managed(void *owner) {
    DLManagedTensorVersioned *m = owner;
    if (m->deleter) m->deleter(m);
}

static void destroy_legacy(void *owner) {
    DLManagedTensor *m = owner;
    if (m->deleter) m->deleter(m);
}

/* A read-only tensor is taken as any other: compiled code writes only into arguments that are declared so. */
jitc_status jitc_tensor_from_dlpack(DLManagedTensorVersioned *managed, jitc_tensor **out) {
    *out = NULL;
    if (managed->version.major != DLPACK_MAJOR_VERSION)
        return rt_fail(JITC_E_FORMAT, "DLPack version %u is not supported", (unsigned)managed->version.major);
    return import(&managed->dl_tensor, destroy_managed, managed, out);
}

jitc_status jitc_tensor_from_dlpack_legacy(DLManagedTensor *managed, jitc_tensor **out) {
    *out = NULL;
    return import(&managed->dl_tensor, destroy_legacy, managed, out);
}

void jitc_tensor_describe(const jitc_tensor *t, DLTensor *out) {
    const rt_dtype_info *d = &rt_dtypes[t->dtype];
    *out = (DLTensor){.data = rt_tensor_data(t),
                      .device = {kDLCPU, 0},
                      .ndim = t->ndim,
                      .dtype = {(uint8_t)d->dlpack, (uint8_t)(d->bytes * 8), 1},
                      .shape = t->shape,
                      .strides = t->strides};
}

static void delete_exported(DLManagedTensorVersioned *self) {
    rt_tensor_release(self->manager_ctx);
    rt_free(self);
}

jitc_status jitc_tensor_to_dlpack(jitc_tensor *t, DLManagedTensorVersioned **out) {
    DLManagedTensorVersioned *m = *out = rt_calloc(1, sizeof *m);
    if (!m) return rt_fail(JITC_E_MEMORY, "out of memory");
    rt_tensor_retain(t);
    m->version = (DLPackVersion){DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    m->manager_ctx = t;
    m->deleter = delete_exported;
    jitc_tensor_describe(t, &m->dl_tensor);
    return JITC_OK;
}
