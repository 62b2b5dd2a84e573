/* sessions.c: sixteen threads run one loaded module at once, each with a session of its own, and load it from the file as well:
 * the same bits as one thread alone.  Meant for ThreadSanitizer, under which the generated code is instrumented. */
#include "deploy.h"

#include <pthread.h>

enum { THREADS = 16, ROUNDS = 3 };

typedef struct work {
    const deploy *d;
    const rt_text *want;
    pthread_barrier_t *start;
    int number;
} work;

static void run_cases(const deploy *d, jitc_session *s, rt_text *out) {
    for (int i = 0; i < d->cases->n; i++) deploy_run(d, s, i, out);
}

static void compare(const work *w, const rt_text *got, int round) {
    REQUIRE(got->n == w->want->n && !memcmp(got->s, w->want->s, got->n), "%s, thread %d, round %d: not the bits of one thread",
            w->d->cases->file, w->number, round);
}

static void *run_thread(void *arg) {
    work *w = arg;
    deploy own = *w->d;
    pthread_barrier_wait(w->start);
    if (w->number % 4 == 3) REQUIRE(jitc_load(own.path, NULL, &own.module) == JITC_OK, "%s", jitc_error());
    jitc_session *s = deploy_session(&own, w->number % 4 == 2 ? 2 : 1); /* some with threads of their own */
    for (int round = 0; round < ROUNDS; round++) {
        rt_text got = {0};
        REQUIRE(jitc_session_reset(s) == JITC_OK, "reset");
        run_cases(&own, s, &got);
        compare(w, &got, round);
        rt_text_free(&got);
    }
    jitc_session_free(s);
    if (own.module != w->d->module) jitc_module_release(own.module);
    return NULL;
}

static void test(const char *name) {
    deploy d;
    pthread_t threads[THREADS];
    work w[THREADS];
    pthread_barrier_t start;
    rt_text want = {0};
    REQUIRE(deploy_open(&d, name, NULL, NULL), "%s does not compile", name);
    jitc_session *s = deploy_session(&d, 1);
    run_cases(&d, s, &want);
    jitc_session_free(s);
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        w[i] = (work){&d, &want, &start, i};
        REQUIRE(!pthread_create(&threads[i], NULL, run_thread, &w[i]), "no thread");
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    rt_text_free(&want);
    deploy_close(&d);
    printf("%s: %d threads, the same bits\n", name, THREADS);
}

/* ---- two sessions that write into one tensor: the sanitizer must see it, in the generated code */

typedef struct clash { const deploy *d; jitc_tensor *into; } clash;

static void *write_into(void *arg) {
    clash *c = arg;
    jitc_session *s = deploy_session(c->d, 1);
    jitc_tensor *x = deploy_floats(2, (int64_t[]){64, 16}, 1);
    for (int i = 0; i < 200; i++)
        REQUIRE(jitc_run_tensors(s, "forward", 1, &x, 1, &c->into) == JITC_OK, "%s", jitc_session_error(s));
    jitc_tensor_release(x);
    jitc_session_free(s);
    return NULL;
}

static void race(void) {
    static const char *const inputs[] = {"input=f32[64, 16]", NULL};
    pthread_t other;
    deploy d;
    REQUIRE(deploy_open(&d, "mlp", inputs, NULL), "mlp does not compile");
    clash c = {&d, deploy_floats(2, (int64_t[]){64, 10}, 1)};
    REQUIRE(!pthread_create(&other, NULL, write_into, &c), "no thread");
    write_into(&c);
    pthread_join(other, NULL);
    jitc_tensor_release(c.into);
    deploy_close(&d);
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "race")) return race(), 0;

    static const char *const few[] = {"mlp", "lenet", "encoder_layer", "control_mix", "containers", "lstm_loop", "sorting", "strings"};
    for (size_t i = 0; argc < 2 && i < RT_COUNT(few); i++) test(few[i]);
    if (argc > 1) deploy_each(strcmp(argv[1], "all") ? argc : 1, argv, test);
    return 0;
}
