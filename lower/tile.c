/* tile.c: plans contractions on register tiles: which factor is A and which is B, what has to be copied or packed first,
 * and in which order k counts.
 *
 * Columns are the output's contiguous loop, in panels of TILE_N; B is the factor that moves along them.  But where B would be
 * an image or another operand of which panels had to be made, and A a param, they change their parts, and tiles are
 * stored across (a convolution whose result is in row-major order).  Rows are the last
 * loop over which B does not move: index variables that only A tells apart are merged into it, since A's address may be a
 * table of rows (a convolution's pixels).  Params as B are packed in panels [N / TILE_N][K][TILE_N] here; other operands
 * whose columns are not contiguous by a kernel before.  A factor with a guard that is nothing but bounds (padding) is read
 * from a zero-padded copy; so is A where k is not its contiguous dim, or to be f32 before many panels read it.  k counts so that A is read in order.  One row times
 * what lies in rows is no tile: it runs fastest in the order of memory (schedule.c).  A param as B may be read through an
 * expression (a cast, scales, a zero point): what is packed are its elements as they are. */
#include "lower/emit.h"

enum {
    MIN_COPY_ROWS = 4, MIN_COPY_COLUMNS = 32, MIN_PACK_ROWS = 4,
    PANEL_STEP = 512, PANEL_ROWS = 96, PANEL_K = 64 /* see wants_panels; elements from row to row of B, rows of A, rows of B */
};
static const double WORTH = 0.96; /* of the taps: more of them inside are computed all */

typedef const ir_dim *D;

static D var_size(const comp *k, int i) { return i < k->ndims ? k->dims[i] : k->rdims[i - k->ndims]; }
static ir_value *operand(const emit *e, int i) { return e->f->operands.at[i]; }

/* ---- a factor as a load from a copy */

bool sched_line_of(const ir_expr *x, sched_line *out) {
    sched_line b;
    *out = (sched_line){.c = 0};
    if (x->op == X_INDEX) return out->coef[x->i] = 1, true;
    if (x->op == X_CONST) return out->c = x->k, true;
    if (x->n != 2 || !sched_line_of(x->args[0], out) || !sched_line_of(x->args[1], &b)) return false;
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

/* The dim of the load whose index is this one but for a constant: *more than it; -1: there is none. */
static int dim_at(const ir_expr *load, const ir_expr *index, int64_t *more) {
    sched_line a, b;
    if (!sched_line_of(index, &a)) return -1;
    for (int d = 0; d < load->n; d++) {
        if (!sched_line_of(load->args[d], &b) || memcmp(a.coef, b.coef, sizeof a.coef)) continue;
        *more = b.c - a.c;
        return d;
    }
    return -1;
}

/* Is the guard nothing but comparisons of indexes with sizes and constants? */
static bool only_compares(const ir_expr *g) {
    if (g->op == K_AND) return only_compares(g->args[0]) && only_compares(g->args[1]);
    return (g->op == K_GE || g->op == K_LT) && (g->args[1]->op == X_CONST || g->args[1]->op == X_DIM);
}

/* Is the guard nothing but comparisons of the load's own indices with sizes and constants?  Leaves in `end` and part->from
 * where they hold. */
static bool only_bounds(const emit *e, const ir_expr *g, const ir_expr *load, tile_part *part, D *end) {
    if (g->op == K_AND) return only_bounds(e, g->args[0], load, part, end) && only_bounds(e, g->args[1], load, part, end);
    if (g->op != K_GE && g->op != K_LT) return false;
    const ir_expr *limit = g->args[1];
    int64_t more;
    int d = dim_at(load, g->args[0], &more);
    if (d < 0 || (limit->op != X_CONST && (limit->op != X_DIM || g->op == K_GE))) return false;
    if (g->op == K_LT) end[d] = ir_dim_min(e->c, end[d], ir_dim_add(e->c, limit->op == X_DIM ? limit->dim : sched_num(e, limit->k), sched_num(e, more)));
    else if (limit->k + more > part->from[d]) part->from[d] = limit->k + more;
    return true;
}

/* What of the operand is read under the guard (NULL: all); false: the guard asks more than that. */
static bool part_of(const emit *e, const ir_expr *guard, const ir_expr *load, tile_part *part) {
    D end[RT_MAX_RANK];
    memcpy(end, operand(e, load->i)->type->dims, sizeof *end * (size_t)load->n);
    if (guard && !only_bounds(e, guard, load, part, end)) return false;
    for (int d = 0; d < load->n; d++) part->size[d] = ir_dim_sub(e->c, end[d], sched_num(e, part->from[d]));
    return true;
}

/* The part of the operand itself. */
static bool own_view(const emit *e, const sched_factor *f, sched_view *v) {
    const ir_value *x = operand(e, f->load->i);
    v->n = f->load->n;
    nest_strides(e->c, v->n, x->type->dims, x->layout, v->stride);
    v->base = sched_num(e, 0);
    for (int d = 0; d < v->n; d++) {
        int64_t from = f->part.from[d];
        v->size[d] = f->part.size[d];
        v->order[d] = x->layout ? x->layout->order[d] : (uint8_t)d;
        if (!sched_line_of(f->load->args[d], &v->at[d])) return false;
        v->at[d].c -= from;
        v->base = ir_dim_add(e->c, v->base, ir_dim_mul(e->c, sched_num(e, from), v->stride[d]));
    }
    return true;
}

static bool add_dim(sched_view *v, const sched_line *at, D size, int64_t stride) {
    int i = v->n;
    int64_t other;
    if (i == RT_MAX_RANK || !ir_dim_is_const(size, NULL) || stride <= 0) return false;
    v->at[i] = *at;
    v->size[i] = size;
    for (; i > 0 && ir_dim_is_const(v->stride[v->order[i - 1]], &other) && other < stride; i--) v->order[i] = v->order[i - 1];
    v->order[i] = (uint8_t)v->n;
    return true;
}

/* A dim for each index that the guard bounds by 0 and a size; *flat, the address, is what they leave of it. */
static bool guard_dims(const emit *e, const ir_expr *g, sched_view *v, sched_line *flat) {
    const ir_expr *from = g->op == K_AND ? g->args[0] : g, *to = g->op == K_AND ? g->args[1] : g;
    sched_line at;
    int64_t stride = 0;
    if (from->op == K_AND || to->op == K_AND) return from != to && guard_dims(e, from, v, flat) && guard_dims(e, to, v, flat);
    if (from->op != K_GE || from->args[1]->op != X_CONST || from->args[1]->k != 0) return false;
    if (to->op != K_LT || to->args[0] != from->args[0] || !sched_line_of(to->args[0], &at)) return false;
    for (int i = 0; i < NEST_MAX; i++) {
        if (!at.coef[i]) continue;
        if (!stride) stride = flat->coef[i] / at.coef[i];
        if (flat->coef[i] != stride * at.coef[i]) return false;
        flat->coef[i] = 0;
    }
    flat->c -= stride * at.c;
    D size = to->args[1]->op == X_DIM ? to->args[1]->dim : sched_num(e, to->args[1]->k);
    if (!add_dim(v, &at, size, stride)) return false;
    v->stride[v->n++] = sched_num(e, stride);
    return true;
}

/* The operand as the guard sees it: what the guard does not know has a dim for each variable. */
static bool guard_view(const emit *e, const sched_factor *f, sched_view *v) {
    const comp *k = e->f->k;
    sched_line flat = {.c = 0}, at;
    if (f->access->rest && f->access->rest->op != X_CONST) return false;
    if (f->access->rest) flat.c = f->access->rest->k;
    for (int i = 0; i < k->ndims + k->nrdims; i++)
        if (f->access->coef[i] && !ir_dim_is_const(f->access->coef[i], &flat.coef[i])) return false;
    v->n = 0;
    if (!guard_dims(e, f->value->args[0], v, &flat)) return false;
    for (int i = 0; i < k->ndims + k->nrdims; i++) {
        if (!flat.coef[i]) continue;
        at = (sched_line){.c = 0};
        at.coef[i] = 1;
        if (!add_dim(v, &at, var_size(k, i), flat.coef[i])) return false;
        v->stride[v->n++] = sched_num(e, flat.coef[i]);
    }
    v->base = sched_num(e, flat.c);
    return true;
}

static void copy_order(const emit *e, const sched_view *of, bool rows, int last, uint8_t *order) {
    int ndims = e->f->k->ndims, n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < of->n; i++) {
            int d = of->order[i];
            bool outer = !rows;
            for (int v = 0; v < ndims; v++) outer = outer || of->at[d].coef[v];
            if (last >= 0) outer = !of->at[d].coef[last];
            if (outer == !pass) order[n++] = (uint8_t)d;
        }
}

bool sched_copy_plan(emit *e, const sched_factor *f, bool rows, int last, tile_copy *out, nest_access *a) {
    const comp *k = e->f->k;
    *out = (tile_copy){.on = true, .dtype = operand(e, f->load->i)->type->dtype};
    const sched_line *at = out->of.at;
    if (!(f->apart ? guard_view(e, f, &out->of) : own_view(e, f, &out->of))) return false;
    for (int d = 0; d < out->of.n; d++)
        for (int v = 0; v < k->ndims + k->nrdims; v++)
            if (at[d].coef[v] < 0) return false;
    *a = (nest_access){.load = f->load};
    copy_order(e, &out->of, rows, last, out->order);
    D stride = sched_num(e, 1);
    for (int i = out->of.n - 1; i >= 0; i--) {
        int d = out->order[i];
        out->size[d] = sched_num(e, 1);
        out->shift[d] = at[d].c;
        for (int v = 0; v < k->ndims + k->nrdims; v++) {
            if (!at[d].coef[v]) continue;
            D c = sched_num(e, at[d].coef[v]), step = ir_dim_mul(e->c, stride, c);
            out->size[d] = ir_dim_add(e->c, out->size[d], ir_dim_mul(e->c, c, ir_dim_sub(e->c, var_size(k, v), sched_num(e, 1))));
            a->coef[v] = a->coef[v] ? ir_dim_add(e->c, a->coef[v], step) : step;
        }
        stride = ir_dim_mul(e->c, stride, out->size[d]);
    }
    return true;
}

/* ---- factors and roles */

bool sched_factor_of(const emit *e, const ir_expr *x, sched_factor *f) {
    bool guarded = x->op == K_SELECT;
    *f = (sched_factor){.load = guarded ? x->args[1] : x, .value = x, .guarded = guarded};
    while (f->load->op == K_CAST && !lower_rounds(f->load)) f->load = f->load->args[0];
    const ir_expr *guard = guarded ? x->args[0] : NULL;
    if (guarded && (x->args[2]->op != X_CONST || x->args[2]->f != 0 || !only_compares(guard))) return false;
    if (f->load->op != X_LOAD || rt_dtypes[f->load->dtype].kind != 'F' || f->load->dtype == DT_F64) return false;
    f->apart = !part_of(e, guard, f->load, &f->part);
    f->access = nest_find(&e->t, f->load);
    return f->guarded || !f->access->rest_uses;
}

/* The loads that a factor is computed from: `main` is that of the largest operand. */
typedef struct parts { const emit *e; const ir_expr *main; unsigned char *seen; int64_t most; bool twice; } parts;

static int64_t elements_of(const ir_type *t) {
    int64_t n = 1, d;
    for (int i = 0; i < t->rank; i++) n = ir_dim_is_const(t->dims[i], &d) ? n * d : 0;
    return n;
}

static void find_parts(parts *p, const ir_expr *x) {
    if (p->seen[x->id]) return;
    p->seen[x->id] = 1;
    if (x->op != X_LOAD) {
        for (int i = 0; i < x->n; i++) find_parts(p, x->args[i]);
        return;
    }
    int64_t n = elements_of(operand(p->e, x->i)->type);
    if (n < p->most) return;
    p->twice = n == p->most;
    p->most = n;
    p->main = x;
}

/* An expression over params, the largest of which is read at one place. */
static bool computed_factor(const emit *e, const ir_expr *x, sched_factor *f) {
    parts p = {.e = e, .seen = RT_ARRAY(&e->c->arena, unsigned char, e->f->k->x.n + 1)};
    find_parts(&p, x);
    if (!p.main || p.twice || !ir_is_param(operand(e, p.main->i))) return false;
    *f = (sched_factor){.load = p.main, .value = x, .computed = true, .access = nest_find(&e->t, p.main)};
    return f->access && !f->access->rest_uses;
}

static bool factor_of(const emit *e, const ir_expr *x, sched_factor *f) { return sched_factor_of(e, x, f) || computed_factor(e, x, f); }

/* The output's fastest index variable; -1: none. */
static int column_var(const emit *e) {
    int n = e->t.nouter ? e->t.loops.at[e->t.nouter - 1].last : -1;
    return n >= 0 && ir_dim_is(e->t.ocoef[n], 1) ? n : -1;
}

/* Does x hold `part`, or a load of the operand?  Expressions are DAGs: each is looked at once. */
static bool holds(unsigned char *seen, const ir_expr *x, const ir_expr *part, int operand) {
    if (seen[x->id]) return false;
    seen[x->id] = 1;
    bool found = x == part || (x->op == X_LOAD && x->i == operand);
    for (int i = 0; i < x->n && !found; i++) found = holds(seen, x->args[i], part, operand);
    return found;
}

static bool results_hold(const emit *e, const ir_expr *part, int operand) {
    const comp *k = e->f->k;
    unsigned char *seen = RT_ARRAY(&e->c->arena, unsigned char, k->x.n + 1);
    bool found = false;
    for (int i = 0; i < k->nout && !found; i++) found = holds(seen, k->out[i], part, operand);
    return found;
}

bool sched_in_results(const emit *e, const ir_expr *x) { return results_hold(e, x, -1); }
bool sched_used_elsewhere(const emit *e, int operand) { return results_hold(e, NULL, operand); }

static bool at_least(D d, int64_t n) {
    int64_t x;
    return !ir_dim_is_const(d, &x) || x >= n;
}

/* Is A read against its order, and does the copy pay? */
static bool wants_order(const emit *e, const nest_access *a, uint32_t rows, int column) {
    const comp *k = e->f->k;
    bool ordered = false, many = false;
    for (int v = 0; v < k->nrdims; v++) ordered = ordered || ir_dim_is(a->coef[k->ndims + v], 1) || !at_least(k->rdims[v], 2);
    for (int v = 0; v < k->ndims; v++) many = many || (rows >> v & 1 && at_least(k->dims[v], MIN_COPY_ROWS));
    return !ordered && many && column >= 0 && at_least(k->dims[column], MIN_COPY_COLUMNS);
}

/* The variables over which the loads of an expression move, by bit. */
static uint32_t moved_over(const emit *e, unsigned char *seen, const ir_expr *x) {
    uint32_t u = x->op == X_INDEX ? 1u << x->i : 0;
    if (seen[x->id]) return 0;
    seen[x->id] = 1;
    for (int i = 0; i < x->n; i++) u |= moved_over(e, seen, x->args[i]);
    return u;
}

static uint32_t row_vars(const emit *e, const sched_factor *f, const nest_access *b, int column) {
    uint32_t rows = 0, moved = f->computed ? moved_over(e, RT_ARRAY(&e->c->arena, unsigned char, e->f->k->x.n + 1), f->value) : 0;
    for (int v = 0; v < e->f->k->ndims; v++)
        if (v != column && !b->coef[v] && !(moved >> v & 1)) rows |= 1u << v;
    return rows;
}

/* Packing B would cost about as much as the product itself. */
static bool few_rows(const comp *k, uint32_t rows) {
    int64_t n = 1, d;
    for (int v = 0; v < k->ndims; v++)
        if (rows >> v & 1) n = ir_dim_is_const(k->dims[v], &d) && n < MIN_PACK_ROWS ? n * d : MIN_PACK_ROWS;
    return n < MIN_PACK_ROWS;
}

/* Would packing make a second copy: no param, or one that others read as it is?  Other products of the same kind will share the
 * panels. */
static bool stays(const emit *e, int operand_) {
    const ir_value *v = operand(e, operand_);
    const ir_use *own = v->uses;
    if (!ir_is_param(v)) return true;
    while (own && !(own->node && own->node->block->owner == e->kernel)) own = own->next;
    for (const ir_use *u = v->uses; u; u = u->next) {
        bool kernel = u->node && u->node->op->cls == OP_STRUCT && u->node->op->id == S_KERNEL;
        if (!own || !(kernel || (u->node && u->node->op == own->node->op && u->index == own->index))) return true;
    }
    return false;
}

static void swap(sched_factor *a, sched_factor *b) {
    sched_factor x = *a;
    *a = *b;
    *b = x;
}

/* The result lies along b, of which panels would have to be made (of an image: each element once for every tap): may a param a
 * be B instead? */
static bool may_cross(const emit *e, const sched_factor *a, const sched_factor *b, int n) {
    const ir_value *weights = operand(e, a->load->i);
    if (e->f->nrows || a->guarded || a->computed || b->computed || weights->type->dtype != DT_F32) return false;
    if (!ir_is_param(weights) || ir_is_param(operand(e, b->load->i))) return false;
    return b->guarded || !ir_dim_is(b->access->coef[n], 1);
}

/* The variable along which it is; -1: none. */
static int across_var(const emit *e, const sched_factor *a, const sched_factor *b) {
    const comp *k = e->f->k;
    int column = -1;
    for (int p = 0; p < k->ndims; p++) {
        int v = e->t.order[p];
        if (a->access->coef[v] && !b->access->coef[v] && !ir_dim_is(k->dims[v], 1)) column = v;
    }
    return column;
}

/* Reduce variables by falling step in A; those of size 1 are left out. */
static void order_reduction(emit *e, tiles *t) {
    const comp *k = e->f->k;
    t->nr = 0;
    for (int r = 0; r < k->nrdims; r++) {
        int v = k->ndims + r, at = t->nr;
        if (ir_dim_is(k->rdims[r], 1)) continue;
        D step = t->aa.coef[v] ? t->aa.coef[v] : sched_num(e, 0);
        while (at > 0) {
            D before = t->aa.coef[t->rvar[at - 1]];
            if (ir_dim_lt(e->c, before ? before : sched_num(e, 0), step) != IR_YES) break;
            t->rvar[at] = t->rvar[at - 1];
            at--;
        }
        t->rvar[at] = v;
        t->nr++;
    }
}

/* Plans the copy of A, if there is to be one. */
static bool copy_a(emit *e, const sched_factor *a, uint32_t rows, int column, tiles *t) {
    bool narrow = operand(e, t->a)->type->dtype != DT_F32, sorted = a->guarded || wants_order(e, &t->aa, rows, column);
    if (narrow ? e->f->nrows || !(sorted || column < 0 || at_least(e->f->k->dims[column], MIN_COPY_COLUMNS)) : !sorted) return false;
    if (!sched_copy_plan(e, a, sorted, -1, &t->copy[0], &t->aa)) return false;
    t->copy[0].dtype = DT_F32;
    return true;
}

static void set_roles(tiles *t, const sched_factor *a, const sched_factor *b, int column) {
    t->column = column;
    t->a = a->load->i;
    t->b = b->load->i;
    t->aa = *a->access;
    t->ba = *b->access;
}

/* The param b has one column, and all variables of the result are rows: dots or nothing. */
static bool one_column(emit *e, const sched_factor *a, const sched_factor *b, tiles *t) {
    tiles x = {.bin = -1, .across = true, .dots = true};
    set_roles(&x, a, b, -1);
    if (!copy_a(e, a, row_vars(e, b, &x.ba, -1), -1, &x) && a->guarded) return false;
    order_reduction(e, &x);
    if (!sched_dots_suit(e, &x)) return false;
    *t = x;
    return true;
}

static bool choose_roles(emit *e, sched_factor *a, sched_factor *b, tiles *t) {
    int n = column_var(e);
    if (n < 0 || !!a->access->coef[n] == !!b->access->coef[n]) return false;
    if (a->access->coef[n]) swap(a, b);
    bool crosses = may_cross(e, a, b, n);
    int column = crosses ? across_var(e, a, b) : -1;
    t->across = column >= 0;
    if (crosses) swap(a, b);
    if (crosses && column < 0) {
        if (one_column(e, a, b, t)) return true;
        swap(a, b);
    }
    if (t->across) n = column;
    set_roles(t, a, b, n);
    if ((a->guarded && b->guarded) || a->computed) return false;
    if (b->guarded) {
        if (!sched_copy_plan(e, b, false, -1, &t->copy[1], &t->ba)) return false;
        t->copy[1].dtype = DT_F32;
        return t->ba.coef[n];
    }
    uint32_t rows = row_vars(e, b, &t->ba, n);
    if (!ir_dim_is(t->ba.coef[n], 1) && few_rows(e->f->k, rows) && stays(e, t->b)) return false;
    return copy_a(e, a, rows, n, t) || !a->guarded;
}

/* ---- loops */

static bool one_run(emit *e, D slow, D fast, D n) {
    if (!slow || !fast) return !slow && !fast;
    return slow == ir_dim_mul(e->c, fast, n);
}

static int64_t hint(D d) {
    int64_t x;
    return ir_dim_is_const(d, &x) ? x : 64;
}

/* In panels k counts in order; else the longest segment is the contract's. */
static void make_segments(emit *e, tiles *t) {
    bool panels = t->packed || t->run_time || t->wide;
    for (int i = 0; i < t->nr; i++) {
        int v = t->rvar[i];
        tile_segment s = {var_size(e->f->k, v), t->aa.coef[v], panels ? NULL : t->ba.coef[v], v};
        tile_segment *p = t->nseg ? &t->seg[t->nseg - 1] : NULL;
        if (p && one_run(e, p->a, s.a, s.size) && (panels || one_run(e, p->b, s.b, s.size))) {
            s.size = ir_dim_mul(e->c, s.size, p->size);
            s.var = -1;
            *p = s;
        } else {
            t->seg[t->nseg++] = s;
        }
    }
    int longest = t->nseg - 1;
    for (int i = t->nseg - 1; i >= 0 && !panels; i--)
        if (hint(t->seg[i].size) > hint(t->seg[longest].size)) longest = i;
    tile_segment s = t->seg[longest];
    for (int i = longest; i + 1 < t->nseg; i++) t->seg[i] = t->seg[i + 1];
    t->seg[t->nseg - 1] = s;
    D step = sched_num(e, TILE_N);
    for (int i = t->nseg - 1; i >= 0 && panels; i--) {
        t->seg[i].b = step;
        step = ir_dim_mul(e->c, step, t->seg[i].size);
    }
}

/* ---- taps in the padding */

/* Index `at` into a dim of the image as a tap of one segment for one row variable; false: it is no such thing. */
static bool taps_of(const emit *e, const tiles *t, const sched_line *at, D size, tile_taps *out) {
    const comp *k = e->f->k;
    *out = (tile_taps){.seg = -1, .q = -1};
    if (!ir_dim_is_const(size, &out->size)) return false;
    for (int v = 0; v < k->ndims + k->nrdims; v++) {
        if (!at->coef[v] || ir_dim_is(var_size(k, v), 1)) continue;
        if (v < k->ndims ? out->q >= 0 || !(e->t.loops.at[t->mloop].vars >> v & 1) : out->seg >= 0) return false;
        if (v < k->ndims) out->q = v, out->step = at->coef[v];
        for (int i = 0; i < t->nseg - 1 && v >= k->ndims; i++)
            if (t->seg[i].var == v) out->seg = i, out->dilation = at->coef[v];
        if (v >= k->ndims && out->seg < 0) return false;
    }
    out->first = at->c;
    return out->seg >= 0 && out->q >= 0;
}

/* Taps inside by all rows and taps; 1 where sizes are not known. */
static double share_inside(const emit *e, const tiles *t, const tile_taps *x) {
    int64_t rows, taps, in = 0;
    if (!ir_dim_is_const(e->f->k->dims[x->q], &rows) || !ir_dim_is_const(t->seg[x->seg].size, &taps)) return 1;
    for (int64_t q = 0; q < rows; q++)
        for (int64_t r = 0; r < taps; r++) {
            int64_t at = q * x->step + r * x->dilation + x->first;
            in += at >= 0 && at < x->size;
        }
    return (double)in / (double)(rows * taps);
}

static void find_taps(const emit *e, tiles *t) {
    double inside = 1;
    const sched_view *of = &t->copy[0].of;
    if (!t->copy[0].on || t->linear || !ir_dim_is_const(sched_size(e, t->mloop), NULL)) return;
    for (int d = 0; d < of->n; d++) {
        tile_taps *x = &t->taps[t->ntaps];
        if (!taps_of(e, t, &of->at[d], of->size[d], x)) continue;
        double share = share_inside(e, t, x);
        inside *= share;
        t->ntaps += share < 1;
    }
    if (inside > WORTH) t->ntaps = 0;
}

static bool is_linear(emit *e, const tiles *t) {
    const nest_loop *l = &e->t.loops.at[t->mloop];
    D step = t->aa.coef[l->last];
    for (int p = e->f->k->ndims - 1; p >= 0; p--) {
        int v = e->t.order[p];
        D n = var_size(e->f->k, v);
        if (!(l->vars >> v & 1) || ir_dim_is(n, 1)) continue;
        if (t->aa.coef[v] != step) return false;
        if (step) step = ir_dim_mul(e->c, step, n);
    }
    return true;
}

nest_access *sched_access(emit *e, const ir_expr *load) { return &e->t.accesses.at[e->t.access_of[load->id] - 1]; }

/* Merges variables, and finds the loops of rows and columns.  `rows`: those that A, of which a tile has the address of each row,
 * does not keep apart. */
static void merge_loops(emit *e, tiles *t, const nest_access *a, uint32_t rows) {
    nest_merge(&e->t, a, rows);
    t->mloop = t->nloop = -1;
    for (int l = 0; l < e->t.nouter; l++) {
        if (t->column >= 0 && e->t.loops.at[l].vars >> t->column & 1) t->nloop = l;
        else if (rows >> e->t.loops.at[l].last & 1) t->mloop = l;
    }
}

/* Others than A may keep rows apart, in several loops: only one of them has tiles, and A's address moves evenly in the rest. */
static void make_loops(emit *e, tiles *t, const sched_factor *a, const sched_factor *b) {
    const comp *k = e->f->k;
    uint32_t rows = row_vars(e, b, &t->ba, t->column);
    *sched_access(e, a->load) = t->aa; /* what is copied lies as the copy does */
    *sched_access(e, b->load) = t->ba;
    e->t.pinned = 0;
    for (int i = 0; i < k->nout; i++) e->t.pinned |= nest_pins(&e->t, k->out[i]);
    if (b->computed) e->t.pinned |= nest_pins(&e->t, b->value);
    merge_loops(e, t, a->access, rows);
    if (t->mloop >= 0 && rows & ~e->t.loops.at[t->mloop].vars) merge_loops(e, t, a->access, rows & e->t.loops.at[t->mloop].vars);
    t->linear = t->mloop < 0 || is_linear(e, t);
}

D sched_tiles_k(emit *e, const tiles *t) {
    D k = sched_num(e, 1);
    for (int i = 0; i < t->nseg; i++) k = ir_dim_mul(e->c, k, t->seg[i].size);
    return k;
}

D sched_tiles_panels(emit *e, const tiles *t) {
    return ir_dim_floordiv(e->c, ir_dim_add(e->c, sched_size(e, t->nloop), sched_num(e, TILE_N - 1)), sched_num(e, TILE_N));
}

bool sched_tiles_batch(emit *e, const tiles *t, int l) { return l != t->nloop && l != t->mloop && nest_coef(&e->t, &t->ba, l); }

/* ---- panels of a param */

/* A param as B can be packed if it is used whole: what moves in it has a size that is known. */
static bool packable(emit *e, const tiles *t) {
    if (!ir_is_param(operand(e, t->b)) || t->a == t->b || t->copy[1].on || t->ba.rest || sched_used_elsewhere(e, t->b)) return false;
    D panels = sched_num(e, 1), all = sched_num(e, 1);
    for (int l = 0; l < e->t.loops.n; l++)
        if (l == t->nloop || l >= e->t.nouter || sched_tiles_batch(e, t, l)) panels = ir_dim_mul(e->c, panels, sched_size(e, l));
    for (int d = 0; d < operand(e, t->b)->type->rank; d++) all = ir_dim_mul(e->c, all, operand(e, t->b)->type->dims[d]);
    int64_t n, m;
    return ir_dim_is_const(panels, &n) && ir_dim_is_const(all, &m) && n <= m;
}

rt_tensor *sched_param_data(const emit *e, int operand_) {
    rt_tensor *t = ir_param_tensor(e->m, operand(e, operand_));
    if (!rt_tensor_contiguous(t)) return rt_tensor_copy_to(t, t->dtype);
    rt_tensor_retain(t);
    return t;
}

static int replace_operand(emit *e, int operand_, ir_value *p) {
    const ir_value *v = operand(e, operand_);
    int at = -1;
    for (int i = 0; i < e->kernel->nin; i++)
        if (e->kernel->in[i] == v) {
            ir_set_input(e->kernel, i, p);
            at = i;
        }
    return at;
}

int sched_replace_param(emit *e, int operand_, rt_tensor *t) {
    D dims[RT_MAX_RANK];
    for (int i = 0; i < t->ndim; i++) dims[i] = sched_num(e, t->shape[i]);
    return replace_operand(e, operand_, lower_new_param(e->m, e->kernel, t, ir_type_tensor(e->c, t->dtype, t->ndim, dims)));
}

/* A mixed-radix counter, the last digit fastest: the element offset of a count. */
typedef struct counter { int n; int64_t size[NEST_MAX], step[NEST_MAX]; } counter;

static void counter_add(counter *k, D size, D step) {
    k->size[k->n] = k->step[k->n] = 0;
    ir_dim_is_const(size, &k->size[k->n]);
    if (step) ir_dim_is_const(step, &k->step[k->n]);
    k->n++;
}

static int64_t counter_total(const counter *k) {
    int64_t n = 1;
    for (int i = 0; i < k->n; i++) n *= k->size[i];
    return n;
}

static int64_t counter_at(const counter *k, int64_t n) {
    int64_t at = 0;
    for (int i = k->n - 1; i >= 0; n /= k->size[i--]) at += n % k->size[i] * k->step[i];
    return at;
}

/* n elements that lie `step` elements apart. */
static void gather(char *to, const char *from, int64_t n, int64_t step, int bytes) {
    for (int64_t i = 0; bytes == 4 && i < n; i++) memcpy(to + 4 * i, from + 4 * i * step, 4);
    for (int64_t i = 0; bytes != 4 && i < n; i++) memcpy(to + bytes * i, from + bytes * i * step, (size_t)bytes);
}

typedef struct panels { counter batch, reduce, column; } panels; /* k counts through `reduce` */

static panels panels_of(emit *e, const tiles *t) {
    panels p = {0};
    for (int l = 0; l < e->t.nouter; l++)
        if (sched_tiles_batch(e, t, l)) counter_add(&p.batch, sched_size(e, l), nest_coef(&e->t, &t->ba, l));
    for (int i = 0; i < t->nr; i++) counter_add(&p.reduce, var_size(e->f->k, t->rvar[i]), t->ba.coef[t->rvar[i]]);
    if (t->nloop >= 0) counter_add(&p.column, sched_size(e, t->nloop), nest_coef(&e->t, &t->ba, t->nloop));
    return p;
}

/* Single columns for dots. */
static rt_tensor *make_panels(const emit *e, const tiles *t, const panels *x) {
    rt_tensor *from = sched_param_data(e, t->b);
    if (!from) return NULL;
    int bytes = rt_dtypes[from->dtype].bytes;
    int64_t width = counter_total(&x->column), k = counter_total(&x->reduce), lanes = t->dots ? 1 : TILE_N, n = (width + lanes - 1) / lanes;
    rt_tensor *packed = rt_tensor_new(from->dtype, 4, (int64_t[]){counter_total(&x->batch), n, k, lanes});
    char *to = packed ? memset(packed->storage->data, 0, packed->storage->bytes) : NULL;
    for (int64_t b = 0; packed && b < packed->shape[0]; b++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t r = 0; r < k; r++, to += lanes * bytes) {
                int64_t j = p * lanes, at = from->offset + counter_at(&x->batch, b) + counter_at(&x->reduce, r) + counter_at(&x->column, j);
                gather(to, (char *)from->storage->data + at * bytes, width - j < lanes ? width - j : lanes, x->column.step[0], bytes);
            }
    rt_tensor_release(from);
    return packed;
}

static void name_counter(rt_text *t, const counter *k) {
    for (int i = 0; i < k->n; i++) rt_text_fmt(t, " %lld*%lld", (long long)k->size[i], (long long)k->step[i]);
    rt_text_fmt(t, ";");
}

/* Puts the panels in the operand's place.  The steps of a recurrent network read those that the first of them has made: they stay
 * in the caches. */
static bool pack_param(emit *e, tiles *t) {
    panels x = panels_of(e, t);
    rt_text name = {0};
    rt_text_fmt(&name, "%s of %s:", t->dots ? "columns" : "panels", operand(e, t->b)->def->sym);
    name_counter(&name, &x.batch);
    name_counter(&name, &x.reduce);
    name_counter(&name, &x.column);
    ir_value *made = name.failed ? NULL : rt_map_getn(e->shared, name.s, name.n);
    if (made) {
        t->bin = replace_operand(e, t->b, lower_same_param(e->m, e->kernel, made));
    } else {
        rt_tensor *packed = make_panels(e, t, &x);
        if (packed) t->bin = sched_replace_param(e, t->b, packed);
        if (t->bin >= 0 && !name.failed) rt_map_putn(&e->c->arena, e->shared, name.s, name.n, e->kernel->in[t->bin]);
    }
    rt_text_free(&name);
    return t->bin >= 0;
}

/* ---- is it one */

static bool has_empty_loop(const emit *e) {
    int64_t n;
    for (int l = 0; l < e->t.loops.n; l++)
        if (ir_dim_is_const(sched_size(e, l), &n) && n == 0) return true;
    return false;
}

/* Is B to be made f32 a block at a time?  A single tile of rows reads each element once: the micro-kernel does it. */
static bool wants_wide(const emit *e, const tiles *t) {
    int64_t rows = 1;
    bool one = t->mloop < 0 || (ir_dim_is_const(sched_size(e, t->mloop), &rows) && rows <= sched_tile_rows(e));
    bool other = t->computed || (sched_tiles_b(e, t) != DT_F32 && !one);
    return other && !e->f->nrows && t->a != t->b && !sched_used_elsewhere(e, t->b);
}

/* Is a B whose columns are contiguous better read from panels?  In its place a strip of TILE_N columns has a line or two in every
 * page: each tile of rows waits for the TLB, and where rows lie whole pages apart, their lines are in each other's way in the
 * caches.  Making the panels costs as much as a few tiles. */
static bool wants_panels(const emit *e, const tiles *t) {
    int64_t rows, step, least = INT64_MAX;
    D k = sched_num(e, 1);
    if (t->mloop < 0 || !ir_dim_is_const(sched_size(e, t->mloop), &rows) || sched_tiles_b(e, t) != DT_F32) return false;
    for (int i = 0; i < t->nr; i++) {
        k = ir_dim_mul(e->c, k, var_size(e->f->k, t->rvar[i]));
        if (t->ba.coef[t->rvar[i]] && ir_dim_is_const(t->ba.coef[t->rvar[i]], &step) && step < least) least = step;
    }
    return least >= PANEL_STEP && least <= INT32_MAX && rows * least >= PANEL_ROWS * PANEL_STEP && at_least(k, PANEL_K);
}

bool sched_tiles_plan(emit *e, tiles *t) {
    const comp *k = e->f->k;
    sched_factor a, b;
    *t = (tiles){.bin = -1};
    if (k->checks.n || k->nstate != 1 || k->state_dtype[0] != DT_F32 || k->elem[0]->op != K_MUL) return false;
    if (k->init[0]->op != X_CONST || k->init[0]->f != 0 || has_empty_loop(e)) return false;
    if (e->t.loops.n == e->t.nouter || !factor_of(e, k->elem[0]->args[0], &a) || !factor_of(e, k->elem[0]->args[1], &b)) return false;
    if (sched_in_results(e, a.load) || sched_in_results(e, b.load) || !choose_roles(e, &a, &b, t)) return false;
    order_reduction(e, t);
    t->dots = !b.computed && sched_dots_suit(e, t);
    make_loops(e, t, &a, &b);
    t->dots = t->dots && packable(e, t) && t->mloop >= 0;
    if (t->column < 0 && !t->dots) return false;
    if (packable(e, t)) t->packed = pack_param(e, t);
    if (t->dots && !t->packed) return false;
    t->run_time = !t->packed && !b.computed && (!ir_dim_is(nest_coef(&e->t, &t->ba, t->nloop), 1) || wants_panels(e, t));
    t->factor = b.value == k->elem[0]->args[1];
    t->computed = b.computed;
    t->wide = wants_wide(e, t);
    if (t->computed && !t->wide) return false;
    if (t->wide && (t->packed || t->run_time)) e->placed = t->b + 1;
    if (t->mloop < 0 && !t->packed && !t->run_time && !t->copy[0].on && !t->copy[1].on) return false;
    make_segments(e, t);
    find_taps(e, t);
    if (t->packed || t->copy[1].on) e->unused[t->b] = t->a != t->b && !sched_used_elsewhere(e, t->b);
    if (t->copy[0].on) e->unused[t->a] = t->a != t->b && !sched_used_elsewhere(e, t->a);
    return true;
}
