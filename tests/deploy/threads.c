/* threads.c: a session with one thread, with two, with three, and with a pool of the caller's gives the same bits, for every
 * model of tests/models that compiles (or those named). */
#include "deploy.h"

/* The caller's pool: tasks from the last to the first. */
static void backwards(void *user, int64_t n, void (*task)(void *arg, int64_t i), void *arg) {
    (void)user;
    for (int64_t i = n - 1; i >= 0; i--) task(arg, i);
}

static void run_cases(const deploy *d, jitc_session *s, rt_text *out) {
    REQUIRE(s, "%s", jitc_error());
    for (int i = 0; i < d->cases->n; i++) deploy_run(d, s, i, out);
    jitc_session_free(s);
}

static void compare(const deploy *d, const rt_text *want, jitc_session *s, const char *how) {
    rt_text got = {0};
    run_cases(d, s, &got);
    REQUIRE(got.n == want->n && !memcmp(got.s, want->s, got.n), "%s: %s: not the bits of one thread", d->cases->file, how);
    rt_text_free(&got);
}

static void test(const char *name) {
    jitc_session_opts own = {.size = sizeof own, .threads = 4, .parallel = backwards};
    jitc_session *s = NULL;
    rt_text want = {0};
    deploy d;
    if (deploy_open(&d, name, NULL, NULL)) {
        run_cases(&d, deploy_session(&d, 1), &want);
        compare(&d, &want, deploy_session(&d, 1), "again");
        compare(&d, &want, deploy_session(&d, 2), "2 threads");
        compare(&d, &want, deploy_session(&d, 3), "3 threads");
        REQUIRE(jitc_session_new(d.module, &own, &s) == JITC_OK, "%s", jitc_error());
        compare(&d, &want, s, "the caller's pool");
        printf("%s: %zu bytes of results, the same\n", name, want.n);
    } else {
        printf("%s: refused\n", name);
    }
    rt_text_free(&want);
    deploy_close(&d);
}

int main(int argc, char **argv) {
    deploy_each(argc, argv, test);
    return 0;
}
