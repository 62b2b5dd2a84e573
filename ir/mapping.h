/* mapping.h: the bytes of a model file, mapped or held in memory, counted.
 *
 * Tensors point into a mapping and retain it, so a file is closed by dropping the last tensor.  Mapped pages
 * are private and writable: a program that updates a weight in place changes its own copy, never the file.  A
 * file that another process cuts short while it is mapped ends the process (SIGBUS): replace model files by
 * rename. */
#ifndef JITC_IR_MAPPING_H
#define JITC_IR_MAPPING_H

#include "ir/ir.h"

typedef struct ir_mapping {
    _Atomic int refs;
    char *data; /* at least 16-aligned; never NULL */
    size_t n;
    bool mapped; /* else data is from rt_malloc */
} ir_mapping;

/* Maps a regular file.  NULL after a diagnostic.  Ends with ir_mapping_release. */
ir_mapping *ir_mapping_open(ir_context *c, const char *path);
/* A copy of n bytes; `name` is for messages. */
ir_mapping *ir_mapping_copy(ir_context *c, const char *name, const void *data, size_t n);
ir_mapping *ir_mapping_retain(ir_mapping *m);
void ir_mapping_release(ir_mapping *m); /* takes NULL */

/* Tensor of numel elements over n bytes at `data` inside of m: in place where the address suits the dtype,
 * else a copy (m NULL: always). One dimension; views of it share its storage.  NULL after a diagnostic that
 * begins with `what`. */
rt_tensor *ir_mapping_tensor(ir_context *c, ir_mapping *m, const char *what, const char *data, size_t n,
                             rt_dtype dtype);

/* Text of untrusted bytes for a message: cut to 80 bytes, control characters and bad bytes shown as '?'. */
const char *ir_quote(ir_context *c, const char *s, size_t n);

#endif
