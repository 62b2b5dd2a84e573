/* emit.c: units: what is defined where, and the emission of functions.
 * A function's signature exists as soon as someone asks for it; its body is emitted from a queue, so that calls may form
 * cycles.  Only a function without a return annotation is emitted at once, for its result type. */
#include "script/emit.h"

#include <stdlib.h>

enum {
    MAX_INFERENCE_DEPTH = 40, /* functions whose result types wait for each other */
    MAX_TYPE_PARTS = 4096     /* of a type written out: tuples of tuples double with every level */
};

/* ---- units and names */

script_unit *script_unit_new(ir_module *m) {
    script_unit *u = RT_NEW(&m->c->arena, script_unit);
    u->c = m->c;
    u->m = m;
    u->constants = V_NULL;
    return u;
}

void script_set_version(script_unit *u, int version) { u->version = version; }

void script_set_loader(script_unit *u, script_loader *fn, void *env) {
    u->load = fn;
    u->load_env = env;
}

void script_set_constants(script_unit *u, rt_value tuple) { u->constants = tuple; }

static decl *declare(script_unit *u, script_file *file, decl_kind kind, const char *qualified, script_ast *a) {
    decl *d = RT_NEW(&u->c->arena, decl);
    d->kind = kind;
    d->qualified = ir_intern(u->c, qualified);
    d->ast = a;
    d->file = file;
    rt_map_put(&u->c->arena, &u->decls, qualified, d);
    return d;
}

static void declare_class(script_unit *u, script_file *file, const char *qualified, script_ast *a) {
    decl *cls = declare(u, file, DECL_CLASS, qualified, a);
    script_ast *body = a->kid[1];
    for (int i = 0; i < body->n; i++)
        if (body->kid[i]->kind == AST_DEF)
            declare(u, file, DECL_FUNC, ir_fmt(u->c, "%s.%s", qualified, body->kid[i]->name), body->kid[i])->owner = cls;
}

static void declare_top(script_unit *u, script_file *file, script_ast *a) {
    const char *name = a->kind == AST_DEF || a->kind == AST_CLASS ? a->name : NULL;
    script_ast *target = a->kind == AST_ASSIGN || a->kind == AST_ANNOTATED ? a->kid[0] : NULL;
    script_ast *value = target ? a->kid[a->n - 1] : NULL;
    bool constant = value && target->kind == AST_NAME && (a->kind == AST_ANNOTATED || a->n == 2);
    if (constant) name = target->name;
    if (!name) {
        bool text = a->kind == AST_PASS || (a->kind == AST_EXPR && a->kid[0]->kind == AST_STR);
        bool main = a->kind == AST_IF && a->kid[0]->kind == AST_COMPARE; /* if __name__ == "__main__": */
        if (!text && !main && a->kind != AST_EXPR)
            ir_error(u->c, script_span(u->c, a), "only definitions and constants may stand outside of functions");
        return;
    }
    const char *qualified = *file->prefix ? ir_fmt(u->c, "%s.%s", file->prefix, name) : name;
    decl *old = rt_map_get(&u->decls, qualified);
    if (old && *file->prefix) return; /* the first one stays, as graphs may refer to it */
    if (a->kind == AST_CLASS) declare_class(u, file, qualified, a);
    else declare(u, file, a->kind == AST_DEF ? DECL_FUNC : DECL_CONST, qualified, constant ? value : a);
}

bool script_parse(script_unit *u, const char *name, const char *prefix, const char *text, size_t n) {
    script_file *file = RT_NEW(&u->c->arena, script_file);
    *file = (script_file){.name = ir_intern(u->c, name), .prefix = prefix ? ir_intern(u->c, prefix) : "", .n = n};
    file->text = rt_arena_str(&u->c->arena, text, n);
    ir_source_add(u->c, file->name, file->text, n);
    RT_PUSH(&u->c->arena, &u->files, file);
    script_ast *block = script_parse_file(u->c, file);
    for (int i = 0; i < block->n; i++) declare_top(u, file, block->kid[i]);
    return !file->bad;
}

decl *emit_find(script_unit *u, const char *qualified) {
    decl *d = rt_map_get(&u->decls, qualified);
    if (d || !u->load || strncmp(qualified, "__torch__", 9) || rt_map_get(&u->missing, qualified)) return d;
    u->load(u->load_env, u, qualified);
    d = rt_map_get(&u->decls, qualified);
    if (!d) rt_map_put(&u->c->arena, &u->missing, qualified, u);
    return d;
}

decl *emit_find_in(script_unit *u, script_file *file, const char *name) {
    if (*file->prefix && strncmp(name, "__torch__", 9)) {
        decl *d = emit_find(u, ir_fmt(u->c, "%s.%s", file->prefix, name));
        if (d) return d;
    }
    return emit_find(u, name);
}

/* ---- messages */

const char *emit_type_text(ir_context *c, const ir_type *t) {
    rt_text text = {0};
    ir_type_print(&text, t);
    const char *s = ir_fmt(c, "%s", text.s ? text.s : "?");
    rt_text_free(&text);
    return s;
}

static int spend(const ir_type *t, int budget) {
    budget--;
    for (int i = 0; i < t->n && budget > 0; i++) budget = spend(t->elem[i], budget);
    return budget;
}

bool emit_type_fits(const ir_type *t) { return spend(t, MAX_TYPE_PARTS) > 0; }

_Noreturn void emit_fail(emitter *e, script_ast *at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *text = rt_arena_vfmt(&e->c->arena, fmt, ap);
    va_end(ap);
    ir_error(e->c, script_span(e->c, at), "%s", text);
    longjmp(*e->recover, 1);
}

/* ---- tidying: joins and refinements are emitted before it is known who needs them */

static void drop_result(ir_block *b, int i) {
    ir_value *v = b->results.at[i];
    for (ir_use **p = &v->uses; *p; p = &(*p)->next)
        if ((*p)->block == b && (*p)->index == i && !(*p)->node) {
            *p = (*p)->next;
            break;
        }
    for (int k = i + 1; k < b->results.n; k++) {
        ir_use *u = b->results.at[k]->uses;
        while (u->block != b || u->index != k || u->node) u = u->next;
        u->index = k - 1;
        b->results.at[k - 1] = b->results.at[k];
    }
    b->results.n--;
}

static void drop_unused_outputs(ir_node *n) {
    for (int i = n->nout - 1; i >= 0; i--) {
        if (n->out[i]->uses) continue;
        for (int k = 0; k < n->nblocks; k++) drop_result(n->blocks[k], i);
        for (int k = i + 1; k < n->nout; k++) {
            n->out[k - 1] = n->out[k];
            n->out[k - 1]->index = k - 1;
        }
        n->nout--;
    }
}

static bool is_useless(const ir_node *n) {
    for (int i = 0; i < n->nout; i++)
        if (n->out[i]->uses) return false;
    switch (n->op->id) {
    case S_CONST:
    case S_PARAM:
    case S_CAST:
    case S_UNINIT:
    case S_TUPLE:
    case S_GETATTR: return true;
    case S_IF: return !n->blocks[0]->first && !n->blocks[1]->first;
    default: return false;
    }
}

static void tidy(ir_block *b) {
    for (ir_node *n = b->last, *prev; n; n = prev) {
        prev = n->prev;
        if (n->op->id == S_IF) drop_unused_outputs(n);
        for (int i = 0; i < n->nblocks; i++) tidy(n->blocks[i]);
        if (is_useless(n)) ir_erase(n);
    }
}

/* ---- bodies */

static void bind_params(emitter *e, script_ast *params) {
    for (int i = 0; i < e->f->body->params.n; i++) {
        var *v = RT_NEW(&e->c->arena, var);
        v->s = sg_value(e->f->body->params.at[i]);
        v->declared = v->s.v->type;
        v->root = v->s.v;
        rt_map_put(&e->c->arena, &e->scope->vars, params->kid[i]->name, v);
    }
}

static ir_value *result_value(emitter *e, flow end) {
    bool nothing = !e->result || e->result->kind == T_NONE;
    script_ast *at = e->d->ast;
    var *v = emit_lookup(e->scope, "$value");
    if ((end == FLOW_RETURNS || end == FLOW_EXITS) && v && v->s.kind == SG_VALUE) return v->s.v;
    if (end == FLOW_RAISES && e->result && !nothing) return emit_uninit(e, at, e->result);
    if (end == FLOW_FALLS && e->result && !nothing && ir_subtype(ir_type_simple(e->c, T_NONE), e->result))
        return emit_none(e, at);
    bool bad = end == FLOW_FALLS ? !nothing : end == FLOW_MAYBE && (e->found ? e->found->kind != T_NONE : !nothing);
    if (bad) emit_fail(e, at, "'%s' does not return a value on every path", e->d->ast->name);
    return emit_none(e, at);
}

static void emit_once(emitter *e) {
    ir_func *f = e->f;
    scope *top = RT_NEW(&e->c->arena, scope);
    e->scope = top;
    e->b = f->body;
    e->found = NULL;
    e->again = false;
    bind_params(e, e->d->ast->kid[0]);
    flow end = emit_list(e, e->d->ast->kid[2], 0);
    if (e->again) return;
    ir_value *v = result_value(e, end);
    if (!e->result) e->result = e->found && end != FLOW_FALLS ? e->found : v->type;
    f->result = e->result;
    ir_block_result(f->body, v);
    if (!e->c->nerrors) tidy(f->body); /* what an error left half built stays */
}

/* A second emission, now that the result type is known, starts from an empty function. */
static void reset_body(ir_func *f) {
    ir_block *old = f->body;
    f->nvalues = f->nnodes = 0;
    f->names = (rt_map){0};
    f->body = ir_block_new(f, NULL);
    for (int i = 0; i < old->params.n; i++) ir_block_param(f->body, old->params.at[i]->type, f->param_names[i]);
}

static void emit_body(script_unit *u, decl *d, const ir_type *result) {
    jmp_buf here;
    emitter *e = RT_NEW(&u->c->arena, emitter);
    *e = (emitter){.u = u, .c = u->c, .d = d, .f = d->func, .result = result, .recover = &here};
    emit_scan_reads(e, d->ast->kid[2], -1);
    d->state = DECL_BUSY;
    u->depth++;
    if (!setjmp(here)) {
        emit_once(e);
        if (e->again && e->found) {
            e->result = e->found;
            reset_body(d->func);
            emit_once(e);
        }
        d->state = DECL_DONE;
    } else {
        d->state = DECL_BAD;
    }
    u->depth--;
}

/* ---- signatures */

static const ir_type *param_type(script_unit *u, decl *d, int i, script_ast *p) {
    if (d->owner && i == 0 && (!p->kid[0] || !*d->file->prefix)) return emit_class_type(u, d->owner, p, d->file);
    return p->kid[0] ? emit_type(u, d->file, p->kid[0]) : ir_type_simple(u->c, T_TENSOR);
}

static bool is_mark(script_ast *mark, const char *name) {
    if (mark->kind == AST_CALL) mark = mark->kid[0];
    return (mark->kind == AST_NAME || mark->kind == AST_ATTR) && !strcmp(mark->name, name);
}

static bool marked(script_ast *def, const char *name) {
    for (int i = 3; i < def->n; i++)
        if (is_mark(def->kid[i], name)) return true;
    return false;
}

static bool make_params(script_unit *u, decl *d) {
    script_ast *params = d->ast->kid[0];
    ir_func *f = d->func;
    f->param_names = RT_ARRAY(&u->c->arena, const char *, params->n);
    if (d->owner && (marked(d->ast, "staticmethod") || marked(d->ast, "classmethod") || !params->n)) {
        ir_error(u->c, script_span(u->c, d->ast), "static and class methods are not supported");
        return false;
    }
    bool good = true;
    for (int i = 0; i < params->n; i++) {
        script_ast *p = params->kid[i];
        if (p->i & (AST_P_STAR | AST_P_STAR2)) {
            ir_error(u->c, script_span(u->c, p), "'*' and '**' parameters are not supported");
            good = false;
        }
        const ir_type *t = param_type(u, d, i, p);
        good &= t != NULL;
        f->param_names[i] = p->name;
        ir_block_param(f->body, t ? t : ir_type_simple(u->c, T_ANY), p->name);
    }
    return good;
}

static const ir_type *declared_result(script_unit *u, decl *d, bool *good) {
    script_ast *a = d->ast->kid[1];
    if (a) {
        const ir_type *t = emit_type(u, d->file, a);
        *good &= t != NULL;
        return t;
    }
    return d->owner && !strcmp(d->ast->name, "__init__") ? ir_type_simple(u->c, T_NONE) : NULL;
}

ir_func *emit_func(script_unit *u, decl *d) {
    if (d->state == DECL_BAD) return NULL;
    if (d->func) {
        if (d->func->result) return d->func;
        ir_error(u->c, script_span(u->c, d->ast), "'%s' calls itself, so it needs a return annotation", d->ast->name);
        d->state = DECL_BAD;
        return NULL;
    }
    d->func = ir_func_new(u->m, d->qualified);
    d->func->span = script_span(u->c, d->ast);
    d->func->result = NULL;
    bool good = make_params(u, d);
    const ir_type *result = declared_result(u, d, &good);
    d->func->result = result;
    if (good && !result && u->depth >= MAX_INFERENCE_DEPTH) {
        ir_error(u->c, d->func->span, "result types depend on each other too deeply here: annotate '%s'", d->ast->name);
        good = false;
    }
    if (!good) {
        d->state = DECL_BAD;
        if (!d->func->result) d->func->result = ir_type_simple(u->c, T_ANY);
        return NULL;
    }
    if (result) RT_PUSH(&u->c->arena, &u->pending_funcs, d);
    else emit_body(u, d, NULL);
    if (!d->func->result) d->func->result = ir_type_simple(u->c, T_ANY);
    return d->state == DECL_BAD ? NULL : d->func;
}

void emit_now(script_unit *u, decl *d) {
    if (d->state != DECL_NEW || !d->func) return;
    if (u->depth < MAX_INFERENCE_DEPTH) emit_body(u, d, d->func->result);
    else ir_error(u->c, d->func->span, "functions and classes depend on each other too deeply here");
}

bool emit_drain(script_unit *u) {
    if (u->draining) return true;
    u->draining = true;
    while (u->pending_classes.n || u->pending_funcs.n) {
        if (u->pending_classes.n) {
            emit_fields(u, u->pending_classes.at[--u->pending_classes.n]->cls);
            continue;
        }
        /* first come, first emitted: the order of functions in the module is that of the text */
        RT_VEC(decl *) batch = {u->pending_funcs.at, u->pending_funcs.n, u->pending_funcs.cap};
        u->pending_funcs.at = NULL;
        u->pending_funcs.n = u->pending_funcs.cap = 0;
        for (int i = 0; i < batch.n; i++)
            if (batch.at[i]->state == DECL_NEW) emit_body(u, batch.at[i], batch.at[i]->func->result);
    }
    u->draining = false;
    return !u->c->nerrors;
}

/* ---- what others ask for */

ir_class *script_class(script_unit *u, const char *qualified) {
    decl *d = emit_find(u, qualified);
    if (!d || d->kind != DECL_CLASS) {
        ir_class *known = rt_map_get(&u->m->classes, qualified);
        if (known || strncmp(qualified, "__torch__.torch.classes.", 24)) return known;
        return ir_class_new(u->m, qualified);
    }
    ir_class *cls = emit_class(u, d);
    emit_drain(u);
    return cls;
}

ir_func *script_func(script_unit *u, const char *qualified) {
    decl *d = emit_find(u, qualified);
    ir_func *f = d && d->kind == DECL_FUNC ? emit_func(u, d) : NULL;
    emit_drain(u);
    return f;
}

ir_func *script_method(script_unit *u, ir_class *cls, const char *name) {
    decl *d = emit_method(u, cls, name);
    ir_func *f = d ? emit_func(u, d) : NULL;
    emit_drain(u);
    if (f) rt_map_put(&u->c->arena, &cls->methods, name, f);
    return f;
}

bool script_has_method(script_unit *u, const ir_class *cls, const char *name) {
    return emit_method(u, cls, name) != NULL;
}

int script_functions(script_unit *u, const char *const **names) {
    RT_VEC(const char *) v = {0};
    for (int i = 0; i < u->decls.n; i++) {
        decl *d = u->decls.entries[i].value;
        if (d->kind == DECL_FUNC && !d->owner && !*d->file->prefix) RT_PUSH(&u->c->arena, &v, d->qualified);
    }
    *names = (const char *const *)v.at;
    return v.n;
}

int script_methods(script_unit *u, const ir_class *cls, const char *const **names) {
    RT_VEC(const char *) v = {0};
    decl *d = cls->decl;
    for (int i = 0; d && i < d->ast->kid[1]->n; i++)
        if (d->ast->kid[1]->kid[i]->kind == AST_DEF) RT_PUSH(&u->c->arena, &v, d->ast->kid[1]->kid[i]->name);
    *names = (const char *const *)v.at;
    return v.n;
}

bool script_default(script_unit *u, const ir_func *f, int i, rt_value *out) {
    decl *d = rt_map_get(&u->decls, f->name);
    if (!d || d->kind != DECL_FUNC || i < 0 || i >= d->ast->kid[0]->n) return false;
    script_ast *value = d->ast->kid[0]->kid[i]->kid[1];
    return value && emit_literal(u, d->file, value, out);
}
