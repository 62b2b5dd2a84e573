/* stage.c: what the stages of a staged kernel share: rows, and how their values lie in scratch: see stage.h. */
#include "lower/stage.h"

typedef const ir_dim *D;

enum {
    BLOCK_TILES = 8,       /* of rows: enough for a panel of the other factor to be worth its way to the first cache */
    BLOCK_ELEMENTS = 2048, /* of the longest row of a value, or what a stage goes through for a row, in all rows of a block */
    MOST_INNER = 1 << 30,
    MIN_BLOCKS = 16,       /* for many cores */
    MOST_LANES = 64, FEWEST_LANES = 16, LANE_ELEMENTS = 4096,
    ALIGNED = 16,          /* elements: rows of scratch begin at multiples of it */
    FEW_KEYS = 64,         /* of which it does not pay to leave any out */
    SAME_SETS = 512        /* elements: rows so far apart share sets of the first cache */
};

D stages_row(const stages *s, int i) {
    const fused *f = &s->at[s->n - 1].f;
    D n = ir_dim_const(s->c, 1);
    for (int v = 0; v < f->row[i].n; v++) n = ir_dim_mul(s->c, n, f->k->dims[f->row[i].var[v]]);
    return n;
}

int64_t stages_inner(const stages *s, int i) {
    const nest *t = &s->at[i].t;
    int64_t inner = 1, n;
    for (int l = s->nrows; l < t->loops.n; l++)
        if (ir_dim_is_const(t->loops.at[l].size, &n) && n > 0) inner = n < MOST_INNER / inner ? inner * n : MOST_INNER;
    return inner;
}

const stage_value *stages_value(const stages *s, const ir_value *v) {
    for (int i = 0; i < s->values.n; i++)
        if (s->values.at[i].v == v) return &s->values.at[i];
    return NULL;
}

/* ---- reads */

static int stage_of(const stages *s, const ir_value *v) {
    for (int i = 0; i < s->n; i++)
        if (v->def == s->at[i].n) return i;
    return -1;
}

static void find_reads(stages *s, stage *x, unsigned char *seen, const ir_expr *e) {
    if (!e || seen[e->id]) return;
    seen[e->id] = 1;
    int from = e->op == X_LOAD ? stage_of(s, x->f.operands.at[e->i]) : -1;
    if (from >= 0) RT_PUSH(&s->c->arena, &x->reads, ((stage_read){e, from}));
    for (int i = 0; i < e->n; i++) find_reads(s, x, seen, e->args[i]);
}

static void find_all_reads(stages *s, stage *x) {
    const comp *k = x->f.k;
    unsigned char *seen = RT_ARRAY(&s->c->arena, unsigned char, k->x.n + 1);
    x->reads.n = 0;
    for (int i = 0; i < k->nstate; i++) find_reads(s, x, seen, k->init[i]), find_reads(s, x, seen, k->elem[i]);
    for (int i = 0; i < k->nout; i++) find_reads(s, x, seen, k->out[i]);
    for (int i = 0; i < k->checks.n; i++) find_reads(s, x, seen, k->checks.at[i].index);
}

/* ---- rows */

static bool is_step(const stage *p, int v, int d, int64_t step) {
    return p->f.dim_of[v] == d && ir_dim_is(p->f.step[v], step);
}

static D var_size(const stage *x, int v) { return v < x->f.k->ndims ? x->f.k->dims[v] : x->f.k->rdims[v - x->f.k->ndims]; }

/* Does `reader` count through dim d of what p made just as p does: by variables of the same sizes and steps? */
static bool counts_alike(const stage *reader, const stage *p, const sched_line *at, int d) {
    int terms = 0, matched = 0, vars = 0;
    for (int v = 0; v < p->f.k->ndims; v++) vars += p->f.dim_of[v] == d && !ir_dim_is(p->f.k->dims[v], 1);
    for (int r = 0; r < NEST_MAX; r++) {
        if (!at->coef[r]) continue;
        terms++;
        for (int v = 0; v < p->f.k->ndims; v++)
            matched += is_step(p, v, d, at->coef[r]) && p->f.k->dims[v] == var_size(reader, r);
    }
    return !at->c && terms == vars && matched == vars;
}

int stages_var_of(const stage *reader, const stage *p, const ir_expr *load, int var, int known) {
    sched_line at;
    for (int d = 0; d < load->n; d++) {
        if (!sched_line_of(load->args[d], &at) || !at.coef[var] || !counts_alike(reader, p, &at, d)) continue;
        for (int v = 0; v < p->f.k->ndims; v++)
            if (is_step(p, v, d, at.coef[var]) && !ir_dim_is(p->f.k->dims[v], 1) && (known < 0 || known == v)) return v;
    }
    return -1;
}

/* Takes the variable of stage p apart that counts dim d across `step`. */
static void split_at(stages *s, stage *p, int d, int64_t step) {
    for (int v = 0; v < p->f.k->ndims; v++) {
        int64_t own, size;
        if (p->f.dim_of[v] != d || !ir_dim_is_const(p->f.step[v], &own)) continue;
        if (!ir_dim_is_const(p->f.k->dims[v], &size) || step <= own || step >= own * size || step % own) continue;
        if (!lower_split_var(s->c, &p->f, v, ir_dim_const(s->c, step / own))) continue;
        find_all_reads(s, p);
        return;
    }
}

/* Where a stage counts a dim by parts (heads that share keys), those that made what it reads do so, too. */
static void split_alike(stages *s) {
    sched_line at;
    for (int i = s->n - 1; i >= 0; i--)
        for (int r = 0; r < s->at[i].reads.n; r++) {
            const stage_read *x = &s->at[i].reads.at[r];
            for (int d = 0; d < x->load->n; d++)
                for (int v = 0; v < s->at[i].f.k->ndims && sched_line_of(x->load->args[d], &at); v++)
                    if (at.coef[v] > 1) split_at(s, &s->at[x->from], d, at.coef[v]);
        }
}

/* Is variable `root` of the last stage a row? */
static bool add_row(stages *s, int root) {
    int var[STAGE_MAX];
    D size = s->at[s->n - 1].f.k->dims[root];
    for (int i = 0; i < s->n; i++) var[i] = i == s->n - 1 ? root : -1;
    for (int i = s->n - 1; i >= 0; i--) {
        if (var[i] < 0 || s->at[i].f.k->dims[var[i]] != size) return false;
        for (int r = 0; r < s->at[i].reads.n; r++) {
            stage_read *x = &s->at[i].reads.at[r];
            var[x->from] = stages_var_of(&s->at[i], &s->at[x->from], x->load, var[i], var[x->from]);
            if (var[x->from] < 0) return false;
        }
    }
    for (int i = 0; i < s->n; i++) s->at[i].f.row[s->nrows] = (struct fused_row){1, {(uint8_t)var[i]}};
    s->nrows++;
    return true;
}

/* In the order in which the results lie in memory. */
static bool find_rows(stages *s, const ir_value *result) {
    stage *last = &s->at[s->n - 1];
    nest t;
    nest_build(s->c, &last->f, result, &t);
    for (int i = 0; i < last->f.k->ndims; i++)
        if (!ir_dim_is(last->f.k->dims[t.order[i]], 1)) add_row(s, t.order[i]);
    return s->nrows > 0;
}

/* ---- scratch */

/* How many of the variables that count dim d are rows. */
static int row_vars(const stages *s, const stage *p, int d) {
    int n = 0;
    for (int i = 0; i < s->nrows; i++)
        for (int v = 0; v < p->f.row[i].n; v++) n += p->f.dim_of[p->f.row[i].var[v]] == d;
    return n;
}

static int all_vars(const stage *p, int d) {
    int n = 0;
    for (int v = 0; v < p->f.k->ndims; v++) n += p->f.dim_of[v] == d && !ir_dim_is(p->f.k->dims[v], 1);
    return n;
}

/* Elements from one row to the next: rows begin aligned, and not all in the same sets of the cache. */
static int64_t pitch(int64_t inner) {
    if (inner == 1) return 1;
    int64_t n = (inner + ALIGNED - 1) / ALIGNED * ALIGNED;
    return n % SAME_SETS ? n : n + ALIGNED;
}

/* Does dim d of what p makes count keys, of which it holds a block? */
static bool counts_keys(const stages *s, const stage *p, int d) {
    return s->keys && p->key >= 0 && p->key < p->f.k->ndims && p->f.dim_of[p->key] == d;
}

static bool add_value(stages *s, int made, const ir_value *v) {
    const stage *p = &s->at[made];
    stage_value x = {.v = v, .made = made, .last = -1, .inner = 1, .buffer = -1};
    int64_t n;
    for (int i = made + 1; i < s->n; i++)
        for (int r = 0; r < s->at[i].reads.n; r++) {
            if (s->at[i].f.operands.at[s->at[i].reads.at[r].load->i] != v) continue;
            x.last = i;
            x.whole = x.whole || s->at[i].part != p->part;
        }
    if (x.last < 0) return false; /* of no use */
    for (int d = 0; d < v->type->rank; d++) {
        int rows = row_vars(s, p, d);
        if (rows && rows != all_vars(p, d)) return false; /* a part of a dim */
        if (rows) continue;
        if (counts_keys(s, p, d)) n = s->keys;
        else if (!ir_dim_is_const(v->type->dims[d], &n) || n < 1 || n > STAGE_SCRATCH / x.inner) return !(s->too_long = true);
        x.inner *= n;
    }
    x.whole = x.whole || (s->keys && x.inner == 1);
    RT_PUSH(&s->c->arena, &s->values, x);
    return true;
}

/* Elements from one index to the next: along the rows of a block (side by side if they are the lanes), and inside. */
static bool lay_out(stages *s, stage_value *x) {
    const stage *p = &s->at[x->made];
    const struct fused_row *last = &p->f.row[s->nrows - 1];
    int64_t step = s->lanes ? s->block : 1, n;
    x->strides = RT_ARRAY(&s->c->arena, const ir_dim *, RT_MAX_RANK);
    x->whole = x->whole || s->lanes;
    x->pitch = s->lanes ? 1 : x->whole ? pitch(x->inner) : 0;
    for (int d = x->v->type->rank - 1; d >= 0; d--) {
        x->strides[d] = ir_dim_const(s->c, row_vars(s, p, d) ? 0 : step);
        bool key = counts_keys(s, p, d);
        if (!row_vars(s, p, d) && (key || ir_dim_is_const(x->v->type->dims[d], &n))) step *= key ? s->keys : n;
    }
    D along = ir_dim_const(s->c, x->pitch);
    for (int i = last->n - 1; i >= 0 && x->whole; i--) {
        int d = p->f.dim_of[last->var[i]];
        if (all_vars(p, d) > 1) return false;
        x->strides[d] = along;
        along = ir_dim_mul(s->c, along, p->f.k->dims[last->var[i]]);
    }
    return true;
}

/* Does the stage read this at the index of its own result? */
static bool reads_at_own_index(const stage *p, const ir_expr *load) {
    sched_line at;
    for (int d = 0; d < load->n; d++) {
        if (!sched_line_of(load->args[d], &at) || at.c) return false;
        for (int v = 0; v < p->f.k->ndims; v++) {
            bool one = ir_dim_is(p->f.k->dims[v], 1), own = p->f.dim_of[v] == d;
            if (!one && (own ? !is_step(p, v, d, at.coef[v]) : at.coef[v] != 0)) return false;
        }
    }
    return true;
}

/* Does each element of y take the place of the one of x of which it is made? */
static bool in_place(const stages *s, const stage_value *x, const stage_value *y) {
    const stage *p = &s->at[y->made];
    for (int r = 0; r < p->reads.n; r++)
        if (p->f.operands.at[p->reads.at[r].load->i] == x->v && !reads_at_own_index(p, p->reads.at[r].load)) return false;
    return p->kind == CK_MAP && !s->lanes && x->inner == y->inner;
}

/* May y lie where x lies?  x is read for the last time by a stage before the one that makes y, or by that one in place: row by
 * row, as they lie alike. */
static bool may_share(const stages *s, const stage_value *x, const stage_value *y) {
    bool alike = s->lanes ? x->inner == y->inner : x->whole && y->whole && pitch(x->inner) == pitch(y->inner);
    if (s->keys && x->inner == 1) return false; /* from one block of keys to the next */
    return (x->last < y->made || (x->last == y->made && in_place(s, x, y))) && alike && x->v->type->dtype == y->v->type->dtype;
}

static void choose_buffers(stages *s) {
    for (int i = 0; i < s->values.n; i++) {
        stage_value *y = &s->values.at[i];
        y->buffer = i;
        for (int k = 0; k < i && y->buffer == i; k++) {
            bool free = s->values.at[k].buffer == k;
            for (int o = k; o < i && free; o++) free = s->values.at[o].buffer != k || may_share(s, &s->values.at[o], y);
            if (free) y->buffer = k;
        }
    }
}

static void give_strides(stages *s) {
    for (int i = 0; i < s->n; i++) {
        fused *f = &s->at[i].f;
        const ir_dim *const **by = RT_ARRAY(&s->c->arena, const ir_dim *const *, f->operands.n + 1);
        for (int o = 0; o < f->operands.n; o++) {
            const stage_value *v = stages_value(s, f->operands.at[o]);
            by[o] = v ? v->strides : NULL;
        }
        const stage_value *own = stages_value(s, s->at[i].n->out[0]);
        f->strides = by;
        f->out_strides = own ? own->strides : NULL;
    }
}

/* How often all of the last row is done; at most MIN_BLOCKS. */
static int64_t outer_rows(const stages *s) {
    int64_t n = 1, d;
    for (int r = 0; r < s->nrows - 1 && n < MIN_BLOCKS; r++)
        n *= ir_dim_is_const(stages_row(s, r), &d) && d < MIN_BLOCKS ? d : MIN_BLOCKS;
    return n < 1 ? 1 : n < MIN_BLOCKS ? n : MIN_BLOCKS;
}

static bool choose_lanes(stages *s, int64_t row, int64_t bytes) {
    int64_t rows;
    s->block = MOST_LANES;
    while (s->block > FEWEST_LANES && s->block * row > LANE_ELEMENTS) s->block /= 2;
    if (ir_dim_is_const(stages_row(s, s->nrows - 1), &rows) && rows > 0) { /* equal blocks */
        int64_t blocks = (rows + s->block - 1) / s->block, each = (rows + blocks - 1) / blocks;
        s->block = (each + FEWEST_LANES - 1) / FEWEST_LANES * FEWEST_LANES;
    }
    return s->block * bytes <= STAGE_SCRATCH;
}

/* What is kept of each row from one block of keys to the next, next to the values: its sums, in panels, a maximum and a scale. */
static bool sums_per_row(const stages *s, int64_t *out) {
    const stage *last = &s->at[s->n - 1];
    int64_t n, columns = 1;
    for (int v = 0; v < last->f.k->ndims; v++) {
        bool row = false;
        for (int r = 0; r < s->nrows; r++)
            for (int i = 0; i < last->f.row[r].n; i++) row = row || last->f.row[r].var[i] == v;
        if (!row && (!ir_dim_is_const(last->f.k->dims[v], &n) || n > STAGE_SCRATCH)) return false;
        if (!row) columns *= n;
    }
    *out = (columns + TILE_N - 1) / TILE_N * TILE_N + 2;
    return true;
}

/* Rows of a block, or tiles: as many as scratch has room for. */
static bool choose_block(stages *s) {
    int64_t row = 0, once = 0, rows, largest = 1, all = 0, n;
    for (int i = 0; i < s->values.n; i++) {
        const stage_value *v = &s->values.at[i];
        int64_t size = rt_dtypes[v->v->type->dtype].bytes;
        if (v->buffer == i) *(v->whole ? &row : &once) += pitch(v->inner) * size, all += v->inner * size;
        if (v->inner > largest) largest = v->inner;
    }
    if (s->lanes) return choose_lanes(s, largest, all);
    for (int i = 0; i < s->n && !s->tiled; i++)
        if (stages_inner(s, i) > largest) largest = stages_inner(s, i);
    if (s->keys && !sums_per_row(s, &n)) return false;
    if (s->keys) row += n * (int64_t)sizeof(float);
    s->block = BLOCK_ELEMENTS / largest + 1;
    if (!s->tiled) return row + once <= STAGE_SCRATCH || !(s->too_long = true);
    s->block = row ? (STAGE_SCRATCH - once) / (row * s->m->tile_rows) : BLOCK_TILES;
    if (s->block > BLOCK_TILES) s->block = BLOCK_TILES;
    if (s->block < 1 || once > STAGE_SCRATCH) return !(s->too_long = true);
    if (ir_dim_is_const(stages_row(s, s->nrows - 1), &rows) && rows > 0) { /* equal blocks */
        int64_t tiles = (rows + s->m->tile_rows - 1) / s->m->tile_rows, blocks = (tiles + s->block - 1) / s->block;
        int64_t least = MIN_BLOCKS / outer_rows(s);
        if (blocks < least) blocks = tiles < 2 * least ? (tiles + 1) / 2 : least; /* of two tiles or more */
        s->block = (tiles + blocks - 1) / blocks;
    }
    return true;
}

/* ---- loops */

/* Parts of a dim stay apart: scratch has a step for each dim. */
static bool one_run(stages *s, int row) {
    for (int i = 0; i < s->n; i++) {
        const fused *f = &s->at[i].f;
        int slow = f->row[row].var[f->row[row].n - 1], fast = f->row[row + 1].var[0];
        if (all_vars(&s->at[i], f->dim_of[slow]) > 1 || all_vars(&s->at[i], f->dim_of[fast]) > 1) return false;
        if (!nest_one_run(&s->at[i].t, slow, fast)) return false;
    }
    return true;
}

/* Rows that lie in one run for every stage are one loop. */
static void merge_rows(stages *s) {
    for (int r = s->nrows - 2; r >= 0; r--) {
        if (!one_run(s, r)) continue;
        for (int i = 0; i < s->n; i++) {
            struct fused_row *row = s->at[i].f.row;
            for (int v = 0; v < row[r + 1].n; v++) row[r].var[row[r].n++] = row[r + 1].var[v];
            memmove(&row[r + 1], &row[r + 2], (size_t)(s->nrows - r - 2) * sizeof *row);
        }
        s->nrows--;
    }
    for (int i = 0; i < s->n; i++) s->at[i].f.nrows = s->nrows;
}

static bool is_one(const ir_dim *step) { return step && ir_dim_is(step, 1); }

/* Does a stage on vectors meet memory in runs along the last row only? */
static bool runs_along_rows(const stages *s) {
    bool across = false;
    for (int i = 0; i < s->n && !s->tiled; i++) {
        const nest *t = &s->at[i].t;
        int inner = t->loops.n > s->nrows ? t->loops.n - 1 : -1;
        for (int k = 0; k < t->accesses.n && inner >= 0; k++) {
            const nest_access *a = &t->accesses.at[k];
            across = across || (is_one(nest_coef(t, a, s->nrows - 1)) && nest_coef(t, a, inner));
        }
    }
    return across;
}

static void build_nests(stages *s, const ir_value *result) {
    for (int i = 0; i < s->n; i++) {
        stage *x = &s->at[i];
        nest_build(s->c, &x->f, i < s->n - 1 ? x->n->out[0] : result, &x->t);
    }
}

/* ---- all of it */

static bool add_stage(stages *s, ir_node *n) {
    stage *x = &s->at[s->n];
    *x = (stage){.n = n, .key = -1};
    if (!lower_fused(s->m, n, &x->f)) return false;
    x->kind = lower_comp_kind(x->f.k);
    if (x->kind != CK_MAP && x->kind != CK_REDUCE && x->kind != CK_CONTRACT) return false;
    bool alone = x->kind == CK_CONTRACT || !s->n || s->at[s->n - 1].kind == CK_CONTRACT;
    x->part = !s->n ? 0 : s->at[s->n - 1].part + alone;
    s->tiled = s->tiled || x->kind == CK_CONTRACT;
    find_all_reads(s, x);
    s->n++;
    return true;
}

/* Products of computed values on tiles whose rows are the last row; what they copy first is made outside. */
static bool plan_tiles(stages *s, stage *x, ir_node *kernel) {
    emit e = {.c = s->c, .f = &x->f, .m = s->m, .kernel = kernel, .t = x->t};
    sched_factor f[2];
    e.unused = RT_ARRAY(&s->c->arena, bool, x->f.operands.n + 1);
    if (x->f.k->nstate != 1 || x->f.k->elem[0]->op != K_MUL) return false;
    for (int i = 0; i < 2; i++) {
        if (!sched_factor_of(&e, x->f.k->elem[0]->args[i], &f[i])) return false;
        if (ir_is_param(x->f.operands.at[f[i].load->i])) return false;
    }
    if (!sched_tiles_plan(&e, &x->tiles) || x->tiles.mloop != s->nrows - 1) return false;
    x->t = e.t;
    if (s->keys && x->key >= x->f.k->ndims && (x->tiles.nseg != 1 || x->tiles.across || x->tiles.wide)) return false;
    for (int l = s->nrows; l < x->t.nouter; l++)
        if (l != x->tiles.nloop) return false; /* nobody opens it */
    bool a = stages_value(s, x->f.operands.at[x->tiles.a]), b = stages_value(s, x->f.operands.at[x->tiles.b]);
    return !b && !(a && x->tiles.copy[0].on);
}

/* Is the loop over keys one of its own in each stage that has them? */
static bool keys_alone(const stages *s) {
    for (int i = 0; i < s->n && s->keys; i++) {
        bool found = s->at[i].key < 0;
        for (int l = s->nrows; l < s->at[i].t.loops.n; l++) found = found || s->at[i].t.loops.at[l].vars == 1u << s->at[i].key;
        if (!found) return false;
    }
    return true;
}

/* Are there more keys than are kept at once, or many that a row does not look at? */
static bool many_keys(const stages *s) {
    stage_bound bounds[STAGE_BOUNDS];
    int64_t n;
    return !ir_dim_is_const(s->all_keys, &n) || n > 2 * STAGE_KEYS || (n >= FEW_KEYS && stages_bounds(s, bounds));
}

bool stages_of(ir_module *m, int n, ir_node *const *groups, const ir_value *result, stages *out) {
    *out = (stages){.c = m->c, .m = m};
    for (int i = 0; i < n; i++)
        if (n > STAGE_MAX || !add_stage(out, groups[i])) return false;
    split_alike(out);
    if (!find_rows(out, result)) return false;
    build_nests(out, result);
    merge_rows(out);
    build_nests(out, result);
    out->lanes = runs_along_rows(out);
    if (stages_online(out) && many_keys(out)) out->keys = STAGE_KEYS;
    for (int i = 0; i < n - 1; i++)
        if (groups[i]->nout != 1 || !add_value(out, i, groups[i]->out[0])) return false;
    choose_buffers(out);
    if (!choose_block(out)) return false;
    for (int i = 0; i < out->values.n; i++)
        if (!lay_out(out, &out->values.at[i])) return false;
    give_strides(out);
    build_nests(out, result);
    for (int i = 0; i < n; i++)
        if (out->at[i].kind == CK_CONTRACT && !plan_tiles(out, &out->at[i], groups[n - 1])) return false;
    return keys_alone(out);
}
