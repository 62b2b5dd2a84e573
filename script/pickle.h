/* pickle.h: reader of the pickles inside PyTorch archives.
 *
 * A machine that only builds values: it calls nothing and imports nothing.  The opcodes are those that
 * PyTorch writes, the globals a fixed list; classes of the archive and storages come from the caller. */
#ifndef JITC_SCRIPT_PICKLE_H
#define JITC_SCRIPT_PICKLE_H

#include "ir/ir.h"

/* An object whose class restores itself: `method __setstate__(object, state)` is still to be run, in this
 * order. */
typedef struct script_setstate {
    rt_value object, state;
} script_setstate; /* both owned */

typedef struct script_pickle {
    ir_context *c;
    const char *what; /* file and entry, for messages */
    /* Class by qualified name; NULL after a diagnostic.  Fields must be known. */
    ir_class *(*cls)(void *env, const char *name);
    bool (*has_setstate)(void *env, ir_class *cls);
    /* Storage `key` with numel elements as a flat tensor, owned; NULL after a diagnostic.  One key is one
     * rt_storage. */
    rt_tensor *(*storage)(void *env, const char *key, rt_dtype dtype, int64_t numel);
    void *env;
    bool
        shapes_only; /* storages may be absent: tensors get the right dtype and shape over one zero element */
    RT_VEC(script_setstate) setstates; /* out; end with script_pickle_free */
} script_pickle;

/* *out is owned.  Lists are V_LIST, quantised tensors objects of class script_qtensor_class.  False after a
 * diagnostic. */
bool script_unpickle(script_pickle *p, const char *data, size_t n, rt_value *out);
void script_pickle_free(script_pickle *p); /* releases setstates */

/* Fields int_repr (i8, u8 or i32), scale (float or f64 tensor), zero_point (int or i64 tensor), axis (int, or
 * None when quantised per tensor). */
extern const char script_qtensor_name[];

#endif
