/* entries.h: what is to be compiled: from the user's words about inputs, or from calls given as examples, to
 * entries.
 *
 * Examples of one method fall into variants by the dtypes and ranks of tensors and the None-ness of values,
 * nested ones too.  Within a variant a size that is the same in all examples is that constant, one that
 * varies is a symbol, and two that agree in every example are one symbol.  Ints, floats, bools and strings
 * are run-time values; so are the lengths of lists and the keys of dicts. */
#ifndef JITC_LOWER_ENTRIES_H
#define JITC_LOWER_ENTRIES_H

#include "lower/lower.h"

typedef struct lower_method {
    const char *name;
    ir_func *func;             /* surface */
    int skip;                  /* 1: the first parameter is the module object */
    const rt_value **defaults; /* by parameter after `skip`; NULL: none.  Borrowed from the context */
} lower_method;

typedef struct lower_call { /* one example; args borrowed */
    int nargs;
    const rt_value *args;
} lower_call;

/* What the user said: "x=f32[N, 3]" and "N:1..64" (--input), "flag=true" (--specialise). */
typedef struct lower_words {
    int ninputs, nspecialise;
    const char *const *inputs, *const *specialise;
} lower_words;

typedef struct lower_entries {
    RT_VEC(lower_entry) list;
} lower_entries;

/* Appends entries; false after diagnostics.  Memory: the context. */
bool lower_entries_from_calls(ir_module *m, const lower_method *f, const lower_words *w, int ncalls,
                              const lower_call *calls, lower_entries *out);
bool lower_entries_from_inputs(ir_module *m, const lower_method *f, const lower_words *w, lower_entries *out);

#endif
