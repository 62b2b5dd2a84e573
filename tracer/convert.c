/* convert.c: from the arguments of a C call to values of a schema's types, by PyTorch's implicit conversions.  While
 * something is recorded each conversion is an operator of the graph, as the script front end would emit it. */
#include "tracer/tracer.h"

static const ir_type *simple(jitc_context *c, ir_kind k) { return ir_type_simple(c->ir, k); }

trace_arg trace_const(jitc_context *c, rt_value v) { return (trace_arg){.type = trace_type_of(c, v), .v = v}; }

/* ======================================================= from C */

bool trace_arg_slot(jitc_context *c, trace_slot *s, trace_arg *out) {
    *out = (trace_arg){.type = s->type, .v = s->v};
    return !trace_recording(c) || (out->node = trace_slot_node(c, s));
}

static bool handle_arg(jitc_context *c, jitc_t x, trace_place at, trace_arg *out) {
    trace_slot *s = trace_slot_of(x);
    if (!x.context || x.context != c)
        return trace_fail(c, JITC_E_ARGUMENT, at, x.context ? "a handle of another context" : "a handle that was never set");
    if (!s) return c->status != JITC_OK ? false : trace_fail(c, JITC_E_ARGUMENT, at, "a handle that has ended with its scope");
    return trace_arg_slot(c, s, out);
}

/* Type of a list's elements.  NULL: they have none in common. */
static const ir_type *item_type(jitc_context *c, int n, const trace_arg *items) {
    const ir_type *t = simple(c, T_BOTTOM);
    for (int i = 0; i < n && t; i++) t = ir_join(c->ir, t, items[i].type);
    return t;
}

static bool list_arg(jitc_context *c, const jitc_arg *a, trace_place at, trace_arg *out) {
    *out = (trace_arg){.list = true, .n = a->n, .v = {.tag = V_UNDEF}, .items = RT_ARRAY(&c->tmp, trace_arg, a->n + 1)};
    for (int i = 0; i < a->n; i++) {
        bool ok = true;
        if (a->kind == JITC_A_LIST) ok = trace_arg_of(c, &a->as.items[i], at, &out->items[i]);
        else if (a->kind == JITC_A_HANDLES) ok = handle_arg(c, a->as.handles[i], at, &out->items[i]);
        else out->items[i] = trace_const(c, rt_int(a->as.ints[i]));
        if (!ok) return false;
    }
    const ir_type *t = item_type(c, a->n, out->items);
    if (!t || t->kind == T_ANY) return trace_fail(c, JITC_E_ARGUMENT, at, "the items of a list are of different kinds");
    out->type = ir_type_list(c->ir, t);
    return true;
}

bool trace_arg_of(jitc_context *c, const jitc_arg *a, trace_place at, trace_arg *out) {
    switch (a->kind) {
    case JITC_A_HANDLE: return handle_arg(c, a->as.handle, at, out);
    case JITC_A_INT:
        *out = trace_const(c, rt_int(a->as.i));
        out->number = true;
        return true;
    case JITC_A_FLOAT: *out = trace_const(c, rt_float(a->as.f)); return true;
    case JITC_A_BOOL: *out = trace_const(c, rt_bool(a->as.i != 0)); return true;
    case JITC_A_STR: *out = trace_const(c, trace_temp(c, rt_strz(a->as.s))); return out->v.tag == V_STR || trace_memory(c);
    case JITC_A_LIST:
    case JITC_A_HANDLES:
    case JITC_A_INTS: return list_arg(c, a, at, out);
    case JITC_A_VALUE: {
        trace_slot outside = {.v = rt_of_public(a->as.value)};
        outside.type = trace_type_of(c, outside.v);
        if (outside.v.tag >= V_OBJECT) return trace_fail(c, JITC_E_ARGUMENT, at, "an argument is not a value");
        if (outside.v.tag == V_TENSOR) return trace_arg_slot(c, &outside, out);
        *out = (trace_arg){.type = outside.type, .v = outside.v};
        return !trace_recording(c) || outside.v.tag < V_TENSOR || (out->node = trace_slot_node(c, &outside));
    }
    default: return trace_fail(c, JITC_E_ARGUMENT, at, "an argument is not a value");
    }
}

/* ======================================================= conversions */

static bool scalar(const ir_type *t) {
    return t->kind == T_INT || t->kind == T_FLOAT || t->kind == T_BOOL || t->kind == T_NUMBER;
}

static bool fixed(jitc_context *c, trace_arg *a, const char *full, ir_kind kind) {
    const ir_op *op = ir_op_find(c->ir, full);
    const ir_type *t = simple(c, kind);
    trace_arg in = *a, out;
    if (!op || !trace_op(c, op, &in, &t, &out)) return false;
    *a = out;
    return true;
}

static bool to_scalar(jitc_context *c, trace_arg *a, ir_kind want) {
    ir_kind have = a->type->kind;
    if (want == T_INT && have == T_TENSOR) return fixed(c, a, "IntImplicit", T_INT);
    if (want == T_INT && have == T_NUMBER) return fixed(c, a, "Int.Scalar", T_INT);
    if (want == T_FLOAT && have == T_TENSOR) return fixed(c, a, "FloatImplicit", T_FLOAT);
    if (want == T_FLOAT && have == T_INT && !a->node) return *a = trace_const(c, rt_float((double)a->v.i)), true;
    if (want == T_FLOAT && have == T_INT) return fixed(c, a, "Float.int", T_FLOAT);
    if (want == T_FLOAT && have == T_NUMBER) return fixed(c, a, "Float.Scalar", T_FLOAT);
    if (want == T_NUMBER && have == T_TENSOR) return fixed(c, a, "ScalarImplicit", T_NUMBER);
    if (want == T_TENSOR && have == T_BOOL) return fixed(c, a, "NumToTensor.bool", T_TENSOR);
    if (want == T_TENSOR && scalar(a->type)) return fixed(c, a, "NumToTensor", T_TENSOR);
    return want == T_NUMBER && have == T_BOOL;
}

static bool to_list(jitc_context *c, trace_arg *a, const ir_type *want, int size) {
    const ir_type *elem = want->elem[0];
    trace_arg list = {.type = want, .list = true, .v = {.tag = V_UNDEF}};
    if (!a->list && !scalar(a->type) && a->type->kind != T_TENSOR) return false;
    list.n = a->list ? a->n : size ? size : 1;
    list.items = RT_ARRAY(&c->tmp, trace_arg, list.n + 1);
    for (int i = 0; i < list.n; i++) {
        list.items[i] = a->list ? a->items[i] : *a;
        if (i && !a->list) list.items[i] = list.items[0];
        else if (!trace_coerce(c, &list.items[i], elem, 0)) return false;
    }
    *a = list;
    return true;
}

bool trace_coerce(jitc_context *c, trace_arg *a, const ir_type *want, int list_size) {
    const ir_type *t = want->kind == T_OPTIONAL ? want->elem[0] : want;
    if (t->kind == T_LIST && a->list && t->elem[0]->kind != T_VAR) return to_list(c, a, t, list_size);
    if (t->kind == T_VAR || ir_subtype(a->type, want)) return true;
    if (t->kind == a->type->kind && t->n > 0 && t->elem[t->n - 1]->kind == T_VAR) return true; /* t[], Dict(str, t) */
    switch (t->kind) {
    case T_INT:
    case T_FLOAT:
    case T_NUMBER:
    case T_TENSOR: return to_scalar(c, a, t->kind);
    case T_LIST: return to_list(c, a, t, list_size);
    default: {
        ir_binds binds = {0};
        return ir_type_bind(c->ir, want, a->type, &binds);
    }
    }
}

static bool default_list(jitc_context *c, const ir_param *p, const ir_type *t, trace_arg *out) {
    bool many = p->def.tag == V_LIST || p->def.tag == V_TUPLE;
    int n = many ? (int)p->def.list->n : p->list_size ? p->list_size : 1;
    *out = (trace_arg){.type = t, .list = true, .n = n, .v = {.tag = V_UNDEF}, .items = RT_ARRAY(&c->tmp, trace_arg, n + 1)};
    for (int i = 0; i < n; i++) {
        rt_value v = many ? p->def.list->at[i] : p->def;
        if (t->elem[0]->kind == T_FLOAT && v.tag == V_INT) v = rt_float((double)v.i);
        out->items[i] = trace_const(c, v);
    }
    return true;
}

bool trace_default(jitc_context *c, const ir_param *p, trace_arg *out) {
    const ir_type *t = p->type->kind == T_OPTIONAL ? p->type->elem[0] : p->type;
    rt_value v = p->def;
    if (t->kind == T_LIST && v.tag != V_NONE) return default_list(c, p, t, out);
    if (t->kind == T_FLOAT && v.tag == V_INT) v = rt_float((double)v.i);
    if (t->kind == T_INT && v.tag == V_BOOL) v = rt_int(v.i);
    *out = trace_const(c, v);
    return true;
}

/* ======================================================= building */

bool trace_build(jitc_context *c, trace_arg *a) {
    if (!a->list || a->v.tag != V_UNDEF) return true;
    rt_value v = rt_list_new(V_LIST, a->n);
    if (v.tag == V_UNDEF) return trace_memory(c);
    trace_temp(c, v);
    for (int i = 0; i < a->n; i++) {
        if (!trace_build(c, &a->items[i])) return false;
        v.list->at[i] = rt_retain(a->items[i].v);
    }
    a->v = v;
    return true;
}

ir_value *trace_node(jitc_context *c, trace_arg *a) {
    trace_recorder *r = c->rec;
    if (a->node) return a->node;
    if (!a->list) {
        trace_slot outside = {.v = a->v, .type = a->type};
        if (a->v.tag >= V_TENSOR) return a->node = trace_slot_node(c, &outside);
        return a->node = ir_const(r->b, trace_span(c), rt_retain(a->v), a->type);
    }
    ir_value **in = RT_ARRAY(&c->tmp, ir_value *, a->n + 1);
    for (int i = 0; i < a->n; i++)
        if (!(in[i] = trace_node(c, &a->items[i]))) return NULL;
    ir_node *n = ir_node_new(r->f, ir_struct(c->ir, S_LIST), trace_span(c), a->n, in, 1, &a->type);
    ir_append(r->b, n);
    return a->node = n->out[0];
}
