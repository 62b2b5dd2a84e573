/* table.c: what a map or a reduction would compute again and again from a few of its loops is computed once, by
 * kernels before it, into tables in scratch: the places and weights of a resampled image depend on one loop each, and
 * those of a sampled grid not on the channel.
 *
 * Expressions are those over loops (emit.h).  A table holds an expression that costs something by itself, for every
 * index of the loops that it uses; what it is made of and uses fewer of them has a table of its own.  A loop that is
 * not used must repeat it; not the lanes of a vector, around which it is computed once anyway.
 *
 * A load whose place a table gives, and that a condition of the same loops guards, is done without the condition: where
 * that does not hold, the table says the place of an element that exists. */
#include "ir/rules.h"
#include "lower/emit.h"

enum { CHUNK = 1024, COSTLY = 8, REPEATED = 4, WORTH = 1 << 15 };

typedef const ir_dim *D;

/* The arms of selects that an expression stands in; NULL: none.  One for each way to get there. */
typedef struct guard {
    const struct guard *outer;
    const ir_expr *cond;
    bool not;            /* the second arm */
    uint32_t loops;      /* that all conditions use */
    bool known;          /* the conditions may be computed by themselves */
} guard;

typedef struct range { int64_t lo, hi; } range; /* lo: -1 if it may be below 0 */

typedef struct tabler {
    emit *e;
    int lane;
    bool runs;             /* every loop has iterations */
    nest_facts *facts;     /* `uses` are loops */
    unsigned char *always; /* by expression id: computed whatever the conditions are */
    int *seen, stamp;      /* by expression id */
    unsigned char *loads, *range_known;
    range *ranges;         /* by expression id */
    rt_map done, guards;   /* expression and guard -> expression; outer guard, condition and arm -> guard */
} tabler;

static D loop_size(const tabler *t, int l) { return t->e->t.loops.at[l].size; }

static uint32_t uses(tabler *t, const ir_expr *x) { return nest_facts_of(t->facts, x)->uses; }

static bool loads(tabler *t, const ir_expr *x) {
    enum { NO = 1, YES };
    bool any = x->op == X_LOAD;
    for (int i = 0; i < x->n && !any && !t->loads[x->id]; i++) any = loads(t, x->args[i]);
    if (!t->loads[x->id]) t->loads[x->id] = any ? YES : NO;
    return t->loads[x->id] == YES;
}

static void mark_always(tabler *t, const ir_expr *x) {
    if (t->always[x->id]) return;
    t->always[x->id] = 1;
    for (int i = 0; i < (x->op == K_SELECT ? 1 : x->n); i++) mark_always(t, x->args[i]);
}

/* ---- what is worth a table */

static bool is_whole(const ir_expr *x) { return rt_dtypes[x->dtype].kind != 'F'; }

static int weight(tabler *t, const ir_expr *x) {
    bool whole = is_whole(x), leaf = x->op == X_DIM || x->op == X_CONST || x->op == X_SCALAR;
    if (whole && x->op != X_LOAD && x->op != K_CAST && uses(t, x) & t->e->cuts) return 0; /* known in each piece */
    if (nest_facts_of(t->facts, x)->affine || leaf) return 0;
    if (x->op == X_LOAD) return 2;
    if (x->op == K_CAST) return whole == is_whole(x->args[0]) ? 1 : COSTLY / 2;
    if (x->op == K_DIV && !whole) return 3;
    return x->op == K_FLOORDIV || x->op == K_MOD || x->op == K_REM || x->op == K_DIV || x->op >= K_EXP ? COSTLY : 1;
}

/* The cost of what uses all of these loops. */
static int own_cost(tabler *t, const ir_expr *x, uint32_t loops) {
    if (uses(t, x) != loops || t->seen[x->id] == t->stamp) return 0;
    t->seen[x->id] = t->stamp;
    int n = weight(t, x);
    for (int i = 0; i < x->n; i++) n += own_cost(t, x->args[i], loops);
    return n;
}

/* May it be computed in front of everything?  guarded: its loads must be done anyway. */
static bool free_parts(tabler *t, const ir_expr *x, bool guarded) {
    if (t->seen[x->id] == t->stamp) return true;
    t->seen[x->id] = t->stamp;
    bool may = x->op != X_LOAD || (t->runs && (!guarded || t->always[x->id]) && !t->e->unused[x->i]);
    if (x->op == X_PARAM || !may) return false;
    for (int i = 0; i < x->n; i++)
        if (!free_parts(t, x->args[i], guarded)) return false;
    return true;
}

static bool is_free(tabler *t, const ir_expr *x, bool guarded) {
    t->stamp++;
    return free_parts(t, x, guarded);
}

static bool worth(tabler *t, const ir_expr *x) {
    uint32_t loops = uses(t, x);
    D again = sched_num(t->e, 1), all = again;
    int64_t n;
    if (!loops || nest_facts_of(t->facts, x)->affine) return false;
    for (int l = 0; l < t->e->t.loops.n; l++) {
        all = ir_dim_mul(t->e->c, all, loop_size(t, l));
        if (!(loops >> l & 1) && l != t->lane) again = ir_dim_mul(t->e->c, again, loop_size(t, l));
    }
    if (ir_dim_is_const(again, &n) && n < REPEATED) return false;
    t->stamp++;
    int cost = own_cost(t, x, loops);
    return cost >= COSTLY && (!ir_dim_is_const(all, &n) || n >= WORTH / cost);
}

/* ---- how large whole numbers become */

static const int64_t FAR = INT64_MAX;

static int64_t beyond(int64_t a, int64_t b, bool times) { /* of numbers >= 0 */
    int64_t r;
    if (a == FAR || b == FAR) return FAR;
    return (times ? __builtin_mul_overflow(a, b, &r) : __builtin_add_overflow(a, b, &r)) ? FAR : r;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static range of_range(tabler *t, const ir_expr *x);

/* Numbers below 0 are not told apart; of floats it is known whether they are any. */
static range new_range(tabler *t, const ir_expr *x) {
    range r = {-1, FAR}, a = r, b = r;
    if (x->op != X_LOAD && x->n > 0) a = of_range(t, x->args[0]);
    if (x->op != X_LOAD && x->n > 1) b = of_range(t, x->args[1]);
    bool whole = is_whole(x), positive = a.lo >= 0 && b.lo >= 0;
    switch ((int)x->op) {
    case X_CONST:
        if (whole ? x->k >= 0 : x->f >= 0) r = whole ? (range){x->k, x->k} : (range){0, FAR};
        break;
    case X_DIM: ir_dim_range(t->e->c, x->dim, &r.lo, &r.hi); break;
    case X_INDEX:
        ir_dim_range(t->e->c, loop_size(t, x->i), &r.lo, &r.hi);
        r.lo = 0;
        break;
    case K_CAST:
        if (!whole || x->dtype == DT_I64) r = (range){least(a.lo, 0), whole ? a.hi : FAR};
        break;
    case K_FLOOR:
    case K_ROUND:
    case K_TRUNC: return a;
    case K_MIN: return (range){least(a.lo, b.lo), least(a.hi, b.hi)};
    case K_MAX: return (range){most(a.lo, b.lo), most(a.hi, b.hi)};
    case K_SELECT:
        a = of_range(t, x->args[2]);
        return (range){least(a.lo, b.lo), most(a.hi, b.hi)};
    case K_SUB: return (range){-1, b.lo >= 0 ? a.hi : FAR};
    case K_ADD:
    case K_MUL: return positive ? (range){0, beyond(a.hi, b.hi, x->op == K_MUL)} : r;
    case K_DIV: return positive && !whole ? (range){0, FAR} : r;
    default: break;
    }
    return r;
}

static range of_range(tabler *t, const ir_expr *x) {
    if (!t->range_known[x->id]) t->ranges[x->id] = new_range(t, x);
    t->range_known[x->id] = 1;
    return t->ranges[x->id];
}

/* ---- tables */

/* The loops of a table from the slowest to the fastest. */
static int loops_of(const emit *e, uint32_t loops, int lane, int *out) {
    int n = 0;
    for (int l = 0; l < e->t.loops.n; l++)
        if (loops >> l & 1 && l != lane) out[n++] = l;
    if (loops >> lane & 1) out[n++] = lane;
    return n;
}

static D elements(const emit *e, uint32_t loops) {
    D n = sched_num(e, 1);
    for (int l = 0; l < e->t.loops.n; l++)
        if (loops >> l & 1) n = ir_dim_mul(e->c, n, e->t.loops.at[l].size);
    return n;
}

static const ir_expr *address(tabler *t, uint32_t loops) {
    emit *e = t->e;
    int loop[NEST_MAX], n = loops_of(e, loops, t->lane, loop);
    const ir_expr *at = ir_x_int(&e->x, DT_I64, 0);
    D step = sched_num(e, 1);
    for (int i = n - 1; i >= 0; i--) {
        at = ir_x2(&e->x, K_ADD, ir_x2(&e->x, K_MUL, ir_x_index(&e->x, loop[i]), ir_x_dim(&e->x, step)), at);
        step = ir_dim_mul(e->c, step, loop_size(t, loop[i]));
    }
    return at;
}

/* Reads x from its table, which is a new one if there is none; sure: for places that need no condition. */
static const ir_expr *tabled(tabler *t, const ir_expr *x, uint32_t loops, bool sure) {
    emit *e = t->e;
    int i = 0;
    while (i < e->ntables && (e->tables[i].x != x || e->tables[i].sure != sure)) i++;
    if (i == e->ntables) e->tables[e->ntables++] = (sched_table){x, loops, sure};
    const ir_expr *at = address(t, loops);
    return ir_x_load(&e->x, e->f->operands.n + i, x->dtype, 1, &at);
}

/* ---- rewriting */

static const ir_expr *put(tabler *t, const ir_expr *x, const guard *g);

static const guard *under(tabler *t, const guard *g, const ir_expr *x, int arm) {
    const ir_expr *cond = x->args[0];
    const void *key[3] = {g, cond, (void *)(intptr_t)arm};
    const guard *known = rt_map_getn(&t->guards, (const char *)key, sizeof key);
    if (known) return known;
    guard r = {g, cond, arm == 2, uses(t, cond) | (g ? g->loops : 0), is_free(t, cond, g) && (!g || g->known)};
    known = rt_arena_copy(&t->e->c->arena, &r, sizeof r);
    rt_map_putn(&t->e->c->arena, &t->guards, (const char *)key, sizeof key, (void *)known);
    return known;
}

static const ir_expr *mask_of(tabler *t, const guard *g) {
    ir_exprs *xs = &t->e->x;
    const ir_expr *c = g->not ? ir_x1(xs, K_NOT, g->cond) : g->cond;
    return g->outer ? ir_x2(xs, K_AND, mask_of(t, g->outer), c) : c;
}

/* A term of an address: of loop l, times *step. */
static bool term(tabler *t, const ir_expr *x, int *l, D *step) {
    const ir_expr *by = x->op == K_MUL ? x->args[1] : NULL, *of = by ? x->args[0] : x;
    *l = of->i;
    *step = !by ? sched_num(t->e, 1) : by->op == X_DIM ? by->dim : by->op == X_CONST ? sched_num(t->e, by->k) : NULL;
    return of->op == X_INDEX && *step && ir_dim_le(t->e->c, sched_num(t->e, 0), *step) == IR_YES;
}

/* The address with the places where the guard does not hold replaced by 0, at which there is an element; NULL: it has
 * no such form. */
static const ir_expr *sure_address(tabler *t, int operand, const ir_expr *at, const guard *g, D before) {
    emit *e = t->e;
    int l;
    D step;
    if (at->op == K_ADD && term(t, at->args[0], &l, &step)) {
        D more = ir_dim_mul(e->c, step, ir_dim_sub(e->c, loop_size(t, l), sched_num(e, 1)));
        const ir_expr *rest = sure_address(t, operand, at->args[1], g, ir_dim_add(e->c, before, more));
        return rest ? ir_x2(&e->x, K_ADD, at->args[0], rest) : NULL;
    }
    const ir_value *v = e->f->operands.at[operand];
    D size = sched_num(e, 1);
    for (int d = 0; d < v->type->rank; d++) size = ir_dim_mul(e->c, size, v->type->dims[d]);
    uint32_t loops = uses(t, at);
    bool good = e->ntables < SCHED_TABLES && t->runs && !(g->loops & ~loops) && worth(t, at) && is_free(t, at, false);
    if (!good || ir_dim_lt(e->c, before, size) != IR_YES) return NULL;
    const ir_expr *place = ir_x_select(&e->x, mask_of(t, g), at, ir_x_int(&e->x, DT_I64, 0));
    int64_t low, high;
    ir_dim_range(e->c, size, &low, &high);
    bool narrow = high <= INT32_MAX; /* where the other loops begin, the place is the whole address */
    return ir_x_cast(&e->x, tabled(t, narrow ? ir_x_cast(&e->x, place, DT_I32) : place, loops, true), DT_I64);
}

static const ir_expr *rebuilt(tabler *t, const ir_expr *x, const guard *g) {
    ir_exprs *xs = &t->e->x;
    const ir_expr **args = RT_ARRAY(&t->e->c->arena, const ir_expr *, x->n), *sure = NULL;
    if (!x->n) return x;
    bool guarded = x->op == X_LOAD && g && g->known && !t->always[x->id];
    if (guarded) sure = sure_address(t, x->i, x->args[0], g, sched_num(t->e, 0));
    for (int i = 0; i < x->n && !sure; i++)
        args[i] = put(t, x->args[i], x->op == K_SELECT && i ? under(t, g, x, i) : g);
    if (x->op == X_LOAD) return ir_x_load(xs, x->i, x->dtype, x->n, sure ? &sure : args);
    return ir_x(xs, x->op, x->dtype, x->n, args);
}

static const ir_expr *put_new(tabler *t, const ir_expr *x, const guard *g) {
    ir_exprs *xs = &t->e->x;
    range in = x->dtype == DT_I64 ? of_range(t, x) : (range){-1, 0};
    if (in.lo >= 0 && in.lo == in.hi) return ir_x_int(xs, DT_I64, in.lo);
    if (t->e->ntables == SCHED_TABLES || !worth(t, x) || !is_free(t, x, g)) return rebuilt(t, x, g);
    if (in.lo < 0 || in.hi > INT32_MAX) return tabled(t, x, uses(t, x), false);
    return ir_x_cast(xs, tabled(t, ir_x_cast(xs, x, DT_I32), uses(t, x), false), DT_I64);
}

static const ir_expr *put(tabler *t, const ir_expr *x, const guard *g) {
    if (!loads(t, x)) g = NULL;
    const void *key[2] = {x, g};
    const ir_expr *known = rt_map_getn(&t->done, (const char *)key, sizeof key);
    if (known) return known;
    const ir_expr *r = put_new(t, x, g);
    rt_map_putn(&t->e->c->arena, &t->done, (const char *)key, sizeof key, (void *)r);
    return r;
}

bool sched_sure(const emit *e, const ir_expr *load) {
    int first = e->f->operands.n;
    const ir_expr *at = load->args[0];
    if (load->i >= first) return true;
    while (at->op == K_ADD || at->op == K_CAST) at = at->args[at->n - 1];
    return at->op == X_LOAD && at->i >= first && e->tables[at->i - first].sure;
}

static bool along_lane(const emit *e, const ir_expr *at) {
    if (at->op == K_ADD) return along_lane(e, at->args[0]) || along_lane(e, at->args[1]);
    if (at->op == K_CAST) return along_lane(e, at->args[0]);
    return at->op == X_LOAD && at->i >= e->f->operands.n && e->tables[at->i - e->f->operands.n].loops == 1u << e->lane;
}

bool sched_near(const emit *e, const ir_expr *load) {
    return load->i < e->f->operands.n && along_lane(e, load->args[0]);
}

static void plan(emit *e, int lane) {
    int n = e->x.n + 1;
    tabler t = {.e = e, .lane = lane, .runs = true, .facts = RT_ARRAY(&e->c->arena, nest_facts, n),
                .always = RT_ARRAY(&e->c->arena, unsigned char, n), .seen = RT_ARRAY(&e->c->arena, int, n),
                .loads = RT_ARRAY(&e->c->arena, unsigned char, n),
                .range_known = RT_ARRAY(&e->c->arena, unsigned char, n),
                .ranges = RT_ARRAY(&e->c->arena, range, n)};
    bool map = !e->f->k->nstate;
    const ir_expr **x = map ? e->out : e->elem;
    int64_t low, high;
    for (int l = 0; l < e->t.loops.n; l++) {
        ir_dim_range(e->c, loop_size(&t, l), &low, &high);
        t.runs = t.runs && low >= 1;
    }
    for (int i = 0; i < (map ? e->f->k->nout : e->f->k->nstate); i++) mark_always(&t, x[i]);
    for (int i = 0; i < (map ? e->f->k->nout : e->f->k->nstate); i++) x[i] = put(&t, x[i], NULL);
}

/* ---- the kernels */

static k_buffer *table_buffer(emit *e, emit *of, int i) {
    const sched_table *t = &e->tables[i];
    return sched_buffer(of, LB_SCRATCH, e->scratch + i, t->x->dtype, elements(e, t->loops), "table");
}

/* What the tables of these loops read. */
static void table_inputs(emit *x, unsigned char *seen, const ir_expr *of) {
    if (seen[of->id]) return;
    seen[of->id] = 1;
    if (of->op == X_LOAD && !x->in[of->i]) {
        ir_value *v = x->f->operands.at[of->i];
        x->in[of->i] = sched_buffer(x, LB_IN, sched_input(x->kernel, v), v->type->dtype, NULL, "in");
        if (x->t.base) x->launch->buffers.at[x->launch->buffers.n - 1].first = x->t.base[of->i];
    }
    for (int i = 0; i < of->n; i++) table_inputs(x, seen, of->args[i]);
}

/* All tables over the loops: grid over the slower ones and chunks of the fastest one, whose steps are lanes. */
static void table_kernel(emit *e, int lane, uint32_t loops) {
    emit x = sched_before(e, ir_fmt(e->c, "tables%u", (unsigned)loops));
    k_builder *b = &x.b;
    int loop[NEST_MAX], n = loops_of(e, loops, lane, loop), last = loop[n - 1];
    k_buffer *out[SCHED_TABLES] = {NULL};
    unsigned char *seen = RT_ARRAY(&e->c->arena, unsigned char, e->x.n + 1);
    for (int i = 0; i < e->ntables; i++)
        if (e->tables[i].loops == loops) table_inputs(&x, seen, e->tables[i].x);
    for (int i = 0; i < e->ntables; i++)
        if (e->tables[i].loops == loops) out[i] = table_buffer(e, &x, i);
    D size = e->t.loops.at[last].size, more = ir_dim_add(e->c, size, sched_num(e, CHUNK - 1));
    D chunks = ir_dim_floordiv(e->c, more, sched_num(e, CHUNK));
    x.launch->grid = ir_dim_mul(e->c, chunks, elements(e, loops & ~(1u << last)));
    x.launch->cost = ir_dim_mul(e->c, ir_dim_smaller(e->c, size, sched_num(e, CHUNK)), sched_num(e, COSTLY));
    k_value *g = k_var(k_for(b, KL_GRID, 0, k_i64(b, 0), sched_dim(&x, x.launch->grid), 1)), *row = k_i64(b, 0);
    k_value *lo = k_mul(b, sched_split(&x, &g, chunks), k_i64(b, CHUNK));
    k_value *hi = k_2(b, K_MIN, k_add(b, lo, k_i64(b, CHUNK)), sched_dim(&x, size));
    for (int i = n - 2; i >= 0; i--) x.var[loop[i]] = sched_split(&x, &g, e->t.loops.at[loop[i]].size);
    for (int i = 0; i < n - 1; i++)
        row = k_add(b, k_mul(b, row, sched_dim(&x, e->t.loops.at[loop[i]].size)), x.var[loop[i]]);
    row = k_mul(b, row, sched_dim(&x, size));
    for (int i = 0; i < e->ntables; i++)
        if (out[i]) sched_outside(&x, e->tables[i].x);
    x.var[last] = k_var(k_for(b, KL_VECTOR, 0, lo, hi, 1));
    k_memo *memo = k_memo_under(x.memo);
    for (int i = 0; i < e->ntables; i++)
        if (out[i]) k_store(b, out[i], k_add(b, row, x.var[last]), sched_value(&x, memo, e->tables[i].x));
    k_end(b, 0, NULL);
    k_end(b, 0, NULL);
    RT_PUSH(&e->c->arena, &e->info->launches, *x.launch);
}

void sched_tables(emit *e, int lane) {
    if (e->checks.n || lane < 0) return;
    e->lane = lane;
    plan(e, lane);
    for (int i = 0; i < e->ntables; i++) {
        bool made = false;
        for (int k = 0; k < i; k++) made = made || e->tables[k].loops == e->tables[i].loops;
        if (!made) table_kernel(e, lane, e->tables[i].loops);
    }
    for (int i = 0; i < e->ntables; i++) e->in[e->f->operands.n + i] = table_buffer(e, e, i);
    e->scratch += e->ntables;
}
