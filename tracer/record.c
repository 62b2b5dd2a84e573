/* record.c: the graph behind a trace: which value of the graph a handle is, tensors captured from outside, and the log of
 * what running the program has changed, so that it can be undone.
 *
 * A captured tensor is known by its storage: views of one storage are views in the graph too, so that a write through
 * one is seen by all, as when the program runs. */
#include "tracer/tracer.h"

ir_span trace_span(jitc_context *c) {
    if (!c->at.file) return 0;
    return ir_span_new(c->ir, (ir_place){.file = ir_intern(c->ir, c->at.file), .line = c->at.line, .col = 1});
}

/* ======================================================= beginning and end */

trace_recorder *trace_record(jitc_context *c, const char *name, bool live) {
    trace_recorder *r = RT_NEW(&c->own, trace_recorder);
    *r = (trace_recorder){.id = ++c->nrecordings, .m = ir_module_new(c->ir, name), .live = live};
    r->f = ir_func_new(r->m, name);
    r->f->exported = true;
    r->f->method = r->f->name;
    r->b = r->f->body;
    c->rec = r;
    return r;
}

void trace_record_end(jitc_context *c, trace_recorder *r) {
    int n = r->f->body->params.n;
    r->f->param_names = RT_ARRAY(&c->ir->arena, const char *, n + 1);
    for (int i = 0; i < n; i++) r->f->param_names[i] = r->f->body->params.at[i]->name;
    c->rec = NULL;
}

void trace_recorder_free(trace_recorder *r) {
    for (int i = 0; i < r->captures.n; i++) rt_tensor_release(r->captures.at[i].base);
    for (int i = 0; i < r->seen.n; i++) rt_tensor_release(r->seen.at[i].t);
    r->captures.n = r->seen.n = 0;
}

static ir_value *result_node(jitc_context *c, jitc_t x) {
    trace_slot *s = trace_slot_of(x);
    if (!s || x.context != c) {
        trace_fail(c, JITC_E_ARGUMENT, c->at, "a result of '%s' was not set, or has ended with its scope", c->rec->f->name);
        return NULL;
    }
    return trace_slot_node(c, s);
}

bool trace_record_result(jitc_context *c, int nout, const jitc_t *results) {
    trace_recorder *r = c->rec;
    ir_value **v = RT_ARRAY(&c->ir->arena, ir_value *, nout + 1), *out;
    const ir_type **types = RT_ARRAY(&c->ir->arena, const ir_type *, nout + 1);
    for (int i = 0; i < nout; i++) {
        if (!(v[i] = result_node(c, results[i]))) return false;
        types[i] = v[i]->type;
    }
    if (nout == 1) {
        out = v[0];
    } else if (!nout) {
        out = ir_const(r->b, 0, V_NULL, ir_type_simple(c->ir, T_NONE));
    } else {
        const ir_type *t = ir_type_tuple(c->ir, nout, types, NULL, NULL);
        ir_node *n = ir_node_new(r->f, ir_struct(c->ir, S_TUPLE), 0, nout, v, 1, &t);
        ir_append(r->b, n);
        out = n->out[0];
    }
    ir_block_result(r->b, out);
    r->f->result = ir_surface(c->ir, out->type);
    return true;
}

/* ======================================================= captured tensors */

static bool same_view(const rt_tensor *a, const rt_tensor *b) {
    if (a->dtype != b->dtype || a->ndim != b->ndim || a->offset != b->offset) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i] || (a->shape[i] > 1 && a->strides[i] != b->strides[i])) return false;
    return true;
}

static size_t bytes_of(const rt_tensor *t) { return (size_t)rt_tensor_numel(t) * (size_t)rt_dtypes[t->dtype].bytes; }

static bool is_whole(const rt_tensor *t) {
    return rt_tensor_contiguous(t) && t->offset == 0 && bytes_of(t) == t->storage->bytes;
}

/* All of t's storage in one dimension. */
static rt_tensor *flat_base(const rt_tensor *t) {
    int64_t n = (int64_t)(t->storage->bytes / (size_t)rt_dtypes[t->dtype].bytes), one = 1;
    return rt_tensor_view((rt_tensor *)t, 1, &n, &one, 0);
}

/* A node at the head of the function, after those that are there. */
static void at_head(trace_recorder *r, ir_node *n) {
    ir_node *before = r->head ? r->head->next : r->f->body->first;
    if (before) ir_insert_before(before, n);
    else ir_append(r->f->body, n);
    r->head = n;
}

static const char *free_name(jitc_context *c, const char *want) {
    const trace_recorder *r = c->rec;
    const char *name = want ? want : ir_fmt(c->ir, "p%d", r->captures.n - r->ninputs);
    for (int k = 1;; k++) {
        bool taken = rt_map_get(&r->m->tensors, name) != NULL;
        for (int i = 0; i < r->f->body->params.n; i++) taken |= r->f->body->params.at[i]->name && !strcmp(r->f->body->params.at[i]->name, name);
        if (!taken) return ir_intern(c->ir, name);
        name = ir_fmt(c->ir, "%s.%d", want ? want : "p", k);
    }
}

static bool param_node(jitc_context *c, trace_capture *x) {
    trace_recorder *r = c->rec;
    const ir_type *t = ir_type_simple(c->ir, T_TENSOR);
    rt_tensor *copy = rt_tensor_copy_to(x->base, x->base->dtype);
    if (!copy) return trace_memory(c);
    x->data = RT_NEW(&c->ir->arena, ir_tensor_data);
    *x->data = (ir_tensor_data){.name = x->name, .tensor = copy};
    rt_map_put(&c->ir->arena, &r->m->tensors, x->name, x->data);
    ir_node *n = ir_node_new(r->f, ir_struct(c->ir, S_PARAM), 0, 0, NULL, 1, &t);
    n->sym = x->name;
    at_head(r, n);
    ir_value_name(n->out[0], x->name);
    x->node = n->out[0];
    return true;
}

static trace_capture *capture(jitc_context *c, rt_tensor *t, const char *name) {
    trace_recorder *r = c->rec;
    for (int i = 0; i < r->captures.n; i++)
        if (r->captures.at[i].base->storage == t->storage) return &r->captures.at[i];
    trace_capture x = {.name = free_name(c, name), .place = c->at};
    if (is_whole(t)) rt_tensor_retain(x.base = t);
    else if (!(x.base = flat_base(t))) return trace_memory(c), NULL;
    RT_PUSH(&c->own, &r->captures, x);
    trace_capture *k = &r->captures.at[r->captures.n - 1];
    if (r->live) k->node = ir_block_param(r->f->body, ir_type_simple(c->ir, T_TENSOR), k->name);
    else if (!param_node(c, k)) return NULL;
    return k;
}

static ir_value *int_list(jitc_context *c, int n, const int64_t *x) {
    ir_value *in[RT_MAX_RANK];
    const ir_type *t = ir_type_simple(c->ir, T_INT), *list = ir_type_list(c->ir, t);
    for (int i = 0; i < n; i++) {
        ir_node *k = ir_node_new(c->rec->f, ir_struct(c->ir, S_CONST), 0, 0, NULL, 1, &t);
        k->value = rt_int(x[i]);
        at_head(c->rec, k);
        in[i] = k->out[0];
    }
    ir_node *l = ir_node_new(c->rec->f, ir_struct(c->ir, S_LIST), 0, n, in, 1, &list);
    at_head(c->rec, l);
    return l->out[0];
}

/* t as a view of what was captured of its storage. */
static ir_value *view_node(jitc_context *c, const trace_capture *x, const rt_tensor *t) {
    const ir_op *op = ir_op_find(c->ir, "as_strided");
    const ir_type *type = ir_type_simple(c->ir, T_TENSOR), *number = ir_type_simple(c->ir, T_INT);
    ir_value *in[4] = {x->node, int_list(c, t->ndim, t->shape), int_list(c, t->ndim, t->strides)};
    ir_node *offset = ir_node_new(c->rec->f, ir_struct(c->ir, S_CONST), 0, 0, NULL, 1, &number);
    offset->value = rt_int(t->offset);
    at_head(c->rec, offset);
    in[3] = offset->out[0];
    ir_node *n = ir_node_new(c->rec->f, op, trace_span(c), 4, in, 1, &type);
    at_head(c->rec, n);
    return n->out[0];
}

static ir_value *tensor_node(jitc_context *c, rt_tensor *t, const char *name) {
    trace_capture *x = capture(c, t, name);
    if (!x) return NULL;
    if (x->input) {
        trace_fail(c, JITC_E_UNSUPPORTED, c->at, "a tensor is used that shares memory with the input '%s' but did not come from it", x->name);
        return NULL;
    }
    if (same_view(x->base, t)) return x->node;
    if (x->base->dtype == t->dtype && rt_tensor_contiguous(x->base) && x->base->offset == 0) return view_node(c, x, t);
    trace_fail(c, JITC_E_UNSUPPORTED, c->at, "a tensor is used that shares memory with '%s' under another dtype", x->name);
    return NULL;
}

/* ======================================================= values from outside */

static ir_value *outside_node(jitc_context *c, rt_value v, const ir_type *t, const char *name) {
    trace_recorder *r = c->rec;
    if (v.tag == V_TENSOR) return tensor_node(c, v.tensor, name);
    if (v.tag != V_LIST && v.tag != V_TUPLE) {
        if (v.tag < V_TENSOR) return ir_const(r->b, trace_span(c), rt_retain(v), t);
        trace_fail(c, JITC_E_UNSUPPORTED, c->at, "a dict from outside cannot be used while a trace is on");
        return NULL;
    }
    int n = (int)v.list->n;
    ir_value **in = RT_ARRAY(&c->ir->arena, ir_value *, n + 1);
    for (int i = 0; i < n; i++)
        if (!(in[i] = outside_node(c, v.list->at[i], trace_type_of(c, v.list->at[i]), NULL))) return NULL;
    ir_node *l = ir_node_new(r->f, ir_struct(c->ir, v.tag == V_LIST ? S_LIST : S_TUPLE), trace_span(c), n, in, 1, &t);
    ir_append(r->b, l);
    return l->out[0];
}

bool trace_visible(const trace_recorder *r, const ir_value *v) {
    const ir_block *b = r->b;
    while (b && b != v->block) b = b->owner ? b->owner->block : NULL;
    return b != NULL;
}

ir_value *trace_slot_node(jitc_context *c, trace_slot *s) {
    trace_recorder *r = c->rec;
    if (s->traced == r->id && s->node && trace_visible(r, s->node)) return s->node;
    if (s->recording == r->id) {
        trace_fail(c, JITC_E_UNSUPPORTED, c->at,
                   s->traced == r->id ? "a value that was made inside a branch or loop is used outside: pass it through `out`"
                                      : "a value that was made in a later iteration of jitc_while is used outside: pass it through `out`");
        return NULL;
    }
    ir_value *v = outside_node(c, s->v, s->type, s->name);
    if (!v) return NULL;
    s->node = v;
    s->traced = r->id;
    return v;
}

/* ======================================================= writes */

static bool log_write(jitc_context *c, rt_tensor *t) {
    if (!c->marks.n) return true;
    for (int i = c->undo.n - 1; i >= c->marks.at[c->marks.n - 1]; i--)
        if (c->undo.at[i].whole->storage == t->storage) return true;
    void *copy = rt_malloc(t->storage->bytes);
    if (!copy) return trace_memory(c);
    if (t->storage->bytes) memcpy(copy, t->storage->data, t->storage->bytes);
    rt_tensor_retain(t);
    trace_undo u = {t, copy};
    RT_PUSH(&c->own, &c->undo, u);
    return true;
}

/* Inputs that share memory would not do so in the compiled function. */
static bool written_input(jitc_context *c, const trace_capture *x) {
    const trace_recorder *r = c->rec;
    for (int i = 0; i < r->captures.n; i++) {
        const trace_capture *y = &r->captures.at[i];
        if (y != x && y->input && y->base->storage == x->base->storage)
            return trace_fail(c, JITC_E_UNSUPPORTED, c->at, "'%s' is written, but shares memory with the input '%s'", x->name, y->name);
    }
    return true;
}

static bool note_write(jitc_context *c, rt_tensor *t) {
    trace_recorder *r = c->rec;
    for (int i = 0; r && i < r->captures.n; i++) {
        trace_capture *x = &r->captures.at[i];
        if (x->base->storage != t->storage) continue;
        x->written = true;
        return !x->input || written_input(c, x);
    }
    return true;
}

bool trace_will_write(jitc_context *c, rt_value v, bool certain) {
    if (c->rec && v.tag == V_TENSOR) c->rec->writes = true;
    if (v.tag == V_TENSOR) return log_write(c, v.tensor) && (!certain || note_write(c, v.tensor));
    if (v.tag != V_LIST && v.tag != V_TUPLE) return true;
    for (int64_t i = 0; i < v.list->n; i++)
        if (!trace_will_write(c, v.list->at[i], certain)) return false;
    return true;
}

static bool push_mark(void *env) {
    jitc_context *c = env;
    RT_PUSH(&c->own, &c->marks, c->undo.n);
    return true;
}

bool trace_mark(jitc_context *c) { return trace_protect(c, push_mark, c); }

/* What is kept must be kept for the part around this one too: only where that has no older copy. */
static bool needed_outside(const jitc_context *c, int mark, const trace_undo *u) {
    if (c->marks.n < 2) return false;
    for (int i = mark - 1; i >= c->marks.at[c->marks.n - 2]; i--)
        if (c->undo.at[i].whole->storage == u->whole->storage) return false;
    return true;
}

void trace_release(jitc_context *c, bool rollback) {
    int mark = c->marks.at[c->marks.n - 1], kept = mark;
    for (int i = c->undo.n - 1; rollback && i >= mark; i--) {
        rt_storage *s = c->undo.at[i].whole->storage;
        if (s->bytes) memcpy(s->data, c->undo.at[i].copy, s->bytes);
    }
    for (int i = mark; i < c->undo.n; i++) {
        trace_undo u = c->undo.at[i];
        if (!rollback && needed_outside(c, mark, &u)) {
            c->undo.at[kept++] = u;
            continue;
        }
        rt_tensor_release(u.whole);
        rt_free(u.copy);
    }
    c->undo.n = kept;
    c->marks.n--;
}

uint64_t trace_hash(const rt_tensor *t) {
    uint64_t h = 1;
    int64_t i[RT_MAX_RANK] = {0}, n = rt_tensor_numel(t), bytes = rt_dtypes[t->dtype].bytes;
    for (int64_t k = 0; k < n; k++) {
        int64_t at = t->offset;
        for (int d = 0; d < t->ndim; d++) at += i[d] * t->strides[d];
        h = rt_hash((const char *)t->storage->data + at * bytes, (size_t)bytes, h);
        for (int d = t->ndim - 1; d >= 0 && ++i[d] == t->shape[d]; d--) i[d] = 0;
    }
    return h;
}
