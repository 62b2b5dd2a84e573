/* opaque_bags.c: kernels of embedding_bag and roi_align. */
#include "runtime/opaque.h"

#include <math.h>

/* ------------------------------------------------------------------ embedding_bag */

enum { BAG_SUM, BAG_MEAN, BAG_MAX };

typedef struct bags {
    int mode;
    int64_t n, nindex, rows, width, padding;     /* padding: row that is left out, or -1 */
    rt_tensor *weight, *index, *offsets, *scale; /* contiguous; weight in f32 or f64, scale in f64 or NULL */
    double *out;
    int64_t *bag_of, *size, *most;
} bags;

static bool bag_bounds(rt_env *env, const bags *b, int64_t i, int64_t *from, int64_t *to) {
    const int64_t *at = b->offsets->storage->data;
    *from = at[b->offsets->offset + i];
    *to = i + 1 < b->offsets->shape[0] ? at[b->offsets->offset + i + 1] : b->nindex;
    if (*from < 0 || *to > b->nindex || *from > *to || (i == 0 && *from != 0))
        return rt_raise(env, "RuntimeError",
                        "embedding_bag: offsets[%lld] is %lld; offsets must begin with 0, not fall, and "
                        "not exceed the length of indices, %lld",
                        (long long)i, (long long)*from, (long long)b->nindex);
    return true;
}

enum { BAG_BLOCK = 16 }; /* elements of a row that are added in one go: a fixed number, so that they are vectors */

static void add_f32(double *restrict o, const float *restrict w, double scale, int64_t n) {
    int64_t d = 0;
    for (; d + BAG_BLOCK <= n; d += BAG_BLOCK)
        for (int i = 0; i < BAG_BLOCK; i++) o[d + i] += scale * (double)w[d + i];
    for (; d < n; d++) o[d] += scale * (double)w[d];
}

static void add_f64(double *restrict o, const double *restrict w, double scale, int64_t n) {
    int64_t d = 0;
    for (; d + BAG_BLOCK <= n; d += BAG_BLOCK)
        for (int i = 0; i < BAG_BLOCK; i++) o[d + i] += scale * w[d + i];
    for (; d < n; d++) o[d] += scale * w[d];
}

static void bag_add(bags *b, int64_t bag, int64_t j, int64_t row, bool first) {
    const double scale = b->scale ? ((double *)b->scale->storage->data)[b->scale->offset + j] : 1;
    const void *data = b->weight->storage->data;
    const int64_t at = b->weight->offset + row * b->width;
    double *o = b->out + bag * b->width;
    if (b->mode != BAG_MAX && b->weight->dtype == DT_F32) {
        add_f32(o, (const float *)data + at, scale, b->width);
        return;
    }
    if (b->mode != BAG_MAX) {
        add_f64(o, (const double *)data + at, scale, b->width);
        return;
    }
    for (int64_t d = 0; d < b->width; d++) {
        double w = rt_load_f64(data, b->weight->dtype, at + d);
        if (first || w > o[d]) o[d] = w, b->most[bag * b->width + d] = row;
    }
}

static bool bag_fill(rt_env *env, bags *b, int64_t bag) {
    int64_t from, to, count = 0;
    if (!bag_bounds(env, b, bag, &from, &to)) return false;
    for (int64_t j = from; j < to; j++) {
        int64_t row = ((int64_t *)b->index->storage->data)[b->index->offset + j];
        if (row < 0 || row >= b->rows)
            return rt_raise(
                env, "RuntimeError",
                "embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be %lld",
                (long long)row);
        if (b->bag_of) b->bag_of[j] = bag;
        if (row == b->padding) continue;
        bag_add(b, bag, j, row, count++ == 0);
    }
    b->size[bag] = count;
    for (int64_t d = 0; b->mode == BAG_MEAN && count && d < b->width; d++)
        b->out[bag * b->width + d] /= (double)count;
    return true;
}

static rt_tensor *zero_ints(int n, const int64_t *shape) {
    rt_tensor *t = rt_tensor_new(DT_I64, n, shape);
    if (t) memset(t->storage->data, 0, (size_t)rt_tensor_numel(t) * 8);
    return t;
}

static bool bags_run(rt_env *env, bags *b, rt_dtype dtype, rt_value *out) {
    int64_t shape[2] = {b->n, b->width}, none = 0;
    rt_tensor *sum = rt_tensor_new(DT_F64, 2, shape);
    rt_tensor *r[4] = {NULL, zero_ints(1, b->mode == BAG_SUM ? &none : &b->nindex), zero_ints(1, &b->n),
                       zero_ints(b->mode == BAG_MAX ? 2 : 1, shape)};
    bool ok = sum && r[1] && r[2] && r[3];
    if (!ok) rt_host_memory_error(env);
    if (ok) {
        b->out = memset(sum->storage->data, 0, (size_t)rt_tensor_numel(sum) * sizeof(double));
        b->bag_of = b->mode == BAG_SUM ? NULL : r[1]->storage->data;
        b->size = r[2]->storage->data, b->most = r[3]->storage->data;
    }
    for (int64_t i = 0; ok && i < b->n; i++) ok = bag_fill(env, b, i);
    if (ok) r[0] = rt_tensor_copy_to(sum, dtype);
    rt_tensor_release(sum);
    if (ok) return rt_give_tensors(env, out, 4, r);
    for (int i = 0; i < 4; i++) rt_tensor_release(r[i]);
    return false;
}

HOST(rt_op_embedding_bag) {
    /* weight, indices, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights, include_last_offset[,
     * padding_idx] */
    WANT(0, V_TENSOR);
    WANT(1, V_TENSOR);
    WANT(2, V_TENSOR);
    const rt_tensor *w = args[0].tensor, *index = args[1].tensor, *offsets = args[2].tensor;
    const rt_tensor *scale = args[6].tag == V_TENSOR ? args[6].tensor : NULL;
    bool last = rt_int_arg(args[7], 0);
    if (w->ndim != 2 || index->ndim != 1 || offsets->ndim != 1 ||
        (scale && (scale->ndim != 1 || scale->shape[0] != index->shape[0])))
        return rt_raise(env, "RuntimeError",
                        "embedding_bag: weight must be 2-D; indices, offsets and per_sample_weights 1-D");
    if (last && !offsets->shape[0])
        return rt_raise(env, "RuntimeError", "include_last_offset: number of offsets should be at least 1");
    bags b = {.mode = (int)rt_int_arg(args[4], 0),
              .n = offsets->shape[0] - last,
              .nindex = index->shape[0],
              .rows = w->shape[0],
              .width = w->shape[1]};
    b.padding = nargs > 8 ? rt_int_arg(args[8], -1) : -1;
    if (nargs > 8 && args[8].tag == V_INT && b.padding < 0) b.padding += b.rows;
    b.weight = w->dtype == DT_F32 ? rt_contiguous(w) : rt_tensor_copy_to(w, DT_F64), b.index = rt_tensor_copy_to(index, DT_I64),
    b.offsets = rt_tensor_copy_to(offsets, DT_I64);
    b.scale = scale ? rt_tensor_copy_to(scale, DT_F64) : NULL;
    bool ok = b.weight && b.index && b.offsets && (b.scale || !scale);
    ok = ok ? bags_run(env, &b, w->dtype, out) : rt_host_memory_error(env);
    rt_tensor_release(b.weight);
    rt_tensor_release(b.index);
    rt_tensor_release(b.offsets);
    rt_tensor_release(b.scale);
    return ok;
}

/* ------------------------------------------------------------------ roi_align (torchvision) */

typedef struct region {
    const double *plane;
    int64_t h, w;
} region;

static double bilinear(const region *g, double y, double x) {
    if (!(y >= -1 && y <= (double)g->h && x >= -1 && x <= (double)g->w)) return 0;
    y = y > 0 ? y : 0, x = x > 0 ? x : 0;
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = y0 + 1, x1 = x0 + 1;
    if (y0 >= g->h - 1) y = (double)(y0 = y1 = g->h - 1);
    if (x0 >= g->w - 1) x = (double)(x0 = x1 = g->w - 1);
    double ly = y - (double)y0, lx = x - (double)x0;
    const double *p = g->plane;
    return (1 - ly) * ((1 - lx) * p[y0 * g->w + x0] + lx * p[y0 * g->w + x1]) +
           ly * ((1 - lx) * p[y1 * g->w + x0] + lx * p[y1 * g->w + x1]);
}

typedef struct roi {
    double x, y, bin_w, bin_h;
    int64_t nx, ny;
} roi;

static roi roi_of(const double *at, double scale, int64_t ph, int64_t pw, int64_t ratio, bool aligned) {
    double shift = aligned ? 0.5 : 0, w, h;
    roi r = {.x = at[1] * scale - shift, .y = at[2] * scale - shift};
    w = at[3] * scale - shift - r.x, h = at[4] * scale - shift - r.y;
    if (!aligned) w = w > 1 ? w : 1, h = h > 1 ? h : 1;
    r.bin_w = w / (double)pw, r.bin_h = h / (double)ph;
    r.nx = ratio > 0 ? ratio : (int64_t)ceil(r.bin_w), r.ny = ratio > 0 ? ratio : (int64_t)ceil(r.bin_h);
    return r;
}

static double roi_bin(const region *g, const roi *r, int64_t py, int64_t px) {
    double sum = 0;
    for (int64_t iy = 0; iy < r->ny; iy++)
        for (int64_t ix = 0; ix < r->nx; ix++) {
            double y = r->y + (double)py * r->bin_h + ((double)iy + 0.5) * r->bin_h / (double)r->ny;
            double x = r->x + (double)px * r->bin_w + ((double)ix + 0.5) * r->bin_w / (double)r->nx;
            sum += bilinear(g, y, x);
        }
    int64_t n = r->nx * r->ny;
    return sum / (double)(n > 1 ? n : 1);
}

static bool roi_fill(rt_env *env, const rt_tensor *in, const rt_tensor *rois, const rt_value *args,
                     rt_tensor *to) {
    int64_t c = in->shape[1], h = in->shape[2], w = in->shape[3], ph = args[3].i, pw = args[4].i;
    double *o = to->storage->data;
    for (int64_t k = 0; k < rois->shape[0]; k++) {
        const double *at = (double *)rois->storage->data + 5 * k;
        if (!(at[0] >= 0 && at[0] < (double)in->shape[0]))
            return rt_raise(env, "IndexError", "roi_align: batch index %g of a region is out of range",
                            at[0]);
        for (int i = 1; i < 5; i++)
            if (!(fabs(at[i]) < 1e9))
                return rt_raise(env, "RuntimeError", "roi_align: a region is not finite");
        roi r = roi_of(at, rt_host_number(args[2]), ph, pw, rt_int_arg(args[5], 0), rt_int_arg(args[6], 0));
        for (int64_t ch = 0; ch < c; ch++) {
            region g = {(double *)in->storage->data + ((int64_t)at[0] * c + ch) * h * w, h, w};
            for (int64_t i = 0; i < ph * pw; i++) *o++ = h && w ? roi_bin(&g, &r, i / pw, i % pw) : 0;
        }
    }
    return true;
}

HOST(rt_op_roi_align) { /* input, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned */
    WANT(0, V_TENSOR);
    WANT(1, V_TENSOR);
    WANT(3, V_INT);
    WANT(4, V_INT);
    const rt_tensor *in = args[0].tensor, *rois = args[1].tensor;
    if (!rt_is_number(args[2])) return rt_host_type_error(env, 2);
    if (in->ndim != 4 || rois->ndim != 2 || rois->shape[1] != 5 || args[3].i < 1 || args[4].i < 1)
        return rt_raise(env, "RuntimeError",
                        "roi_align: expected input [N, C, H, W], rois [K, 5] and positive output sizes");
    int64_t shape[4] = {rois->shape[0], in->shape[1], args[3].i, args[4].i};
    rt_tensor *a = rt_tensor_copy_to(in, DT_F64), *b = rt_tensor_copy_to(rois, DT_F64),
              *f = rt_tensor_new(DT_F64, 4, shape), *r = NULL;
    bool memory = a && b && f, ok = memory && roi_fill(env, a, b, args, f);
    if (ok) r = rt_tensor_copy_to(f, in->dtype);
    rt_tensor_release(a);
    rt_tensor_release(b);
    rt_tensor_release(f);
    if (memory && !ok) return false;
    return rt_give_tensors(env, out, 1, &r);
}
