/* value.h: tensors and the one boxed value, used by the interpreter, eager mode, `check` and compiled code.
 *
 * A value is a small tagged struct passed by copy; its heap part, if any, is counted.  Ownership words:
 * a function argument of type rt_value is *borrowed*; a result (return or *out) is *owned* by the caller,
 * who ends it with rt_release; "taken" means the callee becomes the owner.  Counting is atomic. */
#ifndef JITC_RUNTIME_VALUE_H
#define JITC_RUNTIME_VALUE_H

#include "runtime/base.h"

/* ---- dtypes (table: dtype.def) */
typedef enum rt_dtype {
#define DTYPE(id, text, bytes, kind, bits, c10, st, dl) id,
#include "runtime/dtype.def"
#undef DTYPE
    DT_COUNT,
    DT_NONE = -1 /* not known */
} rt_dtype;

typedef struct rt_dtype_info {
    const char *name;
    int bytes;
    char kind; /* 'B' 'U' 'I' 'F' */
    int bits, c10;
    const char *safetensors;
    int dlpack;
} rt_dtype_info;
extern const rt_dtype_info rt_dtypes[DT_COUNT];

rt_dtype rt_dtype_by_name(const char *name, size_t n);        /* DT_NONE if there is none; "f32" */
rt_dtype rt_dtype_by_safetensors(const char *name, size_t n); /* "F32" */
rt_dtype rt_dtype_by_c10(int64_t code);                       /* TorchScript's number */
rt_dtype rt_promote(rt_dtype a, rt_dtype b); /* PyTorch's promotion table for two tensors of like category */

float rt_f16_to_f32(uint16_t h);
uint16_t rt_f32_to_f16(float f); /* round to nearest even */
float rt_bf16_to_f32(uint16_t h);
uint16_t rt_f32_to_bf16(float f); /* round to nearest even, NaN stays NaN */

/* ---- tensors: strided views of counted storage.  Strides and offset are in elements, never negative. */
enum { RT_MAX_RANK = 16 };

typedef struct rt_storage {
    _Atomic int refs;
    void *data;
    size_t bytes;
    void (*destroy)(void *owner); /* called with `owner` when the last reference goes; NULL: nothing to do */
    void *owner;
} rt_storage;

typedef struct rt_tensor {
    _Atomic int refs;
    rt_dtype dtype;
    int ndim;
    int64_t *shape, *strides; /* ndim each, within the same block as the struct */
    rt_storage *storage;
    int64_t offset;
} rt_tensor;

/* New uninitialised contiguous tensor, storage aligned to 64.  NULL: out of memory, or the size overflows. */
rt_tensor *rt_tensor_new(rt_dtype dtype, int ndim, const int64_t *shape);
/* View of t's storage (shares and retains it).  The caller has checked that every element lies inside. */
rt_tensor *rt_tensor_view(rt_tensor *t, int ndim, const int64_t *shape, const int64_t *strides, int64_t offset);
/* Tensor over foreign memory; `destroy(owner)` runs when the last view is gone.  strides NULL: contiguous. */
rt_tensor *rt_tensor_wrap(rt_dtype dtype, int ndim, const int64_t *shape, const int64_t *strides, void *data,
                          size_t bytes, void (*destroy)(void *), void *owner);
/* Gives t itself the shape, strides and offset of `view`, a view of t's storage.  false: no room for so many dims. */
bool rt_tensor_take_view(rt_tensor *t, const rt_tensor *view);
void rt_tensor_retain(rt_tensor *t);
void rt_tensor_release(rt_tensor *t); /* takes NULL */
int64_t rt_tensor_numel(const rt_tensor *t);
bool rt_tensor_contiguous(const rt_tensor *t);
void *rt_tensor_data(const rt_tensor *t); /* address of element 0 */
/* Fresh contiguous copy, converted to `dtype` with C's rules plus saturation-free wrap as PyTorch's `to`. */
rt_tensor *rt_tensor_copy_to(const rt_tensor *t, rt_dtype dtype);
/* dst[...] = src[...] elementwise with conversion; same shape; sound also where the two overlap. */
bool rt_tensor_assign(rt_tensor *dst, const rt_tensor *src);

/* Reads and writes element `i` (an element offset from the tensor's storage start) as double or int64. */
double rt_load_f64(const void *data, rt_dtype dtype, int64_t i);
int64_t rt_load_i64(const void *data, rt_dtype dtype, int64_t i);
void rt_store_f64(void *data, rt_dtype dtype, int64_t i, double x);
void rt_store_i64(void *data, rt_dtype dtype, int64_t i, int64_t x);

/* ---- boxed values */
typedef enum rt_tag {
    V_NONE, V_BOOL, V_INT, V_FLOAT, V_STR, V_TENSOR, V_LIST, V_TUPLE, V_DICT, V_OBJECT,
    V_UNDEF /* uninitialized(T), and slots not yet written */
} rt_tag;

typedef struct rt_value {
    rt_tag tag;
    union {
        int64_t i; /* V_INT, V_BOOL */
        double f;
        struct rt_string *str;
        rt_tensor *tensor;
        struct rt_list *list; /* V_LIST and V_TUPLE */
        struct rt_dict *dict;
        struct rt_object *object;
    };
} rt_value;

typedef struct rt_string { _Atomic int refs; size_t n; char s[]; } rt_string; /* NUL-terminated too */
typedef struct rt_list { _Atomic int refs; int64_t n, cap; rt_value *at; } rt_list;
/* Insertion-ordered; keys are str, int, float, bool.  Found by hashing. */
typedef struct rt_dict { _Atomic int refs; int64_t n, cap; rt_value *keys, *values; int *slots; int64_t nslots; } rt_dict;
/* Instance of a class: fields in the order of the class.  `cls` is borrowed (an ir_class in the compiler). */
typedef struct rt_object { _Atomic int refs; const void *cls; int n; rt_value at[]; } rt_object;

#define V_NULL ((rt_value){.tag = V_NONE})
static inline rt_value rt_int(int64_t i) { return (rt_value){.tag = V_INT, .i = i}; }
static inline rt_value rt_bool(bool b) { return (rt_value){.tag = V_BOOL, .i = b}; }
static inline rt_value rt_float(double f) { return (rt_value){.tag = V_FLOAT, .f = f}; }
static inline rt_value rt_tensor_value(rt_tensor *t) { return (rt_value){.tag = V_TENSOR, .tensor = t}; } /* taken */

/* Constructors give an owned value; tag V_UNDEF means out of memory. */
rt_value rt_str(const char *s, size_t n);
rt_value rt_strz(const char *s);
rt_value rt_list_new(rt_tag list_or_tuple, int64_t n); /* n slots of V_NONE */
rt_value rt_dict_new(void);
rt_value rt_object_new(const void *cls, int nfields); /* slots V_UNDEF */

rt_value rt_retain(rt_value v); /* returns v */
void rt_release(rt_value v);
bool rt_list_push(rt_list *l, rt_value taken); /* false: out of memory (the value is released) */
rt_value *rt_dict_find(rt_dict *d, rt_value key); /* slot of the value or NULL; borrowed */
bool rt_dict_set(rt_dict *d, rt_value key, rt_value taken); /* key borrowed (retained inside) */
bool rt_dict_remove(rt_dict *d, rt_value key);    /* false: absent */
bool rt_value_equal(rt_value a, rt_value b); /* Python's ==, for everything but tensors (those by identity) */
/* str(v) as Python prints it: 1, 1.5, True, None, [1, 2], {'a': 1}, ('x',) */
void rt_value_print(rt_text *out, rt_value v, bool repr);

/* ---- host functions: operations on boxed values that both the interpreter and compiled code call.
 * Writes nout owned results.  On failure returns false after rt_raise(env, ...), results untouched. */
typedef struct rt_env {
    char *cls;     /* exception class, e.g. "IndexError"; heap, NULL if nothing was raised */
    char *message; /* heap */
    struct rt_pool *pool; /* NULL: run on the calling thread */
} rt_env;
bool rt_raise(rt_env *env, const char *cls, const char *fmt, ...) RT_PRINTF(3, 4); /* always false */
void rt_env_clear(rt_env *env);
typedef bool rt_host_fn(rt_env *env, const rt_value *args, int nargs, rt_value *out);
/* By name, "append.t" or "sort" (opaque kernels); NULL if there is none.  Table: host.def. */
rt_host_fn *rt_host_find(const char *name);

#endif
