/* tile_copy.c: what runs before a contraction on tiles: the zero-padded or wider copy of a factor, and the packing of B in panels
 * [batch][N / TILE_N][K][TILE_N] where it is no param. */
#include "lower/emit.h"

enum {
    LONG_RUN = 512, /* elements of the copy: runs are items of the grid, and need not be longer */
    PACK_ROWS = 16  /* of B in an item of the grid: so many streams are read at once */
};

typedef const ir_dim *D;

/* ---- the padded copy */

D sched_copy_elements(emit *e, const tile_copy *c) {
    D n = sched_num(e, 1);
    for (int d = 0; d < c->of.n; d++) n = ir_dim_mul(e->c, n, c->size[d]);
    return n;
}

/* What one vector loop of the copy covers: dims in which the operand lies in one run, or its contiguous dim. */
typedef struct run {
    uint32_t dims;         /* by bit */
    D width, valid;        /* elements of the copy and of the part */
    D step, copy_step;     /* of the operand and the copy, per element */
    int64_t shift;
} run;

static bool same(D a, int64_t shift, D b) { return shift == 0 && a == b; }

/* The last dims in the copy's order, as far as the operand has them in one run as well, counted as one. */
static run last_run(emit *e, const tile_copy *c) {
    const sched_view *t = &c->of;
    const D *stride = t->stride;
    int n = t->n - 1, d = c->order[n];
    run r = {1u << d, c->size[d], t->size[d], stride[d], sched_num(e, 1), c->shift[d]};
    while (n > 0 && same(r.width, r.shift, r.valid)) {
        int s = c->order[--n];
        int64_t inner;
        if (stride[s] != ir_dim_mul(e->c, r.step, r.valid) || !ir_dim_is_const(r.width, &inner) || inner >= LONG_RUN) break;
        r.dims |= 1u << s;
        r.width = ir_dim_mul(e->c, r.width, c->size[s]);
        r.valid = ir_dim_mul(e->c, r.valid, t->size[s]);
        r.shift = c->shift[s] * inner;
    }
    return r;
}

static run choose_run(emit *e, const tile_copy *c, const D *copy_stride) {
    const sched_view *t = &c->of;
    run r = last_run(e, c);
    for (int d = 0; d < t->n && !ir_dim_is(r.step, 1); d++)
        if (ir_dim_is(t->stride[d], 1) && !ir_dim_is(t->size[d], 1))
            r = (run){1u << d, c->size[d], t->size[d], t->stride[d], copy_stride[d], c->shift[d]};
    return r;
}

static k_value *inside(k_builder *b, k_value *p, k_value *n) { return k_2(b, K_AND, k_2(b, K_GE, p, k_i64(b, 0)), k_2(b, K_LT, p, n)); }

k_value *sched_split(emit *x, k_value **g, D size) {
    k_value *n = sched_dim(x, size), *i = k_2(&x->b, K_REM, *g, n);
    *g = k_2(&x->b, K_DIV, *g, n);
    return i;
}

static k_value *move(emit *x, k_value *at, k_value *i, D step) { return step ? k_add(&x->b, at, k_mul(&x->b, i, sched_dim(x, step))) : at; }

static void plain_run(emit *x, const run *r, k_buffer *in, k_buffer *out, k_value *from, k_value *to, k_value *ok) {
    k_builder *b = &x->b;
    k_value *j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), sched_dim(x, r->width), 1)), *p = k_add(b, j, k_i64(b, r->shift));
    if (!same(r->width, r->shift, r->valid)) {
        k_value *here = inside(b, p, sched_dim(x, r->valid));
        ok = ok ? k_2(b, K_AND, ok, here) : here;
    }
    k_value *at = move(x, from, p, r->step);
    k_store(b, out, move(x, to, j, r->copy_step), k_cast(b, ok ? k_load_if(b, in, at, ok, NULL) : k_load(b, in, at), out->dtype));
    k_end(b, 0, NULL);
}

/* Zeros for elements [lo, hi) of the run in n indexes of the copy's fastest dim. */
static void fill(emit *x, k_buffer *out, k_value *to, k_value *lo, k_value *hi, D step, k_value *n) {
    k_builder *b = &x->b;
    k_value *j = k_var(k_for(b, KL_SERIAL, 0, lo, hi, 1)), *at = move(x, to, j, step);
    k_value *i = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), n, 1));
    k_store(b, out, k_add(b, at, i), k_float(b, out->dtype, 0));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* Elements [lo, hi) of the run in the few indexes that fill no square. */
static void turned_rest(emit *x, const run *r, k_buffer *in, k_buffer *out, k_value *at, k_value *to, k_value *n, k_value *left, D row) {
    k_builder *b = &x->b;
    k_value *j = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), n, 1)), *i = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), left, 1));
    k_store(b, out, k_add(b, move(x, to, j, r->copy_step), i), k_load(b, in, k_add(b, at, k_add(b, j, k_mul(b, i, sched_dim(x, row))))));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* A run of TILE_N indexes of the copy's fastest dim at once, in squares; left: indexes to the end, NULL: that many at least;
 * ok: NULL: it is not in the padding as a whole. */
static void turned_run(emit *x, const run *r, k_buffer *in, k_buffer *out, k_value *from, k_value *to, D row, k_value *ok, k_value *left) {
    k_builder *b = &x->b;
    k_value *zero = k_i64(b, 0), *width = sched_dim(x, r->width), *first = k_i64(b, r->shift < 0 ? -r->shift : 0), *square = k_i64(b, TILE_N);
    k_value *end = k_2(b, K_MIN, width, k_sub(b, sched_dim(x, r->valid), k_i64(b, r->shift)));
    k_value *lo = k_2(b, K_MIN, first, width), *hi = k_2(b, K_MAX, lo, end), *n = left ? k_2(b, K_MIN, left, square) : square;
    if (ok) k_if(b, ok);
    fill(x, out, to, zero, lo, r->copy_step, n);
    k_value *at = k_add(b, from, k_add(b, lo, k_i64(b, r->shift))), *copy = move(x, to, lo, r->copy_step), *many = k_sub(b, hi, lo);
    if (left) k_if(b, k_2(b, K_GE, left, square));
    k_transpose(b, out, copy, sched_dim(x, r->copy_step), in, at, sched_dim(x, row), TILE_N, many, square);
    if (left) {
        k_else(b, 0, NULL);
        turned_rest(x, r, in, out, at, copy, many, left, row);
        k_end(b, 0, NULL);
    }
    fill(x, out, to, hi, width, r->copy_step, n);
    if (!ok) return;
    k_else(b, 0, NULL);
    fill(x, out, to, zero, width, r->copy_step, n);
    k_end(b, 0, NULL);
}

/* The dim of which TILE_N indexes are turned at once: the copy's fastest one, where the operand's is another; -1: none. */
static int turned_dim(const tile_copy *c, rt_dtype dtype, const run *r) {
    int d = c->order[c->of.n - 1];
    int64_t n;
    bool whole = same(c->size[d], c->shift[d], c->of.size[d]) && ir_dim_is_const(c->size[d], &n) && n >= TILE_N;
    return whole && ir_dim_is(r->step, 1) && !(r->dims >> d & 1) && dtype == DT_F32 && c->dtype == DT_F32 ? d : -1;
}

/* Items of the grid for dim d. */
static D items(emit *e, const tile_copy *c, int d, int turned) {
    return d == turned ? ir_dim_ceildiv(e->c, c->size[d], TILE_N) : c->size[d];
}

/* Grid over all runs of the copy; a run is a vector loop; outside of the part it is 0. */
void sched_copy_kernel(emit *e, int operand, const tile_copy *c) {
    emit x = sched_before(e, "pad");
    k_builder *b = &x.b;
    ir_value *v = e->f->operands.at[operand];
    const sched_view *of = &c->of;
    D copy_stride[RT_MAX_RANK], rows = sched_num(e, 1);
    ir_layout order;
    memcpy(order.order, c->order, sizeof order.order);
    nest_strides(e->c, of->n, c->size, &order, copy_stride);
    run r = choose_run(e, c, copy_stride);
    k_buffer *in = sched_buffer(&x, LB_IN, sched_input(e->kernel, v), v->type->dtype, NULL, "in");
    k_buffer *out = sched_buffer(&x, LB_SCRATCH, e->scratch, c->dtype, sched_copy_elements(e, c), "padded");
    int turned = turned_dim(c, v->type->dtype, &r);
    for (int d = 0; d < of->n; d++)
        if (!(r.dims >> d & 1)) rows = ir_dim_mul(e->c, rows, items(e, c, d, turned));
    x.launch->grid = rows;
    x.launch->cost = turned < 0 ? r.width : ir_dim_mul(e->c, r.width, sched_num(e, TILE_N / 4));
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(&x, rows), 1)), *from = of->base ? sched_dim(&x, of->base) : k_i64(b, 0), *to = k_i64(b, 0), *ok = NULL, *left = NULL;
    for (int i = of->n - 1; i >= 0; i--) {
        int d = c->order[i];
        if (r.dims >> d & 1) continue;
        k_value *q = sched_split(&x, &g, items(e, c, d, turned));
        if (d == turned) q = k_mul(b, q, k_i64(b, TILE_N));
        if (d == turned && !ir_dim_is(ir_dim_mod(e->c, c->size[d], sched_num(e, TILE_N)), 0)) left = k_sub(b, sched_dim(&x, c->size[d]), q);
        k_value *p = k_add(b, q, k_i64(b, c->shift[d]));
        from = move(&x, from, p, of->stride[d]);
        to = move(&x, to, q, copy_stride[d]);
        if (same(c->size[d], c->shift[d], of->size[d])) continue;
        k_value *here = inside(b, p, sched_dim(&x, of->size[d]));
        ok = ok ? k_2(b, K_AND, ok, here) : here;
    }
    if (turned < 0) plain_run(&x, &r, in, out, from, to, ok);
    else turned_run(&x, &r, in, out, from, to, of->stride[turned], ok, left);
    k_end(b, 0, NULL);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

/* ---- panels */

static D panel_elements(emit *e, const tiles *t) {
    D n = ir_dim_mul(e->c, ir_dim_mul(e->c, sched_tiles_panels(e, t), sched_tiles_k(e, t)), sched_num(e, TILE_N));
    for (int l = 0; l < e->t.nouter; l++)
        if (sched_tiles_batch(e, t, l)) n = ir_dim_mul(e->c, n, sched_size(e, l));
    return n;
}

static int panels_number(const emit *e, const tiles *t) { return e->scratch + (t->copy[0].on || t->copy[1].on); }

static D last_size(emit *e, const tiles *t) { return t->nr ? e->f->k->rdims[t->rvar[t->nr - 1] - e->f->k->ndims] : sched_num(e, 1); }

/* Where k's last variable is contiguous: the columns are rows of the operand. */
static void pack_transposed(emit *x, const tiles *t, k_buffer *in, k_buffer *out, k_value *at, k_value *first, k_value *item) {
    k_builder *b = &x->b;
    D step = nest_coef(&x->t, &t->ba, t->nloop), size = last_size(x, t);
    k_value *to = k_mul(b, item, k_mul(b, sched_dim(x, size), k_i64(b, TILE_N)));
    k_value *valid = k_sub(b, sched_dim(x, sched_size(x, t->nloop)), first);
    k_transpose(b, out, to, k_i64(b, TILE_N), in, move(x, at, first, step), sched_dim(x, step), TILE_N, sched_dim(x, size), valid);
}

/* Rows of TILE_N elements for all of k's last variable, from column `first` on.  Columns may be missing, and what stands
 * in their place is never looked at. */
static void pack_rows(emit *x, const tiles *t, k_buffer *in, k_buffer *out, k_value *at, k_value *first, k_value *item) {
    k_builder *b = &x->b;
    k_value *size = sched_dim(x, last_size(x, t)), *r = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), size, 1));
    k_value *to = k_mul(b, k_add(b, k_mul(b, item, size), r), k_i64(b, TILE_N));
    if (t->nr) at = move(x, at, r, t->ba.coef[t->rvar[t->nr - 1]]);
    k_value *j = k_var(k_for(b, KL_VECTOR, TILE_N, k_i64(b, 0), k_i64(b, TILE_N), 1)), *column = k_add(b, first, j);
    column = k_2(b, K_MIN, column, k_sub(b, sched_dim(x, sched_size(x, t->nloop)), k_i64(b, 1)));
    k_store(b, out, k_add(b, to, j), k_load(b, in, move(x, at, column, nest_coef(&x->t, &t->ba, t->nloop))));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* n elements of each of the rows [lo, hi), which lie `step` apart. */
static void pack_part(emit *x, k_buffer *in, k_buffer *out, k_value *at, k_value *to, k_value *lo, k_value *hi, k_value *step, k_value *n) {
    k_builder *b = &x->b;
    k_value *r = k_var(k_for(b, KL_SERIAL, 0, lo, hi, 1)), *from = k_add(b, at, k_mul(b, r, step));
    k_value *j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), n, 1));
    k_store(b, out, k_add(b, k_add(b, to, k_mul(b, r, k_i64(b, TILE_N))), j), k_load(b, in, k_add(b, from, j)));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* Where the columns are contiguous: a block of rows in all panels, since a panel alone would go through as many pages as it
 * has rows.  The last panel may lack columns. */
static void pack_block(emit *x, const tiles *t, k_buffer *in, k_buffer *out, k_value *at, k_value *block, k_value *item) {
    k_builder *b = &x->b;
    D size = last_size(x, t), kall = sched_tiles_k(x, t), panels = sched_tiles_panels(x, t), width = sched_size(x, t->nloop);
    D coef = t->nr ? t->ba.coef[t->rvar[t->nr - 1]] : NULL;
    k_value *step = coef ? sched_dim(x, coef) : k_i64(b, 0), *nth = sched_split(x, &item, ir_dim_floordiv(x->c, kall, size));
    k_value *lo = k_mul(b, block, k_i64(b, PACK_ROWS)), *hi = k_2(b, K_MIN, sched_dim(x, size), k_add(b, lo, k_i64(b, PACK_ROWS)));
    k_value *p = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), sched_dim(x, panels), 1)), *first = k_mul(b, p, k_i64(b, TILE_N));
    k_value *panel = k_add(b, k_mul(b, item, sched_dim(x, panels)), p);
    k_value *to = k_mul(b, k_add(b, k_mul(b, panel, sched_dim(x, kall)), k_mul(b, nth, sched_dim(x, size))), k_i64(b, TILE_N));
    at = k_add(b, at, first);
    if (ir_dim_is(ir_dim_mod(x->c, width, sched_num(x, TILE_N)), 0)) {
        pack_part(x, in, out, at, to, lo, hi, step, k_i64(b, TILE_N));
    } else {
        k_value *left = k_sub(b, sched_dim(x, width), first);
        k_if(b, k_2(b, K_GE, left, k_i64(b, TILE_N)));
        pack_part(x, in, out, at, to, lo, hi, step, k_i64(b, TILE_N));
        k_else(b, 0, NULL);
        pack_part(x, in, out, at, to, lo, hi, step, left);
        k_end(b, 0, NULL);
    }
    k_end(b, 0, NULL);
}

/* Grid over batch, panel (or block of rows) and all variables of k but the last. */
static void pack_kernel(emit *e, const tiles *t) {
    emit x = sched_before(e, "pack");
    k_builder *b = &x.b;
    const comp *k = e->f->k;
    ir_value *v = e->f->operands.at[t->b];
    D steps = t->nr ? t->ba.coef[t->rvar[t->nr - 1]] : NULL, width = sched_size(e, t->nloop), size = last_size(&x, t);
    bool transposed = steps && ir_dim_is(steps, 1), by_rows = !transposed && ir_dim_is(nest_coef(&e->t, &t->ba, t->nloop), 1);
    D elements = panel_elements(e, t), blocks = by_rows ? ir_dim_ceildiv(e->c, size, PACK_ROWS) : sched_tiles_panels(e, t), items = blocks;
    rt_dtype dtype = sched_tiles_b(e, t);
    k_buffer *in = t->copy[1].on ? sched_buffer(&x, LB_SCRATCH, e->scratch, dtype, sched_copy_elements(e, &t->copy[1]), "padded")
                                 : sched_buffer(&x, LB_IN, sched_input(e->kernel, v), dtype, NULL, "in");
    k_buffer *out = sched_buffer(&x, LB_SCRATCH, panels_number(e, t), dtype, elements, "panels");
    for (int l = 0; l < e->t.nouter; l++)
        if (sched_tiles_batch(e, t, l)) items = ir_dim_mul(e->c, items, sched_size(e, l));
    for (int i = 0; i < t->nr - 1; i++) items = ir_dim_mul(e->c, items, k->rdims[t->rvar[i] - k->ndims]);
    x.launch->grid = items;
    x.launch->cost = by_rows ? ir_dim_mul(e->c, width, sched_num(e, PACK_ROWS)) : ir_dim_mul(e->c, size, sched_num(e, transposed ? TILE_N / 4 : TILE_N * 2));
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(&x, items), 1)), *block = by_rows ? sched_split(&x, &g, blocks) : NULL, *item = g;
    k_value *at = t->ba.rest ? sched_value(&x, k_memo_new(b->k), t->ba.rest) : k_i64(b, 0);
    for (int i = t->nr - 2; i >= 0; i--) at = move(&x, at, sched_split(&x, &g, k->rdims[t->rvar[i] - k->ndims]), t->ba.coef[t->rvar[i]]);
    k_value *first = by_rows ? NULL : k_mul(b, sched_split(&x, &g, blocks), k_i64(b, TILE_N));
    for (int l = e->t.nouter - 1; l >= 0; l--)
        if (sched_tiles_batch(e, t, l)) at = move(&x, at, sched_split(&x, &g, sched_size(e, l)), nest_coef(&e->t, &t->ba, l));
    if (by_rows) pack_block(&x, t, in, out, at, block, item);
    else (transposed ? pack_transposed : pack_rows)(&x, t, in, out, at, first, item);
    k_end(b, 0, NULL);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

void sched_tiles_copies(emit *e, const tiles *t, k_buffer **A, k_buffer **B) {
    rt_dtype b = sched_tiles_b(e, t);
    *A = e->in[t->a];
    *B = e->in[t->b];
    if (t->copy[0].on) {
        sched_copy_kernel(e, t->a, &t->copy[0]);
        *A = sched_buffer(e, LB_SCRATCH, e->scratch, t->copy[0].dtype, sched_copy_elements(e, &t->copy[0]), "padded");
    }
    if (t->copy[1].on) sched_copy_kernel(e, t->b, &t->copy[1]);
    if (t->packed) *B = sched_buffer(e, LB_IN, t->bin, b, NULL, "panels");
    if (t->run_time) pack_kernel(e, t);
    if (t->run_time) *B = sched_buffer(e, LB_SCRATCH, panels_number(e, t), b, panel_elements(e, t), "panels");
    else if (t->copy[1].on) *B = sched_buffer(e, LB_SCRATCH, e->scratch, b, sched_copy_elements(e, &t->copy[1]), "padded");
    e->scratch += (t->copy[0].on || t->copy[1].on) + t->run_time;
}
