/* spec_live.c: who else holds a tensor in the partial evaluator.
 *
 * Where branches or iterations join, a tensor gets a storage of its own.  That is right, writes included, as long as
 * nothing that is read later still means the old storage.  References are counted from the variables that are live at
 * the join (by the uses in the surface graph), in this call and the calls around it, and through the containers that
 * they reach.  What is not certain to be dead counts.
 *
 * A tensor whose shape is changed in place is another abstract value under each of its names: the variables that are live,
 * in all calls, and the containers.  Variables are no part of the heap that is forked, so what a branch or an iteration
 * renamed is taken back behind it, and refused if it is read there. */
#include "lower/spec.h"

/* The node of block b that holds n (n itself, or a node around it); NULL: none. */
static const ir_node *inside(const ir_node *n, const ir_block *b) {
    while (n && n->block != b) n = n->block ? n->block->owner : NULL;
    return n;
}

static bool is_loop(const ir_node *n) { return n->op->cls == OP_STRUCT && n->op->id == S_LOOP; }

static bool comes_before(const ir_node *a, const ir_node *b) {
    for (; a; a = a->next)
        if (a == b) return true;
    return false;
}

/* Is there a loop around block b within the block where v is defined? */
static bool repeats(const ir_value *v, const ir_block *b) {
    for (; b && b != v->block; b = b->owner ? b->owner->block : NULL)
        if (b->owner && is_loop(b->owner)) return true;
    return false;
}

/* May use u of v be executed once `at` is done (a loop: while it runs, or after)? */
static bool used_later(const ir_value *v, const ir_use *u, const ir_node *at) {
    if (u->node == at) return false;
    const ir_block *b = u->node ? u->node->block : u->block;
    const ir_node *user = u->node, *here;
    for (; !(here = inside(at, b)); b = user->block) { /* up to the innermost block that holds both */
        user = b->owner;
        if (!user) return true;
    }
    if (!user) return true; /* a result of a block around `at` */
    if (user == here) return here == at && is_loop(at);
    return comes_before(here, user) || repeats(v, b);
}

static bool is_live(const ir_value *v, const ir_node *at) {
    for (const ir_use *u = v->uses; u; u = u->next)
        if (used_later(v, u, at)) return true;
    return false;
}

typedef struct count {
    const spec_heap *heap;
    bool *seen; /* containers */
    int cell, n;
} count;

static void visit(count *c, const aval *a) {
    if (!a || c->n > 1) return;
    if (a->kind == AV_TENSOR && a->cell == c->cell) c->n++;
    for (int i = 0; i < a->n && a->kind == AV_TUPLE; i++) visit(c, a->at[i]);
    if (a->kind != AV_REF || a->cell >= c->heap->n || c->seen[a->cell]) return;
    const cell *x = c->heap->at[a->cell];
    c->seen[a->cell] = true;
    for (int i = 0; i < x->n; i++) visit(c, x->at[i]);
}

static void visit_value(count *c, const spec_frame *f, const ir_value *v) {
    if (f->env->at[v->id] && is_live(v, f->at)) visit(c, f->env->at[v->id]);
}

/* The values that f->at sees. */
static void visit_frame(count *c, const spec_frame *f) {
    for (const ir_node *at = f->at; at && c->n <= 1; at = at->block->owner) {
        for (const ir_node *n = at->prev; n && c->n <= 1; n = n->prev)
            for (int i = 0; i < n->nout; i++) visit_value(c, f, n->out[i]);
        for (int i = 0; i < at->block->params.n; i++) visit_value(c, f, at->block->params.at[i]);
    }
}

bool spec_shared(spec *s, const spec_heap *h, int cell, int n, const aval *const *more) {
    count c = {h, RT_ARRAY(&s->c->arena, bool, h->n + 1), cell, 0};
    const struct cell *x = cell < h->n ? h->at[cell] : NULL;
    if (!x || x->name || x->arg || x->frozen) return true;
    for (int i = 0; i < n; i++) visit(&c, more[i]);
    for (int i = 0; i < h->n && c.n <= 1; i++) {
        const aval object = {.kind = AV_REF, .cell = i};
        if (h->at[i]->kind == CELL_OBJECT && h->at[i]->name) visit(&c, &object);
    }
    for (const spec_frame *f = s->frame; f && c.n <= 1; f = f->outer) visit_frame(&c, f);
    return c.n > 1;
}

/* ---- renaming */

typedef struct renaming { spec *s; const aval *was, *now; ir_span at; bool found; } renaming;

static const aval *renamed(renaming *r, const aval *a) {
    const aval *was = r->was;
    if (a == was || (a->kind == AV_TENSOR && a->cell == was->cell && !a->view && !was->view)) return r->now;
    if (a->kind != AV_TUPLE) return a;
    const aval **at = RT_ARRAY(&r->s->c->arena, const aval *, a->n);
    bool any = false;
    for (int i = 0; i < a->n; i++) any |= (at[i] = renamed(r, a->at[i])) != a->at[i];
    return any ? spec_tuple(r->s, a->type, a->n, at) : a;
}

static void rename_value(renaming *r, const spec_frame *f, const ir_value *v) {
    const aval **slot = &f->env->at[v->id], *was = *slot, *now = was ? renamed(r, was) : NULL;
    if (now == was || !is_live(v, f->at)) return;
    spec_renamed x = {slot, was, f, v, r->at};
    RT_PUSH(&r->s->c->arena, &r->s->renamed, x);
    *slot = now;
}

static void rename_frame(renaming *r, const spec_frame *f) {
    for (const ir_node *at = f->at; at; at = at->block->owner) {
        for (const ir_node *n = at->prev; n; n = n->prev)
            for (int i = 0; i < n->nout; i++) rename_value(r, f, n->out[i]);
        for (int i = 0; i < at->block->params.n; i++) rename_value(r, f, at->block->params.at[i]);
    }
}

static void rename_elements(renaming *r, int i) {
    spec *s = r->s;
    for (int k = 0; k < spec_cell(s, i)->n; k++) {
        const cell *x = spec_cell(s, i);
        const aval *now = x->at[k] ? renamed(r, x->at[k]) : NULL;
        if (now == x->at[k]) continue;
        r->found = true;
        spec_cell_edit(s, i)->at[k] = now;
        if (x->kind == CELL_OBJECT && x->name) spec_note_field(s, x->name, x->cls->fields[k]);
    }
}

bool spec_rename(spec *s, const aval *was, const aval *now, ir_span at) {
    renaming r = {s, was, now, at, false};
    for (int i = 0; i < s->heap.n; i++) rename_elements(&r, i);
    for (const spec_frame *f = s->frame; f; f = f->outer) rename_frame(&r, f);
    return r.found || !spec_cell(s, was->cell)->name;
}

static bool is_in(const ir_value *v, const ir_node *n) {
    for (const ir_block *b = v->block; b; b = b->owner ? b->owner->block : NULL)
        if (b->owner == n) return true;
    return false;
}

static bool read_behind(const spec *s, const spec_renamed *x, const ir_node *at) {
    for (const spec_frame *f = s->frame; f; f = f->outer)
        if (f == x->frame) return !is_in(x->v, at) && is_live(x->v, f == s->frame ? at : f->at);
    return false; /* of a call that is over */
}

void spec_rename_back(spec *s, int n, const ir_node *at) {
    const spec_renamed *bad = NULL;
    while (s->renamed.n > n) {
        const spec_renamed *x = &s->renamed.at[--s->renamed.n];
        *x->slot = x->was;
        if (at && read_behind(s, x, at)) bad = x;
    }
    if (bad && !s->stop)
        spec_unsupported(s, bad->at, "the shape of this tensor is changed in place where only the run decides whether, and it is read later");
}
