/* conv_cost.c: measures lower/conv_cost.def: 3x3 convolutions of step 1 by the direct sum and by Winograd's F(2x2) and
 * F(4x4), in chains whose weights together exceed the caches, on one thread.  Prints a line per shape, measured
 * microseconds beside those of the committed table (with * where the table would choose), then the table that these
 * measurements give.
 *
 *   cmake --build --preset release --target bench_conv_cost && build/release/bench/bench_conv_cost [ROUNDS] */
#include "bench/require.h"
#include "codegen/artefact.h"
#include "jitc_internal.h"
#include "lower/conv_cost.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { MIN_CHAIN = 4, MAX_CHAIN = 10, CHAIN_BYTES = 96 << 20 /* thrice a third cache */, FORMS = 3 };

static const int form_size[FORMS] = {0, 2, 4};
static const char *const form_name[FORMS] = {NULL, "winograd2", "winograd"};

/* A chain of equal convolutions and relus, as a core module. */
static char *chain_text(const conv_shape *s, int n) {
    rt_text t = {0};
    long long c = (long long)s->ic, h = (long long)s->h, w = (long long)s->w;
    rt_text_fmt(&t, "module \"chain\" core\n");
    for (int i = 0; i < n; i++) rt_text_fmt(&t, "param \"w%d\": f32[%lld, %lld, 3, 3]\n", i, c, c);
    rt_text_fmt(&t, "func @f(%%x0: f32[1, %lld, %lld, %lld]) -> f32[1, %lld, %lld, %lld] export entry of \"f\" {\n", c,
                h, w, c, h, w);
    rt_text_fmt(&t, "  %%one: int<1> = const 1\n  %%zero: int<0> = const 0\n  %%no: bool = const false\n  %%none: none "
                    "= const none\n");
    rt_text_fmt(&t, "  %%ones: list[int<1>] = list %%one, %%one\n  %%zeros: list[int<0>] = list %%zero, %%zero\n");
    for (int i = 0; i < n; i++) {
        rt_text_fmt(&t, "  %%w%d: f32[%lld, %lld, 3, 3] = param \"w%d\"\n", i, c, c, i);
        rt_text_fmt(&t,
                    "  %%y%d: f32[1, %lld, %lld, %lld] = convolution %%x%d, %%w%d, %%none, %%ones, %%ones, %%ones, "
                    "%%no, %%zeros, %%one\n",
                    i, c, h, w, i, i);
        rt_text_fmt(&t, "  %%x%d: f32[1, %lld, %lld, %lld] = relu %%y%d\n", i + 1, c, h, w, i);
    }
    rt_text_fmt(&t, "  return %%x%d\n}\n", n);
    return t.s;
}

static rt_tensor *weights(const ir_type *type) {
    int64_t dims[4] = {0}, n = 1;
    for (int d = 0; d < 4; d++) {
        ir_dim_is_const(type->dims[d], &dims[d]);
        n *= dims[d];
    }
    rt_tensor *t = rt_tensor_new(DT_F32, 4, dims);
    for (int64_t i = 0; t && i < n; i++) ((float *)t->storage->data)[i] = (float)(i * 7919 % 1000 - 500) * 1e-5f;
    return t;
}

static jitc_module *compile(const conv_shape *s, int n, int form) {
    ir_context *c = jitc_context_new();
    char *text = chain_text(s, n), path[] = "/tmp/conv_cost-XXXXXX.so";
    static const char *const methods[] = {"f"};
    jitc_model model = {.c = c, .file = "chain", .stem = "chain", .nmethods = 1, .methods = methods};
    lower_entries entries = {0};
    jitc_compile_opts o = {.size = sizeof o};
    lower_options passes = {.opt = 3, .stop_after = "layout"};
    bool stopped;
    require(c, (model.module = ir_read_module(c, "chain", text, strlen(text))) != NULL);
    for (int i = 0; i < model.module->tensors.n; i++) {
        ir_tensor_data *d = model.module->tensors.entries[i].value;
        d->tensor = weights(d->type);
    }
    require(c, jitc_model_entries(&model, &o, NULL, &entries) && lower_run(model.module, &passes, &stopped));
    for (ir_node *x = ((ir_func *)model.module->funcs.entries[0].value)->body->first; x; x = x->next)
        if (x->op->cls == OP_STRUCT && x->op->id == S_KERNEL) x->sym = form_name[form];
    lower_schedule(model.module);
    cg_target *target = cg_target_new(c, "host", 3);
    cg_options options = {.name = "chain", .producer = "bench", .folder = "/tmp"};
    int fd = mkstemps(path, 3);
    require(c, fd >= 0 && target &&
                   cg_write_artefact(model.module, target, entries.list.n, entries.list.at, &options, path));
    jitc_module *loaded = NULL;
    require(c, jitc_load(path, NULL, &loaded) == JITC_OK);
    close(fd);
    remove(path);
    cg_target_free(target);
    ir_context_free(c);
    rt_free(text);
    return loaded;
}

/* Microseconds of one convolution in the middle of a chain: the fastest of all. */
static double measure(const conv_shape *s, int form, int rounds) {
    double bytes = 4. * (double)(s->ic * s->oc) * (form ? (form_size[form] + 2) * (form_size[form] + 2) : 9),
           best = 1e30;
    int n = bytes * MAX_CHAIN < CHAIN_BYTES   ? MAX_CHAIN
            : bytes * MIN_CHAIN < CHAIN_BYTES ? (int)(CHAIN_BYTES / bytes)
                                              : MIN_CHAIN;
    jitc_module *m = compile(s, n, form);
    jitc_session_opts o = {.size = sizeof o, .profile = 1};
    jitc_session *session;
    jitc_tensor *in = rt_tensor_new(DT_F32, 4, (int64_t[]){1, s->ic, s->h, s->w});
    if (!in || jitc_session_new(m, &o, &session) != JITC_OK) exit(1);
    for (int64_t i = 0; i < s->ic * s->h * s->w; i++) ((float *)in->storage->data)[i] = (float)(i % 17) - 8;
    for (int r = 0; r < rounds; r++) {
        jitc_tensor *out = NULL;
        const jitc_profile_row *rows;
        if (jitc_run_tensors(session, "f", 1, &in, 1, &out) != JITC_OK) exit(1);
        int count = jitc_session_profile(session, &rows);
        for (int i = 1; i + 1 < count; i++) /* the first and the last one change the order of the image */
            if (r && (double)rows[i].ns * 1e-3 < best) best = (double)rows[i].ns * 1e-3;
    }
    rt_tensor_release(in);
    jitc_session_free(session);
    jitc_module_release(m);
    return best;
}

static const conv_shape shapes[] = {
    {1, 512, 512, 7, 7},   {1, 256, 256, 7, 7}, {1, 128, 128, 7, 7},   {1, 32, 32, 7, 7},     {1, 512, 512, 14, 14},
    {1, 256, 256, 14, 14}, {1, 64, 64, 14, 14}, {1, 256, 256, 28, 28}, {1, 128, 128, 28, 28}, {1, 32, 32, 28, 28},
    {1, 64, 64, 56, 56},   {1, 16, 16, 56, 56}, {1, 32, 32, 112, 112}, {1, 64, 64, 4, 4}};
enum { NSHAPES = sizeof shapes / sizeof *shapes };

typedef struct times {
    double us[NSHAPES][FORMS];
} times;

/* How far the table is off: logarithms, so that all sizes count; not squared, since a measurement may be disturbed. */
static double misfit(const conv_costs *t, const times *x) {
    double sum = 0;
    for (int i = 0; i < NSHAPES; i++)
        for (int f = 0; f < FORMS; f++) sum += fabs(log(conv_cost(t, &shapes[i], form_size[f], 3) * 1e-3 / x->us[i][f]));
    return sum;
}

/* Goes down by one coefficient after the other. */
static conv_costs fitted(const times *x) {
    conv_costs t = conv_costs_measured, next;
    for (int round = 0; round < 2000; round++) {
        size_t at = (size_t)round / 2 % (sizeof t / sizeof(double));
        next = t;
        ((double *)&next)[at] *= round % 2 ? 1.02 : 1 / 1.02;
        if (misfit(&next, x) < misfit(&t, x)) t = next;
    }
    return t;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 30;
    const conv_costs *t = &conv_costs_measured;
    times x;
    printf("%24s %20s %20s %20s\n", "channels, result", "direct", "F(2x2)", "F(4x4)");
    for (int i = 0; i < NSHAPES; i++) {
        const conv_shape *s = &shapes[i];
        int best = 0;
        for (int f = 1; f < FORMS; f++)
            if (conv_cost(t, s, form_size[f], 3) < conv_cost(t, s, form_size[best], 3)) best = f;
        printf("%10d %6dx%-6d", (int)s->ic, (int)s->h, (int)s->w);
        for (int f = 0; f < FORMS; f++) {
            x.us[i][f] = measure(s, f, rounds);
            printf(" %9.1f %9.1f%c", x.us[i][f], conv_cost(t, s, form_size[f], 3) * 1e-3, f == best ? '*' : ' ');
            fflush(stdout);
        }
        printf("\n");
    }
    conv_costs best = fitted(&x);
    printf("misfit %.3f, with the table below %.3f\n", misfit(t, &x), misfit(&best, &x));
#define COST(name, ns, what) printf("COST(%s, %.3g, \"%s\")\n", #name, best.name, what);
#include "lower/conv_cost.def"
#undef COST
    return 0;
}
