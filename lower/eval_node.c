/* eval_node.c: see eval_int.h. */
#include "lower/eval_int.h"

/* ------------------------------------------------------------------ compile */

void ev_init(ev *x, const comp *k, const lower_operands *in, rt_arena *a, rt_env *env) {
    memset(x, 0, sizeof *x);
    x->k = k;
    x->in = in;
    x->a = a;
    x->env = env;
    x->nvars = k->ndims + k->nrdims;
    x->by_id = RT_ARRAY(a, ev_node *, k->x.n + 1);
    x->runs = NULL;
}

bool ev_size(ev *x, const ir_dim *d, int64_t *out) {
    if (ir_dim_is_const(d, out)) return true;
    if (x->in->symbol && ir_dim_eval(d, x->in->symbol, x->in->symbol_env, out)) return true;
    x->failed = true;
    return rt_raise(x->env, "RuntimeError", "a size is not known");
}

static bool affine_sum(ev_affine *out, const ev_affine *a, const ev_affine *b, int64_t times, int n) {
    out->base = a->base + times * b->base;
    for (int v = 0; v < n; v++) out->coef[v] = a->coef[v] + times * b->coef[v];
    return true;
}

static bool is_affine_const(const ev_affine *a, int n) {
    for (int v = 0; v < n; v++)
        if (a->coef[v]) return false;
    return true;
}

/* Is e (an i64) affine in the index variables? */
static bool affine(ev *x, const ir_expr *e, ev_affine *out) {
    ev_affine a, b;
    memset(out, 0, sizeof *out);
    if (e->dtype != DT_I64) return false;
    switch ((int)e->op) {
    case X_CONST: out->base = e->k; return true;
    case X_INDEX: out->coef[e->i] = 1; return true;
    case X_DIM: return ev_size(x, e->dim, &out->base);
    case K_ADD:
        return affine(x, e->args[0], &a) && affine(x, e->args[1], &b) && affine_sum(out, &a, &b, 1, x->nvars);
    case K_SUB:
        return affine(x, e->args[0], &a) && affine(x, e->args[1], &b) &&
               affine_sum(out, &a, &b, -1, x->nvars);
    case K_MUL:
        if (!affine(x, e->args[0], &a) || !affine(x, e->args[1], &b)) return false;
        if (is_affine_const(&b, x->nvars)) return affine_sum(out, out, &a, b.base, x->nvars);
        return is_affine_const(&a, x->nvars) && affine_sum(out, out, &b, a.base, x->nvars);
    default: return false;
    }
}

static uint64_t affine_vars(const ev *x, const ev_affine *f) {
    uint64_t m = 0;
    for (int v = 0; v < x->nvars; v++)
        if (f->coef[v] && x->ext[v] > 1) m |= (uint64_t)1 << v;
    return m;
}

static bool always_inside(const ev *x, const ev_affine *f, int64_t size) {
    int64_t lo = f->base, hi = f->base;
    for (int v = 0; v < x->nvars; v++) {
        int64_t span = x->ext[v] > 1 ? f->coef[v] * (x->ext[v] - 1) : 0;
        *(span < 0 ? &lo : &hi) += span;
    }
    return lo >= 0 && hi < size;
}

static bool compile_affine_load(ev *x, ev_node *n) {
    n->dims = RT_ARRAY(x->a, ev_affine, n->rank);
    for (int d = 0; d < n->rank; d++)
        if (!affine(x, n->e->args[d], &n->dims[d])) return false;
    n->safe = n->affine = true;
    n->flat.base = n->offset;
    for (int d = 0; d < n->rank; d++) {
        affine_sum(&n->flat, &n->flat, &n->dims[d], n->stride[d], x->nvars);
        n->safe = n->safe && always_inside(x, &n->dims[d], n->size[d]);
    }
    n->vars = affine_vars(x, &n->flat);
    for (int d = 0; !n->safe && d < n->rank; d++) n->vars |= affine_vars(x, &n->dims[d]);
    return true;
}

static bool bad_operand(ev *x) {
    x->failed = true;
    return rt_raise(x->env, "RuntimeError", "an operand of the comprehension is missing or of another type");
}

static bool compile_args(ev *x, ev_node *n) {
    n->args = RT_ARRAY(x->a, ev_node *, n->e->n);
    for (int i = 0; i < n->e->n; i++) {
        if (!(n->args[i] = ev_compile(x, n->e->args[i]))) return false;
        n->vars |= n->args[i]->vars;
    }
    return true;
}

static bool compile_load(ev *x, ev_node *n) {
    const ir_expr *e = n->e;
    if (e->i < 0 || e->i >= x->in->n || x->in->at[e->i].tag != V_TENSOR) return bad_operand(x);
    const rt_tensor *t = x->in->at[e->i].tensor;
    if (t->dtype != e->dtype || t->ndim != e->n) return bad_operand(x);
    n->data = t->storage->data;
    n->dtype = t->dtype;
    n->rank = t->ndim;
    n->offset = t->offset;
    n->size = rt_arena_copy(x->a, t->shape, (size_t)t->ndim * sizeof *t->shape);
    n->stride = rt_arena_copy(x->a, t->strides, (size_t)t->ndim * sizeof *t->strides);
    if (compile_affine_load(x, n)) return true;
    return !x->failed && compile_args(x, n);
}

static void set_buffer(ev *x, ev_node *n) {
    if (!n->buf)
        n->buf =
            rt_arena_array(x->a, (size_t)(x->cap ? x->cap : 1), (size_t)ev_rep_size(ev_rep_of(n->e->dtype)));
    n->col = n->buf;
}

/* Constants are computed at once. */
static bool set_constant(ev *x, ev_node *n, ir_scalar s) {
    set_buffer(x, n);
    ev_set(n->col, n->e->dtype, 0, s);
    n->valid = true;
    n->filled = 1;
    return true;
}

static bool compile_scalar(ev *x, ev_node *n) {
    const ir_expr *e = n->e;
    if (e->i < 0 || e->i >= x->in->n) return bad_operand(x);
    rt_value v = x->in->at[e->i];
    rt_dtype from = v.tag == V_FLOAT ? DT_F64 : v.tag == V_INT ? DT_I64 : DT_BOOL;
    if (v.tag != V_FLOAT && v.tag != V_INT && v.tag != V_BOOL) return bad_operand(x);
    ir_scalar s;
    if (v.tag == V_FLOAT) s.f = v.f;
    else s.i = v.i;
    return set_constant(x, n, ir_prim_eval(K_CAST, e->dtype, from, &s));
}

static bool compile_leaf(ev *x, ev_node *n) {
    const ir_expr *e = n->e;
    ir_scalar s;
    switch ((int)e->op) {
    case X_CONST:
        if (rt_dtypes[e->dtype].kind == 'F') s.f = e->f;
        else s.i = e->k;
        return set_constant(x, n, s);
    case X_DIM: return ev_size(x, e->dim, &s.i) && set_constant(x, n, s);
    case X_SCALAR: return compile_scalar(x, n);
    case X_INDEX:
        if (e->i >= x->nvars) return bad_operand(x);
        x->indexed |= (uint64_t)1 << e->i;
        if (x->ext[e->i] > 1) n->vars = (uint64_t)1 << e->i;
        return true;
    case X_PARAM:
        n->vars = EV_PARAMS;
        if (!x->acc) return true;
        n->data = x->acc;
        n->dtype = x->acc_dtype;
        n->flat = x->acc_at;
        n->affine = n->safe = true;
        n->vars = affine_vars(x, &n->flat);
        return true;
    default: return compile_load(x, n);
    }
}

ev_node *ev_compile(ev *x, const ir_expr *e) {
    ev_node *n = x->by_id[e->id];
    if (n) return n;
    n = RT_NEW(x->a, ev_node);
    n->e = e;
    if (e->op >= K_COUNT ? !compile_leaf(x, n) : !compile_args(x, n)) return NULL;
    RT_PUSH(x->a, &x->nodes, n);
    return x->by_id[e->id] = n;
}

/* ------------------------------------------------------------------ lanes */

/* May variable p (outer) be merged into q: do all uses see p * ext(q) + q as one? */
static bool mergeable(const ev *x, int p, int q, int nmore, ev_affine **more) {
    uint64_t both = ((uint64_t)1 << p) | ((uint64_t)1 << q);
    if (x->indexed & both) return false;
    for (int i = 0; i < nmore; i++)
        if (more[i]->coef[p] != more[i]->coef[q] * x->ext[q]) return false;
    for (int i = 0; i < x->nodes.n; i++) {
        const ev_node *n = x->nodes.at[i];
        if (!n->affine) continue;
        if (!n->safe) {
            if (n->vars & both) return false;
        } else if (n->flat.coef[p] != n->flat.coef[q] * x->ext[q]) {
            return false;
        }
    }
    return true;
}

static void rename_var(ev *x, int p, int q) { /* p's bit becomes q's */
    for (int i = 0; i < x->nodes.n; i++) {
        ev_node *n = x->nodes.at[i];
        if (n->vars >> p & 1) n->vars = (n->vars & ~((uint64_t)1 << p)) | (uint64_t)1 << q;
    }
}

int64_t ev_lanes(ev *x, int n, const int *vars, int nmore, ev_affine **more) {
    int64_t total = 1;
    x->nlane = 0;
    for (int i = 0; i < n; i++) {
        int v = vars[i];
        total *= x->ext[v];
        if (x->ext[v] == 1) continue;
        int p = x->nlane ? x->lane[x->nlane - 1] : -1;
        if (p >= 0 && mergeable(x, p, v, nmore, more)) {
            x->ext[v] *= x->ext[p];
            rename_var(x, p, v);
            x->nlane--;
        }
        x->lane[x->nlane++] = v;
    }
    x->lanemask = EV_PARAMS;
    for (int i = 0; i < x->nlane; i++) x->lanemask |= (uint64_t)1 << x->lane[i];
    x->cap = total < EV_LANES ? (int)total : EV_LANES;
    x->runs = RT_ARRAY(x->a, ev_run, x->cap + 1);
    return total;
}

void ev_invalidate(ev *x, uint64_t vars) {
    for (int i = 0; i < x->nodes.n; i++)
        if (x->nodes.at[i]->vars & vars) x->nodes.at[i]->valid = false;
}

void ev_set_at(ev *x, int var, int64_t value) {
    if (x->at[var] == value) return;
    x->at[var] = value;
    ev_invalidate(x, (uint64_t)1 << var);
}

void ev_chunk(ev *x, int64_t start, int n) {
    int64_t val[EV_MAX_VARS], rest = start;
    int inner = x->nlane - 1;
    x->n = n;
    x->nruns = 0;
    ev_invalidate(x, x->lanemask);
    for (int i = inner; i >= 0; i--) {
        val[i] = rest % x->ext[x->lane[i]];
        rest /= x->ext[x->lane[i]];
    }
    for (int l = 0; l < n;) {
        int64_t left = inner < 0 ? 1 : x->ext[x->lane[inner]] - val[inner];
        ev_run *r = &x->runs[x->nruns++];
        r->lane = l;
        r->n = left < n - l ? (int)left : n - l;
        for (int i = 0; i <= inner; i++) r->val[i] = val[i];
        l += r->n;
        if (inner < 0) break;
        val[inner] += r->n;
        for (int i = inner; i > 0 && val[i] == x->ext[x->lane[i]]; i--) {
            val[i] = 0;
            val[i - 1]++;
        }
    }
}

/* ------------------------------------------------------------------ values */

static int64_t place_outer(const ev *x, const ev_affine *f) {
    int64_t off = f->base;
    for (int v = 0; v < x->nvars; v++)
        if (f->coef[v] && !(x->lanemask >> v & 1)) off += f->coef[v] * x->at[v];
    return off;
}

static int64_t place_run(const ev *x, const ev_affine *f, const ev_run *r) {
    int64_t off = 0;
    for (int i = 0; i < x->nlane; i++) off += f->coef[x->lane[i]] * r->val[i];
    return off;
}

int64_t ev_place(const ev *x, const ev_affine *f, const ev_run *r) {
    return place_outer(x, f) + place_run(x, f, r);
}

static int64_t inner_step(const ev *x, const ev_affine *f) {
    return x->nlane ? f->coef[x->lane[x->nlane - 1]] : 0;
}

static void load_safe(ev *x, ev_node *n, int lanes) {
    int size = ev_rep_size(ev_rep_of(n->dtype));
    int64_t outer = place_outer(x, &n->flat), step = inner_step(x, &n->flat);
    bool same = n->dtype == DT_F32 || n->dtype == DT_F64 || n->dtype == DT_I64;
    if (same && (lanes == 1 || (x->nruns == 1 && step == 1))) { /* the column lies in the tensor */
        if (n->vars & x->lanemask) outer += place_run(x, &n->flat, &x->runs[0]);
        n->col = (char *)n->data + outer * size;
        return;
    }
    set_buffer(x, n);
    if (!(n->vars & x->lanemask)) {
        ev_load(n->col, n->data, n->dtype, outer, 0, 1);
        return;
    }
    for (int i = 0; i < x->nruns; i++) {
        const ev_run *r = &x->runs[i];
        if (r->lane >= lanes) break;
        ev_load((char *)n->col + r->lane * size, n->data, n->dtype, outer + place_run(x, &n->flat, r), step,
                r->n);
    }
}

/* Cuts [lo, hi) to the lanes at which begin + l * step lies in [0, size). */
static void clip(int64_t begin, int64_t step, int64_t size, int64_t *lo, int64_t *hi) {
    if (step == 0) {
        if (begin < 0 || begin >= size) *hi = *lo;
        return;
    }
    int64_t first, last; /* inclusive bounds of l */
    if (step > 0) {
        first = begin >= 0 ? 0 : (-begin + step - 1) / step;
        last = begin >= size ? -1 : (size - 1 - begin) / step;
    } else {
        first = begin < size ? 0 : (begin - size - step) / -step;
        last = begin < 0 ? -1 : begin / -step;
    }
    if (first > *lo) *lo = first;
    if (last + 1 < *hi) *hi = last + 1;
    if (*hi < *lo) *hi = *lo;
}

/* Loads in bounds, zero elsewhere: who reads those is guarded by a select. */
static void load_clipped(ev *x, ev_node *n, char *dst, const ev_run *r, int lanes) {
    int size = ev_rep_size(ev_rep_of(n->dtype));
    int64_t lo = 0, hi = lanes;
    for (int d = 0; d < n->rank; d++) {
        int64_t begin = place_outer(x, &n->dims[d]), step = 0;
        if (r) {
            begin += place_run(x, &n->dims[d], r);
            step = inner_step(x, &n->dims[d]);
        }
        clip(begin, step, n->size[d], &lo, &hi);
    }
    int64_t off = place_outer(x, &n->flat) + (r ? place_run(x, &n->flat, r) : 0),
            step = r ? inner_step(x, &n->flat) : 0;
    if (hi - lo < lanes) memset(dst, 0, (size_t)lanes * (size_t)size);
    if (hi > lo) ev_load(dst + lo * size, n->data, n->dtype, off + lo * step, step, (int)(hi - lo));
}

static void load_guarded(ev *x, ev_node *n, int lanes) {
    set_buffer(x, n);
    int size = ev_rep_size(ev_rep_of(n->dtype));
    if (!(n->vars & x->lanemask)) {
        load_clipped(x, n, n->col, NULL, 1);
        return;
    }
    for (int i = 0; i < x->nruns && x->runs[i].lane < lanes; i++)
        load_clipped(x, n, (char *)n->col + x->runs[i].lane * size, &x->runs[i], x->runs[i].n);
}

/* At computed places: gathers lane by lane. */
static void load_gather(ev *x, ev_node *n, int lanes) {
    int64_t off[EV_LANES];
    bool inside[EV_LANES];
    int size = ev_rep_size(ev_rep_of(n->dtype));
    set_buffer(x, n);
    for (int l = 0; l < lanes; l++) off[l] = n->offset, inside[l] = true;
    for (int d = 0; d < n->rank; d++) {
        const int64_t *i = ev_column(x, n->args[d], lanes);
        for (int l = 0; l < lanes; l++) {
            bool in = i[l] >= 0 && i[l] < n->size[d];
            inside[l] = inside[l] && in;
            if (in) off[l] += i[l] * n->stride[d];
        }
    }
    for (int l = 0; l < lanes; l++) {
        char *dst = (char *)n->col + l * size;
        if (inside[l]) ev_load(dst, n->data, n->dtype, off[l], 0, 1);
        else memset(dst, 0, (size_t)size);
    }
}

static void index_column(ev *x, ev_node *n, int lanes) {
    int v = n->e->i, at = -1;
    set_buffer(x, n);
    int64_t *d = n->col;
    for (int i = 0; i < x->nlane; i++)
        if (x->lane[i] == v) at = i;
    if (at < 0) {
        d[0] = x->ext[v] > 1 ? x->at[v] : 0;
        return;
    }
    bool inner = at == x->nlane - 1;
    for (int i = 0; i < x->nruns && x->runs[i].lane < lanes; i++) {
        const ev_run *r = &x->runs[i];
        for (int l = 0; l < r->n; l++) d[r->lane + l] = r->val[at] + (inner ? l : 0);
    }
}

/* Only the arm that some lane takes is evaluated. */
static void select_column(ev *x, ev_node *n, int lanes) {
    const int64_t *c = ev_column(x, n->args[0], lanes);
    int taken = 0;
    for (int l = 0; l < lanes; l++) taken += c[l] != 0;
    if (taken == 0 || taken == lanes) {
        n->col = ev_column(x, n->args[taken ? 1 : 2], lanes);
        return;
    }
    const void *args[3] = {NULL, ev_column(x, n->args[1], lanes), ev_column(x, n->args[2], lanes)};
    args[0] = ev_column(x, n->args[0], lanes);
    set_buffer(x, n);
    ev_apply(n->e, n->col, args, lanes);
}

static void prim_column(ev *x, ev_node *n, int lanes) {
    const void *args[EV_MAX_ARGS];
    for (int i = 0; i < n->e->n; i++) args[i] = ev_column(x, n->args[i], lanes);
    set_buffer(x, n);
    ev_apply(n->e, n->col, args, lanes);
}

static void compute(ev *x, ev_node *n, int lanes) {
    switch ((int)n->e->op) {
    case X_INDEX: index_column(x, n, lanes); break;
    case X_PARAM:
        if (n->data) load_safe(x, n, lanes);
        else n->col = x->param[n->e->i];
        break;
    case X_LOAD:
        if (n->safe) load_safe(x, n, lanes);
        else if (n->affine) load_guarded(x, n, lanes);
        else load_gather(x, n, lanes);
        break;
    case K_SELECT: select_column(x, n, lanes); break;
    default: prim_column(x, n, lanes); break;
    }
}

void *ev_column(ev *x, ev_node *n, int lanes) {
    bool uniform = !(n->vars & x->lanemask);
    if (!n->valid) {
        compute(x, n, uniform ? 1 : lanes);
        n->valid = true;
        n->filled = uniform ? 1 : lanes;
    }
    if (uniform && n->filled < lanes) {
        ev_rep rep = ev_rep_of(n->e->dtype);
        int fill = n->vars ? lanes : x->cap;
        char first[8];
        memcpy(first, n->col, (size_t)ev_rep_size(rep));
        if (n->filled == 1 && n->col == n->buf && !n->vars)
            n->buf = NULL; /* a constant was made before cap was known */
        set_buffer(x, n);
        ev_fill(n->col, rep, first, fill > lanes ? fill : lanes);
        n->filled = fill > lanes ? fill : lanes;
    }
    return n->col;
}
