/* test_dim.c: normal forms, ranges, comparisons, division and text of symbolic sizes. */
#include "ir/ir.h"

#include <criterion/criterion.h>

static ir_context *c;

static void start(void) { c = ir_context_new(); }
static void stop(void) { ir_context_free(c); }

TestSuite(dim, .init = start, .fini = stop);

static const ir_dim *dim(const char *text) {
    const char *at = text, *end = text + strlen(text);
    const ir_dim *d = ir_dim_parse(c, &at, end);
    cr_assert(d && at == end, "parse '%s'", text);
    return d;
}

static void expect_text(const ir_dim *d, const char *want) {
    rt_text t = {0};
    ir_dim_print(&t, d);
    cr_expect_str_eq(t.s, want);
    const char *at = t.s;
    cr_expect_eq(ir_dim_parse(c, &at, t.s + t.n), d, "'%s' reads back as itself", t.s);
    rt_text_free(&t);
}

static void expect_same(const char *a, const char *b) { cr_expect_eq(dim(a), dim(b), "%s is %s", a, b); }

static void symbol(const char *name, int64_t lo, int64_t hi) {
    ir_symbol *s = ir_symbol_get(c, name);
    s->lo = lo;
    s->hi = hi;
}

Test(dim, normal_form) {
    expect_text(dim("3 + N*4"), "N*4 + 3");
    expect_text(dim("0"), "0");
    expect_text(dim("M*N - N*M"), "0");
    expect_text(dim("-N + 2"), "-N + 2");
    expect_text(dim("(N + 1)*(N - 1)"), "N*N - 1");
    expect_text(dim("N + M + N"), "M + N*2");
    expect_same("(N + M)*(N + M)", "N*N + 2*M*N + M*M");
    expect_same("N*(M + K)", "K*N + N*M");
    expect_text(dim("-9223372036854775807 - 1"), "-9223372036854775807 - 1");
    expect_text(dim("N*(-9223372036854775807 - 1)"), "-N*9223372036854775807 - N");
    expect_text(dim("\"batch size\"*2"), "\"batch size\"*2");
    expect_text(dim("\"min\" + 1"), "\"min\" + 1");
}

Test(dim, order_is_by_name) {
    /* The same sizes built in another order of first mention print the same. */
    dim("Z");
    expect_text(dim("Z*A + B"), "A*Z + B");
    expect_text(dim("floordiv(Z, 2) + A"), "A + floordiv(Z, 2)");
}

Test(dim, floordiv) {
    expect_same("floordiv(7, 2)", "3");
    expect_same("floordiv(-7, 2)", "-4");
    expect_same("floordiv(7, -2)", "-4");
    expect_same("floordiv(4*N + 3, 4)", "N");
    expect_same("floordiv(4*N + 6, 4)", "N + 1");
    expect_same("floordiv(4*N + 2*M, 2)", "2*N + M");
    expect_text(dim("floordiv(N + 1, 2)"), "floordiv(N + 1, 2)");
    expect_same("floordiv(6*N + 5, 4)", "N + floordiv(N + 2, 2)"); /* 6N+5 = 4N + 2N+5 = 4(N+1) + 2N+1 */
    /* two convolutions of stride 2 */
    expect_same("floordiv(floordiv(N - 1, 2), 2)", "floordiv(N - 1, 4)");
    expect_same("floordiv(floordiv(N - 1, 2) + 1 - 1, 2) + 1", "floordiv(N - 1, 4) + 1");
    expect_same("floordiv(N*M, N)", "M");
    expect_same("floordiv(N*M + N, M + 1)", "N");
    symbol("K", 0, 7);
    expect_same("floordiv(K, 8)", "0");
    expect_same("floordiv(8*N + K, 8)", "N");
}

Test(dim, mod) {
    expect_same("mod(-7, 3)", "2");
    expect_same("mod(4*N + 1, 4)", "1");
    expect_same("mod(6*N + 5, 4)", "mod(2*N + 1, 4)");
    expect_same("mod(N*M, M)", "0");
    symbol("K", 0, 7);
    expect_same("mod(K, 8)", "K");
    expect_same("mod(8*N + K, 8)", "K");
}

Test(dim, min_max) {
    expect_same("min(3, 5)", "3");
    expect_same("max(N, N + 1)", "N + 1");
    expect_same("max(N, 1)", "N");
    expect_same("max(max(N, M), M)", "max(N, M)");
    expect_same("max(N, M)", "max(M, N)");
    expect_text(dim("min(N, 64)"), "min(N, 64)");
}

Test(dim, ranges) {
    int64_t lo, hi;
    symbol("N", 1, 64);
    symbol("K", -2, 3);
    ir_dim_range(c, dim("2*N + 1"), &lo, &hi);
    cr_expect(lo == 3 && hi == 129);
    ir_dim_range(c, dim("-N"), &lo, &hi);
    cr_expect(lo == -64 && hi == -1);
    ir_dim_range(c, dim("K*N"), &lo, &hi);
    cr_expect(lo == -128 && hi == 192);
    ir_dim_range(c, dim("floordiv(K, 2)"), &lo, &hi);
    cr_expect(lo == -1 && hi == 1);
    ir_dim_range(c, dim("mod(N, 10)"), &lo, &hi);
    cr_expect(lo == 0 && hi == 9);
    ir_dim_range(c, dim("min(N, 10)"), &lo, &hi);
    cr_expect(lo == 1 && hi == 10);
    symbol("B", INT64_MIN, INT64_MAX);
    ir_dim_range(c, dim("B*B + N"), &lo, &hi);
    cr_expect(lo == INT64_MIN && hi == INT64_MAX);
}

Test(dim, comparisons) {
    cr_expect_eq(ir_dim_eq(c, dim("N + 1"), dim("N")), IR_NO);
    cr_expect_eq(ir_dim_eq(c, dim("2*N"), dim("2*M + 1")), IR_NO);
    cr_expect_eq(ir_dim_eq(c, dim("N"), dim("M")), IR_UNKNOWN);
    cr_expect_eq(ir_dim_eq(c, dim("N"), dim("0")), IR_NO);
    cr_expect_eq(ir_dim_lt(c, dim("N"), dim("N + 1")), IR_YES);
    cr_expect_eq(ir_dim_lt(c, dim("N"), dim("1")), IR_NO);
    cr_expect_eq(ir_dim_le(c, dim("1"), dim("N")), IR_YES);
    cr_expect_eq(ir_dim_le(c, dim("2"), dim("N")), IR_UNKNOWN);
    cr_expect_eq(ir_dim_le(c, dim("N"), dim("N*M")), IR_YES);
    cr_expect_eq(ir_dim_lt(c, dim("N*M"), dim("N")), IR_NO);
    cr_expect_eq(ir_dim_le(c, dim("N + M"), dim("2*N*M")), IR_YES);
    cr_expect_eq(ir_dim_le(c, dim("floordiv(N, 2)"), dim("N")), IR_UNKNOWN);
}

Test(dim, exact_div) {
    cr_expect_eq(ir_dim_exact_div(c, dim("6*N*M"), dim("2*N")), dim("3*M"));
    cr_expect_eq(ir_dim_exact_div(c, dim("N*N - 1"), dim("N + 1")), dim("N - 1"));
    cr_expect_eq(ir_dim_exact_div(c, dim("0"), dim("N")), dim("0"));
    cr_expect_null(ir_dim_exact_div(c, dim("N + 1"), dim("2")));
    cr_expect_null(ir_dim_exact_div(c, dim("N"), dim("M")));
    cr_expect_null(ir_dim_exact_div(c, dim("N"), dim("0")));
    cr_expect_eq(ir_dim_exact_div(c, dim("8*floordiv(N, 3)"), dim("4")), dim("2*floordiv(N, 3)"));
}

static bool get(void *env, const char *symbol, int64_t *x) {
    if (!strcmp(symbol, "N")) return *x = *(int64_t *)env, true;
    if (!strcmp(symbol, "M")) return *x = 3, true;
    return false;
}

/* Every simplification keeps the value: compares with the same expression over constants. */
Test(dim, simplified_values) {
    static const char *const texts[] = {
        "floordiv(6*N + 5, 4)",
        "mod(6*N + 5, 4)",
        "floordiv(floordiv(N - 1, 2) + 5, 3)",
        "floordiv(4*N - 7, -6)",
        "mod(N, -5)",
        "floordiv(N*M + 2, 7)",
        "max(min(N, 10) - 3, N*N - 20)",
        "floordiv(9*N + 6*M + 4, 12)",
        "mod(mod(N, 12), 4)",
        "floordiv(-3*N, 2)",
        "mod(-3*N + 1, 5)",
    };
    for (size_t i = 0; i < RT_COUNT(texts); i++)
        for (int64_t n = 1; n < 40; n++) {
            int64_t general, direct;
            cr_assert(ir_dim_eval(dim(texts[i]), get, &n, &general));
            rt_text t = {0};
            for (const char *s = texts[i]; *s; s++)
                if (*s == 'N') rt_text_fmt(&t, "%lld", (long long)n);
                else if (*s == 'M') rt_text_str(&t, "3");
                else rt_text_add(&t, s, 1);
            bool known = ir_dim_is_const(dim(t.s), &direct);
            rt_text_free(&t);
            cr_assert(known, "%s at %lld", texts[i], (long long)n);
            cr_expect_eq(general, direct, "%s at %lld", texts[i], (long long)n);
        }
}

Test(dim, eval_fails) {
    int64_t n = 0, x;
    cr_expect_not(ir_dim_eval(dim("K"), get, &n, &x));
    cr_expect_not(ir_dim_eval(dim("floordiv(M, N)"), get, &n, &x));
    n = INT64_MAX;
    cr_expect_not(ir_dim_eval(dim("N*2"), get, &n, &x));
}

Test(dim, overflow_is_a_fresh_symbol) {
    const ir_dim *big = ir_dim_const(c, INT64_MAX);
    const ir_dim *d = ir_dim_add(c, big, big);
    cr_expect_not(ir_dim_is_const(d, NULL));
    cr_expect_eq(ir_dim_eq(c, d, big), IR_UNKNOWN);
    const char *text = "9223372036854775807*2", *at = text;
    cr_expect_null(ir_dim_parse(c, &at, text + strlen(text)));
}

Test(dim, growth_is_bounded) {
    const ir_dim *d = dim("A + B + C + D + E + F + 1"), *p = d;
    for (int i = 0; i < 30; i++) p = ir_dim_mul(c, p, d);
    for (int i = 0; i < 60; i++) p = ir_dim_max(c, ir_dim_mul(c, p, dim("A")), ir_dim_add(c, p, dim("B")));
    cr_expect_leq(p->size, 2048);
}

static const ir_dim *replace(void *env, const char *symbol) {
    (void)env;
    return !strcmp(symbol, "N") ? dim("2*K") : NULL;
}

Test(dim, subst) { cr_expect_eq(ir_dim_subst(c, dim("floordiv(N, 2) + M"), replace, NULL), dim("K + M")); }

Test(dim, malformed) {
    static const char *const texts[] = {"",   "N +",       "floordiv(N)", "floordiv(N, 0)",      "mod(N, 0)",
                                        "(N", "foo(N, 2)", "*",           "99999999999999999999"};
    for (size_t i = 0; i < RT_COUNT(texts); i++) {
        const char *at = texts[i];
        cr_expect_null(ir_dim_parse(c, &at, at + strlen(at)), "'%s'", texts[i]);
    }
    char deep[1000];
    memset(deep, '(', sizeof deep);
    const char *at = deep;
    cr_expect_null(ir_dim_parse(c, &at, deep + sizeof deep));
}
