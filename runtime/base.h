/* base.h: what every folder stands on: arenas, growing arrays, string building, hashing, checked sizes.
 *
 * Compile-time memory lives in arenas that belong to one context; an arena that cannot grow leaves by
 * longjmp to `arena.fail` (set by the phase boundary), so callers never test its results.  The runtime
 * proper (tensor.c, module.c ...) uses rt_malloc and status codes instead and never longjmps. */
#ifndef JITC_RUNTIME_BASE_H
#define JITC_RUNTIME_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define RT_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#if defined(__GNUC__)
#define RT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define RT_PRINTF(f, a)
#endif

/* ---- heap: the only malloc of the project; n == 0 gives a valid pointer.  NULL when out of memory. */
void *rt_malloc(size_t n);
void *rt_calloc(size_t n, size_t size); /* checked product, zeroed */
void *rt_realloc(void *p, size_t n);
void rt_free(void *p); /* takes NULL */
/* Fresh memory that will be used as a whole: where it is large the system is asked for large pages, which are a hundred
 * times fewer faults at first use and less misses later. */
void rt_want_large_pages(void *p, size_t n);

/* ---- checked size arithmetic: false on overflow, *out untouched */
static inline bool rt_mul_size(size_t a, size_t b, size_t *out) {
    size_t r;
    return !__builtin_mul_overflow(a, b, &r) && (*out = r, true);
}
static inline bool rt_add_size(size_t a, size_t b, size_t *out) {
    size_t r;
    return !__builtin_add_overflow(a, b, &r) && (*out = r, true);
}
static inline bool rt_mul_i64(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    return !__builtin_mul_overflow(a, b, &r) && (*out = r, true);
}
static inline bool rt_add_i64(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    return !__builtin_add_overflow(a, b, &r) && (*out = r, true);
}

/* ---- arena: bump allocation, freed at once.  Memory is zeroed, aligned to 16. */
typedef struct rt_arena {
    struct rt_chunk *chunks; /* newest first */
    char *at, *end;          /* free part of the newest chunk */
    size_t used;             /* bytes handed out, for statistics */
    jmp_buf *fail;           /* where to go when out of memory; NULL: abort */
} rt_arena;

void *rt_arena_alloc(rt_arena *a, size_t n);
void *rt_arena_array(rt_arena *a, size_t n, size_t size); /* checked product */
void *rt_arena_copy(rt_arena *a, const void *p, size_t n);
char *rt_arena_str(rt_arena *a, const char *s, size_t n); /* copy of n bytes, NUL-terminated */
char *rt_arena_fmt(rt_arena *a, const char *fmt, ...) RT_PRINTF(2, 3);
char *rt_arena_vfmt(rt_arena *a, const char *fmt, va_list ap);
void rt_arena_free(rt_arena *a); /* everything; the arena can be used again */

#define RT_NEW(a, T) ((T *)rt_arena_alloc((a), sizeof(T)))
#define RT_ARRAY(a, T, n) ((T *)rt_arena_array((a), (size_t)(n), sizeof(T)))

/* ---- growing array in an arena: declare with RT_VEC(T), push with RT_PUSH.
 * Zero-initialised is empty.  Old storage stays in the arena until that is freed. */
#define RT_VEC(T) \
    struct {      \
        T *at;    \
        int n, cap; \
    }
void *rt_vec_grow(rt_arena *a, void *at, int n, int *cap, size_t size);
#define RT_PUSH(a, v, x)                                                                                    \
    ((v)->n < (v)->cap ? (void)0                                                                            \
                       : (void)((v)->at = rt_vec_grow((a), (v)->at, (v)->n, &(v)->cap, sizeof *(v)->at)), \
     (v)->at[(v)->n++] = (x))

/* ---- string builder on the heap (so that it can be large and temporary).  Zero-initialised is empty.
 * `s` is always NUL-terminated once anything was added; out of memory sets `failed` and drops the text. */
typedef struct rt_text {
    char *s;
    size_t n, cap;
    bool failed;
} rt_text;
void rt_text_add(rt_text *t, const char *s, size_t n);
void rt_text_str(rt_text *t, const char *s);
void rt_text_fmt(rt_text *t, const char *fmt, ...) RT_PRINTF(2, 3);
void rt_text_free(rt_text *t);

/* ---- map from byte strings to pointers, insertion order kept.  Keys are copied into the arena. */
typedef struct rt_map {
    struct rt_entry *entries; /* in order of insertion */
    int n, cap;
    int *slots;               /* open addressing into entries, -1 free */
    int nslots;
} rt_map;
struct rt_entry {
    const char *key;
    size_t len;
    uint64_t hash;
    void *value;
};
void *rt_map_get(const rt_map *m, const char *key);                 /* NULL if absent */
void *rt_map_getn(const rt_map *m, const char *key, size_t len);
void rt_map_put(rt_arena *a, rt_map *m, const char *key, void *value); /* replaces */
void rt_map_putn(rt_arena *a, rt_map *m, const char *key, size_t len, void *value);

uint64_t rt_hash(const void *p, size_t n, uint64_t seed);

/* Shortest decimal text that reads back as the same double ("0.1", "1e-05", "3.0", "inf", "-inf", "nan"),
 * always with a '.' or an 'e' when finite: the one printer of float literals.  buf holds 32 bytes. */
char *rt_print_double(char buf[32], double x);

#endif
