/* pool.h: fork-join threads.
 *
 * rt_pool_run cuts [0, n) into pieces whose lengths differ by one at most: always the same pieces, however many workers
 * there are, so that what is computed never depends on the number of threads.  Pieces are handed out one by one, to each worker
 * from its own part of the range first; the caller takes part.  Threads without work spin for some ten microseconds and then sleep;
 * a sleeping thread is never waited for.  A pool belongs to its creator; runs from two threads at once are
 * allowed (the second one runs on its own thread alone). */
#ifndef JITC_RUNTIME_POOL_H
#define JITC_RUNTIME_POOL_H

#include <stdint.h>

typedef struct rt_pool rt_pool;

/* Items [begin, end), one piece; 0 <= worker < rt_pool_workers.  At one time a worker number is used by one
 * piece only (within one rt_pool_run).  Returns 0 or a positive code. */
typedef int32_t rt_pool_fn(void *arg, int64_t begin, int64_t end, int64_t worker);
/* Runs task(arg, 0) ... task(arg, n - 1), in any order or at the same time; returns when all have returned.
 */
typedef void rt_parallel_fn(void *user, int64_t n, void (*task)(void *arg, int64_t i), void *arg);

rt_pool *rt_pool_new(int workers); /* the caller included; <= 0: one per core.  NULL: out of memory */
rt_pool *rt_pool_wrap(int workers, rt_parallel_fn *parallel,
                      void *user);     /* a pool over the caller's threads */
void rt_pool_free(rt_pool *p);         /* takes NULL; no run may be going on */
int rt_pool_workers(const rt_pool *p); /* 1 for NULL */

/* pieces: at most n and 2^31.  Returns the code of the lowest piece that failed, or 0.  Pieces above a failed one may be left out.  p
 * NULL: on the calling thread.  Called from within a piece it runs there, with that piece's worker number. */
int32_t rt_pool_run(rt_pool *p, int64_t n, int64_t pieces, rt_pool_fn *fn, void *arg);

#endif
