/* plan.c: the memory plan of an entry.
 *
 * The whole entry is one region: every tensor whose size is an expression over entry symbols gets a place in the
 * workspace, in nested blocks too.  Values are intervals of a preorder numbering of the nodes; a use inside a loop of what was
 * defined outside of it lasts to the loop's end.  Values that control flow makes aliases (results of an `if`, what a loop
 * carries) share one interval.  Where all sizes are constants each interval gets an offset, the largest first, in the tightest
 * gap between those that are alive at some time with it.  Else intervals that do not overlap share a slot: slot size = max of its
 * members, workspace = sum of the slots, so the plan is sound for all sizes; which slot is taken is decided at hint sizes
 * (best fit).
 * A kernel's result lies over an input that nobody reads any more where the kernel can write it there (lower_kernel.over): that
 * needs less memory, and each core writes what its own cache holds.
 * Other tensors are boxed: allocated when their size is known. */
#include "lower/plan.h"

#include <stdlib.h>

enum { ALIGN = 64, HINT = 8, ROUNDS = 64 };

typedef struct interval { int from, to; const ir_dim *bytes; int64_t hint, offset; int slot, blame; const ir_dim **place; } interval;
typedef struct pool_slot { const ir_dim *bytes; int64_t hint; int free_at; const ir_dim *offset; } pool_slot;

typedef struct planner {
    ir_context *c;
    lower_plan *p;
    int *from, *to;   /* by value id: interval */
    int *leader;      /* by value id: union-find of aliases */
    bool *shared;     /* by value id: has aliases */
    int *over;        /* by value id: the value in whose place it lies (itself: none) */
    int *begin, *end; /* by node id: preorder numbers */
    int clock;
    const ir_dim *least; /* of the workspace */
    RT_VEC(interval) intervals;
    RT_VEC(pool_slot) slots;
} planner;

bool plan_boxed(const ir_type *t) {
    switch (t->kind) {
    case T_TENSOR:
    case T_INT:
    case T_FLOAT:
    case T_BOOL:
    case T_NONE:
    case T_BOTTOM: return false;
    default: return true;
    }
}

int plan_symbol(const lower_plan *p, const char *symbol) {
    for (int i = 0; i < p->symbols.n; i++)
        if (!strcmp(p->symbols.at[i], symbol)) return i;
    return -1;
}

struct known { const lower_plan *p; bool ok; };
static void check_known(void *env, const char *symbol) {
    struct known *k = env;
    if (plan_symbol(k->p, symbol) < 0) k->ok = false;
}

bool plan_known(const lower_plan *p, const ir_dim *d) {
    struct known k = {p, true};
    ir_dim_symbols(d, check_known, &k);
    return k.ok;
}

bool plan_static(const lower_plan *p, const ir_type *t) {
    for (int i = 0; i < t->rank; i++)
        if (!t->dims[i] || !plan_known(p, t->dims[i])) return false;
    return true;
}

const ir_dim *plan_bytes(ir_context *c, const ir_type *t) {
    const ir_dim *n = ir_dim_const(c, rt_dtypes[t->dtype].bytes);
    for (int i = 0; i < t->rank; i++) n = ir_dim_mul(c, n, t->dims[i]);
    return n;
}

/* ---- leaves and symbols */

static void add_symbol(void *env, const char *symbol) {
    planner *x = env;
    if (plan_symbol(x->p, symbol) < 0) RT_PUSH(&x->c->arena, &x->p->symbols, symbol);
}

static void entry_symbols(planner *x, const ir_type *t) {
    if (t->kind == T_INT && t->dim) ir_dim_symbols(t->dim, add_symbol, x);
    for (int i = 0; t->kind == T_TENSOR && i < t->rank; i++)
        if (t->dims[i]) ir_dim_symbols(t->dims[i], add_symbol, x);
    for (int i = 0; t->kind == T_TUPLE && i < t->n; i++) entry_symbols(x, t->elem[i]);
}

static ir_node *unpack_of(const ir_value *v) {
    for (const ir_use *u = v->uses; u; u = u->next)
        if (u->node && u->node->op->cls == OP_STRUCT && u->node->op->id == S_UNPACK) return u->node;
    return NULL;
}

/* A tuple that nobody takes apart has its leaves all the same. */
static void unused_leaves(planner *x, const ir_type *t) {
    if (t->kind != T_TUPLE) RT_PUSH(&x->c->arena, &x->p->in, NULL);
    else
        for (int i = 0; i < t->n; i++) unused_leaves(x, t->elem[i]);
}

static void input_leaf(planner *x, ir_value *v) {
    if (v->type->kind != T_TUPLE) {
        x->p->at[v->id] = (plan_place){PL_IN, x->p->in.n, NULL};
        RT_PUSH(&x->c->arena, &x->p->in, v);
        return;
    }
    ir_node *u = unpack_of(v);
    if (!u) unused_leaves(x, v->type);
    for (int i = 0; u && i < u->nout; i++) input_leaf(x, u->out[i]);
}

static void output_leaf(planner *x, ir_value *v) {
    if (v->type->kind == T_TUPLE && v->def && v->def->op->cls == OP_STRUCT && v->def->op->id == S_TUPLE) {
        for (int i = 0; i < v->def->nin; i++) output_leaf(x, v->def->in[i]);
        return;
    }
    RT_PUSH(&x->c->arena, &x->p->out, v);
}

static void write_leaves(planner *x, ir_block *b) {
    for (ir_node *n = b->first; n; n = n->next)
        if (n->op->cls == OP_STRUCT && n->op->id == S_WRITEBACK) {
            RT_PUSH(&x->c->arena, &x->p->writes, n);
            RT_PUSH(&x->c->arena, &x->p->out, n->in[1]);
        }
}

/* ---- intervals */

static int find(planner *x, int v) {
    while (x->leader[v] != v) v = x->leader[v] = x->leader[x->leader[v]];
    return v;
}

static void unite(planner *x, const ir_value *a, const ir_value *b) {
    if (a->type->kind != T_TENSOR || b->type->kind != T_TENSOR) return;
    x->leader[find(x, a->id)] = find(x, b->id);
    x->shared[a->id] = x->shared[b->id] = true;
}

static void number(planner *x, ir_block *b) {
    for (ir_node *n = b->first; n; n = n->next) {
        x->begin[n->id] = ++x->clock;
        for (int i = 0; i < n->nblocks; i++) number(x, n->blocks[i]);
        x->end[n->id] = ++x->clock;
    }
}

static bool is_struct(const ir_node *n, ir_struct_id id) { return n->op->cls == OP_STRUCT && n->op->id == (int)id; }

/* When a use in block b at time t really ends for a value defined in block `home`. */
static int use_end(planner *x, const ir_block *b, const ir_block *home, int t) {
    for (; b && b != home; b = b->owner ? b->owner->block : NULL)
        if (b->owner && !is_struct(b->owner, S_IF)) t = x->end[b->owner->id];
    return t;
}

/* The last time that v, which lives in `home`, is read.  A list or tuple passes what it holds on to those that take it. */
static int last_use(planner *x, const ir_value *v, const ir_block *home) {
    int to = 0;
    for (const ir_use *u = v->uses; u; u = u->next) {
        const ir_block *b = u->node ? u->node->block : u->block;
        int t = u->node ? x->end[u->node->id] : b->owner ? x->end[b->owner->id] : INT32_MAX;
        t = use_end(x, b, home, t);
        if (t > to) to = t;
        if (!u->node || !(is_struct(u->node, S_LIST) || is_struct(u->node, S_TUPLE))) continue;
        t = last_use(x, u->node->out[0], home);
        if (t > to) to = t;
    }
    return to;
}

static void live_value(planner *x, ir_value *v) {
    int from = v->def ? x->begin[v->def->id] : v->block->owner ? x->begin[v->block->owner->id] : 0, to = last_use(x, v, v->block);
    x->from[v->id] = from;
    x->to[v->id] = to > from ? to : from;
}

static void live_block(planner *x, ir_block *b) {
    for (int i = 0; i < b->params.n; i++) live_value(x, b->params.at[i]);
    for (ir_node *n = b->first; n; n = n->next) {
        for (int i = 0; i < n->nout; i++) live_value(x, n->out[i]);
        if (!is_struct(n, S_KERNEL))
            for (int i = 0; i < n->nblocks; i++) live_block(x, n->blocks[i]);
        if (is_struct(n, S_IF))
            for (int k = 0; k < 2; k++)
                for (int i = 0; i < n->nout; i++) unite(x, n->out[i], n->blocks[k]->results.at[i]);
        if (is_struct(n, S_LOOP))
            for (int i = 0; i < n->nout; i++) {
                unite(x, n->out[i], n->in[i + 2]);
                unite(x, n->out[i], n->blocks[0]->params.at[i + 1]);
            }
    }
}

/* ---- places */

static bool hint(void *env, const char *symbol, int64_t *out) {
    int64_t x = ir_symbol_get(env, symbol)->hint;
    *out = x > 0 ? x : HINT;
    return true;
}

static int64_t hint_of(ir_context *c, const ir_dim *d) {
    int64_t x;
    return ir_dim_eval(d, hint, c, &x) ? x : INT64_MAX / 4;
}

static const ir_dim *aligned(ir_context *c, const ir_dim *d) {
    const ir_dim *a = ir_dim_const(c, ALIGN);
    if (ir_dim_exact_div(c, d, a)) return d;
    return ir_dim_mul(c, ir_dim_floordiv(c, ir_dim_add(c, d, ir_dim_const(c, ALIGN - 1)), a), a);
}

static const ir_dim *larger(ir_context *c, const ir_dim *a, const ir_dim *b) {
    if (ir_dim_le(c, a, b) == IR_YES) return b;
    if (ir_dim_le(c, b, a) == IR_YES) return a;
    return ir_dim_max(c, a, b);
}

static void want(planner *x, int from, int to, const ir_dim *bytes, const ir_dim **place) {
    bytes = aligned(x->c, bytes);
    interval i = {from, to, bytes, hint_of(x->c, bytes), 0, -1, 0, place};
    RT_PUSH(&x->c->arena, &x->intervals, i);
}

static void group_interval(planner *x, const ir_value *v, int *from, int *to) {
    int g = find(x, v->id);
    *from = x->from[g];
    *to = x->to[g];
}

static void merge_groups(planner *x, ir_func *f) {
    for (int v = 0; v < f->nvalues; v++) {
        int g = find(x, v);
        if (x->from[v] < x->from[g]) x->from[g] = x->from[v];
        if (x->to[v] > x->to[g]) x->to[g] = x->to[v];
    }
}

/* Has v a place of its own in the workspace, for it alone? */
static bool movable(const planner *x, const ir_value *v) {
    if (v->type->kind != T_TENSOR || !v->def || !is_struct(v->def, S_KERNEL) || x->shared[v->id]) return false;
    return x->p->at[v->id].kind == PL_NONE && plan_static(x->p, v->type);
}

static void place_over(planner *x, ir_node *n) {
    const lower_kernel *k = n->info;
    const ir_value *out = n->out[0];
    for (int i = 0; k && i < k->over.n && movable(x, out); i++) {
        const ir_value *v = k->over.at[i];
        if (!movable(x, v) || v->block != n->block || x->to[v->id] != x->end[n->id]) continue;
        if (plan_bytes(x->c, v->type) != plan_bytes(x->c, out->type)) continue;
        int place = x->over[out->id] = x->over[v->id];
        if (x->to[out->id] > x->to[place]) x->to[place] = x->to[out->id];
        return;
    }
}

/* In the order of execution: x->to of a value that lies over another one is its own, that of the first one is the place's. */
static void place_all_over(planner *x, ir_block *b) {
    for (ir_node *n = b->first; n; n = n->next) {
        if (is_struct(n, S_KERNEL)) place_over(x, n);
        else
            for (int i = 0; i < n->nblocks; i++) place_all_over(x, n->blocks[i]);
    }
}

static int new_slots(planner *x, int n) {
    int s = x->p->nslots;
    x->p->nslots += n;
    return s;
}

static void place_value(planner *x, ir_value *v) {
    plan_place *at = &x->p->at[v->id];
    if (at->kind != PL_NONE) return;
    if (plan_boxed(v->type)) {
        *at = (plan_place){PL_SLOT, new_slots(x, 1), NULL};
        return;
    }
    if (v->type->kind != T_TENSOR) return;
    if (!plan_static(x->p, v->type)) {
        *at = (plan_place){PL_SLOT, new_slots(x, 1), NULL};
        return;
    }
    if (!v->def || is_struct(v->def, S_IF) || is_struct(v->def, S_LOOP)) {
        at->kind = PL_PHI;
        return;
    }
    if (is_struct(v->def, S_PARAM) || is_struct(v->def, S_STATE)) {
        at->kind = v->def->op->id == S_PARAM ? PL_PARAM : PL_STATE;
        return;
    }
    if (is_struct(v->def, S_UNINIT)) { /* may be copied, though nobody looks at it: at the workspace's start */
        at->kind = PL_WORK;
        at->offset = ir_dim_const(x->c, 0);
        x->least = larger(x->c, x->least, aligned(x->c, plan_bytes(x->c, v->type)));
        return;
    }
    if (!is_struct(v->def, S_KERNEL)) { /* from a host function, a container ... */
        *at = (plan_place){PL_SLOT, new_slots(x, 1), NULL};
        return;
    }
    int from, to;
    group_interval(x, v, &from, &to);
    at->kind = PL_WORK;
    if (x->over[v->id] == v->id) want(x, from, to, plan_bytes(x->c, v->type), &at->offset);
}

/* An output leaf that a kernel of the entry's own block computes is written in place. */
static void place_outputs(planner *x, ir_func *f) {
    for (int i = 0; i < x->p->out.n; i++) {
        ir_value *v = x->p->out.at[i];
        if (v->type->kind != T_TENSOR || !v->def || v->block != f->body || !is_struct(v->def, S_KERNEL)) continue;
        if (x->p->at[v->id].kind == PL_NONE && plan_static(x->p, v->type)) x->p->at[v->id] = (plan_place){PL_OUT, i, NULL};
    }
}

static void place_carries(planner *x, ir_node *n) {
    plan_carry *c = RT_ARRAY(&x->c->arena, plan_carry, n->nout + 1);
    x->p->carries[n->id] = c;
    for (int i = 0; i < n->nout; i++) {
        ir_value *v = n->out[i];
        if (x->p->at[v->id].kind != PL_PHI) continue;
        int from, to;
        group_interval(x, v, &from, &to);
        if (from > x->begin[n->id]) from = x->begin[n->id];
        if (to < x->end[n->id]) to = x->end[n->id];
        for (int k = 0; k < 2; k++) want(x, from, to, plan_bytes(x->c, v->type), &c[i].offset[k]);
    }
}

static const ir_dim *scratch_of(const lower_kernel *k, int index, ir_context *c) {
    for (int l = 0; l < k->launches.n; l++)
        for (int i = 0; i < k->launches.at[l].buffers.n; i++) {
            const lower_buffer *b = &k->launches.at[l].buffers.at[i];
            if (b->kind == LB_SCRATCH && b->index == index)
                return aligned(c, ir_dim_mul(c, b->elements, ir_dim_const(c, rt_dtypes[b->dtype].bytes)));
        }
    return NULL;
}

const ir_dim *lower_scratch_bytes(ir_context *c, const lower_kernel *k, int index) {
    const ir_dim *total = ir_dim_const(c, 0), *bytes;
    for (int i = 0; i < index && (bytes = scratch_of(k, i, c)); i++) total = ir_dim_add(c, total, bytes);
    return total;
}

static void place_scratch(planner *x, ir_node *n) {
    int64_t bytes;
    if (!n->info) return;
    const ir_dim *total = lower_scratch_bytes(x->c, n->info, INT32_MAX);
    if ((ir_dim_is_const(total, &bytes) && bytes == 0) || !plan_known(x->p, total)) return;
    want(x, x->begin[n->id], x->end[n->id], total, &x->p->scratch[n->id]);
}

/* A carried tensor whose incoming or outgoing size is not static must be boxed on all sides. */
static void place_block(planner *x, ir_block *b) {
    for (int i = 0; i < b->params.n; i++) place_value(x, b->params.at[i]);
    for (ir_node *n = b->first; n; n = n->next) {
        for (int i = 0; i < n->nout; i++) place_value(x, n->out[i]);
        if (is_struct(n, S_KERNEL)) place_scratch(x, n);
        else
            for (int i = 0; i < n->nblocks; i++) place_block(x, n->blocks[i]);
        if (is_struct(n, S_LOOP)) place_carries(x, n);
    }
}

/* ---- sharing */

static void assign(planner *x, interval *i) {
    int best = -1;
    for (int s = 0; s < x->slots.n; s++) {
        pool_slot *p = &x->slots.at[s];
        if (p->free_at >= i->from) continue;
        if (best < 0) {
            best = s;
            continue;
        }
        int64_t now = x->slots.at[best].hint, that = p->hint; /* the smallest that holds it, else the largest */
        bool fits_now = now >= i->hint, fits = that >= i->hint;
        if (fits != fits_now ? fits : fits ? that < now : that > now) best = s;
    }
    if (best < 0) {
        pool_slot fresh = {i->bytes, i->hint, i->to, NULL};
        RT_PUSH(&x->c->arena, &x->slots, fresh);
        i->slot = x->slots.n - 1;
        return;
    }
    pool_slot *p = &x->slots.at[best];
    p->bytes = larger(x->c, p->bytes, i->bytes);
    if (i->hint > p->hint) p->hint = i->hint;
    p->free_at = i->to;
    i->slot = best;
}

static void share_slots(planner *x) {
    for (int i = 0; i < x->intervals.n; i++) assign(x, &x->intervals.at[i]);
    /* With gaps, what is copied though nobody looks at it does not reach into one. */
    const ir_dim *at = x->p->gap ? x->least : ir_dim_const(x->c, 0);
    for (int s = 0; s < x->slots.n; s++) {
        x->slots.at[s].offset = at;
        at = ir_dim_add(x->c, at, x->slots.at[s].bytes);
        if (x->p->gap) {
            RT_PUSH(&x->c->arena, &x->p->gaps, at);
            at = ir_dim_add(x->c, at, ir_dim_const(x->c, x->p->gap));
        }
    }
    x->p->workspace = larger(x->c, at, x->least);
    for (int i = 0; i < x->intervals.n; i++) *x->intervals.at[i].place = x->slots.at[x->intervals.at[i].slot].offset;
}

/* ---- constant sizes */

static bool meet(const interval *a, const interval *b) { return a->from <= b->to && b->from <= a->to; }

/* Of the `n` placed ones, in order of their offsets: the tightest gap for i, else behind those that it meets. */
static int64_t gap_for(const interval *i, int n, interval *const *placed) {
    int64_t at = 0, best = -1, room = INT64_MAX;
    for (int k = 0; k < n; k++) {
        if (!meet(i, placed[k])) continue;
        int64_t gap = placed[k]->offset - at, end = placed[k]->offset + placed[k]->hint;
        if (gap >= i->hint && gap < room) best = at, room = gap;
        if (end > at) at = end;
    }
    return best < 0 ? at : best;
}

static int sign(int64_t x) { return (x > 0) - (x < 0); }

/* Those first that were in the way before, then the larger ones. */
static int harder_first(const void *a, const void *b) {
    const interval *x = *(interval *const *)a, *y = *(interval *const *)b;
    if (x->blame != y->blame) return sign(y->blame - x->blame);
    return x->hint != y->hint ? sign(y->hint - x->hint) : x->from != y->from ? sign(x->from - y->from) : sign(x - y);
}

/* Gives the bytes that are needed. */
static int64_t place_all(int n, interval **order, interval **placed) {
    int64_t end = 0;
    if (n) qsort(order, (size_t)n, sizeof *order, harder_first);
    for (int i = 0; i < n; i++) {
        interval *v = order[i];
        v->offset = gap_for(v, i, placed);
        if (v->offset + v->hint > end) end = v->offset + v->hint;
        int k = i;
        for (; k > 0 && placed[k - 1]->offset > v->offset; k--) placed[k] = placed[k - 1];
        placed[k] = v;
    }
    return end;
}

/* What ends up on top is placed earlier in the next round. */
static void share_offsets(planner *x) {
    int n = x->intervals.n, rounds = n < 512 ? ROUNDS : 1;
    int64_t least = INT64_MAX;
    interval **order = RT_ARRAY(&x->c->arena, interval *, n + 1), **placed = RT_ARRAY(&x->c->arena, interval *, n + 1);
    for (int i = 0; i < n; i++) order[i] = &x->intervals.at[i];
    for (int r = 0; r < rounds && least > x->p->alive; r++) {
        int64_t end = place_all(n, order, placed);
        for (int i = 0; i < n; i++) {
            interval *v = order[i];
            v->blame += v->offset + v->hint == end;
            if (end < least) *v->place = ir_dim_const(x->c, v->offset);
        }
        if (end < least) least = end;
    }
    x->p->workspace = larger(x->c, ir_dim_const(x->c, n ? least : 0), x->least);
}

/* At the start of each interval, since only there more comes into use. */
static int64_t most_alive(const planner *x) {
    int64_t most = 0;
    for (int i = 0; i < x->intervals.n; i++) {
        int64_t sum = 0, t = x->intervals.at[i].from;
        for (int k = 0; k < x->intervals.n && x->intervals.at[k].from <= t; k++)
            if (x->intervals.at[k].to >= t) sum += x->intervals.at[k].hint;
        if (sum > most) most = sum;
    }
    return most;
}

static bool constant_sizes(const planner *x) {
    for (int i = 0; i < x->intervals.n; i++)
        if (!ir_dim_is_const(x->intervals.at[i].bytes, NULL)) return false;
    return true;
}

static void share(planner *x) {
    for (int i = 1; i < x->intervals.n; i++) /* insertion sort by start: nearly sorted already */
        for (int k = i; k > 0 && x->intervals.at[k].from < x->intervals.at[k - 1].from; k--) {
            interval t = x->intervals.at[k];
            x->intervals.at[k] = x->intervals.at[k - 1];
            x->intervals.at[k - 1] = t;
        }
    bool constant = constant_sizes(x);
    x->p->alive = constant ? most_alive(x) : -1;
    if (constant && !x->p->gap) share_offsets(x);
    else share_slots(x);
}

lower_plan *lower_plan_entry(ir_module *m, ir_func *f, int64_t gap) {
    ir_context *c = m->c;
    rt_arena *a = &c->arena;
    lower_plan *p = RT_NEW(a, lower_plan);
    p->f = f;
    p->gap = gap;
    p->at = RT_ARRAY(a, plan_place, f->nvalues);
    p->carries = RT_ARRAY(a, plan_carry *, f->nnodes);
    p->scratch = RT_ARRAY(a, const ir_dim *, f->nnodes);
    planner x = {.c = c, .p = p, .least = ir_dim_const(c, 0)};
    x.from = RT_ARRAY(a, int, f->nvalues);
    x.to = RT_ARRAY(a, int, f->nvalues);
    x.leader = RT_ARRAY(a, int, f->nvalues);
    x.begin = RT_ARRAY(a, int, f->nnodes);
    x.end = RT_ARRAY(a, int, f->nnodes);
    x.shared = RT_ARRAY(a, bool, f->nvalues);
    x.over = RT_ARRAY(a, int, f->nvalues);
    for (int i = 0; i < f->nvalues; i++) x.leader[i] = x.over[i] = i;
    for (int i = 0; i < f->body->params.n; i++) {
        entry_symbols(&x, f->body->params.at[i]->type);
        input_leaf(&x, f->body->params.at[i]);
    }
    output_leaf(&x, f->body->results.at[0]);
    write_leaves(&x, f->body);
    number(&x, f->body);
    live_block(&x, f->body);
    merge_groups(&x, f);
    place_outputs(&x, f);
    place_all_over(&x, f->body);
    place_block(&x, f->body);
    share(&x);
    for (int i = 0; i < f->nvalues; i++) p->at[i].offset = p->at[x.over[i]].offset;
    return p;
}
