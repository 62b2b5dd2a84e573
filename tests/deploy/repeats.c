/* repeats.c: calls that are like the one before take a shorter way (runtime/repeat.c).  Whatever came before, a call gives
 * what a session of its own gives: a walk through calls of all kinds, most of them twice. */
#include "deploy.h"
#include "wire.h"

#include "runtime/session.h"

enum { STEPS = 600, N = 2, T = 3, C = 32, KEPT = 3 };
/* Where the argument is from, and where the result goes. */
enum { SAME, FRESH, RESULT, STRIDED, UNALIGNED, SMALLER, WRONG_RANK, ARGUMENTS };
enum { NOWHERE, TARGET, OTHER_TARGET, STRIDED_TARGET, INTO_ARGUMENT, WRONG_TARGET, TARGETS };
enum { RUN, TENSORS, DLPACK, WAYS };

typedef struct kept { /* a result that the caller holds on to */
    jitc_tensor *t;
    rt_text bits;
} kept;

typedef struct walk {
    const deploy *d;
    jitc_session *s;
    unsigned seed;
    jitc_tensor *x, *y, *targets[2]; /* argument; the session's result, or NULL */
    kept kept[KEPT];
    int repeated;
} walk;

static unsigned pick(walk *w, unsigned n) {
    w->seed = w->seed * 1664525u + 1013904223u;
    return (w->seed >> 10) % n;
}

static rt_text bits_of(jitc_tensor *t) {
    rt_text bits = {0};
    wire_put(&bits, rt_tensor_value(t));
    return bits;
}

static jitc_tensor *view(jitc_tensor *of, int64_t n, const int64_t *strides, int64_t bytes) {
    jitc_tensor *t = NULL;
    jitc_status status = jitc_tensor_wrap(JITC_F32, 3, (int64_t[]){n, T, C}, strides, (char *)jitc_tensor_data(of) + bytes,
                                          (void (*)(void *))jitc_tensor_release, of, &t);
    REQUIRE(status == JITC_OK, "%s", jitc_error());
    return t;
}

/* Owned; NULL: that of the last call once more. */
static jitc_tensor *argument(walk *w, unsigned kind) {
    jitc_tensor *room = kind == SAME || kind == RESULT ? NULL : deploy_floats(3, (int64_t[]){N + 1, T, C}, w->seed);
    switch (kind) {
    case FRESH: return view(room, N, NULL, 0);
    case STRIDED: return view(room, N, (int64_t[]){C, N * C, 1}, 0);
    case UNALIGNED: return view(room, N, NULL, 2);
    case SMALLER: return view(room, N - 1, NULL, 0);
    case WRONG_RANK: jitc_tensor_release(room); return deploy_floats(2, (int64_t[]){T, C}, 1);
    case RESULT:
        if (w->y) jitc_tensor_retain(w->y);
        return w->y;
    default: return NULL;
    }
}

/* Owned, or NULL. */
static jitc_tensor *target(walk *w, unsigned kind) {
    jitc_tensor *t = kind == TARGET ? w->targets[0] : kind == OTHER_TARGET ? w->targets[1] : kind == INTO_ARGUMENT ? w->x : NULL;
    if (kind == STRIDED_TARGET) return view(deploy_floats(3, (int64_t[]){N, T, C}, 1), N, (int64_t[]){C, N * C, 1}, 0);
    if (kind == WRONG_TARGET) return deploy_floats(2, (int64_t[]){N, C}, 1);
    for (int i = 0; i < KEPT; i++)
        if (t == w->kept[i].t) return NULL; /* it must not change */
    if (t) jitc_tensor_retain(t);
    return t;
}

/* *y: in, the target or NULL; out, the result. */
static jitc_status call(jitc_session *s, unsigned way, jitc_tensor *x, jitc_tensor **y) {
    jitc_value arg = jitc_tensor_value(x), result;
    DLTensor in, out = {0};
    const DLTensor *args = &in;
    if (way == RUN && !*y) {
        jitc_status status = jitc_run(s, "forward", 1, &arg, &result);
        *y = jitc_value_tensor(result);
        return status;
    }
    if (way != DLPACK || !*y) return jitc_run_tensors(s, "forward", 1, &x, 1, y);
    jitc_tensor_describe(x, &in);
    jitc_tensor_describe(*y, &out);
    return jitc_run_dlpack(s, "forward", 1, &args, 1, &out);
}

/* What the call gives where nothing came before; empty: it fails. */
static rt_text alone(const walk *w, unsigned way, jitc_tensor *x, jitc_tensor *into) {
    rt_text bits = {0};
    jitc_session *s = deploy_session(w->d, 1);
    rt_value own = deploy_copy(rt_tensor_value(x)), to = into ? deploy_copy(rt_tensor_value(into)) : V_NULL;
    jitc_tensor *y = into ? to.tensor : NULL;
    if (call(s, way, own.tensor, &y) == JITC_OK) bits = bits_of(y);
    rt_release(own);
    rt_release(to);
    jitc_session_free(s);
    return bits;
}

static void keep(walk *w, unsigned i) {
    kept *k = &w->kept[i];
    if (k->t) {
        rt_text now = bits_of(k->t);
        REQUIRE(now.n == k->bits.n && !memcmp(now.s, k->bits.s, now.n), "a result that was kept has changed");
        rt_text_free(&now);
        jitc_tensor_release(k->t);
    }
    rt_text_free(&k->bits);
    k->t = w->y;
    if (w->y) jitc_tensor_retain(w->y), k->bits = bits_of(w->y);
}

/* What the code got, by the contract of rt_run. */
static void check_run(const walk *w) {
    const char *in = w->s->in_data[0], *out = w->s->out_data[0];
    ptrdiff_t bytes = jitc_tensor_numel(w->x) * (ptrdiff_t)sizeof(float);
    REQUIRE((uintptr_t)in % sizeof(float) == 0 && (uintptr_t)out % sizeof(float) == 0, "not aligned");
    REQUIRE(in + bytes <= out || out + bytes <= in, "the output overlaps the input");
}

static void step(walk *w, int number) {
    unsigned from = pick(w, 2) ? SAME : pick(w, ARGUMENTS), to = pick(w, 2) ? NOWHERE : pick(w, TARGETS), way = pick(w, WAYS);
    jitc_tensor *x = argument(w, from);
    if (x) jitc_tensor_release(w->x), w->x = x;
    jitc_tensor *into = target(w, to), *y = into;
    rt_text want = alone(w, way, w->x, into);
    jitc_status status = call(w->s, way, w->x, &y);
    REQUIRE((status == JITC_OK) == (want.n > 0), "step %d (%u %u %u): %s", number, from, to, way, jitc_session_error(w->s));
    if (status == JITC_OK) {
        rt_text got = bits_of(y);
        REQUIRE(got.n == want.n && !memcmp(got.s, want.s, got.n), "step %d (%u %u %u): not what it gives alone", number, from, to, way);
        rt_text_free(&got);
        check_run(w);
    }
    w->y = status == JITC_OK && !into ? y : NULL;
    w->repeated += status == JITC_OK && w->s->repeat.entry >= 0;
    if (pick(w, 4) == 0) keep(w, pick(w, KEPT));
    jitc_tensor_release(into);
    rt_text_free(&want);
}

int main(void) {
    static const char *const inputs[] = {"src=f32[N, T, 32]", NULL};
    deploy d;
    REQUIRE(deploy_open(&d, "encoder_layer", inputs, NULL), "encoder_layer does not compile");
    walk w = {.d = &d, .s = deploy_session(&d, 1), .seed = 1, .x = deploy_floats(3, (int64_t[]){N, T, C}, 1)};
    for (int i = 0; i < 2; i++) w.targets[i] = deploy_floats(3, (int64_t[]){N, T, C}, 1);
    for (int i = 0; i < STEPS; i++) step(&w, i);
    REQUIRE(w.repeated > STEPS / 4, "only %d steps may be repeated", w.repeated);
    for (unsigned i = 0; i < KEPT; i++) w.y = NULL, keep(&w, i);
    for (int i = 0; i < 2; i++) jitc_tensor_release(w.targets[i]);
    jitc_tensor_release(w.x);
    jitc_session_free(w.s);
    deploy_close(&d);
    printf("%d calls, each as if it were alone\n", STEPS);
    return 0;
}
