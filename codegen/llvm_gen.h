/* llvm_gen.h: what the files that turn one kernel into LLVM functions share (llvm_kernel.c, llvm_memory.c,
 * llvm_contract.c).
 *
 * Inside a vector loop (w > 1) a value is known in one of three forms: the same for all lanes (a scalar),
 * lane 0's value plus a stride (i64 index arithmetic; this is what makes a load contiguous), or a vector.
 * Outside there are scalars, and lane values as vectors. */
#ifndef JITC_CODEGEN_LLVM_GEN_H
#define JITC_CODEGEN_LLVM_GEN_H

#include "codegen/llvm.h"

typedef LLVMValueRef V;
typedef LLVMTypeRef T;
typedef LLVMBasicBlockRef BB;

typedef enum form { FORM_UNIFORM, FORM_AFFINE, FORM_VECTOR } form;
typedef struct val {
    form form;
    V v;      /* AFFINE: the value of lane 0 */
    V stride; /* AFFINE: i64, uniform */
} val;

/* llvm_gather.c: places from a table, as a vector, which is `of`. */
typedef struct gen_window {
    V of, at;     /* at: of the lanes that act, and of all others the first one's */
    V near;       /* i32, not 0: within a vector from the first one on */
    V lanes;      /* <w x i32>: how far from it */
    V behind;     /* <w x i32>: the vector's elements, counted from behind the last one: below 0 up to that */
} gen_window;

typedef struct gen {
    cg_module *m;
    const k_kernel *k;
    V fn;
    val *vals; /* by value id */
    gen_window *windows; /* by value id */
    V *bufs;   /* by position of the buffer in the kernel */
    int w;     /* lanes of the code being written */
    V mask;    /* <w x i1>: active lanes; NULL: all */
    V prefix;  /* the mask in the rest of a loop: the first lanes; NULL: not there */
    bool sure; /* at least one lane of mask is active */
    V lane;    /* w == 1 for what is left over of a vector loop: the number of the lane */
    V error, begin, end;
    bool count;  /* writing the count function */
    bool fences; /* non-temporal stores were written */
    bool crowded; /* coefficients are memory operands: see coefficient() */
} gen;

/* llvm_kernel.c */
val gen_val(gen *g, const k_value *v);
V gen_uniform(gen *g, const k_value *v);  /* the scalar of a uniform value */
V gen_vector(gen *g, val x);              /* <w x T>, or the scalar if w == 1 */
V gen_splat(gen *g, V scalar, int lanes); /* lanes > 1 */
V gen_iota(gen *g, T element, int lanes);
V gen_any(gen *g, V mask); /* i1: is a lane active */
V gen_const(gen *g, rt_dtype d, int64_t i, double f);
V gen_merge(gen *g, V a, BB from_a, V c, BB from_c); /* a phi */
BB gen_block(gen *g, const char *name);
void gen_at(gen *g, BB b);
static inline val uniform(V v) { return (val){FORM_UNIFORM, v, NULL}; }
static inline val vector(V v) { return (val){FORM_VECTOR, v, NULL}; }

/* A counted loop: i = lo, lo + step, ... while i < hi, with carried values of any type; next may be phis. */
typedef struct gen_loop {
    V i, hi, step, *phi, *init;
    int n;
    BB before, head, after; /* before: NULL if the loop is known to run */
} gen_loop;
void gen_loop_begin(gen *g, gen_loop *l, V lo, V hi, V step, int n, V *init);
void gen_loop_end(gen *g, gen_loop *l, V *next); /* next[] becomes the results */

/* llvm_memory.c */
void gen_load(gen *g, const k_inst *n);
void gen_store(gen *g, const k_inst *n);
V gen_address(gen *g, const k_buffer *buf, V index);
V gen_from_memory(gen *g, V x, rt_dtype d); /* i8 -> i1 for bool */
void gen_prefetch(gen *g, V address, int locality); /* 3: into the first cache, 2: the second */
int gen_position(const gen *g, const k_buffer *buf);
V gen_masked_load(gen *g, T type, V address, int align, V mask, V otherwise);

/* llvm_gather.c: the elements of a load whose places a table gives; NULL: none does. */
V gen_from_table(gen *g, const k_inst *n, T type);

/* llvm_transpose.c */
void gen_transpose(gen *g, const k_inst *n);

/* llvm_contract.c */
void gen_contract(gen *g, const k_inst *n);

#endif
