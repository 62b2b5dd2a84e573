/* test_runtime.c: loading, choosing variants, running: against an artefact written by hand.
 *
 * Compiled with JITC_TEST_SO this file is the artefact alone, as a shared object; the loader's tests build
 * that with the system's compiler. */
#include "runtime/artefact.h"

/* ======================================================= the artefact */

enum { CELL = 32 };
#define TEXTS(X)                                                                                             \
    X(EMPTY, "")                                                                                             \
    X(TOY, "toy") X(PRODUCER, "by hand") X(FORWARD, "forward") X(ARG_X, "x") X(SYM_N, "N") X(PAIR, "pair")   \
        X(ARG_H, "h") X(ARG_K, "k") X(TWO_N, "2*N") X(COUNT, "count") X(COUNTER, "counter")                  \
            X(TOTAL, "total") X(LISTS, "lists") X(ARG_XS, "xs") X(SYM_M, "M") X(INPLACE, "inplace")          \
                X(FAIL, "fail") X(INDEX_ERROR, "IndexError") X(OUT_OF_RANGE, "seven is too much")            \
                    X(NET_PY, "net.py") X(GUARDED, "guarded") X(ARG_Y, "y") X(GUARD_TEXT, "N is at most 8")  \
                        X(IDENTITY, "identity") X(SCALE, "test::scale") X(PARAM_W, "w") X(OP_ADD, "add")     \
                            X(HELLO, "hello") X(GREET, "greet") X(GROW, "grow")
enum {
#define X(id, s) T_##id##_,
    TEXTS(X)
#undef X
};
static const char texts[][CELL] = {
#define X(id, s) s,
    TEXTS(X)
#undef X
};
#define T(id) (T_##id##_ * CELL)

static const rt_symbol symbols[] = {{T(SYM_N), 0, 1, 64}, {T(SYM_M), 0, 0, 1000}};
static const rt_expr exprs[] = {
    {RT_X_CONST, 2},  {RT_X_SYMBOL, 0}, {RT_X_MUL}, {RT_X_END}, /* 0: 2*N */
    {RT_X_SYMBOL, 0}, {RT_X_END},                               /* 4: N */
    {RT_X_CONST, 8},  {RT_X_END},                               /* 6: 8 */
};
static const rt_dim dims[] = {
    {-1, 0, -1, T(SYM_N)}, {3, -1, -1, 0}, /* 0: [N, 3] */
    {-1, -1, 0, T(TWO_N)},                 /* 2: [2*N] */
    {-1, -1, -1, 0},                       /* 3: [?] */
    {3, -1, -1, 0},                        /* 4: [3] */
};
#define TENSOR(dt, rank, dim, name_)                                                                         \
    {                                                                                                        \
        .kind = RT_D_TENSOR, .dtype = dt, .n = rank, .first = dim, .symbol = -1, .literal = -1, .def = -1,   \
        .name = name_                                                                                        \
    }
#define PLAIN(k, nn, ff, name_)                                                                              \
    { .kind = k, .n = nn, .first = ff, .symbol = -1, .literal = -1, .def = -1, .name = name_ }
static const rt_desc descs[] = {
    [0] = TENSOR(DT_F32, 2, 0, T(ARG_X)), /* forward(x: f32[N, 3]) -> f32[N, 3] */
    [1] = TENSOR(DT_F32, 2, 0, 0),
    [2] = TENSOR(DT_I64, 1, 0, T(ARG_X)), /* forward(x: i64[N]) -> i64[N] */
    [3] = TENSOR(DT_I64, 1, 0, 0),
    [4] =
        TENSOR(DT_F32, 1, 0, T(ARG_X)), /* pair(x: f32[N], h: (f32[2*N], int)) -> (f32[N], (int, f32[2*N])) */
    [5] = PLAIN(RT_D_TUPLE, 2, 6, T(ARG_H)),
    [6] = TENSOR(DT_F32, 1, 2, 0),
    [7] = PLAIN(RT_D_INT, 0, 0, 0),
    [8] = PLAIN(RT_D_TUPLE, 2, 9, 0),
    [9] = TENSOR(DT_F32, 1, 0, 0),
    [10] = PLAIN(RT_D_TUPLE, 2, 11, 0),
    [11] = PLAIN(RT_D_INT, 0, 0, 0),
    [12] = TENSOR(DT_F32, 1, 2, 0),
    [13] = PLAIN(RT_D_INT, 0, 0, T(COUNTER)), /* states */
    [14] = TENSOR(DT_F32, 1, 4, T(TOTAL)),
    [15] = PLAIN(RT_D_LIST, 1, 16,
                 0), /* lists(xs: list[f32[?]], k: float = 0.5) -> list[f32[?]]; arguments: 26 */
    [16] = TENSOR(DT_F32, 1, 3, 0),
    [17] = PLAIN(RT_D_NONE, 0, 0, 0),
    [18] = PLAIN(RT_D_NONE, 0, 0, 0),
    [19] = TENSOR(DT_F32, 1, 0, T(ARG_X)), /* guarded(x: f32[N], y: f32[2*N]) */
    [20] = TENSOR(DT_F32, 1, 2, T(ARG_Y)),
    [21] = {.kind = RT_D_INT, .symbol = 0, .literal = -1, .def = -1, .name = T(ARG_K)}, /* fail(k: int) */
    [22] = TENSOR(DT_F32, 1, 3, 0),
    [23] = PLAIN(RT_D_STR, 0, 0, 0),
    [24] = {.kind = RT_D_LIST,
            .n = 1,
            .first = 25,
            .symbol = -1,
            .literal = -1,
            .def = 5,
            .name = T(ARG_XS)}, /* grow(xs=[]) */
    [25] = PLAIN(RT_D_INT, 0, 0, 0),
    [26] = PLAIN(RT_D_LIST, 1, 16, T(ARG_XS)),
    [27] = {.kind = RT_D_FLOAT, .symbol = -1, .literal = -1, .def = 2, .name = T(ARG_K)},
};
static const rt_message messages[] = {
    {T(INDEX_ERROR), T(OUT_OF_RANGE), T(NET_PY), 12, 8},
    {0, T(GUARD_TEXT), T(NET_PY), 3, 1},
};
static const rt_literal literals[] = {
    {V_INT, 0, 0, 0, 40}, {V_TENSOR, 0, 0, 0, 0},     {V_FLOAT, 0, 0, 0, 0x3fe0000000000000},
    {V_LIST, 1, 0, 0, 0}, {V_STR, 5, 0, T(HELLO), 0}, {V_LIST, 0, 0, 0, 0},
};
static const rt_param params[] = {{T(PARAM_W), DT_F32, 1, 4, 0, 12, 0, 0}};
static const rt_state states[] = {{T(COUNTER), 13, 0}, {T(TOTAL), 14, 1}};
static const rt_guard guards[] = {{4, 6, '<', 1}};
static const rt_write writes[] = {{0, 0}, {0, 1}};
static const rt_op ops[] = {{T(OP_ADD), 0, 6, 0, 0}};
static const rt_text_ref hosts[] = {T(SCALE)};
static _Alignas(64) const float weights[16] = {1, 2, 3};

static int64_t rows_bytes(const int64_t *s) { return s[0] * 12; }
static int64_t scratch_bytes(const int64_t *s) { return s[0]; }

static int32_t forward_rows(void *arg, int64_t begin, int64_t end, int64_t worker) {
    rt_run *r = arg;
    const float *x = r->in_data[0], *w = (const float *)r->weights;
    float *y = r->out_data[0], *tmp = (float *)r->workspace;
    r->scratch[worker * r->scratch_stride] = 1;
    for (int64_t i = 3 * begin; i < 3 * end; i++) tmp[i] = 2 * x[i], y[i] = tmp[i] + w[i % 3];
    return 0;
}
static int32_t forward(rt_run *r) {
    if (r->profile) r->services->mark(r, 0);
    return r->services->parallel_for(r, r->symbols[0], (r->symbols[0] + 3) / 4, forward_rows, r);
}
static int32_t forward_i64(rt_run *r) {
    memcpy(r->out_data[0], r->in_data[0], (size_t)r->symbols[0] * 8);
    return 0;
}
static int32_t pair(rt_run *r) {
    memcpy(r->out_data[0], r->in_data[0], (size_t)r->symbols[0] * 4);
    r->out[1] = rt_int(r->in[2].i + 1);
    memcpy(r->out_data[2], r->in_data[1], (size_t)r->symbols[0] * 8);
    return 0;
}
static int32_t count(rt_run *r) {
    float *total = r->state_data[1];
    r->state[0].i++;
    for (int i = 0; i < 3; i++) total[i] += 1;
    r->out[0] = r->state[0];
    return 0;
}
static int32_t lists(rt_run *r) {
    const rt_services *s = r->services;
    int64_t shape[1];
    void *data, *out;
    if (s->list(r, V_LIST, 0, NULL, &r->slots[0])) return 1;
    for (int64_t i = 0, n = s->length(r, &r->in[0]); i < n; i++) {
        if (s->item(r, 0, &r->in[0], i, &r->slots[1]) ||
            s->tensor_get(r, 0, &r->slots[1], DT_F32, 1, shape, &r->slots[2], &data) ||
            s->tensor_new(r, DT_F32, 1, shape, &r->slots[3], &out))
            return 1;
        float *block = s->block_new(r, shape[0] * 4);
        if (!block) return 1;
        for (int64_t k = 0; k < shape[0]; k++) block[k] = ((float *)data)[k] + 1;
        memcpy(out, block, (size_t)shape[0] * 4);
        if (i % 2) s->block_free(r, block); /* the other half is left to the runtime */
        rt_value args[2] = {r->slots[3], r->in[1]};
        if (s->call(r, 0, 0, 2, args, 1, &r->slots[3])) return 1;
        if (s->list_push(r, &r->slots[0], &r->slots[3])) return 1;
    }
    s->copy(r, &r->slots[0], &r->out[0]);
    return 0;
}
static int32_t inplace(rt_run *r) {
    const float *x = r->in_data[0];
    for (int64_t i = 0; i < r->symbols[0]; i++) ((float *)r->out_data[1])[i] = -x[i];
    return 0;
}
static int32_t fail_body(void *arg, int64_t begin, int64_t end, int64_t worker) {
    (void)end, (void)worker;
    return begin >= *(int64_t *)arg ? 1 : 0;
}
static int32_t fail(rt_run *r) {
    int64_t limit = r->in[0].i;
    if (!r->services->str(r, "left behind", 11, &r->slots[0]) && !r->services->block_new(r, 10)) return 1;
    int32_t code = r->services->parallel_for(r, 7, 7, fail_body, &limit);
    return code ? r->services->raise(r, code - 1) : 0;
}
static int32_t identity(rt_run *r) {
    r->services->copy(r, &r->in[0], &r->out[0]);
    r->services->copy(r, &r->in[0], &r->state[1]); /* also kept */
    return 0;
}
static int32_t greet(rt_run *r) { return r->services->literal(r, 4, &r->out[0]); }
static int32_t grow(rt_run *r) {
    rt_value one = rt_int(1);
    r->services->list_push(r, &r->in[0], &one);
    r->out[0] = rt_int(r->services->length(r, &r->in[0]));
    return 0;
}
static int32_t nothing(rt_run *r) { return (void)r, 0; }

static const rt_code code[][1] = {
    {{forward, rows_bytes, scratch_bytes, 100}},
    {{forward_i64}},
    {{pair}},
    {{count}},
    {{lists}},
    {{inplace}},
    {{fail}},
    {{nothing}},
    {{identity}},
    {{greet}},
    {{grow}},
};
static const rt_art_entry entries[] = {
    {.code = code[0], .method = T(FORWARD), .nargs = 1, .args = 0, .result = 1, .nsymbols = 1, .nops = 1},
    {.code = code[1], .method = T(FORWARD), .nargs = 1, .args = 2, .result = 3, .nsymbols = 1},
    {.code = code[2], .method = T(PAIR), .nargs = 2, .args = 4, .result = 8, .nsymbols = 1},
    {.code = code[3], .method = T(COUNT), .result = 11},
    {.code = code[4], .method = T(LISTS), .nargs = 2, .args = 26, .result = 15, .nslots = 4},
    {.code = code[5],
     .method = T(INPLACE),
     .nargs = 1,
     .args = 4,
     .result = 18,
     .nsymbols = 1,
     .nwrites = 1,
     .writes = 1,
     .nextra = 1,
     .extra = 9},
    {.code = code[6], .method = T(FAIL), .nargs = 1, .args = 21, .result = 18, .nsymbols = 1, .nslots = 1},
    {.code = code[7],
     .method = T(GUARDED),
     .nargs = 2,
     .args = 19,
     .result = 18,
     .nsymbols = 1,
     .nguards = 1},
    {.code = code[8], .method = T(IDENTITY), .nargs = 1, .args = 22, .result = 22},
    {.code = code[9], .method = T(GREET), .result = 23},
    {.code = code[10], .method = T(GROW), .nargs = 1, .args = 24, .result = 25},
};
static const rt_level levels[] = {{T(EMPTY), 0}};

extern const rt_artefact jitc_artefact_toy;
#define ARTEFACT                                                                                             \
    {                                                                                                        \
        .magic = RT_ARTEFACT_MAGIC, .abi = RT_ABI_VERSION, .size = sizeof(rt_artefact), .text = texts[0],    \
        .name = T(TOY), .producer = T(PRODUCER), .nlevels = 1, .levels = levels,                             \
        .nentries = RT_COUNT(entries), .entries = entries, .descs = descs, .dims = dims, .exprs = exprs,     \
        .symbols = symbols, .guards = guards, .messages = messages, .literals = literals, .writes = writes,  \
        .ops = ops, .nparams = 1, .params = params, .nstates = 2, .states = states, .nhosts = 1,             \
        .hosts = hosts, .weights = weights, .weights_bytes = sizeof weights,                                 \
        .nmessages = RT_COUNT(messages), .ndescs = RT_COUNT(descs),                                          \
    }
#ifdef JITC_TEST_SO
__attribute__((visibility("default"))) extern const rt_artefact jitc_artefact;
const rt_artefact jitc_artefact = ARTEFACT;
#else
const rt_artefact jitc_artefact_toy = ARTEFACT;

/* ======================================================= tests */

#include "jitc/runtime.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static int scale(void *data, jitc_op_env *env, int nargs, const jitc_value *args, int nresults,
                 jitc_value *results) {
    jitc_tensor *t = jitc_value_tensor(args[0]);
    float *x = jitc_tensor_data(t), k = (float)jitc_value_float(args[1]);
    (void)nargs, (void)nresults;
    ++*(int *)data;
    if (k < 0) return jitc_raise(env, "ValueError", "negative scale");
    for (int64_t i = 0; i < jitc_tensor_numel(t); i++) x[i] *= k;
    results[0] = jitc_value_retain(args[0]);
    return 0;
}

static int scale_calls;
static const jitc_op scale_op = {"test::scale", scale, &scale_calls};

static jitc_module *toy(void) {
    jitc_load_opts opts = {.size = sizeof opts, .ops = &scale_op, .nops = 1};
    jitc_module *m = NULL;
    cr_assert_eq(jitc_load_static(&jitc_artefact_toy, &opts, &m), JITC_OK, "%s", jitc_error());
    return m;
}

static jitc_session *session(int threads) {
    jitc_module *m = toy();
    jitc_session_opts opts = {.size = sizeof opts, .threads = threads};
    jitc_session *s = NULL;
    cr_assert_eq(jitc_session_new(m, &opts, &s), JITC_OK);
    jitc_module_release(m);
    return s;
}

/* Consecutive numbers from `first`. */
static jitc_tensor *floats(int ndim, int64_t a, int64_t b, float first) {
    int64_t shape[] = {a, b};
    jitc_tensor *t = NULL;
    cr_assert_eq(jitc_tensor_new(JITC_F32, ndim, shape, &t), JITC_OK);
    float *x = jitc_tensor_data(t);
    for (int64_t i = 0; i < jitc_tensor_numel(t); i++) x[i] = first + (float)i;
    return t;
}

static float at(const jitc_tensor *t, int64_t i) { return ((float *)jitc_tensor_data(t))[i]; }

static void check_forward(jitc_session *s, int64_t n) {
    jitc_tensor *x = floats(2, n, 3, 1), *y = NULL;
    cr_assert_eq(jitc_run_tensors(s, "forward", 1, &x, 1, &y), JITC_OK, "%s", jitc_session_error(s));
    cr_assert_eq(jitc_tensor_shape(y)[0], n);
    for (int64_t i = 0; i < 3 * n; i++) cr_assert_eq(at(y, i), 2 * at(x, i) + 1 + (float)(i % 3));
    jitc_tensor_release(x);
}

Test(runtime, forward) {
    for (int threads = 1; threads <= 3; threads++) {
        jitc_session *s = session(threads);
        check_forward(s, 5);
        check_forward(s, 64);
        cr_assert_eq(jitc_session_workspace(s), 64 * 12);
        check_forward(s, 1);
        cr_assert_eq(jitc_session_workspace(s), 64 * 12);
        jitc_session_free(s);
    }
}

Test(runtime, results_are_used_again_unless_kept) {
    jitc_session *s = session(1);
    jitc_tensor *x = floats(2, 4, 3, 1), *y1 = NULL, *y2 = NULL, *y3 = NULL, *y4 = NULL;
    jitc_run_tensors(s, "forward", 1, &x, 1, &y1);
    jitc_run_tensors(s, "forward", 1, &x, 1, &y2);
    cr_assert_eq(y1, y2);
    jitc_tensor_retain(y2);
    jitc_run_tensors(s, "forward", 1, &x, 1, &y3);
    cr_assert_neq(y3, y2);
    cr_assert_eq(jitc_run_tensors(s, "forward", 1, &y3, 1, &y4), JITC_OK); /* a result as an argument */
    cr_assert_neq(y3, y4);
    for (int i = 0; i < 12; i++) cr_assert_eq(at(y4, i), 2 * at(y2, i) + 1 + (float)(i % 3));
    jitc_tensor_release(y2);
    jitc_tensor_release(x);
    jitc_session_free(s);
}

Test(runtime, callers_buffers) {
    jitc_session *s = session(1);
    jitc_tensor *x = floats(2, 4, 3, 1), *y = floats(2, 4, 3, 0), *bad = floats(2, 3, 3, 0), *own = y;
    cr_assert_eq(jitc_run_tensors(s, "forward", 1, &x, 1, &y), JITC_OK);
    cr_assert_eq(y, own);
    cr_assert_eq(at(y, 4), 2 * 5 + 2);
    cr_assert_eq(jitc_run_tensors(s, "forward", 1, &y, 1, &y), JITC_OK); /* in and out are one */
    cr_assert_eq(at(y, 4), 2 * 12 + 2);
    cr_assert_eq(jitc_run_tensors(s, "forward", 1, &x, 1, &bad), JITC_E_SHAPE);
    cr_assert_str_eq(jitc_session_error(s), "result 0 is f32[4, 3], but the tensor given for it is f32[3, 3]");
    jitc_tensor_release(x);
    jitc_tensor_release(y);
    jitc_tensor_release(bad);
    jitc_session_free(s);
}

Test(runtime, strided_input) {
    jitc_session *s = session(1);
    float data[24];
    for (int i = 0; i < 24; i++) data[i] = (float)i;
    int64_t shape[] = {4, 3}, strides[] = {1, 8};
    jitc_tensor *x, *y = NULL;
    cr_assert_eq(jitc_tensor_wrap(JITC_F32, 2, shape, strides, data, NULL, NULL, &x), JITC_OK);
    cr_assert_eq(jitc_run_tensors(s, "forward", 1, &x, 1, &y), JITC_OK);
    cr_assert_eq(at(y, 5), 2 * data[1 + 2 * 8] + 3);
    jitc_tensor_release(x);
    jitc_session_free(s);
}

#define ERROR(status_, text_, ...)                                                                           \
    do {                                                                                                     \
        jitc_value r_, a_[] = {__VA_ARGS__};                                                                 \
        cr_assert_eq(jitc_run(s, method, RT_COUNT(a_), a_, &r_), status_);                                   \
        cr_assert_str_eq(jitc_session_error(s), text_);                                                      \
    } while (0)

Test(runtime, errors_name_the_argument) {
    jitc_session *s = session(1);
    jitc_tensor *x = floats(1, 4, 0, 0), *y = floats(1, 8, 0, 0), *z = floats(1, 16, 0, 0),
                *w = floats(2, 70, 3, 0), *v = floats(2, 4, 2, 0);
    jitc_tensor *e = floats(1, 10, 0, 0), *e2 = floats(1, 20, 0, 0);
    const char *method = "nope";
    ERROR(JITC_E_METHOD,
          "no method 'nope'; there is forward, pair, count, lists, inplace, fail, guarded, identity, greet, "
          "grow",
          jitc_tensor_value(x));
    method = "forward";
    ERROR(JITC_E_SHAPE, "forward: argument 'x', dim 0, is 70, but N must be from 1 to 64",
          jitc_tensor_value(w));
    ERROR(JITC_E_SHAPE, "forward: argument 'x', dim 1, is 2, but must be 3", jitc_tensor_value(v));
    ERROR(JITC_E_METHOD,
          "forward: no variant for (f32[4]); compiled are:\n  forward(x: f32[N, 3])\n  forward(x: i64[N])",
          jitc_tensor_value(x));
    method = "guarded";
    ERROR(JITC_E_METHOD, "guarded: argument 'y' must be f32[2*N], not None", jitc_tensor_value(x),
          jitc_none());
    ERROR(JITC_E_METHOD, "guarded: argument 'y' is missing", jitc_tensor_value(x));
    ERROR(JITC_E_SHAPE, "guarded: argument 'y', dim 0, is 16, but must be 8 (2*N)", jitc_tensor_value(x),
          jitc_tensor_value(z));
    ERROR(JITC_E_GUARD,
          "guarded: these arguments break an assumption of the compiler: N is at most 8 (net.py:3:1)",
          jitc_tensor_value(e), jitc_tensor_value(e2));
    ERROR(JITC_E_ARGUMENT, "guarded: 3 arguments are too many", jitc_none(), jitc_none(), jitc_none());
    jitc_value r, ok[] = {jitc_tensor_value(x), jitc_tensor_value(y)};
    cr_assert_eq(jitc_run(s, "guarded", 2, ok, &r), JITC_OK);
    cr_assert_str_eq(jitc_session_error(s), "");
    jitc_tensor *all[] = {x, y, z, w, v, e, e2};
    for (size_t i = 0; i < RT_COUNT(all); i++) jitc_tensor_release(all[i]);
    jitc_session_free(s);
}

Test(runtime, raises_with_place) {
    jitc_session *s = session(2);
    jitc_value r, k = jitc_int(7);
    cr_assert_eq(jitc_run(s, "fail", 1, &k, &r), JITC_OK);
    k = jitc_int(3);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(jitc_run(s, "fail", 1, &k, &r), JITC_E_RAISED);
        cr_assert_str_eq(jitc_session_error(s), "IndexError: seven is too much (net.py:12:8)");
        cr_assert_str_eq(jitc_session_error_class(s), "IndexError");
    }
    k = jitc_int(100);
    cr_assert_eq(jitc_run(s, "fail", 1, &k, &r), JITC_E_SHAPE);
    cr_assert_str_eq(jitc_session_error(s), "fail: argument 'k' is 100, but N must be from 1 to 64");
    jitc_session_free(s);
}

Test(runtime, tuples_are_taken_apart_and_built) {
    jitc_session *s = session(1);
    jitc_tensor *x = floats(1, 3, 0, 1), *h = floats(1, 6, 0, 10);
    jitc_value tuple, r, parts[] = {jitc_tensor_value(h), jitc_int(41)}, kept = jitc_none();
    cr_assert_eq(jitc_tuple(2, parts, &tuple), JITC_OK);
    jitc_value args[] = {jitc_tensor_value(x), tuple};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(jitc_run(s, "pair", 2, args, &r), JITC_OK, "%s", jitc_session_error(s));
        cr_assert_eq(jitc_value_length(r), 2);
        jitc_value inner = jitc_value_item(r, 1);
        cr_assert_eq(jitc_value_int(jitc_value_item(inner, 0)), 42);
        cr_assert_eq(at(jitc_value_tensor(jitc_value_item(inner, 1)), 5), 15);
        if (i == 1) kept = jitc_value_retain(r);
    }
    cr_assert_eq(at(jitc_value_tensor(jitc_value_item(kept, 0)), 2), 3);
    jitc_value_release(kept);
    jitc_value_release(tuple);
    jitc_tensor_release(x);
    jitc_tensor_release(h);
    jitc_session_free(s);
}

Test(runtime, state_lives_in_the_session) {
    jitc_session *s = session(1), *other = session(1);
    jitc_value r, total;
    for (int i = 1; i <= 3; i++) {
        cr_assert_eq(jitc_run(s, "count", 0, NULL, &r), JITC_OK);
        cr_assert_eq(jitc_value_int(r), 40 + i);
    }
    jitc_run(other, "count", 0, NULL, &r);
    cr_assert_eq(jitc_value_int(r), 41);
    cr_assert_eq(jitc_session_state(s, "total", &total), JITC_OK);
    cr_assert_eq(at(jitc_value_tensor(total), 2), 6);
    cr_assert_eq(jitc_session_reset(s), JITC_OK);
    jitc_run(s, "count", 0, NULL, &r);
    cr_assert_eq(jitc_value_int(r), 41);
    cr_assert_eq(jitc_session_state(s, "nothing", &total), JITC_E_ARGUMENT);
    jitc_session_free(s);
    jitc_session_free(other);
}

Test(runtime, lists_and_custom_operators) {
    jitc_session *s = session(1);
    jitc_tensor *x = floats(1, 3, 0, 1), *y = floats(1, 1, 0, 5);
    jitc_value r, list, items[] = {jitc_tensor_value(x), jitc_tensor_value(y)};
    cr_assert_eq(jitc_list(2, items, &list), JITC_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(jitc_run(s, "lists", 1, &list, &r), JITC_OK, "%s", jitc_session_error(s));
        cr_assert_eq(at(jitc_value_tensor(jitc_value_item(r, 0)), 2), 2);
        cr_assert_eq(at(jitc_value_tensor(jitc_value_item(r, 1)), 0), 3);
    }
    jitc_value args[] = {list, jitc_int(-1)};
    cr_assert_eq(jitc_run(s, "lists", 2, args, &r), JITC_E_RAISED);
    cr_assert_str_eq(jitc_session_error(s), "ValueError: negative scale (net.py:12:8)");
    jitc_value_release(list);
    jitc_tensor_release(x);
    jitc_tensor_release(y);
    jitc_session_free(s);
}

Test(runtime, default_lists_are_fresh) {
    jitc_session *s = session(1);
    jitc_value r;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(jitc_run(s, "grow", 0, NULL, &r), JITC_OK, "%s", jitc_session_error(s));
        cr_assert_eq(jitc_value_int(r), 1);
    }
    cr_assert_eq(jitc_run(s, "greet", 0, NULL, &r), JITC_OK);
    cr_assert_str_eq(jitc_value_str(r, NULL), "hello");
    jitc_session_free(s);
}

Test(runtime, writes_back_into_strided_arguments) {
    jitc_session *s = session(1);
    float data[] = {1, 2, 3, 4, 5, 6};
    int64_t shape[] = {3}, strides[] = {2};
    jitc_tensor *x;
    jitc_value r;
    cr_assert_eq(jitc_tensor_wrap(JITC_F32, 1, shape, strides, data, NULL, NULL, &x), JITC_OK);
    jitc_value arg = jitc_tensor_value(x);
    cr_assert_eq(jitc_run(s, "inplace", 1, &arg, &r), JITC_OK);
    cr_assert_eq(jitc_value_kind(r), JITC_NONE);
    static const float want[] = {-1, 2, -3, 4, -5, 6};
    cr_assert_arr_eq(data, want, sizeof want);
    cr_assert_eq(jitc_run_tensors(s, "inplace", 1, &x, 0, NULL), JITC_OK);
    cr_assert_eq(data[0], 1);
    jitc_tensor_release(x);
    jitc_session_free(s);
}

static DLTensor describe(float *data, int64_t *shape, int ndim) {
    return (DLTensor){
        .data = data, .device = {kDLCPU, 0}, .ndim = ndim, .dtype = {kDLFloat, 32, 1}, .shape = shape};
}

Test(runtime, dlpack_runs) {
    jitc_session *s = session(1);
    float data[6] = {1, 2, 3, 4, 5, 6}, out_data[6];
    int64_t shape[] = {2, 3};
    DLTensor x = describe(data, shape, 2), y = {0}, z = describe(out_data, shape, 2), bad = x;
    const DLTensor *in = &x, *in_y = &y, *in_bad = &bad;
    cr_assert_eq(jitc_run_dlpack(s, "forward", 1, &in, 1, &y), JITC_OK, "%s", jitc_session_error(s));
    cr_assert_eq(((float *)y.data)[5], 15);
    cr_assert_eq(jitc_run_dlpack(s, "forward", 1, &in_y, 1, &z),
                 JITC_OK); /* the result's bare memory as an argument */
    cr_assert_eq(out_data[5], 33);
    bad.dtype.bits = 24;
    cr_assert_eq(jitc_run_dlpack(s, "forward", 1, &in_bad, 1, &z), JITC_E_ARGUMENT);
    jitc_session_free(s);
}

Test(runtime, borrowed_memory_does_not_leak_out_of_the_run) {
    jitc_session *s = session(1);
    float *data = malloc(12);
    int64_t shape[] = {3};
    data[0] = 1, data[1] = 2, data[2] = 3;
    DLTensor x = describe(data, shape, 1), y = {0};
    const DLTensor *in = &x;
    cr_assert_eq(jitc_run_dlpack(s, "identity", 1, &in, 1, &y), JITC_OK);
    cr_assert_neq(y.data, (void *)data);
    free(data);
    jitc_value total;
    cr_assert_eq(((float *)y.data)[2], 3);
    cr_assert_eq(jitc_session_state(s, "total", &total), JITC_OK);
    cr_assert_eq(at(jitc_value_tensor(total), 1), 2);
    jitc_session_free(s);
}

static void count_delete(DLManagedTensorVersioned *m) { ++*(int *)m->manager_ctx; }

Test(runtime, dlpack_exchange) {
    float data[6] = {1, 2, 3, 4, 5, 6};
    int64_t shape[] = {3}, strides[] = {2};
    int deleted = 0;
    DLManagedTensorVersioned m = {.version = {1, 0},
                                  .manager_ctx = &deleted,
                                  .deleter = count_delete,
                                  .dl_tensor = describe(data, shape, 1)};
    DLManagedTensorVersioned *back;
    jitc_tensor *t;
    m.dl_tensor.strides = strides;
    cr_assert_eq(jitc_tensor_from_dlpack(&m, &t), JITC_OK);
    cr_assert_eq(jitc_tensor_to_dlpack(t, &back), JITC_OK);
    jitc_tensor_release(t);
    cr_assert_eq(back->dl_tensor.strides[0], 2);
    cr_assert_eq(deleted, 0);
    back->deleter(back);
    cr_assert_eq(deleted, 1);
    m.version.major = 2;
    cr_assert_eq(jitc_tensor_from_dlpack(&m, &t), JITC_E_FORMAT);
    m.version.major = 1;
    m.dl_tensor.device.device_type = kDLCUDA;
    cr_assert_eq(jitc_tensor_from_dlpack(&m, &t), JITC_E_ARGUMENT);
    cr_assert_null(t);
}

Test(runtime, queries) {
    jitc_module *m = toy();
    char buf[64];
    jitc_param p;
    cr_assert_str_eq(jitc_module_name(m), "toy");
    cr_assert_eq(jitc_module_entries(m), 11);
    cr_assert_str_eq(jitc_entry_method(m, 2), "pair");
    jitc_type_print(jitc_entry_result(m, 2), buf, sizeof buf);
    cr_assert_str_eq(buf, "(f32[N], (int, f32[2*N]))");
    cr_assert_eq(jitc_type_print(jitc_entry_result(m, 2), buf, 5), 25);
    cr_assert_str_eq(buf, "(f32");
    jitc_type x = jitc_entry_arg(m, 0, 0);
    cr_assert_str_eq(jitc_type_name(x), "x");
    jitc_dim d = jitc_type_dim(x, 0);
    cr_assert(d.value == -1 && d.lo == 1 && d.hi == 64 && !strcmp(d.text, "N"));
    cr_assert_eq(jitc_type_dim(x, 1).value, 3);
    cr_assert_eq(jitc_module_params(m), 1);
    cr_assert_eq(jitc_module_param(m, 0, &p), JITC_OK);
    cr_assert(p.shape[0] == 3 && !strcmp(p.name, "w") && ((const float *)p.data)[2] == 3);
    const char *file;
    int line;
    cr_assert_str_eq(jitc_entry_guard(m, 7, 0, &file, &line), "N is at most 8");
    cr_assert(!strcmp(file, "net.py") && line == 3);
    jitc_tensor *t = floats(2, 10, 3, 0);
    jitc_value arg = jitc_tensor_value(t);
    size_t bytes;
    cr_assert_eq(jitc_module_workspace(m, "forward", 1, &arg, &bytes), JITC_OK);
    cr_assert_eq(bytes, 120);
    cr_assert_eq(jitc_module_workspace(m, "nope", 1, &arg, &bytes), JITC_E_METHOD);
    jitc_tensor_release(t);
    jitc_module_release(m);
}

Test(runtime, profile) {
    jitc_module *m = toy();
    jitc_session_opts opts = {.size = sizeof opts, .profile = 1};
    jitc_session *s;
    const jitc_profile_row *rows;
    cr_assert_eq(jitc_session_new(m, &opts, &s), JITC_OK);
    check_forward(s, 9);
    cr_assert_eq(jitc_session_profile(s, &rows), 1);
    cr_assert(!strcmp(rows[0].name, "add") && rows[0].line == 12 && rows[0].ns >= 0);
    cr_assert(rows[0].op == 0 && rows[0].flops == 8 && rows[0].bytes == 18);
    jitc_session_free(s);
    jitc_module_release(m);
}

static void *run_many(void *module) {
    jitc_session *s;
    jitc_session_opts opts = {.size = sizeof opts, .threads = 2};
    cr_assert_eq(jitc_session_new(module, &opts, &s), JITC_OK);
    for (int i = 0; i < 50; i++) check_forward(s, 1 + i);
    jitc_session_free(s);
    return NULL;
}

Test(runtime, one_module_many_threads) {
    jitc_module *m = toy();
    pthread_t other;
    pthread_create(&other, NULL, run_many, m);
    run_many(m);
    pthread_join(other, NULL);
    jitc_module_release(m);
}

Test(runtime, refuses_what_is_no_module) {
    jitc_module *m = (jitc_module *)1;
    rt_artefact a = jitc_artefact_toy;
    cr_assert_eq(jitc_load_static(&a, NULL, &m), JITC_E_MISSING);
    cr_assert_str_eq(jitc_error(), "toy needs operators that were not given: test::scale");
    cr_assert_null(m);
    a.abi++;
    cr_assert_eq(jitc_load_static(&a, NULL, &m), JITC_E_FORMAT);
    a.magic++;
    cr_assert_eq(jitc_load_static(&a, NULL, &m), JITC_E_FORMAT);
    cr_assert_eq(jitc_load("/nonexistent/x.so", NULL, &m), JITC_E_FILE);
    cr_assert_eq(jitc_load_memory("garbage", 7, NULL, &m), JITC_E_FORMAT);
    a = jitc_artefact_toy;
    rt_level impossible = {T(OP_ADD), 0}; /* a feature named "add" */
    a.levels = &impossible;
    cr_assert_eq(jitc_load_static(&a, NULL, &m), JITC_E_CPU);
    cr_assert(strstr(jitc_error(), "lacks add"));
}

/* The first level that the processor can run, or the one that is named, if it can. */
Test(runtime, chooses_a_level) {
    jitc_module *m = NULL;
    jitc_load_opts opts = {.size = sizeof opts};
    rt_level three[] = {{.features = T(OP_ADD), .name = T(OP_ADD)}, {.name = T(TOY)}, {.name = T(PRODUCER)}};
    const rt_code code0 = *jitc_artefact_toy.entries[0].code;
    rt_code codes[3] = {code0, code0, code0};
    rt_art_entry entry = jitc_artefact_toy.entries[0];
    rt_artefact a = jitc_artefact_toy;
    entry.code = codes;
    a.levels = three, a.nlevels = 3, a.entries = &entry, a.nentries = 1, a.nhosts = 0;
    cr_assert_eq(jitc_load_static(&a, NULL, &m), JITC_OK);
    cr_expect_str_eq(jitc_module_level(m), a.text + three[1].name);
    jitc_module_release(m);
    opts.level = a.text + three[2].name;
    cr_assert_eq(jitc_load_static(&a, &opts, &m), JITC_OK);
    cr_expect_str_eq(jitc_module_level(m), opts.level);
    jitc_module_release(m);
    opts.level = a.text + three[0].name;
    cr_expect_eq(jitc_load_static(&a, &opts, &m), JITC_E_CPU);
    opts.level = "another";
    cr_expect_eq(jitc_load_static(&a, &opts, &m), JITC_E_ARGUMENT);
    cr_expect(strstr(jitc_error(), "there is no level another"));
}

static bool build_so(char *dir, char *path, size_t n) {
    char cmd[1024], root[512];
    snprintf(root, sizeof root, "%s", __FILE__);
    for (int i = 0; i < 3; i++) {
        char *slash = strrchr(root, '/');
        if (slash) *slash = 0;
        else snprintf(root, sizeof root, "."); /* compiled by a relative name */
    }
    if (!mkdtemp(dir)) return false;
    snprintf(path, n, "%s/toy.so", dir);
    snprintf(cmd, sizeof cmd, "cc -shared -fPIC -O1 -DJITC_TEST_SO -I%s -o %s %s 2>/dev/null", root, path,
             __FILE__);
    return system(cmd) == 0;
}

Test(runtime, loads_from_path_descriptor_and_memory) {
    char dir[] = "/tmp/jitc-test-XXXXXX", path[64];
    if (!build_so(dir, path, sizeof path)) cr_skip_test("no C compiler");
    jitc_load_opts opts = {.size = sizeof opts, .ops = &scale_op, .nops = 1};
    jitc_module *m[3];
    cr_assert_eq(jitc_load(path, &opts, &m[0]), JITC_OK, "%s", jitc_error());
    int fd = open(path, O_RDONLY);
    cr_assert_eq(jitc_load_fd(fd, &opts, &m[1]), JITC_OK, "%s", jitc_error());
    static char image[1 << 20];
    ssize_t n = pread(fd, image, sizeof image, 0);
    close(fd);
    cr_assert_eq(jitc_load_memory(image, (size_t)n, &opts, &m[2]), JITC_OK, "%s", jitc_error());
    unlink(path);
    rmdir(dir);
    for (int i = 0; i < 3; i++) {
        jitc_session *s;
        cr_assert_eq(jitc_session_new(m[i], NULL, &s), JITC_OK);
        jitc_module_release(m[i]);
        check_forward(s, 7);
        jitc_session_free(s);
    }
}
#endif
