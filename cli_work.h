/* cli_work.h: what the commands share: a context with its phase boundary, models, compiled modules, values. */
#ifndef JITC_CLI_WORK_H
#define JITC_CLI_WORK_H

#include "cli.h"
#include "ir/case.h"
#include "jitc/runtime.h"
#include "lower/comp.h"
#include "script/import.h"

/* Runs body with a fresh context, prints its diagnostics and frees it.  Out of memory ends the body with CLI_WRONG; an
 * error that is a bug of ours gives CLI_BUG whatever the body says. */
int cli_in_context(const cli_args *a, int (*body)(ir_context *c, const cli_args *a));
void cli_diags(ir_context *c); /* prints those that were not printed yet */
bool cli_has_suffix(const char *path, const char *suffix);

/* A model as its front end gives it. */
typedef struct cli_model {
    ir_module *module;
    script_import *import; /* .pt */
    script_unit *unit;     /* .py */
} cli_model;
bool cli_model_open(ir_context *c, const char *path, cli_model *out);
ir_func *cli_model_method(ir_context *c, cli_model *m, const char *method); /* NULL after a diagnostic */
int cli_model_methods(ir_context *c, cli_model *m, const char *const **names); /* the exported ones */

/* The cases that `text` ("0,2", or NULL: all) selects: *out is an array of `cases->n` bools. */
bool cli_select_cases(ir_context *c, const char *text, const ir_cases *cases, bool **out);

/* ---- cli_module.c */
/* Loads a compiled module, or compiles a model into a temporary one.  NULL after diagnostics. */
jitc_module *cli_load(ir_context *c, const cli_args *a, const ir_cases *cases, const bool *selected);

/* ---- cli_execute.c: one way to run a method, by the interpreter or a loaded module */
typedef struct cli_runner {
    ir_context *c;
    cli_model model;
    lower_interp *in;
    jitc_module *module;
    jitc_session *session;
    rt_value held; /* the interpreter's last result */
    rt_env env;
} cli_runner;
typedef enum cli_outcome { CLI_RAN, CLI_RAISED, CLI_REFUSED /* the call does not fit the module */, CLI_UNSUPPORTED } cli_outcome;

bool cli_runner_open(cli_runner *r, ir_context *c, const cli_args *a, int threads, const ir_cases *cases, const bool *selected);
void cli_runner_close(cli_runner *r);
/* *out is borrowed until the next call; cls and message (of a failure) likewise. */
cli_outcome cli_runner_call(cli_runner *r, const char *method, int nargs, const rt_value *args, rt_value *out, const char **cls,
                            const char **message);

#endif
