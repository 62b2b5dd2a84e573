/* run.c: runs text tests.
 *
 *   text_tests FILE|FOLDER...
 *
 * The first line of a file names its kind; the source follows, then sections that begin with `--- `:
 *   test roundtrip     an .ir text is read and printed; that is `--- want` (default: the source), and again the same
 *   test verify        an .ir text with a `# error: part of the message` on each line that is wrong
 *   test errors        a script, with the same marks; with `--- inputs` it is specialised too
 *   test script        a script; `--- want` is its surface graphs
 *   test specialise    a script or .ir text; `--- inputs` (as --input, one a line); `--- want` is the core graph
 *   test PASS          a core .ir text; `--- want` is the graph after that one pass of passes.def
 *   test run           a script or .ir text; each `--- run [METHOD]` holds arguments, one a line:
 *                      `x = f32[2, 3] 1 2 3 4 5 6`, `x = f32[N] random 7` (also iota, zero), else `x = JSON` as in
 *                      files of cases.  `--- want` is the interpreter's result; compiled code at -O0 and -O3 must agree
 * JITC_BLESS=1 rewrites `--- want` sections; JITC_TEST=part of a name picks files.  Kernel texts are run by test_kernel. */
#include "jitc_internal.h"
#include "lower/comp.h"
#include "runtime/module.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct section {
    const char *name; /* "want"; "" for the source */
    const char *text;
} section;

typedef struct test {
    ir_context *c;
    const char *path, *kind;
    const char *source; /* with as many lines before it as in the file */
    RT_VEC(section) sections;
    bool failed;
} test;

static int passed, failures;

static void fail(test *t, const char *fmt, ...) RT_PRINTF(2, 3);
static void fail(test *t, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", t->path);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    t->failed = true;
}

static bool fine(test *t) {
    if (!t->c->nerrors) return true;
    rt_text d = {0};
    ir_diags_print(t->c, &d, false);
    fail(t, "unexpected errors\n%s", d.s ? d.s : "");
    rt_text_free(&d);
    return false;
}

/* ======================================================= files */

static char *read_file(const char *path) {
    rt_text t = {0};
    char block[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    while (f && (n = fread(block, 1, sizeof block, f))) rt_text_add(&t, block, n);
    if (f) fclose(f);
    return t.s;
}

static const char *next_section(const char *s) {
    const char *p = strncmp(s, "--- ", 4) ? strstr(s, "\n--- ") : s - 1;
    return p ? p + 1 : NULL;
}

static void parse(test *t, const char *text) {
    size_t first = strcspn(text, "\n");
    t->kind = ir_internn(t->c, text + 5, first - 5);
    const char *body = text + first, *at = next_section(body);
    t->source = ir_internn(t->c, body, at ? (size_t)(at - body) : strlen(body));
    while (at) {
        size_t n = strcspn(at, "\n");
        const char *start = at + n + (at[n] == '\n'), *end = next_section(start);
        section s = {ir_internn(t->c, at + 4, n - 4), ir_internn(t->c, start, end ? (size_t)(end - start) : strlen(start))};
        RT_PUSH(&t->c->arena, &t->sections, s);
        at = end;
    }
}

static section *find(test *t, const char *name) {
    for (int i = 0; i < t->sections.n; i++)
        if (!strcmp(t->sections.at[i].name, name)) return &t->sections.at[i];
    return NULL;
}

/* The expectation after section `after` (-1: anywhere), made if there is none. */
static section *want(test *t, int after) {
    int at = after + 1;
    while (after < 0 && at < t->sections.n && strcmp(t->sections.at[at].name, "want")) at++;
    if (at < t->sections.n && !strcmp(t->sections.at[at].name, "want")) return &t->sections.at[at];
    RT_PUSH(&t->c->arena, &t->sections, ((section){"want", ""}));
    memmove(&t->sections.at[at + 1], &t->sections.at[at], (size_t)(t->sections.n - 1 - at) * sizeof(section));
    t->sections.at[at] = (section){"want", ""};
    return &t->sections.at[at];
}

static void bless(const test *t, const char *text) {
    FILE *f = fopen(t->path, "wb");
    if (!f) return;
    fprintf(f, "%.*s%s", (int)strcspn(text, "\n"), text, t->source);
    for (int i = 0; i < t->sections.n; i++) fprintf(f, "--- %s\n%s", t->sections.at[i].name, t->sections.at[i].text);
    fclose(f);
}

static void compare(test *t, section *w, const char *got) {
    if (!strcmp(w->text, got)) return;
    if (getenv("JITC_BLESS")) w->text = ir_intern(t->c, got);
    else fail(t, "wanted\n%s--- but got\n%s", w->text, got);
}

/* ======================================================= graphs */

/* Text without the spans of nodes: `  @"net.py":3:4-9 @"net.py":12:8`. */
static const char *without_spans(ir_context *c, const char *s) {
    rt_text t = {0};
    while (*s) {
        const char *span = strstr(s, "  @\"");
        rt_text_add(&t, s, span ? (size_t)(span - s) : strlen(s));
        for (s = span ? span + 1 : ""; !strncmp(s, " @\"", 3);) {
            s = strchr(s + 3, '"') + 1; /* file names with quotes do not occur in tests */
            s += strspn(s, ":0123456789-");
        }
    }
    const char *r = ir_intern(c, t.s ? t.s : "");
    rt_text_free(&t);
    return r;
}

static const char *module_text(ir_module *m, bool spans) {
    rt_text t = {0};
    ir_print_module(&t, m);
    const char *s = spans ? ir_intern(m->c, t.s) : without_spans(m->c, t.s);
    rt_text_free(&t);
    return s;
}

static ir_module *read_ir(test *t) {
    ir_module *m = ir_read_module(t->c, t->path, t->source, strlen(t->source));
    if (m) ir_verify_module(m);
    return m;
}

static void test_roundtrip(test *t) {
    ir_module *m = ir_read_module(t->c, t->path, t->source, strlen(t->source));
    if (!fine(t)) return;
    const char *once = module_text(m, true);
    ir_module *again = ir_read_module(t->c, t->path, once, strlen(once));
    if (!fine(t)) return;
    if (strcmp(once, module_text(again, true))) fail(t, "the second text differs from the first\n%s", module_text(again, true));
    section *w = find(t, "want");
    if (w) compare(t, w, once);
    else if (strcmp(once, t->source + 1)) fail(t, "it prints as\n%s", once);
}

static void test_pass(test *t, const lower_pass *p) {
    ir_module *m = read_ir(t);
    if (!fine(t)) return;
    p->run(m);
    ir_verify_module(m);
    if (fine(t)) compare(t, want(t, -1), module_text(m, true));
}

/* ======================================================= errors */

static int line_of(const test *t, ir_span at) {
    while (at) {
        const ir_place *p = &t->c->spans.at[at];
        if (p->file && !strcmp(p->file, t->path)) return p->line;
        at = p->inlined_at;
    }
    return 0;
}

static bool take_error(test *t, bool *taken, int line, const char *text) {
    for (int i = 0; i < t->c->diags.n; i++) {
        const ir_diag *d = &t->c->diags.at[i];
        if (taken[i] || d->severity != IR_ERROR || !strstr(d->text, text)) continue;
        int where = line_of(t, d->span);
        if (where && where != line) continue;
        taken[i] = true;
        return true;
    }
    return false;
}

/* Each mark has its error on its line, and each error its mark. */
static void check_marks(test *t) {
    bool *taken = RT_ARRAY(&t->c->arena, bool, t->c->diags.n + 1);
    int line = 1;
    for (const char *s = t->source; *s; s += strcspn(s, "\n")) {
        if (*s == '\n') s++, line++;
        size_t n = strcspn(s, "\n");
        const char *mark = memmem(s, n, "# error: ", 9);
        if (!mark) continue;
        const char *text = ir_internn(t->c, mark + 9, (size_t)(s + n - mark - 9));
        if (!take_error(t, taken, line, text)) fail(t, "line %d: no such error: %s", line, text);
    }
    for (int i = 0; i < t->c->diags.n; i++)
        if (!taken[i] && t->c->diags.at[i].severity == IR_ERROR)
            fail(t, "line %d: an error without a mark: %s", line_of(t, t->c->diags.at[i].span), t->c->diags.at[i].text);
}

/* ======================================================= scripts */

static bool is_ir(const test *t) { return strstr(t->source, "\nfunc @") != NULL; }

/* A model of the source, as if it had been read from the test's file. */
static jitc_model *model(test *t) {
    jitc_model *m = RT_NEW(&t->c->arena, jitc_model);
    *m = (jitc_model){.c = t->c, .file = t->path, .stem = "test"};
    if (is_ir(t)) {
        m->module = read_ir(t);
        const char **names = RT_ARRAY(&t->c->arena, const char *, m->module ? m->module->funcs.n + 1 : 1);
        for (int i = 0; m->module && i < m->module->funcs.n; i++) names[m->nmethods++] = m->module->funcs.entries[i].key;
        m->methods = names;
        return m->module ? m : NULL;
    }
    m->module = ir_module_new(t->c, "test");
    m->unit = script_unit_new(m->module);
    bool ok = script_parse(m->unit, t->path, NULL, t->source, strlen(t->source));
    m->nmethods = script_functions(m->unit, &m->methods);
    return ok ? m : NULL;
}

static jitc_model *emitted(test *t) {
    jitc_model *m = model(t);
    lower_method f;
    for (int i = 0; m && i < m->nmethods; i++) jitc_model_method(m, m->methods[i], &f);
    return m;
}

static int lines(ir_context *c, const char *text, const char ***out) {
    const char **at = RT_ARRAY(&c->arena, const char *, strlen(text) + 1);
    int n = 0;
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (strcspn(text, "\n")) at[n++] = ir_internn(c, text, strcspn(text, "\n"));
    *out = at;
    return n;
}

static ir_module *specialised(test *t, jitc_model *m) {
    section *inputs = find(t, "inputs");
    jitc_compile_opts o = {.size = sizeof o};
    const char **words = NULL;
    lower_entries e = {0};
    if (inputs) o.ninputs = lines(t->c, inputs->text, &words);
    o.inputs = words;
    return jitc_model_entries(m, &o, NULL, &e) ? lower_specialise(m->module, e.list.n, e.list.at) : NULL;
}

static void test_script(test *t) {
    jitc_model *m = emitted(t);
    if (!fine(t)) return;
    ir_verify_module(m->module);
    if (fine(t)) compare(t, want(t, -1), module_text(m->module, false));
}

static void test_errors(test *t) {
    jitc_model *m = emitted(t);
    if (m && !t->c->nerrors && find(t, "inputs")) specialised(t, m);
    check_marks(t);
}

static void test_specialise(test *t) {
    jitc_model *m = emitted(t);
    ir_module *core = m && !t->c->nerrors ? specialised(t, m) : NULL;
    if (core) ir_verify_module(core);
    if (fine(t) && core) compare(t, want(t, -1), module_text(core, false));
}

/* ======================================================= running */

static double fill(const char *how, int64_t i, uint64_t *seed) {
    if (!strcmp(how, "iota")) return (double)i;
    if (strcmp(how, "random")) return 0;
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 40) / (1 << 23) - 1;
}

static bool read_tensor(test *t, const char *at, rt_value *out) {
    const char *end = at + strlen(at);
    const ir_type *type = ir_type_parse(t->c, NULL, &at, end);
    int64_t shape[RT_MAX_RANK];
    if (!type || type->kind != T_TENSOR || type->rank < 0) return false;
    for (int i = 0; i < type->rank; i++)
        if (!ir_dim_is_const(type->dims[i], &shape[i])) return false;
    rt_tensor *x = rt_tensor_new(type->dtype, type->rank, shape);
    char how[8] = "";
    unsigned long long given = 1;
    sscanf(at, " %7[a-z] %llu", how, &given);
    uint64_t seed = given;
    char *next = (char *)at;
    for (int64_t i = 0; i < rt_tensor_numel(x); i++) {
        double v = *how ? fill(how, i, &seed) : strtod(next, &next);
        rt_store_f64(rt_tensor_data(x), type->dtype, i, v);
    }
    *out = rt_tensor_value(x);
    return true;
}

static bool read_argument(test *t, const char *line, rt_value *out) {
    const char *eq = strstr(line, "= "), *at = eq ? eq + 2 : line;
    size_t word = strcspn(at, "[ ");
    if (at[word] == '[' && rt_dtype_by_name(at, word) != DT_NONE) return read_tensor(t, at, out);
    if (!ir_value_from_json(t->c, line, at, NULL, out)) return false;
    rt_retain(*out); /* the list that holds it owns it too */
    return true;
}

static bool read_case(test *t, const section *s, const jitc_model *m, ir_case *out) {
    const char **at, *method = s->name[3] ? s->name + 4 : jitc_default_method(m);
    int n = lines(t->c, s->text, &at);
    *out = (ir_case){.method = method, .args = rt_list_new(V_LIST, n), .has_out = true};
    ir_own(t->c, out->args);
    for (int i = 0; i < n; i++)
        if (!read_argument(t, at[i], &out->args.list->at[i])) return fail(t, "not an argument: %s", at[i]), false;
    return true;
}

static rt_value copy_args(rt_value args) {
    rt_value list = rt_list_new(args.tag, args.list->n);
    for (int64_t i = 0; i < args.list->n; i++) {
        rt_value v = args.list->at[i];
        bool nested = v.tag == V_LIST || v.tag == V_TUPLE;
        list.list->at[i] = nested             ? copy_args(v)
                           : v.tag == V_TENSOR ? rt_tensor_value(rt_tensor_copy_to(v.tensor, v.tensor->dtype))
                                               : rt_retain(v);
    }
    return list;
}

static void interpret(test *t, jitc_model *m, lower_interp *in, ir_case *k, rt_text *got) {
    lower_method f;
    rt_env env = {0};
    rt_value args = copy_args(k->args);
    if (jitc_model_method(m, k->method, &f)) {
        if (lower_interp_call(in, f.func, (int)args.list->n, args.list->at, &k->out, &env)) {
            rt_value_print(got, k->out, true);
            ir_own(t->c, k->out);
        } else {
            k->raises = ir_intern(t->c, env.cls ? env.cls : "");
            rt_text_fmt(got, "raises %s: %s", k->raises, env.message ? env.message : "");
        }
        rt_text_str(got, "\n");
    }
    rt_env_clear(&env);
    rt_release(args);
}

static void execute(test *t, jitc_session *s, const ir_case *k, int opt) {
    rt_value args = copy_args(k->args);
    jitc_value given[64], result;
    for (int i = 0; i < args.list->n && i < 64; i++) given[i] = rt_to_public(args.list->at[i]);
    jitc_status status = jitc_run(s, k->method, (int)args.list->n, given, &result);
    ir_comparison cmp = {0};
    if (status == JITC_OK && k->raises) fail(t, "-O%d: %s ran, the interpreter raised %s", opt, k->method, k->raises);
    else if (status == JITC_OK && !ir_case_compare(t->c, k, rt_of_public(result), (ir_tolerance){0}, &cmp))
        fail(t, "-O%d: %s: %s", opt, k->method, cmp.first);
    else if (status != JITC_OK && !k->raises) fail(t, "-O%d: %s failed: %s", opt, k->method, jitc_session_error(s));
    else if (status != JITC_OK && strcmp(jitc_session_error_class(s), k->raises))
        fail(t, "-O%d: %s: %s instead of %s", opt, k->method, jitc_session_error(s), k->raises);
    rt_release(args);
}

/* On a model of its own: passes work in place on a graph that is core already. */
static void execute_all(test *t, const ir_cases *cases, int opt) {
    jitc_model *m = model(t);
    jitc_compile_opts o = {.size = sizeof o, .optimise = opt ? opt : -1, .verify = 1};
    lower_entries e = {0};
    jitc_session *s = NULL;
    jitc_module *code = m && jitc_model_entries(m, &o, cases, &e) ? jitc_compile_and_load(m, &o, &e, NULL, NULL) : NULL;
    if (!fine(t) || !code) return;
    if (jitc_session_new(code, NULL, &s) == JITC_OK)
        for (int i = 0; i < cases->n; i++) execute(t, s, &cases->at[i], opt);
    else fail(t, "no session: %s", jitc_error());
    jitc_session_free(s);
    jitc_module_release(code);
}

static void test_run(test *t) {
    jitc_model *m = model(t);
    if (!fine(t)) return;
    ir_case *list = RT_ARRAY(&t->c->arena, ir_case, t->sections.n + 1);
    ir_cases cases = {.file = t->path, .at = list};
    lower_interp *in = lower_interp_new(m->module);
    for (int i = 0; fine(t) && i < t->sections.n; i++) {
        rt_text got = {0};
        if (strncmp(t->sections.at[i].name, "run", 3)) continue;
        if (!read_case(t, &t->sections.at[i], m, &list[cases.n])) break;
        interpret(t, m, in, &list[cases.n++], &got);
        compare(t, want(t, i), got.s ? got.s : "");
        rt_text_free(&got);
    }
    lower_interp_free(in);
    if (fine(t) && !t->failed) execute_all(t, &cases, 0);
    if (fine(t) && !t->failed) execute_all(t, &cases, 3);
}

/* ======================================================= all */

static void dispatch(test *t) {
    static const struct { const char *kind; void (*run)(test *t); } kinds[] = {
        {"roundtrip", test_roundtrip}, {"script", test_script}, {"errors", test_errors},
        {"specialise", test_specialise}, {"run", test_run}};
    for (size_t i = 0; i < RT_COUNT(kinds); i++)
        if (!strcmp(kinds[i].kind, t->kind)) {
            kinds[i].run(t);
            return;
        }
    if (!strcmp(t->kind, "verify")) {
        read_ir(t);
        check_marks(t);
        return;
    }
    for (int i = 0; i < lower_npasses; i++)
        if (!strcmp(lower_passes[i].name, t->kind)) {
            test_pass(t, &lower_passes[i]);
            return;
        }
    fail(t, "no such kind of test: %s", t->kind);
}

static void run_file(const char *path) {
    char *text = read_file(path);
    const char *slash = strrchr(path, '/');
    test t = {.c = jitc_context_new(), .path = slash ? slash + 1 : path, .kind = ""};
    if (!text || strncmp(text, "test ", 5)) fail(&t, "the first line is not `test KIND`");
    else {
        parse(&t, text);
        dispatch(&t);
        t.path = path;
        if (getenv("JITC_BLESS") && !t.failed) bless(&t, text);
    }
    passed += !t.failed;
    failures += t.failed;
    ir_context_free(t.c);
    rt_free(text);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void visit(const char *path) {
    struct stat st;
    const char *only = getenv("JITC_TEST");
    if (stat(path, &st)) {
        perror(path);
        failures++;
    } else if (!S_ISDIR(st.st_mode)) {
        if (!only || strstr(path, only)) run_file(path);
    } else {
        char *names[4096];
        int n = 0;
        DIR *d = opendir(path);
        for (struct dirent *e; d && n < 4096 && (e = readdir(d));)
            if (e->d_name[0] != '.' && asprintf(&names[n], "%s/%s", path, e->d_name) >= 0) n++;
        if (d) closedir(d);
        qsort(names, (size_t)n, sizeof *names, by_name);
        for (int i = 0; i < n; i++) {
            visit(names[i]);
            free(names[i]);
        }
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) visit(argv[i]);
    printf("%d passed, %d failed\n", passed, failures);
    return failures || !passed;
}
