/* cli.h: inside of the command: its options, its words to people, and its sub-commands.
 *
 * stdout is the product only; all else goes to stderr.  Progress and colours are for terminals, and NO_COLOR is
 * respected. */
#ifndef JITC_CLI_H
#define JITC_CLI_H

#include "runtime/base.h"

enum { CLI_FINE = 0, CLI_WRONG = 1, CLI_USAGE = 2, CLI_DIFFERS = 3, CLI_BUG = 70 };

enum { CLI_MAX_LIST = 256 };
typedef struct cli_list {
    int n;
    const char *at[CLI_MAX_LIST];
} cli_list;

/* Options as the user gave them; texts are borrowed from argv. */
typedef struct cli_args {
    cli_list files; /* what is no option */
    const char *out;
    cli_list input, example, method, specialise, op;
    const char *target, *weights, *name, *print_after, *stop_after, *skip, *sanitize;
    int opt;
    bool verify, stats, fast_math;
    cli_list inputs;
    const char *outputs, *profile, *cases;
    const char *kernels; /* bench --profile: where the trace goes, "" nowhere; NULL: no profile */
    bool interpret;
    const char *level; /* of the module's instruction sets; NULL: the best */
    int threads; /* 0: the command's default */
    double rtol, atol;
    bool json, dot, html;
} cli_args;

typedef struct cli_command {
    const char *name; /* "": compile */
    int bit;
    int (*run)(const cli_args *a);
    const char *files, *summary;
    int min_files, max_files;
} cli_command;
extern const cli_command cli_commands[];
extern const int cli_ncommands;
enum { CLI_COMPILE = 1, CLI_RUN = 2, CLI_CHECK = 4, CLI_BENCH = 8, CLI_SHOW = 16, CLI_DIFF = 32, CLI_OPS = 64 };

/* ---- cli_options.c */
/* The command that argv names, its options in *a.  NULL: *code is the exit code (help was printed, or usage was wrong). */
const cli_command *cli_parse(int argc, char **argv, cli_args *a, int *code);

/* ---- cli_words.c */
bool cli_colour(int fd);
/* "jitc: error: ..." on stderr; returns code. */
int cli_fail(int code, const char *fmt, ...) RT_PRINTF(2, 3);
/* One line that later ones replace; nothing where stderr is no terminal.  total 0: no bar.  NULL ends it. */
void cli_progress(const char *what, int done, int total);
/* Descriptors 0 to 2 that are closed become ones that cannot be used, so that no file that is opened gets their numbers. */
void cli_open_std(void);
/* Says whether all of stdout was written. */
int cli_flush(int code);

/* ---- the commands */
int cli_compile(const cli_args *a);
int cli_run(const cli_args *a);
int cli_check(const cli_args *a);
int cli_bench(const cli_args *a);
int cli_show(const cli_args *a);
int cli_diff(const cli_args *a);
int cli_ops(const cli_args *a);

#endif
