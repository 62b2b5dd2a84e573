/* kernel_read.c: reads the text form of the kernel IR.
 *
 *   kernel @name(%x: f32[] [align 64] [alias], ..., %n: i64, ...) { {scratch} {statement} }
 *   scratch   = (local | shared | register) %b: f32[96] [align 64]  |  table %t: i32[3] = {1, 2, 3}
 *   statement = %v = add f32 %a, %b          the dtype of the operands (of the arms: where); cast and
 * bitcast: ... to i32 | %v = load %b[%i] [mask %m else %z] [group 4 at 1] [align 32] [nt] [near] | store %b[%i], %v{, %w} [mask %m]
 * [align 32] [nt] | [%r, ... =] for KIND[(width)] %i = lo to hi [step 4] [carry (%a: f32 = 0.0, ...)] { ...
 * yield %x, ... } | [%r, ... =] if [(f32, ...)] %c { ... yield ... } [else { ... yield ... }] | %s =
 * lane_reduce add %acc  |  %s, ... = lane_reduce %a, ... by (%l, ..., %r, ...) { ... yield ... } | contract
 * %acc 6x16 += %A[%i] row %lda k %ka, %B[%j] k %kb for %K [cols %n] [split 4] [touch 65536] [fetch %j by 4]     %A[%i0, ...]: one per row
 *             | raise 3 (%i, ...) | call @f(%b[%i], ...; %n, ...) | barrier | async_copy %d[%i], %s[%j], %n |
 * async_wait 1 | prefetch %b[%i] | transpose
 * %d[%i] row %n, %s[%j] row %m for 16 of %valid by %columns An operand is %name or a literal of the dtype that its place asks for.  # begins a comment. */
#include "lower/kernel.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

enum { MAX_NAMES = 64, MAX_DEPTH = 64 };

typedef struct binding {
    const char *name;
    k_value *v;
} binding;

typedef struct reader {
    ir_context *c;
    const char *file, *text, *at, *end;
    k_builder b;
    RT_VEC(binding) scope; /* innermost last */
    RT_VEC(k_kernel *) kernels;
    int depth;
    jmp_buf failed; /* the first error ends the reading */
} reader;

/* ---- tokens */

static ir_span place(const reader *r, const char *at) {
    ir_place p = {.file = r->file, .line = 1, .col = 1};
    for (const char *s = r->text; s < at; s++) {
        p.col++;
        if (*s == '\n') p.line++, p.col = 1;
    }
    return ir_span_new(r->c, p);
}

static _Noreturn void fail(reader *r, const char *what, const char *more) {
    ir_error(r->c, place(r, r->at), "%s%s", what, more);
    longjmp(r->failed, 1);
}

static void skip(reader *r) {
    while (r->at < r->end) {
        if (*r->at == '#')
            while (r->at < r->end && *r->at != '\n') r->at++;
        else if (isspace((unsigned char)*r->at)) r->at++;
        else return;
    }
}

static bool word_char(char ch) { return isalnum((unsigned char)ch) || ch == '_' || ch == '.' || ch == '$'; }

static int word_length(const reader *r) {
    const char *s = r->at;
    while (s < r->end && word_char(*s)) s++;
    return (int)(s - r->at);
}

static bool accept(reader *r, const char *token) {
    skip(r);
    size_t n = strlen(token);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, token, n)) return false;
    if (word_char(token[n - 1]) && r->at + n < r->end && word_char(r->at[n])) return false;
    r->at += n;
    return true;
}

static void expect(reader *r, const char *token) {
    if (!accept(r, token)) fail(r, "expected ", token);
}

static const char *word(reader *r, const char *what) {
    skip(r);
    int n = word_length(r);
    if (!n) fail(r, "expected ", what);
    const char *s = ir_internn(r->c, r->at, (size_t)n);
    r->at += n;
    return s;
}

static int64_t integer(reader *r) {
    skip(r);
    char buf[32];
    int n = 0;
    const char *s = r->at;
    if (s < r->end && *s == '-') buf[n++] = *s++;
    while (s < r->end && isdigit((unsigned char)*s) && n < 30) buf[n++] = *s++;
    buf[n] = 0;
    if (!n || !isdigit((unsigned char)buf[n - 1])) fail(r, "expected ", "an integer");
    r->at = s;
    return strtoll(buf, NULL, 10);
}

static int small(reader *r, int64_t lo, int64_t hi) {
    const char *start = r->at;
    int64_t x = integer(r);
    if (x < lo || x > hi) r->at = start, fail(r, "number out of range", "");
    return (int)x;
}

static rt_dtype dtype(reader *r) {
    const char *start = r->at, *s = word(r, "a dtype");
    rt_dtype d = rt_dtype_by_name(s, strlen(s));
    if (d == DT_NONE) r->at = start, fail(r, "unknown dtype ", s);
    return d;
}

static const char *sigil_name(reader *r, const char *sigil) {
    expect(r, sigil);
    return word(r, "a name");
}

/* ---- values */

/* A name that is a number belongs to a value without a name. */
static void bind(reader *r, const char *name, k_value *v) {
    bool number = true;
    for (const char *s = name; *s; s++) number &= isdigit((unsigned char)*s) != 0;
    for (int i = 0; i < r->scope.n; i++)
        if (r->scope.at[i].name == name) fail(r, "defined twice: %", name);
    if (!number && !v->name) {
        v->name = name;
        rt_map_put(&r->c->arena, &r->b.k->names, name, (void *)name);
    }
    RT_PUSH(&r->c->arena, &r->scope, ((binding){name, v}));
}

static k_value *literal(reader *r, rt_dtype d) {
    char buf[64], *stop;
    int n = 0;
    if (accept(r, "true")) return k_int(&r->b, d, 1);
    if (accept(r, "false")) return k_int(&r->b, d, 0);
    if (rt_dtypes[d].kind != 'F') return k_int(&r->b, d, integer(r));
    for (const char *s = r->at; s < r->end && n < 63 && (word_char(*s) || *s == '-' || *s == '+'); s++)
        buf[n++] = *s;
    buf[n] = 0;
    double x = d == DT_F64 ? strtod(buf, &stop) : (double)strtof(buf, &stop);
    if (stop == buf) fail(r, "expected ", "a value");
    r->at += stop - buf;
    return k_float(&r->b, d, x);
}

static k_value *operand(reader *r, rt_dtype d) { /* DT_NONE: a name only */
    skip(r);
    if (r->at < r->end && *r->at == '%') {
        const char *start = r->at, *name = sigil_name(r, "%");
        for (int i = r->scope.n - 1; i >= 0; i--) {
            k_value *v = r->scope.at[i].v;
            if (r->scope.at[i].name != name) continue;
            if (d != DT_NONE && v->dtype != d) {
                r->at = start;
                fail(r, ir_fmt(r->c, "%%%s is %s, expected ", name, rt_dtypes[v->dtype].name),
                     rt_dtypes[d].name);
            }
            return v;
        }
        r->at = start;
        fail(r, "unknown value %", name);
    }
    if (d == DT_NONE) fail(r, "expected ", "a value's name");
    return literal(r, d);
}

static int operands(reader *r, rt_dtype d, k_value **v, int max) {
    int n = 0;
    do {
        if (n == max) fail(r, "too many operands", "");
        v[n++] = operand(r, d);
    } while (accept(r, ","));
    return n;
}

static k_buffer *buffer(reader *r) {
    skip(r);
    const char *start = r->at, *name = sigil_name(r, "%");
    for (int i = 0; i < r->b.k->buffers.n; i++)
        if (r->b.k->buffers.at[i]->name == name) return r->b.k->buffers.at[i];
    r->at = start;
    fail(r, "unknown buffer %", name);
}

static k_buffer *element(reader *r, k_value **index) {
    k_buffer *buf = buffer(r);
    expect(r, "[");
    *index = operand(r, DT_I64);
    expect(r, "]");
    return buf;
}

/* ---- statements */

typedef struct names {
    int n;
    const char *at[MAX_NAMES];
} names;

static void statements(reader *r);

static void yields(reader *r, int n, const rt_dtype *d, k_value **v) {
    if (!n) return;
    expect(r, "yield");
    for (int i = 0; i < n; i++) {
        if (i) expect(r, ",");
        v[i] = operand(r, d[i]);
    }
}

static void bind_outs(reader *r, const names *outs, const k_inst *n) {
    if (outs->n != n->nout)
        fail(r, ir_fmt(r->c, "the statement has %d results, not %d", n->nout, outs->n), "");
    for (int i = 0; i < n->nout; i++) bind(r, outs->at[i], n->out[i]);
}

/* Statements and yields of one block: the scope ends with it. */
static int block(reader *r, int n, const rt_dtype *d, k_value **v) {
    if (++r->depth > MAX_DEPTH) fail(r, "nested too deeply", "");
    int scope = r->scope.n;
    statements(r);
    yields(r, n, d, v);
    expect(r, "}");
    r->depth--;
    return scope;
}

static void close_scope(reader *r, int scope) { r->scope.n = scope; }

static k_loop loop_kind(reader *r) {
    static const char *const words[KL_COUNT] = {"grid",   "block",  "warp",  "lane",
                                                "serial", "unroll", "vector"};
    for (int i = 0; i < KL_COUNT; i++)
        if (accept(r, words[i])) return (k_loop)i;
    fail(r, "expected ", "a kind of loop");
}

static void read_for(reader *r, const names *outs) {
    k_loop kind = loop_kind(r);
    int width = 0, ncarry = 0;
    if (accept(r, "(")) {
        width = small(r, 1, K_MAX_WIDTH);
        expect(r, ")");
    }
    const char *var = sigil_name(r, "%");
    expect(r, "=");
    k_value *lo = operand(r, DT_I64), *hi, *init[MAX_NAMES], *next[MAX_NAMES];
    expect(r, "to");
    hi = operand(r, DT_I64);
    int64_t step = accept(r, "step") ? integer(r) : 1;
    const char *carried[MAX_NAMES];
    rt_dtype d[MAX_NAMES];
    if (accept(r, "carry")) {
        expect(r, "(");
        do {
            if (ncarry == MAX_NAMES) fail(r, "too many carried values", "");
            carried[ncarry] = sigil_name(r, "%");
            expect(r, ":");
            d[ncarry] = dtype(r);
            expect(r, "=");
            init[ncarry] = operand(r, d[ncarry]);
            ncarry++;
        } while (accept(r, ","));
        expect(r, ")");
    }
    expect(r, "{");
    k_inst *loop = k_for(&r->b, kind, width, lo, hi, step);
    int outer = r->scope.n;
    bind(r, var, k_var(loop));
    for (int i = 0; i < ncarry; i++) bind(r, carried[i], k_carry(&r->b, loop, init[i]));
    block(r, ncarry, d, next);
    close_scope(r, outer);
    k_end(&r->b, ncarry, next);
    bind_outs(r, outs, loop);
}

static void read_if(reader *r, const names *outs) {
    rt_dtype d[MAX_NAMES];
    k_value *v[MAX_NAMES];
    int n = 0;
    if (accept(r, "(")) {
        do {
            if (n == MAX_NAMES) fail(r, "too many results", "");
            d[n++] = dtype(r);
        } while (accept(r, ","));
        expect(r, ")");
    }
    k_inst *inst = k_if(&r->b, operand(r, DT_BOOL));
    expect(r, "{");
    close_scope(r, block(r, n, d, v));
    k_else(&r->b, n, v);
    if (accept(r, "else")) {
        expect(r, "{");
        close_scope(r, block(r, n, d, v));
    } else if (n) fail(r, "expected ", "else");
    k_end(&r->b, n, v);
    bind_outs(r, outs, inst);
}

static ir_prim primitive(reader *r, const char *s) {
    for (int p = 0; p < K_COUNT; p++)
        if (!strcmp(ir_prims[p].name, s)) return (ir_prim)p;
    r->at -= strlen(s);
    fail(r, "unknown statement ", s);
}

static void read_reduce(reader *r, const names *outs) {
    k_value *acc[MAX_NAMES], *left[MAX_NAMES], *right[MAX_NAMES], *v[MAX_NAMES];
    rt_dtype d[MAX_NAMES];
    skip(r);
    if (r->at < r->end && *r->at != '%') {
        ir_prim p = primitive(r, word(r, "a primitive"));
        bind_outs(r, outs, k_reduce(&r->b, p, operand(r, DT_NONE))->def);
        return;
    }
    int n = operands(r, DT_NONE, acc, MAX_NAMES), outer = r->scope.n;
    for (int i = 0; i < n; i++) d[i] = acc[i]->dtype;
    expect(r, "by");
    expect(r, "(");
    k_inst *inst = k_reduce_block(&r->b, n, acc, left, right);
    for (int i = 0; i < 2 * n; i++) {
        if (i) expect(r, ",");
        bind(r, sigil_name(r, "%"), i < n ? left[i] : right[i - n]);
    }
    expect(r, ")");
    expect(r, "{");
    block(r, n, d, v);
    close_scope(r, outer);
    k_end(&r->b, n, v);
    bind_outs(r, outs, inst);
}

static void access_flags(reader *r, k_inst *n) {
    if (accept(r, "align")) n->align = small(r, 1, 4096);
    if (accept(r, "nt")) n->nontemporal = true;
}

static void read_load(reader *r, const names *outs) {
    k_value *index, *mask = NULL, *otherwise = NULL;
    k_buffer *buf = element(r, &index);
    if (accept(r, "mask")) {
        mask = operand(r, DT_BOOL);
        expect(r, "else");
        otherwise = operand(r, buf->dtype);
    }
    k_value *v = k_load_if(&r->b, buf, index, mask, otherwise);
    if (!v->def) fail(r, "the mask of a load is a constant", "");
    if (accept(r, "group")) {
        v->def->group = small(r, 2, K_MAX_WIDTH);
        expect(r, "at");
        v->def->place = small(r, 0, K_MAX_WIDTH);
    }
    access_flags(r, v->def);
    v->def->near = accept(r, "near");
    bind_outs(r, outs, v->def);
}

static void read_store(reader *r) {
    k_value *index, *v[K_MAX_GROUP], *mask = NULL;
    k_buffer *buf = element(r, &index);
    int n = 0;
    expect(r, ",");
    do v[n++] = operand(r, buf->dtype);
    while (n < K_MAX_GROUP && accept(r, ","));
    if (n == 1 && accept(r, "mask")) mask = operand(r, DT_BOOL);
    access_flags(r, n > 1 ? k_store_group(&r->b, buf, index, n, v) : k_store_if(&r->b, buf, index, v[0], mask));
}

static void read_prefetch(reader *r) {
    k_value *index;
    k_buffer *buf = element(r, &index);
    k_prefetch(&r->b, buf, index);
}

static void read_contract(reader *r) {
    k_value *rows[K_MAX_TILE], *ka, *kb, *bi, *K, *stride = NULL, *cols = NULL;
    k_buffer *acc = buffer(r);
    int m = small(r, 1, K_MAX_TILE);
    if (r->at >= r->end || *r->at != 'x') fail(r, "expected ", "x and the number of columns");
    r->at++;
    int n = small(r, 1, 4096);
    expect(r, "+=");
    k_buffer *A = buffer(r);
    expect(r, "[");
    int nrows = operands(r, DT_I64, rows, K_MAX_TILE);
    expect(r, "]");
    if (accept(r, "row")) stride = operand(r, DT_I64);
    if (nrows != (stride ? 1 : m)) fail(r, "expected one index and `row`, or one index per row", "");
    expect(r, "k");
    ka = operand(r, DT_I64);
    expect(r, ",");
    k_buffer *B = element(r, &bi);
    expect(r, "k");
    kb = operand(r, DT_I64);
    expect(r, "for");
    K = operand(r, DT_I64);
    if (accept(r, "cols")) cols = operand(r, DT_I64);
    int split = accept(r, "split") ? small(r, 1, 16) : 1;
    if (nrows == 1 && !stride) stride = k_i64(&r->b, 0); /* one row: its stride does not matter */
    k_inst *inst = k_contract_tile(&r->b, acc, m, n, K, A, nrows, rows, stride, ka, B, bi, kb, cols, split);
    if (accept(r, "touch")) k_contract_touch(inst, small(r, 1, K_MAX_TOUCH));
    if (!accept(r, "fetch")) return;
    k_value *ahead = operand(r, DT_I64);
    expect(r, "by");
    k_contract_fetch(&r->b, inst, ahead, small(r, 1, K_MAX_FETCH));
}

static void read_call(reader *r) {
    const char *name = sigil_name(r, "@");
    k_kernel *callee = NULL;
    for (int i = 0; i < r->kernels.n; i++)
        if (r->kernels.at[i]->name == name) callee = r->kernels.at[i];
    if (!callee) fail(r, "unknown kernel @", name);
    k_buffer **buffers = RT_ARRAY(&r->c->arena, k_buffer *, callee->nargs);
    k_value **offsets = RT_ARRAY(&r->c->arena, k_value *, callee->nargs);
    k_value **scalars = RT_ARRAY(&r->c->arena, k_value *, callee->scalars.n);
    expect(r, "(");
    for (int i = 0; i < callee->nargs; i++) {
        if (i) expect(r, ",");
        buffers[i] = element(r, &offsets[i]);
    }
    for (int i = 0; i < callee->scalars.n; i++) {
        expect(r, i ? "," : ";");
        scalars[i] = operand(r, callee->scalars.at[i]->dtype);
    }
    expect(r, ")");
    k_call(&r->b, callee, buffers, offsets, scalars);
}

static void read_raise(reader *r) {
    k_value *v[K_MAX_RAISE];
    int code = small(r, 1, 1 << 30), n = 0;
    if (accept(r, "(")) {
        n = operands(r, DT_I64, v, K_MAX_RAISE);
        expect(r, ")");
    }
    k_raise(&r->b, code, n, v);
}

static void read_copy(reader *r) {
    k_value *di, *si;
    k_buffer *dst = element(r, &di);
    expect(r, ",");
    k_buffer *src = element(r, &si);
    expect(r, ",");
    k_async_copy(&r->b, dst, di, src, si, operand(r, DT_I64));
}

static void read_transpose(reader *r) {
    k_value *di, *si;
    k_buffer *dst = element(r, &di);
    expect(r, "row");
    k_value *dst_step = operand(r, DT_I64);
    expect(r, ",");
    k_buffer *src = element(r, &si);
    expect(r, "row");
    k_value *src_step = operand(r, DT_I64);
    expect(r, "for");
    int rows = small(r, 1, K_MAX_TILE);
    expect(r, "of");
    k_value *valid = operand(r, DT_I64);
    expect(r, "by");
    k_transpose(&r->b, dst, di, dst_step, src, si, src_step, rows, operand(r, DT_I64), valid);
}

/* The statement stands as written: nothing is folded. */
static void read_prim(reader *r, const names *outs) {
    bool libm = accept(r, "libm.");
    if (!libm && r->end - r->at > 5 && !memcmp(r->at, "libm.", 5)) libm = true, r->at += 5;
    ir_prim p = primitive(r, word(r, "a statement"));
    rt_dtype d = dtype(r), result;
    k_value *in[3];
    for (int i = 0; i < ir_prims[p].arity; i++) {
        if (i) expect(r, ",");
        in[i] = operand(r, p == K_SELECT && i == 0 ? DT_BOOL : d);
    }
    result = ir_prims[p].result == 'B' ? DT_BOOL : d;
    if (p == K_CAST || p == K_BITCAST) {
        expect(r, "to");
        result = dtype(r);
    }
    k_inst *n = k_prim_inst(&r->b, p, result, ir_prims[p].arity, in);
    n->libm = libm;
    bind_outs(r, outs, n);
}

static names result_names(reader *r) {
    names outs = {0};
    skip(r);
    if (r->at >= r->end || *r->at != '%') return outs;
    do {
        if (outs.n == MAX_NAMES) fail(r, "too many results", "");
        outs.at[outs.n++] = sigil_name(r, "%");
    } while (accept(r, ","));
    expect(r, "=");
    return outs;
}

static void statement(reader *r) {
    names outs = result_names(r);
    if (accept(r, "for")) read_for(r, &outs);
    else if (accept(r, "if")) read_if(r, &outs);
    else if (accept(r, "load")) read_load(r, &outs);
    else if (accept(r, "lane_reduce")) read_reduce(r, &outs);
    else if (outs.n) read_prim(r, &outs);
    else if (accept(r, "store")) read_store(r);
    else if (accept(r, "transpose")) read_transpose(r);
    else if (accept(r, "prefetch")) read_prefetch(r);
    else if (accept(r, "contract")) read_contract(r);
    else if (accept(r, "raise")) read_raise(r);
    else if (accept(r, "call")) read_call(r);
    else if (accept(r, "barrier")) k_barrier(&r->b);
    else if (accept(r, "async_copy")) read_copy(r);
    else if (accept(r, "async_wait")) k_async_wait(&r->b, small(r, 0, 64));
    else fail(r, "expected ", "a statement");
}

static bool at_block_end(reader *r) {
    skip(r);
    if (r->at >= r->end) fail(r, "expected ", "}");
    return *r->at == '}' || (r->end - r->at > 5 && !memcmp(r->at, "yield", 5) && !word_char(r->at[5]));
}

static void statements(reader *r) {
    while (!at_block_end(r)) statement(r);
}

/* ---- kernels */

static void table_data(reader *r, k_buffer *buf) {
    char *data = rt_arena_array(&r->c->arena, (size_t)buf->size, (size_t)rt_dtypes[buf->dtype].bytes);
    expect(r, "=");
    expect(r, "{");
    for (int64_t i = 0; i < buf->size; i++) {
        if (i) expect(r, ",");
        const k_value *v = literal(r, buf->dtype);
        if (rt_dtypes[buf->dtype].kind == 'F') rt_store_f64(data, buf->dtype, i, v->f);
        else rt_store_i64(data, buf->dtype, i, v->i);
    }
    expect(r, "}");
    buf->data = data;
}

static bool scratch(reader *r) {
    static const struct {
        const char *word;
        k_scope scope;
    } scopes[] = {{"local", KS_LOCAL}, {"shared", KS_SHARED}, {"register", KS_REGISTER}, {"table", KS_TABLE}};
    for (size_t i = 0; i < RT_COUNT(scopes); i++) {
        if (!accept(r, scopes[i].word)) continue;
        const char *name = sigil_name(r, "%");
        expect(r, ":");
        rt_dtype d = dtype(r);
        expect(r, "[");
        int64_t size = small(r, 0, 1 << 24);
        expect(r, "]");
        k_buffer *buf = k_scratch(r->b.k, scopes[i].scope, d, size, name);
        if (buf->name != name) fail(r, "defined twice: %", name);
        if (accept(r, "align")) buf->align = small(r, 1, 4096);
        if (buf->scope == KS_TABLE) table_data(r, buf);
        return true;
    }
    return false;
}

static void param(reader *r) {
    const char *name = sigil_name(r, "%");
    expect(r, ":");
    rt_dtype d = dtype(r);
    if (!accept(r, "[")) {
        k_value *v = k_scalar(r->b.k, d, name);
        bind(r, name, v);
        return;
    }
    expect(r, "]");
    if (r->b.k->scalars.n) fail(r, "buffers come before scalars", "");
    k_buffer *buf = k_arg(r->b.k, d, name);
    if (buf->name != name) fail(r, "defined twice: %", name);
    if (accept(r, "align")) buf->align = small(r, 1, 4096);
    if (accept(r, "alias")) buf->may_alias = true;
}

static void kernel(reader *r) {
    expect(r, "kernel");
    ir_span span = place(r, r->at);
    const char *name = sigil_name(r, "@");
    r->scope.n = 0;
    r->b = k_build(k_kernel_new(r->c, name));
    r->b.k->span = span;
    expect(r, "(");
    if (!accept(r, ")")) {
        do param(r);
        while (accept(r, ","));
        expect(r, ")");
    }
    r->b.k->fast = accept(r, "fast");
    expect(r, "{");
    while (scratch(r)) continue;
    statements(r);
    expect(r, "}");
    RT_PUSH(&r->c->arena, &r->kernels, r->b.k);
}

int k_read(ir_context *c, const char *file, const char *text, size_t n, k_kernel ***kernels) {
    reader r = {.c = c, .file = file, .text = text, .at = text, .end = text + n};
    reader *volatile p = &r;
    ir_source_add(c, file, text, n);
    if (setjmp(r.failed)) return -1;
    for (skip(p); p->at < p->end; skip(p)) kernel(p);
    *kernels = p->kernels.at;
    return p->kernels.n;
}
