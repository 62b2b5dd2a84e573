/* cse.c: shares equal pure nodes: a node is replaced by an equal one that dominates it.
 *
 * Nodes are equal if a key text is: op, types of the results, inputs.  Inputs that only carry constants (S_CONST, S_LIST,
 * S_TUPLE, S_DIM) take part by their contents, since every application has its own copies.  Scopes follow the blocks, so
 * that what a branch computed is not used outside of it.  Kernels are equal if what they are made of is: copies of what several
 * of them were to read (fuse.c), and do not.  Linear in the size of the function, but for the nodes of kernels. */
#include "lower/group.h"

typedef struct scope { rt_map seen; struct scope *outer; } scope;

static bool is_kernel(const ir_node *n) { return n && n->op->cls == OP_STRUCT && n->op->id == S_KERNEL; }

static void key_value(rt_text *t, const ir_value *v) {
    const ir_node *d = v->def;
    if (d && d->op->cls == OP_STRUCT && d->op->id == S_CONST) {
        ir_type_print(t, v->type);
        rt_text_str(t, "=");
        rt_value_print(t, d->value, true);
        return;
    }
    if (d && d->op->cls == OP_STRUCT && d->op->id == S_DIM) {
        ir_type_print(t, v->type);
        return;
    }
    if (d && d->op->cls == OP_STRUCT && (d->op->id == S_LIST || d->op->id == S_TUPLE)) {
        rt_text_str(t, "[");
        for (int i = 0; i < d->nin; i++) {
            key_value(t, d->in[i]);
            rt_text_str(t, ",");
        }
        rt_text_str(t, "]");
        return;
    }
    if (d && is_kernel(d->block->owner)) {
        int place = 0;
        for (const ir_node *n = d->block->first; n != d; n = n->next) place++;
        rt_text_fmt(t, "#%d.%d", place, v->index);
        return;
    }
    rt_text_fmt(t, "%%%d", v->id);
}

static bool shareable(const ir_node *n) {
    if (n->op->effects & (EFF_RANDOM | EFF_WRITES | EFF_SIDE)) return false;
    switch (n->op->cls) {
    case OP_POINTWISE:
    case OP_REDUCE:
    case OP_MOVE:
    case OP_CONTRACT: return true;
    case OP_STRUCT: return n->op->id == S_CONST || n->op->id == S_PARAM || n->op->id == S_DIM || n->op->id == S_STATE || n->op->id == S_KERNEL;
    default: return false;
    }
}

static void key_node(rt_text *t, const ir_node *n) {
    rt_text_fmt(t, "%s(", n->op->full);
    for (int i = 0; i < n->nin; i++) {
        key_value(t, n->in[i]);
        rt_text_str(t, ",");
    }
    if (n->sym) rt_text_fmt(t, ")\"%s\"", n->sym);
    for (int i = 0; i < n->nout; i++) {
        rt_text_str(t, ":");
        ir_type_print(t, n->out[i]->type);
    }
    if (n->op->cls == OP_STRUCT && n->op->id == S_CONST) key_value(t, n->out[0]);
    if (!is_kernel(n)) return;
    for (const ir_node *x = n->blocks[0]->first; x; x = x->next) key_node(t, x);
    for (int i = 0; i < n->blocks[0]->results.n; i++) key_value(t, n->blocks[0]->results.at[i]);
}

static ir_node *find(const scope *s, const rt_text *key) {
    for (; s; s = s->outer) {
        ir_node *n = rt_map_getn(&s->seen, key->s, key->n);
        if (n) return n;
    }
    return NULL;
}

static int cse_block(ir_module *m, ir_block *b, scope *outer) {
    scope s = {.outer = outer};
    rt_text key = {0};
    int changes = 0;
    for (ir_node *n = b->first, *next; n; n = next) {
        next = n->next;
        for (int i = 0; i < n->nblocks && !is_kernel(n); i++) changes += cse_block(m, n->blocks[i], &s);
        if (!shareable(n) || n->nout == 0) continue;
        key.n = 0;
        key_node(&key, n);
        ir_node *same = key.failed ? NULL : find(&s, &key);
        if (!same) {
            if (!key.failed) rt_map_putn(&m->c->arena, &s.seen, key.s, key.n, n);
            continue;
        }
        for (int i = 0; i < n->nout; i++) ir_replace_uses(n->out[i], same->out[i]);
        ir_erase(n);
        changes++;
    }
    rt_text_free(&key);
    return changes;
}

int lower_cse(ir_module *m) {
    int n = 0;
    for (int i = 0; i < m->funcs.n; i++) n += cse_block(m, ((ir_func *)m->funcs.entries[i].value)->body, NULL);
    return n;
}
