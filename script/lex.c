/* lex.c: text to tokens.  Indentation becomes INDENT and DEDENT; inside brackets line ends vanish.  Tabs count to the
 * next multiple of 8, as in Python.  Comments and blank lines leave nothing. */
#include "script/ast.h"

#include <errno.h>
#include <stdlib.h>

typedef struct lexer {
    ir_context *c;
    script_file *file;
    const char *at, *end, *line_start;
    int line, col0; /* col0: column of line_start, from 1 */
    int brackets;
    bool bad;
    int indent[AST_MAX_NESTING];
    int nindent;
    RT_VEC(lex_token) tokens;
} lexer;

static void fail(lexer *x, const char *at, int len, const char *text) {
    int col = (int)(at - x->line_start) + x->col0;
    ir_place p = {x->file->name, x->line, col, col + len, 0};
    ir_error(x->c, ir_span_new(x->c, p), "%s", text);
    x->bad = true;
}

static lex_token *push(lexer *x, lex_kind kind, const char *from) {
    lex_token t = {.kind = kind, .line = x->line, .col = (int)(from - x->line_start) + x->col0};
    t.end_col = (int)(x->at - x->line_start) + x->col0;
    RT_PUSH(&x->c->arena, &x->tokens, t);
    return &x->tokens.at[x->tokens.n - 1];
}

static bool is_name_start(char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || (unsigned char)ch >= 128;
}

static bool is_digit(char ch) { return ch >= '0' && ch <= '9'; }
static bool is_name_part(char ch) { return is_name_start(ch) || is_digit(ch); }
static char peek(const lexer *x, int k) { return x->end - x->at > k ? x->at[k] : 0; }

static void newline(lexer *x) {
    x->at++;
    x->line++;
    x->line_start = x->at;
    x->col0 = 1;
}

/* ---- strings */

static int hex_digit(char ch) {
    if (is_digit(ch)) return ch - '0';
    ch |= 32;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static void add_utf8(rt_text *t, uint32_t u) {
    char b[4];
    int n = 0;
    if (u < 0x80) b[n++] = (char)u;
    else if (u < 0x800) b[n++] = (char)(0xC0 | u >> 6), b[n++] = (char)(0x80 | (u & 63));
    else if (u < 0x10000)
        b[n++] = (char)(0xE0 | u >> 12), b[n++] = (char)(0x80 | (u >> 6 & 63)), b[n++] = (char)(0x80 | (u & 63));
    else
        b[n++] = (char)(0xF0 | (u >> 18 & 7)), b[n++] = (char)(0x80 | (u >> 12 & 63)),
        b[n++] = (char)(0x80 | (u >> 6 & 63)), b[n++] = (char)(0x80 | (u & 63));
    rt_text_add(t, b, (size_t)n);
}

/* The escape after a backslash at *s; leaves *s behind it. */
static void escape(rt_text *t, const char **s, const char *end) {
    static const char plain[] = "\\'\"abfnrtv", value[] = "\\'\"\a\b\f\n\r\t\v";
    char ch = *(*s)++;
    const char *k = ch ? strchr(plain, ch) : NULL;
    if (k) {
        rt_text_add(t, &value[k - plain], 1);
    } else if (ch == '\n') {
    } else if (ch >= '0' && ch <= '7') {
        uint32_t u = (uint32_t)(ch - '0');
        for (int i = 0; i < 2 && *s < end && **s >= '0' && **s <= '7'; i++) u = u * 8 + (uint32_t)(*(*s)++ - '0');
        add_utf8(t, u);
    } else if (ch == 'x' || ch == 'u' || ch == 'U') {
        uint32_t u = 0;
        int digits = ch == 'x' ? 2 : ch == 'u' ? 4 : 8;
        for (int i = 0; i < digits && *s < end && hex_digit(**s) >= 0; i++) u = u * 16 + (uint32_t)hex_digit(*(*s)++);
        add_utf8(t, u);
    } else {
        rt_text_add(t, "\\", 1);
        rt_text_add(t, &ch, 1);
    }
}

void script_unescape(ir_context *c, const char *s, size_t n, bool raw, const char **out, size_t *len) {
    if (raw || !memchr(s, '\\', n)) {
        *out = rt_arena_str(&c->arena, s, n);
        *len = n;
        return;
    }
    rt_text t = {0};
    const char *end = s + n;
    while (s < end) {
        const char *k = memchr(s, '\\', (size_t)(end - s));
        if (!k || k + 1 == end) k = end;
        rt_text_add(&t, s, (size_t)(k - s));
        s = k < end ? k + 1 : end;
        if (k < end) escape(&t, &s, end);
    }
    *len = t.n;
    *out = rt_arena_str(&c->arena, t.s ? t.s : "", t.n);
    rt_text_free(&t);
}

/* Length of a string prefix (r, b, f, u and pairs) before a quote at x->at, or -1. */
static int string_prefix(const lexer *x, bool *raw, bool *fmt, bool *bytes) {
    int k = 0;
    *raw = *fmt = *bytes = false;
    for (; k < 3; k++) {
        char ch = (char)(peek(x, k) | 32);
        if (peek(x, k) == '"' || peek(x, k) == '\'') return k;
        if (ch == 'r') *raw = true;
        else if (ch == 'f') *fmt = true;
        else if (ch == 'b') *bytes = true;
        else if (ch != 'u') return -1;
    }
    return -1;
}

static void string(lexer *x, int prefix, bool raw, bool fmt) {
    const char *from = x->at;
    int line = x->line, col = (int)(from - x->line_start) + x->col0;
    x->at += prefix;
    char quote = *x->at;
    int quotes = peek(x, 1) == quote && peek(x, 2) == quote ? 3 : 1;
    x->at += quotes;
    const char *body = x->at;
    for (;; x->at++) {
        if (x->at >= x->end || (*x->at == '\n' && quotes == 1)) {
            fail(x, line == x->line ? from : x->at, 1, "this string has no end");
            break;
        }
        if (*x->at == '\\' && x->at + 1 < x->end) x->at++;
        else if (*x->at == quote && (quotes == 1 || (peek(x, 1) == quote && peek(x, 2) == quote))) break;
        if (*x->at == '\n') {
            x->line++;
            x->line_start = x->at + 1;
            x->col0 = 1;
        }
    }
    size_t n = (size_t)(x->at - body);
    if (x->at < x->end && *x->at == quote) x->at += quotes;
    lex_token *t = push(x, fmt ? LEX_FSTR : LEX_STR, x->at);
    if (t->line != line) t->end_col = 0;
    t->line = line;
    t->col = col;
    t->raw = raw;
    if (fmt) t->s = body, t->n = n;
    else script_unescape(x->c, body, n, raw, &t->s, &t->n);
}

/* ---- numbers */

static void number(lexer *x) {
    const char *from = x->at;
    char text[128];
    size_t n = 0;
    char second = (char)(peek(x, 1) | 32);
    int base = *from != '0' ? 10 : second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 10;
    bool real = false, overflow = false;
    if (base != 10) x->at += 2;
    for (; x->at < x->end; x->at++) {
        char ch = *x->at;
        if (ch == '_') continue;
        bool sign = n && (text[n - 1] | 32) == 'e' && (ch == '+' || ch == '-') && base == 10;
        if (!is_digit(ch) && !sign && !(base == 16 && hex_digit(ch) >= 0) &&
            !(base == 10 && (ch == '.' || (ch | 32) == 'e')))
            break;
        if (base == 10 && (ch == '.' || (ch | 32) == 'e')) real = true;
        if (n + 1 < sizeof text) text[n++] = ch;
        else overflow = true;
    }
    text[n] = 0;
    if (x->at < x->end && is_name_start(*x->at)) {
        fail(x, from, (int)(x->at - from) + 1, (*x->at | 32) == 'j' ? "complex numbers are not supported" : "malformed number");
        while (x->at < x->end && is_name_part(*x->at)) x->at++;
    }
    lex_token *t = push(x, real ? LEX_FLOAT : LEX_INT, from);
    char *stop;
    errno = 0;
    if (real) {
        t->f = strtod(text, &stop);
    } else {
        unsigned long long u = strtoull(text, &stop, base);
        t->i = (int64_t)u;
        t->huge = u == 1ull << 63;
        if (errno || overflow || u > 1ull << 63) fail(x, from, (int)(x->at - from), "this integer does not fit into 64 bits");
    }
    if (*stop || !n) fail(x, from, (int)(x->at - from), "malformed number");
}

/* ---- lines */

static void indent_to(lexer *x, int width) {
    if (width > x->indent[x->nindent - 1]) {
        if (x->nindent == AST_MAX_NESTING) {
            fail(x, x->at, 1, "blocks are nested too deeply");
            return;
        }
        x->indent[x->nindent++] = width;
        push(x, LEX_INDENT, x->at);
        return;
    }
    while (width < x->indent[x->nindent - 1]) {
        x->nindent--;
        push(x, LEX_DEDENT, x->at);
    }
    if (width != x->indent[x->nindent - 1]) fail(x, x->at, 1, "this indentation matches no outer block");
}

/* At a line's start: skips blank lines, then compares the indentation. */
static void line_begin(lexer *x) {
    for (;;) {
        int width = 0;
        for (; x->at < x->end && (*x->at == ' ' || *x->at == '\t' || *x->at == '\r' || *x->at == '\f'); x->at++)
            width = *x->at == '\t' ? (width / 8 + 1) * 8 : width + (*x->at == ' ');
        if (x->at < x->end && *x->at == '#')
            while (x->at < x->end && *x->at != '\n') x->at++;
        if (x->at < x->end && *x->at == '\n') {
            newline(x);
            continue;
        }
        if (x->at < x->end) indent_to(x, width);
        return;
    }
}

/* An open bracket does not swallow the definitions behind it: one that begins a line ends it. */
static bool definition_ahead(const lexer *x) {
    static const char *const words[] = {"def ", "class ", "@"};
    for (size_t i = 0; i < RT_COUNT(words); i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(x->end - x->at) > n && !memcmp(x->at + 1, words[i], n)) return true;
    }
    return false;
}

static void operator(lexer *x) {
    static const char *const three[] = {"**=", "//=", ">>=", "<<=", "..."};
    static const char *const two[] = {"**", "//", ">>", "<<", "<=", ">=", "==", "!=", "->", "+=",
                                      "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", ":="};
    const char *from = x->at;
    size_t n = 0, left = (size_t)(x->end - x->at);
    for (size_t i = 0; i < RT_COUNT(three) && !n; i++)
        if (left >= 3 && !memcmp(from, three[i], 3)) n = 3;
    for (size_t i = 0; i < RT_COUNT(two) && !n; i++)
        if (left >= 2 && !memcmp(from, two[i], 2)) n = 2;
    if (!n && *from && strchr("+-*/%@&|^~<>()[]{},:.;=", *from)) n = 1;
    if (!n) {
        fail(x, from, 1, "this character has no meaning here");
        x->at++;
        return;
    }
    x->at += n;
    if (n == 1 && strchr("([{", *from)) x->brackets++;
    if (n == 1 && strchr(")]}", *from) && x->brackets) x->brackets--;
    push(x, LEX_OP, from)->s = ir_internn(x->c, from, n);
}

static void token(lexer *x) {
    bool raw, fmt, bytes;
    int prefix = string_prefix(x, &raw, &fmt, &bytes);
    const char *from = x->at;
    if (prefix >= 0) {
        if (bytes) fail(x, from, 1, "bytes are not supported");
        string(x, prefix, raw, fmt);
    } else if (is_name_start(*from)) {
        while (x->at < x->end && is_name_part(*x->at)) x->at++;
        push(x, LEX_NAME, from)->s = ir_internn(x->c, from, (size_t)(x->at - from));
    } else if (is_digit(*from) || (*from == '.' && is_digit(peek(x, 1)))) {
        number(x);
    } else {
        operator(x);
    }
}

lex_token *script_lex(ir_context *c, script_file *file, const char *text, size_t n, int line, int col, bool inner,
                      int *count, bool *bad) {
    lexer *x = RT_NEW(&c->arena, lexer);
    *x = (lexer){c, file, text, text + n, text, line, col, inner, false, {0}, 1};
    if (!inner) line_begin(x);
    while (x->at < x->end) {
        char ch = *x->at;
        if (ch == ' ' || ch == '\t' || ch == '\r' || ch == '\f') {
            x->at++;
        } else if (ch == '\\' && peek(x, 1) == '\n') {
            x->at++;
            newline(x);
        } else if (ch == '#') {
            while (x->at < x->end && *x->at != '\n') x->at++;
        } else if (ch == '\n' && x->brackets && (inner || !definition_ahead(x))) {
            newline(x);
        } else if (ch == '\n') {
            x->brackets = 0;
            push(x, LEX_NEWLINE, x->at);
            newline(x);
            line_begin(x);
        } else {
            token(x);
        }
    }
    push(x, LEX_NEWLINE, x->at);
    for (; x->nindent > 1; x->nindent--) push(x, LEX_DEDENT, x->at);
    push(x, LEX_END, x->at);
    *count = x->tokens.n;
    *bad |= x->bad;
    return x->tokens.at;
}
