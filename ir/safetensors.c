/* safetensors.c: see safetensors.h.
 *
 * Layout: u64 length of the header, little-endian; the header, JSON: {"name": {"dtype", "shape",
 * "data_offsets"}...,
 * "__metadata__": {"key": "text"}}; the data.  The reader takes nothing on trust: names are unique, the
 * ranges tile the data without a gap, an overlap or a rest, and each range has exactly the size that shape
 * and dtype say. */
#include "ir/safetensors.h"

#include "ir/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_HEADER = 100000000, DATA_ALIGN = 64, WRITE_BLOCK = 1 << 30 };

typedef struct row {
    const char *name;
    rt_dtype dtype;
    int ndim;
    int64_t shape[RT_MAX_RANK];
    size_t begin, end;
} row;

typedef struct reader {
    ir_context *c;
    const char *file;
    ir_mapping *map;
    const char *data; /* behind the header */
    size_t n;         /* bytes of data */
    ir_safetensors *out;
    RT_VEC(row) rows;
} reader;

static bool bad(const reader *r, const char *tensor, const char *why) {
    if (tensor)
        ir_error(r->c, 0, "%s: tensor `%s`: %s", r->file, ir_quote(r->c, tensor, strlen(tensor)), why);
    else ir_error(r->c, 0, "%s: %s", r->file, why);
    return false;
}

/* ---- reading */

static const char *read_shape(const json_t *shape, row *t) {
    if (!json_is_array(shape)) return "`shape` must be a list of integers";
    if (json_array_size(shape) > RT_MAX_RANK) return "it has too many dimensions";
    t->ndim = (int)json_array_size(shape);
    for (int i = 0; i < t->ndim; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return "`shape` must be a list of integers >= 0";
        t->shape[i] = json_integer_value(d);
    }
    return NULL;
}

static const char *read_offsets(const reader *r, const json_t *pair, row *t) {
    const json_t *a = json_array_get(pair, 0), *b = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(a) || !json_is_integer(b))
        return "`data_offsets` must be two integers";
    json_int_t begin = json_integer_value(a), end = json_integer_value(b);
    if (begin < 0 || end < begin || (uint64_t)end > r->n) return "its data lies outside of the file";
    t->begin = (size_t)begin;
    t->end = (size_t)end;
    size_t bytes = (size_t)rt_dtypes[t->dtype].bytes;
    bool fits = true, empty = false;
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] == 0) empty = true;
        else fits = fits && rt_mul_size(bytes, (size_t)t->shape[i], &bytes);
    }
    if (!fits || bytes > INT64_MAX) return "its size is too large";
    if ((empty ? 0 : bytes) != t->end - t->begin)
        return "shape and dtype do not agree with the size of its data";
    return NULL;
}

static bool read_row(reader *r, const char *name, const json_t *desc) {
    row t = {.name = name};
    if (!json_is_object(desc)) return bad(r, name, "its description must be an object");
    const json_t *dtype = json_object_get(desc, "dtype");
    if (json_object_size(desc) != 3 || !json_is_string(dtype))
        return bad(r, name, "its description must be dtype, shape and data_offsets");
    t.dtype = rt_dtype_by_safetensors(json_string_value(dtype), json_string_length(dtype));
    if (t.dtype == DT_NONE) {
        const char *d = ir_quote(r->c, json_string_value(dtype), json_string_length(dtype));
        return bad(r, name, ir_fmt(r->c, "dtype `%s` is not supported", d));
    }
    const char *why = read_shape(json_object_get(desc, "shape"), &t);
    if (!why) why = read_offsets(r, json_object_get(desc, "data_offsets"), &t);
    if (why) return bad(r, name, why);
    t.name = rt_arena_str(&r->c->arena, name, strlen(name));
    RT_PUSH(&r->c->arena, &r->rows, t);
    return true;
}

static bool read_metadata(reader *r, json_t *meta) {
    const char *key;
    json_t *value;
    if (!json_is_object(meta)) return bad(r, NULL, "`__metadata__` must be an object");
    json_object_foreach(meta, key, value) {
        if (!json_is_string(value)) return bad(r, NULL, "`__metadata__` must map strings to strings");
        ir_metadata m = {rt_arena_str(&r->c->arena, key, strlen(key)),
                         rt_arena_str(&r->c->arena, json_string_value(value), json_string_length(value))};
        RT_PUSH(&r->c->arena, &r->out->metadata, m);
    }
    return true;
}

static bool read_json(reader *r, json_t *root) {
    const char *key;
    json_t *value;
    if (!json_is_object(root)) return bad(r, NULL, "the header must be an object");
    json_object_foreach(root, key, value) if (strcmp(key, "__metadata__")
                                                  ? !read_row(r, key, value)
                                                  : !read_metadata(r, value)) return false;
    return true;
}

static bool read_header(reader *r) {
    uint64_t size = 0;
    if (r->map->n < 8)
        return bad(r, NULL, r->map->n ? "not a safetensors file (too short)" : "the file is empty");
    for (int i = 7; i >= 0; i--) size = size << 8 | (unsigned char)r->map->data[i];
    if (size > MAX_HEADER)
        return bad(r, NULL, "not a safetensors file (its header would be larger than the limit)");
    if (size > r->map->n - 8) return bad(r, NULL, "the safetensors header is cut short");
    if (size == 0 || r->map->data[8] != '{')
        return bad(r, NULL, "not a safetensors file (the header is no JSON object)");
    r->data = r->map->data + 8 + size;
    r->n = r->map->n - 8 - size;
    json_error_t e;
    json_t *root = json_loadb(r->map->data + 8, size, JSON_REJECT_DUPLICATES, &e);
    if (!root)
        return bad(r, NULL,
                   ir_fmt(r->c, "the safetensors header is no valid JSON: %s",
                          ir_quote(r->c, e.text, strlen(e.text))));
    bool fine = read_json(r, root);
    json_decref(root);
    return fine;
}

static int by_begin(const void *a, const void *b) {
    const row *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool check_tiling(reader *r) {
    size_t at = 0;
    if (r->rows.n) qsort(r->rows.at, (size_t)r->rows.n, sizeof *r->rows.at, by_begin);
    for (int i = 0; i < r->rows.n; i++) {
        if (r->rows.at[i].begin != at)
            return bad(r, r->rows.at[i].name,
                       r->rows.at[i].begin > at ? "unused bytes before its data"
                                                : "its data overlaps another tensor");
        at = r->rows.at[i].end;
    }
    return at == r->n || bad(r, NULL, "unused bytes at the end of the file");
}

static bool make_tensors(reader *r) {
    for (int i = 0; i < r->rows.n; i++) {
        const row *t = &r->rows.at[i];
        const char *what = ir_fmt(r->c, "%s: tensor `%s`", r->file, ir_quote(r->c, t->name, strlen(t->name)));
        rt_tensor *flat =
            ir_mapping_tensor(r->c, r->map, what, r->data + t->begin, t->end - t->begin, t->dtype);
        if (!flat) return false;
        int64_t strides[RT_MAX_RANK], step = 1;
        for (int k = t->ndim - 1; k >= 0; k--) {
            strides[k] = step;
            if (t->shape[k] > 1 && !rt_mul_i64(step, t->shape[k], &step))
                step = 1; /* only with an empty tensor */
        }
        rt_tensor *view = rt_tensor_view(flat, t->ndim, t->shape, strides, 0);
        rt_tensor_release(flat);
        if (!view) return bad(r, NULL, "out of memory");
        RT_PUSH(&r->c->arena, &r->out->tensors, ((ir_named_tensor){t->name, view}));
        rt_map_put(&r->c->arena, &r->out->names, t->name, view);
    }
    return true;
}

static ir_safetensors *read_mapping(ir_context *c, const char *file, ir_mapping *map) {
    if (!map) return NULL;
    reader r = {.c = c, .file = rt_arena_str(&c->arena, file, strlen(file)), .map = map};
    r.out = RT_NEW(&c->arena, ir_safetensors);
    r.out->file = r.file;
    bool fine = read_header(&r) && check_tiling(&r) && make_tensors(&r);
    ir_mapping_release(map);
    if (fine) return r.out;
    ir_safetensors_close(r.out);
    return NULL;
}

ir_safetensors *ir_safetensors_open(ir_context *c, const char *path) {
    return read_mapping(c, path, ir_mapping_open(c, path));
}

ir_safetensors *ir_safetensors_memory(ir_context *c, const char *name, const void *data, size_t n) {
    return read_mapping(c, name, ir_mapping_copy(c, name, data, n));
}

void ir_safetensors_close(ir_safetensors *s) {
    if (!s) return;
    for (int i = 0; i < s->tensors.n; i++) rt_tensor_release(s->tensors.at[i].tensor);
    s->tensors.n = 0;
    s->names = (rt_map){0};
}

rt_tensor *ir_safetensors_find(const ir_safetensors *s, const char *name) {
    return rt_map_get(&s->names, name);
}

const char *ir_safetensors_meta(const ir_safetensors *s, const char *key) {
    for (int i = 0; i < s->metadata.n; i++)
        if (!strcmp(s->metadata.at[i].key, key)) return s->metadata.at[i].value;
    return NULL;
}

/* ---- writing */

static int by_size_and_name(const void *a, const void *b) {
    const ir_named_tensor *x = a, *y = b;
    int dx = rt_dtypes[x->tensor->dtype].bytes, dy = rt_dtypes[y->tensor->dtype].bytes;
    return dx != dy ? dy - dx : strcmp(x->name, y->name);
}

static int by_key(const void *a, const void *b) {
    return strcmp(((const ir_metadata *)a)->key, ((const ir_metadata *)b)->key);
}

static void add_json_string(rt_text *t, const char *s) {
    rt_text_str(t, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') rt_text_fmt(t, "\\%c", *s);
        else if ((unsigned char)*s < 0x20) rt_text_fmt(t, "\\u%04x", (unsigned char)*s);
        else rt_text_add(t, s, 1);
    }
    rt_text_str(t, "\"");
}

static size_t tensor_bytes(const rt_tensor *t) {
    return (size_t)rt_tensor_numel(t) * (size_t)rt_dtypes[t->dtype].bytes;
}

static void make_header(rt_text *h, int n, const ir_named_tensor *tensors, int nmeta,
                        const ir_metadata *meta) {
    size_t at = 0;
    rt_text_add(h, "\0\0\0\0\0\0\0\0{", 9);
    if (nmeta) rt_text_str(h, "\"__metadata__\":{");
    for (int i = 0; i < nmeta; i++) {
        if (i) rt_text_str(h, ",");
        add_json_string(h, meta[i].key);
        rt_text_str(h, ":");
        add_json_string(h, meta[i].value);
    }
    if (nmeta) rt_text_str(h, n ? "}," : "}");
    for (int i = 0; i < n; i++) {
        const rt_tensor *t = tensors[i].tensor;
        if (i) rt_text_str(h, ",");
        add_json_string(h, tensors[i].name);
        rt_text_fmt(h, ":{\"dtype\":\"%s\",\"shape\":[", rt_dtypes[t->dtype].safetensors);
        for (int k = 0; k < t->ndim; k++) rt_text_fmt(h, k ? ",%lld" : "%lld", (long long)t->shape[k]);
        rt_text_fmt(h, "],\"data_offsets\":[%zu,%zu]}", at, at + tensor_bytes(t));
        at += tensor_bytes(t);
    }
    rt_text_str(h, "}");
    while (h->n % DATA_ALIGN && !h->failed) rt_text_str(h, " ");
    for (int i = 0; i < 8 && !h->failed; i++) h->s[i] = (char)((uint64_t)(h->n - 8) >> 8 * i);
}

static bool write_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t k = write(fd, p, n < WRITE_BLOCK ? n : WRITE_BLOCK);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool write_tensor(int fd, const rt_tensor *t) {
    if (rt_tensor_contiguous(t)) return write_all(fd, rt_tensor_data(t), tensor_bytes(t));
    rt_tensor *copy = rt_tensor_copy_to(t, t->dtype);
    if (!copy) return errno = ENOMEM, false;
    bool fine = write_all(fd, rt_tensor_data(copy), tensor_bytes(copy));
    rt_tensor_release(copy);
    return fine;
}

static bool write_file(int fd, const rt_text *header, int n, const ir_named_tensor *tensors) {
    if (!write_all(fd, header->s, header->n)) return false;
    for (int i = 0; i < n; i++)
        if (!write_tensor(fd, tensors[i].tensor)) return false;
    return true;
}

/* A new file beside `path`, never an existing one, with the permissions that the user's mask gives. */
static int open_temporary(ir_context *c, const char *path, const char **name) {
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        *name = ir_fmt(c, "%s.%ld.%d.tmp", path, (long)getpid(), i);
        int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

/* On any failure the temporary file goes and the old file stays. */
static bool write_and_rename(ir_context *c, const char *path, const rt_text *header, int n,
                             const ir_named_tensor *tensors) {
    const char *temporary;
    int fd = open_temporary(c, path, &temporary);
    if (fd < 0) return false;
    bool fine = write_file(fd, header, n, tensors);
    int why = errno;
    if (close(fd) && fine) fine = false, why = errno;
    if (fine && rename(temporary, path)) fine = false, why = errno;
    if (!fine) unlink(temporary);
    errno = why;
    return fine;
}

static bool names_differ(ir_context *c, const char *path, int n, const ir_named_tensor *t) {
    rt_map seen = {0};
    for (int i = 0; i < n; i++) {
        if (rt_map_get(&seen, t[i].name)) {
            ir_error(c, 0, "%s: tensor `%s` is given twice", path, t[i].name);
            return false;
        }
        rt_map_put(&c->arena, &seen, t[i].name, t[i].tensor);
    }
    return true;
}

bool ir_safetensors_write(ir_context *c, const char *path, int n, const ir_named_tensor *tensors, int nmeta,
                          const ir_metadata *metadata) {
    ir_named_tensor *t = rt_arena_copy(&c->arena, tensors, (size_t)n * sizeof *t);
    ir_metadata *m = rt_arena_copy(&c->arena, metadata, (size_t)nmeta * sizeof *m);
    if (n) qsort(t, (size_t)n, sizeof *t, by_size_and_name);
    if (nmeta) qsort(m, (size_t)nmeta, sizeof *m, by_key);
    if (!names_differ(c, path, n, t)) return false;
    rt_text header = {0};
    make_header(&header, n, t, nmeta, m);
    bool fine = !header.failed;
    if (!fine) errno = ENOMEM;
    fine = fine && write_and_rename(c, path, &header, n, t);
    if (!fine) ir_error(c, 0, "%s: cannot write the file: %s", path, strerror(errno));
    rt_text_free(&header);
    return fine;
}
