/* spec.h: internals of specialise.c, the partial evaluator.
 *
 * It walks a surface function with abstract values.  Everything mutable (tensor storages, lists, dicts, objects) is
 * a cell of an abstract heap; cells are persistent (a write replaces the cell), so a snapshot is a copy of an array
 * of pointers.  A tensor is a storage cell and a chain of views; a write through a view becomes the scatter forms on
 * the cell's current SSA value, so the emitted graph is pure.  `if` and `loop` on unknown conditions evaluate their
 * blocks on copies of the heap and join what differs: joined scalars and storages become results and block
 * parameters, containers whose structure differs become run-time containers *before* the fork (`stop` = SPEC_RETRY
 * unwinds to it and evaluates it again). */
#ifndef JITC_LOWER_SPEC_H
#define JITC_LOWER_SPEC_H

#include "ir/infer.h"
#include "ir/scalar.h"
#include "lower/comp.h"
#include "lower/lower.h"

typedef enum aval_kind {
    AV_UNDEF,  /* uninitialized */
    AV_CONST,  /* none, bool, float, str: k */
    AV_INT,    /* an int: `dim` (constant or symbolic); v if an SSA value holds it already */
    AV_DYN,    /* a run-time value v of v->type: float, bool, str, optional, list, dict, tuple */
    AV_TENSOR, /* cell + view chain */
    AV_TUPLE,  /* known elements */
    AV_REF     /* list, dict or object: cell */
} aval_kind;

typedef struct aval aval;
typedef struct view view;

/* One step from a base (parent NULL) to a view: a VIEW op with its arguments (args[0] is the viewed tensor: unused). */
struct view {
    const view *parent;
    const ir_op *op;
    int nargs;
    const aval **args;
    const ir_type *type; /* of the result */
    const ir_dim **strides;
    const ir_dim *offset;
};

struct aval {
    aval_kind kind;
    rt_value k;
    const ir_dim *dim;
    ir_value *v;
    const ir_type *type; /* AV_TENSOR, AV_DYN, AV_TUPLE */
    int cell;
    const view *view;    /* AV_TENSOR: NULL is the whole storage */
    const ir_dim **strides; /* AV_TENSOR: NULL: contiguous */
    bool wrapped;
    int n;
    const aval **at;
};

typedef enum cell_kind { CELL_STORAGE, CELL_LIST, CELL_DICT, CELL_OBJECT, CELL_DYN } cell_kind;

typedef struct cell {
    cell_kind kind;
    ir_value *content;   /* STORAGE: current value of the whole base; NULL: a param not read yet.  DYN: the run-time container */
    const ir_type *type; /* STORAGE: of the base; LIST, DICT, DYN: declared type */
    const ir_dim **strides; /* STORAGE: of the base, NULL contiguous */
    const aval *scalar;  /* STORAGE of rank 0: the scalar it holds, if known */
    const char *name;    /* STORAGE: param or state name; OBJECT: path of a module object ("" top); LIST, DICT: of the attribute
                          * that holds it; else NULL */
    int arg;             /* STORAGE: entry argument number + 1, or 0 */
    const char *frozen;  /* why writing is not possible (may alias another tensor), or NULL */
    const ir_node *frozen_by; /* the `if` whose join is the reason, or NULL */
    int n, cap;          /* LIST, DICT: elements; OBJECT: fields */
    const aval **at, **keys;
    ir_class *cls;
} cell;

typedef enum spec_stop { SPEC_GO, SPEC_DEAD /* this path raised */, SPEC_RETRY /* unwind to the fork */,
    SPEC_CLONE /* unwind to an `if` whose continuation is to be cloned */, SPEC_ERROR } spec_stop;

typedef struct spec_heap { const cell **at; int n, cap; } spec_heap;

typedef struct spec_env { const aval **at; int n; } spec_env; /* by id of the surface value */

/* A call that is being evaluated. */
typedef struct spec_frame {
    spec_env *env;
    const ir_node *at; /* the innermost node that is being evaluated */
    const struct spec_frame *outer;
} spec_frame;

/* A name in a frame that got another value: see spec_rename. */
typedef struct spec_renamed {
    const aval **slot, *was;
    const spec_frame *frame;
    const ir_value *v;
    ir_span at;
} spec_renamed;

typedef struct spec {
    ir_context *c;
    ir_module *from, *to;
    const lower_entry *entry;
    ir_func *f;          /* function being emitted */
    ir_block *b;         /* where nodes go */
    spec_heap heap;
    spec_stop stop;
    int depth;           /* of calls */
    spec_frame *frame;   /* the innermost call */
    RT_VEC(spec_renamed) renamed; /* all so far, in order */
    int64_t steps, unrolled, unroll_start; /* nodes evaluated; those of them in loops that were unrolled; steps at the
                                            * start of the outermost loop that is being unrolled */
    int work;            /* elements of containers walked over since the last step was counted for them */
    bool unrolling;
    struct spec_points *points; /* the blocks being evaluated, innermost first */
    const ir_node *clone_at;    /* SPEC_CLONE: the `if` */
    rt_map cloned;              /* address of a surface `if` -> itself: what follows it in its block is evaluated in each branch */
    int clones;                 /* of which this many are being evaluated, one within the other */
    bool exhausted;      /* too many steps: the entry is given up */
    int fork;            /* cells below this number existed at the innermost fork */
    int retry_cell;      /* SPEC_RETRY: the container that must be a run-time one before the fork ... */
    const ir_type *retry_type; /* ... and its type */
    rt_map symbol_block; /* symbol -> block that binds it; absent: not seen yet */
    rt_map cells_of;     /* rt pointer (object, list, tensor storage) -> cell + 1, per entry */
    rt_map states;       /* names of state cells known so far (all entries) */
    rt_map in_place;     /* names of module tensors that an entry writes in place */
    rt_map assigned;     /* paths of fields that an entry assigns */
    rt_map parted;       /* names of tensors that were one and have a copy each, as one of them is assigned -> another's name */
    rt_map state_types;  /* name -> core type of a state that is no tensor, as far as it is found (where the declared one is vague) */
    bool again;          /* a state, a wider type of one or a needed length was discovered, or `assume` became true: start again */
    bool undecided;      /* a reshape of this entry copies or not by sizes that are not known */
    bool assume;         /* such sizes are taken to be at least 2, because a write needs to know */
    rt_map assumed;      /* symbols of which that was assumed */
    rt_map param_names;  /* tensor pointer -> name */
    lower_interp *in;    /* evaluates constants */
    ir_span call;        /* in the body of a composite op: the span of its call, which all its nodes get; else 0 */
    int nconst;          /* tensor constants made */
    ir_value **arg_values; /* entry parameters */
    rt_map fixed_lists;    /* "entry/argument" -> span of what needs the length of that list: it is that of the examples */
} spec;

/* ---- spec_value.c */
void spec_work(spec *s, int n); /* n elements of a container are walked over: many of them count as a step */
const aval *spec_none(spec *s);
const aval *spec_bool(spec *s, bool b);
const aval *spec_int(spec *s, int64_t i);
const aval *spec_dim(spec *s, const ir_dim *d, ir_value *v);
const aval *spec_const(spec *s, rt_value k); /* immutable scalar or str; ints become AV_INT */
const aval *spec_tuple(spec *s, const ir_type *t, int n, const aval *const *at);
const aval *spec_dyn(spec *s, ir_value *v);  /* by v's type: tensors get a fresh frozen cell, ints their dim */
const ir_type *spec_fresh_type(spec *s, const ir_type *t); /* unknown dims and ints become fresh symbols, deep for tuples only */
bool spec_is_const(spec *s, const aval *a);  /* deep: fully known, no tensors */
bool spec_known_bool(const aval *a, bool *out);
bool spec_known_int(const aval *a, int64_t *out);
bool spec_is_none(const aval *a);
rt_value spec_to_rt(spec *s, const aval *a);  /* of a constant: owned */
const aval *spec_from_rt(spec *s, rt_value v, const ir_type *t); /* borrowed; lists become fresh cells */
int spec_cell_new(spec *s, cell x);
cell *spec_cell_edit(spec *s, int i); /* a private copy of cell i, now in the heap */
const cell *spec_cell(const spec *s, int i);
bool spec_visible(const spec *s, const ir_value *v); /* does v dominate the current block */
ir_value *spec_value(spec *s, const aval *a, ir_span at); /* an SSA value for it, in the current block */
ir_value *spec_value_as(spec *s, const aval *a, const ir_type *t, ir_span at); /* the same, converted to type t (a join) */
const ir_type *spec_type(spec *s, const aval *a); /* core type */
const ir_type *spec_join_type(spec *s, const ir_type *a, const ir_type *b); /* NULL: none; differing dims -> NULL dims */
/* Turns a list or dict cell into a run-time container of type `as` (NULL: from its elements). */
ir_value *spec_materialise(spec *s, int cell, const ir_type *as, ir_span at);
/* a is about to be held by a run-time container, a join or a carried value: containers in it become run-time ones that
 * others may write, and tensors in it cannot be written from here on. */
void spec_settle(spec *s, const aval *a, ir_span at);
/* A type with the containers in it as others may write them: their ints and sizes are any. */
const ir_type *spec_loose(spec *s, const ir_type *t);
bool spec_vague(const ir_type *t); /* a declared type that says less than a core type: tensors without dtype, or anything */
void spec_retry(spec *s, int cell, const ir_type *as); /* unwinds to the fork that can do so */
void spec_freeze(spec *s, const aval *a, const char *why); /* tensors in a: no writes from here on */
bool spec_dim_visible(spec *s, const ir_dim *d); /* are all its symbols bound in the current block */
const ir_dim *spec_fresh(spec *s, const char *hint, int64_t lo, int64_t hi); /* bound in the current block */
void spec_bind_symbols(spec *s, const ir_type *t); /* symbols of t not seen before are bound in the current block */
const aval *spec_list_of(spec *s, const ir_type *t, int n, const aval *const *at); /* fresh list cell */
ir_node *spec_emit(spec *s, const ir_op *op, ir_span at, int nin, ir_value *const *in, int nout, const ir_type *const *types);
void spec_raise(spec *s, ir_span at, const char *cls, const char *message);
ir_span spec_span(const spec *s, const ir_node *n);
void spec_unsupported(spec *s, ir_span at, const char *fmt, ...) RT_PRINTF(3, 4); /* error; stops this path */

/* ---- spec_tensor.c */
ir_value *spec_read(spec *s, const aval *t, ir_span at);
const aval *spec_tensor_new(spec *s, ir_value *v, const ir_dim **strides); /* fresh storage */
void spec_write(spec *s, const aval *t, ir_value *value, ir_span at); /* value has t's type */
const aval *spec_tensor_op(spec *s, const ir_op *op, const aval **args, ir_span at); /* classes POINTWISE..OPAQUE; tuple if several results */
void spec_guards(spec *s, const ir_infer *x, ir_span at);
void spec_arg(spec *s, const aval *a, ir_arg *out, int operand);
const aval *spec_tensor_const(spec *s, rt_tensor *t); /* a new constant param; t borrowed */
const aval *spec_apply(spec *s, const ir_op *op, int n, const aval **args, ir_span at); /* any class, inputs by parameter */

/* ---- spec_host.c */
const aval *spec_host(spec *s, const ir_op *op, int n, const aval **args, ir_span at); /* n > nparams: varargs */
const aval *spec_scalar_body(spec *s, const ir_op *op, const aval **args); /* symbolic value of a scalar body, or NULL */

/* ---- spec_control.c */
void spec_if(spec *s, spec_env *env, ir_node *n, const aval **results);
/* Evaluates the nodes of block b, then its results.  Where branches of an `if` cannot be joined in a way that what follows
 * it can use, what follows is evaluated in each branch and the block's results are joined: see spec_clone. */
void spec_block(spec *s, spec_env *env, ir_block *b, const aval **results);
/* Asks for that: true, and the evaluation unwinds (SPEC_CLONE); false if it was done already, or cannot be done. */
bool spec_clone(spec *s, const ir_node *fork);
void spec_loop(spec *s, spec_env *env, ir_node *n, const aval **results);

/* ---- spec_live.c */
/* Is the storage `cell` referred to more than once in heap h: by `more`, by what may be read after the current node, or by
 * the caller or the module? */
bool spec_shared(spec *s, const spec_heap *h, int cell, int n, const aval *const *more);
/* The tensor `was` is `now` under all of its names, as its shape was changed in place.  false: it is none that has names. */
bool spec_rename(spec *s, const aval *was, const aval *now, ir_span at);
/* Takes back what was renamed since there were n; an error if that was done in a block of node `at` (or NULL) and such a name
 * is read behind it. */
void spec_rename_back(spec *s, int n, const ir_node *at);
/* An op needs to know the length of list v at compile time: if the caller passes the list and the examples agree on its
 * length, that becomes a guard (all entries start again) and the result is true. */
bool spec_fix_length(spec *s, const aval *list, ir_span at);
/* The module's field at this path is assigned. */
void spec_note_field(spec *s, const char *object, const char *field);

/* ---- specialise.c */
void spec_node(spec *s, spec_env *env, ir_node *n); /* evaluates it: the results are in env */
const aval *spec_call(spec *s, ir_func *f, int n, const aval *const *args, ir_span at);
const aval *spec_rt_attr(spec *s, rt_value v, const ir_type *t, const char *path); /* module attribute -> abstract */
/* A list or dict is about to be written: one that a module attribute holds is state. */
void spec_note_write(spec *s, const aval *container);
/* The run-time value v is about to hold what has type `want`.  true: v is a state, read again with that type (all entries
 * start again). */
bool spec_widen_state(spec *s, const ir_value *v, const ir_type *want);

#endif
