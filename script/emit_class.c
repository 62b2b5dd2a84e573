/* emit_class.c: classes: their fields, constants and methods.
 *
 * The class bodies of archives declare every field.  In user scripts the assignments to self in __init__ do: asking for
 * a field of such a class emits its __init__ first.  NamedTuples are tuple types; an Enum's members are constants of
 * the underlying type under the class's own type. */
#include "script/emit.h"

#include <math.h>

static const char *base_name(script_ast *a) { return a->kind == AST_NAME || a->kind == AST_ATTR ? a->name : ""; }

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

static decl *base_decl(script_unit *u, decl *d, int i) {
    script_ast *bases = d->ast->kid[0];
    if (i >= bases->n || bases->kid[i]->kind != AST_NAME) return NULL;
    decl *base = emit_find_in(u, d->file, bases->kid[i]->name);
    return base && base->kind == DECL_CLASS && base != d ? base : NULL;
}

/* ---- the class */

ir_class *emit_class(script_unit *u, decl *d) {
    if (d->cls) return d->cls;
    ir_class *cls = rt_map_get(&u->m->classes, d->qualified);
    d->cls = cls = cls ? cls : ir_class_new(u->m, d->qualified);
    cls->decl = d;
    script_ast *bases = d->ast->kid[0];
    for (int i = 0; i < bases->n; i++) {
        const char *name = base_name(bases->kid[i]);
        decl *base = base_decl(u, d, i);
        cls->is_module |= !strcmp(name, "Module");
        cls->is_tuple |= !strcmp(name, "NamedTuple");
        cls->is_enum |= !strcmp(name, "Enum") || !strcmp(name, "IntEnum");
        d->exception |= ends_with(name, "Error") || ends_with(name, "Exception");
        if (base && u->depth < AST_MAX_NESTING) {
            u->depth++;
            cls->is_module |= emit_class(u, base)->is_module;
            u->depth--;
            d->exception |= base->exception;
        }
        if (!strcmp(name, "Interface"))
            ir_error(u->c, script_span(u->c, d->ast), "interfaces are not supported (class '%s')", d->ast->name);
    }
    RT_PUSH(&u->c->arena, &u->pending_classes, d);
    return cls;
}

static void put_field(script_unit *u, ir_class *cls, const char *name, const ir_type *t) {
    int n = cls->nfields;
    if (!(n & (n - 1))) {
        const char **fields = RT_ARRAY(&u->c->arena, const char *, n ? 2 * n : 1);
        const ir_type **types = RT_ARRAY(&u->c->arena, const ir_type *, n ? 2 * n : 1);
        if (n) memcpy(fields, cls->fields, (size_t)n * sizeof *fields), memcpy(types, cls->types, (size_t)n * sizeof *types);
        cls->fields = fields;
        cls->types = types;
    }
    cls->fields[n] = ir_intern(u->c, name);
    cls->types[n] = t;
    cls->nfields++;
}

int emit_field(const ir_class *cls, const char *name) {
    for (int i = 0; i < cls->nfields; i++)
        if (!strcmp(cls->fields[i], name)) return i;
    return -1;
}

void emit_field_add(script_unit *u, ir_class *cls, const char *name, const ir_type *t) {
    if (emit_field(cls, name) < 0) put_field(u, cls, name, t);
}

/* ---- literals */

static bool literal_items(script_unit *u, script_file *file, script_ast *a, rt_value *out) {
    rt_value v = rt_list_new(a->kind == AST_TUPLE ? V_TUPLE : V_LIST, a->n);
    if (v.tag == V_UNDEF) return false;
    for (int i = 0; i < a->n; i++)
        if (!emit_literal(u, file, a->kid[i], &v.list->at[i])) {
            rt_release(v);
            return false;
        }
    *out = v;
    return true;
}

static double number_of(rt_value v) { return v.tag == V_FLOAT ? v.f : (double)v.i; }

static bool literal_binary(const char *op, rt_value a, rt_value b, rt_value *out) {
    bool ints = a.tag == V_INT && b.tag == V_INT;
    if ((a.tag != V_INT && a.tag != V_FLOAT) || (b.tag != V_INT && b.tag != V_FLOAT)) return false;
    double x = number_of(a), y = number_of(b);
    int64_t r;
    switch (op[1] ? op[0] + 128 : op[0]) {
    case '+': *out = ints && rt_add_i64(a.i, b.i, &r) ? rt_int(r) : rt_float(x + y); return true;
    case '-':
        if (ints && b.i != INT64_MIN && rt_add_i64(a.i, -b.i, &r)) *out = rt_int(r);
        else *out = rt_float(x - y);
        return true;
    case '*': *out = ints && rt_mul_i64(a.i, b.i, &r) ? rt_int(r) : rt_float(x * y); return true;
    case '/': *out = rt_float(x / y); return y != 0;
    case '*' + 128:
        if (ints && b.i >= 0 && fabs(pow(x, y)) < 9e15) *out = rt_int((int64_t)pow(x, y));
        else *out = rt_float(pow(x, y));
        return true;
    default: return false;
    }
}

static const char *dotted(ir_context *c, script_ast *a) {
    if (a->kind == AST_NAME) return a->name;
    const char *left = a->kind == AST_ATTR ? dotted(c, a->kid[0]) : NULL;
    return left ? ir_fmt(c, "%s.%s", left, a->name) : NULL;
}

static bool literal_name(script_unit *u, script_file *file, script_ast *a, rt_value *out) {
    const char *path = dotted(u->c, a);
    if (!path) return false;
    if (!strcmp(path, "inf") || !strcmp(path, "nan")) {
        *out = rt_float(*path == 'i' ? INFINITY : NAN);
        return true;
    }
    decl *d = emit_find_in(u, file, path);
    const ir_type *t;
    if (d && d->kind == DECL_CONST && d->state == DECL_NEW) {
        d->state = DECL_BUSY; /* a constant may not need itself */
        bool good = emit_literal(u, d->file, d->ast, out);
        d->state = DECL_NEW;
        return good;
    }
    const char *dot = strrchr(path, '.');
    d = dot ? emit_find_in(u, file, ir_internn(u->c, path, (size_t)(dot - path))) : NULL;
    if (d && d->kind == DECL_CLASS) {
        ir_class *cls = emit_class(u, d);
        emit_fields(u, cls);
        rt_value *v = rt_map_get(&cls->constants, dot + 1);
        if (v) *out = rt_retain(*v);
        return v != NULL;
    }
    const char *head = strchr(path, '.');
    const char *import = rt_map_get(&file->imports, head ? ir_internn(u->c, path, (size_t)(head - path)) : path);
    if (import) path = ir_fmt(u->c, "%s%s", import, head ? head : "");
    return emit_path_constant(u->c, path, out, &t);
}

/* annotate(T, v), torch.device("cpu"), float("inf") */
static bool literal_call(script_unit *u, script_file *file, script_ast *a, rt_value *out) {
    const char *path = dotted(u->c, a->kid[0]);
    if (!path || a->n < 2) return false;
    if (!strcmp(path, "annotate") || !strcmp(path, "torch.jit.annotate")) return a->n == 3 && emit_literal(u, file, a->kid[2], out);
    if (!strcmp(path, "torch.device")) return emit_literal(u, file, a->kid[1], out);
    if (strcmp(path, "float") || !emit_literal(u, file, a->kid[1], out)) return false;
    if (out->tag == V_INT) *out = rt_float((double)out->i);
    if (out->tag != V_STR) return out->tag == V_FLOAT;
    const char *s = out->str->s;
    bool minus = *s == '-', known = !strcmp(s + minus, "inf") || !strcmp(s, "nan");
    rt_value v = rt_float(!strcmp(s, "nan") ? NAN : minus ? -INFINITY : INFINITY);
    rt_release(*out);
    *out = v;
    return known;
}

bool emit_literal(script_unit *u, script_file *file, script_ast *a, rt_value *out) {
    rt_value x, y;
    switch (a->kind) {
    case AST_INT: *out = rt_int(a->i); return true;
    case AST_FLOAT: *out = rt_float(a->f); return true;
    case AST_BOOL: *out = rt_bool(a->i); return true;
    case AST_NONE: *out = V_NULL; return true;
    case AST_STR: *out = rt_str(a->s, a->len); return out->tag == V_STR;
    case AST_LIST:
    case AST_TUPLE: return literal_items(u, file, a, out);
    case AST_NAME:
    case AST_ATTR: return literal_name(u, file, a, out);
    case AST_CALL: return literal_call(u, file, a, out);
    case AST_UNARY:
        if (!emit_literal(u, file, a->kid[0], &x)) return false;
        if (*a->name == '-' && x.tag == V_INT && x.i != INT64_MIN) *out = rt_int(-x.i);
        else if (*a->name == '-' && x.tag == V_FLOAT) *out = rt_float(-x.f);
        else return rt_release(x), false;
        return true;
    case AST_BINARY:
        if (!emit_literal(u, file, a->kid[0], &x)) return false;
        if (!emit_literal(u, file, a->kid[1], &y)) return rt_release(x), false;
        if (literal_binary(a->name, x, y, out)) return true;
        rt_release(x);
        rt_release(y);
        return false;
    default: return false;
    }
}

static bool put_constant(script_unit *u, decl *d, const char *name, script_ast *value) {
    rt_value v;
    if (!emit_literal(u, d->file, value, &v)) return false;
    rt_value *slot = RT_NEW(&u->c->arena, rt_value);
    *slot = v;
    ir_own(u->c, v);
    rt_map_put(&u->c->arena, &d->cls->constants, name, slot);
    return true;
}

/* ---- fields */

static bool is_final(script_ast *type) {
    if (type->kind == AST_SUBSCRIPT) type = type->kid[0];
    return (type->kind == AST_NAME || type->kind == AST_ATTR) && !strcmp(type->name, "Final");
}

bool emit_is_dataclass(const decl *d) {
    for (int i = 2; i < d->ast->n; i++) {
        script_ast *m = d->ast->kid[i]->kind == AST_CALL ? d->ast->kid[i]->kid[0] : d->ast->kid[i];
        if ((m->kind == AST_NAME || m->kind == AST_ATTR) && !strcmp(m->name, "dataclass")) return true;
    }
    return false;
}

static void field_from(script_unit *u, decl *d, script_ast *s) {
    ir_class *cls = d->cls;
    script_ast *target = s->kid[0], *value = s->kid[s->n - 1];
    if (s->kind == AST_ASSIGN) {
        bool extra = target->kind == AST_SUBSCRIPT && target->kid[0]->kind == AST_NAME && target->kid[1]->kind == AST_STR &&
                     !strcmp(target->kid[0]->name, "__annotations__");
        if (extra) {
            const ir_type *t = emit_type(u, d->file, value);
            if (t) emit_field_add(u, cls, target->kid[1]->s, t);
        } else if (target->kind == AST_NAME && strncmp(target->name, "__", 2) && s->n == 2 &&
                   !put_constant(u, d, target->name, value)) {
            ir_error(u->c, script_span(u->c, value), "a class attribute must be a literal");
        }
        return;
    }
    if (target->kind != AST_NAME) return;
    if (value && s->n == 3 && s->kid[2] && !cls->is_tuple && !emit_is_dataclass(d)) {
        if (!put_constant(u, d, target->name, value))
            ir_error(u->c, script_span(u->c, value), "a class attribute must be a literal");
    } else if (!is_final(s->kid[1]) || s->kid[1]->kind == AST_SUBSCRIPT) {
        const ir_type *t = emit_type(u, d->file, s->kid[1]);
        if (t) emit_field_add(u, cls, target->name, t);
    }
}

static void inherit(script_unit *u, decl *d) {
    for (int i = 0; i < d->ast->kid[0]->n; i++) {
        decl *base = base_decl(u, d, i);
        if (!base || base->state == DECL_BUSY || u->depth > AST_MAX_NESTING) continue;
        u->depth++;
        ir_class *cls = emit_class(u, base);
        emit_fields(u, cls);
        u->depth--;
        for (int k = 0; k < cls->nfields; k++) emit_field_add(u, d->cls, cls->fields[k], cls->types[k]);
        for (int k = 0; k < cls->constants.n; k++)
            rt_map_put(&u->c->arena, &d->cls->constants, cls->constants.entries[k].key, cls->constants.entries[k].value);
    }
}

void emit_fields(script_unit *u, ir_class *cls) {
    decl *d = cls->decl;
    if (!d || d->state != DECL_NEW) return;
    d->state = DECL_BUSY;
    inherit(u, d);
    script_ast *body = d->ast->kid[1];
    for (int i = 0; i < body->n; i++)
        if (body->kid[i]->kind == AST_ANNOTATED || body->kid[i]->kind == AST_ASSIGN) field_from(u, d, body->kid[i]);
    decl *init = strncmp(d->qualified, "__torch__", 9) ? emit_method(u, cls, "__init__") : NULL;
    if (init && !cls->is_tuple && !cls->is_enum && !d->exception && emit_func(u, init)) emit_now(u, init);
    d->state = DECL_DONE;
}

/* ---- types */

static const ir_type *tuple_type(script_unit *u, decl *d, script_ast *at) {
    if (d->type) return d->type;
    if (d->state == DECL_BUSY) {
        ir_error(u->c, script_span(u->c, at), "the NamedTuple '%s' contains itself", d->ast->name);
        return NULL;
    }
    emit_fields(u, d->cls);
    const ir_type *t = ir_type_tuple(u->c, d->cls->nfields, d->cls->types, d->cls->fields, d->cls->name);
    if (emit_type_fits(t)) return d->type = t;
    ir_error(u->c, script_span(u->c, at), "the type '%s' is too large", d->ast->name);
    return NULL;
}

const ir_type *emit_class_type(script_unit *u, decl *d, script_ast *at, script_file *file) {
    (void)file;
    ir_class *cls = emit_class(u, d);
    return cls->is_tuple ? tuple_type(u, d, at) : ir_type_class(u->c, cls);
}

/* ---- methods */

decl *emit_method(script_unit *u, const ir_class *cls, const char *name) {
    decl *d = cls->decl;
    const char *qualified = ir_fmt(u->c, "%s.%s", cls->name, name);
    decl *m = emit_find(u, qualified);
    if (m || !d) return m && m->kind == DECL_FUNC ? m : NULL;
    for (int i = 0; i < d->ast->kid[0]->n && u->depth < AST_MAX_NESTING; i++) {
        decl *base = base_decl(u, d, i);
        if (!base) continue;
        u->depth++;
        decl *found = emit_method(u, emit_class(u, base), name);
        u->depth--;
        if (!found) continue;
        m = RT_NEW(&u->c->arena, decl); /* an inherited method is emitted for each class on its own */
        *m = (decl){.kind = DECL_FUNC, .qualified = ir_intern(u->c, qualified), .ast = found->ast, .file = found->file, .owner = d};
        rt_map_put(&u->c->arena, &u->decls, qualified, m);
        return m;
    }
    return NULL;
}
