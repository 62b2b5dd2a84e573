/* parse.c: tokens to trees, by recursive descent; operators by precedence climbing.
 *
 * An error is reported once, and the parser goes on behind the statement that it is in (and behind its block), so that
 * all errors of a file are listed.  Leaving a statement in error is a longjmp within this file. */
#include "script/ast.h"

typedef struct parser {
    ir_context *c;
    script_file *file;
    lex_token *t; /* current token */
    int depth;    /* of the recursion */
    bool bad;
    jmp_buf *recover;
} parser;

/* ---- tokens and nodes */

static _Noreturn void fail(parser *p, const lex_token *t, const char *text) {
    int end = t->end_col > t->col ? t->end_col : t->col + 1;
    ir_place at = {p->file->name, t->line, t->col, end, 0};
    ir_error(p->c, ir_span_new(p->c, at), "%s", text);
    p->bad = true;
    longjmp(*p->recover, 1);
}

static const char *token_text(parser *p, const lex_token *t) {
    switch (t->kind) {
    case LEX_END: return "the end of the file";
    case LEX_NEWLINE: return "the end of the line";
    case LEX_INDENT: return "an indented line";
    case LEX_DEDENT: return "the end of the block";
    case LEX_INT:
    case LEX_FLOAT: return "a number";
    case LEX_STR:
    case LEX_FSTR: return "a string";
    default: return ir_fmt(p->c, "'%s'", t->s);
    }
}

static _Noreturn void unexpected(parser *p, const char *wanted) {
    fail(p, p->t, ir_fmt(p->c, "expected %s, found %s", wanted, token_text(p, p->t)));
}

static void enter(parser *p) {
    if (++p->depth > AST_MAX_NESTING) fail(p, p->t, "this is nested too deeply");
}

static bool is_op(const parser *p, const char *s) { return p->t->kind == LEX_OP && !strcmp(p->t->s, s); }
static bool is_word(const parser *p, const char *s) { return p->t->kind == LEX_NAME && !strcmp(p->t->s, s); }

static bool accept_op(parser *p, const char *s) {
    if (!is_op(p, s)) return false;
    p->t++;
    return true;
}

static bool accept_word(parser *p, const char *s) {
    if (!is_word(p, s)) return false;
    p->t++;
    return true;
}

static void want_op(parser *p, const char *s) {
    if (!accept_op(p, s)) unexpected(p, ir_fmt(p->c, "'%s'", s));
}

static script_ast *node(parser *p, ast_kind kind, const lex_token *t) {
    script_ast *a = RT_NEW(&p->c->arena, script_ast);
    a->kind = kind;
    a->line = t->line;
    a->col = t->col;
    a->end_col = t->end_col;
    a->file = p->file;
    a->ord = a->last = p->file->ords++;
    return a;
}

static void add(parser *p, script_ast *a, script_ast *kid) {
    if (!(a->n & (a->n - 1))) { /* grow at powers of two */
        script_ast **kids = RT_ARRAY(&p->c->arena, script_ast *, a->n ? 2 * a->n : 1);
        if (a->n) memcpy(kids, a->kid, (size_t)a->n * sizeof *kids);
        a->kid = kids;
    }
    a->kid[a->n++] = kid;
    if (!kid) return;
    if (kid->depth + 1 > a->depth) a->depth = kid->depth + 1;
    if (a->depth > AST_MAX_DEPTH) fail(p, p->t, "this is nested too deeply");
    if (kid->ord < a->ord) a->ord = kid->ord;
    if (kid->last > a->last) a->last = kid->last;
}

/* Begins where `first` begins; its place is that of the whole up to the last token read. */
static script_ast *from(parser *p, ast_kind kind, script_ast *first) {
    script_ast *a = node(p, kind, p->t);
    a->line = first->line;
    a->col = first->col;
    a->end_col = first->end_col;
    add(p, a, first);
    return a;
}

static script_ast *done(parser *p, script_ast *a) {
    const lex_token *last = p->t - 1;
    a->end_col = last->line == a->line ? last->end_col : 0;
    return a;
}

static bool keyword(const char *s) {
    static const char *const words[] = {
        "False",  "None",  "True",    "and",    "as",     "assert", "async", "await",  "break", "class", "continue", "def",
        "del",    "elif",  "else",    "except", "finally", "for",   "from",  "global", "if",    "import", "in",      "is",
        "lambda", "nonlocal", "not",  "or",     "pass",   "raise",  "return", "try",   "while", "with",  "yield"};
    for (size_t i = 0; i < RT_COUNT(words); i++)
        if (!strcmp(s, words[i])) return true;
    return false;
}

static const char *identifier(parser *p, const char *what) {
    if (p->t->kind != LEX_NAME || keyword(p->t->s)) unexpected(p, what);
    return (p->t++)->s;
}

/* ---- expressions */

static script_ast *expr(parser *p);
static script_ast *expr_list(parser *p);
static script_ast *or_test(parser *p);

static script_ast *literal_str(parser *p, const lex_token *t, const char *s, size_t n) {
    script_ast *a = node(p, AST_STR, t);
    a->s = s;
    a->len = n;
    return a;
}

/* A parser over other tokens of the same file. */
static script_ast *nested_expr(parser *p, const char *text, size_t n, const lex_token *at, int col) {
    int count;
    parser q = *p;
    q.bad = false;
    q.t = script_lex(p->c, p->file, text, n, at->line, col, true, &count, &q.bad);
    enter(&q);
    if (q.bad) longjmp(*p->recover, 1);
    script_ast *a = expr(&q);
    if (q.t->kind != LEX_NEWLINE) fail(&q, q.t, "format specifications and conversions are not supported in f-strings");
    return a;
}

/* Index behind the brace that closes the one before `i`, or n. */
static size_t closing(const char *s, size_t n, size_t i) {
    int level = 1;
    char quote = 0;
    for (; i < n; i++) {
        if (quote) {
            if (s[i] == quote) quote = 0;
        } else if (s[i] == '"' || s[i] == '\'') {
            quote = s[i];
        } else if (s[i] == '{' || s[i] == '[' || s[i] == '(') {
            level++;
        } else if ((s[i] == '}' || s[i] == ']' || s[i] == ')') && !--level) {
            return i;
        }
    }
    return n;
}

typedef struct piece { RT_VEC(char) text; } piece; /* in the arena, as an error may leave at any time */

static void fstring_text(parser *p, script_ast *a, const lex_token *t, piece *x) {
    if (!x->text.n) return;
    const char *s;
    size_t n;
    script_unescape(p->c, x->text.at, (size_t)x->text.n, t->raw, &s, &n);
    x->text.n = 0;
    add(p, a, literal_str(p, t, s, n));
}

static void fstring(parser *p, script_ast *a, const lex_token *t) {
    piece x = {0};
    for (size_t i = 0; i < t->n; i++) {
        char ch = t->s[i];
        if ((ch == '{' || ch == '}') && i + 1 < t->n && t->s[i + 1] == ch) {
            RT_PUSH(&p->c->arena, &x.text, ch);
            i++;
        } else if (ch == '{') {
            size_t end = closing(t->s, t->n, i + 1);
            fstring_text(p, a, t, &x);
            if (end == t->n) fail(p, t, "a '{' in this f-string is not closed");
            add(p, a, nested_expr(p, t->s + i + 1, end - i - 1, t, t->col + 2 + (int)i + 1));
            i = end;
        } else {
            RT_PUSH(&p->c->arena, &x.text, ch);
        }
    }
    fstring_text(p, a, t, &x);
}

/* Adjacent strings are one. */
static script_ast *strings(parser *p) {
    const lex_token *first = p->t;
    bool fmt = false;
    rt_text all = {0};
    for (const lex_token *t = first; t->kind == LEX_STR || t->kind == LEX_FSTR; t++) fmt |= t->kind == LEX_FSTR;
    script_ast *a = node(p, fmt ? AST_FSTR : AST_STR, first);
    for (; p->t->kind == LEX_STR || p->t->kind == LEX_FSTR; p->t++) {
        if (p->t->kind == LEX_FSTR) fstring(p, a, p->t);
        else if (fmt) add(p, a, literal_str(p, p->t, p->t->s, p->t->n));
        else rt_text_add(&all, p->t->s, p->t->n);
    }
    if (!fmt) {
        a->s = rt_arena_str(&p->c->arena, all.s ? all.s : "", all.n);
        a->len = all.n;
    }
    rt_text_free(&all);
    return done(p, a);
}

static script_ast *comp_clauses(parser *p, script_ast *a) {
    while (is_word(p, "for")) {
        script_ast *clause = node(p, AST_CLAUSE, p->t++);
        script_ast *target = NULL;
        /* targets are not full expressions: `in` ends them */
        int saved = p->depth;
        enter(p);
        script_ast *one = NULL;
        do {
            if (is_word(p, "in")) break;
            const lex_token *t = p->t;
            one = accept_op(p, "(") ? expr_list(p) : NULL;
            if (one) want_op(p, ")");
            else one = node(p, AST_NAME, t), one->name = identifier(p, "a name");
            if (!target) target = one;
            else if (target->kind == AST_TUPLE && target->i == 1) add(p, target, one);
            else target = from(p, AST_TUPLE, target), target->i = 1, add(p, target, one);
        } while (accept_op(p, ","));
        p->depth = saved;
        if (!target || !accept_word(p, "in")) unexpected(p, "'in'");
        add(p, clause, target);
        add(p, clause, or_test(p));
        script_ast *cond = NULL;
        while (accept_word(p, "if")) {
            script_ast *more = or_test(p);
            if (cond) cond = from(p, AST_AND, cond), add(p, cond, more);
            else cond = more;
        }
        add(p, clause, cond);
        add(p, a, clause);
    }
    return a;
}

static script_ast *list_display(parser *p) {
    const lex_token *t = p->t++;
    script_ast *a = node(p, AST_LIST, t);
    if (accept_op(p, "]")) return done(p, a);
    script_ast *first = accept_op(p, "*") ? from(p, AST_STAR, expr(p)) : expr(p);
    if (is_word(p, "for")) {
        a = node(p, AST_COMP, t);
        add(p, a, first);
        add(p, a, NULL);
        comp_clauses(p, a);
    } else {
        add(p, a, first);
        while (accept_op(p, ",") && !is_op(p, "]"))
            add(p, a, accept_op(p, "*") ? from(p, AST_STAR, expr(p)) : expr(p));
    }
    want_op(p, "]");
    return done(p, a);
}

static script_ast *dict_display(parser *p) {
    const lex_token *t = p->t++;
    script_ast *a = node(p, AST_DICT, t);
    while (!is_op(p, "}")) {
        script_ast *key = expr(p);
        if (!is_op(p, ":")) fail(p, t, "sets are not supported: a dict needs ':' between key and value");
        p->t++;
        script_ast *value = expr(p);
        if (!a->n && is_word(p, "for")) {
            a = node(p, AST_COMP, t);
            add(p, a, key);
            add(p, a, value);
            comp_clauses(p, a);
            break;
        }
        add(p, a, key);
        add(p, a, value);
        if (!accept_op(p, ",")) break;
    }
    want_op(p, "}");
    return done(p, a);
}

static script_ast *parenthesis(parser *p) {
    const lex_token *t = p->t++;
    if (accept_op(p, ")")) return done(p, node(p, AST_TUPLE, t));
    script_ast *a = expr_list(p);
    if (is_word(p, "for")) { /* a generator: as a list, for it is only ever consumed */
        script_ast *comp = node(p, AST_COMP, t);
        add(p, comp, a);
        add(p, comp, NULL);
        a = comp_clauses(p, comp);
    }
    want_op(p, ")");
    if (a->kind == AST_TUPLE) {
        a->i = 0;
        if (a->line == t->line) a->col = t->col;
        done(p, a);
    }
    return a;
}

static script_ast *atom(parser *p) {
    const lex_token *t = p->t;
    script_ast *a;
    switch (t->kind) {
    case LEX_INT:
        if (t->huge) fail(p, t, "this integer does not fit into 64 bits");
        a = node(p, AST_INT, t);
        a->i = t->i;
        break;
    case LEX_FLOAT:
        a = node(p, AST_FLOAT, t);
        a->f = t->f;
        break;
    case LEX_STR:
    case LEX_FSTR: return strings(p);
    case LEX_NAME:
        if (is_word(p, "True") || is_word(p, "False")) {
            a = node(p, AST_BOOL, t);
            a->i = is_word(p, "True");
        } else if (is_word(p, "None")) {
            a = node(p, AST_NONE, t);
        } else if (is_word(p, "lambda") || is_word(p, "yield") || is_word(p, "await")) {
            fail(p, t, ir_fmt(p->c, "'%s' is not supported", t->s));
        } else {
            a = node(p, AST_NAME, t);
            a->name = identifier(p, "an expression");
            return a;
        }
        break;
    default:
        if (is_op(p, "(")) return parenthesis(p);
        if (is_op(p, "[")) return list_display(p);
        if (is_op(p, "{")) return dict_display(p);
        if (!is_op(p, "...")) unexpected(p, "an expression");
        a = node(p, AST_ELLIPSIS, t);
    }
    p->t++;
    return a;
}

static script_ast *argument(parser *p) {
    const lex_token *t = p->t;
    if (is_op(p, "**")) fail(p, t, "'**' arguments are not supported");
    if (accept_op(p, "*")) return done(p, from(p, AST_STAR, expr(p)));
    if (t->kind == LEX_NAME && t[1].kind == LEX_OP && !strcmp(t[1].s, "=")) {
        p->t += 2;
        script_ast *a = node(p, AST_KEYWORD, t);
        a->name = t->s;
        add(p, a, expr(p));
        return done(p, a);
    }
    script_ast *a = expr(p);
    if (!is_word(p, "for")) return a;
    script_ast *comp = node(p, AST_COMP, t);
    add(p, comp, a);
    add(p, comp, NULL);
    return done(p, comp_clauses(p, comp));
}

static script_ast *slice_item(parser *p) {
    const lex_token *t = p->t;
    script_ast *part[3] = {0};
    if (!is_op(p, ":")) part[0] = expr(p);
    if (!is_op(p, ":")) return part[0];
    script_ast *a = node(p, AST_SLICE, t);
    p->t++;
    if (!is_op(p, "]") && !is_op(p, ",") && !is_op(p, ":")) part[1] = expr(p);
    if (accept_op(p, ":") && !is_op(p, "]") && !is_op(p, ",")) part[2] = expr(p);
    for (int i = 0; i < 3; i++) add(p, a, part[i]);
    return done(p, a);
}

static script_ast *subscript(parser *p, script_ast *object) {
    p->t++;
    script_ast *a = from(p, AST_SUBSCRIPT, object);
    const lex_token *t = p->t;
    script_ast *index = slice_item(p);
    if (is_op(p, ",")) {
        script_ast *tuple = node(p, AST_TUPLE, t);
        add(p, tuple, index);
        while (accept_op(p, ",") && !is_op(p, "]")) add(p, tuple, slice_item(p));
        index = done(p, tuple);
    }
    add(p, a, index);
    want_op(p, "]");
    return done(p, a);
}

static script_ast *postfix(parser *p) {
    enter(p);
    script_ast *a = atom(p);
    for (;;) {
        if (accept_op(p, ".")) {
            script_ast *attr = from(p, AST_ATTR, a);
            if (p->t->kind != LEX_NAME) unexpected(p, "a name");
            attr->name = (p->t++)->s;
            a = done(p, attr);
        } else if (is_op(p, "(")) {
            p->t++;
            script_ast *call = from(p, AST_CALL, a);
            while (!is_op(p, ")")) {
                add(p, call, argument(p));
                if (!accept_op(p, ",")) break;
            }
            want_op(p, ")");
            a = done(p, call);
        } else if (is_op(p, "[")) {
            a = subscript(p, a);
        } else {
            break;
        }
    }
    p->depth--;
    return a;
}

static script_ast *unary(parser *p);

static script_ast *power(parser *p) {
    script_ast *a = postfix(p);
    if (!is_op(p, "**")) return a;
    const char *op = (p->t++)->s;
    a = from(p, AST_BINARY, a);
    a->name = op;
    add(p, a, unary(p));
    return done(p, a);
}

static script_ast *unary(parser *p) {
    const lex_token *t = p->t;
    if (!is_op(p, "-") && !is_op(p, "+") && !is_op(p, "~")) return power(p);
    p->t++;
    enter(p);
    if (!strcmp(t->s, "-") && p->t->kind == LEX_INT && p->t->huge) {
        script_ast *least = node(p, AST_INT, t);
        least->i = INT64_MIN;
        p->t++;
        p->depth--;
        return done(p, least);
    }
    script_ast *a = node(p, AST_UNARY, t);
    a->name = t->s;
    add(p, a, unary(p));
    p->depth--;
    return done(p, a);
}

static int precedence(const parser *p) {
    static const char *const levels[][5] = {{"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%", "@"}};
    if (p->t->kind != LEX_OP) return -1;
    for (int i = 0; i < (int)RT_COUNT(levels); i++)
        for (int k = 0; k < 5 && levels[i][k]; k++)
            if (!strcmp(p->t->s, levels[i][k])) return i;
    return -1;
}

static script_ast *binary(parser *p, int least) {
    script_ast *a = unary(p);
    for (int level; (level = precedence(p)) >= least;) {
        const char *op = (p->t++)->s;
        a = from(p, AST_BINARY, a);
        a->name = op;
        enter(p);
        add(p, a, binary(p, level + 1));
        p->depth--;
        done(p, a);
    }
    return a;
}

/* The comparison at the token, as one of < > <= >= == != in "not in" is "is not"; NULL: none. */
static const char *comparison_op(parser *p) {
    static const char *const ops[] = {"<", ">", "<=", ">=", "==", "!="};
    for (size_t i = 0; i < RT_COUNT(ops); i++)
        if (accept_op(p, ops[i])) return ops[i];
    if (accept_word(p, "in")) return "in";
    if (is_word(p, "not") && p->t[1].kind == LEX_NAME && !strcmp(p->t[1].s, "in")) {
        p->t += 2;
        return "not in";
    }
    if (!accept_word(p, "is")) return NULL;
    return accept_word(p, "not") ? "is not" : "is";
}

static script_ast *comparison(parser *p) {
    script_ast *first = binary(p, 0), *a = NULL;
    RT_VEC(const char *) ops = {0};
    for (const char *op; (op = comparison_op(p));) {
        if (!a) a = from(p, AST_COMPARE, first);
        RT_PUSH(&p->c->arena, &ops, op);
        add(p, a, binary(p, 0));
    }
    if (!a) return first;
    a->ops = ops.at;
    return done(p, a);
}

static script_ast *not_test(parser *p) {
    const lex_token *t = p->t;
    if (!accept_word(p, "not")) return comparison(p);
    enter(p);
    script_ast *a = node(p, AST_NOT, t);
    add(p, a, not_test(p));
    p->depth--;
    return done(p, a);
}

static script_ast *and_test(parser *p) {
    script_ast *a = not_test(p);
    while (accept_word(p, "and")) {
        a = from(p, AST_AND, a);
        add(p, a, not_test(p));
        done(p, a);
    }
    return a;
}

static script_ast *or_test(parser *p) {
    script_ast *a = and_test(p);
    while (accept_word(p, "or")) {
        a = from(p, AST_OR, a);
        add(p, a, and_test(p));
        done(p, a);
    }
    return a;
}

static script_ast *expr(parser *p) {
    enter(p);
    script_ast *a = or_test(p);
    if (accept_word(p, "if")) {
        script_ast *cond = or_test(p);
        script_ast *all = from(p, AST_COND, cond);
        add(p, all, a);
        all->line = a->line;
        all->col = a->col;
        if (!accept_word(p, "else")) unexpected(p, "'else'");
        add(p, all, expr(p));
        a = done(p, all);
    }
    p->depth--;
    return a;
}

static bool list_ends(const parser *p) {
    return p->t->kind == LEX_NEWLINE || p->t->kind == LEX_END ||
           (p->t->kind == LEX_OP && strchr(")]}=:;", p->t->s[0])) || is_word(p, "in");
}

/* `a` or `a, b, c` (a tuple; its i is 1 while no parentheses stand around it). */
static script_ast *expr_list(parser *p) {
    script_ast *first = accept_op(p, "*") ? from(p, AST_STAR, expr(p)) : expr(p);
    if (!is_op(p, ",")) return first;
    script_ast *a = from(p, AST_TUPLE, first);
    a->i = 1;
    while (accept_op(p, ",") && !list_ends(p)) add(p, a, accept_op(p, "*") ? from(p, AST_STAR, expr(p)) : expr(p));
    return done(p, a);
}

/* ---- statements */

static void statement(parser *p, script_ast *block);

static void want_newline(parser *p) {
    if (p->t->kind == LEX_NEWLINE) p->t++;
    else if (p->t->kind != LEX_END) unexpected(p, "the end of the line");
}

/* Skips to behind the statement at the token, with its block. */
static void skip_statement(parser *p) {
    while (p->t->kind != LEX_NEWLINE && p->t->kind != LEX_END && p->t->kind != LEX_DEDENT) p->t++;
    if (p->t->kind == LEX_NEWLINE) p->t++;
    if (p->t->kind != LEX_INDENT) return;
    int level = 0;
    do {
        level += p->t->kind == LEX_INDENT;
        level -= p->t->kind == LEX_DEDENT;
        p->t++;
    } while (level && p->t->kind != LEX_END);
}

/* A statement; after an error goes on behind it. */
static void statement_recovering(parser *p, script_ast *block) {
    jmp_buf here, *outer = p->recover;
    int depth = p->depth;
    lex_token *volatile first = p->t;
    p->recover = &here;
    if (!setjmp(here)) {
        statement(p, block);
    } else {
        p->bad = true;
        if (p->t == first || p->t->kind != LEX_DEDENT) skip_statement(p);
    }
    p->recover = outer;
    p->depth = depth;
}

static void simple_line(parser *p, script_ast *block);

static script_ast *suite(parser *p) {
    want_op(p, ":");
    script_ast *block = node(p, AST_BLOCK, p->t);
    enter(p);
    if (p->t->kind != LEX_NEWLINE) {
        simple_line(p, block);
        p->depth--;
        return block;
    }
    p->t++;
    if (p->t->kind != LEX_INDENT) unexpected(p, "an indented block");
    p->t++;
    while (p->t->kind != LEX_DEDENT && p->t->kind != LEX_END) statement_recovering(p, block);
    if (p->t->kind == LEX_DEDENT) p->t++;
    p->depth--;
    return block;
}

static script_ast *if_statement(parser *p) {
    script_ast *a = node(p, AST_IF, p->t++);
    add(p, a, expr(p));
    add(p, a, suite(p));
    if (is_word(p, "elif")) {
        enter(p);
        script_ast *block = node(p, AST_BLOCK, p->t);
        add(p, block, if_statement(p));
        add(p, a, block);
        p->depth--;
    } else {
        add(p, a, accept_word(p, "else") ? suite(p) : NULL);
    }
    return a;
}

static script_ast *loop_statement(parser *p) {
    const lex_token *t = p->t++;
    script_ast *a = node(p, t->s[0] == 'w' ? AST_WHILE : AST_FOR, t);
    if (a->kind == AST_WHILE) {
        add(p, a, expr(p));
    } else {
        const lex_token *at = p->t;
        script_ast *target = NULL;
        do {
            if (is_word(p, "in")) break;
            script_ast *one = postfix(p);
            if (!target) target = one;
            else if (target->kind == AST_TUPLE && target->i == 1) add(p, target, one);
            else target = from(p, AST_TUPLE, target), target->i = 1, add(p, target, one);
        } while (accept_op(p, ","));
        if (!target) fail(p, at, "expected a name");
        if (!accept_word(p, "in")) unexpected(p, "'in'");
        add(p, a, target);
        add(p, a, expr_list(p));
    }
    add(p, a, suite(p));
    if (is_word(p, "else")) fail(p, p->t, "'else' after a loop is not supported");
    return a;
}

static script_ast *with_statement(parser *p) {
    script_ast *a = node(p, AST_WITH, p->t++);
    add(p, a, NULL);
    do {
        add(p, a, expr(p));
        add(p, a, accept_word(p, "as") ? postfix(p) : NULL);
    } while (accept_op(p, ","));
    script_ast *block = suite(p);
    add(p, a, block); /* for depth and extent, then to its place */
    a->kid[0] = block;
    a->n--;
    return a;
}

static script_ast *parameters(parser *p) {
    script_ast *a = node(p, AST_PARAMS, p->t);
    int flags = 0;
    while (!is_op(p, ")")) {
        const lex_token *t = p->t;
        if (accept_op(p, "/")) {
        } else if (is_op(p, "*") && t[1].kind == LEX_OP) {
            p->t++;
            flags |= AST_P_KWONLY;
        } else {
            int star = accept_op(p, "**") ? AST_P_STAR2 : accept_op(p, "*") ? AST_P_STAR : 0;
            script_ast *one = node(p, AST_PARAM, p->t);
            one->name = identifier(p, "a parameter");
            one->i = flags | star;
            add(p, one, accept_op(p, ":") ? expr(p) : NULL);
            add(p, one, accept_op(p, "=") ? expr(p) : NULL);
            add(p, a, one);
        }
        if (!accept_op(p, ",")) break;
    }
    return a;
}

static script_ast *def_statement(parser *p) {
    script_ast *a = node(p, AST_DEF, p->t++);
    a->name = identifier(p, "the function's name");
    a->end_col = p->t[-1].end_col;
    want_op(p, "(");
    add(p, a, parameters(p));
    want_op(p, ")");
    add(p, a, accept_op(p, "->") ? expr(p) : NULL);
    add(p, a, suite(p));
    return a;
}

static script_ast *class_statement(parser *p) {
    script_ast *a = node(p, AST_CLASS, p->t++);
    a->name = identifier(p, "the class's name");
    a->end_col = p->t[-1].end_col;
    script_ast *bases = node(p, AST_TUPLE, p->t);
    if (accept_op(p, "(")) {
        while (!is_op(p, ")")) {
            add(p, bases, argument(p));
            if (!accept_op(p, ",")) break;
        }
        want_op(p, ")");
    }
    add(p, a, bases);
    add(p, a, suite(p));
    return a;
}

static void decorated(parser *p, script_ast *block) {
    script_ast *marks = node(p, AST_LIST, p->t);
    while (accept_op(p, "@")) {
        add(p, marks, expr(p));
        want_newline(p);
    }
    if (!is_word(p, "def") && !is_word(p, "class")) unexpected(p, "a function or class after the decorator");
    script_ast *a = is_word(p, "def") ? def_statement(p) : class_statement(p);
    for (int i = 0; i < marks->n; i++) add(p, a, marks->kid[i]);
    add(p, block, a);
}

static const char *dotted(parser *p) {
    const char *s = "";
    while (is_op(p, ".") || is_op(p, "...")) p->t++;
    if (is_word(p, "import")) return s;
    s = identifier(p, "a module");
    while (accept_op(p, ".")) s = ir_fmt(p->c, "%s.%s", s, identifier(p, "a module"));
    return s;
}

static void bind_import(parser *p, const char *local, const char *path) {
    rt_map_put(&p->c->arena, &p->file->imports, local, (void *)path);
}

static void import_statement(parser *p) {
    if (accept_word(p, "import")) {
        do {
            const char *path = dotted(p);
            const char *dot = strchr(path, '.');
            if (accept_word(p, "as")) bind_import(p, identifier(p, "a name"), path);
            else path = dot ? ir_internn(p->c, path, (size_t)(dot - path)) : path, bind_import(p, path, path);
        } while (accept_op(p, ","));
        return;
    }
    p->t++;
    const char *module = dotted(p);
    if (!accept_word(p, "import")) unexpected(p, "'import'");
    bool open = accept_op(p, "(");
    if (accept_op(p, "*")) return;
    do {
        if (open && is_op(p, ")")) break;
        const char *name = identifier(p, "a name");
        const char *local = accept_word(p, "as") ? identifier(p, "a name") : name;
        bind_import(p, local, *module ? ir_fmt(p->c, "%s.%s", module, name) : name);
    } while (accept_op(p, ","));
    if (open) want_op(p, ")");
}

static script_ast *expression_statement(parser *p) {
    static const char *const augmented[] = {"+=", "-=", "*=", "/=", "//=", "%=", "**=", "@=", "&=", "|=", "^=", ">>=", "<<="};
    script_ast *first = expr_list(p);
    if (accept_op(p, ":")) {
        script_ast *a = from(p, AST_ANNOTATED, first);
        add(p, a, expr(p));
        add(p, a, accept_op(p, "=") ? expr_list(p) : NULL);
        return done(p, a);
    }
    for (size_t i = 0; i < RT_COUNT(augmented); i++)
        if (is_op(p, augmented[i])) {
            p->t++;
            script_ast *a = from(p, AST_AUGMENTED, first);
            a->name = ir_internn(p->c, augmented[i], strlen(augmented[i]) - 1);
            add(p, a, expr_list(p));
            return done(p, a);
        }
    script_ast *a = from(p, is_op(p, "=") ? AST_ASSIGN : AST_EXPR, first);
    while (accept_op(p, "=")) add(p, a, expr_list(p));
    return done(p, a);
}

static script_ast *keyword_statement(parser *p, ast_kind kind) {
    script_ast *a = node(p, kind, p->t++);
    bool empty = p->t->kind == LEX_NEWLINE || p->t->kind == LEX_END || is_op(p, ";");
    if (kind == AST_RETURN) {
        add(p, a, empty ? NULL : expr_list(p));
    } else if (kind == AST_RAISE) {
        add(p, a, empty ? NULL : expr(p));
        if (accept_word(p, "from")) expr(p);
    } else if (kind == AST_ASSERT) {
        add(p, a, expr(p));
        add(p, a, accept_op(p, ",") ? expr(p) : NULL);
    } else if (kind == AST_DELETE) {
        do add(p, a, expr(p));
        while (accept_op(p, ",") && p->t->kind != LEX_NEWLINE);
    }
    return done(p, a);
}

static void simple_statement(parser *p, script_ast *block) {
    static const struct { const char *word; ast_kind kind; } words[] = {
        {"return", AST_RETURN}, {"break", AST_BREAK},   {"continue", AST_CONTINUE}, {"pass", AST_PASS},
        {"assert", AST_ASSERT}, {"raise", AST_RAISE},   {"del", AST_DELETE}};
    static const char *const refused[] = {"try", "global", "nonlocal", "async", "yield", "except", "finally"};
    for (size_t i = 0; i < RT_COUNT(words); i++)
        if (is_word(p, words[i].word)) {
            add(p, block, keyword_statement(p, words[i].kind));
            return;
        }
    for (size_t i = 0; i < RT_COUNT(refused); i++)
        if (is_word(p, refused[i])) fail(p, p->t, ir_fmt(p->c, "'%s' is not supported", refused[i]));
    if (is_word(p, "import") || is_word(p, "from")) import_statement(p);
    else add(p, block, expression_statement(p));
}

static void simple_line(parser *p, script_ast *block) {
    do {
        if (p->t->kind == LEX_NEWLINE) break;
        simple_statement(p, block);
    } while (accept_op(p, ";"));
    want_newline(p);
}

static void statement(parser *p, script_ast *block) {
    if (p->t->kind == LEX_INDENT) fail(p, p->t + 1, "this line is indented without reason");
    if (p->t->kind == LEX_NEWLINE) p->t++;
    else if (is_word(p, "if")) add(p, block, if_statement(p));
    else if (is_word(p, "while") || is_word(p, "for")) add(p, block, loop_statement(p));
    else if (is_word(p, "with")) add(p, block, with_statement(p));
    else if (is_word(p, "def")) add(p, block, def_statement(p));
    else if (is_word(p, "class")) add(p, block, class_statement(p));
    else if (is_op(p, "@")) decorated(p, block);
    else simple_line(p, block);
}

/* ---- entry points */

script_ast *script_parse_file(ir_context *c, script_file *file) {
    int count;
    parser p = {c, file};
    p.t = script_lex(c, file, file->text, file->n, 1, 1, false, &count, &p.bad);
    script_ast *block = node(&p, AST_BLOCK, p.t);
    while (p.t->kind != LEX_END) {
        const lex_token *before = p.t;
        statement_recovering(&p, block);
        if (p.t == before || p.t->kind == LEX_DEDENT) p.t++;
    }
    file->bad = p.bad;
    return block;
}

script_ast *script_parse_expr(ir_context *c, script_file *file, const char *text, size_t n, int line, int col) {
    int count;
    jmp_buf here;
    parser p = {c, file};
    p.t = script_lex(c, file, text, n, line, col, true, &count, &p.bad);
    p.recover = &here;
    if (p.bad || setjmp(here)) return NULL;
    script_ast *a = expr_list(&p);
    if (p.t->kind != LEX_NEWLINE) unexpected(&p, "the end of the text");
    return a;
}

ir_span script_span(ir_context *c, script_ast *a) {
    if (!a->span) {
        int end = a->end_col > a->col ? a->end_col : 0;
        a->span = ir_span_new(c, (ir_place){a->file->name, a->line, a->col, end, 0});
    }
    return a->span;
}
