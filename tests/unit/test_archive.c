/* Readers of data: dtypes, zip, pickle, safetensors, npy, case files, TorchScript archives. */
#include "ir/case.h"
#include "ir/mapping.h"
#include "script/import.h"
#include "script/pickle.h"
#include "script/zip.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef JITC_TESTS
#define JITC_TESTS "tests" /* the folder of the tests */
#endif

static const char *first_error(ir_context *c) { return c->diags.n ? c->diags.at[0].text : ""; }

#define EXPECT_ERROR(c, part)                                                                                \
    cr_assert((c)->nerrors > 0 && strstr(first_error(c), part), "want an error with `%s`, got `%s`", part,   \
              first_error(c))

/* ---- dtypes */

Test(dtype, promotion_is_that_of_pytorch) {
    static const struct {
        rt_dtype a, b, want;
    } rows[] = {{DT_BOOL, DT_BOOL, DT_BOOL}, {DT_BOOL, DT_U8, DT_U8},    {DT_U8, DT_I8, DT_I16},
                {DT_U8, DT_I16, DT_I16},     {DT_U8, DT_I64, DT_I64},    {DT_I8, DT_I32, DT_I32},
                {DT_I64, DT_F16, DT_F16},    {DT_I64, DT_BF16, DT_BF16}, {DT_F16, DT_BF16, DT_F32},
                {DT_F16, DT_F32, DT_F32},    {DT_BF16, DT_F64, DT_F64},  {DT_BOOL, DT_F16, DT_F16},
                {DT_NONE, DT_I8, DT_I8}};
    for (size_t i = 0; i < RT_COUNT(rows); i++) {
        cr_assert_eq(rt_promote(rows[i].a, rows[i].b), rows[i].want, "row %zu", i);
        cr_assert_eq(rt_promote(rows[i].b, rows[i].a), rows[i].want, "row %zu", i);
    }
}

Test(dtype, halves_round_trip_and_round_to_even) {
    for (uint32_t h = 0; h < 65536; h++) {
        float f = rt_f16_to_f32((uint16_t)h), g = rt_bf16_to_f32((uint16_t)h);
        cr_assert(isnan(f) ? isnan(rt_f16_to_f32(rt_f32_to_f16(f))) : rt_f32_to_f16(f) == h, "f16 %x", h);
        cr_assert(isnan(g) ? isnan(rt_bf16_to_f32(rt_f32_to_bf16(g))) : rt_f32_to_bf16(g) == h, "bf16 %x", h);
    }
    cr_assert_eq(rt_f32_to_f16(65519.f), 0x7bff);
    cr_assert_eq(rt_f32_to_f16(65520.f), 0x7c00);
    cr_assert_eq(rt_f32_to_f16(0x1p-25f), 0);
    cr_assert_eq(rt_f32_to_f16(0x1.8p-24f), 2);
    cr_assert_eq(rt_f32_to_f16(1.f + 0x1p-11f), 0x3c00);
    cr_assert_eq(rt_f32_to_bf16(1.f + 0x1p-8f), 0x3f80);
    cr_assert_eq(rt_f32_to_bf16(1.f + 0x1.8p-7f), 0x3f82);
}

/* ---- files that are wrong: what the message says */

typedef struct wrong {
    const char *file, *message;
} wrong;

Test(zip, refuses_hostile_archives) {
    static const wrong rows[] = {{"trailing.zip", "no end record"},
                                 {"cut.zip", "no end record"},
                                 {"two-ends.zip", "several end records"},
                                 {"dotdot.zip", "`..` part"},
                                 {"abs.zip", "absolute"},
                                 {"crc.zip", "entry `a/b`: the checksum is wrong"},
                                 {"bomb.zip", "too large"},
                                 {"encrypted.zip", "encrypted"},
                                 {"local-name.zip", "another name"},
                                 {"overlap.zip", "entry `a/c`"}};
    for (size_t i = 0; i < RT_COUNT(rows); i++) {
        ir_context *c = ir_context_new();
        const char *path = ir_fmt(c, JITC_TESTS "/fuzz/corpus/zip/%s", rows[i].file);
        ir_mapping *map = ir_mapping_open(c, path);
        cr_assert(map, "%s", first_error(c));
        script_zip *z = script_zip_open(c, path, map);
        ir_mapping_release(map);
        size_t n;
        for (int k = 0; z && k < script_zip_count(z); k++) script_zip_read(z, script_zip_at(z, k), &n);
        script_zip_close(z);
        EXPECT_ERROR(c, rows[i].message);
        EXPECT_ERROR(c, rows[i].file);
        ir_context_free(c);
    }
}

Test(zip, inflates_and_maps) {
    ir_context *c = ir_context_new();
    ir_mapping *map = ir_mapping_open(c, JITC_TESTS "/fuzz/corpus/zip/deflate.zip");
    script_zip *z = script_zip_open(c, "deflate.zip", map);
    ir_mapping_release(map);
    size_t n;
    const char *p = script_zip_read(z, script_zip_find(z, "a/b"), &n);
    cr_assert(p && n == 1000 && p[0] == 'x' && p[999] == 'x');
    cr_assert(script_zip_read(z, script_zip_find(z, "a/c"), &n) && n == 0);
    cr_assert_null(script_zip_find(z, "a/d"));
    script_zip_close(z);
    ir_context_free(c);
}

static ir_class *any_class(void *env, const char *name) {
    static const char *fields[] = {"training"};
    ir_context *c = env;
    ir_class *cls = RT_NEW(&c->arena, ir_class);
    cls->name = ir_intern(c, name);
    cls->nfields = 1;
    cls->fields = fields;
    return cls;
}

static rt_tensor *any_storage(void *env, const char *key, rt_dtype dtype, int64_t numel) {
    (void)env, (void)key;
    rt_tensor *t = rt_tensor_new(dtype, 1, &numel);
    for (int64_t i = 0; t && i < numel; i++) rt_store_i64(t->storage->data, dtype, i, i);
    return t;
}

static bool unpickle(ir_context *c, const char *file, rt_value *out) {
    const char *path = ir_fmt(c, JITC_TESTS "/fuzz/corpus/pickle/%s", file);
    ir_mapping *map = ir_mapping_open(c, path);
    cr_assert(map, "%s", first_error(c));
    script_pickle p = {.c = c, .what = path, .cls = any_class, .storage = any_storage, .env = c};
    bool fine = script_unpickle(&p, map->data, map->n, out);
    script_pickle_free(&p);
    ir_mapping_release(map);
    return fine;
}

Test(pickle, refuses_hostile_pickles) {
    static const wrong rows[] = {{"os-system.pkl", "`os system`, which is not allowed"},
                                 {"cycle.pkl", "contains itself"},
                                 {"cycle-tuple.pkl", "contains itself"},
                                 {"deep-list.pkl", "nested too deeply"},
                                 {"chain.pkl", "nested too deeply"},
                                 {"laughs.pkl", "larger than the limit"},
                                 {"marker-out.pkl", "a name or storage"},
                                 {"setitem-object.pkl", "no dict"},
                                 {"memo-far.pkl", "memo number"},
                                 {"long-overflow.pkl", "64 bits"},
                                 {"tensor-outside.pkl", "does not fit"},
                                 {"tensor-overflow.pkl", "impossible size"},
                                 {"tensor-negative.pkl", "impossible size"},
                                 {"empty.pkl", "not a pickle"}};
    for (size_t i = 0; i < RT_COUNT(rows); i++) {
        ir_context *c = ir_context_new();
        rt_value v;
        cr_assert_not(unpickle(c, rows[i].file, &v), "%s", rows[i].file);
        EXPECT_ERROR(c, rows[i].message);
        ir_context_free(c);
    }
}

static void expect_text(const char *file, const char *want) {
    ir_context *c = ir_context_new();
    rt_value v;
    rt_text t = {0};
    cr_assert(unpickle(c, file, &v), "%s", first_error(c));
    rt_value_print(&t, v, true);
    cr_assert_str_eq(t.s, want);
    rt_text_free(&t);
    rt_release(v);
    ir_context_free(c);
}

Test(pickle, builds_values) {
    expect_text("scalars.pkl", "(5, 65535, -1, 1099511627776, 0, 1.0, True, False, None, 'hi', 'x')");
    expect_text("cycle-dropped.pkl", "{'a': None}");
}

Test(pickle, quantised_tensors_keep_their_parts) {
    ir_context *c = ir_context_new();
    rt_value v;
    cr_assert(unpickle(c, "quant_static.pkl", &v) || strstr(first_error(c), "no dict of attributes"));
    rt_release(v);
    ir_context_free(c);
}

/* ---- tensor files */

Test(safetensors, refuses_hostile_files) {
    static const wrong rows[] = {{"overlap", "tensor `b`: its data overlaps"},
                                 {"gap", "unused bytes before"},
                                 {"rest", "unused bytes at the end"},
                                 {"dup", "duplicate"},
                                 {"overflow", "too large"},
                                 {"huge-header", "header"},
                                 {"bool", "neither 0 nor 1"},
                                 {"f8", "`F8_E4M3` is not supported"}};
    for (size_t i = 0; i < RT_COUNT(rows); i++) {
        ir_context *c = ir_context_new();
        cr_assert_null(ir_safetensors_open(
            c, ir_fmt(c, JITC_TESTS "/fuzz/corpus/safetensors/%s.safetensors", rows[i].file)));
        EXPECT_ERROR(c, rows[i].message);
        ir_context_free(c);
    }
}

static rt_tensor *iota(rt_dtype dtype, int ndim, const int64_t *shape) {
    rt_tensor *t = rt_tensor_new(dtype, ndim, shape);
    for (int64_t i = 0; i < rt_tensor_numel(t); i++) rt_store_i64(t->storage->data, dtype, i, i);
    return t;
}

static char *slurp(const char *path, size_t *n) {
    static char buf[1 << 16];
    FILE *f = fopen(path, "rb");
    cr_assert(f);
    *n = fread(buf, 1, sizeof buf, f);
    fclose(f);
    return buf;
}

Test(safetensors, writes_what_it_reads_the_same_way_in_any_order) {
    ir_context *c = ir_context_new();
    char path[] = "/tmp/jitc-test-XXXXXX";
    close(mkstemp(path));
    rt_tensor *base = iota(DT_F32, 2, (int64_t[]){2, 3});
    rt_tensor *turned = rt_tensor_view(base, 2, (int64_t[]){3, 2}, (int64_t[]){1, 3}, 0),
              *one = iota(DT_I64, 0, NULL), *none = iota(DT_U8, 1, (int64_t[]){0});
    ir_named_tensor a[] = {{"turned", turned}, {"one \"\n", one}, {"none", none}}, b[] = {a[2], a[0], a[1]};
    ir_metadata meta[] = {{"b", "2"}, {"a", "x\ty"}};
    cr_assert(ir_safetensors_write(c, path, 3, a, 2, meta), "%s", first_error(c));
    size_t n, again;
    char *first = memcpy(malloc(1 << 16), slurp(path, &n), 1 << 16);
    ir_metadata swapped[] = {meta[1], meta[0]};
    cr_assert(ir_safetensors_write(c, path, 3, b, 2, swapped));
    cr_assert(!memcmp(first, slurp(path, &again), n) && n == again);
    cr_assert_eq(n % 64, 32); /* header to a multiple of 64, then 32 bytes of data */
    free(first);
    ir_safetensors *s = ir_safetensors_open(c, path);
    cr_assert(s, "%s", first_error(c));
    rt_tensor *t = ir_safetensors_find(s, "turned");
    cr_assert(t && t->ndim == 2 && t->shape[0] == 3 && ((float *)rt_tensor_data(t))[1] == 3 &&
              ((float *)rt_tensor_data(t))[2] == 1);
    cr_assert_eq(ir_safetensors_find(s, "one \"\n")->ndim, 0);
    cr_assert_eq(rt_tensor_numel(ir_safetensors_find(s, "none")), 0);
    cr_assert_str_eq(ir_safetensors_meta(s, "a"), "x\ty");
    rt_tensor_retain(t); /* outlives the file's mapping */
    ir_safetensors_close(s);
    cr_assert_eq(((float *)rt_tensor_data(t))[5], 5);
    ((float *)rt_tensor_data(t))[5] = 7; /* a private page */
    rt_tensor_release(t);
    cr_assert_not(ir_safetensors_write(c, "/nonexistent/x.safetensors", 3, a, 0, NULL));
    EXPECT_ERROR(c, "cannot write");
    unlink(path);
    rt_tensor_release(base), rt_tensor_release(turned), rt_tensor_release(one), rt_tensor_release(none);
    ir_context_free(c);
}

Test(npy, reads) {
    ir_context *c = ir_context_new();
    rt_tensor *t = ir_npy_open(c, JITC_TESTS "/fuzz/corpus/npy/fortran.npy");
    cr_assert(t && t->dtype == DT_I64 && t->ndim == 2 && t->shape[1] == 3 && t->strides[0] == 1 &&
              t->strides[1] == 2);
    rt_tensor_release(t);
    cr_assert_null(ir_npy_open(c, JITC_TESTS "/fuzz/corpus/npy/object.npy"));
    EXPECT_ERROR(c, "dtype is not supported");
    cr_assert_null(ir_npy_open(c, JITC_TESTS));
    cr_assert(strstr(c->diags.at[1].text, "not a regular file"));
    ir_context_free(c);
}

/* ---- cases */

Test(cases, read) {
    ir_context *c = ir_context_new();
    ir_cases *k = ir_cases_open(c, JITC_TESTS "/models/raises.safetensors");
    cr_assert(k && k->n == 6 && k->at[2].words && k->at[5].raises && !k->at[5].words);
    cr_assert(k->at[0].args.list->n == 2 && k->at[0].args.list->at[1].tag == V_STR);
    const char *why;
    cr_assert(ir_case_raised(c, &k->at[2], "RuntimeError", "AssertionError: want 2 dims, got 1", &why));
    cr_assert_not(ir_case_raised(c, &k->at[2], "RuntimeError", "something else", &why));
    cr_assert(ir_case_raised(c, &k->at[5], "RuntimeError", "any words", &why));
    cr_assert_not(ir_case_raised(c, &k->at[0], "RuntimeError", "any words", &why));
    ir_context_free(c);
}

static const char *difference(ir_context *c, const char *got, const char *want) {
    ir_case k = {.has_out = true};
    ir_comparison out;
    rt_value v;
    cr_assert(ir_value_from_json(c, "want", want, NULL, &k.out) &&
                  ir_value_from_json(c, "got", got, NULL, &v),
              "%s", first_error(c));
    bool fine = ir_case_compare(c, &k, v, (ir_tolerance){0}, &out);
    cr_assert_eq(fine, out.first == NULL);
    return fine ? "" : out.first;
}

Test(cases, compare_values) {
    ir_context *c = ir_context_new();
    cr_assert_str_eq(difference(c, "[1, 2.0, {\"s\": \"a\"}, null]", "[1, 2.00001, {\"s\": \"a\"}, null]"),
                     "");
    cr_assert_str_eq(difference(c, "{\"f\": \"nan\"}", "{\"f\": \"nan\"}"), "");
    cr_assert_str_eq(difference(c, "{\"f\": \"inf\"}", "{\"f\": \"inf\"}"), "");
    cr_assert_str_eq(difference(c, "{\"f\": \"nan\"}", "1.0"), "out: got nan, want 1.0");
    cr_assert_str_eq(difference(c, "1.0", "{\"f\": \"nan\"}"), "out: got 1.0, want nan");
    cr_assert_str_eq(difference(c, "1e300", "{\"f\": \"inf\"}"), "out: got 1e+300, want inf");
    cr_assert_str_eq(difference(c, "{\"f\": \"-inf\"}", "{\"f\": \"inf\"}"), "out: got -inf, want inf");
    cr_assert_str_eq(difference(c, "1", "1.0"), "out: got an int, want a float");
    cr_assert_str_eq(difference(c, "true", "1"), "out: got a bool, want an int");
    cr_assert_str_eq(difference(c, "[1]", "{\"tuple\": [1]}"), "out: got a list, want a tuple");
    cr_assert_str_eq(difference(c, "{\"tuple\": [0, {\"dict\": [[{\"s\": \"a\"}, 1]]}]}",
                                "{\"tuple\": [0, {\"dict\": [[{\"s\": \"a\"}, 2]]}]}"),
                     "out[1][\"a\"]: got 1, want 2");
    cr_assert_str_eq(difference(c, "{\"dict\": [[1, 2]]}", "{\"dict\": [[2, 2]]}"),
                     "out: key 0 is 1, want 2");
    cr_assert_str_eq(difference(c, "[1, 2]", "[1]"), "out: got 2 elements, want 1");
    ir_context_free(c);
}

static ir_comparison compare_tensors(ir_context *c, rt_tensor *got, rt_tensor *want, ir_tolerance tol) {
    ir_case k = {.has_out = true, .out = rt_tensor_value(want)};
    ir_comparison out;
    ir_case_compare(c, &k, rt_tensor_value(got), tol, &out);
    return out;
}

Test(cases, compare_tensors) {
    ir_context *c = ir_context_new();
    int64_t shape[] = {2, 3}, other[] = {3, 2};
    rt_tensor *a = iota(DT_F32, 2, shape), *b = iota(DT_F32, 2, shape), *d = iota(DT_F32, 2, other),
              *i = iota(DT_I64, 2, shape), *j = iota(DT_I64, 2, shape);
    float *x = rt_tensor_data(a);
    cr_assert_null(compare_tensors(c, a, b, (ir_tolerance){0}).first);
    x[4] = 4.01f;
    ir_comparison r = compare_tensors(c, a, b, (ir_tolerance){0});
    cr_assert_str_eq(
        r.first,
        "out: got 4.010000228881836, want 4.0 at [1, 1] (1 of 6 elements differ, largest error 0.01)");
    cr_assert_float_eq(r.rows.at[0].error, 0.01, 1e-6);
    cr_assert_null(compare_tensors(c, a, b, (ir_tolerance){.rtol = 1e-2}).first);
    x[4] = NAN;
    cr_assert_not_null(compare_tensors(c, a, b, (ir_tolerance){.rtol = 1, .atol = 100}).first);
    cr_assert_not_null(compare_tensors(c, b, a, (ir_tolerance){.rtol = 1, .atol = 100}).first);
    cr_assert_null(compare_tensors(c, a, a, (ir_tolerance){0}).first);
    cr_assert_str_eq(compare_tensors(c, d, b, (ir_tolerance){0}).first,
                     "out: got a tensor f32[3, 2], want f32[2, 3]");
    cr_assert_str_eq(compare_tensors(c, i, b, (ir_tolerance){0}).first,
                     "out: got a tensor i64[2, 3], want f32[2, 3]");
    ((int64_t *)rt_tensor_data(i))[0] = INT64_MAX, ((int64_t *)rt_tensor_data(j))[0] = INT64_MAX - 1;
    cr_assert_not_null(compare_tensors(c, i, j, (ir_tolerance){.atol = 10}).first); /* integers exactly */
    rt_tensor_release(a), rt_tensor_release(b), rt_tensor_release(d), rt_tensor_release(i),
        rt_tensor_release(j);
    ir_context_free(c);
}

/* ---- archives */

Test(torchscript, imports_objects_params_and_methods) {
    ir_context *c = ir_context_new();
    script_vocabulary_init(c);
    script_import *s = script_import_open(c, JITC_TESTS "/models/mlp.pt");
    cr_assert(s, "%s", first_error(c));
    cr_assert_str_eq(s->module->name, "mlp");
    cr_assert(s->module->tensors.n > 0);
    const ir_tensor_data *d = s->module->tensors.entries[0].value;
    cr_assert(strchr(d->name, '.') && d->tensor->dtype == DT_F32);
    cr_assert_eq((uintptr_t)rt_tensor_data(d->tensor) % 64, 0); /* in place */
    ir_func *f = script_import_method(s, "forward");
    cr_assert(f && f->exported && !strcmp(f->method, "forward"), "%s", first_error(c));
    cr_assert_null(script_import_method(s, "backward"));
    cr_assert(strstr(c->diags.at[c->diags.n - 1].text, "no method `backward`"));
    ir_context_free(c);
}

Test(torchscript, example_shapes_of_traces) {
    ir_context *c = ir_context_new();
    script_import *s = script_import_open(c, JITC_TESTS "/models/mobilenetv3_traced.pt");
    cr_assert(s, "%s", first_error(c));
    rt_value e = s->module->example_types;
    cr_assert(e.tag == V_DICT && e.dict->n == 1 && e.dict->values[0].tag == V_TUPLE);
    const rt_tensor *t = e.dict->values[0].list->at[0].tensor;
    cr_assert(t->ndim == 4 && t->shape[0] == 2 && t->shape[3] == 32 && t->dtype == DT_F32);
    ir_context_free(c);
}

Test(torchscript, names_what_is_wrong) {
    static const wrong rows[] = {{"/models/quant_static.pt", "quantized"},
                                 {"/models/mlp.safetensors", "not a zip archive"},
                                 {"/fuzz/corpus/zip/deflate.zip", "not a TorchScript archive"},
                                 {"/models/missing.pt", "cannot open"},
                                 {"/models", "regular file"}};
    for (size_t i = 0; i < RT_COUNT(rows); i++) {
        ir_context *c = ir_context_new();
        cr_assert_null(script_import_open(c, ir_fmt(c, JITC_TESTS "%s", rows[i].file)));
        bool found = false;
        for (int k = 0; k < c->diags.n; k++) found = found || strstr(c->diags.at[k].text, rows[i].message);
        cr_assert(found, "%s: %s", rows[i].file, first_error(c));
        ir_context_free(c);
    }
}
