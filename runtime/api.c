/* api.c: the small public functions: version, boxed values, and what a module says of itself. */
#include "runtime/module.h"

int jitc_version(void) { return JITC_VERSION; }

const char *jitc_status_name(jitc_status status) {
    static const char *const names[] = {"JITC_OK",        "JITC_E_MEMORY", "JITC_E_ARGUMENT",
                                        "JITC_E_FILE",    "JITC_E_FORMAT", "JITC_E_CPU",
                                        "JITC_E_MISSING", "JITC_E_METHOD", "JITC_E_SHAPE",
                                        "JITC_E_GUARD",   "JITC_E_RAISED", "JITC_E_UNSUPPORTED"};
    return (size_t)status < RT_COUNT(names) ? names[status] : "?";
}

/* ---- values */

_Static_assert(JITC_NONE == (int)V_NONE && JITC_KIND_INT == (int)V_INT && JITC_KIND_STR == (int)V_STR &&
                   JITC_KIND_TENSOR == (int)V_TENSOR && JITC_KIND_TUPLE == (int)V_TUPLE &&
                   JITC_KIND_OBJECT == (int)V_OBJECT,
               "public kinds");

jitc_value jitc_none(void) { return (jitc_value){0}; }
jitc_value jitc_bool(int b) { return rt_to_public(rt_bool(b != 0)); }
jitc_value jitc_int(int64_t i) { return rt_to_public(rt_int(i)); }
jitc_value jitc_float(double f) { return rt_to_public(rt_float(f)); }
jitc_value jitc_tensor_value(jitc_tensor *t) { return rt_to_public(rt_tensor_value(t)); }

static jitc_status give(rt_value v, jitc_value *out) {
    *out = v.tag == V_UNDEF ? jitc_none() : rt_to_public(v);
    return v.tag == V_UNDEF ? rt_fail(JITC_E_MEMORY, "out of memory") : JITC_OK;
}

jitc_status jitc_str(const char *s, size_t n, jitc_value *out) { return give(rt_str(s, n), out); }

static jitc_status sequence(rt_tag tag, int64_t n, const jitc_value *items, jitc_value *out) {
    *out = jitc_none();
    if (n < 0) return rt_fail(JITC_E_ARGUMENT, "a negative length");
    rt_value v = rt_list_new(tag, n);
    for (int64_t i = 0; v.tag != V_UNDEF && i < n; i++) v.list->at[i] = rt_retain(rt_of_public(items[i]));
    return give(v, out);
}

jitc_status jitc_list(int64_t n, const jitc_value *items, jitc_value *out) {
    return sequence(V_LIST, n, items, out);
}
jitc_status jitc_tuple(int64_t n, const jitc_value *items, jitc_value *out) {
    return sequence(V_TUPLE, n, items, out);
}

jitc_status jitc_dict(int64_t pairs, const jitc_value *items, jitc_value *out) {
    rt_value v = rt_dict_new();
    for (int64_t i = 0; v.tag != V_UNDEF && i < pairs; i++) {
        rt_value key = rt_of_public(items[2 * i]);
        if (key.tag != V_STR && key.tag != V_INT && key.tag != V_FLOAT && key.tag != V_BOOL) {
            rt_release(v);
            *out = jitc_none();
            return rt_fail(JITC_E_ARGUMENT, "a key of a dict must be a string or a number");
        }
        if (rt_dict_set(v.dict, key, rt_retain(rt_of_public(items[2 * i + 1])))) continue;
        rt_release(v);
        v.tag = V_UNDEF;
    }
    return give(v, out);
}

jitc_value jitc_value_retain(jitc_value v) { return rt_to_public(rt_retain(rt_of_public(v))); }
void jitc_value_release(jitc_value v) { rt_release(rt_of_public(v)); }
jitc_kind jitc_value_kind(jitc_value v) { return (jitc_kind)v.kind; }

int64_t jitc_value_int(jitc_value v) {
    return v.kind == JITC_KIND_INT || v.kind == JITC_KIND_BOOL ? v.as.i : 0;
}

double jitc_value_float(jitc_value v) {
    return v.kind == JITC_KIND_FLOAT ? v.as.f : (double)jitc_value_int(v);
}

const char *jitc_value_str(jitc_value v, size_t *n) {
    rt_value r = rt_of_public(v);
    if (n) *n = r.tag == V_STR ? r.str->n : 0;
    return r.tag == V_STR ? r.str->s : NULL;
}

jitc_tensor *jitc_value_tensor(jitc_value v) {
    rt_value r = rt_of_public(v);
    return r.tag == V_TENSOR ? r.tensor : NULL;
}

int64_t jitc_value_length(jitc_value v) {
    rt_value r = rt_of_public(v);
    if (r.tag == V_LIST || r.tag == V_TUPLE) return r.list->n;
    return r.tag == V_DICT ? r.dict->n : r.tag == V_STR ? (int64_t)r.str->n : 0;
}

jitc_value jitc_value_item(jitc_value v, int64_t i) {
    rt_value r = rt_of_public(v);
    if (r.tag == V_STR || i < 0 || i >= jitc_value_length(v)) return jitc_none();
    return rt_to_public(r.tag == V_DICT ? r.dict->values[i] : r.list->at[i]);
}

jitc_value jitc_value_key(jitc_value v, int64_t i) {
    rt_value r = rt_of_public(v);
    return r.tag == V_DICT && i >= 0 && i < r.dict->n ? rt_to_public(r.dict->keys[i]) : jitc_none();
}

jitc_value jitc_value_find(jitc_value v, const char *key) {
    rt_value r = rt_of_public(v);
    size_t n = strlen(key);
    for (int64_t i = 0; r.tag == V_DICT && i < r.dict->n; i++) {
        rt_value k = r.dict->keys[i];
        if (k.tag == V_STR && k.str->n == n && !memcmp(k.str->s, key, n))
            return rt_to_public(r.dict->values[i]);
    }
    return jitc_none();
}

static size_t cut_text(rt_text *t, char *buf, size_t n) {
    size_t have = t->n, k = n && have > n - 1 ? n - 1 : have;
    if (n) {
        if (k) memcpy(buf, t->s, k);
        buf[k] = 0;
    }
    rt_text_free(t);
    return have;
}

size_t jitc_value_print(jitc_value v, char *buf, size_t n) {
    rt_text t = {0};
    rt_value_print(&t, rt_of_public(v), false);
    return cut_text(&t, buf, n);
}

/* ---- modules */

const char *jitc_module_name(const jitc_module *m) { return rt_art_text(m->a, m->a->name); }
const char *jitc_module_producer(const jitc_module *m) { return rt_art_text(m->a, m->a->producer); }
const char *jitc_module_level(const jitc_module *m) { return rt_art_text(m->a, m->a->levels[m->level].name); }
const char *jitc_module_features(const jitc_module *m) {
    return rt_art_text(m->a, m->a->levels[m->level].features);
}
size_t jitc_module_weights_bytes(const jitc_module *m) { return (size_t)m->a->weights_bytes; }
size_t jitc_module_prepared_bytes(const jitc_module *m) { return (size_t)m->a->prepared_bytes; }
int jitc_module_entries(const jitc_module *m) { return (int)m->a->nentries; }
const char *jitc_entry_method(const jitc_module *m, int e) {
    return rt_art_text(m->a, m->a->entries[e].method);
}
size_t jitc_entry_code_bytes(const jitc_module *m, int e) {
    return (size_t)m->a->entries[e].code[m->level].code_bytes;
}
int jitc_entry_args(const jitc_module *m, int e) { return m->a->entries[e].nargs; }
int jitc_entry_guards(const jitc_module *m, int e) { return m->a->entries[e].nguards; }
int jitc_module_params(const jitc_module *m) { return (int)m->a->nparams; }

const char *jitc_entry_guard(const jitc_module *m, int e, int i, const char **file, int *line) {
    const rt_guard *g = &m->a->guards[m->a->entries[e].guards + i];
    const rt_message *msg = g->message >= 0 ? &m->a->messages[g->message] : NULL;
    if (file) *file = msg ? rt_art_text(m->a, msg->file) : "";
    if (line) *line = msg ? msg->line : 0;
    return msg ? rt_art_text(m->a, msg->text) : "";
}

jitc_status jitc_module_param(const jitc_module *m, int i, jitc_param *out) {
    *out = (jitc_param){0};
    if (i < 0 || i >= (int)m->a->nparams) return rt_fail(JITC_E_ARGUMENT, "no param %d", i);
    const rt_param *p = &m->a->params[i];
    *out = (jitc_param){.name = rt_art_text(m->a, p->name),
                        .dtype = (jitc_dtype)p->dtype,
                        .ndim = p->rank,
                        .data = m->weights + p->offset,
                        .bytes = (size_t)p->bytes,
                        .packed = p->packed != 0};
    for (int k = 0; k < p->rank; k++) out->shape[k] = m->a->dims[p->first + k].value;
    return JITC_OK;
}

jitc_status jitc_module_workspace(const jitc_module *m, const char *method, int nargs, const jitc_value *args,
                                  size_t *bytes) {
    rt_text why = {0};
    int entry = -1;
    *bytes = 0;
    if (nargs < 0 || nargs > m->max_args) return rt_fail(JITC_E_ARGUMENT, "%s: too many arguments", method);
    size_t nvalues = (size_t)nargs + (size_t)m->max_in;
    rt_value *values = rt_calloc(nvalues, sizeof *values);
    int64_t *symbols = rt_calloc(2 * (size_t)m->max_symbols, sizeof *symbols);
    jitc_status status = values && symbols ? JITC_OK : rt_fail(JITC_E_MEMORY, "out of memory");
    for (int i = 0; status == JITC_OK && i < nargs; i++) values[i] = rt_of_public(args[i]);
    if (status == JITC_OK) {
        status = rt_select_entry(m, method, nargs, values, values + nargs, symbols, &entry, &why);
        if (status != JITC_OK) rt_fail(status, "%s", why.s ? why.s : "out of memory");
    }
    if (status == JITC_OK) {
        rt_size_fn *size = m->a->entries[entry].code[m->level].workspace;
        int64_t n = size ? size(symbols) : 0;
        if (n < 0)
            status = rt_fail(JITC_E_SHAPE, "%s: these sizes need more memory than there can be", method);
        else *bytes = (size_t)n;
    }
    rt_text_free(&why);
    rt_free(values);
    rt_free(symbols);
    return status;
}

/* ---- types */

static const rt_desc *desc_of(jitc_type t) { return &t.module->a->descs[t.row]; }

jitc_type jitc_entry_arg(const jitc_module *m, int e, int i) {
    return (jitc_type){m, e, m->a->entries[e].args + i};
}
jitc_type jitc_entry_result(const jitc_module *m, int e) {
    return (jitc_type){m, e, m->a->entries[e].result};
}
_Static_assert(JITC_T_TENSOR == (int)RT_D_TENSOR && JITC_T_OPTIONAL == (int)RT_D_OPTIONAL &&
                   JITC_T_BOTTOM == (int)RT_D_BOTTOM,
               "public type kinds");
jitc_type_kind jitc_type_get_kind(jitc_type t) { return (jitc_type_kind)desc_of(t)->kind; }
const char *jitc_type_name(jitc_type t) { return rt_art_text(t.module->a, desc_of(t)->name); }
jitc_dtype jitc_type_dtype(jitc_type t) { return (jitc_dtype)desc_of(t)->dtype; }
int jitc_type_rank(jitc_type t) { return desc_of(t)->kind == RT_D_TENSOR ? desc_of(t)->n : 0; }
int jitc_type_is_written(jitc_type t) { return (desc_of(t)->flags & RT_DESC_WRITTEN) != 0; }
int jitc_type_has_default(jitc_type t) { return desc_of(t)->def >= 0; }
int jitc_type_children(jitc_type t) { return desc_of(t)->kind == RT_D_TENSOR ? 0 : desc_of(t)->n; }
jitc_type jitc_type_child(jitc_type t, int i) {
    return (jitc_type){t.module, t.entry, desc_of(t)->first + i};
}

jitc_dim jitc_type_dim(jitc_type t, int i) {
    const rt_artefact *a = t.module->a;
    const rt_dim *d = &a->dims[desc_of(t)->first + i];
    jitc_dim dim = {d->value, d->value, d->value, rt_art_text(a, d->text)};
    if (d->value >= 0) return dim;
    dim = (jitc_dim){-1, 0, INT64_MAX, d->text ? dim.text : "?"};
    if (d->symbol >= 0) {
        const rt_symbol *s = &a->symbols[a->entries[t.entry].symbols + d->symbol];
        dim.lo = s->lo;
        dim.hi = s->hi;
    }
    return dim;
}

size_t jitc_type_print(jitc_type t, char *buf, size_t n) {
    rt_text text = {0};
    rt_type_text(&text, t.module->a, t.row);
    return cut_text(&text, buf, n);
}

/* ---- custom operators */

int jitc_raise(jitc_op_env *env, const char *cls, const char *message) {
    rt_raise(env, cls, "%s", message);
    return 1;
}
