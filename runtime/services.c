/* services.c: what running code can ask for, through the table of artefact.h.
 *
 * Every service that stores a value puts it in place before it releases the old one, so that an output may be
 * one of the inputs.  A failure is recorded in the env with its place, and given back as a code that the
 * compiled code passes on. */
#include "runtime/session.h"

#include <time.h>

enum { FAILED = 1, FEW = 16 };

static jitc_session *session_of(const rt_run *r) { return r->owner; }

static int32_t fail_memory(rt_run *r) {
    session_of(r)->out_of_memory = true;
    return FAILED;
}

static int32_t store(rt_run *r, rt_value v, rt_value *out) {
    if (v.tag == V_UNDEF) return fail_memory(r);
    rt_value old = *out;
    *out = v;
    rt_release(old);
    return 0;
}

/* ---- loops and memory */

static int32_t parallel_for(rt_run *r, int64_t n, int64_t pieces, rt_body_fn *fn, void *arg) {
    return rt_pool_run(session_of(r)->pool, n, pieces, fn, arg);
}

static void unlink_live(jitc_session *s, rt_block *b) {
    if (b->prev) b->prev->next = b->next;
    else s->live = b->next;
    if (b->next) b->next->prev = b->prev;
}

/* The smallest idle block that fits, unless it is more than four times as large. */
static rt_block *take_idle(jitc_session *s, size_t bytes) {
    rt_block **best = NULL;
    for (rt_block **at = &s->idle; *at; at = &(*at)->next)
        if ((*at)->bytes >= bytes && (*at)->bytes / 4 <= bytes && (!best || (*at)->bytes < (*best)->bytes))
            best = at;
    if (!best) return NULL;
    rt_block *b = *best;
    *best = b->next;
    return b;
}

/* Layout: padding, rt_block in the 64 bytes before the aligned data; `block_start` finds what rt_malloc gave.
 */
static rt_block *make_block(size_t bytes) {
    size_t total;
    if (!rt_add_size(bytes, 64 + RT_BLOCK_HEAD, &total)) return NULL;
    char *p = rt_malloc(total);
    if (!p) return NULL;
    char *data = (char *)(((uintptr_t)p + 63 + RT_BLOCK_HEAD) & ~(uintptr_t)63);
    rt_block *b = (rt_block *)(data - RT_BLOCK_HEAD);
    *b = (rt_block){.bytes = bytes};
    memcpy(data - sizeof(char *), &p, sizeof p);
    return b;
}
_Static_assert(sizeof(rt_block) + sizeof(char *) <= RT_BLOCK_HEAD, "both fit before the data");

static void free_block(rt_block *b) {
    char *p;
    memcpy(&p, (char *)b + RT_BLOCK_HEAD - sizeof p, sizeof p);
    rt_free(p);
}

static void *block_new(rt_run *r, int64_t bytes) {
    jitc_session *s = session_of(r);
    size_t need = ((size_t)(bytes > 0 ? bytes : 1) + 63) & ~(size_t)63;
    rt_block *b = bytes < 0 ? NULL : take_idle(s, need);
    if (!b && bytes >= 0) b = make_block(need);
    if (!b) {
        fail_memory(r);
        return NULL;
    }
    b->prev = NULL;
    b->next = s->live;
    if (s->live) s->live->prev = b;
    s->live = b;
    return (char *)b + RT_BLOCK_HEAD;
}

static void make_idle(jitc_session *s, rt_block *b) {
    unlink_live(s, b);
    b->next = s->idle;
    s->idle = b;
}

static void block_free(rt_run *r, void *block) {
    if (block) make_idle(session_of(r), (rt_block *)((char *)block - RT_BLOCK_HEAD));
}

void rt_blocks_reset(jitc_session *s) {
    while (s->live) make_idle(s, s->live);
}

void rt_blocks_free(jitc_session *s) {
    rt_blocks_reset(s);
    for (rt_block *b = s->idle, *next; b; b = next) {
        next = b->next;
        free_block(b);
    }
    s->idle = NULL;
}

/* ---- failures */

static int32_t fail_at(rt_run *r, int32_t message, const char *cls, const char *text) {
    session_of(r)->place = message;
    rt_raise(r->env, cls, "%s", text);
    return FAILED;
}

static const char *message_class(const rt_run *r, int32_t message) {
    const rt_artefact *a = r->artefact;
    return message >= 0 && a->messages[message].cls ? rt_art_text(a, a->messages[message].cls)
                                                    : "RuntimeError";
}

static int32_t raise_message(rt_run *r, int32_t message) {
    const rt_artefact *a = r->artefact;
    return fail_at(r, message, message_class(r, message),
                   message < 0 ? "" : rt_art_text(a, a->messages[message].text));
}

static int32_t raise_text(rt_run *r, int32_t message, const char *cls, const char *text) {
    return fail_at(r, message, cls ? cls : message_class(r, message), text);
}

static int32_t raise_value(rt_run *r, int32_t message, const rt_value *cls, const rt_value *text) {
    return fail_at(r, message, cls->tag == V_STR && cls->str->n ? cls->str->s : message_class(r, message),
                   text->tag == V_STR ? text->str->s : "");
}

static int32_t fail_index(rt_run *r, int32_t message, int64_t i, int64_t n) {
    session_of(r)->place = message;
    rt_raise(r->env, "IndexError", "index %lld is out of range for a list of %lld", (long long)i,
             (long long)n);
    return FAILED;
}

static int32_t fail_type(rt_run *r, int32_t message, const char *want) {
    session_of(r)->place = message;
    rt_raise(r->env, "TypeError", "expected %s", want);
    return FAILED;
}

/* ---- host functions */

static bool call_custom(rt_run *r, const rt_host_slot *h, int nargs, const rt_value *args, int nout,
                        rt_value *out) {
    jitc_value few[FEW], results[FEW], *a = nargs <= FEW ? few : rt_malloc((size_t)nargs * sizeof *a);
    if (!a) {
        fail_memory(r);
        return false;
    }
    for (int i = 0; i < nargs; i++) a[i] = rt_to_public(args[i]);
    for (int i = 0; i < nout; i++) results[i] = jitc_none();
    bool ok = h->custom(h->data, r->env, nargs, a, nout, results) == 0 && !r->env->cls;
    if (!ok && !r->env->cls) rt_raise(r->env, "RuntimeError", "a custom operator failed");
    for (int i = 0; i < nout; i++) {
        out[i] = rt_of_public(results[i]);
        if (!ok) rt_release(out[i]);
    }
    if (a != few) rt_free(a);
    return ok;
}

static int32_t call_host(rt_run *r, int32_t host, int32_t message, int32_t nargs, const rt_value *args,
                         int32_t nout, rt_value *out) {
    jitc_session *s = session_of(r);
    const rt_host_slot *h = &s->m->hosts[host];
    rt_value results[FEW];
    if (nout > FEW) return raise_text(r, message, "RuntimeError", "an operator has too many results");
    for (int i = 0; i < nout; i++) results[i] = V_NULL;
    bool ok = h->host ? h->host(r->env, args, nargs, results) : call_custom(r, h, nargs, args, nout, results);
    if (!ok) {
        s->place = message;
        if (r->env->cls && !strcmp(r->env->cls, "MemoryError")) s->out_of_memory = true;
        return FAILED;
    }
    for (int i = 0; i < nout; i++)
        if (store(r, results[i], &out[i])) return FAILED;
    return 0;
}

/* ---- tensors */

static int32_t tensor_new(rt_run *r, int32_t dtype, int32_t rank, const int64_t *shape, rt_value *out,
                          void **data) {
    rt_tensor *t = rt_tensor_new((rt_dtype)dtype, rank, shape);
    if (!t) return fail_memory(r);
    *data = rt_tensor_data(t);
    return store(r, rt_tensor_value(t), out);
}

static int32_t tensor_lend(rt_run *r, int32_t dtype, int32_t rank, const int64_t *shape, void *data, rt_value *out) {
    rt_tensor *t = rt_tensor_wrap((rt_dtype)dtype, rank, shape, NULL, data, 0, NULL, NULL);
    return t ? store(r, rt_tensor_value(t), out) : fail_memory(r);
}

static int32_t tensor_get(rt_run *r, int32_t message, const rt_value *v, int32_t dtype, int32_t rank,
                          int64_t *shape, rt_value *hold, void **data) {
    if (v->tag != V_TENSOR) return fail_type(r, message, "a tensor");
    rt_tensor *t = v->tensor;
    if ((int32_t)t->dtype != dtype || t->ndim != rank) {
        const char *what = message < 0 ? "" : rt_art_text(r->artefact, r->artefact->messages[message].text);
        session_of(r)->place = message;
        rt_raise(r->env, "TypeError", "%s%sexpected a %s tensor of rank %d, got %s of rank %d", what,
                 *what ? ": " : "", rt_dtypes[dtype].name, rank, rt_dtypes[t->dtype].name, t->ndim);
        return FAILED;
    }
    if (rank) memcpy(shape, t->shape, (size_t)rank * sizeof *shape);
    if (!rt_tensor_contiguous(t)) {
        if (!(t = rt_tensor_copy_to(t, t->dtype))) return fail_memory(r);
        if (store(r, rt_tensor_value(t), hold)) return FAILED;
    }
    *data = rt_tensor_data(t);
    return 0;
}

static int32_t tensor_assign(rt_run *r, const rt_value *to, const rt_value *from) {
    if (to->tag != V_TENSOR || from->tag != V_TENSOR) return fail_type(r, -1, "a tensor");
    return rt_tensor_assign(to->tensor, from->tensor) ? 0 : fail_memory(r);
}

/* ---- values */

static void copy_value(rt_run *r, const rt_value *v, rt_value *out) { (void)store(r, rt_retain(*v), out); }

static void clear_value(rt_run *r, rt_value *v) { (void)store(r, V_NULL, v); }

static int32_t make_str(rt_run *r, const char *s, int64_t n, rt_value *out) {
    return store(r, rt_str(s, (size_t)n), out);
}

static int32_t make_list(rt_run *r, int32_t tag, int64_t n, const rt_value *items, rt_value *out) {
    rt_value v = rt_list_new((rt_tag)tag, n);
    if (v.tag == V_UNDEF) return fail_memory(r);
    for (int64_t i = 0; i < n; i++) v.list->at[i] = rt_retain(items[i]);
    return store(r, v, out);
}

static int32_t list_push(rt_run *r, const rt_value *list, const rt_value *item) {
    if (list->tag != V_LIST) return fail_type(r, -1, "a list");
    return rt_list_push(list->list, rt_retain(*item)) ? 0 : fail_memory(r);
}

static int64_t length(rt_run *r, const rt_value *v) {
    (void)r;
    switch (v->tag) {
    case V_LIST:
    case V_TUPLE: return v->list->n;
    case V_DICT: return v->dict->n;
    case V_STR: return (int64_t)v->str->n;
    default: return 0;
    }
}

static int32_t find_item(rt_run *r, int32_t message, const rt_value *list, int64_t i, rt_value **at) {
    if (list->tag != V_LIST && list->tag != V_TUPLE) return fail_type(r, message, "a list or tuple");
    int64_t n = list->list->n, k = i < 0 ? i + n : i;
    if (k < 0 || k >= n) return fail_index(r, message, i, n);
    *at = &list->list->at[k];
    return 0;
}

static int32_t get_item(rt_run *r, int32_t message, const rt_value *list, int64_t i, rt_value *out) {
    rt_value *at;
    return find_item(r, message, list, i, &at) ? FAILED : store(r, rt_retain(*at), out);
}

static int32_t set_item(rt_run *r, int32_t message, const rt_value *list, int64_t i, const rt_value *item) {
    rt_value *at;
    return find_item(r, message, list, i, &at) ? FAILED : store(r, rt_retain(*item), at);
}

static int32_t make_dict(rt_run *r, int64_t pairs, const rt_value *items, rt_value *out) {
    rt_value v = rt_dict_new();
    bool ok = v.tag != V_UNDEF;
    for (int64_t i = 0; i < pairs && ok; i++)
        ok = rt_dict_set(v.dict, items[2 * i], rt_retain(items[2 * i + 1]));
    if (ok) return store(r, v, out);
    rt_release(v);
    return fail_memory(r);
}

static int32_t literal(rt_run *r, int32_t row, rt_value *out) {
    return store(r, rt_literal_value(session_of(r)->m, row), out);
}

static int32_t equal(rt_run *r, const rt_value *a, const rt_value *b) {
    (void)r;
    return rt_value_equal(*a, *b);
}

/* ---- profiles */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void close_row(rt_profile *p, int64_t now) {
    if (p->open) p->rows[p->n - 1].ns = now - p->begin - p->rows[p->n - 1].start;
    p->open = false;
}

static void mark(rt_run *r, int32_t op) {
    jitc_session *s = session_of(r);
    rt_profile *p = &s->profile;
    int64_t now = now_ns();
    close_row(p, now);
    if (p->n == p->cap) {
        int cap = p->cap ? p->cap * 2 : 256;
        jitc_profile_row *rows = rt_realloc(p->rows, (size_t)cap * sizeof *rows);
        if (!rows) return; /* a shorter profile */
        p->rows = rows;
        p->cap = cap;
    }
    p->rows[p->n++] = (jitc_profile_row){.op = op, .start = now - p->begin};
    p->open = true;
}

void rt_profile_begin(jitc_session *s, const rt_art_entry *e) {
    s->profile.n = s->profile.described = 0;
    s->profile.open = false;
    s->profile.entry = e;
    if (s->profiling) s->profile.begin = now_ns();
}

void rt_profile_end(jitc_session *s) {
    if (s->profiling) close_row(&s->profile, now_ns());
}

/* What a row stands for is told here, where it costs no time that is measured. */
static void describe_rows(jitc_session *s) {
    const rt_artefact *a = s->m->a;
    rt_profile *p = &s->profile;
    for (; p->described < p->n; p->described++) {
        int i = p->described;
        jitc_profile_row *row = &p->rows[i];
        const rt_op *o = &a->ops[p->entry->ops + row->op];
        const rt_message *at = o->message >= 0 ? &a->messages[o->message] : NULL;
        row->name = rt_art_text(a, o->name);
        row->result = rt_art_text(a, o->result);
        row->file = at ? rt_art_text(a, at->file) : "";
        row->line = at ? at->line : 0;
        if (o->flops < 0 || !rt_expr_eval(a, o->flops, s->symbols, &row->flops)) row->flops = 0;
        if (o->bytes < 0 || !rt_expr_eval(a, o->bytes, s->symbols, &row->bytes)) row->bytes = 0;
    }
}

int jitc_session_profile(jitc_session *s, const jitc_profile_row **rows) {
    describe_rows(s);
    *rows = s->profile.rows;
    return s->profile.n;
}

const rt_services rt_service_table = {
    .size = sizeof(rt_services),
    .parallel_for = parallel_for,
    .block_new = block_new,
    .block_free = block_free,
    .raise = raise_message,
    .raise_text = raise_text,
    .raise_value = raise_value,
    .call = call_host,
    .tensor_new = tensor_new,
    .tensor_lend = tensor_lend,
    .tensor_get = tensor_get,
    .tensor_assign = tensor_assign,
    .copy = copy_value,
    .clear = clear_value,
    .str = make_str,
    .list = make_list,
    .list_push = list_push,
    .length = length,
    .item = get_item,
    .set_item = set_item,
    .dict = make_dict,
    .literal = literal,
    .equal = equal,
    .mark = mark,
};
