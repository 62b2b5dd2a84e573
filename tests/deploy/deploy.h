/* deploy.h: what the programs in this folder share: a model of tests/models, compiled to a shared object and loaded from it as
 * a deployed program does, with its recorded calls and the reference interpreter to compare with.
 *
 * Under a sanitizer the generated code is instrumented too.  Programs are plain mains, because they also run under
 * ThreadSanitizer; what is wrong ends them with a message. */
#ifndef JITC_TESTS_DEPLOY_H
#define JITC_TESTS_DEPLOY_H

#include "jitc_internal.h"
#include "lower/comp.h"
#include "runtime/module.h"

/* Ends the program with exit 1. */
void deploy_fail(const char *file, int line, const char *fmt, ...) RT_PRINTF(3, 4) __attribute__((noreturn));
#define REQUIRE(x, ...) ((x) ? (void)0 : deploy_fail(__FILE__, __LINE__, __VA_ARGS__))

typedef struct deploy {
    ir_context *c;
    jitc_model *model;
    ir_cases *cases; /* that the archive came with */
    char dir[64], path[80]; /* of the shared object */
    jitc_module *module;
} deploy;

/* Compiles tests/models/NAME.pt: for the given words of --input (ended by NULL), or for its cases if inputs is NULL, with these
 * options beside.  false: the model is refused, and why is printed. */
bool deploy_open(deploy *d, const char *name, const char *const *inputs, const jitc_compile_opts *opts /* or NULL */);
/* The same, but for loading it. */
bool deploy_compile(deploy *d, const char *name, const char *const *inputs, const jitc_compile_opts *opts);
void deploy_close(deploy *d);

/* threads: as in jitc_session_opts. */
jitc_session *deploy_session(const deploy *d, int threads);
/* A copy that shares nothing; owned. */
rt_value deploy_copy(rt_value v);
/* Runs case i with fresh arguments and appends what came out, bit by bit: the result and the arguments after it, or the failure.
 * Thread-safe for sessions of their own. */
void deploy_run(const deploy *d, jitc_session *s, int i, rt_text *out);

/* A tensor of small random numbers that depend on `seed` alone; owned. */
jitc_tensor *deploy_floats(int ndim, const int64_t *shape, unsigned seed);
/* The same of i64, from 1 to `most`. */
jitc_tensor *deploy_ints(int ndim, const int64_t *shape, int64_t most, unsigned seed);
/* Compares `got` with what the interpreter gives for forward(x[0], ..., x[n - 1]): f32, to 1e-4. */
void deploy_agrees(deploy *d, int n, jitc_tensor *const *x, jitc_tensor *got);

/* What every model's name in tests/models is given to, in alphabetic order; names: those that the program was called with, or
 * all. */
void deploy_each(int argc, char **argv, void (*test)(const char *name));

#endif
