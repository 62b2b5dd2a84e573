/* verify.c: is a module well formed, for the state it says it is in?
 *
 * Structure first (use lists, order of definitions, blocks), then each node against its schema or the rule of
 * its structural op, then what core demands.  Stops at the first violation: later ones would often follow
 * from it. */
#include "ir/ir.h"

typedef struct verifier {
    ir_module *m;
    ir_context *c;
    const ir_func *f;
    bool *visible; /* by value id: defined on the way here */
    int *uses;     /* by value id: uses met */
} verifier;

/* ---- messages */

static const char *type_text(ir_context *c, const ir_type *t) {
    rt_text out = {0};
    ir_type_print(&out, t);
    const char *s = ir_fmt(c, "%s", out.s ? out.s : "?");
    rt_text_free(&out);
    return s;
}

static const char *node_text(verifier *v, const ir_node *n) {
    return n->nout ? ir_fmt(v->c, "%s = %s", ir_value_text(n->out[0]), n->op->full) : n->op->full;
}

static bool bad(verifier *v, const ir_node *n, const char *fmt, ...) RT_PRINTF(3, 4);
static bool bad(verifier *v, const ir_node *n, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *text = rt_arena_vfmt(&v->c->arena, fmt, ap);
    va_end(ap);
    ir_span at = n && n->span ? n->span : v->f ? v->f->span : 0;
    if (n) ir_error(v->c, at, "verify: @%s: %s: %s", v->f->name, node_text(v, n), text);
    else ir_error(v->c, at, "verify: @%s: %s", v->f ? v->f->name : "", text);
    return false;
}

/* Values that flow into a block parameter or a result bind its symbols anew: dims need not agree. */
static bool same_but_dims(const ir_type *a, const ir_type *b) {
    if (b->kind == T_OPTIONAL && a->kind != T_OPTIONAL) return a->kind == T_NONE || same_but_dims(a, b->elem[0]);
    if (a->kind == T_BOTTOM) return true;
    if (a->kind != b->kind || a->n != b->n) return false;
    if (a->kind == T_TENSOR) return a->dtype == b->dtype && a->rank == b->rank;
    if (a->kind == T_CLASS) return a->cls == b->cls;
    for (int i = 0; i < a->n; i++)
        if (!same_but_dims(a->elem[i], b->elem[i])) return false;
    return true;
}

static bool want_type(verifier *v, const ir_node *n, const char *what, const ir_type *have,
                      const ir_type *want) {
    if (ir_subtype(have, want) || same_but_dims(have, want)) return true;
    return bad(v, n, "%s: %s wanted, got %s", what, type_text(v->c, want), type_text(v->c, have));
}

static bool want_kind(verifier *v, const ir_node *n, int i, ir_kind kind) {
    if (n->nin <= i) return bad(v, n, "input %d is missing", i);
    return want_type(v, n, ir_fmt(v->c, "input %d", i), n->in[i]->type, ir_type_simple(v->c, kind));
}

static bool counts(verifier *v, const ir_node *n, int nin, int nout, int nblocks) {
    if (nin >= 0 && n->nin != nin) return bad(v, n, "%d inputs wanted, got %d", nin, n->nin);
    if (nout >= 0 && n->nout != nout) return bad(v, n, "%d results wanted, got %d", nout, n->nout);
    return n->nblocks == nblocks || bad(v, n, "%d blocks wanted, got %d", nblocks, n->nblocks);
}

/* ---- structural ops */

static bool fits(rt_value x, const ir_type *t) {
    switch (t->kind) {
    case T_ANY: return true;
    case T_OPTIONAL: return x.tag == V_NONE || fits(x, t->elem[0]);
    case T_UNION:
        for (int i = 0; i < t->n; i++)
            if (fits(x, t->elem[i])) return true;
        return false;
    case T_NONE: return x.tag == V_NONE;
    case T_BOOL: return x.tag == V_BOOL;
    case T_INT: return x.tag == V_INT;
    case T_FLOAT: return x.tag == V_FLOAT;
    case T_NUMBER: return x.tag == V_BOOL || x.tag == V_INT || x.tag == V_FLOAT;
    case T_STR:
    case T_DEVICE: return x.tag == V_STR;
    case T_LIST:
    case T_TUPLE:
        if (x.tag != (t->kind == T_LIST ? V_LIST : V_TUPLE)) return false;
        if (t->kind == T_TUPLE && x.list->n != t->n) return false;
        for (int64_t i = 0; i < x.list->n; i++)
            if (!fits(x.list->at[i], t->elem[t->kind == T_LIST ? 0 : i])) return false;
        return true;
    case T_DICT:
        if (x.tag != V_DICT) return false;
        for (int64_t i = 0; i < x.dict->n; i++)
            if (!fits(x.dict->keys[i], t->elem[0]) || !fits(x.dict->values[i], t->elem[1])) return false;
        return true;
    default: return false;
    }
}

static bool check_const(verifier *v, const ir_node *n) {
    if (!counts(v, n, 0, 1, 0)) return false;
    return fits(n->value, n->out[0]->type) ||
           bad(v, n, "the value is no %s", type_text(v->c, n->out[0]->type));
}

static bool check_cell(verifier *v, const ir_node *n) {
    bool set = n->op->id == S_SETSTATE;
    if (!counts(v, n, set, set ? n->nout : 1, 0)) return false;
    const ir_tensor_data *d = n->sym ? rt_map_get(&v->m->tensors, n->sym) : NULL;
    if (!d) return bad(v, n, "the module has no \"%s\"", n->sym ? n->sym : "");
    if (d->state != (n->op->id != S_PARAM))
        return bad(v, n, "\"%s\" is a %s", n->sym, d->state ? "state" : "param");
    const ir_type *t = ir_tensor_data_type(v->c, d);
    if (set) return want_type(v, n, "new value", ir_surface(v->c, n->in[0]->type), ir_surface(v->c, t));
    return want_type(v, n, "result", t, n->out[0]->type);
}

static bool check_yields(verifier *v, const ir_node *n, const ir_block *b, int skip, int nwant,
                         ir_value *const *want) {
    if (b->results.n != nwant + skip)
        return bad(v, n, "its block yields %d values, not %d", b->results.n, nwant + skip);
    for (int i = 0; i < nwant; i++)
        if (!want_type(v, n, ir_fmt(v->c, "yielded value %d", i + skip), b->results.at[i + skip]->type,
                       want[i]->type))
            return false;
    return true;
}

static bool check_if(verifier *v, const ir_node *n) {
    if (!counts(v, n, 1, -1, 2) || !want_kind(v, n, 0, T_BOOL)) return false;
    for (int i = 0; i < 2; i++) {
        if (n->blocks[i]->params.n) return bad(v, n, "its blocks take no parameters");
        if (!check_yields(v, n, n->blocks[i], 0, n->nout, n->out)) return false;
    }
    return true;
}

static bool check_loop(verifier *v, const ir_node *n) {
    if (!counts(v, n, n->nout + 2, -1, 1)) return false;
    if (!want_kind(v, n, 0, T_INT) || !want_kind(v, n, 1, T_BOOL)) return false;
    const ir_block *b = n->blocks[0];
    if (b->params.n != n->nout + 1)
        return bad(v, n, "its block takes %d parameters, not %d", b->params.n, n->nout + 1);
    if (b->params.at[0]->type->kind != T_INT)
        return bad(v, n, "the first parameter of its block is the int counter");
    if (!check_yields(v, n, b, 1, n->nout, &b->params.at[1])) return false;
    if (b->results.at[0]->type->kind != T_BOOL) return bad(v, n, "its block yields the bool condition first");
    for (int i = 0; i < n->nout; i++) {
        const ir_type *t = b->params.at[i + 1]->type;
        if (!want_type(v, n, ir_fmt(v->c, "carried value %d", i), n->in[i + 2]->type, t)) return false;
        if (!want_type(v, n, ir_fmt(v->c, "result %d", i), t, n->out[i]->type)) return false;
    }
    return true;
}

static bool check_container(verifier *v, const ir_node *n) {
    if (!counts(v, n, -1, 1, 0)) return false;
    const ir_type *t = n->out[0]->type;
    ir_kind kind = n->op->id == S_LIST ? T_LIST : n->op->id == S_DICT ? T_DICT : T_TUPLE;
    if (t->kind == T_ANY) return true;
    if (t->kind == T_OPTIONAL) t = t->elem[0];
    if (t->kind != kind) return bad(v, n, "the result is no %s", n->op->name);
    if (kind == T_TUPLE && t->n != n->nin) return bad(v, n, "%d inputs wanted, got %d", t->n, n->nin);
    if (kind == T_DICT && n->nin % 2) return bad(v, n, "a key without a value");
    for (int i = 0; i < n->nin; i++) {
        const ir_type *elem = t->elem[kind == T_LIST ? 0 : kind == T_DICT ? i % 2 : i];
        if (!want_type(v, n, ir_fmt(v->c, "element %d", i), n->in[i]->type, elem)) return false;
    }
    return true;
}

static bool check_unpack(verifier *v, const ir_node *n) {
    if (!counts(v, n, 1, -1, 0)) return false;
    const ir_type *t = n->in[0]->type;
    if (t->kind == T_LIST || t->kind == T_ANY) return true;
    if (t->kind != T_TUPLE) return bad(v, n, "a tuple or list wanted, got %s", type_text(v->c, t));
    if (t->n != n->nout) return bad(v, n, "the tuple has %d elements, not %d", t->n, n->nout);
    for (int i = 0; i < t->n; i++)
        if (!want_type(v, n, ir_fmt(v->c, "element %d", i), t->elem[i], n->out[i]->type)) return false;
    return true;
}

static bool check_index(verifier *v, const ir_node *n) {
    if (!counts(v, n, 2, 1, 0) || !want_kind(v, n, 1, T_INT)) return false;
    const ir_type *t = n->in[0]->type;
    if (t->kind != T_TUPLE) return bad(v, n, "a tuple wanted, got %s", type_text(v->c, t));
    const rt_value *k = ir_const_of(n->in[1]);
    if (!k || k->tag != V_INT) return true;
    int64_t i = k->i < 0 ? k->i + t->n : k->i;
    if (i < 0 || i >= t->n) return bad(v, n, "the tuple has %d elements", t->n);
    return want_type(v, n, "result", t->elem[i], n->out[0]->type);
}

static bool check_attr(verifier *v, const ir_node *n) {
    bool set = n->op->id == S_SETATTR;
    if (!counts(v, n, set ? 2 : 1, set ? n->nout : 1, 0)) return false;
    const ir_type *t = n->in[0]->type;
    if (t->kind == T_TUPLE && t->fields && !set) return true;
    if (t->kind != T_CLASS) return bad(v, n, "an object wanted, got %s", type_text(v->c, t));
    for (int i = 0; n->sym && i < t->cls->nfields; i++) {
        if (strcmp(t->cls->fields[i], n->sym)) continue;
        const ir_type *field = t->cls->types[i];
        return set ? want_type(v, n, "value", n->in[1]->type, field)
                   : want_type(v, n, "result", field, n->out[0]->type);
    }
    return bad(v, n, "class %s has no field '%s'", t->cls->name, n->sym ? n->sym : "");
}

static bool check_call(verifier *v, const ir_node *n) {
    const ir_func *f = n->sym ? rt_map_get(&v->m->funcs, n->sym) : NULL;
    if (!f) return bad(v, n, "no function '%s'", n->sym ? n->sym : "");
    if (!counts(v, n, f->body->params.n, 1, 0)) return false;
    for (int i = 0; i < n->nin; i++)
        if (!want_type(v, n, ir_fmt(v->c, "argument %d", i), n->in[i]->type, f->body->params.at[i]->type))
            return false;
    return want_type(v, n, "result", f->result, n->out[0]->type);
}

static bool check_struct(verifier *v, const ir_node *n) {
    switch ((ir_struct_id)n->op->id) {
    case S_CONST: return check_const(v, n);
    case S_PARAM:
    case S_STATE:
    case S_SETSTATE: return check_cell(v, n);
    case S_SELF: return counts(v, n, 0, 1, 0);
    case S_IF: return check_if(v, n);
    case S_LOOP: return check_loop(v, n);
    case S_LIST:
    case S_TUPLE:
    case S_DICT: return check_container(v, n);
    case S_UNPACK: return check_unpack(v, n);
    case S_INDEX: return check_index(v, n);
    case S_GETATTR:
    case S_SETATTR: return check_attr(v, n);
    case S_NEW:
        if (n->nout == 1 && n->out[0]->type->kind != T_CLASS) return bad(v, n, "the result is no object");
        return counts(v, n, 0, 1, 0);
    case S_CALL: return check_call(v, n);
    case S_CAST:
    case S_ISINSTANCE: return counts(v, n, 1, 1, 0);
    case S_UNINIT: return counts(v, n, 0, 1, 0);
    case S_RAISE: return n->nblocks == 0 || bad(v, n, "takes no blocks");
    case S_GUARD: return counts(v, n, 2, 0, 0) && want_kind(v, n, 0, T_BOOL);
    case S_DIM:
        if (!counts(v, n, 0, 1, 0)) return false;
        return (n->out[0]->type->kind == T_INT && n->out[0]->type->dim) ||
               bad(v, n, "the result's type is no int<size>");
    case S_WRITEBACK:
        return counts(v, n, 2, 0, 0) && want_kind(v, n, 0, T_TENSOR) && want_kind(v, n, 1, T_TENSOR);
    case S_KERNEL: return counts(v, n, -1, -1, 1) && check_yields(v, n, n->blocks[0], 0, n->nout, n->out);
    default: return true;
    }
}

/* ---- table ops */

static bool check_op(verifier *v, const ir_node *n) {
    const ir_schema *s = n->op->schema;
    int nout = s->varresults ? -1
               : s->nresults ? s->nresults
               : n->nout > 1 ? 1
                             : n->nout; /* () is none, or nothing */
    if (!counts(v, n, s->varargs ? -1 : s->nparams, nout, 0)) return false;
    ir_binds b = {0};
    for (int i = 0; i < s->nparams && i < n->nin; i++) {
        const ir_type *have = n->in[i]->type, *want = s->params[i].type;
        if (have->kind == T_ANY || ir_type_bind(v->c, want, have, &b)) continue;
        if (have->kind == T_TUPLE && want->kind == T_LIST) continue; /* arguments of different types: a list has one */
        return bad(v, n, "input %d ('%s'): %s wanted, got %s", i, s->params[i].name,
                   type_text(v->c, ir_type_apply(v->c, want, &b)), type_text(v->c, have));
    }
    for (int i = 0; i < s->nresults && i < n->nout; i++) {
        const ir_type *want = ir_type_apply(v->c, s->results[i].type, &b), *have = n->out[i]->type;
        if (have->kind == T_ANY || ir_subtype(have, want) || ir_subtype(want, have)) continue;
        return bad(v, n, "result %d: %s wanted, got %s", i, type_text(v->c, want), type_text(v->c, have));
    }
    return true;
}

/* ---- what core demands */

static bool core_type(verifier *v, const ir_node *n, const ir_type *t) {
    if (t->kind == T_CLASS) return bad(v, n, "an object (%s) in a %s module", t->name, "core");
    if (t->kind != T_TENSOR) return true;
    bool full = t->dtype != DT_NONE && t->rank >= 0;
    bool unread = n && n->op->cls == OP_STRUCT && n->op->id == S_UNINIT; /* has no size of its own */
    for (int i = 0; full && i < t->rank && !unread; i++) full = t->dims[i] != NULL;
    return full || bad(v, n, "core: dtype, rank and sizes must be known, got %s", type_text(v->c, t));
}

static bool check_core(verifier *v, const ir_node *n) {
    static const ir_struct_id surface_only[] = {S_SELF, S_GETATTR, S_SETATTR, S_NEW, S_CALL};
    for (size_t i = 0; i < RT_COUNT(surface_only); i++)
        if (n->op->id == (int)surface_only[i]) return bad(v, n, "'%s' belongs to the surface", n->op->name);
    if (n->op->id == S_KERNEL && v->m->state < IR_GROUPED) return bad(v, n, "kernels come later than core");
    if (n->op->cls == OP_COMPOSITE) return bad(v, n, "a composite op in a core module");
    for (int i = 0; n->op->cls != OP_STRUCT && i < n->op->schema->nparams; i++) {
        const ir_param *p = &n->op->schema->params[i];
        if (p->writes && (p->type->kind == T_TENSOR || p->alias_elems))
            return bad(v, n, "writes '%s' in a core module", p->name);
    }
    for (int i = 0; i < n->nout; i++)
        if (!core_type(v, n, n->out[i]->type)) return false;
    return true;
}

/* A memory order is between kernels: all else takes row-major tensors. */
static bool check_layouts(verifier *v, const ir_node *n) {
    bool kernel = n->op->cls == OP_STRUCT && n->op->id == S_KERNEL;
    for (int i = 0; i < n->nout; i++) {
        const ir_value *x = n->out[i];
        if (!x->layout) continue;
        if (!kernel || x->type->kind != T_TENSOR) return bad(v, n, "only a kernel's result has an order");
        for (const ir_use *u = x->uses; u; u = u->next) {
            const ir_node *in = u->node ? u->node->block->owner : NULL;
            bool read = u->node && u->node->op->cls == OP_STRUCT && u->node->op->id == S_KERNEL;
            bool inside = in && in->op->cls == OP_STRUCT && in->op->id == S_KERNEL;
            if (!read && !inside) return bad(v, n, "%s has an order, but not only kernels read it", ir_value_text(x));
        }
    }
    return true;
}

/* ---- structure */

static bool use_known(const ir_value *x, const ir_node *n, const ir_block *b, int index) {
    for (const ir_use *u = x->uses; u; u = u->next)
        if (u->node == n && u->block == b && u->index == index) return true;
    return false;
}

static bool check_use(verifier *v, const ir_node *n, const ir_node *user, const ir_block *b, int i,
                      const ir_value *x) {
    if (!x) return bad(v, n, "value %d is missing", i);
    if (x->id < 0 || x->id >= v->f->nvalues) return bad(v, n, "value %d is of another function", i);
    if (!v->visible[x->id]) return bad(v, n, "%s is used where it is not defined", ir_value_text(x));
    v->uses[x->id]++;
    /* The list is searched where it is short; its length is compared in any case. */
    return v->uses[x->id] > 64 || use_known(x, user, b, i) ||
           bad(v, n, "the use of %s is not in its list", ir_value_text(x));
}

static bool define(verifier *v, const ir_node *n, const ir_block *b, const ir_value *x, int index) {
    if (x->def != n || x->block != b || x->index != index || x->id < 0 || x->id >= v->f->nvalues)
        return bad(v, n, "result or parameter %d does not know its place", index);
    if (!x->type) return bad(v, n, "%s has no type", ir_value_text(x));
    if (v->visible[x->id]) return bad(v, n, "%s is defined twice", ir_value_text(x));
    return v->visible[x->id] = true;
}

/* Is the user within the block that defines x? */
static bool reaches(const ir_value *x, const ir_use *u) {
    const ir_block *b = u->node ? u->node->block : u->block;
    while (b && b != x->block) b = b->owner ? b->owner->block : NULL;
    return b != NULL;
}

static bool check_uses_of(verifier *v, const ir_node *n, const ir_value *x) {
    int length = 0;
    for (const ir_use *u = x->uses; u; u = u->next, length++)
        if (!reaches(x, u))
            return bad(v, u->node ? u->node : n, "%s is used where it is not defined", ir_value_text(x));
    v->visible[x->id] = false;
    return length == v->uses[x->id] ||
           bad(v, n, "%s has %d uses, its list %d", ir_value_text(x), v->uses[x->id], length);
}

static bool check_block(verifier *v, const ir_block *b);

static bool check_node(verifier *v, const ir_block *b, const ir_node *n) {
    if (n->block != b || (n->prev ? n->prev->next != n : b->first != n) ||
        (n->next ? n->next->prev != n : b->last != n))
        return bad(v, n, "its block does not list it");
    for (int i = 0; i < n->nin; i++)
        if (!check_use(v, n, n, NULL, i, n->in[i])) return false;
    for (int i = 0; i < n->nblocks; i++) {
        if (n->blocks[i]->owner != n) return bad(v, n, "block %d belongs to another node", i);
        if (!check_block(v, n->blocks[i])) return false;
    }
    for (int i = 0; i < n->nout; i++)
        if (!define(v, n, b, n->out[i], i)) return false;
    if (!(n->op->cls == OP_STRUCT ? check_struct(v, n) : check_op(v, n))) return false;
    return check_layouts(v, n) && (v->m->state < IR_CORE || check_core(v, n));
}

/* Values of a block are visible until its end, and by then all their uses have been met. */
static bool check_block(verifier *v, const ir_block *b) {
    if (b->func != v->f) return bad(v, b->owner, "a block of another function");
    for (int i = 0; i < b->params.n; i++) {
        if (!define(v, NULL, b, b->params.at[i], i)) return false;
        if (v->m->state >= IR_CORE && !core_type(v, b->owner, b->params.at[i]->type)) return false;
    }
    for (const ir_node *n = b->first; n; n = n->next)
        if (!check_node(v, b, n)) return false;
    for (int i = 0; i < b->results.n; i++)
        if (!check_use(v, b->owner, NULL, b, i, b->results.at[i])) return false;
    for (int i = 0; i < b->params.n; i++)
        if (!check_uses_of(v, b->owner, b->params.at[i])) return false;
    for (const ir_node *n = b->first; n; n = n->next)
        for (int i = 0; i < n->nout; i++)
            if (!check_uses_of(v, n, n->out[i])) return false;
    return true;
}

static bool check_func(verifier *v, const ir_func *f) {
    v->f = f;
    if (f->module != v->m) return bad(v, NULL, "belongs to another module");
    if (!check_block(v, f->body)) return false;
    if (v->m->state == IR_SURFACE && f->body->results.n != 1)
        return bad(v, NULL, "returns %d values, not one", f->body->results.n);
    return f->body->results.n != 1 ||
           want_type(v, NULL, "returned value", f->body->results.at[0]->type, f->result);
}

bool ir_verify_module(ir_module *m) {
    verifier v = {.m = m, .c = m->c};
    bool ok = true;
    for (int i = 0; ok && i < m->funcs.n; i++) {
        const ir_func *f = m->funcs.entries[i].value;
        v.visible = rt_calloc((size_t)f->nvalues, sizeof *v.visible);
        v.uses = rt_calloc((size_t)f->nvalues, sizeof *v.uses);
        ok = v.visible && v.uses ? check_func(&v, f) : bad(&v, NULL, "out of memory");
        rt_free(v.visible);
        rt_free(v.uses);
    }
    return ok;
}
