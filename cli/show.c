/* show.c: `jitc show`: what a compiled module promises, or what a model is made of; and the model's graph as a picture. */
#include "cli/work.h"

#include "runtime/module.h"

#include <ctype.h>

/* ======================================================= compiled modules */

static const char *text_of(const jitc_module *m, rt_text_ref t) { return rt_art_text(m->a, t); }

static void show_type(const jitc_module *m, int32_t desc) {
    rt_text t = {0};
    rt_type_text(&t, m->a, desc);
    fputs(t.s ? t.s : "", stdout);
    rt_text_free(&t);
}

static void show_signature(const jitc_module *m, const rt_art_entry *e) {
    printf("\n%s(", text_of(m, e->method));
    for (int i = 0; i < e->nargs; i++) {
        const rt_desc *d = &m->a->descs[e->args + i];
        printf("%s%s: ", i ? ", " : "", text_of(m, d->name));
        show_type(m, e->args + i);
        if (d->literal >= 0 || d->def >= 0) {
            rt_value v = rt_literal_value(m, d->literal >= 0 ? d->literal : d->def);
            rt_text t = {0};
            rt_value_print(&t, v, true);
            printf(" %s %s", d->literal >= 0 ? "==" : "=", t.s ? t.s : "");
            rt_text_free(&t);
            rt_release(v);
        }
    }
    fputs(") -> ", stdout);
    show_type(m, e->result);
    putchar('\n');
}

static void show_written(const jitc_module *m, const rt_art_entry *e) {
    for (int i = 0; i < e->nargs; i++)
        if (m->a->descs[e->args + i].flags & RT_DESC_WRITTEN) printf("    writes    %s in place\n", text_of(m, m->a->descs[e->args + i].name));
}

static void show_guards(const jitc_module *m, const rt_art_entry *e) {
    for (int i = 0; i < e->nguards; i++) {
        const rt_message *g = &m->a->messages[m->a->guards[e->guards + i].message];
        printf("    guard     %s", text_of(m, g->text));
        if (*text_of(m, g->file)) printf("  (%s:%d)", text_of(m, g->file), g->line);
        putchar('\n');
    }
}

/* Each op with how often it occurs, in the order of the first. */
static void show_ops(const jitc_module *m, const rt_art_entry *e) {
    int rows = 0;
    for (int i = 0; i < e->nops; i++) {
        rt_text_ref name = m->a->ops[e->ops + i].name;
        int count = 0, before = 0;
        for (int j = 0; j < e->nops; j++) {
            bool same = !strcmp(text_of(m, m->a->ops[e->ops + j].name), text_of(m, name));
            count += same;
            before += same && j < i;
        }
        if (before) continue;
        printf("%s%s", rows++ ? ", " : "    kernels   ", text_of(m, name));
        if (count > 1) printf(" x%d", count);
    }
    if (rows) putchar('\n');
}

static void show_entry(const jitc_module *m, int i) {
    const rt_art_entry *e = &m->a->entries[i];
    show_signature(m, e);
    for (int s = 0; s < e->nsymbols; s++) {
        const rt_symbol *x = &m->a->symbols[e->symbols + s];
        printf("    size      %s: %lld..%lld\n", text_of(m, x->name), (long long)x->lo, (long long)x->hi);
    }
    printf("    workspace %s bytes", *text_of(m, e->workspace) ? text_of(m, e->workspace) : "0");
    if (e->alive > 0) printf(", in use at one time %lld", (long long)e->alive);
    putchar('\n');
    if (jitc_entry_code_bytes(m, i)) printf("    code      %zu bytes\n", jitc_entry_code_bytes(m, i));
    show_written(m, e);
    show_guards(m, e);
    show_ops(m, e);
}

/* Of several: which are there, and which one this processor gets. */
static void show_levels(const jitc_module *m) {
    for (int i = 0; i < m->a->nlevels && m->a->nlevels > 1; i++)
        printf("%s%s%s", i ? ", " : "levels ", text_of(m, m->a->levels[i].name), i == m->level ? " (runs here)" : "");
    if (m->a->nlevels > 1) putchar('\n');
}

static void show_module(const jitc_module *m) {
    const char *features = jitc_module_features(m);
    printf("module %s, compiled by %s for %s%s%s\n", jitc_module_name(m), jitc_module_producer(m), text_of(m, m->a->arch),
           *features ? " with " : "", features);
    show_levels(m);
    printf("weights %zu bytes in %d tensors%s%s\n", jitc_module_weights_bytes(m), jitc_module_params(m),
           *text_of(m, m->a->weights_file) ? ", in " : "", text_of(m, m->a->weights_file));
    if (jitc_module_prepared_bytes(m)) printf("made at load %zu bytes\n", jitc_module_prepared_bytes(m));
    for (int i = 0; i < m->a->nstates; i++) {
        printf("state %s: ", text_of(m, m->a->states[i].name));
        show_type(m, m->a->states[i].desc);
        putchar('\n');
    }
    for (int i = 0; i < m->a->nhosts; i++) printf("%s%s", i ? ", " : "needs ", text_of(m, m->a->hosts[i]));
    if (m->a->nhosts) putchar('\n');
    for (int i = 0; i < jitc_module_entries(m); i++) show_entry(m, i);
}

/* ======================================================= models */

typedef struct op_count {
    const ir_op *op;
    int n;
} op_count;
typedef RT_VEC(op_count) op_counts;

static void count_block(ir_context *c, const ir_block *b, op_counts *out) {
    for (const ir_node *n = b->first; n; n = n->next) {
        for (int i = 0; i < n->nblocks; i++) count_block(c, n->blocks[i], out);
        int at = 0;
        while (at < out->n && out->at[at].op != n->op) at++;
        if (at == out->n) RT_PUSH(&c->arena, out, ((op_count){n->op, 0}));
        out->at[at].n++;
    }
}

static void show_function(const lower_method *f) {
    rt_text t = {0};
    const ir_block *b = f->func->body;
    rt_text_fmt(&t, "%s(", f->name);
    for (int i = f->skip; i < b->params.n; i++) {
        rt_text_fmt(&t, "%s%s: ", i > f->skip ? ", " : "", f->func->param_names ? f->func->param_names[i] : ir_value_text(b->params.at[i]));
        ir_type_print(&t, b->params.at[i]->type);
        if (!f->defaults[i - f->skip]) continue;
        rt_text_str(&t, " = ");
        rt_value_print(&t, *f->defaults[i - f->skip], true);
    }
    rt_text_str(&t, ") -> ");
    if (f->func->result) ir_type_print(&t, f->func->result);
    else rt_text_str(&t, "None");
    puts(t.s ? t.s : "");
    rt_text_free(&t);
}

static void show_counts(const op_counts *ops) {
    static const char *const classes[] = {"pointwise", "reduce", "move", "contract", "composite", "opaque", "host", "structure"};
    for (size_t k = 0; k < RT_COUNT(classes); k++) {
        int rows = 0;
        for (int i = 0; i < ops->n; i++) {
            if (ops->at[i].op->cls != (ir_op_class)k) continue;
            printf(rows++ ? ", " : "    %-10s ", classes[k]);
            printf("%s", ops->at[i].op->full);
            if (ops->at[i].n > 1) printf(" x%d", ops->at[i].n);
        }
        if (rows) putchar('\n');
    }
}

static void show_weights(const jitc_model *m) {
    size_t bytes = 0;
    int n = 0;
    for (int i = 0; i < m->module->tensors.n; i++) {
        const ir_tensor_data *d = m->module->tensors.entries[i].value;
        if (!d->tensor) continue;
        bytes += (size_t)rt_tensor_numel(d->tensor) * (size_t)rt_dtypes[d->tensor->dtype].bytes;
        n++;
    }
    printf("weights %zu bytes in %d tensors\n", bytes, n);
}

static int show_model(ir_context *c, const cli_args *a, jitc_model *m, lower_method *methods, int n) {
    op_counts ops = {0};
    printf("model %s\n", a->files.at[0]);
    show_weights(m);
    putchar('\n');
    for (int i = 0; i < n; i++) show_function(&methods[i]);
    for (int i = 0; i < m->module->funcs.n; i++) count_block(c, ((ir_func *)m->module->funcs.entries[i].value)->body, &ops);
    printf("\nops of %d functions\n", m->module->funcs.n);
    show_counts(&ops);
    return CLI_FINE;
}

/* ======================================================= pictures */

static void put_quoted(const char *s) {
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') putchar('\\');
        if (*s != '\n') putchar(*s);
    }
}

static void dot_block(const ir_block *b, const char *prefix) {
    for (int i = 0; i < b->params.n; i++) {
        printf("%*s\"%sv%d\" [shape=ellipse, label=\"", 2, "", prefix, b->params.at[i]->id);
        put_quoted(ir_value_text(b->params.at[i]));
        printf("\"];\n");
    }
    for (const ir_node *n = b->first; n; n = n->next) {
        if (n->op->id == S_CONST) continue;
        printf("  \"%sn%d\" [label=\"", prefix, n->id);
        put_quoted(n->op->full);
        if (n->sym) printf("\\n"), put_quoted(n->sym);
        printf("\"];\n");
        for (int i = 0; i < n->nin; i++) {
            const ir_value *v = n->in[i];
            if (v->def && v->def->op->id == S_CONST) continue;
            printf("  \"%s%c%d\" -> \"%sn%d\";\n", prefix, v->def ? 'n' : 'v', v->def ? v->def->id : v->id, prefix, n->id);
        }
        for (int i = 0; i < n->nblocks; i++) {
            printf("  subgraph \"cluster_%s%d_%d\" {\n  label=\"%s %d\";\n", prefix, n->id, i, n->op->name, i);
            dot_block(n->blocks[i], prefix);
            printf("  }\n");
        }
    }
}

static int show_dot(const lower_method *methods, int n) {
    printf("digraph model {\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (int i = 0; i < n; i++) {
        printf("  subgraph \"cluster_%s\" {\n  label=\"%s\";\n", methods[i].name, methods[i].name);
        dot_block(methods[i].func->body, ir_fmt(methods[i].func->module->c, "%s.", methods[i].name));
        printf("  }\n");
    }
    printf("}\n");
    return CLI_FINE;
}

static void put_escaped(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '<') fputs("&lt;", stdout);
        else if (s[i] == '>') fputs("&gt;", stdout);
        else if (s[i] == '&') fputs("&amp;", stdout);
        else putchar(s[i]);
    }
}

static bool in_name(char x) { return x == '_' || x == '.' || isalnum((unsigned char)x); }

/* A line of the text with its values marked, so that the page can highlight where each is used. */
static void html_line(const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t k = 1;
        if (s[i] == '%')
            while (i + k < n && in_name(s[i + k])) k++;
        if (k > 1) fputs("<a>", stdout);
        put_escaped(s + i, k);
        if (k > 1) fputs("</a>", stdout);
        i += k;
    }
    putchar('\n');
}

static int show_html(const char *title, ir_module *m) {
    printf("<!doctype html><meta charset=utf-8><title>");
    put_escaped(title, strlen(title));
    puts("</title><style>body{font:13px/1.5 ui-monospace,monospace;margin:1rem;background:#fff;color:#222}"
         "summary{cursor:pointer;font-weight:bold;margin-top:.6rem}pre{margin:.2rem 0 0 1rem}a{color:#05a;cursor:pointer}"
         "a.on{background:#fe6}</style>");
    for (int i = 0; i < m->funcs.n; i++) {
        const ir_func *f = m->funcs.entries[i].value;
        rt_text t = {0};
        ir_print_func(&t, f);
        printf("<details%s><summary>", f->exported ? " open" : "");
        put_escaped(f->name, strlen(f->name));
        printf("</summary><pre>");
        for (const char *s = t.s; s && *s; s += strcspn(s, "\n"), s += *s == '\n') html_line(s, strcspn(s, "\n"));
        puts("</pre></details>");
        rt_text_free(&t);
    }
    puts("<script>onclick=e=>{if(e.target.tagName!='A')return;let d=e.target.closest('pre');"
         "for(let a of d.querySelectorAll('a'))a.classList.toggle('on',a.textContent==e.target.textContent)}</script>");
    return CLI_FINE;
}

/* ======================================================= the command */

static int show(ir_context *c, const cli_args *a) {
    jitc_model *m = jitc_read_model(c, a->files.at[0]);
    if (!m) return CLI_WRONG;
    const char *const *names = a->method.n ? a->method.at : m->methods;
    int n = a->method.n ? a->method.n : m->nmethods;
    lower_method *methods = RT_ARRAY(&c->arena, lower_method, n + 1);
    for (int i = 0; i < n; i++) jitc_model_method(m, names[i], &methods[i]);
    if (c->nerrors) return CLI_WRONG;
    if (a->dot) return show_dot(methods, n);
    return a->html ? show_html(a->files.at[0], m->module) : show_model(c, a, m, methods, n);
}

/* Custom operators are not called: what they are is no matter. */
static int never_called(void *data, jitc_op_env *env, int nargs, const jitc_value *args, int nresults, jitc_value *results) {
    (void)data, (void)nargs, (void)args, (void)nresults, (void)results;
    return jitc_raise(env, "RuntimeError", "there is no function");
}

static int any_op(void *user, const char *name, const char *signature, jitc_op *op) {
    (void)user, (void)signature;
    *op = (jitc_op){name, never_called, NULL};
    return 1;
}

int cli_show(const cli_args *a) {
    jitc_load_opts load = {.size = sizeof load, .find_op = any_op, .level = a->level};
    jitc_module *m;
    if (!cli_is_module(a->files.at[0])) return cli_in_context(a, show);
    if (a->dot || a->html) return cli_fail(CLI_USAGE, "--dot and --html want a model: a compiled module has no graph");
    if (jitc_load(a->files.at[0], &load, &m) != JITC_OK) return cli_fail(CLI_WRONG, "%s", jitc_error());
    show_module(m);
    jitc_module_release(m);
    return CLI_FINE;
}
