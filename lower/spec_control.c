/* spec_control.c: `if` and `loop` in the partial evaluator.
 *
 * A condition that is known picks its block; a loop whose conditions are all known is unrolled within a budget.
 * Otherwise the blocks are evaluated on copies of the heap and what they disagree on is joined.  `if`: joined values
 * are results.  `loop`: the header starts with what comes in; whatever the body changed becomes a carried slot, and the
 * body is evaluated again until nothing new changes (types only widen, so this ends).  A container whose structure
 * would differ is turned into a run-time one before the fork, and the fork is evaluated again.
 *
 * A tensor that comes out of a join or is carried is a storage of its own.  It can be written only if nothing else that is
 * read later means the storages that it stands for (spec_live.c); else they are all frozen, and a write is an error.
 *
 * Where that will not do (the branches give tensors of different dtype or rank, or what is frozen is written), the rest of
 * the block that holds the `if` is evaluated in each branch, and the results of that block are joined.
 *
 * Cells made in a branch keep their numbers after the join (the second branch starts numbering behind the first). */
#include "lower/spec.h"

enum { MAX_TRIES = 40, MAX_CLONES = 5 /* within each other */, UNROLL_NODES = 4000, UNROLL_STEPS = 400000 /* of an entry */ };

/* ---- snapshots */

typedef struct mark {
    ir_node *last;
    spec_heap heap;
    int ndiags, nerrors, renamed;
} mark;

static spec_heap heap_copy(spec *s, spec_heap h) {
    h.at = rt_arena_copy(&s->c->arena, h.at, (size_t)h.n * sizeof *h.at);
    h.cap = h.n;
    return h;
}

static mark mark_here(spec *s) {
    return (mark){s->b->last, heap_copy(s, s->heap), s->c->diags.n, s->c->nerrors, s->renamed.n};
}

/* Cells beyond the mark are gone: constants that were met there are met again. */
static void forget_cells(spec *s, int n) {
    for (int i = 0; i < s->cells_of.n; i++)
        if ((int)(intptr_t)s->cells_of.entries[i].value > n) s->cells_of.entries[i].value = NULL;
}

static void roll_back(spec *s, ir_block *b, const mark *m) {
    s->b = b;
    for (ir_node *n = b->last, *prev; n && n != m->last; n = prev) {
        prev = n->prev;
        if (n->op->id != S_PARAM && n->op->id != S_STATE) ir_erase(n);
    }
    s->heap = heap_copy(s, m->heap);
    forget_cells(s, m->heap.n);
    s->c->diags.n = m->ndiags;
    s->c->nerrors = m->nerrors;
    s->stop = SPEC_GO;
    spec_rename_back(s, m->renamed, NULL);
}

/* Containers that must be run-time ones before a fork, with their types. */
typedef struct forced { int cell; const ir_type *type; } forced;
typedef RT_VEC(forced) forced_list;

/* After SPEC_RETRY: can this fork make the container a run-time one? */
static bool retry_here(spec *s, const mark *m) {
    if (s->stop != SPEC_RETRY || s->exhausted || s->retry_cell >= m->heap.n) return false;
    const cell *x = m->heap.at[s->retry_cell];
    if (x->kind == CELL_DYN) { /* it can still be made wider */
        const ir_type *t = s->retry_type ? spec_join_type(s, x->content->type, s->retry_type) : NULL;
        return t && t != x->content->type;
    }
    return x->kind == CELL_LIST || x->kind == CELL_DICT;
}

static void prepare_retry(spec *s, ir_block *b, const mark *m, forced_list *list, ir_span at) {
    forced f = {s->retry_cell, s->retry_type};
    int i = 0;
    while (i < list->n && list->at[i].cell != f.cell) i++;
    if (i == list->n) RT_PUSH(&s->c->arena, list, f);
    else if (f.type) list->at[i].type = list->at[i].type ? spec_join_type(s, list->at[i].type, f.type) : f.type;
    roll_back(s, b, m);
    for (i = 0; i < list->n && !s->stop; i++) spec_materialise(s, list->at[i].cell, list->at[i].type, at);
}

/* ---- comparing */

static bool same_const(rt_value a, rt_value b) {
    if (a.tag != b.tag) return false;
    return a.tag == V_FLOAT ? !memcmp(&a.f, &b.f, sizeof a.f) : rt_value_equal(a, b);
}

static bool same_view(const view *a, const view *b);

static bool same(const aval *a, const aval *b) {
    if (a == b) return true;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case AV_UNDEF: return true;
    case AV_CONST: return same_const(a->k, b->k);
    case AV_INT: return a->dim == b->dim;
    case AV_DYN: return a->v == b->v;
    case AV_TENSOR: return a->cell == b->cell && same_view(a->view, b->view);
    case AV_REF: return a->cell == b->cell;
    case AV_TUPLE: break;
    }
    if (a->n != b->n) return false;
    for (int i = 0; i < a->n; i++)
        if (!same(a->at[i], b->at[i])) return false;
    return true;
}

static bool same_view(const view *a, const view *b) {
    for (; a && b && a != b; a = a->parent, b = b->parent) {
        if (a->op != b->op || a->type != b->type) return false;
        for (int i = 1; i < a->nargs; i++) {
            if (a->args[i]->kind == AV_REF || !same(a->args[i], b->args[i])) return false;
        }
    }
    return a == b;
}

/* ---- types of what leaves a block */

/* t as seen from the current block: dims whose symbols are bound inside the block just left are unknown (NULL). */
static const ir_type *outer_type(spec *s, const ir_type *t) {
    ir_context *c = s->c;
    if (t->kind == T_INT) return t->dim && !spec_dim_visible(s, t->dim) ? ir_type_int(c, NULL) : t;
    if (t->kind == T_TENSOR && t->rank >= 0) {
        const ir_dim **d = RT_ARRAY(&c->arena, const ir_dim *, t->rank);
        for (int i = 0; i < t->rank; i++) d[i] = t->dims[i] && spec_dim_visible(s, t->dims[i]) ? t->dims[i] : NULL;
        return ir_type_tensor(c, t->dtype, t->rank, d);
    }
    if (!t->n) return t;
    const ir_type **e = RT_ARRAY(&c->arena, const ir_type *, t->n);
    for (int i = 0; i < t->n; i++) e[i] = outer_type(s, t->elem[i]);
    switch (t->kind) {
    case T_LIST: return ir_type_list(c, e[0]);
    case T_OPTIONAL: return ir_type_optional(c, e[0]);
    case T_DICT: return ir_type_dict(c, e[0], e[1]);
    case T_TUPLE: return ir_type_tuple(c, t->n, e, t->fields, t->name);
    default: return t;
    }
}

/* A joined value: known parts of tuples are taken apart so that they stay known. */
static const aval *dyn_of(spec *s, ir_value *v) { return spec_dyn(s, v); }

/* The tensor gets a reason of its own why it cannot be written, or none. */
static void set_frozen(spec *s, const aval *a, const char *why) {
    if (a->kind == AV_TENSOR) spec_cell_edit(s, a->cell)->frozen = why;
}

/* ---- if */

typedef struct pair { int a, b, cell; } pair; /* cells of the two branches that were joined into one; -1: of a dead branch */

/* What is to be evaluated behind a block: the rest of the block that holds the `if` of which that is a branch. */
typedef struct after { ir_node *fork; const struct after *next; } after;

typedef struct join {
    spec *s;
    ir_node *src;       /* the surface `if` */
    const struct after *tail; /* what follows it is evaluated in each branch, or NULL */
    ir_node *node;
    ir_block *block[2];
    spec_heap heap[2], before;
    bool dead[2];
    ir_span at;
    RT_VEC(pair) pairs, tensors;
    int n;
    const aval *const *results[2]; /* of the branches */
} join;

static ir_value *value_in(join *j, int k, const aval *a, const ir_type *t) {
    spec *s = j->s;
    spec_heap heap = s->heap;
    ir_block *b = s->b;
    s->heap = j->heap[k];
    s->b = j->block[k];
    ir_value *v = spec_value_as(s, a, t, j->at);
    s->heap = heap;
    s->b = b;
    return v;
}

static const ir_type *type_in(join *j, int k, const aval *a) {
    spec *s = j->s;
    spec_heap heap = s->heap;
    s->heap = j->heap[k];
    const ir_type *t = spec_type(s, a);
    s->heap = heap;
    return t;
}

/* A new result of the `if`: a in block 0, b in block 1 (a dead block gives an uninitialised value). */
static ir_value *join_value(join *j, const aval *a, const aval *b, const ir_type *t) {
    const aval *in[2] = {a, b};
    const ir_type *out = spec_fresh_type(j->s, t);
    for (int k = 0; k < 2; k++) {
        const aval undef = {.kind = AV_UNDEF};
        ir_block_result(j->block[k], value_in(j, k, j->dead[k] ? &undef : in[k], t));
    }
    ir_value *v = ir_add_output(j->node, out);
    spec_bind_symbols(j->s, out);
    return v;
}

static const aval *join_avals(join *j, const aval *a, const aval *b);

static const cell *cell_in(const join *j, int k, int i) { return i < j->heap[k].n ? j->heap[k].at[i] : NULL; }

static const aval *ref_to(spec *s, int cell) {
    aval *a = RT_NEW(&s->c->arena, aval);
    *a = (aval){.kind = AV_REF, .cell = cell};
    return a;
}

static bool is_known(const cell *x) { return x->kind == CELL_LIST || x->kind == CELL_DICT || x->kind == CELL_OBJECT; }

static bool same_shape(const cell *x, const cell *y) {
    if (x->kind != y->kind || x->n != y->n || x->cls != y->cls) return false;
    for (int i = 0; i < x->n && x->keys; i++)
        if (!same(x->keys[i], y->keys[i])) return false;
    return true;
}

static void join_fields(join *j, const cell *x, const cell *y, const aval **at) {
    for (int i = 0; i < x->n; i++) at[i] = join_avals(j, x->at[i], y->at[i]);
}

/* Containers that the two branches made themselves. */
static const aval *join_fresh_refs(join *j, const aval *a, const aval *b) {
    spec *s = j->s;
    for (int i = 0; i < j->pairs.n; i++)
        if (j->pairs.at[i].a == a->cell && j->pairs.at[i].b == b->cell) return ref_to(s, j->pairs.at[i].cell);
    const cell *x = cell_in(j, 0, a->cell), *y = cell_in(j, 1, b->cell);
    cell new = *x;
    if (is_known(x) && same_shape(x, y)) {
        new.at = RT_ARRAY(&s->c->arena, const aval *, x->n);
        join_fields(j, x, y, new.at);
    } else if (x->kind == CELL_OBJECT || y->kind == CELL_OBJECT) {
        spec_unsupported(s, j->at, "instances of different classes meet after this `if`");
        return a;
    } else {
        const ir_type *t = spec_join_type(s, outer_type(s, type_in(j, 0, a)), outer_type(s, type_in(j, 1, b)));
        if (!t) {
            spec_unsupported(s, j->at, "the containers that meet after this `if` have no common type");
            return a;
        }
        ir_value *v = join_value(j, a, b, spec_loose(s, t));
        new = (cell){.kind = CELL_DYN, .content = v, .type = v->type};
    }
    int c = spec_cell_new(s, new);
    pair p = {a->cell, b->cell, c};
    RT_PUSH(&s->c->arena, &j->pairs, p);
    return ref_to(s, c);
}

static const aval *join_refs(join *j, const aval *a, const aval *b) {
    int n = j->before.n;
    if (a->cell >= n && b->cell >= n) return join_fresh_refs(j, a, b);
    for (int k = 0; k < 2; k++) { /* one was there before: only run-time containers can be either */
        int i = k ? b->cell : a->cell;
        if (i < n && is_known(j->before.at[i])) {
            if (j->before.at[i]->kind == CELL_OBJECT) spec_unsupported(j->s, j->at, "different objects meet after this `if`");
            else spec_retry(j->s, i, NULL);
            return a;
        }
    }
    return join_fresh_refs(j, a, b);
}

static void freeze(join *j, const aval *a, const char *why) {
    if (spec_cell(j->s, a->cell)->frozen) return;
    cell *e = spec_cell_edit(j->s, a->cell);
    e->frozen = why;
    e->frozen_by = j->src;
}

/* The tensors in a, of branch k, become part of a run-time value: what other names mean by them is not written any more. */
static void escape(join *j, int k, const aval *a) {
    const char *why = "it may share memory with a run-time value of before";
    for (int i = 0; i < a->n && a->kind == AV_TUPLE; i++) escape(j, k, a->at[i]);
    if (a->kind != AV_TENSOR) return;
    if (a->cell < j->before.n) {
        freeze(j, a, why);
        return;
    }
    cell *e = rt_arena_copy(&j->s->c->arena, cell_in(j, k, a->cell), sizeof *e);
    if (!e->frozen) e->frozen = why, e->frozen_by = j->src;
    j->heap[k].at[a->cell] = e;
    for (int i = 0; i < j->tensors.n; i++) {
        const pair *q = &j->tensors.at[i];
        const aval joined = {.kind = AV_TENSOR, .cell = q->cell};
        if ((k ? q->b : q->a) == a->cell) freeze(j, &joined, why);
    }
}

static const aval *join_tensors(join *j, const aval *a, const aval *b) {
    spec *s = j->s;
    const ir_type *t = spec_join_type(s, outer_type(s, a->type), outer_type(s, b->type));
    if (!t && spec_clone(s, j->src)) return a;
    if (!t) {
        rt_text x = {0};
        ir_type_print(&x, a->type);
        rt_text_str(&x, " and ");
        ir_type_print(&x, b->type);
        spec_unsupported(s, j->at, "tensors of different dtype or rank meet after this `if`: %s", x.s);
        rt_text_free(&x);
        return a;
    }
    pair p = {j->dead[0] ? -1 : a->cell, j->dead[1] ? -1 : b->cell, 0};
    bool whole = !a->view && !b->view;
    for (int i = 0; whole && i < j->tensors.n; i++) {
        const pair *q = &j->tensors.at[i];
        if (q->a != p.a || q->b != p.b || spec_cell(s, q->cell)->frozen) continue;
        aval *r = RT_NEW(&s->c->arena, aval);
        *r = (aval){.kind = AV_TENSOR, .cell = q->cell, .type = spec_cell(s, q->cell)->type};
        return r;
    }
    const aval *r = spec_tensor_new(s, join_value(j, a, b, t), NULL);
    const char *why = "it may share memory with a tensor from before an `if`";
    bool mine = true;
    for (int k = 0; k < 2; k++) {
        const aval *x = k ? b : a;
        if (j->dead[k]) continue;
        if (x->cell >= j->before.n && !x->view ? !cell_in(j, k, x->cell)->frozen
                                               : !spec_shared(s, &j->heap[k], x->cell, j->n, j->results[k]))
            continue;
        if (x->cell < j->before.n) freeze(j, x, why);
        mine = false;
    }
    for (int i = 0; i < j->tensors.n; i++) { /* one storage in one branch, two in the other */
        const pair *q = &j->tensors.at[i];
        if ((q->a < 0 || q->a != p.a) && (q->b < 0 || q->b != p.b)) continue;
        const aval other = {.kind = AV_TENSOR, .cell = q->cell};
        freeze(j, &other, why);
        mine = false;
    }
    if (!mine) freeze(j, r, why);
    p.cell = r->cell;
    RT_PUSH(&s->c->arena, &j->tensors, p);
    return r;
}

static const aval *join_tuples(join *j, const aval *a, const aval *b) {
    const aval **at = RT_ARRAY(&j->s->c->arena, const aval *, a->n);
    for (int i = 0; i < a->n; i++) at[i] = join_avals(j, a->at[i], b->at[i]);
    return spec_tuple(j->s, a->type, a->n, at);
}

static bool view_visible(spec *s, const view *v) {
    for (; v; v = v->parent)
        for (int i = 1; i < v->nargs; i++)
            if (v->args[i]->kind == AV_INT && !spec_dim_visible(s, v->args[i]->dim)) return false;
    return true;
}

/* Can `a`, which both branches agree on, be used outside as it is? */
static bool leaves(const join *j, const aval *a) {
    spec *s = j->s;
    switch (a->kind) {
    case AV_INT: return spec_dim_visible(s, a->dim);
    case AV_DYN: return spec_visible(s, a->v);
    case AV_TENSOR: return a->cell < j->before.n && view_visible(s, a->view);
    case AV_REF: return a->cell < j->before.n;
    case AV_TUPLE: return false; /* element by element */
    default: return true;
    }
}

static const aval *join_avals(join *j, const aval *a, const aval *b) {
    spec *s = j->s;
    if (s->stop) return a;
    for (int k = 0; k < 2; k++) /* a side that gives nothing is as good as dead for this value */
        if (!j->dead[k] && (k ? b : a)->kind == AV_UNDEF && (k ? a : b)->kind != AV_UNDEF && !j->dead[1 - k]) {
            j->dead[k] = true;
            const aval *r = join_avals(j, a, b);
            j->dead[k] = false;
            return r;
        }
    if (j->dead[0]) a = b;
    if (j->dead[1]) b = a;
    if (a->kind == AV_UNDEF) return a;
    if (same(a, b) && leaves(j, a)) return a->kind == AV_INT ? spec_dim(s, a->dim, NULL) : a;
    if (a->kind == AV_TUPLE && b->kind == AV_TUPLE && a->n == b->n) return join_tuples(j, a, b);
    if (a->kind == AV_TENSOR && b->kind == AV_TENSOR) return join_tensors(j, a, b);
    if (a->kind == AV_REF && b->kind == AV_REF) {
        /* with one side dead both name its cell: look it up in the live heap */
        if (a == b && (j->dead[0] || j->dead[1])) {
            join live = *j;
            int k = j->dead[0] ? 1 : 0;
            live.heap[0] = live.heap[1] = j->heap[k];
            const aval *r = join_refs(&live, a, b);
            j->pairs.at = live.pairs.at, j->pairs.n = live.pairs.n, j->pairs.cap = live.pairs.cap;
            return r;
        }
        return join_refs(j, a, b);
    }
    const ir_type *t = spec_join_type(s, outer_type(s, type_in(j, j->dead[0] ? 1 : 0, a)), outer_type(s, type_in(j, j->dead[1] ? 0 : 1, b)));
    if (!t && spec_clone(s, j->src)) return a;
    if (!t) {
        spec_unsupported(s, j->at, "values of different types meet after this `if`");
        return a;
    }
    if (!j->dead[0]) escape(j, 0, a);
    if (!j->dead[1]) escape(j, 1, b);
    return dyn_of(s, join_value(j, a, b, spec_loose(s, t)));
}

static void keep_frozen(cell *e, const cell *x, const cell *y) {
    if (!x->frozen) x = y;
    e->frozen = x->frozen;
    e->frozen_by = x->frozen_by;
}

static void join_storage(join *j, int i, const cell *x, const cell *y) {
    spec *s = j->s;
    ir_value *in[2] = {x->content, y->content};
    for (int k = 0; k < 2; k++) {
        ir_block *b = s->b;
        s->b = j->block[k];
        const aval undef = {.kind = AV_UNDEF};
        ir_value *v = j->dead[k] ? spec_value_as(s, &undef, x->type, j->at) : in[k];
        if (!v) { /* a param not read in this branch */
            spec_heap heap = s->heap;
            s->heap = j->heap[k];
            const aval whole = {.kind = AV_TENSOR, .cell = i, .type = x->type};
            v = spec_read(s, &whole, j->at);
            s->heap = heap;
        }
        s->b = b;
        ir_block_result(j->block[k], v);
    }
    ir_value *v = ir_add_output(j->node, x->type);
    cell *e = spec_cell_edit(s, i);
    e->content = v;
    e->scalar = NULL;
    keep_frozen(e, x, y);
}

static void join_cell(join *j, int i) {
    spec *s = j->s;
    const cell *x = cell_in(j, j->dead[0] ? 1 : 0, i), *y = cell_in(j, j->dead[1] ? 0 : 1, i);
    if (x == y && x == j->before.at[i]) {
        s->heap.at[i] = x;
        return;
    }
    s->heap.at[i] = x;
    if (x->kind == CELL_STORAGE) {
        if (x->content == y->content) {
            keep_frozen(spec_cell_edit(s, i), x, y);
            return;
        }
        join_storage(j, i, x, y);
        return;
    }
    if (x->kind == CELL_DYN && y->kind == CELL_DYN && x->content != y->content) {
        spec_retry(s, i, spec_join_type(s, outer_type(s, x->content->type), outer_type(s, y->content->type)));
        return;
    }
    if (!same_shape(x, y)) {
        spec_retry(s, i, x->kind == CELL_DYN ? outer_type(s, x->type) : y->kind == CELL_DYN ? outer_type(s, y->type) : NULL);
        return;
    }
    if (x->kind == CELL_DYN) return;
    cell *e = spec_cell_edit(s, i);
    join_fields(j, x, y, e->at);
}

static const cell *fresh_container(const join *j, int k, const aval *a) {
    return a->kind == AV_REF && a->cell >= j->before.n ? cell_in(j, k, a->cell) : NULL;
}

/* Containers that the branches made and that differ in structure, or are one here and two in the other branch, must be
 * run-time ones: then the join passes references.  Found by walking what will be joined, before anything is. */
static void note_pairs(join *j, const aval *a, const aval *b, int depth) {
    spec *s = j->s;
    if (depth > 20) return;
    for (int i = 0; a->kind == AV_TUPLE && b->kind == AV_TUPLE && a->n == b->n && i < a->n; i++) note_pairs(j, a->at[i], b->at[i], depth + 1);
    const cell *x = fresh_container(j, 0, a), *y = fresh_container(j, 1, b);
    if (!x || !y) {
        pair one = {x ? a->cell : -1, y ? b->cell : -1, -1}; /* meets something else: None, a container from before */
        if (x || y) RT_PUSH(&s->c->arena, &j->pairs, one);
        return;
    }
    for (int i = 0; i < j->pairs.n; i++)
        if (j->pairs.at[i].a == a->cell && j->pairs.at[i].b == b->cell) return;
    bool alike = is_known(x) && same_shape(x, y);
    pair p = {a->cell, b->cell, alike || x->kind == CELL_OBJECT || y->kind == CELL_OBJECT ? 0 : -1};
    RT_PUSH(&s->c->arena, &j->pairs, p);
    for (int i = 0; alike && i < x->n; i++) note_pairs(j, x->at[i], y->at[i], depth + 1);
}

static void make_dynamic(join *j, int k, int cell) {
    spec *s = j->s;
    spec_heap heap = s->heap;
    ir_block *b = s->b;
    s->heap = j->heap[k];
    s->b = j->block[k];
    if (spec_cell(s, cell)->kind == CELL_LIST || spec_cell(s, cell)->kind == CELL_DICT) spec_materialise(s, cell, NULL, j->at);
    j->heap[k] = s->heap;
    s->heap = heap;
    s->b = b;
}

static void split_aliases(join *j) {
    if (j->dead[0] || j->dead[1]) return;
    for (int i = 0; i < j->n; i++) note_pairs(j, j->results[0][i], j->results[1][i], 0);
    for (int i = 0; i < j->before.n; i++) {
        const cell *x = cell_in(j, 0, i), *y = cell_in(j, 1, i);
        for (int k = 0; x != y && is_known(x) && same_shape(x, y) && k < x->n; k++) note_pairs(j, x->at[k], y->at[k], 0);
    }
    for (int i = 0; i < j->pairs.n; i++)
        for (int k = 0; k < i; k++) {
            pair *p = &j->pairs.at[i], *q = &j->pairs.at[k];
            if ((p->a >= 0 && p->a == q->a) || (p->b >= 0 && p->b == q->b)) p->cell = q->cell = -1;
        }
    for (int i = 0; i < j->pairs.n && !j->s->stop; i++) {
        const pair *p = &j->pairs.at[i];
        if (p->cell < 0 && p->a >= 0) make_dynamic(j, 0, p->a);
        if (p->cell < 0 && p->b >= 0 && !j->s->stop) make_dynamic(j, 1, p->b);
    }
    j->pairs.n = 0;
}

static void join_heaps(join *j) {
    for (int i = 0; i < j->before.n && !j->s->stop; i++) join_cell(j, i);
}

static void run_rest(spec *s, spec_env *env, ir_block *b, ir_node *from, const after *then, const aval **results);

/* Branch k, and where there is a tail what follows the `if`: then `results` are those at its end. */
static void run_branch(spec *s, spec_env *env, ir_node *n, join *j, int k, const aval **results) {
    for (int i = 0; i < j->before.n; i++) s->heap.at[i] = j->before.at[i];
    s->b = j->block[k] = ir_block_new(s->f, j->node);
    int renamed = s->renamed.n;
    run_rest(s, env, n->blocks[k], n->blocks[k]->first, j->tail, results);
    spec_rename_back(s, renamed, s->stop == SPEC_DEAD ? NULL : n);
    j->dead[k] = s->stop == SPEC_DEAD;
    if (s->stop == SPEC_DEAD) s->stop = SPEC_GO;
    j->heap[k] = heap_copy(s, s->heap);
}

static int results_after(const ir_block *b, const after *then) {
    for (; then; then = then->next) b = then->fork->block;
    return b->results.n;
}

/* One evaluation of both branches and the join. */
static void try_if(spec *s, spec_env *env, ir_node *n, const after *tail, ir_value *cond, const aval **results) {
    ir_block *outer = s->b;
    int nresults = results_after(n->blocks[0], tail);
    join j = {.s = s, .src = n, .tail = tail, .at = spec_span(s, n), .before = heap_copy(s, s->heap)};
    j.node = spec_emit(s, ir_struct(s->c, S_IF), spec_span(s, n), 1, &cond, 0, NULL);
    const aval **r[2];
    for (int k = 0; k < 2 && !s->stop; k++) {
        r[k] = RT_ARRAY(&s->c->arena, const aval *, nresults);
        run_branch(s, env, n, &j, k, r[k]);
    }
    s->b = outer;
    if (s->stop || s->exhausted) return;
    if (j.dead[0] && j.dead[1]) {
        s->stop = SPEC_DEAD;
        return;
    }
    j.n = nresults;
    for (int k = 0; k < 2; k++) j.results[k] = r[k];
    split_aliases(&j);
    join_heaps(&j);
    for (int i = 0; i < nresults && !s->stop; i++) results[i] = join_avals(&j, r[0][i], r[1][i]);
}

static void poison(spec *s, int n, const aval **results) {
    for (int i = 0; i < n; i++) results[i] = spec_const(s, (rt_value){.tag = V_UNDEF});
}

static void fork_if(spec *s, spec_env *env, ir_node *n, const after *tail, const aval **results) {
    ir_value *v = spec_value(s, env->at[n->in[0]->id], spec_span(s, n));
    ir_block *outer = s->b;
    mark m = mark_here(s);
    forced_list list = {0};
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        try_if(s, env, n, tail, v, results);
        if (!retry_here(s, &m)) return;
        prepare_retry(s, outer, &m, &list, spec_span(s, n));
        if (s->stop) return;
    }
    spec_unsupported(s, spec_span(s, n), "this `if` changes containers in a way that cannot be followed");
}

void spec_if(spec *s, spec_env *env, ir_node *n, const aval **results) {
    const aval *cond = env->at[n->in[0]->id];
    bool known;
    poison(s, n->nout, results);
    if (cond->kind == AV_UNDEF) return;
    if (spec_known_bool(cond, &known)) spec_block(s, env, n->blocks[known ? 0 : 1], results);
    else fork_if(s, env, n, NULL, results);
}

/* ---- blocks, and what follows an `if` in each of its branches */

/* The forks of a block that is being evaluated, with what was before them. */
typedef struct point { ir_node *fork; ir_block *b; mark mark; } point;
struct spec_points { RT_VEC(point) list; struct spec_points *outer; };

static bool was_cloned(const spec *s, const ir_node *n) { return rt_map_getn(&s->cloned, (const char *)&n, sizeof n) != NULL; }

static bool is_pending(const spec *s, const ir_node *fork) {
    for (const struct spec_points *p = s->points; p; p = p->outer)
        for (int i = 0; i < p->list.n; i++)
            if (p->list.at[i].fork == fork) return true;
    return false;
}

/* Where that was done already, or is of no use, the same of the `if` around it. */
bool spec_clone(spec *s, const ir_node *fork) {
    for (; fork && s->clones < MAX_CLONES; fork = fork->block->owner) {
        if (fork->op->cls != OP_STRUCT || fork->op->id != S_IF) return false;
        if (was_cloned(s, fork) || !is_pending(s, fork)) continue;
        s->clone_at = fork;
        s->stop = SPEC_CLONE;
        return true;
    }
    return false;
}

static bool forks(const spec_env *env, const ir_node *n) {
    bool known;
    if (n->op->cls != OP_STRUCT || n->op->id != S_IF) return false;
    const aval *cond = env->at[n->in[0]->id];
    return cond->kind != AV_UNDEF && !spec_known_bool(cond, &known);
}

/* The fork of this block that is to be cloned, as things were before it; NULL: it is one of another block. */
static ir_node *back_to_fork(spec *s, struct spec_points *p) {
    for (int i = 0; s->stop == SPEC_CLONE && i < p->list.n; i++) {
        point *x = &p->list.at[i];
        if (x->fork != s->clone_at) continue;
        roll_back(s, x->b, &x->mark);
        rt_map_putn(&s->c->arena, &s->cloned, (const char *)&s->clone_at, sizeof s->clone_at, x->fork);
        p->list.n = i;
        return x->fork;
    }
    return NULL;
}

static void run_clones(spec *s, spec_env *env, ir_node *n, const after *then, const aval **results) {
    const ir_node *outer = s->frame->at;
    const after tail = {n, then};
    poison(s, results_after(n->block, then), results);
    s->frame->at = n;
    s->clones++;
    fork_if(s, env, n, &tail, results);
    s->clones--;
    s->frame->at = outer;
}

/* The nodes of b until its end, or until one whose tails were cloned: then the rest is done.  true: the end was reached. */
static bool run_nodes(spec *s, spec_env *env, ir_node *from, const after *then, const aval **results) {
    struct spec_points points = {.outer = s->points};
    s->points = &points;
    ir_node *cloned = NULL;
    for (ir_node *n = from; n && !s->stop && !s->exhausted && !cloned; n = n->next) {
        if (forks(env, n) && was_cloned(s, n) && s->clones < MAX_CLONES) {
            cloned = n;
            break;
        }
        if (forks(env, n)) RT_PUSH(&s->c->arena, &points.list, ((point){n, s->b, mark_here(s)}));
        spec_node(s, env, n);
        cloned = back_to_fork(s, &points);
    }
    if (cloned) run_clones(s, env, cloned, then, results);
    s->points = points.outer;
    return !cloned;
}

/* Block b from a node on, and what follows it: `results` are those of the last block. */
static void run_rest(spec *s, spec_env *env, ir_block *b, ir_node *from, const after *then, const aval **results) {
    for (;; from = then->fork->next, b = then->fork->block, then = then->next) {
        if (!run_nodes(s, env, from, then, results)) return;
        if (s->stop || s->exhausted) {
            poison(s, results_after(b, then), results);
            return;
        }
        const aval **r = then ? RT_ARRAY(&s->c->arena, const aval *, b->results.n) : results;
        for (int i = 0; i < b->results.n; i++) r[i] = env->at[b->results.at[i]->id];
        if (!then) return;
        for (int i = 0; i < then->fork->nout; i++) env->at[then->fork->out[i]->id] = r[i];
    }
}

void spec_block(spec *s, spec_env *env, ir_block *b, const aval **results) { run_rest(s, env, b, b->first, NULL, results); }

/* ---- loop: unrolled */

static bool unroll_known(spec *s, spec_env *env, ir_node *n, const aval **carried, int64_t trip, bool go) {
    ir_block *body = n->blocks[0];
    const aval **r = RT_ARRAY(&s->c->arena, const aval *, n->nout + 1);
    int nodes = s->f->nnodes;
    for (int64_t i = 0; go && i < trip; i++) {
        if (s->unrolled + s->steps - s->unroll_start > UNROLL_STEPS || (s->f->nnodes - nodes > UNROLL_NODES && i > 1)) return false;
        env->at[body->params.at[0]->id] = spec_int(s, i);
        for (int k = 0; k < n->nout; k++) env->at[body->params.at[k + 1]->id] = carried[k];
        spec_block(s, env, body, r);
        if (s->stop || s->exhausted) return true;
        for (int k = 0; k < n->nout; k++) carried[k] = r[k + 1];
        if (r[0]->kind == AV_UNDEF) return true;
        if (!spec_known_bool(r[0], &go)) return false;
    }
    return true;
}

/* false: some condition is not known, or the budget is spent. */
static bool unroll(spec *s, spec_env *env, ir_node *n, const aval **carried) {
    int64_t trip;
    bool go, outermost = !s->unrolling;
    if (!spec_known_int(env->at[n->in[0]->id], &trip) || !spec_known_bool(env->at[n->in[1]->id], &go)) return false;
    if (outermost) s->unroll_start = s->steps;
    s->unrolling = true;
    bool done = unroll_known(s, env, n, carried, trip, go);
    s->unrolling = !outermost;
    if (outermost) s->unrolled += s->steps - s->unroll_start;
    return done;
}

/* ---- loop: at run time */

typedef struct slot { /* what is carried: a variable (cell < 0), the content of a storage (field < 0), or an element of a known container or object */
    int var, cell, field;
    const ir_type *type; /* joined type, unknown dims NULL */
    const aval *header;
    ir_value *init;
    bool shared; /* a tensor that something else may refer to, too: it cannot be written */
} slot;

typedef struct kept { int cell; const char *why; } kept; /* a storage that is written in the body, and frozen behind that */

typedef struct loop {
    spec *s;
    ir_node *n, *node;
    ir_block *body, *outer;
    spec_heap before, after;
    const aval **init, **header, **result; /* variables; result[0] is the condition */
    RT_VEC(slot) slots;
    RT_VEC(kept) kept;
    bool dead, changed;
} loop;

static const char *const loop_frozen = "it may share memory with a tensor from before the loop or from another iteration";

static const aval *initial(loop *l, const slot *x) {
    if (x->cell < 0) return l->init[x->var];
    return l->before.at[x->cell]->at[x->field];
}

static ir_value *initial_value(loop *l, const slot *x) {
    spec *s = l->s;
    if (x->cell < 0 || x->field >= 0) {
        const aval *a = initial(l, x);
        ir_value *v = spec_value_as(s, a, x->type, spec_span(l->s, l->n));
        if (a->kind == AV_REF) l->before.at[a->cell] = s->heap.at[a->cell]; /* loose from here on */
        return v;
    }
    const aval whole = {.kind = AV_TENSOR, .cell = x->cell, .type = spec_cell(s, x->cell)->type};
    return spec_read(s, &whole, spec_span(l->s, l->n));
}

static void begin_slot(loop *l, slot *x) {
    spec *s = l->s;
    const ir_type *t = x->cell >= 0 && x->field < 0 ? x->type : spec_fresh_type(s, x->type);
    ir_value *p = ir_block_param(l->body, t, NULL);
    spec_bind_symbols(s, t);
    if (x->cell >= 0 && x->field < 0) {
        cell *e = spec_cell_edit(s, x->cell);
        e->content = p;
        e->scalar = NULL;
        return;
    }
    x->header = dyn_of(s, p);
    set_frozen(s, x->header, x->shared ? loop_frozen : NULL);
    if (x->cell < 0) l->header[x->var] = x->header;
    else spec_cell_edit(s, x->cell)->at[x->field] = x->header;
}

static slot *find_slot(loop *l, int var, int cell, int field) {
    for (int i = 0; i < l->slots.n; i++) {
        slot *x = &l->slots.at[i];
        if (x->var == var && x->cell == cell && x->field == field) return x;
    }
    return NULL;
}

static void type_clash(loop *l, const ir_type *a, const ir_type *b) {
    rt_text x = {0};
    ir_type_print(&x, a);
    rt_text_str(&x, " and ");
    ir_type_print(&x, b);
    spec_unsupported(l->s, spec_span(l->s, l->n), "a value changes its type from one iteration to the next: %s", x.s);
    rt_text_free(&x);
}

static void widen_slot(loop *l, int var, int cell, int field, const aval *init, const aval *now) {
    spec *s = l->s;
    slot *x = find_slot(l, var, cell, field);
    ir_block *b = s->b;
    s->b = l->outer;
    const ir_type *new = outer_type(s, spec_type(s, now));
    spec_heap heap = s->heap;
    s->heap = l->before;
    const ir_type *old = x ? x->type : spec_type(s, init);
    s->heap = heap;
    s->b = b;
    const ir_type *t = spec_join_type(s, old, new);
    if (t) t = spec_loose(s, t);
    if (!t) {
        type_clash(l, old, new);
        return;
    }
    if (x && t == x->type) return;
    l->changed = true;
    bool shared = x ? x->shared : init->kind != AV_TENSOR || spec_shared(s, &l->before, init->cell, l->n->nout, l->init);
    slot fresh = {var, cell, field, t, NULL, NULL, shared};
    if (x) *x = fresh;
    else RT_PUSH(&s->c->arena, &l->slots, fresh);
}

/* Does variable `now` differ from the header in a way that must be carried?  A known container that would be replaced
 * by another one becomes a run-time one first. */
static void compare_var(loop *l, int var, int cell, int field, const aval *init, const aval *header, const aval *now) {
    spec *s = l->s;
    if (s->stop || now->kind == AV_UNDEF) return;
    if (!find_slot(l, var, cell, field) && same(header, now)) return;
    const aval *refs[2] = {init, now};
    for (int k = 0; k < 2; k++)
        if (refs[k]->kind == AV_REF && refs[k]->cell < l->before.n && is_known(l->before.at[refs[k]->cell])) {
            if (l->before.at[refs[k]->cell]->kind == CELL_OBJECT)
                spec_unsupported(s, spec_span(l->s, l->n), "a variable holds different objects in different iterations");
            else spec_retry(s, refs[k]->cell, NULL);
            return;
        }
    widen_slot(l, var, cell, field, init, now);
}

/* What keeps the tensor of this iteration must not see it written in the next. */
static void keep(loop *l, int i, const char *why) {
    kept k = {i, why};
    RT_PUSH(&l->s->c->arena, &l->kept, k);
    l->changed = true;
}

static void compare_cell(loop *l, int i, const cell *header) {
    spec *s = l->s;
    const cell *now = s->heap.at[i];
    if (now == header || s->stop) return;
    if (now->kind == CELL_STORAGE) {
        if (now->content != header->content && now->frozen && !header->frozen) keep(l, i, now->frozen);
        if (now->content == header->content || find_slot(l, -1, i, -1)) return;
        slot x = {-1, i, -1, header->type, NULL, NULL, false};
        RT_PUSH(&s->c->arena, &l->slots, x);
        l->changed = true;
        return;
    }
    if (now->kind == CELL_DYN && header->kind == CELL_DYN && now->content == header->content) return;
    if (now->kind == CELL_DYN || !same_shape(now, header)) {
        ir_block *b = s->b;
        s->b = l->outer;
        spec_retry(s, i, now->kind == CELL_DYN ? outer_type(s, now->content->type) : NULL);
        s->b = b;
        return;
    }
    for (int k = 0; k < now->n; k++) compare_var(l, -1, i, k, l->before.at[i]->at[k], header->at[k], now->at[k]);
}

/* What slot x holds at the end of the body. */
static const aval *yielded(loop *l, const slot *x) {
    if (x->cell < 0) return l->result[x->var + 1];
    return x->field >= 0 ? spec_cell(l->s, x->cell)->at[x->field] : NULL;
}

/* Tensors from before the loop that a slot holds after an iteration: nothing may write them from then on. */
static void keep_all(loop *l, const aval *now) {
    for (int i = 0; i < now->n && now->kind == AV_TUPLE; i++) keep_all(l, now->at[i]);
    if (now->kind == AV_TENSOR && now->cell < l->before.n && !l->before.at[now->cell]->frozen) keep(l, now->cell, loop_frozen);
}

/* A carried tensor that the next iteration may write must belong to its slot alone. */
static void check_owner(loop *l, slot *x) {
    const aval *now = yielded(l, x);
    if (now) keep_all(l, now);
    if (x->shared || !now || now->kind != AV_TENSOR || x->type->kind != T_TENSOR) return;
    bool mine = now->cell >= l->before.n && !spec_shared(l->s, &l->s->heap, now->cell, l->n->nout, l->result + 1);
    if (mine) return;
    x->shared = l->changed = true;
}

/* In the first iteration the slot means the tensor that came in: a write to that one would be missed. */
static void freeze_initial(loop *l, const slot *x) {
    bool storage = x->cell >= 0 && x->field < 0;
    if (!storage && (x->shared || initial(l, x)->kind != AV_TENSOR)) spec_freeze(l->s, initial(l, x), loop_frozen);
}

/* Evaluates the body once for the current slots; says in l->changed whether the slots were widened. */
static void try_loop(loop *l, spec_env *env) {
    spec *s = l->s;
    ir_node *n = l->n;
    ir_value **in = RT_ARRAY(&s->c->arena, ir_value *, l->slots.n + 2);
    for (int i = 0; i < l->kept.n; i++) {
        spec_cell_edit(s, l->kept.at[i].cell)->frozen = l->kept.at[i].why;
        l->before.at[l->kept.at[i].cell] = s->heap.at[l->kept.at[i].cell];
    }
    in[0] = spec_value(s, env->at[n->in[0]->id], spec_span(s, n));
    in[1] = spec_value(s, env->at[n->in[1]->id], spec_span(s, n));
    for (int i = 0; i < l->slots.n; i++) in[i + 2] = l->slots.at[i].init = initial_value(l, &l->slots.at[i]);
    l->node = spec_emit(s, ir_struct(s->c, S_LOOP), spec_span(s, n), l->slots.n + 2, in, 0, NULL);
    s->b = l->body = ir_block_new(s->f, l->node);
    int64_t trip = INT64_MAX;
    spec_known_int(env->at[n->in[0]->id], &trip);
    const ir_type *it = ir_type_int(s->c, spec_fresh(s, "i", 0, trip > 0 ? trip - 1 : 0));
    ir_block *src = n->blocks[0];
    env->at[src->params.at[0]->id] = dyn_of(s, ir_block_param(l->body, it, NULL));
    for (int k = 0; k < n->nout; k++) l->header[k] = l->init[k];
    for (int i = 0; i < l->slots.n; i++) begin_slot(l, &l->slots.at[i]);
    for (int i = 0; i < l->slots.n; i++) freeze_initial(l, &l->slots.at[i]);
    for (int k = 0; k < n->nout; k++) env->at[src->params.at[k + 1]->id] = l->header[k];
    spec_heap header = heap_copy(s, s->heap);
    int renamed = s->renamed.n;
    spec_block(s, env, src, l->result);
    spec_rename_back(s, renamed, s->stop == SPEC_DEAD ? NULL : n);
    l->dead = s->stop == SPEC_DEAD;
    if (l->dead) s->stop = SPEC_GO;
    l->changed = false;
    if (s->stop || s->exhausted || l->dead) return;
    for (int i = 0; i < l->before.n && !s->stop; i++) compare_cell(l, i, header.at[i]);
    for (int k = 0; k < n->nout; k++) compare_var(l, k, -1, -1, l->init[k], l->header[k], l->result[k + 1]);
    for (int i = 0; i < l->slots.n && !s->stop; i++) check_owner(l, &l->slots.at[i]);
}

/* A list that leaves the body is one list, however many slots hold it. */
static void settle(loop *l, const aval *now, const ir_type *t) {
    if (t->kind == T_OPTIONAL) t = t->elem[0];
    if (now->kind == AV_REF && (t->kind == T_LIST || t->kind == T_DICT) && is_known(spec_cell(l->s, now->cell)))
        spec_materialise(l->s, now->cell, t, spec_span(l->s, l->n));
}

static void yield_slots(loop *l) {
    spec *s = l->s;
    const aval *no = spec_bool(s, false), undef = {.kind = AV_UNDEF};
    bool cond_known = !l->dead && l->result[0]->kind != AV_UNDEF;
    ir_block_result(l->body, spec_value(s, cond_known ? l->result[0] : no, spec_span(l->s, l->n)));
    for (int i = 0; i < l->slots.n; i++) {
        slot *x = &l->slots.at[i];
        const aval *now = l->dead ? &undef : yielded(l, x);
        const aval whole = {.kind = AV_TENSOR, .cell = x->cell, .type = x->type};
        if (now) settle(l, now, x->type);
        if (s->stop) return;
        ir_block_result(l->body, now ? spec_value_as(s, now, x->type, spec_span(l->s, l->n)) : spec_read(s, &whole, spec_span(l->s, l->n)));
    }
}

static void freeze_carried(loop *l, const slot *x, const aval *out) {
    const aval *init = initial(l, x);
    set_frozen(l->s, out, x->shared ? loop_frozen : NULL);
    if (init->kind != AV_TENSOR || x->shared) spec_freeze(l->s, init, loop_frozen);
}

static void finish(loop *l, const aval **results) {
    spec *s = l->s;
    yield_slots(l);
    if (s->stop) return;
    s->b = l->outer;
    for (int i = 0; i < l->before.n; i++) {
        const char *frozen = s->heap.at[i]->frozen;
        s->heap.at[i] = l->before.at[i];
        if (frozen && s->heap.at[i]->kind == CELL_STORAGE) spec_cell_edit(s, i)->frozen = frozen;
    }
    s->heap.n = l->before.n; /* what the body made is out of reach */
    forget_cells(s, s->heap.n);
    for (int k = 0; k < l->n->nout; k++) results[k] = l->init[k];
    for (int i = 0; i < l->slots.n; i++) {
        slot *x = &l->slots.at[i];
        bool storage = x->cell >= 0 && x->field < 0;
        const ir_type *t = storage ? x->type : spec_fresh_type(s, x->type);
        ir_value *v = ir_add_output(l->node, t);
        spec_bind_symbols(s, t);
        if (storage) {
            cell *e = spec_cell_edit(s, x->cell);
            e->content = v;
            e->scalar = NULL;
            continue;
        }
        const aval *out = dyn_of(s, v);
        freeze_carried(l, x, out);
        if (x->cell < 0) results[x->var] = out;
        else spec_cell_edit(s, x->cell)->at[x->field] = out;
    }
}

static void dynamic_loop(spec *s, spec_env *env, ir_node *n, const aval **results) {
    loop l = {.s = s, .n = n, .outer = s->b, .before = heap_copy(s, s->heap)};
    l.init = RT_ARRAY(&s->c->arena, const aval *, n->nout);
    l.header = RT_ARRAY(&s->c->arena, const aval *, n->nout);
    l.result = RT_ARRAY(&s->c->arena, const aval *, n->nout + 1);
    for (int k = 0; k < n->nout; k++) l.init[k] = env->at[n->in[k + 2]->id];
    mark first = mark_here(s), m = first;
    forced_list list = {0};
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        try_loop(&l, env);
        if (retry_here(s, &first)) {
            prepare_retry(s, l.outer, &first, &list, spec_span(s, n));
            if (s->stop) return;
            m = mark_here(s);
            l.before = heap_copy(s, s->heap);
            l.slots.n = l.kept.n = 0;
            continue;
        }
        if (s->stop || s->exhausted) {
            s->b = l.outer;
            return;
        }
        if (!l.changed) {
            finish(&l, results);
            return;
        }
        roll_back(s, l.outer, &m);
    }
    spec_unsupported(s, spec_span(s, n), "the types in this loop do not settle");
}

void spec_loop(spec *s, spec_env *env, ir_node *n, const aval **results) {
    poison(s, n->nout, results);
    for (int i = 0; i < 2; i++)
        if (env->at[n->in[i]->id]->kind == AV_UNDEF) return;
    const aval **carried = RT_ARRAY(&s->c->arena, const aval *, n->nout);
    for (int k = 0; k < n->nout; k++) carried[k] = env->at[n->in[k + 2]->id];
    ir_block *outer = s->b;
    mark m = mark_here(s);
    if (unroll(s, env, n, carried)) {
        for (int k = 0; k < n->nout; k++) results[k] = carried[k];
        return;
    }
    roll_back(s, outer, &m);
    dynamic_loop(s, env, n, results);
}
