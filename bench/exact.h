/* exact.h: references of ulp.c, many arguments at a time. */
#ifndef JITC_BENCH_EXACT_H
#define JITC_BENCH_EXACT_H

/* y[i] = f(x[i]) in f64, within 4 units in the last place for finite results. */
typedef void exact_block(const double *restrict x, double *restrict y, int n);
exact_block *exact_find(const char *name); /* NULL: there is none */

#endif
