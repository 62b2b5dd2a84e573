/* deploy.c: runs a compiled module.  It links with the runtime only: no compiler, no Python.
 *
 *   deploy MODULE.so [SIZE]
 *
 * Every argument of `forward` must be a tensor; each symbolic size becomes SIZE (default 2), elements are made up. */
#include "jitc/runtime.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_ARGS = 16 };

static jitc_tensor *make_input(jitc_type type, int64_t size) {
    int64_t shape[JITC_MAX_RANK];
    jitc_tensor *t = NULL;
    for (int i = 0; i < jitc_type_rank(type); i++) {
        jitc_dim d = jitc_type_dim(type, i);
        shape[i] = d.value >= 0 ? d.value : size;
    }
    if (jitc_tensor_new(jitc_type_dtype(type), jitc_type_rank(type), shape, &t) != JITC_OK) return NULL;
    if (jitc_tensor_dtype(t) == JITC_F32)
        for (int64_t i = 0; i < jitc_tensor_numel(t); i++) ((float *)jitc_tensor_data(t))[i] = (float)(i % 17) / 17 - 0.5f;
    else
        for (size_t i = 0; i < (size_t)jitc_tensor_numel(t) * jitc_dtype_size(jitc_tensor_dtype(t)); i++)
            ((char *)jitc_tensor_data(t))[i] = 0;
    return t;
}

static int run(jitc_module *m, jitc_session *s, int64_t size) {
    jitc_value args[MAX_ARGS], result;
    int n = jitc_entry_args(m, 0), ok;
    char text[400];
    if (n > MAX_ARGS) return 1;
    for (int i = 0; i < n; i++) {
        char type[80];
        jitc_type_print(jitc_entry_arg(m, 0, i), type, sizeof type);
        printf("  %s: %s\n", jitc_type_name(jitc_entry_arg(m, 0, i)), type);
        args[i] = jitc_tensor_value(make_input(jitc_entry_arg(m, 0, i), size));
    }
    ok = jitc_run(s, jitc_entry_method(m, 0), n, args, &result) == JITC_OK;
    for (int i = 0; i < n; i++) jitc_tensor_release(jitc_value_tensor(args[i]));
    if (!ok) return fprintf(stderr, "%s\n", jitc_session_error(s)), 1;
    jitc_value_print(result, text, sizeof text);
    printf("  result: %s\n", text);
    return 0;
}

int main(int argc, char **argv) {
    jitc_module *m = NULL;
    jitc_session *s = NULL;
    int code = 1;
    if (argc < 2) return fprintf(stderr, "usage: deploy MODULE.so [SIZE]\n"), 2;
    if (jitc_load(argv[1], NULL, &m) != JITC_OK || jitc_session_new(m, NULL, &s) != JITC_OK)
        fprintf(stderr, "%s\n", jitc_error());
    else {
        printf("  %s, made by %s, %zu bytes of weights\n", jitc_module_name(m), jitc_module_producer(m), jitc_module_weights_bytes(m));
        code = run(m, s, argc > 2 ? atoll(argv[2]) : 2);
    }
    jitc_session_free(s);
    jitc_module_release(m);
    return code;
}
