/* custom_ops.c: a shared library of C functions that custom.c and tests/cli/custom.sh call as custom operators.  It knows
 * nothing of jitc but DLPack. */
#include "jitc/dlpack.h"

#include <stdlib.h>
#include <string.h>

#define OP __attribute__((visibility("default"))) const char *

static void free_managed(DLManagedTensorVersioned *m) {
    free(m->dl_tensor.shape);
    free(m->dl_tensor.data);
    free(m);
}

/* A fresh f32 tensor; its elements are returned. */
static float *give(DLManagedTensorVersioned **out, int ndim, const int64_t *shape) {
    DLManagedTensorVersioned *m = calloc(1, sizeof *m);
    size_t n = 1;
    for (int i = 0; i < ndim; i++) n *= (size_t)shape[i];
    m->version.major = 1;
    m->deleter = free_managed;
    m->dl_tensor.device.device_type = kDLCPU;
    m->dl_tensor.ndim = ndim;
    m->dl_tensor.dtype.code = kDLFloat;
    m->dl_tensor.dtype.bits = 32;
    m->dl_tensor.dtype.lanes = 1;
    m->dl_tensor.shape = malloc(sizeof *shape * (size_t)(ndim ? ndim : 1));
    memcpy(m->dl_tensor.shape, shape, sizeof *shape * (size_t)ndim);
    m->dl_tensor.data = malloc(4 * (n ? n : 1));
    *out = m;
    return m->dl_tensor.data;
}

static size_t count(const DLTensor *x) {
    size_t n = 1;
    for (int i = 0; i < x->ndim; i++) n *= (size_t)x->shape[i];
    return n;
}

static const float *floats(const DLTensor *x) { return (const float *)((const char *)x->data + x->byte_offset); }

/* rowsum(Tensor x, float scale) -> Tensor; x: f32[N, M] -> f32[N] */
OP rowsum(const DLTensor *x, double scale, DLManagedTensorVersioned **out) {
    if (x->ndim != 2) return "ValueError: rowsum wants two dimensions";
    float *y = give(out, 1, x->shape);
    for (int64_t i = 0; i < x->shape[0]; i++) {
        double sum = 0;
        for (int64_t k = 0; k < x->shape[1]; k++) sum += floats(x)[i * x->shape[1] + k];
        y[i] = (float)(sum * scale);
    }
    return NULL;
}

/* positive(Tensor x) -> Tensor: the elements above 0, as many as there are */
OP positive(const DLTensor *x, DLManagedTensorVersioned **out) {
    int64_t n = 0, size = (int64_t)count(x);
    for (int64_t i = 0; i < size; i++) n += floats(x)[i] > 0;
    float *y = give(out, 1, &n);
    for (int64_t i = 0; i < size; i++)
        if (floats(x)[i] > 0) *y++ = floats(x)[i];
    return NULL;
}

/* extent(Tensor x) -> (float, int, bool): the largest element, where it is, and whether there is one */
OP extent(const DLTensor *x, double *largest, int64_t *at, int32_t *any) {
    *largest = 0;
    *at = -1;
    for (size_t i = 0; i < count(x); i++)
        if (*at < 0 || floats(x)[i] > *largest) *largest = floats(x)[i], *at = (int64_t)i;
    *any = *at >= 0;
    return NULL;
}

/* grow_(Tensor(a!) x, int by) -> Tensor(a!) */
OP grow_(DLTensor *x, int64_t by) {
    float *at = (float *)floats(x);
    if (by < 0) return "ValueError: nothing shrinks";
    for (size_t i = 0; i < count(x); i++) at[i] += (float)by; /* what the test gives is contiguous */
    return NULL;
}

/* blend(Tensor[] xs, float[] w, Tensor? bias, str mode="sum") -> Tensor */
OP blend(int64_t nx, const DLTensor *const *xs, int64_t nw, const double *w, const DLTensor *bias, const char *mode,
         DLManagedTensorVersioned **out) {
    if (nx != nw || !nx) return "ValueError: as many weights as tensors are wanted";
    float *y = give(out, xs[0]->ndim, xs[0]->shape);
    for (size_t i = 0; i < count(xs[0]); i++) {
        double sum = bias ? floats(bias)[0] : 0;
        for (int64_t k = 0; k < nx; k++) sum += w[k] * (double)floats(xs[k])[i];
        y[i] = (float)(strcmp(mode, "mean") ? sum : sum / (double)nx);
    }
    return NULL;
}

/* flat(Tensor x) -> Tensor: one dimension, whatever x has */
OP flat(const DLTensor *x, DLManagedTensorVersioned **out) {
    int64_t n = (int64_t)count(x);
    memcpy(give(out, 1, &n), floats(x), 4 * count(x));
    return NULL;
}

/* lies(Tensor x) -> Tensor; x: f32[N] -> f32[N]: one element less than declared */
OP lies(const DLTensor *x, DLManagedTensorVersioned **out) {
    int64_t n = x->shape[0] - 1;
    float *y = give(out, 1, &n);
    memset(y, 0, 4 * (size_t)n);
    return NULL;
}
