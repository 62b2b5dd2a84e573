/* vocabulary.c: ops that are functions in the script language (prelude.py and files of users).
 *
 * A definition becomes an ir_op of class COMPOSITE whose schema is its signature.  Decorators: @overload("Scalar") names
 * the overload, @namespace("torchvision") the namespace, @alias says that the result may share memory with the first
 * parameter; the annotation Mut[Tensor] marks a parameter that is written.  Within the functions a bare name that is
 * nothing else means the op of that name.  Bodies are emitted one by one when asked for, into a module of their own. */
#include "script/emit.h"

extern const char jitc_embedded_prelude[];
extern const unsigned long jitc_embedded_prelude_size;
extern const char jitc_embedded_functional[];
extern const unsigned long jitc_embedded_functional_size;

static script_unit *unit_of(ir_context *c) {
    if (!c->script) {
        script_unit *u = script_unit_new(ir_module_new(c, "vocabulary"));
        u->vocabulary = true;
        c->script = u;
    }
    return c->script;
}

/* ---- signatures as schemas */

typedef struct signature {
    script_unit *u;
    script_file *file;
    rt_text text;
    char alias;   /* mark of the tensors in the type being written, or 0 */
    bool written;
    bool failed;
} signature;

static void refuse(signature *s, script_ast *at, const char *text) {
    if (!s->failed) ir_error(s->u->c, script_span(s->u->c, at), "%s", text);
    s->failed = true;
}

static void put_mark(signature *s) {
    if (s->alias) rt_text_fmt(&s->text, "(%c%s)", s->alias, s->written ? "!" : "");
}

static const char *last_name(script_ast *a) { return a->kind == AST_NAME || a->kind == AST_ATTR ? a->name : ""; }

static void put_type(signature *s, script_ast *a);

static void put_generic(signature *s, script_ast *a) {
    const char *name = last_name(a->kid[0]);
    script_ast *index = a->kid[1];
    if (!strcmp(name, "Mut")) {
        s->alias = 'a';
        s->written = true;
        put_type(s, index);
    } else if (!strcmp(name, "Optional")) {
        put_type(s, index);
        rt_text_str(&s->text, "?");
    } else if (!strcmp(name, "List") || !strncmp(name, "BroadcastingList", 16)) {
        put_type(s, index);
        rt_text_fmt(&s->text, "[%s]", *name == 'B' ? name + 16 : "");
    } else if (!strcmp(name, "Dict") && index->kind == AST_TUPLE && index->n == 2) {
        rt_text_str(&s->text, "Dict(");
        put_type(s, index->kid[0]);
        rt_text_str(&s->text, ", ");
        put_type(s, index->kid[1]);
        rt_text_str(&s->text, ")");
    } else if (!strcmp(name, "Tuple")) {
        rt_text_str(&s->text, "(");
        for (int i = 0; i < (index->kind == AST_TUPLE ? index->n : 1); i++) {
            if (i) rt_text_str(&s->text, ", ");
            put_type(s, index->kind == AST_TUPLE ? index->kid[i] : index);
        }
        rt_text_str(&s->text, ")");
    } else {
        refuse(s, a, "this type cannot stand in the signature of an op");
    }
}

static void put_type(signature *s, script_ast *a) {
    const char *name = last_name(a);
    if (a->kind == AST_SUBSCRIPT) {
        put_generic(s, a);
    } else if (!strcmp(name, "Tensor")) {
        rt_text_str(&s->text, name);
        put_mark(s);
    } else if (!strcmp(name, "number") || !strcmp(name, "Scalar") || !strcmp(name, "Number")) {
        rt_text_str(&s->text, "Scalar");
    } else if (*name) {
        rt_text_str(&s->text, name);
    } else {
        refuse(s, a, "this type cannot stand in the signature of an op");
    }
}

static void put_literal(signature *s, script_ast *at, rt_value v) {
    char number[32];
    switch (v.tag) {
    case V_NONE: rt_text_str(&s->text, "None"); break;
    case V_BOOL: rt_text_str(&s->text, v.i ? "True" : "False"); break;
    case V_INT: rt_text_fmt(&s->text, "%lld", (long long)v.i); break;
    case V_FLOAT: rt_text_str(&s->text, rt_print_double(number, v.f)); break;
    case V_STR: rt_text_fmt(&s->text, "\"%s\"", v.str->s); break;
    case V_LIST:
    case V_TUPLE:
        rt_text_str(&s->text, "[");
        for (int64_t i = 0; i < v.list->n; i++) {
            if (i) rt_text_str(&s->text, ", ");
            put_literal(s, at, v.list->at[i]);
        }
        rt_text_str(&s->text, "]");
        break;
    default: refuse(s, at, "this default cannot stand in the signature of an op");
    }
}

static bool decorator(script_ast *def, const char *name, script_ast **arg) {
    for (int i = 3; i < def->n; i++) {
        script_ast *m = def->kid[i], *head = m->kind == AST_CALL ? m->kid[0] : m;
        if (strcmp(last_name(head), name)) continue;
        if (arg) *arg = m->kind == AST_CALL && m->n == 2 ? m->kid[1] : NULL;
        return true;
    }
    return false;
}

static const char *decorator_text(script_ast *def, const char *name, const char *otherwise) {
    script_ast *arg = NULL;
    return decorator(def, name, &arg) && arg && arg->kind == AST_STR ? arg->s : otherwise;
}

static void put_params(signature *s, script_ast *def, bool alias, bool *mutates) {
    script_ast *params = def->kid[0];
    bool kwonly = false;
    for (int i = 0; i < params->n; i++) {
        script_ast *p = params->kid[i];
        if (i) rt_text_str(&s->text, ", ");
        if (!kwonly && (p->i & AST_P_KWONLY)) {
            rt_text_str(&s->text, "*, ");
            kwonly = true;
        }
        s->alias = alias && i == 0 ? 'a' : 0;
        s->written = false;
        if (p->kid[0]) put_type(s, p->kid[0]);
        else rt_text_str(&s->text, "Tensor"), put_mark(s);
        if (i == 0) *mutates = s->written;
        rt_text_fmt(&s->text, " %s", p->name);
        if (!p->kid[1]) continue;
        rt_value v;
        rt_text_str(&s->text, "=");
        if (!emit_literal(s->u, s->file, p->kid[1], &v)) {
            refuse(s, p->kid[1], "the default of an op's parameter must be a literal");
            continue;
        }
        put_literal(s, p->kid[1], v);
        rt_release(v);
    }
}

static const char *schema_text(script_unit *u, script_file *file, script_ast *def) {
    signature s = {u, file};
    bool alias = decorator(def, "alias", NULL), mutates = false;
    const char *overload = decorator_text(def, "overload", NULL);
    rt_text_str(&s.text, def->name);
    if (overload) rt_text_fmt(&s.text, ".%s", overload);
    rt_text_str(&s.text, "(");
    put_params(&s, def, alias, &mutates);
    rt_text_str(&s.text, ") -> ");
    s.alias = alias || mutates ? 'a' : 0;
    s.written = mutates;
    if (!def->kid[1]) rt_text_str(&s.text, "Tensor"), put_mark(&s);
    else if (def->kid[1]->kind == AST_NONE) rt_text_str(&s.text, "()");
    else put_type(&s, def->kid[1]);
    const char *text = s.failed ? NULL : ir_fmt(u->c, "%s", s.text.s);
    rt_text_free(&s.text);
    return text;
}

static void define(script_unit *u, script_file *file, script_ast *def) {
    const char *text = schema_text(u, file, def), *ns = decorator_text(def, "namespace", "aten");
    ir_op *op = text ? ir_op_add(u->c, ns, text, OP_COMPOSITE) : NULL;
    if (!op) return;
    decl *d = RT_NEW(&u->c->arena, decl);
    *d = (decl){.kind = DECL_FUNC, .qualified = op->full, .ast = def, .file = file};
    op->decl = d;
}

bool script_vocabulary_add(ir_context *c, const char *name, const char *text, size_t n) {
    script_unit *u = unit_of(c);
    script_file *file = RT_NEW(&c->arena, script_file);
    *file = (script_file){.name = ir_intern(c, name), .prefix = "", .text = rt_arena_str(&c->arena, text, n), .n = n};
    ir_source_add(c, file->name, file->text, n);
    int before = c->nerrors;
    script_ast *block = script_parse_file(c, file);
    for (int i = 0; i < block->n; i++) {
        script_ast *a = block->kid[i];
        bool constant = a->kind == AST_ASSIGN && a->n == 2 && a->kid[0]->kind == AST_NAME;
        if (a->kind == AST_DEF) {
            define(u, file, a);
        } else if (constant) {
            decl *d = RT_NEW(&c->arena, decl);
            *d = (decl){.kind = DECL_CONST, .qualified = a->kid[0]->name, .ast = a->kid[1], .file = file};
            rt_map_put(&c->arena, &u->decls, d->qualified, d);
        } else if (a->kind != AST_EXPR && a->kind != AST_PASS) {
            ir_error(c, script_span(c, a), "a vocabulary holds functions and constants only");
        }
    }
    return c->nerrors == before;
}

/* ---- hooks */

static void read_prelude(ir_context *c) {
    script_vocabulary_add(c, "prelude.py", jitc_embedded_prelude, jitc_embedded_prelude_size);
    script_vocabulary_add(c, "functional.py", jitc_embedded_functional, jitc_embedded_functional_size);
}

static ir_func *composite(ir_context *c, const ir_op *op) {
    while (op->inplace_of) op = op->inplace_of;
    if (op->compiled || !op->decl) return op->compiled;
    script_unit *u = unit_of(c);
    ir_func *f = emit_func(u, op->decl);
    emit_drain(u);
    decl *d = op->decl;
    if (d->state == DECL_BAD) return NULL;
    ((ir_op *)op)->compiled = f;
    return f;
}

void script_vocabulary_init(ir_context *c) {
    c->vocabulary = read_prelude;
    c->composite = composite;
}
