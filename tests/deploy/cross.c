/* cross.c: modules on machines that this one only emulates: deploy_cross TARGET LEVEL COMMAND MODEL... compiles each model for
 * TARGET, runs its cases there by COMMAND (which ends in the path of cross_run), and compares the results with PyTorch's.
 * LEVEL: the one that must have been chosen there. */
#include "deploy.h"
#include "wire.h"

#include <stdlib.h>

static const char *in_folder(deploy *d, const char *name) { return ir_fmt(d->c, "%s/%s", d->dir, name); }

static void write_cases(deploy *d, const char *path) {
    rt_text t = {0};
    wire_put_int(&t, d->cases->n);
    for (int i = 0; i < d->cases->n; i++) {
        rt_value method = rt_strz(d->cases->at[i].method);
        wire_put(&t, method);
        wire_put(&t, d->cases->at[i].args);
        rt_release(method);
    }
    FILE *f = fopen(path, "wb");
    REQUIRE(f && fwrite(t.s, 1, t.n, f) == t.n && !fclose(f), "cannot write %s", path);
    rt_text_free(&t);
}

static rt_text read_file(const char *path) {
    rt_text t = {0};
    char block[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    REQUIRE(f, "cannot read %s", path);
    while ((n = fread(block, 1, sizeof block, f))) rt_text_add(&t, block, n);
    fclose(f);
    return t;
}

static void check_case(deploy *d, const char *name, int i, wire *in) {
    const ir_case *k = &d->cases->at[i];
    ir_tolerance tolerance = {d->cases->rtol, d->cases->atol, false};
    ir_comparison result = {0};
    jitc_status status = (jitc_status)wire_int(in);
    rt_value first = wire_get(in), message = status == JITC_OK ? V_NULL : wire_get(in);
    if (status != JITC_OK) {
        const char *why = "no exception was expected";
        bool wanted = k->raises && first.tag == V_STR && ir_case_raised(d->c, k, first.str->s, message.str->s, &why);
        REQUIRE(wanted, "%s, case %d: %s: %s", name, i, message.str->s, why);
    } else {
        REQUIRE(!k->raises, "%s, case %d: ran, but should raise %s", name, i, k->raises);
        bool same = !k->has_out || ir_case_compare(d->c, k, first, tolerance, &result);
        REQUIRE(same, "%s, case %d: %s", name, i, result.first ? result.first : "another value");
    }
    rt_release(first);
    rt_release(message);
}

static void check_model(const char *name, const char *target, const char *level, const char *command) {
    deploy d;
    jitc_compile_opts o = {.size = sizeof o, .target = target};
    REQUIRE(deploy_compile(&d, name, NULL, &o), "%s for %s was refused", name, target);
    const char *cases = in_folder(&d, "cases"), *out = in_folder(&d, "out"), *chosen = in_folder(&d, "level");
    write_cases(&d, cases);
    int code = system(ir_fmt(d.c, "%s '%s' '%s' '%s' >'%s'", command, d.path, cases, out, chosen));
    REQUIRE(code == 0, "%s for %s: the other machine's program ended with %d", name, target, code);
    rt_text results = read_file(out), ran = read_file(chosen);
    REQUIRE(!strcmp(ran.s, ir_fmt(d.c, "%s\n", level)), "%s: ran the code for %s, not %s", name, ran.s, level);
    wire in = {results.s, results.s + results.n};
    for (int i = 0; i < d.cases->n; i++) check_case(&d, name, i, &in);
    REQUIRE(in.at == in.end, "%s: more results than cases", name);
    printf("%s: %d cases agree\n", name, d.cases->n);
    rt_text_free(&results);
    rt_text_free(&ran);
    remove(cases), remove(out), remove(chosen);
    deploy_close(&d);
}

int main(int argc, char **argv) {
    REQUIRE(argc > 4, "usage: deploy_cross TARGET LEVEL COMMAND MODEL...");
    for (int i = 4; i < argc; i++) check_model(argv[i], argv[1], argv[2], argv[3]);
    return 0;
}
