/* cli_model.c: the context of a command, and models of all front ends. */
#include "cli_work.h"

#include "ir/mapping.h"

#include <stdlib.h>
#include <unistd.h>

static bool is_bug(const ir_context *c) {
    for (int i = 0; i < c->diags.n; i++)
        if (c->diags.at[i].severity == IR_ERROR && !strncmp(c->diags.at[i].text, "internal:", 9)) return true;
    return false;
}

void cli_diags(ir_context *c) {
    rt_text t = {0};
    cli_progress(NULL, 0, 0);
    fflush(stdout);
    ir_diags_print(c, &t, cli_colour(2));
    if (t.s) fputs(t.s, stderr);
    rt_text_free(&t);
}

int cli_in_context(const cli_args *a, int (*body)(ir_context *c, const cli_args *a)) {
    jmp_buf out_of_memory;
    ir_context *c = ir_context_new();
    volatile int code = CLI_WRONG;
    if (!c) return cli_fail(CLI_WRONG, "out of memory");
    if (!setjmp(out_of_memory)) {
        c->arena.fail = &out_of_memory;
        script_vocabulary_init(c);
        code = body(c, a);
        cli_diags(c);
        if (is_bug(c)) code = CLI_BUG;
    } else cli_fail(CLI_WRONG, "out of memory");
    c->arena.fail = NULL;
    ir_context_free(c);
    return code;
}

bool cli_has_suffix(const char *path, const char *suffix) {
    size_t n = strlen(path), k = strlen(suffix);
    return n > k && !strcmp(path + n - k, suffix);
}

/* ======================================================= opening */

static const char *stem(ir_context *c, const char *path) {
    const char *dot = strrchr(path, '.');
    return ir_fmt(c, "%.*s", (int)(dot ? dot - path : (long)strlen(path)), path);
}

static bool open_ir(ir_context *c, const char *path, const ir_mapping *text, cli_model *out) {
    ir_module *m = ir_read_module(c, path, text->data, text->n);
    if (!m) return false;
    const char *weights = ir_fmt(c, "%s.weights.safetensors", stem(c, path));
    if ((m->tensors.n || !access(weights, R_OK)) && !ir_weights_load(m, weights)) return false;
    ir_module_bind(m);
    out->module = m;
    return ir_verify_module(m);
}

static bool open_script(ir_context *c, const char *path, const ir_mapping *text, cli_model *out) {
    const char *slash = strrchr(path, '/');
    out->module = ir_module_new(c, stem(c, slash ? slash + 1 : path));
    out->unit = script_unit_new(out->module);
    return script_parse(out->unit, path, NULL, text->data, text->n);
}

bool cli_model_open(ir_context *c, const char *path, cli_model *out) {
    memset(out, 0, sizeof *out);
    if (cli_has_suffix(path, ".pt")) {
        out->import = script_import_open(c, path);
        out->module = out->import ? out->import->module : NULL;
        return out->module != NULL;
    }
    bool ir = cli_has_suffix(path, ".ir"), script = cli_has_suffix(path, ".py");
    if (!ir && !script) {
        ir_error(c, 0, "%s: a model is a .pt, .ir or .py file", path);
        return false;
    }
    ir_mapping *text = ir_mapping_open(c, path);
    if (!text) return false;
    bool ok = ir ? open_ir(c, path, text, out) : open_script(c, path, text, out);
    ir_mapping_release(text);
    return ok && !c->nerrors;
}

/* ======================================================= methods */

int cli_model_methods(ir_context *c, cli_model *m, const char *const **names) {
    if (m->import) {
        *names = m->import->methods;
        return m->import->nmethods;
    }
    if (m->unit) return script_functions(m->unit, names);
    const char **list = RT_ARRAY(&c->arena, const char *, m->module->funcs.n);
    int n = 0;
    for (int i = 0; i < m->module->funcs.n; i++) {
        const ir_func *f = m->module->funcs.entries[i].value;
        if (f->exported) list[n++] = f->name;
    }
    *names = list;
    return n;
}

static void no_such_method(ir_context *c, cli_model *m, const char *method) {
    const char *const *names, *list = "";
    int n = cli_model_methods(c, m, &names);
    for (int i = 0; i < n && i < 12; i++) list = ir_fmt(c, "%s%s%s", list, i ? ", " : "", names[i]);
    ir_error(c, 0, "the model has no method '%s'; it has: %s", method, n ? list : "none");
}

ir_func *cli_model_method(ir_context *c, cli_model *m, const char *method) {
    int before = c->nerrors;
    ir_func *f = m->import ? script_import_method(m->import, method)
                 : m->unit ? script_func(m->unit, method)
                           : rt_map_get(&m->module->funcs, method);
    if (!f && c->nerrors == before) no_such_method(c, m, method);
    return f && c->nerrors == before ? f : NULL;
}

bool cli_select_cases(ir_context *c, const char *text, const ir_cases *cases, bool **out) {
    bool *on = RT_ARRAY(&c->arena, bool, cases->n + 1);
    for (int i = 0; i < cases->n; i++) on[i] = !text;
    *out = on;
    for (const char *at = text; at && *at;) {
        char *end;
        long i = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || i < 0 || i >= cases->n) {
            ir_error(c, 0, "--case=%s: %s has the cases 0 to %d", text, cases->file, cases->n - 1);
            return false;
        }
        on[i] = true;
        at = *end ? end + 1 : end;
    }
    return true;
}
