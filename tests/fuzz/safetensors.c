/* Fuzz target: safetensors, read, and the same bytes as a case file compared with itself. */
#include "fuzz.h"
#include "ir/case.h"

static void read_tensors(const uint8_t *data, size_t n) {
    ir_context *c = fuzz_context();
    ir_safetensors *s = ir_safetensors_memory(c, "fuzz.safetensors", data, n);
    volatile double sum = 0;
    for (int i = 0; s && i < s->tensors.n; i++) sum += fuzz_touch_tensor(s->tensors.at[i].tensor);
    ir_safetensors_close(s);
    fuzz_done(c, s != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    read_tensors(data, n);
    ir_context *c = fuzz_context();
    ir_cases *k = ir_cases_memory(c, "fuzz.safetensors", data, n);
    for (int i = 0; k && i < k->n; i++) {
        ir_comparison out;
        const char *why;
        ir_case_raised(c, &k->at[i], "ValueError", "bad", &why);
        if (k->at[i].has_out && !ir_case_compare(c, &k->at[i], k->at[i].out, (ir_tolerance){0}, &out))
            abort();
    }
    fuzz_done(c, k != NULL);
    return 0;
}
