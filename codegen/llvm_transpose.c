/* llvm_transpose.c: `transpose`: rows become columns.  As many rows as the target has lanes go together: a vector of
 * each is loaded, and log2 of that many steps of shuffles, which exchange blocks of 1, 2, 4 ... elements between pairs of
 * vectors, leave in each vector one column. */
#include "codegen/llvm_gen.h"

enum { MAX_LANES = 16 };

typedef struct transposition {
    gen *g;
    T element;
    int align, m, w; /* w: rows that go together, 1 where the lanes do not divide them */
    V to, step;      /* address of row 0 of the result, elements between its rows */
    V from[K_MAX_TILE];
} transposition;

static V element_at(transposition *t, V p, V index) { return LLVMBuildGEP2(t->g->m->b, t->element, p, &index, 1, ""); }

static V place_of(transposition *t, V c, int column, int first) {
    LLVMBuilderRef b = t->g->m->b;
    V row = LLVMBuildMul(b, LLVMBuildAdd(b, c, cg_i64(t->g->m, column), ""), t->step, "");
    return element_at(t, t->to, LLVMBuildAdd(b, row, cg_i64(t->g->m, first), ""));
}

static void make_rows(transposition *t, const k_inst *n) {
    gen *g = t->g;
    LLVMBuilderRef b = g->m->b;
    V from = gen_uniform(g, n->in[2]), step = gen_uniform(g, n->in[3]);
    V last = LLVMBuildSub(b, gen_uniform(g, n->in[5]), cg_i64(g->m, 1), "");
    for (int r = 0; r < t->m; r++) {
        V row = cg_i64(g->m, r), less = LLVMBuildICmp(b, LLVMIntSLT, row, last, "");
        row = LLVMBuildSelect(b, less, row, last, "");
        t->from[r] = gen_address(g, n->buffers[1], LLVMBuildAdd(b, from, LLVMBuildMul(b, row, step, ""), ""));
    }
}

/* Exchanges blocks of h elements between x[i] and x[i + h]. */
static void exchange(transposition *t, V *x, int h) {
    gen *g = t->g;
    for (int i = 0; i < t->w; i++) {
        V upper[MAX_LANES], lower[MAX_LANES], a = x[i], b = x[i + h < t->w ? i + h : i];
        if (i & h) continue;
        for (int j = 0; j < t->w; j++) {
            upper[j] = LLVMConstInt(g->m->i32, (unsigned)(j & h ? t->w + j - h : j), false);
            lower[j] = LLVMConstInt(g->m->i32, (unsigned)(j & h ? t->w + j : j + h), false);
        }
        x[i] = LLVMBuildShuffleVector(g->m->b, a, b, LLVMConstVector(upper, (unsigned)t->w), "");
        x[i + h] = LLVMBuildShuffleVector(g->m->b, a, b, LLVMConstVector(lower, (unsigned)t->w), "");
    }
}

/* Columns c .. c + w - 1 of rows first .. first + w - 1. */
static void block(transposition *t, V c, int first) {
    LLVMBuilderRef b = t->g->m->b;
    T vector = t->w > 1 ? LLVMVectorType(t->element, (unsigned)t->w) : t->element;
    V x[MAX_LANES];
    for (int r = 0; r < t->w; r++) {
        x[r] = LLVMBuildLoad2(b, vector, element_at(t, t->from[first + r], c), "");
        LLVMSetAlignment(x[r], (unsigned)t->align);
    }
    for (int h = 1; h < t->w; h *= 2) exchange(t, x, h);
    for (int i = 0; i < t->w; i++) LLVMSetAlignment(LLVMBuildStore(b, x[i], place_of(t, c, i, first)), (unsigned)t->align);
}

static void columns(transposition *t, V from, V to, int first) {
    gen_loop l;
    gen_loop_begin(t->g, &l, from, to, cg_i64(t->g->m, t->w), 0, NULL);
    block(t, l.i, first);
    gen_loop_end(t->g, &l, NULL);
}

void gen_transpose(gen *g, const k_inst *n) {
    const k_buffer *to = n->buffers[0];
    int lanes = g->m->target->width < MAX_LANES ? g->m->target->width : MAX_LANES;
    transposition t = {g, cg_memory_type(g->m, to->dtype), rt_dtypes[to->dtype].bytes, n->code, n->code % lanes ? 1 : lanes, NULL, NULL, {NULL}};
    t.to = gen_address(g, to, gen_uniform(g, n->in[0]));
    t.step = gen_uniform(g, n->in[1]);
    make_rows(&t, n);
    V K = gen_uniform(g, n->in[4]), zero = cg_i64(g->m, 0), whole = LLVMBuildAnd(g->m->b, K, cg_i64(g->m, -(int64_t)t.w), "");
    for (int first = 0; first < t.m; first += t.w) columns(&t, zero, whole, first);
    t.w = 1;
    for (int first = 0; first < t.m; first++) columns(&t, whole, K, first);
}
