/* tile_dots.c: contractions with few columns, of which a panel would be empty for the most part: the last convolutions of networks
 * that make images, masks and scores.
 *
 * Lanes count k where A lies in a run; the sums of a tile, all columns of as many rows as the registers hold, are one vector each,
 * and merged at its end.  B is packed [columns][k].  A grid item is a group of rows, whose sums stay in scratch for the epilogue,
 * in which lanes count the rows. */
#include "lower/emit.h"

enum { MOST_SUMS = 12 /* registers */, MOST_ROWS = 8, MIN_RUN = 16, MIN_K = 64, MOST_LOOPS = 9, GROUP = 96 /* rows, of whole tiles */, WEIGHT_BYTES = 16 << 10 };

typedef const ir_dim *D;

bool sched_dots_suit(const emit *e, const tiles *t) {
    const comp *k = e->f->k;
    int64_t columns, n = 0, all = 1;
    const ir_value *A = e->f->operands.at[t->a], *B = e->f->operands.at[t->b];
    if (!t->nr || t->copy[1].on || e->f->nrows || A->type->dtype != DT_F32 || B->type->dtype != DT_F32 || !ir_is_param(B)) return false;
    if (t->column >= 0 && (!ir_dim_is_const(k->dims[t->column], &columns) || columns > DOTS_N)) return false;
    D step = sched_num(e, 1), rows = step;
    for (int v = 0; v < k->ndims; v++) {
        if (v == t->column) continue;
        if (t->ba.coef[v] && !ir_dim_is(k->dims[v], 1)) return false;
        rows = ir_dim_mul(e->c, rows, k->dims[v]);
    }
    if (ir_dim_lt(e->c, rows, sched_num(e, MOST_ROWS)) == IR_YES) return false;
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

static void add_step(emit *e, dots *d, k_value *a, k_value *w) {
    k_builder *b = &e->b;
    k_value *weight[DOTS_N];
    for (int o = 0; o < d->columns; o++) weight[o] = k_load(b, d->B, k_add(b, w, k_i64(b, o * d->k)));
    for (int r = 0; r < d->rows; r++) {
        k_value *x = k_load(b, d->A, k_add(b, d->at[r], a));
        for (int o = 0; o < d->columns; o++) {
            k_value **sum = &d->sum[r * d->columns + o];
            *sum = k_3(b, K_FMA, x, weight[o], *sum);
        }
    }
}

static k_inst *open_sums(emit *e, dots *d, k_loop kind, D size) {
    k_inst *f = k_for(&e->b, kind, 0, k_i64(&e->b, 0), sched_dim(e, size), 1);
    for (int s = 0; s < d->rows * d->columns; s++) d->sum[s] = k_carry(&e->b, f, d->sum[s]);
    return f;
}

static void close_sums(emit *e, dots *d, const k_inst *f) {
    k_end(&e->b, d->rows * d->columns, d->sum);
    memcpy(d->sum, f->out, (size_t)(d->rows * d->columns) * sizeof *d->sum);
}

/* sum += over the segments seg[i..], whose first elements are a and w.  In one loop of lanes (lanes: its index) the segments but
 * the last are loops inside; else each of their steps has a loop of its own, with addresses that move by nothing else. */
static void add_segments(emit *e, dots *d, int i, k_value *lanes, k_value *a, k_value *w, int64_t k) {
    k_builder *b = &e->b;
    const tile_segment *s = &d->t->seg[i];
    bool last = i == d->t->nseg - 1;
    int64_t size = 1;
    ir_dim_is_const(s->size, &size);
    k_value *step = s->a ? sched_dim(e, s->a) : k_i64(b, 0);
    if (last && lanes) {
        add_step(e, d, k_add(b, a, lanes), k_add(b, w, lanes));
    } else if (last || lanes) {
        k_inst *f = open_sums(e, d, last ? KL_VECTOR : KL_SERIAL, s->size);
        if (last) add_step(e, d, k_add(b, a, k_var(f)), k_add(b, w, k_var(f)));
        else add_segments(e, d, i + 1, lanes, k_add(b, a, k_mul(b, k_var(f), step)), k_add(b, w, k_mul(b, k_var(f), k_i64(b, k / size))), k / size);
        close_sums(e, d, f);
    } else {
        for (int64_t n = 0; n < size; n++)
            add_segments(e, d, i + 1, NULL, k_add(b, a, k_mul(b, k_i64(b, n), step)), k_add(b, w, k_i64(b, n * (k / size))), k / size);
    }
}

/* A's address in row m; *fast: m's part that runs fastest, and its loop variable; -1: the address is linear in m. */
static k_value *row_address(emit *e, const tiles *t, k_value *m, k_value **part, int *fast) {
    k_builder *b = &e->b;
    const comp *k = e->f->k;
    k_value *at = k_i64(b, 0);
    const ir_dim *step = nest_coef(&e->t, &t->aa, t->mloop);
    *fast = -1;
    if (t->linear) return step ? k_mul(b, m, sched_dim(e, step)) : at;
    for (int o = k->ndims - 1; o >= 0; o--) {
        int v = e->t.order[o];
        if (!(e->t.loops.at[t->mloop].vars >> v & 1)) continue;
        k_value *i = sched_split(e, &m, k->dims[v]);
        if (*fast < 0) *fast = v, *part = i;
        if (t->aa.coef[v]) at = k_add(b, at, k_mul(b, i, sched_dim(e, t->aa.coef[v])));
    }
    return at;
}

/* A's addresses in the tile's rows from `row` on, all but the last of which may be behind the last one. */
static void row_addresses(emit *e, dots *d, k_value *row) {
    k_builder *b = &e->b;
    const tiles *t = d->t;
    k_value *last = k_sub(b, sched_dim(e, sched_size(e, t->mloop)), k_i64(b, 1)), *part = NULL, *run[MOST_ROWS];
    int fast, n = d->rows;
    k_value *first = row_address(e, t, row, &part, &fast);
    D step = fast >= 0 ? t->aa.coef[fast] : NULL;
    k_inst *in_run = fast >= 0 ? k_if(b, k_2(b, K_LE, k_add(b, part, k_i64(b, n)), sched_dim(e, e->f->k->dims[fast]))) : NULL;
    for (int r = 0; r < n; r++) run[r] = step ? k_add(b, first, k_mul(b, k_i64(b, r), sched_dim(e, step))) : first;
    if (in_run) k_else(b, n, run);
    for (int r = 0; r < n; r++) d->at[r] = row_address(e, t, k_2(b, K_MIN, k_add(b, row, k_i64(b, r)), last), &part, &fast);
    if (!in_run) return;
    k_end(b, n, d->at);
    memcpy(d->at, in_run->out, (size_t)n * sizeof *d->at);
}

/* acc[column][row - lo] for the tile's rows from `row` on; base: A's address for the loops around.  step: of the first segment,
 * for which they are added; NULL: all of k. */
static void tile(emit *e, dots *d, k_value *base, k_value *row, k_value *lo, k_value *step) {
    k_builder *b = &e->b;
    const tiles *t = d->t;
    int n = d->rows * d->columns;
    k_value *zero = k_i64(b, 0), *w = zero;
    D run = t->seg[t->nseg - 1].size;
    int64_t k = d->k, size;
    row_addresses(e, d, row);
    if (step && ir_dim_is_const(t->seg[0].size, &size)) {
        k /= size;
        w = k_mul(b, step, k_i64(b, k));
        if (t->seg[0].a) base = k_add(b, base, k_mul(b, step, sched_dim(e, t->seg[0].a)));
    }
    for (int s = 0; s < n; s++) d->sum[s] = k_float(b, DT_F32, 0);
    if (ir_dim_is_const(run, &size) && k / size <= MOST_LOOPS) {
        add_segments(e, d, step != NULL, NULL, base, w, k);
    } else {
        k_inst *f = open_sums(e, d, KL_VECTOR, run);
        add_segments(e, d, step != NULL, k_var(f), base, w, k);
        close_sums(e, d, f);
    }
    for (int s = 0; s < n; s++) {
        k_value *at = k_add(b, k_sub(b, row, lo), k_i64(b, s % d->columns * (GROUP + MOST_ROWS) + s / d->columns)), *sum = k_reduce(b, K_ADD, d->sum[s]);
        k_store(b, d->acc, at, step ? k_add(b, k_load(b, d->acc, at), sum) : sum);
    }
}

/* The sums of the group; weights that do not stay in the first cache from tile to tile are taken a step of the first segment at a time. */
static void sums(emit *e, dots *d, k_value *base, k_value *lo, k_value *hi) {
    k_builder *b = &e->b;
    const tiles *t = d->t;
    bool blocked = t->nseg > 1 && d->k * d->columns * 4 > WEIGHT_BYTES;
    k_value *step = NULL;
    if (blocked) {
        k_value *i = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, d->acc->size), 1));
        k_store(b, d->acc, i, k_float(b, DT_F32, 0));
        k_end(b, 0, NULL);
        step = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), sched_dim(e, t->seg[0].size), 1));
    }
    tile(e, d, base, k_var(k_for(b, KL_SERIAL, 0, lo, hi, d->rows)), lo, step);
    k_end(b, 0, NULL);
    if (blocked) k_end(b, 0, NULL);
}

static void epilogue(emit *e, const dots *d, k_value *lo, k_value *hi) {
    k_builder *b = &e->b;
    k_value *o = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, d->columns), 1));
    k_value *i = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_sub(b, hi, lo), 1));
    if (d->t->nloop >= 0) e->var[d->t->nloop] = o;
    e->var[d->t->mloop] = k_add(b, lo, i);
    e->param[0] = k_load(b, d->acc, k_add(b, k_mul(b, o, k_i64(b, GROUP + MOST_ROWS)), i));
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
    if (t->nloop >= 0) ir_dim_is_const(sched_size(e, t->nloop), &columns);
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
    sums(e, &d, base, lo, hi);
    epilogue(e, &d, lo, hi);
    k_end(b, 0, NULL);
}
