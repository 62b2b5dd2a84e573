/* profile.c: what sessions that profile tell: a table of kernels for people, and traces for viewers. */
#include "cli/work.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

double cli_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void cli_sort(double *x, int n) { qsort(x, (size_t)n, sizeof *x, ascending); }

/* ======================================================= traces: JSON of Chrome's kind, which Perfetto reads too */

void cli_trace_add(cli_trace *t, const char *name, double begin, double end, jitc_session *s) {
    const jitc_profile_row *rows;
    int n = jitc_session_profile(s, &rows);
    if (!t->calls.n) t->origin = begin;
    cli_trace_call k = {name, begin - t->origin, end - begin, n, RT_ARRAY(&t->c->arena, jitc_profile_row, n + 1)};
    if (n) memcpy(k.rows, rows, (size_t)n * sizeof *rows);
    RT_PUSH(&t->c->arena, &t->calls, k);
}

static void print_string(FILE *f, const char *s) {
    json_t *j = json_string(s);
    char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    fputs(quoted ? quoted : "\"\"", f);
    free(quoted);
    json_decref(j);
}

static void print_event(FILE *f, const char *category, const char *name, double begin, double seconds) {
    fprintf(f, ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"cat\":\"%s\",\"name\":", category);
    print_string(f, name);
    fprintf(f, ",\"ts\":%.3f,\"dur\":%.3f", begin * 1e6, seconds * 1e6);
}

static void print_call(FILE *f, const cli_trace_call *k) {
    print_event(f, "call", k->name, k->begin, k->seconds);
    fputs("}", f);
    for (int i = 0; i < k->n; i++) {
        const jitc_profile_row *r = &k->rows[i];
        print_event(f, "kernel", r->name, k->begin + (double)r->start * 1e-9, (double)r->ns * 1e-9);
        fprintf(f, ",\"args\":{\"op\":%d,\"result\":", r->op);
        print_string(f, r->result);
        fputs(",\"file\":", f);
        print_string(f, r->file);
        fprintf(f, ",\"line\":%d,\"flops\":%lld,\"bytes\":%lld}}", r->line, (long long)r->flops, (long long)r->bytes);
    }
}

bool cli_trace_write(const cli_trace *t, const char *path) {
    FILE *f = fopen(path, "w");
    if (f) {
        fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", f);
        fputs("{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"jitc\"}}", f);
        for (int i = 0; i < t->calls.n; i++) print_call(f, &t->calls.at[i]);
        fputs("\n]}\n", f);
    }
    bool ok = f && !ferror(f);
    if (f && fclose(f)) ok = false;
    if (!ok) ir_error(t->c, 0, "cannot write %s: %s", path, strerror(errno));
    if (!ok && f) remove(path);
    return ok;
}

/* ======================================================= the table of kernels */

enum { MOST_RUNS = 200, LEAST_RUNS = 5 };
static const double most_seconds = 1.0;

typedef struct kernel { /* one operator of the entry; in the table, all that are alike */
    jitc_profile_row first;
    double *times;       /* of each run, all its calls together */
    int64_t calls;       /* of all runs */
    double seconds;      /* undisturbed */
} kernel;

typedef struct table {
    ir_context *c;
    RT_VEC(kernel) at;
    int runs;
    double outsides[MOST_RUNS], outside; /* in the call, but in no kernel; of each run, and undisturbed */
    double total;
} table;

static void add_run(table *t, double seconds, jitc_session *s) {
    const jitc_profile_row *rows;
    double inside = 0;
    int n = jitc_session_profile(s, &rows);
    for (int i = 0; i < n; i++) {
        while (rows[i].op >= t->at.n) RT_PUSH(&t->c->arena, &t->at, (kernel){0});
        kernel *k = &t->at.at[rows[i].op];
        if (!k->times) *k = (kernel){.first = rows[i], .times = RT_ARRAY(&t->c->arena, double, MOST_RUNS)};
        k->times[t->runs] += (double)rows[i].ns * 1e-9;
        k->calls++;
        inside += (double)rows[i].ns * 1e-9;
    }
    t->outsides[t->runs++] = seconds - inside;
}

static int slowest_first(const void *a, const void *b) {
    double x = ((const kernel *)a)->seconds, y = ((const kernel *)b)->seconds;
    return (x < y) - (x > y);
}

/* The lowest tenth: other programs only add time, and to some kernels of a run more than to others. */
static double undisturbed(double *x, int n) {
    cli_sort(x, n);
    return x[n / 10];
}

/* Do they stand in the same line for the same operation?  A loop that was unrolled has many such. */
static bool alike(const jitc_profile_row *a, const jitc_profile_row *b) {
    return !strcmp(a->name, b->name) && !strcmp(a->result, b->result) && !strcmp(a->file, b->file) && a->line == b->line &&
           a->flops == b->flops && a->bytes == b->bytes;
}

/* Each operator is put to the first one like it. */
static void join_alike(table *t) {
    int n = 0;
    for (int i = 0; i < t->at.n; i++) {
        kernel *k = &t->at.at[i], *to = t->at.at;
        if (!k->times) continue;
        while (to < t->at.at + n && !alike(&to->first, &k->first)) to++;
        if (to == t->at.at + n) {
            t->at.at[n++] = *k;
            continue;
        }
        to->seconds += k->seconds;
        to->calls += k->calls;
    }
    t->at.n = n;
}

static void finish(table *t) {
    t->total = t->outside = undisturbed(t->outsides, t->runs);
    for (int i = 0; i < t->at.n; i++) {
        kernel *k = &t->at.at[i];
        if (k->times) k->seconds = undisturbed(k->times, t->runs);
        t->total += k->seconds;
    }
    join_alike(t);
    if (t->at.n) qsort(t->at.at, (size_t)t->at.n, sizeof *t->at.at, slowest_first);
}

static double calls_of(const table *t, const kernel *k) { return (double)k->calls / t->runs; }
static double rate(const table *t, const kernel *k, int64_t amount) {
    return k->seconds > 0 ? (double)amount * calls_of(t, k) / k->seconds : 0;
}

static void print_kernel(const cli_profiler *p, const table *t, const kernel *k) {
    const jitc_profile_row *r = &k->first;
    double flops = rate(t, k, r->flops), bytes = rate(t, k, r->bytes);
    printf("%12.2f %6.1f%% %7.0f ", k->seconds * 1e6, 100 * k->seconds / t->total, calls_of(t, k));
    if (r->flops && p->flops > 0) printf("%8.1f %6.1f%% ", flops * 1e-9, 100 * flops / p->flops);
    else printf("%8s %7s ", "-", "-");
    if (r->bytes) printf("%7.2f", bytes * 1e-9);
    else printf("%7s", "-");
    printf("  %s%s%s", r->name, *r->result ? " " : "", r->result);
    if (*r->file) printf("  %s:%d", r->file, r->line);
    putchar('\n');
}

static void print_table(const cli_profiler *p, const table *t) {
    printf("%12s %7s %7s %8s %7s %7s  %s\n", "us", "share", "calls", "GFLOP/s", "of peak", "GB/s", "kernel");
    for (int i = 0; i < t->at.n; i++)
        print_kernel(p, t, &t->at.at[i]);
    printf("%12.2f %6.1f%% %7s %8s %7s %7s  outside of kernels\n", t->outside * 1e6,
           100 * t->outside / t->total, "-", "-", "-", "-");
    printf("peak: %.1f GFLOP/s in f32; a copy in memory moves %.2f GB/s\n", p->flops * 1e-9, p->bytes * 1e-9);
}

static void print_json(const cli_profiler *p, const table *t) {
    printf(", \"peak_gflops\": %.1f, \"copy_gb_per_s\": %.2f", p->flops * 1e-9, p->bytes * 1e-9);
    printf(", \"outside_us\": %.3f, \"kernels\": [", t->outside * 1e6);
    for (int i = 0; i < t->at.n; i++) {
        const kernel *k = &t->at.at[i];
        printf("%s\n    {\"name\": ", i ? "," : "");
        print_string(stdout, k->first.name);
        printf(", \"result\": ");
        print_string(stdout, k->first.result);
        printf(", \"file\": ");
        print_string(stdout, k->first.file);
        printf(", \"line\": %d, \"us\": %.3f, \"calls\": %.6g", k->first.line, k->seconds * 1e6, calls_of(t, k));
        printf(", \"gflops\": %.3f, \"gb_per_s\": %.3f}", rate(t, k, k->first.flops) * 1e-9, rate(t, k, k->first.bytes) * 1e-9);
    }
    printf("]");
}

bool cli_profiler_open(cli_profiler *p, ir_context *c, jitc_module *m, int threads) {
    jitc_session_opts o = {.size = sizeof o, .threads = threads, .profile = 1};
    *p = (cli_profiler){.trace.c = c};
    if (jitc_session_new(m, &o, &p->session) != JITC_OK) return ir_error(c, 0, "%s", jitc_error()), false;
    if (!(p->peak = cg_peak_new(c, threads))) return false;
    p->bytes = cg_peak_memory(p->peak);
    return true;
}

void cli_profiler_close(cli_profiler *p) {
    cg_peak_free(p->peak);
    jitc_session_free(p->session);
}

bool cli_profile(cli_profiler *p, const cli_call *k, bool json) {
    table *t = RT_NEW(&p->trace.c->arena, table);
    t->c = p->trace.c;
    cg_peak_sample(p->peak);
    double stop = cli_now() + most_seconds;
    for (int i = -1; t->runs < MOST_RUNS && (t->runs < LEAST_RUNS || cli_now() < stop); i++) {
        jitc_value out;
        double begin = cli_now();
        jitc_status status = jitc_run(p->session, k->method, k->nargs, k->args, &out);
        double end = cli_now();
        if (status != JITC_OK) return ir_error(t->c, 0, "%s(): %s", k->method, jitc_session_error(p->session)), false;
        if (i < 0) continue; /* the first one makes its memory */
        add_run(t, end - begin, p->session);
        if (i == 1) cli_trace_add(&p->trace, k->method, begin, end, p->session);
    }
    finish(t);
    p->flops = cg_peak_sample(p->peak);
    (json ? print_json : print_table)(p, t);
    return true;
}
