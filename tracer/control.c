/* control.c: cond and while over C functions: run as C would, or recorded as `if` and `loop` nodes.
 *
 * Recording needs both arms, so the one that is not taken is run as well, on the same inputs, and what it wrote is
 * undone.  Of a loop the first iteration is recorded; the others only run. */
#include "tracer/tracer.h"

enum { MAX_VALUES = 64 };

/* Values on their way between scopes: owned. */
typedef struct values {
    int n;
    rt_value v[MAX_VALUES];
    const ir_type *type[MAX_VALUES];
    ir_value *node[MAX_VALUES];
} values;

static void drop_values(values *x) {
    for (int i = 0; i < x->n; i++) rt_release(x->v[i]);
    x->n = 0;
}

typedef struct job {
    jitc_context *c;
    const char *what;
    int n;
    const jitc_t *in;
    values *out;
    ir_block *block; /* results go there, or NULL */
} job;

/* The values behind handles, as long as their scope lasts. */
static bool take(void *env) {
    job *j = env;
    jitc_context *c = j->c;
    j->out->n = 0;
    for (int i = 0; i < j->n; i++) {
        trace_slot *s = trace_slot_of(j->in[i]);
        if (!s || j->in[i].context != c)
            return trace_fail(c, JITC_E_ARGUMENT, c->at, "%s: value %d was not set, or has ended with its scope", j->what, i);
        ir_value *node = NULL;
        if (trace_recording(c) && !(node = trace_slot_node(c, s))) return false;
        if (node && j->block) ir_block_result(j->block, node);
        j->out->v[i] = rt_retain(s->v);
        j->out->type[i] = s->type;
        j->out->node[i] = node;
        j->out->n++;
    }
    return true;
}

static bool take_values(jitc_context *c, const char *what, int n, const jitc_t *in, ir_block *block, values *out) {
    job j = {c, what, n, in, out, block};
    bool ok = trace_protect(c, take, &j);
    trace_end_call(c);
    return ok;
}

static void give(jitc_context *c, const values *x, jitc_t *out) {
    for (int i = 0; i < x->n; i++) out[i] = trace_handle(c, rt_retain(x->v[i]), x->type[i], x->node[i]);
}

static void poison(jitc_context *c, int n, jitc_t *out) {
    for (int i = 0; i < n; i++) out[i] = trace_poison(c);
}

static bool too_many(jitc_context *c, const char *what, int n) {
    if (n >= 0 && n <= MAX_VALUES) return false;
    trace_fail(c, JITC_E_ARGUMENT, c->at, "%s: at most %d values", what, MAX_VALUES);
    return true;
}

/* ---- the condition: a bool */

typedef struct truth { jitc_context *c; const char *what; jitc_t x; trace_arg out; bool value; } truth;

static bool read_truth(void *env) {
    truth *t = env;
    jitc_context *c = t->c;
    trace_slot *s = trace_slot_of(t->x);
    if (!s || t->x.context != c) return trace_fail(c, JITC_E_ARGUMENT, c->at, "%s: the condition is not valid", t->what);
    if (!trace_arg_slot(c, s, &t->out)) return false;
    if (t->out.v.tag != V_BOOL && !trace_apply1(c, "Bool", 1, &t->out, &t->out)) return false;
    if (trace_recording(c) && !trace_node(c, &t->out)) return false;
    t->value = t->out.v.i != 0;
    return true;
}

static bool condition(jitc_context *c, const char *what, jitc_t x, truth *out) {
    *out = (truth){.c = c, .what = what, .x = x};
    bool ok = trace_protect(c, read_truth, out);
    trace_end_call(c);
    return ok;
}

/* ======================================================= cond */

typedef struct cond {
    jitc_context *c;
    ir_node *n;
    jitc_body *arms[2];
    void *env;
    int nin, nout;
    const jitc_t *in;
    values r[2];
    ir_value *pred;
    trace_place at;
} cond;

static bool make_if(void *env) {
    cond *x = env;
    trace_recorder *r = x->c->rec;
    x->n = ir_node_new(r->f, ir_struct(x->c->ir, S_IF), trace_span(x->c), 1, &x->pred, 0, NULL);
    ir_append(r->b, x->n);
    for (int i = 0; i < 2; i++) ir_block_new(r->f, x->n);
    return true;
}

static bool run_arm(cond *x, int i) {
    jitc_context *c = x->c;
    jitc_t out[MAX_VALUES];
    poison(c, x->nout, out);
    jitc_scope_begin(c);
    x->arms[i](c, x->env, x->nin, x->in, x->nout, out);
    c->at = x->at;
    bool ok = take_values(c, "jitc_cond", x->nout, out, x->n ? x->n->blocks[i] : NULL, &x->r[i]);
    jitc_scope_end(c);
    return ok;
}

/* undo: what the arm writes is undone; *wrote: it did write. */
static bool record_arm(cond *x, int i, bool undo, bool *wrote) {
    jitc_context *c = x->c;
    ir_block *outer = c->rec->b;
    int before = c->undo.n;
    if (undo && !trace_mark(c)) return false;
    c->rec->b = x->n->blocks[i];
    bool ok = run_arm(x, i);
    *wrote = c->undo.n > before;
    if (undo) trace_release(c, true);
    c->rec->b = outer;
    return ok;
}

/* Always in the same order, so that the graph does not depend on which arm is taken.  The taken one counts last: it is run
 * once more, unrecorded, where what it wrote had to be undone. */
static bool record_arms(cond *x, int taken) {
    jitc_context *c = x->c;
    bool fine = c->status == JITC_OK, wrote = false, other;
    bool ok = record_arm(x, 0, true, &wrote);
    if (taken == 1) wrote = false;
    bool first = ok;
    ok = ok && record_arm(x, 1, taken != 1, &other);
    if (fine && !ok && c->status != JITC_OK && x->at.file && (first ? 1 : 0) != taken)
        rt_text_fmt(&c->error, " (in the branch of jitc_cond at %s:%d that is not taken, which is run to record it)", x->at.file, x->at.line);
    if (!ok || !wrote) return ok;
    drop_values(&x->r[0]);
    ir_node *n = x->n;
    x->n = NULL;
    c->rec->paused++;
    ok = run_arm(x, 0);
    c->rec->paused--;
    x->n = n;
    return ok;
}

static bool join_arms(void *env) {
    cond *x = env;
    for (int i = 0; i < x->nout; i++) {
        const ir_type *t = ir_join(x->c->ir, x->r[0].type[i], x->r[1].type[i]);
        if (!t) return trace_fail(x->c, JITC_E_ARGUMENT, x->c->at, "jitc_cond: result %d is of different kinds in the two branches", i);
        for (int k = 0; k < 2; k++) {
            x->r[k].type[i] = t;
            x->r[k].node[i] = NULL;
        }
    }
    for (int i = 0; i < x->nout && x->n; i++) {
        ir_value *v = ir_add_output(x->n, x->r[0].type[i]);
        x->r[0].node[i] = x->r[1].node[i] = v;
    }
    return true;
}

void jitc_cond_at(jitc_context *c, jitc_t pred, jitc_body *then_fn, jitc_body *else_fn, void *env, int nin, const jitc_t *in, int nout,
                  jitc_t *out, const char *file, int line) {
    truth t;
    cond x = {.c = c, .arms = {then_fn, else_fn}, .env = env, .nin = nin, .nout = nout, .in = in, .at = {file, line}};
    c->at = x.at;
    if (too_many(c, "jitc_cond", nout)) return;
    poison(c, nout, out);
    if (!condition(c, "jitc_cond", pred, &t)) return;
    int taken = t.value ? 0 : 1;
    bool ok;
    if (trace_recording(c)) {
        x.pred = t.out.node;
        ok = trace_protect(c, make_if, &x) && record_arms(&x, taken) && trace_protect(c, join_arms, &x);
    } else {
        ok = run_arm(&x, taken);
    }
    if (ok) give(c, &x.r[taken], out);
    for (int i = 0; i < 2; i++) drop_values(&x.r[i]);
}

/* ======================================================= while */

typedef struct loop {
    jitc_context *c;
    ir_node *n;
    jitc_body *cond_fn, *body_fn;
    void *env;
    ir_value *first; /* the condition before the loop */
    values x;        /* the state; of the recorded iteration: its block's parameters */
    bool go;
    trace_place at;
} loop;

static bool make_loop(void *env) {
    loop *l = env;
    ir_context *ir = l->c->ir;
    trace_recorder *r = l->c->rec;
    ir_value *in[MAX_VALUES + 2];
    in[0] = ir_const(r->b, trace_span(l->c), rt_int(INT64_MAX), ir_type_simple(ir, T_INT));
    in[1] = l->first;
    for (int i = 0; i < l->x.n; i++) in[i + 2] = l->x.node[i];
    l->n = ir_node_new(r->f, ir_struct(ir, S_LOOP), trace_span(l->c), l->x.n + 2, in, l->x.n, l->x.type);
    ir_append(r->b, l->n);
    ir_block *b = ir_block_new(r->f, l->n);
    ir_block_param(b, ir_type_simple(ir, T_INT), "i");
    for (int i = 0; i < l->x.n; i++) l->x.node[i] = ir_block_param(b, l->x.type[i], NULL);
    return true;
}

static bool same_types(const loop *l, const values *now) {
    for (int i = 0; i < now->n; i++)
        if (now->type[i] != l->x.type[i])
            return trace_fail(l->c, JITC_E_ARGUMENT, l->at, "jitc_while: value %d changes its kind in the loop", i);
    return true;
}

static bool block_results(void *env) {
    loop *l = env;
    ir_block *b = l->n->blocks[0];
    ir_block_result(b, l->first);
    for (int i = 0; i < l->x.n; i++) ir_block_result(b, l->x.node[i]);
    return true;
}

/* cond_fn on x: l->go and, while recording, l->first. */
static bool test(loop *l, const jitc_t *x) {
    jitc_context *c = l->c;
    jitc_t out = trace_poison(c);
    truth t;
    l->cond_fn(c, l->env, l->x.n, x, 1, &out);
    c->at = l->at;
    if (!condition(c, "jitc_while", out, &t)) return false;
    l->go = t.value;
    l->first = t.out.node;
    return true;
}

/* One iteration: the state becomes the next. */
static bool iterate(loop *l) {
    jitc_context *c = l->c;
    jitc_t in[MAX_VALUES], out[MAX_VALUES];
    values next = {0};
    jitc_scope_begin(c);
    give(c, &l->x, in);
    poison(c, l->x.n, out);
    l->body_fn(c, l->env, l->x.n, in, l->x.n, out);
    c->at = l->at;
    bool ok = take_values(c, "jitc_while", l->x.n, out, NULL, &next) && same_types(l, &next);
    drop_values(&l->x);
    if (ok) l->x = next;
    else drop_values(&next);
    ok = ok && test(l, out);
    jitc_scope_end(c);
    return ok;
}

/* A first iteration that is not to happen is undone. */
static bool record_loop(loop *l) {
    jitc_context *c = l->c;
    ir_block *outer = c->rec->b;
    bool real = l->go;
    values before = l->x;
    if (!trace_protect(c, make_loop, l)) return false;
    for (int i = 0; i < before.n; i++) rt_retain(before.v[i]);
    c->rec->b = l->n->blocks[0];
    bool undo = !real && trace_mark(c);
    bool ok = (real || undo) && iterate(l) && trace_protect(c, block_results, l);
    if (undo) trace_release(c, true);
    c->rec->b = outer;
    if (ok && !real) {
        drop_values(&l->x);
        l->x = before;
        l->go = false;
    } else {
        drop_values(&before);
    }
    return ok;
}

void jitc_while_at(jitc_context *c, jitc_body *cond_fn, jitc_body *body_fn, void *env, int n, const jitc_t *in, jitc_t *out,
                   const char *file, int line) {
    loop l = {.c = c, .cond_fn = cond_fn, .body_fn = body_fn, .env = env, .at = {file, line}};
    c->at = l.at;
    if (too_many(c, "jitc_while", n)) return;
    bool recording = trace_recording(c), ok = take_values(c, "jitc_while", n, in, NULL, &l.x);
    poison(c, n, out);
    ok = ok && test(&l, in) && (!recording || record_loop(&l));
    trace_recorder *r = c->rec;
    if (r) r->paused++;
    for (int i = 0; recording && i < l.x.n; i++) l.x.node[i] = NULL;
    while (ok && l.go) ok = iterate(&l);
    if (r) r->paused--;
    for (int i = 0; ok && recording && i < l.x.n; i++) l.x.node[i] = l.n->out[i];
    if (ok) give(c, &l.x, out);
    drop_values(&l.x);
}
