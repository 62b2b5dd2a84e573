/* fused.c: builds the one comprehension of a group: a load of a value that the group computes is replaced by the
 * expression that computes it, at that index.  Hash consing keeps what is shared shared.
 *
 * fuse.c guarantees: at most one anchor; loads of the anchor's results by other nodes of the group are at the output index;
 * nodes with index checks are loaded at the output index only, so that a check is never done where a guard forbids the load. */
#include "lower/fused.h"

typedef struct item { /* one node of the group */
    ir_node *n;
    lower_node a;
    comp *k;
    comp_kind kind;
} item;

typedef struct site { /* an item's expressions rewritten at some index */
    item *of;
    const ir_expr **index, **done;
    bool anchor;
} site;

typedef struct builder {
    ir_context *c;
    fused *out;
    comp *k;
    RT_VEC(item) items;
    item *anchor;
    rt_map item_of;  /* node -> item */
    rt_map operands; /* value -> its number + 1 */
    rt_map values;   /* value and the index expressions -> expression */
    rt_map checks;   /* index, size -> set */
} builder;

bool lower_rounds(const ir_expr *cast) {
    rt_dtype to = cast->dtype, from = cast->args[0]->dtype;
    return rt_dtypes[to].kind == 'F' && rt_dtypes[from].kind == 'F' && to != from && rt_dtypes[to].bytes <= rt_dtypes[from].bytes;
}

comp_kind lower_comp_kind(const comp *k) {
    if (!k) return CK_NONE;
    if (k->write) return CK_WRITE;
    if (k->scan >= 0 && k->nrdims) return CK_SCAN;
    if (k->contract) return CK_CONTRACT;
    return k->nrdims || k->nstate ? CK_REDUCE : CK_MAP;
}

static item *item_of(builder *b, const ir_value *v) { return rt_map_getn(&b->item_of, (const char *)&v->def, sizeof v->def); }

static int operand(builder *b, ir_value *v) {
    void *known = rt_map_getn(&b->operands, (const char *)&v, sizeof v);
    if (known) return (int)(intptr_t)known - 1;
    RT_PUSH(&b->c->arena, &b->out->operands, v);
    rt_map_putn(&b->c->arena, &b->operands, (const char *)&v, sizeof v, (void *)(intptr_t)b->out->operands.n);
    return b->out->operands.n - 1;
}

static const ir_expr *rewrite(builder *b, site *s, const ir_expr *e);

static site site_new(builder *b, item *of, const ir_expr **index) {
    return (site){of, index, RT_ARRAY(&b->c->arena, const ir_expr *, of->k->x.n), of == b->anchor};
}

static void add_check(builder *b, const ir_expr *index, const ir_dim *size, const char *why) {
    const void *key[2] = {index, size};
    if (rt_map_getn(&b->checks, (const char *)key, sizeof key)) return;
    rt_map_putn(&b->c->arena, &b->checks, (const char *)key, sizeof key, b);
    struct comp_check c = {index, size, why};
    RT_PUSH(&b->c->arena, &b->k->checks, c);
}

/* Result `v` of a node of the group at `index`. */
static const ir_expr *value_at(builder *b, item *p, const ir_value *v, int n, const ir_expr **index) {
    const void *key[2 * RT_MAX_RANK + 1] = {v};
    memcpy(key + 1, index, (size_t)n * sizeof *index);
    const ir_expr *e = rt_map_getn(&b->values, (const char *)key, (size_t)(n + 1) * sizeof *key);
    if (e) return e;
    site s = site_new(b, p, index);
    if (p != b->anchor)
        for (int i = 0; i < p->k->checks.n; i++)
            add_check(b, rewrite(b, &s, p->k->checks.at[i].index), p->k->checks.at[i].size, p->k->checks.at[i].why);
    e = rewrite(b, &s, p->k->out[v->index]);
    rt_map_putn(&b->c->arena, &b->values, (const char *)key, (size_t)(n + 1) * sizeof *key, (void *)e);
    return e;
}

static const ir_expr *load(builder *b, ir_value *v, rt_dtype dtype, int n, const ir_expr **index) {
    item *p = item_of(b, v);
    if (p) return value_at(b, p, v, n, index);
    return ir_x_load(&b->k->x, operand(b, v), dtype, n, index);
}

static const ir_expr *rebuild(builder *b, site *s, const ir_expr *e) {
    ir_exprs *x = &b->k->x;
    const ir_expr **args = RT_ARRAY(&b->c->arena, const ir_expr *, e->n);
    for (int i = 0; i < e->n; i++) args[i] = rewrite(b, s, e->args[i]);
    switch ((int)e->op) {
    case X_CONST: return rt_dtypes[e->dtype].kind == 'F' ? ir_x_float(x, e->dtype, e->f) : ir_x_int(x, e->dtype, e->k);
    case X_INDEX: return s->index[e->i];
    case X_DIM: return ir_x_dim(x, e->dim);
    case X_PARAM: return ir_x_param(x, e->i, e->dtype);
    case X_SCALAR: return ir_x_scalar(x, operand(b, s->of->a.operands.at[e->i]), e->dtype);
    case X_LOAD: return load(b, s->of->a.operands.at[e->i], e->dtype, e->n, args);
    default: return ir_x(x, e->op, e->dtype, e->n, args);
    }
}

static const ir_expr *rewrite(builder *b, site *s, const ir_expr *e) {
    if (!s->done[e->id]) s->done[e->id] = rebuild(b, s, e);
    return s->done[e->id];
}

/* ---- the group */

static bool add_items(builder *b, ir_module *m, ir_node *kernel) {
    for (ir_node *n = kernel->blocks[0]->first; n; n = n->next) {
        if (n->op->cls == OP_STRUCT) continue; /* argument lists */
        item it = {.n = n};
        it.k = lower_node_comp(m->c, n, &it.a);
        it.kind = lower_comp_kind(it.k);
        if (it.kind == CK_NONE) {
            ir_error(m->c, n->span, "%s cannot be compiled: %s", n->op->full, it.a.x.error ? it.a.x.error : "it has no loop form");
            return false;
        }
        RT_PUSH(&m->c->arena, &b->items, it);
    }
    for (int i = 0; i < b->items.n; i++) {
        item *it = &b->items.at[i];
        if (it->kind != CK_MAP) b->anchor = it;
        rt_map_putn(&m->c->arena, &b->item_of, (const char *)&it->n, sizeof it->n, it);
    }
    return true;
}

static const ir_expr **identity(builder *b, int n) {
    const ir_expr **at = RT_ARRAY(&b->c->arena, const ir_expr *, n);
    for (int i = 0; i < n; i++) at[i] = ir_x_index(&b->k->x, i);
    return at;
}

static void copy_anchor(builder *b) {
    comp *k = b->k;
    const comp *a = b->anchor->k;
    *k = (comp){.x = k->x, .ndims = a->ndims, .nrdims = a->nrdims, .dims = a->dims, .rdims = a->rdims, .nstate = a->nstate,
                .associative = a->associative, .scan = a->scan, .contract = a->contract, .write = a->write, .nat = a->nat, .out_type = a->out_type};
    site s = site_new(b, b->anchor, identity(b, a->ndims + a->nrdims));
    for (int i = 0; i < a->nstate; i++) k->state_dtype[i] = a->state_dtype[i];
    if (a->write) k->nstate = 0; /* its one state is the old element: combine[0] alone says what becomes of it */
    for (int i = 0; i < k->nstate; i++) {
        k->init[i] = rewrite(b, &s, a->init[i]);
        k->elem[i] = rewrite(b, &s, a->elem[i]);
        k->combine[i] = rewrite(b, &s, a->combine[i]);
    }
    for (int i = 0; i < a->checks.n; i++) add_check(b, rewrite(b, &s, a->checks.at[i].index), a->checks.at[i].size, a->checks.at[i].why);
    if (!a->write) return;
    k->base = operand(b, b->anchor->a.operands.at[a->base]);
    k->elem[0] = rewrite(b, &s, a->elem[0]);
    k->combine[0] = a->combine[0] ? rewrite(b, &s, a->combine[0]) : NULL;
    k->at = RT_ARRAY(&b->c->arena, const ir_expr *, a->nat);
    for (int i = 0; i < a->nat; i++) k->at[i] = rewrite(b, &s, a->at[i]);
    k->nout = 1;
    k->out_dtype[0] = a->out_dtype[0];
}

bool lower_fused(ir_module *m, ir_node *kernel, fused *out) {
    ir_block *body = kernel->blocks[0];
    *out = (fused){.k = RT_NEW(&m->c->arena, comp)};
    builder b = {.c = m->c, .out = out, .k = out->k};
    b.k->x.c = m->c;
    b.k->scan = -1;
    if (!add_items(&b, m, kernel)) return false;
    if (b.anchor) copy_anchor(&b);
    if (b.k->write) return lower_split(m->c, out), true;
    const ir_type *t = body->results.at[0]->type;
    if (!b.anchor) {
        b.k->ndims = t->rank;
        b.k->dims = t->dims;
    }
    if (body->results.n > COMP_MAX_OUT) {
        ir_error(m->c, kernel->span, "a group of %d results: fuse must not make these", body->results.n);
        return false;
    }
    b.k->nout = body->results.n;
    for (int i = 0; i < body->results.n; i++) {
        ir_value *v = body->results.at[i];
        item *p = item_of(&b, v);
        b.k->out[i] = value_at(&b, p, v, b.k->ndims, identity(&b, b.k->ndims));
        b.k->out_dtype[i] = v->type->dtype;
    }
    lower_split(m->c, out);
    return true;
}
