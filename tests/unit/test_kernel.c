/* test_kernel.c: the kernel IR and its code generation.
 *
 * Every file of tests/text/kernel is read, verified, printed and read again; then its last kernel runs in the
 * interpreter, and compiled at -O0 and at -O3, whole and in two ranges of the grid loop; all bits must agree
 * (any NaN is any NaN).
 *
 *   test kernel                      first line; then kernels, then
 *   --- run                          one line per parameter: `x: 1 2 3`, `x: zero 9`, `x: iota 9`, `x: random
 * 9 SEED`, `x: special 9`, `n: 9`
 *   --- want                         the buffers that the kernel writes, or `raise CODE (args)`
 *
 * `test kernel error`: kernels that must be refused; want holds the messages.  JITC_BLESS=1 rewrites what is
 * wanted. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codegen/llvm.h"

#ifndef JITC_SOURCE_DIR
#define JITC_SOURCE_DIR "."
#endif

enum { MAX_ARGS = 80, PAGE = 4096, SHOWN = 48 };

typedef struct args {
    int nbuffers, nscalars;
    void *data[MAX_ARGS];
    size_t bytes[MAX_ARGS];
    int64_t size[MAX_ARGS], scalar[MAX_ARGS], error[K_MAX_RAISE];
    int status;
} args;

/* ---- files */

static char *read_text(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    char *s = calloc(1, 1 << 20);
    *n = fread(s, 1, (1 << 20) - 1, f);
    fclose(f);
    return s;
}

static char *section(char *text, const char *mark) {
    char *s = strstr(text, mark);
    if (!s) return NULL;
    *s = 0;
    return s + strlen(mark);
}

/* ---- arguments */

static double special(int64_t i) {
    static const double x[] = {
        0,    -0.0,  1,      -1,           INFINITY,      -INFINITY,    NAN,           0.5,
        -0.5, 1e-40, -1e-40, 3.4028234e38, -3.4028234e38, 2147483648.0, -2147483648.0, 4294967296.0,
        1e10, -1e19, 255,    256,          -129,          127.5,        2.5,           3.5,
        800,  -800,  1e-8,   65504,        65520,         6e-8,         3e-5,          9.2233720368547758e18};
    return x[(size_t)i % RT_COUNT(x)];
}

static uint64_t next_random(uint64_t *s) {
    return *s = *s * 6364136223846793005u + 1442695040888963407u, *s >> 11;
}

static void put(void *p, rt_dtype d, int64_t i, double f, int64_t k) {
    if (rt_dtypes[d].kind == 'F') rt_store_f64(p, d, i, f);
    else rt_store_i64(p, d, i, d == DT_BOOL ? k & 1 : k);
}

/* A copy that ends where a page begins that cannot be read: accesses behind the end crash. */
static size_t whole_pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

static void *fenced(const void *p, size_t bytes) {
    size_t whole = whole_pages(bytes);
    char *base = mmap(NULL, whole + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(base != MAP_FAILED && !mprotect(base + whole, PAGE, PROT_NONE));
    return memcpy(base + whole - bytes, p, bytes);
}

static void *filled(rt_dtype d, const char *line, int64_t *size) {
    char word[16] = "";
    long long n = 0, seed = 1;
    bool list = sscanf(line, "%15[a-z] %lld %lld", word, &n, &seed) < 2 || !strcmp(word, "nan") ||
                !strcmp(word, "inf");
    void *p = calloc(1, 1 << 20);
    uint64_t s = (uint64_t)seed;
    char *end;
    if (list) {
        int64_t i = 0;
        for (const char *at = line;; at = end, i++) {
            double x = strtod(at, &end);
            if (end == at) break;
            put(p, d, i, x, (int64_t)x);
        }
        n = i;
    }
    for (int64_t i = 0; i < n && !list; i++) {
        double f = special(i);
        int64_t k = isfinite(f) && fabs(f) < 9e18 ? (int64_t)f : INT64_MIN;
        uint64_t r = next_random(&s);
        if (!strcmp(word, "zero")) f = 0, k = 0;
        if (!strcmp(word, "iota")) f = (double)i, k = i;
        if (!strcmp(word, "random"))
            f = (double)(int64_t)(r % 4000001) / 1000000 - 2, k = (int64_t)(r % 201) - 100;
        put(p, d, i, f, k);
    }
    void *q = fenced(p, (size_t)n * (size_t)rt_dtypes[d].bytes);
    free(p);
    *size = n;
    return q;
}

static int64_t scalar_of(rt_dtype d, const char *line) {
    double x = strtod(line, NULL);
    float f = (float)x;
    int64_t r = 0;
    if (d == DT_F64) memcpy(&r, &x, 8);
    else if (d == DT_F32) memcpy(&r, &f, 4);
    else r = strtoll(line, NULL, 10);
    return r;
}

static const char *line_of(const char *run, const char *name) {
    size_t n = strlen(name);
    for (const char *s = run; s && *s; s = strchr(s, '\n'), s = s ? s + 1 : NULL)
        if (!strncmp(s, name, n) && s[n] == ':') return s + n + 1 + (s[n + 1] == ' ');
    return "";
}

static args make_args(const k_kernel *k, const char *run) {
    args a = {k->nargs, k->scalars.n};
    char line[8192];
    for (int i = 0; i < k->nargs; i++) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(line_of(run, k->buffers.at[i]->name), "\n"),
                 line_of(run, k->buffers.at[i]->name));
        a.data[i] = filled(k->buffers.at[i]->dtype, line, &a.size[i]);
        a.bytes[i] = (size_t)a.size[i] * (size_t)rt_dtypes[k->buffers.at[i]->dtype].bytes;
    }
    for (int i = 0; i < k->scalars.n; i++)
        a.scalar[i] = scalar_of(k->scalars.at[i]->dtype, line_of(run, k->scalars.at[i]->name));
    return a;
}

static void free_args(args *a) {
    for (int i = 0; i < a->nbuffers; i++) {
        size_t whole = whole_pages(a->bytes[i]);
        munmap((char *)a->data[i] + a->bytes[i] - whole, whole + PAGE);
    }
}

/* ---- comparing and printing */

static bool same_element(rt_dtype d, const void *p, const void *q, int64_t i) {
    size_t n = (size_t)rt_dtypes[d].bytes;
    if (!memcmp((const char *)p + (size_t)i * n, (const char *)q + (size_t)i * n, n)) return true;
    return rt_dtypes[d].kind == 'F' && isnan(rt_load_f64(p, d, i)) && isnan(rt_load_f64(q, d, i));
}

static void expect_same(const char *file, const char *how, const k_kernel *k, const args *a, const args *b) {
    cr_expect(a->status == b->status, "%s: %s: status %d, interpreter %d", file, how, b->status, a->status);
    if (a->status || b->status) {
        cr_expect(!memcmp(a->error, b->error, sizeof a->error), "%s: %s: other arguments of raise", file,
                  how);
        return;
    }
    for (int i = 0; i < k->nargs; i++) {
        rt_dtype d = k->buffers.at[i]->dtype;
        for (int64_t j = 0; j < a->size[i]; j++) {
            if (same_element(d, a->data[i], b->data[i], j)) continue;
            cr_expect(false, "%s: %s: %s[%lld] is %.17g, interpreter %.17g", file, how,
                      k->buffers.at[i]->name, (long long)j, rt_load_f64(b->data[i], d, j),
                      rt_load_f64(a->data[i], d, j));
            break;
        }
    }
}

static void put_element(rt_text *out, rt_dtype d, const void *p, int64_t i) {
    double f = rt_dtypes[d].kind == 'F' ? rt_load_f64(p, d, i) : 0;
    if (isnan(f)) rt_text_str(out, " nan");
    else if (rt_dtypes[d].kind == 'F') rt_text_fmt(out, " %.*g", d == DT_F64 ? 10 : 7, f);
    else rt_text_fmt(out, " %lld", (long long)rt_load_i64(p, d, i));
}

static void put_results(rt_text *out, const k_kernel *k, const args *a) {
    if (a->status) {
        rt_text_fmt(out, "raise %d (%lld, %lld)\n", a->status, (long long)a->error[0],
                    (long long)a->error[1]);
        return;
    }
    for (int i = 0; i < k->nargs; i++) {
        const k_buffer *buf = k->buffers.at[i];
        if (!buf->writes) continue;
        rt_text_fmt(out, "%s:", buf->name);
        for (int64_t j = 0; j < a->size[i] && j < SHOWN; j++) put_element(out, buf->dtype, a->data[i], j);
        if (a->size[i] > SHOWN) rt_text_str(out, " ...");
        rt_text_str(out, "\n");
    }
}

/* ---- execution */

static void interpret(const k_kernel *k, int width, args *a) {
    int64_t n = k_grid_count(k, a->data, a->scalar), middle = n / 3;
    a->status = k_eval(k, width, a->data, a->size, a->scalar, 0, middle, a->error);
    if (!a->status) a->status = k_eval(k, width, a->data, a->size, a->scalar, middle, n, a->error);
}

static void execute(ir_context *c, const char *file, const k_kernel *k, int opt, const char *spec,
                    bool halves, args *a) {
    cg_target *t = cg_target_new(c, spec, opt);
    cg_module *m = cg_module_new(c, t, "test");
    cg_jit *j = cg_jit_new(c);
    const char *symbol = ir_fmt(c, "jitc_test_%s", k->name);
    bool ok = cg_add_kernel(m, k, symbol, true) && cg_jit_add(j, m);
    rt_text diags = {0};
    if (!ok) ir_diags_print(c, &diags, false);
    cr_assert(ok, "%s: -O%d: %s", file, opt, diags.s);
    cg_kernel_fn *f = (cg_kernel_fn *)cg_jit_find(j, symbol);
    cg_count_fn *count = (cg_count_fn *)cg_jit_find(j, ir_fmt(c, "%s.count", symbol));
    int64_t n = count(a->data, a->scalar);
    cr_expect(n == k_grid_count(k, a->data, a->scalar), "%s: -O%d: count %lld", file, opt, (long long)n);
    a->status = f(a->data, a->scalar, 0, halves ? n / 2 : n, a->error);
    if (halves && !a->status) a->status = f(a->data, a->scalar, n / 2, INT64_MAX, a->error);
    cg_jit_free(j);
    cg_target_free(t);
}

static void check_round_trip(ir_context *c, const char *file, int n, k_kernel **k) {
    rt_text a = {0}, b = {0};
    k_kernel **again;
    for (int i = 0; i < n; i++) k_print(&a, k[i]);
    int m = k_read(c, "printed", a.s, a.n, &again);
    cr_assert(m == n, "%s: the printed text cannot be read:\n%s", file, a.s);
    for (int i = 0; i < n; i++) k_print(&b, again[i]);
    cr_expect(!strcmp(a.s, b.s), "%s: no round trip:\n%s\n%s", file, a.s, b.s);
    rt_text_free(&a);
    rt_text_free(&b);
}

static void bless(const char *path, const char *head, const char *run, const char *got) {
    FILE *f = fopen(path, "wb");
    fputs(head, f);
    if (run) fprintf(f, "--- run\n%s", run);
    fprintf(f, "--- want\n%s", got);
    fclose(f);
}

static void compare_want(const char *path, const char *head, const char *run, const char *want,
                         const char *got) {
    if (getenv("JITC_BLESS")) bless(path, head, run, got);
    else
        cr_expect(want && !strcmp(want, got), "%s: got\n%s\nwanted\n%s", path, got,
                  want ? want : "(nothing)");
}

static void run_kernel(ir_context *c, const char *path, const k_kernel *k, const char *run, rt_text *got) {
    const char *spec = getenv("JITC_TEST_TARGET"); /* another level that this machine can run */
    if (!spec) spec = "host";
    cg_target *t = cg_target_new(c, spec, 0);
    int width = t->width;
    cg_target_free(t);
    args want = make_args(k, run);
    interpret(k, width, &want);
    put_results(got, k, &want);
    for (int opt = 0; opt <= 3; opt += 3)
        for (int halves = 0; halves < 2; halves++) {
            args a = make_args(k, run);
            execute(c, path, k, opt, spec, halves, &a);
            expect_same(path, opt ? "-O3" : "-O0", k, &want, &a);
            free_args(&a);
        }
    free_args(&want);
}

static void test_good(ir_context *c, const char *path, char *text, char *run, char *want) {
    k_kernel **k;
    rt_text diags = {0}, got = {0};
    const char *body = strchr(text, '\n') + 1;
    int n = k_read(c, path, body, strlen(body), &k);
    for (int i = 0; i < n; i++)
        if (!k_verify(k[i])) n = -1;
    if (n < 1) ir_diags_print(c, &diags, false);
    cr_assert(n > 0, "%s", diags.s);
    check_round_trip(c, path, n, k);
    if (run) run_kernel(c, path, k[n - 1], run, &got);
    if (run) compare_want(path, text, run, want, got.s ? got.s : "");
    rt_text_free(&got);
}

static void test_bad(ir_context *c, const char *path, char *text, char *want) {
    k_kernel **k;
    rt_text got = {0};
    const char *body = strchr(text, '\n') + 1;
    int n = k_read(c, "kernel", body, strlen(body), &k);
    for (int i = 0; i < n; i++) k_verify(k[i]);
    for (int i = 0; i < c->diags.n; i++) rt_text_fmt(&got, "%s\n", c->diags.at[i].text);
    compare_want(path, text, NULL, want, got.s ? got.s : "");
    rt_text_free(&got);
}

static void test_file(const char *path) {
    size_t n;
    char *text = read_text(path, &n), *want = section(text, "--- want\n"), *run = section(text, "--- run\n");
    ir_context *c = ir_context_new();
    if (!strncmp(text, "test kernel error", 17)) test_bad(c, path, text, want);
    else test_good(c, path, text, run, want);
    ir_context_free(c);
    free(text);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

Test(kernel, text_files, .timeout = 600) {
    const char *dir = JITC_SOURCE_DIR "/tests/text/kernel", *only = getenv("JITC_TEST");
    char *names[512];
    int n = 0;
    DIR *d = opendir(dir);
    cr_assert(d, "%s", dir);
    for (struct dirent *e; (e = readdir(d)) && n < 512;)
        if (strstr(e->d_name, ".kir") && (!only || strstr(e->d_name, only)))
            asprintf(&names[n++], "%s/%s", dir, e->d_name);
    closedir(d);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++) {
        test_file(names[i]);
        free(names[i]);
    }
}

#if defined(__x86_64__)
/* What takes the place of instructions that the plainest level lacks (fma, rounding) gives the same bits. */
Test(kernel, plainest_level, .timeout = 600) {
    setenv("JITC_TEST_TARGET", "x86-64", 1); /* each test is a process of its own */
    test_file(JITC_SOURCE_DIR "/tests/text/kernel/prims_f32.kir");
    test_file(JITC_SOURCE_DIR "/tests/text/kernel/prims_f64.kir");
}
#endif

/* ---- accuracy of math.c: floats of all magnitudes against libm in double */

static double reference(ir_prim p, double x) {
    ir_scalar a = {.f = x};
    return ir_prim_eval(p, DT_F64, DT_F64, &a).f;
}

/* Distance of got from the exact value in units of the last place of f32. */
static double ulps(float got, double exact) {
    float near = (float)exact;
    if (isnan(exact) || isnan(got)) return isnan(exact) && isnan(got) ? 0 : 1e9;
    if (got == near) return signbit(got) == signbit(near) ? 0 : 1e9;
    if (isinf(near) || isinf(got)) return 1e9;
    int e;
    frexp(exact, &e);
    return fabs((double)got - exact) / ldexp(1, e < -125 ? -149 : e - 24);
}

static k_kernel *map_kernel(ir_context *c, ir_prim p, rt_dtype d) {
    k_kernel *k = k_kernel_new(c, ir_fmt(c, "map_%s", ir_prims[p].name));
    k_buffer *x = k_arg(k, d, "x"), *y = k_arg(k, d, "y");
    k_value *n = k_scalar(k, DT_I64, "n");
    k_builder b = k_build(k);
    k_inst *l = k_for(&b, KL_VECTOR, 0, k_i64(&b, 0), n, 1);
    k_store(&b, y, k_var(l), k_1(&b, p, k_load(&b, x, k_var(l))));
    k_end(&b, 0, NULL);
    return k;
}

/* Every STEP-th float, and the neighbours of where sequences change their formula or results their kind. */
enum { STEP = 30011, NSTEPS = (int)(0x100000000 / STEP), NEAR = 50 };

static const float edges[] = {
    0,          FLT_MIN,    0x1p-23f,   0x1p-12f,   0.5f,       0.54f,      0.55f,      0.6666667f, 0.70710678f, 1,
    1.05f,      1.3333334f, 1.4142135f, 1.5707964f, 3.1415927f, 3.9140625f, 9.1f,       16.635532f, 17.5f,       71476,
    87.33654f,  88.37626f,  88.72284f,  89.2f,      89.415985f, 90,         102.3f,     103.97208f, 105,         126,
    127,        128,        149,        150,        0x1p24f,    0x1p40f,    0x1p127f,   FLT_MAX,    INFINITY,
};
enum { NEDGES = (int)RT_COUNT(edges), NFLOATS = NSTEPS + NEDGES * (2 * NEAR + 1) * 2 };

static float float_of(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static void fill_floats(float *x) {
    for (int i = 0; i < NSTEPS; i++) *x++ = float_of((uint32_t)i * STEP);
    for (int e = 0; e < NEDGES; e++)
        for (int k = -NEAR; k <= NEAR; k++) {
            uint32_t u;
            memcpy(&u, &edges[e], 4);
            u = k < 0 && u < (uint32_t)-k ? 0 : u + (uint32_t)k;
            *x++ = float_of(u);
            *x++ = float_of(u | 0x80000000);
        }
}

typedef struct accuracy_row {
    ir_prim p;
    double limit; /* in units of the last place, as bench/ulp.c finds it over all floats */
} accuracy_row;

/* Only results between `low` and `high` in magnitude count. */
static void check_accuracy(bool fast, const accuracy_row *rows, size_t nrows, double low, double high) {
    float *x = malloc(NFLOATS * 4), *y = malloc(NFLOATS * 4);
    fill_floats(x);
    ir_context *c = ir_context_new();
    c->fast_math = fast;
    cg_target *t = cg_target_new(c, "host", 2);
    cg_jit *j = cg_jit_new(c);
    for (size_t r = 0; r < nrows; r++) {
        cg_module *m = cg_module_new(c, t, "accuracy");
        const k_kernel *k = map_kernel(c, rows[r].p, DT_F32);
        cr_assert(cg_add_kernel(m, k, k->name, true) && cg_jit_add(j, m));
        cg_kernel_fn *f = (cg_kernel_fn *)cg_jit_find(j, k->name);
        int64_t n = NFLOATS, error[K_MAX_RAISE];
        f((void *[]){x, y}, &n, 0, 1, error);
        double worst = 0, at = 0;
        for (int i = 0; i < NFLOATS; i++) {
            double exact = reference(rows[r].p, (double)x[i]), e = ulps(y[i], exact);
            if (e > worst && !(fabs(exact) < low) && !(fabs(exact) > high)) worst = e, at = (double)x[i];
        }
        cr_expect(worst <= rows[r].limit, "%s: %.2f ULP at %.9g", ir_prims[rows[r].p].name, worst, at);
    }
    cg_jit_free(j);
    cg_target_free(t);
    ir_context_free(c);
    free(x);
    free(y);
}

Test(kernel, accuracy, .timeout = 600) {
    static const accuracy_row rows[] = {
        {K_EXP, 1.1},    {K_EXP2, 1.03},     {K_EXPM1, 1.5},  {K_LOG, 1},       {K_LOG2, 1.5},   {K_LOG10, 1.64},
        {K_LOG1P, 1.7},  {K_SIN, 1.5},     {K_COS, 1.5},    {K_TAN, 0.95},    {K_ASIN, 1.6},   {K_ACOS, 1.1},
        {K_ATAN, 1.5},   {K_SINH, 1.5},    {K_COSH, 1.7},   {K_TANH, 1.4},    {K_ASINH, 0.51}, {K_ACOSH, 0.51},
        {K_ATANH, 0.51}, {K_ERF, 1.95},    {K_ERFC, 0.51},  {K_ERFINV, 0.6},  {K_DIGAMMA, 2},  {K_SIGMOID, 1.85}};
    check_accuracy(false, rows, RT_COUNT(rows), 0, INFINITY);
}

/* Relative to the result where that does not vanish; the error in all, up to where the result is x or 0. */
Test(kernel, accuracy_of_gelu) {
    static const accuracy_row rows[] = {{K_GELU, 5.3}};
    check_accuracy(false, rows, 1, 0.17, INFINITY); /* -0.16997 is the least */
    ir_context *c = ir_context_new();
    cg_target *t = cg_target_new(c, "host", 2);
    cg_jit *j = cg_jit_new(c);
    cg_module *m = cg_module_new(c, t, "gelu");
    cr_assert(cg_add_kernel(m, map_kernel(c, K_GELU, DT_F32), "map_gelu", true) && cg_jit_add(j, m));
    static float x[1 << 14], y[1 << 14];
    int64_t n = 1 << 14, error[K_MAX_RAISE];
    for (int i = 0; i < n; i++) x[i] = (float)(i - n / 2) / 1021;
    x[0] = -3e38f, x[1] = 3e38f, x[2] = NAN, x[3] = INFINITY;
    ((cg_kernel_fn *)cg_jit_find(j, "map_gelu"))((void *[]){x, y}, &n, 0, 1, error);
    cr_expect(y[0] == 0 && y[1] == x[1] && isnan(y[2]) && y[3] == INFINITY);
    double worst = 0;
    for (int i = 4; i < n; i++) worst = fmax(worst, fabs(y[i] - reference(K_GELU, x[i])));
    cr_expect(worst <= 3.7e-7, "%g, which is PyTorch's", worst);
    cg_jit_free(j);
    cg_target_free(t);
    ir_context_free(c);
}

Test(kernel, accuracy_fast) { /* 1e-5 is 84 to 168 units; what is the same form is as exact as ever */
    static const accuracy_row rows[] = {{K_EXP, 90}, {K_TANH, 30}, {K_ERF, 110}, {K_SIGMOID, 90}, {K_LOG, 1}};
    check_accuracy(true, rows, RT_COUNT(rows), FLT_MIN, 2e38);
}

/* ---- every target gives an object; data objects and libraries */

static const char many[] = "kernel @many(%A: f32[], %B: f16[], %C: u8[], %y: f32[], %n: i64) {\n"
                           "  register %acc: f32[36]\n"
                           "  for grid %g = 0 to %n {\n"
                           "    for vector %j = 0 to 36 {\n"
                           "      store %acc[%j], 0.0\n"
                           "    }\n"
                           "    contract %acc 4x9 += %A[0] row %n k 1, %B[0] k 9 for %n\n"
                           "    %r = for vector(8) %i = 0 to %n carry (%s: f32 = 0.0) {\n"
                           "      %v = load %A[%i]\n"
                           "      %e = exp f32 %v\n"
                           "      %q = cast f32 %e to u8\n"
                           "      store %C[%i], %q\n"
                           "      %h = load %B[%i]\n"
                           "      %w = cast f16 %h to f32\n"
                           "      %l = lgamma f32 %w\n"
                           "      %d = cast f32 %e to f64\n"
                           "      %f = fma f64 %d, %d, %d\n"
                           "      %o = floor f64 %f\n"
                           "      %p = cast f64 %o to f32\n"
                           "      %t = fma f32 %p, %l, %s\n"
                           "      yield %t\n"
                           "    }\n"
                           "    %u = lane_reduce add %r\n"
                           "    %a = load %acc[7]\n"
                           "    %z = add f32 %u, %a\n"
                           "    store %y[%g], %z\n"
                           "  }\n"
                           "}\n";

static void emit_many(ir_context *c, const char *spec, int opt, rt_text *out) {
    k_kernel **k;
    cr_assert(k_read(c, "many", many, sizeof many - 1, &k) == 1);
    cg_target *t = cg_target_new(c, spec, opt);
    cr_assert(t, "%s", spec);
    cg_module *m = cg_module_new(c, t, "many");
    bool ok = cg_add_kernel(m, k[0], NULL, true) && cg_emit(m, CG_OBJECT, out);
    cr_assert(ok, "%s: %s", spec, c->diags.n ? c->diags.at[0].text : "");
    cg_module_free(m);
    cg_target_free(t);
}

static bool contains(const rt_text *t, const char *s) { return memmem(t->s, t->n, s, strlen(s) + 1) != NULL; }

Test(kernel, targets, .timeout = 600) {
    static const char *const specs[] = {"host",
                                        "x86-64",
                                        "x86-64-v2",
                                        "x86-64-v3",
                                        "x86-64-v4",
                                        "aarch64",
                                        "riscv64",
                                        "riscv64v",
                                        "aarch64-unknown-linux-gnu",
                                        "aarch64+dotprod",
                                        "x86-64-v3+movbe-f16c",
                                        "x86-64-v4+avx512vnni"};
    for (size_t i = 0; i < RT_COUNT(specs); i++)
        for (int opt = 0; opt <= 3; opt += 3) {
            ir_context *c = ir_context_new();
            rt_text a = {0}, b = {0};
            emit_many(c, specs[i], opt, &a);
            emit_many(c, specs[i], opt, &b);
            cr_expect(a.n == b.n && !memcmp(a.s, b.s, a.n), "%s: two runs differ", specs[i]);
            cr_expect(contains(&a, "lgammaf"), "%s", specs[i]);
            cr_expect(!contains(&a, "fmaf") && !contains(&a, "fma") && !contains(&a, "floor") &&
                          !contains(&a, "expf") && !contains(&a, "__extendhfsf2"),
                      "%s calls a library", specs[i]);
            rt_text_free(&a);
            rt_text_free(&b);
            ir_context_free(c);
        }
    ir_context *c = ir_context_new();
    cr_expect(!cg_target_new(c, "z80", 2));
    cr_expect(c->nerrors == 1);
    ir_context_free(c);
}

/* Levels of one artefact: the best first, whatever their order in the option. */
Test(kernel, levels) {
    static const struct {
        const char *spec, *order, *needs;
    } rows[] = {{"cpu:x86-64-v2,x86-64-v4,x86-64-v3", "x86-64-v4 x86-64-v3 x86-64-v2 ", "x86-64-v4"},
                {"cpu:x86-64,x86-64-v3+avxvnni,x86-64-v3", "x86-64-v3+avxvnni x86-64-v3 x86-64 ", "x86-64-v3,avxvnni"},
                {"cpu:riscv64,riscv64v", "riscv64v riscv64 ", "v"},
                {"cpu:aarch64,aarch64+dotprod", "aarch64+dotprod aarch64 ", "neon,dotprod"}};
    static const char *const bad[] = {"cpu:", "cpu:x86-64,", "cpu:x86-64,aarch64", "cpu:x86-64-v3,x86-64-v3",
                                      "cpu:x86-64,z80"};
    ir_context *c = ir_context_new();
    for (size_t i = 0; i < RT_COUNT(rows); i++) {
        rt_text order = {0};
        cg_target *best = cg_target_new(c, rows[i].spec, 2);
        for (cg_target *t = best; t; t = t->lower) rt_text_fmt(&order, "%s ", t->spec);
        cr_expect_str_eq(order.s, rows[i].order);
        cr_expect_str_eq(cg_target_needs(c, best), rows[i].needs);
        cg_target_free(best);
        rt_text_free(&order);
    }
    for (size_t i = 0; i < RT_COUNT(bad); i++) {
        int before = c->nerrors;
        cr_expect(!cg_target_new(c, bad[i], 2) && c->nerrors == before + 1, "%s", bad[i]);
    }
    ir_context_free(c);
}

static void write_all(const char *path, const rt_text *t) {
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(t->s, 1, t->n, f) == t->n);
    fclose(f);
}

Test(kernel, library, .timeout = 120) {
    char dir[] = "/tmp/jitc-test-XXXXXX";
    cr_assert(mkdtemp(dir));
    static const char *const specs[] = {"host", "aarch64", "riscv64"};
    char *weights = malloc(100000);
    for (int i = 0; i < 100000; i++) weights[i] = (char)(i * 7);
    const cg_piece pieces[] = {{64, weights, 1000}, {4096, weights + 1000, 99000}};
    for (size_t i = 0; i < RT_COUNT(specs); i++) {
        ir_context *c = ir_context_new();
        rt_text object = {0};
        cg_target *t = cg_target_new(c, specs[i], 2);
        const char *code = ir_fmt(c, "%s/code.o", dir), *data = ir_fmt(c, "%s/data.o", dir),
                   *so = ir_fmt(c, "%s/m.so", dir);
        emit_many(c, specs[i], 2, &object);
        write_all(code, &object);
        cr_assert(cg_write_data_object(c, t, "m_weights", 110000, 2, pieces, data));
        cr_assert(cg_object_undefined(code) && !cg_object_undefined(data));
        const char *linker;
        if (cg_find_linker(c, t, &linker)) {
            bool ok = cg_link_shared(c, t, 2, (const char *[]){code, data}, "m.so", so);
            cr_assert(ok, "%s: %s", specs[i], c->diags.n ? c->diags.at[0].text : "");
            size_t n, again;
            char *a = read_text(so, &n), *b;
            const char *other = ir_fmt(c, "%s/other.so", dir);
            cr_assert(cg_link_shared(c, t, 2, (const char *[]){code, data}, "m.so", other));
            b = read_text(other, &again);
            cr_expect(n == again && !memcmp(a, b, n), "%s: the name of the file changes its bytes", specs[i]);
            cr_expect(memmem(a, n, weights, 1000) && memmem(a, n, "libm.so.6", 9) &&
                      !memmem(a, n, dir, strlen(dir)));
            free(a), free(b);
            remove(other);
        }
        cr_expect(!cg_link_shared(c, t, 1, (const char *[]){"/nonexistent.o"}, "m.so",
                                  ir_fmt(c, "%s/bad.so", dir)) &&
                  c->nerrors);
        remove(code), remove(data), remove(so);
        rt_text_free(&object);
        cg_target_free(t);
        ir_context_free(c);
    }
    free(weights);
    rmdir(dir);
}
