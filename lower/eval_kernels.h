/* eval_kernels.h: the loops under eval.c: primitives on columns of lanes, strided loads and stores, small
 * GEMMs.
 *
 * A column holds the values of one expression node for up to EV_LANES lanes, in one of three representations:
 * float for f16, bf16 and f32, double for f64, int64 for integers and bool; always exact in the node's own
 * dtype. */
#ifndef JITC_LOWER_EVAL_KERNELS_H
#define JITC_LOWER_EVAL_KERNELS_H

#include "ir/scalar.h"

enum { EV_LANES = 256, EV_MAX_ARGS = 3 };
typedef enum ev_rep { EV_F32, EV_F64, EV_I64 } ev_rep;

static inline ev_rep ev_rep_of(rt_dtype d) {
    return d == DT_F64 ? EV_F64 : rt_dtypes[d].kind == 'F' ? EV_F32 : EV_I64;
}
static inline int ev_rep_size(ev_rep r) { return r == EV_F32 ? 4 : 8; }

/* dst[l] = e's primitive of the columns args; lane by lane what ir_prim_eval gives.  dst may be one of args.
 */
void ev_apply(const ir_expr *e, void *dst, const void *const *args, int n);
/* dst[l] = element off + l * step of data. */
void ev_load(void *dst, const void *data, rt_dtype dtype, int64_t off, int64_t step, int n);
void ev_store(void *data, rt_dtype dtype, int64_t off, int64_t step, const void *src, int n);
void ev_fill(void *dst, ev_rep rep, const void *value, int n);
ir_scalar ev_get(const void *col, rt_dtype dtype, int lane);
void ev_set(void *col, rt_dtype dtype, int lane, ir_scalar x);
/* c[m][n] += a[m][k] * b[k][n], row-major and dense; each sum in order of k, product and sum rounded
 * separately. */
void ev_gemm(ev_rep rep, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b, void *c);

#endif
