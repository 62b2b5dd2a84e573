/* artefact_tables.c: the tables of an artefact: signatures, symbols, guards, messages, literals, params,
 * states.
 *
 * Children of a desc or a literal are consecutive rows, so rows are reserved first and filled afterwards (by
 * index: the arrays move). */
#include "codegen/artefact.h"

/* ---- texts */

static rt_text_ref text_row(cg_rows *r, const char *s, size_t n) {
    if (!r->text.n) RT_PUSH(&r->c->arena, &r->text, 0);
    if (!n) return 0;
    void *known = rt_map_getn(&r->texts, s, n);
    if (known) return (rt_text_ref)(uintptr_t)known;
    int at = r->text.n;
    for (size_t i = 0; i < n; i++) RT_PUSH(&r->c->arena, &r->text, s[i]);
    RT_PUSH(&r->c->arena, &r->text, 0);
    rt_map_putn(&r->c->arena, &r->texts, s, n, (void *)(uintptr_t)at);
    return (rt_text_ref)at;
}

rt_text_ref cg_text_row(cg_rows *r, const char *s) { return text_row(r, s ? s : "", s ? strlen(s) : 0); }

/* ---- dims */

static void push_expr(cg_rows *r, int64_t op, int64_t k) {
    rt_expr x = {op, k};
    RT_PUSH(&r->c->arena, &r->exprs, x);
}

static bool expr_rows(cg_rows *r, const lower_plan *p, const ir_dim *d);

static bool atom_rows(cg_rows *r, const lower_plan *p, const ir_atom *a) {
    static const int64_t ops[] = {
        [ATOM_FLOORDIV] = RT_X_FLOORDIV, [ATOM_MOD] = RT_X_MOD, [ATOM_MIN] = RT_X_MIN, [ATOM_MAX] = RT_X_MAX};
    if (a->kind == ATOM_SYMBOL) {
        int s = plan_symbol(p, a->symbol);
        push_expr(r, RT_X_SYMBOL, s);
        return s >= 0;
    }
    if (!expr_rows(r, p, a->a) || !expr_rows(r, p, a->b)) return false;
    push_expr(r, ops[a->kind], 0);
    return true;
}

static bool expr_rows(cg_rows *r, const lower_plan *p, const ir_dim *d) {
    for (int i = 0; i < d->nterms; i++) {
        const ir_term *t = &d->terms[i];
        bool one = t->coef == 1 && t->natoms;
        if (!one) push_expr(r, RT_X_CONST, t->coef);
        for (int k = 0; k < t->natoms; k++) {
            if (!atom_rows(r, p, t->atoms[k])) return false;
            if (k || !one) push_expr(r, RT_X_MUL, 0);
        }
        if (i) push_expr(r, RT_X_ADD, 0);
    }
    if (!d->nterms) push_expr(r, RT_X_CONST, 0);
    return true;
}

/* First row of the expression, or -1 if it has symbols that are not known at entry. */
static int32_t expr_row(cg_rows *r, const lower_plan *p, const ir_dim *d) {
    int first = r->exprs.n;
    if (!expr_rows(r, p, d)) {
        r->exprs.n = first;
        return -1;
    }
    push_expr(r, RT_X_END, 0);
    return first;
}

static int single_symbol(const lower_plan *p, const ir_dim *d) {
    if (!p || !d || d->nterms != 1 || d->terms[0].coef != 1 || d->terms[0].natoms != 1) return -1;
    const ir_atom *a = d->terms[0].atoms[0];
    return a->kind == ATOM_SYMBOL ? plan_symbol(p, a->symbol) : -1;
}

static rt_text_ref formula_row(cg_rows *r, const ir_dim *d) {
    rt_text t = {0};
    if (d) ir_dim_print(&t, d);
    rt_text_ref row = cg_text_row(r, t.s ? t.s : "?");
    rt_text_free(&t);
    return row;
}

static rt_dim dim_row(cg_rows *r, const lower_plan *p, const ir_dim *d) {
    rt_dim row = {.value = -1, .symbol = -1, .expr = -1};
    if (d && ir_dim_is_const(d, &row.value)) return row;
    row.value = -1;
    row.text = formula_row(r, d);
    if (!d || !p) return row;
    row.symbol = single_symbol(p, d);
    if (row.symbol < 0) row.expr = expr_row(r, p, d);
    return row;
}

static int32_t dim_rows(cg_rows *r, const lower_plan *p, const ir_type *t) {
    int32_t first = r->dims.n;
    rt_dim *rows = RT_ARRAY(&r->c->arena, rt_dim, t->rank + 1);
    for (int i = 0; i < t->rank; i++) rows[i] = dim_row(r, p, t->dims[i]);
    for (int i = 0; i < t->rank; i++) RT_PUSH(&r->c->arena, &r->dims, rows[i]);
    return first;
}

/* ---- descs */

static int32_t reserve_descs(cg_rows *r, int n) {
    int32_t first = r->descs.n;
    rt_desc none = {.symbol = -1, .literal = -1, .def = -1};
    for (int i = 0; i < n; i++) RT_PUSH(&r->c->arena, &r->descs, none);
    return first;
}

static rt_desc_kind kind_of(const ir_type *t) {
    switch (t->kind) {
    case T_NONE: return RT_D_NONE;
    case T_BOOL: return RT_D_BOOL;
    case T_INT: return RT_D_INT;
    case T_FLOAT: return RT_D_FLOAT;
    case T_STR:
    case T_DEVICE: return RT_D_STR;
    case T_TENSOR: return t->dtype == DT_NONE || t->rank < 0 ? RT_D_ANY : RT_D_TENSOR;
    case T_LIST: return RT_D_LIST;
    case T_TUPLE: return RT_D_TUPLE;
    case T_OPTIONAL: return RT_D_OPTIONAL;
    case T_DICT: return RT_D_DICT;
    case T_BOTTOM: return RT_D_BOTTOM;
    default: return RT_D_ANY;
    }
}

/* p NULL: no symbol means anything (state). */
static void fill_desc(cg_rows *r, int32_t row, const ir_type *t, const lower_plan *p) {
    rt_desc d = r->descs.at[row];
    d.kind = (uint8_t)kind_of(t);
    d.dtype = d.kind == RT_D_TENSOR ? (int8_t)t->dtype : DT_NONE;
    if (d.kind == RT_D_TENSOR) {
        d.n = t->rank;
        d.first = dim_rows(r, p, t);
    } else if (d.kind == RT_D_INT) {
        d.symbol = single_symbol(p, t->dim);
    } else if (d.kind >= RT_D_LIST && d.kind <= RT_D_DICT) {
        d.n = t->n;
        d.first = reserve_descs(r, t->n);
    }
    r->descs.at[row] = d;
    for (int i = 0; d.kind >= RT_D_LIST && d.kind <= RT_D_DICT && i < t->n; i++) {
        if (t->fields) r->descs.at[d.first + i].name = cg_text_row(r, t->fields[i]);
        fill_desc(r, d.first + i, t->elem[i], p);
    }
}

/* As the plan takes the result apart: what is no tuple node stays one leaf. */
static void fill_result(cg_rows *r, int32_t row, const ir_value *v, const lower_plan *p) {
    const ir_node *n = v->def;
    bool apart = v->type->kind == T_TUPLE && n && n->op->cls == OP_STRUCT && n->op->id == S_TUPLE;
    if (!apart) {
        fill_desc(r, row, v->type, p);
        if (v->type->kind == T_TUPLE) r->descs.at[row].flags |= RT_DESC_BOXED;
        if (v->type->kind == T_INT) r->descs.at[row].symbol = -1;
        return;
    }
    int32_t first = reserve_descs(r, n->nin);
    rt_desc *d = &r->descs.at[row];
    d->kind = RT_D_TUPLE, d->n = n->nin, d->first = first;
    for (int i = 0; i < n->nin; i++) {
        if (v->type->fields && i < v->type->n)
            r->descs.at[first + i].name = cg_text_row(r, v->type->fields[i]);
        fill_result(r, first + i, n->in[i], p);
    }
}

/* ---- literals */

static int32_t reserve_literals(cg_rows *r, int64_t n) {
    int32_t first = r->literals.n;
    for (int64_t i = 0; i < n; i++) RT_PUSH(&r->c->arena, &r->literals, (rt_literal){0});
    return first;
}

static int32_t param_number(cg_rows *r, const char *name, rt_tensor *t) {
    ir_tensor_data d = {.name = name, .tensor = t};
    return (int32_t)(cg_param_of(r->c, r->tables, &d) - r->tables->params.at);
}

static bool fill_literal(cg_rows *r, int32_t row, const char *name, rt_value v) {
    rt_literal l = {.tag = (int32_t)v.tag};
    bool ok = true;
    int64_t n = v.tag == V_DICT ? 2 * v.dict->n : v.tag == V_LIST || v.tag == V_TUPLE ? v.list->n : 0;
    switch (v.tag) {
    case V_NONE: break;
    case V_BOOL:
    case V_INT: l.i = v.i; break;
    case V_FLOAT: memcpy(&l.i, &v.f, sizeof l.i); break;
    case V_STR:
        l.text = text_row(r, v.str->s, v.str->n);
        l.n = (int32_t)v.str->n;
        break;
    case V_TENSOR: l.first = param_number(r, name, v.tensor); break;
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
        l.n = (int32_t)n;
        l.first = reserve_literals(r, n);
        break;
    default: return false;
    }
    r->literals.at[row] = l;
    for (int64_t i = 0; i < n && ok; i++) {
        rt_value x = v.tag != V_DICT ? v.list->at[i] : i % 2 ? v.dict->values[i / 2] : v.dict->keys[i / 2];
        ok = fill_literal(r, l.first + (int32_t)i, name, x);
    }
    return ok;
}

/* -1: the value cannot be one (an object). */
static int32_t literal_row(cg_rows *r, const char *name, rt_value v) {
    int32_t row = reserve_literals(r, 1);
    if (fill_literal(r, row, name, v)) return row;
    r->literals.n = row;
    return -1;
}

/* ---- entries */

/* The file as seen from the model, wherever that lies: equal models give equal bytes. */
static const char *place(const cg_rows *r, const char *file) {
    size_t n = r->folder ? strlen(r->folder) : 0;
    return file && n && !strncmp(file, r->folder, n) ? file + n : file;
}

static int32_t message_row(cg_rows *r, const char *cls, const char *text, ir_span at) {
    const ir_place *p = &r->c->spans.at[at];
    rt_message m = {.cls = cg_text_row(r, cls),
                    .text = cg_text_row(r, text),
                    .file = cg_text_row(r, place(r, p->file)),
                    .line = p->line,
                    .col = p->col};
    RT_PUSH(&r->c->arena, &r->messages, m);
    return r->messages.n - 1;
}

static void symbol_rows(cg_rows *r, const lower_plan *p, rt_art_entry *row) {
    row->symbols = r->symbols.n;
    row->nsymbols = p->symbols.n;
    for (int i = 0; i < p->symbols.n; i++) {
        const ir_symbol *s = ir_symbol_get(r->c, p->symbols.at[i]);
        rt_symbol x = {.name = cg_text_row(r, s->name), .lo = s->lo, .hi = s->hi};
        RT_PUSH(&r->c->arena, &r->symbols, x);
    }
}

static void argument_rows(cg_rows *r, const ir_func *f, const lower_entry *e, const lower_plan *p,
                          rt_art_entry *row) {
    row->nargs = f->body->params.n;
    row->args = reserve_descs(r, row->nargs);
    for (int i = 0; i < row->nargs; i++) {
        const ir_value *v = f->body->params.at[i];
        const lower_arg *a = e && i < e->nargs ? &e->args[i] : NULL;
        int32_t d = row->args + i;
        fill_desc(r, d, v->type, p);
        r->descs.at[d].name = cg_text_row(r, a && a->name ? a->name : v->name);
        int32_t literal = a && a->constant ? literal_row(r, "", a->value) : -1;
        int32_t def = a && a->has_default ? literal_row(r, "", a->def) : -1;
        r->descs.at[d].literal = literal;
        r->descs.at[d].def = def;
    }
}

static void write_rows(cg_rows *r, const lower_plan *p, rt_art_entry *row) {
    int nresult = p->out.n - p->writes.n;
    row->extra = reserve_descs(r, p->writes.n);
    row->nextra = row->nwrites = p->writes.n;
    row->writes = r->writes.n;
    for (int i = 0; i < p->writes.n; i++) {
        const ir_value *to = p->writes.at[i]->in[0];
        fill_desc(r, row->extra + i, p->writes.at[i]->in[1]->type, p);
        rt_write w = {p->at[to->id].index, nresult + i};
        RT_PUSH(&r->c->arena, &r->writes, w);
        if (!to->def) r->descs.at[row->args + to->index].flags |= RT_DESC_WRITTEN;
    }
}

static void guard_rows(cg_rows *r, const ir_func *f, const lower_plan *p, rt_art_entry *row) {
    row->guards = r->guards.n;
    for (int i = 0; i < f->guards.n; i++) {
        const ir_guard *g = &f->guards.at[i];
        rt_guard x = {expr_row(r, p, g->a), expr_row(r, p, g->b), g->rel, 0};
        if (x.a < 0 || x.b < 0) {
            ir_error(r->c, g->span,
                     "internal: a guard of the entry %s uses a size that is not known at entry: %s", f->name,
                     g->why);
            continue;
        }
        x.message = message_row(r, "", g->why, g->span);
        RT_PUSH(&r->c->arena, &r->guards, x);
    }
    row->nguards = r->guards.n - row->guards;
}

static void op_rows(cg_rows *r, const cg_entry *code, rt_art_entry *row) {
    const lower_plan *p = code->plan;
    row->ops = r->ops.n;
    row->nops = code->ops.n;
    for (int i = 0; i < code->ops.n; i++) {
        const cg_op *x = &code->ops.at[i];
        rt_op o = {cg_text_row(r, x->name), message_row(r, "", "", x->span), -1, -1, cg_text_row(r, x->result)};
        if (x->flops && x->flops->nterms) o.flops = expr_row(r, p, x->flops);
        if (x->bytes) o.bytes = expr_row(r, p, x->bytes);
        RT_PUSH(&r->c->arena, &r->ops, o);
    }
}

void cg_entry_rows(cg_rows *r, const ir_func *f, const lower_entry *e, const cg_entry *code) {
    const lower_plan *p = code->plan;
    rt_art_entry row = {.method = cg_text_row(r, f->method ? f->method : f->name), .nslots = code->nslots};
    symbol_rows(r, p, &row);
    argument_rows(r, f, e, p, &row);
    row.result = reserve_descs(r, 1);
    fill_result(r, row.result, f->body->results.at[0], p);
    write_rows(r, p, &row);
    guard_rows(r, f, p, &row);
    op_rows(r, code, &row);
    row.workspace = formula_row(r, p->workspace);
    row.alive = p->alive;
    RT_PUSH(&r->c->arena, &r->entries, row);
}

/* ---- what entries share */

static bool state_rows(cg_rows *r, const ir_module *m) {
    for (int i = 0; i < r->tables->states.n; i++) {
        const char *name = r->tables->states.at[i];
        const ir_tensor_data *d = rt_map_get(&m->tensors, name);
        rt_state s = {.name = cg_text_row(r, name), .desc = reserve_descs(r, 1), .initial = -1};
        if (d) fill_desc(r, s.desc, ir_tensor_data_type(r->c, d), NULL);
        if (d && d->tensor)
            s.initial = literal_row(r, name, (rt_value){.tag = V_TENSOR, .tensor = d->tensor});
        else if (d) s.initial = literal_row(r, name, d->init);
        if (s.initial < 0) {
            ir_error(r->c, 0, "the first value of the state \"%s\" cannot be stored in a module", name);
            return false;
        }
        RT_PUSH(&r->c->arena, &r->states, s);
    }
    return true;
}

static void param_rows(cg_rows *r) {
    for (int i = 0; i < r->tables->params.n; i++) {
        const cg_param *p = &r->tables->params.at[i];
        rt_param x = {.name = cg_text_row(r, p->name),
                      .dtype = p->tensor->dtype,
                      .rank = p->tensor->ndim,
                      .first = r->dims.n,
                      .offset = p->offset,
                      .bytes = p->bytes};
        for (int k = 0; k < p->tensor->ndim; k++) {
            rt_dim d = {.value = p->tensor->shape[k], .symbol = -1, .expr = -1};
            RT_PUSH(&r->c->arena, &r->dims, d);
        }
        RT_PUSH(&r->c->arena, &r->params, x);
    }
}

/* Rows of the host code's messages come first: their numbers are in the code. */
static void message_rows(cg_rows *r) {
    int shift = r->tables->messages.n, n = r->messages.n;
    rt_message *guards = rt_arena_copy(&r->c->arena, r->messages.at, (size_t)n * sizeof *guards);
    r->messages.n = 0;
    for (int i = 0; i < shift; i++) {
        const cg_message *m = &r->tables->messages.at[i];
        message_row(r, m->cls, m->text, m->span);
    }
    for (int i = 0; i < n; i++) RT_PUSH(&r->c->arena, &r->messages, guards[i]);
    for (int i = 0; i < r->guards.n; i++) r->guards.at[i].message += shift;
    for (int i = 0; i < r->ops.n; i++) r->ops.at[i].message += shift;
}

bool cg_shared_rows(cg_rows *r, const ir_module *m) {
    if (!state_rows(r, m)) return false;
    param_rows(r);
    for (int i = 0; i < r->tables->hosts.n; i++) {
        RT_PUSH(&r->c->arena, &r->hosts, cg_text_row(r, r->tables->hosts.at[i].name));
        RT_PUSH(&r->c->arena, &r->signatures, cg_text_row(r, r->tables->hosts.at[i].signature));
    }
    message_rows(r);
    cg_text_row(r, "");
    return true;
}

/* A hash of what lies where, never of the values: see rt_artefact. */
uint64_t cg_weights_layout(const cg_rows *r) {
    uint64_t h = r->tables->weights_bytes;
    for (int i = 0; i < r->params.n; i++) {
        const rt_param *p = &r->params.at[i];
        const char *name = r->text.at + p->name;
        uint64_t facts[] = {(uint64_t)p->dtype, (uint64_t)p->rank, p->offset, p->bytes, p->packed};
        h = rt_hash(name, strlen(name), h);
        h = rt_hash(facts, sizeof facts, h);
    }
    return h;
}
