/* link.c: makes a shared library out of objects with the system's linker.  The result depends on the objects
 * and the name alone.  Undefined names (memcpy, lgammaf ...) stay without a version and are found in libm and
 * libc, which the library names as needed if it has any: stand-ins with those names are linked, so no C
 * development files are asked for. */
#include "codegen/llvm.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MAX_OBJECTS = 64 };

/* ---- finding */

static const char *in_path(ir_context *c, const char *name) {
    if (strchr(name, '/')) return access(name, X_OK) ? NULL : name;
    for (const char *dir = getenv("PATH"); dir && *dir;) {
        size_t n = strcspn(dir, ":");
        const char *path = ir_fmt(c, "%.*s/%s", (int)n, dir, name);
        if (n && !access(path, X_OK)) return path;
        dir += n + (dir[n] == ':');
    }
    return NULL;
}

static const char *const emulations[] = {"elf_x86_64", "aarch64linux", "elf64lriscv"};

bool cg_find_linker(ir_context *c, const cg_target *t, const char **which) {
    static const char *const candidates[][4] = {{"x86_64-linux-gnu-ld", "ld.lld", "ld.lld-19", NULL},
                                                {"aarch64-linux-gnu-ld", "ld.lld", "ld.lld-19", NULL},
                                                {"riscv64-linux-gnu-ld", "ld.lld", "ld.lld-19", NULL}};
    const char *chosen = getenv("JITC_LD");
    if (chosen && *chosen) return (*which = in_path(c, chosen)) != NULL;
    char *native = LLVMGetDefaultTargetTriple();
    size_t n = strcspn(t->triple, "-");
    bool same = !strncmp(native, t->triple, n) && native[n] == '-';
    LLVMDisposeMessage(native);
    if (same && (*which = in_path(c, "ld"))) return true;
    for (int i = 0; candidates[t->arch][i]; i++)
        if ((*which = in_path(c, candidates[t->arch][i]))) return true;
    return false;
}

/* ---- running */

typedef struct linking {
    ir_context *c;
    const cg_target *t;
    const char *linker;
    char *dir; /* of temporary files */
    char *argv[MAX_OBJECTS + 24];
    int argc;
} linking;

static void add(linking *l, const char *arg) { l->argv[l->argc++] = (char *)arg; }

static void start_arguments(linking *l, const char *out, const char *soname) {
    static const char *const options[] = {"-shared",
                                          "--build-id=none",
                                          "--hash-style=gnu",
                                          "--eh-frame-hdr",
                                          "-z",
                                          "noexecstack",
                                          "-z",
                                          "now",
                                          "-z",
                                          "relro"};
    l->argc = 0;
    add(l, l->linker);
    add(l, "-m");
    add(l, emulations[l->t->arch]);
    for (size_t i = 0; i < RT_COUNT(options); i++) add(l, options[i]);
    if (soname) {
        add(l, "-soname");
        add(l, soname);
    }
    add(l, "-o");
    add(l, out);
}

static const char *temporary(linking *l, const char *name) { return ir_fmt(l->c, "%s/%s", l->dir, name); }

static void report(linking *l, const char *log) {
    char text[2048];
    FILE *f = fopen(log, "rb");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f) fclose(f);
    ir_error(l->c, 0, "%s failed: %s", l->linker, n ? text : "no message");
}

static bool run(linking *l) {
    const char *log = temporary(l, "log");
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 0;
    l->argv[l->argc] = NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, 0x241 /* O_WRONLY | O_CREAT | O_TRUNC */, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int failed = posix_spawn(&pid, l->linker, &actions, NULL, l->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) {
        ir_error(l->c, 0, "cannot start %s: %s", l->linker, strerror(failed));
        return false;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!ok) report(l, log);
    remove(log);
    return ok;
}

/* An empty library that carries the name. */
static bool make_stand_in(linking *l, const char *name) {
    const char *object = temporary(l, "empty.o"), *path = temporary(l, name);
    cg_module *m = cg_module_new(l->c, l->t, "empty");
    bool ok = cg_emit_file(m, CG_OBJECT, object);
    cg_module_free(m);
    if (ok) {
        start_arguments(l, path, name);
        add(l, object);
        ok = run(l);
    }
    remove(object);
    return ok;
}

static bool needs_libraries(int n, const char *const *objects) {
    for (int i = 0; i < n; i++)
        if (cg_object_undefined(objects[i])) return true;
    return false;
}

static bool link_all(linking *l, int n, const char *const *objects, const char *soname, const char *out) {
    bool needs = needs_libraries(n, objects);
    const char *whole = ir_fmt(l->c, "%s.%d.tmp", out, (int)getpid());
    if (needs && !(make_stand_in(l, "libm.so.6") && make_stand_in(l, "libc.so.6"))) return false;
    start_arguments(l, whole, soname);
    for (int i = 0; i < n; i++) add(l, objects[i]);
    if (needs) {
        add(l, "--no-as-needed");
        add(l, "--allow-shlib-undefined");
        add(l, temporary(l, "libm.so.6"));
        add(l, temporary(l, "libc.so.6"));
    }
    bool ok = run(l);
    if (ok && rename(whole, out)) {
        ir_error(l->c, 0, "cannot write %s: %s", out, strerror(errno));
        ok = false;
    }
    if (!ok) remove(whole);
    return ok;
}

/* Also called where memory has run out: takes none. */
static void remove_temporaries(void *dir) {
    static const char *const names[] = {"libm.so.6", "libc.so.6", "empty.o", "log"};
    char path[4096];
    for (size_t i = 0; i < RT_COUNT(names); i++)
        if (snprintf(path, sizeof path, "%s/%s", (char *)dir, names[i]) < (int)sizeof path) remove(path);
    rmdir(dir);
}

static bool begin(linking *l, int n) {
    const char *tmp = getenv("TMPDIR");
    if (n > MAX_OBJECTS) {
        ir_error(l->c, 0, "internal: too many objects");
        return false;
    }
    if (!cg_find_linker(l->c, l->t, &l->linker)) {
        ir_error(l->c, 0,
                 "no linker for %s: this output needs ld or ld.lld in PATH, or JITC_LD=/path/to/one; a .a "
                 "does not",
                 l->t->triple);
        return false;
    }
    l->dir = rt_arena_fmt(&l->c->arena, "%s/jitc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    ir_at_end(l->c, remove_temporaries, l->dir);
    if (mkdtemp(l->dir)) return true;
    ir_error(l->c, 0, "cannot make a temporary folder in %s: %s", tmp ? tmp : "/tmp", strerror(errno));
    return false;
}

bool cg_link_shared(ir_context *c, const cg_target *t, int n, const char *const *objects, const char *soname,
                    const char *out) {
    linking l = {.c = c, .t = t};
    if (!begin(&l, n)) return false;
    bool ok = link_all(&l, n, objects, soname, out);
    remove_temporaries(l.dir);
    return ok;
}

bool cg_link_object(ir_context *c, const cg_target *t, int n, const char *const *objects, const char *out) {
    linking l = {.c = c, .t = t};
    if (!begin(&l, n)) return false;
    const char *const words[] = {l.linker, "-m", emulations[t->arch], "-r", "-o", out};
    for (size_t i = 0; i < RT_COUNT(words); i++) add(&l, words[i]);
    for (int i = 0; i < n; i++) add(&l, objects[i]);
    bool ok = run(&l);
    if (!ok) remove(out);
    remove_temporaries(l.dir);
    return ok;
}
