/* kernel.h: the kernel IR: what a backend sees.  A kernel is a function over buffers and scalar parameters;
 * its body is a tree of statements over SSA scalars.  It knows no op of the graph IR, only the primitives of
 * scalar.def.
 *
 * Loops.  `for KIND i = lo to hi step s` runs i = lo, lo+s, ... while i < hi (s > 0), with carried values.
 *   grid    iterations are independent and may run on any thread in any order.  The outermost one, if the
 * body has it at top level, is *the* grid loop: a call of the kernel runs a range of its iteration numbers.
 *   block, warp   inner parallel levels of a GPU; the CPU runs them in order.
 *   lane    like vector (a GPU maps it to the threads of a warp).
 *   vector  iterations run in groups of `width` lanes, in lockstep: iteration number t is lane t % width of
 * group t / width, and each statement is done for all lanes of the group, in lane order, before the next.
 * Values inside are per lane; `if`, loops, loads and stores whose condition, bounds or mask differ by lane
 * act on the lanes concerned. A carried value is one partial state *per lane* (every lane starts from the
 * same init, or from the lane of a lane value); the loop's results are lane values, which only `lane_reduce`
 * and the inits of another loop of the same width take.  No loop of kind vector or lane, no contract, no call
 * inside.  Different iterations must not meet in memory, except that one store statement may write an element
 * from several lanes: the last wins. If several lanes raise, it is the first lane of the first statement that
 * does, or the first lane that does. unroll  repeated in the code; bounds are constants. serial  in order.
 * lane_reduce merges lanes in a fixed tree: while n > 1: lane j = combine(lane j, lane j + n/2) for j < n/2,
 * n = n/2 (the width of a loop with carried values is a power of two).
 *
 * Exactness: a kernel means the same bits in the interpreter and at any -O, on targets with fma; nothing is
 * reassociated or contracted.  Which NaN comes out is not defined.  Memory written by a kernel that raises is
 * not defined. f16 and bf16 are for memory: only casts, select, loads and stores take them.
 *
 * Prefix of this IR: k_.  Letters: k kernel, b builder, n inst, v value. */
#ifndef JITC_LOWER_KERNEL_H
#define JITC_LOWER_KERNEL_H

#include "ir/scalar.h"

typedef struct k_kernel k_kernel;
typedef struct k_inst k_inst;
typedef struct k_block k_block;
typedef struct k_value k_value;

typedef enum k_loop { KL_GRID, KL_BLOCK, KL_WARP, KL_LANE, KL_SERIAL, KL_UNROLL, KL_VECTOR, KL_COUNT } k_loop;

typedef enum k_scope {
    KS_ARG,    /* passed by the caller (inputs, outputs, weights, workspace) */
    KS_LOCAL,  /* scratch of constant size, private to one call of the kernel, uninitialised; keep it below 80
                  KB in all: it is on the stack, and threads of some C libraries have 128 */
    KS_SHARED, /* scratch of a GPU block; the CPU treats it as local */
    KS_REGISTER, /* like local; kept in registers when all indices are constant after unrolling (tiles of
                    contract) */
    KS_TABLE     /* read-only constant data that belongs to the kernel (offset tables) */
} k_scope;

typedef struct k_buffer {
    const char *name;
    rt_dtype dtype;
    k_scope scope;
    int index;          /* KS_ARG: position among the arguments */
    int64_t size;       /* elements; KS_ARG: 0 (not known here) */
    int align;          /* bytes that element 0 is aligned to; 0: the element's size */
    bool reads, writes; /* KS_ARG: what the kernel does, filled by k_load, k_store ... */
    bool may_alias;   /* KS_ARG: may overlap other arguments.  Else a written argument overlaps no other one,
                       * except   where every element is read before the same element is written (in-place
                       * pointwise) */
    const void *data; /* KS_TABLE: size elements in the host's byte order */
} k_buffer;

typedef enum k_op {
    KO_PRIM,   /* out = prim(in...) */
    KO_LOAD,   /* out = buffer[in[0]]; with a mask: in[1] bool, in[2] the value where it is false */
    KO_STORE,  /* buffer[in[0]] = in[1]; with a mask: in[2]; group > 1: buffer[in[0] + j] = in[1 + j] for j < group */
    KO_FOR,    /* in = lo, hi, init...; block[0] params: i, carried...; yields the next carried values */
    KO_IF,     /* in = cond; block[0] then, block[1] else; both yield the results */
    KO_RAISE,  /* in = up to K_MAX_RAISE i64; ends the kernel with status `code` */
    KO_CALL,   /* callee(buffers[i] from element in[i] on...; the scalars in[nbuffers..]); runs its whole grid
                  loop */
    KO_REDUCE, /* out[] = tree over the lanes of in[]: by prim, or by block[0] (params: n of one side, n of
                  the other) */
    KO_CONTRACT,   /* see k_contract */
    KO_TRANSPOSE,  /* buffers[0][in[0] + j * in[1] + i] = buffers[1][in[2] + min(i, in[5] - 1) * in[3] + j] for i < code
                      (at most K_MAX_TILE), 0 <= j < in[4]; the buffers do not overlap */
    KO_BARRIER,    /* GPU: all threads of the block; CPU: nothing */
    KO_ASYNC_COPY, /* buffers[0][in[0]...] = buffers[1][in[1]...], in[2] elements; complete after async_wait
                    */
    KO_PREFETCH,   /* a hint that the line of buffers[0][in[0]] is wanted soon; the index may be outside */
    KO_ASYNC_WAIT  /* until at most `code` copies of this thread are outstanding */
} k_op;

enum {
    K_MAX_RAISE = 4,
    K_MAX_TILE = 32,   /* rows of a contract */
    K_MAX_WIDTH = 128, /* lanes */
    K_MAX_FETCH = 64,
    K_MAX_TOUCH = 1 << 20,
    K_MAX_GROUP = 4    /* of a store */
};

struct k_value {
    int id; /* dense within the kernel */
    rt_dtype dtype;
    const char *name; /* text form, without %; NULL: %id */
    k_inst *def;      /* NULL: a constant, a parameter of the kernel or of a block */
    k_block *block;   /* block parameters */
    int index;        /* among def's results, the block's parameters or the kernel's scalars */
    bool constant;
    bool lanes; /* one value per lane of a finished vector loop */
    int width;  /* lanes: the width of that loop, 0: the target's */
    double f;   /* constant floats; else i */
    int64_t i;
};

struct k_block {
    k_inst *owner; /* NULL: the kernel's body */
    RT_VEC(k_value *) params;
    k_inst *first, *last;
    RT_VEC(k_value *) yields;
};

struct k_inst {
    k_op op;
    k_block *block;
    k_inst *prev, *next;
    int nin, nout, nblocks, nbuffers;
    k_value **in, **out;
    k_block **blocks;
    k_buffer **buffers; /* load, store: 1; call: the callee's; async copy: 2; contract: acc, A, B */
    ir_prim prim;       /* KO_PRIM; KO_REDUCE: K_COUNT if a block combines */
    bool libm;          /* KO_PRIM: a call of libm per element, not to be expanded */
    k_loop kind;        /* KO_FOR */
    int width; /* KO_FOR vector and lane: lanes, 0: the target's width (lanes of f32); KO_REDUCE likewise */
    int64_t step; /* KO_FOR: > 0 */
    int code;     /* KO_RAISE: > 0; KO_ASYNC_WAIT; KO_TRANSPOSE: rows */
    int align;    /* KO_LOAD, KO_STORE: bytes known of the address of lane 0; 0: the element's */
    int group, place; /* KO_LOAD: see k_load_group; group 0: each lane its own element.  KO_STORE: see k_store_group */
    bool nontemporal;
    bool near; /* KO_LOAD: a hint: elements of adjacent lanes lie close to each other, in order */
    k_kernel *callee;
    struct k_contract *contract;
};

/* acc[i * n + j] += sum over k in [0, K) of A(i, k) * B(k, j), for i < m and j < n: per element in order of k
 * by fma (integers: wrapping), after casting A and B to acc's dtype.  acc is a register or local buffer of m
 * * n elements. inst->in = K, B's index, B's k stride, A's k stride, then A's index and row stride (rows ==
 * 1) or one index per row (rows == m), then the number of valid columns, 1..n, if `cols` (columns from there
 * on keep their value; B is not read there). B's columns are adjacent.  split > 1: split partial sums, k goes
 * to sum k % split, the first starts from acc and the others from 0; at the end they are merged like lanes (a
 * power of two): for GEMV, where one chain would wait on fma.  fetch > 0: a hint that B's elements from the last
 * operand on are wanted soon, `fetch` of them for each step of k.  touch > 0: a hint that B is read on behind its last row,
 * and that the pages `touch` elements on have not been used yet. */
typedef struct k_contract {
    int m, n, rows, split;
    bool cols;
    int fetch, touch;
} k_contract;

struct k_kernel {
    ir_context *c;
    const char *name;
    RT_VEC(k_buffer *) buffers; /* arguments first */
    int nargs;                  /* of them KS_ARG */
    RT_VEC(k_value *) scalars;
    k_block *body;
    bool fast; /* cheaper forms of functions will do (math_f32.c); k_kernel_new: what the context says */
    int nvalues;
    rt_map constants, names;
    ir_span span;
};

/* ======================================================= building: kernel.c
 * A builder appends at the end of its current block.  Constants and parameters have no place. */
k_kernel *k_kernel_new(ir_context *c, const char *name);
k_buffer *k_arg(k_kernel *k, rt_dtype dtype, const char *name); /* before any scratch buffer */
k_value *k_scalar(k_kernel *k, rt_dtype dtype, const char *name);
k_buffer *k_scratch(k_kernel *k, k_scope scope, rt_dtype dtype, int64_t size, const char *name);
k_buffer *k_table(k_kernel *k, rt_dtype dtype, int64_t size, const void *data,
                  const char *name); /* data is copied */

typedef struct k_builder {
    k_kernel *k;
    k_block *at;
} k_builder;
k_builder k_build(k_kernel *k); /* at the end of the body */

k_value *k_int(k_builder *b, rt_dtype dtype, int64_t x); /* integers and bool */
k_value *k_float(k_builder *b, rt_dtype dtype, double x);
k_value *k_i64(k_builder *b, int64_t x);
void k_name(k_builder *b, k_value *v, const char *hint); /* made unique by a suffix */
/* Primitives.  Integer constants are folded, and x+0, x*1, x*0; floats are left alone. */
k_value *k_prim(k_builder *b, ir_prim p, rt_dtype result, int n, k_value *const *in);
k_inst *k_prim_inst(k_builder *b, ir_prim p, rt_dtype result, int n,
                    k_value *const *in); /* as it stands, unfolded */
k_value *k_1(k_builder *b, ir_prim p, k_value *a);
k_value *k_2(k_builder *b, ir_prim p, k_value *a, k_value *c); /* result: dtype of a, bool for comparisons */
k_value *k_3(k_builder *b, ir_prim p, k_value *a, k_value *c, k_value *d); /* fma; K_SELECT: dtype of c */
k_value *k_cast(k_builder *b, k_value *a, rt_dtype to);                    /* a itself if it has that dtype */
k_value *k_bitcast(k_builder *b, k_value *a, rt_dtype to);
k_value *k_select(k_builder *b, k_value *cond, k_value *a, k_value *c);
k_value *k_add(k_builder *b, k_value *a, k_value *c); /* i64 index arithmetic and all else */
k_value *k_sub(k_builder *b, k_value *a, k_value *c);
k_value *k_mul(k_builder *b, k_value *a, k_value *c);
k_value *k_muladd_const(k_builder *b, k_value *a, int64_t scale, k_value *c); /* a * scale + c, i64 */

/* mask and otherwise may be NULL: all lanes; otherwise NULL with a mask: zero.  The element is in the
 * buffer's dtype. */
k_value *k_load(k_builder *b, k_buffer *buf, k_value *index);
/* In a vector loop whose width is a multiple of `group`: lane l reads the element at its index - l % group + place, so that
 * all lanes of a group read one element; the elements at the lanes' own indices must exist too. */
k_value *k_load_group(k_builder *b, k_buffer *buf, k_value *index, int group, int place);
k_value *k_load_if(k_builder *b, k_buffer *buf, k_value *index, k_value *mask, k_value *otherwise);
k_inst *k_store(k_builder *b, k_buffer *buf, k_value *index, k_value *v);
k_inst *k_store_if(k_builder *b, k_buffer *buf, k_value *index, k_value *v, k_value *mask);
/* n > 1 elements (at most K_MAX_GROUP) from `index` on: values that lanes put between each other, if the index moves by n. */
k_inst *k_store_group(k_builder *b, k_buffer *buf, k_value *index, int n, k_value *const *v);

/* Loops: k_for opens one and moves the builder into its body; k_carry adds a carried value (before the body
 * has statements; make the init before the loop is opened) and returns the body's parameter; k_end gives the
 * next carried values, and moves the builder behind the loop.  Results: loop->out[i].  width: vector and lane
 * only, 0: the target's. */
k_inst *k_for(k_builder *b, k_loop kind, int width, k_value *lo, k_value *hi, int64_t step);
k_value *k_var(const k_inst *loop);
k_value *k_carry(k_builder *b, k_inst *loop, k_value *init);
void k_end(k_builder *b, int n,
           k_value *const *next); /* closes the innermost open for, if-arm or combine block */
/* If: k_if opens the then-arm; k_else ends it with its results and opens the other; k_end ends that.  Every
 * `if` has both (k_else(b, 0, NULL), k_end(b, 0, NULL) for an empty one).  Results: inst->out[i]. */
k_inst *k_if(k_builder *b, k_value *cond);
void k_else(k_builder *b, int n, k_value *const *results);
void k_raise(k_builder *b, int code, int n, k_value *const *args);
/* Merges the lanes of `acc`; k_reduce_block opens the combine block for a state of n values (a, and the other
 * side's). */
k_value *k_reduce(k_builder *b, ir_prim p, k_value *acc);
k_inst *k_reduce_block(k_builder *b, int n, k_value *const *acc, k_value **left,
                       k_value **right); /* k_end closes; out[] */
k_inst *k_call(k_builder *b, k_kernel *callee, k_buffer *const *buffers, k_value *const *offsets,
               k_value *const *scalars);
/* rows: 1 (with row_stride) or m (row_stride NULL); cols may be NULL; split: 1, 2, 4 ... */
k_inst *k_contract_tile(k_builder *b, k_buffer *acc, int m, int n, k_value *K, k_buffer *A, int rows,
                        k_value *const *a_index, k_value *row_stride, k_value *a_kstride, k_buffer *B,
                        k_value *b_index, k_value *b_kstride, k_value *cols, int split);
void k_contract_fetch(k_builder *b, k_inst *contract, k_value *index, int per_step); /* directly behind it */
void k_contract_touch(k_inst *contract, int elements);
/* Rows of src become columns of dst: see KO_TRANSPOSE; steps: from row to row; from row `valid` on, the one before. */
void k_transpose(k_builder *b, k_buffer *dst, k_value *di, k_value *dst_step, k_buffer *src, k_value *si, k_value *src_step,
                 int rows, k_value *columns, k_value *valid);
void k_prefetch(k_builder *b, k_buffer *buf, k_value *index); /* not in vector loops */
void k_barrier(k_builder *b);
void k_async_copy(k_builder *b, k_buffer *dst, k_value *di, k_buffer *src, k_value *si, k_value *n);
void k_async_wait(k_builder *b, int outstanding);

/* Turns an expression DAG into values.  `leaf` gives the value of X_INDEX, X_DIM, X_PARAM, X_SCALAR, and of
 * X_LOAD with its index values; mask (or NULL) says when a load may be done: the arms of a select are
 * evaluated under its condition. The memo (one per place in the loop nest, k_memo_new) shares equal
 * subexpressions between calls. */
typedef struct k_memo k_memo;
typedef k_value *k_leaf(void *env, k_builder *b, const ir_expr *x, int n, k_value *const *index,
                        k_value *mask);
k_memo *k_memo_new(k_kernel *k);
k_memo *k_memo_under(k_memo *outer); /* knows what `outer` knows, too, and adds nothing to it */
k_value *k_expr(k_builder *b, k_memo *memo, const ir_expr *x, k_leaf *leaf, void *env);

k_inst *k_grid(const k_kernel *k); /* the grid loop, or NULL */

/* ======================================================= text: kernel_print.c, kernel_read.c;
 * kernel_verify.c */
void k_print(rt_text *out, const k_kernel *k);
/* Reads all kernels of a text into *kernels (arena); the count, or -1 after diagnostics.  Calls name earlier
 * kernels. */
int k_read(ir_context *c, const char *file, const char *text, size_t n, k_kernel ***kernels);
bool k_verify(const k_kernel *k); /* false after diagnostics that begin "verify:" */

/* ======================================================= math.c
 * A copy in which the primitives marked libm (exp ... erf, pow, also rem, mod and floordiv of floats and
 * integer pow) are sequences of basic ones; what has no sequence (lgamma, most f64 functions) is a call of
 * libm per element (`libm.` in the text).  A kernel that needs nothing is returned as it is; the interpreter
 * and the backends call this themselves. */
k_kernel *k_expand_math(const k_kernel *k);
k_value *k_math(k_builder *b, ir_prim p, int n,
                k_value *const *in); /* one sequence; NULL: p is basic for that dtype */
/* Copies `from` statement by statement into a new kernel; prim (or NULL) may give another value for a
 * primitive. */
k_kernel *k_clone(const k_kernel *from, k_value *(*prim)(k_builder *b, const k_inst *n, k_value *const *in));
/* Names of the C function that computes primitive p of dtype in scalar code ("lgammaf"), or NULL if it is
 * basic. */
const char *k_math_symbol(ir_prim p, rt_dtype dtype);
double k_math_call(ir_prim p, rt_dtype dtype, double x, double y); /* calls that function */

/* ======================================================= kernel_eval.c: the interpreter
 * Runs iterations [begin, end) of the grid loop (a kernel without one: the body, if begin is 0 and end > 0).
 * scalars: one int64 each, floats by their bits (f32 in the low half).  sizes: elements per argument, for
 * checked accesses, or NULL.  Returns 0, the code of a raise (args in error[]), or K_BAD_ACCESS. */
enum { K_BAD_ACCESS = -1, K_NO_MEMORY = -2 };
int k_eval(const k_kernel *k, int target_width, void *const *buffers, const int64_t *sizes,
           const int64_t *scalars, int64_t begin, int64_t end, int64_t error[K_MAX_RAISE]);
/* Number of iterations of the grid loop (1 without one) for these arguments. */
int64_t k_grid_count(const k_kernel *k, void *const *buffers, const int64_t *scalars);

#endif
