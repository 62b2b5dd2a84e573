/* wire.h: values as bytes: to compare them bit by bit, and to hand them to a program on another (emulated) machine.  Little
 * endian; needs the runtime alone. */
#ifndef JITC_TESTS_WIRE_H
#define JITC_TESTS_WIRE_H

#include "runtime/value.h"

void wire_put_int(rt_text *out, int64_t i);
void wire_put(rt_text *out, rt_value v); /* appended; a tensor's elements in row-major order */

/* What is left to read.  Only what wire_put wrote is read: the other end is trusted. */
typedef struct wire {
    const char *at, *end;
} wire;
int64_t wire_int(wire *w);
rt_value wire_get(wire *w); /* owned */

#endif
