/* npy.c: NumPy's .npy files, as inputs of `jitc run`.
 *
 * Layout: "\x93NUMPY", version, length of the header, the header (a Python dict literal: {'descr': '<f4',
 * 'fortran_order': False, 'shape': (2, 3), }), the data up to the end of the file.  Pickled objects are
 * refused. */
#include "ir/mapping.h"
#include "ir/safetensors.h"

enum { MAX_HEADER = 1 << 16 };

typedef struct npy {
    const char *at, *end; /* of the header text */
    rt_dtype dtype;
    bool fortran;
    int ndim;
    int64_t shape[RT_MAX_RANK];
    int seen; /* bits: descr, fortran_order, shape */
} npy;

static void skip_blanks(npy *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t')) r->at++;
}

static bool take(npy *r, char ch) {
    skip_blanks(r);
    if (r->at == r->end || *r->at != ch) return false;
    r->at++;
    return true;
}

static bool take_string(npy *r, const char **s, size_t *n) {
    skip_blanks(r);
    if (r->at == r->end || (*r->at != '\'' && *r->at != '"')) return false;
    char quote = *r->at++;
    *s = r->at;
    while (r->at < r->end && *r->at != quote && *r->at != '\\') r->at++;
    *n = (size_t)(r->at - *s);
    return take(r, quote);
}

static bool take_word(npy *r, const char *word) {
    skip_blanks(r);
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n)) return false;
    r->at += n;
    return true;
}

static bool take_size(npy *r, int64_t *x) {
    skip_blanks(r);
    const char *from = r->at;
    for (*x = 0; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (!rt_mul_i64(*x, 10, x) || !rt_add_i64(*x, *r->at - '0', x)) return false;
    return r->at > from;
}

static const char *read_descr(npy *r) {
    static const struct {
        const char *code;
        rt_dtype dtype;
    } codes[] = {{"|b1", DT_BOOL}, {"|u1", DT_U8},  {"|i1", DT_I8},  {"<i2", DT_I16}, {"<i4", DT_I32},
                 {"<i8", DT_I64},  {"<f2", DT_F16}, {"<f4", DT_F32}, {"<f8", DT_F64}};
    const char *s;
    size_t n;
    if (!take_string(r, &s, &n)) return "its dtype is not a plain one";
    for (size_t i = 0; i < RT_COUNT(codes); i++) {
        if (n != 3 || memcmp(s, codes[i].code, 3)) continue;
        r->dtype = codes[i].dtype;
        return NULL;
    }
    return "its dtype is not supported";
}

static const char *read_shape(npy *r) {
    if (!take(r, '(')) return "its header is damaged";
    while (!take(r, ')')) {
        if (r->ndim == RT_MAX_RANK) return "it has too many dimensions";
        if (!take_size(r, &r->shape[r->ndim++])) return "its shape is damaged";
        if (!take(r, ',') && (r->at == r->end || *r->at != ')')) return "its shape is damaged";
    }
    return NULL;
}

static const char *read_entry(npy *r) {
    const char *key, *why = NULL;
    size_t n;
    if (!take_string(r, &key, &n) || !take(r, ':')) return "its header is damaged";
    int bit = n == 5 && !memcmp(key, "descr", 5)             ? 1
              : n == 13 && !memcmp(key, "fortran_order", 13) ? 2
              : n == 5 && !memcmp(key, "shape", 5)           ? 4
                                                             : 0;
    if (!bit || (r->seen & bit)) return "its header has an unknown or repeated key";
    r->seen |= bit;
    if (bit == 1) why = read_descr(r);
    else if (bit == 4) why = read_shape(r);
    else if (!(r->fortran = take_word(r, "True")) && !take_word(r, "False")) why = "its header is damaged";
    return why;
}

static const char *read_header(npy *r) {
    if (!take(r, '{')) return "its header is damaged";
    while (!take(r, '}')) {
        const char *why = read_entry(r);
        if (why) return why;
        if (!take(r, ',') && (r->at == r->end || *r->at != '}')) return "its header is damaged";
    }
    skip_blanks(r);
    return r->seen == 7 && r->at == r->end ? NULL : "its header is damaged";
}

static const char *find_header(npy *r, const ir_mapping *m, size_t *data) {
    const unsigned char *p = (const unsigned char *)m->data;
    if (m->n < 10 || memcmp(p, "\x93NUMPY", 6)) return m->n ? "not a .npy file" : "the file is empty";
    if (p[6] < 1 || p[6] > 3) return "this version of .npy is not supported";
    size_t begin = p[6] == 1 ? 10 : 12;
    if (m->n < begin) return "the file is cut short";
    size_t n = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1) n |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (n > MAX_HEADER || n > m->n - begin) return "the file is cut short";
    r->at = m->data + begin;
    r->end = r->at + n;
    *data = begin + n;
    return NULL;
}

static const char *check_size(const npy *r, size_t have) {
    size_t bytes = (size_t)rt_dtypes[r->dtype].bytes;
    bool empty = false;
    for (int i = 0; i < r->ndim; i++) {
        empty = empty || r->shape[i] == 0;
        if (r->shape[i] && !rt_mul_size(bytes, (size_t)r->shape[i], &bytes)) return "its size is too large";
    }
    if (bytes > INT64_MAX) return "its size is too large";
    return (empty ? 0 : bytes) == have ? NULL : "the file is cut short or has bytes to spare";
}

static void fill_strides(const npy *r, int64_t *strides) {
    int64_t step = 1;
    for (int i = 0; i < r->ndim; i++) {
        int k = r->fortran ? i : r->ndim - 1 - i;
        strides[k] = step;
        if (r->shape[k] > 1 && !rt_mul_i64(step, r->shape[k], &step)) step = 1; /* only with an empty array */
    }
}

static rt_tensor *read_mapping(ir_context *c, const char *file, ir_mapping *m) {
    if (!m) return NULL;
    npy r = {0};
    size_t data = 0;
    const char *why = find_header(&r, m, &data);
    if (!why) why = read_header(&r);
    if (!why) why = check_size(&r, m->n - data);
    rt_tensor *t = NULL;
    if (why) {
        ir_error(c, 0, "%s: %s", file, why);
    } else {
        rt_tensor *flat = ir_mapping_tensor(c, m, file, m->data + data, m->n - data, r.dtype);
        int64_t strides[RT_MAX_RANK];
        fill_strides(&r, strides);
        if (flat && !(t = rt_tensor_view(flat, r.ndim, r.shape, strides, 0)))
            ir_error(c, 0, "%s: out of memory", file);
        rt_tensor_release(flat);
    }
    ir_mapping_release(m);
    return t;
}

rt_tensor *ir_npy_open(ir_context *c, const char *path) {
    return read_mapping(c, path, ir_mapping_open(c, path));
}

rt_tensor *ir_npy_memory(ir_context *c, const char *name, const void *data, size_t n) {
    return read_mapping(c, name, ir_mapping_copy(c, name, data, n));
}
