/* options.c: the options of all commands as one table: parsing and --help come from it. */
#include "cli/cli.h"

#include "jitc/runtime.h"

#include <stdlib.h>

typedef enum kind { FLAG, TEXT, MAYBE /* a text that may be left out: "" */, LIST, COUNT, NUMBER, LEVEL } kind;

typedef struct option {
    const char *name; /* without the dashes */
    kind kind;
    size_t at; /* in cli_args */
    int commands;
    const char *value, *help;
} option;

enum { MODEL = CLI_COMPILE | CLI_RUN | CLI_CHECK | CLI_BENCH, RUNS = CLI_RUN | CLI_CHECK | CLI_BENCH };
#define AT(member) offsetof(cli_args, member)

static const option options[] = {
    {"o", TEXT, AT(out), CLI_COMPILE, "OUT", "where to write; .ir .so .o .a (these two with a .h beside) .ll .s"},
    {"input", LIST, AT(input), MODEL, "NAME=TYPE",
     "dtype and shape of an input, f32[N,3,224,224]; N is any size, N:1..64 a bounded one"},
    {"example", LIST, AT(example), MODEL, "CASE.safetensors", "take methods, dtypes and shapes from its cases; may repeat"},
    {"method", LIST, AT(method), MODEL | CLI_SHOW, "NAME", "compile this method; may repeat (default: those of the examples, else forward)"},
    {"specialise", LIST, AT(specialise), MODEL, "ARG=VALUE", "treat an argument that is no tensor as a constant"},
    {"op", LIST, AT(op), MODEL | CLI_SHOW, "LIB:SYMBOL=SCHEMA", "a custom operator, a C function of a library; to compile, SCHEMA is enough"},
    {"target", TEXT, AT(target), MODEL, "TARGET",
     "host (default: this machine), x86-64-v3, aarch64, riscv64 or a triple; cpu:x86-64-v2,x86-64-v3: both in one"},
    {"O", LEVEL, AT(opt), MODEL, "0..3", "how much to optimise (default 3)"},
    {"fast-math", FLAG, AT(fast_math), MODEL, NULL, "exp, tanh, erf, sigmoid of f32 (and gelu, silu, softmax) within 1e-5 relative"},
    {"verify", FLAG, AT(verify), MODEL, NULL, "check the graph after every pass"},
    {"print-after", TEXT, AT(print_after), MODEL, "PASS", "print the graph after a pass, or after all"},
    {"stop-after", TEXT, AT(stop_after), MODEL, "PASS", "stop after a pass; -o X.ir gives its graph"},
    {"skip", TEXT, AT(skip), MODEL, "PASS,...", "leave passes out"},
    {"stats", FLAG, AT(stats), MODEL, NULL, "what each pass changed and how long it took"},
    {"weights", TEXT, AT(weights), MODEL, "embed|side", "in the output, or in NAME.weights beside it (default embed)"},
    {"name", TEXT, AT(name), MODEL, "NAME", "of the symbols in the output (default: the model's)"},
    {"sanitize", TEXT, AT(sanitize), MODEL, "thread|address", "code that reports to the sanitizer of the loading program"},
    {"inputs", LIST, AT(inputs), CLI_RUN, "FILE", "arguments: a .safetensors, or one .npy for each; may repeat"},
    {"outputs", TEXT, AT(outputs), CLI_RUN, "Y.safetensors", "where results go (default: printed)"},
    {"interpret", FLAG, AT(interpret), CLI_RUN | CLI_CHECK, NULL, "use the reference interpreter, compile nothing"},
    {"threads", COUNT, AT(threads), RUNS, "N", "threads of a run (default: 1, for `run` all cores)"},
    {"level", TEXT, AT(level), RUNS | CLI_SHOW, "LEVEL", "of a module's instruction sets this one (default: the best)"},
    {"profile", TEXT, AT(profile), CLI_RUN, "TRACE.json", "times of the operators, for trace viewers"},
    {"profile", MAYBE, AT(kernels), CLI_BENCH, "TRACE.json",
     "what each kernel takes, beside the measured peak; the trace is for viewers"},
    {"case", TEXT, AT(cases), CLI_CHECK, "0,2", "only these cases"},
    {"rtol", NUMBER, AT(rtol), CLI_CHECK, "R", "relative tolerance, where larger than the default"},
    {"atol", NUMBER, AT(atol), CLI_CHECK, "A", "absolute tolerance, where larger than the default"},
    {"json", FLAG, AT(json), CLI_BENCH, NULL, "numbers as JSON"},
    {"dot", FLAG, AT(dot), CLI_SHOW, NULL, "the graph for Graphviz"},
    {"html", FLAG, AT(html), CLI_SHOW, NULL, "the graph as a page"},
};

/* ======================================================= help */

static const char *dashes(const option *o) { return o->name[1] ? "--" : "-"; }

static void print_option(const option *o) {
    char left[64];
    bool joined = o->kind == LEVEL, spaced = !o->name[1] && !joined, maybe = o->kind == MAYBE;
    const char *gap = !o->value || joined ? "" : spaced ? " " : "=";
    snprintf(left, sizeof left, "%s%s%s%s%s%s", dashes(o), o->name, maybe ? "[" : "", gap, o->value ? o->value : "",
             maybe ? "]" : "");
    printf("    %-30s %s\n", left, o->help);
}

static void print_command(const cli_command *k) {
    printf("usage: jitc %s%s%s [options]\n\n%s\n", k->name, *k->name ? " " : "", k->files, k->summary);
    for (int mine = 1; mine >= 0; mine--) {
        bool any = false;
        for (size_t i = 0; i < RT_COUNT(options); i++) {
            const option *o = &options[i];
            if (!(o->commands & k->bit) || mine == ((o->commands & MODEL) == MODEL && k->bit != CLI_COMPILE)) continue;
            if (!any) puts(mine ? "\noptions:" : "\ncompile options:");
            any = true;
            print_option(o);
        }
    }
}

static void print_usage(FILE *f) {
    fputs("jitc compiles tensor programs to machine code.\n\nusage:\n", f);
    for (int i = 0; i < cli_ncommands; i++) {
        char left[80];
        const cli_command *k = &cli_commands[i];
        snprintf(left, sizeof left, "jitc %s%s%s", k->name, *k->name ? " " : "", k->files);
        fprintf(f, "    %-42s %s\n", left, k->summary);
    }
    fputs("\nMODEL is a .pt, .ir or .py.  `jitc COMMAND --help` lists the options of a command, `jitc --help` those of\n"
          "compile.  Exit codes: 0 fine, 1 the input is wrong or not supported, 2 wrong usage, 3 `check` found a\n"
          "difference, 70 a bug of jitc.\n",
          f);
}

static int usage(const cli_command *k, const char *fmt, ...) RT_PRINTF(2, 3);
static int usage(const cli_command *k, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cli_fail(CLI_USAGE, "%s", text);
    fprintf(stderr, "try: jitc %s%s--help\n", k ? k->name : "", k && *k->name ? " " : "");
    return CLI_USAGE;
}

/* ======================================================= parsing */

static const cli_command *command_named(const char *name) {
    for (int i = 0; i < cli_ncommands; i++)
        if (!strcmp(cli_commands[i].name, name)) return &cli_commands[i];
    return NULL;
}

/* Edit distance, for "did you mean"; long names are far from everything. */
static int distance(const char *a, const char *b) {
    enum { MAX = 24 };
    int row[MAX + 1], n = (int)strlen(a), m = (int)strlen(b);
    if (n > MAX || m > MAX) return MAX;
    for (int j = 0; j <= m; j++) row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int keep = diagonal + (a[i - 1] != b[j - 1]), best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = keep < best ? keep : best;
        }
    }
    return row[m];
}

static int unknown_option(const cli_command *k, const char *name, int n) {
    char wanted[64];
    const char *near = NULL;
    int best = 4;
    snprintf(wanted, sizeof wanted, "%.*s", n, name);
    for (size_t i = 0; i < RT_COUNT(options); i++) {
        int d = options[i].commands & k->bit ? distance(wanted, options[i].name) : best;
        if (d < best) best = d, near = options[i].name;
    }
    for (size_t i = 0; i < RT_COUNT(options); i++)
        if (!strcmp(options[i].name, wanted))
            return usage(k, "--%s is no option of `%s`", wanted, *k->name ? k->name : "compile");
    return near ? usage(k, "unknown option --%s; did you mean --%s?", wanted, near) : usage(k, "unknown option --%s", wanted);
}

static const option *option_named(const cli_command *k, const char *name, size_t n) {
    for (size_t i = 0; i < RT_COUNT(options); i++)
        if (options[i].commands & k->bit && strlen(options[i].name) == n && !memcmp(options[i].name, name, n)) return &options[i];
    return NULL;
}

static int store_number(const cli_command *k, const option *o, char *at, const char *text) {
    char *end;
    if (o->kind == NUMBER) {
        double x = strtod(text, &end);
        if (*end || !*text || !(x >= 0)) return usage(k, "--%s wants a number that is not negative, not '%s'", o->name, text);
        memcpy(at, &x, sizeof x);
        return 0;
    }
    long x = strtol(text, &end, 10);
    if (*end || !*text || x < 1 || x > 1024) return usage(k, "--%s wants a number from 1 to 1024, not '%s'", o->name, text);
    int n = (int)x;
    memcpy(at, &n, sizeof n);
    return 0;
}

static int store(const cli_command *k, const option *o, cli_args *a, const char *text) {
    char *at = (char *)a + o->at;
    switch (o->kind) {
    case FLAG: *(bool *)at = true; return 0;
    case TEXT:
    case MAYBE: *(const char **)at = text; return 0;
    case LIST: {
        cli_list *l = (cli_list *)at;
        if (l->n == CLI_MAX_LIST) return usage(k, "--%s is given too often", o->name);
        l->at[l->n++] = text;
        return 0;
    }
    default: return store_number(k, o, at, text);
    }
}

static int parse_long(const cli_command *k, int argc, char **argv, int *i, cli_args *a) {
    const char *name = argv[*i] + 2, *eq = strchr(name, '=');
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    const option *o = n > 1 ? option_named(k, name, n) : NULL;
    if (!o) return unknown_option(k, name, (int)n);
    if (o->kind == FLAG) return eq ? usage(k, "--%s takes no value", o->name) : store(k, o, a, NULL);
    if (o->kind == MAYBE && !eq) return store(k, o, a, "");
    if (!eq && *i + 1 == argc) return usage(k, "--%s wants a value: --%s=%s", o->name, o->name, o->value);
    return store(k, o, a, eq ? eq + 1 : argv[++*i]);
}

static int parse_short(const cli_command *k, int argc, char **argv, int *i, cli_args *a) {
    const char *text = argv[*i];
    if (text[1] == 'O' && k->bit & MODEL) {
        if (text[2] < '0' || text[2] > '3' || text[3]) return usage(k, "-O wants a level from 0 to 3: %s", text);
        a->opt = text[2] - '0';
        return 0;
    }
    const option *o = option_named(k, text + 1, 1);
    if (!o) return usage(k, "unknown option %s", text);
    if (text[2]) return store(k, o, a, text + 2);
    if (*i + 1 == argc) return usage(k, "%s wants a value: %s %s", text, text, o->value);
    return store(k, o, a, argv[++*i]);
}

static int parse_all(const cli_command *k, int argc, char **argv, int first, cli_args *a) {
    bool files_only = false;
    for (int i = first; i < argc; i++) {
        int bad = 0;
        if (files_only || argv[i][0] != '-' || !argv[i][1]) {
            if (a->files.n >= k->max_files) return usage(k, "unexpected argument '%s'", argv[i]);
            a->files.at[a->files.n++] = argv[i];
        } else if (!strcmp(argv[i], "--")) files_only = true;
        else bad = argv[i][1] == '-' ? parse_long(k, argc, argv, &i, a) : parse_short(k, argc, argv, &i, a);
        if (bad) return bad;
    }
    if (a->weights && strcmp(a->weights, "embed") && strcmp(a->weights, "side"))
        return usage(k, "--weights wants embed or side, not '%s'", a->weights);
    if (a->files.n < k->min_files) return usage(k, "`jitc %s%s%s`: too few arguments", k->name, *k->name ? " " : "", k->files);
    return 0;
}

static bool wants_help(int argc, char **argv, int first) {
    for (int i = first; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

const cli_command *cli_parse(int argc, char **argv, cli_args *a, int *code) {
    memset(a, 0, sizeof *a);
    a->opt = 3;
    *code = CLI_FINE;
    if (argc < 2) {
        print_usage(stderr);
        *code = CLI_USAGE;
        return NULL;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("jitc %d.%d.%d\n", JITC_VERSION_MAJOR, JITC_VERSION_MINOR, JITC_VERSION_PATCH);
        return NULL;
    }
    if (!strcmp(argv[1], "help")) {
        print_usage(stdout);
        return NULL;
    }
    const cli_command *named = command_named(argv[1]), *k = named ? named : command_named("");
    int first = named ? 2 : 1;
    if (wants_help(argc, argv, first)) {
        if (!named) print_usage(stdout), putchar('\n');
        print_command(k);
        return NULL;
    }
    *code = parse_all(k, argc, argv, first, a);
    return *code ? NULL : k;
}
