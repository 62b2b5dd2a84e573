/* math.h: what the files that write math functions as kernel IR share: a short notation, and the sequences for f32. */
#ifndef JITC_LOWER_MATH_H
#define JITC_LOWER_MATH_H

#include "lower/kernel.h"

typedef k_value *val;
typedef k_builder *B;

/* The function of x in f32 operations, the cheaper form if the kernel is `fast`; NULL if math_f32.c has none. */
val math_f32(B b, ir_prim p, val x);
/* log, log2, log10 around a result y that is right for positive finite x, with the domain moved: `zero` is where the
 * function is -infinity (0, or -1 for log1p). */
val math_log_limits(B b, val x, double zero, val y);

static inline val num(B b, val like, double x) { return k_float(b, like->dtype, x); }
static inline val neg(B b, val x) { return k_1(b, K_NEG, x); }
static inline val mag(B b, val x) { return k_1(b, K_ABS, x); }
static inline val root(B b, val x) { return k_1(b, K_SQRT, x); }
static inline val quot(B b, val x, val y) { return k_2(b, K_DIV, x, y); }
static inline val madd(B b, val x, val y, val z) { return k_3(b, K_FMA, x, y, z); }
static inline val sign_of(B b, val x, val s) { return k_2(b, K_COPYSIGN, x, s); }
static inline val lt(B b, val x, double y) { return k_2(b, K_LT, x, num(b, x, y)); }
static inline val gt(B b, val x, double y) { return k_2(b, K_GT, x, num(b, x, y)); }
static inline val eq(B b, val x, double y) { return k_2(b, K_EQ, x, num(b, x, y)); }
static inline val times(B b, val x, double y) { return k_mul(b, x, num(b, x, y)); }
static inline val plus(B b, val x, double y) { return k_add(b, x, num(b, x, y)); }
static inline val at_most(B b, val x, double y) { return k_2(b, K_MIN, x, num(b, x, y)); }
static inline val at_least(B b, val x, double y) { return k_2(b, K_MAX, x, num(b, x, y)); }
static inline val clamp(B b, val x, double lo, double hi) { return at_most(b, at_least(b, x, lo), hi); }
static inline val either(B b, val x, val y) { return k_2(b, K_OR, x, y); }
static inline val both(B b, val x, val y) { return k_2(b, K_AND, x, y); }
static inline val isnan_of(B b, val x) { return k_2(b, K_NE, x, x); }
static inline val to64(B b, val x) { return k_cast(b, x, DT_F64); }
static inline val to32(B b, val x) { return k_cast(b, x, DT_F32); }
/* x * c + d */
static inline val line(B b, val x, double c, double d) { return madd(b, x, num(b, x, c), num(b, x, d)); }

/* c[0] x^(n-1) + ... + c[n-1] */
static inline val poly(B b, val x, const double *c, int n) {
    val r = num(b, x, c[0]);
    for (int i = 1; i < n; i++) r = madd(b, r, x, num(b, x, c[i]));
    return r;
}
/* The same with z = x^2, by pairs of terms: half as long a chain of dependent operations. */
static inline val poly_pairs(B b, val x, val z, const double *c, int n) {
    val r = n % 2 ? num(b, x, c[0]) : line(b, x, c[0], c[1]);
    for (int i = 2 - n % 2; i < n; i += 2) r = madd(b, r, z, line(b, x, c[i], c[i + 1]));
    return r;
}
#define PAIRS(b, x, z, c) poly_pairs(b, x, z, c, (int)RT_COUNT(c))
#define POLY(b, x, c) poly(b, x, c, (int)RT_COUNT(c))

#endif
