/* llvm_prim.c: the basic scalar primitives as LLVM instructions, on scalars and vectors alike.  Each agrees
 * bit for bit with ir_prim_eval, NaN payloads aside: nothing traps, nothing is poison, no flag allows
 * reassociation. f16 and bf16 values are i16: LLVM would call library functions for them on targets without
 * such conversions. */
#include "codegen/llvm.h"

typedef LLVMValueRef V;
typedef LLVMTypeRef T;

static unsigned lanes_of(V v) {
    T t = LLVMTypeOf(v);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetVectorSize(t) : 0;
}

static T shaped(T element, unsigned lanes) { return lanes ? LLVMVectorType(element, lanes) : element; }

static V splat_const(V x, unsigned lanes) {
    V at[K_MAX_WIDTH];
    if (!lanes) return x;
    for (unsigned i = 0; i < lanes; i++) at[i] = x;
    return LLVMConstVector(at, lanes);
}

static V int_like(V v, int64_t x) {
    unsigned lanes = lanes_of(v);
    T t = lanes ? LLVMGetElementType(LLVMTypeOf(v)) : LLVMTypeOf(v);
    return splat_const(LLVMConstInt(t, (unsigned long long)x, true), lanes);
}

static V float_like(V v, double x) {
    unsigned lanes = lanes_of(v);
    T t = lanes ? LLVMGetElementType(LLVMTypeOf(v)) : LLVMTypeOf(v);
    return splat_const(LLVMConstReal(t, x), lanes);
}

V cg_intrinsic(cg_module *m, const char *name, int ntypes, T *types, int n, V *args) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    V f = LLVMGetIntrinsicDeclaration(m->mod, id, types, (size_t)ntypes);
    return LLVMBuildCall2(m->b, LLVMIntrinsicGetType(m->cx, id, types, (size_t)ntypes), f, args, (unsigned)n,
                          "");
}

static V unary(cg_module *m, const char *name, V a) {
    T t = LLVMTypeOf(a);
    return cg_intrinsic(m, name, 1, &t, 1, &a);
}

/* ---- f16, bf16 */

static V half_bits_to_f32(cg_module *m, V h) {
    LLVMBuilderRef b = m->b;
    T ti = shaped(m->i32, lanes_of(h)), tf = shaped(m->f32, lanes_of(h));
    V u = LLVMBuildZExt(b, h, ti, ""), em = LLVMBuildAnd(b, u, int_like(u, 0x7fff), "");
    V sign = LLVMBuildShl(b, LLVMBuildAnd(b, u, int_like(u, 0x8000), ""), int_like(u, 16), "");
    V wide = LLVMBuildShl(b, em, int_like(u, 13), "");
    V special = LLVMBuildICmp(b, LLVMIntUGE, em, int_like(u, 0x7c00), "");
    V bias = LLVMBuildSelect(b, special, int_like(u, 224 << 23), int_like(u, 112 << 23), "");
    V normal = LLVMBuildAdd(b, wide, bias, "");
    V tiny = LLVMBuildFMul(b, LLVMBuildSIToFP(b, em, tf, ""),
                           splat_const(LLVMConstReal(m->f32, 0x1p-24), lanes_of(h)), "");
    V small = LLVMBuildICmp(b, LLVMIntULT, em, int_like(u, 0x400), "");
    V bits = LLVMBuildSelect(b, small, LLVMBuildBitCast(b, tiny, ti, ""), normal, "");
    return LLVMBuildBitCast(b, LLVMBuildOr(b, bits, sign, ""), tf, "");
}

static V f32_to_half_bits(cg_module *m, V f) {
    LLVMBuilderRef b = m->b;
    T ti = shaped(m->i32, lanes_of(f));
    V u = LLVMBuildBitCast(b, f, ti, ""), a = LLVMBuildAnd(b, u, int_like(u, 0x7fffffff), "");
    V sign = LLVMBuildLShr(b, LLVMBuildAnd(b, u, int_like(u, (int64_t)0x80000000), ""), int_like(u, 16), "");
    V nan = LLVMBuildICmp(b, LLVMIntUGT, a, int_like(u, 0x7f800000), "");
    V large = LLVMBuildSelect(b, nan, int_like(u, 0x7e00), int_like(u, 0x7c00), "");
    /* below 2^-14: adding 0.5 makes the float unit round at the place of half's last bit */
    V sum = LLVMBuildFAdd(b, LLVMBuildBitCast(b, a, LLVMTypeOf(f), ""), float_like(f, 0.5), "");
    V tiny = LLVMBuildSub(b, LLVMBuildBitCast(b, sum, ti, ""), int_like(u, 126 << 23), "");
    V odd = LLVMBuildAnd(b, LLVMBuildLShr(b, a, int_like(u, 13), ""), int_like(u, 1), "");
    V rounded =
        LLVMBuildAdd(b, LLVMBuildAdd(b, a, int_like(u, ((15 - 127) * (1 << 23)) + 0xfff), ""), odd, "");
    V r = LLVMBuildLShr(b, rounded, int_like(u, 13), "");
    r = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntULT, a, int_like(u, 113 << 23), ""), tiny, r, "");
    r = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntUGE, a, int_like(u, 143 << 23), ""), large, r, "");
    return LLVMBuildTrunc(b, LLVMBuildOr(b, r, sign, ""), shaped(m->i16, lanes_of(f)), "");
}

static V f32_to_bf16_bits(cg_module *m, V f) {
    LLVMBuilderRef b = m->b;
    V u = LLVMBuildBitCast(b, f, shaped(m->i32, lanes_of(f)), ""),
      high = LLVMBuildLShr(b, u, int_like(u, 16), "");
    V bias = LLVMBuildAdd(b, LLVMBuildAnd(b, high, int_like(u, 1), ""), int_like(u, 0x7fff), "");
    V r = LLVMBuildLShr(b, LLVMBuildAdd(b, u, bias, ""), int_like(u, 16), "");
    V nan = LLVMBuildFCmp(b, LLVMRealUNO, f, f, "");
    r = LLVMBuildSelect(b, nan, LLVMBuildOr(b, high, int_like(u, 0x40), ""), r, "");
    return LLVMBuildTrunc(b, r, shaped(m->i16, lanes_of(f)), "");
}

/* f16, bf16 -> f32; others as they are. */
static V widen(cg_module *m, V a, rt_dtype d) {
    LLVMBuilderRef b = m->b;
    unsigned n = lanes_of(a);
    if (d == DT_BF16) {
        V u = LLVMBuildZExt(b, a, shaped(m->i32, n), "");
        return LLVMBuildBitCast(b, LLVMBuildShl(b, u, int_like(u, 16), ""), shaped(m->f32, n), "");
    }
    if (d != DT_F16) return a;
    if (!m->target->f16) return half_bits_to_f32(m, a);
    V h = LLVMBuildBitCast(b, a, shaped(LLVMHalfTypeInContext(m->cx), n), "");
    return LLVMBuildFPExt(b, h, shaped(m->f32, n), "");
}

static V narrow(cg_module *m, V a, rt_dtype d) { /* f32 -> f16 or bf16 */
    unsigned n = lanes_of(a);
    if (d == DT_BF16) return f32_to_bf16_bits(m, a);
    if (!m->target->f16) return f32_to_half_bits(m, a);
    V h = LLVMBuildFPTrunc(m->b, a, shaped(LLVMHalfTypeInContext(m->cx), n), "");
    return LLVMBuildBitCast(m->b, h, shaped(m->i16, n), "");
}

/* ---- casts */

static V float_to_float(cg_module *m, V a, rt_dtype from, rt_dtype to) {
    unsigned n = lanes_of(a);
    a = widen(m, a, from);
    if (to == DT_F64) return from == DT_F64 ? a : LLVMBuildFPExt(m->b, a, shaped(m->f64, n), "");
    if (from == DT_F64) a = LLVMBuildFPTrunc(m->b, a, shaped(m->f32, n), "");
    return to == DT_F32 ? a : narrow(m, a, to);
}

/* To i64; what does not fit becomes INT64_MIN. */
static V float_to_i64(cg_module *m, V a) {
    LLVMBuilderRef b = m->b;
    T ti = shaped(m->i64, lanes_of(a));
    V fits = LLVMBuildAnd(b, LLVMBuildFCmp(b, LLVMRealOGE, a, float_like(a, -0x1p63), ""),
                          LLVMBuildFCmp(b, LLVMRealOLT, a, float_like(a, 0x1p63), ""), "");
    V r = LLVMBuildFPToSI(b, LLVMBuildSelect(b, fits, a, float_like(a, 0), ""), ti, "");
    return LLVMBuildSelect(b, fits, r, int_like(r, INT64_MIN), "");
}

/* The low 32 bits of float_to_i64, by 32-bit vector operations: a float from 2^31 on is an integer, mantissa
 * << e. */
static V f32_to_i32(cg_module *m, V a) {
    LLVMBuilderRef b = m->b;
    T ti = shaped(m->i32, lanes_of(a));
    V fits = LLVMBuildFCmp(b, LLVMRealOLT, unary(m, "llvm.fabs", a), float_like(a, 0x1p31), "");
    V r = LLVMBuildFPToSI(b, LLVMBuildSelect(b, fits, a, float_like(a, 0), ""), ti, "");
    V u = LLVMBuildBitCast(b, a, ti, "");
    V e = LLVMBuildAnd(b, LLVMBuildLShr(b, u, int_like(u, 23), ""), int_like(u, 0xff), "");
    V shift = LLVMBuildSub(b, e, int_like(u, 150), "");
    V near = LLVMBuildICmp(b, LLVMIntULT, shift, int_like(u, 32), "");
    V man = LLVMBuildOr(b, LLVMBuildAnd(b, u, int_like(u, 0x7fffff), ""), int_like(u, 0x800000), "");
    V big = LLVMBuildShl(b, man, LLVMBuildSelect(b, near, shift, int_like(u, 0), ""), "");
    big = LLVMBuildSelect(b, near, big, int_like(u, 0), "");
    V negative = LLVMBuildICmp(b, LLVMIntSLT, u, int_like(u, 0), "");
    big = LLVMBuildSelect(b, negative, LLVMBuildNeg(b, big, ""), big, "");
    return LLVMBuildSelect(b, fits, r, big, "");
}

static V resize_int(cg_module *m, V a, rt_dtype from, rt_dtype to) {
    T t = shaped(cg_type(m, to), lanes_of(a));
    int fb = from == DT_BOOL ? 1 : rt_dtypes[from].bits, tb = rt_dtypes[to].bits;
    if (fb == tb) return a;
    if (fb > tb) return LLVMBuildTrunc(m->b, a, t, "");
    return rt_dtypes[from].kind == 'I' ? LLVMBuildSExt(m->b, a, t, "") : LLVMBuildZExt(m->b, a, t, "");
}

static V int_to_float(cg_module *m, V a, rt_dtype from, rt_dtype to) {
    rt_dtype mid = to == DT_F32 || to == DT_F64 ? to : DT_F64;
    T t = shaped(cg_type(m, mid), lanes_of(a));
    if (rt_dtypes[from].bits < 32) a = resize_int(m, a, from, DT_I32); /* also makes u8 and bool signed */
    V f = LLVMBuildSIToFP(m->b, a, t, "");
    return mid == to ? f : float_to_float(m, f, mid, to);
}

static V cast(cg_module *m, V a, rt_dtype from, rt_dtype to) {
    bool ff = rt_dtypes[from].kind == 'F', tf = rt_dtypes[to].kind == 'F';
    if (from == to) return a;
    if (ff && tf) return float_to_float(m, a, from, to);
    if (tf) return int_to_float(m, a, from, to);
    if (ff) {
        a = widen(m, a, from);
        if (to == DT_BOOL) return LLVMBuildFCmp(m->b, LLVMRealUNE, a, float_like(a, 0), "");
        if (to == DT_I64) return float_to_i64(m, a);
        return from == DT_F64 ? resize_int(m, float_to_i64(m, a), DT_I64, to)
                              : resize_int(m, f32_to_i32(m, a), DT_I32, to);
    }
    if (to == DT_BOOL) return LLVMBuildICmp(m->b, LLVMIntNE, a, int_like(a, 0), "");
    return resize_int(m, a, from, to);
}

/* ---- floats */

/* The upper half of a's digits (Veltkamp). */
static V upper_half(cg_module *m, V a) {
    V x = LLVMBuildFMul(m->b, a, float_like(a, 134217729.0), "");
    return LLVMBuildFSub(m->b, x, LLVMBuildFSub(m->b, x, a, ""), "");
}

/* a[0] * a[1] - product, exactly (Dekker). */
static V product_error(cg_module *m, V *a, V product) {
    LLVMBuilderRef b = m->b;
    V x = upper_half(m, a[0]), y = upper_half(m, a[1]);
    V u = LLVMBuildFSub(b, a[0], x, ""), v = LLVMBuildFSub(b, a[1], y, "");
    V e = LLVMBuildFSub(b, LLVMBuildFMul(b, x, y, ""), product, "");
    e = LLVMBuildFAdd(b, e, LLVMBuildFMul(b, x, v, ""), "");
    e = LLVMBuildFAdd(b, e, LLVMBuildFMul(b, u, y, ""), "");
    return LLVMBuildFAdd(b, e, LLVMBuildFMul(b, u, v, ""), "");
}

/* The product and the sum with their errors: exact where it cancels, which is what exact products are made
 * with; else rounded twice.  The errors of what is infinite, or nearly, are NaN: then the plain sum. */
static V fma_of_doubles(cg_module *m, V *a) {
    LLVMBuilderRef b = m->b;
    V p = LLVMBuildFMul(b, a[0], a[1], ""), s = LLVMBuildFAdd(b, p, a[2], ""), t = LLVMBuildFSub(b, s, p, "");
    V low = LLVMBuildFSub(b, p, LLVMBuildFSub(b, s, t, ""), ""), high = LLVMBuildFSub(b, a[2], t, "");
    V e = LLVMBuildFAdd(b, LLVMBuildFAdd(b, low, high, ""), product_error(m, a, p), "");
    V r = LLVMBuildFAdd(b, s, e, "");
    return LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealUNO, e, e, ""), s, r, "");
}

/* Without the instruction LLVM would call the C library. */
static V fma_prim(cg_module *m, V *a) {
    T t = LLVMTypeOf(a[0]);
    unsigned n = lanes_of(a[0]);
    if (m->target->fma) return cg_intrinsic(m, "llvm.fma", 1, &t, 3, a);
    if ((n ? LLVMGetElementType(t) : t) == m->f64) return fma_of_doubles(m, a);
    V w[3]; /* the product is exact in double, the sum nearly so */
    for (int i = 0; i < 3; i++) w[i] = LLVMBuildFPExt(m->b, a[i], shaped(m->f64, n), "");
    V r = LLVMBuildFAdd(m->b, LLVMBuildFMul(m->b, w[0], w[1], ""), w[2], "");
    return LLVMBuildFPTrunc(m->b, r, t, "");
}

/* ---- rounding to integers; without the instructions LLVM would call the C library */

/* To the nearest: adding 2^23 (2^52) leaves no room for a fraction.  What is larger is an integer already. */
static V nearest(cg_module *m, V a) {
    LLVMBuilderRef b = m->b;
    T t = LLVMTypeOf(a);
    bool f64 = (lanes_of(a) ? LLVMGetElementType(t) : t) == m->f64;
    V big = float_like(a, f64 ? 0x1p52 : 0x1p23), size = unary(m, "llvm.fabs", a);
    V r = LLVMBuildFSub(b, LLVMBuildFAdd(b, size, big, ""), big, "");
    r = cg_intrinsic(m, "llvm.copysign", 1, &t, 2, (V[]){r, a});
    return LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOLT, size, big, ""), r, a, "");
}

/* p: OGT for the largest integer below, OLT for the smallest above. */
static V nearest_to(cg_module *m, V a, LLVMRealPredicate p) {
    LLVMBuilderRef b = m->b;
    T t = LLVMTypeOf(a);
    V r = nearest(m, a), other = LLVMBuildFSub(b, r, float_like(a, p == LLVMRealOGT ? 1 : -1), "");
    r = LLVMBuildSelect(b, LLVMBuildFCmp(b, p, r, a, ""), other, r, "");
    return cg_intrinsic(m, "llvm.copysign", 1, &t, 2, (V[]){r, a}); /* of zero */
}

static V round_prim(cg_module *m, ir_prim p, V a) {
    T t = LLVMTypeOf(a);
    const char *name = p == K_FLOOR ? "llvm.floor" : p == K_CEIL ? "llvm.ceil" : p == K_ROUND ? "llvm.rint" : "llvm.trunc";
    if (m->target->round) return unary(m, name, a);
    if (p == K_ROUND) return nearest(m, a);
    if (p != K_TRUNC) return nearest_to(m, a, p == K_FLOOR ? LLVMRealOGT : LLVMRealOLT);
    return cg_intrinsic(m, "llvm.copysign", 1, &t, 2, (V[]){nearest_to(m, unary(m, "llvm.fabs", a), LLVMRealOGT), a});
}

/* The same constant in all lanes, and not NaN. */
static bool is_number(V v, double *x) {
    LLVMBool loses;
    V one = LLVMIsConstant(v) && lanes_of(v) ? LLVMGetAggregateElement(v, 0) : v;
    if (!one || !LLVMIsAConstantFP(one) || splat_const(one, lanes_of(v)) != v) return false;
    *x = LLVMConstRealGetDouble(one, &loses);
    return *x == *x;
}

/* p: OLT or OGT.  `c p a ? c : a` is an instruction of x86 and gives a if either is NaN: with a number c that is all.
 * Operands that are equal may be exchanged if they are no zeros. */
static V float_min(cg_module *m, LLVMRealPredicate p, V a, V c) {
    LLVMBuilderRef b = m->b;
    double x;
    if (is_number(a, &x) && x != 0) {
        V t = a;
        a = c, c = t;
    }
    V r = LLVMBuildSelect(b, LLVMBuildFCmp(b, p, c, a, ""), c, a, "");
    return is_number(c, &x) ? r : LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealUNO, c, c, ""), c, r, "");
}

static V float_prim(cg_module *m, ir_prim p, V *a) {
    LLVMBuilderRef b = m->b;
    T t = LLVMTypeOf(a[0]);
    switch (p) {
    case K_ADD: return LLVMBuildFAdd(b, a[0], a[1], "");
    case K_SUB: return LLVMBuildFSub(b, a[0], a[1], "");
    case K_MUL: return LLVMBuildFMul(b, a[0], a[1], "");
    case K_DIV: return LLVMBuildFDiv(b, a[0], a[1], "");
    case K_NEG: return LLVMBuildFNeg(b, a[0], "");
    case K_ABS: return unary(m, "llvm.fabs", a[0]);
    case K_MIN: return float_min(m, LLVMRealOLT, a[0], a[1]);
    case K_MAX: return float_min(m, LLVMRealOGT, a[0], a[1]);
    case K_FMA: return fma_prim(m, a);
    case K_SQRT: return unary(m, "llvm.sqrt", a[0]);
    case K_FLOOR:
    case K_CEIL:
    case K_ROUND:
    case K_TRUNC: return round_prim(m, p, a[0]);
    case K_COPYSIGN: return cg_intrinsic(m, "llvm.copysign", 1, &t, 2, a);
    case K_EQ: return LLVMBuildFCmp(b, LLVMRealOEQ, a[0], a[1], "");
    case K_NE: return LLVMBuildFCmp(b, LLVMRealUNE, a[0], a[1], "");
    case K_LT: return LLVMBuildFCmp(b, LLVMRealOLT, a[0], a[1], "");
    case K_LE: return LLVMBuildFCmp(b, LLVMRealOLE, a[0], a[1], "");
    case K_GT: return LLVMBuildFCmp(b, LLVMRealOGT, a[0], a[1], "");
    case K_GE: return LLVMBuildFCmp(b, LLVMRealOGE, a[0], a[1], "");
    default: return NULL;
    }
}

/* ---- integers */

typedef struct division {
    V q, r;
} division;

/* A divisor of 0 or -1 is handled apart, so that the instruction cannot trap: q = 0 and -a, r = 0. */
static division divide(cg_module *m, bool is_signed, V a, V d) {
    LLVMBuilderRef b = m->b;
    bool known = !lanes_of(d) && LLVMIsAConstantInt(d) && LLVMConstIntGetSExtValue(d) > 0;
    V zero = int_like(a, 0), one = int_like(a, 1), isz = NULL, ism = NULL, safe = d;
    if (!known) {
        isz = LLVMBuildICmp(b, LLVMIntEQ, d, zero, "");
        safe = LLVMBuildSelect(b, isz, one, safe, "");
        if (is_signed) {
            ism = LLVMBuildICmp(b, LLVMIntEQ, d, int_like(a, -1), "");
            safe = LLVMBuildSelect(b, ism, one, safe, "");
        }
    }
    division r = {is_signed ? LLVMBuildSDiv(b, a, safe, "") : LLVMBuildUDiv(b, a, safe, ""), NULL};
    r.r = LLVMBuildSub(b, a, LLVMBuildMul(b, r.q, safe, ""), "");
    if (ism) r.q = LLVMBuildSelect(b, ism, LLVMBuildNeg(b, a, ""), r.q, "");
    if (isz) r.q = LLVMBuildSelect(b, isz, zero, r.q, "");
    return r; /* by 1 in the special cases: r.r is 0 already */
}

/* Where the remainder's sign is not the divisor's, floor differs from trunc. */
static division floor_divide(cg_module *m, bool is_signed, V a, V d) {
    LLVMBuilderRef b = m->b;
    division r = divide(m, is_signed, a, d);
    if (!is_signed) return r;
    V zero = int_like(a, 0), rneg = LLVMBuildICmp(b, LLVMIntSLT, r.r, zero, "");
    V dneg = LLVMBuildICmp(b, LLVMIntSLT, d, zero, "");
    V off = LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntNE, r.r, zero, ""), LLVMBuildXor(b, rneg, dneg, ""), "");
    r.q = LLVMBuildSub(b, r.q, LLVMBuildZExt(b, off, LLVMTypeOf(a), ""), "");
    r.r = LLVMBuildSelect(b, off, LLVMBuildAdd(b, r.r, d, ""), r.r, "");
    return r;
}

static V shift(cg_module *m, bool left, bool is_signed, int bits, V a, V by) {
    LLVMBuilderRef b = m->b;
    V fits = LLVMBuildICmp(b, LLVMIntULT, by, int_like(by, bits), "");
    V safe = LLVMBuildSelect(b, fits, by, int_like(by, left || !is_signed ? 0 : bits - 1), "");
    if (!left && is_signed) return LLVMBuildAShr(b, a, safe, "");
    V r = left ? LLVMBuildShl(b, a, safe, "") : LLVMBuildLShr(b, a, safe, "");
    return LLVMBuildSelect(b, fits, r, int_like(a, 0), "");
}

static V int_compare(cg_module *m, ir_prim p, bool is_signed, V a, V c) {
    static const LLVMIntPredicate of_signed[] = {LLVMIntEQ,  LLVMIntNE,  LLVMIntSLT,
                                                 LLVMIntSLE, LLVMIntSGT, LLVMIntSGE};
    static const LLVMIntPredicate of_unsigned[] = {LLVMIntEQ,  LLVMIntNE,  LLVMIntULT,
                                                   LLVMIntULE, LLVMIntUGT, LLVMIntUGE};
    return LLVMBuildICmp(m->b, (is_signed ? of_signed : of_unsigned)[p - K_EQ], a, c, "");
}

static V int_abs(cg_module *m, bool is_signed, V a) {
    if (!is_signed) return a;
    V negative = LLVMBuildICmp(m->b, LLVMIntSLT, a, int_like(a, 0), "");
    return LLVMBuildSelect(m->b, negative, LLVMBuildNeg(m->b, a, ""), a, "");
}

static V int_prim(cg_module *m, ir_prim p, rt_dtype d, V *a) {
    LLVMBuilderRef b = m->b;
    bool is_signed = rt_dtypes[d].kind == 'I';
    switch (p) {
    case K_ADD: return LLVMBuildAdd(b, a[0], a[1], "");
    case K_SUB: return LLVMBuildSub(b, a[0], a[1], "");
    case K_MUL: return LLVMBuildMul(b, a[0], a[1], "");
    case K_DIV: return divide(m, is_signed, a[0], a[1]).q;
    case K_REM: return divide(m, is_signed, a[0], a[1]).r;
    case K_FLOORDIV: return floor_divide(m, is_signed, a[0], a[1]).q;
    case K_MOD: return floor_divide(m, is_signed, a[0], a[1]).r;
    case K_NEG: return LLVMBuildNeg(b, a[0], "");
    case K_ABS: return int_abs(m, is_signed, a[0]);
    case K_MIN: return LLVMBuildSelect(b, int_compare(m, K_LT, is_signed, a[0], a[1]), a[0], a[1], "");
    case K_MAX: return LLVMBuildSelect(b, int_compare(m, K_GT, is_signed, a[0], a[1]), a[0], a[1], "");
    case K_AND: return LLVMBuildAnd(b, a[0], a[1], "");
    case K_OR: return LLVMBuildOr(b, a[0], a[1], "");
    case K_XOR: return LLVMBuildXor(b, a[0], a[1], "");
    case K_NOT: return LLVMBuildNot(b, a[0], "");
    case K_SHL: return shift(m, true, is_signed, rt_dtypes[d].bits, a[0], a[1]);
    case K_SHR: return shift(m, false, is_signed, rt_dtypes[d].bits, a[0], a[1]);
    case K_EQ:
    case K_NE:
    case K_LT:
    case K_LE:
    case K_GT:
    case K_GE: return int_compare(m, p, is_signed, a[0], a[1]);
    default: return NULL;
    }
}

V cg_prim(cg_module *m, ir_prim p, rt_dtype result, rt_dtype operand, V *args) {
    V r;
    switch (p) {
    case K_SELECT: return LLVMBuildSelect(m->b, args[0], args[1], args[2], "");
    case K_CAST: return cast(m, args[0], operand, result);
    case K_BITCAST: return LLVMBuildBitCast(m->b, args[0], shaped(cg_type(m, result), lanes_of(args[0])), "");
    default: break;
    }
    r = rt_dtypes[operand].kind == 'F' ? float_prim(m, p, args) : int_prim(m, p, operand, args);
    if (r) return r;
    ir_error(m->c, 0, "internal: no code for the primitive %s of %s", ir_prims[p].name,
             rt_dtypes[operand].name);
    return LLVMGetPoison(shaped(cg_type(m, result), lanes_of(args[0])));
}
