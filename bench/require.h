/* require.h: programs that measure end when the compiler has something to say. */
#ifndef JITC_BENCH_REQUIRE_H
#define JITC_BENCH_REQUIRE_H

#include "ir/ir.h"

#include <stdio.h>
#include <stdlib.h>

static inline void require(ir_context *c, bool ok) {
    if (ok) return;
    rt_text t = {0};
    ir_diags_print(c, &t, false);
    fputs(t.s ? t.s : "failed\n", stderr);
    exit(1);
}

#endif
