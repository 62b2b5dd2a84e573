/* emit_call.c: calls: of functions, methods and classes of the source, of ops by their dotted names, and of methods
 * of tensors, lists, dicts and strings, which are ops too.  What the language itself defines is in emit_builtin.c. */
#include "script/emit.h"

#include <math.h>
#include <stdlib.h>

/* ---- names of torch */

static const struct { const char *name; int code; } dtypes[] = {
    {"uint8", 0}, {"int8", 1}, {"int16", 2}, {"short", 2}, {"int32", 3}, {"int", 3}, {"int64", 4}, {"long", 4},
    {"float16", 5}, {"half", 5}, {"float32", 6}, {"float", 6}, {"float64", 7}, {"double", 7}, {"complex64", 9},
    {"complex128", 10}, {"bool", 11}, {"qint8", 12}, {"quint8", 13}, {"qint32", 14}, {"bfloat16", 15}};
static const struct { const char *name; int code; } formats[] = {
    {"strided", 0}, {"sparse_coo", 1}, {"contiguous_format", 0}, {"preserve_format", 1}, {"channels_last", 2}, {"channels_last_3d", 3}, {"per_tensor_affine", 0}, {"per_channel_affine", 1}};

bool emit_path_constant(ir_context *c, const char *path, rt_value *out, const ir_type **t) {
    static const struct { const char *name; double x; } numbers[] = {
        {"pi", 3.141592653589793}, {"e", 2.718281828459045}, {"tau", 6.283185307179586}, {"inf", INFINITY}, {"nan", NAN}};
    const char *name = !strncmp(path, "torch.", 6) ? path + 6 : !strncmp(path, "math.", 5) ? path + 5 : NULL;
    if (!name) return false;
    for (size_t i = 0; i < RT_COUNT(numbers); i++)
        if (!strcmp(name, numbers[i].name)) {
            *out = rt_float(numbers[i].x);
            *t = ir_type_simple(c, T_FLOAT);
            return true;
        }
    if (*path == 'm') return false;
    *t = ir_type_simple(c, T_INT);
    for (size_t i = 0; i < RT_COUNT(dtypes); i++)
        if (!strcmp(name, dtypes[i].name)) return *out = rt_int(dtypes[i].code), true;
    for (size_t i = 0; i < RT_COUNT(formats); i++)
        if (!strcmp(name, formats[i].name)) return *out = rt_int(formats[i].code), true;
    return false;
}

static bool op_exists(script_unit *u, const char *name) { return ir_op_overloads(u->c, name) != NULL; }

/* Functions of torch.nn.functional whose arguments stand in another order than those of the op of the same name: only
 * a definition in the namespace `functional` will do. */
static bool differs(const char *name) {
    static const char *const names[] = {"batch_norm", "instance_norm", "embedding", "embedding_bag"};
    for (size_t i = 0; i < RT_COUNT(names); i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

const char *emit_op_name(script_unit *u, const char *path) {
    static const struct { const char *prefix, *op; } prefixes[] = {
        {"torch.nn.functional.", "functional::"}, {"torch.ops.aten.", ""}, {"torch.ops.prim.", ""}, {"ops.prim.", ""},
        {"ops.aten.", ""}, {"torch.ops.", NULL}, {"ops.", NULL}, {"torch.linalg.", "linalg_"}, {"torch.special.", "special_"},
        {"torch.fft.", "fft_"}, {"torch.functional.", ""}, {"torch.Tensor.", ""}, {"torch._C._nn.", ""},
        {"torch._VF.", ""}, {"torchvision.ops.", "torchvision::"}, {"torch.", ""}, {"math.", ""}};
    for (size_t i = 0; i < RT_COUNT(prefixes); i++) {
        size_t n = strlen(prefixes[i].prefix);
        if (strncmp(path, prefixes[i].prefix, n)) continue;
        const char *name = path + n, *dot = strchr(name, '.');
        if (!prefixes[i].op) { /* ops.NAMESPACE.name */
            if (!dot || strchr(dot + 1, '.')) return NULL;
            return ir_fmt(u->c, "%.*s::%s", (int)(dot - name), name, dot + 1);
        }
        if (dot) return NULL;
        const char *full = ir_fmt(u->c, "%s%s", prefixes[i].op, name);
        bool functional = !strcmp(prefixes[i].op, "functional::");
        return functional && !differs(name) && !op_exists(u, full) ? name : full;
    }
    return NULL;
}

/* ---- arguments */

typedef struct args { int n; ir_call_arg *at; } args;

static args evaluate(emitter *e, int n, script_ast **list, const ir_call_arg *first) {
    RT_VEC(ir_call_arg) v = {0};
    if (first) RT_PUSH(&e->c->arena, &v, *first);
    for (int i = 0; i < n; i++) {
        script_ast *a = list[i];
        if (a->kind == AST_STAR) {
            ir_value **items;
            int k = emit_unpack(e, a, emit_sugar(e, a->kid[0], NULL), -1, &items);
            for (int m = 0; m < k; m++) RT_PUSH(&e->c->arena, &v, ((ir_call_arg){.value = items[m]}));
        } else if (a->kind == AST_KEYWORD) {
            RT_PUSH(&e->c->arena, &v, ((ir_call_arg){.kw = a->name, .value = emit_expr(e, a->kid[0], NULL)}));
        } else {
            RT_PUSH(&e->c->arena, &v, ((ir_call_arg){.value = emit_expr(e, a, NULL)}));
        }
    }
    return (args){v.n, v.at};
}

/* ---- functions of the source */

typedef struct binding { sugar value; script_ast *at; } binding;

static int find_param(decl *d, const char *name) {
    script_ast *params = d->ast->kid[0];
    for (int i = 0; i < params->n; i++)
        if (!strcmp(params->kid[i]->name, name)) return i;
    return -1;
}

static void bind_one(emitter *e, decl *d, binding *b, int i, sugar s, script_ast *at) {
    if (b[i].at) emit_fail(e, at, "argument '%s' of '%s' is given twice", d->ast->kid[0]->kid[i]->name, d->ast->name);
    b[i] = (binding){s, at};
}

static void bind_args(emitter *e, decl *d, binding *b, int first, int n, script_ast **list, script_ast *at) {
    script_ast *params = d->ast->kid[0];
    ir_func *f = d->func;
    int k = first;
    for (int i = 0; i < n; i++) {
        script_ast *a = list[i];
        if (a->kind == AST_STAR) {
            ir_value **items;
            int m = emit_unpack(e, a, emit_sugar(e, a->kid[0], NULL), -1, &items);
            if (k + m > params->n) emit_fail(e, at, "'%s' takes %d arguments, more are given", d->ast->name, params->n - first);
            for (int j = 0; j < m; j++, k++) bind_one(e, d, b, k, sg_value(items[j]), a);
            continue;
        }
        int slot = a->kind == AST_KEYWORD ? find_param(d, a->name) : k++;
        if (slot < 0) emit_fail(e, a, "'%s' has no parameter '%s'", d->ast->name, a->name);
        if (slot >= params->n || (a->kind != AST_KEYWORD && (params->kid[slot]->i & AST_P_KWONLY)))
            emit_fail(e, at, "'%s' takes %d arguments, more are given", d->ast->name, params->n - first);
        script_ast *x = a->kind == AST_KEYWORD ? a->kid[0] : a;
        bind_one(e, d, b, slot, sg_value(emit_expr(e, x, f->body->params.at[slot]->type)), x);
    }
}

static ir_value *default_arg(emitter *e, decl *d, int i, script_ast *at) {
    script_ast *p = d->ast->kid[0]->kid[i];
    if (!p->kid[1]) emit_fail(e, at, "argument '%s' of '%s' is missing", p->name, d->ast->name);
    rt_value v;
    if (!emit_literal(e->u, d->file, p->kid[1], &v)) emit_fail(e, p->kid[1], "a default must be a literal");
    return emit_const(e, at, v);
}

sugar emit_call_decl(emitter *e, decl *d, ir_value *self, int n, script_ast **list, script_ast *at) {
    ir_func *f = emit_func(e->u, d);
    if (!f) longjmp(*e->recover, 1);
    int np = f->body->params.n;
    binding *b = RT_ARRAY(&e->c->arena, binding, np);
    if (self && np) b[0] = (binding){sg_value(self), at};
    bind_args(e, d, b, self ? 1 : 0, n, list, at);
    ir_value **in = RT_ARRAY(&e->c->arena, ir_value *, np);
    for (int i = 0; i < np; i++) {
        const char *what = ir_fmt(e->c, "argument '%s' of '%s'", f->param_names[i], d->ast->name);
        ir_value *v = b[i].at ? emit_value(e, b[i].value, at) : default_arg(e, d, i, at);
        in[i] = emit_want(e, b[i].at ? b[i].at : at, v, f->body->params.at[i]->type, what);
    }
    ir_node *node = emit_node(e, at, S_CALL, np, in, 1, &f->result);
    node->sym = f->name;
    return sg_value(node->out[0]);
}

/* ---- classes */

static script_ast *field_default(decl *d, const char *name) {
    script_ast *body = d->ast->kid[1];
    for (int i = 0; i < body->n; i++) {
        script_ast *s = body->kid[i];
        if (s->kind == AST_ANNOTATED && s->kid[0]->kind == AST_NAME && !strcmp(s->kid[0]->name, name)) return s->kid[2];
    }
    return NULL;
}

/* Values of the fields of a NamedTuple or dataclass, in order. */
static ir_value **field_values(emitter *e, decl *d, int nfields, const char *const *names, const ir_type *const *types,
                               int n, script_ast **list, script_ast *at) {
    ir_value **v = RT_ARRAY(&e->c->arena, ir_value *, nfields);
    for (int i = 0, k = 0; i < n; i++) {
        bool kw = list[i]->kind == AST_KEYWORD;
        int slot = kw ? emit_field(d->cls, list[i]->name) : k++;
        if (list[i]->kind == AST_STAR || slot < 0 || slot >= nfields || v[slot])
            emit_fail(e, list[i], "'%s' has no place for this argument", d->ast->name);
        v[slot] = emit_expr(e, kw ? list[i]->kid[0] : list[i], types[slot]);
    }
    for (int i = 0; i < nfields; i++) {
        script_ast *def = v[i] ? NULL : field_default(d, names[i]);
        rt_value k;
        if (def && emit_literal(e->u, d->file, def, &k)) v[i] = emit_const(e, at, k);
        if (!v[i]) emit_fail(e, at, "field '%s' of '%s' is missing", names[i], d->ast->name);
        v[i] = emit_want(e, at, v[i], types[i], ir_fmt(e->c, "field '%s'", names[i]));
    }
    return v;
}

static ir_value *new_object(emitter *e, ir_class *cls, script_ast *at) {
    const ir_type *t = ir_type_class(e->c, cls);
    ir_node *n = emit_node(e, at, S_NEW, 0, NULL, 1, &t);
    n->sym = cls->name;
    return n->out[0];
}

static sugar construct(emitter *e, decl *d, int n, script_ast **list, script_ast *at) {
    ir_class *cls = emit_class(e->u, d);
    if (cls->is_tuple) {
        const ir_type *t = emit_class_type(e->u, d, at, e->d->file);
        if (!t) longjmp(*e->recover, 1);
        ir_value **v = field_values(e, d, t->n, t->fields, t->elem, n, list, at);
        return sg_value(emit_node(e, at, S_TUPLE, t->n, v, 1, &t)->out[0]);
    }
    if (cls->is_enum || d->exception) emit_fail(e, at, "objects of '%s' cannot be made here", d->ast->name);
    emit_fields(e->u, cls);
    decl *init = emit_method(e->u, cls, "__init__");
    if (emit_is_dataclass(d) && !init) {
        ir_value **v = field_values(e, d, cls->nfields, cls->fields, cls->types, n, list, at);
        ir_value *object = new_object(e, cls, at);
        for (int i = 0; i < cls->nfields; i++)
            emit_node(e, at, S_SETATTR, 2, (ir_value *[]){object, v[i]}, 0, NULL)->sym = cls->fields[i];
        return sg_value(object);
    }
    if (!init && n) emit_fail(e, at, "'%s' has no __init__ and takes no arguments", d->ast->name);
    ir_value *object = new_object(e, cls, at);
    if (init) emit_call_decl(e, init, object, n, list, at);
    return sg_value(object);
}

/* ---- ops by path */

/* F.relu(x, inplace=True): the flag chooses the op. */
/* The place of `inplace` among the parameters of torch.nn.functional's NAME; -1: it has none. */
static int inplace_at(const char *name) {
    static const struct { const char *name; int at; } places[] = {
        {"relu", 1}, {"relu6", 1}, {"selu", 1}, {"silu", 1}, {"mish", 1}, {"hardswish", 1}, {"hardsigmoid", 1}, {"elu", 2},
        {"celu", 2}, {"leaky_relu", 2}, {"hardtanh", 3}, {"threshold", 3}, {"dropout", 3}, {"dropout1d", 3}, {"dropout2d", 3},
        {"dropout3d", 3}, {"alpha_dropout", 3}, {"feature_alpha_dropout", 3}, {"rrelu", 4}};
    const char *bare = strrchr(name, ':');
    for (size_t i = 0; i < RT_COUNT(places); i++)
        if (!strcmp(bare ? bare + 1 : name, places[i].name)) return places[i].at;
    return -1;
}

static const char *without_inplace(emitter *e, const char *name, args *a) {
    int place = inplace_at(name);
    for (int i = 0; i < a->n; i++) {
        bool truth, named = a->at[i].kw && !strcmp(a->at[i].kw, "inplace");
        if (!(named || (!a->at[i].kw && i == place)) || !emit_static(a->at[i].value, &truth)) continue;
        a->n--;
        memmove(&a->at[i], &a->at[i + 1], (size_t)(a->n - i) * sizeof *a->at);
        return truth ? ir_fmt(e->c, "%s_", name) : name;
    }
    return name;
}

/* The op that the name meant in the archive's version: the vocabulary's NAME_0_3 was it up to version 3. */
static const char *as_of_version(emitter *e, const char *name, const args *v) {
    static const struct { const char *name; int last; bool tensor; } older[] = {{"div", 3, true}, {"div_", 3, true}, {"full", 4, false}};
    for (size_t i = 0; i < RT_COUNT(older); i++) {
        if (e->u->version == 0 || e->u->version > older[i].last || strcmp(name, older[i].name)) continue;
        if (older[i].tensor && !(v->n && v->at[0].value->type->kind == T_TENSOR)) continue;
        const char *tail = name[strlen(name) - 1] == '_' ? "_" : "";
        return ir_fmt(e->c, "_%.*s_0_%d%s", (int)(strlen(name) - strlen(tail)), name, older[i].last, tail);
    }
    return name;
}

/* In an archive an unknown op is an error only where it can be reached: most are in code for other devices or for training. */
static sugar unknown_op(emitter *e, script_ast *a, const char *path) {
    const char *text = ir_fmt(e->c, "unknown operator '%s'", path);
    if (!e->u->load) emit_fail(e, a, "%s", text);
    ir_value *in[2] = {emit_str(e, a, text, strlen(text)), emit_str(e, a, IR_NOT_SUPPORTED, strlen(IR_NOT_SUPPORTED))};
    emit_node(e, a, S_RAISE, 2, in, 0, NULL);
    return sg_value(emit_uninit(e, a, ir_type_tensor(e->c, DT_NONE, -1, NULL)));
}

static sugar call_path(emitter *e, const char *path, script_ast *a, const ir_type *hint) {
    sugar s;
    if (emit_path_builtin(e, path, a, hint, &s)) return s;
    const char *name = emit_op_name(e->u, path);
    if (!name) emit_fail(e, a, "unknown operator '%s'", path);
    if (!op_exists(e->u, name)) return unknown_op(e, a, path);
    args v = evaluate(e, a->n - 1, a->kid + 1, NULL);
    if (!strncmp(path, "torch.nn.functional.", 20)) name = without_inplace(e, name, &v);
    name = as_of_version(e, name, &v);
    return emit_op(e, a, name, v.n, v.at);
}

/* ---- methods of values */

static sugar tensor_method(emitter *e, ir_value *v, const char *name, script_ast *a, const ir_type *hint) {
    static const char *const same[] = {"cpu", "requires_grad_", "share_memory_", "pin_memory"};
    static const struct { const char *name, *op; } other[] = {{"nelement", "numel"}, {"ndimension", "dim"}};
    sugar s;
    for (size_t i = 0; i < RT_COUNT(same); i++)
        if (!strcmp(name, same[i])) return sg_value(v);
    for (size_t i = 0; i < RT_COUNT(other); i++)
        if (!strcmp(name, other[i].name)) name = other[i].op;
    if (!strcmp(name, "tolist") && emit_path_builtin(e, "tolist", a, hint, &s)) {
        ir_value *depth = s.many[0], *kind = s.many[1];
        return sg_value(emit_cast(e, a, EMIT_OP(e, a, "tolist", v, depth, kind), s.type));
    }
    for (size_t i = 0; i < RT_COUNT(dtypes) && a->n == 1; i++)
        if (!strcmp(name, dtypes[i].name)) return sg_value(EMIT_OP(e, a, "to", v, emit_int(e, a, dtypes[i].code)));
    if (!op_exists(e->u, name)) emit_fail(e, a, "unknown operator '%s' (a method of a tensor)", name);
    args all = evaluate(e, a->n - 1, a->kid + 1, &(ir_call_arg){.value = v});
    return emit_op(e, a, name, all.n, all.at);
}

static sugar object_method(emitter *e, ir_value *v, const char *name, script_ast *a, const ir_type *hint) {
    decl *m = emit_method(e->u, v->type->cls, name);
    if (m) return emit_call_decl(e, m, v, a->n - 1, a->kid + 1, a);
    if (!v->type->cls->decl) { /* a class of torch itself: its methods are ops */
        args all = evaluate(e, a->n - 1, a->kid + 1, &(ir_call_arg){.value = v});
        return emit_op(e, a, name, all.n, all.at);
    }
    sugar f = emit_attribute(e, sg_value(v), name, a->kid[0]);
    if (f.kind != SG_VALUE || f.v->type->kind != T_CLASS)
        emit_fail(e, a, "'%s' of '%s' cannot be called", name, v->type->cls->name);
    (void)hint;
    const char *call = emit_method(e->u, f.v->type->cls, "forward") ? "forward" : "__call__";
    m = emit_method(e->u, f.v->type->cls, call);
    if (!m) emit_fail(e, a, "objects of '%s' cannot be called", f.v->type->cls->name);
    return emit_call_decl(e, m, f.v, a->n - 1, a->kid + 1, a);
}

static sugar method_call(emitter *e, ir_value *v, const char *name, script_ast *a, const ir_type *hint) {
    switch (v->type->kind) {
    case T_TENSOR: return tensor_method(e, v, name, a, hint);
    case T_CLASS: return object_method(e, v, name, a, hint);
    case T_OPTIONAL:
        emit_fail(e, a, "this may be None (its type is %s): test it with 'is not None' before using '.%s'",
                  emit_type_text(e->c, v->type), name);
    case T_INT:
    case T_FLOAT:
    case T_BOOL:
    case T_NUMBER:
        if (!strcmp(name, "item")) return sg_value(v);
        break;
    default: break;
    }
    if (!op_exists(e->u, name)) emit_fail(e, a, "%s has no method '%s'", emit_type_text(e->c, v->type), name);
    args all = evaluate(e, a->n - 1, a->kid + 1, &(ir_call_arg){.value = v});
    return emit_op(e, a, name, all.n, all.at);
}

/* ---- any call */

static sugar call_value(emitter *e, ir_value *v, script_ast *a) {
    const char *names[] = {"forward", "__call__"};
    for (int i = 0; v->type->kind == T_CLASS && i < 2; i++) {
        decl *m = emit_method(e->u, v->type->cls, names[i]);
        if (m) return emit_call_decl(e, m, v, a->n - 1, a->kid + 1, a);
    }
    emit_fail(e, a, "a value of type %s cannot be called", emit_type_text(e->c, v->type));
}

static sugar call_sugar(emitter *e, sugar f, script_ast *a, const ir_type *hint) {
    switch (f.kind) {
    case SG_BUILTIN:
        if (!strcmp(f.text, "__new__")) return sg_value(new_object(e, emit_class(e->u, f.d), a));
        return emit_builtin(e, f, a, hint);
    case SG_DECL:
        if (f.d->kind == DECL_CLASS) return construct(e, f.d, a->n - 1, a->kid + 1, a);
        return emit_call_decl(e, f.d, NULL, a->n - 1, a->kid + 1, a);
    case SG_METHOD: return emit_call_decl(e, f.d, f.v, a->n - 1, a->kid + 1, a);
    case SG_PATH: return call_path(e, f.text, a, hint);
    default: return call_value(e, emit_value(e, f, a->kid[0]), a);
    }
}

static bool is_super(script_ast *a) {
    return a->kind == AST_CALL && a->kid[0]->kind == AST_NAME && !strcmp(a->kid[0]->name, "super");
}

static bool from_archive_root(script_ast *a) {
    while (a->kind == AST_ATTR) a = a->kid[0];
    return a->kind == AST_NAME && !strcmp(a->name, "__torch__");
}

sugar emit_call(emitter *e, script_ast *a, const ir_type *hint) {
    script_ast *callee = a->kid[0];
    if (callee->kind != AST_ATTR || from_archive_root(callee)) return call_sugar(e, emit_sugar(e, callee, NULL), a, hint);
    if (is_super(callee->kid[0])) {
        if (strcmp(callee->name, "__init__") || a->n > 1) emit_fail(e, a, "only super().__init__() is supported");
        return sg_value(emit_none(e, a));
    }
    sugar object = emit_sugar(e, callee->kid[0], NULL);
    if (object.kind == SG_PATH || object.kind == SG_DECL) {
        const char *text = object.kind == SG_PATH ? ir_fmt(e->c, "%s.%s", object.text, callee->name) : NULL;
        return text ? call_path(e, text, a, hint) : call_sugar(e, emit_attribute(e, object, callee->name, callee), a, hint);
    }
    return method_call(e, emit_value(e, object, callee->kid[0]), callee->name, a, hint);
}
