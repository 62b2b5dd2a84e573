/* opaque_select.c: partial orders with the very permutations that PyTorch's CPU kernels leave, so that among
 * equal values the same ones are chosen: libstdc++'s sort, nth_element and partial_sort, and kthvalue's own
 * quickselect.
 *
 * All work on `o`, an array of items, by their keys. */
#include "runtime/opaque.h"

static bool less(rt_item a, rt_item b) { return a.key < b.key; }
static bool lt(const rt_item *o, int64_t i, int64_t j) { return o[i].key < o[j].key; }

static void swap(rt_item *o, int64_t i, int64_t j) {
    rt_item x = o[i];
    o[i] = o[j], o[j] = x;
}

/* ------------------------------------------------------------------ heaps */

static void adjust_heap(rt_item *o, int64_t first, int64_t hole, int64_t len, rt_item value) {
    int64_t top = hole, child = hole;
    rt_item *a = o + first;
    while (child < (len - 1) / 2) {
        child = 2 * (child + 1);
        if (less(a[child], a[child - 1])) child--;
        a[hole] = a[child];
        hole = child;
    }
    if (len % 2 == 0 && child == (len - 2) / 2) {
        child = 2 * (child + 1);
        a[hole] = a[child - 1];
        hole = child - 1;
    }
    for (int64_t parent = (hole - 1) / 2; hole > top && less(a[parent], value);
         parent = (hole - 1) / 2) {
        a[hole] = a[parent];
        hole = parent;
    }
    a[hole] = value;
}

static void pop_heap(rt_item *o, int64_t first, int64_t last, int64_t result) {
    rt_item value = o[result];
    o[result] = o[first];
    adjust_heap(o, first, 0, last - first, value);
}

static void heap_select(rt_item *o, int64_t first, int64_t middle, int64_t last) {
    int64_t len = middle - first;
    for (int64_t parent = (len - 2) / 2; len >= 2 && parent >= 0; parent--)
        adjust_heap(o, first, parent, len, o[first + parent]);
    for (int64_t i = middle; i < last; i++)
        if (lt(o, i, first)) pop_heap(o, first, middle, i);
}

static void heap_sort_part(rt_item *o, int64_t first, int64_t middle, int64_t last) {
    heap_select(o, first, middle, last);
    for (; middle - first > 1; middle--) pop_heap(o, first, middle - 1, middle - 1);
}

/* ------------------------------------------------------------------ partitions */

static void insert(rt_item *o, int64_t at) { /* something not greater stands before it */
    rt_item value = o[at];
    for (; less(value, o[at - 1]); at--) o[at] = o[at - 1];
    o[at] = value;
}

static void insertion_sort(rt_item *o, int64_t first, int64_t last) {
    for (int64_t i = first + 1; i < last; i++) {
        if (!lt(o, i, first)) {
            insert(o, i);
            continue;
        }
        rt_item value = o[i];
        memmove(o + first + 1, o + first, (size_t)(i - first) * sizeof *o);
        o[first] = value;
    }
}

static void median_to_first(rt_item *o, int64_t to, int64_t a, int64_t b, int64_t c) {
    if (lt(o, a, b)) swap(o, to, lt(o, b, c) ? b : lt(o, a, c) ? c : a);
    else swap(o, to, lt(o, a, c) ? a : lt(o, b, c) ? c : b);
}

static int64_t partition(rt_item *o, int64_t first, int64_t last) {
    int64_t pivot = first;
    median_to_first(o, first, first + 1, first + (last - first) / 2, last - 1);
    for (first++;; first++) {
        while (lt(o, first, pivot)) first++;
        last--;
        while (lt(o, pivot, last)) last--;
        if (!(first < last)) return first;
        swap(o, first, last);
    }
}

static int depth_limit(int64_t n) {
    int k = 0;
    for (; n > 1; n /= 2) k++;
    return 2 * k;
}

enum { SMALL_SORT = 16, SMALL_SELECT = 3 };

static void sort_loop(rt_item *o, int64_t first, int64_t last, int depth) {
    while (last - first > SMALL_SORT) {
        if (depth-- == 0) {
            heap_sort_part(o, first, last, last);
            return;
        }
        int64_t cut = partition(o, first, last);
        sort_loop(o, cut, last, depth);
        last = cut;
    }
}

void rt_select_sort(rt_item *o, int64_t n) {
    sort_loop(o, 0, n, depth_limit(n));
    if (n <= SMALL_SORT) {
        insertion_sort(o, 0, n);
        return;
    }
    insertion_sort(o, 0, SMALL_SORT);
    for (int64_t i = SMALL_SORT; i < n; i++) insert(o, i);
}

void rt_select_nth(rt_item *o, int64_t nth, int64_t n) {
    int64_t first = 0, last = n;
    if (nth >= n) return;
    for (int depth = depth_limit(n); last - first > SMALL_SELECT; depth--) {
        if (depth == 0) {
            heap_select(o, first, nth + 1, last);
            swap(o, first, nth);
            return;
        }
        int64_t cut = partition(o, first, last);
        if (cut <= nth) first = cut;
        else last = cut;
    }
    insertion_sort(o, first, last);
}

void rt_select_partial_sort(rt_item *o, int64_t k, int64_t n) {
    heap_sort_part(o, 0, k, n);
}

/* ------------------------------------------------------------------ few of many */

bool rt_select_few(const rt_item *o, int64_t n, int64_t k, rt_item *top) {
    for (int64_t i = 0; i < k; i++) top[i] = o[i];
    insertion_sort(top, 0, k);
    uint64_t last = top[k - 1].key;
    bool tie = false; /* is there one like the last one of top that is not in it? */
    for (int64_t i = k; i < n; i++) {
        if (o[i].key >= last) {
            tie |= o[i].key == last;
            continue;
        }
        int64_t at = k - 1;
        for (; at > 0 && less(o[i], top[at - 1]); at--) top[at] = top[at - 1];
        top[at] = o[i];
        tie = top[k - 1].key == last;
        last = top[k - 1].key;
    }
    for (int64_t i = 1; i < k; i++) tie |= top[i].key == top[i - 1].key;
    return !tie;
}

/* ------------------------------------------------------------------ kthvalue */

void rt_select_quick(rt_item *o, int64_t k, int64_t n) {
    int64_t left = 0, right = n - 1;
    while (right > left) {
        if (right == left + 1) {
            if (lt(o, left, right)) swap(o, left, right);
            return;
        }
        swap(o, left + (right - left) / 2, left + 1);
        if (lt(o, left + 1, right)) swap(o, left + 1, right);
        if (lt(o, left, right)) swap(o, left, right);
        if (lt(o, left + 1, left)) swap(o, left + 1, left);
        int64_t i = left + 1, j = right;
        for (;;) {
            do i++;
            while (lt(o, left, i));
            do j--;
            while (lt(o, j, left));
            if (j < i) break;
            swap(o, i, j);
        }
        swap(o, left, j);
        if (j <= k) left = i;
        if (j >= k) right = j - 1;
    }
}
