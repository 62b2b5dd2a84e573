/* ffi.h: custom operators as plain C functions of a shared library, called through libffi.
 *
 * A signature is a flat text: a letter per argument, '>', a letter per result.  What the C function receives:
 *   T  tensor         const DLTensor *, contiguous, on the host
 *   M  tensor that the function writes in place     DLTensor *, as it is (mind the strides)
 *   i  int            int64_t
 *   f  float          double
 *   b  bool           int32_t, 0 or 1
 *   s  str            const char *, NUL-terminated
 *   X? may be None    T, M, s: NULL; i, f, b: by pointer, const int64_t * ..., NULL for None
 *   [X] list          int64_t n, const X *items (tensors: const DLTensor *const *)
 * and for each result, after the arguments:
 *   T  DLManagedTensorVersioned **  (set by the function; taken)        i f b  int64_t *  double *  int32_t *
 *   M  nothing: the first M argument itself is the result
 * It returns NULL, or why it failed ("ValueError: text", or a text alone), which must stay valid while it is
 * read. So `TTif>T` is `const char *op(const DLTensor *, const DLTensor *, int64_t, double,
 * DLManagedTensorVersioned **)`. All pointers are borrowed for the call. */
#ifndef JITC_RUNTIME_FFI_H
#define JITC_RUNTIME_FFI_H

#include "jitc/runtime.h"
#include "runtime/value.h"

/* A bound operator.  Immutable after creation; as thread-safe as its function. */
typedef struct rt_ffi rt_ffi;

/* Caller frees with rt_ffi_free.  NULL: why[n] says so. */
rt_ffi *rt_ffi_new(void (*fn)(void), const char *signature, char *why, size_t n);
/* Loads `path`, which stays loaded as long as the operator lives. */
rt_ffi *rt_ffi_open(const char *path, const char *symbol, const char *signature, char *why, size_t n);
void rt_ffi_free(rt_ffi *f); /* takes NULL */
int rt_ffi_args(const rt_ffi *f);
int rt_ffi_results(const rt_ffi *f);
/* As a host function: false after rt_raise. */
bool rt_ffi_call(const rt_ffi *f, rt_env *env, const rt_value *args, int nargs, rt_value *out);
/* For jitc_load_opts.ops: name and f must outlive the module. */
jitc_op rt_ffi_op(const char *name, rt_ffi *f);

#endif
