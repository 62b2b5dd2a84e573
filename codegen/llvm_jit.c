/* llvm_jit.c: runs modules in this process through ORC.  A module is compiled to an object by its own target
 * machine (the one path that the artefacts use), so that the JIT and an artefact run the same code. */
#include "codegen/llvm.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>

struct cg_jit {
    ir_context *c;
    LLVMOrcLLJITRef jit;
};

static bool failed(ir_context *c, const char *what, LLVMErrorRef e) {
    if (!e) return false;
    char *why = LLVMGetErrorMessage(e);
    ir_error(c, 0, "JIT: %s: %s", what, why);
    LLVMDisposeErrorMessage(why);
    return true;
}

/* Names that a module does not define come from this process: libm, the runtime. */
static bool use_process_symbols(cg_jit *j) {
    LLVMOrcDefinitionGeneratorRef g = NULL;
    char prefix = LLVMOrcLLJITGetGlobalPrefix(j->jit);
    if (failed(j->c, "symbols", LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&g, prefix, NULL, NULL)))
        return false;
    LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(j->jit), g);
    return true;
}

cg_jit *cg_jit_new(ir_context *c) {
    cg_jit *j = RT_NEW(&c->arena, cg_jit);
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
    j->c = c;
    if (failed(c, "start", LLVMOrcCreateLLJIT(&j->jit, NULL))) return NULL;
    if (use_process_symbols(j)) return j;
    cg_jit_free(j);
    return NULL;
}

void cg_jit_free(cg_jit *j) {
    if (!j || !j->jit) return;
    LLVMErrorRef e = LLVMOrcDisposeLLJIT(j->jit);
    if (e) LLVMConsumeError(e);
    j->jit = NULL;
}

bool cg_jit_add(cg_jit *j, cg_module *m) {
    rt_text object = {0};
    bool ok = cg_emit(m, CG_OBJECT, &object);
    if (ok) {
        LLVMMemoryBufferRef buf = LLVMCreateMemoryBufferWithMemoryRangeCopy(object.s, object.n, "kernel");
        ok =
            !failed(j->c, "add", LLVMOrcLLJITAddObjectFile(j->jit, LLVMOrcLLJITGetMainJITDylib(j->jit), buf));
    }
    rt_text_free(&object);
    cg_module_free(m);
    return ok;
}

void *cg_jit_find(cg_jit *j, const char *symbol) {
    LLVMOrcExecutorAddress at = 0;
    if (failed(j->c, symbol, LLVMOrcLLJITLookup(j->jit, &at, symbol))) return NULL;
    return (void *)(uintptr_t)at;
}
