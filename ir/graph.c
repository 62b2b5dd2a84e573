/* graph.c: building and changing graphs.  Use lists hold every use of a value: as a node's input or as a
 * block's result; all edits go through the functions here, so that they stay exact (verify.c checks them). */
#include "ir/ir.h"

#include <assert.h>

static rt_arena *arena_of(const ir_func *f) { return &f->module->c->arena; }

/* ---- uses */

static void use_add(ir_value *v, ir_node *n, ir_block *b, int index) {
    ir_use *u = RT_NEW(arena_of(n ? n->func : b->func), ir_use);
    *u = (ir_use){n, b, index, v->uses};
    v->uses = u;
}

static void use_remove(ir_value *v, const ir_node *n, const ir_block *b, int index) {
    for (ir_use **p = &v->uses; *p; p = &(*p)->next)
        if ((*p)->node == n && (*p)->block == b && (*p)->index == index) {
            *p = (*p)->next;
            return;
        }
    assert(!"use not in the list");
}

/* ---- values and blocks */

static ir_value *value_new(ir_func *f, ir_block *b, ir_node *def, int index, const ir_type *t) {
    ir_value *v = RT_NEW(arena_of(f), ir_value);
    v->id = f->nvalues++;
    v->type = t;
    v->def = def;
    v->block = b;
    v->index = index;
    return v;
}

ir_value *ir_block_param(ir_block *b, const ir_type *t, const char *name) {
    ir_value *v = value_new(b->func, b, NULL, b->params.n, t);
    RT_PUSH(arena_of(b->func), &b->params, v);
    if (name) ir_value_name(v, name);
    return v;
}

ir_block *ir_block_new(ir_func *f, ir_node *owner) {
    ir_block *b = RT_NEW(arena_of(f), ir_block);
    b->func = f;
    b->owner = owner;
    if (owner) {
        ir_block **blocks = RT_ARRAY(arena_of(f), ir_block *, owner->nblocks + 1);
        if (owner->nblocks) memcpy(blocks, owner->blocks, (size_t)owner->nblocks * sizeof *blocks);
        blocks[owner->nblocks++] = b;
        owner->blocks = blocks;
    }
    return b;
}

void ir_block_result(ir_block *b, ir_value *v) {
    RT_PUSH(arena_of(b->func), &b->results, v);
    use_add(v, NULL, b, b->results.n - 1);
}

void ir_set_result(ir_block *b, int i, ir_value *v) {
    use_remove(b->results.at[i], NULL, b, i);
    b->results.at[i] = v;
    use_add(v, NULL, b, i);
}

/* The hint as an identifier: other characters become '_'. */
static const char *clean_name(ir_context *c, const char *name) {
    size_t n = strlen(name);
    char *s = rt_arena_str(&c->arena, name, n);
    for (size_t i = 0; i < n; i++) {
        char ch = s[i];
        bool ok = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' ||
                  (i && ((ch >= '0' && ch <= '9') || ch == '.'));
        if (!ok) s[i] = '_';
    }
    return n ? s : "v";
}

void ir_value_name(ir_value *v, const char *hint) {
    ir_func *f = v->def ? v->def->func : v->block->func;
    ir_context *c = f->module->c;
    const char *name = clean_name(c, hint);
    int *next = rt_map_get(&f->names, name); /* suffix to try next for this name */
    if (next) {
        const char *base = name;
        do name = ir_fmt(c, "%s.%d", base, (*next)++);
        while (rt_map_get(&f->names, name));
    }
    int *first = RT_NEW(&c->arena, int);
    *first = 1;
    rt_map_put(&c->arena, &f->names, name, first);
    v->name = ir_intern(c, name);
}

/* ---- nodes */

ir_node *ir_node_new(ir_func *f, const ir_op *op, ir_span at, int nin, ir_value *const *in, int nout,
                     const ir_type *const *types) {
    rt_arena *a = arena_of(f);
    ir_node *n = RT_NEW(a, ir_node);
    n->op = op;
    n->func = f;
    n->id = f->nnodes++;
    n->span = at;
    n->nin = nin;
    n->nout = nout;
    n->in = RT_ARRAY(a, ir_value *, nin);
    n->out = RT_ARRAY(a, ir_value *, nout);
    n->value.tag = V_UNDEF;
    for (int i = 0; i < nin; i++) {
        n->in[i] = in[i];
        use_add(in[i], n, NULL, i);
    }
    for (int i = 0; i < nout; i++) n->out[i] = value_new(f, NULL, n, i, types[i]);
    return n;
}

static void place(ir_node *n, ir_block *b) {
    assert(!n->block);
    n->block = b;
    for (int i = 0; i < n->nout; i++) n->out[i]->block = b;
}

void ir_append(ir_block *b, ir_node *n) {
    place(n, b);
    n->prev = b->last;
    n->next = NULL;
    *(b->last ? &b->last->next : &b->first) = n;
    b->last = n;
}

void ir_insert_before(ir_node *at, ir_node *n) {
    place(n, at->block);
    n->prev = at->prev;
    n->next = at;
    *(at->prev ? &at->prev->next : &at->block->first) = n;
    at->prev = n;
}

void ir_set_input(ir_node *n, int i, ir_value *v) {
    if (n->in[i] == v) return;
    use_remove(n->in[i], n, NULL, i);
    n->in[i] = v;
    use_add(v, n, NULL, i);
}

void ir_add_input(ir_node *n, ir_value *v) {
    rt_arena *a = arena_of(n->func);
    ir_value **in = RT_ARRAY(a, ir_value *, n->nin + 1);
    if (n->nin) memcpy(in, n->in, (size_t)n->nin * sizeof *in);
    in[n->nin] = v;
    n->in = in;
    use_add(v, n, NULL, n->nin++);
}

ir_value *ir_add_output(ir_node *n, const ir_type *t) {
    ir_value **out = RT_ARRAY(arena_of(n->func), ir_value *, n->nout + 1);
    if (n->nout) memcpy(out, n->out, (size_t)n->nout * sizeof *out);
    n->out = out;
    out[n->nout] = value_new(n->func, n->block, n, n->nout, t);
    return out[n->nout++];
}

void ir_replace_uses(ir_value *old, ir_value *by) {
    if (old == by) return;
    ir_use *last = NULL;
    for (ir_use *u = old->uses; u; last = u, u = u->next)
        *(u->node ? &u->node->in[u->index] : &u->block->results.at[u->index]) = by;
    if (!last) return;
    last->next = by->uses;
    by->uses = old->uses;
    old->uses = NULL;
}

/* Drops all uses that the node and what is nested in it make of other values. */
static void drop_uses(ir_node *n) {
    for (int i = 0; i < n->nblocks; i++) {
        ir_block *b = n->blocks[i];
        for (int k = 0; k < b->results.n; k++) use_remove(b->results.at[k], NULL, b, k);
        b->results.n = 0;
        for (ir_node *m = b->last; m; m = m->prev) drop_uses(m);
        b->first = b->last = NULL;
    }
    for (int i = 0; i < n->nin; i++) use_remove(n->in[i], n, NULL, i);
    n->nin = 0;
}

void ir_erase(ir_node *n) {
    for (int i = 0; i < n->nout; i++) assert(!n->out[i]->uses);
    drop_uses(n);
    if (!n->block) return;
    *(n->prev ? &n->prev->next : &n->block->first) = n->next;
    *(n->next ? &n->next->prev : &n->block->last) = n->prev;
    n->block = NULL;
}

void ir_move(ir_block *b, ir_node *n) {
    *(n->prev ? &n->prev->next : &n->block->first) = n->next;
    *(n->next ? &n->next->prev : &n->block->last) = n->prev;
    n->block = NULL;
    ir_append(b, n);
}

/* ---- shorthands */

ir_value *ir_const(ir_block *b, ir_span at, rt_value v, const ir_type *t) {
    ir_context *c = b->func->module->c;
    ir_node *n = ir_node_new(b->func, ir_struct(c, S_CONST), at, 0, NULL, 1, &t);
    ir_own(c, v);
    n->value = v;
    ir_append(b, n);
    return n->out[0];
}

ir_value *ir_emit(ir_block *b, ir_span at, const ir_op *op, int nin, ir_value *const *in, const ir_type *t) {
    ir_node *n = ir_node_new(b->func, op, at, nin, in, 1, &t);
    ir_append(b, n);
    return n->out[0];
}

const rt_value *ir_const_of(const ir_value *v) {
    return v->def && v->def->op->id == S_CONST ? &v->def->value : NULL;
}

bool ir_int_of(const ir_value *v, int64_t *out) {
    const rt_value *k = ir_const_of(v);
    if (k && k->tag == V_INT) return *out = k->i, true;
    return v->type->kind == T_INT && v->type->dim && ir_dim_is_const(v->type->dim, out);
}

bool ir_is(const ir_node *n, const char *full) { return n && !strcmp(n->op->full, full); }

bool ir_is_param(const ir_value *v) { return v->def && v->def->op->cls == OP_STRUCT && v->def->op->id == S_PARAM; }

rt_tensor *ir_param_tensor(const ir_module *m, const ir_value *param) {
    const ir_tensor_data *d = rt_map_get(&m->tensors, param->def->sym);
    return d->tensor;
}

/* ---- names for messages: unnamed values are numbered in the order of printing */

static bool number_block(const ir_block *b, const ir_value *v, int *n);

static bool number_node(const ir_node *node, const ir_value *v, int *n) {
    for (int i = 0; i < node->nout; i++) {
        if (node->out[i] == v) return true;
        if (!node->out[i]->name) ++*n;
    }
    for (int i = 0; i < node->nblocks; i++)
        if (number_block(node->blocks[i], v, n)) return true;
    return false;
}

static bool number_block(const ir_block *b, const ir_value *v, int *n) {
    for (int i = 0; i < b->params.n; i++) {
        if (b->params.at[i] == v) return true;
        if (!b->params.at[i]->name) ++*n;
    }
    for (const ir_node *node = b->first; node; node = node->next)
        if (number_node(node, v, n)) return true;
    return false;
}

const char *ir_value_text(const ir_value *v) {
    if (!v->block) return "%<not placed>";
    ir_func *f = v->block->func;
    if (v->name) return ir_fmt(f->module->c, "%%%s", v->name);
    int n = 0;
    return number_block(f->body, v, &n) ? ir_fmt(f->module->c, "%%%d", n) : "%<not placed>";
}
