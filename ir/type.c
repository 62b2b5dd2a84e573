/* type.c: types: interning, subtyping, joins, text.
 *
 * Equal types are the same pointer.  A type's key in the interning table is the bytes of its parts, which are
 * interned themselves.  Text: f32[N, 3]  f32[...]  tensor  tensor[?, 4]  int  int<N + 1>  list[int]
 * optional[tensor]  dict[str, int]  (int, str)  (int,)  Pair(a: int, b: str)  union[int, str]  't Class.Name.
 */
#include "ir/ir.h"

enum { MAX_DEPTH = 64, MAX_PARTS = 4096 };

static const char *const simple_names[] = {
    [T_TENSOR] = "tensor", [T_INT] = "int",       [T_FLOAT] = "float",   [T_BOOL] = "bool",
    [T_STR] = "str",       [T_NONE] = "none",     [T_NUMBER] = "number", [T_ANY] = "any",
    [T_BOTTOM] = "bottom", [T_DEVICE] = "device", [T_FUNC] = "func",     [T_MODULE] = "module",
};

/* ---- interning */

static const ir_type *intern(ir_context *c, const ir_type *t) {
    int nparts = 4 + (t->kind == T_TENSOR && t->rank > 0 ? t->rank : 0) + t->n * (t->fields ? 2 : 1);
    const void **key = rt_calloc((size_t)nparts + 1, sizeof *key);
    if (!key) return RT_NEW(&c->arena, ir_type); /* the arena decides what out of memory means */
    int k = 0;
    key[k++] =
        (const void *)((uintptr_t)t->kind | (uintptr_t)(t->dtype + 1) << 8 | (uintptr_t)(t->rank + 1) << 16);
    key[k++] = t->kind == T_CLASS ? (const void *)t->cls : (const void *)t->name;
    key[k++] = t->dim;
    key[k++] = t->fields ? "" : NULL;
    for (int i = 0; t->kind == T_TENSOR && i < t->rank; i++) key[k++] = t->dims[i];
    for (int i = 0; i < t->n; i++) key[k++] = t->elem[i];
    for (int i = 0; t->fields && i < t->n; i++) key[k++] = t->fields[i];
    size_t bytes = (size_t)k * sizeof *key;
    ir_type *found = rt_map_getn(&c->types, (const char *)key, bytes);
    if (!found) {
        found = rt_arena_copy(&c->arena, t, sizeof *t);
        if (t->kind == T_TENSOR && t->rank > 0)
            found->dims = rt_arena_copy(&c->arena, t->dims, (size_t)t->rank * sizeof *t->dims);
        if (t->n) found->elem = rt_arena_copy(&c->arena, t->elem, (size_t)t->n * sizeof *t->elem);
        if (t->fields) found->fields = rt_arena_copy(&c->arena, t->fields, (size_t)t->n * sizeof *t->fields);
        rt_map_putn(&c->arena, &c->types, (const char *)key, bytes, found);
    }
    rt_free(key);
    return found;
}

static ir_type blank(ir_kind kind) { return (ir_type){.kind = kind, .dtype = DT_NONE, .rank = -1}; }

const ir_type *ir_type_simple(ir_context *c, ir_kind kind) {
    ir_type t = blank(kind);
    return intern(c, &t);
}

const ir_type *ir_type_tensor(ir_context *c, rt_dtype dtype, int rank, const ir_dim *const *dims) {
    ir_type t = blank(T_TENSOR);
    t.dtype = dtype;
    t.rank = rank;
    const ir_dim *none[RT_MAX_RANK] = {0};
    t.dims = (const ir_dim **)(dims ? dims : none);
    return intern(c, &t);
}

const ir_type *ir_type_int(ir_context *c, const ir_dim *dim) {
    ir_type t = blank(T_INT);
    t.dim = dim;
    return intern(c, &t);
}

static const ir_type *compound(ir_context *c, ir_kind kind, int n, const ir_type *const *elem) {
    ir_type t = blank(kind);
    t.n = n;
    t.elem = (const ir_type **)elem;
    return intern(c, &t);
}

const ir_type *ir_type_list(ir_context *c, const ir_type *elem) { return compound(c, T_LIST, 1, &elem); }

const ir_type *ir_type_optional(ir_context *c, const ir_type *elem) {
    if (elem->kind == T_OPTIONAL || elem->kind == T_NONE || elem->kind == T_ANY) return elem;
    return compound(c, T_OPTIONAL, 1, &elem);
}

const ir_type *ir_type_dict(ir_context *c, const ir_type *key, const ir_type *value) {
    return compound(c, T_DICT, 2, (const ir_type *[]){key, value});
}

const ir_type *ir_type_tuple(ir_context *c, int n, const ir_type *const *elem, const char *const *fields,
                             const char *name) {
    ir_type t = blank(T_TUPLE);
    t.n = n;
    t.elem = (const ir_type **)elem;
    if (fields) {
        t.fields = RT_ARRAY(&c->arena, const char *, n);
        for (int i = 0; i < n; i++) t.fields[i] = ir_intern(c, fields[i]);
        t.name = ir_intern(c, name ? name : "");
    }
    return intern(c, &t);
}

const ir_type *ir_type_union(ir_context *c, int n, const ir_type *const *elem) {
    const ir_type **flat = NULL;
    int total = 0, k = 0;
    for (int i = 0; i < n; i++) total += elem[i]->kind == T_UNION ? elem[i]->n : 1;
    flat = RT_ARRAY(&c->arena, const ir_type *, total);
    for (int i = 0; i < n; i++) {
        bool nested = elem[i]->kind == T_UNION;
        for (int j = 0; j < (nested ? elem[i]->n : 1); j++) {
            const ir_type *t = nested ? elem[i]->elem[j] : elem[i];
            bool known = false;
            for (int h = 0; h < k; h++) known |= flat[h] == t;
            if (!known) flat[k++] = t;
        }
    }
    if (k == 1) return flat[0];
    if (k == 2 && flat[0]->kind == T_NONE) return ir_type_optional(c, flat[1]);
    if (k == 2 && flat[1]->kind == T_NONE) return ir_type_optional(c, flat[0]);
    return compound(c, T_UNION, k, flat);
}

const ir_type *ir_type_class(ir_context *c, ir_class *cls) {
    ir_type t = blank(T_CLASS);
    t.cls = cls;
    t.name = cls->name;
    return intern(c, &t);
}

const ir_type *ir_type_var(ir_context *c, const char *name) {
    ir_type t = blank(T_VAR);
    t.name = ir_intern(c, name);
    return intern(c, &t);
}

/* ---- relations */

static bool tensor_subtype(const ir_type *a, const ir_type *b) {
    if (b->dtype != DT_NONE && a->dtype != b->dtype) return false;
    if (b->rank < 0) return true;
    if (a->rank != b->rank) return false;
    for (int i = 0; i < b->rank; i++)
        if (b->dims[i] && b->dims[i] != a->dims[i]) return false;
    return true;
}

static bool elems_subtype(const ir_type *a, const ir_type *b) {
    if (a->n != b->n) return false;
    for (int i = 0; i < a->n; i++)
        if (!ir_subtype(a->elem[i], b->elem[i])) return false;
    return true;
}

bool ir_subtype(const ir_type *a, const ir_type *b) {
    if (a == b || a->kind == T_BOTTOM || b->kind == T_ANY) return true;
    if (a->kind == T_UNION) {
        for (int i = 0; i < a->n; i++)
            if (!ir_subtype(a->elem[i], b)) return false;
        return true;
    }
    if (b->kind == T_OPTIONAL)
        return a->kind == T_NONE || ir_subtype(a->kind == T_OPTIONAL ? a->elem[0] : a, b->elem[0]);
    if (b->kind == T_UNION) {
        if (a->kind == T_OPTIONAL) {
            bool none = false;
            for (int i = 0; i < b->n; i++)
                none |= b->elem[i]->kind == T_NONE || b->elem[i]->kind == T_OPTIONAL;
            return none && ir_subtype(a->elem[0], b);
        }
        for (int i = 0; i < b->n; i++)
            if (ir_subtype(a, b->elem[i])) return true;
        return false;
    }
    if (b->kind == T_NUMBER) return a->kind == T_INT || a->kind == T_FLOAT || a->kind == T_BOOL;
    if (b->kind == T_MODULE) return a->kind == T_CLASS && a->cls->is_module;
    if (b->kind == T_DEVICE) return a->kind == T_STR;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case T_TENSOR: return tensor_subtype(a, b);
    case T_INT: return !b->dim;
    case T_LIST:
    case T_DICT: return elems_subtype(a, b);
    case T_TUPLE: return elems_subtype(a, b) && (!b->fields || (a->fields && a->name == b->name));
    default: return false;
    }
}

static const ir_type *join_tensors(ir_context *c, const ir_type *a, const ir_type *b) {
    rt_dtype dtype = a->dtype == b->dtype ? a->dtype : DT_NONE;
    if (a->rank != b->rank || a->rank < 0) return ir_type_tensor(c, dtype, -1, NULL);
    const ir_dim *dims[RT_MAX_RANK];
    for (int i = 0; i < a->rank; i++) dims[i] = a->dims[i] == b->dims[i] ? a->dims[i] : NULL;
    return ir_type_tensor(c, dtype, a->rank, dims);
}

static const ir_type *join_elems(ir_context *c, const ir_type *a, const ir_type *b) {
    const ir_type **elem = RT_ARRAY(&c->arena, const ir_type *, a->n);
    for (int i = 0; i < a->n; i++)
        if (!(elem[i] = ir_join(c, a->elem[i], b->elem[i]))) return NULL;
    bool named = a->fields && b->fields && a->name == b->name;
    if (a->kind == T_TUPLE)
        return ir_type_tuple(c, a->n, elem, named ? a->fields : NULL, named ? a->name : NULL);
    return compound(c, a->kind, a->n, elem);
}

const ir_type *ir_join(ir_context *c, const ir_type *a, const ir_type *b) {
    if (ir_subtype(a, b)) return b;
    if (ir_subtype(b, a)) return a;
    if (a->kind == T_NONE || b->kind == T_NONE) return ir_type_optional(c, a->kind == T_NONE ? b : a);
    if (a->kind == T_UNION || b->kind == T_UNION) return ir_type_union(c, 2, (const ir_type *[]){a, b});
    if (a->kind == T_OPTIONAL || b->kind == T_OPTIONAL) {
        const ir_type *t =
            ir_join(c, a->kind == T_OPTIONAL ? a->elem[0] : a, b->kind == T_OPTIONAL ? b->elem[0] : b);
        return t ? ir_type_optional(c, t) : NULL;
    }
    if (a->kind != b->kind) return NULL;
    switch (a->kind) {
    case T_TENSOR: return join_tensors(c, a, b);
    case T_INT: return ir_type_int(c, NULL);
    case T_LIST:
    case T_DICT: return join_elems(c, a, b);
    case T_TUPLE: return a->n == b->n ? join_elems(c, a, b) : NULL;
    default: return NULL;
    }
}

const ir_type *ir_surface(ir_context *c, const ir_type *t) {
    switch (t->kind) {
    case T_TENSOR:
    case T_INT: return ir_type_simple(c, t->kind);
    case T_LIST:
    case T_TUPLE:
    case T_OPTIONAL:
    case T_DICT:
    case T_UNION: break;
    default: return t;
    }
    const ir_type **elem = RT_ARRAY(&c->arena, const ir_type *, t->n);
    bool same = true;
    for (int i = 0; i < t->n; i++) {
        elem[i] = ir_surface(c, t->elem[i]);
        same &= elem[i] == t->elem[i];
    }
    if (same) return t;
    if (t->kind == T_TUPLE) return ir_type_tuple(c, t->n, elem, t->fields, t->name);
    return t->kind == T_UNION ? ir_type_union(c, t->n, elem) : compound(c, t->kind, t->n, elem);
}

/* ---- printing */

static void print_elems(rt_text *out, const char *open, const ir_type *t, const char *close) {
    rt_text_str(out, open);
    for (int i = 0; i < t->n; i++) {
        if (i) rt_text_str(out, ", ");
        if (t->fields) {
            ir_print_name(out, t->fields[i]);
            rt_text_str(out, ": ");
        }
        ir_type_print(out, t->elem[i]);
    }
    if (t->kind == T_TUPLE && t->n == 1 && !t->fields) rt_text_str(out, ",");
    rt_text_str(out, close);
}

static void print_tensor(rt_text *out, const ir_type *t) {
    rt_text_str(out, t->dtype == DT_NONE ? "tensor" : rt_dtypes[t->dtype].name);
    if (t->rank < 0) {
        if (t->dtype != DT_NONE) rt_text_str(out, "[...]");
        return;
    }
    rt_text_str(out, "[");
    for (int i = 0; i < t->rank; i++) {
        if (i) rt_text_str(out, ", ");
        if (t->dims[i]) ir_dim_print(out, t->dims[i]);
        else rt_text_str(out, "?");
    }
    rt_text_str(out, "]");
}

static bool is_type_word(const char *s) {
    for (size_t i = 0; i < RT_COUNT(simple_names); i++)
        if (simple_names[i] && !strcmp(s, simple_names[i])) return true;
    return !strcmp(s, "list") || !strcmp(s, "optional") || !strcmp(s, "dict") || !strcmp(s, "union") ||
           rt_dtype_by_name(s, strlen(s)) != DT_NONE;
}

/* Names that would read as a word of the type language are quoted. */
static void print_type_name(rt_text *out, const char *name) {
    if (is_type_word(name)) ir_print_string(out, name, strlen(name));
    else ir_print_name(out, name);
}

void ir_type_print(rt_text *out, const ir_type *t) {
    switch (t->kind) {
    case T_TENSOR: print_tensor(out, t); return;
    case T_INT:
        rt_text_str(out, "int");
        if (!t->dim) return;
        rt_text_str(out, "<");
        ir_dim_print(out, t->dim);
        rt_text_str(out, ">");
        return;
    case T_LIST: print_elems(out, "list[", t, "]"); return;
    case T_OPTIONAL: print_elems(out, "optional[", t, "]"); return;
    case T_DICT: print_elems(out, "dict[", t, "]"); return;
    case T_UNION: print_elems(out, "union[", t, "]"); return;
    case T_TUPLE:
        if (t->fields) print_type_name(out, t->name);
        print_elems(out, "(", t, ")");
        return;
    case T_CLASS: print_type_name(out, t->name); return;
    case T_VAR: rt_text_fmt(out, "'%s", t->name); return;
    default: rt_text_str(out, simple_names[t->kind]); return;
    }
}

/* ---- names and strings of the text form */

static bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool name_char(char c) { return name_start(c) || (c >= '0' && c <= '9') || c == '.'; }

bool ir_is_identifier(const char *s) {
    if (!name_start(*s)) return false;
    while (*++s)
        if (!name_char(*s)) return false;
    return true;
}

void ir_print_string(rt_text *out, const char *s, size_t n) {
    rt_text_str(out, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)s[i];
        if (ch == '"' || ch == '\\') rt_text_fmt(out, "\\%c", ch);
        else if (ch == '\n') rt_text_str(out, "\\n");
        else if (ch == '\t') rt_text_str(out, "\\t");
        else if (ch < 32 || ch == 127) rt_text_fmt(out, "\\x%02x", ch);
        else rt_text_add(out, s + i, 1);
    }
    rt_text_str(out, "\"");
}

void ir_print_name(rt_text *out, const char *s) {
    if (ir_is_identifier(s)) rt_text_str(out, s);
    else ir_print_string(out, s, strlen(s));
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool ir_parse_string(const char **at, const char *end, rt_text *out) {
    const char *p = *at;
    if (p >= end || *p != '"') return false;
    for (p++; p < end && *p != '"'; p++) {
        char ch = *p;
        if (ch == '\n') return false;
        if (ch == '\\') {
            if (++p >= end) return false;
            if (*p == 'n') ch = '\n';
            else if (*p == 't') ch = '\t';
            else if (*p == '"' || *p == '\\') ch = *p;
            else if (*p == 'x' && end - p > 2 && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
                ch = (char)(hex_digit(p[1]) * 16 + hex_digit(p[2]));
                p += 2;
            } else return false;
        }
        rt_text_add(out, &ch, 1);
    }
    if (p >= end) return false;
    *at = p + 1;
    return true;
}

const char *ir_parse_name(ir_context *c, const char **at, const char *end) {
    const char *p = *at;
    if (p < end && name_start(*p)) {
        while (p < end && name_char(*p)) p++;
        const char *s = ir_internn(c, *at, (size_t)(p - *at));
        *at = p;
        return s;
    }
    rt_text t = {0};
    const char *s = NULL;
    if (ir_parse_string(at, end, &t) && t.n && !memchr(t.s, 0, t.n)) s = ir_internn(c, t.s, t.n);
    rt_text_free(&t);
    return s;
}

/* ---- parsing */

typedef struct parser {
    ir_context *c;
    const ir_module *m;
    const char *at, *end;
    int depth;
} parser;

static const ir_type *parse(parser *p);

static void blanks(parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t')) p->at++;
}

static bool eat(parser *p, char ch) {
    blanks(p);
    if (p->at >= p->end || *p->at != ch) return false;
    p->at++;
    return true;
}

/* "[" was read: dims up to "]". */
static const ir_type *parse_tensor(parser *p, rt_dtype dtype) {
    const ir_dim *dims[RT_MAX_RANK];
    int rank = 0;
    blanks(p);
    if (p->end - p->at >= 3 && !memcmp(p->at, "...", 3)) {
        p->at += 3;
        return eat(p, ']') && dtype != DT_NONE ? ir_type_tensor(p->c, dtype, -1, NULL) : NULL;
    }
    if (eat(p, ']')) return ir_type_tensor(p->c, dtype, 0, NULL);
    do {
        if (rank == RT_MAX_RANK) return NULL;
        if (eat(p, '?')) dims[rank++] = NULL;
        else if (!(dims[rank++] = ir_dim_parse(p->c, &p->at, p->end))) return NULL;
    } while (eat(p, ','));
    return eat(p, ']') ? ir_type_tensor(p->c, dtype, rank, dims) : NULL;
}

/* Types (with field names when `fields`) separated by commas up to `close`. */
static bool parse_list(parser *p, char close, int *n, const ir_type ***elem, const char ***fields,
                       bool *comma) {
    RT_VEC(const ir_type *) types = {0};
    RT_VEC(const char *) names = {0};
    *comma = false;
    while (!eat(p, close)) {
        if ((types.n && !*comma) || types.n >= MAX_PARTS) return false;
        blanks(p);
        if (fields) {
            const char *name = ir_parse_name(p->c, &p->at, p->end);
            if (!name || !eat(p, ':')) return false;
            RT_PUSH(&p->c->arena, &names, name);
        }
        const ir_type *t = parse(p);
        if (!t) return false;
        RT_PUSH(&p->c->arena, &types, t);
        *comma = eat(p, ',');
    }
    *n = types.n;
    *elem = types.at;
    if (fields) *fields = names.at;
    return true;
}

static const ir_type *parse_parts(parser *p, ir_kind kind, char close) {
    int n;
    const ir_type **elem;
    bool comma;
    if (!parse_list(p, close, &n, &elem, NULL, &comma)) return NULL;
    if (kind == T_TUPLE) return n == 1 && !comma ? NULL : ir_type_tuple(p->c, n, elem, NULL, NULL);
    if (comma) return NULL;
    if (kind == T_LIST) return n == 1 ? ir_type_list(p->c, elem[0]) : NULL;
    if (kind == T_OPTIONAL) return n == 1 ? ir_type_optional(p->c, elem[0]) : NULL;
    if (kind == T_DICT) return n == 2 ? ir_type_dict(p->c, elem[0], elem[1]) : NULL;
    return n > 1 ? ir_type_union(p->c, n, elem) : NULL;
}

static const ir_type *parse_named(parser *p, const char *name) {
    blanks(p);
    if (p->at < p->end && *p->at == '(') {
        p->at++;
        int n;
        const ir_type **elem;
        const char **fields;
        bool comma;
        if (!parse_list(p, ')', &n, &elem, &fields, &comma) || comma) return NULL;
        return ir_type_tuple(p->c, n, elem, n ? fields : (const char *[]){""}, name);
    }
    ir_class *cls = p->m ? rt_map_get(&p->m->classes, name) : NULL;
    return cls ? ir_type_class(p->c, cls) : NULL;
}

static const ir_type *parse_word(parser *p, const char *word) {
    static const struct {
        const char *word;
        ir_kind kind;
    } parts[] = {{"list", T_LIST}, {"optional", T_OPTIONAL}, {"dict", T_DICT}, {"union", T_UNION}};
    blanks(p);
    bool bracket = p->at < p->end && *p->at == '[';
    for (size_t i = 0; i < RT_COUNT(parts); i++)
        if (!strcmp(word, parts[i].word)) return eat(p, '[') ? parse_parts(p, parts[i].kind, ']') : NULL;
    rt_dtype dtype = rt_dtype_by_name(word, strlen(word));
    if (bracket && (dtype != DT_NONE || !strcmp(word, "tensor"))) return p->at++, parse_tensor(p, dtype);
    if (!strcmp(word, "int") && eat(p, '<')) {
        const ir_dim *d = ir_dim_parse(p->c, &p->at, p->end);
        return d && eat(p, '>') ? ir_type_int(p->c, d) : NULL;
    }
    for (size_t i = 0; i < RT_COUNT(simple_names); i++)
        if (simple_names[i] && !strcmp(word, simple_names[i])) return ir_type_simple(p->c, (ir_kind)i);
    return dtype != DT_NONE ? NULL : parse_named(p, word);
}

static const ir_type *parse(parser *p) {
    if (p->depth >= MAX_DEPTH) return NULL;
    p->depth++;
    const ir_type *t = NULL;
    blanks(p);
    if (p->at < p->end && *p->at == '"') {
        const char *name = ir_parse_name(p->c, &p->at, p->end);
        t = name ? parse_named(p, name) : NULL;
    } else if (eat(p, '(')) {
        t = parse_parts(p, T_TUPLE, ')');
    } else if (eat(p, '\'')) {
        const char *name = ir_parse_name(p->c, &p->at, p->end);
        t = name && ir_is_identifier(name) ? ir_type_var(p->c, name) : NULL;
    } else {
        const char *word = ir_parse_name(p->c, &p->at, p->end);
        t = word ? parse_word(p, word) : NULL;
    }
    p->depth--;
    return t;
}

const ir_type *ir_type_parse(ir_context *c, const ir_module *m, const char **at, const char *end) {
    parser p = {c, m, *at, end, 0};
    const ir_type *t = parse(&p);
    if (t) *at = p.at;
    return t;
}
