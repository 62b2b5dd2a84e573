/* safetensors.h: files of named tensors: safetensors (read, write) and .npy (read).
 *
 * Reading maps the file; tensors stand in place where their address suits the dtype and keep the mapping
 * alive. */
#ifndef JITC_IR_SAFETENSORS_H
#define JITC_IR_SAFETENSORS_H

#include "ir/ir.h"

typedef struct ir_named_tensor {
    const char *name;
    rt_tensor *tensor;
} ir_named_tensor;

typedef struct ir_metadata {
    const char *key, *value;
} ir_metadata;

/* An opened file, in the context's arena; the tensors are counted: drop them with ir_safetensors_close. */
typedef struct ir_safetensors {
    const char *file;
    RT_VEC(ir_named_tensor) tensors; /* in the order of their data */
    RT_VEC(ir_metadata) metadata;    /* in the order of the file */
    rt_map names;                    /* name -> rt_tensor, borrowed */
} ir_safetensors;

ir_safetensors *ir_safetensors_open(ir_context *c, const char *path); /* NULL after a diagnostic */
ir_safetensors *ir_safetensors_memory(ir_context *c, const char *name, const void *data,
                                      size_t n); /* copies */
void ir_safetensors_close(ir_safetensors *s);    /* takes NULL */
rt_tensor *ir_safetensors_find(const ir_safetensors *s,
                               const char *name); /* borrowed; NULL if there is none */
const char *ir_safetensors_meta(const ir_safetensors *s, const char *key); /* NULL if there is none */

/* Writes a temporary file beside `path`, then renames.  The same tensors and metadata give the same bytes in
 * whatever order they come (sorted by element size, then name; the data begins at a multiple of 64). */
bool ir_safetensors_write(ir_context *c, const char *path, int n, const ir_named_tensor *tensors, int nmeta,
                          const ir_metadata *metadata);

/* One array of NumPy's format, versions 1 to 3, C or Fortran order, little-endian.  Owned; NULL after a
 * diagnostic. */
rt_tensor *ir_npy_open(ir_context *c, const char *path);
rt_tensor *ir_npy_memory(ir_context *c, const char *name, const void *data, size_t n);

#endif
