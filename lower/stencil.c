/* stencil.c: a window of its own for each channel: out[.., w, c] = sum over taps of x[.., w * step + tap, c] * weight[c, tap]
 * (depthwise convolution), channels last.
 *
 * Grid over the outer dims; columns in tiles, channels as vectors inside, so that a tile's sums stay in registers and an
 * element of the image is loaded once for all columns that need it.  The weights are packed [taps][channels] at compile
 * time, the epilogue is scalar code on the finished sums.  Padding: rows of the window outside of the image are left out,
 * and columns where it sticks out at the side are done one by one; an image in another order is copied first. */
#include "lower/emit.h"

enum { COLUMNS = 4 };

typedef const ir_dim *D;


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
    int64_t shape[2] = {s->ntaps, 0}, step;
    if (!ir_dim_is_const(sched_size(e, s->channels), &shape[1]) || !constant(across, &step)) return false;
    rt_tensor *from = sched_param_data(e, s->weight), *t = from ? rt_tensor_new(from->dtype, 2, shape) : NULL;
    for (int64_t i = 0; t && i < shape[0]; i++)
        for (int64_t c = 0; c < shape[1]; c++)
            rt_store_f64(t->storage->data, t->dtype, i * shape[1] + c,
                         rt_load_f64(from->storage->data, t->dtype, from->offset + c * step + weight[i]));
    rt_tensor_release(from);
    if (t) s->win = sched_replace_param(e, s->weight, t);
    return s->win >= 0;
}

/* Bounds that the taps may break; false: not of the form that the loops below know. */
static bool find_bounds(const emit *e, const ir_expr *load, stencil *s) {
    const comp *k = e->f->k;
    for (int d = 0; d < load->n; d++) {
        sched_line l;
        stencil_bound b = {.var = -1, .size = e->f->operands.at[s->image]->type->dims[d]};
        if (!sched_line_of(load->args[d], &l)) return false;
        bool moves = l.c != 0;
        for (int v = 0; v < k->ndims; v++) {
            if (!l.coef[v]) continue;
            if (b.var >= 0 || l.coef[v] < 0) return false;
            b.var = v;
            b.step = l.coef[v];
        }
        for (int i = 0; i < s->ntaps; i++) b.offset[i] = l.c;
        for (int r = k->nrdims - 1, every = 1; r >= 0; r--) {
            int64_t n = 1;
            ir_dim_is_const(k->rdims[r], &n);
            for (int i = 0; i < s->ntaps; i++) b.offset[i] += i / every % n * l.coef[k->ndims + r];
            moves = moves || (n > 1 && l.coef[k->ndims + r]);
            every *= (int)n;
        }
        if (!moves) continue;
        if (s->nbounds == STENCIL_DIMS) return false;
        s->bound[s->nbounds++] = b;
    }
    return true;
}

/* Within a row of the window only the bound along the columns differs from tap to tap. */
static bool rows_agree(const stencil *s) {
    for (int i = 1; i < s->ntaps; i++)
        for (int d = 0; d < s->nbounds && s->row[i] == s->row[i - 1]; d++)
            if (d != s->across && s->bound[d].offset[i] != s->bound[d].offset[i - 1]) return false;
    return true;
}

/* Finds the bounds' loops once these are known; the columns' bound may be one of them. */
static bool place_bounds(const emit *e, stencil *s) {
    s->across = -1;
    for (int d = 0; d < s->nbounds; d++) {
        bool known = s->bound[d].var < 0 || ir_dim_is_const(e->f->k->dims[s->bound[d].var], NULL);
        if (s->columns >= 0 && e->t.loops.at[s->columns].vars == 1u << s->bound[d].var && s->bound[d].var >= 0) s->across = d;
        if (!known || !ir_dim_is_const(s->bound[d].size, NULL)) return false;
    }
    return rows_agree(s);
}

static bool only_channels(const emit *e, const nest_access *a, int channel) {
    for (int v = 0; v < e->f->k->ndims; v++)
        if (v != channel && a->coef[v]) return false;
    return a->coef[channel] != NULL && !a->rest;
}

/* Loops of the nest for this plan; the columns' bound, and what the others need, keep loops of their own. */
static bool set_loops(emit *e, stencil *s, const sched_factor *image) {
    const comp *k = e->f->k;
    *sched_access(e, image->load) = s->at;
    e->t.pinned = 0;
    for (int i = 0; i < k->nout; i++) e->t.pinned |= nest_pins(&e->t, k->out[i]);
    for (int d = 0; d < s->nbounds; d++)
        if (s->bound[d].var >= 0) e->t.pinned |= 1u << s->bound[d].var;
    nest_merge(&e->t, NULL, 0);
    s->channels = e->t.nouter - 1;
    s->columns = -1;
    int64_t step;
    if (s->channels > 0 && constant(nest_coef(&e->t, &s->at, s->channels - 1), &step)) s->columns = s->channels - 1;
    return s->channels >= 0;
}

bool sched_stencil_plan(emit *e, stencil *s) {
    const comp *k = e->f->k;
    sched_factor image, weight;
    int64_t places[STENCIL_TAPS];
    *s = (stencil){.columns = -1, .win = -1};
    if (k->checks.n || k->nstate != 1 || k->state_dtype[0] != DT_F32 || k->elem[0]->op != K_MUL || !e->t.nouter) return false;
    if (k->init[0]->op != X_CONST || k->init[0]->f != 0) return false;
    if (!sched_factor_of(e, k->elem[0]->args[0], &image) || !sched_factor_of(e, k->elem[0]->args[1], &weight)) return false;
    if (sched_in_results(e, image.load) || sched_in_results(e, weight.load)) return false;
    int c = e->t.loops.at[e->t.nouter - 1].last;
    s->image = image.load->i;
    s->weight = weight.load->i;
    if (weight.guarded || s->image == s->weight || !sched_is_param(e->f->operands.at[s->weight])) return false;
    if (!ir_dim_is(e->t.ocoef[c], 1) || !only_channels(e, weight.access, c) || sched_used_elsewhere(e, s->weight)) return false;
    bool direct = image.guarded && ir_dim_is(image.access->coef[c], 1) && !image.access->rest_uses;
    s->at = *image.access;
    if (direct) direct = find_taps(e, weight.access, s, places) && find_bounds(e, image.load, s) && set_loops(e, s, &image) && place_bounds(e, s);
    bool copy = !direct && (image.guarded || !ir_dim_is(s->at.coef[c], 1));
    if (!direct) s->nbounds = 0, s->across = -1;
    if (copy && (image.load->dtype != DT_F32 || !sched_copy_plan(e, image.load, false, c, &s->copy, &s->at))) return false;
    if (!ir_dim_is(s->at.coef[c], 1) || !find_taps(e, weight.access, s, places) || !set_loops(e, s, &image)) return false;
    if (!pack_weights(e, s, weight.access->coef[c], places)) return false;
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

static int loop_of(const emit *e, int var) {
    for (int l = 0; l < e->t.nouter; l++)
        if (e->t.loops.at[l].last == var) return l;
    return -1;
}

/* Is tap `i` inside in dim d; NULL: always, as far as the sizes tell. */
static k_value *inside(emit *e, const stencil_bound *d, int i) {
    k_builder *b = &e->b;
    int64_t last = 0, size = 0, n = 1;
    int l = d->var < 0 ? -1 : loop_of(e, d->var);
    if (l >= 0) ir_dim_is_const(e->t.loops.at[l].size, &n);
    ir_dim_is_const(d->size, &size);
    last = (n - 1) * d->step + d->offset[i];
    if (d->offset[i] >= 0 && last < size) return NULL;
    k_value *at = l < 0 ? k_i64(b, d->offset[i]) : k_add(b, k_mul(b, e->var[l], k_i64(b, d->step)), k_i64(b, d->offset[i]));
    return k_2(b, K_AND, k_2(b, K_GE, at, k_i64(b, 0)), k_2(b, K_LT, at, k_i64(b, size)));
}

/* Is the row of taps of tap `i` inside; at the side, also in the columns' dim. */
static k_value *tap_inside(emit *e, const stencil *s, int i, bool side) {
    k_value *all = NULL;
    for (int d = 0; d < s->nbounds; d++) {
        if (d == s->across && !side) continue;
        k_value *ok = inside(e, &s->bound[d], i);
        if (ok) all = all ? k_2(&e->b, K_AND, all, ok) : ok;
    }
    return all;
}

typedef struct window { k_buffer *image, *weights; k_value *base, *column; int n; bool side; } window; /* n columns from `column` on */

/* sum[] += the taps from i on that share a condition; returns the next tap. */
static int add_taps(emit *e, const stencil *s, const window *w, int i, k_value *at, k_value *c, int64_t step, k_value **sum) {
    k_builder *b = &e->b;
    k_value *width = sched_dim(e, sched_size(e, s->channels));
    loaded *l = RT_NEW(&e->c->arena, loaded);
    int row = s->row[i], first = i;
    for (; i < s->ntaps && s->row[i] == row && !(w->side && i > first); i++) {
        k_value *x = k_cast(b, k_load(b, w->weights, k_add(b, k_mul(b, width, k_i64(b, i)), c)), DT_F32);
        for (int j = 0; j < w->n; j++) sum[j] = k_3(b, K_FMA, image_at(e, w->image, l, at, s->tap[i] + j * step), x, sum[j]);
    }
    return i;
}

/* All channels of the window's columns. */
static void tile(emit *e, const stencil *s, const window *w) {
    k_builder *b = &e->b;
    k_value *base = w->base, *sum[COLUMNS], *before[COLUMNS];
    int64_t step = 0;
    if (s->columns >= 0) constant(nest_coef(&e->t, &s->at, s->columns), &step);
    if (w->column) base = k_add(b, base, k_mul(b, w->column, k_i64(b, step)));
    if (w->column) e->var[s->columns] = w->column;
    k_value *ok[STENCIL_TAPS];
    for (int i = 0; i < s->ntaps; i++) {
        bool same = i && s->row[i] == s->row[i - 1] && !w->side;
        ok[i] = same ? ok[i - 1] : tap_inside(e, s, i, w->side);
    }
    k_value *c = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), sched_dim(e, sched_size(e, s->channels)), 1)), *at = k_add(b, base, c);
    for (int j = 0; j < w->n; j++) sum[j] = k_float(b, DT_F32, 0);
    for (int i = 0; i < s->ntaps;) {
        k_inst *guard = ok[i] ? k_if(b, ok[i]) : NULL;
        memcpy(before, sum, sizeof before);
        i = add_taps(e, s, w, i, at, c, step, sum);
        if (!guard) continue;
        k_else(b, w->n, sum);
        k_end(b, w->n, before);
        memcpy(sum, guard->out, sizeof(k_value *) * (size_t)w->n);
    }
    e->var[s->channels] = c;
    for (int j = 0; j < w->n; j++) {
        if (w->column) e->var[s->columns] = k_add(b, w->column, k_i64(b, j));
        e->param[0] = sum[j];
        sched_store_outs(e, k_memo_new(b->k));
    }
    k_end(b, 0, NULL);
}

static int64_t clip(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

/* Columns [lo, hi), `n` at a time; returns where it stopped. */
static k_value *columns(emit *e, const stencil *s, window w, k_value *lo, k_value *hi, int n, bool side) {
    k_builder *b = &e->b;
    k_value *end = n == 1 ? hi : k_add(b, lo, k_mul(b, k_2(b, K_DIV, k_sub(b, hi, lo), k_i64(b, n)), k_i64(b, n)));
    w.n = n;
    w.side = side;
    w.column = k_var(k_for(b, KL_SERIAL, 0, lo, end, n));
    tile(e, s, &w);
    k_end(b, 0, NULL);
    return end;
}

/* The columns in which all taps are inside in the columns' dim: [*lo, *hi) of n. */
static void safe_columns(const stencil *s, int64_t n, int64_t *lo, int64_t *hi) {
    *lo = 0;
    *hi = n;
    if (s->across < 0) return;
    const stencil_bound *d = &s->bound[s->across];
    int64_t size = 0, most = d->offset[0], least = d->offset[0];
    ir_dim_is_const(d->size, &size);
    for (int i = 0; i < s->ntaps; i++) {
        if (d->offset[i] > most) most = d->offset[i];
        if (d->offset[i] < least) least = d->offset[i];
    }
    *lo = clip(least < 0 ? (-least + d->step - 1) / d->step : 0, 0, n);
    *hi = clip(size - 1 - most < 0 ? 0 : (size - 1 - most) / d->step + 1, *lo, n);
}

static void row(emit *e, const stencil *s, window w) {
    k_builder *b = &e->b;
    k_value *n = sched_dim(e, sched_size(e, s->columns)), *from = k_i64(b, 0), *to = n;
    if (s->across >= 0) {
        int64_t size = 0, lo, hi;
        ir_dim_is_const(sched_size(e, s->columns), &size);
        safe_columns(s, size, &lo, &hi);
        from = k_i64(b, lo);
        to = k_i64(b, hi);
        if (lo > 0) columns(e, s, w, k_i64(b, 0), from, 1, true);
        if (hi < size) columns(e, s, w, to, n, 1, true);
    }
    k_value *rest = columns(e, s, w, from, to, COLUMNS, false);
    columns(e, s, w, rest, to, 1, false);
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
    D rows = ir_dim_const(e->c, 1), work = ir_dim_mul(e->c, sched_size(e, s->channels), ir_dim_const(e->c, s->ntaps));
    for (int l = 0; l < outer; l++) rows = ir_dim_mul(e->c, rows, sched_size(e, l));
    e->launch->grid = rows;
    e->launch->cost = s->columns >= 0 ? ir_dim_floordiv(e->c, ir_dim_mul(e->c, work, sched_size(e, s->columns)), ir_dim_const(e->c, 8)) : work;
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, rows), 1));
    k_value *base = s->at.rest ? sched_value(e, k_memo_new(b->k), s->at.rest) : k_i64(b, 0);
    for (int l = outer - 1; l >= 0; l--) {
        k_value *n = sched_dim(e, sched_size(e, l));
        e->var[l] = l ? k_2(b, K_REM, g, n) : g;
        if (l) g = k_2(b, K_DIV, g, n);
        D step = nest_coef(&e->t, &s->at, l);
        if (step) base = k_add(b, base, k_mul(b, e->var[l], sched_dim(e, step)));
    }
    window all = {image, weights, base, NULL, 1, true};
    if (s->columns < 0) tile(e, s, &all);
    else row(e, s, all);
    k_end(b, 0, NULL);
}
