/* host.c: an entry's control flow: blocks, if, loop, state, outputs.  See host.h.
 *
 * Every failure returns at once: the runtime releases slots, outputs and blocks.  Addresses of tensors that control
 * flow chooses are phis; boxed values that it chooses are copied into slots of the join. */
#include "codegen/host.h"

#include "runtime/artefact.h"

typedef LLVMValueRef V;
typedef LLVMTypeRef T;
typedef LLVMBasicBlockRef BB;

#define B (h->cg->b)

/* ---- small things */

V host_alloca(host *h, T t, int n) {
    BB here = LLVMGetInsertBlock(B);
    V last = LLVMGetLastInstruction(h->entry);
    if (last && LLVMIsATerminatorInst(last)) LLVMPositionBuilderBefore(B, last);
    else LLVMPositionBuilderAtEnd(B, h->entry);
    V a = LLVMBuildArrayAlloca(B, t, host_i32(h, n), "");
    LLVMSetAlignment(a, 16);
    LLVMPositionBuilderAtEnd(B, here);
    return a;
}

V host_at(host *h, V base, int64_t offset) {
    V i = cg_i64(h->cg, offset);
    return LLVMBuildGEP2(B, h->cg->i8, base, &i, 1, "");
}
V host_load(host *h, T t, V base, int64_t offset) { return LLVMBuildLoad2(B, t, host_at(h, base, offset), ""); }
void host_store(host *h, V v, V base, int64_t offset) { LLVMBuildStore(B, v, host_at(h, base, offset)); }
V host_i32(host *h, int64_t x) { return LLVMConstInt(h->cg->i32, (unsigned long long)x, true); }
BB host_block(host *h, const char *name) { return LLVMAppendBasicBlockInContext(h->cg->cx, h->fn, name); }
V host_const_text(host *h, const char *s) { return cg_bytes(h->cg, "text", s, strlen(s) + 1, 1); }

void host_fail_if(host *h, V code) {
    BB fail = host_block(h, "fail"), ok = host_block(h, "ok");
    LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntNE, code, host_i32(h, 0), ""), fail, ok);
    LLVMPositionBuilderAtEnd(B, fail);
    LLVMBuildRet(B, code);
    LLVMPositionBuilderAtEnd(B, ok);
}

V host_service(host *h, size_t member, T result, int n, V *args) {
    T types[10];
    V all[10];
    types[0] = h->cg->ptr;
    all[0] = h->r;
    for (int i = 0; i < n; i++) types[i + 1] = LLVMTypeOf(args[i]), all[i + 1] = args[i];
    V fn = host_load(h, h->cg->ptr, h->services, (int64_t)member);
    return LLVMBuildCall2(B, LLVMFunctionType(result, types, (unsigned)n + 1, false), fn, all, (unsigned)n + 1, "");
}

void host_memcpy(host *h, V to, V from, V bytes) { LLVMBuildMemCpy(B, to, 1, from, 1, bytes); }

/* ---- dims */

static V atom_value(host *h, const ir_atom *a) {
    static const ir_prim prims[] = {[ATOM_FLOORDIV] = K_FLOORDIV, [ATOM_MOD] = K_MOD, [ATOM_MIN] = K_MIN, [ATOM_MAX] = K_MAX};
    if (a->kind == ATOM_SYMBOL) {
        V v = rt_map_get(&h->symbols, a->symbol);
        if (v) return v;
        ir_error(h->c, h->at, "internal: the symbol %s is used before it is bound", a->symbol);
        return cg_i64(h->cg, 1);
    }
    V args[2] = {host_dim(h, a->a), host_dim(h, a->b)};
    return cg_prim(h->cg, prims[a->kind], DT_I64, DT_I64, args);
}

static V dim_here(host *h, const ir_dim *d) {
    V sum = NULL;
    for (int i = 0; i < d->nterms; i++) {
        const ir_term *t = &d->terms[i];
        V x = cg_i64(h->cg, t->coef);
        for (int k = 0; k < t->natoms; k++) {
            V a = atom_value(h, t->atoms[k]);
            x = k == 0 && t->coef == 1 ? a : LLVMBuildMul(B, x, a, "");
        }
        sum = sum ? LLVMBuildAdd(B, sum, x, "") : x;
    }
    return sum ? sum : cg_i64(h->cg, 0);
}

/* What is known at entry is computed there, once (nothing of it can trap). */
V host_dim(host *h, const ir_dim *d) {
    BB here = LLVMGetInsertBlock(B);
    V last = h->entry ? LLVMGetLastInstruction(h->entry) : NULL;
    if (ir_dim_is_const(d, NULL) || !last || !LLVMIsATerminatorInst(last) || !plan_known(h->plan, d)) return dim_here(h, d);
    V v = rt_map_getn(&h->dims, (const char *)&d, sizeof d);
    if (v) return v;
    LLVMPositionBuilderBefore(B, last);
    v = dim_here(h, d);
    if (here != h->entry) LLVMPositionBuilderAtEnd(B, here); /* else this was a part of another one */
    rt_map_putn(&h->c->arena, &h->dims, (const char *)&d, sizeof d, v);
    return v;
}

void host_bind(host *h, const ir_dim *d, V v) {
    if (!d || d->nterms != 1 || d->terms[0].coef != 1 || d->terms[0].natoms != 1) return;
    const ir_atom *a = d->terms[0].atoms[0];
    if (a->kind == ATOM_SYMBOL && !rt_map_get(&h->symbols, a->symbol)) rt_map_put(&h->c->arena, &h->symbols, a->symbol, v);
}

/* ---- if */

static bool is_struct(const ir_node *n, ir_struct_id id) { return n->op->cls == OP_STRUCT && n->op->id == (int)id; }

static void emit_block(host *h, ir_block *b);

static bool boxed_here(const host *h, const ir_value *v) { /* joined through a slot */
    return plan_boxed(v->type) || (v->type->kind == T_TENSOR && h->plan->at[v->id].kind == PL_SLOT);
}

static T plain_type(host *h, const ir_type *t) {
    switch (t->kind) {
    case T_INT: return h->cg->i64;
    case T_FLOAT: return h->cg->f64;
    case T_BOOL: return h->cg->i1;
    default: return h->cg->ptr;
    }
}

static bool nothing(const ir_type *t) { return t->kind == T_NONE || t->kind == T_BOTTOM; }

static V plain_value(host *h, ir_value *v) { return v->type->kind == T_TENSOR ? host_data(h, v) : host_scalar(h, v); }

static bool never(const ir_value *v) { return v->def && is_struct(v->def, S_UNINIT); }

/* What stands for a plain value that is never looked at: a copy of it must not hurt. */
static V nothing_of(host *h, const ir_type *t) { return t->kind == T_TENSOR ? h->work : LLVMConstNull(plain_type(h, t)); }

/* The value that a block hands to result `to`: for a plain one its LLVM value, for a boxed one NULL after copying. */
static V hand_over(host *h, ir_value *from, ir_value *to, V slot) {
    if (nothing(to->type)) return NULL;
    if (!boxed_here(h, to)) return never(from) ? nothing_of(h, to->type) : plain_value(h, from);
    if (never(from)) return NULL;
    V args[2] = {host_box(h, from), slot};
    HOST_SERVICE(h, copy, h->cg->voidty, 2, args);
    return NULL;
}

static void define_joined(host *h, ir_value *v, V plain, V slot) {
    if (nothing(v->type)) return;
    if (boxed_here(h, v)) {
        host_unbox_maybe(h, v, slot);
        return;
    }
    h->vals[v->id].v = plain;
    if (v->type->kind == T_INT) host_bind(h, v->type->dim, plain);
}

static void emit_if(host *h, ir_node *n) {
    BB arm[2] = {host_block(h, "then"), host_block(h, "else")}, after = host_block(h, "join"), from[2];
    V *results[2], *slots = RT_ARRAY(&h->c->arena, V, n->nout + 1);
    for (int i = 0; i < n->nout; i++)
        if (boxed_here(h, n->out[i])) slots[i] = host_slot(h, host_new_slots(h, 1));
    LLVMBuildCondBr(B, host_scalar(h, n->in[0]), arm[0], arm[1]);
    for (int k = 0; k < 2; k++) {
        LLVMPositionBuilderAtEnd(B, arm[k]);
        emit_block(h, n->blocks[k]);
        results[k] = RT_ARRAY(&h->c->arena, V, n->nout + 1);
        for (int i = 0; i < n->nout; i++) results[k][i] = hand_over(h, n->blocks[k]->results.at[i], n->out[i], slots[i]);
        from[k] = LLVMGetInsertBlock(B);
        LLVMBuildBr(B, after);
    }
    LLVMPositionBuilderAtEnd(B, after);
    V *phis = RT_ARRAY(&h->c->arena, V, n->nout + 1);
    for (int i = 0; i < n->nout; i++) {
        if (nothing(n->out[i]->type) || boxed_here(h, n->out[i])) continue;
        phis[i] = LLVMBuildPhi(B, plain_type(h, n->out[i]->type), "");
        V in[2] = {results[0][i], results[1][i]};
        LLVMAddIncoming(phis[i], in, from, 2);
    }
    for (int i = 0; i < n->nout; i++) define_joined(h, n->out[i], phis[i], slots[i]);
}

/* ---- loop */

typedef struct carried { V phi, slot, next; } carried;

static bool planned_carry(host *h, const ir_node *n, int i) {
    return n->out[i]->type->kind == T_TENSOR && h->plan->at[n->out[i]->id].kind == PL_PHI && h->plan->carries[n->id][i].offset[0];
}

/* A planned tensor: copied to that of its two buffers that is not in use. */
static V copy_carried(host *h, const ir_node *n, int i, ir_value *v, V now) {
    const plan_carry *c = &h->plan->carries[n->id][i];
    V a = LLVMBuildGEP2(B, h->cg->i8, h->work, (V[]){host_dim(h, c->offset[0])}, 1, "");
    V b = LLVMBuildGEP2(B, h->cg->i8, h->work, (V[]){host_dim(h, c->offset[1])}, 1, "");
    V to = LLVMBuildSelect(B, LLVMBuildICmp(B, LLVMIntEQ, now, a, ""), b, a, "");
    if (!never(v)) host_memcpy(h, to, host_data(h, v), host_dim(h, plan_bytes(h->c, n->out[i]->type)));
    return to;
}

static void begin_carried(host *h, ir_node *n, carried *c, BB before, V *init) {
    for (int i = 0; i < n->nout; i++) {
        ir_value *p = n->blocks[0]->params.at[i + 1];
        if (nothing(p->type) || boxed_here(h, p)) continue;
        c[i].phi = LLVMBuildPhi(B, plain_type(h, p->type), "");
        LLVMAddIncoming(c[i].phi, &init[i], &before, 1);
    }
}

static void enter_body(host *h, ir_node *n, carried *c) {
    for (int i = 0; i < n->nout; i++) define_joined(h, n->blocks[0]->params.at[i + 1], c[i].phi, c[i].slot);
}

/* All new values are made before any old one is given up: they may be permutations of each other. */
static void next_carried(host *h, ir_node *n, carried *c) {
    for (int i = 0; i < n->nout; i++) {
        ir_value *v = n->blocks[0]->results.at[i + 1], *p = n->blocks[0]->params.at[i + 1];
        if (nothing(p->type)) continue;
        if (planned_carry(h, n, i)) c[i].next = copy_carried(h, n, i, v, c[i].phi);
        else if (boxed_here(h, p)) {
            V fresh = host_slot(h, host_new_slots(h, 1));
            hand_over(h, v, p, fresh);
            c[i].next = fresh;
        } else c[i].next = never(v) ? nothing_of(h, p->type) : plain_value(h, v);
    }
    for (int i = 0; i < n->nout; i++) {
        if (!c[i].slot) continue;
        HOST_SERVICE(h, copy, h->cg->voidty, 2, ((V[]){c[i].next, c[i].slot}));
        HOST_SERVICE(h, clear, h->cg->voidty, 1, &c[i].next);
    }
}

static V *initial_carried(host *h, ir_node *n, carried *c) {
    V *init = RT_ARRAY(&h->c->arena, V, n->nout + 1);
    for (int i = 0; i < n->nout; i++) {
        ir_value *p = n->blocks[0]->params.at[i + 1];
        if (!nothing(p->type) && boxed_here(h, p)) c[i].slot = host_slot(h, host_new_slots(h, 1));
        init[i] = hand_over(h, n->in[i + 2], p, c[i].slot);
    }
    return init;
}

static void emit_loop(host *h, ir_node *n) {
    carried *c = RT_ARRAY(&h->c->arena, carried, n->nout + 1);
    V trip = host_scalar(h, n->in[0]), first = host_scalar(h, n->in[1]);
    V *init = initial_carried(h, n, c);
    BB before = LLVMGetInsertBlock(B), head = host_block(h, "loop"), body = host_block(h, "body"), after = host_block(h, "done");
    LLVMBuildBr(B, head);
    LLVMPositionBuilderAtEnd(B, head);
    V i = LLVMBuildPhi(B, h->cg->i64, ""), go = LLVMBuildPhi(B, h->cg->i1, "");
    V zero = cg_i64(h->cg, 0);
    LLVMAddIncoming(i, &zero, &before, 1);
    LLVMAddIncoming(go, &first, &before, 1);
    begin_carried(h, n, c, before, init);
    V more = LLVMBuildAnd(B, go, LLVMBuildICmp(B, LLVMIntSLT, i, trip, ""), "");
    LLVMBuildCondBr(B, more, body, after);
    LLVMPositionBuilderAtEnd(B, body);
    ir_value *iv = n->blocks[0]->params.at[0];
    h->vals[iv->id].v = i;
    host_bind(h, iv->type->dim, i);
    enter_body(h, n, c);
    emit_block(h, n->blocks[0]);
    V cond = never(n->blocks[0]->results.at[0]) ? LLVMConstInt(h->cg->i1, 0, false) : host_scalar(h, n->blocks[0]->results.at[0]);
    next_carried(h, n, c);
    V inext = LLVMBuildAdd(B, i, cg_i64(h->cg, 1), "");
    BB last = LLVMGetInsertBlock(B);
    LLVMBuildBr(B, head);
    LLVMAddIncoming(i, &inext, &last, 1);
    LLVMAddIncoming(go, &cond, &last, 1);
    for (int k = 0; k < n->nout; k++)
        if (c[k].phi) LLVMAddIncoming(c[k].phi, &c[k].next, &last, 1);
    LLVMPositionBuilderAtEnd(B, after);
    for (int k = 0; k < n->nout; k++) define_joined(h, n->out[k], c[k].phi, c[k].slot);
}

/* ---- structural nodes */

static int place_row(host *h) { return cg_message_row(h->c, h->tables, "", "", h->at); }

static void emit_raise(host *h, ir_node *n) {
    V args[3] = {host_i32(h, place_row(h)), host_box(h, n->in[1]), host_box(h, n->in[0])};
    V code = HOST_SERVICE(h, raise_value, h->cg->i32, 3, args);
    LLVMBuildRet(B, code);
    LLVMPositionBuilderAtEnd(B, host_block(h, "dead"));
}

void host_require(host *h, V holds, const char *cls, const char *text) {
    BB bad = host_block(h, "guard"), ok = host_block(h, "ok");
    LLVMBuildCondBr(B, holds, ok, bad);
    LLVMPositionBuilderAtEnd(B, bad);
    V row = host_i32(h, cg_message_row(h->c, h->tables, cls, text, h->at));
    LLVMBuildRet(B, HOST_SERVICE(h, raise, h->cg->i32, 1, &row));
    LLVMPositionBuilderAtEnd(B, ok);
}

static void emit_guard(host *h, ir_node *n) {
    const rt_value *text = ir_const_of(n->in[1]);
    host_require(h, host_scalar(h, n->in[0]), "RuntimeError",
                 text && text->tag == V_STR ? ir_intern(h->c, text->str->s) : "an assumption of the compiler does not hold");
}

/* Address of n consecutive rt_values holding the node's inputs, borrowed. */
static V boxed_inputs(host *h, ir_node *n) {
    V array = host_alloca(h, h->cg->i64, 2 * (n->nin ? n->nin : 1));
    for (int i = 0; i < n->nin; i++) host_put_value(h, host_at(h, array, 16 * i), n->in[i]);
    return array;
}

static void emit_container(host *h, ir_node *n) {
    V items = boxed_inputs(h, n), slot = host_slot(h, host_new_slots(h, 1)), code;
    if (is_struct(n, S_DICT)) {
        code = HOST_SERVICE(h, dict, h->cg->i32, 3, ((V[]){cg_i64(h->cg, n->nin / 2), items, slot}));
    } else {
        V tag = host_i32(h, is_struct(n, S_LIST) ? V_LIST : V_TUPLE);
        code = HOST_SERVICE(h, list, h->cg->i32, 4, ((V[]){tag, cg_i64(h->cg, n->nin), items, slot}));
    }
    host_fail_if(h, code);
    h->vals[n->out[0]->id].v = slot;
}

static void take_item(host *h, V list, int64_t i, ir_value *v) {
    V slot = host_slot(h, host_new_slots(h, 1));
    host_fail_if(h, HOST_SERVICE(h, item, h->cg->i32, 4, ((V[]){host_i32(h, place_row(h)), list, cg_i64(h->cg, i), slot})));
    host_unbox(h, v, slot);
}

static void emit_unpack(host *h, ir_node *n) {
    if (h->plan->at[n->out[0]->id].kind == PL_IN || (n->in[0]->type->kind == T_TUPLE && !n->in[0]->def && !n->in[0]->block->owner)) return;
    V list = host_box(h, n->in[0]);
    if (n->in[0]->type->kind == T_LIST) {
        V len = HOST_SERVICE(h, length, h->cg->i64, 1, &list);
        host_require(h, LLVMBuildICmp(B, LLVMIntEQ, len, cg_i64(h->cg, n->nout), ""), "RuntimeError",
                     ir_fmt(h->c, "Expected %d elements in a list but found another number", n->nout));
    }
    for (int i = 0; i < n->nout; i++) take_item(h, list, i, n->out[i]);
}

static void emit_index(host *h, ir_node *n) {
    const rt_value *k = ir_const_of(n->in[1]);
    take_item(h, host_box(h, n->in[0]), k ? k->i : 0, n->out[0]);
}

static void emit_cast(host *h, ir_node *n) {
    ir_value *from = n->in[0], *to = n->out[0];
    if (plan_boxed(to->type)) {
        V slot = host_slot(h, host_new_slots(h, 1)), args[2] = {host_box(h, from), slot};
        HOST_SERVICE(h, copy, h->cg->voidty, 2, args);
        h->vals[to->id].v = slot;
    } else if (plan_boxed(from->type)) {
        host_unbox(h, to, host_box(h, from));
    } else if (to->type->kind == T_TENSOR) {
        h->vals[to->id] = (host_val){host_data(h, from), h->vals[from->id].box};
    } else if (!nothing(to->type)) {
        h->vals[to->id].v = host_scalar(h, from);
    }
}

static void emit_state(host *h, ir_node *n) {
    int row = cg_state_row(h->c, h->tables, n->sym);
    ir_value *v = n->out[0];
    if (v->type->kind == T_TENSOR && plan_static(h->plan, v->type)) h->vals[v->id].v = host_load(h, h->cg->ptr, h->state_data, 8 * row);
    else host_unbox(h, v, host_at(h, h->state, 16 * row));
}

static void emit_struct(host *h, ir_node *n) {
    switch ((ir_struct_id)n->op->id) {
    case S_CONST: /* made where it is used */
    case S_PARAM: /* the same: those that only the inside of a kernel names are not stored at all */
    case S_UNINIT: break;
    case S_DIM:
        h->vals[n->out[0]->id].v = host_dim(h, n->out[0]->type->dim);
        break;
    case S_STATE: emit_state(h, n); break;
    case S_IF: emit_if(h, n); break;
    case S_LOOP: emit_loop(h, n); break;
    case S_LIST:
    case S_TUPLE:
        if (!host_flat(n->out[0])) emit_container(h, n);
        break;
    case S_DICT: emit_container(h, n); break;
    case S_UNPACK: emit_unpack(h, n); break;
    case S_INDEX: emit_index(h, n); break;
    case S_CAST: emit_cast(h, n); break;
    case S_RAISE: emit_raise(h, n); break;
    case S_GUARD: emit_guard(h, n); break;
    case S_KERNEL: host_kernel(h, n); break;
    case S_SETSTATE:
    case S_WRITEBACK: RT_PUSH(&h->c->arena, &h->ends, n); break;
    default: ir_error(h->c, n->span, "internal: %s reached code generation", n->op->full);
    }
}

static void emit_block(host *h, ir_block *b) {
    for (ir_node *n = b->first; n; n = n->next) {
        h->at = n->span;
        if (n->op->cls == OP_STRUCT) emit_struct(h, n);
        else host_call(h, n);
    }
}

/* ---- entries */

static void open_function(host *h) {
    cg_module *m = h->cg;
    T type = LLVMFunctionType(m->i32, &m->ptr, 1, false);
    h->fn = cg_function(m, ir_fmt(h->c, "%s_run", h->f->name), type, false);
    h->r = LLVMGetParam(h->fn, 0);
    h->entry = LLVMAppendBasicBlockInContext(m->cx, h->fn, "entry");
    LLVMPositionBuilderAtEnd(B, h->entry);
    BB body = host_block(h, "start");
#define FIELD(to, member) h->to = host_load(h, m->ptr, h->r, offsetof(rt_run, member))
    FIELD(services, services);
    FIELD(weights, weights);
    FIELD(prepared, prepared);
    FIELD(work, workspace);
    FIELD(slots, slots);
    FIELD(in, in);
    FIELD(in_data, in_data);
    FIELD(out, out);
    FIELD(out_data, out_data);
    FIELD(state, state);
    FIELD(state_data, state_data);
    FIELD(profile, profile);
#undef FIELD
    V symbols = host_load(h, m->ptr, h->r, offsetof(rt_run, symbols));
    for (int i = 0; i < h->plan->symbols.n; i++)
        rt_map_put(&h->c->arena, &h->symbols, h->plan->symbols.at[i], host_load(h, m->i64, symbols, 8 * i));
    LLVMBuildBr(B, body);
    LLVMPositionBuilderAtEnd(B, body);
}

/* ---- AddressSanitizer: the workspace's slots are separated by memory that it guards */

enum { GAP = 64 };

static bool asan(const cg_module *m) { return m->target->sanitizer && !strcmp(m->target->sanitizer, "sanitize_address"); }

static void call_asan(host *h, const char *name, V at, V bytes) {
    cg_module *m = h->cg;
    T params[2] = {m->ptr, m->i64}, type = LLVMFunctionType(m->voidty, params, 2, false);
    V fn = LLVMGetNamedFunction(m->mod, name), args[2] = {at, bytes};
    if (!fn) fn = LLVMAddFunction(m->mod, name, type);
    LLVMBuildCall2(B, type, fn, args, 2, "");
}

/* Other entries, or other sizes, had their gaps elsewhere. */
static void mark_gaps(host *h) {
    if (!h->plan->gaps.n) return;
    call_asan(h, "__asan_unpoison_memory_region", h->work, host_dim(h, h->plan->workspace));
    for (int i = 0; i < h->plan->gaps.n; i++) {
        V offset = host_dim(h, h->plan->gaps.at[i]);
        call_asan(h, "__asan_poison_memory_region", LLVMBuildGEP2(B, h->cg->i8, h->work, &offset, 1, ""), cg_i64(h->cg, GAP));
    }
}

static void bind_inputs(host *h) {
    for (int i = 0; i < h->plan->in.n; i++) {
        ir_value *v = h->plan->in.at[i];
        if (!v) continue;
        V box = host_at(h, h->in, 16 * i);
        if (v->type->kind == T_TENSOR) h->vals[v->id] = (host_val){host_load(h, h->cg->ptr, h->in_data, 8 * i), box};
        else host_unbox(h, v, box);
    }
}

static void give_output(host *h, int i) {
    ir_value *v = h->plan->out.at[i];
    V at = host_at(h, h->out, 16 * i);
    if (never(v)) return;
    if (v->type->kind == T_TENSOR && plan_static(h->plan, v->type)) {
        const plan_place *p = &h->plan->at[v->id];
        if (p->kind == PL_OUT && p->index == i) return;
        host_mark(h, "result", plan_bytes(h->c, v->type));
        V to = host_load(h, h->cg->ptr, h->out_data, 8 * i);
        host_memcpy(h, to, host_data(h, v), host_dim(h, plan_bytes(h->c, v->type)));
        return;
    }
    if (v->type->kind == T_INT || v->type->kind == T_FLOAT || v->type->kind == T_BOOL || nothing(v->type)) {
        host_put_value(h, at, v);
        return;
    }
    HOST_SERVICE(h, copy, h->cg->voidty, 2, ((V[]){host_box(h, v), at}));
}

/* ---- state: what goes into the cells is taken out of other cells before any cell changes */

static bool may_be_state(const host *h, const ir_value *v) {
    const plan_place *p = &h->plan->at[v->id];
    return p->kind == PL_STATE || p->kind == PL_PHI || p->kind == PL_SLOT;
}

static bool same_sizes(const ir_type *a, const ir_type *b) {
    bool same = a->kind == T_TENSOR && b->kind == T_TENSOR && a->dtype == b->dtype && a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++) same = a->dims[i] == b->dims[i];
    return same;
}

/* Is the cell a tensor of the value's size in every run, so that the elements are written into it? */
static bool in_place(const host *h, const ir_node *n) {
    const ir_tensor_data *d = rt_map_get(&h->m->tensors, n->sym);
    return n->in[0]->type->kind == T_TENSOR && d && same_sizes(ir_tensor_data_type(h->c, d), n->in[0]->type);
}

/* The value's elements, or an rt_value that is borrowed. */
static V state_source(host *h, ir_node *n) {
    ir_value *v = n->in[0];
    if (in_place(h, n)) {
        V data = host_data(h, v);
        if (!may_be_state(h, v)) return data;
        V copy = host_tensor(h, v->type, host_slot(h, host_new_slots(h, 1)));
        host_memcpy(h, copy, data, host_dim(h, plan_bytes(h->c, v->type)));
        return copy;
    }
    V slot = host_slot(h, host_new_slots(h, 1));
    HOST_SERVICE(h, copy, h->cg->voidty, 2, ((V[]){host_box(h, v), slot}));
    return slot;
}

static bool is_own_value(const ir_node *n) {
    const ir_node *def = n->in[0]->def;
    return def && is_struct(def, S_STATE) && def->sym == n->sym;
}

static void set_states(host *h) {
    V *from = RT_ARRAY(&h->c->arena, V, h->ends.n + 1);
    if (h->ends.n) host_mark(h, "state", NULL);
    for (int i = 0; i < h->ends.n; i++) {
        ir_node *n = h->ends.at[i];
        h->at = n->span;
        if (is_struct(n, S_SETSTATE) && !is_own_value(n)) from[i] = state_source(h, n);
    }
    for (int i = 0; i < h->ends.n; i++) {
        ir_node *n = h->ends.at[i];
        if (!from[i]) continue;
        int row = cg_state_row(h->c, h->tables, n->sym);
        if (in_place(h, n)) host_memcpy(h, host_load(h, h->cg->ptr, h->state_data, 8 * row), from[i], host_dim(h, plan_bytes(h->c, n->in[0]->type)));
        else HOST_SERVICE(h, copy, h->cg->voidty, 2, ((V[]){from[i], host_at(h, h->state, 16 * row)}));
    }
}

static void emit_workspace(host *h, cg_entry *out) {
    int64_t x;
    if (ir_dim_is_const(h->plan->workspace, &x) && x == 0) return;
    cg_module *m = h->cg;
    host w = {.cg = m, .c = h->c, .plan = h->plan};
    w.fn = out->workspace = cg_function(m, ir_fmt(h->c, "%s_workspace", h->f->name), LLVMFunctionType(m->i64, &m->ptr, 1, false), false);
    LLVMPositionBuilderAtEnd(B, LLVMAppendBasicBlockInContext(m->cx, w.fn, "entry"));
    for (int i = 0; i < h->plan->symbols.n; i++)
        rt_map_put(&h->c->arena, &w.symbols, h->plan->symbols.at[i], host_load(&w, m->i64, LLVMGetParam(w.fn, 0), 8 * i));
    LLVMBuildRet(B, host_dim(&w, h->plan->workspace));
}

bool cg_host_entry(cg_module *cg, ir_module *m, ir_func *f, cg_tables *tables, cg_entry *out) {
    int nerrors = m->c->nerrors;
    host *h = RT_NEW(&m->c->arena, host);
    *h = (host){.cg = cg, .c = m->c, .m = m, .f = f, .tables = tables, .made = out};
    h->plan = lower_plan_entry(m, f, asan(cg) ? GAP : 0);
    h->vals = RT_ARRAY(&m->c->arena, host_val, f->nvalues);
    *out = (cg_entry){.plan = h->plan};
    open_function(h);
    mark_gaps(h);
    bind_inputs(h);
    emit_block(h, f->body);
    for (int i = 0; i < h->plan->out.n; i++) give_output(h, i);
    set_states(h);
    LLVMBuildRet(B, host_i32(h, 0));
    out->run = h->fn;
    out->nslots = h->nslots;
    emit_workspace(h, out);
    return m->c->nerrors == nerrors;
}

/* ---- tables */

int cg_message_row(ir_context *c, cg_tables *t, const char *cls, const char *text, ir_span at) {
    for (int i = 0; i < t->messages.n; i++)
        if (t->messages.at[i].span == at && !strcmp(t->messages.at[i].cls, cls) && !strcmp(t->messages.at[i].text, text)) return i;
    cg_message m = {cls, text, at};
    RT_PUSH(&c->arena, &t->messages, m);
    return t->messages.n - 1;
}

int cg_host_row(ir_context *c, cg_tables *t, const char *name, const char *signature) {
    for (int i = 0; i < t->hosts.n; i++)
        if (!strcmp(t->hosts.at[i].name, name)) return i;
    RT_PUSH(&c->arena, &t->hosts, ((cg_host){name, signature}));
    return t->hosts.n - 1;
}

int cg_state_row(ir_context *c, cg_tables *t, const char *name) {
    for (int i = 0; i < t->states.n; i++)
        if (!strcmp(t->states.at[i], name)) return i;
    RT_PUSH(&c->arena, &t->states, name);
    return t->states.n - 1;
}

uint64_t cg_prepared_offset(ir_context *c, cg_tables *t, const ir_tensor_data *d) {
    for (int i = 0; i < t->prepared.n; i++)
        if (t->prepared.at[i].data == d) return t->prepared.at[i].offset;
    struct cg_prepared p = {d, (t->prepared_bytes + 63) / 64 * 64};
    t->prepared_bytes = p.offset + (uint64_t)d->prepared->bytes;
    RT_PUSH(&c->arena, &t->prepared, p);
    return p.offset;
}

const cg_param *cg_param_of(ir_context *c, cg_tables *t, const ir_tensor_data *d) {
    for (int i = 0; i < t->params.n; i++)
        if (t->params.at[i].tensor == d->tensor) return &t->params.at[i];
    uint64_t bytes = (uint64_t)rt_tensor_numel(d->tensor) * (uint64_t)rt_dtypes[d->tensor->dtype].bytes;
    cg_param p = {d->name, d->tensor, (t->weights_bytes + 63) / 64 * 64, bytes};
    t->weights_bytes = p.offset + bytes;
    RT_PUSH(&c->arena, &t->params, p);
    return &t->params.at[t->params.n - 1];
}
