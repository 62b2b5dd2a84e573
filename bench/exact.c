/* exact.c: the double functions that ulp.c compares f32 results with, many arguments at a time.  This file alone is compiled
 * for vectors and with -ffast-math, which makes gcc call glibc's vector functions (below 4 units in the last place of f64,
 * 2^-27 of one of f32); where there are none the loops call libm. */
#include "bench/exact.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define EXACT(f)                                                                     \
    static void f##_block(const double *restrict x, double *restrict y, int n) {     \
        for (int i = 0; i < n; i++) y[i] = f(x[i]);                                  \
    }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double rsqrt(double x) { return 1 / sqrt(x); }
EXACT(exp) EXACT(exp2) EXACT(expm1) EXACT(log) EXACT(log2) EXACT(log10) EXACT(log1p)
EXACT(sin) EXACT(cos) EXACT(tan) EXACT(sinh) EXACT(cosh) EXACT(tanh) EXACT(asin) EXACT(acos) EXACT(atan)
EXACT(asinh) EXACT(acosh) EXACT(atanh) EXACT(erf) EXACT(erfc) EXACT(sigmoid) EXACT(rsqrt)

#define ROW(f) { #f, f##_block }
static const struct {
    const char *name;
    exact_block *block;
} blocks[] = {
    ROW(exp),  ROW(exp2), ROW(expm1), ROW(log),  ROW(log2),  ROW(log10), ROW(log1p), ROW(sin), ROW(cos),  ROW(tan),     ROW(sinh), ROW(cosh),
    ROW(tanh), ROW(asin), ROW(acos),  ROW(atan), ROW(asinh), ROW(acosh), ROW(atanh), ROW(erf), ROW(erfc), ROW(sigmoid), ROW(rsqrt),
};

exact_block *exact_find(const char *name) {
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (!strcmp(blocks[i].name, name)) return blocks[i].block;
    return NULL;
}
