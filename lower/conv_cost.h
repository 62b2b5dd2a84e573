/* conv_cost.h: what a convolution of step 1 costs, by a table that was measured (conv_cost.def). */
#ifndef JITC_LOWER_CONV_COST_H
#define JITC_LOWER_CONV_COST_H

#include <stdint.h>

typedef struct conv_shape { int64_t n, ic, oc, h, w; } conv_shape; /* h, w: of the result */

#define COST(name, ns, what) double name;
typedef struct conv_costs { /* nanoseconds on one thread */
#include "lower/conv_cost.def"
} conv_costs;
#undef COST
extern const conv_costs conv_costs_measured;

/* Nanoseconds by a table, with weights from memory: of the direct sum of a window of r x r (m = 0), or Winograd's F(m x m, r x r). */
double conv_cost(const conv_costs *t, const conv_shape *s, int m, int r);

#endif
