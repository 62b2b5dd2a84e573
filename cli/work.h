/* work.h: what the commands share: a context with its phase boundary, compile options, and one way to run methods. */
#ifndef JITC_CLI_WORK_H
#define JITC_CLI_WORK_H

#include "cli/cli.h"
#include "codegen/peak.h"
#include "jitc/ffi.h"
#include "jitc_internal.h"
#include "lower/comp.h"

/* ---- cli_context.c */
/* Runs body with a fresh context, prints its diagnostics and frees it.  Out of memory ends the body with CLI_WRONG; an
 * error that is a bug of ours gives CLI_BUG whatever the body says. */
int cli_in_context(const cli_args *a, int (*body)(ir_context *c, const cli_args *a));
bool cli_has_suffix(const char *path, const char *suffix);
bool cli_is_module(const char *path); /* a compiled one: NAME.so */
/* The functions of --op for a load: *out gets find_op.  To be freed after the module; NULL after a diagnostic. */
jitc_ffi *cli_custom(ir_context *c, jitc_load_opts *out);
jitc_compile_opts cli_compile_opts(const cli_args *a); /* borrows from a */
/* Opens a file of cases; *on says which of them --case selects.  NULL after a diagnostic. */
ir_cases *cli_cases(ir_context *c, const char *path, const char *select, bool **on);

/* ---- cli_execute.c: a method run by the reference interpreter or by a loaded module, with no fallback from one to the
 * other */
typedef struct cli_runner {
    ir_context *c;
    jitc_model *model; /* NULL: files.at[0] is a compiled module */
    lower_interp *in;
    rt_value held; /* its last result */
    rt_env env;
    jitc_module *module;
    jitc_session *session;
    jitc_ffi *custom; /* what the module's custom operators call */
} cli_runner;
typedef enum cli_outcome {
    CLI_RAN,
    CLI_RAISED,
    CLI_REFUSED, /* the call does not fit the module */
    CLI_UNSUPPORTED
} cli_outcome;

/* Reads the model, or loads the module.  false after diagnostics; cli_runner_close in any case. */
bool cli_runner_open(cli_runner *r, ir_context *c, const cli_args *a);
/* Compiles a model for these cases (NULL: as the options say) and loads it, or makes the interpreter; then a session. */
bool cli_runner_start(cli_runner *r, const cli_args *a, int threads, const ir_cases *cases, const bool *on);
void cli_runner_close(cli_runner *r);
/* *out is borrowed until the next call; cls and message (of a failure) likewise. */
cli_outcome cli_runner_call(cli_runner *r, const char *method, int nargs, const rt_value *args, rt_value *out, const char **cls,
                            const char **message);

/* ---- cli_profile.c */
double cli_now(void); /* seconds from some point on */
void cli_sort(double *x, int n);

typedef struct cli_call { /* as jitc_run takes it */
    const char *method;
    int nargs;
    const jitc_value *args;
} cli_call;

typedef struct cli_trace_call {
    const char *name;
    double begin, seconds; /* begin: from that of the first call */
    int n;
    jitc_profile_row *rows;
} cli_trace_call;
typedef struct cli_trace { /* calls of sessions that profile; memory: the context */
    ir_context *c;
    RT_VEC(cli_trace_call) calls;
    double origin;
} cli_trace;
/* The session's last call; begin and end by cli_now. */
void cli_trace_add(cli_trace *t, const char *name, double begin, double end, jitc_session *s);
bool cli_trace_write(const cli_trace *t, const char *path); /* false after a diagnostic */

/* A session that profiles, and what the machine can do on as many threads. */
typedef struct cli_profiler {
    jitc_session *session;
    cg_peak *peak;
    double flops, bytes; /* per second at most, as measured so far */
    cli_trace trace;
} cli_profiler;
bool cli_profiler_open(cli_profiler *p, ir_context *c, jitc_module *m, int threads); /* false after a diagnostic */
void cli_profiler_close(cli_profiler *p);
/* Runs the call many times and prints its kernels, the slowest first; one run is added to the trace.  json: as members of an
 * object.  false after a diagnostic. */
bool cli_profile(cli_profiler *p, const cli_call *k, bool json);

#endif
