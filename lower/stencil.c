/* stencil.c: sums over small windows with the channels last: each channel by a window of its own (depthwise convolution),
 * or by those of a small group, all channels from few elements (the first layers of a network), and reductions over windows
 * (pooling).
 *
 *   out[.., w, c] = combine over taps t of x[.., w * step + t, c] * weight[t, c]   (or x[.., w * step + t], or x alone)
 *
 * Grid over the outer dims; columns in tiles, channels as vectors inside, taps unrolled, so that a tile's sums stay in
 * registers and an element of the image is loaded once per row of the window.  The weights are packed [taps][channels] at
 * compile time, the epilogue is scalar code on the finished sums.  Of large windows only the fast dims are unrolled; a loop
 * around them runs over the rows that are inside.  Padding: rows of the window outside of the image are left
 * out; tiles at the sides lie at known columns, whose taps outside are left out too; an image in another order is copied. */
#include "lower/emit.h"

enum { COLUMNS = 12, /* of a tile, at most */ VECTORS = 16 /* registers that tiles are made for */, SIDES = 8, SHARED_TAPS = 32,
       SHARED_RUN = 12, CHUNK = 96, GROUP_LANES = 8 };

typedef const ir_dim *D;

static bool constant(D d, int64_t *x) {
    *x = 0;
    return !d || ir_dim_is_const(d, x);
}

/* ---- plan */

/* Counts the taps in the order of the reduce variables: row by row of the window.  What is too much becomes the rows. */
static bool count_taps(const emit *e, stencil *s) {
    const comp *k = e->f->k;
    int64_t n;
    s->ntaps = s->per_row = 1;
    s->rows = 1;
    s->row = -1;
    for (int r = k->nrdims - 1; r >= 0; r--) {
        if (!ir_dim_is_const(k->rdims[r], &n) || n < 1) return false;
        bool many = n > STENCIL_TAPS / s->ntaps || s->row >= 0;
        if (many && n > 1) {
            if (s->row >= 0) return false;
            s->row = r;
            s->rows = n;
        } else s->ntaps *= (int)n;
        if (r == k->nrdims - 1) s->per_row = s->ntaps;
    }
    return k->nrdims > 0;
}

/* What tap i adds to an index that moves by coef[r] per step of reduce variable r. */
static int64_t tap_offset(const comp *k, int i, const int64_t *coef) {
    int64_t n = 1, sum = 0;
    for (int r = k->nrdims - 1; r >= 0; r--, i /= (int)n) {
        ir_dim_is_const(k->rdims[r], &n);
        sum += i % n * coef[r];
    }
    return sum;
}

static bool tap_offsets(const emit *e, const nest_access *a, const stencil *s, int64_t *out) {
    const comp *k = e->f->k;
    int64_t coef[NEST_MAX];
    for (int r = 0; r < k->nrdims; r++)
        if (!constant(a->coef[k->ndims + r], &coef[r])) return false;
    for (int i = 0; i < s->ntaps; i++) out[i] = tap_offset(k, i, coef);
    return true;
}

static bool pack_weights(emit *e, stencil *s, D across, D rows, const int64_t *weight) {
    int64_t shape[2] = {s->rows * s->ntaps, 0}, step, row;
    if (!ir_dim_is_const(sched_size(e, s->channels), &shape[1]) || !constant(across, &step) || !constant(rows, &row)) return false;
    rt_tensor *from = sched_param_data(e, s->weight), *t = from ? rt_tensor_new(from->dtype, 2, shape) : NULL;
    for (int64_t i = 0; t && i < shape[0]; i++)
        for (int64_t c = 0; c < shape[1]; c++)
            rt_store_f64(t->storage->data, t->dtype, i * shape[1] + c,
                         rt_load_f64(from->storage->data, t->dtype, from->offset + c * step + i / s->ntaps * row + weight[i % s->ntaps]));
    rt_tensor_release(from);
    if (t) s->win = sched_replace_param(e, s->weight, t);
    return s->win >= 0;
}

static stencil_bound *bound_of(const emit *e, const ir_expr *index, stencil *s) {
    const comp *k = e->f->k;
    sched_line l;
    for (int d = 0; d < s->nbounds; d++)
        if (s->bound[d].of == index) return &s->bound[d];
    if (s->nbounds == STENCIL_DIMS || !sched_line_of(index, &l)) return NULL;
    stencil_bound *b = &s->bound[s->nbounds++];
    *b = (stencil_bound){.of = index, .var = -1, .from = INT64_MIN / 4, .to = INT64_MAX / 4};
    for (int v = 0; v < k->ndims; v++) {
        if (!l.coef[v]) continue;
        if (b->var >= 0 || l.coef[v] < 0) return NULL;
        b->var = v;
        b->step = l.coef[v];
    }
    for (int i = 0; i < s->ntaps; i++) b->offset[i] = l.c + tap_offset(k, i, l.coef + k->ndims);
    b->rows = s->row >= 0 ? l.coef[k->ndims + s->row] : 0;
    return b->rows < 0 ? NULL : b;
}

/* Bounds that the taps may break, from the guard; false: not of the form that the loops below know. */
static bool find_bounds(const emit *e, const ir_expr *guard, stencil *s) {
    if (guard->op == X_CONST) return guard->k != 0;
    if (guard->op == K_AND) return find_bounds(e, guard->args[0], s) && find_bounds(e, guard->args[1], s);
    const ir_expr *limit = guard->n == 2 ? guard->args[1] : NULL;
    int64_t x;
    if ((guard->op != K_GE && guard->op != K_LT) || (limit->op != X_CONST && limit->op != X_DIM)) return false;
    if (limit->op == X_CONST) x = limit->k;
    else if (!ir_dim_is_const(limit->dim, &x)) return false;
    stencil_bound *b = bound_of(e, guard->args[0], s);
    if (b && guard->op == K_GE && x > b->from) b->from = x;
    if (b && guard->op == K_LT && x < b->to) b->to = x;
    return b != NULL;
}

/* Within a row of the window only the bound along the columns differs from tap to tap. */
static bool rows_agree(const stencil *s) {
    for (int i = 0; i < s->ntaps; i++)
        for (int d = 0; d < s->nbounds && i % s->per_row; d++)
            if (d != s->across && s->bound[d].offset[i] != s->bound[d].offset[i - 1]) return false;
    return true;
}

static int64_t at_most(int64_t x, int64_t most) { return x < most ? x : most; }

/* The columns in which all taps are inside in the columns' dim: [*lo, *hi) of n. */
static void safe_columns(const stencil *s, int64_t n, int64_t *lo, int64_t *hi) {
    *lo = 0;
    *hi = n;
    if (s->across < 0) return;
    const stencil_bound *d = &s->bound[s->across];
    for (int i = 0; i < s->ntaps; i++) {
        int64_t below = d->from - d->offset[i], room = d->to - 1 - d->offset[i];
        if (below > 0 && (below + d->step - 1) / d->step > *lo) *lo = (below + d->step - 1) / d->step;
        *hi = at_most(*hi, room < 0 ? 0 : room / d->step + 1);
    }
    *lo = at_most(*lo, n);
    if (*hi < *lo) *hi = *lo;
}

/* Columns of a tile: as many as registers allow, in tiles of about one size. */
static int64_t tile_columns(const stencil *s, int64_t n) {
    int most = s->lanes > 8 ? VECTORS * 6 / s->lanes : VECTORS - 1 - s->per_row, limit = s->shared ? 10 : 8;
    if (s->lanes <= 8) most = most > limit || s->row >= 0 ? limit : most < 4 ? 4 : most;
    int64_t tiles = (n + most - 1) / most;
    return n < 1 ? most : (n + tiles - 1) / tiles;
}

/* Finds the bounds' loops once these are known; one of them may be the columns', none the channels'. */
static bool place_bounds(const emit *e, stencil *s) {
    int64_t n = 0, lo, hi;
    s->across = -1;
    for (int d = 0; d < s->nbounds; d++) {
        int v = s->bound[d].var;
        bool along = v >= 0 && s->columns >= 0 && e->t.loops.at[s->columns].vars == 1u << v;
        if ((along && s->across >= 0) || (v >= 0 && e->t.loops.at[s->channels].vars >> v & 1)) return false;
        if (along) s->across = d;
        if (v >= 0 && !ir_dim_is_const(e->f->k->dims[v], NULL)) return false;
        for (int i = 1; i < s->ntaps && s->bound[d].rows; i++)
            if (s->bound[d].offset[i] != s->bound[d].offset[0]) return false;
    }
    if (s->across >= 0 && s->bound[s->across].rows) return false;
    if (s->across >= 0) ir_dim_is_const(sched_size(e, s->columns), &n);
    safe_columns(s, n, &lo, &hi);
    return rows_agree(s) && n - (hi - lo) <= SIDES * tile_columns(s, n);
}

/* Does the address move by the variables of `channels`, and by no others of the output? */
static bool only_channels(const emit *e, const nest_access *a, uint32_t channels) {
    for (int v = 0; v < e->f->k->ndims; v++)
        if (!a->coef[v] != !(channels >> v & 1)) return false;
    return !a->rest;
}

/* Loops of the nest for this plan; the columns' bound, and what the others need, keep loops of their own. */
static bool set_loops(emit *e, stencil *s, const sched_factor *image, uint32_t channels) {
    const comp *k = e->f->k;
    e->t.pinned = s->weight < 0 ? nest_pins(&e->t, k->elem[0]) : 0;
    for (int i = 0; i < k->nout; i++) e->t.pinned |= nest_pins(&e->t, k->out[i]);
    for (int d = 0; d < s->nbounds; d++)
        if (s->bound[d].var >= 0) e->t.pinned |= 1u << s->bound[d].var;
    for (int r = 0; r < k->nrdims && s->weight < 0; r++) e->t.pinned |= 1u << (k->ndims + r);
    nest_merge(&e->t, s->group ? image->access : NULL, channels);
    s->channels = e->t.nouter - 1;
    s->columns = -1;
    int64_t step;
    if (s->channels > 0 && constant(nest_coef(&e->t, &s->at, s->channels - 1), &step)) s->columns = s->channels - 1;
    return s->channels >= 0 && (!s->group || e->t.loops.at[s->channels].vars == channels);
}

/* Few elements for all channels: vectors of several registers, for several products with each of them.  Many in one run are a
 * product of matrices, for which panels of weights are better than rows. */
static bool share(const emit *e, stencil *s, int channel) {
    int64_t n;
    if (s->ntaps > SHARED_TAPS || (s->per_row == s->ntaps && s->ntaps >= SHARED_RUN)) return false;
    if (!ir_dim_is_const(e->f->k->dims[channel], &n) || n % 8) return false;
    s->lanes = n % 16 || s->per_row > 1 ? 0 : 16;
    return true;
}

/* Groups of as many channels as they read: the index variable that counts them; -1: it is no such thing. */
static int find_group(const emit *e, stencil *s, const nest_access *image, int channel) {
    const comp *k = e->f->k;
    int v = -1, r = 0;
    int64_t n, size;
    for (int p = 0; p < k->ndims; p++)
        if (e->t.order[p] != channel && !ir_dim_is(k->dims[e->t.order[p]], 1)) v = e->t.order[p];
    while (r < k->nrdims && !ir_dim_is(image->coef[k->ndims + r], 1)) r++;
    if (v < 0 || r == k->nrdims || !ir_dim_is_const(k->dims[channel], &n) || (n != 2 && n != 4 && n != 8)) return -1;
    if (!ir_dim_is(image->coef[v], n) || !ir_dim_is_const(k->rdims[r], &size) || size != n) return -1;
    int64_t coef[NEST_MAX] = {0};
    coef[r] = 1;
    for (int i = 0; i < s->ntaps; i++) s->place[i] = (int)tap_offset(k, i, coef);
    s->group = (int)n;
    s->lanes = GROUP_LANES;
    return v;
}

static bool plain_sum(const emit *e) {
    const comp *k = e->f->k;
    return !k->checks.n && k->nstate == 1 && k->state_dtype[0] == DT_F32 && k->init[0]->op == X_CONST && e->t.nouter;
}

/* The copy and the loops of a convolution; without a copy if the guard, or its absence, has a form that the loops know. */
static bool place_image(emit *e, stencil *s, const sched_factor *image, const ir_expr *guard, int c, uint32_t channels) {
    s->at = *image->access;
    bool near = s->shared || s->group ? !s->at.coef[c] : ir_dim_is(s->at.coef[c], 1);
    bool direct = near && !s->at.rest_uses && (!image->guarded || find_bounds(e, guard, s));
    if (direct && set_loops(e, s, image, channels) && place_bounds(e, s)) return true;
    s->nbounds = 0;
    s->across = -1;
    if (s->shared || s->group || image->load->dtype != DT_F32 || !sched_copy_plan(e, image, false, c, &s->copy, &s->at)) return false;
    *sched_access(e, image->load) = s->at;
    return ir_dim_is(s->at.coef[c], 1) && set_loops(e, s, image, channels);
}

bool sched_stencil_plan(emit *e, stencil *s) {
    const comp *k = e->f->k;
    sched_factor image, weight;
    int64_t places[STENCIL_TAPS];
    *s = (stencil){.columns = -1, .across = -1, .win = -1};
    if (!plain_sum(e) || k->init[0]->f != 0 || k->elem[0]->op != K_MUL || !count_taps(e, s)) return false;
    int c = e->t.loops.at[e->t.nouter - 1].last;
    const ir_expr *const *factor = k->elem[0]->args;
    if (!sched_factor_of(e, factor[0], &image) || !sched_factor_of(e, factor[1], &weight)) return false;
    if (image.guarded && image.load->dtype != DT_F32) return false;
    if (sched_in_results(e, image.load) || sched_in_results(e, weight.load)) return false;
    s->image = image.load->i;
    s->weight = weight.load->i;
    if (weight.guarded || s->image == s->weight || !ir_is_param(e->f->operands.at[s->weight])) return false;
    int group = image.access->coef[c] ? -1 : find_group(e, s, image.access, c);
    uint32_t channels = 1u << c | (group >= 0 ? 1u << group : 0);
    if (!ir_dim_is(e->t.ocoef[c], 1) || !only_channels(e, weight.access, channels) || sched_used_elsewhere(e, s->weight)) return false;
    nest_access w = *weight.access;
    s->shared = !image.access->coef[c] && !s->group;
    if (s->shared && !share(e, s, c)) return false;
    if (s->row >= 0 && (s->shared || s->group)) return false;
    if (!place_image(e, s, &image, factor[0]->args[0], c, channels) || (s->shared && s->columns < 0)) return false;
    if (!tap_offsets(e, &s->at, s, s->tap) || !tap_offsets(e, &w, s, places)) return false;
    for (int i = 0; i < s->ntaps && s->group; i++) s->tap[i] -= s->place[i];
    if (s->row >= 0 && !constant(s->at.coef[k->ndims + s->row], &s->row_step)) return false;
    if (!pack_weights(e, s, w.coef[c], s->row >= 0 ? w.coef[k->ndims + s->row] : NULL, places)) return false;
    e->unused[s->weight] = true;
    if (s->copy.on) e->unused[s->image] = !sched_used_elsewhere(e, s->image);
    return true;
}

/* A reduction over windows (pooling): what the taps contribute is computed for each of them. */
bool sched_pool_plan(emit *e, stencil *s) {
    const comp *k = e->f->k;
    *s = (stencil){.image = -1, .weight = -1, .columns = -1, .across = -1, .win = -1};
    if (!plain_sum(e) || !k->associative || k->scan >= 0 || !count_taps(e, s) || s->row >= 0) return false;
    int c = e->t.loops.at[e->t.nouter - 1].last;
    s->guarded = k->elem[0]->op == K_SELECT && k->elem[0]->args[2] == k->init[0];
    if (!ir_dim_is(e->t.ocoef[c], 1) || (s->guarded && !find_bounds(e, k->elem[0]->args[0], s))) return false;
    for (int i = 0; i < e->t.accesses.n; i++) {
        const nest_access *a = &e->t.accesses.at[i];
        if ((a->coef[c] && !ir_dim_is(a->coef[c], 1)) || a->rest_uses >> c & 1) return false; /* gathered at every tap */
    }
    return set_loops(e, s, NULL, 0) && place_bounds(e, s);
}

/* ---- loops */

static int loop_of(const emit *e, int var) {
    for (int l = 0; l < e->t.loops.n; l++)
        if (e->t.loops.at[l].last == var) return l;
    return -1;
}

/* Is tap `i` inside by this bound; NULL: always, as far as the sizes tell. */
static k_value *inside(emit *e, const stencil_bound *d, int i) {
    k_builder *b = &e->b;
    int64_t n = 1;
    int l = d->var < 0 ? -1 : loop_of(e, d->var);
    if (l >= 0) ir_dim_is_const(e->t.loops.at[l].size, &n);
    bool from = d->offset[i] < d->from, to = (n - 1) * d->step + d->offset[i] >= d->to;
    if (!from && !to) return NULL;
    k_value *at = l < 0 ? k_i64(b, d->offset[i]) : k_add(b, k_mul(b, e->var[l], k_i64(b, d->step)), k_i64(b, d->offset[i]));
    k_value *after = from ? k_2(b, K_GE, at, k_i64(b, d->from)) : NULL, *before = to ? k_2(b, K_LT, at, k_i64(b, d->to)) : NULL;
    return !from ? before : !to ? after : k_2(b, K_AND, after, before);
}

/* Is the row of taps of tap `i` inside. */
static k_value *row_inside(emit *e, const stencil *s, int i) {
    k_value *all = NULL;
    for (int d = 0; d < s->nbounds; d++) {
        k_value *ok = d == s->across || s->bound[d].rows ? NULL : inside(e, &s->bound[d], i);
        if (ok) all = all ? k_2(&e->b, K_AND, all, ok) : ok;
    }
    return all;
}

/* The rows of the window that are inside: [*lo, *hi). */
static void rows_inside(emit *e, const stencil *s, k_value **lo, k_value **hi) {
    k_builder *b = &e->b;
    k_value *zero = k_i64(b, 0);
    *lo = zero;
    *hi = k_i64(b, s->rows);
    for (int d = 0; d < s->nbounds; d++) {
        const stencil_bound *x = &s->bound[d];
        int l = x->var < 0 ? -1 : loop_of(e, x->var);
        if (!x->rows) continue;
        k_value *at = l < 0 ? k_i64(b, x->offset[0]) : k_add(b, k_mul(b, e->var[l], k_i64(b, x->step)), k_i64(b, x->offset[0]));
        k_value *from = k_2(b, K_MAX, k_sub(b, k_i64(b, x->from), at), zero), *to = k_2(b, K_MAX, k_sub(b, k_i64(b, x->to), at), zero);
        *lo = k_2(b, K_MAX, *lo, k_2(b, K_DIV, k_add(b, from, k_i64(b, x->rows - 1)), k_i64(b, x->rows)));
        *hi = k_2(b, K_MIN, *hi, k_2(b, K_DIV, k_add(b, to, k_i64(b, x->rows - 1)), k_i64(b, x->rows)));
    }
}

/* n columns from `column` on, whose number is `first` if that is >= 0: else all their taps are inside. */
typedef struct window {
    k_buffer *image, *weights;
    k_value *base, *column, **ok; /* ok: by row of taps, whether it is inside; NULL: it is */
    k_value *lo, *hi;             /* the rows that are inside, if they are a loop */
    k_value *at, *c, *weight;     /* in the loop over channels: the image's address, the channel, the weights' address */
    int n;
    int64_t first;
} window;

static bool has_tap(const stencil *s, const window *w, int i, int j) {
    if (w->first < 0 || s->across < 0) return true;
    const stencil_bound *d = &s->bound[s->across];
    int64_t at = (w->first + j) * d->step + d->offset[i];
    return at >= d->from && at < d->to;
}

static k_value *weight_at(emit *e, const stencil *s, const window *w, int i) {
    k_builder *b = &e->b;
    k_value *width = sched_dim(e, sched_size(e, s->channels));
    return k_cast(b, k_load(b, w->weights, k_add(b, k_mul(b, width, k_i64(b, i)), w->weight)), DT_F32);
}

static k_value *image_at(emit *e, const stencil *s, const window *w, int tap, int64_t offset) {
    k_builder *b = &e->b;
    k_value *at = k_add(b, w->at, k_i64(b, offset));
    return k_cast(b, s->group ? k_load_group(b, w->image, at, s->group, s->place[tap]) : k_load(b, w->image, at), DT_F32);
}

static int64_t column_step(const emit *e, const stencil *s) {
    int64_t step = 0;
    if (s->columns >= 0) constant(nest_coef(&e->t, &s->at, s->columns), &step);
    return step;
}

/* Taps [i, end) of one row, element by element of the image, each for all columns that need it. */
static void add_row(emit *e, const stencil *s, const window *w, int i, int end, k_value **sum) {
    k_value *weight[STENCIL_TAPS], *x;
    int64_t step = column_step(e, s), last = INT64_MIN;
    for (int t = i; t < end; t++) weight[t] = weight_at(e, s, w, t);
    for (;;) {
        int64_t next = INT64_MAX;
        for (int t = i; t < end; t++)
            for (int j = 0; j < w->n; j++) {
                int64_t at = s->tap[t] + j * step;
                if (at > last && at < next && has_tap(s, w, t, j)) next = at;
            }
        if (next == INT64_MAX) return;
        last = next;
        x = image_at(e, s, w, i, next);
        for (int t = i; t < end; t++)
            for (int j = 0; j < w->n; j++)
                if (s->tap[t] + j * step == next && has_tap(s, w, t, j)) sum[j] = k_3(&e->b, K_FMA, x, weight[t], sum[j]);
    }
}

static void set_column(emit *e, const stencil *s, const window *w, int j) {
    if (w->column) e->var[s->columns] = k_add(&e->b, w->column, k_i64(&e->b, j));
}

static void set_tap(emit *e, int tap) {
    const comp *k = e->f->k;
    int64_t n = 1;
    for (int r = k->nrdims - 1; r >= 0; r--, tap /= (int)n) {
        int l = loop_of(e, k->ndims + r);
        ir_dim_is_const(k->rdims[r], &n);
        if (l >= 0) e->var[l] = k_i64(&e->b, tap % n);
    }
}

static void combine_row(emit *e, const stencil *s, const window *w, int i, int end, k_value **sum) {
    const ir_expr *elem = s->guarded ? e->elem[0]->args[1] : e->elem[0];
    for (int t = i; t < end; t++)
        for (int j = 0; j < w->n; j++) {
            if (!has_tap(s, w, t, j)) continue;
            set_tap(e, t);
            set_column(e, s, w, j);
            e->param[1] = sched_value(e, k_memo_new(e->b.k), elem);
            e->param[0] = sum[j];
            sum[j] = sched_value(e, k_memo_new(e->b.k), e->combine[0]);
        }
}

static void add_taps(emit *e, const stencil *s, const window *w, k_value **sum) {
    k_builder *b = &e->b;
    k_value *before[COLUMNS];
    for (int i = 0; i < s->ntaps; i += s->per_row) {
        k_inst *guard = w->ok[i / s->per_row] ? k_if(b, w->ok[i / s->per_row]) : NULL;
        memcpy(before, sum, sizeof before);
        (s->weight < 0 ? combine_row : add_row)(e, s, w, i, i + s->per_row, sum);
        if (!guard) continue;
        k_else(b, w->n, sum);
        k_end(b, w->n, before);
        memcpy(sum, guard->out, sizeof(k_value *) * (size_t)w->n);
    }
}

static void add_rows(emit *e, const stencil *s, const window *w, k_value **sum) {
    k_builder *b = &e->b;
    window in = *w;
    k_inst *f = k_for(b, KL_SERIAL, 0, w->lo, w->hi, 1);
    for (int j = 0; j < w->n; j++) sum[j] = k_carry(b, f, sum[j]);
    k_value *taps = k_mul(b, sched_dim(e, sched_size(e, s->channels)), k_i64(b, s->ntaps));
    in.at = k_add(b, w->at, k_mul(b, k_var(f), k_i64(b, s->row_step)));
    in.weight = k_add(b, w->weight, k_mul(b, k_var(f), taps));
    add_taps(e, s, &in, sum);
    k_end(b, w->n, sum);
    memcpy(sum, f->out, sizeof(k_value *) * (size_t)w->n);
}

/* All channels of the window's columns. */
static void tile(emit *e, const stencil *s, window *w) {
    k_builder *b = &e->b;
    k_value *base = w->base, *sum[COLUMNS] = {0};
    if (w->column) base = k_add(b, base, k_mul(b, w->column, k_i64(b, column_step(e, s))));
    w->c = k_var(k_for(b, KL_VECTOR, s->lanes, k_i64(b, 0), sched_dim(e, sched_size(e, s->channels)), 1));
    w->at = s->shared ? base : k_add(b, base, w->c);
    e->var[s->channels] = w->c;
    for (int j = 0; j < w->n; j++) sum[j] = sched_value(e, k_memo_new(b->k), e->init[0]);
    w->weight = w->c;
    (s->row >= 0 ? add_rows : add_taps)(e, s, w, sum);
    for (int j = 0; j < w->n; j++) {
        set_column(e, s, w, j);
        e->param[0] = sum[j];
        sched_store_outs(e, k_memo_new(b->k));
    }
    k_end(b, 0, NULL);
}

/* Columns [lo, hi), whole tiles of n as far as they go; returns where it stopped. */
static k_value *columns(emit *e, const stencil *s, window w, k_value *lo, k_value *hi, int64_t n) {
    k_builder *b = &e->b;
    k_value *end = n == 1 ? hi : k_add(b, lo, k_mul(b, k_2(b, K_DIV, k_sub(b, hi, lo), k_i64(b, n)), k_i64(b, n)));
    w.n = (int)n;
    w.first = -1;
    w.column = k_var(k_for(b, KL_SERIAL, 0, lo, end, n));
    tile(e, s, &w);
    k_end(b, 0, NULL);
    return end;
}

/* All of a row of known size: tiles at known columns where taps are outside, and what is left over. */
static void known_row(emit *e, const stencil *s, window w, int64_t size) {
    k_builder *b = &e->b;
    int64_t lo, hi, n = tile_columns(s, size);
    safe_columns(s, size, &lo, &hi);
    for (int64_t at = 0; at < size;) {
        if (at >= lo && at + 2 * n <= hi) {
            columns(e, s, w, k_i64(b, at), k_i64(b, hi), n);
            at += (hi - at) / n * n;
            continue;
        }
        w.n = (int)at_most(n, size - at);
        w.first = at;
        w.column = k_i64(b, at);
        tile(e, s, &w);
        at += w.n;
    }
}

/* Rows without sides, in chunks that may run at once. */
static void chunk(emit *e, const stencil *s, window w, k_value *number) {
    k_builder *b = &e->b;
    D size = sched_size(e, s->columns);
    k_value *from = k_mul(b, number, k_i64(b, CHUNK)), *to = k_2(b, K_MIN, k_add(b, from, k_i64(b, CHUNK)), sched_dim(e, size));
    k_value *rest = columns(e, s, w, from, to, tile_columns(s, CHUNK));
    columns(e, s, w, rest, to, 1);
}

/* Sets the variables of loops [0, outer) from g; returns the image's address. */
static k_value *open_rows(emit *e, const stencil *s, int outer, k_value *g) {
    k_builder *b = &e->b;
    k_value *base = s->at.rest ? sched_value(e, k_memo_new(b->k), s->at.rest) : k_i64(b, 0);
    for (int l = outer - 1; l >= 0; l--) {
        k_value *n = sched_dim(e, sched_size(e, l));
        e->var[l] = l ? k_2(b, K_REM, g, n) : g;
        if (l) g = k_2(b, K_DIV, g, n);
        D step = nest_coef(&e->t, &s->at, l);
        if (step) base = k_add(b, base, k_mul(b, e->var[l], sched_dim(e, step)));
    }
    return base;
}

static void open_buffers(emit *e, const stencil *s, window *w) {
    if (s->weight < 0) return;
    rt_dtype image = e->f->operands.at[s->image]->type->dtype, weight = e->f->operands.at[s->weight]->type->dtype;
    w->image = e->in[s->image];
    if (s->copy.on) {
        sched_copy_kernel(e, s->image, &s->copy);
        w->image = sched_buffer(e, LB_SCRATCH, 0, image, sched_copy_elements(e, &s->copy), "padded");
    }
    w->weights = sched_buffer(e, LB_IN, s->win, weight, NULL, "weights");
}

void sched_stencil(emit *e, const stencil *s) {
    k_builder *b = &e->b;
    int outer = s->columns >= 0 ? s->columns : s->channels;
    int64_t size = 0;
    bool chunks = s->columns >= 0 && (s->across < 0 || !ir_dim_is_const(sched_size(e, s->columns), &size));
    D rows = sched_num(e, 1), work = ir_dim_mul(e->c, sched_size(e, s->channels), sched_num(e, s->rows * s->ntaps));
    k_value *ok[STENCIL_TAPS];
    window w = {.ok = ok, .n = 1, .first = -1};
    open_buffers(e, s, &w);
    for (int l = 0; l < outer; l++) rows = ir_dim_mul(e->c, rows, sched_size(e, l));
    D parts = chunks ? ir_dim_ceildiv(e->c, sched_size(e, s->columns), CHUNK) : sched_num(e, 1);
    e->launch->grid = ir_dim_mul(e->c, rows, parts);
    e->launch->cost = s->columns < 0 ? work : ir_dim_floordiv(e->c, ir_dim_mul(e->c, work, chunks ? sched_num(e, CHUNK) : sched_num(e, size)), sched_num(e, 8));
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, e->launch->grid), 1));
    k_value *part = chunks ? sched_split(e, &g, parts) : NULL;
    w.base = open_rows(e, s, outer, g);
    for (int i = 0; i < s->ntaps; i += s->per_row) ok[i / s->per_row] = row_inside(e, s, i);
    if (s->row >= 0) rows_inside(e, s, &w.lo, &w.hi);
    if (s->columns < 0) tile(e, s, &w);
    else if (chunks) chunk(e, s, w, part);
    else known_row(e, s, w, size);
    k_end(b, 0, NULL);
}
