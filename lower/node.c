/* node.c: a core node seen as an application of its op: arguments for shape rules and comprehensions. */
#include "lower/fused.h"

static void node_arg(ir_context *c, ir_value *v, lower_node *out, ir_arg *a);

static void const_arg(ir_context *c, const rt_value *k, ir_arg *a) {
    a->known = true;
    switch (k->tag) {
    case V_BOOL: a->kind = A_BOOL, a->i = k->i; break;
    case V_INT: a->kind = A_INT, a->dim = ir_dim_const(c, k->i); break;
    case V_FLOAT: a->kind = A_FLOAT, a->f = k->f; break;
    case V_STR: a->kind = A_STR, a->s = ir_internn(c, k->str->s, k->str->n); break;
    case V_NONE: a->kind = A_NONE; break;
    case V_LIST:
    case V_TUPLE: {
        ir_arg *at = RT_ARRAY(&c->arena, ir_arg, k->list->n);
        for (int64_t i = 0; i < k->list->n; i++) {
            at[i] = (ir_arg){.kind = A_OTHER, .operand = -1};
            const_arg(c, &k->list->at[i], &at[i]);
        }
        *a = (ir_arg){.kind = A_LIST, .n = (int)k->list->n, .at = at, .type = a->type, .operand = -1};
        break;
    }
    default: a->known = false;
    }
}

static int operand(ir_context *c, lower_node *out, ir_value *v) {
    RT_PUSH(&c->arena, &out->operands, v);
    return out->operands.n - 1;
}

static void list_arg(ir_context *c, const ir_node *n, lower_node *out, ir_arg *a) {
    ir_arg *at = RT_ARRAY(&c->arena, ir_arg, n->nin);
    for (int i = 0; i < n->nin; i++) node_arg(c, n->in[i], out, &at[i]);
    a->kind = A_LIST;
    a->n = n->nin;
    a->at = at;
}

static void node_arg(ir_context *c, ir_value *v, lower_node *out, ir_arg *a) {
    *a = (ir_arg){.kind = A_OTHER, .type = v->type, .operand = -1};
    const ir_node *def = v->def;
    if (def && def->op->cls == OP_STRUCT) {
        if (def->op->id == S_CONST) {
            const_arg(c, &def->value, a);
            return;
        }
        if (def->op->id == S_LIST || def->op->id == S_TUPLE) {
            list_arg(c, def, out, a);
            return;
        }
    }
    switch (v->type->kind) {
    case T_TENSOR: a->kind = A_TENSOR; break;
    case T_NONE: a->kind = A_NONE; return;
    case T_INT:
        a->kind = A_INT;
        a->dim = v->type->dim;
        if (a->dim && def && def->op->cls == OP_STRUCT && def->op->id == S_DIM) return;
        break;
    case T_FLOAT: a->kind = A_FLOAT; break;
    case T_BOOL: a->kind = A_BOOL; break;
    default: return;
    }
    a->operand = operand(c, out, v);
}

bool lower_node_infer(ir_context *c, const ir_node *n, lower_node *out) {
    *out = (lower_node){0};
    ir_arg *args = RT_ARRAY(&c->arena, ir_arg, n->nin);
    for (int i = 0; i < n->nin; i++) node_arg(c, n->in[i], out, &args[i]);
    out->x = (ir_infer){.c = c, .op = n->op, .span = n->span, .nargs = n->nin, .args = args};
    return ir_infer_op(&out->x);
}

comp *lower_node_comp(ir_context *c, const ir_node *n, lower_node *out) {
    if (n->op->cls != OP_POINTWISE && n->op->cls != OP_REDUCE && n->op->cls != OP_MOVE && n->op->cls != OP_CONTRACT) return NULL;
    if (!lower_node_infer(c, n, out)) return NULL;
    return comp_build(&out->x);
}

/* Primitives of an expression, as far as there are not more than `most`. */
static int primitives(const ir_expr *e, int most) {
    int n = e->op < K_EXP ? 1 : e->op < K_COUNT ? most + 1 : 0;
    for (int i = 0; i < e->n && n <= most; i++) n += primitives(e->args[i], most - n);
    return n;
}

static bool counts(ir_context *c, const ir_node *n, int *left) {
    lower_node a;
    if (n->nout != 1 || (n->op->cls != OP_POINTWISE && n->op->cls != OP_MOVE) || n->op->effects) return false;
    const comp *k = lower_node_comp(c, n, &a);
    if (lower_comp_kind(k) != CK_MAP || k->checks.n || (*left -= primitives(k->out[0], *left)) < 0) return false;
    for (int i = 0; i < a.operands.n; i++) {
        const ir_value *v = a.operands.at[i];
        if (v->type->kind == T_TENSOR ? !v->def || !counts(c, v->def, left) : !v->type->dim) return false;
    }
    return true;
}

bool lower_counts(ir_context *c, const ir_node *n) {
    int left = 12;
    return counts(c, n, &left);
}
