/* cli_execute.c: runs methods in the reference interpreter or in a loaded module, one way for `check`, `run` and
 * `bench`.  There is no fallback from one to the other. */
#include "cli_work.h"

#include "runtime/module.h"

static bool open_session(cli_runner *r, int threads) {
    jitc_session_opts o = {.size = sizeof o, .threads = threads};
    if (jitc_session_new(r->module, &o, &r->session) == JITC_OK) return true;
    ir_error(r->c, 0, "%s", jitc_error());
    return false;
}

bool cli_runner_open(cli_runner *r, ir_context *c, const cli_args *a, int threads, const ir_cases *cases, const bool *selected) {
    memset(r, 0, sizeof *r);
    r->c = c;
    if (!a->interpret) {
        r->module = cli_load(c, a, cases, selected);
        return r->module && open_session(r, threads);
    }
    if (!cli_model_open(c, a->files.at[0], &r->model)) return false;
    for (int i = 0; cases && i < cases->n; i++)
        if (selected[i]) cli_model_method(c, &r->model, cases->at[i].method);
    if (c->nerrors) return false; /* all that is not supported is listed by now */
    r->in = lower_interp_new(r->model.module);
    return true;
}

void cli_runner_close(cli_runner *r) {
    rt_release(r->held);
    rt_env_clear(&r->env);
    if (r->in) lower_interp_free(r->in);
    jitc_session_free(r->session);
    jitc_module_release(r->module);
}

static cli_outcome interpret(cli_runner *r, const char *method, int nargs, const rt_value *args, rt_value *out, const char **cls,
                             const char **message) {
    ir_func *f = cli_model_method(r->c, &r->model, method);
    if (!f) return CLI_UNSUPPORTED;
    rt_release(r->held);
    rt_env_clear(&r->env);
    r->held = V_NULL;
    if (lower_interp_call(r->in, f, nargs, args, &r->held, &r->env)) {
        *out = r->held;
        return CLI_RAN;
    }
    *cls = r->env.cls ? r->env.cls : "";
    *message = r->env.message ? r->env.message : "";
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
