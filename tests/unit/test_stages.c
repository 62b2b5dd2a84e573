/* test_stages.c: staged kernels give the same bits compiled and in the kernel interpreter: softmax of a sum, softmax across
 * memory (rows as lanes), and attention with heads that share keys, whose rows no tile divides, or to blocks of keys. */
#include "jitc_internal.h"
#include "lower/group.h"
#include "runtime/module.h"

#include <criterion/criterion.h>
#include <string.h>

enum { MAX_ARGS = 3, MAX_SCRATCH = 4 };

static ir_context *c;
static void start(void) { c = jitc_context_new(); }
static void stop(void) { ir_context_free(c); }
TestSuite(stages, .init = start, .fini = stop);

typedef struct program {
    const char *text;
    int nargs, ndim;
    int64_t shape[MAX_ARGS][4], out[4];
} program;

static const program softmax = {
    "module \"m\" surface\n"
    "func @forward(%x: tensor, %m: tensor) -> tensor export {\n"
    "  %d: int = const -1\n  %n: none = const none\n  %one: int = const 1\n"
    "  %s: tensor = add.Tensor %x, %m, %one\n"
    "  %y: tensor = log_softmax.int %s, %d, %n\n"
    "  return %y\n}\n",
    2, 2, {{11, 70}, {1, 70}}, {11, 70}};

static const program across = {
    "module \"m\" surface\n"
    "func @forward(%x: tensor) -> tensor export {\n"
    "  %d: int = const 1\n  %n: none = const none\n"
    "  %y: tensor = softmax.int %x, %d, %n\n"
    "  return %y\n}\n",
    1, 4, {{2, 9, 5, 7}}, {2, 9, 5, 7}};

static const program attention = {
    "module \"m\" surface\n"
    "func @forward(%q: tensor, %k: tensor, %v: tensor) -> tensor export {\n"
    "  %n: none = const none\n  %p: float = const 0.0\n  %f: bool = const false\n  %t: bool = const true\n"
    "  %y: tensor = scaled_dot_product_attention %q, %k, %v, %n, %p, %f, %n, %t\n"
    "  return %y\n}\n",
    3, 4, {{2, 4, 23, 16}, {2, 2, 20, 16}, {2, 2, 20, 16}}, {2, 4, 23, 16}};

static const program keys = { /* several blocks of them; the first rows look at one only */
    "module \"m\" surface\n"
    "func @forward(%q: tensor, %k: tensor, %v: tensor) -> tensor export {\n"
    "  %n: none = const none\n  %p: float = const 0.0\n  %f: bool = const false\n  %t: bool = const true\n"
    "  %y: tensor = scaled_dot_product_attention %q, %k, %v, %n, %p, %t, %n, %f\n"
    "  return %y\n}\n",
    3, 3, {{1, 530, 5}, {1, 1031, 5}, {1, 1031, 21}}, {1, 530, 21}};

static ir_module *module_of(const program *p) {
    ir_module *m = ir_read_module(c, "m", p->text, strlen(p->text));
    cr_assert(m, "%s", c->diags.n ? c->diags.at[0].text : "");
    return m;
}

static rt_value args_of(const program *p) {
    rt_value args = rt_list_new(V_LIST, p->nargs);
    ir_own(c, args);
    for (int a = 0; a < p->nargs; a++) {
        rt_tensor *t = rt_tensor_new(DT_F32, p->ndim, p->shape[a]);
        for (int64_t i = 0; i < rt_tensor_numel(t); i++) rt_store_f64(rt_tensor_data(t), DT_F32, i, (double)((i * 37 + a * 11) % 101) / 25 - 2);
        args.list->at[a] = rt_tensor_value(t);
    }
    return args;
}

static lower_entries entries_of(ir_module *m, rt_value args) {
    ir_func *f = rt_map_get(&m->funcs, "forward");
    lower_entries all = {0};
    lower_words none = {0};
    lower_method method = {"forward", f, 0, RT_ARRAY(&c->arena, const rt_value *, f->body->params.n + 1)};
    lower_call call = {(int)args.list->n, args.list->at};
    cr_assert(lower_entries_from_calls(m, &method, &none, 1, &call, &all));
    return all;
}

/* ---- the kernel interpreter */

static const ir_node *only_kernel(const ir_func *f) {
    const ir_node *found = NULL;
    for (const ir_node *n = f->body->first; n; n = n->next) {
        if (n->op->cls != OP_STRUCT || n->op->id != S_KERNEL) continue;
        cr_assert_null(found, "one kernel is wanted");
        found = n;
    }
    cr_assert(found && found->blocks[0]->first->op->id == S_KERNEL, "a staged kernel is wanted");
    return found;
}

static int64_t constant(const ir_dim *d) {
    int64_t n = 0;
    cr_assert(ir_dim_is_const(d, &n));
    return n;
}

static void interpret(const lower_launch *l, const ir_node *n, rt_value args, rt_tensor *out, rt_tensor **scratch) {
    void *data[16];
    int64_t count[16], error[K_MAX_RAISE], grid = constant(l->grid);
    for (int i = 0; i < l->buffers.n; i++) {
        const lower_buffer *b = &l->buffers.at[i];
        if (b->kind == LB_SCRATCH && !scratch[b->index]) scratch[b->index] = rt_tensor_new(b->dtype, 1, (int64_t[]){constant(b->elements)});
        rt_tensor *t = b->kind == LB_OUT ? out : b->kind == LB_SCRATCH ? scratch[b->index] : args.list->at[n->in[b->index]->index].tensor;
        data[i] = rt_tensor_data(t);
        count[i] = rt_tensor_numel(t);
    }
    cr_assert_eq(l->scalars.n, 0);
    for (int64_t g = grid - 1; g >= 0; g--) /* in any order */
        cr_assert_eq(k_eval(l->kernel, 8, data, count, NULL, g, g + 1, error), 0);
}

static rt_tensor *interpreted(const program *p, rt_value args) {
    ir_module *m = module_of(p);
    lower_entries all = entries_of(m, args);
    lower_options o = {.opt = 3};
    bool stopped;
    rt_tensor *scratch[MAX_SCRATCH] = {NULL}, *out = rt_tensor_new(DT_F32, p->ndim, p->out);
    ir_module *core = lower_specialise(m, all.list.n, all.list.at);
    cr_assert(core && lower_run(core, &o, &stopped));
    const ir_node *n = only_kernel(rt_map_get(&core->funcs, "forward"));
    const lower_kernel *k = n->info;
    for (int i = 0; i < k->launches.n; i++) interpret(&k->launches.at[i], n, args, out, scratch);
    for (int i = 0; i < MAX_SCRATCH; i++)
        if (scratch[i]) rt_tensor_release(scratch[i]);
    return out;
}

/* ---- compiled */

static void check(const program *p) {
    rt_value args = args_of(p);
    ir_module *m = module_of(p);
    jitc_model model = {.c = c, .module = m, .file = "m", .stem = "m"};
    jitc_compile_opts o = {.size = sizeof o, .optimise = 3};
    lower_entries all = entries_of(m, args);
    jitc_session *s = NULL;
    jitc_module *code = jitc_compile_and_load(&model, &o, &all, NULL, NULL);
    cr_assert(code, "%s", c->diags.n ? c->diags.at[0].text : "");
    cr_assert_eq(jitc_session_new(code, NULL, &s), JITC_OK);
    jitc_value given[MAX_ARGS], result;
    for (int i = 0; i < p->nargs; i++) given[i] = rt_to_public(args.list->at[i]);
    cr_assert_eq(jitc_run(s, "forward", p->nargs, given, &result), JITC_OK);
    rt_tensor *want = interpreted(p, args);
    cr_expect_arr_eq(rt_tensor_data(rt_of_public(result).tensor), rt_tensor_data(want), (size_t)rt_tensor_numel(want) * sizeof(float));
    rt_tensor_release(want);
    jitc_session_free(s);
    jitc_module_release(code);
}

Test(stages, softmax) { check(&softmax); }
Test(stages, across) { check(&across); }
Test(stages, attention) { check(&attention); }
Test(stages, keys) { check(&keys); }
