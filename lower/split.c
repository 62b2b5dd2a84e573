/* split.c: index variables that are divided are taken apart, so that addresses become affine: where a reshape reads
 * x[i / 64, i % 64], i of size 768 becomes i1 * 64 + i2 with i1 < 12 and i2 < 64, and the index is [i1, i2].
 *
 * A quotient or remainder of a sum by m is simplified where the terms that m divides can be told from a rest that is
 * provably in [0, m).  A variable is split in two where its term does not allow that and its size does.  Loops over the
 * parts are merged again by nest.c where nobody tells them apart, so a split costs nothing.  Scans and writes keep their
 * variables. */
#include "lower/fused.h"
#include "lower/nest.h"

enum { MAX_ROUNDS = 6 };

typedef const ir_dim *D;

/* Sum of variables times sizes, plus a size. */
typedef struct linear { D coef[NEST_MAX], c; } linear;

typedef struct splitter {
    ir_context *c;
    comp *k;           /* the new one */
    int nvars;         /* of the old one */
    D old[NEST_MAX];   /* sizes of the old variables */
    D by[NEST_MAX];    /* size of the fast part, NULL: not split */
    int var[NEST_MAX]; /* new number of an old variable (of its slow part) */
    D size[NEST_MAX];  /* of the new variables */
    int nnew;
    const ir_expr **done;
} splitter;

static D var_size(const comp *k, int i) { return i < k->ndims ? k->dims[i] : k->rdims[i - k->ndims]; }

static D plus(ir_context *c, D a, D b) { return !a ? b : !b ? a : ir_dim_add(c, a, b); }

static bool linear_of(ir_context *c, const ir_expr *e, linear *out) {
    linear b;
    *out = (linear){.c = NULL};
    if (e->op == X_INDEX) return out->coef[e->i] = ir_dim_const(c, 1), true;
    if (e->op == X_CONST && e->dtype == DT_I64) return out->c = ir_dim_const(c, e->k), true;
    if (e->op == X_DIM) return out->c = e->dim, true;
    bool scale = e->op == K_MUL, minus = e->op == K_SUB;
    if ((!scale && !minus && e->op != K_ADD) || !linear_of(c, e->args[0], out) || !linear_of(c, e->args[1], &b)) return false;
    D by = minus ? ir_dim_const(c, -1) : NULL;
    if (scale) {
        bool moves[2] = {false, false};
        for (int i = 0; i < NEST_MAX; i++) moves[0] = moves[0] || out->coef[i], moves[1] = moves[1] || b.coef[i];
        if (moves[0] && moves[1]) return false;
        if (moves[0]) {
            linear x = *out;
            *out = b;
            b = x;
        }
        by = out->c ? out->c : ir_dim_const(c, 0);
        *out = (linear){.c = NULL};
    }
    for (int i = 0; i < NEST_MAX; i++)
        if (b.coef[i]) out->coef[i] = plus(c, out->coef[i], by ? ir_dim_mul(c, b.coef[i], by) : b.coef[i]);
    if (b.c) out->c = plus(c, out->c, by ? ir_dim_mul(c, b.c, by) : b.c);
    return true;
}

/* The divisor of a quotient or remainder of integers; NULL: e is none, or it is not known to be positive. */
static D divisor(ir_context *c, const ir_expr *e) {
    linear m;
    if ((e->op != K_FLOORDIV && e->op != K_MOD) || e->dtype != DT_I64 || !linear_of(c, e->args[1], &m) || !m.c) return NULL;
    for (int i = 0; i < NEST_MAX; i++)
        if (m.coef[i]) return NULL;
    return ir_dim_lt(c, ir_dim_const(c, 0), m.c) == IR_YES ? m.c : NULL;
}

/* ---- where to split */

static void find(splitter *s, unsigned char *seen, const ir_expr *e) {
    if (!e || seen[e->id]) return;
    seen[e->id] = 1;
    for (int i = 0; i < e->n; i++) find(s, seen, e->args[i]);
    linear a;
    D m = divisor(s->c, e);
    if (!m || !linear_of(s->c, e->args[0], &a)) return;
    for (int v = 0; v < s->nvars; v++) {
        if (!a.coef[v] || s->by[v] || ir_dim_exact_div(s->c, a.coef[v], m)) continue;
        D q = ir_dim_exact_div(s->c, m, a.coef[v]), slow = q ? ir_dim_exact_div(s->c, s->old[v], q) : NULL;
        bool useful = slow && ir_dim_lt(s->c, ir_dim_const(s->c, 1), q) != IR_NO && ir_dim_lt(s->c, ir_dim_const(s->c, 1), slow) != IR_NO;
        if (useful) s->by[v] = q;
    }
}

typedef void each_expr(void *env, const ir_expr **e);

static void for_exprs(comp *k, each_expr *fn, void *env) {
    for (int i = 0; i < k->nstate; i++) fn(env, &k->init[i]), fn(env, &k->elem[i]), fn(env, &k->combine[i]);
    for (int i = 0; i < k->nout; i++) fn(env, &k->out[i]);
    for (int i = 0; i < k->checks.n; i++) fn(env, &k->checks.at[i].index);
}

typedef struct finding { splitter *s; unsigned char *seen; bool divides; } finding;

static void find_in(void *env, const ir_expr **e) {
    finding *f = env;
    find(f->s, f->seen, *e);
}

/* ---- rewriting */

static const ir_expr *expr_of(splitter *s, const linear *l) {
    ir_exprs *x = &s->k->x;
    const ir_expr *sum = l->c ? ir_x_dim(x, l->c) : NULL;
    for (int v = 0; v < s->nnew; v++) {
        if (!l->coef[v]) continue;
        int64_t one;
        const ir_expr *i = ir_x_index(x, v), *t = ir_dim_is_const(l->coef[v], &one) && one == 1 ? i : ir_x2(x, K_MUL, i, ir_x_dim(x, l->coef[v]));
        sum = sum ? ir_x2(x, K_ADD, sum, t) : t;
    }
    return sum ? sum : ir_x_int(x, DT_I64, 0);
}

/* Is the sum provably in [0, m)? */
static bool below(splitter *s, const linear *l, D m) {
    D zero = ir_dim_const(s->c, 0), most = l->c ? l->c : zero;
    if (ir_dim_le(s->c, zero, most) != IR_YES) return false;
    for (int v = 0; v < s->nnew; v++) {
        if (!l->coef[v]) continue;
        if (ir_dim_le(s->c, zero, l->coef[v]) != IR_YES) return false;
        most = ir_dim_add(s->c, most, ir_dim_mul(s->c, l->coef[v], ir_dim_sub(s->c, s->size[v], ir_dim_const(s->c, 1))));
    }
    return ir_dim_lt(s->c, most, m) == IR_YES;
}

/* a as m * q + r with r in [0, m); false: the terms that m does not divide are not known to be there. */
static bool parted(splitter *s, const linear *a, D m, linear *q, linear *r) {
    D part;
    *q = *r = (linear){.c = NULL};
    for (int v = 0; v < s->nnew; v++) {
        if (!a->coef[v]) continue;
        if ((part = ir_dim_exact_div(s->c, a->coef[v], m))) q->coef[v] = part;
        else r->coef[v] = a->coef[v];
    }
    if (a->c && (part = ir_dim_exact_div(s->c, a->c, m))) q->c = part;
    else r->c = a->c;
    return below(s, r, m);
}

/* The same by a coefficient that divides m (NULL: whatever it is), and leaves a rest: which one, or NULL. */
static D coefficient(splitter *s, const linear *a, D m, linear *q, linear *r) {
    for (int v = 0; v < s->nnew; v++) {
        bool rest = false;
        if (!a->coef[v] || (m && !ir_dim_exact_div(s->c, m, a->coef[v])) || !parted(s, a, a->coef[v], q, r)) continue;
        for (int i = 0; i < s->nnew; i++) rest = rest || r->coef[i];
        if (rest) return a->coef[v];
    }
    return NULL;
}

/* e is a rewritten quotient or remainder. */
static const ir_expr *simplified_division(splitter *s, const ir_expr *e, const linear *a, D m) {
    ir_exprs *x = &s->k->x;
    linear q, r;
    if (parted(s, a, m, &q, &r)) return expr_of(s, e->op == K_FLOORDIV ? &q : &r);
    D by = coefficient(s, a, m, &q, &r);
    if (!by) return e;
    const ir_expr *part = ir_x2(x, e->op, expr_of(s, &q), ir_x_dim(x, ir_dim_exact_div(s->c, m, by)));
    return e->op == K_FLOORDIV ? part : ir_x2(x, K_ADD, ir_x2(x, K_MUL, part, ir_x_dim(x, by)), expr_of(s, &r));
}

/* A comparison that the faster one of two parts does not decide. */
static const ir_expr *simplified_comparison(splitter *s, const ir_expr *e) {
    linear a, b, q, r;
    if (e->args[0]->dtype != DT_I64 || !linear_of(s->c, e->args[0], &a) || !linear_of(s->c, e->args[1], &b)) return e;
    D minus = ir_dim_const(s->c, -1);
    for (int v = 0; v < s->nnew; v++)
        if (b.coef[v]) a.coef[v] = plus(s->c, a.coef[v], ir_dim_mul(s->c, b.coef[v], minus));
    if (b.c) a.c = plus(s->c, a.c, ir_dim_mul(s->c, b.c, minus));
    return coefficient(s, &a, NULL, &q, &r) ? ir_x2(&s->k->x, e->op, expr_of(s, &q), ir_x_int(&s->k->x, DT_I64, 0)) : e;
}

static const ir_expr *simplified(splitter *s, const ir_expr *e) {
    linear a;
    D m = divisor(s->c, e);
    if (m && linear_of(s->c, e->args[0], &a)) return simplified_division(s, e, &a, m);
    return e->op == K_LT || e->op == K_GE ? simplified_comparison(s, e) : e;
}

static const ir_expr *rewrite(splitter *s, const ir_expr *e);

static const ir_expr *index_of(splitter *s, int v) {
    ir_exprs *x = &s->k->x;
    const ir_expr *i = ir_x_index(x, s->var[v]);
    return s->by[v] ? ir_x2(x, K_ADD, ir_x2(x, K_MUL, i, ir_x_dim(x, s->by[v])), ir_x_index(x, s->var[v] + 1)) : i;
}

static const ir_expr *rewritten(splitter *s, const ir_expr *e) {
    ir_exprs *x = &s->k->x;
    const ir_expr **args = RT_ARRAY(&s->c->arena, const ir_expr *, e->n);
    for (int i = 0; i < e->n; i++) args[i] = rewrite(s, e->args[i]);
    switch ((int)e->op) {
    case X_CONST: return rt_dtypes[e->dtype].kind == 'F' ? ir_x_float(x, e->dtype, e->f) : ir_x_int(x, e->dtype, e->k);
    case X_INDEX: return index_of(s, e->i);
    case X_DIM: return ir_x_dim(x, e->dim);
    case X_PARAM: return ir_x_param(x, e->i, e->dtype);
    case X_SCALAR: return ir_x_scalar(x, e->i, e->dtype);
    case X_LOAD: return ir_x_load(x, e->i, e->dtype, e->n, args);
    default: return simplified(s, ir_x(x, e->op, e->dtype, e->n, args));
    }
}

static const ir_expr *rewrite(splitter *s, const ir_expr *e) {
    if (!s->done[e->id]) s->done[e->id] = rewritten(s, e);
    return s->done[e->id];
}

static void rewrite_in(void *env, const ir_expr **e) {
    if (*e) *e = rewrite(env, *e);
}

/* ---- one round */

static void divides(void *env, const ir_expr **e) {
    finding *f = env;
    if (!*e || f->seen[(*e)->id]) return;
    f->seen[(*e)->id] = 1;
    f->divides = f->divides || ((*e)->dtype == DT_I64 && ((*e)->op == K_FLOORDIV || (*e)->op == K_MOD));
    for (int i = 0; i < (*e)->n && !f->divides; i++) divides(f, (const ir_expr **)&(*e)->args[i]);
}

/* Numbers the parts; returns how many of them belong to the variables [from, to). */
static int number(splitter *s, fused *f, int from, int to, uint8_t *dim_of, D *step) {
    int first = s->nnew;
    for (int v = from; v < to; v++) {
        s->var[v] = s->nnew;
        for (int part = 0; part < (s->by[v] ? 2 : 1); part++) {
            D by = s->by[v], old = v < f->k->ndims ? f->step[v] : NULL;
            if (old) dim_of[s->nnew] = f->dim_of[v];
            if (old) step[s->nnew] = by && part == 0 ? ir_dim_mul(s->c, old, by) : old;
            s->size[s->nnew++] = !by ? s->old[v] : part == 0 ? ir_dim_exact_div(s->c, s->old[v], by) : by;
        }
    }
    return s->nnew - first;
}

static splitter splitter_of(ir_context *c, const comp *k) {
    splitter s = {.c = c, .nvars = k->ndims + k->nrdims};
    for (int v = 0; v < s.nvars; v++) s.old[v] = var_size(k, v);
    return s;
}

/* Takes the variables apart that have a `by`; false: none has, or they would be too many. */
static bool take_apart(splitter *with, fused *f) {
    splitter s = *with;
    ir_context *c = s.c;
    comp *old = f->k, *k = RT_NEW(&c->arena, comp);
    int more = 0;
    for (int v = 0; v < s.nvars; v++) more += s.by[v] != NULL;
    if (s.nvars + more > NEST_MAX) return false;
    *k = *old;
    k->x = (ir_exprs){.c = c};
    s.k = k;
    uint8_t dim_of[NEST_MAX];
    D step[NEST_MAX];
    k->ndims = number(&s, f, 0, old->ndims, dim_of, step);
    k->nrdims = number(&s, f, old->ndims, s.nvars, dim_of, step);
    k->dims = rt_arena_copy(&c->arena, s.size, sizeof(D) * (size_t)(k->ndims + 1));
    k->rdims = rt_arena_copy(&c->arena, s.size + k->ndims, sizeof(D) * (size_t)(k->nrdims + 1));
    memcpy(f->dim_of, dim_of, sizeof dim_of);
    memcpy(f->step, step, sizeof step);
    s.done = RT_ARRAY(&c->arena, const ir_expr *, old->x.n + 1);
    k->checks.n = k->checks.cap = 0;
    for (int i = 0; i < old->checks.n; i++) RT_PUSH(&c->arena, &k->checks, old->checks.at[i]);
    for_exprs(k, rewrite_in, &s);
    f->k = k;
    return more > 0;
}

static bool split_round(ir_context *c, fused *f) {
    splitter s = splitter_of(c, f->k);
    finding found = {&s, RT_ARRAY(&c->arena, unsigned char, f->k->x.n + 1), false};
    for_exprs(f->k, find_in, &found);
    return take_apart(&s, f);
}

bool lower_split_var(ir_context *c, fused *f, int var, const ir_dim *by) {
    splitter s = splitter_of(c, f->k);
    s.by[var] = ir_dim_exact_div(c, s.old[var], by) ? by : NULL;
    return s.by[var] && take_apart(&s, f);
}

void lower_split(ir_context *c, fused *f) {
    comp *k = f->k;
    for (int v = 0; v < k->ndims; v++) {
        f->dim_of[v] = (uint8_t)v;
        f->step[v] = ir_dim_const(c, 1);
    }
    if (k->write || (k->scan >= 0 && k->nrdims)) return;
    finding any = {NULL, RT_ARRAY(&c->arena, unsigned char, k->x.n + 1), false};
    for_exprs(k, divides, &any);
    for (int i = 0; any.divides && i < MAX_ROUNDS && split_round(c, f); i++) continue;
}
