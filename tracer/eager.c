/* eager.c: operators on real tensors: the overload is matched as in a script, and the reference interpreter runs it.
 *
 * What a name with arguments of given types means is kept, so that a loop of operators allocates nothing in the
 * context's arena. */
#include "lower/custom.h"
#include "tracer/tracer.h"

enum { MAX_ARGS = 64 };

/* ======================================================= one operator */

static bool run(jitc_context *c, const ir_op *op, const rt_value *args, rt_value *out) {
    rt_env env = {0};
    bool ok = lower_apply(c->in, op, args, out, &env);
    c->ir->nerrors = 0; /* the exception says it */
    return ok ? true : trace_raised(c, c->at, op->name, &env);
}

static bool record(jitc_context *c, const ir_op *op, ir_value *const *in, int nout, const ir_type *const *types, trace_arg *out) {
    ir_node *n = ir_node_new(c->rec->f, op, trace_span(c), op->schema->nparams, in, nout, types);
    ir_append(c->rec->b, n);
    for (int i = 0; i < nout; i++) out[i].node = n->out[i];
    return true;
}

static bool write_marks(jitc_context *c, const ir_schema *s, const trace_arg *args) {
    for (int i = 0; i < s->nparams; i++)
        if (s->params[i].writes && !trace_will_write(c, args[i].v, true)) return false;
    return true;
}

bool trace_op(jitc_context *c, const ir_op *op, trace_arg *args, const ir_type *const *types, trace_arg *out) {
    int n = op->schema->nparams, nout = op->schema->nresults ? op->schema->nresults : 1;
    rt_value in[MAX_ARGS], r[TRACE_MAX_RESULTS + 1] = {V_NULL};
    ir_value *nodes[MAX_ARGS];
    if (n > MAX_ARGS || nout > TRACE_MAX_RESULTS)
        return trace_fail(c, JITC_E_UNSUPPORTED, c->at, "%s: this operator cannot be called from C", op->full);
    for (int i = 0; i < n; i++) {
        if (!trace_build(c, &args[i])) return false;
        in[i] = args[i].v;
        if (trace_recording(c) && !(nodes[i] = trace_node(c, &args[i]))) return false;
    }
    if (!write_marks(c, op->schema, args) || !run(c, op, in, r)) return false;
    for (int i = 0; i < nout; i++) out[i] = (trace_arg){.type = types[i], .v = trace_temp(c, r[i])};
    return !trace_recording(c) || record(c, op, nodes, nout, types, out);
}

/* ======================================================= overloads */

typedef struct match {
    const ir_op *op;
    int *slots;
    unsigned bools; /* C integers that mean a bool */
    const ir_type *types[TRACE_MAX_RESULTS];
} match;

typedef struct matching {
    jitc_context *c;
    const char *name;
    const ir_op *chain;
    int nargs;
    const trace_arg *args;
    ir_call_arg *call;
    int slots[MAX_ARGS];
} matching;

static const char *key_of(jitc_context *c, const char *name, int nargs, const trace_arg *args, const char *const *keywords) {
    rt_text *t = &c->key;
    t->n = 0;
    rt_text_str(t, name);
    for (int i = 0; i < nargs; i++) {
        bool truth = args[i].number && (args[i].v.i == 0 || args[i].v.i == 1);
        rt_text_fmt(t, "%s%s%c%p", keywords && keywords[i] ? "," : ";", keywords && keywords[i] ? keywords[i] : "", truth ? '?' : '=',
                    (const void *)args[i].type);
    }
    return t->failed ? NULL : t->s;
}

static const ir_op *try_bools(matching *m, unsigned bools, const char **why) {
    for (int i = 0; i < m->nargs; i++) m->call[i].type = bools >> i & 1 ? ir_type_simple(m->c->ir, T_BOOL) : m->args[i].type;
    return ir_match(m->c->ir, m->chain, m->nargs, m->call, m->slots, why);
}

static unsigned bool_candidates(const matching *m) {
    unsigned all = 0;
    for (int i = 0; i < m->nargs && i < 16; i++)
        if (m->args[i].number && (m->args[i].v.i == 0 || m->args[i].v.i == 1)) all |= 1u << i;
    return all;
}

/* First as it stands; then with as few integers as possible taken for bools, C's `true` being 1. */
static const ir_op *find_op(matching *m, unsigned *bools, const char **why) {
    unsigned all = bool_candidates(m);
    const ir_op *op = try_bools(m, *bools = 0, why);
    for (int count = 1; !op && count <= __builtin_popcount(all) && count <= 3; count++)
        for (unsigned b = all; b && !op; b = (b - 1) & all)
            if (__builtin_popcount(b) == count) op = try_bools(m, *bools = b, NULL);
    return op;
}

static match *find_match(jitc_context *c, const char *name, int nargs, const trace_arg *args, const char *const *keywords) {
    const char *key = key_of(c, name, nargs, args, keywords), *why = NULL;
    match *known = key ? rt_map_get(&c->matches, key) : NULL;
    if (known) return known;
    int before = c->ir->diags.n;
    matching m = {.c = c, .name = name, .nargs = nargs, .args = args, .chain = ir_op_overloads(c->ir, name)};
    if (c->ir->nerrors) return trace_diagnostics(c, before, c->at), NULL;
    if (!m.chain) return trace_fail(c, JITC_E_ARGUMENT, c->at, "there is no operator '%s'", name), NULL;
    m.call = RT_ARRAY(&c->tmp, ir_call_arg, nargs + 1);
    for (int i = 0; i < nargs; i++) m.call[i].kw = keywords ? keywords[i] : NULL;
    match *r = RT_NEW(&c->own, match);
    if (!(r->op = find_op(&m, &r->bools, &why)))
        return trace_fail(c, JITC_E_ARGUMENT, c->at, "%s: %s", name, why ? why : "no overload fits"), NULL;
    const ir_schema *s = r->op->schema;
    if (s->varargs || s->varresults || s->nresults > TRACE_MAX_RESULTS)
        return trace_fail(c, JITC_E_UNSUPPORTED, c->at, "%s: this operator cannot be called from C", name), NULL;
    r->slots = rt_arena_copy(&c->own, m.slots, (size_t)(s->nparams + 1) * sizeof *r->slots);
    for (int i = 0; i < s->nresults || i < 1; i++) r->types[i] = ir_result_type(c->ir, r->op, i, r->slots, m.call);
    rt_map_put(&c->own, &c->matches, key_of(c, name, nargs, args, keywords), r);
    return r;
}

/* Loose arguments from `first` on as a list. */
static bool rest(jitc_context *c, const ir_param *p, int first, int nargs, const trace_arg *args, const char *const *keywords,
                 trace_arg *out) {
    const ir_type *t = p->type->kind == T_OPTIONAL ? p->type->elem[0] : p->type;
    *out = (trace_arg){.type = t, .list = true, .v = {.tag = V_UNDEF}, .items = RT_ARRAY(&c->tmp, trace_arg, nargs)};
    for (int j = first; j < nargs && !(keywords && keywords[j]); j++) out->items[out->n++] = args[j];
    return trace_coerce(c, out, t, 0);
}

/* In C a dtype is a jitc_dtype; schemas have TorchScript's numbers. */
static bool is_dtype(const ir_param *p, const trace_arg *a) {
    return a->number && !strcmp(p->name, "dtype") && a->v.i >= 0 && a->v.i < DT_COUNT;
}

static bool no_conversion(jitc_context *c, const ir_op *op, const ir_param *p, const ir_type *have) {
    rt_text t = {0};
    ir_type_print(&t, have);
    rt_text_str(&t, " cannot be taken for ");
    ir_type_print(&t, p->type);
    trace_fail(c, JITC_E_ARGUMENT, c->at, "%s: argument '%s': %s", op->name, p->name, t.s ? t.s : "?");
    rt_text_free(&t);
    return false;
}

bool trace_apply(jitc_context *c, const char *name, int nargs, const trace_arg *args, const char *const *keywords, trace_arg *out,
                 int *nout) {
    match *m = find_match(c, name, nargs, args, keywords);
    if (!m) return false;
    const ir_schema *s = m->op->schema;
    trace_arg *in = RT_ARRAY(&c->tmp, trace_arg, s->nparams + 1);
    for (int i = 0; i < s->nparams; i++) {
        const ir_param *p = &s->params[i];
        int k = m->slots[i];
        bool ok;
        if (k == -1) {
            ok = trace_default(c, p, &in[i]);
        } else if (k < -1) {
            ok = rest(c, p, IR_REST_FIRST(k), nargs, args, keywords, &in[i]);
        } else {
            in[i] = args[k];
            if (k < 16 && m->bools >> k & 1) in[i] = trace_const(c, rt_bool(args[k].v.i != 0));
            if (is_dtype(p, &args[k])) in[i] = trace_const(c, rt_int(rt_dtypes[args[k].v.i].c10));
            ok = trace_coerce(c, &in[i], p->type, p->list_size);
        }
        if (!ok) return no_conversion(c, m->op, p, k >= 0 ? args[k].type : in[i].type);
    }
    *nout = s->nresults ? s->nresults : 1;
    return trace_op(c, m->op, in, m->types, out);
}

bool trace_apply1(jitc_context *c, const char *name, int nargs, const trace_arg *args, trace_arg *out) {
    trace_arg r[TRACE_MAX_RESULTS];
    int n;
    if (!trace_apply(c, name, nargs, args, NULL, r, &n)) return false;
    *out = r[0];
    return true;
}

/* ======================================================= the public call */

jitc_t trace_result(jitc_context *c, const trace_arg *a) { return trace_handle(c, rt_retain(a->v), a->type, a->node); }

/* Several results are a tuple. */
static bool tuple_of(jitc_context *c, int n, const trace_arg *parts, trace_arg *out) {
    const ir_type *types[TRACE_MAX_RESULTS];
    ir_value *nodes[TRACE_MAX_RESULTS];
    rt_value v = rt_list_new(V_TUPLE, n);
    if (v.tag == V_UNDEF) return trace_memory(c);
    for (int i = 0; i < n; i++) {
        types[i] = parts[i].type;
        nodes[i] = parts[i].node;
        v.list->at[i] = rt_retain(parts[i].v);
    }
    *out = (trace_arg){.type = ir_type_tuple(c->ir, n, types, NULL, NULL), .v = trace_temp(c, v)};
    if (!trace_recording(c)) return true;
    ir_node *t = ir_node_new(c->rec->f, ir_struct(c->ir, S_TUPLE), trace_span(c), n, nodes, 1, &out->type);
    ir_append(c->rec->b, t);
    out->node = t->out[0];
    return true;
}

typedef struct job {
    jitc_context *c;
    const char *name;
    int nargs;
    const jitc_arg *args;
    jitc_t out;
} job;

static jitc_context *context_of(int n, const jitc_arg *args) {
    for (int i = 0; i < n; i++) {
        jitc_context *c = NULL;
        if (args[i].kind == JITC_A_HANDLE) c = args[i].as.handle.context;
        if (args[i].kind == JITC_A_LIST) c = context_of(args[i].n, args[i].as.items);
        for (int k = 0; args[i].kind == JITC_A_HANDLES && k < args[i].n && !c; k++) c = args[i].as.handles[k].context;
        if (c) return c;
    }
    return NULL;
}

static bool read_args(job *j, trace_arg **args, const char *const **keywords) {
    jitc_context *c = j->c;
    const char **kw = RT_ARRAY(&c->tmp, const char *, j->nargs + 1);
    *args = RT_ARRAY(&c->tmp, trace_arg, j->nargs + 1);
    *keywords = kw;
    for (int i = 0; i < j->nargs; i++) {
        kw[i] = j->args[i].keyword;
        if (!trace_arg_of(c, &j->args[i], c->at, &(*args)[i])) return false;
    }
    return true;
}

static bool apply(void *env) {
    job *j = env;
    trace_arg *args, r[TRACE_MAX_RESULTS];
    const char *const *keywords;
    int n;
    if (!read_args(j, &args, &keywords) || !trace_apply(j->c, j->name, j->nargs, args, keywords, r, &n)) return false;
    if (n > 1 && !tuple_of(j->c, n, r, &r[0])) return false;
    j->out = trace_result(j->c, &r[0]);
    return true;
}

static jitc_t do_job(job *j, bool (*fn)(void *), const char *file, int line) {
    if (!j->c) j->c = context_of(j->nargs, j->args);
    if (!j->c) return (jitc_t){0};
    j->c->at = (trace_place){file, line};
    j->out = trace_poison(j->c);
    trace_protect(j->c, fn, j);
    trace_end_call(j->c);
    return j->out;
}

jitc_t jitc_apply_at(jitc_context *c, const char *name, int nargs, const jitc_arg *args, const char *file, int line) {
    return do_job(&(job){.c = c, .name = name, .nargs = nargs, .args = args}, apply, file, line);
}

/* ======================================================= items of tuples and lists */

static bool tuple_item(jitc_context *c, const trace_arg *t, int64_t i, trace_arg *out) {
    *out = (trace_arg){.type = t->type->elem[i], .v = t->v.list->at[i]};
    if (!trace_recording(c)) return true;
    const ir_node *def = t->node->def;
    if (def && def->op->cls == OP_STRUCT && def->op->id == S_TUPLE) return out->node = def->in[i], true;
    ir_value *in[2] = {t->node, ir_const(c->rec->b, trace_span(c), rt_int(i), ir_type_simple(c->ir, T_INT))};
    out->node = ir_emit(c->rec->b, trace_span(c), ir_struct(c->ir, S_INDEX), 2, in, out->type);
    return true;
}

static bool get_item(void *env) {
    job *j = env;
    trace_arg in[2], out;
    if (!trace_arg_of(j->c, &j->args[0], j->c->at, &in[0]) || !trace_arg_of(j->c, &j->args[1], j->c->at, &in[1])) return false;
    rt_value v = in[0].v;
    int64_t i = in[1].v.i;
    if (v.tag != V_TUPLE && v.tag != V_LIST) return trace_fail(j->c, JITC_E_ARGUMENT, j->c->at, "jitc_get: this is no tuple or list");
    if (i < 0 || i >= v.list->n)
        return trace_fail(j->c, JITC_E_ARGUMENT, j->c->at, "jitc_get: there is no item %lld of %lld", (long long)i, (long long)v.list->n);
    if (!(v.tag == V_TUPLE ? tuple_item(j->c, &in[0], i, &out) : trace_apply1(j->c, "__getitem__", 2, in, &out))) return false;
    j->out = trace_result(j->c, &out);
    return true;
}

jitc_t jitc_get_at(jitc_t x, int64_t i, const char *file, int line) {
    jitc_arg args[] = {jitc_arg_handle(x), jitc_arg_int(i)};
    return do_job(&(job){.nargs = 2, .args = args}, get_item, file, line);
}

/* ======================================================= script */

typedef struct script_job { jitc_context *c; const char *file, *text; } script_job;

static bool add_script(void *env) {
    script_job *j = env;
    jitc_context *c = j->c;
    int before = c->ir->diags.n;
    trace_script s = {rt_arena_str(&c->own, j->file, strlen(j->file)), rt_arena_str(&c->own, j->text, strlen(j->text))};
    if (!c->language->parse(c->unit, s.file, s.text, strlen(s.text)) || c->ir->nerrors)
        return trace_diagnostics(c, before, (trace_place){0});
    RT_PUSH(&c->own, &c->scripts, s);
    return true;
}

jitc_status jitc_script(jitc_context *c, const char *file, const char *source) {
    script_job j = {c, file, source};
    return trace_protect(c, add_script, &j) ? JITC_OK : c->status;
}

static ir_func *find_function(jitc_context *c, void *unit, const char *name) {
    int before = c->ir->diags.n;
    ir_func *f = c->language->func(unit, name);
    if (f && !c->ir->nerrors) return f;
    if (c->ir->nerrors) trace_diagnostics(c, before, c->at);
    else trace_fail(c, JITC_E_ARGUMENT, c->at, "there is no script function '%s'", name);
    return NULL;
}

/* The function in the module that is being recorded, with the scripts parsed into it. */
static ir_func *recorded_function(jitc_context *c, const char *name) {
    trace_recorder *r = c->rec;
    if (!r->unit) {
        r->unit = c->language->unit(r->m);
        for (int i = 0; i < c->scripts.n; i++)
            c->language->parse(r->unit, c->scripts.at[i].file, c->scripts.at[i].text, strlen(c->scripts.at[i].text));
    }
    return find_function(c, r->unit, name);
}

static int argument_of(const ir_func *f, int i, int nargs, const char *const *keywords) {
    if (i < nargs && !keywords[i]) return i;
    for (int k = 0; k < nargs; k++)
        if (keywords[k] && f->param_names && !strcmp(keywords[k], f->param_names[i])) return k;
    return -1;
}

static bool script_args(jitc_context *c, const ir_func *f, int nargs, const trace_arg *args, const char *const *keywords, trace_arg *in) {
    int n = f->body->params.n, used = 0;
    for (int i = 0; i < n; i++) {
        int k = argument_of(f, i, nargs, keywords);
        const char *name = f->param_names ? f->param_names[i] : "?";
        rt_value v;
        used += k >= 0;
        if (k >= 0) in[i] = args[k];
        else if (c->language->param_default(c->unit, f, i, &v)) in[i] = trace_const(c, trace_temp(c, v));
        else return trace_fail(c, JITC_E_ARGUMENT, c->at, "%s: argument '%s' is missing", f->name, name);
        const ir_type *want = f->body->params.at[i]->type;
        if (want->kind == T_BOOL && in[i].number && !(in[i].v.i & ~INT64_C(1))) in[i] = trace_const(c, rt_bool(in[i].v.i != 0));
        if (!trace_coerce(c, &in[i], want, 0))
            return trace_fail(c, JITC_E_ARGUMENT, c->at, "%s: argument '%s' has another type than the script declares", f->name, name);
    }
    return used == nargs || trace_fail(c, JITC_E_ARGUMENT, c->at, "%s takes %d arguments, %d given", f->name, n, nargs);
}

static bool call_script(void *env) {
    job *j = env;
    jitc_context *c = j->c;
    trace_arg *args, *in, out;
    const char *const *keywords;
    ir_func *f, *recorded = NULL;
    rt_env raised = {0};
    if (!read_args(j, &args, &keywords) || !(f = find_function(c, c->unit, j->name))) return false;
    int n = f->body->params.n;
    in = RT_ARRAY(&c->tmp, trace_arg, n + 1);
    if (trace_recording(c) && !(recorded = recorded_function(c, j->name))) return false;
    if (!script_args(c, f, j->nargs, args, keywords, in)) return false;
    rt_value *v = RT_ARRAY(&c->tmp, rt_value, n + 1), r;
    ir_value **nodes = RT_ARRAY(&c->tmp, ir_value *, n + 1);
    for (int i = 0; i < n; i++) {
        if (!trace_build(c, &in[i]) || !trace_will_write(c, in[i].v, false)) return false;
        v[i] = in[i].v;
        if (recorded && !(nodes[i] = trace_node(c, &in[i]))) return false;
    }
    if (!lower_interp_call(c->in, f, n, v, &r, &raised)) return trace_raised(c, c->at, f->name, &raised);
    out = (trace_arg){.type = f->result, .v = trace_temp(c, r)};
    if (recorded) {
        ir_node *node = ir_node_new(c->rec->f, ir_struct(c->ir, S_CALL), trace_span(c), n, nodes, 1, &recorded->result);
        node->sym = recorded->name;
        ir_append(c->rec->b, node);
        out.node = node->out[0];
    }
    j->out = trace_result(c, &out);
    return true;
}

jitc_t jitc_call_at(jitc_context *c, const char *name, int nargs, const jitc_arg *args, const char *file, int line) {
    return do_job(&(job){.c = c, .name = name, .nargs = nargs, .args = args}, call_script, file, line);
}

/* ======================================================= custom operators */

typedef struct custom_job { jitc_context *c; const char *schema, *library, *symbol; void (*fn)(void); } custom_job;

static bool bind_custom(jitc_context *c, ir_op *op, const custom_job *j) {
    const char *signature = op->custom->signature;
    char why[512];
    rt_ffi *f = j->fn ? rt_ffi_new(j->fn, signature, why, sizeof why) : rt_ffi_open(j->library, j->symbol, signature, why, sizeof why);
    if (!f) return trace_fail(c, JITC_E_FILE, (trace_place){0}, "%s", why);
    lower_custom_bind(c->ir, op, f);
    return true;
}

static bool register_op(void *env) {
    custom_job *j = env;
    jitc_context *c = j->c;
    int before = c->ir->diags.n;
    ir_op *op = ir_custom_add(c->ir, j->schema);
    return op && !c->ir->nerrors ? bind_custom(c, op, j) : trace_diagnostics(c, before, (trace_place){0});
}

static jitc_status add_custom(custom_job *j) {
    bool ok = trace_protect(j->c, register_op, j);
    trace_end_call(j->c);
    return ok ? JITC_OK : j->c->status;
}

jitc_status jitc_register_op(jitc_context *c, const char *schema, const char *library, const char *symbol) {
    return add_custom(&(custom_job){c, schema, library, symbol, NULL});
}

jitc_status jitc_register_function(jitc_context *c, const char *schema, void (*fn)(void)) {
    return add_custom(&(custom_job){c, schema, NULL, NULL, fn});
}
