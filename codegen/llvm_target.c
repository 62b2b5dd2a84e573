/* llvm_target.c: from the name of a target to LLVM's target machine and the few facts that kernels depend on.
 */
#include "codegen/llvm.h"

#include <stdlib.h>

typedef struct level {
    const char *name, *triple, *cpu, *features;
    int arch, width, registers;
    bool fma, f16, masked, masked_all;
} level;

static const char linux_x86[] = "x86_64-unknown-linux-gnu";

static const level levels[] = {
    {"x86-64", linux_x86, "x86-64", "", CG_X86, 4, 16, false, false, false, false},
    {"x86-64-v2", linux_x86, "x86-64-v2", "", CG_X86, 4, 16, false, false, false, false},
    {"x86-64-v3", linux_x86, "x86-64-v3", "", CG_X86, 8, 16, true, true, true, false},
    {"x86-64-v4", linux_x86, "x86-64-v4", "", CG_X86, 16, 32, true, true, true, true},
    {"aarch64", "aarch64-unknown-linux-gnu", "generic", "+neon,+fp-armv8", CG_AARCH64, 4, 32, true, true,
     false, false},
    {"riscv64", "riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d,+c", CG_RISCV, 4, 32, true, false,
     false, false},
};

static const char *arch_names[] = {"x86_64", "aarch64", "riscv64"};

static void start_llvm(void) { /* idempotent */
    LLVMInitializeX86TargetInfo(), LLVMInitializeX86Target(), LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter(), LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo(), LLVMInitializeAArch64Target(), LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter(), LLVMInitializeAArch64AsmParser();
    LLVMInitializeRISCVTargetInfo(), LLVMInitializeRISCVTarget(), LLVMInitializeRISCVTargetMC();
    LLVMInitializeRISCVAsmPrinter(), LLVMInitializeRISCVAsmParser();
}

/* ---- this machine */

static bool has_feature(const char *list, const char *feature) {
    size_t n = strlen(feature);
    for (const char *s = list; (s = strstr(s, feature)); s += n)
        if (s > list && s[-1] == '+' && (s[n] == 0 || s[n] == ',')) return true;
    return false;
}

static int host_arch(const char *triple) {
    for (size_t i = 0; i < RT_COUNT(arch_names); i++)
        if (!strncmp(triple, arch_names[i], strlen(arch_names[i]))) return (int)i;
    return -1;
}

static void host_facts(level *l, const char *features) {
    if (l->arch != CG_X86) return;
    l->fma = has_feature(features, "fma");
    l->f16 = has_feature(features, "f16c");
    l->masked = has_feature(features, "avx2");
    l->width = l->masked ? 8 : 4;
    l->registers = 16;
    l->masked_all = has_feature(features, "avx512vl") && has_feature(features, "avx512bw");
    if (l->masked_all) l->width = 16, l->registers = 32;
}

static bool host_level(ir_context *c, level *l) {
    char *triple = LLVMGetDefaultTargetTriple(), *cpu = LLVMGetHostCPUName(),
         *features = LLVMGetHostCPUFeatures();
    int arch = host_arch(triple);
    bool found = false;
    for (size_t i = 0; i < RT_COUNT(levels) && !found; i++)
        if (levels[i].arch == arch) *l = levels[i], found = true;
    if (found) {
        l->name = "host";
        l->triple = ir_fmt(c, "%s", triple);
        l->cpu = ir_fmt(c, "%s", cpu);
        l->features = ir_fmt(c, "%s", features);
        host_facts(l, l->features);
    }
    LLVMDisposeMessage(triple);
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    return found;
}

/* ---- names */

/* What added or removed features mean for the facts that kernels depend on; the width stays the level's. */
static void adjust(level *l, const char *features) {
    static const struct {
        const char *name;
        size_t at;
    } facts[] = {
        {"fma", offsetof(level, fma)}, {"f16c", offsetof(level, f16)}, {"avx2", offsetof(level, masked)}};
    if (l->arch != CG_X86) return;
    for (size_t i = 0; i < RT_COUNT(facts); i++)
        for (const char *s = features; *s; s += strcspn(s, ",") + (strchr(s, ',') != NULL)) {
            size_t n = strlen(facts[i].name);
            if (!strncmp(s + 1, facts[i].name, n) && (s[1 + n] == 0 || s[1 + n] == ','))
                ((char *)l)[facts[i].at] = *s == '+';
        }
}

/* "aarch64+dotprod-crc" -> the level's name; the rest as LLVM's list "+dotprod,-crc". */
static const char *split_features(ir_context *c, const char *spec, const char **features) {
    const char *end = spec, *plus = strchr(spec, '+');
    size_t n = plus ? (size_t)(plus - spec) : strlen(spec);
    rt_text t = {0};
    for (end = spec + n; *end;) {
        size_t k = 1 + strcspn(end + 1, "+-");
        if (t.n) rt_text_str(&t, ",");
        rt_text_add(&t, end, k);
        end += k;
    }
    *features = ir_fmt(c, "%s", t.s ? t.s : "");
    rt_text_free(&t);
    return ir_internn(c, spec, n);
}

static bool find_level(ir_context *c, const char *name, level *l) {
    if (!strcmp(name, "host") || !strcmp(name, "cpu")) return host_level(c, l);
    for (size_t i = 0; i < RT_COUNT(levels); i++)
        if (!strcmp(levels[i].name, name)) return *l = levels[i], true;
    for (size_t i = 0; i < RT_COUNT(levels); i++) { /* a triple: the architecture's plainest level */
        size_t n = strlen(arch_names[levels[i].arch]);
        if (strncmp(name, arch_names[levels[i].arch], n) || name[n] != '-') continue;
        *l = levels[i];
        l->triple = name;
        return true;
    }
    return false;
}

static const char *join_features(ir_context *c, const char *a, const char *b) {
    return ir_fmt(c, "%s%s%s", a, *a && *b ? "," : "", b);
}

static LLVMTargetMachineRef make_machine(ir_context *c, const level *l, const char *features, int opt) {
    static const LLVMCodeGenOptLevel opts[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                               LLVMCodeGenLevelDefault, LLVMCodeGenLevelDefault};
    LLVMTargetRef target;
    char *why = NULL;
    if (LLVMGetTargetFromTriple(l->triple, &target, &why)) {
        ir_error(c, 0, "target %s: %s", l->triple, why);
        LLVMDisposeMessage(why);
        return NULL;
    }
    LLVMTargetMachineOptionsRef o = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(o, l->cpu);
    LLVMTargetMachineOptionsSetFeatures(o, features);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(o, opts[opt < 0 ? 0 : opt > 3 ? 3 : opt]);
    LLVMTargetMachineOptionsSetRelocMode(o, LLVMRelocPIC);
    LLVMTargetMachineOptionsSetCodeModel(o, LLVMCodeModelDefault);
    if (l->arch == CG_RISCV) LLVMTargetMachineOptionsSetABI(o, "lp64d");
    LLVMTargetMachineRef m = LLVMCreateTargetMachineWithOptions(target, l->triple, o);
    LLVMDisposeTargetMachineOptions(o);
    return m;
}

static void end_target(void *t) { cg_target_free(t); }

cg_target *cg_target_new(ir_context *c, const char *spec, int opt) {
    level l;
    const char *more;
    start_llvm();
    if (!spec) spec = "host";
    const char *name = split_features(c, spec, &more);
    if (!find_level(c, name, &l)) {
        ir_error(c, 0,
                 "unknown target '%s'; the targets are host, x86-64, x86-64-v2, x86-64-v3, x86-64-v4, "
                 "aarch64, riscv64 and "
                 "LLVM triples of these architectures",
                 spec);
        return NULL;
    }
    adjust(&l, more);
    cg_target *t = RT_NEW(&c->arena, cg_target);
    *t = (cg_target){.spec = ir_intern(c, spec),
                     .triple = l.triple,
                     .cpu = l.cpu,
                     .features = join_features(c, l.features, more),
                     .opt = opt,
                     .arch = l.arch,
                     .width = l.width,
                     .registers = l.registers,
                     .fma = l.fma,
                     .f16 = l.f16,
                     .masked = l.masked,
                     .masked_all = l.masked_all,
                     .host = !strcmp(l.name, "host")};
    ir_at_end(c, end_target, t);
    t->machine = make_machine(c, &l, t->features, opt);
    return t->machine ? t : NULL;
}

bool cg_target_sanitize(ir_context *c, cg_target *t, const char *which) {
    static const char *const rows[][3] = {{"thread", "sanitize_thread", "tsan-module,function(tsan)"},
                                          {"address", "sanitize_address", "asan"}};
    for (size_t i = 0; which && i < RT_COUNT(rows); i++) {
        if (strcmp(rows[i][0], which)) continue;
        t->sanitizer = rows[i][1];
        t->pipeline = rows[i][2];
        return true;
    }
    if (which) ir_error(c, 0, "unknown sanitizer '%s'; there are thread and address", which);
    return !which;
}

void cg_target_free(cg_target *t) {
    if (!t || !t->machine) return;
    LLVMDisposeTargetMachine(t->machine);
    t->machine = NULL;
}
