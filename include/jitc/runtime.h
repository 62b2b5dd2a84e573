/* jitc/runtime.h: run compiled modules.  C99, also accepted by C++.
 *
 *   jitc_module *m;    jitc_load("model.so", NULL, &m);
 *   jitc_session *s;   jitc_session_new(m, NULL, &s);
 *   jitc_tensor *y = NULL;
 *   if (jitc_run_tensors(s, "forward", 1, &x, 1, &y) != JITC_OK) puts(jitc_session_error(s));
 *
 * No function aborts, prints, or keeps global state.  A function that can fail returns a status; results come
 * last and are zeroed on failure.  Ownership words: "borrowed" things must stay valid as long as it is said;
 * what the "caller frees with X" is the caller's.  Option structs begin with their size; all-zero members
 * mean the default.
 *
 * Sections: version, status, tensor, value, module, session, run, custom operators. */
#ifndef JITC_RUNTIME_H
#define JITC_RUNTIME_H

#include "jitc/dlpack.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef JITC_API
#if defined(__GNUC__)
#define JITC_API __attribute__((visibility("default")))
#else
#define JITC_API
#endif
#endif

/* ======================================================= version */

#define JITC_VERSION_MAJOR 0
#define JITC_VERSION_MINOR 1
#define JITC_VERSION_PATCH 0
#define JITC_VERSION (JITC_VERSION_MAJOR * 10000 + JITC_VERSION_MINOR * 100 + JITC_VERSION_PATCH)

/* JITC_VERSION of the library that runs, which may differ from that of the header. */
JITC_API int jitc_version(void);

/* ======================================================= status */

typedef enum jitc_status {
    JITC_OK = 0,
    JITC_E_MEMORY = 1,   /* out of memory */
    JITC_E_ARGUMENT = 2, /* a call breaks the rules of this header, or a wrong number or kind of arguments */
    JITC_E_FILE = 3,     /* a file cannot be read */
    JITC_E_FORMAT = 4,   /* not a module, or of another version */
    JITC_E_CPU = 5,      /* the module needs instructions that this machine lacks */
    JITC_E_MISSING = 6,  /* the module needs operators that were not given */
    JITC_E_METHOD = 7,   /* no such method, or no variant for these dtypes, ranks or Nones */
    JITC_E_SHAPE = 8,    /* a size is not what the module was compiled for */
    JITC_E_GUARD = 9,    /* an assumption of the compiler, named in the text, does not hold */
    JITC_E_RAISED = 10, /* the program raised an exception */
    JITC_E_UNSUPPORTED = 11
} jitc_status;

/* Name of a status, "JITC_E_SHAPE".  Static. */
JITC_API const char *jitc_status_name(jitc_status status);

/* What went wrong in this thread's last failed call of a function that has no session ("" if none did).
 * Borrowed until the thread's next such failure. */
JITC_API const char *jitc_error(void);

/* ======================================================= tensor */

/* clang-format off */
typedef enum jitc_dtype {
    JITC_BOOL, JITC_U8, JITC_I8, JITC_I16, JITC_I32, JITC_I64, JITC_F16, JITC_BF16, JITC_F32, JITC_F64
} jitc_dtype;
/* clang-format on */
#define JITC_MAX_RANK 16

JITC_API const char *jitc_dtype_name(jitc_dtype dtype); /* "f32"; static; "?" for a wrong number */
JITC_API size_t jitc_dtype_size(jitc_dtype dtype);      /* bytes; 0 for a wrong number */

/* A strided view of counted memory.  Immutable after creation but for the elements; retain and release are
 * thread-safe. */
typedef struct rt_tensor jitc_tensor;

/* Contiguous, elements uninitialised, data aligned to 64.  *out: caller frees with jitc_tensor_release. */
JITC_API jitc_status jitc_tensor_new(jitc_dtype dtype, int ndim, const int64_t *shape, jitc_tensor **out);
/* View of the caller's memory.  strides in elements, not negative; NULL: contiguous.  `destroy(owner)` is
 * called when the last reference goes (NULL: nothing is); until then `data` must stay valid.  If this fails
 * nothing is called.  *out: caller frees with jitc_tensor_release. */
JITC_API jitc_status jitc_tensor_wrap(jitc_dtype dtype, int ndim, const int64_t *shape,
                                      const int64_t *strides, void *data, void (*destroy)(void *owner),
                                      void *owner, jitc_tensor **out);
JITC_API void jitc_tensor_retain(jitc_tensor *t);
JITC_API void jitc_tensor_release(jitc_tensor *t); /* takes NULL */

JITC_API jitc_dtype jitc_tensor_dtype(const jitc_tensor *t);
JITC_API int jitc_tensor_ndim(const jitc_tensor *t);
JITC_API const int64_t *jitc_tensor_shape(const jitc_tensor *t);   /* borrowed: lives as long as t */
JITC_API const int64_t *jitc_tensor_strides(const jitc_tensor *t); /* in elements; lives as long as t */
JITC_API int64_t jitc_tensor_numel(const jitc_tensor *t);
JITC_API int jitc_tensor_is_contiguous(const jitc_tensor *t);
JITC_API void *jitc_tensor_data(const jitc_tensor *t); /* address of element 0; lives as long as t */

/* DLPack in: `managed` is taken on success (its deleter runs with the last reference), untouched on failure.
 * Only host memory.  *out: caller frees with jitc_tensor_release. */
JITC_API jitc_status jitc_tensor_from_dlpack(DLManagedTensorVersioned *managed, jitc_tensor **out);
JITC_API jitc_status jitc_tensor_from_dlpack_legacy(DLManagedTensor *managed, jitc_tensor **out);
/* DLPack out: shares t's memory and retains t.  *out: caller frees with its deleter. */
JITC_API jitc_status jitc_tensor_to_dlpack(jitc_tensor *t, DLManagedTensorVersioned **out);
/* The tensor's description.  *out: data, shape and strides are borrowed from t. */
JITC_API void jitc_tensor_describe(const jitc_tensor *t, DLTensor *out);

/* ======================================================= value */

/* An argument or result of any type.  A small struct, passed and copied freely; the members are private.  A
 * value that is "owned" must be ended with jitc_value_release; another lives as long as what it borrows from. */
/* clang-format off */
typedef enum jitc_kind {
    JITC_NONE, JITC_KIND_BOOL, JITC_KIND_INT, JITC_KIND_FLOAT, JITC_KIND_STR, JITC_KIND_TENSOR, JITC_KIND_LIST,
    JITC_KIND_TUPLE, JITC_KIND_DICT, JITC_KIND_OBJECT
} jitc_kind;
/* clang-format on */

typedef struct jitc_value {
    int32_t kind;
    int32_t reserved;
    union {
        int64_t i;
        double f;
        void *p;
    } as;
} jitc_value;

/* These own nothing: no release needed (nor harmful). */
JITC_API jitc_value jitc_none(void);
JITC_API jitc_value jitc_bool(int b);
JITC_API jitc_value jitc_int(int64_t i);
JITC_API jitc_value jitc_float(double f);
JITC_API jitc_value jitc_tensor_value(jitc_tensor *t); /* borrowed: lives as long as t */
/* *out: owned.  Items are borrowed and retained inside.  dict: items are key, value, key, value...; keys are
 * strings, ints, floats or bools. */
JITC_API jitc_status jitc_str(const char *s, size_t n, jitc_value *out);
JITC_API jitc_status jitc_list(int64_t n, const jitc_value *items, jitc_value *out);
JITC_API jitc_status jitc_tuple(int64_t n, const jitc_value *items, jitc_value *out);
JITC_API jitc_status jitc_dict(int64_t pairs, const jitc_value *items, jitc_value *out);
JITC_API jitc_value jitc_value_retain(jitc_value v); /* returns v, now owned */
JITC_API void jitc_value_release(jitc_value v);

/* Reading: a wrong kind gives 0, NULL or none. */
JITC_API jitc_kind jitc_value_kind(jitc_value v);
JITC_API int64_t jitc_value_int(jitc_value v);  /* int or bool */
JITC_API double jitc_value_float(jitc_value v); /* float, int or bool */
JITC_API int64_t jitc_value_length(jitc_value v); /* list, tuple, dict: items; str: bytes */
/* What these give is borrowed: it lives as long as v. */
JITC_API const char *jitc_value_str(jitc_value v, size_t *n /* or NULL */); /* NUL-terminated */
JITC_API jitc_tensor *jitc_value_tensor(jitc_value v);
JITC_API jitc_value jitc_value_item(jitc_value v, int64_t i);       /* list, tuple; dict: the i-th value */
JITC_API jitc_value jitc_value_key(jitc_value v, int64_t i);        /* dict: the i-th key */
JITC_API jitc_value jitc_value_find(jitc_value v, const char *key); /* dict; none if absent */
/* Python's str() of v, cut to n - 1 bytes and NUL-terminated (n may be 0).  Returns the full length. */
JITC_API size_t jitc_value_print(jitc_value v, char *buf, size_t n);

/* ======================================================= module */

/* Compiled code with its weights.  Immutable after creation and thread-safe. */
typedef struct jitc_module jitc_module;
struct jitc_op;

typedef struct jitc_load_opts {
    size_t size;               /* sizeof(jitc_load_opts) */
    const struct jitc_op *ops; /* custom operators; read during the load only, `data` must outlive the module */
    int nops;
    const void *weights; /* another set in the module's layout; aligned to 64; must outlive the module */
    size_t weights_bytes;
    const char *weights_path; /* the side file, where it is not beside the module */
    /* Asked for a custom operator that `ops` lacks, during the load: 1 after filling *op (name may stay NULL), else 0.
     * `signature` tells what it takes and gives: jitc/ffi.h has such a function. */
    int (*find_op)(void *user, const char *name, const char *signature, struct jitc_op *op);
    void *user;
    const char *level; /* of the module's instruction sets the one of this name; NULL: the best that the processor has */
} jitc_load_opts;

/* Loads a shared object that jitc wrote.  Its code runs in this process: load only what you trust.  *out:
 * caller frees with jitc_module_release. */
JITC_API jitc_status jitc_load(const char *path, const jitc_load_opts *opts /* or NULL */, jitc_module **out);
JITC_API jitc_status jitc_load_fd(int fd /* borrowed for the call */, const jitc_load_opts *opts,
                                  jitc_module **out);
JITC_API jitc_status jitc_load_memory(const void *data, size_t bytes, const jitc_load_opts *opts,
                                      jitc_module **out); /* data: borrowed for the call */
/* A module that is linked into the program: &jitc_artefact_NAME of the generated header. */
struct jitc_artefact;
JITC_API jitc_status jitc_load_static(const struct jitc_artefact *artefact, const jitc_load_opts *opts,
                                      jitc_module **out);
JITC_API void jitc_module_retain(jitc_module *m);
JITC_API void jitc_module_release(jitc_module *m); /* takes NULL; sessions keep their module alive */

/* Texts and types that these give are borrowed: they live as long as m. */
JITC_API const char *jitc_module_name(const jitc_module *m);
JITC_API const char *jitc_module_producer(const jitc_module *m); /* "jitc 0.1.0" */
JITC_API const char *jitc_module_level(const jitc_module *m); /* instruction set of the chosen code: "x86-64-v3" */
JITC_API const char *jitc_module_features(const jitc_module *m); /* that the chosen code needs: "avx2,fma" */
JITC_API size_t jitc_module_weights_bytes(const jitc_module *m);
JITC_API size_t jitc_module_prepared_bytes(const jitc_module *m); /* what loading made from the weights, beside them */

/* Entries are methods x variants (by dtype, rank and None-ness of the arguments), numbered from 0. */
JITC_API int jitc_module_entries(const jitc_module *m);
JITC_API const char *jitc_entry_method(const jitc_module *m, int entry);
JITC_API size_t jitc_entry_code_bytes(const jitc_module *m, int entry); /* 0: not known */
JITC_API int jitc_entry_args(const jitc_module *m, int entry);

/* A type in a signature.  Plain data; do not make one yourself. */
typedef struct jitc_type {
    const jitc_module *module;
    int32_t entry, row;
} jitc_type;
/* clang-format off */
typedef enum jitc_type_kind {
    JITC_T_NONE, JITC_T_BOOL, JITC_T_INT, JITC_T_FLOAT, JITC_T_STR, JITC_T_TENSOR, JITC_T_LIST, JITC_T_TUPLE,
    JITC_T_OPTIONAL, JITC_T_DICT, JITC_T_ANY, JITC_T_BOTTOM /* element of a list that must be empty */
} jitc_type_kind;
/* clang-format on */
typedef struct jitc_dim {
    int64_t value;    /* the constant, or -1 */
    int64_t lo, hi;   /* bounds of what is allowed, inclusive; both = value for a constant */
    const char *text; /* "3", "N", "2*N + 1", "?" */
} jitc_dim;

JITC_API jitc_type jitc_entry_arg(const jitc_module *m, int entry, int i);
JITC_API jitc_type jitc_entry_result(const jitc_module *m, int entry);
JITC_API jitc_type_kind jitc_type_get_kind(jitc_type t);
JITC_API const char *jitc_type_name(jitc_type t);    /* of the argument, result or field; "" if it has none */
JITC_API jitc_dtype jitc_type_dtype(jitc_type t);    /* tensor */
JITC_API int jitc_type_rank(jitc_type t);            /* tensor */
JITC_API jitc_dim jitc_type_dim(jitc_type t, int i); /* tensor */
JITC_API int jitc_type_is_written(jitc_type t);      /* an argument that the program writes in place */
JITC_API int jitc_type_has_default(jitc_type t);     /* an argument that may be left out at the end */
JITC_API int jitc_type_children(jitc_type t);        /* list, optional: 1; dict: key, value; tuple: n */
JITC_API jitc_type jitc_type_child(jitc_type t, int i);
/* "f32[N, 3, 224, 224]", "list[tensor]"...; as jitc_value_print. */
JITC_API size_t jitc_type_print(jitc_type t, char *buf, size_t n);

/* What the compiler assumed about the arguments of an entry and the runtime checks. */
JITC_API int jitc_entry_guards(const jitc_module *m, int entry);
JITC_API const char *jitc_entry_guard(const jitc_module *m, int entry, int i, const char **file /* or NULL */,
                                      int *line /* or NULL */);

/* Tensors in the weights. */
typedef struct jitc_param {
    const char *name;
    jitc_dtype dtype;
    int ndim;
    int64_t shape[JITC_MAX_RANK];
    const void *data; /* contiguous, unless packed: then in an order of the compiler's choice */
    size_t bytes;
    int packed;
} jitc_param;
JITC_API int jitc_module_params(const jitc_module *m);
JITC_API jitc_status jitc_module_param(const jitc_module *m, int i, jitc_param *out);

/* Bytes of workspace that a run with arguments of these shapes needs (elements are not read). */
JITC_API jitc_status jitc_module_workspace(const jitc_module *m, const char *method, int nargs,
                                           const jitc_value *args, size_t *bytes);

/* ======================================================= session */

/* The run state of one user of a module: state values, workspace, results, threads.  One thread at a time; many
 * sessions of one module may run at once. */
typedef struct jitc_session jitc_session;

typedef struct jitc_session_opts {
    size_t size; /* sizeof(jitc_session_opts) */
    int threads; /* 0, 1: the calling thread only; n: n threads, the caller included; -1: all cores */
    /* The caller's own thread pool: calls task(arg, i) for each 0 <= i < n, at most `threads` of them at the
     * same time, and returns when all have returned.  NULL: the session makes its own threads. */
    void (*parallel)(void *user, int64_t n, void (*task)(void *arg, int64_t i), void *arg);
    void *user;
    int profile; /* 1: time each operator */
} jitc_session_opts;

/* *out: caller frees with jitc_session_free. */
JITC_API jitc_status jitc_session_new(jitc_module *m, const jitc_session_opts *opts /* or NULL */,
                                      jitc_session **out);
JITC_API void jitc_session_free(jitc_session *s);         /* takes NULL */
JITC_API jitc_status jitc_session_reset(jitc_session *s); /* state values become as they were in the model */
/* A state value by name.  *out: borrowed until the next run, reset or free. */
JITC_API jitc_status jitc_session_state(jitc_session *s, const char *name, jitc_value *out);
/* Bytes of workspace held now; grows only when shapes need more. */
JITC_API size_t jitc_session_workspace(const jitc_session *s);
/* Why the session's last call failed, "IndexError: index 7 is out of range (net.py:12:8)"; "" if it did not.
 * Borrowed until the next call with s. */
JITC_API const char *jitc_session_error(const jitc_session *s);
/* Class of the exception after JITC_E_RAISED, "IndexError"; else "". */
JITC_API const char *jitc_session_error_class(const jitc_session *s);

typedef struct jitc_profile_row { /* an operator, or several that were compiled into one */
    const char *name;        /* "linear+relu"; texts live as long as the module */
    const char *result;      /* types of what it gives: "f32[N, 64]" */
    const char *file;
    int line;
    int op;                  /* its number in its entry: the same in every run */
    int64_t start, ns;       /* nanoseconds, start counted from that of the run */
    /* What it takes by its shapes: multiplications and additions of matrix products and convolutions; operands and
     * results.  0: nothing, or not known before the run. */
    int64_t flops, bytes;
} jitc_profile_row;
/* Number of rows.  *rows: of the last run, in the order of time; borrowed until the next call of a run. */
JITC_API int jitc_session_profile(jitc_session *s, const jitc_profile_row **rows);

/* ======================================================= run */

/* Runs `method` (the variant is chosen by the arguments).  args are borrowed for the call; lists and dicts
 * that the program changes are changed in place.  *result: borrowed until the session's next run, reset or
 * free; whoever keeps it longer calls jitc_value_retain.  A result may be an argument of the next run. */
JITC_API jitc_status jitc_run(jitc_session *s, const char *method, int nargs, const jitc_value *args,
                              jitc_value *result);
/* The same where all arguments and results (tuples taken apart) are tensors.  out[i] NULL: becomes the
 * result, borrowed as above; else the result is written into it: dtype and shape must fit. */
JITC_API jitc_status jitc_run_tensors(jitc_session *s, const char *method, int nin, jitc_tensor *const *in,
                                      int nout, jitc_tensor **out);
/* The same with DLPack.  out[i].data NULL: out[i] is filled in, its pointers borrowed as above; else written
 * into. */
JITC_API jitc_status jitc_run_dlpack(jitc_session *s, const char *method, int nin, const DLTensor *const *in,
                                     int nout, DLTensor *out);

/* ======================================================= custom operators */

/* The frame of a running operator: for jitc_raise only. */
typedef struct rt_env jitc_op_env;
/* Writes nresults owned values into `results`; 0, or after jitc_raise something else.  Must be thread-safe if
 * sessions run on several threads. */
typedef int jitc_op_fn(void *data, jitc_op_env *env, int nargs, const jitc_value *args, int nresults,
                       jitc_value *results);
typedef struct jitc_op {
    const char *name; /* "my_ops::norm" or "my_ops::norm.overload", as the model calls it */
    jitc_op_fn *fn;
    void *data;
} jitc_op;
JITC_API int jitc_raise(jitc_op_env *env, const char *cls, const char *message); /* returns 1 */

#ifdef __cplusplus
}
#endif
#endif
