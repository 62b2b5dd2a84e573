/* tile.h: contractions on the tile engine: GEMM-like comprehensions as register tiles of `contract`. */
#ifndef JITC_LOWER_TILE_H
#define JITC_LOWER_TILE_H

#include "lower/fused.h"

/* Schedules the group with register tiles if its comprehension is a contraction with affine operands.  false: it is
 * not one for tiles, nothing was done. */
bool lower_tile(ir_module *m, ir_node *kernel, const fused *f, const char *name, lower_launch *out);

#endif
