/* test_opaque.c: kernels of opaque ops on small tensors: order of equal values, NaN, empty and strided
 * inputs. */
#include "runtime/value.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static rt_value tensor(rt_dtype dtype, const char *dims, const char *values) {
    int64_t shape[RT_MAX_RANK], n = 1;
    int rank = 0;
    for (char *p = (char *)dims; *p; rank++) n *= shape[rank] = strtoll(p, &p, 10);
    rt_tensor *t = rt_tensor_new(dtype, rank, shape);
    for (int64_t i = 0; i < n; i++)
        rt_store_f64(t->storage->data, dtype, i, strtod(values, (char **)&values));
    return rt_tensor_value(t);
}
#define V(dims, values) tensor(DT_F32, dims, values)
#define N(dims, values) tensor(DT_I64, dims, values)
#define M(dims, values) tensor(DT_BOOL, dims, values)
#define I(i) rt_int(i)
#define B(b) rt_bool(b)
#define F(f) rt_float(f)
#define NONE V_NULL

/* "2: 1 2 | 2: 0 1" or "IndexError: text" */
static void run(rt_text *s, const char *op, int nout, int nargs, const rt_value *args) {
    rt_env env = {0};
    rt_value out[4];
    rt_host_fn *f = rt_host_find(op);
    cr_assert(f, "%s", op);
    bool ok = f(&env, args, nargs, out);
    if (!ok) rt_text_fmt(s, "%s: %s", env.cls, env.message);
    for (int k = 0; ok && k < nout; k++) {
        const rt_tensor *t = out[k].tensor;
        rt_text_str(s, k ? " | " : "");
        for (int i = 0; i < t->ndim; i++) rt_text_fmt(s, i ? " %lld" : "%lld", (long long)t->shape[i]);
        rt_text_str(s, ":");
        for (int64_t i = 0; i < rt_tensor_numel(t); i++)
            rt_text_fmt(s, " %g", rt_load_f64(t->storage->data, t->dtype, i));
        rt_release(out[k]);
    }
    for (int i = 0; i < nargs; i++) rt_release(args[i]);
    rt_env_clear(&env);
}
#define GIVES(want, op, nout, ...)                                                                           \
    do {                                                                                                     \
        rt_value a_[] = {__VA_ARGS__};                                                                       \
        rt_text s_ = {0};                                                                                    \
        run(&s_, op, nout, (int)RT_COUNT(a_), a_);                                                           \
        cr_expect_str_eq(s_.s, want);                                                                        \
        rt_text_free(&s_);                                                                                   \
    } while (0)

Test(opaque, order) {
    GIVES("5: 1 2 2 3 nan | 5: 2 0 3 1 4", "sort", 2, V("5", "2 3 1 2 nan"), I(-1), B(0));
    GIVES("5: nan 3 2 2 1 | 5: 4 1 0 3 2", "sort", 2, V("5", "2 3 1 2 nan"), I(-1), B(1));
    GIVES("2 2: 0 1 2 3 | 2 2: 1 0 0 1", "sort", 2, V("2 2", "2 1 0 3"), I(0), B(0));
    GIVES(": 4 | : 0", "sort", 2, V("", "4"), I(-1), B(0));
    GIVES("0: | 0:", "sort", 2, V("0", ""), I(0), B(0));
    GIVES("3: 1 2 0", "argsort", 1, V("3", "3 1 2"), I(0), B(0));
    GIVES("2: 9 8 | 2: 3 1", "topk", 2, V("4", "1 8 2 9"), I(2), I(-1), B(1), B(1));
    GIVES("2: 1 2 | 2: 0 2", "topk", 2, V("4", "1 8 2 9"), I(2), I(-1), B(0), B(1));
    GIVES("RuntimeError: selected index k out of range", "topk", 2, V("4", "1 8 2 9"), I(5), I(-1), B(1),
          B(1));
    GIVES("1: 2 | 1: 2", "kthvalue", 2, V("4", "1 8 2 9"), I(2), I(-1), B(1));
    GIVES(": 2 | : 2", "median.dim", 2, V("4", "1 8 2 9"), I(-1), B(0));
    GIVES(": nan", "median", 1, V("3", "1 nan 2"));
    GIVES(": 1", "nanmedian", 1, V("3", "1 nan 2"));
    GIVES(": 2 | : 3", "mode", 2, V("5", "3 2 3 2 1"), I(-1), B(0));
}

Test(opaque, sizes_from_data) {
    GIVES("2 2: 0 1 1 0", "nonzero", 1, V("2 2", "0 5 nan 0"));
    GIVES("1 0:", "nonzero", 1, V("", "5"));
    GIVES("3: 1 3 4", "masked_select", 1, V("2 2", "1 2 3 4"), M("2 2", "1 0 1 1"));
    GIVES("2: 2 4", "masked_select", 1, V("2 2", "1 2 3 4"), M("2", "0 1"));
    GIVES("3: 7 2 8", "masked_scatter", 1, V("3", "1 2 3"), M("3", "1 0 1"), V("2", "7 8"));
    GIVES("RuntimeError: Number of elements of source < number of ones in mask", "masked_scatter", 1,
          V("2", "1 2"), M("2", "1 1"), V("1", "7"));
    GIVES("3: 1 2 3 | 4: 2 0 2 1 | 3: 1 1 2", "_unique2", 3, N("4", "3 1 3 2"), B(1), B(1), B(1));
    GIVES("3: 3 1 3 | 4: 0 0 1 2 | 0:", "unique_consecutive", 3, N("4", "3 3 1 3"), B(1), B(0), NONE);
    GIVES("2 2: 1 2 3 0 | 3: 1 0 1 | 2: 1 2", "unique_dim", 3, N("3 2", "3 0 1 2 3 0"), I(0), B(1), B(1),
          B(1));
    GIVES("2 2: 1 2 1 2 | 3: 0 1 1 | 2: 1 2", "unique_dim", 3, N("2 3", "1 2 2 1 2 2"), I(1), B(1), B(1),
          B(1));
    GIVES("4: 0 1 1 2", "repeat_interleave.Tensor", 1, N("3", "1 2 1"), NONE);
    GIVES("4: 1 2 0 0", "bincount", 1, N("3", "1 0 1"), NONE, I(4));
    GIVES("2: 0.5 1.5", "bincount", 1, N("3", "1 0 1"), V("3", "1 0.5 0.5"), I(0));
    GIVES("3: 1 1 2", "histc", 1, V("5", "0 1 2 3 9"), I(3), I(0), I(3));
}

Test(opaque, search) {
    GIVES("3: 0 1 3", "searchsorted.Tensor", 1, V("3", "1 3 5"), V("3", "1 3 6"), B(0), B(0), NONE, NONE);
    GIVES("3: 1 2 3", "searchsorted.Tensor", 1, V("3", "1 3 5"), V("3", "1 3 6"), B(0), B(1), NONE, NONE);
    GIVES("2 1: 1 0", "searchsorted.Tensor", 1, N("2 2", "1 3 5 7"), N("2 1", "2 2"), B(1), B(0), NONE, NONE);
    GIVES("1: 2", "searchsorted.Tensor", 1, N("3", "5 1 3"), N("1", "4"), B(0), B(0), NONE, N("3", "1 2 0"));
    GIVES(": 1", "bucketize.Scalar", 1, I(2), V("2", "1 3"), B(0), B(0));
}

Test(opaque, regions) {
    GIVES("2: 1 2", "torchvision::nms", 1, V("3 4", "0 0 2 2 0 0 2 2.1 5 5 6 6"), V("3", "0.5 0.9 0.1"),
          F(0.5));
    GIVES("0:", "torchvision::nms", 1, V("0 4", ""), V("0", ""), F(0.5));
    GIVES("1 1 1 1: 1.5", "torchvision::roi_align", 1, V("1 1 2 2", "0 1 2 3"), V("1 5", "0 0 0 2 2"), F(1),
          I(1), I(1), I(2), B(1));
    GIVES("2 1: 3 3 | 0: | 2: 2 1 | 2: 0 0", "embedding_bag", 4, V("3 1", "1 2 3"), N("3", "0 1 2"),
          N("2", "0 2"), B(0), I(0), B(0), NONE, B(0));
    GIVES("2 1: 1.5 0 | 2: 0 0 | 2: 2 0 | 2: 0 0", "embedding_bag", 4, V("3 1", "1 2 3"), N("2", "0 1"),
          N("2", "0 2"), B(0), I(1), B(0), NONE, B(0));
    GIVES("1 1: 2 | 2: 0 0 | 1: 2 | 1 1: 1", "embedding_bag", 4, V("3 1", "1 2 3"), N("2", "0 1"),
          N("1", "0"), B(0), I(2), B(0), NONE, B(0));
}

Test(opaque, linear_algebra) {
    GIVES("2 2: 2 0 1 3", "linalg_cholesky", 1, V("2 2", "4 2 2 10"), B(0));
    GIVES("2 2: 2 1 0 3", "linalg_cholesky", 1, V("2 2", "4 2 2 10"), B(1));
    GIVES(": -2", "linalg_det", 1, V("2 2", "1 2 3 4"));
    GIVES("2 2: -2 1 1.5 -0.5", "linalg_inv", 1, V("2 2", "1 2 3 4"));
    GIVES("2: 1 2", "linalg_solve", 1, V("2 2", "1 2 3 4"), V("2", "5 11"), B(1));
    GIVES("RuntimeError: linalg.inv: The diagonal element 2 is zero, the inversion could not be completed "
          "because the input "
          "matrix is singular.",
          "linalg_inv", 1, V("2 2", "1 2 2 4"));
    GIVES("2: 5 3", "linalg_svdvals", 1, V("2 3", "3 0 0 0 0 5"), NONE);
    GIVES(": -1 | : 0.693147", "linalg_slogdet", 2, V("2 2", "1 2 3 4"));
    GIVES("2 1: 2 1.5", "linalg_solve_triangular", 1, V("2 2", "1 0 2 4"), V("2 1", "2 10"), B(0), B(1),
          B(0));
    GIVES("2 2: -0.6 -0.8 -0.8 0.6 | 2 2: -5 -11 0 2", "linalg_qr", 2, V("2 2", "3 5 4 10"),
          rt_strz("reduced"));
    GIVES("2: 1 3 | 2 2: 0.707107 0.707107 -0.707107 0.707107", "linalg_eigh", 2, V("2 2", "2 9 1 2"),
          rt_strz("L"));
    GIVES("2 2: 0 1 1 0 | 2: 5 3 | 3 3: 0 0 1 1 0 0 0 1 0", "linalg_svd", 3, V("2 3", "3 0 0 0 0 5"), B(1),
          NONE);
}
