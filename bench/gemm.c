/* gemm.c: how near a GEMM built from `contract` comes to the machine's peak, and a chain of ten pointwise
 * operations to the speed of memory; one thread.  Prints one JSON object per line.  The peak is sampled
 * between the runs, because clocks move: shares are of the best sample.
 *
 *   cmake --build --preset release --target bench_gemm && build/release/bench/bench_gemm [ROUNDS] */
#include "bench/require.h"
#include "codegen/llvm.h"
#include "codegen/peak.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- C[M,N] = A[M,K] B[K,N]; B packed in panels [N/16][K][16] */

typedef struct gemm {
    int M, N, K;
} gemm;

static void tile(k_builder *b, k_buffer *acc, k_buffer *A, k_buffer *B, k_buffer *C, gemm s, int rows,
                 int cols, k_value *row, k_value *panel) {
    k_value *zero = k_float(b, DT_F32, 0), *width = k_i64(b, cols);
    k_inst *l = k_for(b, KL_VECTOR, 8, k_i64(b, 0), k_i64(b, rows * cols), 1);
    k_store(b, acc, k_var(l), zero);
    k_end(b, 0, NULL);
    k_value *a = k_mul(b, row, k_i64(b, s.K)), *p = k_mul(b, panel, k_i64(b, (int64_t)s.K * 16));
    k_contract_tile(b, acc, rows, cols, k_i64(b, s.K), A, 1, &a, k_i64(b, s.K), k_i64(b, 1), B, p,
                    k_i64(b, 16), NULL, 1);
    k_value *c = k_add(b, k_mul(b, row, k_i64(b, s.N)), k_mul(b, panel, k_i64(b, 16)));
    k_inst *i = k_for(b, KL_UNROLL, 0, k_i64(b, 0), k_i64(b, rows), 1);
    k_inst *j = k_for(b, KL_VECTOR, 8, k_i64(b, 0), width, 1);
    k_value *x = k_load(b, acc, k_add(b, k_mul(b, k_var(i), width), k_var(j)));
    k_store(b, C, k_add(b, c, k_add(b, k_mul(b, k_var(i), k_i64(b, s.N)), k_var(j))), x);
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* Rows in tiles of q + 1, then of q; groups of tiles share a panel of B in the L1 cache. */
static void rows_of(k_builder *b, k_buffer **buf, gemm s, int height, int ntiles, int first, k_value *group,
                    int per_group) {
    k_value *lo = k_mul(b, group, k_i64(b, per_group)),
            *hi = k_2(b, K_MIN, k_add(b, lo, k_i64(b, per_group)), k_i64(b, ntiles));
    if (!ntiles) return;
    for (int edge = 0; edge < 2; edge++) {
        int full = s.N / 16, cols = edge ? s.N % 16 : 16;
        if (!cols || (!edge && !full)) continue;
        k_buffer *acc = k_scratch(b->k, KS_REGISTER, DT_F32, height * cols, "acc");
        k_inst *j = k_for(b, KL_SERIAL, 0, k_i64(b, edge ? full : 0), k_i64(b, edge ? full + 1 : full), 1);
        k_inst *i = k_for(b, KL_SERIAL, 0, lo, hi, 1);
        k_value *row = k_add(b, k_mul(b, k_var(i), k_i64(b, height)), k_i64(b, first));
        tile(b, acc, buf[0], buf[1], buf[2], s, height, cols, row, k_var(j));
        k_end(b, 0, NULL);
        k_end(b, 0, NULL);
    }
}

static k_kernel *gemm_kernel(ir_context *c, gemm s) {
    k_kernel *k = k_kernel_new(c, ir_fmt(c, "gemm_%d_%d_%d", s.M, s.N, s.K));
    k_buffer *buf[3] = {k_arg(k, DT_F32, "A"), k_arg(k, DT_F32, "B"), k_arg(k, DT_F32, "C")};
    k_builder b = k_build(k);
    int tiles = (s.M + 5) / 6, q = s.M / tiles, big = s.M - q * tiles, small = tiles - big, per = 20;
    int most = big > small ? big : small;
    k_inst *g = k_for(&b, KL_GRID, 0, k_i64(&b, 0), k_i64(&b, (most + per - 1) / per), 1);
    rows_of(&b, buf, s, q + 1, big, 0, k_var(g), per);
    rows_of(&b, buf, s, q, small, big * (q + 1), k_var(g), per);
    k_end(&b, 0, NULL);
    return k;
}

/* ---- ten cheap operations on n elements; `copy`: none */

static k_kernel *chain_kernel(ir_context *c, const char *name, bool chain, bool nontemporal) {
    k_kernel *k = k_kernel_new(c, name);
    k_buffer *xb = k_arg(k, DT_F32, "x"), *yb = k_arg(k, DT_F32, "y");
    k_value *n = k_scalar(k, DT_I64, "n");
    k_builder b = k_build(k), *p = &b;
#define C(v) k_float(p, DT_F32, v)
    k_inst *l = k_for(p, KL_VECTOR, 0, k_i64(p, 0), n, 1);
    k_value *x = k_load(p, xb, k_var(l)), *y = x;
    if (chain) {
        y = k_2(p, K_MAX, k_add(p, k_mul(p, x, C(1.1)), C(0.3)), C(0));
        y = k_1(p, K_ABS, k_sub(p, k_mul(p, y, x), C(0.7)));
        y = k_2(p, K_MIN, k_2(p, K_MAX, y, C(0.01)), C(6));
        y = k_add(p, k_mul(p, y, C(0.5)), x);
    }
    k_inst *s = k_store(p, yb, k_var(l), y);
    s->nontemporal = nontemporal;
    s->align = nontemporal ? 64 : 0;
    k_end(p, 0, NULL);
    return k;
}

static k_kernel *math_kernel(ir_context *c, ir_prim prim) {
    k_kernel *k = k_kernel_new(c, ir_prims[prim].name);
    k_buffer *xb = k_arg(k, DT_F32, "x"), *yb = k_arg(k, DT_F32, "y");
    k_value *n = k_scalar(k, DT_I64, "n");
    k_builder b = k_build(k);
    k_inst *l = k_for(&b, KL_VECTOR, 0, k_i64(&b, 0), n, 1);
    k_store(&b, yb, k_var(l), k_1(&b, prim, k_load(&b, xb, k_var(l))));
    k_end(&b, 0, NULL);
    return k;
}

/* ---- measuring */

typedef struct bench {
    ir_context *c;
    cg_target *t;
    cg_jit *j;
    cg_peak *peak;
} bench;

static cg_kernel_fn *compile(bench *x, const k_kernel *k) {
    const char *symbol = ir_fmt(x->c, "bench_%s", k->name);
    cg_module *m = cg_module_new(x->c, x->t, symbol);
    require(x->c, cg_add_kernel(m, k, symbol, true) && cg_jit_add(x->j, m));
    return (cg_kernel_fn *)cg_jit_find(x->j, symbol);
}

static double once(cg_kernel_fn *f, void **buffers, int64_t n) {
    int64_t error[K_MAX_RAISE];
    double t = now();
    if (f(buffers, &n, 0, INT64_MAX, error)) exit(1);
    return now() - t;
}

static float *array(size_t n) {
    float *p = aligned_alloc(64, (n * 4 + 127) / 64 * 64);
    for (size_t i = 0; i < n; i++) p[i] = (float)((i * 7919) % 1000) / 1000 - 0.5f;
    return p;
}

static double check(gemm s, const float *A, const float *B, const float *C) {
    double worst = 0;
    for (int r = 0; r < 50; r++) {
        int i = (int)((unsigned)r * 37 % (unsigned)s.M), j = (int)((unsigned)r * 91 % (unsigned)s.N);
        double sum = 0;
        for (int k = 0; k < s.K; k++)
            sum += (double)A[i * s.K + k] * (double)B[(j / 16) * s.K * 16 + k * 16 + j % 16];
        worst = fmax(worst, fabs(sum - (double)C[i * s.N + j]));
    }
    return worst;
}

static void bench_gemm(bench *x, gemm s, int rounds) {
    cg_kernel_fn *f = compile(x, gemm_kernel(x->c, s));
    size_t panels = (size_t)(s.N + 15) / 16;
    float *A = array((size_t)s.M * (size_t)s.K), *B = array(panels * 16 * (size_t)s.K),
          *C = array((size_t)s.M * (size_t)s.N);
    void *buffers[] = {A, B, C};
    double best = 1e9, peak = 0;
    for (int r = 0; r < rounds; r++) {
        peak = cg_peak_sample(x->peak) * 1e-9;
        best = fmin(best, once(f, buffers, 0));
    }
    double gflops = 2e-9 * s.M * s.N * s.K / best;
    printf("{\"bench\": \"gemm\", \"m\": %d, \"n\": %d, \"k\": %d, \"gflops\": %.1f, \"peak\": %.1f, "
           "\"share\": %.3f, \"error\": %.2g}\n",
           s.M, s.N, s.K, gflops, peak, gflops / peak, check(s, A, B, C));
    free(A), free(B), free(C);
}

static void bench_stream(bench *x, const k_kernel *k, size_t n, int rounds) {
    cg_kernel_fn *f = compile(x, k);
    float *a = array(n), *y = array(n);
    void *buffers[] = {a, y};
    double best = 1e9;
    for (int r = 0; r < rounds; r++) best = fmin(best, once(f, buffers, (int64_t)n));
    printf("{\"bench\": \"%s\", \"n\": %zu, \"ns_per_element\": %.3f, \"gb_per_s\": %.1f}\n", k->name, n,
           best / (double)n * 1e9, 8e-9 * (double)n / best);
    free(a), free(y);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 15;
    static const gemm shapes[] = {{512, 512, 512}, {128, 256, 256}, {49, 512, 4608},
                                  {49, 75, 64},    {100, 100, 100}, {1024, 1024, 1024}};
    static const ir_prim prims[] = {K_EXP, K_LOG, K_TANH, K_ERF, K_SIN, K_EXPM1, K_LOG1P, K_ATAN};
    bench x = {.c = ir_context_new()};
    require(x.c, (x.t = cg_target_new(x.c, "host", 3)) && (x.j = cg_jit_new(x.c)));
    require(x.c, (x.peak = cg_peak_new(x.c, 1)) != NULL);
    for (size_t i = 0; i < RT_COUNT(shapes); i++) bench_gemm(&x, shapes[i], rounds);
    for (size_t n = 1 << 20; n <= 1 << 24; n <<= 4) {
        bench_stream(&x, chain_kernel(x.c, ir_fmt(x.c, "copy_%zu", n), false, false), n, rounds);
        bench_stream(&x, chain_kernel(x.c, ir_fmt(x.c, "chain_%zu", n), true, false), n, rounds);
        bench_stream(&x, chain_kernel(x.c, ir_fmt(x.c, "chain_nt_%zu", n), true, true), n, rounds);
    }
    for (size_t i = 0; i < RT_COUNT(prims); i++)
        bench_stream(&x, math_kernel(x.c, prims[i]), 1 << 20, rounds);
    cg_peak_free(x.peak);
    cg_jit_free(x.j);
    cg_target_free(x.t);
    ir_context_free(x.c);
    return 0;
}
