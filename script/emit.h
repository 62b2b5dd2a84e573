/* emit.h: from trees to surface graphs: what the emit_*.c files share.
 *
 * A user error leaves by longjmp to the statement that it is in (emit_fail): the names which that statement assigns
 * become silent poison, and emission goes on behind it.  Control flow is made structured as it is emitted: break,
 * continue and return set hidden variables ("$exit", "$break", "$return", "$value"), and what follows a statement that
 * may have exited runs under an `if`. */
#ifndef JITC_SCRIPT_EMIT_H
#define JITC_SCRIPT_EMIT_H

#include "script/ast.h"

typedef enum decl_kind { DECL_FUNC, DECL_CLASS, DECL_CONST } decl_kind;
typedef enum decl_state { DECL_NEW, DECL_BUSY, DECL_DONE, DECL_BAD } decl_state;

typedef struct decl decl;
struct decl {
    decl_kind kind;
    decl_state state;
    const char *qualified;
    script_ast *ast;     /* AST_DEF, AST_CLASS; DECL_CONST: the value's expression */
    script_file *file;
    decl *owner;         /* methods: the class */
    ir_class *cls;       /* classes, once asked for */
    const ir_type *type; /* NamedTuple: the tuple type */
    ir_func *func;       /* functions, once asked for */
    bool queued, exception;
};

struct script_unit {
    ir_context *c;
    ir_module *m;
    rt_map decls;        /* qualified -> decl */
    rt_map missing;      /* names that the loader does not know */
    RT_VEC(decl *) pending_funcs, pending_classes;
    RT_VEC(script_file *) files;
    script_loader *load;
    void *load_env;
    rt_value constants;
    int depth;           /* functions being emitted within each other */
    int version;         /* of the archive's format; 0: none, or one without older meanings */
    bool draining;
    bool vocabulary;     /* bare names mean ops */
};

/* What an expression may be besides a value. */
typedef enum sugar_kind {
    SG_UNDEF,   /* text: why it is not defined; NULL: an error was reported already */
    SG_VALUE,   /* v */
    SG_MULTI,   /* many[n]: a tuple not yet built */
    SG_FLAG,    /* n: a bool known at emission */
    SG_PATH,    /* text: "torch.nn.functional" */
    SG_BUILTIN, /* text: "len" */
    SG_DECL,    /* d */
    SG_METHOD,  /* v, text: method of a value; d: the class's function, if it is one */
    SG_TYPE     /* type: used as a value in calls such as isinstance */
} sugar_kind;

typedef struct sugar {
    sugar_kind kind;
    ir_value *v;
    const char *text;
    decl *d;
    int n;
    ir_value **many;
    const ir_type *type;
} sugar;

typedef struct var {
    sugar s;
    const ir_type *declared; /* of an annotation, or NULL */
    ir_value *root;          /* refinements: the value before; else s.v */
} var;

typedef struct scope {
    struct scope *up;
    rt_map vars; /* name -> var: those set in this scope */
} scope;

/* How control leaves a list of statements. */
typedef enum flow { FLOW_FALLS, FLOW_MAYBE, FLOW_EXITS, FLOW_RETURNS, FLOW_RAISES } flow;

typedef struct emitter {
    script_unit *u;
    ir_context *c;
    decl *d;
    ir_func *f;
    ir_block *b;          /* where nodes go */
    scope *scope;
    const ir_type *result; /* declared or found result type; NULL: not known yet */
    const ir_type *found;  /* join of the returned types */
    bool again;            /* the result type was needed before it was known: emit once more */
    int loops, depth, retries;
    rt_map last_read;      /* name -> int *: greatest ord at which it may still be read */
    jmp_buf *recover;
} emitter;

/* ---- emit.c: units, lookup, functions */
decl *emit_find(script_unit *u, const char *qualified);
/* A name as code of `file` sees it at top level: own definitions, then imports. */
decl *emit_find_in(script_unit *u, script_file *file, const char *name);
ir_func *emit_func(script_unit *u, decl *d); /* signature at once, body queued; NULL after errors */
void emit_now(script_unit *u, decl *d); /* the body of a queued function, before its turn */
bool emit_drain(script_unit *u);
_Noreturn void emit_fail(emitter *e, script_ast *at, const char *fmt, ...) RT_PRINTF(3, 4);
bool emit_type_fits(const ir_type *t); /* false: it is so large that walking it would take too long */
const char *emit_type_text(ir_context *c, const ir_type *t);

/* ---- types.c; NULL after a diagnostic */
const ir_type *emit_type(script_unit *u, script_file *file, script_ast *a);
bool emit_is_type(script_unit *u, script_file *file, script_ast *a); /* can it be read as a type, without a diagnostic */

/* ---- emit_class.c */
ir_class *emit_class(script_unit *u, decl *d);
const ir_type *emit_class_type(script_unit *u, decl *d, script_ast *at, script_file *file);
void emit_fields(script_unit *u, ir_class *cls); /* completes the fields */
int emit_field(const ir_class *cls, const char *name);
void emit_field_add(script_unit *u, ir_class *cls, const char *name, const ir_type *t);
bool emit_is_dataclass(const decl *d);
decl *emit_method(script_unit *u, const ir_class *cls, const char *name);
bool emit_literal(script_unit *u, script_file *file, script_ast *a, rt_value *out); /* constant expressions; out is owned */

/* ---- emit_stmt.c, emit_loop.c */
flow emit_list(emitter *e, script_ast *block, int from);
flow emit_loop(emitter *e, script_ast *a);
void emit_scan_reads(emitter *e, script_ast *a, int loop_last);
void emit_assigned(rt_arena *arena, script_ast *a, rt_map *names); /* names that a statement may set */
void emit_assign(emitter *e, script_ast *target, sugar value, script_ast *at);
void emit_set(emitter *e, const char *name, sugar s);
var *emit_lookup(scope *s, const char *name);
scope *emit_push(emitter *e, scope *s); /* returns the scope before */
typedef struct fact { const char *name; const ir_type *yes, *no; struct fact *next; } fact; /* types if true and if false */
fact *emit_facts(emitter *e, script_ast *cond);
void emit_refine(emitter *e, fact *facts, bool truth);
/* Joins the variables of two branches behind node n (an S_IF whose blocks end in them). */
flow emit_merge(emitter *e, ir_node *n, scope *yes, flow fy, scope *no, flow fn, int after);
/* Iterates: calls body(e, env, element) once within a loop, or once for each element of a tuple. */
typedef void iter_body(emitter *e, void *env, sugar element);
void emit_iterate(emitter *e, script_ast *iterable, script_ast *at, iter_body *body, void *env);

/* ---- emit_expr.c */
sugar emit_sugar(emitter *e, script_ast *a, const ir_type *hint);
ir_value *emit_expr(emitter *e, script_ast *a, const ir_type *hint);
ir_value *emit_value(emitter *e, sugar s, script_ast *at);
ir_value *emit_cond(emitter *e, script_ast *a); /* a bool */
ir_value *emit_bool(emitter *e, ir_value *v, script_ast *at);
bool emit_static(const ir_value *v, bool *truth); /* is a bool known */
ir_value *emit_binary(emitter *e, const char *op, ir_value *a, ir_value *b, script_ast *at);
sugar emit_attribute(emitter *e, sugar object, const char *name, script_ast *at);
void emit_comprehend(emitter *e, script_ast *a, int clause, iter_body *leaf, void *env);

/* ---- emit_index.c */
ir_value *emit_subscript(emitter *e, script_ast *a);
void emit_store(emitter *e, script_ast *target, ir_value *v);
void emit_store_augmented(emitter *e, script_ast *target, const char *op, script_ast *value, script_ast *at);

/* ---- emit_call.c */
sugar emit_call(emitter *e, script_ast *a, const ir_type *hint);
sugar emit_call_decl(emitter *e, decl *d, ir_value *self, int n, script_ast **args, script_ast *at);
const char *emit_op_name(script_unit *u, const char *path); /* op of "torch.nn.functional.relu"; NULL: no op path */
bool emit_path_constant(ir_context *c, const char *path, rt_value *out, const ir_type **t);

/* ---- emit_builtin.c */
sugar emit_builtin(emitter *e, sugar f, script_ast *a, const ir_type *hint);
bool emit_path_builtin(emitter *e, const char *path, script_ast *a, const ir_type *hint, sugar *out); /* false: it is none */

/* ---- emit_op.c */
static inline sugar sg_value(ir_value *v) { return (sugar){.kind = SG_VALUE, .v = v}; }
ir_value *emit_const(emitter *e, script_ast *at, rt_value v);
ir_value *emit_int(emitter *e, script_ast *at, int64_t i);
ir_value *emit_str(emitter *e, script_ast *at, const char *s, size_t n);
ir_value *emit_none(emitter *e, script_ast *at);
ir_value *emit_const_typed(emitter *e, script_ast *at, rt_value v, const ir_type *t);
ir_value *emit_uninit(emitter *e, script_ast *at, const ir_type *t);
ir_value *emit_cast(emitter *e, script_ast *at, ir_value *v, const ir_type *t);
ir_value *emit_tuple(emitter *e, script_ast *at, int n, ir_value *const *v);
ir_value *emit_list_of(emitter *e, script_ast *at, int n, ir_value *const *v, const ir_type *elem);
int emit_unpack(emitter *e, script_ast *at, sugar s, int want, ir_value ***out); /* want < 0: as many as a tuple has */
/* The value at another type, with PyTorch's implicit conversions; NULL: there is none. */
ir_value *emit_coerce(emitter *e, script_ast *at, ir_value *v, const ir_type *want, int list_size);
/* The same, with an error that names `what`. */
ir_value *emit_want(emitter *e, script_ast *at, ir_value *v, const ir_type *want, const char *what);
/* One of the op's overloads on the arguments. */
sugar emit_op(emitter *e, script_ast *at, const char *name, int nargs, const ir_call_arg *args);
ir_value *emit_op_values(emitter *e, script_ast *at, const char *name, int n, ir_value *const *v);
#define EMIT_OP(e, at, name, ...) \
    emit_op_values(e, at, name, (int)RT_COUNT(((ir_value *[]){__VA_ARGS__})), (ir_value *[]){__VA_ARGS__})
ir_node *emit_node(emitter *e, script_ast *at, ir_struct_id id, int nin, ir_value *const *in, int nout,
                   const ir_type *const *types);

#endif
