/* llvm_target.c: from the name of a target to LLVM's target machines and the few facts that kernels depend on.
 */
#include "codegen/llvm.h"

#include <stdlib.h>

/* What a level has, beside its shape. */
enum { CG_HAS_FMA = 1, CG_HAS_F16 = 2, CG_HAS_ROUND = 4, CG_HAS_AVX2 = 8, CG_HAS_AVX512 = 16, CG_HAS_RVV = 32 };
/* Those that decide which registers there are. */
enum { SHAPES = CG_HAS_AVX2 | CG_HAS_AVX512 | CG_HAS_RVV };

typedef struct level {
    const char *name, *triple, *cpu, *features;
    int arch, width, registers, rows, vectors, flags;
} level;

static const level levels[] = {
#define LEVEL(...) {__VA_ARGS__},
#include "codegen/targets.def"
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

static const char *join(ir_context *c, const char *a, const char *b) {
    return ir_fmt(c, "%s%s%s", a, *a && *b ? "," : "", b);
}

/* ---- features: "+fma,-avx2" */

static int flag_of(const char *word, size_t n) {
    static const struct {
        const char *name;
        int flag;
    } flags[] = {{"fma", CG_HAS_FMA},   {"f16c", CG_HAS_F16},       {"sse4.1", CG_HAS_ROUND},
                 {"avx2", CG_HAS_AVX2}, {"avx512bw", CG_HAS_AVX512}, {"v", CG_HAS_RVV}};
    for (size_t i = 0; i < RT_COUNT(flags); i++)
        if (strlen(flags[i].name) == n && !memcmp(flags[i].name, word, n)) return flags[i].flag;
    return 0;
}

/* Adds these features to the level, and takes those with a minus away; its registers are then those of the best
 * level of the table that has no others. */
static void adjust(ir_context *c, level *l, const char *features) {
    for (const char *s = features; *s; s += strcspn(s, ",") + (strchr(s, ',') != NULL)) {
        int flag = flag_of(s + 1, strcspn(s, ",") - 1);
        l->flags = *s == '+' ? l->flags | flag : l->flags & ~flag;
    }
    l->features = join(c, l->features, features);
    for (size_t i = 0; i < RT_COUNT(levels) && *features; i++) {
        const level *t = &levels[i];
        if (t->arch != l->arch || t->flags & SHAPES & ~l->flags) continue;
        l->width = t->width, l->registers = t->registers, l->rows = t->rows, l->vectors = t->vectors;
    }
}

/* ---- this machine */

static bool loader_knows(int arch, const char *word, size_t n) {
    static const struct {
        int arch;
        const char *name;
    } words[] = {
#define X86(name, leaf, sub, reg, bit, state) {CG_X86, name},
#define ARM(name, word, bit) {CG_AARCH64, name},
#define RISCV(name, bit) {CG_RISCV, name},
#include "runtime/cpu.def"
    };
    for (size_t i = 0; i < RT_COUNT(words); i++)
        if (words[i].arch == arch && strlen(words[i].name) == n && !memcmp(words[i].name, word, n)) return true;
    return false;
}

const char *cg_target_needs(ir_context *c, const cg_target *t) {
    rt_text s = {0};
    if (t->arch == CG_X86 && !strncmp(t->cpu, "x86-64", 6)) rt_text_str(&s, t->cpu);
    for (const char *f = t->features; *f; f += strcspn(f, ",") + (strchr(f, ',') != NULL)) {
        size_t n = strcspn(f, ",") - 1;
        if (*f != '+' || !loader_knows(t->arch, f + 1, n)) continue;
        if (s.n) rt_text_str(&s, ",");
        rt_text_add(&s, f + 1, n);
    }
    const char *out = ir_intern(c, s.s ? s.s : "");
    rt_text_free(&s);
    return out;
}

/* What one maker's processors have, and is of no use: without it the code runs on the others' too. */
static const char one_maker[] = "-sse4a,-xop,-fma4,-tbm";

/* What the loader cannot ask for is not used.  (On x86 it can ask for all else that LLVM uses by itself.) */
static const char *askable(ir_context *c, int arch, const char *features) {
    rt_text s = {0};
    for (const char *f = features; *f; f += strcspn(f, ",") + (strchr(f, ',') != NULL)) {
        size_t n = strcspn(f, ",");
        if (!loader_knows(arch, f + 1, n - 1)) continue;
        if (s.n) rt_text_str(&s, ",");
        rt_text_add(&s, f, n);
    }
    const char *out = ir_intern(c, s.s ? s.s : "");
    rt_text_free(&s);
    return out;
}

static int host_arch(const char *triple) {
    for (size_t i = 0; i < RT_COUNT(arch_names); i++)
        if (!strncmp(triple, arch_names[i], strlen(arch_names[i]))) return (int)i;
    return -1;
}

static bool host_level(ir_context *c, level *l) {
    char *triple = LLVMGetDefaultTargetTriple(), *cpu = LLVMGetHostCPUName(), *features = LLVMGetHostCPUFeatures();
    int arch = host_arch(triple);
    bool found = false;
    for (size_t i = 0; i < RT_COUNT(levels) && !found; i++)
        if (levels[i].arch == arch) *l = levels[i], found = true;
    if (found) {
        l->name = "host";
        l->triple = ir_fmt(c, "%s", triple);
        if (arch == CG_X86) l->cpu = ir_fmt(c, "%s", cpu);
        adjust(c, l, arch == CG_X86 ? ir_fmt(c, "%s,%s", features, one_maker) : askable(c, arch, features));
    }
    LLVMDisposeMessage(triple);
    LLVMDisposeMessage(cpu);
    LLVMDisposeMessage(features);
    return found;
}

/* ---- names */

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

static void unknown_level(ir_context *c, const char *spec) {
    rt_text t = {0};
    for (size_t i = 0; i < RT_COUNT(levels); i++) rt_text_fmt(&t, "%s, ", levels[i].name);
    ir_error(c, 0,
             "unknown target '%s'; the targets are host, %sLLVM triples of these architectures, and "
             "cpu:LEVEL,LEVEL... for several in one",
             spec, t.s ? t.s : "");
    rt_text_free(&t);
}

/* ---- LLVM's machines */

static LLVMTargetMachineRef make_machine(ir_context *c, const level *l, int opt) {
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
    LLVMTargetMachineOptionsSetFeatures(o, l->features);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(o, opts[opt < 0 ? 0 : opt > 3 ? 3 : opt]);
    LLVMTargetMachineOptionsSetRelocMode(o, LLVMRelocPIC);
    LLVMTargetMachineOptionsSetCodeModel(o, LLVMCodeModelDefault);
    if (l->arch == CG_RISCV) LLVMTargetMachineOptionsSetABI(o, "lp64d");
    LLVMTargetMachineRef m = LLVMCreateTargetMachineWithOptions(target, l->triple, o);
    LLVMDisposeTargetMachineOptions(o);
    return m;
}

static void end_target(void *t) { cg_target_free(t); }

static cg_target *one_target(ir_context *c, const char *spec, int opt) {
    level l;
    const char *more, *name = split_features(c, spec, &more);
    if (!find_level(c, name, &l)) {
        unknown_level(c, spec);
        return NULL;
    }
    adjust(c, &l, more);
    cg_target *t = RT_NEW(&c->arena, cg_target);
    *t = (cg_target){.spec = ir_intern(c, spec),
                     .triple = l.triple,
                     .cpu = l.cpu,
                     .features = l.features,
                     .opt = opt,
                     .arch = l.arch,
                     .width = l.width,
                     .registers = l.registers,
                     .rows = l.rows,
                     .vectors = l.vectors,
                     .fma = l.flags & CG_HAS_FMA,
                     .f16 = l.flags & CG_HAS_F16,
                     .round = l.flags & CG_HAS_ROUND,
                     .masked = l.flags & CG_HAS_AVX2,
                     .masked_all = l.flags & CG_HAS_AVX512,
                     .moves = l.flags & CG_HAS_AVX2,
                     .host = !strcmp(l.name, "host")};
    ir_at_end(c, end_target, t);
    t->machine = make_machine(c, &l, opt);
    return t->machine ? t : NULL;
}

/* ---- several levels */

/* Where a level stands among those of its architecture: by its registers, then by what it has beside. */
static bool is_better(const cg_target *a, const cg_target *b) {
    if (a->width != b->width) return a->width > b->width;
    int x = a->fma + a->f16 + a->round, y = b->fma + b->f16 + b->round;
    if (x != y) return x > y;
    return strlen(a->features) > strlen(b->features);
}

static void insert_level(cg_target **best, cg_target *t) {
    while (*best && is_better(*best, t)) best = &(*best)->lower;
    t->lower = *best;
    *best = t;
}

static bool fits(ir_context *c, const cg_target *list, const cg_target *t) {
    for (const cg_target *o = list; o; o = o->lower) {
        bool same = o->arch == t->arch;
        if (!same) ir_error(c, 0, "target: %s and %s are not levels of one architecture", o->spec, t->spec);
        else if (!strcmp(o->spec, t->spec)) ir_error(c, 0, "target: %s is named twice", t->spec);
        else continue;
        return false;
    }
    return true;
}

cg_target *cg_target_new(ir_context *c, const char *spec, int opt) {
    cg_target *best = NULL;
    start_llvm();
    if (!spec) spec = "host";
    if (strncmp(spec, "cpu:", 4)) return one_target(c, spec, opt);
    for (const char *s = spec + 4;;) {
        size_t n = strcspn(s, ",");
        cg_target *t = one_target(c, ir_internn(c, s, n), opt);
        if (!t || !fits(c, best, t)) return NULL;
        insert_level(&best, t);
        if (!s[n]) return best;
        s += n + 1;
    }
}

bool cg_target_sanitize(ir_context *c, cg_target *t, const char *which) {
    static const char *const rows[][3] = {{"thread", "sanitize_thread", "tsan-module,function(tsan)"},
                                          {"address", "sanitize_address", "asan"}};
    for (size_t i = 0; which && i < RT_COUNT(rows); i++) {
        if (strcmp(rows[i][0], which)) continue;
        for (; t; t = t->lower) t->sanitizer = rows[i][1], t->pipeline = rows[i][2];
        return true;
    }
    if (which) ir_error(c, 0, "unknown sanitizer '%s'; there are thread and address", which);
    return !which;
}

void cg_target_free(cg_target *t) {
    for (; t && t->machine; t = t->lower) {
        LLVMDisposeTargetMachine(t->machine);
        t->machine = NULL;
    }
}
