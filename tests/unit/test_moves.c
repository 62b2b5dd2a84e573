/* test_moves.c: the comprehensions of MOVE and VIEW rows, evaluated on small tensors. */
#include "lower/eval.h"
#include "tests/unit/rule_args.h"

#include <criterion/criterion.h>

static ir_context *c;
static rt_value operands[8]; /* tensors made by T and N, by operand number */
static int noperands;

static void set_up(void) {
    c = ir_context_new();
    noperands = 0;
}
static void clear(void) {
    while (noperands) rt_release(operands[--noperands]);
}
static void tear_down(void) {
    clear();
    ir_context_free(c);
}
TestSuite(moves, .init = set_up, .fini = tear_down);

/* Every symbol is 2. */
static bool symbol(void *env, const char *name, int64_t *x) {
    (void)env, (void)name;
    return *x = 2, true;
}

/* A tensor of the numbers in `values`, or 0, 1, 2 ... if NULL. */
static ir_arg tensor(rt_dtype dtype, const char *dims, const char *values) {
    ir_arg a = arg_tensor(c, noperands, dtype, dims);
    int64_t shape[RT_MAX_RANK], n = 1;
    for (int i = 0; i < a.type->rank; i++) {
        if (!ir_dim_is_const(a.type->dims[i], &shape[i]))
            ir_dim_eval(a.type->dims[i], symbol, NULL, &shape[i]);
        n *= shape[i];
    }
    rt_tensor *t = rt_tensor_new(dtype, a.type->rank, shape);
    for (int64_t i = 0; i < n; i++)
        rt_store_f64(t->storage->data, dtype, i, values ? strtod(values, (char **)&values) : (double)i);
    operands[noperands++] = rt_tensor_value(t);
    return a;
}
#define T(dims) tensor(DT_F32, dims, NULL)
#define V(dims, values) tensor(DT_F32, dims, values)
#define N(dims, values) tensor(DT_I64, dims, values)
#define L(text) arg_ints(c, text)
#define I(i) arg_int(c, i)
#define F(f) arg_float(f)
#define B(b) arg_bool(b)
#define NONE arg_none()

/* "2 3: 0 1 2 3 4 5" */
static const char *tensor_text(const rt_tensor *t) {
    rt_text s = {0};
    for (int i = 0; i < t->ndim; i++) rt_text_fmt(&s, i ? " %lld" : "%lld", (long long)t->shape[i]);
    rt_text_str(&s, ":");
    for (int64_t i = 0; i < rt_tensor_numel(t); i++)
        rt_text_fmt(&s, " %g", rt_load_f64(t->storage->data, t->dtype, t->offset + i));
    const char *r = rt_arena_str(&c->arena, s.s, s.n);
    rt_text_free(&s);
    return r;
}

static const char *run(const char *op, int nargs, const ir_arg *args) {
    ir_infer x = {.c = c, .op = ir_op_find(c, op), .nargs = nargs, .args = args};
    cr_assert(x.op && x.op->schema->nparams == nargs, "%s", op);
    const char *r = NULL;
    comp *k = NULL;
    rt_tensor *out[COMP_MAX_OUT];
    rt_env env = {0};
    if (!ir_infer_op(&x) || !(k = comp_build(&x))) r = x.error;
    else if (!lower_eval(k, &(lower_operands){.n = noperands, .at = operands, .symbol = symbol}, NULL, out,
                         &env))
        r = ir_fmt(c, "%s: %s", env.cls, env.message);
    else {
        r = tensor_text(out[0]);
        rt_tensor_release(out[0]);
    }
    rt_env_clear(&env);
    clear();
    return r;
}
/* The arguments are evaluated once, in order. */
#define GIVES(want, op, ...)                                                                                 \
    do {                                                                                                     \
        ir_arg a_[] = {__VA_ARGS__};                                                                         \
        cr_expect_str_eq(run(op, (int)RT_COUNT(a_), a_), want);                                              \
    } while (0)

Test(moves, views_read_their_base) {
    GIVES("3 2: 0 1 2 3 4 5", "view", T("2, 3"), L("3, 2"));
    GIVES("2 2 3: 0 1 2 3 4 5 6 7 8 9 10 11", "reshape", T("4, 3"), L("2, 2, -1"));
    GIVES("6 2: 0 1 2 3 4 5 6 7 8 9 10 11", "reshape", T("2, 2, 3"), L("6, 2"));
    GIVES("3 1 2: 0 3 1 4 2 5", "permute", T("1, 2, 3"), L("2, 0, 1"));
    GIVES("3 2: 0 3 1 4 2 5", "t", T("2, 3"));
    GIVES("2 2 3: 0 1 2 0 1 2 0 1 2 0 1 2", "expand", T("1, 3"), L("2, 2, 3"), B(0));
    GIVES("2: 2 5", "select.int", T("2, 3"), I(1), I(-1));
    GIVES("2 2: 0 2 4 6", "slice.Tensor", T("2, 4"), I(1), NONE, NONE, I(2));
    GIVES("2 3: 0 1 2 3 4 5", "squeeze", T("1, 2, 1, 3"));
    GIVES("1 2 3: 0 1 2 3 4 5", "squeeze.dim", T("1, 2, 1, 3"), I(2));
    GIVES("2 1: 0 1", "unsqueeze", T("2"), I(1));
    GIVES("2: 1 5", "diagonal", T("2, 3"), I(1), I(0), I(1));
    GIVES("3 2: 0 1 2 3 4 5", "unfold", T("6"), I(0), I(2), I(2));
    GIVES("2 2: 1 3 2 4", "as_strided", T("2, 3"), L("2, 2"), L("1, 2"), I(1));
}

Test(moves, joins_and_pads) {
    ir_arg two[2] = {T("2, 1"), T("2, 2")};
    GIVES("2 3: 0 0 1 1 2 3", "cat", arg_list(c, 2, two), I(1));
    ir_arg three[3] = {T("1"), T("0"), tensor(DT_I64, "2", "7 8")};
    GIVES("3: 0 7 8", "cat", arg_list(c, 3, three), I(0));
    GIVES("2 4: 9 0 1 9 9 2 3 9", "constant_pad_nd", T("2, 2"), L("1, 1"), F(9));
    GIVES("1 2: 1 2", "constant_pad_nd", T("1, 3"), L("-1, 0"), I(0));
    GIVES("1 6: 2 1 0 1 2 1", "reflection_pad1d", T("1, 3"), L("2, 1"));
    GIVES("1 6: 0 0 0 1 2 2", "replication_pad1d", T("1, 3"), L("2, 1"));
    GIVES("1 6: 1 2 0 1 2 0", "_pad_circular", T("1, 3"), L("2, 1"));
    GIVES("2 3: 2 1 0 5 4 3", "flip", T("2, 3"), L("1"));
    GIVES("2 3: 5 0 1 2 3 4", "roll", T("2, 3"), L("1"), L(""));
    GIVES("2 3: 1 2 0 4 5 3", "roll", T("2, 3"), L("-1"), L("1"));
    GIVES("2 4: 0 1 0 1 0 1 0 1", "repeat", T("2"), L("2, 2"));
    GIVES("4: 0 0 1 1", "repeat_interleave.self_int", T("2"), I(2), NONE, NONE);
    GIVES("3 3: 0 0 0 0 0 0 0 1 0", "diag_embed", T("2"), I(-1), I(0), I(1));
    GIVES("1 4 2: 0 1 0 0 0 3 2 0", "im2col", T("1, 1, 2, 2"), L("2, 2"), L("1, 1"), L("0, 1"), L("1, 2"));
    GIVES("1 1 2 2: 4 6 16 18", "col2im", T("1, 4, 3"), L("2, 2"), L("2, 2"), L("1, 1"), L("0, 1"),
          L("1, 1"));
}

Test(moves, reads_by_index) {
    ir_arg x = T("3, 2"), at[2] = {N("2", "2 -3"), NONE};
    GIVES("2 2: 4 5 0 1", "_index", x, arg_list(c, 2, at));
    x = T("3, 2, 2");
    ir_arg far[3] = {N("2", "0 2"), NONE, N("", "1")};
    GIVES("2 2: 1 3 9 11", "_index", x, arg_list(c, 3, far));
    GIVES("IndexError: index is out of bounds for dimension 0 with size 3", "index_select", T("3"), I(0),
          N("1", "3"));
    GIVES("2 2: 0 1 3 2", "gather", T("3, 2"), I(1), N("2, 2", "0 1 1 0"), B(0));
    GIVES("3: 5 0 4", "take", T("3, 2"), N("3", "5 0 -2"));
    GIVES("2 2: 4 5 0 1", "embedding", T("3, 2"), N("2", "2 0"), I(-1), B(0), B(0));
    GIVES("1 2: 2 3", "take_along_dim", T("2, 2"), N("1, 1", "1"), I(0));
}

Test(moves, writes_in_order) {
    GIVES("3: 0 7 2", "scatter.value", T("3"), I(0), N("1", "1"), F(7));
    GIVES("3: 20 1 2", "scatter.src", T("3"), I(0), N("2", "0 0"), V("2", "10 20"));
    GIVES("3: 30 1 2", "scatter_add", T("3"), I(0), N("2", "0 0"), V("2", "10 20"));
    GIVES("3: 0 20 2", "_scatter_reduce", T("3"), I(0), N("2", "1 1"), V("2", "10 20"), arg_str(c, "amax"));
    GIVES("IndexError: index 3 is out of bounds for dimension 0 with size 3", "scatter.value", T("3"), I(0),
          N("1", "3"), F(7));
    GIVES("2 2: 0 1 22 43", "index_add", T("2, 2"), I(0), N("1", "1"), V("1, 2", "10 20"), I(2));
    GIVES("2 2: 0 1 9 9", "index_fill.int_Scalar", T("2, 2"), I(0), N("1", "-1"), I(9));
    ir_arg x = T("2, 2"), at[2] = {N("2", "0 0"), N("2", "1 1")};
    GIVES("2 2: 0 31 2 3", "_index_put", x, arg_list(c, 2, at), V("2", "10 20"), B(1));
    GIVES("2 2: 0 9 2 3", "put", T("2, 2"), N("1", "-3"), V("1", "9"), B(0));
    GIVES("2 2: 0 8 2 9", "select_scatter", T("2, 2"), V("2", "8 9"), I(1), I(1));
    GIVES("4: 0 8 2 9", "slice_scatter", T("4"), V("2", "8 9"), I(0), I(1), NONE, I(2));
    GIVES("2 2: 8 1 2 9", "diagonal_scatter", T("2, 2"), V("2", "8 9"), I(0), I(0), I(1));
    GIVES("2 2: 0 8 2 9", "as_strided_scatter", T("2, 2"), V("2", "8 9"), L("2"), L("2"), I(1));
}

Test(moves, resampling) {
    GIVES("1 1 4: 0 0 1 1", "upsample_nearest1d", T("1, 1, 2"), L("4"), NONE);
    GIVES("1 1 3: 0 0 1", "upsample_nearest1d", T("1, 1, 2"), L("3"), NONE);
    GIVES("1 1 4: 0 0.25 0.75 1", "upsample_linear1d", T("1, 1, 2"), L("4"), B(0), NONE);
    GIVES("1 1 3: 0 0.5 1", "upsample_linear1d", T("1, 1, 2"), L("3"), B(1), NONE);
    GIVES("1 1 1 2: 0.714286 2.28571", "_upsample_bilinear2d_aa", T("1, 1, 1, 4"), L("1, 2"), B(0), NONE,
          NONE);
    GIVES("1 1 1 2: 0 3", "upsample_bicubic2d", T("1, 1, 1, 4"), L("1, 2"), B(1), NONE, NONE);
    GIVES("1 1 1 2: 0.5 0", "grid_sampler", T("1, 1, 1, 2"), V("1, 1, 2, 2", "0 0 -3 0"), I(0), I(0), B(0));
}

Test(moves, symbolic_sizes) {
    GIVES("2 6: 0 1 2 3 4 5 6 7 8 9 10 11", "view", T("N, 3, 2"), L("N, -1"));
    GIVES("6 2: 0 1 2 3 4 5 6 7 8 9 10 11", "view", T("N, 3, 2"), L("-1, 2"));
    GIVES("2 3 2: 0 1 2 3 4 5 6 7 8 9 10 11", "view", T("N*3, 2"), L("N, 3, 2"));
    GIVES("2 4: 0 1 2 3 4 5 6 7", "reshape", T("N*4"), L("-1, 4"));
    GIVES("4: 0 1 2 3", "view", T("N, M"), L("-1"));
    GIVES("2 2: 0 1 2 3", "view", T("N*M"), L("N, M"));
    GIVES("1: 1", "slice.Tensor", T("N"), I(0), I(1), NONE, I(1));
    GIVES("1: 1", "slice.Tensor", T("N"), I(0), I(-1), NONE, I(1));
    GIVES(": 1", "select.int", T("N"), I(0), I(-1));
    GIVES("2 2: 0 1 0 1", "expand", T("1, N"), L("N, -1"), B(0));
    GIVES("2: 1 0", "flip", T("N"), L("0"));
    GIVES("2: 1 0", "roll", T("N"), L("1"), L("0"));
    ir_arg two[2] = {T("N"), T("M")};
    GIVES("4: 0 1 0 1", "cat", arg_list(c, 2, two), I(0));
    GIVES("1 1 4: 0 0 1 1", "upsample_nearest1d", T("1, 1, N"), L("N*2"), F(2.0));
    GIVES("1 1 4: 0 0.25 0.75 1", "upsample_linear1d", T("1, 1, N"), L("N*2"), B(0), NONE);
}
