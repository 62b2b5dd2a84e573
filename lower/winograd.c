/* winograd.c: 3x3 convolutions of step 1 by Winograd's algorithm F(4x4, 3x3) (Lavin and Gray, "Fast algorithms for
 * convolutional neural networks", 2016): a tile of 6x6 pixels and the window are transformed, multiplied point by point (36
 * products of matrices [tiles, IC] x [IC, OC]) and transformed back to 4x4 results: 36 multiplications instead of 144.
 *
 * The pass marks the convolutions that it suits (`--skip winograd` leaves it out: results differ from the direct sum by about
 * twice its own error).  A marked kernel becomes: padded copy, transform of the image,
 * products on register tiles, transform back with the epilogue.  The weights are transformed when a module is loaded
 * (ir_prepared), since they grow by four. */
#include "lower/emit.h"

enum { TILE = 4, POINTS = TILE + 2, ALL = POINTS * POINTS, LANES = 16, MIN_CHANNELS = 32, MIN_TILES = 9 };

typedef const ir_dim *D;

/* Interpolation at 0, 3/4, -3/4, 3/2, -3/2 and infinity: about as exact as the direct sum, where the customary 0, 1, -1, 2, -2
 * loses two bits more (measured on random images; Barabasz et al., "Error analysis and improving the accuracy of Winograd
 * convolution for deep neural networks", 2020).  Rows are scaled so that the matrices of image and result are exact. */
static const double image_matrix[POINTS][POINTS] = {
    {81. / 64, 0, -45. / 16, 0, 1, 0},         {0, 27. / 16, 9. / 4, -3. / 4, -1, 0},    {0, -27. / 16, 9. / 4, 3. / 4, -1, 0},
    {0, -27. / 32, -9. / 16, 3. / 2, 1, 0},    {0, 27. / 32, -9. / 16, -3. / 2, 1, 0},   {0, 81. / 64, 0, -45. / 16, 0, 1}};
static const double window_matrix[POINTS][3] = {
    {64. / 81, 0, 0},
    {128. / 243, 128. / 243 * 3 / 4, 128. / 243 * 9 / 16},
    {128. / 243, -128. / 243 * 3 / 4, 128. / 243 * 9 / 16},
    {32. / 243, 32. / 243 * 3 / 2, 32. / 243 * 9 / 4},
    {32. / 243, -32. / 243 * 3 / 2, 32. / 243 * 9 / 4},
    {0, 0, 1}};
static const double result_matrix[TILE][POINTS] = {{1, 1, 1, 1, 1, 0},
                                                   {0, 3. / 4, -3. / 4, 3. / 2, -3. / 2, 0},
                                                   {0, 9. / 16, 9. / 16, 9. / 4, 9. / 4, 0},
                                                   {0, 27. / 64, -27. / 64, 27. / 8, -27. / 8, 1}};


/* ---- does it suit */

static bool is_index(const ir_expr *x, int v) { return x->op == X_INDEX && x->i == v; }

/* x == i + r + constant, in any order of the sums. */
static bool slides(const ir_expr *x, int i, int r) {
    if (x->op == K_SUB || x->op == K_ADD) {
        if (x->args[1]->op == X_CONST) return slides(x->args[0], i, r);
        return x->op == K_ADD && ((is_index(x->args[0], i) && is_index(x->args[1], r)) || (is_index(x->args[0], r) && is_index(x->args[1], i)));
    }
    return false;
}

static bool at_least(D d, int64_t n) {
    int64_t x;
    return ir_dim_is_const(d, &x) && x >= n;
}

/* Is it [n, oc, h, w] = sum over ic, i, j of x[n, ic, h + i - p, w + j - p] * w[oc, ic, i, j], large enough to pay? */
static bool suits(const emit *e, sched_factor *image, sched_factor *weight) {
    const comp *k = e->f->k;
    if (!k->contract || k->ndims != 4 || k->nrdims != 3 || k->checks.n || k->state_dtype[0] != DT_F32 || k->elem[0]->op != K_MUL) return false;
    if (!sched_factor_of(e, k->elem[0]->args[0], image) || !sched_factor_of(e, k->elem[0]->args[1], weight)) return false;
    const ir_expr *x = image->load, *w = weight->load;
    if (x->n != 4 || w->n != 4 || x->dtype != DT_F32 || w->dtype != DT_F32 || weight->guarded) return false;
    const int weight_vars[4] = {1, 4, 5, 6};
    for (int d = 0; d < 4; d++)
        if (!is_index(w->args[d], weight_vars[d])) return false;
    bool image_ok = (is_index(x->args[0], 0) || ir_dim_is(k->dims[0], 1)) && is_index(x->args[1], 4) && slides(x->args[2], 2, 5) && slides(x->args[3], 3, 6);
    if (!image_ok || !ir_dim_is(k->rdims[1], 3) || !ir_dim_is(k->rdims[2], 3)) return false;
    int64_t h, v;
    if (!ir_dim_is_const(k->dims[2], &h) || !ir_dim_is_const(k->dims[3], &v)) return false;
    bool large = at_least(k->dims[1], MIN_CHANNELS) && at_least(k->rdims[0], MIN_CHANNELS) && (h + TILE - 1) / TILE * ((v + TILE - 1) / TILE) >= MIN_TILES;
    bool whole = ir_dim_is(ir_dim_mod(e->c, k->dims[1], sched_num(e, LANES)), 0);
    return large && whole && x->i != w->i && sched_is_param(e->f->operands.at[w->i]) && !sched_used_elsewhere(e, w->i);
}

static bool is_kernel(const ir_node *n) { return n->op->cls == OP_STRUCT && n->op->id == S_KERNEL; }

static int mark(ir_module *m, ir_node *kernel) {
    fused f;
    sched_factor image, weight;
    const ir_layout *order = kernel->out[0]->layout;
    if (!order || kernel->out[0]->type->rank != 4 || order->order[3] != 1 || kernel->blocks[0]->results.n != 1) return 0;
    if (!lower_fused(m, kernel, &f) || f.k->ndims != 4 || lower_comp_kind(f.k) != CK_CONTRACT) return 0;
    emit e = {.c = m->c, .f = &f, .m = m, .kernel = kernel};
    nest_build(m->c, &f, kernel->out[0], &e.t);
    if (!suits(&e, &image, &weight)) return 0;
    kernel->sym = "winograd";
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

bool sched_winograd_plan(emit *e, winograd *w) {
    sched_factor image, weight;
    const comp *k = e->f->k;
    *w = (winograd){.ic = k->rdims[0], .oc = k->dims[1]};
    if (!e->kernel->sym || strcmp(e->kernel->sym, "winograd") || !suits(e, &image, &weight)) return false;
    if (!sched_copy_plan(e, image.load, true, -1, &w->copy, &w->at)) return false;
    w->image = image.load->i;
    w->weight = weight.load->i;
    w->th = ir_dim_ceildiv(e->c, k->dims[2], TILE);
    w->tw = ir_dim_ceildiv(e->c, k->dims[3], TILE);
    w->tiles = ir_dim_mul(e->c, k->dims[0], ir_dim_mul(e->c, w->th, w->tw));
    w->copy.size[2] = ir_dim_add(e->c, ir_dim_mul(e->c, w->th, sched_num(e, TILE)), sched_num(e, 2)); /* whole tiles: zeros behind the image */
    w->copy.size[3] = ir_dim_add(e->c, ir_dim_mul(e->c, w->tw, sched_num(e, TILE)), sched_num(e, 2));
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

/* out[i][j] = sum over p, q of m[i][p] * in[p][q] * m[j][q]; m is rows x n. */
static void transform(k_builder *b, int rows, int n, const double *m, k_value **in, k_value **out) {
    k_value *half[POINTS * POINTS];
    for (int i = 0; i < rows; i++)
        for (int q = 0; q < n; q++) {
            k_value *sum = NULL;
            for (int p = 0; p < n; p++) sum = scaled_add(b, sum, m[i * n + p], in[p * n + q]);
            half[i * n + q] = sum;
        }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < rows; j++) {
            k_value *sum = NULL;
            for (int q = 0; q < n; q++) sum = scaled_add(b, sum, m[j * n + q], half[i * n + q]);
            out[i * rows + j] = sum;
        }
}

/* Grid over panels of LANES output channels and input channels: U[point][panel][ic][LANES] from w[oc][ic][3][3]. */
static k_kernel *window_kernel(emit *e, int64_t ic, int64_t oc) {
    const char *name = ir_fmt(e->c, "winograd_windows_%lldx%lld", (long long)ic, (long long)oc);
    k_kernel *k = rt_map_get(e->shared, name);
    if (k) return k;
    k = k_kernel_new(e->c, name);
    k_buffer *in = k_arg(k, DT_F32, "in"), *out = k_arg(k, DT_F32, "out");
    k_builder b = k_build(k);
    k_value *g = k_var(k_for(&b, KL_GRID, 0, k_i64(&b, 0), k_i64(&b, oc / LANES * ic), 1));
    k_value *c = k_2(&b, K_REM, g, k_i64(&b, ic)), *panel = k_2(&b, K_DIV, g, k_i64(&b, ic));
    k_value *j = k_var(k_for(&b, KL_VECTOR, 0, k_i64(&b, 0), k_i64(&b, LANES), 1));
    k_value *x[9], *u[ALL], *at = k_muladd_const(&b, k_add(&b, k_mul(&b, k_add(&b, k_mul(&b, panel, k_i64(&b, LANES)), j), k_i64(&b, ic)), c), 9, k_i64(&b, 0));
    for (int i = 0; i < 9; i++) x[i] = k_load(&b, in, k_add(&b, at, k_i64(&b, i)));
    transform(&b, POINTS, 3, &window_matrix[0][0], x, u);
    k_value *to = k_add(&b, k_mul(&b, g, k_i64(&b, LANES)), j);
    for (int i = 0; i < ALL; i++) k_store(&b, out, k_add(&b, to, k_i64(&b, i * ic * oc)), u[i]);
    k_end(&b, 0, NULL);
    k_end(&b, 0, NULL);
    rt_map_put(&e->c->arena, e->shared, name, k);
    return k;
}

/* The transformed weights, as an input of the node; kernels of the same weights share them. */
static int prepared_weights(emit *e, const winograd *w) {
    int64_t ic = 0, oc = 0;
    ir_dim_is_const(w->ic, &ic);
    ir_dim_is_const(w->oc, &oc);
    const char *from = e->f->operands.at[w->weight]->def->sym, *name = ir_fmt(e->c, "winograd(%s)", from);
    D dims[4] = {sched_num(e, ALL), sched_num(e, oc / LANES), sched_num(e, ic), sched_num(e, LANES)};
    ir_tensor_data *d = rt_map_get(&e->m->tensors, name);
    if (!d) {
        d = RT_NEW(&e->c->arena, ir_tensor_data);
        ir_prepared *p = RT_NEW(&e->c->arena, ir_prepared);
        *p = (ir_prepared){from, window_kernel(e, ic, oc), oc / LANES * ic, ALL * ic * oc * 4};
        *d = (ir_tensor_data){.name = ir_intern(e->c, name), .type = ir_type_tensor(e->c, DT_F32, 4, dims), .prepared = p};
        rt_map_put(&e->c->arena, &e->m->tensors, d->name, d);
    }
    ir_node *n = ir_node_new(e->kernel->block->func, ir_struct(e->c, S_PARAM), e->kernel->span, 0, NULL, 1, &d->type);
    n->sym = d->name;
    ir_insert_before(e->kernel, n);
    int at = -1;
    for (int i = 0; i < e->kernel->nin; i++)
        if (e->kernel->in[i] == e->f->operands.at[w->weight]) ir_set_input(e->kernel, at = i, n->out[0]);
    return at;
}

enum { S_COPY, S_IMAGE, S_PRODUCT }; /* scratch buffers */

static D image_elements(emit *e, const winograd *w) { return ir_dim_mul(e->c, ir_dim_mul(e->c, sched_num(e, ALL), w->tiles), w->ic); }
static D product_elements(emit *e, const winograd *w) { return ir_dim_mul(e->c, ir_dim_mul(e->c, sched_num(e, ALL), w->tiles), w->oc); }

/* Grid over tiles: V[point][tile][ic] from the copy [n][h][w][ic]. */
static void image_kernel(emit *e, const winograd *w) {
    emit x = sched_before(e, "image");
    k_builder *b = &x.b;
    k_buffer *in = sched_buffer(&x, LB_SCRATCH, S_COPY, DT_F32, sched_copy_elements(e, &w->copy), "padded");
    k_buffer *out = sched_buffer(&x, LB_SCRATCH, S_IMAGE, DT_F32, image_elements(e, w), "points");
    D row = ir_dim_mul(e->c, w->copy.size[3], w->ic), plane = ir_dim_mul(e->c, w->copy.size[2], row);
    x.launch->grid = w->tiles;
    x.launch->cost = ir_dim_mul(e->c, w->ic, sched_num(e, ALL));
    k_value *tile = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(&x, w->tiles), 1)), *g = tile;
    k_value *tx = sched_split(&x, &g, w->tw), *ty = sched_split(&x, &g, w->th), *channels = sched_dim(&x, w->ic), *rows = sched_dim(&x, row);
    k_value *at = k_add(b, k_mul(b, g, sched_dim(&x, plane)), k_mul(b, k_add(b, k_mul(b, ty, rows), k_mul(b, tx, channels)), k_i64(b, TILE)));
    k_value *c = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), channels, 1)), *pixel[ALL], *point[ALL];
    for (int i = 0; i < ALL; i++) {
        k_value *offset = k_add(b, k_mul(b, rows, k_i64(b, i / POINTS)), k_mul(b, channels, k_i64(b, i % POINTS)));
        pixel[i] = k_load(b, in, k_add(b, k_add(b, at, offset), c));
    }
    transform(b, POINTS, POINTS, &image_matrix[0][0], pixel, point);
    k_value *to = k_add(b, k_mul(b, tile, channels), c), *step = k_mul(b, sched_dim(&x, w->tiles), channels);
    for (int i = 0; i < ALL; i++) k_store(b, out, k_add(b, to, k_mul(b, step, k_i64(b, i))), point[i]);
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

/* P[point][tile][oc] = V[point][tile][ic] * U[point][ic][oc], on register tiles. */
static void product_kernel(emit *e, const winograd *w, int weights) {
    emit x = sched_before(e, "product");
    ir_context *c = e->c;
    comp *k = RT_NEW(&c->arena, comp);
    fused *f = RT_NEW(&c->arena, fused);
    D dims[3] = {sched_num(e, ALL), w->tiles, w->oc};
    *k = (comp){.x = {.c = c}, .ndims = 3, .nrdims = 1, .dims = dims, .rdims = (const ir_dim **)&w->ic, .nstate = 1, .nout = 1, .scan = -1};
    *f = *e->f;
    f->k = k;
    x.f = f;
    x.x = (ir_exprs){.c = c};
    x.out[0] = ir_x_param(&x.x, 0, DT_F32);
    x.t = (nest){.c = c, .f = f, .nouter = 3};
    for (int v = 0; v < 3; v++) {
        x.t.order[v] = v;
        nest_loop l = {1u << v, v, dims[v], false};
        RT_PUSH(&c->arena, &x.t.loops, l);
    }
    x.t.ocoef[2] = sched_num(e, 1);
    x.t.ocoef[1] = w->oc;
    x.t.ocoef[0] = ir_dim_mul(c, w->tiles, w->oc);
    tiles t = {.a = w->image, .b = w->weight, .nloop = 2, .mloop = 1, .linear = true, .packed = true, .bin = weights, .nseg = 1};
    t.aa.coef[1] = w->ic;
    t.aa.coef[0] = ir_dim_mul(c, w->tiles, w->ic);
    t.ba.coef[0] = sched_num(e, 1); /* each point has panels of its own */
    t.seg[0] = (tile_segment){w->ic, sched_num(e, 1), sched_num(e, TILE_N)};
    x.in[w->image] = sched_buffer(&x, LB_SCRATCH, S_IMAGE, DT_F32, image_elements(e, w), "points");
    x.outs[0] = sched_buffer(&x, LB_SCRATCH, S_PRODUCT, DT_F32, product_elements(e, w), "products");
    sched_tiles(&x, &t);
    RT_PUSH(&c->arena, &e->info->launches, *x.launch);
}

static int loop_of(const emit *e, int var) {
    for (int l = 0; l < e->t.nouter; l++)
        if (e->t.loops.at[l].last == var) return l;
    return -1;
}

static void set_var(emit *e, int var, k_value *x) {
    int l = loop_of(e, var);
    if (l >= 0) e->var[l] = x;
}

/* The results of one tile, LANES channels from `first` on: transformed back to `y`, then through the epilogue. */
static void finish_tile(emit *e, const winograd *w, k_buffer *P, k_buffer *y, k_value *tile, k_value *ty, k_value *tx, k_value *first) {
    k_builder *b = &e->b;
    const comp *k = e->f->k;
    k_value *j = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, LANES), 1)), *point[ALL], *result[TILE * TILE];
    k_value *channels = sched_dim(e, w->oc), *step = k_mul(b, sched_dim(e, w->tiles), channels);
    k_value *at = k_add(b, k_add(b, k_mul(b, tile, channels), first), j);
    for (int i = 0; i < ALL; i++) point[i] = k_load(b, P, k_add(b, at, k_mul(b, step, k_i64(b, i))));
    transform(b, TILE, POINTS, &result_matrix[0][0], point, result);
    for (int i = 0; i < TILE * TILE; i++) k_store(b, y, k_add(b, k_i64(b, i * LANES), j), result[i]);
    k_end(b, 0, NULL);
    k_value *h0 = k_mul(b, ty, k_i64(b, TILE)), *w0 = k_mul(b, tx, k_i64(b, TILE)), *four = k_i64(b, TILE);
    k_value *nh = k_2(b, K_MIN, four, k_sub(b, sched_dim(e, k->dims[2]), h0)), *nw = k_2(b, K_MIN, four, k_sub(b, sched_dim(e, k->dims[3]), w0));
    k_value *r = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), nh, 1)), *s = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), nw, 1));
    set_var(e, 2, k_add(b, h0, r));
    set_var(e, 3, k_add(b, w0, s));
    k_value *lane = k_var(k_for(b, KL_VECTOR, 0, k_i64(b, 0), k_i64(b, LANES), 1));
    set_var(e, 1, k_add(b, first, lane));
    k_value *from = k_mul(b, k_add(b, k_mul(b, r, k_i64(b, TILE)), s), k_i64(b, LANES));
    e->param[0] = k_load(b, y, k_add(b, from, lane));
    sched_store_outs(e, k_memo_new(b->k));
    for (int i = 0; i < 3; i++) k_end(b, 0, NULL);
}

void sched_winograd(emit *e, const winograd *w) {
    k_builder *b = &e->b;
    int weights = prepared_weights(e, w);
    sched_copy_kernel(e, w->image, &w->copy);
    image_kernel(e, w);
    product_kernel(e, w, weights);
    k_buffer *P = sched_buffer(e, LB_SCRATCH, S_PRODUCT, DT_F32, product_elements(e, w), "products");
    k_buffer *y = k_scratch(b->k, KS_LOCAL, DT_F32, TILE * TILE * LANES, "y");
    e->launch->grid = w->tiles;
    e->launch->cost = ir_dim_mul(e->c, w->oc, sched_num(e, ALL));
    k_value *tile = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(e, w->tiles), 1)), *g = tile;
    k_value *tx = sched_split(e, &g, w->tw), *ty = sched_split(e, &g, w->th);
    set_var(e, 0, g);
    k_value *first = k_var(k_for(b, KL_SERIAL, 0, k_i64(b, 0), sched_dim(e, w->oc), LANES));
    finish_tile(e, w, P, y, tile, ty, tx, first);
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
}
