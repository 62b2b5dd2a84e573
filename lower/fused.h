/* fused.h: a group of core nodes as one comprehension. */
#ifndef JITC_LOWER_FUSED_H
#define JITC_LOWER_FUSED_H

#include "lower/group.h"

/* The comprehension's X_LOAD and X_SCALAR operand numbers index `operands` (values outside the group). */
typedef struct fused {
    comp *k;
    RT_VEC(ir_value *) operands;
} fused;

typedef enum comp_kind { CK_NONE, CK_MAP, CK_REDUCE, CK_SCAN, CK_CONTRACT, CK_WRITE } comp_kind;
comp_kind lower_comp_kind(const comp *k);

/* Inlines the group's map nodes into its anchor (the one node that is no map), or, without an anchor, into the yielded
 * values, which have the same dims.  false after diagnostics. */
bool lower_fused(ir_module *m, ir_node *kernel, fused *out);

#endif
