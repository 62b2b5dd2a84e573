/* emit_index.c: subscripts, read and stored to.
 * Ints, slices, None and `...` become views (select, slice, unsqueeze); tensors among them one `index` at the end. */
#include "script/emit.h"

/* A tensor under its subscripts. */
typedef struct view {
    emitter *e;
    script_ast *at;
    ir_value *v;
    ir_value *index[RT_MAX_RANK]; /* tensor indices by dim; NULL: none */
    int nindex;
} view;

static ir_value *optional_part(emitter *e, script_ast *a, script_ast *at) {
    return a ? emit_expr(e, a, NULL) : emit_none(e, at);
}

static ir_value *slice_of(emitter *e, ir_value *v, script_ast *s) {
    ir_value *begin = optional_part(e, s->kid[0], s), *end = optional_part(e, s->kid[1], s);
    ir_value *step = s->kid[2] ? emit_expr(e, s->kid[2], NULL) : emit_int(e, s, 1);
    return EMIT_OP(e, s, "slice", v, begin, end, step);
}

static ir_value *slice_dim(emitter *e, ir_value *v, int dim, script_ast *s) {
    if (!s->kid[0] && !s->kid[1] && !s->kid[2]) return v;
    ir_value *begin = optional_part(e, s->kid[0], s), *end = optional_part(e, s->kid[1], s);
    ir_value *step = s->kid[2] ? emit_expr(e, s->kid[2], NULL) : emit_int(e, s, 1);
    return EMIT_OP(e, s, "slice", v, emit_int(e, s, dim), begin, end, step);
}

static void tensor_index(view *x, ir_value *index, int dim, script_ast *at) {
    if (dim < 0) emit_fail(x->e, at, "tensor indices behind '...' are not supported");
    if (dim >= RT_MAX_RANK) emit_fail(x->e, at, "there are too many indices");
    x->index[dim] = index;
    if (dim >= x->nindex) x->nindex = dim + 1;
}

/* Applies one subscript at *dim, which counts from the front, or from the back (-1, -2 ...) behind `...`. */
static void apply_value(view *x, ir_value *i, int *dim, script_ast *at) {
    emitter *e = x->e;
    int step = *dim < 0 ? -1 : 1;
    switch (i->type->kind) {
    case T_NONE:
        x->v = EMIT_OP(e, at, "unsqueeze", x->v, emit_int(e, at, *dim));
        *dim += step;
        break;
    case T_INT:
    case T_NUMBER: x->v = EMIT_OP(e, at, "select", x->v, emit_int(e, at, *dim), i); break;
    case T_LIST: i = EMIT_OP(e, at, "tensor", i); /* fall through */
    case T_TENSOR:
        tensor_index(x, i, *dim, at);
        *dim += step;
        break;
    default: emit_fail(e, at, "a tensor cannot be indexed with %s", emit_type_text(e->c, i->type));
    }
}

static void apply_item(view *x, script_ast *a, int *dim) {
    if (a->kind == AST_SLICE) {
        x->v = slice_dim(x->e, x->v, *dim, a);
        *dim += *dim < 0 ? -1 : 1;
        return;
    }
    ir_value *i = emit_expr(x->e, a, NULL);
    if (i->type->kind != T_TUPLE) {
        apply_value(x, i, dim, a);
        return;
    }
    ir_value **items;
    int n = emit_unpack(x->e, a, sg_value(i), -1, &items);
    for (int k = 0; k < n; k++) apply_value(x, items[*dim < 0 ? n - 1 - k : k], dim, a);
}

static void apply_all(view *x, script_ast *index) {
    bool many = index->kind == AST_TUPLE;
    int n = many ? index->n : 1, dim = 0, k = 0, ellipsis = -1;
    script_ast **items = many ? index->kid : &index;
    for (int i = 0; i < n; i++) {
        if (items[i]->kind != AST_ELLIPSIS) continue;
        if (ellipsis >= 0) emit_fail(x->e, items[i], "only one '...' may stand in a subscript");
        ellipsis = i;
    }
    for (; k < n && items[k]->kind != AST_ELLIPSIS; k++) apply_item(x, items[k], &dim);
    dim = -1;
    for (int i = n - 1; i > k; i--) apply_item(x, items[i], &dim);
}

static ir_value *index_list(view *x) {
    emitter *e = x->e;
    const ir_type *tensor = ir_type_simple(e->c, T_TENSOR), *maybe = ir_type_optional(e->c, tensor);
    ir_value *items[RT_MAX_RANK];
    for (int i = 0; i < x->nindex; i++) items[i] = x->index[i] ? x->index[i] : emit_none(e, x->at);
    return emit_list_of(e, x->at, x->nindex, items, maybe);
}

static view make_view(emitter *e, script_ast *a, ir_value *v) {
    view x = {.e = e, .at = a, .v = v};
    apply_all(&x, a->kid[1]);
    return x;
}

/* ---- tuples */

static ir_value *tuple_slice(emitter *e, ir_value *v, script_ast *s) {
    int64_t part[3] = {0, v->type->n, 1};
    for (int i = 0; i < 3; i++) {
        if (!s->kid[i]) continue;
        const rt_value *k = ir_const_of(emit_expr(e, s->kid[i], NULL));
        if (!k || k->tag != V_INT || (i == 2 && k->i != 1)) emit_fail(e, s, "a tuple can be sliced with literal ints only");
        part[i] = k->i < 0 ? k->i + v->type->n : k->i;
    }
    ir_value **items, **some = RT_ARRAY(&e->c->arena, ir_value *, v->type->n);
    int n = emit_unpack(e, s, sg_value(v), -1, &items), m = 0;
    for (int i = 0; i < n; i++)
        if (i >= part[0] && i < part[1]) some[m++] = items[i];
    return emit_tuple(e, s, m, some);
}

static ir_value *tuple_at(emitter *e, script_ast *a, ir_value *v, ir_value *index) {
    const rt_value *k = ir_const_of(index);
    int n = v->type->n;
    if (!k || k->tag != V_INT) { /* elements of one type can be picked at run time */
        ir_value **items;
        const ir_type *t = ir_type_simple(e->c, T_BOTTOM);
        for (int i = 0; i < n && t; i++) t = ir_join(e->c, t, v->type->elem[i]);
        if (!t || !n) emit_fail(e, a, "the elements of this tuple differ in type, so the index must be a literal");
        emit_unpack(e, a, sg_value(v), -1, &items);
        return EMIT_OP(e, a, "__getitem__", emit_list_of(e, a, n, items, t), index);
    }
    int64_t i = k->i < 0 ? k->i + n : k->i;
    if (i < 0 || i >= n) emit_fail(e, a, "this tuple has %d elements, there is none at %lld", n, (long long)k->i);
    ir_value *in[2] = {v, emit_int(e, a, i)};
    return emit_node(e, a, S_INDEX, 2, in, 1, &v->type->elem[i])->out[0];
}

static ir_value *tuple_item(emitter *e, script_ast *a, ir_value *v) {
    script_ast *s = a->kid[1];
    return s->kind == AST_SLICE ? tuple_slice(e, v, s) : tuple_at(e, a, v, emit_expr(e, s, NULL));
}

/* ---- reading */

static ir_value *method_item(emitter *e, script_ast *a, ir_value *v, const char *method, script_ast *extra) {
    decl *m = emit_method(e->u, v->type->cls, method);
    if (!m) emit_fail(e, a, "'%s' has no method '%s'", v->type->cls->name, method);
    script_ast *args[2] = {a->kid[1], extra};
    return emit_value(e, emit_call_decl(e, m, v, extra ? 2 : 1, args, a), a);
}

static ir_value *key_of(emitter *e, script_ast *a, ir_value *box) {
    const ir_type *want = box->type->kind == T_DICT ? box->type->elem[0] : ir_type_simple(e->c, T_INT);
    ir_value *key = emit_expr(e, a->kid[1], want);
    if (want->kind == T_BOTTOM) return key;
    return emit_want(e, a->kid[1], key, want, box->type->kind == T_DICT ? "the key" : "the index");
}

ir_value *emit_subscript(emitter *e, script_ast *a) {
    ir_value *v = emit_expr(e, a->kid[0], NULL);
    bool slice = a->kid[1]->kind == AST_SLICE;
    switch (v->type->kind) {
    case T_TENSOR: {
        view x = make_view(e, a, v);
        return x.nindex ? EMIT_OP(e, a, "index", x.v, index_list(&x)) : x.v;
    }
    case T_TUPLE: return tuple_item(e, a, v);
    case T_LIST:
    case T_STR:
        if (slice) return slice_of(e, v, a->kid[1]);
        return EMIT_OP(e, a, "__getitem__", v, key_of(e, a, v));
    case T_DICT: return EMIT_OP(e, a, "__getitem__", v, key_of(e, a, v));
    case T_CLASS: return method_item(e, a, v, "__getitem__", NULL);
    case T_OPTIONAL:
        emit_fail(e, a, "this may be None (its type is %s): test it with 'is not None' before indexing",
                  emit_type_text(e->c, v->type));
    default: emit_fail(e, a, "a value of type %s cannot be indexed", emit_type_text(e->c, v->type));
    }
}

/* ---- storing */

static bool number(const ir_type *t) {
    return t->kind == T_INT || t->kind == T_FLOAT || t->kind == T_BOOL || t->kind == T_NUMBER;
}

static void store_tensor(emitter *e, script_ast *target, view *x, ir_value *v) {
    if (v->type->kind == T_LIST) v = EMIT_OP(e, target, "tensor", v);
    if (!number(v->type) && v->type->kind != T_TENSOR)
        emit_fail(e, target, "%s cannot be stored in a tensor", emit_type_text(e->c, v->type));
    if (!x->nindex) {
        EMIT_OP(e, target, number(v->type) ? "fill_" : "copy_", x->v, v);
        return;
    }
    if (number(v->type)) {
        ir_value *shape = emit_list_of(e, target, 0, NULL, ir_type_simple(e->c, T_INT));
        v = EMIT_OP(e, target, "new_full", x->v, shape, v);
    }
    EMIT_OP(e, target, "index_put_", x->v, index_list(x), v);
}

static void store_item(emitter *e, script_ast *target, ir_value *box, ir_value *key, ir_value *v) {
    const ir_type *want = box->type->elem[box->type->n - 1];
    if (want->kind == T_BOTTOM) { /* what is stored first settles the type of an empty container */
        if (box->type->kind == T_DICT) box->type = ir_type_dict(e->c, key->type, v->type);
    } else {
        v = emit_want(e, target, v, want, "the stored value");
    }
    EMIT_OP(e, target, "_set_item", box, key, v);
}

void emit_store(emitter *e, script_ast *target, ir_value *v) {
    ir_value *box = emit_expr(e, target->kid[0], NULL);
    switch (box->type->kind) {
    case T_TENSOR: {
        view x = make_view(e, target, box);
        store_tensor(e, target, &x, v);
        break;
    }
    case T_LIST:
        if (target->kid[1]->kind == AST_SLICE) emit_fail(e, target, "storing to a slice of a list is not supported");
        /* fall through */
    case T_DICT: store_item(e, target, box, key_of(e, target, box), v); break;
    default: emit_fail(e, target, "elements of %s cannot be stored", emit_type_text(e->c, box->type));
    }
}

void emit_store_augmented(emitter *e, script_ast *target, const char *op, script_ast *value, script_ast *at) {
    ir_value *box = emit_expr(e, target->kid[0], NULL);
    const char *in_place = ir_fmt(e->c, "%s=", op);
    if (box->type->kind == T_TENSOR) {
        view x = make_view(e, target, box);
        if (!x.nindex) {
            ir_value *v = emit_expr(e, value, NULL), *now = emit_binary(e, in_place, x.v, v, at);
            if (now != x.v) EMIT_OP(e, at, "copy_", x.v, now);
            return;
        }
        ir_value *index = index_list(&x), *old = EMIT_OP(e, at, "index", x.v, index);
        ir_value *now = emit_binary(e, op, old, emit_expr(e, value, NULL), at);
        EMIT_OP(e, at, "index_put_", x.v, index, now);
        return;
    }
    if (box->type->kind != T_LIST && box->type->kind != T_DICT)
        emit_fail(e, target, "elements of %s cannot be stored", emit_type_text(e->c, box->type));
    ir_value *key = key_of(e, target, box), *old = EMIT_OP(e, at, "__getitem__", box, key);
    ir_value *now = emit_binary(e, in_place, old, emit_expr(e, value, old->type), at);
    if (now != old) store_item(e, target, box, key, now);
}
