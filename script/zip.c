/* zip.c: see zip.h.
 *
 * Our own reader, not a library, for two reasons: stored entries are used in place from the mapped file (a
 * weight is never copied), and archives are hostile input, where what zip libraries accept for compatibility
 * (several end records, local headers that disagree with the directory, overlapping entries, names that leave
 * the folder) is what attacks are made of.  Only the central directory counts; whatever is not exactly as the
 * format says is an error. zlib inflates.  Both forms that PyTorch writes are read: with data descriptors and
 * zip64 records, and without. */
#include "script/zip.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    MAX_ENTRIES = 200000,
    MAX_NAME = 4096,
    MAX_RATIO = 1032,           /* deflate cannot do better */
    MAX_INFLATED = 512 << 20,   /* bytes of one deflated entry */
    MAX_INFLATED_ALL = 1 << 30, /* bytes of all deflated entries together */
    END_SIZE = 22,
    LOCATOR_SIZE = 20,
    END64_SIZE = 56,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    FLAG_DEFLATE_LEVEL = 6,
    FLAG_DESCRIPTOR = 8,
    FLAG_UTF8 = 0x800,
    EXTRA_ZIP64 = 1
};

struct script_zip {
    ir_context *c;
    const char *file;
    ir_mapping *map;
    int n;
    script_zip_entry *entries;
    rt_map names;
};

typedef struct directory {
    size_t at, size, count, limit;
} directory; /* limit: where the end records begin */

/* What a header says about an entry, before it is believed. */
typedef struct header {
    unsigned flags, method, name_size, extra_size, comment_size, disk;
    uint32_t crc;
    uint64_t packed, size, offset;
} header;

static unsigned u16(const char *p) {
    return (unsigned)(unsigned char)p[0] | (unsigned)(unsigned char)p[1] << 8;
}
static uint32_t u32(const char *p) { return u16(p) | (uint32_t)u16(p + 2) << 16; }
static uint64_t u64(const char *p) { return u32(p) | (uint64_t)u32(p + 4) << 32; }
static bool sign(const char *p, char a, char b) {
    return p[0] == 'P' && p[1] == 'K' && p[2] == a && p[3] == b;
}

static bool bad(const script_zip *z, const char *entry, const char *why) {
    if (entry) ir_error(z->c, 0, "%s: entry `%s`: %s", z->file, entry, why);
    else ir_error(z->c, 0, "%s: %s", z->file, why);
    return false;
}

/* ---- end records */

/* The end record is the one whose comment ends at the end of the file; there must be exactly one such place.
 */
static bool find_end(script_zip *z, size_t *at) {
    const char *p = z->map->data;
    size_t n = z->map->n, found = 0;
    if (n < END_SIZE) return bad(z, NULL, n ? "not a zip archive (too short)" : "the file is empty");
    size_t lowest = n - END_SIZE > 0xffff ? n - END_SIZE - 0xffff : 0;
    for (size_t i = n - END_SIZE + 1; i-- > lowest;) {
        if (!sign(p + i, 5, 6) || i + END_SIZE + u16(p + i + 20) != n) continue;
        *at = i;
        found++;
    }
    if (found == 1) return true;
    if (found) return bad(z, NULL, "the zip archive has several end records");
    return bad(z, NULL, sign(p, 3, 4) ? "the zip archive is cut short (no end record)" : "not a zip archive");
}

/* The zip64 end record, if a locator stands before the ordinary one: both must be adjacent and agree. */
static bool read_end64(script_zip *z, size_t end, directory *d, bool *present) {
    const char *p = z->map->data;
    *present = false;
    if (end < LOCATOR_SIZE || !sign(p + end - LOCATOR_SIZE, 6, 7)) return true;
    const char *loc = p + end - LOCATOR_SIZE;
    uint64_t at = u64(loc + 8);
    size_t locator = end - LOCATOR_SIZE;
    if (u32(loc + 4) != 0 || u32(loc + 16) > 1)
        return bad(z, NULL, "a zip archive in several parts is not supported");
    if (locator < END64_SIZE || at > locator - END64_SIZE || !sign(p + at, 6, 6))
        return bad(z, NULL, "the zip64 locator does not point to an end record");
    const char *e = p + at;
    if (u64(e + 4) != locator - at - 12) return bad(z, NULL, "the zip64 end record has a wrong size");
    if (u32(e + 16) != 0 || u32(e + 20) != 0)
        return bad(z, NULL, "a zip archive in several parts is not supported");
    if (u64(e + 24) != u64(e + 32))
        return bad(z, NULL, "the zip64 end record disagrees with itself on the count of entries");
    *d = (directory){.at = u64(e + 48), .size = u64(e + 40), .count = u64(e + 32), .limit = at};
    *present = true;
    return true;
}

static bool read_end(script_zip *z, directory *d) {
    size_t end;
    bool wide;
    if (!find_end(z, &end) || !read_end64(z, end, d, &wide)) return false;
    const char *e = z->map->data + end;
    unsigned disk = u16(e + 4), disk_cd = u16(e + 6), count_here = u16(e + 8), count = u16(e + 10);
    uint32_t size = u32(e + 12), at = u32(e + 16);
    if (!wide) *d = (directory){.at = at, .size = size, .count = count, .limit = end};
    bool same = (wide && (disk == 0xffff || disk == 0) && (disk_cd == 0xffff || disk_cd == 0)) ||
                (disk == 0 && disk_cd == 0);
    if (!same) return bad(z, NULL, "a zip archive in several parts is not supported");
    if (count_here != count || (count != d->count && !(wide && count == 0xffff)) ||
        (size != d->size && !(wide && size == UINT32_MAX)) || (at != d->at && !(wide && at == UINT32_MAX)))
        return bad(z, NULL, "the end records of the zip archive disagree");
    if (d->at > d->limit || d->size != d->limit - d->at)
        return bad(z, NULL, "the directory of the zip archive does not end where its end record begins");
    if (d->count > MAX_ENTRIES) return bad(z, NULL, "the zip archive has too many entries");
    if (d->count > d->size / CENTRAL_SIZE)
        return bad(z, NULL, "the directory of the zip archive is cut short");
    return true;
}

/* ---- entries */

/* Fields that are all ones stand in the zip64 extra field, in this order.  `extra` may hold padding fields.
 */
static const char *apply_zip64(header *h, const char *extra, bool local) {
    const char *end = extra + h->extra_size, *wide = NULL;
    size_t wide_size = 0;
    while (end - extra >= 4) {
        size_t n = u16(extra + 2);
        if (n > (size_t)(end - extra) - 4) return "an extra field is longer than its room";
        if (u16(extra) == EXTRA_ZIP64) {
            if (wide) return "two zip64 extra fields";
            wide = extra + 4;
            wide_size = n;
        }
        extra += 4 + n;
    }
    uint64_t *fields[] = {&h->size, &h->packed, &h->offset};
    for (int i = 0; i < (local ? 2 : 3); i++) {
        if (*fields[i] != UINT32_MAX) continue;
        if (wide_size < 8) return "a zip64 extra field is missing or too short";
        *fields[i] = u64(wide);
        wide += 8;
        wide_size -= 8;
    }
    return NULL;
}

static const char *check_name(const char *s, size_t n) {
    if (n == 0 || n > MAX_NAME) return "the name is empty or too long";
    if (s[0] == '/' || (n > 1 && s[1] == ':')) return "absolute names are not allowed";
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f || s[i] == '\\')
            return "the name holds a forbidden character";
    for (size_t i = 0, from = 0; i <= n; i++) {
        if (i < n && s[i] != '/') continue;
        size_t len = i - from;
        if ((len == 0 && i < n) || (len == 1 && s[from] == '.') ||
            (len == 2 && s[from] == '.' && s[from + 1] == '.'))
            return "the name has an empty, `.` or `..` part";
        from = i + 1;
    }
    return NULL;
}

static const char *check_header(const header *h) {
    if (h->flags & 0x2041) return "encrypted entries are not supported";
    if (h->flags & ~(unsigned)(FLAG_DEFLATE_LEVEL | FLAG_DESCRIPTOR | FLAG_UTF8)) return "unknown flags";
    if (h->method != 0 && h->method != 8)
        return "the compression method is not supported (only stored and deflate are)";
    if (h->disk != 0) return "a zip archive in several parts is not supported";
    if (h->method == 0 && h->packed != h->size) return "a stored entry has two different sizes";
    if (h->method == 8 && (h->size > MAX_INFLATED || h->size / MAX_RATIO > h->packed))
        return "the entry claims to inflate to an impossible or too large size";
    return NULL;
}

/* The descriptor after the data repeats CRC and sizes, in 32 or 64 bits, with or without a signature. */
static size_t descriptor_size(const char *p, size_t room, const header *h) {
    size_t skip = room >= 4 && sign(p, 7, 8) ? 4 : 0;
    for (;; skip = 0) {
        const char *q = p + skip;
        size_t left = room - skip;
        if (left >= 20 && u32(q) == h->crc && u64(q + 4) == h->packed && u64(q + 12) == h->size)
            return skip + 20;
        if (left >= 12 && u32(q) == h->crc && u32(q + 4) == h->packed && u32(q + 8) == h->size)
            return skip + 12;
        if (!skip) return 0;
    }
}

/* The local header must tell the same story as the directory's `h`. */
static const char *check_local(const script_zip *z, const directory *d, const header *h, const char *name,
                               script_zip_entry *e) {
    if (h->offset > d->at || d->at - h->offset < LOCAL_SIZE)
        return "its local header lies outside of the file";
    const char *p = z->map->data + h->offset;
    if (!sign(p, 3, 4)) return "its local header is not where the directory says";
    header l = {.flags = u16(p + 6),
                .method = u16(p + 8),
                .crc = u32(p + 14),
                .packed = u32(p + 18),
                .size = u32(p + 22),
                .name_size = u16(p + 26),
                .extra_size = u16(p + 28)};
    size_t room = d->at - h->offset - LOCAL_SIZE;
    if ((size_t)l.name_size + l.extra_size > room) return "its local header lies outside of the file";
    if (l.name_size != h->name_size || memcmp(p + LOCAL_SIZE, name, l.name_size))
        return "its local header has another name";
    if (l.flags != h->flags || l.method != h->method)
        return "its local header has another method or other flags";
    bool deferred = (h->flags & FLAG_DESCRIPTOR) && l.crc == 0 && l.packed == 0 && l.size == 0;
    const char *why = deferred ? NULL : apply_zip64(&l, p + LOCAL_SIZE + l.name_size, true);
    if (why) return why;
    if (!deferred && (l.crc != h->crc || l.packed != h->packed || l.size != h->size))
        return "its local header has other sizes or another checksum";
    e->begin = h->offset;
    e->at = h->offset + LOCAL_SIZE + l.name_size + l.extra_size;
    if (h->packed > d->at - e->at) return "its data lies outside of the file";
    e->end = e->at + h->packed;
    if (h->flags & FLAG_DESCRIPTOR) {
        size_t n = descriptor_size(z->map->data + e->end, d->at - e->end, h);
        if (!n) return "its data descriptor is missing or wrong";
        e->end += n;
    }
    return NULL;
}

/* One row of the directory; *at moves on. */
static bool read_entry(script_zip *z, const directory *d, size_t *at, script_zip_entry *e) {
    const char *p = z->map->data + *at;
    size_t room = d->limit - *at;
    if (room < CENTRAL_SIZE || !sign(p, 1, 2))
        return bad(z, NULL, "the directory of the zip archive is damaged");
    header h = {.flags = u16(p + 8),
                .method = u16(p + 10),
                .crc = u32(p + 16),
                .packed = u32(p + 20),
                .size = u32(p + 24),
                .name_size = u16(p + 28),
                .extra_size = u16(p + 30),
                .comment_size = u16(p + 32),
                .disk = u16(p + 34),
                .offset = u32(p + 42)};
    size_t total = CENTRAL_SIZE + (size_t)h.name_size + h.extra_size + h.comment_size;
    if (total > room) return bad(z, NULL, "the directory of the zip archive is cut short");
    const char *name = p + CENTRAL_SIZE, *shown = ir_quote(z->c, name, h.name_size);
    const char *why = check_name(name, h.name_size);
    if (!why) why = apply_zip64(&h, name + h.name_size, false);
    if (!why) why = check_header(&h);
    if (!why) why = check_local(z, d, &h, name, e);
    if (!why && rt_map_getn(&z->names, name, h.name_size)) why = "the name occurs twice";
    if (!why && name[h.name_size - 1] == '/' && h.size) why = "a folder with contents";
    if (why) return bad(z, shown, why);
    e->name = rt_arena_str(&z->c->arena, name, h.name_size);
    e->size = h.size;
    e->packed = h.packed;
    e->crc = h.crc;
    e->method = (int)h.method;
    rt_map_putn(&z->c->arena, &z->names, name, h.name_size, e);
    *at += total;
    return true;
}

static int by_place(const void *a, const void *b) {
    const script_zip_entry *x = *(script_zip_entry *const *)a, *y = *(script_zip_entry *const *)b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static bool check_overlap(script_zip *z) {
    script_zip_entry **sorted = RT_ARRAY(&z->c->arena, script_zip_entry *, z->n);
    size_t inflated = 0;
    for (int i = 0; i < z->n; i++) {
        sorted[i] = &z->entries[i];
        if (z->entries[i].method) inflated += z->entries[i].size;
    }
    if (inflated > MAX_INFLATED_ALL) return bad(z, NULL, "the zip archive inflates to more than the limit");
    if (z->n) qsort(sorted, (size_t)z->n, sizeof *sorted, by_place);
    for (int i = 1; i < z->n; i++)
        if (sorted[i]->begin < sorted[i - 1]->end)
            return bad(z, ir_quote(z->c, sorted[i]->name, strlen(sorted[i]->name)),
                       "it overlaps another entry");
    return true;
}

static bool read_directory(script_zip *z) {
    directory d;
    if (!read_end(z, &d)) return false;
    z->entries = RT_ARRAY(&z->c->arena, script_zip_entry, d.count);
    size_t at = d.at;
    for (; z->n < (int)d.count; z->n++)
        if (!read_entry(z, &d, &at, &z->entries[z->n])) return false;
    if (at != d.limit) return bad(z, NULL, "the directory of the zip archive has bytes after its last entry");
    return check_overlap(z);
}

script_zip *script_zip_open(ir_context *c, const char *file, ir_mapping *map) {
    script_zip *z = RT_NEW(&c->arena, script_zip);
    *z = (script_zip){.c = c, .file = file, .map = map};
    if (!read_directory(z)) return NULL;
    ir_mapping_retain(map);
    return z;
}

void script_zip_close(script_zip *z) {
    if (!z) return;
    for (int i = 0; i < z->n; i++) {
        rt_free(z->entries[i].inflated);
        z->entries[i].inflated = NULL;
    }
    ir_mapping_release(z->map);
    z->map = NULL;
}

int script_zip_count(const script_zip *z) { return z->n; }
script_zip_entry *script_zip_at(script_zip *z, int i) { return &z->entries[i]; }
script_zip_entry *script_zip_find(script_zip *z, const char *name) { return rt_map_get(&z->names, name); }
ir_mapping *script_zip_mapping(const script_zip *z) { return z->map; }

/* ---- contents */

static void *zlib_alloc(void *unused, unsigned n, unsigned size) {
    (void)unused;
    return rt_calloc(n, size);
}

static void zlib_free(void *unused, void *p) {
    (void)unused;
    rt_free(p);
}

/* Inflates exactly: all packed bytes used, all declared bytes made.  One spare byte catches a longer stream.
 */
static bool inflate_entry(script_zip *z, script_zip_entry *e, const char *shown) {
    z_stream s = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (!(e->inflated = rt_malloc(e->size + 1)) || inflateInit2(&s, -MAX_WBITS) != Z_OK)
        return bad(z, shown, "out of memory");
    s.next_in = (unsigned char *)z->map->data + e->at;
    s.avail_in = (unsigned)e->packed; /* fits: see below */
    s.next_out = (unsigned char *)e->inflated;
    s.avail_out = (unsigned)e->size + 1;
    int rc = inflate(&s, Z_FINISH);
    bool fine = rc == Z_STREAM_END && s.avail_in == 0 && s.total_out == e->size;
    inflateEnd(&s);
    return fine || bad(z, shown, "the compressed data is damaged");
}

static bool check_crc(const script_zip_entry *e, const char *p) {
    return crc32_z(crc32(0, NULL, 0), (const unsigned char *)p, e->size) == e->crc;
}

const char *script_zip_read(script_zip *z, script_zip_entry *e, size_t *n) {
    const char *shown = ir_quote(z->c, e->name, strlen(e->name));
    *n = e->size;
    if (e->method == 0) {
        const char *p = z->map->data + e->at;
        if (!e->checked && !(e->checked = check_crc(e, p)))
            return bad(z, shown, "the checksum is wrong"), NULL;
        return p;
    }
    if (e->checked) return e->inflated;
    if (e->packed > MAX_INFLATED) return bad(z, shown, "the entry is too large"), NULL;
    if (e->inflated) return NULL; /* failed before, and said so */
    if (!inflate_entry(z, e, shown)) return NULL;
    if (!(e->checked = check_crc(e, e->inflated))) return bad(z, shown, "the checksum is wrong"), NULL;
    return e->inflated;
}
