/* math.c: the primitives that a processor lacks, as sequences of those that it has.
 *
 * f32: math_f32.c has the functions that models spend time in; the others go through short series in f64 here and are
 * rounded once at the end.  f64 functions are calls of libm, except those that libm lacks.  Every backend gets these
 * same sequences, so that all agree bit for bit.  Arguments out of the domain, infinities, zeros of both signs and
 * subnormals give what C's Annex F says. */
#include "lower/math.h"

#include <math.h>

/* ---- libm */

typedef struct function {
    ir_prim p;
    int arity;
    const char *f32, *f64;
    float (*call1f)(float);
    double (*call1)(double);
    float (*call2f)(float, float);
    double (*call2)(double, double);
} function;

#define F1(p, name)                                                                                          \
    { p, 1, #name "f", #name, name##f, name, NULL, NULL }
#define F2(p, name)                                                                                          \
    { p, 2, #name "f", #name, NULL, NULL, name##f, name }
static const function functions[] = {
    F1(K_EXP, exp),     F1(K_EXP2, exp2),
    F1(K_EXPM1, expm1), F1(K_LOG, log),
    F1(K_LOG2, log2),   F1(K_LOG10, log10),
    F1(K_LOG1P, log1p), F1(K_SIN, sin),
    F1(K_COS, cos),     F1(K_TAN, tan),
    F1(K_ASIN, asin),   F1(K_ACOS, acos),
    F1(K_ATAN, atan),   F1(K_SINH, sinh),
    F1(K_COSH, cosh),   F1(K_TANH, tanh),
    F1(K_ASINH, asinh), F1(K_ACOSH, acosh),
    F1(K_ATANH, atanh), F1(K_ERF, erf),
    F1(K_ERFC, erfc),   F1(K_LGAMMA, lgamma),
    F2(K_REM, fmod),    F2(K_ATAN2, atan2),
    F2(K_POW, pow),     F2(K_NEXTAFTER, nextafter),
};

static const function *find_function(ir_prim p) {
    for (size_t i = 0; i < RT_COUNT(functions); i++)
        if (functions[i].p == p) return &functions[i];
    return NULL;
}

const char *k_math_symbol(ir_prim p, rt_dtype d) {
    const function *f = rt_dtypes[d].kind == 'F' ? find_function(p) : NULL;
    return !f ? NULL : d == DT_F64 ? f->f64 : f->f32;
}

double k_math_call(ir_prim p, rt_dtype d, double x, double y) {
    const function *f = find_function(p);
    if (!f) return NAN;
    if (d == DT_F64) return f->arity == 1 ? f->call1(x) : f->call2(x, y);
    return (double)(f->arity == 1 ? f->call1f((float)x) : f->call2f((float)x, (float)y));
}

static val libm(B b, ir_prim p, val x, val y) {
    k_inst *n = k_prim_inst(b, p, x->dtype, y ? 2 : 1, (val[]){x, y});
    n->libm = true;
    return n->out[0];
}

/* Computes `normal` unless `rare` holds somewhere, then the function of libm for those. */
static val rarely(B b, val rare, val normal, ir_prim p, val x, val y) {
    k_inst *branch = k_if(b, rare);
    val slow = libm(b, p, x, y);
    k_else(b, 1, &slow);
    k_end(b, 1, &normal);
    return branch->out[0];
}

/* ---- f64 helpers behind the other f32 functions: about 40 good bits, for normal arguments */

static val series_log64(B b, val s) { /* log((1 + s) / (1 - s)), |s| <= 0.172 */
    static const double c[] = {2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11,
                               2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3,  2};
    return k_mul(b, s, poly(b, k_mul(b, s, s), c, 10));
}

/* log of a positive normal f64 as (exponent, log of the mantissa). */
static val split_log64(B b, val x, val *e) {
    val base = k_i64(b, 0x3fe6a09e667f3bcd), u = k_sub(b, k_bitcast(b, x, DT_I64), base);
    val k = k_2(b, K_SHR, u, k_i64(b, 52));
    /* i64 -> f64 for small integers without a conversion that vectors lack */
    *e = plus(b, k_bitcast(b, k_add(b, k, k_i64(b, 0x4338000000000000)), DT_F64), -6755399441055744.0);
    val m = k_bitcast(b, k_add(b, k_2(b, K_AND, u, k_i64(b, 0xfffffffffffff)), base), DT_F64);
    return series_log64(b, quot(b, plus(b, m, -1), plus(b, m, 1)));
}

static val log64(B b, val x) {
    val e, l = split_log64(b, x, &e);
    return madd(b, e, num(b, x, M_LN2), l);
}

/* The same with 0, infinity, NaN and negative arguments. */
static val full_log64(B b, val x) { return math_log_limits(b, x, 0, log64(b, x)); }

static val nearest64(B b, val magic, val *whole) {
    *whole = k_bitcast(b, magic, DT_I64);
    return plus(b, magic, -6755399441055744.0);
}

static val exp_of_split(B b, val t, val n) { /* e^t * 2^n, |t| <= 0.35 */
    static const double c[] = {
        1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5,         1,          1};
    val s = k_2(b, K_SHL, k_add(b, n, k_i64(b, 1023)), k_i64(b, 52));
    return k_mul(b, poly(b, t, c, 12), k_bitcast(b, s, DT_F64));
}

static val exp64(B b, val x) { /* |x| clamped to 700; NaN passes */
    val c = clamp(b, x, -700, 700), n,
        w = nearest64(b, madd(b, c, num(b, x, M_LOG2E), num(b, x, 6755399441055744.0)), &n);
    return exp_of_split(b, madd(b, w, num(b, x, -M_LN2), c), n);
}

static val exp2_64(B b, val x) {
    val c = clamp(b, x, -1000, 1000), n, w = nearest64(b, plus(b, c, 6755399441055744.0), &n);
    return exp_of_split(b, times(b, k_sub(b, c, w), M_LN2), n);
}

static val sin_series(B b, val r) {
    static const double c[] = {1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
                               -1.0 / 5040,      1.0 / 120,       -1.0 / 6};
    val z = k_mul(b, r, r);
    return madd(b, k_mul(b, r, z), poly(b, z, c, 6), r);
}

static val cos_series(B b, val r) {
    static const double c[] = {-1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320,
                               -1.0 / 720,         1.0 / 24,        -0.5,           1};
    return poly(b, k_mul(b, r, r), c, 8);
}

/* r in [-pi/4, pi/4] and the quadrant's two bits; good below 2^40. */
static val quadrant(B b, val x, val *q) {
    val n, w = nearest64(b, madd(b, x, num(b, x, M_2_PI), num(b, x, 6755399441055744.0)), &n);
    *q = k_2(b, K_AND, n, k_i64(b, 3));
    val r = madd(b, w, num(b, x, -1.57079632679489655800), x);
    return madd(b, w, num(b, x, -6.12323399573676603587e-17), r);
}

static val bit_set(B b, val q, int64_t bit) {
    return k_2(b, K_NE, k_2(b, K_AND, q, k_i64(b, bit)), k_i64(b, 0));
}

/* Through f64, up to 2^40. */
static val wide_sin_or_cos(B b, ir_prim p, val x) {
    val q, r = quadrant(b, to64(b, x), &q), s = sin_series(b, r), c = cos_series(b, r), y;
    if (p == K_TAN) {
        val odd = bit_set(b, q, 1);
        y = quot(b, k_select(b, odd, neg(b, c), s), k_select(b, odd, s, c));
    } else {
        if (p == K_COS) q = k_add(b, q, k_i64(b, 1));
        y = k_select(b, bit_set(b, q, 1), c, s);
        y = k_select(b, bit_set(b, q, 2), neg(b, y), y);
    }
    y = to32(b, y);
    if (p != K_COS) y = k_select(b, eq(b, x, 0), x, y);
    return rarely(b, gt(b, mag(b, x), 0x1p40), y, p, x, NULL);
}

static val sin_or_cos(B b, ir_prim p, val x) {
    val near = math_f32(b, p, x);
    if (!near) return wide_sin_or_cos(b, p, x);
    k_inst *branch = k_if(b, gt(b, mag(b, x), 71476));
    val far = wide_sin_or_cos(b, p, x);
    k_else(b, 1, &far);
    k_end(b, 1, &near);
    return branch->out[0];
}

static val atan64(B b, val x) { /* any x */
    static const double c[] = {1.0 / 29,  -1.0 / 27, 1.0 / 25,  -1.0 / 23, 1.0 / 21,
                               -1.0 / 19, 1.0 / 17,  -1.0 / 15, 1.0 / 13,  -1.0 / 11,
                               1.0 / 9,   -1.0 / 7,  1.0 / 5,   -1.0 / 3,  1};
    val a = mag(b, x), large = gt(b, a, 1), t = k_select(b, large, quot(b, num(b, x, 1), a), a);
    val upper = gt(b, t, 0.41421356237309503);
    val u = k_select(b, upper, quot(b, plus(b, t, -1), plus(b, t, 1)), t);
    val y = k_mul(b, u, poly(b, k_mul(b, u, u), c, 15));
    y = k_select(b, upper, plus(b, y, M_PI_4), y);
    y = k_select(b, large, k_sub(b, num(b, x, M_PI_2), y), y);
    return sign_of(b, y, x);
}

static val atan2_64(B b, val y, val x) {
    val ax = mag(b, x), ay = mag(b, y), same = k_2(b, K_EQ, ax, ay);
    val ratio = k_select(b, same, num(b, x, 1), quot(b, ay, ax)); /* also inf / inf */
    ratio = k_select(b, eq(b, ay, 0), num(b, x, 0), ratio);       /* also 0 / 0 */
    val t = atan64(b, ratio), left = lt(b, sign_of(b, num(b, x, 1), x), 0);
    t = k_select(b, left, k_sub(b, num(b, x, M_PI), t), t);
    t = k_select(b, either(b, isnan_of(b, x), isnan_of(b, y)), num(b, x, NAN), t);
    return sign_of(b, t, y);
}

/* x + c x^3 for |x| < 2^-10, where the other formulas cancel; else y. */
static val near_zero(B b, val x, double c, val y) {
    val z = k_mul(b, x, x), small = madd(b, k_mul(b, x, z), num(b, x, c), x);
    small = k_select(b, eq(b, x, 0), x, small); /* keeps -0 */
    return k_select(b, lt(b, mag(b, x), 0x1p-10), small, y);
}

static val asinh64(B b, val x) {
    val a = mag(b, x), y = full_log64(b, k_add(b, a, root(b, madd(b, a, a, num(b, x, 1)))));
    return near_zero(b, x, -1.0 / 6, sign_of(b, y, x));
}

static val acosh64(B b, val x) {
    val y = full_log64(b, k_add(b, x, root(b, k_mul(b, plus(b, x, -1), plus(b, x, 1)))));
    return k_select(b, lt(b, x, 1), num(b, x, NAN), y);
}

static val atanh64(B b, val x) {
    val one = num(b, x, 1), y = times(b, full_log64(b, quot(b, k_add(b, one, x), k_sub(b, one, x))), 0.5);
    return near_zero(b, x, 1.0 / 3, y);
}

/* ---- error functions.  Coefficients: W. J. Cody, Rational Chebyshev approximations for the error function.
 */

static val ratio(B b, val x, const double *p, int np, const double *q, int nq) {
    return quot(b, poly(b, x, p, np), poly(b, x, q, nq));
}

static val erf_small64(B b, val x) { /* |x| <= 0.46875 */
    static const double p[] = {1.85777706184603153E-1, 3.16112374387056560E0, 1.13864154151050156E2,
                               3.77485237685302021E2, 3.20937758913846947E3};
    static const double q[] = {1, 2.36012909523441209E1, 2.44024637934444173E2, 1.28261652607737228E3,
                               2.84423683343917062E3};
    return k_mul(b, x, ratio(b, k_mul(b, x, x), p, 5, q, 5));
}

/* erfc of a >= 0.46875 */
static val erfc_large64(B b, val a) {
    static const double p1[] = {2.15311535474403846E-8, 5.64188496988670089E-1, 8.88314979438837594E0,
                                6.61191906371416295E1,  2.98635138197400131E2,  8.81952221241769090E2,
                                1.71204761263407058E3,  2.05107837782607147E3,  1.23033935479799725E3};
    static const double q1[] = {1,
                                1.57449261107098347E1,
                                1.17693950891312499E2,
                                5.37181101862009858E2,
                                1.62138957456669019E3,
                                3.29079923573345963E3,
                                4.36261909014324716E3,
                                3.43936767414372164E3,
                                1.23033935480374942E3};
    static const double p2[] = {1.63153871373020978E-2, 3.05326634961232344E-1, 3.60344899949804439E-1,
                                1.25781726111229246E-1, 1.60837851487422766E-2, 6.58749161529837803E-4};
    static const double q2[] = {1,
                                2.56852019228982242E0,
                                1.87295284992346725E0,
                                5.27905102951428412E-1,
                                6.05183413124413191E-2,
                                2.33520497626869185E-3};
    val c = k_2(b, K_MIN, a, num(b, a, 27)), z = k_mul(b, c, c), v = quot(b, num(b, a, 1), z);
    val far = k_mul(b, v, ratio(b, v, p2, 6, q2, 6));
    far = quot(b, k_sub(b, num(b, a, 0.56418958354775628695), far), c);
    val r = k_select(b, gt(b, a, 4), far, ratio(b, c, p1, 9, q1, 9));
    return k_mul(b, exp64(b, neg(b, z)), r);
}

static val erfc64(B b, val x) {
    val a = mag(b, x), one = num(b, x, 1), large = erfc_large64(b, a);
    large = k_select(b, lt(b, x, 0), k_sub(b, num(b, x, 2), large), large);
    return k_select(b, lt(b, a, 0.46875), k_sub(b, one, erf_small64(b, x)), large);
}

/* M. Giles' polynomials, then one Newton step on erf or, where that is flat, on erfc. */
static val erfinv64(B b, val x) {
    static const double mid[] = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06,
                                 -4.39150654e-06, 0.00021858087,  -0.00125372503,
                                 -0.00417768164,  0.246640727,    1.50140941};
    static const double end[] = {-0.000200214257, 0.000100950558, 0.00134934322,
                                 -0.00367342844,  0.00573950773,  -0.0076224613,
                                 0.00943887047,   1.00167406,     2.83297682};
    val one = num(b, x, 1), a = mag(b, x),
        w = neg(b, full_log64(b, k_mul(b, k_sub(b, one, a), k_add(b, one, a))));
    val y = k_mul(b, a,
                  k_select(b, lt(b, w, 5), poly(b, plus(b, w, -2.5), mid, 9),
                           poly(b, plus(b, root(b, w), -3), end, 9)));
    val tail = k_sub(b, erfc64(b, y), k_sub(b, one, a)), near = k_sub(b, erf_small64(b, y), a);
    val e = k_select(b, lt(b, y, 0.46875), near, neg(b, tail));
    val slope = times(b, exp64(b, neg(b, k_mul(b, y, y))), M_2_SQRTPI);
    y = k_sub(b, y, quot(b, e, slope));
    y = k_select(b, eq(b, a, 1), num(b, x, INFINITY), y);
    y = k_select(b, either(b, gt(b, a, 1), isnan_of(b, x)), num(b, x, NAN), y);
    return sign_of(b, y, x);
}

/* ---- pow */

static val is_integer(B b, val y) { return k_2(b, K_EQ, k_1(b, K_TRUNC, y), y); }

static val pow32(B b, val x, val y) {
    val w = to64(b, y), a = mag(b, to64(b, x)), e, l = split_log64(b, a, &e), one = num(b, x, 1);
    val log2a = madd(b, l, num(b, w, M_LOG2E), e);
    log2a = k_select(b, eq(b, a, 0), num(b, w, -INFINITY), log2a);
    log2a = k_select(b, eq(b, a, INFINITY), a, log2a);
    val t = k_mul(b, w, log2a), r = to32(b, exp2_64(b, t));
    r = k_select(b, isnan_of(b, t), num(b, x, NAN), r);
    val whole = is_integer(b, y), h = times(b, y, 0.5);
    val odd = both(b, whole, k_2(b, K_NE, k_1(b, K_TRUNC, h), h)), minus = lt(b, sign_of(b, one, x), 0);
    r = k_select(b, both(b, lt(b, x, 0), k_1(b, K_NOT, whole)), num(b, x, NAN), r);
    r = k_select(b, both(b, eq(b, x, -INFINITY), k_1(b, K_NOT, whole)),
                 k_select(b, gt(b, y, 0), num(b, x, INFINITY), num(b, x, 0)), r);
    r = k_select(b, both(b, odd, minus), neg(b, r), r);
    r = k_select(b, either(b, isnan_of(b, x), isnan_of(b, y)), num(b, x, NAN), r);
    val flat = both(b, eq(b, x, -1), eq(b, mag(b, y), INFINITY));
    return k_select(b, either(b, either(b, eq(b, x, 1), eq(b, y, 0)), flat), one, r);
}

/* Squaring in a loop over the bits of the exponent; a negative one gives 1 / x truncated. */
static val int_pow(B b, val x, val y) {
    rt_dtype d = x->dtype;
    val one = k_int(b, d, 1), zero = k_int(b, d, 0), next[3];
    k_inst *loop = k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, rt_dtypes[d].bits), 1);
    val r = k_carry(b, loop, one), base = k_carry(b, loop, x), e = k_carry(b, loop, y);
    val odd = k_2(b, K_NE, k_2(b, K_AND, e, one), zero);
    next[0] = k_select(b, odd, k_mul(b, r, base), r);
    next[1] = k_mul(b, base, base);
    next[2] = k_2(b, K_SHR, e, one);
    k_end(b, 3, next);
    if (rt_dtypes[d].kind == 'U') return loop->out[0];
    val last = k_2(b, K_NE, k_2(b, K_AND, y, one), zero), minus = k_int(b, d, -1);
    val small = k_select(b, k_2(b, K_EQ, x, minus), k_select(b, last, minus, one), zero);
    small = k_select(b, k_2(b, K_EQ, x, one), one, small);
    return k_select(b, k_2(b, K_LT, y, zero), small, loop->out[0]);
}

/* ---- remainders of floats */

/* a - trunc(a / b) b is exact in f64 for f32 operands while the quotient is below 2^50. */
static val rem32(B b, val x, val y) {
    val a = to64(b, x), d = to64(b, y), q = k_1(b, K_TRUNC, quot(b, a, d)), m = mag(b, d);
    val r = mag(b, madd(b, neg(b, q), d, a)),
        s = k_mul(b, madd(b, neg(b, q), d, a), sign_of(b, num(b, a, 1), a));
    r = k_select(b, lt(b, s, 0), k_sub(b, m, r), r);        /* the quotient was rounded up, */
    r = k_select(b, k_2(b, K_GE, r, m), k_sub(b, r, m), r); /* or down */
    r = to32(b, sign_of(b, r, a));
    r = k_select(b, both(b, eq(b, m, INFINITY), lt(b, mag(b, a), INFINITY)), x, r);
    val far = both(b, gt(b, mag(b, q), 0x1p50), both(b, lt(b, mag(b, a), INFINITY), gt(b, m, 0)));
    return rarely(b, far, r, K_REM, x, y);
}

static val rem_of(B b, val x, val y) { return x->dtype == DT_F64 ? libm(b, K_REM, x, y) : rem32(b, x, y); }

static val opposite(B b, val m, val y) { /* m is not zero and has another sign than y */
    val zero = num(b, y, 0), differ = k_2(b, K_XOR, k_2(b, K_LT, m, zero), k_2(b, K_LT, y, zero));
    return both(b, k_2(b, K_NE, m, zero), differ);
}

static val float_mod(B b, val x, val y) {
    val r = rem_of(b, x, y);
    return k_select(b, opposite(b, r, y), k_add(b, r, y), r);
}

static val float_floordiv(B b, val x, val y) {
    val m = to64(b, rem_of(b, x, y)), a = to64(b, x), d = to64(b, y), exact = quot(b, a, d);
    val q = quot(b, k_sub(b, a, m), d);
    q = k_select(b, opposite(b, m, d), plus(b, q, -1), q);
    val f = k_1(b, K_FLOOR, q);
    f = k_select(b, gt(b, k_sub(b, q, f), 0.5), plus(b, f, 1), f);
    f = k_select(b, eq(b, q, 0), sign_of(b, num(b, a, 0), exact), f);
    return k_cast(b, k_select(b, eq(b, d, 0), exact, f), x->dtype);
}

/* ---- digamma, nextafter */

static val any_log(B b, val x, bool f64) { return f64 ? libm(b, K_LOG, x, NULL) : full_log64(b, x); }

/* Recurrence up to 10, then the asymptotic series; reflection below zero.  In f64 for both dtypes. */
static val digamma64(B b, val x, bool f64) {
    static const double c[] = {8.33333333333333333333E-2, -2.10927960927960927961E-2,
                               7.57575757575757575758E-3, -4.16666666666666666667E-3,
                               3.96825396825396825397E-3, -8.33333333333333333333E-3,
                               8.33333333333333333333E-2};
    val one = num(b, x, 1), reflect = lt(b, x, 0), t = k_select(b, reflect, k_sub(b, one, x), x),
        sum = num(b, x, 0);
    for (int i = 0; i < 10; i++) {
        val small = lt(b, t, 10);
        sum = k_select(b, small, k_sub(b, sum, quot(b, one, t)), sum);
        t = k_select(b, small, plus(b, t, 1), t);
    }
    val z = quot(b, one, k_mul(b, t, t)), y = k_sub(b, any_log(b, t, f64), quot(b, num(b, x, 0.5), t));
    y = k_add(b, k_sub(b, y, k_mul(b, z, poly(b, z, c, 7))), sum);
    y = k_select(b, eq(b, t, INFINITY), t, y);
    val part = k_sub(b, x, k_1(b, K_ROUND, x)), angle = times(b, part, M_PI), tangent;
    if (f64) tangent = libm(b, K_TAN, angle, NULL);
    else { /* |angle| <= pi / 2: tan(a) = 2 t / (1 - t^2), t = tan(a / 2) */
        val h = times(b, angle, 0.5), th = quot(b, sin_series(b, h), cos_series(b, h));
        tangent = quot(b, times(b, th, 2), k_sub(b, one, k_mul(b, th, th)));
    }
    y = k_select(b, reflect, k_sub(b, y, quot(b, num(b, x, M_PI), tangent)), y);
    y = k_select(b, both(b, reflect, either(b, eq(b, part, 0), eq(b, x, -INFINITY))), num(b, x, NAN), y);
    y = k_select(b, eq(b, x, 0), sign_of(b, num(b, x, INFINITY), neg(b, x)), y);
    return k_select(b, isnan_of(b, x), x, y);
}

static val nextafter_bits(B b, val x, val y) {
    rt_dtype d = x->dtype, i = d == DT_F64 ? DT_I64 : DT_I32;
    val zero = num(b, x, 0), bits = k_bitcast(b, x, i), one = k_int(b, i, 1);
    val away = k_2(b, K_EQ, k_2(b, K_LT, x, y), k_2(b, K_GT, x, zero));
    val r = k_bitcast(b, k_select(b, away, k_add(b, bits, one), k_sub(b, bits, one)), d);
    r = k_select(b, k_2(b, K_EQ, x, zero), sign_of(b, k_bitcast(b, one, d), y), r);
    r = k_select(b, k_2(b, K_EQ, x, y), y, r);
    return k_select(b, either(b, isnan_of(b, x), isnan_of(b, y)), num(b, x, NAN), r);
}

/* ---- choice */

static val through_f64(B b, ir_prim p, val x) {
    val w = to64(b, x);
    switch (p) {
    case K_ASINH: return to32(b, asinh64(b, w));
    case K_ACOSH: return to32(b, acosh64(b, w));
    case K_ATANH: return to32(b, atanh64(b, w));
    case K_ERFC: return to32(b, erfc64(b, w));
    case K_ERFINV: return to32(b, erfinv64(b, w));
    case K_DIGAMMA: return to32(b, digamma64(b, w, false));
    default: return NULL;
    }
}

/* n / (x + y) as if the sum were not rounded. */
static val quot_of_sum(B b, val n, val x, val y) {
    val s = k_add(b, x, y), t = k_sub(b, s, x);
    val lost = k_add(b, k_sub(b, x, k_sub(b, s, t)), k_sub(b, y, t)), q = quot(b, n, s);
    return madd(b, neg(b, quot(b, lost, s)), q, q);
}

/* e^-|x| neither overflows nor cancels. */
static val sigmoid_f64(B b, val x) {
    val one = num(b, x, 1), e = libm(b, K_EXP, neg(b, mag(b, x)), NULL);
    return quot_of_sum(b, k_select(b, lt(b, x, 0), e, one), one, e);
}

static val gelu_f64(B b, val x) {
    val half = times(b, x, 0.5);
    return madd(b, half, libm(b, K_ERF, times(b, x, M_SQRT1_2), NULL), half);
}

static val tanh_f64(B b, val x) { /* libm's may be off by more than two units */
    val a = at_most(b, mag(b, x), 22), t = libm(b, K_EXPM1, k_add(b, a, a), NULL);
    return sign_of(b, quot_of_sum(b, t, t, num(b, x, 2)), x);
}

static val erfinv_f64(B b, val x) {
    val y = erfinv64(b, x), ok = lt(b, mag(b, x), 1), t = k_select(b, ok, y, num(b, x, 0));
    for (int i = 0; i < 2; i++) { /* polish by libm's erf */
        val slope = times(b, libm(b, K_EXP, neg(b, k_mul(b, t, t)), NULL), M_2_SQRTPI);
        val tail = k_sub(b, k_sub(b, num(b, x, 1), mag(b, x)), libm(b, K_ERFC, mag(b, t), NULL));
        val e = k_select(b, lt(b, mag(b, x), 0.5), k_sub(b, libm(b, K_ERF, t, NULL), x),
                         sign_of(b, tail, k_mul(b, tail, sign_of(b, num(b, x, 1), x))));
        t = k_sub(b, t, quot(b, e, slope));
    }
    return k_select(b, ok, t, y);
}

k_value *k_math(k_builder *b, ir_prim p, int n, k_value *const *in) {
    rt_dtype d = in[0]->dtype;
    (void)n;
    if (rt_dtypes[d].kind != 'F') return p == K_POW ? int_pow(b, in[0], in[1]) : NULL;
    if (d != DT_F32 && d != DT_F64) return NULL;
    switch (p) {
    case K_REM: return rem_of(b, in[0], in[1]);
    case K_MOD: return float_mod(b, in[0], in[1]);
    case K_FLOORDIV: return float_floordiv(b, in[0], in[1]);
    case K_NEXTAFTER: return nextafter_bits(b, in[0], in[1]);
    default: break;
    }
    if (p < K_EXP) return NULL;
    if (d == DT_F64) {
        if (p == K_SIGMOID) return sigmoid_f64(b, in[0]);
        if (p == K_TANH) return tanh_f64(b, in[0]);
        if (p == K_GELU) return gelu_f64(b, in[0]);
        if (p == K_DIGAMMA) return digamma64(b, in[0], true);
        if (p == K_ERFINV) return erfinv_f64(b, in[0]);
        return libm(b, p, in[0], n == 2 ? in[1] : NULL);
    }
    if (p == K_POW) return pow32(b, in[0], in[1]);
    if (p == K_ATAN2) return to32(b, atan2_64(b, to64(b, in[0]), to64(b, in[1])));
    if (p == K_SIN || p == K_COS || p == K_TAN) return sin_or_cos(b, p, in[0]);
    val y = math_f32(b, p, in[0]);
    if (!y) y = through_f64(b, p, in[0]);
    return y ? y : libm(b, p, in[0], n == 2 ? in[1] : NULL);
}

/* ---- whole kernels */

static bool needs_math(const k_inst *n) {
    if (n->op != KO_PRIM || n->libm) return false;
    bool f = rt_dtypes[n->in[0]->dtype].kind == 'F';
    return n->prim >= K_EXP || (f && (n->prim == K_REM || n->prim == K_MOD || n->prim == K_FLOORDIV));
}

static bool block_needs_math(const k_block *block) {
    for (const k_inst *n = block->first; n; n = n->next) {
        if (needs_math(n)) return true;
        for (int i = 0; i < n->nblocks; i++)
            if (block_needs_math(n->blocks[i])) return true;
    }
    return false;
}

static k_value *expand(k_builder *b, const k_inst *n, k_value *const *in) {
    return needs_math(n) ? k_math(b, n->prim, n->nin, in) : NULL;
}

k_kernel *k_expand_math(const k_kernel *k) {
    return block_needs_math(k->body) ? k_clone(k, expand) : (k_kernel *)k;
}
