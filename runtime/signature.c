/* signature.c: an entry's signature against the arguments of a call: which variant fits, what its symbols
 * are.
 *
 * Matching (kind, dtype, rank, None-ness) chooses the variant; binding (sizes, ranges, guards) checks it.
 * Both say what is wrong in terms of the argument's name, the dim and the allowed range. */
#include "runtime/module.h"

enum { EXPR_DEPTH = 32, MAX_DEPTH = 64 };

/* ---- expressions */

static bool floordiv(int64_t a, int64_t b, int64_t *q, int64_t *r) {
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    *q = a / b;
    *r = a % b;
    if (*r && (*r < 0) != (b < 0)) {
        --*q;
        *r += b;
    }
    return true;
}

static bool apply(int64_t op, int64_t a, int64_t b, int64_t *out) {
    int64_t q = 0, r = 0;
    switch (op) {
    case RT_X_ADD: return rt_add_i64(a, b, out);
    case RT_X_MUL: return rt_mul_i64(a, b, out);
    case RT_X_FLOORDIV:
    case RT_X_MOD:
        if (!floordiv(a, b, &q, &r)) return false;
        *out = op == RT_X_MOD ? r : q;
        return true;
    case RT_X_MIN: *out = a < b ? a : b; return true;
    case RT_X_MAX: *out = a > b ? a : b; return true;
    default: return false;
    }
}

bool rt_expr_eval(const rt_artefact *a, int32_t expr, const int64_t *symbols, int64_t *out) {
    int64_t stack[EXPR_DEPTH];
    int n = 0;
    for (const rt_expr *x = a->exprs + expr; x->op != RT_X_END; x++) {
        if (x->op == RT_X_CONST || x->op == RT_X_SYMBOL) {
            if (n == EXPR_DEPTH) return false;
            stack[n++] = x->op == RT_X_CONST ? x->k : symbols[x->k];
        } else {
            if (n < 2 || !apply(x->op, stack[n - 2], stack[n - 1], &stack[n - 2])) return false;
            n--;
        }
    }
    if (n != 1) return false;
    *out = stack[0];
    return true;
}

int64_t rt_dim_eval(const rt_artefact *a, const rt_dim *d, const int64_t *symbols) {
    int64_t x;
    if (d->value >= 0) return d->value;
    if (d->symbol >= 0) return symbols[d->symbol] < 0 ? -2 : symbols[d->symbol];
    if (d->expr < 0) return -1;
    return rt_expr_eval(a, d->expr, symbols, &x) && x >= 0 ? x : -2;
}

/* ---- texts */

static void children_text(rt_text *out, const rt_artefact *a, const rt_desc *d, const char *open,
                          const char *close) {
    rt_text_str(out, open);
    for (int i = 0; i < d->n; i++) {
        if (i) rt_text_str(out, ", ");
        rt_type_text(out, a, d->first + i);
    }
    rt_text_str(out, close);
}

static void tensor_text(rt_text *out, const rt_artefact *a, const rt_desc *d) {
    rt_text_fmt(out, "%s[", rt_dtypes[d->dtype].name);
    for (int i = 0; i < d->n; i++) {
        const rt_dim *dim = &a->dims[d->first + i];
        if (i) rt_text_str(out, ", ");
        if (dim->value >= 0) rt_text_fmt(out, "%lld", (long long)dim->value);
        else rt_text_str(out, dim->text ? rt_art_text(a, dim->text) : "?");
    }
    rt_text_str(out, "]");
}

void rt_type_text(rt_text *out, const rt_artefact *a, int32_t desc) {
    const rt_desc *d = &a->descs[desc];
    switch (d->kind) {
    case RT_D_NONE: rt_text_str(out, "None"); break;
    case RT_D_BOOL: rt_text_str(out, "bool"); break;
    case RT_D_INT: rt_text_str(out, "int"); break;
    case RT_D_FLOAT: rt_text_str(out, "float"); break;
    case RT_D_STR: rt_text_str(out, "str"); break;
    case RT_D_TENSOR: tensor_text(out, a, d); break;
    case RT_D_LIST: children_text(out, a, d, "list[", "]"); break;
    case RT_D_TUPLE: children_text(out, a, d, "(", d->n == 1 ? ",)" : ")"); break;
    case RT_D_OPTIONAL: children_text(out, a, d, "optional[", "]"); break;
    case RT_D_DICT: children_text(out, a, d, "dict[", "]"); break;
    case RT_D_BOTTOM: rt_text_str(out, "nothing"); break;
    default: rt_text_str(out, "any"); break;
    }
}

/* The type that a value has, as it is told to the caller; of lists and dicts the first item. */
static void value_text(rt_text *out, rt_value v, int depth) {
    switch (v.tag) {
    case V_NONE: rt_text_str(out, "None"); break;
    case V_BOOL: rt_text_str(out, "bool"); break;
    case V_INT: rt_text_str(out, "int"); break;
    case V_FLOAT: rt_text_str(out, "float"); break;
    case V_STR: rt_text_str(out, "str"); break;
    case V_TENSOR:
        rt_text_fmt(out, "%s[", rt_dtypes[v.tensor->dtype].name);
        for (int i = 0; i < v.tensor->ndim; i++)
            rt_text_fmt(out, "%s%lld", i ? ", " : "", (long long)v.tensor->shape[i]);
        rt_text_str(out, "]");
        break;
    case V_LIST:
    case V_TUPLE:
        rt_text_str(out, v.tag == V_LIST ? "list[" : "(");
        for (int64_t i = 0; i < v.list->n && depth < 4 && (v.tag == V_TUPLE || i < 1); i++) {
            if (i) rt_text_str(out, ", ");
            value_text(out, v.list->at[i], depth + 1);
        }
        rt_text_str(out, v.tag == V_LIST ? "]" : ")");
        break;
    case V_DICT: rt_text_str(out, "dict"); break;
    default: rt_text_str(out, "object"); break;
    }
}

/* ---- matching */

static bool literal_is(const jitc_module *m, int32_t literal, rt_value v) {
    rt_value want = rt_literal_value(m, literal);
    bool same = want.tag == v.tag && rt_value_equal(want, v);
    rt_release(want);
    return same;
}

static bool value_fits(const jitc_module *m, int32_t desc, rt_value v, int depth);

static bool all_fit(const jitc_module *m, int32_t desc, const rt_value *at, int64_t n, int depth) {
    for (int64_t i = 0; i < n; i++)
        if (!value_fits(m, desc, at[i], depth)) return false;
    return true;
}

static bool tuple_fits(const jitc_module *m, const rt_desc *d, rt_value v, int depth) {
    if (v.tag != V_TUPLE || v.list->n != d->n) return false;
    for (int i = 0; i < d->n; i++)
        if (!value_fits(m, d->first + i, v.list->at[i], depth)) return false;
    return true;
}

static bool value_fits(const jitc_module *m, int32_t desc, rt_value v, int depth) {
    const rt_desc *d = &m->a->descs[desc];
    if (depth > MAX_DEPTH || (d->literal >= 0 && !literal_is(m, d->literal, v))) return false;
    switch (d->kind) {
    case RT_D_NONE: return v.tag == V_NONE;
    case RT_D_BOOL: return v.tag == V_BOOL;
    case RT_D_INT: return v.tag == V_INT;
    case RT_D_FLOAT: return v.tag == V_FLOAT || v.tag == V_INT;
    case RT_D_STR: return v.tag == V_STR;
    case RT_D_TENSOR: return v.tag == V_TENSOR && v.tensor->dtype == d->dtype && v.tensor->ndim == d->n;
    case RT_D_LIST: return v.tag == V_LIST && all_fit(m, d->first, v.list->at, v.list->n, depth + 1);
    case RT_D_TUPLE: return tuple_fits(m, d, v, depth + 1);
    case RT_D_OPTIONAL: return v.tag == V_NONE || value_fits(m, d->first, v, depth + 1);
    case RT_D_DICT:
        return v.tag == V_DICT && all_fit(m, d->first, v.dict->keys, v.dict->n, depth + 1) &&
               all_fit(m, d->first + 1, v.dict->values, v.dict->n, depth + 1);
    case RT_D_ANY: return true;
    default: return false;
    }
}

static void put_leaves(const rt_artefact *a, int32_t desc, rt_value v, rt_value *leaves, int *n) {
    const rt_desc *d = &a->descs[desc];
    if (d->kind == RT_D_TUPLE && !(d->flags & RT_DESC_BOXED))
        for (int i = 0; i < d->n; i++) put_leaves(a, d->first + i, v.list->at[i], leaves, n);
    else leaves[(*n)++] = d->kind == RT_D_FLOAT && v.tag == V_INT ? rt_float((double)v.i) : v;
}

static void misfit_text(rt_text *why, const jitc_module *m, const rt_desc *d, int32_t row, rt_value v) {
    if (!why) return;
    rt_text_fmt(why, "argument '%s' must be ", rt_art_text(m->a, d->name));
    rt_type_text(why, m->a, row);
    if (d->literal >= 0) {
        rt_value want = rt_literal_value(m, d->literal);
        rt_text_str(why, " ");
        rt_value_print(why, want, true);
        rt_release(want);
    }
    rt_text_str(why, ", not ");
    value_text(why, v, 0);
    if (d->literal >= 0 && v.tag != V_TENSOR && v.tag != V_NONE) {
        rt_text_str(why, " ");
        rt_value_print(why, v, true);
    }
}

/* Does kind, dtype, rank and None-ness match? */
static bool match_args(const jitc_module *m, int entry, int nargs, const rt_value *args, rt_value *leaves,
                       rt_text *why) {
    const rt_art_entry *e = &m->a->entries[entry];
    int n = 0;
    if (nargs > e->nargs) {
        if (why) rt_text_fmt(why, "takes %d arguments, %d were given", e->nargs, nargs);
        return false;
    }
    for (int i = 0; i < e->nargs; i++) {
        const rt_desc *d = &m->a->descs[e->args + i];
        if (i >= nargs && d->def < 0) {
            if (why) rt_text_fmt(why, "argument '%s' is missing", rt_art_text(m->a, d->name));
            return false;
        }
        rt_value v = i < nargs ? args[i] : m->entries[entry].defaults[i];
        if (!value_fits(m, e->args + i, v, 0)) {
            misfit_text(why, m, d, e->args + i, v);
            return false;
        }
        put_leaves(m->a, e->args + i, v, leaves, &n);
    }
    return true;
}

/* ---- binding */

typedef struct binder {
    const jitc_module *m;
    const rt_art_entry *e;
    int64_t *symbols, *bound; /* bound: flags */
    rt_text *why;
    const char *arg; /* name of the argument at hand */
} binder;

static void dim_place(binder *b, int dim) {
    rt_text_fmt(b->why, "argument '%s'", b->arg);
    if (dim >= 0) rt_text_fmt(b->why, ", dim %d,", dim);
}

/* dim -1: an int argument. */
static bool bind(binder *b, int32_t s, int64_t x, int dim) {
    const rt_artefact *a = b->m->a;
    const rt_symbol *sym = &a->symbols[b->e->symbols + s];
    if (b->bound[s] && b->symbols[s] != x) {
        dim_place(b, dim);
        rt_text_fmt(b->why, " is %lld, but %s is %lld by an earlier argument", (long long)x,
                    rt_art_text(a, sym->name), (long long)b->symbols[s]);
        return false;
    }
    if (x < sym->lo || x > sym->hi) {
        dim_place(b, dim);
        rt_text_fmt(b->why, " is %lld, but %s must be from %lld to %lld", (long long)x,
                    rt_art_text(a, sym->name), (long long)sym->lo, (long long)sym->hi);
        return false;
    }
    b->symbols[s] = x;
    b->bound[s] = 1;
    return true;
}

/* `derived`: the second pass, when all symbols are bound: dims that are expressions. */
static bool bind_tensor(binder *b, const rt_desc *d, const rt_tensor *t, bool derived) {
    for (int i = 0; i < d->n; i++) {
        const rt_dim *dim = &b->m->a->dims[d->first + i];
        int64_t want = dim->value;
        if (derived) {
            if (dim->value >= 0 || dim->symbol >= 0 || dim->expr < 0) continue;
            want = rt_dim_eval(b->m->a, dim, b->symbols);
        } else if (dim->value < 0) {
            if (dim->symbol >= 0 && !bind(b, dim->symbol, t->shape[i], i)) return false;
            continue;
        }
        if (t->shape[i] == want) continue;
        dim_place(b, i);
        rt_text_fmt(b->why, " is %lld, but must be %lld", (long long)t->shape[i], (long long)want);
        if (derived) rt_text_fmt(b->why, " (%s)", rt_art_text(b->m->a, dim->text));
        return false;
    }
    return true;
}

static bool bind_value(binder *b, int32_t desc, rt_value v, bool derived) {
    const rt_desc *d = &b->m->a->descs[desc];
    switch (d->kind) {
    case RT_D_TENSOR: return bind_tensor(b, d, v.tensor, derived);
    case RT_D_INT: return derived || d->symbol < 0 || bind(b, d->symbol, v.i, -1);
    case RT_D_OPTIONAL: return v.tag == V_NONE || bind_value(b, d->first, v, derived);
    case RT_D_LIST:
    case RT_D_TUPLE:
        for (int64_t i = 0; i < v.list->n; i++)
            if (!bind_value(b, d->first + (d->kind == RT_D_TUPLE ? (int)i : 0), v.list->at[i], derived))
                return false;
        return true;
    case RT_D_DICT:
        for (int64_t i = 0; i < v.dict->n; i++)
            if (!bind_value(b, d->first + 1, v.dict->values[i], derived)) return false;
        return true;
    default: return true;
    }
}

static bool bind_leaves(binder *b, const rt_value *leaves, bool derived) {
    const rt_leaves *in = &b->m->entries[b->e - b->m->a->entries].in;
    for (int i = 0; i < in->n; i++) {
        b->arg = rt_art_text(b->m->a, in->name[i]);
        if (!bind_value(b, in->desc[i], leaves[i], derived)) return false;
    }
    return true;
}

static bool check_guards(binder *b) {
    const rt_artefact *a = b->m->a;
    for (int i = 0; i < b->e->nguards; i++) {
        const rt_guard *g = &a->guards[b->e->guards + i];
        int64_t x, y;
        if (rt_expr_eval(a, g->a, b->symbols, &x) && rt_expr_eval(a, g->b, b->symbols, &y) &&
            (g->rel == '=' ? x == y : x <= y))
            continue;
        if (g->message < 0) {
            rt_text_str(b->why, "a guard does not hold");
            return false;
        }
        const rt_message *msg = &a->messages[g->message];
        rt_text_fmt(b->why, "these arguments break an assumption of the compiler: %s",
                    rt_art_text(a, msg->text));
        if (msg->file) rt_text_fmt(b->why, " (%s:%d:%d)", rt_art_text(a, msg->file), msg->line, msg->col);
        return false;
    }
    return true;
}

/* symbols: the second half of the array is scratch. */
static jitc_status bind_symbols(const jitc_module *m, int entry, const rt_value *leaves, int64_t *symbols,
                                rt_text *why) {
    const rt_art_entry *e = &m->a->entries[entry];
    binder b = {.m = m, .e = e, .symbols = symbols, .bound = symbols + e->nsymbols, .why = why};
    memset(b.bound, 0, (size_t)e->nsymbols * sizeof *b.bound);
    if (!bind_leaves(&b, leaves, false)) return JITC_E_SHAPE;
    for (int i = 0; i < e->nsymbols; i++) /* only in items of a list that is empty: any allowed value */
        if (!b.bound[i]) symbols[i] = m->a->symbols[e->symbols + i].lo;
    if (!bind_leaves(&b, leaves, true)) return JITC_E_SHAPE;
    return check_guards(&b) ? JITC_OK : JITC_E_GUARD;
}

/* ---- choosing */

static void list_methods(const jitc_module *m, const char *method, rt_text *why) {
    rt_text_fmt(why, "no method '%s'; there is", method);
    for (int64_t i = 0; i < m->a->nentries; i++) {
        rt_text_ref name = m->a->entries[i].method;
        bool seen = false;
        for (int64_t k = 0; k < i && !seen; k++)
            seen = !strcmp(rt_art_text(m->a, m->a->entries[k].method), rt_art_text(m->a, name));
        if (!seen) rt_text_fmt(why, "%s %s", i ? "," : "", rt_art_text(m->a, name));
    }
}

static void list_variants(const jitc_module *m, const char *method, int nargs, const rt_value *args,
                          rt_text *why) {
    rt_text_fmt(why, "%s: no variant for (", method);
    for (int i = 0; i < nargs; i++) {
        if (i) rt_text_str(why, ", ");
        value_text(why, args[i], 0);
    }
    rt_text_str(why, "); compiled are:");
    for (int64_t i = 0; i < m->a->nentries; i++) {
        const rt_art_entry *e = &m->a->entries[i];
        if (strcmp(rt_art_text(m->a, e->method), method)) continue;
        rt_text_fmt(why, "\n  %s(", method);
        for (int k = 0; k < e->nargs; k++) {
            rt_text_fmt(why, "%s%s: ", k ? ", " : "", rt_art_text(m->a, m->a->descs[e->args + k].name));
            rt_type_text(why, m->a, e->args + k);
        }
        rt_text_str(why, ")");
    }
}

static void explain_misfit(const jitc_module *m, const char *method, int nargs, const rt_value *args,
                           rt_value *leaves, int variants, int only, rt_text *why) {
    if (variants == 0) {
        list_methods(m, method, why);
    } else if (variants == 1) {
        rt_text_fmt(why, "%s: ", method);
        match_args(m, only, nargs, args, leaves, why);
    } else {
        list_variants(m, method, nargs, args, why);
    }
}

jitc_status rt_select_entry(const jitc_module *m, const char *method, int nargs, const rt_value *args,
                            rt_value *leaves, int64_t *symbols, int *entry, rt_text *why) {
    jitc_status status = JITC_E_METHOD;
    rt_text other = {0};
    int variants = 0, only = 0;
    for (int i = 0; i < (int)m->a->nentries; i++) {
        if (strcmp(rt_art_text(m->a, m->a->entries[i].method), method)) continue;
        variants++;
        only = i;
        if (!match_args(m, i, nargs, args, leaves, NULL)) continue;
        jitc_status s = bind_symbols(m, i, leaves, symbols, &other);
        if (s == JITC_OK) {
            rt_text_free(&other);
            *entry = i;
            return JITC_OK;
        }
        if (status == JITC_E_METHOD) { /* the first variant of the right kind says why */
            status = s;
            rt_text_fmt(why, "%s: %s", method, other.s ? other.s : "out of memory");
        }
        rt_text_free(&other);
    }
    if (status == JITC_E_METHOD) explain_misfit(m, method, nargs, args, leaves, variants, only, why);
    return status;
}
