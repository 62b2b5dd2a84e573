/* work.c: what a kernel group has to do, from its shapes alone: the yardstick for profiles, whatever the schedule makes
 * of it.  Linear in the nodes of the group. */
#include "lower/plan.h"

static const ir_dim *product(ir_context *c, const ir_dim *x, int n, const ir_dim *const *dims) {
    for (int i = 0; i < n; i++) x = ir_dim_mul(c, x, dims[i]);
    return x;
}

/* A multiplication and an addition for each step of a contraction. */
static const ir_dim *flops_of(ir_context *c, const ir_node *n) {
    lower_node a;
    const ir_dim *flops = ir_dim_const(c, 0);
    for (const ir_node *s = n->nblocks ? n->blocks[0]->first : NULL; s; s = s->next) flops = ir_dim_add(c, flops, flops_of(c, s));
    if (n->nblocks) return flops; /* a group, or a stage of it */
    comp *k = n->op->cls == OP_CONTRACT ? lower_node_comp(c, n, &a) : NULL;
    if (!k || !k->contract) return ir_dim_const(c, 0);
    return product(c, product(c, ir_dim_const(c, 2), k->ndims, k->dims), k->nrdims, k->rdims);
}

static bool picks(ir_context *c, const ir_node *n) {
    lower_node a;
    comp *k = n->op->cls == OP_MOVE && n->nout == 1 ? lower_node_comp(c, n, &a) : NULL;
    return k && !k->write;
}

/* A node that picks elements reads at most one for each that it gives: `embedding` touches little of its table. */
static const ir_dim *bytes_read(ir_context *c, const ir_node *group, const ir_value *v) {
    const ir_dim *whole = plan_bytes(c, v->type), *picked = NULL;
    for (const ir_node *n = group->blocks[0]->first; n; n = n->next) {
        bool reads = false;
        for (int i = 0; i < n->nin; i++) reads |= n->in[i] == v;
        if (!reads) continue;
        if (!picks(c, n)) return whole;
        const ir_type *t = n->out[0]->type;
        const ir_dim *bytes = product(c, ir_dim_const(c, rt_dtypes[v->type->dtype].bytes), t->rank, t->dims);
        picked = picked ? ir_dim_add(c, picked, bytes) : bytes;
    }
    return picked ? ir_dim_min(c, whole, picked) : whole;
}

void lower_group_work(ir_context *c, const ir_node *group, const ir_dim **flops, const ir_dim **bytes) {
    *flops = flops_of(c, group);
    *bytes = ir_dim_const(c, 0);
    for (int i = 0; i < group->nin; i++)
        if (group->in[i]->type->kind == T_TENSOR) *bytes = ir_dim_add(c, *bytes, bytes_read(c, group, group->in[i]));
    for (int i = 0; i < group->nout; i++) *bytes = ir_dim_add(c, *bytes, plan_bytes(c, group->out[i]->type));
}
