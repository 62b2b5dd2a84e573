/* context.c: the compile context: interned strings, the span table, diagnostics.
 *
 * Diagnostics are collected, never printed on the way; ir_diags_print shows them with the source line and a
 * caret. What the context holds beside its arena is listed in `owned`, in the modules (counted runtime values) and in
 * `endings`. */
#include "ir/ir.h"

enum { MAX_ERRORS = 20, MAX_LINE = 160, MAX_INLINE = 16 };

ir_context *ir_context_new(void) {
    ir_context *c = rt_calloc(1, sizeof *c);
    if (!c) return NULL;
    jmp_buf fail;
    c->arena.fail = &fail;
    if (setjmp(fail)) {
        ir_context_free(c);
        return NULL;
    }
    RT_PUSH(&c->arena, &c->spans, (ir_place){0});
    ir_ops_init(c);
    c->arena.fail = NULL;
    return c;
}

static void module_release(ir_module *m) {
    for (int i = 0; i < m->tensors.n; i++) {
        ir_tensor_data *d = m->tensors.entries[i].value;
        rt_tensor_release(d->tensor);
        rt_release(d->init);
        d->tensor = NULL; /* two modules may list the same cell */
        d->init = V_NULL;
    }
    rt_release(m->self);
    rt_release(m->example_types);
}

struct ir_ending {
    struct ir_ending *next;
    void (*fn)(void *arg);
    void *arg;
};

void ir_at_end(ir_context *c, void (*fn)(void *arg), void *arg) {
    struct ir_ending *e = RT_NEW(&c->arena, struct ir_ending);
    *e = (struct ir_ending){c->endings, fn, arg};
    c->endings = e;
}

void ir_context_free(ir_context *c) {
    if (!c) return;
    for (struct ir_ending *e = c->endings; e; e = e->next) e->fn(e->arg);
    for (int i = 0; i < c->modules.n; i++) module_release(c->modules.at[i]);
    for (int i = 0; i < c->owned.n; i++) rt_release(c->owned.at[i]);
    rt_arena_free(&c->arena);
    rt_free(c);
}

void ir_own(ir_context *c, rt_value taken) {
    if (taken.tag >= V_STR && taken.tag <= V_OBJECT) RT_PUSH(&c->arena, &c->owned, taken);
}

const char *ir_internn(ir_context *c, const char *s, size_t n) {
    char *found = rt_map_getn(&c->strings, s, n);
    if (found) return found;
    found = rt_arena_str(&c->arena, s, n);
    rt_map_putn(&c->arena, &c->strings, found, n, found);
    return found;
}

const char *ir_intern(ir_context *c, const char *s) { return ir_internn(c, s, strlen(s)); }

const char *ir_fmt(ir_context *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    const char *s = rt_arena_vfmt(&c->arena, fmt, ap);
    va_end(ap);
    return s;
}

/* ---- spans and sources */

ir_span ir_span_new(ir_context *c, ir_place p) {
    const ir_place *last = &c->spans.at[c->spans.n - 1];
    if (c->spans.n > 1 && last->file == p.file && last->line == p.line && last->col == p.col &&
        last->end_col == p.end_col && last->inlined_at == p.inlined_at && last->implicit == p.implicit)
        return (ir_span)(c->spans.n - 1);
    RT_PUSH(&c->arena, &c->spans, p);
    return (ir_span)(c->spans.n - 1);
}

void ir_source_add(ir_context *c, const char *name, const char *text, size_t n) {
    ir_source *s = RT_NEW(&c->arena, ir_source);
    s->name = ir_intern(c, name);
    s->text = rt_arena_str(&c->arena, text, n);
    s->n = n;
    rt_map_put(&c->arena, &c->sources, name, s);
}

/* ---- diagnostics */

static void diag_add(ir_context *c, ir_severity severity, ir_span at, const char *fmt, va_list ap) {
    if (severity == IR_ERROR) c->nerrors++;
    if (c->nerrors > MAX_ERRORS) return;
    ir_diag d = {severity, at, rt_arena_vfmt(&c->arena, fmt, ap)};
    RT_PUSH(&c->arena, &c->diags, d);
}

void ir_error(ir_context *c, ir_span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    diag_add(c, IR_ERROR, at, fmt, ap);
    va_end(ap);
}

void ir_warn(ir_context *c, ir_span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    diag_add(c, IR_WARNING, at, fmt, ap);
    va_end(ap);
}

void ir_note(ir_context *c, ir_span at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    diag_add(c, IR_NOTE, at, fmt, ap);
    va_end(ap);
}

/* The text of a line (from 1) of a source, without its end; false if there is none. */
static bool source_line(const ir_source *s, int line, const char **begin, const char **end) {
    const char *p = s->text, *stop = s->text + s->n;
    for (int i = 1; i < line; i++) {
        p = memchr(p, '\n', (size_t)(stop - p));
        if (!p) return false;
        p++;
    }
    const char *nl = memchr(p, '\n', (size_t)(stop - p));
    *begin = p;
    *end = nl ? nl : stop;
    if (*end > *begin && (*end)[-1] == '\r') --*end;
    return true;
}

/* The source line and under it a caret and tildes up to end_col.  Control bytes are shown as blanks, a long
 * line is cut around the column. */
static void print_caret(const ir_context *c, rt_text *out, const ir_place *p, const char *on,
                        const char *off) {
    const ir_source *s = rt_map_get(&c->sources, p->file);
    const char *b, *e;
    if (!s || p->line < 1 || p->col < 1 || !source_line(s, p->line, &b, &e)) return;
    long col = p->col - 1, n = e - b;
    if (col > n) return;
    long from = col > MAX_LINE / 2 ? col - MAX_LINE / 2 : 0, to = n - from > MAX_LINE ? from + MAX_LINE : n;
    if (n <= MAX_LINE) from = 0, to = n;
    rt_text_str(out, "  ");
    for (long i = from; i < to; i++) rt_text_add(out, (unsigned char)b[i] < 32 ? " " : b + i, 1);
    rt_text_str(out, "\n  ");
    for (long i = from; i < col;
         i++) /* a column counts bytes: the tail of a UTF-8 character takes no place */
        if (((unsigned char)b[i] & 0xC0) != 0x80) rt_text_str(out, " ");
    rt_text_fmt(out, "%s^", on);
    for (long i = col + 1; i < p->end_col - 1 && i < to; i++)
        if (((unsigned char)b[i] & 0xC0) != 0x80) rt_text_str(out, "~");
    rt_text_fmt(out, "%s\n", off);
}

static void print_place(rt_text *out, const ir_place *p) {
    rt_text_str(out, p->file);
    if (p->line > 0) rt_text_fmt(out, ":%d", p->line);
    if (p->line > 0 && p->col > 0) rt_text_fmt(out, ":%d", p->col);
    rt_text_str(out, ": ");
}

static const ir_place *place_of(const ir_context *c, ir_span s) {
    return s && s < (ir_span)c->spans.n && c->spans.at[s].file ? &c->spans.at[s] : NULL;
}

void ir_diags_print(const ir_context *c, rt_text *out, bool colour) {
    static const char *const words[] = {"note", "warning", "error"};
    static const char *const colours[] = {"\033[36m", "\033[35m", "\033[31m"};
    for (int i = 0; i < c->diags.n; i++) {
        const ir_diag *d = &c->diags.at[i];
        const char *on = colour ? colours[d->severity] : "", *off = colour ? "\033[0m" : "";
        const ir_place *p = place_of(c, d->span);
        if (p) print_place(out, p);
        rt_text_fmt(out, "%s%s:%s %s\n", on, words[d->severity], off, d->text);
        if (!p) continue;
        print_caret(c, out, p, on, off);
        int depth = 0;
        for (const ir_place *at = place_of(c, p->inlined_at); at; at = place_of(c, at->inlined_at)) {
            if (++depth > MAX_INLINE) break;
            print_place(out, at);
            rt_text_fmt(out, "%snote:%s called from here\n", colour ? colours[IR_NOTE] : "", off);
            print_caret(c, out, at, on, off);
        }
    }
    if (c->nerrors > MAX_ERRORS) rt_text_fmt(out, "error: %d more errors\n", c->nerrors - MAX_ERRORS);
}
