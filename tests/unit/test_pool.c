/* test_pool.c: fork-join threads. */
#include "runtime/base.h"
#include "runtime/pool.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

typedef struct sums {
    int64_t n, pieces, *piece; /* one sum per piece */
    _Atomic int busy[64];  /* is a piece running with this worker number */
    _Atomic int clashes, uneven;
    rt_pool *pool;
    int64_t fail_from;
} sums;

static int32_t add_up(void *arg, int64_t begin, int64_t end, int64_t worker) {
    sums *s = arg;
    if (atomic_exchange(&s->busy[worker], 1)) s->clashes++;
    int64_t sum = 0;
    for (int64_t i = begin; i < end; i++) sum += i * i;
    int64_t number = (begin * s->pieces + s->n - 1) / s->n, least = s->n / s->pieces;
    s->piece[number] = sum;
    if (end - begin < least || end - begin > least + 1) s->uneven++;
    atomic_store(&s->busy[worker], 0);
    return begin >= s->fail_from ? (int32_t)number + 1 : 0;
}

static void check_sums(rt_pool *p, int64_t n, int64_t pieces) {
    int64_t total = 0;
    sums s = {.n = n, .pieces = pieces, .piece = rt_calloc((size_t)pieces, 8), .pool = p, .fail_from = INT64_MAX};
    cr_assert_eq(rt_pool_run(p, n, pieces, add_up, &s), 0);
    for (int64_t i = 0; i < pieces; i++) total += s.piece[i];
    cr_assert_eq(total, (n - 1) * n / 2 * (2 * n - 1) / 3);
    cr_assert_eq(s.clashes, 0);
    cr_assert_eq(s.uneven, 0);
    rt_free(s.piece);
}

Test(pool, all_items_once_for_any_number_of_workers) {
    for (int workers = 1; workers <= 5; workers++) {
        rt_pool *p = rt_pool_new(workers);
        cr_assert_eq(rt_pool_workers(p), workers);
        for (int i = 0; i < 200; i++) check_sums(p, 1 + i * 3, 1 + i % 7 * i / 3);
        usleep(20000); /* all asleep */
        check_sums(p, 1000, 10);
        rt_pool_free(p);
    }
    check_sums(NULL, 1000, 7);
    rt_pool_free(NULL);
}

/* Gives the other thread time to come. */
static int32_t others(void *arg, int64_t begin, int64_t end, int64_t worker) {
    (void)begin, (void)end;
    usleep(5000);
    if (worker) atomic_store((_Atomic bool *)arg, true);
    return 0;
}

Test(pool, sleeping_threads_are_left_alone_until_it_pays) {
    rt_pool *p = rt_pool_new(2);
    _Atomic bool came = false;
    usleep(200000); /* asleep */
    cr_assert_eq(rt_pool_run(p, 2, 2, others, &came), 0);
    cr_assert(!came);
    for (int i = 0; i < 20 && !came; i++) cr_assert_eq(rt_pool_run(p, 8, 8, others, &came), 0);
    cr_assert(came);
    rt_pool_free(p);
}

Test(pool, lowest_failure_wins) {
    rt_pool *p = rt_pool_new(4);
    for (int round = 0; round < 100; round++) {
        int64_t piece[100] = {0};
        sums s = {.n = 100, .pieces = 100, .piece = piece, .fail_from = 37};
        cr_assert_eq(rt_pool_run(p, 100, 100, add_up, &s), 38);
        for (int64_t i = 0; i < 37; i++) cr_assert_eq(piece[i], i * i);
    }
    rt_pool_free(p);
}

static int32_t nest(void *arg, int64_t begin, int64_t end, int64_t worker) {
    sums *s = arg;
    int64_t inner[4];
    sums t = {.n = 20, .pieces = 4, .piece = inner, .fail_from = INT64_MAX};
    (void)end, (void)worker;
    if (rt_pool_run(s->pool, 20, 4, add_up, &t)) return 1;
    s->piece[begin] = inner[0] + inner[1] + inner[2] + inner[3];
    return 0;
}

Test(pool, nested_calls_run_on_the_same_thread) {
    rt_pool *p = rt_pool_new(3);
    int64_t piece[50] = {0};
    sums s = {.piece = piece, .pool = p};
    cr_assert_eq(rt_pool_run(p, 50, 50, nest, &s), 0);
    for (int i = 0; i < 50; i++) cr_assert_eq(piece[i], 2470);
    rt_pool_free(p);
}

static void *many_runs(void *pool) {
    for (int i = 0; i < 100; i++) check_sums(pool, 500, 20);
    return NULL;
}

Test(pool, two_threads_may_share_a_pool) {
    rt_pool *p = rt_pool_new(3);
    pthread_t other;
    pthread_create(&other, NULL, many_runs, p);
    many_runs(p);
    pthread_join(other, NULL);
    rt_pool_free(p);
}

static void backwards(void *user, int64_t n, void (*task)(void *, int64_t), void *arg) {
    ++*(int *)user;
    for (int64_t i = n - 1; i >= 0; i--) task(arg, i);
}

Test(pool, over_a_callback) {
    int calls = 0;
    rt_pool *p = rt_pool_wrap(4, backwards, &calls);
    check_sums(p, 100, 3);
    cr_assert_eq(calls, 1);
    rt_pool_free(p);
}
