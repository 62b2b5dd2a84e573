/* host_str.c: strings.  Text is bytes; case, classes and widths are those of ASCII; indexing, slicing and len
 * count code points of UTF-8 where the string is not plain ASCII. */
#include "runtime/host.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

typedef struct span {
    const char *s;
    size_t n;
} span;
static span span_of(rt_value v) { return (span){v.str->s, v.str->n}; }

static bool give(rt_env *env, rt_value *out, span t) { return rt_host_give(env, out, rt_str(t.s, t.n)); }

static bool give_text(rt_env *env, rt_value *out, rt_text *t) {
    bool ok = !t->failed;
    if (ok) ok = rt_host_give(env, out, rt_str(t->s ? t->s : "", t->n));
    else rt_host_memory_error(env);
    rt_text_free(t);
    return ok;
}

/* ---- code points */

static bool is_start(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

static int64_t points(span t) {
    int64_t n = 0;
    for (size_t i = 0; i < t.n; i++) n += is_start(t.s[i]);
    return n;
}

/* Byte offset of code point k (k == points: the end). */
static size_t offset_of(span t, int64_t k) {
    if ((size_t)points(t) == t.n) return (size_t)k;
    for (size_t i = 0; i < t.n; i++)
        if (is_start(t.s[i]) && k-- == 0) return i;
    return t.n;
}

static int64_t point_index(span t, size_t offset) { return points((span){t.s, offset}); }

static span point_at(span t, int64_t k) {
    size_t a = offset_of(t, k), b = a + 1;
    while (b < t.n && !is_start(t.s[b])) b++;
    return (span){t.s + a, b - a};
}

HOST(rt_host_str_len) {
    WANT(0, V_STR);
    *out = rt_int(points(span_of(args[0])));
    return true;
}

HOST(rt_host_str_get) {
    WANT(0, V_STR);
    WANT(1, V_INT);
    int64_t i = args[1].i;
    if (!rt_host_index(&i, points(span_of(args[0]))))
        return rt_raise(env, "IndexError", "string index out of range");
    return give(env, out, point_at(span_of(args[0]), i));
}

HOST(rt_host_str_slice) {
    WANT(0, V_STR);
    int64_t lo, n, step;
    rt_text t = {0};
    if (!rt_host_slice(env, args + 1, points(span_of(args[0])), &lo, &n, &step)) return false;
    for (int64_t i = 0; i < n; i++) {
        span p = point_at(span_of(args[0]), lo + i * step);
        rt_text_add(&t, p.s, p.n);
    }
    return give_text(env, out, &t);
}

HOST(rt_host_str_list) {
    WANT(0, V_STR);
    int64_t n = points(span_of(args[0]));
    rt_value v = rt_list_new(V_LIST, n);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; i < n; i++) {
        span p = point_at(span_of(args[0]), i);
        if ((v.list->at[i] = rt_str(p.s, p.n)).tag == V_UNDEF) {
            rt_release(v);
            return rt_host_memory_error(env);
        }
    }
    *out = v;
    return true;
}

HOST(rt_host_ord) {
    WANT(0, V_STR);
    span t = span_of(args[0]);
    const unsigned char *s = (const unsigned char *)t.s;
    if (points(t) != 1)
        return rt_raise(env, "TypeError", "ord() expected a character, but string of length %lld found",
                        (long long)points(t));
    int64_t c = s[0];
    if (c >= 0xF0 && t.n == 4) c = (c & 7) << 18 | (s[1] & 63) << 12 | (s[2] & 63) << 6 | (s[3] & 63);
    else if (c >= 0xE0 && t.n == 3) c = (c & 15) << 12 | (s[1] & 63) << 6 | (s[2] & 63);
    else if (c >= 0xC0 && t.n == 2) c = (c & 31) << 6 | (s[1] & 63);
    *out = rt_int(c);
    return true;
}

HOST(rt_host_chr) {
    WANT(0, V_INT);
    int64_t c = args[0].i;
    char b[4];
    size_t n;
    if (c < 0 || c > 0x10FFFF) return rt_raise(env, "ValueError", "chr() arg not in range(0x110000)");
    if (c < 0x80) n = 1, b[0] = (char)c;
    else if (c < 0x800) n = 2, b[0] = (char)(0xC0 | c >> 6);
    else if (c < 0x10000) n = 3, b[0] = (char)(0xE0 | c >> 12);
    else n = 4, b[0] = (char)(0xF0 | c >> 18);
    for (size_t i = 1; i < n; i++) b[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 63));
    return give(env, out, (span){b, n});
}

/* ---- making text */

/* A value as TorchScript's str() and {} show it: 3. and -1. for whole floats, else 17 digits; strings within
 * containers without quotes. */
static void show(rt_text *t, rt_value v);

static void show_float(rt_text *t, double x) {
    if (fabs(x) < 1e10 && x == (double)(int64_t)x)
        rt_text_fmt(t, "%s%lld.", signbit(x) ? "-" : "", (long long)fabs(x));
    else if (isnan(x)) rt_text_str(t, "nan");
    else rt_text_fmt(t, "%.17g", x);
}

static void show_items(rt_text *t, const rt_list *l, const char *open, const char *close) {
    rt_text_str(t, open);
    for (int64_t i = 0; i < l->n; i++) {
        if (i) rt_text_str(t, ", ");
        show(t, l->at[i]);
    }
    rt_text_str(t, close);
}

static void show_dict(rt_text *t, const rt_dict *d) {
    rt_text_str(t, "{");
    for (int64_t i = 0; i < d->n; i++) {
        if (i) rt_text_str(t, ", ");
        show(t, d->keys[i]);
        rt_text_str(t, ": ");
        show(t, d->values[i]);
    }
    rt_text_str(t, "}");
}

static void show(rt_text *t, rt_value v) {
    switch (v.tag) {
    case V_FLOAT: show_float(t, v.f); break;
    case V_LIST: show_items(t, v.list, "[", "]"); break;
    case V_TUPLE: show_items(t, v.list, "(", v.list->n == 1 ? ",)" : ")"); break;
    case V_DICT: show_dict(t, v.dict); break;
    default: rt_value_print(t, v, false); break;
    }
}

HOST(rt_host_str) {
    rt_text t = {0};
    (void)nargs;
    show(&t, args[0]);
    return give_text(env, out, &t);
}

HOST(rt_host_str_add) {
    WANT(0, V_STR);
    WANT(1, V_STR);
    rt_text t = {0};
    rt_text_add(&t, args[0].str->s, args[0].str->n);
    rt_text_add(&t, args[1].str->s, args[1].str->n);
    return give_text(env, out, &t);
}

HOST(rt_host_str_mul) {
    WANT(0, V_STR);
    WANT(1, V_INT);
    rt_text t = {0};
    for (int64_t i = 0; i < args[1].i && !t.failed && args[0].str->n; i++)
        rt_text_add(&t, args[0].str->s, args[0].str->n);
    return give_text(env, out, &t);
}

static void digits(rt_text *t, uint64_t x, unsigned base) {
    char b[65];
    int n = 65;
    do b[--n] = "0123456789abcdef"[x % base];
    while (x /= base);
    rt_text_add(t, b + n, (size_t)(65 - n));
}

static bool radix(rt_env *env, rt_value v, const char *prefix, unsigned base, rt_value *out) {
    rt_text t = {0};
    if (v.tag != V_INT) return rt_host_type_error(env, 0);
    rt_text_fmt(&t, "%s%s", v.i < 0 ? "-" : "", prefix);
    digits(&t, v.i < 0 ? 0 - (uint64_t)v.i : (uint64_t)v.i, base);
    return give_text(env, out, &t);
}

HOST(rt_host_hex) { return (void)nargs, radix(env, args[0], "0x", 16, out); }
HOST(rt_host_oct) { return (void)nargs, radix(env, args[0], "0o", 8, out); }
HOST(rt_host_bin) { return (void)nargs, radix(env, args[0], "0b", 2, out); }

/* ---- format specifications: [[fill]align][sign][#][0][width][,][.precision][type] */

typedef struct spec {
    char fill, align, sign, type;
    bool zero, comma;
    int width, precision; /* precision -1: none */
} spec;

enum { MAX_WIDTH = 4096 };

static bool spec_number(const char **s, const char *end, int *out) {
    int n = 0;
    while (*s < end && isdigit((unsigned char)**s)) {
        n = n * 10 + (*(*s)++ - '0');
        if (n > MAX_WIDTH) return false;
    }
    *out = n;
    return true;
}

static bool parse_spec(const char *s, const char *end, spec *p) {
    *p = (spec){.fill = ' ', .precision = -1};
    if (end - s > 1 && strchr("<>^=", s[1])) p->fill = *s++;
    if (s < end && strchr("<>^=", *s)) p->align = *s++;
    if (s < end && strchr("+- ", *s)) p->sign = *s++;
    if (s < end && *s == '#') s++;
    if (s < end && *s == '0') p->zero = true, s++;
    if (!spec_number(&s, end, &p->width)) return false;
    if (s < end && *s == ',') p->comma = true, s++;
    if (s < end && *s == '.') {
        s++;
        if (!spec_number(&s, end, &p->precision)) return false;
    }
    if (s < end) p->type = *s++;
    return s == end;
}

static void add_commas(rt_text *t, const char *s, size_t n) {
    size_t whole = 0;
    while (whole < n && isdigit((unsigned char)s[whole])) whole++;
    for (size_t i = 0; i < whole; i++) {
        if (i && (whole - i) % 3 == 0) rt_text_str(t, ",");
        rt_text_add(t, s + i, 1);
    }
    rt_text_add(t, s + whole, n - whole);
}

/* Magnitude of a number by the specification's type; false: the type does not fit the value. */
static bool number_text(rt_text *t, rt_value v, const spec *p) {
    char type = p->type ? p->type : v.tag == V_FLOAT ? (p->precision >= 0 ? 'g' : 'r') : 'd';
    int prec = p->precision < 0 ? 6 : p->precision;
    char f[8] = {'%', '.', '*', type, 0};
    double x = rt_host_number(v);
    uint64_t u = v.tag == V_FLOAT ? 0 : v.i < 0 ? 0 - (uint64_t)v.i : (uint64_t)v.i;
    x = x < 0 ? -x : x;
    if (strchr("dxXob", type)) {
        if (v.tag == V_FLOAT) return false;
        digits(t, u, type == 'd' ? 10 : type == 'o' ? 8 : type == 'b' ? 2 : 16);
        for (size_t i = 0; type == 'X' && i < t->n; i++) t->s[i] = (char)toupper((unsigned char)t->s[i]);
        return true;
    }
    if (type == 'r') {
        rt_value_print(t, rt_float(x), false);
        return true;
    }
    if (type == '%') {
        rt_text_fmt(t, "%.*f%%", prec, x * 100);
        return true;
    }
    if (!strchr("fFeEgG", type)) return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    rt_text_fmt(t, f, prec, x);
#pragma GCC diagnostic pop
    return true;
}

static void pad(rt_text *t, char fill, int64_t n) {
    for (int64_t i = 0; i < n; i++) rt_text_add(t, &fill, 1);
}

static void add_padded(rt_text *t, const spec *p, char align, const char *sign, const rt_text *body) {
    int64_t room = p->width - (int64_t)strlen(sign) - points((span){body->s ? body->s : "", body->n});
    int64_t left = room <= 0 || align == '<' ? 0 : align == '^' ? room / 2 : room;
    if (align == '=') rt_text_str(t, sign);
    pad(t, p->fill, left);
    if (align != '=') rt_text_str(t, sign);
    if (body->n) rt_text_add(t, body->s, body->n);
    pad(t, p->fill, room - left);
}

static bool add_formatted(rt_text *t, rt_value v, spec p) {
    rt_text body = {0}, plain = {0};
    const char *sign = "";
    bool numeric = v.tag == V_INT || v.tag == V_FLOAT || (v.tag == V_BOOL && p.type && p.type != 's');
    bool ok = true;
    if (numeric && p.type != 's') {
        bool negative = v.tag == V_FLOAT ? (v.f < 0 || (v.f == 0 && 1 / v.f < 0)) : v.i < 0;
        sign = negative ? "-" : p.sign == '+' ? "+" : p.sign == ' ' ? " " : "";
        ok = number_text(&plain, v, &p);
        if (p.comma) add_commas(&body, plain.s ? plain.s : "", plain.n);
        else rt_text_add(&body, plain.s ? plain.s : "", plain.n);
        if (p.zero && !p.align) p.align = '=', p.fill = '0';
    } else {
        ok = p.type == 0 || p.type == 's';
        rt_value_print(&plain, v, false);
        size_t n = plain.n;
        if (p.precision >= 0 && (size_t)p.precision < n) n = (size_t)p.precision;
        rt_text_add(&body, plain.s ? plain.s : "", n);
    }
    if (ok) add_padded(t, &p, p.align ? p.align : numeric ? '>' : '<', sign, &body);
    if (body.failed || plain.failed) t->failed = true;
    rt_text_free(&body);
    rt_text_free(&plain);
    return ok;
}

/* One replacement field [s, end) without braces: [number][!r|!s][:spec]. */
static bool add_field(rt_env *env, rt_text *t, const char *s, const char *end, const rt_value *args,
                      int nargs, int *next) {
    int i = *next;
    spec p;
    bool repr = false;
    if (s < end && isdigit((unsigned char)*s)) {
        if (!spec_number(&s, end, &i))
            return rt_raise(env, "ValueError", "Too many decimal digits in format string");
    } else {
        (*next)++;
    }
    if (end - s >= 2 && *s == '!') repr = s[1] == 'r', s += 2;
    if (s < end && *s != ':')
        return rt_raise(env, "ValueError", "unsupported replacement field in format string");
    if (s < end) s++;
    if (i >= nargs)
        return rt_raise(env, "IndexError", "Replacement index %d out of range for positional args tuple", i);
    if (s == end) {
        if (repr) rt_value_print(t, args[i], true);
        else show(t, args[i]);
        return true;
    }
    if (!parse_spec(s, end, &p) || !add_formatted(t, args[i], p))
        return rt_raise(env, "ValueError", "Invalid format specifier '%.*s'", (int)(end - s), s);
    return true;
}

HOST(rt_host_format) {
    WANT(0, V_STR);
    const char *s = args[0].str->s, *end = s + args[0].str->n;
    rt_text t = {0};
    int next = 0;
    while (s < end) {
        if ((*s == '{' || *s == '}') && s + 1 < end && s[1] == *s) {
            rt_text_add(&t, s, 1);
            s += 2;
        } else if (*s == '{') {
            const char *close = memchr(s, '}', (size_t)(end - s));
            if (!close) {
                rt_text_free(&t);
                return rt_raise(env, "ValueError", "Single '{' encountered in format string");
            }
            if (!add_field(env, &t, s + 1, close, args + 1, nargs - 1, &next)) {
                rt_text_free(&t);
                return false;
            }
            s = close + 1;
        } else {
            rt_text_add(&t, s++, 1);
        }
    }
    return give_text(env, out, &t);
}

/* One % conversion after the '%'; advances *s past it. */
static bool add_percent(rt_env *env, rt_text *t, const char **s, const char *end, const rt_value *args,
                        int nargs, int *next) {
    spec p = {.fill = ' ', .precision = -1, .align = '>'};
    for (; *s < end && strchr("-+ 0#", **s); (*s)++) {
        if (**s == '-') p.align = '<';
        else if (**s == '0') p.zero = true;
        else if (**s != '#') p.sign = **s;
    }
    bool ok = spec_number(s, end, &p.width);
    if (ok && *s < end && **s == '.') {
        (*s)++;
        ok = spec_number(s, end, &p.precision);
    }
    if (!ok || *s >= end) return rt_raise(env, "ValueError", "incomplete format");
    char type = *(*s)++;
    if (type == '%') {
        rt_text_str(t, "%");
        return true;
    }
    if (*next >= nargs) return rt_raise(env, "TypeError", "not enough arguments for format string");
    rt_value v = args[(*next)++];
    p.type = type == 'i' || type == 'u' ? 'd' : type == 'r' ? 's' : type;
    if (p.zero && p.align == '>' && p.type != 's') p.align = 0;
    if (p.type == 'd' && v.tag == V_FLOAT) v = rt_int((int64_t)v.f);
    if (p.type == 's' && v.tag != V_STR) {
        rt_text plain = {0};
        if (type == 'r') rt_value_print(&plain, v, true);
        else show(&plain, v);
        rt_value text = rt_str(plain.s ? plain.s : "", plain.n);
        if (plain.failed) t->failed = true;
        rt_text_free(&plain);
        if (text.tag == V_UNDEF) return rt_host_memory_error(env);
        ok = add_formatted(t, text, p);
        rt_release(text);
    } else {
        ok = add_formatted(t, v, p);
    }
    return ok || rt_raise(env, "TypeError", "%%%c format: wrong type of argument", type);
}

HOST(rt_host_percent_format) {
    WANT(0, V_STR);
    const char *s = args[0].str->s, *end = s + args[0].str->n;
    const rt_value *rest = args + 1;
    rt_text t = {0};
    int next = 0, n = nargs - 1;
    if (n == 1 && rest[0].tag == V_TUPLE) {
        n = (int)rest[0].list->n;
        rest = rest[0].list->at;
    }
    while (s < end) {
        if (*s != '%') {
            rt_text_add(&t, s++, 1);
            continue;
        }
        s++;
        if (!add_percent(env, &t, &s, end, rest, n, &next)) {
            rt_text_free(&t);
            return false;
        }
    }
    if (next < n) {
        rt_text_free(&t);
        return rt_raise(env, "TypeError", "not all arguments converted during string formatting");
    }
    return give_text(env, out, &t);
}

/* ---- joining and splitting */

HOST(rt_host_join) {
    WANT(0, V_STR);
    WANT(1, V_LIST);
    rt_text t = {0};
    for (int64_t i = 0; i < args[1].list->n; i++) {
        rt_value v = args[1].list->at[i];
        if (v.tag != V_STR) {
            rt_text_free(&t);
            return rt_host_type_error(env, 1);
        }
        if (i) rt_text_add(&t, args[0].str->s, args[0].str->n);
        rt_text_add(&t, v.str->s, v.str->n);
    }
    return give_text(env, out, &t);
}

static bool push(rt_list *l, const char *s, const char *end) {
    rt_value v = rt_str(s, (size_t)(end - s));
    return v.tag != V_UNDEF && rt_list_push(l, v);
}

static const char *find_in(const char *s, const char *end, span what) {
    if (what.n == 0) return s;
    for (; (size_t)(end - s) >= what.n; s++)
        if (!memcmp(s, what.s, what.n)) return s;
    return NULL;
}

static const char *find_last(const char *s, const char *end, span what) {
    for (const char *p = end - what.n; (size_t)(end - s) >= what.n && p >= s; p--)
        if (!memcmp(p, what.s, what.n)) return p;
    return NULL;
}

static bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool split_blank(rt_list *l, const char *s, const char *end, int64_t max) {
    for (;;) {
        while (s < end && blank(*s)) s++;
        if (s == end) return true;
        const char *e = s;
        if (max == 0) {
            while (end > s && blank(end[-1])) end--;
            return push(l, s, end);
        }
        while (e < end && !blank(*e)) e++;
        if (!push(l, s, e)) return false;
        s = e;
        max--;
    }
}

static bool split_by(rt_list *l, const char *s, const char *end, span sep, int64_t max) {
    const char *e;
    while (max-- != 0 && (e = find_in(s, end, sep))) {
        if (!push(l, s, e)) return false;
        s = e + sep.n;
    }
    return push(l, s, end);
}

HOST(rt_host_split) {
    WANT(0, V_STR);
    const char *s = args[0].str->s, *end = s + args[0].str->n;
    int64_t max = nargs > 2 && args[2].tag == V_INT ? args[2].i : -1;
    if (args[1].tag == V_STR && args[1].str->n == 0) return rt_raise(env, "ValueError", "empty separator");
    rt_value v = rt_list_new(V_LIST, 0);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    bool ok = args[1].tag == V_STR ? split_by(v.list, s, end, span_of(args[1]), max)
                                   : split_blank(v.list, s, end, max);
    if (!ok) {
        rt_release(v);
        return rt_host_memory_error(env);
    }
    *out = v;
    return true;
}

HOST(rt_host_rsplit) {
    WANT(0, V_STR);
    WANT(1, V_STR);
    WANT(2, V_INT);
    const char *s = args[0].str->s, *end = s + args[0].str->n, *e;
    int64_t max = args[2].i;
    span sep = span_of(args[1]);
    if (sep.n == 0) return rt_raise(env, "ValueError", "empty separator");
    rt_value v = rt_list_new(V_LIST, 0);
    bool ok = v.tag != V_UNDEF;
    while (ok && max-- != 0 && (e = find_last(s, end, sep))) {
        ok = push(v.list, e + sep.n, end);
        end = e;
    }
    if (!ok || !push(v.list, s, end)) {
        rt_release(v);
        return rt_host_memory_error(env);
    }
    for (int64_t i = 0, j = v.list->n - 1; i < j; i++, j--) {
        rt_value t = v.list->at[i];
        v.list->at[i] = v.list->at[j];
        v.list->at[j] = t;
    }
    *out = v;
    return true;
}

HOST(rt_host_splitlines) {
    WANT(0, V_STR);
    const char *s = args[0].str->s, *end = s + args[0].str->n;
    bool keep = nargs > 1 && args[1].i != 0, ok;
    rt_value v = rt_list_new(V_LIST, 0);
    ok = v.tag != V_UNDEF;
    while (ok && s < end) {
        const char *e = s;
        while (e < end && *e != '\n' && *e != '\r') e++;
        const char *next = e == end ? end : e[0] == '\r' && e + 1 < end && e[1] == '\n' ? e + 2 : e + 1;
        ok = push(v.list, s, keep ? next : e);
        s = next;
    }
    if (!ok) {
        rt_release(v);
        return rt_host_memory_error(env);
    }
    *out = v;
    return true;
}

static bool strip_char(char c, rt_value chars) {
    return chars.tag == V_STR ? chars.str->n && memchr(chars.str->s, c, chars.str->n) : blank(c);
}

static bool strip(rt_env *env, const rt_value *args, int nargs, bool left, bool right, rt_value *out) {
    WANT(0, V_STR);
    const char *s = args[0].str->s, *end = s + args[0].str->n;
    rt_value chars = nargs > 1 ? args[1] : V_NULL;
    while (left && s < end && strip_char(*s, chars)) s++;
    while (right && s < end && strip_char(end[-1], chars)) end--;
    return give(env, out, (span){s, (size_t)(end - s)});
}

HOST(rt_host_strip) { return strip(env, args, nargs, true, true, out); }
HOST(rt_host_lstrip) { return strip(env, args, nargs, true, false, out); }
HOST(rt_host_rstrip) { return strip(env, args, nargs, false, true, out); }

HOST(rt_host_replace) {
    WANT(0, V_STR);
    WANT(1, V_STR);
    WANT(2, V_STR);
    const char *s = args[0].str->s, *end = s + args[0].str->n, *e;
    int64_t max = nargs > 3 && args[3].tag == V_INT ? args[3].i : -1;
    span old = span_of(args[1]), by = span_of(args[2]);
    rt_text t = {0};
    while (max-- != 0 && (e = find_in(s, end, old))) {
        rt_text_add(&t, s, (size_t)(e - s));
        rt_text_add(&t, by.s, by.n);
        s = e + old.n;
        if (old.n == 0) {
            if (s == end) break;
            rt_text_add(&t, s++, 1);
        }
    }
    rt_text_add(&t, s, (size_t)(end - s));
    return give_text(env, out, &t);
}

static bool triple(rt_env *env, span a, span b, span c, rt_value *out) {
    span parts[3] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        out[i] = rt_str(parts[i].s, parts[i].n);
        if (out[i].tag != V_UNDEF) continue;
        while (i-- > 0) rt_release(out[i]);
        return rt_host_memory_error(env);
    }
    return true;
}

static bool partition(rt_env *env, const rt_value *args, int nargs, bool last, rt_value *out) {
    WANT(0, V_STR);
    WANT(1, V_STR);
    span t = span_of(args[0]), sep = span_of(args[1]), none = {"", 0};
    if (sep.n == 0) return rt_raise(env, "ValueError", "empty separator");
    const char *e = last ? find_last(t.s, t.s + t.n, sep) : find_in(t.s, t.s + t.n, sep);
    if (!e) return last ? triple(env, none, none, t, out) : triple(env, t, none, none, out);
    size_t head = (size_t)(e - t.s);
    return triple(env, (span){t.s, head}, sep, (span){e + sep.n, t.n - head - sep.n}, out);
}

HOST(rt_host_partition) { return partition(env, args, nargs, false, out); }
HOST(rt_host_rpartition) { return partition(env, args, nargs, true, out); }

/* ---- searching: (text, part, start, end); TorchScript's default end of -1 means the end of the text */

static bool window(rt_env *env, const rt_value *args, int nargs, span *t) {
    WANT(0, V_STR);
    WANT(1, V_STR);
    *t = span_of(args[0]);
    int64_t n = points(*t), lo = nargs > 2 ? args[2].i : 0, hi = nargs > 3 ? args[3].i : -1;
    if (lo < 0) lo = lo + n < 0 ? 0 : lo + n;
    if (hi < 0) hi = n + 1 + hi;
    if (hi > n) hi = n;
    if (lo > hi) {
        *t = (span){NULL, 0};
        return true;
    }
    size_t a = offset_of(*t, lo), b = offset_of(*t, hi);
    *t = (span){t->s + a, b - a};
    return true;
}

static bool locate(rt_env *env, const rt_value *args, int nargs, bool last, int64_t *at) {
    span t;
    if (!window(env, args, nargs, &t)) return false;
    const char *e = !t.s   ? NULL
                    : last ? find_last(t.s, t.s + t.n, span_of(args[1]))
                           : find_in(t.s, t.s + t.n, span_of(args[1]));
    *at = e ? point_index(span_of(args[0]), (size_t)(e - args[0].str->s)) : -1;
    return true;
}

#define LOCATE(fn, last, must)                                                                               \
    HOST(fn) {                                                                                               \
        int64_t at;                                                                                          \
        if (!locate(env, args, nargs, last, &at)) return false;                                              \
        if (must && at < 0) return rt_raise(env, "ValueError", "substring not found");                       \
        *out = rt_int(at);                                                                                   \
        return true;                                                                                         \
    }
LOCATE(rt_host_str_find, false, false)
LOCATE(rt_host_str_rfind, true, false)
LOCATE(rt_host_str_index, false, true)
LOCATE(rt_host_str_rindex, true, true)

HOST(rt_host_str_count) {
    span t;
    int64_t n = 0;
    if (!window(env, args, nargs, &t)) return false;
    span what = span_of(args[1]);
    if (t.s && what.n == 0) n = points(t) + 1;
    for (const char *s = t.s, *e; s && what.n && (e = find_in(s, t.s + t.n, what)); s = e + what.n) n++;
    *out = rt_int(n);
    return true;
}

HOST(rt_host_startswith) {
    span t;
    if (!window(env, args, nargs, &t)) return false;
    *out = rt_bool(t.s && t.n >= args[1].str->n && !memcmp(t.s, args[1].str->s, args[1].str->n));
    return true;
}

HOST(rt_host_endswith) {
    span t;
    if (!window(env, args, nargs, &t)) return false;
    size_t n = args[1].str->n;
    *out = rt_bool(t.s && t.n >= n && !memcmp(t.s + t.n - n, args[1].str->s, n));
    return true;
}

HOST(rt_host_str_contains) {
    WANT(0, V_STR);
    WANT(1, V_STR);
    span t = span_of(args[0]);
    *out = rt_bool(find_in(t.s, t.s + t.n, span_of(args[1])) != NULL);
    return true;
}

/* ---- case */

static bool map_chars(rt_env *env, rt_value v, char (*map)(char c, char before), rt_value *out) {
    if (v.tag != V_STR) return rt_host_type_error(env, 0);
    rt_value r = rt_str(v.str->s, v.str->n);
    if (r.tag == V_UNDEF) return rt_host_memory_error(env);
    for (size_t i = 0; i < r.str->n; i++) r.str->s[i] = map(v.str->s[i], i ? v.str->s[i - 1] : 0);
    *out = r;
    return true;
}

static bool upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool lower(char c) { return c >= 'a' && c <= 'z'; }
static bool alpha(char c) { return upper(c) || lower(c); }
static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool alnum(char c) { return alpha(c) || digit(c); }
static bool printable(char c) { return (unsigned char)c >= 32 && c != 127; }
static char to_lower(char c, char b) { return (void)b, upper(c) ? (char)(c + 32) : c; }
static char to_upper(char c, char b) { return (void)b, lower(c) ? (char)(c - 32) : c; }
static char to_swapped(char c, char b) { return upper(c) ? to_lower(c, b) : to_upper(c, b); }
static char to_title(char c, char b) { return alpha(b) ? to_lower(c, b) : to_upper(c, b); }
static char to_capital(char c, char b) { return b ? to_lower(c, b) : to_upper(c, b); }

HOST(rt_host_lower) { return (void)nargs, map_chars(env, args[0], to_lower, out); }
HOST(rt_host_upper) { return (void)nargs, map_chars(env, args[0], to_upper, out); }
HOST(rt_host_swapcase) { return (void)nargs, map_chars(env, args[0], to_swapped, out); }
HOST(rt_host_title) { return (void)nargs, map_chars(env, args[0], to_title, out); }
HOST(rt_host_capitalize) { return (void)nargs, map_chars(env, args[0], to_capital, out); }

/* ---- classes */

static bool every(rt_env *env, rt_value v, bool (*test)(char), bool empty, rt_value *out) {
    if (v.tag != V_STR) return rt_host_type_error(env, 0);
    bool ok = v.str->n > 0 || empty;
    for (size_t i = 0; ok && i < v.str->n; i++) ok = test(v.str->s[i]);
    *out = rt_bool(ok);
    return true;
}

HOST(rt_host_isalpha) { return (void)nargs, every(env, args[0], alpha, false, out); }
HOST(rt_host_isdigit) { return (void)nargs, every(env, args[0], digit, false, out); }
HOST(rt_host_isalnum) { return (void)nargs, every(env, args[0], alnum, false, out); }
HOST(rt_host_isspace) { return (void)nargs, every(env, args[0], blank, false, out); }
HOST(rt_host_isprintable) { return (void)nargs, every(env, args[0], printable, true, out); }

/* At least one cased letter, and none of the other case. */
static bool cased(rt_env *env, rt_value v, bool (*is)(char), bool (*other)(char), rt_value *out) {
    if (v.tag != V_STR) return rt_host_type_error(env, 0);
    bool some = false, bad = false;
    for (size_t i = 0; i < v.str->n; i++) some |= is(v.str->s[i]), bad |= other(v.str->s[i]);
    *out = rt_bool(some && !bad);
    return true;
}

HOST(rt_host_isupper) { return (void)nargs, cased(env, args[0], upper, lower, out); }
HOST(rt_host_islower) { return (void)nargs, cased(env, args[0], lower, upper, out); }

HOST(rt_host_istitle) {
    WANT(0, V_STR);
    bool some = false, ok = true;
    for (size_t i = 0; i < args[0].str->n; i++) {
        char c = args[0].str->s[i], b = i ? args[0].str->s[i - 1] : 0;
        if (alpha(c)) ok &= upper(c) != alpha(b), some = true;
    }
    *out = rt_bool(some && ok);
    return true;
}

HOST(rt_host_isidentifier) {
    WANT(0, V_STR);
    const char *s = args[0].str->s;
    bool ok = args[0].str->n > 0 && !digit(s[0]);
    for (size_t i = 0; i < args[0].str->n; i++)
        ok &= alnum(s[i]) || s[i] == '_' || (unsigned char)s[i] >= 128;
    *out = rt_bool(ok);
    return true;
}

/* ---- widths */

static bool justify(rt_env *env, const rt_value *args, int nargs, char align, rt_value *out) {
    WANT(0, V_STR);
    WANT(1, V_INT);
    WANT(2, V_STR);
    if (args[2].str->n != 1)
        return rt_raise(env, "TypeError", "The fill character must be exactly one character long");
    int64_t room = args[1].i - points(span_of(args[0]));
    if (room < 0) room = 0;
    int64_t left = align == '<' ? 0 : align == '>' ? room : room / 2 + (room & args[1].i & 1);
    rt_text t = {0};
    for (int64_t i = 0; i < left && !t.failed; i++) rt_text_add(&t, args[2].str->s, 1);
    rt_text_add(&t, args[0].str->s, args[0].str->n);
    for (int64_t i = left; i < room && !t.failed; i++) rt_text_add(&t, args[2].str->s, 1);
    return give_text(env, out, &t);
}

HOST(rt_host_center) { return justify(env, args, nargs, '^', out); }
HOST(rt_host_ljust) { return justify(env, args, nargs, '<', out); }
HOST(rt_host_rjust) { return justify(env, args, nargs, '>', out); }

HOST(rt_host_zfill) {
    WANT(0, V_STR);
    WANT(1, V_INT);
    span t = span_of(args[0]);
    int64_t room = args[1].i - points(t);
    rt_text r = {0};
    size_t sign = t.n && (t.s[0] == '-' || t.s[0] == '+');
    rt_text_add(&r, t.s, sign);
    for (int64_t i = 0; i < room && !r.failed; i++) rt_text_add(&r, "0", 1);
    rt_text_add(&r, t.s + sign, t.n - sign);
    return give_text(env, out, &r);
}

HOST(rt_host_expandtabs) {
    WANT(0, V_STR);
    WANT(1, V_INT);
    int64_t col = 0, size = args[1].i > 0 && args[1].i < MAX_WIDTH ? args[1].i : 0;
    rt_text t = {0};
    for (size_t i = 0; i < args[0].str->n; i++) {
        char c = args[0].str->s[i];
        if (c == '\t') {
            int64_t n = size ? size - col % size : 0;
            pad(&t, ' ', n);
            col += n;
        } else {
            rt_text_add(&t, &c, 1);
            col = c == '\n' || c == '\r' ? 0 : col + 1;
        }
    }
    return give_text(env, out, &t);
}
