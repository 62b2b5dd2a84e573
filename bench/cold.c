/* cold.c: what a program pays that starts, loads a module, runs it once and ends: nothing but the deployed API.
 *
 *   bench_cold MODULE.so [THREADS]
 *
 * Inputs are zeros, of the sizes in the signature of the module's first entry (the least where any size may come).  Prints
 * milliseconds of loading and of the first run; whoever started the process measures the rest. */
#include "jitc/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 64 };

static double now(void) { /* ms */
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static jitc_tensor *zeros(jitc_type type) {
    int64_t shape[JITC_MAX_RANK];
    jitc_tensor *t = NULL;
    for (int i = 0; i < jitc_type_rank(type); i++) shape[i] = jitc_type_dim(type, i).lo;
    if (jitc_tensor_new(jitc_type_dtype(type), jitc_type_rank(type), shape, &t) != JITC_OK) return NULL;
    memset(jitc_tensor_data(t), 0, (size_t)jitc_tensor_numel(t) * jitc_dtype_size(jitc_tensor_dtype(t)));
    return t;
}

/* NULL: fine, or what failed. */
static const char *run(jitc_module *m, jitc_session *s) {
    jitc_value args[MOST], result;
    int n = jitc_entry_args(m, 0);
    if (n > MOST) return "too many arguments";
    for (int i = 0; i < n; i++) {
        jitc_type type = jitc_entry_arg(m, 0, i);
        jitc_tensor *t = jitc_type_get_kind(type) == JITC_T_TENSOR ? zeros(type) : NULL;
        if (!t) return "an argument is no tensor, or memory ran out";
        args[i] = jitc_tensor_value(t); /* kept until the process ends */
    }
    return jitc_run(s, jitc_entry_method(m, 0), n, args, &result) == JITC_OK ? NULL : jitc_session_error(s);
}

int main(int argc, char **argv) {
    jitc_session_opts o = {.size = sizeof o, .threads = argc > 2 ? atoi(argv[2]) : 1};
    jitc_module *m = NULL;
    jitc_session *s = NULL;
    double begin = now();
    if (argc < 2) return fputs("usage: bench_cold MODULE.so [THREADS]\n", stderr), 2;
    if (jitc_load(argv[1], NULL, &m) != JITC_OK) return fprintf(stderr, "%s\n", jitc_error()), 1;
    double loaded = now();
    if (jitc_session_new(m, &o, &s) != JITC_OK) return fprintf(stderr, "%s\n", jitc_error()), 1;
    const char *why = run(m, s);
    if (why) return fprintf(stderr, "%s\n", why), 1;
    printf("load %.3f ms, first run %.3f ms\n", loaded - begin, now() - loaded);
    return 0;
}
