/* ffi.c: see ffi.h.  The only file that needs libffi; a library of its own beside the runtime. */
#include "runtime/ffi.h"

#include "jitc/ffi.h"
#include "runtime/module.h"

#include <dlfcn.h>
#include <ffi.h>

enum { MAX_PARAMS = 64 };

typedef struct param {
    char letter;
    bool optional, list;
} param;

struct rt_ffi {
    void (*fn)(void);
    void *library;
    int nargs, nresults, nc; /* nc: parameters of the C function */
    param args[MAX_PARAMS], results[MAX_PARAMS];
    ffi_type *types[MAX_PARAMS];
    ffi_cif cif;
};

/* ---- signature */

static bool parse_one(const char **at, param *p) {
    const char *s = *at;
    *p = (param){.list = *s == '['};
    if (p->list) s++;
    if (!*s || !strchr("TMifbs", *s)) return false;
    p->letter = *s++;
    if (p->list && *s++ != ']') return false;
    if (*s == '?') {
        p->optional = true;
        s++;
    }
    *at = s;
    return !(p->list && (p->optional || p->letter == 'M'));
}

static bool parse_signature(rt_ffi *f, const char *s) {
    while (*s && *s != '>')
        if (f->nargs == MAX_PARAMS || !parse_one(&s, &f->args[f->nargs++])) return false;
    if (*s++ != '>') return false;
    while (*s) {
        param *p = &f->results[f->nresults];
        if (f->nresults == MAX_PARAMS || !parse_one(&s, p)) return false;
        if (p->list || p->optional || p->letter == 's') return false;
        f->nresults++;
    }
    return true;
}

static ffi_type *type_of(const param *p) {
    if (p->optional) return &ffi_type_pointer;
    switch (p->letter) {
    case 'i': return &ffi_type_sint64;
    case 'f': return &ffi_type_double;
    case 'b': return &ffi_type_sint32;
    default: return &ffi_type_pointer;
    }
}

static bool push_type(rt_ffi *f, ffi_type *t) {
    if (f->nc == MAX_PARAMS) return false;
    f->types[f->nc++] = t;
    return true;
}

static bool prepare(rt_ffi *f) {
    for (int i = 0; i < f->nargs; i++) {
        if (f->args[i].list && !push_type(f, &ffi_type_sint64)) return false;
        if (!push_type(f, f->args[i].list ? &ffi_type_pointer : type_of(&f->args[i]))) return false;
    }
    for (int i = 0; i < f->nresults; i++)
        if (f->results[i].letter != 'M' && !push_type(f, &ffi_type_pointer)) return false;
    return ffi_prep_cif(&f->cif, FFI_DEFAULT_ABI, (unsigned)f->nc, &ffi_type_pointer, f->types) == FFI_OK;
}

rt_ffi *rt_ffi_new(void (*fn)(void), const char *signature, char *why, size_t n) {
    rt_ffi *f = rt_calloc(1, sizeof *f);
    if (!f) {
        snprintf(why, n, "out of memory");
        return NULL;
    }
    f->fn = fn;
    if (parse_signature(f, signature) && prepare(f)) return f;
    snprintf(why, n, "the signature %s cannot be called", signature);
    rt_free(f);
    return NULL;
}

/* NULL: why[n] says so; else *library is to be closed. */
static void (*open_function(const char *path, const char *symbol, void **library, char *why, size_t n))(void) {
    void *found = (*library = dlopen(path, RTLD_NOW | RTLD_LOCAL)) ? dlsym(*library, symbol) : NULL;
    void (*fn)(void) = NULL;
    if (!found) {
        const char *text = dlerror();
        snprintf(why, n, "cannot load operator %s of %s: %s", symbol, path, text ? text : "no such function");
        if (*library) dlclose(*library);
        return NULL;
    }
    memcpy(&fn, &found, sizeof fn);
    return fn;
}

rt_ffi *rt_ffi_open(const char *path, const char *symbol, const char *signature, char *why, size_t n) {
    void *library, (*fn)(void) = open_function(path, symbol, &library, why, n);
    rt_ffi *f = fn ? rt_ffi_new(fn, signature, why, n) : NULL;
    if (f) f->library = library;
    else if (fn) dlclose(library);
    return f;
}

void rt_ffi_free(rt_ffi *f) {
    if (!f) return;
    if (f->library) dlclose(f->library);
    rt_free(f);
}

int rt_ffi_args(const rt_ffi *f) { return f->nargs; }
int rt_ffi_results(const rt_ffi *f) { return f->nresults; }

/* ---- calls */

typedef union slot {
    int64_t i;
    double f;
    int32_t b;
    const void *p;
    DLManagedTensorVersioned *managed;
} slot;

typedef struct call {
    slot slots[MAX_PARAMS];   /* the C arguments */
    void *values[MAX_PARAMS]; /* pointers to them, as libffi wants */
    slot boxes[MAX_PARAMS];   /* what optional arguments and results point to */
    DLTensor tensors[MAX_PARAMS];
    rt_tensor *copies[MAX_PARAMS]; /* contiguous copies, owned */
    void *memory[MAX_PARAMS];      /* of lists, owned */
    struct {
        rt_tensor **at;
        size_t n;
    } list_copies[MAX_PARAMS]; /* inside memory; the tensors are owned, NULL: none */
    int ncopies, nmemory, n;
} call;

static const char *set_tensor(rt_value v, bool contiguous, DLTensor *d, rt_tensor **hold) {
    *hold = NULL;
    if (v.tag != V_TENSOR) return "a tensor is expected";
    if (contiguous && !rt_tensor_contiguous(v.tensor)) {
        *hold = rt_tensor_copy_to(v.tensor, v.tensor->dtype);
        if (!*hold) return "out of memory";
    }
    jitc_tensor_describe(*hold ? *hold : v.tensor, d);
    return NULL;
}

static const char *set_scalar(char letter, rt_value v, slot *s) {
    switch (letter) {
    case 'i': s->i = v.i; return v.tag == V_INT || v.tag == V_BOOL ? NULL : "an int is expected";
    case 'f':
        s->f = v.tag == V_FLOAT ? v.f : (double)v.i;
        return v.tag == V_FLOAT || v.tag == V_INT ? NULL : "a float is expected";
    case 'b': s->b = v.i != 0; return v.tag == V_BOOL ? NULL : "a bool is expected";
    default: s->p = v.tag == V_STR ? v.str->s : NULL; return v.tag == V_STR ? NULL : "a str is expected";
    }
}

static const char *set_plain(call *c, const param *p, rt_value v, int arg) {
    slot *s = &c->slots[c->n++];
    if (p->optional && v.tag == V_NONE) {
        s->p = NULL;
        return NULL;
    }
    if (p->letter == 'T' || p->letter == 'M') {
        const char *why = set_tensor(v, p->letter == 'T', &c->tensors[arg], &c->copies[c->ncopies]);
        if (c->copies[c->ncopies]) c->ncopies++;
        s->p = &c->tensors[arg];
        return why;
    }
    if (!p->optional || p->letter == 's') return set_scalar(p->letter, v, s);
    s->p = &c->boxes[arg];
    return set_scalar(p->letter, v, &c->boxes[arg]);
}

/* One block: the array of items, then (tensors) their descriptions and the copies that they need,
 * NULL-padded. */
static const char *set_tensor_list(call *c, const rt_list *l, slot *items) {
    size_t n = (size_t)l->n, each = sizeof(DLTensor *) + sizeof(DLTensor) + sizeof(rt_tensor *), bytes;
    if (!rt_mul_size(n, each, &bytes)) return "out of memory";
    char *memory = c->memory[c->nmemory] = rt_calloc(n, each);
    if (!memory) return "out of memory";
    DLTensor *d = (DLTensor *)memory;
    const DLTensor **at = (const DLTensor **)(d + n);
    rt_tensor **copies = c->list_copies[c->nmemory].at = (rt_tensor **)(at + n);
    c->list_copies[c->nmemory++].n = n;
    for (size_t i = 0; i < n; i++) {
        const char *why = set_tensor(l->at[i], true, &d[i], &copies[i]);
        if (why) return why;
        at[i] = &d[i];
    }
    items->p = at;
    return NULL;
}

static const char *set_list(call *c, const param *p, rt_value v) {
    if (v.tag != V_LIST) return "a list is expected";
    c->slots[c->n++].i = v.list->n;
    slot *items = &c->slots[c->n++];
    if (p->letter == 'T') return set_tensor_list(c, v.list, items);
    void *memory = c->memory[c->nmemory] = rt_calloc((size_t)v.list->n, sizeof(slot));
    if (!memory) return "out of memory";
    c->nmemory++;
    items->p = memory;
    for (int64_t i = 0; i < v.list->n; i++) {
        slot one = {0};
        const char *why = set_scalar(p->letter, v.list->at[i], &one);
        if (why) return why;
        if (p->letter == 'b') ((int32_t *)memory)[i] = one.b;
        else ((slot *)memory)[i] = one;
    }
    return NULL;
}

static void call_end(call *c) {
    for (int i = 0; i < c->ncopies; i++) rt_tensor_release(c->copies[i]);
    for (int i = 0; i < c->nmemory; i++) {
        for (size_t k = 0; k < c->list_copies[i].n; k++) rt_tensor_release(c->list_copies[i].at[k]);
        rt_free(c->memory[i]);
    }
    rt_free(c);
}

/* "ValueError: text" gives class and text; anything else is a RuntimeError. */
static bool fail(rt_env *env, const char *text) {
    char cls[64];
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.");
    if (n == 0 || n >= sizeof cls || strncmp(text + n, ": ", 2))
        return rt_raise(env, "RuntimeError", "%s", text);
    snprintf(cls, sizeof cls, "%.*s", (int)n, text);
    return rt_raise(env, cls, "%s", text + n + 2);
}

static const char *take_result(const rt_ffi *f, const param *p, slot *box, const rt_value *args,
                               rt_value *out) {
    rt_tensor *t;
    switch (p->letter) {
    case 'i': *out = rt_int(box->i); return NULL;
    case 'f': *out = rt_float(box->f); return NULL;
    case 'b': *out = rt_bool(box->b != 0); return NULL;
    case 'M':
        for (int i = 0; i < f->nargs; i++)
            if (f->args[i].letter == 'M') {
                *out = rt_retain(args[i]);
                return NULL;
            }
        return "no argument is written";
    default:
        if (!box->managed) return "the operator gave no result";
        if (jitc_tensor_from_dlpack(box->managed, &t) != JITC_OK) return jitc_error();
        box->managed = NULL;
        *out = rt_tensor_value(t);
        return NULL;
    }
}

/* Results that were not taken go back to the function that made them. */
static void drop_results(const rt_ffi *f, slot *boxes) {
    for (int i = 0; i < f->nresults; i++)
        if (f->results[i].letter == 'T' && boxes[i].managed && boxes[i].managed->deleter)
            boxes[i].managed->deleter(boxes[i].managed);
}

static bool take_results(const rt_ffi *f, rt_env *env, slot *boxes, const rt_value *args, rt_value *out) {
    rt_value taken[MAX_PARAMS];
    for (int i = 0; i < f->nresults; i++) {
        const char *why = take_result(f, &f->results[i], &boxes[i], args, &taken[i]);
        if (!why) continue;
        fail(env, why);
        while (i--) rt_release(taken[i]);
        drop_results(f, boxes);
        return false;
    }
    for (int i = 0; i < f->nresults; i++) out[i] = taken[i];
    return true;
}

static bool run_call(const rt_ffi *f, call *c, rt_env *env, const rt_value *args, rt_value *out) {
    slot results[MAX_PARAMS] = {{0}};
    void *text = NULL;
    for (int i = 0; i < f->nargs; i++) {
        const char *why =
            f->args[i].list ? set_list(c, &f->args[i], args[i]) : set_plain(c, &f->args[i], args[i], i);
        if (why) return rt_raise(env, "TypeError", "argument %d: %s", i + 1, why);
    }
    for (int i = 0; i < f->nresults; i++)
        if (f->results[i].letter != 'M') c->slots[c->n++].p = &results[i];
    for (int i = 0; i < f->nc; i++) c->values[i] = &c->slots[i];
    ffi_call((ffi_cif *)&f->cif, f->fn, &text, c->values); /* the cif is only read */
    if (!text) return take_results(f, env, results, args, out);
    fail(env, text);
    drop_results(f, results);
    return false;
}

bool rt_ffi_call(const rt_ffi *f, rt_env *env, const rt_value *args, int nargs, rt_value *out) {
    if (nargs != f->nargs)
        return rt_raise(env, "TypeError", "%d arguments for %d parameters", nargs, f->nargs);
    call *c = rt_calloc(1, sizeof *c); /* too large for the stack of a small thread */
    if (!c) return rt_raise(env, "MemoryError", "out of memory");
    bool ok = run_call(f, c, env, args, out);
    call_end(c);
    return ok;
}

static int as_op(void *data, jitc_op_env *env, int nargs, const jitc_value *args, int nresults,
                 jitc_value *results) {
    const rt_ffi *f = data;
    rt_value in[MAX_PARAMS], out[MAX_PARAMS];
    if (nargs > MAX_PARAMS || nresults != f->nresults)
        return jitc_raise(env, "TypeError", "wrong number of arguments or results");
    for (int i = 0; i < nargs; i++) {
        in[i].tag = (rt_tag)args[i].kind;
        in[i].i = args[i].as.i;
    }
    if (!rt_ffi_call(f, env, in, nargs, out)) return 1;
    for (int i = 0; i < nresults; i++) {
        results[i] = (jitc_value){.kind = (int32_t)out[i].tag};
        results[i].as.i = out[i].i;
    }
    return 0;
}

jitc_op rt_ffi_op(const char *name, rt_ffi *f) { return (jitc_op){name, as_op, f}; }

/* ---- jitc/ffi.h */

typedef struct given {
    struct given *next;
    char *name;
    void (*fn)(void);
    void *library; /* or NULL */
} given;

typedef struct bound { /* a call that a module was given */
    struct bound *next;
    const given *g;
    char *signature;
    rt_ffi *call;
} bound;

struct jitc_ffi {
    given *givens;
    bound *bounds;
};

static char *copy_text(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = rt_malloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

jitc_status jitc_ffi_new(jitc_ffi **out) {
    *out = rt_calloc(1, sizeof **out);
    return *out ? JITC_OK : rt_fail(JITC_E_MEMORY, "out of memory");
}

void jitc_ffi_free(jitc_ffi *f) {
    if (!f) return;
    for (bound *b = f->bounds, *next; b; b = next) {
        next = b->next;
        rt_ffi_free(b->call);
        rt_free(b->signature);
        rt_free(b);
    }
    for (given *g = f->givens, *next; g; g = next) {
        next = g->next;
        if (g->library) dlclose(g->library);
        rt_free(g->name);
        rt_free(g);
    }
    rt_free(f);
}

static const given *find_given(const jitc_ffi *f, const char *name) {
    for (const given *g = f->givens; g; g = g->next)
        if (!strcmp(g->name, name)) return g;
    return NULL;
}

static jitc_status add_given(jitc_ffi *f, const char *name, void (*fn)(void), void *library) {
    given *g = rt_calloc(1, sizeof *g);
    char *copy = g ? copy_text(name) : NULL;
    if (!copy) {
        rt_free(g);
        return rt_fail(JITC_E_MEMORY, "out of memory");
    }
    *g = (given){f->givens, copy, fn, library};
    f->givens = g;
    return JITC_OK;
}

jitc_status jitc_ffi_add(jitc_ffi *f, const char *name, void (*fn)(void)) {
    if (!fn) return rt_fail(JITC_E_ARGUMENT, "%s: no function", name);
    if (find_given(f, name)) return rt_fail(JITC_E_ARGUMENT, "there is a function for %s already", name);
    return add_given(f, name, fn, NULL);
}

jitc_status jitc_ffi_add_library(jitc_ffi *f, const char *name, const char *path, const char *symbol) {
    char why[512];
    void *library, (*fn)(void);
    if (find_given(f, name)) return rt_fail(JITC_E_ARGUMENT, "there is a function for %s already", name);
    if (!(fn = open_function(path, symbol, &library, why, sizeof why))) return rt_fail(JITC_E_FILE, "%s", why);
    jitc_status status = add_given(f, name, fn, library);
    if (status != JITC_OK) dlclose(library);
    return status;
}

static const bound *bind(jitc_ffi *f, const given *g, const char *signature) {
    char why[128];
    for (const bound *b = f->bounds; b; b = b->next)
        if (b->g == g && !strcmp(b->signature, signature)) return b;
    bound *b = rt_calloc(1, sizeof *b);
    if (!b) return NULL;
    *b = (bound){f->bounds, g, copy_text(signature), rt_ffi_new(g->fn, signature, why, sizeof why)};
    if (b->signature && b->call) return f->bounds = b;
    rt_ffi_free(b->call);
    rt_free(b->signature);
    rt_free(b);
    return NULL;
}

static int find_op(void *user, const char *name, const char *signature, jitc_op *op) {
    const given *g = find_given(user, name);
    const bound *b = g ? bind(user, g, signature) : NULL;
    if (!b) return 0;
    *op = rt_ffi_op(g->name, b->call);
    return 1;
}

void jitc_ffi_use(jitc_ffi *f, jitc_load_opts *opts) {
    opts->find_op = find_op;
    opts->user = f;
}
