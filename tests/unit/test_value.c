/* test_value.c: boxed values and tensors. */
#include "runtime/value.h"

#include <criterion/criterion.h>
#include <math.h>

static char *printed(rt_value v) {
    static char buf[512];
    rt_text t = {0};
    rt_value_print(&t, v, true);
    snprintf(buf, sizeof buf, "%s", t.s ? t.s : "");
    rt_text_free(&t);
    rt_release(v);
    return buf;
}

Test(value, print_floats_as_python) {
    static const struct {
        double x;
        const char *want;
    } cases[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {1e5, "100000.0"},
        {123456789, "123456789.0"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {1.5e300, "1.5e+300"},
        {0.1, "0.1"},
        {0.0001, "0.0001"},
        {0.00012, "0.00012"},
        {1e-5, "1e-05"},
        {-2.5, "-2.5"},
        {1.0 / 3, "0.3333333333333333"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
        {5e-324, "5e-324"},
        {1234.5678, "1234.5678"},
    };
    for (size_t i = 0; i < RT_COUNT(cases); i++)
        cr_assert_str_eq(printed(rt_float(cases[i].x)), cases[i].want);
}

Test(value, print_containers) {
    rt_value l = rt_list_new(V_LIST, 3);
    l.list->at[0] = rt_int(1);
    l.list->at[1] = rt_strz("it's\n");
    l.list->at[2] = rt_list_new(V_TUPLE, 1);
    cr_assert_str_eq(printed(l), "[1, \"it's\\n\", (None,)]");
    rt_value d = rt_dict_new(), k = rt_strz("a");
    rt_dict_set(d.dict, k, rt_bool(true));
    rt_release(k);
    cr_assert_str_eq(printed(d), "{'a': True}");
    int64_t shape[] = {2, 2};
    rt_tensor *t = rt_tensor_new(DT_I32, 2, shape);
    for (int i = 0; i < 4; i++) rt_store_i64(t->storage->data, DT_I32, i, i);
    cr_assert_str_eq(printed(rt_tensor_value(t)), "tensor([[0, 1], [2, 3]])");
}

Test(value, dict_order_growth_removal) {
    rt_value d = rt_dict_new();
    for (int i = 0; i < 1000; i++) cr_assert(rt_dict_set(d.dict, rt_int(i), rt_int(i * i)));
    for (int i = 0; i < 1000; i += 2) cr_assert(rt_dict_remove(d.dict, rt_int(i)));
    cr_assert_not(rt_dict_remove(d.dict, rt_int(0)));
    cr_assert_eq(d.dict->n, 500);
    for (int i = 0; i < 500; i++) cr_assert_eq(d.dict->keys[i].i, 2 * i + 1);
    cr_assert_eq(rt_dict_find(d.dict, rt_int(999))->i, 999 * 999);
    cr_assert_null(rt_dict_find(d.dict, rt_int(998)));
    rt_release(d);
}

Test(value, equal_keys_of_different_types) {
    rt_value d = rt_dict_new();
    rt_dict_set(d.dict, rt_int(1), rt_int(10));
    rt_dict_set(d.dict, rt_float(1.0), rt_int(20));
    rt_dict_set(d.dict, rt_bool(true), rt_int(30));
    cr_assert_eq(d.dict->n, 1);
    cr_assert_eq(d.dict->values[0].i, 30);
    cr_assert_eq(d.dict->keys[0].tag, V_INT);
    cr_assert(rt_value_equal(rt_int(INT64_MAX), rt_int(INT64_MAX)));
    cr_assert_not(rt_value_equal(rt_int(INT64_MAX), rt_float(0x1p63)));
    cr_assert_not(rt_value_equal(rt_int((1LL << 53) + 1), rt_float(0x1p53)));
    rt_release(d);
}

Test(value, raise_replaces) {
    rt_env env = {0};
    cr_assert_not(rt_raise(&env, "ValueError", "bad %d", 7));
    rt_raise(&env, env.cls, "%s again", env.message);
    cr_assert_str_eq(env.cls, "ValueError");
    cr_assert_str_eq(env.message, "bad 7 again");
    rt_env_clear(&env);
}

Test(tensor, sizes_are_checked) {
    int64_t huge[] = {INT64_MAX, 2}, huge_empty[] = {0, INT64_MAX, INT64_MAX}, negative[] = {-1};
    cr_assert_null(rt_tensor_new(DT_F32, 2, huge));
    cr_assert_null(rt_tensor_new(DT_F32, 3, huge_empty));
    cr_assert_null(rt_tensor_new(DT_F32, 1, negative));
    rt_tensor *t = rt_tensor_new(DT_F64, 0, NULL);
    cr_assert_eq(rt_tensor_numel(t), 1);
    cr_assert(rt_tensor_contiguous(t));
    cr_assert_eq((uintptr_t)rt_tensor_data(t) % 64, 0);
    rt_tensor_release(t);
}

Test(tensor, conversions) {
    double in[] = {0, -0.0, 1.9, -1.9, 300, -1, 1e20, NAN, INFINITY, 65504};
    int64_t n = RT_COUNT(in), shape[] = {n};
    rt_tensor *t = rt_tensor_new(DT_F64, 1, shape);
    memcpy(rt_tensor_data(t), in, sizeof in);
    for (int to = 0; to < DT_COUNT; to++) { /* row copies agree with element stores */
        rt_tensor *c = rt_tensor_copy_to(t, (rt_dtype)to);
        uint64_t one;
        for (int64_t i = 0; i < n; i++) {
            rt_store_f64(&one, (rt_dtype)to, 0, in[i]);
            cr_assert_eq(memcmp((char *)rt_tensor_data(c) + i * rt_dtypes[to].bytes, &one,
                                (size_t)rt_dtypes[to].bytes),
                         0);
        }
        rt_tensor_release(c);
    }
    rt_tensor *u8 = rt_tensor_copy_to(t, DT_U8), *i32 = rt_tensor_copy_to(t, DT_I32),
              *b = rt_tensor_copy_to(t, DT_BOOL);
    cr_assert_eq(rt_load_i64(rt_tensor_data(u8), DT_U8, 4), 300 - 256);
    cr_assert_eq(rt_load_i64(rt_tensor_data(u8), DT_U8, 5), 255);
    cr_assert_eq(rt_load_i64(rt_tensor_data(i32), DT_I32, 3), -1);
    cr_assert_eq(rt_load_i64(rt_tensor_data(i32), DT_I32, 6), INT32_MIN);
    cr_assert_eq(rt_load_i64(rt_tensor_data(b), DT_BOOL, 1), 0);
    cr_assert_eq(rt_load_i64(rt_tensor_data(b), DT_BOOL, 7), 1);
    rt_tensor_release(u8);
    rt_tensor_release(i32);
    rt_tensor_release(b);
    rt_tensor_release(t);
}

Test(tensor, int_to_float_rounds_once) {
    int64_t x = (1LL << 53) + (1LL << 29) + 1, shape[] = {1}; /* by way of double this rounds down to even */
    rt_tensor *t = rt_tensor_new(DT_I64, 1, shape);
    rt_store_i64(rt_tensor_data(t), DT_I64, 0, x);
    rt_tensor *f = rt_tensor_copy_to(t, DT_F32);
    cr_assert_eq(((float *)rt_tensor_data(f))[0], (float)x);
    rt_tensor_release(f);
    rt_tensor_release(t);
}

Test(tensor, strided_and_overlapping_assign) {
    int64_t shape[] = {3, 4}, turned[] = {4, 3}, turned_strides[] = {1, 4};
    rt_tensor *t = rt_tensor_new(DT_I64, 2, shape);
    int64_t *x = rt_tensor_data(t);
    for (int i = 0; i < 12; i++) x[i] = i;
    rt_tensor *v = rt_tensor_view(t, 2, turned, turned_strides, 0);
    cr_assert_not(rt_tensor_contiguous(v));
    rt_tensor *c = rt_tensor_copy_to(v, DT_F32);
    for (int i = 0; i < 12; i++) cr_assert_eq(((float *)rt_tensor_data(c))[i], (float)(i % 3 * 4 + i / 3));
    int64_t ten[] = {10}, one[] = {1}; /* shift by two within one storage */
    rt_tensor *lo = rt_tensor_view(t, 1, ten, one, 0), *hi = rt_tensor_view(t, 1, ten, one, 2);
    cr_assert(rt_tensor_assign(hi, lo));
    for (int i = 0; i < 12; i++) cr_assert_eq(x[i], i < 2 ? i : i - 2);
    cr_assert_not(rt_tensor_assign(lo, c));
    rt_tensor_release(lo);
    rt_tensor_release(hi);
    rt_tensor_release(c);
    rt_tensor_release(v);
    rt_tensor_release(t);
}

static void count_destroy(void *owner) { ++*(int *)owner; }

Test(tensor, foreign_memory_is_given_back_once) {
    int destroyed = 0;
    float data[6] = {0};
    int64_t shape[] = {2, 3}, strides[] = {3, 1}, row[] = {3}, one[] = {1};
    rt_tensor *t = rt_tensor_wrap(DT_F32, 2, shape, strides, data, sizeof data, count_destroy, &destroyed);
    rt_tensor *v = rt_tensor_view(t, 1, row, one, 3);
    rt_tensor_release(t);
    cr_assert_eq(destroyed, 0);
    cr_assert_eq(rt_tensor_data(v), (void *)(data + 3));
    rt_tensor_release(v);
    cr_assert_eq(destroyed, 1);
}
