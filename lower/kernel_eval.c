/* kernel_eval.c: the interpreter of the kernel IR, on raw memory: the reference for code generation.
 *
 * Every value has one slot per lane; outside of vector loops only lane 0 is in use, except for lane values.
 * Inside, statements act on the lanes that are `active`, in lockstep and in lane order.  Slow and plain on
 * purpose. */
#include "lower/kernel.h"

#include <math.h>

typedef struct interp {
    const k_kernel *k;
    int width, target; /* slots per value; lanes of a loop of width 0 */
    ir_scalar *slots, *temp;
    bool *wide;     /* by value id: does it differ by lane */
    char **memory;  /* by position of the buffer in the kernel */
    int64_t *sizes; /* elements, INT64_MAX if not known */
    int lanes;
    bool active[K_MAX_WIDTH];
    int64_t begin, end, *error;
    bool counting; /* stop at the grid loop and give its count */
    int64_t count;
    int status;
} interp;

/* ---- values */

static ir_scalar get(const interp *in, const k_value *v, int lane) {
    if (v->constant) return rt_dtypes[v->dtype].kind == 'F' ? (ir_scalar){.f = v->f} : (ir_scalar){.i = v->i};
    return in->slots[(size_t)v->id * (size_t)in->width + (size_t)(in->wide[v->id] ? lane : 0)];
}

static void set(interp *in, const k_value *v, int lane, ir_scalar x) {
    in->wide[v->id] = in->lanes > 1 || v->lanes;
    in->slots[(size_t)v->id * (size_t)in->width + (size_t)lane] = x;
}

static bool any_active(const interp *in) {
    for (int l = 0; l < in->lanes; l++)
        if (in->active[l]) return true;
    return false;
}

/* dst[i] = src[i] at once, in the active lanes; lane values as a whole. */
static void copy_values(interp *in, int n, k_value *const *dst, k_value *const *src) {
    for (int i = 0; i < n; i++)
        for (int l = 0; l < in->width; l++) in->temp[i * in->width + l] = get(in, src[i], l);
    for (int i = 0; i < n; i++)
        for (int l = 0; l < (dst[i]->lanes ? in->width : in->lanes); l++)
            if (dst[i]->lanes || in->active[l]) set(in, dst[i], l, in->temp[i * in->width + l]);
}

/* ---- memory */

static int position(const interp *in, const k_buffer *buf) {
    for (int i = 0; i < in->k->buffers.n; i++)
        if (in->k->buffers.at[i] == buf) return i;
    return 0;
}

static bool accessible(interp *in, int buf, int64_t i, int64_t n) {
    if (i >= 0 && n >= 0 && i <= in->sizes[buf] - n) return true;
    in->status = K_BAD_ACCESS;
    return false;
}

static ir_scalar load_element(const interp *in, int buf, int64_t i) {
    rt_dtype d = in->k->buffers.at[buf]->dtype;
    if (rt_dtypes[d].kind == 'F') return (ir_scalar){.f = rt_load_f64(in->memory[buf], d, i)};
    int64_t x = rt_load_i64(in->memory[buf], d, i);
    return (ir_scalar){.i = d == DT_BOOL ? x != 0 : x};
}

static void store_element(interp *in, int buf, int64_t i, ir_scalar x) {
    rt_dtype d = in->k->buffers.at[buf]->dtype;
    if (rt_dtypes[d].kind == 'F') rt_store_f64(in->memory[buf], d, i, x.f);
    else rt_store_i64(in->memory[buf], d, i, x.i);
}

static void exec_load(interp *in, const k_inst *n) {
    int buf = position(in, n->buffers[0]);
    for (int l = 0; l < in->lanes; l++) {
        int64_t i = get(in, n->in[0], l).i;
        if (n->group) i += n->place - l % n->group;
        if (!in->active[l]) continue;
        if (n->nin == 3 && !get(in, n->in[1], l).i) set(in, n->out[0], l, get(in, n->in[2], l));
        else if (accessible(in, buf, i, 1)) set(in, n->out[0], l, load_element(in, buf, i));
    }
}

static void exec_store(interp *in, const k_inst *n) {
    int buf = position(in, n->buffers[0]);
    for (int l = 0; l < in->lanes; l++) {
        int64_t i = get(in, n->in[0], l).i;
        if (!in->active[l] || (n->nin == 3 && !n->group && !get(in, n->in[2], l).i)) continue;
        for (int j = 0; j < (n->group ? n->group : 1); j++)
            if (accessible(in, buf, i + j, 1)) store_element(in, buf, i + j, get(in, n->in[1 + j], l));
    }
}

static void exec_copy(interp *in, const k_inst *n) {
    int dst = position(in, n->buffers[0]), src = position(in, n->buffers[1]);
    for (int l = 0; l < in->lanes; l++) {
        int64_t di = get(in, n->in[0], l).i, si = get(in, n->in[1], l).i, count = get(in, n->in[2], l).i;
        if (!in->active[l] || count <= 0 || !accessible(in, dst, di, count) ||
            !accessible(in, src, si, count))
            continue;
        size_t size = (size_t)rt_dtypes[n->buffers[0]->dtype].bytes;
        memmove(in->memory[dst] + (size_t)di * size, in->memory[src] + (size_t)si * size,
                (size_t)count * size);
    }
}

static void exec_transpose(interp *in, const k_inst *n) {
    int dst = position(in, n->buffers[0]), src = position(in, n->buffers[1]);
    int64_t at[6];
    for (int i = 0; i < 6; i++) at[i] = get(in, n->in[i], 0).i;
    for (int64_t j = 0; j < at[4]; j++)
        for (int64_t i = 0; i < n->code; i++) {
            int64_t from = at[2] + (i < at[5] ? i : at[5] - 1) * at[3] + j;
            if (!accessible(in, src, from, 1)) return;
            store_element(in, dst, at[0] + j * at[1] + i, load_element(in, src, from));
        }
}

/* ---- primitives, tiles, lanes */

static void exec_prim(interp *in, const k_inst *n) {
    rt_dtype d = n->in[n->prim == K_SELECT ? 1 : 0]->dtype;
    for (int l = 0; l < in->lanes; l++) {
        if (!in->active[l]) continue;
        ir_scalar args[3] = {{0}};
        for (int i = 0; i < n->nin; i++) args[i] = get(in, n->in[i], l);
        if (n->libm) set(in, n->out[0], l, (ir_scalar){.f = k_math_call(n->prim, d, args[0].f, args[1].f)});
        else set(in, n->out[0], l, ir_prim_eval(n->prim, n->out[0]->dtype, d, args));
    }
}

static ir_scalar madd(rt_dtype d, ir_scalar a, ir_scalar b, ir_scalar c) {
    if (rt_dtypes[d].kind == 'F') return ir_prim_eval(K_FMA, d, d, (ir_scalar[]){a, b, c});
    ir_scalar p = ir_prim_eval(K_MUL, d, d, (ir_scalar[]){a, b});
    return ir_prim_eval(K_ADD, d, d, (ir_scalar[]){p, c});
}

static ir_scalar contract_element(interp *in, const k_inst *n, const int *buf, int64_t ai, int64_t bi,
                                  ir_scalar first) {
    rt_dtype d = n->buffers[0]->dtype;
    int split = n->contract->split;
    int64_t K = get(in, n->in[0], 0).i, kb = get(in, n->in[2], 0).i, ka = get(in, n->in[3], 0).i;
    ir_scalar sum[16] = {first};
    for (int64_t k = 0; k < K; k++, ai += ka, bi += kb) {
        if (!accessible(in, buf[1], ai, 1) || !accessible(in, buf[2], bi, 1)) return first;
        ir_scalar a = load_element(in, buf[1], ai), b = load_element(in, buf[2], bi);
        a = ir_prim_eval(K_CAST, d, n->buffers[1]->dtype, &a);
        b = ir_prim_eval(K_CAST, d, n->buffers[2]->dtype, &b);
        sum[k % split] = madd(d, a, b, sum[k % split]);
    }
    for (int h = split / 2; h > 0; h /= 2)
        for (int i = 0; i < h; i++) sum[i] = ir_prim_eval(K_ADD, d, d, (ir_scalar[]){sum[i], sum[i + h]});
    return sum[0];
}

static void exec_contract(interp *in, const k_inst *n) {
    const k_contract *t = n->contract;
    int buf[3], at = 4 + t->rows;
    for (int i = 0; i < 3; i++) buf[i] = position(in, n->buffers[i]);
    int64_t stride = t->rows == 1 ? get(in, n->in[at++], 0).i : 0;
    int64_t cols = t->cols ? get(in, n->in[at], 0).i : t->n, bi = get(in, n->in[1], 0).i;
    for (int i = 0; i < t->m; i++) {
        int64_t ai = t->rows == 1 ? get(in, n->in[4], 0).i + i * stride : get(in, n->in[4 + i], 0).i;
        for (int j = 0; j < t->n && j < cols; j++) {
            ir_scalar x = load_element(in, buf[0], (int64_t)i * t->n + j);
            store_element(in, buf[0], (int64_t)i * t->n + j, contract_element(in, n, buf, ai, bi + j, x));
        }
    }
}

static bool exec_block(interp *in, const k_block *block);

static void exec_reduce(interp *in, const k_inst *n) {
    int w = n->width ? n->width : in->target, count = n->nin;
    ir_scalar *state = rt_malloc(sizeof *state * (size_t)count * (size_t)w);
    if (!state) {
        in->status = K_NO_MEMORY;
        return;
    }
    for (int i = 0; i < count; i++)
        for (int l = 0; l < w; l++) state[i * w + l] = get(in, n->in[i], l);
    for (int h = w / 2; h > 0; h /= 2)
        for (int l = 0; l < h; l++) {
            rt_dtype d = n->in[0]->dtype;
            if (n->prim != K_COUNT) {
                state[l] = ir_prim_eval(n->prim, d, d, (ir_scalar[]){state[l], state[l + h]});
                continue;
            }
            const k_block *b = n->blocks[0];
            for (int i = 0; i < count; i++) {
                set(in, b->params.at[i], 0, state[i * w + l]);
                set(in, b->params.at[count + i], 0, state[i * w + l + h]);
            }
            exec_block(in, b);
            for (int i = 0; i < count; i++) state[i * w + l] = get(in, b->yields.at[i], 0);
        }
    for (int i = 0; i < count; i++) set(in, n->out[i], 0, state[i * w]);
    rt_free(state);
}

/* ---- control */

static int64_t trips(int64_t lo, int64_t hi, int64_t step) {
    return hi > lo ? (int64_t)(((uint64_t)hi - (uint64_t)lo - 1) / (uint64_t)step) + 1 : 0;
}

static bool exec_vector(interp *in, const k_inst *n) {
    const k_block *body = n->blocks[0];
    int w = n->width ? n->width : in->target, carried = n->nout;
    int64_t lo = get(in, n->in[0], 0).i, count = trips(lo, get(in, n->in[1], 0).i, n->step);
    in->lanes = w;
    for (int l = 0; l < w; l++) in->active[l] = true;
    copy_values(in, carried, body->params.at + 1, n->in + 2);
    for (int64_t t = 0; t < count && !in->status; t += w) {
        for (int l = 0; l < w; l++) in->active[l] = t + l < count;
        for (int l = 0; l < w && t + l < count; l++)
            set(in, body->params.at[0], l, (ir_scalar){.i = lo + (t + l) * n->step});
        if (!exec_block(in, body)) break;
        copy_values(in, carried, body->params.at + 1, body->yields.at);
    }
    for (int l = 0; l < w; l++) in->active[l] = true;
    copy_values(in, carried, n->out, body->params.at + 1);
    in->lanes = 1;
    return !in->status;
}

static bool exec_for(interp *in, const k_inst *n) {
    const k_block *body = n->blocks[0];
    bool outer[K_MAX_WIDTH];
    int64_t t[K_MAX_WIDTH] = {0}, end[K_MAX_WIDTH] = {0};
    bool grid = n->kind == KL_GRID && n->block == in->k->body;
    memcpy(outer, in->active, sizeof outer);
    for (int l = 0; l < in->lanes; l++)
        end[l] = trips(get(in, n->in[0], l).i, get(in, n->in[1], l).i, n->step);
    if (grid && in->counting) {
        in->count = end[0];
        return false;
    }
    if (grid) {
        t[0] = in->begin < 0 ? 0 : in->begin;
        if (end[0] > in->end) end[0] = in->end;
    }
    copy_values(in, n->nout, body->params.at + 1, n->in + 2);
    while (!in->status) {
        for (int l = 0; l < in->lanes; l++) in->active[l] = outer[l] && t[l] < end[l];
        if (!any_active(in)) break;
        for (int l = 0; l < in->lanes; l++)
            if (in->active[l])
                set(in, body->params.at[0], l, (ir_scalar){.i = get(in, n->in[0], l).i + t[l]++ * n->step});
        if (!exec_block(in, body)) break;
        copy_values(in, n->nout, body->params.at + 1, body->yields.at);
    }
    memcpy(in->active, outer, sizeof outer);
    copy_values(in, n->nout, n->out, body->params.at + 1);
    return !in->status;
}

static bool exec_if(interp *in, const k_inst *n) {
    bool outer[K_MAX_WIDTH], taken[K_MAX_WIDTH];
    memcpy(outer, in->active, sizeof outer);
    for (int l = 0; l < in->lanes; l++) taken[l] = get(in, n->in[0], l).i != 0;
    for (int arm = 0; arm < 2 && !in->status; arm++) {
        for (int l = 0; l < in->lanes; l++) in->active[l] = outer[l] && taken[l] == !arm;
        if (!any_active(in)) continue;
        if (!exec_block(in, n->blocks[arm])) break;
        copy_values(in, n->nout, n->out, n->blocks[arm]->yields.at);
    }
    memcpy(in->active, outer, sizeof outer);
    return !in->status;
}

static void exec_raise(interp *in, const k_inst *n) {
    int lane = 0;
    while (!in->active[lane]) lane++;
    for (int i = 0; i < n->nin; i++) in->error[i] = get(in, n->in[i], lane).i;
    in->status = n->code;
}

static int64_t scalar_bits(rt_dtype d, ir_scalar x) {
    if (d == DT_F64 || rt_dtypes[d].kind != 'F') return x.i;
    if (d == DT_F16) return rt_f32_to_f16((float)x.f);
    if (d == DT_BF16) return rt_f32_to_bf16((float)x.f);
    float f = (float)x.f;
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static ir_scalar scalar_value(rt_dtype d, int64_t bits) {
    ir_scalar r = {.i = bits};
    uint32_t u = (uint32_t)bits;
    float f;
    switch (d) {
    case DT_BOOL: r.i = bits & 1; break;
    case DT_U8: r.i = (uint8_t)bits; break;
    case DT_I8: r.i = (int8_t)bits; break;
    case DT_I16: r.i = (int16_t)bits; break;
    case DT_I32: r.i = (int32_t)bits; break;
    case DT_F16: r.f = (double)rt_f16_to_f32((uint16_t)bits); break;
    case DT_BF16: r.f = (double)rt_bf16_to_f32((uint16_t)bits); break;
    case DT_F32: memcpy(&f, &u, 4), r.f = (double)f; break;
    default: break;
    }
    return r;
}

static void exec_call(interp *in, const k_inst *n) {
    int nb = n->nbuffers, ns = n->nin - nb;
    void **buffers = rt_calloc((size_t)nb, sizeof *buffers);
    int64_t *sizes = rt_calloc((size_t)nb, sizeof *sizes), *scalars = rt_calloc((size_t)ns, sizeof *scalars);
    for (int i = 0; buffers && sizes && i < nb; i++) {
        int buf = position(in, n->buffers[i]);
        int64_t offset = get(in, n->in[i], 0).i;
        buffers[i] = in->memory[buf] + offset * rt_dtypes[n->buffers[i]->dtype].bytes;
        sizes[i] = in->sizes[buf] == INT64_MAX ? INT64_MAX : in->sizes[buf] - offset;
    }
    for (int i = 0; scalars && i < ns; i++)
        scalars[i] = scalar_bits(n->in[nb + i]->dtype, get(in, n->in[nb + i], 0));
    if (!buffers || !sizes || !scalars) in->status = K_NO_MEMORY;
    else in->status = k_eval(n->callee, in->target, buffers, sizes, scalars, 0, INT64_MAX, in->error);
    rt_free(buffers);
    rt_free(sizes);
    rt_free(scalars);
}

static bool exec_block(interp *in, const k_block *block) {
    for (const k_inst *n = block->first; n && !in->status; n = n->next) {
        switch (n->op) {
        case KO_PRIM: exec_prim(in, n); break;
        case KO_LOAD: exec_load(in, n); break;
        case KO_STORE: exec_store(in, n); break;
        case KO_FOR:
            if (!(n->kind == KL_VECTOR || n->kind == KL_LANE ? exec_vector : exec_for)(in, n)) return false;
            break;
        case KO_IF: exec_if(in, n); break;
        case KO_RAISE: exec_raise(in, n); break;
        case KO_CALL: exec_call(in, n); break;
        case KO_REDUCE: exec_reduce(in, n); break;
        case KO_CONTRACT: exec_contract(in, n); break;
        case KO_ASYNC_COPY: exec_copy(in, n); break;
        case KO_TRANSPOSE: exec_transpose(in, n); break;
        case KO_PREFETCH:
        case KO_BARRIER:
        case KO_ASYNC_WAIT: break;
        }
    }
    return !in->status;
}

/* ---- entry */

static int widest(const k_block *block, int target) {
    int w = target;
    for (const k_inst *n = block->first; n; n = n->next) {
        if (n->width > w) w = n->width;
        for (int i = 0; i < n->nblocks; i++) {
            int inner = widest(n->blocks[i], target);
            if (inner > w) w = inner;
        }
    }
    return w;
}

static void free_interp(interp *in) {
    for (int i = in->k->nargs; in->memory && i < in->k->buffers.n; i++) rt_free(in->memory[i]);
    rt_free(in->slots);
    rt_free(in->temp);
    rt_free(in->wide);
    rt_free(in->memory);
    rt_free(in->sizes);
}

static bool scratch_memory(interp *in) {
    for (int i = in->k->nargs; i < in->k->buffers.n; i++) {
        const k_buffer *buf = in->k->buffers.at[i];
        size_t bytes = (size_t)buf->size * (size_t)rt_dtypes[buf->dtype].bytes;
        in->sizes[i] = buf->size;
        if (!(in->memory[i] = rt_malloc(bytes))) return false;
        if (buf->scope == KS_TABLE && bytes) memcpy(in->memory[i], buf->data, bytes);
        else memset(in->memory[i], 0x7f, bytes); /* uninitialised: a value that shows */
    }
    return true;
}

static bool start(interp *in, void *const *buffers, const int64_t *sizes, const int64_t *scalars) {
    const k_kernel *k = in->k;
    size_t n = (size_t)k->nvalues * (size_t)in->width;
    in->slots = rt_calloc(n, sizeof *in->slots);
    in->temp = rt_calloc(n, sizeof *in->temp);
    in->wide = rt_calloc((size_t)k->nvalues, sizeof *in->wide);
    in->memory = rt_calloc((size_t)k->buffers.n, sizeof *in->memory);
    in->sizes = rt_calloc((size_t)k->buffers.n, sizeof *in->sizes);
    if (!in->slots || !in->temp || !in->wide || !in->memory || !in->sizes) return false;
    for (int i = 0; i < k->nargs; i++) {
        in->memory[i] = buffers ? buffers[i] : NULL;
        in->sizes[i] = sizes ? sizes[i] : INT64_MAX;
    }
    in->lanes = 1;
    in->active[0] = true;
    for (int i = 0; i < k->scalars.n; i++)
        set(in, k->scalars.at[i], 0, scalar_value(k->scalars.at[i]->dtype, scalars[i]));
    return scratch_memory(in);
}

static int run(interp *in, void *const *buffers, const int64_t *sizes, const int64_t *scalars) {
    in->width = widest(in->k->body, in->target);
    if (in->width > K_MAX_WIDTH || !start(in, buffers, sizes, scalars)) in->status = K_NO_MEMORY;
    else exec_block(in, in->k->body);
    free_interp(in);
    return in->status;
}

int k_eval(const k_kernel *k, int target_width, void *const *buffers, const int64_t *sizes,
           const int64_t *scalars, int64_t begin, int64_t end, int64_t error[K_MAX_RAISE]) {
    interp in = {.k = k_expand_math(k), .target = target_width, .begin = begin, .end = end, .error = error};
    if (!k_grid(k) && (begin > 0 || end <= 0)) return 0;
    return run(&in, buffers, sizes, scalars);
}

int64_t k_grid_count(const k_kernel *k, void *const *buffers, const int64_t *scalars) {
    int64_t error[K_MAX_RAISE];
    interp in = {.k = k_expand_math(k), .target = 1, .counting = true, .error = error};
    if (!k_grid(k)) return 1;
    run(&in, buffers, NULL, scalars);
    return in.count;
}
