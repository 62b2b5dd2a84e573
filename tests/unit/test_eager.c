/* test_eager.c: operators called from C on real tensors: arguments, scopes, errors, scripts, custom operators. */
#include "jitc/jitc.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static jitc_context *c;

static void start(void) { cr_assert_eq(jitc_open(&c), JITC_OK); }
static void stop(void) { jitc_close(c); }
TestSuite(eager, .init = start, .fini = stop);

static jitc_t vec(int n, const float *x) { return jitc_from_data(c, JITC_F32, 1, ((int64_t[]){n}), x); }
#define VEC(...) vec(sizeof((float[]){__VA_ARGS__}) / 4, (float[]){__VA_ARGS__})
static jitc_t mat(int rows, int cols, const float *x) { return jitc_from_data(c, JITC_F32, 2, ((int64_t[]){rows, cols}), x); }

#define FINE() cr_assert_str_eq(jitc_context_error(c), "")
static void same(jitc_t x, int n, const float *want) {
    const float *got = jitc_data(x);
    FINE();
    cr_assert_eq(jitc_tensor_numel(jitc_tensor_of(x)), n);
    for (int i = 0; i < n; i++) cr_assert_float_eq(got[i], want[i], 1e-5, "element %d: %g, not %g", i, got[i], want[i]);
}
#define SAME(x, ...) same((x), sizeof((float[]){__VA_ARGS__}) / 4, (float[]){__VA_ARGS__})

static void fails(const char *words, int line) {
    char place[256];
    snprintf(place, sizeof place, "%s:%d: ", __FILE__, line);
    cr_assert(strstr(jitc_context_error(c), words), "\"%s\" in: %s", words, jitc_context_error(c));
    if (line) cr_assert_eq(strncmp(jitc_context_error(c), place, strlen(place)), 0, "%s: %s", place, jitc_context_error(c));
    jitc_context_clear(c);
}

Test(eager, reads_like_maths) {
    jitc_t x = mat(1, 2, (float[]){1, -2}), w = mat(2, 2, (float[]){1, 2, 3, -4}), b = VEC(0.5f, 0.5f);
    SAME(jitc_relu(jitc_linear(x, w, b)), 0, 11.5f);
    SAME(jitc_add(jitc_mul(x, 2), 1), 3, -3);
    SAME(jitc_add(x, x, jitc_kw("alpha", 3)), 4, -8);
    SAME(jitc_sub(1, x), 0, 3);
    SAME(jitc_div(x, 2.0), 0.5f, -1);
    SAME(jitc_matmul(x, jitc_transpose(w, 0, 1)), -3, 11);
    SAME(jitc_where(jitc_gt(x, 0), x, jitc_neg(x)), 1, 2);
}

Test(eager, every_kind_of_argument) {
    jitc_t x = mat(2, 3, (float[]){1, 2, 3, 4, 5, 6}), y = VEC(1, 2);
    SAME(jitc_cat(JITC_LIST(x, x), 1), 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6);
    jitc_t list[] = {y, y};
    SAME(jitc_stack(jitc_arg_handles(2, list)), 1, 2, 1, 2);
    SAME(jitc_reshape(x, JITC_LIST(3, -1)), 1, 2, 3, 4, 5, 6);
    int64_t shape[] = {3, 2};
    SAME(jitc_permute(jitc_reshape(x, jitc_arg_ints(2, shape)), JITC_LIST(1, 0)), 1, 3, 5, 2, 4, 6);
    SAME(jitc_permute(x, 1, 0), 1, 4, 2, 5, 3, 6);
    SAME(jitc_sum(x, 1), 6, 15);
    SAME(jitc_sum(x, JITC_LIST(1), 1), 6, 15); /* C's true is an int */
    cr_assert_eq(jitc_rank(jitc_sum(x, 1, jitc_bool(1))), 2);
    SAME(jitc_clamp(x, jitc_none(), 3), 1, 2, 3, 3, 3, 3);
    SAME(jitc_slice(x, 1, 1, 3), 2, 3, 5, 6);
    SAME(jitc_apply(c, "div", x, 2, jitc_kw("rounding_mode", "floor")), 0, 1, 1, 2, 2, 3);
    cr_assert_eq(jitc_dtype_of(jitc_to(x, JITC_I64)), JITC_I64);
    cr_assert_eq(jitc_dtype_of(jitc_zeros(c, JITC_LIST(2, 2), jitc_kw("dtype", JITC_F64))), JITC_F64);
    SAME(jitc_full(c, JITC_LIST(2), 1.5), 1.5f, 1.5f);
    SAME(jitc_expand(y, JITC_LIST(jitc_dim(x, 0), 2)), 1, 2, 1, 2);
    SAME(jitc_mul(x, jitc_item(jitc_select(y, 0, 1))), 2, 4, 6, 8, 10, 12);
    FINE();
}

Test(eager, several_results) {
    jitc_t x = mat(2, 2, (float[]){1, 4, 3, 2}), m = jitc_max(x, 1);
    cr_assert_eq(jitc_count(m), 2);
    SAME(jitc_get(m, 0), 4, 3);
    cr_assert_eq(((const int64_t *)jitc_data(jitc_get(m, 1)))[0], 1);
    jitc_t parts = jitc_split(x, 1, 1);
    cr_assert_eq(jitc_count(parts), 2, "%s", jitc_context_error(c));
    SAME(jitc_get(parts, 1), 4, 2);
    jitc_get(m, 2), fails("there is no item 2 of 2", __LINE__);
}

Test(eager, reading) {
    jitc_t x = VEC(2.5f);
    cr_assert_eq(jitc_item_f64(x), 2.5);
    cr_assert_eq(jitc_item_i64(x), 2);
    cr_assert(jitc_item_bool(jitc_gt(x, 2)));
    cr_assert_eq(jitc_size(x, -1), 1);
    cr_assert_eq(jitc_item_i64(jitc_dim(x, 0)), 1);
    FINE();
    jitc_item_f64(VEC(1, 2)), fails("Tensor with 2 elements", 0);
    jitc_size(x, 3), fails("", __LINE__);
}

Test(eager, in_place_and_views) {
    jitc_t x = mat(2, 2, (float[]){1, 2, 3, 4}), row = jitc_select(x, 0, 1);
    jitc_add_(row, 10);
    SAME(x, 1, 2, 13, 14);
    jitc_copy_(jitc_transpose(x, 0, 1), mat(2, 2, (float[]){1, 2, 3, 4}));
    SAME(x, 1, 3, 2, 4);
    SAME(jitc_transpose(x, 0, 1), 1, 2, 3, 4);
}

Test(eager, shares_the_callers_tensor) {
    jitc_tensor *t;
    jitc_tensor_new(JITC_F32, 1, (int64_t[]){2}, &t);
    float *data = jitc_tensor_data(t);
    data[0] = 1, data[1] = 2;
    jitc_mul_(jitc_from_tensor(c, t), 3);
    FINE();
    cr_assert_eq(data[1], 6);
    jitc_tensor_release(t);
}

Test(eager, scopes) {
    jitc_t kept, gone, held, x = VEC(1, 2);
    jitc_scope_begin(c);
    gone = jitc_add(x, 1);
    kept = jitc_keep(jitc_add(x, 2));
    held = jitc_hold(jitc_add(x, 3));
    jitc_scope_end(c);
    SAME(kept, 3, 4);
    SAME(held, 4, 5);
    cr_assert_not(jitc_valid(gone));
    jitc_add(gone, 1), fails("a handle that has ended with its scope", __LINE__);
    jitc_drop(held);
    cr_assert_not(jitc_valid(held));
    for (int i = 0; i < 10000; i++) { /* one slot is used again and again */
        jitc_scope_begin(c);
        jitc_t y = jitc_hold(jitc_add(x, i));
        jitc_drop(y);
        cr_assert_lt(y.slot, 64u);
        jitc_scope_end(c);
    }
    FINE();
    jitc_scope_end(c);
    fails("without a jitc_scope_begin", 0);
}

Test(eager, errors_stick_and_name_the_line) {
    jitc_t x = VEC(1, 2), y = VEC(1, 2, 3), z;
    z = jitc_add(x, y); const int line = __LINE__;
    cr_assert_not(jitc_valid(z));
    z = jitc_relu(jitc_mul(z, x)); /* silent */
    cr_assert_not(jitc_valid(z));
    cr_assert_not(jitc_valid(jitc_apply(c, "nonsense", x)));
    cr_assert_eq(jitc_context_status(c), JITC_E_RAISED);
    fails("add: RuntimeError: ", line);
    SAME(jitc_add(x, x), 2, 4);
    jitc_apply(c, "nonsense", x), fails("there is no operator 'nonsense'", __LINE__);
    jitc_softmax(x, "one"), fails("softmax: no overload of 'softmax' takes (tensor, str)", __LINE__);
    jitc_add((jitc_t){0}, x), fails("a handle that was never set", __LINE__);
    jitc_cat(JITC_LIST(x, 1)), fails("the items of a list are of different kinds", __LINE__);
    jitc_from_data(c, JITC_F32, 1, ((int64_t[]){-1}), NULL), fails("jitc_from_data", __LINE__);
    cr_assert_not(jitc_valid(jitc_add(1, 2)));
}

Test(eager, script) {
    cr_assert_eq(jitc_script(c, "f.py", "def twice(x, n: int = 2):\n"
                                        "    for i in range(n):\n"
                                        "        x = x + x\n"
                                        "    return x\n"
                                        "def pair(x):\n"
                                        "    return x, x.sum()\n"), JITC_OK, "%s", jitc_context_error(c));
    jitc_t x = VEC(1, 2);
    SAME(jitc_call(c, "twice", x), 4, 8);
    SAME(jitc_call(c, "twice", x, jitc_kw("n", 3)), 8, 16);
    cr_assert_eq(jitc_item_f64(jitc_get(jitc_call(c, "pair", x), 1)), 3);
    jitc_call(c, "missing", x), fails("there is no script function 'missing'", __LINE__);
    jitc_call(c, "twice"  , x, "x"), fails("argument 'n' has another type", __LINE__);
    cr_assert_neq(jitc_script(c, "g.py", "def g(x):\n    return y +\n"), JITC_OK);
    fails("g.py:2", 0);
}

static void plus_one(jitc_context *k, void *env, int nin, const jitc_t *in, int nout, jitc_t *out) {
    (void)k, (void)nin, (void)nout;
    out[0] = jitc_add(in[0], *(double *)env);
}
static void minus_one(jitc_context *k, void *env, int nin, const jitc_t *in, int nout, jitc_t *out) {
    (void)k, (void)nin, (void)nout;
    out[0] = jitc_sub(in[0], *(double *)env);
}
static void below_ten(jitc_context *k, void *env, int nin, const jitc_t *in, int nout, jitc_t *out) {
    (void)k, (void)nin, (void)nout, (void)env;
    out[0] = jitc_lt(jitc_sum(in[0]), 10);
}

Test(eager, control_flow) {
    double one = 1;
    jitc_t x = VEC(1, 2), y;
    jitc_cond(c, jitc_gt(jitc_sum(x), 2), plus_one, minus_one, &one, 1, &x, 1, &y);
    SAME(y, 2, 3);
    jitc_cond(c, jitc_gt(jitc_sum(x), 5), plus_one, minus_one, &one, 1, &x, 1, &y);
    SAME(y, 0, 1);
    jitc_while(c, below_ten, plus_one, &one, 1, &x, &y);
    SAME(y, 5, 6);
}

static void free_managed(DLManagedTensorVersioned *m) {
    free(m->dl_tensor.data);
    free(m);
}

static const char *scale(const DLTensor *x, double by, DLManagedTensorVersioned **out) {
    if (x->ndim != 1) return "ValueError: one dimension is wanted";
    DLManagedTensorVersioned *m = calloc(1, sizeof *m);
    float *z = malloc((size_t)x->shape[0] * 4);
    for (int64_t i = 0; i < x->shape[0]; i++) z[i] = (float)by * ((float *)x->data)[i];
    m->version.major = 1;
    m->deleter = free_managed;
    m->dl_tensor = *x;
    m->dl_tensor.data = z;
    *out = m;
    return NULL;
}

Test(eager, custom_operator) {
    cr_assert_eq(jitc_register_function(c, "my_ops::scale(Tensor x, float by=2) -> Tensor", (void (*)(void))scale), JITC_OK, "%s",
                 jitc_context_error(c));
    SAME(jitc_apply(c, "my_ops::scale", VEC(1, 2)), 2, 4);
    SAME(jitc_apply(c, "my_ops::scale", VEC(1, 2), jitc_kw("by", 3)), 3, 6);
    jitc_apply(c, "my_ops::scale", mat(1, 1, (float[]){1})), fails("ValueError: one dimension is wanted", __LINE__);
    cr_assert_neq(jitc_register_function(c, "my_ops::scale(Tensor x) -> Tensor", (void (*)(void))scale), JITC_OK);
    fails("there is an operator 'my_ops::scale' already", 0);
    cr_assert_neq(jitc_register_op(c, "my_ops::b(Tensor x) -> Tensor", "/nowhere/x.so", "b"), JITC_OK);
    fails("/nowhere/x.so", 0);
    cr_assert_neq(jitc_register_op(c, "my_ops::b(Tensor x -> Tensor", "x.so", "b"), JITC_OK);
    fails("", 0);
}

Test(eager, contexts_are_independent) {
    jitc_context *other;
    cr_assert_eq(jitc_open(&other), JITC_OK);
    jitc_t x = VEC(1, 2), y = jitc_from_data(other, JITC_F32, 1, ((int64_t[]){2}), ((float[]){3, 4}));
    jitc_add(x, y), fails("a handle of another context", __LINE__);
    cr_assert_str_eq(jitc_context_error(other), "");
    jitc_close(other);
    jitc_close(NULL);
}
