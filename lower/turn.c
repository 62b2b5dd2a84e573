/* turn.c: a map's operand in the order in which the map's vectors meet it, copied in front of the map.
 *
 * An image with its channels last that is resampled to one with its rows last (the result of a convolution made as large as the
 * input): every vector would gather, elements that are far apart.  A copy of the smaller image, row by row, costs less, and places
 * of adjacent lanes are near each other in it (llvm_gather.c). */
#include "lower/emit.h"

enum { LARGER = 2 /* times as many results as elements to copy, at least */ };

static int64_t count(const ir_type *t) {
    int64_t n = 1, d;
    for (int i = 0; i < t->rank; i++) n = ir_dim_is_const(t->dims[i], &d) && d > 0 && d < INT32_MAX && n < INT32_MAX ? n * d : INT64_MAX;
    return n;
}

/* The one dim whose index depends on variable `var`, or -1. */
static int dim_along(nest_facts *facts, const ir_expr *load, int var) {
    int found = -1;
    for (int d = 0; d < load->n; d++) {
        if (!(nest_facts_of(facts, load->args[d])->uses >> var & 1)) continue;
        if (found >= 0) return -1;
        found = d;
    }
    return found;
}

/* Is the operand gathered along the last dim of its shape, which is not its last one in memory? */
static bool across(emit *e, nest_facts *facts, const nest_access *a, int var) {
    const ir_value *v = e->f->operands.at[a->load->i];
    int last = v->type->rank - 1;
    if (!v->layout || v->layout->order[last] == last || !(a->rest_uses >> var & 1)) return false;
    return dim_along(facts, a->load, var) == last && count(v->type) <= count(e->kernel->out[0]->type) / LARGER;
}

bool sched_turn_plan(emit *e, fused *f) {
    int last = e->t.nouter - 1, n = 0;
    nest_facts *facts = RT_ARRAY(&e->c->arena, nest_facts, f->k->x.n + 1);
    e->turned = RT_ARRAY(&e->c->arena, const ir_expr *, f->operands.n + 1);
    const ir_dim *const **strides = RT_ARRAY(&e->c->arena, const ir_dim *const *, f->operands.n + 1);
    for (int i = 0; i < e->t.accesses.n && last >= 0 && !f->strides; i++) {
        const nest_access *a = &e->t.accesses.at[i];
        const ir_type *t = f->operands.at[a->load->i]->type;
        if (e->turned[a->load->i] || !across(e, facts, a, e->t.loops.at[last].last)) continue;
        const ir_dim **stride = RT_ARRAY(&e->c->arena, const ir_dim *, t->rank + 1);
        nest_strides(e->c, t->rank, t->dims, NULL, stride);
        strides[a->load->i] = stride;
        e->turned[a->load->i] = a->load;
        e->unused[a->load->i] = true;
        n++;
    }
    if (n) f->strides = strides;
    return n > 0;
}

void sched_turn(emit *e) {
    for (int o = 0; o < e->f->operands.n; o++) {
        if (!e->turned || !e->turned[o]) continue;
        const ir_type *t = e->f->operands.at[o]->type;
        tile_copy c = {.on = true, .load = e->turned[o], .dtype = t->dtype};
        for (int d = 0; d < t->rank; d++) c.order[d] = (uint8_t)d, c.size[d] = t->dims[d];
        sched_copy_kernel(e, o, &c);
        e->in[o] = sched_buffer(e, LB_SCRATCH, e->scratch++, t->dtype, sched_copy_elements(e, &c), "turned");
    }
}
