/* math_f32.c: functions of f32 in f32 operations, for the inner loops of vector code: a reduction whose remainder is
 * exact or nearly so, a minimax polynomial, no branches but for arguments of sin and cos that hardly occur, at most one
 * division.  Every special value comes out by itself where the sequence can be arranged so.  Integers ride in the low
 * bits of floats: adding 1.5 * 2^23 rounds to an integer, and if a bias is added as well a shift by 23 makes a power of
 * two of it.
 *
 * The largest errors are in a table in ir/IR.md, measured by bench/ulp.c. */
#include "lower/math.h"

#include <float.h>
#include <math.h>

static val int32(B b, int64_t x) { return k_int(b, DT_I32, x); }
static val bits_of(B b, val x) { return k_bitcast(b, x, DT_I32); }
static val float_of(B b, val x) { return k_bitcast(b, x, DT_F32); }
static val ints(B b, ir_prim p, val x, int64_t y) { return k_2(b, p, x, int32(b, y)); }

/* The sign bit of s on x, which has none. */
static val signed_as(B b, val x, val s) {
    return float_of(b, k_2(b, K_OR, bits_of(b, x), ints(b, K_AND, bits_of(b, s), INT32_MIN)));
}

/* ---- exp family */

/* The integer nearest to a * scale as a float; *low: i32 whose low 9 bits are that plus `bias`.  (Its other bits are
 * those of 1.5 * 2^23, 0x4B400000: also after a shift right by one they are gone where pow2 shifts.) */
static val nearest(B b, val a, double scale, int bias, val *low) {
    double magic = 12582912.0 + bias;
    val sum = scale == 1 ? plus(b, a, magic) : line(b, a, scale, magic);
    *low = bits_of(b, sum);
    return plus(b, sum, -magic);
}

/* 2^(n - 127) for the n in the low 9 bits, if that is normal, 0 or infinity. */
static val pow2(B b, val low) { return float_of(b, ints(b, K_SHL, low, 23)); }

/* 2^(n - 254) as two factors of about the same size, so that x times both is right where it is subnormal, and
 * overflows where it should. */
static void pow2_halves(B b, val low, val *first, val *second) {
    val half = ints(b, K_SHR, low, 1);
    *first = pow2(b, half);
    *second = pow2(b, k_sub(b, low, half));
}

static val plus_ln2(B b, val n, double sign, val x) { /* x + n sign ln 2; the first product is exact for |n| < 512 */
    val r = madd(b, n, num(b, x, sign * 0.693145751953125), x);
    return madd(b, n, num(b, x, sign * 1.42860682030941723212e-6), r);
}

/* e^r - 1 for |r| <= ln2 / 2 */
static val exp_part(B b, val r) {
    static const double c[] = {0.00138189388, 0.00836870354, 0.0416682884, 0.166665211, 0.49999994};
    val z = k_mul(b, r, r);
    return madd(b, PAIRS(b, r, z, c), z, r);
}

static val exp_f32(B b, val x) {
    val low, s, t, y = clamp(b, x, -105, 90), n = nearest(b, y, M_LOG2E, 254, &low);
    val part = exp_part(b, plus_ln2(b, n, -1, y));
    pow2_halves(b, low, &s, &t);
    return k_mul(b, madd(b, part, s, s), t);
}

static val exp2_f32(B b, val x) {
    static const double c[] = {0.000153264627, 0.00133908063, 0.00961850584, 0.0555035993, 0.240226477, 0.693147182};
    val low, s, t, y = clamp(b, x, -152, 130), r = k_sub(b, y, nearest(b, y, 1, 254, &low));
    pow2_halves(b, low, &s, &t);
    return k_mul(b, madd(b, PAIRS(b, r, k_mul(b, r, r), c), k_mul(b, r, s), s), t);
}

/* 2^n (e^r - 1) + (2^n - 1), with 2^(n-1) so that the largest n is representable. */
static val expm1_f32(B b, val x) {
    static const double c[] = {0.000197643312, 0.00139323645, 0.00833354332, 0.0416664928, 0.166666657, 0.5};
    val low, y = clamp(b, x, -30, 89), n = nearest(b, y, M_LOG2E, 126, &low), r = plus_ln2(b, n, -1, y);
    val z = k_mul(b, r, r), p = madd(b, PAIRS(b, r, z, c), z, r), s = pow2(b, low);
    y = times(b, madd(b, s, p, plus(b, s, -0.5)), 2);
    return k_select(b, eq(b, x, 0), x, y); /* keeps -0 */
}

/* Beyond 0.55, with 2 |x| = a = -m ln2 + r: 1 - 2 / (e^a + 1) = 1 - 2 2^m / (e^r + 2^m). */
static val tanh_f32(B b, val x) {
    static const double c[] = {0.0164378639, -0.0526720062, 0.133207291, -0.333329469};
    val low, near = mag(b, x), z = k_mul(b, x, x), one = num(b, x, 1), a = at_most(b, k_add(b, near, near), 18.2);
    val m = nearest(b, a, -M_LOG2E, 127, &low), u = pow2(b, low);
    val r = madd(b, m, num(b, x, M_LN2), a); /* what ln2 lacks shows for large |m| only, where nothing depends on r */
    val w = quot(b, k_add(b, u, u), k_add(b, exp_part(b, r), k_add(b, u, one)));
    val small = madd(b, POLY(b, z, c), k_mul(b, z, near), near);
    return signed_as(b, k_select(b, gt(b, near, 0.55), k_sub(b, one, w), small), x);
}

/* A remainder r of about -0.2 to 0.5 instead of one around 0: the result of sigmoid and cosh has its largest relative
 * error where e^r is least, and its largest absolute error where r is greatest. */
#define UNEVEN 0.22

/* With |x| = a = -m ln2 + r: e^-a / (1 + e^-a) = 2^m / (e^r + 2^m), and one minus that for positive x.  2^(m+64) in the
 * place of 2^m is normal for every m; the last product makes results subnormal. */
static val sigmoid_f32(B b, val x) {
    static const double c[] = {0.00159000978, 0.00829509739, 0.041657608, 0.166668564, 0.500000119};
    val low, one = num(b, x, 1), a = at_most(b, mag(b, x), 105);
    val m = nearest(b, line(b, a, -M_LOG2E, UNEVEN), 1, 127 + 64, &low), r = plus_ln2(b, m, 1, a);
    val s = pow2(b, low), u = times(b, s, 0x1p-64), hi = k_add(b, u, one), lo = k_sub(b, u, k_sub(b, hi, one));
    val z = k_mul(b, r, r), part = madd(b, PAIRS(b, r, z, c), z, k_add(b, r, lo));
    val w = times(b, quot(b, s, k_add(b, hi, part)), 0x1p-64);
    return k_select(b, lt(b, x, 0), w, k_sub(b, one, w));
}

/* With a = |x| = n ln2 + r, p = 2^n / 4 and q = 2^-n / 4: sinh a / 2 = (p - q) cosh r + (p + q) sinh r,
 * cosh a / 2 = (p + q) cosh r + (p - q) sinh r. */
static val hyperbolic(B b, val x, bool sinh) {
    static const double s[] = {0.000199660368, 0.00833317265, 0.166666672};
    static const double c[] = {0.00140055199, 0.0416650549, 0.50000006};
    val a = at_most(b, mag(b, x), 89.5), low, n = nearest(b, line(b, a, M_LOG2E, -UNEVEN), 1, 125, &low);
    val r = plus_ln2(b, n, -1, a), z = k_mul(b, r, r), up = ints(b, K_SHL, low, 23);
    val down = ints(b, K_MAX, k_sub(b, int32(b, 250 << 23), up), 0); /* 0 instead of subnormal */
    val p = float_of(b, up), q = float_of(b, down), sum = k_add(b, p, q), diff = k_sub(b, p, q);
    val sh = madd(b, POLY(b, z, s), k_mul(b, z, r), r), ch1 = k_mul(b, POLY(b, z, c), z); /* cosh r - 1 */
    val big = sinh ? diff : sum, small = sinh ? sum : diff;
    val y = k_add(b, big, madd(b, big, ch1, k_mul(b, small, sh)));
    y = k_add(b, y, y);
    return sinh ? signed_as(b, y, x) : y;
}

static val sinh_f32(B b, val x) { return hyperbolic(b, x, true); }
static val cosh_f32(B b, val x) { return hyperbolic(b, x, false); }

/* ---- logarithms */

val math_log_limits(B b, val x, double zero, val y) {
    val outside = k_select(b, eq(b, x, zero), num(b, x, -INFINITY), num(b, x, NAN));
    y = k_select(b, gt(b, x, zero), y, outside);
    return k_select(b, lt(b, x, INFINITY), y, x); /* infinity, NaN */
}

enum { TWO_THIRDS = 0x3f2aaaab, THREE_QUARTERS = 0x3f400000, EXPONENT = -(1 << 23) /* the sign and exponent bits */ };

/* x = (1 + f) 2^k, 2/3 <= 1 + f < 4/3; *e = k 2^23 as a float.  x positive and finite. */
static val split(B b, val x, val *e) {
    val tiny = lt(b, x, FLT_MIN), u = bits_of(b, k_select(b, tiny, times(b, x, 0x1p23), x));
    val k = ints(b, K_AND, ints(b, K_SUB, u, TWO_THIRDS), EXPONENT);
    *e = k_add(b, k_cast(b, k, DT_F32), k_select(b, tiny, num(b, x, -23 * 0x1p23), num(b, x, 0)));
    return plus(b, float_of(b, k_sub(b, u, k)), -1);
}

/* f + f^2 c(f) + e 2^-23 ln2 */
static val log_of_split(B b, val f, val e, const double c[9]) {
    val z = k_mul(b, f, f), y = madd(b, poly_pairs(b, f, z, c, 9), z, f);
    return madd(b, e, num(b, f, M_LN2 * 0x1p-23), y);
}

static val log_f32(B b, val x) {
    static const double c[] = {-0.128740802, 0.139867067,  -0.121884152, 0.140053406, -0.16680178,
                               0.200104445,  -0.249998048, 0.333332151,  -0.5};
    val e, f = split(b, x, &e);
    return math_log_limits(b, x, 0, log_of_split(b, f, e, c));
}

/* 1 + x = u rounded; u = m 2^k, 3/4 <= m < 3/2; f = (1 + x) 2^-k - 1 without the error of u. */
static val log1p_f32(B b, val x) {
    static const double c[] = {-0.0451120287, 0.104688652,  -0.131638676, 0.144783214, -0.166469991,
                               0.199908197,   -0.250001043, 0.333334506,  -0.5};
    val u = bits_of(b, plus(b, x, 1)), k = ints(b, K_AND, ints(b, K_SUB, u, THREE_QUARTERS), EXPONENT);
    val four = float_of(b, k_sub(b, int32(b, 0x40800000), k)); /* 4 2^-k: normal for every k */
    val f = k_add(b, float_of(b, k_sub(b, bits_of(b, x), k)), line(b, four, 0.25, -1));
    val y = log_of_split(b, f, k_cast(b, k, DT_F32), c);
    y = float_of(b, k_2(b, K_OR, bits_of(b, y), ints(b, K_AND, bits_of(b, x), INT32_MIN))); /* keeps -0 */
    return math_log_limits(b, x, -1, y);
}

/* f (hi + lo) + f^2 c(f) + e 2^-23 (unit + rest): hi + lo and unit + rest are the logarithms of e and 2. */
typedef struct log_base {
    double c[9], hi, lo, unit, rest;
} log_base;

static val log_base_f32(B b, val x, const log_base *l) {
    val e, f = split(b, x, &e), z = k_mul(b, f, f), y = k_mul(b, z, PAIRS(b, f, z, l->c));
    if (l->rest != 0) y = madd(b, e, num(b, x, l->rest * 0x1p-23), y);
    y = madd(b, f, num(b, x, l->hi), madd(b, f, num(b, x, l->lo), y));
    return math_log_limits(b, x, 0, madd(b, e, num(b, x, l->unit * 0x1p-23), y));
}

static const log_base log2_base = {{-0.18544744, 0.201595038, -0.175938502, 0.20209834, -0.240632474, 0.288686514,
                                    -0.36067152, 0.480896711, -0.721347511},
                                   1.4426950216293335, 1.9259629911266175e-08, 1, 0};
static const log_base log10_base = {{-0.056220334, 0.0608094893, -0.0528456271, 0.0608091205, -0.07244993,
                                     0.0869053677, -0.108572409, 0.144764289, -0.217147246},
                                    0.4342944920063019, -1.0103050052231683e-08,
                                    0.3010300099849701, -1.43209888976e-08};

static val log2_f32(B b, val x) { return log_base_f32(b, x, &log2_base); }
static val log10_f32(B b, val x) { return log_base_f32(b, x, &log10_base); }

/* ---- trigonometry */

/* Below 71476, where n is small enough for the three parts of pi / 2. */
static val sin_cos_f32(B b, val x, bool cosine) {
    static const double s[] = {-0.000195179076, 0.00833218731, -0.166666552};
    static const double c[] = {2.44323346e-05, -0.00138873095, 0.0416666456, -0.5, 1};
    val low, n = nearest(b, x, M_2_PI, 0, &low), r = madd(b, n, num(b, x, -0x1.921fb0p+0), x);
    r = madd(b, n, num(b, x, -0x1.5110b4p-22), r);
    r = madd(b, n, num(b, x, -0x1.846988p-48), r);
    val z = k_mul(b, r, r), sine = madd(b, POLY(b, z, s), k_mul(b, z, r), r), cos = POLY(b, z, c);
    if (cosine) low = ints(b, K_ADD, low, 1);
    val odd = k_2(b, K_NE, ints(b, K_AND, low, 1), int32(b, 0)), y = k_select(b, odd, cos, sine);
    val flip = ints(b, K_SHL, ints(b, K_AND, low, 2), 30);
    y = float_of(b, k_2(b, K_XOR, bits_of(b, y), flip));
    return cosine ? y : k_select(b, eq(b, x, 0), x, y); /* keeps -0 */
}

/* pi / 2 = HALF_PI_A * HALF_PI_B within 2^-50: a fma subtracts from it with one rounding. */
#define HALF_PI_A 0x1.ddcb02p-1
#define HALF_PI_B 0x1.aee9d6p+0

static val atan_f32(B b, val x) {
    static const double c[] = {-0.00178769103, 0.0108881267, -0.0311285555, 0.057908088, -0.0840055346,
                               0.109511934,    -0.142640531, 0.19998531,    -0.333332986};
    val a = mag(b, x), large = gt(b, a, 1), u = k_select(b, large, quot(b, num(b, x, 1), a), a), z = k_mul(b, u, u);
    val y = madd(b, PAIRS(b, z, k_mul(b, z, z), c), k_mul(b, z, u), u);
    y = k_select(b, large, madd(b, num(b, x, HALF_PI_A), num(b, x, HALF_PI_B), neg(b, y)), y);
    return signed_as(b, y, x);
}

/* asin of |x| up to 0.54; beyond it (*large) half of pi / 2 - asin |x|, by sqrt((1 - |x|) / 2).  NaN beyond 1. */
static val asin_part(B b, val x, val *large) {
    static const double c[] = {0.0448406041, 0.00894378126, 0.0333347507, 0.0443254076, 0.075015448, 0.166666418};
    val a = mag(b, x), far = line(b, a, -0.5, 0.5);
    *large = gt(b, a, 0.54);
    val z = k_select(b, *large, far, k_mul(b, a, a)), u = k_select(b, *large, root(b, far), a);
    return madd(b, POLY(b, z, c), k_mul(b, z, u), u);
}

static val asin_f32(B b, val x) {
    val large, y = asin_part(b, x, &large);
    val far = madd(b, num(b, x, HALF_PI_A), num(b, x, HALF_PI_B), times(b, y, -2));
    return signed_as(b, k_select(b, large, far, y), x);
}

static val acos_f32(B b, val x) { /* k pi / 2 -+ the part, k = 0, 1, 2 */
    val large, y = asin_part(b, x, &large), zero = num(b, x, 0);
    val k = k_select(b, lt(b, x, 0), num(b, x, 2 * HALF_PI_A), zero);
    k = k_select(b, large, k, num(b, x, HALF_PI_A));
    y = bits_of(b, k_select(b, large, times(b, y, 2), neg(b, y)));
    y = k_2(b, K_XOR, y, ints(b, K_AND, bits_of(b, x), INT32_MIN));
    return madd(b, k, num(b, x, HALF_PI_B), float_of(b, y));
}

static val sin_f32(B b, val x) { return sin_cos_f32(b, x, false); }
static val cos_f32(B b, val x) { return sin_cos_f32(b, x, true); }

/* ---- erf: x + x p(x^2) up to 1, from there 1 - q(x)^4: the fourth root of erfc needs few terms */

static val erf_f32(B b, val x) {
    static const double inner[] = {-0.000563148642, 0.0049175187, -0.0267113205,
                                   0.112801872,     -0.376123309, 0.128379136};
    static const double outer[] = {-0.000167959821, 0.00306067895, -0.0211386606,
                                   0.0625532717,    -0.043597281,  -0.0711543262};
    val a = at_most(b, mag(b, x), 3.93), z = k_mul(b, a, a), one = num(b, x, 1); /* 3.93: where the result is 1 */
    val small = madd(b, POLY(b, z, inner), a, a), q = PAIRS(b, a, z, outer);
    q = madd(b, q, a, num(b, x, -0.304096192));
    q = madd(b, q, a, num(b, x, 1.00431001));
    q = k_mul(b, q, q);
    return signed_as(b, k_select(b, gt(b, a, 1), madd(b, neg(b, q), q, one), small), x);
}

/* x / 2 + |x| (1 / 2 - q^3), where q^3 is what the normal distribution has beyond |x|: its third root needs few terms,
 * takes no sign, and from 5.6 on vanishes beside 1 / 2. */
static val gelu_f32(B b, val x) {
    static const double c[] = {-3.0307703e-08,  8.01272904e-07,  -8.07496508e-06, 3.31881893e-05,
                               8.96586926e-07,  -0.000303551729, -0.000610882358, 0.00548654096,
                               0.0102963885,    -0.0561438426,   -0.211093634,    0.793700516};
    val a = mag(b, x), near = at_most(b, a, 5.6), q = PAIRS(b, near, k_mul(b, near, near), c);
    val e = madd(b, neg(b, k_mul(b, q, q)), q, num(b, x, 0.5));
    return madd(b, a, e, times(b, x, 0.5));
}

/* ---- cheaper forms for kernels that are `fast`: relative errors up to 1e-5; no subnormal results */

static val fast_exp(B b, val x) { /* 0 below -87.7, 2.4e38 above 88.37 */
    static const double c[] = {0.04127505288, 0.1675357886, 0.5000515522};
    val low, y = clamp(b, x, -88, 88.37), n = nearest(b, y, M_LOG2E, 127, &low), s = pow2(b, low);
    val r = madd(b, n, num(b, x, -M_LN2), y), z = k_mul(b, r, r);
    return madd(b, madd(b, PAIRS(b, r, z, c), z, r), s, s);
}

static val fast_sigmoid(B b, val x) {
    val one = num(b, x, 1);
    return quot(b, one, k_add(b, one, fast_exp(b, neg(b, x))));
}

/* x p(x^2) / q(x^2) for |x| up to `end`, the first float where it is 1. */
static val fast_ratio(B b, val x, double end, const double p[4], const double q[4]) {
    val c = clamp(b, x, -end, end), z = k_mul(b, c, c), zz = k_mul(b, z, z);
    return k_mul(b, c, quot(b, poly_pairs(b, z, zz, p, 4), poly_pairs(b, z, zz, q, 4)));
}

static val fast_tanh(B b, val x) {
    static const double p[] = {3.957202716e-6, 0.002285064779, 0.123132046, 0.9999988855};
    static const double q[] = {0.0001431037985, 0.02111453597, 0.4564570934, 1};
    return fast_ratio(b, x, 7.08230877, p, q);
}

static val fast_erf(B b, val x) {
    static const double p[] = {0.0007052604737, 0.04244875577, 0.1579583219, 1.128372331};
    static const double q[] = {0.008939460606, 0.09545159989, 0.4732586754, 1};
    return fast_ratio(b, x, 3.49461365, p, q);
}

static val fast_gelu(B b, val x) {
    val half = times(b, x, 0.5);
    return madd(b, half, fast_erf(b, times(b, x, M_SQRT1_2)), half);
}

/* ---- choice */

static const struct {
    ir_prim p;
    val (*exact)(B b, val x), (*fast)(B b, val x); /* fast NULL: there is no cheaper form */
} forms[] = {
    {K_EXP, exp_f32, fast_exp},    {K_EXP2, exp2_f32, NULL}, {K_EXPM1, expm1_f32, NULL}, {K_LOG, log_f32, NULL},
    {K_LOG1P, log1p_f32, NULL},    {K_LOG2, log2_f32, NULL}, {K_LOG10, log10_f32, NULL}, {K_SIN, sin_f32, NULL},
    {K_COS, cos_f32, NULL},        {K_ASIN, asin_f32, NULL}, {K_ACOS, acos_f32, NULL},   {K_ATAN, atan_f32, NULL},
    {K_SINH, sinh_f32, NULL},      {K_COSH, cosh_f32, NULL}, {K_TANH, tanh_f32, fast_tanh},
    {K_ERF, erf_f32, fast_erf},    {K_SIGMOID, sigmoid_f32, fast_sigmoid},
    {K_GELU, gelu_f32, fast_gelu},
};

val math_f32(B b, ir_prim p, val x) {
    for (size_t i = 0; i < RT_COUNT(forms); i++)
        if (forms[i].p == p) return (b->k->fast && forms[i].fast ? forms[i].fast : forms[i].exact)(b, x);
    return NULL;
}
