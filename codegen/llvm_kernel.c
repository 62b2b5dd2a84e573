/* llvm_kernel.c: one kernel becomes three LLVM functions: the work itself with plain parameters (so that
 * pointers can be noalias and kernels call each other cheaply), the uniform entry of llvm.h, and the count of
 * the grid loop.
 *
 * The builder emits the final form: phis for carried values, vector instructions for vector loops.  The
 * iterations left over at the end of a vector loop run once more with a mask where the target has masked
 * accesses for the sizes in use, else one by one; both keep each lane's carried values apart, so the results
 * are the same. */
#include "codegen/llvm_gen.h"

static void gen_body(gen *g, const k_block *block);

/* ---- small things */

BB gen_block(gen *g, const char *name) { return LLVMAppendBasicBlockInContext(g->m->cx, g->fn, name); }
void gen_at(gen *g, BB b) { LLVMPositionBuilderAtEnd(g->m->b, b); }

static BB here(gen *g) { return LLVMGetInsertBlock(g->m->b); }
static V i32_const(gen *g, int64_t x) { return LLVMConstInt(g->m->i32, (unsigned long long)x, true); }
static V i64_const(gen *g, int64_t x) { return cg_i64(g->m, x); }
static V less(gen *g, V a, V c) { return LLVMBuildICmp(g->m->b, LLVMIntSLT, a, c, ""); }

static bool known(V v, int64_t *x) {
    if (!LLVMIsAConstantInt(v)) return false;
    *x = LLVMConstIntGetSExtValue(v);
    return true;
}

V gen_merge(gen *g, V a, BB from_a, V c, BB from_c) {
    V phi = LLVMBuildPhi(g->m->b, LLVMTypeOf(a), "");
    LLVMAddIncoming(phi, (V[]){a, c}, (BB[]){from_a, from_c}, 2);
    return phi;
}

V gen_splat(gen *g, V scalar, int lanes) {
    V at[K_MAX_WIDTH];
    if (LLVMIsConstant(scalar)) {
        for (int i = 0; i < lanes; i++) at[i] = scalar;
        return LLVMConstVector(at, (unsigned)lanes);
    }
    T t = LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes);
    V one = LLVMBuildInsertElement(g->m->b, LLVMGetPoison(t), scalar, i32_const(g, 0), "");
    V zeros = LLVMConstNull(LLVMVectorType(g->m->i32, (unsigned)lanes));
    return LLVMBuildShuffleVector(g->m->b, one, LLVMGetPoison(t), zeros, "");
}

V gen_iota(gen *g, T element, int lanes) {
    (void)g;
    V at[K_MAX_WIDTH];
    for (int i = 0; i < lanes; i++) at[i] = LLVMConstInt(element, (unsigned)i, false);
    return LLVMConstVector(at, (unsigned)lanes);
}

V gen_any(gen *g, V mask) {
    unsigned n = LLVMGetVectorSize(LLVMTypeOf(mask));
    T bits = LLVMIntTypeInContext(g->m->cx, n);
    return LLVMBuildICmp(g->m->b, LLVMIntNE, LLVMBuildBitCast(g->m->b, mask, bits, ""), LLVMConstNull(bits),
                         "");
}

V gen_const(gen *g, rt_dtype d, int64_t i, double f) {
    if (d == DT_F32 || d == DT_F64) return LLVMConstReal(cg_type(g->m, d), f);
    if (d == DT_F16) i = rt_f32_to_f16((float)f);
    if (d == DT_BF16) i = rt_f32_to_bf16((float)f);
    return LLVMConstInt(cg_type(g->m, d), (unsigned long long)i, true);
}

val gen_val(gen *g, const k_value *v) {
    return v->constant ? uniform(gen_const(g, v->dtype, v->i, v->f)) : g->vals[v->id];
}

V gen_uniform(gen *g, const k_value *v) { return gen_val(g, v).v; }

V gen_vector(gen *g, val x) {
    if (x.form == FORM_VECTOR || g->w == 1) return x.v;
    V base = gen_splat(g, x.v, g->w);
    if (x.form == FORM_UNIFORM) return base;
    V steps = LLVMBuildMul(g->m->b, gen_splat(g, x.stride, g->w), gen_iota(g, g->m->i64, g->w), "");
    return LLVMBuildAdd(g->m->b, base, steps, "");
}

static void set(gen *g, const k_value *v, val x) { g->vals[v->id] = x; }

static val per_lane(const gen *g, V v) { return g->w > 1 ? vector(v) : uniform(v); }

/* ---- primitives */

/* Sums and products by something uniform keep i64 values affine (exactly: both sides wrap). */
static bool affine_prim(gen *g, const k_inst *n, const val *in, val *out) {
    LLVMBuilderRef b = g->m->b;
    V zero = i64_const(g, 0), s[2] = {zero, zero};
    if (n->out[0]->dtype != DT_I64 || n->in[0]->dtype != DT_I64) return false;
    for (int i = 0; i < n->nin; i++) {
        if (in[i].form == FORM_VECTOR) return false;
        if (in[i].form == FORM_AFFINE) s[i] = in[i].stride;
    }
    out->form = FORM_AFFINE;
    if (n->prim == K_ADD || n->prim == K_SUB) {
        bool add = n->prim == K_ADD;
        out->v = add ? LLVMBuildAdd(b, in[0].v, in[1].v, "") : LLVMBuildSub(b, in[0].v, in[1].v, "");
        out->stride = add ? LLVMBuildAdd(b, s[0], s[1], "") : LLVMBuildSub(b, s[0], s[1], "");
        return true;
    }
    if (n->prim != K_MUL || (in[0].form == FORM_AFFINE && in[1].form == FORM_AFFINE)) return false;
    int a = in[0].form == FORM_AFFINE ? 0 : 1;
    out->v = LLVMBuildMul(b, in[0].v, in[1].v, "");
    out->stride = LLVMBuildMul(b, in[a].stride, in[1 - a].v, "");
    return true;
}

/* ---- calls of libm */

static V libm_scalar(gen *g, const k_inst *n, V *args) {
    rt_dtype d = n->in[0]->dtype;
    const char *name = k_math_symbol(n->prim, d);
    T t = cg_type(g->m, d), type = LLVMFunctionType(t, (T[]){t, t}, (unsigned)n->nin, false);
    V f = LLVMGetNamedFunction(g->m->mod, name);
    if (!f) f = LLVMAddFunction(g->m->mod, name, type);
    return LLVMBuildCall2(g->m->b, type, f, args, (unsigned)n->nin, "");
}

static val libm_prim(gen *g, const k_inst *n, val *in, bool all_uniform) {
    V args[3], r = NULL;
    if (all_uniform) {
        for (int i = 0; i < n->nin; i++) args[i] = in[i].v;
        return uniform(libm_scalar(g, n, args));
    }
    V vec[3];
    for (int i = 0; i < n->nin; i++) vec[i] = gen_vector(g, in[i]);
    r = LLVMGetPoison(LLVMTypeOf(vec[0]));
    for (int l = 0; l < g->w; l++) {
        for (int i = 0; i < n->nin; i++)
            args[i] = LLVMBuildExtractElement(g->m->b, vec[i], i32_const(g, l), "");
        r = LLVMBuildInsertElement(g->m->b, r, libm_scalar(g, n, args), i32_const(g, l), "");
    }
    return vector(r);
}

/* ---- coefficients
 *
 * LLVM keeps the constants of a loop in registers, and where these do not suffice it moves values around in every
 * iteration.  As operands in memory they cost nothing; a load from a table of ours is not seen to be invariant. */

enum { MAX_COEFFICIENTS = 6 };

static int count_coefficients(const k_block *block) {
    int sum = 0;
    for (const k_inst *n = block->first; n; n = n->next) {
        for (int i = 0; i < n->nin; i++) sum += n->op == KO_PRIM && n->prim == K_FMA && n->in[i]->constant;
        for (int i = 0; i < n->nblocks; i++) sum += count_coefficients(n->blocks[i]);
    }
    return sum;
}

static bool is_crowded(const gen *g, const k_block *block) {
    const cg_target *t = g->m->target;
    return t->fma && t->registers <= 16 && t->opt >= 1 && count_coefficients(block) > MAX_COEFFICIENTS;
}

static V coefficient(gen *g, const k_value *v) {
    V x = gen_vector(g, gen_val(g, v));
    const char *name = rt_arena_fmt(&g->m->c->arena, ".c%d.%s.%a", g->w, rt_dtypes[v->dtype].name, v->f);
    V table = LLVMGetNamedGlobal(g->m->mod, name);
    if (!table) {
        table = LLVMAddGlobal(g->m->mod, LLVMTypeOf(x), name);
        LLVMSetInitializer(table, x);
        LLVMSetGlobalConstant(table, true);
        LLVMSetLinkage(table, LLVMPrivateLinkage);
        LLVMSetUnnamedAddress(table, LLVMGlobalUnnamedAddr);
    }
    return LLVMBuildLoad2(g->m->b, LLVMTypeOf(x), table, "");
}

static void gen_prim(gen *g, const k_inst *n) {
    val in[3], out;
    V args[3];
    bool all_uniform = true;
    for (int i = 0; i < n->nin; i++) {
        in[i] = gen_val(g, n->in[i]);
        all_uniform &= in[i].form == FORM_UNIFORM;
    }
    rt_dtype operand = n->in[n->prim == K_SELECT ? 1 : 0]->dtype, result = n->out[0]->dtype;
    if (n->libm) {
        set(g, n->out[0], libm_prim(g, n, in, all_uniform));
        return;
    }
    if (!all_uniform && affine_prim(g, n, in, &out)) {
        set(g, n->out[0], out);
        return;
    }
    for (int i = 0; i < n->nin; i++) {
        bool table = g->crowded && n->prim == K_FMA && n->in[i]->constant && g->w > 1;
        args[i] = all_uniform ? in[i].v : table ? coefficient(g, n->in[i]) : gen_vector(g, in[i]);
    }
    V r = cg_prim(g->m, n->prim, result, operand, args);
    set(g, n->out[0], all_uniform ? uniform(r) : vector(r));
}

/* ---- loops */

void gen_loop_begin(gen *g, gen_loop *l, V lo, V hi, V step, int n, V *init) {
    LLVMBuilderRef b = g->m->b;
    V runs = less(g, lo, hi);
    int64_t always = 0;
    *l = (gen_loop){.hi = hi, .step = step, .n = n};
    l->init = rt_arena_copy(&g->m->c->arena, init, sizeof(V) * (size_t)n);
    l->phi = RT_ARRAY(&g->m->c->arena, V, n);
    l->head = gen_block(g, "loop");
    l->after = gen_block(g, "after");
    BB from = here(g);
    if (known(runs, &always) && always) LLVMBuildBr(b, l->head);
    else {
        LLVMBuildCondBr(b, runs, l->head, l->after);
        l->before = from;
    }
    gen_at(g, l->head);
    l->i = LLVMBuildPhi(b, g->m->i64, "i");
    LLVMAddIncoming(l->i, &lo, &from, 1);
    for (int i = 0; i < n; i++) {
        l->phi[i] = LLVMBuildPhi(b, LLVMTypeOf(init[i]), "");
        LLVMAddIncoming(l->phi[i], &init[i], &from, 1);
    }
}

void gen_loop_end(gen *g, gen_loop *l, V *next) {
    LLVMBuilderRef b = g->m->b;
    V i = LLVMBuildAdd(b, l->i, l->step, "");
    BB latch = here(g);
    LLVMBuildCondBr(b, less(g, i, l->hi), l->head, l->after);
    LLVMAddIncoming(l->i, &i, &latch, 1);
    for (int k = 0; k < l->n; k++) LLVMAddIncoming(l->phi[k], &next[k], &latch, 1);
    gen_at(g, l->after);
    if (!l->before) return;
    for (int k = 0; k < l->n; k++) next[k] = gen_merge(g, next[k], latch, l->init[k], l->before);
}

static const k_value *carried(const k_inst *n, int i) { return n->blocks[0]->params.at[1 + i]; }

/* Outside of vector loops as it is (a scalar, or lanes); inside as a vector. */
static val carry_val(gen *g, const k_value *v) {
    return g->w > 1 ? vector(gen_vector(g, gen_val(g, v))) : gen_val(g, v);
}

/* One copy of the body for `i`, with carried values cur[] (in, out). */
static void gen_iteration(gen *g, const k_inst *n, val i, val *cur) {
    const k_block *body = n->blocks[0];
    set(g, body->params.at[0], i);
    for (int k = 0; k < n->nout; k++) set(g, carried(n, k), cur[k]);
    gen_body(g, body);
    for (int k = 0; k < n->nout; k++) cur[k] = carry_val(g, body->yields.at[k]);
}

static void values_of(int n, const val *x, V *v) {
    for (int i = 0; i < n; i++) v[i] = x[i].v;
}

static void set_values(int n, val *x, V *v) {
    for (int i = 0; i < n; i++) x[i].v = v[i];
}

static V trip_count(gen *g, const k_inst *n) {
    V lo = gen_uniform(g, n->in[0]), hi = gen_uniform(g, n->in[1]), one = i64_const(g, 1);
    V span = LLVMBuildSub(g->m->b, hi, lo, "");
    if (n->step != 1)
        span = LLVMBuildAdd(
            g->m->b, LLVMBuildUDiv(g->m->b, LLVMBuildSub(g->m->b, span, one, ""), i64_const(g, n->step), ""),
            one, "");
    return LLVMBuildSelect(g->m->b, less(g, lo, hi), span, i64_const(g, 0), "");
}

static V iteration(gen *g, const k_inst *n, V trip) {
    return LLVMBuildAdd(g->m->b, gen_uniform(g, n->in[0]),
                        LLVMBuildMul(g->m->b, trip, i64_const(g, n->step), ""), "");
}

static void gen_unrolled(gen *g, const k_inst *n, int64_t trips, val *cur) {
    for (int64_t t = 0; t < trips; t++) gen_iteration(g, n, uniform(iteration(g, n, i64_const(g, t))), cur);
}

static void gen_counted(gen *g, const k_inst *n, val *cur, V *tmp) {
    gen_loop l;
    values_of(n->nout, cur, tmp);
    gen_loop_begin(g, &l, gen_uniform(g, n->in[0]), gen_uniform(g, n->in[1]), i64_const(g, n->step), n->nout,
                   tmp);
    set_values(n->nout, cur, l.phi);
    gen_iteration(g, n, uniform(l.i), cur);
    values_of(n->nout, cur, tmp);
    gen_loop_end(g, &l, tmp);
    set_values(n->nout, cur, tmp);
}

/* Bounds that differ by lane: goes on while any lane does. */
static void gen_masked_loop(gen *g, const k_inst *n, val *cur, V *tmp) {
    LLVMBuilderRef b = g->m->b;
    V outer = g->mask, lo = gen_vector(g, gen_val(g, n->in[0])), hi = gen_vector(g, gen_val(g, n->in[1]));
    bool sure = g->sure;
    BB from = here(g), head = gen_block(g, "while"), body = gen_block(g, "lanes"),
       after = gen_block(g, "after");
    LLVMBuildBr(b, head);
    gen_at(g, head);
    V i = LLVMBuildPhi(b, LLVMTypeOf(lo), "");
    LLVMAddIncoming(i, &lo, &from, 1);
    V *phi = RT_ARRAY(&g->m->c->arena, V, n->nout);
    for (int k = 0; k < n->nout; k++) {
        phi[k] = LLVMBuildPhi(b, LLVMTypeOf(cur[k].v), "");
        LLVMAddIncoming(phi[k], &cur[k].v, &from, 1);
    }
    V active = less(g, i, hi);
    if (outer) active = LLVMBuildAnd(b, active, outer, "");
    LLVMBuildCondBr(b, gen_any(g, active), body, after);
    gen_at(g, body);
    g->mask = active;
    g->sure = true;
    set_values(n->nout, cur, phi);
    gen_iteration(g, n, vector(i), cur);
    for (int k = 0; k < n->nout; k++) tmp[k] = LLVMBuildSelect(b, active, cur[k].v, phi[k], "");
    V next = LLVMBuildAdd(b, i, gen_splat(g, i64_const(g, n->step), g->w), "");
    BB latch = here(g);
    LLVMBuildBr(b, head);
    LLVMAddIncoming(i, &next, &latch, 1);
    for (int k = 0; k < n->nout; k++) LLVMAddIncoming(phi[k], &tmp[k], &latch, 1);
    gen_at(g, after);
    g->mask = outer;
    g->sure = sure;
    set_values(n->nout, cur, phi);
}

/* The grid loop itself: the iterations that the caller asked for. */
static void gen_grid(gen *g, const k_inst *n) {
    V count = trip_count(g, n), zero = i64_const(g, 0);
    if (g->count) {
        LLVMBuildRet(g->m->b, count);
        gen_at(g, gen_block(g, "dead"));
        return;
    }
    V begin = LLVMBuildSelect(g->m->b, less(g, g->begin, zero), zero, g->begin, "");
    V end = LLVMBuildSelect(g->m->b, less(g, g->end, count), g->end, count, "");
    gen_loop l;
    gen_loop_begin(g, &l, begin, end, i64_const(g, 1), 0, NULL);
    gen_iteration(g, n, uniform(iteration(g, n, l.i)), NULL);
    gen_loop_end(g, &l, NULL);
}

enum { UNROLL_LIMIT = 4096, STRAIGHT_GROUPS = 4, STRAIGHT_SIZE = 400 /* statements */, TILE_GROUPS = 64 };

static void gen_serial(gen *g, const k_inst *n) {
    val *cur = RT_ARRAY(&g->m->c->arena, val, n->nout);
    V *tmp = RT_ARRAY(&g->m->c->arena, V, n->nout);
    int64_t trips;
    val lo = gen_val(g, n->in[0]), hi = gen_val(g, n->in[1]);
    for (int k = 0; k < n->nout; k++) cur[k] = carry_val(g, n->in[2 + k]);
    if (lo.form != FORM_UNIFORM || hi.form != FORM_UNIFORM) gen_masked_loop(g, n, cur, tmp);
    else if (known(trip_count(g, n), &trips) && trips <= (n->kind == KL_UNROLL ? UNROLL_LIMIT : 1))
        gen_unrolled(g, n, trips, cur);
    else gen_counted(g, n, cur, tmp);
    for (int k = 0; k < n->nout; k++) set(g, n->out[k], cur[k]);
}

/* ---- vector loops */

static bool mask_friendly(const gen *g, const k_block *block) {
    if (!g->m->target->masked) return false;
    for (const k_inst *n = block->first; n; n = n->next) {
        if (n->op == KO_LOAD || n->op == KO_STORE) {
            int bytes = rt_dtypes[n->buffers[0]->dtype].bytes;
            if (bytes < 4 && !g->m->target->masked_all) return false;
        }
        for (int i = 0; i < n->nblocks; i++)
            if (!mask_friendly(g, n->blocks[i])) return false;
    }
    return true;
}

static val lane_var(gen *g, const k_inst *n, V trip) {
    V i = iteration(g, n, trip);
    return g->w > 1 ? (val){FORM_AFFINE, i, i64_const(g, n->step)} : uniform(i);
}

/* Register tiles stay in registers only if they are accessed at constant places. */
static bool touches_tile(const k_block *block) {
    for (const k_inst *n = block->first; n; n = n->next) {
        for (int i = 0; i < n->nbuffers; i++)
            if (n->buffers[i]->scope == KS_REGISTER) return true;
        for (int i = 0; i < n->nblocks; i++)
            if (touches_tile(n->blocks[i])) return true;
    }
    return false;
}

static int statements(const k_block *block) {
    int size = 0;
    for (const k_inst *n = block->first; n; n = n->next) {
        size++;
        for (int i = 0; i < n->nblocks; i++) size += statements(n->blocks[i]);
    }
    return size;
}

/* Is the body better repeated in the code than looped over? */
static bool straight(const gen *g, const k_block *body, int64_t trips) {
    int64_t groups = trips / g->w;
    if (touches_tile(body)) return groups <= TILE_GROUPS;
    return groups <= STRAIGHT_GROUPS && (groups < 2 || groups * statements(body) <= STRAIGHT_SIZE);
}

/* Whole groups: trips 0, w, ... main - w. */
static void vector_main(gen *g, const k_inst *n, V main, val *cur, V *tmp) {
    int64_t k;
    if (known(main, &k) && straight(g, n->blocks[0], k)) {
        for (int64_t t = 0; t < k; t += g->w) gen_iteration(g, n, lane_var(g, n, i64_const(g, t)), cur);
        return;
    }
    gen_loop l;
    values_of(n->nout, cur, tmp);
    gen_loop_begin(g, &l, i64_const(g, 0), main, i64_const(g, g->w), n->nout, tmp);
    set_values(n->nout, cur, l.phi);
    gen_iteration(g, n, lane_var(g, n, l.i), cur);
    values_of(n->nout, cur, tmp);
    gen_loop_end(g, &l, tmp);
    set_values(n->nout, cur, tmp);
}

static void vector_rest_masked(gen *g, const k_inst *n, V main, V count, val *cur) {
    V rest = LLVMBuildSub(g->m->b, count, main, "");
    V small = LLVMBuildTrunc(g->m->b, rest, g->m->i32, "");
    BB before = here(g), then = gen_block(g, "rest"), join = gen_block(g, "done");
    LLVMBuildCondBr(g->m->b, less(g, main, count), then, join);
    gen_at(g, then);
    g->mask = g->prefix = less(g, gen_iota(g, g->m->i32, g->w), gen_splat(g, small, g->w));
    g->sure = true;
    V *old = RT_ARRAY(&g->m->c->arena, V, n->nout), mask = g->mask;
    values_of(n->nout, cur, old);
    gen_iteration(g, n, lane_var(g, n, main), cur);
    for (int k = 0; k < n->nout; k++) cur[k].v = LLVMBuildSelect(g->m->b, mask, cur[k].v, old[k], "");
    g->mask = g->prefix = NULL;
    g->sure = false;
    LLVMBuildBr(g->m->b, join);
    then = here(g);
    gen_at(g, join);
    for (int k = 0; k < n->nout; k++) cur[k].v = gen_merge(g, old[k], before, cur[k].v, then);
}

static void vector_rest_scalar(gen *g, const k_inst *n, V main, V count, val *cur, V *tmp) {
    int w = g->w;
    gen_loop l;
    values_of(n->nout, cur, tmp);
    gen_loop_begin(g, &l, main, count, i64_const(g, 1), n->nout, tmp);
    V lane = LLVMBuildSub(g->m->b, l.i, main, "");
    g->w = 1;
    g->lane = lane;
    for (int k = 0; k < n->nout; k++) cur[k] = uniform(LLVMBuildExtractElement(g->m->b, l.phi[k], lane, ""));
    gen_iteration(g, n, lane_var(g, n, l.i), cur);
    g->w = w;
    for (int k = 0; k < n->nout; k++) tmp[k] = LLVMBuildInsertElement(g->m->b, l.phi[k], cur[k].v, lane, "");
    gen_loop_end(g, &l, tmp);
    for (int k = 0; k < n->nout; k++) cur[k] = vector(tmp[k]);
}

static void gen_vector_loop(gen *g, const k_inst *n) {
    int w = n->width ? n->width : g->m->target->width;
    int64_t trips;
    val *cur = RT_ARRAY(&g->m->c->arena, val, n->nout);
    V *tmp = RT_ARRAY(&g->m->c->arena, V, n->nout), count = trip_count(g, n), main;
    if (known(count, &trips)) main = i64_const(g, trips - trips % w);
    else if (w & (w - 1))
        main = LLVMBuildSub(g->m->b, count, LLVMBuildURem(g->m->b, count, i64_const(g, w), ""), "");
    else main = LLVMBuildAnd(g->m->b, count, i64_const(g, -(int64_t)w), "");
    g->w = w;
    g->crowded = is_crowded(g, n->blocks[0]);
    for (int k = 0; k < n->nout; k++) cur[k] = per_lane(g, gen_vector(g, gen_val(g, n->in[2 + k])));
    vector_main(g, n, main, cur, tmp);
    bool whole = w == 1 || (known(count, &trips) && trips % w == 0);
    if (!whole && mask_friendly(g, n->blocks[0])) vector_rest_masked(g, n, main, count, cur);
    else if (!whole) vector_rest_scalar(g, n, main, count, cur, tmp);
    g->w = 1;
    for (int k = 0; k < n->nout; k++) set(g, n->out[k], cur[k]);
}

/* ---- lane_reduce */

static V half(gen *g, V x, int from, int n) {
    V at[K_MAX_WIDTH];
    if (n == 1) return LLVMBuildExtractElement(g->m->b, x, i32_const(g, from), "");
    for (int i = 0; i < n; i++) at[i] = i32_const(g, from + i);
    return LLVMBuildShuffleVector(g->m->b, x, LLVMGetPoison(LLVMTypeOf(x)), LLVMConstVector(at, (unsigned)n),
                                  "");
}

static void combine(gen *g, const k_inst *n, V *left, V *right) {
    if (n->prim != K_COUNT) {
        rt_dtype d = n->in[0]->dtype;
        left[0] = cg_prim(g->m, n->prim, d, d, (V[]){left[0], right[0]});
        return;
    }
    const k_block *b = n->blocks[0];
    for (int i = 0; i < n->nin; i++) {
        set(g, b->params.at[i], per_lane(g, left[i]));
        set(g, b->params.at[n->nin + i], per_lane(g, right[i]));
    }
    gen_body(g, b);
    for (int i = 0; i < n->nin; i++) left[i] = gen_vector(g, gen_val(g, b->yields.at[i]));
}

static void gen_reduce(gen *g, const k_inst *n) {
    int w = n->width ? n->width : g->m->target->width;
    V *x = RT_ARRAY(&g->m->c->arena, V, n->nin), *right = RT_ARRAY(&g->m->c->arena, V, n->nin);
    for (int i = 0; i < n->nin; i++) x[i] = gen_uniform(g, n->in[i]);
    for (int h = w / 2; h > 0; h /= 2) {
        g->w = h;
        for (int i = 0; i < n->nin; i++) {
            right[i] = half(g, x[i], h, h);
            x[i] = half(g, x[i], 0, h);
        }
        combine(g, n, x, right);
    }
    g->w = 1;
    for (int i = 0; i < n->nin; i++) set(g, n->out[i], uniform(x[i]));
}

/* ---- if */

static bool is_heavy(const k_block *block) {
    int size = 0;
    for (const k_inst *n = block->first; n; n = n->next) {
        if (n->op == KO_FOR || n->libm || ++size > 16) return true;
        for (int i = 0; i < n->nblocks; i++)
            if (is_heavy(n->blocks[i])) return true;
    }
    return false;
}

/* The same condition for all lanes: branches. */
static void if_uniform(gen *g, const k_inst *n, V cond) {
    LLVMBuilderRef b = g->m->b;
    int64_t c;
    val *x = RT_ARRAY(&g->m->c->arena, val, 2 * n->nout);
    BB arm[2], end[2], join = NULL;
    if (known(cond, &c)) {
        gen_body(g, n->blocks[c ? 0 : 1]);
        for (int i = 0; i < n->nout; i++) set(g, n->out[i], gen_val(g, n->blocks[c ? 0 : 1]->yields.at[i]));
        return;
    }
    arm[0] = gen_block(g, "then"), arm[1] = gen_block(g, "else"), join = gen_block(g, "endif");
    LLVMBuildCondBr(b, cond, arm[0], arm[1]);
    for (int a = 0; a < 2; a++) {
        gen_at(g, arm[a]);
        gen_body(g, n->blocks[a]);
        for (int i = 0; i < n->nout; i++) x[a * n->nout + i] = gen_val(g, n->blocks[a]->yields.at[i]);
        end[a] = here(g);
    }
    for (int a = 0; a < 2; a++) {
        gen_at(g, end[a]);
        for (int i = 0; i < n->nout; i++)
            if (x[i].form != FORM_UNIFORM || x[n->nout + i].form != FORM_UNIFORM)
                x[a * n->nout + i].v = gen_vector(g, x[a * n->nout + i]);
        LLVMBuildBr(b, join);
    }
    gen_at(g, join);
    for (int i = 0; i < n->nout; i++) {
        bool same = x[i].form == FORM_UNIFORM && x[n->nout + i].form == FORM_UNIFORM;
        V r = gen_merge(g, x[i].v, end[0], x[n->nout + i].v, end[1]);
        set(g, n->out[i], same ? uniform(r) : vector(r));
    }
}

/* One arm under a mask; results as vectors.  A long arm is jumped over if no lane takes it. */
static void if_arm(gen *g, const k_inst *n, int a, V mask, V *x) {
    const k_block *block = n->blocks[a];
    V outer = g->mask;
    bool sure = g->sure, heavy = is_heavy(block);
    BB before = here(g), then = NULL, join = NULL;
    if (heavy) {
        then = gen_block(g, "some"), join = gen_block(g, "none");
        LLVMBuildCondBr(g->m->b, gen_any(g, mask), then, join);
        gen_at(g, then);
    }
    g->mask = mask;
    g->sure = heavy;
    gen_body(g, block);
    for (int i = 0; i < n->nout; i++) x[i] = gen_vector(g, gen_val(g, block->yields.at[i]));
    g->mask = outer;
    g->sure = sure;
    if (!heavy) return;
    then = here(g);
    LLVMBuildBr(g->m->b, join);
    gen_at(g, join);
    for (int i = 0; i < n->nout; i++)
        x[i] = gen_merge(g, x[i], then, LLVMGetPoison(LLVMTypeOf(x[i])), before);
}

static void gen_if(gen *g, const k_inst *n) {
    val cond = gen_val(g, n->in[0]);
    if (cond.form == FORM_UNIFORM) {
        if_uniform(g, n, cond.v);
        return;
    }
    V not = LLVMBuildNot(g->m->b, cond.v, ""), mask[2] = {cond.v, not };
    V *x = RT_ARRAY(&g->m->c->arena, V, 2 * n->nout);
    for (int a = 0; a < 2; a++) {
        if (g->mask) mask[a] = LLVMBuildAnd(g->m->b, g->mask, mask[a], "");
        if_arm(g, n, a, mask[a], x + a * n->nout);
    }
    for (int i = 0; i < n->nout;
         i++) /* lanes out of the context's mask hold anything: freeze keeps poison from spreading */
        set(g, n->out[i],
            vector(LLVMBuildSelect(g->m->b, cond.v, LLVMBuildFreeze(g->m->b, x[i], ""),
                                   LLVMBuildFreeze(g->m->b, x[n->nout + i], ""), "")));
}

/* ---- leaving, calling */

static void return_status(gen *g, V status) {
    if (g->count) LLVMBuildRet(g->m->b, i64_const(g, 0));
    else LLVMBuildRet(g->m->b, status);
}

static V first_lane(gen *g) {
    unsigned n = (unsigned)g->w;
    if (!g->mask) return i64_const(g, 0);
    T bits = LLVMIntTypeInContext(g->m->cx, n);
    V m = LLVMBuildZExt(g->m->b, LLVMBuildBitCast(g->m->b, g->mask, bits, ""),
                        LLVMIntTypeInContext(g->m->cx, n < 64 ? 64 : 128), "");
    T t = LLVMTypeOf(m);
    V lane = cg_intrinsic(g->m, "llvm.cttz", 1, &t, 2, (V[]){m, LLVMConstInt(g->m->i1, 0, false)});
    return n < 64 ? lane : LLVMBuildTrunc(g->m->b, lane, g->m->i64, "");
}

static V value_at_lane(gen *g, val x, V lane) {
    if (x.form == FORM_UNIFORM) return x.v;
    if (x.form == FORM_VECTOR) return LLVMBuildExtractElement(g->m->b, x.v, lane, "");
    return LLVMBuildAdd(g->m->b, x.v, LLVMBuildMul(g->m->b, x.stride, lane, ""), "");
}

static void gen_raise(gen *g, const k_inst *n) {
    BB after = gen_block(g, "unraised");
    if (g->w > 1 && g->mask && !g->sure) {
        BB some = gen_block(g, "raise");
        LLVMBuildCondBr(g->m->b, gen_any(g, g->mask), some, after);
        gen_at(g, some);
    }
    V lane = g->w > 1 ? first_lane(g) : NULL;
    for (int i = 0; i < n->nin && !g->count; i++) {
        V at = i64_const(g, i), p = LLVMBuildGEP2(g->m->b, g->m->i64, g->error, &at, 1, "");
        LLVMBuildStore(g->m->b, value_at_lane(g, gen_val(g, n->in[i]), lane), p);
    }
    return_status(g, i32_const(g, n->code));
    gen_at(g, after);
}

static void gen_call(gen *g, const k_inst *n) {
    cg_kernel *f = cg_add_kernel(g->m, n->callee, NULL, false);
    if (!f) return;
    int count = n->nin + 3;
    V *args = RT_ARRAY(&g->m->c->arena, V, count);
    for (int i = 0; i < n->nin; i++) {
        V x = gen_uniform(g, n->in[i]);
        args[i] = i < n->nbuffers ? gen_address(g, n->buffers[i], x) : x;
    }
    args[count - 3] = i64_const(g, 0);
    args[count - 2] = i64_const(g, INT64_MAX);
    args[count - 1] = g->error;
    V status = LLVMBuildCall2(g->m->b, f->direct_type, f->direct, args, (unsigned)count, "");
    BB bad = gen_block(g, "failed"), good = gen_block(g, "called");
    LLVMBuildCondBr(g->m->b, LLVMBuildICmp(g->m->b, LLVMIntNE, status, i32_const(g, 0), ""), bad, good);
    gen_at(g, bad);
    return_status(g, status);
    gen_at(g, good);
}

/* There is nothing to overlap with on a CPU: copies at once. */
static void gen_copy(gen *g, const k_inst *n) {
    const k_buffer *dst = n->buffers[0];
    V size = i64_const(g, rt_dtypes[dst->dtype].bytes), count = gen_uniform(g, n->in[2]),
      zero = i64_const(g, 0);
    count = LLVMBuildSelect(g->m->b, less(g, count, zero), zero, count, "");
    LLVMBuildMemMove(g->m->b, gen_address(g, dst, gen_uniform(g, n->in[0])), 1,
                     gen_address(g, n->buffers[1], gen_uniform(g, n->in[1])), 1,
                     LLVMBuildMul(g->m->b, count, size, ""));
}

static void gen_inst(gen *g, const k_inst *n) {
    switch (n->op) {
    case KO_PRIM: gen_prim(g, n); break;
    case KO_LOAD: gen_load(g, n); break;
    case KO_STORE: gen_store(g, n); break;
    case KO_FOR:
        if (n->kind == KL_VECTOR || n->kind == KL_LANE) gen_vector_loop(g, n);
        else if (n->kind == KL_GRID && n->block == g->k->body) gen_grid(g, n);
        else gen_serial(g, n);
        break;
    case KO_IF: gen_if(g, n); break;
    case KO_RAISE: gen_raise(g, n); break;
    case KO_CALL: gen_call(g, n); break;
    case KO_REDUCE: gen_reduce(g, n); break;
    case KO_CONTRACT: gen_contract(g, n); break;
    case KO_ASYNC_COPY: gen_copy(g, n); break;
    case KO_TRANSPOSE: gen_transpose(g, n); break;
    case KO_PREFETCH: gen_prefetch(g, gen_address(g, n->buffers[0], gen_uniform(g, n->in[0])), 3); break;
    case KO_BARRIER:
    case KO_ASYNC_WAIT: break;
    }
}

static void gen_body(gen *g, const k_block *block) {
    for (const k_inst *n = block->first; n; n = n->next) gen_inst(g, n);
}

/* ---- functions */

static const char *suffixed(gen *g, const char *suffix) {
    return rt_arena_fmt(&g->m->c->arena, "%s%s", g->k->name, suffix);
}

static V make_table(gen *g, const k_buffer *buf) {
    size_t bytes = (size_t)buf->size * (size_t)rt_dtypes[buf->dtype].bytes;
    return cg_bytes(g->m, suffixed(g, ".table"), buf->data, bytes, 64);
}

/* Scratch has a vector's room behind its end, so that a vector load of its last elements stays inside. */
static V make_scratch(gen *g, const k_buffer *buf) {
    uint64_t size = (uint64_t)buf->size + (uint64_t)K_MAX_WIDTH;
    T t = LLVMArrayType2(cg_memory_type(g->m, buf->dtype), size);
    V p = LLVMBuildAlloca(g->m->b, t, buf->name);
    LLVMSetAlignment(p, 64);
    if (buf->scope == KS_REGISTER) g->m->registers = true;
    return p;
}

static void add_noalias(gen *g, unsigned param) {
    unsigned kind = LLVMGetEnumAttributeKindForName("noalias", 7);
    LLVMAddAttributeAtIndex(g->fn, param + 1, LLVMCreateEnumAttribute(g->m->cx, kind, 0));
}

static void start_function(gen *g, V fn) {
    g->fn = fn;
    gen_at(g, gen_block(g, "entry"));
    for (int i = g->k->nargs; i < g->k->buffers.n; i++) {
        const k_buffer *buf = g->k->buffers.at[i];
        if (buf->scope == KS_TABLE) g->bufs[i] = make_table(g, buf);
        else
            g->bufs[i] = g->count ? LLVMGetPoison(g->m->ptr)
                                  : make_scratch(g, buf); /* nothing writes before the grid loop */
    }
}

static void end_function(gen *g) {
    if (g->fences && g->m->target->arch == CG_X86)
        cg_intrinsic(g->m, "llvm.x86.sse.sfence", 0, NULL, 0, NULL);
    return_status(g, i32_const(g, 0));
}

/* Without a grid loop there is one iteration, number 0. */
static void gen_single(gen *g) {
    V zero = i64_const(g, 0);
    V runs = LLVMBuildAnd(g->m->b, LLVMBuildICmp(g->m->b, LLVMIntSLE, g->begin, zero, ""),
                          less(g, zero, g->end), "");
    BB body = gen_block(g, "body"), skip = gen_block(g, "skip");
    LLVMBuildCondBr(g->m->b, runs, body, skip);
    gen_at(g, skip);
    LLVMBuildRet(g->m->b, i32_const(g, 0));
    gen_at(g, body);
    gen_body(g, g->k->body);
}

static void gen_direct(gen *g, cg_kernel *out) {
    const k_kernel *k = g->k;
    int nb = k->nargs, ns = k->scalars.n, n = nb + ns + 3;
    T *types = RT_ARRAY(&g->m->c->arena, T, n);
    for (int i = 0; i < nb; i++) types[i] = g->m->ptr;
    for (int i = 0; i < ns; i++) types[nb + i] = cg_type(g->m, k->scalars.at[i]->dtype);
    types[n - 3] = types[n - 2] = g->m->i64;
    types[n - 1] = g->m->ptr;
    out->direct_type = LLVMFunctionType(g->m->i32, types, (unsigned)n, false);
    out->direct = cg_function(g->m, suffixed(g, ".work"), out->direct_type, false);
    start_function(g, out->direct);
    for (int i = 0; i < nb; i++) {
        g->bufs[i] = LLVMGetParam(g->fn, (unsigned)i);
        if (!k->buffers.at[i]->may_alias) add_noalias(g, (unsigned)i);
        if (k->buffers.at[i]->align) {
            unsigned kind = LLVMGetEnumAttributeKindForName("align", 5);
            LLVMAddAttributeAtIndex(
                g->fn, (unsigned)i + 1,
                LLVMCreateEnumAttribute(g->m->cx, kind, (uint64_t)k->buffers.at[i]->align));
        }
    }
    for (int i = 0; i < ns; i++) set(g, k->scalars.at[i], uniform(LLVMGetParam(g->fn, (unsigned)(nb + i))));
    g->begin = LLVMGetParam(g->fn, (unsigned)n - 3);
    g->end = LLVMGetParam(g->fn, (unsigned)n - 2);
    g->error = LLVMGetParam(g->fn, (unsigned)n - 1);
    if (k_grid(k)) gen_body(g, k->body);
    else gen_single(g);
    end_function(g);
}

static V slot(gen *g, V array, T type, int i) {
    V at = i64_const(g, i);
    return LLVMBuildLoad2(g->m->b, type, LLVMBuildGEP2(g->m->b, type, array, &at, 1, ""), "");
}

static V scalar_argument(gen *g, V scalars, int i) {
    rt_dtype d = g->k->scalars.at[i]->dtype;
    V bits = slot(g, scalars, g->m->i64, i);
    if (d == DT_F64) return LLVMBuildBitCast(g->m->b, bits, g->m->f64, "");
    if (d == DT_F32)
        return LLVMBuildBitCast(g->m->b, LLVMBuildTrunc(g->m->b, bits, g->m->i32, ""), g->m->f32, "");
    return d == DT_I64 ? bits : LLVMBuildTrunc(g->m->b, bits, cg_type(g->m, d), "");
}

/* Loads the arguments from the arrays of the uniform entry into args[]. */
static void unpack(gen *g, V *args) {
    V buffers = LLVMGetParam(g->fn, 0), scalars = LLVMGetParam(g->fn, 1);
    for (int i = 0; i < g->k->nargs; i++) args[i] = slot(g, buffers, g->m->ptr, i);
    for (int i = 0; i < g->k->scalars.n; i++) args[g->k->nargs + i] = scalar_argument(g, scalars, i);
}

static void gen_entry(gen *g, cg_kernel *out, const char *symbol, bool exported) {
    cg_module *m = g->m;
    int n = g->k->nargs + g->k->scalars.n + 3;
    out->entry_type = LLVMFunctionType(m->i32, (T[]){m->ptr, m->ptr, m->i64, m->i64, m->ptr}, 5, false);
    out->entry = g->fn = cg_function(m, symbol, out->entry_type, exported);
    gen_at(g, gen_block(g, "entry"));
    V *args = RT_ARRAY(&m->c->arena, V, n);
    unpack(g, args);
    for (int i = 0; i < 3; i++) args[n - 3 + i] = LLVMGetParam(g->fn, (unsigned)(2 + i));
    LLVMBuildRet(m->b, LLVMBuildCall2(m->b, out->direct_type, out->direct, args, (unsigned)n, ""));
}

static void gen_count(gen *g, cg_kernel *out, const char *symbol, bool exported) {
    cg_module *m = g->m;
    out->count_type = LLVMFunctionType(m->i64, (T[]){m->ptr, m->ptr}, 2, false);
    out->count = cg_function(m, rt_arena_fmt(&m->c->arena, "%s.count", symbol), out->count_type, exported);
    g->count = true;
    start_function(g, out->count);
    V *args = RT_ARRAY(&m->c->arena, V, g->k->nargs + g->k->scalars.n);
    unpack(g, args);
    for (int i = 0; i < g->k->nargs; i++) g->bufs[i] = args[i];
    for (int i = 0; i < g->k->scalars.n; i++) set(g, g->k->scalars.at[i], uniform(args[g->k->nargs + i]));
    if (k_grid(g->k)) {
        gen_body(g, g->k->body);
        LLVMBuildUnreachable(m->b);
    } else LLVMBuildRet(m->b, i64_const(g, 1));
}

static bool add_callees(cg_module *m, const k_block *block) {
    for (const k_inst *n = block->first; n; n = n->next) {
        if (n->op == KO_CALL && !cg_add_kernel(m, n->callee, NULL, false)) return false;
        for (int i = 0; i < n->nblocks; i++)
            if (!add_callees(m, n->blocks[i])) return false;
    }
    return true;
}

cg_kernel *cg_add_kernel(cg_module *m, const k_kernel *k, const char *symbol, bool exported) {
    for (int i = 0; i < m->kernels.n; i++)
        if (m->kernels.at[i]->k == k && m->kernels.at[i]->target == m->target) return m->kernels.at[i];
    if (!k_verify(k) || !add_callees(m, k->body)) return NULL;
    const k_kernel *basic = k_expand_math(k);
    cg_kernel *out = RT_NEW(&m->c->arena, cg_kernel);
    gen g = {.m = m, .k = basic, .w = 1};
    g.vals = RT_ARRAY(&m->c->arena, val, basic->nvalues);
    g.windows = RT_ARRAY(&m->c->arena, gen_window, basic->nvalues);
    g.bufs = RT_ARRAY(&m->c->arena, V, basic->buffers.n);
    out->k = k;
    out->target = m->target;
    if (!symbol) symbol = k->name;
    gen_direct(&g, out);
    gen_entry(&g, out, symbol, exported);
    gen_count(&g, out, symbol, exported);
    RT_PUSH(&m->c->arena, &m->kernels, out);
    return out;
}
