/* deconv.c: transposed convolutions by params become plain ones, which have fast forms.
 * in, out: core.
 *
 * With stride s, result t = s * q + m (before cropping by the padding) sums x[q - j] * w[m + s * j] over j: for each phase m
 * a convolution of stride 1 whose window has ceil(k / s) taps, from the last one.  All phases are channels of one
 * convolution, [groups][phases][channels of a group], whose result is taken apart into places.  Costs a pass over the result,
 * and zeros in the weights where s does not divide k; saves looking for the one tap in s that meets an element. */
#include "ir/infer_shapes.h"
#include "lower/group.h"

typedef struct deconv {
    ir_module *m;
    ir_node *n;
    ir_conv v;
    int64_t size[IR_MAX_SPATIAL], out[IR_MAX_SPATIAL]; /* of the input and the result */
    int64_t k[IR_MAX_SPATIAL], taps[IR_MAX_SPATIAL];   /* of the window, and of a phase's */
    int64_t ic, oc, phases;                            /* channels of a group */
} deconv;

/* Sizes that are known, a window that covers what is asked for. */
static bool fits(deconv *d) {
    const ir_conv *v = &d->v;
    if (!ir_dim_is_const(v->in_per_group, &d->ic) || !ir_dim_is_const(v->out_per_group, &d->oc) || d->ic < 1 || d->oc < 1) return false;
    d->phases = 1;
    for (int i = 0; i < v->n; i++) {
        int64_t s = v->stride[i];
        bool known = ir_dim_is_const(v->input->dims[i + 2], &d->size[i]) && ir_dim_is_const(v->dims[i + 2], &d->out[i]);
        if (!known || !ir_dim_is_const(v->weight->dims[i + 2], &d->k[i]) || d->k[i] < 1 || d->size[i] < 1 || d->out[i] < 1) return false;
        if (s > 1 && v->dilation[i] != 1) return false;
        d->taps[i] = (d->k[i] + s - 1) / s;
        if (v->pad[i] + d->out[i] > s * (d->size[i] + v->dilation[i] * (d->taps[i] - 1))) return false;
        d->phases *= s;
    }
    return true;
}

static bool match(ir_module *m, ir_node *n, deconv *d) {
    lower_node a;
    *d = (deconv){.m = m, .n = n};
    if (n->op->cls != OP_CONTRACT || strcmp(n->op->full, "convolution")) return false;
    const rt_value *transposed = ir_const_of(n->in[6]);
    if (!transposed || !transposed->i || !ir_is_param(n->in[1]) || !(n->in[2]->type->kind == T_NONE || ir_is_param(n->in[2]))) return false;
    return lower_node_infer(m->c, n, &a) && ir_conv_of(&a.x, &d->v) && rt_dtypes[d->v.input->dtype].kind == 'F' && fits(d);
}

/* ---- params */

/* Takes count apart by sizes from the last on. */
static void digits(int64_t count, int n, const int64_t *size, int64_t *out) {
    for (int i = n - 1; i >= 0; i--) {
        out[i] = count % size[i];
        count /= size[i];
    }
}

/* Element of the old weights [groups * ic, oc, k..] for a place in the new ones; false: a zero. */
static bool source(const deconv *d, const rt_tensor *w, int64_t channel, int64_t phase, const int64_t *at, int64_t *out) {
    int64_t m[IR_MAX_SPATIAL] = {0};
    digits(phase, d->v.n, d->v.stride, m);
    *out = w->offset + channel % d->oc * w->strides[1] + channel / d->oc * d->ic * w->strides[0];
    for (int i = 0; i < d->v.n; i++) {
        int64_t r = m[i] + d->v.stride[i] * (d->taps[i] - 1 - at[i]);
        if (r >= d->k[i]) return false;
        *out += r * w->strides[i + 2];
    }
    return true;
}

static ir_value *new_weights(const deconv *d) {
    const rt_tensor *w = ir_param_tensor(d->m, d->n->in[1]);
    ir_context *c = d->m->c;
    int64_t shape[IR_MAX_SPATIAL + 2] = {d->v.groups * d->phases * d->oc, d->ic}, taps = 1, to = 0, from;
    const ir_dim *dims[IR_MAX_SPATIAL + 2];
    for (int i = 0; i < d->v.n; i++) taps *= shape[i + 2] = d->taps[i];
    for (int i = 0; i < d->v.n + 2; i++) dims[i] = ir_dim_const(c, shape[i]);
    rt_tensor *t = rt_tensor_new(w->dtype, d->v.n + 2, shape);
    for (int64_t o = 0; t && o < shape[0]; o++) {
        int64_t group = o / (d->phases * d->oc), phase = o / d->oc % d->phases;
        for (int64_t i = 0; i < d->ic; i++)
            for (int64_t r = 0; r < taps; r++, to++) {
                int64_t at[IR_MAX_SPATIAL] = {0};
                digits(r, d->v.n, d->taps, at);
                bool real = source(d, w, group * d->oc + o % d->oc, phase, at, &from);
                rt_store_f64(t->storage->data, t->dtype, to, real ? rt_load_f64(w->storage->data, w->dtype, from + i * w->strides[0]) : 0);
            }
    }
    return t ? lower_new_param(d->m, d->n, t, ir_type_tensor(c, t->dtype, t->ndim, dims)) : NULL;
}

static ir_value *new_bias(const deconv *d) {
    if (!ir_is_param(d->n->in[2])) return d->n->in[2];
    const rt_tensor *b = ir_param_tensor(d->m, d->n->in[2]);
    int64_t n = d->v.groups * d->phases * d->oc;
    const ir_dim *dim = ir_dim_const(d->m->c, n);
    rt_tensor *t = rt_tensor_new(b->dtype, 1, &n);
    for (int64_t o = 0; t && o < n; o++) {
        int64_t channel = o / (d->phases * d->oc) * d->oc + o % d->oc;
        rt_store_f64(t->storage->data, t->dtype, o, rt_load_f64(b->storage->data, b->dtype, b->offset + channel * b->strides[0]));
    }
    return t ? lower_new_param(d->m, d->n, t, ir_type_tensor(d->m->c, t->dtype, 1, &dim)) : NULL;
}

/* ---- nodes */

static ir_value *place(const deconv *d, const ir_op *op, int nin, ir_value *const *in, const ir_type *t) {
    ir_node *n = ir_node_new(d->n->block->func, op, d->n->span, nin, in, 1, &t);
    ir_insert_before(d->n, n);
    return n->out[0];
}

static ir_value *constant(const deconv *d, rt_value x, const ir_type *t) {
    ir_value *v = place(d, ir_struct(d->m->c, S_CONST), 0, NULL, t);
    v->def->value = x;
    return v;
}

static ir_value *integer(const deconv *d, int64_t x) {
    return constant(d, rt_int(x), ir_type_int(d->m->c, ir_dim_const(d->m->c, x)));
}

static ir_value *integers(const deconv *d, int n, const int64_t *x) {
    ir_value *at[RT_MAX_RANK];
    ir_context *c = d->m->c;
    for (int i = 0; i < n; i++) at[i] = integer(d, x[i]);
    return place(d, ir_struct(c, S_LIST), n, at, ir_type_list(c, ir_type_int(c, NULL)));
}

/* A result of these sizes; the first is the batch, whatever it is. */
static const ir_type *shaped(const deconv *d, int n, const int64_t *size) {
    const ir_dim *dims[RT_MAX_RANK] = {d->v.input->dims[0]};
    for (int i = 1; i < n; i++) dims[i] = ir_dim_const(d->m->c, size[i]);
    return ir_type_tensor(d->m->c, d->n->out[0]->type->dtype, n, dims);
}

static ir_value *reshaped(const deconv *d, ir_value *x, int n, const int64_t *size) {
    return place(d, ir_op_find(d->m->c, "reshape"), 2, (ir_value *[]){x, integers(d, n, size)}, shaped(d, n, size));
}

/* [N, groups, phases.., oc, q..] -> [N, groups * oc, q * phase ..] */
static ir_value *interleaved(const deconv *d, ir_value *x, const int64_t *q) {
    int n = d->v.n;
    int64_t apart[RT_MAX_RANK] = {-1, d->v.groups}, order[RT_MAX_RANK] = {0, 1, n + 2}, moved[RT_MAX_RANK], whole[RT_MAX_RANK] = {-1, d->v.groups * d->oc};
    apart[n + 2] = d->oc;
    for (int i = 0; i < n; i++) {
        apart[i + 2] = d->v.stride[i];
        apart[n + 3 + i] = q[i];
        order[3 + 2 * i] = n + 3 + i;
        order[4 + 2 * i] = i + 2;
        whole[i + 2] = q[i] * d->v.stride[i];
    }
    for (int i = 0; i < 2 * n + 3; i++) moved[i] = apart[order[i]];
    x = reshaped(d, x, 2 * n + 3, apart);
    x = place(d, ir_op_find(d->m->c, "permute"), 2, (ir_value *[]){x, integers(d, 2 * n + 3, order)}, shaped(d, 2 * n + 3, moved));
    return reshaped(d, x, n + 2, whole);
}

static ir_value *cropped(const deconv *d, ir_value *x, int64_t *size) {
    for (int i = 0; i < d->v.n; i++) {
        if (size[i + 2] == d->out[i] && d->v.pad[i] == 0) continue;
        size[i + 2] = d->out[i];
        ir_value *in[5] = {x, integer(d, i + 2), integer(d, d->v.pad[i]), integer(d, d->v.pad[i] + d->out[i]), integer(d, 1)};
        x = place(d, ir_op_find(d->m->c, "slice.Tensor"), 5, in, shaped(d, d->v.n + 2, size));
    }
    return x;
}

static bool apply(const deconv *d) {
    int n = d->v.n;
    ir_context *c = d->m->c;
    int64_t ones[IR_MAX_SPATIAL], pad[IR_MAX_SPATIAL], zeros[IR_MAX_SPATIAL] = {0}, q[IR_MAX_SPATIAL], size[IR_MAX_SPATIAL + 2] = {-1, d->v.groups * d->phases * d->oc};
    ir_value *w = new_weights(d), *b = w ? new_bias(d) : NULL;
    if (!b) return false;
    for (int i = 0; i < n; i++) {
        ones[i] = 1;
        pad[i] = d->v.dilation[i] * (d->taps[i] - 1);
        size[i + 2] = q[i] = d->size[i] + pad[i];
    }
    ir_value *no = constant(d, rt_bool(false), ir_type_simple(c, T_BOOL));
    ir_value *in[9] = {d->n->in[0], w, b, integers(d, n, ones), integers(d, n, pad), integers(d, n, d->v.dilation), no, integers(d, n, zeros), integer(d, d->v.groups)};
    ir_value *y = place(d, d->n->op, 9, in, shaped(d, n + 2, size));
    if (d->phases > 1) y = interleaved(d, y, q);
    size[1] = d->v.groups * d->oc;
    for (int i = 0; i < n; i++) size[i + 2] = q[i] * d->v.stride[i];
    ir_replace_uses(d->n->out[0], cropped(d, y, size));
    ir_erase(d->n);
    return true;
}

static int sweep(ir_module *m, ir_block *b) {
    int changes = 0;
    deconv d;
    for (ir_node *n = b->first, *next; n; n = next) {
        next = n->next;
        for (int i = 0; i < n->nblocks; i++) changes += sweep(m, n->blocks[i]);
        if (match(m, n, &d)) changes += apply(&d);
    }
    return changes;
}

int lower_deconv(ir_module *m) {
    int n = 0;
    for (int i = 0; i < m->funcs.n; i++) n += sweep(m, ((ir_func *)m->funcs.entries[i].value)->body);
    return n;
}
