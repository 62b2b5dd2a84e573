/* bench.c: `jitc bench`: latency of each case of the examples, and the sizes of the compiled module. */
#include "cli/work.h"

#include <stdlib.h>
#include <time.h>

enum { MIN_RUNS = 20, MAX_RUNS = 100000, WARM_RUNS = 3 };
static const double seconds_per_case = 1.0;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Times of runs in seconds, sorted; the count, or 0 after a diagnostic. */
static int measure(cli_runner *r, const ir_case *k, double *times) {
    rt_value out;
    const char *cls, *message;
    int n = 0;
    double end = 0;
    for (int i = -WARM_RUNS; i < MAX_RUNS && (i < MIN_RUNS || now() < end); i++) {
        if (i == 0) end = now() + seconds_per_case;
        double begin = now();
        if (cli_runner_call(r, k->method, (int)k->args.list->n, k->args.list->at, &out, &cls, &message) != CLI_RAN) {
            ir_error(r->c, 0, "%s(): %s", k->method, message);
            return 0;
        }
        if (i >= 0) times[n++] = now() - begin;
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    return n;
}

static void print_case(const cli_args *a, cli_runner *r, int i, const ir_case *k, int n, const double *t, bool first) {
    double median = t[n / 2] * 1e6, p10 = t[n / 10] * 1e6, p90 = t[n * 9 / 10] * 1e6;
    long long work = (long long)jitc_session_workspace(r->session);
    cli_progress(NULL, 0, 0);
    if (a->json)
        printf("%s\n  {\"case\": %d, \"method\": \"%s\", \"runs\": %d, \"median_us\": %.3f, \"p10_us\": %.3f, \"p90_us\": %.3f, "
               "\"workspace_bytes\": %lld}",
               first ? "" : ",", i, k->method, n, median, p10, p90, work);
    else
        printf("case %d  %s  median %.2f us  p10 %.2f  p90 %.2f  (%d runs)  workspace %lld bytes\n", i, k->method, median, p10, p90, n,
               work);
}

static void print_sizes(const cli_args *a, const jitc_module *m) {
    unsigned long long code = 0, weights = jitc_module_weights_bytes(m);
    for (int e = 0; e < jitc_module_entries(m); e++) code += jitc_entry_code_bytes(m, e);
    if (a->json) printf("\n], \"code_bytes\": %llu, \"weight_bytes\": %llu}\n", code, weights);
    else printf("code %llu bytes, weights %llu bytes\n", code, weights);
}

static int bench(ir_context *c, const cli_args *a) {
    bool *on, first = true;
    cli_runner r;
    ir_cases *cases = cli_cases(c, a->example.at[0], NULL, &on);
    if (!cases) return CLI_WRONG;
    double *times = RT_ARRAY(&c->arena, double, MAX_RUNS);
    if (cli_runner_open(&r, c, a) && cli_runner_start(&r, a, a->threads ? a->threads : 1, cases, on)) {
        if (a->json) printf("{\"model\": \"%s\", \"threads\": %d, \"cases\": [", jitc_module_name(r.module), a->threads ? a->threads : 1);
        for (int i = 0; i < cases->n; i++) {
            if (cases->at[i].raises) continue;
            cli_progress("cases", i, cases->n);
            int n = measure(&r, &cases->at[i], times);
            if (!n) break;
            print_case(a, &r, i, &cases->at[i], n, times, first);
            first = false;
        }
        print_sizes(a, r.module);
    }
    cli_runner_close(&r);
    return c->nerrors ? CLI_WRONG : CLI_FINE;
}

int cli_bench(const cli_args *a) {
    if (a->example.n != 1) return cli_fail(CLI_USAGE, "bench wants one --example CASE.safetensors: its cases are the inputs");
    return cli_in_context(a, bench);
}
