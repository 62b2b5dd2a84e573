/* test_views.c: sizes, strides, offsets and guards of views, against what PyTorch computes. */
#include "tests/unit/rule_args.h"

#include <criterion/criterion.h>

static ir_context *c;
static ir_infer x;

static void set_up(void) { c = ir_context_new(); }
static void tear_down(void) { ir_context_free(c); }
TestSuite(views, .init = set_up, .fini = tear_down);

#define SAYS(want, ...) cr_expect_str_eq(RULE(__VA_ARGS__), want)
#define T(dims) arg_tensor(c, 0, DT_F32, dims)
#define S(dims, strides) arg_strided(c, DT_F32, dims, strides)
#define L(text) arg_ints(c, text)
#define I(i) arg_int(c, i)
#define NONE arg_none()

Test(views, view) {
    SAYS("f32[6] strides 1 at 0", "view", T("2, 3"), L("6"));
    SAYS("f32[3, 2] strides 2, 1 at 0", "view", T("2, 3"), L("-1, 2"));
    SAYS("f32[N, 12] strides 12, 1 at 0", "view", T("N, 3, 4"), L("N, -1"));
    SAYS("f32[N*3, 4] strides 4, 1 at 0", "view", T("N, 3, 4"), L("-1, 4"));
    SAYS("f32[1, 1] strides 1, 1 at 0", "view", T(""), L("1, 1"));
    SAYS("f32[0, 3] strides 3, 1 at 0", "view", T("3, 0"), L("0, 3"));
    SAYS("f32[2, 2, 3] strides 1, 6, 2 at 0", "view", S("2, 6", "1, 2"), L("2, 2, 3"));
    SAYS("RuntimeError: view size is not compatible with input tensor's size and stride (at least one "
         "dimension spans "
         "across two contiguous subspaces). Use .reshape(...) instead.",
         "view", S("2, 6", "1, 2"), L("12"));
    SAYS("RuntimeError: shape '5' is invalid for input of size 6", "view", T("2, 3"), L("5"));
    SAYS("RuntimeError: only one dimension can be inferred", "view", T("2, 3"), L("-1, -1"));
    SAYS("f32[floordiv(N, 2), 2] strides 2, 1 at 0 if floordiv(N, 2)*2 == N", "view", T("N"), L("-1, 2"));
}

Test(views, reshape_copies_where_it_must) {
    SAYS("f32[12] strides 1 at 0", "reshape", T("3, 4"), L("-1"));
    SAYS("f32[12]", "reshape", S("3, 4", "1, 3"), L("-1"));
    SAYS("f32[3, 2, 2] strides 1, 6, 3 at 0", "reshape", S("3, 4", "1, 3"), L("3, 2, 2"));
    SAYS("f32[3, 4]", "contiguous", S("3, 4", "1, 3"), I(0));
    SAYS("f32[1, 4] strides 9, 1 at 0", "contiguous", S("1, 4", "9, 1"), I(0));
}

Test(views, permutations) {
    SAYS("f32[4, 2, 3] strides 1, 12, 4 at 0", "permute", T("2, 3, 4"), L("-1, 0, 1"));
    SAYS("f32[3, N] strides 1, 3 at 0", "t", T("N, 3"));
    SAYS("f32[4, 3, 2] strides 1, 4, 12 at 0", "transpose.int", T("2, 3, 4"), I(0), I(-1));
    SAYS("f32[] strides at 0", "t", T(""));
    SAYS("RuntimeError: permute(): duplicate dims are not allowed.", "permute", T("2, 3"), L("0, 0"));
    SAYS("IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)",
         "transpose.int", T("2, 3"), I(0), I(2));
}

Test(views, expand) {
    SAYS("f32[4, 2, 3] strides 0, 3, 1 at 0", "expand", T("2, 3"), L("4, -1, 3"), arg_bool(0));
    SAYS("f32[2, 5] strides 1, 0 at 0", "expand", T("2, 1"), L("2, 5"), arg_bool(0));
    SAYS("f32[N, 3] strides 0, 1 at 0", "expand", T("1, 3"), L("N, -1"), arg_bool(0));
    /* N == 1 or N == M: the stride is chosen when the sizes are known */
    SAYS("f32[M, 3] strides min(N - 1, 1)*3, 1 at 0 if min(N - 1, max(-M + N, M - N)) == 0", "expand", T("N, 3"),
         L("M, 3"), arg_bool(0));
    SAYS("RuntimeError: The expanded size of the tensor (4) must match the existing size (3) at "
         "non-singleton dimension 1. "
         "Target sizes: [2, 4]. Tensor sizes: [2, 3]",
         "expand", T("2, 3"), L("2, 4"), arg_bool(0));
}

Test(views, select_and_slice) {
    SAYS("f32[2, 4] strides 12, 1 at 8", "select.int", T("2, 3, 4"), I(1), I(-1));
    SAYS("f32[4] strides 1 at N*4 - 4", "select.int", T("N, 4"), I(0), I(-1));
    SAYS("IndexError: select(): index 3 out of range for tensor of size [2, 3] at dimension 1", "select.int",
         T("2, 3"), I(1), I(3));
    SAYS("f32[2, 2] strides 4, 1 at 1", "slice.Tensor", T("2, 4"), I(1), I(1), I(3), I(1));
    SAYS("f32[2, 2] strides 4, 2 at 0", "slice.Tensor", T("2, 4"), I(-1), NONE, NONE, I(2));
    SAYS("f32[2, 3] strides 4, 1 at 1", "slice.Tensor", T("2, 4"), I(1), I(-3), I(INT64_MAX), I(1));
    SAYS("f32[0, 4] strides 4, 1 at 8", "slice.Tensor", T("2, 4"), I(0), I(9), I(10), I(1));
    SAYS("f32[N - 1] strides 1 at 1", "slice.Tensor", T("N"), I(0), I(1), NONE, I(1));
    SAYS("f32[N - 1] strides 1 at 0", "slice.Tensor", T("N"), I(0), NONE, I(-1), I(1));
    SAYS("f32[min(N, 3)] strides 1 at 0", "slice.Tensor", T("N"), I(0), NONE, I(3), I(1));
    SAYS("RuntimeError: slice step must be positive", "slice.Tensor", T("4"), I(0), NONE, NONE, I(0));
}

Test(views, squeeze) {
    SAYS("f32[2, 3] strides 3, 1 at 0", "squeeze", T("1, 2, 1, 3"));
    SAYS("f32[1, 2, 3] strides 6, 3, 1 at 0", "squeeze.dim", T("1, 2, 1, 3"), I(2));
    SAYS("f32[2, 3] strides 3, 1 at 0", "squeeze.dims", T("1, 2, 3"), L("0, 1"));
    SAYS("f32[N, 3] strides 3, 1 at 0 if 2 <= N", "squeeze", T("N, 3"));
    SAYS("f32[2, 1, 3] strides 3, 3, 1 at 0", "unsqueeze", T("2, 3"), I(1));
    SAYS("f32[2, 3, 1] strides 3, 1, 1 at 0", "unsqueeze", T("2, 3"), I(-1));
}

Test(views, others) {
    SAYS("f32[3] strides 5 at 1", "diagonal", T("3, 4"), I(1), I(0), I(1));
    SAYS("f32[2] strides 5 at 4", "diagonal", T("3, 4"), I(-1), I(0), I(1));
    SAYS("f32[0] strides 5 at 0", "diagonal", T("3, 4"), I(7), I(0), I(1));
    SAYS("f32[2, 3, 2] strides 6, 2, 1 at 0", "unfold", T("2, 6"), I(1), I(2), I(2));
    SAYS("f32[2, 2] strides 1, 2 at 1", "as_strided", T("2, 3"), L("2, 2"), L("1, 2"), I(1));
    SAYS("RuntimeError: setStorage: sizes [2, 2], strides [1, 9], storage offset 0 are out of bounds for "
         "storage of size 6",
         "as_strided", T("2, 3"), L("2, 2"), L("1, 9"), NONE);
}
