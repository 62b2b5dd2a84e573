/* layout.c: chooses the order in memory of what one kernel hands to others.
 * in, out: grouped.  Semantics stay: an order changes addresses only (nest.c).
 *
 * Channels last (N, spatial dims, C) suits convolutions: the channels of a pixel are the columns of a register tile, and a
 * row of the window is one run of memory.  Results of convolutions get it; a kernel that reads something in an order writes
 * as it reads.  Only where nobody but kernels reads a result, and nobody takes its fastest dim apart (a flattened image
 * would be read in jumps).  Of a convolution in groups others read a copy. */
#include "lower/fused.h"
#include "lower/nest.h"

enum { LINE = 16 /* elements of a cache line */ };

typedef struct layouter {
    ir_module *m;
    ir_func *f;
    fused **at; /* by node id of kernels; NULL: not built yet */
    int changes;
} layouter;

static bool is_struct(const ir_node *n, ir_struct_id id) { return n->op->cls == OP_STRUCT && n->op->id == (int)id; }

static const fused *fused_of(layouter *x, ir_node *kernel) {
    fused **at = &x->at[kernel->id];
    if (!*at) {
        *at = RT_NEW(&x->m->c->arena, fused);
        if (!lower_fused(x->m, kernel, *at)) (*at)->k = NULL;
    }
    return (*at)->k ? *at : NULL;
}

/* ---- who reads */

typedef struct reading { nest_facts *facts; unsigned char *seen; int operand, dim; bool ok; } reading;

static void check_reads(reading *r, const ir_expr *e) {
    if (!e || r->seen[e->id] || !r->ok) return;
    r->seen[e->id] = 1;
    if (e->op == X_LOAD && e->i == r->operand) r->ok = nest_facts_of(r->facts, e->args[r->dim])->affine;
    for (int i = 0; i < e->n; i++) check_reads(r, e->args[i]);
}

/* Is every index into dim `dim` of the value affine? */
static bool reads_whole(layouter *x, ir_node *kernel, const ir_value *v, int dim) {
    const fused *f = fused_of(x, kernel);
    if (!f || f->k->write) return false;
    const comp *k = f->k;
    rt_arena *a = &x->m->c->arena;
    for (int i = 0; i < f->operands.n; i++) {
        if (f->operands.at[i] != v) continue;
        reading r = {RT_ARRAY(a, nest_facts, k->x.n + 1), RT_ARRAY(a, unsigned char, k->x.n + 1), i, dim, true};
        for (int s = 0; s < k->nstate; s++) check_reads(&r, k->init[s]), check_reads(&r, k->elem[s]);
        for (int s = 0; s < k->nout; s++) check_reads(&r, k->out[s]);
        for (int s = 0; s < k->checks.n; s++) check_reads(&r, k->checks.at[s].index);
        if (!r.ok) return false;
    }
    return true;
}

/* The kernel that a use belongs to: itself, or around a core node; NULL: none. */
static ir_node *reader(const ir_use *u) {
    if (!u->node) return NULL;
    if (is_struct(u->node, S_KERNEL)) return u->node;
    ir_node *in = u->node->block->owner;
    return in && is_struct(in, S_KERNEL) ? in : NULL;
}

/* Do all readers take the fastest dim as a whole? */
static bool may_have_order(layouter *x, const ir_value *v, const ir_layout *order) {
    if (!v->uses) return false;
    for (const ir_use *u = v->uses; u; u = u->next) {
        ir_node *k = reader(u);
        if (!k || !reads_whole(x, k, v, order->order[v->type->rank - 1])) return false;
    }
    return true;
}

/* ---- choosing */

/* Would channels last be another order at all? */
static bool differs(const ir_type *t) {
    bool spatial = false;
    for (int d = 2; d < t->rank; d++) spatial = spatial || !ir_dim_is(t->dims[d], 1);
    return spatial && !ir_dim_is(t->dims[1], 1);
}

static const ir_layout *channels_last(ir_context *c, int rank) {
    ir_layout *l = RT_NEW(&c->arena, ir_layout);
    for (int i = 1; i + 1 < rank; i++) l->order[i] = (uint8_t)(i + 1);
    l->order[rank - 1] = 1;
    return l;
}

static const ir_node *convolution(const ir_node *kernel) {
    for (const ir_node *n = kernel->blocks[0]->first; n; n = n->next)
        if (n->op->cls == OP_CONTRACT && n->op->body && !strcmp(n->op->body, "conv")) return n;
    return NULL;
}

/* With groups: channels of their own, few that stand beside each other in a vector (stencil.c), or panels of them (tile.c). */
static bool groups_suit(const ir_node *conv, int64_t groups) {
    int64_t in = 0, out = 0;
    if (groups == 1) return true;
    if (!ir_dim_is_const(conv->in[0]->type->dims[1], &in) || !ir_dim_is_const(conv->out[0]->type->dims[1], &out)) return false;
    in /= groups;
    out /= groups;
    return in == out ? in == 1 || in == 2 || in % 4 == 0 : in >= 4 && out % 8 == 0;
}

static bool suits(const ir_node *conv) {
    for (int i = 0; i < conv->nin; i++) {
        const rt_value *v = ir_const_of(conv->in[i]);
        const char *name = conv->op->schema->params[i].name;
        if (!strcmp(name, "transposed") && v && v->i) return false;
        if (!strcmp(name, "groups") && v && !groups_suit(conv, v->i)) return false;
    }
    return true;
}

/* The access to the largest operand that has an order (any: or none); NULL: there is none (affine: whose address is). */
static const nest_access *leading(const nest *t, bool affine, bool any) {
    const nest_access *best = NULL;
    int64_t most = -1, n, d;
    for (int i = 0; i < t->accesses.n; i++) {
        const nest_access *a = &t->accesses.at[i];
        const ir_value *v = t->f->operands.at[a->load->i];
        if ((!any && !v->layout) || (affine && a->rest_uses)) continue;
        n = 1;
        for (int k = 0; k < v->type->rank; k++) n *= ir_dim_is_const(v->type->dims[k], &d) && d < INT32_MAX && n < INT32_MAX ? d : 1;
        if (n <= most) continue;
        most = n;
        best = a;
    }
    return best;
}

/* The order in which the result is met when its largest ordered operand is read in memory order; NULL: row-major. */
static const ir_layout *followed(layouter *x, ir_node *kernel) {
    const fused *f = fused_of(x, kernel);
    int rank = kernel->out[0]->type->rank, place[RT_MAX_RANK], n = 0;
    int64_t step[RT_MAX_RANK];
    nest t;
    if (!f || f->k->write || f->k->ndims != rank) return NULL; /* its dims are split */
    nest_build(x->m->c, f, kernel->out[0], &t);
    const nest_access *a = leading(&t, true, false);
    if (!a) return NULL;
    ir_layout *l = RT_NEW(&x->m->c->arena, ir_layout);
    for (int d = 0; d < rank; d++) {
        l->order[d] = (uint8_t)d;
        if (!a->coef[d] || ir_dim_is(f->k->dims[d], 1)) continue;
        if (!ir_dim_is_const(a->coef[d], &step[d])) return NULL; /* an order of some of the dims is not the operand's */
        place[n++] = d;
    }
    bool same = true;
    for (int i = 0; i < n; i++) { /* selection sort over the places of the dims that move */
        for (int k = i + 1; k < n; k++) {
            uint8_t p = l->order[place[i]], q = l->order[place[k]];
            if (step[q] <= step[p]) continue;
            l->order[place[i]] = q;
            l->order[place[k]] = p;
            same = false;
        }
    }
    return same ? NULL : l;
}

/* Does a convolution that suits read v, or some of its channels? */
static bool feeds_convolution(const ir_value *v) {
    for (const ir_use *u = v->uses; u; u = u->next) {
        const ir_node *k = reader(u), *conv = k ? convolution(k) : NULL;
        const ir_type *image = conv ? conv->in[0]->type : v->type;
        bool same = conv && suits(conv) && image->rank == v->type->rank;
        for (int d = 2; d < image->rank && same; d++) same = image->dims[d] == v->type->dims[d];
        if (same) return true;
    }
    return false;
}

/* Channels last where the largest ordered operand is read along the channels, wherever its other dims come from (resampling,
 * places taken from channels); NULL: it is not.  For convolutions also where they come from other channels. */
static const ir_layout *along_channels(layouter *x, ir_node *kernel) {
    const fused *f = fused_of(x, kernel);
    nest t;
    if (!f || f->k->write || !differs(kernel->out[0]->type)) return NULL;
    nest_build(x->m->c, f, kernel->out[0], &t);
    bool feeds = kernel->nout == 1 && feeds_convolution(kernel->out[0]);
    const nest_access *a = leading(&t, false, feeds);
    const ir_layout *own = a ? f->operands.at[a->load->i]->layout : NULL;
    if (feeds && own && own->order[a->load->n - 1] == 1) return channels_last(x->m->c, kernel->out[0]->type->rank);
    const ir_dim *few = ir_dim_const(x->m->c, K_MAX_GROUP); /* channels that are put between each other (schedule.c) */
    const ir_dim *least = ir_dim_const(x->m->c, own ? 1 : LINE);
    for (int v = 0; a && v < f->k->ndims; v++) {
        if (ir_dim_le(x->m->c, least, f->k->dims[v]) != IR_YES) continue;
        bool channel = f->dim_of[v] == 1 && ir_dim_le(x->m->c, f->step[v], few) == IR_YES && ir_dim_is(a->coef[v], 1);
        if (channel && !(a->rest_uses >> v & 1)) return channels_last(x->m->c, kernel->out[0]->type->rank);
    }
    return NULL;
}

static const ir_layout *wanted(layouter *x, ir_node *kernel) {
    const ir_type *t = kernel->out[0]->type;
    const ir_node *conv = convolution(kernel);
    if (t->kind != T_TENSOR || t->rank < 3) return NULL;
    if (conv) return suits(conv) && conv->out[0]->type == t && differs(t) ? channels_last(x->m->c, t->rank) : NULL;
    const ir_layout *order = followed(x, kernel);
    return order ? order : along_channels(x, kernel);
}

/* A convolution in groups of as many results as channels has no fast form with another order (stencil.c): a copy of the result is cheaper than to do without. */
static bool worth_copy(const ir_node *kernel) {
    const ir_node *conv = convolution(kernel);
    const rt_value *groups = conv ? ir_const_of(conv->in[conv->nin - 1]) : NULL;
    if (!groups || groups->i <= 1 || kernel->nout != 1 || !ir_is_param(conv->in[1])) return false;
    return conv->in[0]->type->dims[1] == conv->out[0]->type->dims[1];
}

/* All who read the kernel's result read a copy instead, made by a kernel behind it. */
static void copy_result(layouter *x, ir_node *kernel) {
    ir_context *c = x->m->c;
    ir_value *v = kernel->out[0];
    ir_node *copy = ir_node_new(x->f, ir_struct(c, S_KERNEL), kernel->span, 0, NULL, 1, &v->type);
    if (kernel->next) ir_insert_before(kernel->next, copy);
    else ir_append(kernel->block, copy);
    ir_replace_uses(v, copy->out[0]);
    ir_add_input(copy, v);
    ir_block *b = ir_block_new(x->f, copy);
    ir_node *same = ir_node_new(x->f, ir_op_find(c, "alias"), kernel->span, 1, &v, 1, &v->type);
    ir_append(b, same);
    ir_block_result(b, same->out[0]);
}

static void choose(layouter *x, ir_node *kernel) {
    const ir_layout *order = wanted(x, kernel);
    const fused *f = order ? fused_of(x, kernel) : NULL;
    comp_kind kind = f ? lower_comp_kind(f->k) : CK_NONE;
    if (kind != CK_MAP && kind != CK_REDUCE && kind != CK_CONTRACT) return;
    bool may = true;
    for (int i = 0; i < kernel->nout; i++) may = may && may_have_order(x, kernel->out[i], order);
    if (!may && !worth_copy(kernel)) return;
    if (!may) copy_result(x, kernel);
    for (int i = 0; i < kernel->nout; i++) kernel->out[i]->layout = order;
    x->changes++;
}

static void layout_block(layouter *x, ir_block *b) {
    for (ir_node *n = b->first, *next; n; n = next) {
        next = n->next;
        if (is_struct(n, S_KERNEL)) choose(x, n);
        else
            for (int i = 0; i < n->nblocks; i++) layout_block(x, n->blocks[i]);
    }
}

int lower_layout(ir_module *m) {
    int changes = 0;
    for (int i = 0; i < m->funcs.n; i++) {
        ir_func *f = m->funcs.entries[i].value;
        layouter x = {.m = m, .f = f, .at = RT_ARRAY(&m->c->arena, fused *, f->nnodes)};
        layout_block(&x, f->body);
        changes += x.changes;
    }
    return changes;
}
