/* host_dict.c: dicts.  Order is that of insertion, as in Python. */
#include "runtime/host.h"

static bool key_error(rt_env *env, rt_value key) {
    rt_text t = {0};
    rt_value_print(&t, key, true);
    rt_raise(env, "KeyError", "%s", t.s ? t.s : "");
    rt_text_free(&t);
    return false;
}

HOST(rt_host_dict_len) {
    WANT(0, V_DICT);
    *out = rt_int(args[0].dict->n);
    return true;
}

HOST(rt_host_dict_get) {
    WANT(0, V_DICT);
    rt_value *v = rt_dict_find(args[0].dict, args[1]);
    if (!v) return key_error(env, args[1]);
    *out = rt_retain(*v);
    return true;
}

/* get(key[, default]) */
HOST(rt_host_dict_get_or) {
    WANT(0, V_DICT);
    rt_value *v = rt_dict_find(args[0].dict, args[1]);
    *out = v ? rt_retain(*v) : nargs > 2 ? rt_retain(args[2]) : V_NULL;
    return true;
}

static bool set(rt_env *env, rt_dict *d, rt_value key, rt_value value) {
    return rt_dict_set(d, key, rt_retain(value)) || rt_host_memory_error(env);
}

HOST(rt_host_dict_set) {
    WANT(0, V_DICT);
    *out = V_NULL;
    return set(env, args[0].dict, args[1], args[2]);
}

HOST(rt_host_dict_setdefault) {
    WANT(0, V_DICT);
    rt_value *v = rt_dict_find(args[0].dict, args[1]);
    if (!v && !set(env, args[0].dict, args[1], args[2])) return false;
    *out = rt_retain(v ? *v : args[2]);
    return true;
}

HOST(rt_host_dict_delete) {
    WANT(0, V_DICT);
    *out = V_NULL;
    return rt_dict_remove(args[0].dict, args[1]) || key_error(env, args[1]);
}

HOST(rt_host_dict_contains) {
    WANT(0, V_DICT);
    *out = rt_bool(rt_dict_find(args[0].dict, args[1]) != NULL);
    return true;
}

/* pop(key[, default]) */
HOST(rt_host_dict_pop) {
    WANT(0, V_DICT);
    rt_value *v = rt_dict_find(args[0].dict, args[1]);
    if (!v && nargs < 3) return key_error(env, args[1]);
    *out = rt_retain(v ? *v : args[2]);
    if (v) rt_dict_remove(args[0].dict, args[1]);
    return true;
}

static rt_value item(const rt_dict *d, int64_t i) {
    rt_value t = rt_list_new(V_TUPLE, 2);
    if (t.tag == V_UNDEF) return t;
    t.list->at[0] = rt_retain(d->keys[i]);
    t.list->at[1] = rt_retain(d->values[i]);
    return t;
}

HOST(rt_host_dict_popitem) {
    WANT(0, V_DICT);
    rt_dict *d = args[0].dict;
    if (d->n == 0) return rt_raise(env, "KeyError", "popitem(): dictionary is empty");
    out[0] = rt_retain(d->keys[d->n - 1]);
    out[1] = rt_retain(d->values[d->n - 1]);
    rt_dict_remove(d, out[0]);
    return true;
}

HOST(rt_host_dict_clear) {
    WANT(0, V_DICT);
    rt_dict *d = args[0].dict;
    while (d->n) {
        rt_value key = rt_retain(d->keys[d->n - 1]);
        rt_dict_remove(d, key);
        rt_release(key);
    }
    *out = V_NULL;
    return true;
}

static bool update(rt_env *env, rt_dict *to, const rt_dict *from) {
    for (int64_t i = 0; to != from && i < from->n; i++)
        if (!set(env, to, from->keys[i], from->values[i])) return false;
    return true;
}

HOST(rt_host_dict_update) {
    WANT(0, V_DICT);
    WANT(1, V_DICT);
    *out = V_NULL;
    return update(env, args[0].dict, args[1].dict);
}

HOST(rt_host_dict_copy) {
    WANT(0, V_DICT);
    rt_value v = rt_dict_new();
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    if (!update(env, v.dict, args[0].dict)) {
        rt_release(v);
        return false;
    }
    *out = v;
    return true;
}

HOST(rt_host_dict_keys) {
    WANT(0, V_DICT);
    rt_value v = rt_list_new(V_LIST, args[0].dict->n);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; i < v.list->n; i++) v.list->at[i] = rt_retain(args[0].dict->keys[i]);
    *out = v;
    return true;
}

HOST(rt_host_dict_values) {
    WANT(0, V_DICT);
    rt_value v = rt_list_new(V_LIST, args[0].dict->n);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; i < v.list->n; i++) v.list->at[i] = rt_retain(args[0].dict->values[i]);
    *out = v;
    return true;
}

HOST(rt_host_dict_items) {
    WANT(0, V_DICT);
    rt_value v = rt_list_new(V_LIST, args[0].dict->n);
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; i < v.list->n; i++)
        if ((v.list->at[i] = item(args[0].dict, i)).tag == V_UNDEF) {
            rt_release(v);
            return rt_host_memory_error(env);
        }
    *out = v;
    return true;
}

/* dict(), dict(list of pairs) */
HOST(rt_host_dict_of) {
    rt_value v = rt_dict_new();
    if (v.tag == V_UNDEF) return rt_host_memory_error(env);
    for (int64_t i = 0; nargs > 0 && args[0].tag == V_LIST && i < args[0].list->n; i++) {
        rt_value p = args[0].list->at[i];
        bool ok = p.tag == V_TUPLE && p.list->n == 2;
        if (!ok ? !rt_host_type_error(env, 0) : !set(env, v.dict, p.list->at[0], p.list->at[1])) {
            rt_release(v);
            return false;
        }
    }
    *out = v;
    return true;
}
