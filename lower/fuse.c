/* fuse.c: groups core nodes into kernels.
 * in: core, types.  out: grouped: every node of a comprehension class lies in the block of an S_KERNEL.
 *
 * Greedy, backwards: when a node is met, all its users are in groups already.  It joins the group of its users if that
 * is one group, in the same block, and if computing it there is right and not wasteful:
 *   - a map node joins as a producer: its expression is inlined at every load.  Not into contractions or writes unless it only
 *     moves elements, or is a factor that params hold in fewer bytes (weights with scales); not where computing it again and again costs more than to store and load it (a value per row that every
 *     element of a column reads), nor an expensive one at many different indexes.  A node with index checks only where every
 *     reader up to the root reads at the output index, so that a check is never done where a guard forbids the load.
 *   - a reduction or contraction joins as the anchor of a group of maps that has none yet, checks no index, has the same dims
 *     and reads it only at the output index: the maps become its epilogue.  A map that a product alone waits for joins no group
 *     that reads it elsewhere (transposed).
 *   - a map node whose users are in several groups joins the first of them, if that reads it at the output index only, and is
 *     one more result of it: all other users come behind that group.
 * Map nodes that only move elements, hold a constant or count indexes are duplicated for each user: they never cost memory.
 * Everything here is pure, so the group can stand where its last node stood.  Linear in the nodes, their uses and the sizes
 * of their expressions. */
#include "lower/fused.h"
#include "lower/nest.h"

enum {
    EXPENSIVE = 12,   /* primitives */
    LAUNCH = 1024,    /* primitives: what a kernel of its own costs */
    LIKELY = 64,      /* a size that is not known */
    MAX_MEMBERS = 96, /* of a group: bounds the size of one kernel */
    MAX_SITES = 12,   /* different indexes at which one node is computed in a group */
    LIGHT = 8,        /* primitives of a map that a write, which may go element by element, computes on its way */
    MIN_STEPS = 32    /* of a product one of whose factors is computed: fewer are no work for tiles */
};

/* How a comprehension loads one of its operands. */
typedef struct reads {
    bool identity; /* at the output index only */
    bool affine;
    int n;         /* different loads */
    uint32_t vars[RT_MAX_RANK]; /* by dim of the operand: the reader's loop variables that the index depends on, by bit */
    uint32_t windows, guards;   /* dims of the operand, by bit: several variables, or steps of one, are its index; a condition compares that */
} reads;

/* How the contraction behind a strict node takes the node's result: windows and guards as above, by dim of the result. */
typedef struct taking { uint32_t windows, guards; bool image, groups; /* by a convolution, by one in groups */ } taking;

typedef struct info {
    lower_node a;
    comp *k;
    comp_kind kind;
    int group;    /* number of the root node */
    int order;    /* place in the block; of all nodes */
    bool aligned; /* the root reads it at the output index only, and it has the root's dims */
    bool bare;    /* only moves elements, or is a constant */
    bool counts;  /* made of index variables and constants alone, in few primitives: causal masks */
    bool regular; /* bare, and reads at sums, products, quotients and remainders of its indexes: a reshape, no reflection or gather */
    bool strict;  /* feeds a contraction or write: what joins behind it must be bare, too */
    taking taken; /* strict: by it */
    int weight;   /* primitives per result */
    double work;  /* primitives in all, with those of the maps that it is made of */
    uint32_t vars[RT_MAX_RANK]; /* by dim of its result: the group's loop variables on which the index depends that it is needed at */
    int sites;    /* different indexes at which the root needs it, at most */
    int64_t source; /* bytes of the params that a map is made of; -1: not of params alone, or checks an index */
    reads *reads; /* by operand; NULL: not asked yet */
    ir_node *next; /* member of the same group, in the order of the block */
} info;

typedef struct group {
    ir_node *root, *first, *last;
    const comp *loops; /* the comprehension that has the group's loop variables: the anchor's or the root's */
    bool anchored, checked; /* checked: some index is, perhaps one that the anchor would compute */
    int n, nextra;
    ir_node *extra[COMP_MAX_OUT]; /* nodes whose results others need as well */
} group;

typedef struct fuse {
    ir_module *m;
    ir_func *f;
    info *at;       /* by node id */
    group *groups;  /* by node id of the root */
    int cap, made;
} fuse;

static bool is_libm(ir_prim p) { return p >= K_EXP && p < K_COUNT; }

static int weight_of(unsigned char *seen, const ir_expr *e) {
    if (e->op >= K_COUNT || seen[e->id]) return 0;
    seen[e->id] = 1;
    int w = is_libm(e->op) ? EXPENSIVE : e->op == K_DIV || e->op == K_SQRT || e->op == K_FLOORDIV || e->op == K_MOD ? 4 : 1;
    for (int i = 0; i < e->n; i++) w += weight_of(seen, e->args[i]);
    return w;
}

/* A cast to fewer bits of a float rounds: what is read many times is rounded once. */
static bool only_moves(const ir_expr *e) {
    while (e->op == K_CAST && !lower_rounds(e)) e = e->args[0];
    return e->op == X_LOAD || e->op == X_CONST || e->op == X_SCALAR || e->op == X_DIM;
}

static double likely(const ir_dim *d) {
    int64_t x;
    return ir_dim_is_const(d, &x) ? (double)x : LIKELY;
}

static double elements(const ir_node *n) {
    const ir_type *t = n->out[0]->type;
    double e = 1;
    for (int i = 0; i < t->rank; i++) e *= likely(t->dims[i]);
    return e;
}

static bool single_user_here(const ir_node *n) {
    const ir_use *u = n->out[0]->uses;
    return u && !u->next && u->node && u->node->block == n->block;
}

static int uses_of(const ir_node *n) {
    int k = 0;
    for (const ir_use *u = n->out[0]->uses; u; u = u->next) k++;
    return k;
}

/* Primitives to compute a map with the maps that it is made of; what several use is shared between them. */
static double work_of(const fuse *f, const ir_node *n, const info *x) {
    double work = x->bare ? 0 : x->weight * elements(n);
    for (int i = 0; i < x->a.operands.n; i++) {
        const ir_node *p = x->a.operands.at[i]->def;
        if (p && p->block == n->block && f->at[p->id].kind == CK_MAP) work += f->at[p->id].work / uses_of(p);
    }
    return work;
}

static int64_t bytes_of(const ir_type *t) {
    int64_t n = t->kind == T_TENSOR ? rt_dtypes[t->dtype].bytes : -1, d;
    for (int i = 0; n >= 0 && i < t->rank; i++)
        if (!ir_dim_is_const(t->dims[i], &d) || !rt_mul_i64(n, d, &n)) return -1;
    return n;
}

static int64_t source_of(const fuse *f, const ir_node *n, const info *x) {
    int64_t sum = 0;
    if (n->nout != 1 || x->k->checks.n) return -1;
    for (int i = 0; i < x->a.operands.n; i++) {
        const ir_value *v = x->a.operands.at[i];
        bool map = v->def && v->def->block == n->block && f->at[v->def->id].kind == CK_MAP;
        int64_t bytes = ir_is_param(v) ? bytes_of(v->type) : map ? f->at[v->def->id].source : -1;
        if (bytes < 0 || sum > INT64_MAX - bytes) return -1;
        sum += bytes;
    }
    return sum ? sum : -1;
}

/* As lower_counts; its operands were asked. */
static bool counts(const fuse *f, const ir_node *n, const info *x) {
    for (int i = 0; i < x->a.operands.n; i++) {
        const ir_node *p = x->a.operands.at[i]->def;
        if (!p || p->block != n->block || f->at[p->id].kind != CK_MAP || !f->at[p->id].counts) return false;
    }
    return x->work <= EXPENSIVE * elements(n);
}

static bool regular(const ir_expr *e) {
    if (e->op > X_LOAD || (e->op < K_COUNT && e->op != K_ADD && e->op != K_SUB && e->op != K_MUL && e->op != K_FLOORDIV && e->op != K_MOD)) return false;
    for (int i = 0; i < e->n; i++)
        if (e->args[i]->op == X_LOAD || !regular(e->args[i])) return false;
    return true;
}

static bool moves_regularly(const ir_expr *e) {
    while (e->op == K_CAST) e = e->args[0];
    return regular(e) || e->op != X_LOAD;
}

/* Producers come first.  false after a diagnostic: the op has no loop form for these arguments. */
static bool describe(fuse *f, ir_node *n) {
    info *x = &f->at[n->id];
    *x = (info){.group = -1, .sites = 1};
    x->k = lower_node_comp(f->m->c, n, &x->a);
    x->kind = lower_comp_kind(x->k);
    if (x->kind == CK_NONE) ir_error(f->m->c, n->span, "%s cannot be compiled: %s", n->op->full, x->a.x.error ? x->a.x.error : "it has no loop form");
    if (x->kind != CK_MAP) return x->kind != CK_NONE;
    x->bare = n->nout == 1 && only_moves(x->k->out[0]) && !x->k->checks.n;
    x->regular = x->bare && moves_regularly(x->k->out[0]);
    unsigned char *seen = RT_ARRAY(&f->m->c->arena, unsigned char, x->k->x.n + 1);
    for (int i = 0; i < x->k->nout; i++) x->weight += weight_of(seen, x->k->out[i]);
    x->work = work_of(f, n, x);
    x->source = source_of(f, n, x);
    x->counts = counts(f, n, x);
    return true;
}

static bool is_comp_class(const ir_node *n) {
    return n->op->cls == OP_POINTWISE || n->op->cls == OP_REDUCE || n->op->cls == OP_MOVE || n->op->cls == OP_CONTRACT;
}

/* ---- how a consumer reads a producer's result */

typedef struct scan {
    const comp *k;
    reads *by; /* by operand */
    nest_facts *facts;
    unsigned char *seen, *compared;
} scan;

static bool is_one(const comp *k, int v) { return ir_dim_is(v < k->ndims ? k->dims[v] : k->rdims[v - k->ndims], 1); }

/* Is an index more than one variable of the loops? */
static bool is_window(const scan *s, const ir_expr *e) {
    uint32_t vars = nest_facts_of(s->facts, e)->uses;
    int n = 0;
    for (int v = 0; v < s->k->ndims + s->k->nrdims; v++) n += vars >> v & 1 && !is_one(s->k, v);
    while (e->op == K_ADD || e->op == K_SUB) e = e->args[0];
    return n > 1 || (n && e->op == K_MUL);
}

static void read_load(scan *s, const ir_expr *e) {
    reads *r = &s->by[e->i];
    r->n++;
    for (int i = 0; i < e->n; i++) {
        bool here = e->args[i]->op == X_INDEX && e->args[i]->i == i && i < s->k->ndims;
        if (!here && !(i < s->k->ndims && ir_dim_is(s->k->dims[i], 1) && e->args[i]->op == X_CONST)) r->identity = false;
        const nest_facts *a = nest_facts_of(s->facts, e->args[i]);
        r->affine = r->affine && a->affine;
        r->vars[i] |= a->uses;
        r->windows |= (uint32_t)is_window(s, e->args[i]) << i;
        r->guards |= (uint32_t)s->compared[e->args[i]->id] << i;
    }
    if (e->n != s->k->ndims) r->identity = false;
}

static void scan_expr(scan *s, const ir_expr *e) {
    if (!e || s->seen[e->id]) return;
    s->seen[e->id] = 1;
    if (e->op == X_LOAD) read_load(s, e);
    if (e->op == K_GE || e->op == K_LT) s->compared[e->args[0]->id] = 1; /* conditions come before what they guard */
    for (int i = 0; i < e->n; i++) scan_expr(s, e->args[i]);
}

static void scan_all(fuse *f, info *x) {
    const comp *k = x->k;
    rt_arena *a = &f->m->c->arena;
    int n = k->x.n + 1;
    x->reads = RT_ARRAY(a, reads, x->a.operands.n + 1);
    for (int i = 0; i < x->a.operands.n; i++) x->reads[i] = (reads){.identity = true, .affine = true};
    scan s = {k, x->reads, RT_ARRAY(a, nest_facts, n), RT_ARRAY(a, unsigned char, n), RT_ARRAY(a, unsigned char, n)};
    for (int i = 0; i < k->nstate; i++) scan_expr(&s, k->init[i]), scan_expr(&s, k->elem[i]);
    for (int i = 0; i < k->nout && !k->write; i++) scan_expr(&s, k->out[i]);
    for (int i = 0; i < k->nat; i++) scan_expr(&s, k->at[i]);
    for (int i = 0; i < k->checks.n; i++) scan_expr(&s, k->checks.at[i].index);
}

/* How `user` loads the results of p. */
static reads how_read(fuse *f, const ir_node *p, const ir_node *user) {
    info *x = &f->at[user->id];
    reads r = {.identity = true, .affine = true};
    if (!x->reads) scan_all(f, x);
    for (int i = 0; i < x->a.operands.n; i++) {
        const reads *by = &x->reads[i];
        if (x->a.operands.at[i]->def != p) continue;
        r.identity = r.identity && by->identity;
        r.affine = r.affine && by->affine;
        for (int d = 0; d < RT_MAX_RANK; d++) r.vars[d] |= by->vars[d];
        r.windows |= by->windows;
        r.guards |= by->guards;
        r.n += by->n;
    }
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

typedef struct joining { /* what n would be in the group of its users */
    bool aligned, strict;
    taking taken;
    int sites;
    uint32_t vars[RT_MAX_RANK];
} joining;

static bool is_base(const info *user, const ir_node *n) {
    return user->k->write && user->a.operands.at[user->k->base]->def == n;
}

/* How often the group computes what depends on these loop variables: loops run in order, and what an inner one does not
 * change is computed outside of it.  Of images the channels (dim 1) may be made the innermost loop (layout.c). */
static double computed(const comp *loops, uint32_t vars) {
    double n = 1;
    if (loops->ndims >= 4 && vars & 2) vars |= (1u << loops->ndims) - 1;
    for (int i = 0; i < loops->ndims + loops->nrdims && vars >> i; i++)
        n *= likely(i < loops->ndims ? loops->dims[i] : loops->rdims[i - loops->ndims]);
    return n;
}

/* The loop variables of the group on which its node `user` depends through these variables of its own. */
static uint32_t group_vars(const info *user, uint32_t own) {
    int ndims = user->k->ndims;
    uint32_t u = own >> ndims << ndims; /* reductions are the anchor's */
    for (int v = 0; v < ndims; v++)
        if (own >> v & 1) u |= user->vars[v];
    return u;
}

/* Is it cheaper to compute n wherever the group needs it than to do so once, to store it and to load it there? */
static bool cheap_again(fuse *f, const ir_node *n, const comp *loops, const uint32_t *vars) {
    uint32_t all = 0;
    for (int d = 0; d < RT_MAX_RANK; d++) all |= vars[d];
    double once = elements(n), often = computed(loops, all);
    return often <= once || f->at[n->id].work * (often / once - 1) <= LAUNCH + 2 * once + often;
}

static bool over_columns(const comp *k, const ir_expr *x) {
    while (x->op == K_CAST) x = x->args[0];
    for (int i = 0; i < x->n; i++)
        if (x->op == X_LOAD && x->args[i]->op == X_INDEX && x->args[i]->i == k->ndims - 1) return true;
    return false;
}

/* A product of matrices: tiles compute the factor that moves over the columns once for many rows. */
static bool for_tiles(const comp *k) {
    if (!k->contract || k->nrdims != 1 || k->state_dtype[0] != DT_F32 || likely(k->rdims[0]) < MIN_STEPS) return false;
    return k->elem[0]->op == K_MUL && over_columns(k, k->elem[0]->args[0]) != over_columns(k, k->elem[0]->args[1]);
}

/* Is n, needed at these variables, (a part of) the columns' factor, which params hold in fewer bytes? */
static bool restored(const fuse *f, const ir_node *n, const info *user, const uint32_t *vars) {
    const info *p = &f->at[n->id];
    const comp *loops = f->groups[user->group].loops;
    uint32_t all = 0;
    if (p->source < 0 || !for_tiles(loops)) return false;
    if (user->strict && !user->bare) return true;
    for (int d = 0; d < RT_MAX_RANK; d++) all |= vars[d];
    return all >> (loops->ndims - 1) & 1 && p->source <= bytes_of(n->out[0]->type) / 4 * 3;
}

static bool is_convolution(const ir_node *n) { return n->op->body && !strcmp(n->op->body, "conv"); }

static bool in_groups(const ir_node *n) {
    const rt_value *groups = ir_is(n, "convolution") ? ir_const_of(n->in[n->nin - 1]) : NULL;
    return groups && groups->i > 1;
}

/* Does a map read its operands at sums of its indexes? */
static bool reads_affine(fuse *f, info *p) {
    if (!p->reads) scan_all(f, p);
    for (int i = 0; i < p->a.operands.n; i++)
        if (!p->reads[i].affine) return false;
    return true;
}

/* Does p move what another node has moved, which is then done by itself anyway? */
static bool moves_moved(const fuse *f, const info *p) {
    const ir_node *from = p->a.operands.n == 1 ? p->a.operands.at[0]->def : NULL;
    return from && is_comp_class(from) && f->at[from->id].bare && single_user_here(from);
}

/* How the contraction behind `user` takes n. */
static taking taken_by(const info *c, const ir_node *user, const reads *r, int rank) {
    taking t = {r->windows, r->guards, is_convolution(user), in_groups(user)};
    if (!c->strict) return t;
    t = (taking){.image = c->taken.image, .groups = c->taken.groups};
    for (int d = 0; d < rank; d++) {
        t.windows |= (uint32_t)((r->vars[d] & c->taken.windows) != 0) << d;
        t.guards |= (uint32_t)((r->vars[d] & c->taken.guards) != 0) << d;
    }
    return t;
}

/* A sum of variables times positive numbers, less a constant? */
static bool ascends(const ir_expr *e) {
    const ir_expr *a = e->n == 2 ? e->args[0] : NULL, *b = e->n == 2 ? e->args[1] : NULL;
    if (e->op == X_INDEX || e->op == X_DIM || e->op == X_CONST) return true;
    if (e->op == K_SUB) return ascends(a) && (b->op == X_CONST || b->op == X_DIM);
    if (e->op == K_MUL && a->op == X_CONST && a->k < 0) return false;
    if (e->op == K_MUL && b->op == X_CONST && b->k < 0) return false;
    return (e->op == K_ADD || e->op == K_MUL) && ascends(a) && ascends(b);
}

/* Can tiles and windows be read through p, which only moves elements?  Windows have steps in memory that are the same
 * everywhere, and where they are cut off at the sides they do so at those of the tensor: else p is done once, and by itself,
 * since it costs far less than the sum without tiles does.  Depthwise windows know their bounds themselves (stencil.c).
 * Convolutions have fast forms for channels that stand side by side. */
static bool reads_through(fuse *f, info *p, const taking *t) {
    const ir_expr *e = p->k->out[0];
    if (t->image && (t->windows || t->groups || moves_moved(f, p)) && !reads_affine(f, p)) return false;
    nest_facts *facts = RT_ARRAY(&p->k->x.c->arena, nest_facts, p->k->x.n + 1);
    while (e->op == K_CAST) e = e->args[0];
    for (int d = 0; e->op == X_LOAD && d < e->n; d++) {
        const ir_expr *at = e->args[d];
        uint32_t vars = nest_facts_of(facts, at)->uses;
        if (vars & (t->windows | t->guards) && !ascends(at)) return false;
        const ir_dim *size = p->a.operands.at[e->i]->type->dims[d];
        if (vars & t->guards && !t->groups && !(at->op == X_INDEX && p->k->dims[at->i] == size)) return false;
    }
    return true;
}

static bool producer_ok(fuse *f, ir_node *n, ir_node *user, void *env) {
    info *p = &f->at[n->id], *c = &f->at[user->id];
    joining *j = env;
    reads r = how_read(f, n, user);
    if (!r.identity || !c->aligned) j->aligned = false;
    for (int d = 0; d < n->out[0]->type->rank; d++) j->vars[d] |= group_vars(c, r.vars[d]);
    if (c->kind == CK_WRITE || c->kind == CK_CONTRACT || c->strict) {
        taking t = taken_by(c, user, &r, n->out[0]->type->rank);
        j->strict = true;
        j->taken = (taking){j->taken.windows | t.windows, j->taken.guards | t.guards, j->taken.image || t.image, j->taken.groups || t.groups};
        if (!r.affine || is_base(c, n)) return false;
        bool write = f->at[f->groups[c->group].root->id].kind == CK_WRITE;
        bool moved = write ? p->bare || (r.identity && r.n == 1 && p->weight <= LIGHT) : p->regular && reads_through(f, p, &j->taken);
        return moved || restored(f, n, c, j->vars);
    }
    if (p->k->checks.n && !(j->aligned && c->kind == CK_MAP)) return false;
    j->sites += c->sites * r.n;
    if (p->bare || p->counts) return true;
    return cheap_again(f, n, f->groups[c->group].loops, j->vars) && (p->weight < EXPENSIVE || c->sites * r.n <= 2);
}

static bool anchor_ok(fuse *f, ir_node *n, ir_node *user, void *env) {
    (void)env;
    return f->at[user->id].aligned && f->at[user->id].kind == CK_MAP && how_read(f, n, user).identity;
}

static void join(fuse *f, ir_node *n, int g, const joining *j) {
    info *x = &f->at[n->id];
    x->group = g;
    x->aligned = j->aligned;
    x->sites = j->aligned || j->sites < 1 ? 1 : j->sites;
    x->strict = j->strict;
    x->taken = j->taken;
    memcpy(x->vars, j->vars, sizeof x->vars);
    f->groups[g].n++;
    f->groups[g].checked = f->groups[g].checked || x->k->checks.n;
}

/* Is a product, which nobody else reads, to have n as its epilogue? */
static bool ends_product(fuse *f, const ir_node *n) {
    const info *x = &f->at[n->id];
    for (int i = 0; i < x->a.operands.n && !x->bare; i++) {
        const ir_node *p = x->a.operands.at[i]->def;
        if (!p || p->block != n->block || f->at[p->id].kind != CK_CONTRACT || uses_of(p) != 1) continue;
        if (same_dims(p->out[0]->type, n->out[0]->type) && how_read(f, p, n).identity) return true;
    }
    return false;
}

static bool join_users(fuse *f, ir_node *n) {
    info *x = &f->at[n->id];
    int g = users_group(f, n);
    if (g < 0 || f->groups[g].n >= MAX_MEMBERS) return false;
    group *to = &f->groups[g];
    bool same = same_dims(n->out[0]->type, to->root->out[0]->type);
    joining j = {.aligned = same};
    if (x->kind == CK_MAP) {
        if (!for_users(f, n, producer_ok, &j) || (!j.aligned && (j.sites > MAX_SITES || ends_product(f, n)))) return false;
        join(f, n, g, &j);
        return true;
    }
    bool anchor = (x->kind == CK_REDUCE || x->kind == CK_CONTRACT) && !to->anchored && !to->checked && same && to->root->nout == 1;
    if (!anchor || !for_users(f, n, anchor_ok, NULL)) return false;
    for (int d = 0; d < RT_MAX_RANK; d++) j.vars[d] = 1u << d;
    join(f, n, g, &j);
    to->anchored = true;
    to->loops = x->k;
    return true;
}

/* ---- further results of a group */

/* Where the group of this user, or the user itself, stands in n's block; -1: in another block. */
static int order_of(const fuse *f, const ir_node *n, const ir_use *u) {
    const ir_node *user = u->node;
    if (!user) return u->block == n->block ? f->cap : -1;
    if (user->block != n->block) return -1;
    int g = is_comp_class(user) ? f->at[user->id].group : -1;
    return f->at[g >= 0 ? g : user->id].order;
}

/* The first group that uses n, if all other users stand behind it; NULL: none. */
static group *first_user(fuse *f, const ir_node *n) {
    int first = f->cap;
    const ir_node *at = NULL;
    bool image = n->out[0]->type->rank >= 4; /* an order that suits convolutions is for kernels alone (layout.c) */
    for (const ir_use *u = n->out[0]->uses; u; u = u->next) {
        int order = order_of(f, n, u);
        if (order < 0 || (image && !(u->node && is_comp_class(u->node)))) return NULL;
        if (order < first) first = order, at = u->node;
    }
    if (!at || !is_comp_class(at) || f->at[at->id].group < 0) return NULL;
    group *g = &f->groups[f->at[at->id].group];
    return same_dims(n->out[0]->type, g->root->out[0]->type) && f->at[g->root->id].kind != CK_WRITE && f->at[g->root->id].kind != CK_SCAN ? g : NULL;
}

static bool join_first(fuse *f, ir_node *n) {
    info *x = &f->at[n->id];
    if (x->kind != CK_MAP || n->nout != 1 || x->bare || x->k->checks.n) return false;
    group *g = first_user(f, n);
    joining j = {.aligned = true};
    if (!g || g->n >= MAX_MEMBERS || g->root->nout + g->nextra >= COMP_MAX_OUT) return false;
    for (const ir_use *u = n->out[0]->uses; u; u = u->next)
        if (u->node && is_comp_class(u->node) && f->at[u->node->id].group == g->root->id)
            if (f->at[u->node->id].kind != CK_MAP || !producer_ok(f, n, u->node, &j) || !j.aligned || j.strict) return false;
    join(f, n, g->root->id, &j);
    g->extra[g->nextra++] = n;
    return true;
}

static void place(fuse *f, ir_node *n) {
    info *x = &f->at[n->id];
    if (join_users(f, n) || join_first(f, n)) return;
    x->group = n->id;
    x->aligned = true;
    for (int d = 0; d < RT_MAX_RANK; d++) x->vars[d] = 1u << d;
    f->groups[n->id] = (group){.root = n, .loops = x->k, .anchored = x->kind != CK_MAP, .checked = x->k->checks.n > 0, .n = 1};
}

/* ---- duplicates of nodes that cost nothing */

static ir_node *clone(ir_func *f, const ir_node *n) {
    const ir_type *t[COMP_MAX_OUT];
    for (int i = 0; i < n->nout; i++) t[i] = n->out[i]->type;
    return ir_node_new(f, n->op, n->span, n->nin, n->in, n->nout, t);
}

/* Does n only put the elements of a concat in another place, which nobody else reads?  (A shuffle of channels.)  The parts
 * are copied anyway: to where they are wanted. */
static bool moves_concat(const ir_node *n) {
    for (const ir_node *p = n->in[0]->def; p && elements(p) == elements(n); p = p->in[0]->def) {
        if (!single_user_here(p) || p->nout != 1 || p->block != n->block) return false;
        if (ir_is(p, "cat")) return true;
        if (p->op->cls != OP_MOVE || !p->nin) return false;
        n = p;
    }
    return false;
}

/* A write copies its base: not once more in every iteration. */
static bool writes(ir_module *m, const ir_node *n) {
    lower_node a;
    return n->op->cls == OP_MOVE && lower_comp_kind(lower_node_comp(m->c, n, &a)) == CK_WRITE;
}

/* A bare node, or one that counts indexes alone, gets a copy in front of each user that is a comprehension. */
static void duplicate(ir_module *m, ir_func *f, ir_node *n) {
    lower_node a;
    if (n->nout != 1 || !is_comp_class(n) || single_user_here(n)) return;
    comp *k = lower_node_comp(m->c, n, &a);
    if (lower_comp_kind(k) != CK_MAP || k->checks.n || moves_concat(n) || !(only_moves(k->out[0]) || lower_counts(m->c, n))) return;
    RT_VEC(ir_use) users = {0};
    for (ir_use *u = n->out[0]->uses; u; u = u->next)
        if (u->node && is_comp_class(u->node) && !(u->node->block != n->block && writes(m, u->node))) RT_PUSH(&m->c->arena, &users, *u);
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

/* Users of a further result that are not of the group take it from the kernel. */
static void hand_out(fuse *f, const ir_node *n, int g, ir_value *result) {
    for (ir_use *u = n->out[0]->uses, *next; u; u = next) {
        next = u->next;
        if (!u->node) ir_set_result(u->block, u->index, result);
        else if (!is_comp_class(u->node) || f->at[u->node->id].group != g) ir_set_input(u->node, u->index, result);
    }
}

static void make_group(fuse *f, const group *g) {
    ir_node *root = g->root;
    const ir_type *t[COMP_MAX_OUT];
    for (int i = 0; i < root->nout; i++) t[i] = root->out[i]->type;
    for (int i = 0; i < g->nextra; i++) t[root->nout + i] = g->extra[i]->out[0]->type;
    ir_node *kernel = ir_node_new(f->f, ir_struct(f->m->c, S_KERNEL), root->span, 0, NULL, root->nout + g->nextra, t);
    ir_insert_before(root, kernel);
    for (int i = 0; i < root->nout; i++) ir_replace_uses(root->out[i], kernel->out[i]);
    for (int i = 0; i < g->nextra; i++) hand_out(f, g->extra[i], root->id, kernel->out[root->nout + i]);
    ir_block *b = ir_block_new(f->f, kernel);
    for (ir_node *n = g->first, *next; n; n = next) {
        next = f->at[n->id].next;
        add_inputs(f, kernel, n, root->id);
        own_lists(f, b, n);
        ir_move(b, n);
    }
    for (int i = 0; i < root->nout; i++) ir_block_result(b, root->out[i]);
    for (int i = 0; i < g->nextra; i++) ir_block_result(b, g->extra[i]->out[0]);
    f->made++;
}

static bool grouped(const fuse *f, const ir_node *n) { return is_comp_class(n) && f->at[n->id].kind != CK_NONE; }

static void group_block(fuse *f, ir_block *b) {
    int order = 0;
    for (ir_node *n = b->first; n; n = n->next) {
        if (is_comp_class(n)) describe(f, n);
        f->at[n->id].order = order++;
    }
    for (ir_node *n = b->last; n; n = n->prev)
        if (grouped(f, n)) place(f, n);
    for (ir_node *n = b->first; n; n = n->next) {
        if (!grouped(f, n)) continue;
        group *g = &f->groups[f->at[n->id].group];
        if (g->last) f->at[g->last->id].next = n;
        else g->first = n;
        g->last = n;
    }
    for (ir_node *n = b->first, *next; n; n = next) { /* the root stands last in its group */
        next = n->next;
        for (int i = 0; i < n->nblocks; i++) group_block(f, n->blocks[i]);
        if (grouped(f, n) && f->at[n->id].group == n->id) make_group(f, &f->groups[n->id]);
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
