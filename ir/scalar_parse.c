/* scalar_parse.c: the text of scalar bodies (language: scalar.h) -> expressions, by recursive descent.
 *
 * A literal has no type until it meets an operand.  What is not needed (the arm of a constant condition, a
 * parameter that is None) folds away in the builder. */
#include "ir/scalar.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* A literal while `e` is NULL: an integer, or with `real` a float. */
typedef struct term {
    const ir_expr *e;
    bool real;
    int64_t k;
    double f;
} term;

enum { MAX_NAMES = 64, MAX_DEPTH = 100 };

typedef struct parser {
    ir_exprs *x;
    const char *text, *at;
    rt_dtype compute;
    int n, nlocal, nindex, depth;
    const char *const *names;
    const ir_expr *const *values;
    const ir_expr *const *index;
    struct {
        const char *s;
        size_t len;
        const ir_expr *e;
    } local[MAX_NAMES];
    bool failed;
} parser;

static term expression(parser *p);

static bool is_float(rt_dtype d) { return rt_dtypes[d].kind == 'F'; }
static term of(const ir_expr *e) { return (term){.e = e}; }
static term literal_int(int64_t k) { return (term){.k = k, .f = (double)k}; }
static term literal_real(double f) { return (term){.real = true, .f = f, .k = (int64_t)0}; }

static term fail(parser *p, const char *what) {
    if (!p->failed)
        ir_error(p->x->c, 0, "scalar body \"%s\": %s at \"%.20s\"", p->text, what,
                 *p->at ? p->at : "the end");
    p->failed = true;
    return literal_int(0);
}

/* ---- tokens */

static void space(parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

/* Takes the operator `op`, unless it is the beginning of a longer one. */
static bool take(parser *p, const char *op) {
    space(p);
    size_t n = strlen(op);
    if (strncmp(p->at, op, n)) return false;
    char next = p->at[n];
    if (n == 1 && strchr("<>=!|&", *op) && next && (next == '=' || (next == *op && *op != '!'))) return false;
    p->at += n;
    return true;
}

static size_t identifier(const char *s) {
    size_t n = 0;
    if (!isalpha((unsigned char)*s) && *s != '_') return 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.') n++;
    return n;
}

static bool same(const char *s, size_t n, const char *word) {
    return strlen(word) == n && !memcmp(s, word, n);
}

/* ---- typing */

static const ir_expr *typed(parser *p, term t, rt_dtype d) {
    if (t.e) return ir_x_cast(p->x, t.e, d);
    if (is_float(d)) return ir_x_float(p->x, d, t.f);
    return t.real ? ir_x_float(p->x, d, t.f) : ir_x_int(p->x, d, t.k);
}

/* The dtype at which two operands meet. */
static rt_dtype meet(const parser *p, term a, term b) {
    if (!a.e && !b.e) return a.real || b.real ? (is_float(p->compute) ? p->compute : DT_F32) : p->compute;
    if (a.e && b.e) return a.e->dtype == b.e->dtype ? a.e->dtype : p->compute;
    rt_dtype d = a.e ? a.e->dtype : b.e->dtype;
    bool real = a.e ? b.real : a.real;
    if (d == DT_BOOL || (real && !is_float(d))) return real && !is_float(p->compute) ? DT_F32 : p->compute;
    return d;
}

static const ir_expr *condition(parser *p, term t) {
    return t.e ? ir_x_cast(p->x, t.e, DT_BOOL) : ir_x_int(p->x, DT_BOOL, t.k != 0 || t.f != 0);
}

static rt_dtype float_of(const parser *p, term t) {
    if (t.e && is_float(t.e->dtype)) return t.e->dtype;
    return is_float(p->compute) ? p->compute : DT_F32;
}

/* Arithmetic on bools is logic, as in PyTorch. */
static ir_prim on_bools(ir_prim op) {
    return op == K_ADD ? K_OR : op == K_MUL ? K_AND : op == K_SUB ? K_XOR : op;
}

static term binary(parser *p, ir_prim op, term a, term b) {
    const char *kinds = ir_prims[op].kinds;
    rt_dtype d = meet(p, a, b);
    if (d == DT_BOOL && !strchr(kinds, 'B')) {
        d = p->compute;
        if (d == DT_BOOL) op = on_bools(op);
        if (d == DT_BOOL && !strchr(ir_prims[op].kinds, 'B')) d = DT_I64;
    }
    if (!is_float(d) && !strchr(kinds, 'I') && !strchr(kinds, 'B'))
        d = is_float(p->compute) ? p->compute : DT_F32;
    if (is_float(d) && !strchr(kinds, 'F')) return fail(p, "this operator has no floats");
    return of(ir_x2(p->x, op, typed(p, a, d), typed(p, b, d)));
}

static term unary(parser *p, ir_prim op, term a) {
    const char *kinds = ir_prims[op].kinds;
    rt_dtype d = a.e ? a.e->dtype : a.real ? float_of(p, a) : p->compute;
    if (!strcmp(kinds, "F")) d = float_of(p, a);
    if (d == DT_BOOL && !strchr(kinds, 'B')) d = p->compute == DT_BOOL ? DT_I64 : p->compute;
    if (is_float(d) && !strchr(kinds, 'F')) return fail(p, "this operator has no floats");
    return of(ir_x1(p->x, op, typed(p, a, d)));
}

static term choose(parser *p, term c, term a, term b) {
    rt_dtype d = meet(p, a, b);
    return of(ir_x_select(p->x, condition(p, c), typed(p, a, d), typed(p, b, d)));
}

/* ---- calls */

static ir_prim prim_named(const char *s, size_t n) {
    for (int i = 0; i < K_COUNT; i++)
        if (same(s, n, ir_prims[i].name)) return (ir_prim)i;
    return K_COUNT;
}

static int name_index(const parser *p, const char *s, size_t n) {
    for (int i = 0; i < p->n; i++)
        if (p->names[i] && same(s, n, p->names[i])) return i;
    return -1;
}

static term call_has(parser *p) {
    space(p);
    size_t n = identifier(p->at);
    int i = name_index(p, p->at, n);
    p->at += n;
    if (!take(p, ")")) return fail(p, "expected )");
    return of(ir_x_int(p->x, DT_BOOL, i >= 0 && p->values[i]));
}

static term call_at(parser *p, term d) {
    int64_t i = d.e && d.e->op == X_CONST ? d.e->k : d.k;
    if (i < 0) i += p->nindex;
    if (i < 0 || i >= p->nindex) return fail(p, "no such output dim");
    return of(p->index[i]);
}

static term call_bitcast(parser *p, term a) {
    rt_dtype from = a.e ? a.e->dtype : p->compute;
    rt_dtype to = from == DT_F32 ? DT_I32 : from == DT_I32 ? DT_F32 : from == DT_F64 ? DT_I64 : DT_F64;
    const ir_expr *e = typed(p, a, from);
    return of(ir_x(p->x, K_BITCAST, to, 1, &e));
}

static term call_prim(parser *p, ir_prim op, int n, const term *args) {
    if (n != ir_prims[op].arity) return fail(p, "wrong number of operands");
    if (op == K_SELECT) return choose(p, args[0], args[1], args[2]);
    if (op == K_BITCAST) return call_bitcast(p, args[0]);
    if (n == 1) return unary(p, op, args[0]);
    if (n == 2) return binary(p, op, args[0], args[1]);
    rt_dtype d = float_of(p, args[0]);
    const ir_expr *e[3] = {typed(p, args[0], d), typed(p, args[1], d), typed(p, args[2], d)};
    return of(ir_x(p->x, op, d, 3, e));
}

static term call(parser *p, const char *s, size_t len) {
    term args[4];
    int n = 0;
    if (same(s, len, "has")) return call_has(p);
    if (!take(p, ")")) {
        do {
            if (n == 4) return fail(p, "too many operands");
            args[n++] = expression(p);
        } while (take(p, ","));
        if (!take(p, ")")) return fail(p, "expected )");
    }
    ir_prim op = prim_named(s, len);
    if (op < K_COUNT && op != K_CAST) return call_prim(p, op, n, args);
    if (n != 1) return fail(p, "wrong number of operands");
    if (same(s, len, "at")) return call_at(p, args[0]);
    if (same(s, len, "isnan")) {
        rt_dtype d = args[0].e ? args[0].e->dtype : p->compute;
        if (!is_float(d)) return of(ir_x_int(p->x, DT_BOOL, 0));
        const ir_expr *e = typed(p, args[0], d);
        return of(ir_x2(p->x, K_NE, e, e));
    }
    if (same(s, len, "compute")) return of(typed(p, args[0], p->compute));
    rt_dtype to = rt_dtype_by_name(s, len);
    if (to == DT_NONE) return fail(p, "unknown function before");
    return of(to == DT_BOOL ? condition(p, args[0]) : typed(p, args[0], to));
}

/* ---- names and literals */

static term extreme(const parser *p, bool high) {
    rt_dtype d = p->compute;
    int bits = rt_dtypes[d].bits;
    if (is_float(d)) return literal_real(high ? INFINITY : -INFINITY);
    if (rt_dtypes[d].kind != 'I') return of(ir_x_int(p->x, d, high ? (d == DT_BOOL ? 1 : 255) : 0));
    uint64_t top = (uint64_t)1 << (bits - 1);
    return of(ir_x_int(p->x, d, high ? (int64_t)(top - 1) : -(int64_t)(top - 1) - 1));
}

static term name(parser *p, const char *s, size_t n) {
    for (int i = p->nlocal - 1; i >= 0; i--)
        if (p->local[i].len == n && !memcmp(p->local[i].s, s, n)) return of(p->local[i].e);
    int i = name_index(p, s, n);
    if (i >= 0) return p->values[i] ? of(p->values[i]) : literal_int(0);
    if (memchr(s, '.', n)) return of(ir_x_int(p->x, DT_BOOL, 0)); /* another value of a string parameter */
    if (same(s, n, "inf")) return literal_real(INFINITY);
    if (same(s, n, "nan")) return literal_real(NAN);
    if (same(s, n, "pi")) return literal_real(M_PI);
    if (same(s, n, "true")) return of(ir_x_int(p->x, DT_BOOL, 1));
    if (same(s, n, "false")) return of(ir_x_int(p->x, DT_BOOL, 0));
    if (same(s, n, "lowest")) return extreme(p, false);
    if (same(s, n, "highest")) return extreme(p, true);
    return fail(p, "unknown name before");
}

static term number(parser *p) {
    char *end_int, *end_real;
    int64_t k = strtoll(p->at, &end_int, 0);
    double f = strtod(p->at, &end_real);
    if (end_int == p->at && end_real == p->at) return fail(p, "expected an operand");
    bool real = end_real > end_int;
    p->at = real ? end_real : end_int;
    return real ? literal_real(f) : literal_int(k);
}

static term primary(parser *p) {
    if (take(p, "(")) {
        term t = expression(p);
        return take(p, ")") ? t : fail(p, "expected )");
    }
    space(p);
    const char *s = p->at;
    size_t n = identifier(s);
    if (!n) return number(p);
    p->at += n;
    return take(p, "(") ? call(p, s, n) : name(p, s, n);
}

static term negated(parser *p, term t) {
    if (t.e) return unary(p, K_NEG, t);
    t.f = -t.f;
    t.k = (int64_t)(0 - (uint64_t)t.k);
    return t;
}

static term prefix(parser *p) {
    if (p->failed || p->depth > MAX_DEPTH) return fail(p, "nested too deeply");
    p->depth++;
    term t;
    if (take(p, "-")) t = negated(p, prefix(p));
    else if (take(p, "!")) t = of(ir_x1(p->x, K_NOT, condition(p, prefix(p))));
    else if (take(p, "~")) t = unary(p, K_NOT, prefix(p));
    else t = primary(p);
    p->depth--;
    return t;
}

/* ---- binary operators by level, the loosest first */

static const struct {
    const char *text;
    ir_prim op;
    int level;
} operators[] = {
    {"|", K_OR, 2},  {"^", K_XOR, 3},  {"&", K_AND, 4},  {"==", K_EQ, 5}, {"!=", K_NE, 5}, {"<=", K_LE, 5},
    {">=", K_GE, 5}, {"<<", K_SHL, 6}, {">>", K_SHR, 6}, {"<", K_LT, 5},  {">", K_GT, 5},  {"+", K_ADD, 7},
    {"-", K_SUB, 7}, {"*", K_MUL, 8},  {"/", K_DIV, 8},  {"%", K_REM, 8},
};
enum { TIGHTEST = 8 };

/* At "|| kinds:" a new alternative begins. */
static bool at_alternative(const char *s) {
    while (isspace((unsigned char)*s)) s++;
    if (strncmp(s, "||", 2)) return false;
    for (s += 2; isspace((unsigned char)*s);) s++;
    size_t n = strspn(s, "buif");
    for (s += n; isspace((unsigned char)*s);) s++;
    return n && *s == ':';
}

static bool take_operator(parser *p, int level, ir_prim *op) {
    for (size_t i = 0; i < RT_COUNT(operators); i++)
        if (operators[i].level == level && take(p, operators[i].text)) return *op = operators[i].op, true;
    return false;
}

static term level(parser *p, int l) {
    if (l > TIGHTEST) return prefix(p);
    term a = level(p, l + 1);
    ir_prim op;
    if (l <= 1) {
        while (!at_alternative(p->at) && take(p, l ? "&&" : "||")) {
            const ir_expr *x = condition(p, a), *y = condition(p, level(p, l + 1));
            a = of(ir_x2(p->x, l ? K_AND : K_OR, x, y));
        }
        return a;
    }
    while (!p->failed && take_operator(p, l, &op)) a = binary(p, op, a, level(p, l + 1));
    return a;
}

static term expression(parser *p) {
    term c = level(p, 0);
    if (p->failed || !take(p, "?")) return c;
    term a = expression(p);
    if (!take(p, ":")) return fail(p, "expected :");
    return choose(p, c, a, expression(p));
}

/* ---- bodies */

/* Skips to the alternative for the compute dtype's kind; false: none. */
static bool choose_alternative(parser *p) {
    char kind = (char)tolower(rt_dtypes[p->compute].kind);
    for (;;) {
        space(p);
        size_t n = strspn(p->at, "buif");
        const char *s = p->at + n;
        while (isspace((unsigned char)*s)) s++;
        if (!n || *s != ':') return true;
        bool fits = memchr(p->at, kind, n) != NULL;
        p->at = s + 1;
        if (fits) return true;
        while (*p->at && !at_alternative(p->at)) p->at++;
        if (!*p->at) return false;
        space(p);
        p->at += 2;
    }
}

static bool take_binding(parser *p) {
    space(p);
    const char *s = p->at;
    size_t n = identifier(s);
    const char *t = s + n;
    while (isspace((unsigned char)*t)) t++;
    if (!n || *t != '=' || t[1] == '=') return false;
    p->at = t + 1;
    term v = expression(p);
    if (!take(p, ";")) return fail(p, "expected ;"), false;
    if (p->nlocal == MAX_NAMES) return fail(p, "too many names"), false;
    p->local[p->nlocal].s = s;
    p->local[p->nlocal].len = n;
    p->local[p->nlocal++].e = v.e ? v.e : typed(p, v, p->compute);
    return true;
}

bool ir_scalar_has(const char *text, rt_dtype compute) {
    parser p = {.text = text, .at = text, .compute = compute};
    return choose_alternative(&p);
}

const ir_expr *ir_scalar_parse(ir_exprs *x, const char *text, rt_dtype compute, int n,
                               const char *const *names, const ir_expr *const *values, int nindex,
                               const ir_expr *const *index) {
    parser p = {.x = x,
                .text = text,
                .at = text,
                .compute = compute,
                .n = n,
                .names = names,
                .values = values,
                .nindex = nindex,
                .index = index};
    if (!choose_alternative(&p)) return fail(&p, "there is no alternative for this dtype"), NULL;
    while (!p.failed && take_binding(&p)) continue;
    term t = expression(&p);
    space(&p);
    if (!p.failed && *p.at && !at_alternative(p.at)) fail(&p, "unexpected text");
    if (p.failed) return NULL;
    return t.e ? t.e : typed(&p, t, t.real && !is_float(compute) ? DT_F32 : compute);
}
