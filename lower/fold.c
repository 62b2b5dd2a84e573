/* fold.c: computes at compile time what depends on constants and params only.
 * in, out: core.  A node of a comprehension class whose operands are all params becomes a param of its own, computed by the
 * reference interpreter, if that does not make the weights much larger: a single result, nor all of them together.  Masks
 * that indexes alone decide stay (lower_counts). */
#include "lower/group.h"

enum {
    SMALL = 64 * 1024, /* bytes that a result may have whatever its operands have */
    GROWTH = 8,        /* results may have more bytes than their operands by one in so many of the params', and SMALL */
    MASK = 64 * 64     /* elements of a mask that stays */
};

typedef struct folder {
    ir_module *m;
    lower_interp *in;
    rt_map kept;  /* nodes that are not folded */
    int64_t room; /* bytes by which results may still exceed their operands */
} folder;

static bool is_struct(const ir_node *n, ir_struct_id id) { return n && n->op->cls == OP_STRUCT && n->op->id == (int)id; }

static int64_t bytes_of(const ir_type *t) {
    int64_t n = rt_dtypes[t->dtype].bytes, d;
    for (int i = 0; i < t->rank; i++)
        if (!ir_dim_is_const(t->dims[i], &d) || !rt_mul_i64(n, d, &n)) return -1;
    return n;
}

static bool constant(const ir_value *v) {
    const ir_node *d = v->def;
    if (!d || d->op->cls != OP_STRUCT) return false;
    if (d->op->id == S_CONST || d->op->id == S_PARAM) return true;
    if (d->op->id != S_LIST && d->op->id != S_TUPLE) return false;
    for (int i = 0; i < d->nin; i++)
        if (!constant(d->in[i])) return false;
    return true;
}

static int64_t param_bytes(const ir_value *v) {
    const ir_node *d = v->def;
    if (is_struct(d, S_PARAM)) return bytes_of(v->type);
    int64_t n = 0;
    for (int i = 0; (is_struct(d, S_LIST) || is_struct(d, S_TUPLE)) && i < d->nin; i++) n += param_bytes(d->in[i]);
    return n;
}

/* room: bytes by which params may still grow. */
static bool foldable(const ir_node *n, int64_t *room) {
    if (n->op->cls != OP_POINTWISE && n->op->cls != OP_REDUCE && n->op->cls != OP_MOVE && n->op->cls != OP_CONTRACT) return false;
    if (n->op->effects & (EFF_RANDOM | EFF_WRITES | EFF_SIDE)) return false;
    int64_t in = 0, out = 0;
    for (int i = 0; i < n->nin; i++) {
        if (!constant(n->in[i])) return false;
        in += param_bytes(n->in[i]);
    }
    for (int i = 0; i < n->nout; i++) {
        int64_t b = bytes_of(n->out[i]->type);
        if (b < 0) return false;
        out += b;
    }
    if (out > (in > SMALL ? in : SMALL) || (in && out - in > *room)) return false;
    if (in && out > in) *room -= out - in;
    return true;
}

static int64_t room_for(const ir_module *m) {
    int64_t sum = 0;
    for (int i = 0; i < m->tensors.n; i++) {
        const ir_tensor_data *t = m->tensors.entries[i].value;
        if (t->tensor) sum += rt_tensor_numel(t->tensor) * rt_dtypes[t->tensor->dtype].bytes;
    }
    return SMALL + sum / GROWTH;
}

/* ---- masks */

static bool is_kept(const folder *x, const ir_node *n) { return rt_map_getn(&x->kept, (const char *)&n, sizeof n); }

/* Keeps n; what it is made of becomes its own, since others may want that folded. */
static void keep(folder *x, ir_node *n) {
    rt_map_putn(&x->m->c->arena, &x->kept, (const char *)&n, sizeof n, n);
    for (int i = 0; i < n->nin; i++) {
        const ir_node *from = n->in[i]->def;
        if (n->in[i]->type->kind != T_TENSOR) continue;
        ir_node *own = ir_node_new(n->func, from->op, from->span, from->nin, from->in, 1, &n->in[i]->type);
        ir_insert_before(n, own);
        ir_set_input(n, i, own->out[0]);
        keep(x, own);
    }
}

static void keep_masks(folder *x, ir_block *b) {
    for (ir_node *n = b->last; n; n = n->prev) {
        const ir_type *t = n->nout == 1 ? n->out[0]->type : NULL;
        if (!t || t->kind != T_TENSOR || t->dtype != DT_BOOL || is_kept(x, n)) continue;
        if (bytes_of(t) >= MASK && n->out[0]->uses && lower_counts(x->m->c, n)) keep(x, n);
    }
}

/* ---- values */

static rt_value value_of(ir_module *m, const ir_value *v) {
    const ir_node *d = v->def;
    if (is_struct(d, S_CONST)) return rt_retain(d->value);
    if (is_struct(d, S_PARAM)) {
        ir_tensor_data *t = rt_map_get(&m->tensors, d->sym);
        rt_tensor_retain(t->tensor);
        return rt_tensor_value(t->tensor);
    }
    rt_value l = rt_list_new(is_struct(d, S_LIST) ? V_LIST : V_TUPLE, d->nin);
    for (int i = 0; i < d->nin; i++) l.list->at[i] = value_of(m, d->in[i]);
    return l;
}

static ir_value *read_param(ir_module *m, ir_node *at, const char *name, const ir_type *type) {
    ir_node *n = ir_node_new(at->block->func, ir_struct(m->c, S_PARAM), at->span, 0, NULL, 1, &type);
    n->sym = name;
    ir_insert_before(at, n);
    return n->out[0];
}

ir_value *lower_new_param(ir_module *m, ir_node *at, rt_tensor *t, const ir_type *type) {
    ir_context *c = m->c;
    const char *name;
    for (int i = m->tensors.n;; i++)
        if (!rt_map_get(&m->tensors, name = ir_intern(c, ir_fmt(c, "fold.%d", i)))) break;
    ir_tensor_data *d = RT_NEW(&c->arena, ir_tensor_data);
    *d = (ir_tensor_data){.name = name, .tensor = t};
    rt_map_put(&c->arena, &m->tensors, name, d);
    return read_param(m, at, name, type);
}

ir_value *lower_same_param(ir_module *m, ir_node *at, const ir_value *param) { return read_param(m, at, param->def->sym, param->type); }

static bool fold_node(ir_module *m, lower_interp *in, ir_node *n) {
    rt_value *args = RT_ARRAY(&m->c->arena, rt_value, n->nin + 1), *out = RT_ARRAY(&m->c->arena, rt_value, n->nout + 1);
    for (int i = 0; i < n->nin; i++) args[i] = value_of(m, n->in[i]);
    rt_env env = {0};
    bool ok = lower_apply(in, n->op, args, out, &env);
    for (int i = 0; i < n->nin; i++) rt_release(args[i]);
    rt_env_clear(&env);
    if (!ok) return false; /* it raises: leave that to the run */
    for (int i = 0; i < n->nout; i++) {
        if (rt_tensor_contiguous(out[i].tensor)) continue;
        rt_tensor *t = rt_tensor_copy_to(out[i].tensor, out[i].tensor->dtype);
        ok = ok && t;
        if (!t) continue;
        rt_release(out[i]);
        out[i] = rt_tensor_value(t);
    }
    for (int i = 0; i < n->nout && !ok; i++) rt_release(out[i]);
    if (!ok) return false;
    for (int i = 0; i < n->nout; i++) ir_replace_uses(n->out[i], lower_new_param(m, n, out[i].tensor, n->out[i]->type));
    ir_erase(n);
    return true;
}

static int fold_block(folder *x, ir_block *b) {
    int changes = 0;
    keep_masks(x, b);
    for (ir_node *n = b->first, *next; n; n = next) {
        next = n->next;
        for (int i = 0; i < n->nblocks; i++) changes += fold_block(x, n->blocks[i]);
        if (!is_kept(x, n) && foldable(n, &x->room)) changes += fold_node(x->m, x->in, n);
    }
    return changes;
}

int lower_fold(ir_module *m) {
    folder x = {.m = m, .in = lower_interp_new(m), .room = room_for(m)};
    int changes = 0;
    for (int i = 0; x.in && i < m->funcs.n; i++) changes += fold_block(&x, ((ir_func *)m->funcs.entries[i].value)->body);
    lower_interp_free(x.in);
    return changes;
}
