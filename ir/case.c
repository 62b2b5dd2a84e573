/* case.c: see case.h. */
#include "ir/case.h"

#include "ir/mapping.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum { MAX_DEPTH = 64 };

/* ---- values from JSON */

typedef struct reader {
    ir_context *c;
    const char *what; /* file and case, for messages */
    const ir_safetensors *s;
} reader;

static bool bad(const reader *r, const char *why) {
    ir_error(r->c, 0, "%s: %s", r->what, why);
    return false;
}

static bool read_value(const reader *r, const json_t *j, int depth, rt_value *out);

static bool read_items(const reader *r, const json_t *items, rt_tag tag, int depth, rt_value *out) {
    if (!json_is_array(items)) return bad(r, "`tuple` must hold a list");
    size_t n = json_array_size(items);
    rt_value v = rt_list_new(tag, (int64_t)n);
    if (v.tag == V_UNDEF) return bad(r, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (read_value(r, json_array_get(items, i), depth, &v.list->at[i])) continue;
        rt_release(v);
        return false;
    }
    *out = v;
    return true;
}

static bool read_pair(const reader *r, const json_t *pair, int depth, rt_value dict) {
    rt_value key = V_NULL, value = V_NULL;
    if (json_array_size(pair) != 2) return bad(r, "`dict` must hold a list of pairs");
    bool fine = read_value(r, json_array_get(pair, 0), depth, &key);
    if (fine && key.tag != V_STR && key.tag != V_INT && key.tag != V_FLOAT && key.tag != V_BOOL)
        fine = bad(r, "a key of a dict must be a string, an int, a float or a bool");
    if (fine && rt_dict_find(dict.dict, key)) fine = bad(r, "a dict has the same key twice");
    fine = fine && read_value(r, json_array_get(pair, 1), depth, &value);
    if (fine && !rt_dict_set(dict.dict, key, value)) fine = bad(r, "out of memory");
    rt_release(key);
    return fine;
}

static bool read_dict(const reader *r, const json_t *pairs, int depth, rt_value *out) {
    if (!json_is_array(pairs)) return bad(r, "`dict` must hold a list of pairs");
    rt_value v = rt_dict_new();
    if (v.tag == V_UNDEF) return bad(r, "out of memory");
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        if (read_pair(r, json_array_get(pairs, i), depth, v)) continue;
        rt_release(v);
        return false;
    }
    *out = v;
    return true;
}

static bool read_float(const reader *r, const json_t *j, rt_value *out) {
    const char *s = json_string_value(j);
    if (s && !strcmp(s, "inf")) *out = rt_float(INFINITY);
    else if (s && !strcmp(s, "-inf")) *out = rt_float(-INFINITY);
    else if (s && !strcmp(s, "nan")) *out = rt_float(NAN);
    else return bad(r, "`f` must be \"inf\", \"-inf\" or \"nan\"");
    return true;
}

static bool read_tensor(const reader *r, const json_t *j, rt_value *out) {
    const char *name = json_string_value(j);
    if (!name) return bad(r, "`t` must be the name of a tensor");
    rt_tensor *t = r->s ? ir_safetensors_find(r->s, name) : NULL;
    if (!t) return bad(r, ir_fmt(r->c, "the file has no tensor `%s`", ir_quote(r->c, name, strlen(name))));
    rt_tensor_retain(t);
    *out = rt_tensor_value(t);
    return true;
}

/* An object is one of the forms by its key; a tuple may name its fields beside. */
static bool read_object(const reader *r, const json_t *j, int depth, rt_value *out) {
    const json_t *v;
    size_t n = json_object_size(j);
    if ((v = json_object_get(j, "tuple")) && (n == 1 || (n == 2 && json_object_get(j, "fields"))))
        return read_items(r, v, V_TUPLE, depth, out);
    if (n == 1 && (v = json_object_get(j, "t"))) return read_tensor(r, v, out);
    if (n == 1 && (v = json_object_get(j, "f"))) return read_float(r, v, out);
    if (n == 1 && (v = json_object_get(j, "dict"))) return read_dict(r, v, depth, out);
    if (n == 1 && json_is_string(v = json_object_get(j, "s"))) {
        *out = rt_str(json_string_value(v), json_string_length(v));
        return out->tag == V_STR || bad(r, "out of memory");
    }
    return bad(r, "an object that is none of {\"t\"}, {\"s\"}, {\"f\"}, {\"tuple\"}, {\"dict\"}");
}

static bool read_value(const reader *r, const json_t *j, int depth, rt_value *out) {
    *out = V_NULL;
    if (depth > MAX_DEPTH) return bad(r, "values are nested too deeply");
    switch (j ? json_typeof(j) : JSON_NULL) {
    case JSON_NULL: return true;
    case JSON_TRUE: *out = rt_bool(true); return true;
    case JSON_FALSE: *out = rt_bool(false); return true;
    case JSON_INTEGER: *out = rt_int(json_integer_value(j)); return true;
    case JSON_REAL: *out = rt_float(json_real_value(j)); return true;
    case JSON_ARRAY: return read_items(r, j, V_LIST, depth + 1, out);
    case JSON_OBJECT: return read_object(r, j, depth + 1, out);
    default: return bad(r, "a bare string: a string value is written {\"s\": \"text\"}");
    }
}

static json_t *parse(ir_context *c, const char *what, const char *text) {
    json_error_t e;
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!j) ir_error(c, 0, "%s: no valid JSON: %s", what, ir_quote(c, e.text, strlen(e.text)));
    return j;
}

bool ir_value_from_json(ir_context *c, const char *what, const char *text, const ir_safetensors *s,
                        rt_value *out) {
    *out = V_NULL;
    json_t *j = parse(c, what, text);
    reader r = {c, what, s};
    bool fine = j && read_value(&r, j, 0, out);
    if (j) json_decref(j);
    if (!fine) *out = V_NULL;
    else ir_own(c, *out);
    return fine;
}

/* ---- case files */

static bool read_case(const reader *r, const json_t *j, ir_case *k) {
    const json_t *method = json_object_get(j, "method"), *args = json_object_get(j, "args"),
                 *out = json_object_get(j, "out"), *raises = json_object_get(j, "raises"),
                 *words = json_object_get(j, "words");
    if (!json_is_object(j)) return bad(r, "a case must be an object");
    if (method && !json_is_string(method)) return bad(r, "`method` must be a string");
    if (!json_is_array(args)) return bad(r, "`args` must be a list");
    if (raises && !json_is_string(raises)) return bad(r, "`raises` must be a string");
    if (words && !json_is_boolean(words)) return bad(r, "`words` must be true or false");
    if (out && raises) return bad(r, "a case has both `out` and `raises`");
    const char *m = method ? json_string_value(method) : "forward";
    k->method = rt_arena_str(&r->c->arena, m, strlen(m));
    k->words = json_is_true(words);
    if (raises) k->raises = rt_arena_str(&r->c->arena, json_string_value(raises), json_string_length(raises));
    if (!read_items(r, args, V_LIST, 0, &k->args)) return k->args = V_NULL, false;
    ir_own(r->c, k->args);
    if (!out) return true;
    if (!read_value(r, out, 0, &k->out)) return k->out = V_NULL, false;
    ir_own(r->c, k->out);
    k->has_out = true;
    return true;
}

static bool read_list(ir_context *c, ir_cases *out, const ir_safetensors *s, const char *text) {
    const char *what = ir_fmt(c, "%s: metadata `cases`", out->file);
    json_t *list = parse(c, what, text);
    if (!list) return false;
    reader r = {c, what, s};
    bool fine = json_is_array(list) || bad(&r, "it must be a list");
    size_t n = fine ? json_array_size(list) : 0;
    out->at = RT_ARRAY(&c->arena, ir_case, n);
    for (; fine && out->n < (int)n; out->n += fine) {
        r.what = ir_fmt(c, "%s: case %d", out->file, out->n);
        fine = read_case(&r, json_array_get(list, (size_t)out->n), &out->at[out->n]);
    }
    json_decref(list);
    return fine;
}

/* Tensors prefix.0, prefix.1 ... as a list or tuple. */
static bool gather(ir_context *c, const ir_safetensors *s, const char *prefix, rt_tag tag, rt_value *out) {
    *out = rt_list_new(tag, 0);
    if (out->tag == V_UNDEF) return false;
    ir_own(c, *out);
    for (int i = 0;; i++) {
        rt_tensor *t = ir_safetensors_find(s, ir_fmt(c, "%s.%d", prefix, i));
        if (!t) return true;
        rt_tensor_retain(t);
        if (!rt_list_push(out->list, rt_tensor_value(t))) return false;
    }
}

/* A file without metadata: in.N and out.N; whatever else it holds was meant for something else. */
static bool read_plain(ir_context *c, ir_cases *out, const ir_safetensors *s) {
    out->n = 1;
    out->at = RT_NEW(&c->arena, ir_case);
    ir_case *k = out->at;
    *k = (ir_case){.method = "forward", .flat = true};
    rt_value outs;
    if (!gather(c, s, "in", V_LIST, &k->args) || !gather(c, s, "out", V_TUPLE, &outs)) {
        ir_error(c, 0, "%s: out of memory", out->file);
        return false;
    }
    if (k->args.list->n + outs.list->n != s->tensors.n) {
        ir_error(c, 0,
                 "%s: not a case file: without the metadata `cases` its tensors must be named in.0, in.1 "
                 "..., out.0, out.1 ...",
                 out->file);
        return false;
    }
    k->has_out = outs.list->n > 0;
    k->out = outs.list->n == 1 ? outs.list->at[0] : outs;
    return true;
}

static bool read_number(ir_context *c, const ir_safetensors *s, const char *key, double *x) {
    const char *text = ir_safetensors_meta(s, key);
    char *end;
    *x = 0;
    if (!text) return true;
    *x = strtod(text, &end);
    if (end != text && !*end && *x >= 0 && isfinite(*x)) return true;
    ir_error(c, 0, "%s: metadata `%s` must be a number >= 0", s->file, key);
    return false;
}

static ir_cases *read_cases(ir_context *c, ir_safetensors *s) {
    if (!s) return NULL;
    ir_cases *out = RT_NEW(&c->arena, ir_cases);
    out->file = s->file;
    const char *text = ir_safetensors_meta(s, "cases");
    bool fine = read_number(c, s, "rtol", &out->rtol) && read_number(c, s, "atol", &out->atol) &&
                (text ? read_list(c, out, s, text) : read_plain(c, out, s));
    ir_safetensors_close(s);
    return fine ? out : NULL;
}

ir_cases *ir_cases_open(ir_context *c, const char *path) {
    return read_cases(c, ir_safetensors_open(c, path));
}

ir_cases *ir_cases_memory(ir_context *c, const char *name, const void *data, size_t n) {
    return read_cases(c, ir_safetensors_memory(c, name, data, n));
}

/* ---- comparison */

typedef struct compare {
    ir_context *c;
    ir_tolerance tol;
    ir_comparison *out;
} compare;

static void add_row(compare *x, ir_difference d) {
    d.fine = !d.message;
    if (d.message) {
        if (!d.error) d.error = INFINITY;
        d.message = ir_fmt(x->c, "%s: %s", d.path, d.message);
        if (!x->out->first) x->out->first = d.message;
    }
    RT_PUSH(&x->c->arena, &x->out->rows, d);
}

static void differs(compare *x, const char *path, const char *message) {
    add_row(x, (ir_difference){.path = path, .error = INFINITY, .excess = INFINITY, .message = message});
}

static double max(double a, double b) { return a > b ? a : b; }

/* The defaults of the case format; rows for what has no tolerance stay zero. */
static ir_tolerance tolerance(const compare *x, rt_dtype dtype) {
    ir_tolerance t = {0};
    if (dtype == DT_F64) t = (ir_tolerance){1e-7, 1e-9, false};
    else if (dtype == DT_F32 && x->tol.exported) t = (ir_tolerance){1e-3, 1e-4, false};
    else if (dtype == DT_F32) t = (ir_tolerance){1e-4, 1e-5, false};
    else if (dtype == DT_F16) t = (ir_tolerance){1e-2, 1e-2, false};
    else if (dtype == DT_BF16) t = (ir_tolerance){3e-2, 3e-2, false};
    else return t;
    t.rtol = max(t.rtol, x->tol.rtol);
    t.atol = max(t.atol, x->tol.atol);
    return t;
}

/* Error of one number, and how much of its allowance it uses (more than 1: too much). */
static double error_of(double got, double want, ir_tolerance t, double *excess) {
    *excess = 0;
    if (got == want || (isnan(got) && isnan(want))) return 0;
    double err = fabs(got - want), allowed = t.atol + t.rtol * fabs(want);
    if (!isfinite(err) || isinf(want)) err = INFINITY;
    *excess = allowed > 0 && isfinite(err) ? err / allowed : INFINITY;
    return err;
}

static const char *shape_text(ir_context *c, const rt_tensor *t) {
    const char *s = ir_fmt(c, "%s[", rt_dtypes[t->dtype].name);
    for (int i = 0; i < t->ndim; i++) s = ir_fmt(c, i ? "%s, %lld" : "%s%lld", s, (long long)t->shape[i]);
    return ir_fmt(c, "%s]", s);
}

static const char *number_text(ir_context *c, double x) {
    char buf[32];
    return ir_fmt(c, "%s", rt_print_double(buf, x));
}

static const char *element_text(ir_context *c, const rt_tensor *t, int64_t at) {
    if (rt_dtypes[t->dtype].kind == 'F') return number_text(c, rt_load_f64(t->storage->data, t->dtype, at));
    return ir_fmt(c, "%lld", (long long)rt_load_i64(t->storage->data, t->dtype, at));
}

/* Steps an index over `shape`; false after the last. */
static bool next_index(const rt_tensor *t, int64_t *index) {
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (++index[i] < t->shape[i]) return true;
        index[i] = 0;
    }
    return false;
}

static int64_t place_of(const rt_tensor *t, const int64_t *index) {
    int64_t at = t->offset;
    for (int i = 0; i < t->ndim; i++) at += index[i] * t->strides[i];
    return at;
}

static const char *element_message(ir_context *c, const rt_tensor *got, const rt_tensor *want,
                                   const int64_t *index) {
    const char *s = "";
    for (int i = 0; i < want->ndim; i++)
        s = ir_fmt(c, i ? "%s, %lld" : "%s at [%lld", s, (long long)index[i]);
    return ir_fmt(c, "got %s, want %s%s%s", element_text(c, got, place_of(got, index)),
                  element_text(c, want, place_of(want, index)), s, want->ndim ? "]" : "");
}

static void compare_tensors(compare *x, const rt_tensor *got, const rt_tensor *want, const char *path) {
    if (got->dtype != want->dtype || got->ndim != want->ndim ||
        (want->ndim && memcmp(got->shape, want->shape, (size_t)want->ndim * sizeof *want->shape))) {
        differs(x, path,
                ir_fmt(x->c, "got a tensor %s, want %s", shape_text(x->c, got), shape_text(x->c, want)));
        return;
    }
    int64_t index[RT_MAX_RANK] = {0}, worst[RT_MAX_RANK] = {0}, wrong = 0;
    ir_difference d = {.path = path};
    ir_tolerance t = tolerance(x, want->dtype);
    bool real = rt_dtypes[want->dtype].kind == 'F';
    if (rt_tensor_numel(want) == 0) return add_row(x, d);
    do {
        int64_t a = place_of(got, index), b = place_of(want, index);
        double excess, err;
        if (real) {
            err = error_of(rt_load_f64(got->storage->data, got->dtype, a),
                           rt_load_f64(want->storage->data, want->dtype, b), t, &excess);
        } else { /* as integers: a double would not hold every int64 */
            int64_t u = rt_load_i64(got->storage->data, got->dtype, a),
                    v = rt_load_i64(want->storage->data, want->dtype, b);
            err = u == v ? 0 : fabs((double)u - (double)v) + (double)((double)u == (double)v);
            excess = u == v ? 0 : INFINITY;
        }
        if (!(excess <= 1) && !wrong++) memcpy(worst, index, sizeof worst);
        d.error = max(d.error, err);
        d.excess = max(d.excess, excess);
    } while (next_index(want, index));
    if (wrong)
        d.message = ir_fmt(x->c, "%s (%lld of %lld elements differ, largest error %.3g)",
                           element_message(x->c, got, want, worst), (long long)wrong,
                           (long long)rt_tensor_numel(want), d.error);
    add_row(x, d);
}

static const char *kind_text(ir_context *c, rt_value v) {
    static const char *const names[] = {"None",   "a bool",  "an int", "a float",   "a str",  "a tensor",
                                        "a list", "a tuple", "a dict", "an object", "nothing"};
    if (v.tag == V_TENSOR) return ir_fmt(c, "a tensor %s", shape_text(c, v.tensor));
    return names[v.tag];
}

static const char *value_text(ir_context *c, rt_value v) {
    rt_text t = {0};
    rt_value_print(&t, v, true);
    const char *s = t.s ? ir_quote(c, t.s, t.n) : "";
    rt_text_free(&t);
    return s;
}

static void compare_floats(compare *x, double got, double want, const char *path) {
    ir_tolerance t = {max(1e-4, x->tol.rtol), max(1e-5, x->tol.atol), false};
    ir_difference d = {.path = path};
    d.error = error_of(got, want, t, &d.excess);
    if (!(d.excess <= 1))
        d.message = ir_fmt(x->c, "got %s, want %s", number_text(x->c, got), number_text(x->c, want));
    add_row(x, d);
}

static void compare_values(compare *x, rt_value got, rt_value want, const char *path, int depth);

static void compare_lists(compare *x, const rt_list *got, const rt_list *want, const char *path, int depth) {
    if (got->n != want->n) {
        differs(x, path, ir_fmt(x->c, "got %lld elements, want %lld", (long long)got->n, (long long)want->n));
        return;
    }
    for (int64_t i = 0; i < want->n; i++)
        compare_values(x, got->at[i], want->at[i], ir_fmt(x->c, "%s[%lld]", path, (long long)i), depth + 1);
}

static void compare_dicts(compare *x, const rt_dict *got, const rt_dict *want, const char *path, int depth) {
    if (got->n != want->n) {
        differs(x, path, ir_fmt(x->c, "got %lld entries, want %lld", (long long)got->n, (long long)want->n));
        return;
    }
    for (int64_t i = 0; i < want->n; i++) {
        const char *key = value_text(x->c, want->keys[i]);
        if (want->keys[i].tag == V_STR)
            key = ir_fmt(x->c, "\"%s\"", ir_quote(x->c, want->keys[i].str->s, want->keys[i].str->n));
        if (got->keys[i].tag != want->keys[i].tag || !rt_value_equal(got->keys[i], want->keys[i])) {
            differs(x, path,
                    ir_fmt(x->c, "key %lld is %s, want %s", (long long)i, value_text(x->c, got->keys[i]),
                           value_text(x->c, want->keys[i])));
            return;
        }
        compare_values(x, got->values[i], want->values[i], ir_fmt(x->c, "%s[%s]", path, key), depth + 1);
    }
}

static void compare_values(compare *x, rt_value got, rt_value want, const char *path, int depth) {
    if (depth > MAX_DEPTH) return differs(x, path, "values are nested too deeply");
    if (got.tag != want.tag) {
        differs(x, path, ir_fmt(x->c, "got %s, want %s", kind_text(x->c, got), kind_text(x->c, want)));
        return;
    }
    switch (want.tag) {
    case V_TENSOR: return compare_tensors(x, got.tensor, want.tensor, path);
    case V_FLOAT: return compare_floats(x, got.f, want.f, path);
    case V_LIST:
    case V_TUPLE: return compare_lists(x, got.list, want.list, path, depth);
    case V_DICT: return compare_dicts(x, got.dict, want.dict, path, depth);
    case V_OBJECT:
    case V_UNDEF: return differs(x, path, "a value that cannot be compared");
    default:
        if (!rt_value_equal(got, want))
            differs(x, path, ir_fmt(x->c, "got %s, want %s", value_text(x->c, got), value_text(x->c, want)));
    }
}

/* The tensors of a value, depth first; false: too deep. */
static bool flatten(compare *x, rt_value v, rt_value *list, int depth) {
    if (v.tag == V_TENSOR) {
        rt_list_push(list->list, rt_retain(v));
        return true;
    }
    if (depth > MAX_DEPTH) return false;
    bool fine = true;
    if (v.tag == V_LIST || v.tag == V_TUPLE)
        for (int64_t i = 0; fine && i < v.list->n; i++) fine = flatten(x, v.list->at[i], list, depth + 1);
    if (v.tag == V_DICT)
        for (int64_t i = 0; fine && i < v.dict->n; i++) fine = flatten(x, v.dict->values[i], list, depth + 1);
    return fine;
}

static void compare_flat(compare *x, rt_value got, rt_value want) {
    rt_value a = rt_list_new(V_LIST, 0), b = rt_list_new(V_LIST, 0);
    if (a.tag == V_UNDEF || b.tag == V_UNDEF || !flatten(x, got, &a, 0) || !flatten(x, want, &b, 0))
        differs(x, "out", "values are nested too deeply");
    else if (b.list->n == 1 && a.list->n == 1) compare_values(x, a.list->at[0], b.list->at[0], "out", 0);
    else compare_lists(x, a.list, b.list, "out", 0);
    rt_release(a);
    rt_release(b);
}

bool ir_case_compare(ir_context *c, const ir_case *k, rt_value got, ir_tolerance tol, ir_comparison *out) {
    *out = (ir_comparison){0};
    compare x = {c, tol, out};
    if (k->raises)
        differs(&x, "out",
                ir_fmt(c, "got a result, want an error: %s", ir_quote(c, k->raises, strlen(k->raises))));
    else if (!k->has_out) return true;
    else if (k->flat || tol.exported) compare_flat(&x, got, k->out);
    else compare_values(&x, got, k->out, "out", 0);
    return !out->first;
}

bool ir_case_raised(ir_context *c, const ir_case *k, const char *cls, const char *message, const char **why) {
    const char *text = cls ? ir_fmt(c, "%s: %s", cls, message ? message : "") : message ? message : "";
    const char *shown = ir_quote(c, text, strlen(text));
    *why = NULL;
    if (!k->raises) {
        *why = ir_fmt(c, "raised an error: %s", shown);
    } else if (k->words) {
        const char *colon = strstr(k->raises, ": ");
        const char *want = colon ? colon + 2 : k->raises;
        if (!strstr(text, want))
            *why = ir_fmt(c, "raised `%s`, want `%s`", shown, ir_quote(c, k->raises, strlen(k->raises)));
    }
    return !*why;
}
