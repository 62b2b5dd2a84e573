/* allocations.c: a loaded straight-line model does not touch the heap: the second run and all that follow, with smaller batches
 * too, call neither malloc nor free, and give the right results. */
#include "deploy.h"

#include <stdatomic.h>
#include <stdlib.h>

/* ---- every call in the process is counted */

static _Atomic long calls;
static void note(void) { calls++; }

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
extern int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t), void (*)(const volatile void *));
static void on_malloc(const volatile void *p, size_t n) { (void)p, (void)n, note(); }
static void on_free(const volatile void *p) { (void)p, note(); }
static void start_counting(void) { __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free); }
#else
#define SEEN __attribute__((visibility("default")))
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
void __libc_free(void *);
SEEN void *malloc(size_t n) { return note(), __libc_malloc(n); }
SEEN void *calloc(size_t n, size_t k) { return note(), __libc_calloc(n, k); }
SEEN void *realloc(void *p, size_t n) { return note(), __libc_realloc(p, n); }
SEEN void *aligned_alloc(size_t a, size_t n) { return note(), __libc_memalign(a, n); }
SEEN void free(void *p) {
    if (p) note();
    __libc_free(p);
}
static void start_counting(void) {}
#endif

/* ---- the models */

enum { RUNS = 5 };

static void run(jitc_session *s, jitc_tensor *x, jitc_tensor **y) {
    REQUIRE(jitc_run_tensors(s, "forward", 1, &x, 1, y) == JITC_OK, "%s", jitc_session_error(s));
}

static jitc_tensor *run_value(jitc_session *s, jitc_tensor *x) {
    jitc_value arg = jitc_tensor_value(x), result;
    REQUIRE(jitc_run(s, "forward", 1, &arg, &result) == JITC_OK, "%s", jitc_session_error(s));
    return jitc_value_tensor(result);
}

static void dlpack(jitc_session *s, jitc_tensor *x) {
    DLTensor in, out = {0};
    const DLTensor *args[] = {&in};
    jitc_tensor_describe(x, &in);
    REQUIRE(jitc_run_dlpack(s, "forward", 1, args, 1, &out) == JITC_OK, "%s", jitc_session_error(s));
}

/* All ways to run. */
static void run_all(jitc_session *s, jitc_tensor *x, jitc_tensor *into, int n) {
    for (int i = 0; i < n; i++) {
        jitc_tensor *y = NULL;
        run(s, x, &y);
        run(s, x, &into);
        run_value(s, x);
        dlpack(s, x);
    }
}

static void quiet(const char *name, int threads, jitc_session *s, jitc_tensor *x, jitc_tensor *into) {
    long before = calls;
    run_all(s, x, into, RUNS);
    long n = calls - before;
    REQUIRE(n == 0, "%s with %d threads, batch %lld: %ld calls of malloc and free in %d runs", name, threads,
            (long long)jitc_tensor_shape(x)[0], n, 4 * RUNS);
}

/* `shape` is that of the largest input; its first size goes down by threes if the batch may vary. */
static void test(const char *name, const char *input, int ndim, int64_t *shape, bool varies) {
    const char *inputs[] = {input, NULL};
    int64_t largest = shape[0];
    deploy d;
    REQUIRE(deploy_open(&d, name, inputs, NULL), "%s does not compile", name);
    for (int threads = 1; threads <= 3; threads++) {
        jitc_session *s = deploy_session(&d, threads);
        for (int64_t n = largest; n >= (varies ? 1 : largest); n -= 3) {
            shape[0] = n;
            jitc_tensor *x = deploy_floats(ndim, shape, (unsigned)n), *y = NULL;
            run(s, x, &y);
            deploy_agrees(&d, x, y);
            jitc_tensor *into = deploy_floats(jitc_tensor_ndim(y), jitc_tensor_shape(y), 0);
            if (n == largest) run_all(s, x, into, 1);
            quiet(name, threads, s, x, into);
            deploy_agrees(&d, x, into);
            deploy_agrees(&d, x, run_value(s, x));
            jitc_tensor_release(x);
            jitc_tensor_release(into);
        }
        jitc_session_free(s);
    }
    shape[0] = largest;
    deploy_close(&d);
    printf("%s: no allocation after the first run\n", name);
}

int main(void) {
    start_counting();
    long before = calls;
    void *volatile probe = malloc(1);
    free(probe);
    REQUIRE(calls > before, "calls are not counted");
    test("mlp", "input=f32[N, 16]", 2, (int64_t[]){10, 16}, true);
    test("lenet", "x=f32[N, 1, 28, 28]", 4, (int64_t[]){4, 1, 28, 28}, true);
    test("resnet_tiny", "x=f32[N, 3, 32, 32]", 4, (int64_t[]){2, 3, 32, 32}, false);
    test("encoder_layer", "src=f32[N, T, 32]", 3, (int64_t[]){5, 9, 32}, true);
    return 0;
}
