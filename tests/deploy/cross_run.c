/* cross_run.c: what runs on the other machine: cross_run MODULE CASES OUT [LEVEL] loads the module and writes what each case
 * gives.  It is linked with the runtime alone.
 *
 * CASES: their number, then the method and the list of arguments of each.  OUT: for each the status, then the result, or the
 * class and the text of the exception.  All of it twice, on one thread and on two: the bits must be the same. */
#include "runtime/module.h"
#include "tests/deploy/wire.h"

#include <stdlib.h>

static int fail(const char *what, const char *why) {
    fprintf(stderr, "cross_run: %s: %s\n", what, why);
    exit(1);
}

static rt_text read_file(const char *path) {
    rt_text t = {0};
    char block[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    if (!f) fail(path, "cannot be read");
    while ((n = fread(block, 1, sizeof block, f))) rt_text_add(&t, block, n);
    fclose(f);
    return t;
}

static void put_words(rt_text *out, const char *s) {
    rt_value v = rt_strz(s ? s : "");
    wire_put(out, v);
    rt_release(v);
}

static void run_case(jitc_session *s, wire *in, rt_text *out) {
    rt_value method = wire_get(in), args = wire_get(in);
    jitc_value *given = calloc((size_t)args.list->n + 1, sizeof *given), result;
    for (int64_t i = 0; i < args.list->n; i++) given[i] = rt_to_public(args.list->at[i]);
    jitc_status status = jitc_run(s, method.str->s, (int)args.list->n, given, &result);
    wire_put_int(out, status);
    if (status == JITC_OK) wire_put(out, rt_of_public(result));
    if (status != JITC_OK) put_words(out, jitc_session_error_class(s)), put_words(out, jitc_session_error(s));
    free(given);
    rt_release(args);
    rt_release(method);
}

static rt_text run_all(jitc_module *m, const rt_text *cases, int threads) {
    jitc_session_opts o = {.size = sizeof o, .threads = threads};
    jitc_session *s;
    rt_text out = {0};
    wire in = {cases->s, cases->s + cases->n};
    if (jitc_session_new(m, &o, &s) != JITC_OK) fail("session", jitc_error());
    for (int64_t n = wire_int(&in); n > 0; n--) run_case(s, &in, &out);
    jitc_session_free(s);
    return out;
}

int main(int argc, char **argv) {
    jitc_load_opts load = {.size = sizeof load, .level = argc > 4 ? argv[4] : NULL};
    jitc_module *m;
    if (argc < 4) return fail("usage", "cross_run MODULE CASES OUT [LEVEL]");
    if (jitc_load(argv[1], &load, &m) != JITC_OK) return fail(argv[1], jitc_error());
    rt_text cases = read_file(argv[2]), one = run_all(m, &cases, 1), two = run_all(m, &cases, 2);
    if (one.n != two.n || memcmp(one.s, two.s, one.n)) return fail(argv[1], "other bits on two threads than on one");
    FILE *f = fopen(argv[3], "wb");
    if (!f || fwrite(one.s, 1, one.n, f) != one.n || fclose(f)) return fail(argv[3], "cannot be written");
    puts(jitc_module_level(m));
    rt_text_free(&cases);
    rt_text_free(&one);
    rt_text_free(&two);
    jitc_module_release(m);
    return 0;
}
