/* deploy.c: see deploy.h. */
#include "deploy.h"
#include "wire.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define SANITIZER "thread"
/* ThreadSanitizer sees accesses of up to 16 bytes: so vectors are no longer than that here. */
#if defined(__x86_64__)
#define TARGET "x86-64-v2"
#endif
/* Names that LLVM 19 calls and the library of gcc 12 does not have; these calls are seen by it all the same. */
__attribute__((visibility("default"))) void *__tsan_memcpy(void *to, const void *from, size_t n) { return memcpy(to, from, n); }
__attribute__((visibility("default"))) void *__tsan_memmove(void *to, const void *from, size_t n) { return memmove(to, from, n); }
__attribute__((visibility("default"))) void *__tsan_memset(void *at, int c, size_t n) { return memset(at, c, n); }
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZER "address"
#endif
#ifndef SANITIZER
#define SANITIZER NULL
#endif
#ifndef TARGET
#define TARGET NULL
#endif

void deploy_fail(const char *file, int line, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

/* ---- models */

/* Do the sanitizer's calls stand in the file? */
static void check_instrumented(const char *path, const char *sanitizer) {
    const char *call = !strcmp(sanitizer, "thread") ? "__tsan_write4" : "__asan_report_store4";
    char block[1 << 16];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(block, 1, sizeof block, f) : 0;
    if (f) fclose(f);
    REQUIRE(memmem(block, n, call, strlen(call)), "%s is not instrumented: no %s", path, call);
}

static bool compile(deploy *d, const jitc_compile_opts *o, const ir_cases *cases) {
    lower_entries entries = {0};
    rt_text log = {0};
    bool ok = jitc_model_entries(d->model, o, cases, &entries) && jitc_compile_model(d->model, o, &entries, d->path, &log);
    rt_text_free(&log);
    return ok;
}

static bool refused(const deploy *d) {
    rt_text log = {0};
    ir_diags_print(d->c, &log, false);
    fputs(log.s ? log.s : "refused without a word\n", stderr);
    rt_text_free(&log);
    return false;
}

bool deploy_compile(deploy *d, const char *name, const char *const *inputs, const jitc_compile_opts *opts) {
    jitc_compile_opts o = {.size = sizeof o};
    char file[256];
    *d = (deploy){.c = jitc_context_new()};
    if (opts) o = *opts;
    if (!o.sanitize) o.sanitize = SANITIZER;
    if (!o.target) o.target = TARGET;
    o.inputs = inputs;
    for (o.ninputs = 0; inputs && inputs[o.ninputs];) o.ninputs++;
    snprintf(file, sizeof file, "%s/tests/models/%s.safetensors", JITC_SOURCE_DIR, name);
    REQUIRE(d->cases = ir_cases_open(d->c, file), "cannot read %s", file);
    snprintf(file, sizeof file, "%s/tests/models/%s.pt", JITC_SOURCE_DIR, name);
    if (!(d->model = jitc_read_model(d->c, file))) return refused(d);
    snprintf(d->dir, sizeof d->dir, "/tmp/jitc-deploy-XXXXXX");
    REQUIRE(mkdtemp(d->dir), "no temporary folder");
    snprintf(d->path, sizeof d->path, "%s/m.so", d->dir);
    if (!compile(d, &o, inputs ? NULL : d->cases)) return refused(d);
    if (o.sanitize && !strcmp(name, "mlp")) check_instrumented(d->path, o.sanitize);
    return true;
}

bool deploy_open(deploy *d, const char *name, const char *const *inputs, const jitc_compile_opts *opts) {
    if (!deploy_compile(d, name, inputs, opts)) return false;
    REQUIRE(jitc_load(d->path, NULL, &d->module) == JITC_OK, "%s: %s", name, jitc_error());
    return true;
}

void deploy_close(deploy *d) {
    jitc_module_release(d->module);
    ir_context_free(d->c);
    if (!*d->dir) return;
    remove(d->path);
    rmdir(d->dir);
}

jitc_session *deploy_session(const deploy *d, int threads) {
    jitc_session_opts o = {.size = sizeof o, .threads = threads};
    jitc_session *s = NULL;
    REQUIRE(jitc_session_new(d->module, &o, &s) == JITC_OK, "%s", jitc_error());
    return s;
}

/* ---- values */

static rt_value copy_items(rt_value v) {
    rt_value out = rt_list_new(v.tag, v.list->n);
    for (int64_t i = 0; i < v.list->n; i++) out.list->at[i] = deploy_copy(v.list->at[i]);
    return out;
}

rt_value deploy_copy(rt_value v) {
    if (v.tag == V_TENSOR) return rt_tensor_value(rt_tensor_copy_to(v.tensor, v.tensor->dtype));
    if (v.tag == V_LIST || v.tag == V_TUPLE) return copy_items(v);
    if (v.tag != V_DICT) return rt_retain(v);
    rt_value out = rt_dict_new();
    for (int64_t i = 0; i < v.dict->n; i++) rt_dict_set(out.dict, v.dict->keys[i], deploy_copy(v.dict->values[i]));
    return out;
}

void deploy_run(const deploy *d, jitc_session *s, int i, rt_text *out) {
    const ir_case *k = &d->cases->at[i];
    rt_value args = deploy_copy(k->args);
    int n = (int)args.list->n;
    jitc_value *given = calloc((size_t)n + 1, sizeof *given), result;
    for (int a = 0; a < n; a++) given[a] = rt_to_public(args.list->at[a]);
    jitc_status status = jitc_run(s, k->method, n, given, &result);
    rt_text_fmt(out, "case %d: %s %s", i, jitc_status_name(status), status == JITC_OK ? "" : jitc_session_error(s));
    wire_put(out, rt_of_public(result));
    wire_put(out, args);
    REQUIRE(!out->failed && status != JITC_E_MEMORY, "out of memory");
    rt_release(args);
    free(given);
}

jitc_tensor *deploy_floats(int ndim, const int64_t *shape, unsigned seed) {
    jitc_tensor *t = NULL;
    REQUIRE(jitc_tensor_new(JITC_F32, ndim, shape, &t) == JITC_OK, "%s", jitc_error());
    float *x = jitc_tensor_data(t);
    for (int64_t i = 0; i < jitc_tensor_numel(t); i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (1 << 23) - 1;
    }
    return t;
}

jitc_tensor *deploy_ints(int ndim, const int64_t *shape, int64_t most, unsigned seed) {
    jitc_tensor *t = NULL;
    REQUIRE(jitc_tensor_new(JITC_I64, ndim, shape, &t) == JITC_OK, "%s", jitc_error());
    int64_t *x = jitc_tensor_data(t);
    for (int64_t i = 0; i < jitc_tensor_numel(t); i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = 1 + (int64_t)(seed >> 8) % most;
    }
    return t;
}

void deploy_agrees(deploy *d, int n, jitc_tensor *const *x, jitc_tensor *got) {
    lower_method f;
    rt_env env = {0};
    rt_value args[8], want = V_NULL;
    for (int i = 0; i < n; i++) args[i] = rt_tensor_value(x[i]);
    REQUIRE(jitc_model_method(d->model, "forward", &f), "no forward");
    lower_interp *in = lower_interp_new(d->model->module);
    REQUIRE(lower_interp_call(in, f.func, n, args, &want, &env), "interpreter: %s", env.message);
    REQUIRE(want.tag == V_TENSOR && want.tensor->ndim == jitc_tensor_ndim(got) &&
                !memcmp(want.tensor->shape, jitc_tensor_shape(got), (size_t)want.tensor->ndim * 8),
            "the shapes differ");
    rt_tensor *w = rt_tensor_copy_to(want.tensor, DT_F32);
    const float *a = rt_tensor_data(w), *b = jitc_tensor_data(got);
    for (int64_t i = 0; i < jitc_tensor_numel(got); i++)
        REQUIRE(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(a[i])), "element %lld: %g, not %g", (long long)i, (double)b[i], (double)a[i]);
    rt_tensor_release(w);
    rt_release(want);
    lower_interp_free(in);
}

/* ---- all models */

static int is_model(const struct dirent *e) {
    size_t n = strlen(e->d_name);
    return n > 3 && !strcmp(e->d_name + n - 3, ".pt");
}

void deploy_each(int argc, char **argv, void (*test)(const char *name)) {
    struct dirent **list;
    for (int i = 1; i < argc; i++) test(argv[i]);
    if (argc > 1) return;
    int n = scandir(JITC_SOURCE_DIR "/tests/models", &list, is_model, alphasort);
    REQUIRE(n > 0, "no models");
    for (int i = 0; i < n; i++) {
        list[i]->d_name[strlen(list[i]->d_name) - 3] = 0;
        test(list[i]->d_name);
        free(list[i]);
    }
    free(list);
}
