/* artefact.h: from a scheduled module to files: the tables and code of runtime/artefact.h as an LLVM module,
 * the weights as an object of their own, and the outputs that are made of the two.
 *
 * The bytes of an output depend on the module, the target and `name` alone, not on where it is written. */
#ifndef JITC_CODEGEN_ARTEFACT_H
#define JITC_CODEGEN_ARTEFACT_H

#include "codegen/host.h"
#include "lower/lower.h"
#include "runtime/artefact.h"

typedef struct cg_options {
    const char *name;     /* a C identifier: of the exported symbol, the side file and the header */
    const char *producer; /* "jitc 0.1.0" */
    bool side;            /* weights in NAME.weights beside the output */
    const char *folder;   /* of the model, "" or with its slash: places in the source are told from there; may
                             be NULL */
} cg_options;

/* Rows of the tables, filled for all entries. */
typedef struct cg_rows {
    ir_context *c;
    cg_tables *tables;
    const char *folder; /* of the options */
    rt_map texts;       /* text -> offset, as a pointer */
    RT_VEC(char) text;
    RT_VEC(rt_art_entry) entries; /* code: NULL here */
    RT_VEC(rt_desc) descs;
    RT_VEC(rt_dim) dims;
    RT_VEC(rt_expr) exprs;
    RT_VEC(rt_symbol) symbols;
    RT_VEC(rt_guard) guards;
    RT_VEC(rt_message) messages;
    RT_VEC(rt_literal) literals;
    RT_VEC(rt_write) writes;
    RT_VEC(rt_op) ops;
    RT_VEC(rt_param) params;
    RT_VEC(rt_state) states;
    RT_VEC(rt_text_ref) hosts, signatures;
} cg_rows;

/* artefact_tables.c */
rt_text_ref cg_text_row(cg_rows *r, const char *s); /* NULL: "" */
void cg_entry_rows(cg_rows *r, const ir_func *f, const lower_entry *e, const cg_entry *code);
/* States, params, hosts and messages: when all entries are done.  false after diagnostics. */
bool cg_shared_rows(cg_rows *r, const ir_module *m);
uint64_t cg_weights_layout(const cg_rows *r);

/* artefact.c: `out` ends in .so, .o, .a (these two with a .h beside), .ll or .s.  entries: those that the
 * module was specialised for.  Nothing is left behind after a failure, which is in the diagnostics. */
bool cg_write_artefact(ir_module *m, const cg_target *t, int nentries, const lower_entry *entries,
                       const cg_options *o, const char *out);

/* header.c: the C header of a module that is linked into a program. */
void cg_header(rt_text *out, const cg_rows *r, const cg_options *o);

#endif
