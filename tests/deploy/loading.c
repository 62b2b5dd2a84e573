/* loading.c: a module is loaded from a path, a descriptor and memory, also several at a time and after the file is gone; what is
 * no module is refused with a reason. */
#include "deploy.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct file { char *at; size_t n; } file;

static file read_file(const char *path) {
    file f = {NULL, 0};
    FILE *in = fopen(path, "rb");
    REQUIRE(in && !fseek(in, 0, SEEK_END), "cannot read %s", path);
    f.n = (size_t)ftell(in);
    f.at = malloc(f.n);
    rewind(in);
    REQUIRE(fread(f.at, 1, f.n, in) == f.n, "cannot read %s", path);
    fclose(in);
    return f;
}

static void write_file(const char *path, const char *at, size_t n) {
    FILE *out = fopen(path, "wb");
    REQUIRE(out && fwrite(at, 1, n, out) == n && !fclose(out), "cannot write %s", path);
}

static void runs(deploy *d, jitc_module *m) {
    jitc_session *s = NULL;
    jitc_tensor *x = deploy_floats(2, (int64_t[]){5, 16}, 1), *y = NULL;
    REQUIRE(jitc_session_new(m, NULL, &s) == JITC_OK, "%s", jitc_error());
    REQUIRE(jitc_run_tensors(s, "forward", 1, &x, 1, &y) == JITC_OK, "%s", jitc_session_error(s));
    deploy_agrees(d, 1, &x, y);
    jitc_tensor_release(x);
    jitc_session_free(s);
}

static void refused(const file *f, size_t n, const char *what, const char *path) {
    jitc_module *m = NULL;
    jitc_status status = jitc_load_memory(f->at, n, NULL, &m);
    REQUIRE(status == JITC_E_FORMAT && !m, "%s: %s", what, jitc_status_name(status));
    printf("  %s: %s\n", what, jitc_error());
    write_file(path, f->at, n);
    REQUIRE(jitc_load(path, NULL, &m) == JITC_E_FORMAT && !m && strstr(jitc_error(), path), "%s from a file: %s", what, jitc_error());
    remove(path);
}

static void refusals(const deploy *d, file whole) {
    char path[100];
    jitc_module *m = NULL;
    snprintf(path, sizeof path, "%s/bad.so", d->dir);
    file text = {"not a module", 12};
    refused(&text, 12, "text", path);
    refused(&text, 0, "an empty file", path);
    refused(&whole, whole.n / 2, "half of it", path);
    refused(&whole, 64, "its first bytes", path);
    REQUIRE(jitc_load("/nonexistent/m.so", NULL, &m) == JITC_E_FILE && strstr(jitc_error(), "/nonexistent/m.so"), "%s", jitc_error());
    printf("  no file: %s\n", jitc_error());
    REQUIRE(jitc_load_fd(-1, NULL, &m) == JITC_E_FILE && !m, "descriptor -1");
    printf("  no descriptor: %s\n", jitc_error());
    jitc_load_opts zero = {0};
    REQUIRE(jitc_load(d->path, &zero, &m) == JITC_E_ARGUMENT && !m, "options without a size");
}

int main(void) {
    static const char *const inputs[] = {"input=f32[N, 16]", NULL};
    jitc_module *path = NULL, *memory = NULL, *fd = NULL;
    deploy d;
    REQUIRE(deploy_open(&d, "mlp", inputs, NULL), "mlp does not compile");
    file whole = read_file(d.path);
    int descriptor = open(d.path, O_RDONLY);
    REQUIRE(jitc_load(d.path, NULL, &path) == JITC_OK, "%s", jitc_error());
    REQUIRE(jitc_load_fd(descriptor, NULL, &fd) == JITC_OK, "%s", jitc_error());
    close(descriptor);
    REQUIRE(jitc_load_memory(whole.at, whole.n, NULL, &memory) == JITC_OK, "%s", jitc_error());
    remove(d.path);
    jitc_module *all[] = {path, fd, memory};
    for (size_t i = 0; i < RT_COUNT(all); i++) runs(&d, all[i]);
    for (size_t i = 0; i < RT_COUNT(all); i++) {
        jitc_module_release(all[i]); /* the others stay */
        for (size_t k = i + 1; k < RT_COUNT(all); k++) runs(&d, all[k]);
    }
    write_file(d.path, whole.at, whole.n);
    refusals(&d, whole);
    free(whole.at);
    deploy_close(&d);
    return 0;
}
