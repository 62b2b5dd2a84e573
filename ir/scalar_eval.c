/* scalar_eval.c: what the scalar primitives mean, exactly: the oracle that every backend agrees with.
 *
 * Floats are computed in double and rounded once to the result's dtype (exact for + - * / sqrt: 53 >= 2*24 +
 * 2); integers wrap to their width.  Nothing traps: integer division by zero gives 0. */
#include "ir/scalar.h"

#include <math.h>

static int64_t wrap(rt_dtype d, int64_t k) {
    switch (d) {
    case DT_BOOL: return k != 0;
    case DT_U8: return (uint8_t)k;
    case DT_I8: return (int8_t)k;
    case DT_I16: return (int16_t)k;
    case DT_I32: return (int32_t)k;
    default: return k;
    }
}

static double rounded(rt_dtype d, double f) {
    switch (d) {
    case DT_F16: return rt_f16_to_f32(rt_f32_to_f16((float)f));
    case DT_BF16: return rt_bf16_to_f32(rt_f32_to_bf16((float)f));
    case DT_F32: return (float)f;
    default: return f;
    }
}

/* ---- functions that libm lacks */

static double polynomial(double x, const double *c, int n) { /* c[0] is the highest power's */
    double r = 0;
    for (int i = 0; i < n; i++) r = r * x + c[i];
    return r;
}

/* Rational starting value (central and tail range), then two Newton steps. */
static double erfinv(double y) {
    static const double a[] = {-0.140543331, 0.914624893, -1.645349621, 0.886226899};
    static const double b[] = {0.012229801, -0.329097515, 1.442710462, -2.118377725, 1};
    static const double c[] = {1.641345311, 3.429567803, -1.624906493, -1.970840454};
    static const double d[] = {1.637067800, 3.543889200, 1};
    double m = fabs(y), x;
    if (isnan(y) || m > 1) return NAN;
    if (m == 1) return copysign(INFINITY, y);
    if (m <= 0.7) {
        double z = y * y;
        x = y * polynomial(z, a, 4) / polynomial(z, b, 5);
    } else {
        double z = sqrt(-log((1 - m) / 2));
        x = copysign(polynomial(z, c, 4) / polynomial(z, d, 3), y);
    }
    for (int i = 0; i < 2; i++) x -= (erf(x) - y) / (2 / sqrt(M_PI) * exp(-x * x));
    return x;
}

/* Recurrence up to 10, then the asymptotic series; reflection below zero. */
static double digamma(double x) {
    static const double a[] = {8.33333333333333333333E-2, -2.10927960927960927961E-2,
                               7.57575757575757575758E-3, -4.16666666666666666667E-3,
                               3.96825396825396825397E-3, -8.33333333333333333333E-3,
                               8.33333333333333333333E-2};
    double r = 0;
    if (x == 0) return copysign(INFINITY, -x);
    if (x < 0) {
        double whole, part = modf(x, &whole);
        if (part == 0 || isinf(x)) return NAN;
        return digamma(1 - x) - M_PI / tan(M_PI * part);
    }
    for (; x < 10; x += 1) r -= 1 / x;
    if (x == 10) return r + 2.25175258906672110764;
    double z = 1 / (x * x);
    return r + log(x) - 0.5 / x - (x < 1e17 ? z * polynomial(z, a, 7) : 0);
}

/* ---- by kind of the operands */

/* Equal operands (zeros of both signs) give the first, as PyTorch's do; so max(x, 0) is one instruction. */
static double maximum(double a, double b) { return isnan(a) || isnan(b) ? NAN : b > a ? b : a; }
static double minimum(double a, double b) { return isnan(a) || isnan(b) ? NAN : b < a ? b : a; }

static double floor_mod(double a, double b) {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* As Python and PyTorch: exact quotient of a - mod(a, b), so that a // b and a % b belong together. */
static double floor_div(double a, double b) {
    if (b == 0) return a / b;
    double m = fmod(a, b), q = (a - m) / b;
    if (m != 0 && (b < 0) != (m < 0)) q -= 1;
    if (q == 0) return copysign(0, a / b);
    double f = floor(q);
    return q - f > 0.5 ? f + 1 : f;
}

static double next_after(rt_dtype d, double a, double b) {
    return d == DT_F64 ? nextafter(a, b) : nextafterf((float)a, (float)b);
}

static double sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static double float1(ir_prim op, double a) {
    switch (op) {
    case K_NEG: return -a;
    case K_ABS: return fabs(a);
    case K_SQRT: return sqrt(a);
    case K_FLOOR: return floor(a);
    case K_CEIL: return ceil(a);
    case K_ROUND: return rint(a);
    case K_TRUNC: return trunc(a);
    case K_EXP: return exp(a);
    case K_EXP2: return exp2(a);
    case K_EXPM1: return expm1(a);
    case K_LOG: return log(a);
    case K_LOG2: return log2(a);
    case K_LOG10: return log10(a);
    case K_LOG1P: return log1p(a);
    case K_SIN: return sin(a);
    case K_COS: return cos(a);
    case K_TAN: return tan(a);
    case K_ASIN: return asin(a);
    case K_ACOS: return acos(a);
    case K_ATAN: return atan(a);
    case K_SINH: return sinh(a);
    case K_COSH: return cosh(a);
    case K_TANH: return tanh(a);
    case K_SIGMOID: return sigmoid(a);
    case K_ASINH: return asinh(a);
    case K_ACOSH: return acosh(a);
    case K_ATANH: return atanh(a);
    case K_ERF: return erf(a);
    case K_GELU: return 0.5 * a * erfc(-a * M_SQRT1_2);
    case K_ERFC: return erfc(a);
    case K_ERFINV: return erfinv(a);
    case K_LGAMMA: return lgamma_r(a, &(int){0}); /* not lgamma: it writes a global */
    case K_DIGAMMA: return digamma(a);
    default: return NAN;
    }
}

static double float2(ir_prim op, rt_dtype d, double a, double b) {
    switch (op) {
    case K_ADD: return a + b;
    case K_SUB: return a - b;
    case K_MUL: return a * b;
    case K_DIV: return a / b;
    case K_REM: return fmod(a, b);
    case K_FLOORDIV: return floor_div(a, b);
    case K_MOD: return floor_mod(a, b);
    case K_MIN: return minimum(a, b);
    case K_MAX: return maximum(a, b);
    case K_COPYSIGN: return copysign(a, b);
    case K_ATAN2: return atan2(a, b);
    case K_POW: return pow(a, b);
    case K_NEXTAFTER: return next_after(d, a, b);
    default: return NAN;
    }
}

static int64_t int_pow(int64_t a, int64_t b) {
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
    uint64_t r = 1, base = (uint64_t)a;
    for (; b; b >>= 1, base *= base)
        if (b & 1) r *= base;
    return (int64_t)r;
}

static int64_t shift_left(rt_dtype d, int64_t a, int64_t b) {
    return b < 0 || b >= rt_dtypes[d].bits ? 0 : (int64_t)((uint64_t)a << b);
}

static int64_t shift_right(rt_dtype d, int64_t a, int64_t b) {
    int last = rt_dtypes[d].bits - 1; /* u8 is held zero-extended, so that one arithmetic shift serves both */
    if (b < 0 || b > last) return rt_dtypes[d].kind == 'U' ? 0 : a >> last;
    return a >> b;
}

static int64_t int_div(int64_t a, int64_t b) {
    return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}
static int64_t int_rem(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
static int64_t int_mod(int64_t a, int64_t b) {
    int64_t r = int_rem(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static int64_t int_floordiv(int64_t a, int64_t b) {
    int64_t r = int_rem(a, b);
    return int_div(a, b) - (r != 0 && (r < 0) != (b < 0));
}

static int64_t int_op(ir_prim op, rt_dtype d, int64_t a, int64_t b) {
    switch (op) {
    case K_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
    case K_SUB: return (int64_t)((uint64_t)a - (uint64_t)b);
    case K_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
    case K_DIV: return int_div(a, b);
    case K_REM: return int_rem(a, b);
    case K_FLOORDIV: return int_floordiv(a, b);
    case K_MOD: return int_mod(a, b);
    case K_NEG: return (int64_t)(0 - (uint64_t)a);
    case K_ABS: return a < 0 ? (int64_t)(0 - (uint64_t)a) : a;
    case K_MIN: return a < b ? a : b;
    case K_MAX: return a > b ? a : b;
    case K_AND: return a & b;
    case K_OR: return a | b;
    case K_XOR: return a ^ b;
    case K_NOT: return d == DT_BOOL ? !a : ~a;
    case K_SHL: return shift_left(d, a, b);
    case K_SHR: return shift_right(d, a, b);
    case K_POW: return int_pow(a, b);
    default: return 0;
    }
}

static bool compare_float(ir_prim op, double a, double b) {
    switch (op) {
    case K_EQ: return a == b;
    case K_NE: return a != b;
    case K_LT: return a < b;
    case K_LE: return a <= b;
    case K_GT: return a > b;
    default: return a >= b;
    }
}

static bool compare_int(ir_prim op, int64_t a, int64_t b) {
    switch (op) {
    case K_EQ: return a == b;
    case K_NE: return a != b;
    case K_LT: return a < b;
    case K_LE: return a <= b;
    case K_GT: return a > b;
    default: return a >= b;
    }
}

/* Out of the range of int64 (and NaN): the value that x86 conversions give. */
static int64_t to_int(double f) { return f >= -0x1p63 && f < 0x1p63 ? (int64_t)f : INT64_MIN; }

static ir_scalar cast(rt_dtype to, rt_dtype from, ir_scalar a) {
    bool ff = rt_dtypes[from].kind == 'F', tf = rt_dtypes[to].kind == 'F';
    if (tf && from == DT_I64 && to == DT_F32) return (ir_scalar){.f = (float)a.i};
    if (tf) return (ir_scalar){.f = rounded(to, ff ? a.f : (double)a.i)};
    if (to == DT_BOOL) return (ir_scalar){.i = ff ? a.f != 0 : a.i != 0};
    return (ir_scalar){.i = wrap(to, ff ? to_int(a.f) : a.i)};
}

static ir_scalar bitcast(rt_dtype to, ir_scalar a) {
    ir_scalar r = a;
    float f;
    int32_t k;
    if (to == DT_F32) k = (int32_t)a.i, memcpy(&f, &k, 4), r.f = f;
    else if (to == DT_I32) f = (float)a.f, memcpy(&k, &f, 4), r.i = k;
    return r; /* f64 <-> i64: the union does it */
}

ir_scalar ir_prim_eval(ir_prim op, rt_dtype result, rt_dtype operand, const ir_scalar *args) {
    bool f = rt_dtypes[operand].kind == 'F';
    switch (op) {
    case K_SELECT: return args[args[0].i ? 1 : 2];
    case K_CAST: return cast(result, operand, args[0]);
    case K_BITCAST: return bitcast(result, args[0]);
    case K_FMA:
        if (result == DT_F32)
            return (ir_scalar){.f = fmaf((float)args[0].f, (float)args[1].f, (float)args[2].f)};
        return (ir_scalar){.f = rounded(result, fma(args[0].f, args[1].f, args[2].f))};
    case K_EQ:
    case K_NE:
    case K_LT:
    case K_LE:
    case K_GT:
    case K_GE:
        return (ir_scalar){.i = f ? compare_float(op, args[0].f, args[1].f)
                                  : compare_int(op, args[0].i, args[1].i)};
    default: break;
    }
    bool two = ir_prims[op].arity == 2;
    if (f)
        return (ir_scalar){
            .f = rounded(result, two ? float2(op, result, args[0].f, args[1].f) : float1(op, args[0].f))};
    return (ir_scalar){.i = wrap(result, int_op(op, operand, args[0].i, two ? args[1].i : 0))};
}
