/* compile.c: `jitc MODEL -o OUT` and `jitc ops`. */
#include "cli/work.h"

int cli_compile(const cli_args *a) {
    jitc_compile_opts o = cli_compile_opts(a);
    char *text = NULL;
    if (!a->out) return cli_fail(CLI_USAGE, "where to? -o OUT is missing");
    cli_progress("compiling", 0, 0);
    jitc_status status = jitc_compile(a->files.at[0], a->out, &o, &text);
    cli_progress(NULL, 0, 0);
    if (text) fputs(text, stderr);
    else if (status != JITC_OK) cli_fail(CLI_WRONG, "%s", jitc_error());
    jitc_free(text);
    if (status == JITC_OK) return CLI_FINE;
    return strncmp(jitc_error(), "internal:", 9) ? CLI_WRONG : CLI_BUG;
}

static int ops(ir_context *c, const cli_args *a) {
    rt_text t = {0};
    (void)a;
    ir_ops_document(c, &t);
    if (t.s) fputs(t.s, stdout);
    rt_text_free(&t);
    return c->nerrors ? CLI_WRONG : CLI_FINE;
}

int cli_ops(const cli_args *a) { return cli_in_context(a, ops); }
