/* stencil.c: a window of its own for each channel: out[.., w, c] = sum over taps of x[.., w * step + tap, c] * weight[c, tap]
 * (depthwise convolution), channels last.
 *
 * Grid over the outer dims; columns in tiles, channels as vectors inside, so that a tile's sums stay in registers and an
 * element of the image is loaded once for all columns that need it.  The weights are packed [taps][channels] at compile
 * time, padding is a copy, the epilogue is scalar code on the finished sums. */
#include "lower/emit.h"

enum { COLUMNS = 4 };

typedef const ir_dim *D;

static D size_of(const emit *e, int loop) { return e->t.loops.at[loop].size; }

static bool constant(D d, int64_t *x) {
    *x = 0;
    return !d || ir_dim_is_const(d, x);
}

/* ---- plan */

/* Offsets of the taps, in the order of the reduce variables; *weight gets their places in one channel's weights. */
static bool find_taps(const emit *e, const nest_access *weights, stencil *s, int64_t *weight) {
    const comp *k = e->f->k;
    int64_t n, a, w;
    s->ntaps = 1;
    weight[0] = s->tap[0] = 0;
    for (int r = 0; r < k->nrdims; r++) {
        int v = k->ndims + r, before = s->ntaps;
        if (!ir_dim_is_const(k->rdims[r], &n) || n < 1 || n > STENCIL_TAPS / before) return false;
        if (!constant(s->at.coef[v], &a) || !constant(weights->coef[v], &w)) return false;
        s->ntaps = before * (int)n;
        for (int i = s->ntaps - 1; i >= 0; i--) {
            s->tap[i] = s->tap[i / n] + i % n * a;
            weight[i] = weight[i / n] + i % n * w;
            s->row[i] = i / (int)n;
        }
    }
    return true;
}

static bool pack_weights(emit *e, stencil *s, D across, const int64_t *weight) {
    const ir_tensor_data *d = rt_map_get(&e->m->tensors, e->f->operands.at[s->weight]->def->sym);
    int64_t shape[2] = {s->ntaps, 0}, step;
    if (!rt_tensor_contiguous(d->tensor) || !ir_dim_is_const(size_of(e, s->channels), &shape[1]) || !constant(across, &step)) return false;
    rt_tensor *t = rt_tensor_new(d->tensor->dtype, 2, shape);
    if (!t) return false;
    for (int64_t i = 0; i < shape[0]; i++)
        for (int64_t c = 0; c < shape[1]; c++)
            rt_store_f64(t->storage->data, t->dtype, i * shape[1] + c,
                         rt_load_f64(d->tensor->storage->data, t->dtype, d->tensor->offset + c * step + weight[i]));
    s->win = sched_replace_param(e, s->weight, t);
    return s->win >= 0;
}

static bool only_channels(const emit *e, const nest_access *a, int channel) {
    for (int v = 0; v < e->f->k->ndims; v++)
        if (v != channel && a->coef[v]) return false;
    return a->coef[channel] != NULL && !a->rest;
}

static bool is_one(D d) {
    int64_t x;
    return d && ir_dim_is_const(d, &x) && x == 1;
}

bool sched_stencil_plan(emit *e, stencil *s) {
    const comp *k = e->f->k;
    sched_factor image, weight;
    int64_t places[STENCIL_TAPS];
    *s = (stencil){.columns = -1, .win = -1};
    if (k->checks.n || k->nstate != 1 || k->state_dtype[0] != DT_F32 || k->elem[0]->op != K_MUL || !e->t.nouter) return false;
    if (k->init[0]->op != X_CONST || k->init[0]->f != 0) return false;
    if (!sched_factor_of(e, k->elem[0]->args[0], &image) || !sched_factor_of(e, k->elem[0]->args[1], &weight)) return false;
    if (sched_in_results(k, image.load) || sched_in_results(k, weight.load)) return false;
    int c = e->t.loops.at[e->t.nouter - 1].last;
    s->image = image.load->i;
    s->weight = weight.load->i;
    if (weight.guarded || s->image == s->weight || !sched_is_param(e->f->operands.at[s->weight])) return false;
    if (!is_one(e->t.ocoef[c]) || !only_channels(e, weight.access, c) || sched_used_elsewhere(e, s->weight)) return false;
    s->at = *image.access;
    bool copy = image.guarded || !is_one(s->at.coef[c]);
    if (copy && (image.load->dtype != DT_F32 || !sched_copy_plan(e, image.load, false, c, &s->copy, &s->at))) return false;
    if (!is_one(s->at.coef[c]) || !find_taps(e, weight.access, s, places)) return false;
    D across = weight.access->coef[c];
    *sched_access(e, image.load) = s->at;
    e->t.pinned = 0;
    for (int i = 0; i < k->nout; i++) e->t.pinned |= nest_pins(&e->t, k->out[i]);
    nest_merge(&e->t, NULL, 0);
    s->channels = e->t.nouter - 1;
    int64_t step;
    if (s->channels > 0 && constant(nest_coef(&e->t, &s->at, s->channels - 1), &step)) s->columns = s->channels - 1;
    if (!pack_weights(e, s, across, places)) return false;
    e->unused[s->weight] = true;
    if (copy) e->unused[s->image] = !sched_used_elsewhere(e, s->image);
    return true;
}

/* ---- loops */

typedef struct loaded { int n; int64_t at[COLUMNS * STENCIL_TAPS]; k_value *x[COLUMNS * STENCIL_TAPS]; } loaded;

static k_value *image_at(emit *e, k_buffer *in, loaded *l, k_value *base, int64_t offset) {
    for (int i = 0; i < l->n; i++)
        if (l->at[i] == offset) return l->x[i];
    l->at[l->n] = offset;
    return l->x[l->n++] = k_cast(&e->b, k_load(&e->b, in, k_add(&e->b, base, k_i64(&e->b, offset))), DT_F32);
}

/* `n` columns from `column` on, all channels. */
static void tile(emit *e, const stencil *s, k_buffer *image, k_buffer *weights, k_value *base, k_value *column, int n) {
    k_builder *b = &e->b;
    k_value *width = sched_dim(e, size_of(e, s->channels));
    int64_t step = 0;
    if (s->columns >= 0) constant(nest_coef(&e->t, &s->at, s->columns), &step);
    if (column) base = k_add(b, base, k_mul(b, column, k_i64(b, step)));
    k_value *c = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), width, 1)), *sum[COLUMNS], *at = k_add(b, base, c);
    for (int j = 0; j < n; j++) sum[j] = k_float(b, DT_F32, 0);
    loaded *l = RT_NEW(&e->c->arena, loaded);
    for (int i = 0; i < s->ntaps; i++) {
        if (i && s->row[i] != s->row[i - 1]) l->n = 0;
        k_value *w = k_cast(b, k_load(b, weights, k_add(b, k_mul(b, width, k_i64(b, i)), c)), DT_F32);
        for (int j = 0; j < n; j++) sum[j] = k_3(b, K_FMA, image_at(e, image, l, at, s->tap[i] + j * step), w, sum[j]);
    }
    e->var[s->channels] = c;
    for (int j = 0; j < n; j++) {
        if (column) e->var[s->columns] = k_add(b, column, k_i64(b, j));
        e->param[0] = sum[j];
        sched_store_outs(e, k_memo_new(b->k));
    }
    k_end(b, 0, NULL);
}

void sched_stencil(emit *e, const stencil *s) {
    k_builder *b = &e->b;
    int outer = s->columns >= 0 ? s->columns : s->channels;
    k_buffer *image = e->in[s->image], *weights;
    ir_value *v = e->f->operands.at[s->image], *w = e->f->operands.at[s->weight];
    if (s->copy.on) {
        sched_copy_kernel(e, s->image, &s->copy);
        image = sched_buffer(e, LB_SCRATCH, 0, v->type->dtype, sched_copy_elements(e, &s->copy), "padded");
    }
    weights = sched_buffer(e, LB_IN, s->win, w->type->dtype, NULL, "weights");
    D rows = ir_dim_const(e->c, 1), work = ir_dim_mul(e->c, size_of(e, s->channels), ir_dim_const(e->c, s->ntaps));
    for (int l = 0; l < outer; l++) rows = ir_dim_mul(e->c, rows, size_of(e, l));
    e->launch->grid = rows;
    e->launch->cost = s->columns >= 0 ? ir_dim_floordiv(e->c, ir_dim_mul(e->c, work, size_of(e, s->columns)), ir_dim_const(e->c, 8)) : work;
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, rows), 1));
    k_value *base = s->at.rest ? sched_value(e, k_memo_new(b->k), s->at.rest) : k_i64(b, 0);
    for (int l = outer - 1; l >= 0; l--) {
        k_value *n = sched_dim(e, size_of(e, l));
        e->var[l] = l ? k_2(b, K_REM, g, n) : g;
        if (l) g = k_2(b, K_DIV, g, n);
        D step = nest_coef(&e->t, &s->at, l);
        if (step) base = k_add(b, base, k_mul(b, e->var[l], sched_dim(e, step)));
    }
    if (s->columns < 0) {
        tile(e, s, image, weights, base, NULL, 1);
    } else {
        k_value *n = sched_dim(e, size_of(e, s->columns)), *whole = k_mul(b, k_2(b, K_DIV, n, k_i64(b, COLUMNS)), k_i64(b, COLUMNS));
        for (int rest = 0; rest < 2; rest++) {
            k_value *column = k_var(k_for(b, KL_SERIAL, 0, rest ? whole : k_i64(b, 0), rest ? n : whole, rest ? 1 : COLUMNS));
            tile(e, s, image, weights, base, column, rest ? 1 : COLUMNS);
            k_end(b, 0, NULL);
        }
    }
    k_end(b, 0, NULL);
}
