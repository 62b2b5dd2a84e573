/* eval_kernels.c: see eval_kernels.h. */
#include "lower/eval_kernels.h"

#include <math.h>

/* ------------------------------------------------------------------ primitives */

/* What has no loop of its own: lane by lane through the oracle. */
static void apply_any(const ir_expr *e, void *dst, const void *const *args, int n) {
    rt_dtype d = e->args[e->op == K_SELECT]->dtype;
    for (int l = 0; l < n; l++) {
        ir_scalar s[EV_MAX_ARGS];
        for (int i = 0; i < e->n; i++) s[i] = ev_get(args[i], e->args[i]->dtype, l);
        ev_set(dst, e->dtype, l, ir_prim_eval(e->op, e->dtype, d, s));
    }
}

#define LOOP(T, expr)                                                                                        \
    {                                                                                                        \
        const T *a = args[0], *b = e->n > 1 ? args[1] : args[0];                                             \
        T *r = dst;                                                                                          \
        for (int l = 0; l < n; l++) {                                                                        \
            T x = a[l], y = b[l];                                                                            \
            (void)y;                                                                                         \
            r[l] = (T)(expr);                                                                                \
        }                                                                                                    \
        return true;                                                                                         \
    }
#define COMPARE(T, op)                                                                                       \
    {                                                                                                        \
        const T *a = args[0], *b = args[1];                                                                  \
        int64_t *r = dst;                                                                                    \
        for (int l = 0; l < n; l++) r[l] = a[l] op b[l];                                                     \
        return true;                                                                                         \
    }
#define COMPARISONS(T)                                                                                       \
    case K_EQ: COMPARE(T, ==)                                                                                \
    case K_NE: COMPARE(T, !=)                                                                                \
    case K_LT: COMPARE(T, <)                                                                                 \
    case K_LE: COMPARE(T, <=)                                                                                \
    case K_GT: COMPARE(T, >)                                                                                 \
    case K_GE:                                                                                               \
        COMPARE(T, >=)
#define FLOATS(name, T, SQRT, FABS)                                                                          \
    static bool name(const ir_expr *e, void *dst, const void *const *args, int n) {                          \
        switch (e->op) {                                                                                     \
        case K_ADD: LOOP(T, x + y)                                                                           \
        case K_SUB: LOOP(T, x - y)                                                                           \
        case K_MUL: LOOP(T, x *y)                                                                            \
        case K_DIV: LOOP(T, x / y)                                                                           \
        case K_NEG: LOOP(T, -x)                                                                              \
        case K_ABS: LOOP(T, FABS(x))                                                                         \
        case K_SQRT: LOOP(T, SQRT(x))                                                                        \
        case K_MAX: LOOP(T, y > x ? y : y != y ? y : x)                                                      \
        case K_MIN: LOOP(T, y < x ? y : y != y ? y : x) COMPARISONS(T)                                       \
        default: return false;                                                                               \
        }                                                                                                    \
    }
FLOATS(apply_f32, float, sqrtf, fabsf)
FLOATS(apply_f64, double, sqrt, fabs)

/* Towards minus infinity; b is neither 0 nor -1. */
static int64_t quotient(int64_t a, int64_t b) {
    int64_t q = a / b;
    return q - (q * b != a && (a < 0) != (b < 0));
}

static bool divides(const int64_t *b, int n) {
    for (int l = 0; l < n; l++)
        if (b[l] == 0 || b[l] == -1) return false;
    return true;
}

static bool apply_i64(const ir_expr *e, void *dst, const void *const *args, int n) {
    switch (e->op) {
    case K_ADD: LOOP(int64_t, (uint64_t)x + (uint64_t)y)
    case K_SUB: LOOP(int64_t, (uint64_t)x - (uint64_t)y)
    case K_MUL: LOOP(int64_t, (uint64_t)x * (uint64_t)y)
    case K_NEG: LOOP(int64_t, 0 - (uint64_t)x)
    case K_MAX: LOOP(int64_t, x > y ? x : y)
    case K_MIN: LOOP(int64_t, x < y ? x : y)
    case K_AND: LOOP(int64_t, x & y)
    case K_OR: LOOP(int64_t, x | y)
    case K_XOR: LOOP(int64_t, x ^ y)
    case K_FLOORDIV:
        if (!divides(args[1], n)) return false;
        LOOP(int64_t, quotient(x, y))
    case K_MOD:
        if (!divides(args[1], n)) return false;
        LOOP(int64_t, (uint64_t)x - (uint64_t)quotient(x, y) * (uint64_t)y)
        COMPARISONS(int64_t)
    default: return false;
    }
}

#define BLEND(T)                                                                                             \
    {                                                                                                        \
        const int64_t *c = args[0];                                                                          \
        const T *a = args[1], *b = args[2];                                                                  \
        T *r = dst;                                                                                          \
        for (int l = 0; l < n; l++) r[l] = c[l] ? a[l] : b[l];                                               \
    }

static void apply_select(ev_rep rep, void *dst, const void *const *args, int n) {
    if (rep == EV_F32) BLEND(float)
    else if (rep == EV_F64) BLEND(double)
    else BLEND(int64_t)
}

#define CONVERT(S, D)                                                                                        \
    {                                                                                                        \
        const S *a = args[0];                                                                                \
        D *r = dst;                                                                                          \
        for (int l = 0; l < n; l++) r[l] = (D)a[l];                                                          \
        return true;                                                                                         \
    }

/* Conversions into f32, f64 and i64 that need no further rounding. */
static bool apply_cast(const ir_expr *e, void *dst, const void *const *args, int n) {
    ev_rep from = ev_rep_of(e->args[0]->dtype);
    if (e->dtype == DT_F32 && from == EV_F64) CONVERT(double, float)
    if (e->dtype == DT_F32 && from == EV_F32) CONVERT(float, float)
    if (e->dtype == DT_F32) CONVERT(int64_t, float)
    if (e->dtype == DT_F64 && from == EV_F32) CONVERT(float, double)
    if (e->dtype == DT_F64 && from == EV_I64) CONVERT(int64_t, double)
    if (e->dtype == DT_I64 && from == EV_I64) CONVERT(int64_t, int64_t)
    return false;
}

static void narrow(rt_dtype d, void *col, int n) {
    int64_t *i = col;
    float *f = col;
    switch (d) {
    case DT_U8:
        for (int l = 0; l < n; l++) i[l] = (uint8_t)i[l];
        break;
    case DT_I8:
        for (int l = 0; l < n; l++) i[l] = (int8_t)i[l];
        break;
    case DT_I16:
        for (int l = 0; l < n; l++) i[l] = (int16_t)i[l];
        break;
    case DT_I32:
        for (int l = 0; l < n; l++) i[l] = (int32_t)i[l];
        break;
    case DT_F16:
        for (int l = 0; l < n; l++) f[l] = rt_f16_to_f32(rt_f32_to_f16(f[l]));
        break;
    case DT_BF16:
        for (int l = 0; l < n; l++) f[l] = rt_bf16_to_f32(rt_f32_to_bf16(f[l]));
        break;
    default: break;
    }
}

void ev_apply(const ir_expr *e, void *dst, const void *const *args, int n) {
    ev_rep rep = ev_rep_of(e->args[0]->dtype);
    bool done;
    if (e->op == K_SELECT) {
        apply_select(ev_rep_of(e->dtype), dst, args, n);
        return;
    }
    if (e->op == K_CAST) done = apply_cast(e, dst, args, n);
    else if (rep == EV_F32) done = apply_f32(e, dst, args, n);
    else done = rep == EV_F64 ? apply_f64(e, dst, args, n) : apply_i64(e, dst, args, n);
    if (done) narrow(e->dtype, dst, n);
    else apply_any(e, dst, args, n);
}

/* ------------------------------------------------------------------ columns and memory */

ir_scalar ev_get(const void *col, rt_dtype dtype, int lane) {
    ir_scalar s;
    switch (ev_rep_of(dtype)) {
    case EV_F32: s.f = ((const float *)col)[lane]; break;
    case EV_F64: s.f = ((const double *)col)[lane]; break;
    default: s.i = ((const int64_t *)col)[lane]; break;
    }
    return s;
}

void ev_set(void *col, rt_dtype dtype, int lane, ir_scalar x) {
    switch (ev_rep_of(dtype)) {
    case EV_F32: ((float *)col)[lane] = (float)x.f; break;
    case EV_F64: ((double *)col)[lane] = x.f; break;
    default: ((int64_t *)col)[lane] = x.i; break;
    }
}

void ev_fill(void *dst, ev_rep rep, const void *value, int n) {
    if (rep == EV_F32) {
        float x = *(const float *)value, *d = dst;
        for (int l = 0; l < n; l++) d[l] = x;
    } else { /* 8 bytes of either kind */
        int64_t x, *d = dst;
        memcpy(&x, value, sizeof x);
        for (int l = 0; l < n; l++) d[l] = x;
    }
}

#define LOAD(S, D, conv)                                                                                     \
    {                                                                                                        \
        const S *p = (const S *)data + off;                                                                  \
        D *d = dst;                                                                                          \
        if (step == 1)                                                                                       \
            for (int l = 0; l < n; l++) d[l] = (D)conv(p[l]);                                                \
        else                                                                                                 \
            for (int l = 0; l < n; l++) d[l] = (D)conv(p[l * step]);                                         \
    }                                                                                                        \
    break;

void ev_load(void *dst, const void *data, rt_dtype dtype, int64_t off, int64_t step, int n) {
    switch (dtype) {
    case DT_BOOL: LOAD(uint8_t, int64_t, !!)
    case DT_U8: LOAD(uint8_t, int64_t, )
    case DT_I8: LOAD(int8_t, int64_t, )
    case DT_I16: LOAD(int16_t, int64_t, )
    case DT_I32: LOAD(int32_t, int64_t, )
    case DT_I64: LOAD(int64_t, int64_t, )
    case DT_F16: LOAD(uint16_t, float, rt_f16_to_f32)
    case DT_BF16: LOAD(uint16_t, float, rt_bf16_to_f32)
    case DT_F32: LOAD(float, float, )
    case DT_F64: LOAD(double, double, )
    default: break;
    }
}

#define STORE(S, D, conv)                                                                                    \
    {                                                                                                        \
        const S *s = src;                                                                                    \
        D *p = (D *)data + off;                                                                              \
        for (int l = 0; l < n; l++) p[l * step] = (D)conv(s[l]);                                             \
    }                                                                                                        \
    break;

void ev_store(void *data, rt_dtype dtype, int64_t off, int64_t step, const void *src, int n) {
    switch (dtype) {
    case DT_BOOL: STORE(int64_t, uint8_t, !!)
    case DT_U8: STORE(int64_t, uint8_t, )
    case DT_I8: STORE(int64_t, int8_t, )
    case DT_I16: STORE(int64_t, int16_t, )
    case DT_I32: STORE(int64_t, int32_t, )
    case DT_I64: STORE(int64_t, int64_t, )
    case DT_F16: STORE(float, uint16_t, rt_f32_to_f16)
    case DT_BF16: STORE(float, uint16_t, rt_f32_to_bf16)
    case DT_F32: STORE(float, float, )
    case DT_F64: STORE(double, double, )
    default: break;
    }
}

/* ------------------------------------------------------------------ GEMM */

enum { MR = 4, NR = 8, KC = 512 };

/* One tile of MR x NR sums over a panel b[k][NR]; rows beyond mr and columns beyond nr are computed and
 * dropped. */
#define GEMM(name, T, U)                                                                                     \
    static void tile_##name(int mr, int nr, int64_t k, const T *a, int64_t lda, const T *b, T *c,            \
                            int64_t ldc) {                                                                   \
        U acc[MR][NR];                                                                                       \
        const T *row[MR];                                                                                    \
        for (int i = 0; i < MR; i++) {                                                                       \
            row[i] = a + (i < mr ? i : 0) * lda;                                                             \
            for (int j = 0; j < NR; j++) acc[i][j] = i < mr && j < nr ? (U)c[i * ldc + j] : 0;               \
        }                                                                                                    \
        for (int64_t p = 0; p < k; p++)                                                                      \
            for (int i = 0; i < MR; i++) {                                                                   \
                U x = (U)row[i][p];                                                                          \
                for (int j = 0; j < NR; j++) acc[i][j] += x * (U)b[p * NR + j];                              \
            }                                                                                                \
        for (int i = 0; i < mr; i++)                                                                         \
            for (int j = 0; j < nr; j++) c[i * ldc + j] = (T)acc[i][j];                                      \
    }                                                                                                        \
    static void gemm_##name(int64_t m, int64_t n, int64_t k, const T *a, int64_t lda, const T *b, T *c) {    \
        T panel[KC * NR];                                                                                    \
        for (int64_t p = 0; p < k; p += KC) {                                                                \
            int64_t kc = k - p < KC ? k - p : KC;                                                            \
            for (int64_t j = 0; j < n; j += NR) {                                                            \
                int nr = n - j < NR ? (int)(n - j) : NR;                                                     \
                for (int64_t q = 0; q < kc; q++)                                                             \
                    for (int t = 0; t < NR; t++) panel[q * NR + t] = t < nr ? b[(p + q) * n + j + t] : 0;    \
                for (int64_t i = 0; i < m; i += MR)                                                          \
                    tile_##name(m - i < MR ? (int)(m - i) : MR, nr, kc, a + i * lda + p, lda, panel,         \
                                c + i * n + j, n);                                                           \
            }                                                                                                \
        }                                                                                                    \
    }
GEMM(f32, float, float)
GEMM(f64, double, double)
GEMM(i64, int64_t, uint64_t)

void ev_gemm(ev_rep rep, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
             void *c) {
    if (rep == EV_F32) gemm_f32(m, n, k, a, lda, b, c);
    else if (rep == EV_F64) gemm_f64(m, n, k, a, lda, b, c);
    else gemm_i64(m, n, k, a, lda, b, c);
}
