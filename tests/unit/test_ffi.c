/* test_ffi.c: C functions as operators. */
#include "runtime/ffi.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void free_managed(DLManagedTensorVersioned *m) {
    free(m->dl_tensor.data);
    free(m);
}

static const char *axpy(const DLTensor *x, const DLTensor *y, int64_t shift, double a,
                        DLManagedTensorVersioned **out) {
    if (x->shape[0] != y->shape[0]) return "ValueError: the sizes differ";
    DLManagedTensorVersioned *m = calloc(1, sizeof *m);
    float *z = malloc((size_t)x->shape[0] * 4);
    for (int64_t i = 0; i < x->shape[0]; i++)
        z[i] = (float)(a * ((float *)x->data)[i] + ((float *)y->data)[i] + (double)shift);
    m->version.major = 1;
    m->deleter = free_managed;
    m->dl_tensor = *x;
    m->dl_tensor.data = z;
    m->dl_tensor.shape = x->shape; /* copied by the taker */
    *out = m;
    return NULL;
}

static rt_value vec(int n, float first) {
    int64_t shape[] = {n};
    rt_tensor *t = rt_tensor_new(DT_F32, 1, shape);
    for (int i = 0; i < n; i++) ((float *)rt_tensor_data(t))[i] = first + (float)i;
    return rt_tensor_value(t);
}

static rt_ffi *bind(void (*fn)(void), const char *signature) {
    char why[128];
    rt_ffi *f = rt_ffi_new(fn, signature, why, sizeof why);
    cr_assert(f, "%s", why);
    return f;
}

Test(ffi, tensors) {
    rt_ffi *f = bind((void (*)(void))axpy, "TTif>T");
    rt_env env = {0};
    rt_value args[] = {vec(4, 1), vec(4, 10), rt_int(100), rt_float(0.5)},
             bad[] = {args[0], vec(3, 0), args[2], args[3]}, out;
    cr_assert(rt_ffi_call(f, &env, args, 4, &out), "%s", env.message);
    cr_assert_eq(((float *)rt_tensor_data(out.tensor))[3], 115);
    rt_release(out);
    cr_assert_not(rt_ffi_call(f, &env, bad, 4, &out));
    cr_assert_str_eq(env.cls, "ValueError");
    cr_assert_str_eq(env.message, "the sizes differ");
    bad[1] = (rt_release(bad[1]), rt_int(1));
    cr_assert_not(rt_ffi_call(f, &env, bad, 4, &out));
    cr_assert_str_eq(env.message, "argument 2: a tensor is expected");
    cr_assert_not(rt_ffi_call(f, &env, bad, 3, &out));
    rt_env_clear(&env);
    rt_release(args[0]);
    rt_release(args[1]);
    rt_ffi_free(f);
}

static const char *mixed(int64_t n, const int64_t *items, int64_t nb, const int32_t *flags, const char *name,
                         const double *maybe, const DLTensor *none, int32_t flag, DLTensor *written,
                         int64_t *sum, double *half, int32_t *same) {
    *sum = (int64_t)strlen(name) + (none ? 1000 : 0);
    for (int64_t i = 0; i < n; i++) *sum += items[i];
    for (int64_t i = 0; i < nb; i++) *sum += flags[i];
    *half = maybe ? *maybe / 2 : -1;
    *same = flag == 1;
    ((float *)written->data)[0] = 7;
    return NULL;
}

Test(ffi, scalars_lists_and_written_tensors) {
    rt_ffi *f = bind((void (*)(void))mixed, "[i][b]sf?T?bM>ifbM");
    rt_env env = {0};
    rt_value list = rt_list_new(V_LIST, 2), flags = rt_list_new(V_LIST, 3), out[4];
    list.list->at[0] = rt_int(5), list.list->at[1] = rt_int(6);
    flags.list->at[0] = rt_bool(true), flags.list->at[1] = rt_bool(false), flags.list->at[2] = rt_bool(true);
    rt_value args[] = {list, flags, rt_strz("four"), rt_float(3), V_NULL, rt_bool(true), vec(2, 0)};
    cr_assert_eq(rt_ffi_args(f), 7);
    cr_assert_eq(rt_ffi_results(f), 4);
    cr_assert(rt_ffi_call(f, &env, args, 7, out), "%s", env.message);
    cr_assert_eq(out[0].i, 17);
    cr_assert_eq(out[1].f, 1.5);
    cr_assert_eq(out[2].i, 1);
    cr_assert_eq(out[3].tensor, args[6].tensor);
    cr_assert_eq(((float *)rt_tensor_data(args[6].tensor))[0], 7);
    rt_release(out[3]);
    for (int i = 0; i < 7; i++) rt_release(args[i]);
    rt_ffi_free(f);
}

static const char *sum_all(int64_t n, const DLTensor *const *items, double *sum) {
    *sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < items[i]->shape[0]; k++) *sum += (double)((float *)items[i]->data)[k];
    return NULL;
}

Test(ffi, lists_of_tensors_are_made_contiguous) {
    rt_ffi *f = bind((void (*)(void))sum_all, "[T]>f");
    rt_env env = {0};
    rt_value list = rt_list_new(V_LIST, 2), whole = vec(6, 0), out;
    int64_t shape[] = {3}, strides[] = {2};
    list.list->at[0] = vec(3, 1);
    list.list->at[1] = rt_tensor_value(rt_tensor_view(whole.tensor, 1, shape, strides, 1));
    cr_assert(rt_ffi_call(f, &env, &list, 1, &out), "%s", env.message);
    cr_assert_eq(out.f, 6 + 9);
    rt_release(whole);
    rt_release(list);
    rt_ffi_free(f);
}

Test(ffi, bad_signatures) {
    static const char *const bad[] = {"T", "Q>T", "[T>T", "T>[T]", "T>s", "[T]?>T", "[M]>"};
    char why[128];
    for (size_t i = 0; i < RT_COUNT(bad); i++)
        cr_assert_null(rt_ffi_new((void (*)(void))axpy, bad[i], why, sizeof why));
    cr_assert_null(rt_ffi_open("/nonexistent.so", "f", "T>T", why, sizeof why));
}
