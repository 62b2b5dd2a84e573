/* llvm.h: from kernels to machine code through LLVM's C API: targets, modules, kernels, objects, JIT,
 * linking.
 *
 * A cg_module owns an LLVM context, one module and a builder for one target.  Kernels are added to it (each
 * once, with those they call), the host code generator adds its own functions, and the result is written as
 * an object, as text, or handed to the JIT.  Errors go to the context as diagnostics; functions then give
 * NULL or false. */
#ifndef JITC_CODEGEN_LLVM_H
#define JITC_CODEGEN_LLVM_H

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>

#include "lower/kernel.h"

/* ======================================================= llvm_target.c
 * spec: "host" (or NULL: this machine), a level of targets.def, or an LLVM triple of one of its
 * architectures; "+feature", and then also "-feature", may follow ("aarch64+dotprod-crc").  Or "cpu:" and
 * several levels of one architecture, separated by commas: the target is then the best of them, and the
 * others hang below it.  A level means Linux with the GNU ABI.  opt: 0..3.  Immutable after creation. */
typedef struct cg_target {
    LLVMTargetMachineRef machine;
    const char *spec, *triple, *cpu, *features; /* in the context's arena */
    int opt;
    enum { CG_X86, CG_AARCH64, CG_RISCV } arch;
    int width;       /* lanes of f32 in one vector register: the meaning of width 0 in kernels */
    int registers;   /* vector registers */
    int rows, vectors; /* the largest register tile: rows times vectors of columns */
    bool fma;        /* has a fused multiply-add (else k's fma is emulated: f32 through double) */
    bool f16;        /* hardware conversion f16 <-> f32 */
    bool round;      /* instructions that round to integers */
    bool masked;     /* cheap masked loads and stores of 4- and 8-byte elements */
    bool masked_all; /* ... of all sizes */
    bool moves;      /* vectors of 8 lanes whose 4-byte elements move by an index each (AVX2) */
    bool host;       /* this machine can run the code */
    const char *sanitizer, *pipeline; /* functions' attribute, LLVM passes; NULL: none */
    struct cg_target *lower; /* the next level of the same artefact, or NULL */
} cg_target;

cg_target *cg_target_new(ir_context *c, const char *spec,
                         int opt); /* NULL after a diagnostic that lists the targets */
void cg_target_free(cg_target *t); /* takes NULL; all its levels */
/* Rows of the tiles in which kernels are scheduled: of one register tile, or of several low ones. */
static inline int cg_tile_rows(const cg_target *t) { return t->rows * ((t->rows + 4) / t->rows); }
/* What the loader must ask a processor for: "x86-64-v3", "avx2,fma", in the words of runtime/cpu.def. */
const char *cg_target_needs(ir_context *c, const cg_target *t);
/* "thread" or "address": code is instrumented, and the program that loads it must be as well.  NULL: no.  False after a
 * diagnostic. */
bool cg_target_sanitize(ir_context *c, cg_target *t, const char *which);

/* ======================================================= llvm_kernel.c
 * The function that a host calls, and a test harness.  Runs iterations [begin, min(end, count)) of the grid
 * loop; 0, or the code of a raise with its arguments in error[K_MAX_RAISE].  scalars: int64 each, floats by
 * their bits. */
typedef int32_t cg_kernel_fn(void *const *buffers, const int64_t *scalars, int64_t begin, int64_t end,
                             int64_t *error);
/* Number of iterations of the grid loop. */
typedef int64_t cg_count_fn(void *const *buffers, const int64_t *scalars);

typedef struct cg_kernel {
    const k_kernel *k;
    const cg_target *target; /* that the functions are for */
    LLVMValueRef entry, count; /* of the two types above; entry: symbol NAME, count: NAME.count; internal
                                  linkage unless exported */
    LLVMTypeRef entry_type, count_type;
    LLVMValueRef direct; /* i32(ptr per buffer..., scalar per its type..., i64 begin, i64 end, ptr error) */
    LLVMTypeRef direct_type;
    LLVMValueRef body; /* for rt_parallel_for: host_call.c; NULL: not needed so far */
} cg_kernel;

typedef struct cg_module {
    ir_context *c;
    const cg_target *target; /* of functions that are added now */
    const char *suffix;      /* of their names */
    LLVMContextRef cx;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    LLVMTypeRef i1, i8, i16, i32, i64, f32, f64, ptr, voidty;
    RT_VEC(cg_kernel *) kernels;
    bool registers; /* some kernel has register tiles: worth a run of sroa */
    bool instrumented;
} cg_module;

cg_module *cg_module_new(ir_context *c, const cg_target *t, const char *name);
void cg_module_free(cg_module *m); /* takes NULL */
/* Functions that are added from here on are for another level of the same architecture, and their names end so. */
void cg_module_level(cg_module *m, const cg_target *t, const char *suffix);
/* Adds a kernel under `symbol` (NULL: its name).  The same kernel again, for the same level, gives the same
 * entry.  exported: visible to the linker. */
cg_kernel *cg_add_kernel(cg_module *m, const k_kernel *k, const char *symbol, bool exported);

/* For the host code generator. */
LLVMTypeRef cg_type(cg_module *m, rt_dtype d);        /* of SSA values: bool is i1, f16 and bf16 are i16 */
LLVMTypeRef cg_memory_type(cg_module *m, rt_dtype d); /* of elements: bool is i8 */
LLVMValueRef cg_i64(cg_module *m, int64_t x);
/* A private constant array of bytes (alignment 64): tables, strings.  Not for weights: see elf.c. */
LLVMValueRef cg_bytes(cg_module *m, const char *name, const void *data, size_t n, int align);
LLVMValueRef cg_function(cg_module *m, const char *name, LLVMTypeRef type,
                         bool exported); /* nounwind, target-cpu, the sanitizer's mark; no body yet */
LLVMValueRef cg_intrinsic(cg_module *m, const char *name, int ntypes, LLVMTypeRef *types, int n,
                          LLVMValueRef *args);
/* One scalar primitive on SSA values (scalar or vectors alike), exactly as in kernels; no libm. */
LLVMValueRef cg_prim(cg_module *m, ir_prim p, rt_dtype result, rt_dtype operand, LLVMValueRef *args);

/* ======================================================= llvm_emit.c
 * The module is verified first (a failure is a bug of ours: an error that begins "internal:").  Same module,
 * same bytes. */
typedef enum cg_form { CG_OBJECT, CG_ASSEMBLY, CG_LLVM } cg_form;
bool cg_finish(cg_module *m); /* verify and the one cheap pass; called by the others */
bool cg_emit(cg_module *m, cg_form form, rt_text *out); /* appended to *out */
bool cg_emit_file(cg_module *m, cg_form form, const char *path);

/* ======================================================= llvm_jit.c: one JIT per process part that runs
 * code; not thread-safe */
typedef struct cg_jit cg_jit;
cg_jit *cg_jit_new(ir_context *c);
void cg_jit_free(cg_jit *j);                      /* takes NULL; code and addresses die */
bool cg_jit_add(cg_jit *j, cg_module *taken);     /* m is ended, also on failure */
void *cg_jit_find(cg_jit *j, const char *symbol); /* NULL after a diagnostic */

/* ======================================================= link.c
 * Links objects into a shared library with ld.lld or ld (JITC_LD names another): no build path, no timestamp,
 * no build id; undefined symbols are taken from libc and libm.  soname may be NULL.  False after a
 * diagnostic; `out` is then absent. */
bool cg_link_shared(ir_context *c, const cg_target *t, int n, const char *const *objects, const char *soname,
                    const char *out);
/* Joins objects into one relocatable object. */
bool cg_link_object(ir_context *c, const cg_target *t, int n, const char *const *objects, const char *out);
/* Whether a linker for the target is there; *which gets its path (arena). */
bool cg_find_linker(ir_context *c, const cg_target *t, const char **which);

/* ======================================================= elf.c
 * Writes a relocatable ELF object that holds one read-only, page-aligned section with the given pieces one
 * after the other, each at its offset (ascending, gaps are zero), under the global hidden symbol `symbol`.
 * Streams: holds no copy. */
typedef struct cg_piece {
    size_t offset;
    const void *data;
    size_t n;
} cg_piece;
bool cg_write_data_object(ir_context *c, const cg_target *t, const char *symbol, size_t size, int npieces,
                          const cg_piece *pieces, const char *path);
bool cg_object_undefined(const char *path); /* does an object leave symbols to other libraries */

#endif
