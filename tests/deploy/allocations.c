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

enum { RUNS = 5, MAX_IN = 2 };

/* What a model is run with.  The first size of all inputs is the batch. */
typedef struct model {
    const char *name, *types[MAX_IN + 1];
    struct { int ndim; int64_t shape[4]; int64_t most; /* i64 from 1 to this; 0: f32 */ } in[MAX_IN];
    int nin;
    int64_t batch; /* the largest */
    bool varies;   /* smaller ones are run too */
} model;

static void run(jitc_session *s, int n, jitc_tensor **x, jitc_tensor **y) {
    REQUIRE(jitc_run_tensors(s, "forward", n, x, 1, y) == JITC_OK, "%s", jitc_session_error(s));
}

static jitc_tensor *run_value(jitc_session *s, int n, jitc_tensor **x) {
    jitc_value args[MAX_IN], result;
    for (int i = 0; i < n; i++) args[i] = jitc_tensor_value(x[i]);
    REQUIRE(jitc_run(s, "forward", n, args, &result) == JITC_OK, "%s", jitc_session_error(s));
    return jitc_value_tensor(result);
}

static void dlpack(jitc_session *s, int n, jitc_tensor **x, const jitc_tensor *into /* or NULL */) {
    DLTensor in[MAX_IN], out = {0};
    const DLTensor *args[MAX_IN];
    for (int i = 0; i < n; i++) {
        jitc_tensor_describe(x[i], &in[i]);
        args[i] = &in[i];
    }
    if (into) jitc_tensor_describe(into, &out);
    REQUIRE(jitc_run_dlpack(s, "forward", n, args, 1, &out) == JITC_OK, "%s", jitc_session_error(s));
}

/* All ways to run. */
static void run_all(jitc_session *s, int n, jitc_tensor **x, jitc_tensor *into, int times) {
    for (int i = 0; i < times; i++) {
        jitc_tensor *y = NULL;
        run(s, n, x, &y);
        run(s, n, x, &into);
        run_value(s, n, x);
        dlpack(s, n, x, NULL);
        dlpack(s, n, x, into);
    }
}

/* A worker that the system starts late is charged for what libc and the sanitizers allocate then, once: runs that allocate do
 * so every time. */
static void quiet(const model *m, int threads, jitc_session *s, jitc_tensor **x, jitc_tensor *into) {
    long n = 1;
    for (int attempt = 0; n && attempt < threads + 1; attempt++) {
        long before = calls;
        run_all(s, m->nin, x, into, RUNS);
        n = calls - before;
    }
    REQUIRE(n == 0, "%s with %d threads, batch %lld: %ld calls of malloc and free in %d runs", m->name, threads,
            (long long)jitc_tensor_shape(x[0])[0], n, 5 * RUNS);
}

static void test_batch(deploy *d, const model *m, int threads, jitc_session *s, int64_t batch) {
    jitc_tensor *x[MAX_IN], *y = NULL;
    for (int i = 0; i < m->nin; i++) {
        int64_t shape[4];
        memcpy(shape, m->in[i].shape, sizeof shape);
        shape[0] = batch;
        x[i] = m->in[i].most ? deploy_ints(m->in[i].ndim, shape, m->in[i].most, (unsigned)batch)
                             : deploy_floats(m->in[i].ndim, shape, (unsigned)batch);
    }
    run(s, m->nin, x, &y);
    deploy_agrees(d, m->nin, x, y);
    jitc_tensor *into = deploy_floats(jitc_tensor_ndim(y), jitc_tensor_shape(y), 0);
    if (batch == m->batch) run_all(s, m->nin, x, into, 1);
    quiet(m, threads, s, x, into);
    deploy_agrees(d, m->nin, x, into);
    deploy_agrees(d, m->nin, x, run_value(s, m->nin, x));
    for (int i = 0; i < m->nin; i++) jitc_tensor_release(x[i]);
    jitc_tensor_release(into);
}

static void test(const model *m) {
    deploy d;
    REQUIRE(deploy_open(&d, m->name, m->types, NULL), "%s does not compile", m->name);
    for (int threads = 1; threads <= 2; threads++) {
        jitc_session *s = deploy_session(&d, threads);
        for (int64_t n = m->batch; n >= (m->varies ? 1 : m->batch); n -= 3) test_batch(&d, m, threads, s, n);
        jitc_session_free(s);
    }
    deploy_close(&d);
    printf("%s: no allocation after the first run\n", m->name);
}

static const model models[] = {
    {"mlp", {"input=f32[N, 16]"}, {{2, {0, 16}, 0}}, 1, 10, true},
    {"lenet", {"x=f32[N, 1, 28, 28]"}, {{4, {0, 1, 28, 28}, 0}}, 1, 4, true},
    {"resnet_tiny", {"x=f32[N, 3, 32, 32]"}, {{4, {0, 3, 32, 32}, 0}}, 1, 2, false},
    {"encoder_layer", {"src=f32[N, T, 32]"}, {{3, {0, 9, 32}, 0}}, 1, 5, true},
    {"bert_tiny", {"input_ids=i64[N, T]", "attention_mask=i64[N, T]"}, {{2, {0, 7}, 9}, {2, {0, 7}, 1}}, 2, 4, true},
    {"vit_tiny", {"x=f32[N, 3, 32, 32]"}, {{4, {0, 3, 32, 32}, 0}}, 1, 1, false},
};

int main(void) {
    start_counting();
    long before = calls;
    void *volatile probe = malloc(1);
    free(probe);
    REQUIRE(calls > before, "calls are not counted");
    for (size_t i = 0; i < RT_COUNT(models); i++) test(&models[i]);
    return 0;
}
