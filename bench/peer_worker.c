/* peer_worker.c: jitc as a worker of a benchmark harness that compares it with other systems.
 *
 *   peer_worker WORKDIR/MODEL THREADS
 *
 * Compiles `model.pt` of that folder for the inputs in.0, in.1 ... of its `case.safetensors`, runs it once, and then speaks
 * JSON, one object a line:
 *   it prints {"ready": 1, "build_s": .., "out": "FILE.safetensors"} (results out.0, ...), or {"error": TEXT} and ends;
 *   on {"cmd": "round", "secs": S} it calls back to back for S seconds and prints {"median": ms, "min": ms, "n": N};
 *   on {"cmd": "quit"}, or when its input ends, it ends.
 * A timed call is jitc_run as any program calls it; results stay with the session. */
#include "jitc_internal.h"
#include "runtime/module.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WARM_CALLS = 2, LEAST_CALLS = 3, MOST_CALLS = 1 << 21 };

typedef struct worker {
    ir_context *c;
    FILE *to; /* the protocol: what libraries print goes to stderr */
    const char *folder;
    int threads;
    jitc_module *module;
    jitc_session *session;
    const char *method;
    int nargs;
    jitc_value *args;
    double build_s, *times; /* times: of a round, in ms */
} worker;

typedef RT_VEC(ir_named_tensor) tensors;

static double now(void) { /* ms */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Takes o. */
static void say(worker *w, json_t *o) {
    char *text = json_dumps(o, JSON_COMPACT);
    fprintf(w->to, "%s\n", text ? text : "{\"error\":\"out of memory\"}");
    fflush(w->to);
    free(text);
    json_decref(o);
}

static void say_errors(worker *w) {
    rt_text t = {0};
    ir_diags_print(w->c, &t, false);
    say(w, json_pack("{s:s}", "error", t.s ? t.s : "out of memory"));
    rt_text_free(&t);
}

static bool build(worker *w, const ir_cases *cases) {
    jitc_compile_opts o = {.size = sizeof o};
    jitc_session_opts so = {.size = sizeof so, .threads = w->threads};
    lower_entries entries = {0};
    double begin = now();
    jitc_model *m = jitc_read_model(w->c, ir_fmt(w->c, "%s/model.pt", w->folder));
    if (!m || !jitc_model_entries(m, &o, cases, &entries)) return false;
    if (!(w->module = jitc_compile_and_load(m, &o, &entries, NULL, NULL))) return false;
    if (jitc_session_new(w->module, &so, &w->session) != JITC_OK) ir_error(w->c, 0, "%s", jitc_error());
    w->build_s = (now() - begin) * 1e-3;
    return w->session != NULL;
}

static jitc_status call(worker *w, jitc_value *result) { return jitc_run(w->session, w->method, w->nargs, w->args, result); }

static void name_results(worker *w, tensors *to, rt_value v) {
    for (int64_t i = 0; (v.tag == V_LIST || v.tag == V_TUPLE) && i < v.list->n; i++) name_results(w, to, v.list->at[i]);
    if (v.tag != V_TENSOR) return;
    ir_named_tensor out = {ir_fmt(w->c, "out.%d", to->n), v.tensor};
    RT_PUSH(&w->c->arena, to, out);
}

static bool first_call(worker *w) {
    const char *path = ir_fmt(w->c, "%s/out-jitc-t%d.safetensors", w->folder, w->threads);
    tensors results = {0};
    jitc_value out;
    if (call(w, &out) != JITC_OK) return ir_error(w->c, 0, "%s", jitc_session_error(w->session)), false;
    name_results(w, &results, rt_of_public(out));
    if (!ir_safetensors_write(w->c, path, results.n, results.at, 0, NULL)) return false;
    say(w, json_pack("{s:i,s:f,s:s}", "ready", 1, "build_s", w->build_s, "out", path));
    return true;
}

static bool prepare(worker *w) {
    ir_cases *cases = ir_cases_open(w->c, ir_fmt(w->c, "%s/case.safetensors", w->folder));
    if (!cases || !cases->n || !build(w, cases)) return false;
    const ir_case *k = &cases->at[0];
    w->method = k->method;
    w->nargs = (int)k->args.list->n;
    w->args = RT_ARRAY(&w->c->arena, jitc_value, w->nargs + 1);
    for (int i = 0; i < w->nargs; i++) w->args[i] = rt_to_public(k->args.list->at[i]);
    w->times = RT_ARRAY(&w->c->arena, double, MOST_CALLS);
    return first_call(w);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool round_of(worker *w, double secs) {
    jitc_value out;
    int n = 0;
    for (int i = 0; i < WARM_CALLS; i++)
        if (call(w, &out) != JITC_OK) return false;
    double end = now() + secs * 1e3, before, after;
    do {
        before = now();
        if (call(w, &out) != JITC_OK) return false;
        after = now();
        w->times[n++] = after - before;
    } while (n < MOST_CALLS && (after < end || n < LEAST_CALLS));
    qsort(w->times, (size_t)n, sizeof *w->times, ascending);
    double median = (w->times[n / 2] + w->times[(n - 1) / 2]) / 2;
    say(w, json_pack("{s:f,s:f,s:i}", "median", median, "min", w->times[0], "n", n));
    return true;
}

static int serve(worker *w) {
    char *line = NULL;
    size_t cap = 0;
    bool ok = true;
    while (ok && getline(&line, &cap, stdin) > 0) {
        json_error_t e;
        json_t *q = json_loads(line, 0, &e);
        const char *cmd = json_string_value(json_object_get(q, "cmd"));
        bool quit = cmd && !strcmp(cmd, "quit");
        if (cmd && !strcmp(cmd, "round")) ok = round_of(w, json_number_value(json_object_get(q, "secs")));
        else if (!quit) say(w, json_pack("{s:s}", "error", "a command is {\"cmd\": \"round\", \"secs\": S} or {\"cmd\": \"quit\"}"));
        json_decref(q);
        if (quit) break;
    }
    if (!ok) say(w, json_pack("{s:s}", "error", jitc_session_error(w->session)));
    free(line);
    return !ok;
}

static int work(worker *w) {
    jmp_buf out_of_memory;
    volatile int code = 1;
    if (!setjmp(out_of_memory)) {
        w->c->arena.fail = &out_of_memory;
        if (prepare(w)) code = serve(w);
        else say_errors(w);
    } else {
        say(w, json_pack("{s:s}", "error", "out of memory"));
    }
    w->c->arena.fail = NULL;
    return code;
}

int main(int argc, char **argv) {
    worker w = {.folder = argc == 3 ? argv[1] : NULL, .threads = argc == 3 ? atoi(argv[2]) : 0};
    if (w.threads < 1) return fputs("usage: peer_worker WORKDIR/MODEL THREADS\n", stderr), 2;
    if (!(w.c = jitc_context_new()) || !(w.to = fdopen(dup(1), "w")) || dup2(2, 1) < 0)
        return fprintf(stderr, "peer_worker: %s\n", strerror(errno)), 1;
    int code = work(&w);
    jitc_session_free(w.session);
    jitc_module_release(w.module);
    ir_context_free(w.c);
    fclose(w.to);
    return code;
}
