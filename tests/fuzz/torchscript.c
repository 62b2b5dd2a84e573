/* Fuzz target: a whole TorchScript archive, all methods emitted.
 *
 * A changed byte in an entry would only ever meet the checksum; so the checksums of stored entries are put
 * right first where the directory is still readable. */
#include "fuzz.h"
#include "script/import.h"

#include <zlib.h>

static uint32_t u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static uint32_t u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static void put(uint8_t *p, uint32_t x) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(x >> 8 * i);
}

static void repair_entry(uint8_t *p, size_t n, uint8_t *row) {
    size_t at = u32(row + 42), size = u32(row + 20);
    if (u16(row + 10) || at > n || n - at < 30) return;
    size_t data = at + 30 + u16(p + at + 26) + u16(p + at + 28);
    if (data > n || size > n - data) return;
    uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), p + data, (unsigned)size);
    if (!(u16(row + 8) & 8)) put(p + at + 14, crc);
    else if (n - data - size >= 16 && !memcmp(p + data + size, "PK\7\10", 4)) put(p + data + size + 4, crc);
    put(row + 16, crc);
}

static void repair(uint8_t *p, size_t n) {
    if (n < 22) return;
    size_t at = u32(p + n - 22 + 16);
    for (int k = 0; k < 1000 && at <= n && n - at >= 46 && !memcmp(p + at, "PK\1\2", 4); k++) {
        repair_entry(p, n, p + at);
        at += 46 + (size_t)u16(p + at + 28) + u16(p + at + 30) + u16(p + at + 32);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    uint8_t *p = malloc(n ? n : 1);
    ir_context *c = ir_context_new();
    if (!p || !c) abort();
    if (n) memcpy(p, data, n);
    repair(p, n);
    script_vocabulary_init(c);
    script_import *s = script_import_bytes(c, "fuzz.pt", p, n);
    free(p);
    bool fine = s != NULL;
    volatile double sum = 0;
    for (int i = 0; s && i < s->module->tensors.n; i++)
        sum += fuzz_touch_tensor(((ir_tensor_data *)s->module->tensors.entries[i].value)->tensor);
    for (int i = 0; s && i < s->nmethods; i++) fine = script_import_method(s, s->methods[i]) && fine;
    fuzz_done(c, fine && c->nerrors == 0);
    return 0;
}
