/* context.c: the context of eager mode: slots behind handles, scopes, and the first error. */
#include "runtime/ffi.h"
#include "tracer/tracer.h"

/* ======================================================= errors */

bool trace_fail(jitc_context *c, jitc_status status, trace_place at, const char *fmt, ...) {
    va_list ap;
    char text[2048];
    if (c->status != JITC_OK) return false;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->status = status;
    c->error.n = 0;
    if (at.file) rt_text_fmt(&c->error, "%s:%d: ", at.file, at.line);
    rt_text_str(&c->error, text);
    return false;
}

bool trace_memory(jitc_context *c) { return trace_fail(c, JITC_E_MEMORY, (trace_place){0}, "out of memory"); }

bool trace_diagnostics(jitc_context *c, int before, trace_place at) {
    ir_context *ir = c->ir;
    rt_text t = {0};
    ir_context view = *ir; /* those that are new, as they are shown to people */
    view.diags.at += before;
    view.diags.n -= before;
    ir_diags_print(&view, &t, false);
    while (t.n && t.s[t.n - 1] == '\n') t.s[--t.n] = 0;
    trace_fail(c, JITC_E_UNSUPPORTED, at, "%s", t.s && t.n ? t.s : "it failed without a message");
    rt_text_free(&t);
    ir->diags.n = before;
    ir->nerrors = 0;
    return false;
}

bool trace_raised(jitc_context *c, trace_place at, const char *what, rt_env *env) {
    bool memory = env->cls && !strcmp(env->cls, "MemoryError"), guard = env->cls && !strcmp(env->cls, "GuardError");
    jitc_status status = memory ? JITC_E_MEMORY : guard ? JITC_E_GUARD : JITC_E_RAISED;
    trace_fail(c, status, at, "%s%s%s: %s", what, *what ? ": " : "", env->cls ? env->cls : "RuntimeError",
               env->message ? env->message : "?");
    rt_env_clear(env);
    return false;
}

const char *jitc_context_error(const jitc_context *c) { return c->status != JITC_OK && c->error.s ? c->error.s : ""; }
jitc_status jitc_context_status(const jitc_context *c) { return c->status; }
void jitc_context_clear(jitc_context *c) { c->status = JITC_OK; }

bool trace_protect(jitc_context *c, bool (*fn)(void *env), void *env) {
    jmp_buf fail, *outer = c->ir->arena.fail;
    bool ok = false;
    c->ir->arena.fail = c->tmp.fail = c->own.fail = &fail;
    if (setjmp(fail)) trace_memory(c);
    else ok = fn(env);
    c->ir->arena.fail = c->tmp.fail = c->own.fail = outer;
    return ok;
}

/* ======================================================= slots */

trace_slot *trace_slot_of(jitc_t x) {
    if (!x.context || x.slot >= (uint32_t)x.context->nslots) return NULL;
    trace_slot *s = &x.context->slots[x.slot];
    return s->serial == x.serial && (s->serial & 1) && s->v.tag != V_UNDEF ? s : NULL;
}

static bool more_slots(jitc_context *c) {
    int cap = c->cap ? 2 * c->cap : 64;
    trace_slot *slots = rt_realloc(c->slots, (size_t)cap * sizeof *slots);
    if (!slots) return false;
    memset(slots + c->cap, 0, (size_t)(cap - c->cap) * sizeof *slots);
    c->slots = slots;
    c->cap = cap;
    return true;
}

static int slot_new(jitc_context *c) {
    int i = c->free;
    if (i >= 0) {
        c->free = c->slots[i].next;
        return i;
    }
    if (c->nslots == c->cap && !more_slots(c)) return -1;
    return c->nslots++;
}

static void link_slot(jitc_context *c, int i, int scope) {
    trace_slot *s = &c->slots[i];
    s->scope = scope;
    s->prev = -1;
    s->next = c->scopes.at[scope];
    if (s->next >= 0) c->slots[s->next].prev = i;
    c->scopes.at[scope] = i;
}

static void unlink_slot(jitc_context *c, int i) {
    trace_slot *s = &c->slots[i];
    if (s->prev >= 0) c->slots[s->prev].next = s->next;
    else c->scopes.at[s->scope] = s->next;
    if (s->next >= 0) c->slots[s->next].prev = s->prev;
}

static void slot_end(jitc_context *c, int i) {
    trace_slot *s = &c->slots[i];
    unlink_slot(c, i);
    rt_release(s->v);
    rt_tensor_release(s->flat);
    *s = (trace_slot){.serial = s->serial + 1, .next = c->free, .v = {.tag = V_UNDEF}};
    c->free = i;
}

jitc_t trace_handle(jitc_context *c, rt_value v, const ir_type *type, ir_value *node) {
    int i = slot_new(c);
    if (i < 0) {
        rt_release(v);
        trace_memory(c);
        return (jitc_t){.context = c};
    }
    trace_slot *s = &c->slots[i];
    *s = (trace_slot){.serial = s->serial + 1, .v = v, .type = type, .node = node};
    s->recording = c->rec ? c->rec->id : 0;
    s->traced = node ? s->recording : 0;
    link_slot(c, i, c->scopes.n - 1);
    return (jitc_t){c, (uint32_t)i, s->serial};
}

jitc_t trace_poison(jitc_context *c) { return (jitc_t){.context = c}; }

rt_value trace_temp(jitc_context *c, rt_value taken) {
    RT_PUSH(&c->own, &c->temps, taken);
    return taken;
}

void trace_end_call(jitc_context *c) {
    for (int i = 0; i < c->temps.n; i++) rt_release(c->temps.at[i]);
    c->temps.n = 0;
    rt_arena_free(&c->tmp);
}

/* ======================================================= scopes */

void jitc_scope_begin(jitc_context *c) {
    if (c->scopes.n < c->scopes.cap || c->scopes.n < 8) {
        RT_PUSH(&c->own, &c->scopes, -1);
        return;
    }
    jmp_buf fail, *outer = c->own.fail;
    c->own.fail = &fail;
    if (setjmp(fail)) trace_memory(c); /* its handles live as long as those around it */
    else RT_PUSH(&c->own, &c->scopes, -1);
    c->own.fail = outer;
}

void jitc_scope_end(jitc_context *c) {
    if (c->scopes.n <= 2) {
        trace_fail(c, JITC_E_ARGUMENT, (trace_place){0}, "jitc_scope_end without a jitc_scope_begin");
        return;
    }
    while (c->scopes.at[c->scopes.n - 1] >= 0) slot_end(c, c->scopes.at[c->scopes.n - 1]);
    c->scopes.n--;
}

void trace_move(jitc_t x, int scope) {
    trace_slot *s = trace_slot_of(x);
    if (!s || scope >= s->scope) return;
    unlink_slot(x.context, (int)x.slot);
    link_slot(x.context, (int)x.slot, scope < 0 ? 0 : scope);
}

jitc_t jitc_keep(jitc_t x) {
    trace_slot *s = trace_slot_of(x);
    if (s && s->scope > 1) trace_move(x, s->scope - 1);
    return x;
}

jitc_t jitc_hold(jitc_t x) {
    trace_move(x, 0);
    return x;
}

void jitc_drop(jitc_t x) {
    if (trace_slot_of(x)) slot_end(x.context, (int)x.slot);
}

/* ======================================================= making handles */

const ir_type *trace_type_of(jitc_context *c, rt_value v) {
    ir_context *ir = c->ir;
    switch (v.tag) {
    case V_BOOL: return ir_type_simple(ir, T_BOOL);
    case V_INT: return ir_type_simple(ir, T_INT);
    case V_FLOAT: return ir_type_simple(ir, T_FLOAT);
    case V_STR: return ir_type_simple(ir, T_STR);
    case V_TENSOR: return ir_type_simple(ir, T_TENSOR);
    case V_LIST: {
        const ir_type *t = ir_type_simple(ir, T_BOTTOM);
        for (int64_t i = 0; i < v.list->n && t; i++) t = ir_join(ir, t, trace_type_of(c, v.list->at[i]));
        return ir_type_list(ir, t ? t : ir_type_simple(ir, T_ANY));
    }
    case V_TUPLE: {
        const ir_type **t = RT_ARRAY(&c->tmp, const ir_type *, v.list->n + 1);
        for (int64_t i = 0; i < v.list->n; i++) t[i] = trace_type_of(c, v.list->at[i]);
        return ir_type_tuple(ir, (int)v.list->n, t, NULL, NULL);
    }
    case V_DICT: {
        const ir_type *k = ir_type_simple(ir, T_BOTTOM), *e = k;
        for (int64_t i = 0; i < v.dict->n && k && e; i++) {
            k = ir_join(ir, k, trace_type_of(c, v.dict->keys[i]));
            e = ir_join(ir, e, trace_type_of(c, v.dict->values[i]));
        }
        const ir_type *any = ir_type_simple(ir, T_ANY);
        return ir_type_dict(ir, k ? k : any, e ? e : any);
    }
    case V_NONE: return ir_type_simple(ir, T_NONE);
    default: return ir_type_simple(ir, T_ANY);
    }
}

typedef struct making {
    jitc_context *c;
    rt_value v; /* taken */
    trace_place at;
    bool fresh; /* made from C data: each run of a graph makes it afresh */
    jitc_t out;
} making;

/* C data are a constant of the graph, copied because the program may write into the copy. */
static bool make(void *env) {
    making *m = env;
    jitc_context *c = m->c;
    trace_arg a = {.type = trace_type_of(c, m->v), .v = m->v}, r;
    if (!m->fresh || !trace_recording(c)) {
        m->out = trace_handle(c, rt_retain(m->v), a.type, NULL);
        if (trace_slot_of(m->out)) trace_slot_of(m->out)->recording = m->fresh && c->rec ? c->rec->id : 0;
        return true;
    }
    c->at = m->at;
    trace_slot outside = {.v = m->v, .type = a.type};
    if (!(a.node = trace_slot_node(c, &outside)) || !trace_apply1(c, "clone", 1, &a, &r)) return false;
    m->out = trace_handle(c, rt_retain(r.v), r.type, r.node);
    return true;
}

static jitc_t make_handle(jitc_context *c, rt_value taken, trace_place at, bool fresh) {
    making m = {.c = c, .v = taken, .at = at, .fresh = fresh, .out = trace_poison(c)};
    trace_protect(c, make, &m);
    trace_end_call(c);
    rt_release(taken);
    return m.out;
}

jitc_t jitc_from_data_at(jitc_context *c, jitc_dtype dtype, int ndim, const int64_t *shape, const void *data, const char *file,
                         int line) {
    trace_place at = {file, line};
    bool good = (int)dtype >= 0 && (int)dtype < DT_COUNT && ndim >= 0 && ndim <= JITC_MAX_RANK;
    for (int i = 0; good && i < ndim; i++) good = shape[i] >= 0;
    if (!good) {
        trace_fail(c, JITC_E_ARGUMENT, at, "jitc_from_data: a wrong dtype, rank or size");
        return trace_poison(c);
    }
    rt_tensor *t = rt_tensor_new((rt_dtype)dtype, ndim, shape);
    if (!t) {
        trace_fail(c, JITC_E_MEMORY, at, "out of memory");
        return trace_poison(c);
    }
    size_t bytes = (size_t)rt_tensor_numel(t) * (size_t)rt_dtypes[dtype].bytes;
    if (bytes) memcpy(rt_tensor_data(t), data, bytes);
    return make_handle(c, rt_tensor_value(t), at, true);
}

jitc_t jitc_from_value_at(jitc_context *c, jitc_value v, const char *file, int line) {
    rt_value r = rt_of_public(v);
    if ((int)r.tag < 0 || r.tag >= V_OBJECT || (r.tag == V_TENSOR && !r.tensor)) {
        trace_fail(c, JITC_E_ARGUMENT, (trace_place){file, line}, "jitc_from_value: this is no value");
        return trace_poison(c);
    }
    return make_handle(c, rt_retain(r), (trace_place){file, line}, false);
}

jitc_t jitc_name(jitc_t x, const char *name) {
    trace_slot *s = trace_slot_of(x);
    jmp_buf fail, *outer;
    if (!s) return x;
    outer = x.context->ir->arena.fail;
    x.context->ir->arena.fail = &fail;
    if (setjmp(fail)) trace_memory(x.context);
    else s->name = ir_intern(x.context->ir, name);
    x.context->ir->arena.fail = outer;
    return x;
}

int jitc_valid(jitc_t x) { return trace_slot_of(x) != NULL; }

jitc_kind jitc_kind_of(jitc_t x) {
    const trace_slot *s = trace_slot_of(x);
    return s ? (jitc_kind)s->v.tag : JITC_NONE;
}

int jitc_rank(jitc_t x) {
    const trace_slot *s = trace_slot_of(x);
    return s && s->v.tag == V_TENSOR ? s->v.tensor->ndim : -1;
}

jitc_dtype jitc_dtype_of(jitc_t x) {
    const trace_slot *s = trace_slot_of(x);
    return s && s->v.tag == V_TENSOR ? (jitc_dtype)s->v.tensor->dtype : JITC_BOOL;
}

/* ======================================================= opening and closing */

static bool start(void *env) {
    jitc_context *c = env;
    c->language->init(c->ir);
    c->base = ir_module_new(c->ir, "eager");
    c->unit = c->language->unit(c->base);
    c->in = lower_interp_new(c->base);
    for (int i = 0; i < 2; i++) RT_PUSH(&c->own, &c->scopes, -1); /* what is held, and the outermost scope */
    RT_PUSH(&c->own, &c->temps, V_NULL);
    c->temps.n = 0;
    return c->in != NULL;
}

jitc_status trace_open(const trace_language *language, jitc_context **out) {
    jitc_context *c = rt_calloc(1, sizeof *c);
    *out = NULL;
    if (!c) return rt_fail(JITC_E_MEMORY, "out of memory");
    c->language = language;
    c->free = -1;
    c->ir = ir_context_new();
    if (!c->ir || !trace_protect(c, start, c)) {
        jitc_close(c);
        return rt_fail(JITC_E_MEMORY, "out of memory");
    }
    *out = c;
    return JITC_OK;
}

void jitc_close(jitc_context *c) {
    if (!c) return;
    for (int i = 0; i < c->functions.n; i++) trace_function_free(c->functions.at[i]);
    for (int i = 0; i < c->graphs.n; i++) trace_graph_free(c->graphs.at[i]);
    if (c->rec) trace_recorder_free(c->rec);
    while (c->marks.n) trace_release(c, false);
    for (int i = 0; i < c->nslots; i++) {
        if (!(c->slots[i].serial & 1)) continue;
        rt_release(c->slots[i].v);
        rt_tensor_release(c->slots[i].flat);
    }
    trace_end_call(c);
    lower_interp_free(c->in);
    ir_context_free(c->ir);
    rt_free(c->slots);
    rt_text_free(&c->error);
    rt_text_free(&c->key);
    rt_arena_free(&c->own);
    rt_free(c);
}
