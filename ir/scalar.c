/* scalar.c: building scalar expressions: hash-consing, constant folding, index arithmetic, substitution.
 *
 * Rewrites never change the result of a float operation, not even the sign of a zero.  Integer identities are
 * applied freely (arithmetic wraps), and i64 arithmetic on sizes becomes one X_DIM, so that index expressions
 * come out as sums of index * stride. */
#include "ir/scalar.h"

#include <assert.h>
#include <math.h>

const ir_prim_info ir_prims[K_COUNT] = {
#define SCALAR(id, name, n, kinds, result) [id] = {name, n, kinds, result},
#include "ir/scalar.def"
#undef SCALAR
};

static bool is_float(rt_dtype d) { return rt_dtypes[d].kind == 'F'; }

/* ---- hash-consing */

enum { KEY_ARGS = 24 };
struct key {
    int op, dtype, i, n;
    int64_t k;
    uint64_t f;
    const ir_dim *dim;
    int args[KEY_ARGS];
};

static const ir_expr *intern(ir_exprs *x, ir_expr e) {
    struct key key;
    assert(e.n <= KEY_ARGS);
    memset(&key, 0, sizeof key);
    key.op = (int)e.op, key.dtype = e.dtype, key.i = e.i, key.n = e.n, key.k = e.k, key.dim = e.dim;
    memcpy(&key.f, &e.f, sizeof key.f);
    for (int i = 0; i < e.n; i++) key.args[i] = e.args[i]->id;
    size_t len = offsetof(struct key, args) + (size_t)e.n * sizeof(int);
    ir_expr *old = rt_map_getn(&x->table, (const char *)&key, len);
    if (old) return old;
    rt_arena *a = &x->c->arena;
    ir_expr *p = RT_NEW(a, ir_expr);
    *p = e;
    p->id = x->n++;
    if (e.n) p->args = rt_arena_copy(a, e.args, (size_t)e.n * sizeof *e.args);
    rt_map_putn(a, &x->table, (const char *)&key, len, p);
    return p;
}

/* ---- leaves */

static int64_t wrap(rt_dtype d, int64_t k) {
    switch (d) {
    case DT_BOOL: return k != 0;
    case DT_U8: return (uint8_t)k;
    case DT_I8: return (int8_t)k;
    case DT_I16: return (int16_t)k;
    case DT_I32: return (int32_t)k;
    default: return k;
    }
}

static double rounded(rt_dtype d, double f) {
    switch (d) {
    case DT_F16: return rt_f16_to_f32(rt_f32_to_f16((float)f));
    case DT_BF16: return rt_bf16_to_f32(rt_f32_to_bf16((float)f));
    case DT_F32: return (float)f;
    default: return f;
    }
}

const ir_expr *ir_x_int(ir_exprs *x, rt_dtype dtype, int64_t k) {
    if (is_float(dtype)) return ir_x_float(x, dtype, (double)k);
    return intern(x, (ir_expr){.op = X_CONST, .dtype = dtype, .k = wrap(dtype, k)});
}

const ir_expr *ir_x_float(ir_exprs *x, rt_dtype dtype, double f) {
    if (!is_float(dtype)) {
        ir_scalar s = {.f = f};
        return ir_x_int(x, dtype, ir_prim_eval(K_CAST, dtype, DT_F64, &s).i);
    }
    return intern(x, (ir_expr){.op = X_CONST, .dtype = dtype, .f = rounded(dtype, f)});
}

const ir_expr *ir_x_index(ir_exprs *x, int i) {
    return intern(x, (ir_expr){.op = X_INDEX, .dtype = DT_I64, .i = i});
}

const ir_expr *ir_x_dim(ir_exprs *x, const ir_dim *d) {
    int64_t k;
    if (ir_dim_is_const(d, &k)) return ir_x_int(x, DT_I64, k);
    return intern(x, (ir_expr){.op = X_DIM, .dtype = DT_I64, .dim = d});
}

const ir_expr *ir_x_load(ir_exprs *x, int operand, rt_dtype dtype, int n, const ir_expr *const *index) {
    return intern(
        x, (ir_expr){.op = X_LOAD, .dtype = dtype, .i = operand, .n = n, .args = (const ir_expr **)index});
}

const ir_expr *ir_x_scalar(ir_exprs *x, int operand, rt_dtype dtype) {
    return intern(x, (ir_expr){.op = X_SCALAR, .dtype = dtype, .i = operand});
}

const ir_expr *ir_x_param(ir_exprs *x, int i, rt_dtype dtype) {
    return intern(x, (ir_expr){.op = X_PARAM, .dtype = dtype, .i = i});
}

/* ---- folding */

static bool is_int(const ir_expr *e, int64_t k) {
    return e->op == X_CONST && !is_float(e->dtype) && e->k == k;
}
static bool is_one(const ir_expr *e) {
    return e->op == X_CONST && (is_float(e->dtype) ? e->f == 1.0 : e->k == 1);
}

static const ir_expr *constant(ir_exprs *x, ir_prim op, rt_dtype dtype, int n, const ir_expr *const *args) {
    ir_scalar s[3], r;
    for (int i = 0; i < n; i++)
        if (is_float(args[i]->dtype)) s[i].f = args[i]->f;
        else s[i].i = args[i]->k;
    r = ir_prim_eval(op, dtype, args[op == K_SELECT]->dtype, s);
    return is_float(dtype) ? ir_x_float(x, dtype, r.f) : ir_x_int(x, dtype, r.i);
}

static const ir_dim *dim_of(ir_exprs *x, const ir_expr *e) {
    if (e->dtype != DT_I64) return NULL;
    return e->op == X_DIM ? e->dim : e->op == X_CONST ? ir_dim_const(x->c, e->k) : NULL;
}

static const ir_expr *truth(ir_exprs *x, ir_truth t, bool negate) {
    return t == IR_UNKNOWN ? NULL : ir_x_int(x, DT_BOOL, (t == IR_YES) != negate);
}

/* Arithmetic and comparison of sizes. */
static const ir_expr *fold_dims(ir_exprs *x, ir_prim op, const ir_dim *a, const ir_dim *b) {
    ir_context *c = x->c;
    int64_t lo, hi;
    switch (op) {
    case K_ADD: return ir_x_dim(x, ir_dim_add(c, a, b));
    case K_SUB: return ir_x_dim(x, ir_dim_sub(c, a, b));
    case K_MUL: return ir_x_dim(x, ir_dim_mul(c, a, b));
    case K_MIN: return ir_x_dim(x, ir_dim_min(c, a, b));
    case K_MAX: return ir_x_dim(x, ir_dim_max(c, a, b));
    case K_FLOORDIV:
    case K_MOD:
        ir_dim_range(c, b, &lo, &hi);
        if (lo <= 0) return NULL;
        return ir_x_dim(x, op == K_MOD ? ir_dim_mod(c, a, b) : ir_dim_floordiv(c, a, b));
    case K_EQ: return truth(x, ir_dim_eq(c, a, b), false);
    case K_NE: return truth(x, ir_dim_eq(c, a, b), true);
    case K_LT: return truth(x, ir_dim_lt(c, a, b), false);
    case K_GE: return truth(x, ir_dim_lt(c, a, b), true);
    case K_LE: return truth(x, ir_dim_le(c, a, b), false);
    case K_GT: return truth(x, ir_dim_le(c, a, b), true);
    default: return NULL;
    }
}

static const ir_expr *fold_equal(ir_exprs *x, ir_prim op, const ir_expr *a) {
    switch (op) {
    case K_MIN:
    case K_MAX:
    case K_AND:
    case K_OR: return a;
    case K_SUB:
    case K_XOR: return ir_x_int(x, a->dtype, 0);
    case K_EQ:
    case K_LE:
    case K_GE: return ir_x_int(x, DT_BOOL, 1);
    case K_NE:
    case K_LT:
    case K_GT: return ir_x_int(x, DT_BOOL, 0);
    default: return NULL;
    }
}

static const ir_expr *fold_int2(ir_exprs *x, ir_prim op, const ir_expr *a, const ir_expr *b) {
    bool logical = a->dtype == DT_BOOL;
    const ir_dim *p = dim_of(x, a), *q = dim_of(x, b);
    const ir_expr *r = p && q ? fold_dims(x, op, p, q) : a == b ? fold_equal(x, op, a) : NULL;
    if (r) return r;
    switch (op) {
    case K_ADD: return is_int(a, 0) ? b : is_int(b, 0) ? a : NULL;
    case K_SUB: return is_int(b, 0) ? a : NULL;
    case K_MUL: return is_int(a, 0) || is_int(b, 1) ? a : is_int(b, 0) || is_int(a, 1) ? b : NULL;
    case K_DIV:
    case K_FLOORDIV: return is_int(b, 1) || is_int(a, 0) ? a : NULL;
    case K_REM:
    case K_MOD: return is_int(b, 1) || is_int(a, 0) ? ir_x_int(x, a->dtype, 0) : NULL;
    case K_AND:
        if (is_int(a, 0) || is_int(b, 0)) return ir_x_int(x, a->dtype, 0);
        return logical && is_int(a, 1) ? b : logical && is_int(b, 1) ? a : NULL;
    case K_OR:
        if (logical && (is_int(a, 1) || is_int(b, 1))) return ir_x_int(x, DT_BOOL, 1);
        return is_int(a, 0) ? b : is_int(b, 0) ? a : NULL;
    case K_SHL:
    case K_SHR: return is_int(b, 0) ? a : NULL;
    default: return NULL;
    }
}

static const ir_expr *fold(ir_exprs *x, ir_prim op, rt_dtype dtype, int n, const ir_expr *const *args) {
    bool all = n > 0;
    for (int i = 0; i < n; i++) all = all && args[i]->op == X_CONST;
    if (all) return constant(x, op, dtype, n, args);
    if (op == K_SELECT && n == 3) {
        if (args[0]->op == X_CONST) return args[0]->k ? args[1] : args[2];
        return args[1] == args[2] ? args[1] : NULL;
    }
    if (op == K_CAST && args[0]->dtype == dtype) return args[0];
    if (op == K_NOT && args[0]->op == K_NOT) return args[0]->args[0];
    if (n != 2) return NULL;
    if (!is_float(args[0]->dtype)) return fold_int2(x, op, args[0], args[1]);
    if (op == K_MUL && is_one(args[0])) return args[1];
    if ((op == K_MUL || op == K_DIV) && is_one(args[1])) return args[0];
    return NULL;
}

const ir_expr *ir_x(ir_exprs *x, ir_prim op, rt_dtype dtype, int n, const ir_expr *const *args) {
    assert(op < K_COUNT && n == ir_prims[op].arity);
    const ir_expr *r = fold(x, op, dtype, n, args);
    return r ? r : intern(x, (ir_expr){.op = op, .dtype = dtype, .n = n, .args = (const ir_expr **)args});
}

const ir_expr *ir_x1(ir_exprs *x, ir_prim op, const ir_expr *a) { return ir_x(x, op, a->dtype, 1, &a); }

const ir_expr *ir_x2(ir_exprs *x, ir_prim op, const ir_expr *a, const ir_expr *b) {
    const ir_expr *args[2] = {a, b};
    assert(a->dtype == b->dtype);
    return ir_x(x, op, ir_prims[op].result == 'B' ? DT_BOOL : a->dtype, 2, args);
}

const ir_expr *ir_x_cast(ir_exprs *x, const ir_expr *a, rt_dtype to) {
    return a->dtype == to ? a : ir_x(x, K_CAST, to, 1, &a);
}

const ir_expr *ir_x_select(ir_exprs *x, const ir_expr *cond, const ir_expr *a, const ir_expr *b) {
    const ir_expr *args[3] = {cond, a, b};
    assert(cond->dtype == DT_BOOL && a->dtype == b->dtype);
    return ir_x(x, K_SELECT, a->dtype, 3, args);
}

/* ---- substitution: bottom up over the DAG, each node once */

struct subst {
    ir_exprs *x;
    const ir_expr *(*leaf)(void *env, const ir_expr *leaf);
    void *env;
    const ir_expr **memo; /* by id of the old node */
};

static const ir_expr *subst(struct subst *s, const ir_expr *e) {
    if (s->memo[e->id]) return s->memo[e->id];
    const ir_expr *args[KEY_ARGS], *r = e;
    bool same = true;
    for (int i = 0; i < e->n; i++) {
        args[i] = subst(s, e->args[i]);
        same = same && args[i] == e->args[i];
    }
    if (e->op == X_LOAD) r = same ? e : ir_x_load(s->x, e->i, e->dtype, e->n, args);
    else if (e->op < K_COUNT) r = same ? e : ir_x(s->x, e->op, e->dtype, e->n, args);
    if (e->op >= K_COUNT && e->op != X_CONST) {
        const ir_expr *by = s->leaf(s->env, r);
        if (by) r = by;
    }
    return s->memo[e->id] = r;
}

const ir_expr *ir_x_subst(ir_exprs *x, const ir_expr *e,
                          const ir_expr *(*leaf)(void *env, const ir_expr *leaf), void *env) {
    struct subst s = {x, leaf, env, RT_ARRAY(&x->c->arena, const ir_expr *, e->id + 1)};
    return subst(&s, e);
}
