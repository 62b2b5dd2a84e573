/* print.c: modules as text, the storage format: reading and printing again gives the same bytes (grammar:
 * IR.md).
 *
 * Unnamed values are numbered in the order of printing, so ids never show.  Of the symbols those are declared
 * whose range is not the default.  Objects of an archive are written where they are first met, later as
 * `object N`. */
#include "ir/ir.h"

#include <stdlib.h>

enum { MAX_SPANS = 16, MAX_NESTING = 200 };

typedef struct printer {
    rt_text *out;
    const ir_module *m;
    int *number; /* by value id: for values without a name */
    int nnumbers, nvalues;
    rt_map cells;   /* address of a tensor of the module, or of a slot for one -> its name */
    rt_map objects; /* address of an rt_object -> its number */
    rt_arena scratch;
    int nobjects;
} printer;

/* ---- constants */

static void print_value(printer *p, const rt_value *at, int depth);

static void print_items(printer *p, const char *open, const rt_list *l, const char *close, int depth) {
    rt_text_str(p->out, open);
    for (int64_t i = 0; i < l->n; i++) {
        if (i) rt_text_str(p->out, ", ");
        print_value(p, &l->at[i], depth);
    }
    if (*open == '(' && l->n == 1) rt_text_str(p->out, ",");
    rt_text_str(p->out, close);
}

static void print_dict(printer *p, const rt_dict *d, int depth) {
    rt_text_str(p->out, "{");
    for (int64_t i = 0; i < d->n; i++) {
        if (i) rt_text_str(p->out, ", ");
        print_value(p, &d->keys[i], depth);
        rt_text_str(p->out, ": ");
        print_value(p, &d->values[i], depth);
    }
    rt_text_str(p->out, "}");
}

/* Tensors inside values are params or state cells of the module; a read module has slots for them until they
 * are loaded. */
static void find_cells(printer *p) {
    for (int i = 0; i < p->m->tensors.n; i++) {
        const ir_tensor_data *d = p->m->tensors.entries[i].value;
        const char *key = (const char *)&d->tensor;
        if (d->tensor && !rt_map_getn(&p->cells, key, sizeof d->tensor))
            rt_map_putn(&p->scratch, &p->cells, key, sizeof d->tensor, (void *)d->name);
    }
    for (int i = 0; i < p->m->slots.n; i++) {
        const struct ir_slot *s = &p->m->slots.at[i];
        if (s->at->tag == V_UNDEF)
            rt_map_putn(&p->scratch, &p->cells, (const char *)&s->at, sizeof s->at, (void *)s->name);
    }
}

/* `at` is the address of the tensor or of its slot. */
static bool print_cell_name(printer *p, const void *at) {
    const char *name = rt_map_getn(&p->cells, (const char *)&at, sizeof at);
    if (!name) return false;
    rt_text_str(p->out, "tensor ");
    ir_print_string(p->out, name, strlen(name));
    return true;
}

static void indent(printer *p, int depth) {
    for (int i = 0; i < depth; i++) rt_text_str(p->out, "  ");
}

static void print_object(printer *p, const rt_object *o, int depth) {
    const char *key = (const char *)&o;
    int *number = rt_map_getn(&p->objects, key, sizeof o);
    if (number) {
        rt_text_fmt(p->out, "object %d", *number);
        return;
    }
    const ir_class *cls = o->cls;
    number = RT_NEW(&p->scratch, int);
    *number = p->nobjects++;
    rt_map_putn(&p->scratch, &p->objects, key, sizeof o, number);
    rt_text_fmt(p->out, "object %d: ", *number);
    ir_print_name(p->out, cls->name);
    rt_text_str(p->out, " {");
    for (int i = 0; i < o->n && i < cls->nfields; i++) {
        rt_text_str(p->out, "\n");
        indent(p, depth + 1);
        ir_print_name(p->out, cls->fields[i]);
        rt_text_str(p->out, " = ");
        print_value(p, &o->at[i], depth + 1);
    }
    rt_text_str(p->out, "\n");
    indent(p, depth);
    rt_text_str(p->out, "}");
}

static void print_value(printer *p, const rt_value *at, int depth) {
    rt_value v = *at;
    char buf[32];
    if (depth > MAX_NESTING) {
        rt_text_str(p->out, "too deep");
        return;
    }
    switch (v.tag) {
    case V_NONE: rt_text_str(p->out, "none"); return;
    case V_BOOL: rt_text_str(p->out, v.i ? "true" : "false"); return;
    case V_INT: rt_text_fmt(p->out, "%lld", (long long)v.i); return;
    case V_FLOAT: rt_text_str(p->out, rt_print_double(buf, v.f)); return;
    case V_STR: ir_print_string(p->out, v.str->s, v.str->n); return;
    case V_LIST: print_items(p, "[", v.list, "]", depth + 1); return;
    case V_TUPLE: print_items(p, "(", v.list, ")", depth + 1); return;
    case V_DICT: print_dict(p, v.dict, depth + 1); return;
    case V_TENSOR:
        if (!print_cell_name(p, v.tensor))
            rt_text_str(p->out, "tensor ?"); /* not of this module: unreadable */
        return;
    case V_OBJECT: print_object(p, v.object, depth); return;
    default:
        if (!print_cell_name(p, at)) rt_text_str(p->out, "undef");
        return;
    }
}

/* ---- values and nodes */

static void print_ref(printer *p, const ir_value *v) {
    if (!v) rt_text_str(p->out, "%<null>");
    else if (v->name) rt_text_fmt(p->out, "%%%s", v->name);
    else if (v->id < p->nnumbers && p->number[v->id] >= 0) rt_text_fmt(p->out, "%%%d", p->number[v->id]);
    else rt_text_fmt(p->out, "%%<not defined: %d>", v->id);
}

/* Gives an unnamed value its number. */
static void print_def(printer *p, const ir_value *v) {
    if (!v->name && v->id < p->nnumbers) p->number[v->id] = p->nvalues++;
    print_ref(p, v);
}

static void print_typed(printer *p, const ir_value *v) {
    print_def(p, v);
    rt_text_str(p->out, ": ");
    ir_type_print(p->out, v->type);
    for (int i = 0; v->layout && i < v->type->rank; i++)
        rt_text_fmt(p->out, "%s%d%s", i ? ", " : " order(", v->layout->order[i], i + 1 == v->type->rank ? ")" : "");
}

static void print_refs(printer *p, int n, ir_value *const *v) {
    for (int i = 0; i < n; i++) {
        rt_text_str(p->out, i ? ", " : " ");
        print_ref(p, v[i]);
    }
}

static void print_span(printer *p, ir_span s) {
    const ir_context *c = p->m->c;
    for (int i = 0; s && s < (ir_span)c->spans.n && i < MAX_SPANS; i++) {
        const ir_place *at = &c->spans.at[s];
        if (!at->file || at->line < 1 || at->implicit) return;
        rt_text_str(p->out, i ? " @" : "  @");
        ir_print_string(p->out, at->file, strlen(at->file));
        rt_text_fmt(p->out, ":%d:%d", at->line, at->col > 0 ? at->col : 0);
        if (at->end_col > 0) rt_text_fmt(p->out, "-%d", at->end_col);
        s = at->inlined_at;
    }
}

static void print_block(printer *p, const ir_block *b, int depth);

static void print_op_name(printer *p, const ir_op *op) {
    bool clash = false; /* aten has a "size" of its own */
    for (int i = 0; op->cls != OP_STRUCT && i < IR_NSTRUCT; i++)
        clash |= !strcmp(op->full, ir_struct(p->m->c, (ir_struct_id)i)->name);
    rt_text_fmt(p->out, "%s%s", clash ? "aten::" : "", op->full);
}

static void print_sym(printer *p, const ir_node *n) {
    if (!n->sym) return;
    rt_text_str(p->out, " ");
    if (n->op->id == S_CALL) {
        rt_text_str(p->out, "@");
        ir_print_name(p->out, n->sym);
    } else {
        ir_print_string(p->out, n->sym, strlen(n->sym));
    }
}

static void print_node(printer *p, const ir_node *n, int depth) {
    indent(p, depth);
    for (int i = 0; i < n->nout; i++) {
        if (i) rt_text_str(p->out, ", ");
        print_typed(p, n->out[i]);
    }
    if (n->nout) rt_text_str(p->out, " = ");
    print_op_name(p, n->op);
    print_sym(p, n);
    print_refs(p, n->nin, n->in);
    if (n->op->id == S_CONST || n->value.tag != V_UNDEF) {
        rt_text_str(p->out, n->op->id == S_CONST ? " " : " value ");
        print_value(p, &n->value, 0);
    }
    if (n->type) {
        rt_text_str(p->out, " as ");
        ir_type_print(p->out, n->type);
    }
    print_span(p, n->span);
    for (int i = 0; i < n->nblocks; i++) {
        rt_text_str(p->out, i && n->op->id == S_IF ? " else {\n" : " {\n");
        print_block(p, n->blocks[i], depth + 1);
        indent(p, depth);
        rt_text_str(p->out, "}");
    }
    rt_text_str(p->out, "\n");
}

static void print_block(printer *p, const ir_block *b, int depth) {
    if (b->owner && b->params.n) {
        indent(p, depth);
        rt_text_str(p->out, "^(");
        for (int i = 0; i < b->params.n; i++) {
            if (i) rt_text_str(p->out, ", ");
            print_typed(p, b->params.at[i]);
        }
        rt_text_str(p->out, "):\n");
    }
    for (const ir_node *n = b->first; n; n = n->next) print_node(p, n, depth);
    indent(p, depth);
    rt_text_str(p->out, b->owner ? "yield" : "return");
    print_refs(p, b->results.n, b->results.at);
    rt_text_str(p->out, "\n");
}

/* ---- functions */

static void print_signature(printer *p, const ir_func *f) {
    rt_text_str(p->out, "func @");
    ir_print_name(p->out, f->name);
    rt_text_str(p->out, "(");
    for (int i = 0; i < f->body->params.n; i++) {
        const ir_value *v = f->body->params.at[i];
        if (i) rt_text_str(p->out, ", ");
        print_def(p, v);
        const char *name = f->param_names ? f->param_names[i] : NULL;
        if (name && *name && (!v->name || strcmp(name, v->name))) {
            rt_text_str(p->out, " as ");
            ir_print_name(p->out, name);
        }
        rt_text_str(p->out, ": ");
        ir_type_print(p->out, v->type);
    }
    rt_text_str(p->out, ") -> ");
    ir_type_print(p->out, f->result);
    if (f->exported) rt_text_str(p->out, " export");
    if (f->entry) rt_text_str(p->out, " entry");
    if (f->method) {
        rt_text_str(p->out, " of ");
        ir_print_string(p->out, f->method, strlen(f->method));
    }
    print_span(p, f->span);
}

static void print_func(printer *p, const ir_func *f) {
    p->nnumbers = f->nvalues;
    p->nvalues = 0;
    p->number = rt_malloc((size_t)f->nvalues * sizeof *p->number);
    if (!p->number) p->nnumbers = 0;
    for (int i = 0; i < p->nnumbers; i++) p->number[i] = -1;
    print_signature(p, f);
    rt_text_str(p->out, " {\n");
    for (int i = 0; i < f->guards.n; i++) {
        const ir_guard *g = &f->guards.at[i];
        rt_text_str(p->out, "  assume ");
        ir_dim_print(p->out, g->a);
        rt_text_str(p->out, g->rel == '=' ? " == " : " <= ");
        ir_dim_print(p->out, g->b);
        rt_text_str(p->out, " ");
        ir_print_string(p->out, g->why ? g->why : "", strlen(g->why ? g->why : ""));
        print_span(p, g->span);
        rt_text_str(p->out, "\n");
    }
    print_block(p, f->body, 1);
    rt_text_str(p->out, "}\n");
    rt_free(p->number);
    p->number = NULL;
}

void ir_print_func(rt_text *out, const ir_func *f) {
    printer p = {.out = out, .m = f->module};
    print_func(&p, f);
    rt_arena_free(&p.scratch);
}

/* ---- the header: symbols, classes, tensors */

typedef struct symbols {
    printer *p;
    rt_map seen;
} symbols;

static void visit_symbol(void *env, const char *name) {
    symbols *s = env;
    if (rt_map_get(&s->seen, name)) return;
    rt_map_put(&s->p->scratch, &s->seen, name, s);
    const ir_symbol *sym = rt_map_get(&s->p->m->c->symbols, name);
    if (!sym || (sym->lo == 1 && sym->hi == INT32_MAX)) return;
    rt_text_str(s->p->out, "symbol ");
    ir_print_name(s->p->out, name);
    rt_text_fmt(s->p->out, ": %lld..%lld\n", (long long)sym->lo, (long long)sym->hi);
}

static void type_symbols(symbols *s, const ir_type *t) {
    for (int i = 0; t->kind == T_TENSOR && i < t->rank; i++)
        if (t->dims[i]) ir_dim_symbols(t->dims[i], visit_symbol, s);
    if (t->dim) ir_dim_symbols(t->dim, visit_symbol, s);
    for (int i = 0; i < t->n; i++) type_symbols(s, t->elem[i]);
}

static void block_symbols(symbols *s, const ir_block *b) {
    for (int i = 0; i < b->params.n; i++) type_symbols(s, b->params.at[i]->type);
    for (const ir_node *n = b->first; n; n = n->next) {
        for (int i = 0; i < n->nout; i++) type_symbols(s, n->out[i]->type);
        if (n->type) type_symbols(s, n->type);
        for (int i = 0; i < n->nblocks; i++) block_symbols(s, n->blocks[i]);
    }
}

static void print_symbols(printer *p) {
    symbols s = {.p = p};
    for (int i = 0; i < p->m->tensors.n; i++) {
        const ir_tensor_data *d = p->m->tensors.entries[i].value;
        if (d->type) type_symbols(&s, d->type);
    }
    for (int i = 0; i < p->m->classes.n; i++) {
        const ir_class *cls = p->m->classes.entries[i].value;
        for (int k = 0; k < cls->nfields; k++) type_symbols(&s, cls->types[k]);
    }
    for (int i = 0; i < p->m->funcs.n; i++) {
        const ir_func *f = p->m->funcs.entries[i].value;
        for (int k = 0; k < f->body->params.n; k++) type_symbols(&s, f->body->params.at[k]->type);
        type_symbols(&s, f->result);
        for (int k = 0; k < f->guards.n; k++) {
            ir_dim_symbols(f->guards.at[k].a, visit_symbol, &s);
            ir_dim_symbols(f->guards.at[k].b, visit_symbol, &s);
        }
        block_symbols(&s, f->body);
    }
}

static void print_class(printer *p, const ir_class *cls) {
    rt_text_str(p->out, "class ");
    ir_print_name(p->out, cls->name);
    rt_text_str(p->out, cls->is_module ? " module" : cls->is_tuple ? " tuple" : cls->is_enum ? " enum" : "");
    rt_text_str(p->out, " {\n");
    for (int i = 0; i < cls->nfields; i++) {
        rt_text_str(p->out, "  ");
        ir_print_name(p->out, cls->fields[i]);
        rt_text_str(p->out, ": ");
        ir_type_print(p->out, cls->types[i]);
        rt_text_str(p->out, "\n");
    }
    for (int i = 0; i < cls->constants.n; i++) {
        rt_text_str(p->out, "  const ");
        ir_print_name(p->out, cls->constants.entries[i].key);
        rt_text_str(p->out, " = ");
        print_value(p, cls->constants.entries[i].value, 1);
        rt_text_str(p->out, "\n");
    }
    for (int i = 0; i < cls->methods.n; i++) {
        const ir_func *f = cls->methods.entries[i].value;
        rt_text_str(p->out, "  method ");
        ir_print_name(p->out, cls->methods.entries[i].key);
        rt_text_str(p->out, " = @");
        ir_print_name(p->out, f->name);
        rt_text_str(p->out, "\n");
    }
    rt_text_str(p->out, "}\n");
}

static void print_cell(printer *p, const ir_tensor_data *d) {
    const ir_type *t = ir_tensor_data_type(p->m->c, d);
    rt_text_str(p->out, d->state ? "state " : "param ");
    ir_print_string(p->out, d->name, strlen(d->name));
    rt_text_str(p->out, ": ");
    ir_type_print(p->out, t);
    if (t->kind != T_TENSOR) {
        rt_text_str(p->out, " = ");
        print_value(p, &d->init, 0);
    }
    rt_text_str(p->out, "\n");
}

void ir_print_module(rt_text *out, const ir_module *m) {
    static const char *const states[] = {"surface", "core", "grouped", "planned"};
    printer p = {.out = out, .m = m};
    rt_text_str(out, "module ");
    ir_print_string(out, m->name ? m->name : "", strlen(m->name ? m->name : ""));
    rt_text_fmt(out, " %s\n", states[m->state]);
    find_cells(&p);
    print_symbols(&p);
    for (int i = 0; i < m->classes.n; i++) print_class(&p, m->classes.entries[i].value);
    for (int i = 0; i < m->tensors.n; i++) print_cell(&p, m->tensors.entries[i].value);
    if (m->self.tag == V_OBJECT) {
        rt_text_str(out, "self = ");
        print_value(&p, &m->self, 0);
        rt_text_str(out, "\n");
    }
    for (int i = 0; i < m->funcs.n; i++) {
        rt_text_str(out, "\n");
        print_func(&p, m->funcs.entries[i].value);
    }
    rt_arena_free(&p.scratch);
}
