/* cpu.c: which of a module's levels this processor can run, asked once, when the module is loaded. */
#include "runtime/module.h"

#if defined(__x86_64__)
#include <cpuid.h>
#define ARCH "x86_64"
static const struct feature {
    const char *name;
    unsigned leaf, sub;
    char reg;
    int bit;
    unsigned state;
} features[] = {
#define X86(name, leaf, sub, reg, bit, state) {name, leaf, sub, reg, bit, state},
#include "runtime/cpu.def"
};
static const char *const groups[][2] = {
    {"x86-64", "sse2"},
    {"x86-64-v2", "sse3,ssse3,sse4.1,sse4.2,popcnt,cx16"},
    {"x86-64-v3", "x86-64-v2,avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe"},
    {"x86-64-v4", "x86-64-v3,avx512f,avx512bw,avx512cd,avx512dq,avx512vl"},
};

/* What cpuid said so far: in a virtual machine each one takes microseconds. */
enum { CPU_LEAVES = 4 /* different ones in `features` */ };
typedef struct processor {
    int n;
    struct cpu_leaf {
        unsigned leaf, sub, at[4];
    } leaves[CPU_LEAVES];
} processor;

static unsigned cpu_register(processor *p, unsigned leaf, unsigned sub, char reg) {
    int i = 0;
    while (i < p->n && (p->leaves[i].leaf != leaf || p->leaves[i].sub != sub)) i++;
    struct cpu_leaf *l = &p->leaves[i];
    if (i == p->n) {
        l->leaf = leaf, l->sub = sub;
        __get_cpuid_count(leaf, sub, &l->at[0], &l->at[1], &l->at[2], &l->at[3]);
        p->n++;
    }
    return l->at[reg - 'a'];
}

static unsigned saved_state(processor *p) {
    unsigned a, d;
    if (!(cpu_register(p, 1, 0, 'c') >> 27 & 1)) return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static bool is_there(processor *p, const struct feature *f) {
    if (!(cpu_register(p, f->leaf, f->sub, f->reg) >> f->bit & 1)) return false;
    return !f->state || (saved_state(p) & f->state) == f->state;
}
#else
#include <sys/auxv.h>
#if defined(__aarch64__)
#define ARCH "aarch64"
#define ARM(name, word, bit) {name, word, bit},
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH "riscv64"
#define RISCV(name, bit) {name, 1, bit},
#else
#define ARCH ""
#endif
static const struct feature {
    const char *name;
    int word, bit;
} features[] = {
#include "runtime/cpu.def"
    {"", 1, 0}, /* none is empty */
};
static const char *const groups[][2] = {{"", ""}};
typedef struct processor {
    int n;
} processor;

static bool is_there(processor *p, const struct feature *f) {
    (void)p;
    return getauxval(f->word == 1 ? AT_HWCAP : AT_HWCAP2) >> f->bit & 1;
}
#endif

static bool is_word(const char *name, const char *at, size_t n) { return strlen(name) == n && !memcmp(name, at, n); }

/* The first word of the list that the processor lacks (it ends at a comma or the list's end); NULL: none. */
static const char *lacking(processor *p, const char *list) {
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ","), i = 0;
        const char *why = n ? at : NULL;
        while (i < RT_COUNT(groups) && !is_word(groups[i][0], at, n)) i++;
        if (i < RT_COUNT(groups)) why = lacking(p, groups[i][1]);
        for (i = 0; i < RT_COUNT(features) && why == at; i++)
            if (is_word(features[i].name, at, n) && is_there(p, &features[i])) why = NULL;
        if (why) return why;
        at += n + (at[n] == ',');
    }
    return NULL;
}

static jitc_status refuse(const jitc_module *m, int level, const char *why) {
    const char *needs = rt_art_text(m->a, m->a->levels[level].features);
    return rt_fail(JITC_E_CPU, "%s: needs a processor with %s; this one lacks %.*s", jitc_module_name(m), needs,
                   (int)strcspn(why, ","), why);
}

static jitc_status no_level(const jitc_module *m, const char *wanted) {
    rt_text names = {0};
    for (int i = 0; i < m->a->nlevels; i++)
        rt_text_fmt(&names, "%s%s", i ? ", " : "", rt_art_text(m->a, m->a->levels[i].name));
    rt_fail(JITC_E_ARGUMENT, "%s: there is no level %s; there are: %s", jitc_module_name(m), wanted,
            names.s ? names.s : "");
    rt_text_free(&names);
    return JITC_E_ARGUMENT;
}

jitc_status rt_choose_level(jitc_module *m, const char *wanted) {
    const rt_artefact *a = m->a;
    const char *arch = rt_art_text(a, a->arch), *here = ARCH, *why = "?";
    processor p = {0};
    if (*arch && *here && strcmp(arch, here))
        return rt_fail(JITC_E_CPU, "%s: compiled for %s, this is %s", jitc_module_name(m), arch, here);
    if (a->nlevels < 1) return rt_fail(JITC_E_FORMAT, "%s: a module without code", jitc_module_name(m));
    int i = 0;
    for (; i < a->nlevels; i++) {
        if (wanted && strcmp(wanted, rt_art_text(a, a->levels[i].name))) continue;
        why = lacking(&p, rt_art_text(a, a->levels[i].features));
        if (!why || wanted) break;
    }
    if (i == a->nlevels && wanted) return no_level(m, wanted);
    m->level = i;
    return why ? refuse(m, i < a->nlevels ? i : i - 1, why) : JITC_OK;
}
