/* jitc/jitc.h: the compiler as a library.  C99, also accepted by C++.  Includes runtime.h: what it writes is loaded and
 * run by that.
 *
 *   jitc_compile_opts o = {sizeof o};
 *   const char *inputs[] = {"x=f32[N, 3, 224, 224]", "N:1..64"};
 *   o.inputs = inputs, o.ninputs = 2;
 *   char *text;
 *   if (jitc_compile("net.pt", "net.so", &o, &text) != JITC_OK) fputs(text, stderr);
 *   jitc_free(text);
 *
 * Calls are independent of each other and keep no global state: several threads may compile at the same time. */
#ifndef JITC_JITC_H
#define JITC_JITC_H

#include "jitc/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All-zero members mean the default.  Everything is read during the call only. */
typedef struct jitc_compile_opts {
    size_t size; /* sizeof(jitc_compile_opts) */
    /* "NAME=f32[N, 3, 224, 224]": dtype and sizes of an argument; an identifier is a symbolic size, the same name is the
     * same size.  "N:1..64" bounds one. */
    const char *const *inputs;
    int ninputs;
    const char *const *examples; /* files of cases: methods, dtypes, ranks and sizes are taken from their calls */
    int nexamples;
    const char *cases;           /* "0,2": only these cases of the examples */
    const char *const *methods;  /* default: those that the examples call, else forward */
    int nmethods;
    const char *const *specialise; /* "ARG=VALUE": a constant */
    int nspecialise;
    const char *target; /* "host" (default), "x86-64-v3", "aarch64", a triple; "+feature" may follow.
                         * "cpu:x86-64-v2,x86-64-v3": both, chosen at load */
    int optimise;       /* 1, 2, 3; 0: the default, 3; -1: no optimisation */
    const char *name;   /* of the module and its symbols; default: the model's file name without suffix */
    int weights_side;   /* 1: weights in NAME.weights beside the output */
    int verify;         /* 1: check the IR after every pass */
    int stats;          /* 1: a line for each pass in the text */
    const char *print_after; /* name of a pass, or "all": the IR after it, in the text */
    const char *stop_after;  /* name of a pass: for an output that ends in .ir */
    const char *skip;        /* passes to leave out, with commas */
    int colour;              /* 1: messages with terminal colours */
    /* "thread", "address": the code reports what it does wrong to the sanitizer that the loading program is built with */
    const char *sanitize;
    /* "SCHEMA" or "LIBRARY:SYMBOL=SCHEMA": custom operators that the model calls, see jitc_register_op; no library is opened */
    const char *const *ops;
    int nops;
    int fast_math; /* 1: exp, tanh, erf and sigmoid of f32, and what is made of them, within 1e-5 instead of 2 ULP */
} jitc_compile_opts;

/* Compiles `model` (.pt, .ir, .py) to `out`; the suffix says what: .so, .o or .a (with a .h beside), .ll, .s, .ir (with
 * .weights.safetensors beside).  On failure nothing is written.  *text (may be NULL): warnings, errors, dumps; caller frees with
 * jitc_free; NULL if there are none.  JITC_E_UNSUPPORTED: the model or an option is wrong or not supported. */
JITC_API jitc_status jitc_compile(const char *model, const char *out, const jitc_compile_opts *opts /* or NULL */, char **text);
JITC_API void jitc_free(void *p); /* takes NULL */

/* ======================================================= context, errors
 *
 * Tensor programs in C.  Operators run at once on real tensors and read like maths:
 *
 *   jitc_context *c;
 *   jitc_open(&c);
 *   jitc_t x = jitc_from_data(c, JITC_F32, 2, (int64_t[]){1, 4}, data);
 *   jitc_t y = jitc_relu(jitc_linear(x, w, b));
 *   float first = (float)jitc_item_f64(jitc_select(jitc_select(y, 0, 0), 0, 0));
 *   if (*jitc_context_error(c)) puts(jitc_context_error(c)); // "net.c:12: linear: RuntimeError: ..."
 *   jitc_close(c);
 *
 * Errors stick: the first one is kept in the context with the caller's file and line, what failed gives a handle
 * that is not valid, and what is done with such a handle is not valid either, without a word.  So a program checks once, at
 * the end. */

/* One thread at a time; contexts are independent of each other. */
typedef struct jitc_context jitc_context;

/* *out: caller frees with jitc_close; NULL on failure. */
JITC_API jitc_status jitc_open(jitc_context **out);
/* Takes NULL.  Ends all handles, graphs and functions of the context. */
JITC_API void jitc_close(jitc_context *c);
/* The first error since jitc_open or jitc_context_clear, "" if there was none.  Lives until that is called. */
JITC_API const char *jitc_context_error(const jitc_context *c);
JITC_API jitc_status jitc_context_status(const jitc_context *c); /* JITC_OK without an error */
JITC_API void jitc_context_clear(jitc_context *c);

/* ======================================================= handles, scopes */

/* A value of the context: a tensor, or what an operator gives besides (int, float, bool, string, tuple, list).  A small
 * struct, copied freely; the members are private.  It ends with the scope that it was made in; using it later is an
 * error, not undefined. */
typedef struct jitc_t {
    jitc_context *context;
    uint32_t slot, serial;
} jitc_t;

/* Where a call stands in the caller's source, for errors, traces and guards. */
#define JITC_HERE __FILE__, __LINE__

/* Scopes nest; jitc_open begins the outermost, which jitc_close ends. */
JITC_API void jitc_scope_begin(jitc_context *c);
JITC_API void jitc_scope_end(jitc_context *c); /* ends the handles made in it, but for those kept */
JITC_API jitc_t jitc_keep(jitc_t x);           /* x moves to the scope around its own; gives x */
JITC_API jitc_t jitc_hold(jitc_t x);           /* x lives until jitc_drop or jitc_close; gives x */
JITC_API void jitc_drop(jitc_t x);             /* ends x now */

/* A tensor with a copy of `data` (contiguous; borrowed for the call). */
#define jitc_from_data(c, dtype, ndim, shape, data) jitc_from_data_at((c), (dtype), (ndim), (shape), (data), JITC_HERE)
JITC_API jitc_t jitc_from_data_at(jitc_context *c, jitc_dtype dtype, int ndim, const int64_t *shape, const void *data,
                                  const char *file, int line);
/* Shares t's memory and retains t: operators that write in place are seen there. */
#define jitc_from_tensor(c, t) jitc_from_value_at((c), jitc_tensor_value(t), JITC_HERE)
#define jitc_from_value(c, v) jitc_from_value_at((c), (v), JITC_HERE) /* v: retained */
JITC_API jitc_t jitc_from_value_at(jitc_context *c, jitc_value v, const char *file, int line);
/* The name that x has in graphs that capture it, as param or state; gives x. */
JITC_API jitc_t jitc_name(jitc_t x, const char *name /* copied */);

JITC_API int jitc_valid(jitc_t x); /* 0: ended, or made by a call that failed */
JITC_API jitc_kind jitc_kind_of(jitc_t x);
JITC_API int jitc_rank(jitc_t x);            /* -1: no tensor */
JITC_API jitc_dtype jitc_dtype_of(jitc_t x); /* JITC_BOOL also if x is no tensor */

/* Reading a value into C.  While a trace is on this is a guard: what C does with the value is outside the trace, so the
 * graph checks that it is the same again, and names this file and line when it is not.  A wrong kind is an error and
 * gives 0 or NULL. */
#define jitc_item_f64(x) jitc_item_f64_at((x), JITC_HERE)   /* tensor of one element, float, int or bool */
#define jitc_item_i64(x) jitc_item_i64_at((x), JITC_HERE)
#define jitc_item_bool(x) jitc_item_bool_at((x), JITC_HERE) /* 0 or 1 */
#define jitc_size(x, dim) jitc_size_at((x), (dim), JITC_HERE) /* guarded: see jitc_dim for a size that may vary */
#define jitc_count(x) jitc_count_at((x), JITC_HERE)           /* items of a list or tuple */
/* Elements in order; lives as long as x, which keeps a contiguous copy if it is not contiguous itself. */
#define jitc_data(x) jitc_data_at((x), JITC_HERE)
/* The tensor itself; borrowed, lives as long as x. */
#define jitc_tensor_of(x) jitc_tensor_of_at((x), JITC_HERE)
JITC_API double jitc_item_f64_at(jitc_t x, const char *file, int line);
JITC_API int64_t jitc_item_i64_at(jitc_t x, const char *file, int line);
JITC_API int jitc_item_bool_at(jitc_t x, const char *file, int line);
JITC_API int64_t jitc_size_at(jitc_t x, int dim, const char *file, int line);
JITC_API int64_t jitc_count_at(jitc_t x, const char *file, int line);
JITC_API const void *jitc_data_at(jitc_t x, const char *file, int line);
JITC_API jitc_tensor *jitc_tensor_of_at(jitc_t x, const char *file, int line);

/* ======================================================= operators
 *
 * jitc_apply(c, "name", arguments...) calls any operator that `jitc ops` lists, by PyTorch's schemas: the overload is chosen
 * by the arguments, defaults are filled in.  An argument is a handle, a number, a string, a jitc_value (jitc_none() is
 * None), JITC_LIST(...) of such, or jitc_kw("name", argument).  0 and 1 also stand for a bool where only that fits; a
 * `dtype` argument is a jitc_dtype.  Needs C11 or C++11; at most 16 arguments. */

typedef struct jitc_arg { /* the members are private */
    const char *keyword;
    int32_t kind, n;
    union {
        int64_t i;
        double f;
        const char *s;
        jitc_t handle;
        jitc_value value;
        const struct jitc_arg *items;
        const jitc_t *handles;
        const int64_t *ints;
    } as;
} jitc_arg;

/* `name` and `args` are borrowed for the call.  c may be NULL if one argument is a handle. */
JITC_API jitc_t jitc_apply_at(jitc_context *c, const char *name, int nargs, const jitc_arg *args, const char *file, int line);
/* Item i of a tuple or list: of an operator with several results. */
#define jitc_get(x, i) jitc_get_at((x), (i), JITC_HERE)
JITC_API jitc_t jitc_get_at(jitc_t x, int64_t i, const char *file, int line);

/* Arguments; texts and arrays are borrowed until the call that takes them is done. */
/* clang-format off */
enum { JITC_A_HANDLE, JITC_A_INT, JITC_A_FLOAT, JITC_A_BOOL, JITC_A_STR, JITC_A_VALUE, JITC_A_LIST, JITC_A_HANDLES, JITC_A_INTS };
static inline jitc_arg jitc_arg_make(int kind, int n) { jitc_arg a; a.keyword = NULL; a.kind = kind; a.n = n; a.as.i = 0; return a; }
static inline jitc_arg jitc_arg_handle(jitc_t x) { jitc_arg a = jitc_arg_make(JITC_A_HANDLE, 0); a.as.handle = x; return a; }
static inline jitc_arg jitc_arg_int(int64_t i) { jitc_arg a = jitc_arg_make(JITC_A_INT, 0); a.as.i = i; return a; }
static inline jitc_arg jitc_arg_float(double f) { jitc_arg a = jitc_arg_make(JITC_A_FLOAT, 0); a.as.f = f; return a; }
static inline jitc_arg jitc_arg_bool(int b) { jitc_arg a = jitc_arg_make(JITC_A_BOOL, 0); a.as.i = b != 0; return a; }
static inline jitc_arg jitc_arg_str(const char *s) { jitc_arg a = jitc_arg_make(JITC_A_STR, 0); a.as.s = s; return a; }
static inline jitc_arg jitc_arg_value(jitc_value v) { jitc_arg a = jitc_arg_make(JITC_A_VALUE, 0); a.as.value = v; return a; }
static inline jitc_arg jitc_arg_list(int n, const jitc_arg *items) { jitc_arg a = jitc_arg_make(JITC_A_LIST, n); a.as.items = items; return a; }
static inline jitc_arg jitc_arg_handles(int n, const jitc_t *at) { jitc_arg a = jitc_arg_make(JITC_A_HANDLES, n); a.as.handles = at; return a; }
static inline jitc_arg jitc_arg_ints(int n, const int64_t *at) { jitc_arg a = jitc_arg_make(JITC_A_INTS, n); a.as.ints = at; return a; }
static inline jitc_arg jitc_arg_same(jitc_arg a) { return a; }
static inline jitc_arg jitc_arg_kw(const char *keyword, jitc_arg a) { a.keyword = keyword; return a; }
/* clang-format on */

#define jitc_kw(name, x) jitc_arg_kw((name), JITC_ARG(x))
#define jitc_apply(c, name, ...) JITC_CALL(jitc_apply_at, (c), (name), __VA_ARGS__)
#define JITC_OP(name, ...) JITC_CALL(jitc_apply_at, NULL, name, __VA_ARGS__)

#ifdef __cplusplus
} /* extern "C": the conversions of C++ are overloads */
static inline jitc_arg JITC_ARG(jitc_t x) { return jitc_arg_handle(x); }
static inline jitc_arg JITC_ARG(int x) { return jitc_arg_int(x); }
static inline jitc_arg JITC_ARG(unsigned x) { return jitc_arg_int((int64_t)x); }
static inline jitc_arg JITC_ARG(long x) { return jitc_arg_int(x); }
static inline jitc_arg JITC_ARG(unsigned long x) { return jitc_arg_int((int64_t)x); }
static inline jitc_arg JITC_ARG(long long x) { return jitc_arg_int(x); }
static inline jitc_arg JITC_ARG(float x) { return jitc_arg_float((double)x); }
static inline jitc_arg JITC_ARG(double x) { return jitc_arg_float(x); }
static inline jitc_arg JITC_ARG(bool x) { return jitc_arg_bool(x); }
static inline jitc_arg JITC_ARG(const char *x) { return jitc_arg_str(x); }
static inline jitc_arg JITC_ARG(jitc_value x) { return jitc_arg_value(x); }
static inline jitc_arg JITC_ARG(jitc_arg x) { return x; }
#if __cplusplus >= 201103L
template <class F, class... A>
static inline jitc_t jitc_call_cpp(F f, const char *file, int line, jitc_context *c, const char *name, A... args) {
    const jitc_arg at[] = {JITC_ARG(args)...};
    return f(c, name, (int)sizeof...(A), at, file, line);
}
#define JITC_CALL(f, c, ...) jitc_call_cpp(f, __FILE__, __LINE__, c, __VA_ARGS__)
#endif
extern "C" {
#else
/* An argument by its C type. */
#define JITC_ARG(x)                                                                                               \
    _Generic((x),                                                                                                 \
        jitc_t: jitc_arg_handle,                                                                                  \
        jitc_arg: jitc_arg_same,                                                                                  \
        jitc_value: jitc_arg_value,                                                                               \
        float: jitc_arg_float,                                                                                    \
        double: jitc_arg_float,                                                                                   \
        _Bool: jitc_arg_bool,                                                                                     \
        char *: jitc_arg_str,                                                                                     \
        const char *: jitc_arg_str,                                                                               \
        default: jitc_arg_int)(x)
#define JITC_LIST(...) jitc_arg_list(JITC_COUNT(__VA_ARGS__), (const jitc_arg[]){JITC_EACH(__VA_ARGS__)})
#define JITC_CALL(f, c, name, ...) \
    f(c, name, JITC_COUNT(__VA_ARGS__), (const jitc_arg[]){JITC_EACH(__VA_ARGS__)}, JITC_HERE)
/* clang-format off */
#define JITC_COUNT(...) JITC_PICK(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define JITC_PICK(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, ...) q
#define JITC_EACH(...)                                                                                         \
    JITC_PICK(__VA_ARGS__, JITC_E16, JITC_E15, JITC_E14, JITC_E13, JITC_E12, JITC_E11, JITC_E10, JITC_E9, JITC_E8, \
              JITC_E7, JITC_E6, JITC_E5, JITC_E4, JITC_E3, JITC_E2, JITC_E1, 0)(__VA_ARGS__)
#define JITC_E1(x) JITC_ARG(x)
#define JITC_E2(x, ...) JITC_ARG(x), JITC_E1(__VA_ARGS__)
#define JITC_E3(x, ...) JITC_ARG(x), JITC_E2(__VA_ARGS__)
#define JITC_E4(x, ...) JITC_ARG(x), JITC_E3(__VA_ARGS__)
#define JITC_E5(x, ...) JITC_ARG(x), JITC_E4(__VA_ARGS__)
#define JITC_E6(x, ...) JITC_ARG(x), JITC_E5(__VA_ARGS__)
#define JITC_E7(x, ...) JITC_ARG(x), JITC_E6(__VA_ARGS__)
#define JITC_E8(x, ...) JITC_ARG(x), JITC_E7(__VA_ARGS__)
#define JITC_E9(x, ...) JITC_ARG(x), JITC_E8(__VA_ARGS__)
#define JITC_E10(x, ...) JITC_ARG(x), JITC_E9(__VA_ARGS__)
#define JITC_E11(x, ...) JITC_ARG(x), JITC_E10(__VA_ARGS__)
#define JITC_E12(x, ...) JITC_ARG(x), JITC_E11(__VA_ARGS__)
#define JITC_E13(x, ...) JITC_ARG(x), JITC_E12(__VA_ARGS__)
#define JITC_E14(x, ...) JITC_ARG(x), JITC_E13(__VA_ARGS__)
#define JITC_E15(x, ...) JITC_ARG(x), JITC_E14(__VA_ARGS__)
#define JITC_E16(x, ...) JITC_ARG(x), JITC_E15(__VA_ARGS__)
/* clang-format on */
#endif

/* The common operators, with PyTorch's arguments in PyTorch's order.  Names that end in _ write in place. */
/* clang-format off */
#define jitc_add(...) JITC_OP("add", __VA_ARGS__)
#define jitc_sub(...) JITC_OP("sub", __VA_ARGS__)
#define jitc_mul(...) JITC_OP("mul", __VA_ARGS__)
#define jitc_div(...) JITC_OP("div", __VA_ARGS__)
#define jitc_pow(...) JITC_OP("pow", __VA_ARGS__)
#define jitc_neg(...) JITC_OP("neg", __VA_ARGS__)
#define jitc_abs(...) JITC_OP("abs", __VA_ARGS__)
#define jitc_exp(...) JITC_OP("exp", __VA_ARGS__)
#define jitc_log(...) JITC_OP("log", __VA_ARGS__)
#define jitc_sqrt(...) JITC_OP("sqrt", __VA_ARGS__)
#define jitc_rsqrt(...) JITC_OP("rsqrt", __VA_ARGS__)
#define jitc_sin(...) JITC_OP("sin", __VA_ARGS__)
#define jitc_cos(...) JITC_OP("cos", __VA_ARGS__)
#define jitc_tanh(...) JITC_OP("tanh", __VA_ARGS__)
#define jitc_sigmoid(...) JITC_OP("sigmoid", __VA_ARGS__)
#define jitc_relu(...) JITC_OP("relu", __VA_ARGS__)
#define jitc_gelu(...) JITC_OP("gelu", __VA_ARGS__)
#define jitc_silu(...) JITC_OP("silu", __VA_ARGS__)
#define jitc_clamp(...) JITC_OP("clamp", __VA_ARGS__)
#define jitc_where(...) JITC_OP("where", __VA_ARGS__)
#define jitc_eq(...) JITC_OP("eq", __VA_ARGS__)
#define jitc_ne(...) JITC_OP("ne", __VA_ARGS__)
#define jitc_lt(...) JITC_OP("lt", __VA_ARGS__)
#define jitc_le(...) JITC_OP("le", __VA_ARGS__)
#define jitc_gt(...) JITC_OP("gt", __VA_ARGS__)
#define jitc_ge(...) JITC_OP("ge", __VA_ARGS__)
#define jitc_logical_and(...) JITC_OP("logical_and", __VA_ARGS__)
#define jitc_logical_or(...) JITC_OP("logical_or", __VA_ARGS__)
#define jitc_logical_not(...) JITC_OP("logical_not", __VA_ARGS__)
#define jitc_matmul(...) JITC_OP("matmul", __VA_ARGS__)
#define jitc_mm(...) JITC_OP("mm", __VA_ARGS__)
#define jitc_bmm(...) JITC_OP("bmm", __VA_ARGS__)
#define jitc_linear(...) JITC_OP("linear", __VA_ARGS__)
#define jitc_embedding(...) JITC_OP("embedding", __VA_ARGS__)
#define jitc_conv1d(...) JITC_OP("conv1d", __VA_ARGS__)
#define jitc_conv2d(...) JITC_OP("conv2d", __VA_ARGS__)
#define jitc_max_pool2d(...) JITC_OP("max_pool2d", __VA_ARGS__)
#define jitc_avg_pool2d(...) JITC_OP("avg_pool2d", __VA_ARGS__)
#define jitc_adaptive_avg_pool2d(...) JITC_OP("adaptive_avg_pool2d", __VA_ARGS__)
#define jitc_batch_norm(...) JITC_OP("batch_norm", __VA_ARGS__)
#define jitc_layer_norm(...) JITC_OP("layer_norm", __VA_ARGS__)
#define jitc_softmax(...) JITC_OP("softmax", __VA_ARGS__)
#define jitc_log_softmax(...) JITC_OP("log_softmax", __VA_ARGS__)
#define jitc_sum(...) JITC_OP("sum", __VA_ARGS__)
#define jitc_mean(...) JITC_OP("mean", __VA_ARGS__)
#define jitc_prod(...) JITC_OP("prod", __VA_ARGS__)
#define jitc_max(...) JITC_OP("max", __VA_ARGS__)
#define jitc_min(...) JITC_OP("min", __VA_ARGS__)
#define jitc_argmax(...) JITC_OP("argmax", __VA_ARGS__)
#define jitc_argmin(...) JITC_OP("argmin", __VA_ARGS__)
#define jitc_cumsum(...) JITC_OP("cumsum", __VA_ARGS__)
#define jitc_any(...) JITC_OP("any", __VA_ARGS__)
#define jitc_all(...) JITC_OP("all", __VA_ARGS__)
#define jitc_cat(...) JITC_OP("cat", __VA_ARGS__)
#define jitc_stack(...) JITC_OP("stack", __VA_ARGS__)
#define jitc_split(...) JITC_OP("split", __VA_ARGS__)
#define jitc_chunk(...) JITC_OP("chunk", __VA_ARGS__)
#define jitc_reshape(...) JITC_OP("reshape", __VA_ARGS__)
#define jitc_view(...) JITC_OP("view", __VA_ARGS__)
#define jitc_flatten(...) JITC_OP("flatten", __VA_ARGS__)
#define jitc_permute(...) JITC_OP("permute", __VA_ARGS__)
#define jitc_transpose(...) JITC_OP("transpose", __VA_ARGS__)
#define jitc_expand(...) JITC_OP("expand", __VA_ARGS__)
#define jitc_squeeze(...) JITC_OP("squeeze", __VA_ARGS__)
#define jitc_unsqueeze(...) JITC_OP("unsqueeze", __VA_ARGS__)
#define jitc_select(...) JITC_OP("select", __VA_ARGS__)
#define jitc_slice(...) JITC_OP("slice", __VA_ARGS__)
#define jitc_gather(...) JITC_OP("gather", __VA_ARGS__)
#define jitc_index_select(...) JITC_OP("index_select", __VA_ARGS__)
#define jitc_pad(...) JITC_OP("pad", __VA_ARGS__)
#define jitc_clone(...) JITC_OP("clone", __VA_ARGS__)
#define jitc_to(...) JITC_OP("to", __VA_ARGS__)
#define jitc_item(...) JITC_OP("item", __VA_ARGS__)
#define jitc_add_(...) JITC_OP("add_", __VA_ARGS__)
#define jitc_mul_(...) JITC_OP("mul_", __VA_ARGS__)
#define jitc_copy_(...) JITC_OP("copy_", __VA_ARGS__)
#define jitc_fill_(...) JITC_OP("fill_", __VA_ARGS__)
/* Size of a dim as an int handle, which stays symbolic in a trace; arithmetic on it by jitc_add, jitc_mul ... */
#define jitc_dim(x, i) JITC_OP("size", x, i)
#define jitc_zeros(c, ...) jitc_apply(c, "zeros", __VA_ARGS__)
#define jitc_ones(c, ...) jitc_apply(c, "ones", __VA_ARGS__)
#define jitc_full(c, ...) jitc_apply(c, "full", __VA_ARGS__)
#define jitc_arange(c, ...) jitc_apply(c, "arange", __VA_ARGS__)
/* clang-format on */

/* A custom operator: `symbol` of the shared object `library`, under a schema such as
 *   my_ops::norms(Tensor x, float eps=1e-5) -> Tensor; x: f32[N, C] -> f32[N]
 * What follows the semicolon may be left out.  It tells types of arguments and results: a size that no argument has is one
 * that the function decides, and a tensor result that is not declared has dtype and rank of the first tensor argument and such
 * sizes.  It is checked at every call.  A compiled module gets its functions when it is loaded: see jitc/ffi.h.
 * All texts are borrowed for the call.  The library stays loaded until jitc_close.  The C function gets
 *   Tensor  const DLTensor *, contiguous (written in place, Tensor(a!): DLTensor *, with any strides)
 *   int     int64_t       float  double       bool  int32_t, 0 or 1       str  const char *
 *   T?      NULL for None, else as Tensor and str are passed; numbers by pointer
 *   T[]     int64_t n, const T *items (tensors: const DLTensor *const *)
 * and then, for each result that is not an argument written in place, a pointer to set: DLManagedTensorVersioned ** (taken),
 * int64_t *, double *, int32_t *.  It returns NULL, or why it failed ("ValueError: text"), which must stay valid.  Arguments
 * are borrowed for the call, and results must not share memory with them. */
JITC_API jitc_status jitc_register_op(jitc_context *c, const char *schema, const char *library, const char *symbol);
/* The same with a function of this program, cast to the type. */
JITC_API jitc_status jitc_register_function(jitc_context *c, const char *schema, void (*fn)(void));

/* ======================================================= script, control flow */

/* Adds the functions of a script (a Python subset) to the context; `file` names it in errors.  Texts are copied. */
JITC_API jitc_status jitc_script(jitc_context *c, const char *file, const char *source);
/* Calls a script function by name.  In a trace it stays a call, with the control flow inside. */
#define jitc_call(c, name, ...) JITC_CALL(jitc_call_at, (c), (name), __VA_ARGS__)
JITC_API jitc_t jitc_call_at(jitc_context *c, const char *name, int nargs, const jitc_arg *args, const char *file, int line);

/* A piece of program over handles: writes out[0..nout).  `in` is borrowed, what is written to `out` leaves the scope that
 * the caller made around the call. */
typedef void jitc_body(jitc_context *c, void *env, int nin, const jitc_t *in, int nout, jitc_t *out);

/* out = pred ? then_fn(in) : else_fn(in).  In a trace both are recorded; the one not taken is run for that on the same
 * inputs, and what it wrote is undone.  pred: a bool or a tensor of one element. */
#define jitc_cond(c, pred, then_fn, else_fn, env, nin, in, nout, out) \
    jitc_cond_at((c), (pred), (then_fn), (else_fn), (env), (nin), (in), (nout), (out), JITC_HERE)
JITC_API void jitc_cond_at(jitc_context *c, jitc_t pred, jitc_body *then_fn, jitc_body *else_fn, void *env, int nin,
                           const jitc_t *in, int nout, jitc_t *out, const char *file, int line);
/* out = in; while (cond_fn(out)) out = body_fn(out).  cond_fn writes one bool.  In a trace both are recorded once. */
#define jitc_while(c, cond_fn, body_fn, env, n, in, out) \
    jitc_while_at((c), (cond_fn), (body_fn), (env), (n), (in), (out), JITC_HERE)
JITC_API void jitc_while_at(jitc_context *c, jitc_body *cond_fn, jitc_body *body_fn, void *env, int n, const jitc_t *in,
                            jitc_t *out, const char *file, int line);

/* ======================================================= trace
 *
 * While a trace is on, operators run as always and are recorded too.  Tensors from outside become params of the graph under
 * the name that jitc_name gave; those that the program writes in place become state.  What C does between the operators is
 * outside the trace: the values of C variables are constants of the graph, files and counters are not seen. */

/* A recorded graph.  Lives as long as the context.  One thread at a time. */
typedef struct jitc_graph jitc_graph;

JITC_API jitc_status jitc_trace_begin(jitc_context *c, const char *name);
/* An input of the graph with an example of it: use what this gives. */
JITC_API jitc_t jitc_trace_input(jitc_context *c, const char *name, jitc_t example);
/* Ends the trace in any case.  *out: NULL on failure. */
JITC_API jitc_status jitc_trace_end(jitc_context *c, int nout, const jitc_t *results, jitc_graph **out);

/* Records body on examples[0..nin), and once more on each further set of nin; checks that each gives the same graph and that
 * the graph, interpreted, gives the results of the run.  A difference is an error that names the operator or the read value
 * that differs.  Sizes that differ between examples become symbols.  Captured tensors and examples that the program
 * writes are as before afterwards.  *out: NULL on failure. */
JITC_API jitc_status jitc_trace(jitc_context *c, const char *name, jitc_body *body, void *env, int nin, int nout, int nexamples,
                                const jitc_t *examples, jitc_graph **out);

JITC_API const char *jitc_trace_text(jitc_graph *g); /* the graph as .ir text; lives as long as g */
/* Values that were read back into C: what, and where.  Texts live as long as g. */
JITC_API int jitc_trace_guards(const jitc_graph *g);
JITC_API const char *jitc_trace_guard(const jitc_graph *g, int i, const char **file /* or NULL */, int *line /* or NULL */);
/* Runs the graph in the reference interpreter; its state is that of the trace, changed by each run. */
JITC_API jitc_status jitc_trace_run(jitc_graph *g, int nin, const jitc_t *in, int nout, jitc_t *out);
/* Writes path, which ends in .ir, and the params to the .weights.safetensors beside it. */
JITC_API jitc_status jitc_trace_save(jitc_graph *g, const char *path);

/* ======================================================= function handle: the tracing JIT */

/* A C function over handles that compiles itself: a call with dtypes and ranks seen before runs compiled code.  Sizes
 * that vary become symbolic.  Where a value that C reads differs from all that is compiled, the call runs eagerly and its
 * path is compiled as a further variant; past a bound it stays eager.  Captured tensors are those of the recorded calls and are
 * read at each call.  Results never share memory with inputs.  Lives as long as the context. */
typedef struct jitc_fn jitc_fn;
JITC_API jitc_fn *jitc_function(jitc_context *c, const char *name, jitc_body *body, void *env /* must outlive the context */);
JITC_API jitc_status jitc_fn_call(jitc_fn *f, int nin, const jitc_t *in, int nout, jitc_t *out);
/* What was compiled, how often it ran, and why something stays eager.  Lives until the next call with f. */
JITC_API const char *jitc_fn_report(jitc_fn *f);
typedef struct jitc_fn_counts {
    int variants, compiles;       /* recorded paths; runs of the compiler */
    int64_t compiled_calls, eager_calls;
} jitc_fn_counts;
JITC_API jitc_fn_counts jitc_fn_get_counts(const jitc_fn *f);

#ifdef __cplusplus
}
#endif
#endif
