/* opaque_select.c: partial orders with the very permutations that PyTorch's CPU kernels leave, so that among
 * equal values the same ones are chosen: libstdc++'s sort, nth_element and partial_sort, and kthvalue's own
 * quickselect.
 *
 * All work on `o`, an array of element numbers, by a strict order `less`. */
#include "runtime/opaque.h"

typedef struct sel {
    int64_t *o;
    rt_before *less;
    const void *env;
} sel;

static bool lt(const sel *s, int64_t i, int64_t j) { return s->less(s->env, s->o[i], s->o[j]); }

static void swap(const sel *s, int64_t i, int64_t j) {
    int64_t x = s->o[i];
    s->o[i] = s->o[j], s->o[j] = x;
}

/* ------------------------------------------------------------------ heaps */

static void adjust_heap(const sel *s, int64_t first, int64_t hole, int64_t len, int64_t value) {
    int64_t top = hole, child = hole, *a = s->o + first;
    while (child < (len - 1) / 2) {
        child = 2 * (child + 1);
        if (s->less(s->env, a[child], a[child - 1])) child--;
        a[hole] = a[child];
        hole = child;
    }
    if (len % 2 == 0 && child == (len - 2) / 2) {
        child = 2 * (child + 1);
        a[hole] = a[child - 1];
        hole = child - 1;
    }
    for (int64_t parent = (hole - 1) / 2; hole > top && s->less(s->env, a[parent], value);
         parent = (hole - 1) / 2) {
        a[hole] = a[parent];
        hole = parent;
    }
    a[hole] = value;
}

static void pop_heap(const sel *s, int64_t first, int64_t last, int64_t result) {
    int64_t value = s->o[result];
    s->o[result] = s->o[first];
    adjust_heap(s, first, 0, last - first, value);
}

static void heap_select(const sel *s, int64_t first, int64_t middle, int64_t last) {
    int64_t len = middle - first;
    for (int64_t parent = (len - 2) / 2; len >= 2 && parent >= 0; parent--)
        adjust_heap(s, first, parent, len, s->o[first + parent]);
    for (int64_t i = middle; i < last; i++)
        if (lt(s, i, first)) pop_heap(s, first, middle, i);
}

static void heap_sort_part(const sel *s, int64_t first, int64_t middle, int64_t last) {
    heap_select(s, first, middle, last);
    for (; middle - first > 1; middle--) pop_heap(s, first, middle - 1, middle - 1);
}

/* ------------------------------------------------------------------ partitions */

static void insert(const sel *s, int64_t at) { /* something not greater stands before it */
    int64_t value = s->o[at];
    for (; s->less(s->env, value, s->o[at - 1]); at--) s->o[at] = s->o[at - 1];
    s->o[at] = value;
}

static void insertion_sort(const sel *s, int64_t first, int64_t last) {
    for (int64_t i = first + 1; i < last; i++) {
        if (!lt(s, i, first)) {
            insert(s, i);
            continue;
        }
        int64_t value = s->o[i];
        memmove(s->o + first + 1, s->o + first, (size_t)(i - first) * sizeof *s->o);
        s->o[first] = value;
    }
}

static void median_to_first(const sel *s, int64_t to, int64_t a, int64_t b, int64_t c) {
    if (lt(s, a, b)) swap(s, to, lt(s, b, c) ? b : lt(s, a, c) ? c : a);
    else swap(s, to, lt(s, a, c) ? a : lt(s, b, c) ? c : b);
}

static int64_t partition(const sel *s, int64_t first, int64_t last) {
    int64_t pivot = first;
    median_to_first(s, first, first + 1, first + (last - first) / 2, last - 1);
    for (first++;; first++) {
        while (lt(s, first, pivot)) first++;
        last--;
        while (lt(s, pivot, last)) last--;
        if (!(first < last)) return first;
        swap(s, first, last);
    }
}

static int depth_limit(int64_t n) {
    int k = 0;
    for (; n > 1; n /= 2) k++;
    return 2 * k;
}

enum { SMALL_SORT = 16, SMALL_SELECT = 3 };

static void sort_loop(const sel *s, int64_t first, int64_t last, int depth) {
    while (last - first > SMALL_SORT) {
        if (depth-- == 0) {
            heap_sort_part(s, first, last, last);
            return;
        }
        int64_t cut = partition(s, first, last);
        sort_loop(s, cut, last, depth);
        last = cut;
    }
}

void rt_select_sort(int64_t *order, int64_t n, rt_before *less, const void *env) {
    sel s = {order, less, env};
    sort_loop(&s, 0, n, depth_limit(n));
    if (n <= SMALL_SORT) {
        insertion_sort(&s, 0, n);
        return;
    }
    insertion_sort(&s, 0, SMALL_SORT);
    for (int64_t i = SMALL_SORT; i < n; i++) insert(&s, i);
}

void rt_select_nth(int64_t *order, int64_t nth, int64_t n, rt_before *less, const void *env) {
    sel s = {order, less, env};
    int64_t first = 0, last = n;
    if (nth >= n) return;
    for (int depth = depth_limit(n); last - first > SMALL_SELECT; depth--) {
        if (depth == 0) {
            heap_select(&s, first, nth + 1, last);
            swap(&s, first, nth);
            return;
        }
        int64_t cut = partition(&s, first, last);
        if (cut <= nth) first = cut;
        else last = cut;
    }
    insertion_sort(&s, first, last);
}

void rt_select_partial_sort(int64_t *order, int64_t k, int64_t n, rt_before *less, const void *env) {
    sel s = {order, less, env};
    heap_sort_part(&s, 0, k, n);
}

/* ------------------------------------------------------------------ kthvalue */

void rt_select_quick(int64_t *order, int64_t k, int64_t n, rt_before *greater, const void *env) {
    sel s = {order, greater, env};
    int64_t left = 0, right = n - 1;
    while (right > left) {
        if (right == left + 1) {
            if (lt(&s, left, right)) swap(&s, left, right);
            return;
        }
        swap(&s, left + (right - left) / 2, left + 1);
        if (lt(&s, left + 1, right)) swap(&s, left + 1, right);
        if (lt(&s, left, right)) swap(&s, left, right);
        if (lt(&s, left + 1, left)) swap(&s, left + 1, left);
        int64_t i = left + 1, j = right;
        for (;;) {
            do i++;
            while (lt(&s, left, i));
            do j--;
            while (lt(&s, j, left));
            if (j < i) break;
            swap(&s, i, j);
        }
        swap(&s, left, j);
        if (j <= k) left = i;
        if (j >= k) right = j - 1;
    }
}
