/* emit.h: what the files that turn one comprehension into kernel IR share (schedule.c, tile.c). */
#ifndef JITC_LOWER_EMIT_H
#define JITC_LOWER_EMIT_H

#include "lower/nest.h"

typedef struct emit {
    ir_context *c;
    k_builder b;
    lower_launch *launch;
    const fused *f;
    nest t;
    ir_exprs x;
    const ir_expr *init[COMP_MAX_STATE], *elem[COMP_MAX_STATE], *combine[COMP_MAX_STATE], *out[COMP_MAX_OUT];
    const ir_expr **at;
    RT_VEC(struct comp_check) checks;
    k_buffer **in, *outs[COMP_MAX_OUT]; /* in: by operand */
    k_value **scalars;                  /* by operand */
    k_value *var[NEST_MAX];             /* by loop */
    k_value *param[2 * COMP_MAX_STATE];
    const ir_expr **done;
    ir_module *m;
    ir_node *kernel;
    lower_kernel *info;
    rt_map *shared;                     /* micro-kernels of the module by name; whole kernels by text */
    bool *unused;                       /* by operand: read through another buffer, gets no argument */
} emit;

/* schedule.c */
k_value *sched_dim(emit *e, const ir_dim *d);
k_value *sched_value(emit *e, k_memo *memo, const ir_expr *x);
k_value *sched_out_address(emit *e);
void sched_store_outs(emit *e, k_memo *memo);
/* A further kernel of the group, before the main one: its own emit (nest and expressions shared). */
emit sched_before(emit *e, const char *suffix);
k_buffer *sched_buffer(emit *e, lower_buffer_kind kind, int index, rt_dtype dtype, const ir_dim *elements, const char *name);
void sched_begin(emit *e, const char *name);

/* tile.c: contractions on register tiles.  sched_tiles_plan is asked before sched_begin, and may pack operands; then
 * sched_tiles writes the loops. */
typedef struct tiles {
    int a, b;              /* operands (factors of the product) */
    const nest_access *aa, *ba;
    int nloop, mloop;      /* loops of columns and rows; mloop -1: one row */
    bool packed;           /* B lies in panels of TILE_N columns */
    int bin;               /* packed param: input number of the node; else -1 */
    bool padded;           /* B is read from a zero-padded copy: its index p in dim d is p + shift[d] of the operand */
    const ir_expr *load;   /* padded: of the operand */
    const ir_dim *size[RT_MAX_RANK];
    int64_t shift[RT_MAX_RANK];
} tiles;
bool sched_tiles_plan(emit *e, tiles *t);
void sched_tiles(emit *e, const tiles *t);

#endif
