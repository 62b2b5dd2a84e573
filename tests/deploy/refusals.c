/* refusals.c: one artefact with a symbolic batch runs any batch in its range, and what does not fit is refused with a message
 * that names the argument, the dim and what is allowed. */
#include "deploy.h"

#include "runtime/session.h"

static jitc_tensor *rows(int64_t n, int64_t width) { return deploy_floats(2, (int64_t[]){n, width}, (unsigned)n); }

static void refused(jitc_session *s, jitc_status want, const char *text, int nin, jitc_tensor **in) {
    jitc_tensor *y = NULL;
    jitc_status status = jitc_run_tensors(s, "forward", nin, in, 1, &y);
    REQUIRE(status == want, "%s, not %s: %s", jitc_status_name(status), jitc_status_name(want), jitc_session_error(s));
    REQUIRE(!strcmp(jitc_session_error(s), text), "the message is\n%s\nnot\n%s", jitc_session_error(s), text);
    REQUIRE(!y, "a result after a failure");
    printf("  %s: %s\n", jitc_status_name(status), text);
}

#ifdef __SANITIZE_ADDRESS__
void *__asan_region_is_poisoned(void *at, size_t n);
/* A slot that is overrun is seen, though its neighbour is memory of the same block. */
static void gaps(const jitc_session *s) {
    REQUIRE(s->work_bytes > 0 && __asan_region_is_poisoned(s->workspace.at, (size_t)s->work_bytes), "no gaps in the workspace");
    REQUIRE(!__asan_region_is_poisoned(s->workspace.at, 64), "the first slot cannot be used");
}
#else
static void gaps(const jitc_session *s) { (void)s; }
#endif

static void batches(deploy *d, jitc_session *s) {
    static const int64_t sizes[] = {1, 3, 64, 2, 63, 1};
    for (size_t i = 0; i < RT_COUNT(sizes); i++) {
        jitc_tensor *x = rows(sizes[i], 16), *y = NULL;
        REQUIRE(jitc_run_tensors(s, "forward", 1, &x, 1, &y) == JITC_OK, "%s", jitc_session_error(s));
        deploy_agrees(d, 1, &x, y);
        gaps(s);
        jitc_tensor_release(x);
    }
}

static void sizes(jitc_session *s) {
    jitc_tensor *none = rows(0, 16), *many = rows(65, 16), *wide = rows(3, 17);
    jitc_tensor *cube = deploy_floats(3, (int64_t[]){1, 1, 16}, 1), *ints = NULL, *two[] = {wide, wide};
    jitc_tensor_new(JITC_I64, 2, (int64_t[]){3, 16}, &ints);
    refused(s, JITC_E_SHAPE, "forward: argument 'input', dim 0, is 0, but N must be from 1 to 64", 1, &none);
    refused(s, JITC_E_SHAPE, "forward: argument 'input', dim 0, is 65, but N must be from 1 to 64", 1, &many);
    refused(s, JITC_E_SHAPE, "forward: argument 'input', dim 1, is 17, but must be 16", 1, &wide);
    refused(s, JITC_E_METHOD, "forward: argument 'input' must be f32[N, 16], not f32[1, 1, 16]", 1, &cube);
    refused(s, JITC_E_METHOD, "forward: argument 'input' must be f32[N, 16], not i64[3, 16]", 1, &ints);
    refused(s, JITC_E_ARGUMENT, "forward: 2 arguments are too many", 2, two);
    refused(s, JITC_E_METHOD, "forward: argument 'input' is missing", 0, NULL);
    refused(s, JITC_E_ARGUMENT, "forward: argument 0: it is NULL", 1, &(jitc_tensor *){NULL});
    jitc_tensor *all[] = {none, many, wide, cube, ints};
    for (size_t i = 0; i < RT_COUNT(all); i++) jitc_tensor_release(all[i]);
}

static void wants(jitc_session *s, jitc_status status, jitc_status want, const char *text) {
    const char *have = s ? jitc_session_error(s) : jitc_error();
    REQUIRE(status == want && !strcmp(have, text), "%s: %s\nnot\n%s", jitc_status_name(status), have, text);
    printf("  %s: %s\n", jitc_status_name(status), have);
}

static void calls(const deploy *d, jitc_session *s) {
    jitc_tensor *x = rows(3, 16), *small = rows(3, 9), *out[2] = {NULL, NULL};
    jitc_value result, arg = jitc_tensor_value(x), number = jitc_float(1);
    size_t bytes;
    wants(s, jitc_run_tensors(s, "forward", 1, &x, 2, out), JITC_E_ARGUMENT, "too many results are asked for");
    wants(s, jitc_run_tensors(s, "forward", 1, &x, 0, out), JITC_E_ARGUMENT, "forward has 1 results, not 0");
    wants(s, jitc_run_tensors(s, "forward", 1, &x, 1, &small), JITC_E_SHAPE,
          "result 0 is f32[3, 10], but the tensor given for it is f32[3, 9]");
    wants(s, jitc_run(s, "backward", 1, &arg, &result), JITC_E_METHOD, "no method 'backward'; there is forward");
    wants(s, jitc_run(s, "forward", 1, &number, &result), JITC_E_METHOD, "forward: argument 'input' must be f32[N, 16], not float");
    wants(NULL, jitc_module_workspace(d->module, "forward", 1, &number, &bytes), JITC_E_METHOD,
          "forward: argument 'input' must be f32[N, 16], not float");
    jitc_tensor_release(x);
    jitc_tensor_release(small);
}

static void devices(jitc_session *s) {
    jitc_tensor *x = rows(3, 16), *t = NULL;
    DLTensor in, out = {0};
    const DLTensor *args[] = {&in};
    DLManagedTensorVersioned *managed;
    jitc_tensor_describe(x, &in);
    in.device.device_type = kDLCUDA;
    wants(s, jitc_run_dlpack(s, "forward", 1, args, 1, &out), JITC_E_ARGUMENT,
          "forward: argument 0: the DLPack tensor is on a CUDA device, and must be in host memory");
    in.device.device_type = kDLCPU;
    in.dtype.code = kDLComplex;
    wants(s, jitc_run_dlpack(s, "forward", 1, args, 1, &out), JITC_E_ARGUMENT,
          "forward: argument 0: the DLPack tensor has a dtype that is not supported");
    REQUIRE(jitc_tensor_to_dlpack(x, &managed) == JITC_OK, "%s", jitc_error());
    managed->dl_tensor.device.device_type = kDLROCM;
    wants(NULL, jitc_tensor_from_dlpack(managed, &t), JITC_E_ARGUMENT,
          "the DLPack tensor is on a ROCm device, and must be in host memory");
    managed->deleter(managed);
    jitc_tensor_release(x);
}

int main(void) {
    static const char *const inputs[] = {"input=f32[N, 16]", "N:1..64", NULL};
    deploy d;
    REQUIRE(deploy_open(&d, "mlp", inputs, NULL), "mlp does not compile");
    for (int threads = 1; threads <= 2; threads++) {
        jitc_session *s = deploy_session(&d, threads);
        batches(&d, s);
        sizes(s);
        calls(&d, s);
        devices(s);
        batches(&d, s); /* a refused call leaves nothing behind */
        jitc_session_free(s);
    }
    deploy_close(&d);
    return 0;
}
