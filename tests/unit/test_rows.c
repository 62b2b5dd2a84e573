/* test_rows.c: every POINTWISE row of the op table on extreme values, compiled: -O0, -O3 and the kernel interpreter agree bit
 * for bit, and all with the graph interpreter within the tolerances of `check`.  Each row is a function for each dtype; a
 * module holds all functions of a dtype. */
#include "jitc_internal.h"
#include "lower/group.h"
#include "runtime/module.h"

#include <criterion/criterion.h>
#include <math.h>

enum { NVALUES = 44, MAX_ROWS = 512 };
typedef struct row {
    const ir_op *op;
    const char *name;
    ir_func *f;
    rt_dtype dtype;
    rt_value args[3]; /* V_LIST: 44 values and some more; none; one value */
} row;

static ir_context *c;
static int nrows;
static row rows[MAX_ROWS];

static void start(void) {
    c = jitc_context_new();
    nrows = 0;
}
static void stop(void) { ir_context_free(c); }
TestSuite(rows, .init = start, .fini = stop);

/* ---- arguments */

static double extreme_float(rt_dtype d, int i) {
    double least = d == DT_F16 ? 0x1p-24 : d == DT_F64 ? 0x1p-1074 : d == DT_F32 ? 0x1p-149 : 0x1p-133;
    double most = d == DT_F16 ? 65504 : d == DT_F64 ? 0x1.fffffffffffffp1023 : d == DT_F32 ? 0x1.fffffep127 : 0x1.fep127;
    const double v[] = {0,    -0.0, 1,     -1,   0.5, -0.5,   2,      -2,        3,     -7,  2.5,  -1.5,  0.1,   0.999, 1.0009765625,
                        20.5, -20.5, 800, -800, 100, -0.001, 1e-3,   INFINITY,  -INFINITY, NAN, least, -least, most, -most, 6e-5,
                        -6e-5, 0.25, 1024, -33, 88.5, -88.5, 0x1p-126, 4, 9, -4, 1e-30, 7, 31, 63};
    return v[i % (int)RT_COUNT(v)];
}

static int64_t extreme_int(rt_dtype d, int i) {
    int bits = rt_dtypes[d].bits;
    bool is_signed = rt_dtypes[d].kind == 'I';
    int64_t high = (int64_t)(UINT64_MAX >> (64 - bits + is_signed)), low = is_signed ? -high - 1 : 0;
    const int64_t v[] = {0, 1, 2, 3, 7, 100, high, high - 1, low, low + 1, -1, -2, -7, 31, 8, 63, 5, -100};
    return v[i % (int)RT_COUNT(v)];
}

static void put(rt_tensor *t, int64_t at, int i, bool divisor) {
    if (rt_dtypes[t->dtype].kind == 'F') rt_store_f64(t->storage->data, t->dtype, at, extreme_float(t->dtype, i));
    else {
        int64_t v = extreme_int(t->dtype, i);
        if (t->dtype == DT_BOOL) v = i & 1;
        rt_store_i64(t->storage->data, t->dtype, at, v || !divisor ? v : 3);
    }
}

/* Operand k: 4 x n, the second one not contiguous; each meets the other's values at changing distances. */
static rt_value operand(rt_dtype d, int k, int64_t n, bool divisor) {
    int64_t shape[] = {4, n}, turned[] = {n, 4};
    rt_tensor *t = rt_tensor_new(d, 2, k == 1 ? turned : shape);
    for (int64_t i = 0; i < 4 * n; i++) put(t, i, (int)(k ? i * (2 * k + 3) + i / NVALUES : i), divisor && k);
    if (k != 1) return rt_tensor_value(t);
    rt_tensor *v = rt_tensor_view(t, 2, shape, (int64_t[]){1, 4}, 0);
    rt_tensor_release(t);
    return rt_tensor_value(v);
}

static bool is_condition(const ir_param *p) { return !strcmp(p->name, "condition") || !strcmp(p->name, "mask"); }

static const ir_type *bare(const ir_param *p) { return p->type->kind == T_OPTIONAL ? p->type->elem[0] : p->type; }

static rt_value constant(const ir_param *p, rt_dtype d) {
    bool f = rt_dtypes[d].kind == 'F';
    if (!strcmp(p->name, "dtype")) return rt_int(rt_dtypes[d].c10);
    if (p->has_default && p->kwonly) return rt_retain(p->def);
    switch (bare(p)->kind) {
    case T_NUMBER: return f ? rt_float(0.75) : rt_int(3);
    case T_FLOAT: return rt_float(0.5);
    case T_INT: return rt_int(2);
    case T_STR: return rt_strz("none");
    case T_BOOL: return rt_bool(true);
    default: return rt_retain(p->def);
    }
}

/* ---- rows */

static bool add_row(ir_module *m, const ir_op *op, rt_dtype d) {
    row *r = &rows[nrows];
    ir_value *in[16];
    const ir_type *any = ir_type_tensor(c, DT_NONE, -1, NULL);
    int ntensors = 0;
    *r = (row){.op = op, .dtype = d, .name = ir_fmt(c, "r%d_%s", nrows, rt_dtypes[d].name)};
    for (int i = 0; i < op->schema->nparams; i++) ntensors += bare(&op->schema->params[i])->kind == T_TENSOR;
    if (!ntensors || nrows == MAX_ROWS) return false;
    r->f = ir_func_new(m, r->name);
    r->f->exported = true;
    for (int k = 0; k < 3; k++) {
        r->args[k] = rt_list_new(V_LIST, ntensors);
        ir_own(c, r->args[k]);
    }
    for (int i = 0, t = 0; i < op->schema->nparams; i++) {
        const ir_param *p = &op->schema->params[i];
        if (bare(p)->kind != T_TENSOR) {
            in[i] = ir_const(r->f->body, 0, constant(p, d), p->type);
            continue;
        }
        in[i] = ir_block_param(r->f->body, any, NULL);
        for (int k = 0; k < 3; k++)
            r->args[k].list->at[t] = operand(is_condition(p) ? DT_BOOL : d, t, k == 0 ? NVALUES : k == 1 ? 0 : 1, k < 2);
        t++;
    }
    r->f->result = any;
    ir_block_result(r->f->body, ir_emit(r->f->body, 0, op, op->schema->nparams, in, any));
    nrows++;
    return true;
}

static ir_module *module_of(rt_dtype d) {
    ir_module *m = ir_module_new(c, "rows");
    nrows = 0;
    for (int i = 0; i < c->ops_full.n; i++) {
        const ir_op *op = c->ops_full.entries[i].value;
        if (op->cls == OP_POINTWISE && !op->inplace_of) add_row(m, op, d);
    }
    return m;
}

static lower_entries entries_of(ir_module *m) {
    lower_entries all = {0};
    lower_words none = {0};
    for (int i = 0; i < nrows; i++) {
        row *r = &rows[i];
        const rt_value **defaults = RT_ARRAY(&c->arena, const rt_value *, r->f->body->params.n + 1);
        lower_method f = {r->name, r->f, 0, defaults};
        lower_call calls[3];
        for (int k = 0; k < 3; k++) calls[k] = (lower_call){(int)r->args[k].list->n, r->args[k].list->at};
        cr_assert(lower_entries_from_calls(m, &f, &none, 3, calls, &all));
    }
    return all;
}

static jitc_session *compile(rt_dtype d, int opt) {
    ir_module *m = module_of(d);
    jitc_model model = {.c = c, .module = m, .file = "rows", .stem = "rows"};
    jitc_compile_opts o = {.size = sizeof o, .optimise = opt ? opt : -1};
    lower_entries all = entries_of(m);
    jitc_session *s = NULL;
    jitc_module *code = jitc_compile_and_load(&model, &o, &all, NULL, NULL);
    cr_assert(code, "%s -O%d: %s", rt_dtypes[d].name, opt, c->diags.n ? c->diags.at[0].text : "");
    cr_assert_eq(jitc_session_new(code, NULL, &s), JITC_OK);
    jitc_module_release(code);
    return s;
}

/* ---- the kernel interpreter */

static ir_module *kernels_of(rt_dtype d) {
    ir_module *m = module_of(d);
    lower_entries all = entries_of(m);
    lower_options o = {.opt = 3};
    bool stopped;
    ir_module *core = lower_specialise(m, all.list.n, all.list.at);
    cr_assert(core && lower_run(core, &o, &stopped));
    return core;
}

typedef struct sizes {
    const ir_func *f;
    const rt_list *args;
} sizes;

/* A symbol is a size of an argument. */
static bool size_of(void *env, const char *symbol, int64_t *out) {
    const sizes *e = env;
    for (int i = 0; i < e->f->body->params.n; i++) {
        const ir_type *t = e->f->body->params.at[i]->type;
        for (int d = 0; d < t->rank; d++) {
            if (t->dims[d] != ir_dim_symbol(c, symbol)) continue;
            *out = e->args->at[i].tensor->shape[d];
            return true;
        }
    }
    return false;
}

/* The one kernel that the function consists of, or NULL. */
static const ir_node *only_kernel(const ir_func *f) {
    const ir_node *found = NULL;
    for (const ir_node *n = f->body->first; n; n = n->next) {
        if (n->op->cls == OP_STRUCT && n->op->id == S_CONST) continue;
        if (n->op->cls != OP_STRUCT || n->op->id != S_KERNEL || found) return NULL;
        found = n;
    }
    for (int i = 0; found && i < found->nin; i++)
        if (found->in[i]->def) return NULL;
    return found;
}

/* Runs the function's kernel: its status, or -9 if it is not a launch of one kernel on arguments alone. */
static int interpret_kernel(const ir_func *f, const rt_list *args, rt_tensor *out) {
    const ir_node *n = only_kernel(f);
    const lower_kernel *k = n ? n->info : NULL;
    if (!k || k->launches.n != 1) return -9;
    const lower_launch *l = &k->launches.at[0];
    void *data[16];
    int64_t scalars[32], count[16], error[K_MAX_RAISE], grid;
    rt_tensor *dense[16] = {NULL};
    for (int i = 0; i < l->buffers.n; i++) {
        const lower_buffer *b = &l->buffers.at[i];
        cr_assert_neq(b->kind, LB_SCRATCH);
        const rt_tensor *t = out;
        if (b->kind == LB_IN) t = dense[i] = rt_tensor_copy_to(args->at[n->in[b->index]->index].tensor, b->dtype);
        data[i] = rt_tensor_data(t);
        count[i] = rt_tensor_numel(t);
    }
    sizes env = {f, args};
    for (int i = 0; i < l->scalars.n; i++) cr_assert(ir_dim_eval(l->scalars.at[i].dim, size_of, &env, &scalars[i]));
    cr_assert(ir_dim_eval(l->grid, size_of, &env, &grid));
    int status = k_eval(l->kernel, 8, data, count, scalars, 0, grid, error);
    for (int i = 0; i < l->buffers.n; i++)
        if (dense[i]) rt_tensor_release(dense[i]);
    return status;
}

/* ---- comparison */

static bool same_bits(const rt_tensor *a, const rt_tensor *b, int64_t *where) {
    for (int64_t i = 0; i < rt_tensor_numel(a); i++) {
        const char *p = (const char *)rt_tensor_data(a) + i * rt_dtypes[a->dtype].bytes;
        const char *q = (const char *)rt_tensor_data(b) + i * rt_dtypes[a->dtype].bytes;
        bool f = rt_dtypes[a->dtype].kind == 'F';
        if (f && isnan(rt_load_f64(p, a->dtype, 0)) && isnan(rt_load_f64(q, a->dtype, 0))) continue;
        *where = i;
        if (memcmp(p, q, (size_t)rt_dtypes[a->dtype].bytes)) return false;
    }
    return true;
}

static bool call(jitc_session *s, const row *r, int k, rt_value *out) {
    jitc_value given[16], result;
    rt_list *l = r->args[k].list;
    for (int64_t i = 0; i < l->n; i++) given[i] = rt_to_public(l->at[i]);
    if (jitc_run(s, r->name, (int)l->n, given, &result) != JITC_OK) return false;
    *out = rt_of_public(result);
    return true;
}

/* a: the result at -O0, NULL if it raised.  How many kernels were compared: none or one. */
static int compare_kernel(const row *r, int k, const rt_tensor *a, const ir_module *core) {
    int64_t at = 0;
    const ir_func *f = rt_map_get(&core->funcs, r->name);
    if (!a || !f) return 0;
    rt_tensor *t = rt_tensor_new(a->dtype, a->ndim, a->shape);
    int status = interpret_kernel(f, r->args[k].list, t);
    if (status != -9) {
        cr_expect_eq(status, 0, "%s %s case %d: the kernel interpreter gives %d", r->op->full, r->name, k, status);
        cr_expect(same_bits(a, t, &at), "%s %s case %d: -O0 and the kernel interpreter differ at %lld", r->op->full, r->name, k, (long long)at);
    }
    rt_tensor_release(t);
    return status != -9;
}

static int compare(const row *r, int k, jitc_session *slow, jitc_session *fast, lower_interp *in, const ir_module *core) {
    rt_value a, b, want;
    rt_env env = {0};
    int64_t at = 0;
    int kernels = 0;
    bool ok = lower_interp_call(in, r->f, (int)r->args[k].list->n, r->args[k].list->at, &want, &env);
    bool ran = call(slow, r, k, &a);
    cr_expect_eq(ran, ok, "%s %s case %d: %s", r->op->full, r->name, k, ran ? env.message : jitc_session_error(slow));
    cr_expect_eq(call(fast, r, k, &b), ran, "%s %s case %d: -O0 and -O3", r->op->full, r->name, k);
    if (ok && ran) {
        kernels = compare_kernel(r, k, a.tensor, core);
        ir_case expected = {.method = r->name, .has_out = true, .out = want};
        ir_comparison diff = {0};
        cr_expect(same_bits(a.tensor, b.tensor, &at), "%s %s case %d: -O0 and -O3 differ at %lld", r->op->full, r->name, k, (long long)at);
        cr_expect(ir_case_compare(c, &expected, b, (ir_tolerance){0}, &diff), "%s %s case %d: %s", r->op->full, r->name, k, diff.first);
    }
    if (ok) rt_release(want);
    rt_env_clear(&env);
    return kernels;
}

static void check_dtype(rt_dtype d) {
    jitc_session *slow = compile(d, 0), *fast = compile(d, 3);
    const ir_module *core = kernels_of(d);
    ir_module *m = module_of(d);
    lower_interp *in = lower_interp_new(m);
    int kernels = 0;
    for (int i = 0; i < nrows; i++)
        for (int k = 0; k < 3; k++) kernels += compare(&rows[i], k, slow, fast, in, core);
    cr_assert_gt(nrows, 100);
    cr_assert_gt(kernels, 100);
    lower_interp_free(in);
    jitc_session_free(slow);
    jitc_session_free(fast);
}

Test(rows, f32) { check_dtype(DT_F32); }
Test(rows, f16) { check_dtype(DT_F16); }
Test(rows, bf16) { check_dtype(DT_BF16); }
Test(rows, f64) { check_dtype(DT_F64); }
Test(rows, i64) { check_dtype(DT_I64); }
Test(rows, i16) { check_dtype(DT_I16); }
Test(rows, i8) { check_dtype(DT_I8); }
Test(rows, u8) { check_dtype(DT_U8); }
Test(rows, boolean) { check_dtype(DT_BOOL); }
