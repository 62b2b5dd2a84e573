/* tile.c: contractions on register tiles: C[m, n] = sum over k of A[m, k] * B[k, n], with batch loops around and more than
 * one reduce loop inside.
 *
 * Columns are the output's contiguous loop, in panels of TILE_N; rows in tiles of at most TILE_M, balanced so that there are
 * two heights at most when the number of rows is known.  B is read in place where its columns are contiguous; params are
 * packed in panels [N / TILE_N][K][TILE_N] at compile time, other operands by a kernel of their own before.  A is read in
 * place.  The epilogue (bias, activation, residual ...) is scalar code on the finished tile. */
#include "lower/emit.h"

enum { TILE_M = 6, TILE_N = 16, GROUP = 16 /* tiles of rows that share a panel while it is in the cache */, ITEM_FLOPS = 1 << 20 };

typedef const ir_dim *D;

static D num(emit *e, int64_t x) { return ir_dim_const(e->c, x); }
static D ceil_div(emit *e, D a, int64_t b) { return ir_dim_floordiv(e->c, ir_dim_add(e->c, a, num(e, b - 1)), num(e, b)); }
static D size_of(const emit *e, int loop) { return e->t.loops.at[loop].size; }

/* ---- padding: select(index inside, load, 0) as a load from a zero-padded copy */

typedef struct line { int64_t coef[NEST_MAX], c; } line; /* an index that is a sum of variables times constants */

static bool line_of(const ir_expr *x, line *out) {
    line b;
    *out = (line){.c = 0};
    if (x->op == X_INDEX) return out->coef[x->i] = 1, true;
    if (x->op == X_CONST) return out->c = x->k, true;
    if (x->n != 2 || !line_of(x->args[0], out) || !line_of(x->args[1], &b)) return false;
    int64_t k = 1;
    if (x->op == K_MUL) {
        bool left = x->args[0]->op == X_CONST;
        if (!left && x->args[1]->op != X_CONST) return false;
        k = left ? out->c : b.c;
        if (left) *out = b;
        for (int i = 0; i < NEST_MAX; i++) out->coef[i] *= k;
        out->c *= k;
        return true;
    }
    if (x->op != K_ADD && x->op != K_SUB) return false;
    k = x->op == K_SUB ? -1 : 1;
    for (int i = 0; i < NEST_MAX; i++) out->coef[i] += k * b.coef[i];
    out->c += k * b.c;
    return true;
}

static bool in_load(const ir_expr *load, const ir_expr *index) {
    for (int i = 0; i < load->n; i++)
        if (load->args[i] == index) return true;
    return false;
}

/* Is the guard nothing but comparisons of the load's own indices with sizes and constants? */
static bool only_bounds(const ir_expr *g, const ir_expr *load) {
    if (g->op == K_AND) return only_bounds(g->args[0], load) && only_bounds(g->args[1], load);
    if (g->op != K_GE && g->op != K_LT) return false;
    return in_load(load, g->args[0]) && (g->args[1]->op == X_CONST || g->args[1]->op == X_DIM);
}

static D var_size(const comp *k, int i) { return i < k->ndims ? k->dims[i] : k->rdims[i - k->ndims]; }

/* Finds the padded copy's sizes and the access to it.  false: the factor is no guarded load of this form. */
static bool plan_padding(emit *e, const ir_expr *x, tiles *t) {
    const comp *k = e->f->k;
    if (x->op != K_SELECT || x->args[2]->op != X_CONST || x->args[2]->f != 0) return false;
    const ir_expr *load = x->args[1];
    if (load->op != X_LOAD || load->dtype != DT_F32 || !only_bounds(x->args[0], load)) return false;
    nest_access *a = RT_NEW(&e->c->arena, nest_access);
    a->load = load;
    D stride = num(e, 1);
    for (int d = load->n - 1; d >= 0; d--) {
        line l;
        if (!line_of(load->args[d], &l)) return false;
        t->size[d] = num(e, 1);
        t->shift[d] = l.c;
        for (int i = 0; i < k->ndims + k->nrdims; i++) {
            if (l.coef[i] < 0) return false;
            if (!l.coef[i]) continue;
            D c = num(e, l.coef[i]), step = ir_dim_mul(e->c, stride, c);
            t->size[d] = ir_dim_add(e->c, t->size[d], ir_dim_mul(e->c, c, ir_dim_sub(e->c, var_size(k, i), num(e, 1))));
            a->coef[i] = a->coef[i] ? ir_dim_add(e->c, a->coef[i], step) : step;
        }
        stride = ir_dim_mul(e->c, stride, t->size[d]);
    }
    t->padded = true;
    t->load = load;
    t->ba = a;
    return true;
}

static D padded_elements(emit *e, const tiles *t) {
    D n = num(e, 1);
    for (int d = 0; d < t->load->n; d++) n = ir_dim_mul(e->c, n, t->size[d]);
    return n;
}

/* ---- is it one */

static bool plain_load(const ir_expr *x, const ir_expr **load) { /* f32, f16 or bf16 */
    while (x->op == K_CAST) x = x->args[0];
    *load = x;
    return x->op == X_LOAD && rt_dtypes[x->dtype].kind == 'F' && x->dtype != DT_F64;
}

static D coef(const emit *e, const nest_access *a, int loop) { return nest_coef(&e->t, a, loop); }

static bool is_one(D d) {
    int64_t x;
    return d && ir_dim_is_const(d, &x) && x == 1;
}

static bool choose_roles(emit *e, tiles *t) {
    int n = e->t.nouter - 1;
    if (n < 0 || !is_one(e->t.ocoef[e->t.loops.at[n].last])) return false;
    if (!!coef(e, t->aa, n) == !!coef(e, t->ba, n)) return false;
    if (t->padded && coef(e, t->aa, n)) return false;
    if (coef(e, t->aa, n)) { /* B is the factor that the columns run over */
        const nest_access *x = t->aa;
        t->aa = t->ba;
        t->ba = x;
        int o = t->a;
        t->a = t->b;
        t->b = o;
    }
    t->nloop = n;
    t->mloop = -1;
    for (int l = 0; l < n; l++)
        if (coef(e, t->aa, l) && !coef(e, t->ba, l)) t->mloop = l;
    return true;
}

static bool is_param(const ir_value *v) { return v->def && v->def->op->cls == OP_STRUCT && v->def->op->id == S_PARAM; }

/* A param as B can be packed if nothing but columns and reduce loops move in it. */
static bool packable(emit *e, const tiles *t) {
    if (!is_param(e->f->operands.at[t->b])) return false;
    for (int l = 0; l < e->t.loops.n; l++) {
        bool inner = l == t->nloop || l >= e->t.nouter;
        if (coef(e, t->ba, l) && !inner) return false;
        if (inner && !ir_dim_is_const(size_of(e, l), NULL)) return false;
    }
    return true;
}

static int loads_of(const ir_expr *x, int operand) {
    int n = x->op == X_LOAD && x->i == operand;
    for (int i = 0; i < x->n; i++) n += loads_of(x->args[i], operand);
    return n;
}

/* Calls fn(index in panels, element offset) for all elements of the packed operand. */
static void pack_elements(emit *e, const tiles *t, const rt_tensor *from, rt_tensor *to) {
    int64_t n = to->shape[0] * TILE_N, k = to->shape[1], width = 0, step[NEST_MAX] = {0}, size[NEST_MAX] = {0}, column = 0;
    ir_dim_is_const(size_of(e, t->nloop), &width);
    if (coef(e, t->ba, t->nloop)) ir_dim_is_const(coef(e, t->ba, t->nloop), &column);
    for (int l = e->t.nouter; l < e->t.loops.n; l++) {
        ir_dim_is_const(size_of(e, l), &size[l]);
        if (coef(e, t->ba, l)) ir_dim_is_const(coef(e, t->ba, l), &step[l]);
    }
    for (int64_t p = 0; p < n; p++)
        for (int64_t r = 0; r < k; r++) {
            int64_t at = p * column, rest = r;
            for (int l = e->t.loops.n - 1; l >= e->t.nouter; l--) {
                at += rest % size[l] * step[l];
                rest /= size[l];
            }
            double x = p < width ? rt_load_f64(from->storage->data, from->dtype, from->offset + at) : 0;
            rt_store_f64(to->storage->data, to->dtype, (p / TILE_N * k + r) * TILE_N + p % TILE_N, x);
        }
}

static D reduce_size(emit *e) {
    D k = num(e, 1);
    for (int l = e->t.nouter; l < e->t.loops.n; l++) k = ir_dim_mul(e->c, k, size_of(e, l));
    return k;
}

static bool pack_param(emit *e, tiles *t) {
    ir_value *v = e->f->operands.at[t->b];
    const ir_tensor_data *d = rt_map_get(&e->m->tensors, v->def->sym);
    int64_t shape[3] = {0, 0, TILE_N};
    ir_dim_is_const(ceil_div(e, size_of(e, t->nloop), TILE_N), &shape[0]);
    ir_dim_is_const(reduce_size(e), &shape[1]);
    if (!rt_tensor_contiguous(d->tensor)) return false;
    rt_tensor *packed = rt_tensor_new(d->tensor->dtype, 3, shape);
    if (!packed) return false;
    pack_elements(e, t, d->tensor, packed);
    D dims[3] = {num(e, shape[0]), num(e, shape[1]), num(e, shape[2])};
    ir_value *p = lower_new_param(e->m, e->kernel, packed, ir_type_tensor(e->c, packed->dtype, 3, dims));
    for (int i = 0; i < e->kernel->nin; i++)
        if (e->kernel->in[i] == v) {
            ir_set_input(e->kernel, i, p);
            t->bin = i;
        }
    return t->bin >= 0;
}

static bool has_empty_loop(const emit *e) {
    int64_t n;
    for (int l = 0; l < e->t.loops.n; l++)
        if (ir_dim_is_const(size_of(e, l), &n) && n == 0) return true;
    return false;
}

bool sched_tiles_plan(emit *e, tiles *t) {
    const comp *k = e->f->k;
    const ir_expr *la, *lb;
    *t = (tiles){.bin = -1};
    if (k->checks.n || k->nstate != 1 || k->state_dtype[0] != DT_F32 || k->elem[0]->op != K_MUL) return false;
    if (e->init[0]->op != X_CONST || e->init[0]->f != 0 || e->t.loops.n == e->t.nouter || has_empty_loop(e)) return false;
    const ir_expr *x = k->elem[0]->args[0], *y = k->elem[0]->args[1];
    if (plan_padding(e, y, t)) {
        const ir_expr *swap = x;
        x = y;
        y = swap;
    }
    bool padded = t->padded || plan_padding(e, x, t);
    if (!padded && !plain_load(x, &lb)) return false;
    if (padded) lb = t->load;
    if (!plain_load(y, &la)) return false;
    t->a = la->i;
    t->b = lb->i;
    t->aa = nest_find(&e->t, la);
    if (!padded) t->ba = nest_find(&e->t, lb);
    if (t->a == t->b || t->aa->rest_uses || t->ba->rest_uses || !choose_roles(e, t)) return false;
    bool elsewhere = false;
    for (int i = 0; i < k->nout; i++) elsewhere = elsewhere || loads_of(k->out[i], t->b) > 0;
    if (padded) e->unused[t->b] = !elsewhere;
    if (!padded && packable(e, t) && !t->ba->rest && !elsewhere && pack_param(e, t)) {
        t->packed = true;
        e->unused[t->b] = true;
        return true;
    }
    return true;
}

/* ---- the padded copy */

static int input_number(const emit *e, int operand) {
    for (int i = 0; i < e->kernel->nin; i++)
        if (e->kernel->in[i] == e->f->operands.at[operand]) return i;
    return -1;
}

/* Grid over all dims but the last of the copy, which is a vector loop; outside of the operand it is 0. */
static void pad_kernel(emit *e, const tiles *t) {
    emit x = sched_before(e, "pad");
    k_builder *b = &x.b;
    ir_value *v = e->f->operands.at[t->b];
    int rank = t->load->n;
    k_buffer *in = sched_buffer(&x, LB_IN, input_number(e, t->b), v->type->dtype, NULL, "in");
    k_buffer *out = sched_buffer(&x, LB_SCRATCH, 0, v->type->dtype, padded_elements(e, t), "padded");
    D rows = num(e, 1);
    for (int d = 0; d + 1 < rank; d++) rows = ir_dim_mul(e->c, rows, t->size[d]);
    x.launch->grid = rows;
    x.launch->cost = t->size[rank - 1];
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(&x, rows), 1)), *row = g, *from = k_i64(b, 0), *inside = NULL;
    D stride = v->type->dims[rank - 1];
    for (int d = rank - 2; d >= 0; d--) {
        k_value *n = sched_dim(&x, t->size[d]), *p = d ? k_2(b, K_REM, g, n) : g;
        if (d) g = k_2(b, K_DIV, g, n);
        p = k_add(b, p, k_i64(b, t->shift[d]));
        from = k_add(b, from, k_mul(b, p, sched_dim(&x, stride)));
        k_value *ok = k_2(b, K_AND, k_2(b, K_GE, p, k_i64(b, 0)), k_2(b, K_LT, p, sched_dim(&x, v->type->dims[d])));
        inside = inside ? k_2(b, K_AND, inside, ok) : ok;
        stride = ir_dim_mul(e->c, stride, v->type->dims[d]);
    }
    k_value *width = sched_dim(&x, t->size[rank - 1]), *to = k_mul(b, row, width);
    k_value *j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), width, 1)), *p = k_add(b, j, k_i64(b, t->shift[rank - 1]));
    k_value *ok = k_2(b, K_AND, k_2(b, K_GE, p, k_i64(b, 0)), k_2(b, K_LT, p, sched_dim(&x, v->type->dims[rank - 1])));
    if (inside) ok = k_2(b, K_AND, ok, inside);
    k_store(b, out, k_add(b, to, j), k_load_if(b, in, k_add(b, from, p), ok, NULL));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

/* ---- packing at run time: panels [batch][N / TILE_N][K][TILE_N] */

static bool batch_loop(emit *e, const tiles *t, int l) { return l != t->nloop && l != t->mloop && coef(e, t->ba, l); }

static k_value *access_value(emit *e, const nest_access *a, bool (*with)(emit *e, const tiles *t, int l), const tiles *t) {
    k_builder *b = &e->b;
    k_value *at = a->rest ? sched_value(e, k_memo_new(b->k), a->rest) : k_i64(b, 0);
    for (int l = 0; l < e->t.loops.n; l++)
        if (coef(e, a, l) && with(e, t, l)) at = k_add(b, k_mul(b, e->var[l], sched_dim(e, coef(e, a, l))), at);
    return at;
}

static bool all_loops(emit *e, const tiles *t, int l) { return (void)e, (void)t, (void)l, true; }

static void pack_kernel(emit *e, const tiles *t, D elements) {
    emit x = sched_before(e, "pack");
    k_builder *b = &x.b;
    ir_value *v = e->f->operands.at[t->b];
    int input = input_number(e, t->b);
    x.in[t->b] = t->padded ? sched_buffer(&x, LB_SCRATCH, 0, v->type->dtype, padded_elements(e, t), "padded")
                           : sched_buffer(&x, LB_IN, input, v->type->dtype, NULL, "in");
    k_buffer *out = sched_buffer(&x, LB_SCRATCH, t->padded, v->type->dtype, elements, "panels");
    D rows = ir_dim_floordiv(e->c, elements, num(e, TILE_N));
    x.launch->grid = rows;
    x.launch->cost = num(e, TILE_N * 2);
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(&x, rows), 1)), *row = g;
    for (int l = e->t.loops.n - 1; l >= 0; l--) { /* g counts batch, panel, k: k fastest */
        if (l < e->t.nouter) continue;
        k_value *n = sched_dim(&x, size_of(e, l));
        x.var[l] = k_2(b, K_REM, g, n);
        g = k_2(b, K_DIV, g, n);
    }
    k_value *panels = sched_dim(&x, ceil_div(e, size_of(e, t->nloop), TILE_N)), *panel = k_2(b, K_REM, g, panels);
    g = k_2(b, K_DIV, g, panels);
    for (int l = t->nloop - 1; l >= 0; l--) {
        if (!batch_loop(e, t, l)) continue;
        k_value *n = sched_dim(&x, size_of(e, l));
        x.var[l] = k_2(b, K_REM, g, n);
        g = k_2(b, K_DIV, g, n);
    }
    k_value *first = k_mul(b, panel, k_i64(b, TILE_N)), *width = sched_dim(&x, size_of(e, t->nloop));
    k_value *j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, TILE_N), 1));
    x.var[t->nloop] = k_add(b, first, j);
    k_value *inside = k_2(b, K_LT, x.var[t->nloop], width);
    k_value *elem = k_load_if(b, x.in[t->b], access_value(&x, t->ba, all_loops, t), inside, NULL);
    k_store(b, out, k_add(b, k_mul(b, row, k_i64(b, TILE_N)), j), elem);
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

/* ---- the loops */

static int64_t hint(D d, int64_t otherwise) {
    int64_t x;
    return ir_dim_is_const(d, &x) ? x : otherwise;
}

typedef struct plan {
    const tiles *t;
    k_buffer *B;
    bool panels;        /* B lies in panels */
    k_value *a0, *b0;   /* addresses for the batch */
    k_value *M, *N;
    k_buffer *acc;
    D kall;
    int order[NEST_MAX], norder; /* of the reduce loops; the last is the contract's */
} plan;

static bool outer_only(emit *e, const tiles *t, int l) { return l < e->t.nouter && l != t->nloop && l != t->mloop; }

static k_value *dim_or_zero(emit *e, D d) { return d ? sched_dim(e, d) : k_i64(&e->b, 0); }

/* The micro-kernel: acc[rows x TILE_N] += A * B over K, as a kernel of its own that all groups of the module share.
 * acc goes through memory (384 bytes in the first cache): little against K, and the code stays small. */
static k_kernel *micro_kernel(emit *e, int rows, rt_dtype a, rt_dtype b_, bool cols) {
    const char *name = ir_fmt(e->c, "tile_%dx%d_%s_%s%s", rows, TILE_N, rt_dtypes[a].name, rt_dtypes[b_].name, cols ? "_cols" : "");
    k_kernel *k = rt_map_get(e->shared, name);
    if (k) return k;
    k = k_kernel_new(e->c, name);
    k_buffer *acc = k_arg(k, DT_F32, "acc"), *A = k_arg(k, a, "A"), *B = k_arg(k, b_, "B");
    k_value *K = k_scalar(k, DT_I64, "K"), *row = k_scalar(k, DT_I64, "row"), *ak = k_scalar(k, DT_I64, "ak"), *bk = k_scalar(k, DT_I64, "bk");
    k_value *width = cols ? k_scalar(k, DT_I64, "cols") : NULL;
    k_buffer *tile = k_scratch(k, KS_REGISTER, DT_F32, rows * TILE_N, "tile");
    k_builder b = k_build(k);
    k_value *zero = k_i64(&b, 0);
    for (int out = 0; out < 2; out++) {
        k_inst *i = k_for(&b, KL_UNROLL, 0, zero, k_i64(&b, rows), 1);
        k_inst *j = k_for(&b, KL_VECTOR, 0, zero, k_i64(&b, TILE_N), 1);
        k_value *at = k_add(&b, k_mul(&b, k_var(i), k_i64(&b, TILE_N)), k_var(j));
        k_store(&b, out ? acc : tile, at, k_load(&b, out ? tile : acc, at));
        k_end(&b, 0, NULL);
        k_end(&b, 0, NULL);
        if (!out) k_contract_tile(&b, tile, rows, TILE_N, K, A, 1, &zero, row, ak, B, zero, bk, width, rows == 1 ? 4 : 1);
    }
    rt_map_put(&e->c->arena, e->shared, name, k);
    return k;
}

/* Rows of the tile at hand: tiles before number `big` have rows[0], the others rows[1] (0: there are none). */
typedef struct heights { int rows[2]; k_value *is_first; } heights;

static void call_micro(emit *e, plan *p, k_buffer *acc, int rows, k_value *a, k_value *bk, k_value *cols) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    int l = p->order[p->norder - 1];
    k_kernel *k = micro_kernel(e, rows, e->in[t->a]->dtype, p->B->dtype, cols != NULL);
    k_value *row = t->mloop >= 0 ? sched_dim(e, coef(e, t->aa, t->mloop)) : k_i64(b, 0);
    k_value *bstep = p->panels ? k_i64(b, TILE_N) : dim_or_zero(e, coef(e, t->ba, l));
    k_value *scalars[5] = {sched_dim(e, size_of(e, l)), row, dim_or_zero(e, coef(e, t->aa, l)), bstep, cols};
    k_call(b, k, (k_buffer *[]){acc, e->in[t->a], p->B}, (k_value *[]){k_i64(b, 0), a, bk}, scalars);
}

static void call_height(emit *e, plan *p, const heights *h, k_buffer *acc, k_value *a, k_value *bk, k_value *cols) {
    k_builder *b = &e->b;
    if (!h->rows[1]) {
        call_micro(e, p, acc, h->rows[0], a, bk, cols);
        return;
    }
    k_if(b, h->is_first);
    call_micro(e, p, acc, h->rows[0], a, bk, cols);
    k_else(b, 0, NULL);
    call_micro(e, p, acc, h->rows[1], a, bk, cols);
    k_end(b, 0, NULL);
}

/* acc += over the reduce loops order[i..].  left: columns from the panel's first on; NULL: all of it is there. */
static void reduce_from(emit *e, plan *p, int i, const heights *h, k_buffer *acc, k_value *a, k_value *bk, k_value *left) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    int l = p->order[i];
    if (i < p->norder - 1) {
        k_value *r = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), sched_dim(e, size_of(e, l)), 1));
        k_value *an = k_add(b, a, k_mul(b, r, dim_or_zero(e, coef(e, t->aa, l))));
        D inner = num(e, TILE_N);
        for (int q = i + 1; q < p->norder; q++) inner = ir_dim_mul(e->c, inner, size_of(e, p->order[q]));
        k_value *bn = k_add(b, bk, k_mul(b, r, p->panels ? sched_dim(e, inner) : dim_or_zero(e, coef(e, t->ba, l))));
        reduce_from(e, p, i + 1, h, acc, an, bn, left);
        k_end(b, 0, NULL);
        return;
    }
    if (!left || p->panels) {
        call_height(e, p, h, acc, a, bk, NULL);
        return;
    }
    k_if(b, k_2(b, K_GE, left, k_i64(b, TILE_N)));
    call_height(e, p, h, acc, a, bk, NULL);
    k_else(b, 0, NULL);
    call_height(e, p, h, acc, a, bk, left);
    k_end(b, 0, NULL);
}

/* In panels k counts in the natural order; else the longest loop is the contract's. */
static void order_reductions(emit *e, plan *p) {
    for (int l = e->t.nouter; l < e->t.loops.n; l++) p->order[p->norder++] = l;
    int longest = p->norder - 1;
    for (int i = p->norder - 1; i >= 0 && !p->panels; i--)
        if (hint(size_of(e, p->order[i]), 64) > hint(size_of(e, p->order[longest]), 64)) longest = i;
    int l = p->order[longest];
    for (int i = longest; i + 1 < p->norder; i++) p->order[i] = p->order[i + 1];
    p->order[p->norder - 1] = l;
}

/* One tile of `rows` rows (a run-time value, one of the heights) from `row` on, in a panel of columns. */
static void one_tile(emit *e, plan *p, const heights *h, k_value *rows, k_value *row, k_value *panel) {
    k_builder *b = &e->b;
    const tiles *t = p->t;
    int64_t n, most = h->rows[0] > h->rows[1] ? h->rows[0] : h->rows[1];
    bool whole = ir_dim_is_const(size_of(e, t->nloop), &n) && n % TILE_N == 0;
    k_inst *z = k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, most * TILE_N), 1);
    k_store(b, p->acc, k_var(z), k_float(b, DT_F32, 0));
    k_end(b, 0, NULL);
    k_value *a = t->mloop >= 0 ? k_add(b, p->a0, k_mul(b, row, sched_dim(e, coef(e, t->aa, t->mloop)))) : p->a0;
    k_value *first = k_mul(b, panel, k_i64(b, TILE_N)), *left = whole ? NULL : k_sub(b, p->N, first);
    k_value *bk = p->panels ? k_add(b, p->b0, k_mul(b, first, sched_dim(e, p->kall))) : k_add(b, p->b0, first);
    reduce_from(e, p, 0, h, p->acc, a, bk, left);
    k_inst *i = k_for(b, KL_SERIAL, 0, k_i64(b, 0), rows, 1);
    if (t->mloop >= 0) e->var[t->mloop] = k_add(b, row, k_var(i));
    k_inst *j = k_for(b, KL_VECTOR, 0, k_i64(b, 0), whole ? k_i64(b, TILE_N) : k_2(b, K_MIN, left, k_i64(b, TILE_N)), 1);
    e->var[t->nloop] = k_add(b, first, k_var(j));
    e->param[0] = k_load(b, p->acc, k_add(b, k_mul(b, k_var(i), k_i64(b, TILE_N)), k_var(j)));
    sched_store_outs(e, k_memo_new(b->k));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* Tile number `i` of the rows: heights q + 1 and q when M is known, else TILE_M, and single rows at the end. */
static void tile_rows(emit *e, plan *p, k_value *i, k_value *panel) {
    k_builder *b = &e->b;
    int64_t m = 1;
    if (p->t->mloop < 0 || ir_dim_is_const(size_of(e, p->t->mloop), &m)) {
        int64_t count = (m + TILE_M - 1) / TILE_M, q = m / count, big = m - q * count;
        heights h = {{(int)q, 0}, NULL};
        k_value *row = k_mul(b, i, k_i64(b, q)), *rows = k_i64(b, q);
        if (big) {
            h = (heights){{(int)q + 1, (int)q}, k_2(b, K_LT, i, k_i64(b, big))};
            row = k_add(b, row, k_2(b, K_MIN, i, k_i64(b, big)));
            rows = k_select(b, h.is_first, k_i64(b, q + 1), rows);
        }
        one_tile(e, p, &h, rows, row, panel);
        return;
    }
    k_value *row = k_mul(b, i, k_i64(b, TILE_M));
    heights six = {{TILE_M, 0}, NULL}, single = {{1, 0}, NULL};
    k_if(b, k_2(b, K_GE, k_sub(b, p->M, row), k_i64(b, TILE_M)));
    one_tile(e, p, &six, k_i64(b, TILE_M), row, panel);
    k_else(b, 0, NULL);
    k_value *r = k_var(k_for(b, KL_SERIAL, 0, row, p->M, 1));
    one_tile(e, p, &single, k_i64(b, 1), r, panel);
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

void sched_tiles(emit *e, const tiles *t) {
    k_builder *b = &e->b;
    plan p = {.t = t, .B = e->in[t->b], .kall = reduce_size(e)};
    D batch = num(e, 1), bbatch = num(e, 1), rows = t->mloop >= 0 ? size_of(e, t->mloop) : num(e, 1), npanels = ceil_div(e, size_of(e, t->nloop), TILE_N);
    for (int l = 0; l < t->nloop; l++) {
        if (outer_only(e, t, l)) batch = ir_dim_mul(e->c, batch, size_of(e, l));
        if (batch_loop(e, t, l)) bbatch = ir_dim_mul(e->c, bbatch, size_of(e, l));
    }
    D per_batch = ir_dim_mul(e->c, ir_dim_mul(e->c, npanels, p.kall), num(e, TILE_N));
    if (t->padded) pad_kernel(e, t);
    bool run_time = !t->packed && !is_one(coef(e, t->ba, t->nloop));
    if (t->packed) p.B = sched_buffer(e, LB_IN, t->bin, e->f->operands.at[t->b]->type->dtype, NULL, "panels");
    if (run_time) {
        D all = ir_dim_mul(e->c, bbatch, per_batch);
        pack_kernel(e, t, all);
        p.B = sched_buffer(e, LB_SCRATCH, t->padded, e->f->operands.at[t->b]->type->dtype, all, "panels");
    } else if (t->padded) {
        p.B = sched_buffer(e, LB_SCRATCH, 0, e->f->operands.at[t->b]->type->dtype, padded_elements(e, t), "padded");
    }
    p.panels = t->packed || run_time;
    order_reductions(e, &p);
    p.acc = k_scratch(b->k, KS_LOCAL, DT_F32, TILE_M * TILE_N, "acc");
    p.M = sched_dim(e, rows);
    p.N = sched_dim(e, size_of(e, t->nloop));
    D tiles_ = ceil_div(e, rows, TILE_M), groups = ceil_div(e, tiles_, GROUP);
    int64_t row_hint = hint(rows, 60) < 60 ? hint(rows, 60) : 60, per = ITEM_FLOPS / (2 * row_hint * TILE_N * hint(p.kall, 64)) + 1;
    if (per > hint(npanels, 1 << 20)) per = hint(npanels, 1 << 20);
    D pgroups = ceil_div(e, npanels, per);
    e->launch->grid = ir_dim_mul(e->c, batch, ir_dim_mul(e->c, groups, pgroups));
    e->launch->cost = ir_dim_mul(e->c, p.kall, num(e, row_hint * TILE_N * per / 8 + 1));
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, e->launch->grid), 1));
    k_value *ng = sched_dim(e, pgroups), *pg = k_2(b, K_REM, g, ng);
    g = k_2(b, K_DIV, g, ng);
    k_value *rg = sched_dim(e, groups), *group = k_2(b, K_REM, g, rg);
    g = k_2(b, K_DIV, g, rg);
    k_value *bb = k_i64(b, 0), *stride = k_i64(b, 1);
    for (int l = t->nloop - 1; l >= 0; l--) {
        if (!outer_only(e, t, l)) continue;
        k_value *n = sched_dim(e, size_of(e, l));
        e->var[l] = k_2(b, K_REM, g, n);
        g = k_2(b, K_DIV, g, n);
        if (!batch_loop(e, t, l)) continue;
        bb = k_add(b, bb, k_mul(b, e->var[l], stride));
        stride = k_mul(b, stride, n);
    }
    p.a0 = access_value(e, t->aa, outer_only, t);
    p.b0 = run_time ? k_mul(b, bb, sched_dim(e, per_batch)) : t->packed ? k_i64(b, 0) : access_value(e, t->ba, outer_only, t);
    k_value *plo = k_mul(b, pg, k_i64(b, per)), *phi = k_2(b, K_MIN, k_add(b, plo, k_i64(b, per)), sched_dim(e, npanels));
    k_value *tlo = k_mul(b, group, k_i64(b, GROUP)), *thi = k_2(b, K_MIN, k_add(b, tlo, k_i64(b, GROUP)), sched_dim(e, tiles_));
    k_value *panel = k_var(k_for(b, KL_SERIAL, 0, plo, phi, 1));
    k_value *i = k_var(k_for(b, KL_SERIAL, 0, tlo, thi, 1));
    tile_rows(e, &p, i, panel);
    for (int c = 0; c < 3; c++) k_end(b, 0, NULL);
}
