/* context.c: sessions: everything that changes while a module runs (jitc/runtime.h, session and run).
 *
 * A run: choose the variant and bind its symbols; hold the arguments; let go of the previous result; make the
 * outputs whose sizes are known (from a cache of tensors that nobody else holds), the workspace and the
 * scratch; call the code; write back; build the result; release what the run used.  Only the last steps
 * differ after a failure.  Caches only grow, so a repeated run allocates nothing unless the code itself does.
 *
 * Every output leaf has two cached tensors: one may still be in the caller's hands as an argument of this
 * very run. */
#include "runtime/session.h"

#include <stdatomic.h>

/* ---- tensors that are used again */

static bool only_ours(const rt_tensor *t) {
    return atomic_load_explicit(&((rt_tensor *)t)->refs, memory_order_acquire) == 1 &&
           atomic_load_explicit(&t->storage->refs, memory_order_acquire) == 1;
}

static bool same_shape(const rt_tensor *t, int ndim, const int64_t *shape) {
    return t->ndim == ndim && (!ndim || !memcmp(t->shape, shape, (size_t)ndim * sizeof *shape));
}

/* Gives *slot's tensor the shape, in place if its memory is large enough, else makes a new one. */
static bool fit_tensor(rt_tensor **slot, rt_dtype dtype, int ndim, const int64_t *shape) {
    rt_tensor *t = *slot;
    int64_t bytes = rt_dtypes[dtype].bytes, stride = 1;
    bool fits = t && t->ndim == ndim && t->dtype == dtype;
    for (int i = 0; i < ndim && fits; i++) fits = rt_mul_i64(bytes, shape[i], &bytes);
    if (!fits || (uint64_t)bytes > t->storage->bytes) {
        if (!(t = rt_tensor_new(dtype, ndim, shape))) return false;
        rt_tensor_release(*slot);
        *slot = t;
        return true;
    }
    for (int i = ndim - 1; i >= 0; i--) {
        t->shape[i] = shape[i];
        t->strides[i] = stride;
        if (shape[i] > 1) stride *= shape[i];
    }
    return true;
}

/* ---- failure texts */

static void clear_error(jitc_session *s) {
    s->error.n = 0;
    s->error.failed = false;
    if (s->error.s) s->error.s[0] = 0;
    if (s->env.cls) rt_env_clear(&s->env);
    s->place = -1;
    s->out_of_memory = false;
}

static jitc_status failed(jitc_session *s, jitc_status status, const char *text) {
    s->error.n = 0;
    rt_text_str(&s->error, text);
    return status;
}

static jitc_status no_memory(jitc_session *s) { return failed(s, JITC_E_MEMORY, "out of memory"); }

/* After the code failed: what it raised, and where. */
static jitc_status raised(jitc_session *s) {
    const rt_artefact *a = s->m->a;
    const rt_message *at = s->place >= 0 && s->place < (int64_t)a->nmessages ? &a->messages[s->place] : NULL;
    if (s->out_of_memory || !s->env.cls || !s->env.message) return no_memory(s);
    s->error.n = 0;
    rt_text_fmt(&s->error, "%s: %s", s->env.cls, s->env.message);
    if (at && at->file) rt_text_fmt(&s->error, " (%s:%d:%d)", rt_art_text(a, at->file), at->line, at->col);
    /* raised where a traced graph checks a value that C read: an assumption of the compiler, with its place */
    return !strcmp(s->env.cls, "GuardError") ? JITC_E_GUARD : JITC_E_RAISED;
}

const char *jitc_session_error(const jitc_session *s) { return s->error.s ? s->error.s : ""; }
const char *jitc_session_error_class(const jitc_session *s) { return s->env.cls ? s->env.cls : ""; }

/* ---- making */

static bool array(void *out, size_t n, size_t size) {
    void *p = rt_calloc(n, size);
    memcpy(out, &p, sizeof p);
    return p != NULL;
}

static bool session_arrays(jitc_session *s) {
    const jitc_module *m = s->m;
    if (!array(&s->frames, (size_t)m->a->nentries, sizeof *s->frames) ||
        !array(&s->args, (size_t)m->max_args, sizeof *s->args) ||
        !array(&s->leaves, (size_t)m->max_in, sizeof *s->leaves) ||
        !array(&s->in, (size_t)m->max_in, sizeof *s->in) ||
        !array(&s->in_data, (size_t)m->max_in, sizeof *s->in_data) ||
        !array(&s->out, (size_t)m->max_out, sizeof *s->out) ||
        !array(&s->out_data, (size_t)m->max_out, sizeof *s->out_data) ||
        !array(&s->target, (size_t)m->max_out, sizeof *s->target) ||
        !array(&s->slots, (size_t)m->max_slots, sizeof *s->slots) ||
        !array(&s->wraps, (size_t)(m->max_args + m->max_out), sizeof *s->wraps) ||
        !array(&s->symbols, 2 * (size_t)m->max_symbols, sizeof *s->symbols) ||
        !array(&s->state, (size_t)m->a->nstates, sizeof *s->state) ||
        !array(&s->state_data, (size_t)m->a->nstates, sizeof *s->state_data) ||
        !array(&s->repeat.in, (size_t)m->max_in, sizeof *s->repeat.in) ||
        !array(&s->repeat.out, (size_t)m->max_out, sizeof *s->repeat.out) ||
        !array(&s->repeat.own, (size_t)m->max_out, sizeof *s->repeat.own) ||
        !array(&s->repeat.sizes, (size_t)m->max_sizes, sizeof *s->repeat.sizes))
        return false;
    for (int64_t i = 0; i < m->a->nentries; i++) {
        rt_frame *f = &s->frames[i];
        const rt_entry_info *info = &m->entries[i];
        if (!array(&f->cache, 2 * (size_t)info->out.n, sizeof *f->cache) ||
            !array(&f->copies, (size_t)info->in.n, sizeof *f->copies) ||
            !array(&f->boxes, (size_t)info->nboxes, sizeof *f->boxes))
            return false;
    }
    return true;
}

static bool session_pool(jitc_session *s, const jitc_session_opts *o) {
    if (o->parallel) s->pool = rt_pool_wrap(o->threads, o->parallel, o->user);
    else if (o->threads < 0 || o->threads > 1) s->pool = rt_pool_new(o->threads);
    else return true;
    return s->pool != NULL;
}

jitc_status jitc_session_reset(jitc_session *s) {
    clear_error(s);
    for (int64_t i = 0; i < s->m->a->nstates; i++) {
        rt_value v = rt_literal_value(s->m, s->m->a->states[i].initial);
        if (v.tag == V_UNDEF) return no_memory(s);
        rt_release(s->state[i]);
        s->state[i] = v;
    }
    s->lost = false;
    return JITC_OK;
}

jitc_status jitc_session_new(jitc_module *m, const jitc_session_opts *opts, jitc_session **out) {
    jitc_session_opts o = {.size = sizeof o};
    *out = NULL;
    if (opts && opts->size < offsetof(jitc_session_opts, threads) + sizeof o.threads)
        return rt_fail(JITC_E_ARGUMENT, "jitc_session_opts.size is not set");
    if (opts) memcpy(&o, opts, opts->size < sizeof o ? opts->size : sizeof o);
    jitc_session *s = rt_calloc(1, sizeof *s);
    if (!s) return rt_fail(JITC_E_MEMORY, "out of memory");
    s->m = m;
    s->last = s->repeat.entry = -1;
    s->profiling = o.profile != 0;
    jitc_module_retain(m);
    if (!session_arrays(s) || !session_pool(s, &o) || jitc_session_reset(s) != JITC_OK) {
        jitc_session_free(s);
        return rt_fail(JITC_E_MEMORY, "out of memory");
    }
    s->env.pool = s->pool;
    *out = s;
    return JITC_OK;
}

static void frame_free(rt_frame *f, const rt_entry_info *info) {
    for (int i = 0; f->cache && i < 2 * info->out.n; i++) rt_tensor_release(f->cache[i]);
    for (int i = 0; f->copies && i < info->in.n; i++) rt_tensor_release(f->copies[i]);
    for (int i = 0; f->boxes && i < info->nboxes; i++) rt_release(f->boxes[i]);
    rt_free(f->cache);
    rt_free(f->copies);
    rt_free(f->boxes);
}

void jitc_session_free(jitc_session *s) {
    if (!s) return;
    rt_release(s->result);
    for (int64_t i = 0; s->state && i < s->m->a->nstates; i++) rt_release(s->state[i]);
    for (int i = 0; s->wraps && i < s->m->max_args + s->m->max_out; i++) rt_tensor_release(s->wraps[i]);
    for (int64_t i = 0; s->frames && i < s->m->a->nentries; i++) frame_free(&s->frames[i], &s->m->entries[i]);
    void *blocks[] = {s->frames,        s->args,
                      s->leaves,        s->in,
                      s->in_data,       s->out,
                      s->out_data,      s->target,
                      s->slots,         s->wraps,
                      s->symbols,       s->state,
                      s->state_data,    s->workspace.block,
                      s->scratch.block, s->profile.rows,
                      s->repeat.in,     s->repeat.out,
                      s->repeat.own,    s->repeat.sizes};
    for (size_t i = 0; i < RT_COUNT(blocks); i++) rt_free(blocks[i]);
    rt_blocks_free(s);
    rt_pool_free(s->pool);
    rt_text_free(&s->error);
    rt_env_clear(&s->env);
    jitc_module_release(s->m);
    rt_free(s);
}

size_t jitc_session_workspace(const jitc_session *s) { return s->workspace.bytes; }

jitc_status jitc_session_state(jitc_session *s, const char *name, jitc_value *out) {
    const rt_artefact *a = s->m->a;
    *out = jitc_none();
    clear_error(s);
    for (int64_t i = 0; i < a->nstates; i++)
        if (!strcmp(rt_art_text(a, a->states[i].name), name)) {
            *out = rt_to_public(s->state[i]);
            return JITC_OK;
        }
    rt_text_fmt(&s->error, "no state value '%s'", name);
    return JITC_E_ARGUMENT;
}

/* ---- before the code */

/* Owned values for the leaves; a default list or dict is a fresh one in every run. */
static bool hold_arguments(jitc_session *s, int entry, int nargs) {
    const rt_art_entry *e = &s->m->a->entries[entry];
    const rt_entry_info *info = &s->m->entries[entry];
    for (int i = 0; i < info->in.n; i++) s->in[i] = rt_retain(s->leaves[i]);
    s->nin = info->in.n;
    for (int i = nargs; i < e->nargs; i++) {
        rt_value *v = &s->in[info->arg_leaf[i]];
        if (info->defaults[i].tag != V_LIST && info->defaults[i].tag != V_DICT) continue;
        rt_value fresh = rt_literal_value(s->m, s->m->a->descs[e->args + i].def);
        if (fresh.tag == V_UNDEF) return false;
        rt_release(*v);
        *v = fresh;
    }
    return true;
}

/* The previous result is the caller's no more; what the caller retained stays alive in its hands. */
static void drop_result(jitc_session *s) {
    rt_release(s->result);
    s->result = V_NULL;
    if (s->last < 0) return;
    rt_frame *f = &s->frames[s->last];
    for (int i = 0; i < s->m->entries[s->last].nboxes; i++) {
        rt_value box = f->boxes[i];
        if (box.tag != V_TUPLE) continue;
        if (atomic_load_explicit(&box.list->refs, memory_order_acquire) != 1) {
            rt_release(box);
            f->boxes[i] = V_NULL;
            continue;
        }
        for (int64_t k = 0; k < box.list->n; k++) {
            rt_release(box.list->at[k]);
            box.list->at[k] = V_NULL;
        }
    }
}

static bool prepare_inputs(jitc_session *s, int entry) {
    const rt_leaves *in = &s->m->entries[entry].in;
    for (int i = 0; i < in->n; i++) {
        const rt_desc *d = &s->m->a->descs[in->desc[i]];
        s->in_data[i] = NULL;
        if (d->kind != RT_D_TENSOR) continue;
        rt_tensor *t = s->in[i].tensor;
        bool aligned = (uintptr_t)rt_tensor_data(t) % (uintptr_t)rt_dtypes[t->dtype].bytes == 0;
        if (!aligned || (!(d->flags & RT_DESC_STRIDED) && !rt_tensor_contiguous(t))) {
            rt_tensor **copy = &s->frames[entry].copies[i];
            if (*copy && !only_ours(*copy)) { /* a value that the code kept */
                rt_tensor_release(*copy);
                *copy = NULL;
            }
            if (!fit_tensor(copy, t->dtype, t->ndim, t->shape) || !rt_tensor_assign(*copy, t)) return false;
            if (d->flags & RT_DESC_STRIDED) { /* the code reads the strides of the value */
                rt_release(s->in[i]);
                rt_tensor_retain(*copy);
                s->in[i] = rt_tensor_value(*copy);
            }
            t = *copy;
        }
        s->in_data[i] = rt_tensor_data(t);
    }
    return true;
}

/* A state tensor is the code's to write: contiguous, and held by nobody else. */
static bool prepare_state(jitc_session *s) {
    for (int64_t i = 0; i < s->m->a->nstates; i++) {
        rt_value *v = &s->state[i];
        s->state_data[i] = NULL;
        if (v->tag != V_TENSOR) continue;
        if (!only_ours(v->tensor) || !rt_tensor_contiguous(v->tensor)) {
            rt_tensor *t = rt_tensor_copy_to(v->tensor, v->tensor->dtype);
            if (!t) return false;
            rt_release(*v);
            *v = rt_tensor_value(t);
        }
        s->state_data[i] = rt_tensor_data(v->tensor);
    }
    return true;
}

static void tensor_range(const rt_tensor *t, uintptr_t *lo, uintptr_t *hi) {
    int64_t last = 0;
    for (int i = 0; i < t->ndim; i++) last += (t->shape[i] - 1) * t->strides[i];
    *lo = (uintptr_t)rt_tensor_data(t);
    *hi = rt_tensor_numel(t) ? *lo + (uintptr_t)(last + 1) * (uintptr_t)rt_dtypes[t->dtype].bytes : *lo;
}

static bool overlaps(const rt_tensor *a, rt_value v) {
    uintptr_t alo, ahi, blo, bhi;
    if (v.tag != V_TENSOR)
        return v.tag == V_LIST || v.tag == V_TUPLE || v.tag == V_DICT; /* may hold anything */
    tensor_range(a, &alo, &ahi);
    tensor_range(v.tensor, &blo, &bhi);
    return alo < bhi && blo < ahi;
}

/* Memory of an earlier result may come back as an argument, also by its bare address. */
static bool cached_usable(const jitc_session *s, const rt_tensor *t) {
    if (!only_ours(t)) return false;
    for (int i = 0; i < s->nin; i++)
        if (s->in[i].tag == V_TENSOR && overlaps(t, s->in[i])) return false;
    return true;
}

/* A tensor from a pair of cached ones that nobody uses.  Owned. */
static rt_tensor *cached_tensor(jitc_session *s, rt_tensor **pair, rt_dtype dtype, int ndim,
                                const int64_t *shape) {
    int k = 0;
    while (k < 2 && pair[k] && !cached_usable(s, pair[k])) k++;
    if (k == 2) { /* one that others hold may leave the cache */
        for (k = 0; k < 2 && only_ours(pair[k]); k++) continue;
        if (k == 2) return rt_tensor_new(dtype, ndim, shape);
        rt_tensor_release(pair[k]);
        pair[k] = NULL;
    }
    if (!fit_tensor(&pair[k], dtype, ndim, shape)) return NULL;
    rt_tensor_retain(pair[k]);
    return pair[k];
}

/* May the code write straight into the caller's tensor? */
static bool target_usable(const jitc_session *s, int leaf, const rt_tensor *t) {
    if (!rt_tensor_contiguous(t) || (uintptr_t)rt_tensor_data(t) % (uintptr_t)rt_dtypes[t->dtype].bytes)
        return false;
    for (int i = 0; i < s->nin; i++)
        if (overlaps(t, s->in[i])) return false;
    for (int64_t i = 0; i < s->m->a->nstates; i++)
        if (overlaps(t, s->state[i])) return false;
    for (int i = 0; i < leaf; i++)
        if (overlaps(t, s->out[i])) return false;
    return true;
}

static void shape_text(rt_text *out, rt_dtype dtype, int ndim, const int64_t *shape) {
    rt_text_fmt(out, "%s[", rt_dtypes[dtype].name);
    for (int i = 0; i < ndim; i++) rt_text_fmt(out, "%s%lld", i ? ", " : "", (long long)shape[i]);
    rt_text_str(out, "]");
}

static jitc_status check_target(jitc_session *s, int leaf, rt_dtype dtype, int ndim, const int64_t *shape) {
    const rt_tensor *t = s->target[leaf];
    if (!t || (t->dtype == dtype && same_shape(t, ndim, shape))) return JITC_OK;
    s->error.n = 0;
    rt_text_fmt(&s->error, "result %d is ", leaf);
    shape_text(&s->error, dtype, ndim, shape);
    rt_text_str(&s->error, ", but the tensor given for it is ");
    shape_text(&s->error, t->dtype, t->ndim, t->shape);
    return JITC_E_SHAPE;
}

static jitc_status prepare_output(jitc_session *s, int entry, int leaf, const rt_desc *d) {
    int64_t shape[RT_MAX_RANK];
    for (int i = 0; i < d->n; i++) {
        shape[i] = rt_dim_eval(s->m->a, &s->m->a->dims[d->first + i], s->symbols);
        if (shape[i] == -1) return JITC_OK; /* the code will make it */
        if (shape[i] < 0) return failed(s, JITC_E_SHAPE, "a size of a result is negative or too large");
    }
    jitc_status status = check_target(s, leaf, (rt_dtype)d->dtype, d->n, shape);
    if (status != JITC_OK) return status;
    rt_tensor *t = s->target[leaf];
    if (t && target_usable(s, leaf, t)) rt_tensor_retain(t);
    else t = cached_tensor(s, &s->frames[entry].cache[2 * leaf], (rt_dtype)d->dtype, d->n, shape);
    if (!t) return no_memory(s);
    s->out[leaf] = rt_tensor_value(t);
    s->out_data[leaf] = rt_tensor_data(t);
    return JITC_OK;
}

static jitc_status prepare_outputs(jitc_session *s, int entry) {
    const rt_leaves *out = &s->m->entries[entry].out;
    s->nout = 0;
    for (int i = 0; i < out->n; i++) {
        const rt_desc *d = &s->m->a->descs[out->desc[i]];
        s->out[i] = V_NULL;
        s->out_data[i] = NULL;
        s->nout = i + 1;
        jitc_status status = d->kind == RT_D_TENSOR ? prepare_output(s, entry, i, d) : JITC_OK;
        if (status != JITC_OK) return status;
    }
    return JITC_OK;
}

/* Memory aligned to 64 that only grows. */
static bool grow(rt_region *m, int64_t bytes) {
    size_t total;
    if ((uint64_t)bytes <= m->bytes) return true;
    rt_free(m->block);
    *m = (rt_region){0};
    if (!rt_add_size((size_t)bytes, 63, &total) || !(m->block = rt_malloc(total))) return false;
    m->at = (char *)(((uintptr_t)m->block + 63) & ~(uintptr_t)63);
    m->bytes = (size_t)bytes;
    rt_want_large_pages(m->block, total);
    return true;
}

static jitc_status prepare_memory(jitc_session *s, const rt_code *code) {
    int64_t work = code->workspace ? code->workspace(s->symbols) : 0;
    int64_t each = code->scratch ? code->scratch(s->symbols) : 0, all;
    int64_t workers = rt_pool_workers(s->pool);
    if (work < 0 || each < 0 || !rt_add_i64(each, 63, &each) ||
        !rt_mul_i64(each &= ~INT64_C(63), workers, &all))
        return failed(s, JITC_E_SHAPE, "these sizes need more memory than there can be");
    if (!grow(&s->workspace, work) || !grow(&s->scratch, all)) return no_memory(s);
    s->work_bytes = work;
    s->scratch_stride = each;
    return JITC_OK;
}

/* ---- after the code */

static bool write_back(jitc_session *s, const rt_art_entry *e) {
    for (int i = 0; i < e->nwrites; i++) {
        const rt_write *w = &s->m->a->writes[e->writes + i];
        rt_value to = s->in[w->in], from = s->out[w->out];
        if (to.tag == V_TENSOR && from.tag == V_TENSOR && !rt_tensor_assign(to.tensor, from.tensor))
            return false;
    }
    return true;
}

/* Owned.  V_UNDEF: out of memory.  What went into a tensor of the caller's is not kept here as well. */
static rt_value build_result(jitc_session *s, rt_frame *f, int32_t desc, int *leaf, int *box) {
    const rt_desc *d = &s->m->a->descs[desc];
    if (d->kind != RT_D_TUPLE || (d->flags & RT_DESC_BOXED)) {
        int i = (*leaf)++;
        return s->target[i] ? V_NULL : rt_retain(s->out[i]);
    }
    rt_value *b = &f->boxes[(*box)++];
    if (b->tag != V_TUPLE && (*b = rt_list_new(V_TUPLE, d->n)).tag == V_UNDEF) {
        *b = V_NULL;
        return (rt_value){.tag = V_UNDEF};
    }
    rt_list *l = b->list; /* empty slots: see drop_result */
    for (int i = 0; i < d->n; i++) {
        rt_value item = build_result(s, f, d->first + i, leaf, box);
        if (item.tag == V_UNDEF) return item;
        l->at[i] = item;
    }
    return rt_retain(*b);
}

/* Results go to the caller's tensors where those were not written directly. */
static jitc_status fill_targets(jitc_session *s, int n) {
    for (int i = 0; i < n; i++) {
        rt_tensor *to = s->target[i], *t = s->out[i].tag == V_TENSOR ? s->out[i].tensor : NULL;
        if (!to || !t || to == t) continue;
        jitc_status status = check_target(s, i, t->dtype, t->ndim, t->shape);
        if (status != JITC_OK) return status;
        if (!rt_tensor_assign(to, t)) return no_memory(s);
    }
    return JITC_OK;
}

static jitc_status finish_run(jitc_session *s, int entry) {
    const rt_art_entry *e = &s->m->a->entries[entry];
    int leaf = 0, box = 0;
    if (!write_back(s, e)) return no_memory(s);
    jitc_status status = fill_targets(s, s->m->entries[entry].nresult);
    if (status != JITC_OK) return status;
    s->last = entry;
    rt_value result = build_result(s, &s->frames[entry], e->result, &leaf, &box);
    if (result.tag == V_UNDEF) return no_memory(s);
    s->result = result;
    return JITC_OK;
}

static void clear_values(rt_value *at, int n) {
    for (int i = 0; i < n; i++) {
        rt_release(at[i]);
        at[i] = V_NULL;
    }
}

static void release_run(jitc_session *s, int nslots) {
    clear_values(s->slots, nslots);
    clear_values(s->in, s->nin);
    clear_values(s->out, s->nout);
    s->nin = s->nout = 0;
    rt_blocks_reset(s);
}

/* ---- the run */

static jitc_status run_code(jitc_session *s, int entry) {
    const jitc_module *m = s->m;
    const rt_art_entry *e = &m->a->entries[entry];
    const rt_code *code = &e->code[m->level];
    jitc_status status = prepare_outputs(s, entry);
    if (status == JITC_OK) status = prepare_memory(s, code);
    if (status != JITC_OK) return status;
    for (int i = 0; i < e->nslots; i++) s->slots[i] = V_NULL;
    s->run = (rt_run){.services = &rt_service_table,
                      .env = &s->env,
                      .symbols = s->symbols,
                      .in = s->in,
                      .in_data = s->in_data,
                      .out = s->out,
                      .out_data = s->out_data,
                      .weights = m->weights,
                      .state = s->state,
                      .state_data = s->state_data,
                      .workspace = s->workspace.at,
                      .workspace_bytes = s->work_bytes,
                      .scratch = s->scratch.at,
                      .scratch_stride = s->scratch_stride,
                      .workers = rt_pool_workers(s->pool),
                      .slots = s->slots,
                      .profile = s->profiling ? &s->profile : NULL,
                      .artefact = m->a,
                      .owner = s,
                      .prepared = m->prepared};
    rt_profile_begin(s, e);
    int32_t code_failed = code->run(&s->run);
    rt_profile_end(s);
    return code_failed ? raised(s) : finish_run(s, entry);
}

/* args are in s->args; targets of the output leaves in s->target. */
static jitc_status run_entry(jitc_session *s, int entry, int nargs) {
    bool held = hold_arguments(s, entry, nargs);
    drop_result(s);
    s->last = -1;
    jitc_status status =
        held && prepare_inputs(s, entry) && prepare_state(s) ? run_code(s, entry) : no_memory(s);
    if (status == JITC_OK) rt_repeat_note(s, entry, nargs);
    release_run(s, s->m->a->entries[entry].nslots);
    return status;
}

/* The call repeats the last run: all is set, and the result is the same one. */
static jitc_status run_again(jitc_session *s) {
    s->running = true;
    int32_t code_failed = s->repeat.run(&s->run);
    s->running = false;
    if (s->live) rt_blocks_reset(s);
    if (!code_failed) return JITC_OK;
    drop_result(s);
    s->last = s->repeat.entry = -1;
    return raised(s);
}

static jitc_status begin(jitc_session *s, const char *method, int nargs, int *entry) {
    s->repeat.entry = -1; /* its symbols go now */
    s->error.n = 0;
    s->profile.n = 0; /* its sizes go now */
    return rt_select_entry(s->m, method, nargs, s->args, s->leaves, s->symbols, entry, &s->error);
}

static jitc_status check_call(jitc_session *s, const char *method, int nargs) {
    if (s->running) return JITC_E_ARGUMENT; /* the running call owns the error text */
    clear_error(s);
    if (s->lost) return failed(s, JITC_E_MEMORY, "out of memory in an earlier run: the session needs a reset");
    if (nargs >= 0 && nargs <= s->m->max_args) return JITC_OK;
    rt_text_fmt(&s->error, "%s: %d arguments are too many", method, nargs);
    return JITC_E_ARGUMENT;
}

static jitc_status bad_argument(jitc_session *s, const char *method, int i, const char *why) {
    rt_text_fmt(&s->error, "%s: argument %d: %s", method, i, why);
    return JITC_E_ARGUMENT;
}

static void clear_targets(jitc_session *s) {
    for (int i = 0; i < s->m->max_out; i++) s->target[i] = NULL;
}

jitc_status jitc_run(jitc_session *s, const char *method, int nargs, const jitc_value *args,
                     jitc_value *result) {
    int entry = -1;
    *result = jitc_none();
    jitc_status status = check_call(s, method, nargs);
    if (status != JITC_OK) return status;
    for (int i = 0; i < nargs; i++) {
        if (args[i].kind < 0 || args[i].kind >= (int32_t)V_UNDEF)
            return bad_argument(s, method, i, "it is not a value");
        if (args[i].kind > JITC_KIND_FLOAT && !args[i].as.p) return bad_argument(s, method, i, "it is NULL");
        s->args[i] = rt_of_public(args[i]);
    }
    clear_targets(s);
    if (rt_repeats(s, method, nargs)) {
        status = run_again(s);
    } else {
        if ((status = begin(s, method, nargs, &entry)) != JITC_OK) return status;
        s->running = true;
        status = run_entry(s, entry, nargs);
        s->running = false;
    }
    *result = status == JITC_OK ? rt_to_public(s->result) : jitc_none();
    return status;
}

/* ---- tensors only */

/* Leaf i of the result tree, which holds tensors, tuples and (for leaves that went to the caller's tensors)
 * nones. */
static rt_tensor *result_leaf(rt_value v, int *i) {
    if (v.tag != V_TUPLE) return (*i)-- == 0 && v.tag == V_TENSOR ? v.tensor : NULL;
    for (int64_t k = 0; k < v.list->n && *i >= 0; k++) {
        rt_tensor *t = result_leaf(v.list->at[k], i);
        if (t) return t;
    }
    return NULL;
}

/* State that shares memory with a tensor of the caller's gets memory of its own. */
static bool unshare_state(jitc_session *s, rt_value *v, const rt_storage *storage) {
    if (v->tag == V_LIST || v->tag == V_TUPLE) {
        for (int64_t i = 0; i < v->list->n; i++)
            if (!unshare_state(s, &v->list->at[i], storage)) return false;
    } else if (v->tag == V_DICT) {
        for (int64_t i = 0; i < v->dict->n; i++)
            if (!unshare_state(s, &v->dict->values[i], storage)) return false;
    } else if (v->tag == V_TENSOR && v->tensor->storage == storage) {
        rt_tensor *t = rt_tensor_copy_to(v->tensor, v->tensor->dtype);
        if (!t) return false;
        rt_release(*v);
        *v = rt_tensor_value(t);
    }
    return true;
}

/* Out of memory where a state value would have got memory of its own. */
static jitc_status lost_state(jitc_session *s) {
    s->lost = true;
    return no_memory(s);
}

static bool unshare_targets(jitc_session *s, int nout) {
    for (int i = 0; i < nout; i++)
        for (int64_t k = 0; s->target[i] && k < s->m->a->nstates; k++)
            if (!unshare_state(s, &s->state[k], s->target[i]->storage)) return false;
    return true;
}

/* in: s->args.  out: s->target. */
static jitc_status run_tensors(jitc_session *s, const char *method, int nin, int nout) {
    int entry = -1;
    if (nout == s->repeat.nout && rt_repeats(s, method, nin)) return run_again(s);
    jitc_status status = begin(s, method, nin, &entry);
    if (status != JITC_OK) return status;
    const rt_entry_info *info = &s->m->entries[entry];
    int have = s->m->a->descs[s->m->a->entries[entry].result].kind == RT_D_NONE ? 0 : info->nresult;
    if (!info->all_tensors || nout != have) {
        if (info->all_tensors) rt_text_fmt(&s->error, "%s has %d results, not %d", method, have, nout);
        else rt_text_fmt(&s->error, "%s has arguments or results that are not tensors: use jitc_run", method);
        return JITC_E_ARGUMENT;
    }
    s->running = true;
    status = run_entry(s, entry, nin);
    s->running = false;
    return unshare_targets(s, nout) ? status : lost_state(s);
}

jitc_status jitc_run_tensors(jitc_session *s, const char *method, int nin, jitc_tensor *const *in, int nout,
                             jitc_tensor **out) {
    jitc_status status = check_call(s, method, nin);
    if (status != JITC_OK) return status;
    if (nout < 0 || nout > s->m->max_out) return failed(s, JITC_E_ARGUMENT, "too many results are asked for");
    clear_targets(s);
    for (int i = 0; i < nin; i++) {
        if (!in[i]) return bad_argument(s, method, i, "it is NULL");
        s->args[i] = rt_tensor_value(in[i]);
    }
    for (int i = 0; i < nout; i++) s->target[i] = out[i];
    status = run_tensors(s, method, nin, nout);
    for (int i = 0; status == JITC_OK && i < nout; i++) {
        int leaf = i;
        if (!out[i]) out[i] = result_leaf(s->result, &leaf);
    }
    clear_targets(s);
    return status;
}

/* ---- DLPack */

/* Makes *wrap a tensor over d's memory, the same one as in the last call where that had as many dims and nobody else holds it
 * now.  NULL, or why this cannot be; `failed`: memory ran out. */
static const char *wrap(rt_tensor **wrap, const DLTensor *d, bool *failed) {
    rt_dtype dtype;
    size_t bytes;
    const char *why = d ? rt_dlpack_check(d, &dtype, &bytes) : "it is NULL";
    if (why) return why;
    rt_tensor *t = *wrap;
    void *data = d->data ? (char *)d->data + d->byte_offset : NULL;
    if (!t || t->ndim != d->ndim || !only_ours(t)) {
        rt_tensor_release(t);
        *wrap = rt_tensor_wrap(dtype, d->ndim, d->shape, d->strides, data, bytes, NULL, NULL);
        *failed = !*wrap;
        return NULL;
    }
    int64_t stride = 1;
    t->dtype = dtype;
    t->storage->data = data;
    t->storage->bytes = bytes;
    for (int k = d->ndim - 1; k >= 0; k--) {
        t->shape[k] = d->shape[k];
        t->strides[k] = d->strides ? d->strides[k] : stride;
        if (d->shape[k] > 1) stride *= d->shape[k];
    }
    return NULL;
}

static jitc_status wrap_input(jitc_session *s, const char *method, int i, const DLTensor *d) {
    bool no_room = false;
    const char *why = wrap(&s->wraps[i], d, &no_room);
    if (why) return bad_argument(s, method, i, why);
    s->args[i] = rt_tensor_value(s->wraps[i]);
    return no_room ? no_memory(s) : JITC_OK;
}

static jitc_status wrap_target(jitc_session *s, const char *method, int i, const DLTensor *d) {
    bool no_room = false;
    rt_tensor **t = &s->wraps[s->m->max_args + i];
    const char *why = d->data ? wrap(t, d, &no_room) : NULL;
    if (why) rt_text_fmt(&s->error, "%s: result %d: %s", method, i, why);
    if (why) return JITC_E_ARGUMENT;
    s->target[i] = d->data ? *t : NULL;
    return no_room ? no_memory(s) : JITC_OK;
}

/* The caller's memory is borrowed for the call only: where a value that outlives the run (state, a result)
 * still shares it, the storage gets memory of its own. */
static bool unshare_input(jitc_session *s, int i) {
    rt_tensor *t = s->wraps[i];
    if (!t || only_ours(t)) return true;
    rt_storage *storage = t->storage;
    void *copy = rt_malloc(storage->bytes);
    if (copy && storage->bytes) memcpy(copy, storage->data, storage->bytes);
    if (!copy) storage->bytes = 0;
    storage->data = copy;
    storage->destroy = rt_free;
    storage->owner = copy;
    rt_tensor_release(t);
    s->wraps[i] = NULL;
    return copy != NULL;
}

static jitc_status wrap_all(jitc_session *s, const char *method, int nin, const DLTensor *const *in, int nout,
                            const DLTensor *out) {
    jitc_status status = JITC_OK;
    for (int i = 0; status == JITC_OK && i < nin; i++) status = wrap_input(s, method, i, in[i]);
    for (int i = 0; status == JITC_OK && i < nout; i++) status = wrap_target(s, method, i, &out[i]);
    return status;
}

jitc_status jitc_run_dlpack(jitc_session *s, const char *method, int nin, const DLTensor *const *in, int nout,
                            DLTensor *out) {
    jitc_status status = check_call(s, method, nin);
    if (status != JITC_OK) return status;
    if (nout < 0 || nout > s->m->max_out) return failed(s, JITC_E_ARGUMENT, "too many results are asked for");
    clear_targets(s);
    status = wrap_all(s, method, nin, in, nout, out);
    if (status == JITC_OK) status = run_tensors(s, method, nin, nout);
    for (int i = 0; i < nin; i++)
        if (!unshare_input(s, i)) status = lost_state(s);
    for (int i = 0; status == JITC_OK && i < nout; i++) {
        int leaf = i;
        rt_tensor *t = out[i].data ? NULL : result_leaf(s->result, &leaf);
        if (t) jitc_tensor_describe(t, &out[i]);
    }
    clear_targets(s);
    return status;
}
