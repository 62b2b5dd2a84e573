/* value.c: boxed values: strings, lists, dicts, objects, equality, printing, and raised errors (value.h).
 *
 * Counts are atomic, so that values may be shared between threads; contents are not locked.  A dict keeps
 * its entries dense and in insertion order; `slots` is an open-addressing index that is rebuilt on growth
 * and on removal (removal is rare, iteration is not). */
#include "runtime/value.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- strings */

rt_value rt_str(const char *s, size_t n) {
    size_t bytes;
    rt_string *str;
    if (!rt_add_size(n, sizeof *str + 1, &bytes) || !(str = rt_malloc(bytes)))
        return (rt_value){.tag = V_UNDEF};
    atomic_init(&str->refs, 1);
    str->n = n;
    if (n) memcpy(str->s, s, n);
    str->s[n] = 0;
    return (rt_value){.tag = V_STR, .str = str};
}

rt_value rt_strz(const char *s) { return rt_str(s, strlen(s)); }

/* ---- lists and tuples */

rt_value rt_list_new(rt_tag list_or_tuple, int64_t n) {
    size_t bytes;
    rt_list *l = NULL;
    rt_value *at = NULL;
    if (n < 0 || !rt_mul_size((size_t)n, sizeof *at, &bytes) || !(l = rt_malloc(sizeof *l)) ||
        (n && !(at = rt_malloc(bytes)))) {
        rt_free(l);
        return (rt_value){.tag = V_UNDEF};
    }
    atomic_init(&l->refs, 1);
    l->n = l->cap = n;
    l->at = at;
    for (int64_t i = 0; i < n; i++) at[i] = V_NULL;
    return (rt_value){.tag = list_or_tuple, .list = l};
}

bool rt_list_push(rt_list *l, rt_value taken) {
    if (l->n == l->cap) {
        int64_t cap = l->cap ? l->cap : 4;
        size_t bytes;
        rt_value *at = NULL;
        bool ok = l->cap == 0 || rt_mul_i64(cap, 2, &cap);
        if (ok && rt_mul_size((size_t)cap, sizeof *at, &bytes)) at = rt_realloc(l->at, bytes);
        if (!at) {
            rt_release(taken);
            return false;
        }
        l->at = at;
        l->cap = cap;
    }
    l->at[l->n++] = taken;
    return true;
}

/* ---- dicts */

rt_value rt_dict_new(void) {
    rt_dict *d = rt_calloc(1, sizeof *d);
    if (!d) return (rt_value){.tag = V_UNDEF};
    atomic_init(&d->refs, 1);
    return (rt_value){.tag = V_DICT, .dict = d};
}

static bool is_number(rt_value v) { return v.tag == V_INT || v.tag == V_BOOL || v.tag == V_FLOAT; }

/* Exact comparison of an int with a float, without rounding the int. */
static bool int_equals_float(int64_t i, double f) {
    return f >= -0x1p63 && f < 0x1p63 && (double)(int64_t)f == f && (int64_t)f == i;
}

/* Equal keys hash alike: 1, 1.0 and True are one key. */
static uint64_t hash_key(rt_value k) {
    int64_t i = k.i;
    if (k.tag == V_STR) return rt_hash(k.str->s, k.str->n, 1);
    if (k.tag == V_FLOAT) {
        if (!(k.f >= -0x1p63 && k.f < 0x1p63 && (double)(int64_t)k.f == k.f))
            return rt_hash(&k.f, sizeof k.f, 2);
        i = (int64_t)k.f;
    }
    return rt_hash(&i, sizeof i, 3);
}

static int *dict_slot(const rt_dict *d, rt_value key) {
    for (uint64_t i = hash_key(key) & (uint64_t)(d->nslots - 1);; i = (i + 1) & (uint64_t)(d->nslots - 1)) {
        int e = d->slots[i];
        if (e < 0 || rt_value_equal(d->keys[e], key)) return &d->slots[i];
    }
}

rt_value *rt_dict_find(rt_dict *d, rt_value key) {
    if (!d->nslots) return NULL;
    int e = *dict_slot(d, key);
    return e < 0 ? NULL : &d->values[e];
}

static void dict_reindex(rt_dict *d) {
    memset(d->slots, -1, (size_t)d->nslots * sizeof *d->slots);
    for (int64_t i = 0; i < d->n; i++) *dict_slot(d, d->keys[i]) = (int)i;
}

static bool dict_grow(rt_dict *d) {
    if (d->cap > INT32_MAX / 4) return false;
    int64_t cap = d->cap ? d->cap * 2 : 4;
    rt_value *keys = rt_realloc(d->keys, (size_t)cap * sizeof *keys);
    if (keys) d->keys = keys;
    rt_value *values = rt_realloc(d->values, (size_t)cap * sizeof *values);
    if (values) d->values = values;
    int *slots = keys && values ? rt_realloc(d->slots, (size_t)cap * 2 * sizeof *slots) : NULL;
    if (!slots) return false;
    d->slots = slots;
    d->nslots = cap * 2;
    d->cap = cap;
    dict_reindex(d);
    return true;
}

bool rt_dict_set(rt_dict *d, rt_value key, rt_value taken) {
    rt_value *old = rt_dict_find(d, key);
    if (old) {
        rt_value gone = *old;
        *old = taken;
        rt_release(gone);
        return true;
    }
    if (d->n == d->cap && !dict_grow(d)) {
        rt_release(taken);
        return false;
    }
    d->keys[d->n] = rt_retain(key);
    d->values[d->n] = taken;
    *dict_slot(d, key) = (int)d->n++;
    return true;
}

bool rt_dict_remove(rt_dict *d, rt_value key) {
    rt_value *v = rt_dict_find(d, key);
    if (!v) return false;
    int64_t i = v - d->values;
    rt_value old_key = d->keys[i], old_value = *v;
    memmove(d->keys + i, d->keys + i + 1, (size_t)(d->n - i - 1) * sizeof *d->keys);
    memmove(d->values + i, d->values + i + 1, (size_t)(d->n - i - 1) * sizeof *d->values);
    d->n--;
    dict_reindex(d);
    rt_release(old_key);
    rt_release(old_value);
    return true;
}

/* ---- objects */

rt_value rt_object_new(const void *cls, int nfields) {
    size_t bytes;
    rt_object *o;
    if (nfields < 0 || !rt_mul_size((size_t)nfields, sizeof o->at[0], &bytes) ||
        !rt_add_size(bytes, sizeof *o, &bytes) || !(o = rt_malloc(bytes)))
        return (rt_value){.tag = V_UNDEF};
    atomic_init(&o->refs, 1);
    o->cls = cls;
    o->n = nfields;
    for (int i = 0; i < nfields; i++) o->at[i] = (rt_value){.tag = V_UNDEF};
    return (rt_value){.tag = V_OBJECT, .object = o};
}

/* ---- counting */

rt_value rt_retain(rt_value v) {
    switch (v.tag) {
    case V_STR: atomic_fetch_add_explicit(&v.str->refs, 1, memory_order_relaxed); break;
    case V_TENSOR: rt_tensor_retain(v.tensor); break;
    case V_LIST:
    case V_TUPLE: atomic_fetch_add_explicit(&v.list->refs, 1, memory_order_relaxed); break;
    case V_DICT: atomic_fetch_add_explicit(&v.dict->refs, 1, memory_order_relaxed); break;
    case V_OBJECT: atomic_fetch_add_explicit(&v.object->refs, 1, memory_order_relaxed); break;
    default: break;
    }
    return v;
}

static bool last_ref(_Atomic int *refs) {
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static void release_all(rt_value *at, int64_t n) {
    for (int64_t i = 0; i < n; i++) rt_release(at[i]);
}

static void dict_free(rt_dict *d) {
    release_all(d->keys, d->n);
    release_all(d->values, d->n);
    rt_free(d->keys);
    rt_free(d->values);
    rt_free(d->slots);
    rt_free(d);
}

void rt_release(rt_value v) {
    switch (v.tag) {
    case V_STR:
        if (last_ref(&v.str->refs)) rt_free(v.str);
        break;
    case V_TENSOR: rt_tensor_release(v.tensor); break;
    case V_LIST:
    case V_TUPLE:
        if (!last_ref(&v.list->refs)) break;
        release_all(v.list->at, v.list->n);
        rt_free(v.list->at);
        rt_free(v.list);
        break;
    case V_DICT:
        if (last_ref(&v.dict->refs)) dict_free(v.dict);
        break;
    case V_OBJECT:
        if (!last_ref(&v.object->refs)) break;
        release_all(v.object->at, v.object->n);
        rt_free(v.object);
        break;
    default: break;
    }
}

/* ---- equality */

static bool lists_equal(const rt_list *a, const rt_list *b) {
    if (a == b) return true;
    if (a->n != b->n) return false;
    for (int64_t i = 0; i < a->n; i++)
        if (!rt_value_equal(a->at[i], b->at[i])) return false;
    return true;
}

static bool dicts_equal(rt_dict *a, rt_dict *b) {
    if (a == b) return true;
    if (a->n != b->n) return false;
    for (int64_t i = 0; i < a->n; i++) {
        rt_value *v = rt_dict_find(b, a->keys[i]);
        if (!v || !rt_value_equal(a->values[i], *v)) return false;
    }
    return true;
}

bool rt_value_equal(rt_value a, rt_value b) {
    if (is_number(a) && is_number(b)) {
        if (a.tag == V_FLOAT) return b.tag == V_FLOAT ? a.f == b.f : int_equals_float(b.i, a.f);
        return b.tag == V_FLOAT ? int_equals_float(a.i, b.f) : a.i == b.i;
    }
    if (a.tag != b.tag) return false;
    switch (a.tag) {
    case V_STR: return a.str->n == b.str->n && !memcmp(a.str->s, b.str->s, a.str->n);
    case V_TENSOR: return a.tensor == b.tensor;
    case V_LIST:
    case V_TUPLE: return lists_equal(a.list, b.list);
    case V_DICT: return dicts_equal(a.dict, b.dict);
    case V_OBJECT: return a.object == b.object;
    default: return true;
    }
}

/* ---- printing */

/* Python's repr of a float: shortest digits that read back; exponent form below 1e-4 and from 1e16. */
static void print_float(rt_text *out, double x) {
    char e[40], digits[24];
    int n = 0, precision = 0;
    if (isnan(x) || isinf(x)) {
        rt_text_str(out, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    for (; precision < 17; precision++) {
        snprintf(e, sizeof e, "%.*e", precision, x);
        if (strtod(e, NULL) == x) break;
    }
    for (const char *s = e; *s && *s != 'e'; s++)
        if (*s >= '0' && *s <= '9' && n < (int)sizeof digits) digits[n++] = *s;
    int exp10 = atoi(strchr(e, 'e') + 1);
    if (signbit(x)) rt_text_str(out, "-");
    if (exp10 < -4 || exp10 >= 16) {
        rt_text_add(out, digits, 1);
        if (n > 1) rt_text_fmt(out, ".%.*s", n - 1, digits + 1);
        rt_text_fmt(out, "e%c%02d", exp10 < 0 ? '-' : '+', abs(exp10));
    } else if (exp10 < 0) {
        rt_text_fmt(out, "0.%.*s%.*s", -exp10 - 1, "0000", n, digits);
    } else {
        for (int i = 0; i <= exp10; i++) rt_text_add(out, i < n ? &digits[i] : "0", 1);
        rt_text_fmt(out, ".%.*s", n > exp10 + 1 ? n - exp10 - 1 : 1,
                    n > exp10 + 1 ? digits + exp10 + 1 : "0");
    }
}

/* Python's repr of a string: single quotes unless it holds one and no double quote. */
static void print_quoted(rt_text *out, const rt_string *s) {
    char q = memchr(s->s, '\'', s->n) && !memchr(s->s, '"', s->n) ? '"' : '\'';
    rt_text_add(out, &q, 1);
    for (size_t i = 0; i < s->n; i++) {
        unsigned char ch = (unsigned char)s->s[i];
        if (ch == (unsigned char)q || ch == '\\') rt_text_fmt(out, "\\%c", ch);
        else if (ch == '\n') rt_text_str(out, "\\n");
        else if (ch == '\t') rt_text_str(out, "\\t");
        else if (ch == '\r') rt_text_str(out, "\\r");
        else if (ch < 32 || ch == 127) rt_text_fmt(out, "\\x%02x", ch);
        else rt_text_add(out, &s->s[i], 1);
    }
    rt_text_add(out, &q, 1);
}

static void print_element(rt_text *out, const rt_tensor *t, int64_t i) {
    const void *data = t->storage->data;
    char kind = rt_dtypes[t->dtype].kind;
    if (kind == 'B') rt_text_str(out, rt_load_i64(data, t->dtype, i) ? "True" : "False");
    else if (kind == 'F') print_float(out, rt_load_f64(data, t->dtype, i));
    else rt_text_fmt(out, "%lld", (long long)rt_load_i64(data, t->dtype, i));
}

static void print_dims(rt_text *out, const rt_tensor *t, int dim, int64_t at) {
    enum { SHOWN = 100 }; /* elements per row: enough for messages, bounded for huge tensors */
    if (dim == t->ndim) {
        print_element(out, t, at);
        return;
    }
    rt_text_str(out, "[");
    for (int64_t i = 0; i < t->shape[dim]; i++) {
        if (i) rt_text_str(out, ", ");
        if (i == SHOWN) {
            rt_text_str(out, "...");
            break;
        }
        print_dims(out, t, dim + 1, at + i * t->strides[dim]);
    }
    rt_text_str(out, "]");
}

static void print_items(rt_text *out, const rt_list *l) {
    for (int64_t i = 0; i < l->n; i++) {
        if (i) rt_text_str(out, ", ");
        rt_value_print(out, l->at[i], true);
    }
}

static void print_dict(rt_text *out, const rt_dict *d) {
    rt_text_str(out, "{");
    for (int64_t i = 0; i < d->n; i++) {
        if (i) rt_text_str(out, ", ");
        rt_value_print(out, d->keys[i], true);
        rt_text_str(out, ": ");
        rt_value_print(out, d->values[i], true);
    }
    rt_text_str(out, "}");
}

void rt_value_print(rt_text *out, rt_value v, bool repr) {
    switch (v.tag) {
    case V_NONE: rt_text_str(out, "None"); break;
    case V_BOOL: rt_text_str(out, v.i ? "True" : "False"); break;
    case V_INT: rt_text_fmt(out, "%lld", (long long)v.i); break;
    case V_FLOAT: print_float(out, v.f); break;
    case V_STR:
        if (repr) print_quoted(out, v.str);
        else rt_text_add(out, v.str->s, v.str->n);
        break;
    case V_TENSOR:
        rt_text_str(out, "tensor(");
        print_dims(out, v.tensor, 0, v.tensor->offset);
        rt_text_str(out, ")");
        break;
    case V_LIST:
        rt_text_str(out, "[");
        print_items(out, v.list);
        rt_text_str(out, "]");
        break;
    case V_TUPLE:
        rt_text_str(out, "(");
        print_items(out, v.list);
        rt_text_str(out, v.list->n == 1 ? ",)" : ")");
        break;
    case V_DICT: print_dict(out, v.dict); break;
    case V_OBJECT: rt_text_str(out, "<object>"); break;
    case V_UNDEF: rt_text_str(out, "<uninitialized>"); break;
    }
}

/* ---- raising */

static char *copy_text(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = rt_malloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

bool rt_raise(rt_env *env, const char *cls, const char *fmt, ...) {
    va_list ap, again;
    char *message = NULL;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n >= 0 && (message = rt_malloc((size_t)n + 1))) vsnprintf(message, (size_t)n + 1, fmt, ap);
    va_end(ap);
    char *name = copy_text(cls); /* before clearing: arguments may be the texts of an earlier raise */
    rt_env_clear(env);
    env->message = message;
    env->cls = name;
    return false;
}

void rt_env_clear(rt_env *env) {
    rt_free(env->cls);
    rt_free(env->message);
    env->cls = env->message = NULL;
}
