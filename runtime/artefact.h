/* artefact.h: the ABI between compiled code and the runtime.
 *
 * A compiled module exports one constant, `jitc_artefact_NAME` (a .so also exports it as `jitc_artefact`):
 * tables of plain data and, per entry, function pointers.  Compiled code links no symbol of the runtime:
 * whatever it needs it reaches through the `rt_run` that a running entry receives.  The same constant serves
 * a loaded .so, a linked .o and code in memory.
 *
 * Only rt_artefact, rt_art_entry's code and rt_level hold pointers; all other tables are position-independent
 * rows of fixed-width integers, so a compiler may fill C arrays and emit their bytes.  A text is an offset
 * into `text` (NUL-terminated; offset 0 is the empty text).  A table reference is an index; -1 is none.  Rows
 * may only be appended to the ends of structs, together with a new RT_ABI_VERSION. */
#ifndef JITC_RUNTIME_ARTEFACT_H
#define JITC_RUNTIME_ARTEFACT_H

#include "runtime/value.h"

#define RT_ARTEFACT_MAGIC UINT64_C(0x3154524143544a) /* "JTCART1" in memory */
enum { RT_ABI_VERSION = 6 };

typedef uint32_t rt_text_ref;

/* ======================================================= data */

/* Expressions over an entry's symbols, in postfix: rows from the index given up to RT_X_END.  At most 32 values
 * deep. */
/* clang-format off */
typedef enum rt_xop {
    RT_X_END, RT_X_CONST /* push k */, RT_X_SYMBOL /* push symbol number k of the entry */,
    RT_X_ADD, RT_X_MUL, RT_X_FLOORDIV /* as Python's // */, RT_X_MOD /* as Python's % */, RT_X_MIN, RT_X_MAX
} rt_xop;
/* clang-format on */
typedef struct rt_expr {
    int64_t op, k;
} rt_expr;

/* A size: constant if value >= 0, else the entry's symbol if symbol >= 0, else an expression if expr >= 0,
 * else unknown before the run (the data decides, or elements of a list). */
typedef struct rt_dim {
    int64_t value;
    int32_t symbol, expr;
    rt_text_ref text; /* as shown to people: "N", "2*N + 1", "?" */
    uint32_t reserved;
} rt_dim;

typedef enum rt_desc_kind {
    RT_D_NONE,
    RT_D_BOOL,
    RT_D_INT,
    RT_D_FLOAT,
    RT_D_STR,
    RT_D_TENSOR,
    RT_D_LIST /* 1 child */,
    RT_D_TUPLE /* n */,
    RT_D_OPTIONAL /* 1; only where None-ness is not keyed */,
    RT_D_DICT /* 2: key, value */,
    RT_D_ANY,   /* not checked */
    RT_D_BOTTOM /* element of a list that is empty: matches none, so only an empty list fits */
} rt_desc_kind;

/* rt_desc.flags */
enum {
    RT_DESC_BOXED = 1,   /* a tuple that stays one leaf */
    RT_DESC_STRIDED = 2, /* tensor argument: the code takes any strides; else it gets a contiguous one */
    RT_DESC_WRITTEN = 4  /* argument that the program writes in place (for `show`) */
};

/* The type of an argument, a result or a state cell; a tree through `first`. */
typedef struct rt_desc {
    uint8_t kind, flags;
    int8_t dtype; /* tensor */
    int8_t reserved;
    int32_t n;      /* tensor: rank; else number of children */
    int32_t first;  /* tensor: first row of dims; else first child, children are consecutive rows of descs */
    int32_t symbol; /* RT_D_INT argument: the symbol that it binds, or -1 */
    rt_text_ref name; /* argument, named result, or NamedTuple field */
    int32_t literal;  /* the value was specialised: only this literal matches; or -1 */
    int32_t def;      /* argument: literal taken when the caller leaves it out; or -1 */
} rt_desc;

/* A constant value: a tree through `first`. */
typedef struct rt_literal {
    int32_t tag;      /* rt_tag */
    int32_t n;        /* list, tuple: elements; dict: 2 * pairs, key value key value; str: bytes */
    int32_t first;    /* list, tuple, dict: first child row of literals; tensor: row of params */
    rt_text_ref text; /* str */
    int64_t i;        /* int, bool; float: the bits of the double */
} rt_literal;

typedef struct rt_symbol { /* bound from the dims and ints of the arguments, in order of the leaves */
    rt_text_ref name;
    uint32_t reserved;
    int64_t lo, hi; /* inclusive; checked at entry */
} rt_symbol;

typedef struct rt_guard { /* checked at entry, in order: a == b or a <= b */
    int32_t a, b;         /* expressions */
    int32_t rel;          /* '=' or '<' (a <= b) */
    int32_t message;      /* row of messages: what was assumed, and where */
} rt_guard;

/* An exception text with its place; also the places of host calls (cls and text empty then). */
typedef struct rt_message {
    rt_text_ref cls, text; /* "IndexError" */
    rt_text_ref file;      /* "" unknown */
    int32_t line, col;
} rt_message;

typedef struct rt_param { /* a tensor in the weights: for queries, literals and state */
    rt_text_ref name;
    int32_t dtype, rank;
    int32_t first;             /* dims, all constant */
    uint64_t offset, bytes;    /* in the weights; contiguous unless packed */
    uint32_t packed, reserved; /* packed: in an order of the compiler's choice */
} rt_param;

typedef struct rt_state { /* one value that methods write; each context has its own */
    rt_text_ref name;
    int32_t desc, initial; /* desc, literal */
} rt_state;

/* An argument written in place: after the run output leaf `out` is copied to input leaf `in`. */
typedef struct rt_write {
    int32_t in, out;
} rt_write;

typedef struct rt_op { /* for profiles */
    rt_text_ref name;
    int32_t message;      /* place, or -1 */
    int32_t flops, bytes; /* what it takes, as expressions over the entry's symbols; -1: not known at entry */
    rt_text_ref result;   /* types of what it gives: "f32[N, 64]" */
} rt_op;

/* The side file begins with this, then zeros up to `offset` (a multiple of 4096), then the weights. */
#define RT_WEIGHTS_MAGIC UINT64_C(0x3154485747544a) /* "JTGWHT1" in memory */
typedef struct rt_weights_header {
    uint64_t magic, layout, offset, bytes;
} rt_weights_header;

/* ======================================================= code */

/* Returns 0, or a positive code after the failure was recorded in r->env (by a service). */
typedef struct rt_run rt_run;
typedef int32_t rt_run_fn(rt_run *r);
/* Bytes needed under these symbols; negative: more than can be. */
typedef int64_t rt_size_fn(const int64_t *symbols);
/* Items [begin, end) of a parallel loop, by worker 0 <= worker < r->workers.  Returns 0, or a code of the
 * body's choice: it must not touch the env.  (Codes: row of messages + 1, so that the caller can give it to
 * `raise`.) */
typedef int32_t rt_body_fn(void *arg, int64_t begin, int64_t end, int64_t worker);

typedef struct rt_code {
    rt_run_fn *run;
    rt_size_fn *workspace; /* NULL: none */
    rt_size_fn *scratch;   /* bytes for each worker; NULL: none */
    uint64_t code_bytes;   /* 0 unknown */
} rt_code;

/* A leaf is a part of the arguments or the result that is not a tuple, in depth-first order (a tuple marked
 * RT_DESC_BOXED counts as a leaf).  The runtime takes tuples apart and builds them. */
typedef struct rt_art_entry {
    const rt_code *code; /* one per level of the artefact */
    rt_text_ref method;
    int32_t nargs, args;       /* descs args .. args + nargs - 1: the parameters */
    int32_t result;            /* desc */
    int32_t nsymbols, symbols; /* rows of symbols */
    int32_t nguards, guards;
    int32_t nwrites, writes;
    int32_t nextra, extra; /* descs of output leaves (tensors) after the result's: values to write back */
    int32_t nslots;        /* boxed values that the code keeps in r->slots */
    int32_t nops, ops;
    rt_text_ref workspace; /* its size as a formula, for people */
    int64_t alive;         /* the most bytes of it that are in use at one time; -1: depends on sizes */
} rt_art_entry;

/* Makes what depends on the weights alone and is not stored, in `to` (prepared_bytes, aligned to 64).  Runs once, at load;
 * piece `i` of `prepare_pieces` on any thread. */
typedef void rt_prepare_fn(const char *weights, char *to, int64_t i);

/* Code for one instruction set.  All levels share every table, the weights and their layout. */
typedef struct rt_level {
    rt_text_ref features;   /* "avx2,fma,f16c": all must be there; "" any machine of the architecture */
    rt_text_ref name;       /* "x86-64-v3" */
    rt_prepare_fn *prepare; /* NULL: nothing to make */
} rt_level;

typedef struct jitc_artefact {
    uint64_t magic;
    uint32_t abi, size; /* RT_ABI_VERSION; sizeof(rt_artefact) */
    const char *text;
    rt_text_ref name, producer; /* "jitc 0.1.0" */
    rt_text_ref arch;           /* "x86_64", "aarch64", ... of the triple */
    int32_t nlevels;            /* best first */
    const rt_level *levels;
    int64_t nentries;
    const rt_art_entry *entries; /* variants of one method: in order of preference */
    const rt_desc *descs;
    const rt_dim *dims;
    const rt_expr *exprs;
    const rt_symbol *symbols;
    const rt_guard *guards;
    const rt_message *messages;
    const rt_literal *literals;
    const rt_write *writes;
    const rt_op *ops;
    int64_t nparams;
    const rt_param *params;
    int64_t nstates;
    const rt_state *states;
    int64_t nhosts;
    const rt_text_ref *hosts; /* names of the host functions that the code calls */
    const void *weights;      /* aligned to 64; NULL: none, or in a side file */
    uint64_t weights_bytes;
    /* Identifies what lies where (a hash over names, dtypes, offsets, packing), not the values: a side file
     * must have the same, so that another set of weights of the same model fits. */
    uint64_t weights_layout;
    rt_text_ref weights_file; /* name of the side file, beside the artefact; "" none */
    uint32_t nmessages;
    int64_t ndescs;
    int64_t prepare_pieces;
    uint64_t prepared_bytes;
    const rt_text_ref *signatures; /* of each host function: "", or that of a custom operator (ffi.h) */
} rt_artefact;

/* ======================================================= what a running entry gets
 *
 * Memory: everything here lives until the run ends.  Values in `slots` and `out`, and blocks that were not
 * freed, are released by the runtime after the run, whether it failed or not: code that fails just returns. */
typedef struct rt_services rt_services;
struct rt_run {
    const rt_services *services;
    rt_env *env;
    const int64_t *symbols; /* values of the entry's symbols */
    const rt_value *in;     /* input leaves, borrowed */
    void *const *in_data;   /* of each tensor leaf: address of element 0, aligned to the element; else NULL */
    /* Output leaves.  A tensor whose dims are all known at entry is already made: the code only fills out_data.
     * Any other leaf is V_NONE, and the code stores an owned value (or an int...). */
    rt_value *out;
    void *const *out_data; /* of each output leaf made beforehand; else NULL.  Never overlaps an input */
    const char *weights;   /* aligned to 64 */
    rt_value *state;       /* the context's cells: the code may replace one (services->copy) */
    /* Of each cell that was a tensor at entry: contiguous and in no other hands, so the code may write there; a
     * value that it gives away must not share it. */
    void *const *state_data;
    char *workspace; /* aligned to 64 */
    int64_t workspace_bytes;
    char *scratch;          /* worker w owns scratch + w * scratch_stride */
    int64_t scratch_stride; /* multiple of 64 */
    int64_t workers;
    rt_value *slots; /* nslots of V_NONE */
    void *profile;   /* not NULL: call `mark` at the start of each op */
    const rt_artefact *artefact;
    void *owner; /* the runtime's own */
    const char *prepared; /* what `prepare` made; aligned to 64 */
};

/* Conventions: values go by pointer.  Inputs are borrowed.  An `out` parameter points to a valid value (a
 * slot): the new value is stored, and then the old one released, so `out` may be one of the inputs. Functions
 * that return int32_t give 0, or a positive code after raising, which the caller returns at once. */
struct rt_services {
    uint64_t size; /* sizeof(rt_services) of the runtime */
    /* Calls fn on `pieces` runs of about the same length, which make up [0, n), in any order and on any thread; always
     * these pieces, whatever the number of workers.  A call from within a body runs on that body's thread and
     * worker.  Returns the code of the lowest piece that failed, else 0; pieces above a failed one may be
     * left out. */
    int32_t (*parallel_for)(rt_run *r, int64_t n, int64_t pieces, rt_body_fn *fn, void *arg);
    /* Memory whose size is known only now; from the context's free list, aligned to 64.  NULL: raised. */
    void *(*block_new)(rt_run *r, int64_t bytes);
    void (*block_free)(rt_run *r, void *block);
    /* Failures.  `message` is a row of messages.  raise_text: with a text made at run time (NULL cls: of the
     * message). */
    int32_t (*raise)(rt_run *r, int32_t message);
    int32_t (*raise_text)(rt_run *r, int32_t message, const char *cls, const char *text);
    /* raise_value: both are strings; cls may be none. */
    int32_t (*raise_value)(rt_run *r, int32_t message, const rt_value *cls, const rt_value *text);
    /* Host function number `host`; `message` gives its place (-1: unknown).  Results: out[0..nout), nout <= 16. */
    int32_t (*call)(rt_run *r, int32_t host, int32_t message, int32_t nargs, const rt_value *args,
                    int32_t nout, rt_value *out);
    /* Tensors.  tensor_new: contiguous, uninitialised; *data: element 0 (never NULL). */
    int32_t (*tensor_new)(rt_run *r, int32_t dtype, int32_t rank, const int64_t *shape, rt_value *out,
                          void **data);
    /* Checks dtype and rank (TypeError naming `message`'s place), gives shape[rank] and the address of
     * element 0 of a contiguous tensor: v's own, or a copy of it that is stored in *hold (a slot, which then
     * owns it). */
    int32_t (*tensor_get)(rt_run *r, int32_t message, const rt_value *v, int32_t dtype, int32_t rank,
                          int64_t *shape, rt_value *hold, void **data);
    /* Writes the contiguous tensor `from` back into `to` (same shape and dtype; `to` may be strided). */
    int32_t (*tensor_assign)(rt_run *r, const rt_value *to, const rt_value *from);
    /* Values. */
    void (*copy)(rt_run *r, const rt_value *v, rt_value *out); /* retains */
    void (*clear)(rt_run *r, rt_value *v);                     /* releases, leaves V_NONE */
    int32_t (*str)(rt_run *r, const char *s, int64_t n, rt_value *out);
    /* tag: V_LIST or V_TUPLE. */
    int32_t (*list)(rt_run *r, int32_t tag, int64_t n, const rt_value *items, rt_value *out);
    int32_t (*list_push)(rt_run *r, const rt_value *list, const rt_value *item);
    int64_t (*length)(rt_run *r, const rt_value *v); /* of a list, tuple, dict or str (bytes) */
    /* Of lists and tuples, by Python's index rules; IndexError. */
    int32_t (*item)(rt_run *r, int32_t message, const rt_value *list, int64_t i, rt_value *out);
    int32_t (*set_item)(rt_run *r, int32_t message, const rt_value *list, int64_t i, const rt_value *item);
    /* items: key, value, key, value... */
    int32_t (*dict)(rt_run *r, int64_t pairs, const rt_value *items, rt_value *out);
    int32_t (*literal)(rt_run *r, int32_t literal, rt_value *out); /* a fresh value of that row */
    /* 0 or 1: Python's ==, tensors by identity. */
    int32_t (*equal)(rt_run *r, const rt_value *a, const rt_value *b);
    /* Profiles: op number `op` of the entry starts now. */
    void (*mark)(rt_run *r, int32_t op);
    /* A contiguous tensor on memory that is not its own and is only read: an argument of `call` that does not keep it. */
    int32_t (*tensor_lend)(rt_run *r, int32_t dtype, int32_t rank, const int64_t *shape, void *data, rt_value *out);
};

/* The layouts that compiled code of 64-bit targets relies on. */
_Static_assert(sizeof(rt_value) == 16 && offsetof(rt_value, i) == 8, "rt_value");
_Static_assert(offsetof(rt_run, in) == 24 && offsetof(rt_run, weights) == 56, "rt_run");
_Static_assert(sizeof(rt_expr) == 16 && sizeof(rt_dim) == 24 && sizeof(rt_desc) == 28, "tables");
_Static_assert(sizeof(rt_op) == 20 && sizeof(rt_literal) == 24 && sizeof(rt_param) == 40 && sizeof(rt_symbol) == 24, "tables");

#endif
