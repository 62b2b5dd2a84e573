/* llvm_gather.c: loads whose places come from a table: the index is a scalar plus what one load of adjacent i32 or i64 elements gives.
 *
 * Places are read from the table one by one, as scalars: taken out of a vector they would cost twice as much.  Where the load is
 * marked `near`, code asks whether all places of the vector lie in a window of one vector, from the first lane's to the last
 * one's, loads that and moves its elements to their lanes: a vector of an enlarged row of an image is two instructions then.
 * In the rest of a loop the lanes that do nothing read the first lane's element. */
#include "codegen/llvm_gen.h"

typedef struct place { const k_inst *table; V rest; } place;

static V i32_const(gen *g, int64_t x) { return LLVMConstInt(g->m->i32, (unsigned long long)x, true); }

/* Adjacent elements of memory that the kernel does not change. */
static bool is_table(gen *g, const k_inst *n) {
    rt_dtype d = n->op == KO_LOAD ? n->buffers[0]->dtype : DT_NONE;
    if ((d != DT_I32 && d != DT_I64) || n->nin != 1 || n->group) return false;
    val at = gen_val(g, n->in[0]);
    bool adjacent = at.form == FORM_AFFINE && LLVMIsAConstantInt(at.stride) && LLVMConstIntGetSExtValue(at.stride) == 1;
    return adjacent && n->buffers[0]->scope == KS_ARG && !n->buffers[0]->writes && !n->buffers[0]->may_alias;
}

/* The index as a scalar and a table. */
static bool place_of(gen *g, const k_value *index, place *p) {
    val x = gen_val(g, index);
    const k_inst *n = index->def;
    if (x.form == FORM_UNIFORM) p->rest = p->rest ? LLVMBuildAdd(g->m->b, p->rest, x.v, "") : x.v;
    else if (n && n->op == KO_PRIM && n->prim == K_ADD) return place_of(g, n->in[0], p) && place_of(g, n->in[1], p);
    else if (n && n->op == KO_PRIM && n->prim == K_CAST && n->in[0]->def && n->in[0]->dtype == DT_I32) return place_of(g, n->in[0], p);
    else if (n && !p->table && is_table(g, n)) p->table = n;
    else return false;
    return true;
}

/* ---- windows */

static V splat_lane(gen *g, V x, int lane) { return gen_splat(g, LLVMBuildExtractElement(g->m->b, x, i32_const(g, lane), ""), g->w); }

/* i32: have 8 lanes no bit of the mask? */
static V is_none(gen *g, V x, V mask) {
    LLVMBuilderRef b = g->m->b;
    T four = LLVMVectorType(g->m->i64, 4);
    V at[2][4], half[2];
    for (int i = 0; i < 8; i++) at[i / 4][i % 4] = i32_const(g, i);
    if (LLVMGetElementType(LLVMTypeOf(x)) == g->m->i64) {
        for (int i = 0; i < 2; i++) half[i] = LLVMBuildShuffleVector(b, x, x, LLVMConstVector(at[i], 4), "");
        x = LLVMBuildOr(b, half[0], half[1], "");
        mask = LLVMBuildShuffleVector(b, mask, mask, LLVMConstVector(at[0], 4), "");
    }
    V args[2] = {LLVMBuildBitCast(b, x, four, ""), LLVMBuildBitCast(b, mask, four, "")};
    return cg_intrinsic(g->m, "llvm.x86.avx.ptestz.256", 0, NULL, 2, args);
}

static V narrow(gen *g, V x) {
    T lanes = LLVMVectorType(g->m->i32, (unsigned)g->w);
    return LLVMTypeOf(x) == lanes ? x : LLVMBuildTrunc(g->m->b, x, lanes, "");
}

/* What all loads by one vector of the table need, behind the table's load. */
static const gen_window *window_of(gen *g, const k_inst *table) {
    LLVMBuilderRef b = g->m->b;
    gen_window *w = &g->windows[table->out[0]->id];
    V t = gen_val(g, table->out[0]).v;
    if (w->of == t) return w;
    BB here = LLVMGetInsertBlock(b);
    V next = LLVMGetNextInstruction(t);
    if (next) LLVMPositionBuilderBefore(b, next);
    w->of = t;
    w->at = g->mask ? LLVMBuildSelect(b, g->mask, t, splat_lane(g, t, 0), "") : t;
    V first = splat_lane(g, w->at, 0), last = splat_lane(g, w->at, g->w - 1);
    V above = LLVMBuildSub(b, w->at, first, ""), below = LLVMBuildSub(b, last, w->at, "");
    V beyond = LLVMConstInt(LLVMGetElementType(LLVMTypeOf(t)), (unsigned long long)-(int64_t)g->w, true);
    V most = narrow(g, LLVMBuildSub(b, last, first, "")), size = LLVMBuildSub(b, most, LLVMConstAllOnes(LLVMTypeOf(most)), "");
    w->near = is_none(g, LLVMBuildOr(b, above, below, ""), gen_splat(g, beyond, g->w));
    w->lanes = narrow(g, above);
    w->behind = LLVMBuildSub(b, gen_iota(g, g->m->i32, g->w), size, "");
    gen_at(g, here);
    return w;
}

static bool has_windows(const gen *g, const k_inst *n) {
    return n->near && g->m->target->moves && g->w == 8 && rt_dtypes[n->buffers[0]->dtype].bytes == 4;
}

static V from_window(gen *g, T type, V row, const gen_window *w) {
    bool real = LLVMGetTypeKind(LLVMGetElementType(type)) == LLVMFloatTypeKind;
    V at = LLVMBuildSExt(g->m->b, LLVMBuildExtractElement(g->m->b, w->at, i32_const(g, 0), ""), g->m->i64, "");
    V inside = LLVMBuildICmp(g->m->b, LLVMIntSLT, w->behind, LLVMConstNull(LLVMTypeOf(w->behind)), "");
    V p = LLVMBuildGEP2(g->m->b, LLVMGetElementType(type), row, &at, 1, "");
    V x = gen_masked_load(g, type, p, 4, inside, LLVMConstNull(type));
    return cg_intrinsic(g->m, real ? "llvm.x86.avx2.permps" : "llvm.x86.avx2.permd", 0, NULL, 2, (V[]){x, w->lanes});
}

/* ---- lanes */

static V from_lanes(gen *g, const k_inst *table, T type, V row, V t, int align) {
    LLVMBuilderRef b = g->m->b;
    T element = LLVMGetElementType(type), whole = LLVMGetElementType(LLVMTypeOf(t));
    V r = LLVMGetPoison(type), start = gen_address(g, table->buffers[0], gen_val(g, table->in[0]).v);
    for (int l = 0; l < g->w; l++) {
        V lane = cg_i64(g->m, l), at;
        if (g->mask) at = LLVMBuildExtractElement(b, t, i32_const(g, l), "");
        else {
            at = LLVMBuildLoad2(b, whole, LLVMBuildGEP2(b, whole, start, &lane, 1, ""), "");
            LLVMSetAlignment(at, whole == g->m->i64 ? 8 : 4);
        }
        at = LLVMBuildSExt(b, at, g->m->i64, "");
        V x = LLVMBuildLoad2(b, element, LLVMBuildGEP2(b, element, row, &at, 1, ""), "");
        LLVMSetAlignment(x, (unsigned)align);
        r = LLVMBuildInsertElement(b, r, x, i32_const(g, l), "");
    }
    return r;
}

V gen_from_table(gen *g, const k_inst *n, T type) {
    LLVMBuilderRef b = g->m->b;
    place p = {NULL, NULL};
    int align = rt_dtypes[n->buffers[0]->dtype].bytes;
    if (n->nin != 1 || g->w == 1 || (g->mask && g->mask != g->prefix) || !place_of(g, n->in[0], &p) || !p.table) return NULL;
    V row = gen_address(g, n->buffers[0], p.rest ? p.rest : cg_i64(g->m, 0)), t = gen_val(g, p.table->out[0]).v;
    if (!has_windows(g, n)) {
        if (g->mask) t = LLVMBuildSelect(b, g->mask, t, splat_lane(g, t, 0), "");
        return from_lanes(g, p.table, type, row, t, align);
    }
    const gen_window *w = window_of(g, p.table);
    BB near = gen_block(g, "near"), far = gen_block(g, "far"), join = gen_block(g, "loaded");
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntNE, w->near, LLVMConstNull(g->m->i32), ""), near, far);
    gen_at(g, near);
    V x = from_window(g, type, row, w);
    LLVMBuildBr(b, join);
    gen_at(g, far);
    V y = from_lanes(g, p.table, type, row, w->at, align);
    LLVMBuildBr(b, join);
    gen_at(g, join);
    return gen_merge(g, x, near, y, far);
}
