/* spec_tensor.c: tensors in the partial evaluator: storages, views, in-place writes made pure, and the ops of the
 * tensor classes, whose types come from ir_infer_op.
 *
 * A write through a chain of views (b -> v1 -> v2) rebuilds from the inside out: v1' = scatter(v1, value),
 * b' = scatter(b, v1'), and b' becomes the cell's value; all other views of b read b' from then on. */
#include "ir/custom.h"
#include "ir/rules.h"
#include "lower/spec.h"

/* ---- storages and reads */

const aval *spec_tensor_new(spec *s, ir_value *v, const ir_dim **strides) {
    int i = spec_cell_new(s, (cell){.kind = CELL_STORAGE, .content = v, .type = v->type, .strides = strides});
    aval *a = RT_NEW(&s->c->arena, aval);
    *a = (aval){.kind = AV_TENSOR, .cell = i, .type = v->type, .strides = strides};
    return a;
}

/* S_PARAM at the head of the function, so that every block sees it. */
static ir_value *param_value(spec *s, const char *name, const ir_type *t) {
    ir_node *n = ir_node_new(s->f, ir_struct(s->c, S_PARAM), 0, 0, NULL, 1, &t);
    n->sym = name;
    if (s->f->body->first) ir_insert_before(s->f->body->first, n);
    else ir_append(s->f->body, n);
    if (!rt_map_get(&s->to->tensors, name)) rt_map_put(&s->c->arena, &s->to->tensors, name, rt_map_get(&s->from->tensors, name));
    return n->out[0];
}

static ir_value *base_value(spec *s, int i) {
    cell *x = (cell *)spec_cell(s, i);
    if (!x->content) x->content = param_value(s, x->name, x->type); /* what a param holds never changes: shared by all heaps */
    return x->content;
}

/* A list argument: one S_LIST where its elements have a common type, else S_TUPLE (index lists of mixed dtypes). */
static ir_value *op_input(spec *s, const aval *a, ir_span at) {
    if (a->kind == AV_REF && spec_cell(s, a->cell)->kind == CELL_LIST) {
        const cell *x = spec_cell(s, a->cell);
        const ir_type *elem = ir_type_simple(s->c, T_BOTTOM);
        bool same = true;
        for (int i = 0; i < x->n; i++) {
            const ir_type *t = spec_type(s, x->at[i]);
            elem = elem ? spec_join_type(s, elem, t) : NULL;
            if (t->kind == T_NONE) same = false;
        }
        if (!elem || !same) a = spec_tuple(s, NULL, x->n, x->at);
    }
    return spec_value(s, a, at);
}

static bool is_op(const ir_op *op, const char *full) { return !strcmp(op->full, full); }

/* Core values have no strides: where memory order counts they are contiguous. */
static ir_value *contiguous(spec *s, ir_value *v, ir_span at) {
    const ir_op *op = ir_op_find(s->c, "contiguous");
    const ir_type *t = ir_type_int(s->c, ir_dim_const(s->c, 0));
    ir_value *in[2] = {v, op->schema->nparams > 1 ? ir_const(s->b, at, rt_int(0), t) : NULL};
    return spec_emit(s, op, at, op->schema->nparams, in, 1, &v->type)->out[0];
}

static ir_value *view_value(spec *s, const view *v, int cell, ir_span at) {
    if (!v) return base_value(s, cell);
    ir_value **in = RT_ARRAY(&s->c->arena, ir_value *, v->nargs);
    const ir_op *op = is_op(v->op, "view") ? ir_op_find(s->c, "reshape") : v->op;
    in[0] = view_value(s, v->parent, cell, at);
    if (is_op(op, "as_strided")) in[0] = contiguous(s, in[0], at);
    for (int i = 1; i < v->nargs; i++) in[i] = op_input(s, v->args[i], at);
    return spec_emit(s, op, at, v->nargs, in, 1, &v->type)->out[0];
}

ir_value *spec_read(spec *s, const aval *t, ir_span at) { return view_value(s, t->view, t->cell, at); }

static rt_value scalar_of(const rt_tensor *t) {
    const void *data = t->storage->data;
    switch (rt_dtypes[t->dtype].kind) {
    case 'F': return rt_float(rt_load_f64(data, t->dtype, t->offset));
    case 'B': return rt_bool(rt_load_i64(data, t->dtype, t->offset) != 0);
    default: return rt_int(rt_load_i64(data, t->dtype, t->offset));
    }
}

static const ir_dim **const_dims(ir_context *c, int n, const int64_t *x) {
    const ir_dim **d = RT_ARRAY(&c->arena, const ir_dim *, n);
    for (int i = 0; i < n; i++) d[i] = ir_dim_const(c, x[i]);
    return d;
}

const aval *spec_tensor_const(spec *s, rt_tensor *t) {
    char key[32];
    snprintf(key, sizeof key, "%p", (void *)t);
    ir_context *c = s->c;
    const char *name = rt_map_get(&s->param_names, key);
    const ir_dim **strides = rt_tensor_contiguous(t) ? NULL : const_dims(c, t->ndim, t->strides);
    const ir_type *type = ir_type_tensor(c, t->dtype, t->ndim, const_dims(c, t->ndim, t->shape));
    if (!name) {
        do name = ir_intern(c, ir_fmt(c, "const.%d", s->nconst++));
        while (rt_map_get(&s->from->tensors, name));
        ir_tensor_data *d = RT_NEW(&c->arena, ir_tensor_data);
        rt_tensor_retain(t);
        *d = (ir_tensor_data){name, t, false};
        rt_map_put(&c->arena, &s->from->tensors, name, d);
        rt_map_put(&c->arena, &s->param_names, key, (void *)name);
    }
    void *known = rt_map_get(&s->cells_of, key);
    int i = known ? (int)(intptr_t)known - 1 : -1;
    if (i < 0) {
        cell x = {.kind = CELL_STORAGE, .type = type, .strides = strides, .name = name};
        if (rt_map_get(&s->states, name)) {
            ir_node *n = ir_node_new(s->f, ir_struct(c, S_STATE), 0, 0, NULL, 1, &type);
            n->sym = name;
            if (s->f->body->first) ir_insert_before(s->f->body->first, n);
            else ir_append(s->f->body, n);
            x.content = n->out[0];
            if (!rt_map_get(&s->to->tensors, name)) rt_map_put(&c->arena, &s->to->tensors, name, rt_map_get(&s->from->tensors, name));
        } else if (t->ndim == 0) {
            x.scalar = spec_const(s, scalar_of(t));
        }
        i = spec_cell_new(s, x);
        rt_map_put(&c->arena, &s->cells_of, key, (void *)(intptr_t)(i + 1));
    }
    aval *a = RT_NEW(&c->arena, aval);
    *a = (aval){.kind = AV_TENSOR, .cell = i, .type = type, .strides = strides};
    return a;
}

/* ---- writes */

/* Views whose inverse is a scatter op with arguments (self, src, the view's own...). */
static const struct { const char *view, *scatter; } scatters[] = {
    {"select.int", "select_scatter"}, {"slice.Tensor", "slice_scatter"}, {"diagonal", "diagonal_scatter"},
    {"as_strided", "as_strided_scatter"},
};

static const aval *dims_list(spec *s, const ir_type *t) {
    const aval **at = RT_ARRAY(&s->c->arena, const aval *, t->rank);
    for (int i = 0; i < t->rank; i++) at[i] = spec_dim(s, t->dims[i], NULL);
    return spec_list_of(s, ir_type_list(s->c, ir_type_int(s->c, NULL)), t->rank, at);
}

static ir_value *emit_with(spec *s, const ir_op *op, ir_value *self, int n, const aval **args, const ir_type *t, ir_span at) {
    ir_value **in = RT_ARRAY(&s->c->arena, ir_value *, n);
    in[0] = self;
    for (int i = 1; i < n; i++) in[i] = op_input(s, args[i], at);
    return spec_emit(s, op, at, n, in, 1, &t)->out[0];
}

static ir_value *unpermute(spec *s, const view *v, ir_value *value, const ir_type *to, ir_span at) {
    const cell *dims = v->args[1]->kind == AV_REF ? spec_cell(s, v->args[1]->cell) : NULL;
    const aval *const *given = dims ? dims->at : v->args[1]->at;
    const aval **inverse = RT_ARRAY(&s->c->arena, const aval *, to->rank);
    for (int i = 0; i < to->rank; i++) {
        int64_t d = 0;
        if (!spec_known_int(given[i], &d)) return NULL;
        inverse[d < 0 ? d + to->rank : d] = spec_int(s, i);
    }
    const aval *args[2] = {NULL, spec_list_of(s, ir_type_list(s->c, ir_type_int(s->c, NULL)), to->rank, inverse)};
    return emit_with(s, v->op, value, 2, args, to, at);
}

/* Views that keep the order of the elements: the inverse is a view to the parent's sizes. */
static bool regroups(const char *name) {
    static const char *const names[] = {"view", "reshape", "squeeze", "unsqueeze", "squeeze_", "unsqueeze_"};
    for (size_t i = 0; i < RT_COUNT(names); i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

/* The parent of view v with v's elements replaced by value; NULL: the view cannot be written. */
static ir_value *unview(spec *s, const view *v, ir_value *value, ir_value *parent, ir_span at) {
    ir_context *c = s->c;
    const char *name = v->op->full;
    for (size_t i = 0; i < RT_COUNT(scatters); i++) {
        if (strcmp(name, scatters[i].view)) continue;
        ir_value **in = RT_ARRAY(&c->arena, ir_value *, v->nargs + 1);
        in[0] = is_op(v->op, "as_strided") ? contiguous(s, parent, at) : parent;
        in[1] = value;
        for (int k = 1; k < v->nargs; k++) in[k + 1] = op_input(s, v->args[k], at);
        return spec_emit(s, ir_op_find(c, scatters[i].scatter), at, v->nargs + 1, in, 1, &parent->type)->out[0];
    }
    if (!strcmp(name, "permute")) return unpermute(s, v, value, parent->type, at);
    if (!strcmp(v->op->name, "transpose") || !strcmp(v->op->name, "t"))
        return emit_with(s, v->op, value, v->nargs, v->args, parent->type, at);
    if (v->type == parent->type) return value;
    if (!regroups(v->op->name)) return NULL;
    const aval *args[2] = {NULL, dims_list(s, parent->type)};
    return emit_with(s, ir_op_find(c, "reshape"), value, 2, args, parent->type, at);
}

void spec_write(spec *s, const aval *t, ir_value *value, ir_span at) {
    const cell *x = spec_cell(s, t->cell);
    if (x->frozen && spec_clone(s, x->frozen_by)) return;
    if (x->frozen && s->undecided && !s->assume) {
        s->assume = s->again = true;
        return;
    }
    if (x->frozen) {
        spec_unsupported(s, at, "in-place write to a tensor: %s", x->frozen);
        return;
    }
    if (x->name) rt_map_put(&s->c->arena, &s->in_place, x->name, (void *)x->name);
    if (x->name && !rt_map_get(&s->states, x->name)) {
        rt_map_put(&s->c->arena, &s->states, x->name, (void *)x->name);
        s->again = true;
    }
    for (const view *v = t->view; v && value; v = v->parent)
        value = unview(s, v, value, view_value(s, v->parent, t->cell, at), at);
    if (!value) {
        spec_unsupported(s, at, "in-place write through %s is not supported", t->view->op->name);
        return;
    }
    cell *e = spec_cell_edit(s, t->cell);
    e->content = value;
    e->scalar = NULL;
}

/* ---- arguments of ops */

static void list_arg(spec *s, int n, const aval *const *at, ir_arg *out, int operand) {
    ir_arg *elems = RT_ARRAY(&s->c->arena, ir_arg, n);
    for (int i = 0; i < n; i++) spec_arg(s, at[i], &elems[i], operand);
    out->kind = A_LIST;
    out->n = n;
    out->at = elems;
}

static void const_arg(spec *s, const aval *a, ir_arg *out) {
    static const ir_arg_kind kinds[] = {[V_NONE] = A_NONE, [V_BOOL] = A_BOOL, [V_FLOAT] = A_FLOAT, [V_STR] = A_STR};
    out->kind = kinds[a->k.tag];
    out->known = true;
    if (a->k.tag == V_BOOL) out->i = a->k.i;
    if (a->k.tag == V_FLOAT) out->f = a->k.f;
    if (a->k.tag == V_STR) out->s = ir_internn(s->c, a->k.str->s, a->k.str->n);
}

static void dyn_arg(const aval *a, ir_arg *out) {
    ir_kind k = a->v->type->kind;
    out->kind = k == T_FLOAT ? A_FLOAT : k == T_BOOL ? A_BOOL : k == T_STR ? A_STR : A_OTHER;
}

void spec_arg(spec *s, const aval *a, ir_arg *out, int operand) {
    *out = (ir_arg){.kind = A_OTHER, .operand = operand, .type = spec_type(s, a)};
    switch (a->kind) {
    case AV_CONST: const_arg(s, a, out); break;
    case AV_INT:
        out->kind = A_INT;
        out->dim = a->dim;
        out->known = ir_dim_is_const(a->dim, NULL);
        break;
    case AV_DYN: dyn_arg(a, out); break;
    case AV_TENSOR:
        out->kind = A_TENSOR;
        out->strides = a->strides;
        out->wrapped = a->wrapped;
        break;
    case AV_TUPLE: list_arg(s, a->n, a->at, out, operand); break;
    case AV_REF: {
        const cell *x = spec_cell(s, a->cell);
        if (x->kind == CELL_LIST) list_arg(s, x->n, x->at, out, operand);
        break;
    }
    case AV_UNDEF: break;
    }
}

static bool infer_quietly(spec *s, ir_infer *x, const ir_op *op, const aval **args, ir_span at) {
    int n = op->schema->nparams;
    ir_arg *a = RT_ARRAY(&s->c->arena, ir_arg, n);
    for (int i = 0; i < n; i++) spec_arg(s, args[i], &a[i], i);
    *x = (ir_infer){.c = s->c, .op = op, .span = at, .nargs = n, .args = a};
    return ir_infer_op(x);
}

/* The length that a run-time list of ints is taken to have for parameter p: the schema's, or the one that the examples gave
 * to the entry; -1: unknown. */
static int64_t taken_length(spec *s, const ir_param *p, const aval *a, const ir_value *list) {
    if ((a->kind != AV_DYN && a->kind != AV_REF) || list->type->kind != T_LIST || list->type->elem[0]->kind != T_INT) return -1;
    if (p->list_size > 1) return p->list_size;
    for (int i = 0; i < s->entry->nargs; i++)
        if (s->arg_values[i] == list && s->entry->args[i].has_length) return s->entry->args[i].length;
    return -1;
}

static const aval *call_op(spec *s, const char *full, int n, const aval **args, ir_span at);

/* The elements of a run-time list of n ints; that it has n is a guard. */
static const aval *elements(spec *s, const aval *list, int64_t n, const char *name, ir_span at) {
    const aval **e = RT_ARRAY(&s->c->arena, const aval *, n);
    ir_value *same[2] = {spec_value(s, call_op(s, "len.t", 1, &list, at), at), spec_value(s, spec_int(s, n), at)};
    const ir_type *t = ir_type_simple(s->c, T_BOOL);
    const char *why = ir_fmt(s->c, "the length of '%s' is taken to be %lld", name, (long long)n);
    ir_value *guard[2] = {spec_emit(s, ir_op_find(s->c, "eq.int"), at, 2, same, 1, &t)->out[0],
                          ir_const(s->b, at, rt_strz(why), ir_type_simple(s->c, T_STR))};
    spec_emit(s, ir_struct(s->c, S_GUARD), at, 2, guard, 0, NULL);
    for (int64_t i = 0; i < n; i++) {
        const aval *in[2] = {list, spec_int(s, i)};
        e[i] = call_op(s, "__getitem__.t", 2, in, at);
    }
    return spec_list_of(s, ir_type_list(s->c, ir_type_int(s->c, NULL)), (int)n, e);
}

/* For a rule that must know how long its lists are.  False: nothing more is known now. */
static bool take_lengths(spec *s, const ir_op *op, const aval ***args, ir_span at) {
    const aval **all = rt_arena_copy(&s->c->arena, *args, (size_t)op->schema->nparams * sizeof **args);
    bool any = false;
    for (int i = 0; i < op->schema->nparams; i++) {
        const aval *a = all[i];
        bool list = a->kind == AV_DYN || (a->kind == AV_REF && spec_cell(s, a->cell)->kind == CELL_DYN);
        const ir_param *p = &op->schema->params[i];
        int64_t n = list ? taken_length(s, p, a, spec_value(s, a, at)) : -1;
        if (n < 0 || n > 4 * RT_MAX_RANK) continue;
        all[i] = elements(s, a, n, p->name, at);
        any = true;
    }
    *args = all;
    return any;
}

/* May replace *args. */
static bool infer(spec *s, ir_infer *x, const ir_op *op, const aval ***args, ir_span at) {
    if (infer_quietly(s, x, op, *args, at)) return true;
    if (!x->error_cls && take_lengths(s, op, args, at) && infer_quietly(s, x, op, *args, at)) return true;
    for (int i = 0; i < op->schema->nparams && !x->error_cls; i++)
        if (op->schema->params[i].type->kind == T_LIST && spec_fix_length(s, (*args)[i], at)) break;
    if (!x->error_cls) {
        spec_unsupported(s, at, "%s: %s", op->full, x->error ? x->error : "not supported for these arguments");
        return false;
    }
    ir_warn(s->c, at, "%s is certain to fail here: %s", op->name, x->error);
    spec_raise(s, at, x->error_cls, x->error);
    return false;
}

void spec_guards(spec *s, const ir_infer *x, ir_span at) {
    for (int i = 0; i < x->guards.n; i++) {
        const ir_guard *g = &x->guards.at[i];
        ir_value *in[2] = {spec_value(s, spec_dim(s, g->a, NULL), at), spec_value(s, spec_dim(s, g->b, NULL), at)};
        const ir_type *t = ir_type_simple(s->c, T_BOOL);
        ir_value *ok = spec_emit(s, ir_op_find(s->c, g->rel == '=' ? "eq.int" : "le.int"), at, 2, in, 1, &t)->out[0];
        ir_value *gin[2] = {ok, ir_const(s->b, at, rt_strz(g->why ? g->why : "sizes do not match"), ir_type_simple(s->c, T_STR))};
        spec_emit(s, ir_struct(s->c, S_GUARD), at, 2, gin, 0, NULL);
    }
}

/* ---- ops */

/* as_strided goes by the storage, whatever the view is that it is asked of. */
static const aval **of_storage(spec *s, const aval **args, int n) {
    const ir_dim *offset = ir_dim_const(s->c, 0);
    const cell *x = spec_cell(s, args[0]->cell);
    for (const view *v = args[0]->view; v; v = v->parent) {
        if (!v->offset) return args;
        offset = ir_dim_add(s->c, offset, v->offset);
    }
    const aval **all = rt_arena_copy(&s->c->arena, args, (size_t)n * sizeof *args);
    aval *whole = RT_NEW(&s->c->arena, aval);
    *whole = (aval){.kind = AV_TENSOR, .cell = args[0]->cell, .type = x->type, .strides = x->strides};
    all[0] = whole;
    if (spec_is_none(args[n - 1])) all[n - 1] = spec_dim(s, offset, NULL);
    return all;
}

/* `transpose_` as what it gives, a view by `transpose.int`. */
static const ir_op *plain_view(spec *s, const ir_op *op) {
    if (!ir_is_inplace_view(op)) return op;
    if (!strncmp(op->name, "swap", 4) || !strcmp(op->name, "transpose_")) return ir_op_find(s->c, "transpose.int");
    const char *overload = strchr(op->full, '.');
    return ir_op_find(s->c, ir_fmt(s->c, "%.*s%s", (int)strlen(op->name) - 1, op->name, overload ? overload : ""));
}

static const aval *view_of(spec *s, const ir_infer *x, const aval **args) {
    view *v = RT_NEW(&s->c->arena, view);
    *v = (view){args[0]->view, plain_view(s, x->op), x->nargs, NULL, x->res[0], x->strides[0], x->offset};
    v->args = rt_arena_copy(&s->c->arena, args, (size_t)v->nargs * sizeof *args);
    for (int i = 1; i < v->nargs; i++) /* lists are mutable cells: keep their elements, not the cell */
        if (args[i]->kind == AV_REF && spec_cell(s, args[i]->cell)->kind == CELL_LIST) {
            const cell *l = spec_cell(s, args[i]->cell);
            v->args[i] = spec_list_of(s, l->type, l->n, l->at);
        }
    aval *a = RT_NEW(&s->c->arena, aval);
    *a = (aval){.kind = AV_TENSOR, .cell = args[0]->cell, .view = v, .type = x->res[0], .strides = x->strides[0]};
    return a;
}

struct assume { spec *s; ir_span at; bool any; };

/* Where a write depends on it (`assume`), an entry symbol that the examples never show as 1 is taken to be at least 2, as a
 * guard with the line. */
static void assume_two(void *env, const char *name) {
    struct assume *a = env;
    ir_symbol *y = ir_symbol_get(a->s->c, name);
    if (rt_map_get(&a->s->symbol_block, name) != a->s->f->body || y->lo != 1 || y->hint == 1) return;
    y->lo = 2;
    rt_map_put(&a->s->c->arena, &a->s->assumed, name, y);
    a->any = true;
    ir_guard g = {ir_dim_const(a->s->c, 2), '<', ir_dim_symbol(a->s->c, name), "with a size of 1 reshape would not copy here", a->at};
    RT_PUSH(&a->s->c->arena, &a->s->f->guards, g);
}

static bool assume_sizes(spec *s, const aval *t, ir_span at) {
    struct assume a = {s, at, false};
    for (int i = 0; i < t->type->rank; i++) ir_dim_symbols(t->type->dims[i], assume_two, &a);
    return a.any;
}

/* The scalar that a 0-d result holds, when its operands are known scalars: so sizes that pass through tensors stay sizes. */
static const aval *result_scalar(spec *s, const ir_op *op, const aval **args, const ir_infer *x) {
    if (op->cls != OP_POINTWISE || x->res[0]->rank != 0 || !op->body) return NULL;
    rt_dtype dt = x->res[0]->dtype;
    if (dt != DT_I64 && dt != DT_BOOL && dt != DT_F64) return NULL;
    const aval **in = RT_ARRAY(&s->c->arena, const aval *, x->nargs);
    for (int i = 0; i < x->nargs; i++) {
        in[i] = args[i];
        if (args[i]->kind != AV_TENSOR) continue;
        const cell *t = spec_cell(s, args[i]->cell);
        if (args[i]->view || !t->scalar || args[i]->type->dtype != x->compute) return NULL;
        in[i] = t->scalar;
    }
    return spec_scalar_body(s, op, in);
}

/* Do the strides order the elements without gaps and overlaps, for all sizes? */
static bool is_dense(spec *s, const aval *t) {
    const ir_dim *step = ir_dim_const(s->c, 1), *one = step;
    uint32_t done = 0;
    for (int i = 0; i < t->type->rank; i++) {
        int next = -1;
        for (int d = 0; d < t->type->rank; d++)
            if (!(done >> d & 1) && (t->type->dims[d] == one || t->strides[d] == step)) next = d;
        if (next < 0) return false;
        done |= 1u << next;
        step = ir_dim_mul(s->c, step, t->type->dims[next]);
    }
    return true;
}

/* As in PyTorch an elementwise result takes the memory order of the first operand that has its shape: it decides what later
 * views of the result share. */
static const ir_dim **order_of(spec *s, const ir_op *op, const aval **args, const ir_type *result) {
    if (op->cls != OP_POINTWISE && strcmp(op->full, "clone")) return NULL;
    for (int i = 0; i < op->schema->nparams; i++) {
        const aval *t = args[i];
        if (t->kind != AV_TENSOR || t->type->rank != result->rank || memcmp(t->type->dims, result->dims, (size_t)result->rank * sizeof *result->dims))
            continue;
        return t->strides && is_dense(s, t) ? t->strides : NULL;
    }
    return NULL;
}

static const aval *results_of(spec *s, const ir_op *op, const aval **args, const ir_infer *x, ir_node *node) {
    if (x->nres == 1 && x->res[0]->kind == T_TENSOR) {
        const aval *r = spec_tensor_new(s, node->out[0], order_of(s, op, args, x->res[0]));
        ((cell *)spec_cell(s, r->cell))->scalar = result_scalar(s, op, args, x); /* the cell was made a line above */
        if (x->uncertain_view) {
            spec_freeze(s, args[0], "whether reshape copied it depends on sizes that are not known");
            spec_freeze(s, r, "whether reshape copied it depends on sizes that are not known");
        }
        return r;
    }
    const aval **all = RT_ARRAY(&s->c->arena, const aval *, x->nres);
    for (int i = 0; i < x->nres; i++) all[i] = x->res[i]->kind == T_TENSOR ? spec_tensor_new(s, node->out[i], NULL) : spec_dyn(s, node->out[i]);
    return x->nres == 1 ? all[0] : x->nres ? spec_tuple(s, NULL, x->nres, all) : spec_none(s);
}

/* The tensor itself becomes the view. */
static const aval *change_view(spec *s, const ir_infer *x, const aval **args, ir_span at) {
    const aval *was = args[0];
    bool same = x->res[0] == was->type && (!strcmp(x->op->name, "squeeze_") || !strcmp(x->op->name, "detach_"));
    if (same) return was;
    const char *why = spec_cell(s, was->cell)->frozen;
    const aval *now = view_of(s, x, args);
    if (!why && !spec_rename(s, was, now, at)) why = "it is a constant of the model";
    if (why) spec_unsupported(s, at, "the shape of a tensor is changed in place: %s", why);
    return now;
}

const aval *spec_tensor_op(spec *s, const ir_op *op, const aval **args, ir_span at) {
    ir_infer x;
    if (is_op(op, "as_strided")) args = of_storage(s, args, op->schema->nparams);
    if (!infer(s, &x, op, &args, at)) return spec_const(s, (rt_value){.tag = V_UNDEF});
    s->undecided |= x.uncertain_view;
    if (x.uncertain_view && s->assume && assume_sizes(s, args[0], at) && !infer(s, &x, op, &args, at))
        return spec_const(s, (rt_value){.tag = V_UNDEF});
    spec_guards(s, &x, at);
    if (ir_is_inplace_view(op)) return change_view(s, &x, args, at);
    if (op->view || x.strides[0]) return view_of(s, &x, args);
    int n = op->schema->nparams;
    ir_value **in = RT_ARRAY(&s->c->arena, ir_value *, n);
    for (int i = 0; i < n; i++) in[i] = op_input(s, args[i], at);
    for (int i = 0; i < x.nres; i++) /* of custom operators */
        if (x.res[i]->kind != T_TENSOR) x.res[i] = spec_fresh_type(s, x.res[i]);
    if (!x.nres) x.res[0] = ir_type_simple(s->c, T_NONE);
    return results_of(s, op, args, &x, spec_emit(s, op, at, n, in, x.nres ? x.nres : 1, x.res));
}

/* ---- in-place forms */

static const aval *call_op(spec *s, const char *full, int n, const aval **args, ir_span at) {
    const ir_op *op = ir_op_find(s->c, full);
    const aval **all = RT_ARRAY(&s->c->arena, const aval *, op->schema->nparams);
    for (int i = 0; i < op->schema->nparams; i++)
        all[i] = i < n ? args[i] : spec_from_rt(s, op->schema->params[i].def, op->schema->params[i].type);
    return spec_apply(s, op, op->schema->nparams, all, at);
}

static const aval *fit(spec *s, const aval *r, const ir_type *want, ir_span at) {
    if (r->type->dtype != want->dtype) {
        const aval *args[2] = {r, spec_int(s, rt_dtypes[want->dtype].c10)};
        r = call_op(s, "_to_copy", 2, args, at);
    }
    if (s->stop || r->type == want) return r;
    const aval *args[2] = {r, dims_list(s, want)};
    return call_op(s, "expand", 2, args, at);
}

/* target[...] = r, where target is args[written]. */
static const aval *write_result(spec *s, const aval *target, const aval *r, ir_span at) {
    if (s->stop) return r;
    if (target->kind != AV_TENSOR || r->kind != AV_TENSOR) {
        spec_unsupported(s, at, "in-place form with several results is not supported");
        return r;
    }
    const aval *scalar = spec_cell(s, r->cell)->scalar;
    bool whole = !r->view && !target->view && r->type == target->type;
    const aval *v = fit(s, r, target->type, at);
    if (s->stop) return v;
    spec_write(s, target, spec_read(s, v, at), at);
    if (!s->stop && whole) ((cell *)spec_cell(s, target->cell))->scalar = scalar; /* edited by spec_write just now */
    return target;
}

/* An op on a list of tensors whose length only the run knows: `_NAME_list`, with the same parameters, or NULL. */
static const ir_op *for_lists(spec *s, const ir_op *op, const aval **args) {
    if (!op->schema->nparams || args[0]->kind == AV_TENSOR) return NULL;
    bool dyn = args[0]->kind == AV_DYN || (args[0]->kind == AV_REF && spec_cell(s, args[0]->cell)->kind == CELL_DYN);
    if (!dyn || spec_type(s, args[0])->kind != T_LIST || op->schema->params[0].type->kind != T_LIST) return NULL;
    return ir_op_find(s->c, ir_fmt(s->c, "_%s_list", op->name));
}

/* ---- custom operators that write their arguments */

static bool shares_memory(const ir_op *op, const aval **args) {
    for (int i = 0; i < op->schema->nparams; i++)
        for (int j = 0; op->schema->params[i].writes && j < op->schema->nparams; j++)
            if (i != j && args[i]->kind == AV_TENSOR && args[j]->kind == AV_TENSOR && args[i]->cell == args[j]->cell) return true;
    return false;
}

static const aval *own_result(const aval *r, const ir_op *pure, int i) { return pure->schema->nresults == 1 ? r : r->at[i]; }

/* By the pure form, whose last results are what the arguments become. */
static const aval *apply_writer(spec *s, const ir_op *op, const aval **args, ir_span at) {
    const ir_op *pure = op->custom->pure;
    const ir_schema *schema = op->schema;
    if (shares_memory(op, args)) {
        spec_unsupported(s, at, "%s: arguments that share memory with one that is written", op->full);
        return spec_none(s);
    }
    const aval *r = spec_tensor_op(s, pure, args, at), **all = RT_ARRAY(&s->c->arena, const aval *, schema->nresults + 1);
    int own = 0, n = pure->schema->nresults;
    for (int i = 0; i < schema->nparams; i++) n -= schema->params[i].writes;
    for (int i = 0; !s->stop && i < schema->nparams; i++)
        if (schema->params[i].writes) write_result(s, args[i], own_result(r, pure, n++), at);
    for (int i = 0; !s->stop && i < schema->nresults; i++) {
        if (!ir_custom_is_written(schema, i)) all[i] = own_result(r, pure, own++);
        for (int k = 0; ir_custom_is_written(schema, i) && k < schema->nparams; k++)
            if (schema->params[k].alias == schema->results[i].alias) all[i] = args[k];
    }
    return s->stop || !schema->nresults ? spec_none(s) : schema->nresults == 1 ? all[0] : spec_tuple(s, NULL, schema->nresults, all);
}

/* The form of an op for arguments that only the run knows: the composite `_NAME_runtime` with the same parameters, or the op
 * itself where its rule can do without. */
static const ir_op *for_runtime(spec *s, const ir_op *op, const aval **args, ir_span at) {
    ir_infer x;
    if (op->cls == OP_COMPOSITE) return op;
    const ir_op *form = ir_op_find(s->c, ir_fmt(s->c, "_%s_runtime%s", op->name, op->full + strlen(op->name)));
    return form && !infer_quietly(s, &x, op, args, at) && !x.error_cls ? form : op;
}

const aval *spec_apply(spec *s, const ir_op *op, int n, const aval **args, ir_span at) {
    if (op->custom && op->custom->pure) return apply_writer(s, op, args, at);
    if (op->inplace_of) {
        int written = 0;
        while (written < op->schema->nparams - 1 && !op->schema->params[written].writes) written++;
        return write_result(s, args[written], spec_apply(s, op->inplace_of, n, args, at), at);
    }
    if (op->cls == OP_HOST) return spec_host(s, op, n, args, at);
    const ir_op *list_form = for_lists(s, op, args);
    if (list_form) return spec_tensor_op(s, list_form, args, at);
    op = for_runtime(s, op, args, at);
    if (op->cls != OP_COMPOSITE) return spec_tensor_op(s, op, args, at);
    ir_func *body = s->c->composite ? s->c->composite(s->c, op) : NULL;
    if (!body) {
        s->stop = SPEC_ERROR;
        return spec_const(s, (rt_value){.tag = V_UNDEF});
    }
    ir_span outer = s->call;
    s->call = at;
    const aval *r = spec_call(s, body, op->schema->nparams, args, at);
    s->call = outer;
    return r;
}
