/* stage_join.c: joins groups to staged kernels (stage.h).
 * in, out: grouped.  Semantics stay: an S_KERNEL in an S_KERNEL is computed where it stands.
 *
 * Backwards from each group: a group whose results only the stages of one kernel read becomes a stage of it, as long
 * as all share rows and scratch is small.  Softmax, norms and attention come from this; none of them is known here.
 * Kept is what has a reduction or a product of computed values in it, enough rows for all cores, and stages that walk
 * along memory. Linear in the groups; what is tried for one is bounded by STAGE_MAX. */
#include "lower/stage.h"

enum { MIN_ROWS = 8, MIN_INNER = 16, SMALL = 1 << 14 /* elements that one core does */, FAR_MORE = 16 };

typedef struct joiner {
    ir_module *m;
    ir_func *f;
    int *place, cap; /* by id of the nodes that were there: place in the block; 0: it belongs to a staged kernel */
    int made;
} joiner;

/* ---- which groups */

static bool has_class(const ir_node *group, ir_op_class cls) {
    for (const ir_node *n = group->blocks[0]->first; n; n = n->next)
        if (n->op->cls == cls) return true;
    return false;
}

/* A product with weights has tiles and panels of its own. */
static bool uses_params(const ir_node *group) {
    for (const ir_node *n = group->blocks[0]->first; n; n = n->next)
        for (int i = 0; i < n->nin && n->op->cls == OP_CONTRACT; i++)
            if (ir_is_param(n->in[i])) return true;
    return false;
}

static bool may_be_stage(const joiner *x, const ir_node *n) {
    return stages_kernel(n) && n->id < x->cap && x->place[n->id] && !stages_staged(n) && !uses_params(n);
}

typedef struct set { int n; ir_node *at[STAGE_MAX]; } set;

static bool holds(const set *s, const ir_node *n) {
    for (int i = 0; i < s->n; i++)
        if (s->at[i] == n) return true;
    return false;
}

/* Does nobody outside of the set read the group's results? */
static bool only_read_in(const set *s, const ir_node *n) {
    for (int i = 0; i < n->nout; i++)
        for (const ir_use *u = n->out[i]->uses; u; u = u->next)
            if (!u->node || !(holds(s, u->node) || holds(s, u->node->block->owner))) return false;
    return true;
}

static bool before(const joiner *x, const ir_node *a, const ir_node *b) { return x->place[a->id] < x->place[b->id]; }

static set with(const joiner *x, const set *s, ir_node *n) {
    set r = *s;
    int i = r.n++;
    for (; i > 0 && before(x, n, r.at[i - 1]); i--) r.at[i] = r.at[i - 1];
    r.at[i] = n;
    return r;
}

/* ---- does it pay */

/* The loop along which a stage's vectors run; -1: none. */
static int vector_loop(const stages *s, const stage *x) {
    int n = x->t.loops.n;
    return s->lanes ? s->nrows - 1 : n > s->nrows ? n - 1 : -1;
}

static bool along(const ir_dim *step) {
    int64_t k;
    return !step || (ir_dim_is_const(step, &k) && k <= 1);
}

static bool walks_along_memory(const stages *s, const stage *x) {
    int l = vector_loop(s, x);
    int64_t n;
    if (l < 0) return true;
    const nest_loop *loop = &x->t.loops.at[l];
    if (s->keys && x->key >= 0 && loop->vars == 1u << x->key) return true; /* scratch */
    bool known = ir_dim_is_const(loop->size, &n);
    if (known ? n < MIN_INNER : !s->lanes) return false;
    for (int i = 0; i < x->t.accesses.n; i++) {
        const nest_access *a = &x->t.accesses.at[i];
        if (!along(nest_coef(&x->t, a, l)) || a->rest_uses & loop->vars) return false;
    }
    return loop->reduce || along(x->t.ocoef[loop->last]);
}

static bool enough_rows(const stages *s) {
    int64_t rows = 1, n, inner = 1;
    for (int r = 0; r < s->nrows; r++) {
        if (!ir_dim_is_const(stages_row(s, r), &n)) return true;
        rows *= n < SMALL ? n : SMALL;
        if (rows > SMALL) return true;
    }
    for (int i = 0; i < s->values.n; i++)
        if (s->values.at[i].inner > inner) inner = s->values.at[i].inner;
    return rows >= MIN_ROWS || rows * inner <= SMALL;
}

static bool share_operand(const stage *a, const stage *b) {
    for (int i = 0; i < a->f.operands.n; i++)
        for (int k = 0; k < b->f.operands.n; k++)
            if (a->f.operands.at[i] == b->f.operands.at[k]) return true;
    return false;
}

/* Does the last stage find much of what it reads in the first cache?  If it does far more than the others it goes faster in an
 * order of its own. */
static bool last_gains(const stages *s) {
    int last = s->n - 1;
    int64_t least = stages_inner(s, last) / FAR_MORE;
    for (int i = 0; i < s->values.n; i++)
        if (s->values.at[i].last == last && s->values.at[i].inner >= least) return true;
    for (int i = 0; i < last; i++)
        if (stages_inner(s, i) >= least && share_operand(&s->at[i], &s->at[last])) return true;
    return s->tiled;
}

static bool pays(const stages *s) {
    bool reduces = false, product = false;
    for (int i = 0; i < s->n; i++) {
        bool tiled = s->at[i].kind == CK_CONTRACT;
        if (!tiled && !walks_along_memory(s, &s->at[i])) return false;
        reduces = reduces || s->at[i].kind == CK_REDUCE;
        product = product || (tiled && i < s->n - 1);
    }
    return s->n > 1 && reduces && (product || s->at[s->n - 1].kind != CK_CONTRACT) && enough_rows(s) && last_gains(s);
}

static bool fits(joiner *x, const set *s, const ir_value *result, stages *out) {
    const ir_layout *order[STAGE_MAX];
    for (int i = 0; i < s->n - 1; i++) { /* in scratch, orders do not matter */
        order[i] = s->at[i]->out[0]->layout;
        s->at[i]->out[0]->layout = NULL;
    }
    bool ok = stages_of(x->m, s->n, s->at, result, out);
    for (int i = 0; i < s->n - 1; i++) s->at[i]->out[0]->layout = order[i];
    return ok;
}

/* ---- joining */

/* The last group that may join the set and was not refused; NULL: none. */
static ir_node *candidate(const joiner *x, const set *s, const set *refused) {
    ir_node *best = NULL;
    for (int i = 0; i < s->n; i++)
        for (int k = 0; k < s->at[i]->nin; k++) {
            ir_node *n = s->at[i]->in[k]->def;
            if (!n || n->block != s->at[0]->block || holds(s, n) || holds(refused, n) || !may_be_stage(x, n)) continue;
            if (only_read_in(s, n) && (!best || before(x, best, n))) best = n;
        }
    return best;
}

/* What has no reduction next to it is not worth a try. */
static bool promising(const set *s) {
    for (int i = 0; i < s->n; i++)
        if (has_class(s->at[i], OP_REDUCE) || has_class(s->at[i], OP_CONTRACT)) return true;
    return false;
}

static void add_inputs(ir_node *kernel, const set *s, const ir_node *n) {
    for (int i = 0; i < n->nin; i++) {
        bool known = n->in[i]->def && holds(s, n->in[i]->def);
        for (int k = 0; k < kernel->nin && !known; k++) known = kernel->in[k] == n->in[i];
        if (!known) ir_add_input(kernel, n->in[i]);
    }
}

static ir_node *make(joiner *x, const set *s) {
    ir_node *root = s->at[s->n - 1];
    const ir_type *t[COMP_MAX_OUT];
    for (int i = 0; i < root->nout; i++) t[i] = root->out[i]->type;
    ir_node *kernel = ir_node_new(x->f, ir_struct(x->m->c, S_KERNEL), root->span, 0, NULL, root->nout, t);
    ir_insert_before(root, kernel);
    for (int i = 0; i < root->nout; i++) {
        ir_replace_uses(root->out[i], kernel->out[i]);
        kernel->out[i]->layout = root->out[i]->layout;
    }
    ir_block *b = ir_block_new(x->f, kernel);
    for (int i = 0; i < s->n; i++) {
        add_inputs(kernel, s, s->at[i]);
        ir_move(b, s->at[i]);
        for (int o = 0; o < s->at[i]->nout; o++) s->at[i]->out[o]->layout = NULL;
    }
    for (int i = 0; i < root->nout; i++) ir_block_result(b, root->out[i]);
    x->made++;
    return kernel;
}

/* The best set that ends with this group.  too_long: those whose rows are too long may grow, until they can go through keys in
 * blocks; tells whether there are any. */
static set best_set(joiner *x, ir_node *root, bool grow, bool *too_long) {
    set s = {1, {root}}, best = {0}, refused = {0};
    stages *st = RT_NEW(&x->m->c->arena, stages);
    ir_node *n;
    bool keys = false; /* blocks of keys are not given up for one stage more */
    *too_long = false;
    while (s.n < STAGE_MAX && refused.n < STAGE_MAX && (n = candidate(x, &s, &refused))) {
        set more = with(x, &s, n);
        bool ok = promising(&more) && fits(x, &more, root->out[0], st) && (!keys || st->keys);
        *too_long = *too_long || (!ok && st->too_long);
        if (!ok && !(grow && st->too_long)) {
            refused.at[refused.n++] = n;
            continue;
        }
        s = more;
        if (ok && (!grow || st->keys) && pays(st)) best = s, keys = st->keys;
    }
    return best;
}

/* The staged kernel that ends with this group; the group itself if there is none. */
static ir_node *join(joiner *x, ir_node *root) {
    bool too_long;
    set best = best_set(x, root, false, &too_long);
    if (too_long && has_class(root, OP_CONTRACT)) {
        set keys = best_set(x, root, true, &too_long);
        if (keys.n > best.n) best = keys;
    }
    if (!best.n) return root;
    for (int i = 0; i < best.n; i++) x->place[best.at[i]->id] = 0;
    return make(x, &best);
}

static void join_block(joiner *x, ir_block *b) {
    int i = 0;
    for (ir_node *n = b->first; n; n = n->next) x->place[n->id] = ++i;
    for (ir_node *n = b->last; n; n = n->prev) {
        if (may_be_stage(x, n)) n = join(x, n);
        for (int k = 0; !stages_kernel(n) && k < n->nblocks; k++) join_block(x, n->blocks[k]);
    }
}

int lower_stage(ir_module *m) {
    int made = 0;
    for (int i = 0; i < m->funcs.n; i++) {
        ir_func *f = m->funcs.entries[i].value;
        joiner x = {.m = m, .f = f, .cap = f->nnodes, .place = RT_ARRAY(&m->c->arena, int, f->nnodes + 1)};
        join_block(&x, f->body);
        made += x.made;
    }
    return made;
}
