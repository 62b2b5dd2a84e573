/* test_eval.c: comprehensions of POINTWISE, REDUCE and CONTRACT rows, evaluated and compared with plain
 * loops. */
#include "lower/eval.h"

#include <criterion/criterion.h>
#include <math.h>

static ir_context *c;
static lower_interp *in;
static uint32_t seed;

static void start(void) {
    c = ir_context_new();
    in = lower_interp_new(ir_module_new(c, "test"));
    seed = 1;
}
static void stop(void) {
    lower_interp_free(in);
    ir_context_free(c);
}
TestSuite(eval, .init = start, .fini = stop);

static double noise(void) {
    seed = seed * 1664525u + 1013904223u;
    return (double)(seed >> 16) / 16384 - 2;
}

/* Random small multiples of 1/16: sums of products are exact in f32. */
static rt_tensor *tensor(rt_dtype d, int n, const int64_t *shape) {
    rt_tensor *t = rt_tensor_new(d, n, shape);
    for (int64_t i = 0; i < rt_tensor_numel(t); i++)
        rt_store_f64(t->storage->data, d, i, floor(noise() * 16) / 16);
    return t;
}

#define SHAPE(...)                                                                                           \
    (sizeof((int64_t[]){__VA_ARGS__}) / 8), (const int64_t[]) { __VA_ARGS__ }
#define TENSOR(...) tensor(DT_F32, SHAPE(__VA_ARGS__))

/* Element at an index. */
static double at(const rt_tensor *t, const int64_t *i) {
    int64_t off = t->offset;
    for (int d = 0; d < t->ndim; d++) off += i[d] * t->strides[d];
    return rt_load_f64(t->storage->data, t->dtype, off);
}
#define AT(t, ...) at((t), (const int64_t[]){__VA_ARGS__})

static rt_value ints(int n, const int64_t *v) {
    rt_value l = rt_list_new(V_LIST, n);
    for (int i = 0; i < n; i++) l.list->at[i] = rt_int(v[i]);
    return l;
}
static rt_value of(rt_tensor *t) { return (rt_value){.tag = V_TENSOR, .tensor = t}; }

/* Applies an op; arguments after the given ones take their defaults.  Lists among the arguments are released.
 */
static rt_tensor *apply(const char *full, int n, const rt_value *args, rt_tensor **second) {
    const ir_op *op = ir_op_find(c, full);
    rt_value all[16], out[4];
    rt_env env = {0};
    cr_assert(op, "%s exists", full);
    for (int i = 0; i < op->schema->nparams; i++) all[i] = i < n ? args[i] : op->schema->params[i].def;
    bool ok = lower_apply(in, op, all, out, &env);
    cr_assert(ok, "%s: %s: %s", full, env.cls, env.message);
    for (int i = 0; i < n; i++)
        if (args[i].tag == V_LIST) rt_release(args[i]);
    if (second) *second = out[1].tensor;
    else if (op->schema->nresults > 1) rt_release(out[1]);
    return out[0].tensor;
}
#define APPLY(full, ...)                                                                                     \
    apply((full), (int)(sizeof((rt_value[]){__VA_ARGS__}) / sizeof(rt_value)), (rt_value[]){__VA_ARGS__},    \
          NULL)

static void fails(const char *full, int n, const rt_value *args, const char *cls) {
    const ir_op *op = ir_op_find(c, full);
    rt_value all[16], out[4];
    rt_env env = {0};
    for (int i = 0; i < op->schema->nparams; i++) all[i] = i < n ? args[i] : op->schema->params[i].def;
    cr_assert(!lower_apply(in, op, all, out, &env), "%s fails", full);
    cr_expect_str_eq(env.cls, cls);
    rt_env_clear(&env);
}

static void same_shape(const rt_tensor *t, int n, const int64_t *shape) {
    cr_assert_eq(t->ndim, n);
    for (int i = 0; i < n; i++) cr_assert_eq(t->shape[i], shape[i], "dim %d is %ld", i, (long)t->shape[i]);
}

/* ---- promotion */

static rt_dtype sum_type(rt_dtype a, int na, rt_value b) {
    static const int64_t two[] = {2, 2};
    rt_tensor *t = tensor(a, na, two);
    rt_tensor *r = APPLY(b.tag == V_TENSOR ? "add.Tensor" : "add.Scalar", of(t), b, rt_int(1));
    rt_dtype d = r->dtype;
    rt_tensor_release(t);
    rt_tensor_release(r);
    if (b.tag == V_TENSOR) rt_release(b);
    return d;
}

Test(eval, promotion_by_category) {
    static const int64_t two[] = {2, 2};
    cr_expect_eq(sum_type(DT_I32, 1, rt_int(1)), DT_I32);
    cr_expect_eq(sum_type(DT_I32, 1, rt_float(1)), DT_F32);
    cr_expect_eq(sum_type(DT_BOOL, 1, rt_int(1)), DT_I64);
    cr_expect_eq(sum_type(DT_F16, 1, rt_float(1)), DT_F16);
    cr_expect_eq(sum_type(DT_F32, 1, of(tensor(DT_F64, 0, two))), DT_F32);
    cr_expect_eq(sum_type(DT_I32, 1, of(tensor(DT_F64, 0, two))), DT_F64);
    cr_expect_eq(sum_type(DT_I32, 1, of(tensor(DT_I64, 1, two))), DT_I64);
    cr_expect_eq(sum_type(DT_F16, 0, of(tensor(DT_BF16, 0, two))), DT_F32);
}

/* ---- elementwise */

Test(eval, broadcast_and_memory_order) {
    rt_tensor *a = TENSOR(5, 1, 7), *b = TENSOR(3, 1), *r = APPLY("mul.Tensor", of(a), of(b));
    same_shape(r, SHAPE(5, 3, 7));
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 3; k++)
            for (int l = 0; l < 7; l++) cr_assert_eq(AT(r, i, k, l), AT(a, i, 0, l) * AT(b, k, 0));
    rt_tensor *t = APPLY("transpose.int", of(a), rt_int(0), rt_int(2)), *u = APPLY("relu", of(t));
    cr_expect_eq(u->strides[2], 7, "the order of the operand is kept");
    for (int i = 0; i < 7; i++)
        for (int l = 0; l < 5; l++) cr_assert_eq(AT(u, i, 0, l), fmax(AT(a, l, 0, i), 0));
    rt_tensor *all[] = {a, b, r, t, u};
    for (size_t i = 0; i < RT_COUNT(all); i++) rt_tensor_release(all[i]);
}

static double unary(const char *full, rt_dtype d, double v) {
    rt_tensor *t = rt_tensor_new(d, 0, NULL);
    rt_store_f64(t->storage->data, d, 0, v);
    rt_tensor *r = APPLY(full, of(t));
    double x = rt_load_f64(r->storage->data, r->dtype, 0);
    rt_tensor_release(t);
    rt_tensor_release(r);
    return x;
}

Test(eval, extremes_are_stable) {
    static const char *const finite[] = {"sigmoid", "log_sigmoid", "softplus", "tanh", "erf",
                                         "silu",    "mish",        "elu",      "gelu", "hardswish",
                                         "atan",    "logical_not", "relu",     "selu", "celu"};
    for (size_t i = 0; i < RT_COUNT(finite); i++) {
        double v[] = {0, -0.0, 800, -800};
        for (int k = 0; k < 4; k++)
            cr_expect(isfinite(unary(finite[i], DT_F32, v[k])), "%s(%g)", finite[i], v[k]);
        if (i != 11) cr_expect(isnan(unary(finite[i], DT_F32, NAN)), "%s(nan)", finite[i]);
    }
    cr_expect_eq(unary("log_sigmoid", DT_F32, -800), -800);
    cr_expect_eq(unary("softplus", DT_F32, 800), 800);
    cr_expect_eq(unary("log_sigmoid", DT_F32, -INFINITY), -INFINITY);
    cr_expect_eq(unary("nan_to_num", DT_F16, INFINITY), 65504);
    cr_expect_eq(unary("isinf", DT_F16, -INFINITY), 1);
    cr_expect_eq(unary("abs", DT_I8, -128), -128);
    cr_expect_eq(unary("neg", DT_U8, 1), 255);
}

Test(eval, division_by_zero_raises) {
    static const int64_t two[] = {2};
    rt_tensor *t = tensor(DT_I64, 1, two);
    rt_value args[] = {of(t), rt_int(0)};
    fails("floor_divide.Scalar", 2, args, "RuntimeError");
    fails("remainder.Scalar", 2, args, "RuntimeError");
    rt_tensor_release(t);
}

/* ---- reductions */

static void check_sum(rt_tensor *t, int axis) {
    rt_tensor *r = APPLY("sum.dim_IntList", of(t), ints(1, (int64_t[]){axis}), rt_bool(true), V_NULL);
    int64_t i[3], o[3];
    cr_assert_eq(r->shape[axis], 1);
    for (o[0] = 0; o[0] < r->shape[0]; o[0]++)
        for (o[1] = 0; o[1] < r->shape[1]; o[1]++)
            for (o[2] = 0; o[2] < r->shape[2]; o[2]++) {
                double want = 0;
                memcpy(i, o, sizeof i);
                for (i[axis] = 0; i[axis] < t->shape[axis]; i[axis]++) want += at(t, i);
                cr_assert_float_eq(at(r, o), want, 1e-4);
            }
    rt_tensor_release(r);
}

Test(eval, sums_over_any_dim_and_size) {
    static const int64_t shapes[][3] = {{3, 4, 5},   {700, 2, 3}, {2, 1500, 3}, {1, 1, 3000},
                                        {300, 3, 1}, {2, 0, 3},   {1, 1, 1}};
    for (size_t s = 0; s < RT_COUNT(shapes); s++) {
        rt_tensor *t = tensor(DT_F32, 3, shapes[s]);
        for (int axis = 0; axis < 3; axis++) check_sum(t, axis);
        rt_tensor *p = rt_tensor_view(t, 3, (int64_t[]){t->shape[2], t->shape[0], t->shape[1]},
                                      (int64_t[]){t->strides[2], t->strides[0], t->strides[1]}, 0);
        for (int axis = 0; axis < 3; axis++) check_sum(p, axis);
        rt_tensor_release(p);
        rt_tensor_release(t);
    }
}

Test(eval, argmax_takes_the_first_and_nan_wins) {
    for (int n = 1; n < 1000; n = n * 3 + 1) {
        rt_tensor *t = TENSOR(n), *v, *i;
        float *f = t->storage->data;
        int best = n / 2;
        for (int k = best; k < n; k += 7) f[k] = 100;
        v = apply("max.dim", 3, (rt_value[]){of(t), rt_int(0), rt_bool(false)}, &i);
        cr_expect_eq(rt_load_i64(i->storage->data, DT_I64, 0), best);
        cr_expect_eq(rt_load_f64(v->storage->data, DT_F32, 0), 100);
        f[n - 1] = NAN;
        rt_tensor *a = APPLY("argmax", of(t), V_NULL, rt_bool(false));
        cr_expect_eq(rt_load_i64(a->storage->data, DT_I64, 0), n - 1);
        rt_tensor *all[] = {t, v, i, a};
        for (size_t k = 0; k < 4; k++) rt_tensor_release(all[k]);
    }
}

Test(eval, scans) {
    rt_tensor *t = TENSOR(4, 6, 3), *r = APPLY("cumsum", of(t), rt_int(1), V_NULL);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++) {
            double sum = 0;
            for (int l = 0; l < 6; l++) cr_assert_eq(AT(r, i, l, k), sum += AT(t, i, l, k));
        }
    rt_tensor_release(t);
    rt_tensor_release(r);
}

Test(eval, empty_maximum_is_an_error) {
    static const int64_t none[] = {0};
    rt_tensor *t = tensor(DT_F32, 1, none);
    rt_value args[] = {of(t)};
    fails("max", 1, args, "IndexError");
    rt_tensor_release(t);
}

/* ---- pooling */

static void check_pool(int64_t size, int64_t k, int64_t s, int64_t p, int64_t d) {
    rt_tensor *t = TENSOR(2, 3, size), *index;
    rt_tensor *r =
        apply("max_pool1d_with_indices", 6,
              (rt_value[]){of(t), ints(1, &k), ints(1, &s), ints(1, &p), ints(1, &d), rt_bool(true)}, &index);
    for (int64_t b = 0; b < 6; b++)
        for (int64_t o = 0; o < r->shape[2]; o++) {
            double best = -INFINITY, where = -1;
            for (int64_t q = 0; q < k; q++) {
                int64_t i = o * s - p + q * d;
                if (i < 0 || i >= size || AT(t, b / 3, b % 3, i) <= best) continue;
                best = AT(t, b / 3, b % 3, i);
                where = (double)i;
            }
            cr_assert_eq(AT(r, b / 3, b % 3, o), best);
            cr_assert_eq(AT(index, b / 3, b % 3, o), where);
        }
    rt_tensor_release(t);
    rt_tensor_release(r);
    rt_tensor_release(index);
}

Test(eval, pooling) {
    check_pool(10, 3, 2, 1, 1);
    check_pool(11, 2, 2, 0, 1);
    check_pool(12, 3, 1, 1, 2);
    check_pool(5, 5, 3, 2, 1);
}

static void check_adaptive(int64_t n, int64_t m) {
    rt_tensor *t = TENSOR(2, 2, n), *r = APPLY("adaptive_avg_pool1d", of(t), ints(1, &m));
    for (int64_t b = 0; b < 4; b++)
        for (int64_t o = 0; o < m; o++) {
            int64_t lo = o * n / m, hi = ((o + 1) * n + m - 1) / m;
            double sum = 0;
            for (int64_t i = lo; i < hi; i++) sum += AT(t, b / 2, b % 2, i);
            cr_assert_float_eq(AT(r, b / 2, b % 2, o), sum / (double)(hi - lo), 1e-6, "%ld -> %ld", (long)n,
                               (long)m);
        }
    rt_tensor_release(t);
    rt_tensor_release(r);
}

Test(eval, adaptive_pooling) {
    for (int64_t n = 1; n < 12; n++)
        for (int64_t m = 1; m < 14; m++) check_adaptive(n, m);
}

/* ---- products */

Test(eval, matmul_of_all_ranks) {
    rt_tensor *a = TENSOR(3, 1, 20, 30), *b = TENSOR(4, 30, 25), *r = APPLY("matmul", of(a), of(b));
    same_shape(r, SHAPE(3, 4, 20, 25));
    for (int i = 0; i < 12; i++)
        for (int m = 0; m < 20; m++)
            for (int n = 0; n < 25; n++) {
                double want = 0;
                for (int k = 0; k < 30; k++) want += AT(a, i / 4, 0, m, k) * AT(b, i % 4, k, n);
                cr_assert_eq(AT(r, i / 4, i % 4, m, n), want);
            }
    rt_tensor *v = TENSOR(30), *x = APPLY("matmul", of(a), of(v));
    same_shape(x, SHAPE(3, 1, 20));
    rt_tensor *all[] = {a, b, r, v, x};
    for (size_t i = 0; i < RT_COUNT(all); i++) rt_tensor_release(all[i]);
}

typedef struct conv {
    int64_t cin, cout, size, k, stride, pad, dilation, groups, outpad;
    bool transposed;
} conv;

static double conv_at(const conv *v, const rt_tensor *x, const rt_tensor *w, int64_t b, int64_t o, int64_t y,
                      int64_t z) {
    int64_t ipg = v->cin / v->groups, opg = v->cout / v->groups, g = o / opg;
    double sum = 0;
    for (int64_t ci = 0; ci < ipg; ci++)
        for (int64_t p = 0; p < v->k; p++)
            for (int64_t q = 0; q < v->k; q++) {
                int64_t i = y * v->stride - v->pad + p * v->dilation,
                        l = z * v->stride - v->pad + q * v->dilation;
                if (v->transposed) {
                    i = y + v->pad - p * v->dilation, l = z + v->pad - q * v->dilation;
                    if (i % v->stride || l % v->stride) continue;
                    i /= v->stride, l /= v->stride;
                }
                if (i < 0 || l < 0 || i >= v->size || l >= v->size) continue;
                double weight = v->transposed ? AT(w, g * ipg + ci, o - g * opg, p, q) : AT(w, o, ci, p, q);
                sum += AT(x, b, g * ipg + ci, i, l) * weight;
            }
    return sum;
}

static void check_conv(conv v) {
    int64_t first = v.transposed ? v.cin : v.cout, second = (v.transposed ? v.cout : v.cin) / v.groups;
    rt_tensor *x = TENSOR(2, v.cin, v.size, v.size), *w = TENSOR(first, second, v.k, v.k),
              *bias = TENSOR(v.cout);
    rt_tensor *r = APPLY("convolution", of(x), of(w), of(bias), ints(1, &v.stride), ints(1, &v.pad),
                         ints(1, &v.dilation), rt_bool(v.transposed), ints(1, &v.outpad), rt_int(v.groups));
    for (int64_t b = 0; b < 2; b++)
        for (int64_t o = 0; o < v.cout; o++)
            for (int64_t y = 0; y < r->shape[2]; y++)
                for (int64_t z = 0; z < r->shape[3]; z++)
                    cr_assert_float_eq(AT(r, b, o, y, z), conv_at(&v, x, w, b, o, y, z) + AT(bias, o), 1e-4);
    rt_tensor *all[] = {x, w, bias, r};
    for (size_t i = 0; i < RT_COUNT(all); i++) rt_tensor_release(all[i]);
}

Test(eval, convolution) {
    check_conv((conv){3, 5, 7, 3, 1, 1, 1, 1, 0, false});
    check_conv((conv){4, 6, 9, 3, 2, 0, 2, 2, 0, false});
    check_conv((conv){6, 6, 5, 3, 1, 1, 1, 6, 0, false});
    check_conv((conv){4, 8, 4, 1, 1, 0, 1, 1, 0, false});
    check_conv((conv){3, 4, 1, 1, 1, 0, 1, 1, 0, false});
    check_conv((conv){3, 5, 6, 3, 2, 1, 1, 1, 1, true});
    check_conv((conv){4, 6, 5, 3, 3, 0, 2, 2, 2, true});
}

Test(eval, einsum) {
    rt_tensor *a = TENSOR(4, 5, 6), *b = TENSOR(6, 4, 7);
    rt_value list = rt_list_new(V_LIST, 2), eq = rt_strz("bij, jbk -> kb");
    list.list->at[0] = of(a), list.list->at[1] = of(b);
    rt_tensor *r = APPLY("einsum", eq, list, V_NULL); /* releases a and b with the list */
    same_shape(r, SHAPE(7, 4));
    rt_release(eq);
    rt_tensor_release(r);
    rt_tensor *t = TENSOR(5, 5);
    list = rt_list_new(V_LIST, 1), eq = rt_strz("ii");
    list.list->at[0] = rt_retain(of(t));
    r = APPLY("einsum", eq, list, V_NULL);
    double want = 0;
    for (int i = 0; i < 5; i++) want += AT(t, i, i);
    cr_expect_eq(rt_load_f64(r->storage->data, DT_F32, 0), want);
    rt_release(eq);
    rt_tensor_release(t);
    rt_tensor_release(r);
}

Test(eval, in_place_writes_through_views) {
    rt_tensor *a = TENSOR(3, 4), *t = APPLY("transpose.int", of(a), rt_int(0), rt_int(1));
    rt_tensor *r = APPLY("fill_.Scalar", of(t), rt_int(2));
    for (int i = 0; i < 12; i++) cr_expect_eq(rt_load_f64(a->storage->data, DT_F32, i), 2);
    rt_tensor *all[] = {a, t, r};
    for (size_t i = 0; i < RT_COUNT(all); i++) rt_tensor_release(all[i]);
}

/* ---- the table: every row on every dtype, with extremes, empty, zero-dim and transposed operands */

static rt_value table_tensor(rt_dtype d, int n, const int64_t *shape, bool turned) {
    static const double values[] = {0,        -0.0,      1,   -1, 0.5, 800,   -800,
                                    INFINITY, -INFINITY, NAN, 3,  -7,  1e-30, 127};
    rt_tensor *t = rt_tensor_new(d, n, shape);
    for (int64_t i = 0; i < rt_tensor_numel(t); i++) {
        double v = values[i * 5 % 14];
        if (rt_dtypes[d].kind == 'F') rt_store_f64(t->storage->data, d, i, v);
        else rt_store_i64(t->storage->data, d, i, isfinite(v) ? (int64_t)v : 2);
    }
    if (!turned || n != 3) return of(t);
    rt_tensor *v = rt_tensor_view(t, 3, (int64_t[]){t->shape[2], t->shape[1], t->shape[0]},
                                  (int64_t[]){t->strides[2], t->strides[1], t->strides[0]}, 0);
    rt_tensor_release(t);
    return of(v);
}

static rt_value table_list(const ir_op *op, const char *name) {
    int n = strstr(op->name, "3d") ? 3 : strstr(op->name, "2d") ? 2 : 1;
    rt_value l = rt_list_new(V_LIST, n);
    for (int i = 0; i < n; i++) l.list->at[i] = rt_int(strcmp(name, "padding") ? 2 : 0);
    return l;
}

static rt_value table_arg(const ir_op *op, int i, rt_dtype d, int n, const int64_t *shape, bool other) {
    const ir_param *p = &op->schema->params[i];
    const ir_type *t = p->type->kind == T_OPTIONAL && (other || !p->has_default) ? p->type->elem[0] : p->type;
    int64_t sizes[RT_MAX_RANK];
    memcpy(sizes, shape, (size_t)n * sizeof *sizes);
    if (i && other && n) sizes[n - 1] = 1;
    bool condition = !strcmp(p->name, "condition") || !strcmp(p->name, "mask");
    if (t->kind == T_TENSOR)
        return table_tensor(condition ? DT_BOOL : i && other ? DT_F32 : d, n, sizes, other);
    if (p->has_default && !other) return rt_retain(p->def);
    if (!strcmp(p->name, "dtype")) return rt_int(rt_dtypes[d].c10);
    if (!strcmp(p->name, "dim")) return rt_int(other ? -1 : 0);
    switch (t->kind) {
    case T_INT: return rt_int(2);
    case T_NUMBER: return other ? rt_float(0.5) : rt_int(2);
    case T_FLOAT: return rt_float(0.5);
    case T_BOOL: return rt_bool(other);
    case T_STR: return rt_strz(other ? "floor" : "trunc");
    case T_LIST: return table_list(op, p->name);
    default: return V_NULL;
    }
}

static bool table_run(const ir_op *op, rt_dtype d, int n, const int64_t *shape, bool other) {
    rt_value args[16], out[8];
    rt_env env = {0};
    for (int i = 0; i < op->schema->nparams; i++) args[i] = table_arg(op, i, d, n, shape, other);
    bool ok = lower_apply(in, op, args, out, &env);
    for (int k = 0; ok && k < op->schema->nresults; k++) rt_release(out[k]);
    if (!ok) cr_expect(!strstr(env.message, "row with"), "%s: %s", op->full, env.message);
    rt_env_clear(&env);
    for (int i = 0; i < op->schema->nparams; i++) rt_release(args[i]);
    return ok;
}

Test(eval, every_row_of_the_table) {
    static const int64_t shapes[][6] = {{0},          {1, 7},          {3, 2, 3, 4},
                                        {3, 2, 0, 3}, {4, 2, 3, 6, 6}, {5, 1, 2, 4, 4, 5}};
    for (int i = 0; i < c->ops_full.n; i++) {
        const ir_op *op = c->ops_full.entries[i].value;
        if ((op->cls != OP_POINTWISE && op->cls != OP_REDUCE) || op->inplace_of) continue;
        int ran = 0;
        for (size_t s = 0; s < RT_COUNT(shapes); s++)
            for (int d = 0; d < DT_COUNT; d++)
                for (int other = 0; other < 2; other++)
                    ran += table_run(op, (rt_dtype)d, (int)shapes[s][0], shapes[s] + 1, other);
        cr_expect_gt(ran, 0, "%s runs on something", op->full);
    }
}
