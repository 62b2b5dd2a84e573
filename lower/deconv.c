/* deconv.c: transposed convolutions by params become plain ones, which have fast forms.
 * in, out: core.
 *
 * With stride s, result s * q + m sums x[q + shift - j] * w[rest + s * j] over j, where shift and rest are quotient and
 * remainder of m + padding by s: for each phase m a convolution of stride 1 whose window has ceil((k - rest) / s) taps, from
 * the last one.  Phases of one shift and of the same taps (or three of them, which suit Winograd's algorithm: the missing ones
 * are zeros) are channels of one convolution, [groups][phases][channels of a group].  Where channels are few, all phases
 * are one, and its result is larger: each phase lies shifted in it.  At last the phases are put in their places, which costs
 * a pass over the result and saves looking for the one tap in s that meets an element. */
#include "ir/infer_shapes.h"
#include "lower/group.h"

enum { RUNS = 8, MOST = 16 /* convolutions */, FEW = 8 /* channels */ };

/* Phases [first, first + n) of a dim, in one convolution. */
typedef struct run { int64_t first, n, rest, shift, taps; } run;

typedef struct deconv {
    ir_module *m;
    ir_node *n;
    ir_conv v;
    int64_t size[IR_MAX_SPATIAL], out[IR_MAX_SPATIAL]; /* of the input and the result */
    int64_t k[IR_MAX_SPATIAL], q[IR_MAX_SPATIAL];      /* of the window, and of a phase's result */
    int64_t ic, oc;                                    /* channels of a group */
    run run[IR_MAX_SPATIAL][RUNS], all[IR_MAX_SPATIAL];
    int64_t wide[IR_MAX_SPATIAL];                      /* the result of all phases in one */
    int nruns[IR_MAX_SPATIAL];
    bool strided;
    ir_value *whole;                                   /* all phases in one; NULL: each run is its own */
} deconv;

/* ---- phases */

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t taps_from(const deconv *d, int i, int64_t rest) {
    return most(1, (d->k[i] - rest + d->v.stride[i] - 1) / d->v.stride[i]);
}

/* The phases of dim i in runs; alone: each is one.  false: too many. */
static bool find_runs(deconv *d, int i, bool alone) {
    int64_t s = d->v.stride[i], last = (s - 1 + d->v.pad[i]) / s;
    d->q[i] = (d->out[i] + s - 1) / s;
    d->nruns[i] = 0;
    for (int64_t m = 0; m < s; m++) {
        int64_t shift = (m + d->v.pad[i]) / s, rest = (m + d->v.pad[i]) % s, taps = taps_from(d, i, rest);
        run *r = d->nruns[i] ? &d->run[i][d->nruns[i] - 1] : NULL;
        if (r && !alone && r->shift == shift && (r->taps == taps || r->taps > 2)) {
            r->n++;
            continue;
        }
        if (d->nruns[i] == RUNS) return false;
        d->run[i][d->nruns[i]++] = (run){m, 1, rest, shift, taps};
    }
    d->all[i] = (run){0, s, 0, d->v.pad[i] / s, taps_from(d, i, 0)};
    d->wide[i] = d->q[i] + last - d->all[i].shift;
    return true;
}

static bool find_all_runs(deconv *d, bool alone) {
    int n = 1;
    for (int i = 0; i < d->v.n; i++) {
        if (!find_runs(d, i, alone)) return false;
        n *= d->nruns[i];
    }
    return n <= MOST;
}

static bool fits(deconv *d) {
    const ir_conv *v = &d->v;
    if (!ir_dim_is_const(v->in_per_group, &d->ic) || !ir_dim_is_const(v->out_per_group, &d->oc) || d->ic < 1 || d->oc < 1) return false;
    for (int i = 0; i < v->n; i++) {
        bool known = ir_dim_is_const(v->input->dims[i + 2], &d->size[i]) && ir_dim_is_const(v->dims[i + 2], &d->out[i]);
        if (!known || !ir_dim_is_const(v->weight->dims[i + 2], &d->k[i]) || d->k[i] < 1 || d->size[i] < 1 || d->out[i] < 1) return false;
        if (v->stride[i] > 1 && v->dilation[i] != 1) return false;
        d->strided = d->strided || v->stride[i] > 1;
    }
    return (v->groups > 1 && d->oc < FEW && find_all_runs(d, true)) || find_all_runs(d, false);
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

/* What one convolution computes: its run of each dim. */
typedef struct sum { run r[IR_MAX_SPATIAL]; int64_t size[IR_MAX_SPATIAL], n[IR_MAX_SPATIAL], taps[IR_MAX_SPATIAL], phases; } sum;

static void set_run(sum *s, int i, const run *r, int64_t size) {
    s->r[i] = *r;
    s->size[i] = size;
    s->n[i] = r->n;
    s->taps[i] = r->taps;
    s->phases = (i ? s->phases : 1) * r->n;
}

/* Element of the old weights [groups * ic, oc, k..] for a place in the new ones; false: a zero. */
static bool source(const deconv *d, const sum *s, const rt_tensor *w, int64_t channel, int64_t phase, const int64_t *at, int64_t *out) {
    int64_t m[IR_MAX_SPATIAL] = {0};
    digits(phase, d->v.n, s->n, m);
    *out = w->offset + channel % d->oc * w->strides[1] + channel / d->oc * d->ic * w->strides[0];
    for (int i = 0; i < d->v.n; i++) {
        int64_t r = s->r[i].rest + m[i] + d->v.stride[i] * (s->taps[i] - 1 - at[i]);
        if (r >= d->k[i]) return false;
        *out += r * w->strides[i + 2];
    }
    return true;
}

static ir_value *new_weights(const deconv *d, const sum *s) {
    const rt_tensor *w = ir_param_tensor(d->m, d->n->in[1]);
    ir_context *c = d->m->c;
    int64_t shape[IR_MAX_SPATIAL + 2] = {d->v.groups * s->phases * d->oc, d->ic}, taps = 1, to = 0, from;
    const ir_dim *dims[IR_MAX_SPATIAL + 2];
    for (int i = 0; i < d->v.n; i++) taps *= shape[i + 2] = s->taps[i];
    for (int i = 0; i < d->v.n + 2; i++) dims[i] = ir_dim_const(c, shape[i]);
    rt_tensor *t = rt_tensor_new(w->dtype, d->v.n + 2, shape);
    for (int64_t o = 0; t && o < shape[0]; o++) {
        int64_t group = o / (s->phases * d->oc), phase = o / d->oc % s->phases;
        for (int64_t i = 0; i < d->ic; i++)
            for (int64_t r = 0; r < taps; r++, to++) {
                int64_t at[IR_MAX_SPATIAL] = {0};
                digits(r, d->v.n, s->taps, at);
                bool real = source(d, s, w, group * d->oc + o % d->oc, phase, at, &from);
                rt_store_f64(t->storage->data, t->dtype, to, real ? rt_load_f64(w->storage->data, w->dtype, from + i * w->strides[0]) : 0);
            }
    }
    return t ? lower_new_param(d->m, d->n, t, ir_type_tensor(c, t->dtype, t->ndim, dims)) : NULL;
}

static ir_value *new_bias(const deconv *d, const sum *s) {
    if (!ir_is_param(d->n->in[2]) || s->phases == 1) return d->n->in[2];
    const rt_tensor *b = ir_param_tensor(d->m, d->n->in[2]);
    int64_t n = d->v.groups * s->phases * d->oc;
    const ir_dim *dim = ir_dim_const(d->m->c, n);
    rt_tensor *t = rt_tensor_new(b->dtype, 1, &n);
    for (int64_t o = 0; t && o < n; o++) {
        int64_t channel = o / (s->phases * d->oc) * d->oc + o % d->oc;
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

static ir_value *sliced(const deconv *d, ir_value *x, int n, int64_t *size, int dim, int64_t from, int64_t count) {
    if (from == 0 && size[dim] == count) return x;
    size[dim] = count;
    ir_value *in[5] = {x, integer(d, dim), integer(d, from), integer(d, from + count), integer(d, 1)};
    return place(d, ir_op_find(d->m->c, "slice.Tensor"), 5, in, shaped(d, n, size));
}

/* ---- convolutions */

/* The input as far as the windows reach, where that is not the same on both sides: `pad` is what is left to the convolution. */
static ir_value *reached(const deconv *d, const sum *s, int64_t *pad) {
    int n = d->v.n;
    int64_t sides[2 * IR_MAX_SPATIAL], size[IR_MAX_SPATIAL + 2] = {-1, d->v.groups * d->ic};
    bool even = true;
    for (int i = 0; i < n; i++) {
        int64_t *side = &sides[2 * (n - 1 - i)];
        side[0] = pad[i] = d->v.dilation[i] * (s->taps[i] - 1) - s->r[i].shift;
        side[1] = s->size[i] + s->r[i].shift - d->size[i];
        even = even && side[0] == side[1] && pad[i] >= 0;
        size[i + 2] = d->size[i] + side[0] + side[1];
    }
    if (even) return d->n->in[0];
    memset(pad, 0, sizeof *pad * (size_t)n);
    ir_value *in[3] = {d->n->in[0], integers(d, 2 * n, sides), integer(d, 0)};
    return place(d, ir_op_find(d->m->c, "constant_pad_nd"), 3, in, shaped(d, n + 2, size));
}

/* [N, groups * phases * oc, size..]; NULL: no memory */
static ir_value *convolved(const deconv *d, const sum *s) {
    int n = d->v.n;
    ir_value *w = new_weights(d, s), *b = w ? new_bias(d, s) : NULL;
    int64_t ones[IR_MAX_SPATIAL], pad[IR_MAX_SPATIAL], zeros[IR_MAX_SPATIAL] = {0}, size[IR_MAX_SPATIAL + 2] = {-1, d->v.groups * s->phases * d->oc};
    if (!b) return NULL;
    for (int i = 0; i < n; i++) {
        ones[i] = 1;
        size[i + 2] = s->size[i];
    }
    ir_value *x = reached(d, s, pad), *no = constant(d, rt_bool(false), ir_type_simple(d->m->c, T_BOOL));
    ir_value *in[9] = {x, w, b, integers(d, n, ones), integers(d, n, pad), integers(d, n, d->v.dilation), no, integers(d, n, zeros), integer(d, d->v.groups)};
    return place(d, d->n->op, 9, in, shaped(d, n + 2, size));
}

/* The sizes of [N, groups, phases.., oc, q..]. */
static int apart(const deconv *d, const int64_t *phases, const int64_t *q, int64_t *size) {
    int n = d->v.n;
    size[0] = -1;
    size[1] = d->v.groups;
    size[n + 2] = d->oc;
    for (int i = 0; i < n; i++) {
        size[i + 2] = phases[i];
        size[n + 3 + i] = q[i];
    }
    return 2 * n + 3;
}

/* The runs of number at[i] in each dim, taken from the whole or by a convolution of their own; NULL: no memory. */
static ir_value *part(const deconv *d, const int *at, int64_t *size) {
    sum s;
    int n = d->v.n;
    if (d->whole) {
        ir_value *x = d->whole;
        int rank = apart(d, d->v.stride, d->wide, size);
        for (int i = 0; i < n; i++) {
            const run *r = &d->run[i][at[i]];
            x = sliced(d, x, rank, size, i + 2, r->rest, r->n);
            x = sliced(d, x, rank, size, n + 3 + i, r->shift - d->all[i].shift, d->q[i]);
        }
        return x;
    }
    for (int i = 0; i < n; i++) set_run(&s, i, &d->run[i][at[i]], d->q[i]);
    ir_value *x = convolved(d, &s);
    int rank = apart(d, s.n, d->q, size);
    return x ? reshaped(d, x, rank, size) : NULL;
}

/* All runs of dims i.. of those that `at` tells of the dims before: [N, groups, phases.., oc, q..], of these sizes. */
static ir_value *joined(const deconv *d, int i, int *at, int64_t *size) {
    ir_value *parts[RUNS];
    int64_t n = 0;
    if (i == d->v.n) return part(d, at, size);
    for (at[i] = 0; at[i] < d->nruns[i]; at[i]++) {
        parts[at[i]] = joined(d, i + 1, at, size);
        if (!parts[at[i]]) return NULL;
        n += size[i + 2];
    }
    if (d->nruns[i] == 1) return parts[0];
    size[i + 2] = n;
    ir_context *c = d->m->c;
    const ir_type *t = shaped(d, 2 * d->v.n + 3, size);
    ir_value *list = place(d, ir_struct(c, S_LIST), d->nruns[i], parts, ir_type_list(c, ir_surface(c, t)));
    return place(d, ir_op_find(c, "cat"), 2, (ir_value *[]){list, integer(d, i + 2)}, t);
}

/* [N, groups, phases.., oc, q..] -> [N, groups * oc, q * phase ..] */
static ir_value *interleaved(const deconv *d, ir_value *x, const int64_t *size) {
    int n = d->v.n;
    int64_t order[RT_MAX_RANK] = {0, 1, n + 2}, moved[RT_MAX_RANK], whole[RT_MAX_RANK] = {-1, d->v.groups * d->oc};
    for (int i = 0; i < n; i++) {
        order[3 + 2 * i] = n + 3 + i;
        order[4 + 2 * i] = i + 2;
        whole[i + 2] = d->q[i] * d->v.stride[i];
    }
    for (int i = 0; i < 2 * n + 3; i++) moved[i] = size[order[i]];
    x = place(d, ir_op_find(d->m->c, "permute"), 2, (ir_value *[]){x, integers(d, 2 * n + 3, order)}, shaped(d, 2 * n + 3, moved));
    x = reshaped(d, x, n + 2, whole);
    for (int i = 0; i < n; i++) x = sliced(d, x, n + 2, whole, i + 2, 0, d->out[i]);
    return x;
}

static bool compute_whole(deconv *d) {
    sum s;
    int64_t size[RT_MAX_RANK];
    for (int i = 0; i < d->v.n; i++) set_run(&s, i, &d->all[i], d->wide[i]);
    ir_value *x = convolved(d, &s);
    int rank = apart(d, d->v.stride, d->wide, size);
    d->whole = x && d->strided ? reshaped(d, x, rank, size) : x;
    return x != NULL;
}

static bool apply(deconv *d) {
    int64_t size[RT_MAX_RANK];
    int at[IR_MAX_SPATIAL] = {0};
    if ((!d->strided || (d->v.groups == 1 && d->oc < FEW)) && !compute_whole(d)) return false;
    ir_value *x = d->strided ? joined(d, 0, at, size) : d->whole;
    if (!x) return false;
    ir_replace_uses(d->n->out[0], d->strided ? interleaved(d, x, size) : x);
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
