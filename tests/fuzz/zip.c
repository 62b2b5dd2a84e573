/* Fuzz target: the zip reader; every entry is read. */
#include "fuzz.h"
#include "script/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    ir_context *c = fuzz_context();
    ir_mapping *map = ir_mapping_copy(c, "fuzz.pt", data, n);
    script_zip *z = script_zip_open(c, "fuzz.pt", map);
    ir_mapping_release(map);
    volatile unsigned sum = 0;
    for (int i = 0; z && i < script_zip_count(z); i++) {
        size_t size;
        const char *p = script_zip_read(z, script_zip_at(z, i), &size);
        for (size_t k = 0; p && k < size; k++) sum += (unsigned char)p[k];
    }
    script_zip_close(z);
    fuzz_done(c, c->nerrors == 0 && z);
    return 0;
}
