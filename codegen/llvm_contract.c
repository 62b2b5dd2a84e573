/* llvm_contract.c: `contract`: a register tile as one phi per vector of accumulators in a loop over k,
 * unrolled by four. In a k step the vectors of B come first, then per row one broadcast of A and its fused
 * multiply-adds.  The tile is read from its buffer before the loop and written after it; sroa then keeps it
 * in registers between statements.
 *
 * A tile that is larger than the target's registers hold is cut into parts, each with a loop of its own: the
 * sums are the same. */
#include "codegen/llvm_gen.h"

enum { UNROLL = 4, MAX_CHUNKS = 64, LINE = 64 /* bytes of a cache line */, PAGE = 4096 };

typedef struct tile {
    gen *g;
    const k_inst *n;
    int row, m, nchunks, split; /* row: the part's first one in the buffer */
    int start[MAX_CHUNKS], lanes[MAX_CHUNKS],
        valid[MAX_CHUNKS]; /* columns; valid < lanes: only those exist */
    V mask[MAX_CHUNKS];    /* columns to be read of B, NULL: all */
    V rows[K_MAX_TILE];    /* address of A(i, 0) */
    V B, ka, kb;
    rt_dtype acc, a, b;
} tile;

static int count(const tile *t) { return t->m * t->nchunks; }

/* Full vectors, then one for the rest: of its own width if that is a power of two, else partly used. */
static void make_chunks(tile *t) {
    int n = t->n->contract->n, bytes = rt_dtypes[t->acc].bytes, w = t->g->m->target->width * 4 / bytes;
    if (w < 1) w = 1;
    while (n > w * (MAX_CHUNKS - 1)) w *= 2;
    for (int at = 0; at < n; at += w) {
        int rest = n - at < w ? n - at : w, c = t->nchunks++;
        t->start[c] = at;
        t->valid[c] = rest;
        t->lanes[c] = (rest & (rest - 1)) ? w : rest;
    }
}

static void make_masks(tile *t) {
    gen *g = t->g;
    V cols = NULL;
    if (t->n->contract->cols) cols = gen_uniform(g, t->n->in[t->n->nin - 1 - (t->n->contract->fetch > 0)]);
    for (int c = 0; c < t->nchunks; c++) {
        if (!cols && t->valid[c] == t->lanes[c]) continue;
        V limit = cg_i64(g->m, t->valid[c]);
        if (cols) {
            V left = LLVMBuildSub(g->m->b, cols, cg_i64(g->m, t->start[c]), "");
            V less = LLVMBuildICmp(g->m->b, LLVMIntSLT, left, limit, "");
            limit = LLVMBuildSelect(g->m->b, less, left, limit, "");
        }
        if (t->lanes[c] == 1) t->mask[c] = LLVMBuildICmp(g->m->b, LLVMIntSLT, cg_i64(g->m, 0), limit, "");
        else
            t->mask[c] = LLVMBuildICmp(g->m->b, LLVMIntSLT, gen_iota(g, g->m->i64, t->lanes[c]),
                                       gen_splat(g, limit, t->lanes[c]), "");
    }
}

static void make_rows(tile *t) {
    const k_inst *n = t->n;
    gen *g = t->g;
    V stride = n->contract->rows == 1 ? gen_uniform(g, n->in[5]) : NULL;
    for (int i = 0; i < t->m; i++) {
        V index = gen_uniform(g, n->in[stride ? 4 : 4 + i]);
        if (stride)
            index = LLVMBuildAdd(g->m->b, index, LLVMBuildMul(g->m->b, stride, cg_i64(g->m, i), ""), "");
        t->rows[i] = gen_address(g, n->buffers[1], index);
    }
}

static T lane_type(T element, int lanes) {
    return lanes > 1 ? LLVMVectorType(element, (unsigned)lanes) : element;
}

/* ---- the tile in memory */

static V tile_address(tile *t, int row, int col) {
    return gen_address(t->g, t->n->buffers[0], cg_i64(t->g->m, (int64_t)(t->row + row) * t->n->contract->n + col));
}

static V lane_const(tile *t, int lane) { return LLVMConstInt(t->g->m->i32, (unsigned)lane, false); }

static V load_chunk(tile *t, int row, int c) {
    LLVMBuilderRef b = t->g->m->b;
    T e = cg_type(t->g->m, t->acc), vec = lane_type(e, t->lanes[c]);
    if (t->valid[c] == t->lanes[c]) {
        V x = LLVMBuildLoad2(b, vec, tile_address(t, row, t->start[c]), "");
        LLVMSetAlignment(x, (unsigned)rt_dtypes[t->acc].bytes);
        return x;
    }
    V r = LLVMConstNull(vec);
    for (int l = 0; l < t->valid[c]; l++)
        r = LLVMBuildInsertElement(b, r, LLVMBuildLoad2(b, e, tile_address(t, row, t->start[c] + l), ""),
                                   lane_const(t, l), "");
    return r;
}

static void store_chunk(tile *t, int row, int c, V x) {
    LLVMBuilderRef b = t->g->m->b;
    if (t->valid[c] == t->lanes[c]) {
        LLVMSetAlignment(LLVMBuildStore(b, x, tile_address(t, row, t->start[c])),
                         (unsigned)rt_dtypes[t->acc].bytes);
        return;
    }
    for (int l = 0; l < t->valid[c]; l++)
        LLVMBuildStore(b, LLVMBuildExtractElement(b, x, lane_const(t, l), ""),
                       tile_address(t, row, t->start[c] + l));
}

/* ---- one step of k */

static V convert(tile *t, V x, rt_dtype from) { return cg_prim(t->g->m, K_CAST, t->acc, from, &x); }

static V load_b(tile *t, V at, int c) {
    gen *g = t->g;
    T e = cg_memory_type(g->m, t->b), vec = lane_type(e, t->lanes[c]);
    V offset = cg_i64(g->m, t->start[c]), p = LLVMBuildGEP2(g->m->b, e, at, &offset, 1, "");
    int align = rt_dtypes[t->b].bytes;
    if (t->mask[c] && t->lanes[c] > 1)
        return convert(t, gen_masked_load(g, vec, p, align, t->mask[c], LLVMConstNull(vec)), t->b);
    if (t->mask[c]) { /* one column that may not be there: read the first of the row instead */
        p = LLVMBuildSelect(g->m->b, t->mask[c], p, at, "");
    }
    V x = LLVMBuildLoad2(g->m->b, vec, p, "");
    LLVMSetAlignment(x, (unsigned)align);
    return convert(t, x, t->b);
}

static V multiply_add(tile *t, V a, V b, V c) {
    gen *g = t->g;
    if (rt_dtypes[t->acc].kind != 'F') return LLVMBuildAdd(g->m->b, LLVMBuildMul(g->m->b, a, b, ""), c, "");
    if (!g->m->target->fma) return LLVMBuildFAdd(g->m->b, LLVMBuildFMul(g->m->b, a, b, ""), c, "");
    V args[3] = {a, b, c};
    return cg_prim(g->m, K_FMA, t->acc, t->acc, args);
}

/* acc += A(:, k + u) * B(k + u, :) for the step's accumulators; k is in elements. */
static void step(tile *t, V k, int u, V *acc) {
    gen *g = t->g;
    LLVMBuilderRef b = g->m->b;
    V kb[MAX_CHUNKS],
        at = LLVMBuildAdd(b, LLVMBuildMul(b, k, t->kb, ""), LLVMBuildMul(b, t->kb, cg_i64(g->m, u), ""), "");
    V base = LLVMBuildGEP2(b, cg_memory_type(g->m, t->b), t->B, &at, 1, "");
    for (int c = 0; c < t->nchunks; c++) kb[c] = load_b(t, base, c);
    V ka = LLVMBuildMul(b, k, t->ka, ""), ua = LLVMBuildMul(b, t->ka, cg_i64(g->m, u), "");
    T e = cg_memory_type(g->m, t->a);
    for (int i = 0; i < t->m; i++) {
        V p = LLVMBuildGEP2(b, e, LLVMBuildGEP2(b, e, t->rows[i], &ka, 1, ""), &ua, 1, "");
        V x = LLVMBuildLoad2(b, e, p, "");
        LLVMSetAlignment(x, (unsigned)rt_dtypes[t->a].bytes);
        x = convert(t, x, t->a);
        for (int c = 0; c < t->nchunks; c++) {
            V *sum = &acc[i * t->nchunks + c];
            *sum = multiply_add(t, t->lanes[c] > 1 ? gen_splat(g, x, t->lanes[c]) : x, kb[c], *sum);
        }
    }
}

/* ---- the loop */

/* Steps left over: fewer than the unrolled loop takes.  Each sum must get its own ones. */
static void rest_split(tile *t, V from, V K, int unroll, V *acc) {
    gen *g = t->g;
    for (int u = 0; u + 1 < unroll; u++) {
        V k = LLVMBuildAdd(g->m->b, from, cg_i64(g->m, u), ""), *sum = acc + (u % t->split) * count(t);
        V old[K_MAX_TILE * MAX_CHUNKS];
        memcpy(old, sum, sizeof(V) * (size_t)count(t));
        BB before = LLVMGetInsertBlock(g->m->b), then = gen_block(g, "k.rest"), join = gen_block(g, "k.next");
        LLVMBuildCondBr(g->m->b, LLVMBuildICmp(g->m->b, LLVMIntSLT, k, K, ""), then, join);
        gen_at(g, then);
        step(t, k, 0, sum);
        LLVMBuildBr(g->m->b, join);
        then = LLVMGetInsertBlock(g->m->b);
        gen_at(g, join);
        for (int i = 0; i < count(t); i++) sum[i] = gen_merge(g, old[i], before, sum[i], then);
    }
}

static void rest(tile *t, V from, V K, V *acc) {
    gen_loop l;
    gen_loop_begin(t->g, &l, from, K, cg_i64(t->g->m, 1), count(t), acc);
    memcpy(acc, l.phi, sizeof(V) * (size_t)count(t));
    step(t, l.i, 0, acc);
    gen_loop_end(t->g, &l, acc);
}

/* The lines of B that `unroll` steps from k on ask for, into the second cache: the first holds what is in use. */
static void fetch(tile *t, V k, int unroll) {
    gen *g = t->g;
    int bytes = rt_dtypes[t->b].bytes * t->n->contract->fetch * unroll;
    V per = cg_i64(g->m, t->n->contract->fetch);
    V from = LLVMBuildAdd(g->m->b, gen_uniform(g, t->n->in[t->n->nin - 1]), LLVMBuildMul(g->m->b, k, per, ""), "");
    V p = gen_address(g, t->n->buffers[2], from);
    for (int at = 0; at < bytes; at += LINE) {
        V offset = cg_i64(g->m, at);
        gen_prefetch(g, LLVMBuildGEP2(g->m->b, g->m->i8, p, &offset, 1, ""), 2);
    }
}

/* One line of each page that begins in the `unroll` steps from k on, `touch` elements further: on small pages the processor's
 * own prefetching ends with the page, and finding the next one takes as long as reading it. */
static void touch(tile *t, V k, int unroll) {
    gen *g = t->g;
    LLVMBuilderRef b = g->m->b;
    int bytes = rt_dtypes[t->b].bytes;
    V row = LLVMBuildMul(b, t->kb, cg_i64(g->m, bytes), ""), at = LLVMBuildMul(b, k, row, "");
    V in_page = LLVMBuildAnd(b, at, cg_i64(g->m, PAGE - 1), ""), size = LLVMBuildMul(b, row, cg_i64(g->m, unroll), "");
    BB then = gen_block(g, "k.touch"), join = gen_block(g, "k.read");
    LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSLT, in_page, size, ""), then, join);
    gen_at(g, then);
    at = LLVMBuildAdd(b, at, cg_i64(g->m, (int64_t)t->n->contract->touch * bytes), "");
    gen_prefetch(g, LLVMBuildGEP2(b, g->m->i8, t->B, &at, 1, ""), 3);
    LLVMBuildBr(b, join);
    gen_at(g, join);
}

static void loop_k(tile *t, V *acc) {
    gen *g = t->g;
    int unroll = t->split > UNROLL ? t->split : UNROLL, n = count(t) * t->split;
    V K = gen_uniform(g, t->n->in[0]);
    K = LLVMBuildSelect(g->m->b, LLVMBuildICmp(g->m->b, LLVMIntSLT, K, cg_i64(g->m, 0), ""), cg_i64(g->m, 0),
                        K, "");
    V whole = LLVMBuildAnd(g->m->b, K, cg_i64(g->m, -(int64_t)unroll), "");
    gen_loop l;
    gen_loop_begin(g, &l, cg_i64(g->m, 0), whole, cg_i64(g->m, unroll), n, acc);
    memcpy(acc, l.phi, sizeof(V) * (size_t)n);
    if (t->n->contract->touch) touch(t, l.i, unroll);
    if (t->n->contract->fetch) fetch(t, l.i, unroll);
    for (int u = 0; u < unroll; u++) step(t, l.i, u, acc + (u % t->split) * count(t));
    gen_loop_end(g, &l, acc);
    if (LLVMIsAConstantInt(K) && LLVMConstIntGetSExtValue(K) % unroll == 0) return;
    if (t->split > 1) rest_split(t, whole, K, unroll, acc);
    else rest(t, whole, K, acc);
}

static void merge_sums(tile *t, V *acc) {
    for (int h = t->split / 2; h > 0; h /= 2)
        for (int s = 0; s < h; s++)
            for (int i = 0; i < count(t); i++) {
                V args[2] = {acc[s * count(t) + i], acc[(s + h) * count(t) + i]};
                acc[s * count(t) + i] = cg_prim(t->g->m, K_ADD, t->acc, t->acc, args);
            }
}

static void write_back(tile *t, V *acc) {
    for (int i = 0; i < t->m; i++)
        for (int c = 0; c < t->nchunks; c++) {
            V x = acc[i * t->nchunks + c];
            if (t->n->contract->cols) x = LLVMBuildSelect(t->g->m->b, t->mask[c], x, load_chunk(t, i, c), "");
            store_chunk(t, i, c, x);
        }
}

static void run_part(tile *t) {
    V *acc = RT_ARRAY(&t->g->m->c->arena, V, count(t) * t->split);
    for (int s = 0; s < t->split; s++)
        for (int i = 0; i < count(t); i++) {
            int c = i % t->nchunks;
            acc[s * count(t) + i] = s ? LLVMConstNull(lane_type(cg_type(t->g->m, t->acc), t->lanes[c]))
                                      : load_chunk(t, i / t->nchunks, c);
        }
    loop_k(t, acc);
    merge_sums(t, acc);
    write_back(t, acc);
}

/* m rows from `row` on, n chunks of columns from `chunk` on. */
static void part(const tile *whole, int row, int m, int chunk, int n) {
    tile t = *whole;
    t.row = row, t.m = m, t.nchunks = n;
    for (int c = 0; c < n; c++) {
        t.start[c] = whole->start[chunk + c], t.lanes[c] = whole->lanes[chunk + c];
        t.valid[c] = whole->valid[chunk + c], t.mask[c] = whole->mask[chunk + c];
    }
    memcpy(t.rows, whole->rows + row, sizeof(V) * (size_t)m);
    run_part(&t);
}

/* Equal parts, as few as fit the registers. */
static void parts(const tile *t) {
    const cg_target *target = t->g->m->target;
    int rows = t->m < target->rows ? t->m : target->rows, most = target->rows * target->vectors / (rows * t->split);
    int vectors = most < 1 ? 1 : most < target->vectors ? most : target->vectors;
    int high = (t->m + rows - 1) / rows, wide = (t->nchunks + vectors - 1) / vectors;
    for (int i = 0; i < high; i++)
        for (int j = 0; j < wide; j++) {
            int row = t->m * i / high, chunk = t->nchunks * j / wide;
            part(t, row, t->m * (i + 1) / high - row, chunk, t->nchunks * (j + 1) / wide - chunk);
        }
}

void gen_contract(gen *g, const k_inst *n) {
    const k_contract *shape = n->contract;
    tile *t = RT_NEW(&g->m->c->arena, tile);
    *t = (tile){.g = g,
                .n = n,
                .m = shape->m,
                .split = shape->split,
                .acc = n->buffers[0]->dtype,
                .a = n->buffers[1]->dtype,
                .b = n->buffers[2]->dtype};
    make_chunks(t);
    make_masks(t);
    make_rows(t);
    t->B = gen_address(g, n->buffers[2], gen_uniform(g, n->in[1]));
    t->kb = gen_uniform(g, n->in[2]);
    t->ka = gen_uniform(g, n->in[3]);
    parts(t);
}
