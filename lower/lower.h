/* lower.h: the passes: surface graph -> core -> grouped -> planned.  The order stands in passes.def. */
#ifndef JITC_LOWER_LOWER_H
#define JITC_LOWER_LOWER_H

#include "ir/ir.h"

/* What the compiler is told about one argument of an entry (self excluded). */
typedef struct lower_arg {
    const ir_type *type; /* core type: f32[N, 3], int<k>, float, bool, str, none, list[...], tuple, dict */
    bool constant;       /* treat as the constant `value` (--specialise) */
    rt_value value;
    const char *name;    /* as callers know it; NULL: that of the parameter */
    bool has_default;    /* callers may leave it out: it is `def` then, which fits the type */
    rt_value def;
    bool has_length;     /* a list that has the same length in all examples; any length fits the type */
    int64_t length;
} lower_arg;

typedef struct lower_entry {
    const char *name;   /* of the core function, unique: "forward", "forward.1" */
    const char *method; /* the exported method */
    ir_func *func;      /* surface function; its first parameter is the module object if the module has one */
    int nargs;
    const lower_arg *args;
} lower_entry;

/* specialise.c: a partial evaluator: inlines, computes what is known, removes classes, containers, views and
 * in-place writes, gives every tensor a dtype, rank and symbolic dims.  NULL after diagnostics (all of them). */
ir_module *lower_specialise(ir_module *m, int nentries, const lower_entry *entries);

#endif
