/* Fuzz target: .npy files. */
#include "fuzz.h"
#include "ir/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    ir_context *c = fuzz_context();
    rt_tensor *t = ir_npy_memory(c, "fuzz.npy", data, n);
    volatile double sum = t ? fuzz_touch_tensor(t) : 0;
    (void)sum;
    rt_tensor_release(t);
    fuzz_done(c, t != NULL);
    return 0;
}
