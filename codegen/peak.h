/* peak.h: the fastest that this machine multiplies and adds in f32, and copies memory: the yardsticks of profiles and
 * benchmarks. */
#ifndef JITC_CODEGEN_PEAK_H
#define JITC_CODEGEN_PEAK_H

#include "ir/ir.h"

typedef struct cg_peak cg_peak;
/* Memory: the context, and what cg_peak_free ends.  NULL after a diagnostic. */
cg_peak *cg_peak_new(ir_context *c, int threads);
/* Operations per second on all the threads: takes some ten milliseconds.  Clocks move, so this is the best of all samples
 * so far. */
double cg_peak_sample(cg_peak *p);
/* Bytes read and written per second by a copy that is larger than caches are; 0: out of memory. */
double cg_peak_memory(cg_peak *p);
void cg_peak_free(cg_peak *p); /* takes NULL */

#endif
