/* group.h: from core nodes to kernels: `fuse` puts nodes into S_KERNEL groups, `schedule` turns each group into kernel IR.
 *
 * A group is an S_KERNEL node: its block 0 holds the core nodes (they use outer values directly; the block has no
 * parameters) and yields the values used outside, which are the node's results.  The node's inputs are the outer values
 * that the block uses and that are run-time operands: tensors, and scalars that the kernels take. */
#ifndef JITC_LOWER_GROUP_H
#define JITC_LOWER_GROUP_H

#include "lower/comp.h"
#include "lower/kernel.h"

/* ---- node.c: a core node as an application of its op */

/* Fills args from the node's inputs: constants from S_CONST, ints by their dim, lists and tuples from S_LIST and S_TUPLE.
 * Run-time operands (tensors, scalars that are not constant) are numbered from 0 in order; operands[] says which values. */
typedef struct lower_node {
    ir_infer x;
    RT_VEC(ir_value *) operands;
} lower_node;
bool lower_node_infer(ir_context *c, const ir_node *n, lower_node *out); /* false: x.error says why */
/* The comprehension of a node of class POINTWISE, REDUCE, MOVE or CONTRACT (operand numbers as in out->operands), or NULL. */
comp *lower_node_comp(ir_context *c, const ir_node *n, lower_node *out);
/* Is the node a map of index variables and sizes alone, with all that it is made of, in few primitives (a causal mask)?  To read it
 * would cost as much as to compute it, and where it is computed bounds of loops can come of it (stage_online.c). */
bool lower_counts(ir_context *c, const ir_node *n);

/* ---- schedule.c */

typedef enum lower_buffer_kind { LB_IN /* node input */, LB_OUT /* node result */, LB_SCRATCH /* workspace, number `index` of the group */ } lower_buffer_kind;
typedef struct lower_buffer {
    lower_buffer_kind kind;
    int index;
    rt_dtype dtype;
    const ir_dim *elements; /* of scratch */
    int64_t first;          /* of LB_IN: the element at which the kernel's buffer begins */
} lower_buffer;
typedef struct lower_scalar { const ir_dim *dim; /* its value, or NULL */ int input; /* else the node input that it is */ rt_dtype dtype; } lower_scalar;
typedef struct lower_failure { const char *cls, *text; } lower_failure; /* of raise code i + 1; text may hold %lld for the raise's arguments */

/* One kernel launch.  A group is a sequence of them. */
typedef struct lower_launch {
    k_kernel *kernel;
    RT_VEC(lower_buffer) buffers; /* kernel->nargs of them */
    RT_VEC(lower_scalar) scalars; /* one per kernel scalar */
    RT_VEC(lower_failure) failures;
    const ir_dim *grid;           /* iterations of the grid loop (1 without one) */
    const ir_dim *cost;           /* rough scalar operations per grid iteration: for the grain */
    ir_span span;
} lower_launch;

/* What an S_KERNEL's info points to once it is scheduled. */
typedef struct lower_kernel {
    const char *label;            /* "linear+relu" */
    RT_VEC(lower_launch) launches;
    RT_VEC(const ir_value *) over;/* inputs over which the only result may be written: each element is read before the one of the
                                   * same address is, and by nothing else */
} lower_kernel;

/* Bytes of the scratch buffers with numbers below `index` (LB_SCRATCH buffers of one number are the same memory, also
 * in different launches of the group); index INT_MAX: of all. */
const ir_dim *lower_scratch_bytes(ir_context *c, const lower_kernel *k, int index);

/* Schedules one group; `shared` holds the kernels made so far.  false after diagnostics. */
bool lower_schedule_group(ir_module *m, ir_node *kernel, rt_map *shared);

/* ---- work.c: what one run of a group needs by its shapes, never NULL: floating-point operations of its contractions (2 for
 * each product), and bytes of its operands and results. */
void lower_group_work(ir_context *c, const ir_node *group, const ir_dim **flops, const ir_dim **bytes);

/* ---- passes over modules; each returns the number of changes */
int lower_fold(ir_module *m);
int lower_convbn(ir_module *m);
int lower_deconv(ir_module *m);
int lower_siblings(ir_module *m);
int lower_concat(ir_module *m);
int lower_postpone(ir_module *m);
int lower_cse(ir_module *m);
int lower_dce(ir_module *m);
/* A param that holds t (taken), read in front of `at`. */
ir_value *lower_new_param(ir_module *m, ir_node *at, rt_tensor *t, const ir_type *type);
/* A param that another value already is, read once more in front of `at`: that value need not be known there. */
ir_value *lower_same_param(ir_module *m, ir_node *at, const ir_value *param);
int lower_fuse(ir_module *m);     /* core -> grouped */
int lower_layout(ir_module *m);   /* grouped: orders of values between kernels */
int lower_winograd(ir_module *m); /* grouped: marks kernels */
int lower_stage(ir_module *m);    /* grouped: joins kernels to staged ones */
int lower_schedule(ir_module *m); /* grouped: fills node->info of every S_KERNEL */

#endif
