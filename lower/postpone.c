/* postpone.c: what softmax does to whole rows is done to the rows of the product that follows.
 * in, out: core.
 *
 *   (e / l) @ b              becomes   (e @ b) / l
 *   where(c, 0, x) @ b       becomes   where(c, 0, x @ b)
 *
 * where e = exp(x - max x), l and c have one element per row, and nobody else reads the left factor: a row of attention's
 * result is shorter than one of its scores, and weights that were never divided can be summed up before their sum is known
 * (stage_online.c).  No element of e is above 1: a sum overflows only where b comes as near to the largest number as 1 to the
 * number of its rows.  Rows that c leaves out stay 0 even where b is not finite, where 0 * b would be NaN. */
#include "lower/group.h"

static bool one_per_row(const ir_value *v) {
    const ir_type *t = v->type;
    return t->kind == T_TENSOR && t->rank && ir_dim_is(t->dims[t->rank - 1], 1);
}

static bool is_zero(const ir_value *v) {
    if (ir_is(v->def, "full")) v = v->def->in[1];
    const rt_value *k = ir_const_of(v);
    return k && ((k->tag == V_INT && k->i == 0) || (k->tag == V_FLOAT && k->f == 0));
}

/* exp(x - max x), the maximum over the last dim. */
static bool below_one(const ir_value *v) {
    const ir_node *e = v->def, *sub = ir_is(e, "exp") ? e->in[0]->def : NULL;
    if (!ir_is(sub, "sub.Tensor") || !ir_is(sub->in[1]->def, "_amax")) return false;
    return sub->in[1]->def->in[0] == sub->in[0] && one_per_row(sub->in[1]);
}

/* The input of x that is to be multiplied in x's place; -1: none. */
static int factor_in(const ir_node *x) {
    if (ir_is(x, "div.Tensor")) return one_per_row(x->in[1]) && below_one(x->in[0]) ? 0 : -1;
    if ((!ir_is(x, "where.self") && !ir_is(x, "where.ScalarSelf")) || !one_per_row(x->in[0]) || !is_zero(x->in[1]) || !x->in[2]->def) return -1;
    return factor_in(x->in[2]->def) >= 0 ? 2 : -1;
}

static bool only_use(const ir_value *v) { return v->uses && !v->uses->next && v->uses->node; }

static bool same_dims(const ir_type *a, const ir_type *b) {
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++) same = a->dims[i] == b->dims[i];
    return same;
}

/* Are the product's rows no longer than those of its left factor?  Unknown sizes: yes. */
static bool shorter(const ir_type *product, const ir_type *left) {
    int64_t n, k;
    return !ir_dim_is_const(product->dims[product->rank - 1], &n) || !ir_dim_is_const(left->dims[left->rank - 1], &k) || n <= k;
}

static ir_value *put(ir_node *at, const ir_op *op, int nin, ir_value *const *in, const ir_type *t) {
    ir_node *n = ir_node_new(at->func, op, at->span, nin, in, 1, &t);
    ir_insert_before(at, n);
    return n->out[0];
}

/* x, done to y instead of its input number `at`. */
static ir_value *done_to(ir_context *c, ir_node *where, const ir_node *x, int at, ir_value *y) {
    ir_value *in[3];
    memcpy(in, x->in, (size_t)x->nin * sizeof *in);
    in[at] = y;
    if (at == 0) return put(where, x->op, x->nin, in, y->type);
    if (ir_is(in[1]->def, "full")) in[1] = in[1]->def->in[1];
    return put(where, ir_op_find(c, "where.ScalarSelf"), x->nin, in, y->type);
}

static bool postpone(ir_module *m, ir_node *product) {
    ir_value *left = product->in[0], *y = product->out[0];
    const ir_node *x = left->def;
    int at = x ? factor_in(x) : -1;
    if (at < 0 || !only_use(left) || product->in[1]->type->rank < 2 || left->type->rank < 2) return false;
    ir_value *factor = x->in[at];
    if (!same_dims(factor->type, left->type) || factor->type->dtype != left->type->dtype || !shorter(y->type, left->type)) return false;
    ir_value *sum = put(product, product->op, product->nin, (ir_value *[]){factor, product->in[1]}, y->type);
    ir_replace_uses(y, done_to(m->c, product, x, at, sum));
    ir_erase(product);
    ir_erase(left->def);
    postpone(m, sum->def);
    return true;
}

static int postpone_block(ir_module *m, ir_block *b) {
    int changes = 0;
    for (ir_node *n = b->first, *next; n; n = next) {
        next = n->next;
        for (int i = 0; i < n->nblocks; i++) changes += postpone_block(m, n->blocks[i]);
        if (ir_is(n, "matmul") || ir_is(n, "bmm") || ir_is(n, "mm")) changes += postpone(m, n);
    }
    return changes;
}

int lower_postpone(ir_module *m) {
    int n = 0;
    for (int i = 0; i < m->funcs.n; i++) n += postpone_block(m, ((ir_func *)m->funcs.entries[i].value)->body);
    return n;
}
