/* custom.c: custom operators: C functions of a shared library, called from a compiled module through libffi in the loading
 * program; from a script, and from a graph that was traced in C.  argv[1]: the library of custom_ops.c. */
#include "deploy.h"

#include "jitc/ffi.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static const struct { const char *name, *schema; } ops[] = {
    {"rowsum", "my_ops::rowsum(Tensor x, float scale=1) -> Tensor; x: f32[N, M] -> f32[N]"},
    {"positive", "my_ops::positive(Tensor x) -> Tensor"},
    {"extent", "my_ops::extent(Tensor x) -> (float, int, bool)"},
    {"grow_", "my_ops::grow_(Tensor(a!) x, int by) -> Tensor(a!)"},
    {"blend", "my_ops::blend(Tensor[] xs, float[] w, Tensor? bias, str mode=\"sum\") -> Tensor; -> f32[K]"},
    {"flat", "my_ops::flat(Tensor x) -> Tensor"}, /* which makes the compiler expect the rank of x */
    {"lies", "my_ops::lies(Tensor x) -> Tensor; x: f32[N] -> f32[N]"},
};
enum { NOPS = RT_COUNT(ops) };

static const char *library;
static char dir[64];

/* ---- compiling and loading */

static void compile(const char *model, const char *out, int ninputs, const char *const *inputs, const char *method) {
    char words[NOPS][512], *text;
    const char *at[NOPS];
    for (int i = 0; i < NOPS; i++) {
        snprintf(words[i], sizeof words[i], "%s:%s=%s", library, ops[i].name, ops[i].schema);
        at[i] = words[i];
    }
    jitc_compile_opts o = {.size = sizeof o, .inputs = inputs, .ninputs = ninputs, .methods = &method, .nmethods = method ? 1 : 0,
                           .ops = at, .nops = NOPS, .verify = 1};
    REQUIRE(jitc_compile(model, out, &o, &text) == JITC_OK, "%s", text);
    jitc_free(text);
}

typedef struct loaded {
    jitc_ffi *f;
    jitc_module *m;
    jitc_session *s;
} loaded;

static loaded load(const char *path) {
    loaded l = {0};
    jitc_load_opts o = {.size = sizeof o};
    REQUIRE(jitc_load(path, NULL, &l.m) == JITC_E_MISSING, "a module with custom operators loads without them");
    REQUIRE(strstr(jitc_error(), "my_ops::"), "%s", jitc_error());
    REQUIRE(jitc_ffi_new(&l.f) == JITC_OK, "no memory");
    for (int i = 0; i < NOPS; i++) {
        char name[32];
        snprintf(name, sizeof name, "my_ops::%s", ops[i].name);
        REQUIRE(jitc_ffi_add_library(l.f, name, library, ops[i].name) == JITC_OK, "%s", jitc_error());
    }
    jitc_ffi_use(l.f, &o);
    REQUIRE(jitc_load(path, &o, &l.m) == JITC_OK, "%s", jitc_error());
    REQUIRE(jitc_session_new(l.m, NULL, &l.s) == JITC_OK, "%s", jitc_error());
    return l;
}

static loaded compiled(const char *method, int ninputs, const char *const *inputs) {
    char model[256], path[128];
    snprintf(model, sizeof model, "%s/tests/deploy/data/custom.py", JITC_SOURCE_DIR);
    snprintf(path, sizeof path, "%s/custom.so", dir);
    compile(model, path, ninputs, inputs, method);
    loaded l = load(path);
    remove(path);
    return l;
}
#define COMPILED(method, ...) compiled(method, (int)RT_COUNT(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

static void unload(loaded *l) {
    jitc_session_free(l->s);
    jitc_module_release(l->m);
    jitc_ffi_free(l->f);
}

/* ---- values */

static jitc_tensor *floats(int ndim, const int64_t *shape, const float *data) {
    jitc_tensor *t;
    REQUIRE(jitc_tensor_new(JITC_F32, ndim, shape, &t) == JITC_OK, "%s", jitc_error());
    memcpy(jitc_tensor_data(t), data, 4 * (size_t)jitc_tensor_numel(t));
    return t;
}
#define VEC(...) floats(1, (int64_t[]){RT_COUNT(((float[]){__VA_ARGS__}))}, (float[]){__VA_ARGS__})
#define MAT(n, m, ...) floats(2, (int64_t[]){n, m}, (float[]){__VA_ARGS__})

static void same(const char *what, jitc_tensor *got, int n, const float *want) {
    REQUIRE(got && jitc_tensor_ndim(got) == 1 && jitc_tensor_shape(got)[0] == n, "%s: wrong shape", what);
    for (int i = 0; i < n; i++)
        REQUIRE(((const float *)jitc_tensor_data(got))[i] == want[i], "%s: element %d is %g instead of %g", what, i,
                (double)((const float *)jitc_tensor_data(got))[i], (double)want[i]);
}
#define SAME(what, got, ...) same(what, got, (int)RT_COUNT(((float[]){__VA_ARGS__})), (float[]){__VA_ARGS__})

static jitc_value run(loaded *l, const char *method, int n, const jitc_value *args) {
    jitc_value out;
    REQUIRE(jitc_run(l->s, method, n, args, &out) == JITC_OK, "%s: %s", method, jitc_session_error(l->s));
    return out;
}

static void raises(loaded *l, const char *method, int n, const jitc_value *args, const char *cls, const char *text) {
    jitc_value out;
    REQUIRE(jitc_run(l->s, method, n, args, &out) == JITC_E_RAISED, "%s runs", method);
    REQUIRE(!strcmp(jitc_session_error_class(l->s), cls), "%s: %s", method, jitc_session_error(l->s));
    REQUIRE(strstr(jitc_session_error(l->s), text), "%s: %s", method, jitc_session_error(l->s));
}

/* ---- from a script */

/* A declared size: it is known at entry like any other. */
static void declared_sizes(void) {
    loaded l = COMPILED("rows", "x=f32[N, 3]", "w=f32[3, 2]");
    jitc_tensor *w = MAT(3, 2, 1, 2, 3, 4, 5, -60), *x = MAT(1, 3, 1, 1, 1), *xx = MAT(2, 3, 1, 0, 0, 0, 0, 1);
    for (int i = 0; i < 3; i++) {
        SAME("rows", jitc_value_tensor(run(&l, "rows", 2, (jitc_value[]){jitc_tensor_value(x), jitc_tensor_value(w)})), 5.5f);
        SAME("rows", jitc_value_tensor(run(&l, "rows", 2, (jitc_value[]){jitc_tensor_value(xx), jitc_tensor_value(w)})), 2.5f, 3.5f);
    }
    jitc_tensor_release(x), jitc_tensor_release(xx), jitc_tensor_release(w);
    unload(&l);
}

/* A size that the function decides. */
static void decided_sizes(void) {
    loaded l = COMPILED("kept", "x=f32[N, 2]");
    jitc_tensor *x = MAT(2, 2, 1, -1, 2, 3), *none = MAT(1, 2, -1, -2);
    SAME("kept", jitc_value_tensor(run(&l, "kept", 1, (jitc_value[]){jitc_tensor_value(x)})), 2, 4, 6);
    jitc_value empty = run(&l, "kept", 1, (jitc_value[]){jitc_tensor_value(none)});
    REQUIRE(jitc_tensor_shape(jitc_value_tensor(empty))[0] == 0, "kept: not empty");
    jitc_tensor_release(x), jitc_tensor_release(none);
    unload(&l);
}

static void scalar_results(void) {
    loaded l = COMPILED("largest", "x=f32[N]");
    jitc_tensor *x = VEC(1, 7, 3);
    jitc_value out = run(&l, "largest", 1, (jitc_value[]){jitc_tensor_value(x)});
    REQUIRE(jitc_value_float(jitc_value_item(out, 0)) == 7 && jitc_value_int(jitc_value_item(out, 1)) == 1 &&
                jitc_value_int(jitc_value_item(out, 2)) == 1,
            "largest: wrong values");
    jitc_tensor_release(x);
    unload(&l);
}

/* The function writes its argument; the caller's tensor is not touched, since the program computes another one from it. */
static void written_arguments(void) {
    loaded l = COMPILED("written", "x=f32[N]");
    jitc_tensor *x = VEC(1, 2);
    jitc_value args[] = {jitc_tensor_value(x), jitc_int(10)}, out = run(&l, "written", 2, args);
    SAME("written", jitc_value_tensor(jitc_value_item(out, 0)), 12, 14);
    SAME("written", jitc_value_tensor(jitc_value_item(out, 1)), 13, 15);
    SAME("written", x, 1, 2);
    args[1] = jitc_int(-1);
    raises(&l, "written", 2, args, "ValueError", "nothing shrinks");
    raises(&l, "written", 2, args, "ValueError", "custom.py:23");
    jitc_tensor_release(x);
    unload(&l);
}

/* A view of the caller's tensor. */
static void written_inputs(void) {
    loaded l = COMPILED("in_place", "x=f32[N]");
    jitc_tensor *x = VEC(1, 2, 3);
    jitc_value sum = run(&l, "in_place", 1, (jitc_value[]){jitc_tensor_value(x)});
    REQUIRE(*(const float *)jitc_tensor_data(jitc_value_tensor(sum)) == 12, "in_place: wrong sum");
    SAME("in_place", x, 1, 5, 6);
    jitc_tensor_release(x);
    unload(&l);
}

static void lists_and_nones(void) {
    loaded l = COMPILED("blended", "x=f32[N]", "y=f32[N]");
    jitc_tensor *x = VEC(1, 2), *y = VEC(3, 6);
    /* (x + 2y + 3xy) / 3, plus the sum of y */
    SAME("blended", jitc_value_tensor(run(&l, "blended", 2, (jitc_value[]){jitc_tensor_value(x), jitc_tensor_value(y)})), 16.0f / 3 + 9, 50.0f / 3 + 9);
    jitc_tensor_release(x), jitc_tensor_release(y);
    unload(&l);
}

/* A function that does not keep to its declaration, or to what is expected without one, does no harm. */
static void broken_promise(void) {
    loaded wrong = COMPILED("flattened", "x=f32[N, 2]");
    jitc_tensor *m = MAT(2, 2, 1, 2, 3, 4);
    raises(&wrong, "flattened", 1, (jitc_value[]){jitc_tensor_value(m)}, "TypeError",
           "my_ops::flat, result 1: expected a f32 tensor of rank 2, got f32 of rank 1 (custom.py:");
    jitc_tensor_release(m);
    unload(&wrong);
    loaded l = COMPILED("misled", "x=f32[N]");
    jitc_tensor *x = VEC(1, 2, 3);
    raises(&l, "misled", 1, (jitc_value[]){jitc_tensor_value(x)}, "RuntimeError", "my_ops::lies");
    jitc_tensor_release(x);
    unload(&l);
}

/* ---- called from several threads at once */

enum { THREADS = 8 };

static void *run_thread(void *module) {
    loaded own = {.m = module};
    REQUIRE(jitc_session_new(module, NULL, &own.s) == JITC_OK, "%s", jitc_error());
    jitc_tensor *x = MAT(2, 2, 1, -1, 2, 3);
    for (int i = 0; i < 50; i++)
        SAME("kept", jitc_value_tensor(run(&own, "kept", 1, (jitc_value[]){jitc_tensor_value(x)})), 2, 4, 6);
    jitc_tensor_release(x);
    jitc_session_free(own.s);
    return NULL;
}

static void many_threads(void) {
    loaded l = COMPILED("kept", "x=f32[N, 2]");
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) REQUIRE(!pthread_create(&threads[i], NULL, run_thread, l.m), "no thread");
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    unload(&l);
}

/* ---- traced in C */

static void body(jitc_context *c, void *env, int nin, const jitc_t *in, int nout, jitc_t *out) {
    (void)env, (void)nin, (void)nout;
    out[0] = jitc_mul(jitc_apply(c, "my_ops::rowsum", jitc_add(in[0], 1), 2.0), 10);
}

static void traced(void) {
    jitc_context *c;
    jitc_graph *g;
    char path[128], weights[160], so[128];
    float data[] = {1, 2, 3, 4, 5, 6};
    snprintf(path, sizeof path, "%s/traced.ir", dir);
    snprintf(weights, sizeof weights, "%s/traced.weights.safetensors", dir);
    snprintf(so, sizeof so, "%s/traced.so", dir);
    REQUIRE(jitc_open(&c) == JITC_OK, "%s", jitc_error());
    REQUIRE(jitc_register_op(c, ops[0].schema, library, "rowsum") == JITC_OK, "%s", jitc_context_error(c));
    jitc_t x[] = {jitc_from_data(c, JITC_F32, 2, ((int64_t[]){3, 2}), data), jitc_from_data(c, JITC_F32, 2, ((int64_t[]){2, 2}), data)}, y;
    REQUIRE(jitc_trace(c, "net", body, NULL, 1, 1, 2, x, &g) == JITC_OK, "%s", jitc_context_error(c));
    REQUIRE(jitc_trace_save(g, path) == JITC_OK, "%s", jitc_context_error(c));
    jitc_fn *f = jitc_function(c, "net", body, NULL);
    for (int i = 0; i < 3; i++) {
        REQUIRE(jitc_fn_call(f, 1, x, 1, &y) == JITC_OK, "%s", jitc_context_error(c));
        SAME("function", jitc_tensor_of(y), 100, 180, 260);
    }
    REQUIRE(jitc_fn_get_counts(f).compiled_calls, "%s", jitc_fn_report(f));
    jitc_apply(c, "my_ops::rowsum", jitc_from_data(c, JITC_F32, 1, ((int64_t[]){2}), data));
    REQUIRE(strstr(jitc_context_error(c), "declared as f32[N, M]"), "%s", jitc_context_error(c));
    jitc_close(c);
    compile(path, so, 1, (const char *[]){"x0=f32[N, 2]"}, NULL);
    loaded l = load(so);
    jitc_tensor *t = MAT(1, 2, 1, 2);
    SAME("traced", jitc_value_tensor(run(&l, "net", 1, (jitc_value[]){jitc_tensor_value(t)})), 100);
    jitc_tensor_release(t);
    unload(&l);
    remove(path), remove(weights), remove(so);
}

int main(int argc, char **argv) {
    REQUIRE(argc == 2, "the path of the library is wanted");
    library = argv[1];
    snprintf(dir, sizeof dir, "/tmp/jitc-custom-XXXXXX");
    REQUIRE(mkdtemp(dir), "no temporary folder");
    declared_sizes();
    decided_sizes();
    scalar_results();
    written_arguments();
    written_inputs();
    lists_and_nones();
    broken_promise();
    many_threads();
    traced();
    rmdir(dir);
    puts("custom operators: from a script and from C");
    return 0;
}
