/* pass.c: the runner of passes.def: verify, dump, stop, time and count. */
#include "lower/pass.h"

#include <time.h>

const lower_pass lower_passes[] = {
#define PASS(name, run, opt, needs, gives, help) {name, run, opt, needs, gives, help},
#include "lower/passes.def"
#undef PASS
};
const int lower_npasses = RT_COUNT(lower_passes);

bool lower_is_pass(const char *name) {
    for (int i = 0; i < lower_npasses; i++)
        if (!strcmp(lower_passes[i].name, name)) return true;
    return !strcmp(name, "specialise");
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static bool listed(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (!strncmp(p, name, n) && (p[n] == ',' || !p[n])) return true;
    return false;
}

static void dump(const ir_module *m, const char *pass, const lower_options *o) {
    if (!o->log || !o->print_after || (strcmp(o->print_after, pass) && strcmp(o->print_after, "all"))) return;
    rt_text_fmt(o->log, "// after %s\n", pass);
    ir_print_module(o->log, m);
}

static bool verified(ir_module *m, const char *pass, const lower_options *o) {
#ifndef JITC_VERIFY
    if (!o->verify) return true;
#else
    (void)o;
#endif
    if (ir_verify_module(m)) return true;
    ir_note(m->c, 0, "this is a bug of jitc, in the pass %s", pass);
    return false;
}

static bool run_pass(ir_module *m, const lower_pass *p, const lower_options *o) {
    int nerrors = m->c->nerrors;
    double start = now_ms();
    int changes = p->run(m);
    if (o->stats && o->log) rt_text_fmt(o->log, "%-12s %6d changes %9.2f ms\n", p->name, changes, now_ms() - start);
    dump(m, p->name, o);
    return m->c->nerrors == nerrors && verified(m, p->name, o);
}

bool lower_run(ir_module *m, const lower_options *o, bool *stopped) {
    if (o->tile_rows) m->tile_rows = o->tile_rows;
    dump(m, "specialise", o);
    *stopped = o->stop_after && !strcmp(o->stop_after, "specialise");
    if (!verified(m, "specialise", o)) return false;
    for (int i = 0; i < lower_npasses && !*stopped; i++) {
        const lower_pass *p = &lower_passes[i];
        if (o->opt >= p->from_opt && !listed(o->skip, p->name) && !run_pass(m, p, o)) return false;
        *stopped = o->stop_after && !strcmp(o->stop_after, p->name);
    }
    return true;
}
