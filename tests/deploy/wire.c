/* wire.c: see wire.h. */
#include "tests/deploy/wire.h"

void wire_put_int(rt_text *out, int64_t i) { rt_text_add(out, (const char *)&i, sizeof i); }

static void put_tensor(rt_text *out, rt_tensor *t) {
    rt_tensor *whole = rt_tensor_copy_to(t, t->dtype);
    wire_put_int(out, t->dtype);
    wire_put_int(out, t->ndim);
    rt_text_add(out, (const char *)t->shape, (size_t)t->ndim * sizeof *t->shape);
    rt_text_add(out, rt_tensor_data(whole), (size_t)(rt_tensor_numel(t) * rt_dtypes[t->dtype].bytes));
    rt_tensor_release(whole);
}

void wire_put(rt_text *out, rt_value v) {
    wire_put_int(out, v.tag);
    switch (v.tag) {
    case V_BOOL:
    case V_INT:
    case V_FLOAT: wire_put_int(out, v.i); break;
    case V_STR:
        wire_put_int(out, (int64_t)v.str->n);
        rt_text_add(out, v.str->s, v.str->n);
        break;
    case V_TENSOR: put_tensor(out, v.tensor); break;
    case V_LIST:
    case V_TUPLE:
        wire_put_int(out, v.list->n);
        for (int64_t i = 0; i < v.list->n; i++) wire_put(out, v.list->at[i]);
        break;
    case V_DICT:
        wire_put_int(out, v.dict->n);
        for (int64_t i = 0; i < v.dict->n; i++) wire_put(out, v.dict->keys[i]), wire_put(out, v.dict->values[i]);
        break;
    default: break;
    }
}

static void take(wire *w, void *to, size_t n) {
    size_t have = (size_t)(w->end - w->at);
    memset(to, 0, n);
    memcpy(to, w->at, n < have ? n : have);
    w->at += n < have ? n : have;
}

int64_t wire_int(wire *w) {
    int64_t i;
    take(w, &i, sizeof i);
    return i;
}

static rt_value get_tensor(wire *w) {
    rt_dtype d = (rt_dtype)wire_int(w);
    int ndim = (int)wire_int(w);
    int64_t shape[RT_MAX_RANK];
    take(w, shape, (size_t)ndim * sizeof *shape);
    rt_tensor *t = rt_tensor_new(d, ndim, shape);
    take(w, rt_tensor_data(t), (size_t)(rt_tensor_numel(t) * rt_dtypes[d].bytes));
    return rt_tensor_value(t);
}

static rt_value get_str(wire *w) {
    size_t n = (size_t)wire_int(w);
    rt_value v = rt_str(w->at, n);
    w->at += n;
    return v;
}

static rt_value get_list(wire *w, rt_tag tag) {
    rt_value v = rt_list_new(tag, wire_int(w));
    for (int64_t i = 0; i < v.list->n; i++) v.list->at[i] = wire_get(w);
    return v;
}

static rt_value get_dict(wire *w) {
    rt_value v = rt_dict_new();
    for (int64_t n = wire_int(w); n > 0; n--) {
        rt_value key = wire_get(w), item = wire_get(w);
        rt_dict_set(v.dict, key, item);
        rt_release(key);
    }
    return v;
}

rt_value wire_get(wire *w) {
    rt_value v = {.tag = (rt_tag)wire_int(w)};
    switch (v.tag) {
    case V_BOOL:
    case V_INT:
    case V_FLOAT: v.i = wire_int(w); return v;
    case V_STR: return get_str(w);
    case V_TENSOR: return get_tensor(w);
    case V_LIST:
    case V_TUPLE: return get_list(w, v.tag);
    case V_DICT: return get_dict(w);
    default: return v;
    }
}
