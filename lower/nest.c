/* nest.c: see nest.h.
 *
 * Two neighbouring index variables i, j become one loop when every address has coef[i] == coef[j] * size(j), so that
 * i * size(j) + j counts through both: a contiguous elementwise op of any rank is one loop.  Variables of size 1 vanish. */
#include "lower/nest.h"

typedef struct affine { const ir_dim *coef[NEST_MAX]; const ir_expr *rest; uint32_t rest_uses; } affine;

/* Expressions are DAGs: what is known about one is kept by its id. */
typedef struct walk {
    nest *t;
    ir_exprs *x;
    unsigned char *seen;
    nest_facts *facts;
    const affine **done;
} walk;

static const ir_dim *sum(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (!a || !b) return a ? a : b;
    const ir_dim *d = ir_dim_add(c, a, b);
    return d->nterms ? d : NULL; /* NULL is 0 */
}

const nest_facts *nest_facts_of(nest_facts *by_id, const ir_expr *e) {
    nest_facts *f = &by_id[e->id];
    if (f->known) return f;
    f->uses = e->op == X_INDEX ? 1u << e->i : 0;
    f->affine = e->op == X_INDEX || e->op == X_CONST || e->op == X_DIM || e->op == K_ADD || e->op == K_SUB || e->op == K_MUL;
    for (int i = 0; i < e->n; i++) {
        const nest_facts *a = nest_facts_of(by_id, e->args[i]);
        f->uses |= a->uses;
        f->affine = f->affine && a->affine;
    }
    f->known = true;
    return f;
}

/* A size that does not change in the nest, as a dim; NULL if e is none. */
static const ir_dim *size_of(ir_context *c, const ir_expr *e) {
    if (e->op == X_DIM) return e->dim;
    if (e->op == X_CONST && e->dtype == DT_I64) return ir_dim_const(c, e->k);
    return NULL;
}

static void scale(ir_context *c, ir_exprs *x, affine *a, const ir_dim *k) {
    for (int i = 0; i < NEST_MAX; i++)
        if (a->coef[i]) a->coef[i] = ir_dim_mul(c, a->coef[i], k);
    if (a->rest) a->rest = ir_x2(x, K_MUL, a->rest, ir_x_dim(x, k));
}

static const ir_expr *rest_sum(ir_exprs *x, const ir_expr *a, const ir_expr *b) { return !a ? b : !b ? a : ir_x2(x, K_ADD, a, b); }

static affine analyse(walk *w, const ir_expr *e);

static affine analyse_new(walk *w, const ir_expr *e) {
    ir_context *c = w->t->c;
    affine out = {.rest = NULL};
    if (e->op == X_INDEX) {
        out.coef[e->i] = ir_dim_const(c, 1);
        return out;
    }
    if (e->op == K_ADD || e->op == K_SUB) {
        affine b = analyse(w, e->args[1]);
        out = analyse(w, e->args[0]);
        if (e->op == K_SUB) scale(c, w->x, &b, ir_dim_const(c, -1));
        for (int i = 0; i < NEST_MAX; i++) out.coef[i] = sum(c, out.coef[i], b.coef[i]);
        out.rest = rest_sum(w->x, out.rest, b.rest);
        out.rest_uses |= b.rest_uses;
        return out;
    }
    if (e->op == K_MUL) {
        const ir_dim *k = size_of(c, e->args[1]);
        if (k || size_of(c, e->args[0])) {
            out = analyse(w, e->args[k ? 0 : 1]);
            scale(c, w->x, &out, k ? k : size_of(c, e->args[0]));
            return out;
        }
    }
    if (e->op == X_CONST && e->k == 0) return out;
    out.rest = e;
    out.rest_uses = nest_facts_of(w->facts, e)->uses;
    return out;
}

static affine analyse(walk *w, const ir_expr *e) {
    if (!w->done[e->id]) {
        affine a = analyse_new(w, e);
        w->done[e->id] = rt_arena_copy(&w->t->c->arena, &a, sizeof a);
    }
    return *w->done[e->id];
}

void nest_strides(ir_context *c, int rank, const ir_dim *const *dims, const ir_layout *order, const ir_dim **stride) {
    const ir_dim *s = ir_dim_const(c, 1);
    for (int i = rank - 1; i >= 0; i--) {
        int d = order ? order->order[i] : i;
        stride[d] = s;
        s = ir_dim_mul(c, s, dims[d]);
    }
}

/* The dim whose index is the remainder of a division, of which dim d's is the quotient, if both are one run of memory; else -1. */
static int run_of(walk *w, const ir_expr *load, int d, const ir_dim *const *stride) {
    const ir_expr *q = load->args[d];
    for (int k = 0; k < load->n && q->op == K_FLOORDIV && q->dtype == DT_I64; k++) {
        const ir_expr *r = load->args[k];
        const ir_dim *m = size_of(w->t->c, q->args[1]);
        if (r->op != K_MOD || r->args[0] != q->args[0] || r->args[1] != q->args[1] || !m) continue;
        if (ir_dim_mul(w->t->c, stride[k], m) == stride[d]) return k;
    }
    return -1;
}

static void add_access(walk *w, const ir_expr *load) {
    nest *t = w->t;
    ir_context *c = t->c;
    const ir_value *v = t->f->operands.at[load->i];
    nest_access a = {.load = load};
    const ir_dim *stride[RT_MAX_RANK];
    const ir_dim *const *given = t->f->strides ? t->f->strides[load->i] : NULL;
    nest_strides(c, v->type->rank, v->type->dims, v->layout, stride);
    uint32_t done = 0;
    for (int d = 0; d < load->n && given; d++) stride[d] = given[d];
    for (int d = load->n - 1; d >= 0; d--) {
        if (ir_dim_is(stride[d], 0)) continue;
        int run = run_of(w, load, d, stride);
        if (run >= 0) done |= 1u << run;
    }
    for (int d = load->n - 1; d >= 0; d--) {
        if (ir_dim_is(stride[d], 0) || done >> d & 1) continue;
        int run = run_of(w, load, d, stride);
        affine p = analyse(w, run < 0 ? load->args[d] : load->args[d]->args[0]);
        scale(c, w->x, &p, stride[run < 0 ? d : run]);
        for (int i = 0; i < NEST_MAX; i++) a.coef[i] = sum(c, a.coef[i], p.coef[i]);
        a.rest = rest_sum(w->x, a.rest, p.rest);
        a.rest_uses |= p.rest_uses;
    }
    t->pinned |= a.rest_uses;
    RT_PUSH(&c->arena, &t->accesses, a);
    t->access_of[load->id] = t->accesses.n;
}

/* Collects loads; index variables met outside of their addresses are pinned. */
static void visit(walk *w, const ir_expr *e, bool address) {
    if (e->op == X_INDEX && !address) w->t->pinned |= 1u << e->i;
    if (e->op == X_LOAD && !w->seen[e->id]) {
        w->seen[e->id] = 1;
        add_access(w, e);
        for (int i = 0; i < e->n; i++) visit(w, e->args[i], true);
        return;
    }
    if (e->op != X_LOAD && w->seen[e->id] & (address ? 2 : 4)) return;
    w->seen[e->id] |= address ? 2 : 4;
    for (int i = 0; i < e->n && e->op != X_LOAD; i++) visit(w, e->args[i], address);
}

static uint32_t pins(const nest *t, unsigned char *seen, const ir_expr *e) {
    if (seen[e->id]) return 0;
    seen[e->id] = 1;
    if (e->op == X_INDEX) return 1u << e->i;
    if (e->op == X_LOAD) return nest_find(t, e)->rest_uses;
    uint32_t u = 0;
    for (int i = 0; i < e->n; i++) u |= pins(t, seen, e->args[i]);
    return u;
}

uint32_t nest_pins(const nest *t, const ir_expr *e) { return pins(t, RT_ARRAY(&t->c->arena, unsigned char, t->nexprs), e); }

static bool loads(unsigned char *seen, const ir_expr *e, int operand) {
    if (seen[e->id]) return false;
    seen[e->id] = 1;
    if (e->op == X_LOAD && e->i == operand) return true;
    for (int i = 0; i < e->n; i++)
        if (loads(seen, e->args[i], operand)) return true;
    return false;
}

bool nest_loads(const nest *t, const ir_expr *const *x, int n, int operand) {
    unsigned char *seen = RT_ARRAY(&t->c->arena, unsigned char, t->nexprs);
    for (int i = 0; i < n; i++)
        if (loads(seen, x[i], operand)) return true;
    return false;
}

const nest_access *nest_find(const nest *t, const ir_expr *load) {
    return load->id < t->nexprs && t->access_of[load->id] ? &t->accesses.at[t->access_of[load->id] - 1] : NULL;
}

const ir_dim *nest_coef(const nest *t, const nest_access *a, int loop) { return a->coef[t->loops.at[loop].last]; }

static const ir_dim *dim_of(const comp *k, int i) { return i < k->ndims ? k->dims[i] : k->rdims[i - k->ndims]; }

/* May variable i (slower) and j (faster, of size n) be one loop?  skip: an access that does not matter, or NULL. */
static bool mergeable(nest *t, int i, int j, const ir_dim *n, bool output, const nest_access *skip) {
    if (t->pinned & (1u << i | 1u << j)) return false;
    for (int a = 0; a < t->accesses.n; a++) {
        if (&t->accesses.at[a] == skip) continue;
        const ir_dim *ci = t->accesses.at[a].coef[i], *cj = t->accesses.at[a].coef[j];
        if (!ci && !cj) continue;
        if (!ci || !cj || ci != ir_dim_mul(t->c, cj, n)) return false;
    }
    return !output || t->ocoef[i] == ir_dim_mul(t->c, t->ocoef[j], n);
}

static bool is_row(const fused *f, int var) {
    for (int i = 0; i < f->nrows; i++)
        for (int k = 0; k < f->row[i].n; k++)
            if (f->row[i].var[k] == var) return true;
    return false;
}

static void add_loops(nest *t, int first, int n, bool reduce, const nest_access *skip, uint32_t free) {
    const comp *k = t->f->k;
    int begin = t->loops.n;
    for (int p = first; p < first + n; p++) {
        int i = t->order[p];
        const ir_dim *d = dim_of(k, i);
        if (ir_dim_is(d, 1) || is_row(t->f, i)) continue;
        nest_loop *l = t->loops.n > begin ? &t->loops.at[t->loops.n - 1] : NULL;
        if (l && mergeable(t, l->last, i, d, !reduce, free >> l->last & free >> i & 1 ? skip : NULL)) {
            l->last = i;
            l->vars |= 1u << i;
            l->size = ir_dim_mul(t->c, l->size, d);
            continue;
        }
        nest_loop fresh = {1u << i, i, d, reduce};
        RT_PUSH(&t->c->arena, &t->loops, fresh);
    }
}

bool nest_one_run(nest *t, int slow, int fast) { return mergeable(t, slow, fast, dim_of(t->f->k, fast), true, NULL); }

void nest_merge(nest *t, const nest_access *a, uint32_t free) {
    const comp *k = t->f->k;
    t->loops.n = 0;
    for (int i = 0; i < t->f->nrows; i++) {
        nest_loop l = {.size = ir_dim_const(t->c, 1)};
        for (int p = 0; p < t->f->row[i].n; p++) {
            l.last = t->f->row[i].var[p];
            l.vars |= 1u << l.last;
            l.size = ir_dim_mul(t->c, l.size, dim_of(k, l.last));
        }
        RT_PUSH(&t->c->arena, &t->loops, l);
    }
    add_loops(t, 0, k->ndims, false, a, free);
    t->nouter = t->loops.n;
    add_loops(t, k->ndims, k->nrdims, true, a, free);
}

static void visit_all(walk *w, const comp *k) {
    for (int i = 0; i < k->nstate; i++) {
        visit(w, k->init[i], false);
        visit(w, k->elem[i], false);
    }
    if (k->contract) w->t->nfactors = w->t->accesses.n;
    if (k->write) visit(w, k->elem[0], false);
    for (int i = 0; i < k->nout && !k->write; i++) visit(w, k->out[i], false);
    for (int i = 0; i < k->nat; i++) visit(w, k->at[i], false);
    for (int i = 0; i < k->checks.n; i++) visit(w, k->checks.at[i].index, false);
}

/* The output's variables and steps, in the order in which it lies in memory. */
static void output_order(nest *t, const ir_value *result) {
    const comp *k = t->f->k;
    const ir_type *type = result->type;
    const ir_dim *stride[NEST_MAX];
    bool write = k->write; /* its variables count what is written */
    int rank = write ? k->ndims : type->rank, n = 0;
    nest_strides(t->c, rank, write ? k->dims : type->dims, result->layout, stride);
    for (int i = 0; i < rank && t->f->out_strides; i++) stride[i] = t->f->out_strides[i];
    for (int v = 0; v < k->ndims; v++) t->ocoef[v] = ir_dim_mul(t->c, stride[t->f->dim_of[v]], t->f->step[v]);
    for (int i = 0; i < rank; i++)
        for (int v = 0; v < k->ndims; v++)
            if (t->f->dim_of[v] == (result->layout ? result->layout->order[i] : i)) t->order[n++] = v;
    for (int v = 0; v < k->nrdims; v++) t->order[n++] = k->ndims + v;
}

void nest_build(ir_context *c, const fused *f, const ir_value *result, nest *out) {
    comp *k = f->k;
    *out = (nest){.c = c, .f = f};
    output_order(out, result);
    int n = k->x.n + 1; /* analysis makes further ones, which are never analysed */
    walk w = {out, &k->x, RT_ARRAY(&c->arena, unsigned char, n), RT_ARRAY(&c->arena, nest_facts, n), RT_ARRAY(&c->arena, const affine *, n)};
    out->nexprs = n;
    out->access_of = RT_ARRAY(&c->arena, int, n);
    if (k->scan >= 0 && k->nrdims) out->pinned |= 1u << k->scan | 1u << k->ndims;
    visit_all(&w, k);
    nest_merge(out, NULL, 0);
}

static void find_base(nest *t, int operand) {
    int64_t base = INT64_MAX;
    for (int i = 0; i < t->accesses.n; i++) {
        const nest_access *a = &t->accesses.at[i];
        if (a->load->i != operand) continue;
        if (i < t->nfactors) return; /* looked at as a whole, as params are */
        int64_t k = !a->rest ? 0 : a->rest->op == X_CONST ? a->rest->k : -1;
        if (k < base) base = k;
    }
    if (base <= 0 || base == INT64_MAX || ir_is_param(t->f->operands.at[operand])) return;
    t->base[operand] = base;
    for (int i = 0; i < t->accesses.n; i++) {
        nest_access *a = &t->accesses.at[i];
        if (a->load->i == operand) a->rest = a->rest->k == base ? NULL : ir_x_int(&t->f->k->x, DT_I64, a->rest->k - base);
    }
}

void nest_rebase(nest *t) {
    t->base = RT_ARRAY(&t->c->arena, int64_t, t->f->operands.n + 1);
    for (int i = 0; i < t->f->operands.n; i++) find_base(t, i);
}
