/* base.c: see base.h. */
#include "runtime/base.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *rt_malloc(size_t n) { return malloc(n ? n : 1); }
void *rt_calloc(size_t n, size_t size) { return n && size ? calloc(n, size) : calloc(1, 1); }
void *rt_realloc(void *p, size_t n) { return realloc(p, n ? n : 1); }
void rt_free(void *p) { free(p); }

void rt_want_large_pages(void *p, size_t n) {
#ifdef MADV_HUGEPAGE
    enum { LARGE = 4 << 20 }; /* two of the usual large pages: the ends, which no such page covers, matter less */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)p + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)p + n) & ~(page - 1);
    if (n >= LARGE) madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)p, (void)n;
#endif
}

/* ---- arena */

enum { CHUNK_BYTES = 64 * 1024, ALIGN = 16 };

struct rt_chunk {
    struct rt_chunk *next;
    _Alignas(16) char data[];
};

static _Noreturn void arena_failed(rt_arena *a) {
    if (a->fail) longjmp(*a->fail, 1);
    fputs("jitc: out of memory\n", stderr);
    abort();
}

void *rt_arena_alloc(rt_arena *a, size_t n) {
    size_t need = n;
    if (!rt_add_size(n, ALIGN - 1, &need)) arena_failed(a);
    need &= ~(size_t)(ALIGN - 1);
    if ((size_t)(a->end - a->at) < need || !a->at) {
        size_t bytes = need > CHUNK_BYTES / 4 ? need : CHUNK_BYTES, total;
        struct rt_chunk *c;
        if (!rt_add_size(bytes, sizeof *c, &total) || !(c = rt_calloc(1, total))) arena_failed(a);
        c->next = a->chunks;
        a->chunks = c;
        a->at = c->data;
        a->end = c->data + bytes;
    }
    void *p = a->at;
    a->at += need;
    a->used += need;
    return p;
}

void *rt_arena_array(rt_arena *a, size_t n, size_t size) {
    size_t bytes;
    if (!rt_mul_size(n, size, &bytes)) arena_failed(a);
    return rt_arena_alloc(a, bytes);
}

void *rt_arena_copy(rt_arena *a, const void *p, size_t n) {
    void *q = rt_arena_alloc(a, n);
    if (n) memcpy(q, p, n);
    return q;
}

char *rt_arena_str(rt_arena *a, const char *s, size_t n) {
    size_t bytes;
    if (!rt_add_size(n, 1, &bytes)) arena_failed(a);
    char *q = rt_arena_alloc(a, bytes);
    if (n) memcpy(q, s, n);
    return q;
}

char *rt_arena_vfmt(rt_arena *a, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *s = rt_arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
    if (n > 0) vsnprintf(s, (size_t)n + 1, fmt, ap);
    return s;
}

char *rt_arena_fmt(rt_arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *s = rt_arena_vfmt(a, fmt, ap);
    va_end(ap);
    return s;
}

void rt_arena_free(rt_arena *a) {
    for (struct rt_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        rt_free(c);
    }
    a->chunks = NULL;
    a->at = a->end = NULL;
    a->used = 0;
}

void *rt_vec_grow(rt_arena *a, void *at, int n, int *cap, size_t size) {
    if (*cap > INT32_MAX / 2) arena_failed(a);
    *cap = *cap ? *cap * 2 : 8;
    void *p = rt_arena_array(a, (size_t)*cap, size);
    if (n) memcpy(p, at, (size_t)n * size);
    return p;
}

/* ---- text */

void rt_text_add(rt_text *t, const char *s, size_t n) {
    size_t need;
    if (t->failed || !rt_add_size(t->n, n, &need) || !rt_add_size(need, 1, &need)) {
        t->failed = true;
        return;
    }
    if (need > t->cap) {
        size_t cap = t->cap ? t->cap : 256;
        while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        char *p = rt_realloc(t->s, cap);
        if (!p) {
            t->failed = true;
            return;
        }
        t->s = p;
        t->cap = cap;
    }
    if (n) memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
}

void rt_text_str(rt_text *t, const char *s) { rt_text_add(t, s, strlen(s)); }

void rt_text_fmt(rt_text *t, const char *fmt, ...) {
    char small[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    if ((size_t)n < sizeof small) {
        rt_text_add(t, small, (size_t)n);
        return;
    }
    char *big = rt_malloc((size_t)n + 1);
    if (!big) {
        t->failed = true;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(big, (size_t)n + 1, fmt, ap);
    va_end(ap);
    rt_text_add(t, big, (size_t)n);
    rt_free(big);
}

void rt_text_free(rt_text *t) {
    rt_free(t->s);
    *t = (rt_text){0};
}

/* ---- map */

uint64_t rt_hash(const void *p, size_t n, uint64_t seed) { /* FNV-1a, finished with a multiply-shift */
    const unsigned char *s = p;
    uint64_t h = 1469598103934665603u ^ seed;
    for (size_t i = 0; i < n; i++) h = (h ^ s[i]) * 1099511628211u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static int *map_slot(const rt_map *m, const char *key, size_t len, uint64_t hash) {
    for (int i = (int)(hash & (uint64_t)(m->nslots - 1));; i = (i + 1) & (m->nslots - 1)) {
        int e = m->slots[i];
        if (e < 0) return &m->slots[i];
        const struct rt_entry *x = &m->entries[e];
        if (x->hash == hash && x->len == len && !memcmp(x->key, key, len)) return &m->slots[i];
    }
}

void *rt_map_getn(const rt_map *m, const char *key, size_t len) {
    if (!m->nslots) return NULL;
    int e = *map_slot(m, key, len, rt_hash(key, len, 0));
    return e < 0 ? NULL : m->entries[e].value;
}

void *rt_map_get(const rt_map *m, const char *key) { return rt_map_getn(m, key, strlen(key)); }

static void map_rehash(rt_arena *a, rt_map *m) {
    m->nslots = m->nslots ? m->nslots * 2 : 16;
    m->slots = RT_ARRAY(a, int, m->nslots);
    memset(m->slots, -1, (size_t)m->nslots * sizeof *m->slots);
    for (int i = 0; i < m->n; i++) {
        const struct rt_entry *x = &m->entries[i];
        *map_slot(m, x->key, x->len, x->hash) = i;
    }
}

void rt_map_putn(rt_arena *a, rt_map *m, const char *key, size_t len, void *value) {
    if ((m->n + 1) * 2 > m->nslots) map_rehash(a, m);
    uint64_t hash = rt_hash(key, len, 0);
    int *slot = map_slot(m, key, len, hash);
    if (*slot >= 0) {
        m->entries[*slot].value = value;
        return;
    }
    if (m->n == m->cap) m->entries = rt_vec_grow(a, m->entries, m->n, &m->cap, sizeof *m->entries);
    *slot = m->n;
    m->entries[m->n++] = (struct rt_entry){rt_arena_str(a, key, len), len, hash, value};
}

void rt_map_put(rt_arena *a, rt_map *m, const char *key, void *value) {
    rt_map_putn(a, m, key, strlen(key), value);
}

/* ---- literals */

char *rt_print_double(char buf[32], double x) {
    if (isnan(x)) return strcpy(buf, "nan");
    if (isinf(x)) return strcpy(buf, x < 0 ? "-inf" : "inf");
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, 32, "%.*g", digits, x);
        if (strtod(buf, NULL) == x) break;
    }
    if (!strpbrk(buf, ".e")) strcat(buf, ".0");
    return buf;
}
