/* types.c: annotations to types.  Names of dtypes, layouts and memory formats are ints, as TorchScript has it. */
#include "script/emit.h"

#include <stdlib.h>

typedef struct reader {
    script_unit *u;
    script_file *file;
    bool quiet, failed;
    int depth;
} reader;

static const ir_type *read_type(reader *r, script_ast *a);

static const ir_type *fail(reader *r, script_ast *at, const char *fmt, const char *name) {
    if (!r->quiet && !r->failed) ir_error(r->u->c, script_span(r->u->c, at), fmt, name);
    r->failed = true;
    return NULL;
}

/* Dotted text of names and attributes, or NULL. */
static const char *dotted(ir_context *c, script_ast *a) {
    if (a->kind == AST_NAME) return a->name;
    if (a->kind != AST_ATTR) return NULL;
    const char *left = dotted(c, a->kid[0]);
    return left ? ir_fmt(c, "%s.%s", left, a->name) : NULL;
}

/* "typing.List" and "torch.Tensor" lose their module. */
static const char *plain(const char *path) {
    static const char *const modules[] = {"typing.", "torch.jit.", "torch.classes.", "torch.types.", "torch.", "enum.", "builtins."};
    for (size_t i = 0; i < RT_COUNT(modules); i++)
        if (!strncmp(path, modules[i], strlen(modules[i]))) return path + strlen(modules[i]);
    return path;
}

static const ir_type *simple_type(ir_context *c, const char *name) {
    static const struct { const char *name; ir_kind kind; } words[] = {
        {"Tensor", T_TENSOR}, {"int", T_INT}, {"float", T_FLOAT}, {"bool", T_BOOL}, {"str", T_STR}, {"None", T_NONE},
        {"NoneType", T_NONE}, {"Device", T_DEVICE}, {"device", T_DEVICE}, {"Any", T_ANY}, {"object", T_ANY},
        {"number", T_NUMBER}, {"Scalar", T_NUMBER}, {"Number", T_NUMBER}, {"Module", T_MODULE}, {"nn.Module", T_MODULE},
        {"dtype", T_INT}, {"layout", T_INT}, {"memory_format", T_INT}, {"ScalarType", T_INT}, {"Layout", T_INT},
        {"MemoryFormat", T_INT}, {"QScheme", T_INT}, {"qscheme", T_INT}, {"Generator", T_ANY}, {"LongTensor", T_TENSOR},
        {"FloatTensor", T_TENSOR}, {"BoolTensor", T_TENSOR}, {"nn.Parameter", T_TENSOR}, {"Parameter", T_TENSOR},
        {"SymInt", T_INT}, {"Storage", T_ANY}, {"Stream", T_ANY}};
    for (size_t i = 0; i < RT_COUNT(words); i++)
        if (!strcmp(name, words[i].name)) return ir_type_simple(c, words[i].kind);
    if (!strcmp(name, "Size")) return ir_type_list(c, ir_type_simple(c, T_INT));
    if (!strcmp(name, "list") || !strcmp(name, "List")) return ir_type_list(c, ir_type_simple(c, T_TENSOR));
    if (!strcmp(name, "dict") || !strcmp(name, "Dict"))
        return ir_type_dict(c, ir_type_simple(c, T_STR), ir_type_simple(c, T_TENSOR));
    return NULL;
}

/* Classes that torch itself registers; their code files are empty. */
static const ir_type *builtin_class(script_unit *u, const char *name) {
    if (strncmp(name, "__torch__.torch.classes.", 24) && strncmp(name, "torch.classes.", 14)) return NULL;
    if (!strncmp(name, "torch.", 6)) name = ir_fmt(u->c, "__torch__.%s", name);
    ir_class *cls = rt_map_get(&u->m->classes, name);
    return ir_type_class(u->c, cls ? cls : ir_class_new(u->m, name));
}

static const ir_type *named_type(reader *r, script_ast *a, const char *name) {
    ir_context *c = r->u->c;
    decl *d = emit_find_in(r->u, r->file, name);
    if (d && d->kind == DECL_CLASS) return emit_class_type(r->u, d, a, r->file);
    if (d && d->kind == DECL_CONST) { /* an alias: State = Tuple[Tensor, Tensor] */
        if (++r->depth > 20) return fail(r, a, "the type '%s' is defined by itself", name);
        script_file *file = r->file;
        r->file = d->file;
        const ir_type *t = read_type(r, d->ast);
        r->file = file;
        r->depth--;
        return t;
    }
    const char *dot = strchr(name, '.');
    const char *head = dot ? ir_internn(c, name, (size_t)(dot - name)) : name;
    const char *import = rt_map_get(&r->file->imports, head);
    if (import) name = ir_fmt(c, "%s%s", import, dot ? dot : "");
    const ir_type *t = simple_type(c, plain(name));
    if (!t) t = builtin_class(r->u, name);
    return t ? t : fail(r, a, "unknown type '%s'", name);
}

/* ---- generic types: List[T] */

static const ir_type *tuple_type(reader *r, script_ast *index) {
    ir_context *c = r->u->c;
    if (index->kind != AST_TUPLE) {
        const ir_type *one = read_type(r, index);
        return one ? ir_type_tuple(c, 1, &one, NULL, NULL) : NULL;
    }
    const ir_type **elem = RT_ARRAY(&c->arena, const ir_type *, index->n);
    for (int i = 0; i < index->n; i++) {
        if (index->kid[i]->kind == AST_ELLIPSIS) return fail(r, index, "tuples of any length are not supported%s", "");
        if (!(elem[i] = read_type(r, index->kid[i]))) return NULL;
    }
    const ir_type *t = ir_type_tuple(c, index->n, elem, NULL, NULL);
    return emit_type_fits(t) ? t : fail(r, index, "this type is too large%s", "");
}

static const ir_type *union_type(reader *r, int n, script_ast **parts) {
    ir_context *c = r->u->c;
    const ir_type **elem = RT_ARRAY(&c->arena, const ir_type *, n);
    int some = 0;
    bool none = false;
    for (int i = 0; i < n; i++) {
        const ir_type *t = read_type(r, parts[i]);
        if (!t) return NULL;
        none |= t->kind == T_NONE || t->kind == T_OPTIONAL;
        if (t->kind != T_NONE) elem[some++] = t->kind == T_OPTIONAL ? t->elem[0] : t;
    }
    const ir_type *t = some == 0 ? ir_type_simple(c, T_NONE) : some == 1 ? elem[0] : ir_type_union(c, some, elem);
    return none && some ? ir_type_optional(c, t) : t;
}

static const ir_type *generic_type(reader *r, script_ast *a) {
    ir_context *c = r->u->c;
    const char *path = dotted(c, a->kid[0]);
    script_ast *index = a->kid[1];
    if (!path) return fail(r, a, "this is not a type%s", "");
    const char *import = rt_map_get(&r->file->imports, path);
    const char *name = plain(import ? import : path);
    bool list = !strcmp(name, "List") || !strcmp(name, "list") || !strcmp(name, "Sequence") || !strcmp(name, "Iterable") ||
                !strncmp(name, "BroadcastingList", 16);
    if (!strcmp(name, "Tuple") || !strcmp(name, "tuple")) return tuple_type(r, index);
    if (!strcmp(name, "Union"))
        return index->kind == AST_TUPLE ? union_type(r, index->n, index->kid) : union_type(r, 1, &index);
    if (!strcmp(name, "Dict") || !strcmp(name, "dict")) {
        if (index->kind != AST_TUPLE || index->n != 2) return fail(r, a, "a dict type has a key and a value type%s", "");
        const ir_type *k = read_type(r, index->kid[0]), *v = k ? read_type(r, index->kid[1]) : NULL;
        if (!v) return NULL;
        if (k->kind != T_STR && k->kind != T_INT && k->kind != T_FLOAT && k->kind != T_BOOL && k->kind != T_CLASS &&
            k->kind != T_TENSOR)
            return fail(r, a, "keys of dicts are str, int, float or bool%s", "");
        return ir_type_dict(c, k, v);
    }
    const ir_type *t = list || !strcmp(name, "Optional") || !strcmp(name, "Final") || !strcmp(name, "Mut") ||
                               !strcmp(name, "ClassVar")
                           ? read_type(r, index)
                           : NULL;
    if (!t) return r->failed ? NULL : fail(r, a, "unknown generic type '%s'", path);
    if (list) return ir_type_list(c, t);
    return !strcmp(name, "Optional") ? ir_type_optional(c, t) : t;
}

static const ir_type *read_type(reader *r, script_ast *a) {
    ir_context *c = r->u->c;
    const char *path;
    switch (a->kind) {
    case AST_NONE: return ir_type_simple(c, T_NONE);
    case AST_STR: { /* a forward reference */
        script_ast *inner = r->quiet ? NULL : script_parse_expr(c, r->file, a->s, a->len, a->line, a->col + 1);
        r->failed |= !inner;
        return inner && inner->kind != AST_STR ? read_type(r, inner) : NULL;
    }
    case AST_BINARY:
        if (!strcmp(a->name, "|")) return union_type(r, 2, a->kid);
        break;
    case AST_NAME:
    case AST_ATTR:
        if ((path = dotted(c, a))) return named_type(r, a, path);
        break;
    case AST_SUBSCRIPT: return generic_type(r, a);
    case AST_TUPLE: return tuple_type(r, a);
    default: break;
    }
    return fail(r, a, "this is not a type%s", "");
}

const ir_type *emit_type(script_unit *u, script_file *file, script_ast *a) {
    return read_type(&(reader){u, file}, a);
}

bool emit_is_type(script_unit *u, script_file *file, script_ast *a) {
    return read_type(&(reader){u, file, .quiet = true}, a) != NULL;
}

const ir_type *script_type(script_unit *u, const char *text) {
    script_file *file = RT_NEW(&u->c->arena, script_file);
    *file = (script_file){.name = "type", .prefix = ""};
    script_ast *a = script_parse_expr(u->c, file, text, strlen(text), 1, 1);
    const ir_type *t = a ? emit_type(u, file, a) : NULL;
    emit_drain(u);
    return t;
}
