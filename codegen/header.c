/* header.c: the C header of a module that is linked into a program: its name, its methods as comments, and
 * one call that makes a jitc_module of it. */
#include "codegen/artefact.h"

static void type_text(rt_text *out, const cg_rows *r, int32_t desc);

static void children(rt_text *out, const cg_rows *r, const rt_desc *d, const char *open, const char *close) {
    rt_text_str(out, open);
    for (int i = 0; i < d->n; i++) {
        if (i) rt_text_str(out, ", ");
        type_text(out, r, d->first + i);
    }
    rt_text_str(out, close);
}

static void tensor_text(rt_text *out, const cg_rows *r, const rt_desc *d) {
    rt_text_fmt(out, "%s[", rt_dtypes[d->dtype].name);
    for (int i = 0; i < d->n; i++) {
        const rt_dim *dim = &r->dims.at[d->first + i];
        if (i) rt_text_str(out, ", ");
        if (dim->value >= 0) rt_text_fmt(out, "%lld", (long long)dim->value);
        else rt_text_str(out, r->text.at + dim->text);
    }
    rt_text_str(out, "]");
}

static void type_text(rt_text *out, const cg_rows *r, int32_t desc) {
    static const char *const plain[] = {
        [RT_D_NONE] = "None", [RT_D_BOOL] = "bool", [RT_D_INT] = "int",       [RT_D_FLOAT] = "float",
        [RT_D_STR] = "str",   [RT_D_ANY] = "any",   [RT_D_BOTTOM] = "nothing"};
    const rt_desc *d = &r->descs.at[desc];
    switch (d->kind) {
    case RT_D_TENSOR: tensor_text(out, r, d); break;
    case RT_D_LIST: children(out, r, d, "list[", "]"); break;
    case RT_D_TUPLE: children(out, r, d, "(", d->n == 1 ? ",)" : ")"); break;
    case RT_D_OPTIONAL: children(out, r, d, "optional[", "]"); break;
    case RT_D_DICT: children(out, r, d, "dict[", "]"); break;
    default: rt_text_str(out, plain[d->kind]);
    }
}

static void entry_text(rt_text *out, const cg_rows *r, const rt_art_entry *e) {
    rt_text_fmt(out, " *   %s(", r->text.at + e->method);
    for (int i = 0; i < e->nargs; i++) {
        rt_text_fmt(out, "%s%s: ", i ? ", " : "", r->text.at + r->descs.at[e->args + i].name);
        type_text(out, r, e->args + i);
    }
    rt_text_str(out, ") -> ");
    type_text(out, r, e->result);
    rt_text_str(out, "\n");
}

void cg_header(rt_text *out, const cg_rows *r, const cg_options *o) {
    rt_text_fmt(out, "/* %s: a module compiled by %s.  Link with the jitc runtime.\n *\n", o->name,
                o->producer);
    for (int i = 0; i < r->entries.n; i++) entry_text(out, r, &r->entries.at[i]);
    rt_text_str(out, " */\n");
    rt_text_fmt(out, "#ifndef JITC_MODULE_%s_H\n#define JITC_MODULE_%s_H\n\n", o->name, o->name);
    rt_text_str(out, "#include \"jitc/runtime.h\"\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    rt_text_fmt(out, "extern const struct jitc_artefact jitc_artefact_%s;\n\n", o->name);
    rt_text_str(out, "/* *out: caller frees with jitc_module_release. */\n");
    rt_text_fmt(out,
                "static inline jitc_status jitc_load_%s(jitc_module **out) {\n    return "
                "jitc_load_static(&jitc_artefact_%s, 0, out);\n}\n\n",
                o->name, o->name);
    rt_text_str(out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
}
