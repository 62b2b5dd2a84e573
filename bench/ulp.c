/* ulp.c: accuracy and speed of the functions of lower/math.c and of the op rows made of them, through the whole
 * compiler: each is a script, compiled to a module, loaded and run.
 *
 *   ulp [options] [NAME...]      default: every function
 *     -s STRIDE   every STRIDE-th of the 2^32 floats (default 1: all); pairs and f64: 2^32 / STRIDE samples
 *     -j THREADS  for the accuracy (default 1)
 *     -f          compiled with fast_math
 *     -6          f64, against long double, at samples
 *     -t          speed only; -a: accuracy only
 *     -k DIR      keep the modules in DIR
 *     -b DIR      time against the modules that another build kept in DIR, interleaved
 *
 * Accuracy: the largest error in units of the last place (of the exact value, 2^-149 for subnormal f32), apart for
 * results that are subnormal; `abs` is the largest absolute error for arguments up to 16, for functions whose relative
 * error means little where they vanish (gelu); `special` counts results
 * whose NaN, infinity or sign of zero is not the exact one's.
 * Speed: ns per element over 4096 elements in L1, one thread, minimum of many rounds, less the cost of a call. */
#include "bench/exact.h"
#include "jitc/jitc.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef long double wide;
enum { CHUNK = 1 << 14, SPEED = 4096 };

/* ---- exact values */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static wide sigmoidl(wide x) { return 1 / (1 + expl(-x)); }
static double rsqrt(double x) { return 1 / sqrt(x); }
static wide rsqrtl(wide x) { return 1 / sqrtl(x); }
static double silu(double x) { return x / (1 + exp(-x)); }
static wide silul(wide x) { return x / (1 + expl(-x)); }
static double softplus(double x) { return x > 20 ? x + exp(-x) : log1p(exp(x)); }
static wide softplusl(wide x) { return x > 20 ? x /* as PyTorch */ : log1pl(expl(x)); }
static double mish(double x) { return x * tanh(softplus(x)); }
static wide mishl(wide x) { return x * tanhl(x > 50 ? x : log1pl(expl(x))); }
static double gelu(double x) { return 0.5 * x * erfc(-x * M_SQRT1_2); }
static wide gelul(wide x) { return 0.5L * x * erfcl(-x * 0.707106781186547524400844362104849L); }
static double log_sigmoid(double x) { return (x < 0 ? x : 0) - log1p(exp(-fabs(x))); }
static wide log_sigmoidl(wide x) { return (x < 0 ? x : 0) - log1pl(expl(-fabsl(x))); }

static double gelu_tanh(double x) {
    return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static wide gelu_tanhl(wide x) {
    return x / (1 + expl(-2 * 0.797884560802865355879892119868763737L * (x + 0.044715L * x * x * x)));
}

static wide erfinvl(wide y) { /* bisection, then Newton */
    wide a = fabsl(y), lo = 0, hi = 12;
    if (!(a < 1)) return a == 1 ? copysignl(INFINITY, y) : NAN;
    if (a < 1e-9L) return y * 0.886226925452758013649083741670572591L;
    for (int i = 0; i < 24; i++) {
        wide m = (lo + hi) / 2;
        if (1 - erfcl(m) < a) lo = m;
        else hi = m;
    }
    for (int i = 0; i < 4; i++)
        lo -= (a < 0.5L ? erfl(lo) - a : (1 - a) - erfcl(lo)) * expl(lo * lo) * 0.886226925452758013649083741670572591L;
    return copysignl(lo, y);
}
static double erfinv(double y) { return (double)erfinvl((wide)y); }

static wide digammal(wide x) { /* recurrence up to 40, then the asymptotic series */
    wide r = 0, whole;
    if (x == 0) return copysignl(INFINITY, -x);
    if (x < 0) {
        wide part = modfl(x, &whole);
        if (part == 0 || isinf(x)) return NAN;
        if (part < -0.5L) part += 1;
        return digammal(1 - x) - M_PIl / tanl(M_PIl * part);
    }
    for (; x < 40; x += 1) r -= 1 / x;
    wide z = 1 / (x * x);
    wide s = 1 / 240.0L - z * (5 / 660.0L - z * 691 / 32760);
    s = z * (1 / 12.0L - z * (1 / 120.0L - z * (1 / 252.0L - z * s)));
    return isinf(x) ? x : r + logl(x) - 0.5L / x - s;
}
static double digamma(double x) { return (double)digammal((wide)x); }
static double lgamma2(double x) { return lgamma_r(x, &(int){0}); }
static wide lgamma2l(wide x) { return lgammal_r(x, &(int){0}); }

typedef struct function {
    const char *name, *script;
    double (*f)(double);
    wide (*fl)(wide);
    double (*f2)(double, double);
    wide (*f2l)(wide, wide);
    double lo, hi; /* of the arguments whose speed is measured */
} function;

#define F(name, lo, hi)                                                                                       \
    { #name, "torch." #name "(x)", name, name##l, NULL, NULL, lo, hi }
#define G(name, script, lo, hi)                                                                               \
    { #name, script, name, name##l, NULL, NULL, lo, hi }
#define F2(name, lo, hi)                                                                                      \
    { #name, "torch." #name "(x, y)", NULL, NULL, name, name##l, lo, hi }
static const function functions[] = {
    F(exp, -4, 4), F(exp2, -4, 4), F(expm1, -4, 4), F(log, 0.1, 9), F(log2, 0.1, 9), F(log10, 0.1, 9),
    F(log1p, -0.9, 9), F(sin, -4, 4), F(cos, -4, 4), F(tan, -4, 4), F(sinh, -4, 4), F(cosh, -4, 4), F(tanh, -4, 4),
    F(asin, -1, 1), F(acos, -1, 1), F(atan, -4, 4), F(erf, -4, 4), F(sigmoid, -4, 4), F(rsqrt, 0.1, 9),
    F(asinh, -4, 4), F(acosh, 1, 9), F(atanh, -1, 1), F(erfc, -4, 4), F(erfinv, -1, 1),
    G(lgamma2, "torch.lgamma(x)", -4, 9), F(digamma, -4, 9), F(gelu, -4, 4),
    G(gelu_tanh, "torch.gelu(x, approximate='tanh')", -4, 4), F(silu, -4, 4), F(softplus, -4, 4), F(mish, -4, 4),
    F(log_sigmoid, -4, 4), F2(pow, 0.1, 4), F2(atan2, -4, 4), F2(hypot, -4, 4), F2(fmod, -9, 9),
};
enum { NFUNCTIONS = sizeof functions / sizeof *functions };

/* ---- options, modules */

typedef struct options {
    uint64_t stride;
    int threads, f64, fast, speed, accuracy, nnames;
    const char *keep, *base;
    char **names;
} options;

static void die(const char *what, const char *why) {
    fprintf(stderr, "ulp: %s: %s\n", what, why ? why : "");
    exit(1);
}

static jitc_module *load(const char *path) {
    jitc_module *m;
    if (jitc_load(path, NULL, &m)) die(path, jitc_error());
    return m;
}

static jitc_module *compile(const options *o, const char *dir, const function *f) {
    char script[4096], out[4096], inputs[2][32], *text = NULL;
    const char *in[] = {inputs[0], inputs[1]}, *type = o->f64 ? "f64" : "f32";
    snprintf(script, sizeof script, "%s/%s.py", dir, f->name);
    snprintf(out, sizeof out, "%s/%s-%s.so", dir, f->name, type);
    FILE *file = fopen(script, "w");
    if (!file) die(script, "cannot write");
    fprintf(file, "def forward(x: Tensor%s) -> Tensor:\n    return %s\n", f->f ? "" : ", y: Tensor", f->script);
    fclose(file);
    for (int i = 0; i < 2; i++) snprintf(inputs[i], sizeof inputs[i], "%c=%s[N]", "xy"[i], type);
    jitc_compile_opts c = {.size = sizeof c, .inputs = in, .ninputs = f->f ? 1 : 2, .fast_math = o->fast};
    if (jitc_compile(script, out, &c, &text)) die(f->name, text);
    jitc_free(text);
    jitc_module *m = load(out);
    unlink(script);
    if (!o->keep) unlink(out);
    return m;
}

typedef struct runner {
    jitc_session *s;
    jitc_tensor *in[2], *out;
    int nin;
} runner;

static runner make_runner(jitc_module *m, const function *f, int f64, int64_t n) {
    runner r = {.nin = f->f ? 1 : 2};
    if (jitc_session_new(m, NULL, &r.s)) die("session", jitc_error());
    for (int i = 0; i < 3; i++)
        if (jitc_tensor_new(f64 ? JITC_F64 : JITC_F32, 1, &n, i < 2 ? &r.in[i] : &r.out)) die("tensor", jitc_error());
    return r;
}

static void run(runner *r) {
    if (jitc_run_tensors(r->s, "forward", r->nin, r->in, 1, &r->out)) die("run", jitc_session_error(r->s));
}

static void free_runner(runner *r) {
    jitc_session_free(r->s);
    for (int i = 0; i < 3; i++) jitc_tensor_release(i < 2 ? r->in[i] : r->out);
}

/* ---- accuracy */

typedef struct worst {
    double error;
    wide x, y, got, exact;
} worst;

typedef struct job {
    const options *o;
    const function *f;
    jitc_module *m;
    uint64_t begin, end; /* sample numbers */
    worst normal, subnormal, special;
    double absolute;
    uint64_t specials;
} job;

static int subnormal_of(const job *j, wide x) { return fabsl(x) < (j->o->f64 ? 0x1p-1022L : 0x1p-126L); }

static void judge(job *j, wide x, wide y, wide got, wide exact) {
    int f64 = j->o->f64, e;
    wide near = f64 ? (wide)(double)exact : (wide)(float)exact, top = f64 ? 0x1p1024L : 0x1p128L;
    int kind_got = isnan(got) ? 2 : isinf(got), kind_exact = isnan(exact) ? 2 : isinf(exact);
    if (got == near && (got != 0 || signbit(got) == signbit(near))) {
        if (isinf(got) || got == 0) return;
    } else if (kind_exact || kind_got == 2 || (exact == 0 && signbit(got) != signbit(exact))) {
        if (kind_got == 2 && kind_exact == 2) return;
        if (!j->specials++) j->special = (worst){0, x, y, got, exact};
        return;
    }
    if (isinf(got)) got = copysignl(top, got);
    frexpl(exact, &e);
    e = f64 ? (e < -1021 ? -1074 : e - 53) : e < -125 ? -149 : e - 24;
    worst *w = subnormal_of(j, exact) ? &j->subnormal : &j->normal;
    double error = (double)(fabsl(got - exact) / ldexpl(1, e)), absolute = (double)fabsl(got - exact);
    if (fabsl(x) <= 16 && absolute > j->absolute) j->absolute = absolute;
    if (!(error <= w->error)) *w = (worst){error, x, y, got, exact};
}

static uint64_t mixed(uint64_t i) {
    i = (i ^ (i >> 30)) * 0xbf58476d1ce4e5b9;
    i = (i ^ (i >> 27)) * 0x94d049bb133111eb;
    return i ^ (i >> 31);
}

/* Half of the samples are any bits; the others are of the magnitude where functions do something. */
static double any_f64(uint64_t i) {
    uint64_t bits = mixed(i);
    double x;
    if (i & 1) return ldexp((double)(int64_t)bits, (int)(mixed(bits) % 24) - 79);
    memcpy(&x, &bits, 8);
    return x;
}
static float any_f32(uint64_t i) {
    uint32_t bits = (uint32_t)mixed(i);
    float x;
    if (i & 1) return (float)any_f64(i);
    memcpy(&x, &bits, 4);
    return x;
}

static void fill(const job *j, runner *r, uint64_t from, int n) {
    for (int k = 0; k < r->nin; k++) {
        void *data = jitc_tensor_data(r->in[k]);
        uint64_t salt = (uint64_t)k * 0x12345678abcd;
        for (int i = 0; i < n; i++) {
            uint64_t at = from + (uint64_t)i;
            if (j->o->f64) ((double *)data)[i] = any_f64(2 * at + salt + (at & 1));
            else if (r->nin == 2) ((float *)data)[i] = any_f32(2 * at + salt + (at & 1));
            else ((uint32_t *)data)[i] = (uint32_t)(at * j->o->stride);
        }
    }
}

/* Is it clear from `about`, which is nearly exact, that nothing here is worse than what was seen? */
static int unremarkable(const job *j, float x, float got, double about) {
    if (got == (float)about) return got != 0 || signbit(got) == signbit(about);
    if (isnan(got)) return isnan(about);
    double error = fabs((double)got - about), size = fabs(about), ulp;
    if (!(size >= 0x1p-126 && size < 0x1p127 && fabsf(got) < INFINITY)) return 0;
    uint64_t bits;
    memcpy(&bits, &size, 8);
    bits = ((bits >> 52) - 23) << 52;
    memcpy(&ulp, &bits, 8);
    return error < (j->normal.error - 1e-6) * ulp && (fabsf(x) > 16 || error < j->absolute);
}

static void judge_block(job *j, const float *x, const float *y, const float *z, int n) {
    static _Thread_local double wide_x[CHUNK], about[CHUNK];
    exact_block *block = j->f->f ? exact_find(j->f->name) : NULL;
    for (int i = 0; i < n; i++) wide_x[i] = (double)x[i];
    if (block) block(wide_x, about, n);
    for (int i = 0; i < n; i++) {
        if (block && unremarkable(j, x[i], z[i], about[i])) continue;
        double exact = j->f->f ? j->f->f(wide_x[i]) : j->f->f2(wide_x[i], (double)y[i]);
        if (z[i] == (float)exact && z[i] != 0 && !isinf(z[i])) continue; /* correctly rounded */
        judge(j, x[i], y[i], z[i], exact);
    }
}

static void *work(void *arg) {
    job *j = arg;
    runner r = make_runner(j->m, j->f, j->o->f64, CHUNK);
    for (uint64_t from = j->begin; from < j->end; from += CHUNK) {
        int n = j->end - from < CHUNK ? (int)(j->end - from) : CHUNK;
        fill(j, &r, from, n);
        run(&r);
        if (j->o->f64) {
            const double *x = jitc_tensor_data(r.in[0]), *y = jitc_tensor_data(r.in[1]), *z = jitc_tensor_data(r.out);
            for (int i = 0; i < n; i++)
                judge(j, x[i], y[i], z[i], j->f->fl ? j->f->fl(x[i]) : j->f->f2l(x[i], y[i]));
        } else {
            const float *x = jitc_tensor_data(r.in[0]), *y = jitc_tensor_data(r.in[1]), *z = jitc_tensor_data(r.out);
            judge_block(j, x, y, z, n);
        }
    }
    free_runner(&r);
    return NULL;
}

static void take(worst *to, const worst *from) {
    if (from->error > to->error) *to = *from;
}

static void print_worst(const char *what, const job *j, const worst *w) {
    printf("\n    %s at x = %La = %.9Lg", what, w->x, w->x);
    if (!j->f->f) printf(", y = %.9Lg", w->y);
    printf(": %.9Lg, exact %.12Lg", w->got, w->exact);
}

static void accuracy(const options *o, const function *f, jitc_module *m) {
    uint64_t n = 0xffffffff / o->stride + 1;
    job *jobs = calloc((size_t)o->threads, sizeof *jobs);
    pthread_t *threads = calloc((size_t)o->threads, sizeof *threads);
    for (int i = 0; i < o->threads; i++) {
        uint64_t k = (uint64_t)o->threads, at = (uint64_t)i;
        worst rounding = {.error = o->f64 ? 0 : 0.5};
        uint64_t begin = n / k * at, end = at + 1 == k ? n : n / k * (at + 1);
        jobs[i] = (job){.o = o, .f = f, .m = m, .normal = rounding, .begin = begin, .end = end};
        if (pthread_create(&threads[i], NULL, work, &jobs[i])) die("thread", NULL);
    }
    for (int i = 0; i < o->threads; i++) {
        pthread_join(threads[i], NULL);
        take(&jobs[0].normal, &jobs[i].normal);
        take(&jobs[0].subnormal, &jobs[i].subnormal);
        jobs[0].absolute = fmax(jobs[0].absolute, jobs[i].absolute);
        if (!jobs[0].specials) jobs[0].special = jobs[i].special;
        if (i) jobs[0].specials += jobs[i].specials;
    }
    job *j = &jobs[0];
    printf("%-12s %8.3f at %-15.9Lg %8.3f %9.2g %8llu", f->name, j->normal.error, j->normal.x, j->subnormal.error,
           j->absolute, (unsigned long long)j->specials);
    if (j->normal.error > 2) print_worst("normal", j, &j->normal);
    if (j->subnormal.error > 2) print_worst("subnormal", j, &j->subnormal);
    if (j->specials) print_worst("special", j, &j->special);
    free(jobs);
    free(threads);
}

/* ---- speed */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double once(runner *r) {
    double best = 1e18;
    for (int i = 0; i < 20; i++) {
        double t = now();
        run(r);
        t = now() - t;
        if (t < best) best = t;
    }
    return best;
}

static void speed(const options *o, const function *f, jitc_module *m) {
    jitc_module *at[2] = {m};
    int n = 1;
    runner big[2], small[2];
    double best[2] = {1e18, 1e18}, call[2] = {1e18, 1e18};
    if (o->base) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s-%s.so", o->base, f->name, o->f64 ? "f64" : "f32");
        if (!access(path, R_OK)) at[n++] = load(path);
    }
    for (int i = 0; i < n; i++) {
        big[i] = make_runner(at[i], f, o->f64, SPEED);
        small[i] = make_runner(at[i], f, o->f64, 16);
        for (int k = 0; k < 2 * SPEED; k++) {
            double u = (double)(mixed((uint64_t)k) >> 11) * 0x1p-53, x = f->lo + u * (f->hi - f->lo);
            runner *to = k / 2 < 16 ? &small[i] : &big[i];
            for (int again = 0; again < 2; again++, to = &big[i])
                if (o->f64) ((double *)jitc_tensor_data(to->in[k % 2]))[k / 2] = x;
                else ((float *)jitc_tensor_data(to->in[k % 2]))[k / 2] = (float)x;
        }
    }
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < n; i++) {
            double t = once(&big[i]), s = once(&small[i]);
            if (t < best[i]) best[i] = t;
            if (s < call[i]) call[i] = s;
        }
    for (int i = 0; i < n; i++) {
        best[i] = (best[i] - call[i]) / (SPEED - 16);
        free_runner(&big[i]);
        free_runner(&small[i]);
    }
    printf(" %8.3f", best[0]);
    if (n == 2) printf(" %8.3f %7.2f", best[1], best[0] / best[1]);
    if (n == 2) jitc_module_release(at[1]);
}

/* ---- main */

static int wanted(const options *o, const function *f) {
    for (int i = 0; i < o->nnames; i++)
        if (!strcmp(o->names[i], f->name)) return 1;
    return !o->nnames;
}

static options read_options(int argc, char **argv) {
    options o = {.stride = 1, .threads = 1, .speed = 1, .accuracy = 1};
    for (int c; (c = getopt(argc, argv, "s:j:f6tak:b:")) != -1;) switch (c) {
        case 's': o.stride = strtoull(optarg, NULL, 0); break;
        case 'j': o.threads = atoi(optarg); break;
        case 'f': o.fast = 1; break;
        case '6': o.f64 = 1; break;
        case 't': o.accuracy = 0; break;
        case 'a': o.speed = 0; break;
        case 'k': o.keep = optarg; break;
        case 'b': o.base = optarg; break;
        default: exit(2);
        }
    o.nnames = argc - optind, o.names = argv + optind;
    if (!o.stride || o.threads < 1) die("options", "STRIDE and THREADS are at least 1");
    return o;
}

int main(int argc, char **argv) {
    options o = read_options(argc, argv);
    char dir[] = "/tmp/ulpXXXXXX";
    if (!o.keep && !mkdtemp(dir)) die(dir, "cannot be made");
    if (o.keep) mkdir(o.keep, 0777);
    printf("%-12s", "");
    if (o.accuracy) printf(" %8s    %-15s %8s %9s %8s", "max ULP", "", "subn.", "abs", "special");
    if (o.speed) printf(" %8s%s", "ns", o.base ? "   before   ratio" : "");
    printf("\n");
    for (int i = 0; i < NFUNCTIONS; i++) {
        const function *f = &functions[i];
        if (!wanted(&o, f)) continue;
        jitc_module *m = compile(&o, o.keep ? o.keep : dir, f);
        if (o.accuracy) accuracy(&o, f, m);
        else printf("%-12s", f->name);
        if (o.speed) speed(&o, f, m);
        printf("\n");
        fflush(stdout);
        jitc_module_release(m);
    }
    if (!o.keep) rmdir(dir);
    return 0;
}
