/* jitc/ffi.h: custom operators of compiled modules as plain C functions.  C99, also accepted by C++.  A library of its own
 * beside the runtime (jitc_ffi), because it needs libffi; programs whose modules have no custom operators need neither.
 *
 *   jitc_ffi *f;
 *   jitc_ffi_new(&f);
 *   jitc_ffi_add_library(f, "my_ops::norms", "./libmy_ops.so", "norms");
 *   jitc_load_opts o = {sizeof o};
 *   jitc_ffi_use(f, &o);
 *   jitc_load("model.so", &o, &m);        // JITC_E_MISSING lists all that were not given
 *   ...
 *   jitc_module_release(m), jitc_ffi_free(f);
 *
 * What the functions receive and give is described at jitc_register_op in jitc/jitc.h: it follows from the schema that the
 * model was compiled with, which the module carries.  Functions are called by all threads that run the module. */
#ifndef JITC_FFI_H
#define JITC_FFI_H

#include "jitc/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Functions by the names of the operators.  One thread at a time. */
typedef struct jitc_ffi jitc_ffi;

/* *out: caller frees with jitc_ffi_free. */
JITC_API jitc_status jitc_ffi_new(jitc_ffi **out);
/* Takes NULL.  After the modules that were loaded with it, and after tensors that the functions made. */
JITC_API void jitc_ffi_free(jitc_ffi *f);
/* A function of this program, cast to the type.  name: "my_ops::norms" or "my_ops::norms.overload"; copied. */
JITC_API jitc_status jitc_ffi_add(jitc_ffi *f, const char *name, void (*fn)(void));
/* `symbol` of the shared object `library`, which is opened now and stays open until jitc_ffi_free. */
JITC_API jitc_status jitc_ffi_add_library(jitc_ffi *f, const char *name, const char *library, const char *symbol);
/* Sets find_op and user of opts. */
JITC_API void jitc_ffi_use(jitc_ffi *f, jitc_load_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
