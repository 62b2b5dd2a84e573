/* jitc/jitc.h: the compiler as a library.  C99, also accepted by C++.  Includes runtime.h: what it writes is loaded and
 * run by that.
 *
 *   jitc_compile_opts o = {sizeof o};
 *   const char *inputs[] = {"x=f32[N, 3, 224, 224]", "N:1..64"};
 *   o.inputs = inputs, o.ninputs = 2;
 *   char *text;
 *   if (jitc_compile("net.pt", "net.so", &o, &text) != JITC_OK) fputs(text, stderr);
 *   jitc_free(text);
 *
 * Calls are independent of each other and keep no global state: several threads may compile at the same time. */
#ifndef JITC_JITC_H
#define JITC_JITC_H

#include "jitc/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All-zero members mean the default.  Everything is read during the call only. */
typedef struct jitc_compile_opts {
    size_t size; /* sizeof(jitc_compile_opts) */
    /* "NAME=f32[N, 3, 224, 224]": dtype and sizes of an argument; an identifier is a symbolic size, the same name is the
     * same size.  "N:1..64" bounds one. */
    const char *const *inputs;
    int ninputs;
    const char *const *examples; /* files of cases: methods, dtypes, ranks and sizes are taken from their calls */
    int nexamples;
    const char *cases;           /* "0,2": only these cases of the examples */
    const char *const *methods;  /* default: those that the examples call, else forward */
    int nmethods;
    const char *const *specialise; /* "ARG=VALUE": a constant */
    int nspecialise;
    const char *target; /* "host" (default), "x86-64-v3", "aarch64", a triple; "+feature" may follow */
    int optimise;       /* 1, 2, 3; 0: the default, 3; -1: no optimisation */
    const char *name;   /* of the module and its symbols; default: the model's file name without suffix */
    int weights_side;   /* 1: weights in NAME.weights beside the output */
    int verify;         /* 1: check the IR after every pass */
    int stats;          /* 1: a line for each pass in the text */
    const char *print_after; /* name of a pass, or "all": the IR after it, in the text */
    const char *stop_after;  /* name of a pass: for an output that ends in .ir */
    const char *skip;        /* passes to leave out, with commas */
    int colour;              /* 1: messages with terminal colours */
} jitc_compile_opts;

/* Compiles `model` (.pt, .ir, .py) to `out`; the suffix says what: .so, .o or .a (with a .h beside), .ll, .s, .ir (with
 * .weights.safetensors beside).  On failure nothing is written.  *text (may be NULL): warnings, errors, dumps; caller frees with
 * jitc_free; NULL if there are none.  JITC_E_UNSUPPORTED: the model or an option is wrong or not supported. */
JITC_API jitc_status jitc_compile(const char *model, const char *out, const jitc_compile_opts *opts /* or NULL */, char **text);
JITC_API void jitc_free(void *p); /* takes NULL */

#ifdef __cplusplus
}
#endif
#endif
