/* idle.c: a session's threads are as many as was asked for, and cost nothing while they have nothing to do. */
#include "deploy.h"

#include <dirent.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

static int tasks(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; dir && (e = readdir(dir));) n += e->d_name[0] != '.';
    if (dir) closedir(dir);
    return n;
}

/* A thread that was joined may still be listed for a moment. */
static int settled(int want) {
    for (int i = 0; i < 100 && tasks() != want; i++) usleep(10000);
    return tasks();
}

static int cores(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void run(jitc_session *s) {
    jitc_tensor *x = deploy_floats(2, (int64_t[]){64, 16}, 1), *y = NULL;
    for (int i = 0; i < 50; i++) REQUIRE(jitc_run_tensors(s, "forward", 1, &x, 1, &y) == JITC_OK, "%s", jitc_session_error(s));
    jitc_tensor_release(x);
}

int main(void) {
    static const char *const inputs[] = {"input=f32[N, 16]", NULL};
    static const int threads[] = {1, 4, -1};
    deploy d;
    REQUIRE(deploy_open(&d, "mlp", inputs, NULL), "mlp does not compile");
    int alone = tasks();
    jitc_session_free(deploy_session(&d, 2));
    usleep(100000);
    int before = tasks(); /* a sanitizer may have a thread of its own by now */
    REQUIRE(before <= alone + 1, "threads are left over");
    for (size_t i = 0; i < RT_COUNT(threads); i++) {
        jitc_session *s = deploy_session(&d, threads[i]);
        int want = threads[i] < 0 ? cores() : threads[i], have = settled(before + want - 1) - before + 1;
        REQUIRE(have == want, "%d threads instead of %d", have, want);
        run(s);
        usleep(50000); /* they stop spinning */
        double start = cpu_seconds();
        usleep(500000);
        double used = cpu_seconds() - start;
        REQUIRE(used <= 0.005, "%d idle threads used %.4f s of half a second", have, used);
        printf("%d threads: %.6f s of processor time in 0.5 s of idleness\n", have, used);
        jitc_session_free(s);
        REQUIRE(settled(before) == before, "threads are left over");
    }
    deploy_close(&d);
    return 0;
}
