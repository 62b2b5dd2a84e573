/* import.h: model archives as modules.
 *
 * An import has the module's objects, params and code; functions are emitted per method, so that what one
 * method needs does not stand in the way of another. */
#ifndef JITC_SCRIPT_IMPORT_H
#define JITC_SCRIPT_IMPORT_H

#include "script/script.h"

typedef struct script_import {
    ir_module
        *module; /* self: the top object; tensors by attribute path ("l1.0.conv1.weight"); example_types */
    script_unit *unit;
    ir_class *cls; /* of the top object */
    int nmethods;
    const char *const *methods; /* that the top class defines, in order: the exported ones */
} script_import;

/* Reads a TorchScript archive; emits no function yet.  NULL after diagnostics.  Memory: the context. */
script_import *script_import_open(ir_context *c, const char *path);
script_import *script_import_bytes(ir_context *c, const char *name, const void *data,
                                   size_t n); /* copies the bytes */
/* The surface function of an exported method, emitted on first use.  NULL after diagnostics. */
ir_func *script_import_method(script_import *s, const char *method);

/* The same with all exported methods emitted. */
ir_module *script_import_torchscript(ir_context *c, const char *path);
ir_module *script_import_memory(ir_context *c, const char *name, const void *data, size_t n);

#endif
