/* conv_cost.c: the cost of an algorithm as a sum of its parts. */
#include "lower/conv_cost.h"

enum {
    ROWS = 6 /* of a register tile */,
    MIN_ROWS = 4 /* a tile of fewer takes as long */,
    CALL_K = 8 /* steps of k that a tile costs besides */
};

#define COST(name, ns, what) ns,
const conv_costs conv_costs_measured = {
#include "lower/conv_cost.def"
};
#undef COST

static const double second_cache = 1 << 20;

/* Rows as equal register tiles count them. */
static double tiled_rows(double n) {
    int64_t rows = (int64_t)n, tiles = (rows + ROWS - 1) / ROWS;
    return rows < tiles * MIN_ROWS ? (double)(tiles * MIN_ROWS) : n;
}

double conv_cost(const conv_costs *t, const conv_shape *s, int m, int r) {
    double n = (double)s->n, ic = (double)s->ic, oc = (double)s->oc, points = (m + r - 1) * (m + r - 1);
    if (!m) return t->direct * r * r * ic * oc * tiled_rows(n * (double)(s->h * s->w));
    double tiles = n * (double)((s->h + m - 1) / m * ((s->w + m - 1) / m)), elements = points * tiles * (ic + oc);
    double product = t->product * points * tiled_rows(tiles) * (ic + CALL_K) * oc,
           stream = t->stream * 4 * points * ic * oc;
    return (product > stream ? product : stream) + (elements * 4 < second_cache ? t->near : t->far) * elements +
           2 * t->launch;
}
