/* rule_args.h: arguments of ops made by hand, for tests of shape rules and comprehensions. */
#ifndef JITC_TESTS_RULE_ARGS_H
#define JITC_TESTS_RULE_ARGS_H

#include "ir/rules.h"

#include <stdlib.h>

static inline ir_arg arg_none(void) { return (ir_arg){.kind = A_NONE}; }
static inline ir_arg arg_int(ir_context *c, int64_t i) {
    return (ir_arg){.kind = A_INT, .known = true, .dim = ir_dim_const(c, i)};
}
static inline ir_arg arg_bool(bool b) { return (ir_arg){.kind = A_BOOL, .known = true, .i = b}; }
static inline ir_arg arg_float(double f) { return (ir_arg){.kind = A_FLOAT, .known = true, .f = f}; }
static inline ir_arg arg_str(ir_context *c, const char *s) {
    return (ir_arg){.kind = A_STR, .known = true, .s = ir_intern(c, s)};
}

/* "2, N*4, 3" */
static inline int arg_dims(ir_context *c, const char *text, const ir_dim **dims) {
    int n = 0;
    const char *end = text + strlen(text);
    while (text < end) {
        while (text < end && (*text == ' ' || *text == ',')) text++;
        if (text < end) {
            const char *e = text;
            int depth = 0;
            while (e < end && (*e != ',' || depth)) depth += (*e == '(') - (*e == ')'), e++;
            if (*text == '-') dims[n++] = ir_dim_const(c, atoll(text));
            else dims[n++] = ir_dim_parse(c, &text, e);
            text = e;
        }
    }
    return n;
}

static inline ir_arg arg_tensor(ir_context *c, int operand, rt_dtype dtype, const char *dims) {
    const ir_dim *d[RT_MAX_RANK];
    int n = arg_dims(c, dims, d);
    return (ir_arg){.kind = A_TENSOR, .type = ir_type_tensor(c, dtype, n, d), .operand = operand};
}

static inline ir_arg arg_strided(ir_context *c, rt_dtype dtype, const char *dims, const char *strides) {
    ir_arg a = arg_tensor(c, 0, dtype, dims);
    a.strides = ir_dims_new(c, a.type->rank);
    arg_dims(c, strides, a.strides);
    return a;
}

static inline ir_arg arg_ints(ir_context *c, const char *text) {
    const ir_dim *d[RT_MAX_RANK];
    int n = arg_dims(c, text, d);
    ir_arg *at = RT_ARRAY(&c->arena, ir_arg, n + 1);
    for (int i = 0; i < n; i++) at[i] = (ir_arg){.kind = A_INT, .known = true, .dim = d[i]};
    return (ir_arg){.kind = A_LIST, .n = n, .at = at};
}

static inline ir_arg arg_list(ir_context *c, int n, const ir_arg *at) {
    return (ir_arg){.kind = A_LIST, .n = n, .at = rt_arena_copy(&c->arena, at, (size_t)n * sizeof *at)};
}

/* Applies the rule of an op; "f32[2, 3] strides [3, 1] offset 0 guards 1", or "IndexError: text". */
static inline const char *rule_text(ir_context *c, ir_infer *x, const char *op, int nargs,
                                    const ir_arg *args) {
    rt_text t = {0};
    *x = (ir_infer){.c = c, .op = ir_op_find(c, op), .nargs = nargs, .args = args};
    if (!x->op) return "no such op";
    if (x->op->schema->nparams != nargs) return "wrong number of arguments";
    if (!((ir_rule *)x->op->rule)(x))
        return ir_fmt(c, "%s: %s", x->error_cls ? x->error_cls : "unsupported", x->error);
    for (int i = 0; i < x->nres; i++) {
        if (i) rt_text_str(&t, " ");
        ir_type_print(&t, x->res[i]);
        if (!x->strides[i]) continue;
        rt_text_str(&t, " strides");
        for (int d = 0; d < x->res[i]->rank; d++) {
            rt_text_str(&t, d ? ", " : " ");
            ir_dim_print(&t, x->strides[i][d]);
        }
        rt_text_str(&t, " at ");
        ir_dim_print(&t, x->offset);
    }
    for (int i = 0; i < x->guards.n; i++) {
        rt_text_str(&t, i ? ", " : " if ");
        ir_dim_print(&t, x->guards.at[i].a);
        rt_text_str(&t, x->guards.at[i].rel == '=' ? " == " : " <= ");
        ir_dim_print(&t, x->guards.at[i].b);
    }
    const char *s = rt_arena_str(&c->arena, t.s ? t.s : "", t.n);
    rt_text_free(&t);
    return s;
}
#define RULE(op, ...) rule_text(c, &x, op, (int)RT_COUNT(((ir_arg[]){__VA_ARGS__})), (ir_arg[]){__VA_ARGS__})

#endif
