/* comp_contract.c: comprehensions of CONTRACT rows: equations (matmul, einsum) and convolutions.
 *
 * The state is one sum in f32 for f16 and bf16, in i64 for integers, else in the dtype itself. */
#include "ir/infer_shapes.h"
#include "lower/comp.h"

#define C (x->c)
typedef const ir_expr *ex;

static ex add(comp *k, ex a, ex b) { return ir_x2(&k->x, K_ADD, a, b); }
static ex sub(comp *k, ex a, ex b) { return ir_x2(&k->x, K_SUB, a, b); }
static ex mul(comp *k, ex a, ex b) { return ir_x2(&k->x, K_MUL, a, b); }
static ex num(comp *k, int64_t i) { return ir_x_int(&k->x, DT_I64, i); }
static ex both(comp *k, ex a, ex b) { return ir_x2(&k->x, K_AND, a, b); }

static rt_dtype sum_dtype(rt_dtype d) { return rt_dtypes[d].kind == 'F' ? ir_compute_dtype(d) : DT_I64; }

static ex zero(comp *k, rt_dtype d) {
    return rt_dtypes[d].kind == 'F' ? ir_x_float(&k->x, d, 0) : ir_x_int(&k->x, d, 0);
}

static void finish(comp *k, ir_infer *x, ex product, ex bias) {
    rt_dtype sum = product->dtype;
    ex state = ir_x_param(&k->x, 0, sum);
    k->nstate = 1;
    k->state_dtype[0] = sum;
    k->init[0] = zero(k, sum);
    k->elem[0] = product;
    k->combine[0] = add(k, state, ir_x_param(&k->x, 1, sum));
    k->associative = true;
    k->nout = 1;
    k->out_dtype[0] = x->res[0]->dtype;
    k->out[0] = ir_x_cast(&k->x, bias ? add(k, state, ir_x_cast(&k->x, bias, sum)) : state, k->out_dtype[0]);
}

/* ------------------------------------------------------------------ equations */

static bool contract_equation(comp *k, ir_infer *x) {
    ir_equation e;
    ex product = NULL, bias = NULL;
    if (!ir_equation_of(x, &e)) return false;
    rt_dtype sum = sum_dtype(e.type[0]->dtype);
    k->nrdims = e.nletters - e.nout;
    k->rdims = ir_dims_new(C, k->nrdims);
    for (int i = 0; i < k->nrdims; i++) k->rdims[i] = e.dims[e.nout + i];
    for (int j = 0; j < e.noperands; j++) {
        ex at[RT_MAX_RANK];
        for (int d = 0; d < e.rank[j]; d++)
            at[d] = e.letter[j][d] < 0 ? num(k, 0)
                                       : comp_broadcast(k, e.type[j]->dims[d], e.dims[e.letter[j][d]], ir_x_index(&k->x, e.letter[j][d]));
        ex f = ir_x_cast(&k->x, ir_x_load(&k->x, e.operand[j], e.type[j]->dtype, e.rank[j], at), sum);
        product = product ? mul(k, product, f) : f;
    }
    for (int i = 0; i < x->nargs; i++)
        if (!strcmp(x->op->schema->params[i].name, "bias")) bias = comp_param(k, x, i, sum);
    k->contract = e.noperands == 2;
    finish(k, x, product, bias);
    return true;
}

/* ------------------------------------------------------------------ convolution */

static ex inside(comp *k, ex at, const ir_dim *size) {
    return both(k, ir_x2(&k->x, K_GE, at, num(k, 0)), ir_x2(&k->x, K_LT, at, ir_x_dim(&k->x, size)));
}

/* Input place of output o and kernel step r; *guard gets what must hold. */
static ex place(comp *k, ir_infer *x, const ir_conv *v, int i, ex o, ex r, ex *guard) {
    const ir_dim *size = v->input->dims[i + 2], *one = ir_dim_const(C, 1);
    ex step = mul(k, r, num(k, v->dilation[i]));
    if (v->transposed) {
        ex t = sub(k, add(k, o, num(k, v->pad[i])), step), s = num(k, v->stride[i]);
        ex at = ir_x2(&k->x, K_FLOORDIV, t, s);
        ex whole = ir_x2(&k->x, K_EQ, ir_x2(&k->x, K_MOD, t, s), num(k, 0));
        *guard = both(k, *guard, both(k, whole, inside(k, at, size)));
        return at;
    }
    ex at = sub(k, add(k, mul(k, o, num(k, v->stride[i])), step), num(k, v->pad[i]));
    const ir_dim *last = ir_dim_add(
        C, ir_dim_mul(C, ir_dim_sub(C, v->dims[i + 2], one), ir_dim_const(C, v->stride[i])),
        ir_dim_mul(C, ir_dim_sub(C, v->weight->dims[i + 2], one), ir_dim_const(C, v->dilation[i])));
    if (v->pad[i] != 0 || ir_dim_lt(C, last, size) != IR_YES) *guard = both(k, *guard, inside(k, at, size));
    return at;
}

static const ir_arg *named(ir_infer *x, const char *name) { return ir_arg_named(x, name); }

static bool contract_conv(comp *k, ir_infer *x) {
    ir_conv v;
    if (!ir_conv_of(x, &v)) return false;
    rt_dtype sum = sum_dtype(v.input->dtype);
    const ir_arg *input = named(x, "input"), *weight = named(x, "weight"), *bias = named(x, "bias");
    ex in[RT_MAX_RANK], w[RT_MAX_RANK], guard = ir_x_int(&k->x, DT_BOOL, 1);
    ex oc = ir_x_index(&k->x, 1), ic = ir_x_index(&k->x, k->ndims),
       per_out = ir_x_dim(&k->x, v.out_per_group);
    k->nrdims = v.n + 1;
    k->rdims = ir_dims_new(C, k->nrdims);
    k->rdims[0] = v.in_per_group;
    ex group = v.groups == 1 ? num(k, 0) : ir_x2(&k->x, K_FLOORDIV, oc, per_out);
    in[0] = ir_x_index(&k->x, 0);
    in[1] = add(k, mul(k, group, ir_x_dim(&k->x, v.in_per_group)), ic);
    w[0] = v.transposed ? in[1] : oc;
    w[1] = !v.transposed ? ic : v.groups == 1 ? oc : ir_x2(&k->x, K_MOD, oc, per_out);
    for (int i = 0; i < v.n; i++) {
        ex r = ir_x_index(&k->x, k->ndims + 1 + i);
        k->rdims[i + 1] = v.weight->dims[i + 2];
        in[i + 2] = place(k, x, &v, i, ir_x_index(&k->x, i + 2), r, &guard);
        w[i + 2] = r;
    }
    ex a = ir_x_cast(&k->x, ir_x_load(&k->x, input->operand, v.input->dtype, v.n + 2, in), sum);
    ex b = ir_x_cast(&k->x, ir_x_load(&k->x, weight->operand, v.weight->dtype, v.n + 2, w), sum);
    ex bias_at = v.bias ? ir_x_load(&k->x, bias->operand, v.bias->dtype, 1, &oc) : NULL;
    k->contract = true;
    finish(k, x, mul(k, ir_x_select(&k->x, guard, a, zero(k, sum)), b), bias_at);
    return true;
}

bool comp_contract(comp *k, ir_infer *x) {
    return strcmp(x->op->body, "conv") ? contract_equation(k, x) : contract_conv(k, x);
}
