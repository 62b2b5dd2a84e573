/* mapping.c: see mapping.h. */
#include "ir/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static ir_mapping *mapping_new(ir_context *c, const char *name, char *data, size_t n, bool mapped) {
    ir_mapping *m = rt_malloc(sizeof *m);
    if (!m) {
        ir_error(c, 0, "%s: out of memory", name);
        return NULL;
    }
    *m = (ir_mapping){.refs = 1, .data = data, .n = n, .mapped = mapped};
    return m;
}

static ir_mapping *map_descriptor(ir_context *c, const char *path, int fd) {
    struct stat st;
    if (fstat(fd, &st)) {
        ir_error(c, 0, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        ir_error(c, 0, "%s: not a regular file", path);
        return NULL;
    }
    if (st.st_size == 0) return ir_mapping_copy(c, path, "", 0);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (data == MAP_FAILED) {
        ir_error(c, 0, "%s: cannot map the file: %s", path, strerror(errno));
        return NULL;
    }
    ir_mapping *m = mapping_new(c, path, data, (size_t)st.st_size, true);
    if (!m) munmap(data, (size_t)st.st_size);
    return m;
}

ir_mapping *ir_mapping_open(ir_context *c, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0) {
        ir_error(c, 0, "%s: cannot open the file: %s", path, strerror(errno));
        return NULL;
    }
    ir_mapping *m = map_descriptor(c, path, fd);
    close(fd);
    return m;
}

ir_mapping *ir_mapping_copy(ir_context *c, const char *name, const void *data, size_t n) {
    char *p = rt_malloc(n);
    if (!p) {
        ir_error(c, 0, "%s: out of memory", name);
        return NULL;
    }
    if (n) memcpy(p, data, n);
    ir_mapping *m = mapping_new(c, name, p, n, false);
    if (!m) rt_free(p);
    return m;
}

ir_mapping *ir_mapping_retain(ir_mapping *m) {
    m->refs++;
    return m;
}

void ir_mapping_release(ir_mapping *m) {
    if (!m || --m->refs) return;
    if (m->mapped) munmap(m->data, m->n);
    else rt_free(m->data);
    rt_free(m);
}

static void drop_mapping(void *m) { ir_mapping_release(m); }

/* Generated code reads a bool as 0 or 1. */
static bool bools_fine(const char *p, size_t n) {
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) any |= (unsigned char)p[i];
    return any <= 1;
}

rt_tensor *ir_mapping_tensor(ir_context *c, ir_mapping *m, const char *what, const char *data, size_t n,
                             rt_dtype dtype) {
    int64_t numel = (int64_t)(n / (size_t)rt_dtypes[dtype].bytes);
    rt_tensor *t;
    if (n % (size_t)rt_dtypes[dtype].bytes) {
        ir_error(c, 0, "%s: its size is no multiple of the size of %s", what, rt_dtypes[dtype].name);
        return NULL;
    }
    if (dtype == DT_BOOL && !bools_fine(data, n)) {
        ir_error(c, 0, "%s: a bool is neither 0 nor 1", what);
        return NULL;
    }
    if (m && (uintptr_t)data % (size_t)rt_dtypes[dtype].bytes == 0) {
        t = rt_tensor_wrap(dtype, 1, &numel, NULL, (char *)(uintptr_t)data, n, drop_mapping,
                           ir_mapping_retain(m));
        if (!t) ir_mapping_release(m);
    } else if ((t = rt_tensor_new(dtype, 1, &numel)) && n) {
        memcpy(rt_tensor_data(t), data, n);
    }
    if (!t) ir_error(c, 0, "%s: out of memory", what);
    return t;
}

/* Length of the UTF-8 sequence at s, or 0 if it is not one. */
static size_t utf8_length(const unsigned char *s, size_t n) {
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return len;
}

const char *ir_quote(ir_context *c, const char *s, size_t n) {
    enum { SHOWN = 80 };
    char buf[SHOWN + 8];
    size_t k = 0, i = 0;
    while (i < n && k < SHOWN) {
        size_t len = utf8_length((const unsigned char *)s + i, n - i);
        if (len == 1 && ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)) len = 0;
        if (len) memcpy(buf + k, s + i, len);
        else buf[k] = '?';
        k += len ? len : 1;
        i += len ? len : 1;
    }
    return ir_fmt(c, "%.*s%s", (int)k, buf, i < n ? "..." : "");
}
