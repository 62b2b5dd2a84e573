/* module.c: loading of artefacts: from a path, a descriptor, memory, or the program itself.
 *
 * A shared object is always opened by its descriptor's name in /proc/self/fd, which is kept open as long as
 * the library is: dlopen knows libraries by name, and a file that was replaced, or a descriptor number used
 * again, must not give the library that was loaded before. */
#include "runtime/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- errors without a session */

static _Thread_local char last_error[4096]; /* a fixed size, so that threads leave nothing behind */

jitc_status rt_fail(jitc_status status, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(last_error, sizeof last_error, fmt, ap);
    va_end(ap);
    return status;
}

const char *jitc_error(void) { return last_error; }

/* ---- leaves */

/* Counts if leaves->desc is NULL, else also writes. */
static void list_leaves(const rt_artefact *a, int32_t desc, rt_text_ref name, rt_leaves *leaves) {
    const rt_desc *d = &a->descs[desc];
    if (d->name) name = d->name;
    if (d->kind == RT_D_TUPLE && !(d->flags & RT_DESC_BOXED)) {
        for (int i = 0; i < d->n; i++) list_leaves(a, d->first + i, name, leaves);
        return;
    }
    if (leaves->desc) {
        leaves->desc[leaves->n] = desc;
        leaves->name[leaves->n] = name;
    }
    leaves->n++;
}

static void entry_leaves(const rt_artefact *a, const rt_art_entry *e, rt_entry_info *info) {
    info->in.n = info->out.n = 0;
    for (int i = 0; i < e->nargs; i++) list_leaves(a, e->args + i, 0, &info->in);
    list_leaves(a, e->result, 0, &info->out);
    info->nresult = info->out.n;
    for (int i = 0; i < e->nextra; i++) list_leaves(a, e->extra + i, 0, &info->out);
}

static bool leaves_alloc(rt_leaves *l) {
    l->desc = rt_calloc((size_t)l->n, sizeof *l->desc);
    l->name = rt_calloc((size_t)l->n, sizeof *l->name);
    return l->desc && l->name;
}

static bool all_tensors(const rt_artefact *a, const rt_leaves *l, int n) {
    for (int i = 0; i < n; i++)
        if (a->descs[l->desc[i]].kind != RT_D_TENSOR) return false;
    return true;
}

/* Tensors whose sizes are known before the run. */
static bool all_known(const rt_artefact *a, const rt_leaves *l) {
    for (int i = 0; i < l->n; i++) {
        const rt_desc *d = &a->descs[l->desc[i]];
        for (int k = 0; k < d->n; k++) {
            const rt_dim *dim = &a->dims[d->first + k];
            if (dim->value < 0 && dim->symbol < 0 && dim->expr < 0) return false;
        }
    }
    return true;
}

static bool is_plain(const rt_artefact *a, const rt_art_entry *e, const rt_entry_info *info) {
    return info->in.n == e->nargs && all_tensors(a, &info->in, info->in.n) && all_tensors(a, &info->out, info->out.n) &&
           all_known(a, &info->out) && !e->nextra && !e->nwrites && !e->nslots && !a->nstates;
}

static int count_sizes(const rt_artefact *a, const rt_leaves *l) {
    int n = 0;
    for (int i = 0; i < l->n; i++) n += a->descs[l->desc[i]].kind == RT_D_TENSOR ? 2 * a->descs[l->desc[i]].n : 0;
    return n;
}

static int count_boxes(const rt_artefact *a, int32_t desc) {
    const rt_desc *d = &a->descs[desc];
    int n = 1;
    if (d->kind != RT_D_TUPLE || (d->flags & RT_DESC_BOXED)) return 0;
    for (int i = 0; i < d->n; i++) n += count_boxes(a, d->first + i);
    return n;
}

static bool entry_defaults(const jitc_module *m, const rt_art_entry *e, rt_entry_info *info) {
    rt_leaves count = {0};
    info->defaults = rt_calloc((size_t)e->nargs, sizeof *info->defaults);
    info->arg_leaf = rt_calloc((size_t)e->nargs, sizeof *info->arg_leaf);
    if (!info->defaults || !info->arg_leaf) return false;
    for (int i = 0; i < e->nargs; i++) {
        int32_t def = m->a->descs[e->args + i].def;
        info->arg_leaf[i] = count.n;
        list_leaves(m->a, e->args + i, 0, &count);
        if (def >= 0 && (info->defaults[i] = rt_literal_value(m, def)).tag == V_UNDEF) return false;
    }
    return true;
}

static void widen(int *max, int n) { *max = n > *max ? n : *max; }

static bool list_entry(jitc_module *m, const rt_art_entry *e, rt_entry_info *info) {
    entry_leaves(m->a, e, info); /* counts */
    if (!leaves_alloc(&info->in) || !leaves_alloc(&info->out)) return false;
    entry_leaves(m->a, e, info);
    bool no_result = m->a->descs[e->result].kind == RT_D_NONE;
    info->all_tensors = all_tensors(m->a, &info->in, info->in.n) &&
                        (no_result || all_tensors(m->a, &info->out, info->nresult));
    info->plain = is_plain(m->a, e, info);
    info->nboxes = count_boxes(m->a, e->result);
    widen(&m->max_args, e->nargs);
    widen(&m->max_in, info->in.n);
    widen(&m->max_out, info->out.n);
    widen(&m->max_symbols, e->nsymbols);
    widen(&m->max_slots, e->nslots);
    widen(&m->max_sizes, count_sizes(m->a, &info->in) + count_sizes(m->a, &info->out));
    return entry_defaults(m, e, info);
}

static bool list_entries(jitc_module *m) {
    m->entries = rt_calloc((size_t)m->a->nentries, sizeof *m->entries);
    if (!m->entries) return false;
    for (int64_t i = 0; i < m->a->nentries; i++)
        if (!list_entry(m, &m->a->entries[i], &m->entries[i])) return false;
    return true;
}

/* ---- operators */

static bool find_op(rt_host_slot *slot, const char *name, const char *signature, const jitc_load_opts *opts) {
    jitc_op op = {0};
    for (int i = 0; i < opts->nops; i++)
        if (!strcmp(opts->ops[i].name, name)) {
            *slot = (rt_host_slot){.custom = opts->ops[i].fn, .data = opts->ops[i].data};
            return true;
        }
    if (*signature && opts->find_op && opts->find_op(opts->user, name, signature, &op) && op.fn) {
        *slot = (rt_host_slot){.custom = op.fn, .data = op.data};
        return true;
    }
    slot->host = *signature ? NULL : rt_host_find(name);
    return slot->host != NULL;
}

static jitc_status find_ops(jitc_module *m, const jitc_load_opts *opts) {
    rt_text missing = {0};
    m->hosts = rt_calloc((size_t)m->a->nhosts, sizeof *m->hosts);
    if (!m->hosts) return rt_fail(JITC_E_MEMORY, "out of memory");
    for (int64_t i = 0; i < m->a->nhosts; i++) {
        const char *name = rt_art_text(m->a, m->a->hosts[i]);
        const char *signature = m->a->signatures ? rt_art_text(m->a, m->a->signatures[i]) : "";
        if (!find_op(&m->hosts[i], name, signature, opts)) rt_text_fmt(&missing, "%s%s", missing.n ? ", " : "", name);
    }
    if (!missing.n && !missing.failed) return JITC_OK;
    rt_fail(JITC_E_MISSING, "%s needs operators that were not given: %s", jitc_module_name(m),
            missing.s ? missing.s : "(out of memory)");
    rt_text_free(&missing);
    return JITC_E_MISSING;
}

/* ---- weights */

/* `dir`: path of the module, for a side file beside it; NULL: unknown. */
static char *side_path(const jitc_module *m, const char *module_path, const jitc_load_opts *opts) {
    const char *file = rt_art_text(m->a, m->a->weights_file);
    const char *slash = module_path ? strrchr(module_path, '/') : NULL;
    rt_text path = {0};
    if (opts->weights_path) {
        rt_text_str(&path, opts->weights_path);
    } else {
        if (strchr(file, '/') || !strcmp(file, "..")) return NULL; /* must not leave the module's directory */
        if (slash) rt_text_add(&path, module_path, (size_t)(slash - module_path) + 1);
        rt_text_str(&path, file);
    }
    if (path.failed) rt_text_free(&path);
    return path.s;
}

static bool header_fits(const jitc_module *m, const rt_weights_header *h, size_t bytes) {
    return h->magic == RT_WEIGHTS_MAGIC && h->layout == m->a->weights_layout &&
           h->bytes == m->a->weights_bytes && h->offset % 4096 == 0 && h->offset <= bytes &&
           bytes - h->offset >= h->bytes;
}

static jitc_status map_side_file(jitc_module *m, const char *path) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) {
        int err = errno;
        if (fd >= 0) close(fd);
        return rt_fail(JITC_E_FILE, "cannot read weights %s: %s", path, strerror(err));
    }
    void *p = !S_ISREG(st.st_mode) || (size_t)st.st_size < sizeof(rt_weights_header)
                  ? MAP_FAILED
                  : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (p == MAP_FAILED) return rt_fail(JITC_E_FILE, "cannot map weights %s", path);
    m->mapped = p;
    m->mapped_bytes = (size_t)st.st_size;
    const rt_weights_header *h = p;
    if (!header_fits(m, h, m->mapped_bytes))
        return rt_fail(JITC_E_FORMAT, "%s is not a set of weights for module %s", path, jitc_module_name(m));
    m->weights = (const char *)p + h->offset;
    return JITC_OK;
}

static jitc_status find_weights(jitc_module *m, const char *module_path, const jitc_load_opts *opts) {
    if (opts->weights) {
        if (opts->weights_bytes != m->a->weights_bytes || (uintptr_t)opts->weights % 64)
            return rt_fail(JITC_E_ARGUMENT, "weights for %s must be %llu bytes, aligned to 64",
                           jitc_module_name(m), (unsigned long long)m->a->weights_bytes);
        m->weights = opts->weights;
        return JITC_OK;
    }
    m->weights = m->a->weights;
    if (m->a->weights_bytes == 0 || (m->weights && !opts->weights_path)) return JITC_OK;
    if (!opts->weights_path && (!m->a->weights_file || !module_path))
        return rt_fail(JITC_E_FILE, "%s: its weights are in a file of their own: name it in weights_path",
                       jitc_module_name(m));
    char *path = side_path(m, module_path, opts);
    if (!path) return rt_fail(JITC_E_FORMAT, "%s: bad name of the weights' file", jitc_module_name(m));
    jitc_status status = map_side_file(m, path);
    rt_free(path);
    return status;
}

/* ---- loading */

static jitc_status check_artefact(const rt_artefact *a) {
    if (!a || a->magic != RT_ARTEFACT_MAGIC) return rt_fail(JITC_E_FORMAT, "not a module that jitc wrote");
    if (a->abi != RT_ABI_VERSION || a->size < sizeof *a)
        return rt_fail(JITC_E_FORMAT, "the module has format %u, this library reads %d: compile it again",
                       (unsigned)a->abi, RT_ABI_VERSION);
    return JITC_OK;
}

static bool read_opts(const jitc_load_opts *given, jitc_load_opts *opts) {
    *opts = (jitc_load_opts){.size = sizeof *opts};
    if (!given) return true;
    if (given->size < offsetof(jitc_load_opts, ops)) return false;
    memcpy(opts, given, given->size < sizeof *opts ? given->size : sizeof *opts);
    return true;
}

static bool weights_of_file(const jitc_module *m) { return m->mapped || (m->library && m->weights == m->a->weights); }

/* Gives back the memory of weights that a file holds: what runs read of them comes again from the system's cache of the
 * file.  What is made of them at load is all that is read of most. */
static void forget_weights(const jitc_module *m) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)m->weights;
    uintptr_t begin = (at + page - 1) & ~(page - 1), end = (at + m->a->weights_bytes) & ~(page - 1);
    if (weights_of_file(m) && begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* A mapping of its own, not the heap: large, aligned, and given back whole. */
static jitc_status prepare(jitc_module *m) {
    const rt_level *l = &m->a->levels[m->level];
    if (!l->prepare) return JITC_OK;
    void *p = mmap(NULL, m->a->prepared_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return rt_fail(JITC_E_MEMORY, "out of memory");
    m->prepared = p;
    rt_want_large_pages(p, m->a->prepared_bytes);
    for (int64_t i = 0; i < m->a->prepare_pieces; i++) {
        l->prepare(m->weights, m->prepared, i);
        forget_weights(m);
    }
    return JITC_OK;
}

static jitc_status finish(jitc_module *m, const char *path, const jitc_load_opts *opts) {
    jitc_status status = rt_choose_level(m, opts->level);
    if (status == JITC_OK) status = find_weights(m, path, opts);
    if (status == JITC_OK && weights_of_file(m)) rt_want_large_pages((void *)m->weights, m->a->weights_bytes);
    if (status == JITC_OK) status = prepare(m);
    if (status == JITC_OK) status = find_ops(m, opts);
    if (status == JITC_OK && !list_entries(m)) status = rt_fail(JITC_E_MEMORY, "out of memory");
    return status;
}

/* Takes library and fd; path is for the side file. */
static jitc_status make_module(const rt_artefact *a, void *library, int fd, const char *path,
                               const jitc_load_opts *given, jitc_module **out) {
    jitc_load_opts opts;
    jitc_module *m = rt_calloc(1, sizeof *m);
    jitc_status status = m ? check_artefact(a) : rt_fail(JITC_E_MEMORY, "out of memory");
    if (!m) {
        if (library) dlclose(library);
        if (fd >= 0) close(fd);
        return status;
    }
    atomic_init(&m->refs, 1);
    m->a = status == JITC_OK ? a : NULL;
    m->library = library;
    m->fd = fd;
    if (status == JITC_OK && !read_opts(given, &opts))
        status = rt_fail(JITC_E_ARGUMENT, "jitc_load_opts.size is not set");
    if (status == JITC_OK) status = finish(m, path, &opts);
    if (status == JITC_OK) *out = m;
    else jitc_module_release(m);
    return status;
}

jitc_status jitc_load_static(const struct jitc_artefact *artefact, const jitc_load_opts *opts,
                             jitc_module **out) {
    *out = NULL;
    return make_module(artefact, NULL, -1, NULL, opts, out);
}

/* dlopen maps what the headers say, and a file that is shorter would end the process later.  What is no ELF of this machine is
 * left to dlopen's own words. */
static bool cut_short(int fd) {
    ElfW(Ehdr) h;
    ElfW(Phdr) p;
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h) return false;
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_phentsize != sizeof p) return false;
    for (int i = 0; i < h.e_phnum; i++) {
        off_t at = (off_t)(h.e_phoff + (ElfW(Off))i * sizeof p);
        if (at < 0 || pread(fd, &p, sizeof p, at) != (ssize_t)sizeof p) return true;
        if (p.p_filesz > (uint64_t)st.st_size || p.p_offset > (uint64_t)st.st_size - p.p_filesz) return true;
    }
    return false;
}

/* fd is taken. */
static jitc_status load_fd(int fd, const char *path, const jitc_load_opts *opts, jitc_module **out) {
    char name[64];
    struct stat st;
    if (!fstat(fd, &st) && !S_ISREG(st.st_mode)) {
        close(fd);
        return rt_fail(JITC_E_FORMAT, "cannot load %s: not a regular file", path ? path : "module");
    }
    if (cut_short(fd)) {
        close(fd);
        return rt_fail(JITC_E_FORMAT, "cannot load %s: the file is cut short", path ? path : "module");
    }
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    bool proc = !path || !access(name, F_OK); /* no /proc: by its own name */
    void *library = dlopen(proc ? name : path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        size_t n = strlen(name);
        if (why && !strncmp(why, name, n) && !strncmp(why + n, ": ", 2)) why += n + 2;
        close(fd);
        return rt_fail(JITC_E_FORMAT, "cannot load %s: %s", path ? path : "module",
                       why ? why : "unknown reason");
    }
    const rt_artefact *a = dlsym(library, "jitc_artefact");
    return make_module(a, library, fd, path, opts, out);
}

jitc_status jitc_load(const char *path, const jitc_load_opts *opts, jitc_module **out) {
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0) return rt_fail(JITC_E_FILE, "cannot open %s: %s", path, strerror(errno));
    return load_fd(fd, path, opts, out);
}

jitc_status jitc_load_fd(int fd, const jitc_load_opts *opts, jitc_module **out) {
    *out = NULL;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return rt_fail(JITC_E_FILE, "cannot use descriptor %d: %s", fd, strerror(errno));
    return load_fd(copy, NULL, opts, out);
}

static bool write_all(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

jitc_status jitc_load_memory(const void *data, size_t bytes, const jitc_load_opts *opts, jitc_module **out) {
    *out = NULL;
    int fd = memfd_create("jitc-module", MFD_CLOEXEC);
    if (fd < 0) return rt_fail(JITC_E_FILE, "cannot make a memory file: %s", strerror(errno));
    if (!write_all(fd, data, bytes)) {
        close(fd);
        return rt_fail(JITC_E_MEMORY, "cannot write a memory file: %s", strerror(errno));
    }
    return load_fd(fd, NULL, opts, out);
}

void jitc_module_retain(jitc_module *m) { atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed); }

static void leaves_free(rt_leaves *l) {
    rt_free(l->desc);
    rt_free(l->name);
}

static void entry_free(const rt_art_entry *e, rt_entry_info *info) {
    for (int i = 0; info->defaults && i < e->nargs; i++) rt_release(info->defaults[i]);
    rt_free(info->defaults);
    rt_free(info->arg_leaf);
    leaves_free(&info->in);
    leaves_free(&info->out);
}

void jitc_module_release(jitc_module *m) {
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1) return;
    for (int64_t i = 0; m->entries && i < m->a->nentries; i++) entry_free(&m->a->entries[i], &m->entries[i]);
    rt_free(m->entries);
    rt_free(m->hosts);
    if (m->mapped) munmap(m->mapped, m->mapped_bytes);
    if (m->prepared) munmap(m->prepared, m->a->prepared_bytes);
    if (m->library) dlclose(m->library);
    if (m->fd >= 0) close(m->fd);
    rt_free(m);
}

/* ---- literals */

static rt_value items_literal(const jitc_module *m, const rt_literal *l) {
    rt_value v = rt_list_new((rt_tag)l->tag, l->n);
    for (int i = 0; v.tag != V_UNDEF && i < l->n; i++) {
        rt_value item = rt_literal_value(m, l->first + i);
        if (item.tag == V_UNDEF) {
            rt_release(v);
            return item;
        }
        v.list->at[i] = item;
    }
    return v;
}

static rt_value dict_literal(const jitc_module *m, const rt_literal *l) {
    rt_value v = rt_dict_new();
    for (int i = 0; v.tag != V_UNDEF && i + 1 < l->n; i += 2) {
        rt_value key = rt_literal_value(m, l->first + i), item = rt_literal_value(m, l->first + i + 1);
        bool ok = key.tag != V_UNDEF && item.tag != V_UNDEF;
        if (ok) ok = rt_dict_set(v.dict, key, item);
        else rt_release(item);
        rt_release(key);
        if (ok) continue;
        rt_release(v);
        return (rt_value){.tag = V_UNDEF};
    }
    return v;
}

static rt_value tensor_literal(const jitc_module *m, const rt_param *p) {
    int64_t shape[RT_MAX_RANK];
    for (int i = 0; i < p->rank; i++) shape[i] = m->a->dims[p->first + i].value;
    rt_tensor *t = rt_tensor_new((rt_dtype)p->dtype, p->rank, shape);
    if (!t) return (rt_value){.tag = V_UNDEF};
    if (t->storage->bytes) memcpy(t->storage->data, m->weights + p->offset, t->storage->bytes);
    return rt_tensor_value(t);
}

rt_value rt_literal_value(const jitc_module *m, int32_t literal) {
    const rt_literal *l = &m->a->literals[literal];
    double f;
    switch (l->tag) {
    case V_BOOL: return rt_bool(l->i != 0);
    case V_INT: return rt_int(l->i);
    case V_FLOAT: memcpy(&f, &l->i, sizeof f); return rt_float(f);
    case V_STR: return rt_str(rt_art_text(m->a, l->text), (size_t)l->n);
    case V_TENSOR: return tensor_literal(m, &m->a->params[l->first]);
    case V_LIST:
    case V_TUPLE: return items_literal(m, l);
    case V_DICT: return dict_literal(m, l);
    default: return V_NULL;
    }
}
