/* pool.c: what it costs to hand work to other threads and to wait for it.
 *
 *   bench_pool [THREADS]
 *
 * Prints, as JSON, nanoseconds of an rt_pool_run whose pieces wait until all threads have come (they spin; after a gap such
 * as lies between two kernels; after a rest in which they fell asleep), and of one with empty pieces (which the caller
 * takes if nobody is faster) on all threads and on one. */
#include "runtime/pool.h"
#include "runtime/base.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { MANY = 20000, FEW = 200, GAP = 20000 /* ns */, REST = 3000000, LONGEST = 1000000, WORTH_WAKING = 64 };

typedef struct meeting {
    _Atomic int64_t here;
    int64_t wanted;
} meeting;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Returns once all threads have called it, or after a while: one that sleeps need not come. */
static int32_t meet(void *arg, int64_t begin, int64_t end, int64_t worker) {
    meeting *m = arg;
    (void)begin, (void)end, (void)worker;
    atomic_fetch_add(&m->here, 1);
    for (double stop = now() + LONGEST; atomic_load(&m->here) < m->wanted && now() < stop;) continue;
    return 0;
}

static int32_t nothing(void *arg, int64_t begin, int64_t end, int64_t worker) {
    (void)arg, (void)begin, (void)end, (void)worker;
    return 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void rest(double ns) {
    struct timespec t = {0, (long)ns};
    double end = now() + ns;
    if (ns >= REST) nanosleep(&t, NULL);
    while (now() < end) continue;
}

static void measure(const char *name, rt_pool *p, int64_t pieces, int n, double pause, rt_pool_fn *fn) {
    meeting m = {.wanted = rt_pool_workers(p)};
    double *t = rt_calloc((size_t)n, sizeof *t);
    for (int i = 0; t && i < n; i++) {
        if (pause > 0) rest(pause);
        atomic_store(&m.here, 0);
        double begin = now();
        rt_pool_run(p, pieces, pieces, fn, &m);
        t[i] = now() - begin;
    }
    if (t) qsort(t, (size_t)n, sizeof *t, ascending);
    if (t) printf(", \"%s\": {\"median_ns\": %.0f, \"p10_ns\": %.0f, \"p90_ns\": %.0f}", name, t[n / 2], t[n / 10], t[n * 9 / 10]);
    rt_free(t);
}

int main(int argc, char **argv) {
    rt_pool *p = rt_pool_new(argc > 1 ? atoi(argv[1]) : 0);
    if (!p) return fputs("out of memory\n", stderr), 1;
    int n = rt_pool_workers(p);
    printf("{\"threads\": %d", n);
    measure("spinning", p, n, MANY, 0, meet);
    measure("after_gap", p, n, FEW * 10, GAP, meet);
    measure("asleep", p, n + WORTH_WAKING, FEW, REST, meet);
    measure("empty", p, n, MANY, 0, nothing);
    measure("alone", NULL, n, MANY, 0, nothing);
    printf("}\n");
    rt_pool_free(p);
    return 0;
}
