/* artefact.c: the writer: tables and code as one LLVM module, weights as an object or a file of their own,
 * then the output by its suffix.  All is made in a folder beside the output and moved when it is whole.
 *
 * A struct with pointers becomes a packed constant: the bytes of the C struct with the pointers in their
 * places, so the layout is C's and is written once. */
#include "codegen/artefact.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

typedef LLVMValueRef V;
typedef LLVMTypeRef T;

/* ======================================================= tables as constants */

typedef struct pointer {
    size_t at;
    V v;
} pointer;

/* Bytes with pointers at ascending places. */
static V with_pointers(cg_module *cg, const void *bytes, size_t size, int n, const pointer *p) {
    const char *b = bytes;
    V *parts = RT_ARRAY(&cg->c->arena, V, 2 * n + 1);
    int count = 0;
    size_t at = 0;
    for (int i = 0; i <= n; i++) {
        size_t to = i < n ? p[i].at : size;
        if (to > at) parts[count++] = LLVMConstStringInContext2(cg->cx, b + at, to - at, true);
        if (i < n) parts[count++] = p[i].v;
        at = to + 8;
    }
    return LLVMConstStructInContext(cg->cx, parts, (unsigned)count, true);
}

static V constant(cg_module *cg, const char *name, V init, bool exported) {
    V g = LLVMAddGlobal(cg->mod, LLVMTypeOf(init), name);
    LLVMSetInitializer(g, init);
    LLVMSetGlobalConstant(g, true);
    if (!exported) LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetAlignment(g, 16);
    return g;
}

static V table(cg_module *cg, const char *name, const void *rows, size_t bytes) {
    static const int64_t empty;
    return bytes ? cg_bytes(cg, name, rows, bytes, 8) : cg_bytes(cg, name, &empty, sizeof empty, 8);
}

static V or_null(cg_module *cg, V v) { return v ? v : LLVMConstNull(cg->ptr); }

/* Code of one level. */
typedef struct level_code {
    cg_entry *entries; /* in the order of the rows */
    V prepare;
} level_code;

/* The codes of entry i, one for each level. */
static V code_rows(cg_module *cg, int nlevels, const level_code *levels, int i) {
    rt_code *codes = RT_ARRAY(&cg->c->arena, rt_code, nlevels);
    pointer *p = RT_ARRAY(&cg->c->arena, pointer, 2 * nlevels);
    for (int l = 0; l < nlevels; l++) {
        const cg_entry *e = &levels[l].entries[i];
        size_t at = (size_t)l * sizeof *codes;
        p[2 * l] = (pointer){at + offsetof(rt_code, run), e->run};
        p[2 * l + 1] = (pointer){at + offsetof(rt_code, workspace), or_null(cg, e->workspace)};
    }
    return constant(cg, "code", with_pointers(cg, codes, (size_t)nlevels * sizeof *codes, 2 * nlevels, p), false);
}

static V entry_rows(cg_module *cg, const cg_rows *r, int nlevels, const level_code *levels) {
    pointer *p = RT_ARRAY(&cg->c->arena, pointer, r->entries.n + 1);
    for (int i = 0; i < r->entries.n; i++)
        p[i] = (pointer){(size_t)i * sizeof(rt_art_entry) + offsetof(rt_art_entry, code),
                         code_rows(cg, nlevels, levels, i)};
    size_t bytes = (size_t)r->entries.n * sizeof(rt_art_entry);
    return constant(cg, "entries", with_pointers(cg, r->entries.at, bytes, r->entries.n, p), false);
}

static V level_rows(cg_module *cg, cg_rows *r, const cg_target *t, int nlevels, const level_code *levels) {
    rt_level *rows = RT_ARRAY(&cg->c->arena, rt_level, nlevels);
    pointer *p = RT_ARRAY(&cg->c->arena, pointer, nlevels);
    for (int l = 0; l < nlevels; l++, t = t->lower) {
        rows[l] = (rt_level){.name = cg_text_row(r, t->spec), .features = cg_text_row(r, cg_target_needs(cg->c, t))};
        p[l] = (pointer){(size_t)l * sizeof *rows + offsetof(rt_level, prepare), levels[l].prepare};
    }
    return constant(cg, "levels", with_pointers(cg, rows, (size_t)nlevels * sizeof *rows, nlevels, p), false);
}

/* ---- the artefact */

typedef struct writer {
    ir_context *c;
    ir_module *m;
    const cg_target *t;
    const cg_options *o;
    cg_module *cg;
    cg_tables tables;
    cg_rows rows;
    int nlevels;
    level_code *levels; /* best first */
    const char *dir; /* for temporary files */
} writer;

static const char *weights_symbol(const writer *w) { return ir_fmt(w->c, "jitc_%s_weights", w->o->name); }

static bool embeds_weights(const writer *w) { return w->tables.weights_bytes && !w->o->side; }

static V weights_pointer(writer *w) {
    if (!embeds_weights(w)) return LLVMConstNull(w->cg->ptr);
    V g = LLVMAddGlobal(w->cg->mod, w->cg->i8, weights_symbol(w));
    LLVMSetVisibility(g, LLVMHiddenVisibility);
    LLVMSetGlobalConstant(g, true);
    return g;
}

static const char *side_file(const writer *w) { return ir_fmt(w->c, "%s.weights", w->o->name); }

/* void(ptr weights, ptr to, i64 piece): each prepared tensor is a piece: its kernel, over the whole grid.  NULL: there are none. */
static V emit_prepare(writer *w) {
    cg_module *m = w->cg;
    cg_tables *t = &w->tables;
    T params[3] = {m->ptr, m->ptr, m->i64};
    if (!t->prepared.n) return LLVMConstNull(m->ptr);
    V fn = cg_function(m, ir_fmt(w->c, "%s_prepare", w->o->name), LLVMFunctionType(LLVMVoidTypeInContext(m->cx), params, 3, false), false);
    LLVMBasicBlockRef entry = LLVMAppendBasicBlockInContext(m->cx, fn, "entry"), done = LLVMAppendBasicBlockInContext(m->cx, fn, "done");
    LLVMPositionBuilderAtEnd(m->b, done);
    LLVMBuildRetVoid(m->b);
    LLVMPositionBuilderAtEnd(m->b, entry);
    V buffers = LLVMBuildArrayAlloca(m->b, m->ptr, cg_i64(m, 2), ""), error = LLVMBuildArrayAlloca(m->b, m->i64, cg_i64(m, K_MAX_RAISE), "");
    V choose = LLVMBuildSwitch(m->b, LLVMGetParam(fn, 2), done, (unsigned)t->prepared.n);
    for (int i = 0; i < t->prepared.n; i++) {
        const ir_prepared *p = t->prepared.at[i].data->prepared;
        uint64_t at[2] = {cg_param_of(w->c, t, rt_map_get(&w->m->tensors, p->from))->offset, t->prepared.at[i].offset};
        cg_kernel *k = cg_add_kernel(m, p->kernel, NULL, false);
        if (!k) continue;
        LLVMBasicBlockRef piece = LLVMAppendBasicBlockInContext(m->cx, fn, "piece");
        LLVMAddCase(choose, cg_i64(m, i), piece);
        LLVMPositionBuilderAtEnd(m->b, piece);
        for (int b = 0; b < 2; b++) {
            V offset = cg_i64(m, (int64_t)at[b]), index = cg_i64(m, b);
            V address = LLVMBuildGEP2(m->b, m->i8, LLVMGetParam(fn, (unsigned)b), &offset, 1, "");
            LLVMBuildStore(m->b, address, LLVMBuildGEP2(m->b, m->ptr, buffers, &index, 1, ""));
        }
        V args[5] = {buffers, LLVMConstNull(m->ptr), cg_i64(m, 0), cg_i64(m, p->grid), error};
        LLVMBuildCall2(m->b, k->entry_type, k->entry, args, 5, "");
        LLVMBuildBr(m->b, done);
    }
    return fn;
}

static void emit_artefact(writer *w, bool alias) {
    cg_rows *r = &w->rows;
    V levels = level_rows(w->cg, r, w->t, w->nlevels, w->levels); /* adds texts */
    rt_artefact a = {.magic = RT_ARTEFACT_MAGIC, .abi = RT_ABI_VERSION, .size = sizeof a};
    a.name = cg_text_row(r, w->o->name);
    a.producer = cg_text_row(r, w->o->producer);
    a.arch = cg_text_row(r, ir_internn(w->c, w->t->triple, strcspn(w->t->triple, "-")));
    a.nlevels = w->nlevels;
    a.nentries = r->entries.n;
    a.nparams = r->params.n;
    a.nstates = r->states.n;
    a.nhosts = r->hosts.n;
    a.weights_bytes = w->tables.weights_bytes;
    a.weights_layout = cg_weights_layout(r);
    a.weights_file = w->o->side && w->tables.weights_bytes ? cg_text_row(r, side_file(w)) : 0;
    a.nmessages = (uint32_t)r->messages.n;
    a.ndescs = r->descs.n;
    a.prepare_pieces = w->tables.prepared.n;
    a.prepared_bytes = w->tables.prepared_bytes;
#define ROWS(member)                                                                                         \
    {offsetof(rt_artefact, member),                                                                          \
     table(w->cg, #member, r->member.at, (size_t)r->member.n * sizeof *r->member.at)}
    pointer p[] = {ROWS(text),
                   {offsetof(rt_artefact, levels), levels},
                   {offsetof(rt_artefact, entries), entry_rows(w->cg, r, w->nlevels, w->levels)},
                   ROWS(descs),
                   ROWS(dims),
                   ROWS(exprs),
                   ROWS(symbols),
                   ROWS(guards),
                   ROWS(messages),
                   ROWS(literals),
                   ROWS(writes),
                   ROWS(ops),
                   ROWS(params),
                   ROWS(states),
                   ROWS(hosts),
                   {offsetof(rt_artefact, weights), weights_pointer(w)},
                   ROWS(signatures)}; /* in the order of the members */
#undef ROWS
    V g = constant(w->cg, ir_fmt(w->c, "jitc_artefact_%s", w->o->name),
                   with_pointers(w->cg, &a, sizeof a, RT_COUNT(p), p), true);
    if (alias) LLVMAddAlias2(w->cg->mod, LLVMGlobalGetValueType(g), 0, g, "jitc_artefact");
}

static const lower_entry *entry_named(int n, const lower_entry *entries, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(entries[i].name, name)) return &entries[i];
    return NULL;
}

/* rows: of the first level; the others have the same. */
static void emit_level(writer *w, level_code *level, bool rows, int nentries, const lower_entry *entries) {
    int n = 0;
    level->entries = RT_ARRAY(&w->c->arena, cg_entry, w->m->funcs.n + 1);
    for (int i = 0; i < w->m->funcs.n; i++) {
        ir_func *f = w->m->funcs.entries[i].value;
        if (!f->entry) continue;
        cg_entry *code = &level->entries[n];
        if (!cg_host_entry(w->cg, w->m, f, &w->tables, code)) continue; /* the others may have errors of their own */
        if (rows) cg_entry_rows(&w->rows, f, entry_named(nentries, entries, f->name), code);
        n++;
    }
    level->prepare = emit_prepare(w); /* names the params that it reads */
}

static bool emit_levels(writer *w, int nentries, const lower_entry *entries) {
    int before = w->c->nerrors;
    for (const cg_target *t = w->t; t; t = t->lower) w->nlevels++;
    w->levels = RT_ARRAY(&w->c->arena, level_code, w->nlevels);
    const cg_target *t = w->t;
    for (int i = 0; i < w->nlevels && w->c->nerrors == before; i++, t = t->lower) {
        cg_module_level(w->cg, t, w->nlevels > 1 ? ir_fmt(w->c, ".%s", t->spec) : "");
        emit_level(w, &w->levels[i], i == 0, nentries, entries);
    }
    return w->c->nerrors == before && cg_shared_rows(&w->rows, w->m);
}

/* ======================================================= files */

static bool cannot_write(writer *w, const char *path) {
    ir_error(w->c, 0, "cannot write %s: %s", path, strerror(errno));
    return false;
}

static const char *temporary(const writer *w, const char *name) {
    return ir_fmt(w->c, "%s/%s", w->dir, name);
}

/* Calls `each` with every param's bytes, in order; strided tensors are copied first. */
typedef struct weights {
    int n;
    cg_piece *pieces;
    rt_tensor **copies;
} weights;

static bool weights_open(writer *w, weights *x) {
    int n = w->tables.params.n;
    *x = (weights){0, RT_ARRAY(&w->c->arena, cg_piece, n + 1), RT_ARRAY(&w->c->arena, rt_tensor *, n + 1)};
    for (; x->n < n; x->n++) {
        const cg_param *p = &w->tables.params.at[x->n];
        const rt_tensor *t = p->tensor;
        if (!rt_tensor_contiguous(t) && !(t = x->copies[x->n] = rt_tensor_copy_to(t, t->dtype))) {
            ir_error(w->c, 0, "out of memory");
            return false;
        }
        x->pieces[x->n] = (cg_piece){p->offset, rt_tensor_data(t), p->bytes};
    }
    return true;
}

static void weights_close(weights *x) {
    for (int i = 0; i < x->n; i++) rt_tensor_release(x->copies[i]);
}

static bool put(FILE *f, const void *p, size_t n) { return !n || fwrite(p, 1, n, f) == n; }

static bool pad(FILE *f, uint64_t from, uint64_t to) {
    static const char zeros[4096];
    bool ok = true;
    for (; ok && from < to; from += sizeof zeros)
        ok = put(f, zeros, to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros);
    return ok;
}

static bool write_side(writer *w, const weights *x, const char *path) {
    rt_weights_header h = {RT_WEIGHTS_MAGIC, cg_weights_layout(&w->rows), 4096, w->tables.weights_bytes};
    FILE *f = fopen(path, "wb");
    bool ok = f && put(f, &h, sizeof h);
    uint64_t at = sizeof h;
    for (int i = 0; i < x->n && ok; i++) {
        uint64_t to = h.offset + x->pieces[i].offset;
        ok = pad(f, at, to) && put(f, x->pieces[i].data, x->pieces[i].n);
        at = to + x->pieces[i].n;
    }
    if (f && fclose(f)) ok = false;
    return ok || cannot_write(w, path);
}

static bool write_weights(writer *w) {
    weights x;
    if (!w->tables.weights_bytes) return true;
    bool ok = weights_open(w, &x);
    if (ok && w->o->side) ok = write_side(w, &x, temporary(w, "side"));
    else if (ok)
        ok = cg_write_data_object(w->c, w->t, weights_symbol(w), w->tables.weights_bytes, x.n, x.pieces,
                                  temporary(w, "weights.o"));
    weights_close(&x);
    return ok;
}

static bool write_text(writer *w, const char *path, const rt_text *t) {
    FILE *f = fopen(path, "wb");
    bool ok = f && !t->failed && put(f, t->s, t->n);
    if (f && fclose(f)) ok = false;
    return ok || cannot_write(w, path);
}

/* ---- archives: "!<arch>", the index of symbols, the members */

static void member_header(rt_text *t, const char *name, size_t n) {
    rt_text_fmt(t, "%-16s%-12d%-6d%-6d%-8s%-10llu`\n", name, 0, 0, 0, "644", (unsigned long long)n);
}

static void big_endian(rt_text *t, size_t x) {
    char b[4] = {(char)(x >> 24), (char)(x >> 16), (char)(x >> 8), (char)x};
    rt_text_add(t, b, 4);
}

static bool add_file(writer *w, rt_text *t, const char *path) {
    char block[65536];
    size_t n;
    FILE *f = fopen(path, "rb");
    if (!f) return cannot_write(w, path);
    while ((n = fread(block, 1, sizeof block, f))) rt_text_add(t, block, n);
    fclose(f);
    if (t->n % 2) rt_text_str(t, "\n");
    return true;
}

static size_t file_size(const char *path) {
    FILE *f = fopen(path, "rb");
    size_t n = f && !fseeko(f, 0, SEEK_END) ? (size_t)ftello(f) : 0;
    if (f) fclose(f);
    return n;
}

/* The index has 32-bit offsets of members: weights come last, so that they may be larger. */
static bool write_archive(writer *w, const char *path) {
    static const char *const files[] = {"code.o", "weights.o"};
    const char *symbols[] = {ir_fmt(w->c, "jitc_artefact_%s", w->o->name), weights_symbol(w)};
    int n = embeds_weights(w) ? 2 : 1;
    rt_text index = {0}, t = {0};
    size_t bytes = 4 + 4 * (size_t)n;
    for (int i = 0; i < n; i++) bytes += strlen(symbols[i]) + 1;
    bytes += bytes % 2;
    size_t at = 8 + 60 + bytes;
    big_endian(&index, (size_t)n);
    for (int i = 0; i < n; i++) {
        big_endian(&index, at);
        at += 60 + file_size(temporary(w, files[i]));
        at += at % 2;
    }
    for (int i = 0; i < n; i++) rt_text_add(&index, symbols[i], strlen(symbols[i]) + 1);
    if (index.n % 2) rt_text_add(&index, "", 1);
    rt_text_str(&t, "!<arch>\n");
    member_header(&t, "/", index.n);
    rt_text_add(&t, index.s, index.n);
    rt_text_free(&index);
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        member_header(&t, ir_fmt(w->c, "%s/", files[i]), file_size(temporary(w, files[i])));
        ok = add_file(w, &t, temporary(w, files[i]));
    }
    ok = ok && write_text(w, path, &t);
    rt_text_free(&t);
    return ok;
}

/* ---- outputs */

static const char *suffix_of(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    return dot ? dot : "";
}

static bool write_header(writer *w) {
    rt_text t = {0};
    cg_header(&t, &w->rows, w->o);
    bool ok = write_text(w, temporary(w, "header"), &t);
    rt_text_free(&t);
    return ok;
}

static bool write_objects(writer *w, const char *suffix) {
    const char *objects[] = {temporary(w, "code.o"), temporary(w, "weights.o")},
               *whole = temporary(w, "whole");
    int n = embeds_weights(w) ? 2 : 1;
    if (!cg_emit_file(w->cg, CG_OBJECT, objects[0]) || !write_weights(w)) return false;
    if (!strcmp(suffix, ".so")) return cg_link_shared(w->c, w->t, n, objects, NULL, whole);
    if (!write_header(w)) return false;
    if (!strcmp(suffix, ".a")) return write_archive(w, whole);
    if (n == 1) return !rename(objects[0], whole) || cannot_write(w, whole);
    return cg_link_object(w->c, w->t, n, objects, whole);
}

/* Moves a finished file; those that this output does not have are not there. */
static bool deliver(writer *w, const char *name, const char *to) {
    const char *from = temporary(w, name);
    if (access(from, F_OK)) return true;
    return !rename(from, to) || cannot_write(w, to);
}

static bool write_output(writer *w, const char *out) {
    const char *suffix = suffix_of(out), *slash = strrchr(out, '/');
    int folder = slash ? (int)(slash - out) + 1 : 0;
    bool ok;
    if (!strcmp(suffix, ".ll")) ok = cg_emit_file(w->cg, CG_LLVM, temporary(w, "whole"));
    else if (!strcmp(suffix, ".s")) ok = cg_emit_file(w->cg, CG_ASSEMBLY, temporary(w, "whole"));
    else ok = write_objects(w, suffix);
    const char *header = ir_fmt(w->c, "%.*s.h", (int)(strlen(out) - strlen(suffix)), out);
    return ok && deliver(w, "side", ir_fmt(w->c, "%.*s%s", folder, out, side_file(w))) &&
           deliver(w, "header", header) && deliver(w, "whole", out);
}

/* Also called where memory has run out: takes none. */
static void remove_temporaries(void *dir) {
    static const char *const names[] = {"code.o", "weights.o", "side", "header", "whole"};
    char path[4096];
    for (size_t i = 0; i < RT_COUNT(names); i++)
        if (snprintf(path, sizeof path, "%s/%s", (char *)dir, names[i]) < (int)sizeof path) remove(path);
    rmdir(dir);
}

static bool known_suffix(const char *s) {
    return !strcmp(s, ".so") || !strcmp(s, ".o") || !strcmp(s, ".a") || !strcmp(s, ".ll") || !strcmp(s, ".s");
}

static bool make_folder(writer *w, const char *out) {
    const char *slash = strrchr(out, '/');
    char *dir = rt_arena_fmt(&w->c->arena, "%.*s.jitc-XXXXXX", slash ? (int)(slash - out) + 1 : 0, out);
    ir_at_end(w->c, remove_temporaries, dir);
    w->dir = mkdtemp(dir);
    return w->dir || cannot_write(w, out);
}

bool cg_write_artefact(ir_module *m, const cg_target *t, int nentries, const lower_entry *entries,
                       const cg_options *o, const char *out) {
    const char *suffix = suffix_of(out);
    if (!known_suffix(suffix)) {
        ir_error(m->c, 0, "%s: the output must end in .so, .o, .a, .ll, .s or .ir", out);
        return false;
    }
    writer w = {.c = m->c, .m = m, .t = t, .o = o};
    w.rows.c = m->c;
    w.rows.tables = &w.tables;
    w.rows.folder = o->folder ? o->folder : "";
    w.cg = cg_module_new(m->c, t, o->name);
    bool ok = emit_levels(&w, nentries, entries);
    if (ok) emit_artefact(&w, !strcmp(suffix, ".so"));
    if (ok && (ok = make_folder(&w, out))) {
        ok = write_output(&w, out);
        remove_temporaries((char *)w.dir);
    }
    cg_module_free(w.cg);
    return ok;
}
