/* handle.c: functions that compile themselves.
 *
 * The first call with new dtypes and ranks runs eagerly and is recorded; the next one compiles the recording, with the
 * sizes that varied so far as symbols, and runs it.  Captured tensors are further inputs of the compiled function: it sees
 * what the program does to them, and what it writes is written to them.  A guard that fails leaves everything as it
 * was, so the call can be done again eagerly; its path is recorded as one more variant. */
#include "codegen/artefact.h"
#include "lower/custom.h"
#include "lower/entries.h"
#include "lower/pass.h"
#include "tracer/tracer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_VARIANTS = 8, MAX_COMPILES = 8, MAX_INPUTS = 64 };

typedef struct variant {
    trace_recorder *r;
    const char *key;      /* dtypes and ranks of the inputs, number of results */
    int nin, nout;
    RT_VEC(rt_value) examples; /* V_TUPLE of the arguments, captures too, with shapes but without data; owned */
    jitc_module *module;  /* NULL: not compiled yet */
    jitc_session *session;
    bool pinned;          /* the same graph as another variant's: only for the sizes that it was recorded with */
    const char *why;      /* it cannot be compiled */
    int compiles;
    int64_t runs;
} variant;

struct jitc_fn {
    jitc_context *c;
    const char *name;
    jitc_body *body;
    void *env;
    RT_VEC(variant *) variants;
    RT_VEC(const char *) eager; /* keys that stay eager, each followed by the reason */
    jitc_fn_counts counts;
    rt_text report, key;
};

/* One call. */
typedef struct call {
    jitc_fn *f;
    jitc_context *c;
    int nin, nout;
    const jitc_t *in;
    jitc_t *out;
    const char *key;
    variant *v;
} call;

/* ======================================================= signatures and sizes */

static bool describe(call *x) {
    rt_text *t = &x->f->key;
    t->n = 0;
    rt_text_fmt(t, "%d>%d", x->nin, x->nout);
    for (int i = 0; i < x->nin; i++) {
        trace_slot *s = trace_slot_of(x->in[i]);
        if (!s || x->in[i].context != x->c) return trace_fail(x->c, JITC_E_ARGUMENT, x->c->at, "%s: input %d is not a valid handle", x->f->name, i + 1);
        if (s->v.tag > V_TENSOR || s->v.tag == V_STR || s->v.tag == V_NONE)
            return trace_fail(x->c, JITC_E_ARGUMENT, x->c->at, "%s: input %d must be a tensor or a number", x->f->name, i + 1);
        if (s->v.tag == V_TENSOR) rt_text_fmt(t, " %s[%d]", rt_dtypes[s->v.tensor->dtype].name, s->v.tensor->ndim);
        else rt_text_fmt(t, " %s", s->v.tag == V_INT ? "int" : s->v.tag == V_FLOAT ? "float" : "bool");
    }
    x->key = t->s;
    return !t->failed || trace_memory(x->c);
}

static int nargs_of(const variant *v) { return v->r->f->body->params.n; }

/* Argument i of a compiled call: an input, or a captured tensor. */
static rt_value argument(const call *x, const variant *v, int i) {
    if (i < x->nin) return trace_slot_of(x->in[i])->v;
    const ir_value *p = v->r->f->body->params.at[i];
    for (int k = 0; k < v->r->captures.n; k++)
        if (v->r->captures.at[k].node == p) return rt_tensor_value(v->r->captures.at[k].base);
    return V_NULL;
}

/* A tensor of the same dtype and shape that has next to no memory. */
static rt_value shape_only(rt_value v) {
    static double nothing;
    int64_t strides[RT_MAX_RANK] = {0};
    if (v.tag != V_TENSOR) return v;
    rt_tensor *t = rt_tensor_wrap(v.tensor->dtype, v.tensor->ndim, v.tensor->shape, strides, &nothing, sizeof nothing, NULL, NULL);
    return t ? rt_tensor_value(t) : (rt_value){.tag = V_UNDEF};
}

static bool add_example(call *x, variant *v) {
    int n = nargs_of(v);
    rt_value e = rt_list_new(V_TUPLE, n);
    if (e.tag == V_UNDEF) return trace_memory(x->c);
    RT_PUSH(&x->c->own, &v->examples, e);
    for (int i = 0; i < n; i++)
        if ((e.list->at[i] = shape_only(argument(x, v, i))).tag == V_UNDEF) return trace_memory(x->c);
    return true;
}

/* Size number k of an argument list; false: there are fewer. */
static bool size_at(rt_value args, int k, int64_t *out) {
    for (int64_t i = 0; i < args.list->n; i++) {
        rt_value a = args.list->at[i];
        if (a.tag != V_TENSOR) continue;
        if (k < a.tensor->ndim) return *out = a.tensor->shape[k], true;
        k -= a.tensor->ndim;
    }
    return false;
}

/* In all examples: is size i constant; are sizes i and j the same? */
static bool constant_size(const variant *v, int i) {
    int64_t a = 0, b = 0;
    size_at(v->examples.at[0], i, &a);
    for (int e = 1; e < v->examples.n; e++)
        if (size_at(v->examples.at[e], i, &b) && a != b) return false;
    return true;
}

static bool equal_sizes(const variant *v, int i, int j) {
    int64_t a = 0, b = 0;
    for (int e = 0; e < v->examples.n; e++)
        if (size_at(v->examples.at[e], i, &a) && size_at(v->examples.at[e], j, &b) && a != b) return false;
    return true;
}

/* Do the examples that v is (to be) compiled for say that a call with the last example's sizes is allowed?  The last one is
 * that of the call itself and does not count. */
static bool covers(variant *v) {
    rt_value now = v->examples.at[v->examples.n - 1];
    int64_t a, b, first = 0;
    bool ok = true;
    v->examples.n--;
    for (int i = 0; ok && size_at(now, i, &a); i++) {
        bool constant = constant_size(v, i);
        size_at(v->examples.at[0], i, &first);
        ok = constant ? a == first : a > 0;
        for (int j = 0; ok && !constant && j < i && size_at(now, j, &b); j++)
            if (!constant_size(v, j) && equal_sizes(v, i, j)) ok = a == b;
    }
    v->examples.n++;
    return ok;
}

static void drop_example(variant *v) { rt_release(v->examples.at[--v->examples.n]); }

/* ======================================================= compiling */

static void unload(variant *v) {
    jitc_session_free(v->session);
    jitc_module_release(v->module);
    v->session = NULL;
    v->module = NULL;
}

static bool entries_of(call *x, const variant *v, lower_entries *out) {
    ir_context *ir = x->c->ir;
    int n = nargs_of(v);
    lower_method m = {.name = v->r->f->name, .func = v->r->f, .defaults = RT_ARRAY(&ir->arena, const rt_value *, n + 1)};
    lower_words words = {0};
    lower_call *calls = RT_ARRAY(&ir->arena, lower_call, v->examples.n);
    for (int i = 0; i < v->examples.n; i++) calls[i] = (lower_call){n, v->examples.at[i].list->at};
    return lower_entries_from_calls(v->r->m, &m, &words, v->examples.n, calls, out) && out->list.n == 1;
}

static bool write_module(call *x, const variant *v, const char *path) {
    ir_context *ir = x->c->ir;
    lower_entries entries = {0};
    lower_options passes = {.opt = 3};
    bool stopped = false;
    ir->symbols = (rt_map){0}; /* ranges that an earlier compile assumed are not those of this one */
    if (!entries_of(x, v, &entries)) return false;
    cg_target *target = cg_target_new(ir, NULL, passes.opt);
    if (!target) return false;
    passes.tile_rows = cg_tile_rows(target);
    ir_module *core = lower_specialise(v->r->m, entries.list.n, entries.list.at);
    cg_options o = {.name = x->f->name, .producer = "jitc"};
    bool ok = core && lower_run(core, &passes, &stopped) &&
              cg_write_artefact(core, target, entries.list.n, entries.list.at, &o, path);
    cg_target_free(target);
    return ok;
}

static const char *first_error(jitc_context *c, int before) {
    const ir_context *ir = c->ir;
    for (int i = before; i < ir->diags.n; i++)
        if (ir->diags.at[i].severity == IR_ERROR) return ir->diags.at[i].text;
    return "it failed without a message";
}

/* The context's custom operators are also those of the compiled code. */
static int find_custom(void *user, const char *name, const char *signature, jitc_op *out) {
    const jitc_context *c = user;
    const ir_op *op = ir_op_find(c->ir, name);
    if (!op || !op->custom || !op->custom->call || strcmp(op->custom->signature, signature)) return 0;
    *out = rt_ffi_op(op->full, op->custom->call);
    return 1;
}

static bool load_module(call *x, variant *v, const char *path) {
    jitc_load_opts o = {.size = sizeof o, .find_op = find_custom, .user = x->c};
    jitc_status status = jitc_load(path, &o, &v->module);
    if (status == JITC_OK) status = jitc_session_new(v->module, NULL, &v->session);
    if (status == JITC_OK) return true;
    v->why = ir_fmt(x->c->ir, "%s", jitc_error());
    unload(v);
    return false;
}

/* Compiles v for its examples; false: v->why says why not. */
static bool compile(void *env) {
    call *x = env;
    variant *v = x->v;
    ir_context *ir = x->c->ir;
    const char *tmp = getenv("TMPDIR");
    int before = ir->diags.n;
    unload(v);
    v->why = "out of memory"; /* unless it is said otherwise */
    char *dir = rt_arena_fmt(&ir->arena, "%s/jitc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        v->why = ir_fmt(ir, "cannot make a temporary folder: %s", strerror(errno));
        return false;
    }
    const char *path = ir_fmt(ir, "%s/module.so", dir);
    v->compiles++;
    x->f->counts.compiles++;
    bool ok = write_module(x, v, path);
    v->why = ok && !ir->nerrors ? NULL : first_error(x->c, before);
    ir->diags.n = before;
    ir->nerrors = 0;
    ok = !v->why && load_module(x, v, path);
    remove(path);
    rmdir(dir);
    return ok;
}

/* ======================================================= running compiled code */

typedef enum outcome { DONE, OTHER_PATH, FAILED } outcome;

static bool share_memory(const call *x, const variant *v) {
    int n = nargs_of(v);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) {
            rt_value a = argument(x, v, i), b = argument(x, v, j);
            if (a.tag == V_TENSOR && b.tag == V_TENSOR && a.tensor->storage == b.tensor->storage) return true;
        }
    return false;
}

typedef struct giving { call *x; rt_value v; } giving;

static bool give_results(void *env) {
    giving *g = env;
    return trace_results(g->x->c, g->v, g->x->nout, g->x->out);
}

static outcome run(call *x, variant *v) {
    jitc_value args[2 * MAX_INPUTS], result;
    int n = nargs_of(v);
    if (n > 2 * MAX_INPUTS) return OTHER_PATH;
    for (int i = 0; i < n; i++) args[i] = rt_to_public(argument(x, v, i));
    jitc_status status = jitc_run(v->session, v->r->f->name, n, args, &result);
    if (status == JITC_E_GUARD || status == JITC_E_SHAPE) return OTHER_PATH;
    if (status != JITC_OK) {
        trace_fail(x->c, status, x->c->at, "%s: %s", x->f->name, jitc_session_error(v->session));
        return FAILED;
    }
    v->runs++;
    x->f->counts.compiled_calls++;
    giving g = {x, rt_of_public(result)};
    bool ok = trace_protect(x->c, give_results, &g);
    trace_end_call(x->c);
    return ok ? DONE : FAILED;
}

/* ======================================================= running eagerly */

/* Results must not share memory with what the program has: compiled code's do not. */
static bool own_results(call *x, rt_value *kept, const ir_type **types) {
    for (int i = 0; i < x->nout; i++) {
        trace_slot *s = trace_slot_of(x->out[i]);
        if (!s) return trace_fail(x->c, JITC_E_ARGUMENT, x->c->at, "%s: result %d was not set", x->f->name, i + 1);
        kept[i] = rt_retain(s->v);
        types[i] = s->type;
    }
    return true;
}

static bool unshare(jitc_context *c, rt_value *v) {
    if (v->tag != V_TENSOR || (v->tensor->refs == 1 && v->tensor->storage->refs == 1)) return true;
    rt_tensor *t = rt_tensor_copy_to(v->tensor, v->tensor->dtype);
    if (!t) return trace_memory(c);
    rt_tensor_release(v->tensor);
    v->tensor = t;
    return true;
}

/* Runs the body in a scope of its own; the results are handles around it. */
static bool run_body(call *x, const jitc_t *in, trace_recorder *r) {
    jitc_context *c = x->c;
    rt_value kept[MAX_INPUTS];
    const ir_type *types[MAX_INPUTS];
    for (int i = 0; i < x->nout; i++) {
        x->out[i] = trace_poison(c);
        kept[i] = V_NULL;
    }
    x->f->body(c, x->f->env, x->nin, in, x->nout, x->out);
    c->at = (trace_place){0};
    bool ok = !r || trace_finish(c, x->nout, x->out);
    ok = ok && c->status == JITC_OK && own_results(x, kept, types);
    jitc_scope_end(c);
    for (int i = 0; i < x->nout; i++) {
        ok = ok && unshare(c, &kept[i]);
        x->out[i] = ok ? trace_handle(c, rt_retain(kept[i]), types[i], NULL) : trace_poison(c);
        rt_release(kept[i]);
    }
    return ok;
}

static bool run_eager(call *x) {
    x->f->counts.eager_calls++;
    jitc_scope_begin(x->c);
    return run_body(x, x->in, NULL);
}

typedef struct eager_job { const call *x; const char *why; } eager_job;

static bool stay_eager(void *env) {
    eager_job *j = env;
    jitc_context *c = j->x->c;
    RT_PUSH(&c->own, &j->x->f->eager, ir_intern(c->ir, j->x->key));
    RT_PUSH(&c->own, &j->x->f->eager, ir_intern(c->ir, j->why));
    return true;
}

static bool is_eager(const call *x) {
    for (int i = 0; i < x->f->eager.n; i += 2)
        if (!strcmp(x->f->eager.at[i], x->key)) return true;
    return false;
}

static void give_up(const call *x, const char *why) {
    eager_job j = {x, why};
    trace_protect(x->c, stay_eager, &j);
}

static bool begin(void *env) {
    call *x = env;
    return trace_record(x->c, x->f->name, true) != NULL;
}

static bool keep_variant(void *env) {
    call *x = env;
    variant *v = RT_NEW(&x->c->own, variant);
    *v = *x->v;
    v->key = ir_intern(x->c->ir, x->key);
    for (int i = 0; i < x->f->variants.n; i++) {
        const variant *o = x->f->variants.at[i];
        if (!strcmp(o->key, v->key) && !trace_difference(x->c, o->r, v->r, 2)) v->pinned = true;
    }
    RT_PUSH(&x->c->own, &x->f->variants, v);
    x->f->counts.variants++;
    return add_example(x, v);
}

/* Runs eagerly and records the path as a variant. */
static bool run_recorded(call *x) {
    jitc_context *c = x->c;
    jitc_t in[MAX_INPUTS];
    if (!trace_mark(c)) return false;
    if (!trace_protect(c, begin, x)) return trace_release(c, false), false;
    trace_recorder *r = c->rec;
    x->f->counts.eager_calls++;
    jitc_scope_begin(c);
    for (int i = 0; i < x->nin; i++) in[i] = trace_input(c, NULL, x->in[i]);
    bool ok = run_body(x, in, r);
    c->rec = NULL;
    bool again = !ok && c->status == JITC_E_UNSUPPORTED; /* it cannot be recorded, but the program may be fine */
    trace_release(c, again);
    if (ok) {
        variant v = {.r = r, .nin = x->nin, .nout = x->nout};
        x->v = &v;
        trace_protect(c, keep_variant, x);
        trace_end_call(c);
        return c->status == JITC_OK;
    }
    trace_recorder_free(r);
    if (!again) return false;
    give_up(x, jitc_context_error(c));
    jitc_context_clear(c); /* undone: the same again, unrecorded */
    return run_eager(x);
}

/* ======================================================= a call */

static bool add(void *env) {
    call *x = env;
    return add_example(x, x->v);
}

/* Tries a variant: one that is compiled for such sizes, or (may_compile) one that must be compiled for them first. */
static outcome try_variant(call *x, variant *v, bool may_compile) {
    if (v->why || v->nin != x->nin || v->nout != x->nout || strcmp(v->key, x->key)) return OTHER_PATH;
    if (v->r->writes && share_memory(x, v)) return OTHER_PATH;
    x->v = v;
    if (!trace_protect(x->c, add, x)) return FAILED;
    bool fits = covers(v);
    if ((fits && v->module) || !may_compile) {
        drop_example(v);
        return fits && v->module && !may_compile ? run(x, v) : OTHER_PATH;
    }
    if (!fits && (v->pinned || v->compiles >= MAX_COMPILES)) return drop_example(v), OTHER_PATH;
    if (fits) drop_example(v);
    if (!trace_protect(x->c, compile, x)) {
        if (x->c->status == JITC_E_MEMORY) return FAILED;
        return OTHER_PATH;
    }
    trace_end_call(x->c);
    return run(x, v);
}

static outcome try_variants(call *x) {
    for (int compiling = 0; compiling < 2; compiling++)
        for (int i = 0; i < x->f->variants.n; i++) {
            outcome o = try_variant(x, x->f->variants.at[i], compiling);
            if (o != OTHER_PATH) return o;
        }
    return OTHER_PATH;
}

/* A variant that cannot be compiled means that this signature stays eager. */
static bool failed_before(const call *x) {
    for (int i = 0; i < x->f->variants.n; i++)
        if (x->f->variants.at[i]->why && !strcmp(x->f->variants.at[i]->key, x->key)) return true;
    return false;
}

static bool aliased(const call *x) {
    for (int i = 0; i < x->nin; i++)
        for (int j = 0; j < i; j++) {
            rt_value a = trace_slot_of(x->in[i])->v, b = trace_slot_of(x->in[j])->v;
            if (a.tag == V_TENSOR && b.tag == V_TENSOR && a.tensor->storage == b.tensor->storage) return true;
        }
    return false;
}

static bool do_call(call *x) {
    if (x->c->rec) { /* inside of a trace the function is part of that */
        x->f->body(x->c, x->f->env, x->nin, x->in, x->nout, x->out);
        return x->c->status == JITC_OK;
    }
    if (!describe(x)) return false;
    if (is_eager(x)) return run_eager(x);
    outcome o = try_variants(x);
    if (o != OTHER_PATH) return o == DONE;
    if (failed_before(x) || aliased(x)) return run_eager(x);
    if (x->f->variants.n < MAX_VARIANTS) return run_recorded(x);
    give_up(x, "there are as many variants already as a function may have");
    return run_eager(x);
}

jitc_status jitc_fn_call(jitc_fn *f, int nin, const jitc_t *in, int nout, jitc_t *out) {
    call x = {.f = f, .c = f->c, .nin = nin, .nout = nout, .in = in, .out = out};
    for (int i = 0; i < nout; i++) out[i] = trace_poison(f->c);
    if (f->c->status != JITC_OK) return f->c->status;
    f->c->at = (trace_place){0};
    if (nin < 0 || nin > MAX_INPUTS || nout < 0 || nout > MAX_INPUTS) {
        trace_fail(f->c, JITC_E_ARGUMENT, f->c->at, "%s: at most %d inputs and results", f->name, MAX_INPUTS);
        return f->c->status;
    }
    return do_call(&x) ? JITC_OK : f->c->status;
}

/* ======================================================= functions */

typedef struct making { jitc_context *c; const char *name; jitc_fn *out; } making;

static bool make(void *env) {
    making *m = env;
    if (!ir_is_identifier(m->name) || strchr(m->name, '.'))
        return trace_fail(m->c, JITC_E_ARGUMENT, (trace_place){0}, "'%s' is no name for a function", m->name);
    m->out = RT_NEW(&m->c->own, jitc_fn);
    *m->out = (jitc_fn){.c = m->c, .name = ir_intern(m->c->ir, m->name)};
    RT_PUSH(&m->c->own, &m->c->functions, m->out);
    return true;
}

jitc_fn *jitc_function(jitc_context *c, const char *name, jitc_body *body, void *env) {
    making m = {c, name, NULL};
    if (!trace_protect(c, make, &m)) return NULL;
    m.out->body = body;
    m.out->env = env;
    return m.out;
}

void trace_function_free(jitc_fn *f) {
    for (int i = 0; i < f->variants.n; i++) {
        variant *v = f->variants.at[i];
        unload(v);
        while (v->examples.n) drop_example(v);
        trace_recorder_free(v->r);
    }
    rt_text_free(&f->report);
    rt_text_free(&f->key);
}

jitc_fn_counts jitc_fn_get_counts(const jitc_fn *f) { return f->counts; }

static void guards_text(rt_text *t, const trace_recorder *r) {
    for (int i = 0; i < r->guards.n; i++)
        rt_text_fmt(t, "    where %s (%s:%d)\n", r->guards.at[i].what, r->guards.at[i].place.file, r->guards.at[i].place.line);
}

const char *jitc_fn_report(jitc_fn *f) {
    rt_text *t = &f->report;
    t->n = 0;
    rt_text_fmt(t, "%s: %d variants, %d compiles, %lld compiled and %lld eager calls\n", f->name, f->counts.variants, f->counts.compiles,
                (long long)f->counts.compiled_calls, (long long)f->counts.eager_calls);
    for (int i = 0; i < f->variants.n; i++) {
        const variant *v = f->variants.at[i];
        rt_text_fmt(t, "  variant %d (%s): ", i, v->key);
        if (v->why) rt_text_fmt(t, "stays eager: %s\n", v->why);
        else rt_text_fmt(t, "%s, %lld calls\n", v->module ? "compiled" : "recorded", (long long)v->runs);
        guards_text(t, v->r);
    }
    for (int i = 0; i < f->eager.n; i += 2) rt_text_fmt(t, "  (%s) stays eager: %s\n", f->eager.at[i], f->eager.at[i + 1]);
    return t->s ? t->s : "";
}
