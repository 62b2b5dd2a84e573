/* custom.c: see custom.h.  The op itself is an OPAQUE row like any other; its shape rule goes by the declaration. */
#include "ir/custom.h"

#include "ir/rules.h"

/* ======================================================= flat signatures */

static bool letter_of(const ir_type *t, bool writes, rt_text *out) {
    static const struct { ir_kind kind; const char *letter; } letters[] = {
        {T_TENSOR, "T"}, {T_INT, "i"}, {T_FLOAT, "f"}, {T_BOOL, "b"}, {T_STR, "s"}};
    if (t->kind == T_LIST || t->kind == T_OPTIONAL) {
        if (t->kind == T_LIST) rt_text_str(out, "[");
        bool ok = letter_of(t->elem[0], writes, out);
        rt_text_str(out, t->kind == T_LIST ? "]" : "?");
        return ok;
    }
    for (size_t i = 0; i < RT_COUNT(letters); i++)
        if (t->kind == letters[i].kind) {
            rt_text_str(out, writes && t->kind == T_TENSOR ? "M" : letters[i].letter);
            return true;
        }
    return false;
}

bool ir_custom_is_written(const ir_schema *s, int result) { return s->results[result].alias && s->results[result].writes; }

/* NULL: the op's types cannot be passed to a C function. */
static const char *flat_signature(ir_context *c, const ir_schema *s) {
    rt_text t = {0};
    bool ok = !s->varargs && !s->varresults;
    for (int i = 0; i < s->nparams; i++) ok = ok && letter_of(s->params[i].type, s->params[i].writes, &t);
    rt_text_str(&t, ">");
    for (int i = 0; i < s->nresults; i++) ok = ok && letter_of(s->results[i].type, ir_custom_is_written(s, i), &t);
    const char *out = ok && !t.failed ? ir_intern(c, t.s) : NULL;
    rt_text_free(&t);
    return out;
}

/* ======================================================= declared types */

typedef struct reader {
    ir_context *c;
    const char *text, *at, *end;
} reader;

static bool fail(reader *r, const char *what) {
    ir_error(r->c, 0, "'%s': %s at '%.20s'", r->text, what, r->at);
    return false;
}

static void blanks(reader *r) { r->at += strspn(r->at, " \t\n"); }

static bool eat(reader *r, const char *s) {
    blanks(r);
    if (strncmp(r->at, s, strlen(s))) return false;
    r->at += strlen(s);
    return true;
}

/* A type that the schema's allows, with a dtype and every size named. */
static const ir_type *read_type(reader *r, const ir_type *allowed) {
    const ir_type *t = ir_type_parse(r->c, NULL, &r->at, r->end);
    if (allowed->kind == T_OPTIONAL) allowed = allowed->elem[0];
    if (!t || (t->kind != T_TENSOR && t->kind != T_INT)) return fail(r, "f32[N, 3], another tensor type or int<N> expected"), NULL;
    if (t->kind != allowed->kind) return fail(r, "the schema has another type there"), NULL;
    if (t->kind == T_INT) return t->dim ? t : (fail(r, "int<N> expected"), NULL);
    for (int i = 0; i < t->rank; i++)
        if (!t->dims[i]) return fail(r, "a size without a name: a name that no argument has stands for a size that the function decides"), NULL;
    return t->dtype != DT_NONE && t->rank >= 0 ? t : (fail(r, "a dtype and all sizes expected"), NULL);
}

static bool read_params(reader *r, const ir_schema *s, ir_custom *k) {
    do {
        blanks(r);
        const char *name = ir_parse_name(r->c, &r->at, r->end);
        int i = 0;
        while (name && i < s->nparams && strcmp(s->params[i].name, name)) i++;
        if (!name || i == s->nparams) return fail(r, "the name of an argument expected");
        if (!eat(r, ":")) return fail(r, "':' expected");
        if (!(k->params[i] = read_type(r, s->params[i].type))) return false;
    } while (eat(r, ","));
    return true;
}

static bool read_results(reader *r, const ir_schema *s, ir_custom *k) {
    int n = 0;
    do {
        if (n == s->nresults) return fail(r, "more types than results");
        if (!(k->results[n] = read_type(r, s->results[n].type))) return false;
        n++;
    } while (eat(r, ","));
    return n == s->nresults || fail(r, "fewer types than results");
}

static const char *lone_symbol(const ir_dim *d) {
    bool lone = d->nterms == 1 && d->terms[0].coef == 1 && d->terms[0].natoms == 1 && d->terms[0].atoms[0]->kind == ATOM_SYMBOL;
    return lone ? d->terms[0].atoms[0]->symbol : NULL;
}

typedef void visit_dim(void *env, const ir_dim *d);
static void each_dim(const ir_type *t, visit_dim *visit, void *env) {
    if (t && t->kind == T_INT) visit(env, t->dim);
    for (int i = 0; t && t->kind == T_TENSOR && i < t->rank; i++) visit(env, t->dims[i]);
}

typedef struct known { rt_map at; ir_context *c; struct sizes *sizes; const char *missing; } known;
static void note_symbol(void *env, const ir_dim *d) {
    known *k = env;
    const char *s = lone_symbol(d);
    if (s) rt_map_put(&k->c->arena, &k->at, s, (void *)s);
}
static void want_symbol(void *env, const char *s) {
    known *k = env;
    if (!rt_map_get(&k->at, s)) k->missing = s;
}
static void want_symbols(void *env, const ir_dim *d) { ir_dim_symbols(d, want_symbol, env); }

/* Each symbol stands alone somewhere: an argument's in an argument. */
static bool all_bound(reader *r, const ir_schema *s, const ir_custom *k) {
    known seen = {.c = r->c};
    for (int i = 0; i < s->nparams; i++) each_dim(k->params[i], note_symbol, &seen);
    for (int i = 0; i < s->nparams; i++) each_dim(k->params[i], want_symbols, &seen);
    if (!seen.missing)
        for (int i = 0; i < s->nresults; i++) each_dim(k->results[i], note_symbol, &seen);
    for (int i = 0; !seen.missing && i < s->nresults; i++) each_dim(k->results[i], want_symbols, &seen);
    return !seen.missing || fail(r, ir_fmt(r->c, "nothing says what '%s' is: no argument's size is that alone", seen.missing));
}

static bool read_types(reader *r, const ir_schema *s, ir_custom *k) {
    bool arrow = eat(r, "->"), ok = arrow || read_params(r, s, k);
    if (ok && (arrow || eat(r, "->"))) ok = read_results(r, s, k);
    blanks(r);
    return ok && (!*r->at || fail(r, "unexpected text")) && all_bound(r, s, k);
}

/* ======================================================= the shape rule */

typedef struct bound { const char *name; const ir_dim *d; } bound;
typedef struct sizes {
    ir_infer *x;
    RT_VEC(bound) at;
    bool decide; /* an unknown symbol becomes a size that the function decides */
} sizes;

static const ir_dim *value_of(void *env, const char *name) {
    sizes *s = env;
    ir_context *c = s->x->c;
    for (int i = 0; i < s->at.n; i++)
        if (!strcmp(s->at.at[i].name, name)) return s->at.at[i].d;
    if (!s->decide) return NULL;
    s->x->data_dependent = true;
    RT_PUSH(&c->arena, &s->at, ((bound){name, ir_dim_fresh(c, "u", 0, INT32_MAX)}));
    return s->at.at[s->at.n - 1].d;
}

static void bind(sizes *s, const ir_dim *pattern, const ir_dim *d) {
    const char *name = lone_symbol(pattern);
    if (name && !value_of(s, name)) RT_PUSH(&s->x->c->arena, &s->at, ((bound){name, d}));
}

const char *ir_custom_text(ir_context *c, const ir_type *t) {
    rt_text out = {0};
    ir_type_print(&out, t);
    const char *s = ir_intern(c, out.s ? out.s : "?");
    rt_text_free(&out);
    return s;
}

static bool wrong_argument(ir_infer *x, int i, const ir_type *want) {
    return ir_fail(x, "RuntimeError", "%s: argument '%s' is %s, declared as %s", x->op->full, x->op->schema->params[i].name,
                   ir_custom_text(x->c, x->args[i].type), ir_custom_text(x->c, want));
}

static bool bind_argument(sizes *s, int i, const ir_type *want) {
    const ir_arg *a = &s->x->args[i];
    if (a->kind == A_INT && want->kind == T_INT) bind(s, want->dim, a->dim);
    if (a->kind != A_TENSOR || want->kind != T_TENSOR) return true;
    if (a->type->dtype != want->dtype || a->type->rank != want->rank) return wrong_argument(s->x, i, want);
    for (int d = 0; d < want->rank; d++) bind(s, want->dims[d], a->type->dims[d]);
    return true;
}

static void find_unknown(void *env, const char *name) {
    known *k = env;
    if (!value_of(k->sizes, name)) k->missing = name;
}

static bool same_size(sizes *s, int i, const ir_dim *pattern, const ir_dim *d) {
    known k = {.sizes = s};
    ir_dim_symbols(pattern, find_unknown, &k);
    if (k.missing) return ir_missing(s->x, "'%s' is a size of an argument that is left out", k.missing);
    const ir_dim *want = ir_dim_subst(s->x->c, pattern, value_of, s);
    return ir_require_eq(s->x, want, d, "%s: a size of argument '%s' is not as declared, %s", s->x->op->full,
                         s->x->op->schema->params[i].name, ir_custom_text(s->x->c, s->x->op->custom->params[i]));
}

static bool check_argument(sizes *s, int i, const ir_type *want) {
    const ir_arg *a = &s->x->args[i];
    if (a->kind == A_INT && want->kind == T_INT) return same_size(s, i, want->dim, a->dim);
    for (int d = 0; a->kind == A_TENSOR && want->kind == T_TENSOR && d < want->rank; d++)
        if (!same_size(s, i, want->dims[d], a->type->dims[d])) return false;
    return true;
}

static bool declared_result(sizes *s, int k, const ir_type *t) {
    const ir_dim **dims = ir_dims_new(s->x->c, t->rank);
    for (int d = 0; d < t->rank; d++) dims[d] = ir_dim_subst(s->x->c, t->dims[d], value_of, s);
    return ir_result_at(s->x, k, t->dtype, t->rank, dims);
}

static bool guessed_result(sizes *s, int k) {
    ir_infer *x = s->x;
    const ir_type *like = NULL;
    for (int i = 0; i < x->nargs && !like; i++)
        if (x->args[i].kind == A_TENSOR) like = x->args[i].type;
    if (!like) return ir_missing(x, "without a tensor argument the result's type must be declared, as in \"%s; -> f32[N]\"", x->op->schema->text);
    const ir_dim **dims = ir_dims_new(x->c, like->rank);
    x->data_dependent = true;
    for (int d = 0; d < like->rank; d++) dims[d] = ir_dim_fresh(x->c, "u", 0, INT32_MAX);
    return ir_result_at(x, k, like->dtype, like->rank, dims);
}

static bool result(sizes *s, int k) {
    const ir_schema *schema = s->x->op->schema;
    const ir_type *declared = s->x->op->custom->results[k], *t = schema->results[k].type;
    if (t->kind != T_TENSOR) {
        s->x->res[k] = ir_type_simple(s->x->c, t->kind);
        return true;
    }
    if (ir_custom_is_written(schema, k) || (schema->results[k].alias && s->x->op->custom->writer))
        for (int i = 0; i < schema->nparams; i++)
            if (schema->params[i].alias == schema->results[k].alias && s->x->args[i].kind == A_TENSOR) {
                const ir_type *same = s->x->args[i].type;
                return ir_result_at(s->x, k, same->dtype, same->rank, same->dims);
            }
    return declared ? declared_result(s, k, declared) : guessed_result(s, k);
}

static bool rule(ir_infer *x) {
    const ir_custom *k = x->op->custom;
    sizes s = {.x = x};
    if (x->nres > (int)RT_COUNT(x->res)) return ir_missing(x, "%s has too many results", x->op->full);
    for (int i = 0; i < x->nargs; i++)
        if (k->params[i] && !bind_argument(&s, i, k->params[i])) return false;
    for (int i = 0; i < x->nargs; i++)
        if (k->params[i] && !check_argument(&s, i, k->params[i])) return false;
    s.decide = true;
    for (int i = 0; i < x->nres; i++)
        if (!result(&s, i)) return false;
    return true;
}

/* ======================================================= the ops */

static ir_op *add_op(ir_context *c, const char *schema) {
    ir_op *op = ir_op_add(c, "", schema, OP_OPAQUE);
    if (!op) return NULL;
    op->effects |= EFF_SIDE | EFF_RAISES;
    op->rule = (const void *)(uintptr_t)rule;
    return op;
}

static void add_params(rt_text *t, const ir_schema *s) {
    const char *open = strchr(s->text, '('), *close = strstr(s->text, "->");
    for (const char *p = open; p < close; p++)
        if (p[0] == '(' && p[1] && p[2] == '!' && p[3] == ')') rt_text_fmt(t, "(%c)", p[1]), p += 3;
        else rt_text_add(t, p, 1);
}

/* The schema of the pure form: a result that is a written argument's new value keeps its alias mark, without the '!'. */
static const char *pure_schema(ir_context *c, const ir_schema *s) {
    rt_text t = {0};
    int n = 0;
    rt_text_fmt(&t, "%s::%s.%s%spure", s->ns, s->name, s->overload, *s->overload ? "_" : "");
    add_params(&t, s);
    rt_text_str(&t, "-> (");
    for (int i = 0; i < s->nresults; i++) {
        if (ir_custom_is_written(s, i)) continue;
        rt_text_str(&t, n++ ? ", " : "");
        ir_kind k = s->results[i].type->kind;
        rt_text_str(&t, k == T_TENSOR ? "Tensor" : k == T_INT ? "int" : k == T_FLOAT ? "float" : "bool");
    }
    for (int i = 0; i < s->nparams; i++)
        if (s->params[i].writes) rt_text_fmt(&t, "%sTensor(%c)", n++ ? ", " : "", s->params[i].alias);
    rt_text_str(&t, ")");
    const char *out = ir_intern(c, t.s ? t.s : "");
    rt_text_free(&t);
    return out;
}

static bool written_param(const ir_schema *s, char alias) {
    for (int i = 0; i < s->nparams; i++)
        if (s->params[i].writes && s->params[i].alias == alias) return true;
    return false;
}

static bool add_pure(ir_context *c, ir_op *op) {
    const ir_schema *s = op->schema;
    bool writes = false;
    for (int i = 0; i < s->nparams; i++) writes = writes || s->params[i].writes;
    for (int i = 0; i < s->nresults; i++)
        if (ir_custom_is_written(s, i) && !written_param(s, s->results[i].alias)) {
            ir_error(c, 0, "%s: no argument is written under the alias set '%c'", s->text, s->results[i].alias);
            return false;
        }
    if (!writes) return true;
    for (int i = 0; i < s->nparams; i++)
        for (int j = 0; j < i; j++)
            if (s->params[i].alias && s->params[i].alias == s->params[j].alias) {
                ir_error(c, 0, "%s: two arguments with the alias set '%c'", s->text, s->params[i].alias);
                return false;
            }
    ir_op *pure = add_op(c, pure_schema(c, s));
    if (!pure) return false;
    ir_custom *of = (ir_custom *)op->custom, *k = RT_NEW(&c->arena, ir_custom);
    *k = (ir_custom){.signature = of->signature, .params = of->params, .writer = op};
    k->results = RT_ARRAY(&c->arena, const ir_type *, pure->schema->nresults + 1);
    for (int i = 0, n = 0; i < s->nresults; i++)
        if (!ir_custom_is_written(s, i)) k->results[n++] = of->results[i];
    pure->custom = k;
    of->pure = pure;
    return true;
}

/* Where the schema ends: at a ';' that stands in no string. */
static const char *schema_end(const char *s) {
    for (char quote = 0; *s && (quote || *s != ';'); s++) {
        if (quote && *s == '\\' && s[1]) s++;
        else if (quote ? *s == quote : *s == '"' || *s == '\'') quote = quote ? 0 : *s;
    }
    return s;
}

static bool may_add(ir_context *c, const ir_schema *s, const char *text) {
    const char *full = s->ns ? ir_fmt(c, "%s::%s%s%s", s->ns, s->name, *s->overload ? "." : "", s->overload) : NULL;
    if (!full) ir_error(c, 0, "%s: the name of a custom operator needs a namespace", text);
    else if (ir_op_find(c, full)) ir_error(c, 0, "there is an operator '%s' already", full);
    return full && !ir_op_find(c, full);
}

ir_op *ir_custom_add(ir_context *c, const char *text) {
    const char *end = schema_end(text), *schema = ir_internn(c, text, (size_t)(end - text));
    ir_schema *s = ir_schema_parse(c, schema);
    if (!s || !may_add(c, s, schema)) return NULL;
    ir_custom *k = RT_NEW(&c->arena, ir_custom);
    *k = (ir_custom){.signature = flat_signature(c, s)};
    k->params = RT_ARRAY(&c->arena, const ir_type *, s->nparams + 1);
    k->results = RT_ARRAY(&c->arena, const ir_type *, s->nresults + 1);
    reader r = {c, ir_intern(c, text), *end ? end + 1 : end, text + strlen(text)};
    if (!k->signature) return ir_error(c, 0, "%s: a custom operator cannot have such a schema", schema), NULL;
    if (*end && !read_types(&r, s, k)) return NULL;
    ir_op *op = add_op(c, schema);
    if (!op) return NULL;
    op->custom = k;
    return add_pure(c, op) ? op : NULL;
}

ir_op *ir_custom_option(ir_context *c, const char *text) {
    size_t head = strcspn(text, "=(");
    const char *eq = text[head] == '=' ? text + head : NULL, *colon = NULL;
    for (const char *p = text; eq && p < eq; p++)
        if (*p == ':') colon = p;
    if (eq == text || colon == text || !text[head]) {
        ir_error(c, 0, "--op=%s: LIBRARY:SYMBOL=SCHEMA expected", text);
        return NULL;
    }
    ir_op *op = ir_custom_add(c, eq ? eq + 1 : text);
    if (!op) return NULL;
    RT_PUSH(&c->arena, &c->customs, op);
    if (!eq) return op;
    ir_custom *k = (ir_custom *)op->custom;
    k->library = ir_internn(c, text, (size_t)((colon ? colon : eq) - text));
    k->symbol = colon ? ir_internn(c, colon + 1, (size_t)(eq - colon - 1)) : op->schema->name;
    return op;
}
