/* Fuzz target: the pickle machine, with every class and storage there is. */
#include "fuzz.h"
#include "script/pickle.h"

static ir_class *find_class(void *env, const char *name) {
    static const char *fields[] = {"training", "weight", "a", "b"};
    ir_context *c = env;
    ir_class *cls = RT_NEW(&c->arena, ir_class);
    cls->name = ir_intern(c, name);
    cls->nfields = (int)(strlen(name) % 5);
    cls->fields = fields;
    return cls;
}

static bool has_setstate(void *env, ir_class *cls) {
    (void)env;
    return strchr(cls->name, 'Q') != NULL;
}

static rt_tensor *find_storage(void *env, const char *key, rt_dtype dtype, int64_t numel) {
    rt_tensor *t = numel <= 4096 ? rt_tensor_new(dtype, 1, &numel) : NULL;
    if (!t) ir_error(env, 0, "no storage %s", key);
    else memset(rt_tensor_data(t), 1, t->storage->bytes);
    return t;
}

static bool unpickle(const uint8_t *data, size_t n, bool shapes_only) {
    ir_context *c = fuzz_context();
    script_pickle p = {.c = c,
                       .what = "fuzz",
                       .cls = find_class,
                       .has_setstate = has_setstate,
                       .storage = find_storage,
                       .env = c,
                       .shapes_only = shapes_only};
    rt_value v;
    bool fine = script_unpickle(&p, (const char *)data, n, &v);
    volatile double sum = fine && n < 1 << 12 ? fuzz_touch(v) : 0;
    for (int i = 0; i < p.setstates.n && n < 1 << 12; i++) sum += fuzz_touch(p.setstates.at[i].state);
    rt_release(v);
    script_pickle_free(&p);
    fuzz_done(c, fine);
    return fine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    unpickle(data, n, false);
    unpickle(data, n, true);
    return 0;
}
