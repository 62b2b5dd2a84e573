/* custom.c: see custom.h. */
#include "lower/custom.h"

enum { MAX_ARGS = 64, MAX_RESULTS = 8 };

/* ======================================================= the function */

static void close_library(void *f) { rt_ffi_free(f); }

static ir_custom *binding(const ir_op *op) {
    return (ir_custom *)(op->custom->writer ? op->custom->writer->custom : op->custom);
}

void lower_custom_bind(ir_context *c, const ir_op *op, rt_ffi *f) {
    ir_at_end(c, close_library, f);
    binding(op)->call = f;
}

static const rt_ffi *function_of(ir_context *c, const ir_op *op, rt_env *env) {
    ir_custom *k = binding(op);
    char why[512];
    if (k->call) return k->call;
    if (!k->library) return rt_raise(env, "NotImplementedError", "%s has no function here", op->full), NULL;
    rt_ffi *f = rt_ffi_open(k->library, k->symbol, k->signature, why, sizeof why);
    if (!f) return rt_raise(env, "NotImplementedError", "%s", why), NULL;
    lower_custom_bind(c, op, f);
    return f;
}

/* ======================================================= what was declared of the results */

typedef struct decided { const char *name; int64_t size; } decided;
typedef struct seen {
    int n;
    decided at[8 * RT_MAX_RANK];
} seen;

static const char *lone_symbol(const ir_dim *d) {
    bool lone = d->nterms == 1 && d->terms[0].coef == 1 && d->terms[0].natoms == 1 && d->terms[0].atoms[0]->kind == ATOM_SYMBOL;
    return lone ? d->terms[0].atoms[0]->symbol : NULL;
}

static bool get(void *env, const char *name, int64_t *out) {
    const seen *s = env;
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->at[i].name, name)) return *out = s->at[i].size, true;
    return false;
}

static void note_sizes(seen *s, const ir_type *t, const rt_tensor *r) {
    for (int d = 0; d < t->rank && d < r->ndim; d++) {
        const char *name = lone_symbol(t->dims[d]);
        int64_t known;
        if (name && !get(s, name, &known) && s->n < (int)RT_COUNT(s->at)) s->at[s->n++] = (decided){name, r->shape[d]};
    }
}

static bool fits(seen *s, const ir_type *t, const rt_tensor *r) {
    if (r->dtype != t->dtype || r->ndim != t->rank) return false;
    for (int d = 0; d < t->rank; d++) {
        int64_t want;
        if (!ir_dim_eval(t->dims[d], get, s, &want) || want != r->shape[d]) return false;
    }
    return true;
}

static bool check_results(const ir_op *op, const ir_infer *types, const rt_value *out, rt_env *env) {
    seen s = {0};
    int n = op->schema->nresults;
    for (int i = 0; i < n; i++)
        if (out[i].tag == V_TENSOR && op->custom->results[i]) note_sizes(&s, types->res[i], out[i].tensor);
    for (int i = 0; i < n; i++)
        if (out[i].tag == V_TENSOR && op->custom->results[i] && !fits(&s, types->res[i], out[i].tensor))
            return rt_raise(env, "RuntimeError", "%s: result %d is not as declared, %s", op->full, i + 1,
                            ir_custom_text(types->c, op->custom->results[i]));
    return true;
}

/* ======================================================= calls */

static bool call_plain(const rt_ffi *f, const ir_op *op, const rt_value *args, rt_value *out, rt_env *env) {
    return rt_ffi_call(f, env, args, op->schema->nparams, out);
}

static bool copy_written(const ir_op *op, int i, rt_value arg, rt_value *out, rt_env *env) {
    if (arg.tag != V_TENSOR) return rt_raise(env, "TypeError", "%s: argument '%s' must be a tensor", op->full, op->schema->params[i].name);
    rt_tensor *t = rt_tensor_copy_to(arg.tensor, arg.tensor->dtype);
    if (!t) return rt_raise(env, "MemoryError", "out of memory");
    *out = rt_tensor_value(t);
    return true;
}

/* The function writes copies, which are the last results. */
static bool call_pure(const rt_ffi *f, const ir_op *op, const rt_value *args, rt_value *out, rt_env *env) {
    const ir_schema *s = op->custom->writer->schema;
    rt_value in[MAX_ARGS], got[MAX_RESULTS];
    int own = 0, n = 0;
    if (s->nparams > MAX_ARGS || s->nresults > MAX_RESULTS) return rt_raise(env, "TypeError", "%s has too many arguments", op->full);
    for (int i = 0; i < s->nresults; i++) own += !ir_custom_is_written(s, i);
    bool ok = true;
    for (int i = 0; ok && i < s->nparams; i++) {
        in[i] = args[i];
        if (!s->params[i].writes) continue;
        ok = copy_written(op, i, args[i], &out[own + n], env);
        if (ok) in[i] = out[own + n++];
    }
    ok = ok && rt_ffi_call(f, env, in, s->nparams, got);
    for (int i = 0, k = 0; ok && i < s->nresults; i++)
        if (ir_custom_is_written(s, i)) rt_release(got[i]);
        else out[k++] = got[i];
    for (int i = 0; !ok && i < n; i++) rt_release(out[own + i]);
    return ok;
}

bool lower_custom_call(ir_context *c, const ir_op *op, const ir_infer *types, const rt_value *args, rt_value *out, rt_env *env) {
    const rt_ffi *f = function_of(c, op, env);
    if (!f || !(op->custom->writer ? call_pure : call_plain)(f, op, args, out, env)) return false;
    if (check_results(op, types, out, env)) return true;
    for (int i = 0; i < op->schema->nresults; i++) rt_release(out[i]);
    return false;
}
