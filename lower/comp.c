/* comp.c: from one application of an op to its comprehension: dispatch by class, and POINTWISE rows.
 *
 * A POINTWISE body is computed in x->compute (f32 for f16 and bf16) and converted once, to the result's
 * dtype. */
#include "ir/infer_shapes.h"
#include "lower/comp.h"

#include <float.h>

#define C (x->c)

/* ------------------------------------------------------------------ parameters */

const ir_expr *comp_broadcast(comp *k, const ir_dim *from, const ir_dim *to, const ir_expr *at) {
    return ir_x2(&k->x, K_MUL, at, ir_x_dim(&k->x, ir_broadcast_step(k->x.c, from, to)));
}

/* Element of a tensor at the output index, right aligned; dims of size 1 are read at 0. */
static const ir_expr *load_broadcast(comp *k, const ir_arg *a) {
    const ir_expr *at[RT_MAX_RANK];
    const ir_type *t = a->type;
    for (int d = 0; d < t->rank; d++) {
        int out = d + k->ndims - t->rank;
        at[d] = out < 0 ? ir_x_int(&k->x, DT_I64, 0) : comp_broadcast(k, t->dims[d], k->dims[out], ir_x_index(&k->x, out));
    }
    return ir_x_load(&k->x, a->operand, t->dtype, t->rank, at);
}

static const ir_expr *number(comp *k, const ir_arg *a) {
    switch (a->kind) {
    case A_BOOL: return a->known ? ir_x_int(&k->x, DT_BOOL, a->i) : ir_x_scalar(&k->x, a->operand, DT_BOOL);
    case A_FLOAT: return a->known ? ir_x_float(&k->x, DT_F64, a->f) : ir_x_scalar(&k->x, a->operand, DT_F64);
    case A_INT: return a->dim ? ir_x_dim(&k->x, a->dim) : ir_x_scalar(&k->x, a->operand, DT_I64);
    default: return NULL;
    }
}

const ir_expr *comp_param(comp *k, ir_infer *x, int i, rt_dtype as) {
    const ir_arg *a = &x->args[i];
    const ir_expr *e = a->kind == A_TENSOR ? load_broadcast(k, a) : number(k, a);
    return e && as != DT_NONE ? ir_x_cast(&k->x, e, as) : e;
}

/* ------------------------------------------------------------------ POINTWISE */

enum { MAX_BIND = 24 };
struct binding {
    int n;
    const char *names[MAX_BIND];
    const ir_expr *values[MAX_BIND];
};

static void bind(struct binding *b, const char *name, const ir_expr *e) {
    if (b->n == MAX_BIND) return;
    b->names[b->n] = name;
    b->values[b->n++] = e;
}

/* The format of the result's floats: its largest and its least positive numbers (the second one normal), and the distance
 * from 1 to the next. */
static void bind_format(comp *k, ir_infer *x, struct binding *b) {
    rt_dtype d = x->res[0]->dtype;
    bool f16 = d == DT_F16, bf16 = d == DT_BF16, f64 = d == DT_F64;
    const struct { const char *name; double value; } all[] = {
        {"result_max", f16 ? 65504.0 : bf16 ? 0x1.fep127 : f64 ? DBL_MAX : FLT_MAX},
        {"result_least", f16 ? 0x1p-24 : bf16 ? 0x1p-133 : f64 ? 0x1p-1074 : 0x1p-149},
        {"result_normal", f16 ? 0x1p-14 : f64 ? DBL_MIN : FLT_MIN},
        {"result_step", f16 ? 0x1p-10 : bf16 ? 0x1p-7 : f64 ? DBL_EPSILON : FLT_EPSILON},
    };
    for (size_t i = 0; i < RT_COUNT(all); i++) bind(b, all[i].name, ir_x_float(&k->x, x->compute, all[i].value));
}

/* The dtype that a parameter is given to the body in: conditions and ints keep theirs, and where there are no
 * tensors to compute with so do Scalars. */
static rt_dtype bound_dtype(const ir_infer *x, int i, bool creates) {
    const ir_param *p = &x->op->schema->params[i];
    ir_kind kind = p->type->kind == T_OPTIONAL ? p->type->elem[0]->kind : p->type->kind;
    if (ir_param_is_condition(p->name) || kind == T_INT || kind == T_BOOL || creates) return DT_NONE;
    return x->compute;
}

/* A limit (min, max ...) of integers as one of their dtype: beyond their range it is the range's end, as in PyTorch. */
static const ir_expr *limit(comp *k, ir_infer *x, int i) {
    int64_t low, high;
    const ir_expr *e = comp_param(k, x, i, DT_NONE);
    if (!e || !ir_int_range(x->compute, &low, &high)) return comp_param(k, x, i, x->compute);
    e = ir_x2(&k->x, K_MAX, ir_x_cast(&k->x, e, DT_I64), ir_x_int(&k->x, DT_I64, low));
    return ir_x_cast(&k->x, ir_x2(&k->x, K_MIN, e, ir_x_int(&k->x, DT_I64, high)), x->compute);
}

static void bind_params(comp *k, ir_infer *x, struct binding *b) {
    const ir_schema *s = x->op->schema;
    bool creates = ir_arg_given(x, "steps") != NULL;
    if (!creates) {
        creates = true;
        for (int i = 0; i < x->nargs; i++) creates = creates && x->args[i].kind != A_TENSOR;
    }
    for (int i = 0; i < x->nargs; i++) {
        const ir_arg *a = &x->args[i];
        bool limits = a->kind != A_TENSOR && ir_param_is_limit(s->params[i].name);
        bind(b, s->params[i].name, limits ? limit(k, x, i) : comp_param(k, x, i, bound_dtype(x, i, creates)));
        if (a->kind == A_STR && a->known)
            bind(b, ir_fmt(C, "%s.%s", s->params[i].name, a->s), ir_x_int(&k->x, DT_BOOL, 1));
    }
    if (rt_dtypes[x->compute].kind == 'F') bind_format(k, x, b);
}

/* Integer division raises on a zero divisor: a check per division that is evaluated. */
static void check_divisions(comp *k, const ir_expr *e, bool *seen) {
    if (seen[e->id]) return;
    seen[e->id] = true;
    for (int i = 0; i < e->n; i++) check_divisions(k, e->args[i], seen);
    bool divides = e->op == K_DIV || e->op == K_REM || e->op == K_FLOORDIV || e->op == K_MOD;
    if (!divides || rt_dtypes[e->dtype].kind == 'F') return;
    const ir_expr *d = e->args[1];
    if (d->op == X_CONST && d->k != 0) return;
    const ir_expr *zero = ir_x2(&k->x, K_EQ, d, ir_x_int(&k->x, d->dtype, 0));
    struct comp_check c = {ir_x_cast(&k->x, zero, DT_I64), ir_dim_const(k->x.c, 1), "ZeroDivisionError"};
    RT_PUSH(&k->x.c->arena, &k->checks, c);
}

static bool comp_pointwise(comp *k, ir_infer *x) {
    const ir_expr *index[RT_MAX_RANK];
    struct binding b = {0};
    for (int i = 0; i < k->ndims; i++) index[i] = ir_x_index(&k->x, i);
    bind_params(k, x, &b);
    for (int i = 0; i < x->nargs; i++) /* the text of a string parameter must be there to choose by */
        if (x->args[i].kind == A_STR && !x->args[i].known)
            return ir_missing(x, "%s with a string that is known at run time only", x->op->name);
    const ir_expr *e =
        ir_scalar_parse(&k->x, x->op->body, x->compute, b.n, b.names, b.values, k->ndims, index);
    if (!e) return ir_missing(x, "%s on %s", x->op->full, rt_dtypes[x->compute].name);
    k->nout = 1;
    k->out_dtype[0] = x->res[0]->dtype;
    k->out[0] = ir_x_cast(&k->x, e, k->out_dtype[0]);
    check_divisions(k, k->out[0], RT_ARRAY(&C->arena, bool, k->x.n + 1));
    return true;
}

/* ------------------------------------------------------------------ dispatch */

comp *comp_build(ir_infer *x) {
    comp *k = RT_NEW(&C->arena, comp);
    k->x.c = C;
    k->scan = -1;
    k->ndims = x->res[0] && x->res[0]->kind == T_TENSOR ? x->res[0]->rank : 0;
    k->dims = ir_dims_new(C, k->ndims);
    if (k->ndims) memcpy(k->dims, x->res[0]->dims, (size_t)k->ndims * sizeof *k->dims);
    bool ok = false;
    switch (x->op->cls) {
    case OP_POINTWISE: ok = comp_pointwise(k, x); break;
    case OP_REDUCE: ok = comp_reduce(k, x); break;
    case OP_CONTRACT: ok = comp_contract(k, x); break;
    case OP_MOVE: ok = comp_move(k, x); break;
    default: ir_missing(x, "%s has no comprehension", x->op->full); break;
    }
    return ok ? k : NULL;
}
