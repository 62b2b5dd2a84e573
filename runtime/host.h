/* host.h: what the host functions (host_*.c) share.  Private to runtime/.
 *
 * A host function trusts the number of its arguments and checks their tags: values may come from an archive
 * whose data do not have the declared types.  Out of memory is raised as MemoryError. */
#ifndef JITC_RUNTIME_HOST_H
#define JITC_RUNTIME_HOST_H

#include "runtime/value.h"

#define HOST(fn) bool fn(rt_env *env, const rt_value *args, int nargs, rt_value *out)
#define HOST_UNUSED ((void)env, (void)args, (void)nargs, (void)out)

/* Leaves the function unless argument i has the tag. */
#define WANT(i, t)                                                                                           \
    do {                                                                                                     \
        if ((i) >= nargs || args[i].tag != (t)) return rt_host_type_error(env, (i));                         \
    } while (0)

bool rt_host_type_error(rt_env *env, int i);
bool rt_host_memory_error(rt_env *env);
bool rt_host_give(rt_env *env, rt_value *out, rt_value v); /* V_UNDEF is out of memory */
bool rt_host_index(int64_t *i, int64_t n);                 /* wraps a negative index; false: out of range */
/* Python's slice bounds for a sequence of n: none values are defaults.  False: raised (step 0). */
bool rt_host_slice(rt_env *env, const rt_value *lo_hi_step, int64_t n, int64_t *lo, int64_t *count,
                   int64_t *step);
double rt_host_number(rt_value v); /* of int, float, bool */
static inline bool rt_is_number(rt_value v) { return v.tag == V_INT || v.tag == V_FLOAT || v.tag == V_BOOL; }
/* <0, 0, >0 for numbers, strings, lists and tuples of such; false: not comparable. */
bool rt_host_compare(rt_value a, rt_value b, int *order);

#endif
