/* spec_value.c: abstract values and the abstract heap of the partial evaluator, and how they become SSA values. */
#include "lower/spec.h"

/* ---- making values */

static aval *aval_new(spec *s, aval_kind kind) {
    aval *a = RT_NEW(&s->c->arena, aval);
    a->kind = kind;
    return a;
}

const aval *spec_const(spec *s, rt_value k) {
    if (k.tag == V_INT) return spec_int(s, k.i);
    if (k.tag == V_UNDEF) return aval_new(s, AV_UNDEF);
    aval *a = aval_new(s, AV_CONST);
    ir_own(s->c, k);
    a->k = k;
    return a;
}
const aval *spec_none(spec *s) { return spec_const(s, V_NULL); }
const aval *spec_bool(spec *s, bool b) { return spec_const(s, rt_bool(b)); }
const aval *spec_int(spec *s, int64_t i) { return spec_dim(s, ir_dim_const(s->c, i), NULL); }

const aval *spec_dim(spec *s, const ir_dim *d, ir_value *v) {
    aval *a = aval_new(s, AV_INT);
    a->dim = d;
    a->v = v;
    return a;
}

const aval *spec_tuple(spec *s, const ir_type *t, int n, const aval *const *at) {
    aval *a = aval_new(s, AV_TUPLE);
    a->n = n;
    a->at = rt_arena_copy(&s->c->arena, at, (size_t)n * sizeof *at);
    a->type = t;
    return a;
}

static const aval *ref(spec *s, int cell) {
    aval *a = aval_new(s, AV_REF);
    a->cell = cell;
    return a;
}

const aval *spec_list_of(spec *s, const ir_type *t, int n, const aval *const *at) {
    cell x = {.kind = CELL_LIST, .type = t, .n = n, .cap = n};
    x.at = rt_arena_copy(&s->c->arena, at, (size_t)n * sizeof *at);
    return ref(s, spec_cell_new(s, x));
}

bool spec_known_bool(const aval *a, bool *out) {
    if (a->kind != AV_CONST || a->k.tag != V_BOOL) return false;
    *out = a->k.i != 0;
    return true;
}
bool spec_known_int(const aval *a, int64_t *out) { return a->kind == AV_INT && ir_dim_is_const(a->dim, out); }
bool spec_is_none(const aval *a) { return a->kind == AV_CONST && a->k.tag == V_NONE; }

/* ---- heap */

int spec_cell_new(spec *s, cell x) {
    spec_heap *h = &s->heap;
    if (h->n == h->cap) h->at = rt_vec_grow(&s->c->arena, h->at, h->n, &h->cap, sizeof *h->at);
    h->at[h->n] = rt_arena_copy(&s->c->arena, &x, sizeof x);
    return h->n++;
}

const cell *spec_cell(const spec *s, int i) { return s->heap.at[i]; }

void spec_work(spec *s, int n) {
    enum { A_STEP = 8 };
    s->steps += (s->work + n) / A_STEP;
    s->work = (s->work + n) % A_STEP;
}

cell *spec_cell_edit(spec *s, int i) {
    cell *x = rt_arena_copy(&s->c->arena, s->heap.at[i], sizeof *x);
    if (x->kind != CELL_STORAGE && x->kind != CELL_DYN) {
        spec_work(s, x->n);
        x->at = rt_arena_copy(&s->c->arena, x->at, (size_t)x->n * sizeof *x->at);
        if (x->keys) x->keys = rt_arena_copy(&s->c->arena, x->keys, (size_t)x->n * sizeof *x->keys);
        x->cap = x->n;
    }
    s->heap.at[i] = x;
    return x;
}

/* ---- symbols: where they are bound */

const ir_dim *spec_fresh(spec *s, const char *hint, int64_t lo, int64_t hi) {
    const ir_dim *d = ir_dim_fresh(s->c, hint, lo, hi);
    rt_map_put(&s->c->arena, &s->symbol_block, d->terms[0].atoms[0]->symbol, s->b);
    return d;
}

static void bind_symbol(void *env, const char *symbol) {
    spec *s = env;
    if (!rt_map_get(&s->symbol_block, symbol)) rt_map_put(&s->c->arena, &s->symbol_block, symbol, s->b);
}

void spec_bind_symbols(spec *s, const ir_type *t) {
    if (t->kind == T_INT && t->dim) ir_dim_symbols(t->dim, bind_symbol, s);
    if (t->kind == T_TENSOR && t->rank > 0)
        for (int i = 0; i < t->rank; i++)
            if (t->dims[i]) ir_dim_symbols(t->dims[i], bind_symbol, s);
    for (int i = 0; i < t->n; i++) spec_bind_symbols(s, t->elem[i]);
}

static bool block_visible(const spec *s, const ir_block *b) {
    for (const ir_block *at = s->b; at; at = at->owner ? at->owner->block : NULL)
        if (at == b) return true;
    return false;
}

bool spec_visible(const spec *s, const ir_value *v) { return block_visible(s, v->block); }

struct visible_env { spec *s; bool ok; };
static void check_symbol(void *env, const char *symbol) {
    struct visible_env *e = env;
    const ir_block *b = rt_map_get(&e->s->symbol_block, symbol);
    if (b && !block_visible(e->s, b)) e->ok = false;
}

bool spec_dim_visible(spec *s, const ir_dim *d) {
    struct visible_env e = {s, true};
    ir_dim_symbols(d, check_symbol, &e);
    return e.ok;
}

/* ---- types */

bool spec_vague(const ir_type *t) {
    if (t->kind == T_TENSOR && t->rank < 0) return true;
    if (t->kind == T_ANY || t->kind == T_VAR || t->kind == T_NUMBER || t->kind == T_UNION) return true;
    for (int i = 0; i < t->n; i++)
        if (spec_vague(t->elem[i])) return true;
    return false;
}

const ir_type *spec_type(spec *s, const aval *a) {
    ir_context *c = s->c;
    switch (a->kind) {
    case AV_UNDEF: return ir_type_simple(c, T_BOTTOM);
    case AV_CONST:
        switch (a->k.tag) {
        case V_BOOL: return ir_type_simple(c, T_BOOL);
        case V_FLOAT: return ir_type_simple(c, T_FLOAT);
        case V_STR: return ir_type_simple(c, T_STR);
        default: return ir_type_simple(c, T_NONE);
        }
    case AV_INT: return ir_type_int(c, a->dim);
    case AV_DYN: return a->v->type;
    case AV_TENSOR: return a->type;
    case AV_TUPLE: {
        const ir_type **t = RT_ARRAY(&c->arena, const ir_type *, a->n);
        for (int i = 0; i < a->n; i++) t[i] = spec_type(s, a->at[i]);
        return ir_type_tuple(c, a->n, t, a->type ? a->type->fields : NULL, a->type ? a->type->name : NULL);
    }
    case AV_REF: break;
    }
    const cell *x = spec_cell(s, a->cell);
    if (x->kind == CELL_DYN) return x->content->type;
    if (x->kind == CELL_OBJECT) return ir_type_class(c, x->cls);
    const ir_type *elem = ir_type_simple(c, T_BOTTOM), *key = elem;
    for (int i = 0; i < x->n && elem; i++) elem = spec_join_type(s, elem, spec_type(s, x->at[i]));
    for (int i = 0; i < x->n && key && x->keys; i++) key = spec_join_type(s, key, spec_type(s, x->keys[i]));
    if (!elem || !key) return x->type;
    if (!x->n && x->type && !spec_vague(x->type)) return x->type;
    return x->kind == CELL_LIST ? ir_type_list(c, elem) : ir_type_dict(c, key, elem);
}

static const ir_type *join_elems(spec *s, const ir_type *a, const ir_type *b) {
    const ir_type **t = RT_ARRAY(&s->c->arena, const ir_type *, a->n);
    for (int i = 0; i < a->n; i++)
        if (!(t[i] = spec_join_type(s, a->elem[i], b->elem[i]))) return NULL;
    switch (a->kind) {
    case T_LIST: return ir_type_list(s->c, t[0]);
    case T_DICT: return ir_type_dict(s->c, t[0], t[1]);
    default: return ir_type_tuple(s->c, a->n, t, a->fields, a->name);
    }
}

static const ir_type *join_tensors(spec *s, const ir_type *a, const ir_type *b) {
    if (a->dtype != b->dtype || a->rank != b->rank || a->rank < 0) return NULL;
    const ir_dim **d = RT_ARRAY(&s->c->arena, const ir_dim *, a->rank);
    for (int i = 0; i < a->rank; i++) d[i] = a->dims[i] == b->dims[i] ? a->dims[i] : NULL;
    return ir_type_tensor(s->c, a->dtype, a->rank, d);
}

const ir_type *spec_join_type(spec *s, const ir_type *a, const ir_type *b) {
    if (a == b || b->kind == T_BOTTOM) return a;
    if (a->kind == T_BOTTOM) return b;
    if (a->kind == T_OPTIONAL || b->kind == T_OPTIONAL || a->kind == T_NONE || b->kind == T_NONE) {
        const ir_type *x = a->kind == T_OPTIONAL ? a->elem[0] : a->kind == T_NONE ? ir_type_simple(s->c, T_BOTTOM) : a;
        const ir_type *y = b->kind == T_OPTIONAL ? b->elem[0] : b->kind == T_NONE ? ir_type_simple(s->c, T_BOTTOM) : b;
        const ir_type *j = spec_join_type(s, x, y);
        return j ? ir_type_optional(s->c, j) : NULL;
    }
    if (a->kind != b->kind) return NULL;
    if (a->kind == T_INT) return ir_type_int(s->c, NULL);
    if (a->kind == T_TENSOR) return join_tensors(s, a, b);
    if ((a->kind == T_LIST || a->kind == T_DICT || a->kind == T_TUPLE) && a->n == b->n) return join_elems(s, a, b);
    return NULL;
}

const ir_type *spec_fresh_type(spec *s, const ir_type *t) {
    if (t->kind == T_INT) return t->dim ? t : ir_type_int(s->c, spec_fresh(s, "i", INT64_MIN, INT64_MAX));
    if (t->kind == T_TENSOR && t->rank >= 0) {
        const ir_dim **d = RT_ARRAY(&s->c->arena, const ir_dim *, t->rank);
        for (int i = 0; i < t->rank; i++) d[i] = t->dims && t->dims[i] ? t->dims[i] : spec_fresh(s, "u", 0, INT32_MAX);
        return ir_type_tensor(s->c, t->dtype, t->rank, d);
    }
    return t;
}

const aval *spec_dyn(spec *s, ir_value *v) {
    spec_bind_symbols(s, v->type);
    if (v->type->kind == T_INT) return spec_dim(s, v->type->dim, v);
    if (v->type->kind == T_NONE) return spec_none(s);
    if (v->type->kind == T_TENSOR) {
        const aval *t = spec_tensor_new(s, v, NULL);
        spec_freeze(s, t, "it comes out of a run-time container");
        return t;
    }
    aval *a = aval_new(s, AV_DYN);
    a->v = v;
    a->type = v->type;
    return a;
}

void spec_freeze(spec *s, const aval *a, const char *why) {
    if (a->kind == AV_TENSOR && !spec_cell(s, a->cell)->frozen) spec_cell_edit(s, a->cell)->frozen = why;
    for (int i = 0; i < a->n && a->kind == AV_TUPLE; i++) spec_freeze(s, a->at[i], why);
}

/* ---- constants to and from boxed values */

bool spec_is_const(spec *s, const aval *a) {
    int64_t i;
    switch (a->kind) {
    case AV_CONST: return true;
    case AV_INT: return spec_known_int(a, &i);
    case AV_TUPLE:
        for (int k = 0; k < a->n; k++)
            if (!spec_is_const(s, a->at[k])) return false;
        return true;
    case AV_REF: {
        const cell *x = spec_cell(s, a->cell);
        if (x->kind != CELL_LIST && x->kind != CELL_DICT) return false;
        spec_work(s, x->n);
        for (int k = 0; k < x->n; k++)
            if (!spec_is_const(s, x->at[k]) || (x->keys && !spec_is_const(s, x->keys[k]))) return false;
        return true;
    }
    default: return false;
    }
}

rt_value spec_to_rt(spec *s, const aval *a) {
    int64_t i = 0;
    if (a->kind == AV_CONST) return rt_retain(a->k);
    if (a->kind == AV_INT) return spec_known_int(a, &i) ? rt_int(i) : V_NULL;
    if (a->kind == AV_TUPLE) {
        rt_value t = rt_list_new(V_TUPLE, a->n);
        for (int k = 0; k < a->n; k++) t.list->at[k] = spec_to_rt(s, a->at[k]);
        return t;
    }
    const cell *x = spec_cell(s, a->cell);
    if (x->kind == CELL_LIST) {
        rt_value l = rt_list_new(V_LIST, x->n);
        for (int k = 0; k < x->n; k++) l.list->at[k] = spec_to_rt(s, x->at[k]);
        return l;
    }
    rt_value d = rt_dict_new();
    for (int k = 0; k < x->n; k++) {
        rt_value key = spec_to_rt(s, x->keys[k]);
        rt_dict_set(d.dict, key, spec_to_rt(s, x->at[k]));
        rt_release(key);
    }
    return d;
}

static const ir_type *elem_type(spec *s, const ir_type *t, int i) {
    if (t && t->kind == T_OPTIONAL) t = t->elem[0];
    if (t && (t->kind == T_LIST || t->kind == T_DICT)) return t->elem[t->kind == T_DICT ? i : 0];
    if (t && t->kind == T_TUPLE && i < t->n) return t->elem[i];
    return ir_type_simple(s->c, T_ANY);
}

const aval *spec_from_rt(spec *s, rt_value v, const ir_type *t) {
    if (t && t->kind == T_OPTIONAL) t = t->elem[0];
    switch (v.tag) {
    case V_TENSOR: return spec_tensor_const(s, v.tensor);
    case V_LIST:
    case V_TUPLE: {
        int n = (int)v.list->n;
        const aval **at = RT_ARRAY(&s->c->arena, const aval *, n);
        for (int i = 0; i < n; i++) at[i] = spec_from_rt(s, v.list->at[i], elem_type(s, t, v.tag == V_TUPLE ? i : 0));
        if (v.tag == V_TUPLE) return spec_tuple(s, t && t->kind == T_TUPLE ? t : NULL, n, at);
        return spec_list_of(s, t, n, at);
    }
    case V_DICT: {
        int n = (int)v.dict->n;
        cell x = {.kind = CELL_DICT, .type = t, .n = n, .cap = n};
        x.at = RT_ARRAY(&s->c->arena, const aval *, n);
        x.keys = RT_ARRAY(&s->c->arena, const aval *, n);
        for (int i = 0; i < n; i++) {
            x.keys[i] = spec_from_rt(s, v.dict->keys[i], elem_type(s, t, 0));
            x.at[i] = spec_from_rt(s, v.dict->values[i], elem_type(s, t, 1));
        }
        return ref(s, spec_cell_new(s, x));
    }
    default: return spec_const(s, rt_retain(v));
    }
}

/* ---- emitting */

ir_node *spec_emit(spec *s, const ir_op *op, ir_span at, int nin, ir_value *const *in, int nout, const ir_type *const *types) {
    ir_node *n = ir_node_new(s->f, op, at, nin, in, nout, types);
    ir_append(s->b, n);
    for (int i = 0; i < nout; i++) spec_bind_symbols(s, types[i]);
    return n;
}

ir_span spec_span(const spec *s, const ir_node *n) { return s->call ? s->call : n->span; }

void spec_unsupported(spec *s, ir_span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *text = rt_arena_vfmt(&s->c->arena, fmt, ap);
    va_end(ap);
    ir_error(s->c, at, "%s", text);
    s->stop = SPEC_ERROR;
}

void spec_raise(spec *s, ir_span at, const char *cls, const char *message) {
    ir_context *c = s->c;
    const ir_type *str = ir_type_simple(c, T_STR);
    ir_value *in[2] = {ir_const(s->b, at, rt_strz(message), str), ir_const(s->b, at, rt_strz(cls), str)};
    spec_emit(s, ir_struct(c, S_RAISE), at, 2, in, 0, NULL);
    s->stop = SPEC_DEAD;
}

/* ---- run-time containers
 *
 * One run-time container can be known under several names of different types (it is joined, carried, or held by another
 * container).  Whoever shares it sees elements of the loose type, so that what is put in under one name is what may be
 * read under any other. */

static const ir_type *map_type(spec *s, const ir_type *t, bool inside) {
    ir_context *c = s->c;
    const ir_type **e;
    switch (t->kind) {
    case T_INT: return inside ? ir_type_int(c, NULL) : t;
    case T_TENSOR: return inside && t->rank >= 0 ? ir_type_tensor(c, t->dtype, t->rank, RT_ARRAY(&c->arena, const ir_dim *, t->rank + 1)) : t;
    case T_LIST: return ir_type_list(c, map_type(s, t->elem[0], true));
    case T_DICT: return ir_type_dict(c, map_type(s, t->elem[0], true), map_type(s, t->elem[1], true));
    case T_OPTIONAL: return ir_type_optional(c, map_type(s, t->elem[0], inside));
    case T_TUPLE:
        e = RT_ARRAY(&c->arena, const ir_type *, t->n);
        for (int i = 0; i < t->n; i++) e[i] = map_type(s, t->elem[i], inside);
        return ir_type_tuple(c, t->n, e, t->fields, t->name);
    default: return t;
    }
}

const ir_type *spec_loose(spec *s, const ir_type *t) { return map_type(s, t, false); }

static bool is_scalar(const ir_type *t) { return t->kind == T_INT || t->kind == T_FLOAT || t->kind == T_BOOL || t->kind == T_STR; }

/* An element type of what is there, completed by what the program declares. */
static const ir_type *completed(spec *s, const ir_type *t, const ir_type *declared) {
    ir_context *c = s->c;
    bool optional = declared && declared->kind == T_OPTIONAL;
    if (!declared) return t;
    if (t->kind == T_BOTTOM && is_scalar(optional ? declared->elem[0] : declared)) return declared;
    if (optional && is_scalar(declared->elem[0])) return declared;
    if (t->kind == T_OPTIONAL) return ir_type_optional(c, completed(s, t->elem[0], optional ? declared->elem[0] : declared));
    if (t->kind == T_INT && declared->kind == T_INT) return declared;
    if (t->kind == T_LIST && declared->kind == T_LIST) return ir_type_list(c, completed(s, t->elem[0], declared->elem[0]));
    if (t->kind == T_DICT && declared->kind == T_DICT)
        return ir_type_dict(c, completed(s, t->elem[0], declared->elem[0]), completed(s, t->elem[1], declared->elem[1]));
    return t;
}

/* The type of a container that becomes a run-time one: its own ints are any, containers in it loose. */
static const ir_type *run_time_type(spec *s, const ir_type *t, const ir_type *declared) {
    ir_context *c = s->c;
    t = completed(s, t, declared && declared->kind == t->kind ? declared : NULL);
    const ir_type *e[2];
    for (int i = 0; i < t->n; i++) e[i] = t->elem[i]->kind == T_INT ? ir_type_int(c, NULL) : spec_loose(s, t->elem[i]);
    return t->kind == T_LIST ? ir_type_list(c, e[0]) : ir_type_dict(c, e[0], e[1]);
}

/* A run-time container from here on at a wider type: the same container, so what it held still fits. */
static ir_value *widened(spec *s, int i, const ir_type *as, ir_span at) {
    const cell *x = spec_cell(s, i);
    const ir_type *t = as ? spec_join_type(s, x->content->type, as) : x->content->type;
    if (!t) spec_unsupported(s, at, "the elements of this %s have no common type", x->content->type->kind == T_LIST ? "list" : "dict");
    if (!t || t == x->content->type) return x->content;
    ir_value *v = x->content;
    ir_node *n = spec_emit(s, ir_struct(s->c, S_CAST), at, 1, &v, 1, &t);
    n->type = t;
    cell *e = spec_cell_edit(s, i);
    e->content = n->out[0];
    e->type = t;
    return e->content;
}

static ir_value *int_value(spec *s, const aval *a, ir_span at) {
    int64_t k;
    const ir_type *t = ir_type_int(s->c, a->dim);
    if (ir_dim_is_const(a->dim, &k)) return ir_const(s->b, at, rt_int(k), t);
    if (a->v && spec_visible(s, a->v)) return a->v;
    return spec_emit(s, ir_struct(s->c, S_DIM), at, 0, NULL, 1, &t)->out[0];
}

static ir_value *build(spec *s, ir_struct_id op, const ir_type *t, int n, ir_value **in, ir_span at) {
    return spec_emit(s, ir_struct(s->c, op), at, n, in, 1, &t)->out[0];
}

/* A fresh run-time container with the elements of cell x. */
static ir_value *build_container(spec *s, const cell *x, const ir_type *t, ir_span at) {
    int per = x->kind == CELL_DICT ? 2 : 1;
    ir_value **in = RT_ARRAY(&s->c->arena, ir_value *, x->n * per);
    for (int i = 0; i < x->n; i++) {
        if (per == 2) in[2 * i] = spec_value_as(s, x->keys[i], t->elem[0], at);
        in[per * i + per - 1] = spec_value_as(s, x->at[i], t->elem[per - 1], at);
    }
    return build(s, x->kind == CELL_DICT ? S_DICT : S_LIST, t, x->n * per, in, at);
}

ir_value *spec_value(spec *s, const aval *a, ir_span at) {
    if (a->kind == AV_REF && spec_cell(s, a->cell)->kind == CELL_DYN) return spec_cell(s, a->cell)->content;
    return spec_value_as(s, a, spec_type(s, a), at);
}

static ir_value *tuple_as(spec *s, const aval *a, const ir_type *t, ir_span at) {
    ir_value **in = RT_ARRAY(&s->c->arena, ir_value *, a->n);
    for (int i = 0; i < a->n; i++) in[i] = spec_value_as(s, a->at[i], t->kind == T_TUPLE ? t->elem[i] : spec_type(s, a->at[i]), at);
    return build(s, S_TUPLE, t->kind == T_TUPLE ? t : spec_type(s, a), a->n, in, at);
}

ir_value *spec_value_as(spec *s, const aval *a, const ir_type *t, ir_span at) {
    if (t->kind == T_OPTIONAL && !(a->kind == AV_DYN && a->v->type->kind == T_OPTIONAL)) {
        ir_value *v = spec_value_as(s, a, spec_is_none(a) ? ir_type_simple(s->c, T_NONE) : t->elem[0], at);
        ir_node *n = spec_emit(s, ir_struct(s->c, S_CAST), at, 1, &v, 1, &t);
        n->type = t;
        return n->out[0];
    }
    switch (a->kind) {
    case AV_UNDEF: return build(s, S_UNINIT, t, 0, NULL, at);
    case AV_CONST: return ir_const(s->b, at, rt_retain(a->k), spec_type(s, a));
    case AV_INT: return int_value(s, a, at);
    case AV_DYN: return a->v;
    case AV_TENSOR: return spec_read(s, a, at);
    case AV_TUPLE: return tuple_as(s, a, t, at);
    case AV_REF: break;
    }
    const cell *x = spec_cell(s, a->cell);
    if (x->kind == CELL_DYN) return widened(s, a->cell, spec_loose(s, x->content->type), at);
    if (x->kind == CELL_OBJECT) {
        spec_unsupported(s, at, "an instance of class %s cannot be a run-time value", x->cls->name);
        return build(s, S_UNINIT, t, 0, NULL, at);
    }
    if (t->kind != T_LIST && t->kind != T_DICT) {
        spec_unsupported(s, at, "the elements of this %s have no common type", x->kind == CELL_LIST ? "list" : "dict");
        return build(s, S_UNINIT, t, 0, NULL, at);
    }
    return build_container(s, x, t, at);
}

ir_value *spec_materialise(spec *s, int i, const ir_type *as, ir_span at) {
    const cell *x = spec_cell(s, i);
    if (x->kind == CELL_DYN) return widened(s, i, as, at);
    if (x->kind != CELL_LIST && x->kind != CELL_DICT) {
        spec_unsupported(s, at, "an instance of class %s cannot be a run-time value", x->cls ? x->cls->name : "?");
        return NULL;
    }
    for (int k = 0; k < x->n && !s->stop; k++) {
        const ir_type *e = as ? as->elem[as->n - 1] : NULL;
        if (x->at[k]->kind == AV_REF && spec_cell(s, x->at[k]->cell)->kind != CELL_OBJECT) spec_materialise(s, x->at[k]->cell, e, at);
        if (!s->stop) spec_settle(s, x->at[k], at);
    }
    if (s->stop) return NULL;
    x = spec_cell(s, i);
    aval self = {.kind = AV_REF, .cell = i};
    const ir_type *own = spec_type(s, &self), *t = as ? spec_join_type(s, own, as) : own;
    if (!t || (t->kind != T_LIST && t->kind != T_DICT)) {
        spec_unsupported(s, at, "the elements of this %s have no common type", x->kind == CELL_LIST ? "list" : "dict");
        return NULL;
    }
    t = run_time_type(s, t, x->type);
    ir_value *v = build_container(s, x, t, at);
    cell *e = spec_cell_edit(s, i);
    *e = (cell){.kind = CELL_DYN, .content = v, .type = t, .name = e->name};
    return v;
}

void spec_settle(spec *s, const aval *a, ir_span at) {
    spec_freeze(s, a, "it is also an element of a run-time list");
    for (int i = 0; i < a->n && a->kind == AV_TUPLE && !s->stop; i++) spec_settle(s, a->at[i], at);
    if (a->kind != AV_REF || spec_cell(s, a->cell)->kind == CELL_OBJECT) return;
    spec_materialise(s, a->cell, NULL, at);
    if (!s->stop) spec_value_as(s, a, spec_type(s, a), at); /* loose from here on */
}

void spec_retry(spec *s, int i, const ir_type *as) {
    s->retry_cell = i;
    s->retry_type = as;
    s->stop = SPEC_RETRY;
}
