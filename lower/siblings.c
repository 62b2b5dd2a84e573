/* siblings.c: products of the parts of one tensor with one weight become one product of the whole.
 * in, out: core.
 *
 *   linear(x[0], w, b), linear(x[1], w, b) ...            y = linear(x, w, b); y[0], y[1] ...
 *   loop n { linear(x[i], w, b) ... } over all of x       y = linear(x, w, b); loop n { y[i] ... }
 *
 * A step of a recurrent network multiplies its input, which does not depend on the steps before, by a matrix that does not
 * fit into a cache of the first level: one product of all steps reads it once.  Parts are what select and slice take along
 * a dim that the product keeps; together they must make up most of the tensor.  The results are views, which cost nothing.
 * Linear in the nodes. */
#include "lower/group.h"

enum { MOST_ROWS = 64 /* of a part: with more it is as fast alone */, MOST_BYTES = 64 << 20 /* of the whole product */ };

typedef struct part { /* product of a view of `whole` along `dim` */
    ir_node *product, *view;
    const ir_op *op;
    ir_value *whole, *weight, *bias;
    int dim;
    struct part *next; /* of the same siblings */
} part;

typedef struct siblings { part *first, *last; } siblings;

/* Elements of a tensor without its last dim; 0: not known. */
static int64_t rows_of(const ir_type *t) {
    int64_t n = 1, d;
    for (int i = 0; i + 1 < t->rank; i++)
        if (!ir_dim_is_const(t->dims[i], &d) || !rt_mul_i64(n, d, &n)) return 0;
    return n;
}

static bool part_of(ir_context *c, ir_node *n, part *p) {
    bool linear = ir_is(n, "linear");
    int64_t dim;
    if (!linear && !ir_is(n, "matmul") && !ir_is(n, "mm")) return false;
    ir_node *view = n->in[0]->def;
    if (!ir_is(view, "select.int") && !ir_is(view, "slice.Tensor")) return false;
    *p = (part){n, view, linear ? n->op : ir_op_find(c, "matmul"), view->in[0], n->in[1], linear ? n->in[2] : NULL, 0, NULL};
    int rank = p->whole->type->rank;
    if (n->in[1]->type->rank != 2 || !ir_int_of(view->in[1], &dim)) return false;
    p->dim = (int)(dim < 0 ? dim + rank : dim);
    return p->dim >= 0 && p->dim + 1 < rank && rows_of(n->out[0]->type) > 0 && rows_of(n->out[0]->type) <= MOST_ROWS;
}

/* The product of the whole, in front of `at`; NULL: known to be too large. */
static ir_value *whole_product(ir_module *m, ir_node *at, const part *p) {
    ir_context *c = m->c;
    const ir_dim *dims[RT_MAX_RANK];
    const ir_type *x = p->whole->type, *y = p->product->out[0]->type;
    int64_t rows = rows_of(x), columns;
    if (!ir_dim_is_const(y->dims[y->rank - 1], &columns) || rows > MOST_BYTES / 8 / (columns + 1)) return NULL;
    memcpy(dims, x->dims, (size_t)x->rank * sizeof *dims);
    dims[x->rank - 1] = y->dims[y->rank - 1];
    const ir_type *t = ir_type_tensor(c, y->dtype, x->rank, dims);
    ir_node *n = ir_node_new(at->func, p->op, p->product->span, p->bias ? 3 : 2, (ir_value *[]){p->whole, p->weight, p->bias}, 1, &t);
    ir_insert_before(at, n);
    return n->out[0];
}

/* The part's result becomes its view of the whole product. */
static void use_whole(const part *p, ir_value *whole) {
    ir_node *v = p->view;
    const ir_type *t = p->product->out[0]->type;
    ir_node *n = ir_node_new(v->func, v->op, p->product->span, v->nin, v->in, 1, &t);
    ir_insert_before(p->product, n);
    ir_set_input(n, 0, whole);
    ir_replace_uses(p->product->out[0], n->out[0]);
    ir_erase(p->product);
}

/* ---- parts at constant places of one block */

static bool constant_view(const ir_node *view) {
    int64_t x;
    for (int i = 1; i < view->nin; i++)
        if (!ir_int_of(view->in[i], &x) && view->in[i]->type->kind != T_NONE) return false;
    return true;
}

static void add_part(ir_module *m, rt_map *all, const part *p) {
    const void *key[] = {p->op, p->whole, p->weight, p->bias, (const void *)(intptr_t)p->dim};
    siblings *s = rt_map_getn(all, (const char *)key, sizeof key);
    part *own = rt_arena_copy(&m->c->arena, p, sizeof *p);
    if (s) {
        s->last->next = own;
        s->last = own;
        return;
    }
    s = RT_NEW(&m->c->arena, siblings);
    *s = (siblings){own, own};
    rt_map_putn(&m->c->arena, all, (const char *)key, sizeof key, s);
}

static int merge(ir_module *m, const siblings *s) {
    int64_t rows = 0, all = rows_of(s->first->whole->type);
    int n = 0;
    for (const part *p = s->first; p; p = p->next, n++) rows += rows_of(p->view->out[0]->type);
    if (n < 2 || !all || rows < all - all / 4) return 0;
    ir_value *whole = whole_product(m, s->first->product, s->first);
    for (const part *p = s->first, *next; whole && p; p = next) {
        next = p->next;
        use_whole(p, whole);
    }
    return whole ? n : 0;
}

/* ---- the part of a loop's step */

static bool is_true(const ir_value *v) {
    const rt_value *k = ir_const_of(v);
    return k && k->tag == V_BOOL && k->i;
}

/* Does the loop around n take each part of the whole once, and does nothing but the part change? */
static bool each_step(const part *p) {
    const ir_block *b = p->product->block;
    const ir_node *loop = b->owner;
    if (!loop || loop->op->cls != OP_STRUCT || loop->op->id != S_LOOP || !ir_is(p->view, "select.int") || p->view->in[2] != b->params.at[0]) return false;
    if (p->whole->block == b || p->weight->block == b || (p->bias && p->bias->block == b)) return false;
    const ir_type *steps = loop->in[0]->type;
    return steps->dim == p->whole->type->dims[p->dim] && is_true(loop->in[1]) && is_true(b->results.at[0]);
}

static int siblings_of(ir_module *m, ir_block *b) {
    rt_map all = {0};
    int changes = 0;
    for (ir_node *n = b->first, *next; n; n = next) {
        part p;
        next = n->next;
        for (int i = 0; i < n->nblocks; i++) changes += siblings_of(m, n->blocks[i]);
        if (!part_of(m->c, n, &p)) continue;
        if (constant_view(p.view)) {
            add_part(m, &all, &p);
            continue;
        }
        ir_value *whole = each_step(&p) ? whole_product(m, b->owner, &p) : NULL;
        if (whole) use_whole(&p, whole);
        changes += whole != NULL;
    }
    for (int i = 0; i < all.n; i++) changes += merge(m, all.entries[i].value);
    return changes;
}

int lower_siblings(ir_module *m) {
    int n = 0;
    for (int i = 0; i < m->funcs.n; i++) n += siblings_of(m, ((ir_func *)m->funcs.entries[i].value)->body);
    return n;
}
