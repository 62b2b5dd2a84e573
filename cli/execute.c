/* execute.c: runs methods in the reference interpreter or in a loaded module, one way for `check`, `run` and
 * `bench`. */
#include "cli/work.h"

#include "runtime/module.h"

bool cli_runner_open(cli_runner *r, ir_context *c, const cli_args *a) {
    const char *path = a->files.at[0];
    jitc_load_opts load = {.size = sizeof load, .level = a->level};
    memset(r, 0, sizeof *r);
    r->c = c;
    if (!cli_is_module(path)) {
        r->model = jitc_read_model(c, path);
        return r->model != NULL;
    }
    if (a->interpret) ir_error(c, 0, "--interpret wants a model, and %s is a compiled module", path);
    else if ((r->custom = cli_custom(c, &load)) && jitc_load(path, &load, &r->module) != JITC_OK) ir_error(c, 0, "%s", jitc_error());
    return r->module != NULL;
}

static bool compile(cli_runner *r, const cli_args *a, const ir_cases *cases) {
    jitc_compile_opts o = cli_compile_opts(a);
    jitc_load_opts load = {.size = sizeof load, .level = a->level};
    lower_entries entries = {0};
    rt_text log = {0};
    cli_progress("compiling", 0, 0);
    if ((r->custom = cli_custom(r->c, &load)) && jitc_model_entries(r->model, &o, cases, &entries))
        r->module = jitc_compile_and_load(r->model, &o, &entries, &load, &log);
    cli_progress(NULL, 0, 0);
    if (log.s) fputs(log.s, stderr);
    rt_text_free(&log);
    return r->module != NULL;
}

static bool start_interpreter(cli_runner *r, const ir_cases *cases, const bool *on) {
    lower_method f;
    for (int i = 0; cases && i < cases->n; i++)
        if (on[i]) jitc_model_method(r->model, cases->at[i].method, &f);
    if (r->c->nerrors) return false; /* all that is not supported is listed by now */
    r->in = lower_interp_new(r->model->module);
    return true;
}

bool cli_runner_start(cli_runner *r, const cli_args *a, int threads, const ir_cases *cases, const bool *on) {
    jitc_session_opts o = {.size = sizeof o, .threads = threads, .profile = a->profile != NULL};
    if (a->interpret) return start_interpreter(r, cases, on);
    if (!r->module && !compile(r, a, cases)) return false;
    if (jitc_session_new(r->module, &o, &r->session) == JITC_OK) return true;
    ir_error(r->c, 0, "%s", jitc_error());
    return false;
}

void cli_runner_close(cli_runner *r) {
    rt_release(r->held);
    rt_env_clear(&r->env);
    if (r->in) lower_interp_free(r->in);
    jitc_session_free(r->session);
    jitc_module_release(r->module);
    jitc_ffi_free(r->custom);
}

/* Completes *args by the defaults of those that are not given; returns their number. */
static int with_defaults(cli_runner *r, const lower_method *f, int nargs, const rt_value **args) {
    int n = f->func->body->params.n - f->skip;
    if (nargs >= n) return nargs;
    rt_value *all = RT_ARRAY(&r->c->arena, rt_value, n);
    for (int i = 0; i < nargs; i++) all[i] = (*args)[i];
    for (; nargs < n && f->defaults[nargs]; nargs++) all[nargs] = *f->defaults[nargs];
    *args = all;
    return nargs;
}

static const char *with_place(ir_context *c, const char *message, ir_span at) {
    const ir_place *p = &c->spans.at[at];
    return at && p->file ? ir_fmt(c, "%s (%s:%d:%d)", message, p->file, p->line, p->col) : message;
}

static cli_outcome interpret(cli_runner *r, const char *method, int nargs, const rt_value *args, rt_value *out, const char **cls,
                             const char **message) {
    lower_method f;
    if (!jitc_model_method(r->model, method, &f)) return CLI_UNSUPPORTED;
    rt_release(r->held);
    rt_env_clear(&r->env);
    r->held = V_NULL;
    nargs = with_defaults(r, &f, nargs, &args);
    if (lower_interp_call(r->in, f.func, nargs, args, &r->held, &r->env)) {
        *out = r->held;
        return CLI_RAN;
    }
    *cls = r->env.cls ? r->env.cls : "";
    *message = with_place(r->c, r->env.message ? r->env.message : "", lower_interp_failed(r->in));
    return strcmp(*cls, "NotImplementedError") ? CLI_RAISED : CLI_UNSUPPORTED;
}

static cli_outcome execute(cli_runner *r, const char *method, int nargs, const rt_value *args, rt_value *out, const char **cls,
                           const char **message) {
    jitc_value *given = RT_ARRAY(&r->c->arena, jitc_value, nargs + 1), result;
    for (int i = 0; i < nargs; i++) given[i] = rt_to_public(args[i]);
    jitc_status status = jitc_run(r->session, method, nargs, given, &result);
    if (status == JITC_OK) {
        *out = rt_of_public(result);
        return CLI_RAN;
    }
    *cls = jitc_session_error_class(r->session);
    *message = jitc_session_error(r->session);
    if (status == JITC_E_UNSUPPORTED) return CLI_UNSUPPORTED;
    return status == JITC_E_RAISED || status == JITC_E_GUARD ? CLI_RAISED : CLI_REFUSED;
}

cli_outcome cli_runner_call(cli_runner *r, const char *method, int nargs, const rt_value *args, rt_value *out, const char **cls,
                            const char **message) {
    *out = V_NULL;
    *cls = *message = "";
    return (r->in ? interpret : execute)(r, method, nargs, args, out, cls, message);
}
