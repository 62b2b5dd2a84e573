/* repeat.c: the call that repeats the last one: same method, tensors of the same dtypes, sizes and strides.
 *
 * All that a run works out from its arguments besides their addresses (variant, symbols, guards, memory, outputs) is
 * then as the last run left it, down to the tensors of the result if nobody else holds them by now.  So a
 * repetition compares, fills in addresses and enters the code: no lookup, no lock, no count that goes up and
 * down.  Only entries whose arguments and results are plain tensors, and which keep nothing, take part
 * (rt_entry_info.plain); whatever else is unusual takes the long way. */
#include "runtime/session.h"

#include <stdatomic.h>

static bool held_by(_Atomic int *refs, int n) { return atomic_load_explicit(refs, memory_order_acquire) == n; }

static bool aligned(const void *data, rt_dtype d) { return ((uintptr_t)data & (uintptr_t)(rt_dtypes[d].bytes - 1)) == 0; }

/* ---- before a repetition */

/* Is t as the tensor of the last run was?  *data: its element 0. */
static bool like(const rt_repeat_leaf *l, const rt_tensor *t, void **data) {
    if (t->dtype != l->dtype || t->ndim != l->ndim) return false;
    for (int i = 0; i < l->ndim; i++)
        if (t->shape[i] != l->sizes[i] || t->strides[i] != l->sizes[l->ndim + i]) return false;
    *data = (char *)t->storage->data + t->offset * rt_dtypes[t->dtype].bytes;
    return aligned(*data, t->dtype);
}

static bool apart(const void *a, size_t na, const void *b, size_t nb) {
    return (uintptr_t)a + na <= (uintptr_t)b || (uintptr_t)b + nb <= (uintptr_t)a;
}

static bool same_inputs(jitc_session *s) {
    const rt_repeat *r = &s->repeat;
    for (int i = 0; i < r->nin; i++) {
        if (s->args[i].tag != V_TENSOR || !like(&r->in[i], s->args[i].tensor, &s->in_data[i])) return false;
        s->in[i] = s->args[i]; /* borrowed: the caller's for the whole call */
    }
    return true;
}

/* Result i goes where it went, or to another tensor of the caller's. */
static bool same_output(jitc_session *s, int i) {
    const rt_repeat *r = &s->repeat;
    rt_tensor *own = r->own[i], *t = own ? own : s->target[i];
    if (!own != !!s->target[i] || !like(&r->out[i], t, &s->out_data[i])) return false;
    if (own && !(held_by(&own->refs, 2) && held_by(&own->storage->refs, 1))) return false; /* the cache and the result */
    for (int k = 0; k < r->nin; k++)
        if (!apart(s->out_data[i], r->out[i].bytes, s->in_data[k], r->in[k].bytes)) return false;
    for (int k = 0; k < i; k++)
        if (!apart(s->out_data[i], r->out[i].bytes, s->out_data[k], r->out[k].bytes)) return false;
    return true;
}

bool rt_repeats(jitc_session *s, const char *method, int nargs) {
    const rt_repeat *r = &s->repeat;
    if (r->entry < 0 || nargs != r->nin || strcmp(method, r->method) || !same_inputs(s)) return false;
    for (int i = 0; i < r->nout; i++)
        if (!same_output(s, i)) return false;
    const rt_frame *f = &s->frames[r->entry];
    for (int i = 0; i < s->m->entries[r->entry].nboxes; i++)
        if (f->boxes[i].tag != V_TUPLE || !held_by(&f->boxes[i].list->refs, 2)) return false;
    return true;
}

/* ---- after a run that went the long way */

static bool note_leaf(rt_repeat_leaf *l, const rt_tensor *t, int64_t **sizes) {
    *l = (rt_repeat_leaf){t->dtype, t->ndim, *sizes, (size_t)(rt_tensor_numel(t) * rt_dtypes[t->dtype].bytes)};
    for (int i = 0; i < t->ndim; i++) l->sizes[i] = t->shape[i], l->sizes[t->ndim + i] = t->strides[i];
    *sizes += 2 * t->ndim;
    return rt_tensor_contiguous(t) && aligned(rt_tensor_data(t), t->dtype);
}

void rt_repeat_note(jitc_session *s, int entry, int nargs) {
    const rt_art_entry *e = &s->m->a->entries[entry];
    const rt_entry_info *info = &s->m->entries[entry];
    rt_repeat *r = &s->repeat;
    int64_t *sizes = r->sizes;
    if (!info->plain || nargs != e->nargs || s->profiling) return;
    for (int i = 0; i < nargs; i++)
        if (!note_leaf(&r->in[i], s->args[i].tensor, &sizes)) return;
    for (int i = 0; i < info->nresult; i++) {
        rt_tensor *t = s->out[i].tensor;
        if (!note_leaf(&r->out[i], t, &sizes) || (s->target[i] && t != s->target[i])) return;
        r->own[i] = s->target[i] ? NULL : t;
    }
    r->run = e->code[s->m->level].run;
    r->method = rt_art_text(s->m->a, e->method);
    r->nin = nargs;
    r->nout = info->nresult;
    r->entry = entry;
}
