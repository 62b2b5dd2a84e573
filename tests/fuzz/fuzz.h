/* fuzz.h: shared by the fuzz targets.  A target is one file with LLVMFuzzerTestOneInput; linked with
 * libFuzzer it is fuzzed, linked with replay.c it runs over files (and mutations of them) in every ordinary
 * test run. */
#ifndef JITC_TESTS_FUZZ_H
#define JITC_TESTS_FUZZ_H

#include "ir/ir.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A context without the op table, which readers of data do not need: made thousands of times a second. */
static inline ir_context *fuzz_context(void) {
    ir_context *c = rt_calloc(1, sizeof *c);
    if (!c) abort();
    RT_PUSH(&c->arena, &c->spans, (ir_place){0});
    return c;
}

/* Ends the context; a failure without a message, or a success with one, is a bug. */
static inline void fuzz_done(ir_context *c, bool fine) {
    if (fine != (c->nerrors == 0)) abort();
    rt_text t = {0};
    ir_diags_print(c, &t, false);
    rt_text_free(&t);
    ir_context_free(c);
}

/* Reads every element, so that a tensor outside of its storage is seen. */
static inline double fuzz_touch_tensor(const rt_tensor *t) {
    double sum = 0;
    int64_t n = rt_tensor_numel(t);
    for (int64_t k = 0; k < n && k < 1 << 16; k++) {
        int64_t at = t->offset, rest = k % 2 ? n - 1 - k : k; /* from both ends */
        for (int i = t->ndim - 1; i >= 0; i--) {
            at += rest % t->shape[i] * t->strides[i];
            rest /= t->shape[i];
        }
        sum += rt_load_f64(t->storage->data, t->dtype, at);
    }
    return sum;
}

static inline double fuzz_touch(rt_value v) {
    double sum = 0;
    if (v.tag == V_TENSOR) return fuzz_touch_tensor(v.tensor);
    if (v.tag == V_LIST || v.tag == V_TUPLE)
        for (int64_t i = 0; i < v.list->n; i++) sum += fuzz_touch(v.list->at[i]);
    if (v.tag == V_DICT)
        for (int64_t i = 0; i < v.dict->n; i++)
            sum += fuzz_touch(v.dict->keys[i]) + fuzz_touch(v.dict->values[i]);
    if (v.tag == V_OBJECT)
        for (int i = 0; i < v.object->n; i++) sum += fuzz_touch(v.object->at[i]);
    return sum;
}

#endif
