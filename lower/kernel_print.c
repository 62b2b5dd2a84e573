/* kernel_print.c: the text form of the kernel IR (grammar: kernel_read.c).  Values without a name are
 * numbered in the order in which they appear, so that a text that was read prints as it stood. */
#include "lower/kernel.h"

#include <math.h>
#include <stdlib.h>

typedef struct printer {
    rt_text *out;
    const k_kernel *k;
    int *number; /* by value id; 0: not yet */
    int next, depth;
} printer;

static void put(printer *p, const char *s) { rt_text_str(p->out, s); }

/* Shortest digits that read back as the same float. */
static void put_f32(printer *p, double x) {
    char buf[40];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, x);
        if (strtof(buf, NULL) == (float)x) break;
    }
    put(p, buf);
    if (!strpbrk(buf, ".e")) put(p, ".0");
}

static void put_constant(printer *p, const k_value *v) {
    char buf[32];
    if (v->dtype == DT_BOOL) put(p, v->i ? "true" : "false");
    else if (rt_dtypes[v->dtype].kind != 'F') rt_text_fmt(p->out, "%lld", (long long)v->i);
    else if (isfinite(v->f) && v->dtype != DT_F64) put_f32(p, v->f);
    else put(p, isnan(v->f) ? "nan" : rt_print_double(buf, v->f));
}

static void put_value(printer *p, const k_value *v) {
    if (!v) put(p, "<missing>");
    else if (v->constant) put_constant(p, v);
    else if (v->name) rt_text_fmt(p->out, "%%%s", v->name);
    else {
        if (!p->number[v->id]) p->number[v->id] = ++p->next;
        rt_text_fmt(p->out, "%%%d", p->number[v->id] - 1);
    }
}

static void put_values(printer *p, int n, k_value *const *v) {
    for (int i = 0; i < n; i++) {
        if (i) put(p, ", ");
        put_value(p, v[i]);
    }
}

static void put_line(printer *p) {
    put(p, "\n");
    for (int i = 0; i < p->depth; i++) put(p, "  ");
}

static void put_block(printer *p, const k_block *block, bool yields);

static void put_outs(printer *p, const k_inst *n) {
    if (!n->nout) return;
    put_values(p, n->nout, n->out);
    put(p, " = ");
}

static void put_element(printer *p, const k_buffer *buf, const k_value *index) {
    rt_text_fmt(p->out, "%%%s[", buf->name);
    put_value(p, index);
    put(p, "]");
}

static void put_prim(printer *p, const k_inst *n) {
    rt_dtype in = n->in[0]->dtype, shown = n->prim == K_SELECT ? n->out[0]->dtype : in;
    rt_text_fmt(p->out, "%s%s %s ", n->libm ? "libm." : "", ir_prims[n->prim].name, rt_dtypes[shown].name);
    put_values(p, n->nin, n->in);
    if (n->prim == K_CAST || n->prim == K_BITCAST)
        rt_text_fmt(p->out, " to %s", rt_dtypes[n->out[0]->dtype].name);
}

static void put_access_flags(printer *p, const k_inst *n) {
    if (n->align) rt_text_fmt(p->out, " align %d", n->align);
    if (n->nontemporal) put(p, " nt");
}

static void put_load(printer *p, const k_inst *n) {
    put(p, "load ");
    put_element(p, n->buffers[0], n->in[0]);
    if (n->nin == 3) {
        put(p, " mask ");
        put_value(p, n->in[1]);
        put(p, " else ");
        put_value(p, n->in[2]);
    }
    if (n->group) rt_text_fmt(p->out, " group %d at %d", n->group, n->place);
    put_access_flags(p, n);
    if (n->near) put(p, " near");
}

static void put_store(printer *p, const k_inst *n) {
    put(p, "store ");
    put_element(p, n->buffers[0], n->in[0]);
    put(p, ", ");
    put_value(p, n->in[1]);
    for (int i = 1; i < n->group; i++) {
        put(p, ", ");
        put_value(p, n->in[1 + i]);
    }
    if (n->nin == 3 && !n->group) {
        put(p, " mask ");
        put_value(p, n->in[2]);
    }
    put_access_flags(p, n);
}

static const char *const loop_names[KL_COUNT] = {"grid",   "block",  "warp",  "lane",
                                                 "serial", "unroll", "vector"};

static void put_for(printer *p, const k_inst *n) {
    const k_block *body = n->blocks[0];
    rt_text_fmt(p->out, "for %s", loop_names[n->kind]);
    if (n->width) rt_text_fmt(p->out, "(%d)", n->width);
    put(p, " ");
    put_value(p, body->params.at[0]);
    put(p, " = ");
    put_value(p, n->in[0]);
    put(p, " to ");
    put_value(p, n->in[1]);
    if (n->step != 1) rt_text_fmt(p->out, " step %lld", (long long)n->step);
    for (int i = 2; i < n->nin; i++) {
        put(p, i == 2 ? " carry (" : ", ");
        put_value(p, body->params.at[i - 1]);
        rt_text_fmt(p->out, ": %s = ", rt_dtypes[n->in[i]->dtype].name);
        put_value(p, n->in[i]);
    }
    if (n->nin > 2) put(p, ")");
    put(p, " ");
    put_block(p, body, n->nout > 0);
}

static void put_if(printer *p, const k_inst *n) {
    put(p, "if ");
    for (int i = 0; i < n->nout; i++)
        rt_text_fmt(p->out, "%s%s", i ? ", " : "(", rt_dtypes[n->out[i]->dtype].name);
    if (n->nout) put(p, ") ");
    put_value(p, n->in[0]);
    put(p, " ");
    put_block(p, n->blocks[0], n->nout > 0);
    if (!n->blocks[1]->first && !n->nout) return;
    put(p, " else ");
    put_block(p, n->blocks[1], n->nout > 0);
}

static void put_reduce(printer *p, const k_inst *n) {
    put(p, "lane_reduce ");
    if (n->prim != K_COUNT) rt_text_fmt(p->out, "%s ", ir_prims[n->prim].name);
    put_values(p, n->nin, n->in);
    if (n->prim != K_COUNT) return;
    put(p, " by (");
    put_values(p, n->blocks[0]->params.n, n->blocks[0]->params.at);
    put(p, ") ");
    put_block(p, n->blocks[0], true);
}

static void put_contract(printer *p, const k_inst *n) {
    const k_contract *t = n->contract;
    int at = 4 + t->rows;
    rt_text_fmt(p->out, "contract %%%s %dx%d += %%%s[", n->buffers[0]->name, t->m, t->n, n->buffers[1]->name);
    put_values(p, t->rows, n->in + 4);
    put(p, "]");
    if (t->rows == 1) {
        put(p, " row ");
        put_value(p, n->in[at++]);
    }
    put(p, " k ");
    put_value(p, n->in[3]);
    put(p, ", ");
    put_element(p, n->buffers[2], n->in[1]);
    put(p, " k ");
    put_value(p, n->in[2]);
    put(p, " for ");
    put_value(p, n->in[0]);
    if (t->cols) {
        put(p, " cols ");
        put_value(p, n->in[at]);
    }
    if (t->split > 1) rt_text_fmt(p->out, " split %d", t->split);
    if (t->touch) rt_text_fmt(p->out, " touch %d", t->touch);
    if (!t->fetch) return;
    put(p, " fetch ");
    put_value(p, n->in[n->nin - 1]);
    rt_text_fmt(p->out, " by %d", t->fetch);
}

static void put_call(printer *p, const k_inst *n) {
    rt_text_fmt(p->out, "call @%s(", n->callee->name);
    for (int i = 0; i < n->nbuffers; i++) {
        if (i) put(p, ", ");
        put_element(p, n->buffers[i], n->in[i]);
    }
    if (n->nin > n->nbuffers) put(p, "; ");
    put_values(p, n->nin - n->nbuffers, n->in + n->nbuffers);
    put(p, ")");
}

static void put_copy(printer *p, const k_inst *n) {
    put(p, "async_copy ");
    put_element(p, n->buffers[0], n->in[0]);
    put(p, ", ");
    put_element(p, n->buffers[1], n->in[1]);
    put(p, ", ");
    put_value(p, n->in[2]);
}

static void put_transpose(printer *p, const k_inst *n) {
    put(p, "transpose ");
    put_element(p, n->buffers[0], n->in[0]);
    put(p, " row ");
    put_value(p, n->in[1]);
    put(p, ", ");
    put_element(p, n->buffers[1], n->in[2]);
    put(p, " row ");
    put_value(p, n->in[3]);
    rt_text_fmt(p->out, " for %d of ", n->code);
    put_value(p, n->in[5]);
    put(p, " by ");
    put_value(p, n->in[4]);
}

static void put_inst(printer *p, const k_inst *n) {
    put_outs(p, n);
    switch (n->op) {
    case KO_PRIM: put_prim(p, n); break;
    case KO_LOAD: put_load(p, n); break;
    case KO_STORE: put_store(p, n); break;
    case KO_FOR: put_for(p, n); break;
    case KO_IF: put_if(p, n); break;
    case KO_RAISE:
        rt_text_fmt(p->out, "raise %d", n->code);
        if (n->nin) put(p, " (");
        put_values(p, n->nin, n->in);
        if (n->nin) put(p, ")");
        break;
    case KO_CALL: put_call(p, n); break;
    case KO_REDUCE: put_reduce(p, n); break;
    case KO_CONTRACT: put_contract(p, n); break;
    case KO_BARRIER: put(p, "barrier"); break;
    case KO_ASYNC_COPY: put_copy(p, n); break;
    case KO_TRANSPOSE: put_transpose(p, n); break;
    case KO_PREFETCH:
        put(p, "prefetch ");
        put_element(p, n->buffers[0], n->in[0]);
        break;
    case KO_ASYNC_WAIT: rt_text_fmt(p->out, "async_wait %d", n->code); break;
    }
}

static void put_block(printer *p, const k_block *block, bool yields) {
    put(p, "{");
    p->depth++;
    for (const k_inst *n = block->first; n; n = n->next) {
        put_line(p);
        put_inst(p, n);
    }
    if (yields) {
        put_line(p);
        put(p, "yield ");
        put_values(p, block->yields.n, block->yields.at);
    }
    p->depth--;
    put_line(p);
    put(p, "}");
}

static void put_scratch(printer *p, const k_buffer *buf) {
    static const char *const scopes[] = {"", "local", "shared", "register", "table"};
    rt_text_fmt(p->out, "\n  %s %%%s: %s[%lld]", scopes[buf->scope], buf->name, rt_dtypes[buf->dtype].name,
                (long long)buf->size);
    if (buf->align) rt_text_fmt(p->out, " align %d", buf->align);
    if (buf->scope != KS_TABLE) return;
    bool f = rt_dtypes[buf->dtype].kind == 'F';
    put(p, " = {");
    for (int64_t i = 0; i < buf->size; i++) {
        k_value v = {.dtype = buf->dtype};
        if (f) v.f = rt_load_f64(buf->data, buf->dtype, i);
        else v.i = rt_load_i64(buf->data, buf->dtype, i);
        if (i) put(p, ", ");
        put_constant(p, &v);
    }
    put(p, "}");
}

static void put_params(printer *p) {
    for (int i = 0; i < p->k->nargs; i++) {
        const k_buffer *buf = p->k->buffers.at[i];
        rt_text_fmt(p->out, "%s%%%s: %s[]", i ? ", " : "", buf->name, rt_dtypes[buf->dtype].name);
        if (buf->align) rt_text_fmt(p->out, " align %d", buf->align);
        if (buf->may_alias) put(p, " alias");
    }
    for (int i = 0; i < p->k->scalars.n; i++) {
        const k_value *v = p->k->scalars.at[i];
        rt_text_fmt(p->out, "%s%%%s: %s", i || p->k->nargs ? ", " : "", v->name, rt_dtypes[v->dtype].name);
    }
}

void k_print(rt_text *out, const k_kernel *k) {
    printer p = {out, k, rt_calloc((size_t)k->nvalues, sizeof(int)), 0, 0};
    if (!p.number) {
        out->failed = true;
        return;
    }
    rt_text_fmt(out, "kernel @%s(", k->name);
    put_params(&p);
    put(&p, k->fast ? ") fast {" : ") {");
    for (int i = k->nargs; i < k->buffers.n; i++) put_scratch(&p, k->buffers.at[i]);
    p.depth = 1;
    for (const k_inst *n = k->body->first; n; n = n->next) {
        put_line(&p);
        put_inst(&p, n);
    }
    put(&p, "\n}\n");
    rt_free(p.number);
}
