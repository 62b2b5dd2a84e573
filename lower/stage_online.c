/* stage_online.c: which stages can go through the keys in blocks: see stage.h.
 *
 * A product sums up, over keys, weights exp(x - m) times values, where m = max x over the keys; other sums of the weights
 * may stand beside.  A larger maximum, met in a later block, scales what was summed up before by exp(old m - new m).  No stage
 * is known by name: what counts is over which variables it runs, what it reads, and the form of those three expressions. */
#include "lower/stage.h"

typedef const ir_dim *D;

static bool is_key(const stage *x, int var) { return x->key >= 0 && x->key == var; }
static bool over_keys(const stage *x) { return x->key >= x->f.k->ndims; } /* reduces them */
static bool has_keys(const stage *x) { return x->key >= 0 && x->key < x->f.k->ndims; } /* has a result for each */

/* The one variable of a reduction that has more than one value; -1: there is not just one. */
static int only_reduced(const stage *x) {
    const comp *k = x->f.k;
    int found = -1, n = 0;
    for (int r = 0; r < k->nrdims; r++)
        if (!ir_dim_is(k->rdims[r], 1)) found = k->ndims + r, n++;
    return n == 1 ? found : -1;
}

/* From the readers to those that make what they read, and from these to their other readers. */
static void spread_keys(stages *s) {
    for (int i = s->n - 1; i >= 0; i--)
        for (int r = 0; r < s->at[i].reads.n && s->at[i].key >= 0; r++) {
            const stage_read *x = &s->at[i].reads.at[r];
            int v = stages_var_of(&s->at[i], &s->at[x->from], x->load, s->at[i].key, -1);
            if (v >= 0) s->at[x->from].key = v;
        }
    for (int i = 0; i < s->n; i++)
        for (int r = 0; r < s->at[i].reads.n && s->at[i].key < 0; r++) {
            const stage_read *x = &s->at[i].reads.at[r];
            int v = only_reduced(&s->at[i]);
            if (v >= 0 && has_keys(&s->at[x->from]) && is_key(&s->at[x->from], stages_var_of(&s->at[i], &s->at[x->from], x->load, v, -1)))
                s->at[i].key = v;
        }
}

static const stage_read *read_of(const stage *x, const ir_expr *load) {
    for (int r = 0; r < x->reads.n; r++)
        if (x->reads.at[r].load == load) return &x->reads.at[r];
    return NULL;
}

/* Does it reduce one value, loaded as it is, by `op`?  What stage makes that; -1: it does not. */
static int reduces(const stage *x, ir_prim op) {
    const comp *k = x->f.k;
    if (x->kind != CK_REDUCE || !over_keys(x) || k->nstate != 1 || k->nout != 1 || k->state_dtype[0] != DT_F32) return -1;
    const ir_expr *c = k->combine[0];
    if (c->op != op || c->args[0]->op != X_PARAM || c->args[1]->op != X_PARAM || c->args[0] == c->args[1]) return -1;
    if (k->out[0]->op != X_PARAM || k->elem[0]->op != X_LOAD || k->checks.n) return -1;
    const stage_read *r = read_of(x, k->elem[0]);
    return r ? r->from : -1;
}

/* exp(x - m): the stages that make x and m. */
static bool weighs(const stage *x, int *scores, int *max) {
    const ir_expr *e = x->f.k->nout == 1 ? x->f.k->out[0] : NULL;
    if (x->kind != CK_MAP || !has_keys(x) || !e || e->op != K_EXP || e->args[0]->op != K_SUB) return false;
    const stage_read *a = read_of(x, e->args[0]->args[0]), *b = read_of(x, e->args[0]->args[1]);
    if (!a || !b || x->f.k->out_dtype[0] != DT_F32) return false;
    *scores = a->from;
    *max = b->from;
    return true;
}

static bool find_weights(stages *s) {
    int scores;
    for (int i = 0; i < s->n; i++) {
        if (!weighs(&s->at[i], &scores, &s->max)) continue;
        s->weights = i;
        return reduces(&s->at[s->max], K_MAX) == scores && has_keys(&s->at[scores]);
    }
    return false;
}

/* Is each stage one that makes scores, or one of those that make the best of them? */
static bool all_known(const stages *s) {
    for (int i = 0; i < s->n - 1; i++) {
        const stage *x = &s->at[i];
        bool scores = has_keys(x) && (x->kind == CK_MAP || x->kind == CK_CONTRACT);
        if (i == s->max || i == s->weights || reduces(x, K_ADD) == s->weights) continue;
        for (int r = 0; r < x->reads.n; r++) {
            const stage *from = &s->at[x->reads.at[r].from];
            scores = scores && has_keys(from) && x->reads.at[r].from != s->weights;
        }
        if (!scores) return false;
    }
    return true;
}

/* Does the product read the weights in its elements, and in its results only what has no keys? */
static bool sums_weights(const stages *s) {
    const stage *x = &s->at[s->n - 1];
    bool found = false;
    for (int r = 0; r < x->reads.n; r++) {
        const stage_read *y = &x->reads.at[r];
        if (y->from == s->weights) found = true;
        else if (has_keys(&s->at[y->from])) return false;
    }
    return found && over_keys(x);
}

bool stages_online(stages *s) {
    stage *last = &s->at[s->n - 1];
    if (last->kind != CK_CONTRACT || s->n < 4) return false;
    last->key = only_reduced(last);
    if (last->key < 0) return false;
    spread_keys(s);
    s->all_keys = last->f.k->rdims[last->key - last->f.k->ndims];
    return find_weights(s) && all_known(s) && sums_weights(s);
}

/* ---- keys that no row of a block looks at */

static bool is_const(const ir_expr *x, int64_t k) { return x->op == X_CONST && rt_dtypes[x->dtype].kind != 'F' && x->k == k; }

/* key - row compared with a constant, as a bound; `holds`: where the comparison does. */
static bool bound_of(const ir_expr *e, bool holds, int key, int row, stage_bound *out) {
    sched_line a, b;
    int64_t less, offset;
    if (e->op != K_LE && e->op != K_LT && e->op != K_GE && e->op != K_GT) return false;
    if (!sched_line_of(e->args[0], &a) || !sched_line_of(e->args[1], &b)) return false;
    for (int v = 0; v < NEST_MAX; v++) {
        a.coef[v] -= b.coef[v];
        if (v != key && v != row && a.coef[v]) return false;
    }
    if (a.coef[key] + a.coef[row] || (a.coef[key] != 1 && a.coef[key] != -1)) return false;
    bool above = e->op == K_GE || e->op == K_GT, strict = e->op == K_LT || e->op == K_GT;
    if (!holds) above = !above, strict = !strict;
    offset = b.c - a.c; /* sign * (key - row) is less than, or above, this */
    less = strict ? 1 : 0;
    offset += above ? less : -less;
    *out = (stage_bound){above == (a.coef[key] < 0), a.coef[key] * offset};
    return true;
}

/* What must hold for e to be `holds`. */
static int bounds_of(const ir_expr *e, bool holds, int key, int row, int n, stage_bound *out) {
    if (n == STAGE_BOUNDS) return n;
    if (e->op == K_NOT) return bounds_of(e->args[0], !holds, key, row, n, out);
    if (e->op == K_CAST && e->dtype == DT_BOOL && e->args[0]->dtype == DT_BOOL) return bounds_of(e->args[0], holds, key, row, n, out);
    if (e->op == K_SELECT && is_const(e->args[1], 1) && is_const(e->args[2], 0)) return bounds_of(e->args[0], holds, key, row, n, out);
    if (e->op == K_SELECT && is_const(e->args[1], 0) && is_const(e->args[2], 1)) return bounds_of(e->args[0], !holds, key, row, n, out);
    if (e->op == (holds ? K_AND : K_OR)) {
        n = bounds_of(e->args[0], holds, key, row, n, out);
        return bounds_of(e->args[1], holds, key, row, n, out);
    }
    return n < STAGE_BOUNDS && bound_of(e, holds, key, row, &out[n]) ? n + 1 : n;
}

static bool is_lowest(const ir_expr *x) { return x->op == X_CONST && rt_dtypes[x->dtype].kind == 'F' && x->f < 0 && x->f * 0 != 0; }

int stages_bounds(const stages *s, stage_bound *out) {
    const stage *max = &s->at[s->max], *x = &s->at[read_of(max, max->f.k->elem[0])->from];
    const struct fused_row *row = &x->f.row[s->nrows - 1];
    int n = 0;
    if (row->n != 1) return 0;
    for (const ir_expr *e = x->f.k->out[0]; e->op == K_SELECT;) {
        bool first = is_lowest(e->args[1]);
        if (!first && !is_lowest(e->args[2])) break;
        n = bounds_of(e->args[0], !first, x->key, row->var[0], n, out);
        e = e->args[first ? 2 : 1];
    }
    return n;
}
