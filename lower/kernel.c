/* kernel.c: the builder of the kernel IR: values, statements, scalar expressions, copies.  See kernel.h.
 * Index arithmetic on constants is folded here, so that producers need not care which sizes are known. */
#include "lower/kernel.h"

#include <math.h>

/* ---- kernels, buffers, values */

static const char *unique_name(k_kernel *k, const char *hint) {
    const char *name = ir_intern(k->c, hint);
    for (intptr_t i = 1; rt_map_get(&k->names, name); i++)
        name = ir_intern(k->c, ir_fmt(k->c, "%s.%d", hint, (int)i));
    rt_map_put(&k->c->arena, &k->names, name, (void *)name);
    return name;
}

static k_value *new_value(k_kernel *k, rt_dtype dtype) {
    k_value *v = RT_NEW(&k->c->arena, k_value);
    v->id = k->nvalues++;
    v->dtype = dtype;
    return v;
}

static k_block *new_block(k_kernel *k, k_inst *owner) {
    k_block *block = RT_NEW(&k->c->arena, k_block);
    block->owner = owner;
    return block;
}

k_kernel *k_kernel_new(ir_context *c, const char *name) {
    k_kernel *k = RT_NEW(&c->arena, k_kernel);
    k->c = c;
    k->name = ir_intern(c, name);
    k->body = new_block(k, NULL);
    k->fast = c->fast_math;
    return k;
}

static k_buffer *new_buffer(k_kernel *k, k_scope scope, rt_dtype dtype, int64_t size, const char *name) {
    k_buffer *buf = RT_NEW(&k->c->arena, k_buffer);
    buf->name = unique_name(k, name);
    buf->dtype = dtype;
    buf->scope = scope;
    buf->size = size;
    RT_PUSH(&k->c->arena, &k->buffers, buf);
    return buf;
}

k_buffer *k_arg(k_kernel *k, rt_dtype dtype, const char *name) {
    k_buffer *buf = new_buffer(k, KS_ARG, dtype, 0, name);
    /* keep arguments in front */
    for (int i = k->buffers.n - 1; i > k->nargs; i--) k->buffers.at[i] = k->buffers.at[i - 1];
    k->buffers.at[k->nargs] = buf;
    buf->index = k->nargs++;
    return buf;
}

k_buffer *k_scratch(k_kernel *k, k_scope scope, rt_dtype dtype, int64_t size, const char *name) {
    return new_buffer(k, scope, dtype, size, name);
}

k_buffer *k_table(k_kernel *k, rt_dtype dtype, int64_t size, const void *data, const char *name) {
    k_buffer *buf = new_buffer(k, KS_TABLE, dtype, size, name);
    size_t bytes;
    if (size >= 0 && rt_mul_size((size_t)size, (size_t)rt_dtypes[dtype].bytes, &bytes))
        buf->data = rt_arena_copy(&k->c->arena, data, bytes);
    return buf;
}

k_value *k_scalar(k_kernel *k, rt_dtype dtype, const char *name) {
    k_value *v = new_value(k, dtype);
    v->name = unique_name(k, name);
    v->index = k->scalars.n;
    RT_PUSH(&k->c->arena, &k->scalars, v);
    return v;
}

k_builder k_build(k_kernel *k) { return (k_builder){k, k->body}; }

void k_name(k_builder *b, k_value *v, const char *hint) { v->name = unique_name(b->k, hint); }

/* ---- constants */

static k_value *constant(k_builder *b, rt_dtype dtype, int64_t i, double f) {
    struct {
        rt_dtype dtype;
        int pad;
        int64_t i;
        uint64_t f;
    } key = {.dtype = dtype, .i = i};
    memcpy(&key.f, &f, sizeof f);
    k_value *v = rt_map_getn(&b->k->constants, (const char *)&key, sizeof key);
    if (v) return v;
    v = new_value(b->k, dtype);
    v->constant = true;
    v->i = i;
    v->f = f;
    rt_map_putn(&b->k->c->arena, &b->k->constants, (const char *)&key, sizeof key, v);
    return v;
}

static int64_t wrap_int(rt_dtype dtype, int64_t x) {
    switch (dtype) {
    case DT_BOOL: return x != 0;
    case DT_U8: return (uint8_t)x;
    case DT_I8: return (int8_t)x;
    case DT_I16: return (int16_t)x;
    case DT_I32: return (int32_t)x;
    default: return x;
    }
}

static double round_float(rt_dtype dtype, double x) {
    switch (dtype) {
    case DT_F16: return (double)rt_f16_to_f32(rt_f32_to_f16((float)x));
    case DT_BF16: return (double)rt_bf16_to_f32(rt_f32_to_bf16((float)x));
    case DT_F32: return (double)(float)x;
    default: return x;
    }
}

k_value *k_int(k_builder *b, rt_dtype dtype, int64_t x) { return constant(b, dtype, wrap_int(dtype, x), 0); }
k_value *k_float(k_builder *b, rt_dtype dtype, double x) {
    return constant(b, dtype, 0, round_float(dtype, x));
}
k_value *k_i64(k_builder *b, int64_t x) { return k_int(b, DT_I64, x); }

/* ---- statements */

static k_inst *new_inst(k_builder *b, k_op op, int nin, k_value *const *in) {
    k_inst *n = RT_NEW(&b->k->c->arena, k_inst);
    n->op = op;
    n->nin = nin;
    n->in = RT_ARRAY(&b->k->c->arena, k_value *, nin);
    for (int i = 0; i < nin; i++) n->in[i] = in[i];
    n->block = b->at;
    n->prev = b->at->last;
    *(n->prev ? &n->prev->next : &b->at->first) = n;
    b->at->last = n;
    return n;
}

static void add_outs(k_builder *b, k_inst *n, int nout, k_value *const *like) {
    n->out = RT_ARRAY(&b->k->c->arena, k_value *, nout);
    n->nout = nout;
    for (int i = 0; i < nout; i++) {
        k_value *v = n->out[i] = new_value(b->k, like[i]->dtype);
        v->def = n;
        v->index = i;
    }
}

static k_value *one_out(k_builder *b, k_inst *n, rt_dtype dtype) {
    k_value like = {.dtype = dtype}, *p = &like;
    add_outs(b, n, 1, &p);
    return n->out[0];
}

static k_value *block_param(k_builder *b, k_block *block, rt_dtype dtype) {
    k_value *v = new_value(b->k, dtype);
    v->block = block;
    v->index = block->params.n;
    RT_PUSH(&b->k->c->arena, &block->params, v);
    return v;
}

static void set_buffers(k_builder *b, k_inst *n, int count, k_buffer *const *buffers) {
    n->nbuffers = count;
    n->buffers = RT_ARRAY(&b->k->c->arena, k_buffer *, count);
    for (int i = 0; i < count; i++) n->buffers[i] = buffers[i];
}

/* ---- primitives */

static int64_t floor_div(int64_t a, int64_t d) { return a / d - (a % d != 0 && (a ^ d) < 0); }

static bool fold_i64(ir_prim p, int64_t a, int64_t c, int64_t *r) {
    uint64_t x = (uint64_t)a, y = (uint64_t)c;
    bool divides = c != 0 && !(a == INT64_MIN && c == -1);
    switch (p) {
    case K_ADD: return *r = (int64_t)(x + y), true;
    case K_SUB: return *r = (int64_t)(x - y), true;
    case K_MUL: return *r = (int64_t)(x * y), true;
    case K_MIN: return *r = a < c ? a : c, true;
    case K_MAX: return *r = a > c ? a : c, true;
    case K_DIV: return divides && (*r = a / c, true);
    case K_REM: return divides && (*r = a % c, true);
    case K_FLOORDIV: return divides && (*r = floor_div(a, c), true);
    case K_MOD: return divides && (*r = a - floor_div(a, c) * c, true);
    case K_EQ: return *r = a == c, true;
    case K_NE: return *r = a != c, true;
    case K_LT: return *r = a < c, true;
    case K_LE: return *r = a <= c, true;
    case K_GT: return *r = a > c, true;
    case K_GE: return *r = a >= c, true;
    default: return false;
    }
}

static bool is_int(const k_value *v, int64_t x) {
    return v->constant && rt_dtypes[v->dtype].kind != 'F' && v->i == x;
}

/* x+0, x-0, x*1, x*0, x/1 and logic with a constant; NULL: none applies. */
static k_value *fold_identity(k_builder *b, ir_prim p, k_value *a, k_value *c) {
    if (is_int(a, 0) && p == K_ADD) return c;
    if (is_int(c, 0) && (p == K_ADD || p == K_SUB)) return a;
    if (p == K_MUL && (is_int(a, 0) || is_int(c, 1))) return a;
    if (p == K_MUL && (is_int(c, 0) || is_int(a, 1))) return c;
    if (is_int(c, 1) && (p == K_DIV || p == K_FLOORDIV) && a->dtype != DT_BOOL) return a;
    if (is_int(c, 1) && (p == K_REM || p == K_MOD)) return k_int(b, a->dtype, 0);
    if (a->dtype != DT_BOOL) return NULL;
    if (p == K_AND) return is_int(a, 1) || is_int(c, 0) ? c : is_int(c, 1) || is_int(a, 0) ? a : NULL;
    if (p == K_OR) return is_int(a, 0) || is_int(c, 1) ? c : is_int(c, 0) || is_int(a, 1) ? a : NULL;
    return NULL;
}

static k_value *fold(k_builder *b, ir_prim p, rt_dtype result, int n, k_value *const *in) {
    int64_t r;
    bool integer = rt_dtypes[in[0]->dtype].kind != 'F';
    if (p == K_SELECT && in[0]->constant) return in[0]->i ? in[1] : in[2];
    if (p == K_SELECT && in[1] == in[2]) return in[1];
    if (p == K_CAST && in[0]->dtype == result) return in[0];
    if (p == K_CAST && in[0]->constant && integer)
        return rt_dtypes[result].kind == 'F' ? NULL : k_int(b, result, in[0]->i);
    if (p == K_NEG && in[0]->constant && in[0]->dtype == DT_I64)
        return k_i64(b, (int64_t)(0 - (uint64_t)in[0]->i));
    if (p == K_NOT && in[0]->constant && in[0]->dtype == DT_BOOL) return k_int(b, DT_BOOL, !in[0]->i);
    if (n != 2 || !integer) return NULL;
    if (in[0]->constant && in[1]->constant && in[0]->dtype == DT_I64 && fold_i64(p, in[0]->i, in[1]->i, &r))
        return k_int(b, result, r);
    return fold_identity(b, p, in[0], in[1]);
}

k_inst *k_prim_inst(k_builder *b, ir_prim p, rt_dtype result, int n, k_value *const *in) {
    k_inst *inst = new_inst(b, KO_PRIM, n, in);
    inst->prim = p;
    return one_out(b, inst, result)->def;
}

k_value *k_prim(k_builder *b, ir_prim p, rt_dtype result, int n, k_value *const *in) {
    k_value *v = fold(b, p, result, n, in);
    return v ? v : k_prim_inst(b, p, result, n, in)->out[0];
}

k_value *k_1(k_builder *b, ir_prim p, k_value *a) { return k_prim(b, p, a->dtype, 1, &a); }

k_value *k_2(k_builder *b, ir_prim p, k_value *a, k_value *c) {
    return k_prim(b, p, ir_prims[p].result == 'B' ? DT_BOOL : a->dtype, 2, (k_value *[]){a, c});
}

k_value *k_3(k_builder *b, ir_prim p, k_value *a, k_value *c, k_value *d) {
    return k_prim(b, p, p == K_SELECT ? c->dtype : a->dtype, 3, (k_value *[]){a, c, d});
}

k_value *k_cast(k_builder *b, k_value *a, rt_dtype to) { return k_prim(b, K_CAST, to, 1, &a); }
k_value *k_bitcast(k_builder *b, k_value *a, rt_dtype to) { return k_prim(b, K_BITCAST, to, 1, &a); }
k_value *k_select(k_builder *b, k_value *cond, k_value *a, k_value *c) {
    return k_3(b, K_SELECT, cond, a, c);
}
k_value *k_add(k_builder *b, k_value *a, k_value *c) { return k_2(b, K_ADD, a, c); }
k_value *k_sub(k_builder *b, k_value *a, k_value *c) { return k_2(b, K_SUB, a, c); }
k_value *k_mul(k_builder *b, k_value *a, k_value *c) { return k_2(b, K_MUL, a, c); }
k_value *k_muladd_const(k_builder *b, k_value *a, int64_t scale, k_value *c) {
    return k_add(b, k_mul(b, a, k_i64(b, scale)), c);
}

/* ---- memory */

static k_value *zero_of(k_builder *b, rt_dtype dtype) {
    return rt_dtypes[dtype].kind == 'F' ? k_float(b, dtype, 0) : k_int(b, dtype, 0);
}

k_value *k_load(k_builder *b, k_buffer *buf, k_value *index) { return k_load_if(b, buf, index, NULL, NULL); }

k_value *k_load_group(k_builder *b, k_buffer *buf, k_value *index, int group, int place) {
    k_value *v = k_load(b, buf, index);
    v->def->group = group;
    v->def->place = place;
    return v;
}

k_value *k_load_if(k_builder *b, k_buffer *buf, k_value *index, k_value *mask, k_value *otherwise) {
    if (mask && is_int(mask, 1)) mask = NULL;
    if (mask && !otherwise) otherwise = zero_of(b, buf->dtype);
    if (mask && is_int(mask, 0)) return otherwise;
    k_inst *n = new_inst(b, KO_LOAD, mask ? 3 : 1, (k_value *[]){index, mask, otherwise});
    set_buffers(b, n, 1, &buf);
    buf->reads = true;
    return one_out(b, n, buf->dtype);
}

k_inst *k_store(k_builder *b, k_buffer *buf, k_value *index, k_value *v) {
    return k_store_if(b, buf, index, v, NULL);
}

k_inst *k_store_if(k_builder *b, k_buffer *buf, k_value *index, k_value *v, k_value *mask) {
    if (mask && is_int(mask, 1)) mask = NULL;
    k_inst *n = new_inst(b, KO_STORE, mask ? 3 : 2, (k_value *[]){index, v, mask});
    set_buffers(b, n, 1, &buf);
    buf->writes = true;
    return n;
}

k_inst *k_store_group(k_builder *b, k_buffer *buf, k_value *index, int n, k_value *const *v) {
    k_value *in[1 + K_MAX_GROUP] = {index};
    memcpy(in + 1, v, (size_t)n * sizeof *v);
    k_inst *store = new_inst(b, KO_STORE, 1 + n, in);
    set_buffers(b, store, 1, &buf);
    buf->writes = true;
    store->group = n;
    return store;
}

/* ---- structure */

static void add_blocks(k_builder *b, k_inst *n, int count) {
    n->nblocks = count;
    n->blocks = RT_ARRAY(&b->k->c->arena, k_block *, count);
    for (int i = 0; i < count; i++) n->blocks[i] = new_block(b->k, n);
}

k_inst *k_for(k_builder *b, k_loop kind, int width, k_value *lo, k_value *hi, int64_t step) {
    k_inst *n = new_inst(b, KO_FOR, 2, (k_value *[]){lo, hi});
    n->kind = kind;
    n->width = width;
    n->step = step;
    add_blocks(b, n, 1);
    block_param(b, n->blocks[0], DT_I64);
    b->at = n->blocks[0];
    return n;
}

k_value *k_var(const k_inst *loop) { return loop->blocks[0]->params.at[0]; }

k_value *k_carry(k_builder *b, k_inst *loop, k_value *init) {
    rt_arena *a = &b->k->c->arena;
    bool vector = loop->kind == KL_VECTOR || loop->kind == KL_LANE;
    k_value **in = RT_ARRAY(a, k_value *, loop->nin + 1), **out = RT_ARRAY(a, k_value *, loop->nout + 1);
    for (int i = 0; i < loop->nin; i++) in[i] = loop->in[i];
    for (int i = 0; i < loop->nout; i++) out[i] = loop->out[i];
    in[loop->nin++] = init;
    k_value *r = out[loop->nout] = new_value(b->k, init->dtype),
            *p = block_param(b, loop->blocks[0], init->dtype);
    r->def = loop;
    r->index = loop->nout++;
    loop->in = in;
    loop->out = out;
    r->lanes = vector || init->lanes;
    r->width = vector ? loop->width : init->width;
    p->lanes = !vector && init->lanes;
    p->width = p->lanes ? init->width : 0;
    return p;
}

static void set_yields(k_builder *b, k_block *block, int n, k_value *const *v) {
    for (int i = 0; i < n; i++) RT_PUSH(&b->k->c->arena, &block->yields, v[i]);
}

void k_end(k_builder *b, int n, k_value *const *next) {
    k_inst *owner = b->at->owner;
    set_yields(b, b->at, n, next);
    if (owner->op == KO_REDUCE && !owner->out) add_outs(b, owner, n, owner->in);
    b->at = owner->block;
}

k_inst *k_if(k_builder *b, k_value *cond) {
    k_inst *n = new_inst(b, KO_IF, 1, &cond);
    add_blocks(b, n, 2);
    b->at = n->blocks[0];
    return n;
}

void k_else(k_builder *b, int n, k_value *const *results) {
    k_inst *owner = b->at->owner;
    set_yields(b, b->at, n, results);
    add_outs(b, owner, n, results);
    b->at = owner->blocks[1];
}

void k_raise(k_builder *b, int code, int n, k_value *const *args) {
    new_inst(b, KO_RAISE, n, args)->code = code;
}

k_value *k_reduce(k_builder *b, ir_prim p, k_value *acc) {
    k_inst *n = new_inst(b, KO_REDUCE, 1, &acc);
    n->prim = p;
    n->width = acc->width;
    return one_out(b, n, acc->dtype);
}

k_inst *k_reduce_block(k_builder *b, int n, k_value *const *acc, k_value **left, k_value **right) {
    k_inst *inst = new_inst(b, KO_REDUCE, n, acc);
    inst->prim = K_COUNT;
    inst->width = n ? acc[0]->width : 0;
    add_blocks(b, inst, 1);
    for (int i = 0; i < n; i++) left[i] = block_param(b, inst->blocks[0], acc[i]->dtype);
    for (int i = 0; i < n; i++) right[i] = block_param(b, inst->blocks[0], acc[i]->dtype);
    add_outs(b, inst, n, acc);
    b->at = inst->blocks[0];
    return inst;
}

k_inst *k_call(k_builder *b, k_kernel *callee, k_buffer *const *buffers, k_value *const *offsets,
               k_value *const *scalars) {
    int nb = callee->nargs, ns = callee->scalars.n;
    k_value **in = RT_ARRAY(&b->k->c->arena, k_value *, nb + ns);
    for (int i = 0; i < nb; i++) in[i] = offsets[i];
    for (int i = 0; i < ns; i++) in[nb + i] = scalars[i];
    k_inst *n = new_inst(b, KO_CALL, nb + ns, in);
    n->callee = callee;
    set_buffers(b, n, nb, buffers);
    for (int i = 0; i < nb; i++) {
        buffers[i]->reads |= callee->buffers.at[i]->reads;
        buffers[i]->writes |= callee->buffers.at[i]->writes;
    }
    return n;
}

k_inst *k_contract_tile(k_builder *b, k_buffer *acc, int m, int n, k_value *K, k_buffer *A, int rows,
                        k_value *const *a_index, k_value *row_stride, k_value *a_kstride, k_buffer *B,
                        k_value *b_index, k_value *b_kstride, k_value *cols, int split) {
    k_value *in[K_MAX_TILE + 8] = {K, b_index, b_kstride, a_kstride};
    int nin = 4;
    for (int i = 0; i < rows && i < K_MAX_TILE; i++) in[nin++] = a_index[i];
    if (row_stride) in[nin++] = row_stride;
    if (cols) in[nin++] = cols;
    k_inst *inst = new_inst(b, KO_CONTRACT, nin, in);
    set_buffers(b, inst, 3, (k_buffer *[]){acc, A, B});
    acc->reads = acc->writes = A->reads = B->reads = true;
    inst->contract = RT_NEW(&b->k->c->arena, k_contract);
    *inst->contract = (k_contract){m, n, rows, split < 1 ? 1 : split, cols != NULL, 0, 0};
    return inst;
}

void k_contract_fetch(k_builder *b, k_inst *contract, k_value *index, int per_step) {
    k_value **in = RT_ARRAY(&b->k->c->arena, k_value *, contract->nin + 1);
    memcpy(in, contract->in, sizeof *in * (size_t)contract->nin);
    in[contract->nin++] = index;
    contract->in = in;
    contract->contract->fetch = per_step;
}

void k_contract_touch(k_inst *contract, int elements) { contract->contract->touch = elements; }

void k_prefetch(k_builder *b, k_buffer *buf, k_value *index) {
    set_buffers(b, new_inst(b, KO_PREFETCH, 1, &index), 1, &buf);
}

void k_transpose(k_builder *b, k_buffer *dst, k_value *di, k_value *dst_step, k_buffer *src, k_value *si, k_value *src_step,
                 int rows, k_value *columns, k_value *valid) {
    k_inst *inst = new_inst(b, KO_TRANSPOSE, 6, (k_value *[]){di, dst_step, si, src_step, columns, valid});
    set_buffers(b, inst, 2, (k_buffer *[]){dst, src});
    inst->code = rows;
    dst->writes = src->reads = true;
}

void k_barrier(k_builder *b) { new_inst(b, KO_BARRIER, 0, NULL); }
void k_async_wait(k_builder *b, int outstanding) { new_inst(b, KO_ASYNC_WAIT, 0, NULL)->code = outstanding; }

void k_async_copy(k_builder *b, k_buffer *dst, k_value *di, k_buffer *src, k_value *si, k_value *n) {
    k_inst *inst = new_inst(b, KO_ASYNC_COPY, 3, (k_value *[]){di, si, n});
    set_buffers(b, inst, 2, (k_buffer *[]){dst, src});
    dst->writes = src->reads = true;
}

k_inst *k_grid(const k_kernel *k) {
    for (k_inst *n = k->body->first; n; n = n->next)
        if (n->op == KO_FOR && n->kind == KL_GRID) return n;
    return NULL;
}

/* ---- expressions */

struct k_memo {
    k_kernel *k;
    k_memo *outer;
    rt_map values; /* (block, expression, mask) -> value */
    rt_map loads;  /* expression -> "yes" or "no": does it read memory */
};

k_memo *k_memo_new(k_kernel *k) {
    k_memo *m = RT_NEW(&k->c->arena, k_memo);
    m->k = k;
    return m;
}

k_memo *k_memo_under(k_memo *outer) {
    k_memo *m = k_memo_new(outer->k);
    m->outer = outer;
    return m;
}

typedef struct lowering {
    k_builder *b;
    k_memo *memo;
    k_leaf *leaf;
    void *env;
    const ir_expr *root;
    rt_map always; /* expressions that the root needs under no condition; filled at the first arm that loads */
} lowering;

static bool has_load(k_memo *m, const ir_expr *x) {
    static const char yes[] = "yes", no[] = "no";
    const char *known = rt_map_getn(&m->loads, (const char *)&x, sizeof x);
    if (known) return known == yes;
    bool r = x->op == X_LOAD;
    for (int i = 0; i < x->n && !r; i++) r = has_load(m, x->args[i]);
    rt_map_putn(&m->k->c->arena, &m->loads, (const char *)&x, sizeof x, (void *)(r ? yes : no));
    return r;
}

static void mark_always(lowering *l, const ir_expr *x) {
    if (!has_load(l->memo, x) || rt_map_getn(&l->always, (const char *)&x, sizeof x)) return;
    rt_map_putn(&l->b->k->c->arena, &l->always, (const char *)&x, sizeof x, (void *)x);
    for (int i = 0; i < (x->op == K_SELECT ? 1 : x->n); i++) mark_always(l, x->args[i]);
}

/* The conditions that an expression stands under, innermost first; mask: all of them. */
typedef struct guard {
    k_value *mask;
    const struct guard *outer;
} guard;

static k_value *lower_expr(lowering *l, const ir_expr *x, const guard *g);

static k_value *and_mask(k_builder *b, const guard *g, k_value *cond) {
    return g ? k_2(b, K_AND, g->mask, cond) : cond;
}

static k_value *lower_select(lowering *l, const ir_expr *x, const guard *g) {
    k_value *cond = lower_expr(l, x->args[0], g), *arm[2];
    for (int i = 0; i < 2; i++) {
        guard inner = {NULL, g};
        bool guarded = has_load(l->memo, x->args[1 + i]);
        if (guarded) inner.mask = and_mask(l->b, g, i ? k_1(l->b, K_NOT, cond) : cond);
        if (guarded && !l->always.n) mark_always(l, l->root);
        arm[i] = lower_expr(l, x->args[1 + i], guarded ? &inner : g);
    }
    return k_select(l->b, cond, arm[0], arm[1]);
}

static k_value *lower_node(lowering *l, const ir_expr *x, const guard *g) {
    if (x->op == X_CONST)
        return rt_dtypes[x->dtype].kind == 'F' ? k_float(l->b, x->dtype, x->f) : k_int(l->b, x->dtype, x->k);
    if (x->op == K_SELECT) return lower_select(l, x, g);
    k_value **in = RT_ARRAY(&l->b->k->c->arena, k_value *, x->n);
    for (int i = 0; i < x->n; i++) in[i] = lower_expr(l, x->args[i], g);
    if (x->op > K_COUNT) return l->leaf(l->env, l->b, x, x->n, in, g ? g->mask : NULL);
    return k_prim(l->b, x->op, x->dtype, x->n, in);
}

typedef struct memo_key {
    const void *block, *x, *mask;
} memo_key;

/* Computed here or in a block around, under this mask. */
static k_value *known_under(lowering *l, const ir_expr *x, const k_value *mask) {
    memo_key key = {NULL, x, mask};
    for (k_memo *m = l->memo; m; m = m->outer)
        for (const k_block *at = l->b->at; at; at = at->owner ? at->owner->block : NULL) {
            key.block = at;
            k_value *v = rt_map_getn(&m->values, (const char *)&key, sizeof key);
            if (v) return v;
        }
    return NULL;
}

/* What was loaded under fewer conditions holds for more lanes: it serves here, too; and what is needed under none
 * elsewhere is loaded so here. */
static k_value *lower_expr(lowering *l, const ir_expr *x, const guard *g) {
    bool loads = has_load(l->memo, x);
    if (g && loads && rt_map_getn(&l->always, (const char *)&x, sizeof x)) g = NULL;
    k_value *v = known_under(l, x, NULL);
    for (const guard *at = g; at && loads && !v; at = at->outer) v = known_under(l, x, at->mask);
    if (v) return v;
    v = lower_node(l, x, g);
    memo_key key = {l->b->at, x, loads && g ? g->mask : NULL};
    rt_map_putn(&l->b->k->c->arena, &l->memo->values, (const char *)&key, sizeof key, v);
    return v;
}

k_value *k_expr(k_builder *b, k_memo *memo, const ir_expr *x, k_leaf *leaf, void *env) {
    lowering l = {.b = b, .memo = memo, .leaf = leaf, .env = env, .root = x};
    return lower_expr(&l, x, NULL);
}

/* ---- copies */

typedef struct copying {
    k_builder b;
    k_value **map; /* by id of the original */
    const k_kernel *from;
    k_value *(*prim)(k_builder *b, const k_inst *n, k_value *const *in);
} copying;

static k_value *copied(copying *c, k_value *v) {
    if (!v->constant) return c->map[v->id];
    return constant(&c->b, v->dtype, v->i, v->f);
}

static k_buffer *copied_buffer(copying *c, const k_buffer *buf) {
    for (int i = 0; i < c->from->buffers.n; i++)
        if (c->from->buffers.at[i] == buf) return c->b.k->buffers.at[i];
    return NULL;
}

static k_value *copy_value(copying *c, const k_value *v) {
    k_value *w = new_value(c->b.k, v->dtype);
    w->name = v->name;
    w->index = v->index;
    w->lanes = v->lanes;
    w->width = v->width;
    return c->map[v->id] = w;
}

static void copy_block(copying *c, const k_block *from, k_block *to);

static void copy_inst(copying *c, const k_inst *n) {
    rt_arena *a = &c->b.k->c->arena;
    k_value **in = RT_ARRAY(a, k_value *, n->nin);
    for (int i = 0; i < n->nin; i++) in[i] = copied(c, n->in[i]);
    k_value *v = n->op == KO_PRIM && !n->libm && c->prim ? c->prim(&c->b, n, in) : NULL;
    if (v) {
        c->map[n->out[0]->id] = v;
        return;
    }
    k_inst *m = new_inst(&c->b, n->op, n->nin, in);
    m->prim = n->prim, m->libm = n->libm, m->kind = n->kind, m->width = n->width, m->step = n->step;
    m->code = n->code, m->align = n->align, m->nontemporal = n->nontemporal, m->near = n->near;
    m->group = n->group, m->place = n->place;
    m->callee = n->callee, m->contract = n->contract;
    m->nbuffers = n->nbuffers;
    m->buffers = RT_ARRAY(a, k_buffer *, n->nbuffers);
    for (int i = 0; i < n->nbuffers; i++) m->buffers[i] = copied_buffer(c, n->buffers[i]);
    m->nout = n->nout;
    m->out = RT_ARRAY(a, k_value *, n->nout);
    for (int i = 0; i < n->nout; i++) (m->out[i] = copy_value(c, n->out[i]))->def = m;
    add_blocks(&c->b, m, n->nblocks);
    for (int i = 0; i < n->nblocks; i++) copy_block(c, n->blocks[i], m->blocks[i]);
}

static void copy_block(copying *c, const k_block *from, k_block *to) {
    k_block *outer = c->b.at;
    c->b.at = to;
    for (int i = 0; i < from->params.n; i++) {
        k_value *p = copy_value(c, from->params.at[i]);
        p->block = to;
        RT_PUSH(&c->b.k->c->arena, &to->params, p);
    }
    for (const k_inst *n = from->first; n; n = n->next) copy_inst(c, n);
    for (int i = 0; i < from->yields.n; i++)
        RT_PUSH(&c->b.k->c->arena, &to->yields, copied(c, from->yields.at[i]));
    c->b.at = outer;
}

k_kernel *k_clone(const k_kernel *from, k_value *(*prim)(k_builder *b, const k_inst *n, k_value *const *in)) {
    rt_arena *a = &from->c->arena;
    k_kernel *k = k_kernel_new(from->c, from->name);
    k->span = from->span;
    k->fast = from->fast;
    k->nargs = from->nargs;
    for (int i = 0; i < from->buffers.n; i++) {
        k_buffer *buf = RT_NEW(a, k_buffer);
        *buf = *from->buffers.at[i];
        RT_PUSH(a, &k->buffers, buf);
    }
    for (int i = 0; i < from->names.n; i++)
        rt_map_put(a, &k->names, from->names.entries[i].key, from->names.entries[i].value);
    copying c = {k_build(k), RT_ARRAY(a, k_value *, from->nvalues), from, prim};
    for (int i = 0; i < from->scalars.n; i++) {
        k_value *v = copy_value(&c, from->scalars.at[i]);
        RT_PUSH(a, &k->scalars, v);
    }
    copy_block(&c, from->body, k->body);
    return k;
}
