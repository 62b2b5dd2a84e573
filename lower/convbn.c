/* convbn.c: scales and shifts of the channels of a convolution go into its weights: conv(x, w, b) * s + t becomes
 * conv(x, w * s, b * s + t) when w, b, s and t are params (batch norm in eval mode is such a chain).
 * in, out: core.  Backwards-free: one forward sweep, each step folds one mul, add or sub behind a convolution. */
#include "lower/group.h"

static bool is_none(const ir_value *v) { return v->type->kind == T_NONE; }

/* Is p [.., C, 1, 1 ..]: one number per channel (or one for all) of a result of `rank` dims? */
static bool per_channel(const ir_value *p, int rank, int64_t channels) {
    if (!ir_is_param(p) || p->type->rank > rank) return false;
    for (int i = 0; i < p->type->rank; i++) {
        int64_t d, axis = rank - p->type->rank + i;
        if (!ir_dim_is_const(p->type->dims[i], &d)) return false;
        if (d != 1 && !(axis == 1 && d == channels)) return false;
    }
    return true;
}

static double at_channel(const rt_tensor *t, int64_t c) {
    int64_t n = rt_tensor_numel(t);
    if (n == 1) return rt_load_f64(t->storage->data, t->dtype, t->offset);
    for (int d = 0; d < t->ndim; d++)
        if (t->shape[d] == n) return rt_load_f64(t->storage->data, t->dtype, t->offset + c * t->strides[d]);
    return 0;
}

/* scale[c] * w[c, ...] with c along `axis`; f32. */
static rt_tensor *scaled(const rt_tensor *w, int axis, const rt_tensor *scale) {
    rt_tensor *r = rt_tensor_copy_to(w, w->dtype);
    if (!r) return NULL;
    int64_t inner = 1, outer = 1, n = r->shape[axis];
    for (int d = axis + 1; d < r->ndim; d++) inner *= r->shape[d];
    for (int d = 0; d < axis; d++) outer *= r->shape[d];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t c = 0; c < n; c++) {
            float *x = (float *)r->storage->data + (o * n + c) * inner;
            double k = at_channel(scale, c);
            for (int64_t i = 0; i < inner; i++) x[i] = (float)(x[i] * k);
        }
    return r;
}

static rt_tensor *bias_tensor(const rt_tensor *old, rt_dtype dt, int64_t channels, const rt_tensor *scale, const rt_tensor *shift, double sign) {
    rt_tensor *r = rt_tensor_new(dt, 1, &channels);
    for (int64_t c = 0; r && c < channels; c++) {
        double b = old ? at_channel(old, c) : 0;
        if (scale) b *= at_channel(scale, c);
        if (shift) b += sign * at_channel(shift, c);
        rt_store_f64(r->storage->data, dt, c, b);
    }
    return r;
}

typedef struct step { ir_node *conv, *n; ir_value *p; bool scale; double sign; } step;

static bool alpha_one(const ir_node *n) {
    if (n->nin < 3) return true;
    const rt_value *k = ir_const_of(n->in[2]);
    return k && ((k->tag == V_INT && k->i == 1) || (k->tag == V_FLOAT && k->f == 1.0));
}

static bool match(ir_node *n, step *s) {
    bool mul = !strcmp(n->op->full, "mul.Tensor"), add = !strcmp(n->op->full, "add.Tensor"), sub = !strcmp(n->op->full, "sub.Tensor");
    if ((!mul && !add && !sub) || !alpha_one(n)) return false;
    for (int k = 0; k < (sub ? 1 : 2); k++) {
        ir_node *conv = n->in[k]->def;
        if (!conv || strcmp(conv->op->full, "convolution") || !conv->out[0]->uses || conv->out[0]->uses->next) continue;
        const ir_type *t = conv->out[0]->type;
        int64_t channels;
        if (t != n->out[0]->type || t->dtype != DT_F32 || !ir_dim_is_const(t->dims[1], &channels)) continue;
        if (!ir_is_param(conv->in[1]) || conv->in[1]->type->dtype != DT_F32 || !(is_none(conv->in[2]) || ir_is_param(conv->in[2]))) continue;
        if (!per_channel(n->in[1 - k], t->rank, channels) || n->in[1 - k]->type->dtype != DT_F32) continue;
        *s = (step){conv, n, n->in[1 - k], mul, sub ? -1.0 : 1.0};
        return true;
    }
    return false;
}

static const ir_type *vector_type(ir_context *c, rt_dtype dt, const ir_dim *n) { return ir_type_tensor(c, dt, 1, &n); }

/* Grouped transposed convolutions keep their output channels apart: only the bias of those is touched. */
static bool weight_axis(const ir_node *conv, int *axis) {
    const rt_value *transposed = ir_const_of(conv->in[6]), *groups = ir_const_of(conv->in[8]);
    if (!transposed || !groups) return false;
    *axis = transposed->i ? 1 : 0;
    return !transposed->i || groups->i == 1;
}

static bool apply(ir_module *m, const step *s) {
    int axis;
    if (!weight_axis(s->conv, &axis)) return false;
    const ir_type *t = s->conv->out[0]->type;
    int64_t channels;
    ir_dim_is_const(t->dims[1], &channels);
    const rt_tensor *p = ir_param_tensor(m, s->p), *old = is_none(s->conv->in[2]) ? NULL : ir_param_tensor(m, s->conv->in[2]);
    if (s->scale) {
        rt_tensor *w = scaled(ir_param_tensor(m, s->conv->in[1]), axis, p);
        if (!w) return false;
        ir_set_input(s->conv, 1, lower_new_param(m, s->conv, w, s->conv->in[1]->type));
    }
    if (old || !s->scale) {
        rt_tensor *b = bias_tensor(old, t->dtype, channels, s->scale ? p : NULL, s->scale ? NULL : p, s->sign);
        if (!b) return ir_error(m->c, s->n->span, "out of memory"), false; /* the weights are scaled already */
        ir_set_input(s->conv, 2, lower_new_param(m, s->conv, b, vector_type(m->c, t->dtype, t->dims[1])));
    }
    ir_replace_uses(s->n->out[0], s->conv->out[0]);
    ir_erase(s->n);
    return true;
}

static int sweep(ir_module *m, ir_block *b) {
    int changes = 0;
    for (ir_node *n = b->first, *next; n; n = next) {
        next = n->next;
        for (int i = 0; i < n->nblocks; i++) changes += sweep(m, n->blocks[i]);
        step s;
        if (match(n, &s)) changes += apply(m, &s);
    }
    return changes;
}

int lower_convbn(ir_module *m) {
    int n = 0;
    for (int i = 0; i < m->funcs.n; i++) n += sweep(m, ((ir_func *)m->funcs.entries[i].value)->body);
    return n;
}
