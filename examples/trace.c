/* trace.c: a network written in C, run on real tensors, and traced to a graph.
 *
 *   trace mlp.ir && jitc mlp.ir -o mlp.so && deploy mlp.so
 *
 * Two examples with different batches tell the compiler that the batch may vary. */
#include "jitc/jitc.h"

#include <stdio.h>

enum { IN = 8, HIDDEN = 16, OUT = 4 };

typedef struct mlp {
    jitc_t w1, b1, w2, b2;
} mlp;

static void forward(jitc_context *c, void *env, int nin, const jitc_t *in, int nout, jitc_t *out) {
    mlp *net = env;
    (void)c, (void)nin, (void)nout;
    jitc_t h = jitc_relu(jitc_linear(in[0], net->w1, net->b1));
    out[0] = jitc_softmax(jitc_linear(h, net->w2, net->b2), -1);
}

/* A tensor of made-up numbers; deploy fills its inputs in the same way. */
static jitc_t numbers(jitc_context *c, int ndim, const int64_t *shape) {
    float data[HIDDEN * IN];
    int n = 1;
    for (int i = 0; i < ndim; i++) n *= (int)shape[i];
    for (int i = 0; i < n; i++) data[i] = (float)(i % 17) / 17 - 0.5f;
    return jitc_from_data(c, JITC_F32, ndim, shape, data);
}

static int report(jitc_context *c) {
    fprintf(stderr, "%s\n", jitc_context_error(c));
    jitc_close(c);
    return 1;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "mlp.ir";
    jitc_context *c;
    if (jitc_open(&c) != JITC_OK) return fprintf(stderr, "%s\n", jitc_error()), 1;
    mlp net = {
        jitc_name(numbers(c, 2, (int64_t[]){HIDDEN, IN}), "fc1.weight"),
        jitc_name(numbers(c, 1, (int64_t[]){HIDDEN}), "fc1.bias"),
        jitc_name(numbers(c, 2, (int64_t[]){OUT, HIDDEN}), "fc2.weight"),
        jitc_name(numbers(c, 1, (int64_t[]){OUT}), "fc2.bias"),
    };
    jitc_t x[] = {jitc_name(numbers(c, 2, (int64_t[]){1, IN}), "x"), numbers(c, 2, (int64_t[]){2, IN})};

    jitc_t y; /* eagerly: it just runs */
    forward(c, &net, 1, &x[1], 1, &y);
    const float *data = jitc_data(y);
    if (!data) return report(c);
    for (int i = 0; i < 2 * OUT; i++) printf("%s%.5f%s", i % OUT ? " " : "  eager: ", data[i], i % OUT == OUT - 1 ? "\n" : "");

    jitc_graph *g; /* and as a graph, checked on both examples */
    if (jitc_trace(c, "forward", forward, &net, 1, 1, 2, x, &g) != JITC_OK) return report(c);
    if (jitc_trace_save(g, path) != JITC_OK) return report(c);
    printf("%s", jitc_trace_text(g));
    jitc_close(c);
    return 0;
}
