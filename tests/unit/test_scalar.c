/* test_scalar.c: scalar bodies: parsing, folding, the meaning of the primitives. */
#include "ir/scalar.h"

#include <criterion/criterion.h>
#include <math.h>

static ir_context *c;
static ir_exprs x;

static void start(void) {
    c = ir_context_new();
    x = (ir_exprs){.c = c};
}
static void stop(void) { ir_context_free(c); }
TestSuite(scalar, .init = start, .fini = stop);

static const ir_expr *parse(const char *text, rt_dtype d, const ir_expr *a, const ir_expr *b) {
    const char *names[] = {"a", "b", "mode.up"};
    const ir_expr *values[] = {a, b, ir_x_int(&x, DT_BOOL, 1)};
    const ir_expr *index[] = {ir_x_index(&x, 0), ir_x_index(&x, 1)};
    return ir_scalar_parse(&x, text, d, 3, names, values, 2, index);
}

/* Value of a body over constants. */
static double value(const char *text, rt_dtype d, double a, double b) {
    const ir_expr *e = parse(text, d, ir_x_float(&x, d, a), ir_x_float(&x, d, b));
    cr_assert(e, "'%s' parses", text);
    cr_assert_eq(e->op, X_CONST, "'%s' folds", text);
    return rt_dtypes[e->dtype].kind == 'F' ? e->f : (double)e->k;
}

Test(scalar, precedence_and_calls) {
    cr_expect_eq(value("a + b * 2", DT_F32, 1, 3), 7);
    cr_expect_eq(value("(a + b) * 2", DT_F32, 1, 3), 8);
    cr_expect_eq(value("-a - -b", DT_F32, 1, 3), 2);
    cr_expect_eq(value("a < b ? a : b > 1 ? 7 : 8", DT_F32, 5, 3), 7);
    cr_expect_eq(value("t = a * a; u = t + 1; u * t", DT_F64, 3, 0), 90);
    cr_expect_eq(value("max(a, min(b, 2))", DT_I64, 1, 9), 2);
    cr_expect_eq(value("a << 2 | b", DT_I32, 1, 3), 7);
    cr_expect_eq(value("a == 1 && b == 3 || false", DT_F32, 1, 3), 1);
    cr_expect_eq(value("1e-3 * a", DT_F64, 1000, 0), 1);
    cr_expect_eq(value("0.1", DT_F32, 0, 0), (double)0.1f);
}

Test(scalar, alternatives_by_kind) {
    const char *text = "f: a * 0.5 || iu: a / 2 || b: !a";
    cr_expect_eq(value(text, DT_F32, 3, 0), 1.5);
    cr_expect_eq(value(text, DT_I16, -3, 0), -1);
    cr_expect_eq(value(text, DT_BOOL, 1, 0), 0);
    cr_expect_null(parse("f: a", DT_I32, ir_x_int(&x, DT_I32, 1), NULL));
}

Test(scalar, none_and_words) {
    const ir_expr *a = ir_x_scalar(&x, 0, DT_F32);
    cr_expect_eq(parse("has(b) ? a + b : a", DT_F32, a, NULL), a);
    cr_expect_eq(parse("mode.up ? a : -a", DT_F32, a, NULL), a);
    cr_expect_eq(parse("mode.down ? -a : a", DT_F32, a, NULL), a);
    cr_expect_eq(parse("compute(at(-1) - at(1)) + a", DT_F32, a, NULL)->op, K_ADD);
    cr_expect_eq(parse("at(-1)", DT_F32, a, NULL), ir_x_index(&x, 1));
}

Test(scalar, errors_are_diagnostics) {
    static const char *const bad[] = {"a +", "foo(a)", "zz", "a ? b", "max(a)", "(a", "a b", "at(7)", ""};
    for (size_t i = 0; i < RT_COUNT(bad); i++) {
        int before = c->nerrors;
        cr_expect_null(parse(bad[i], DT_F32, ir_x_scalar(&x, 0, DT_F32), ir_x_scalar(&x, 1, DT_F32)), "%s",
                       bad[i]);
        cr_expect_gt(c->nerrors, before, "%s", bad[i]);
    }
}

Test(scalar, folding_keeps_float_results) {
    const ir_expr *f = ir_x_scalar(&x, 0, DT_F32), *i = ir_x_index(&x, 0);
    cr_expect_eq(ir_x2(&x, K_MUL, f, ir_x_float(&x, DT_F32, 1)), f);
    cr_expect_neq(ir_x2(&x, K_ADD, f, ir_x_float(&x, DT_F32, 0)), f, "-0 + 0 is 0");
    cr_expect_neq(ir_x2(&x, K_MUL, f, ir_x_float(&x, DT_F32, 0))->op, X_CONST, "nan * 0");
    cr_expect_neq(ir_x2(&x, K_EQ, f, f)->op, X_CONST, "nan == nan");
    cr_expect_eq(ir_x2(&x, K_ADD, i, ir_x_int(&x, DT_I64, 0)), i);
    cr_expect_eq(ir_x2(&x, K_MUL, i, ir_x_int(&x, DT_I64, 0)), ir_x_int(&x, DT_I64, 0));
    cr_expect_eq(ir_x2(&x, K_ADD, i, f->dtype == DT_F32 ? i : i), ir_x2(&x, K_ADD, i, i),
                 "equal nodes are one");
}

Test(scalar, sizes_become_one_dim) {
    const ir_dim *n = ir_dim_symbol(c, "N");
    const ir_expr *e = ir_x2(&x, K_MUL, ir_x_dim(&x, n), ir_x_int(&x, DT_I64, 4));
    cr_expect_eq(e, ir_x_dim(&x, ir_dim_mul(c, n, ir_dim_const(c, 4))));
    cr_expect_eq(ir_x2(&x, K_GE, ir_x_dim(&x, n), ir_x_int(&x, DT_I64, 1)), ir_x_int(&x, DT_BOOL, 1));
}

static const ir_expr *to_scalar(void *env, const ir_expr *leaf) {
    return leaf->op == X_INDEX ? ir_x_int(env, DT_I64, 2 + leaf->i) : NULL;
}

Test(scalar, substitution_folds) {
    const ir_expr *e =
        ir_x2(&x, K_MUL, ir_x_index(&x, 0), ir_x2(&x, K_ADD, ir_x_index(&x, 1), ir_x_index(&x, 0)));
    cr_expect_eq(ir_x_subst(&x, e, to_scalar, &x), ir_x_int(&x, DT_I64, 10));
}

static double f2(ir_prim op, rt_dtype d, double a, double b) {
    ir_scalar s[] = {{.f = a}, {.f = b}};
    return ir_prim_eval(op, d, d, s).f;
}
static int64_t i2(ir_prim op, rt_dtype d, int64_t a, int64_t b) {
    ir_scalar s[] = {{.i = a}, {.i = b}};
    return ir_prim_eval(op, d, d, s).i;
}

Test(scalar, floats) {
    cr_expect(isnan(f2(K_MAX, DT_F32, NAN, 1)) && isnan(f2(K_MIN, DT_F32, 1, NAN)));
    cr_expect_eq(f2(K_ADD, DT_F16, 2048, 1), 2048, "rounded to f16");
    cr_expect_eq(f2(K_ADD, DT_BF16, 256, 1), 256);
    cr_expect_eq(f2(K_MOD, DT_F64, -7, 3), 2);
    cr_expect_eq(f2(K_REM, DT_F64, -7, 3), -1);
    cr_expect_eq(f2(K_FLOORDIV, DT_F64, -7, 3), -3);
    cr_expect(isinf(f2(K_FLOORDIV, DT_F64, 1, 0)));
    cr_expect_eq(f2(K_ROUND, DT_F32, 2.5, 0), 2);
    cr_expect_float_eq(f2(K_ERFINV, DT_F64, 0.5, 0), 0.4769362762044699, 1e-14);
    cr_expect_float_eq(f2(K_DIGAMMA, DT_F64, 0.25, 0), -4.227453533376265, 1e-12);
    cr_expect(isinf(f2(K_ERFINV, DT_F32, -1, 0)));
}

Test(scalar, integers_wrap_and_never_trap) {
    cr_expect_eq(i2(K_ADD, DT_I8, 127, 1), -128);
    cr_expect_eq(i2(K_SUB, DT_U8, 0, 1), 255);
    cr_expect_eq(i2(K_MUL, DT_I32, 1 << 20, 1 << 20), 0);
    cr_expect_eq(i2(K_DIV, DT_I64, INT64_MIN, -1), INT64_MIN);
    cr_expect_eq(i2(K_DIV, DT_I64, 1, 0), 0);
    cr_expect_eq(i2(K_FLOORDIV, DT_I64, -7, 2), -4);
    cr_expect_eq(i2(K_MOD, DT_I64, -7, 2), 1);
    cr_expect_eq(i2(K_SHL, DT_I32, 1, 40), 0);
    cr_expect_eq(i2(K_SHR, DT_I32, -8, 40), -1);
    cr_expect_eq(i2(K_POW, DT_I64, -1, -3), -1);
    cr_expect_eq(i2(K_POW, DT_I64, 3, 4), 81);
    ir_scalar huge = {.f = 1e30}, nan = {.f = NAN}, neg = {.f = -1.7};
    cr_expect_eq(ir_prim_eval(K_CAST, DT_I64, DT_F64, &huge).i, INT64_MIN);
    cr_expect_eq(ir_prim_eval(K_CAST, DT_BOOL, DT_F64, &nan).i, 1);
    cr_expect_eq(ir_prim_eval(K_CAST, DT_U8, DT_F32, &neg).i, 255);
}
