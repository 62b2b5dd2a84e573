/* host_list.c: lists: growing, shrinking, searching, sorting, slicing.
 *
 * Elements are compared as Python does; lists of tensors compare their elements by value. */
#include "runtime/host.h"

static rt_value list_copy(const rt_list *l) {
    rt_value v = rt_list_new(V_LIST, l->n);
    if (v.tag == V_UNDEF) return v;
    for (int64_t i = 0; i < l->n; i++) v.list->at[i] = rt_retain(l->at[i]);
    return v;
}

static bool index_error(rt_env *env, const char *what) { return rt_raise(env, "IndexError", "%s", what); }

HOST(rt_host_append) {
    WANT(0, V_LIST);
    if (!rt_list_push(args[0].list, rt_retain(args[1]))) return rt_host_memory_error(env);
    *out = rt_retain(args[0]);
    return true;
}

/* Appends b to a; sound when they are the same list. */
static bool extend(rt_env *env, rt_list *a, const rt_list *b) {
    int64_t n = b->n;
    for (int64_t i = 0; i < n; i++)
        if (!rt_list_push(a, rt_retain(b->at[i]))) return rt_host_memory_error(env);
    return true;
}

HOST(rt_host_extend) {
    WANT(0, V_LIST);
    WANT(1, V_LIST);
    *out = V_NULL;
    return extend(env, args[0].list, args[1].list);
}

HOST(rt_host_list_iadd) {
    WANT(0, V_LIST);
    WANT(1, V_LIST);
    if (!extend(env, args[0].list, args[1].list)) return false;
    *out = rt_retain(args[0]);
    return true;
}

HOST(rt_host_insert) {
    WANT(0, V_LIST);
    WANT(1, V_INT);
    rt_list *l = args[0].list;
    int64_t i = args[1].i < 0 ? args[1].i + l->n : args[1].i;
    i = i < 0 ? 0 : i > l->n ? l->n : i;
    if (!rt_list_push(l, V_NULL)) return rt_host_memory_error(env);
    memmove(l->at + i + 1, l->at + i, (size_t)(l->n - 1 - i) * sizeof *l->at);
    l->at[i] = rt_retain(args[2]);
    *out = V_NULL;
    return true;
}

static rt_value take_at(rt_list *l, int64_t i) {
    rt_value v = l->at[i];
    memmove(l->at + i, l->at + i + 1, (size_t)(l->n - 1 - i) * sizeof *l->at);
    l->n--;
    return v;
}

HOST(rt_host_pop) {
    WANT(0, V_LIST);
    WANT(1, V_INT);
    int64_t i = args[1].i;
    if (args[0].list->n == 0) return index_error(env, "pop from empty list");
    if (!rt_host_index(&i, args[0].list->n)) return index_error(env, "pop index out of range");
    *out = take_at(args[0].list, i);
    return true;
}

HOST(rt_host_list_delete) {
    WANT(0, V_LIST);
    WANT(1, V_INT);
    int64_t i = args[1].i;
    if (!rt_host_index(&i, args[0].list->n)) return index_error(env, "list index out of range");
    rt_release(take_at(args[0].list, i));
    *out = V_NULL;
    return true;
}

HOST(rt_host_list_clear) {
    WANT(0, V_LIST);
    rt_list *l = args[0].list;
    while (l->n > 0) rt_release(l->at[--l->n]);
    *out = V_NULL;
    return true;
}

static void reverse(rt_list *l) {
    for (int64_t i = 0, j = l->n - 1; i < j; i++, j--) {
        rt_value t = l->at[i];
        l->at[i] = l->at[j];
        l->at[j] = t;
    }
}

HOST(rt_host_reverse) {
    WANT(0, V_LIST);
    reverse(args[0].list);
    *out = V_NULL;
    return true;
}

HOST(rt_host_list_set) {
    WANT(0, V_LIST);
    WANT(1, V_INT);
    rt_list *l = args[0].list;
    int64_t i = args[1].i;
    if (!rt_host_index(&i, l->n)) return index_error(env, "list index out of range");
    rt_value old = l->at[i];
    l->at[i] = rt_retain(args[2]);
    rt_release(old);
    *out = rt_retain(args[0]);
    return true;
}

HOST(rt_host_list_get) {
    if (args[0].tag != V_TUPLE) WANT(0, V_LIST);
    WANT(1, V_INT);
    int64_t i = args[1].i;
    if (!rt_host_index(&i, args[0].list->n)) return index_error(env, "list index out of range");
    *out = rt_retain(args[0].list->at[i]);
    return true;
}

HOST(rt_host_list_len) {
    if (args[0].tag != V_TUPLE) WANT(0, V_LIST);
    *out = rt_int(args[0].list->n);
    return true;
}

HOST(rt_host_list_copy) {
    WANT(0, V_LIST);
    return rt_host_give(env, out, list_copy(args[0].list));
}

HOST(rt_host_list_add) {
    WANT(0, V_LIST);
    WANT(1, V_LIST);
    rt_value v = list_copy(args[0].list);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    if (!extend(env, v.list, args[1].list)) {
        rt_release(v);
        return false;
    }
    *out = v;
    return true;
}

static bool repeat(rt_env *env, const rt_list *l, int64_t times, rt_value *out) {
    int64_t n;
    if (times < 0) times = 0;
    if (!rt_mul_i64(l->n, times, &n)) return rt_host_memory_error(env);
    rt_value v = rt_list_new(V_LIST, n);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; i < n; i++) v.list->at[i] = rt_retain(l->at[i % l->n]);
    *out = v;
    return true;
}

HOST(rt_host_list_mul) {
    if (args[0].tag == V_INT) {
        WANT(1, V_LIST);
        return repeat(env, args[1].list, args[0].i, out);
    }
    WANT(0, V_LIST);
    WANT(1, V_INT);
    return repeat(env, args[0].list, args[1].i, out);
}

HOST(rt_host_list_imul) {
    WANT(0, V_LIST);
    WANT(1, V_INT);
    rt_list *l = args[0].list;
    int64_t n = l->n;
    if (args[1].i <= 0)
        while (l->n > 0) rt_release(l->at[--l->n]);
    for (int64_t k = 1; k < args[1].i; k++)
        for (int64_t i = 0; i < n; i++)
            if (!rt_list_push(l, rt_retain(l->at[i]))) return rt_host_memory_error(env);
    *out = rt_retain(args[0]);
    return true;
}

HOST(rt_host_list_slice) {
    WANT(0, V_LIST);
    int64_t lo, n, step;
    if (!rt_host_slice(env, args + 1, args[0].list->n, &lo, &n, &step)) return false;
    rt_value v = rt_list_new(V_LIST, n);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; i < n; i++) v.list->at[i] = rt_retain(args[0].list->at[lo + i * step]);
    *out = v;
    return true;
}

/* ---- searching */

/* Equality as `in`, remove and index see it: tensors by value (0-d ones by their number). */
static bool same(rt_value a, rt_value b) {
    if (a.tag != V_TENSOR || b.tag != V_TENSOR || a.tensor == b.tensor) return rt_value_equal(a, b);
    const rt_tensor *x = a.tensor, *y = b.tensor;
    if (rt_tensor_numel(x) != 1 || rt_tensor_numel(y) != 1) return false;
    return rt_load_f64(x->storage->data, x->dtype, x->offset) ==
           rt_load_f64(y->storage->data, y->dtype, y->offset);
}

static int64_t find(const rt_list *l, rt_value v) {
    for (int64_t i = 0; i < l->n; i++)
        if (same(l->at[i], v)) return i;
    return -1;
}

HOST(rt_host_list_remove) {
    WANT(0, V_LIST);
    int64_t i = find(args[0].list, args[1]);
    if (i < 0) return rt_raise(env, "ValueError", "list.remove(x): x not in list");
    rt_release(take_at(args[0].list, i));
    *out = V_NULL;
    return true;
}

HOST(rt_host_list_index) {
    WANT(0, V_LIST);
    int64_t i = find(args[0].list, args[1]);
    if (i < 0) {
        rt_text t = {0};
        rt_value_print(&t, args[1], true);
        rt_raise(env, "ValueError", "'%s' is not in list", t.s ? t.s : "");
        rt_text_free(&t);
        return false;
    }
    *out = rt_int(i);
    return true;
}

HOST(rt_host_list_count) {
    WANT(0, V_LIST);
    int64_t n = 0;
    for (int64_t i = 0; i < args[0].list->n; i++) n += same(args[0].list->at[i], args[1]);
    *out = rt_int(n);
    return true;
}

HOST(rt_host_list_contains) {
    WANT(0, V_LIST);
    *out = rt_bool(find(args[0].list, args[1]) >= 0);
    return true;
}

/* Lists of tensors: equal when all elements are equal 0-d tensors or identical. */
HOST(rt_host_tensors_eq) {
    WANT(0, V_LIST);
    WANT(1, V_LIST);
    bool eq = args[0].list->n == args[1].list->n;
    for (int64_t i = 0; eq && i < args[0].list->n; i++) eq = same(args[0].list->at[i], args[1].list->at[i]);
    *out = rt_bool(eq);
    return true;
}

HOST(rt_host_tensors_ne) {
    if (!rt_host_tensors_eq(env, args, nargs, out)) return false;
    out->i = !out->i;
    return true;
}

/* ---- sorting: stable, by merging */

static bool merge_sort(rt_value *at, rt_value *tmp, int64_t n) {
    int64_t h = n / 2, i = 0, j = h, k = 0;
    int order;
    if (n < 2) return true;
    if (!merge_sort(at, tmp, h) || !merge_sort(at + h, tmp, n - h)) return false;
    while (i < h && j < n) {
        if (!rt_host_compare(at[j], at[i], &order)) return false;
        tmp[k++] = order < 0 ? at[j++] : at[i++];
    }
    while (i < h) tmp[k++] = at[i++];
    while (j < n) tmp[k++] = at[j++];
    memcpy(at, tmp, (size_t)n * sizeof *at);
    return true;
}

/* Reversed sorting keeps equal elements in order, as Python does. */
static bool sort(rt_env *env, rt_list *l, bool descending) {
    rt_value *tmp = rt_malloc((size_t)l->n * sizeof *tmp);
    if (!tmp) return rt_host_memory_error(env);
    if (descending) reverse(l);
    bool ok = merge_sort(l->at, tmp, l->n);
    if (descending) reverse(l);
    rt_free(tmp);
    return ok || rt_raise(env, "TypeError", "list elements have no order");
}

HOST(rt_host_list_sort) {
    WANT(0, V_LIST);
    *out = V_NULL;
    return sort(env, args[0].list, nargs > 1 && args[1].i != 0);
}

HOST(rt_host_list_sorted) {
    WANT(0, V_LIST);
    rt_value v = list_copy(args[0].list);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    if (!sort(env, v.list, false)) {
        rt_release(v);
        return false;
    }
    *out = v;
    return true;
}

/* ---- reductions */

static bool extreme(rt_env *env, const rt_value *args, int nargs, int want, rt_value *out) {
    WANT(0, V_LIST);
    const rt_list *l = args[0].list;
    int order;
    if (l->n == 0)
        return rt_raise(env, "ValueError", "%s() arg is an empty sequence", want < 0 ? "min" : "max");
    rt_value best = l->at[0];
    for (int64_t i = 1; i < l->n; i++) {
        if (!rt_host_compare(l->at[i], best, &order)) return rt_host_type_error(env, 0);
        if (order * want > 0) best = l->at[i];
    }
    *out = rt_retain(best);
    return true;
}

HOST(rt_host_list_min) { return extreme(env, args, nargs, -1, out); }
HOST(rt_host_list_max) { return extreme(env, args, nargs, 1, out); }

static bool extreme_of(rt_env *env, const rt_value *args, int want, rt_value *out) {
    int order;
    if (!rt_host_compare(args[1], args[0], &order)) return rt_host_type_error(env, 0);
    *out = rt_retain(args[order * want > 0 ? 1 : 0]);
    return true;
}

HOST(rt_host_lesser_list) { return (void)nargs, extreme_of(env, args, -1, out); }
HOST(rt_host_greater_list) { return (void)nargs, extreme_of(env, args, 1, out); }

HOST(rt_host_list_sum) {
    WANT(0, V_LIST);
    double f = 0;
    int64_t n = 0;
    bool is_float = false;
    for (int64_t i = 0; i < args[0].list->n; i++) {
        rt_value v = args[0].list->at[i];
        if (!rt_is_number(v)) return rt_host_type_error(env, 0);
        if (v.tag == V_FLOAT) is_float = true, f += v.f;
        else n = (int64_t)((uint64_t)n + (uint64_t)v.i);
    }
    *out = is_float ? rt_float(f + (double)n) : rt_int(n);
    return true;
}

/* Sum of floats: a float also when empty. */
HOST(rt_host_list_fsum) {
    if (!rt_host_list_sum(env, args, nargs, out)) return false;
    if (out->tag == V_INT) *out = rt_float((double)out->i);
    return true;
}

static bool truth(rt_value v) {
    return v.tag == V_STR ? v.str->n > 0 : v.tag == V_FLOAT ? v.f != 0 : v.i != 0;
}

HOST(rt_host_list_any) {
    WANT(0, V_LIST);
    bool any = false;
    for (int64_t i = 0; i < args[0].list->n; i++) any |= truth(args[0].list->at[i]);
    *out = rt_bool(any);
    return true;
}

HOST(rt_host_list_all) {
    WANT(0, V_LIST);
    bool all = true;
    for (int64_t i = 0; i < args[0].list->n; i++) all &= truth(args[0].list->at[i]);
    *out = rt_bool(all);
    return true;
}

HOST(rt_host_rangelist) {
    WANT(0, V_INT);
    rt_value v = rt_list_new(V_LIST, args[0].i < 0 ? 0 : args[0].i);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; i < v.list->n; i++) v.list->at[i] = rt_int(i);
    *out = v;
    return true;
}

/* Broadcast of two shapes given as lists of ints. */
HOST(rt_host_infer_size) {
    WANT(0, V_LIST);
    WANT(1, V_LIST);
    const rt_list *a = args[0].list, *b = args[1].list;
    int64_t n = a->n > b->n ? a->n : b->n;
    rt_value v = rt_list_new(V_LIST, n);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = i < a->n ? a->at[a->n - 1 - i].i : 1, y = i < b->n ? b->at[b->n - 1 - i].i : 1;
        if (x != y && x != 1 && y != 1) {
            rt_release(v);
            return rt_raise(
                env, "RuntimeError",
                "The size of tensor a (%lld) must match the size of tensor b (%lld) at non-singleton "
                "dimension %lld",
                (long long)x, (long long)y, (long long)(n - 1 - i));
        }
        v.list->at[n - 1 - i] = rt_int(x == 1 ? y : x);
    }
    *out = v;
    return true;
}
