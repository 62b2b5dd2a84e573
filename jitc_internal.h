/* jitc_internal.h: the top of the library for the command and the tests: a model of any format, and compile() in parts. */
#ifndef JITC_INTERNAL_H
#define JITC_INTERNAL_H

#include "ir/case.h"
#include "jitc/jitc.h"
#include "lower/entries.h"
#include "lower/pass.h"
#include "script/import.h"

/* A context with all ops and vocabularies.  NULL: out of memory.  Ends with ir_context_free. */
ir_context *jitc_context_new(void);

typedef struct jitc_model {
    ir_context *c;
    ir_module *module;
    const char *file, *stem;
    script_import *import; /* archive, or NULL */
    script_unit *unit;     /* .py or archive, or NULL */
    int nmethods;          /* what may be compiled */
    const char *const *methods;
} jitc_model;

/* Reads .pt, .ir (with the weights beside it) or .py by its suffix; emits no method yet.  NULL after diagnostics. */
jitc_model *jitc_read_model(ir_context *c, const char *path);
/* The surface function of a method, emitted on first use.  false after diagnostics. */
bool jitc_model_method(jitc_model *m, const char *name, lower_method *out);
/* The model's method that is meant where none is named: forward, or the only one; NULL after a diagnostic. */
const char *jitc_default_method(const jitc_model *m);

/* What to compile, by the options; examples (may be NULL) are cases that were read already, else o->examples are read. */
bool jitc_model_entries(jitc_model *m, const jitc_compile_opts *o, const ir_cases *examples, lower_entries *out);

/* Compiles to a file of any of the suffixes.  log (may be NULL) gets dumps and statistics. */
bool jitc_compile_model(jitc_model *m, const jitc_compile_opts *o, const lower_entries *entries, const char *out, rt_text *log);

/* Compiles to a temporary shared object, loads it as a deployed program does and removes it.  NULL after a diagnostic. */
jitc_module *jitc_compile_and_load(jitc_model *m, const jitc_compile_opts *o, const lower_entries *entries, const jitc_load_opts *load, rt_text *log);

#endif
