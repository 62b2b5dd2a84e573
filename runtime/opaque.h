/* opaque.h: what the kernels of opaque ops (opaque_*.c) share.  Private to runtime/.
 *
 * A kernel is a host function named by its op's full name (host_opaque.def); arguments are the op's
 * parameters in order.  Tensors may have any strides; results are contiguous and share no memory with arguments.  Sizes that shape rules have
 * checked at compile time are checked again here, since a kernel is also called on what only the run knows.
 */
#ifndef JITC_RUNTIME_OPAQUE_H
#define JITC_RUNTIME_OPAQUE_H

#include "runtime/host.h"

/* Rows along one axis: all other dims in row-major order. */
typedef struct rt_rows {
    const rt_tensor *t;
    int axis;  /* -1: a 0-dim tensor is one row of one element */
    int64_t n; /* number of rows */
    int64_t len, step;
} rt_rows;
rt_rows rt_rows_of(const rt_tensor *t, int axis);
int64_t rt_row_at(const rt_rows *r, int64_t row); /* element offset in the storage of its first element */

/* Values of a row or tensor, comparable without knowing the dtype; NaN is greater than all. */
typedef struct rt_keys {
    bool real;
    double *f; /* one of the two, by `real` */
    int64_t *i;
} rt_keys;
bool rt_keys_new(rt_keys *k, rt_dtype dtype, int64_t n); /* false: out of memory */
void rt_keys_free(rt_keys *k);
void rt_keys_load(rt_keys *k, const rt_tensor *t, int64_t at, int64_t step, int64_t n);
bool rt_key_less(const rt_keys *k, int64_t a, int64_t b);
bool rt_key_is_nan(const rt_keys *k, int64_t a);

/* Stable merge sort of `order` (n numbers; tmp as large). */
typedef bool rt_before(const void *env, int64_t a, int64_t b);
void rt_sort_order(int64_t *order, int64_t *tmp, int64_t n, rt_before *before, const void *env);

/* An element of a row: its number, and a key such that a comes before b where a.key < b.key. */
typedef struct rt_item { uint64_t key; int64_t at; } rt_item;
/* Ascending, NaN last; or descending, which is just the other way round. */
void rt_items_load(rt_item *o, const rt_tensor *t, int64_t at, int64_t step, int64_t n, bool descending);
bool rt_item_is_nan(rt_dtype dtype, rt_item a); /* loaded as ascending */
void rt_items_sort(rt_item *o, rt_item *tmp, int64_t n); /* stable; tmp is as large as o */

/* opaque_select.c: in place on o[0..n): libstdc++'s sort, nth_element (o[nth] is in its place) and partial_sort (the first
 * k), and PyTorch's quickselect (o[k] is in its place). */
void rt_select_sort(rt_item *o, int64_t n);
void rt_select_nth(rt_item *o, int64_t nth, int64_t n);
void rt_select_partial_sort(rt_item *o, int64_t k, int64_t n);
void rt_select_quick(rt_item *o, int64_t k, int64_t n);
/* The first k, 0 < k <= RT_SELECT_FEW, in order; false: there are equals among them or behind, so that it depends on the
 * way of choosing.  Leaves o as it was, except that they stand in top. */
enum { RT_SELECT_FEW = 128 };
bool rt_select_few(const rt_item *o, int64_t n, int64_t k, rt_item *top);

rt_tensor *rt_contiguous(const rt_tensor *t); /* owned: a contiguous copy, or t retained */
rt_tensor *rt_expanded(rt_tensor *t, int n, const int64_t *shape); /* owned contiguous copy; NULL: memory */
/* Broadcast shape of a and b; false: raised. */
bool rt_broadcast(rt_env *env, const rt_tensor *a, const rt_tensor *b, int *n, int64_t *shape);
int64_t rt_int_arg(rt_value v, int64_t none);                             /* int or bool; `none` otherwise */
bool rt_axis_arg(rt_env *env, rt_value v, const rt_tensor *t, int *axis); /* -1 for a 0-dim tensor */
/* Gives tensors as results, which it takes; a NULL among them: all are released and MemoryError raised. */
bool rt_give_tensors(rt_env *env, rt_value *out, int n, rt_tensor *const *t);

#endif
