/* import_torchscript.c: TorchScript archives (torch.jit.save), see import.h.
 *
 * An archive is a zip with one folder: `version`, `byteorder`, `data.pkl` (the tree of objects) with its
 * storages data/N, `constants.pkl` with constants/N, the code as code/<namespace>.py, and for traced modules
 * `traced_inputs.pkl`. Code files refer to each other in cycles, so they are parsed when a name of theirs is
 * asked for. */
#include "script/import.h"

#include "script/pickle.h"
#include "script/zip.h"

enum {
    VERSION_MAX = 10,    /* newer ones may change what an op means */
    VERSION_MOVED = 6,   /* from here on the number stands in .data/version */
    MAX_CODE = 64 << 20, /* bytes of all code files together */
    MAX_KEY = 32
};

typedef struct code_file {
    const char *text;
    size_t n;
    bool parsed;
} code_file;

typedef struct archive {
    ir_context *c;
    const char *file, *root; /* root: the folder's name */
    script_zip *zip;
    int version;
    ir_module *m;
    script_unit *unit;
    rt_map code;        /* "__torch__.a.b" -> code_file */
    const char *folder; /* of the storages of the pickle being read: "data" */
    rt_map storages;    /* "data/0" -> flat rt_tensor, owned until the archive is closed */
} archive;

static bool bad(const archive *a, const char *entry, const char *why) {
    if (entry) ir_error(a->c, 0, "%s: entry `%s`: %s", a->file, entry, why);
    else ir_error(a->c, 0, "%s: %s", a->file, why);
    return false;
}

static script_zip_entry *find(const archive *a, const char *name) {
    return script_zip_find(a->zip, ir_fmt(a->c, "%s/%s", a->root, name));
}

/* ---- the small entries */

static bool find_root(archive *a) {
    if (script_zip_count(a->zip) == 0) return bad(a, NULL, "the archive is empty");
    const char *name = script_zip_at(a->zip, 0)->name, *slash = strchr(name, '/');
    if (!slash) return bad(a, NULL, "not a PyTorch archive (its first entry is in no folder)");
    a->root = ir_internn(a->c, name, (size_t)(slash - name));
    if (find(a, "constants.pkl") || find(a, "code/")) return true;
    if (find(a, "models/model.json") || find(a, "archive_format"))
        return bad(a, NULL, "a torch.export archive (.pt2), not a TorchScript archive");
    if (find(a, "data.pkl"))
        return bad(a, NULL,
                   "written by torch.save, which stores no code; save the model with torch.jit.save");
    return bad(a, NULL, "not a TorchScript archive");
}

static bool read_number(archive *a, script_zip_entry *e, int *out) {
    size_t n, i = 0;
    const char *s = script_zip_read(a->zip, e, &n);
    if (!s) return false;
    for (*out = 0; i < n && i < 4 && s[i] >= '0' && s[i] <= '9'; i++) *out = *out * 10 + (s[i] - '0');
    return (i > 0 && (i == n || (i + 1 == n && s[i] == '\n'))) ||
           bad(a, e->name, "it must hold a decimal number");
}

/* Below VERSION_MOVED the number stands in `version`, else in `.data/version`. */
static bool check_version(archive *a) {
    script_zip_entry *old = find(a, "version"), *new = find(a, ".data/version");
    int version;
    if (!old && !new) return bad(a, NULL, "the archive has no version");
    if (old && new) return bad(a, NULL, "the archive has two versions");
    if (!read_number(a, old ? old : new, &version)) return false;
    if (version > VERSION_MAX)
        return bad(a, NULL,
                   ir_fmt(a->c, "the archive has format version %d; versions up to %d are supported", version,
                          VERSION_MAX));
    if (version < 1 || (version < VERSION_MOVED) != (old != NULL))
        return bad(a, (old ? old : new)->name, "this version cannot stand in this entry");
    a->version = version;
    return true;
}

static bool check_byteorder(archive *a) {
    script_zip_entry *e = find(a, "byteorder");
    size_t n;
    if (!e) return true;
    const char *s = script_zip_read(a->zip, e, &n);
    if (!s) return false;
    return (n == 6 && !memcmp(s, "little", 6)) ||
           bad(a, e->name, "only little-endian archives are supported");
}

/* ---- code */

/* code/__torch__/a/b.py -> __torch__.a.b; NULL if the entry is no code file. */
static const char *namespace_of(const archive *a, const char *entry) {
    size_t root = strlen(a->root), n = strlen(entry);
    if (n < root + 6 + 4 || memcmp(entry, a->root, root) || memcmp(entry + root, "/code/", 6) ||
        memcmp(entry + n - 3, ".py", 3))
        return NULL;
    char *s = rt_arena_str(&a->c->arena, entry + root + 6, n - root - 6 - 3);
    for (char *p = s; *p; p++)
        if (*p == '/') *p = '.';
    return s;
}

/* The texts are read now (they are small), so that the archive can be closed before the last method is
 * emitted. */
static bool read_code(archive *a) {
    size_t total = 0;
    for (int i = 0; i < script_zip_count(a->zip); i++) {
        script_zip_entry *e = script_zip_at(a->zip, i);
        const char *name = namespace_of(a, e->name);
        if (!name) continue;
        size_t n;
        if (e->size > MAX_CODE - total) return bad(a, NULL, "the archive holds more code than the limit");
        total += e->size;
        const char *text = script_zip_read(a->zip, e, &n);
        if (!text) return false;
        if (rt_map_get(&a->code, name)) return bad(a, e->name, "two entries hold the code of one namespace");
        code_file *f = RT_NEW(&a->c->arena, code_file);
        *f = (code_file){.text = rt_arena_str(&a->c->arena, text, n), .n = n};
        rt_map_put(&a->c->arena, &a->code, name, f);
    }
    return true;
}

/* Parses the file that may define `qualified`: the longest namespace that is a proper prefix of it and has a
 * file.  `env` is a copy of the archive that lives as long as the unit. */
static void load_code(void *env, script_unit *u, const char *qualified) {
    archive *a = env;
    for (size_t n = strlen(qualified); n > 0; n--) {
        if (qualified[n - 1] != '.') continue;
        code_file *f = rt_map_getn(&a->code, qualified, n - 1);
        if (!f) continue;
        if (f->parsed) return;
        f->parsed = true;
        const char *prefix = ir_internn(a->c, qualified, n - 1);
        char *path = rt_arena_fmt(&a->c->arena, "%s:code/%s.py", a->file, prefix);
        for (char *p = path + strlen(a->file) + 1; p < path + strlen(path) - 3; p++)
            if (*p == '.') *p = '/';
        script_parse(u, path, prefix, f->text, f->n);
        return;
    }
}

/* ---- pickles */

static ir_class *find_class(void *env, const char *name) {
    archive *a = env;
    if (!strncmp(name, "__torch__.torch.classes.", 24)) {
        bad(a, NULL,
            ir_fmt(a->c, "the built-in class `%s` is not supported (quantised modules use it)",
                   ir_quote(a->c, name, strlen(name))));
        return NULL;
    }
    return script_class(a->unit, name);
}

static bool has_setstate(void *env, ir_class *cls) {
    archive *a = env;
    return script_has_method(a->unit, cls, "__setstate__");
}

static rt_tensor *load_storage(archive *a, const char *name, rt_dtype dtype) {
    script_zip_entry *e = find(a, name);
    const char *shown = ir_quote(a->c, name, strlen(name));
    size_t n;
    if (!e) return bad(a, NULL, ir_fmt(a->c, "the archive has no entry `%s`", shown)), NULL;
    const char *p = script_zip_read(a->zip, e, &n);
    if (!p) return NULL;
    const char *what = ir_fmt(a->c, "%s: entry `%s`", a->file, shown);
    bool in_place = e->method == 0 && (uintptr_t)p % 8 == 0; /* 8: any dtype may look at it */
    rt_tensor *t = ir_mapping_tensor(a->c, in_place ? script_zip_mapping(a->zip) : NULL, what, p, n, dtype);
    if (t) rt_map_put(&a->c->arena, &a->storages, name, t);
    return t;
}

static rt_tensor *find_storage(void *env, const char *key, rt_dtype dtype, int64_t numel) {
    archive *a = env;
    if (strlen(key) > MAX_KEY || strchr(key, '/'))
        return bad(a, NULL, "a storage has an impossible name"), NULL;
    const char *name = ir_fmt(a->c, "%s/%s", a->folder, key);
    rt_tensor *t = rt_map_get(&a->storages, name);
    if (!t && !(t = load_storage(a, name, dtype))) return NULL;
    int64_t bytes;
    if (!rt_mul_i64(numel, rt_dtypes[dtype].bytes, &bytes) || (uint64_t)bytes != t->storage->bytes) {
        bad(a, name,
            ir_fmt(a->c, "it has %zu bytes, where %lld elements of %s are expected", t->storage->bytes,
                   (long long)numel, rt_dtypes[dtype].name));
        return NULL;
    }
    if (dtype == DT_BOOL && t->dtype != DT_BOOL)
        return bad(a, name, "it is used as bool and as another dtype"), NULL;
    rt_tensor_retain(t);
    return t;
}

/* Objects with __setstate__ would have to run code of the archive at import; each class is named once. */
static bool report_setstates(archive *a, const script_pickle *p) {
    for (int i = 0; i < p->setstates.n; i++) {
        const ir_class *cls = p->setstates.at[i].object.object->cls;
        bool again = false;
        for (int k = 0; k < i; k++) again = again || p->setstates.at[k].object.object->cls == cls;
        if (!again)
            bad(a, NULL,
                ir_fmt(a->c,
                       "class `%s` restores itself by `__setstate__`, which is not supported (quantised "
                       "modules do so)",
                       cls->name));
    }
    return p->setstates.n == 0;
}

/* Reads NAME.pkl with storages in `folder`; *out owned. */
static bool read_pickle(archive *a, const char *name, const char *folder, bool shapes_only, rt_value *out) {
    script_zip_entry *e = find(a, name);
    size_t n;
    *out = V_NULL;
    if (!e) return bad(a, NULL, ir_fmt(a->c, "the archive has no entry `%s`", name));
    const char *data = script_zip_read(a->zip, e, &n);
    if (!data) return false;
    a->folder = folder;
    script_pickle p = {.c = a->c,
                       .what = ir_fmt(a->c, "%s: entry `%s`", a->file, name),
                       .cls = find_class,
                       .has_setstate = has_setstate,
                       .storage = find_storage,
                       .env = a,
                       .shapes_only = shapes_only};
    bool fine = script_unpickle(&p, data, n, out);
    if (fine && !report_setstates(a, &p)) {
        rt_release(*out);
        *out = V_NULL;
        fine = false;
    }
    script_pickle_free(&p);
    return fine;
}

/* ---- the objects against their classes */

typedef struct checker {
    archive *a;
    rt_map seen; /* objects, by address */
} checker;

static bool fits(checker *k, const ir_type *t, rt_value v);

static bool fits_list(checker *k, const ir_type *t, const rt_list *l) {
    for (int64_t i = 0; i < l->n; i++)
        if (!fits(k, t->elem[0], l->at[i])) return false;
    return true;
}

static bool fits_tuple(checker *k, const ir_type *t, const rt_list *l) {
    if (l->n != t->n) return false;
    for (int64_t i = 0; i < l->n; i++)
        if (!fits(k, t->elem[i], l->at[i])) return false;
    return true;
}

static bool fits_dict(checker *k, const ir_type *t, const rt_dict *d) {
    for (int64_t i = 0; i < d->n; i++)
        if (!fits(k, t->elem[0], d->keys[i]) || !fits(k, t->elem[1], d->values[i])) return false;
    return true;
}

static bool fits_class(const ir_class *cls, rt_value v) {
    for (int i = 0; cls->is_enum && i < cls->constants.n; i++) {
        const rt_value *member = cls->constants.entries[i].value;
        if (member->tag == v.tag && rt_value_equal(*member, v)) return true;
    }
    return !cls->is_enum && v.tag == V_OBJECT && v.object->cls == cls;
}

static bool check_object(checker *k, const rt_object *o);

/* Is v a value of type t?  Objects inside are checked as well, each once; where one is wrong that is
 * reported. */
static bool fits(checker *k, const ir_type *t, rt_value v) {
    if (v.tag == V_OBJECT && !check_object(k, v.object)) return true;
    switch (t->kind) {
    case T_TENSOR: return v.tag == V_TENSOR;
    case T_INT: return v.tag == V_INT;
    case T_FLOAT: return v.tag == V_FLOAT;
    case T_BOOL: return v.tag == V_BOOL;
    case T_STR:
    case T_DEVICE: return v.tag == V_STR;
    case T_NONE: return v.tag == V_NONE;
    case T_NUMBER: return v.tag == V_INT || v.tag == V_FLOAT || v.tag == V_BOOL;
    case T_OPTIONAL: return v.tag == V_NONE || fits(k, t->elem[0], v);
    case T_LIST: return v.tag == V_LIST && fits_list(k, t, v.list);
    case T_TUPLE: return v.tag == V_TUPLE && fits_tuple(k, t, v.list);
    case T_DICT: return v.tag == V_DICT && fits_dict(k, t, v.dict);
    case T_CLASS: return fits_class(t->cls, v);
    case T_MODULE: return v.tag == V_OBJECT && ((const ir_class *)v.object->cls)->is_module;
    case T_UNION:
        for (int i = 0; i < t->n; i++)
            if (fits(k, t->elem[i], v)) return true;
        return false;
    default: return t->kind == T_ANY;
    }
}

/* False once an error about `o` was reported: the same object is reported once. */
static bool check_object(checker *k, const rt_object *o) {
    const ir_class *cls = o->cls;
    if (cls->name == script_qtensor_name || rt_map_getn(&k->seen, (const char *)&o, sizeof o)) return true;
    rt_map_putn(&k->a->c->arena, &k->seen, (const char *)&o, sizeof o, k);
    for (int i = 0; i < cls->nfields && i < o->n; i++) {
        if (o->at[i].tag == V_UNDEF)
            return bad(k->a, NULL, ir_fmt(k->a->c, "an object of `%s` has no state", cls->name));
        if (!cls->types[i] || fits(k, cls->types[i], o->at[i])) continue;
        rt_text want = {0};
        ir_type_print(&want, cls->types[i]);
        bad(k->a, NULL,
            ir_fmt(k->a->c, "attribute `%s` of an object of `%s` is not a value of its type %s",
                   cls->fields[i], cls->name, want.s ? want.s : ""));
        rt_text_free(&want);
        return false;
    }
    return true;
}

/* ---- params by attribute path */

typedef struct namer {
    archive *a;
    rt_map seen;
} namer;

static void name_tensor(namer *w, const char *path, rt_tensor *t) {
    ir_context *c = w->a->c;
    const char *unique = path;
    for (int i = 2; rt_map_get(&w->a->m->tensors, unique); i++) unique = ir_fmt(c, "%s#%d", path, i);
    ir_tensor_data *d = RT_NEW(&c->arena, ir_tensor_data);
    *d = (ir_tensor_data){.name = ir_intern(c, unique), .tensor = t};
    rt_tensor_retain(t);
    rt_map_put(&c->arena, &w->a->m->tensors, unique, d);
}

static const char *join(namer *w, const char *path, const char *name) {
    return *path ? ir_fmt(w->a->c, "%s.%s", path, name) : name;
}

static void name_tensors(namer *w, const char *path, rt_value v);

/* Containers that are used twice keep their first name. */
static bool first_visit(namer *w, const void *p) {
    if (rt_map_getn(&w->seen, (const char *)&p, sizeof p)) return false;
    rt_map_putn(&w->a->c->arena, &w->seen, (const char *)&p, sizeof p, w);
    return true;
}

static void name_dict(namer *w, const char *path, const rt_dict *d) {
    for (int64_t i = 0; i < d->n; i++) {
        rt_text key = {0};
        rt_value_print(&key, d->keys[i], false);
        name_tensors(w, join(w, path, ir_quote(w->a->c, key.s ? key.s : "", key.n)), d->values[i]);
        rt_text_free(&key);
    }
}

static void name_tensors(namer *w, const char *path, rt_value v) {
    if (v.tag == V_TENSOR) return name_tensor(w, path, v.tensor);
    if ((v.tag == V_LIST || v.tag == V_TUPLE) && first_visit(w, v.list))
        for (int64_t i = 0; i < v.list->n; i++)
            name_tensors(w, join(w, path, ir_fmt(w->a->c, "%lld", (long long)i)), v.list->at[i]);
    if (v.tag == V_DICT && first_visit(w, v.dict)) name_dict(w, path, v.dict);
    if (v.tag != V_OBJECT || !first_visit(w, v.object)) return;
    const ir_class *cls = v.object->cls;
    for (int i = 0; i < v.object->n; i++) name_tensors(w, join(w, path, cls->fields[i]), v.object->at[i]);
}

/* ---- the archive */

/* Tensors among the constants are params of the module like all others, as CONSTANTS.cN. */
static bool read_constants(archive *a) {
    rt_value v;
    if (!find(a, "constants.pkl")) return true;
    if (!read_pickle(a, "constants.pkl", "constants", false, &v)) return false;
    ir_own(a->c, v);
    checker k = {.a = a};
    namer w = {.a = a};
    int before = a->c->nerrors;
    if (v.tag != V_TUPLE) return bad(a, "constants.pkl", "it must hold a tuple");
    for (int64_t i = 0; i < v.list->n; i++) {
        rt_value x = v.list->at[i];
        fits(&k, ir_type_simple(a->c, T_ANY), x);
        if (x.tag == V_TENSOR) name_tensor(&w, ir_fmt(a->c, "CONSTANTS.c%lld", (long long)i), x.tensor);
    }
    script_set_constants(a->unit, v);
    return a->c->nerrors == before;
}

static bool read_self(archive *a) {
    if (!read_pickle(a, "data.pkl", "data", false, &a->m->self)) return false;
    rt_value self = a->m->self;
    if (self.tag != V_OBJECT || !((const ir_class *)self.object->cls)->is_module)
        return bad(a, "data.pkl", "it must hold a module");
    checker k = {.a = a};
    int before = a->c->nerrors;
    check_object(&k, self.object);
    if (a->c->nerrors != before) return false;
    namer w = {.a = a};
    name_tensors(&w, "", self);
    return true;
}

/* dict: method -> list of values, as written by a trace; kept as tuples. */
static bool read_examples(archive *a) {
    rt_value v;
    if (!find(a, "traced_inputs.pkl")) return true;
    if (!read_pickle(a, "traced_inputs.pkl", "traced_inputs", true, &v)) return false;
    bool fine = v.tag == V_DICT || bad(a, "traced_inputs.pkl", "it must hold a dict");
    rt_value out = fine ? rt_dict_new() : V_NULL;
    for (int64_t i = 0; fine && i < v.dict->n; i++) {
        rt_value from = v.dict->values[i], t = V_NULL;
        fine = (v.dict->keys[i].tag == V_STR && (from.tag == V_LIST || from.tag == V_TUPLE)) ||
               bad(a, "traced_inputs.pkl", "it must map names of methods to lists");
        if (!fine || (t = rt_list_new(V_TUPLE, from.list->n)).tag == V_UNDEF) break;
        for (int64_t k = 0; k < from.list->n; k++) t.list->at[k] = rt_retain(from.list->at[k]);
        rt_dict_set(out.dict, v.dict->keys[i], t);
    }
    rt_release(v);
    a->m->example_types = out;
    return fine;
}

static bool read_parts(archive *a) {
    if (!find_root(a) || !check_version(a) || !check_byteorder(a) || !read_code(a)) return false;
    a->unit = script_unit_new(a->m);
    script_set_version(a->unit, a->version);
    script_set_loader(a->unit, load_code, a);
    return read_constants(a) && read_self(a) && read_examples(a);
}

/* "dir/net.pt" -> "net" */
static const char *stem(ir_context *c, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return dot && dot > name ? ir_internn(c, name, (size_t)(dot - name)) : ir_intern(c, name);
}

static script_import *import(ir_context *c, const char *file, ir_mapping *map) {
    if (!map) return NULL;
    archive *a = RT_NEW(&c->arena, archive);
    *a = (archive){
        .c = c, .file = rt_arena_str(&c->arena, file, strlen(file)), .m = ir_module_new(c, stem(c, file))};
    a->zip = script_zip_open(c, a->file, map);
    ir_mapping_release(map);
    bool fine = a->zip && read_parts(a);
    for (int i = 0; i < a->storages.n; i++) rt_tensor_release(a->storages.entries[i].value);
    a->storages = (rt_map){0};
    script_zip_close(a->zip);
    a->zip = NULL;
    if (!fine) return NULL;
    script_import *s = RT_NEW(&c->arena, script_import);
    *s = (script_import){
        .module = a->m, .unit = a->unit, .cls = (ir_class *)(uintptr_t)a->m->self.object->cls};
    s->nmethods = script_methods(a->unit, s->cls, &s->methods);
    return s;
}

script_import *script_import_open(ir_context *c, const char *path) {
    return import(c, path, ir_mapping_open(c, path));
}

script_import *script_import_bytes(ir_context *c, const char *name, const void *data, size_t n) {
    return import(c, name, ir_mapping_copy(c, name, data, n));
}

ir_func *script_import_method(script_import *s, const char *method) {
    ir_context *c = s->module->c;
    int before = c->nerrors;
    ir_func *f = script_method(s->unit, s->cls, method);
    if (!f) {
        if (c->nerrors == before) ir_error(c, 0, "module `%s` has no method `%s`", s->module->name, method);
        return NULL;
    }
    f->exported = true;
    f->method = ir_intern(c, method);
    return f;
}

static ir_module *emit_all(script_import *s) {
    if (!s) return NULL;
    bool fine = true;
    for (int i = 0; i < s->nmethods; i++) fine = script_import_method(s, s->methods[i]) && fine;
    return fine ? s->module : NULL;
}

ir_module *script_import_torchscript(ir_context *c, const char *path) {
    return emit_all(script_import_open(c, path));
}

ir_module *script_import_memory(ir_context *c, const char *name, const void *data, size_t n) {
    return emit_all(script_import_bytes(c, name, data, n));
}
