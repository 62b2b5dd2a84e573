/* emit_loop.c: loops and what they run over.
 *
 * A loop carries the variables that its body assigns and that were defined before.  Their types are those before the
 * loop; when an iteration ends with a wider type, the loop is emitted again with the join of both.  Loops over tuples
 * are unrolled, as each element has a type of its own. */
#include "script/emit.h"

enum { MAX_RETRIES = 100 }; /* of loops within one function: nested ones multiply */

/* ---- iterables */

typedef enum iter_kind { IT_RANGE, IT_INDEXED, IT_TENSOR, IT_STATIC, IT_ENUMERATE, IT_ZIP, IT_REVERSED } iter_kind;

typedef struct iter iter;
struct iter {
    iter_kind kind;
    script_ast *at;
    ir_value *v;            /* what is indexed */
    ir_value *start, *step; /* range (NULL: 0 and 1), enumerate's start */
    ir_value *len;
    int n;                  /* IT_STATIC: elements; IT_ENUMERATE, IT_ZIP, IT_REVERSED: iterables below */
    ir_value **items;
    iter **kid;
};

static iter *make_iter(emitter *e, script_ast *a);

static iter *new_iter(emitter *e, script_ast *at, iter_kind kind, int nkids) {
    iter *it = RT_NEW(&e->c->arena, iter);
    it->kind = kind;
    it->at = at;
    it->n = nkids;
    it->kid = RT_ARRAY(&e->c->arena, iter *, nkids);
    return it;
}

static ir_value *int_arg(emitter *e, script_ast *a) {
    return emit_want(e, a, emit_expr(e, a, NULL), ir_type_simple(e->c, T_INT), "this argument");
}

static iter *range_iter(emitter *e, script_ast *a) {
    iter *it = new_iter(e, a, IT_RANGE, 0);
    if (a->n < 2 || a->n > 4) emit_fail(e, a, "'range' takes one to three arguments");
    ir_value *arg[3];
    for (int i = 1; i < a->n; i++) arg[i - 1] = int_arg(e, a->kid[i]);
    if (a->n == 2) {
        it->len = arg[0];
        return it;
    }
    it->start = arg[0];
    it->step = a->n == 4 ? arg[2] : emit_int(e, a, 1);
    it->len = EMIT_OP(e, a, "__range_length", it->start, arg[1], it->step);
    return it;
}

static iter *static_iter(emitter *e, script_ast *at, int n, ir_value **items) {
    iter *it = new_iter(e, at, IT_STATIC, 0);
    it->n = n;
    it->items = items;
    return it;
}

static iter *value_iter(emitter *e, script_ast *at, sugar s) {
    ir_value **items;
    if (s.kind == SG_MULTI || (s.kind == SG_VALUE && s.v->type->kind == T_TUPLE)) {
        int n = emit_unpack(e, at, s, -1, &items);
        return static_iter(e, at, n, items);
    }
    if (s.kind == SG_DECL && s.d->kind == DECL_CLASS && emit_class(e->u, s.d)->is_enum) {
        emit_fields(e->u, s.d->cls);
        rt_map *m = &s.d->cls->constants;
        items = RT_ARRAY(&e->c->arena, ir_value *, m->n);
        for (int i = 0; i < m->n; i++)
            items[i] = emit_cast(e, at, emit_const(e, at, rt_retain(*(rt_value *)m->entries[i].value)), ir_type_class(e->c, s.d->cls));
        return static_iter(e, at, m->n, items);
    }
    ir_value *v = emit_value(e, s, at);
    ir_kind k = v->type->kind;
    if (k != T_LIST && k != T_STR && k != T_TENSOR && k != T_DICT)
        emit_fail(e, at, "a value of type %s cannot be iterated over", emit_type_text(e->c, v->type));
    iter *it = new_iter(e, at, k == T_TENSOR ? IT_TENSOR : IT_INDEXED, 0);
    it->v = k == T_DICT ? EMIT_OP(e, at, "keys", v) : v;
    return it;
}

/* `name` as a builtin that nothing shadows. */
static bool builtin_call(emitter *e, script_ast *a, const char *name) {
    return a->kind == AST_CALL && a->kid[0]->kind == AST_NAME && !strcmp(a->kid[0]->name, name) &&
           !emit_lookup(e->scope, name) && !emit_find_in(e->u, e->d->file, name);
}

static int static_count(const iter *it) {
    if (it->kind == IT_STATIC) return it->n;
    if (it->kind != IT_ENUMERATE && it->kind != IT_ZIP && it->kind != IT_REVERSED) return -1;
    int n = static_count(it->kid[0]);
    for (int i = 1; i < it->n; i++) {
        int k = static_count(it->kid[i]);
        if (k < 0 || n < 0) return -1;
        if (k < n) n = k;
    }
    return n;
}

/* A tuple among iterables of unknown length must serve as a list. */
static void make_dynamic(emitter *e, iter *it) {
    if (it->kind == IT_ENUMERATE || it->kind == IT_ZIP || it->kind == IT_REVERSED)
        for (int i = 0; i < it->n; i++) make_dynamic(e, it->kid[i]);
    if (it->kind != IT_STATIC) return;
    const ir_type *t = ir_type_simple(e->c, T_BOTTOM);
    for (int i = 0; i < it->n && t; i++) t = ir_join(e->c, t, it->items[i]->type);
    if (!t) emit_fail(e, it->at, "the elements of this tuple have no common type");
    it->v = emit_list_of(e, it->at, it->n, it->items, t);
    it->kind = IT_INDEXED;
}

static iter *make_iter(emitter *e, script_ast *a) {
    if (builtin_call(e, a, "range")) return range_iter(e, a);
    bool number = builtin_call(e, a, "enumerate"), zip = builtin_call(e, a, "zip"), back = builtin_call(e, a, "reversed");
    if (!number && !zip && !back) return value_iter(e, a, emit_sugar(e, a, NULL));
    int n = zip ? a->n - 1 : 1;
    if (a->n < 2 || (back && a->n != 2) || a->n > 60) emit_fail(e, a, "'%s' is called with too few or too many arguments", a->kid[0]->name);
    iter *it = new_iter(e, a, number ? IT_ENUMERATE : zip ? IT_ZIP : IT_REVERSED, n);
    for (int i = 0; i < n; i++) it->kid[i] = make_iter(e, a->kid[i + 1]);
    if (number && a->n > 2) it->start = int_arg(e, a->kid[2]->kind == AST_KEYWORD ? a->kid[2]->kid[0] : a->kid[2]);
    if (static_count(it) < 0) make_dynamic(e, it);
    return it;
}

static ir_value *iter_len(emitter *e, iter *it) {
    if (it->len) return it->len;
    if (it->kind == IT_INDEXED || it->kind == IT_TENSOR) return it->len = EMIT_OP(e, it->at, "len", it->v);
    it->len = iter_len(e, it->kid[0]);
    for (int i = 1; i < it->n; i++) it->len = EMIT_OP(e, it->at, "min", it->len, iter_len(e, it->kid[i]));
    return it->len;
}

static sugar pair(emitter *e, int n, ir_value **items) {
    ir_value **copy = rt_arena_copy(&e->c->arena, items, (size_t)n * sizeof *items);
    return (sugar){.kind = SG_MULTI, .n = n, .many = copy};
}

static sugar iter_get(emitter *e, iter *it, ir_value *i) {
    script_ast *at = it->at;
    ir_value *items[64];
    switch (it->kind) {
    case IT_RANGE:
        return sg_value(it->start ? EMIT_OP(e, at, "__derive_index", i, it->start, it->step) : i);
    case IT_INDEXED: return sg_value(EMIT_OP(e, at, "__getitem__", it->v, i));
    case IT_TENSOR: return sg_value(EMIT_OP(e, at, "select", it->v, emit_int(e, at, 0), i));
    case IT_REVERSED:
        i = EMIT_OP(e, at, "sub", EMIT_OP(e, at, "sub", iter_len(e, it->kid[0]), emit_int(e, at, 1)), i);
        return iter_get(e, it->kid[0], i);
    case IT_ENUMERATE:
        items[0] = it->start ? EMIT_OP(e, at, "add", i, it->start) : i;
        items[1] = emit_value(e, iter_get(e, it->kid[0], i), at);
        return pair(e, 2, items);
    default:
        for (int k = 0; k < it->n; k++) items[k] = emit_value(e, iter_get(e, it->kid[k], i), at);
        return pair(e, it->n, items);
    }
}

static sugar iter_at(emitter *e, iter *it, int k) {
    ir_value *items[64];
    switch (it->kind) {
    case IT_STATIC: return sg_value(it->items[k]);
    case IT_REVERSED: return iter_at(e, it->kid[0], static_count(it->kid[0]) - 1 - k);
    case IT_ENUMERATE:
        items[0] = emit_int(e, it->at, k);
        if (it->start) items[0] = EMIT_OP(e, it->at, "add", items[0], it->start);
        items[1] = emit_value(e, iter_at(e, it->kid[0], k), it->at);
        return pair(e, 2, items);
    default:
        for (int i = 0; i < it->n; i++) items[i] = emit_value(e, iter_at(e, it->kid[i], k), it->at);
        return pair(e, it->n, items);
    }
}

void emit_iterate(emitter *e, script_ast *iterable, script_ast *at, iter_body *body, void *env) {
    iter *it = make_iter(e, iterable);
    int n = static_count(it);
    if (n >= 0) {
        for (int k = 0; k < n; k++) body(e, env, iter_at(e, it, k));
        return;
    }
    ir_value *in[2] = {iter_len(e, it), emit_const(e, at, rt_bool(true))};
    ir_node *loop = emit_node(e, at, S_LOOP, 2, in, 0, NULL);
    ir_block *before = e->b;
    e->b = ir_block_new(e->f, loop);
    ir_value *i = ir_block_param(e->b, ir_type_simple(e->c, T_INT), NULL);
    body(e, env, iter_get(e, it, i));
    ir_block_result(loop->blocks[0], emit_const(e, at, rt_bool(true)));
    e->b = before;
}

/* ---- loop statements */

typedef struct carried {
    const char *name;
    const ir_type *type;
    ir_value *init, *param, *end;
    bool excluded; /* its type changes from iteration to iteration: undefined in the loop and behind it */
} carried;

typedef struct loop {
    emitter *e;
    script_ast *a;
    iter *it;      /* NULL: while */
    fact *facts;   /* of a while's condition */
    int n;
    carried *vars;
    ir_node *node;
    scope *inner;
    flow flow;
    ir_value *cond;
} loop;

static scope *child_scope(emitter *e) {
    scope *s = RT_NEW(&e->c->arena, scope);
    s->up = e->scope;
    return s;
}

static void flag(emitter *e, const char *name, bool b) { emit_set(e, name, (sugar){.kind = SG_FLAG, .n = b}); }

static bool read_after(emitter *e, const char *name, int after) {
    int *last = rt_map_get(&e->last_read, name);
    return last && *last > after;
}

static script_ast *loop_body(script_ast *a) { return a->kid[a->n - 1]; }

static void find_carried(loop *l) {
    emitter *e = l->e;
    rt_map names = {0};
    emit_assigned(&e->c->arena, l->a, &names);
    l->vars = RT_ARRAY(&e->c->arena, carried, names.n);
    for (int i = 0; i < names.n; i++) {
        const char *name = names.entries[i].key;
        var *v = emit_lookup(e->scope, name);
        if (!v || v->s.kind != SG_VALUE || !read_after(e, name, l->a->ord)) continue;
        l->vars[l->n++] = (carried){.name = name, .type = v->s.v->type, .init = v->s.v};
    }
}

static void open_body(loop *l) {
    emitter *e = l->e;
    ir_block *b = ir_block_new(e->f, l->node);
    ir_value *i = ir_block_param(b, ir_type_simple(e->c, T_INT), NULL);
    l->inner = child_scope(e);
    emit_push(e, l->inner);
    e->b = b;
    flag(e, "$exit", false);
    flag(e, "$break", false);
    flag(e, "$return", false);
    for (int k = 0; k < l->n; k++) {
        carried *x = &l->vars[k];
        if (x->excluded) {
            const char *why = ir_fmt(e->c, "'%s' changes its type in this loop", x->name);
            emit_set(e, x->name, (sugar){.kind = SG_UNDEF, .text = why});
            continue;
        }
        x->param = ir_block_param(b, x->type, x->name);
        emit_set(e, x->name, sg_value(x->param));
    }
    if (l->it) emit_assign(e, l->a->kid[0], iter_get(e, l->it, i), l->a->kid[1]);
    else emit_refine(e, l->facts, true);
}

/* The condition of the next iteration, at the end of the body. */
static ir_value *next_cond(loop *l) {
    emitter *e = l->e;
    script_ast *at = l->a;
    sugar stop = emit_lookup(e->scope, "$break")->s;
    if (l->flow == FLOW_RAISES) return emit_const(e, at, rt_bool(false));
    if (stop.kind == SG_FLAG) {
        if (stop.n) return emit_const(e, at, rt_bool(false));
        return l->it ? emit_const(e, at, rt_bool(true)) : emit_cond(e, l->a->kid[0]);
    }
    if (l->it) return EMIT_OP(e, at, "__not__", stop.v);
    ir_node *n = emit_node(e, at, S_IF, 1, &stop.v, 0, NULL);
    ir_block *before = e->b;
    e->b = ir_block_new(e->f, n);
    ir_block_result(e->b, emit_const(e, at, rt_bool(false)));
    e->b = ir_block_new(e->f, n);
    scope *s = emit_push(e, child_scope(e));
    ir_block_result(n->blocks[1], emit_cond(e, l->a->kid[0]));
    e->scope = s;
    e->b = before;
    return ir_add_output(n, ir_type_simple(e->c, T_BOOL));
}

/* Looks at what the body left in the carried variables.  false: their types must be wider. */
static bool check_carried(loop *l) {
    emitter *e = l->e;
    bool good = true;
    for (int k = 0; k < l->n; k++) {
        carried *x = &l->vars[k];
        if (x->excluded) continue;
        var *v = emit_lookup(l->inner, x->name);
        bool value = v->s.kind == SG_VALUE;
        if (l->flow == FLOW_RAISES || (v->s.kind == SG_UNDEF && !v->s.text)) {
            x->end = x->param;
        } else if (value && ir_subtype(v->s.v->type, x->type)) {
            x->end = v->root == x->param ? x->param : v->s.v;
        } else {
            const ir_type *t = value ? ir_join(e->c, x->type, v->s.v->type) : NULL;
            if (!t && value && v->declared && ir_subtype(x->type, v->declared) && ir_subtype(v->s.v->type, v->declared))
                t = v->declared;
            if (t) x->type = t;
            else x->excluded = true;
            good = false;
        }
    }
    return good;
}

static ir_value *const_before(loop *l, rt_value v, const ir_type *t) {
    emitter *e = l->e;
    bool uninit = v.tag == V_UNDEF;
    ir_node *n = ir_node_new(e->f, ir_struct(e->c, uninit ? S_UNINIT : S_CONST), l->node->span, 0, NULL, 1, &t);
    if (!uninit) n->value = v;
    ir_insert_before(l->node, n);
    return n->out[0];
}

static ir_value *carry(loop *l, ir_value *init, ir_value *end, const ir_type *t, const char *name) {
    ir_add_input(l->node, init);
    ir_block_result(l->node->blocks[0], end);
    ir_value *out = ir_add_output(l->node, t);
    ir_value_name(out, name);
    return out;
}

/* A parameter that close_body has dropped is what it was before the loop. */
static ir_value *resolved(loop *l, ir_value *v) {
    for (int k = 0; k < l->n; k++)
        if (!l->vars[k].excluded && !l->vars[k].end && v == l->vars[k].param) return l->vars[k].init;
    return v;
}

/* "$return" and "$value" out of the loop, if some iteration may return. */
static void carry_return(loop *l, ir_value **returned, ir_value **value) {
    emitter *e = l->e;
    var *r = emit_lookup(l->inner, "$return"), *v = rt_map_get(&l->inner->vars, "$value");
    *returned = *value = NULL;
    if (r->s.kind == SG_FLAG && !r->s.n) return;
    ir_block *b = l->node->blocks[0], *before = e->b;
    const ir_type *boolean = ir_type_simple(e->c, T_BOOL);
    e->b = b;
    ir_value *end = r->s.kind == SG_FLAG ? emit_const(e, l->a, rt_bool(true)) : resolved(l, r->s.v);
    ir_block_param(b, boolean, NULL);
    *returned = carry(l, const_before(l, rt_bool(false), boolean), end, boolean, "return");
    if (v && v->s.kind == SG_VALUE && e->result) {
        ir_block_param(b, e->result, NULL);
        *value = carry(l, const_before(l, (rt_value){.tag = V_UNDEF}, e->result), resolved(l, v->s.v), e->result, "value");
    } else if (v) {
        *value = v->s.v; /* in error, or the function is emitted again */
    }
    e->b = before;
}

/* Drops variables that no iteration changes, and makes the others inputs, block results and outputs. */
static void close_body(loop *l, ir_value **out) {
    ir_block *b = l->node->blocks[0];
    int kept = 1;
    for (int k = 0; k < l->n; k++) {
        carried *x = &l->vars[k];
        if (x->excluded) continue;
        if (x->end == x->param) {
            ir_replace_uses(x->param, x->init);
            for (int m = 0; m < l->n; m++)
                if (m != k && l->vars[m].end == x->param) l->vars[m].end = x->init;
            if (l->cond == x->param) l->cond = x->init;
            x->end = NULL;
        } else {
            b->params.at[kept] = x->param;
            x->param->index = kept++;
        }
    }
    b->params.n = kept;
    ir_block_result(b, l->cond);
    for (int k = 0; k < l->n; k++) {
        carried *x = &l->vars[k];
        if (!x->excluded && x->end) out[k] = carry(l, x->init, x->end, x->type, x->name);
    }
}

static void attempt(loop *l, ir_value *trip, ir_value *first) {
    emitter *e = l->e;
    ir_block *before = e->b;
    scope *outer = e->scope;
    l->node = emit_node(e, l->a, S_LOOP, 2, (ir_value *[]){trip, first}, 0, NULL);
    e->loops++;
    open_body(l);
    l->flow = emit_list(e, loop_body(l->a), 0);
    l->cond = next_cond(l);
    e->loops--;
    e->b = before;
    e->scope = outer;
}

/* Behind a loop: "$exit" is "$return". */
static flow after_loop(emitter *e, sugar returned) {
    emit_set(e, "$exit", returned);
    emit_set(e, "$return", returned);
    emit_set(e, "$break", e->loops ? returned : (sugar){.kind = SG_FLAG});
    if (returned.kind != SG_FLAG) return FLOW_MAYBE;
    return returned.n ? FLOW_RETURNS : FLOW_FALLS;
}

static void publish(loop *l, ir_value **out) {
    emitter *e = l->e;
    rt_map names = {0};
    emit_assigned(&e->c->arena, l->a, &names);
    for (int i = 0; i < names.n; i++) {
        const char *name = names.entries[i].key;
        if (emit_lookup(e->scope, name)) continue;
        const char *why = ir_fmt(e->c, "'%s' is defined only inside the loop, which may not run at all", name);
        emit_set(e, name, (sugar){.kind = SG_UNDEF, .text = why});
    }
    for (int k = 0; k < l->n; k++) {
        carried *x = &l->vars[k];
        const char *why = x->excluded ? ir_fmt(e->c, "'%s' changes its type in the loop", x->name) : NULL;
        if (why) emit_set(e, x->name, (sugar){.kind = SG_UNDEF, .text = why});
        else if (out[k]) emit_set(e, x->name, sg_value(out[k]));
    }
}

static bool has_break(script_ast *a) {
    if (!a || a->kind == AST_FOR || a->kind == AST_WHILE) return false;
    if (a->kind == AST_BREAK) return true;
    for (int i = 0; i < a->n; i++)
        if (has_break(a->kid[i])) return true;
    return false;
}

static flow run_loop(loop *l, ir_value *trip, ir_value *first) {
    emitter *e = l->e;
    find_carried(l);
    for (;;) {
        attempt(l, trip, first);
        if (check_carried(l)) break;
        if (++e->retries > MAX_RETRIES) emit_fail(e, l->a, "the types of this function's variables change too often in its loops");
        ir_erase(l->node);
    }
    ir_value *returned, *value, **out = RT_ARRAY(&e->c->arena, ir_value *, l->n);
    close_body(l, out);
    carry_return(l, &returned, &value);
    publish(l, out);
    bool always = !l->it && (l->a->kid[0]->kind == AST_BOOL || l->a->kid[0]->kind == AST_INT); /* not just at first */
    bool truth, endless = always && emit_static(first, &truth) && truth && !has_break(loop_body(l->a));
    if (value) emit_set(e, "$value", sg_value(value));
    sugar left = returned && !endless ? sg_value(returned) : (sugar){.kind = SG_FLAG, .n = endless && returned};
    flow f = after_loop(e, left);
    return endless && !returned ? FLOW_RAISES : f;
}

/* ---- unrolled loops */

static flow unroll(emitter *e, script_ast *a, iter *it, int k, int n) {
    for (; k < n; k++) {
        flag(e, "$exit", false);
        emit_assign(e, a->kid[0], iter_at(e, it, k), a->kid[1]);
        flow f = emit_list(e, loop_body(a), 0);
        if (f == FLOW_RAISES || f == FLOW_RETURNS) return f;
        var *stop = emit_lookup(e->scope, "$break");
        if (f == FLOW_FALLS || (stop->s.kind == SG_FLAG && !stop->s.n)) continue;
        if (stop->s.kind == SG_FLAG || k + 1 == n) return FLOW_EXITS;
        if (++e->depth > AST_MAX_NESTING) emit_fail(e, a, "control flow is nested too deeply");
        ir_node *node = emit_node(e, a, S_IF, 1, &stop->s.v, 0, NULL);
        ir_block *before = e->b;
        scope *yes = child_scope(e), *no = child_scope(e), *outer = emit_push(e, yes);
        e->b = ir_block_new(e->f, node);
        flag(e, "$break", true);
        e->b = ir_block_new(e->f, node);
        e->scope = no;
        flag(e, "$break", false);
        f = unroll(e, a, it, k + 1, n);
        e->b = before;
        e->scope = outer;
        e->depth--;
        return emit_merge(e, node, yes, FLOW_EXITS, no, f == FLOW_FALLS ? FLOW_EXITS : f, a->ord);
    }
    return FLOW_FALLS;
}

static flow unrolled_loop(emitter *e, script_ast *a, iter *it, int n) {
    flag(e, "$break", false);
    flag(e, "$return", false);
    e->loops++;
    flow f = unroll(e, a, it, 0, n);
    e->loops--;
    if (f == FLOW_RAISES) return f;
    sugar returned = emit_lookup(e->scope, "$return")->s;
    return after_loop(e, f == FLOW_FALLS ? (sugar){.kind = SG_FLAG} : returned);
}

flow emit_loop(emitter *e, script_ast *a) {
    if (++e->depth > AST_MAX_NESTING) emit_fail(e, a, "control flow is nested too deeply");
    loop l = {.e = e, .a = a};
    flow f;
    if (a->kind == AST_FOR) {
        l.it = make_iter(e, a->kid[1]);
        int n = static_count(l.it);
        f = n >= 0 ? unrolled_loop(e, a, l.it, n) : run_loop(&l, iter_len(e, l.it), emit_const(e, a, rt_bool(true)));
    } else {
        bool truth;
        l.facts = emit_facts(e, a->kid[0]);
        ir_value *first = emit_cond(e, a->kid[0]);
        f = emit_static(first, &truth) && !truth ? FLOW_FALLS : run_loop(&l, emit_int(e, a, INT64_MAX), first);
    }
    e->depth--;
    return f;
}
