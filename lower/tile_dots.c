/* tile_dots.c: contractions with few columns, of which a panel would be empty for the most part: the last convolutions of networks
 * that make images, masks and scores.
 *
 * Lanes count k where A lies in a run; the sums of a tile, all columns of as many rows as the registers hold, are one vector each,
 * and merged at its end.  B is packed [columns][k].  A grid item is a group of rows, whose sums stay in scratch for the epilogue,
 * in which lanes count the rows. */
#include "lower/emit.h"

enum { MOST_SUMS = 12 /* registers */, MOST_ROWS = 8, MIN_RUN = 16, MIN_K = 64, GROUP = 96 /* rows, of whole tiles */ };

typedef const ir_dim *D;

bool sched_dots_suit(const emit *e, const tiles *t) {
    const comp *k = e->f->k;
    int64_t columns, n = 0, all = 1;
    const ir_value *A = e->f->operands.at[t->a], *B = e->f->operands.at[t->b];
    if (t->mloop < 0 || !t->nr || t->copy[1].on || e->f->nrows || A->type->dtype != DT_F32 || B->type->dtype != DT_F32) return false;
    if (!ir_dim_is_const(sched_size(e, t->nloop), &columns) || columns > DOTS_N) return false;
    if (ir_dim_lt(e->c, sched_size(e, t->mloop), sched_num(e, MOST_ROWS)) == IR_YES) return false;
    for (int l = 0; l < e->t.nouter; l++)
        if (l != t->nloop && l != t->mloop && nest_coef(&e->t, &t->ba, l)) return false;
    D step = sched_num(e, 1);
    bool run = true;
    for (int i = t->nr - 1; i >= 0; i--) { /* what is one run at the end of k */
        D size = k->rdims[t->rvar[i] - k->ndims];
        if (!ir_dim_is_const(size, &n)) return false;
        run = run && t->aa.coef[t->rvar[i]] == step;
        all *= n;
        if (run) step = ir_dim_mul(e->c, step, size);
    }
    return ir_dim_is_const(step, &n) && n >= MIN_RUN && all >= MIN_K;
}

typedef struct dots {
    const tiles *t;
    k_buffer *A, *B, *acc;
    int rows, columns;
    int64_t k;
    k_value *at[MOST_ROWS], *sum[MOST_SUMS];
} dots;

/* sum += over the segments seg[i..] but the last, whose index is j; a, b: what the ones before add to the addresses. */
static void add_segments(emit *e, dots *d, int i, int64_t inner, k_value *a, k_value *w) {
    k_builder *b = &e->b;
    const tiles *t = d->t;
    int64_t size;
    if (i == t->nseg - 1) {
        k_value *weight[DOTS_N];
        for (int o = 0; o < d->columns; o++) weight[o] = k_load(b, d->B, k_add(b, w, k_i64(b, o * d->k)));
        for (int r = 0; r < d->rows; r++) {
            k_value *x = k_load(b, d->A, k_add(b, d->at[r], a));
            for (int o = 0; o < d->columns; o++) {
                k_value **sum = &d->sum[r * d->columns + o];
                *sum = k_3(b, K_FMA, x, weight[o], *sum);
            }
        }
        return;
    }
    int n = d->rows * d->columns;
    ir_dim_is_const(t->seg[i].size, &size);
    inner /= size;
    k_inst *f = k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, size), 1);
    for (int s = 0; s < n; s++) d->sum[s] = k_carry(b, f, d->sum[s]);
    k_value *step = t->seg[i].a ? sched_dim(e, t->seg[i].a) : k_i64(b, 0);
    add_segments(e, d, i + 1, inner, k_add(b, a, k_mul(b, k_var(f), step)), k_add(b, w, k_mul(b, k_var(f), k_i64(b, inner))));
    k_end(b, n, d->sum);
    memcpy(d->sum, f->out, (size_t)n * sizeof *d->sum);
}

/* A's address in row m. */
static k_value *row_address(emit *e, const tiles *t, k_value *m) {
    k_builder *b = &e->b;
    const comp *k = e->f->k;
    k_value *at = k_i64(b, 0);
    if (t->linear) return t->aa.coef[e->t.loops.at[t->mloop].last] ? k_mul(b, m, sched_dim(e, nest_coef(&e->t, &t->aa, t->mloop))) : at;
    for (int o = k->ndims - 1; o >= 0; o--) {
        int v = e->t.order[o];
        if (!(e->t.loops.at[t->mloop].vars >> v & 1)) continue;
        k_value *i = sched_split(e, &m, k->dims[v]);
        if (t->aa.coef[v]) at = k_add(b, at, k_mul(b, i, sched_dim(e, t->aa.coef[v])));
    }
    return at;
}

/* acc[column][row - lo] for the tile's rows from `row` on; base: A's address for the loops around. */
static void tile(emit *e, dots *d, k_value *base, k_value *row, k_value *lo) {
    k_builder *b = &e->b;
    const tiles *t = d->t;
    k_value *last = k_sub(b, sched_dim(e, sched_size(e, t->mloop)), k_i64(b, 1));
    int n = d->rows * d->columns;
    for (int r = 0; r < d->rows; r++)
        d->at[r] = k_add(b, base, row_address(e, t, k_2(b, K_MIN, k_add(b, row, k_i64(b, r)), last)));
    k_value *zero = k_float(b, DT_F32, 0);
    k_inst *f = k_for(b, KL_VECTOR, 0, k_i64(b, 0), sched_dim(e, t->seg[t->nseg - 1].size), 1);
    for (int s = 0; s < n; s++) d->sum[s] = k_carry(b, f, zero);
    add_segments(e, d, 0, d->k, k_var(f), k_var(f));
    k_end(b, n, d->sum);
    for (int s = 0; s < n; s++) {
        k_value *at = k_add(b, k_sub(b, row, lo), k_i64(b, s % d->columns * GROUP + s / d->columns));
        k_store(b, d->acc, at, k_reduce(b, K_ADD, f->out[s]));
    }
}

static void epilogue(emit *e, const dots *d, k_value *lo, k_value *hi) {
    k_builder *b = &e->b;
    k_value *o = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, d->columns), 1));
    k_value *i = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_sub(b, hi, lo), 1));
    e->var[d->t->nloop] = o;
    e->var[d->t->mloop] = k_add(b, lo, i);
    e->param[0] = k_load(b, d->acc, k_add(b, k_mul(b, o, k_i64(b, GROUP)), i));
    sched_store_outs(e, k_memo_new(b->k));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

static bool is_outer(const emit *e, const tiles *t, int l) { return l < e->t.nouter && l != t->nloop && l != t->mloop; }

void sched_dots(emit *e, const tiles *t) {
    k_builder *b = &e->b;
    dots d = {.t = t};
    int64_t columns = 1;
    sched_tiles_copies(e, t, &d.A, &d.B);
    ir_dim_is_const(sched_size(e, t->nloop), &columns);
    ir_dim_is_const(sched_tiles_k(e, t), &d.k);
    d.columns = (int)columns;
    d.rows = MOST_SUMS / d.columns > MOST_ROWS ? MOST_ROWS : MOST_SUMS / d.columns;
    D rows = sched_size(e, t->mloop), groups = ir_dim_ceildiv(e->c, rows, GROUP);
    e->launch->grid = groups;
    e->launch->cost = sched_num(e, 2 * GROUP * columns * d.k);
    for (int l = 0; l < e->t.nouter; l++)
        if (is_outer(e, t, l)) e->launch->grid = ir_dim_mul(e->c, e->launch->grid, sched_size(e, l));
    d.acc = k_scratch(b->k, KS_LOCAL, DT_F32, (GROUP + MOST_ROWS) * columns, "acc");
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, e->launch->grid), 1));
    k_value *lo = k_mul(b, sched_split(e, &g, groups), k_i64(b, GROUP)), *hi = k_2(b, K_MIN, k_add(b, lo, k_i64(b, GROUP)), sched_dim(e, rows));
    k_value *base = t->aa.rest ? sched_value(e, k_memo_new(b->k), t->aa.rest) : k_i64(b, 0);
    for (int l = e->t.nouter - 1; l >= 0; l--) {
        if (!is_outer(e, t, l)) continue;
        e->var[l] = sched_split(e, &g, sched_size(e, l));
        if (nest_coef(&e->t, &t->aa, l)) base = k_add(b, base, k_mul(b, e->var[l], sched_dim(e, nest_coef(&e->t, &t->aa, l))));
    }
    tile(e, &d, base, k_var(k_for(b, KL_SERIAL, 0, lo, hi, d.rows)), lo);
    k_end(b, 0, NULL);
    epilogue(e, &d, lo, hi);
    k_end(b, 0, NULL);
}
