/* tile_emit.c: the loops of a contraction on register tiles.
 *
 * Rows in tiles of at most the target's height, balanced so that there are two heights at most when their number is
 * known; else tiles of that height whose last one repeats the last row, and single rows.  A grid item is a group of tiles times
 * some panels: panels outside, so that one stays in the cache for the whole group, while the group's rows of A stay in the
 * second one; a long k is cut in blocks.  While the group runs through one block of a panel it asks for the next: weights come
 * from far.  A last panel of few columns is computed at half width.  Where A's rows are no arithmetic sequence, a table of the
 * group's rows is made first, and one of the taps that are not all in the padding.  The epilogue (bias, activation,
 * residual ...) is scalar code on the finished tile; where the result lies along the rows, on those of a group, turned. */
#include "lower/emit.h"

enum {
    GROUP = 16,              /* tiles of a group where sizes are not known, and the fewest where a group's A is large */
    MAX_GROUP = 64,
    GROUP_BYTES = 512 << 10, /* of a group's A: half of a second cache */
    APART = 8,               /* tiles of a group at least, where cores are given rows of their own */
    ITEM_FLOPS = 1 << 19,
    READ_COST = 12,          /* of a step of k in a panel, in flops per column */
    TOUCH_BYTES = 258 << 10, /* from a place in a param to the page to touch: not where reading itself begins */
    BLOCK_K = 1024,
    WIDE_K = 256,            /* steps of k in a block of B that is made f32: it stays in the first cache */
    MAX_LATE = 2,            /* operands of the epilogue that are asked for early */
    NARROW = TILE_N / 2,
    LINE = 64,               /* bytes of a cache line */
    DIRECT_STEPS = 4,        /* of k in one iteration where B's elements are computed in the loop */
    DIRECT_SUMS = 4 * K_MAX_TILE
};

typedef const ir_dim *D;

static k_value *dim_or_zero(emit *e, D d) { return d ? sched_dim(e, d) : k_i64(&e->b, 0); }

static int64_t hint(D d, int64_t otherwise) {
    int64_t x;
    return ir_dim_is_const(d, &x) ? x : otherwise;
}

typedef struct plan {
    const tiles *t;
    k_buffer *A, *B, *acc, *rows; /* rows: A's address of each row of the group, NULL: linear */
    k_buffer *turned;             /* across: rows of a panel as columns */
    k_buffer *bounds;             /* of each tile's taps, first and end of those that are not all in the padding; NULL: none */
    k_value *a0, *b0;             /* addresses for the batch */
    k_value *M, *N, *tlo, *first; /* tlo: first tile of the group; across: its first row */
    D kall;
    bool known;                   /* the number of rows is */
    int inside;                   /* segments that the micro-kernel runs through: 1 or 2 */
    int64_t group;                /* tiles of rows that share a panel while it is in the cache */
    int nlate;
    const nest_access *late[MAX_LATE]; /* see find_late */
    int fetch;                    /* elements of the next panel to ask for per k, 0: none */
    int touch;                    /* elements from a place in B to the page that is touched from there, 0: none */
    bool stage;                   /* what the epilogue reads is asked for a panel ahead */
    bool narrow;                  /* the last panel has at most NARROW columns */
    bool blocked;                 /* the first segment runs outside of the tiles */
    bool together;                /* each tile of the group has its own acc */
    k_buffer *wide;               /* a block of f32 values of B: takes its place; NULL: there is none */
    k_value *steps;               /* of k in that block */
    bool direct;                  /* a single tile of rows takes B's elements as they are, or computes them where it uses them */
    const tile_sums *sums;        /* k comes in parts: see sched_tiles_add */
} plan;

static bool outer_only(const emit *e, const tiles *t, int l) { return l < e->t.nouter && l != t->nloop && l != t->mloop; }

static k_value *outer_address(emit *e, const tiles *t, const nest_access *a, int operand) {
    k_builder *b = &e->b;
    k_value *at = a->rest ? sched_value(e, k_memo_new(b->k), a->rest) : k_i64(b, 0);
    for (int l = 0; l < e->t.nouter; l++)
        if (nest_coef(&e->t, a, l) && outer_only(e, t, l)) at = k_add(b, k_mul(b, e->var[l], sched_dim(e, nest_coef(&e->t, a, l))), at);
    return e->base && e->base[operand] ? k_add(b, at, e->base[operand]) : at;
}

/* ---- the micro-kernel */

/* more: starts from acc, else from 0; ak, bk: steps of the factors per k, 0 where they are not known. */
typedef struct shape { int rows, width; rt_dtype a, b; int64_t ak, bk; bool table, segments, more, cols; int fetch, touch; } shape;

/* Rows of `to` are to_step elements apart, those of `from` (NULL: 0) from_step. */
static void whole_tile(k_builder *b, shape s, k_buffer *to, int to_step, k_buffer *from, int from_step) {
    k_inst *i = k_for(b, KL_UNROLL, 0, k_i64(b, 0), k_i64(b, s.rows), 1);
    k_inst *j = k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, s.width), 1);
    k_value *at = k_add(b, k_mul(b, k_var(i), k_i64(b, to_step)), k_var(j));
    k_value *in = k_add(b, k_mul(b, k_var(i), k_i64(b, from_step)), k_var(j));
    k_store(b, to, at, from ? k_load(b, from, in) : k_float(b, to->dtype, 0));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* Partial sums of each element: few elements would wait on fma. */
static int chains(shape s) {
    int n = s.rows * s.width / TILE_N;
    return n <= 1 ? 4 : n <= 3 ? 2 : 1;
}

/* acc[rows x width], its rows TILE_N apart, (+)= A * B over K, and over S segments, as a kernel of its own that all groups
 * of the module share.  acc goes through memory (384 bytes in the first cache): little against K, and the code stays small. */
static k_kernel *micro_kernel(emit *e, shape s) {
    const char *name = ir_fmt(e->c, "tile_%dx%d_%s%lld_%s%lld%s%s%s%s%s%s", s.rows, s.width, rt_dtypes[s.a].name, (long long)s.ak,
                              rt_dtypes[s.b].name, (long long)s.bk, s.table ? "_rows" : "",
                              s.segments ? "_segments" : "", s.more ? "_more" : "", s.cols ? "_cols" : "", s.touch ? "_touch" : "",
                              s.fetch ? ir_fmt(e->c, "_fetch%d", s.fetch) : "");
    k_kernel *k = rt_map_get(e->shared, name);
    if (k) return k;
    k = k_kernel_new(e->c, name);
    k_buffer *acc = k_arg(k, DT_F32, "acc"), *A = k_arg(k, s.a, "A"), *B = k_arg(k, s.b, "B"), *R = s.table ? k_arg(k, DT_I64, "rows") : NULL;
    k_value *K = k_scalar(k, DT_I64, "K"), *ak = s.ak ? NULL : k_scalar(k, DT_I64, "ak"), *bk = s.bk ? NULL : k_scalar(k, DT_I64, "bk");
    k_value *row = s.table ? NULL : k_scalar(k, DT_I64, "row"), *width = s.cols ? k_scalar(k, DT_I64, "cols") : NULL;
    k_value *ahead = s.fetch ? k_scalar(k, DT_I64, "ahead") : NULL;
    k_value *S = s.segments ? k_scalar(k, DT_I64, "S") : NULL, *as = S ? k_scalar(k, DT_I64, "as") : NULL, *bs = S ? k_scalar(k, DT_I64, "bs") : NULL;
    k_buffer *tile = k_scratch(k, KS_REGISTER, DT_F32, s.rows * s.width, "tile");
    k_builder b = k_build(k);
    if (!ak) ak = k_i64(&b, s.ak);
    if (!bk) bk = k_i64(&b, s.bk);
    k_value *from[K_MAX_TILE] = {k_i64(&b, 0)}, *at[K_MAX_TILE], *bat = k_i64(&b, 0);
    int n = s.table ? s.rows : 1;
    for (int i = 0; i < n && R; i++) from[i] = k_load(&b, R, k_i64(&b, i));
    whole_tile(&b, s, tile, s.width, s.more ? acc : NULL, TILE_N);
    k_value *seg = S ? k_var(k_for(&b, KL_SERIAL, 0, k_i64(&b, 0), S, 1)) : NULL;
    for (int i = 0; i < n; i++) at[i] = S ? k_add(&b, from[i], k_mul(&b, seg, as)) : from[i];
    if (S) bat = k_mul(&b, seg, bs);
    if (n == 1 && !row) row = k_i64(&b, 0);
    k_value *per = ahead && S ? k_add(&b, ahead, k_mul(&b, seg, k_mul(&b, K, k_i64(&b, s.fetch)))) : ahead;
    k_inst *c = k_contract_tile(&b, tile, s.rows, s.width, K, A, n, at, row, ak, B, bat, bk, width, chains(s));
    k_contract_touch(c, s.touch);
    if (per) k_contract_fetch(&b, c, per, s.fetch);
    if (S) k_end(&b, 0, NULL);
    whole_tile(&b, s, acc, TILE_N, tile, s.width);
    rt_map_put(&e->c->arena, e->shared, name, k);
    return k;
}

/* Rows of the tile at hand: rows[0] where is_first, else rows[1] (0: there are none). */
typedef struct heights { int rows[2]; k_value *is_first; } heights;

/* Where a tile's factors begin, and its sums; width: columns that are computed; table: index of its first row in `rows`;
 * bounds: of its first one. */
typedef struct place { k_value *a, *table, *bk, *acc, *ahead, *bounds; int width; } place;

/* The iterations of segment i that the tile needs. */
static void tap_range(emit *e, const plan *p, int i, const place *at, k_value **lo, k_value **hi) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    *lo = k_i64(b, 0);
    *hi = sched_dim(e, t->seg[i].size);
    for (int n = 0; n < t->ntaps && p->bounds; n++) {
        if (t->taps[n].seg != i) continue;
        *lo = k_load(b, p->bounds, k_add(b, at->bounds, k_i64(b, 2 * n)));
        *hi = k_load(b, p->bounds, k_add(b, at->bounds, k_i64(b, 2 * n + 1)));
    }
}

static void call_micro(emit *e, plan *p, int rows, place at, k_value *cols) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    const tile_segment *s = &t->seg[t->nseg - 1], *outer = p->inside > 1 && !p->steps ? s - 1 : NULL;
    int64_t ak = s->a ? hint(s->a, 0) : 0, bk = p->steps ? TILE_N : s->b ? hint(s->b, 0) : 0;
    if (ak != 1) ak = 0; /* other steps are rare: one kernel for all of them */
    if (bk != TILE_N) bk = 0;
    k_buffer *B = p->steps ? p->wide : p->B;
    bool more = p->sums || p->steps || t->nseg > p->inside;
    int fetch = p->steps ? 0 : p->fetch, touch = p->steps ? 0 : p->touch;
    shape of = {rows, at.width, p->A->dtype, B->dtype, ak, bk, p->rows != NULL, outer != NULL, more, cols != NULL, fetch, touch};
    k_kernel *k = micro_kernel(e, of);
    k_value *scalars[10], *lo = NULL, *hi = NULL;
    int n = 0;
    if (outer) {
        tap_range(e, p, t->nseg - 2, &at, &lo, &hi);
        at.a = k_add(b, at.a, k_mul(b, lo, dim_or_zero(e, outer->a)));
        at.bk = k_add(b, at.bk, k_mul(b, lo, dim_or_zero(e, outer->b)));
    }
    scalars[n++] = p->sums ? k_sub(b, e->khi, e->klo) : p->steps ? p->steps : sched_dim(e, s->size);
    if (!ak) scalars[n++] = dim_or_zero(e, s->a);
    if (!bk) scalars[n++] = dim_or_zero(e, s->b);
    if (!p->rows) scalars[n++] = t->mloop >= 0 ? dim_or_zero(e, nest_coef(&e->t, &t->aa, t->mloop)) : k_i64(b, 0);
    if (cols) scalars[n++] = cols;
    if (of.fetch) scalars[n++] = at.ahead;
    if (outer) {
        scalars[n++] = k_sub(b, hi, lo);
        scalars[n++] = dim_or_zero(e, outer->a);
        scalars[n++] = dim_or_zero(e, outer->b);
    }
    k_call(b, k, (k_buffer *[]){p->acc, p->A, B, p->rows}, (k_value *[]){at.acc, at.a, at.bk, at.table}, scalars);
}

static void call_height(emit *e, plan *p, const heights *h, place at, k_value *cols) {
    k_builder *b = &e->b;
    if (!h->rows[1]) {
        call_micro(e, p, h->rows[0], at, cols);
        return;
    }
    k_if(b, h->is_first);
    call_micro(e, p, h->rows[0], at, cols);
    k_else(b, 0, NULL);
    call_micro(e, p, h->rows[1], at, cols);
    k_end(b, 0, NULL);
}

/* acc += over the segments seg[i..].  left: columns from the panel's first on; NULL: all of the panel is there. */
static void reduce_from(emit *e, plan *p, int i, const heights *h, place at, k_value *left) {
    k_builder *b = &e->b;
    const tile_segment *s = &p->t->seg[i];
    if (i < p->t->nseg - p->inside) {
        k_value *lo, *hi;
        tap_range(e, p, i, &at, &lo, &hi);
        k_value *r = k_var(k_for(b, KL_SERIAL, 0, lo, hi, 1));
        at.a = k_add(b, at.a, k_mul(b, r, dim_or_zero(e, s->a)));
        at.bk = k_add(b, at.bk, k_mul(b, r, dim_or_zero(e, s->b)));
        reduce_from(e, p, i + 1, h, at, left);
        k_end(b, 0, NULL);
        return;
    }
    if (!left || p->t->packed || p->t->run_time) {
        call_height(e, p, h, at, NULL);
        return;
    }
    if (at.width < TILE_N) {
        call_height(e, p, h, at, left);
        return;
    }
    k_if(b, k_2(b, K_GE, left, k_i64(b, TILE_N)));
    call_height(e, p, h, at, NULL);
    k_else(b, 0, NULL);
    call_height(e, p, h, at, left);
    k_end(b, 0, NULL);
}

/* ---- tiles */

static void zero_acc(emit *e, plan *p, int n) {
    k_builder *b = &e->b;
    k_inst *z = k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, n), 1);
    k_store(b, p->acc, k_var(z), k_float(b, DT_F32, 0));
    k_end(b, 0, NULL);
}

/* A tile: its rows (a run-time number, at most one of the heights), the first of them, and its number. */
typedef struct tile { heights h; k_value *rows, *row, *number; } tile;

static bool whole_panels(const emit *e, const tiles *t) {
    int64_t n;
    return ir_dim_is_const(sched_size(e, t->nloop), &n) && n % TILE_N == 0;
}

static k_value *columns_left(emit *e, const plan *p, k_value *first) { return whole_panels(e, p->t) ? NULL : k_sub(&e->b, p->N, first); }

static k_value *acc_of(emit *e, const plan *p, const tile *x, k_value *panel) {
    k_builder *b = &e->b;
    k_value *nth = p->sums ? k_add(b, k_mul(b, panel, k_i64(b, p->sums->tiles)), k_sub(b, x->number, p->tlo)) : NULL;
    if (nth) return k_mul(b, nth, k_i64(b, sched_tile_rows(e) * TILE_N));
    if (p->t->across) return k_mul(b, k_sub(b, x->row, p->first), k_i64(b, TILE_N));
    return p->blocked ? k_mul(b, k_sub(b, x->number, p->tlo), k_i64(b, sched_tile_rows(e) * TILE_N)) : k_i64(b, 0);
}

/* Steps of k in one call of the micro-kernel. */
static k_value *inner_k(emit *e, const plan *p) {
    D k = sched_num(e, 1);
    for (int i = p->t->nseg - p->inside; i < p->t->nseg; i++) k = ir_dim_mul(e->c, k, p->t->seg[i].size);
    return sched_dim(e, k);
}

/* What the epilogue reads with the rows and columns of the tile: a residual. */
static void find_late(emit *e, plan *p) {
    const tiles *t = p->t;
    for (int i = 0; i < e->t.accesses.n && p->nlate < MAX_LATE && t->mloop >= 0; i++) {
        const nest_access *a = &e->t.accesses.at[i];
        if (a->rest || !nest_coef(&e->t, a, t->mloop) || !nest_coef(&e->t, a, t->nloop)) continue;
        if (ir_dim_is(nest_coef(&e->t, a, t->nloop), 1) && sched_in_results(e, a->load)) p->late[p->nlate++] = a;
    }
}

static void ask_for_rows(emit *e, k_buffer *of, k_value *at, D step) {
    k_builder *b = &e->b;
    for (int row = 0; row < sched_tile_rows(e); row++) k_prefetch(b, of, k_add(b, at, k_mul(b, k_i64(b, row), sched_dim(e, step))));
}

/* The epilogue's lines, one per row: they come from far, too late if they are asked for when the sums are there. */
static void ask_for_late(emit *e, const plan *p, const tile *x, k_value *first) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    if (t->mloop < 0 || t->across) return;
    e->var[t->mloop] = x->row;
    e->var[t->nloop] = first;
    for (int i = 0; i < p->nlate; i++) {
        D step = nest_coef(&e->t, p->late[i], t->mloop);
        k_value *at = k_add(b, outer_address(e, t, p->late[i], p->late[i]->load->i), k_mul(b, x->row, sched_dim(e, step)));
        ask_for_rows(e, e->in[p->late[i]->load->i], k_add(b, at, p->stage ? k_add(b, first, k_i64(b, TILE_N)) : first), step);
    }
    D step = e->t.ocoef[e->t.loops.at[t->mloop].last];
    for (int i = 0; i < e->f->k->nout; i++) ask_for_rows(e, e->outs[i], sched_out_address(e), step);
}

/* acc (+)= the tile's sums; block: iteration of the first segment, if that runs outside. */
static void compute(emit *e, plan *p, const tile *x, k_value *panel, k_value *block) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    k_value *first = k_mul(b, panel, k_i64(b, TILE_N));
    place at = {.a = p->a0, .acc = acc_of(e, p, x, panel)};
    if (p->bounds) at.bounds = k_mul(b, k_sub(b, x->number, p->tlo), k_i64(b, 2 * t->ntaps));
    if (p->rows) at.table = k_mul(b, k_sub(b, x->number, p->tlo), k_i64(b, sched_tile_rows(e)));
    else if (t->mloop >= 0) at.a = k_add(b, p->a0, k_mul(b, x->row, dim_or_zero(e, nest_coef(&e->t, &t->aa, t->mloop))));
    at.bk = t->packed || t->run_time ? k_add(b, p->b0, k_mul(b, first, sched_dim(e, p->kall))) : k_add(b, p->b0, first);
    if (block) at.a = k_add(b, at.a, k_mul(b, block, dim_or_zero(e, t->seg[0].a)));
    if (block) at.bk = k_add(b, at.bk, k_mul(b, block, dim_or_zero(e, t->seg[0].b)));
    if (p->sums) at.a = k_add(b, at.a, k_mul(b, e->klo, dim_or_zero(e, t->seg[0].a)));
    if (p->sums) at.bk = k_add(b, at.bk, k_mul(b, e->klo, dim_or_zero(e, t->seg[0].b)));
    if (p->fetch) {
        k_value *k = inner_k(e, p), *nth = k_2(b, K_MIN, k_sub(b, x->number, p->tlo), k_i64(b, TILE_N / p->fetch - 1));
        at.ahead = k_mul(b, k, k_add(b, k_mul(b, nth, k_i64(b, p->fetch)), k_i64(b, TILE_N)));
    }
    if (!p->sums) ask_for_late(e, p, x, first);
    k_value *left = columns_left(e, p, first);
    if (p->narrow) {
        k_if(b, k_2(b, K_LE, left, k_i64(b, NARROW)));
        at.width = NARROW;
        reduce_from(e, p, block ? 1 : 0, &x->h, at, left);
        k_else(b, 0, NULL);
    }
    at.width = TILE_N;
    reduce_from(e, p, block ? 1 : 0, &x->h, at, left);
    if (p->narrow) k_end(b, 0, NULL);
}

/* The epilogue. */
static void finish(emit *e, plan *p, const tile *x, k_value *panel) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    k_value *first = k_mul(b, panel, k_i64(b, TILE_N)), *left = columns_left(e, p, first), *acc = acc_of(e, p, x, panel);
    k_inst *i = k_for(b, KL_SERIAL, 0, k_i64(b, 0), x->rows, 1);
    if (t->mloop >= 0) e->var[t->mloop] = k_add(b, x->row, k_var(i));
    k_inst *j = k_for(b, KL_VECTOR, 0, k_i64(b, 0), left ? k_2(b, K_MIN, left, k_i64(b, TILE_N)) : k_i64(b, TILE_N), 1);
    e->var[t->nloop] = k_add(b, first, k_var(j));
    e->param[0] = k_load(b, p->acc, k_add(b, k_add(b, acc, k_mul(b, k_var(i), k_i64(b, TILE_N))), k_var(j)));
    sched_store_outs(e, k_memo_new(b->k));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* The epilogue along the rows [p->first, end): as many rows as a panel has columns are turned at a time. */
static void finish_across(emit *e, plan *p, k_value *end, k_value *panel) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    k_value *first = k_mul(b, panel, k_i64(b, TILE_N)), *left = columns_left(e, p, first), *wide = k_i64(b, TILE_N);
    k_value *row = k_var(k_for(b, KL_SERIAL, 0, p->first, end, TILE_N)), *rows = k_2(b, K_MIN, k_sub(b, end, row), wide);
    k_value *from = k_mul(b, k_sub(b, row, p->first), wide);
    k_transpose(b, p->turned, k_i64(b, 0), wide, p->acc, from, wide, TILE_N, wide, rows);
    k_value *j = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), left ? k_2(b, K_MIN, left, wide) : wide, 1));
    e->var[t->nloop] = k_add(b, first, j);
    k_value *i = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), rows, 1));
    e->var[t->mloop] = k_add(b, row, i);
    e->param[0] = k_load(b, p->turned, k_add(b, k_mul(b, j, wide), i));
    sched_store_outs(e, k_memo_new(b->k));
    for (int n = 0; n < 3; n++) k_end(b, 0, NULL);
}

static D all_rows(emit *e, const tiles *t) { return t->mloop >= 0 ? sched_size(e, t->mloop) : sched_num(e, 1); }

static int64_t known_rows(emit *e, const tiles *t) {
    int64_t m = 1;
    if (t->mloop >= 0) ir_dim_is_const(sched_size(e, t->mloop), &m);
    return m;
}

static int64_t tile_count(const emit *e, int64_t rows) { return (rows + sched_tile_rows(e) - 1) / sched_tile_rows(e); }

k_value *sched_tiles_row(emit *e, D rows, k_value *i) {
    k_builder *b = &e->b;
    int64_t m;
    if (!ir_dim_is_const(rows, &m)) return k_2(b, K_MIN, k_mul(b, i, k_i64(b, sched_tile_rows(e))), sched_dim(e, rows));
    int64_t count = tile_count(e, m), q = m / count, big = m - q * count;
    k_value *row = k_mul(b, i, k_i64(b, q));
    return big ? k_add(b, row, k_2(b, K_MIN, i, k_i64(b, big))) : row;
}

static k_value *first_row(emit *e, const plan *p, k_value *i) {
    return p->known ? sched_tiles_row(e, all_rows(e, p->t), i) : k_mul(&e->b, i, k_i64(&e->b, sched_tile_rows(e)));
}

static tile tile_at(emit *e, const plan *p, k_value *i) {
    k_builder *b = &e->b;
    tile x = {.row = first_row(e, p, i), .number = i};
    if (!p->known) {
        k_value *left = k_sub(b, p->M, x.row);
        x.h = (heights){{1, sched_tile_rows(e)}, k_2(b, K_EQ, left, k_i64(b, 1))};
        x.rows = k_2(b, K_MIN, left, k_i64(b, sched_tile_rows(e)));
        return x;
    }
    int64_t m = known_rows(e, p->t), count = tile_count(e, m), q = m / count, big = m - q * count;
    x.h = (heights){{(int)q, 0}, NULL};
    x.rows = k_i64(b, q);
    if (!big) return x;
    x.h = (heights){{(int)q + 1, (int)q}, k_2(b, K_LT, i, k_i64(b, big))};
    x.rows = k_select(b, x.h.is_first, k_i64(b, q + 1), x.rows);
    return x;
}

static tile open_tiles(emit *e, const plan *p, k_value *thi) { return tile_at(e, p, k_var(k_for(&e->b, KL_SERIAL, 0, p->tlo, thi, 1))); }

/* ---- B in f32, a block of k at a time */

/* Sets the variables of the reduce loops for step k, as t counts. */
static void count_to(emit *e, const tiles *t, k_value *k) {
    const comp *c = e->f->k;
    k_value *at[NEST_MAX] = {NULL};
    for (int i = t->nr - 1; i >= 0; i--) at[t->rvar[i]] = i ? sched_split(e, &k, c->rdims[t->rvar[i] - c->ndims]) : k;
    for (int l = e->t.nouter; l < e->t.loops.n; l++) {
        k_value *sum = NULL;
        for (int v = c->ndims; v < c->ndims + c->nrdims; v++) { /* as nest.c counts: the last one fastest */
            if (!(e->t.loops.at[l].vars >> v & 1) || !at[v]) continue;
            sum = sum ? k_add(&e->b, k_mul(&e->b, sum, sched_dim(e, c->rdims[v - c->ndims])), at[v]) : at[v];
        }
        e->var[l] = sum;
    }
}

static k_value *panel_address(emit *e, const plan *p, k_value *first) {
    return k_add(&e->b, p->b0, k_mul(&e->b, first, sched_dim(e, p->kall)));
}

/* Opens the columns of the panel as one vector, with what B's elements take from the column alone. */
static k_value *open_columns(emit *e, const plan *p, k_value *first) {
    k_builder *b = &e->b;
    k_value *left = columns_left(e, p, first), *all = k_i64(b, TILE_N);
    k_value *j = k_var(k_for(b, KL_VECTOR, TILE_N, k_i64(b, 0), left ? k_2(b, K_MIN, left, all) : all, 1));
    e->var[p->t->nloop] = k_add(b, first, j);
    e->memo = k_memo_new(b->k);
    sched_outside(e, e->elem[0]->args[p->t->factor]);
    return j;
}

/* B's element in the column j at step k. */
static k_value *b_value(emit *e, const plan *p, k_value *panel, k_value *j, k_value *k) {
    k_builder *b = &e->b;
    count_to(e, p->t, k);
    if (e->placed) e->base[p->t->b] = k_add(b, k_add(b, panel, k_mul(b, k, k_i64(b, TILE_N))), j);
    k_value *x = sched_value(e, k_memo_under(e->memo), e->elem[0]->args[p->t->factor]);
    for (int l = e->t.nouter; l < e->t.loops.n; l++) e->var[l] = NULL;
    return x;
}

/* wide[i * TILE_N + j] = B's element in column `first` + j at step k + i, for i < p->steps. */
static void widen(emit *e, plan *p, k_value *first, k_value *k) {
    k_builder *b = &e->b;
    k_memo *memo = e->memo;
    k_value *panel = panel_address(e, p, first), *j = open_columns(e, p, first);
    k_value *i = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), p->steps, 1));
    k_store(b, p->wide, k_add(b, k_mul(b, i, k_i64(b, TILE_N)), j), b_value(e, p, panel, j, k_add(b, k, i)));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
    e->memo = memo;
}

/* A tile's share of asking for the panel's next block. */
static void ask_for_block(emit *e, const plan *p, const tile *x, k_value *at) {
    k_builder *b = &e->b;
    int64_t line = LINE / rt_dtypes[p->B->dtype].bytes, tiles = tile_count(e, hint(all_rows(e, p->t), INT32_MAX));
    int64_t most = tiles < p->group ? tiles : p->group, share = (WIDE_K * TILE_N / line + most - 1) / most * line;
    k_value *from = k_add(b, at, k_mul(b, k_sub(b, x->number, p->tlo), k_i64(b, share)));
    k_prefetch(b, p->B, k_var(k_for(b, KL_SERIAL, 0, from, k_add(b, from, k_i64(b, share)), line)));
    k_end(b, 0, NULL);
}

static void wide_tiles(emit *e, plan *p, k_value *panel, k_value *thi, k_value *a, k_value *k) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    k_value *first = k_mul(b, panel, k_i64(b, TILE_N));
    widen(e, p, first, k);
    tile x = open_tiles(e, p, thi);
    place at = {.a = a, .bk = k_i64(b, 0), .acc = acc_of(e, p, &x, panel), .width = TILE_N};
    if (p->rows) at.table = k_mul(b, k_sub(b, x.number, p->tlo), k_i64(b, sched_tile_rows(e)));
    else if (t->mloop >= 0) at.a = k_add(b, a, k_mul(b, x.row, dim_or_zero(e, nest_coef(&e->t, &t->aa, t->mloop))));
    if (e->placed) ask_for_block(e, p, &x, k_add(b, panel_address(e, p, first), k_mul(b, k_add(b, k, p->steps), k_i64(b, TILE_N))));
    call_height(e, p, &x.h, at, NULL);
    k_end(b, 0, NULL);
}

/* Steps of a block: equal blocks where the size is known. */
static int64_t wide_steps(D size) {
    int64_t n;
    if (!ir_dim_is_const(size, &n)) return WIDE_K;
    int64_t blocks = (n + WIDE_K - 1) / WIDE_K, each = (n + blocks - 1) / blocks;
    return (each + 3) / 4 * 4;
}

/* All sums of the group's tiles over the segments seg[i..]; a: A's address, k: steps before. */
static void wide_segments(emit *e, plan *p, int i, k_value *panel, k_value *thi, k_value *a, k_value *k) {
    k_builder *b = &e->b;
    const tile_segment *s = &p->t->seg[i];
    bool last = i == p->t->nseg - 1;
    int64_t block = last ? wide_steps(s->size) : 1;
    k_value *size = sched_dim(e, s->size), *r = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), size, block));
    a = k_add(b, a, k_mul(b, r, dim_or_zero(e, s->a)));
    if (last) {
        bool whole = ir_dim_is_const(s->size, NULL) && hint(s->size, 0) % block == 0;
        p->steps = whole ? k_i64(b, block) : k_2(b, K_MIN, k_sub(b, size, r), k_i64(b, block));
        wide_tiles(e, p, panel, thi, a, k_add(b, k, r));
        p->steps = NULL;
    } else {
        k = k_mul(b, k_add(b, k, r), sched_dim(e, p->t->seg[i + 1].size));
        wide_segments(e, p, i + 1, panel, thi, a, k);
    }
    k_end(b, 0, NULL);
}

/* ---- B's elements computed where they are used */

typedef struct direct { plan *p; k_value *panel, *j, *at[K_MAX_TILE], *sum[DIRECT_SUMS]; int rows, chains; } direct;

/* sum[chain] += A(:, k) * B(k, j). */
static void direct_step(emit *e, direct *d, int chain, k_value *k) {
    k_builder *b = &e->b;
    k_value *x = b_value(e, d->p, d->panel, d->j, k), *step = k_mul(b, k, dim_or_zero(e, d->p->t->seg[0].a));
    for (int i = 0; i < d->rows; i++) {
        k_value *a = k_cast(b, k_load(b, d->p->A, k_add(b, d->at[i], step)), DT_F32), **sum = &d->sum[chain * d->rows + i];
        *sum = k_3(b, K_FMA, a, x, *sum);
    }
}

/* Steps [lo, hi), `unroll` of them in one iteration, for the first `chains` sums of each element. */
static void direct_loop(emit *e, direct *d, k_value *lo, k_value *hi, int unroll, int chains) {
    k_builder *b = &e->b;
    int n = chains * d->rows;
    k_inst *f = k_for(b, KL_SERIAL, 0, lo, hi, unroll);
    for (int i = 0; i < n; i++) d->sum[i] = k_carry(b, f, d->sum[i]);
    for (int u = 0; u < unroll; u++) direct_step(e, d, u % chains, k_add(b, k_var(f), k_i64(b, u)));
    k_end(b, n, d->sum);
    memcpy(d->sum, f->out, (size_t)n * sizeof *d->sum);
}

/* acc = the sums of a tile of so many rows. */
static void direct_tile(emit *e, plan *p, const tile *x, int rows, k_value *panel) {
    k_builder *b = &e->b;
    k_memo *memo = e->memo;
    k_value *first = k_mul(b, panel, k_i64(b, TILE_N)), *K = sched_dim(e, p->t->seg[0].size);
    direct d = {.p = p, .panel = panel_address(e, p, first), .rows = rows, .chains = chains((shape){.rows = rows, .width = TILE_N})};
    for (int i = 0; i < rows; i++) {
        k_value *nth = k_i64(b, i);
        if (p->rows) d.at[i] = k_add(b, p->a0, k_load(b, p->rows, k_add(b, k_mul(b, k_sub(b, x->number, p->tlo), k_i64(b, sched_tile_rows(e))), nth)));
        else d.at[i] = p->t->mloop < 0 ? p->a0 : k_add(b, p->a0, k_mul(b, k_add(b, x->row, nth), dim_or_zero(e, nest_coef(&e->t, &p->t->aa, p->t->mloop))));
    }
    d.j = open_columns(e, p, first);
    for (int i = 0; i < rows * d.chains; i++) d.sum[i] = k_float(b, DT_F32, 0);
    k_value *whole = k_sub(b, K, k_2(b, K_REM, K, k_i64(b, DIRECT_STEPS)));
    direct_loop(e, &d, k_i64(b, 0), whole, DIRECT_STEPS, d.chains);
    direct_loop(e, &d, whole, K, 1, 1);
    for (int n = d.chains / 2; n > 0; n /= 2)
        for (int i = 0; i < n * rows; i++) d.sum[i] = k_add(b, d.sum[i], d.sum[i + n * rows]);
    for (int i = 0; i < rows; i++) k_store(b, p->acc, k_add(b, k_i64(b, i * TILE_N), d.j), d.sum[i]);
    k_end(b, 0, NULL);
    e->memo = memo;
}

/* A group of one tile. */
static void lone_tile(emit *e, plan *p, k_value *panel, k_value *thi) {
    k_builder *b = &e->b;
    tile x = open_tiles(e, p, thi);
    if (!p->t->computed) {
        if (p->t->nseg > p->inside) zero_acc(e, p, sched_tile_rows(e) * TILE_N);
        compute(e, p, &x, panel, NULL);
    } else if (!x.h.rows[1]) {
        direct_tile(e, p, &x, x.h.rows[0], panel);
    } else {
        k_if(b, x.h.is_first);
        direct_tile(e, p, &x, x.h.rows[0], panel);
        k_else(b, 0, NULL);
        direct_tile(e, p, &x, x.h.rows[1], panel);
        k_end(b, 0, NULL);
    }
    finish(e, p, &x, panel);
    k_end(b, 0, NULL);
}

static void wide_panel(emit *e, plan *p, k_value *panel, k_value *thi) {
    zero_acc(e, p, p->group * sched_tile_rows(e) * TILE_N);
    wide_segments(e, p, 0, panel, thi, p->a0, k_i64(&e->b, 0));
    tile x = open_tiles(e, p, thi);
    finish(e, p, &x, panel);
    k_end(&e->b, 0, NULL);
}

/* All tiles of the group in one panel. */
static void panel_tiles(emit *e, plan *p, k_value *panel, k_value *thi) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    bool choose = p->direct && p->wide;
    if (choose) k_if(b, k_2(b, K_EQ, k_sub(b, thi, p->tlo), k_i64(b, 1)));
    if (p->direct) lone_tile(e, p, panel, thi);
    if (choose) k_else(b, 0, NULL);
    if (p->wide) wide_panel(e, p, panel, thi);
    if (choose) k_end(b, 0, NULL);
    if (p->direct || p->wide) return;
    if (t->nseg > p->inside && p->together) zero_acc(e, p, p->group * sched_tile_rows(e) * TILE_N);
    if (p->blocked) {
        k_value *block = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), sched_dim(e, t->seg[0].size), 1));
        tile x = open_tiles(e, p, thi);
        compute(e, p, &x, panel, block);
        k_end(b, 0, NULL);
        k_end(b, 0, NULL);
    }
    tile x = open_tiles(e, p, thi);
    if (!p->together && t->nseg > p->inside) zero_acc(e, p, sched_tile_rows(e) * TILE_N);
    if (!p->blocked) compute(e, p, &x, panel, NULL);
    if (!t->across) finish(e, p, &x, panel);
    k_end(b, 0, NULL);
    if (t->across) finish_across(e, p, sched_tiles_row(e, all_rows(e, t), thi), panel);
}

/* Cuts a long k of one segment in equal blocks. */
static bool cut_blocks(emit *e, tiles *t) {
    int64_t k, n;
    if (t->nseg != 1 || !ir_dim_is_const(t->seg[0].size, &k)) return false;
    for (n = (k + BLOCK_K / 2) / BLOCK_K; n > 1 && k % n; n--) continue;
    if (n < 2) return false;
    t->seg[1] = t->seg[0];
    t->seg[1].size = sched_num(e, k / n);
    t->seg[0].size = sched_num(e, n);
    if (t->seg[0].a) t->seg[0].a = ir_dim_mul(e->c, t->seg[0].a, t->seg[1].size);
    if (t->seg[0].b) t->seg[0].b = ir_dim_mul(e->c, t->seg[0].b, t->seg[1].size);
    t->nseg = 2;
    return true;
}

/* Indexes of row m: by index variable of the row loop. */
static void row_indexes(emit *e, const plan *p, k_value *m, k_value **index) {
    k_builder *b = &e->b;
    const comp *k = e->f->k;
    uint32_t vars = e->t.loops.at[p->t->mloop].vars;
    for (int o = k->ndims - 1; o >= 0; o--) {
        int v = e->t.order[o];
        if (!(vars >> v & 1)) continue;
        vars &= ~(1u << v);
        k_value *n = sched_dim(e, k->dims[v]);
        index[v] = vars ? k_2(b, K_REM, m, n) : m;
        if (vars) m = k_2(b, K_DIV, m, n);
    }
}

/* The taps of tile i that lie inside for one of its rows at least: exactly, as far as the rows differ in one index only. */
static void make_bounds(emit *e, const plan *p, k_value *i) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    const comp *k = e->f->k;
    k_value *one = k_i64(b, 1), *zero = k_i64(b, 0), *low[NEST_MAX], *high[NEST_MAX], *same = k_int(b, DT_BOOL, 1);
    row_indexes(e, p, first_row(e, p, i), low);
    row_indexes(e, p, k_sub(b, first_row(e, p, k_add(b, i, one)), one), high);
    for (int o = 0; o < k->ndims; o++) {
        int v = e->t.order[o];
        if (!(e->t.loops.at[t->mloop].vars >> v & 1)) continue;
        k_value *lo = k_select(b, same, low[v], zero), *hi = k_select(b, same, high[v], k_sub(b, sched_dim(e, k->dims[v]), one));
        same = k_2(b, K_AND, same, k_2(b, K_EQ, low[v], high[v]));
        for (int n = 0; n < t->ntaps; n++) {
            const tile_taps *x = &t->taps[n];
            if (x->q != v) continue;
            k_value *step = k_i64(b, x->step), *dilation = k_i64(b, x->dilation);
            k_value *from = k_sub(b, k_i64(b, x->dilation - 1 - x->first), k_mul(b, hi, step));
            k_value *to = k_sub(b, k_i64(b, x->size - 1 - x->first + x->dilation), k_mul(b, lo, step));
            k_value *at = k_add(b, k_mul(b, k_sub(b, i, p->tlo), k_i64(b, 2 * t->ntaps)), k_i64(b, 2 * n));
            k_store(b, p->bounds, at, k_2(b, K_DIV, k_2(b, K_MAX, from, zero), dilation));
            to = k_2(b, K_DIV, k_2(b, K_MAX, to, zero), dilation);
            k_store(b, p->bounds, k_add(b, at, one), k_2(b, K_MIN, to, sched_dim(e, t->seg[x->seg].size)));
        }
    }
}

/* A's addresses for the rows of tiles [tlo, thi). */
static void make_table(emit *e, plan *p, k_value *thi) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    const comp *k = e->f->k;
    p->rows = k_scratch(b->k, KS_LOCAL, DT_I64, p->group * sched_tile_rows(e), "rows");
    if (t->ntaps && p->known) p->bounds = k_scratch(b->k, KS_LOCAL, DT_I64, p->group * 2 * t->ntaps, "taps");
    k_value *i = k_var(k_for(b, KL_SERIAL, 0, p->tlo, thi, 1)), *row = first_row(e, p, i);
    if (p->bounds) make_bounds(e, p, i);
    k_value *to = k_mul(b, k_sub(b, i, p->tlo), k_i64(b, sched_tile_rows(e)));
    k_value *j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, sched_tile_rows(e)), 1));
    k_value *m = k_2(b, K_MIN, k_add(b, row, j), k_sub(b, p->M, k_i64(b, 1))), *at = k_i64(b, 0), *index[NEST_MAX] = {NULL};
    row_indexes(e, p, m, index);
    for (int v = 0; v < k->ndims; v++)
        if (index[v] && t->aa.coef[v]) at = k_add(b, at, k_mul(b, index[v], sched_dim(e, t->aa.coef[v])));
    k_store(b, p->rows, k_add(b, to, j), at);
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* ---- the grid */

/* Sets the variables of the outer loops from g. */
static void open_batch(emit *e, const tiles *t, k_value *g) {
    for (int l = e->t.nouter - 1; l >= 0; l--)
        if (outer_only(e, t, l)) e->var[l] = sched_split(e, &g, sched_size(e, l));
}

/* The index of the outer loops' variables among B's batches. */
static k_value *batch_number(emit *e, const tiles *t) {
    k_builder *b = &e->b;
    k_value *batch = k_i64(b, 0), *stride = k_i64(b, 1);
    for (int l = e->t.nouter - 1; l >= 0; l--) {
        if (!sched_tiles_batch(e, t, l)) continue;
        batch = k_add(b, batch, k_mul(b, e->var[l], stride));
        stride = k_mul(b, stride, sched_dim(e, sched_size(e, l)));
    }
    return batch;
}

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Tiles that share a panel of B while their rows of A stay in the second cache; equal groups.  Where A and the result are
 * larger than B, as many groups as two or four cores share evenly: each gets rows of its own, in this kernel and the next. */
static int64_t group_tiles(const emit *e, D rows, D kall, D columns) {
    int64_t m, k, n;
    if (!ir_dim_is_const(rows, &m) || !ir_dim_is_const(kall, &k) || !m) return GROUP;
    n = GROUP_BYTES / (k * sched_tile_rows(e) * 4 + 1);
    n = n < GROUP ? GROUP : n > MAX_GROUP ? MAX_GROUP : n;
    int64_t tiles = tile_count(e, m), groups = (tiles + n - 1) / n;
    if (ir_dim_is_const(columns, &n) && m * (k + n) > k * n && tiles >= 2 * APART) groups = round_up(groups, tiles >= 4 * APART ? 4 : 2);
    return (tiles + groups - 1) / groups;
}

/* The tiles of a group ask for the whole of the next panel (or block of k) together.  A single row goes at the speed of
 * memory, where the processor's own prefetching does better. */
static int fetch_rate(int64_t group, D rows) {
    if (group > 1) return group > 3 ? TILE_N / 4 : TILE_N / 2;
    return ir_dim_is(rows, 1) ? 0 : TILE_N;
}

/* What a step of k takes in a panel of 16 columns, as so many flops for each of them: of few rows, mostly reading the panel. */
static int64_t step_cost(const emit *e, D rows, int64_t group) {
    int64_t most = group * sched_tile_rows(e), m = hint(rows, most);
    return 2 * (m < most ? m : most) + READ_COST;
}

/* Grid items among which the panels of a group of rows are divided, with at most *per in each: enough work to be worth handing
 * out, and as many as two or four cores share evenly. */
static D panel_items(emit *e, D npanels, D kall, int64_t step, int64_t *per) {
    int64_t n, items;
    *per = ITEM_FLOPS / (step * TILE_N * hint(kall, 64)) + 1;
    if (!ir_dim_is_const(npanels, &n) || n < 1) return ir_dim_ceildiv(e->c, npanels, *per);
    items = (n + *per - 1) / *per;
    if (items > 2) items = round_up(items, 4);
    if (items > n) items = n;
    *per = (n + items - 1) / items;
    return sched_num(e, items);
}

/* Where part i begins, if n things are cut in `parts` that differ by one at most. */
static k_value *part_at(emit *e, k_value *i, D n, D parts) {
    if (n == parts) return i;
    k_value *all = k_mul(&e->b, i, sched_dim(e, n));
    return ir_dim_is(parts, 1) ? all : k_2(&e->b, K_DIV, all, sched_dim(e, parts));
}

/* Once the copies are made: they come before the scratch among the kernel's buffers. */
static void start(emit *e, tiles *t, plan *p) {
    int64_t columns;
    p->blocked = t->wide || (t->mloop >= 0 && !p->sums && cut_blocks(e, t));
    p->known = t->mloop < 0 || ir_dim_is_const(all_rows(e, t), NULL);
    bool lone = hint(all_rows(e, t), INT32_MAX) <= sched_tile_rows(e);
    p->direct = t->wide && (lone || !p->known) && (!t->computed || t->nseg == 1);
    p->blocked = p->blocked && !(p->direct && lone);
    p->together = p->blocked || t->across;
    if (t->wide && !(p->direct && lone)) p->wide = k_scratch(e->b.k, KS_LOCAL, DT_F32, WIDE_K * TILE_N, "wide");
    if (t->wide && e->placed) e->in[t->b] = p->B;
    if (t->wide && !e->base) e->base = RT_ARRAY(&e->c->arena, k_value *, e->f->operands.n + 1);
    p->acc = p->sums ? p->sums->acc : k_scratch(e->b.k, KS_LOCAL, DT_F32, (p->together ? p->group : 1) * sched_tile_rows(e) * TILE_N, "acc");
    if (t->across) p->turned = k_scratch(e->b.k, KS_LOCAL, DT_F32, TILE_N * TILE_N, "turned");
    p->narrow = ir_dim_is_const(sched_size(e, t->nloop), &columns) && columns % TILE_N && columns % TILE_N <= NARROW;
    p->M = sched_dim(e, all_rows(e, t));
    p->N = sched_dim(e, sched_size(e, t->nloop));
}

/* Addresses of the batch whose variables are set. */
static void at_batch(emit *e, plan *p) {
    const tiles *t = p->t;
    D per_batch = ir_dim_mul(e->c, ir_dim_mul(e->c, sched_tiles_panels(e, t), p->kall), sched_num(e, TILE_N));
    p->a0 = outer_address(e, t, &t->aa, t->a);
    p->b0 = t->run_time || t->packed ? k_mul(&e->b, batch_number(e, t), sched_dim(e, per_batch)) : outer_address(e, t, &t->ba, t->b);
}

static plan plan_of(emit *e, const tiles *t) {
    return (plan){.t = t, .kall = sched_tiles_k(e, t), .inside = t->nseg > 1 ? 2 : 1, .group = GROUP};
}

/* Panels of all columns, or of those that are the keys. */
static k_value *open_panels(emit *e, const tiles *t) {
    k_builder *b = &e->b;
    k_value *lo = k_i64(b, 0), *hi = sched_dim(e, sched_tiles_panels(e, t)), *n = k_i64(b, TILE_N);
    if (e->klo && e->keys == t->nloop) {
        lo = k_2(b, K_DIV, e->klo, n);
        hi = k_2(b, K_DIV, k_add(b, e->khi, k_i64(b, TILE_N - 1)), n);
    }
    return k_var(k_for(b, KL_SERIAL, 0, lo, hi, 1));
}

void sched_tiles_stage(emit *e, tiles *t, k_buffer *A, k_buffer *B, k_value *tlo, k_value *thi) {
    plan p = plan_of(e, t);
    p.A = A;
    p.B = B;
    p.tlo = tlo;
    start(e, t, &p);
    find_late(e, &p);
    p.stage = true;
    at_batch(e, &p);
    if (!t->linear || !p.known) make_table(e, &p, thi);
    k_value *panel = open_panels(e, t);
    panel_tiles(e, &p, panel, thi);
    k_end(&e->b, 0, NULL);
}

static plan plan_of_sums(emit *e, tiles *t, k_value *tlo, const tile_sums *sums) {
    plan p = plan_of(e, t);
    p.tlo = tlo;
    p.sums = sums;
    start(e, t, &p);
    return p;
}

/* The sums of a tile's rows, each times its scale. */
static void scale_sums(emit *e, const plan *p, const tile *x, k_value *panel) {
    k_builder *b = &e->b;
    k_value *acc = acc_of(e, p, x, panel), *i = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), x->rows, 1));
    k_value *scale = k_load(b, p->sums->scale, k_add(b, k_add(b, x->row, p->sums->at), i));
    k_value *j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, TILE_N), 1));
    k_value *at = k_add(b, k_add(b, acc, k_mul(b, i, k_i64(b, TILE_N))), j);
    k_store(b, p->acc, at, k_mul(b, k_load(b, p->acc, at), scale));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

void sched_tiles_add(emit *e, tiles *t, k_buffer *A, k_buffer *B, k_value *tlo, k_value *thi, const tile_sums *sums) {
    plan p = plan_of_sums(e, t, tlo, sums);
    p.A = A;
    p.B = B;
    at_batch(e, &p);
    if (!t->linear || !p.known) make_table(e, &p, thi);
    k_value *panel = open_panels(e, t);
    tile x = open_tiles(e, &p, thi);
    scale_sums(e, &p, &x, panel);
    compute(e, &p, &x, panel, NULL);
    k_end(&e->b, 0, NULL);
    k_end(&e->b, 0, NULL);
}

void sched_tiles_finish(emit *e, tiles *t, k_value *tlo, k_value *thi, const tile_sums *sums) {
    plan p = plan_of_sums(e, t, tlo, sums);
    k_value *panel = open_panels(e, t);
    tile x = open_tiles(e, &p, thi);
    finish(e, &p, &x, panel);
    k_end(&e->b, 0, NULL);
    k_end(&e->b, 0, NULL);
}

void sched_tiles(emit *e, tiles *t) {
    k_builder *b = &e->b;
    plan p = plan_of(e, t);
    if (t->dots) {
        sched_dots(e, t);
        return;
    }
    sched_tiles_copies(e, t, &p.A, &p.B);
    D rows = all_rows(e, t);
    p.group = group_tiles(e, rows, p.kall, sched_size(e, t->nloop));
    start(e, t, &p);
    find_late(e, &p);
    D npanels = sched_tiles_panels(e, t), batch = sched_num(e, 1);
    for (int l = 0; l < e->t.nouter; l++)
        if (outer_only(e, t, l)) batch = ir_dim_mul(e->c, batch, sched_size(e, l));
    if (t->packed || t->run_time) p.fetch = fetch_rate(p.group, rows);
    if (t->packed && p.group <= GROUP) p.touch = TOUCH_BYTES / rt_dtypes[p.B->dtype].bytes;
    D ntiles = ir_dim_ceildiv(e->c, rows, sched_tile_rows(e)), groups = ir_dim_ceildiv(e->c, ntiles, p.group);
    int64_t step = step_cost(e, rows, p.group), per;
    D pgroups = panel_items(e, npanels, p.kall, step, &per);
    e->launch->grid = ir_dim_mul(e->c, batch, ir_dim_mul(e->c, groups, pgroups));
    e->launch->cost = ir_dim_mul(e->c, p.kall, sched_num(e, step * per));
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, e->launch->grid), 1));
    k_value *pg = sched_split(e, &g, pgroups), *group = sched_split(e, &g, groups);
    open_batch(e, t, g);
    at_batch(e, &p);
    k_value *one = k_i64(b, 1), *plo = part_at(e, pg, npanels, pgroups), *phi = part_at(e, k_add(b, pg, one), npanels, pgroups);
    p.tlo = part_at(e, group, ntiles, groups);
    p.first = t->across ? first_row(e, &p, p.tlo) : NULL;
    k_value *thi = part_at(e, k_add(b, group, one), ntiles, groups);
    if (!t->linear || !p.known) make_table(e, &p, thi);
    k_value *panel = k_var(k_for(b, KL_SERIAL, 0, plo, phi, 1));
    panel_tiles(e, &p, panel, thi);
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}
