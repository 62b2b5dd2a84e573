/* specialise.c: the partial evaluator's driver: entries, nodes, attributes and calls.  See spec.h for the method.
 *
 * State: what an exported method writes (a field, or a tensor in place) is known only after evaluation, so a newly
 * found state starts all entries again with that cell read by S_STATE; this ends because states only grow. */
#include "lower/spec.h"

enum { MAX_CALLS = 200, MAX_STEPS = 3000000 };

static const aval *undef(spec *s) { return spec_const(s, (rt_value){.tag = V_UNDEF}); }

static const aval *ref_to(spec *s, int i) {
    aval *a = RT_NEW(&s->c->arena, aval);
    *a = (aval){.kind = AV_REF, .cell = i};
    return a;
}

/* ---- the module object */

static const char *join_path(spec *s, const char *path, const char *field) {
    return ir_intern(s->c, *path ? ir_fmt(s->c, "%s.%s", path, field) : field);
}

static void add_state(spec *s, const char *path) {
    if (rt_map_get(&s->states, path)) return;
    rt_map_put(&s->c->arena, &s->states, path, (void *)path);
    s->again = true;
}

void spec_note_write(spec *s, const aval *container) {
    const cell *x = container->kind == AV_REF ? spec_cell(s, container->cell) : NULL;
    if (x && x->name && x->kind != CELL_OBJECT) add_state(s, x->name);
}

static void widen_to(spec *s, const char *path, const ir_type *t) {
    rt_map_put(&s->c->arena, &s->state_types, path, (void *)t);
    s->again = true;
}

bool spec_widen_state(spec *s, const ir_value *v, const ir_type *want) {
    const ir_node *d = v->def;
    if (!d || d->op->cls != OP_STRUCT || d->op->id != S_STATE || want == v->type) return false;
    widen_to(s, d->sym, want);
    return true;
}

/* The type of a state that is no tensor: as declared, where that says all; else what was found to be held. */
static const ir_type *state_type(spec *s, const char *path, rt_value init, const ir_type *declared) {
    const ir_type *known = rt_map_get(&s->state_types, path);
    if (known || !spec_vague(declared)) return known ? known : declared;
    const ir_type *t = spec_loose(s, spec_type(s, spec_from_rt(s, init, declared)));
    if (declared->kind != T_OPTIONAL || t->kind == T_OPTIONAL) return t;
    return ir_type_optional(s->c, t->kind == T_NONE ? ir_type_simple(s->c, T_BOTTOM) : t);
}

static const aval *state_value(spec *s, const char *path, rt_value init, const ir_type *declared) {
    ir_context *c = s->c;
    const ir_type *t = state_type(s, path, init, declared);
    if (!rt_map_get(&s->to->tensors, path)) {
        ir_tensor_data *d = RT_NEW(&c->arena, ir_tensor_data);
        *d = (ir_tensor_data){.name = path, .state = true, .type = t, .init = rt_retain(init)};
        rt_map_put(&c->arena, &s->to->tensors, path, d);
    }
    const ir_type *fresh = spec_fresh_type(s, t);
    ir_node *n = spec_emit(s, ir_struct(c, S_STATE), 0, 0, NULL, 1, &fresh);
    n->sym = path;
    if (t->kind == T_OPTIONAL && t->elem[0]->kind == T_BOTTOM) return spec_none(s); /* nothing else is ever put there */
    const aval *a = spec_dyn(s, n->out[0]);
    if (a->kind == AV_TENSOR) spec_cell_edit(s, a->cell)->frozen = NULL; /* it is the context's own */
    return a;
}

static const aval *object_cell(spec *s, rt_object *o, const char *path) {
    char key[32];
    snprintf(key, sizeof key, "%p", (void *)o);
    void *known = rt_map_get(&s->cells_of, key);
    if (known) return ref_to(s, (int)(intptr_t)known - 1);
    ir_class *cls = (ir_class *)o->cls;
    cell x = {.kind = CELL_OBJECT, .cls = cls, .name = path, .n = o->n, .cap = o->n};
    x.at = RT_ARRAY(&s->c->arena, const aval *, o->n);
    int i = spec_cell_new(s, x);
    rt_map_put(&s->c->arena, &s->cells_of, key, (void *)(intptr_t)(i + 1));
    for (int k = 0; k < o->n; k++) {
        const char *name = join_path(s, path, cls->fields[k]);
        const aval *v = spec_rt_attr(s, o->at[k], cls->types[k], name);
        x.at[k] = v; /* the array is shared with the cell made above */
    }
    return ref_to(s, i);
}

/* A write to any container of an attribute makes the attribute state. */
static void name_containers(spec *s, const aval *a, const char *path) {
    if (a->kind == AV_REF) spec_cell_edit(s, a->cell)->name = path;
    const cell *x = a->kind == AV_REF ? spec_cell(s, a->cell) : NULL;
    for (int i = 0; x && i < x->n; i++) name_containers(s, x->at[i], path);
    for (int i = 0; a->kind == AV_TUPLE && i < a->n; i++) name_containers(s, a->at[i], path);
}

const aval *spec_rt_attr(spec *s, rt_value v, const ir_type *t, const char *path) {
    if (v.tag == V_OBJECT) return object_cell(s, v.object, path);
    if (v.tag == V_UNDEF) return undef(s);
    if (v.tag == V_TENSOR ? rt_map_get(&s->state_types, path) : rt_map_get(&s->states, path)) return state_value(s, path, v, t);
    const aval *a = spec_from_rt(s, v, t);
    name_containers(s, a, path);
    return a;
}

/* ---- attributes and objects */

static int field_index(const ir_class *cls, const char *name) {
    for (int i = 0; i < cls->nfields; i++)
        if (!strcmp(cls->fields[i], name)) return i;
    return -1;
}

static const aval *tuple_field(spec *s, const aval *o, const char *name, ir_span at) {
    const ir_type *t = o->kind == AV_TUPLE ? o->type : spec_type(s, o);
    for (int i = 0; t && t->fields && i < t->n; i++)
        if (!strcmp(t->fields[i], name)) {
            if (o->kind == AV_TUPLE) return o->at[i];
            ir_value *in[2] = {o->v, ir_const(s->b, at, rt_int(i), ir_type_int(s->c, ir_dim_const(s->c, i)))};
            const ir_type *et = spec_fresh_type(s, t->elem[i]);
            return spec_dyn(s, spec_emit(s, ir_struct(s->c, S_INDEX), at, 2, in, 1, &et)->out[0]);
        }
    return NULL;
}

static const aval *get_attr(spec *s, const aval *o, ir_node *n) {
    if (o->kind == AV_REF && spec_cell(s, o->cell)->kind == CELL_OBJECT) {
        const cell *x = spec_cell(s, o->cell);
        int i = field_index(x->cls, n->sym);
        if (i >= 0 && i < x->n) return x->at[i];
        rt_value *k = rt_map_get(&x->cls->constants, n->sym);
        if (k) return spec_from_rt(s, *k, NULL);
    } else {
        const aval *f = tuple_field(s, o, n->sym, spec_span(s, n));
        if (f) return f;
    }
    spec_unsupported(s, spec_span(s, n), "there is no attribute `%s` here", n->sym);
    return undef(s);
}

void spec_note_field(spec *s, const char *object, const char *field) {
    const char *path = join_path(s, object, field);
    rt_map_put(&s->c->arena, &s->assigned, path, (void *)path);
    add_state(s, path);
}

static void set_attr(spec *s, const aval *o, const aval *v, ir_node *n) {
    const cell *x = o->kind == AV_REF ? spec_cell(s, o->cell) : NULL;
    int i = x && x->kind == CELL_OBJECT ? field_index(x->cls, n->sym) : -1;
    if (i < 0) {
        spec_unsupported(s, spec_span(s, n), "the attribute `%s` cannot be set here", n->sym);
        return;
    }
    spec_cell_edit(s, o->cell)->at[i] = v;
    if (x->name) spec_note_field(s, x->name, n->sym);
}

static const aval *new_object(spec *s, ir_node *n) {
    const ir_type *t = n->out[0]->type;
    ir_class *cls = t->cls ? t->cls : n->sym ? rt_map_get(&s->from->classes, n->sym) : NULL;
    if (!cls) {
        spec_unsupported(s, spec_span(s, n), "the class %s is not known", n->sym);
        return undef(s);
    }
    cell x = {.kind = CELL_OBJECT, .cls = cls, .n = cls->nfields, .cap = cls->nfields};
    x.at = RT_ARRAY(&s->c->arena, const aval *, cls->nfields);
    for (int i = 0; i < cls->nfields; i++) x.at[i] = undef(s);
    return ref_to(s, spec_cell_new(s, x));
}

/* ---- containers */

static const aval **inputs(spec *s, spec_env *env, const ir_node *n) {
    const aval **in = RT_ARRAY(&s->c->arena, const aval *, n->nin);
    for (int i = 0; i < n->nin; i++) in[i] = env->at[n->in[i]->id];
    return in;
}

static const aval *make_dict(spec *s, const ir_node *n, const aval **in) {
    cell x = {.kind = CELL_DICT, .type = n->out[0]->type};
    x.at = RT_ARRAY(&s->c->arena, const aval *, n->nin / 2);
    x.keys = RT_ARRAY(&s->c->arena, const aval *, n->nin / 2);
    bool known = true;
    for (int i = 0; i + 1 < n->nin; i += 2) known = known && spec_is_const(s, in[i]);
    for (int i = 0; i + 1 < n->nin; i += 2) { /* a later equal key replaces the value */
        int k = 0;
        rt_value key = known ? spec_to_rt(s, in[i]) : V_NULL;
        for (; known && k < x.n; k++) {
            rt_value other = spec_to_rt(s, x.keys[k]);
            bool same = rt_value_equal(key, other);
            rt_release(other);
            if (same) break;
        }
        if (!known) k = x.n;
        x.keys[k] = in[i];
        x.at[k] = in[i + 1];
        if (k == x.n) x.n++;
        rt_release(key);
    }
    x.cap = x.n;
    int c = spec_cell_new(s, x);
    if (!known) spec_materialise(s, c, NULL, spec_span(s, n));
    return ref_to(s, c);
}

static void unpack_dyn(spec *s, const aval *a, ir_node *n, const aval **out) {
    ir_value *v = spec_value(s, a, spec_span(s, n));
    const ir_type **t = RT_ARRAY(&s->c->arena, const ir_type *, n->nout);
    const ir_type *vt = v->type;
    for (int i = 0; i < n->nout; i++)
        t[i] = spec_fresh_type(s, vt->kind == T_TUPLE && i < vt->n ? vt->elem[i] : vt->n ? vt->elem[0] : n->out[i]->type);
    ir_node *u = spec_emit(s, ir_struct(s->c, S_UNPACK), spec_span(s, n), 1, &v, n->nout, t);
    for (int i = 0; i < n->nout; i++) out[i] = spec_dyn(s, u->out[i]);
}

static void unpack(spec *s, const aval *a, ir_node *n, const aval **out) {
    const aval *const *at = NULL;
    int count = -1;
    if (a->kind == AV_TUPLE) at = a->at, count = a->n;
    if (a->kind == AV_REF && spec_cell(s, a->cell)->kind == CELL_LIST) at = spec_cell(s, a->cell)->at, count = spec_cell(s, a->cell)->n;
    if (count < 0) {
        unpack_dyn(s, a, n, out);
        return;
    }
    if (count != n->nout) {
        spec_raise(s, spec_span(s, n), "RuntimeError", ir_fmt(s->c, "Expected %d elements in a list but found %d", n->nout, count));
        return;
    }
    for (int i = 0; i < count; i++) out[i] = at[i];
}

static const aval *tuple_index(spec *s, ir_node *n, const aval **in) {
    int64_t i;
    if (!spec_known_int(in[1], &i)) {
        spec_unsupported(s, spec_span(s, n), "a tuple is indexed by an int that is not constant");
        return undef(s);
    }
    int count = in[0]->kind == AV_TUPLE ? in[0]->n : spec_type(s, in[0])->n;
    if (i < 0) i += count;
    if (i < 0 || i >= count) {
        spec_raise(s, spec_span(s, n), "IndexError", "tuple index out of range");
        return undef(s);
    }
    if (in[0]->kind == AV_TUPLE) return in[0]->at[i];
    ir_value *v[2] = {spec_value(s, in[0], spec_span(s, n)), spec_value(s, spec_int(s, i), spec_span(s, n))};
    const ir_type *t = spec_fresh_type(s, v[0]->type->elem[i]);
    return spec_dyn(s, spec_emit(s, ir_struct(s->c, S_INDEX), spec_span(s, n), 2, v, 1, &t)->out[0]);
}

/* ---- types */

static const aval *cast(spec *s, ir_node *n, const aval *a) {
    const ir_type *to = n->type ? n->type : n->out[0]->type;
    if (a->kind == AV_REF) {
        const cell *x = spec_cell(s, a->cell);
        if ((x->kind == CELL_LIST || x->kind == CELL_DICT) && !x->n) spec_cell_edit(s, a->cell)->type = to;
        return a;
    }
    if (a->kind != AV_DYN || a->v->type->kind != T_OPTIONAL || to->kind == T_OPTIONAL) return a;
    if (to->kind == T_NONE) return spec_none(s);
    const ir_type *t = spec_fresh_type(s, a->v->type->elem[0]);
    ir_node *c = spec_emit(s, ir_struct(s->c, S_CAST), spec_span(s, n), 1, &a->v, 1, &t);
    c->type = t;
    return spec_dyn(s, c->out[0]);
}

static const aval *is_instance(spec *s, ir_node *n, const aval *a) {
    const ir_type *t = ir_surface(s->c, spec_type(s, a));
    if (a->kind == AV_REF && spec_cell(s, a->cell)->kind != CELL_OBJECT && spec_cell(s, a->cell)->type) t = ir_surface(s->c, spec_cell(s, a->cell)->type);
    if (t->kind == T_OPTIONAL) {
        spec_unsupported(s, spec_span(s, n), "isinstance of a value that may be None at run time is not supported");
        return undef(s);
    }
    if (n->type->kind == T_UNION) {
        for (int i = 0; i < n->type->n; i++)
            if (ir_subtype(t, n->type->elem[i])) return spec_bool(s, true);
        return spec_bool(s, false);
    }
    return spec_bool(s, ir_subtype(t, n->type));
}

/* ---- nodes */

static bool is_text(const aval *a, const char *text) { return a->kind == AV_CONST && a->k.tag == V_STR && !strcmp(a->k.str->s, text); }

static void raise_node(spec *s, ir_node *n, const aval **in) {
    if (n->nin > 1 && is_text(in[1], IR_NOT_SUPPORTED) && in[0]->kind == AV_CONST && in[0]->k.tag == V_STR) {
        spec_unsupported(s, spec_span(s, n), "%s", in[0]->k.str->s);
        return;
    }
    ir_value *v[2] = {spec_value(s, in[0], spec_span(s, n)), NULL};
    v[1] = n->nin > 1 && !spec_is_none(in[1]) ? spec_value(s, in[1], spec_span(s, n))
                                              : ir_const(s->b, spec_span(s, n), rt_strz("RuntimeError"), ir_type_simple(s->c, T_STR));
    spec_emit(s, ir_struct(s->c, S_RAISE), spec_span(s, n), 2, v, 0, NULL);
    s->stop = SPEC_DEAD;
}

static const aval *call_node(spec *s, ir_node *n, const aval **in) {
    ir_func *f = rt_map_get(&n->block->func->module->funcs, n->sym);
    if (!f) f = rt_map_get(&s->from->funcs, n->sym);
    if (f) return spec_call(s, f, n->nin, in, spec_span(s, n));
    spec_unsupported(s, spec_span(s, n), "the function %s is not known", n->sym);
    return undef(s);
}

static const aval *param_node(spec *s, ir_node *n) {
    ir_tensor_data *d = rt_map_get(&n->block->func->module->tensors, n->sym);
    if (d) return spec_tensor_const(s, d->tensor);
    spec_unsupported(s, spec_span(s, n), "the tensor \"%s\" is missing", n->sym);
    return undef(s);
}

/* An op on a value that an earlier error left undefined says nothing more. */
static bool poisoned(const ir_node *n, const aval **in) {
    if (n->op->cls == OP_STRUCT && (n->op->id == S_LIST || n->op->id == S_TUPLE || n->op->id == S_DICT || n->op->id == S_CALL || n->op->id == S_CAST))
        return false;
    for (int i = 0; i < n->nin; i++)
        if (in[i]->kind == AV_UNDEF) return true;
    return false;
}

static void struct_node(spec *s, ir_node *n, const aval **in, const aval **out) {
    switch ((ir_struct_id)n->op->id) {
    case S_CONST: out[0] = spec_from_rt(s, n->value, n->out[0]->type); break;
    case S_PARAM:
    case S_STATE: out[0] = param_node(s, n); break;
    case S_LIST: out[0] = spec_list_of(s, n->out[0]->type, n->nin, in); break;
    case S_TUPLE: out[0] = spec_tuple(s, n->out[0]->type, n->nin, in); break;
    case S_DICT: out[0] = make_dict(s, n, in); break;
    case S_UNPACK: unpack(s, in[0], n, out); break;
    case S_INDEX: out[0] = tuple_index(s, n, in); break;
    case S_GETATTR: out[0] = get_attr(s, in[0], n); break;
    case S_SETATTR: set_attr(s, in[0], in[1], n); break;
    case S_NEW: out[0] = new_object(s, n); break;
    case S_CALL: out[0] = call_node(s, n, in); break;
    case S_CAST: out[0] = cast(s, n, in[0]); break;
    case S_ISINSTANCE: out[0] = is_instance(s, n, in[0]); break;
    case S_UNINIT: out[0] = undef(s); break;
    case S_RAISE: raise_node(s, n, in); break;
    default: spec_unsupported(s, spec_span(s, n), "%s cannot be specialised", n->op->full);
    }
}

static void op_node(spec *s, ir_node *n, const aval **in, const aval **out) {
    const aval *r = spec_apply(s, n->op, n->nin, in, spec_span(s, n));
    if (n->nout == 1) out[0] = r;
    else if (r->kind == AV_TUPLE && r->n == n->nout)
        for (int i = 0; i < n->nout; i++) out[i] = r->at[i];
}

/* The entry cannot be done: nothing more of it is evaluated. */
static void give_up(spec *s, ir_span at, const char *why) {
    if (s->exhausted) return;
    spec_unsupported(s, at, "%s", why);
    s->exhausted = true;
}

void spec_node(spec *s, spec_env *env, ir_node *n) {
    const aval **out = RT_ARRAY(&s->c->arena, const aval *, n->nout + 1);
    for (int i = 0; i < n->nout; i++) out[i] = undef(s);
    const aval **in = inputs(s, env, n);
    const ir_node *outer = s->frame->at;
    s->frame->at = n;
    s->steps++;
    if (n->op->cls == OP_STRUCT && n->op->id == S_IF) spec_if(s, env, n, out);
    else if (n->op->cls == OP_STRUCT && n->op->id == S_LOOP) spec_loop(s, env, n, out);
    else if (!poisoned(n, in)) {
        if (n->op->cls == OP_STRUCT) struct_node(s, n, in, out);
        else op_node(s, n, in, out);
    }
    if (s->steps > MAX_STEPS && !s->exhausted) give_up(s, spec_span(s, n), "this takes too many steps to specialise");
    if (s->stop == SPEC_ERROR) s->stop = SPEC_GO; /* its results are undefined: go on and find further errors */
    for (int i = 0; i < n->nout; i++) env->at[n->out[i]->id] = out[i];
    s->frame->at = outer;
}

const aval *spec_call(spec *s, ir_func *f, int n, const aval *const *args, ir_span at) {
    if (s->depth >= MAX_CALLS) {
        give_up(s, at, ir_fmt(s->c, "calls of %s nest too deeply: recursion is not supported where only the run ends it", f->name));
        return undef(s);
    }
    spec_env env = {RT_ARRAY(&s->c->arena, const aval *, f->nvalues), f->nvalues};
    for (int i = 0; i < n && i < f->body->params.n; i++) env.at[f->body->params.at[i]->id] = args[i];
    const aval *r[1] = {spec_none(s)};
    spec_frame frame = {&env, NULL, s->frame};
    s->depth++;
    s->frame = &frame;
    spec_block(s, &env, f->body, r);
    s->frame = (spec_frame *)frame.outer;
    s->depth--;
    return r[0];
}

/* ---- entries */

static const aval *entry_value(spec *s, ir_value *p, int arg);

static const aval *entry_tuple(spec *s, ir_value *p) {
    const ir_type *t = p->type;
    const aval **at = RT_ARRAY(&s->c->arena, const aval *, t->n);
    ir_node *u = spec_emit(s, ir_struct(s->c, S_UNPACK), 0, 1, &p, t->n, t->elem);
    for (int i = 0; i < t->n; i++) at[i] = entry_value(s, u->out[i], -1);
    return spec_tuple(s, t, t->n, at);
}

static const aval *entry_value(spec *s, ir_value *p, int arg) {
    if (p->type->kind == T_TUPLE) return entry_tuple(s, p);
    const aval *a = spec_dyn(s, p);
    if (a->kind == AV_TENSOR) { /* tensors that the caller passes do not share memory */
        cell *e = spec_cell_edit(s, a->cell);
        e->frozen = arg < 0 ? "it is an element of a tuple that the caller passes" : NULL;
        e->arg = arg + 1;
    }
    return a;
}

/* ---- lists that callers pass, of a length that must be known */

static const char *list_key(spec *s, int arg) { return ir_fmt(s->c, "%s/%d", s->entry->name, arg); }

/* The argument that v comes from, through the ops that made it; -1: none. */
static int origin(const spec *s, const ir_value *v, int depth) {
    for (int i = 0; i < s->entry->nargs; i++)
        if (s->arg_values[i] == v && v->type->kind == T_LIST) return i;
    int found = -1;
    for (int i = 0; v->def && i < v->def->nin && found < 0 && depth < 8; i++) found = origin(s, v->def->in[i], depth + 1);
    return found;
}

bool spec_fix_length(spec *s, const aval *list, ir_span at) {
    const cell *x = list->kind == AV_REF ? spec_cell(s, list->cell) : NULL;
    const ir_value *v = list->kind == AV_DYN ? list->v : x && x->kind == CELL_DYN ? x->content : NULL;
    int i = v ? origin(s, v, 0) : -1;
    if (i < 0 || !s->entry->args[i].has_length || rt_map_get(&s->fixed_lists, list_key(s, i))) return false;
    rt_map_put(&s->c->arena, &s->fixed_lists, ir_intern(s->c, list_key(s, i)), (void *)(intptr_t)(at + 1));
    s->again = true;
    return true;
}

static ir_value *emit_bool(spec *s, const char *op, ir_span at, int n, ir_value **in, const ir_type *t) {
    return spec_emit(s, ir_op_find(s->c, op), at, n, in, 1, &t)->out[0];
}

/* The list with the elements that it has in the examples, behind a guard. */
static const aval *fixed_list(spec *s, ir_value *p, int arg, ir_span at) {
    ir_context *c = s->c;
    int n = (int)s->entry->args[arg].length;
    ir_value *in[2] = {p, NULL}, *len = emit_bool(s, "len.t", at, 1, in, ir_type_int(c, spec_fresh(s, "n", 0, INT32_MAX)));
    in[0] = len;
    in[1] = ir_const(s->b, at, rt_int(n), ir_type_int(c, ir_dim_const(c, n)));
    in[0] = emit_bool(s, "eq.int", at, 2, in, ir_type_simple(c, T_BOOL));
    in[1] = ir_const(s->b, at, rt_strz(ir_fmt(c, "the list `%s` has %d elements in the examples, and its length must be known here", p->name, n)),
                     ir_type_simple(c, T_STR));
    spec_emit(s, ir_struct(c, S_GUARD), at, 2, in, 0, NULL);
    const ir_type **t = RT_ARRAY(&c->arena, const ir_type *, n);
    const aval **all = RT_ARRAY(&c->arena, const aval *, n);
    for (int i = 0; i < n; i++) t[i] = spec_fresh_type(s, p->type->elem[0]);
    ir_node *u = spec_emit(s, ir_struct(c, S_UNPACK), at, 1, &p, n, t);
    for (int i = 0; i < n; i++) all[i] = spec_dyn(s, u->out[i]);
    return spec_list_of(s, ir_surface(c, p->type), n, all);
}

static const aval *entry_list(spec *s, ir_value *p, int arg) {
    void *at = rt_map_get(&s->fixed_lists, list_key(s, arg));
    return at ? fixed_list(s, p, arg, (ir_span)((intptr_t)at - 1)) : entry_value(s, p, arg);
}

static const aval **entry_args(spec *s, const lower_entry *e, ir_func *f, int *n) {
    bool method = s->from->self.tag == V_OBJECT && e->func->body->params.n == e->nargs + 1;
    const aval **args = RT_ARRAY(&s->c->arena, const aval *, e->nargs + 1);
    *n = 0;
    if (method) args[(*n)++] = spec_rt_attr(s, s->from->self, NULL, "");
    s->arg_values = RT_ARRAY(&s->c->arena, ir_value *, e->nargs);
    for (int i = 0; i < e->nargs; i++) {
        const lower_arg *a = &e->args[i];
        ir_func *src = e->func;
        const char *name = src->param_names ? src->param_names[i + method] : src->body->params.at[i + method]->name;
        s->arg_values[i] = ir_block_param(f->body, a->type, name);
        spec_bind_symbols(s, a->type);
        args[(*n)++] = a->constant ? spec_from_rt(s, a->value, a->type) : entry_list(s, s->arg_values[i], i);
    }
    return args;
}

static void set_state(spec *s, const char *path, ir_value *v) {
    ir_node *n = spec_emit(s, ir_struct(s->c, S_SETSTATE), 0, 1, &v, 0, NULL);
    n->sym = path;
}

/* Does the field still name the tensor that it was loaded with (written in place or not)? */
static bool own_storage(spec *s, const aval *a, const char *path) {
    if (a->kind != AV_TENSOR || a->view) return false;
    const char *name = spec_cell(s, a->cell)->name;
    return name && !strcmp(name, path);
}

/* t without the sizes that only this entry knows. */
static const ir_type *sizes_forgotten(spec *s, const ir_type *t) {
    ir_context *c = s->c;
    if (t->kind == T_INT) return ir_type_int(c, NULL);
    if (t->kind == T_OPTIONAL) return ir_type_optional(c, sizes_forgotten(s, t->elem[0]));
    if (t->kind == T_TENSOR && t->rank >= 0) {
        const ir_dim **d = RT_ARRAY(&c->arena, const ir_dim *, t->rank);
        for (int i = 0; i < t->rank; i++) d[i] = t->dims[i] && ir_dim_is_const(t->dims[i], NULL) ? t->dims[i] : NULL;
        return ir_type_tensor(c, t->dtype, t->rank, d);
    }
    if (t->kind == T_TUPLE) {
        const ir_type **e = RT_ARRAY(&c->arena, const ir_type *, t->n);
        for (int i = 0; i < t->n; i++) e[i] = sizes_forgotten(s, t->elem[i]);
        return ir_type_tuple(c, t->n, e, t->fields, t->name);
    }
    return spec_loose(s, t);
}

/* A state that is no tensor, and what it is at the end. */
static void write_value(spec *s, const aval *now, const char *path, const ir_type *t) {
    const ir_type *with = spec_join_type(s, t, sizes_forgotten(s, spec_type(s, now)));
    if (!with) {
        spec_unsupported(s, 0, "the attribute `%s` gets a value of another type than it had", path);
        return;
    }
    if (with != t) {
        widen_to(s, path, with);
        return;
    }
    ir_value *v = spec_value_as(s, now, t, 0);
    bool same = v->def && v->def->op->cls == OP_STRUCT && v->def->op->id == S_STATE && v->def->sym == path;
    if (!same) set_state(s, path, v);
}

/* A tensor that is state and gets another size: its size is one of the run from now on. */
static void other_size(spec *s, const aval *now, const char *path, const ir_type *t) {
    const ir_type *with = now->kind == AV_TENSOR ? spec_join_type(s, t, sizes_forgotten(s, now->type)) : NULL;
    if (with) widen_to(s, path, with);
    else spec_unsupported(s, 0, "the attribute `%s` gets a value of another dtype or rank: a tensor that is state keeps its own", path);
}

/* A field of the module object at the end of the entry.  Another tensor in it becomes the state cell's value. */
static void write_field(spec *s, const aval *now, const char *path, rt_map *reassigned) {
    ir_tensor_data *d = rt_map_get(&s->to->tensors, path);
    if (!d || now->kind == AV_UNDEF || !rt_map_get(&s->states, path) || (d->tensor && own_storage(s, now, path))) return;
    if (!d->tensor) {
        write_value(s, now, path, d->type);
        return;
    }
    char key[32];
    snprintf(key, sizeof key, "%p", (void *)d->tensor);
    void *known = rt_map_get(&s->cells_of, key);
    rt_map_put(&s->c->arena, reassigned, path, d);
    const char *shared = now->kind == AV_TENSOR ? spec_cell(s, now->cell)->name : NULL;
    if (shared && (rt_map_get(&s->in_place, shared) || rt_map_get(&s->in_place, path)))
        spec_unsupported(s, 0, "the attributes `%s` and `%s` would share memory from then on, and one is written in place", path, shared);
    else if (!known || now->kind != AV_TENSOR || now->type != spec_cell(s, (int)(intptr_t)known - 1)->type)
        other_size(s, now, path, ir_tensor_data_type(s->c, d));
    else set_state(s, path, spec_read(s, now, 0));
}

static bool was_written(const cell *x) {
    const ir_node *d = x->content ? x->content->def : NULL;
    return d && !(d->op->cls == OP_STRUCT && (d->op->id == S_STATE || d->op->id == S_PARAM));
}

static void write_states(spec *s) {
    rt_map reassigned = {0};
    for (int i = 0; i < s->heap.n; i++) {
        const cell *x = spec_cell(s, i);
        for (int k = 0; k < x->n && x->kind == CELL_OBJECT && x->name; k++)
            write_field(s, x->at[k], join_path(s, x->name, x->cls->fields[k]), &reassigned);
    }
    for (int i = 0; i < s->heap.n; i++) {
        const cell *x = spec_cell(s, i);
        if (x->kind != CELL_STORAGE) continue;
        if (x->name && was_written(x) && !rt_map_get(&reassigned, x->name)) set_state(s, x->name, x->content);
        if (x->arg && x->content != s->arg_values[x->arg - 1])
            spec_emit(s, ir_struct(s->c, S_WRITEBACK), 0, 2, (ir_value *[]){s->arg_values[x->arg - 1], x->content}, 0, NULL);
    }
}

static void run_entry(spec *s, const lower_entry *e) {
    ir_func *f = ir_func_new(s->to, e->name);
    f->entry = f->exported = true;
    f->method = e->method;
    f->span = e->func->span;
    s->entry = e;
    s->f = f;
    s->b = f->body;
    s->heap = (spec_heap){0};
    s->cells_of = (rt_map){0};
    s->stop = SPEC_GO;
    s->depth = 0;
    s->frame = NULL;
    s->renamed.n = 0;
    s->points = NULL;
    s->cloned = (rt_map){0};
    s->clones = 0;
    s->steps = s->unrolled = s->unroll_start = 0;
    s->exhausted = s->unrolling = s->undecided = false;
    s->call = 0;
    int n;
    for (int i = 0; i < s->states.n; i++) { /* their storages exist before any fork */
        const char *name = s->states.entries[i].key;
        ir_tensor_data *d = rt_map_get(&s->from->tensors, name);
        if (d && d->tensor && !rt_map_get(&s->state_types, name)) spec_tensor_const(s, d->tensor);
    }
    const aval **args = entry_args(s, e, f, &n);
    const aval *r = spec_call(s, e->func, n, args, 0);
    if (s->stop == SPEC_RETRY) {
        s->stop = SPEC_GO;
        spec_unsupported(s, e->func->span, "a run-time container of %s changes its element type", e->method);
        return;
    }
    bool dead = s->stop == SPEC_DEAD;
    s->stop = SPEC_GO;
    if (!dead) write_states(s);
    ir_value *v = spec_value(s, dead ? undef(s) : r, e->func->span);
    ir_block_result(f->body, v);
    f->result = v->type;
}

static void name_tensors(spec *s) {
    for (int i = 0; i < s->from->tensors.n; i++) {
        ir_tensor_data *d = s->from->tensors.entries[i].value;
        char key[32];
        snprintf(key, sizeof key, "%p", (void *)d->tensor);
        if (!rt_map_get(&s->param_names, key)) rt_map_put(&s->c->arena, &s->param_names, key, (void *)ir_intern(s->c, d->name));
    }
}

/* The field at `path` of the module object; NULL: there is none. */
static rt_value *field_at(spec *s, const char *path) {
    rt_value *v = &s->from->self;
    while (v->tag == V_OBJECT) {
        const ir_class *cls = v->object->cls;
        size_t n = strcspn(path, ".");
        int i = 0;
        while (i < cls->nfields && (strncmp(cls->fields[i], path, n) || cls->fields[i][n])) i++;
        if (i == cls->nfields) return NULL;
        v = &v->object->at[i];
        if (!path[n]) return v;
        path += n + 1;
    }
    return NULL;
}

/* Names of one tensor: an assignment to one of them leaves the others what they were, so each gets a tensor of its own. */
static void part(spec *s, const char *path, const rt_tensor *shared) {
    for (int i = 0; i < s->from->tensors.n; i++) {
        ir_tensor_data *d = s->from->tensors.entries[i].value;
        rt_value *field = d->tensor == shared && strcmp(d->name, path) ? field_at(s, d->name) : NULL;
        if (!field || field->tag != V_TENSOR || field->tensor != shared) continue;
        rt_tensor *own = rt_tensor_copy_to(shared, shared->dtype);
        if (!own) {
            spec_unsupported(s, 0, "out of memory");
            return;
        }
        rt_release(*field);
        *field = rt_tensor_value(own);
        rt_tensor_release(d->tensor);
        d->tensor = own;
        rt_tensor_retain(own);
        rt_map_put(&s->c->arena, &s->parted, d->name, (void *)path);
        rt_map_put(&s->c->arena, &s->parted, path, (void *)d->name);
        s->again = true;
    }
}

static void part_assigned(spec *s) {
    for (int i = 0; i < s->assigned.n; i++) {
        const char *path = s->assigned.entries[i].key;
        ir_tensor_data *d = rt_map_get(&s->from->tensors, path);
        if (d && d->tensor) part(s, path, d->tensor);
    }
    s->param_names = (rt_map){0};
    name_tensors(s);
    for (int i = 0; i < s->in_place.n; i++) {
        const char *path = s->in_place.entries[i].key, *other = rt_map_get(&s->parted, path);
        if (other) spec_unsupported(s, 0, "the attributes `%s` and `%s` share memory; one is assigned and one written in place", path, other);
    }
}

/* A tensor that is written in place must not be seen through another tensor of the module. */
static void check_storages(spec *s) {
    for (int i = 0; i < s->in_place.n; i++) {
        const ir_tensor_data *d = rt_map_get(&s->from->tensors, s->in_place.entries[i].key);
        for (int k = 0; d && d->tensor && k < s->from->tensors.n; k++) {
            const ir_tensor_data *e = s->from->tensors.entries[k].value;
            if (!e->tensor || e->tensor == d->tensor || e->tensor->storage != d->tensor->storage) continue;
            spec_unsupported(s, 0, "the attribute `%s` is written in place and shares memory with `%s`", d->name, e->name);
            break;
        }
    }
}

static void mark_states(spec *s) {
    for (int i = 0; i < s->states.n; i++) {
        ir_tensor_data *d = rt_map_get(&s->to->tensors, s->states.entries[i].key);
        if (d) d->state = true;
    }
}

ir_module *lower_specialise(ir_module *m, int nentries, const lower_entry *entries) {
    ir_context *c = m->c;
    spec s = {.c = c, .from = m, .in = lower_interp_new(m)};
    if (!s.in) {
        ir_error(c, 0, "out of memory");
        return NULL;
    }
    name_tensors(&s);
    int ndiags = c->diags.n, nerrors = c->nerrors;
    do {
        s.again = false;
        for (int i = 0; i < s.assumed.n; i++) ((ir_symbol *)s.assumed.entries[i].value)->lo = 1;
        s.assumed = (rt_map){0};
        c->diags.n = ndiags;
        c->nerrors = nerrors;
        s.to = ir_module_new(c, m->name);
        s.to->state = IR_CORE;
        s.symbol_block = (rt_map){0};
        for (int i = 0; i < nentries; i++) run_entry(&s, &entries[i]);
        part_assigned(&s);
        check_storages(&s);
    } while (s.again);
    mark_states(&s);
    lower_interp_free(s.in);
    return c->nerrors == nerrors ? s.to : NULL;
}
