/* eval.c: runs the loops of a comprehension on concrete tensors.  See eval_int.h for the machine below.
 *
 * Four ways: plain (no state), reduction with the outputs as lanes, reduction with the reduced points as
 * lanes and a tree over them (many steps, few outputs), and products of two factors as a GEMM over packed
 * factors; scatters write in order.  All give the values that the comprehension defines, up to the
 * association of associative sums. */
#include "lower/eval_int.h"

#include <setjmp.h>

enum { SUM_BLOCK = 512, GEMM_MIN = 2048 };
static const int64_t PACK_BYTES = 8 << 20; /* of one packed slab */

/* One evaluation. */
typedef struct job {
    const comp *k;
    const lower_operands *in;
    rt_arena *a;
    rt_env *env;
    int64_t ext[EV_MAX_VARS];
    const int64_t *like; /* order of the results' dims in memory, or NULL */
    rt_tensor **out;
    void **heap; /* a packed buffer that must be freed */
} job;

/* ------------------------------------------------------------------ shared */

static bool out_of_memory(rt_env *env) { return rt_raise(env, "MemoryError", "out of memory"); }

static bool begin(job *j, ev *x) {
    ev_init(x, j->k, j->in, j->a, j->env);
    memcpy(x->ext, j->ext, sizeof x->ext);
    return true;
}

static int64_t product(const int64_t *ext, const int *vars, int n) {
    int64_t p = 1;
    for (int i = 0; i < n; i++) p *= ext[vars[i]];
    return p;
}

/* Raises if an index of the current chunk that depends on `vars` is out of its bounds. */
static bool check(ev *x, ev_node **nodes, const int64_t *sizes, uint64_t vars) {
    for (int c = 0; c < x->k->checks.n; c++) {
        if (vars && !(nodes[c]->vars & vars)) continue;
        const char *why = x->k->checks.at[c].why;
        const int64_t *i = ev_column(x, nodes[c], x->n);
        for (int l = 0; l < x->n; l++)
            if (i[l] < 0 || i[l] >= sizes[c])
                return strncmp(why, "ZeroDivision", 12) ? rt_raise(x->env, "IndexError", "%s", why)
                                                        : rt_raise(x->env, "RuntimeError", "%s", why);
    }
    return true;
}

struct checks {
    ev_node **nodes;
    int64_t *sizes;
};

static bool compile_checks(ev *x, struct checks *c) {
    int n = x->k->checks.n;
    c->nodes = RT_ARRAY(x->a, ev_node *, n);
    c->sizes = RT_ARRAY(x->a, int64_t, n);
    for (int i = 0; i < n; i++)
        if (!(c->nodes[i] = ev_compile(x, x->k->checks.at[i].index)) ||
            !ev_size(x, x->k->checks.at[i].size, &c->sizes[i]))
            return false;
    return true;
}

static bool compile_all(ev *x, int n, const ir_expr *const *e, ev_node **nodes) {
    for (int i = 0; i < n; i++)
        if (!(nodes[i] = ev_compile(x, e[i]))) return false;
    return true;
}

/* Output dims by memory order, outermost first; the scan's is left out. */
static int output_lanes(const job *j, int *vars) {
    int n = 0;
    for (int v = 0; v < j->k->ndims; v++) {
        if (v == j->k->scan) continue;
        int at = n++;
        if (j->like)
            for (; at > 0 && j->like[vars[at - 1]] < j->like[v]; at--) vars[at] = vars[at - 1];
        vars[at] = v;
    }
    return n;
}

static void output_places(const job *j, ev_affine *f) {
    memset(f, 0, sizeof *f);
    for (int v = 0; v < j->k->ndims; v++) f->coef[v] = j->out[0]->strides[v];
}

/* Stores the lanes of the current chunk into result k. */
static void store(ev *x, const ev_affine *place, rt_tensor *t, const void *col, int lanes) {
    int size = ev_rep_size(ev_rep_of(t->dtype));
    int64_t step = x->nlane ? place->coef[x->lane[x->nlane - 1]] : 0;
    for (int i = 0; i < x->nruns && x->runs[i].lane < lanes; i++) {
        const ev_run *r = &x->runs[i];
        int n = r->n < lanes - r->lane ? r->n : lanes - r->lane;
        ev_store(t->storage->data, t->dtype, t->offset + ev_place(x, place, r), step,
                 (const char *)col + r->lane * size, n);
    }
}

static void store_results(job *j, ev *x, ev_node **out, const ev_affine *place, int lanes) {
    for (int k = 0; k < j->k->nout; k++) store(x, place, j->out[k], ev_column(x, out[k], lanes), lanes);
}

/* Next point of the counters vars[0..n), the last fastest; false: all were visited. */
static bool advance(ev *x, const int *vars, int n) {
    for (int i = n - 1; i >= 0; i--) {
        if (x->at[vars[i]] + 1 < x->ext[vars[i]]) {
            ev_set_at(x, vars[i], x->at[vars[i]] + 1);
            return true;
        }
        ev_set_at(x, vars[i], 0);
    }
    return false;
}

static uint64_t mask_of(const int *vars, int n) {
    uint64_t m = 0;
    for (int i = 0; i < n; i++) m |= (uint64_t)1 << vars[i];
    return m;
}

/* ------------------------------------------------------------------ plain */

static bool run_plain(job *j) {
    ev x;
    ev_node *out[COMP_MAX_OUT];
    struct checks c;
    ev_affine place, *uses[] = {&place};
    int vars[EV_MAX_VARS], n = output_lanes(j, vars);
    if (!begin(j, &x) || !compile_checks(&x, &c) || !compile_all(&x, j->k->nout, j->k->out, out))
        return false;
    output_places(j, &place);
    int64_t total = ev_lanes(&x, n, vars, 1, uses);
    for (int64_t i = 0; i < total; i += EV_LANES) {
        ev_chunk(&x, i, total - i < EV_LANES ? (int)(total - i) : EV_LANES);
        if (!check(&x, c.nodes, c.sizes, 0)) return false;
        store_results(j, &x, out, &place, x.n);
    }
    return true;
}

/* ------------------------------------------------------------------ states */

typedef struct state {
    int n;
    ev_node *init[COMP_MAX_STATE], *elem[COMP_MAX_STATE], *combine[COMP_MAX_STATE], *out[COMP_MAX_OUT];
    size_t size[COMP_MAX_STATE]; /* bytes of a value */
    void *now[COMP_MAX_STATE], *next[COMP_MAX_STATE], *total[COMP_MAX_STATE];
    const ir_expr *simple; /* the combination is this primitive of state and element */
} state;

static bool compile_state(ev *x, state *s) {
    const comp *k = x->k;
    s->n = k->nstate;
    if (!compile_all(x, s->n, k->init, s->init) || !compile_all(x, s->n, k->elem, s->elem) ||
        !compile_all(x, s->n, k->combine, s->combine) || !compile_all(x, k->nout, k->out, s->out))
        return false;
    for (int i = 0; i < s->n; i++) {
        s->size[i] = (size_t)ev_rep_size(ev_rep_of(k->state_dtype[i]));
        s->now[i] = rt_arena_array(x->a, EV_LANES, s->size[i]);
        s->next[i] = rt_arena_array(x->a, EV_LANES, s->size[i]);
        s->total[i] = rt_arena_array(x->a, EV_LANES, s->size[i]);
    }
    const ir_expr *e = k->combine[0];
    bool simple = s->n == 1 && e->op < K_COUNT && e->n == 2 && e->args[0]->op == X_PARAM &&
                  e->args[0]->i == 0 && e->args[1]->op == X_PARAM && e->args[1]->i == 1;
    s->simple = simple ? e : NULL;
    return true;
}

static void set_init(ev *x, state *s, int lanes) {
    for (int i = 0; i < s->n; i++)
        memcpy(s->now[i], ev_column(x, s->init[i], lanes), (size_t)lanes * s->size[i]);
}

/* now = combine(now, by) */
static void merge(ev *x, state *s, void *const *by, int lanes) {
    if (s->simple) {
        const void *args[2] = {s->now[0], by[0]};
        ev_apply(s->simple, s->now[0], args, lanes);
        return;
    }
    for (int i = 0; i < s->n; i++) {
        x->param[i] = s->now[i];
        x->param[s->n + i] = by[i];
    }
    ev_invalidate(x, EV_PARAMS);
    for (int i = 0; i < s->n; i++)
        memcpy(s->next[i], ev_column(x, s->combine[i], lanes), (size_t)lanes * s->size[i]);
    for (int i = 0; i < s->n; i++) {
        void *t = s->now[i];
        s->now[i] = s->next[i];
        s->next[i] = t;
    }
}

static void add_element(ev *x, state *s, int lanes) {
    void *by[COMP_MAX_STATE];
    for (int i = 0; i < s->n; i++) by[i] = ev_column(x, s->elem[i], lanes);
    merge(x, s, by, lanes);
}

static void show_state(ev *x, state *s) {
    for (int i = 0; i < s->n; i++) x->param[i] = s->now[i];
    ev_invalidate(x, EV_PARAMS);
}

/* Long sums are made in blocks whose results are summed: keeps the rounding error small. */
static void end_block(ev *x, state *s, bool first, int lanes) {
    for (int i = 0; i < s->n; i++) {
        void *t = s->total[i];
        s->total[i] = s->now[i];
        s->now[i] = t;
    }
    if (!first) { /* now: the sum of the blocks so far; total: this block */
        merge(x, s, s->total, lanes);
    } else {
        for (int i = 0; i < s->n; i++) memcpy(s->now[i], s->total[i], (size_t)lanes * s->size[i]);
    }
    for (int i = 0; i < s->n; i++) { /* the sum waits in total, a new block begins */
        void *t = s->total[i];
        s->total[i] = s->now[i];
        s->now[i] = t;
    }
}

static int reduced_vars(const job *j, int *vars) {
    for (int i = 0; i < j->k->nrdims; i++) vars[i] = j->k->ndims + i;
    return j->k->nrdims;
}

/* ------------------------------------------------------------------ reductions, outputs as lanes */

typedef struct reduction {
    ev x;
    state s;
    struct checks c;
    ev_affine place;
    int rvars[EV_MAX_VARS], nr;
    int64_t steps;
} reduction;

static bool step_scan(job *j, reduction *r, int64_t i) {
    if (j->k->scan < 0) return true;
    ev_set_at(&r->x, j->k->scan, i);
    show_state(&r->x, &r->s);
    store_results(j, &r->x, r->s.out, &r->place, r->x.n);
    return true;
}

static bool reduce_chunk(job *j, reduction *r) {
    ev *x = &r->x;
    bool blocks = j->k->associative && j->k->scan < 0 && r->steps > 2 * SUM_BLOCK, first = true;
    for (int i = 0; i < r->nr; i++) ev_set_at(x, r->rvars[i], 0);
    set_init(x, &r->s, x->n);
    for (int64_t i = 0; i < r->steps; i++) {
        if (!check(x, r->c.nodes, r->c.sizes, i ? mask_of(r->rvars, r->nr) : 0)) return false;
        add_element(x, &r->s, x->n);
        if (!step_scan(j, r, i)) return false;
        if (blocks && (i % SUM_BLOCK == SUM_BLOCK - 1 || i == r->steps - 1)) {
            end_block(x, &r->s, first, x->n);
            first = false;
            if (i < r->steps - 1) set_init(x, &r->s, x->n);
        }
        advance(x, r->rvars, r->nr);
    }
    if (blocks)
        for (int i = 0; i < r->s.n; i++) memcpy(r->s.now[i], r->s.total[i], (size_t)x->n * r->s.size[i]);
    if (j->k->scan >= 0) return true;
    show_state(x, &r->s);
    store_results(j, x, r->s.out, &r->place, x->n);
    return true;
}

static bool begin_reduction(job *j, reduction *r) {
    if (!begin(j, &r->x)) return false;
    r->nr = reduced_vars(j, r->rvars);
    r->steps = product(j->ext, r->rvars, r->nr);
    output_places(j, &r->place);
    return compile_checks(&r->x, &r->c) && compile_state(&r->x, &r->s);
}

static bool run_by_outputs(job *j) {
    reduction *r = RT_NEW(j->a, reduction);
    ev_affine *uses[] = {&r->place};
    int vars[EV_MAX_VARS], n = output_lanes(j, vars);
    if (!begin_reduction(j, r)) return false;
    int64_t total = ev_lanes(&r->x, n, vars, 1, uses);
    for (int64_t i = 0; i < total; i += EV_LANES) {
        ev_chunk(&r->x, i, total - i < EV_LANES ? (int)(total - i) : EV_LANES);
        if (!reduce_chunk(j, r)) return false;
    }
    return true;
}

/* ------------------------------------------------------------------ reductions, steps as lanes */

/* Folds the lanes into lane 0, halves onto halves. */
static void fold_lanes(ev *x, state *s, int lanes) {
    while (lanes > 1) {
        void *by[COMP_MAX_STATE];
        int half = lanes / 2;
        for (int i = 0; i < s->n; i++) by[i] = (char *)s->now[i] + (size_t)(lanes - half) * s->size[i];
        if (s->simple) {
            merge(x, s, by, half);
        } else {
            void *before[COMP_MAX_STATE];
            for (int i = 0; i < s->n; i++) before[i] = s->now[i];
            merge(x, s, by, half);
            if (lanes & 1) /* the middle lane stays */
                for (int i = 0; i < s->n; i++)
                    memcpy((char *)s->now[i] + (size_t)half * s->size[i],
                           (char *)before[i] + (size_t)half * s->size[i], s->size[i]);
        }
        lanes -= half;
    }
}

static bool reduce_point(job *j, reduction *r) {
    ev *x = &r->x;
    int width = r->steps < EV_LANES ? (int)r->steps : EV_LANES;
    set_init(x, &r->s, width);
    for (int64_t i = 0; i < r->steps; i += EV_LANES) {
        ev_chunk(x, i, r->steps - i < EV_LANES ? (int)(r->steps - i) : EV_LANES);
        if (!check(x, r->c.nodes, r->c.sizes, 0)) return false;
        if (x->n < width) { /* the rest of the lanes keep their state */
            void *rest[COMP_MAX_STATE];
            for (int q = 0; q < r->s.n; q++) rest[q] = r->s.now[q];
            add_element(x, &r->s, x->n);
            for (int q = 0; q < r->s.n; q++)
                if (r->s.now[q] != rest[q])
                    memcpy((char *)r->s.now[q] + (size_t)x->n * r->s.size[q],
                           (char *)rest[q] + (size_t)x->n * r->s.size[q],
                           (size_t)(width - x->n) * r->s.size[q]);
        } else {
            add_element(x, &r->s, x->n);
        }
    }
    fold_lanes(x, &r->s, width);
    show_state(x, &r->s);
    for (int k = 0; k < j->k->nout; k++) {
        int64_t off = j->out[k]->offset;
        for (int v = 0; v < j->k->ndims; v++) off += x->at[v] * r->place.coef[v];
        ev_store(j->out[k]->storage->data, j->out[k]->dtype, off, 0, ev_column(x, r->s.out[k], 1), 1);
    }
    return true;
}

static bool run_by_steps(job *j) {
    reduction *r = RT_NEW(j->a, reduction);
    int vars[EV_MAX_VARS], n = output_lanes(j, vars);
    if (!begin_reduction(j, r)) return false;
    ev_lanes(&r->x, r->nr, r->rvars, 0, NULL);
    do
        if (!reduce_point(j, r)) return false;
    while (advance(&r->x, vars, n));
    return true;
}

/* ------------------------------------------------------------------ products of two factors */

typedef struct gemm {
    int nb, nm, nn, nk; /* variables of both factors, of the rows, of the columns, reduced */
    int b[EV_MAX_VARS], m[EV_MAX_VARS], n[EV_MAX_VARS], k[EV_MAX_VARS];
    int64_t B, M, N, K;
    int64_t group;              /* the columns are the same for so many batches: those give more rows */
    const ir_expr *rows, *cols; /* the factors */
    rt_dtype dtype;
    ev_rep rep;
    int size;
} gemm;

/* Index variables in e. */
static uint64_t index_vars(const ir_expr *e, bool *seen) {
    if (seen[e->id]) return 0;
    seen[e->id] = true;
    uint64_t m = e->op == X_INDEX ? (uint64_t)1 << e->i : 0;
    for (int i = 0; i < e->n; i++) m |= index_vars(e->args[i], seen);
    return m;
}

static bool is_zero(const ir_expr *e) {
    return e->op == X_CONST && (rt_dtypes[e->dtype].kind == 'F' ? e->f == 0 : e->k == 0);
}

/* A sum of products with at least two factors, in a dtype that has a GEMM? */
static bool is_product(const comp *k) {
    if (k->nstate != 1 || k->scan >= 0 || k->checks.n || !is_zero(k->init[0])) return false;
    const ir_expr *c = k->combine[0], *e = k->elem[0];
    rt_dtype d = k->state_dtype[0];
    return e->op == K_MUL && c->op == K_ADD && c->args[0]->op == X_PARAM && c->args[1]->op == X_PARAM &&
           c->args[0] != c->args[1] && (d == DT_F32 || d == DT_F64 || d == DT_I64);
}

/* Does e read variable v only as floordiv(v, *by)?  (Groups of a convolution.)  *by is 0 until one was seen.
 */
static bool only_divided(const ir_expr *e, int v, int64_t *by, bool *seen) {
    if (seen[e->id]) return true;
    seen[e->id] = true;
    if (e->op == X_INDEX) return e->i != v;
    if (e->op == K_FLOORDIV && e->args[0]->op == X_INDEX && e->args[0]->i == v && e->args[1]->op == X_CONST) {
        if (e->args[1]->k < 1 || (*by && *by != e->args[1]->k)) return false;
        *by = e->args[1]->k;
        return true;
    }
    for (int i = 0; i < e->n; i++)
        if (!only_divided(e->args[i], v, by, seen)) return false;
    return true;
}

/* A batch variable that the columns only know in groups goes last, so that a group's rows lie together. */
static void find_group(const job *j, gemm *g) {
    g->group = 1;
    for (int i = 0; i < g->nb; i++) {
        int64_t by = 0;
        int v = g->b[i];
        if (!only_divided(g->cols, v, &by, RT_ARRAY(j->a, bool, j->k->x.n + 1)) || by < 2 || j->ext[v] % by)
            continue;
        g->group = by;
        memmove(&g->b[i], &g->b[i + 1], (size_t)(g->nb - i - 1) * sizeof *g->b);
        g->b[g->nb - 1] = v;
        return;
    }
}

static void split_vars(const job *j, gemm *g, uint64_t rows, uint64_t cols) {
    for (int v = 0; v < j->k->ndims; v++) {
        bool r = rows >> v & 1, c = cols >> v & 1;
        if (r && c) g->b[g->nb++] = v;
        else if (r) g->m[g->nm++] = v;
        else g->n[g->nn++] = v;
    }
    g->nk = reduced_vars(j, g->k);
    g->B = product(j->ext, g->b, g->nb);
    g->M = product(j->ext, g->m, g->nm);
    g->N = product(j->ext, g->n, g->nn);
    g->K = product(j->ext, g->k, g->nk);
}

/* The factor with the innermost output dim gives the columns. */
static void plan_gemm(const job *j, gemm *g) {
    const ir_expr *e = j->k->elem[0];
    uint64_t a = index_vars(e->args[0], RT_ARRAY(j->a, bool, j->k->x.n + 1));
    uint64_t b = index_vars(e->args[1], RT_ARRAY(j->a, bool, j->k->x.n + 1));
    memset(g, 0, sizeof *g);
    bool swap = false;
    for (int v = j->k->ndims - 1; v >= 0; v--) {
        bool in_a = a >> v & 1, in_b = b >> v & 1;
        if (in_a == in_b || j->ext[v] == 1) continue;
        swap = in_a;
        break;
    }
    g->rows = e->args[swap ? 1 : 0];
    g->cols = e->args[swap ? 0 : 1];
    g->dtype = j->k->state_dtype[0];
    g->rep = ev_rep_of(g->dtype);
    g->size = ev_rep_size(g->rep);
    split_vars(j, g, swap ? b : a, swap ? a : b);
    find_group(j, g);
}

/* Copies the values of a factor at lanes [start, start + n) into dst. */
static void pack(ev *x, ev_node *f, int64_t start, int64_t n, char *dst, int size) {
    for (int64_t i = 0; i < n; i += EV_LANES) {
        int lanes = n - i < EV_LANES ? (int)(n - i) : EV_LANES;
        ev_chunk(x, start + i, lanes);
        memcpy(dst + i * size, ev_column(x, f, lanes), (size_t)lanes * (size_t)size);
    }
}

static int append(int *to, int n, const int *vars, int count) {
    memcpy(to + n, vars, (size_t)count * sizeof *to);
    return n + count;
}

struct packing {
    ev rows, cols;
    ev_node *row, *col;
    char *a, *b, *c;
    int64_t slab;
};

/* rows: [batch][m][k]; cols: [batch][k][n], in slabs of some k. */
static bool begin_packing(job *j, gemm *g, struct packing *p) {
    int vars[2 * EV_MAX_VARS], n;
    size_t bytes;
    if (!begin(j, &p->rows) || !(p->row = ev_compile(&p->rows, g->rows))) return false;
    if (!begin(j, &p->cols) || !(p->col = ev_compile(&p->cols, g->cols))) return false;
    n = append(vars, append(vars, append(vars, 0, g->b, g->nb), g->m, g->nm), g->k, g->nk);
    ev_lanes(&p->rows, n, vars, 0, NULL);
    n = append(vars, append(vars, append(vars, 0, g->b, g->nb), g->k, g->nk), g->n, g->nn);
    ev_lanes(&p->cols, n, vars, 0, NULL);
    p->slab = PACK_BYTES / (g->N * g->size);
    if (p->slab < 1) p->slab = 1;
    if (p->slab > g->K) p->slab = g->K;
    if (!rt_mul_size((size_t)(g->B * g->N), (size_t)g->M, &bytes) ||
        !rt_add_size(bytes, (size_t)(g->group * g->M * g->K + p->slab * g->N), &bytes) ||
        !rt_mul_size(bytes, (size_t)g->size, &bytes) || !(p->c = *j->heap = rt_malloc(bytes)))
        return out_of_memory(j->env);
    p->a = p->c + g->B * g->M * g->N * g->size;
    p->b = p->a + g->group * g->M * g->K * g->size;
    memset(p->c, 0, (size_t)(g->B * g->M * g->N * g->size));
    return true;
}

/* Results: the finish expressions over the sums, which lie as [batch][m][n]. */
static bool finish_gemm(job *j, gemm *g, const char *sums) {
    ev x;
    ev_node *out[COMP_MAX_OUT];
    ev_affine place, *uses[] = {&place};
    int vars[EV_MAX_VARS], order[EV_MAX_VARS], n = output_lanes(j, vars);
    if (!begin(j, &x)) return false;
    x.acc = sums;
    x.acc_dtype = g->dtype;
    int64_t step = 1;
    int count = append(order, append(order, append(order, 0, g->b, g->nb), g->m, g->nm), g->n, g->nn);
    for (int i = count - 1; i >= 0; i--) {
        x.acc_at.coef[order[i]] = step;
        step *= j->ext[order[i]];
    }
    if (!compile_all(&x, j->k->nout, j->k->out, out)) return false;
    output_places(j, &place);
    int64_t total = ev_lanes(&x, n, vars, 1, uses);
    for (int64_t i = 0; i < total; i += EV_LANES) {
        ev_chunk(&x, i, total - i < EV_LANES ? (int)(total - i) : EV_LANES);
        store_results(j, &x, out, &place, x.n);
    }
    return true;
}

static bool run_gemm(job *j, gemm *g) {
    struct packing *p = RT_NEW(j->a, struct packing);
    if (!begin_packing(j, g, p)) return false;
    int64_t rows = g->group * g->M;
    for (int64_t b = 0; b < g->B; b += g->group) {
        pack(&p->rows, p->row, b * g->M * g->K, rows * g->K, p->a, g->size);
        for (int64_t k = 0; k < g->K; k += p->slab) {
            int64_t kc = g->K - k < p->slab ? g->K - k : p->slab;
            pack(&p->cols, p->col, (b * g->K + k) * g->N, kc * g->N, p->b, g->size);
            ev_gemm(g->rep, rows, g->N, kc, p->a + k * g->size, g->K, p->b, p->c + b * g->M * g->N * g->size);
        }
    }
    return finish_gemm(j, g, p->c);
}

/* ------------------------------------------------------------------ scatters */

typedef struct scatter {
    ev x;
    ev_node *elem, *combine, *at[RT_MAX_RANK];
    struct checks c;
    bool simple; /* a primitive of the old value and the new */
} scatter;

/* The place of a lane in the result, or -1. */
static int64_t scatter_place(scatter *s, const rt_tensor *t, const int64_t *const *at, int lane) {
    int64_t off = t->offset;
    for (int d = 0; d < t->ndim; d++) {
        int64_t i = at[d][lane];
        if (i < 0 || i >= t->shape[d]) {
            rt_raise(s->x.env, "IndexError", "index %lld is out of bounds for dimension %d with size %lld",
                     (long long)i, d, (long long)t->shape[d]);
            return -1;
        }
        off += i * t->strides[d];
    }
    return off;
}

static void scatter_one(scatter *s, rt_tensor *t, int64_t off, const void *elems, int lane) {
    rt_dtype d = t->dtype;
    const ir_expr *e = s->x.k->combine[0];
    void *data = t->storage->data;
    char old[8], new[8];
    if (e) {
        ir_scalar v[2], r;
        ev_load(old, data, d, off, 0, 1);
        v[0] = ev_get(old, d, 0);
        v[1] = ev_get(elems, d, lane);
        if (s->simple) {
            r = ir_prim_eval(e->op, d, d, v);
        } else {
            ev_set(new, d, 0, v[1]);
            s->x.param[0] = old;
            s->x.param[1] = new;
            ev_invalidate(&s->x, EV_PARAMS);
            r = ev_get(ev_column(&s->x, s->combine, 1), d, 0);
        }
        ev_set(new, d, 0, r);
        ev_store(data, d, off, 0, new, 1);
        return;
    }
    ev_set(new, d, 0, ev_get(elems, d, lane));
    ev_store(data, d, off, 0, new, 1);
}

static bool scatter_chunk(scatter *s, rt_tensor *t) {
    const int64_t *at[RT_MAX_RANK];
    if (!check(&s->x, s->c.nodes, s->c.sizes, 0)) return false;
    for (int d = 0; d < t->ndim; d++) at[d] = ev_column(&s->x, s->at[d], s->x.n);
    const void *elems = ev_column(&s->x, s->elem, s->x.n);
    for (int l = 0; l < s->x.n; l++) {
        int64_t off = scatter_place(s, t, at, l);
        if (off < 0) return false;
        scatter_one(s, t, off, elems, l);
    }
    return true;
}

static bool run_scatter(job *j) {
    const comp *k = j->k;
    scatter *s = RT_NEW(j->a, scatter);
    int vars[EV_MAX_VARS];
    for (int v = 0; v < k->ndims; v++) vars[v] = v;
    if (k->nat != j->out[0]->ndim)
        return rt_raise(j->env, "RuntimeError", "a scatter with a wrong number of indices");
    if (!begin(j, &s->x) || !compile_checks(&s->x, &s->c) || !compile_all(&s->x, k->nat, k->at, s->at) ||
        !(s->elem = ev_compile(&s->x, k->elem[0])))
        return false;
    const ir_expr *e = k->combine[0];
    if (e && !(s->combine = ev_compile(&s->x, e))) return false;
    s->simple = e && e->op < K_COUNT && e->n == 2 && e->args[0]->op == X_PARAM && e->args[1]->op == X_PARAM &&
                e->args[0]->i == 0;
    int64_t total = ev_lanes(&s->x, k->ndims, vars, 0, NULL);
    for (int64_t i = 0; i < total; i += EV_LANES) {
        ev_chunk(&s->x, i, total - i < EV_LANES ? (int)(total - i) : EV_LANES);
        if (!scatter_chunk(s, j->out[0])) return false;
    }
    return true;
}

/* ------------------------------------------------------------------ choice */

static bool run_loops(job *j) {
    int vars[EV_MAX_VARS], n = output_lanes(j, vars), rvars[EV_MAX_VARS], nr = reduced_vars(j, rvars);
    int64_t outputs = product(j->ext, vars, n), steps = product(j->ext, rvars, nr);
    gemm g;
    if (j->k->nstate == 0) return outputs == 0 || run_plain(j);
    if (outputs == 0) return true;
    if (is_product(j->k) && outputs * steps >= GEMM_MIN) {
        plan_gemm(j, &g);
        return run_gemm(j, &g);
    }
    int64_t tree = 1; /* combinations to fold the lanes */
    for (int64_t w = steps < EV_LANES ? steps : EV_LANES; w > 1; w -= w / 2) tree++;
    int64_t by_outputs = steps * ((outputs + EV_LANES - 1) / EV_LANES);
    int64_t by_steps = outputs * ((steps + EV_LANES - 1) / EV_LANES + tree);
    if (j->k->associative && j->k->scan < 0 && steps > 0 && by_steps < by_outputs) return run_by_steps(j);
    return run_by_outputs(j);
}

/* Dense strides in the order of `like`. */
static rt_tensor *new_result(rt_dtype dtype, int n, const int64_t *shape, const int64_t *like) {
    rt_tensor *t = rt_tensor_new(dtype, n, shape);
    if (!t || !like) return t;
    int64_t step = 1;
    bool done[RT_MAX_RANK] = {false};
    for (int i = 0; i < n; i++) { /* the smallest stride first; of equals the inner dim */
        int best = -1;
        for (int d = n - 1; d >= 0; d--)
            if (!done[d] && (best < 0 || like[d] < like[best])) best = d;
        done[best] = true;
        t->strides[best] = step;
        step *= shape[best];
    }
    return t;
}

static bool make_results(job *j) {
    const comp *k = j->k;
    if (k->write) {
        if (k->base < 0 || k->base >= j->in->n || j->in->at[k->base].tag != V_TENSOR)
            return rt_raise(j->env, "RuntimeError", "a scatter without its base");
        j->out[0] = rt_tensor_copy_to(j->in->at[k->base].tensor, k->out_dtype[0]);
        return j->out[0] || out_of_memory(j->env);
    }
    for (int i = 0; i < k->nout; i++)
        if (!(j->out[i] = new_result(k->out_dtype[i], k->ndims, j->ext, j->like)))
            return out_of_memory(j->env);
    return true;
}

static bool sizes(job *j) {
    ev x;
    ev_init(&x, j->k, j->in, j->a, j->env);
    for (int v = 0; v < j->k->ndims + j->k->nrdims; v++) {
        if (!ev_size(&x, v < j->k->ndims ? j->k->dims[v] : j->k->rdims[v - j->k->ndims], &j->ext[v]))
            return false;
        if (j->ext[v] < 0) return rt_raise(j->env, "RuntimeError", "negative size");
    }
    return true;
}

static bool run(job *j) {
    if (!sizes(j) || !make_results(j)) return false;
    return j->k->write ? run_scatter(j) : run_loops(j);
}

bool lower_eval(const comp *k, const lower_operands *in, const int64_t *like, rt_tensor **out, rt_env *env) {
    jmp_buf fail;
    rt_arena arena = {.fail = &fail};
    void *heap = NULL;
    job j = {.k = k, .in = in, .a = &arena, .env = env, .like = like, .out = out, .heap = &heap};
    int nout = k->write ? 1 : k->nout;
    for (int i = 0; i < nout; i++) out[i] = NULL;
    bool ok = setjmp(fail) ? out_of_memory(env) : run(&j);
    rt_free(heap);
    rt_arena_free(&arena);
    for (int i = 0; !ok && i < nout; i++) {
        rt_tensor_release(out[i]);
        out[i] = NULL;
    }
    return ok;
}

bool lower_eval_scalar(const ir_expr *e, const lower_operands *in, ir_scalar *out, rt_env *env) {
    jmp_buf fail;
    rt_arena arena = {.fail = &fail};
    comp k = {.scan = -1, .x.n = e->id + 1};
    ev x;
    bool ok;
    if (setjmp(fail)) {
        rt_arena_free(&arena);
        return out_of_memory(env);
    }
    ev_init(&x, &k, in, &arena, env);
    ev_node *n = ev_compile(&x, e);
    ok = n != NULL;
    if (ok) {
        ev_lanes(&x, 0, NULL, 0, NULL);
        ev_chunk(&x, 0, 1);
        *out = ev_get(ev_column(&x, n, 1), e->dtype, 0);
    }
    rt_arena_free(&arena);
    return ok;
}
