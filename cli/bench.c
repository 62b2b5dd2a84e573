/* bench.c: `jitc bench`: latency of each case of the examples, what its kernels take, and the sizes of the module. */
#include "cli/work.h"
#include "runtime/session.h"

#include <link.h>

enum { MIN_RUNS = 20, MAX_RUNS = 100000, WARM_RUNS = 3 };
static const double seconds_per_case = 1.0;

/* Times of runs in seconds, sorted; the count, or 0 after a diagnostic. */
static int measure(cli_runner *r, const cli_call *k, double *times) {
    jitc_value out;
    int n = 0;
    double stop = 0;
    for (int i = -WARM_RUNS; i < MAX_RUNS && (i < MIN_RUNS || cli_now() < stop); i++) {
        if (i == 0) stop = cli_now() + seconds_per_case;
        double begin = cli_now();
        jitc_status status = jitc_run(r->session, k->method, k->nargs, k->args, &out);
        double end = cli_now();
        if (status != JITC_OK) {
            ir_error(r->c, 0, "%s(): %s", k->method, jitc_session_error(r->session));
            return 0;
        }
        if (i >= 0) times[n++] = end - begin;
    }
    cli_sort(times, n);
    return n;
}

/* The memory that a run needs beside its arguments and results: the plan's, and the least that any plan needs (-1: it depends on
 * sizes); and with what the module holds. */
typedef struct memory { long long workspace, alive, all; } memory;

static memory memory_of(const jitc_session *s) {
    memory m = {(long long)s->work_bytes, s->last < 0 ? -1 : (long long)s->m->a->entries[s->last].alive, 0};
    m.all = m.workspace + (long long)(jitc_module_weights_bytes(s->m) + jitc_module_prepared_bytes(s->m));
    m.all += (long long)s->scratch.bytes;
    return m;
}

static void print_case(const cli_args *a, cli_runner *r, int i, const cli_call *k, int n, const double *t, bool first) {
    double median = t[n / 2] * 1e6, p10 = t[n / 10] * 1e6, p90 = t[n * 9 / 10] * 1e6;
    memory m = memory_of(r->session);
    cli_progress(NULL, 0, 0);
    if (a->json) {
        printf("%s\n  {\"case\": %d, \"method\": \"%s\", \"runs\": %d, \"median_us\": %.3f, \"p10_us\": %.3f, \"p90_us\": %.3f",
               first ? "" : ",", i, k->method, n, median, p10, p90);
        printf(", \"workspace_bytes\": %lld, \"alive_bytes\": %lld, \"memory_bytes\": %lld", m.workspace, m.alive, m.all);
        return;
    }
    printf("case %d  %s  median %.2f us  p10 %.2f  p90 %.2f  (%d runs)\n", i, k->method, median, p10, p90, n);
    printf("        memory %lld bytes, of these workspace %lld", m.all, m.workspace);
    if (m.alive >= 0) printf(", in which up to %lld are in use at one time", m.alive);
    putchar('\n');
}

/* ---- sizes */

typedef struct code_search {
    uintptr_t within;
    unsigned long long bytes;
} code_search;

static int add_code(struct dl_phdr_info *o, size_t size, void *env) {
    code_search *x = env;
    bool mine = false;
    unsigned long long bytes = 0;
    (void)size;
    for (int i = 0; i < o->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &o->dlpi_phdr[i];
        if (p->p_type != PT_LOAD) continue;
        mine |= x->within - (o->dlpi_addr + p->p_vaddr) < p->p_memsz;
        if (p->p_flags & PF_X) bytes += p->p_memsz;
    }
    if (mine) x->bytes = bytes;
    return mine;
}

/* What is executable in the library that was loaded for the module. */
static unsigned long long code_bytes(const jitc_module *m) {
    code_search x = {(uintptr_t)m->a, 0};
    dl_iterate_phdr(add_code, &x);
    return x.bytes;
}

static void print_sizes(const cli_args *a, const jitc_module *m) {
    unsigned long long code = code_bytes(m), weights = jitc_module_weights_bytes(m);
    unsigned long long made = jitc_module_prepared_bytes(m);
    const char *level = jitc_module_level(m);
    if (a->json)
        printf("\n], \"level\": \"%s\", \"code_bytes\": %llu, \"weight_bytes\": %llu, \"prepared_bytes\": %llu}\n",
               level, code, weights, made);
    else printf("code %llu bytes, weights %llu bytes, made at load %llu bytes, level %s\n", code, weights, made, level);
}

static bool bench_case(const cli_args *a, cli_runner *r, cli_profiler *p, int i, const ir_case *from, double *times,
                       bool first) {
    cli_call k = {from->method, (int)from->args.list->n, NULL};
    jitc_value *args = RT_ARRAY(&r->c->arena, jitc_value, k.nargs + 1);
    for (int j = 0; j < k.nargs; j++) args[j] = rt_to_public(from->args.list->at[j]);
    k.args = args;
    int n = measure(r, &k, times);
    if (!n) return false;
    print_case(a, r, i, &k, n, times, first);
    bool ok = !a->kernels || cli_profile(p, &k, a->json);
    if (a->json) printf("}");
    return ok;
}

static void bench_cases(const cli_args *a, cli_runner *r, int threads, const ir_cases *cases, double *times) {
    cli_profiler p = {0};
    bool first = true, ok = !a->kernels || cli_profiler_open(&p, r->c, r->module, threads);
    if (a->json) printf("{\"model\": \"%s\", \"threads\": %d, \"cases\": [", jitc_module_name(r->module), threads);
    for (int i = 0; ok && i < cases->n; i++) {
        if (cases->at[i].raises) continue;
        cli_progress("cases", i, cases->n);
        ok = bench_case(a, r, &p, i, &cases->at[i], times, first);
        first = false;
    }
    print_sizes(a, r->module);
    if (ok && a->kernels && *a->kernels) cli_trace_write(&p.trace, a->kernels);
    cli_profiler_close(&p);
}

static int bench(ir_context *c, const cli_args *a) {
    bool *on;
    cli_runner r;
    int threads = a->threads ? a->threads : 1;
    ir_cases *cases = cli_cases(c, a->example.at[0], NULL, &on);
    if (!cases) return CLI_WRONG;
    double *times = RT_ARRAY(&c->arena, double, MAX_RUNS);
    if (cli_runner_open(&r, c, a) && cli_runner_start(&r, a, threads, cases, on))
        bench_cases(a, &r, threads, cases, times);
    cli_runner_close(&r);
    return c->nerrors ? CLI_WRONG : CLI_FINE;
}

int cli_bench(const cli_args *a) {
    if (a->example.n != 1) return cli_fail(CLI_USAGE, "bench wants one --example CASE.safetensors: its cases are the inputs");
    return cli_in_context(a, bench);
}
