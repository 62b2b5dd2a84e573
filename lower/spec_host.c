/* spec_host.c: host ops in the partial evaluator, in the order in which they are tried:
 *   1. facts about tensors (sizes, dtype, None-ness): answered from types, `facts` below;
 *   2. constant arguments: the op's own function is called;
 *   3. containers of known structure: the op's own function is called on boxed values in which unknown elements are
 *      tokens that it only moves (`structural` below lists the ops that never look into elements);
 *   4. scalar bodies on symbolic ints: evaluated over dims;
 *   5. else a node is emitted; containers it takes by reference become run-time containers. */
#include "lower/spec.h"

#include <math.h>

static const aval *undef(spec *s) { return spec_const(s, (rt_value){.tag = V_UNDEF}); }

/* ---- 1. facts */

typedef const aval *fact(spec *s, const aval **args, ir_span at); /* NULL: not known here, go on */

static const aval *dims_of(spec *s, int n, const ir_dim *const *d) {
    const aval **at = RT_ARRAY(&s->c->arena, const aval *, n);
    for (int i = 0; i < n; i++) at[i] = spec_dim(s, d[i], NULL);
    return spec_list_of(s, ir_type_list(s->c, ir_type_int(s->c, NULL)), n, at);
}

static const ir_dim **strides_of(spec *s, const aval *t) {
    if (t->strides) return t->strides;
    const ir_dim **d = RT_ARRAY(&s->c->arena, const ir_dim *, t->type->rank), *run = ir_dim_const(s->c, 1);
    for (int i = t->type->rank - 1; i >= 0; i--) {
        d[i] = run;
        run = ir_dim_mul(s->c, run, t->type->dims[i]);
    }
    return d;
}

static const aval *pick(spec *s, const aval *index, int n, const ir_dim *const *d, ir_span at) {
    int64_t i;
    if (!spec_known_int(index, &i)) return NULL;
    if (i < 0) i += n;
    if (i >= 0 && i < n) return spec_dim(s, d[i], NULL);
    spec_raise(s, at, "IndexError", "Dimension out of range");
    return undef(s);
}

static const ir_dim *numel_of(spec *s, const ir_type *t) {
    const ir_dim *n = ir_dim_const(s->c, 1);
    for (int i = 0; i < t->rank; i++) n = ir_dim_mul(s->c, n, t->dims[i]);
    return n;
}

#define FACT(name) static const aval *name(spec *s, const aval **args, ir_span at)
#define UNUSED_AT (void)at
FACT(fact_size) { UNUSED_AT; return dims_of(s, args[0]->type->rank, args[0]->type->dims); }
FACT(fact_size_int) { return pick(s, args[1], args[0]->type->rank, args[0]->type->dims, at); }
FACT(fact_stride) { UNUSED_AT; return dims_of(s, args[0]->type->rank, strides_of(s, args[0])); }
FACT(fact_stride_int) { return pick(s, args[1], args[0]->type->rank, strides_of(s, args[0]), at); }
FACT(fact_dim) { UNUSED_AT; return spec_int(s, args[0]->type->rank); }
FACT(fact_numel) { UNUSED_AT; return spec_dim(s, numel_of(s, args[0]->type), NULL); }
FACT(fact_dtype) { UNUSED_AT; return spec_int(s, rt_dtypes[args[0]->type->dtype].c10); }
FACT(fact_zero) { UNUSED_AT; (void)args; return spec_int(s, 0); }
FACT(fact_device) { UNUSED_AT; (void)args; return spec_const(s, rt_strz("cpu")); }
FACT(fact_itemsize) { UNUSED_AT; return spec_int(s, rt_dtypes[args[0]->type->dtype].bytes); }
FACT(fact_is_float) { UNUSED_AT; return spec_bool(s, rt_dtypes[args[0]->type->dtype].kind == 'F'); }
FACT(fact_is_signed) {
    UNUSED_AT;
    return spec_bool(s, rt_dtypes[args[0]->type->dtype].kind == 'F' || rt_dtypes[args[0]->type->dtype].kind == 'I');
}
FACT(fact_false) { UNUSED_AT; (void)args; return spec_bool(s, false); }
FACT(fact_true) { UNUSED_AT; (void)args; return spec_bool(s, true); }
FACT(fact_nbytes) {
    UNUSED_AT;
    const ir_dim *b = ir_dim_const(s->c, rt_dtypes[args[0]->type->dtype].bytes);
    return spec_dim(s, ir_dim_mul(s->c, numel_of(s, args[0]->type), b), NULL);
}
FACT(fact_len) {
    if (args[0]->type->rank) return spec_dim(s, args[0]->type->dims[0], NULL);
    spec_raise(s, at, "TypeError", "len() of a 0-d tensor");
    return undef(s);
}

/* Unknown equality of a stride counts as not contiguous: the copy that follows is always right. */
FACT(fact_contiguous) {
    UNUSED_AT;
    const aval *t = args[0];
    const ir_dim *run = ir_dim_const(s->c, 1);
    for (int i = t->type->rank - 1; i >= 0 && t->strides; i--) {
        bool one = ir_dim_eq(s->c, t->type->dims[i], ir_dim_const(s->c, 1)) == IR_YES;
        if (!one && ir_dim_eq(s->c, t->strides[i], run) != IR_YES) return spec_bool(s, false);
        run = ir_dim_mul(s->c, run, t->type->dims[i]);
    }
    return spec_bool(s, true);
}

FACT(fact_offset) {
    UNUSED_AT;
    const ir_dim *sum = ir_dim_const(s->c, 0);
    for (const view *v = args[0]->view; v; v = v->parent) {
        if (!v->offset) return NULL;
        sum = ir_dim_add(s->c, sum, v->offset);
    }
    return spec_dim(s, sum, NULL);
}

FACT(fact_same_size) {
    UNUSED_AT;
    const ir_type *a = args[0]->type, *b = args[1]->type;
    if (a->rank != b->rank) return spec_bool(s, false);
    for (int i = 0; i < a->rank; i++) {
        ir_truth t = ir_dim_eq(s->c, a->dims[i], b->dims[i]);
        if (t != IR_YES) return t == IR_NO ? spec_bool(s, false) : NULL;
    }
    return spec_bool(s, true);
}

/* A tensor whose one element is known, as the scalar. */
FACT(fact_item) {
    UNUSED_AT;
    if (args[0]->view || args[0]->type->rank) return NULL;
    return spec_cell(s, args[0]->cell)->scalar;
}

static const aval *convert(spec *s, const aval *a, const char *op) {
    if (!a) return NULL;
    const ir_op *f = ir_op_find(s->c, op);
    return f && spec_is_const(s, a) ? spec_host(s, f, 1, &a, 0) : a->kind == AV_INT && !strcmp(op, "Int.Scalar") ? a : NULL;
}
FACT(fact_int) { return convert(s, fact_item(s, args, at), "Int.Scalar"); }
FACT(fact_float) { return convert(s, fact_item(s, args, at), "Float.Scalar"); }
FACT(fact_bool) { return convert(s, fact_item(s, args, at), "Bool.Scalar"); }

static const struct { const char *op; fact *fact; } facts[] = {
    {"size", fact_size}, {"size.int", fact_size_int}, {"sym_size", fact_size}, {"sym_size.int", fact_size_int},
    {"shape", fact_size}, {"stride", fact_stride}, {"stride.int", fact_stride_int}, {"sym_stride.int", fact_stride_int},
    {"storage_offset", fact_offset}, {"sym_storage_offset", fact_offset}, {"dim", fact_dim}, {"ndim", fact_dim},
    {"numel", fact_numel}, {"sym_numel", fact_numel}, {"len.Tensor", fact_len}, {"element_size", fact_itemsize},
    {"itemsize", fact_itemsize}, {"nbytes", fact_nbytes}, {"dtype", fact_dtype}, {"layout", fact_zero},
    {"device.Tensor", fact_device}, {"is_floating_point", fact_is_float}, {"is_signed", fact_is_signed},
    {"is_same_size", fact_same_size}, {"is_contiguous", fact_contiguous}, {"is_contiguous.memory_format", fact_contiguous},
    {"is_cpu", fact_true}, {"is_complex", fact_false}, {"is_conj", fact_false}, {"is_neg", fact_false},
    {"is_inference", fact_false}, {"is_cuda", fact_false}, {"is_xla", fact_false}, {"is_xpu", fact_false},
    {"is_ipu", fact_false}, {"is_mps", fact_false}, {"is_maia", fact_false}, {"is_vulkan", fact_false},
    {"is_mkldnn", fact_false}, {"is_meta", fact_false}, {"is_sparse", fact_false}, {"is_sparse_csr", fact_false},
    {"is_quantized", fact_false}, {"is_nested", fact_false}, {"requires_grad", fact_false},
    {"item", fact_item}, {"_local_scalar_dense", fact_item}, {"ScalarImplicit", fact_item}, {"Int.Tensor", fact_int},
    {"IntImplicit", fact_int}, {"Float.Tensor", fact_float}, {"FloatImplicit", fact_float}, {"Bool.Tensor", fact_bool},
};

/* `full` carries the namespace for prim ops or not: compare without. */
static bool named(const ir_op *op, const char *name) {
    const char *full = strrchr(op->full, ':');
    return !strcmp(full ? full + 1 : op->full, name);
}

static const aval *tensor_fact(spec *s, const ir_op *op, const aval **args, ir_span at) {
    for (size_t i = 0; i < RT_COUNT(facts); i++)
        if (named(op, facts[i].op)) return facts[i].fact(s, args, at);
    return NULL;
}

/* `a is b`: decided when one side is None and the other's None-ness is known, or both are the same reference. */
static const aval *identity(spec *s, const aval *a, const aval *b, bool want) {
    if (a->kind == AV_UNDEF || b->kind == AV_UNDEF) return NULL;
    if (spec_is_none(a) && spec_is_none(b)) return spec_bool(s, want);
    if (spec_is_none(a) || spec_is_none(b)) {
        const aval *x = spec_is_none(a) ? b : a;
        return x->kind == AV_DYN && x->v->type->kind == T_OPTIONAL ? NULL : spec_bool(s, !want);
    }
    if (a->kind == AV_TENSOR && b->kind == AV_TENSOR) return spec_bool(s, (a->cell == b->cell && a->view == b->view) == want);
    if (a->kind == AV_REF && b->kind == AV_REF) return spec_bool(s, (a->cell == b->cell) == want);
    return NULL;
}

/* ---- 2. constants */

static const aval *result_from_rt(spec *s, const ir_op *op, rt_value v) {
    const ir_type *t = op->schema->nresults == 1 ? op->schema->results[0].type : NULL;
    const aval *a = spec_from_rt(s, v, t && t->kind != T_VAR ? t : NULL);
    rt_release(v);
    return a;
}

static const aval *call_constant(spec *s, const ir_op *op, int n, rt_value *in, ir_span at, rt_value *out) {
    rt_env env = {0};
    *out = V_NULL;
    rt_host_fn *fn = op->schema->varargs ? rt_host_find(op->full) : NULL;
    if (fn ? fn(&env, in, n, out) : lower_apply(s->in, op, in, out, &env)) return NULL;
    const char *cls = ir_intern(s->c, env.cls ? env.cls : "RuntimeError"), *text = ir_intern(s->c, env.message ? env.message : "");
    rt_env_clear(&env);
    spec_raise(s, at, cls, text);
    return undef(s);
}

static bool holds(const ir_type *t, bool (*what)(const ir_type *t)) {
    if (what(t)) return true;
    for (int i = 0; i < t->n; i++)
        if (holds(t->elem[i], what)) return true;
    return false;
}
static bool is_var(const ir_type *t) { return t->kind == T_VAR; }
static bool is_reference(const ir_type *t) { return t->kind == T_TENSOR || t->kind == T_LIST || t->kind == T_DICT; }

enum { MAX_FOLDED = 100000 /* bytes or elements of a value that is computed at compile time */ };

static int64_t size_of(spec *s, const aval *a) {
    if (a->kind == AV_CONST && a->k.tag == V_STR) return (int64_t)a->k.str->n;
    if (a->kind != AV_REF) return 1;
    return spec_cell(s, a->cell)->n;
}

static bool multiplies(const ir_op *op) {
    static const char *const names[] = {"mul", "mul_", "join", "replace", "center", "ljust", "rjust", "zfill", "expandtabs"};
    for (size_t i = 0; i < RT_COUNT(names); i++)
        if (!strcmp(op->name, names[i])) return true;
    return false;
}

/* A string or list that could be huge is left to the run. */
static bool could_be_huge(spec *s, const ir_op *op, int n, const aval **args) {
    ir_kind k = op->schema->nresults == 1 ? op->schema->results[0].type->kind : T_NONE;
    int64_t product = 1, sum = 0, i;
    if (k != T_STR && k != T_LIST) return false;
    for (int j = 0; j < n; j++) {
        int64_t by = size_of(s, args[j]);
        sum += by;
        if (spec_known_int(args[j], &i)) by = i;
        if (by > 1 && !rt_mul_i64(product, by, &product)) product = INT64_MAX;
    }
    return (multiplies(op) ? product : sum) > MAX_FOLDED;
}

/* Are there containers in the container?  A copy of them would be another thing than what is named elsewhere. */
static bool holds_containers(spec *s, const aval *a) {
    const cell *x = a->kind == AV_REF ? spec_cell(s, a->cell) : NULL;
    for (int i = 0; x && i < x->n; i++)
        if (x->at[i]->kind == AV_REF || holds_containers(s, x->at[i])) return true;
    for (int i = 0; a->kind == AV_TUPLE && i < a->n; i++)
        if (a->at[i]->kind == AV_REF || holds_containers(s, a->at[i])) return true;
    return false;
}

static bool gives_var(const ir_op *op) {
    for (int i = 0; i < op->schema->nresults; i++)
        if (holds(op->schema->results[i].type, is_var)) return true;
    return false;
}

static const aval *fold(spec *s, const ir_op *op, int n, const aval **args, ir_span at) {
    if (op->effects & (EFF_WRITES | EFF_SIDE) || could_be_huge(s, op, n, args)) return NULL;
    for (int i = 0; i < n; i++)
        if (!spec_is_const(s, args[i]) || (gives_var(op) && holds_containers(s, args[i]))) return NULL;
    rt_value *in = RT_ARRAY(&s->c->arena, rt_value, n + 1), out;
    for (int i = 0; i < n; i++) in[i] = spec_to_rt(s, args[i]);
    const aval *failed = call_constant(s, op, n, in, at, &out);
    for (int i = 0; i < n; i++) rt_release(in[i]);
    return failed ? failed : result_from_rt(s, op, out);
}

/* ---- 3. known structure, unknown elements */

static const char token_class; /* address marks token objects */
static const char *const structural[] = {
    "append", "extend", "insert", "pop", "Delete", "clear", "reverse", "_set_item", "__getitem__", "len", "list", "copy",
    "add.t", "add_.t", "mul.left_t", "mul.right_", "mul_.t", "slice.t", "get", "setdefault", "popitem", "update", "keys",
    "values", "items", "dict", "__contains__",
};

static bool is_structural(const ir_op *op) {
    for (size_t i = 0; i < RT_COUNT(structural); i++)
        if (!strcmp(op->name, structural[i]) || !strcmp(op->full, structural[i])) return true;
    return false;
}

static rt_value token(const aval *a) {
    rt_value t = rt_object_new(&token_class, 1);
    t.object->at[0] = rt_int((int64_t)(intptr_t)a);
    return t;
}

static const cell *known_container(spec *s, const aval *a) {
    if (a->kind != AV_REF) return NULL;
    const cell *x = spec_cell(s, a->cell);
    return x->kind == CELL_LIST || x->kind == CELL_DICT ? x : NULL;
}

static rt_value tokenised(spec *s, const aval *a) { return spec_is_const(s, a) && a->kind != AV_REF ? spec_to_rt(s, a) : token(a); }

static rt_value boxed(spec *s, const cell *x) {
    spec_work(s, x->n);
    if (x->kind == CELL_LIST) {
        rt_value l = rt_list_new(V_LIST, x->n);
        for (int i = 0; i < x->n; i++) l.list->at[i] = tokenised(s, x->at[i]);
        return l;
    }
    rt_value d = rt_dict_new();
    for (int i = 0; i < x->n; i++) {
        rt_value k = spec_to_rt(s, x->keys[i]);
        rt_dict_set(d.dict, k, tokenised(s, x->at[i]));
        rt_release(k);
    }
    return d;
}

static const aval *unboxed(spec *s, rt_value v, const ir_type *t) {
    if (v.tag == V_OBJECT && v.object->cls == &token_class) return (const aval *)(intptr_t)v.object->at[0].i;
    if (v.tag != V_LIST && v.tag != V_TUPLE && v.tag != V_DICT) return spec_from_rt(s, v, t);
    int n = (int)(v.tag == V_DICT ? v.dict->n : v.list->n);
    cell x = {.kind = v.tag == V_DICT ? CELL_DICT : CELL_LIST, .type = t, .n = n, .cap = n};
    spec_work(s, n);
    x.at = RT_ARRAY(&s->c->arena, const aval *, n);
    if (v.tag == V_DICT) x.keys = RT_ARRAY(&s->c->arena, const aval *, n);
    for (int i = 0; i < n; i++) {
        x.at[i] = unboxed(s, v.tag == V_DICT ? v.dict->values[i] : v.list->at[i], NULL);
        if (x.keys) x.keys[i] = unboxed(s, v.dict->keys[i], NULL);
    }
    if (v.tag == V_TUPLE) return spec_tuple(s, NULL, n, x.at);
    aval *a = RT_NEW(&s->c->arena, aval);
    *a = (aval){.kind = AV_REF, .cell = spec_cell_new(s, x)};
    return a;
}

/* Arguments that a structural op looks at must be constant: keys and indexes (everything of a scalar type). */
static bool structure_known(spec *s, const ir_op *op, const aval **args) {
    bool any = false;
    for (int i = 0; i < op->schema->nparams; i++) {
        ir_kind k = op->schema->params[i].type->kind;
        if (k == T_OPTIONAL) k = op->schema->params[i].type->elem[0]->kind;
        if (k == T_LIST || k == T_DICT) {
            const cell *x = known_container(s, args[i]);
            if (!x) return false;
            any = true;
            for (int j = 0; j < x->n && x->keys; j++)
                if (!spec_is_const(s, x->keys[j])) return false;
        } else if (k != T_VAR && !spec_is_const(s, args[i])) {
            return false;
        }
    }
    return any;
}

static void write_back(spec *s, const aval *a, rt_value v) {
    spec_note_write(s, a);
    const aval *fresh = unboxed(s, v, NULL);
    cell now = *spec_cell(s, fresh->cell);
    cell *x = spec_cell_edit(s, a->cell);
    x->n = x->cap = now.n;
    x->at = now.at;
    x->keys = now.keys;
}

static const aval *move_tokens(spec *s, const ir_op *op, const aval **args, ir_span at) {
    if (!is_structural(op) || could_be_huge(s, op, op->schema->nparams, args) || !structure_known(s, op, args)) return NULL;
    int n = op->schema->nparams;
    rt_value *in = RT_ARRAY(&s->c->arena, rt_value, n + 1), out;
    for (int i = 0; i < n; i++) {
        const cell *x = known_container(s, args[i]);
        bool container = op->schema->params[i].type->kind == T_LIST || op->schema->params[i].type->kind == T_DICT;
        in[i] = container && x ? boxed(s, x) : tokenised(s, args[i]);
    }
    const aval *r = call_constant(s, op, n, in, at, &out);
    for (int i = 0; i < n && !r; i++)
        if ((out.tag == V_LIST || out.tag == V_DICT) && out.tag == in[i].tag && out.list == in[i].list) r = args[i];
    const ir_type *t = op->schema->nresults == 1 && op->schema->results[0].type->kind != T_VAR ? op->schema->results[0].type : NULL;
    if (!r) r = unboxed(s, out, t && t->kind == T_LIST && t->elem[0]->kind != T_VAR ? t : NULL);
    for (int i = 0; i < n; i++) {
        if (op->schema->params[i].writes && !s->stop) write_back(s, args[i], in[i]);
        rt_release(in[i]);
    }
    if (!s->stop) rt_release(out);
    return r;
}

/* ---- 4. scalar bodies over symbolic ints */

typedef struct sym { enum { SYM_NONE, SYM_INT, SYM_BOOL, SYM_FLOAT } kind; const ir_dim *d; bool b; double f; } sym;

static sym sym_truth(ir_truth t) { return t == IR_UNKNOWN ? (sym){SYM_NONE} : (sym){SYM_BOOL, .b = t == IR_YES}; }

static ir_truth negated(ir_truth t) { return t == IR_UNKNOWN ? t : t == IR_YES ? IR_NO : IR_YES; }

static bool never_zero(ir_context *c, const ir_dim *d) {
    int64_t lo, hi;
    ir_dim_range(c, d, &lo, &hi);
    return lo > 0 || hi < 0;
}

static sym sym_int2(ir_context *c, ir_prim op, const ir_dim *a, const ir_dim *b) {
    int64_t lo, hi, blo, bhi;
    switch (op) {
    case K_ADD: return (sym){SYM_INT, ir_dim_add(c, a, b)};
    case K_SUB: return (sym){SYM_INT, ir_dim_sub(c, a, b)};
    case K_MUL: return (sym){SYM_INT, ir_dim_mul(c, a, b)};
    case K_MIN: return (sym){SYM_INT, ir_dim_min(c, a, b)};
    case K_MAX: return (sym){SYM_INT, ir_dim_max(c, a, b)};
    case K_FLOORDIV: return never_zero(c, b) ? (sym){SYM_INT, ir_dim_floordiv(c, a, b)} : (sym){SYM_NONE};
    case K_MOD: return never_zero(c, b) ? (sym){SYM_INT, ir_dim_mod(c, a, b)} : (sym){SYM_NONE};
    case K_DIV:
    case K_REM: /* truncating division agrees with floor for a >= 0, b > 0 */
        ir_dim_range(c, a, &lo, &hi);
        ir_dim_range(c, b, &blo, &bhi);
        if (lo < 0 || blo <= 0) return (sym){SYM_NONE};
        return (sym){SYM_INT, op == K_DIV ? ir_dim_floordiv(c, a, b) : ir_dim_mod(c, a, b)};
    case K_EQ: return sym_truth(ir_dim_eq(c, a, b));
    case K_NE: return sym_truth(negated(ir_dim_eq(c, a, b)));
    case K_LT: return sym_truth(ir_dim_lt(c, a, b));
    case K_LE: return sym_truth(ir_dim_le(c, a, b));
    case K_GT: return sym_truth(ir_dim_lt(c, b, a));
    case K_GE: return sym_truth(ir_dim_le(c, b, a));
    default: return (sym){SYM_NONE};
    }
}

static sym sym_eval(ir_context *c, const ir_expr *e);

static sym sym_constants(ir_context *c, const ir_expr *e, const sym *in) {
    ir_scalar v[3];
    for (int i = 0; i < e->n; i++) {
        int64_t k = 0;
        if (in[i].kind == SYM_NONE || (in[i].kind == SYM_INT && !ir_dim_is_const(in[i].d, &k))) return (sym){SYM_NONE};
        if (in[i].kind == SYM_FLOAT) v[i].f = in[i].f;
        else v[i].i = in[i].kind == SYM_BOOL ? in[i].b : k;
    }
    ir_scalar r = ir_prim_eval(e->op, e->dtype, e->n ? e->args[0]->dtype : e->dtype, v);
    if (e->dtype == DT_BOOL) return (sym){SYM_BOOL, .b = r.i != 0};
    return rt_dtypes[e->dtype].kind == 'F' ? (sym){SYM_FLOAT, .f = r.f} : (sym){SYM_INT, ir_dim_const(c, r.i)};
}

static sym sym_eval(ir_context *c, const ir_expr *e) {
    if (e->op == X_DIM) return (sym){SYM_INT, e->dim};
    if (e->op == X_CONST) {
        if (e->dtype == DT_BOOL) return (sym){SYM_BOOL, .b = e->k != 0};
        return rt_dtypes[e->dtype].kind == 'F' ? (sym){SYM_FLOAT, .f = e->f} : (sym){SYM_INT, ir_dim_const(c, e->k)};
    }
    if (e->op >= K_COUNT || e->n > 3) return (sym){SYM_NONE};
    sym in[3];
    for (int i = 0; i < e->n; i++) in[i] = sym_eval(c, e->args[i]);
    if (e->op == K_SELECT) return in[0].kind == SYM_BOOL ? in[in[0].b ? 1 : 2] : (sym){SYM_NONE};
    if (e->op == K_CAST && in[0].kind == SYM_INT && e->dtype == DT_I64) return in[0];
    if (e->op == K_NEG && in[0].kind == SYM_INT) return (sym){SYM_INT, ir_dim_sub(c, ir_dim_const(c, 0), in[0].d)};
    if (e->n == 2 && in[0].kind == SYM_INT && in[1].kind == SYM_INT) return sym_int2(c, e->op, in[0].d, in[1].d);
    return sym_constants(c, e, in);
}

static const ir_expr *scalar_leaf(ir_exprs *x, spec *s, const aval *a, int i) {
    bool b;
    (void)s;
    if (a->kind == AV_INT) return ir_x_dim(x, a->dim);
    if (spec_known_bool(a, &b)) return ir_x_int(x, DT_BOOL, b);
    if (a->kind == AV_CONST && a->k.tag == V_FLOAT) return ir_x_float(x, DT_F64, a->k.f);
    if (a->kind != AV_DYN) return NULL;
    ir_kind k = a->v->type->kind;
    return k == T_FLOAT || k == T_BOOL ? ir_x_scalar(x, i, k == T_FLOAT ? DT_F64 : DT_BOOL) : NULL;
}

const aval *spec_scalar_body(spec *s, const ir_op *op, const aval **args) {
    int n = op->schema->nparams, bound = n;
    ir_exprs x = {.c = s->c};
    const ir_expr **values = RT_ARRAY(&s->c->arena, const ir_expr *, 2 * n);
    const char **names = RT_ARRAY(&s->c->arena, const char *, 2 * n);
    rt_dtype compute = DT_BOOL;
    for (int i = 0; i < n; i++) {
        const char *name = names[i] = op->schema->params[i].name;
        if (args[i]->kind == AV_CONST && args[i]->k.tag == V_STR) { /* chosen by as NAME.word */
            values[i] = values[bound] = ir_x_int(&x, DT_BOOL, 1);
            names[bound++] = ir_fmt(s->c, "%s.%s", name, args[i]->k.str->s);
            continue;
        }
        values[i] = scalar_leaf(&x, s, args[i], i);
        if (!values[i]) return NULL;
        if (values[i]->dtype == DT_F64 || (values[i]->dtype == DT_I64 && compute == DT_BOOL)) compute = values[i]->dtype;
    }
    const ir_expr *e = ir_scalar_parse(&x, op->body, compute, bound, names, values, 0, NULL);
    sym r = e ? sym_eval(s->c, e) : (sym){SYM_NONE};
    switch (r.kind) {
    case SYM_INT: return spec_dim(s, r.d, NULL);
    case SYM_BOOL: return spec_bool(s, r.b);
    case SYM_FLOAT: return spec_const(s, rt_float(r.f));
    default: return NULL;
    }
}

/* ---- tensors from numbers */

static const aval *full_scalar(spec *s, const aval *value, rt_dtype dt, ir_span at) {
    const ir_op *op = ir_op_find(s->c, "full");
    const aval **args = RT_ARRAY(&s->c->arena, const aval *, op->schema->nparams);
    for (int i = 0; i < op->schema->nparams; i++) args[i] = spec_none(s);
    args[0] = spec_list_of(s, ir_type_list(s->c, ir_type_int(s->c, NULL)), 0, NULL);
    args[1] = value;
    for (int i = 2; i < op->schema->nparams; i++)
        if (!strcmp(op->schema->params[i].name, "dtype")) args[i] = spec_int(s, rt_dtypes[dt].c10);
    const aval *t = spec_apply(s, op, op->schema->nparams, args, at);
    bool exact = dt == DT_I64 || dt == DT_BOOL || dt == DT_F64;
    if (!s->stop && exact && t->kind == AV_TENSOR) spec_cell_edit(s, t->cell)->scalar = value;
    return t;
}

static rt_dtype number_dtype(spec *s, const aval *a) {
    const ir_type *t = spec_type(s, a);
    return t->kind == T_BOOL ? DT_BOOL : t->kind == T_INT ? DT_I64 : DT_F32;
}

static rt_dtype given_dtype(const ir_op *op, const aval **args, rt_dtype otherwise) {
    int64_t code;
    for (int i = 0; i < op->schema->nparams; i++)
        if (!strcmp(op->schema->params[i].name, "dtype") && spec_known_int(args[i], &code)) return rt_dtype_by_c10(code);
    return otherwise;
}

static const aval *call_named(spec *s, const char *full, int n, const aval **args, ir_span at) {
    const ir_op *op = ir_op_find(s->c, full);
    if (!op) {
        spec_unsupported(s, at, "the op %s is missing", full);
        return undef(s);
    }
    const aval **all = RT_ARRAY(&s->c->arena, const aval *, op->schema->nparams);
    for (int i = 0; i < op->schema->nparams; i++)
        all[i] = i < n ? args[i] : spec_from_rt(s, op->schema->params[i].def, op->schema->params[i].type);
    return spec_apply(s, op, op->schema->nparams, all, at);
}

/* A (nested) list of numbers, some of them only known at run time, as a tensor: stacked 0-d tensors. */
static const aval *stacked(spec *s, const aval *a, rt_dtype dt, ir_span at) {
    const cell *x = known_container(s, a);
    if (!x && a->kind == AV_TENSOR) return a;
    if (!x) return full_scalar(s, a, dt, at);
    const aval **all = RT_ARRAY(&s->c->arena, const aval *, x->n);
    for (int i = 0; i < x->n && !s->stop; i++) {
        const aval *e = stacked(s, x->at[i], dt, at), *un[2] = {e, spec_int(s, 0)};
        all[i] = s->stop ? e : call_named(s, "unsqueeze", 2, un, at);
    }
    if (s->stop) return undef(s);
    const aval *args[2] = {spec_list_of(s, NULL, x->n, all), spec_int(s, 0)};
    return call_named(s, "cat", 2, args, at);
}

static const aval *leaf_of(spec *s, const aval *a) {
    for (const cell *x; (x = known_container(s, a)) && x->n;) a = x->at[0];
    return a;
}

static bool makes_tensor(const ir_op *op) {
    return !strcmp(op->name, "tensor") || !strcmp(op->name, "as_tensor") || !strcmp(op->name, "scalar_tensor") ||
           !strcmp(op->name, "NumToTensor");
}

/* A list whose length only the run knows: its function makes the tensor. */
static const aval *tensor_of_list(spec *s, const ir_op *op, const aval **args, ir_span at) {
    const ir_type *t = spec_type(s, args[0]);
    int rank = 0;
    for (; t->kind == T_LIST; t = t->elem[0]) rank++;
    rt_dtype dt = t->kind == T_INT ? DT_I64 : t->kind == T_BOOL ? DT_BOOL : t->kind == T_FLOAT || t->kind == T_BOTTOM ? DT_F32 : DT_NONE;
    if (dt == DT_NONE) {
        spec_unsupported(s, at, "%s of a run-time list of other things than numbers is not supported", op->name);
        return undef(s);
    }
    int n = op->schema->nparams;
    ir_value **in = RT_ARRAY(&s->c->arena, ir_value *, n);
    for (int i = 0; i < n; i++) in[i] = spec_value(s, args[i], at);
    const ir_type *unknown = ir_type_tensor(s->c, given_dtype(op, args, dt), rank, RT_ARRAY(&s->c->arena, const ir_dim *, rank + 1));
    const ir_type *result = spec_fresh_type(s, unknown);
    return spec_tensor_new(s, spec_emit(s, op, at, n, in, 1, &result)->out[0], NULL);
}

static bool is_list(spec *s, const aval *a) {
    return (a->kind == AV_REF || a->kind == AV_DYN) && spec_type(s, a)->kind == T_LIST;
}

static const aval *tensor_from_numbers(spec *s, const ir_op *op, const aval **args, ir_span at) {
    const aval *leaf = leaf_of(s, args[0]);
    if (known_container(s, leaf)) return NULL; /* empty: constant */
    if (is_list(s, leaf)) return tensor_of_list(s, op, args, at);
    rt_dtype dt = leaf->kind == AV_TENSOR ? leaf->type->dtype : number_dtype(s, leaf);
    if (!strcmp(op->name, "scalar_tensor")) dt = DT_F32;
    if (!strcmp(op->name, "NumToTensor") && dt == DT_F32) dt = DT_F64;
    return stacked(s, args[0], given_dtype(op, args, dt), at);
}

/* ---- 5. at run time */

/* An argument of an op that writes or keeps: the container that is written (the first), or what may be put into it. */
static ir_value *by_reference(spec *s, const aval *a, bool first, ir_span at) {
    if (first && a->kind == AV_REF) return spec_materialise(s, a->cell, NULL, at);
    spec_settle(s, a, at);
    return s->stop ? NULL : spec_value(s, a, at);
}

static const ir_type *bind_var(spec *s, const ir_op *op, const ir_type *want, ir_value *const *in) {
    int *slots = RT_ARRAY(&s->c->arena, int, op->schema->nparams);
    ir_call_arg *args = RT_ARRAY(&s->c->arena, ir_call_arg, op->schema->nparams);
    for (int i = 0; i < op->schema->nparams; i++) {
        slots[i] = i;
        args[i] = (ir_call_arg){NULL, in[i]->type, in[i]};
    }
    const ir_type *first = in[0]->type;
    if (want->kind == T_VAR && first->kind == T_LIST && first->elem[0]->kind == T_BOTTOM) return first->elem[0];
    return ir_result_type(s->c, op, 0, slots, args);
}

static const ir_type *scalar_result(spec *s, const ir_op *op, ir_value *const *in) {
    if (in[0]->type->kind == T_TENSOR) {
        char k = rt_dtypes[in[0]->type->dtype].kind;
        return ir_type_simple(s->c, k == 'F' ? T_FLOAT : k == 'B' ? T_BOOL : T_INT);
    }
    bool all_int = true;
    for (int i = 0; i < op->schema->nparams; i++) all_int = all_int && in[i]->type->kind == T_INT;
    return ir_type_simple(s->c, all_int ? T_INT : T_FLOAT);
}

static const ir_type *result_type(spec *s, const ir_op *op, ir_value *const *in, int k) {
    const ir_type *t = op->schema->results[k].type;
    if (t->kind == T_NUMBER) return scalar_result(s, op, in);
    if (k == 0) t = bind_var(s, op, t, in);
    return spec_loose(s, t);
}

/* The element that an op puts into a run-time container must fit the container's type, else the container is made
 * again, wider, before the fork. */
static bool widen(spec *s, const ir_op *op, const aval **args, ir_span at) {
    const aval *l = args[0];
    const cell *x = l->kind == AV_REF ? spec_cell(s, l->cell) : NULL;
    if (!op->schema->params[0].writes || (x ? x->kind != CELL_DYN : l->kind != AV_DYN)) return true;
    const ir_type *now = x ? x->content->type : l->v->type, *want = now;
    for (int i = 1; i < op->schema->nparams && want; i++) {
        ir_kind k = op->schema->params[i].type->kind;
        const ir_type *t = spec_type(s, args[i]);
        if (k == T_VAR) {
            const ir_type *e = spec_join_type(s, want->elem[want->n - 1], t);
            want = !e ? NULL : want->kind == T_LIST ? ir_type_list(s->c, e) : ir_type_dict(s->c, want->elem[0], e);
        } else if ((k == T_LIST || k == T_DICT) && t->kind == now->kind) {
            want = spec_join_type(s, want, t);
        } else if (now->kind == T_DICT && i == 1 && now->elem[0]->kind == T_BOTTOM) {
            want = ir_type_dict(s->c, ir_surface(s->c, t), want->elem[1]);
        }
    }
    if (!want) {
        spec_unsupported(s, at, "%s: the elements of this run-time %s have no common type", op->name, now->kind == T_LIST ? "list" : "dict");
        return false;
    }
    if (want != now && x) return spec_materialise(s, l->cell, want, at) != NULL;
    if (want != now && !x && !spec_widen_state(s, l->v, spec_loose(s, want))) spec_unsupported(s, at, "%s: the element does not fit the type of this run-time list", op->name);
    return want == now;
}

/* May a result be an element of `a`, shared with it? */
static bool gives_elements(spec *s, const ir_op *op, const aval *a) {
    if (!gives_var(op) || a->kind != AV_REF || !known_container(s, a)) return false;
    const cell *x = spec_cell(s, a->cell);
    for (int i = 0; i < x->n; i++)
        if (x->at[i]->kind == AV_REF || holds(spec_type(s, x->at[i]), is_reference)) return true;
    return false;
}

static const aval *emit_host(spec *s, const ir_op *op, int n, const aval **args, ir_span at) {
    int nres = op->schema->nresults;
    ir_value **in = RT_ARRAY(&s->c->arena, ir_value *, n);
    bool keeps = op->effects & EFF_WRITES;
    if (keeps) spec_note_write(s, args[0]);
    if (keeps && args[0]->kind == AV_REF) spec_materialise(s, args[0]->cell, NULL, at);
    for (int i = 0; i < n && !s->stop; i++)
        if (gives_elements(s, op, args[i])) spec_settle(s, args[i], at);
    if (s->stop || !widen(s, op, args, at)) return undef(s);
    for (int i = 0; i < n && !s->stop; i++) in[i] = keeps ? by_reference(s, args[i], !i, at) : spec_value(s, args[i], at);
    if (s->stop) return undef(s);
    const ir_type **t = RT_ARRAY(&s->c->arena, const ir_type *, nres ? nres : 1);
    for (int i = 0; i < nres; i++) t[i] = spec_fresh_type(s, result_type(s, op, in, i));
    if (nres == 1 && t[0]->kind == T_BOTTOM) { /* an element of a container that is empty */
        spec_raise(s, at, "IndexError", "list index out of range");
        return undef(s);
    }
    if (!nres) t[0] = ir_type_simple(s->c, T_NONE);
    ir_node *node = spec_emit(s, op, at, n, in, nres ? nres : 1, t);
    if (nres && keeps && op->schema->results[0].alias) return args[0];
    if (nres <= 1) return nres ? spec_dyn(s, node->out[0]) : spec_none(s);
    const aval **all = RT_ARRAY(&s->c->arena, const aval *, nres);
    for (int i = 0; i < nres; i++) all[i] = spec_dyn(s, node->out[i]);
    return spec_tuple(s, NULL, nres, all);
}

/* A run-time list whose elements have no type has none (to put one in makes it another list: see widen). */
static bool always_empty(const aval *a) {
    return a->kind == AV_DYN && a->v->type->kind == T_LIST && a->v->type->elem[0]->kind == T_BOTTOM;
}

const aval *spec_host(spec *s, const ir_op *op, int n, const aval **args, ir_span at) {
    const aval *r = NULL;
    bool tensors = n > 0 && args[0]->kind == AV_TENSOR;
    if (!strcmp(op->name, "__is__") || !strcmp(op->name, "__isnot__")) r = identity(s, args[0], args[1], op->name[4] == '_');
    if (!r && tensors) r = tensor_fact(s, op, args, at);
    if (!r && !strcmp(op->name, "warn")) r = spec_none(s);
    if (!r && !strcmp(op->full, "len.t") && always_empty(args[0])) r = spec_int(s, 0);
    if (!r && (named(op, "unchecked_unwrap_optional") || named(op, "_unwrap_optional")) && args[0]->kind != AV_DYN) r = args[0];
    if (!r && !s->stop && makes_tensor(op) && !(spec_is_const(s, args[0]) && args[0]->kind == AV_REF)) r = tensor_from_numbers(s, op, args, at);
    if (!r && !s->stop) r = fold(s, op, n, args, at);
    if (!r && !s->stop) r = move_tokens(s, op, args, at);
    if (!r && !s->stop && op->body && *op->body) r = spec_scalar_body(s, op, args);
    if (!r && !s->stop) r = emit_host(s, op, n, args, at);
    return r ? r : undef(s);
}
