/* infer.c: types and shapes of the results of an op, by class; MOVE and OPAQUE rows have a rule of their own
 * (rules.c, views.c).  Type promotion is torch.result_type's: tensors with dims over zero-dim tensors over
 * numbers, a lower category counting only if its kind is higher. */
#include "ir/infer_shapes.h"
#include "ir/scalar.h"

#include <assert.h>
#include <math.h>

#define C (x->c)

/* ------------------------------------------------------------------ for rules */

bool ir_fail(ir_infer *x, const char *cls, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    x->error_cls = cls;
    x->error = rt_arena_vfmt(&C->arena, fmt, ap);
    va_end(ap);
    return false;
}

static bool require(ir_infer *x, ir_truth t, int rel, const ir_dim *a, const ir_dim *b, const char *fmt,
                    va_list ap) {
    if (t == IR_YES) return true;
    const char *why = rt_arena_vfmt(&C->arena, fmt, ap);
    if (t == IR_NO) return ir_fail(x, "RuntimeError", "%s", why);
    RT_PUSH(&C->arena, &x->guards, ((ir_guard){a, rel, b, why, x->span}));
    return true;
}

bool ir_require_eq(ir_infer *x, const ir_dim *a, const ir_dim *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    bool ok = require(x, ir_dim_eq(C, a, b), '=', a, b, fmt, ap);
    va_end(ap);
    return ok;
}

bool ir_require_le(ir_infer *x, const ir_dim *a, const ir_dim *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    bool ok = require(x, ir_dim_le(C, a, b), '<', a, b, fmt, ap);
    va_end(ap);
    return ok;
}

const ir_arg *ir_arg_named(const ir_infer *x, const char *name) {
    const ir_schema *s = x->op->schema;
    for (int i = 0; i < x->nargs; i++)
        if (!strcmp(s->params[i].name, name)) return &x->args[i];
    assert(!"no such parameter");
    return NULL;
}

bool ir_arg_const_int(const ir_infer *x, const char *name, int64_t *out) {
    const ir_arg *a = ir_arg_named(x, name);
    if (a->kind == A_BOOL && a->known) return *out = a->i, true;
    return a->kind == A_INT && ir_dim_is_const(a->dim, out);
}

static bool hint_of(void *env, const char *symbol, int64_t *out) {
    *out = ir_symbol_get(env, symbol)->hint;
    return *out != 0;
}

bool ir_taken_as_one(ir_context *c, const ir_dim *d) {
    int64_t value;
    return ir_dim_is(d, 1) || (ir_dim_eval(d, hint_of, c, &value) && value == 1 && ir_dim_eq(c, d, ir_dim_const(c, 1)) != IR_NO);
}

/* Does the run decide whether d is 1?  Not where the examples say that it never was, and not of a computed size: that
 * one is taken to match. */
static bool may_be_one(ir_context *c, const ir_dim *d) {
    int64_t lo, hi, value;
    bool simple = d->nterms == 1 && d->terms[0].coef == 1 && d->terms[0].natoms == 1;
    ir_dim_range(c, d, &lo, &hi);
    if (lo > 1 || hi < 1 || !simple) return lo == 1 && hi == 1;
    if (ir_dim_eval(d, hint_of, c, &value)) return value == 1;
    ir_atom_kind kind = d->terms[0].atoms[0]->kind;
    return kind == ATOM_SYMBOL || kind == ATOM_MAX;
}

static const ir_dim *distance(ir_context *c, const ir_dim *a, const ir_dim *b) {
    return ir_dim_max(c, ir_dim_sub(c, a, b), ir_dim_sub(c, b, a));
}

/* 0 exactly if a == b or one of the given is 1. */
static const ir_dim *mismatch(ir_context *c, const ir_dim *a, const ir_dim *b, bool one_a, bool one_b) {
    const ir_dim *one = ir_dim_const(c, 1), *d = distance(c, a, b);
    if (one_a) d = ir_dim_min(c, d, distance(c, a, one));
    return one_b ? ir_dim_min(c, d, distance(c, b, one)) : d;
}

/* The size of two that match, both of which may be 1: a if that is not 1, else b. */
static const ir_dim *larger(ir_context *c, const ir_dim *a, const ir_dim *b) {
    int64_t la, lb, hi;
    ir_dim_range(c, a, &la, &hi);
    ir_dim_range(c, b, &lb, &hi);
    if (la >= 1 && lb >= 1) return ir_dim_max(c, a, b);
    const ir_dim *zero = ir_dim_const(c, 0), *two = ir_dim_const(c, 2);
    const ir_dim *is_one = ir_dim_max(c, zero, ir_dim_min(c, a, ir_dim_sub(c, two, a))); /* of a >= 0 */
    return ir_dim_add(c, a, ir_dim_mul(c, is_one, ir_dim_sub(c, b, a)));
}

const ir_dim *ir_broadcast_step(ir_context *c, const ir_dim *from, const ir_dim *to) {
    const ir_dim *one = ir_dim_const(c, 1);
    if (ir_dim_is(from, 1)) return ir_dim_const(c, 0);
    if (from == to || !may_be_one(c, from)) return one;
    return ir_dim_min(c, one, ir_dim_sub(c, from, one));
}

static bool require_match(ir_infer *x, const ir_dim *a, const ir_dim *b, bool one_a, bool one_b, const char *fmt, va_list ap) {
    const ir_dim *zero = ir_dim_const(C, 0), *m = mismatch(C, a, b, one_a, one_b);
    return one_a || one_b ? require(x, ir_dim_eq(C, m, zero), '=', m, zero, fmt, ap) : require(x, ir_dim_eq(C, a, b), '=', a, b, fmt, ap);
}

bool ir_require_broadcast(ir_infer *x, const ir_dim *from, const ir_dim *to, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    bool one = may_be_one(C, from), ok = from == to || ir_dim_is(from, 1) || require_match(x, from, to, one, false, fmt, ap);
    va_end(ap);
    return ok;
}

bool ir_broadcast_size(ir_infer *x, const ir_dim **into, const ir_dim *d, const char *fmt, ...) {
    const ir_dim *a = *into;
    if (ir_dim_is(a, 1)) return *into = d, true;
    if (ir_dim_is(d, 1) || a == d) return true;
    bool equal = ir_dim_eq(C, a, d) == IR_YES, one_a = !equal && may_be_one(C, a), one_d = !equal && may_be_one(C, d);
    if (one_a && one_d) *into = larger(C, a, d);
    else if (one_a || ir_dim_is_const(d, NULL)) *into = d; /* a known size is the size */
    va_list ap;
    va_start(ap, fmt);
    bool ok = require_match(x, a, d, one_a, one_d, fmt, ap);
    va_end(ap);
    return ok;
}

static bool broadcast_dim(ir_infer *x, const ir_dim **into, const ir_dim *d, int axis) {
    const ir_dim *a = *into;
    if (!a) return *into = d, true;
    return ir_broadcast_size(x, into, d, "The size of tensor a (%s) must match the size of tensor b (%s) at non-singleton dimension %d",
                             ir_dims_text(C, 1, &a), ir_dims_text(C, 1, &d), axis);
}

bool ir_broadcast_dims(ir_infer *x, int n, const ir_type *const *tensors, int *rank, const ir_dim **dims) {
    *rank = 0;
    for (int i = 0; i < n; i++)
        if (tensors[i]->rank > *rank) *rank = tensors[i]->rank;
    for (int d = 0; d < *rank; d++) {
        dims[d] = NULL;
        for (int i = 0; i < n; i++) {
            int at = d - (*rank - tensors[i]->rank);
            if (at >= 0 && !broadcast_dim(x, &dims[d], tensors[i]->dims[at], d)) return false;
        }
    }
    return true;
}

bool ir_is_view(const ir_op *op) { return op->view; }

/* ------------------------------------------------------------------ promotion */

static bool is_float(rt_dtype d) { return d != DT_NONE && rt_dtypes[d].kind == 'F'; }

rt_dtype ir_compute_dtype(rt_dtype d) { return d == DT_F16 || d == DT_BF16 ? DT_F32 : d; }

static rt_dtype join(rt_dtype a, rt_dtype b) {
    return a == DT_NONE ? b : b == DT_NONE ? a : rt_promote(a, b);
}

static rt_dtype combine(rt_dtype higher, rt_dtype lower) {
    if (is_float(higher)) return higher;
    if (higher == DT_BOOL || is_float(lower)) return join(higher, lower);
    return higher != DT_NONE ? higher : lower;
}

static rt_dtype number_dtype(const ir_arg *a) {
    return a->kind == A_BOOL ? DT_BOOL : a->kind == A_INT ? DT_I64 : a->kind == A_FLOAT ? DT_F32 : DT_NONE;
}

static bool is_one_of(const char *s, const char *const *words) {
    for (; *words; words++)
        if (!strcmp(s, *words)) return true;
    return false;
}

/* Conditions do not promote; of the numbers only those that stand for a tensor operand do. */
bool ir_param_is_condition(const char *name) {
    static const char *const names[] = {"condition", "mask", NULL};
    return is_one_of(name, names);
}

bool ir_param_is_limit(const char *name) {
    static const char *const names[] = {"min", "max", "min_val", "max_val", NULL};
    return is_one_of(name, names);
}

bool ir_int_range(rt_dtype d, int64_t *low, int64_t *high) {
    bool is_signed = rt_dtypes[d].kind == 'I';
    if (!is_signed && rt_dtypes[d].kind != 'U') return false;
    *high = (int64_t)(UINT64_MAX >> (64 - rt_dtypes[d].bits + is_signed));
    *low = is_signed ? -*high - 1 : 0;
    return true;
}

static bool number_promotes(const char *name) {
    static const char *const names[] = {"self", "other", "exponent", "min", "max", "input", NULL};
    return is_one_of(name, names);
}

struct categories {
    rt_dtype dim, zero, wrapped;
};

static void count_tensor(struct categories *r, const ir_arg *a) {
    rt_dtype d = a->type->dtype;
    if (a->wrapped) r->wrapped = join(r->wrapped, is_float(d) ? DT_F32 : d);
    else if (a->type->rank > 0) r->dim = join(r->dim, d);
    else r->zero = join(r->zero, d);
}

rt_dtype ir_promoted_type(const ir_infer *x) {
    struct categories r = {DT_NONE, DT_NONE, DT_NONE};
    for (int i = 0; i < x->nargs; i++) {
        const ir_arg *a = &x->args[i];
        const ir_param *p = &x->op->schema->params[i];
        if (ir_param_is_condition(p->name)) continue;
        if (a->kind == A_TENSOR) count_tensor(&r, a);
        else if (a->kind == A_LIST)
            for (int j = 0; j < a->n; j++)
                if (a->at[j].kind == A_TENSOR) count_tensor(&r, &a->at[j]);
        if (a->kind != A_TENSOR && number_promotes(p->name)) r.wrapped = join(r.wrapped, number_dtype(a));
    }
    return combine(r.dim, combine(r.zero, r.wrapped));
}

static rt_dtype first_dtype(const ir_infer *x) {
    for (int i = 0; i < x->nargs; i++) {
        const ir_arg *a = &x->args[i];
        if (a->kind == A_TENSOR && !ir_param_is_condition(x->op->schema->params[i].name))
            return a->type->dtype;
        if (a->kind == A_LIST && a->n && a->at[0].kind == A_TENSOR) return a->at[0].type->dtype;
    }
    return DT_NONE;
}

/* The dtype of numbers that fill a new tensor. */
static rt_dtype numbers_dtype(const ir_infer *x) {
    rt_dtype d = DT_NONE;
    for (int i = 0; i < x->nargs; i++)
        if (x->op->schema->params[i].type->kind == T_NUMBER) d = join(d, number_dtype(&x->args[i]));
    return d == DT_NONE ? DT_F32 : d;
}

/* Of rule "dtype/WORD": the dtype argument, else by WORD. */
static bool given_dtype(ir_infer *x, const char *word, rt_dtype *out) {
    const ir_arg *a = ir_arg_given(x, "dtype");
    int64_t code;
    if (a) {
        if (a->kind != A_INT || !ir_dim_is_const(a->dim, &code))
            return ir_missing(x, "%s with a dtype that is not constant", x->op->name);
        *out = rt_dtype_by_c10(code);
        return *out != DT_NONE || ir_missing(x, "%s: dtype number %lld", x->op->name, (long long)code);
    }
    if (!strcmp(word, "numbers")) *out = numbers_dtype(x);
    else if (!strcmp(word, "float")) *out = DT_F32;
    else if (!strcmp(word, "self")) *out = first_dtype(x);
    else if (!strcmp(word, "i64")) *out = DT_I64;
    else if (!strcmp(word, "sum")) *out = is_float(first_dtype(x)) ? first_dtype(x) : DT_I64;
    else if (!strcmp(word, "mean")) *out = first_dtype(x);
    else return ir_missing(x, "promotion rule of %s", x->op->full);
    return true;
}

/* "mode": true division of integers gives floats, the rounding modes keep the promoted type. */
static rt_dtype mode_dtype(ir_infer *x, rt_dtype d) {
    const ir_arg *mode = ir_arg_given(x, "rounding_mode");
    return mode || is_float(d) ? d : DT_F32;
}

/* Result and compute dtype. */
static bool promote(ir_infer *x, rt_dtype *result) {
    const char *rule = x->op->promote;
    rt_dtype d = DT_NONE;
    *result = DT_NONE;
    if (!strncmp(rule, "dtype/", 6)) {
        if (!given_dtype(x, rule + 6, result)) return false;
        d = *result;
        if (!strcmp(rule, "dtype/mean") && !is_float(d))
            return ir_fail(x, "RuntimeError",
                           "mean(): could not infer output dtype. Input dtype must be either a floating "
                           "point or complex dtype.");
    } else if (!strcmp(rule, "self") || !strcmp(rule, "sum") || !strcmp(rule, "selfbool") ||
               !strcmp(rule, "selfi64")) {
        d = first_dtype(x);
        if (!strcmp(rule, "sum") && !is_float(d)) d = DT_I64;
        if (!strcmp(rule, "selfbool")) *result = d == DT_U8 ? DT_U8 : DT_BOOL; /* as PyTorch's all and any */
        if (!strcmp(rule, "selfi64")) *result = DT_I64;
    } else {
        d = ir_promoted_type(x);
        if (!strcmp(rule, "float") && !is_float(d)) d = DT_F32;
        if (!strcmp(rule, "mode")) d = mode_dtype(x, d);
        if (!strcmp(rule, "bool")) *result = DT_BOOL;
        if (!strcmp(rule, "i64")) *result = DT_I64;
    }
    if (d == DT_NONE) d = DT_F32;
    if (*result == DT_NONE) *result = d;
    x->compute = ir_compute_dtype(d);
    return true;
}

/* ------------------------------------------------------------------ POINTWISE */

static bool number_double(const ir_arg *a, double *out) {
    int64_t k;
    if (a->kind == A_FLOAT && a->known) return *out = a->f, true;
    if (a->kind == A_BOOL && a->known) return *out = (double)a->i, true;
    if (a->kind == A_INT && ir_dim_is_const(a->dim, &k)) return *out = (double)k, true;
    return false;
}

static bool arange_float(ir_infer *x, const ir_arg *start, const ir_arg *end, const ir_arg *step,
                         const ir_dim **n) {
    double a = 0, b, s = 1;
    if ((start && !number_double(start, &a)) || !number_double(end, &b) || (step && !number_double(step, &s)))
        return ir_missing(x, "arange with float bounds that are known at run time only");
    if (s == 0 || isnan(s)) return ir_fail(x, "RuntimeError", "step must be nonzero");
    if (!isfinite(a) || !isfinite(b)) return ir_fail(x, "RuntimeError", "unsupported range: %g -> %g", a, b);
    double size = ceil((b - a) / s);
    if (size < 0)
        return ir_fail(x, "RuntimeError", "upper bound and lower bound inconsistent with step sign");
    if (!(size < 0x1p62)) return ir_fail(x, "RuntimeError", "invalid size, possible overflow?");
    *n = ir_dim_const(C, (int64_t)size);
    return true;
}

static bool arange_int(ir_infer *x, const ir_dim *a, const ir_dim *b, const ir_dim *step, const ir_dim **n) {
    int64_t s, len;
    if (!ir_dim_is_const(step, &s)) return ir_missing(x, "arange with a step that is not constant");
    if (s == 0) return ir_fail(x, "RuntimeError", "step must be nonzero");
    const ir_dim *span = s > 0 ? ir_dim_sub(C, b, a) : ir_dim_sub(C, a, b);
    if (ir_dim_is_const(span, &len) && len < 0)
        return ir_fail(x, "RuntimeError", "upper bound and lower bound inconsistent with step sign");
    int64_t m = s > 0 ? s : -s, lo, hi;
    *n = ir_dim_floordiv(C, ir_dim_add(C, span, ir_dim_const(C, m - 1)), ir_dim_const(C, m));
    ir_dim_range(C, *n, &lo, &hi);
    if (lo < 0)
        return ir_require_le(x, ir_dim_const(C, 0), span,
                             "upper bound and lower bound inconsistent with step sign");
    return true;
}

static bool arange_size(ir_infer *x, const ir_dim **n) {
    const ir_arg *start = ir_arg_given(x, "start"), *end = ir_arg_given(x, "end"),
                 *step = ir_arg_given(x, "step");
    const ir_dim *zero = ir_dim_const(C, 0), *one = ir_dim_const(C, 1);
    if ((!start || start->kind == A_INT) && end->kind == A_INT && (!step || step->kind == A_INT))
        return arange_int(x, start ? start->dim : zero, end->dim, step ? step->dim : one, n);
    return arange_float(x, start, end, step, n);
}

static bool non_negative(ir_infer *x, int n, const ir_dim *const *dims) {
    for (int i = 0; i < n; i++)
        if (!ir_require_le(x, ir_dim_const(C, 0), dims[i],
                           "Trying to create tensor with negative dimension %s",
                           ir_dims_text(C, 1, &dims[i])))
            return false;
    return true;
}

/* Shape of an op that makes a tensor from numbers, by the names of its parameters. */
static bool creation_dims(ir_infer *x, int *rank, const ir_dim **dims) {
    const ir_arg *n = ir_arg_given(x, "n"), *m = ir_arg_given(x, "m"), *steps = ir_arg_given(x, "steps");
    if (ir_arg_given(x, "size")) {
        const ir_dim **size;
        if (!ir_arg_ints(x, "size", rank, &size)) return false;
        if (*rank > RT_MAX_RANK) return ir_missing(x, "tensors of more than %d dimensions", RT_MAX_RANK);
        memcpy(dims, size, (size_t)*rank * sizeof *dims);
        return non_negative(x, *rank, dims);
    }
    for (int i = 0; i < x->nargs; i++)
        if (x->args[i].kind == A_TENSOR && x->args[i].type->rank)
            return ir_fail(x, "RuntimeError", "%s only supports 0-dimensional start and end tensors", x->op->name);
    *rank = n ? 2 : 1;
    if (n) {
        dims[0] = n->dim;
        dims[1] = m ? m->dim : n->dim;
    } else if (steps) {
        dims[0] = steps->dim;
    } else if (ir_arg_given(x, "end")) {
        return arange_size(x, dims);
    } else {
        *rank = 0;
    }
    return non_negative(x, *rank, dims);
}

static int tensor_types(const ir_infer *x, const ir_type **types, int max) {
    int n = 0;
    for (int i = 0; i < x->nargs && n < max; i++)
        if (x->args[i].kind == A_TENSOR) types[n++] = x->args[i].type;
    return n;
}

/* Numbers that make no sense for integers: a limit beyond the wrong end of their range, a negative power. */
static bool check_numbers(ir_infer *x) {
    int64_t low, high, at;
    if (!ir_int_range(x->compute, &low, &high)) return true;
    for (int i = 0; i < x->nargs; i++) {
        const ir_arg *a = &x->args[i];
        const char *name = x->op->schema->params[i].name;
        if (a->kind == A_INT && !strcmp(name, "exponent") &&
            !ir_require_le(x, ir_dim_const(C, 0), a->dim, "Integers to negative integer powers are not allowed."))
            return false;
        if (a->kind != A_INT || !ir_param_is_limit(name) || !ir_dim_is_const(a->dim, &at)) continue;
        if (!strncmp(name, "max", 3) ? at < low : at > high)
            return ir_fail(x, "RuntimeError", "%s: the limit %lld is outside the range of %s", x->op->name, (long long)at,
                           rt_dtypes[x->compute].name);
    }
    return true;
}

/* Ops whose result has the shape of `self` whatever the others are (copy, masked_fill_, fill). */
static bool keeps_shape(const ir_op *op) { return !strcmp(op->name, "copy") || !strcmp(op->name, "fill"); }

static bool infer_pointwise(ir_infer *x) {
    const ir_type *types[16];
    const ir_dim *dims[RT_MAX_RANK];
    rt_dtype result;
    int rank, n = ir_arg_given(x, "steps") ? 0 : tensor_types(x, types, RT_COUNT(types));
    if (!promote(x, &result)) return false;
    if (!ir_scalar_has(x->op->body, x->compute))
        return ir_fail(x, "RuntimeError", "%s is not implemented for %s", x->op->full, rt_dtypes[x->compute].name);
    if (!check_numbers(x)) return false;
    if (!n && !creation_dims(x, &rank, dims)) return false;
    if (n && !ir_broadcast_dims(x, n, types, &rank, dims)) return false;
    if (n && keeps_shape(x->op)) {
        if (rank > types[0]->rank)
            return ir_fail(x, "RuntimeError", "%s: the source has more dimensions than the destination",
                           x->op->name);
        for (int i = 0; i < rank; i++)
            if (!ir_require_eq(x, dims[i], types[0]->dims[i],
                               "%s: the source cannot be broadcast to the destination", x->op->name))
                return false;
    }
    return ir_result(x, result, rank, dims);
}

/* ------------------------------------------------------------------ REDUCE */

/* The reduced dims as a bit set: none given or an empty list is all of them. */
bool ir_reduced_axes(ir_infer *x, int rank, uint32_t *set) {
    const ir_arg *dim = strncmp(x->op->dims, "all", 3) ? ir_arg_given(x, "dim") : NULL;
    uint32_t all = rank >= 32 ? ~0u : (1u << rank) - 1;
    *set = all;
    if (!dim || (dim->kind == A_LIST && dim->n == 0)) return true;
    if (!ir_arg_axes(x, "dim", rank, set)) return false;
    *set &= all; /* dim 0 or -1 of a zero-dim tensor */
    return true;
}

/* Ops without identity ("!" in the row) need at least one element per result. */
static bool check_not_empty(ir_infer *x, const ir_type *self, uint32_t set) {
    if (!strchr(x->op->dims, '!')) return true;
    for (int d = 0; d < self->rank; d++) {
        if (!(set >> d & 1)) continue;
        if (ir_dim_is(self->dims[d], 0))
            return ir_fail(x, "IndexError", "%s(): Expected reduction dim %d to have non-zero size.", x->op->name, d);
        ir_require_le(x, ir_dim_const(C, 1), self->dims[d], "%s(): Expected reduction dim %d to have non-zero size.", x->op->name, d);
    }
    return true;
}

static bool infer_reduce_dims(ir_infer *x, const rt_dtype *dtypes) {
    const ir_type *self = ir_arg_tensor(x, x->op->schema->params[0].name);
    const ir_dim *dims[RT_MAX_RANK];
    uint32_t set;
    bool keep = false;
    int rank = 0;
    if (!self || !ir_reduced_axes(x, self->rank, &set)) return false;
    if (ir_arg_given(x, "keepdim") && !ir_arg_bool(x, "keepdim", &keep)) return false;
    if (!check_not_empty(x, self, set)) return false;
    for (int d = 0; d < self->rank; d++)
        if (!(set >> d & 1)) dims[rank++] = self->dims[d];
        else if (keep) dims[rank++] = ir_dim_const(C, 1);
    for (int k = 0; k < x->op->schema->nresults; k++) ir_result_at(x, k, dtypes[k], rank, dims);
    return true;
}

static bool infer_scan(ir_infer *x, const rt_dtype *dtypes) {
    const ir_type *self = ir_arg_tensor(x, "self");
    int axis;
    if (!self || !ir_arg_axis(x, "dim", self->rank, &axis)) return false;
    for (int k = 0; k < x->op->schema->nresults; k++) ir_result_at(x, k, dtypes[k], self->rank, self->dims);
    return true;
}

static bool infer_reduce(ir_infer *x) {
    rt_dtype dtypes[8];
    if (!promote(x, &dtypes[0])) return false;
    for (int k = 1; k < 8; k++) dtypes[k] = DT_I64; /* second results are indices */
    if (!strcmp(x->op->dims, "scan")) return infer_scan(x, dtypes);
    if (!strcmp(x->op->dims, "window")) {
        ir_window w;
        if (!ir_window_of(x, &w)) return false;
        for (int k = 0; k < x->op->schema->nresults; k++) ir_result_at(x, k, dtypes[k], w.rank, w.dims);
        return true;
    }
    return infer_reduce_dims(x, dtypes);
}

/* ------------------------------------------------------------------ dispatch */

static bool infer_rule(ir_infer *x) {
    ir_rule *rule = (ir_rule *)(uintptr_t)x->op->rule;
    if (!rule) return ir_missing(x, "%s has no shape rule", x->op->full);
    return rule(x);
}

/* name_(a!): the results keep their own types; the base op must fit into the first argument. */
static bool infer_inplace(ir_infer *x) {
    const ir_op *op = x->op;
    int first = op->out_params ? x->nargs - op->out_params : 0;
    ir_infer base = *x;
    base.op = op->inplace_of;
    base.nargs = op->inplace_of->schema->nparams;
    bool ok = ir_infer_op(&base);
    x->error = base.error, x->error_cls = base.error_cls;
    x->guards.at = base.guards.at, x->guards.n = base.guards.n, x->guards.cap = base.guards.cap;
    if (!ok) return false;
    x->nres = op->schema->nresults;
    for (int k = 0; k < x->nres; k++) x->res[k] = op->out_params ? base.res[k] : x->args[first].type;
    if (op->out_params) return true;
    const ir_type *self = x->res[0], *r = base.res[0];
    if (r->rank != self->rank)
        return ir_fail(x, "RuntimeError", "output with shape %s doesn't match the broadcast shape %s",
                       ir_dims_text(C, self->rank, self->dims), ir_dims_text(C, r->rank, r->dims));
    for (int d = 0; d < r->rank; d++)
        if (!ir_require_eq(x, r->dims[d], self->dims[d],
                           "output with shape %s doesn't match the broadcast shape %s",
                           ir_dims_text(C, self->rank, self->dims), ir_dims_text(C, r->rank, r->dims)))
            return false;
    if (is_float(r->dtype) && !is_float(self->dtype))
        return ir_fail(x, "RuntimeError", "result type %s can't be cast to the desired output type %s",
                       rt_dtypes[r->dtype].name, rt_dtypes[self->dtype].name);
    return true;
}

bool ir_infer_op(ir_infer *x) {
    x->nres = x->op->schema->nresults;
    if (x->op->inplace_of) return infer_inplace(x);
    switch (x->op->cls) {
    case OP_POINTWISE: return infer_pointwise(x);
    case OP_REDUCE: return infer_reduce(x);
    case OP_CONTRACT: return ir_infer_contract(x);
    case OP_MOVE:
    case OP_OPAQUE: return infer_rule(x);
    default: return ir_missing(x, "%s has no shape rule: it is not an op on tensors", x->op->full);
    }
}
