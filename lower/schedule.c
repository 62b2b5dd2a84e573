/* schedule.c: a group -> loops -> kernel IR, for every comprehension.  The loop forms:
 *
 *   map       grid over the outer loops, the innermost one as vector; a single loop in chunks of MAP_CHUNK; loops are cut where
 *             conditions on their index change (cut.c): outer ones by a branch, the innermost one in several loops; an innermost
 *             loop of few steps is unrolled inside of the vector loop, and its results put between each other
 *   reduce r  grid over all outputs; the innermost reduce loop as vector with one partial state per lane, merged in a
 *             fixed tree: where loads are contiguous along it
 *   reduce o  grid over the outer loops but the last, which is vector; reduce loops serial inside: elsewhere.  Several sums
 *             go on at once, so that none waits for its last addition: wide vectors, and the last loop in CHAINS parts
 *   scan      grid over the other loops, the last of them as vector if it lies inside of the scanned one, which is serial
 *   stage     like map or reduce r, inside of loops over rows that several groups share (stage.h); or the rows are the lanes
 *   write     a copy of the base, then grid and lanes over loops that cannot write to the same place; the others serial, in index
 *             order (so duplicates are decided)
 *
 * Expressions are first rewritten from index variables to loops, with one flat index per load (nest.c).  In front of a map
 * or a reduction, what a few loops decide is computed into tables (table.c), and what a map would gather is copied into
 * a better order (turn.c).  The shape of every reduction depends on sizes alone, never on threads. */
#include "lower/stage.h"

enum { MAP_CHUNK = 8192, MAX_PIECES = 64 /* of all loops together, if several are cut */, REDUCE_CHUNK = 64, MIN_VECTOR = 8, CHAINS = 4,
       LIGHT = 40 /* expressions */, ROW_LANES = 16, BLOCK = 32, BLOCK_LEVELS = 3 /* of sums, see reduce_blocks */ };
/* Results of a map that are written around the caches, as large as a last-level cache: nobody would find them there. */
static const int64_t STREAM_BYTES = 32 << 20;

/* ---- from index variables to loops */

static const ir_expr *loop_index(emit *e, int i) {
    for (int l = 0; l < e->t.loops.n; l++)
        if (e->t.loops.at[l].vars == 1u << i) return ir_x_index(&e->x, l);
    return ir_x_int(&e->x, DT_I64, 0); /* size 1, or merged: then nothing but addresses uses it */
}

static const ir_expr *to_loops(emit *e, const ir_expr *x);

static const ir_expr *flat_load(emit *e, const ir_expr *x) {
    const nest_access *a = nest_find(&e->t, x);
    if (e->placed == x->i + 1) return ir_x_load(&e->x, x->i, x->dtype, 1, (const ir_expr *[]){ir_x_index(&e->x, e->t.loops.n - 1)});
    const ir_expr *at = a->rest ? to_loops(e, a->rest) : ir_x_int(&e->x, DT_I64, 0);
    for (int l = 0; l < e->t.loops.n; l++) {
        const ir_dim *k = nest_coef(&e->t, a, l);
        if (k) at = ir_x2(&e->x, K_ADD, ir_x2(&e->x, K_MUL, ir_x_index(&e->x, l), ir_x_dim(&e->x, k)), at);
    }
    return ir_x_load(&e->x, x->i, x->dtype, 1, &at);
}

static const ir_expr *to_loops_new(emit *e, const ir_expr *x) {
    if (x->op == X_INDEX) return loop_index(e, x->i);
    if (x->op == X_LOAD) return flat_load(e, x);
    const ir_expr **args = RT_ARRAY(&e->c->arena, const ir_expr *, x->n);
    for (int i = 0; i < x->n; i++) args[i] = to_loops(e, x->args[i]);
    switch ((int)x->op) {
    case X_CONST: return rt_dtypes[x->dtype].kind == 'F' ? ir_x_float(&e->x, x->dtype, x->f) : ir_x_int(&e->x, x->dtype, x->k);
    case X_DIM: return ir_x_dim(&e->x, x->dim);
    case X_PARAM: return ir_x_param(&e->x, x->i, x->dtype);
    case X_SCALAR: return ir_x_scalar(&e->x, x->i, x->dtype);
    default: return ir_x(&e->x, x->op, x->dtype, x->n, args);
    }
}

static const ir_expr *to_loops(emit *e, const ir_expr *x) {
    if (!e->done[x->id]) e->done[x->id] = to_loops_new(e, x);
    return e->done[x->id];
}

void sched_rewrite(emit *e) {
    const comp *k = e->f->k;
    e->x = (ir_exprs){.c = e->c};
    e->done = RT_ARRAY(&e->c->arena, const ir_expr *, k->x.n + 1);
    for (int i = 0; i < k->nstate; i++) {
        e->init[i] = to_loops(e, k->init[i]);
        e->elem[i] = to_loops(e, k->elem[i]);
        e->combine[i] = to_loops(e, k->combine[i]);
    }
    if (k->write) {
        e->elem[0] = to_loops(e, k->elem[0]);
        e->combine[0] = k->combine[0] ? to_loops(e, k->combine[0]) : NULL;
    }
    for (int i = 0; i < k->nout && !k->write; i++) e->out[i] = to_loops(e, k->out[i]);
    e->at = RT_ARRAY(&e->c->arena, const ir_expr *, k->nat);
    for (int i = 0; i < k->nat; i++) e->at[i] = to_loops(e, k->at[i]);
    for (int i = 0; i < k->checks.n; i++) {
        struct comp_check ck = k->checks.at[i];
        ck.index = to_loops(e, ck.index);
        RT_PUSH(&e->c->arena, &e->checks, ck);
    }
}

/* ---- values */

k_value *sched_dim(emit *e, const ir_dim *d) {
    int64_t x;
    if (ir_dim_is_const(d, &x)) return k_i64(&e->b, x);
    for (int i = 0; i < e->launch->scalars.n; i++)
        if (e->launch->scalars.at[i].dim == d) return e->b.k->scalars.at[i];
    lower_scalar s = {d, -1, DT_I64};
    RT_PUSH(&e->c->arena, &e->launch->scalars, s);
    return k_scalar(e->b.k, DT_I64, "n");
}

int sched_input(const ir_node *kernel, const ir_value *v) {
    for (int i = 0; i < kernel->nin; i++)
        if (kernel->in[i] == v) return i;
    return -1;
}

static k_value *scalar_value(emit *e, int operand, rt_dtype dtype) {
    ir_value *v = e->f->operands.at[operand];
    if (v->type->kind == T_INT && v->type->dim) return k_cast(&e->b, sched_dim(e, v->type->dim), dtype);
    if (!e->scalars[operand]) {
        lower_scalar s = {NULL, sched_input(e->kernel, v), v->type->kind == T_FLOAT ? DT_F64 : v->type->kind == T_BOOL ? DT_BOOL : DT_I64};
        RT_PUSH(&e->c->arena, &e->launch->scalars, s);
        e->scalars[operand] = k_scalar(e->b.k, s.dtype, "s");
    }
    return k_cast(&e->b, e->scalars[operand], dtype);
}

static k_value *leaf(void *env, k_builder *b, const ir_expr *x, int n, k_value *const *index, k_value *mask) {
    emit *e = env;
    (void)n;
    switch ((int)x->op) {
    case X_INDEX: return e->var[x->i];
    case X_DIM: return sched_dim(e, x->dim);
    case X_SCALAR: return scalar_value(e, x->i, x->dtype);
    case X_PARAM: return e->param[x->i];
    default: break;
    }
    k_value *base = e->base ? e->base[x->i] : NULL, *at = !base ? index[0] : e->placed == x->i + 1 ? base : k_add(b, index[0], base);
    k_value *v = mask && !sched_sure(e, x) ? k_load_if(b, e->in[x->i], at, mask, NULL) : k_load(b, e->in[x->i], at);
    if (e->ntables && v->def) v->def->near = sched_near(e, x);
    return v;
}

k_value *sched_value(emit *e, k_memo *memo, const ir_expr *x) { return k_expr(&e->b, memo, x, leaf, e); }

static int failure(emit *e, const char *cls, const char *text) {
    for (int i = 0; i < e->launch->failures.n; i++)
        if (e->launch->failures.at[i].text == text) return i + 1;
    lower_failure f = {cls, text};
    RT_PUSH(&e->c->arena, &e->launch->failures, f);
    return e->launch->failures.n;
}

static void check_index(emit *e, k_value *index, const ir_dim *size, const char *why) {
    k_builder *b = &e->b;
    k_value *n = sched_dim(e, size);
    k_value *bad = k_2(b, K_OR, k_2(b, K_LT, index, k_i64(b, 0)), k_2(b, K_GE, index, n));
    k_if(b, bad);
    bool zero = why && !strcmp(why, "ZeroDivisionError"); /* comp.c: a division's check is `divisor is 0` < 1 */
    int code = zero ? failure(e, why, "ZeroDivisionError") : failure(e, "IndexError", why ? why : "index out of range");
    k_raise(b, code, 2, (k_value *[]){index, n});
    k_else(b, 0, NULL);
    k_end(b, 0, NULL);
}

static void check(emit *e, k_memo *memo, int i) {
    check_index(e, sched_value(e, memo, e->checks.at[i].index), e->checks.at[i].size, e->checks.at[i].why);
}

static void checks(emit *e, k_memo *memo) {
    for (int i = 0; i < e->checks.n; i++)
        if (!e->checked[i]) check(e, memo, i);
}

/* ---- what the loops inside do not change: computed here */

typedef struct outside {
    emit *e;
    uint32_t *moved;     /* by expression id: what changes it, and KNOWN */
    unsigned char *seen; /* by expression id */
} outside;

enum { BY_STATE = 1 << 30 }; /* the state of a reduction changes it */
static const uint32_t IS_KNOWN = 1u << 31;

/* By which loops that are not open yet, by bit, or BY_STATE. */
static uint32_t moved_by(outside *h, const ir_expr *x) {
    if (h->moved[x->id]) return h->moved[x->id] & ~IS_KNOWN;
    uint32_t u = x->op == X_INDEX ? (uint32_t)!h->e->var[x->i] << x->i : x->op == X_PARAM ? BY_STATE : 0;
    for (int i = 0; i < x->n; i++) u |= moved_by(h, x->args[i]);
    h->moved[x->id] = u | IS_KNOWN;
    return u;
}

/* Not what only one arm of a select needs: it may be a load that must not be done. */
static void outside_parts(outside *h, const ir_expr *x) {
    if (!x || h->seen[x->id] || !x->n) return;
    h->seen[x->id] = 1;
    if (!moved_by(h, x)) sched_value(h->e, h->e->memo, x);
    else
        for (int i = 0; i < (x->op == K_SELECT ? 1 : x->n); i++) outside_parts(h, x->args[i]);
}

static bool runs(const emit *e) {
    for (int l = 0; l < e->t.loops.n; l++) {
        int64_t low, high;
        ir_dim_range(e->c, e->t.loops.at[l].size, &low, &high);
        if (low < 1) return false; /* with no iteration nothing may be loaded or raised */
    }
    return true;
}

void sched_outside(emit *e, const ir_expr *x) {
    int n = e->x.n + 1;
    outside h = {e, RT_ARRAY(&e->c->arena, uint32_t, n), RT_ARRAY(&e->c->arena, unsigned char, n)};
    if (runs(e)) outside_parts(&h, x);
}

static void compute_outside(emit *e) {
    int n = e->x.n + 1;
    outside h = {e, RT_ARRAY(&e->c->arena, uint32_t, n), RT_ARRAY(&e->c->arena, unsigned char, n)};
    if (!runs(e)) return;
    for (int i = 0; i < e->checks.n; i++) {
        if (e->checked[i] || moved_by(&h, e->checks.at[i].index)) continue;
        check(e, e->memo, i);
        e->checked[i] = 1;
    }
    for (int i = 0; i < e->f->k->nstate; i++) outside_parts(&h, e->elem[i]);
    if (e->f->k->write) outside_parts(&h, e->elem[0]);
    for (int i = 0; i < e->f->k->nout; i++) outside_parts(&h, e->out[i]);
}

/* ---- loops */

k_value *sched_out_address(emit *e) {
    k_value *at = e->out_base ? e->out_base : k_i64(&e->b, 0);
    for (int l = 0; l < e->t.nouter; l++)
        at = k_add(&e->b, k_mul(&e->b, e->var[l], sched_dim(e, e->t.ocoef[e->t.loops.at[l].last])), at);
    return at;
}

void sched_store_outs(emit *e, k_memo *memo) {
    k_value *at = sched_out_address(e);
    for (int i = 0; i < e->f->k->nout; i++)
        k_store(&e->b, e->outs[i], at, sched_value(e, memo, e->out[i]))->nontemporal = e->stream;
}

static const ir_dim *one(emit *e) { return ir_dim_const(e->c, 1); }

static const ir_dim *product(emit *e, int from, int to) {
    const ir_dim *n = one(e);
    for (int l = from; l < to; l++) n = ir_dim_mul(e->c, n, e->t.loops.at[l].size);
    return n;
}

/* Opens the grid loop over loops [0, to) but `skip`, and sets their variables. */
static void open_grid(emit *e, int to, int skip) {
    k_builder *b = &e->b;
    const ir_dim *n = one(e);
    for (int l = 0; l < to; l++)
        if (l != skip) n = ir_dim_mul(e->c, n, e->t.loops.at[l].size);
    e->launch->grid = n;
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, n), 1));
    int slowest = skip == 0 ? 1 : 0;
    for (int l = to - 1; l >= 0; l--) {
        if (l == skip) continue;
        k_value *size = sched_dim(e, e->t.loops.at[l].size);
        e->var[l] = l == slowest ? g : k_2(b, K_REM, g, size);
        if (l != slowest) g = k_2(b, K_DIV, g, size);
    }
}

/* Opens the grid loop over chunks of [0, size): [lo, hi). */
static void grid_of_chunks(emit *e, const ir_dim *size, int64_t chunk, k_value **lo, k_value **hi) {
    k_builder *b = &e->b;
    e->launch->grid = ir_dim_floordiv(e->c, ir_dim_add(e->c, size, ir_dim_const(e->c, chunk - 1)), ir_dim_const(e->c, chunk));
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, e->launch->grid), 1));
    *lo = k_mul(b, g, k_i64(b, chunk));
    *hi = k_2(b, K_MIN, k_add(b, *lo, k_i64(b, chunk)), sched_dim(e, size));
}

static void open_chunks(emit *e, int l, int64_t chunk, k_value **lo, k_value **hi) {
    grid_of_chunks(e, sched_size(e, l), chunk, lo, hi);
}

/* Opens a vector loop of `width` lanes, 0: the target's. */
static void open_vector(emit *e, int l, k_value *lo, k_value *hi, int width) {
    e->var[l] = k_var(k_for(&e->b, KL_VECTOR, width, lo, hi, 1));
}

static k_inst *open_for(emit *e, int l, k_loop kind, int width) {
    bool part = e->klo && l == e->keys;
    k_value *lo = part ? e->klo : k_i64(&e->b, 0), *hi = part ? e->khi : sched_dim(e, e->t.loops.at[l].size);
    k_inst *f = k_for(&e->b, kind, width, lo, hi, 1);
    e->var[l] = k_var(f);
    return f;
}

static k_inst *open_loop(emit *e, int l, k_loop kind) { return open_for(e, l, kind, 0); }

static void close(emit *e, int n) {
    for (int i = 0; i < n; i++) k_end(&e->b, 0, NULL);
}

static void set_cost(emit *e, const ir_dim *per_item, int weight) {
    e->launch->cost = ir_dim_mul(e->c, per_item, ir_dim_const(e->c, weight));
}

/* ---- map */

/* Loads of the elements whose address moves by other than 0 or 1 per step of loop l: they are gathered. */
static int gathers(const emit *e, int l) {
    int n = 0;
    for (int i = 0; i < e->t.accesses.n; i++) {
        const nest_access *a = &e->t.accesses.at[i];
        const ir_dim *k = nest_coef(&e->t, a, l);
        int64_t x;
        if (k && !(ir_dim_is_const(k, &x) && x == 1)) n++;
        n += __builtin_popcount(a->rest_uses & e->t.loops.at[l].vars);
    }
    return n;
}

/* Do the results have STREAM_BYTES at least, whatever the sizes turn out to be? */
static bool streams(emit *e) {
    int64_t n, most, bytes = 0;
    if (e->t.nouter != 1) return false;
    ir_dim_range(e->c, e->t.loops.at[0].size, &n, &most);
    for (int i = 0; i < e->f->k->nout; i++) bytes += rt_dtypes[e->f->k->out_dtype[i]].bytes;
    return n >= STREAM_BYTES / (bytes ? bytes : 1);
}

static void map_here(emit *e) {
    k_memo *memo = k_memo_under(e->memo);
    checks(e, memo);
    e->stream = streams(e);
    sched_store_outs(e, memo);
}

typedef const ir_expr *results[COMP_MAX_OUT];

/* The innermost loop, which would leave most lanes unused, is unrolled, and lanes count the one around it: they may have to
 * gather then, but all of them do. */
static bool interleaves(const emit *e) {
    int l = e->t.nouter - 1;
    int64_t n, lanes;
    if (l < 1 || e->checks.n || !ir_dim_is_const(sched_size(e, l), &n) || n < 1 || n > K_MAX_GROUP) return false;
    if (ir_dim_is_const(sched_size(e, l - 1), &lanes) && lanes < MIN_VECTOR) return false;
    return ir_dim_is(e->t.ocoef[e->t.loops.at[l].last], 1) && ir_dim_is(e->t.ocoef[e->t.loops.at[l - 1].last], n);
}

/* The results of all steps of the innermost loop, side by side. */
static void map_group(emit *e) {
    int l = e->t.nouter - 1, nout = e->f->k->nout;
    k_value *v[COMP_MAX_OUT][K_MAX_GROUP];
    int64_t n;
    results all;
    k_memo *outer = e->memo;
    memcpy(all, e->out, sizeof all);
    ir_dim_is_const(sched_size(e, l), &n);
    e->memo = k_memo_under(outer);
    compute_outside(e);
    for (int64_t j = 0; j < n; j++) {
        k_memo *memo = k_memo_under(e->memo);
        e->var[l] = k_i64(&e->b, j);
        sched_cut_piece(e, l, sched_num(e, j), sched_num(e, j + 1));
        for (int i = 0; i < nout; i++) v[i][j] = sched_value(e, memo, e->out[i]);
        memcpy(e->out, all, sizeof all);
    }
    e->var[l] = k_i64(&e->b, 0);
    for (int i = 0; i < nout; i++) k_store_group(&e->b, e->outs[i], sched_out_address(e), (int)n, v[i]);
    e->var[l] = NULL;
    e->memo = outer;
}

/* The loop whose steps are lanes. */
static int lane_loop(const emit *e) { return e->t.nouter - 1 - e->interleave; }

/* The pieces of the innermost loop that lie in [lo, hi); lo NULL: all of it. */
static void map_pieces(emit *e, int l, k_value *lo, k_value *hi) {
    k_builder *b = &e->b;
    sched_cuts cuts = {.n = 0};
    results all;
    memcpy(all, e->out, sizeof all);
    if (e->cuts >> l & 1) sched_cut_points(e, l, &cuts);
    for (int i = 0; i <= cuts.n; i++) {
        const ir_dim *from = i ? cuts.at[i - 1] : sched_num(e, 0), *to = i < cuts.n ? cuts.at[i] : sched_size(e, l);
        k_value *begin = sched_dim(e, from), *end = sched_dim(e, to);
        if (cuts.n) sched_cut_piece(e, l, from, to);
        compute_outside(e);
        if (lo) begin = i ? k_2(b, K_MAX, begin, lo) : lo, end = i < cuts.n ? k_2(b, K_MIN, end, hi) : hi;
        open_vector(e, l, begin, end, 0);
        if (e->interleave) map_group(e);
        else map_here(e);
        close(e, 1);
        e->var[l] = NULL;
        memcpy(e->out, all, sizeof all);
    }
}

static void map_loops(emit *e, int l);

/* An outer loop's piece between points `from` and `to` (-1 and cuts->n: its ends), by branches.  What is known in the piece is
 * less to look through in its parts. */
static void map_branch(emit *e, int l, const sched_cuts *cuts, int from, int to) {
    k_builder *b = &e->b;
    results all;
    memcpy(all, e->out, sizeof all);
    if (cuts->n) sched_cut_piece(e, l, from < 0 ? sched_num(e, 0) : cuts->at[from], to < cuts->n ? cuts->at[to] : sched_size(e, l));
    if (to - from == 1) {
        map_loops(e, l + 1);
        memcpy(e->out, all, sizeof all);
        return;
    }
    int mid = (from + to) / 2;
    unsigned char *checked = e->checked;
    k_if(b, k_2(b, K_LT, e->var[l], sched_dim(e, cuts->at[mid])));
    for (int arm = 0; arm < 2; arm++) {
        e->checked = rt_arena_copy(&e->c->arena, checked, (size_t)e->checks.n + 1);
        map_branch(e, l, cuts, arm ? mid : from, arm ? to : mid);
        if (arm) k_end(b, 0, NULL);
        else k_else(b, 0, NULL);
    }
    e->checked = checked;
    memcpy(e->out, all, sizeof all);
}

/* Loops from l on; those before it are open. */
static void map_loops(emit *e, int l) {
    sched_cuts cuts = {.n = 0};
    if (l == lane_loop(e)) {
        map_pieces(e, l, NULL, NULL);
        return;
    }
    if (e->cuts >> l & 1) sched_cut_points(e, l, &cuts);
    map_branch(e, l, &cuts, -1, cuts.n);
}

/* The loops that are cut: from the innermost one, as long as the pieces are few enough. */
static uint32_t loops_to_cut(const emit *e) {
    uint32_t u = 0;
    int pieces = 1;
    sched_cuts cuts;
    for (int l = lane_loop(e); l >= 0; l--) {
        sched_cut_points(e, l, &cuts);
        if (!cuts.n || (pieces > 1 && pieces * (cuts.n + 1) > MAX_PIECES)) continue;
        pieces *= cuts.n + 1;
        u |= 1u << l;
    }
    return u;
}

static void emit_map(emit *e) {
    int weight = e->x.n < 4 ? 1 : e->x.n / 4;
    k_value *lo, *hi;
    e->interleave = interleaves(e);
    e->cuts = loops_to_cut(e);
    int l = lane_loop(e);
    sched_tables(e, l);
    const ir_dim *each = product(e, l + 1, e->t.nouter);
    if (l < 0) {
        map_here(e);
        return;
    }
    if (l == 0) {
        open_chunks(e, 0, MAP_CHUNK, &lo, &hi);
        set_cost(e, ir_dim_mul(e->c, each, ir_dim_const(e->c, MAP_CHUNK)), weight);
        map_pieces(e, 0, lo, hi);
    } else {
        open_grid(e, l, -1);
        set_cost(e, ir_dim_mul(e->c, each, e->t.loops.at[l].size), weight);
        map_loops(e, 0);
    }
    close(e, 1);
}

/* ---- reduce */

static bool large(const ir_dim *d) {
    int64_t x;
    return !ir_dim_is_const(d, &x) || x >= MIN_VECTOR;
}

static bool constant_init(const emit *e) {
    for (int i = 0; i < e->f->k->nstate; i++)
        if (e->init[i]->op != X_CONST) return false;
    return true;
}

/* One light sum over outputs that lie side by side (or merged in any tree): more of them can run at once. */
static bool one_sum(const emit *e) { return e->f->k->nstate == 1 && e->x.n <= LIGHT; }

/* Lanes for sums along loop l, or over its outputs: the most, up to 64, that leave few unused; 0: the target's. */
static int sum_width(const emit *e, int l) {
    int64_t size;
    if (!one_sum(e)) return 0;
    if (e->klo && l == e->keys) return REDUCE_CHUNK;
    if (!ir_dim_is_const(e->t.loops.at[l].size, &size)) return 0;
    for (int w = REDUCE_CHUNK; w > MIN_VECTOR; w /= 2)
        if (size % w == 0 || size >= 8 * w) return w;
    return 0;
}

/* Is l the last loop of a reduction without enough sums beside each other? */
static bool chains(const emit *e, int l, bool vector, int64_t *size) {
    int o = e->t.nouter - 1;
    bool few = one_sum(e) || e->f->k->nstate == 2;
    if (vector || e->klo || l != e->t.loops.n - 1 || !few || !e->f->k->associative || !constant_init(e)) return false;
    return ir_dim_is_const(e->t.loops.at[l].size, size) && *size >= 2 * CHAINS && (o < 0 || sum_width(e, o) <= 16);
}

/* state = combine(state, elem) for one step, at the current loop variables. */
static void step(emit *e, k_value **state) {
    const comp *k = e->f->k;
    k_memo *memo = k_memo_under(e->memo);
    checks(e, memo);
    if (k->contract && e->elem[0]->op == K_MUL && rt_dtypes[k->state_dtype[0]].kind == 'F') {
        k_value *a = sched_value(e, memo, e->elem[0]->args[0]), *b = sched_value(e, memo, e->elem[0]->args[1]);
        state[0] = k_3(&e->b, K_FMA, a, b, state[0]);
        return;
    }
    k_value *elem[COMP_MAX_STATE];
    for (int i = 0; i < k->nstate; i++) elem[i] = sched_value(e, memo, e->elem[i]);
    for (int i = 0; i < k->nstate; i++) e->param[i] = state[i], e->param[k->nstate + i] = elem[i];
    k_memo *again = k_memo_new(e->b.k);
    for (int i = 0; i < k->nstate; i++) state[i] = sched_value(e, again, e->combine[i]);
}

static void merge(emit *e, k_value *const *a, k_value *const *b, k_value **out) {
    int n = e->f->k->nstate;
    for (int i = 0; i < n; i++) e->param[i] = a[i], e->param[n + i] = b[i];
    k_memo *memo = k_memo_new(e->b.k);
    k_value *r[COMP_MAX_STATE];
    for (int i = 0; i < n; i++) r[i] = sched_value(e, memo, e->combine[i]);
    memcpy(out, r, (size_t)n * sizeof *r);
}

static void initial(emit *e, k_value **state) {
    k_memo *memo = k_memo_new(e->b.k);
    for (int i = 0; i < e->f->k->nstate; i++) state[i] = sched_value(e, memo, e->init[i]);
}

/* Iterations of a loop. */
typedef struct span { k_value *lo, *hi; } span;

static k_inst *open_span(emit *e, int l, k_loop kind, int width, span at) {
    k_inst *f = k_for(&e->b, kind, width, at.lo, at.hi, 1);
    e->var[l] = k_var(f);
    return f;
}

static void vector_reduce(emit *e, int l, span at, k_value **state) {
    int n = e->f->k->nstate;
    k_value *lane[COMP_MAX_STATE], *left[COMP_MAX_STATE], *right[COMP_MAX_STATE], *r[COMP_MAX_STATE];
    initial(e, lane);
    k_inst *f = open_span(e, l, KL_VECTOR, sum_width(e, l), at);
    for (int i = 0; i < n; i++) lane[i] = k_carry(&e->b, f, lane[i]);
    step(e, lane);
    k_end(&e->b, n, lane);
    k_inst *red = k_reduce_block(&e->b, n, f->out, left, right);
    merge(e, left, right, r);
    k_end(&e->b, n, r);
    merge(e, state, red->out, state);
}

/* A multiple of CHAINS steps of the last loop, in CHAINS parts: step t goes to part t % CHAINS. */
static void chained_reduce(emit *e, int l, span at, k_value **state) {
    k_builder *b = &e->b;
    int n = e->f->k->nstate;
    k_value *part[CHAINS][COMP_MAX_STATE], *next[CHAINS * COMP_MAX_STATE];
    for (int c = 1; c < CHAINS; c++) initial(e, part[c]);
    memcpy(part[0], state, (size_t)n * sizeof *state);
    k_inst *f = k_for(b, KL_SERIAL, 0, at.lo, at.hi, CHAINS);
    for (int c = 0; c < CHAINS; c++)
        for (int i = 0; i < n; i++) part[c][i] = k_carry(b, f, part[c][i]);
    for (int c = 0; c < CHAINS; c++) {
        e->var[l] = k_add(b, k_var(f), k_i64(b, c));
        step(e, part[c]);
        memcpy(next + c * n, part[c], (size_t)n * sizeof *next);
    }
    k_end(b, CHAINS * n, next);
    for (int c = 0; c < CHAINS; c++) memcpy(part[c], f->out + c * n, (size_t)n * sizeof *next);
    for (int h = CHAINS / 2; h > 0; h /= 2)
        for (int c = 0; c < h; c++) merge(e, part[c], part[c + h], part[c]);
    memcpy(state, part[0], (size_t)n * sizeof *state);
}

static void reduce_loops(emit *e, int l, bool vector, k_value **state);

static void serial_reduce(emit *e, int l, bool vector, span at, k_value **state) {
    int n = e->f->k->nstate;
    k_inst *f = open_span(e, l, KL_SERIAL, 0, at);
    k_value *p[COMP_MAX_STATE];
    for (int i = 0; i < n; i++) p[i] = k_carry(&e->b, f, state[i]);
    reduce_loops(e, l + 1, vector, p);
    k_end(&e->b, n, p);
    for (int i = 0; i < n; i++) state[i] = f->out[i];
}

/* How a long sum is taken apart so that its rounding errors stay small: a loop in blocks of `block` iterations, BLOCK of
 * which make one of the next level, and each of them is a sum of its own. */
typedef struct blocks { int levels; int64_t block; bool vector, chained; } blocks;

static int64_t most_of(const emit *e, int l) {
    int64_t low, high;
    ir_dim_range(e->c, e->t.loops.at[l].size, &low, &high);
    return high;
}

static bool float_sum(const emit *e) {
    const comp *k = e->f->k;
    return k->associative && constant_init(e) && e->combine[0]->op == K_ADD && rt_dtypes[k->state_dtype[0]].kind == 'F';
}

static int64_t additions(const emit *e, int l, bool vector);

static blocks blocks_of(const emit *e, int l, bool vector) {
    int64_t size, each = additions(e, l + 1, vector);
    blocks s = {.vector = vector && l == e->t.loops.n - 1, .chained = chains(e, l, vector, &size)};
    s.block = BLOCK * (s.vector ? REDUCE_CHUNK : s.chained ? CHAINS : 1) / each;
    if (s.block < 1) s.block = 1;
    if (!float_sum(e) || (e->klo && l == e->keys)) return s;
    for (int64_t n = s.block; s.levels < BLOCK_LEVELS && n < most_of(e, l) / 2; n *= BLOCK) s.levels++;
    return s;
}

/* What the loops from l on add to one sum, one after the other, at most; BLOCK for more. */
static int64_t additions(const emit *e, int l, bool vector) {
    if (l >= e->t.loops.n) return 1;
    blocks s = blocks_of(e, l, vector);
    if (s.vector || s.chained) return 1;
    int64_t n = most_of(e, l);
    return s.levels || n >= s.block ? BLOCK : n < 1 ? 1 : n * additions(e, l + 1, vector);
}

/* Iterations `at`, in so many levels of blocks. */
static void reduce_blocks(emit *e, int l, bool vector, const blocks *s, int levels, span at, k_value **state) {
    k_builder *b = &e->b;
    int n = e->f->k->nstate;
    int64_t size = s->block;
    if (!levels) {
        if (s->chained) chained_reduce(e, l, at, state);
        else if (s->vector) vector_reduce(e, l, at, state);
        else serial_reduce(e, l, vector, at, state);
        return;
    }
    for (int i = 1; i < levels; i++) size *= BLOCK;
    k_value *p[COMP_MAX_STATE], *part[COMP_MAX_STATE];
    initial(e, part);
    k_inst *f = k_for(b, KL_SERIAL, 0, at.lo, at.hi, size);
    for (int i = 0; i < n; i++) p[i] = k_carry(b, f, state[i]);
    span in = {k_var(f), k_2(b, K_MIN, k_add(b, k_var(f), k_i64(b, size)), at.hi)};
    reduce_blocks(e, l, vector, s, levels - 1, in, part);
    merge(e, p, part, p);
    k_end(b, n, p);
    for (int i = 0; i < n; i++) state[i] = f->out[i];
}

static void reduce_loops(emit *e, int l, bool vector, k_value **state) {
    int64_t size;
    if (l == e->t.loops.n) {
        step(e, state);
        return;
    }
    compute_outside(e);
    bool part = e->klo && l == e->keys;
    span at = {part ? e->klo : k_i64(&e->b, 0), part ? e->khi : sched_dim(e, sched_size(e, l))};
    blocks s = blocks_of(e, l, vector);
    int rest = s.chained && ir_dim_is_const(sched_size(e, l), &size) ? (int)(size % CHAINS) : 0;
    if (rest) at.hi = k_i64(&e->b, size - rest);
    reduce_blocks(e, l, vector, &s, s.levels, at, state);
    for (int c = 0; c < rest; c++) {
        e->var[l] = k_i64(&e->b, size - rest + c);
        step(e, state);
    }
}

static void reduce_and_store(emit *e, bool vector) {
    k_value *state[COMP_MAX_STATE];
    if (e->start) state[0] = e->start;
    else initial(e, state);
    reduce_loops(e, e->t.nouter, vector, state);
    for (int i = 0; i < e->f->k->nstate; i++) e->param[i] = state[i];
    sched_store_outs(e, k_memo_under(e->memo));
}

static bool along_reduction(emit *e) {
    int r = e->t.loops.n - 1, o = e->t.nouter > e->f->nrows ? e->t.nouter - 1 : -1;
    if (r < e->t.nouter || !e->f->k->associative || !constant_init(e) || !large(e->t.loops.at[r].size)) return false;
    if (o < 0 || !large(e->t.loops.at[o].size)) return true;
    return gathers(e, r) <= gathers(e, o);
}

static void emit_reduce(emit *e) {
    int m = e->t.nouter;
    bool vector = along_reduction(e);
    sched_tables(e, vector ? e->t.loops.n - 1 : m - 1);
    const ir_dim *steps = product(e, m, e->t.loops.n);
    int opened = 0;
    if (vector || m == 0) {
        if (m) open_grid(e, m, -1), opened = 1;
        set_cost(e, steps, 2);
    } else if (m == 1) {
        k_value *lo, *hi;
        open_chunks(e, 0, REDUCE_CHUNK, &lo, &hi);
        open_vector(e, 0, lo, hi, sum_width(e, 0));
        set_cost(e, steps, REDUCE_CHUNK);
        opened = 2;
    } else {
        open_grid(e, m - 1, -1);
        compute_outside(e);
        open_vector(e, m - 1, k_i64(&e->b, 0), sched_dim(e, e->t.loops.at[m - 1].size), sum_width(e, m - 1));
        set_cost(e, ir_dim_mul(e->c, steps, e->t.loops.at[m - 1].size), 1);
        opened = 2;
    }
    reduce_and_store(e, vector);
    close(e, opened);
}

/* ---- stages */

const ir_dim *sched_stage(emit *e, k_value *lo, k_value *hi) {
    int first = e->f->nrows, m = e->t.nouter;
    bool reduces = e->f->k->nstate > 0, lanes = !e->var[first - 1], vector = reduces && !lanes && along_reduction(e);
    bool columns = !vector && !lanes && m > first;
    for (int l = first; l < m; l++) {
        compute_outside(e);
        open_for(e, l, columns && l == m - 1 ? KL_VECTOR : KL_SERIAL, columns && l == m - 1 && reduces ? sum_width(e, l) : 0);
    }
    compute_outside(e);
    if (lanes) open_vector(e, first - 1, lo, hi, reduces && one_sum(e) ? ROW_LANES : 0);
    if (reduces) reduce_and_store(e, vector);
    else map_here(e);
    close(e, m - first + lanes);
    return ir_dim_mul(e->c, product(e, first, e->t.loops.n), ir_dim_const(e->c, e->x.n < 4 ? 1 : e->x.n / 4));
}

/* ---- scan */

/* Opens the loops around a scan over loop r, which also counts the results of loop `skip` (-1: none); how many. */
static int open_scan(emit *e, int r, int skip) {
    int m = e->t.nouter, others = m - (skip >= 0);
    bool lanes = r >= 0 && skip >= 0 && skip < m - 1 && large(sched_size(e, m - 1));
    const ir_dim *steps = r >= 0 ? sched_size(e, r) : one(e);
    if (!others) return 0;
    if (!lanes) {
        open_grid(e, m, skip);
        set_cost(e, steps, 4);
        return 1;
    }
    k_value *lo = k_i64(&e->b, 0), *hi;
    if (others == 1) open_chunks(e, m - 1, REDUCE_CHUNK, &lo, &hi);
    else {
        open_grid(e, m - 1, skip);
        hi = sched_dim(e, sched_size(e, m - 1));
    }
    open_vector(e, m - 1, lo, hi, sum_width(e, m - 1));
    set_cost(e, ir_dim_mul(e->c, steps, others == 1 ? sched_num(e, REDUCE_CHUNK) : sched_size(e, m - 1)), 1);
    return 2;
}

static void emit_scan(emit *e) {
    const comp *k = e->f->k;
    int m = e->t.nouter, skip = -1, r = m < e->t.loops.n ? m : -1;
    for (int l = 0; l < m; l++)
        if (e->t.loops.at[l].vars == 1u << k->scan) skip = l;
    int opened = open_scan(e, r, skip);
    k_value *state[COMP_MAX_STATE], *p[COMP_MAX_STATE];
    initial(e, state);
    k_inst *f = r >= 0 ? open_loop(e, r, KL_SERIAL) : NULL;
    if (skip >= 0) e->var[skip] = e->var[r];
    for (int i = 0; i < k->nstate; i++) p[i] = f ? k_carry(&e->b, f, state[i]) : state[i];
    step(e, p);
    for (int i = 0; i < k->nstate; i++) e->param[i] = p[i];
    sched_store_outs(e, k_memo_new(e->b.k));
    if (f) k_end(&e->b, k->nstate, p);
    close(e, opened);
}

/* ---- write */

/* The dim of the result whose index is the variable of loop l, and nothing more; -1: none.  Such a loop writes other elements
 * in each iteration. */
static int written_along(const emit *e, int l) {
    for (int d = 0; d < e->f->k->nat; d++)
        if (e->at[d]->op == X_INDEX && e->at[d]->i == l) return d;
    return -1;
}

/* May the last loop be lanes?  It goes along the last dim, and decides nothing else about where to. */
static bool writes_in_lanes(emit *e) {
    int l = e->t.nouter - 1, dim = e->f->k->nat - 1;
    nest_facts *facts = RT_ARRAY(&e->c->arena, nest_facts, e->x.n + 1);
    if (l < 0 || dim != written_along(e, l) || !large(sched_size(e, l)) || !runs(e)) return false;
    for (int d = 0; d < dim; d++)
        if (nest_facts_of(facts, e->at[d])->uses >> l & 1) return false;
    return true;
}

/* What the indexes of dims [from, to) of the result add to the address.  Checked, unless a loop no longer than the dim counts
 * them. */
static k_value *write_address(emit *e, k_memo *memo, int from, int to) {
    const ir_type *t = e->f->k->out_type;
    const ir_dim *stride = one(e);
    k_value *at = k_i64(&e->b, 0);
    for (int d = t->rank - 1; d >= from; stride = ir_dim_mul(e->c, stride, t->dims[d--])) {
        if (d >= to) continue;
        k_value *i = sched_value(e, memo, e->at[d]);
        bool inside = e->at[d]->op == X_INDEX && ir_dim_le(e->c, sched_size(e, e->at[d]->i), t->dims[d]) == IR_YES;
        if (!inside) check_index(e, i, t->dims[d], "index is out of bounds");
        at = k_add(&e->b, k_mul(&e->b, i, sched_dim(e, stride)), at);
    }
    return at;
}

/* The result begins as a copy of the base: a kernel that runs before. */
static void copy_base(emit *main) {
    const comp *k = main->f->k;
    const ir_value *base = main->f->operands.at[k->base];
    emit x = sched_before(main, "base"), *e = &x;
    k_buffer *in = sched_buffer(e, LB_IN, sched_input(e->kernel, base), base->type->dtype, NULL, "in");
    k_buffer *out = sched_buffer(e, LB_OUT, 0, k->out_dtype[0], NULL, "out");
    const ir_dim *n = one(e);
    for (int d = 0; d < k->out_type->rank; d++) n = ir_dim_mul(e->c, n, k->out_type->dims[d]);
    k_value *lo, *hi;
    grid_of_chunks(e, n, MAP_CHUNK, &lo, &hi);
    k_value *i = k_var(k_for(&e->b, KL_VECTOR, 0, lo, hi, 1));
    k_store(&e->b, out, i, k_cast(&e->b, k_load(&e->b, in, i), k->out_dtype[0]));
    close(e, 2);
    set_cost(e, sched_num(e, MAP_CHUNK), 1);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

/* Loops that write apart from each other are the grid, as far as they stand outermost, and the innermost one lanes. */
static void emit_write(emit *e) {
    const comp *k = e->f->k;
    k_builder *b = &e->b;
    bool lanes = writes_in_lanes(e);
    int m = e->t.nouter, serial = m - lanes, apart = 0, last = k->nat - lanes;
    copy_base(e);
    while (apart < serial && written_along(e, apart) >= 0) apart++;
    if (apart) open_grid(e, apart, -1);
    set_cost(e, product(e, apart, m), 1);
    for (int l = apart; l < serial; l++) open_loop(e, l, KL_SERIAL);
    compute_outside(e);
    k_value *at = write_address(e, e->memo, 0, last);
    if (lanes) open_loop(e, m - 1, KL_VECTOR);
    k_memo *memo = k_memo_under(e->memo);
    checks(e, memo);
    at = k_add(b, at, write_address(e, memo, last, k->nat));
    k_value *v = sched_value(e, memo, e->elem[0]);
    if (e->combine[0]) {
        e->param[0] = k_load(b, e->outs[0], at);
        e->param[1] = v;
        v = sched_value(e, k_memo_new(b->k), e->combine[0]);
    }
    k_store(b, e->outs[0], at, k_cast(b, v, k->out_dtype[0]));
    close(e, m - apart + (apart > 0));
}

/* ---- groups */

static void add_label(rt_text *t, const ir_node *kernel) {
    for (const ir_node *n = kernel->blocks[0]->first; n && t->n < 60; n = n->next) {
        if (n->op->cls != OP_STRUCT) rt_text_fmt(t, "%s%s", t->n ? "+" : "", n->op->name);
        else if (n->op->id == S_KERNEL) add_label(t, n);
    }
}

static const char *label(ir_context *c, const ir_node *kernel) {
    rt_text t = {0};
    add_label(&t, kernel);
    const char *s = ir_intern(c, t.s ? t.s : "");
    rt_text_free(&t);
    return s;
}

k_buffer *sched_buffer(emit *e, lower_buffer_kind kind, int index, rt_dtype dtype, const ir_dim *elements, const char *name) {
    lower_buffer x = {kind, index, dtype, elements, 0};
    RT_PUSH(&e->c->arena, &e->launch->buffers, x);
    return k_arg(e->b.k, dtype, name);
}

void sched_open(emit *e, const char *name) {
    e->launch->kernel = k_kernel_new(e->c, name);
    e->launch->kernel->span = e->launch->span = e->kernel->span;
    e->b = k_build(e->launch->kernel);
    e->launch->grid = e->launch->cost = one(e);
    e->memo = k_memo_new(e->launch->kernel);
    e->checked = RT_ARRAY(&e->c->arena, unsigned char, e->checks.n + 1);
    e->in = RT_ARRAY(&e->c->arena, k_buffer *, e->f->operands.n + SCHED_TABLES);
    e->scalars = RT_ARRAY(&e->c->arena, k_value *, e->f->operands.n + 1);
}

void sched_begin(emit *e, const char *name) {
    const fused *f = e->f;
    sched_open(e, name);
    for (int i = 0; i < f->operands.n; i++) {
        ir_value *v = f->operands.at[i];
        if (v->type->kind == T_TENSOR && !e->unused[i])
            e->in[i] = sched_buffer(e, LB_IN, sched_input(e->kernel, v), v->type->dtype, NULL, "in");
    }
    for (int i = 0; i < e->kernel->nout; i++)
        e->outs[i] = sched_buffer(e, LB_OUT, i, e->kernel->out[i]->type->dtype, NULL, "out");
    for (int i = 0, n = 0; i < f->operands.n && e->t.base; i++)
        if (e->in[i]) e->launch->buffers.at[n++].first = e->t.base[i];
}

emit sched_before(emit *e, const char *suffix) {
    emit x = *e;
    lower_launch fresh = {0};
    x.launch = RT_NEW(&e->c->arena, lower_launch);
    *x.launch = fresh;
    sched_open(&x, ir_fmt(e->c, "%s_k%d_%s", e->kernel->block->func->name, e->kernel->id, suffix));
    return x;
}

static void emit_loops(emit *e) {
    switch (lower_comp_kind(e->f->k)) {
    case CK_SCAN: emit_scan(e); break;
    case CK_WRITE: emit_write(e); break;
    case CK_REDUCE:
    case CK_CONTRACT: emit_reduce(e); break;
    default: emit_map(e);
    }
}

/* Layers of one shape give the same kernel: made once. */
static void share_kernel(lower_launch *l, ir_context *c, rt_map *shared) {
    if (l->failures.n) return; /* its codes are this group's own */
    rt_text t = {0};
    const char *name = l->kernel->name;
    l->kernel->name = "";
    k_print(&t, l->kernel);
    l->kernel->name = name;
    k_kernel *same = t.failed ? NULL : rt_map_getn(shared, t.s, t.n);
    if (same) l->kernel = same;
    else if (!t.failed) rt_map_putn(&c->arena, shared, t.s, t.n, l->kernel);
    rt_text_free(&t);
}

static void build_nest(emit *e) {
    nest_build(e->c, e->f, e->kernel->out[0], &e->t);
    nest_rebase(&e->t);
}

/* Is the operand read where the result's element lies, and nowhere else? */
static bool same_place(const emit *e, int operand) {
    const comp *k = e->f->k;
    bool same = !e->t.base || !e->t.base[operand];
    for (int i = 0; i < e->t.accesses.n && same; i++) {
        const nest_access *a = &e->t.accesses.at[i];
        if (a->load->i != operand) continue;
        same = !a->rest;
        for (int v = 0; v < k->ndims + k->nrdims; v++) {
            const ir_dim *size = v < k->ndims ? k->dims[v] : k->rdims[v - k->ndims];
            same = same && (ir_dim_is(size, 1) || a->coef[v] == (v < k->ndims ? e->t.ocoef[v] : NULL));
        }
    }
    return same;
}

/* Each element of the result is stored once, by the epilogue or the loop's body, after what that has loaded.  What a reduction
 * itself reads is refused, since tiles and windows read ahead of their epilogue. */
static void find_overwritable(const emit *e, comp_kind kind) {
    const ir_value *out = e->kernel->out[0];
    if (e->kernel->nout != 1 || (kind != CK_MAP && kind != CK_REDUCE && kind != CK_CONTRACT)) return;
    for (int o = 0; o < e->f->operands.n; o++) {
        const ir_value *v = e->f->operands.at[o];
        if (v->type->kind != T_TENSOR || v->type->dtype != out->type->dtype || !same_place(e, o)) continue;
        if (kind == CK_MAP || !nest_loads(&e->t, e->f->k->elem, e->f->k->nstate, o)) RT_PUSH(&e->c->arena, &e->info->over, v);
    }
}

static bool schedule_one(ir_module *m, ir_node *kernel, lower_kernel *info, rt_map *shared) {
    fused f;
    if (!lower_fused(m, kernel, &f)) return false;
    lower_launch *main = RT_NEW(&m->c->arena, lower_launch);
    emit e = {.c = m->c, .f = &f, .launch = main, .m = m, .kernel = kernel, .info = info, .shared = shared};
    e.unused = RT_ARRAY(&m->c->arena, bool, f.operands.n + 1);
    build_nest(&e);
    tiles t;
    stencil s;
    winograd w;
    comp_kind kind = lower_comp_kind(f.k);
    find_overwritable(&e, kind);
    bool contract = kind == CK_CONTRACT, fast = contract && sched_winograd_plan(&e, &w);
    bool windows = contract && !fast ? sched_stencil_plan(&e, &s) : kind == CK_REDUCE && sched_pool_plan(&e, &s);
    if (!fast && !windows && (contract || kind == CK_REDUCE)) build_nest(&e); /* a plan that fails leaves its marks */
    bool tiled = contract && !fast && !windows && sched_tiles_plan(&e, &t);
    if (contract && !fast && !windows && !tiled) build_nest(&e);
    if (kind == CK_MAP && sched_turn_plan(&e, &f)) build_nest(&e);
    sched_rewrite(&e);
    sched_begin(&e, ir_fmt(m->c, "%s_k%d_%s", kernel->block->func->name, kernel->id, info->label));
    sched_turn(&e);
    if (fast) sched_winograd(&e, &w);
    else if (tiled) sched_tiles(&e, &t);
    else if (windows) sched_stencil(&e, &s);
    else emit_loops(&e);
    RT_PUSH(&m->c->arena, &info->launches, *main);
    return true;
}

bool lower_schedule_group(ir_module *m, ir_node *kernel, rt_map *shared) {
    lower_kernel *info = RT_NEW(&m->c->arena, lower_kernel);
    info->label = label(m->c, kernel);
    kernel->info = info;
    bool staged = stages_staged(kernel);
    if (!(staged ? sched_staged(m, kernel, info, shared) : schedule_one(m, kernel, info, shared))) return false;
    for (int i = 0; i < info->launches.n; i++) {
        if (!k_verify(info->launches.at[i].kernel)) return false;
        share_kernel(&info->launches.at[i], m->c, shared);
    }
    return true;
}

static int schedule_block(ir_module *m, ir_block *b, rt_map *shared) {
    int n = 0;
    for (ir_node *x = b->first; x; x = x->next) {
        if (x->op->cls == OP_STRUCT && x->op->id == S_KERNEL) n += lower_schedule_group(m, x, shared);
        else
            for (int i = 0; i < x->nblocks; i++) n += schedule_block(m, x->blocks[i], shared);
    }
    return n;
}

int lower_schedule(ir_module *m) {
    int n = 0;
    rt_map shared = {0};
    for (int i = 0; i < m->funcs.n; i++) n += schedule_block(m, ((ir_func *)m->funcs.entries[i].value)->body, &shared);
    return n;
}
