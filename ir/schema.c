/* schema.c: op schemas as text, and the op table built from ops.def.
 *
 * Schemas are TorchScript's.  What only names a PyTorch concept maps to plain types: ScalarType, Layout,
 * MemoryFormat, QScheme and SymInt are int; Scalar is number; Generator, Storage and Stream are Any.
 * Derived forms are made when first asked for: in-place `name_` and `out=` of ops that return tensors. */
#include "ir/infer.h"

#include <errno.h>
#include <stdlib.h>

/* ---- the parser */

enum { MAX_DEPTH = 16 };

typedef struct parser {
    ir_context *c;
    const char *text, *at;
    int depth;
    bool failed;
} parser;

/* A parsed type with what the schema says about it beside the type. */
typedef struct typed {
    const ir_type *type;
    char alias;
    bool writes, alias_elems;
    int list_size;
} typed;

static typed parse_type(parser *p);

static void fail(parser *p, const char *what) {
    if (!p->failed) ir_error(p->c, 0, "schema '%s': %s at '%.20s'", p->text, what, p->at);
    p->failed = true;
}

static void blanks(parser *p) { p->at += strspn(p->at, " \t\n"); }

static bool eat(parser *p, const char *s) {
    blanks(p);
    size_t n = strlen(s);
    if (strncmp(p->at, s, n)) return false;
    p->at += n;
    return true;
}

static void expect(parser *p, const char *s) {
    if (!p->failed && !eat(p, s)) fail(p, ir_fmt(p->c, "'%s' expected", s));
}

static bool word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* A word of letters, digits, _ and, if dots, dots; NULL if there is none. */
static const char *word(parser *p, bool dots) {
    blanks(p);
    const char *b = p->at;
    while (word_char(*p->at) || (dots && *p->at == '.')) p->at++;
    return p->at == b ? NULL : ir_internn(p->c, b, (size_t)(p->at - b));
}

static const struct {
    const char *word;
    ir_kind kind;
} type_words[] = {
    {"Tensor", T_TENSOR}, {"int", T_INT},          {"float", T_FLOAT},     {"bool", T_BOOL},
    {"str", T_STR},       {"Scalar", T_NUMBER},    {"number", T_NUMBER},   {"ScalarType", T_INT},
    {"Layout", T_INT},    {"MemoryFormat", T_INT}, {"QScheme", T_INT},     {"SymInt", T_INT},
    {"Dimname", T_STR},   {"Device", T_DEVICE},    {"DeviceIndex", T_INT}, {"Generator", T_ANY},
    {"Storage", T_ANY},   {"Stream", T_ANY},       {"Any", T_ANY},         {"None", T_NONE},
    {"NoneType", T_NONE}, {"Module", T_MODULE},
};

/* t, t1, tVal, k ... : a lower-case letter, perhaps with a suffix, that is no other word. */
static bool is_type_var(const char *s) {
    if (!(s[0] >= 'a' && s[0] <= 'z')) return false;
    return !s[1] || (s[0] == 't' && ((s[1] >= '0' && s[1] <= '9') || (s[1] >= 'A' && s[1] <= 'Z'))) ||
           !strcmp(s, "key") || !strcmp(s, "value");
}

static const ir_type *parse_parts(parser *p, ir_kind kind) {
    RT_VEC(const ir_type *) elem = {0};
    if (!eat(p, ")")) {
        do {
            typed t = parse_type(p);
            if (p->failed) return NULL;
            if (kind == T_TUPLE)
                word(p, false); /* a name, as in results; a tuple's elements have none here */
            RT_PUSH(&p->c->arena, &elem, t.type);
        } while (eat(p, ","));
        expect(p, ")");
    }
    if (kind == T_TUPLE) return ir_type_tuple(p->c, elem.n, elem.at, NULL, NULL);
    if (kind == T_UNION) return ir_type_union(p->c, elem.n, elem.at);
    if (elem.n == 2) return ir_type_dict(p->c, elem.at[0], elem.at[1]);
    fail(p, "Dict takes two types");
    return NULL;
}

static const ir_type *parse_base(parser *p) {
    if (eat(p, "(")) return parse_parts(p, T_TUPLE);
    const char *begin = p->at, *w = word(p, true);
    if (!w) return fail(p, "type expected"), NULL;
    for (size_t i = 0; i < RT_COUNT(type_words); i++)
        if (!strcmp(w, type_words[i].word)) return ir_type_simple(p->c, type_words[i].kind);
    if (!strcmp(w, "Dict") && eat(p, "(")) return parse_parts(p, T_DICT);
    if (!strcmp(w, "Union") && eat(p, "(")) return parse_parts(p, T_UNION);
    if (!strncmp(w, "__torch__.", 10)) return ir_type_simple(p->c, T_ANY);
    if (is_type_var(w)) return ir_type_var(p->c, w);
    p->at = begin;
    return fail(p, "unknown type"), NULL;
}

/* "(a)", "(a!)", "(a|b)", "(a -> *)", "(*)": only the first set and the mark of writing matter here. */
static bool parse_alias(parser *p, typed *t) {
    const char *q = p->at;
    if (*q != '(') return false;
    const char *close = strchr(q, ')');
    if (!close) return false;
    for (const char *s = q + 1; s < close; s++)
        if (!word_char(*s) && !strchr("!|*-> ", *s)) return false;
    const char *arrow = strstr(q, "->");
    for (const char *s = q + 1; s < (arrow && arrow < close ? arrow : close); s++)
        if (*s == '!') t->writes = true;
    t->alias = q[1];
    p->at = close + 1;
    return true;
}

static typed parse_type(parser *p) {
    typed t = {0};
    if (++p->depth > MAX_DEPTH) fail(p, "type nested too deep");
    if (!p->failed) t.type = parse_base(p);
    while (!p->failed) {
        if (*p->at == '[') {
            char *end;
            errno = 0;
            long n = strtol(p->at + 1, &end, 10);
            if (*end != ']' || errno || n < 0 || n > 64) {
                fail(p, "']' expected");
                break;
            }
            t.list_size = (int)n;
            t.alias_elems = t.alias != 0;
            t.type = ir_type_list(p->c, t.type);
            p->at = end + 1;
        } else if (*p->at == '?') {
            t.type = ir_type_optional(p->c, t.type);
            p->at++;
        } else if (!parse_alias(p, &t)) {
            break;
        }
    }
    p->depth--;
    return t;
}

/* ---- defaults */

/* Words that stand for numbers: dtypes as c10 numbers, layouts, memory formats, reductions. */
static const struct {
    const char *word;
    int value;
} number_words[] = {
    {"Mean", 1},
    {"Sum", 2},
    {"none", 0},
    {"mean", 1},
    {"sum", 2},
    {"long", 4},
    {"int64", 4},
    {"float", 6},
    {"double", 7},
    {"bool", 11},
    {"strided", 0},
    {"contiguous_format", 0},
    {"preserve_format", 1},
};

static rt_value parse_literal(parser *p);

static rt_value parse_string(parser *p) {
    char quote = *p->at++;
    rt_text t = {0};
    while (*p->at && *p->at != quote) {
        if (*p->at == '\\' && p->at[1]) p->at++;
        rt_text_add(&t, p->at++, 1);
    }
    if (*p->at) p->at++;
    else fail(p, "string not closed");
    rt_value v = rt_str(t.s ? t.s : "", t.n);
    rt_text_free(&t);
    return v;
}

static rt_value parse_number(parser *p) {
    char *end;
    errno = 0;
    long long i = strtoll(p->at, &end, 10);
    if (end == p->at || *end == '.' || *end == 'e' || *end == 'E') {
        double f = strtod(p->at, &end);
        if (end == p->at) return fail(p, "literal expected"), V_NULL;
        p->at = end;
        return rt_float(f);
    }
    if (errno) fail(p, "number too large");
    p->at = end;
    return rt_int(i);
}

static rt_value parse_sequence(parser *p, rt_tag tag, const char *close) {
    rt_value list = rt_list_new(tag, 0);
    while (!p->failed && !eat(p, close)) {
        rt_value v = parse_literal(p);
        if (list.tag != V_UNDEF && !rt_list_push(list.list, v)) fail(p, "out of memory");
        if (!eat(p, ",")) {
            expect(p, close);
            break;
        }
    }
    return list;
}

static rt_value parse_literal(parser *p) {
    if (++p->depth > MAX_DEPTH) fail(p, "literal nested too deep");
    rt_value v = V_NULL;
    blanks(p);
    if (p->failed) {
    } else if (*p->at == '\'' || *p->at == '"') {
        v = parse_string(p);
    } else if (eat(p, "[")) {
        v = parse_sequence(p, V_LIST, "]");
    } else if (eat(p, "(")) {
        v = parse_sequence(p, V_TUPLE, ")");
    } else if (strchr("0123456789-+.", *p->at) || !strncmp(p->at, "inf", 3) || !strncmp(p->at, "nan", 3)) {
        v = parse_number(p);
    } else {
        const char *w = word(p, true);
        bool known = w && (!strcmp(w, "None") || !strcmp(w, "True") || !strcmp(w, "False"));
        if (known && *w != 'N') v = rt_bool(*w == 'T');
        for (size_t i = 0; w && !known && i < RT_COUNT(number_words); i++)
            if (!strcmp(w, number_words[i].word)) v = rt_int(number_words[i].value), known = true;
        if (!known) fail(p, "literal expected");
    }
    p->depth--;
    return v;
}

/* The default as a value of the parameter's type: float eps=1, int[2] stride=1. */
static rt_value fit_default(parser *p, const ir_param *q, rt_value v) {
    const ir_type *t = q->type->kind == T_OPTIONAL ? q->type->elem[0] : q->type;
    if (t->kind == T_FLOAT && v.tag == V_INT) return rt_float((double)v.i);
    if (t->kind != T_LIST || (v.tag != V_INT && v.tag != V_FLOAT && v.tag != V_BOOL)) return v;
    rt_value list = rt_list_new(V_LIST, q->list_size ? q->list_size : 1);
    if (list.tag == V_UNDEF) return fail(p, "out of memory"), v;
    for (int64_t i = 0; i < list.list->n; i++)
        list.list->at[i] = t->elem[0]->kind == T_FLOAT && v.tag == V_INT ? rt_float((double)v.i) : v;
    return list;
}

/* ---- parameters and results */

static ir_param parse_param(parser *p) {
    ir_param q = {0};
    typed t = parse_type(p);
    if (p->failed) return q;
    q.type = t.type;
    q.alias = t.alias;
    q.writes = t.writes;
    q.alias_elems = t.alias_elems;
    q.list_size = t.list_size;
    q.name = word(p, false);
    if (!p->failed && q.name && eat(p, "=")) {
        q.has_default = true;
        q.def = fit_default(p, &q, parse_literal(p));
        ir_own(p->c, q.def);
    }
    return q;
}

static void parse_params(parser *p, ir_schema *s) {
    RT_VEC(ir_param) params = {0};
    bool kwonly = false;
    expect(p, "(");
    if (eat(p, ")")) return;
    do {
        if (eat(p, "...")) s->varargs = true;
        else if (eat(p, "*")) kwonly = true;
        else {
            ir_param q = parse_param(p);
            q.kwonly = kwonly;
            if (!p->failed && !q.name) fail(p, "parameter name expected");
            RT_PUSH(&p->c->arena, &params, q);
        }
    } while (!p->failed && eat(p, ","));
    expect(p, ")");
    s->nparams = params.n;
    s->params = params.at;
}

/* Does the "(" ahead open a tuple type, as in `-> (str, t)[]`, and not the list of results? */
static bool tuple_ahead(parser *p) {
    blanks(p);
    int depth = 0;
    for (const char *q = p->at; *q; q++) {
        depth += (*q == '(') - (*q == ')');
        if (!depth) return q > p->at && (q[1] == '[' || q[1] == '?');
    }
    return false;
}

static void parse_results(parser *p, ir_schema *s) {
    RT_VEC(ir_param) results = {0};
    expect(p, "->");
    if (eat(p, "...")) {
        s->varresults = true;
    } else if (!tuple_ahead(p) && eat(p, "(")) {
        if (eat(p, ")")) return;
        do {
            if (eat(p, "...")) {
                s->varresults = true;
                continue;
            }
            ir_param q = parse_param(p);
            RT_PUSH(&p->c->arena, &results, q);
        } while (!p->failed && eat(p, ","));
        expect(p, ")");
    } else {
        ir_param q = parse_param(p);
        RT_PUSH(&p->c->arena, &results, q);
    }
    s->nresults = results.n;
    s->results = results.at;
}

ir_schema *ir_schema_parse(ir_context *c, const char *text) {
    parser p = {c, text, text, 0, false};
    ir_schema *s = RT_NEW(&c->arena, ir_schema);
    s->text = ir_intern(c, text);
    s->name = word(&p, false);
    if (s->name && eat(&p, "::")) {
        s->ns = s->name;
        s->name = word(&p, false);
    }
    s->overload = "";
    if (*p.at == '.') {
        p.at++;
        if (*p.at != '(') s->overload = word(&p, false); /* "name.(": the overload without a name */
    }
    if (!s->name || !s->overload) return fail(&p, "name expected"), NULL;
    parse_params(&p, s);
    if (!p.failed) parse_results(&p, s);
    blanks(&p);
    if (!p.failed && *p.at) fail(&p, "unexpected text");
    return p.failed ? NULL : s;
}

/* ---- the table */

static ir_op *op_new(ir_context *c, const char *name, const char *full, const char *ns, ir_op_class cls) {
    ir_op *op = RT_NEW(&c->arena, ir_op);
    op->name = ir_intern(c, name);
    op->full = ir_intern(c, full);
    op->ns = ir_intern(c, ns);
    op->cls = cls;
    op->id = c->nops++;
    return op;
}

/* Appends to the chain of `key`. */
static void chain(ir_context *c, const char *key, ir_op *op) {
    ir_op *at = rt_map_get(&c->ops, key);
    if (!at) {
        rt_map_put(&c->arena, &c->ops, key, op);
        return;
    }
    while (at->next) at = (ir_op *)at->next;
    at->next = op;
}

static bool bare(const char *ns) { return !strcmp(ns, "aten") || !strcmp(ns, "prim"); }

ir_op *ir_op_add(ir_context *c, const char *ns, const char *schema_text, ir_op_class cls) {
    ir_schema *s = ir_schema_parse(c, schema_text);
    if (!s) return NULL;
    if (s->ns) ns = s->ns;
    const char *name = bare(ns) ? s->name : ir_fmt(c, "%s::%s", ns, s->name);
    const char *full = *s->overload ? ir_fmt(c, "%s.%s", name, s->overload) : name;
    if (rt_map_get(&c->ops_full, full)) {
        ir_error(c, 0, "op '%s' is defined twice", full);
        return NULL;
    }
    ir_op *op = op_new(c, name, full, ns, cls);
    op->schema = s;
    for (int i = 0; i < s->nparams; i++)
        if (s->params[i].writes) op->effects |= EFF_WRITES;
    rt_map_put(&c->arena, &c->ops_full, full, op);
    chain(c, name, op);
    return op;
}

/* Rules are C functions named in the rows; 0 and NULL stand for none.  First pass: their prototypes. */
#define THIRD_(a, b, c, ...) c
#define THIRD(...) THIRD_(__VA_ARGS__)
#define NO_RULE_0 ,
#define NO_RULE_NULL ,
#define POINTWISE(schema, promote, body)
#define REDUCE(schema, promote, dims, body)
#define CONTRACT(schema, promote, equation)
#define HOST(schema, effects, body)
#define MOVE(schema, promote, rule) THIRD(NO_RULE_##rule ~, struct ir_infer_none, bool rule(ir_infer *x), ~);
#define VIEW(schema, rule) THIRD(NO_RULE_##rule ~, struct ir_infer_none, bool rule(ir_infer *x), ~);
#define OPAQUE(schema, effects, rule)                                                                        \
    THIRD(NO_RULE_##rule ~, struct ir_infer_none, bool rule(ir_infer *x), ~);
#include "ir/ops.def"
#undef POINTWISE
#undef REDUCE
#undef CONTRACT
#undef HOST
#undef MOVE
#undef VIEW
#undef OPAQUE

typedef struct row {
    ir_op_class cls;
    const char *schema, *promote, *body, *dims;
    int effects;
    ir_rule *rule;
    bool view;
} row;

static const row rows[] = {
#define POINTWISE(s, p, b) {.cls = OP_POINTWISE, .schema = s, .promote = p, .body = b},
#define REDUCE(s, p, d, b) {.cls = OP_REDUCE, .schema = s, .promote = p, .dims = d, .body = b},
#define MOVE(s, p, r) {.cls = OP_MOVE, .schema = s, .promote = p, .rule = r},
#define VIEW(s, r) {.cls = OP_MOVE, .schema = s, .promote = "self", .rule = r, .view = true},
#define CONTRACT(s, p, e) {.cls = OP_CONTRACT, .schema = s, .promote = p, .body = e},
#define OPAQUE(s, e, r) {.cls = OP_OPAQUE, .schema = s, .effects = e, .rule = r},
#define HOST(s, e, b) {.cls = OP_HOST, .schema = s, .effects = e, .body = b},
#include "ir/ops.def"
#undef POINTWISE
#undef REDUCE
#undef CONTRACT
#undef HOST
#undef MOVE
#undef VIEW
#undef OPAQUE
    {.schema = NULL},
};

static void structs_init(ir_context *c) {
    static const char *const names[] = {
#define STRUCT(id, name, help) name,
#include "ir/struct.def"
#undef STRUCT
    };
    c->structs = RT_ARRAY(&c->arena, const ir_op *, IR_NSTRUCT);
    for (int i = 0; i < IR_NSTRUCT; i++) {
        ir_op *op = op_new(c, names[i], names[i], "struct", OP_STRUCT);
        ir_schema *s = RT_NEW(&c->arena, ir_schema);
        s->text = s->name = op->name;
        s->overload = "";
        s->varargs = s->varresults = true;
        op->schema = s;
        c->structs[i] = op;
    }
    int effects[IR_NSTRUCT] = {[S_SETSTATE] = EFF_WRITES, [S_SETATTR] = EFF_WRITES, [S_RAISE] = EFF_RAISES,
                               [S_GUARD] = EFF_RAISES,    [S_UNPACK] = EFF_RAISES,  [S_CALL] = EFF_SIDE,
                               [S_WRITEBACK] = EFF_WRITES};
    for (int i = 0; i < IR_NSTRUCT; i++) ((ir_op *)c->structs[i])->effects = effects[i];
}

void ir_ops_init(ir_context *c) {
    structs_init(c);
    for (const row *r = rows; r->schema; r++) {
        ir_op *op = ir_op_add(c, "aten", r->schema, r->cls);
        if (!op) continue;
        op->effects |= r->effects;
        op->promote = r->promote;
        op->body = r->body;
        op->dims = r->dims;
        op->rule = (const void *)r->rule;
        op->view = r->view;
    }
}

const ir_op *ir_struct(ir_context *c, ir_struct_id id) { return c->structs[id]; }

/* ---- derived forms */

static bool returns_tensors(const ir_op *op) {
    const ir_schema *s = op->schema;
    for (int i = 0; i < s->nresults; i++)
        if (s->results[i].type->kind != T_TENSOR || s->results[i].alias) return false;
    return s->nresults > 0 && !s->varresults;
}

static ir_op *derive(ir_context *c, const ir_op *base, const char *name, const char *overload,
                     const ir_schema *s) {
    const char *full = *overload ? ir_fmt(c, "%s.%s", name, overload) : name;
    if (rt_map_get(&c->ops_full, full)) return NULL;
    ir_op *op = op_new(c, name, full, base->ns, base->cls);
    int id = op->id;
    const char *n = op->name, *f = op->full;
    *op = *base;
    op->id = id;
    op->name = n;
    op->full = f;
    op->next = NULL;
    op->view = false;
    op->inplace_of = base;
    op->effects |= EFF_WRITES;
    ir_schema *copy = rt_arena_copy(&c->arena, s, sizeof *s);
    copy->name = op->name;
    copy->overload = ir_intern(c, overload);
    op->schema = copy;
    rt_text t = {0};
    ir_schema_print(&t, op);
    copy->text = ir_internn(c, t.s ? t.s : "", t.n);
    rt_text_free(&t);
    rt_map_put(&c->arena, &c->ops_full, op->full, op);
    return op;
}

bool ir_is_inplace_view(const ir_op *op) {
    size_t n = strlen(op->name);
    return op->view && n && op->name[n - 1] == '_';
}

/* `name_` of every overload of `name` that computes one fresh tensor (no view) from a tensor. */
static void derive_inplace(ir_context *c, const char *name, const ir_op *base) {
    for (; base; base = base->next) {
        const ir_schema *s = base->schema;
        if (base->inplace_of || base->view || base->cls == OP_HOST || s->nresults != 1 ||
            !returns_tensors(base) || !s->nparams || s->params[0].type->kind != T_TENSOR ||
            s->params[0].writes)
            continue;
        ir_schema d = *s;
        d.params = rt_arena_copy(&c->arena, s->params, (size_t)s->nparams * sizeof *s->params);
        d.results = rt_arena_copy(&c->arena, s->results, sizeof *s->results);
        d.params[0].alias = d.results[0].alias = 'a';
        d.params[0].writes = d.results[0].writes = true;
        ir_op *op = derive(c, base, name, s->overload, &d);
        if (op) chain(c, name, op);
    }
}

/* The chain of `out=` forms of the overloads of `name`, kept under the key "out NAME". */
const ir_op *ir_op_outs(ir_context *c, const char *name) {
    const char *key = ir_fmt(c, "out %s", name);
    if (rt_map_get(&c->ops, key)) return rt_map_get(&c->ops, key);
    for (const ir_op *base = rt_map_get(&c->ops, name); base; base = base->next) {
        const ir_schema *s = base->schema;
        if (base->inplace_of || base->view || base->cls == OP_HOST || !returns_tensors(base)) continue;
        ir_schema d = *s;
        d.nparams = s->nparams + s->nresults;
        d.params = RT_ARRAY(&c->arena, ir_param, d.nparams);
        d.results = rt_arena_copy(&c->arena, s->results, (size_t)s->nresults * sizeof *s->results);
        if (s->nparams) memcpy(d.params, s->params, (size_t)s->nparams * sizeof *s->params);
        for (int i = 0; i < s->nresults; i++) {
            const char *result = s->results[i].name, *own = s->nresults == 1 ? "out" : result;
            if (!own) own = ir_fmt(c, "out%d", i);
            d.results[i].alias = (char)('a' + i);
            d.params[s->nparams + i] = (ir_param){.name = ir_intern(c, own),
                                                  .type = s->results[i].type,
                                                  .kwonly = true,
                                                  .alias = (char)('a' + i),
                                                  .writes = true};
        }
        const char *overload =
            *s->overload && strcmp(s->overload, "Tensor") ? ir_fmt(c, "%s_out", s->overload) : "out";
        ir_op *op = derive(c, base, name, overload, &d);
        if (!op) continue;
        op->out_params = s->nresults;
        chain(c, key, op);
    }
    return rt_map_get(&c->ops, key);
}

/* ---- look-up */

static const char *strip_ns(const char *name) {
    return !strncmp(name, "aten::", 6) || !strncmp(name, "prim::", 6) ? name + 6 : name;
}

const ir_op *ir_op_overloads(ir_context *c, const char *name) {
    name = strip_ns(name);
    if (!c->vocabulary_read &&
        c->vocabulary) { /* first of all: a vocabulary may add overloads to a row's name */
        c->vocabulary_read = true;
        c->vocabulary(c);
    }
    size_t n = strlen(name);
    if (n > 1 && name[n - 1] == '_' && name[n - 2] != '_') {
        const char *key = ir_fmt(c, "in %s", name); /* marks that the derived forms have been made */
        if (!rt_map_get(&c->ops, key)) {
            const char *base = ir_internn(c, name, n - 1);
            const ir_op *of = rt_map_get(&c->ops, base);
            if (of) rt_map_put(&c->arena, &c->ops, key, (void *)of);
            derive_inplace(c, name, of);
        }
    }
    return rt_map_get(&c->ops, name);
}

const ir_op *ir_op_find(ir_context *c, const char *full) {
    full = strip_ns(full);
    const ir_op *op = rt_map_get(&c->ops_full, full);
    if (op) return op;
    const char *dot = strchr(full, '.');
    const char *name = dot ? ir_internn(c, full, (size_t)(dot - full)) : full;
    if (!ir_op_overloads(c, name)) return NULL;
    size_t n = strlen(full);
    if (dot && n > 3 && !strcmp(full + n - 3, "out")) ir_op_outs(c, name);
    return rt_map_get(&c->ops_full, full);
}

/* ---- printing */

static void print_schema_type(rt_text *out, const ir_type *t, int list_size) {
    static const struct {
        ir_kind kind;
        const char *word;
    } words[] = {{T_TENSOR, "Tensor"}, {T_INT, "int"},       {T_FLOAT, "float"},   {T_BOOL, "bool"},
                 {T_STR, "str"},       {T_NUMBER, "Scalar"}, {T_DEVICE, "Device"}, {T_ANY, "Any"},
                 {T_NONE, "NoneType"}, {T_MODULE, "Module"}};
    for (size_t i = 0; i < RT_COUNT(words); i++)
        if (words[i].kind == t->kind) {
            rt_text_str(out, words[i].word);
            return;
        }
    if (t->kind == T_VAR) {
        rt_text_str(out, t->name);
    } else if (t->kind == T_LIST || t->kind == T_OPTIONAL) {
        print_schema_type(out, t->elem[0], list_size);
        if (t->kind == T_OPTIONAL) rt_text_str(out, "?");
        else if (list_size) rt_text_fmt(out, "[%d]", list_size);
        else rt_text_str(out, "[]");
    } else {
        rt_text_str(out, t->kind == T_DICT ? "Dict(" : t->kind == T_UNION ? "Union(" : "(");
        for (int i = 0; i < t->n; i++) {
            if (i) rt_text_str(out, ", ");
            print_schema_type(out, t->elem[i], 0);
        }
        rt_text_str(out, ")");
    }
}

static void print_alias(rt_text *out, const ir_param *p) {
    if (p->alias) rt_text_fmt(out, "(%c%s)", p->alias, p->writes ? "!" : "");
}

static void print_param(rt_text *out, const ir_param *p) {
    const ir_type *elems = p->alias_elems && p->type->kind == T_LIST ? p->type->elem[0] : NULL;
    print_schema_type(out, elems ? elems : p->type, p->list_size);
    print_alias(out, p);
    if (elems) rt_text_str(out, "[]");
    if (p->name) rt_text_fmt(out, " %s", p->name);
    if (!p->has_default) return;
    rt_text_str(out, "=");
    rt_value_print(out, p->def, true);
}

void ir_schema_print(rt_text *out, const ir_op *op) {
    const ir_schema *s = op->schema;
    rt_text_fmt(out, "%s(", op->full);
    bool star = false;
    for (int i = 0; i < s->nparams; i++) {
        if (i) rt_text_str(out, ", ");
        if (s->params[i].kwonly && !star) {
            rt_text_str(out, "*, ");
            star = true;
        }
        print_param(out, &s->params[i]);
    }
    if (s->varargs) rt_text_str(out, s->nparams ? ", ..." : "...");
    rt_text_str(out, s->varresults ? ") -> ..." : s->nresults == 1 ? ") -> " : ") -> (");
    for (int i = 0; !s->varresults && i < s->nresults; i++) {
        if (i) rt_text_str(out, ", ");
        print_param(out, &s->results[i]);
    }
    if (!s->varresults && s->nresults != 1) rt_text_str(out, ")");
}

static const char *const class_names[] = {
    [OP_POINTWISE] = "POINTWISE", [OP_REDUCE] = "REDUCE", [OP_MOVE] = "MOVE", [OP_CONTRACT] = "CONTRACT",
    [OP_COMPOSITE] = "COMPOSITE", [OP_OPAQUE] = "OPAQUE", [OP_HOST] = "HOST",
};

void ir_ops_document(ir_context *c, rt_text *out) {
    ir_op_overloads(c, "add"); /* reads the vocabulary */
    for (int cls = 0; cls < OP_STRUCT; cls++) {
        int n = 0;
        for (int i = 0; i < c->ops_full.n; i++) {
            const ir_op *op = c->ops_full.entries[i].value;
            if (op->cls != (ir_op_class)cls || op->inplace_of) continue;
            if (!n++) rt_text_fmt(out, "## %s\n\n", class_names[cls]);
            rt_text_fmt(out, "- `%s`", op->schema->text);
            if (op->promote && *op->promote && !op->view) rt_text_fmt(out, " promote: %s", op->promote);
            if (op->dims) rt_text_fmt(out, " dims: %s", op->dims);
            rt_text_str(out, op->view ? " view" : "");
            rt_text_str(out, op->effects & EFF_RANDOM ? " random" : "");
            rt_text_str(out, op->effects & EFF_RAISES ? " raises" : "");
            rt_text_str(out, op->effects & EFF_WRITES ? " writes" : "");
            rt_text_str(out, op->effects & EFF_SIDE ? " side" : "");
            rt_text_str(out, "\n");
        }
        if (n) rt_text_str(out, "\n");
    }
}
