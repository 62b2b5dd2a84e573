/* match.c: which overload a call means.
 *
 * PyTorch's rules: the candidates in the order of declaration, first without implicit conversions, then with
 * them (Tensor -> number, int -> float, int -> int[], loose arguments -> int[]); here last of all a number
 * for a Tensor.  A call that names a written result (`out=`) is matched against the derived forms. */
#include "ir/ir.h"

/* COMMUTED is what PyTorch has functions for: add(2, x), where the table has add.Scalar for add(x, 2). */
typedef enum level { STRICT, COMMUTED, CONVERT, NUMBER_TO_TENSOR, NLEVELS } level;

/* One attempt: a candidate against the arguments. */
typedef struct attempt {
    ir_context *c;
    const ir_op *op;
    int nargs;
    const ir_call_arg *args;
    int *slots;
    level level;
    ir_binds binds;
    bool say; /* make `why` */
    const char *why;
} attempt;

/* ---- type variables */

static bool has_var(const ir_type *t) {
    if (t->kind == T_VAR) return true;
    for (int i = 0; i < t->n; i++)
        if (has_var(t->elem[i])) return true;
    return false;
}

static bool has_bottom(const ir_type *t) {
    if (t->kind == T_BOTTOM) return true;
    for (int i = 0; i < t->n; i++)
        if (has_bottom(t->elem[i])) return true;
    return false;
}

static const ir_type **binding(ir_binds *b, const char *name) {
    for (int i = 0; i < b->n; i++)
        if (b->at[i].name == name) return &b->at[i].type;
    return NULL;
}

static bool bind_var(ir_context *c, const char *name, const ir_type *actual, ir_binds *b) {
    const ir_type **known = binding(b, name);
    if (!known) {
        if (b->n == (int)RT_COUNT(b->at)) return false;
        b->at[b->n].name = name;
        b->at[b->n++].type = actual;
        return true;
    }
    if (ir_subtype(actual, *known)) return true;
    /* An empty container met before says nothing, and dtypes may differ: the variable takes the join. */
    if (ir_surface(c, *known) != ir_surface(c, actual) && !(has_bottom(*known) && ir_subtype(*known, actual)))
        return false;
    const ir_type *t = ir_join(c, *known, actual);
    if (t) *known = t;
    return t != NULL;
}

bool ir_type_bind(ir_context *c, const ir_type *pattern, const ir_type *actual, ir_binds *b) {
    if (!has_var(pattern)) return ir_subtype(actual, pattern);
    if (actual->kind == T_BOTTOM) return true;
    if (pattern->kind == T_VAR) return bind_var(c, pattern->name, actual, b);
    if (pattern->kind == T_OPTIONAL) {
        if (actual->kind == T_NONE) return true;
        return ir_type_bind(c, pattern->elem[0], actual->kind == T_OPTIONAL ? actual->elem[0] : actual, b);
    }
    if (pattern->kind != actual->kind || pattern->n != actual->n) return false;
    for (int i = 0; i < pattern->n; i++)
        if (!ir_type_bind(c, pattern->elem[i], actual->elem[i], b)) return false;
    return true;
}

const ir_type *ir_type_apply(ir_context *c, const ir_type *t, const ir_binds *b) {
    if (!has_var(t)) return t;
    if (t->kind == T_VAR) {
        const ir_type **known = binding((ir_binds *)b, t->name);
        return known ? *known : ir_type_simple(c, T_BOTTOM);
    }
    const ir_type **elem = RT_ARRAY(&c->arena, const ir_type *, t->n);
    for (int i = 0; i < t->n; i++) elem[i] = ir_type_apply(c, t->elem[i], b);
    switch (t->kind) {
    case T_LIST: return ir_type_list(c, elem[0]);
    case T_OPTIONAL: return ir_type_optional(c, elem[0]);
    case T_DICT: return ir_type_dict(c, elem[0], elem[1]);
    case T_UNION: return ir_type_union(c, t->n, elem);
    default: return ir_type_tuple(c, t->n, elem, t->fields, t->name);
    }
}

/* ---- one argument */

static bool is_scalar(const ir_type *t) {
    return t->kind == T_INT || t->kind == T_FLOAT || t->kind == T_BOOL || t->kind == T_NUMBER;
}

static const ir_type *unwrap(const ir_type *t) { return t->kind == T_OPTIONAL ? t->elem[0] : t; }

/* May one number stand for a list of them?  With a stated size always (int[2]), else as a conversion. */
static bool number_as_list(const attempt *a, const ir_param *p, const ir_type *want, const ir_type *have) {
    if (want->kind != T_LIST || (!p->list_size && a->level < CONVERT)) return false;
    const ir_type *elem = want->elem[0];
    if (elem->kind == T_INT) return have->kind == T_INT || (a->level >= CONVERT && have->kind == T_TENSOR);
    if (elem->kind == T_FLOAT) return have->kind == T_FLOAT || have->kind == T_INT;
    return elem->kind == T_NUMBER && a->level >= CONVERT && is_scalar(have);
}

/* A tuple whose elements all fit may stand for a list; so may a list of ints where elements convert. */
static bool sequence_as_list(const attempt *a, const ir_type *want, const ir_type *have) {
    if (want->kind != T_LIST || has_var(want)) return false;
    const ir_type *elem = want->elem[0];
    if (have->kind != T_TUPLE && have->kind != T_LIST) return false;
    for (int i = 0; i < have->n; i++) {
        const ir_type *e = have->elem[i];
        bool converts =
            a->level >= CONVERT && ((elem->kind == T_INT && e->kind == T_TENSOR) ||
                                    (elem->kind == T_FLOAT && (e->kind == T_INT || e->kind == T_TENSOR)));
        if (have->kind == T_LIST && e->kind == T_TENSOR) converts = false;
        if (!ir_subtype(e, elem) && !converts) return false;
    }
    return true;
}

static bool converts(const attempt *a, const ir_type *want, const ir_type *have) {
    if (want->kind == T_TENSOR) return a->level != CONVERT && is_scalar(have);
    if (a->level == COMMUTED) return false;
    switch (want->kind) {
    case T_INT: return have->kind == T_TENSOR || have->kind == T_NUMBER;
    case T_FLOAT: return have->kind == T_TENSOR || have->kind == T_INT || have->kind == T_NUMBER;
    case T_NUMBER: return have->kind == T_TENSOR || have->kind == T_BOOL;
    default: return false;
    }
}

static bool fits(attempt *a, const ir_param *p, const ir_type *have) {
    const ir_type *want = unwrap(p->type);
    if (have->kind == T_BOOL && want->kind == T_NUMBER && a->level < CONVERT) return false;
    if (ir_type_bind(a->c, p->type, have, &a->binds)) return true;
    if (number_as_list(a, p, want, have) || sequence_as_list(a, want, have)) return true;
    if (want->kind == T_VAR) want = ir_type_apply(a->c, want, &a->binds);
    if (p->writes) return false; /* the write would be lost */
    return a->level >= COMMUTED && converts(a, want, have);
}

static const char *type_text(ir_context *c, const ir_type *t) {
    rt_text text = {0};
    ir_type_print(&text, t);
    const char *s = ir_fmt(c, "%s", text.s ? text.s : "?");
    rt_text_free(&text);
    return s;
}

static bool no_fit(attempt *a, const ir_param *p, const ir_type *have) {
    if (a->say)
        a->why =
            ir_fmt(a->c, "%s wanted for '%s', got %s",
                   type_text(a->c, ir_type_apply(a->c, p->type, &a->binds)), p->name, type_text(a->c, have));
    return false;
}

/* ---- one candidate */

/* Loose positional arguments from k on as a list: view(x, 2, 3).  Only for the last positional parameter. */
static bool rest_as_list(const attempt *a, int i, int k) {
    const ir_schema *s = a->op->schema;
    const ir_type *want = unwrap(s->params[i].type);
    if (a->level < CONVERT || want->kind != T_LIST || has_var(want)) return false;
    if (i + 1 < s->nparams && !s->params[i + 1].kwonly) return false;
    int n = 0;
    for (int j = k; j < a->nargs && !a->args[j].kw; j++, n++) {
        const ir_type *have = a->args[j].type, *elem = want->elem[0];
        bool scalar = is_scalar(elem);
        if (!ir_subtype(have, elem) && !(scalar && converts(a, elem, have))) return false;
    }
    return n > 1 || (n == 1 && unwrap(a->args[k].type)->kind != T_LIST && a->args[k].type->kind != T_TUPLE);
}

static int by_keyword(const attempt *a, const char *name) {
    for (int j = 0; j < a->nargs; j++) {
        const char *kw = a->args[j].kw;
        if (kw && (!strcmp(kw, name) || (!strcmp(kw, "input") && !strcmp(name, "self")))) return j;
    }
    return -1;
}

static bool leftover(attempt *a, int used_positional, int npositional) {
    if (used_positional < npositional) {
        if (a->say)
            a->why = ir_fmt(a->c, "takes %d positional arguments, got %d", used_positional, npositional);
        return true;
    }
    for (int j = npositional; j < a->nargs; j++) {
        bool used = false;
        for (int i = 0; i < a->op->schema->nparams; i++) used |= a->slots[i] == j;
        if (used) continue;
        if (a->say) a->why = ir_fmt(a->c, "has no parameter '%s'", a->args[j].kw);
        return true;
    }
    return false;
}

static bool try_op(attempt *a) {
    const ir_schema *s = a->op->schema;
    int npositional = 0, k = 0;
    while (npositional < a->nargs && !a->args[npositional].kw) npositional++;
    for (int i = 0; i < s->nparams; i++) {
        const ir_param *p = &s->params[i];
        int kw = by_keyword(a, p->name);
        a->slots[i] = -1;
        if (!p->kwonly && k < npositional) {
            if (kw >= 0 && !strcmp(a->args[kw].kw, p->name)) {
                if (a->say) a->why = ir_fmt(a->c, "'%s' is given twice", p->name);
                return false;
            }
            if (rest_as_list(a, i, k)) {
                a->slots[i] = npositional - k == 1 ? k : IR_REST(k);
                k = npositional;
                continue;
            }
            a->slots[i] = k++;
        } else if (kw >= 0) {
            a->slots[i] = kw;
        } else if (!p->has_default) {
            if (a->say) a->why = ir_fmt(a->c, "argument '%s' is missing", p->name);
            return false;
        } else {
            continue;
        }
        const ir_type *have = a->args[a->slots[i]].type;
        if (!fits(a, p, have)) return no_fit(a, p, have);
    }
    return !leftover(a, k, npositional);
}

static bool commutes(const attempt *a, const ir_op *ops) {
    for (; ops; ops = ops->next)
        if (!strcmp(ops->schema->overload, "Scalar"))
            return a->nargs > 1 && is_scalar(a->args[0].type) && a->args[1].type->kind == T_TENSOR;
    return false;
}

static const ir_op *try_chain(attempt *a, const ir_op *ops) {
    for (level l = STRICT; l < NLEVELS; l++)
        for (const ir_op *op = ops; op; op = op->next) {
            if (l == COMMUTED && !commutes(a, ops)) break;
            a->op = op;
            a->level = l;
            a->binds.n = 0;
            if (try_op(a)) return op;
        }
    return NULL;
}

static const char *explain(attempt *a, const ir_op *ops) {
    enum { MAX_SHOWN = 12 };
    rt_text t = {0};
    rt_text_fmt(&t, "no overload of '%s' takes (", ops->name);
    for (int i = 0; i < a->nargs; i++) {
        if (i) rt_text_str(&t, ", ");
        if (a->args[i].kw) rt_text_fmt(&t, "%s=", a->args[i].kw);
        ir_type_print(&t, a->args[i].type);
    }
    rt_text_str(&t, ")");
    int n = 0;
    a->say = true;
    a->level = CONVERT;
    for (const ir_op *op = ops; op; op = op->next) {
        if (n++ >= MAX_SHOWN) continue;
        a->op = op;
        a->binds.n = 0;
        a->why = "does not fit";
        try_op(a);
        rt_text_str(&t, "\n    ");
        ir_schema_print(&t, op);
        rt_text_fmt(&t, ": %s", a->why);
    }
    if (n > MAX_SHOWN) rt_text_fmt(&t, "\n    and %d more", n - MAX_SHOWN);
    const char *why = ir_fmt(a->c, "%s", t.s ? t.s : "");
    rt_text_free(&t);
    return why;
}

/* Does the call give a keyword that no overload has, as `out=` and the names of written results are? */
static bool wants_out(const ir_op *ops, int nargs, const ir_call_arg *args) {
    for (int j = 0; j < nargs; j++) {
        if (!args[j].kw) continue;
        bool known = !strcmp(args[j].kw, "input");
        for (const ir_op *op = ops; op && !known; op = op->next)
            for (int i = 0; i < op->schema->nparams; i++)
                known |= !strcmp(op->schema->params[i].name, args[j].kw);
        if (!known) return true;
    }
    return false;
}

static int max_params(const ir_op *ops) {
    int n = 0;
    for (; ops; ops = ops->next)
        if (ops->schema->nparams > n) n = ops->schema->nparams;
    return n;
}

const ir_op *ir_match(ir_context *c, const ir_op *overloads, int nargs, const ir_call_arg *args, int *slots,
                      const char **why) {
    if (!overloads) {
        if (why) *why = "unknown operator";
        return NULL;
    }
    const ir_op *outs = wants_out(overloads, nargs, args) ? ir_op_outs(c, overloads->name) : NULL;
    int n = max_params(overloads), m = max_params(outs);
    attempt a = {.c = c, .nargs = nargs, .args = args};
    a.slots =
        RT_ARRAY(&c->arena, int, n > m ? n : m); /* the caller's array may be as long as the match only */
    const ir_op *op = try_chain(&a, overloads);
    if (!op && outs) op = try_chain(&a, outs);
    if (op) memcpy(slots, a.slots, (size_t)op->schema->nparams * sizeof *slots);
    else if (why) *why = explain(&a, overloads);
    return op;
}

const ir_type *ir_result_type(ir_context *c, const ir_op *op, int i, const int *slots,
                              const ir_call_arg *args) {
    const ir_schema *s = op->schema;
    ir_binds b = {0};
    for (int k = 0; k < s->nparams; k++)
        if (slots[k] >= 0 && has_var(s->params[k].type))
            ir_type_bind(c, s->params[k].type, args[slots[k]].type, &b);
    if (s->varresults) return ir_type_simple(c, T_ANY);
    if (i >= s->nresults) return ir_type_simple(c, T_NONE);
    return ir_type_apply(c, s->results[i].type, &b);
}
