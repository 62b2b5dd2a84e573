/* words.c: messages, progress and colours of the command. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool cli_colour(int fd) {
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

int cli_fail(int code, const char *fmt, ...) {
    bool colour = cli_colour(2);
    va_list ap;
    cli_progress(NULL, 0, 0);
    fprintf(stderr, "jitc: %serror:%s ", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return code;
}

void cli_progress(const char *what, int done, int total) {
    enum { WIDTH = 24 };
    char bar[WIDTH + 1] = "";
    if (!isatty(2)) return;
    int full = total > 0 ? done * WIDTH / total : 0;
    for (int i = 0; total > 0 && i < WIDTH; i++) bar[i] = i < full ? '#' : '.';
    if (!what) fputs("\r\033[K", stderr);
    else if (total > 0) fprintf(stderr, "\r\033[K[%s] %d/%d %.40s", bar, done, total, what);
    else fprintf(stderr, "\r\033[K%.60s", what);
    fflush(stderr);
}

void cli_open_std(void) {
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd) _exit(CLI_WRONG);
}

int cli_flush(int code) {
    errno = 0;
    if (!fflush(stdout) && !ferror(stdout)) return code;
    /* Where an earlier write failed its reason is gone: another one tells, and does no harm to what is broken. */
    if (!errno && write(1, "\n", 1) == 1) return cli_fail(CLI_WRONG, "stdout cannot be written: a part of the output is lost");
    return cli_fail(CLI_WRONG, "stdout cannot be written: %s", strerror(errno));
}
