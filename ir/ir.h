/* ir.h: the graph IR: context, diagnostics, types, dims, values, nodes, blocks, functions, modules.
 *
 * Everything here is owned by the context's arena; nothing is freed one by one.  Types, dims and strings are
 * interned: equal ones are the same pointer.  One context is used by one thread at a time.
 * Letters: c context, m module, f function, b block, n node, v value, t type, d dim. */
#ifndef JITC_IR_IR_H
#define JITC_IR_IR_H

#include "runtime/value.h"

typedef struct ir_context ir_context;
typedef struct ir_type ir_type;
typedef struct ir_dim ir_dim;
typedef struct ir_value ir_value;
typedef struct ir_node ir_node;
typedef struct ir_block ir_block;
typedef struct ir_func ir_func;
typedef struct ir_module ir_module;
typedef struct ir_class ir_class;
typedef struct ir_op ir_op;
typedef struct ir_schema ir_schema;

/* ======================================================= context.c: strings, spans, diagnostics */

/* A place in a source text.  0 is "nowhere".  Index into the context's span table. */
typedef uint32_t ir_span;
typedef struct ir_place {
    const char *file;  /* as the user named it */
    int line, col;     /* from 1; col counts bytes */
    int end_col;       /* exclusive, same line; 0 unknown */
    ir_span inlined_at; /* the call that this was inlined from, or 0 */
    bool implicit;     /* the line of an .ir file itself: shown in messages, not printed */
} ir_place;

typedef enum ir_severity { IR_NOTE, IR_WARNING, IR_ERROR } ir_severity;
typedef struct ir_diag {
    ir_severity severity;
    ir_span span;
    const char *text;
} ir_diag;

typedef struct ir_source { const char *name, *text; size_t n; } ir_source;

struct ir_context {
    rt_arena arena;
    rt_map strings, types, dims, sources; /* interning tables; sources: name -> ir_source */
    RT_VEC(ir_place) spans;
    RT_VEC(ir_diag) diags;
    int nerrors;
    rt_map ops;        /* "add" -> ir_op chain, filled by ir_ops_init */
    rt_map symbols;    /* name -> ir_symbol */
    int nfresh;        /* counter of fresh symbols */
    /* Gives the body of a COMPOSITE op as a surface function, or NULL after a diagnostic.  Set by jitc.c. */
    ir_func *(*composite)(ir_context *c, const ir_op *op);
    /* Appends ops that the vocabularies define under `name` to c->ops (called once per unknown name). */
    void (*vocabulary)(ir_context *c);
    void *script;      /* the script folder's state (opaque here) */
    rt_map ops_full;   /* "add.Tensor" -> ir_op */
    const ir_op **structs; /* IR_NSTRUCT structural ops */
    int nops;          /* ids given to ops, structural ones included */
    bool vocabulary_read; /* c->vocabulary has been called */
    RT_VEC(rt_value) owned;       /* released with the context: constants, defaults */
    RT_VEC(ir_module *) modules;  /* their tensors and values are released with the context */
    struct ir_ending *endings;    /* newest first */
    RT_VEC(struct ir_op *) customs; /* those of ir_custom_option: custom.h */
    bool fast_math;    /* kernels may take cheaper forms of functions: lower/math_f32.c */
};

ir_context *ir_context_new(void);      /* NULL: out of memory.  Ends with ir_context_free */
void ir_context_free(ir_context *c);   /* takes NULL */
const char *ir_intern(ir_context *c, const char *s);
const char *ir_internn(ir_context *c, const char *s, size_t n);
void ir_own(ir_context *c, rt_value taken); /* released when the context ends */
/* Calls fn(arg) when the context ends, the latest first: for foreign handles and files, which would be left behind where the
 * arena runs out of memory.  What is ended earlier must know it. */
void ir_at_end(ir_context *c, void (*fn)(void *arg), void *arg);
const char *ir_fmt(ir_context *c, const char *fmt, ...) RT_PRINTF(2, 3); /* in the arena, not interned */

ir_span ir_span_new(ir_context *c, ir_place p);
void ir_source_add(ir_context *c, const char *name, const char *text, size_t n); /* text is copied: for carets */
/* Adds a diagnostic.  Errors count; after 20 further ones are dropped. */
void ir_error(ir_context *c, ir_span at, const char *fmt, ...) RT_PRINTF(3, 4);
void ir_warn(ir_context *c, ir_span at, const char *fmt, ...) RT_PRINTF(3, 4);
void ir_note(ir_context *c, ir_span at, const char *fmt, ...) RT_PRINTF(3, 4);
/* "net.py:12:8: error: ...", the source line and a caret, and the chain of inlined_at. */
void ir_diags_print(const ir_context *c, rt_text *out, bool colour);

/* ======================================================= dim.c: symbolic sizes in normal form
 * Polynomials with integer coefficients over atoms: symbols, floordiv(p, q), mod(p, q), min, max.
 * Interned: equal normal forms are equal pointers.  A dim that overflows int64 becomes a fresh symbol. */
typedef struct ir_symbol {
    const char *name;
    int64_t lo, hi; /* inclusive; default 1 .. 2^31-1 for sizes; ints that are no sizes may be negative */
    int64_t hint;   /* its value in the first example (1 if any example has 1), 0: not known */
} ir_symbol;

const ir_dim *ir_dim_const(ir_context *c, int64_t x);
const ir_dim *ir_dim_symbol(ir_context *c, const char *name);           /* made on first use, default range */
ir_symbol *ir_symbol_get(ir_context *c, const char *name);
const ir_dim *ir_dim_fresh(ir_context *c, const char *hint, int64_t lo, int64_t hi); /* new name, e.g. "u3" */
const ir_dim *ir_dim_add(ir_context *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_sub(ir_context *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_mul(ir_context *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_floordiv(ir_context *c, const ir_dim *a, const ir_dim *b); /* Python's // ; b != 0 */
const ir_dim *ir_dim_mod(ir_context *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_min(ir_context *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_max(ir_context *c, const ir_dim *a, const ir_dim *b);
bool ir_dim_is_const(const ir_dim *d, int64_t *x); /* x may be NULL */
bool ir_dim_is(const ir_dim *d, int64_t n);        /* is it the constant n; NULL: no */
const ir_dim *ir_dim_ceildiv(ir_context *c, const ir_dim *a, int64_t b); /* rounded up; b > 0 */
void ir_dim_range(ir_context *c, const ir_dim *d, int64_t *lo, int64_t *hi);

typedef enum ir_truth { IR_NO = 0, IR_YES = 1, IR_UNKNOWN = 2 } ir_truth;
ir_truth ir_dim_eq(ir_context *c, const ir_dim *a, const ir_dim *b);
ir_truth ir_dim_lt(ir_context *c, const ir_dim *a, const ir_dim *b);
ir_truth ir_dim_le(ir_context *c, const ir_dim *a, const ir_dim *b);
/* a / b when b divides a as polynomials, else NULL. */
const ir_dim *ir_dim_exact_div(ir_context *c, const ir_dim *a, const ir_dim *b);
/* Value under an assignment of the symbols; false if one is missing or on overflow or division by zero. */
bool ir_dim_eval(const ir_dim *d, bool (*get)(void *env, const char *symbol, int64_t *x), void *env, int64_t *out);
/* Replaces symbols; get returns NULL to keep one. */
const ir_dim *ir_dim_subst(ir_context *c, const ir_dim *d, const ir_dim *(*get)(void *env, const char *symbol), void *env);
void ir_dim_symbols(const ir_dim *d, void (*visit)(void *env, const char *symbol), void *env);
/* Walks the normal form so that others (host codegen) can compute it: sum over terms of coef * product of atoms. */
typedef enum ir_atom_kind { ATOM_SYMBOL, ATOM_FLOORDIV, ATOM_MOD, ATOM_MIN, ATOM_MAX } ir_atom_kind;
typedef struct ir_atom { ir_atom_kind kind; const char *symbol; const ir_dim *a, *b; } ir_atom;
typedef struct ir_term { int64_t coef; int natoms; const ir_atom **atoms; } ir_term;
struct ir_dim { int nterms; const ir_term *terms; int id; int size; /* of the text, as a bound on work */ }; /* constant: natoms == 0; zero: nterms == 0 */
void ir_dim_print(rt_text *out, const ir_dim *d);                      /* "N*4 + 3", "floordiv(N + 1, 2)" */
const ir_dim *ir_dim_parse(ir_context *c, const char **at, const char *end); /* NULL if malformed */

/* ======================================================= type.c */
typedef enum ir_kind {
    T_TENSOR, T_INT, T_FLOAT, T_BOOL, T_STR, T_NONE, T_LIST, T_TUPLE, T_OPTIONAL, T_DICT, T_CLASS, T_UNION,
    T_NUMBER,  /* Scalar: int, float or bool */
    T_ANY, T_BOTTOM, /* bottom: element of an empty list; joins with all */
    T_DEVICE, T_VAR, /* T_VAR: the t of schemas such as "append.t(t[](a!) self, t el)" */
    T_FUNC, T_MODULE /* T_MODULE: the word `Module` in annotations */
} ir_kind;

struct ir_type {
    ir_kind kind;
    rt_dtype dtype;          /* T_TENSOR: DT_NONE if unknown */
    int rank;                /* T_TENSOR: -1 if unknown; else dims[rank] (dims NULL entry: no info) */
    const ir_dim **dims;
    const ir_dim *dim;       /* T_INT: the value as a dim expression, or NULL */
    int n;                   /* T_LIST, T_OPTIONAL: 1; T_DICT: 2 (key, value); T_TUPLE, T_UNION: n */
    const ir_type **elem;
    const char **fields;     /* NamedTuple: n names, else NULL */
    const char *name;        /* T_CLASS, NamedTuple, T_VAR */
    ir_class *cls;           /* T_CLASS */
};
const ir_type *ir_type_simple(ir_context *c, ir_kind kind); /* those without parameters; T_TENSOR: unknown dtype and rank */
const ir_type *ir_type_tensor(ir_context *c, rt_dtype dtype, int rank, const ir_dim *const *dims);
const ir_type *ir_type_int(ir_context *c, const ir_dim *dim); /* dim may be NULL */
const ir_type *ir_type_list(ir_context *c, const ir_type *elem);
const ir_type *ir_type_optional(ir_context *c, const ir_type *elem); /* optional[optional[T]] is optional[T]; of None: None */
const ir_type *ir_type_dict(ir_context *c, const ir_type *key, const ir_type *value);
const ir_type *ir_type_tuple(ir_context *c, int n, const ir_type *const *elem, const char *const *fields, const char *name);
const ir_type *ir_type_union(ir_context *c, int n, const ir_type *const *elem);
const ir_type *ir_type_class(ir_context *c, ir_class *cls);
const ir_type *ir_type_var(ir_context *c, const char *name);
bool ir_subtype(const ir_type *a, const ir_type *b); /* may an `a` stand where `b` is wanted, without conversion */
const ir_type *ir_join(ir_context *c, const ir_type *a, const ir_type *b); /* NULL: none */
const ir_type *ir_surface(ir_context *c, const ir_type *t); /* forgets dtypes, ranks and dims: tensor, int */
void ir_type_print(rt_text *out, const ir_type *t); /* f32[N, 3]  tensor  int  int<N + 1>  list[tensor]  optional[int]  dict[str, int]  (tensor, int)  Name */
const ir_type *ir_type_parse(ir_context *c, const ir_module *m, const char **at, const char *end);

/* ======================================================= op table: ops.def, schema.c */
typedef enum ir_op_class {
    OP_POINTWISE, OP_REDUCE, OP_MOVE, OP_CONTRACT, OP_COMPOSITE, OP_OPAQUE,
    OP_HOST,  /* on scalars, strings, containers: scalar body, or a C function of runtime/host.def */
    OP_STRUCT /* constants, control flow, containers, attributes: ir/struct.def */
} ir_op_class;

typedef enum ir_effect { /* bits */
    EFF_NONE = 0, EFF_RANDOM = 1, EFF_RAISES = 2, /* may raise depending on data */
    EFF_WRITES = 4, EFF_SIDE = 8                  /* prints, custom ops: keep and keep in order */
} ir_effect;

typedef struct ir_param {
    const char *name;
    const ir_type *type;
    bool kwonly, has_default;
    rt_value def;       /* immutable constant (a list default is fresh at each call) */
    char alias;         /* alias set letter or 0 */
    bool writes;        /* (a!) */
    int list_size;      /* int[2]: 2; else 0.  A single int is accepted and repeated */
    bool alias_elems;   /* the alias set is that of a list's elements: Tensor(a)[] */
} ir_param;

struct ir_schema {
    const char *text;    /* "add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor" */
    const char *name, *overload; /* "add", "Tensor" (or "") */
    const char *ns;      /* the prefix before "::", or NULL */
    int nparams, nresults;
    ir_param *params, *results;  /* results: name may be NULL */
    bool varargs, varresults;    /* "..." */
};

/* One overload.  Rows of ops.def first, then functions of the vocabularies. */
struct ir_op {
    const char *name;    /* "add"; in a namespace other than aten and prim: "torchvision::nms" */
    const char *full;    /* "add.Tensor", or "add" without overload: unique, the text form's name */
    const char *ns;      /* "aten", "prim", "torchvision", "quantized", ... */
    ir_op_class cls;
    int effects;
    int id;
    const ir_schema *schema;
    const char *promote; /* promotion rule of the row: "same", "float", "bool", "i64", ... (see ops.def) */
    const char *body;    /* POINTWISE/HOST scalar body, REDUCE "init ; combine ; finish", CONTRACT equation */
    const void *rule;    /* class-specific C rule (shape rule, read map), see infer.h; or NULL */
    const ir_op *next;   /* next overload of the same name */
    void *decl;          /* COMPOSITE: the vocabulary function's AST (owned by script) */
    const ir_op *inplace_of; /* derived in-place form (`add_`) of this op, else NULL */
    ir_func *compiled;   /* COMPOSITE: body once requested */
    const char *dims;    /* REDUCE: "dim", "all", "scan", "window" */
    bool view;           /* MOVE: a VIEW row, its result aliases its input */
    const struct ir_custom *custom; /* a C function outside (custom.h), or NULL */
    int out_params;      /* derived `out=` form: how many trailing parameters are written, else 0 (inplace_of is set) */
};

void ir_ops_init(ir_context *c);                        /* fills c->ops from ops.def */
ir_op *ir_op_add(ir_context *c, const char *ns, const char *schema_text, ir_op_class cls); /* a custom or vocabulary op */
const ir_op *ir_op_overloads(ir_context *c, const char *name); /* chain of the overloads, or NULL; makes derived `name_` forms */
/* Class of an S_RAISE that stands for what the compiler does not support: an error where it can be reached. */
#define IR_NOT_SUPPORTED "NotSupported"
/* Is op the in-place form of a view (unsqueeze_): the tensor itself gets the new shape, under all of its names? */
bool ir_is_inplace_view(const ir_op *op);
const ir_op *ir_op_find(ir_context *c, const char *full);      /* "add.Tensor" */
const ir_op *ir_op_outs(ir_context *c, const char *name);      /* chain of the derived `out=` forms; ir_match does this itself */
void ir_schema_print(rt_text *out, const ir_op *op);           /* the schema as text, of derived forms too */
void ir_ops_document(ir_context *c, rt_text *out);             /* the table by class, for `jitc ops` and IR.md */
ir_schema *ir_schema_parse(ir_context *c, const char *text);   /* NULL after a diagnostic */

/* x.view(2, 3): a slot <= -2 says that the positional arguments from IR_REST_FIRST(slot) on form the list. */
#define IR_REST(k) (-2 - (k))
#define IR_REST_FIRST(slot) (-2 - (slot))
/* Argument of a call as the front ends know it. */
typedef struct ir_call_arg { const char *kw; const ir_type *type; ir_value *value; } ir_call_arg;
/* Chooses the overload for surface types by PyTorch's rules (exact first, then implicit conversions:
 * Tensor->Scalar/int/float, int->float, int -> int[] broadcast, list of ints -> tensor never).
 * slots[i] = index of the argument for param i, or -1 (default), or IR_REST(k): arguments k, k + 1 ... (positional) as a list.  NULL: no match; *why gets a list of the candidates. */
const ir_op *ir_match(ir_context *c, const ir_op *overloads, int nargs, const ir_call_arg *args, int *slots, const char **why);
/* Type of result i of a matched call: the schema's, with t, t1... replaced by what the arguments bind them to. */
const ir_type *ir_result_type(ir_context *c, const ir_op *op, int i, const int *slots, const ir_call_arg *args);
/* Binds the type variables of `pattern` so that `actual` fits it; false: it does not.  *binds is zeroed before first use. */
typedef struct ir_binds { int n; struct { const char *name; const ir_type *type; } at[8]; } ir_binds;
bool ir_type_bind(ir_context *c, const ir_type *pattern, const ir_type *actual, ir_binds *binds);
const ir_type *ir_type_apply(ir_context *c, const ir_type *t, const ir_binds *binds); /* unbound variables: bottom */

/* Structural ops: fixed ids for node->op->id.  Order as in struct.def. */
typedef enum ir_struct_id {
#define STRUCT(id, name, help) id,
#include "ir/struct.def"
#undef STRUCT
    IR_NSTRUCT
} ir_struct_id;
const ir_op *ir_struct(ir_context *c, ir_struct_id id);

/* ======================================================= graph.c */
typedef struct ir_use { ir_node *node; ir_block *block; int index; struct ir_use *next; } ir_use; /* of a node's input, or of a block's result (node NULL) */

/* How a tensor lies in memory: its dims from the slowest to the fastest, without gaps. */
typedef struct ir_layout { uint8_t order[RT_MAX_RANK]; } ir_layout;

struct ir_value {
    int id;              /* dense within the function */
    const char *name;    /* text form's name without %, unique in the function; NULL: %id */
    const ir_type *type;
    ir_node *def;        /* NULL: a block parameter */
    ir_block *block;     /* block that defines it */
    int index;           /* among def's results or the block's parameters */
    ir_use *uses;
    const ir_layout *layout; /* of a kernel's result that only kernels read; NULL: row-major */
};

struct ir_node {
    const ir_op *op;
    int id;              /* dense within the function */
    ir_span span;
    ir_func *func;
    ir_block *block;     /* NULL until placed */
    ir_node *prev, *next;
    int nin, nout, nblocks;
    ir_value **in, **out;
    ir_block **blocks;
    rt_value value;      /* S_CONST */
    const char *sym;     /* S_GETATTR/S_SETATTR field, S_CALL function, S_PARAM/S_STATE name, S_NEW class */
    const ir_type *type; /* S_CAST, S_ISINSTANCE target */
    void *info;          /* state-specific: S_KERNEL's ir_kernel in `grouped`, ... */
};

struct ir_block {
    ir_func *func;
    ir_node *owner;      /* NULL: the function's body */
    RT_VEC(ir_value *) params;
    ir_node *first, *last;
    RT_VEC(ir_value *) results;
};

typedef enum ir_state { IR_SURFACE, IR_CORE, IR_GROUPED, IR_PLANNED } ir_state;

/* What an entry assumed about its arguments and was not proven; checked at entry, in order. */
typedef struct ir_guard { const ir_dim *a; int rel; /* '=' a == b, '<' a <= b */ const ir_dim *b; const char *why; ir_span span; } ir_guard;

struct ir_func {
    ir_module *module;
    const char *name;    /* "forward", "__torch__.M.forward" */
    ir_span span;
    ir_block *body;
    const char **param_names; /* may be NULL; body->params order */
    const ir_type *result;    /* declared type of the single result (None for none) */
    bool exported, entry;
    const char *method;  /* entries: the exported method that this is a variant of */
    int nvalues, nnodes; /* id counters */
    RT_VEC(ir_guard) guards;
    rt_map names;        /* used value names */
};

struct ir_class {
    const char *name;    /* qualified */
    bool is_module, is_tuple, is_enum;
    int nfields;
    const char **fields;
    const ir_type **types;
    rt_map methods;      /* name -> ir_func */
    rt_map constants;    /* Final fields and enum members: name -> rt_value * (ir_own) */
    void *decl;          /* script: the class's AST */
};

/* A param or a state cell.  type NULL: that of `tensor`.  State that is no tensor: `init`, its first value. */
/* A tensor that a loaded module makes from another param, once, by a kernel of two buffers: from, made. */
typedef struct ir_prepared { const char *from; const void *kernel; /* k_kernel */ int64_t grid, bytes; } ir_prepared;
typedef struct ir_tensor_data {
    const char *name;
    rt_tensor *tensor;
    bool state;
    const ir_type *type;
    rt_value init;
    const ir_prepared *prepared; /* tensor is NULL then */
} ir_tensor_data;
const ir_type *ir_tensor_data_type(ir_context *c, const ir_tensor_data *d);

struct ir_module {
    ir_context *c;
    const char *name;
    ir_state state;
    rt_map funcs;        /* name -> ir_func, in order */
    rt_map classes;      /* name -> ir_class, in order */
    rt_map tensors;      /* name -> ir_tensor_data: params and state, by the archive's own names; the module owns their tensors */
    rt_value self;       /* archive: the top object (V_OBJECT with fields); V_NONE for scripts and .ir */
    rt_value example_types; /* archive's traced inputs: dict method -> tuple of tensors; or V_NONE */
    RT_VEC(struct ir_slot { rt_value *at; const char *name; }) slots; /* tensors in `self` of a read .ir: see ir_module_bind */
    const char *weights; /* path of the safetensors beside the .ir, or NULL */
    int tile_rows;       /* lower: rows of the target's tiles */
};

ir_module *ir_module_new(ir_context *c, const char *name);
void ir_module_bind(ir_module *m); /* puts the loaded tensors where `self` names them; after ir_weights_load */
ir_func *ir_func_new(ir_module *m, const char *name); /* put into m->funcs, replacing one of that name */
ir_class *ir_class_new(ir_module *m, const char *name); /* put into m->classes; fields to be filled in */
ir_value *ir_block_param(ir_block *b, const ir_type *t, const char *name);
ir_block *ir_block_new(ir_func *f, ir_node *owner); /* appended to owner->blocks when owner is given */
/* Creates a node with nin inputs and nout results of the given types, not yet placed. */
ir_node *ir_node_new(ir_func *f, const ir_op *op, ir_span at, int nin, ir_value *const *in, int nout, const ir_type *const *types);
void ir_append(ir_block *b, ir_node *n);
void ir_insert_before(ir_node *at, ir_node *n);
void ir_set_input(ir_node *n, int i, ir_value *v);  /* keeps use lists */
void ir_add_input(ir_node *n, ir_value *v);
ir_value *ir_add_output(ir_node *n, const ir_type *t);
void ir_block_result(ir_block *b, ir_value *v);     /* appends */
void ir_set_result(ir_block *b, int i, ir_value *v);
void ir_replace_uses(ir_value *old, ir_value *by);
void ir_move(ir_block *b, ir_node *n);               /* from where it is to the end of b */
void ir_erase(ir_node *n);                           /* results must be unused; nested blocks go too */
void ir_value_name(ir_value *v, const char *name);   /* a hint: made unique by a suffix */
ir_value *ir_const(ir_block *b, ir_span at, rt_value v, const ir_type *t); /* appends an S_CONST; v taken */
ir_value *ir_emit(ir_block *b, ir_span at, const ir_op *op, int nin, ir_value *const *in, const ir_type *t); /* one result */
const rt_value *ir_const_of(const ir_value *v); /* the constant that defines v, or NULL */
bool ir_int_of(const ir_value *v, int64_t *out); /* an int that is known: a constant, or by its dim */
bool ir_is(const ir_node *n, const char *full);  /* is it this op, with its overload?  NULL is none */
bool ir_is_param(const ir_value *v);
rt_tensor *ir_param_tensor(const ir_module *m, const ir_value *param); /* borrowed; NULL: made at load */

const char *ir_value_text(const ir_value *v); /* as the text form names it, "%x" or "%12"; in the context's arena */

/* ======================================================= text: print.c read.c, verify.c */
void ir_print_module(rt_text *out, const ir_module *m);
void ir_print_func(rt_text *out, const ir_func *f);
ir_module *ir_read_module(ir_context *c, const char *file, const char *text, size_t n); /* NULL after diagnostics */
bool ir_verify_module(ir_module *m); /* false after diagnostics that begin "verify:" */
/* Names in the text form: bare if an identifier (letters, digits, _ and .), else a string with escapes. */
bool ir_is_identifier(const char *s);
void ir_print_string(rt_text *out, const char *s, size_t n);
void ir_print_name(rt_text *out, const char *s);
const char *ir_parse_name(ir_context *c, const char **at, const char *end); /* NULL if there is none */
bool ir_parse_string(const char **at, const char *end, rt_text *out);       /* from the opening quote; false: malformed */
/* weights.c: safetensors.  Reading maps the file; the tensors keep the mapping alive. */
bool ir_weights_load(ir_module *m, const char *path);
bool ir_weights_save(const ir_module *m, const char *path);

#endif
