/* dtype.c: the table of element types, promotion, and the conversions of f16 and bf16.
 *
 * Reading and writing single elements of any type stands in tensor.c. */
#include "runtime/value.h"

const rt_dtype_info rt_dtypes[DT_COUNT] = {
#define DTYPE(id, text, bytes, kind, bits, c10, st, dl) [id] = {text, bytes, kind, bits, c10, st, dl},
#include "runtime/dtype.def"
#undef DTYPE
};

static bool same(const char *have, const char *name, size_t n) {
    return strlen(have) == n && !memcmp(have, name, n);
}

rt_dtype rt_dtype_by_name(const char *name, size_t n) {
    for (int d = 0; d < DT_COUNT; d++)
        if (same(rt_dtypes[d].name, name, n)) return (rt_dtype)d;
    return DT_NONE;
}

rt_dtype rt_dtype_by_safetensors(const char *name, size_t n) {
    for (int d = 0; d < DT_COUNT; d++)
        if (same(rt_dtypes[d].safetensors, name, n)) return (rt_dtype)d;
    return DT_NONE;
}

rt_dtype rt_dtype_by_c10(int64_t code) {
    for (int d = 0; d < DT_COUNT; d++)
        if (rt_dtypes[d].c10 == code) return (rt_dtype)d;
    return DT_NONE;
}

/* The table of c10::promoteTypes, by its rules: bool yields to all; integers yield to floats; of two floats
 * the wider, and f32 for f16 with bf16; of two integers the wider, and i16 for u8 with i8. */
rt_dtype rt_promote(rt_dtype a, rt_dtype b) {
    if (a == DT_NONE) return b;
    if (b == DT_NONE || a == b) return a;
    const rt_dtype_info *x = &rt_dtypes[a], *y = &rt_dtypes[b];
    if (x->kind == 'B') return b;
    if (y->kind == 'B') return a;
    bool fa = x->kind == 'F', fb = y->kind == 'F';
    if (fa != fb) return fa ? a : b;
    if (x->bits != y->bits) return x->bits > y->bits ? a : b;
    return fa ? DT_F32 : DT_I16;
}

/* ---- halves */

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float rt_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 0x3ff;
    if (exp == 31) return float_of(sign | 0x7f800000 | man << 13);
    if (exp) return float_of(sign | (exp + 112) << 23 | man << 13);
    float tiny = (float)man * 0x1p-24f; /* subnormal: exact */
    return sign ? -tiny : tiny;
}

uint16_t rt_f32_to_f16(float f) {
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000;
    u &= 0x7fffffff;
    if (u > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (u >> 13 & 0x1ff));
    if (u >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (u < 0x38800000) { /* below 2^-14: the sum's last bit weighs 2^-24, so the addition rounds for us */
        uint32_t r = bits_of(float_of(u) + 0.5f) - bits_of(0.5f);
        return (uint16_t)(sign | r);
    }
    uint32_t odd = u >> 13 & 1;
    return (uint16_t)(sign | (u - 0x38000000 + 0xfff + odd) >> 13);
}

float rt_bf16_to_f32(uint16_t h) { return float_of((uint32_t)h << 16); }

uint16_t rt_f32_to_bf16(float f) {
    uint32_t u = bits_of(f);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40); /* quiet, so never rounded to infinity */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
