/* run.c: `jitc run`: calls methods once with arguments from files and writes or prints the results.
 *
 * A file of cases gives the calls; else one call is made, of arguments from .npy files in order, or from a .safetensors by
 * the names of the parameters. */
#include "cli/work.h"

#include "runtime/module.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

typedef struct call {
    const char *method;
    int nargs;
    const rt_value *args;
} call;

typedef struct calls {
    RT_VEC(call) list;
    ir_cases *cases; /* that they are from */
} calls;

/* ======================================================= arguments */

static bool is_case_file(const ir_safetensors *s) {
    return ir_safetensors_meta(s, "cases") || ir_safetensors_find(s, "in.0") || !s->tensors.n;
}

static const char *method_of(ir_context *c, const cli_args *a, jitc_model *model, const jitc_module *module) {
    if (a->method.n) return a->method.at[0];
    if (model) return jitc_default_method(model);
    const char *first = jitc_module_entries(module) ? jitc_entry_method(module, 0) : "forward";
    for (int i = 0; i < jitc_module_entries(module); i++)
        if (!strcmp(jitc_entry_method(module, i), "forward")) return "forward";
    for (int i = 0; i < jitc_module_entries(module); i++)
        if (strcmp(jitc_entry_method(module, i), first)) {
            ir_error(c, 0, "the module has several methods and no `forward`: choose with --method");
            return NULL;
        }
    return first;
}

/* Names of the method's parameters; the count, or -1 after a diagnostic. */
static int parameters(cli_runner *r, const char *method, const char *names[CLI_MAX_LIST]) {
    lower_method f;
    int n = 0;
    if (!r->module) {
        if (!jitc_model_method(r->model, method, &f)) return -1;
        for (int i = f.skip; i < f.func->body->params.n && n < CLI_MAX_LIST; i++)
            names[n++] = f.func->param_names ? f.func->param_names[i] : f.func->body->params.at[i]->name;
        return n;
    }
    for (int e = 0; e < jitc_module_entries(r->module); e++) {
        if (strcmp(jitc_entry_method(r->module, e), method)) continue;
        for (n = 0; n < jitc_entry_args(r->module, e) && n < CLI_MAX_LIST; n++)
            names[n] = jitc_type_name(jitc_entry_arg(r->module, e, n));
        return n;
    }
    ir_error(r->c, 0, "the module has no method '%s'", method);
    return -1;
}

static bool named_arguments(cli_runner *r, const char *method, const ir_safetensors *s, rt_list *args) {
    const char *names[CLI_MAX_LIST];
    int n = parameters(r, method, names);
    if (n < 0) return false;
    for (int i = 0; i < n; i++) {
        rt_tensor *t = names[i] ? ir_safetensors_find(s, names[i]) : NULL;
        if (!t) {
            ir_error(r->c, 0, "%s has no tensor `%s`, which %s() wants", s->file, names[i] ? names[i] : "?", method);
            return false;
        }
        rt_tensor_retain(t);
        if (!rt_list_push(args, rt_tensor_value(t))) return false;
    }
    return true;
}

static bool file_arguments(cli_runner *r, const cli_args *a, const char *method, rt_list *args) {
    for (int i = 0; i < a->inputs.n; i++) {
        const char *path = a->inputs.at[i];
        if (cli_has_suffix(path, ".npy")) {
            rt_tensor *t = ir_npy_open(r->c, path);
            if (!t || !rt_list_push(args, rt_tensor_value(t))) return false;
            continue;
        }
        ir_safetensors *s = ir_safetensors_open(r->c, path);
        bool ok = s && named_arguments(r, method, s, args);
        ir_safetensors_close(s);
        if (!ok) return false;
    }
    return true;
}

/* The call that the options describe, also as a case: it gives the types where nothing else does. */
static bool one_call(cli_runner *r, const cli_args *a, calls *out) {
    const char *method = method_of(r->c, a, r->model, r->module);
    rt_value args = rt_list_new(V_LIST, 0);
    ir_own(r->c, args);
    if (!method || !file_arguments(r, a, method, args.list)) return false;
    ir_cases *cases = RT_NEW(&r->c->arena, ir_cases);
    ir_case *one = RT_NEW(&r->c->arena, ir_case);
    *one = (ir_case){.method = method, .args = args};
    *cases = (ir_cases){.file = "the arguments", .n = 1, .at = one};
    RT_PUSH(&r->c->arena, &out->list, ((call){method, (int)args.list->n, args.list->at}));
    out->cases = cases;
    return true;
}

/* The one file of cases that --inputs names, if it is one: read before anything is compiled, since it gives the types. */
static bool read_cases(ir_context *c, const cli_args *a, calls *out) {
    if (a->inputs.n != 1 || cli_has_suffix(a->inputs.at[0], ".npy")) return true;
    ir_safetensors *s = ir_safetensors_open(c, a->inputs.at[0]);
    bool cases = s && is_case_file(s);
    ir_safetensors_close(s);
    if (!s || !cases) return s != NULL;
    out->cases = ir_cases_open(c, a->inputs.at[0]);
    for (int i = 0; out->cases && i < out->cases->n; i++) {
        const ir_case *k = &out->cases->at[i];
        bool wanted = !a->method.n;
        for (int j = 0; j < a->method.n; j++) wanted |= !strcmp(a->method.at[j], k->method);
        if (wanted) RT_PUSH(&c->arena, &out->list, ((call){k->method, (int)k->args.list->n, k->args.list->at}));
    }
    if (out->cases && !out->list.n) ir_error(c, 0, "%s has no case of the method '%s'", a->inputs.at[0], a->method.at[0]);
    return out->cases && out->list.n;
}

/* ======================================================= results */

typedef struct results {
    ir_context *c;
    RT_VEC(ir_named_tensor) tensors;
    json_t *cases;
} results;

static json_t *tagged(const char *key, json_t *value) {
    json_t *o = json_object();
    json_object_set_new(o, key, value);
    return o;
}

static json_t *to_json(results *s, int call, int *count, rt_value v);

static json_t *items_to_json(results *s, int call, int *count, int64_t n, const rt_value *at) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) json_array_append_new(list, to_json(s, call, count, at[i]));
    return list;
}

static json_t *dict_to_json(results *s, int call, int *count, const rt_dict *d) {
    json_t *list = json_array();
    for (int64_t i = 0; i < d->n; i++) {
        json_t *pair = json_array();
        json_array_append_new(pair, to_json(s, call, count, d->keys[i]));
        json_array_append_new(pair, to_json(s, call, count, d->values[i]));
        json_array_append_new(list, pair);
    }
    return tagged("dict", list);
}

static json_t *to_json(results *s, int call, int *count, rt_value v) {
    char text[32];
    switch (v.tag) {
    case V_BOOL: return json_boolean(v.i);
    case V_INT: return json_integer(v.i);
    case V_FLOAT: return isfinite(v.f) ? json_real(v.f) : tagged("f", json_string(rt_print_double(text, v.f)));
    case V_STR: return tagged("s", json_stringn(v.str->s, v.str->n));
    case V_LIST: return items_to_json(s, call, count, v.list->n, v.list->at);
    case V_TUPLE: return tagged("tuple", items_to_json(s, call, count, v.list->n, v.list->at));
    case V_DICT: return dict_to_json(s, call, count, v.dict);
    case V_TENSOR: {
        const char *name = call ? ir_fmt(s->c, "%d.out.%d", call, (*count)++) : ir_fmt(s->c, "out.%d", (*count)++);
        rt_tensor *copy = rt_tensor_copy_to(v.tensor, v.tensor->dtype); /* the next call may reuse the memory */
        if (!copy) ir_error(s->c, 0, "out of memory");
        else ir_own(s->c, rt_tensor_value(copy)), RT_PUSH(&s->c->arena, &s->tensors, ((ir_named_tensor){name, copy}));
        return tagged("t", json_string(name));
    }
    default: return json_null();
    }
}

static void keep(results *s, int i, const call *k, rt_value v) {
    int count = 0;
    json_t *row = tagged("method", json_string(k->method));
    json_object_set_new(row, "args", json_array());
    json_object_set_new(row, "out", to_json(s, i, &count, v));
    json_array_append_new(s->cases, row);
}

static int64_t elements(rt_value v) {
    int64_t n = v.tag == V_TENSOR ? rt_tensor_numel(v.tensor) : 1;
    for (int64_t i = 0; (v.tag == V_LIST || v.tag == V_TUPLE) && i < v.list->n; i++) n += elements(v.list->at[i]);
    for (int64_t i = 0; v.tag == V_DICT && i < v.dict->n; i++) n += elements(v.dict->values[i]);
    return n;
}

static void print_result(rt_value v) {
    enum { SHOWN = 4096 };
    rt_text t = {0};
    cli_progress(NULL, 0, 0);
    if (elements(v) <= SHOWN) rt_value_print(&t, v, true);
    else rt_text_fmt(&t, "%lld elements: --outputs Y.safetensors writes them", (long long)elements(v));
    puts(t.s ? t.s : "");
    rt_text_free(&t);
}

static bool write_results(const cli_args *a, results *s) {
    char *text = json_dumps(s->cases, JSON_COMPACT);
    ir_metadata meta = {"cases", text ? text : "[]"};
    bool ok = !s->c->nerrors && ir_safetensors_write(s->c, a->outputs, s->tensors.n, s->tensors.at, 1, &meta);
    free(text);
    return ok;
}

/* ======================================================= the command */

static bool run_calls(cli_runner *r, const cli_args *a, const calls *k, results *s, cli_trace *trace) {
    for (int i = 0; i < k->list.n; i++) {
        const call *one = &k->list.at[i];
        rt_value out;
        const char *cls, *message;
        double begin = cli_now();
        cli_outcome how = cli_runner_call(r, one->method, one->nargs, one->args, &out, &cls, &message);
        if (a->profile && r->session) cli_trace_add(trace, one->method, begin, cli_now(), r->session);
        if (how != CLI_RAN && r->c->nerrors) return false;
        if (how != CLI_RAN) {
            bool named = *cls && strncmp(message, cls, strlen(cls));
            ir_error(r->c, 0, "%s()%s: %s%s%s", one->method, k->list.n > 1 ? ir_fmt(r->c, " of case %d", i) : "", named ? cls : "",
                     named ? ": " : "", message);
            return false;
        }
        if (a->outputs) keep(s, i, one, out);
        else print_result(out);
    }
    return true;
}

/* Where there is a choice, people are told. */
static bool say_level(const cli_runner *r) {
    bool several = r->module && r->module->a->nlevels > 1;
    if (several) fprintf(stderr, "jitc: running the code for %s\n", jitc_module_level(r->module));
    return true;
}

static int run(ir_context *c, const cli_args *a) {
    calls k = {0};
    cli_runner r;
    if (a->outputs && !cli_has_suffix(a->outputs, ".safetensors")) return cli_fail(CLI_USAGE, "--outputs wants a name that ends in .safetensors");
    if (a->profile && a->interpret) return cli_fail(CLI_USAGE, "--profile times compiled code: leave --interpret out");
    if (!read_cases(c, a, &k)) return CLI_WRONG;
    results s = {.c = c, .cases = json_array()};
    cli_trace trace = {.c = c};
    bool typed = a->example.n || a->input.n;
    bool ok = cli_runner_open(&r, c, a) && (k.cases || one_call(&r, a, &k));
    if (ok) {
        bool *on = RT_ARRAY(&c->arena, bool, k.cases->n + 1);
        for (int i = 0; i < k.cases->n; i++) on[i] = true;
        ok = cli_runner_start(&r, a, a->threads ? a->threads : -1, typed ? NULL : k.cases, on) && say_level(&r) &&
             run_calls(&r, a, &k, &s, &trace);
    }
    if (ok && a->outputs) ok = write_results(a, &s);
    if (ok && a->profile) ok = cli_trace_write(&trace, a->profile);
    cli_runner_close(&r);
    json_decref(s.cases);
    return ok ? CLI_FINE : CLI_WRONG;
}

int cli_run(const cli_args *a) { return cli_in_context(a, run); }
