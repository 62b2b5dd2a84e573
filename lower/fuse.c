/* fuse.c: groups core nodes into kernels.
 * in: core, types.  out: grouped: every node of a comprehension class lies in the block of an S_KERNEL.
 *
 * Greedy, backwards: when a node is met, all its users are in groups already.  It joins the group of its users if that
 * is one group, in the same block, and if computing it there is right and not wasteful:
 *   - a map node joins as a producer: its expression is inlined at every load.  Not into contractions or writes unless it only
 *     moves elements; not where an expensive expression would be computed again and again.
 *   - a reduction, scan or contraction joins as the anchor of a group of maps that has none yet, has the same dims and reads it
 *     only at the output index: the maps become its epilogue.
 * Map nodes that only move elements or hold a constant are duplicated for each user, so that they never cost memory.
 * Everything here is pure, so the group can stand where its last node stood.  Linear in nodes times users. */
#include "lower/fused.h"
#include "lower/nest.h"

enum { EXPENSIVE = 12 /* primitives */ };

typedef struct info {
    lower_node a;
    comp *k;
    comp_kind kind;
    int group;    /* number of the root node */
    bool aligned; /* the root reads it at the output index only, and it has the root's dims */
    bool bare;    /* only moves elements, or is a constant */
    bool costly;
} info;

typedef struct group { ir_node *root; bool anchored; int n; } group;

typedef struct fuse {
    ir_module *m;
    ir_func *f;
    info *at;       /* by node id */
    group *groups;  /* by node id of the root */
    int cap, made;
} fuse;

static bool is_libm(ir_prim p) { return p >= K_EXP && p < K_COUNT; }

static int weight(const ir_expr *e) { /* of the tree: a rough upper bound */
    if (e->op >= K_COUNT) return 0;
    int w = is_libm(e->op) ? EXPENSIVE : e->op == K_DIV || e->op == K_SQRT || e->op == K_FLOORDIV || e->op == K_MOD ? 4 : 1;
    for (int i = 0; i < e->n && w < 10 * EXPENSIVE; i++) w += weight(e->args[i]);
    return w;
}

static bool only_moves(const ir_expr *e) {
    while (e->op == K_CAST) e = e->args[0];
    return e->op == X_LOAD || e->op == X_CONST || e->op == X_SCALAR || e->op == X_DIM;
}

static void describe(fuse *f, ir_node *n) {
    info *x = &f->at[n->id];
    *x = (info){.group = -1};
    x->k = lower_node_comp(f->m->c, n, &x->a);
    x->kind = lower_comp_kind(x->k);
    if (x->kind != CK_MAP) return;
    x->bare = n->nout == 1 && only_moves(x->k->out[0]) && !x->k->checks.n;
    for (int i = 0; i < x->k->nout; i++) x->costly = x->costly || weight(x->k->out[i]) >= EXPENSIVE;
}

static bool is_comp_class(const ir_node *n) {
    return n->op->cls == OP_POINTWISE || n->op->cls == OP_REDUCE || n->op->cls == OP_MOVE || n->op->cls == OP_CONTRACT;
}

/* ---- how a consumer reads a producer's result */

typedef struct reads { const comp *k; uint32_t operands; bool identity, all_vars, affine; } reads;

static uint32_t big_vars(const comp *k) {
    uint32_t u = 0;
    for (int i = 0; i < k->ndims + k->nrdims; i++) {
        int64_t x;
        const ir_dim *d = i < k->ndims ? k->dims[i] : k->rdims[i - k->ndims];
        if (!ir_dim_is_const(d, &x) || x > 1) u |= 1u << i;
    }
    return u;
}

static bool moves_simply(const ir_expr *e) { /* sums of variables times constants */
    if (e->op == X_INDEX || e->op == X_CONST || e->op == X_DIM) return true;
    if (e->op != K_ADD && e->op != K_SUB && e->op != K_MUL) return false;
    return moves_simply(e->args[0]) && moves_simply(e->args[1]);
}

static bool size_one(const ir_dim *d) {
    int64_t x;
    return ir_dim_is_const(d, &x) && x == 1;
}

static void read_load(reads *r, const ir_expr *e) {
    uint32_t used = 0;
    for (int i = 0; i < e->n; i++) {
        bool here = e->args[i]->op == X_INDEX && e->args[i]->i == i && i < r->k->ndims;
        if (!here && !(i < r->k->ndims && size_one(r->k->dims[i]) && e->args[i]->op == X_CONST)) r->identity = false;
        if (!moves_simply(e->args[i])) r->affine = false;
        used |= nest_uses(e->args[i]);
    }
    if (e->n != r->k->ndims) r->identity = false;
    uint32_t big = big_vars(r->k);
    if ((used & big) != big) r->all_vars = false;
}

typedef struct scan_env { reads *r; unsigned char *seen; } scan_env;

static void scan_expr(scan_env *s, const ir_expr *e) {
    if (s->seen[e->id]) return;
    s->seen[e->id] = 1;
    if (e->op == X_LOAD && s->r->operands >> e->i & 1) read_load(s->r, e);
    for (int i = 0; i < e->n; i++) scan_expr(s, e->args[i]);
}

/* How `user` loads the results of p. */
static reads how_read(fuse *f, const ir_node *p, const ir_node *user) {
    info *x = &f->at[user->id];
    const comp *k = x->k;
    reads r = {k, 0, true, true, true};
    for (int i = 0; i < x->a.operands.n && i < 32; i++)
        if (x->a.operands.at[i]->def == p) r.operands |= 1u << i;
    if (x->a.operands.n > 32) r.identity = r.all_vars = r.affine = false;
    scan_env s = {&r, RT_ARRAY(&f->m->c->arena, unsigned char, k->x.n + 1)};
    for (int i = 0; i < k->nstate; i++) scan_expr(&s, k->init[i]), scan_expr(&s, k->elem[i]);
    for (int i = 0; i < k->nout && !k->write; i++) scan_expr(&s, k->out[i]);
    for (int i = 0; i < k->checks.n; i++) scan_expr(&s, k->checks.at[i].index);
    return r;
}

/* ---- joining */

static bool same_dims(const ir_type *a, const ir_type *b) {
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

/* The one group of all users of n, in n's block; -1: none. */
static int users_group(fuse *f, const ir_node *n) {
    int g = -1;
    for (int i = 0; i < n->nout; i++)
        for (const ir_use *u = n->out[i]->uses; u; u = u->next) {
            const ir_node *user = u->node;
            if (!user) return -1;
            if (user->op->cls == OP_STRUCT && (user->op->id == S_LIST || user->op->id == S_TUPLE)) { /* argument of an op */
                for (const ir_use *w = user->out[0]->uses; w; w = w->next) {
                    if (!w->node || w->node->block != n->block || !is_comp_class(w->node) || f->at[w->node->id].group < 0) return -1;
                    int h = f->at[w->node->id].group;
                    if (g >= 0 && g != h) return -1;
                    g = h;
                }
                continue;
            }
            if (user->block != n->block || !is_comp_class(user) || f->at[user->id].kind == CK_NONE) return -1;
            int h = f->at[user->id].group;
            if (g >= 0 && g != h) return -1;
            g = h;
        }
    return g;
}

typedef bool each_user(fuse *f, ir_node *n, ir_node *user, void *env);

static bool for_users(fuse *f, ir_node *n, each_user *fn, void *env) {
    for (int i = 0; i < n->nout; i++)
        for (const ir_use *u = n->out[i]->uses; u; u = u->next) {
            if (is_comp_class(u->node)) {
                if (!fn(f, n, u->node, env)) return false;
                continue;
            }
            for (const ir_use *w = u->node->out[0]->uses; w; w = w->next)
                if (!fn(f, n, w->node, env)) return false;
        }
    return true;
}

static bool producer_ok(fuse *f, ir_node *n, ir_node *user, void *env) {
    info *p = &f->at[n->id], *c = &f->at[user->id];
    bool *aligned = env;
    reads r = how_read(f, n, user);
    if (!r.identity || !c->aligned) *aligned = false;
    if (c->kind == CK_WRITE) return false;
    if (c->kind == CK_CONTRACT) return p->bare && r.affine;
    if (p->k->checks.n && !(r.identity && c->kind == CK_MAP)) return false;
    if (p->costly && !(r.all_vars && r.affine)) return false;
    return true;
}

static bool anchor_ok(fuse *f, ir_node *n, ir_node *user, void *env) {
    (void)env;
    return f->at[user->id].aligned && f->at[user->id].kind == CK_MAP && how_read(f, n, user).identity;
}

static void place(fuse *f, ir_node *n) {
    info *x = &f->at[n->id];
    int g = users_group(f, n);
    bool aligned = true;
    if (g >= 0) {
        group *to = &f->groups[g];
        bool same = same_dims(n->out[0]->type, to->root->out[0]->type);
        if (x->kind == CK_MAP && for_users(f, n, producer_ok, &aligned)) {
            x->group = g;
            x->aligned = aligned && same;
            to->n++;
            return;
        }
        bool anchor = (x->kind == CK_REDUCE || x->kind == CK_CONTRACT) && !to->anchored && same && to->root->nout == 1;
        if (anchor && for_users(f, n, anchor_ok, NULL)) {
            x->group = g;
            x->aligned = true;
            to->anchored = true;
            to->n++;
            return;
        }
    }
    x->group = n->id;
    x->aligned = true;
    f->groups[n->id] = (group){n, x->kind != CK_MAP, 1};
}

/* ---- duplicates of nodes that cost nothing */

static ir_node *clone(ir_func *f, const ir_node *n) {
    const ir_type *t[COMP_MAX_OUT];
    for (int i = 0; i < n->nout; i++) t[i] = n->out[i]->type;
    return ir_node_new(f, n->op, n->span, n->nin, n->in, n->nout, t);
}

static bool single_user_here(const ir_node *n) {
    const ir_use *u = n->out[0]->uses;
    return u && !u->next && u->node && u->node->block == n->block;
}

/* A bare node gets a copy in front of each user that is a comprehension. */
static void duplicate(ir_module *m, ir_func *f, ir_node *n) {
    lower_node a;
    if (n->nout != 1 || !is_comp_class(n) || single_user_here(n)) return;
    comp *k = lower_node_comp(m->c, n, &a);
    if (lower_comp_kind(k) != CK_MAP || !only_moves(k->out[0]) || k->checks.n) return;
    RT_VEC(ir_use) users = {0};
    for (ir_use *u = n->out[0]->uses; u; u = u->next)
        if (u->node && is_comp_class(u->node)) RT_PUSH(&m->c->arena, &users, *u);
    for (int i = 0; i < users.n; i++) {
        ir_node *copy = clone(f, n);
        ir_insert_before(users.at[i].node, copy);
        ir_set_input(users.at[i].node, users.at[i].index, copy->out[0]);
    }
    if (!n->out[0]->uses) ir_erase(n);
}

static void duplicate_block(ir_module *m, ir_block *b) {
    for (ir_node *n = b->last, *prev; n; n = prev) {
        prev = n->prev;
        for (int i = 0; i < n->nblocks; i++) duplicate_block(m, n->blocks[i]);
        duplicate(m, b->func, n);
    }
}

/* ---- making the groups */

static bool inside(fuse *f, const ir_value *v, int g) {
    return v->def && v->def->id < f->cap && is_comp_class(v->def) && f->at[v->def->id].kind != CK_NONE && f->at[v->def->id].group == g;
}

static void add_inputs(fuse *f, ir_node *kernel, const ir_node *n, int g) {
    lower_node a; /* anew: results of groups made meanwhile took the place of their roots' */
    lower_node_infer(f->m->c, n, &a);
    for (int i = 0; i < a.operands.n; i++) {
        ir_value *v = a.operands.at[i];
        bool known = inside(f, v, g);
        for (int k = 0; k < kernel->nin && !known; k++) known = kernel->in[k] == v;
        if (!known) ir_add_input(kernel, v);
    }
}

/* Argument lists may hold values of the group: each member gets its own, inside the block. */
static void own_lists(fuse *f, ir_block *b, ir_node *n) {
    for (int i = 0; i < n->nin; i++) {
        ir_node *l = n->in[i]->def;
        if (!l || l->op->cls != OP_STRUCT || (l->op->id != S_LIST && l->op->id != S_TUPLE)) continue;
        ir_node *copy = clone(f->f, l);
        own_lists(f, b, copy);
        ir_append(b, copy);
        ir_set_input(n, i, copy->out[0]);
        if (!l->out[0]->uses) ir_erase(l);
    }
}

static void make_group(fuse *f, ir_node *root, ir_node **members, int n) {
    const ir_type *t[COMP_MAX_OUT];
    for (int i = 0; i < root->nout; i++) t[i] = root->out[i]->type;
    ir_node *kernel = ir_node_new(f->f, ir_struct(f->m->c, S_KERNEL), root->span, 0, NULL, root->nout, t);
    ir_insert_before(root, kernel);
    for (int i = 0; i < root->nout; i++) ir_replace_uses(root->out[i], kernel->out[i]);
    ir_block *b = ir_block_new(f->f, kernel);
    for (int i = 0; i < n; i++) {
        add_inputs(f, kernel, members[i], root->id);
        own_lists(f, b, members[i]);
        ir_move(b, members[i]);
    }
    for (int i = 0; i < root->nout; i++) ir_block_result(b, root->out[i]);
    f->made++;
}

static void group_block(fuse *f, ir_block *b) {
    for (ir_node *n = b->last; n; n = n->prev) {
        if (!is_comp_class(n)) continue;
        describe(f, n);
        if (f->at[n->id].kind != CK_NONE) place(f, n);
    }
    int cap = 0;
    for (ir_node *n = b->first; n; n = n->next) cap++;
    ir_node **members = RT_ARRAY(&f->m->c->arena, ir_node *, cap);
    for (ir_node *n = b->first, *next; n; n = next) {
        next = n->next;
        if (n->op->cls == OP_STRUCT)
            for (int i = 0; i < n->nblocks && n->op->id != S_KERNEL; i++) group_block(f, n->blocks[i]);
        if (!is_comp_class(n) || f->at[n->id].kind == CK_NONE || f->at[n->id].group != n->id) continue;
        int count = 0;
        for (ir_node *q = b->first; q != next; q = q->next)
            if (is_comp_class(q) && f->at[q->id].kind != CK_NONE && f->at[q->id].group == n->id) members[count++] = q;
        make_group(f, n, members, count);
    }
}

int lower_fuse(ir_module *m) {
    int made = 0;
    for (int i = 0; i < m->funcs.n; i++) {
        ir_func *f = m->funcs.entries[i].value;
        duplicate_block(m, f->body);
        fuse x = {.m = m, .f = f, .cap = f->nnodes};
        x.at = RT_ARRAY(&m->c->arena, info, f->nnodes);
        x.groups = RT_ARRAY(&m->c->arena, group, f->nnodes);
        group_block(&x, f->body);
        made += x.made;
    }
    m->state = IR_GROUPED;
    return made;
}
