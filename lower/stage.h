/* stage.h: staged kernels: several groups that share their outer loops ("rows") as one kernel.
 *
 *   grid block of rows:  stage 1; stage 2; ...    with what one stage hands to the next in scratch
 *
 * In the graph, a staged kernel is an S_KERNEL whose block holds S_KERNEL nodes, its stages, in order.  A row is an
 * index variable of every stage, by which all of them read what earlier stages made: softmax over the last dim of [b,
 * q, k] has the rows b and q.  A block takes some of the last one.  Stages on register tiles (tile.c) take all rows
 * of the block at once; neighbours among the others run row by row.  The value between two stages of the second kind
 * needs scratch for one row, all else for the rows of a block.  Where memory is met in runs along the last row only
 * (softmax over dim 1 of [n, c, h, w]), the rows of a block are the lanes of every stage instead.
 *
 * Where a row is as long as there are keys to attend to, scratch has room for some of them only, and the stages go through
 * blocks of keys (stage_online.c):
 *
 *   grid block of rows:  for each block of keys: scores; their maximum so far; weights; sums so far, scaled;  results
 */
#ifndef JITC_LOWER_STAGE_H
#define JITC_LOWER_STAGE_H

#include "lower/emit.h"

enum { STAGE_MAX = 12, STAGE_SCRATCH = 58 << 10 /* bytes; more (up to 300 KB was tried) made attention no faster */,
       STAGE_KEYS = 512 /* of a block */ };

typedef struct stage_read { const ir_expr *load; int from; } stage_read; /* of what stage `from` made */

typedef struct stage {
    ir_node *n;
    fused f; /* with its rows and strides */
    comp_kind kind;
    int part; /* neighbours that run row by row have one number; a stage on tiles has its own */
    RT_VEC(stage_read) reads;
    nest t;
    tiles tiles; /* CK_CONTRACT */
    int key;     /* the index variable that counts the keys, -1: none; see stage_online.c */
} stage;

/* A result of a stage that later ones read. */
typedef struct stage_value {
    const ir_value *v;
    int made, last;    /* the stages that make it and that read it last */
    bool whole;        /* has a row of scratch for each row of the block */
    int64_t inner;     /* elements per row */
    int64_t pitch;     /* elements from one row of the block to the next */
    const ir_dim **strides;
    int buffer;        /* values with the same number share scratch */
} stage_value;

typedef struct stages {
    ir_context *c;
    ir_module *m;
    int n, nrows;
    stage at[STAGE_MAX];
    RT_VEC(stage_value) values;
    bool tiled;
    bool lanes;    /* vectors run along the last row, not inside of it */
    bool too_long; /* was refused because the rows of a value are too long, or of a length that is not known */
    int64_t block; /* rows of a block; tiled: tiles of rows */
    int64_t keys;  /* of a block of keys; 0: all at once */
    const ir_dim *all_keys;
    int max, weights; /* with keys: the stages that make the maximum of each row, and exp of what is left of the scores */
} stages;

/* Describes a staged kernel of these groups (in order; the last one makes the results, which lie as `result` does).
 * false: they share no rows, an inner size is not known, or scratch would be too large. */
bool stages_of(ir_module *m, int n, ir_node *const *groups, const ir_value *result, stages *out);
/* The variable by which stage p counts what the reader's variable `var` counts through this load; -1: none, or not `known`
 * (-1: any). */
int stages_var_of(const stage *reader, const stage *p, const ir_expr *load, int var, int known);
/* The size of row number i. */
const ir_dim *stages_row(const stages *s, int i);
int64_t stages_inner(const stages *s, int i); /* what stage i goes through for each row, at most 2^30; unknown sizes count as 1 */
const stage_value *stages_value(const stages *s, const ir_value *v); /* NULL: not kept in scratch */
static inline bool stages_kernel(const ir_node *n) { return n && n->op->cls == OP_STRUCT && n->op->id == S_KERNEL; }
static inline bool stages_staged(const ir_node *kernel) { return stages_kernel(kernel->blocks[0]->first); }

/* stage_online.c: finds the keys: do the stages form a sum of weights exp(x - max x)?  Sets key, all_keys, max and weights. */
bool stages_online(stages *s);
/* A bound of the keys that a row looks at: key <= row + offset, or key >= row + offset.  All others are -inf. */
typedef struct stage_bound { bool upper; int64_t offset; } stage_bound;
enum { STAGE_BOUNDS = 4 };
int stages_bounds(const stages *s, stage_bound *out); /* how many; at most STAGE_BOUNDS */

/* Schedules a staged kernel: the counterpart of lower_schedule_group.  info has its label. */
bool sched_staged(ir_module *m, ir_node *kernel, lower_kernel *info, rt_map *shared);

#endif
