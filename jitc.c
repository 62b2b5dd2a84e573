/* jitc.c: the top of the library and the map of the system: compile() is read -> check -> lower -> emit -> write.
 *
 *   read    a model file becomes an ir_module of surface graphs: script/import.h, script/script.h, ir/ir.h
 *   check   methods and arguments become entries with types: lower/entries.h
 *   lower   surface -> core -> grouped: lower/lower.h, and the passes of lower/passes.def
 *   emit    kernels and host code through LLVM, tables of the ABI: codegen/artefact.h
 *   write   the output by its suffix
 *
 * This file connects folders that do not know each other. */
#include "jitc_internal.h"

#include "codegen/artefact.h"
#include "ir/custom.h"
#include "ir/mapping.h"
#include "runtime/module.h"
#include "tracer/tracer.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ======================================================= contexts */

ir_context *jitc_context_new(void) {
    ir_context *c = ir_context_new();
    if (c) script_vocabulary_init(c);
    return c;
}

/* ======================================================= read */

static const char *suffix_of(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    return dot ? dot : "";
}

static const char *stem_of(ir_context *c, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return ir_internn(c, name, strlen(name) - strlen(suffix_of(name)));
}

static void end_mapping(void *m) { ir_mapping_release(m); }

/* The whole file, NUL-terminated, in the arena; NULL after a diagnostic. */
static const char *read_text(ir_context *c, const char *path, size_t *n) {
    ir_mapping *map = ir_mapping_open(c, path);
    *n = map ? map->n : 0;
    if (!map) return NULL;
    ir_at_end(c, end_mapping, map);
    return rt_arena_str(&c->arena, map->data, map->n);
}

static bool read_archive(jitc_model *m) {
    m->import = script_import_open(m->c, m->file);
    if (!m->import) return false;
    m->module = m->import->module;
    m->unit = m->import->unit;
    m->methods = m->import->methods;
    m->nmethods = m->import->nmethods;
    return true;
}

static bool read_script(jitc_model *m) {
    size_t n;
    const char *text = read_text(m->c, m->file, &n);
    if (!text) return false;
    m->module = ir_module_new(m->c, m->stem);
    m->unit = script_unit_new(m->module);
    if (!script_parse(m->unit, m->file, NULL, text, n)) return false;
    m->nmethods = script_functions(m->unit, &m->methods);
    return true;
}

static const char *weights_beside(ir_context *c, const char *path) {
    return ir_fmt(c, "%.*s.weights.safetensors", (int)(strlen(path) - strlen(suffix_of(path))), path);
}

/* Does the text name tensors whose elements stand in the file beside it? */
static bool wants_weights(const ir_module *m) {
    for (int i = 0; i < m->tensors.n; i++) {
        const ir_tensor_data *d = m->tensors.entries[i].value;
        if (!d->tensor && (!d->type || d->type->kind == T_TENSOR)) return true;
    }
    return false;
}

static bool read_ir(jitc_model *m) {
    size_t n;
    const char *text = read_text(m->c, m->file, &n), *weights = weights_beside(m->c, m->file);
    if (!text || !(m->module = ir_read_module(m->c, m->file, text, n))) return false;
    if ((wants_weights(m->module) || !access(weights, F_OK)) && !ir_weights_load(m->module, weights)) return false;
    if (m->module->state > IR_CORE) {
        ir_error(m->c, 0, "%s: the text of a later pass cannot be compiled; stop earlier, at the latest after `dce2`", m->file);
        return false;
    }
    ir_module_bind(m->module);
    const char **names = RT_ARRAY(&m->c->arena, const char *, m->module->funcs.n + 1);
    for (int i = 0; i < m->module->funcs.n; i++) {
        const ir_func *f = m->module->funcs.entries[i].value;
        if (f->exported) names[m->nmethods++] = f->method ? f->method : f->name;
    }
    for (int i = 0; !m->nmethods && i < m->module->funcs.n; i++) names[m->nmethods++] = m->module->funcs.entries[i].key;
    m->methods = names;
    return ir_verify_module(m->module);
}

jitc_model *jitc_read_model(ir_context *c, const char *path) {
    jitc_model *m = RT_NEW(&c->arena, jitc_model);
    *m = (jitc_model){.c = c, .file = ir_intern(c, path), .stem = stem_of(c, path)};
    const char *suffix = suffix_of(path);
    bool ok;
    if (!strcmp(suffix, ".pt")) ok = read_archive(m);
    else if (!strcmp(suffix, ".ir")) ok = read_ir(m);
    else if (!strcmp(suffix, ".py")) ok = read_script(m);
    else {
        ir_error(c, 0, "%s: a model ends in .pt, .ir or .py", path);
        ok = false;
    }
    return ok ? m : NULL;
}

/* The text of a pass's result: its entries have their types already. */
static bool is_core(const jitc_model *m) { return m->module->state == IR_CORE; }

static ir_func *find_function(jitc_model *m, const char *name) {
    if (m->import) return script_import_method(m->import, name);
    if (m->unit) return script_func(m->unit, name);
    for (int i = 0; i < m->module->funcs.n; i++) {
        ir_func *f = m->module->funcs.entries[i].value;
        if (f->exported && f->method && !strcmp(f->method, name)) return f;
    }
    return rt_map_get(&m->module->funcs, name);
}

static const char *list_methods(const jitc_model *m) {
    rt_text t = {0};
    for (int i = 0; i < m->nmethods; i++) rt_text_fmt(&t, "%s%s", i ? ", " : "", m->methods[i]);
    const char *s = ir_intern(m->c, t.s ? t.s : "none");
    rt_text_free(&t);
    return s;
}

static void read_defaults(jitc_model *m, lower_method *f) {
    int n = f->func->body->params.n - f->skip;
    f->defaults = RT_ARRAY(&m->c->arena, const rt_value *, n + 1);
    for (int i = 0; m->unit && i < n; i++) {
        rt_value v;
        if (!script_default(m->unit, f->func, i + f->skip, &v)) continue;
        ir_own(m->c, v);
        f->defaults[i] = rt_arena_copy(&m->c->arena, &v, sizeof v);
    }
}

bool jitc_model_method(jitc_model *m, const char *name, lower_method *out) {
    int before = m->c->nerrors;
    ir_func *f = find_function(m, name);
    if (!f || m->c->nerrors != before) {
        if (m->c->nerrors == before) ir_error(m->c, 0, "%s has no method `%s`; it has: %s", m->file, name, list_methods(m));
        return false;
    }
    bool method = m->module->self.tag == V_OBJECT && f->body->params.n && f->body->params.at[0]->type->kind == T_CLASS;
    *out = (lower_method){.name = ir_intern(m->c, name), .func = f, .skip = method};
    f->exported = true;
    f->method = out->name;
    read_defaults(m, out);
    return true;
}

const char *jitc_default_method(const jitc_model *m) {
    for (int i = 0; i < m->nmethods; i++)
        if (!strcmp(m->methods[i], "forward")) return m->methods[i];
    if (m->nmethods == 1) return m->methods[0];
    ir_error(m->c, 0, "%s has no `forward`: choose with --method from: %s", m->file, list_methods(m));
    return NULL;
}

/* ======================================================= check */

typedef RT_VEC(const char *) name_list;

static void add_name(ir_context *c, name_list *l, const char *name) {
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->at[i], name)) return;
    RT_PUSH(&c->arena, l, name);
}

/* "0,2" names case 0 and 2; NULL all. */
static bool selected(const char *cases, int i) {
    for (const char *p = cases; p && *p;) {
        char *end;
        if (strtol(p, &end, 10) == i && end != p) return true;
        p = *end == ',' ? end + 1 : end + strlen(end);
    }
    return !cases;
}

typedef struct examples { /* the cases of all files */
    int n;
    const ir_case **at;
} examples;

static bool read_examples(jitc_model *m, const jitc_compile_opts *o, const ir_cases *given, examples *out) {
    RT_VEC(const ir_case *) list = {0};
    bool ok = true;
    for (int i = 0; i < (given ? 1 : o->nexamples); i++) {
        const ir_cases *cases = given ? given : ir_cases_open(m->c, o->examples[i]);
        ok = ok && cases;
        for (int k = 0; cases && k < cases->n; k++)
            if (selected(o->cases, k)) RT_PUSH(&m->c->arena, &list, &cases->at[k]);
    }
    *out = (examples){list.n, list.at};
    return ok;
}

static bool entries_of_examples(jitc_model *m, const lower_method *f, const lower_words *w, const examples *x, lower_entries *out) {
    lower_call *calls = RT_ARRAY(&m->c->arena, lower_call, x->n + 1);
    int n = 0;
    for (int i = 0; i < x->n; i++)
        if (!strcmp(x->at[i]->method, f->name)) calls[n++] = (lower_call){(int)x->at[i]->args.list->n, x->at[i]->args.list->at};
    return lower_entries_from_calls(m->module, f, w, n, calls, out);
}

/* The inputs that an archive was traced with, if it says so. */
static bool traced_call(const jitc_model *m, const char *method, lower_call *out) {
    rt_value t = m->module->example_types, key = rt_strz(method);
    const rt_value *args = t.tag == V_DICT ? rt_dict_find(t.dict, key) : NULL;
    rt_release(key);
    if (!args || args->tag != V_TUPLE) return false;
    *out = (lower_call){(int)args->list->n, args->list->at};
    return true;
}

static bool method_entries(jitc_model *m, const char *name, const lower_words *w, const examples *x, lower_entries *out) {
    lower_method f;
    lower_call traced;
    if (!jitc_model_method(m, name, &f)) return false;
    if (x->n) return entries_of_examples(m, &f, w, x, out);
    if (!w->ninputs && traced_call(m, name, &traced)) return lower_entries_from_calls(m->module, &f, w, 1, &traced, out);
    return lower_entries_from_inputs(m->module, &f, w, out);
}

bool jitc_model_entries(jitc_model *m, const jitc_compile_opts *o, const ir_cases *given, lower_entries *out) {
    lower_words w = {o->ninputs, o->nspecialise, o->inputs, o->specialise};
    examples x;
    name_list names = {0};
    *out = (lower_entries){0};
    if (is_core(m)) return true;
    if (!read_examples(m, o, given, &x)) return false;
    if (x.n && w.ninputs) ir_warn(m->c, 0, "--input is not used where there are examples");
    for (int i = 0; i < o->nmethods; i++) add_name(m->c, &names, o->methods[i]);
    for (int i = 0; !o->nmethods && i < x.n; i++) add_name(m->c, &names, x.at[i]->method);
    if (!names.n) {
        const char *name = jitc_default_method(m);
        if (!name) return false;
        add_name(m->c, &names, name);
    }
    bool ok = true;
    for (int i = 0; i < names.n; i++) ok = method_entries(m, names.at[i], &w, &x, out) && ok;
    if (ok && !out->list.n) ir_error(m->c, 0, "%s: the examples call none of the methods that are to be compiled", m->file);
    return ok && out->list.n;
}

/* ======================================================= lower, emit, write */

static const char *identifier(ir_context *c, const char *name) {
    char *s = (char *)ir_fmt(c, "%s%s", isdigit((unsigned char)*name) || !*name ? "m" : "", name);
    for (char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p)) *p = '_';
    return s;
}

/* The folder of the model, with its '/'; "" if the name has none.  What is written names source files from there. */
static const char *folder_of(const jitc_model *m) {
    const char *slash = strrchr(m->file, '/');
    return ir_internn(m->c, m->file, slash ? (size_t)(slash - m->file) + 1 : 0);
}

static void print_without_folder(rt_text *t, const ir_module *m, const char *folder) {
    ir_context *c = m->c;
    size_t n = strlen(folder);
    const char **names = RT_ARRAY(&c->arena, const char *, c->spans.n);
    for (int i = 0; i < c->spans.n; i++) {
        names[i] = c->spans.at[i].file;
        if (names[i] && !strncmp(names[i], folder, n)) c->spans.at[i].file = names[i] + n;
    }
    ir_print_module(t, m);
    for (int i = 0; i < c->spans.n; i++) c->spans.at[i].file = names[i];
}

/* The module's text, and its tensors beside it. */
static bool write_ir(const jitc_model *model, const ir_module *m, const char *out) {
    ir_context *c = m->c;
    const char *weights = weights_beside(c, out), *temporary = ir_fmt(c, "%s.%d.tmp", out, (int)getpid());
    rt_text t = {0};
    print_without_folder(&t, m, folder_of(model));
    FILE *f = fopen(temporary, "wb");
    bool ok = f && !t.failed && fwrite(t.s, 1, t.n, f) == t.n;
    if (f && fclose(f)) ok = false;
    rt_text_free(&t);
    if (!ok) ir_error(c, 0, "cannot write %s: %s", out, strerror(errno));
    ok = ok && (!m->tensors.n || ir_weights_save(m, weights));
    if (ok && rename(temporary, out)) {
        ir_error(c, 0, "cannot write %s: %s", out, strerror(errno));
        ok = false;
        remove(weights);
    }
    if (!ok) remove(temporary);
    return ok;
}

static lower_options pass_options(const jitc_compile_opts *o, rt_text *log) {
    int opt = o->optimise == 0 ? 3 : o->optimise < 0 ? 0 : o->optimise;
    return (lower_options){.opt = opt, .verify = o->verify, .stats = o->stats, .print_after = o->print_after, .stop_after = o->stop_after,
                           .skip = o->skip, .log = log};
}

static bool check_pass_names(ir_context *c, const jitc_compile_opts *o) {
    const char *names[] = {o->print_after, o->stop_after};
    for (int i = 0; i < 2; i++) {
        if (!names[i] || lower_is_pass(names[i]) || (i == 0 && !strcmp(names[i], "all"))) continue;
        ir_error(c, 0, "there is no pass `%s`", names[i]);
        return false;
    }
    return true;
}

static bool write_code(jitc_model *m, ir_module *core, const jitc_compile_opts *o, const lower_entries *e, cg_target *target,
                       const char *out) {
    const char *producer = ir_fmt(m->c, "jitc %d.%d.%d%s", JITC_VERSION_MAJOR, JITC_VERSION_MINOR, JITC_VERSION_PATCH,
                                  o->fast_math ? " --fast-math" : "");
    const char *name = identifier(m->c, o->name ? o->name : m->stem);
    cg_options options = {.name = name, .producer = producer, .side = o->weights_side, .folder = folder_of(m)};
    return cg_target_sanitize(m->c, target, o->sanitize) &&
           cg_write_artefact(core, target, e->list.n, e->list.at, &options, out);
}

bool jitc_compile_model(jitc_model *m, const jitc_compile_opts *o, const lower_entries *e, const char *out, rt_text *log) {
    lower_options passes = pass_options(o, log);
    bool text = !strcmp(suffix_of(out), ".ir"), stopped;
    if (!check_pass_names(m->c, o)) return false;
    m->c->fast_math = o->fast_math;
    if (text && !o->stop_after) return write_ir(m, m->module, out);
    cg_target *target = text ? NULL : cg_target_new(m->c, o->target, passes.opt);
    if (!text && !target) return false;
    if (target) passes.tile_rows = cg_tile_rows(target);
    ir_module *core = is_core(m) ? m->module : lower_specialise(m->module, e->list.n, e->list.at);
    if (!core || !lower_run(core, &passes, &stopped) || m->c->nerrors) return false;
    if (text) return write_ir(m, core, out);
    if (stopped)
        ir_error(m->c, 0, "%s: a pipeline that stops after `%s` can only be written as .ir", out, o->stop_after);
    bool ok = !stopped && write_code(m, core, o, e, target, out);
    cg_target_free(target);
    return ok;
}

/* read -> check -> lower -> emit -> write */
static bool compile(ir_context *c, const char *path, const char *out, const jitc_compile_opts *o, rt_text *log) {
    lower_entries entries = {0};
    bool surface = !strcmp(suffix_of(out), ".ir") && !o->stop_after;
    for (int i = 0; i < o->nops; i++) ir_custom_option(c, o->ops[i]);
    jitc_model *m = c->nerrors ? NULL : jitc_read_model(c, path);
    if (!m) return false;
    if (surface) { /* needs no types: all methods */
        lower_method f;
        for (int i = 0; i < m->nmethods; i++) jitc_model_method(m, m->methods[i], &f);
        if (c->nerrors) return false;
    } else if (!jitc_model_entries(m, o, NULL, &entries)) {
        return false;
    }
    return jitc_compile_model(m, o, &entries, out, log);
}

/* ======================================================= in process */

jitc_module *jitc_compile_and_load(jitc_model *m, const jitc_compile_opts *o, const lower_entries *e, const jitc_load_opts *load, rt_text *log) {
    const char *tmp = getenv("TMPDIR");
    char *dir = rt_arena_fmt(&m->c->arena, "%s/jitc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    jitc_module *loaded = NULL;
    if (!mkdtemp(dir)) {
        ir_error(m->c, 0, "cannot make a temporary folder in %s: %s", tmp && *tmp ? tmp : "/tmp", strerror(errno));
        return NULL;
    }
    const char *path = ir_fmt(m->c, "%s/module.so", dir);
    jitc_compile_opts embed = *o;
    embed.weights_side = 0;
    if (jitc_compile_model(m, &embed, e, path, log) && jitc_load(path, load, &loaded) != JITC_OK)
        ir_error(m->c, 0, "the compiled module cannot be loaded: %s", jitc_error());
    remove(path);
    rmdir(dir);
    return loaded;
}

/* ======================================================= the public function */

void jitc_free(void *p) { rt_free(p); }

static jitc_status result(ir_context *c, bool ok, const jitc_compile_opts *o, rt_text *log, char **text) {
    ir_diags_print(c, log, o->colour);
    for (int i = 0; !ok && i < c->diags.n; i++)
        if (c->diags.at[i].severity == IR_ERROR) {
            rt_fail(JITC_E_UNSUPPORTED, "%s", c->diags.at[i].text);
            break;
        }
    if (text && log->n) *text = log->s;
    else rt_text_free(log);
    return ok ? JITC_OK : JITC_E_UNSUPPORTED;
}

jitc_status jitc_compile(const char *model, const char *out, const jitc_compile_opts *given, char **text) {
    jitc_compile_opts o = {.size = sizeof o};
    rt_text log = {0};
    jmp_buf fail;
    if (text) *text = NULL;
    if (given && given->size < sizeof given->size) return rt_fail(JITC_E_ARGUMENT, "jitc_compile_opts.size is not set");
    if (given) memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
    ir_context *c = jitc_context_new();
    if (!c) return rt_fail(JITC_E_MEMORY, "out of memory");
    c->arena.fail = &fail;
    if (setjmp(fail)) {
        ir_context_free(c);
        return rt_fail(JITC_E_MEMORY, "out of memory");
    }
    bool ok = compile(c, model, out, &o, &log) && !c->nerrors;
    c->arena.fail = NULL;
    jitc_status status = result(c, ok, &o, &log, text);
    ir_context_free(c);
    return status;
}

/* ======================================================= eager contexts: the tracer with the script language behind it */

static void *open_unit(ir_module *m) { return script_unit_new(m); }
static bool parse_unit(void *unit, const char *file, const char *text, size_t n) { return script_parse(unit, file, NULL, text, n); }
static ir_func *unit_func(void *unit, const char *name) { return script_func(unit, name); }
static bool unit_default(void *unit, const ir_func *f, int i, rt_value *out) { return script_default(unit, f, i, out); }

jitc_status jitc_open(jitc_context **out) {
    static const trace_language language = {script_vocabulary_init, open_unit, parse_unit, unit_func, unit_default};
    return trace_open(&language, out);
}
