/* check.c: `jitc check`: runs the cases of a file in order on one module and one session, and compares. */
#include "cli/work.h"

typedef struct tally {
    int cases, outputs, wrong, unsupported;
    double largest;
} tally;

static void row(int i, const ir_case *k, const char *what, bool fine, const char *text) {
    bool colour = cli_colour(1) && !fine;
    cli_progress(NULL, 0, 0);
    printf("case %d  %s  %-12s %s%s%s\n", i, k->method, what, colour ? "\033[1;31m" : "", text, colour ? "\033[0m" : "");
}

static void compare(ir_context *c, int i, const ir_case *k, rt_value got, ir_tolerance tol, tally *t) {
    ir_comparison result = {0};
    bool same = ir_case_compare(c, k, got, tol, &result);
    for (int j = 0; j < result.rows.n; j++) {
        const ir_difference *d = &result.rows.at[j];
        t->outputs++;
        if (!(d->error <= t->largest)) t->largest = d->error;
        row(i, k, d->path, d->fine, d->fine ? ir_fmt(c, "max error %.3g", d->error) : ir_fmt(c, "DIFFERS: %s", d->message));
    }
    if (!same && !result.rows.n) row(i, k, "out", false, ir_fmt(c, "DIFFERS: %s", result.first ? result.first : "another value"));
    if (same && !result.rows.n) row(i, k, "out", true, "equal");
    t->wrong += !same;
}

static void failed(ir_context *c, int i, const ir_case *k, cli_outcome how, const char *cls, const char *message, tally *t) {
    const char *why = "", *text = message;
    if (*cls && strncmp(message, cls, strlen(cls))) text = ir_fmt(c, "%s: %s", cls, message);
    bool wanted = k->raises && ir_case_raised(c, k, *cls ? cls : NULL, message, &why);
    if (how == CLI_UNSUPPORTED && !(wanted && k->words)) {
        row(i, k, "", false, ir_fmt(c, "NOT SUPPORTED: %s", text));
        t->unsupported++;
    } else if (!k->raises) {
        row(i, k, "", false, ir_fmt(c, "FAILED: %s", text));
        t->wrong++;
    } else if (!wanted) {
        row(i, k, "raises", false, ir_fmt(c, "DIFFERS: %s", why));
        t->wrong++;
    } else row(i, k, "raises", true, text);
}

static void run_case(cli_runner *r, const cli_args *a, const ir_cases *cases, int i, tally *t) {
    const ir_case *k = &cases->at[i];
    ir_tolerance tol = {a->rtol > cases->rtol ? a->rtol : cases->rtol, a->atol > cases->atol ? a->atol : cases->atol,
                        cli_has_suffix(a->files.at[0], ".onnx") || cli_has_suffix(a->files.at[0], ".pt2")};
    rt_value out;
    const char *cls, *message;
    cli_progress("cases", i, cases->n);
    cli_outcome how = cli_runner_call(r, k->method, (int)k->args.list->n, k->args.list->at, &out, &cls, &message);
    t->cases++;
    if (how != CLI_RAN) failed(r->c, i, k, how, cls, message, t);
    else if (k->raises) {
        row(i, k, "raises", false, ir_fmt(r->c, "DIFFERS: it ran; wanted %s", k->raises));
        t->wrong++;
    } else if (!k->has_out) row(i, k, "out", true, "ran; the file has no expected value");
    else compare(r->c, i, k, out, tol, t);
}

static int summary(const tally *t) {
    cli_progress(NULL, 0, 0);
    printf("%d case%s, %d output%s: ", t->cases, t->cases == 1 ? "" : "s", t->outputs, t->outputs == 1 ? "" : "s");
    if (t->unsupported) printf("%d not supported", t->unsupported);
    if (t->unsupported && t->wrong) printf(", ");
    if (t->wrong) printf("%d wrong", t->wrong);
    if (!t->wrong && !t->unsupported) printf("all agree, largest error %.3g", t->largest);
    putchar('\n');
    return t->wrong ? CLI_DIFFERS : t->unsupported ? CLI_WRONG : CLI_FINE;
}

static int check(ir_context *c, const cli_args *a) {
    bool *on;
    cli_runner r;
    tally t = {0};
    ir_cases *cases = cli_cases(c, a->files.at[1], a->cases, &on);
    if (!cases) return CLI_WRONG;
    int code = CLI_WRONG;
    if (cli_runner_open(&r, c, a) && cli_runner_start(&r, a, a->threads ? a->threads : 1, cases, on)) {
        for (int i = 0; i < cases->n; i++)
            if (on[i]) run_case(&r, a, cases, i, &t);
        code = summary(&t);
    }
    cli_runner_close(&r);
    return code;
}

int cli_check(const cli_args *a) { return cli_in_context(a, check); }
