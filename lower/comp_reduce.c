/* comp_reduce.c: comprehensions of REDUCE rows: over dims, as a scan, over windows.
 *
 * Out-of-bounds elements of a window are guarded by a select whose other arm is the identity of the
 * combination, so that kernels may load nothing there. */
#include "ir/infer_shapes.h"
#include "lower/comp.h"

#include <ctype.h>

#define C (x->c)
typedef const ir_expr *ex;

static ex add(comp *k, ex a, ex b) { return ir_x2(&k->x, K_ADD, a, b); }
static ex mul(comp *k, ex a, ex b) { return ir_x2(&k->x, K_MUL, a, b); }
static ex num(comp *k, int64_t i) { return ir_x_int(&k->x, DT_I64, i); }
static ex dim(comp *k, const ir_dim *d) { return ir_x_dim(&k->x, d); }
static ex op2(comp *k, ir_prim op, ex a, ex b) { return ir_x2(&k->x, op, a, b); }

/* ------------------------------------------------------------------ the row's text */

enum { INIT, ELEM, COMBINE, FINISH, NSECTIONS };
struct body {
    int n[NSECTIONS];
    const char *item[NSECTIONS][COMP_MAX_STATE];
};

static const char *trimmed(ir_context *c, const char *s, const char *end) {
    while (s < end && isspace((unsigned char)*s)) s++;
    while (end > s && isspace((unsigned char)end[-1])) end--;
    return ir_internn(c, s, (size_t)(end - s));
}

/* Splits at '|' (not "||") into sections and at ';' into items. */
static bool split(ir_infer *x, struct body *b) {
    const char *s = x->op->body, *begin = s;
    int section = 0;
    memset(b, 0, sizeof *b);
    for (;; s++) {
        bool bar = *s == '|' && s[1] != '|' && (s == x->op->body || s[-1] != '|');
        if (*s && *s != ';' && !bar) continue;
        const char *item = trimmed(C, begin, s);
        if (*item && b->n[section] < COMP_MAX_STATE) b->item[section][b->n[section]++] = item;
        begin = s + 1;
        if (!*s) break;
        if (bar && ++section == NSECTIONS)
            return ir_missing(x, "%s: a row with too many sections", x->op->full);
    }
    return section == NSECTIONS - 1 || ir_missing(x, "%s: a row with too few sections", x->op->full);
}

static ex parse(comp *k, ir_infer *x, const char *text, int n, const char *const *names, const ex *values) {
    ex e = ir_scalar_parse(&k->x, text, x->compute, n, names, values, 0, NULL);
    if (!e) ir_missing(x, "%s on %s", x->op->full, rt_dtypes[x->compute].name);
    return e;
}

static bool parse_init(comp *k, ir_infer *x, const struct body *b, rt_dtype index) {
    static const char *const names[] = {"last"};
    ex last = ir_x_int(&k->x, index, index == DT_I32 ? INT32_MAX : INT64_MAX);
    k->nstate = b->n[INIT];
    for (int i = 0; i < k->nstate; i++) {
        if (!(k->init[i] = parse(k, x, b->item[INIT][i], 1, names, &last))) return false;
        k->state_dtype[i] = k->init[i]->dtype;
    }
    return true;
}

static bool parse_elem(comp *k, ir_infer *x, const struct body *b, ex self, ex index) {
    const char *const names[] = {x->op->schema->params[0].name, "index"};
    const ex values[] = {self, index};
    for (int i = 0; i < k->nstate; i++) {
        ex e = parse(k, x, b->item[ELEM][i], 2, names, values);
        if (!e) return false;
        k->elem[i] = ir_x_cast(&k->x, e, k->state_dtype[i]);
    }
    return true;
}

static bool parse_combine(comp *k, ir_infer *x, const struct body *b) {
    static const char *const names[] = {"a", "b", "c", "d", "x", "y", "z", "w"};
    const char *used[2 * COMP_MAX_STATE];
    ex values[2 * COMP_MAX_STATE];
    int n = k->nstate;
    for (int i = 0; i < 2 * n; i++) {
        used[i] = names[i < n ? i : COMP_MAX_STATE + i - n];
        values[i] = ir_x_param(&k->x, i, k->state_dtype[i % n]);
    }
    for (int i = 0; i < n; i++) {
        ex e = parse(k, x, b->item[COMBINE][i], 2 * n, used, values);
        if (!e) return false;
        k->combine[i] = ir_x_cast(&k->x, e, k->state_dtype[i]);
    }
    return true;
}

/* All but the results.  index: i64, of `count` elements. */
static bool parse_state(comp *k, ir_infer *x, const struct body *b, ex self, ex index, const ir_dim *count) {
    int64_t low, high;
    ir_dim_range(C, count, &low, &high);
    rt_dtype d = high <= INT32_MAX ? DT_I32 : DT_I64;
    return parse_init(k, x, b, d) && parse_combine(k, x, b) && parse_elem(k, x, b, self, ir_x_cast(&k->x, index, d));
}

static bool parse_finish(comp *k, ir_infer *x, const struct body *b, ex count) {
    static const char *const names[] = {"a", "b", "c", "d", "count"};
    ex values[COMP_MAX_STATE + 1];
    int n = b->n[FINISH] ? b->n[FINISH] : k->nstate;
    for (int i = 0; i < COMP_MAX_STATE; i++)
        values[i] = i < k->nstate ? ir_x_param(&k->x, i, k->state_dtype[i]) : NULL;
    values[COMP_MAX_STATE] = count ? ir_x_cast(&k->x, count, x->compute) : NULL;
    k->nout = x->nres;
    for (int i = 0; i < k->nout; i++) {
        if (i >= n) return ir_missing(x, "%s: a row with too few results", x->op->full);
        ex e = b->n[FINISH] ? parse(k, x, b->item[FINISH][i], COMP_MAX_STATE + 1, names, values) : values[i];
        if (!e) return false;
        k->out_dtype[i] = x->res[i]->dtype;
        k->out[i] = ir_x_cast(&k->x, e, k->out_dtype[i]);
    }
    return true;
}

/* ------------------------------------------------------------------ over dims */

static ex self_at(comp *k, ir_infer *x, const ex *at) {
    const ir_type *t = x->args[0].type;
    ex e = ir_x_load(&k->x, x->args[0].operand, t->dtype, t->rank, at);
    return ir_x_cast(&k->x, e, x->compute);
}

/* Row-major number of an index. */
static ex flat(comp *k, ir_context *c, int n, const ir_dim *const *dims, const ex *at) {
    ex e = num(k, 0);
    const ir_dim *step = ir_dim_const(c, 1);
    for (int d = n - 1; d >= 0; d--) {
        e = add(k, mul(k, at[d], dim(k, step)), e);
        step = ir_dim_mul(c, step, dims[d]);
    }
    return e;
}

static bool over_dims(comp *k, ir_infer *x, const struct body *b) {
    const ir_type *t = x->args[0].type;
    ex at[RT_MAX_RANK], r[RT_MAX_RANK];
    uint32_t set;
    int out = 0;
    if (!ir_reduced_axes(x, t->rank, &set)) return false;
    bool keep = k->ndims == t->rank;
    k->rdims = ir_dims_new(C, t->rank);
    for (int d = 0; d < t->rank; d++) {
        if (set >> d & 1) {
            at[d] = r[k->nrdims] = ir_x_index(&k->x, k->ndims + k->nrdims);
            k->rdims[k->nrdims++] = t->dims[d];
            out += keep;
        } else {
            at[d] = ir_x_index(&k->x, out++);
        }
    }
    const ir_dim *count = ir_numel(C, k->nrdims, (const ir_dim *const *)k->rdims);
    ex index = flat(k, C, k->nrdims, (const ir_dim *const *)k->rdims, r);
    return parse_state(k, x, b, self_at(k, x, at), index, count) && parse_finish(k, x, b, dim(k, count));
}

static bool over_scan(comp *k, ir_infer *x, const struct body *b) {
    const ir_type *t = x->args[0].type;
    ex at[RT_MAX_RANK];
    int axis;
    if (!ir_arg_axis(x, "dim", t->rank, &axis)) return false;
    if (t->rank == 0) { /* one step: no loop */
        k->nrdims = 0;
    } else {
        k->scan = axis;
        k->nrdims = 1;
        k->rdims = ir_dims_new(C, 1);
        k->rdims[0] = t->dims[axis];
    }
    for (int d = 0; d < t->rank; d++) at[d] = ir_x_index(&k->x, d == axis ? k->ndims : d);
    ex index = t->rank ? ir_x_index(&k->x, k->ndims) : num(k, 0);
    return parse_state(k, x, b, self_at(k, x, at), index, t->rank ? t->dims[axis] : ir_dim_const(C, 1)) && parse_finish(k, x, b, NULL);
}

/* ------------------------------------------------------------------ over windows */

/* Of spatial dim i of a pooling: bounds of the window of output `o`, and the place that step `r` reads. */
struct span {
    ex begin, at, inside, count;
    const ir_dim *steps;
};

static ex floordiv_up(comp *k, ex a, ex b) {
    return op2(k, K_FLOORDIV, add(k, a, op2(k, K_SUB, b, num(k, 1))), b);
}

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

/* Longest window of an adaptive pooling. */
static const ir_dim *adaptive_steps(ir_infer *x, const ir_dim *in, const ir_dim *out) {
    int64_t n, m;
    if (ir_dim_is_const(in, &n) && ir_dim_is_const(out, &m) && m > 0)
        return ir_dim_const(C, n % m == 0 ? n / m : (n + m - gcd(n, m) + m - 1) / m);
    const ir_dim *exact = ir_dim_exact_div(C, in, out);
    if (exact) return exact;
    const ir_dim *one = ir_dim_const(C, 1);
    return ir_dim_add(C, ir_dim_floordiv(C, ir_dim_sub(C, ir_dim_add(C, in, out), one), out), one);
}

static struct span adaptive_span(comp *k, ir_infer *x, const ir_window *w, int i, ex o, ex r) {
    ex in = dim(k, w->size[i]), out = dim(k, w->out[i]);
    struct span s = {.steps = adaptive_steps(x, w->size[i], w->out[i])};
    const ir_dim *exact = ir_dim_exact_div(C, w->size[i], w->out[i]);
    if (exact) { /* equal windows, nothing to guard */
        s.begin = mul(k, o, dim(k, exact));
        s.count = dim(k, exact);
        s.inside = ir_x_int(&k->x, DT_BOOL, 1);
    } else {
        s.begin = op2(k, K_FLOORDIV, mul(k, o, in), out);
        ex end = floordiv_up(k, mul(k, add(k, o, num(k, 1)), in), out);
        s.count = op2(k, K_SUB, end, s.begin);
        s.inside = op2(k, K_LT, r, s.count);
    }
    s.at = add(k, s.begin, r);
    return s;
}

/* Does every window of dim i lie inside the input? */
static bool never_outside(ir_infer *x, const ir_window *w, int i) {
    int64_t reach = w->dilation[i] * (w->kernel[i] - 1);
    const ir_dim *last =
        ir_dim_mul(C, ir_dim_sub(C, w->out[i], ir_dim_const(C, 1)), ir_dim_const(C, w->stride[i]));
    return w->pad[i] == 0 && ir_dim_lt(C, ir_dim_add(C, last, ir_dim_const(C, reach)), w->size[i]) == IR_YES;
}

static struct span kernel_span(comp *k, ir_infer *x, const ir_window *w, int i, ex o, ex r) {
    struct span s = {.steps = ir_dim_const(C, w->kernel[i])};
    ex size = dim(k, w->size[i]), zero = num(k, 0);
    s.begin = op2(k, K_SUB, mul(k, o, num(k, w->stride[i])), num(k, w->pad[i]));
    s.at = add(k, s.begin, mul(k, r, num(k, w->dilation[i])));
    s.count = num(k, w->kernel[i]);
    if (never_outside(x, w, i)) {
        s.inside = ir_x_int(&k->x, DT_BOOL, 1);
        return s;
    }
    s.inside = op2(k, K_AND, op2(k, K_GE, s.at, zero), op2(k, K_LT, s.at, size));
    /* Of averages: what lies beyond the right pad never counts, the pads only if asked for. */
    ex end = op2(k, K_MIN, add(k, s.begin, num(k, w->kernel[i])),
                 add(k, size, num(k, w->count_pad ? w->pad[i] : 0)));
    s.count = op2(k, K_SUB, end, w->count_pad ? s.begin : op2(k, K_MAX, s.begin, zero));
    return s;
}

static bool over_windows(comp *k, ir_infer *x, const struct body *b) {
    ir_window w;
    ex at[RT_MAX_RANK], inside = ir_x_int(&k->x, DT_BOOL, 1), count = num(k, 1);
    if (!ir_window_of(x, &w)) return false;
    int lead = w.rank - w.n;
    k->rdims = ir_dims_new(C, w.n);
    for (int d = 0; d < lead; d++) at[d] = ir_x_index(&k->x, d);
    for (int i = 0; i < w.n; i++) {
        ex o = ir_x_index(&k->x, lead + i), r = ir_x_index(&k->x, k->ndims + i);
        struct span s = w.adaptive ? adaptive_span(k, x, &w, i, o, r) : kernel_span(k, x, &w, i, o, r);
        k->rdims[k->nrdims++] = s.steps;
        at[lead + i] = s.at;
        inside = op2(k, K_AND, inside, s.inside);
        count = mul(k, count, s.count);
    }
    if (w.divisor) count = num(k, w.divisor);
    ex index = flat(k, C, w.n, w.size, at + lead);
    if (!parse_state(k, x, b, self_at(k, x, at), index, ir_numel(C, w.n, w.size))) return false;
    for (int i = 0; i < k->nstate; i++) k->elem[i] = ir_x_select(&k->x, inside, k->elem[i], k->init[i]);
    return parse_finish(k, x, b, count);
}

bool comp_reduce(comp *k, ir_infer *x) {
    struct body b;
    if (!split(x, &b)) return false;
    k->associative = true;
    if (!strcmp(x->op->dims, "scan")) return over_scan(k, x, &b);
    if (!strcmp(x->op->dims, "window")) return over_windows(k, x, &b);
    return over_dims(k, x, &b);
}
