/* llvm_module.c: an LLVM module under construction: types, constants, functions with the attributes of the
 * target. */
#include "codegen/llvm.h"

static void make_types(cg_module *m) {
    m->i1 = LLVMInt1TypeInContext(m->cx);
    m->i8 = LLVMInt8TypeInContext(m->cx);
    m->i16 = LLVMInt16TypeInContext(m->cx);
    m->i32 = LLVMInt32TypeInContext(m->cx);
    m->i64 = LLVMInt64TypeInContext(m->cx);
    m->f32 = LLVMFloatTypeInContext(m->cx);
    m->f64 = LLVMDoubleTypeInContext(m->cx);
    m->ptr = LLVMPointerTypeInContext(m->cx, 0);
    m->voidty = LLVMVoidTypeInContext(m->cx);
}

static void end_module(void *m) { cg_module_free(m); }

cg_module *cg_module_new(ir_context *c, const cg_target *t, const char *name) {
    cg_module *m = RT_NEW(&c->arena, cg_module);
    ir_at_end(c, end_module, m);
    m->c = c;
    cg_module_level(m, t, "");
    m->cx = LLVMContextCreate();
    m->mod = LLVMModuleCreateWithNameInContext(name, m->cx);
    m->b = LLVMCreateBuilderInContext(m->cx);
    LLVMSetTarget(m->mod, t->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(t->machine);
    LLVMSetModuleDataLayout(m->mod, layout);
    LLVMDisposeTargetData(layout);
    make_types(m);
    return m;
}

void cg_module_level(cg_module *m, const cg_target *t, const char *suffix) {
    m->target = t;
    m->suffix = suffix;
}

void cg_module_free(cg_module *m) {
    if (!m) return;
    if (m->b) LLVMDisposeBuilder(m->b);
    if (m->mod) LLVMDisposeModule(m->mod);
    if (m->cx) LLVMContextDispose(m->cx);
    m->b = NULL, m->mod = NULL, m->cx = NULL;
}

LLVMTypeRef cg_type(cg_module *m, rt_dtype d) {
    switch (d) {
    case DT_BOOL: return m->i1;
    case DT_U8:
    case DT_I8: return m->i8;
    case DT_I16:
    case DT_F16:
    case DT_BF16: return m->i16;
    case DT_I32: return m->i32;
    case DT_F32: return m->f32;
    case DT_F64: return m->f64;
    default: return m->i64;
    }
}

LLVMTypeRef cg_memory_type(cg_module *m, rt_dtype d) { return d == DT_BOOL ? m->i8 : cg_type(m, d); }

LLVMValueRef cg_i64(cg_module *m, int64_t x) { return LLVMConstInt(m->i64, (unsigned long long)x, true); }

LLVMValueRef cg_bytes(cg_module *m, const char *name, const void *data, size_t n, int align) {
    LLVMValueRef text = LLVMConstStringInContext2(m->cx, data, n, true);
    LLVMValueRef g = LLVMAddGlobal(m->mod, LLVMTypeOf(text), name);
    LLVMSetInitializer(g, text);
    LLVMSetGlobalConstant(g, true);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    LLVMSetAlignment(g, (unsigned)align);
    return g;
}

static void add_attribute(cg_module *m, LLVMValueRef f, const char *name) {
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(f, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(m->cx, kind, 0));
}

static void add_text_attribute(cg_module *m, LLVMValueRef f, const char *name, const char *value) {
    LLVMAddAttributeAtIndex(
        f, LLVMAttributeFunctionIndex,
        LLVMCreateStringAttribute(m->cx, name, (unsigned)strlen(name), value, (unsigned)strlen(value)));
}

LLVMValueRef cg_function(cg_module *m, const char *name, LLVMTypeRef type, bool exported) {
    LLVMValueRef f = LLVMAddFunction(m->mod, *m->suffix ? ir_fmt(m->c, "%s%s", name, m->suffix) : name, type);
    if (!exported) LLVMSetLinkage(f, LLVMInternalLinkage);
    add_attribute(m, f, "nounwind");
    add_text_attribute(m, f, "target-cpu", m->target->cpu);
    add_text_attribute(m, f, "target-features", m->target->features);
    if (m->target->sanitizer) add_attribute(m, f, m->target->sanitizer);
    return f;
}
