/* pool.c: fork-join threads over atomic piece counters (pool.h).
 *
 * The pieces of a job are cut into shares, runs of neighbours with a counter each.  A thread begins with its own share and
 * goes on with those of others: the second thread works on the second half of every job, so what one kernel leaves in
 * a core's cache is there for the next one, and no thread waits while pieces are left.
 *
 * All coordination is one word, `gate`: bit 0 says that a job is open, bits 1..15 count the threads inside
 * it, the rest is the job's number.  A thread enters an open job by a compare-and-swap that adds 2 and leaves
 * by subtracting 2; the caller closes the gate when the pieces have run out and waits for the count to fall
 * to zero.  So a thread that slept through a job is not waited for, and none can enter one that is over: the
 * job's fields are stable while it is inside. */
#include "runtime/pool.h"
#include "runtime/base.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define GATE_OPEN UINT64_C(1)
#define GATE_ONE UINT64_C(2)
#define GATE_COUNT UINT64_C(0xfffe)
#define GATE_NUMBER UINT64_C(0x10000)
enum {
    MAX_WORKERS = 1024,
    SPINS = 2000, /* about 20 to 80 microseconds of pauses: the length of a gap between two kernels, not of an
                     idle time */
    MAX_SHARES = 8, /* all are reset for every job */
    WAKE_PIECES = 8 /* last about as long as it takes to wake a thread: some ten microseconds */
};

typedef struct rt_job {
    int64_t n, pieces;
    rt_pool_fn *fn;
    void *arg;
} rt_job;

struct rt_pool {
    _Alignas(64) _Atomic uint64_t gate;
    struct rt_share {
        _Alignas(64) _Atomic int64_t next; /* piece */
        int64_t end;                       /* written as `job` is */
    } share[MAX_SHARES];
    int shares; /* of the open job */
    _Alignas(64) _Atomic int64_t failed; /* lowest piece that failed, or INT64_MAX */
    int32_t code;                        /* its code; guarded by `lock` */
    rt_job job;                          /* written while the gate is closed and nobody is inside */
    int64_t owed;                        /* pieces since the last waking, while threads slept; the caller's */
    _Atomic bool stop;
    _Atomic int busy; /* an int: riscv64 exchanges bytes by a library */
    _Atomic int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int workers, nthreads;
    rt_parallel_fn *parallel;
    void *user;
    void *block; /* what to free: the struct itself is aligned by hand */
    struct rt_thread {
        rt_pool *pool;
        int64_t worker;
        pthread_t id;
    } threads[];
};

/* Which pool's piece this thread is running, so that a nested run stays on it. */
static _Thread_local struct {
    rt_pool *pool;
    int64_t worker;
} inside;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- pieces */

/* Where piece number i begins: i * n / pieces, without overflow. */
static int64_t begin_of(const rt_job *j, int64_t i) { return j->n / j->pieces * i + j->n % j->pieces * i / j->pieces; }

static int32_t run_piece(const rt_job *j, int64_t piece, int64_t worker) {
    return j->fn(j->arg, begin_of(j, piece), begin_of(j, piece + 1), worker);
}

static int32_t run_serially(const rt_job *j, int64_t worker) {
    for (int64_t i = 0; i < j->pieces; i++) {
        int32_t code = run_piece(j, i, worker);
        if (code) return code;
    }
    return 0;
}

static void note_failure(rt_pool *p, int64_t piece, int32_t code) {
    pthread_mutex_lock(&p->lock);
    if (piece < atomic_load_explicit(&p->failed, memory_order_relaxed)) {
        p->code = code;
        atomic_store_explicit(&p->failed, piece, memory_order_relaxed);
    }
    pthread_mutex_unlock(&p->lock);
}

/* The pieces of a share are given out in rising order, and none below a failed one is left out. */
static void take_share(rt_pool *p, struct rt_share *s, int64_t worker) {
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
        if (i >= s->end || i > atomic_load_explicit(&p->failed, memory_order_relaxed)) return;
        int32_t code = run_piece(&p->job, i, worker);
        if (code) note_failure(p, i, code);
    }
}

static void take_pieces(rt_pool *p, int64_t worker) {
    rt_pool *outer = inside.pool;
    int64_t outer_worker = inside.worker;
    inside.pool = p;
    inside.worker = worker;
    for (int i = 0; i < p->shares; i++) take_share(p, &p->share[(worker + i) % p->shares], worker);
    inside.pool = outer;
    inside.worker = outer_worker;
}

/* ---- threads */

/* Enters the open job, unless it is the one numbered `last`. */
static bool enter(rt_pool *p, uint64_t *last) {
    uint64_t g = atomic_load_explicit(&p->gate, memory_order_seq_cst);
    while ((g & GATE_OPEN) && (g & ~(GATE_NUMBER - 1)) != *last)
        if (atomic_compare_exchange_weak_explicit(&p->gate, &g, g + GATE_ONE, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            *last = g & ~(GATE_NUMBER - 1);
            return true;
        }
    return false;
}

static bool wait_for_job(rt_pool *p, uint64_t *last) {
    for (int i = 0; i < SPINS; i++) {
        if (enter(p, last)) return true;
        if (atomic_load_explicit(&p->stop, memory_order_relaxed)) return false;
        relax();
    }
    bool entered = false;
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers,
                     1); /* before the gate is read again: the caller reads them the other way round */
    while (!(entered = enter(p, last)) && !atomic_load(&p->stop)) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return entered;
}

static void *thread_main(void *arg) {
    struct rt_thread *t = arg;
    uint64_t last = 0;
    while (wait_for_job(t->pool, &last)) {
        take_pieces(t->pool, t->worker);
        atomic_fetch_sub_explicit(&t->pool->gate, GATE_ONE, memory_order_release);
    }
    return NULL;
}

/* Threads that sleep are left alone until the work that they missed took as long as waking them takes: so a small job now and
 * then stays on the caller's thread, and of many jobs in a row only the first few do. */
static void wake_sleepers(rt_pool *p) {
    if (!atomic_load_explicit(&p->sleepers, memory_order_seq_cst)) return;
    p->owed += p->job.pieces;
    if (p->owed < WAKE_PIECES) return;
    p->owed = 0;
    pthread_mutex_lock(&p->lock);
    if (p->job.pieces == 2) pthread_cond_signal(&p->wake);
    else pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void run_on_threads(rt_pool *p) {
    uint64_t g = atomic_load_explicit(&p->gate, memory_order_relaxed);
    atomic_store_explicit(&p->gate, (g + GATE_NUMBER) | GATE_OPEN, memory_order_seq_cst);
    wake_sleepers(p);
    take_pieces(p, 0);
    atomic_fetch_and_explicit(&p->gate, ~GATE_OPEN, memory_order_acq_rel);
    for (int spins = 0; atomic_load_explicit(&p->gate, memory_order_acquire) & GATE_COUNT; spins++)
        if (spins < SPINS) relax();
        else sched_yield(); /* a thread inside was descheduled */
}

static void cut_shares(rt_pool *p) {
    int64_t n = p->job.pieces < p->workers ? p->job.pieces : p->workers;
    p->shares = (int)(n < MAX_SHARES ? n : MAX_SHARES);
    int64_t each = p->job.pieces / p->shares, more = p->job.pieces % p->shares, first = 0;
    for (int i = 0; i < p->shares; i++) {
        atomic_store_explicit(&p->share[i].next, first, memory_order_relaxed);
        p->share[i].end = first += each + (i < more);
    }
}

static void run_task(void *arg, int64_t i) { take_pieces(arg, i); }

int32_t rt_pool_run(rt_pool *p, int64_t n, int64_t pieces, rt_pool_fn *fn, void *arg) {
    if (n <= 0) return 0;
    rt_job job = {n, pieces < 1 ? 1 : pieces < n ? pieces : n, fn, arg};
    if (!p) return run_serially(&job, 0);
    if (inside.pool == p) return run_serially(&job, inside.worker);
    int idle = 0;
    if (job.pieces == 1 || p->workers == 1 || !atomic_compare_exchange_strong(&p->busy, &idle, 1))
        return run_serially(&job, 0);
    p->job = job;
    p->code = 0;
    cut_shares(p);
    atomic_store_explicit(&p->failed, INT64_MAX, memory_order_relaxed);
    if (p->parallel) p->parallel(p->user, job.pieces < p->workers ? job.pieces : p->workers, run_task, p);
    else run_on_threads(p);
    int32_t code = p->code;
    atomic_store_explicit(&p->busy, 0, memory_order_release);
    return code;
}

int rt_pool_workers(const rt_pool *p) { return p ? p->workers : 1; }

/* ---- making */

static rt_pool *pool_block(int workers) {
    size_t bytes = sizeof(rt_pool) + (size_t)workers * sizeof(struct rt_thread) + 63;
    void *block = rt_calloc(1, bytes);
    if (!block) return NULL;
    rt_pool *p = (rt_pool *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
    p->block = block;
    p->workers = workers;
    if (pthread_mutex_init(&p->lock, NULL)) {
        rt_free(block);
        return NULL;
    }
    if (pthread_cond_init(&p->wake, NULL)) {
        pthread_mutex_destroy(&p->lock);
        rt_free(block);
        return NULL;
    }
    return p;
}

rt_pool *rt_pool_wrap(int workers, rt_parallel_fn *parallel, void *user) {
    rt_pool *p = pool_block(workers < 1 ? 1 : workers > MAX_WORKERS ? MAX_WORKERS : workers);
    if (!p) return NULL;
    p->parallel = parallel;
    p->user = user;
    return p;
}

/* Threads take no signals: those are the program's own business. */
static void start_threads(rt_pool *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < p->workers - 1; i++) {
        struct rt_thread *t = &p->threads[i];
        *t = (struct rt_thread){.pool = p, .worker = i + 1};
        if (pthread_create(&t->id, NULL, thread_main, t)) break; /* fewer threads: the same results */
        p->nthreads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int core_count(void) {
#ifdef __linux__
    cpu_set_t set; /* what this process may use, not what the machine has */
    if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

rt_pool *rt_pool_new(int workers) {
    if (workers <= 0) workers = core_count();
    rt_pool *p = pool_block(workers < 1 ? 1 : workers > MAX_WORKERS ? MAX_WORKERS : workers);
    if (p) start_threads(p);
    return p;
}

void rt_pool_free(rt_pool *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->nthreads; i++) pthread_join(p->threads[i].id, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    rt_free(p->block);
}
