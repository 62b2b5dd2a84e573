/* stage_emit.c: the loops of a staged kernel: see stage.h.
 *
 * Grid over blocks of the last row and all of the others.  In a block: the stages on tiles take all its rows; the
 * others run row by row, all that are neighbours for one row, so that it stays in the first cache (or with the rows
 * as lanes).  What tiles copy or pack first is done by kernels before, once for all blocks.  Reductions run as they
 * do in kernels of their own: the order is fixed by sizes alone.
 *
 * With keys, a block of rows goes through blocks of keys.  A reduction begins with what came before: the maximum so far, or the
 * sum so far times what the maximum's change makes of it, exp(old - new).  While all is -inf the weights are counted from 0:
 * they are 0, and if that stays so, the result is 0 / 0 as it is without blocks. */
#include "lower/stage.h"

#include <math.h>

typedef const ir_dim *D;

typedef struct staging {
    stages s;
    emit at[STAGE_MAX];
    k_buffer *A[STAGE_MAX], *B[STAGE_MAX];
    k_builder b;
    k_value *row, *end; /* of the block */
    k_value *tlo, *thi; /* its tiles */
    k_value *key;       /* with keys: the first of the block */
    k_buffer *shift;    /* with keys: the maximum so far of each row, 0 for -inf */
    tile_sums sums;
} staging;

/* All emits write at one place. */
static emit *enter(staging *x, int i) {
    x->at[i].b = x->b;
    return &x->at[i];
}

static void leave(staging *x, int i) { x->b = x->at[i].b; }

/* ---- buffers */

static k_buffer *argument(staging *x, emit *e, const ir_value *v) {
    int input = sched_input(e->kernel, v);
    for (int i = 0; i < e->launch->buffers.n; i++) {
        const lower_buffer *l = &e->launch->buffers.at[i];
        if (l->kind == LB_IN && l->index == input) return x->b.k->buffers.at[i];
    }
    return sched_buffer(e, LB_IN, input, v->type->dtype, NULL, "in");
}

static void bind_arguments(staging *x) {
    for (int i = 0; i < x->s.n; i++) {
        emit *e = enter(x, i);
        for (int o = 0; o < e->f->operands.n; o++) {
            const ir_value *v = e->f->operands.at[o];
            if (v->type->kind == T_TENSOR && !e->unused[o] && !stages_value(&x->s, v)) e->in[o] = argument(x, e, v);
        }
        for (int o = 0; o < e->kernel->nout && i == x->s.n - 1; o++)
            e->outs[o] = sched_buffer(e, LB_OUT, o, e->kernel->out[o]->type->dtype, NULL, "out");
    }
}

/* Copies and panels of all stages on tiles: their buffers are arguments as well. */
static void make_copies(staging *x) {
    int scratch = 0;
    for (int i = 0; i < x->s.n; i++) {
        if (x->s.at[i].kind != CK_CONTRACT) continue;
        emit *e = enter(x, i);
        e->scratch = scratch;
        sched_tiles_copies(e, &x->s.at[i].tiles, &x->A[i], &x->B[i]);
        scratch = e->scratch;
    }
}

static int64_t scratch_size(const stages *s, const stage_value *v) {
    if (s->lanes) return v->inner * s->block;
    return v->whole ? v->pitch * s->block * (s->tiled ? s->m->tile_rows : 1) : v->inner;
}

static void bind_scratch(staging *x) {
    k_buffer **by = RT_ARRAY(&x->s.c->arena, k_buffer *, x->s.values.n + 1);
    for (int n = 0; n < x->s.values.n; n++) {
        const stage_value *v = &x->s.values.at[n];
        by[n] = by[v->buffer];
        if (!by[n]) by[n] = k_scratch(x->b.k, KS_LOCAL, v->v->type->dtype, scratch_size(&x->s, v), "part");
        x->at[v->made].outs[0] = by[n];
        for (int i = v->made + 1; i <= v->last; i++)
            for (int o = 0; o < x->at[i].f->operands.n; o++)
                if (x->at[i].f->operands.at[o] == v->v) x->at[i].in[o] = by[n];
    }
    for (int i = 0; i < x->s.n; i++)
        if (x->A[i] == NULL && x->s.at[i].kind == CK_CONTRACT) x->A[i] = x->at[i].in[x->s.at[i].tiles.a];
}

/* Rows of scratch count from the block's first, keys likewise. */
static k_value *base_of(staging *x, const ir_value *v) {
    const stage_value *sv = stages_value(&x->s, v);
    if (!sv) return NULL;
    k_value *at = sv->whole ? k_mul(&x->b, x->row, k_i64(&x->b, -sv->pitch)) : NULL;
    if (!x->key || sv->inner == 1) return at;
    return at ? k_sub(&x->b, at, x->key) : k_sub(&x->b, k_i64(&x->b, 0), x->key);
}

static void bind_bases(staging *x) {
    for (int i = 0; i < x->s.n; i++) {
        emit *e = &x->at[i];
        e->base = RT_ARRAY(&x->s.c->arena, k_value *, e->f->operands.n + 1);
        for (int o = 0; o < e->f->operands.n; o++) e->base[o] = base_of(x, e->f->operands.at[o]);
        e->out_base = base_of(x, x->s.at[i].n->out[0]);
    }
}

/* ---- loops */

static void open_block(staging *x, emit *e) {
    stages *s = &x->s;
    k_builder *b = &e->b;
    D last = stages_row(s, s->nrows - 1), units = s->tiled ? ir_dim_ceildiv(s->c, last, s->m->tile_rows) : last;
    D blocks = ir_dim_ceildiv(s->c, units, s->block), n = blocks;
    for (int r = 0; r < s->nrows - 1; r++) n = ir_dim_mul(s->c, n, stages_row(s, r));
    e->launch->grid = n;
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, n), 1));
    k_value *block = s->nrows > 1 ? sched_split(e, &g, blocks) : g;
    k_value *lo = k_mul(b, block, k_i64(b, s->block)), *behind = k_add(b, lo, k_i64(b, s->block));
    k_value *hi = k_2(b, K_MIN, behind, sched_dim(e, units));
    for (int r = s->nrows - 2; r >= 0; r--) {
        k_value *i = r ? sched_split(e, &g, stages_row(s, r)) : g;
        for (int k = 0; k < s->n; k++) x->at[k].var[r] = i;
    }
    x->tlo = lo;
    x->thi = hi;
    x->row = s->tiled ? sched_tiles_row(e, last, lo) : lo;
    x->end = s->tiled ? sched_tiles_row(e, last, hi) : hi;
}

/* ---- keys */

static int64_t block_rows(const stages *s) { return s->block * (s->tiled ? s->m->tile_rows : 1); }

/* What is kept from one block of keys to the next. */
static void bind_sums(staging *x) {
    const stages *s = &x->s;
    const stage *last = &s->at[s->n - 1];
    int64_t rows = block_rows(s), panels = 1;
    ir_dim_is_const(sched_tiles_panels(&x->at[s->n - 1], &last->tiles), &panels);
    x->shift = k_scratch(x->b.k, KS_LOCAL, DT_F32, rows, "shift");
    x->sums.scale = k_scratch(x->b.k, KS_LOCAL, DT_F32, rows, "scale");
    x->sums.acc = k_scratch(x->b.k, KS_LOCAL, DT_F32, rows * panels * TILE_N, "sums");
    x->sums.tiles = s->block;
    for (int o = 0; o < s->at[s->weights].f.operands.n; o++)
        if (s->at[s->weights].f.operands.at[o] == s->at[s->max].n->out[0]) x->at[s->weights].in[o] = x->shift;
}

static void fill(k_builder *b, k_buffer *to, int64_t n, double with) {
    k_value *i = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, n), 1));
    k_store(b, to, i, k_float(b, DT_F32, with));
    k_end(b, 0, NULL);
}

/* Before the first block of keys. */
static void begin_sums(staging *x) {
    const stages *s = &x->s;
    for (int i = 0; i < s->n - 1; i++)
        if (s->at[i].key >= s->at[i].f.k->ndims) fill(&x->b, x->at[i].outs[0], block_rows(s), i == s->max ? -INFINITY : 0);
    fill(&x->b, x->sums.acc, x->sums.acc->size, 0);
}

/* The keys that some row of the block looks at. */
static void key_range(staging *x, emit *e, k_value **lo, k_value **hi) {
    k_builder *b = &x->b;
    stage_bound bound[STAGE_BOUNDS];
    int n = stages_bounds(&x->s, bound);
    *lo = k_i64(b, 0);
    *hi = sched_dim(e, x->s.all_keys);
    for (int i = 0; i < n; i++) {
        if (bound[i].upper) *hi = k_2(b, K_MIN, *hi, k_add(b, x->end, k_i64(b, bound[i].offset)));
        else *lo = k_2(b, K_MAX, *lo, k_add(b, x->row, k_i64(b, bound[i].offset)));
    }
    *lo = k_mul(b, k_2(b, K_DIV, *lo, k_i64(b, TILE_N)), k_i64(b, TILE_N)); /* whole panels */
}

static void set_keys(staging *x, k_value *lo, k_value *hi) {
    for (int i = 0; i < x->s.n; i++) {
        const stage *at = &x->s.at[i];
        if (at->key < 0) continue;
        x->at[i].klo = lo;
        x->at[i].khi = hi;
        for (int l = x->s.nrows; l < at->t.loops.n; l++)
            if (at->t.loops.at[l].vars == 1u << at->key) x->at[i].keys = l;
    }
    x->key = lo;
}

/* Where the row's element lies in buffers that have one for each row of the block. */
static k_value *row_at(staging *x, k_value *row) { return k_sub(&x->b, row, x->row); }

/* Before a reduction over keys: where it begins. */
static void resume(staging *x, int i, k_value *row) {
    k_value *old = k_load(&x->b, x->at[i].outs[0], row_at(x, row));
    if (i != x->s.max) old = k_mul(&x->b, old, k_load(&x->b, x->sums.scale, row_at(x, row)));
    x->at[i].start = old;
}

/* Behind the maximum: what it makes of sums so far. */
static void rescale(staging *x, int i, k_value *row) {
    k_builder *b = &x->b;
    k_value *none = k_float(b, DT_F32, -INFINITY), *at = row_at(x, row), *now = k_load(b, x->at[i].outs[0], at);
    k_value *shift = k_select(b, k_2(b, K_EQ, now, none), k_float(b, DT_F32, 0), now);
    k_store(b, x->shift, at, shift);
    k_store(b, x->sums.scale, at, k_1(b, K_EXP, k_sub(b, x->at[i].start, shift)));
}

/* Stages from number i on that run row by row, or all rows abreast; returns the number behind them. */
static int row_by_row(staging *x, int i, D *cost) {
    int first = i, rows = x->s.nrows;
    k_value *row = x->s.lanes ? NULL : k_var(k_for(&x->b, KL_SERIAL, 0, x->row, x->end, 1));
    for (; i < x->s.n && x->s.at[i].part == x->s.at[first].part; i++) {
        bool sums = x->key && x->s.at[i].key >= x->s.at[i].f.k->ndims;
        if (sums) resume(x, i, row);
        emit *e = enter(x, i);
        e->var[rows - 1] = row;
        *cost = ir_dim_add(x->s.c, *cost, sched_stage(e, x->row, x->end));
        leave(x, i);
        if (sums && i == x->s.max) rescale(x, i, row);
    }
    if (row) k_end(&x->b, 0, NULL);
    return i;
}

/* All stages, for all keys or a block of them. */
static D emit_stages(staging *x) {
    D cost = ir_dim_const(x->s.c, 0);
    for (int i = 0; i < x->s.n;) {
        if (x->s.at[i].kind != CK_CONTRACT) {
            i = row_by_row(x, i, &cost);
            continue;
        }
        emit *e = enter(x, i);
        D k = ir_dim_mul(x->s.c, sched_tiles_k(e, &x->s.at[i].tiles), sched_size(e, x->s.at[i].tiles.nloop));
        cost = ir_dim_add(x->s.c, cost, ir_dim_floordiv(x->s.c, k, ir_dim_const(x->s.c, 8)));
        if (x->key && i == x->s.n - 1) sched_tiles_add(e, &x->s.at[i].tiles, x->A[i], x->B[i], x->tlo, x->thi, &x->sums);
        else sched_tiles_stage(e, &x->s.at[i].tiles, x->A[i], x->B[i], x->tlo, x->thi);
        leave(x, i++);
    }
    return cost;
}

static D emit_keys(staging *x) {
    k_value *lo, *hi;
    int last = x->s.n - 1;
    begin_sums(x);
    emit *e = enter(x, 0);
    key_range(x, e, &lo, &hi);
    k_value *key = k_var(k_for(&x->b, KL_SERIAL, 0, lo, hi, x->s.keys));
    set_keys(x, key, k_2(&x->b, K_MIN, k_add(&x->b, key, k_i64(&x->b, x->s.keys)), hi));
    x->sums.at = k_mul(&x->b, x->row, k_i64(&x->b, -1));
    bind_bases(x);
    D cost = emit_stages(x);
    k_end(&x->b, 0, NULL);
    x->key = NULL;
    bind_bases(x);
    e = enter(x, last);
    sched_tiles_finish(e, &x->s.at[last].tiles, x->tlo, x->thi, &x->sums);
    leave(x, last);
    return cost;
}

static bool read_stages(staging *x, ir_module *m, const ir_node *kernel) {
    ir_node *groups[STAGE_MAX];
    int n = 0;
    for (ir_node *g = kernel->blocks[0]->first; g && n < STAGE_MAX; g = g->next) groups[n++] = g;
    if (stages_of(m, n, groups, kernel->out[0], &x->s)) return true;
    ir_error(m->c, kernel->span, "these groups cannot be stages of one kernel");
    return false;
}

bool sched_staged(ir_module *m, ir_node *kernel, lower_kernel *info, rt_map *shared) {
    staging *x = RT_NEW(&m->c->arena, staging);
    lower_launch *main = RT_NEW(&m->c->arena, lower_launch);
    if (!read_stages(x, m, kernel)) return false;
    for (int i = 0; i < x->s.n; i++) {
        const fused *f = &x->s.at[i].f;
        emit *e = &x->at[i];
        *e = (emit){.c = m->c, .f = f, .t = x->s.at[i].t, .launch = main, .m = m, .kernel = kernel, .info = info};
        e->shared = shared;
        e->unused = RT_ARRAY(&m->c->arena, bool, f->operands.n + 1);
        e->in = RT_ARRAY(&m->c->arena, k_buffer *, f->operands.n + 1);
        e->scalars = RT_ARRAY(&m->c->arena, k_value *, f->operands.n + 1);
        sched_rewrite(e);
    }
    sched_open(&x->at[0], ir_fmt(m->c, "%s_k%d_%s", kernel->block->func->name, kernel->id, info->label));
    x->b = x->at[0].b;
    for (int i = 0; i < x->s.n; i++) {
        x->at[i].memo = k_memo_new(x->b.k);
        x->at[i].checked = RT_ARRAY(&m->c->arena, unsigned char, x->at[i].checks.n + 1);
    }
    bind_arguments(x);
    make_copies(x);
    bind_scratch(x);
    if (x->s.keys) bind_sums(x);
    emit *e = enter(x, 0);
    open_block(x, e);
    leave(x, 0);
    if (!x->s.keys) bind_bases(x);
    D cost = x->s.keys ? emit_keys(x) : emit_stages(x);
    x->at[0].launch->cost = ir_dim_mul(m->c, cost, ir_dim_const(m->c, block_rows(&x->s)));
    k_end(&x->b, 0, NULL);
    RT_PUSH(&m->c->arena, &info->launches, *main);
    return true;
}
