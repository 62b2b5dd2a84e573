/* fused.h: a group of core nodes as one comprehension. */
#ifndef JITC_LOWER_FUSED_H
#define JITC_LOWER_FUSED_H

#include "lower/group.h"

/* The comprehension's X_LOAD and X_SCALAR operand numbers index `operands` (values outside the group). */
typedef struct fused {
    comp *k;
    RT_VEC(ir_value *) operands;
    /* of the output's index variables, once they are split: variable v counts step[v] elements of dim dim_of[v] */
    uint8_t dim_of[2 * RT_MAX_RANK];
    const ir_dim *step[2 * RT_MAX_RANK];
    /* a stage of a staged kernel (stage.h): the loops around it, outermost first, by their index variables from the slowest to
     * the fastest, and elements from one index to the next by dim of what lies in scratch (NULL: as its value's order says) */
    int nrows;
    struct fused_row { int n; uint8_t var[RT_MAX_RANK]; } row[2 * RT_MAX_RANK];
    const ir_dim *const **strides, *const *out_strides; /* by operand; of the results */
} fused;

typedef enum comp_kind { CK_NONE, CK_MAP, CK_REDUCE, CK_SCAN, CK_CONTRACT, CK_WRITE } comp_kind;
comp_kind lower_comp_kind(const comp *k);
bool lower_rounds(const ir_expr *cast); /* of a float to a float dtype that does not hold all of its values */

/* Inlines the group's map nodes into its anchor (the one node that is no map), or, without an anchor, into the yielded
 * values, which have the same dims.  false after diagnostics. */
bool lower_fused(ir_module *m, ir_node *kernel, fused *out);
/* Takes index variables apart where they are divided, and simplifies quotients: split.c. */
void lower_split(ir_context *c, fused *f);
/* Takes output variable `var` apart in a slow part and one of size `by`. */
bool lower_split_var(ir_context *c, fused *f, int var, const ir_dim *by);

#endif
