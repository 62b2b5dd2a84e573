/* comp_maps.h: index arithmetic that the maps of comp_move.c and comp_resample.c share.  All index
 * expressions are i64; `at` arrays hold one expression per dim. */
#ifndef JITC_LOWER_COMP_MAPS_H
#define JITC_LOWER_COMP_MAPS_H

#include "ir/rules.h"
#include "lower/comp.h"

typedef const ir_expr *ex;

static inline ex map_int(comp *k, int64_t i) { return ir_x_int(&k->x, DT_I64, i); }
static inline ex map_dim(comp *k, const ir_dim *d) { return ir_x_dim(&k->x, d); }
static inline ex map_at(comp *k, int i) { return ir_x_index(&k->x, i); }
static inline ex map_op(comp *k, ir_prim op, ex a, ex b) { return ir_x2(&k->x, op, a, b); }
static inline ex map_if(comp *k, ex cond, ex a, ex b) { return ir_x_select(&k->x, cond, a, b); }
static inline ex map_and(comp *k, ex a, ex b) { return !a ? b : !b ? a : map_op(k, K_AND, a, b); }

ex map_load(comp *k, const ir_arg *tensor, const ex *at);
ex map_inside(comp *k, ex i, const ir_dim *size); /* 0 <= i && i < size */
/* The value of a number argument, or of a tensor of one element, in `as`. */
ex map_number(comp *k, ir_infer *x, const ir_arg *a, rt_dtype as);
ex map_zero(comp *k, rt_dtype dtype);

bool map_resample(comp *k, ir_infer *x); /* upsample_*; comp_resample.c */
bool map_grid_sampler(comp *k, ir_infer *x);

#endif
