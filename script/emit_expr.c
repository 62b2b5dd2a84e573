/* emit_expr.c: expressions: names, attributes, operators, displays, comprehensions. */
#include "script/emit.h"

#include <math.h>
#include <stdlib.h>

/* ---- names */

static const char *const builtins[] = {
    "len", "int", "float", "bool", "str", "abs", "min", "max", "sum", "round", "sorted", "any", "all", "print",
    "isinstance", "hasattr", "getattr", "list", "tuple", "dict", "range", "enumerate", "zip", "reversed", "ord", "chr",
    "hex", "oct", "bin", "divmod", "pow", "annotate", "unchecked_cast", "uninitialized", "super", "repr", "cast"};
static const char *const roots[] = {"torch", "math", "ops", "torchvision", "CONSTANTS", "__torch__", "typing", "warnings", "enum"};
static const struct { const char *name, *path; } habits[] = {{"F", "torch.nn.functional"}, {"nn", "torch.nn"}};

static sugar path(const char *text) { return (sugar){.kind = SG_PATH, .text = text}; }

static bool in_archive(emitter *e) { return !strncmp(e->d->file->prefix, "__torch__", 9); }

static sugar constant_decl(emitter *e, decl *d, script_ast *at) {
    rt_value v;
    if (emit_literal(e->u, d->file, d->ast, &v)) return sg_value(emit_const(e, at, v));
    bool alias = d->ast->kind == AST_NAME || d->ast->kind == AST_ATTR;
    if (!alias || d->state != DECL_NEW) emit_fail(e, at, "'%s' is not a constant that can be used here", d->qualified);
    d->state = DECL_BUSY;
    sugar s = emit_sugar(e, d->ast, NULL);
    d->state = DECL_NEW;
    return s;
}

static sugar global_name(emitter *e, script_ast *a) {
    const char *name = a->name;
    decl *d = emit_find_in(e->u, e->d->file, name);
    if (d && d->kind == DECL_CONST) return constant_decl(e, d, a);
    if (d) return (sugar){.kind = SG_DECL, .d = d};
    if ((in_archive(e) || e->u->vocabulary) && (!strcmp(name, "inf") || !strcmp(name, "nan")))
        return sg_value(emit_const(e, a, rt_float(*name == 'i' ? INFINITY : NAN)));
    const char *import = rt_map_get(&e->d->file->imports, name);
    rt_value v;
    const ir_type *t;
    if (import && emit_path_constant(e->c, import, &v, &t)) return sg_value(emit_const_typed(e, a, v, t));
    if (import) return path(import);
    for (size_t i = 0; i < RT_COUNT(builtins); i++)
        if (!strcmp(name, builtins[i])) return (sugar){.kind = SG_BUILTIN, .text = builtins[i]};
    for (size_t i = 0; i < RT_COUNT(roots); i++)
        if (!strcmp(name, roots[i])) return path(roots[i]);
    for (size_t i = 0; i < RT_COUNT(habits); i++)
        if (!strcmp(name, habits[i].name)) return path(habits[i].path);
    if (e->u->vocabulary && ir_op_overloads(e->c, name)) return path(ir_fmt(e->c, "torch.%s", name));
    emit_fail(e, a, "'%s' is not defined", name);
}

static sugar name_sugar(emitter *e, script_ast *a) {
    var *v = emit_lookup(e->scope, a->name);
    if (!v) return global_name(e, a);
    if (v->s.kind == SG_UNDEF && !v->s.text) longjmp(*e->recover, 1);
    if (v->s.kind == SG_UNDEF) emit_fail(e, a, "%s", v->s.text);
    return v->s;
}

ir_value *emit_value(emitter *e, sugar s, script_ast *at) {
    switch (s.kind) {
    case SG_VALUE: return s.v;
    case SG_MULTI: return emit_tuple(e, at, s.n, s.many);
    case SG_FLAG: return emit_const(e, at, rt_bool(s.n));
    case SG_UNDEF:
        if (!s.text) longjmp(*e->recover, 1);
        emit_fail(e, at, "%s", s.text);
    case SG_PATH: emit_fail(e, at, "'%s' is not a value", s.text);
    case SG_BUILTIN: emit_fail(e, at, "the function '%s' is not a value", s.text);
    case SG_DECL:
        emit_fail(e, at, "the %s '%s' is not a value", s.d->kind == DECL_CLASS ? "class" : "function", s.d->qualified);
    case SG_METHOD: emit_fail(e, at, "the method '%s' is not a value", s.text);
    default: emit_fail(e, at, "a type is not a value");
    }
}

ir_value *emit_expr(emitter *e, script_ast *a, const ir_type *hint) { return emit_value(e, emit_sugar(e, a, hint), a); }

/* ---- attributes */

static const char *archive_path(emitter *e, script_ast *a) {
    if (a->kind == AST_NAME) return !strcmp(a->name, "__torch__") && !emit_lookup(e->scope, a->name) ? a->name : NULL;
    const char *left = a->kind == AST_ATTR ? archive_path(e, a->kid[0]) : NULL;
    return left ? ir_fmt(e->c, "%s.%s", left, a->name) : NULL;
}

static sugar class_member(emitter *e, decl *d, const char *name, script_ast *at) {
    ir_class *cls = emit_class(e->u, d);
    if (!strcmp(name, "__new__")) return (sugar){.kind = SG_BUILTIN, .text = "__new__", .d = d};
    emit_fields(e->u, cls);
    rt_value *v = rt_map_get(&cls->constants, name);
    if (!v) emit_fail(e, at, "class '%s' has no member '%s'", d->qualified, name);
    if (!cls->is_enum) return sg_value(emit_const(e, at, rt_retain(*v)));
    return sg_value(emit_cast(e, at, emit_const(e, at, rt_retain(*v)), ir_type_class(e->c, cls)));
}

static sugar archive_name(emitter *e, const char *text, script_ast *a) {
    decl *d = emit_find(e->u, text);
    if (d) return (sugar){.kind = SG_DECL, .d = d};
    decl *cls = emit_find(e->u, ir_internn(e->c, text, (size_t)(strrchr(text, '.') - text)));
    return cls && cls->kind == DECL_CLASS ? class_member(e, cls, a->name, a) : path(text);
}

/* CONSTANTS.c7 */
static sugar archive_constant(emitter *e, const char *name, script_ast *at) {
    char *end;
    long i = *name == 'c' ? strtol(name + 1, &end, 10) : -1;
    rt_value all = e->u->constants;
    if (i < 0 || *end || all.tag != V_TUPLE || i >= all.list->n) emit_fail(e, at, "there is no constant '%s' in this archive", name);
    rt_value v = all.list->at[i];
    if (v.tag != V_TENSOR) return sg_value(emit_const(e, at, rt_retain(v)));
    /* A Python float that was traced: as in PyTorch it takes part in promotion as a number. */
    if (v.tensor->dtype == DT_F64 && v.tensor->ndim == 0)
        return sg_value(emit_const(e, at, rt_float(rt_load_f64(v.tensor->storage->data, DT_F64, v.tensor->offset))));
    const char *sym = ir_intern(e->c, ir_fmt(e->c, "CONSTANTS.%s", name));
    if (!rt_map_get(&e->u->m->tensors, sym)) {
        ir_tensor_data *data = RT_NEW(&e->c->arena, ir_tensor_data);
        *data = (ir_tensor_data){.name = sym, .tensor = v.tensor};
        rt_tensor_retain(v.tensor); /* the module releases it */
        rt_map_put(&e->c->arena, &e->u->m->tensors, sym, data);
    }
    const ir_type *t = ir_type_simple(e->c, T_TENSOR);
    ir_node *n = emit_node(e, at, S_PARAM, 0, NULL, 1, &t);
    n->sym = sym;
    return sg_value(n->out[0]);
}

static sugar path_attribute(emitter *e, const char *left, script_ast *a) {
    if (!strcmp(left, "CONSTANTS")) return archive_constant(e, a->name, a);
    const char *text = ir_fmt(e->c, "%s.%s", left, a->name);
    rt_value v;
    const ir_type *t;
    if (emit_path_constant(e->c, text, &v, &t)) return sg_value(emit_const_typed(e, a, v, t));
    return path(text);
}

static sugar tensor_attribute(emitter *e, ir_value *v, const char *name, script_ast *at) {
    static const struct { const char *name, *op; } ops[] = {
        {"shape", "size"}, {"ndim", "dim"}, {"T", "numpy_T"}, {"H", "matrix_H"}, {"mH", "adjoint"}, {"nbytes", "nbytes"}};
    const char *op = name;
    for (size_t i = 0; i < RT_COUNT(ops); i++)
        if (!strcmp(name, ops[i].name)) op = ops[i].op;
    if (!ir_op_overloads(e->c, op)) emit_fail(e, at, "tensors have no attribute '%s'", name);
    ir_call_arg arg = {.value = v};
    return emit_op(e, at, op, 1, &arg);
}

static ir_value *enum_name(emitter *e, ir_value *v, script_ast *at) {
    rt_map *m = &v->type->cls->constants;
    const ir_type *str = ir_type_simple(e->c, T_STR);
    ir_value *under = emit_attribute(e, sg_value(v), "value", at).v;
    ir_value *found = emit_str(e, at, "", 0);
    for (int i = m->n - 1; i >= 0; i--) {
        ir_value *is = EMIT_OP(e, at, "eq", under, emit_const(e, at, rt_retain(*(rt_value *)m->entries[i].value)));
        ir_node *n = emit_node(e, at, S_IF, 1, &is, 0, NULL);
        ir_block *before = e->b;
        e->b = ir_block_new(e->f, n);
        ir_block_result(e->b, emit_str(e, at, m->entries[i].key, m->entries[i].len));
        ir_block_result(ir_block_new(e->f, n), found);
        e->b = before;
        found = ir_add_output(n, str);
    }
    return found;
}

static const ir_type *enum_type(emitter *e, ir_class *cls) {
    emit_fields(e->u, cls);
    rt_value *first = cls->constants.n ? cls->constants.entries[0].value : NULL;
    if (!first) return ir_type_simple(e->c, T_INT);
    return ir_type_simple(e->c, first->tag == V_STR ? T_STR : first->tag == V_FLOAT ? T_FLOAT : T_INT);
}

static bool is_property(decl *m) {
    for (int i = 3; i < m->ast->n; i++)
        if (m->ast->kid[i]->kind == AST_NAME && !strcmp(m->ast->kid[i]->name, "property")) return true;
    return false;
}

static sugar object_attribute(emitter *e, ir_value *v, const char *name, script_ast *at) {
    ir_class *cls = v->type->cls;
    emit_fields(e->u, cls);
    if (cls->is_enum && !strcmp(name, "value")) return sg_value(emit_cast(e, at, v, enum_type(e, cls)));
    if (cls->is_enum && !strcmp(name, "name")) return sg_value(enum_name(e, v, at));
    rt_value *k = rt_map_get(&cls->constants, name);
    int i = emit_field(cls, name);
    if (i >= 0) {
        ir_node *n = emit_node(e, at, S_GETATTR, 1, &v, 1, &cls->types[i]);
        n->sym = cls->fields[i];
        return sg_value(n->out[0]);
    }
    if (k) return sg_value(emit_const(e, at, rt_retain(*k)));
    decl *m = emit_method(e->u, cls, name);
    if (m && is_property(m)) return emit_call_decl(e, m, v, 0, NULL, at);
    if (m) return (sugar){.kind = SG_METHOD, .v = v, .text = name, .d = m};
    emit_fail(e, at, "'%s' has no attribute '%s'", cls->name, name);
}

sugar emit_attribute(emitter *e, sugar s, const char *name, script_ast *at) {
    if (s.kind == SG_DECL && s.d->kind == DECL_CLASS) return class_member(e, s.d, name, at);
    ir_value *v = emit_value(e, s, at);
    const ir_type *t = v->type;
    switch (t->kind) {
    case T_TENSOR: return tensor_attribute(e, v, name, at);
    case T_CLASS: return object_attribute(e, v, name, at);
    case T_TUPLE:
        for (int i = 0; t->fields && i < t->n; i++)
            if (!strcmp(t->fields[i], name)) {
                ir_value *in[2] = {v, emit_int(e, at, i)};
                return sg_value(emit_node(e, at, S_INDEX, 2, in, 1, &t->elem[i])->out[0]);
            }
        break;
    case T_OPTIONAL:
        emit_fail(e, at, "this may be None (its type is %s): test it with 'is not None' before using '.%s'",
                  emit_type_text(e->c, t), name);
    default: break;
    }
    emit_fail(e, at, "%s has no attribute '%s'", emit_type_text(e->c, t), name);
}

static sugar attr_sugar(emitter *e, script_ast *a) {
    const char *text = archive_path(e, a);
    if (text) return archive_name(e, text, a);
    sugar s = emit_sugar(e, a->kid[0], NULL);
    return s.kind == SG_PATH ? path_attribute(e, s.text, a) : emit_attribute(e, s, a->name, a);
}

/* ---- truth */

bool emit_static(const ir_value *v, bool *truth) {
    const rt_value *k = ir_const_of(v);
    if (!k || k->tag != V_BOOL) return false;
    *truth = k->i;
    return true;
}

ir_value *emit_bool(emitter *e, ir_value *v, script_ast *at) {
    switch (v->type->kind) {
    case T_BOOL: return v;
    case T_NONE: return emit_const(e, at, rt_bool(false));
    case T_TENSOR:
    case T_INT:
    case T_FLOAT:
    case T_NUMBER: return EMIT_OP(e, at, "Bool", v);
    case T_LIST:
    case T_STR:
    case T_DICT: return EMIT_OP(e, at, "ne", EMIT_OP(e, at, "len", v), emit_int(e, at, 0));
    default: emit_fail(e, at, "a value of type %s is not a condition", emit_type_text(e->c, v->type));
    }
}

static ir_value *open_if(emitter *e, script_ast *at, ir_value *cond, ir_node **n) {
    *n = emit_node(e, at, S_IF, 1, &cond, 0, NULL);
    return cond;
}

static scope *inner_scope(emitter *e) {
    scope *s = RT_NEW(&e->c->arena, scope);
    s->up = e->scope;
    return emit_push(e, s);
}

/* `a and b`, `a or b`: b in the branch where it decides, knowing what a says of types. */
static ir_value *short_circuit(emitter *e, script_ast *a) {
    bool both = a->kind == AST_AND, truth;
    fact *facts = emit_facts(e, a->kid[0]);
    ir_value *left = emit_cond(e, a->kid[0]);
    if (emit_static(left, &truth)) {
        if (truth != both) return left;
        scope *outer = inner_scope(e);
        emit_refine(e, facts, truth);
        ir_value *right = emit_cond(e, a->kid[1]);
        e->scope = outer;
        return right;
    }
    ir_node *n;
    open_if(e, a, left, &n);
    ir_block *before = e->b;
    for (int i = 0; i < 2; i++) {
        e->b = ir_block_new(e->f, n);
        scope *outer = inner_scope(e);
        emit_refine(e, facts, i == 0);
        bool decides = (i == 0) == both;
        ir_block_result(n->blocks[i], decides ? emit_cond(e, a->kid[1]) : emit_const(e, a, rt_bool(!both)));
        e->scope = outer;
    }
    e->b = before;
    return ir_add_output(n, ir_type_simple(e->c, T_BOOL));
}

static ir_value *negate(emitter *e, script_ast *at, ir_value *v) {
    bool truth;
    if (emit_static(v, &truth)) return emit_const(e, at, rt_bool(!truth));
    return EMIT_OP(e, at, "__not__", v);
}

ir_value *emit_cond(emitter *e, script_ast *a) {
    if (a->kind == AST_AND || a->kind == AST_OR) return short_circuit(e, a);
    if (a->kind == AST_NOT) return negate(e, a, emit_cond(e, a->kid[0]));
    return emit_bool(e, emit_expr(e, a, NULL), a);
}

/* ---- comparison */

static bool is_number(const ir_type *t) {
    return t->kind == T_INT || t->kind == T_FLOAT || t->kind == T_BOOL || t->kind == T_NUMBER;
}

static ir_value *compare_identity(emitter *e, bool is, ir_value *a, ir_value *b, script_ast *at) {
    bool na = a->type->kind == T_NONE, nb = b->type->kind == T_NONE;
    const ir_type *other = na ? b->type : a->type;
    if (na && nb) return emit_const(e, at, rt_bool(is));
    bool may_be = other->kind == T_OPTIONAL || other->kind == T_UNION || other->kind == T_ANY || other->kind == T_VAR;
    if ((na || nb) && !may_be) return emit_const(e, at, rt_bool(!is));
    return EMIT_OP(e, at, is ? "__is__" : "__isnot__", a, b);
}

static ir_value *contains(emitter *e, ir_value *item, ir_value *box, script_ast *at) {
    if (box->type->kind == T_CLASS) {
        decl *m = emit_method(e->u, box->type->cls, "__contains__");
        if (!m) emit_fail(e, at, "'in' needs a container, not %s", emit_type_text(e->c, box->type));
    }
    if (box->type->kind == T_TUPLE) {
        ir_value **items;
        int n = emit_unpack(e, at, sg_value(box), -1, &items);
        const ir_type *t = ir_type_simple(e->c, T_BOTTOM);
        for (int i = 0; i < n && t; i++) t = ir_join(e->c, t, items[i]->type);
        if (!t) emit_fail(e, at, "the elements of this tuple have no common type");
        box = emit_list_of(e, at, n, items, t);
    }
    if (box->type->kind == T_STR && item->type->kind == T_STR) {
        ir_value *end = EMIT_OP(e, at, "len", box);
        return EMIT_OP(e, at, "ne", EMIT_OP(e, at, "find", box, item, emit_int(e, at, 0), end), emit_int(e, at, -1));
    }
    return EMIT_OP(e, at, "__contains__", box, item);
}

static ir_value *compare(emitter *e, const char *op, ir_value *a, ir_value *b, script_ast *at) {
    static const struct { const char *op, *name, *flipped; } ops[] = {
        {"<", "lt", "gt"}, {">", "gt", "lt"}, {"<=", "le", "ge"}, {">=", "ge", "le"}, {"==", "eq", "eq"}, {"!=", "ne", "ne"}};
    if (!strcmp(op, "is") || !strcmp(op, "is not")) return compare_identity(e, !op[2], a, b, at);
    if (!strcmp(op, "in")) return contains(e, a, b, at);
    if (!strcmp(op, "not in")) return negate(e, at, contains(e, a, b, at));
    int k = 0;
    while (strcmp(ops[k].op, op)) k++;
    if (a->type->kind == T_CLASS && a->type->cls->is_enum && a->type == b->type) {
        a = emit_attribute(e, sg_value(a), "value", at).v;
        b = emit_attribute(e, sg_value(b), "value", at).v;
    }
    if (is_number(a->type) && b->type->kind == T_TENSOR) return EMIT_OP(e, at, ops[k].flipped, b, a);
    return EMIT_OP(e, at, ops[k].name, a, b);
}

static ir_value *chain(emitter *e, script_ast *a, int i, ir_value *left) {
    ir_value *right = emit_expr(e, a->kid[i + 1], NULL), *v = compare(e, a->ops[i], left, right, a);
    if (i + 2 == a->n) return v;
    ir_node *n;
    open_if(e, a, emit_bool(e, v, a), &n);
    ir_block *before = e->b;
    e->b = ir_block_new(e->f, n);
    ir_block_result(n->blocks[0], emit_bool(e, chain(e, a, i + 1, right), a));
    e->b = ir_block_new(e->f, n);
    ir_block_result(n->blocks[1], emit_const(e, a, rt_bool(false)));
    e->b = before;
    return ir_add_output(n, ir_type_simple(e->c, T_BOOL));
}

/* ---- arithmetic */

typedef struct operator { const char *op, *name, *in_place, *method; } operator;
static const operator operators[] = {
    {"+", "add", "add_", "__add__"},           {"-", "sub", "sub_", "__sub__"},
    {"*", "mul", "mul_", "__mul__"},           {"/", "div", "div_", "__truediv__"},
    {"//", "floordiv", "floor_divide_", "__floordiv__"}, {"%", "remainder", "remainder_", "__mod__"},
    {"**", "pow", "pow_", "__pow__"},          {"@", "matmul", NULL, "__matmul__"},
    {"&", "__and__", "bitwise_and_", "__and__"}, {"|", "__or__", "bitwise_or_", "__or__"},
    {"^", "__xor__", "bitwise_xor_", "__xor__"}, {"<<", "__lshift__", "bitwise_left_shift_", "__lshift__"},
    {">>", "__rshift__", "bitwise_right_shift_", "__rshift__"}};

static const operator *find_operator(const char *op, bool *augmented) {
    size_t n = strlen(op);
    *augmented = n > 1 && op[n - 1] == '=';
    if (*augmented) n--;
    for (size_t i = 0; i < RT_COUNT(operators); i++)
        if (strlen(operators[i].op) == n && !strncmp(op, operators[i].op, n)) return &operators[i];
    return NULL;
}

/* number op tensor, as PyTorch's reflected methods do it */
static ir_value *reflected(emitter *e, const operator *o, ir_value *a, ir_value *b, script_ast *at) {
    switch (*o->op) {
    case '+':
    case '&':
    case '|':
    case '^': return EMIT_OP(e, at, o->name, b, a);
    case '-': return EMIT_OP(e, at, "rsub", b, a);
    case '/':
        if (o->op[1]) return EMIT_OP(e, at, "floor_divide", EMIT_OP(e, at, "NumToTensor", a), b);
        return EMIT_OP(e, at, "mul", EMIT_OP(e, at, "reciprocal", b), a);
    case '*': return o->op[1] ? EMIT_OP(e, at, "pow", a, b) : EMIT_OP(e, at, "mul", b, a);
    case '%': return EMIT_OP(e, at, "remainder", a, b);
    default: return EMIT_OP(e, at, o->name, EMIT_OP(e, at, "NumToTensor", a), b);
    }
}

static ir_value *join_tuples(emitter *e, ir_value *a, ir_value *b, script_ast *at) {
    ir_value **x, **y;
    int n = emit_unpack(e, at, sg_value(a), -1, &x), m = emit_unpack(e, at, sg_value(b), -1, &y);
    ir_value **all = RT_ARRAY(&e->c->arena, ir_value *, n + m);
    for (int i = 0; i < n; i++) all[i] = x[i];
    for (int i = 0; i < m; i++) all[n + i] = y[i];
    return emit_tuple(e, at, n + m, all);
}

static ir_value *in_place(emitter *e, const operator *o, ir_value *a, ir_value *b, script_ast *at) {
    if (!o->in_place || !ir_op_overloads(e->c, o->in_place)) return NULL;
    bool list = a->type->kind == T_LIST && (*o->op == '+' || !strcmp(o->op, "*"));
    if (a->type->kind != T_TENSOR && !list) return NULL;
    EMIT_OP(e, at, o->in_place, a, b);
    return a;
}

static ir_value *number_of_bool(emitter *e, ir_value *v, script_ast *at) {
    return v->type->kind == T_BOOL ? EMIT_OP(e, at, "Int", v) : v;
}

ir_value *emit_binary(emitter *e, const char *op, ir_value *a, ir_value *b, script_ast *at) {
    bool augmented;
    const operator *o = find_operator(op, &augmented);
    ir_kind ka = a->type->kind, kb = b->type->kind;
    ir_value *done = augmented ? in_place(e, o, a, b, at) : NULL;
    if (done) return done;
    if (ka == T_CLASS) {
        decl *m = emit_method(e->u, a->type->cls, o->method);
        if (!m) emit_fail(e, at, "'%s' has no method '%s'", a->type->cls->name, o->method);
        emit_fail(e, at, "operators on objects are not supported: call '%s'", o->method);
    }
    if (ka == T_OPTIONAL || kb == T_OPTIONAL)
        emit_fail(e, at, "this operand may be None (its type is %s): test it with 'is not None' first",
                  emit_type_text(e->c, ka == T_OPTIONAL ? a->type : b->type));
    if (ka == T_STR && *o->op == '%') return EMIT_OP(e, at, "percentFormat", a, b);
    if (ka == T_TUPLE && kb == T_TUPLE && *o->op == '+') return join_tuples(e, a, b, at);
    if (is_number(a->type) && kb == T_TENSOR) return reflected(e, o, a, b, at);
    bool bits = strchr("&|^", *o->op) != NULL;
    if (!bits && is_number(a->type) && is_number(b->type)) {
        a = number_of_bool(e, a, at);
        b = number_of_bool(e, b, at);
    }
    bool tensor = ka == T_TENSOR || kb == T_TENSOR;
    return EMIT_OP(e, at, tensor && !strcmp(o->op, "//") ? "floor_divide" : o->name, a, b);
}

static ir_value *unary(emitter *e, script_ast *a) {
    ir_value *v = emit_expr(e, a->kid[0], NULL);
    const rt_value *k = ir_const_of(v);
    if (*a->name == '+') return v;
    if (*a->name == '~') return EMIT_OP(e, a, "bitwise_not", v);
    bool fresh = k && !v->uses && e->b->last == v->def;
    rt_value negative = V_NULL;
    if (k && k->tag == V_INT && k->i != INT64_MIN) negative = rt_int(-k->i);
    if (k && k->tag == V_FLOAT) negative = rt_float(-k->f);
    if (negative.tag == V_NONE) return EMIT_OP(e, a, "neg", number_of_bool(e, v, a));
    if (fresh) ir_erase(v->def);
    return emit_const(e, a, negative);
}

/* ---- conditional expression */

static const ir_type *common_type(emitter *e, ir_value *x, ir_value *y, const ir_type *hint) {
    const ir_type *t = ir_join(e->c, x->type, y->type);
    if (t) return t;
    if (hint && ir_subtype(x->type, hint) && ir_subtype(y->type, hint)) return hint;
    bool numbers = (x->type->kind == T_INT && y->type->kind == T_FLOAT) || (x->type->kind == T_FLOAT && y->type->kind == T_INT);
    return numbers ? ir_type_simple(e->c, T_FLOAT) : NULL;
}

static ir_value *conditional(emitter *e, script_ast *a, const ir_type *hint) {
    fact *facts = emit_facts(e, a->kid[0]);
    ir_value *cond = emit_cond(e, a->kid[0]), *arm[2];
    bool truth;
    if (emit_static(cond, &truth)) {
        scope *outer = inner_scope(e);
        emit_refine(e, facts, truth);
        ir_value *v = emit_expr(e, a->kid[truth ? 1 : 2], hint);
        e->scope = outer;
        return v;
    }
    ir_node *n;
    open_if(e, a, cond, &n);
    ir_block *before = e->b;
    for (int i = 0; i < 2; i++) {
        e->b = ir_block_new(e->f, n);
        scope *outer = inner_scope(e);
        emit_refine(e, facts, i == 0);
        arm[i] = emit_expr(e, a->kid[i + 1], hint);
        e->scope = outer;
    }
    const ir_type *t = common_type(e, arm[0], arm[1], hint);
    if (!t)
        emit_fail(e, a, "the two values have types %s and %s", emit_type_text(e->c, arm[0]->type), emit_type_text(e->c, arm[1]->type));
    for (int i = 0; i < 2; i++) {
        e->b = n->blocks[i];
        ir_block_result(n->blocks[i], emit_want(e, a->kid[i + 1], arm[i], t, "this value"));
    }
    e->b = before;
    return ir_add_output(n, t);
}

/* ---- displays */

static const ir_type *hint_of(const ir_type *hint, ir_kind kind) {
    if (hint && hint->kind == T_OPTIONAL) hint = hint->elem[0];
    return hint && hint->kind == kind ? hint : NULL;
}

/* Values of the elements, `*x` spread. */
static int elements(emitter *e, script_ast *a, const ir_type *hint, ir_value ***out) {
    RT_VEC(ir_value *) v = {0};
    const ir_type *list = hint_of(hint, T_LIST), *tuple = hint_of(hint, T_TUPLE);
    for (int i = 0; i < a->n; i++) {
        if (a->kid[i]->kind == AST_STAR) {
            ir_value **more;
            int n = emit_unpack(e, a->kid[i], emit_sugar(e, a->kid[i]->kid[0], NULL), -1, &more);
            for (int k = 0; k < n; k++) RT_PUSH(&e->c->arena, &v, more[k]);
        } else {
            const ir_type *h = list ? list->elem[0] : tuple && i < tuple->n ? tuple->elem[i] : NULL;
            RT_PUSH(&e->c->arena, &v, emit_expr(e, a->kid[i], h));
        }
    }
    *out = v.at;
    return v.n;
}

/* The common type of values; ints among floats become floats. */
static const ir_type *unify(emitter *e, script_ast *at, int n, ir_value **v, int step, const char *what) {
    const ir_type *t = ir_type_simple(e->c, T_BOTTOM);
    bool numbers = false;
    for (int i = 0; i < n; i += step) {
        const ir_type *join = ir_join(e->c, t, v[i]->type);
        bool mixed = !join && is_number(t) && is_number(v[i]->type) && t->kind != T_BOOL && v[i]->type->kind != T_BOOL;
        if (!join && !mixed)
            emit_fail(e, at, "%s have types %s and %s", what, emit_type_text(e->c, t), emit_type_text(e->c, v[i]->type));
        numbers |= mixed;
        t = mixed ? ir_type_simple(e->c, T_FLOAT) : join;
    }
    for (int i = 0; numbers && i < n; i += step) v[i] = emit_want(e, at, v[i], t, "an element");
    return t;
}

static ir_value *list_display(emitter *e, script_ast *a, const ir_type *hint) {
    ir_value **v;
    int n = elements(e, a, hint, &v);
    const ir_type *want = hint_of(hint, T_LIST);
    bool fits = want != NULL;
    for (int i = 0; fits && i < n; i++) {
        ir_value *x = emit_coerce(e, a, v[i], want->elem[0], 0);
        fits = x != NULL;
        if (x) v[i] = x;
    }
    return emit_list_of(e, a, n, v, fits ? want->elem[0] : unify(e, a, n, v, 1, "elements of this list"));
}

static ir_value *dict_display(emitter *e, script_ast *a, const ir_type *hint) {
    const ir_type *want = hint_of(hint, T_DICT);
    ir_value **v = RT_ARRAY(&e->c->arena, ir_value *, a->n);
    for (int i = 0; i < a->n; i++) v[i] = emit_expr(e, a->kid[i], want ? want->elem[i & 1] : NULL);
    bool fits = want != NULL;
    for (int i = 0; fits && i < a->n; i++) {
        ir_value *x = emit_coerce(e, a, v[i], want->elem[i & 1], 0);
        fits = x != NULL;
        if (x) v[i] = x;
    }
    const ir_type *t = want;
    if (!fits) {
        const ir_type *key = unify(e, a, a->n, v, 2, "keys of this dict");
        t = ir_type_dict(e->c, key, unify(e, a, a->n - (a->n > 0), v + (a->n > 0), 2, "values of this dict"));
    }
    return emit_node(e, a, S_DICT, a->n, v, 1, &t)->out[0];
}

/* ---- comprehensions */

typedef struct clause_env { script_ast *a; int clause; iter_body *leaf; void *env; } clause_env;

static void clause_inner(emitter *e, clause_env *x, sugar element) {
    if (x->clause + 1 < x->a->n) emit_comprehend(e, x->a, x->clause + 1, x->leaf, x->env);
    else x->leaf(e, x->env, element);
}

static void clause_body(emitter *e, void *env, sugar element) {
    clause_env *x = env;
    script_ast *clause = x->a->kid[x->clause];
    scope *outer = inner_scope(e);
    rt_map names = {0};
    script_ast as_loop = {.kind = AST_FOR, .n = 3, .kid = (script_ast *[]){clause->kid[0], NULL, NULL}};
    emit_assigned(&e->c->arena, &as_loop, &names);
    for (int i = 0; i < names.n; i++) { /* the target is a variable of its own: no declared type of an outer one */
        var *v = RT_NEW(&e->c->arena, var);
        *v = (var){.s = {.kind = SG_UNDEF}};
        rt_map_put(&e->c->arena, &e->scope->vars, names.entries[i].key, v);
    }
    emit_assign(e, clause->kid[0], element, clause);
    if (clause->kid[2]) {
        fact *facts = emit_facts(e, clause->kid[2]);
        ir_node *n;
        open_if(e, clause, emit_cond(e, clause->kid[2]), &n);
        ir_block *before = e->b;
        e->b = ir_block_new(e->f, n);
        emit_refine(e, facts, true);
        clause_inner(e, x, element);
        ir_block_new(e->f, n);
        e->b = before;
    } else {
        clause_inner(e, x, element);
    }
    e->scope = outer;
}

void emit_comprehend(emitter *e, script_ast *a, int clause, iter_body *leaf, void *env) {
    clause_env x = {a, clause, leaf, env};
    emit_iterate(e, a->kid[clause]->kid[1], a, clause_body, &x);
}

typedef struct comp_env { script_ast *a; ir_value *box; const ir_type *hint; } comp_env;

static void comp_leaf(emitter *e, void *env, sugar element) {
    (void)element;
    comp_env *x = env;
    script_ast *a = x->a;
    const ir_type *h = x->hint;
    ir_value *v = emit_expr(e, a->kid[0], h ? h->elem[0] : NULL);
    if (h) v = emit_want(e, a->kid[0], v, h->elem[0], "an element");
    if (!a->kid[1]) {
        EMIT_OP(e, a, "append", x->box, v);
        return;
    }
    ir_value *w = emit_expr(e, a->kid[1], h ? h->elem[1] : NULL);
    if (h) w = emit_want(e, a->kid[1], w, h->elem[1], "a value");
    if (x->box->type->elem[0]->kind == T_BOTTOM) x->box->type = ir_type_dict(e->c, v->type, w->type);
    EMIT_OP(e, a, "_set_item", x->box, v, w);
}

static ir_value *comprehension(emitter *e, script_ast *a, const ir_type *hint) {
    const ir_type *bottom = ir_type_simple(e->c, T_BOTTOM), *want = hint_of(hint, a->kid[1] ? T_DICT : T_LIST);
    const ir_type *t = want ? want : a->kid[1] ? ir_type_dict(e->c, bottom, bottom) : ir_type_list(e->c, bottom);
    comp_env x = {a, emit_node(e, a, a->kid[1] ? S_DICT : S_LIST, 0, NULL, 1, &t)->out[0], want};
    emit_comprehend(e, a, 2, comp_leaf, &x);
    return x.box;
}

/* ---- strings */

/* A literal piece with "{}" in it would read as a place of the format: it is passed as an argument. */
static bool is_plain(const script_ast *piece) { return piece->kind == AST_STR && !strstr(piece->s, "{}"); }

static ir_value *fstring(emitter *e, script_ast *a) {
    ir_call_arg *args = RT_ARRAY(&e->c->arena, ir_call_arg, a->n + 1);
    int n = 1;
    for (int i = 0; i < a->n; i++)
        if (!is_plain(a->kid[i])) args[n++].value = emit_expr(e, a->kid[i], NULL);
    rt_text format = {0};
    for (int i = 0; i < a->n; i++) {
        if (is_plain(a->kid[i])) rt_text_add(&format, a->kid[i]->s, a->kid[i]->len);
        else rt_text_str(&format, "{}");
    }
    args[0].value = emit_str(e, a, format.s ? format.s : "", format.n);
    rt_text_free(&format);
    return n == 1 ? args[0].value : emit_value(e, emit_op(e, a, "format", n, args), a);
}

/* ---- all */

static sugar tuple_sugar(emitter *e, script_ast *a, const ir_type *hint) {
    sugar s = {.kind = SG_MULTI};
    s.n = elements(e, a, hint, &s.many);
    return s;
}

sugar emit_sugar(emitter *e, script_ast *a, const ir_type *hint) {
    switch (a->kind) {
    case AST_NAME: return name_sugar(e, a);
    case AST_ATTR: return attr_sugar(e, a);
    case AST_CALL: return emit_call(e, a, hint);
    case AST_INT: return sg_value(emit_int(e, a, a->i));
    case AST_FLOAT: return sg_value(emit_const(e, a, rt_float(a->f)));
    case AST_STR: return sg_value(emit_str(e, a, a->s, a->len));
    case AST_FSTR: return sg_value(fstring(e, a));
    case AST_BOOL: return sg_value(emit_const(e, a, rt_bool(a->i)));
    case AST_NONE: return sg_value(emit_none(e, a));
    case AST_TUPLE: return tuple_sugar(e, a, hint);
    case AST_LIST: return sg_value(list_display(e, a, hint));
    case AST_DICT: return sg_value(dict_display(e, a, hint));
    case AST_COMP: return sg_value(comprehension(e, a, hint));
    case AST_SUBSCRIPT: return sg_value(emit_subscript(e, a));
    case AST_UNARY: return sg_value(unary(e, a));
    case AST_BINARY: {
        ir_value *left = emit_expr(e, a->kid[0], NULL);
        return sg_value(emit_binary(e, a->name, left, emit_expr(e, a->kid[1], NULL), a));
    }
    case AST_AND:
    case AST_OR:
    case AST_NOT: return sg_value(emit_cond(e, a));
    case AST_COMPARE: return sg_value(chain(e, a, 0, emit_expr(e, a->kid[0], NULL)));
    case AST_COND: return sg_value(conditional(e, a, hint));
    case AST_ELLIPSIS: emit_fail(e, a, "'...' has no meaning here");
    default: emit_fail(e, a, "this expression is not supported here");
    }
}
