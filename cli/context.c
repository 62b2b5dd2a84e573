/* context.c: the context of a command, its options as the library wants them, and files of cases. */
#include "cli/work.h"

#include "ir/custom.h"

#include <stdlib.h>

static bool is_bug(const ir_context *c) {
    for (int i = 0; i < c->diags.n; i++)
        if (c->diags.at[i].severity == IR_ERROR && !strncmp(c->diags.at[i].text, "internal:", 9)) return true;
    return false;
}

static void print_diags(ir_context *c) {
    rt_text t = {0};
    cli_progress(NULL, 0, 0);
    fflush(stdout);
    ir_diags_print(c, &t, cli_colour(2));
    if (t.s) fputs(t.s, stderr);
    rt_text_free(&t);
}

int cli_in_context(const cli_args *a, int (*body)(ir_context *c, const cli_args *a)) {
    jmp_buf out_of_memory;
    ir_context *c = jitc_context_new();
    volatile int code = CLI_WRONG;
    if (!c) return cli_fail(CLI_WRONG, "out of memory");
    if (!setjmp(out_of_memory)) {
        c->arena.fail = &out_of_memory;
        for (int i = 0; i < a->op.n; i++) ir_custom_option(c, a->op.at[i]);
        if (!c->nerrors) code = body(c, a);
        print_diags(c);
        if (is_bug(c)) code = CLI_BUG;
    } else {
        cli_fail(CLI_WRONG, "out of memory");
    }
    c->arena.fail = NULL;
    ir_context_free(c);
    return code;
}

bool cli_has_suffix(const char *path, const char *suffix) {
    size_t n = strlen(path), k = strlen(suffix);
    return n > k && !strcmp(path + n - k, suffix);
}

jitc_ffi *cli_custom(ir_context *c, jitc_load_opts *out) {
    jitc_ffi *f = NULL;
    bool ok = jitc_ffi_new(&f) == JITC_OK;
    for (int i = 0; ok && i < c->customs.n; i++) {
        const ir_custom *k = c->customs.at[i]->custom;
        if (k->library) ok = jitc_ffi_add_library(f, c->customs.at[i]->full, k->library, k->symbol) == JITC_OK;
    }
    if (ok) {
        jitc_ffi_use(f, out);
        return f;
    }
    ir_error(c, 0, "%s", jitc_error());
    jitc_ffi_free(f);
    return NULL;
}

bool cli_is_module(const char *path) { return cli_has_suffix(path, ".so"); }

jitc_compile_opts cli_compile_opts(const cli_args *a) {
    return (jitc_compile_opts){.size = sizeof(jitc_compile_opts),
                               .inputs = a->input.at,
                               .ninputs = a->input.n,
                               .examples = a->example.at,
                               .nexamples = a->example.n,
                               .cases = a->cases,
                               .methods = a->method.at,
                               .nmethods = a->method.n,
                               .specialise = a->specialise.at,
                               .nspecialise = a->specialise.n,
                               .target = a->target,
                               .optimise = a->opt ? a->opt : -1,
                               .name = a->name,
                               .weights_side = a->weights && !strcmp(a->weights, "side"),
                               .verify = a->verify,
                               .stats = a->stats,
                               .print_after = a->print_after,
                               .stop_after = a->stop_after,
                               .skip = a->skip,
                               .sanitize = a->sanitize,
                               .ops = a->op.at,
                               .nops = a->op.n,
                               .fast_math = a->fast_math,
                               .colour = cli_colour(2)};
}

static bool select_cases(ir_context *c, const char *text, const ir_cases *cases, bool *on) {
    for (const char *at = text; *at;) {
        char *end;
        long i = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || i < 0 || i >= cases->n) {
            ir_error(c, 0, "--case=%s: %s has the cases 0 to %d", text, cases->file, cases->n - 1);
            return false;
        }
        on[i] = true;
        at = *end ? end + 1 : end;
    }
    return true;
}

ir_cases *cli_cases(ir_context *c, const char *path, const char *select, bool **on) {
    ir_cases *cases = ir_cases_open(c, path);
    if (!cases) return NULL;
    *on = RT_ARRAY(&c->arena, bool, cases->n + 1);
    for (int i = 0; i < cases->n; i++) (*on)[i] = !select;
    return !select || select_cases(c, select, cases, *on) ? cases : NULL;
}
