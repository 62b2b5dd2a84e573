/* infer_shapes.c: geometry of windows (pooling), convolutions and equations (matmul, einsum): read from the
 * arguments and checked once, used by the shape rule and by the comprehension.  Sizes may be symbolic; kernel
 * sizes, strides, pads and dilations must be constants. */
#include "ir/infer_shapes.h"

#include <assert.h>
#include <ctype.h>

#define C (x->c)

static const ir_dim *num(ir_infer *x, int64_t k) { return ir_dim_const(C, k); }

/* Constants of an int[n] argument into out[n]: one stands for all, none for `def`. */
static bool spatial_ints(ir_infer *x, const char *name, int n, const int64_t *def, int64_t least,
                         int64_t *out) {
    int64_t *v = NULL;
    int count = 0;
    if (ir_arg_given(x, name) && !ir_arg_const_ints(x, name, &count, &v)) return false;
    if (count != 0 && count != 1 && count != n)
        return ir_fail(x, "RuntimeError", "%s: %s must be an int or a list of %d ints", x->op->name, name, n);
    for (int i = 0; i < n; i++) {
        out[i] = count == 0 ? def[i] : v[count == 1 ? 0 : i];
        if (out[i] < least || out[i] > INT32_MAX)
            return ir_fail(x, "RuntimeError", "%s: %s of %lld is out of range", x->op->name, name,
                           (long long)out[i]);
    }
    return true;
}

/* ------------------------------------------------------------------ windows */

static bool optional_bool(ir_infer *x, const char *name, bool def, bool *out) {
    *out = def;
    return !ir_arg_given(x, name) || ir_arg_bool(x, name, out);
}

static int spatial_dims(const char *op_name) { /* the digit of "max_pool2d" */
    const char *p = strstr(op_name, "pool");
    while (p && *p && !isdigit((unsigned char)*p)) p++;
    return p && *p >= '1' && *p <= '3' ? *p - '0' : 0;
}

/* The last window must begin inside the input or its left pad. */
static const ir_dim *pooled_size(ir_infer *x, const ir_window *w, int i, bool up) {
    const ir_dim *in = w->size[i], *s = num(x, w->stride[i]), *one = num(x, 1);
    int64_t reach = w->dilation[i] * (w->kernel[i] - 1) + 1;
    const ir_dim *span = ir_dim_add(C, in, num(x, 2 * w->pad[i] - reach + (up ? w->stride[i] - 1 : 0)));
    const ir_dim *out = ir_dim_add(C, ir_dim_floordiv(C, span, s), one);
    if (!up) return out;
    const ir_dim *begin = ir_dim_add(C, in, num(x, w->pad[i] - 1));
    return ir_dim_smaller(C, out, ir_dim_add(C, ir_dim_floordiv(C, begin, s), one));
}

static bool window_kernel(ir_infer *x, ir_window *w) {
    static const int64_t zero[3] = {0, 0, 0}, one[3] = {1, 1, 1};
    bool up;
    const ir_arg *divisor = ir_arg_given(x, "divisor_override");
    if (!spatial_ints(x, "kernel_size", w->n, one, 1, w->kernel) ||
        !spatial_ints(x, "stride", w->n, w->kernel, 1, w->stride) ||
        !spatial_ints(x, "padding", w->n, zero, 0, w->pad) ||
        !spatial_ints(x, "dilation", w->n, one, 1, w->dilation) ||
        !optional_bool(x, "ceil_mode", false, &up) ||
        !optional_bool(x, "count_include_pad", true, &w->count_pad))
        return false;
    if (divisor && (!ir_dim_is_const(divisor->dim, &w->divisor) || w->divisor == 0))
        return ir_fail(x, "RuntimeError", "divisor must be not zero");
    for (int i = 0; i < w->n; i++) {
        if (2 * w->pad[i] > w->kernel[i])
            return ir_fail(x, "RuntimeError", "pad should be at most half of effective kernel size");
        w->out[i] = pooled_size(x, w, i, up);
        if (!ir_require_le(x, num(x, 1), w->out[i], "%s: output size is too small", x->op->name))
            return false;
    }
    return true;
}

static bool window_adaptive(ir_infer *x, ir_window *w) {
    const ir_dim **size;
    int n;
    if (!ir_arg_ints(x, "output_size", &n, &size)) return false;
    if (n != 1 && n != w->n)
        return ir_fail(x, "RuntimeError", "%s: output_size must have %d elements", x->op->name, w->n);
    for (int i = 0; i < w->n; i++) {
        w->out[i] = size[n == 1 ? 0 : i];
        if (!ir_require_le(x, num(x, 0), w->out[i], "%s: output_size must not be negative", x->op->name) ||
            !ir_require_le(x, num(x, 1), w->size[i], "%s: input must have non-zero spatial dims",
                           x->op->name))
            return false;
    }
    return true;
}

bool ir_window_of(ir_infer *x, ir_window *w) {
    memset(w, 0, sizeof *w);
    w->n = spatial_dims(x->op->name);
    w->adaptive = !strncmp(x->op->name, "adaptive", 8);
    w->self = ir_arg_tensor(x, "self");
    assert(w->n);
    if (!w->self) return false;
    w->rank = w->self->rank;
    if (w->rank < w->n + 1 || w->rank > w->n + 2)
        return ir_fail(x, "RuntimeError", "%s: expected %dD or %dD input, got %dD", x->op->name, w->n + 1,
                       w->n + 2, w->rank);
    for (int i = 0; i < w->n; i++) w->size[i] = w->self->dims[w->rank - w->n + i];
    if (!(w->adaptive ? window_adaptive(x, w) : window_kernel(x, w))) return false;
    for (int d = 0; d < w->rank; d++)
        w->dims[d] = d < w->rank - w->n ? w->self->dims[d] : w->out[d - (w->rank - w->n)];
    return true;
}

/* ------------------------------------------------------------------ convolution */

static const ir_dim *conv_size(ir_infer *x, const ir_conv *v, int i) {
    const ir_dim *in = v->input->dims[i + 2], *s = num(x, v->stride[i]);
    const ir_dim *reach =
        ir_dim_mul(C, num(x, v->dilation[i]), ir_dim_sub(C, v->weight->dims[i + 2], num(x, 1)));
    if (v->transposed) {
        const ir_dim *span = ir_dim_mul(C, ir_dim_sub(C, in, num(x, 1)), s);
        return ir_dim_add(C, ir_dim_add(C, span, reach), num(x, v->output_pad[i] + 1 - 2 * v->pad[i]));
    }
    const ir_dim *span = ir_dim_sub(C, ir_dim_add(C, in, num(x, 2 * v->pad[i] - 1)), reach);
    return ir_dim_add(C, ir_dim_floordiv(C, span, s), num(x, 1));
}

static bool conv_numbers(ir_infer *x, ir_conv *v) {
    static const int64_t zero[3] = {0, 0, 0}, one[3] = {1, 1, 1};
    if (!ir_arg_bool(x, "transposed", &v->transposed)) return false;
    if (!ir_arg_const_int(x, "groups", &v->groups) || v->groups < 1)
        return ir_fail(x, "RuntimeError", "convolution: groups must be a positive constant");
    return spatial_ints(x, "stride", v->n, one, 1, v->stride) &&
           spatial_ints(x, "padding", v->n, zero, 0, v->pad) &&
           spatial_ints(x, "dilation", v->n, one, 1, v->dilation) &&
           spatial_ints(x, "output_padding", v->n, zero, 0, v->output_pad);
}

/* weight: [out, in / groups, ...], transposed: [in, out / groups, ...] */
static bool conv_channels(ir_infer *x, ir_conv *v) {
    const ir_dim *groups = num(x, v->groups), *in = v->input->dims[1], **w = v->weight->dims;
    const ir_dim *first = ir_dim_exact_div(C, w[0], groups);
    if (!first) first = ir_dim_floordiv(C, w[0], groups);
    if (!ir_require_eq(x, ir_dim_mul(C, first, groups), w[0],
                       "Given groups=%lld, expected weight to be divisible by it at dimension 0, but got "
                       "weight of size %s",
                       (long long)v->groups, ir_dims_text(C, v->weight->rank, w)))
        return false;
    v->in_per_group = v->transposed ? first : w[1];
    v->out_per_group = v->transposed ? w[1] : first;
    const ir_dim *want = v->transposed ? w[0] : ir_dim_mul(C, w[1], groups);
    if (!ir_require_eq(x, in, want,
                       "Given groups=%lld, weight of size %s, expected input%s to have %s channels, but got "
                       "%s channels instead",
                       (long long)v->groups, ir_dims_text(C, v->weight->rank, w),
                       ir_dims_text(C, v->input->rank, v->input->dims), ir_dims_text(C, 1, &want),
                       ir_dims_text(C, 1, &in)))
        return false;
    v->dims[0] = v->input->dims[0];
    v->dims[1] = ir_dim_mul(C, v->out_per_group, groups);
    return !v->bias || v->bias->rank != 1
               ? !v->bias || ir_fail(x, "RuntimeError", "convolution: bias must have one dimension")
               : ir_require_eq(x, v->bias->dims[0], v->dims[1],
                               "convolution: bias must have as many elements as there are output channels");
}

bool ir_conv_of(ir_infer *x, ir_conv *v) {
    memset(v, 0, sizeof *v);
    v->input = ir_arg_tensor(x, "input");
    v->weight = ir_arg_tensor(x, "weight");
    if (!v->input || !v->weight || (ir_arg_given(x, "bias") && !(v->bias = ir_arg_tensor(x, "bias"))))
        return false;
    v->n = v->weight->rank - 2;
    if (v->n < 1 || v->n > IR_MAX_SPATIAL)
        return ir_fail(x, "RuntimeError", "convolution: weight must have 3 to 5 dimensions");
    if (v->input->rank != v->weight->rank)
        return ir_fail(x, "RuntimeError", "Expected %dD input to convolution, but got input of size: %s",
                       v->weight->rank, ir_dims_text(C, v->input->rank, v->input->dims));
    if (v->input->dtype != v->weight->dtype || (v->bias && v->bias->dtype != v->input->dtype))
        return ir_fail(x, "RuntimeError", "Input type (%s) and weight or bias type (%s) should be the same",
                       rt_dtypes[v->input->dtype].name, rt_dtypes[v->weight->dtype].name);
    if (!conv_numbers(x, v) || !conv_channels(x, v)) return false;
    for (int i = 0; i < v->n; i++) {
        v->dims[i + 2] = conv_size(x, v, i);
        if (v->transposed && v->output_pad[i] >= v->stride[i] && v->output_pad[i] >= v->dilation[i])
            return ir_fail(x, "RuntimeError",
                           "output padding must be smaller than either stride or dilation");
        if (!ir_require_le(x, num(x, 1), v->dims[i + 2],
                           "Calculated padded input size per channel is smaller than the kernel size"))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ equations */

struct reader {
    ir_infer *x;
    ir_equation *e;
    const char *text[IR_MAX_OPERANDS + 1]; /* of the operands; [noperands]: of the result, NULL: implicit */
    int len[IR_MAX_OPERANDS + 1];
    int id[128];                  /* letter -> number, -1: not seen */
    int dots[RT_MAX_RANK], ndots; /* numbers of the dims under "...", right aligned */
    bool strict;                  /* named letters do not broadcast */
};

static bool bad(struct reader *r, const char *what) {
    return ir_fail(r->x, "RuntimeError", "%s: %s", r->x->op->name, what);
}

static bool split(struct reader *r, const char *eq) {
    int k = 0;
    r->text[0] = eq;
    for (const char *p = eq; *p; p++) {
        if (*p == ',') {
            if (++k >= r->e->noperands)
                return bad(r, "more operands were provided in the equation than in the operands list");
            r->text[k] = p + 1;
        } else if (p[0] == '-' && p[1] == '>') {
            r->text[r->e->noperands] = p + 2;
            r->len[r->e->noperands] = (int)strlen(p + 2);
            break;
        } else {
            if (!isalpha((unsigned char)*p) && *p != '.' && *p != ' ')
                return bad(r, "invalid character in the equation");
            r->len[k]++;
        }
    }
    return k + 1 == r->e->noperands ||
           bad(r, "fewer operands were provided in the equation than in the operands list");
}

static int count_letters(const char *s, int n, bool *dots) {
    int letters = 0;
    *dots = false;
    for (int i = 0; i < n; i++)
        if (s[i] == '.') *dots = true;
        else letters += s[i] != ' ';
    return letters;
}

static bool measure(struct reader *r) {
    for (int k = 0; k < r->e->noperands; k++) {
        bool dots;
        int n = count_letters(r->text[k], r->len[k], &dots), more = r->e->rank[k] - n;
        if (more < 0 || (more > 0 && !dots))
            return ir_fail(r->x, "RuntimeError",
                           "%s: operand %d has %d dimensions, the equation \"%.*s\" has %d", r->x->op->name,
                           k, r->e->rank[k], r->len[k], r->text[k], n);
        if (more > r->ndots) r->ndots = more;
    }
    return true;
}

static int number(struct reader *r, int *id) {
    if (*id < 0) *id = r->e->nletters++;
    return *id;
}

/* Gives numbers to the letters of one term in order; letter != NULL takes them, for an operand of `rank`
 * dims. */
static bool walk(struct reader *r, const char *s, int n, int rank, int *letter) {
    bool dots;
    int named = count_letters(s, n, &dots), under = letter ? rank - named : r->ndots, d = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] == ' ') continue;
        if (s[i] != '.') {
            int id = number(r, &r->id[(unsigned char)s[i]]);
            if (letter) letter[d++] = id;
            continue;
        }
        if (strncmp(s + i, "...", 3) || n - i < 3) return bad(r, "found '.' that is not part of an ellipsis");
        for (int j = r->ndots - under; j < r->ndots; j++) {
            int id = number(r, &r->dots[j]);
            if (letter) letter[d++] = id;
        }
        i += 2;
        if (memchr(s + i + 1, '.', (size_t)(n - i - 1))) return bad(r, "more than one ellipsis in a term");
    }
    return true;
}

/* Implicit result: the ellipsis, then the letters that occur once, in order of the alphabet. */
static void implicit_result(struct reader *r) {
    int count[128] = {0};
    char *s = RT_ARRAY(&r->x->c->arena, char, 64);
    int n = 3;
    memcpy(s, "...", 3);
    for (int k = 0; k < r->e->noperands; k++)
        for (int i = 0; i < r->len[k]; i++) count[(unsigned char)r->text[k][i]]++;
    for (int ch = 'A'; ch <= 'z'; ch++)
        if (isalpha(ch) && count[ch] == 1) s[n++] = (char)ch;
    r->text[r->e->noperands] = s;
    r->len[r->e->noperands] = n;
}

static bool letter_size(struct reader *r, int k, int d) {
    ir_infer *x = r->x;
    ir_equation *e = r->e;
    const ir_dim **have = &e->dims[e->letter[k][d]], *size = e->type[k]->dims[d];
    bool named = true;
    for (int j = 0; j < r->ndots; j++) named = named && r->dots[j] != e->letter[k][d];
    bool fixed = r->strict && named;
    if (!*have || (!fixed && ir_dim_is(*have, 1))) return *have = size, true;
    if (!fixed && ir_dim_is(size, 1)) return true;
    if (!fixed) {
        const ir_dim *was = *have;
        return ir_broadcast_size(x, have, size, "%s: sizes %s and %s do not match (dimension %d of operand %d)",
                                 x->op->name, ir_dims_text(C, 1, &was), ir_dims_text(C, 1, &size), d, k);
    }
    return ir_require_eq(x, *have, size, "%s: sizes %s and %s do not match (dimension %d of operand %d)",
                         x->op->name, ir_dims_text(C, 1, have), ir_dims_text(C, 1, &size), d, k);
}

static bool sizes(struct reader *r) {
    ir_equation *e = r->e;
    for (int k = 0; k < e->noperands; k++)
        for (int d = 0; d < e->rank[k]; d++)
            if (!letter_size(r, k, d)) return false;
    for (int i = 0; i < e->nletters; i++)
        if (!e->dims[i]) return bad(r, "a letter of the result is in no operand");
    for (int k = 0; k < e->noperands; k++)
        for (int d = 0; d < e->rank[k]; d++)
            if (ir_dim_is(e->type[k]->dims[d], 1) && !ir_dim_is(e->dims[e->letter[k][d]], 1)) e->letter[k][d] = -1;
    return true;
}

static bool read_equation(ir_infer *x, ir_equation *e, const char *eq) {
    struct reader r = {.x = x, .e = e, .strict = strcmp(x->op->name, "einsum") != 0};
    int last = e->noperands;
    memset(r.id, -1, sizeof r.id);
    memset(r.dots, -1, sizeof r.dots);
    if (!split(&r, eq) || !measure(&r)) return false;
    if (!r.text[last]) implicit_result(&r);
    bool dots;
    int named = count_letters(r.text[last], r.len[last], &dots);
    if (named + (dots ? r.ndots : 0) > RT_MAX_RANK) return bad(&r, "the result has too many dimensions");
    if (!walk(&r, r.text[last], r.len[last], 0, NULL)) return false;
    e->nout = e->nletters;
    if (e->nout != named + (dots ? r.ndots : 0)) return bad(&r, "a letter occurs twice in the result");
    for (int k = 0; k < e->noperands; k++)
        if (!walk(&r, r.text[k], r.len[k], e->rank[k], e->letter[k])) return false;
    return sizes(&r);
}

/* matmul, by ranks: a vector on either side loses its dim. */
static const char *matmul_equation(int a, int b) {
    if (a == 1 && b == 1) return "k,k->";
    if (a == 1) return "k,...kn->...n";
    return b == 1 ? "...mk,k->...m" : "...mk,...kn->...mn";
}

static bool add_operand(ir_infer *x, ir_equation *e, const ir_arg *a) {
    if (a->kind != A_TENSOR) return true;
    if (e->noperands == IR_MAX_OPERANDS)
        return ir_missing(x, "%s of more than %d operands", x->op->name, IR_MAX_OPERANDS);
    e->type[e->noperands] = a->type;
    e->rank[e->noperands] = a->type->rank;
    e->operand[e->noperands++] = a->operand;
    return a->type->dtype == e->type[0]->dtype ||
           ir_fail(x, "RuntimeError", "%s: expected operands of the same dtype, but got: %s != %s",
                   x->op->name, rt_dtypes[e->type[0]->dtype].name, rt_dtypes[a->type->dtype].name);
}

bool ir_equation_of(ir_infer *x, ir_equation *e) {
    const char *eq = x->op->body;
    memset(e, 0, sizeof *e);
    for (int i = 0; i < x->nargs; i++) {
        const ir_arg *a = &x->args[i];
        if (!strcmp(x->op->schema->params[i].name, "bias")) continue;
        if (a->kind == A_TENSOR && !add_operand(x, e, a)) return false;
        for (int j = 0; a->kind == A_LIST && j < a->n; j++)
            if (!add_operand(x, e, &a->at[j])) return false;
    }
    if (!e->noperands)
        return ir_fail(x, "RuntimeError", "%s: must provide at least one operand", x->op->name);
    if (!strcmp(eq, "einsum") && (!ir_arg_str(x, "equation", &eq) || !eq)) return false;
    if (!strcmp(eq, "linear")) eq = e->rank[1] == 1 ? "...k,k->..." : "...k,nk->...n";
    if (!strcmp(eq, "matmul")) {
        if (!e->rank[0] || !e->rank[1])
            return ir_fail(x, "RuntimeError",
                           "both arguments to matmul need to be at least 1D, but they are %dD and %dD",
                           e->rank[0], e->rank[1]);
        eq = matmul_equation(e->rank[0], e->rank[1]);
    }
    return read_equation(x, e, eq);
}

bool ir_infer_contract(ir_infer *x) {
    if (!strcmp(x->op->body, "conv")) {
        ir_conv v;
        if (!ir_conv_of(x, &v)) return false;
        x->compute = ir_compute_dtype(v.input->dtype);
        return ir_result(x, v.input->dtype, v.n + 2, v.dims);
    }
    ir_equation e;
    if (!ir_equation_of(x, &e)) return false;
    const ir_arg *bias = ir_arg_given(x, "bias");
    if (bias) {
        const ir_type *both[2] = {ir_type_tensor(C, e.type[0]->dtype, e.nout, e.dims), bias->type};
        const ir_dim *dims[RT_MAX_RANK];
        int rank;
        if (bias->type->dtype != e.type[0]->dtype)
            return ir_fail(x, "RuntimeError", "%s: bias and input have different dtypes", x->op->name);
        if (!ir_broadcast_dims(x, 2, both, &rank, dims)) return false;
        if (rank != e.nout)
            return ir_fail(x, "RuntimeError", "%s: bias has more dimensions than the result", x->op->name);
        for (int d = 0; d < rank; d++)
            if (!ir_require_eq(x, dims[d], e.dims[d], "%s: bias does not fit the result", x->op->name))
                return false;
    }
    x->compute = ir_compute_dtype(e.type[0]->dtype);
    return ir_result(x, e.type[0]->dtype, e.nout, e.dims);
}
