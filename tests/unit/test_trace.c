/* test_trace.c: recording C programs: graphs, captured params and state, guards, refused traces, function handles. */
#include "jitc/jitc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static jitc_context *c;

static void start(void) { cr_assert_eq(jitc_open(&c), JITC_OK); }
static void stop(void) { jitc_close(c); }
TestSuite(trace, .init = start, .fini = stop);
TestSuite(handle, .init = start, .fini = stop);

static jitc_t vec(int n, const float *x) { return jitc_from_data(c, JITC_F32, 1, ((int64_t[]){n}), x); }
#define VEC(...) vec(sizeof((float[]){__VA_ARGS__}) / 4, (float[]){__VA_ARGS__})
static jitc_t mat(int rows, int cols, const float *x) { return jitc_from_data(c, JITC_F32, 2, ((int64_t[]){rows, cols}), x); }

#define FINE() cr_assert_str_eq(jitc_context_error(c), "")
static void same(jitc_t x, int n, const float *want, int line) {
    const float *got = jitc_data(x);
    FINE();
    cr_assert_eq(jitc_tensor_numel(jitc_tensor_of(x)), n);
    for (int i = 0; i < n; i++) cr_assert_float_eq(got[i], want[i], 1e-5, "line %d, element %d: %g, not %g", line, i, got[i], want[i]);
}
#define SAME(x, ...) same((x), sizeof((float[]){__VA_ARGS__}) / 4, (float[]){__VA_ARGS__}, __LINE__)

static void fails(const char *words) {
    cr_assert(*words && strstr(jitc_context_error(c), words), "\"%s\" in: %s", words, jitc_context_error(c));
    jitc_context_clear(c);
}
static void has(const char *text, const char *words) { cr_assert(strstr(text, words), "\"%s\" in: %s", words, text); }
static void lacks(const char *text, const char *words) { cr_assert_not(strstr(text, words), "no \"%s\" in: %s", words, text); }

#define BODY(name) static void name(jitc_context *k, void *env, int nin, const jitc_t *in, int nout, jitc_t *out)
#define UNUSED() ((void)k, (void)env, (void)nin, (void)nout)

static jitc_graph *trace_of(jitc_body *body, void *env, int nin, int n, const jitc_t *examples) {
    jitc_graph *g;
    jitc_trace(c, "forward", body, env, nin, 1, n, examples, &g);
    return g;
}
static jitc_t run(jitc_graph *g, int nin, const jitc_t *in) {
    jitc_t y;
    jitc_trace_run(g, nin, in, 1, &y);
    return y;
}
static jitc_t call(jitc_fn *f, jitc_t x) {
    jitc_t y;
    jitc_fn_call(f, 1, &x, 1, &y);
    return y;
}

/* ---- graphs */

BODY(linear) {
    jitc_t *w = env;
    (void)k, (void)nin, (void)nout;
    out[0] = jitc_relu(jitc_linear(in[0], w[0], w[1]));
}

Test(trace, params_and_symbols) {
    jitc_t w[] = {jitc_name(mat(2, 2, (float[]){1, 2, 3, -4}), "fc.weight"), VEC(1, 1)};
    jitc_t x[] = {mat(1, 2, (float[]){1, 2}), mat(2, 2, (float[]){1, 2, 3, 4})};
    jitc_graph *g = trace_of(linear, w, 1, 2, x);
    FINE();
    has(jitc_trace_text(g), "param \"fc.weight\": f32[2, 2]");
    has(jitc_trace_text(g), "func @forward(%x0: f32[N, 2]) -> tensor export");
    has(jitc_trace_text(g), "linear %x0, %fc.weight, %p1  @\"");
    cr_assert_eq(jitc_trace_guards(g), 0);
    SAME(run(g, 1, &x[1]), 6, 0, 12, 0);
    jitc_t x3 = mat(3, 2, (float[]){0, 0, 1, 0, 0, 1});
    SAME(run(g, 1, &x3), 1, 1, 2, 4, 3, 0);
    jitc_mul_(w[0], 0); /* the graph has its own copy */
    SAME(run(g, 1, &x[1]), 6, 0, 12, 0);
}

Test(trace, begin_and_end) {
    jitc_graph *g;
    jitc_t example = VEC(1, 2), y;
    cr_assert_eq(jitc_trace_begin(c, "f"), JITC_OK);
    jitc_t x = jitc_trace_input(c, "x", example);
    y = jitc_mul(jitc_add(x, 1), JITC_ARG(2));
    SAME(y, 4, 6); /* it runs, too: this read is a guard */
    cr_assert_eq(jitc_trace_end(c, 1, &y, &g), JITC_OK, "%s", jitc_context_error(c));
    has(jitc_trace_text(g), "func @f(%x: f32[2])");
    cr_assert_eq(jitc_trace_guards(g), 2); /* the elements, and the tensor */
    SAME(run(g, 1, &example), 4, 6);
    x = VEC(5, 6);
    run(g, 1, &x), fails("now it is another");
    jitc_trace_end(c, 1, &y, &g), fails("no trace is on");
    cr_assert_null(g);
}

BODY(several) {
    UNUSED();
    jitc_t m = jitc_max(in[0], 1);
    out[0] = jitc_get(m, 0);
    out[1] = jitc_get(m, 1);
    out[2] = jitc_get(jitc_split(in[0], 1, 1), 1);
}

Test(trace, several_results) {
    jitc_t x = mat(2, 2, (float[]){1, 4, 3, 2}), y[3];
    jitc_graph *g;
    jitc_trace(c, "forward", several, NULL, 1, 3, 1, &x, &g);
    FINE();
    jitc_trace_run(g, 1, &x, 3, y);
    SAME(y[0], 4, 3);
    SAME(y[2], 4, 2);
}

BODY(by_size) {
    UNUSED();
    out[0] = jitc_reshape(in[0], JITC_LIST(jitc_mul(jitc_dim(in[0], 0), 2), -1));
}
BODY(by_constant_size) {
    UNUSED();
    out[0] = jitc_reshape(in[0], JITC_LIST(2 * jitc_size(in[0], 0), -1));
}

Test(trace, sizes) {
    jitc_t x[] = {mat(1, 4, (float[]){1, 2, 3, 4}), mat(2, 2, (float[]){1, 2, 3, 4})};
    jitc_graph *g = trace_of(by_size, NULL, 1, 2, x);
    FINE();
    cr_assert_eq(jitc_trace_guards(g), 0);
    has(jitc_trace_text(g), "%x0: f32[N, M]");
    cr_assert_null(trace_of(by_constant_size, NULL, 1, 2, x));
    has(jitc_context_error(c), "test_trace.c:");
    fails("jitc_size: 1 in example 1, jitc_size: 2 in example 2");
    g = trace_of(by_constant_size, NULL, 1, 1, x);
    FINE();
    cr_assert_eq(jitc_trace_guards(g), 1);
    run(g, 1, &x[1]), fails("jitc_size: 1 in the trace; now it is another");
}

/* ---- state */

BODY(counts) {
    jitc_t *w = env;
    (void)k, (void)nin, (void)nout;
    jitc_add_(w[0], 1);
    out[0] = jitc_mul(in[0], w[0]);
}

Test(trace, written_captures_are_state) {
    jitc_t w = jitc_name(VEC(0), "count"), x = VEC(2, 3);
    jitc_graph *g = trace_of(counts, &w, 1, 1, &x);
    FINE();
    has(jitc_trace_text(g), "state \"count\"");
    SAME(w, 0); /* tracing changes nothing */
    SAME(run(g, 1, &x), 2, 3);
    SAME(run(g, 1, &x), 4, 6);
    SAME(w, 0);
}

BODY(through_views) {
    jitc_t *w = env; /* w[1] is a row of w[0] */
    (void)k, (void)nin, (void)nout;
    jitc_add_(w[1], in[0]);
    out[0] = jitc_sum(w[0], 0);
}

Test(trace, views_of_one_storage_stay_together) {
    jitc_t w[2] = {mat(2, 2, (float[]){1, 2, 3, 4})}, x = VEC(10, 20);
    w[1] = jitc_select(w[0], 0, 1);
    jitc_graph *g = trace_of(through_views, w, 1, 1, &x);
    FINE();
    SAME(run(g, 1, &x), 14, 26);
    SAME(run(g, 1, &x), 24, 46);
}

BODY(writes_input) {
    UNUSED();
    jitc_mul_(jitc_select(in[0], 0, 0), 5);
    out[0] = jitc_add(in[0], 1);
}

Test(trace, examples_are_left_alone) {
    jitc_t x = VEC(1, 2);
    jitc_graph *g = trace_of(writes_input, NULL, 1, 1, &x);
    FINE();
    SAME(x, 1, 2);
    SAME(run(g, 1, &x), 6, 3);
    SAME(x, 5, 2);
}

BODY(c_data) {
    UNUSED();
    jitc_t t = vec(2, (float[]){1, 2});
    jitc_add_(t, in[0]);
    out[0] = t;
}

Test(trace, data_made_inside_are_fresh_in_each_run) {
    jitc_t x = VEC(1, 1);
    jitc_graph *g = trace_of(c_data, NULL, 1, 1, &x);
    FINE();
    SAME(run(g, 1, &x), 2, 3);
    SAME(run(g, 1, &x), 2, 3);
}

/* ---- guards: if z > 10: y = x.mm(w1) else: y = x.mm(w2) */

static int branch_line;
BODY(plain_if) {
    jitc_t *w = env;
    (void)k, (void)nin, (void)nout;
    branch_line = __LINE__ + 1;
    if (jitc_item_bool(jitc_gt(in[1], 10))) out[0] = jitc_mm(in[0], w[0]);
    else out[0] = jitc_mm(in[0], w[1]);
}

static void weights(jitc_t *w) {
    w[0] = mat(2, 2, (float[]){1, 0, 0, 1});
    w[1] = mat(2, 2, (float[]){2, 0, 0, 2});
}

Test(trace, plain_if_is_guarded) {
    jitc_t w[2], in[] = {mat(1, 2, (float[]){3, 4}), VEC(11)};
    const char *file;
    char place[300];
    int line;
    weights(w);
    jitc_graph *g = trace_of(plain_if, w, 2, 1, in);
    FINE();
    cr_assert_eq(jitc_trace_guards(g), 1);
    cr_assert_str_eq(jitc_trace_guard(g, 0, &file, &line), "jitc_item_bool: True");
    cr_assert_eq(line, branch_line);
    has(file, "test_trace.c");
    SAME(run(g, 2, in), 3, 4);
    in[1] = VEC(9);
    run(g, 2, in);
    cr_assert_eq(jitc_context_status(c), JITC_E_GUARD);
    snprintf(place, sizeof place, "test_trace.c:%d: jitc_item_bool: True in the trace; now it is another", branch_line);
    fails(place);
}

Test(trace, examples_on_both_sides_are_refused) {
    jitc_t w[2], in[] = {mat(1, 2, (float[]){3, 4}), VEC(11), mat(1, 2, (float[]){3, 4}), VEC(9)};
    char place[300];
    weights(w);
    cr_assert_null(trace_of(plain_if, w, 2, 2, in));
    snprintf(place, sizeof place, "test_trace.c:%d: the examples take different paths in C: jitc_item_bool: True in example 1, jitc_item_bool: False in example 2",
             branch_line);
    fails(place);
}

BODY(mm_first) {
    jitc_t *w = env;
    (void)k, (void)nin, (void)nout;
    out[0] = jitc_mm(in[0], w[0]);
}
BODY(mm_second) {
    jitc_t *w = env;
    (void)k, (void)nin, (void)nout;
    out[0] = jitc_mm(in[0], w[1]);
}
BODY(with_cond) {
    (void)nin, (void)nout;
    jitc_cond(k, jitc_gt(in[1], 10), mm_first, mm_second, env, 1, in, 1, out);
}

Test(trace, cond_keeps_both_branches) {
    jitc_t w[2], in[] = {mat(1, 2, (float[]){3, 4}), VEC(11), mat(1, 2, (float[]){3, 4}), VEC(9)};
    weights(w);
    jitc_graph *g = trace_of(with_cond, w, 2, 2, in);
    FINE();
    cr_assert_eq(jitc_trace_guards(g), 0);
    has(jitc_trace_text(g), "= if %");
    SAME(run(g, 2, in), 3, 4);
    SAME(run(g, 2, in + 2), 6, 8);
}

BODY(with_script) {
    jitc_t *w = env;
    (void)nin, (void)nout;
    out[0] = jitc_call(k, "pick", in[0], in[1], w[0], w[1]);
}

Test(trace, script_keeps_both_branches) {
    jitc_t w[2], in[] = {mat(1, 2, (float[]){3, 4}), VEC(11), mat(1, 2, (float[]){3, 4}), VEC(9)};
    jitc_script(c, "pick.py", "def pick(x, z, w1, w2):\n"
                              "    if z > 10:\n"
                              "        y = x.mm(w1)\n"
                              "    else:\n"
                              "        y = x.mm(w2)\n"
                              "    return y\n");
    FINE();
    weights(w);
    jitc_graph *g = trace_of(with_script, w, 2, 2, in);
    FINE();
    has(jitc_trace_text(g), "call @pick");
    SAME(run(g, 2, in), 3, 4);
    SAME(run(g, 2, in + 2), 6, 8);
}

BODY(grow) {
    jitc_t *w = env;
    (void)k, (void)nin, (void)nout;
    jitc_add_(w[0], 1); /* counts the iterations */
    out[0] = jitc_mul(in[0], 2);
}
BODY(small) {
    UNUSED();
    out[0] = jitc_lt(jitc_sum(in[0]), 100);
}
BODY(with_while) {
    (void)nin, (void)nout;
    jitc_while(k, small, grow, env, 1, in, out);
}

Test(trace, loops) {
    jitc_t count = VEC(0), x[] = {VEC(1, 2), VEC(200), VEC(30, 30, 30)};
    jitc_graph *g = trace_of(with_while, &count, 1, 3, x);
    FINE();
    SAME(count, 0);
    has(jitc_trace_text(g), "= loop %");
    SAME(run(g, 1, &x[0]), 64, 128);
    SAME(run(g, 1, &x[1]), 200);
    g = trace_of(with_while, &count, 1, 1, &x[1]); /* recorded though no iteration is run */
    FINE();
    SAME(run(g, 1, &x[2]), 60, 60, 60);
}

/* ---- refused */

static jitc_t escaped;
BODY(leak_then) {
    UNUSED();
    out[0] = escaped = jitc_hold(jitc_add(in[0], 1));
}
BODY(leak) {
    (void)nin, (void)nout;
    jitc_t y;
    jitc_cond(k, jitc_gt(jitc_sum(in[0]), 0), leak_then, leak_then, env, 1, in, 1, &y);
    out[0] = jitc_add(y, escaped);
}
BODY(leak_loop) {
    (void)nin, (void)nout;
    jitc_t y;
    jitc_while(k, small, leak_then, env, 1, in, &y);
    out[0] = escaped;
}
static int calls;
BODY(counts_in_c) {
    UNUSED();
    out[0] = jitc_add(in[0], calls++);
}
BODY(other_op) {
    UNUSED();
    out[0] = calls++ ? jitc_exp(in[0]) : jitc_log(in[0]);
}
BODY(other_data) {
    UNUSED();
    float x = (float)calls++;
    out[0] = jitc_mul(in[0], vec(1, &x));
}
BODY(no_result) { UNUSED(), (void)in, (void)out; }
BODY(uses_example) {
    (void)k, (void)nin, (void)nout, (void)in;
    out[0] = jitc_add(*(jitc_t *)env, 1);
}
BODY(reads_then_writes) {
    jitc_t *w = env;
    (void)k, (void)nin, (void)nout;
    out[0] = jitc_item_f64(w[0]) > 0 ? jitc_add(in[0], 1) : in[0];
    jitc_add_(w[0], 1);
}
BODY(wrong_shape) {
    UNUSED();
    out[0] = jitc_mm(in[0], in[0]);
}

Test(trace, refused) {
    jitc_t x = VEC(1, 2), two[] = {x, x}, w = VEC(0);
    cr_assert_null(trace_of(leak, NULL, 1, 1, &x)); fails("made inside a branch or loop is used outside");
    cr_assert_null(trace_of(leak_loop, NULL, 1, 1, &x)); fails("made in a later iteration of jitc_while is used outside");
    cr_assert_null(trace_of(counts_in_c, NULL, 1, 2, two)); fails("`add` (");
    calls = 0;
    cr_assert_null(trace_of(other_op, NULL, 1, 2, two)); fails("example 1 has `log` (");
    calls = 0;
    cr_assert_null(trace_of(other_data, NULL, 1, 2, two)); fails("the examples do not record the same graph");
    cr_assert_null(trace_of(no_result, NULL, 1, 1, &x)); fails("a result of 'forward' was not set");
    cr_assert_null(trace_of(uses_example, &x, 1, 1, &x)); fails("shares memory with the input 'x0' but did not come from it");
    cr_assert_null(trace_of(reads_then_writes, &w, 1, 1, &x)); fails("reads a tensor from outside into C that the traced program changes");
    cr_assert_null(trace_of(wrong_shape, NULL, 1, 1, &x)); fails("mm: RuntimeError");
    jitc_t kinds[] = {x, mat(1, 1, (float[]){1})};
    cr_assert_null(trace_of(no_result, NULL, 1, 2, kinds)); fails("input 1 of example 2 has another dtype or rank");
    cr_assert_neq(jitc_trace_begin(c, "no name"), JITC_OK); fails("is no name for a graph");
    SAME(x, 1, 2);
    SAME(w, 0);
}

/* ---- files */

static char *slurp(const char *path) {
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

Test(trace, saved_compiled_loaded) {
    char dir[] = "/tmp/jitc-test-XXXXXX", ir[64], so[64], weights_file[80], *text = NULL;
    jitc_t w[2], in[] = {mat(1, 2, (float[]){3, 4}), VEC(11), mat(2, 2, (float[]){3, 4, 5, 6}), VEC(12)};
    cr_assert(mkdtemp(dir));
    snprintf(ir, sizeof ir, "%s/net.ir", dir);
    snprintf(so, sizeof so, "%s/net.so", dir);
    snprintf(weights_file, sizeof weights_file, "%s/net.weights.safetensors", dir);
    weights(w);
    jitc_graph *g = trace_of(plain_if, w, 2, 2, in);
    FINE();
    cr_assert_eq(jitc_trace_save(g, ir), JITC_OK, "%s", jitc_context_error(c));
    cr_assert_str_eq(slurp(ir), jitc_trace_text(g));
    cr_assert_eq(jitc_compile(ir, so, NULL, &text), JITC_OK, "%s", text ? text : "");
    jitc_free(text);
    jitc_module *m;
    jitc_session *s;
    cr_assert_eq(jitc_load(so, NULL, &m), JITC_OK, "%s", jitc_error());
    cr_assert_eq(jitc_session_new(m, NULL, &s), JITC_OK);
    jitc_t x3 = mat(3, 2, (float[]){1, 2, 3, 4, 5, 6}), z = VEC(9);
    jitc_tensor *args[] = {jitc_tensor_of(x3), jitc_tensor_of(in[1])}, *y = NULL;
    cr_assert_eq(jitc_run_tensors(s, "forward", 2, args, 1, &y), JITC_OK, "%s", jitc_session_error(s));
    cr_assert_eq(((float *)jitc_tensor_data(y))[5], 6);
    args[1] = jitc_tensor_of(z);
    y = NULL;
    cr_assert_eq(jitc_run_tensors(s, "forward", 2, args, 1, &y), JITC_E_GUARD, "%s", jitc_session_error(s));
    has(jitc_session_error(s), "test_trace.c:");
    jitc_session_free(s);
    jitc_module_release(m);
    remove(ir), remove(so), remove(weights_file), rmdir(dir);
    jitc_trace_save(g, "/nowhere/net.ir"), fails("cannot write /nowhere/net.ir");
    jitc_trace_save(g, "net.txt"), fails("must end in .ir");
}

/* ---- function handles */

Test(handle, compiles_and_caches_by_signature) {
    jitc_t w[] = {mat(2, 2, (float[]){1, 2, 3, -4}), VEC(1, 1)};
    jitc_fn *f = jitc_function(c, "net", linear, w);
    jitc_t x1 = mat(1, 2, (float[]){1, 2}), x2 = mat(2, 2, (float[]){1, 2, 3, 4}), x3 = mat(3, 2, (float[]){0, 0, 1, 0, 0, 1});
    for (int i = 0; i < 2; i++) {
        SAME(call(f, x1), 6, 0);
        SAME(call(f, x2), 6, 0, 12, 0);
        SAME(call(f, x3), 1, 1, 2, 4, 3, 0);
    }
    jitc_fn_counts n = jitc_fn_get_counts(f);
    cr_assert_eq(n.variants, 1, "%s", jitc_fn_report(f));
    cr_assert_eq(n.compiles, 1, "%s", jitc_fn_report(f));
    cr_assert_eq(n.compiled_calls, 5);
    jitc_t d = jitc_to(x1, JITC_F64);
    w[0] = jitc_to(w[0], JITC_F64), w[1] = jitc_to(w[1], JITC_F64);
    cr_assert_eq(jitc_dtype_of(call(f, d)), JITC_F64);
    cr_assert_eq(jitc_dtype_of(call(f, d)), JITC_F64);
    FINE();
    cr_assert_eq(jitc_fn_get_counts(f).compiles, 2);
}

Test(handle, sees_what_the_program_does_to_captures) {
    jitc_t w[] = {mat(2, 2, (float[]){1, 0, 0, 1}), VEC(0, 0)}, x = mat(1, 2, (float[]){1, 2});
    jitc_fn *f = jitc_function(c, "net", linear, w);
    for (int i = 0; i < 3; i++) SAME(call(f, x), 1, 2);
    jitc_mul_(w[0], 10);
    SAME(call(f, x), 10, 20);
    cr_assert_gt(jitc_fn_get_counts(f).compiled_calls, 0, "%s", jitc_fn_report(f));
}

Test(handle, writes_captures_and_inputs) {
    jitc_t w = VEC(0), x = VEC(2, 3);
    jitc_fn *f = jitc_function(c, "net", counts, &w), *h = jitc_function(c, "in", writes_input, NULL);
    for (int i = 1; i < 5; i++) {
        SAME(call(f, x), 2.f * (float)i, 3.f * (float)i);
        SAME(w, (float)i);
    }
    cr_assert_eq(jitc_fn_get_counts(f).compiled_calls, 3, "%s", jitc_fn_report(f));
    jitc_t y = VEC(1, 2);
    SAME(call(h, y), 6, 3);
    SAME(call(h, y), 26, 3);
    SAME(call(h, y), 126, 3);
    SAME(y, 125, 2);
    cr_assert_eq(jitc_fn_get_counts(h).compiled_calls, 2, "%s", jitc_fn_report(h));
}

BODY(by_value) {
    jitc_t *w = env;
    (void)k, (void)nin, (void)nout;
    if (jitc_item_bool(jitc_gt(jitc_sum(in[0]), 10))) out[0] = jitc_mm(in[0], w[0]);
    else out[0] = jitc_mm(in[0], w[1]);
}

Test(handle, a_failed_guard_adds_a_variant) {
    jitc_t w[2], low = mat(1, 2, (float[]){3, 4}), high = mat(1, 2, (float[]){30, 40});
    weights(w);
    jitc_fn *f = jitc_function(c, "net", by_value, w);
    for (int i = 0; i < 4; i++) {
        SAME(call(f, low), 6, 8);
        SAME(call(f, high), 30, 40);
    }
    jitc_fn_counts n = jitc_fn_get_counts(f);
    cr_assert_eq(n.variants, 2, "%s", jitc_fn_report(f));
    cr_assert_eq(n.compiles, 2, "%s", jitc_fn_report(f));
    cr_assert_eq(n.eager_calls, 2, "%s", jitc_fn_report(f));
    has(jitc_fn_report(f), "where jitc_item_bool: False (");
}

BODY(by_many_values) {
    UNUSED();
    out[0] = jitc_add(in[0], jitc_item_i64(jitc_sum(in[0])));
}

Test(handle, variants_are_bounded) {
    jitc_fn *f = jitc_function(c, "net", by_many_values, NULL);
    for (int i = 0; i < 11; i++) SAME(call(f, VEC((float)i)), 2.f * (float)i);
    cr_assert_eq(jitc_fn_get_counts(f).variants, 8, "%s", jitc_fn_report(f));
    has(jitc_fn_report(f), "stays eager: there are as many variants already");
}

Test(handle, what_cannot_be_recorded_stays_eager) {
    jitc_t x = VEC(1, 2);
    jitc_fn *f = jitc_function(c, "net", leak, NULL);
    for (int i = 0; i < 3; i++) SAME(call(f, x), 4, 6);
    has(jitc_fn_report(f), "stays eager: ");
    has(jitc_fn_report(f), "made inside a branch or loop is used outside");
    cr_assert_eq(jitc_fn_get_counts(f).compiles, 0);
}

Test(handle, errors_are_errors) {
    jitc_t x = mat(2, 2, (float[]){1, 2, 3, 4}), y = mat(2, 3, (float[]){1, 2, 3, 4, 5, 6}), z;
    jitc_fn *f = jitc_function(c, "square", wrong_shape, NULL);
    SAME(call(f, x), 7, 10, 15, 22);
    cr_assert_not(jitc_valid(call(f, y)));
    fails("RuntimeError");
    SAME(call(f, x), 7, 10, 15, 22);
    cr_assert_not(jitc_valid(call(f, escaped = (jitc_t){0}))); fails("input 1 is not a valid handle");
    jitc_fn *g = jitc_function(c, "none", no_result, NULL);
    jitc_fn_call(g, 1, &x, 1, &z), fails("a result of 'none' was not set");
    cr_assert_null(jitc_function(c, "no name", no_result, NULL)); fails("is no name for a function");
}

Test(handle, control_flow_and_loops) {
    jitc_t w[2], in[] = {mat(1, 2, (float[]){3, 4}), VEC(11)}, count = VEC(0), y;
    weights(w);
    jitc_fn *f = jitc_function(c, "net", with_cond, w), *l = jitc_function(c, "grow", with_while, &count);
    for (int i = 0; i < 4; i++) {
        in[1] = i % 2 ? VEC(9) : VEC(11);
        jitc_fn_call(f, 2, in, 1, &y);
        SAME(y, i % 2 ? 6 : 3, i % 2 ? 8 : 4);
    }
    cr_assert_eq(jitc_fn_get_counts(f).compiles, 1, "%s", jitc_fn_report(f));
    for (int i = 0; i < 3; i++) SAME(call(l, VEC(1, 2)), 64, 128);
    SAME(count, 18);
    lacks(jitc_fn_report(l), "stays eager");
}

static const char *twice(DLTensor *x) {
    for (int64_t i = 0; i < x->shape[0]; i++) ((float *)x->data)[i] *= 2;
    return NULL;
}
BODY(uses_custom) {
    (void)env, (void)nin, (void)nout;
    out[0] = jitc_apply(k, "my_ops::twice_", jitc_add(in[0], 1));
}

Test(handle, custom_operators) {
    jitc_t x = VEC(1, 2);
    cr_assert_eq(jitc_register_function(c, "my_ops::twice_(Tensor(a!) x) -> Tensor(a!)", (void (*)(void))twice), JITC_OK, "%s",
                 jitc_context_error(c));
    jitc_graph *g = trace_of(uses_custom, NULL, 1, 1, &x);
    FINE();
    has(jitc_trace_text(g), "my_ops::twice_");
    SAME(run(g, 1, &x), 4, 6);
    jitc_fn *f = jitc_function(c, "net", uses_custom, NULL);
    for (int i = 0; i < 3; i++) SAME(call(f, x), 4, 6);
}

BODY(uses_handle) {
    (void)k, (void)nin, (void)nout;
    jitc_fn_call(env, 1, in, 1, out);
    out[0] = jitc_add(out[0], 1);
}

Test(handle, inside_a_trace_it_is_part_of_that) {
    jitc_t w[] = {mat(2, 2, (float[]){1, 2, 3, -4}), VEC(1, 1)}, x = mat(1, 2, (float[]){1, 2});
    jitc_fn *f = jitc_function(c, "net", linear, w);
    for (int i = 0; i < 3; i++) call(f, x);
    jitc_graph *g = trace_of(uses_handle, f, 1, 1, &x);
    FINE();
    has(jitc_trace_text(g), "linear");
    SAME(run(g, 1, &x), 7, 1);
}
