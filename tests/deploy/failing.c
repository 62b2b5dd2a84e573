/* failing.c: the first, second, ... n-th allocation fails while a module is loaded, a session made and methods run: each time a
 * status, no crash, nothing left behind, and the same session works again afterwards.
 *
 * Linked with --wrap for malloc and its kin, so calls from all of our code come through here and the library itself needs no
 * hook. */
#include "deploy.h"
#include "wire.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static _Atomic long blocks, seen, fail_at; /* fail_at: number of the call that fails; 0: none */

void *__real_malloc(size_t), *__real_calloc(size_t, size_t), *__real_realloc(void *, size_t);
void __real_free(void *);
void *__wrap_malloc(size_t), *__wrap_calloc(size_t, size_t), *__wrap_realloc(void *, size_t);
void __wrap_free(void *);

static bool refuse(void) { return fail_at && ++seen == fail_at; }
static void *count(void *p) {
    if (p) blocks++;
    return p;
}

void *__wrap_malloc(size_t n) { return refuse() ? NULL : count(__real_malloc(n)); }
void *__wrap_calloc(size_t n, size_t k) { return refuse() ? NULL : count(__real_calloc(n, k)); }
void *__wrap_realloc(void *p, size_t n) {
    if (refuse()) return NULL;
    return p ? __real_realloc(p, n) : count(__real_realloc(p, n));
}
void __wrap_free(void *p) {
    if (p) blocks--;
    __real_free(p);
}

typedef struct trial {
    deploy *d;
    rt_value *args;    /* of each case */
    rt_text want, got; /* bits of the results without failures, and of this trial */
    int threads, fd;
    bool dlpack;
} trial;

static bool out_of_memory(jitc_status status, const char *what) {
    REQUIRE(status != JITC_E_MEMORY || strstr(what, "out of memory") || strstr(what, "memory file"), "the message is '%s'", what);
    return status == JITC_E_MEMORY;
}

static jitc_status run_case(jitc_session *s, const ir_case *k, rt_value args, jitc_value *result) {
    jitc_value given[16];
    REQUIRE(args.list->n <= 16, "more than 16 arguments");
    for (int64_t i = 0; i < args.list->n; i++) given[i] = rt_to_public(args.list->at[i]);
    return jitc_run(s, k->method, (int)args.list->n, given, result);
}

static jitc_status run_dlpack(const jitc_module *m, jitc_session *s, const ir_case *k, rt_value args) {
    DLTensor in[4], out[4] = {{0}};
    const DLTensor *at[4];
    for (int64_t i = 0; i < args.list->n; i++) {
        REQUIRE(i < 4 && args.list->at[i].tag == V_TENSOR, "not only tensors");
        jitc_tensor_describe(args.list->at[i].tensor, &in[i]);
        at[i] = &in[i];
    }
    jitc_type result = jitc_entry_result(m, 0);
    int nout = jitc_type_get_kind(result) == JITC_T_TUPLE ? jitc_type_children(result) : 1;
    REQUIRE(nout <= 4, "more than 4 results");
    return jitc_run_dlpack(s, k->method, (int)args.list->n, at, nout, out);
}

/* Runs the cases; true if memory was not there.  The bits are gathered without the wrapped calls failing. */
static bool run_cases(trial *t, jitc_session *s) {
    for (int i = 0; i < t->d->cases->n; i++) {
        jitc_value result;
        long armed = fail_at;
        fail_at = 0;
        rt_value args = deploy_copy(t->args[i]);
        fail_at = armed;
        jitc_status status = run_case(s, &t->d->cases->at[i], args, &result);
        if (t->dlpack && status == JITC_OK) status = run_dlpack(t->d->module, s, &t->d->cases->at[i], args);
        else if (status == JITC_OK) {
            fail_at = 0;
            wire_put(&t->got, rt_of_public(result));
            fail_at = armed;
        }
        rt_release(args);
        if (out_of_memory(status, jitc_session_error(s))) return true;
        REQUIRE(status == JITC_OK || status == JITC_E_RAISED, "%s: %s", jitc_status_name(status), jitc_session_error(s));
    }
    return false;
}

static bool load(trial *t, jitc_module **m) {
    jitc_status status = t->fd >= 0 ? jitc_load_fd(t->fd, NULL, m) : jitc_load(t->d->path, NULL, m);
    if (status == JITC_OK) return true;
    REQUIRE(out_of_memory(status, jitc_error()) && !*m, "%s: %s", jitc_status_name(status), jitc_error());
    return false;
}

/* Load to end; true if memory was not there. */
static bool whole(trial *t) {
    jitc_session_opts o = {.size = sizeof o, .threads = t->threads, .profile = 1};
    jitc_module *m = NULL;
    jitc_session *s = NULL;
    if (!load(t, &m)) return true;
    jitc_status status = jitc_session_new(m, &o, &s);
    bool failed = out_of_memory(status, jitc_error());
    REQUIRE(failed == !s, "%s: %s", jitc_status_name(status), jitc_error());
    jitc_module_release(m);
    if (s) failed = run_cases(t, s);
    if (failed && s) { /* the session is as good as new */
        fail_at = 0;
        t->got.n = 0;
        REQUIRE(jitc_session_reset(s) == JITC_OK && !run_cases(t, s), "it does not recover");
    }
    jitc_session_free(s);
    return failed;
}

static long trials(trial *t) {
    for (long n = 1;; n++) {
        t->got.n = 0;
        long before = blocks;
        seen = 0;
        fail_at = n;
        bool failed = whole(t);
        bool reached = seen >= n;
        fail_at = 0;
        REQUIRE(blocks == before, "failing allocation %ld leaves %ld blocks behind", n, (long)(blocks - before));
        REQUIRE(!t->got.n || (t->got.n == t->want.n && !memcmp(t->got.s, t->want.s, t->got.n)), "failing allocation %ld: wrong results", n);
        if (!reached) return REQUIRE(!failed, "a failure of no allocation"), n - 1;
    }
}

static void test(const char *name, int threads, bool by_fd, bool dlpack) {
    deploy d;
    REQUIRE(deploy_open(&d, name, NULL, NULL), "%s does not compile", name);
    trial t = {.d = &d, .threads = threads, .fd = by_fd ? open(d.path, O_RDONLY) : -1, .dlpack = dlpack};
    t.args = calloc((size_t)d.cases->n, sizeof *t.args);
    for (int i = 0; i < d.cases->n; i++) t.args[i] = d.cases->at[i].args;
    rt_text_add(&t.got, "", 1); /* so that it exists before blocks are counted */
    whole(&t);
    t.got.n = 0;
    REQUIRE(!whole(&t), "out of memory");
    rt_text_add(&t.want, t.got.s, t.got.n);
    long n = trials(&t);
    printf("%s: each of %ld allocations failed once\n", name, n);
    free(t.args);
    rt_text_free(&t.want);
    rt_text_free(&t.got);
    if (t.fd >= 0) close(t.fd);
    deploy_close(&d);
}

/* ---- the compiler */

/* Each of the first allocations, then fewer and fewer: there are thousands. */
static void compiles(const char *name) {
    char model[256], cases[256], out[] = "/tmp/jitc-failing-XXXXXX", so[64];
    const char *examples[] = {cases};
    jitc_compile_opts o = {.size = sizeof o, .examples = examples, .nexamples = 1};
    long n = 1, trials = 0, before = blocks;
    snprintf(model, sizeof model, "%s/tests/models/%s.pt", JITC_SOURCE_DIR, name);
    snprintf(cases, sizeof cases, "%s/tests/models/%s.safetensors", JITC_SOURCE_DIR, name);
    REQUIRE(mkdtemp(out), "no temporary folder");
    snprintf(so, sizeof so, "%s/m.so", out);
    for (bool reached = true; reached; n += 1 + n / 8, trials++) {
        char *text = NULL;
        seen = 0;
        fail_at = n;
        jitc_status status = jitc_compile(model, so, &o, &text);
        reached = seen >= n;
        fail_at = 0;
        jitc_free(text);
        REQUIRE(status == JITC_OK || access(so, F_OK), "failing allocation %ld: a file is left: %s", n, jitc_error());
        remove(so);
        REQUIRE(blocks == before, "failing allocation %ld leaves %ld blocks behind: %s", n, (long)(blocks - before), jitc_error());
        REQUIRE(reached || status == JITC_OK, "a failure of no allocation: %s", jitc_error());
    }
    REQUIRE(!rmdir(out), "files are left");
    printf("compiling %s: %ld of about %ld allocations failed once\n", name, trials - 1, n);
}

int main(int argc, char **argv) {
    if (argc > 2 && !strcmp(argv[1], "compile")) {
        compiles(argv[2]);
        return 0;
    }
    if (argc > 1) {
        for (int i = 1; i < argc; i++) test(argv[i], 2, false, false);
        return 0;
    }
    test("mlp", 1, false, false);
    test("lenet", 3, true, false);
    test("resnet_tiny", 2, false, true);
    test("containers", 1, false, false);
    test("submodules", 1, true, false);
    test("sorting", 2, false, false);
    test("strings", 1, false, false);
    test("lstm_loop", 1, false, false);
    test("bn_train", 2, false, true);
    compiles("mlp");
    return 0;
}
