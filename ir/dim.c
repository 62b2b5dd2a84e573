/* dim.c: symbolic sizes: polynomials over atoms in normal form, their ranges and comparisons.
 *
 * Terms are in falling order of a graded lexicographic monomial order, the constant last; atoms within a term
 * rise. The order looks at names and structure only, never at ids, so that text read back prints the same.
 * What would overflow int64, or grow past MAX_SIZE, becomes a fresh symbol: sound, and nothing is known of
 * it. */
#include "ir/ir.h"

#include <stdlib.h>

enum { MAX_TERMS = 256, MAX_ATOMS = 24, MAX_SIZE = 2048, MAX_DEPTH = 64 };

/* ---- the order */

static int compare_dims(const ir_dim *a, const ir_dim *b);

static int compare_atoms(const ir_atom *a, const ir_atom *b) {
    if (a == b) return 0;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->kind == ATOM_SYMBOL) return strcmp(a->symbol, b->symbol);
    int r = compare_dims(a->a, b->a);
    return r ? r : compare_dims(a->b, b->b);
}

/* Negative: a comes first, being of higher degree or of earlier atoms. */
static int compare_monomials(const ir_term *a, const ir_term *b) {
    if (a->natoms != b->natoms) return a->natoms > b->natoms ? -1 : 1;
    for (int i = 0; i < a->natoms; i++) {
        int r = compare_atoms(a->atoms[i], b->atoms[i]);
        if (r) return r;
    }
    return 0;
}

static int compare_dims(const ir_dim *a, const ir_dim *b) {
    if (a == b) return 0;
    for (int i = 0; i < a->nterms && i < b->nterms; i++) {
        int r = compare_monomials(&a->terms[i], &b->terms[i]);
        if (r) return r;
        if (a->terms[i].coef != b->terms[i].coef) return a->terms[i].coef < b->terms[i].coef ? -1 : 1;
    }
    return a->nterms < b->nterms ? -1 : a->nterms > b->nterms;
}

static int by_monomial(const void *a, const void *b) { return compare_monomials(a, b); }
static int by_atom(const void *a, const void *b) {
    return compare_atoms(*(const ir_atom *const *)a, *(const ir_atom *const *)b);
}

/* ---- interning */

static int atom_size(const ir_atom *a) { return a->kind == ATOM_SYMBOL ? 1 : 1 + a->a->size + a->b->size; }

static int terms_size(int n, const ir_term *terms) {
    int64_t size = 1;
    for (int i = 0; i < n; i++) {
        size++;
        for (int k = 0; k < terms[i].natoms; k++) size += atom_size(terms[i].atoms[k]);
    }
    return size > MAX_SIZE ? MAX_SIZE + 1 : (int)size;
}

static const ir_dim *unknown(ir_context *c) { return ir_dim_fresh(c, "u", INT64_MIN, INT64_MAX); }

/* Terms are in normal form already: sorted, distinct, no zero coefficient. */
static const ir_dim *intern(ir_context *c, int n, const ir_term *terms) {
    int size = terms_size(n, terms);
    if (n > MAX_TERMS || size > MAX_SIZE) return unknown(c);
    rt_text key = {0};
    rt_text_add(&key, "d", 1);
    for (int i = 0; i < n; i++) {
        rt_text_add(&key, (const char *)&terms[i].coef, sizeof terms[i].coef);
        rt_text_add(&key, (const char *)&terms[i].natoms, sizeof terms[i].natoms);
        if (terms[i].natoms)
            rt_text_add(&key, (const char *)terms[i].atoms, (size_t)terms[i].natoms * sizeof *terms[i].atoms);
    }
    ir_dim *d = key.failed ? NULL : rt_map_getn(&c->dims, key.s, key.n);
    if (!d) {
        d = RT_NEW(&c->arena, ir_dim);
        d->nterms = n;
        d->id = c->dims.n;
        d->size = size;
        ir_term *copy = RT_ARRAY(&c->arena, ir_term, n);
        for (int i = 0; i < n; i++) {
            copy[i] = terms[i];
            copy[i].atoms = RT_ARRAY(&c->arena, const ir_atom *, terms[i].natoms);
            for (int k = 0; k < terms[i].natoms; k++) copy[i].atoms[k] = terms[i].atoms[k];
        }
        d->terms = copy;
        if (!key.failed) rt_map_putn(&c->arena, &c->dims, key.s, key.n, d);
    }
    rt_text_free(&key);
    return d;
}

static const ir_atom *atom(ir_context *c, ir_atom a) {
    struct {
        char tag;
        const void *kind, *symbol, *a, *b;
    } key;
    memset(&key, 0, sizeof key);
    key.tag = 'a';
    key.kind = (const void *)(uintptr_t)a.kind;
    key.symbol = a.symbol;
    key.a = a.a;
    key.b = a.b;
    ir_atom *found = rt_map_getn(&c->dims, (const char *)&key, sizeof key);
    if (!found) {
        found = rt_arena_copy(&c->arena, &a, sizeof a);
        rt_map_putn(&c->arena, &c->dims, (const char *)&key, sizeof key, found);
    }
    return found;
}

static const ir_dim *of_atom(ir_context *c, ir_atom a) {
    const ir_atom *p = atom(c, a);
    ir_term t = {1, 1, &p};
    return intern(c, 1, &t);
}

const ir_dim *ir_dim_const(ir_context *c, int64_t x) {
    ir_term t = {x, 0, NULL};
    return intern(c, x != 0, &t);
}

/* ---- symbols */

ir_symbol *ir_symbol_get(ir_context *c, const char *name) {
    ir_symbol *s = rt_map_get(&c->symbols, name);
    if (s) return s;
    s = RT_NEW(&c->arena, ir_symbol);
    *s = (ir_symbol){ir_intern(c, name), 1, INT32_MAX};
    rt_map_put(&c->arena, &c->symbols, name, s);
    return s;
}

const ir_dim *ir_dim_symbol(ir_context *c, const char *name) {
    return of_atom(c, (ir_atom){.kind = ATOM_SYMBOL, .symbol = ir_symbol_get(c, name)->name});
}

const ir_dim *ir_dim_fresh(ir_context *c, const char *hint, int64_t lo, int64_t hi) {
    const char *name;
    do name = ir_fmt(c, "%s%d", hint, c->nfresh++);
    while (rt_map_get(&c->symbols, name));
    ir_symbol *s = ir_symbol_get(c, name);
    s->lo = lo;
    s->hi = hi;
    return ir_dim_symbol(c, name);
}

bool ir_dim_is_const(const ir_dim *d, int64_t *x) {
    if (d->nterms > 1 || (d->nterms && d->terms[0].natoms)) return false;
    if (x) *x = d->nterms ? d->terms[0].coef : 0;
    return true;
}

bool ir_dim_is(const ir_dim *d, int64_t n) {
    int64_t x;
    return d && ir_dim_is_const(d, &x) && x == n;
}

/* ---- sums and products */

/* Merges equal monomials of n sorted terms; false on overflow. */
static bool merge(ir_term *terms, int *n) {
    int k = 0;
    for (int i = 0; i < *n; i++) {
        if (k && !compare_monomials(&terms[k - 1], &terms[i])) {
            if (!rt_add_i64(terms[k - 1].coef, terms[i].coef, &terms[k - 1].coef)) return false;
            if (i + 1 < *n && !compare_monomials(&terms[k - 1], &terms[i + 1])) continue;
        } else {
            terms[k++] = terms[i];
        }
        if (k && !terms[k - 1].coef) k--;
    }
    *n = k;
    return true;
}

static const ir_dim *normal(ir_context *c, int n, ir_term *terms) {
    if (n > 1) qsort(terms, (size_t)n, sizeof *terms, by_monomial);
    return merge(terms, &n) ? intern(c, n, terms) : unknown(c);
}

const ir_dim *ir_dim_add(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (!a->nterms) return b;
    if (!b->nterms) return a;
    ir_term terms[2 * MAX_TERMS];
    memcpy(terms, a->terms, (size_t)a->nterms * sizeof *terms);
    memcpy(terms + a->nterms, b->terms, (size_t)b->nterms * sizeof *terms);
    return normal(c, a->nterms + b->nterms, terms);
}

static const ir_dim *scale(ir_context *c, const ir_dim *a, int64_t k) {
    if (k == 1) return a;
    if (!k) return ir_dim_const(c, 0);
    ir_term terms[MAX_TERMS];
    for (int i = 0; i < a->nterms; i++) {
        terms[i] = a->terms[i];
        if (!rt_mul_i64(terms[i].coef, k, &terms[i].coef)) return unknown(c);
    }
    return intern(c, a->nterms, terms);
}

const ir_dim *ir_dim_sub(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (a == b) return ir_dim_const(c, 0);
    return ir_dim_add(c, a, scale(c, b, -1));
}

static bool mul_terms(ir_context *c, const ir_term *a, const ir_term *b, ir_term *out) {
    int n = a->natoms + b->natoms;
    if (n > MAX_ATOMS || !rt_mul_i64(a->coef, b->coef, &out->coef)) return false;
    out->natoms = n;
    out->atoms = RT_ARRAY(&c->arena, const ir_atom *, n);
    for (int i = 0; i < a->natoms; i++) out->atoms[i] = a->atoms[i];
    for (int i = 0; i < b->natoms; i++) out->atoms[a->natoms + i] = b->atoms[i];
    if (a->natoms && b->natoms) qsort(out->atoms, (size_t)n, sizeof *out->atoms, by_atom);
    return true;
}

const ir_dim *ir_dim_mul(ir_context *c, const ir_dim *a, const ir_dim *b) {
    int64_t k;
    if (ir_dim_is_const(a, &k)) return scale(c, b, k);
    if (ir_dim_is_const(b, &k)) return scale(c, a, k);
    int n = a->nterms * b->nterms; /* at most MAX_TERMS each */
    if (n > MAX_TERMS) return unknown(c);
    ir_term terms[MAX_TERMS];
    for (int i = 0; i < a->nterms; i++)
        for (int j = 0; j < b->nterms; j++)
            if (!mul_terms(c, &a->terms[i], &b->terms[j], &terms[i * b->nterms + j])) return unknown(c);
    return normal(c, n, terms);
}

/* ---- ranges: saturating interval arithmetic; the int64 extremes stand for "no bound" */

static int64_t clamp(__int128 x) {
    return x > INT64_MAX ? INT64_MAX : x < INT64_MIN ? INT64_MIN : (int64_t)x;
}

static int64_t floor_div(int64_t a, int64_t b) { /* b != 0 */
    __int128 q = (__int128)a / b;
    if ((__int128)a % b && (a < 0) != (b < 0)) q--;
    return clamp(q);
}

static int64_t floor_mod(int64_t a, int64_t b) {
    return (int64_t)((__int128)a - (__int128)b * floor_div(a, b));
}

/* As int64 operations, unbounded ends stay unbounded. */
static int64_t mul_bound(int64_t a, int64_t b) { return clamp((__int128)a * b); }
static int64_t add_lo(int64_t a, int64_t b) {
    return a == INT64_MIN || b == INT64_MIN ? INT64_MIN : clamp((__int128)a + b);
}
static int64_t add_hi(int64_t a, int64_t b) {
    return a == INT64_MAX || b == INT64_MAX ? INT64_MAX : clamp((__int128)a + b);
}

typedef struct range {
    int64_t lo, hi;
} range;

static range corners(range a, range b, int64_t (*f)(int64_t, int64_t)) {
    int64_t x[4] = {f(a.lo, b.lo), f(a.lo, b.hi), f(a.hi, b.lo), f(a.hi, b.hi)};
    range r = {x[0], x[0]};
    for (int i = 1; i < 4; i++) {
        if (x[i] < r.lo) r.lo = x[i];
        if (x[i] > r.hi) r.hi = x[i];
    }
    return r;
}

static range range_of(ir_context *c, const ir_dim *d);

static range mod_range(range a, range b) {
    if (b.lo > 0) {
        if (a.lo >= 0 && a.hi < b.lo) return a;
        range r = {0, b.hi - 1};
        if (a.lo >= 0 && a.hi < r.hi) r.hi = a.hi;
        return r;
    }
    if (b.hi < 0) return (range){b.lo == INT64_MIN ? INT64_MIN : b.lo + 1, 0};
    return (range){INT64_MIN, INT64_MAX};
}

static range atom_range(ir_context *c, const ir_atom *a) {
    if (a->kind == ATOM_SYMBOL) {
        const ir_symbol *s = ir_symbol_get(c, a->symbol);
        return (range){s->lo, s->hi};
    }
    range x = range_of(c, a->a), y = range_of(c, a->b);
    switch (a->kind) {
    case ATOM_FLOORDIV:
        if (y.lo <= 0 && y.hi >= 0) return (range){INT64_MIN, INT64_MAX};
        return corners(x, y, floor_div);
    case ATOM_MOD: return mod_range(x, y);
    case ATOM_MIN: return (range){x.lo < y.lo ? x.lo : y.lo, x.hi < y.hi ? x.hi : y.hi};
    default: return (range){x.lo > y.lo ? x.lo : y.lo, x.hi > y.hi ? x.hi : y.hi};
    }
}

static range range_of(ir_context *c, const ir_dim *d) {
    range sum = {0, 0};
    for (int i = 0; i < d->nterms; i++) {
        range p = {1, 1};
        for (int k = 0; k < d->terms[i].natoms; k++)
            p = corners(p, atom_range(c, d->terms[i].atoms[k]), mul_bound);
        p = corners(p, (range){d->terms[i].coef, d->terms[i].coef}, mul_bound);
        sum = (range){add_lo(sum.lo, p.lo), add_hi(sum.hi, p.hi)};
    }
    return sum;
}

void ir_dim_range(ir_context *c, const ir_dim *d, int64_t *lo, int64_t *hi) {
    range r = range_of(c, d);
    *lo = r.lo;
    *hi = r.hi;
}

/* The same dim over symbols that start at 0: N with 2 <= N becomes 'N + 2.  Terms that cancel then no longer
 * widen the interval: N*M - N is not negative when both are at least 1. */
static const ir_dim *shifted_symbol(void *env, const char *name) {
    ir_context *c = env;
    const ir_symbol *s = ir_symbol_get(c, name);
    int64_t lo = s->lo, hi = s->hi;
    if (lo == 0 || lo < -INT32_MAX || lo > INT32_MAX || hi < lo) return NULL;
    ir_symbol *t = ir_symbol_get(c, ir_fmt(c, "'%s", name));
    t->lo = 0;
    t->hi = hi == INT64_MAX ? hi : clamp((__int128)hi - lo);
    return ir_dim_add(c, ir_dim_symbol(c, t->name), ir_dim_const(c, lo));
}

typedef struct shift_scan {
    ir_context *c;
    bool found;
} shift_scan;

static void find_shift(void *env, const char *name) {
    shift_scan *e = env;
    const ir_symbol *s = ir_symbol_get(e->c, name);
    e->found |= s->lo != 0 && s->lo >= -INT32_MAX && s->lo <= INT32_MAX && s->lo <= s->hi;
}

static range tight_range(ir_context *c, const ir_dim *d) {
    range r = range_of(c, d);
    if (d->nterms < 2 || r.lo > 0 || r.hi < 0) return r;
    shift_scan shift = {c, false};
    ir_dim_symbols(d, find_shift, &shift);
    if (!shift.found) return r; /* also keeps the substitution below from calling itself */
    int fresh = c->nfresh;
    const ir_dim *s = ir_dim_subst(c, d, shifted_symbol, c);
    if (c->nfresh != fresh) return r; /* something overflowed */
    range t = range_of(c, s);
    return (range){t.lo > r.lo ? t.lo : r.lo, t.hi < r.hi ? t.hi : r.hi};
}

/* ---- comparisons */

static int64_t gcd(int64_t a, int64_t b) {
    uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
    while (y) {
        uint64_t t = x % y;
        x = y;
        y = t;
    }
    return x > INT64_MAX ? 1 : (int64_t)x;
}

/* gcd of the coefficients of all terms but the constant, whose value is *k. */
static int64_t content(const ir_dim *d, int64_t *k) {
    int64_t g = 0;
    *k = 0;
    for (int i = 0; i < d->nterms; i++)
        if (d->terms[i].natoms) g = gcd(g, d->terms[i].coef);
        else *k = d->terms[i].coef;
    return g;
}

ir_truth ir_dim_eq(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (a == b) return IR_YES;
    const ir_dim *d = ir_dim_sub(c, a, b);
    int64_t k, g = content(d, &k);
    if (!g) return k == 0 ? IR_YES : IR_NO;
    if (k % g) return IR_NO;
    range r = tight_range(c, d);
    if (r.lo > 0 || r.hi < 0) return IR_NO;
    return r.lo == 0 && r.hi == 0 ? IR_YES : IR_UNKNOWN;
}

ir_truth ir_dim_le(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (a == b) return IR_YES;
    range r = tight_range(c, ir_dim_sub(c, b, a));
    return r.lo >= 0 ? IR_YES : r.hi < 0 ? IR_NO : IR_UNKNOWN;
}

ir_truth ir_dim_lt(ir_context *c, const ir_dim *a, const ir_dim *b) {
    ir_truth ge = ir_dim_le(c, b, a);
    return ge == IR_UNKNOWN ? ge : ge == IR_YES ? IR_NO : IR_YES;
}

/* ---- division */

/* a / b of monomials; false if b does not divide a. */
static bool div_terms(ir_context *c, const ir_term *a, const ir_term *b, ir_term *out) {
    if (b->coef == 0 || (b->coef == -1 && a->coef == INT64_MIN) || a->coef % b->coef) return false;
    *out = (ir_term){a->coef / b->coef, 0, RT_ARRAY(&c->arena, const ir_atom *, a->natoms)};
    int k = 0;
    for (int i = 0; i < a->natoms; i++)
        if (k < b->natoms && a->atoms[i] == b->atoms[k]) k++;
        else out->atoms[out->natoms++] = a->atoms[i];
    return k == b->natoms;
}

const ir_dim *ir_dim_exact_div(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (!b->nterms) return NULL;
    const ir_dim *q = ir_dim_const(c, 0);
    int fresh = c->nfresh;
    for (int i = 0; a->nterms; i++) {
        ir_term t;
        if (i > MAX_TERMS || !div_terms(c, &a->terms[0], &b->terms[0], &t)) return NULL;
        const ir_dim *part = intern(c, 1, &t);
        q = ir_dim_add(c, q, part);
        a = ir_dim_sub(c, a, ir_dim_mul(c, part, b));
        if (c->nfresh != fresh) return NULL;
    }
    return q;
}

static const ir_dim *binary(ir_context *c, ir_atom_kind kind, const ir_dim *a, const ir_dim *b) {
    return of_atom(c, (ir_atom){.kind = kind, .a = a, .b = b});
}

/* a = k * whole + rest: coefficients of the rest are less than k, its constant is in 0..k-1. */
static const ir_dim *split(ir_context *c, const ir_dim *a, int64_t k, const ir_dim **whole) {
    ir_term rest[MAX_TERMS], over[MAX_TERMS];
    int nrest = 0, nover = 0;
    for (int i = 0; i < a->nterms; i++) {
        const ir_term *t = &a->terms[i];
        int64_t r = t->natoms ? t->coef % k : floor_mod(t->coef, k),
                q = t->natoms ? t->coef / k : floor_div(t->coef, k);
        if (r) rest[nrest] = *t, rest[nrest++].coef = r;
        if (q) over[nover] = *t, over[nover++].coef = q;
    }
    *whole = intern(c, nover, over);
    return intern(c, nrest, rest);
}

/* (x // j + e) // k is (x + j*e) // (j*k): the form that chains of strided convolutions take. */
static const ir_dim *nested_floordiv(ir_context *c, const ir_dim *a, int64_t k) {
    int64_t e = 0, j, jk;
    if (!a->nterms || a->nterms > 2 || a->terms[0].natoms != 1 || a->terms[0].coef != 1) return NULL;
    const ir_atom *p = a->terms[0].atoms[0];
    if (p->kind != ATOM_FLOORDIV || !ir_dim_is_const(p->b, &j) || j <= 0 || !rt_mul_i64(j, k, &jk))
        return NULL;
    if (a->nterms == 2 && a->terms[1].natoms) return NULL;
    if (a->nterms == 2) e = a->terms[1].coef;
    int64_t je;
    if (!rt_mul_i64(j, e, &je)) return NULL;
    return ir_dim_floordiv(c, ir_dim_add(c, p->a, ir_dim_const(c, je)), ir_dim_const(c, jk));
}

static const ir_dim *floordiv_const(ir_context *c, const ir_dim *a, int64_t k) { /* k > 1 */
    const ir_dim *whole, *rest = split(c, a, k, &whole);
    int64_t e, g = gcd(content(rest, &e), k);
    if (g > 1) { /* (g*x + e) // (g*k) with 0 <= e < g*k: the part of e below g does not matter */
        const ir_dim *x = ir_dim_sub(c, rest, ir_dim_const(c, e));
        rest = ir_dim_add(c, ir_dim_exact_div(c, x, ir_dim_const(c, g)), ir_dim_const(c, floor_div(e, g)));
        k /= g;
        if (k == 1) return ir_dim_add(c, whole, rest);
    }
    range r = tight_range(c, rest);
    if (r.lo != INT64_MIN && r.hi != INT64_MAX && floor_div(r.lo, k) == floor_div(r.hi, k))
        return ir_dim_add(c, whole, ir_dim_const(c, floor_div(r.lo, k)));
    const ir_dim *nested = nested_floordiv(c, rest, k);
    if (!nested) nested = binary(c, ATOM_FLOORDIV, rest, ir_dim_const(c, k));
    return ir_dim_add(c, whole, nested);
}

const ir_dim *ir_dim_floordiv(ir_context *c, const ir_dim *a, const ir_dim *b) {
    int64_t x, k;
    if (!b->nterms) return unknown(c);
    if (ir_dim_is_const(b, &k)) {
        if (k == 1) return a;
        if (k == INT64_MIN) return unknown(c);
        if (k < 0) return ir_dim_floordiv(c, scale(c, a, -1), ir_dim_const(c, -k));
        if (ir_dim_is_const(a, &x)) return ir_dim_const(c, floor_div(x, k));
        return floordiv_const(c, a, k);
    }
    if (!a->nterms) return a;
    const ir_dim *q = ir_dim_exact_div(c, a, b);
    if (q) return q;
    range r = tight_range(c, a);
    if (r.lo >= 0 && ir_dim_lt(c, a, b) == IR_YES) return ir_dim_const(c, 0);
    return binary(c, ATOM_FLOORDIV, a, b);
}

const ir_dim *ir_dim_mod(ir_context *c, const ir_dim *a, const ir_dim *b) {
    int64_t x, k;
    if (!b->nterms) return unknown(c);
    if (ir_dim_is_const(b, &k) && k < 0 && k != INT64_MIN)
        return scale(c, ir_dim_mod(c, scale(c, a, -1), ir_dim_const(c, -k)), -1);
    if (ir_dim_is_const(b, &k) && k > 0) {
        if (ir_dim_is_const(a, &x)) return ir_dim_const(c, floor_mod(x, k));
        ir_term terms[MAX_TERMS];
        int n = 0;
        for (int i = 0; i < a->nterms; i++) {
            terms[n] = a->terms[i];
            terms[n].coef = floor_mod(a->terms[i].coef, k);
            n += terms[n].coef != 0;
        }
        const ir_dim *reduced = intern(c, n, terms);
        range own = tight_range(c, a), r = tight_range(c, reduced);
        if (own.lo >= 0 && own.hi < k) return a;
        if (r.lo >= 0 && r.hi < k) return reduced;
        return binary(c, ATOM_MOD, reduced, b);
    }
    if (ir_dim_exact_div(c, a, b)) return ir_dim_const(c, 0);
    range r = tight_range(c, a);
    if (r.lo >= 0 && ir_dim_lt(c, a, b) == IR_YES) return a;
    return binary(c, ATOM_MOD, a, b);
}

/* min and max: decided where provable; max(max(a, b), b) is max(a, b). */
static const ir_dim *extreme(ir_context *c, ir_atom_kind kind, const ir_dim *a, const ir_dim *b) {
    ir_truth le = ir_dim_le(c, a, b);
    if (le == IR_YES) return kind == ATOM_MIN ? a : b;
    if (le == IR_NO || ir_dim_le(c, b, a) == IR_YES) return kind == ATOM_MIN ? b : a;
    for (int i = 0; i < 2; i++) {
        const ir_dim *x = i ? b : a, *y = i ? a : b;
        if (x->nterms != 1 || x->terms[0].natoms != 1 || x->terms[0].coef != 1) continue;
        const ir_atom *p = x->terms[0].atoms[0];
        if (p->kind == kind && (p->a == y || p->b == y)) return x;
    }
    return compare_dims(a, b) <= 0 ? binary(c, kind, a, b) : binary(c, kind, b, a);
}

const ir_dim *ir_dim_min(ir_context *c, const ir_dim *a, const ir_dim *b) {
    return extreme(c, ATOM_MIN, a, b);
}
const ir_dim *ir_dim_max(ir_context *c, const ir_dim *a, const ir_dim *b) {
    return extreme(c, ATOM_MAX, a, b);
}

/* ---- values and substitution */

typedef bool get_fn(void *env, const char *symbol, int64_t *x);

static bool eval_atom(const ir_atom *a, get_fn *get, void *env, int64_t *out) {
    if (a->kind == ATOM_SYMBOL) return get(env, a->symbol, out);
    int64_t x, y;
    if (!ir_dim_eval(a->a, get, env, &x) || !ir_dim_eval(a->b, get, env, &y)) return false;
    switch (a->kind) {
    case ATOM_MIN: *out = x < y ? x : y; return true;
    case ATOM_MAX: *out = x > y ? x : y; return true;
    default: break;
    }
    if (!y || (y == -1 && x == INT64_MIN)) return false;
    *out = a->kind == ATOM_FLOORDIV ? floor_div(x, y) : floor_mod(x, y);
    return true;
}

bool ir_dim_eval(const ir_dim *d, get_fn *get, void *env, int64_t *out) {
    int64_t sum = 0;
    for (int i = 0; i < d->nterms; i++) {
        int64_t p = d->terms[i].coef, x;
        for (int k = 0; k < d->terms[i].natoms; k++)
            if (!eval_atom(d->terms[i].atoms[k], get, env, &x) || !rt_mul_i64(p, x, &p)) return false;
        if (!rt_add_i64(sum, p, &sum)) return false;
    }
    *out = sum;
    return true;
}

typedef const ir_dim *replace_fn(void *env, const char *symbol);

static const ir_dim *subst_atom(ir_context *c, const ir_atom *a, replace_fn *get, void *env) {
    if (a->kind == ATOM_SYMBOL) {
        const ir_dim *d = get(env, a->symbol);
        return d ? d : of_atom(c, *a);
    }
    const ir_dim *x = ir_dim_subst(c, a->a, get, env), *y = ir_dim_subst(c, a->b, get, env);
    switch (a->kind) {
    case ATOM_FLOORDIV: return ir_dim_floordiv(c, x, y);
    case ATOM_MOD: return ir_dim_mod(c, x, y);
    case ATOM_MIN: return ir_dim_min(c, x, y);
    default: return ir_dim_max(c, x, y);
    }
}

const ir_dim *ir_dim_subst(ir_context *c, const ir_dim *d, replace_fn *get, void *env) {
    const ir_dim *sum = ir_dim_const(c, 0);
    for (int i = 0; i < d->nterms; i++) {
        const ir_dim *p = ir_dim_const(c, d->terms[i].coef);
        for (int k = 0; k < d->terms[i].natoms; k++)
            p = ir_dim_mul(c, p, subst_atom(c, d->terms[i].atoms[k], get, env));
        sum = ir_dim_add(c, sum, p);
    }
    return sum;
}

void ir_dim_symbols(const ir_dim *d, void (*visit)(void *env, const char *symbol), void *env) {
    for (int i = 0; i < d->nterms; i++)
        for (int k = 0; k < d->terms[i].natoms; k++) {
            const ir_atom *a = d->terms[i].atoms[k];
            if (a->kind == ATOM_SYMBOL) {
                visit(env, a->symbol);
                continue;
            }
            ir_dim_symbols(a->a, visit, env);
            ir_dim_symbols(a->b, visit, env);
        }
}

/* ---- text */

static const char *const atom_words[] = {
    [ATOM_FLOORDIV] = "floordiv", [ATOM_MOD] = "mod", [ATOM_MIN] = "min", [ATOM_MAX] = "max"};

static void print_atom(rt_text *out, const ir_atom *a) {
    if (a->kind != ATOM_SYMBOL) {
        rt_text_fmt(out, "%s(", atom_words[a->kind]);
        ir_dim_print(out, a->a);
        rt_text_str(out, ", ");
        ir_dim_print(out, a->b);
        rt_text_str(out, ")");
        return;
    }
    bool word = false;
    for (int i = ATOM_FLOORDIV; i <= ATOM_MAX; i++) word |= !strcmp(a->symbol, atom_words[i]);
    if (word) ir_print_string(out, a->symbol, strlen(a->symbol));
    else ir_print_name(out, a->symbol);
}

/* |coef| of a term; the least int64 has no positive counterpart and is printed as two terms by the caller. */
static void print_term(rt_text *out, const ir_term *t, uint64_t coef) {
    for (int i = 0; i < t->natoms; i++) {
        if (i) rt_text_str(out, "*");
        print_atom(out, t->atoms[i]);
    }
    if (!t->natoms) rt_text_fmt(out, "%llu", (unsigned long long)coef);
    else if (coef != 1) rt_text_fmt(out, "*%llu", (unsigned long long)coef);
}

void ir_dim_print(rt_text *out, const ir_dim *d) {
    if (!d->nterms) rt_text_str(out, "0");
    for (int i = 0; i < d->nterms; i++) {
        const ir_term *t = &d->terms[i];
        bool negative = t->coef < 0, least = t->coef == INT64_MIN;
        rt_text_str(out, i ? (negative ? " - " : " + ") : negative ? "-" : "");
        print_term(out, t, least ? INT64_MAX : negative ? 0 - (uint64_t)t->coef : (uint64_t)t->coef);
        if (!least) continue;
        rt_text_str(out, " - ");
        print_term(out, t, 1);
    }
}

typedef struct parser {
    ir_context *c;
    const char *at, *end;
    int depth;
} parser;

static const ir_dim *parse_sum(parser *p);

static void blanks(parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t')) p->at++;
}

static bool eat(parser *p, char ch) {
    blanks(p);
    if (p->at >= p->end || *p->at != ch) return false;
    p->at++;
    return true;
}

static const ir_dim *parse_call(parser *p, const char *name) {
    for (int i = ATOM_FLOORDIV; i <= ATOM_MAX; i++) {
        if (strcmp(name, atom_words[i])) continue;
        const ir_dim *a = parse_sum(p), *b = a && eat(p, ',') ? parse_sum(p) : NULL;
        if (!b || !eat(p, ')')) return NULL;
        if (i == ATOM_MIN) return ir_dim_min(p->c, a, b);
        if (i == ATOM_MAX) return ir_dim_max(p->c, a, b);
        if (!b->nterms) return NULL;
        return i == ATOM_MOD ? ir_dim_mod(p->c, a, b) : ir_dim_floordiv(p->c, a, b);
    }
    return NULL;
}

static const ir_dim *parse_factor(parser *p) {
    if (eat(p, '(')) {
        const ir_dim *d = parse_sum(p);
        return d && eat(p, ')') ? d : NULL;
    }
    blanks(p);
    if (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
        int64_t x = 0;
        for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
            if (!rt_mul_i64(x, 10, &x) || !rt_add_i64(x, *p->at - '0', &x)) return NULL;
        return ir_dim_const(p->c, x);
    }
    bool quoted = p->at < p->end && *p->at == '"';
    const char *name = ir_parse_name(p->c, &p->at, p->end);
    if (!name) return NULL;
    return !quoted && p->at < p->end && *p->at == '(' ? (p->at++, parse_call(p, name))
                                                      : ir_dim_symbol(p->c, name);
}

static const ir_dim *parse_product(parser *p) {
    const ir_dim *d = parse_factor(p);
    while (d && eat(p, '*')) {
        const ir_dim *f = parse_factor(p);
        d = f ? ir_dim_mul(p->c, d, f) : NULL;
    }
    return d;
}

static const ir_dim *parse_sum(parser *p) {
    if (++p->depth > MAX_DEPTH) return NULL;
    bool negative = eat(p, '-');
    const ir_dim *sum = parse_product(p);
    if (sum && negative) sum = scale(p->c, sum, -1);
    while (sum) {
        bool minus = eat(p, '-');
        if (!minus && !eat(p, '+')) break;
        const ir_dim *d = parse_product(p);
        sum = !d ? NULL : minus ? ir_dim_sub(p->c, sum, d) : ir_dim_add(p->c, sum, d);
    }
    p->depth--;
    return sum;
}

const ir_dim *ir_dim_parse(ir_context *c, const char **at, const char *end) {
    parser p = {c, *at, end, 0};
    int fresh = c->nfresh;
    const ir_dim *d = parse_sum(&p);
    if (!d || c->nfresh != fresh)
        return NULL; /* an overflow made a fresh symbol: no dim that text can name */
    *at = p.at;
    return d;
}

const ir_dim *ir_dim_ceildiv(ir_context *c, const ir_dim *a, int64_t b) {
    return ir_dim_floordiv(c, ir_dim_add(c, a, ir_dim_const(c, b - 1)), ir_dim_const(c, b));
}
