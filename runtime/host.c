/* host.c: the table of host functions, and those on numbers that can raise or have no scalar body.
 *
 * One C function may serve many overloads: values carry their tags.  The functions of ops whose row has a
 * scalar body exist because they raise where Python does. */
#include "runtime/host.h"

#include <math.h>
#include <stdlib.h>

#define HOST_FN(name, fn) rt_host_fn fn;
#include "runtime/host.def"
#undef HOST_FN

rt_host_fn *rt_host_find(const char *name) {
    static const struct {
        const char *name;
        rt_host_fn *fn;
    } table[] = {
#define HOST_FN(name, fn) {name, fn},
#include "runtime/host.def"
#undef HOST_FN
    };
    for (size_t i = 0; i < RT_COUNT(table); i++)
        if (!strcmp(table[i].name, name)) return table[i].fn;
    return NULL;
}

bool rt_host_type_error(rt_env *env, int i) {
    return rt_raise(env, "TypeError", "argument %d has the wrong type", i + 1);
}

bool rt_host_memory_error(rt_env *env) { return rt_raise(env, "MemoryError", "out of memory"); }

bool rt_host_give(rt_env *env, rt_value *out, rt_value v) {
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    *out = v;
    return true;
}

bool rt_host_index(int64_t *i, int64_t n) {
    if (*i < 0) *i += n;
    return *i >= 0 && *i < n;
}

static int64_t clamp_index(int64_t i, int64_t n, int64_t lo, int64_t hi) {
    if (i < 0) i += n;
    return i < lo ? lo : i > hi ? hi : i;
}

bool rt_host_slice(rt_env *env, const rt_value *v, int64_t n, int64_t *lo, int64_t *count, int64_t *step) {
    *step = v[2].tag == V_INT ? v[2].i : 1;
    if (*step == 0) return rt_raise(env, "ValueError", "slice step cannot be zero");
    if (*step < -n - 1) *step = -n - 1;
    if (*step > n + 1) *step = n + 1;
    int64_t first = *step > 0 ? 0 : -1, last = *step > 0 ? n : n - 1;
    int64_t hi;
    *lo = v[0].tag == V_INT ? clamp_index(v[0].i, n, first, last) : *step > 0 ? 0 : n - 1;
    hi = v[1].tag == V_INT ? clamp_index(v[1].i, n, first, last) : *step > 0 ? n : -1;
    if (*step > 0) *count = hi > *lo ? (hi - *lo - 1) / *step + 1 : 0;
    else *count = hi < *lo ? (*lo - hi - 1) / -*step + 1 : 0;
    return true;
}

double rt_host_number(rt_value v) { return v.tag == V_FLOAT ? v.f : (double)v.i; }

static bool compare_lists(const rt_list *a, const rt_list *b, int *order) {
    for (int64_t i = 0; i < a->n && i < b->n; i++) {
        if (!rt_host_compare(a->at[i], b->at[i], order)) return false;
        if (*order) return true;
    }
    *order = (a->n > b->n) - (a->n < b->n);
    return true;
}

bool rt_host_compare(rt_value a, rt_value b, int *order) {
    if (rt_is_number(a) && rt_is_number(b)) {
        if (a.tag != V_FLOAT && b.tag != V_FLOAT) {
            *order = (a.i > b.i) - (a.i < b.i);
        } else {
            double x = rt_host_number(a), y = rt_host_number(b);
            *order = (x > y) - (x < y);
        }
        return true;
    }
    if (a.tag != b.tag) return false;
    if (a.tag == V_STR) {
        size_t n = a.str->n < b.str->n ? a.str->n : b.str->n;
        int d = memcmp(a.str->s, b.str->s, n);
        *order = d ? d : (a.str->n > b.str->n) - (a.str->n < b.str->n);
        return true;
    }
    if (a.tag == V_LIST || a.tag == V_TUPLE) return compare_lists(a.list, b.list, order);
    return false;
}

/* ---- comparison of whole values */

HOST(rt_host_eq) {
    HOST_UNUSED;
    *out = rt_bool(rt_value_equal(args[0], args[1]));
    return true;
}

HOST(rt_host_ne) {
    HOST_UNUSED;
    *out = rt_bool(!rt_value_equal(args[0], args[1]));
    return true;
}

#define ORDER(fn, test)                                                                                      \
    HOST(fn) {                                                                                               \
        int order;                                                                                           \
        (void)nargs;                                                                                         \
        if (!rt_host_compare(args[0], args[1], &order))                                                      \
            return rt_raise(env, "TypeError", "values have no order");                                       \
        *out = rt_bool(test);                                                                                \
        return true;                                                                                         \
    }
ORDER(rt_host_lt, order < 0)
ORDER(rt_host_le, order <= 0)
ORDER(rt_host_gt, order > 0)
ORDER(rt_host_ge, order >= 0)

/* Identity: same object, or the same immutable number or string. */
static bool identical(rt_value a, rt_value b) {
    if (a.tag != b.tag) return false;
    switch (a.tag) {
    case V_NONE: return true;
    case V_BOOL:
    case V_INT: return a.i == b.i;
    case V_FLOAT: return a.f == b.f;
    case V_STR: return a.str == b.str || rt_value_equal(a, b);
    case V_TENSOR: return a.tensor == b.tensor;
    case V_LIST:
    case V_TUPLE: return a.list == b.list;
    case V_DICT: return a.dict == b.dict;
    case V_OBJECT: return a.object == b.object;
    default: return false;
    }
}

HOST(rt_host_is) {
    HOST_UNUSED;
    *out = rt_bool(identical(args[0], args[1]));
    return true;
}

HOST(rt_host_isnot) {
    HOST_UNUSED;
    *out = rt_bool(!identical(args[0], args[1]));
    return true;
}

/* ---- numbers */

static bool zero_division(rt_env *env) {
    return rt_raise(env, "ZeroDivisionError", "integer division or modulo by zero");
}

static bool floats(const rt_value *args) { return args[0].tag == V_FLOAT || args[1].tag == V_FLOAT; }

static int64_t floor_div(int64_t a, int64_t b) {
    if (b == -1) return (int64_t)(0 - (uint64_t)a);
    int64_t q = a / b;
    return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

static int64_t floor_mod(int64_t a, int64_t b) {
    if (b == -1) return 0;
    int64_t r = a % b;
    return (r != 0 && (r < 0) != (b < 0)) ? r + b : r;
}

static double float_mod(double a, double b) {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

HOST(rt_host_floordiv) {
    if (nargs < 2 || !rt_is_number(args[0]) || !rt_is_number(args[1])) return rt_host_type_error(env, 0);
    if (floats(args)) {
        *out = rt_float(floor(rt_host_number(args[0]) / rt_host_number(args[1])));
        return true;
    }
    if (args[1].i == 0) return zero_division(env);
    *out = rt_int(floor_div(args[0].i, args[1].i));
    return true;
}

HOST(rt_host_remainder) {
    if (nargs < 2 || !rt_is_number(args[0]) || !rt_is_number(args[1])) return rt_host_type_error(env, 0);
    if (floats(args)) {
        *out = rt_float(float_mod(rt_host_number(args[0]), rt_host_number(args[1])));
        return true;
    }
    if (args[1].i == 0) return zero_division(env);
    *out = rt_int(floor_mod(args[0].i, args[1].i));
    return true;
}

HOST(rt_host_truncdiv) {
    WANT(0, V_INT);
    WANT(1, V_INT);
    if (args[1].i == 0) return zero_division(env);
    *out = rt_int(args[1].i == -1 ? (int64_t)(0 - (uint64_t)args[0].i) : args[0].i / args[1].i);
    return true;
}

HOST(rt_host_divmod) {
    return rt_host_floordiv(env, args, nargs, &out[0]) && rt_host_remainder(env, args, nargs, &out[1]);
}

HOST(rt_host_gcd) {
    WANT(0, V_INT);
    WANT(1, V_INT);
    uint64_t a = args[0].i < 0 ? 0 - (uint64_t)args[0].i : (uint64_t)args[0].i;
    uint64_t b = args[1].i < 0 ? 0 - (uint64_t)args[1].i : (uint64_t)args[1].i;
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
    }
    *out = rt_int((int64_t)a);
    return true;
}

HOST(rt_host_factorial) {
    WANT(0, V_INT);
    int64_t r = 1;
    if (args[0].i < 0) return rt_raise(env, "ValueError", "factorial() not defined for negative values");
    for (int64_t i = 2; i <= args[0].i; i++)
        if (!rt_mul_i64(r, i, &r)) return rt_raise(env, "OverflowError", "factorial() result does not fit");
    *out = rt_int(r);
    return true;
}

HOST(rt_host_gamma) {
    HOST_UNUSED;
    *out = rt_float(tgamma(rt_host_number(args[0])));
    return true;
}

HOST(rt_host_ldexp) {
    HOST_UNUSED;
    int64_t e = args[1].i;
    *out = rt_float(ldexp(rt_host_number(args[0]), e < -5000 ? -5000 : e > 5000 ? 5000 : (int)e));
    return true;
}

HOST(rt_host_frexp) {
    WANT(0, V_FLOAT);
    int e = 0;
    out[0] = rt_float(frexp(args[0].f, &e));
    out[1] = rt_int(e);
    return true;
}

HOST(rt_host_modf) {
    WANT(0, V_FLOAT);
    double whole;
    out[0] = rt_float(modf(args[0].f, &whole));
    out[1] = rt_float(whole);
    return true;
}

HOST(rt_host_range_length) {
    WANT(0, V_INT);
    WANT(1, V_INT);
    WANT(2, V_INT);
    int64_t lo = args[0].i, hi = args[1].i, step = args[2].i;
    if (step == 0) return rt_raise(env, "ValueError", "range() arg 3 must not be zero");
    if (step > 0)
        *out = rt_int(hi > lo ? (int64_t)(((uint64_t)hi - (uint64_t)lo - 1) / (uint64_t)step + 1) : 0);
    else *out = rt_int(hi < lo ? (int64_t)(((uint64_t)lo - (uint64_t)hi - 1) / (0 - (uint64_t)step) + 1) : 0);
    return true;
}

/* ---- numbers from text */

static bool all_blank(const char *s) {
    while (*s == ' ' || *s == '\t' || *s == '\n') s++;
    return *s == 0;
}

HOST(rt_host_int_str) {
    WANT(0, V_STR);
    char *end;
    long long i = strtoll(args[0].str->s, &end, 10);
    if (end == args[0].str->s || !all_blank(end))
        return rt_raise(env, "ValueError", "invalid literal for int() with base 10: '%s'", args[0].str->s);
    *out = rt_int(i);
    return true;
}

HOST(rt_host_float_str) {
    WANT(0, V_STR);
    char *end;
    double f = strtod(args[0].str->s, &end);
    if (end == args[0].str->s || !all_blank(end))
        return rt_raise(env, "ValueError", "could not convert string to float: '%s'", args[0].str->s);
    *out = rt_float(f);
    return true;
}

/* ---- things without effect, and optionals */

HOST(rt_host_nothing) {
    HOST_UNUSED;
    *out = V_NULL;
    return true;
}

HOST(rt_host_false) {
    HOST_UNUSED;
    *out = rt_bool(false);
    return true;
}

HOST(rt_host_unwrap) {
    (void)nargs;
    if (args[0].tag == V_NONE) return rt_raise(env, "RuntimeError", "Unwrapping null optional");
    *out = rt_retain(args[0]);
    return true;
}

HOST(rt_host_assert_scalar) {
    WANT(1, V_STR);
    if (rt_host_number(args[0]) == 0) return rt_raise(env, "RuntimeError", "%s", args[1].str->s);
    *out = V_NULL;
    return true;
}
