/* llvm_memory.c: loads and stores of kernels.  Inside a vector loop the form of the index decides: uniform
 * gives one scalar access, stride 1 a vector access, an unknown stride a test at run time, everything else an
 * access per lane.  Scratch buffers have room behind them (see llvm_kernel.c), so that their vector loads
 * need no mask. */
#include "codegen/llvm_gen.h"

int gen_position(const gen *g, const k_buffer *buf) {
    for (int i = 0; i < g->k->buffers.n; i++)
        if (g->k->buffers.at[i] == buf) return i;
    return 0;
}

V gen_address(gen *g, const k_buffer *buf, V index) {
    return LLVMBuildGEP2(g->m->b, cg_memory_type(g->m, buf->dtype), g->bufs[gen_position(g, buf)], &index, 1,
                         "");
}

V gen_from_memory(gen *g, V x, rt_dtype d) {
    if (d != DT_BOOL) return x;
    return LLVMBuildICmp(g->m->b, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "");
}

static V to_memory(gen *g, V x, rt_dtype d) {
    if (d != DT_BOOL) return x;
    T t = LLVMTypeOf(x);
    bool vec = LLVMGetTypeKind(t) == LLVMVectorTypeKind;
    return LLVMBuildZExt(g->m->b, x, vec ? LLVMVectorType(g->m->i8, LLVMGetVectorSize(t)) : g->m->i8, "");
}

static int element_align(const k_buffer *buf) { return rt_dtypes[buf->dtype].bytes; }

static V plain_load(gen *g, T t, V p, int align) {
    V x = LLVMBuildLoad2(g->m->b, t, p, "");
    LLVMSetAlignment(x, (unsigned)align);
    return x;
}

static V i32_const(gen *g, int64_t x) { return LLVMConstInt(g->m->i32, (unsigned long long)x, true); }

V gen_masked_load(gen *g, T type, V address, int align, V mask, V otherwise) {
    V args[4] = {address, i32_const(g, align), mask, otherwise};
    return cg_intrinsic(g->m, "llvm.masked.load", 2, (T[]){type, g->m->ptr}, 4, args);
}

static V masked_gather(gen *g, T type, V addresses, int align, V mask, V otherwise) {
    V args[4] = {addresses, i32_const(g, align), mask, otherwise};
    return cg_intrinsic(g->m, "llvm.masked.gather", 2, (T[]){type, LLVMTypeOf(addresses)}, 4, args);
}

void gen_prefetch(gen *g, V address, int locality) {
    V args[4] = {address, i32_const(g, 0), i32_const(g, locality), i32_const(g, 1)};
    cg_intrinsic(g->m, "llvm.prefetch", 1, &g->m->ptr, 4, args);
}

/* What an access needs, worked out once. */
typedef struct access {
    gen *g;
    const k_inst *n;
    const k_buffer *buf;
    val index;
    V mask, otherwise; /* mask: of the statement and of the context, NULL: none; otherwise: vector in memory
                          form */
    T type;            /* <w x memory type> */
    int align;
} access;

/* mask operand AND context, as a vector; NULL if all lanes act. */
static V whole_mask(gen *g, const k_value *mask) {
    if (!mask) return g->mask;
    V m = gen_vector(g, gen_val(g, mask));
    return g->mask ? LLVMBuildAnd(g->m->b, g->mask, m, "") : m;
}

static V lane_index(const access *a, int lane) {
    LLVMBuilderRef b = a->g->m->b;
    if (a->index.form == FORM_UNIFORM) return a->index.v;
    if (a->index.form == FORM_VECTOR)
        return LLVMBuildExtractElement(b, a->index.v, i32_const(a->g, lane), "");
    return LLVMBuildAdd(b, a->index.v, LLVMBuildMul(b, a->index.stride, cg_i64(a->g->m, lane), ""), "");
}

static V addresses(const access *a) { return gen_address(a->g, a->buf, gen_vector(a->g, a->index)); }

/* The statement under a scalar condition: cond ? body() : otherwise. */
static V load_guarded(gen *g, V cond, V address, T t, int align, V otherwise) {
    BB from = LLVMGetInsertBlock(g->m->b), then = gen_block(g, "load"), join = gen_block(g, "loaded");
    LLVMBuildCondBr(g->m->b, cond, then, join);
    gen_at(g, then);
    V x = plain_load(g, t, address, align);
    LLVMBuildBr(g->m->b, join);
    gen_at(g, join);
    return gen_merge(g, otherwise, from, x, then);
}

static V load_lanes(const access *a) {
    gen *g = a->g;
    if (a->mask) return masked_gather(g, a->type, addresses(a), element_align(a->buf), a->mask, a->otherwise);
    V r = LLVMGetPoison(a->type);
    for (int l = 0; l < g->w; l++) {
        V x = plain_load(g, LLVMGetElementType(a->type), gen_address(g, a->buf, lane_index(a, l)),
                         element_align(a->buf));
        r = LLVMBuildInsertElement(g->m->b, r, x, i32_const(g, l), "");
    }
    return r;
}

static V load_contiguous(const access *a) {
    gen *g = a->g;
    V p = gen_address(g, a->buf, a->index.v);
    if (!a->mask) return plain_load(g, a->type, p, a->align);
    if (a->buf->scope == KS_ARG || a->buf->scope == KS_TABLE)
        return gen_masked_load(g, a->type, p, a->align, a->mask, a->otherwise);
    return LLVMBuildSelect(g->m->b, a->mask, plain_load(g, a->type, p, a->align), a->otherwise, "");
}

static bool is_number(V v, int64_t x) { return LLVMIsAConstantInt(v) && LLVMConstIntGetSExtValue(v) == x; }

static bool is_one(V v) { return is_number(v, 1); }

/* Lanes a few elements apart: adjacent vectors, from the first lane's element to the last one's, whose elements are picked. */
static V load_sparse(const access *a, int stride) {
    gen *g = a->g;
    V at[K_MAX_WIDTH], all = LLVMGetPoison(a->type);
    for (int k = 0, w = g->w, lane = 0; k < stride; k++) {
        int first = k < stride - 1 ? k * w : (w - 1) * (stride - 1);
        V place = LLVMBuildAdd(g->m->b, a->index.v, cg_i64(g->m, first), "");
        V x = plain_load(g, a->type, gen_address(g, a->buf, place), element_align(a->buf));
        for (int l = 0; l < w; l++) at[l] = i32_const(g, l);
        for (; lane < w && lane * stride < first + w; lane++) at[lane] = i32_const(g, w + lane * stride - first);
        all = LLVMBuildShuffleVector(g->m->b, all, x, LLVMConstVector(at, (unsigned)w), "");
    }
    return all;
}

static V load_strided(const access *a) {
    gen *g = a->g;
    if (is_one(a->index.stride)) return load_contiguous(a);
    for (int n = 2; n <= K_MAX_GROUP && !a->mask && g->w >= n; n++)
        if (is_number(a->index.stride, n)) return load_sparse(a, n);
    if (LLVMIsAConstantInt(a->index.stride)) return load_lanes(a);
    BB near = gen_block(g, "adjacent"), far = gen_block(g, "strided"), join = gen_block(g, "loaded");
    V one = LLVMBuildICmp(g->m->b, LLVMIntEQ, a->index.stride, cg_i64(g->m, 1), "");
    LLVMBuildCondBr(g->m->b, one, near, far);
    gen_at(g, near);
    V x = load_contiguous(a);
    LLVMBuildBr(g->m->b, join);
    near = LLVMGetInsertBlock(g->m->b);
    gen_at(g, far);
    V y = load_lanes(a);
    LLVMBuildBr(g->m->b, join);
    far = LLVMGetInsertBlock(g->m->b);
    gen_at(g, join);
    return gen_merge(g, x, near, y, far);
}

/* One element for all lanes: must not be read if no lane asks for it. */
static V load_uniform(gen *g, const k_inst *n, const k_buffer *buf, V index, V cond) {
    T t = cg_memory_type(g->m, buf->dtype);
    V p = gen_address(g, buf, index), zero = LLVMConstNull(t);
    if (!cond) return plain_load(g, t, p, n->align ? n->align : element_align(buf));
    return load_guarded(g, cond, p, t, element_align(buf), zero);
}

static V context_condition(gen *g) { return g->mask && !g->sure ? gen_any(g, g->mask) : NULL; }

static V both(gen *g, V a, V b) { return !a ? b : !b ? a : LLVMBuildAnd(g->m->b, a, b, ""); }

/* Uniform index; a mask that differs by lane makes the result differ by lane. */
static val load_one(gen *g, const k_inst *n) {
    const k_buffer *buf = n->buffers[0];
    V index = gen_uniform(g, n->in[0]);
    if (n->nin == 1)
        return uniform(gen_from_memory(g, load_uniform(g, n, buf, index, context_condition(g)), buf->dtype));
    val mask = gen_val(g, n->in[1]), other = gen_val(g, n->in[2]);
    if (mask.form == FORM_UNIFORM && other.form == FORM_UNIFORM) {
        V x = load_uniform(g, n, buf, index, both(g, mask.v, context_condition(g)));
        return uniform(LLVMBuildSelect(g->m->b, mask.v, gen_from_memory(g, x, buf->dtype), other.v, ""));
    }
    V lanes = gen_vector(g, mask), x = load_uniform(g, n, buf, index, gen_any(g, whole_mask(g, n->in[1])));
    x = gen_splat(g, gen_from_memory(g, x, buf->dtype), g->w);
    return vector(LLVMBuildSelect(g->m->b, lanes, x, gen_vector(g, other), ""));
}

static access prepare(gen *g, const k_inst *n, const k_value *mask) {
    const k_buffer *buf = n->buffers[0];
    return (access){g,
                    n,
                    buf,
                    gen_val(g, n->in[0]),
                    whole_mask(g, mask),
                    NULL,
                    LLVMVectorType(cg_memory_type(g->m, buf->dtype), (unsigned)g->w),
                    n->align ? n->align : element_align(buf)};
}

/* What a lane's index becomes in a load by groups. */
static V group_offsets(gen *g, const k_inst *n) {
    V at[K_MAX_WIDTH];
    for (int l = 0; l < g->w; l++) at[l] = cg_i64(g->m, n->place - l % n->group);
    return LLVMConstVector(at, (unsigned)g->w);
}

static V lane_offset(gen *g, const k_inst *n) {
    V place = LLVMBuildURem(g->m->b, g->lane, cg_i64(g->m, n->group), "");
    return LLVMBuildSub(g->m->b, cg_i64(g->m, n->place), place, "");
}

/* Adjacent lanes: one vector, whose lanes are then given out. */
static V load_group(const access *a) {
    gen *g = a->g;
    V at[K_MAX_WIDTH], x = load_contiguous(a);
    for (int l = 0; l < g->w; l++) at[l] = i32_const(g, l - l % a->n->group + a->n->place);
    return LLVMBuildShuffleVector(g->m->b, x, LLVMGetPoison(a->type), LLVMConstVector(at, (unsigned)g->w), "");
}

static void gen_group(gen *g, const k_inst *n) {
    access a = prepare(g, n, NULL);
    val *out = &g->vals[n->out[0]->id];
    if (g->w == 1) {
        V at = LLVMBuildAdd(g->m->b, a.index.v, lane_offset(g, n), "");
        V x = plain_load(g, cg_memory_type(g->m, a.buf->dtype), gen_address(g, a.buf, at), a.align);
        *out = uniform(gen_from_memory(g, x, a.buf->dtype));
        return;
    }
    a.otherwise = LLVMConstNull(a.type);
    bool near = a.index.form == FORM_AFFINE && is_one(a.index.stride) && !a.mask;
    if (!near) a.index = vector(LLVMBuildAdd(g->m->b, gen_vector(g, a.index), group_offsets(g, n), ""));
    *out = vector(gen_from_memory(g, near ? load_group(&a) : load_lanes(&a), a.buf->dtype));
}

void gen_load(gen *g, const k_inst *n) {
    val index = gen_val(g, n->in[0]), *out = &g->vals[n->out[0]->id];
    if (n->group) {
        gen_group(g, n);
        return;
    }
    if (index.form == FORM_UNIFORM) {
        *out = load_one(g, n);
        return;
    }
    access a = prepare(g, n, n->nin == 3 ? n->in[1] : NULL);
    a.otherwise =
        n->nin == 3 ? to_memory(g, gen_vector(g, gen_val(g, n->in[2])), a.buf->dtype) : LLVMConstNull(a.type);
    V x = index.form == FORM_VECTOR ? gen_from_table(g, n, a.type) : NULL;
    if (!x) x = index.form == FORM_AFFINE ? load_strided(&a) : load_lanes(&a);
    *out = vector(gen_from_memory(g, x, a.buf->dtype));
}

/* ---- stores */

static void plain_store(gen *g, const k_inst *n, V x, V p, int align) {
    V s = LLVMBuildStore(g->m->b, x, p);
    LLVMSetAlignment(s, (unsigned)align);
    if (!n->nontemporal) return;
    LLVMMetadataRef one = LLVMValueAsMetadata(i32_const(g, 1));
    LLVMSetMetadata(s, LLVMGetMDKindIDInContext(g->m->cx, "nontemporal", 11),
                    LLVMMetadataAsValue(g->m->cx, LLVMMDNodeInContext2(g->m->cx, &one, 1)));
    g->fences = true;
}

/* x86 streams aligned vectors alone, and callers' buffers may lie anywhere: that is asked when the code runs. */
static void stream(const access *a, V x, V p) {
    gen *g = a->g;
    int bytes = g->w * element_align(a->buf);
    k_inst plain = *a->n;
    plain.nontemporal = false;
    if (a->align >= bytes || g->m->target->arch != CG_X86) {
        plain_store(g, a->n, x, p, a->align);
        return;
    }
    BB whole = gen_block(g, "stream"), other = gen_block(g, "store"), next = gen_block(g, "stored");
    V low = LLVMConstInt(g->m->i64, (unsigned)bytes - 1, false), at = LLVMBuildPtrToInt(g->m->b, p, g->m->i64, "");
    V aligned = LLVMBuildICmp(g->m->b, LLVMIntEQ, LLVMBuildAnd(g->m->b, at, low, ""), LLVMConstNull(g->m->i64), "");
    LLVMBuildCondBr(g->m->b, aligned, whole, other);
    gen_at(g, whole);
    plain_store(g, a->n, x, p, bytes);
    LLVMBuildBr(g->m->b, next);
    gen_at(g, other);
    plain_store(g, &plain, x, p, a->align);
    LLVMBuildBr(g->m->b, next);
    gen_at(g, next);
}

static void store_contiguous(const access *a, V x) {
    gen *g = a->g;
    V p = gen_address(g, a->buf, a->index.v);
    if (!a->mask) {
        if (a->n->nontemporal) stream(a, x, p);
        else plain_store(g, a->n, x, p, a->align);
        return;
    }
    V args[4] = {x, p, i32_const(g, a->align), a->mask};
    cg_intrinsic(g->m, "llvm.masked.store", 2, (T[]){a->type, g->m->ptr}, 4, args);
}

static void store_lanes(const access *a, V x) {
    gen *g = a->g;
    if (a->mask) { /* in lane order, as the scatter promises */
        V p = addresses(a), args[4] = {x, p, i32_const(g, element_align(a->buf)), a->mask};
        cg_intrinsic(g->m, "llvm.masked.scatter", 2, (T[]){a->type, LLVMTypeOf(p)}, 4, args);
        return;
    }
    for (int l = 0; l < g->w; l++) {
        V e = LLVMBuildExtractElement(g->m->b, x, i32_const(g, l), "");
        V s = LLVMBuildStore(g->m->b, e, gen_address(g, a->buf, lane_index(a, l)));
        LLVMSetAlignment(s, (unsigned)element_align(a->buf));
    }
}

static void store_strided(const access *a, V x) {
    gen *g = a->g;
    if (is_one(a->index.stride)) {
        store_contiguous(a, x);
        return;
    }
    if (LLVMIsAConstantInt(a->index.stride)) {
        store_lanes(a, x);
        return;
    }
    BB near = gen_block(g, "adjacent"), far = gen_block(g, "strided"), join = gen_block(g, "stored");
    V one = LLVMBuildICmp(g->m->b, LLVMIntEQ, a->index.stride, cg_i64(g->m, 1), "");
    LLVMBuildCondBr(g->m->b, one, near, far);
    gen_at(g, near);
    store_contiguous(a, x);
    LLVMBuildBr(g->m->b, join);
    gen_at(g, far);
    store_lanes(a, x);
    LLVMBuildBr(g->m->b, join);
    gen_at(g, join);
}

/* x0[0] x1[0] .. x0[1] x1[1] ..: n <= K_MAX_GROUP vectors of `lanes` lanes. */
static V interleaved(gen *g, int lanes, int n, const V *x) {
    V at[K_MAX_GROUP * K_MAX_WIDTH], left = x[0], right = x[1];
    if (n == 4) {
        left = interleaved(g, lanes, 2, (V[]){x[0], x[2]});
        right = interleaved(g, lanes, 2, (V[]){x[1], x[3]});
        return interleaved(g, 2 * lanes, 2, (V[]){left, right});
    }
    if (n == 3) { /* shuffles take two vectors of one width */
        for (int i = 0; i < 2 * lanes; i++) at[i] = i32_const(g, i);
        left = LLVMBuildShuffleVector(g->m->b, x[0], x[1], LLVMConstVector(at, (unsigned)(2 * lanes)), "");
        right = LLVMBuildShuffleVector(g->m->b, x[2], x[2], LLVMConstVector(at, (unsigned)(2 * lanes)), "");
    }
    for (int i = 0; i < n * lanes; i++) at[i] = i32_const(g, i / n + i % n * lanes);
    return LLVMBuildShuffleVector(g->m->b, left, right, LLVMConstVector(at, (unsigned)(n * lanes)), "");
}

/* The lanes' elements lie side by side: one wide vector. */
static void store_wide(const access *a, const V *x) {
    gen *g = a->g;
    int n = a->n->group;
    V wide = interleaved(g, g->w, n, x), p = gen_address(g, a->buf, a->index.v);
    if (!a->mask) {
        plain_store(g, a->n, wide, p, a->align);
        return;
    }
    V masks[K_MAX_GROUP] = {a->mask, a->mask, a->mask, a->mask}, mask = interleaved(g, g->w, n, masks);
    V args[4] = {wide, p, i32_const(g, a->align), mask};
    cg_intrinsic(g->m, "llvm.masked.store", 2, (T[]){LLVMTypeOf(wide), g->m->ptr}, 4, args);
}

static void store_group(gen *g, const k_inst *n) {
    access a = prepare(g, n, NULL);
    V x[K_MAX_GROUP], first = a.index.v;
    for (int j = 0; j < n->group; j++) x[j] = to_memory(g, gen_vector(g, gen_val(g, n->in[1 + j])), a.buf->dtype);
    if (g->w > 1 && a.index.form == FORM_AFFINE && is_number(a.index.stride, n->group)) {
        store_wide(&a, x);
        return;
    }
    for (int j = 0; j < n->group; j++) {
        V more = cg_i64(g->m, j);
        a.index.v = LLVMBuildAdd(g->m->b, first, a.index.form == FORM_VECTOR ? gen_splat(g, more, g->w) : more, "");
        if (g->w == 1) plain_store(g, n, x[j], gen_address(g, a.buf, a.index.v), a.align);
        else if (a.index.form == FORM_AFFINE) store_strided(&a, x[j]);
        else store_lanes(&a, x[j]);
    }
}

static void store_guarded(gen *g, const k_inst *n, V cond, V x, V p) {
    int align = n->align ? n->align : element_align(n->buffers[0]);
    if (!cond) {
        plain_store(g, n, x, p, align);
        return;
    }
    BB then = gen_block(g, "store"), join = gen_block(g, "stored");
    LLVMBuildCondBr(g->m->b, cond, then, join);
    gen_at(g, then);
    plain_store(g, n, x, p, align);
    LLVMBuildBr(g->m->b, join);
    gen_at(g, join);
}

void gen_store(gen *g, const k_inst *n) {
    const k_buffer *buf = n->buffers[0];
    if (n->group) {
        store_group(g, n);
        return;
    }
    val index = gen_val(g, n->in[0]), x = gen_val(g, n->in[1]);
    val mask = n->nin == 3 ? gen_val(g, n->in[2]) : uniform(NULL);
    if (index.form == FORM_UNIFORM && x.form == FORM_UNIFORM && mask.form == FORM_UNIFORM) {
        V cond = both(g, mask.v, context_condition(g));
        store_guarded(g, n, cond, to_memory(g, x.v, buf->dtype), gen_address(g, buf, index.v));
        return;
    }
    access a = prepare(g, n, n->nin == 3 ? n->in[2] : NULL);
    V lanes = to_memory(g, gen_vector(g, x), buf->dtype);
    if (index.form == FORM_AFFINE) store_strided(&a, lanes);
    else store_lanes(&a, lanes);
}
