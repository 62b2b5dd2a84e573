/* script.h: the script language: user scripts, the code inside TorchScript archives and the vocabularies.
 *
 * A unit holds parsed files and emits their functions into one ir_module as surface graphs, on request and with all
 * that they call.  Memory is the context's.  After any diagnostic the graphs are incomplete: ask c->nerrors. */
#ifndef JITC_SCRIPT_SCRIPT_H
#define JITC_SCRIPT_SCRIPT_H

#include "ir/ir.h"

typedef struct script_unit script_unit;

script_unit *script_unit_new(ir_module *m);

/* Parses a file and registers its classes, functions and constants under `prefix.name` (prefix NULL or "": the bare
 * name).  The text is copied.  false: syntax errors were reported; what could be parsed is registered all the same. */
bool script_parse(script_unit *u, const char *file, const char *prefix, const char *text, size_t n);

/* Called with a qualified name ("__torch__.a.b.C") that no parsed file defines; the loader may call script_parse. */
typedef void script_loader(void *env, script_unit *u, const char *qualified);
void script_set_loader(script_unit *u, script_loader *fn, void *env);

/* The format version of the archive that the code comes from: ops that meant something else then get that meaning. */
void script_set_version(script_unit *u, int version);

/* The tuple behind CONSTANTS.cN (borrowed; must live as long as the context).  Tensors become params "CONSTANTS.cN". */
void script_set_constants(script_unit *u, rt_value tuple);

/* NULL: there is no such thing (no diagnostic), or it is in error (diagnostics). */
ir_class *script_class(script_unit *u, const char *qualified);
ir_func *script_func(script_unit *u, const char *qualified);
ir_func *script_method(script_unit *u, ir_class *cls, const char *name);
bool script_has_method(script_unit *u, const ir_class *cls, const char *name); /* emits nothing */

/* Parses a type as annotations write it ("Dict[str, int]", "List[__torch__.A]"); NULL after a diagnostic. */
const ir_type *script_type(script_unit *u, const char *text);

/* Names of the top-level functions of the files without prefix, in order.  *names is in the arena. */
int script_functions(script_unit *u, const char *const **names);
/* Names of the methods that a class defines in its source, in order. */
int script_methods(script_unit *u, const ir_class *cls, const char *const **names);

/* Default of parameter i (self counts) of an emitted function, if the source gives a literal one: *out is owned. */
bool script_default(script_unit *u, const ir_func *f, int i, rt_value *out);

/* Sets c->vocabulary and c->composite, which define ops from the embedded script/prelude.py. */
void script_vocabulary_init(ir_context *c);
/* Adds the ops that a vocabulary text defines (as prelude.py does).  The text is copied.  false: errors were reported. */
bool script_vocabulary_add(ir_context *c, const char *file, const char *text, size_t n);

#endif
