/* comp_resample.c: comprehensions of upsample_* and grid_sampler: loads at computed indices with weights.
 *
 * Coordinates are computed as PyTorch's CPU kernels do it, in f32 (f64 for f64 tensors), since a last bit
 * decides which element `nearest` takes.  The filters of dimension d combine what dims d + 1.. give:
 * separable. */
#include "lower/comp_maps.h"

#include <math.h>

#define C (x->c)

enum { MAX_SPATIAL = 3, MAX_TAPS = 4 };

/* What one spatial dim contributes: taps at input indices with weights; weight NULL: 1. */
typedef struct taps {
    int n;
    ex at[MAX_TAPS], weight[MAX_TAPS], ok[MAX_TAPS]; /* ok NULL: certainly inside */
} taps;

static ex real(comp *k, rt_dtype d, double f) { return ir_x_float(&k->x, d, f); }
static ex plus(comp *k, ex a, ex b) { return map_op(k, K_ADD, a, b); }
static ex minus(comp *k, ex a, ex b) { return map_op(k, K_SUB, a, b); }
static ex times(comp *k, ex a, ex b) { return map_op(k, K_MUL, a, b); }
static ex over(comp *k, ex a, ex b) { return map_op(k, K_DIV, a, b); }
static ex less_one(comp *k, ex size) { return minus(k, size, map_int(k, 1)); }
static ex clamp(comp *k, ex a, ex lo, ex hi) { return map_op(k, K_MIN, map_op(k, K_MAX, a, lo), hi); }

static rt_dtype math_dtype(rt_dtype d) { return d == DT_F64 ? DT_F64 : DT_F32; }

/* Sum over the taps of all dims; at[first..] holds the index so far. */
static ex tap_sum(comp *k, const ir_arg *in, rt_dtype math, int d, int n, const taps *t, ex *at, ex ok) {
    if (d == n) {
        ex v = map_load(k, in, at);
        if (ok) v = map_if(k, ok, v, map_zero(k, in->type->dtype));
        return ir_x_cast(&k->x, v, math);
    }
    ex sum = NULL;
    for (int i = 0; i < t[d].n; i++) {
        at[in->type->rank - n + d] = t[d].at[i];
        ex v = tap_sum(k, in, math, d + 1, n, t, at, map_and(k, ok, t[d].ok[i]));
        if (t[d].weight[i]) v = times(k, t[d].weight[i], v);
        sum = sum ? plus(k, sum, v) : v;
    }
    return sum;
}

/* ------------------------------------------------------------------ upsample: scales and source positions */

typedef struct axis {
    const ir_dim *in, *out;
    ex size, i; /* input size, output index */
    ex factor; /* f64: the scale factor, NULL if none was given */
    bool align;
} axis;

static bool given_scale(comp *k, ir_infer *x, int d, int n, axis *a) {
    static const char *const names[] = {"scales_d", "scales_h", "scales_w"};
    const ir_arg *s = ir_arg_given(x, n == 1 ? "scales" : names[MAX_SPATIAL - n + d]);
    if (!s) return true;
    if (s->kind == A_INT) a->factor = ir_x_cast(&k->x, map_dim(k, s->dim), DT_F64);
    else if (s->kind == A_FLOAT) a->factor = s->known ? real(k, DT_F64, s->f) : ir_x_scalar(&k->x, s->operand, DT_F64);
    else return ir_missing(x, "%s: a scale factor that is not a number", x->op->full);
    if (a->factor->op == X_CONST && !(a->factor->f > 0)) a->factor = NULL;
    return true;
}

static bool axis_of(comp *k, ir_infer *x, int d, int n, axis *a) {
    const ir_type *t = x->args[0].type;
    *a = (axis){.in = t->dims[2 + d], .out = k->dims[2 + d], .i = map_at(k, 2 + d)};
    a->size = map_dim(k, a->in);
    if (ir_arg_given(x, "align_corners") && !ir_arg_bool(x, "align_corners", &a->align)) return false;
    return given_scale(k, x, d, n, a);
}

static ex as_real(comp *k, const ir_dim *d, rt_dtype math) { return ir_x_cast(&k->x, map_dim(k, d), math); }

/* Input elements per output element. */
static ex pixel_scale(comp *k, ir_infer *x, const axis *a, rt_dtype math) {
    if (a->align) {
        const ir_dim *one = ir_dim_const(C, 1);
        ex ratio = over(k, as_real(k, ir_dim_sub(C, a->in, one), math),
                        as_real(k, ir_dim_sub(C, a->out, one), math));
        return map_if(k, map_op(k, K_GT, map_dim(k, a->out), map_int(k, 1)), ratio, real(k, math, 0));
    }
    ex ratio = over(k, as_real(k, a->in, math), as_real(k, a->out, math));
    if (!a->factor) return ratio;
    ex inverse = ir_x_cast(&k->x, over(k, real(k, DT_F64, 1), a->factor), math);
    return map_if(k, map_op(k, K_GT, a->factor, real(k, DT_F64, 0)), inverse, ratio);
}

static ex center(comp *k, const axis *a, rt_dtype math) {
    return plus(k, ir_x_cast(&k->x, a->i, math), real(k, math, 0.5));
}

static ex floor_int(comp *k, ex e) { return ir_x_cast(&k->x, ir_x1(&k->x, K_FLOOR, e), DT_I64); }

/* Images (not 1d, not 3d) whose size stays or doubles are copied whatever the factor is, as in PyTorch. */
static void nearest(comp *k, ir_infer *x, const axis *a, bool exact, taps *t) {
    const ir_dim *twice = ir_dim_mul(C, a->in, ir_dim_const(C, 2));
    ir_truth same = ir_dim_eq(C, a->in, a->out), doubled = ir_dim_eq(C, a->out, twice);
    ex half = map_op(k, K_FLOORDIV, a->i, map_int(k, 2));
    bool copies = !exact && (x->args[0].type->rank == 4 || !a->factor);
    t->n = 1;
    if (copies && same == IR_YES) t->at[0] = a->i;
    else if (copies && doubled == IR_YES) t->at[0] = half;
    else {
        ex pos = exact ? center(k, a, DT_F32) : ir_x_cast(&k->x, a->i, DT_F32);
        t->at[0] =
            map_op(k, K_MIN, floor_int(k, times(k, pos, pixel_scale(k, x, a, DT_F32))), less_one(k, a->size));
        if (!copies || !a->factor) return;
        if (doubled == IR_UNKNOWN) t->at[0] = map_if(k, map_op(k, K_EQ, map_dim(k, a->out), map_dim(k, twice)), half, t->at[0]);
        if (same == IR_UNKNOWN) t->at[0] = map_if(k, map_op(k, K_EQ, map_dim(k, a->out), a->size), a->i, t->at[0]);
    }
}

/* Source position, the element before it and how far it is past that. */
static ex source(comp *k, ir_infer *x, const axis *a, rt_dtype math, bool cubic, ex *past) {
    ex scale = pixel_scale(k, x, a, math), pos;
    if (a->align) pos = times(k, ir_x_cast(&k->x, a->i, math), scale);
    else pos = minus(k, times(k, scale, center(k, a, math)), real(k, math, 0.5));
    if (!a->align && !cubic) pos = map_op(k, K_MAX, pos, real(k, math, 0));
    ex first = map_op(k, K_MIN, floor_int(k, pos), less_one(k, a->size));
    *past = clamp(k, minus(k, pos, ir_x_cast(&k->x, first, math)), real(k, math, 0), real(k, math, 1));
    return first;
}

static void linear(comp *k, ir_infer *x, const axis *a, rt_dtype math, taps *t) {
    ex past, first = source(k, x, a, math, false, &past);
    ir_truth same = ir_dim_eq(C, a->in, a->out);
    if (a->factor && !a->align && same != IR_NO) { /* one to one, whatever the factor was */
        ex equal = same == IR_YES ? ir_x_int(&k->x, DT_BOOL, 1) : map_op(k, K_EQ, map_dim(k, a->out), a->size);
        first = map_if(k, equal, a->i, first);
        past = map_if(k, equal, real(k, math, 0), past);
    }
    t->n = 2;
    t->at[0] = first;
    t->at[1] = map_op(k, K_MIN, plus(k, first, map_int(k, 1)), less_one(k, a->size));
    t->weight[0] = minus(k, real(k, math, 1), past);
    t->weight[1] = past;
}

static ex cubic_near(comp *k, ex d, double a, rt_dtype m) {
    ex e = minus(k, times(k, real(k, m, a + 2), d), real(k, m, a + 3));
    return plus(k, times(k, times(k, e, d), d), real(k, m, 1));
}
static ex cubic_far(comp *k, ex d, double a, rt_dtype m) {
    ex e = minus(k, times(k, real(k, m, a), d), real(k, m, 5 * a));
    e = plus(k, times(k, e, d), real(k, m, 8 * a));
    return minus(k, times(k, e, d), real(k, m, 4 * a));
}
static void cubic_weights(comp *k, ex past, rt_dtype m, taps *t) {
    const double a = -0.75;
    ex one = real(k, m, 1), rest = minus(k, one, past);
    t->n = 4;
    t->weight[0] = cubic_far(k, plus(k, past, one), a, m);
    t->weight[1] = cubic_near(k, past, a, m);
    t->weight[2] = cubic_near(k, rest, a, m);
    t->weight[3] = cubic_far(k, plus(k, rest, one), a, m);
}

static void cubic(comp *k, ir_infer *x, const axis *a, rt_dtype math, taps *t) {
    ex past, first = source(k, x, a, math, true, &past);
    cubic_weights(k, past, math, t);
    for (int i = 0; i < 4; i++)
        t->at[i] = clamp(k, plus(k, first, map_int(k, i - 1)), map_int(k, 0), less_one(k, a->size));
}

/* ------------------------------------------------------------------ upsample with antialiasing */

static ex sinc(comp *k, ex e, rt_dtype m) {
    ex p = times(k, e, real(k, m, 3.14159265358979323846));
    return map_if(k, map_op(k, K_EQ, e, real(k, m, 0)), real(k, m, 1), over(k, ir_x1(&k->x, K_SIN, p), p));
}

static ex filter(comp *k, char how, ex e, rt_dtype m) {
    ex d = ir_x1(&k->x, K_ABS, e), zero = real(k, m, 0), one = real(k, m, 1);
    if (how == 'l') return map_if(k, map_op(k, K_LT, d, one), minus(k, one, d), zero);
    if (how == 'z')
        return map_if(k, map_op(k, K_LT, d, real(k, m, 3)),
                      times(k, sinc(k, e, m), sinc(k, over(k, e, real(k, m, 3)), m)), zero);
    ex far = map_if(k, map_op(k, K_LT, d, real(k, m, 2)), cubic_far(k, d, -0.5, m), zero);
    return map_if(k, map_op(k, K_LT, d, one), cubic_near(k, d, -0.5, m), far);
}

/* Size of the window when the sizes are constants, else the whole dim. */
static const ir_dim *aa_window(ir_infer *x, const axis *a, double half) {
    int64_t in, out;
    double scale;
    if (a->factor && !a->align && a->factor->op != X_CONST) return a->in;
    if (a->factor && !a->align) scale = 1.0 / a->factor->f;
    else if (ir_dim_is_const(a->in, &in) && ir_dim_is_const(a->out, &out) && (!a->align || out > 1))
        scale = a->align ? (double)(in - 1) / (double)(out - 1) : (double)in / (double)out;
    else return a->in;
    int64_t n = (int64_t)ceil((scale > 1 ? scale : 1) * half) * 2 + 3;
    return ir_dim_smaller(C, ir_dim_const(C, n), a->in);
}

/* Input index and weight of step `r` of the window of one dim; the weight is 0 outside. */
static ex aa_weight(comp *k, ir_infer *x, const axis *a, char how, double half, rt_dtype m, ex r, ex *at) {
    ex one = real(k, m, 1), scale = pixel_scale(k, x, a, m), wide = map_op(k, K_GE, scale, one);
    ex support = times(k, real(k, m, half), map_if(k, wide, scale, one)),
       mid = times(k, scale, center(k, a, m));
    ex inverse = map_if(k, wide, over(k, one, scale), one), half_one = real(k, m, 0.5);
    ex first =
        map_op(k, K_MAX, ir_x_cast(&k->x, plus(k, minus(k, mid, support), half_one), DT_I64), map_int(k, 0));
    ex end = map_op(k, K_MIN, ir_x_cast(&k->x, plus(k, plus(k, mid, support), half_one), DT_I64), a->size);
    ex i = plus(k, first, r);
    *at = map_op(k, K_MIN, i, less_one(k, a->size));
    ex w = filter(k, how, times(k, plus(k, minus(k, ir_x_cast(&k->x, i, m), mid), half_one), inverse), m);
    return map_if(k, map_op(k, K_LT, i, end), w, real(k, m, 0));
}

static bool antialiased(comp *k, ir_infer *x, char how) {
    rt_dtype m = math_dtype(x->args[0].type->dtype);
    double half = how == 'l' ? 1 : how == 'c' ? 2 : 3;
    ex at[4] = {map_at(k, 0), map_at(k, 1)}, weight = NULL;
    k->nrdims = 2, k->rdims = ir_dims_new(C, 2);
    for (int d = 0; d < 2; d++) {
        axis a;
        if (!axis_of(k, x, d, 2, &a)) return false;
        k->rdims[d] = aa_window(x, &a, half);
        ex w = aa_weight(k, x, &a, how, half, m, map_at(k, k->ndims + d), &at[2 + d]);
        weight = weight ? times(k, weight, w) : w;
    }
    k->nstate = 2, k->associative = true;
    k->elem[0] = times(k, weight, ir_x_cast(&k->x, map_load(k, &x->args[0], at), m));
    k->elem[1] = weight;
    for (int i = 0; i < 2; i++) {
        k->state_dtype[i] = m;
        k->init[i] = real(k, m, 0);
        k->combine[i] = plus(k, ir_x_param(&k->x, i, m), ir_x_param(&k->x, 2 + i, m));
    }
    k->out[0] = over(k, ir_x_param(&k->x, 0, m), ir_x_param(&k->x, 1, m));
    return true;
}

bool map_resample(comp *k, ir_infer *x) {
    const char *name = x->op->name;
    const ir_arg *in = &x->args[0];
    bool near = strstr(name, "nearest"), exact = strstr(name, "exact"), cube = strstr(name, "cubic");
    if (!near && !ir_is_float(in->type->dtype)) return ir_missing(x, "%s of integers", x->op->full);
    if (strstr(name, "_aa")) return antialiased(k, x, strstr(name, "lanczos") ? 'z' : cube ? 'c' : 'l');
    int n = k->ndims - 2;
    rt_dtype math = near ? in->type->dtype : math_dtype(in->type->dtype);
    taps t[MAX_SPATIAL] = {0};
    for (int d = 0; d < n; d++) {
        axis a;
        if (!axis_of(k, x, d, n, &a)) return false;
        if (near) nearest(k, x, &a, exact, &t[d]);
        else if (cube) cubic(k, x, &a, math, &t[d]);
        else linear(k, x, &a, math, &t[d]);
    }
    ex at[MAX_SPATIAL + 2] = {map_at(k, 0), map_at(k, 1)};
    k->out[0] = tap_sum(k, in, math, 0, n, t, at, NULL);
    return true;
}

/* ------------------------------------------------------------------ grid_sampler */

enum { PAD_ZEROS, PAD_BORDER, PAD_REFLECTION };

typedef struct grid {
    int64_t mode, pad;
    bool align;
    rt_dtype math;
} grid;

/* -1..1 to element positions */
static ex unnormalize(comp *k, const grid *g, ex e, ex size) {
    rt_dtype m = g->math;
    ex one = real(k, m, 1), two = real(k, m, 2);
    if (g->align) return times(k, over(k, plus(k, e, one), two), minus(k, size, one));
    return over(k, minus(k, times(k, plus(k, e, one), size), one), two);
}

/* Mirrors e into [low, low + span], where low is 0 (align) or -0.5. */
static ex reflected(comp *k, const grid *g, ex e, ex size) {
    rt_dtype m = g->math;
    ex low = real(k, m, g->align ? 0 : -0.5), span = g->align ? minus(k, size, real(k, m, 1)) : size,
       zero = real(k, m, 0);
    ex d = ir_x1(&k->x, K_ABS, minus(k, e, low));
    ex extra = map_op(k, K_REM, d, span), flips = ir_x1(&k->x, K_FLOOR, over(k, d, span));
    ex even = map_op(k, K_EQ, map_op(k, K_REM, flips, real(k, m, 2)), zero);
    ex r = map_if(k, even, plus(k, extra, low), plus(k, minus(k, span, extra), low));
    return map_if(k, map_op(k, K_EQ, span, zero), zero, r);
}

static ex padded(comp *k, const grid *g, ex e, ex size) {
    if (g->pad == PAD_REFLECTION) e = reflected(k, g, e, size);
    if (g->pad != PAD_ZEROS) e = clamp(k, e, real(k, g->math, 0), minus(k, size, real(k, g->math, 1)));
    return e;
}

static void tap(comp *k, taps *t, int i, ex position, const ir_dim *size) {
    t->at[i] = ir_x_cast(&k->x, position, DT_I64);
    /* compared as a float first: a position beyond i64 or NaN is outside */
    ex limit = ir_x_cast(&k->x, map_dim(k, size), position->dtype);
    ex in =
        map_and(k, map_op(k, K_GE, position, real(k, position->dtype, 0)), map_op(k, K_LT, position, limit));
    t->ok[i] = map_and(k, in, map_inside(k, t->at[i], size));
}

static void grid_taps(comp *k, const grid *g, ex e, const ir_dim *dim, taps *t) {
    rt_dtype m = g->math;
    ex size = as_real(k, dim, m), one = real(k, m, 1), pos = unnormalize(k, g, e, size);
    if (g->mode != 2) pos = padded(k, g, pos, size);
    if (g->mode == 1) {
        t->n = 1;
        tap(k, t, 0, ir_x1(&k->x, K_ROUND, pos), dim);
        return;
    }
    ex first = ir_x1(&k->x, K_FLOOR, pos), past = minus(k, pos, first);
    if (g->mode == 2) {
        cubic_weights(k, past, m, t);
        for (int i = 0; i < 4; i++) tap(k, t, i, padded(k, g, plus(k, first, real(k, m, i - 1)), size), dim);
        return;
    }
    t->n = 2;
    tap(k, t, 0, first, dim);
    tap(k, t, 1, plus(k, first, one), dim);
    t->weight[0] = minus(k, one, past);
    t->weight[1] = past;
}

bool map_grid_sampler(comp *k, ir_infer *x) {
    const ir_arg *in = &x->args[0], *where = ir_arg_named(x, "grid");
    int n = k->ndims - 2;
    grid g = {.math = math_dtype(in->type->dtype)};
    if (!ir_arg_const_int(x, "interpolation_mode", &g.mode) || !ir_arg_const_int(x, "padding_mode", &g.pad))
        return ir_missing(x, "%s: the modes must be constant", x->op->full);
    if (!ir_arg_bool(x, "align_corners", &g.align)) return false;
    if (g.mode < 0 || g.mode > 2 || (g.mode == 2 && n != 2) || g.pad < 0 || g.pad > 2)
        return ir_fail(x, "RuntimeError",
                       "grid_sampler(): interpolation mode %lld or padding mode %lld is not supported",
                       (long long)g.mode, (long long)g.pad);
    taps t[MAX_SPATIAL] = {0};
    ex at[MAX_SPATIAL + 2] = {map_at(k, 0)};
    for (int d = 0; d < n; d++) at[1 + d] = map_at(k, 2 + d);
    for (int d = 0; d < n; d++) {
        at[n + 1] = map_int(k, n - 1 - d); /* the grid's last dim is x, y, z: innermost first */
        grid_taps(k, &g, ir_x_cast(&k->x, map_load(k, where, at), g.math), in->type->dims[2 + d], &t[d]);
    }
    ex from[MAX_SPATIAL + 2] = {map_at(k, 0), map_at(k, 1)};
    k->out[0] = tap_sum(k, in, g.math, 0, n, t, from, NULL);
    return true;
}
