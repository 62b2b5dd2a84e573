/* custom.c: runs a module that calls a C function of this program as an operator.
 *
 *   jitc custom.py --op 'my_ops::norms(Tensor x, float eps=1e-5) -> Tensor; x: f32[N, C] -> f32[N]' ... -o custom.so
 *   custom custom.so */
#include "jitc/ffi.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void end(DLManagedTensorVersioned *m) { free(m); }

/* The length of each row.  The result comes with its elements in one block. */
static const char *norms(const DLTensor *x, double eps, DLManagedTensorVersioned **out) {
    int64_t n = x->shape[0], c = x->shape[1], i, k;
    const float *in = (const float *)((const char *)x->data + x->byte_offset);
    DLManagedTensorVersioned *m = calloc(1, sizeof *m + (size_t)n * sizeof(float));
    float *y = (float *)(m + 1);
    if (!m) return "MemoryError: out of memory";
    for (i = 0; i < n; i++) {
        double sum = eps;
        for (k = 0; k < c; k++) sum += (double)in[i * c + k] * (double)in[i * c + k];
        y[i] = (float)sqrt(sum);
    }
    m->version.major = DLPACK_MAJOR_VERSION;
    m->deleter = end;
    m->dl_tensor = *x; /* dtype, device, and its sizes: those of x that there are */
    m->dl_tensor.ndim = 1;
    m->dl_tensor.strides = NULL;
    m->dl_tensor.byte_offset = 0;
    m->dl_tensor.data = y;
    *out = m;
    return NULL;
}

int main(int argc, char **argv) {
    static float x[2 * 4] = {1, 2, 3, 4, -1, 0, 1, 0}, w[4 * 3] = {1, 0, 2, 0, 1, 0, 1, 1, 1, 0, 2, 0};
    int64_t sizes[2][2] = {{2, 4}, {4, 3}};
    jitc_load_opts opts = {.size = sizeof opts};
    jitc_tensor *in[2] = {NULL, NULL}, *y = NULL;
    jitc_ffi *f = NULL;
    jitc_module *m = NULL;
    jitc_session *s = NULL;
    int i, ok = argc == 2 && jitc_ffi_new(&f) == JITC_OK && jitc_ffi_add(f, "my_ops::norms", (void (*)(void))norms) == JITC_OK;
    if (ok) jitc_ffi_use(f, &opts);
    ok = ok && jitc_load(argv[1], &opts, &m) == JITC_OK && jitc_session_new(m, NULL, &s) == JITC_OK;
    for (i = 0; ok && i < 2; i++) ok = jitc_tensor_wrap(JITC_F32, 2, sizes[i], NULL, i ? w : x, NULL, NULL, &in[i]) == JITC_OK;
    if (!ok) fprintf(stderr, "%s\n", jitc_error());
    else if (jitc_run_tensors(s, "forward", 2, in, 1, &y) != JITC_OK) fprintf(stderr, "%s\n", jitc_session_error(s));
    for (i = 0; y && i < 6; i++) printf("%.4f%s", (double)((float *)jitc_tensor_data(y))[i], i % 3 < 2 ? " " : "\n");
    ok = ok && y;
    for (i = 0; i < 2; i++) jitc_tensor_release(in[i]);
    jitc_session_free(s);
    jitc_module_release(m);
    jitc_ffi_free(f);
    return !ok;
}
