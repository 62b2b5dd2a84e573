/* emit_builtin.c: functions that the language itself defines: Python's len, int, range ..., TorchScript's annotate,
 * isinstance, uninitialized ..., and names of torch that are no ops. */
#include "script/emit.h"

#include <math.h>

typedef sugar builtin_fn(emitter *e, const char *name, script_ast *a, const ir_type *hint);

static void want_args(emitter *e, const char *name, script_ast *a, int lo, int hi) {
    int n = a->n - 1;
    if (n >= lo && n <= hi) return;
    if (lo == hi) emit_fail(e, a, "'%s' takes %d argument%s, %d given", name, lo, lo == 1 ? "" : "s", n);
    emit_fail(e, a, "'%s' takes %d to %d arguments, %d given", name, lo, hi, n);
}

static ir_value *arg(emitter *e, script_ast *a, int i) {
    script_ast *x = a->kid[i + 1];
    if (x->kind == AST_KEYWORD || x->kind == AST_STAR) emit_fail(e, x, "this argument must be positional here");
    return emit_expr(e, x, NULL);
}

static const ir_type *type_arg(emitter *e, script_ast *x) {
    const ir_type *t = emit_type(e->u, e->d->file, x);
    if (!t) longjmp(*e->recover, 1);
    return t;
}

static sugar truth(emitter *e, script_ast *a, bool b) { return sg_value(emit_const(e, a, rt_bool(b))); }

/* A tuple of one type as a list. */
static ir_value *as_list(emitter *e, script_ast *a, ir_value *v) {
    if (v->type->kind != T_TUPLE) return v;
    ir_value **items;
    int n = emit_unpack(e, a, sg_value(v), -1, &items);
    const ir_type *t = ir_type_simple(e->c, T_BOTTOM);
    for (int i = 0; i < n && t; i++) t = ir_join(e->c, t, items[i]->type);
    if (!t) emit_fail(e, a, "the elements of this tuple have no common type");
    return emit_list_of(e, a, n, items, t);
}

/* ---- types */

static sugar b_annotate(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 2, 2);
    const ir_type *t = type_arg(e, a->kid[1]);
    ir_value *v = emit_expr(e, a->kid[2], t);
    if (*name == 'u' || *name == 'c') return sg_value(emit_cast(e, a, v, t)); /* unchecked_cast, cast */
    v = emit_want(e, a->kid[2], v, t, "the value");
    bool refined = t->kind == T_OPTIONAL || t->kind == T_UNION || t->kind == T_ANY; /* keep what is known */
    return sg_value(refined && v->type->kind == T_NONE ? v : emit_cast(e, a, v, t));
}

static sugar b_uninitialized(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 1, 1);
    return sg_value(emit_uninit(e, a, type_arg(e, a->kid[1])));
}

/* Bare names of generic classes fit every instance: 0 none. */
static ir_kind bare_kind(script_ast *x) {
    static const struct { const char *name; ir_kind kind; } words[] = {
        {"list", T_LIST}, {"List", T_LIST}, {"tuple", T_TUPLE}, {"Tuple", T_TUPLE}, {"dict", T_DICT}, {"Dict", T_DICT}};
    if (x->kind != AST_NAME && x->kind != AST_ATTR) return T_TENSOR;
    for (size_t i = 0; i < RT_COUNT(words); i++)
        if (!strcmp(x->name, words[i].name)) return words[i].kind;
    return T_TENSOR;
}

/* 0 never, 1 always, 2 decided at run time */
static int is_instance(const ir_type *t, const ir_type *what, ir_kind bare) {
    if (bare != T_TENSOR && t->kind == bare) return 1;
    if (ir_subtype(t, what)) return 1;
    if (t->kind == T_ANY || (t->kind == T_NUMBER && ir_subtype(what, t))) return 2;
    if (t->kind != T_OPTIONAL && t->kind != T_UNION) return 0;
    bool none = t->kind == T_OPTIONAL && what->kind == T_NONE, some = none, all = false;
    for (int i = 0; i < t->n; i++) some |= is_instance(t->elem[i], what, bare) != 0;
    return all ? 1 : some ? 2 : 0;
}

static sugar b_isinstance(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 2, 2);
    ir_value *v = arg(e, a, 0);
    script_ast *x = a->kid[2];
    bool many = x->kind == AST_TUPLE || x->kind == AST_LIST;
    const ir_type **types = RT_ARRAY(&e->c->arena, const ir_type *, many ? x->n : 1);
    int n = 0;
    bool maybe = false;
    for (int i = 0; i < (many ? x->n : 1); i++) {
        script_ast *one = many ? x->kid[i] : x;
        const ir_type *t = type_arg(e, one);
        int is = is_instance(v->type, t, bare_kind(one));
        if (is == 1) return truth(e, a, true);
        if (is == 2) types[n++] = t;
        maybe |= is == 2;
    }
    if (!maybe) return truth(e, a, false);
    const ir_type *boolean = ir_type_simple(e->c, T_BOOL);
    ir_node *node = emit_node(e, a, S_ISINSTANCE, 1, &v, 1, &boolean);
    node->type = n == 1 ? types[0] : ir_type_union(e->c, n, types);
    return sg_value(node->out[0]);
}

/* ---- attributes by name */

static const char *name_arg(emitter *e, script_ast *x) {
    if (x->kind != AST_STR) emit_fail(e, x, "the attribute's name must be a literal string");
    return x->s;
}

static sugar b_getattr(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 2, 2);
    return emit_attribute(e, emit_sugar(e, a->kid[1], NULL), name_arg(e, a->kid[2]), a);
}

static sugar b_hasattr(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 2, 2);
    ir_value *v = arg(e, a, 0);
    const char *field = name_arg(e, a->kid[2]);
    if (v->type->kind != T_CLASS) return truth(e, a, false);
    ir_class *cls = v->type->cls;
    emit_fields(e->u, cls);
    return truth(e, a, emit_field(cls, field) >= 0 || rt_map_get(&cls->constants, field) || emit_method(e->u, cls, field));
}

/* ---- numbers and strings */

static sugar float_of_text(emitter *e, script_ast *a, const char *s) {
    bool minus = *s == '-';
    s += minus || *s == '+';
    if (!strcmp(s, "inf") || !strcmp(s, "infinity")) return sg_value(emit_const(e, a, rt_float(minus ? -INFINITY : INFINITY)));
    if (!strcmp(s, "nan")) return sg_value(emit_const(e, a, rt_float(NAN)));
    return (sugar){0};
}

static sugar b_number(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    static const struct { const char *name, *op; ir_kind kind; } words[] = {
        {"int", "Int", T_INT}, {"float", "Float", T_FLOAT}, {"bool", "Bool", T_BOOL}};
    (void)hint;
    int k = *name == 'i' ? 0 : *name == 'f' ? 1 : 2;
    want_args(e, name, a, 0, 1);
    if (a->n == 1) return sg_value(emit_const(e, a, k == 0 ? rt_int(0) : k == 1 ? rt_float(0) : rt_bool(false)));
    if (k == 1 && a->kid[1]->kind == AST_STR) {
        sugar s = float_of_text(e, a, a->kid[1]->s);
        if (s.kind == SG_VALUE) return s;
    }
    ir_value *v = arg(e, a, 0);
    const rt_value *c = ir_const_of(v);
    if (v->type->kind == words[k].kind) return sg_value(v);
    if (c && c->tag == V_INT && k == 1) return sg_value(emit_const(e, a, rt_float((double)c->i)));
    return sg_value(k == 2 ? emit_bool(e, v, a) : EMIT_OP(e, a, words[k].op, v));
}

static sugar b_str(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 0, 1);
    if (a->n == 1) return sg_value(emit_str(e, a, "", 0));
    ir_value *v = arg(e, a, 0);
    if (v->type->kind == T_CLASS) {
        decl *m = emit_method(e->u, v->type->cls, "__str__");
        if (!m) emit_fail(e, a, "'%s' has no method '__str__'", v->type->cls->name);
        return emit_call_decl(e, m, v, 0, NULL, a);
    }
    return sg_value(v->type->kind == T_STR ? v : EMIT_OP(e, a, "str", v));
}

static sugar b_len(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 1, 1);
    ir_value *v = arg(e, a, 0);
    if (v->type->kind == T_TUPLE) return sg_value(emit_int(e, a, v->type->n));
    if (v->type->kind != T_CLASS) return sg_value(EMIT_OP(e, a, "len", v));
    decl *m = emit_method(e->u, v->type->cls, "__len__");
    if (!m) emit_fail(e, a, "'%s' has no method '__len__'", v->type->cls->name);
    return emit_call_decl(e, m, v, 0, NULL, a);
}

/* Functions that are ops of the same name. */
static sugar b_op(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    ir_call_arg *args = RT_ARRAY(&e->c->arena, ir_call_arg, a->n);
    for (int i = 0; i + 1 < a->n; i++) {
        script_ast *x = a->kid[i + 1];
        bool kw = x->kind == AST_KEYWORD;
        args[i] = (ir_call_arg){.kw = kw ? x->name : NULL, .value = as_list(e, a, emit_expr(e, kw ? x->kid[0] : x, NULL))};
    }
    return emit_op(e, a, name, a->n - 1, args);
}

static sugar b_extreme(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    if (a->n <= 3) return b_op(e, name, a, hint);
    ir_value *v = arg(e, a, 0);
    for (int i = 1; i + 1 < a->n; i++) v = EMIT_OP(e, a, name, v, arg(e, a, i));
    return sg_value(v);
}

static sugar b_print(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)name;
    (void)hint;
    return sg_value(emit_none(e, a));
}

/* ---- containers */

typedef struct list_env { script_ast *a; ir_value *list; } list_env;

static void list_leaf(emitter *e, void *env, sugar element) {
    list_env *x = env;
    EMIT_OP(e, x->a, "append", x->list, emit_value(e, element, x->a));
}

static ir_value *list_from(emitter *e, script_ast *a, script_ast *iterable) {
    const ir_type *t = ir_type_list(e->c, ir_type_simple(e->c, T_BOTTOM));
    list_env x = {a, emit_node(e, a, S_LIST, 0, NULL, 1, &t)->out[0]};
    emit_iterate(e, iterable, a, list_leaf, &x);
    return x.list;
}

static sugar b_list(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    want_args(e, name, a, 0, 1);
    const ir_type *t = hint && hint->kind == T_LIST ? hint : ir_type_list(e->c, ir_type_simple(e->c, T_BOTTOM));
    if (a->n == 1) return sg_value(emit_node(e, a, S_LIST, 0, NULL, 1, &t)->out[0]);
    return sg_value(list_from(e, a, a->kid[1]));
}

static sugar b_iterable(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)name;
    (void)hint;
    return sg_value(list_from(e, a, a));
}

static sugar b_tuple(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 0, 1);
    if (a->n == 1) return (sugar){.kind = SG_MULTI};
    sugar s = emit_sugar(e, a->kid[1], NULL);
    if (s.kind == SG_MULTI) return s;
    ir_value *v = emit_value(e, s, a);
    if (v->type->kind == T_TUPLE) return sg_value(v);
    if (!v->def || v->def->op->id != S_LIST || v->uses)
        emit_fail(e, a, "the length of this tuple is not known: write its elements out");
    return sg_value(emit_tuple(e, a, v->def->nin, v->def->in));
}

static sugar b_dict(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    want_args(e, name, a, 0, 1);
    if (a->n == 2) return b_op(e, "dict", a, hint);
    const ir_type *bottom = ir_type_simple(e->c, T_BOTTOM);
    const ir_type *t = hint && hint->kind == T_DICT ? hint : ir_type_dict(e->c, bottom, bottom);
    return sg_value(emit_node(e, a, S_DICT, 0, NULL, 1, &t)->out[0]);
}

static const struct { const char *name; builtin_fn *fn; } table[] = {
    {"annotate", b_annotate}, {"unchecked_cast", b_annotate}, {"cast", b_annotate}, {"uninitialized", b_uninitialized},
    {"isinstance", b_isinstance}, {"getattr", b_getattr}, {"hasattr", b_hasattr}, {"int", b_number},
    {"float", b_number}, {"bool", b_number}, {"str", b_str}, {"repr", b_str}, {"len", b_len}, {"min", b_extreme},
    {"max", b_extreme}, {"print", b_print}, {"list", b_list}, {"tuple", b_tuple}, {"dict", b_dict}, {"range", b_iterable},
    {"enumerate", b_iterable}, {"zip", b_iterable}, {"reversed", b_iterable}};

sugar emit_builtin(emitter *e, sugar f, script_ast *a, const ir_type *hint) {
    for (size_t i = 0; i < RT_COUNT(table); i++)
        if (!strcmp(table[i].name, f.text)) return table[i].fn(e, f.text, a, hint);
    return b_op(e, f.text, a, hint);
}

/* ---- names of torch that are no ops */

static sugar p_raise(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 1, 2);
    ir_value *in[2] = {arg(e, a, 0), a->n == 3 ? arg(e, a, 1) : emit_str(e, a, "RuntimeError", 12)};
    if (a->n == 3 && in[1]->type->kind == T_NONE) in[1] = emit_str(e, a, "RuntimeError", 12);
    emit_node(e, a, S_RAISE, 2, in, 0, NULL);
    return (sugar){.kind = SG_UNDEF};
}

static sugar p_device(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 1, 2);
    ir_value *v = arg(e, a, 0);
    return sg_value(emit_cast(e, a, v, ir_type_simple(e->c, T_DEVICE)));
}

static sugar p_true(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)name;
    (void)hint;
    return truth(e, a, true);
}

static sugar p_false(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)name;
    (void)hint;
    return truth(e, a, false);
}

static sugar p_unwrap(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)hint;
    want_args(e, name, a, 1, 1);
    ir_value *v = arg(e, a, 0);
    if (v->type->kind != T_OPTIONAL) return sg_value(v);
    ir_value *none = EMIT_OP(e, a, "__is__", v, emit_none(e, a));
    ir_node *n = emit_node(e, a, S_IF, 1, &none, 0, NULL);
    ir_block *before = e->b;
    e->b = ir_block_new(e->f, n);
    const char *text = "Unwrapping null optional";
    ir_value *in[2] = {emit_str(e, a, text, strlen(text)), emit_str(e, a, "RuntimeError", 12)};
    emit_node(e, a, S_RAISE, 2, in, 0, NULL);
    ir_block_new(e->f, n);
    e->b = before;
    return sg_value(emit_cast(e, a, v, v->type->elem[0]));
}

/* Depth and element kind of the list that a tensor is turned into, which only the annotation tells. */
static sugar p_tolist(emitter *e, const char *name, script_ast *a, const ir_type *hint) {
    (void)name;
    int depth = 0;
    const ir_type *t = hint;
    while (t && t->kind == T_LIST) t = t->elem[0], depth++;
    if (!t || (t->kind != T_INT && t->kind != T_FLOAT && t->kind != T_BOOL))
        emit_fail(e, a, "the type of 'tolist()' must be declared, as in: xs: List[int] = t.tolist()");
    ir_value **v = RT_ARRAY(&e->c->arena, ir_value *, 2);
    v[0] = emit_int(e, a, depth);
    v[1] = emit_int(e, a, t->kind == T_INT ? 0 : t->kind == T_FLOAT ? 1 : 2);
    return (sugar){.kind = SG_MULTI, .n = 2, .many = v, .type = hint};
}

static const struct { const char *path; const char *name; builtin_fn *fn; } paths[] = {
    {"ops.prim.RaiseException", "RaiseException", p_raise}, {"torch.device", "torch.device", p_device},
    {"torch.jit.annotate", "annotate", b_annotate}, {"typing.cast", "cast", b_annotate},
    {"torch.jit.isinstance", "isinstance", b_isinstance}, {"torch.jit._unwrap_optional", "_unwrap_optional", p_unwrap},
    {"ops.prim.unchecked_unwrap_optional", "_unwrap_optional", p_unwrap}, {"torch.jit.is_scripting", NULL, p_true},
    {"torch.jit.is_tracing", NULL, p_false}, {"torch._jit_internal.is_scripting", NULL, p_true},
    {"torch.warn", "warn", b_print}, {"warnings.warn", "warn", b_print}, {"tolist", "tolist", p_tolist}};

bool emit_path_builtin(emitter *e, const char *path, script_ast *a, const ir_type *hint, sugar *out) {
    for (size_t i = 0; i < RT_COUNT(paths); i++)
        if (!strcmp(path, paths[i].path)) {
            *out = paths[i].fn(e, paths[i].name, a, hint);
            return true;
        }
    if (strcmp(path, "torch.is_tensor")) return false;
    want_args(e, path, a, 1, 1);
    *out = truth(e, a, arg(e, a, 0)->type->kind == T_TENSOR);
    return true;
}
