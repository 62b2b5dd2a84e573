/* cut.c: where the loops of a map are cut, so that a condition on the loop's index is the same throughout a piece: a concat
 * reads one of its parts there, a padded image is either inside or filled, a rolled one moves without a remainder.
 *
 * Expressions are those over loops (emit.h).  A loop is cut where a condition compares its index, plus or minus a size, with a
 * size, and at a multiple of a divisor if its index crosses just one.  In a piece every condition is known that compares sums of
 * indexes which are all below or all above.  Pieces whose order is not provable are not cut. */
#include "lower/emit.h"

typedef const ir_dim *D;
typedef struct line { int64_t coef[NEST_MAX]; D rest; } line; /* sum of coefficients times indexes of loops, and rest */

static D scaled(const emit *e, D d, int64_t by) { return ir_dim_mul(e->c, sched_num(e, by), d); }

static void add_line(const emit *e, line *a, const line *b, int64_t by) {
    for (int l = 0; l < e->t.loops.n; l++) a->coef[l] += by * b->coef[l];
    a->rest = ir_dim_add(e->c, a->rest, scaled(e, b->rest, by));
}

static bool line_of(const emit *e, const ir_expr *x, line *out) {
    line a, b;
    int64_t k;
    *out = (line){.rest = sched_num(e, 0)};
    if (x->op == X_INDEX) return out->coef[x->i] = 1, true;
    if (x->op == X_CONST && x->dtype == DT_I64) return out->rest = sched_num(e, x->k), true;
    if (x->op == X_DIM) return out->rest = x->dim, true;
    if ((x->op != K_ADD && x->op != K_SUB && x->op != K_MUL) || !line_of(e, x->args[0], &a) || !line_of(e, x->args[1], &b)) return false;
    if (x->op == K_MUL) {
        bool left = x->args[0]->op == X_CONST || x->args[0]->op == X_DIM;
        if (!ir_dim_is_const(left ? a.rest : b.rest, &k) || (!left && x->args[1]->op != X_CONST && x->args[1]->op != X_DIM)) return false;
        add_line(e, out, left ? &b : &a, k);
        return true;
    }
    add_line(e, out, &a, 1);
    add_line(e, out, &b, x->op == K_SUB ? -1 : 1);
    return true;
}

/* Does it move by `loop` alone, and by one per step? */
static bool along(const line *x, int loop) {
    for (int l = 0; l < NEST_MAX; l++)
        if (l != loop && x->coef[l]) return false;
    return x->coef[loop] == 1 || x->coef[loop] == -1;
}

/* A comparison as one of a line with 0. */
static bool compares(const emit *e, const ir_expr *x, line *out) {
    line b;
    if (x->op != K_LT && x->op != K_LE && x->op != K_GT && x->op != K_GE && x->op != K_EQ) return false;
    if (x->args[0]->dtype != DT_I64 || !line_of(e, x->args[0], out) || !line_of(e, x->args[1], &b)) return false;
    add_line(e, out, &b, -1);
    return true;
}

/* A quotient or remainder of a line by a constant. */
static bool divides(const emit *e, const ir_expr *x, int loop, line *out, int64_t *by, int64_t *rest) {
    if ((x->op != K_MOD && x->op != K_FLOORDIV) || x->dtype != DT_I64 || x->args[1]->op != X_CONST) return false;
    *by = x->args[1]->k;
    return *by > 0 && line_of(e, x->args[0], out) && along(out, loop) && out->coef[loop] == 1 && ir_dim_is_const(out->rest, rest);
}

/* ---- where */

static void add_point(const emit *e, sched_cuts *cuts, int loop, D at) {
    int n = 0;
    if (ir_dim_lt(e->c, sched_num(e, 0), at) != IR_YES || ir_dim_lt(e->c, at, sched_size(e, loop)) != IR_YES) return;
    for (; n < cuts->n && cuts->at[n] != at && ir_dim_lt(e->c, cuts->at[n], at) == IR_YES; n++) {}
    if (cuts->n == SCHED_CUTS || (n < cuts->n && ir_dim_lt(e->c, at, cuts->at[n]) != IR_YES)) return;
    for (int i = cuts->n++; i > n; i--) cuts->at[i] = cuts->at[i - 1];
    cuts->at[n] = at;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static void find(const emit *e, unsigned char *seen, const ir_expr *x, int loop, sched_cuts *cuts) {
    line l;
    int64_t by, rest, size;
    if (seen[x->id]) return;
    seen[x->id] = 1;
    if (compares(e, x, &l) && along(&l, loop)) { /* it changes between index `at` - 1 and `at`: */
        D zero = scaled(e, l.rest, -l.coef[loop]), next = ir_dim_add(e->c, zero, sched_num(e, 1));
        bool up = (x->op == K_LT || x->op == K_GE) == (l.coef[loop] > 0);
        if (up || x->op == K_EQ) add_point(e, cuts, loop, zero);
        if (!up || x->op == K_EQ) add_point(e, cuts, loop, next);
    }
    if (divides(e, x, loop, &l, &by, &rest) && ir_dim_is_const(sched_size(e, loop), &size)) {
        int64_t first = floor_div(rest, by), last = floor_div(rest + size - 1, by);
        if (last == first + 1) add_point(e, cuts, loop, sched_num(e, last * by - rest));
    }
    for (int i = 0; i < x->n; i++) find(e, seen, x->args[i], loop, cuts);
}

void sched_cut_points(const emit *e, int loop, sched_cuts *cuts) {
    unsigned char *seen = RT_ARRAY(&e->c->arena, unsigned char, e->x.n + 1);
    cuts->n = 0;
    for (int i = 0; i < e->f->k->nout; i++) find(e, seen, e->out[i], loop, cuts);
}

/* ---- what is known in a piece */

typedef struct piece { emit *e; int loop; D lo, hi; } piece;

static bool below(const piece *p, D a, D b) { return ir_dim_lt(p->e->c, a, b) == IR_YES; }

/* The line at its least or its greatest. */
static D extreme(const piece *p, const line *l, bool greatest) {
    const emit *e = p->e;
    D sum = l->rest;
    for (int i = 0; i < e->t.loops.n; i++) {
        if (!l->coef[i]) continue;
        D first = i == p->loop ? p->lo : sched_num(e, 0), last = ir_dim_sub(e->c, i == p->loop ? p->hi : sched_size(e, i), sched_num(e, 1));
        sum = ir_dim_add(e->c, sum, scaled(e, (l->coef[i] > 0) == greatest ? last : first, l->coef[i]));
    }
    return sum;
}

/* Is the comparison of the line with 0 the same throughout?  1: true, 0: false, -1: not known. */
static int truth(const piece *p, ir_prim op, const line *l) {
    ir_context *c = p->e->c;
    D zero = sched_num(p->e, 0), least = extreme(p, l, false), most = extreme(p, l, true);
    bool less = below(p, most, zero), more = below(p, zero, least);
    bool none_less = ir_dim_le(c, zero, least) == IR_YES, none_more = ir_dim_le(c, most, zero) == IR_YES;
    switch ((int)op) {
    case K_LT: return less ? 1 : none_less ? 0 : -1;
    case K_GE: return none_less ? 1 : less ? 0 : -1;
    case K_GT: return more ? 1 : none_more ? 0 : -1;
    case K_LE: return none_more ? 1 : more ? 0 : -1;
    default: return less || more ? 0 : none_less && none_more ? 1 : -1;
    }
}

static const ir_expr *known(piece *p, const ir_expr *x);

static const ir_expr *quotient(piece *p, const ir_expr *x, int64_t by, int64_t rest) {
    ir_exprs *xs = &p->e->x;
    int64_t lo, hi;
    if (!ir_dim_is_const(p->lo, &lo) || !ir_dim_is_const(p->hi, &hi)) return NULL;
    int64_t q = floor_div(lo + rest, by);
    if (floor_div(hi - 1 + rest, by) != q) return NULL;
    if (x->op == K_FLOORDIV) return ir_x_int(xs, DT_I64, q);
    return ir_x2(xs, K_ADD, ir_x_index(xs, p->loop), ir_x_int(xs, DT_I64, rest - q * by));
}

static const ir_expr *rebuilt(piece *p, const ir_expr *x) {
    ir_exprs *xs = &p->e->x;
    const ir_expr **args = RT_ARRAY(&p->e->c->arena, const ir_expr *, x->n);
    if (!x->n) return x;
    if (x->op == K_SELECT) {
        const ir_expr *cond = known(p, x->args[0]);
        if (cond->op == X_CONST) return known(p, x->args[cond->k ? 1 : 2]);
    }
    for (int i = 0; i < x->n; i++) args[i] = known(p, x->args[i]);
    for (int i = 0; i < 2 && (x->op == K_AND || x->op == K_OR) && x->dtype == DT_BOOL; i++)
        if (args[i]->op == X_CONST) return !!args[i]->k == (x->op == K_AND) ? args[1 - i] : args[i];
    return x->op == X_LOAD ? ir_x_load(xs, x->i, x->dtype, x->n, args) : ir_x(xs, x->op, x->dtype, x->n, args);
}

static const ir_expr *known_new(piece *p, const ir_expr *x) {
    line l;
    int64_t by, rest;
    if (compares(p->e, x, &l)) {
        int t = truth(p, x->op, &l);
        if (t >= 0) return ir_x_int(&p->e->x, DT_BOOL, t);
    }
    const ir_expr *q = divides(p->e, x, p->loop, &l, &by, &rest) ? quotient(p, x, by, rest) : NULL;
    return q ? q : rebuilt(p, x);
}

static const ir_expr *known(piece *p, const ir_expr *x) {
    sched_known *k = &p->e->known;
    if (k->piece[x->id] == k->pieces) return k->as[x->id];
    const ir_expr *y = known_new(p, x);
    k->piece[x->id] = k->pieces;
    return k->as[x->id] = y;
}

void sched_cut_piece(emit *e, int loop, const ir_dim *lo, const ir_dim *hi) {
    piece p = {e, loop, lo, hi};
    sched_known *k = &e->known;
    if (k->cap <= e->x.n) {
        *k = (sched_known){.cap = 2 * e->x.n + 1};
        k->as = RT_ARRAY(&e->c->arena, const ir_expr *, k->cap);
        k->piece = RT_ARRAY(&e->c->arena, int, k->cap);
    }
    k->pieces++;
    for (int i = 0; i < e->f->k->nout; i++) e->out[i] = known(&p, e->out[i]);
}
