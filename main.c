/* main.c: the command.  Options are parsed by cli_options.c; each command stands in a file of its own and calls
 * jitc.c, which is where the work is done. */
#include "cli/cli.h"

#include <signal.h>

const cli_command cli_commands[] = {
    {"", CLI_COMPILE, cli_compile, "MODEL -o OUT", "compile a model", 1, 1},
    {"run", CLI_RUN, cli_run, "MODULE|MODEL --inputs FILE", "run a method once", 1, 1},
    {"check", CLI_CHECK, cli_check, "MODEL CASE.safetensors", "compile, run the cases and compare the results", 2, 2},
    {"bench", CLI_BENCH, cli_bench, "MODULE|MODEL --example FILE", "measure latency", 1, 1},
    {"show", CLI_SHOW, cli_show, "MODULE|MODEL", "signature, sizes, guards, ops", 1, 1},
    {"diff", CLI_DIFF, cli_diff, "A B CASE.safetensors", "the first value that differs (not yet there)", 3, 3},
    {"ops", CLI_OPS, cli_ops, "", "all operators and where they run", 0, 0},
};
const int cli_ncommands = RT_COUNT(cli_commands);

int cli_diff(const cli_args *a) {
    (void)a;
    return cli_fail(CLI_WRONG, "`jitc diff` is not there yet");
}

int main(int argc, char **argv) {
    cli_args a;
    int code;
    cli_open_std();
    signal(SIGPIPE, SIG_IGN);
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN); /* a file that grows past a limit is then an error of write() */
#endif
    const cli_command *k = cli_parse(argc, argv, &a, &code);
    if (k) code = k->run(&a);
    cli_progress(NULL, 0, 0);
    return cli_flush(code);
}
