/* concat.c: a product with few rows reads the parts of a concat, not a copy of them.
 * in, out: core.
 *
 *   a @ cat(x, y; columns)   becomes   cat(a @ x, a @ y; columns)
 *   a @ cat(x, y; rows)      becomes   a[.., :n] @ x + a[.., n:] @ y
 *
 * where cat may be transposed.  Each step of a decoder appends a row to the keys and values that it keeps: copying them to
 * multiply them by one row costs more than the product.  Only where all who read the concat are such products, for then it is
 * never made.  Sums of f16 and bf16 stay whole: their parts would be rounded one by one. */
#include "lower/group.h"

enum { MOST_ROWS = 8, MOST_PARTS = 4, SMALL = 4096 /* elements that are copied faster than another kernel is called */ };

typedef const ir_dim *D;

static bool is_product(const ir_node *n) { return ir_is(n, "matmul") || ir_is(n, "bmm") || ir_is(n, "mm"); }

static bool axis_of(const ir_value *v, int rank, int *axis) {
    int64_t x;
    if (!ir_int_of(v, &x) || x < -rank || x >= rank) return false;
    return *axis = (int)(x < 0 ? x + rank : x), true;
}

/* The concat of which v is a transposed view or which it is, and the dim of v along which its parts lie. */
static ir_node *concat_of(const ir_value *v, int *dim) {
    ir_node *n = v->def;
    int rank = v->type->rank, a, b;
    if (ir_is(n, "cat")) {
        const ir_node *parts = n->in[0]->def;
        bool known = parts && parts->op->cls == OP_STRUCT && parts->op->id == S_LIST && parts->nin >= 2 && parts->nin <= MOST_PARTS;
        for (int i = 0; known && i < parts->nin; i++) known = parts->in[i]->type->rank == rank && parts->in[i]->type->dtype == v->type->dtype;
        return known && axis_of(n->in[1], rank, dim) ? n : NULL;
    }
    if (!ir_is(n, "transpose.int") || !axis_of(n->in[1], rank, &a) || !axis_of(n->in[2], rank, &b)) return NULL;
    ir_node *cat = concat_of(n->in[0], dim);
    *dim = *dim == a ? b : *dim == b ? a : *dim;
    return cat;
}

static bool few_rows(const ir_node *product) {
    const ir_type *a = product->in[0]->type;
    int64_t rows;
    return a->rank >= 2 && product->in[1]->type->rank >= 2 && ir_dim_is_const(a->dims[a->rank - 2], &rows) && rows <= MOST_ROWS;
}

/* Is v read by such products alone, as their right factor?  (A view may be left that nobody reads.) */
static bool only_products(const ir_value *v) {
    int dim;
    for (const ir_use *u = v->uses; u; u = u->next) {
        const ir_node *n = u->node;
        if (ir_is(n, "transpose.int") && u->index == 0 && only_products(n->out[0])) continue;
        if (!n || !is_product(n) || u->index != 1 || n->in[0] == v || !few_rows(n) || !concat_of(v, &dim)) return false;
        if (dim < v->type->rank - 2) return false;
        if (dim == v->type->rank - 2 && rt_dtypes[v->type->dtype].bytes < 4) return false;
    }
    return true;
}

static bool small(const ir_type *t) {
    int64_t n = 1, d;
    for (int i = 0; i < t->rank; i++)
        if (!ir_dim_is_const(t->dims[i], &d) || !rt_mul_i64(n, d, &n)) return false;
    return n < SMALL;
}

/* ---- rewriting */

static ir_value *put(ir_node *at, const ir_op *op, int nin, ir_value *const *in, const ir_type *t) {
    ir_node *n = ir_node_new(at->func, op, at->span, nin, in, 1, &t);
    ir_insert_before(at, n);
    return n->out[0];
}

static ir_value *put_dim(ir_context *c, ir_node *at, D d) { return put(at, ir_struct(c, S_DIM), 0, NULL, ir_type_int(c, d)); }

static const ir_type *resized(ir_context *c, const ir_type *t, int dim, D size) {
    D dims[RT_MAX_RANK];
    memcpy(dims, t->dims, (size_t)t->rank * sizeof *dims);
    dims[dim] = size;
    return ir_type_tensor(c, t->dtype, t->rank, dims);
}

/* Part i of the concat behind v, viewed as v views it, in front of `at`. */
static ir_value *part(ir_context *c, ir_node *at, const ir_value *v, int dim, int i) {
    ir_node *n = v->def;
    int d;
    if (ir_is(n, "cat")) return n->in[0]->def->in[i];
    concat_of(n->in[0], &d);
    ir_value *x = part(c, at, n->in[0], d, i);
    return put(at, n->op, n->nin, (ir_value *[]){x, n->in[1], n->in[2]}, resized(c, v->type, dim, x->type->dims[d]));
}

static void split(ir_module *m, ir_node *product, const ir_node *cat, int dim) {
    ir_context *c = m->c;
    ir_value *a = product->in[0], *b = product->in[1], *sum = NULL, *parts[MOST_PARTS];
    const ir_type *t = product->out[0]->type;
    int n = cat->in[0]->def->nin, rank = b->type->rank, columns = t->rank - 1, k = a->type->rank - 1;
    ir_value *one = put_dim(c, product, ir_dim_const(c, 1));
    D end = ir_dim_const(c, 0);
    for (int i = 0; i < n; i++) {
        ir_value *x = part(c, product, b, dim, i), *left = a;
        D size = x->type->dims[dim], begin = end;
        end = ir_dim_add(c, end, size);
        bool by_columns = dim == rank - 1;
        if (!by_columns)
            left = put(product, ir_op_find(c, "slice.Tensor"), 5, (ir_value *[]){a, put_dim(c, product, ir_dim_const(c, k)), put_dim(c, product, begin),
                       put_dim(c, product, end), one}, resized(c, a->type, k, size));
        parts[i] = put(product, product->op, 2, (ir_value *[]){left, x}, by_columns ? resized(c, t, columns, size) : t);
        if (!by_columns) sum = sum ? put(product, ir_op_find(c, "add.Tensor"), 3, (ir_value *[]){sum, parts[i], one}, t) : parts[i];
    }
    if (!sum) {
        ir_value *list = put(product, ir_struct(c, S_LIST), n, parts, ir_type_list(c, ir_surface(c, t)));
        sum = put(product, cat->op, 2, (ir_value *[]){list, put_dim(c, product, ir_dim_const(c, columns))}, t);
    }
    ir_replace_uses(product->out[0], sum);
    ir_erase(product);
}

static int concat_block(ir_module *m, ir_block *b) {
    int changes = 0;
    for (ir_node *n = b->first, *next; n; n = next) {
        int dim;
        next = n->next;
        for (int i = 0; i < n->nblocks; i++) changes += concat_block(m, n->blocks[i]);
        ir_node *cat = is_product(n) && few_rows(n) ? concat_of(n->in[1], &dim) : NULL;
        if (!cat || cat->block != b || small(cat->out[0]->type) || !only_products(cat->out[0])) continue;
        split(m, n, cat, dim);
        changes++;
    }
    return changes;
}

int lower_concat(ir_module *m) {
    int n = 0;
    for (int i = 0; i < m->funcs.n; i++) n += concat_block(m, ((ir_func *)m->funcs.entries[i].value)->body);
    return n;
}
