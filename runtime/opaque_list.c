/* opaque_list.c: kernels over lists of tensors whose length only the run knows. */
#include "runtime/opaque.h"

/* Tensors of [0] elements and rank 1 are skipped, as in cat. */
static bool skipped(const rt_tensor *t) { return t->ndim == 1 && t->shape[0] == 0; }

static bool fits(rt_env *env, const rt_tensor *a, const rt_tensor *b, int dim) {
    if (a->ndim != b->ndim || a->dtype != b->dtype) return rt_raise(env, "RuntimeError", "Tensors must have same number of dimensions and dtype");
    for (int i = 0; i < a->ndim; i++)
        if (i != dim && a->shape[i] != b->shape[i])
            return rt_raise(env, "RuntimeError", "Sizes of tensors must match except in dimension %d. Expected size %lld but got size %lld", dim,
                            (long long)a->shape[i], (long long)b->shape[i]);
    return true;
}

static bool total_shape(rt_env *env, const rt_list *l, const rt_tensor **first, int *dim, int64_t *shape) {
    *first = NULL;
    for (int64_t i = 0; i < l->n; i++) {
        const rt_tensor *t = l->at[i].tensor;
        if (l->at[i].tag != V_TENSOR) return rt_raise(env, "TypeError", "cat(): a list of tensors wanted");
        if (skipped(t)) continue;
        if (!*first) {
            *first = t;
            if (*dim < 0) *dim += t->ndim;
            if (*dim < 0 || *dim >= t->ndim) return rt_raise(env, "IndexError", "Dimension out of range");
            memcpy(shape, t->shape, (size_t)t->ndim * sizeof *shape);
            continue;
        }
        if (!fits(env, *first, t, *dim)) return false;
        if (!rt_add_i64(shape[*dim], t->shape[*dim], &shape[*dim])) return rt_raise(env, "RuntimeError", "the result is too large");
    }
    return true;
}

bool rt_op_cat_list(rt_env *env, const rt_value *args, int nargs, rt_value *out) {
    (void)nargs;
    int dim = (int)args[1].i;
    int64_t shape[RT_MAX_RANK], at = 0;
    const rt_tensor *first;
    const rt_list *l = args[0].list;
    if (l->n == 0) return rt_raise(env, "RuntimeError", "torch.cat(): expected a non-empty list of Tensors");
    if (!total_shape(env, l, &first, &dim, shape)) return false;
    if (!first) return out[0] = rt_retain(l->at[0]), true;
    rt_tensor *r = rt_tensor_new(first->dtype, first->ndim, shape);
    if (!r) return rt_raise(env, "MemoryError", "out of memory");
    for (int64_t i = 0; i < l->n; i++) {
        const rt_tensor *t = l->at[i].tensor;
        if (skipped(t)) continue;
        rt_tensor *part = rt_tensor_view(r, t->ndim, t->shape, r->strides, r->offset + at * r->strides[dim]);
        bool ok = part && rt_tensor_assign(part, t);
        rt_tensor_release(part);
        if (!ok) {
            rt_tensor_release(r);
            return rt_raise(env, "MemoryError", "out of memory");
        }
        at += t->shape[dim];
    }
    out[0] = rt_tensor_value(r);
    return true;
}
