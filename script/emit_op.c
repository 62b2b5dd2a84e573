/* emit_op.c: nodes: constants, containers, conversions and applications of ops.
 * Every op node gets one input per parameter of its schema: defaults and conversions are nodes of their own. */
#include "script/emit.h"

static const ir_type *simple(emitter *e, ir_kind k) { return ir_type_simple(e->c, k); }
static ir_span span(emitter *e, script_ast *at) { return script_span(e->c, at); }

ir_node *emit_node(emitter *e, script_ast *at, ir_struct_id id, int nin, ir_value *const *in, int nout,
                   const ir_type *const *types) {
    ir_node *n = ir_node_new(e->f, ir_struct(e->c, id), span(e, at), nin, in, nout, types);
    ir_append(e->b, n);
    return n;
}

/* ---- constants */

ir_value *emit_const_typed(emitter *e, script_ast *at, rt_value v, const ir_type *t) {
    return ir_const(e->b, span(e, at), v, t);
}

static const ir_type *type_of(emitter *e, rt_value v) {
    switch (v.tag) {
    case V_BOOL: return simple(e, T_BOOL);
    case V_INT: return simple(e, T_INT);
    case V_FLOAT: return simple(e, T_FLOAT);
    case V_STR: return simple(e, T_STR);
    case V_TENSOR: return simple(e, T_TENSOR);
    default: return simple(e, T_NONE);
    }
}

/* Lists and tuples become nodes over constants: each evaluation makes a fresh one. */
ir_value *emit_const(emitter *e, script_ast *at, rt_value v) {
    if (v.tag != V_LIST && v.tag != V_TUPLE) return emit_const_typed(e, at, v, type_of(e, v));
    int n = (int)v.list->n;
    ir_value **items = RT_ARRAY(&e->c->arena, ir_value *, n);
    const ir_type *elem = simple(e, T_BOTTOM);
    for (int i = 0; i < n; i++) {
        items[i] = emit_const(e, at, rt_retain(v.list->at[i]));
        const ir_type *join = ir_join(e->c, elem, items[i]->type);
        elem = join ? join : simple(e, T_ANY);
    }
    bool list = v.tag == V_LIST;
    rt_release(v);
    return list ? emit_list_of(e, at, n, items, elem) : emit_tuple(e, at, n, items);
}

ir_value *emit_int(emitter *e, script_ast *at, int64_t i) { return emit_const(e, at, rt_int(i)); }
ir_value *emit_str(emitter *e, script_ast *at, const char *s, size_t n) { return emit_const(e, at, rt_str(s, n)); }
ir_value *emit_none(emitter *e, script_ast *at) { return emit_const(e, at, V_NULL); }

ir_value *emit_uninit(emitter *e, script_ast *at, const ir_type *t) {
    return emit_node(e, at, S_UNINIT, 0, NULL, 1, &t)->out[0];
}

ir_value *emit_cast(emitter *e, script_ast *at, ir_value *v, const ir_type *t) {
    if (v->type == t) return v;
    ir_node *n = emit_node(e, at, S_CAST, 1, &v, 1, &t);
    n->type = t;
    return n->out[0];
}

/* ---- containers */

ir_value *emit_tuple(emitter *e, script_ast *at, int n, ir_value *const *v) {
    const ir_type **types = RT_ARRAY(&e->c->arena, const ir_type *, n);
    for (int i = 0; i < n; i++) types[i] = v[i]->type;
    const ir_type *t = ir_type_tuple(e->c, n, types, NULL, NULL);
    if (!emit_type_fits(t)) emit_fail(e, at, "the type of this tuple is too large");
    return emit_node(e, at, S_TUPLE, n, v, 1, &t)->out[0];
}

ir_value *emit_list_of(emitter *e, script_ast *at, int n, ir_value *const *v, const ir_type *elem) {
    const ir_type *t = ir_type_list(e->c, elem);
    return emit_node(e, at, S_LIST, n, v, 1, &t)->out[0];
}

static int unpack_node(emitter *e, script_ast *at, ir_value *v, int n, ir_value ***out) {
    const ir_type **types = RT_ARRAY(&e->c->arena, const ir_type *, n);
    for (int i = 0; i < n; i++) types[i] = v->type->kind == T_TUPLE ? v->type->elem[i] : v->type->elem[0];
    *out = emit_node(e, at, S_UNPACK, 1, &v, n, types)->out;
    return n;
}

int emit_unpack(emitter *e, script_ast *at, sugar s, int want, ir_value ***out) {
    int n = want;
    if (s.kind == SG_MULTI) {
        n = s.n;
        *out = s.many;
    } else {
        ir_value *v = emit_value(e, s, at);
        if (v->type->kind == T_TENSOR && want >= 0) v = EMIT_OP(e, at, "unbind", v);
        bool tuple = v->type->kind == T_TUPLE;
        if (!tuple && (v->type->kind != T_LIST || want < 0))
            emit_fail(e, at, "a value of type %s cannot be unpacked%s", emit_type_text(e->c, v->type),
                      v->type->kind == T_LIST ? " here: its length is not known" : "");
        if (tuple) n = v->type->n;
        if (tuple && v->def && v->def->op->id == S_TUPLE) *out = v->def->in;
        else if (want < 0 || n == want) unpack_node(e, at, v, n, out);
    }
    if (want >= 0 && n != want) emit_fail(e, at, "%d values are unpacked into %d names", n, want);
    return n;
}

/* ---- conversions */

static bool scalar(const ir_type *t) {
    return t->kind == T_INT || t->kind == T_FLOAT || t->kind == T_BOOL || t->kind == T_NUMBER;
}

static ir_value *fixed(emitter *e, script_ast *at, const char *full, ir_value *v, ir_kind k) {
    const ir_op *op = ir_op_find(e->c, full);
    if (!op) emit_fail(e, at, "unknown operator '%s'", full);
    return ir_emit(e->b, span(e, at), op, 1, &v, simple(e, k));
}

static ir_value *to_scalar(emitter *e, script_ast *at, ir_value *v, ir_kind want) {
    ir_kind have = v->type->kind;
    const rt_value *k = ir_const_of(v);
    if (want == T_INT && have == T_TENSOR) return fixed(e, at, "IntImplicit", v, T_INT);
    if (want == T_INT && have == T_NUMBER) return fixed(e, at, "Int.Scalar", v, T_INT);
    if (want == T_FLOAT && have == T_TENSOR) return fixed(e, at, "FloatImplicit", v, T_FLOAT);
    if (want == T_FLOAT && have == T_INT && k && k->tag == V_INT) return emit_const(e, at, rt_float((double)k->i));
    if (want == T_FLOAT && have == T_INT) return fixed(e, at, "Float.int", v, T_FLOAT);
    if (want == T_FLOAT && have == T_NUMBER) return fixed(e, at, "Float.Scalar", v, T_FLOAT);
    if (want == T_NUMBER && have == T_TENSOR) return fixed(e, at, "ScalarImplicit", v, T_NUMBER);
    if (want == T_TENSOR && scalar(v->type)) return fixed(e, at, "NumToTensor", v, T_TENSOR);
    return NULL;
}

/* Elements of a tuple, or of a list that is built right here; -1: not known one by one. */
static int elements(emitter *e, script_ast *at, ir_value *v, ir_value ***out) {
    if (v->type->kind == T_TUPLE) return emit_unpack(e, at, sg_value(v), -1, out);
    if (v->type->kind != T_LIST || !v->def || v->def->op->id != S_LIST || v->uses) return -1;
    *out = v->def->in;
    return v->def->nin;
}

static ir_value *to_list(emitter *e, script_ast *at, ir_value *v, const ir_type *want, int size) {
    const ir_type *elem = want->elem[0];
    if (scalar(v->type) || v->type->kind == T_TENSOR) {
        ir_value *one = emit_coerce(e, at, v, elem, 0);
        int n = size ? size : 1;
        if (!one || n > 64) return NULL;
        ir_value *copies[64];
        for (int i = 0; i < n; i++) copies[i] = one;
        return emit_list_of(e, at, n, copies, elem);
    }
    ir_value **items;
    int n = elements(e, at, v, &items);
    if (n < 0) return NULL;
    ir_value **copies = RT_ARRAY(&e->c->arena, ir_value *, n);
    for (int i = 0; i < n; i++)
        if (!(copies[i] = emit_coerce(e, at, items[i], elem, 0))) return NULL;
    return emit_list_of(e, at, n, copies, elem);
}

static ir_value *to_tuple(emitter *e, script_ast *at, ir_value *v, const ir_type *want) {
    if (v->type->kind != T_TUPLE || v->type->n != want->n) return NULL;
    ir_value **items;
    int n = emit_unpack(e, at, sg_value(v), -1, &items);
    ir_value **copies = RT_ARRAY(&e->c->arena, ir_value *, n);
    for (int i = 0; i < n; i++)
        if (!(copies[i] = emit_coerce(e, at, items[i], want->elem[i], 0))) return NULL;
    return emit_node(e, at, S_TUPLE, n, copies, 1, &want)->out[0];
}

static ir_value *to_dict(emitter *e, script_ast *at, ir_value *v, const ir_type *want) {
    if (!v->def || v->def->op->id != S_DICT || v->uses) return NULL;
    int n = v->def->nin;
    ir_value **copies = RT_ARRAY(&e->c->arena, ir_value *, n);
    for (int i = 0; i < n; i++)
        if (!(copies[i] = emit_coerce(e, at, v->def->in[i], want->elem[i & 1], 0))) return NULL;
    return emit_node(e, at, S_DICT, n, copies, 1, &want)->out[0];
}

/* An empty display takes the type that is wanted of it. */
static bool retype_empty(ir_value *v, const ir_type *want) {
    if (!v->def || v->def->nin || v->type->kind != want->kind || v->type->elem[0]->kind != T_BOTTOM) return false;
    v->type = want;
    return true;
}

ir_value *emit_coerce(emitter *e, script_ast *at, ir_value *v, const ir_type *want, int list_size) {
    const ir_type *t = want->kind == T_OPTIONAL ? want->elem[0] : want;
    if (v->type == want) return v;
    if (t->kind == v->type->kind && t->n > 0 && t->elem[t->n - 1]->kind == T_VAR) return v; /* t[], Dict(str, t): as it is */
    if ((t->kind == T_LIST || t->kind == T_DICT) && retype_empty(v, t)) return v;
    if (ir_subtype(v->type, want)) {
        /* a display's type says what may be stored into it: keep it exact */
        if (t->kind == T_LIST && v->type->kind == T_LIST && v->type != t && v->def && v->def->op->id == S_LIST && !v->uses)
            return to_list(e, at, v, t, 0);
        if (t->kind == T_DICT && v->type->kind == T_DICT && v->type != t && v->def && v->def->op->id == S_DICT && !v->uses)
            return to_dict(e, at, v, t);
        return v;
    }
    switch (t->kind) {
    case T_INT:
    case T_FLOAT:
    case T_NUMBER:
    case T_TENSOR: return to_scalar(e, at, v, t->kind);
    case T_LIST: return to_list(e, at, v, t, list_size);
    case T_TUPLE: return to_tuple(e, at, v, t);
    case T_DICT: return v->type->kind == T_DICT ? to_dict(e, at, v, t) : NULL;
    case T_STR: return v->type->kind == T_DEVICE ? emit_cast(e, at, v, t) : NULL;
    default: return NULL;
    }
}

ir_value *emit_want(emitter *e, script_ast *at, ir_value *v, const ir_type *want, const char *what) {
    ir_value *r = emit_coerce(e, at, v, want, 0);
    if (!r) emit_fail(e, at, "%s must be %s, not %s", what, emit_type_text(e->c, want), emit_type_text(e->c, v->type));
    return r;
}

/* ---- applications */

static ir_value *default_list(emitter *e, script_ast *at, rt_value v, const ir_type *t, int size) {
    int n = v.tag == V_LIST || v.tag == V_TUPLE ? (int)v.list->n : size ? size : 1;
    ir_value **items = RT_ARRAY(&e->c->arena, ir_value *, n);
    for (int i = 0; i < n; i++) {
        rt_value x = v.tag == V_LIST || v.tag == V_TUPLE ? v.list->at[i] : v;
        if (t->elem[0]->kind == T_FLOAT && x.tag == V_INT) x = rt_float((double)x.i);
        items[i] = emit_const(e, at, rt_retain(x));
    }
    return emit_list_of(e, at, n, items, t->elem[0]);
}

static ir_value *default_value(emitter *e, script_ast *at, const ir_param *p) {
    const ir_type *t = p->type->kind == T_OPTIONAL ? p->type->elem[0] : p->type;
    if (p->def.tag == V_NONE) return emit_none(e, at);
    if (t->kind == T_LIST) return default_list(e, at, p->def, t, p->list_size);
    if (t->kind == T_FLOAT && p->def.tag == V_INT) return emit_const(e, at, rt_float((double)p->def.i));
    if (t->kind == T_INT && p->def.tag == V_BOOL) return emit_int(e, at, p->def.i);
    return emit_const(e, at, rt_retain(p->def));
}

static ir_value *rest_list(emitter *e, script_ast *at, const ir_param *p, int first, int nargs, const ir_call_arg *args) {
    const ir_type *t = p->type->kind == T_OPTIONAL ? p->type->elem[0] : p->type;
    ir_value **items = RT_ARRAY(&e->c->arena, ir_value *, nargs);
    int n = 0;
    for (int j = first; j < nargs && !args[j].kw; j++) items[n++] = emit_want(e, at, args[j].value, t->elem[0], p->name);
    return emit_list_of(e, at, n, items, t->elem[0]);
}

static sugar op_node(emitter *e, script_ast *at, const ir_op *op, int nin, ir_value *const *in, int nout,
                     const ir_type *const *types) {
    const ir_type *none = simple(e, T_NONE);
    ir_node *n = ir_node_new(e->f, op, span(e, at), nin, in, nout ? nout : 1, nout ? types : &none);
    ir_append(e->b, n);
    if (nout > 1) return (sugar){.kind = SG_MULTI, .n = nout, .many = n->out};
    return sg_value(n->out[0]);
}

/* format(str self, ...): all arguments as they come. */
static sugar varargs(emitter *e, script_ast *at, const ir_op *op, int nargs, const ir_call_arg *args) {
    ir_value **in = RT_ARRAY(&e->c->arena, ir_value *, nargs);
    for (int i = 0; i < nargs; i++) {
        if (args[i].kw) emit_fail(e, at, "'%s' takes no keyword arguments", op->name);
        in[i] = args[i].value;
    }
    const ir_type *t = op->schema->varresults || !op->schema->nresults ? simple(e, T_ANY) : op->schema->results[0].type;
    return op_node(e, at, op, nargs, in, 1, &t);
}

static int max_params(const ir_op *op) {
    int n = 1;
    for (; op; op = op->next)
        if (op->schema->nparams > n) n = op->schema->nparams;
    return n + 8; /* out= forms have a few more */
}

static sugar apply(emitter *e, script_ast *at, const ir_op *op, const int *slots, int nargs, const ir_call_arg *args) {
    const ir_schema *s = op->schema;
    ir_value **in = RT_ARRAY(&e->c->arena, ir_value *, s->nparams);
    for (int i = 0; i < s->nparams; i++) {
        const ir_param *p = &s->params[i];
        if (slots[i] == -1) {
            in[i] = default_value(e, at, p);
        } else if (slots[i] <= -2) {
            in[i] = rest_list(e, at, p, IR_REST_FIRST(slots[i]), nargs, args);
        } else {
            in[i] = emit_coerce(e, at, args[slots[i]].value, p->type, p->list_size);
            if (!in[i] && p->type->kind == T_VAR) in[i] = args[slots[i]].value;
            if (!in[i]) {
                /* element types given by a type variable: the matcher has checked them */
                ir_binds binds = {0};
                if (ir_type_bind(e->c, p->type, args[slots[i]].type, &binds)) in[i] = args[slots[i]].value;
            }
            if (!in[i])
                emit_fail(e, at, "'%s' of '%s' must be %s, not %s", p->name, op->name, emit_type_text(e->c, p->type),
                          emit_type_text(e->c, args[slots[i]].type));
        }
    }
    int nout = s->nresults;
    const ir_type **types = RT_ARRAY(&e->c->arena, const ir_type *, nout);
    for (int i = 0; i < nout; i++) types[i] = ir_result_type(e->c, op, i, slots, args);
    return op_node(e, at, op, s->nparams, in, nout, types);
}

/* What an empty container will hold is settled by the first thing that is put into it. */
static void settle_empty(emitter *e, const char *name, int nargs, const ir_call_arg *args) {
    if (nargs < 2 || !args[0].value->def || args[0].value->type->kind != T_LIST) return;
    ir_value *v = args[0].value;
    if (v->type->elem[0]->kind == T_BOTTOM && v->def->op->id == S_LIST && !strcmp(name, "append"))
        v->type = ir_type_list(e->c, args[1].value->type);
}

sugar emit_op(emitter *e, script_ast *at, const char *name, int nargs, const ir_call_arg *given) {
    const ir_op *chain = ir_op_overloads(e->c, name);
    if (!chain) emit_fail(e, at, "unknown operator '%s'", name);
    settle_empty(e, name, nargs, given);
    ir_call_arg *args = RT_ARRAY(&e->c->arena, ir_call_arg, nargs);
    for (int i = 0; i < nargs; i++) args[i] = (ir_call_arg){given[i].kw, given[i].value->type, given[i].value};
    if (!chain->next && chain->schema->varargs) return varargs(e, at, chain, nargs, args);
    int *slots = RT_ARRAY(&e->c->arena, int, max_params(chain));
    const char *why = NULL;
    const ir_op *op = ir_match(e->c, chain, nargs, args, slots, &why);
    if (!op) emit_fail(e, at, "%s", why ? why : ir_fmt(e->c, "no overload of '%s' takes these arguments", name));
    return apply(e, at, op, slots, nargs, args);
}

ir_value *emit_op_values(emitter *e, script_ast *at, const char *name, int n, ir_value *const *v) {
    ir_call_arg args[8] = {0};
    for (int i = 0; i < n; i++) args[i].value = v[i];
    return emit_value(e, emit_op(e, at, name, n, args), at);
}
