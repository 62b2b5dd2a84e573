/* winograd.c: 3x3 and 5x5 convolutions of step 1 by Winograd's algorithms F(2x2, 3x3), F(4x4, 3x3) and F(2x2, 5x5) (Lavin and
 * Gray, "Fast algorithms for convolutional neural networks", 2016): a tile of (m + r - 1) x (m + r - 1) pixels and the window of
 * r x r are transformed, multiplied point by point (36 products of matrices [tiles, IC] x [IC, OC], or 16 for m = 2, r = 3)
 * and transformed back to m x m results: 36 multiplications instead of 144 (r = 5: of 100), or 16 instead of 36.  A window of
 * several planes (three dims) is one of as many times the channels: the points of its planes stand side by side.
 *
 * The pass marks the convolutions that it suits, by conv_cost.h (`--skip winograd` leaves it out: results differ from the
 * direct sum by about twice its own error).  A marked kernel becomes: transform of the image, products on register tiles,
 * transform back with the epilogue.  The weights are transformed when a module is loaded (ir_prepared), since they grow by
 * four. */
#include "lower/conv_cost.h"
#include "lower/emit.h"

enum { MAX_TILE = 4, MAX_WINDOW = 5, MAX_POINTS = 6, MAX_ALL = MAX_POINTS * MAX_POINTS, LANES = TILE_N };
enum { GROUP = 16 /* tiles of rows that share a panel */, ITEM_FLOPS = 1 << 20, BLOCK_BYTES = 1 << 20, MAX_BLOCKS = 16, PATCH = 15 << 10 /* elements of a tile at the edge */ };

typedef const ir_dim *D;

/* m: results of a tile in each direction, r: taps of the window; matrices row by row, for n = m + r - 1 points: image [n][n],
 * window [n][r], result [m][n]. */
struct winograd_form { const char *name; int m, r; const double *image, *window, *result; };

/* Interpolation at 0, 3/4, -3/4, 3/2, -3/2 and infinity: about as exact as the direct sum, where the customary 0, 1, -1, 2, -2
 * loses two bits more (measured on random images; Barabasz et al., "Error analysis and improving the accuracy of Winograd
 * convolution for deep neural networks", 2020).  Rows are scaled so that the matrices of image and result are exact. */
static const double image4[6 * 6] = {
    81. / 64, 0, -45. / 16, 0, 1, 0,        0, 27. / 16, 9. / 4, -3. / 4, -1, 0,  0, -27. / 16, 9. / 4, 3. / 4, -1, 0,
    0, -27. / 32, -9. / 16, 3. / 2, 1, 0,   0, 27. / 32, -9. / 16, -3. / 2, 1, 0, 0, 81. / 64, 0, -45. / 16, 0, 1};
static const double window4[6 * 3] = {64. / 81, 0, 0,
                                      128. / 243, 128. / 243 * 3 / 4, 128. / 243 * 9 / 16,
                                      128. / 243, -128. / 243 * 3 / 4, 128. / 243 * 9 / 16,
                                      32. / 243, 32. / 243 * 3 / 2, 32. / 243 * 9 / 4,
                                      32. / 243, -32. / 243 * 3 / 2, 32. / 243 * 9 / 4,
                                      0, 0, 1};
static const double result4[4 * 6] = {1, 1, 1, 1, 1, 0,
                                      0, 3. / 4, -3. / 4, 3. / 2, -3. / 2, 0,
                                      0, 9. / 16, 9. / 16, 9. / 4, 9. / 4, 0,
                                      0, 27. / 64, -27. / 64, 27. / 8, -27. / 8, 1};
/* At the same points: the same matrix for the image. */
static const double window5[6 * 5] = {64. / 81, 0, 0, 0, 0,
                                      128. / 243, 128. / 243 * 3 / 4, 128. / 243 * 9 / 16, 128. / 243 * 27 / 64, 128. / 243 * 81 / 256,
                                      128. / 243, -128. / 243 * 3 / 4, 128. / 243 * 9 / 16, -128. / 243 * 27 / 64, 128. / 243 * 81 / 256,
                                      32. / 243, 32. / 243 * 3 / 2, 32. / 243 * 9 / 4, 32. / 243 * 27 / 8, 32. / 243 * 81 / 16,
                                      32. / 243, -32. / 243 * 3 / 2, 32. / 243 * 9 / 4, -32. / 243 * 27 / 8, 32. / 243 * 81 / 16,
                                      0, 0, 0, 0, 1};
static const double result5[2 * 6] = {1, 1, 1, 1, 1, 0,
                                      0, 3. / 4, -3. / 4, 3. / 2, -3. / 2, 1};
/* At 0, 1, -1 and infinity. */
static const double image2[4 * 4] = {1, 0, -1, 0, 0, 1, 1, 0, 0, -1, 1, 0, 0, -1, 0, 1};
static const double window2[4 * 3] = {1, 0, 0, .5, .5, .5, .5, -.5, .5, 0, 0, 1};
static const double result2[2 * 4] = {1, 1, 1, 0, 0, 1, -1, 1};

static const winograd_form forms[] = {{"winograd", 4, 3, image4, window4, result4},
                                       {"winograd2", 2, 3, image2, window2, result2},
                                       {"winograd5", 2, 5, image4, window5, result5}};

/* ---- does it suit */

static bool is_index(const ir_expr *x, int v) { return x->op == X_INDEX && x->i == v; }

/* x == i + constant: of a part of the channels. */
static bool is_part(const ir_expr *x, int i) {
    return is_index(x, i) || (x->op == K_ADD && x->args[1]->op == X_CONST && is_index(x->args[0], i)) ||
           (x->op == K_ADD && x->args[0]->op == X_CONST && is_index(x->args[1], i));
}

/* x == i + r + constant, in any order of the sums. */
static bool slides(const ir_expr *x, int i, int r) {
    if (x->op == K_SUB || x->op == K_ADD) {
        if (x->args[1]->op == X_CONST) return slides(x->args[0], i, r);
        return x->op == K_ADD && ((is_index(x->args[0], i) && is_index(x->args[1], r)) ||
                                  (is_index(x->args[0], r) && is_index(x->args[1], i)));
    }
    return false;
}

/* Is it [n, oc, h, w] = sum over ic, i, j of x[n, ic, h + i - p, w + j - p] * w[oc, ic, i, j], of known sizes but n,
 * and known channels?  With three dims the sum is over planes of the window as well. */
static bool suits(const emit *e, sched_factor *image, sched_factor *weight) {
    const comp *k = e->f->k;
    int rank = k->ndims, h = rank - 2;
    if (!k->contract || (rank != 4 && rank != 5) || k->nrdims != rank - 1 || k->checks.n || k->state_dtype[0] != DT_F32 ||
        k->elem[0]->op != K_MUL)
        return false;
    if (!sched_factor_of(e, k->elem[0]->args[0], image) || !sched_factor_of(e, k->elem[0]->args[1], weight))
        return false;
    const ir_expr *x = image->load, *w = weight->load;
    if (x->n != rank || w->n != rank || x->dtype != DT_F32 || w->dtype != DT_F32 || weight->guarded || image->apart) return false;
    if (!is_index(w->args[0], 1) || !is_part(x->args[1], rank)) return false;
    for (int d = 1; d < rank; d++)
        if (!is_index(w->args[d], rank + d - 1) || (d > 1 && !slides(x->args[d], d, rank + d - 1))) return false;
    const ir_type *planes = e->f->operands.at[x->i]->type;
    if (rank == 5 && !(ir_dim_is_const(k->rdims[1], NULL) && ir_dim_is_const(planes->dims[2], NULL) && ir_dim_is_const(k->dims[2], NULL))) return false;
    if (!(is_index(x->args[0], 0) || ir_dim_is(k->dims[0], 1)) || k->rdims[h - 1] != k->rdims[h]) return false;
    bool known = ir_dim_is_const(k->dims[h], NULL) && ir_dim_is_const(k->dims[h + 1], NULL) && ir_dim_is_const(k->rdims[0], NULL);
    return known && ir_dim_is_const(k->dims[1], NULL) && x->i != w->i && ir_is_param(e->f->operands.at[w->i]) && !sched_used_elsewhere(e, w->i);
}

/* Planes of windows inside of the image, which the direct sum leaves out where they are not (tile.c); *all: of any. */
static int64_t planes_inside(const comp *k, const sched_factor *image, int64_t *all) {
    int64_t planes, taps, depth, in = 0;
    sched_line l;
    *all = 1;
    if (k->ndims < 5 || !sched_line_of(image->load->args[2], &l)) return 1;
    ir_dim_is_const(k->dims[2], &planes);
    ir_dim_is_const(k->rdims[1], &taps);
    ir_dim_is_const(image->part.size[2], &depth);
    *all = planes * taps;
    for (int64_t i = 0; i < *all; i++) {
        int64_t at = i / taps + i % taps + l.c - image->part.from[2];
        in += at >= 0 && at < depth;
    }
    return in;
}

static int64_t whole_panels(int64_t channels) { return (channels + LANES - 1) / LANES * LANES; }

/* The cheapest way by the table; NULL: the direct sum. */
static const winograd_form *cheapest(const emit *e, const sched_factor *image) {
    const comp *k = e->f->k;
    conv_shape s = {.n = 1};
    ir_dim_is_const(k->dims[0], &s.n);
    ir_dim_is_const(k->dims[1], &s.oc);
    ir_dim_is_const(k->rdims[0], &s.ic);
    ir_dim_is_const(k->dims[k->ndims - 2], &s.h);
    ir_dim_is_const(k->dims[k->ndims - 1], &s.w);
    int64_t planes = 1, all, in = planes_inside(k, image, &all);
    if (k->ndims > 4) ir_dim_is_const(k->dims[2], &planes);
    conv_shape direct = s;
    direct.n = s.n * in;
    s.n *= planes;
    s.ic *= all / planes;
    const winograd_form *best = NULL;
    double least = 0, cost;
    s.oc = whole_panels(s.oc);
    for (size_t i = 0; i < RT_COUNT(forms); i++) {
        int r = forms[i].r;
        if (!ir_dim_is(k->rdims[k->nrdims - 1], r)) continue;
        if (!best) least = conv_cost(&conv_costs_measured, &direct, 0, r);
        if ((cost = conv_cost(&conv_costs_measured, &s, forms[i].m, r)) >= least) continue;
        best = &forms[i];
        least = cost;
    }
    return best;
}

static bool is_kernel(const ir_node *n) { return n->op->cls == OP_STRUCT && n->op->id == S_KERNEL; }

static int mark(ir_module *m, ir_node *kernel) {
    fused f;
    sched_factor image, weight;
    if (kernel->out[0]->type->rank < 4 || kernel->blocks[0]->results.n != 1) return 0;
    if (!lower_fused(m, kernel, &f) || f.k->ndims != kernel->out[0]->type->rank || lower_comp_kind(f.k) != CK_CONTRACT) return 0;
    emit e = {.c = m->c, .f = &f, .m = m, .kernel = kernel};
    nest_build(m->c, &f, kernel->out[0], &e.t);
    const winograd_form *form = suits(&e, &image, &weight) ? cheapest(&e, &image) : NULL;
    if (!form) return 0;
    kernel->sym = form->name;
    return 1;
}

static int mark_block(ir_module *m, ir_block *b) {
    int n = 0;
    for (ir_node *x = b->first; x; x = x->next) {
        if (is_kernel(x)) n += mark(m, x);
        else
            for (int i = 0; i < x->nblocks; i++) n += mark_block(m, x->blocks[i]);
    }
    return n;
}

int lower_winograd(ir_module *m) {
    int n = 0;
    for (int i = 0; i < m->funcs.n; i++) n += mark_block(m, ((ir_func *)m->funcs.entries[i].value)->body);
    return n;
}

/* Are the channels of a pixel neighbours in memory, and is image 0 the first one? */
static bool reads_in_place(emit *e, const ir_value *image, const tile_copy *c) {
    D stride[RT_MAX_RANK];
    nest_strides(e->c, image->type->rank, image->type->dims, image->layout, stride);
    return ir_dim_is(stride[1], 1) && !c->shift[0];
}

/* As many tiles at a time as leave the points of image and result in the second cache, while reading the weights again
 * for each block costs less memory traffic than that saves. */
static void choose_blocks(emit *e, winograd *w) {
    int64_t tiles = 0, ic = 0, oc = 0, m = w->form->m + w->form->r - 1;
    for (int i = 0; i < e->f->operands.n; i++)
        if (e->f->operands.at[i]->type->kind != T_TENSOR) return; /* scalars are for the main kernel */
    ir_dim_is_const(w->tiles, &tiles);
    ir_dim_is_const(w->ic, &ic);
    ir_dim_is_const(w->oc, &oc);
    int64_t bytes = m * m * tiles * (ic + oc) * 4, blocks = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    if (blocks > bytes / (m * m * ic * oc * 4)) blocks = bytes / (m * m * ic * oc * 4);
    if (blocks > MAX_BLOCKS) blocks = MAX_BLOCKS;
    if (blocks < 2) return;
    int64_t slots = (tiles + blocks - 1) / blocks;
    w->slots = sched_num(e, slots);
    w->blocks = (int)((tiles + slots - 1) / slots);
}

bool sched_winograd_plan(emit *e, winograd *w) {
    sched_factor image, weight;
    const comp *k = e->f->k;
    *w = (winograd){.ic = k->rdims[0], .planes = 1};
    int64_t oc = 0;
    for (size_t i = 0; i < RT_COUNT(forms) && e->kernel->sym; i++)
        if (!strcmp(e->kernel->sym, forms[i].name)) w->form = &forms[i];
    if (!w->form || !suits(e, &image, &weight) || !sched_copy_plan(e, &image, true, -1, &w->copy, &w->at))
        return false;
    w->image = image.load->i;
    w->weight = weight.load->i;
    w->direct = reads_in_place(e, e->f->operands.at[w->image], &w->copy);
    ir_dim_is_const(k->dims[1], &oc);
    w->oc = sched_num(e, whole_panels(oc));
    int m = w->form->m;
    w->height = k->ndims - 2;
    w->th = ir_dim_ceildiv(e->c, k->dims[w->height], m);
    w->tw = ir_dim_ceildiv(e->c, k->dims[w->height + 1], m);
    w->tiles = ir_dim_mul(e->c, k->dims[0], ir_dim_mul(e->c, w->th, w->tw));
    if (w->height > 2) {
        ir_dim_is_const(k->rdims[1], &w->planes);
        w->ic = ir_dim_mul(e->c, w->ic, k->rdims[1]);
        w->tiles = ir_dim_mul(e->c, w->tiles, k->dims[2]);
    }
    w->slots = w->tiles;
    w->blocks = 1;
    if (ir_dim_is_const(w->tiles, NULL)) choose_blocks(e, w);
    else w->slots = ir_dim_mul(e->c, ir_dim_ceildiv(e->c, w->tiles, sched_tile_rows(e)), sched_num(e, sched_tile_rows(e)));
    D more = sched_num(e, w->form->r - 1);
    w->copy.size[w->height] = ir_dim_add(e->c, ir_dim_mul(e->c, w->th, sched_num(e, m)), more); /* whole tiles: zeros behind the image */
    w->copy.size[w->height + 1] = ir_dim_add(e->c, ir_dim_mul(e->c, w->tw, sched_num(e, m)), more);
    e->unused[w->weight] = true;
    e->unused[w->image] = !sched_used_elsewhere(e, w->image);
    e->t.pinned = UINT32_MAX; /* one loop for each variable */
    nest_merge(&e->t, NULL, 0);
    return true;
}

/* ---- transforms */

static k_value *scaled_add(k_builder *b, k_value *sum, double by, k_value *x) {
    if (!by) return sum;
    k_value *t = by == 1 ? x : by == -1 && sum ? x : sum ? NULL : k_2(b, K_MUL, x, k_float(b, DT_F32, by));
    if (!sum) return t;
    if (by == 1) return k_add(b, sum, x);
    if (by == -1) return k_sub(b, sum, x);
    return k_3(b, K_FMA, x, k_float(b, DT_F32, by), sum);
}

/* Do two lines of n coefficients differ in the signs of some, and in nothing else? */
static bool mirrored(const double *a, const double *b, int n, int step) {
    bool same = false, opposite = false;
    for (int i = 0; i < n * step; i += step) {
        if (a[i] != b[i] && a[i] != -b[i]) return false;
        same = same || (a[i] && a[i] == b[i]);
        opposite = opposite || a[i] != b[i];
    }
    return same && opposite;
}

/* One line of a matrix, m[0..n), times x; which: 1 (-1): only where other[] has the same (the opposite) sign, 0: all.
 */
static k_value *row_sum(k_builder *b, int n, const double *m, const double *other, int which, k_value **x) {
    k_value *sum = NULL;
    for (int p = 0; p < n; p++)
        if (!which || m[p] == which * other[p]) sum = scaled_add(b, sum, m[p], x[p]);
    return sum;
}

/* out[i * os] = sum over p of m[i][p] * in[p * is].  Points come as x, -x: sums of even and odd powers are shared. */
static void line(k_builder *b, int rows, int n, const double *m, k_value **in, int is, k_value **out, int os) {
    k_value *x[MAX_POINTS];
    double own[MAX_POINTS * MAX_POINTS];
    memcpy(own, m, (size_t)(rows * n) * sizeof *m);
    for (int p = 0; p < n; p++) x[p] = in[p * is];
    for (int p = 1; p + 1 < n; p += 2) {
        if (!mirrored(m + p, m + p + 1, rows, n)) continue;
        x[p] = k_add(b, in[p * is], in[(p + 1) * is]);
        x[p + 1] = k_sub(b, in[(p + 1) * is], in[p * is]);
        for (int i = 0; i < rows; i++) own[i * n + p + (m[i * n + p] == m[i * n + p + 1])] = 0;
    }
    for (int i = 0; i < rows; i++) {
        const double *a = own + i * n, *next = a + n;
        if (i % 2 && i + 1 < rows && mirrored(a, next, n, 1)) {
            k_value *even = row_sum(b, n, a, next, 1, x), *odd = row_sum(b, n, a, next, -1, x);
            out[i++ * os] = k_add(b, even, odd);
            out[i * os] = k_sub(b, even, odd);
        } else {
            out[i * os] = row_sum(b, n, a, NULL, 0, x);
        }
    }
}

/* out[i][j] = sum over p, q of m[i][p] * in[p][q] * m[j][q]; m is rows x n. */
static void transform(k_builder *b, int rows, int n, const double *m, k_value **in, k_value **out) {
    k_value *half[MAX_ALL];
    for (int q = 0; q < n; q++) line(b, rows, n, m, in + q, n, half + q, n);
    for (int i = 0; i < rows; i++) line(b, rows, n, m, half + i * n, 1, out + i * rows, 1);
}

static int points(const winograd *w) { return w->form->m + w->form->r - 1; }
static int all_points(const winograd *w) { return points(w) * points(w); }

/* ---- weights */

/* Grid over panels of LANES output channels and input channels: U[point][panel][ic][LANES] from
 * w[panel][ic][r][r][LANES]. A point begins LANES elements behind the end of the one before: at a power of two apart,
 * all would meet in one set of the cache. */
static k_kernel *window_kernel(emit *e, const winograd *w, int64_t rows) {
    int n = points(w), r = w->form->r, taps = r * r;
    const char *name = ir_fmt(e->c, "%s_windows_%lld", w->form->name, (long long)rows);
    k_kernel *k = rt_map_get(e->shared, name);
    if (k) return k;
    k = k_kernel_new(e->c, name);
    k_buffer *in = k_arg(k, DT_F32, "in"), *out = k_arg(k, DT_F32, "out");
    k_builder b = k_build(k);
    k_value *g = k_var(k_for(&b, KL_GRID, 0, k_i64(&b, 0), k_i64(&b, rows), 1));
    k_value *j = k_var(k_for(&b, KL_VECTOR, 0, k_i64(&b, 0), k_i64(&b, LANES), 1)), *x[MAX_WINDOW * MAX_WINDOW], *u[MAX_ALL], *half[MAX_ALL];
    k_value *from = k_muladd_const(&b, g, taps * LANES, j), *to = k_muladd_const(&b, g, LANES, j);
    for (int i = 0; i < taps; i++) x[i] = k_load(&b, in, k_add(&b, from, k_i64(&b, i * LANES)));
    for (int q = 0; q < r; q++) line(&b, n, r, w->form->window, x + q, r, half + q, r);
    for (int i = 0; i < n; i++) line(&b, n, r, w->form->window, half + i * r, 1, u + i * n, 1);
    for (int i = 0; i < n * n; i++) k_store(&b, out, k_add(&b, to, k_i64(&b, i * (rows + 1) * LANES)), u[i]);
    k_end(&b, 0, NULL);
    k_end(&b, 0, NULL);
    rt_map_put(&e->c->arena, e->shared, name, k);
    return k;
}

/* Weights [oc][ic][planes][r][r] as [panel][planes][ic][r][r][LANES], zeros where there is
 * no channel, a tensor of the module that the transform reads at load. */
static const char *packed_weights(emit *e, const winograd *w, int64_t ic, int64_t oc) {
    const char *name = ir_fmt(e->c, "windows(%s)", e->f->operands.at[w->weight]->def->sym);
    int64_t taps = w->form->r * w->form->r, planes = w->planes, each = ic / planes;
    if (rt_map_get(&e->m->tensors, name)) return ir_intern(e->c, name);
    rt_tensor *from = sched_param_data(e, w->weight),
              *to = rt_tensor_new(DT_F32, 4, (int64_t[]){oc / LANES, ic, taps, LANES});
    if (from && to) {
        const float *x = (const float *)from->storage->data + from->offset;
        float *y = memset(to->storage->data, 0, to->storage->bytes);
        for (int64_t o = 0; o < from->shape[0]; o++)
            for (int64_t i = 0; i < ic * taps; i++) {
                int64_t channel = i / taps % each, plane = i / taps / each;
                y[(o / LANES * ic * taps + i) * LANES + o % LANES] = x[((o * each + channel) * planes + plane) * taps + i % taps];
            }
    }
    rt_tensor_release(from);
    ir_tensor_data *d = RT_NEW(&e->c->arena, ir_tensor_data);
    *d = (ir_tensor_data){.name = ir_intern(e->c, name), .tensor = to};
    if (to) rt_map_put(&e->c->arena, &e->m->tensors, d->name, d);
    return to ? d->name : NULL;
}

/* The transformed weights, as an input of the node; kernels of the same weights share them. */
static int prepared_weights(emit *e, const winograd *w) {
    int64_t ic = 0, oc = 0;
    ir_dim_is_const(w->ic, &ic);
    ir_dim_is_const(w->oc, &oc);
    int all = all_points(w);
    int64_t rows = oc / LANES * ic;
    const char *name = ir_fmt(e->c, "%s(%s)", w->form->name, e->f->operands.at[w->weight]->def->sym);
    D dims[3] = {sched_num(e, all), sched_num(e, rows + 1), sched_num(e, LANES)};
    ir_tensor_data *d = rt_map_get(&e->m->tensors, name);
    if (!d) {
        d = RT_NEW(&e->c->arena, ir_tensor_data);
        ir_prepared *p = RT_NEW(&e->c->arena, ir_prepared);
        *p = (ir_prepared){packed_weights(e, w, ic, oc), window_kernel(e, w, rows), rows, all * (rows + 1) * LANES * 4};
        *d = (ir_tensor_data){
            .name = ir_intern(e->c, name), .type = ir_type_tensor(e->c, DT_F32, 3, dims), .prepared = p};
        if (p->from) rt_map_put(&e->c->arena, &e->m->tensors, d->name, d);
    }
    ir_node *n = ir_node_new(e->kernel->block->func, ir_struct(e->c, S_PARAM), e->kernel->span, 0, NULL, 1, &d->type);
    n->sym = d->name;
    ir_insert_before(e->kernel, n);
    int at = sched_input(e->kernel, e->f->operands.at[w->weight]);
    ir_set_input(e->kernel, at, n->out[0]);
    return at;
}

/* ---- scratch: V[point][slot][ic] and P[point][slot][oc]; slots are the tiles, the last one repeated up to whole rows
 * of tiles where their number is not known.  Points are LANES elements further apart than they need (see
 * window_kernel). */

enum { S_IMAGE, S_PRODUCT }; /* scratch buffers: counted behind the copy */

static D point_step(emit *e, const winograd *w, D channels) {
    return ir_dim_add(e->c, ir_dim_mul(e->c, w->slots, channels), sched_num(e, LANES));
}

static k_buffer *point_buffer(emit *e, const winograd *w, int scratch) {
    D step = point_step(e, w, scratch == S_IMAGE ? w->ic : w->oc);
    return sched_buffer(e, LB_SCRATCH, scratch + !w->direct, DT_F32,
                        ir_dim_mul(e->c, sched_num(e, all_points(w)), step),
                        scratch == S_IMAGE ? "points" : "products");
}

/* ---- the image */

/* One tile: point p of channel c at out[p * step + c], from pixel (r, s) at in[r * rows + s * pixels + c].  What is
 * known is part of the code: that leaves few addresses to compute. */
static k_kernel *image_tile(emit *e, const winograd *w, int64_t channels, int64_t pixels) {
    int n = points(w);
    int64_t known = 0;
    ir_dim_is_const(point_step(e, w, w->ic), &known);
    const char *name = ir_fmt(e->c, "%s_image_%lldx%lld_%lld", w->form->name, (long long)channels, (long long)pixels,
                              (long long)known);
    k_kernel *k = rt_map_get(e->shared, name);
    if (k) return k;
    k = k_kernel_new(e->c, name);
    k_buffer *in = k_arg(k, DT_F32, "in"), *out = k_arg(k, DT_F32, "out");
    k_value *rows = k_scalar(k, DT_I64, "rows"), *step = k_scalar(k, DT_I64, "step");
    k_builder b = k_build(k);
    if (known) step = k_i64(&b, known);
    k_value *row[MAX_POINTS], *to[MAX_ALL], *pixel[MAX_ALL], *point[MAX_ALL];
    for (int i = 0; i < n; i++) row[i] = k_mul(&b, rows, k_i64(&b, i));
    for (int i = 0; i < n * n; i++) to[i] = k_mul(&b, step, k_i64(&b, i));
    k_value *c = k_var(k_for(&b, KL_VECTOR, 0, k_i64(&b, 0), k_i64(&b, channels), 1));
    for (int i = 0; i < n * n; i++)
        pixel[i] = k_load(&b, in, k_add(&b, k_add(&b, row[i / n], c), k_i64(&b, i % n * pixels)));
    transform(&b, n, n, w->form->image, pixel, point);
    for (int i = 0; i < n * n; i++) k_store(&b, out, k_add(&b, c, to[i]), point[i]);
    k_end(&b, 0, NULL);
    rt_map_put(&e->c->arena, e->shared, name, k);
    return k;
}

static k_value *within(k_builder *b, k_value *lo, int64_t n, k_value *size) {
    return k_2(b, K_AND, k_2(b, K_GE, lo, k_i64(b, 0)), k_2(b, K_LE, k_add(b, lo, k_i64(b, n)), size));
}

/* The image as the transform reads it: where pixel (0, 0) of a tile lies, and what is outside. */
typedef struct source {
    k_buffer *in;
    k_value *plane, *y, *x, *row, *pixel, *height, *width, *inside; /* inside: the plane is; NULL: surely */
} source;

static k_value *address(k_builder *b, const source *s, k_value *y, k_value *x) {
    return k_add(b, s->plane, k_add(b, k_mul(b, y, s->row), k_mul(b, x, s->pixel)));
}

/* A tile that reaches over the edge: its pixels, zero where there are none, as many channels at a time as fit; the last
 * ones may overlap those before. */
static void edge_tile(emit *x, const winograd *w, int64_t channels, const source *s, k_buffer *out, k_value *to,
                      k_value *step) {
    k_builder *b = &x->b;
    int n = points(w);
    int64_t times = (channels + PATCH / (n * n) - 1) / (PATCH / (n * n)),
            part = ((channels + times - 1) / times + 7) / 8 * 8;
    if (times == 1) part = channels;
    k_buffer *patch = k_scratch(b->k, KS_LOCAL, DT_F32, n * n * part, "patch");
    k_value *width = k_i64(b, part), *row = k_i64(b, n * part);
    k_value *i = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, times), 1)),
            *first = k_2(b, K_MIN, k_mul(b, i, width), k_i64(b, channels - part));
    k_value *r = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, n), 1)),
            *c = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, n), 1));
    k_value *py = k_add(b, s->y, r), *px = k_add(b, s->x, c), *at = k_add(b, k_mul(b, r, row), k_mul(b, c, width)),
            *from = k_add(b, address(b, s, py, px), first);
    k_if(b, k_2(b, K_AND, within(b, py, 1, s->height), within(b, px, 1, s->width)));
    k_value *j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), width, 1));
    k_store(b, patch, k_add(b, at, j), k_load(b, s->in, k_add(b, from, j)));
    k_end(b, 0, NULL);
    k_else(b, 0, NULL);
    j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), width, 1));
    k_store(b, patch, k_add(b, at, j), k_float(b, DT_F32, 0));
    for (int ends = 0; ends < 4; ends++) k_end(b, 0, NULL);
    k_call(b, image_tile(x, w, part, part), (k_buffer *[]){patch, out}, (k_value *[]){k_i64(b, 0), k_add(b, to, first)},
           (k_value *[]){row, step});
    k_end(b, 0, NULL);
}

/* n: number of the result's plane; tap: plane of the window */
static source source_of(emit *x, const winograd *w, k_value *n, k_value *tap, k_value *ty, k_value *tx) {
    k_builder *b = &x->b;
    const tile_copy *c = &w->copy;
    const ir_value *v = x->f->operands.at[w->image];
    k_value *m = k_i64(b, w->form->m);
    D stride[RT_MAX_RANK];
    ir_layout order;
    memcpy(order.order, c->order, sizeof order.order);
    const D *size = w->direct ? c->of.size : c->size;
    int h = w->height;
    nest_strides(x->c, v->type->rank, w->direct ? v->type->dims : c->size, w->direct ? v->layout : &order, stride);
    source s = {.y = k_add(b, k_mul(b, ty, m), k_i64(b, w->direct ? c->shift[h] : 0)),
                .x = k_add(b, k_mul(b, tx, m), k_i64(b, w->direct ? c->shift[h + 1] : 0))};
    s.in = w->direct ? sched_buffer(x, LB_IN, sched_input(x->kernel, x->f->operands.at[w->image]), DT_F32, NULL, "in")
                     : sched_buffer(x, LB_SCRATCH, 0, DT_F32, sched_copy_elements(x, c), "padded");
    if (h > 2) {
        k_value *z = k_add(b, k_add(b, sched_split(x, &n, x->f->k->dims[2]), tap), k_i64(b, w->direct ? c->shift[2] : 0));
        s.plane = k_mul(b, z, sched_dim(x, stride[2]));
        if (w->direct && (c->shift[2] || c->size[2] != size[2])) s.inside = within(b, z, 1, sched_dim(x, size[2]));
    }
    s.plane = k_add(b, k_mul(b, n, sched_dim(x, stride[0])), s.plane ? s.plane : k_i64(b, 0));
    if (w->direct) s.plane = k_add(b, s.plane, k_add(b, sched_dim(x, c->of.base), k_i64(b, c->shift[1])));
    s.row = sched_dim(x, stride[h]);
    s.pixel = sched_dim(x, stride[h + 1]);
    s.height = sched_dim(x, size[h]);
    s.width = sched_dim(x, size[h + 1]);
    return s;
}

/* A number as a scalar of the kernel: blocks share its code. */
static k_value *block_scalar(emit *e, D x) {
    lower_scalar s = {x, -1, DT_I64};
    RT_PUSH(&e->c->arena, &e->launch->scalars, s);
    return k_scalar(e->b.k, DT_I64, "block");
}

static D first_tile(emit *e, const winograd *w, int block) { return ir_dim_mul(e->c, sched_num(e, block), w->slots); }

static void no_tile(k_builder *b, const winograd *w, int64_t channels, k_buffer *out, k_value *to, k_value *step) {
    k_value *p = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, all_points(w)), 1));
    k_value *c = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, channels), 1));
    k_store(b, out, k_add(b, k_add(b, to, k_mul(b, p, step)), c), k_float(b, DT_F32, 0));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* Grid over slots. */
static void image_kernel(emit *e, const winograd *w, int block) {
    emit x = sched_before(e, "image");
    k_builder *b = &x.b;
    x.launch->grid = w->slots;
    x.launch->cost = ir_dim_mul(e->c, w->ic, sched_num(e, all_points(w)));
    k_value *before = w->blocks > 1 ? block_scalar(&x, first_tile(e, w, block)) : k_i64(b, 0);
    k_value *slot = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(&x, w->slots), 1)), *g = k_add(b, before, slot);
    if (w->slots != w->tiles) g = k_2(b, K_MIN, g, k_sub(b, sched_dim(&x, w->tiles), k_i64(b, 1)));
    k_value *tx = sched_split(&x, &g, w->tw), *ty = sched_split(&x, &g, w->th), *channels = sched_dim(&x, w->ic);
    k_value *tap = w->planes > 1 ? k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), k_i64(b, w->planes), 1)) : k_i64(b, 0);
    source s = source_of(&x, w, g, tap, ty, tx);
    k_buffer *out = point_buffer(&x, w, S_IMAGE);
    int64_t ic = 0, pixels = s.pixel->i;
    ir_dim_is_const(w->ic, &ic);
    ic /= w->planes;
    k_value *to = k_add(b, k_mul(b, slot, channels), k_mul(b, tap, k_i64(b, ic))), *step = sched_dim(&x, point_step(&x, w, w->ic));
    if (s.inside) k_if(b, s.inside);
    if (w->direct) k_if(b, k_2(b, K_AND, within(b, s.y, points(w), s.height), within(b, s.x, points(w), s.width)));
    k_call(b, image_tile(&x, w, ic, pixels), (k_buffer *[]){s.in, out}, (k_value *[]){address(b, &s, s.y, s.x), to},
           (k_value *[]){s.row, step});
    if (w->direct) {
        k_else(b, 0, NULL);
        edge_tile(&x, w, ic, &s, out, to, step);
        k_end(b, 0, NULL);
    }
    if (s.inside) {
        k_else(b, 0, NULL);
        no_tile(b, w, ic, out, to, step);
        k_end(b, 0, NULL);
    }
    if (w->planes > 1) k_end(b, 0, NULL);
    k_end(b, 0, NULL);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

/* ---- products */

/* out[i * to + j] = sum over k of A[i * row + k] * B[k * LANES + j]: a register tile, which asks for `fetch` elements
 * of B from `ahead` on per step of k. */
static k_kernel *product_tile(emit *e, int rows, int fetch) {
    const char *name = ir_fmt(e->c, "winograd_tile_%dx%d_%d", rows, LANES, fetch);
    k_kernel *k = rt_map_get(e->shared, name);
    if (k) return k;
    k = k_kernel_new(e->c, name);
    k_buffer *out = k_arg(k, DT_F32, "out"), *A = k_arg(k, DT_F32, "A"), *B = k_arg(k, DT_F32, "B");
    k_value *K = k_scalar(k, DT_I64, "K"), *row = k_scalar(k, DT_I64, "row"), *to = k_scalar(k, DT_I64, "to"),
            *ahead = k_scalar(k, DT_I64, "ahead");
    k_buffer *tile = k_scratch(k, KS_REGISTER, DT_F32, rows * LANES, "tile");
    k_builder b = k_build(k);
    for (int pass = 0; pass < 2; pass++) {
        k_value *i = k_var(k_for(&b, KL_UNROLL, 0, k_i64(&b, 0), k_i64(&b, rows), 1)),
                *j = k_var(k_for(&b, KL_VECTOR, 0, k_i64(&b, 0), k_i64(&b, LANES), 1));
        k_value *at = k_muladd_const(&b, i, LANES, j), *zero = k_i64(&b, 0);
        if (pass) k_store(&b, out, k_add(&b, k_mul(&b, i, to), j), k_load(&b, tile, at));
        else k_store(&b, tile, at, k_float(&b, DT_F32, 0));
        k_end(&b, 0, NULL);
        k_end(&b, 0, NULL);
        if (pass) continue;
        k_inst *sum = k_contract_tile(&b, tile, rows, LANES, K, A, 1, &zero, row, k_i64(&b, 1), B, zero,
                                      k_i64(&b, LANES), NULL, 1);
        k_contract_fetch(&b, sum, ahead, fetch);
    }
    rt_map_put(&e->c->arena, e->shared, name, k);
    return k;
}

/* Slots in tiles of rows: `big` of height q + 1, then those of height q. */
typedef struct split {
    int64_t count, q, big;
} split;

static split split_rows(const emit *e, const winograd *w) {
    int64_t n, count;
    if (!ir_dim_is_const(w->slots, &n)) return (split){0, sched_tile_rows(e), 0};
    count = (n + sched_tile_rows(e) - 1) / sched_tile_rows(e);
    return (split){count, n / count, n % count};
}

/* P[point][slot][oc] = V[point][slot][ic] * U[point][ic][oc].  An item: a group of tiles of rows of one point, and some
 * panels; panels outside, so that one stays in the cache for the whole group. */
static void product_kernel(emit *e, const winograd *w, int weights) {
    emit x = sched_before(e, "product");
    k_builder *b = &x.b;
    split h = split_rows(e, w);
    int64_t ic = 0, oc = 0, m = h.count && h.count < GROUP ? h.count : GROUP;
    ir_dim_is_const(w->ic, &ic);
    ir_dim_is_const(w->oc, &oc);
    int64_t npanels = oc / LANES, per = ITEM_FLOPS / (2 * m * sched_tile_rows(e) * LANES * ic) + 1,
            pgroups = (npanels + per - 1) / per;
    D ntiles = ir_dim_ceildiv(e->c, w->slots, sched_tile_rows(e)), groups = ir_dim_ceildiv(e->c, ntiles, GROUP);
    x.launch->grid = ir_dim_mul(e->c, groups, sched_num(e, pgroups * all_points(w)));
    x.launch->cost = sched_num(e, m * sched_tile_rows(e) * LANES * ic / 8 * per + 1);
    k_buffer *V = point_buffer(&x, w, S_IMAGE), *U = sched_buffer(&x, LB_IN, weights, DT_F32, NULL, "weights"),
             *P = point_buffer(&x, w, S_PRODUCT);
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(&x, x.launch->grid), 1));
    k_value *plo = k_mul(b, sched_split(&x, &g, sched_num(e, pgroups)), k_i64(b, per)),
            *phi = k_2(b, K_MIN, k_add(b, plo, k_i64(b, per)), k_i64(b, npanels));
    k_value *tlo = k_mul(b, sched_split(&x, &g, groups), k_i64(b, GROUP)),
            *thi = k_2(b, K_MIN, k_add(b, tlo, k_i64(b, GROUP)), sched_dim(&x, ntiles));
    k_value *v0 = k_mul(b, g, sched_dim(&x, point_step(e, w, w->ic))),
            *p0 = k_mul(b, g, sched_dim(&x, point_step(e, w, w->oc)));
    k_value *u0 = k_mul(b, g, k_i64(b, (npanels * ic + 1) * LANES)), *K = k_i64(b, ic), *to = k_i64(b, oc);
    k_value *panel = k_var(k_for(b, KL_SERIAL, 0, plo, phi, 1)), *i = k_var(k_for(b, KL_SERIAL, 0, tlo, thi, 1));
    k_value *row = k_mul(b, i, k_i64(b, h.q));
    if (h.big) row = k_add(b, row, k_2(b, K_MIN, i, k_i64(b, h.big)));
    int fetch = m > 3   ? 4
                : m > 1 ? 8
                        : LANES; /* the tiles together ask for the next panel, which lies behind this one */
    k_value *nth = k_2(b, K_MIN, k_sub(b, i, tlo), k_i64(b, LANES / fetch - 1)),
            *ahead = k_mul(b, k_add(b, k_i64(b, LANES), k_mul(b, nth, k_i64(b, fetch))), K);
    k_buffer *buffers[3] = {P, V, U};
    k_value *at[3] = {k_add(b, p0, k_add(b, k_mul(b, row, to), k_mul(b, panel, k_i64(b, LANES)))),
                      k_add(b, v0, k_mul(b, row, K)), k_add(b, u0, k_mul(b, panel, k_i64(b, ic * LANES)))},
            *scalars[4] = {K, K, to, ahead};
    if (h.big) {
        k_if(b, k_2(b, K_LT, i, k_i64(b, h.big)));
        k_call(b, product_tile(&x, (int)h.q + 1, fetch), buffers, at, scalars);
        k_else(b, 0, NULL);
    }
    k_call(b, product_tile(&x, (int)h.q, fetch), buffers, at, scalars);
    for (int n = h.big ? 4 : 3; n; n--) k_end(b, 0, NULL);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

/* ---- results */

static void set_var(emit *e, int var, k_value *x) {
    for (int l = 0; l < e->t.nouter; l++)
        if (e->t.loops.at[l].last == var) e->var[l] = x;
}

/* Result i of a tile, of the channels of the vector loop: through the epilogue, if it lies inside. */
static void finish_result(emit *e, const winograd *w, int i, k_value *value, k_value *const *h, k_value *const *v) {
    k_builder *b = &e->b;
    const comp *k = e->f->k;
    int m = w->form->m, r = i / m, s = i % m;
    D mm = sched_num(e, m);
    D height = k->dims[w->height], width = k->dims[w->height + 1];
    bool rows = r && !ir_dim_is(ir_dim_mod(e->c, height, mm), 0), columns = s && !ir_dim_is(ir_dim_mod(e->c, width, mm), 0);
    k_value *ok = NULL;
    if (rows) ok = k_2(b, K_LT, h[r], sched_dim(e, height));
    if (columns) {
        k_value *here = k_2(b, K_LT, v[s], sched_dim(e, width));
        ok = ok ? k_2(b, K_AND, ok, here) : here;
    }
    if (ok) k_if(b, ok);
    set_var(e, w->height, h[r]);
    set_var(e, w->height + 1, v[s]);
    e->param[0] = value;
    sched_store_outs(e, k_memo_new(b->k));
    if (!ok) return;
    k_else(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* Grid over tiles. */
static void result_kernel(emit *e, const winograd *w, int block) {
    k_builder *b = &e->b;
    int m = w->form->m, all = all_points(w);
    k_buffer *P = point_buffer(e, w, S_PRODUCT);
    D first = first_tile(e, w, block);
    e->launch->grid = w->blocks > 1 ? ir_dim_min(e->c, w->slots, ir_dim_sub(e->c, w->tiles, first)) : w->tiles;
    e->launch->cost = ir_dim_mul(e->c, w->oc, sched_num(e, all));
    k_value *before = w->blocks > 1 ? block_scalar(e, first) : k_i64(b, 0);
    k_value *count = w->blocks > 1 ? block_scalar(e, e->launch->grid) : sched_dim(e, w->tiles);
    k_value *slot = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), count, 1)), *g = k_add(b, before, slot);
    k_value *tx = sched_split(e, &g, w->tw), *ty = sched_split(e, &g, w->th), *h[MAX_TILE], *v[MAX_TILE];
    if (w->height > 2) set_var(e, 2, sched_split(e, &g, e->f->k->dims[2]));
    set_var(e, 0, g);
    for (int i = 0; i < m; i++) {
        h[i] = k_add(b, k_mul(b, ty, k_i64(b, m)), k_i64(b, i));
        v[i] = k_add(b, k_mul(b, tx, k_i64(b, m)), k_i64(b, i));
    }
    k_value *channels = sched_dim(e, e->f->k->dims[1]), *step = sched_dim(e, point_step(e, w, w->oc)),
            *from = k_mul(b, slot, sched_dim(e, w->oc));
    k_value *c = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), channels, 1)), *point[MAX_ALL], *result[MAX_TILE * MAX_TILE];
    set_var(e, 1, c);
    for (int i = 0; i < all; i++) point[i] = k_load(b, P, k_add(b, k_add(b, from, k_mul(b, step, k_i64(b, i))), c));
    transform(b, m, points(w), w->form->result, point, result);
    for (int i = 0; i < m * m; i++) finish_result(e, w, i, result[i], h, v);
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}

/* The results of all blocks but the last one, which the main kernel gives. */
static void block_results(emit *e, const winograd *w, int block) {
    emit x = sched_before(e, "results");
    sched_begin(&x, x.launch->kernel->name);
    result_kernel(&x, w, block);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

void sched_winograd(emit *e, const winograd *w) {
    int weights = prepared_weights(e, w);
    if (!w->direct) sched_copy_kernel(e, w->image, &w->copy);
    for (int block = 0; block < w->blocks; block++) {
        image_kernel(e, w, block);
        product_kernel(e, w, weights);
        if (block + 1 < w->blocks) block_results(e, w, block);
    }
    result_kernel(e, w, w->blocks - 1);
}
