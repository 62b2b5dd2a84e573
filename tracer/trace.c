/* trace.c: traces as the program sees them: begin and end, several examples, the check, running and saving graphs.
 *
 * The check compares two things: that each example records the same graph (so that C took the same path, with the same
 * constants), and that the graph, interpreted, gives what the run gave. */
#include "tracer/tracer.h"

#include <errno.h>
#include <unistd.h>

/* ======================================================= inputs and results */

typedef struct input_job { jitc_context *c; const char *name; trace_slot *s; jitc_t out; } input_job;

static const ir_type *input_type(jitc_context *c, const trace_slot *s) {
    const ir_dim *dims[RT_MAX_RANK];
    if (s->v.tag != V_TENSOR) return s->type;
    for (int i = 0; i < s->v.tensor->ndim; i++) dims[i] = ir_dim_const(c->ir, s->v.tensor->shape[i]);
    return ir_type_tensor(c->ir, s->v.tensor->dtype, s->v.tensor->ndim, dims);
}

static bool add_input(void *env) {
    input_job *j = env;
    jitc_context *c = j->c;
    trace_recorder *r = c->rec;
    const char *name = j->name ? j->name : j->s->name ? j->s->name : ir_fmt(c->ir, "x%d", r->ninputs);
    if (!ir_is_identifier(name)) return trace_fail(c, JITC_E_ARGUMENT, c->at, "'%s' is no name for an input", name);
    for (int i = 0; i < r->ninputs; i++)
        if (!strcmp(r->f->body->params.at[i]->name, name)) name = ir_fmt(c->ir, "%s_%d", name, r->ninputs);
    ir_value *v = ir_block_param(r->f->body, input_type(c, j->s), name);
    if (j->s->v.tag == V_TENSOR) {
        rt_tensor_retain(j->s->v.tensor);
        trace_capture x = {.base = j->s->v.tensor, .node = v, .name = v->name, .input = true};
        RT_PUSH(&c->own, &r->captures, x);
    }
    r->ninputs++;
    j->out = trace_handle(c, rt_retain(j->s->v), ir_surface(c->ir, j->s->type), v);
    return true;
}

jitc_t trace_input(jitc_context *c, const char *name, jitc_t example) {
    input_job j = {c, name, trace_slot_of(example), trace_poison(c)};
    if (!j.s || example.context != c) trace_fail(c, JITC_E_ARGUMENT, c->at, "an input of a trace is not a valid handle");
    else if (j.s->v.tag > V_TENSOR) trace_fail(c, JITC_E_ARGUMENT, c->at, "an input of a trace must be a tensor or a number");
    else trace_protect(c, add_input, &j);
    trace_end_call(c);
    return j.out;
}

/* Values read as constants must not have been changed by the program after all. */
static bool seen_unchanged(jitc_context *c) {
    const trace_recorder *r = c->rec;
    for (int i = 0; i < r->seen.n; i++)
        if (trace_hash(r->seen.at[i].t) != r->seen.at[i].hash)
            return trace_fail(c, JITC_E_UNSUPPORTED, r->seen.at[i].place,
                              "this reads a tensor from outside into C that the traced program changes later: make it an input");
    return true;
}

static void mark_state(jitc_context *c) {
    const trace_recorder *r = c->rec;
    for (int i = 0; i < r->captures.n; i++) {
        const trace_capture *x = &r->captures.at[i];
        if (!x->written || !x->data) continue;
        x->data->state = true;
        x->node->def->op = ir_struct(c->ir, S_STATE);
    }
}

typedef struct finish_job { jitc_context *c; int nout; const jitc_t *results; } finish_job;

static bool finish(void *env) {
    finish_job *j = env;
    jitc_context *c = j->c;
    int before = c->ir->diags.n;
    if (c->status != JITC_OK || !seen_unchanged(c) || !trace_record_result(c, j->nout, j->results)) return false;
    mark_state(c);
    ir_module *m = c->rec->m;
    trace_record_end(c, c->rec);
    return ir_verify_module(m) || trace_diagnostics(c, before, (trace_place){0});
}

bool trace_finish(jitc_context *c, int nout, const jitc_t *results) {
    finish_job j = {c, nout, results};
    bool ok = trace_protect(c, finish, &j);
    c->rec = NULL;
    trace_end_call(c);
    return ok;
}

bool trace_results(jitc_context *c, rt_value v, int nout, jitc_t *out) {
    if (nout == 0) return true;
    if (nout == 1) return out[0] = trace_handle(c, rt_retain(v), trace_type_of(c, v), NULL), true;
    for (int i = 0; v.tag == V_TUPLE && i < nout && i < v.list->n; i++)
        out[i] = trace_handle(c, rt_retain(v.list->at[i]), trace_type_of(c, v.list->at[i]), NULL);
    return (v.tag == V_TUPLE && v.list->n == nout) || trace_fail(c, JITC_E_ARGUMENT, c->at, "the graph does not have %d results", nout);
}

/* ======================================================= graphs */

typedef struct graph_job { jitc_context *c; trace_recorder *r; int nin, nout; jitc_graph *out; } graph_job;

static bool make_graph(void *env) {
    graph_job *j = env;
    jitc_graph *g = RT_NEW(&j->c->own, jitc_graph);
    *g = (jitc_graph){.c = j->c, .r = j->r, .nin = j->nin, .nout = j->nout};
    RT_PUSH(&j->c->own, &j->c->graphs, g);
    j->out = g;
    return true;
}

static jitc_graph *graph_new(jitc_context *c, trace_recorder *r, int nin, int nout) {
    graph_job j = {c, r, nin, nout, NULL};
    return trace_protect(c, make_graph, &j) ? j.out : NULL;
}

void trace_graph_free(jitc_graph *g) {
    lower_interp_free(g->in);
    rt_text_free(&g->text);
    trace_recorder_free(g->r);
}

typedef struct begin_job { jitc_context *c; const char *name; bool live; } begin_job;

static bool begin(void *env) {
    begin_job *j = env;
    return trace_record(j->c, j->name, j->live) != NULL;
}

static bool begin_trace(jitc_context *c, const char *name) {
    begin_job j = {c, name, false};
    c->at = (trace_place){0};
    if (c->status != JITC_OK) return false;
    if (c->rec) return trace_fail(c, JITC_E_ARGUMENT, c->at, "a trace is on already");
    if (!ir_is_identifier(name)) return trace_fail(c, JITC_E_ARGUMENT, c->at, "'%s' is no name for a graph", name);
    return trace_protect(c, begin, &j);
}

jitc_status jitc_trace_begin(jitc_context *c, const char *name) { return begin_trace(c, name) ? JITC_OK : c->status; }

jitc_t jitc_trace_input(jitc_context *c, const char *name, jitc_t example) {
    c->at = (trace_place){0};
    if (!c->rec || c->rec->b != c->rec->f->body) {
        trace_fail(c, JITC_E_ARGUMENT, c->at, "jitc_trace_input: no trace is on");
        return trace_poison(c);
    }
    return trace_input(c, name, example);
}

jitc_status jitc_trace_end(jitc_context *c, int nout, const jitc_t *results, jitc_graph **out) {
    trace_recorder *r = c->rec;
    *out = NULL;
    c->at = (trace_place){0};
    if (!r) {
        trace_fail(c, JITC_E_ARGUMENT, c->at, "jitc_trace_end: no trace is on");
        return c->status;
    }
    if (!trace_finish(c, nout, results) || !(*out = graph_new(c, r, r->ninputs, nout))) trace_recorder_free(r);
    return *out ? JITC_OK : c->status;
}

/* ======================================================= what differs between two recordings */

typedef struct difference { jitc_context *c; const trace_recorder *a, *b; const ir_node *x, *y; } difference;

static bool same_const(rt_value a, rt_value b) {
    if (a.tag != b.tag) return false;
    return a.tag == V_FLOAT ? !memcmp(&a.f, &b.f, sizeof a.f) : rt_value_equal(a, b);
}

static bool same_param(const difference *d, const char *a, const char *b) {
    const ir_tensor_data *x = rt_map_get(&d->a->m->tensors, a), *y = rt_map_get(&d->b->m->tensors, b);
    if (!x || !y) return x == y;
    const rt_tensor *t = x->tensor, *u = y->tensor;
    if (t->dtype != u->dtype || t->ndim != u->ndim || memcmp(t->shape, u->shape, (size_t)t->ndim * sizeof *t->shape)) return false;
    return trace_hash(t) == trace_hash(u);
}

static bool same_node(const difference *d, const ir_node *a, const ir_node *b) {
    bool param = a->op->cls == OP_STRUCT && (a->op->id == S_PARAM || a->op->id == S_STATE);
    if (a->op != b->op || a->nin != b->nin || a->nout != b->nout || a->nblocks != b->nblocks) return false;
    for (int i = 0; i < a->nin; i++)
        if (a->in[i]->id != b->in[i]->id) return false;
    if (a->op->cls == OP_STRUCT && a->op->id == S_CONST && !same_const(a->value, b->value)) return false;
    if (!a->sym != !b->sym || (a->sym && strcmp(a->sym, b->sym))) return false;
    return !param || same_param(d, a->sym, b->sym);
}

static bool same_block(difference *d, const ir_block *a, const ir_block *b) {
    const ir_node *x = a->first, *y = b->first;
    for (; x || y; x = x->next, y = y->next) {
        bool same = x && y && same_node(d, x, y);
        for (int i = 0; same && i < x->nblocks; i++)
            if (!same_block(d, x->blocks[i], y->blocks[i])) return false;
        d->x = x;
        d->y = y;
        if (!same) return false;
    }
    d->x = d->y = NULL;
    bool same = a->results.n == b->results.n;
    for (int i = 0; same && i < a->results.n; i++) same = a->results.at[i]->id == b->results.at[i]->id;
    return same;
}

/* The operator that a node belongs to: constants and lists stand before it. */
static const ir_node *shown(const ir_node *n) {
    while (n && n->next && n->op->cls == OP_STRUCT && (n->op->id == S_CONST || n->op->id == S_LIST)) n = n->next;
    return n;
}

static void node_text(jitc_context *c, const ir_node *n, rt_text *t) {
    const ir_place *at = n && n->span < (ir_span)c->ir->spans.n ? &c->ir->spans.at[n->span] : NULL;
    if (!n) rt_text_str(t, "the end");
    else rt_text_fmt(t, "`%s%s%s`", n->op->name, n->sym ? " " : "", n->sym ? n->sym : "");
    if (at && at->file) rt_text_fmt(t, " (%s:%d)", at->file, at->line);
}

static const char *node_difference(difference *d, int example) {
    jitc_context *c = d->c;
    rt_text t = {0};
    const ir_node *x = shown(d->x), *y = shown(d->y);
    rt_text_str(&t, "the examples do not record the same graph: example 1 has ");
    node_text(c, x, &t);
    rt_text_fmt(&t, " where example %d has ", example);
    node_text(c, y, &t);
    if (x && y && x->op == y->op) rt_text_str(&t, " with other arguments or constants");
    const char *s = ir_fmt(c->ir, "%s", t.s ? t.s : "the examples do not record the same graph");
    rt_text_free(&t);
    return s;
}

const char *trace_difference(jitc_context *c, const trace_recorder *a, const trace_recorder *b, int example) {
    difference d = {.c = c, .a = a, .b = b};
    if (same_block(&d, a->f->body, b->f->body)) return NULL;
    int limit = d.x ? d.x->id : a->f->nnodes;
    for (int i = 0; i < a->guards.n && i < b->guards.n; i++) {
        const trace_guard *x = &a->guards.at[i], *y = &b->guards.at[i];
        if (x->nodes > limit + 4 || !strcmp(x->what, y->what)) continue;
        return ir_fmt(c->ir, "%s:%d: the examples take different paths in C: %s in example 1, %s in example %d (jitc_cond, jitc_while, "
                             "jitc_where or a script function keep both paths; jitc_dim keeps a size that varies)",
                      x->place.file, x->place.line, x->what, y->what, example);
    }
    return node_difference(&d, example);
}

/* ======================================================= comparing results */

static bool same_bytes(const rt_tensor *a, const rt_tensor *b) {
    if (a->dtype != b->dtype || a->ndim != b->ndim || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape)) return false;
    rt_tensor *x = rt_tensor_copy_to(a, a->dtype), *y = rt_tensor_copy_to(b, b->dtype);
    bool same = x && y;
    int64_t n = rt_tensor_numel(a);
    for (int64_t i = 0; same && i < n; i++) {
        double p, q;
        if (rt_dtypes[a->dtype].kind != 'F') {
            same = rt_load_i64(x->storage->data, x->dtype, i) == rt_load_i64(y->storage->data, y->dtype, i);
            continue;
        }
        p = rt_load_f64(x->storage->data, x->dtype, i);
        q = rt_load_f64(y->storage->data, y->dtype, i);
        same = p == q || (p != p && q != q);
    }
    rt_tensor_release(x);
    rt_tensor_release(y);
    return same;
}

static bool same_value(rt_value a, rt_value b) {
    if (a.tag != b.tag) return false;
    if (a.tag == V_TENSOR) return same_bytes(a.tensor, b.tensor);
    if (a.tag == V_FLOAT) return a.f == b.f || (a.f != a.f && b.f != b.f);
    if (a.tag != V_LIST && a.tag != V_TUPLE) return rt_value_equal(a, b);
    bool same = a.list->n == b.list->n;
    for (int64_t i = 0; same && i < a.list->n; i++) same = same_value(a.list->at[i], b.list->at[i]);
    return same;
}

/* Tensors get memory of their own.  V_UNDEF: out of memory. */
static rt_value own_copy(rt_value v) {
    if (v.tag == V_TENSOR) {
        rt_tensor *t = rt_tensor_copy_to(v.tensor, v.tensor->dtype);
        return t ? rt_tensor_value(t) : (rt_value){.tag = V_UNDEF};
    }
    if (v.tag != V_LIST && v.tag != V_TUPLE) return rt_retain(v);
    rt_value r = rt_list_new(v.tag, v.list->n);
    for (int64_t i = 0; r.tag != V_UNDEF && i < v.list->n; i++)
        if ((r.list->at[i] = own_copy(v.list->at[i])).tag == V_UNDEF) return rt_release(r), (rt_value){.tag = V_UNDEF};
    return r;
}

/* ======================================================= several examples */

typedef struct tracing {
    jitc_context *c;
    const char *name;
    jitc_body *body;
    void *env;
    int nin, nout, n;
    const jitc_t *examples;
    trace_recorder *first;
    rt_value inputs, results; /* of the example being checked: tuples, owned */
    int example;
} tracing;

static bool keep_inputs(void *env) {
    tracing *t = env;
    t->inputs = rt_list_new(V_TUPLE, t->nin);
    if (t->inputs.tag == V_UNDEF) return trace_memory(t->c);
    for (int i = 0; i < t->nin; i++) {
        trace_slot *s = trace_slot_of(t->examples[t->example * t->nin + i]);
        if (!s) return trace_fail(t->c, JITC_E_ARGUMENT, (trace_place){0}, "jitc_trace: example %d, input %d is not a valid handle", t->example + 1, i + 1);
        if ((t->inputs.list->at[i] = own_copy(s->v)).tag == V_UNDEF) return trace_memory(t->c);
    }
    return true;
}

static bool keep_results(tracing *t, const jitc_t *out) {
    t->results = rt_list_new(V_TUPLE, t->nout);
    for (int i = 0; t->results.tag != V_UNDEF && i < t->nout; i++) {
        trace_slot *s = trace_slot_of(out[i]);
        t->results.list->at[i] = s ? own_copy(s->v) : V_NULL;
    }
    return t->results.tag != V_UNDEF || trace_memory(t->c);
}

/* Records the body once; what it writes is undone. */
static trace_recorder *record_example(tracing *t) {
    jitc_context *c = t->c;
    jitc_t in[64], out[64];
    if (!begin_trace(c, t->name)) return NULL;
    trace_recorder *r = c->rec;
    bool undo = trace_mark(c);
    jitc_scope_begin(c);
    for (int i = 0; i < t->nin; i++) in[i] = trace_input(c, NULL, t->examples[t->example * t->nin + i]);
    for (int i = 0; i < t->nout; i++) out[i] = trace_poison(c);
    if (c->status == JITC_OK) t->body(c, t->env, t->nin, in, t->nout, out);
    c->at = (trace_place){0};
    bool ok = trace_finish(c, t->nout, out) && keep_results(t, out);
    jitc_scope_end(c);
    if (undo) trace_release(c, true);
    if (!ok) trace_recorder_free(r);
    return ok ? r : NULL;
}

/* Does the first example's graph give this example's results? */
static bool interpret(tracing *t) {
    jitc_context *c = t->c;
    rt_env env = {0};
    rt_value r;
    lower_interp *in = lower_interp_new(t->first->m);
    if (!in) return trace_memory(c);
    bool ok = lower_interp_call(in, t->first->f, t->nin, t->inputs.list->at, &r, &env);
    lower_interp_free(in);
    c->ir->nerrors = 0;
    if (!ok) return trace_raised(c, (trace_place){0}, ir_fmt(c->ir, "the graph of %s, run on example %d", t->name, t->example + 1), &env);
    rt_value want = t->nout == 1 ? t->results.list->at[0] : t->results;
    int bad = -1;
    if (t->nout == 1 && !same_value(r, want)) bad = 0;
    for (int i = 0; t->nout > 1 && bad < 0 && i < t->nout; i++)
        if (!same_value(r.list->at[i], want.list->at[i])) bad = i;
    rt_release(r);
    if (bad < 0) return true;
    return trace_fail(c, JITC_E_GUARD, (trace_place){0},
                      "the graph of %s gives another result %d than the program on example %d: it depends on something outside the trace", t->name,
                      bad + 1, t->example + 1);
}

static bool check(void *env) { return interpret(env); }

typedef struct compare_job { tracing *t; const trace_recorder *r; } compare_job;

static bool compare(void *env) {
    compare_job *j = env;
    const char *text = trace_difference(j->t->c, j->t->first, j->r, j->t->example + 1);
    return !text || trace_fail(j->t->c, JITC_E_GUARD, (trace_place){0}, "%s", text);
}

static bool one_example(tracing *t) {
    t->inputs = t->results = V_NULL;
    trace_recorder *r = NULL;
    bool ok = trace_protect(t->c, keep_inputs, t) && (r = record_example(t));
    compare_job j = {t, r};
    if (ok && !t->first) t->first = r;
    else if (ok) ok = trace_protect(t->c, compare, &j);
    ok = ok && trace_protect(t->c, check, t);
    if (r && r != t->first) trace_recorder_free(r);
    rt_release(t->inputs);
    rt_release(t->results);
    return ok;
}

/* ---- sizes that differ between examples are symbols */

typedef struct varying { const int64_t *sizes; const ir_dim *dim; } varying;

static const rt_tensor *example_tensor(const tracing *t, int example, int i) {
    trace_slot *s = trace_slot_of(t->examples[example * t->nin + i]);
    return s && s->v.tag == V_TENSOR ? s->v.tensor : NULL;
}

static const ir_dim *symbol(tracing *t, int n, varying *known, int *nknown, const int64_t *sizes) {
    static const char letters[] = "NMKLPQRSTUVWXYZ";
    ir_context *ir = t->c->ir;
    for (int i = 0; i < *nknown; i++)
        if (!memcmp(known[i].sizes, sizes, (size_t)n * sizeof *sizes)) return known[i].dim;
    int k = *nknown;
    const char *name = k < (int)sizeof letters - 1 ? ir_fmt(ir, "%c", letters[k]) : ir_fmt(ir, "N%d", k);
    for (int i = 0; i < n; i++)
        if (sizes[i] == 0) ir_symbol_get(ir, name)->lo = 0;
    known[(*nknown)++] = (varying){sizes, ir_dim_symbol(ir, name)};
    return known[k].dim;
}

static bool set_types(void *env) {
    tracing *t = env;
    ir_context *ir = t->c->ir;
    varying *known = RT_ARRAY(&ir->arena, varying, t->nin * RT_MAX_RANK + 1);
    int nknown = 0;
    for (int i = 0; i < t->nin; i++) {
        const rt_tensor *x = example_tensor(t, 0, i);
        const ir_dim *dims[RT_MAX_RANK];
        for (int d = 0; x && d < x->ndim; d++) {
            int64_t *sizes = RT_ARRAY(&ir->arena, int64_t, t->n);
            bool same = true;
            for (int k = 0; k < t->n; k++) {
                sizes[k] = example_tensor(t, k, i)->shape[d];
                same = same && sizes[k] == sizes[0];
            }
            dims[d] = same ? ir_dim_const(ir, sizes[0]) : symbol(t, t->n, known, &nknown, sizes);
        }
        if (x) t->first->f->body->params.at[i]->type = ir_type_tensor(ir, x->dtype, x->ndim, dims);
    }
    return true;
}

static bool same_kinds(tracing *t) {
    for (int k = 0; k < t->n * t->nin; k++) {
        trace_slot *a = trace_slot_of(t->examples[k % t->nin]), *b = trace_slot_of(t->examples[k]);
        if (!a || !b) return trace_fail(t->c, JITC_E_ARGUMENT, (trace_place){0}, "jitc_trace: example %d, input %d is not a valid handle", k / t->nin + 1, k % t->nin + 1);
        bool same = a->v.tag == b->v.tag;
        if (same && a->v.tag == V_TENSOR) same = a->v.tensor->dtype == b->v.tensor->dtype && a->v.tensor->ndim == b->v.tensor->ndim;
        if (!same)
            return trace_fail(t->c, JITC_E_ARGUMENT, (trace_place){0}, "jitc_trace: input %d of example %d has another dtype or rank than in example 1",
                              k % t->nin + 1, k / t->nin + 1);
    }
    return true;
}

jitc_status jitc_trace(jitc_context *c, const char *name, jitc_body *body, void *env, int nin, int nout, int nexamples,
                       const jitc_t *examples, jitc_graph **out) {
    tracing t = {.c = c, .name = name, .body = body, .env = env, .nin = nin, .nout = nout, .n = nexamples, .examples = examples};
    *out = NULL;
    if (c->status != JITC_OK) return c->status;
    if (nin < 0 || nin > 64 || nout < 0 || nout > 64 || nexamples < 1) {
        trace_fail(c, JITC_E_ARGUMENT, (trace_place){0}, "jitc_trace: at most 64 inputs and results, and at least one example");
        return c->status;
    }
    bool ok = same_kinds(&t);
    for (; ok && t.example < nexamples; t.example++) ok = one_example(&t);
    ok = ok && trace_protect(c, set_types, &t);
    if (ok) *out = graph_new(c, t.first, nin, nout);
    else if (t.first) trace_recorder_free(t.first);
    return *out ? JITC_OK : c->status;
}

/* ======================================================= graphs in use */

static bool print(void *env) {
    jitc_graph *g = env;
    g->text.n = 0;
    ir_print_module(&g->text, g->r->m);
    return !g->text.failed || trace_memory(g->c);
}

const char *jitc_trace_text(jitc_graph *g) { return trace_protect(g->c, print, g) && g->text.s ? g->text.s : ""; }

int jitc_trace_guards(const jitc_graph *g) { return g->r->guards.n; }

const char *jitc_trace_guard(const jitc_graph *g, int i, const char **file, int *line) {
    bool good = i >= 0 && i < g->r->guards.n;
    if (file) *file = good ? g->r->guards.at[i].place.file : "";
    if (line) *line = good ? g->r->guards.at[i].place.line : 0;
    return good ? g->r->guards.at[i].what : "";
}

typedef struct run_job { jitc_graph *g; int nin, nout; const jitc_t *in; jitc_t *out; } run_job;

static bool run_graph(void *env) {
    run_job *j = env;
    jitc_context *c = j->g->c;
    rt_value *args = RT_ARRAY(&c->tmp, rt_value, j->nin + 1), r;
    rt_env raised = {0};
    if (j->nin != j->g->nin || j->nout != j->g->nout)
        return trace_fail(c, JITC_E_ARGUMENT, c->at, "the graph has %d inputs and %d results", j->g->nin, j->g->nout);
    for (int i = 0; i < j->nin; i++) {
        trace_slot *s = trace_slot_of(j->in[i]);
        if (!s) return trace_fail(c, JITC_E_ARGUMENT, c->at, "jitc_trace_run: input %d is not a valid handle", i + 1);
        args[i] = s->v;
    }
    if (!j->g->in && !(j->g->in = lower_interp_new(j->g->r->m))) return trace_memory(c);
    bool ok = lower_interp_call(j->g->in, j->g->r->f, j->nin, args, &r, &raised);
    c->ir->nerrors = 0;
    if (!ok) return trace_raised(c, c->at, j->g->r->f->name, &raised);
    return trace_results(c, trace_temp(c, r), j->nout, j->out);
}

jitc_status jitc_trace_run(jitc_graph *g, int nin, const jitc_t *in, int nout, jitc_t *out) {
    run_job j = {g, nin, nout, in, out};
    g->c->at = (trace_place){0};
    for (int i = 0; i < nout; i++) out[i] = trace_poison(g->c);
    bool ok = trace_protect(g->c, run_graph, &j);
    trace_end_call(g->c);
    return ok ? JITC_OK : g->c->status;
}

/* ======================================================= saving */

typedef struct save_job { jitc_graph *g; const char *path; } save_job;

static bool write_file(jitc_context *c, const char *path, const rt_text *t) {
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(t->s, 1, t->n, f) == t->n;
    if (f && fclose(f)) ok = false;
    return ok || trace_fail(c, JITC_E_FILE, (trace_place){0}, "cannot write %s: %s", path, strerror(errno));
}

/* The text is moved into place last, so that it never stands beside the weights of another graph. */
static bool save(void *env) {
    save_job *j = env;
    jitc_context *c = j->g->c;
    size_t n = strlen(j->path);
    int before = c->ir->diags.n;
    if (n < 4 || strcmp(j->path + n - 3, ".ir")) return trace_fail(c, JITC_E_ARGUMENT, (trace_place){0}, "%s: the name must end in .ir", j->path);
    const char *temporary = ir_fmt(c->ir, "%s.%d.tmp", j->path, (int)getpid());
    const char *weights = ir_fmt(c->ir, "%.*s.weights.safetensors", (int)(n - 3), j->path);
    if (!print(j->g)) return false;
    bool ok = write_file(c, temporary, &j->g->text);
    if (ok && j->g->r->m->tensors.n && !ir_weights_save(j->g->r->m, weights)) ok = trace_diagnostics(c, before, (trace_place){0});
    if (ok && rename(temporary, j->path)) ok = trace_fail(c, JITC_E_FILE, (trace_place){0}, "cannot write %s: %s", j->path, strerror(errno));
    if (!ok) remove(temporary);
    return ok;
}

jitc_status jitc_trace_save(jitc_graph *g, const char *path) {
    save_job j = {g, path};
    return trace_protect(g->c, save, &j) ? JITC_OK : g->c->status;
}
