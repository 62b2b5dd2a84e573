/* kernel_verify.c: checks a kernel against the rules of kernel.h: types of operands, scopes of values, what
 * may stand inside vector loops, where the grid loop is, sizes of scratch, tiles. */
#include "lower/kernel.h"

typedef struct verifier {
    const k_kernel *k;
    bool ok;
    bool *visible;          /* by value id */
    bool vector;            /* inside a vector or lane loop */
    int width;              /* of that loop, 0: the target's */
    const k_block *combine; /* inside a combine block */
    bool grid;              /* the kernel has a grid loop at top level */
} verifier;

static bool bad(verifier *v, const char *fmt, ...) RT_PRINTF(2, 3);
static bool bad(verifier *v, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *text = rt_arena_vfmt(&v->k->c->arena, fmt, ap);
    va_end(ap);
    ir_error(v->k->c, v->k->span, "verify: kernel @%s: %s", v->k->name, text);
    return v->ok = false;
}

static const char *shown(const verifier *v, const k_value *x) {
    if (!x) return "<missing>";
    if (x->constant) return "a constant";
    return x->name ? ir_fmt(v->k->c, "%%%s", x->name) : ir_fmt(v->k->c, "value %d", x->id);
}

static bool want(verifier *v, const char *where, const k_value *x, rt_dtype d) {
    if (x->dtype == d) return true;
    return bad(v, "%s: %s is %s, expected %s", where, shown(v, x), rt_dtypes[x->dtype].name,
               rt_dtypes[d].name);
}

static bool stored_only(rt_dtype d) { return d == DT_F16 || d == DT_BF16; }

/* ---- primitives */

static bool kind_allowed(const char *kinds, rt_dtype d) {
    char kind = rt_dtypes[d].kind == 'U' ? 'I' : rt_dtypes[d].kind;
    return strchr(kinds, kind) != NULL;
}

static bool bitcast_allowed(rt_dtype a, rt_dtype b) {
    return (a == DT_F32 && b == DT_I32) || (a == DT_I32 && b == DT_F32) || (a == DT_F64 && b == DT_I64) ||
           (a == DT_I64 && b == DT_F64);
}

static void check_prim(verifier *v, const k_inst *n) {
    if (n->prim >= K_COUNT || n->nin != ir_prims[n->prim].arity || n->nout != 1) {
        bad(v, "malformed primitive");
        return;
    }
    const char *name = ir_prims[n->prim].name;
    rt_dtype d = n->in[n->prim == K_SELECT ? 1 : 0]->dtype, result = n->out[0]->dtype;
    if (n->prim == K_SELECT) want(v, name, n->in[0], DT_BOOL);
    for (int i = n->prim == K_SELECT; i < n->nin; i++) want(v, name, n->in[i], d);
    if (!kind_allowed(ir_prims[n->prim].kinds, d)) bad(v, "%s of %s", name, rt_dtypes[d].name);
    if (stored_only(d) && n->prim != K_SELECT && n->prim != K_CAST)
        bad(v, "%s of %s", name, rt_dtypes[d].name);
    if (n->prim == K_CAST) return;
    if (n->prim == K_BITCAST) {
        if (!bitcast_allowed(d, result))
            bad(v, "bitcast of %s to %s", rt_dtypes[d].name, rt_dtypes[result].name);
        return;
    }
    want(v, name, n->out[0], ir_prims[n->prim].result == 'B' ? DT_BOOL : d);
}

/* ---- memory */

static void check_access(verifier *v, const k_inst *n) {
    const k_buffer *buf = n->buffers[0];
    bool store = n->op == KO_STORE;
    want(v, store ? "store" : "load", n->in[0], DT_I64);
    for (int i = 0; i < (store && n->group ? n->group : store); i++) want(v, "store", n->in[1 + i], buf->dtype);
    if (!store) want(v, "load", n->out[0], buf->dtype);
    if (n->nin == 3 && !(store && n->group)) want(v, "mask", n->in[store ? 2 : 1], DT_BOOL);
    if (n->nin == 3 && !store) want(v, "load", n->in[2], buf->dtype);
    if (!store && n->group && (n->nin == 3 || !v->vector || v->width < 1 || v->width % n->group))
        bad(v, "load by groups of %d: not in a vector loop whose width is a multiple", n->group);
    if (n->group && n->place >= n->group) bad(v, "load by groups of %d: no lane %d", n->group, n->place);
    if (store && buf->scope == KS_TABLE) bad(v, "store to the table %%%s", buf->name);
    if (buf->scope == KS_ARG || !n->in[0]->constant) return;
    if (n->in[0]->i < 0 || n->in[0]->i >= buf->size)
        bad(v, "index %lld is outside of %%%s[%lld]", (long long)n->in[0]->i, buf->name,
            (long long)buf->size);
}

static void check_contract(verifier *v, const k_inst *n) {
    const k_contract *t = n->contract;
    const k_buffer *acc = n->buffers[0];
    int nin = 4 + t->rows + (t->rows == 1) + t->cols + (t->fetch > 0);
    if (v->vector) bad(v, "contract inside a vector loop");
    if (t->m < 1 || t->m > K_MAX_TILE || t->n < 1 || (t->rows != 1 && t->rows != t->m) || n->nin != nin) {
        bad(v, "malformed contract");
        return;
    }
    for (int i = 0; i < n->nin; i++) want(v, "contract", n->in[i], DT_I64);
    if (acc->scope != KS_REGISTER && acc->scope != KS_LOCAL)
        bad(v, "contract: %%%s is not a register tile", acc->name);
    if (acc->size < (int64_t)t->m * t->n) bad(v, "contract: %%%s is smaller than the tile", acc->name);
    if (t->split < 1 || (t->split & (t->split - 1))) bad(v, "contract: split is not a power of two");
    if (acc->dtype != DT_F32 && acc->dtype != DT_F64 && acc->dtype != DT_I32 && acc->dtype != DT_I64)
        bad(v, "contract into %s", rt_dtypes[acc->dtype].name);
    for (int i = 1; i < 3; i++) {
        rt_dtype d = n->buffers[i]->dtype;
        if ((rt_dtypes[d].kind == 'F') != (rt_dtypes[acc->dtype].kind == 'F') || d == DT_BOOL ||
            rt_dtypes[d].bytes > rt_dtypes[acc->dtype].bytes)
            bad(v, "contract of %s into %s", rt_dtypes[d].name, rt_dtypes[acc->dtype].name);
    }
}

static void check_call(verifier *v, const k_inst *n) {
    const k_kernel *f = n->callee;
    if (v->vector) bad(v, "call inside a vector loop");
    if (f == v->k) bad(v, "a kernel calls itself");
    if (n->nbuffers != f->nargs || n->nin != f->nargs + f->scalars.n) {
        bad(v, "call of @%s with a wrong number of arguments", f->name);
        return;
    }
    for (int i = 0; i < f->nargs; i++) {
        want(v, "call", n->in[i], DT_I64);
        if (n->buffers[i]->dtype != f->buffers.at[i]->dtype)
            bad(v, "call of @%s: argument %d has another dtype", f->name, i);
    }
    for (int i = 0; i < f->scalars.n; i++) want(v, "call", n->in[f->nargs + i], f->scalars.at[i]->dtype);
}

/* ---- structure */

static void check_block(verifier *v, const k_block *block);
static void hide(verifier *v, const k_block *block);

static void check_yields(verifier *v, const k_inst *n, const k_block *block) {
    if (block->yields.n != n->nout) {
        bad(v, "a block gives %d values, expected %d", block->yields.n, n->nout);
        return;
    }
    for (int i = 0; i < n->nout; i++) {
        const k_value *y = block->yields.at[i];
        want(v, "yield", y, n->out[i]->dtype);
        if (!y->constant && !v->visible[y->id]) bad(v, "yield: %s is not defined here", shown(v, y));
        if (n->op == KO_FOR && n->kind != KL_VECTOR && n->kind != KL_LANE && n->out[i]->lanes != y->lanes)
            bad(v, "yield: %s must %sbe a lane value", shown(v, y), n->out[i]->lanes ? "" : "not ");
    }
}

static void check_for(verifier *v, const k_inst *n) {
    bool vector = n->kind == KL_VECTOR || n->kind == KL_LANE;
    const k_block *body = n->blocks[0];
    want(v, "for", n->in[0], DT_I64);
    want(v, "for", n->in[1], DT_I64);
    if (n->step < 1) bad(v, "the step of a loop must be positive");
    if (vector && v->vector) bad(v, "a vector loop inside a vector loop");
    if (vector && v->combine) bad(v, "a vector loop inside a combine block");
    if (n->width && !vector) bad(v, "only vector and lane loops have a width");
    if (n->width > K_MAX_WIDTH) bad(v, "the width of a loop is larger than %d", K_MAX_WIDTH);
    if (vector && n->nout && (n->width & (n->width - 1)))
        bad(v, "a vector loop with carried values needs a power of two as its width");
    if (n->kind == KL_UNROLL && !(n->in[0]->constant && n->in[1]->constant))
        bad(v, "the bounds of an unrolled loop must be constants");
    if (n->kind == KL_GRID && n->nout) bad(v, "a grid loop carries no values");
    if (body->params.n != n->nin - 1 || n->nout != n->nin - 2) {
        bad(v, "malformed loop");
        return;
    }
    for (int i = 0; i < n->nout; i++) {
        want(v, "carry", n->in[2 + i], n->out[i]->dtype);
        if (n->in[2 + i]->lanes && vector && n->in[2 + i]->width != n->width)
            bad(v, "carry: lane value of another width");
    }
    bool outer = v->vector;
    v->vector |= vector;
    if (vector) v->width = n->width;
    check_block(v, body);
    check_yields(v, n, body);
    hide(v, body);
    v->vector = outer;
}

static void check_reduce(verifier *v, const k_inst *n) {
    bool block = n->prim == K_COUNT;
    if (n->nin != n->nout || n->nin < 1) bad(v, "malformed lane_reduce");
    for (int i = 0; i < n->nin; i++)
        if (!n->in[i]->lanes || n->in[i]->width != n->width)
            bad(v, "lane_reduce: %s is not a lane value of this width", shown(v, n->in[i]));
    if (!block) {
        rt_dtype d = n->in[0]->dtype;
        if (n->prim > K_COUNT || ir_prims[n->prim].arity != 2 || ir_prims[n->prim].result != 'S' ||
            !kind_allowed(ir_prims[n->prim].kinds, d) || stored_only(d))
            bad(v, "lane_reduce: cannot combine %s by this primitive", rt_dtypes[d].name);
        return;
    }
    const k_block *outer = v->combine;
    v->combine = n->blocks[0];
    check_block(v, n->blocks[0]);
    check_yields(v, n, n->blocks[0]);
    hide(v, n->blocks[0]);
    v->combine = outer;
}

static bool takes_lanes(const k_inst *n, int i) { return n->op == KO_REDUCE || (n->op == KO_FOR && i >= 2); }

static void check_inst(verifier *v, const k_inst *n) {
    for (int i = 0; i < n->nin; i++) {
        const k_value *x = n->in[i];
        if (!x || (!x->constant && (x->id >= v->k->nvalues || !v->visible[x->id]))) {
            bad(v, "%s is used where it is not defined", shown(v, x));
            return;
        }
        if (x->lanes && !takes_lanes(n, i)) bad(v, "the lane value %s needs a lane_reduce", shown(v, x));
    }
    if (v->combine && n->op != KO_PRIM && n->op != KO_IF) bad(v, "a combine block holds primitives only");
    bool effect = n->op == KO_STORE || n->op == KO_RAISE || n->op == KO_CALL || n->op == KO_CONTRACT ||
                  n->op == KO_ASYNC_COPY;
    if (v->grid && effect && n->block == v->k->body)
        bad(v, "a statement with an effect beside the grid loop");
    switch (n->op) {
    case KO_PRIM: check_prim(v, n); break;
    case KO_LOAD:
    case KO_STORE: check_access(v, n); break;
    case KO_FOR: check_for(v, n); break;
    case KO_IF:
        want(v, "if", n->in[0], DT_BOOL);
        for (int i = 0; i < 2; i++) {
            check_block(v, n->blocks[i]);
            check_yields(v, n, n->blocks[i]);
            hide(v, n->blocks[i]);
        }
        break;
    case KO_RAISE:
        if (n->nin > K_MAX_RAISE || n->code < 1) bad(v, "malformed raise");
        for (int i = 0; i < n->nin; i++) want(v, "raise", n->in[i], DT_I64);
        break;
    case KO_CALL: check_call(v, n); break;
    case KO_REDUCE: check_reduce(v, n); break;
    case KO_CONTRACT: check_contract(v, n); break;
    case KO_ASYNC_COPY:
        for (int i = 0; i < 3; i++) want(v, "async_copy", n->in[i], DT_I64);
        if (n->buffers[0]->dtype != n->buffers[1]->dtype) bad(v, "async_copy between different dtypes");
        break;
    case KO_TRANSPOSE:
        if (v->vector) bad(v, "transpose inside a vector loop");
        for (int i = 0; i < 6; i++) want(v, "transpose", n->in[i], DT_I64);
        if (n->buffers[0]->dtype != n->buffers[1]->dtype || n->code < 1 || n->code > K_MAX_TILE) bad(v, "malformed transpose");
        break;
    case KO_PREFETCH:
        if (v->vector) bad(v, "prefetch inside a vector loop");
        want(v, "prefetch", n->in[0], DT_I64);
        break;
    case KO_BARRIER:
    case KO_ASYNC_WAIT: break;
    }
}

static void set_visible(verifier *v, int n, k_value *const *x, bool on) {
    for (int i = 0; i < n; i++) v->visible[x[i]->id] = on;
}

static void check_block(verifier *v, const k_block *block) {
    set_visible(v, block->params.n, block->params.at, true);
    for (const k_inst *n = block->first; n; n = n->next) {
        check_inst(v, n);
        set_visible(v, n->nout, n->out, true);
    }
}

/* The values of a block cannot be used behind it. */
static void hide(verifier *v, const k_block *block) {
    set_visible(v, block->params.n, block->params.at, false);
    for (const k_inst *n = block->first; n; n = n->next) set_visible(v, n->nout, n->out, false);
}

static void check_grid(verifier *v) {
    int grids = 0;
    for (const k_inst *n = v->k->body->first; n; n = n->next) grids += n->op == KO_FOR && n->kind == KL_GRID;
    v->grid = grids > 0;
    if (grids > 1) bad(v, "two grid loops: make two kernels");
}

static void check_buffers(verifier *v) {
    for (int i = 0; i < v->k->buffers.n; i++) {
        const k_buffer *buf = v->k->buffers.at[i];
        if ((buf->scope == KS_ARG) != (i < v->k->nargs))
            bad(v, "%%%s: arguments come before scratch", buf->name);
        if (buf->scope != KS_ARG && (buf->size < 0 || buf->size > 1 << 24))
            bad(v, "%%%s: impossible size", buf->name);
        if (buf->scope == KS_TABLE && buf->size && !buf->data) bad(v, "%%%s: table without data", buf->name);
        if (buf->align < 0 || (buf->align & (buf->align - 1)))
            bad(v, "%%%s: alignment is not a power of two", buf->name);
    }
}

bool k_verify(const k_kernel *k) {
    verifier v = {.k = k, .ok = true};
    if (!(v.visible = rt_calloc((size_t)k->nvalues, sizeof(bool)))) return false;
    set_visible(&v, k->scalars.n, k->scalars.at, true);
    check_buffers(&v);
    check_grid(&v);
    check_block(&v, k->body);
    rt_free(v.visible);
    return v.ok;
}
