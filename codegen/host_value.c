/* host_value.c: values in and out of boxes.  An rt_value is 16 bytes: the tag (i32) at 0, the payload at 8. */
#include "codegen/host.h"

#include "runtime/artefact.h"

typedef LLVMValueRef V;
typedef LLVMTypeRef T;

#define B (h->cg->b)

int host_new_slots(host *h, int n) {
    int s = h->nslots;
    h->nslots += n;
    return s;
}

V host_slot(host *h, int i) { return host_at(h, h->slots, 16 * (int64_t)i); }

void host_put(host *h, V at, V box) {
    host_store(h, host_load(h, h->cg->i64, box, 0), at, 0);
    host_store(h, host_load(h, h->cg->i64, box, 8), at, 8);
}

static void put_scalar(host *h, V at, rt_tag tag, V payload) {
    host_store(h, cg_i64(h->cg, tag), at, 0);
    host_store(h, payload, at, 8);
}

static bool is_struct(const ir_node *n, ir_struct_id id) { return n && n->op->cls == OP_STRUCT && n->op->id == (int)id; }

/* All users are kernels, or nobody: the list never exists at run time. */
bool host_flat(const ir_value *list) {
    for (const ir_use *u = list->uses; u; u = u->next) {
        if (u->block && u->block->owner == NULL && list->type->kind == T_TUPLE) continue; /* the entry's result, taken apart */
        if (!u->node) return false;
        if (u->node->block->owner && is_struct(u->node->block->owner, S_KERNEL)) continue;
        if (is_struct(u->node, S_TUPLE) && list->type->kind == T_TUPLE && host_flat(u->node->out[0])) continue;
        return false;
    }
    return true;
}

V host_scalar(host *h, ir_value *v) {
    const rt_value *k = ir_const_of(v);
    if (k) {
        if (v->type->kind == T_FLOAT) return LLVMConstReal(h->cg->f64, k->f);
        if (v->type->kind == T_BOOL) return LLVMConstInt(h->cg->i1, k->i != 0, false);
        return cg_i64(h->cg, k->i);
    }
    if (h->vals[v->id].v) return h->vals[v->id].v;
    if (is_struct(v->def, S_UNINIT)) return LLVMConstNull(v->type->kind == T_FLOAT ? h->cg->f64 : v->type->kind == T_BOOL ? h->cg->i1 : h->cg->i64);
    ir_error(h->c, h->at, "internal: a scalar has no value in host code");
    return LLVMGetUndef(h->cg->i64);
}

static V param_data(host *h, const char *name) {
    const ir_tensor_data *d = rt_map_get(&h->m->tensors, name);
    if (d->prepared) return host_at(h, h->prepared, (int64_t)cg_prepared_offset(h->c, h->tables, d));
    const cg_param *p = cg_param_of(h->c, h->tables, d);
    return host_at(h, h->weights, (int64_t)p->offset);
}

V host_data(host *h, ir_value *v) {
    if (h->vals[v->id].v) return h->vals[v->id].v;
    if (is_struct(v->def, S_PARAM)) return param_data(h, v->def->sym);
    if (!is_struct(v->def, S_UNINIT)) ir_error(h->c, h->at, "internal: a tensor has no address in host code");
    return h->work;
}

V host_tensor(host *h, const ir_type *t, V slot) {
    V shape = host_alloca(h, h->cg->i64, t->rank ? t->rank : 1), data = host_alloca(h, h->cg->ptr, 1);
    for (int i = 0; i < t->rank; i++) host_store(h, host_dim(h, t->dims[i]), shape, 8 * i);
    V args[5] = {host_i32(h, t->dtype), host_i32(h, t->rank), shape, slot, data};
    host_fail_if(h, HOST_SERVICE(h, tensor_new, h->cg->i32, 5, args));
    return host_load(h, h->cg->ptr, data, 0);
}

/* A boxed copy of a tensor that lies in the workspace, the weights or a state cell. */
static V box_tensor(host *h, ir_value *v) {
    if (h->vals[v->id].box) return h->vals[v->id].box;
    V slot = host_slot(h, host_new_slots(h, 1));
    V to = host_tensor(h, v->type, slot);
    host_memcpy(h, to, host_data(h, v), host_dim(h, plan_bytes(h->c, v->type)));
    return slot;
}

/* A tensor for a kernel that only reads it and gives no part of it back: not copied. */
static V lend_tensor(host *h, ir_value *v) {
    V shape = host_alloca(h, h->cg->i64, v->type->rank ? v->type->rank : 1), slot = host_slot(h, host_new_slots(h, 1));
    for (int i = 0; i < v->type->rank; i++) host_store(h, host_dim(h, v->type->dims[i]), shape, 8 * i);
    V args[5] = {host_i32(h, v->type->dtype), host_i32(h, v->type->rank), shape, host_data(h, v), slot};
    host_fail_if(h, HOST_SERVICE(h, tensor_lend, h->cg->i32, 5, args));
    return slot;
}

void host_lend_value(host *h, V at, ir_value *v) {
    bool lies = v->type->kind == T_TENSOR && !h->vals[v->id].box && !is_struct(v->def, S_UNINIT);
    if (lies) host_put(h, at, lend_tensor(h, v));
    else host_put_value(h, at, v);
}

static V box_text(host *h, const rt_value *k) {
    V slot = host_slot(h, host_new_slots(h, 1));
    V text = cg_bytes(h->cg, "str", k->str->s, k->str->n + 1, 1);
    host_fail_if(h, HOST_SERVICE(h, str, h->cg->i32, 3, ((V[]){text, cg_i64(h->cg, (int64_t)k->str->n), slot})));
    return slot;
}

void host_put_value(host *h, V at, ir_value *v) {
    switch (v->type->kind) {
    case T_INT: put_scalar(h, at, V_INT, host_scalar(h, v)); break;
    case T_BOOL: put_scalar(h, at, V_BOOL, LLVMBuildZExt(B, host_scalar(h, v), h->cg->i64, "")); break;
    case T_FLOAT: put_scalar(h, at, V_FLOAT, host_scalar(h, v)); break;
    case T_NONE:
    case T_BOTTOM: put_scalar(h, at, V_NONE, cg_i64(h->cg, 0)); break;
    default: host_put(h, at, host_box(h, v));
    }
}

V host_box(host *h, ir_value *v) {
    const rt_value *k = ir_const_of(v);
    if (k && k->tag == V_STR) return box_text(h, k);
    if (v->type->kind == T_TENSOR && !is_struct(v->def, S_UNINIT)) return box_tensor(h, v);
    if (plan_boxed(v->type) && h->vals[v->id].v) return h->vals[v->id].v;
    V at = host_alloca(h, h->cg->i64, 2);
    if (plan_boxed(v->type) || is_struct(v->def, S_UNINIT)) {
        if (!is_struct(v->def, S_UNINIT)) ir_error(h->c, h->at, "internal: a boxed value has no place in host code");
        put_scalar(h, at, V_NONE, cg_i64(h->cg, 0));
    } else {
        host_put_value(h, at, v);
    }
    return at;
}

/* Goes on in a new block only if the box holds a tensor; gives the block after it. */
static LLVMBasicBlockRef skip_none(host *h, V box) {
    LLVMBasicBlockRef some = host_block(h, "some"), after = host_block(h, "any");
    V tag = host_load(h, h->cg->i32, box, 0);
    LLVMBuildCondBr(B, LLVMBuildICmp(B, LLVMIntEQ, tag, host_i32(h, V_TENSOR), ""), some, after);
    LLVMPositionBuilderAtEnd(B, some);
    return after;
}

static V unbox_tensor(host *h, ir_value *v, V box, bool maybe, const char *what) {
    const ir_type *t = v->type;
    V shape = host_alloca(h, h->cg->i64, t->rank ? t->rank : 1), data = host_alloca(h, h->cg->ptr, 1);
    V hold = host_slot(h, host_new_slots(h, 1));
    int row = cg_message_row(h->c, h->tables, "", what, h->at);
    V args[7] = {host_i32(h, row), box, host_i32(h, t->dtype), host_i32(h, t->rank), shape, hold, data};
    for (int i = 0; maybe && i < t->rank; i++) host_store(h, cg_i64(h->cg, 0), shape, 8 * i);
    if (maybe) host_store(h, h->work, data, 0);
    LLVMBasicBlockRef after = maybe ? skip_none(h, box) : NULL;
    host_fail_if(h, HOST_SERVICE(h, tensor_get, h->cg->i32, 7, args));
    if (maybe) {
        LLVMBuildBr(B, after);
        LLVMPositionBuilderAtEnd(B, after);
    }
    for (int i = 0; i < t->rank; i++) host_bind(h, t->dims[i], host_load(h, h->cg->i64, shape, 8 * i));
    h->vals[v->id] = (host_val){host_load(h, h->cg->ptr, data, 0), box};
    return shape;
}

V host_unbox_tensor(host *h, ir_value *v, V box, const char *what) { return unbox_tensor(h, v, box, false, what); }

void host_unbox(host *h, ir_value *v, V box) {
    switch (v->type->kind) {
    case T_INT:
        h->vals[v->id].v = host_load(h, h->cg->i64, box, 8);
        host_bind(h, v->type->dim, h->vals[v->id].v);
        break;
    case T_BOOL:
        h->vals[v->id].v = LLVMBuildICmp(B, LLVMIntNE, host_load(h, h->cg->i64, box, 8), cg_i64(h->cg, 0), "");
        break;
    case T_FLOAT: h->vals[v->id].v = host_load(h, h->cg->f64, box, 8); break;
    case T_TENSOR: unbox_tensor(h, v, box, false, ""); break;
    case T_NONE:
    case T_BOTTOM: break;
    default: h->vals[v->id].v = box;
    }
}

void host_unbox_maybe(host *h, ir_value *v, V box) {
    if (v->type->kind == T_TENSOR) unbox_tensor(h, v, box, true, "");
    else host_unbox(h, v, box);
}
