/* apply.c: lower_apply: one op on concrete values.
 *
 * Shapes come from ir_infer_op with all sizes constant; results from the comprehension, from a view of the
 * storage, from a host function or from the interpreted body of a composite.  Comprehensions are kept by op
 * and signature. They, and the types and sizes that inference makes, live in a context of their own, which
 * starts afresh when it has grown large: a loop that runs for ever does not fill the memory. */
#include "ir/infer_shapes.h"
#include "lower/custom.h"
#include "lower/eval.h"

enum { MAX_RESULTS = 8, MAX_OPERANDS = 64 };
static const size_t SCRATCH_BYTES = 64u << 20;

struct lower_applier {
    ir_context *c;       /* the module's: bodies of composites */
    ir_context *scratch; /* types, sizes, comprehensions */
    rt_map built;        /* key -> built, in scratch's arena */
    rt_text key;
};

typedef struct built {
    comp *k;
    const ir_expr *body; /* HOST: scalar body instead */
    bool elementwise;    /* POINTWISE: results follow the operands' memory order */
} built;

/* One application. */
typedef struct call {
    lower_applier *a;
    const ir_op *op;
    const rt_value *args;
    int nargs, noperands;
    rt_value *operands; /* by operand number */
    rt_env *env;
} call;

/* ------------------------------------------------------------------ the applier */

static ir_context *scratch_new(void) {
    jmp_buf fail;
    ir_context *c = rt_calloc(1, sizeof *c);
    if (!c) return NULL;
    c->arena.fail = &fail;
    if (setjmp(fail)) {
        ir_context_free(c);
        return NULL;
    }
    RT_PUSH(&c->arena, &c->spans, (ir_place){0});
    c->arena.fail = NULL;
    return c;
}

lower_applier *lower_applier_new(ir_context *c) {
    lower_applier *a = rt_calloc(1, sizeof *a);
    if (!a) return NULL;
    a->c = c;
    a->scratch = scratch_new();
    if (a->scratch) return a;
    rt_free(a);
    return NULL;
}

void lower_applier_free(lower_applier *a) {
    if (!a) return;
    ir_context_free(a->scratch);
    rt_text_free(&a->key);
    rt_free(a);
}

static bool out_of_memory(rt_env *env) { return rt_raise(env, "MemoryError", "out of memory"); }

static bool refresh(lower_applier *a, rt_env *env) {
    if (a->scratch->arena.used < SCRATCH_BYTES) return true;
    ir_context *c = scratch_new();
    if (!c) return out_of_memory(env);
    ir_context_free(a->scratch);
    a->scratch = c;
    memset(&a->built, 0, sizeof a->built);
    return true;
}

/* ------------------------------------------------------------------ arguments */

static void key_bytes(rt_text *t, const void *p, size_t n) { rt_text_add(t, p, n); }

static void key_tensor(rt_text *t, const rt_tensor *x, bool strides) {
    int head[2] = {x->dtype, x->ndim};
    key_bytes(t, head, sizeof head);
    key_bytes(t, x->shape, (size_t)x->ndim * sizeof *x->shape);
    if (strides) key_bytes(t, x->strides, (size_t)x->ndim * sizeof *x->strides);
}

/* All that a comprehension depends on. */
static void key_value(rt_text *t, rt_value v, bool strides) {
    char tag = (char)v.tag;
    key_bytes(t, &tag, 1);
    switch (v.tag) {
    case V_BOOL:
    case V_INT: key_bytes(t, &v.i, sizeof v.i); break;
    case V_FLOAT: key_bytes(t, &v.f, sizeof v.f); break;
    case V_STR:
        key_bytes(t, &v.str->n, sizeof v.str->n);
        key_bytes(t, v.str->s, v.str->n);
        break;
    case V_TENSOR: key_tensor(t, v.tensor, strides); break;
    case V_LIST:
    case V_TUPLE:
        key_bytes(t, &v.list->n, sizeof v.list->n);
        for (int64_t i = 0; i < v.list->n; i++) key_value(t, v.list->at[i], strides);
        break;
    default: break;
    }
}

static const ir_dim **const_dims(ir_context *c, int n, const int64_t *x) {
    const ir_dim **d = RT_ARRAY(&c->arena, const ir_dim *, n);
    for (int i = 0; i < n; i++) d[i] = ir_dim_const(c, x[i]);
    return d;
}

static ir_arg tensor_arg(ir_context *c, const rt_tensor *t) {
    ir_arg a = {.kind = A_TENSOR};
    a.type = ir_type_tensor(c, t->dtype, t->ndim, const_dims(c, t->ndim, t->shape));
    a.strides = rt_tensor_contiguous(t) && t->offset == 0 ? NULL : const_dims(c, t->ndim, t->strides);
    a.offset = ir_dim_const(c, t->offset);
    return a;
}

static ir_arg to_arg(ir_context *c, rt_value v, int *operand) {
    ir_arg a = {.kind = A_OTHER};
    switch (v.tag) {
    case V_NONE:
        a.kind = A_NONE;
        a.type = ir_type_simple(c, T_NONE);
        break;
    case V_BOOL:
        a = (ir_arg){.kind = A_BOOL, .known = true, .i = v.i, .type = ir_type_simple(c, T_BOOL)};
        break;
    case V_INT:
        a = (ir_arg){.kind = A_INT, .known = true, .dim = ir_dim_const(c, v.i)};
        a.type = ir_type_int(c, a.dim);
        break;
    case V_FLOAT:
        a = (ir_arg){.kind = A_FLOAT, .known = true, .f = v.f, .type = ir_type_simple(c, T_FLOAT)};
        break;
    case V_STR:
        a = (ir_arg){.kind = A_STR,
                     .known = true,
                     .s = ir_internn(c, v.str->s, v.str->n),
                     .type = ir_type_simple(c, T_STR)};
        break;
    case V_TENSOR:
        a = tensor_arg(c, v.tensor);
        a.operand = (*operand)++;
        break;
    case V_LIST:
    case V_TUPLE: {
        ir_arg *at = RT_ARRAY(&c->arena, ir_arg, v.list->n);
        for (int64_t i = 0; i < v.list->n; i++) at[i] = to_arg(c, v.list->at[i], operand);
        a = (ir_arg){.kind = A_LIST, .n = (int)v.list->n, .at = at};
        break;
    }
    default: break;
    }
    return a;
}

static int count_tensors(rt_value v) {
    int n = v.tag == V_TENSOR;
    if (v.tag == V_LIST || v.tag == V_TUPLE)
        for (int64_t i = 0; i < v.list->n; i++) n += count_tensors(v.list->at[i]);
    return n;
}

static void list_operands(rt_value v, rt_value *out, int *n) {
    if (v.tag == V_TENSOR) out[(*n)++] = v;
    if (v.tag == V_LIST || v.tag == V_TUPLE)
        for (int64_t i = 0; i < v.list->n; i++) list_operands(v.list->at[i], out, n);
}

static bool infer(call *x, ir_infer *f) {
    ir_context *c = x->a->scratch;
    ir_arg *args = RT_ARRAY(&c->arena, ir_arg, x->nargs);
    int operand = 0;
    for (int i = 0; i < x->nargs; i++) args[i] = to_arg(c, x->args[i], &operand);
    *f = (ir_infer){.c = c, .op = x->op, .nargs = x->nargs, .args = args};
    return ir_infer_op(f);
}

static bool raise_infer(call *x, const ir_infer *f) {
    const char *cls = f->error_cls ? f->error_cls : "NotImplementedError";
    return rt_raise(x->env, cls, "%s", f->error ? f->error : x->op->full);
}

/* ------------------------------------------------------------------ comprehensions */

static built *find_built(call *x, bool strides) {
    rt_text *t = &x->a->key;
    t->n = 0;
    key_bytes(t, &x->op, sizeof x->op);
    for (int i = 0; i < x->nargs; i++) key_value(t, x->args[i], strides);
    return t->failed ? NULL : rt_map_getn(&x->a->built, t->s, t->n);
}

static void keep_built(call *x, built *b) {
    if (!x->a->key.failed) rt_map_putn(&x->a->scratch->arena, &x->a->built, x->a->key.s, x->a->key.n, b);
}

static built *build_comp(call *x) {
    built *b = find_built(x, x->op->cls == OP_MOVE);
    ir_infer f;
    if (b) return b;
    if (!infer(x, &f)) return raise_infer(x, &f), NULL;
    b = RT_NEW(&x->a->scratch->arena, built);
    b->k = comp_build(&f);
    b->elementwise = x->op->cls == OP_POINTWISE || !strcmp(x->op->full, "clone");
    x->a->scratch->nerrors = 0;
    if (!b->k) return raise_infer(x, &f), NULL;
    keep_built(x, b);
    return b;
}

static bool same_shape(const rt_tensor *t, int n, const int64_t *shape) {
    if (t->ndim != n) return false;
    for (int i = 0; i < n; i++)
        if (t->shape[i] != shape[i]) return false;
    return true;
}

/* Do the strides order the elements without gaps and overlaps? */
static bool is_dense(const rt_tensor *t) {
    int64_t step = 1;
    bool done[RT_MAX_RANK] = {false};
    for (int i = 0; i < t->ndim; i++) {
        int next = -1;
        for (int d = 0; d < t->ndim; d++)
            if (!done[d] && (t->shape[d] == 1 || t->strides[d] == step)) next = d;
        if (next < 0) return false;
        done[next] = true;
        step *= t->shape[next];
    }
    return true;
}

/* As in PyTorch an elementwise result takes the memory order of the first operand that has its shape. */
static const int64_t *order_of(call *x, const comp *k) {
    int64_t shape[RT_MAX_RANK];
    if (k->ndims < 2) return NULL;
    for (int i = 0; i < k->ndims; i++)
        if (!ir_dim_is_const(k->dims[i], &shape[i])) return NULL;
    for (int i = 0; i < x->noperands; i++) {
        const rt_tensor *t = x->operands[i].tensor;
        if (!same_shape(t, k->ndims, shape)) continue;
        return rt_tensor_contiguous(t) || !is_dense(t) ? NULL : t->strides;
    }
    return NULL;
}

static bool apply_comp(call *x, rt_value *out) {
    rt_tensor *r[MAX_RESULTS];
    built *b = build_comp(x);
    if (!b) return false;
    lower_operands in = {.n = x->noperands, .at = x->operands};
    if (!lower_eval(b->k, &in, b->elementwise ? order_of(x, b->k) : NULL, r, x->env)) return false;
    int n = b->k->write ? 1 : b->k->nout;
    for (int i = 0; i < n; i++) out[i] = rt_tensor_value(r[i]);
    return true;
}

/* ------------------------------------------------------------------ views */

static bool sizes_of(int n, const ir_dim *const *dims, int64_t *out) {
    for (int i = 0; i < n; i++)
        if (!ir_dim_is_const(dims[i], &out[i])) return false;
    return true;
}

/* The tensor itself becomes the view, which is taken. */
static bool take_view(call *x, rt_tensor *t, rt_tensor *view, rt_value *out) {
    bool ok = rt_tensor_take_view(t, view);
    rt_tensor_release(view);
    if (!ok) return rt_raise(x->env, "NotImplementedError", "%s: too many dimensions are added in place", x->op->full);
    *out = rt_retain(rt_tensor_value(t));
    return true;
}

static bool apply_view(call *x, rt_value *out) {
    ir_infer f;
    int64_t shape[RT_MAX_RANK], strides[RT_MAX_RANK], offset = 0;
    if (x->args[0].tag != V_TENSOR)
        return rt_raise(x->env, "TypeError", "%s: expected a tensor", x->op->full);
    rt_tensor *base = x->args[0].tensor;
    if (!infer(x, &f)) return raise_infer(x, &f);
    const ir_type *t = f.res[0];
    const ir_dim **s = f.strides[0] ? f.strides[0] : ir_contiguous_strides(f.c, t->rank, t->dims);
    if (!sizes_of(t->rank, t->dims, shape) || !sizes_of(t->rank, s, strides) ||
        (f.offset && !ir_dim_is_const(f.offset, &offset)))
        return rt_raise(x->env, "RuntimeError", "%s: a size is not known", x->op->full);
    rt_tensor *v = rt_tensor_view(base, t->rank, shape, strides, base->offset + offset);
    if (!v) return out_of_memory(x->env);
    if (ir_is_inplace_view(x->op)) return take_view(x, base, v, out);
    *out = rt_tensor_value(v);
    return true;
}

/* A view, or an op such as reshape that is one for these strides: then the rule gives the result's strides. */
static bool aliases(call *x) {
    ir_infer f;
    if (x->op->view) return true;
    return x->op->schema->params[0].alias && x->args[0].tag == V_TENSOR && infer(x, &f) && f.strides[0];
}

/* ------------------------------------------------------------------ host functions */

static bool is_number(rt_value v) { return v.tag == V_INT || v.tag == V_FLOAT || v.tag == V_BOOL; }

/* Computed in f64 if an argument is a float, else in i64 if one is an int, else in bool. */
static rt_dtype host_dtype(const call *x) {
    rt_dtype d = DT_BOOL;
    for (int i = 0; i < x->nargs; i++) {
        if (x->args[i].tag == V_FLOAT) return DT_F64;
        if (x->args[i].tag == V_INT) d = DT_I64;
    }
    return d;
}

static rt_dtype tag_dtype(rt_tag tag) { return tag == V_FLOAT ? DT_F64 : tag == V_INT ? DT_I64 : DT_BOOL; }

static built *build_body(call *x) {
    ir_context *c = x->a->scratch;
    rt_text *t = &x->a->key;
    t->n = 0;
    key_bytes(t, &x->op, sizeof x->op);
    for (int i = 0; i < x->nargs; i++) key_bytes(t, &(char){(char)x->args[i].tag}, 1);
    built *b = t->failed ? NULL : rt_map_getn(&x->a->built, t->s, t->n);
    if (b) return b;
    b = RT_NEW(&c->arena, built);
    ir_exprs exprs = {.c = c};
    const char **names = RT_ARRAY(&c->arena, const char *, x->nargs);
    const ir_expr **values = RT_ARRAY(&c->arena, const ir_expr *, x->nargs);
    for (int i = 0; i < x->nargs; i++) {
        names[i] = x->op->schema->params[i].name;
        if (is_number(x->args[i])) values[i] = ir_x_scalar(&exprs, i, tag_dtype(x->args[i].tag));
    }
    b->body = ir_scalar_parse(&exprs, x->op->body, host_dtype(x), x->nargs, names, values, 0, NULL);
    c->nerrors = 0;
    if (!b->body)
        return rt_raise(x->env, "RuntimeError", "%s cannot be computed on these arguments", x->op->full),
               NULL;
    keep_built(x, b);
    return b;
}

static double number(rt_dtype d, ir_scalar s) { return rt_dtypes[d].kind == 'F' ? s.f : (double)s.i; }

static rt_value boxed(const ir_type *want, rt_dtype d, ir_scalar s) {
    bool f = rt_dtypes[d].kind == 'F';
    ir_kind kind = want->kind == T_OPTIONAL ? want->elem[0]->kind : want->kind;
    if (kind == T_FLOAT || (kind != T_INT && kind != T_BOOL && f)) return rt_float(number(d, s));
    if (kind == T_BOOL || (kind != T_INT && d == DT_BOOL)) return rt_bool(f ? s.f != 0 : s.i != 0);
    return rt_int(f ? ir_prim_eval(K_CAST, DT_I64, DT_F64, &s).i : s.i);
}

static ir_scalar eval_body(const ir_expr *e, const rt_value *args) {
    ir_scalar s[3];
    if (e->op == X_CONST && rt_dtypes[e->dtype].kind == 'F') return (ir_scalar){.f = e->f};
    if (e->op == X_CONST) return (ir_scalar){.i = e->k};
    if (e->op == X_SCALAR)
        return args[e->i].tag == V_FLOAT ? (ir_scalar){.f = args[e->i].f} : (ir_scalar){.i = args[e->i].i};
    if (e->op == K_SELECT) return eval_body(e->args[eval_body(e->args[0], args).i ? 1 : 2], args);
    for (int i = 0; i < e->n; i++) s[i] = eval_body(e->args[i], args);
    return ir_prim_eval(e->op, e->dtype, e->args[0]->dtype, s);
}

static bool apply_body(call *x, rt_value *out) {
    built *b = build_body(x);
    if (!b) return false;
    const ir_schema *s = x->op->schema;
    ir_scalar r = eval_body(b->body, x->args);
    out[0] = s->nresults ? boxed(s->results[0].type, b->body->dtype, r) : V_NULL;
    return true;
}

static bool apply_host(call *x, rt_value *out) {
    bool body = x->op->body && *x->op->body;
    if (body && !(x->op->effects & EFF_RAISES)) return apply_body(x, out);
    rt_host_fn *fn = rt_host_find(x->op->full);
    if (!fn) fn = rt_host_find(x->op->name);
    if (fn) return fn(x->env, x->args, x->nargs, out);
    if (body) return apply_body(x, out);
    return rt_raise(x->env, "NotImplementedError", "op '%s' is not supported", x->op->full);
}

/* ------------------------------------------------------------------ composites and derived forms */

static bool apply_composite(lower_interp *in, call *x, rt_value *out) {
    ir_context *c = x->a->c;
    ir_func *f = c->composite ? c->composite(c, x->op) : NULL;
    rt_value r;
    if (!f) return rt_raise(x->env, "NotImplementedError", "op '%s' is not supported", x->op->full);
    if (!lower_interp_call(in, f, x->nargs, x->args, &r, x->env)) return false;
    int n = x->op->schema->nresults;
    if (n <= 1) {
        out[0] = r;
        return true;
    }
    bool ok = (r.tag == V_TUPLE || r.tag == V_LIST) && r.list->n == n;
    for (int i = 0; ok && i < n; i++) out[i] = rt_retain(r.list->at[i]);
    rt_release(r);
    return ok || rt_raise(x->env, "RuntimeError", "%s: its body has another number of results", x->op->full);
}

static bool assign(call *x, rt_value dst, rt_value src) {
    if (dst.tag != V_TENSOR || src.tag != V_TENSOR)
        return rt_raise(x->env, "TypeError", "%s: expected a tensor", x->op->full);
    if (rt_dtypes[src.tensor->dtype].kind == 'F' && rt_dtypes[dst.tensor->dtype].kind != 'F')
        return rt_raise(x->env, "RuntimeError", "result type %s can't be cast to the desired output type %s",
                        rt_dtypes[src.tensor->dtype].name, rt_dtypes[dst.tensor->dtype].name);
    if (rt_tensor_assign(dst.tensor, src.tensor)) return true;
    return rt_raise(x->env, "RuntimeError",
                    "%s: the result has another shape than the tensor that it is written to", x->op->full);
}

/* name_(self, ...) and name.out(..., out): the op, then a write. */
static bool apply_derived(lower_interp *in, call *x, rt_value *out) {
    const ir_op *base = x->op->inplace_of;
    rt_value r[MAX_RESULTS];
    int n = base->schema->nresults, nout = x->op->out_params;
    if (n > MAX_RESULTS || n < 1)
        return rt_raise(x->env, "NotImplementedError", "op '%s' is not supported", x->op->full);
    if (!lower_apply(in, base, x->args, r, x->env)) return false;
    bool ok = true;
    int targets = nout ? nout : 1, first = nout ? x->nargs - nout : 0;
    for (int i = 0; i < targets && i < n; i++) ok = ok && assign(x, x->args[first + i], r[i]);
    for (int i = 0; i < n; i++) rt_release(r[i]);
    for (int i = 0; ok && i < x->op->schema->nresults; i++)
        out[i] = rt_retain(x->args[first + (i < targets ? i : 0)]);
    return ok;
}

/* ------------------------------------------------------------------ dispatch */

static bool apply_custom(call *x, rt_value *out) {
    ir_infer types;
    return infer(x, &types) ? lower_custom_call(x->a->c, x->op, &types, x->args, out, x->env) : raise_infer(x, &types);
}

static bool dispatch(call *x, rt_value *out) {
    if (x->op->custom) return apply_custom(x, out);
    switch (x->op->cls) {
    case OP_HOST:
    case OP_OPAQUE: return apply_host(x, out);
    case OP_POINTWISE:
    case OP_REDUCE:
    case OP_CONTRACT: return apply_comp(x, out);
    case OP_MOVE: return aliases(x) ? apply_view(x, out) : apply_comp(x, out);
    default: return rt_raise(x->env, "NotImplementedError", "op '%s' is not supported", x->op->full);
    }
}

/* The scratch context leaves by longjmp when out of memory. */
static bool dispatch_safely(call *x, rt_value *out) {
    jmp_buf fail, *outer = x->a->scratch->arena.fail;
    rt_arena *arena = &x->a->scratch->arena;
    arena->fail = &fail;
    bool ok = setjmp(fail) ? out_of_memory(x->env) : dispatch(x, out);
    arena->fail = outer;
    return ok;
}

static void gather_operands(call *x) {
    x->noperands = 0;
    for (int i = 0; i < x->nargs; i++) list_operands(x->args[i], x->operands, &x->noperands);
}

bool lower_apply(lower_interp *in, const ir_op *op, const rt_value *args, rt_value *out, rt_env *env) {
    call x = {
        .a = lower_interp_applier(in), .op = op, .args = args, .nargs = op->schema->nparams, .env = env};
    rt_value few[MAX_OPERANDS];
    if (op->inplace_of) return apply_derived(in, &x, out);
    if (op->cls == OP_COMPOSITE) return apply_composite(in, &x, out);
    if (!refresh(x.a, env)) return false;
    int n = 0;
    for (int i = 0; i < x.nargs; i++) n += count_tensors(args[i]);
    x.operands = n <= MAX_OPERANDS ? few : rt_malloc((size_t)n * sizeof *x.operands);
    if (!x.operands) return out_of_memory(env);
    gather_operands(&x);
    bool ok = dispatch_safely(&x, out);
    if (x.operands != few) rt_free(x.operands);
    return ok;
}
