/* read.c: the text form of modules (IR.md has the grammar).  Line by line; stops at the first error, which
 * names line and column.  Input is untrusted: nesting, counts and numbers are bounded, every name is looked
 * up.
 *
 * Classes are made before anything else is read, since types may name later ones.  A node without a span of
 * its own gets the line of the .ir file as an implicit one. */
#include "ir/ir.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_NESTING = 200, MAX_SPANS = 16 };

typedef struct method_ref {
    ir_class *cls;
    const char *name, *func;
    ir_span span;
} method_ref;

typedef struct reader {
    ir_context *c;
    ir_module *m;
    ir_func *f;    /* being read */
    rt_map values; /* of f: name -> ir_value */
    const char *file, *text, *at, *end, *line_start;
    int line, depth;
    bool failed;
    RT_VEC(rt_object *) objects; /* NULL while being read: no cycles */
    RT_VEC(method_ref) methods;
} reader;

/* A constant; `cell` set: a tensor of the module, to be put there when the weights are loaded. */
typedef struct item {
    rt_value v;
    const ir_tensor_data *cell;
} item;

/* ---- scanning */

static ir_span here(reader *r) {
    return ir_span_new(r->c, (ir_place){.file = r->file,
                                        .line = r->line,
                                        .col = (int)(r->at - r->line_start) + 1,
                                        .implicit = true});
}

static bool fail(reader *r, const char *fmt, ...) RT_PRINTF(2, 3);
static bool fail(reader *r, const char *fmt, ...) {
    if (r->failed) return false;
    r->failed = true;
    va_list ap;
    va_start(ap, fmt);
    const char *text = rt_arena_vfmt(&r->c->arena, fmt, ap);
    va_end(ap);
    ir_error(r->c, here(r), "%s", text);
    return false;
}

static void blanks(reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t')) r->at++;
}

/* At the end of a line, blanks and a comment aside? */
static bool at_eol(reader *r) {
    blanks(r);
    if (r->end - r->at >= 2 && r->at[0] == '\r' && r->at[1] == '\n') return true;
    return r->at >= r->end || *r->at == '\n' || *r->at == '#';
}

/* Skips line ends, empty lines and comments. */
static void skip_lines(reader *r) {
    while (at_eol(r) && r->at < r->end) {
        const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
        r->at = nl ? nl + 1 : r->end;
        r->line_start = r->at;
        if (nl) r->line++;
    }
}

static bool end_line(reader *r) {
    if (r->failed) return false;
    if (!at_eol(r)) return fail(r, "unexpected text at the end of the line");
    skip_lines(r);
    return true;
}

static bool eat(reader *r, char ch) {
    blanks(r);
    if (r->at >= r->end || *r->at != ch) return false;
    r->at++;
    return true;
}

static bool expect(reader *r, char ch) { return eat(r, ch) || fail(r, "'%c' expected", ch); }

static bool is_word_char(char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '_';
}

static bool eat_word(reader *r, const char *word) {
    blanks(r);
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n)) return false;
    if ((size_t)(r->end - r->at) > n && (is_word_char(r->at[n]) || r->at[n] == '.')) return false;
    r->at += n;
    return true;
}

/* A bare or quoted name; NULL after a diagnostic. */
static const char *name(reader *r, const char *what) {
    blanks(r);
    const char *s = ir_parse_name(r->c, &r->at, r->end);
    if (!s) fail(r, "%s expected", what);
    return s;
}

static const char *quoted(reader *r, const char *what) {
    blanks(r);
    if (r->at >= r->end || *r->at != '"') return fail(r, "%s expected, in quotes", what), NULL;
    rt_text t = {0};
    const char *s = NULL;
    if (!ir_parse_string(&r->at, r->end, &t) || (t.n && memchr(t.s, 0, t.n))) fail(r, "malformed string");
    else s = ir_internn(r->c, t.s ? t.s : "", t.n);
    rt_text_free(&t);
    return s;
}

static bool integer(reader *r, int64_t *out) {
    blanks(r);
    char buf[32];
    size_t n = 0;
    while (n < sizeof buf - 1 && r->at + n < r->end && (is_word_char(r->at[n]) || (!n && r->at[n] == '-')))
        n++;
    memcpy(buf, r->at, n);
    buf[n] = 0;
    char *stop;
    errno = 0;
    long long x = strtoll(buf, &stop, 10);
    if (!n || *stop || errno || stop == buf) return fail(r, "a whole number expected");
    r->at += n;
    *out = x;
    return true;
}

static bool small(reader *r, int *out) {
    int64_t x;
    if (!integer(r, &x)) return false;
    if (x < 0 || x > 1 << 28) return fail(r, "number out of range");
    *out = (int)x;
    return true;
}

static const ir_type *type(reader *r) {
    blanks(r);
    const ir_type *t = r->failed ? NULL : ir_type_parse(r->c, r->m, &r->at, r->end);
    if (!t) fail(r, "type expected");
    return t;
}

static const ir_dim *dim(reader *r) {
    blanks(r);
    const ir_dim *d = r->failed ? NULL : ir_dim_parse(r->c, &r->at, r->end);
    if (!d) fail(r, "size expected");
    return d;
}

/* ---- constants */

static bool value(reader *r, item *out);

static void release_items(int n, const item *items) {
    for (int i = 0; i < n; i++) rt_release(items[i].v);
}

static void bind_later(reader *r, rt_value *slot, const item *it) {
    struct ir_slot s = {slot, it->cell ? it->cell->name : NULL};
    if (it->cell) RT_PUSH(&r->c->arena, &r->m->slots, s);
}

static bool sequence(reader *r, rt_tag tag, char close, item *out) {
    RT_VEC(item) items = {0};
    bool comma = true, ok = true;
    while (ok && !eat(r, close)) {
        item it;
        if (!comma) ok = fail(r, "',' or '%c' expected", close);
        else if ((ok = value(r, &it))) {
            RT_PUSH(&r->c->arena, &items, it);
            comma = eat(r, ',');
        }
    }
    if (ok && tag == V_TUPLE && items.n == 1 && !comma) ok = fail(r, "a tuple of one is written (x,)");
    rt_value list = ok ? rt_list_new(tag, items.n) : V_NULL;
    if (list.tag == V_UNDEF) ok = fail(r, "out of memory");
    if (!ok) return release_items(items.n, items.at), false;
    for (int i = 0; i < items.n; i++) {
        list.list->at[i] = items.at[i].v;
        bind_later(r, &list.list->at[i], &items.at[i]);
    }
    out->v = list;
    return true;
}

static bool dict(reader *r, item *out) {
    RT_VEC(item) keys = {0}, values = {0};
    bool comma = true, ok = true;
    while (ok && !eat(r, '}')) {
        item key, it;
        if (!comma) ok = fail(r, "',' or '}' expected");
        else if ((ok = value(r, &key))) {
            RT_PUSH(&r->c->arena, &keys, key);
            if (key.v.tag != V_STR && key.v.tag != V_INT && key.v.tag != V_FLOAT && key.v.tag != V_BOOL)
                ok = fail(r, "not a key of a dict");
            else ok = expect(r, ':') && value(r, &it);
            if (ok) RT_PUSH(&r->c->arena, &values, it);
            comma = ok && eat(r, ',');
        }
    }
    rt_value d = ok ? rt_dict_new() : V_NULL;
    if (d.tag == V_UNDEF) ok = fail(r, "out of memory");
    for (int i = 0; ok && i < values.n; i++) {
        if (rt_dict_find(d.dict, keys.at[i].v)) ok = fail(r, "a key of the dict is given twice");
        else if (!rt_dict_set(d.dict, keys.at[i].v, rt_retain(values.at[i].v))) ok = fail(r, "out of memory");
    }
    for (int i = 0; ok && i < values.n; i++) bind_later(r, rt_dict_find(d.dict, keys.at[i].v), &values.at[i]);
    release_items(keys.n, keys.at);
    release_items(values.n, values.at);
    if (!ok) return rt_release(d), false;
    out->v = d;
    return true;
}

static bool object_fields(reader *r, const ir_class *cls, rt_object *o) {
    if (!expect(r, '{') || !end_line(r)) return false;
    for (int i = 0; i < cls->nfields; i++) {
        const char *field = name(r, "field");
        if (!field) return false;
        if (strcmp(field, cls->fields[i])) return fail(r, "field '%s' expected", cls->fields[i]);
        item it;
        if (!expect(r, '=') || !value(r, &it)) return false;
        o->at[i] = it.v;
        bind_later(r, &o->at[i], &it);
        if (!end_line(r)) return false;
    }
    return expect(r, '}');
}

/* "object 3" met before, or "object 3: Class { fields }". */
static bool object(reader *r, item *out) {
    int k;
    if (!small(r, &k)) return false;
    if (!eat(r, ':')) {
        if (k >= r->objects.n || !r->objects.at[k]) return fail(r, "object %d is not known here", k);
        out->v = rt_retain((rt_value){.tag = V_OBJECT, .object = r->objects.at[k]});
        return true;
    }
    if (k != r->objects.n) return fail(r, "object %d expected", r->objects.n);
    const char *cls_name = name(r, "class");
    const ir_class *cls = cls_name ? rt_map_get(&r->m->classes, cls_name) : NULL;
    if (!cls) return fail(r, "class expected");
    rt_value o = rt_object_new(cls, cls->nfields);
    if (o.tag == V_UNDEF) return fail(r, "out of memory");
    RT_PUSH(&r->c->arena, &r->objects, NULL);
    if (!object_fields(r, cls, o.object)) return rt_release(o), false;
    r->objects.at[k] = o.object;
    out->v = o;
    return true;
}

static bool string_value(reader *r, item *out) {
    rt_text t = {0};
    bool ok = ir_parse_string(&r->at, r->end, &t);
    if (ok) out->v = rt_str(t.s ? t.s : "", t.n);
    rt_text_free(&t);
    if (!ok) return fail(r, "malformed string");
    return out->v.tag == V_STR || fail(r, "out of memory");
}

static bool number_value(reader *r, item *out) {
    char buf[64];
    size_t n = 0;
    while (n < sizeof buf - 1 && r->at + n < r->end && (is_word_char(r->at[n]) || strchr("+-.", r->at[n])))
        n++;
    memcpy(buf, r->at, n);
    buf[n] = 0;
    char *stop;
    errno = 0;
    bool whole = !strpbrk(buf, ".einf") && strcmp(buf, "nan");
    if (whole) out->v = rt_int(strtoll(buf, &stop, 10));
    else out->v = rt_float(strtod(buf, &stop));
    bool overflow = errno == ERANGE && (whole || out->v.f > 1 || out->v.f < -1);
    if (!n || *stop || stop == buf || overflow || strpbrk(buf, "xXpPN")) return fail(r, "constant expected");
    r->at += n;
    return true;
}

static bool value_inner(reader *r, item *out) {
    blanks(r);
    if (r->at >= r->end) return fail(r, "constant expected");
    if (*r->at == '"') return string_value(r, out);
    if (eat(r, '[')) return sequence(r, V_LIST, ']', out);
    if (eat(r, '(')) return sequence(r, V_TUPLE, ')', out);
    if (eat(r, '{')) return dict(r, out);
    if (eat_word(r, "none")) return out->v = V_NULL, true;
    if (eat_word(r, "undef")) return out->v = (rt_value){.tag = V_UNDEF}, true;
    if (eat_word(r, "true")) return out->v = rt_bool(true), true;
    if (eat_word(r, "false")) return out->v = rt_bool(false), true;
    if (eat_word(r, "object")) return object(r, out);
    if (!eat_word(r, "tensor")) return number_value(r, out);
    const char *s = quoted(r, "name of a param or state");
    if (!s) return false;
    out->cell = rt_map_get(&r->m->tensors, s);
    out->v = (rt_value){.tag = V_UNDEF};
    return out->cell || fail(r, "no param or state \"%s\"", s);
}

/* *out is owned by the caller on success. */
static bool value(reader *r, item *out) {
    *out = (item){.v = V_NULL};
    if (r->failed) return false;
    if (++r->depth > MAX_NESTING) return fail(r, "nested too deep");
    bool ok = value_inner(r, out);
    r->depth--;
    return ok;
}

/* ---- spans */

/* @"net.py":12:8-20 and, after it, the calls it was inlined from; `fallback` where there is none. */
static ir_span span(reader *r, ir_span fallback) {
    ir_place at[MAX_SPANS];
    int n = 0;
    while (!r->failed && n < MAX_SPANS && eat(r, '@')) {
        ir_place p = {.file = quoted(r, "file")};
        if (!p.file || !expect(r, ':') || !small(r, &p.line) || !expect(r, ':') || !small(r, &p.col))
            return 0;
        if (p.line < 1) return fail(r, "lines count from 1"), 0;
        if (r->at < r->end && *r->at == '-' && (r->at++, !small(r, &p.end_col))) return 0;
        at[n++] = p;
    }
    if (!n) return fallback;
    ir_span s = 0;
    while (n--) {
        at[n].inlined_at = s;
        s = ir_span_new(r->c, at[n]);
    }
    return s;
}

/* ---- functions */

static const char *percent(reader *r) {
    if (!expect(r, '%')) return NULL;
    const char *b = r->at;
    while (r->at < r->end && (is_word_char(*r->at) || *r->at == '.')) r->at++;
    if (r->at == b) return fail(r, "name of a value expected"), NULL;
    const char *s = ir_internn(r->c, b, (size_t)(r->at - b));
    bool digits = strspn(s, "0123456789") == strlen(s);
    if (!digits && !ir_is_identifier(s)) return fail(r, "'%s' is no name of a value", s), NULL;
    return s;
}

static bool define(reader *r, ir_value *v, const char *s) {
    if (rt_map_get(&r->values, s)) return fail(r, "%%%s is defined twice", s);
    rt_map_put(&r->c->arena, &r->values, s, v);
    if (*s >= '0' && *s <= '9') return true;
    ir_value_name(v, s);
    return true;
}

static ir_value *use(reader *r) {
    const char *begin = r->at, *s = percent(r);
    ir_value *v = s ? rt_map_get(&r->values, s) : NULL;
    if (s && !v) r->at = begin, fail(r, "%%%s is not defined", s);
    return v;
}

typedef struct uses {
    RT_VEC(ir_value *) v;
} uses;

/* Values separated by commas, on this line; none if there is no '%'. */
static bool use_list(reader *r, uses *out) {
    blanks(r);
    if (r->at >= r->end || *r->at != '%') return !r->failed;
    do {
        ir_value *v = use(r);
        if (!v) return false;
        RT_PUSH(&r->c->arena, &out->v, v);
    } while (eat(r, ','));
    return true;
}

/* What stands left of "=": names and types. */
typedef struct defs {
    RT_VEC(const char *) names;
    RT_VEC(const ir_type *) types;
    RT_VEC(const ir_layout *) layouts;
} defs;

/* order(0, 2, 3, 1) behind a tensor's type; NULL if there is none, or after a diagnostic. */
static const ir_layout *layout(reader *r, const ir_type *t) {
    if (!eat_word(r, "order")) return NULL;
    ir_layout *l = RT_NEW(&r->c->arena, ir_layout);
    uint32_t seen = 0;
    for (int i = 0; t->kind == T_TENSOR && i < t->rank; i++) {
        int64_t d;
        if (!expect(r, i ? ',' : '(') || !integer(r, &d)) return NULL;
        if (d < 0 || d >= t->rank || seen >> d & 1) return fail(r, "each dim stands once in an order"), NULL;
        seen |= 1u << d;
        l->order[i] = (uint8_t)d;
    }
    if (!seen) return fail(r, "an order is for tensors of known rank"), NULL;
    return expect(r, ')') ? l : NULL;
}

static bool def_list(reader *r, defs *d) {
    do {
        const char *s = percent(r);
        const ir_type *t = s && expect(r, ':') ? type(r) : NULL;
        if (!t) return false;
        RT_PUSH(&r->c->arena, &d->names, s);
        RT_PUSH(&r->c->arena, &d->types, t);
        RT_PUSH(&r->c->arena, &d->layouts, layout(r, t));
    } while (eat(r, ','));
    return true;
}

static const ir_op *op_name(reader *r) {
    blanks(r);
    const char *b = r->at;
    while (r->at < r->end && (is_word_char(*r->at) || *r->at == '.' || *r->at == ':')) r->at++;
    const char *s = ir_internn(r->c, b, (size_t)(r->at - b));
    for (int i = 0; i < IR_NSTRUCT; i++)
        if (!strcmp(s, ir_struct(r->c, (ir_struct_id)i)->name)) return ir_struct(r->c, (ir_struct_id)i);
    const ir_op *op = *s ? ir_op_find(r->c, s) : NULL;
    if (!op) r->at = b, fail(r, *s ? "unknown op '%s'" : "op expected%s", s);
    return op;
}

static bool block(reader *r, ir_block *b);

static bool blocks(reader *r, ir_node *n) {
    while (!r->failed && eat(r, '{')) {
        if (!end_line(r)) return false;
        if (++r->depth > MAX_NESTING) return fail(r, "nested too deep");
        if (!block(r, ir_block_new(r->f, n))) return false;
        r->depth--;
        if (!expect(r, '}')) return false;
        if (n->op->id == S_IF) eat_word(r, "else");
    }
    return !r->failed;
}

static const char *node_sym(reader *r, const ir_op *op) {
    blanks(r);
    if (op->cls != OP_STRUCT || r->at >= r->end) return NULL;
    if (op->id == S_CALL && eat(r, '@')) return name(r, "function");
    return op->id != S_CONST && *r->at == '"' ? quoted(r, "name") : NULL;
}

static bool statement(reader *r, ir_block *b) {
    defs d = {0};
    uses in = {0};
    ir_span at = here(r);
    if (*r->at == '%' && (!def_list(r, &d) || !expect(r, '='))) return false;
    const ir_op *op = op_name(r);
    const char *sym = op ? node_sym(r, op) : NULL;
    if (!op || !use_list(r, &in)) return false;
    ir_node *n = ir_node_new(r->f, op, at, in.v.n, in.v.at, d.types.n, d.types.at);
    n->sym = sym;
    ir_append(b, n);
    item it = {.v = {.tag = V_UNDEF}};
    if ((op->id == S_CONST || eat_word(r, "value")) && !value(r, &it)) return false;
    ir_own(r->c, it.v);
    n->value = it.v;
    if (it.cell) return fail(r, "a tensor is no constant: use param");
    if (eat_word(r, "as") && !(n->type = type(r))) return false;
    n->span = span(r, at);
    for (int i = 0; i < n->nout; i++) {
        n->out[i]->layout = d.layouts.at[i];
        if (!define(r, n->out[i], d.names.at[i])) return false;
    }
    return blocks(r, n) && end_line(r);
}

static bool block_params(reader *r, ir_block *b) {
    defs d = {0};
    if (!expect(r, '(')) return false;
    if (!eat(r, ')') && (!def_list(r, &d) || !expect(r, ')'))) return false;
    for (int i = 0; i < d.names.n; i++)
        if (d.layouts.at[i]) return fail(r, "only a kernel's result has an order");
    for (int i = 0; i < d.names.n; i++)
        if (!define(r, ir_block_param(b, d.types.at[i], NULL), d.names.at[i])) return false;
    return expect(r, ':') && end_line(r);
}

static bool block(reader *r, ir_block *b) {
    if (b->owner && eat(r, '^') && !block_params(r, b)) return false;
    const char *last = b->owner ? "yield" : "return";
    while (!r->failed) {
        blanks(r);
        if (r->at >= r->end) return fail(r, "'%s' expected", last);
        if (!eat_word(r, last)) {
            statement(r, b);
            continue;
        }
        uses u = {0};
        if (!use_list(r, &u)) return false;
        for (int i = 0; i < u.v.n; i++) ir_block_result(b, u.v.at[i]);
        return end_line(r);
    }
    return false;
}

static bool guards(reader *r, ir_func *f) {
    while (!r->failed && eat_word(r, "assume")) {
        ir_guard g = {.span = here(r), .a = dim(r)};
        if (eat(r, '<')) g.rel = '<';
        else if (eat(r, '=')) g.rel = '=';
        if (!g.rel || r->at >= r->end || *r->at++ != '=') return fail(r, "'==' or '<=' expected");
        if (!(g.b = dim(r)) || !(g.why = quoted(r, "reason"))) return false;
        g.span = span(r, g.span);
        RT_PUSH(&r->c->arena, &f->guards, g);
        if (!end_line(r)) return false;
    }
    return !r->failed;
}

static bool params(reader *r, ir_func *f) {
    RT_VEC(const char *) names = {0};
    bool named = true;
    if (!expect(r, '(')) return false;
    if (!eat(r, ')')) {
        do {
            const char *s = percent(r),
                       *as = s && eat_word(r, "as") ? name(r, "name of the parameter") : NULL;
            const ir_type *t = s && expect(r, ':') ? type(r) : NULL;
            if (!t || !define(r, ir_block_param(f->body, t, NULL), s)) return false;
            if (!as && (*s >= '0' && *s <= '9')) named = false;
            RT_PUSH(&r->c->arena, &names, as ? as : s);
        } while (eat(r, ','));
        if (!expect(r, ')')) return false;
    }
    if (named) f->param_names = names.at;
    return true;
}

static bool function(reader *r) {
    ir_span at = here(r);
    const char *s = expect(r, '@') ? name(r, "function") : NULL;
    if (!s) return false;
    if (rt_map_get(&r->m->funcs, s)) return fail(r, "function '%s' is defined twice", s);
    ir_func *f = r->f = ir_func_new(r->m, s);
    r->values = (rt_map){0};
    if (!params(r, f) || !expect(r, '-') || !expect(r, '>') || !(f->result = type(r))) return false;
    f->exported = eat_word(r, "export");
    f->entry = eat_word(r, "entry");
    if (eat_word(r, "of") && !(f->method = quoted(r, "method"))) return false;
    f->span = span(r, at);
    if (!expect(r, '{') || !end_line(r)) return false;
    return guards(r, f) && block(r, f->body) && expect(r, '}') && end_line(r);
}

/* ---- the header */

static bool symbol(reader *r) {
    const char *s = name(r, "symbol");
    int64_t lo, hi;
    if (!s || !expect(r, ':') || !integer(r, &lo) || !expect(r, '.') || !expect(r, '.') || !integer(r, &hi))
        return false;
    if (lo > hi) return fail(r, "empty range");
    ir_symbol *sym = ir_symbol_get(r->c, s);
    sym->lo = lo;
    sym->hi = hi;
    return end_line(r);
}

static bool class_constant(reader *r, ir_class *cls) {
    const char *s = name(r, "constant");
    item it;
    if (!s || !expect(r, '=') || !value(r, &it)) return false;
    if (it.cell || rt_map_get(&cls->constants, s)) {
        rt_release(it.v);
        return fail(r, it.cell ? "a tensor is no constant" : "constant '%s' is defined twice", s);
    }
    ir_own(r->c, it.v);
    rt_map_put(&r->c->arena, &cls->constants, s, rt_arena_copy(&r->c->arena, &it.v, sizeof it.v));
    return end_line(r);
}

static bool class_method(reader *r, ir_class *cls) {
    method_ref ref = {cls, name(r, "method"), NULL, here(r)};
    if (!ref.name || !expect(r, '=') || !expect(r, '@') || !(ref.func = name(r, "function"))) return false;
    RT_PUSH(&r->c->arena, &r->methods, ref);
    return end_line(r);
}

/* "const" and "method" are words here only where no ':' follows: a field may have such a name. */
static bool is_field(const reader *r) {
    const char *p = r->at;
    while (p < r->end && is_word_char(*p)) p++;
    while (p < r->end && *p == ' ') p++;
    return p < r->end && *p == ':';
}

static bool class_body(reader *r, ir_class *cls) {
    RT_VEC(const char *) names = {0};
    RT_VEC(const ir_type *) types = {0};
    while (!eat(r, '}')) {
        if (r->failed || r->at >= r->end) return fail(r, "'}' expected");
        bool field = is_field(r);
        if (!field && eat_word(r, "const")) {
            class_constant(r, cls);
        } else if (!field && eat_word(r, "method")) {
            class_method(r, cls);
        } else {
            const char *s = name(r, "field");
            const ir_type *t = s && expect(r, ':') ? type(r) : NULL;
            if (!t || !end_line(r)) return false;
            RT_PUSH(&r->c->arena, &names, s);
            RT_PUSH(&r->c->arena, &types, t);
        }
    }
    cls->nfields = names.n;
    cls->fields = names.at;
    cls->types = types.at;
    return end_line(r);
}

static bool class(reader *r) {
    const char *s = name(r, "class");
    ir_class *cls = s ? rt_map_get(&r->m->classes, s) : NULL;
    if (!cls) return fail(r, "a class begins at the start of a line");
    if (cls->decl) return fail(r, "class '%s' is defined twice", s);
    cls->decl = r; /* a mark while reading */
    cls->is_module = eat_word(r, "module");
    cls->is_tuple = eat_word(r, "tuple");
    cls->is_enum = eat_word(r, "enum");
    return expect(r, '{') && end_line(r) && class_body(r, cls);
}

static bool cell(reader *r, bool state) {
    ir_tensor_data *d = RT_NEW(&r->c->arena, ir_tensor_data);
    d->state = state;
    d->init = V_NULL;
    d->name = quoted(r, "name");
    if (!d->name || !expect(r, ':') || !(d->type = type(r))) return false;
    if (rt_map_get(&r->m->tensors, d->name)) return fail(r, "\"%s\" is defined twice", d->name);
    item it;
    if (eat(r, '=')) {
        if (!value(r, &it)) return false;
        d->init = it.v;
    }
    rt_map_put(&r->c->arena, &r->m->tensors, d->name, d);
    return end_line(r);
}

static bool self(reader *r) {
    item it;
    if (!expect(r, '=') || !value(r, &it)) return false;
    rt_release(r->m->self);
    r->m->self = it.v;
    return end_line(r);
}

static bool module_line(reader *r) {
    static const char *const states[] = {"surface", "core", "grouped", "planned"};
    if (!(r->m->name = quoted(r, "name of the module"))) return false;
    for (int i = 0; i < 4; i++)
        if (eat_word(r, states[i])) return r->m->state = (ir_state)i, end_line(r);
    return fail(r, "surface, core, grouped or planned expected");
}

/* Makes the classes: lines that begin with "class". */
static bool find_classes(reader *r) {
    for (const char *p = r->text; p && p < r->end;
         p = memchr(p, '\n', (size_t)(r->end - p)), p = p ? p + 1 : NULL) {
        if (r->end - p < 7 || memcmp(p, "class ", 6)) continue;
        const char *at = p + 6, *s = ir_parse_name(r->c, &at, r->end);
        if (s && !rt_map_get(&r->m->classes, s)) ir_class_new(r->m, s);
    }
    return true;
}

static bool toplevel(reader *r) {
    if (eat_word(r, "func")) return function(r);
    if (eat_word(r, "symbol")) return symbol(r);
    if (eat_word(r, "class")) return class(r);
    if (eat_word(r, "param")) return cell(r, false);
    if (eat_word(r, "state")) return cell(r, true);
    if (eat_word(r, "self")) return self(r);
    return fail(r, "func, class, symbol, param, state or self expected");
}

static bool link_methods(reader *r) {
    for (int i = 0; i < r->methods.n; i++) {
        const method_ref *ref = &r->methods.at[i];
        ir_func *f = rt_map_get(&r->m->funcs, ref->func);
        if (!f) {
            ir_error(r->c, ref->span, "no function '%s'", ref->func);
            return false;
        }
        rt_map_put(&r->c->arena, &ref->cls->methods, ref->name, f);
    }
    return true;
}

ir_module *ir_read_module(ir_context *c, const char *file, const char *text, size_t n) {
    reader r = {.c = c,
                .file = ir_intern(c, file),
                .text = text,
                .at = text,
                .end = text + n,
                .line_start = text,
                .line = 1};
    r.m = ir_module_new(c, "main");
    r.m->state = IR_CORE;
    ir_source_add(c, file, text, n);
    if (n && memchr(text, 0, n)) return fail(&r, "the text holds a zero byte"), NULL;
    find_classes(&r);
    skip_lines(&r);
    if (eat_word(&r, "module")) module_line(&r);
    while (!r.failed && r.at < r.end) toplevel(&r);
    for (int i = 0; i < r.m->classes.n; i++) ((ir_class *)r.m->classes.entries[i].value)->decl = NULL;
    return !r.failed && link_methods(&r) ? r.m : NULL;
}
