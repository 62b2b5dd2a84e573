/* host.h: host code: an entry's control flow, scalars, boxed values and kernel calls as one LLVM function.
 *
 * host.c walks the planned graph; host_value.c gets values in and out of boxes; host_call.c calls kernels, host
 * functions and scalar bodies.  The function's ABI is rt_run_fn of runtime/artefact.h: nothing else of the runtime is
 * known to the code. */
#ifndef JITC_CODEGEN_HOST_H
#define JITC_CODEGEN_HOST_H

#include "codegen/llvm.h"
#include "lower/plan.h"

/* Tables that the code refers to by number; the artefact writer emits them as they are. */
typedef struct cg_message { const char *cls, *text; ir_span span; } cg_message;
typedef struct cg_host { const char *name, *signature; } cg_host; /* signature: of a custom operator, else "" */
typedef struct cg_param { const char *name; rt_tensor *tensor; uint64_t offset, bytes; } cg_param; /* in the weights, contiguous */
typedef struct cg_tables {
    RT_VEC(cg_message) messages;
    RT_VEC(cg_host) hosts;          /* host functions */
    RT_VEC(cg_param) params;
    uint64_t weights_bytes;
    RT_VEC(struct cg_prepared { const ir_tensor_data *data; uint64_t offset; }) prepared; /* made at load; offset in their memory */
    uint64_t prepared_bytes;
    RT_VEC(const char *) states;    /* state cells by name, in order */
} cg_tables;

int cg_message_row(ir_context *c, cg_tables *t, const char *cls, const char *text, ir_span at);
int cg_host_row(ir_context *c, cg_tables *t, const char *name, const char *signature);
uint64_t cg_prepared_offset(ir_context *c, cg_tables *t, const ir_tensor_data *d); /* adds it on first use; aligned to 64 */
const cg_param *cg_param_of(ir_context *c, cg_tables *t, const ir_tensor_data *d); /* adds it on first use; offsets are aligned to 64 */
int cg_state_row(ir_context *c, cg_tables *t, const char *name);

typedef struct cg_op { const char *name, *result; ir_span span; const ir_dim *flops, *bytes; /* NULL: not known */ } cg_op;

/* What host code was made for one entry. */
typedef struct cg_entry {
    const lower_plan *plan;
    LLVMValueRef run, workspace; /* rt_run_fn; rt_size_fn or NULL */
    int nslots;
    RT_VEC(cg_op) ops; /* for profiles, in the order of their numbers */
} cg_entry;

/* Emits one entry of a scheduled module.  false after diagnostics. */
bool cg_host_entry(cg_module *cg, ir_module *m, ir_func *f, cg_tables *tables, cg_entry *out);

/* ======================================================= shared by host*.c */

/* A value in the host code, by its type: int i64, float double, bool i1, tensor address of element 0 (and `box` if it is
 * boxed too), others the address of an rt_value. */
typedef struct host_val { LLVMValueRef v, box; } host_val;

typedef struct host {
    cg_module *cg;
    ir_context *c;
    ir_module *m;
    ir_func *f;
    lower_plan *plan;
    cg_tables *tables;
    LLVMValueRef fn, r;          /* the function, its rt_run */
    LLVMBasicBlockRef entry;     /* allocas go to its end */
    LLVMValueRef services, weights, prepared, work, slots, in, in_data, out, out_data, state, state_data, profile;
    host_val *vals;              /* by value id */
    rt_map symbols;              /* symbol -> LLVMValueRef (i64) */
    rt_map dims;                 /* ir_dim known at entry -> LLVMValueRef */
    LLVMValueRef scratch;        /* of the group being called */
    int nslots;
    ir_span at;                  /* of the node being emitted */
    RT_VEC(ir_node *) ends;      /* S_SETSTATE, S_WRITEBACK: done when the entry ends */
    cg_entry *made;
} host;

/* host.c */
LLVMValueRef host_alloca(host *h, LLVMTypeRef t, int n);          /* in the entry block */
LLVMValueRef host_load(host *h, LLVMTypeRef t, LLVMValueRef base, int64_t byte_offset);
void host_store(host *h, LLVMValueRef v, LLVMValueRef base, int64_t byte_offset);
LLVMValueRef host_at(host *h, LLVMValueRef base, int64_t byte_offset);
LLVMBasicBlockRef host_block(host *h, const char *name);
void host_fail_if(host *h, LLVMValueRef code);                     /* code != 0: return it */
LLVMValueRef host_service(host *h, size_t member, LLVMTypeRef result, int n, LLVMValueRef *args); /* args without r; byte offset in rt_services */
LLVMValueRef host_dim(host *h, const ir_dim *d);
void host_bind(host *h, const ir_dim *d, LLVMValueRef v);          /* a dim that is one fresh symbol gets its value */
void host_memcpy(host *h, LLVMValueRef to, LLVMValueRef from, LLVMValueRef bytes);
LLVMValueRef host_i32(host *h, int64_t x);
LLVMValueRef host_const_text(host *h, const char *s);
#define HOST_SERVICE(h, name, result, n, args) host_service(h, offsetof(rt_services, name), result, n, args)

void host_require(host *h, LLVMValueRef holds, const char *cls, const char *text); /* raises where it does not hold */

/* host_value.c */
int host_new_slots(host *h, int n);
LLVMValueRef host_slot(host *h, int i);
LLVMValueRef host_scalar(host *h, ir_value *v);   /* int, float, bool */
LLVMValueRef host_data(host *h, ir_value *v);     /* tensor: address of element 0 */
LLVMValueRef host_box(host *h, ir_value *v);      /* address of an rt_value that holds it; borrowed */
void host_unbox(host *h, ir_value *v, LLVMValueRef box); /* defines v from a box that stays valid */
/* The same for a tensor: gives the address of its sizes.  what: begins the text of a failure. */
LLVMValueRef host_unbox_tensor(host *h, ir_value *v, LLVMValueRef box, const char *what);
void host_unbox_maybe(host *h, ir_value *v, LLVMValueRef box); /* the same where a tensor may be none, and is not used then */
LLVMValueRef host_tensor(host *h, const ir_type *t, LLVMValueRef slot); /* a fresh tensor in the slot: address of element 0 */
void host_put(host *h, LLVMValueRef at, LLVMValueRef box); /* copies the 16 bytes, without counting */
void host_put_value(host *h, LLVMValueRef at, ir_value *v); /* v as a borrowed rt_value at `at` */
void host_lend_value(host *h, LLVMValueRef at, ir_value *v); /* the same; a tensor is not copied: for who reads it, and keeps nothing */
bool host_flat(const ir_value *list);             /* an argument list of ops in kernels only: not a run-time value */

/* host_call.c */
void host_kernel(host *h, ir_node *n);
void host_call(host *h, ir_node *n);              /* HOST and OPAQUE */
/* Tells a profile, if there is one, that a node starts. */
void host_mark_node(host *h, const ir_node *n);
/* The same of what is no node, at h->at; bytes may be NULL. */
void host_mark(host *h, const char *name, const ir_dim *bytes);
LLVMValueRef host_call_named(host *h, cg_host what, int nargs, LLVMValueRef args, int nout); /* rt_value array; gives the first out slot */

#endif
