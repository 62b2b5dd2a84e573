/* llvm_emit.c: a finished module as an object, as assembly or as LLVM text.  The code generator builds the
 * final form, so the only pass is sroa, where register tiles pass through memory between statements (and not
 * at -O0), besides those of a sanitizer. */
#include "codegen/llvm.h"

#include <errno.h>
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>

static bool run_passes(cg_module *m, const char *pipeline) {
    LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
    LLVMErrorRef e = LLVMRunPasses(m->mod, pipeline, m->target->machine, o);
    LLVMDisposePassBuilderOptions(o);
    if (!e) return true;
    char *why = LLVMGetErrorMessage(e);
    ir_error(m->c, 0, "internal: LLVM passes: %s", why);
    LLVMDisposeErrorMessage(why);
    return false;
}

static bool instrument(cg_module *m) {
    bool empty = !LLVMGetFirstFunction(m->mod), done = m->instrumented;
    m->instrumented = true;
    return done || empty || !m->target->pipeline || run_passes(m, m->target->pipeline);
}

bool cg_finish(cg_module *m) {
    char *why = NULL;
    if (LLVMVerifyModule(m->mod, LLVMReturnStatusAction, &why)) {
        ir_error(m->c, 0, "internal: LLVM rejects the module: %s", why);
        LLVMDisposeMessage(why);
        return false;
    }
    LLVMDisposeMessage(why);
    bool tiles = m->registers && m->target->opt >= 1;
    m->registers = false;
    return (!tiles || run_passes(m, "function(sroa)")) && instrument(m);
}

bool cg_emit(cg_module *m, cg_form form, rt_text *out) {
    if (!cg_finish(m)) return false;
    if (form == CG_LLVM) {
        char *text = LLVMPrintModuleToString(m->mod);
        rt_text_str(out, text);
        LLVMDisposeMessage(text);
        return !out->failed;
    }
    LLVMMemoryBufferRef buf;
    char *why = NULL;
    LLVMCodeGenFileType type = form == CG_OBJECT ? LLVMObjectFile : LLVMAssemblyFile;
    if (LLVMTargetMachineEmitToMemoryBuffer(m->target->machine, m->mod, type, &why, &buf)) {
        ir_error(m->c, 0, "internal: LLVM cannot emit the module: %s", why);
        LLVMDisposeMessage(why);
        return false;
    }
    rt_text_add(out, LLVMGetBufferStart(buf), LLVMGetBufferSize(buf));
    LLVMDisposeMemoryBuffer(buf);
    return !out->failed;
}

bool cg_emit_file(cg_module *m, cg_form form, const char *path) {
    rt_text t = {0};
    if (!cg_emit(m, form, &t)) return rt_text_free(&t), false;
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(t.s, 1, t.n, f) == t.n;
    if (f && fclose(f)) ok = false;
    if (!ok) {
        ir_error(m->c, 0, "cannot write %s: %s", path, strerror(errno));
        if (f) remove(path);
    }
    rt_text_free(&t);
    return ok;
}
