/* bare.c: runs the straight-line module `mlp` (an object of any target) without a C library, so that an emulator is all that a
 * foreign target needs: made-up inputs, and the elements of the result as bytes on standard output. */
#include "runtime/artefact.h"

extern const rt_artefact jitc_artefact_mlp;

enum { ROWS = 5, IN = 16, OUT = 10 };
static float in[ROWS * IN], out[ROWS * OUT];
static _Alignas(64) char workspace[1 << 20], scratch[1 << 16];

static int32_t parallel_for(rt_run *r, int64_t n, int64_t grain, rt_body_fn *fn, void *arg) {
    int32_t code = 0;
    (void)r;
    for (int64_t i = 0; i < n && !code; i += grain) code = fn(arg, i, n - i < grain ? n : i + grain, 0);
    return code;
}

static int run(void) {
    static const rt_services services = {.size = sizeof services, .parallel_for = parallel_for};
    const rt_code *code = jitc_artefact_mlp.entries[0].code;
    int64_t symbols[1] = {ROWS};
    void *in_data[1] = {in}, *out_data[1] = {out};
    rt_value values[2] = {{.tag = V_TENSOR}, {.tag = V_TENSOR}};
    for (int i = 0; i < ROWS * IN; i++) in[i] = (float)(i * 37 % 101) / 50 - 1;
    rt_run r = {.services = &services, .symbols = symbols, .in = values, .in_data = in_data, .out = values + 1,
                .out_data = out_data, .weights = jitc_artefact_mlp.weights, .workspace = workspace,
                .workspace_bytes = sizeof workspace, .scratch = scratch, .scratch_stride = sizeof scratch, .workers = 1,
                .artefact = &jitc_artefact_mlp};
    if (code->workspace && code->workspace(symbols) > r.workspace_bytes) return 2;
    return code->run(&r);
}

#if defined(__STDC_HOSTED__) && __STDC_HOSTED__
int main(void) { return run() || fwrite(out, sizeof out, 1, stdout) != 1; }
#else
/* Linux's system calls, by number. */
static long call(long number, long a, long b, long c) {
#if defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#elif defined(__riscv)
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
#endif
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    for (size_t i = 0; i < n; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}
void *memset(void *at, int c, size_t n) {
    for (size_t i = 0; i < n; i++) ((volatile char *)at)[i] = (char)c;
    return at;
}

void _start(void) {
    int code = run();
    if (!code) code = call(64, 1, (long)out, sizeof out) != sizeof out; /* write */
    call(94, code, 0, 0);                                               /* exit_group */
}
#endif
