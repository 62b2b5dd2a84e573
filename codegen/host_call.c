/* host_call.c: calls from host code: kernels, scalar bodies, host functions and opaque kernels. */
#include "codegen/host.h"

#include "ir/custom.h"
#include "runtime/artefact.h"

typedef LLVMValueRef V;
typedef LLVMTypeRef T;

#define B (h->cg->b)

/* In scalar operations, of which vector code does some six in a nanosecond.  Below PARALLEL_COST a launch is over before another
 * thread has begun; a piece of PIECE_COST lasts longer than it takes to hand out, and little is lost while a thread waits for
 * the last one.  More than MAX_PIECES even out nothing. */
enum { PARALLEL_COST = 1 << 14, PIECE_COST = 1 << 13, MAX_PIECES = 256 };

/* ---- kernels */

static V address(host *h, const ir_dim *offset) {
    V at = host_dim(h, offset);
    return LLVMBuildGEP2(B, h->cg->i8, h->work, &at, 1, "");
}

/* The result's memory, before the kernel runs. */
static void make_room(host *h, ir_value *v) {
    const plan_place *p = &h->plan->at[v->id];
    if (p->kind == PL_WORK) {
        h->vals[v->id].v = address(h, p->offset);
        return;
    }
    if (p->kind == PL_OUT) {
        h->vals[v->id].v = host_load(h, h->cg->ptr, h->out_data, 8 * p->index);
        return;
    }
    V slot = host_slot(h, host_new_slots(h, 1));
    V data = host_tensor(h, v->type, slot);
    h->vals[v->id] = (host_val){data, slot};
}

/* i32 thunk(ptr arg, i64 begin, i64 end, i64 worker): arg = {buffers, scalars}; gives message row + 1 for a raise. */
static V thunk_of(host *h, cg_kernel *k, int first_row) {
    if (k->body) return k->body;
    cg_module *m = h->cg;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(B);
    T params[4] = {m->ptr, m->i64, m->i64, m->i64};
    V fn = cg_function(m, ir_fmt(h->c, "%s.body", k->k->name), LLVMFunctionType(m->i32, params, 4, false), false);
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(m->cx, fn, "entry"));
    V error = LLVMBuildArrayAlloca(B, m->i64, host_i32(h, K_MAX_RAISE), "");
    V arg = LLVMGetParam(fn, 0);
    V args[5] = {host_load(h, m->ptr, arg, 0), host_load(h, m->ptr, arg, 8), LLVMGetParam(fn, 1), LLVMGetParam(fn, 2), error};
    V code = LLVMBuildCall2(B, k->entry_type, k->entry, args, 5, "");
    V zero = host_i32(h, 0);
    V raised = LLVMBuildAdd(B, code, host_i32(h, first_row), "");
    LLVMBuildRet(B, LLVMBuildSelect(B, LLVMBuildICmp(B, LLVMIntEQ, code, zero, ""), zero, raised, ""));
    LLVMPositionBuilderAtEnd(B, here);
    return k->body = fn;
}

static int failure_rows(host *h, const lower_launch *l) {
    int first = 0;
    for (int i = 0; i < l->failures.n; i++) { /* consecutive rows: never shared with others */
        cg_message m = {l->failures.at[i].cls, l->failures.at[i].text, l->span};
        RT_PUSH(&h->c->arena, &h->tables->messages, m);
        if (i == 0) first = h->tables->messages.n - 1;
    }
    return first;
}

static V buffer_address(host *h, ir_node *n, const lower_buffer *b) {
    if (b->kind == LB_IN) {
        V data = host_data(h, n->in[b->index]), first = cg_i64(h->cg, b->first * rt_dtypes[b->dtype].bytes);
        return b->first ? LLVMBuildGEP2(B, h->cg->i8, data, &first, 1, "") : data;
    }
    if (b->kind == LB_OUT) return host_data(h, n->out[b->index]);
    V at = host_dim(h, lower_scratch_bytes(h->c, n->info, b->index));
    return LLVMBuildGEP2(B, h->cg->i8, h->scratch, &at, 1, "");
}

static V scalar_bits(host *h, ir_node *n, const lower_scalar *s) {
    if (s->dim) return host_dim(h, s->dim);
    V v = host_scalar(h, n->in[s->input]);
    if (LLVMTypeOf(v) == h->cg->f64) return LLVMBuildBitCast(B, v, h->cg->i64, "");
    return LLVMTypeOf(v) == h->cg->i1 ? LLVMBuildZExt(B, v, h->cg->i64, "") : v;
}

static void raise_if(host *h, V code) {
    LLVMBasicBlockRef bad = host_block(h, "raise"), ok = host_block(h, "ok");
    LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntEQ, code, host_i32(h, 0), ""), ok, bad);
    LLVMPositionBuilderAtEnd(B, bad);
    V row = LLVMBuildSub(B, code, host_i32(h, 1), "");
    LLVMBuildRet(B, HOST_SERVICE(h, raise, h->cg->i32, 1, &row));
    LLVMPositionBuilderAtEnd(B, ok);
}

/* Pieces of work, by cost at run time, that two or four threads can share evenly; one where they are not worth dividing. */
static V pieces_of(host *h, const lower_launch *l) {
    ir_context *c = h->c;
    const ir_dim *one = ir_dim_const(c, 1), *cost = ir_dim_max(c, l->cost, one), *most = ir_dim_const(c, MAX_PIECES);
    const ir_dim *some = ir_dim_max(c, ir_dim_floordiv(c, ir_dim_const(c, PIECE_COST), cost), one);
    const ir_dim *fours = ir_dim_ceildiv(c, ir_dim_floordiv(c, l->grid, some), 4);
    V pieces = host_dim(h, ir_dim_min(c, ir_dim_mul(c, fours, ir_dim_const(c, 4)), ir_dim_min(c, most, l->grid)));
    V little = LLVMBuildICmp(B, LLVMIntSLT, host_dim(h, l->grid), host_dim(h, ir_dim_floordiv(c, ir_dim_const(c, PARALLEL_COST), cost)), "");
    return LLVMBuildSelect(B, little, cg_i64(h->cg, 1), pieces, "");
}

static bool small(const lower_launch *l) {
    int64_t n, cost;
    return ir_dim_is_const(l->grid, &n) && (n <= 1 || (ir_dim_is_const(l->cost, &cost) && cost < PARALLEL_COST / n));
}

static void launch(host *h, ir_node *n, const lower_launch *l) {
    cg_module *m = h->cg;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(B);
    cg_kernel *k = cg_add_kernel(m, l->kernel, NULL, false);
    LLVMPositionBuilderAtEnd(B, here);
    if (!k) return;
    V buffers = host_alloca(h, m->ptr, l->buffers.n ? l->buffers.n : 1), scalars = host_alloca(h, m->i64, l->scalars.n ? l->scalars.n : 1);
    for (int i = 0; i < l->buffers.n; i++) host_store(h, buffer_address(h, n, &l->buffers.at[i]), buffers, 8 * i);
    for (int i = 0; i < l->scalars.n; i++) host_store(h, scalar_bits(h, n, &l->scalars.at[i]), scalars, 8 * i);
    int first = failure_rows(h, l);
    V grid = host_dim(h, l->grid), code;
    V thunk = thunk_of(h, k, first);
    V arg = host_alloca(h, m->ptr, 2);
    host_store(h, buffers, arg, 0);
    host_store(h, scalars, arg, 8);
    if (small(l)) {
        V args[4] = {arg, cg_i64(m, 0), grid, cg_i64(m, 0)};
        code = LLVMBuildCall2(B, LLVMGlobalGetValueType(thunk), thunk, args, 4, "");
    } else {
        V args[4] = {grid, pieces_of(h, l), thunk, arg};
        code = HOST_SERVICE(h, parallel_for, m->i32, 4, args);
    }
    if (l->failures.n) raise_if(h, code);
}

static void mark(host *h, cg_op op) {
    RT_PUSH(&h->c->arena, &h->made->ops, op);
    LLVMBasicBlockRef yes = host_block(h, "mark"), no = host_block(h, "op");
    LLVMBuildCondBr(B, LLVMBuildIsNull(B, h->profile, ""), no, yes);
    LLVMPositionBuilderAtEnd(B, yes);
    V row = host_i32(h, h->made->ops.n - 1);
    HOST_SERVICE(h, mark, h->cg->voidty, 1, &row);
    LLVMBuildBr(B, no);
    LLVMPositionBuilderAtEnd(B, no);
}

static const char *result_types(ir_context *c, const ir_node *n) {
    rt_text t = {0};
    for (int i = 0; i < n->nout; i++) {
        if (i) rt_text_str(&t, ", ");
        ir_type_print(&t, n->out[i]->type);
    }
    const char *s = ir_intern(c, t.s ? t.s : "");
    rt_text_free(&t);
    return s;
}

void host_mark_node(host *h, const ir_node *n) {
    const lower_kernel *k = n->info;
    cg_op op = {k ? k->label : n->op->name, result_types(h->c, n), h->at, NULL, NULL};
    if (k) lower_group_work(h->c, n, &op.flops, &op.bytes);
    mark(h, op);
}

void host_mark(host *h, const char *name, const ir_dim *bytes) { mark(h, (cg_op){name, "", h->at, NULL, bytes}); }

/* Scratch memory of the group: in the workspace, or a block of its own where its size is not known at entry. */
static V open_scratch(host *h, ir_node *n) {
    const ir_dim *bytes = lower_scratch_bytes(h->c, n->info, INT32_MAX);
    int64_t none;
    if (ir_dim_is_const(bytes, &none) && none == 0) return NULL;
    if (h->plan->scratch[n->id]) return h->scratch = address(h, h->plan->scratch[n->id]), NULL;
    V size = host_dim(h, bytes);
    h->scratch = HOST_SERVICE(h, block_new, h->cg->ptr, 1, &size);
    host_fail_if(h, LLVMBuildZExt(B, LLVMBuildIsNull(B, h->scratch, ""), h->cg->i32, ""));
    return h->scratch;
}

void host_kernel(host *h, ir_node *n) {
    const lower_kernel *k = n->info;
    if (!k) {
        ir_error(h->c, n->span, "internal: a kernel was not scheduled");
        return;
    }
    host_mark_node(h, n);
    for (int i = 0; i < n->nout; i++) make_room(h, n->out[i]);
    V block = open_scratch(h, n);
    for (int i = 0; i < k->launches.n; i++) launch(h, n, &k->launches.at[i]);
    if (block) HOST_SERVICE(h, block_free, h->cg->voidty, 1, &block);
}

/* ---- scalar bodies */

static rt_dtype scalar_dtype(const ir_type *t) {
    return t->kind == T_FLOAT ? DT_F64 : t->kind == T_BOOL ? DT_BOOL : t->kind == T_INT ? DT_I64 : DT_NONE;
}

static V libm_call(host *h, ir_prim p, rt_dtype d, int n, V *args) {
    const char *name = k_math_symbol(p, d);
    T t = cg_type(h->cg, d), params[3] = {t, t, t}, type = LLVMFunctionType(t, params, (unsigned)n, false);
    V fn = LLVMGetNamedFunction(h->cg->mod, name);
    if (!fn) fn = LLVMAddFunction(h->cg->mod, name, type);
    return LLVMBuildCall2(B, type, fn, args, (unsigned)n, "");
}

static V float_prim(host *h, ir_prim p, rt_dtype d, V a, V b) { return cg_prim(h->cg, p, d, d, (V[]){a, b}); }

/* mod and floordiv of floats, from fmod: as lower/math.c makes them for kernels. */
static V floor_division(host *h, ir_prim p, rt_dtype d, V *args) {
    V x = args[0], y = args[1], zero = LLVMConstReal(cg_type(h->cg, d), 0), r = libm_call(h, K_REM, d, 2, args);
    V differ = LLVMBuildXor(B, LLVMBuildFCmp(B, LLVMRealOLT, r, zero, ""), LLVMBuildFCmp(B, LLVMRealOLT, y, zero, ""), "");
    differ = LLVMBuildAnd(B, differ, LLVMBuildFCmp(B, LLVMRealONE, r, zero, ""), "");
    if (p == K_MOD) return LLVMBuildSelect(B, differ, LLVMBuildFAdd(B, r, y, ""), r, "");
    V exact = LLVMBuildFDiv(B, x, y, ""), one = LLVMConstReal(cg_type(h->cg, d), 1);
    V q = LLVMBuildFDiv(B, LLVMBuildFSub(B, x, r, ""), y, "");
    q = LLVMBuildSelect(B, differ, LLVMBuildFSub(B, q, one, ""), q, "");
    V f = float_prim(h, K_FLOOR, d, q, NULL), half = LLVMConstReal(cg_type(h->cg, d), 0.5);
    V low = LLVMBuildFCmp(B, LLVMRealOGT, LLVMBuildFSub(B, q, f, ""), half, "");
    f = LLVMBuildSelect(B, low, LLVMBuildFAdd(B, f, one, ""), f, "");
    f = LLVMBuildSelect(B, LLVMBuildFCmp(B, LLVMRealOEQ, q, zero, ""), float_prim(h, K_COPYSIGN, d, zero, exact), f, "");
    return LLVMBuildSelect(B, LLVMBuildFCmp(B, LLVMRealOEQ, y, zero, ""), exact, f, "");
}

static V scalar_expr(host *h, ir_node *n, const ir_expr *e) {
    V args[3];
    switch ((int)e->op) {
    case X_CONST:
        if (rt_dtypes[e->dtype].kind == 'F') return LLVMConstReal(cg_type(h->cg, e->dtype), e->f);
        return LLVMConstInt(cg_type(h->cg, e->dtype), (unsigned long long)e->k, true);
    case X_SCALAR: return host_scalar(h, n->in[e->i]);
    case X_DIM: return host_dim(h, e->dim);
    default: break;
    }
    for (int i = 0; i < e->n; i++) args[i] = scalar_expr(h, n, e->args[i]);
    bool real = rt_dtypes[e->dtype].kind == 'F';
    if (real && k_math_symbol(e->op, e->dtype)) return libm_call(h, e->op, e->dtype, e->n, args);
    if (real && (e->op == K_MOD || e->op == K_FLOORDIV)) return floor_division(h, e->op, e->dtype, args);
    if (e->op == K_POW) ir_error(h->c, n->span, "int ** int with a base or exponent that is not constant is not supported");
    return cg_prim(h->cg, e->op, e->dtype, e->n ? e->args[e->op == K_SELECT ? 1 : 0]->dtype : e->dtype, args);
}

static const ir_expr *scalar_body(host *h, ir_node *n, ir_exprs *x) {
    int count = n->nin;
    rt_dtype compute = DT_BOOL;
    const ir_expr **values = RT_ARRAY(&h->c->arena, const ir_expr *, count + 1);
    const char **names = RT_ARRAY(&h->c->arena, const char *, count + 1);
    for (int i = 0; i < count; i++) {
        rt_dtype d = scalar_dtype(n->in[i]->type);
        if (d == DT_NONE) return NULL;
        names[i] = n->op->schema->params[i].name;
        const rt_value *k = ir_const_of(n->in[i]);
        values[i] = !k ? ir_x_scalar(x, i, d) : d == DT_F64 ? ir_x_float(x, d, k->f) : ir_x_int(x, d, k->i);
        if (d == DT_F64 || (d == DT_I64 && compute == DT_BOOL)) compute = d;
    }
    const ir_expr *e = ir_scalar_parse(x, n->op->body, compute, count, names, values, 0, NULL);
    rt_dtype want = scalar_dtype(n->out[0]->type);
    return e && want != DT_NONE ? ir_x_cast(x, e, want) : NULL;
}

/* A body that may raise is computed here only if it cannot: a constant divisor other than 0. */
static bool cannot_raise(const ir_node *n) {
    if (!(n->op->effects & EFF_RAISES)) return true;
    const rt_value *k = n->nin == 2 ? ir_const_of(n->in[1]) : NULL;
    return k && k->tag == V_INT && k->i != 0;
}

static bool inline_body(host *h, ir_node *n) {
    if (n->op->cls != OP_HOST || !n->op->body || !*n->op->body || n->nout != 1 || !cannot_raise(n)) return false;
    ir_exprs x = {.c = h->c};
    const ir_expr *e = scalar_body(h, n, &x);
    if (!e) return false;
    V v = h->vals[n->out[0]->id].v = scalar_expr(h, n, e);
    if (n->out[0]->type->kind == T_INT) host_bind(h, n->out[0]->type->dim, v);
    return true;
}

/* ---- host functions */

static const char *host_name(const ir_node *n) {
    if (rt_host_find(n->op->full)) return n->op->full;
    return rt_host_find(n->op->name) ? n->op->name : NULL;
}

/* The elements of an argument list that exists for this op alone. */
static V argument_array(host *h, ir_node *n) {
    V array = host_alloca(h, h->cg->i64, 2 * (n->nin ? n->nin : 1));
    for (int i = 0; i < n->nin; i++) {
        V at = host_at(h, array, 16 * i);
        if (n->op->cls == OP_OPAQUE) host_lend_value(h, at, n->in[i]); /* its kernels keep nothing: runtime/opaque.h */
        else host_put_value(h, at, n->in[i]);
    }
    return array;
}

V host_call_named(host *h, cg_host what, int nargs, V args, int nout) {
    V out = host_slot(h, host_new_slots(h, nout));
    int row = cg_message_row(h->c, h->tables, "", "", h->at);
    V all[6] = {host_i32(h, cg_host_row(h->c, h->tables, what.name, what.signature)), host_i32(h, row), host_i32(h, nargs), args, host_i32(h, nout), out};
    host_fail_if(h, HOST_SERVICE(h, call, h->cg->i32, 6, all));
    return out;
}

/* ---- custom operators */

static void also(host *h, V *ok, V more) { *ok = *ok ? LLVMBuildAnd(B, *ok, more, "") : more; }

/* The sizes that the function gave are those of the type: what follows relies on them. */
static void check_sizes(host *h, V *ok, const ir_type *t, V shape) {
    for (int d = 0; d < t->rank; d++) {
        int64_t lo, hi;
        V size = host_load(h, h->cg->i64, shape, 8 * d);
        also(h, ok, LLVMBuildICmp(B, LLVMIntEQ, size, host_dim(h, t->dims[d]), ""));
        ir_dim_range(h->c, t->dims[d], &lo, &hi);
        also(h, ok, LLVMBuildICmp(B, LLVMIntSLE, size, cg_i64(h->cg, hi), ""));
    }
}

static V writable_copy(host *h, ir_value *v) {
    V slot = host_slot(h, host_new_slots(h, 1)), to = host_tensor(h, v->type, slot), from = host_data(h, v);
    host_memcpy(h, to, from, host_dim(h, plan_bytes(h->c, v->type)));
    return slot;
}

/* The arguments, and where the values of the results will be. */
static V custom_array(host *h, ir_node *n, V *boxes) {
    const ir_op *writer = n->op->custom->writer;
    V array = host_alloca(h, h->cg->i64, 2 * (n->nin ? n->nin : 1));
    int copy = n->op->schema->nresults;
    for (int i = 0; writer && i < n->nin; i++) copy -= writer->schema->params[i].writes;
    for (int i = 0; i < n->nin; i++)
        if (writer && writer->schema->params[i].writes) host_put(h, host_at(h, array, 16 * i), boxes[copy++] = writable_copy(h, n->in[i]));
        else host_put_value(h, host_at(h, array, 16 * i), n->in[i]);
    return array;
}

static void call_custom(host *h, ir_node *n) {
    const ir_custom *k = n->op->custom;
    const ir_op *op = k->writer ? k->writer : n->op;
    const ir_schema *s = op->schema;
    int nout = n->op->schema->nresults, own = 0;
    V ok = NULL, *shapes = RT_ARRAY(&h->c->arena, V, nout + 1), *boxes = RT_ARRAY(&h->c->arena, V, nout + 1);
    V array = custom_array(h, n, boxes);
    V out = host_call_named(h, (cg_host){op->full, k->signature}, n->nin, array, s->nresults);
    for (int i = 0; i < s->nresults; i++)
        if (!ir_custom_is_written(s, i)) boxes[own++] = host_at(h, out, 16 * i);
    for (int i = 0; i < nout; i++)
        if (n->out[i]->type->kind == T_TENSOR) shapes[i] = host_unbox_tensor(h, n->out[i], boxes[i], ir_fmt(h->c, "%s, result %d", n->op->full, i + 1));
        else host_unbox(h, n->out[i], boxes[i]);
    for (int i = 0; i < nout; i++)
        if (shapes[i]) check_sizes(h, &ok, n->out[i]->type, shapes[i]);
    if (ok) host_require(h, ok, "RuntimeError", ir_fmt(h->c, "%s: a result has other sizes than it was compiled for", op->full));
}

void host_call(host *h, ir_node *n) {
    if (n->op->custom) {
        call_custom(h, n);
        return;
    }
    if (inline_body(h, n)) return;
    const char *name = host_name(n);
    if (!name) {
        ir_error(h->c, n->span, "%s has no implementation for compiled code", n->op->full);
        for (int i = 0; i < n->nout; i++)
            h->vals[n->out[i]->id].v = LLVMGetUndef(n->out[i]->type->kind == T_FLOAT ? h->cg->f64 : n->out[i]->type->kind == T_BOOL ? h->cg->i1 : n->out[i]->type->kind == T_INT ? h->cg->i64 : h->cg->ptr);
        return;
    }
    host_mark_node(h, n);
    V out = host_call_named(h, (cg_host){name, ""}, n->nin, argument_array(h, n), n->nout);
    for (int i = 0; i < n->nout; i++) host_unbox(h, n->out[i], host_at(h, out, 16 * i));
}
