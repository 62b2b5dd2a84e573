/* emit.h: what the files that turn one comprehension into kernel IR share (schedule.c, tile.c). */
#ifndef JITC_LOWER_EMIT_H
#define JITC_LOWER_EMIT_H

#include "lower/nest.h"

/* What expressions are in a piece of a loop (cut.c), by id: as[id] holds for the last of the pieces where piece[id] is `pieces`. */
typedef struct sched_known { const ir_expr **as; int *piece, pieces, cap; } sched_known;

/* table.c: what is computed once for all indexes of some loops.  sure: a place that is an element's, whatever guards the load. */
enum { SCHED_TABLES = 48 };
typedef struct sched_table { const ir_expr *x; uint32_t loops; bool sure; } sched_table;

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
    k_buffer **in, *outs[COMP_MAX_OUT]; /* in: by operand; behind them the tables */
    sched_table tables[SCHED_TABLES];
    int ntables, lane;                  /* lane: the loop whose steps are lanes when tables are read */
    k_value **scalars;                  /* by operand */
    k_value *var[NEST_MAX];             /* by loop */
    k_value *param[2 * COMP_MAX_STATE];
    const ir_expr **done;
    k_memo *memo;                       /* what does not change in the loops that are not open yet */
    uint32_t cuts;                      /* loops of a map that are cut, by bit */
    sched_known known;
    bool interleave;                    /* a map: its last loop is unrolled inside of the vector loop */
    unsigned char *checked;             /* by check: it stands further out */
    ir_module *m;
    ir_node *kernel;
    lower_kernel *info;
    rt_map *shared;                     /* micro-kernels of the module by name; whole kernels by text */
    const ir_expr **turned;             /* by operand: a load of it, if it is read from a copy (turn.c); NULL: none is */
    bool *unused;                       /* by operand: read through another buffer, gets no argument */
    bool stream;                        /* results are written around the caches */
    k_value **base, *out_base;          /* by operand, and of the results: added to every address; NULL: 0 */
    int placed;                         /* operand + 1 that moves over the last loop, and whose address is its base; 0: none */
    int keys;                           /* the loop that goes through [klo, khi) only; klo NULL: none does */
    k_value *klo, *khi;
    k_value *start;                     /* of a reduction with one state: what came before; NULL: its init */
    int scratch;                        /* number of the group's first scratch buffer that is free */
} emit;

static inline const ir_dim *sched_num(const emit *e, int64_t x) { return ir_dim_const(e->c, x); }
static inline const ir_dim *sched_size(const emit *e, int loop) { return e->t.loops.at[loop].size; }

/* schedule.c */
int sched_input(const ir_node *kernel, const ir_value *v); /* its number among the kernel's inputs, or -1 */
void sched_open(emit *e, const char *name); /* makes the launch's kernel; it has no arguments yet */
void sched_rewrite(emit *e);                /* the expressions from index variables to loops, once the nest is final */
/* The loops of a stage inside of those over rows, whose variables are set; that of the last row may be NULL: then the rows
 * [lo, hi) are the lanes.  The cost per row. */
const ir_dim *sched_stage(emit *e, k_value *lo, k_value *hi);
k_value *sched_dim(emit *e, const ir_dim *d);
k_value *sched_value(emit *e, k_memo *memo, const ir_expr *x);
void sched_outside(emit *e, const ir_expr *x); /* computes, and leaves in e->memo, the parts of x that the variables set decide */
k_value *sched_out_address(emit *e);
void sched_store_outs(emit *e, k_memo *memo);
/* A further kernel of the group, before the main one: its own emit (nest and expressions shared). */
emit sched_before(emit *e, const char *suffix);
k_buffer *sched_buffer(emit *e, lower_buffer_kind kind, int index, rt_dtype dtype, const ir_dim *elements, const char *name);
void sched_begin(emit *e, const char *name);

/* table.c: makes the tables that are worth it, by kernels before the main one, for loops whose vectors run along `lane` (-1: none
 * do), and changes e->out or e->elem. */
void sched_tables(emit *e, int lane);
bool sched_sure(const emit *e, const ir_expr *load); /* is there an element in any case? */
bool sched_near(const emit *e, const ir_expr *load); /* do places of its own for each lane, whatever the other loops, come from a table? */

/* turn.c: copies of operands of a map whose order does not suit its vectors.  The plan (then the nest is to be built again), and the
 * kernels before the main one. */
bool sched_turn_plan(emit *e, fused *f);
void sched_turn(emit *e);

/* cut.c: the indexes at which a loop of a map is cut, ascending; and what its results are for lo <= index < hi. */
enum { SCHED_CUTS = 1024 /* the steps of a sequence that was unrolled, put side by side */ };
typedef struct sched_cuts { int n; const ir_dim *at[SCHED_CUTS]; } sched_cuts;
void sched_cut_points(const emit *e, int loop, sched_cuts *cuts);
void sched_cut_piece(emit *e, int loop, const ir_dim *lo, const ir_dim *hi); /* changes e->out */

/* Contractions on register tiles: C[m, n] = sum over k of A[m, k] * B[k, n], with batch loops around.  sched_tiles_plan
 * (tile.c) is asked before the expressions are rewritten to loops; sched_tiles_copies (tile_copy.c) makes the kernels that
 * run before, and sched_tiles (tile_emit.c) writes the loops. */
enum { TILE_N = 16 };
/* Rows of a tile, at most: those of the best level that the code is for. */
static inline int sched_tile_rows(const emit *e) { return e->m->tile_rows; }

/* A zero-padded copy of a factor, its dims in another order: its index p in dim d is p + shift[d] of the operand. */
typedef struct tile_copy {
    bool on;
    const ir_expr *load; /* of the operand */
    uint8_t order[RT_MAX_RANK]; /* dims from the slowest to the fastest */
    const ir_dim *size[RT_MAX_RANK];
    int64_t shift[RT_MAX_RANK];
    rt_dtype dtype;             /* of the copy */
} tile_copy;

/* A factor of a product: a load, perhaps cast, perhaps guarded by its bounds (padding).  computed (tile.c): an expression over
 * this load and others that move over less (scales). */
typedef struct sched_factor { const ir_expr *load, *value; bool guarded, computed; const nest_access *access; } sched_factor;
typedef struct sched_line { int64_t coef[NEST_MAX], c; } sched_line; /* an index that is a sum of variables times constants */
bool sched_line_of(const ir_expr *x, sched_line *out);
bool sched_factor_of(const emit *e, const ir_expr *x, sched_factor *f); /* f32, f16 or bf16 */
nest_access *sched_access(emit *e, const ir_expr *load); /* of the nest, for changing it */
/* Plans a copy and the access to it: dims in the operand's own order; last >= 0: with the dim over which index variable
 * `last` moves last; rows: with those over which only the reduction moves last.  false: the index has no such form. */
bool sched_copy_plan(emit *e, const ir_expr *load, bool rows, int last, tile_copy *out, nest_access *a);
k_value *sched_split(emit *e, k_value **g, const ir_dim *size); /* the index g within `size`; g becomes what counts the slower ones */
void sched_copy_kernel(emit *e, int operand, const tile_copy *c); /* makes it, in scratch e->scratch */
const ir_dim *sched_copy_elements(emit *e, const tile_copy *c);
bool sched_used_elsewhere(const emit *e, int operand); /* in the results */
bool sched_in_results(const emit *e, const ir_expr *x);
rt_tensor *sched_param_data(const emit *e, int operand); /* its elements in row-major order; the caller releases it; NULL: no memory */
/* A param of these dims that takes the place of operand `operand` among the kernel's inputs; t is taken.  Its input number. */
int sched_replace_param(emit *e, int operand, rt_tensor *t);

/* A reduce loop: iterations, steps of the factors' addresses (NULL: 0), its variable if it is one, else -1. */
typedef struct tile_segment { const ir_dim *size, *a, *b; int var; } tile_segment;
/* A segment of taps, some of which lie in the padding: those inside are 0 <= step * q + dilation * tap + first < size, for the
 * row's index variable q. */
typedef struct tile_taps { int seg, q; int64_t step, dilation, first, size; } tile_taps;

typedef struct tiles {
    int a, b;              /* operands (factors of the product) */
    nest_access aa, ba;    /* their addresses by index variable: in the copies where they are on */
    tile_copy copy[2];     /* of A, of B: at most one is on */
    int column;            /* index variable of the columns */
    int nloop, mloop;      /* loops of columns and rows; mloop -1: one row */
    bool across;           /* the result lies along the rows */
    bool linear;           /* A's address is the row times the row loop's coefficient */
    int factor;            /* which argument of the product B is */
    bool computed;         /* B's elements are an expression of what its operand holds */
    bool wide;             /* where many rows share a panel, f32 values of a block of it are made first (tile_emit.c) */
    bool packed, run_time; /* B lies in panels of TILE_N columns: a param; packed by a kernel before */
    int bin;               /* packed param: input number of the node; else -1 */
    int nr, rvar[NEST_MAX];/* reduce variables in the order in which k counts */
    int nseg;
    tile_segment seg[NEST_MAX]; /* the same, merged; the last one is the contract's */
    int ntaps;
    tile_taps taps[RT_MAX_RANK]; /* left out where all of a tile's are in the padding */
} tiles;
bool sched_tiles_plan(emit *e, tiles *t);
/* Of what lies in B's place in memory. */
static inline rt_dtype sched_tiles_b(const emit *e, const tiles *t) {
    return t->copy[1].on ? t->copy[1].dtype : e->f->operands.at[t->b]->type->dtype;
}
void sched_tiles(emit *e, tiles *t); /* may cut its segments */
/* As a stage: the rows of tiles [tlo, thi), at most 16 of them; A and B as sched_tiles_copies gave them.  With keys (emit), those
 * of its columns that they are. */
void sched_tiles_stage(emit *e, tiles *t, k_buffer *A, k_buffer *B, k_value *tlo, k_value *thi);
/* As a stage whose one segment of k is the keys: the sums of all columns stay in acc, [panels][tiles][height][TILE_N].  Each call
 * of add scales those of a row by scale[row + at] and adds the products of its keys; finish makes the results of them. */
typedef struct tile_sums { k_buffer *acc, *scale; k_value *at; int64_t tiles; } tile_sums;
void sched_tiles_add(emit *e, tiles *t, k_buffer *A, k_buffer *B, k_value *tlo, k_value *thi, const tile_sums *sums);
void sched_tiles_finish(emit *e, tiles *t, k_value *tlo, k_value *thi, const tile_sums *sums);
/* The first row of tile number i of `rows` rows; for the number behind the last one, `rows`. */
k_value *sched_tiles_row(emit *e, const ir_dim *rows, k_value *i);
/* The copy and the panels, by kernels before the main one; returns the buffers from which the main kernel reads. */
void sched_tiles_copies(emit *e, const tiles *t, k_buffer **A, k_buffer **B);
const ir_dim *sched_tiles_k(emit *e, const tiles *t);     /* elements of k */
const ir_dim *sched_tiles_panels(emit *e, const tiles *t);/* panels of columns */
bool sched_tiles_batch(emit *e, const tiles *t, int loop); /* an outer loop over which B moves */

/* stencil.c: small windows with the channels last: depthwise convolution and small groups, convolution of few elements, pooling. */
enum { STENCIL_TAPS = 81, STENCIL_DIMS = 3 };
typedef struct stencil_bound { /* where a tap may lie outside: from <= variable * step + offset of the tap < to must hold */
    const ir_expr *of;
    int var;
    int64_t step, offset[STENCIL_TAPS], from, to;
    int64_t rows;             /* what it moves by per step of the stencil's loop over rows */
} stencil_bound;
typedef struct stencil {
    int image, weight;        /* operands; -1: pooling */
    bool shared;              /* the image's elements are the same for all channels */
    bool guarded;             /* pooling: what a tap contributes is the second argument of a select */
    nest_access at;           /* of the image, or its copy */
    tile_copy copy;
    int channels, columns;    /* loops; columns -1: none */
    int lanes;                /* of the loop over channels, 0: the target's */
    int group;                /* channels of a group (a vector holds whole ones), each a sum over all of them; 0: none */
    int ntaps, win;           /* win: input number of the weights, packed [rows][taps][channels] */
    int row;                  /* large windows: the reduce variable that is a loop around the taps, or -1 */
    int64_t rows, row_step;   /* its size; what the image's address moves by */
    int per_row;              /* taps of one row of the window lie next to each other */
    int64_t tap[STENCIL_TAPS];/* offset of each in the image */
    int place[STENCIL_TAPS];  /* group: the channel that it reads */
    int nbounds;              /* read without a copy: taps outside are left out */
    stencil_bound bound[STENCIL_DIMS];
    int across;               /* the bound along the columns, or -1 */
} stencil;
/* winograd.c: kernels marked by the pass of that name. */
typedef struct winograd_form winograd_form;
typedef struct winograd {
    const winograd_form *form;
    int image, weight;            /* operands */
    int height;                   /* that dim; the next one is the width.  Behind the channels there may be a dim of planes: */
    int64_t planes;               /* those of the window, each of them with channels of its own for the products */
    bool direct;                  /* the image is read where it lies; else from a copy */
    tile_copy copy;
    nest_access at;
    const ir_dim *ic, *oc, *th, *tw; /* channels, those of the result in whole panels; tiles in height and width */
    int blocks;                   /* of tiles, one after the other */
    const ir_dim *tiles, *slots;  /* all tiles; those of a block as rows of the products: the last ones may repeat a tile */
} winograd;
bool sched_winograd_plan(emit *e, winograd *w);
void sched_winograd(emit *e, const winograd *w);
bool sched_stencil_plan(emit *e, stencil *s);
bool sched_pool_plan(emit *e, stencil *s);
void sched_stencil(emit *e, const stencil *s);

#endif
