/* peak.c: how fast this machine multiplies and adds, and copies, as yardsticks for kernels: chains of fused
 * multiply-adds in registers and a loop of loads and stores, compiled by the same back end, on as many threads. */
#include "codegen/peak.h"

#include "codegen/llvm.h"
#include "runtime/pool.h"

#include <time.h>

enum { CHAINS = 12, REPEATS = 8, STEPS = 8000, PIECES = 8, SAMPLES = 30 };
enum { COPY_BYTES = 32 << 20, COPY_PIECE = 1 << 20, COPIES = 12 };

static k_kernel *fma_kernel(ir_context *c, int width) {
    k_kernel *k = k_kernel_new(c, "peak");
    k_buffer *y = k_arg(k, DT_F32, "y");
    k_value *n = k_scalar(k, DT_I64, "n"), *next[CHAINS];
    k_builder b = k_build(k);
    k_inst *v = k_for(&b, KL_VECTOR, 0, k_i64(&b, 0), k_i64(&b, width), 1);
    k_value *x = k_load(&b, y, k_var(v));
    for (int i = 0; i < CHAINS; i++) next[i] = k_add(&b, x, k_float(&b, DT_F32, i));
    k_inst *l = k_for(&b, KL_SERIAL, 0, k_i64(&b, 0), n, 1);
    for (int i = 0; i < CHAINS; i++) next[i] = k_carry(&b, l, next[i]);
    for (int r = 0; r < REPEATS; r++)
        for (int i = 0; i < CHAINS; i++) next[i] = k_3(&b, K_FMA, next[i], x, x);
    k_end(&b, CHAINS, next);
    k_value *sum = l->out[0];
    for (int i = 1; i < CHAINS; i++) sum = k_add(&b, sum, l->out[i]);
    k_store(&b, y, k_var(v), sum);
    k_end(&b, 0, NULL);
    return k;
}

static k_kernel *copy_kernel(ir_context *c) {
    k_kernel *k = k_kernel_new(c, "copy");
    k_buffer *x = k_arg(k, DT_F32, "x"), *y = k_arg(k, DT_F32, "y");
    k_builder b = k_build(k);
    k_inst *l = k_for(&b, KL_VECTOR, 0, k_i64(&b, 0), k_i64(&b, COPY_PIECE / 4), 1);
    k_store(&b, y, k_var(l), k_load(&b, x, k_var(l)));
    k_end(&b, 0, NULL);
    return k;
}

struct cg_peak {
    cg_target *target;
    cg_jit *jit;
    cg_kernel_fn *fma, *copy;
    char *from, *to; /* COPY_BYTES each, while cg_peak_memory runs */
    rt_pool *pool;
    double best;
};

static bool compile(cg_peak *p, ir_context *c) {
    if (!(p->target = cg_target_new(c, "host", 3)) || !(p->jit = cg_jit_new(c))) return false;
    cg_module *m = cg_module_new(c, p->target, "peak");
    if (!cg_add_kernel(m, fma_kernel(c, p->target->width), "peak_fma", true)) return false;
    if (!cg_add_kernel(m, copy_kernel(c), "peak_copy", true)) return false;
    if (!cg_jit_add(p->jit, m)) return false;
    p->fma = (cg_kernel_fn *)cg_jit_find(p->jit, "peak_fma");
    p->copy = (cg_kernel_fn *)cg_jit_find(p->jit, "peak_copy");
    return p->fma && p->copy;
}

cg_peak *cg_peak_new(ir_context *c, int threads) {
    cg_peak *p = RT_NEW(&c->arena, cg_peak);
    if (!compile(p, c)) {
        cg_peak_free(p);
        return NULL;
    }
    p->pool = threads > 1 ? rt_pool_new(threads) : NULL;
    return p;
}

static double now(void) { /* seconds */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int32_t fma_piece(void *arg, int64_t begin, int64_t end, int64_t worker) {
    const cg_peak *p = arg;
    (void)worker;
    for (; begin < end; begin++) {
        float y[64] = {0};
        void *buffers[] = {y};
        int64_t n = STEPS, error[K_MAX_RAISE];
        if (p->fma(buffers, &n, 0, INT64_MAX, error)) return 1;
    }
    return 0;
}

double cg_peak_sample(cg_peak *p) {
    int64_t pieces = PIECES * rt_pool_workers(p->pool);
    for (int i = 0; i < SAMPLES; i++) {
        double begin = now();
        if (rt_pool_run(p->pool, pieces, pieces, fma_piece, p)) break;
        double flops = 2.0 * CHAINS * REPEATS * STEPS * p->target->width * (double)pieces;
        double rate = flops / (now() - begin);
        if (rate > p->best) p->best = rate;
    }
    return p->best;
}

static int32_t copy_piece(void *arg, int64_t begin, int64_t end, int64_t worker) {
    const cg_peak *p = arg;
    (void)worker;
    for (; begin < end; begin++) {
        void *buffers[] = {p->from + begin * COPY_PIECE, p->to + begin * COPY_PIECE};
        int64_t none = 0, error[K_MAX_RAISE];
        if (p->copy(buffers, &none, 0, INT64_MAX, error)) return 1;
    }
    return 0;
}

double cg_peak_memory(cg_peak *p) {
    double best = 0;
    p->from = rt_malloc(COPY_BYTES);
    p->to = rt_malloc(COPY_BYTES);
    if (p->from && p->to) {
        memset(p->from, 0, COPY_BYTES);
        memset(p->to, 0, COPY_BYTES);
        for (int i = 0; i < COPIES; i++) {
            double begin = now();
            if (rt_pool_run(p->pool, COPY_BYTES / COPY_PIECE, COPY_BYTES / COPY_PIECE, copy_piece, p)) break;
            double rate = 2.0 * COPY_BYTES / (now() - begin);
            if (rate > best) best = rate;
        }
    }
    rt_free(p->from);
    rt_free(p->to);
    return best;
}

void cg_peak_free(cg_peak *p) {
    if (!p) return;
    rt_pool_free(p->pool);
    cg_jit_free(p->jit);
    cg_target_free(p->target);
}
