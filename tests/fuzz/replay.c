/* replay.c: runs a fuzz target over files, without libFuzzer.
 *
 *   fuzz_NAME [--mutate N] FILE|FOLDER...
 *
 * Each file is run as it is, then N times with a few bytes changed, cut, doubled or moved, the same way every
 * time. A failure shows as a crash or a sanitizer report; the last line printed names the file and the
 * mutation. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static long mutations, files, runs;

static uint64_t next(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void change(uint8_t *p, size_t *n, uint64_t *seed) {
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, '}', '"', '.', '(', '0'};
    if (!*n) return;
    size_t at = next(seed) % *n, len = 1 + next(seed) % 8, to = next(seed) % *n;
    switch (next(seed) % 8) {
    case 0:
    case 1:
    case 2: p[at] ^= (uint8_t)(1 << next(seed) % 8); break;
    case 3: p[at] = (uint8_t)next(seed); break;
    case 4: p[at] = edges[next(seed) % sizeof edges]; break;
    case 5:
        if (next(seed) % 4 == 0) *n = at;
        break;
    case 6:
        if (at + len <= *n) memset(p + at, edges[next(seed) % 5], len);
        break;
    default:
        if (at + len <= *n && to + len <= *n) memmove(p + to, p + at, len);
    }
}

static void run(const char *path, const uint8_t *data, size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) abort();
    for (long i = 0; i <= mutations; i++) {
        uint64_t seed = (uint64_t)i * 1000003u + n;
        size_t left = n;
        if (n) memcpy(copy, data, n);
        for (uint64_t k = i ? 1 + next(&seed) % 6 : 0; k > 0; k--) change(copy, &left, &seed);
        if (getenv("FUZZ_VERBOSE")) fprintf(stderr, "%s: mutation %ld\n", path, i);
        uint8_t *exact = malloc(left ? left : 1); /* so that a read behind the end is seen */
        if (!exact) abort();
        memcpy(exact, copy, left);
        LLVMFuzzerTestOneInput(exact, left);
        free(exact);
        runs++;
    }
    free(copy);
    files++;
}

static int read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st)) return fprintf(stderr, "%s: %s\n", path, strerror(errno)), 1;
    uint8_t *data = malloc((size_t)st.st_size + 1);
    size_t n = data ? fread(data, 1, (size_t)st.st_size, f) : 0;
    fclose(f);
    if (data) run(path, data, n);
    free(data);
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int visit(const char *path, const char *suffix) {
    struct stat st;
    if (stat(path, &st)) return fprintf(stderr, "%s: %s\n", path, strerror(errno)), 1;
    if (!S_ISDIR(st.st_mode)) return read_file(path);
    DIR *d = opendir(path);
    char *names[4096];
    int n = 0, rc = 0;
    for (struct dirent *e; d && n < 4096 && (e = readdir(d));) {
        size_t len = strlen(e->d_name), tail = strlen(suffix);
        if (e->d_name[0] == '.' || len < tail || strcmp(e->d_name + len - tail, suffix)) continue;
        if (asprintf(&names[n], "%s/%s", path, e->d_name) < 0) abort();
        n++;
    }
    if (d) closedir(d);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++) {
        rc |= visit(names[i], suffix);
        free(names[i]);
    }
    return rc;
}

int main(int argc, char **argv) {
    int rc = 0;
    const char *suffix = "";
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--mutate") && i + 1 < argc) mutations = atol(argv[++i]);
        else if (!strcmp(argv[i], "--suffix") && i + 1 < argc)
            suffix = argv[++i]; /* of the files in a folder */
        else rc |= visit(argv[i], suffix);
    }
    printf("%ld files, %ld runs\n", files, runs);
    return rc || !files;
}
