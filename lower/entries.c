/* entries.c: see entries.h.  A call's argument is first described by a type whose sizes are all constant;
 * calls whose types agree but for sizes are one variant; then the sizes of all calls of a variant are
 * compared place by place. */
#include "lower/entries.h"

#include "ir/case.h"

#include <ctype.h>
#include <stdlib.h>

typedef const ir_type *T;

typedef struct varying {
    const int64_t *sizes;
    const ir_dim *dim;
} varying; /* sizes: one for each call */

typedef struct builder {
    ir_context *c;
    ir_module *m;
    const lower_method *f;
    const lower_words *words;
    int nparams;
    const rt_value **fixed; /* by parameter: --specialise, or NULL */
    T *given;               /* by parameter: --input, or NULL */
    rt_map taken;           /* symbols of this entry */
    RT_VEC(varying) dims;   /* of this entry */
} builder;

static const ir_value *param(const builder *b, int i) { return b->f->func->body->params.at[i + b->f->skip]; }

static const char *param_name(const builder *b, int i) {
    const ir_func *f = b->f->func;
    const char *s = f->param_names ? f->param_names[i + b->f->skip] : NULL;
    return s ? s : param(b, i)->name ? param(b, i)->name : ir_fmt(b->c, "arg%d", i);
}

/* ======================================================= the type of a value, sizes constant */

static T list_join(ir_context *c, T a, T b);

static T join_children(ir_context *c, T a, T b) {
    T *e = RT_ARRAY(&c->arena, T, a->n + 1);
    for (int i = 0; i < a->n; i++)
        if (!(e[i] = list_join(c, a->elem[i], b->elem[i]))) return NULL;
    switch (a->kind) {
    case T_LIST: return ir_type_list(c, e[0]);
    case T_DICT: return ir_type_dict(c, e[0], e[1]);
    default: return ir_type_tuple(c, a->n, e, a->fields, a->name);
    }
}

static T tensor_join(ir_context *c, T a, T b) {
    if (a->dtype != b->dtype || a->rank != b->rank) return NULL;
    const ir_dim *dims[RT_MAX_RANK];
    for (int i = 0; i < a->rank; i++) dims[i] = a->dims[i] == b->dims[i] ? a->dims[i] : NULL;
    return ir_type_tensor(c, a->dtype, a->rank, dims);
}

/* Type of the elements of one list: sizes that differ are unknown.  NULL: they have none in common. */
static T list_join(ir_context *c, T a, T b) {
    if (a == b || b->kind == T_BOTTOM) return a;
    if (a->kind == T_BOTTOM) return b;
    bool none = a->kind == T_NONE || b->kind == T_NONE;
    if (none || a->kind == T_OPTIONAL || b->kind == T_OPTIONAL) {
        T x = a->kind == T_OPTIONAL ? a->elem[0] : a, y = b->kind == T_OPTIONAL ? b->elem[0] : b;
        T t = x->kind == T_NONE ? y : y->kind == T_NONE ? x : list_join(c, x, y);
        return t ? ir_type_optional(c, t) : NULL;
    }
    if (a->kind != b->kind || a->n != b->n) return NULL;
    if (a->kind == T_TENSOR) return tensor_join(c, a, b);
    if (a->kind == T_LIST || a->kind == T_DICT || a->kind == T_TUPLE) return join_children(c, a, b);
    return ir_join(c, a, b);
}

static bool has_tensor(T t) {
    if (t->kind == T_TENSOR || t->kind == T_ANY || t->kind == T_VAR) return true;
    for (int i = 0; i < t->n; i++)
        if (has_tensor(t->elem[i])) return true;
    return false;
}

/* Elements of an empty container: bottom unless the declaration says all. */
static T empty_element(ir_context *c, T declared) {
    return declared && !has_tensor(declared) ? declared : ir_type_simple(c, T_BOTTOM);
}

static T type_of(builder *b, rt_value v, T declared, const char *what);

static T join_items(builder *b, const rt_value *at, int64_t n, T declared, const char *what) {
    T t = ir_type_simple(b->c, T_BOTTOM);
    for (int64_t i = 0; i < n && t; i++) {
        T x = type_of(b, at[i], declared, what);
        if (!x) return NULL;
        if (!(t = list_join(b->c, t, x)))
            ir_error(b->c, b->f->func->span,
                     "%s: elements of argument `%s` differ in type, dtype or rank, which a list of a "
                     "compiled call cannot",
                     b->f->name, what);
    }
    return n ? t : empty_element(b->c, declared);
}

static T child(T declared, int i) { return declared && i < declared->n ? declared->elem[i] : NULL; }

static T tuple_type(builder *b, const rt_list *l, T declared, const char *what) {
    T *e = RT_ARRAY(&b->c->arena, T, l->n + 1);
    bool named = declared && declared->kind == T_TUPLE && declared->n == l->n;
    for (int i = 0; i < (int)l->n; i++)
        if (!(e[i] = type_of(b, l->at[i], named ? declared->elem[i] : NULL, what))) return NULL;
    return ir_type_tuple(b->c, (int)l->n, e, named ? declared->fields : NULL, named ? declared->name : NULL);
}

static T tensor_type(builder *b, const rt_tensor *t) {
    const ir_dim *dims[RT_MAX_RANK];
    for (int i = 0; i < t->ndim; i++) dims[i] = ir_dim_const(b->c, t->shape[i]);
    return ir_type_tensor(b->c, t->dtype, t->ndim, dims);
}

static T type_of(builder *b, rt_value v, T declared, const char *what) {
    ir_context *c = b->c;
    if (declared && declared->kind == T_OPTIONAL) declared = declared->elem[0];
    switch (v.tag) {
    case V_NONE: return ir_type_simple(c, T_NONE);
    case V_BOOL: return ir_type_simple(c, T_BOOL);
    case V_INT: return declared && declared->kind == T_FLOAT ? declared : ir_type_int(c, NULL);
    case V_FLOAT: return ir_type_simple(c, T_FLOAT);
    case V_STR: return ir_type_simple(c, T_STR);
    case V_TENSOR: return tensor_type(b, v.tensor);
    case V_TUPLE: return tuple_type(b, v.list, declared, what);
    case V_LIST: {
        T e = join_items(b, v.list->at, v.list->n,
                         declared && declared->kind == T_LIST ? declared->elem[0] : NULL, what);
        return e ? ir_type_list(c, e) : NULL;
    }
    case V_DICT: {
        bool dict = declared && declared->kind == T_DICT;
        T k = join_items(b, v.dict->keys, v.dict->n, dict ? child(declared, 0) : NULL, what);
        T e = join_items(b, v.dict->values, v.dict->n, dict ? child(declared, 1) : NULL, what);
        return k && e ? ir_type_dict(c, k, e) : NULL;
    }
    default:
        ir_error(c, b->f->func->span, "%s: argument `%s` is of a kind that a compiled call cannot take",
                 b->f->name, what);
        return NULL;
    }
}

/* ======================================================= variants */

/* Do two calls' types differ in sizes only (or in what an empty list leaves open)? */
static bool same_key(T a, T b, bool in_list) {
    if (a->kind == T_BOTTOM || b->kind == T_BOTTOM) return true;
    if (in_list &&
        (a->kind == T_OPTIONAL || b->kind == T_OPTIONAL || a->kind == T_NONE || b->kind == T_NONE)) {
        T x = a->kind == T_OPTIONAL ? a->elem[0] : a, y = b->kind == T_OPTIONAL ? b->elem[0] : b;
        return x->kind == T_NONE || y->kind == T_NONE || same_key(x, y, true);
    }
    if (a->kind != b->kind || a->n != b->n) return false;
    if (a->kind == T_TENSOR) return a->dtype == b->dtype && a->rank == b->rank;
    for (int i = 0; i < a->n; i++)
        if (!same_key(a->elem[i], b->elem[i], in_list || a->kind == T_LIST || a->kind == T_DICT))
            return false;
    return true;
}

static bool identifier_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* A name for a symbol that no other of the entry has. */
static const char *fresh_name(builder *b, const char *want) {
    char *s = rt_arena_str(&b->c->arena, want, strlen(want));
    for (char *p = s; *p; p++)
        if (!identifier_char(*p)) *p = '_';
    if (isdigit((unsigned char)*s)) s = (char *)ir_fmt(b->c, "_%s", s);
    while (rt_map_get(&b->taken, s)) s = (char *)ir_fmt(b->c, "%s_", s);
    rt_map_put(&b->c->arena, &b->taken, s, b);
    return s;
}

static const ir_dim *free_int(builder *b, const char *path) {
    const char *name = fresh_name(b, path);
    ir_symbol *s = ir_symbol_get(b->c, name);
    s->lo = INT64_MIN, s->hi = INT64_MAX;
    return ir_dim_symbol(b->c, name);
}

static const ir_dim *varying_dim(builder *b, const char *path, int index, int n, const int64_t *sizes) {
    for (int i = 0; i < b->dims.n; i++)
        if (!memcmp(b->dims.at[i].sizes, sizes, (size_t)n * sizeof *sizes)) return b->dims.at[i].dim;
    const char *name = fresh_name(b, ir_fmt(b->c, "%s_%d", path, index));
    ir_symbol *s = ir_symbol_get(b->c, name);
    s->hint = sizes[0];
    for (int i = 0; i < n; i++) {
        if (sizes[i] == 0) s->lo = 0;
        if (sizes[i] == 1) s->hint = 1;
    }
    varying x = {sizes, ir_dim_symbol(b->c, name)};
    RT_PUSH(&b->c->arena, &b->dims, x);
    return x.dim;
}

static T merge_tensor(builder *b, const char *path, int n, const T *t) {
    const ir_dim *dims[RT_MAX_RANK];
    for (int d = 0; d < t[0]->rank; d++) {
        int64_t *sizes = RT_ARRAY(&b->c->arena, int64_t, n);
        bool same = true;
        for (int i = 0; i < n; i++) {
            ir_dim_is_const(t[i]->dims[d], &sizes[i]);
            same = same && sizes[i] == sizes[0];
        }
        dims[d] = same ? t[0]->dims[d] : varying_dim(b, path, d, n, sizes);
    }
    return ir_type_tensor(b->c, t[0]->dtype, t[0]->rank, dims);
}

static T merge_list(builder *b, int n, const T *t) {
    T all = t[0];
    for (int i = 1; i < n && all; i++) all = list_join(b->c, all, t[i]);
    return all;
}

/* The type of one place over all calls of a variant. */
static T merge(builder *b, const char *path, int n, const T *t) {
    if (t[0]->kind == T_TENSOR) return merge_tensor(b, path, n, t);
    if (t[0]->kind == T_INT) return ir_type_int(b->c, free_int(b, path));
    if (t[0]->kind != T_TUPLE) return merge_list(b, n, t);
    T *e = RT_ARRAY(&b->c->arena, T, t[0]->n + 1), *part = RT_ARRAY(&b->c->arena, T, n);
    for (int k = 0; k < t[0]->n; k++) {
        for (int i = 0; i < n; i++) part[i] = t[i]->elem[k];
        e[k] = merge(
            b, t[0]->fields ? ir_fmt(b->c, "%s_%s", path, t[0]->fields[k]) : ir_fmt(b->c, "%s_%d", path, k),
            n, part);
        if (!e[k]) return NULL;
    }
    return ir_type_tuple(b->c, t[0]->n, e, t[0]->fields, t[0]->name);
}

/* ======================================================= entries */

static const char *entry_name(builder *b, const lower_entries *out) {
    int n = 0;
    for (int i = 0; i < out->list.n; i++) n += !strcmp(out->list.at[i].method, b->f->name);
    return ir_intern(b->c, n ? ir_fmt(b->c, "%s.%d", b->f->name, n) : b->f->name);
}

static bool is_scalar_value(rt_value v) { return v.tag == V_INT || v.tag == V_FLOAT || v.tag == V_BOOL || v.tag == V_STR; }

static bool default_fits(builder *b, int i, T t) {
    const rt_value *def = b->f->defaults[i];
    if (!def) return false;
    T d = type_of(b, *def, param(b, i)->type, param_name(b, i));
    return d && same_key(d, t, false);
}

/* given: which arguments the calls pass; NULL: any may be passed.  What none of them passes has its default as a constant. */
static lower_arg *add_entry(builder *b, const T *types, const bool *given, lower_entries *out) {
    lower_arg *args = RT_ARRAY(&b->c->arena, lower_arg, b->nparams + 1);
    for (int i = 0; i < b->nparams; i++) {
        args[i] = (lower_arg){.type = types[i], .name = param_name(b, i)};
        if (default_fits(b, i, types[i])) args[i].has_default = true, args[i].def = *b->f->defaults[i];
        if (b->fixed[i]) args[i].constant = true, args[i].value = *b->fixed[i];
        else if (given && !given[i] && args[i].has_default && is_scalar_value(args[i].def))
            args[i].constant = true, args[i].value = args[i].def;
    }
    lower_entry e = {.name = entry_name(b, out),
                     .method = b->f->name,
                     .func = b->f->func,
                     .nargs = b->nparams,
                     .args = args};
    RT_PUSH(&b->c->arena, &out->list, e);
    return args;
}

/* ---- words */

static int param_by_name(const builder *b, const char *name, size_t n) {
    for (int i = 0; i < b->nparams; i++)
        if (strlen(param_name(b, i)) == n && !strncmp(param_name(b, i), name, n)) return i;
    return -1;
}

static const char *names(builder *b) {
    rt_text t = {0};
    for (int i = 0; i < b->nparams; i++) rt_text_fmt(&t, "%s%s", i ? ", " : "", param_name(b, i));
    const char *s = ir_intern(b->c, t.s ? t.s : "none");
    rt_text_free(&t);
    return s;
}

/* "ARG=..." -> the parameter and what follows; -1 after a diagnostic. */
static int split_word(builder *b, const char *option, const char *word, const char **rest) {
    const char *eq = strchr(word, '=');
    if (!eq) {
        ir_error(b->c, 0, "--%s %s: expected NAME=%s", option, word,
                 *option == 'i' ? "DTYPE[SIZES], or SYMBOL:LOW..HIGH" : "VALUE");
        return -1;
    }
    int i = param_by_name(b, word, (size_t)(eq - word));
    if (i < 0)
        ir_error(b->c, 0, "--%s %s: %s has no such argument; its arguments are: %s", option, word, b->f->name,
                 names(b));
    *rest = eq + 1;
    return i;
}

static bool word_is(const char *s, const char *a, const char *b) { return !strcmp(s, a) || !strcmp(s, b); }

/* Python's and JSON's words for constants; other text that is no number, list or dict is a string. */
static bool parse_value(builder *b, const char *word, const char *s, rt_value *out) {
    size_t n = strlen(s);
    *out = V_NULL;
    if (word_is(s, "None", "null")) return true;
    if (word_is(s, "True", "true")) return *out = rt_bool(true), true;
    if (word_is(s, "False", "false")) return *out = rt_bool(false), true;
    if (*s && strchr("+-.0123456789[{", *s)) return ir_value_from_json(b->c, word, s, NULL, out);
    bool quoted = n >= 2 && (*s == '"' || *s == '\'') && s[n - 1] == *s;
    *out = quoted ? rt_str(s + 1, n - 2) : rt_str(s, n);
    ir_own(b->c, *out);
    return out->tag == V_STR;
}

static bool read_specialise(builder *b) {
    bool ok = true;
    for (int k = 0; k < b->words->nspecialise; k++) {
        const char *word = b->words->specialise[k], *rest;
        int i = split_word(b, "specialise", word, &rest);
        rt_value *v = RT_NEW(&b->c->arena, rt_value);
        if (i < 0 || !parse_value(b, word, rest, v)) {
            ok = false;
            continue;
        }
        T declared = param(b, i)->type;
        if (v->tag == V_INT && declared->kind == T_FLOAT) *v = rt_float((double)v->i);
        b->fixed[i] = v;
    }
    return ok;
}

static bool read_range(builder *b, const char *word, const char *colon) {
    const char *name = ir_internn(b->c, word, (size_t)(colon - word));
    char *end;
    long long lo = strtoll(colon + 1, &end, 10), hi = lo;
    if (end == colon + 1 || strncmp(end, "..", 2)) end = (char *)"?";
    else {
        const char *from = end + 2;
        hi = strtoll(from, &end, 10);
        if (end == from) hi = INT32_MAX; /* "N:4.." */
    }
    if (*end || lo < 0 || hi < lo || !ir_is_identifier(name)) {
        ir_error(b->c, 0, "--input %s: expected SYMBOL:LOW..HIGH", word);
        return false;
    }
    ir_symbol *s = ir_symbol_get(b->c, name);
    s->lo = lo, s->hi = hi;
    return true;
}

static void take_symbol(void *env, const char *symbol) {
    builder *b = env;
    rt_map_put(&b->c->arena, &b->taken, symbol, b);
}

static void take_symbols(builder *b, T t) {
    if (t->kind == T_INT && t->dim) ir_dim_symbols(t->dim, take_symbol, b);
    for (int i = 0; t->kind == T_TENSOR && i < t->rank; i++)
        if (t->dims && t->dims[i]) ir_dim_symbols(t->dims[i], take_symbol, b);
    for (int i = 0; i < t->n; i++) take_symbols(b, t->elem[i]);
}

static bool read_input(builder *b, const char *word) {
    const char *colon = strchr(word, ':'), *eq = strchr(word, '='), *rest;
    if (colon && (!eq || colon < eq)) return read_range(b, word, colon);
    int i = split_word(b, "input", word, &rest);
    if (i < 0) return false;
    const char *end = rest + strlen(rest);
    T t = ir_type_parse(b->c, b->m, &rest, end);
    if (!t || rest != end || (t->kind == T_TENSOR && (t->dtype == DT_NONE || t->rank < 0))) {
        ir_error(b->c, 0,
                 "--input %s: expected a type such as f32[N, 3, 224, 224], i64[1, 16], int, float, bool, str "
                 "or none",
                 word);
        return false;
    }
    b->given[i] = t;
    take_symbols(b, t);
    return true;
}

static bool begin(builder *b, ir_module *m, const lower_method *f, const lower_words *w) {
    *b = (builder){.c = m->c, .m = m, .f = f, .words = w, .nparams = f->func->body->params.n - f->skip};
    b->fixed = RT_ARRAY(&m->c->arena, const rt_value *, b->nparams + 1);
    b->given = RT_ARRAY(&m->c->arena, T, b->nparams + 1);
    return read_specialise(b);
}

/* ---- from inputs */

/* Ints get a symbol of their own where the user gave none. */
static T with_symbols(builder *b, const char *path, T t) {
    if (t->kind == T_INT && !t->dim) return ir_type_int(b->c, free_int(b, path));
    if (t->kind != T_TUPLE) return t;
    T *e = RT_ARRAY(&b->c->arena, T, t->n + 1);
    for (int i = 0; i < t->n; i++) e[i] = with_symbols(b, ir_fmt(b->c, "%s_%d", path, i), t->elem[i]);
    return ir_type_tuple(b->c, t->n, e, t->fields, t->name);
}

static bool is_complete(T t) {
    bool known = t->kind == T_TENSOR && t->dtype != DT_NONE && t->rank >= 0;
    for (int i = 0; known && i < t->rank; i++) known = t->dims && t->dims[i];
    return known;
}

static T input_type(builder *b, int i) {
    T declared = param(b, i)->type, t = b->given[i];
    if (b->fixed[i]) t = type_of(b, *b->fixed[i], declared, param_name(b, i));
    if (!t && b->f->defaults[i]) t = type_of(b, *b->f->defaults[i], declared, param_name(b, i));
    if (!t && declared->kind != T_OPTIONAL && !has_tensor(declared)) t = declared;
    if (!t && is_complete(declared)) take_symbols(b, t = declared); /* a traced graph says it itself */
    if (!t)
        ir_error(b->c, 0, "%s: argument `%s` needs --input %s=DTYPE[SIZES], or an --example", b->f->name,
                 param_name(b, i), param_name(b, i));
    return t;
}

bool lower_entries_from_inputs(ir_module *m, const lower_method *f, const lower_words *w,
                               lower_entries *out) {
    builder b;
    bool ok = begin(&b, m, f, w);
    for (int i = 0; i < w->ninputs; i++) ok = read_input(&b, w->inputs[i]) && ok;
    T *types = RT_ARRAY(&m->c->arena, T, b.nparams + 1);
    for (int i = 0; ok && i < b.nparams; i++) types[i] = input_type(&b, i);
    for (int i = 0; ok && i < b.nparams; i++) ok = types[i] != NULL;
    for (int i = 0; ok && i < b.nparams; i++) types[i] = with_symbols(&b, param_name(&b, i), types[i]);
    if (ok) add_entry(&b, types, NULL, out);
    return ok;
}

/* ---- from calls */

typedef struct variant {
    RT_VEC(const T *) calls;
    bool *given; /* which arguments some call passes */
    RT_VEC(const lower_call *) values;
} variant;

static const rt_value *call_arg(const builder *b, const lower_call *call, int i) {
    return i < call->nargs ? &call->args[i] : b->f->defaults[i];
}

/* NULL: this call is none for the entry (after a diagnostic, unless it is only one that --specialise leaves
 * out). */
static const T *call_types(builder *b, const lower_call *call, bool *ok) {
    T *types = RT_ARRAY(&b->c->arena, T, b->nparams + 1);
    if (call->nargs > b->nparams) {
        ir_error(b->c, b->f->func->span, "%s takes %d arguments (%s), an example gives %d", b->f->name,
                 b->nparams, names(b), call->nargs);
        return *ok = false, NULL;
    }
    for (int i = 0; i < b->nparams; i++) {
        const rt_value *v = call_arg(b, call, i);
        if (!v && !b->fixed[i]) {
            ir_error(b->c, b->f->func->span, "%s: an example gives no argument `%s`", b->f->name,
                     param_name(b, i));
            return *ok = false, NULL;
        }
        if (b->fixed[i] && v && !rt_value_equal(*b->fixed[i], *v)) return NULL;
        if (!(types[i] = type_of(b, b->fixed[i] ? *b->fixed[i] : *v, param(b, i)->type, param_name(b, i))))
            return *ok = false, NULL;
    }
    return types;
}

static bool calls_agree(const builder *b, const variant *v, const T *x) {
    for (int k = 0; k < v->calls.n; k++)
        for (int i = 0; i < b->nparams; i++)
            if (!same_key(x[i], v->calls.at[k][i], false)) return false;
    return true;
}

/* The length of list argument i, if all calls agree. */
static void give_length(const builder *b, const variant *v, int i, lower_arg *out) {
    for (int k = 0; k < v->values.n; k++) {
        const rt_value *x = b->fixed[i] ? b->fixed[i] : call_arg(b, v->values.at[k], i);
        if (x->tag != V_LIST || (k && x->list->n != out->length)) {
            out->has_length = false;
            return;
        }
        out->has_length = true;
        out->length = x->list->n;
    }
}

static bool variant_entry(builder *b, const variant *v, lower_entries *out) {
    T *types = RT_ARRAY(&b->c->arena, T, b->nparams + 1), *part = RT_ARRAY(&b->c->arena, T, v->calls.n);
    b->taken = (rt_map){0};
    b->dims.n = 0;
    for (int i = 0; i < b->nparams; i++) {
        for (int k = 0; k < v->calls.n; k++) part[k] = v->calls.at[k][i];
        if (!(types[i] = merge(b, param_name(b, i), v->calls.n, part))) {
            ir_error(b->c, b->f->func->span,
                     "%s: the examples give argument `%s` lists whose elements have no type in common",
                     b->f->name, param_name(b, i));
            return false;
        }
    }
    lower_arg *args = add_entry(b, types, v->given, out);
    for (int i = 0; i < b->nparams; i++) give_length(b, v, i, &args[i]);
    return true;
}

bool lower_entries_from_calls(ir_module *m, const lower_method *f, const lower_words *w, int ncalls,
                              const lower_call *calls, lower_entries *out) {
    builder b;
    RT_VEC(variant) variants = {0};
    bool ok = begin(&b, m, f, w);
    int used = 0;
    for (int i = 0; i < ncalls && ok; i++) {
        const T *types = call_types(&b, &calls[i], &ok);
        if (!types) continue;
        int v = 0;
        while (v < variants.n && !calls_agree(&b, &variants.at[v], types)) v++;
        if (v == variants.n) {
            variant fresh = {.given = RT_ARRAY(&m->c->arena, bool, b.nparams + 1)};
            RT_PUSH(&m->c->arena, &variants, fresh);
        }
        RT_PUSH(&m->c->arena, &variants.at[v].calls, types);
        for (int k = 0; k < calls[i].nargs; k++) variants.at[v].given[k] = true;
        RT_PUSH(&m->c->arena, &variants.at[v].values, &calls[i]);
        used++;
    }
    if (ok && used < ncalls)
        ir_warn(m->c, 0, "%s: %d of %d examples have other values than --specialise says: left out", f->name,
                ncalls - used, ncalls);
    for (int v = 0; v < variants.n && ok; v++) ok = variant_entry(&b, &variants.at[v], out);
    return ok;
}
