/* dce.c: removes nodes whose results nobody needs, and results that nobody needs of nodes with two.
 *
 * A result is needed if it is used, and also if its type binds a symbol (a size or an int that the data decides) that
 * another type mentions.  Writes, failures that the program can see and guards stay.  One sweep backwards per
 * round, until nothing changes. */
#include "lower/group.h"

typedef struct symbols { rt_map users; rt_arena *a; const ir_node *now; } symbols; /* symbol -> node, or `many` */
static char many;

static void mention(void *env, const char *name) {
    symbols *s = env;
    void *was = rt_map_get(&s->users, name);
    if (was != s->now) rt_map_put(s->a, &s->users, name, was ? &many : (void *)s->now);
}

static void mention_type(symbols *s, const ir_type *t) {
    if (t->kind == T_INT && t->dim) ir_dim_symbols(t->dim, mention, s);
    for (int i = 0; t->kind == T_TENSOR && i < t->rank; i++)
        if (t->dims && t->dims[i]) ir_dim_symbols(t->dims[i], mention, s);
    for (int i = 0; i < t->n; i++) mention_type(s, t->elem[i]);
}

static void collect(symbols *s, ir_block *b) {
    for (int i = 0; i < b->params.n; i++) {
        s->now = (const ir_node *)b->params.at[i]; /* only identity matters */
        mention_type(s, b->params.at[i]->type);
    }
    for (ir_node *n = b->first; n; n = n->next) {
        s->now = n;
        for (int i = 0; i < n->nout; i++) mention_type(s, n->out[i]->type);
        for (int i = 0; i < n->nblocks; i++) collect(s, n->blocks[i]);
    }
}

struct shared { symbols *s; bool yes; };
static void check_shared(void *env, const char *name) {
    struct shared *x = env;
    if (rt_map_get(&x->s->users, name) == &many) x->yes = true;
}

static bool binds(symbols *s, const ir_node *n) {
    bool binder = n->op->cls == OP_HOST || n->op->cls == OP_OPAQUE ||
                  (n->op->cls == OP_STRUCT && n->op->id != S_DIM && n->op->id != S_CONST && n->op->id != S_PARAM);
    struct shared x = {s, false};
    for (int i = 0; i < n->nout && binder; i++) {
        const ir_type *t = n->out[i]->type;
        if (t->kind == T_INT && t->dim) ir_dim_symbols(t->dim, check_shared, &x);
        for (int k = 0; t->kind == T_TENSOR && k < t->rank; k++)
            if (t->dims[k]) ir_dim_symbols(t->dims[k], check_shared, &x);
    }
    return x.yes;
}

/* A known text with no fields but {}, for each of which there is an argument: as messages of assertions that hold. */
static bool plain_format(const ir_node *n) {
    const rt_value *k = !strcmp(n->op->full, "format") && n->nin ? ir_const_of(n->in[0]) : NULL;
    if (!k || k->tag != V_STR) return false;
    int fields = 0;
    for (size_t i = 0; i < k->str->n; i++) {
        if (k->str->s[i] == '}') return false;
        if (k->str->s[i] != '{') continue;
        if (k->str->s[++i] != '}') return false; /* the text ends with a NUL */
        fields++;
    }
    return fields < n->nin;
}

static bool effectful_block(const ir_block *b);

static bool effectful(const ir_node *n) {
    if (n->op->cls == OP_STRUCT) {
        switch ((ir_struct_id)n->op->id) {
        case S_SETSTATE:
        case S_SETATTR:
        case S_CALL:
        case S_RAISE:
        case S_GUARD:
        case S_WRITEBACK: return true;
        case S_UNPACK: return n->in[0]->type->kind != T_TUPLE; /* a list of another length raises */
        default:
            for (int i = 0; i < n->nblocks; i++)
                if (effectful_block(n->blocks[i])) return true;
            return n->op->id == S_LOOP; /* may not end */
        }
    }
    return n->op->effects & (EFF_WRITES | EFF_SIDE | EFF_RAISES) && !plain_format(n);
}

static bool effectful_block(const ir_block *b) {
    for (const ir_node *n = b->first; n; n = n->next)
        if (effectful(n)) return true;
    return false;
}

/* Ops with two results, and those that make only the first or only the second one of the same arguments (or NULL). */
static const char *const halves[][3] = {
    {"max.dim", "_max.dim", "argmax"},
    {"min.dim", "_min.dim", "argmin"},
    {"max_pool1d_with_indices", "max_pool1d", NULL},
    {"max_pool2d_with_indices", "max_pool2d", NULL},
    {"max_pool3d_with_indices", "max_pool3d", NULL},
};

/* Only one of two results is used: an op that makes no other takes the place of n. */
static bool halve(ir_module *m, ir_node *n) {
    if (n->nout != 2 || !n->out[0]->uses == !n->out[1]->uses) return false;
    int used = n->out[0]->uses ? 0 : 1;
    const char *name = NULL;
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++)
        if (ir_is(n, halves[i][0])) name = halves[i][1 + used];
    if (!name) return false;
    ir_node *one = ir_node_new(n->func, ir_op_find(m->c, name), n->span, n->nin, n->in, 1, &n->out[used]->type);
    ir_insert_before(n, one);
    ir_replace_uses(n->out[used], one->out[0]);
    ir_erase(n);
    return true;
}

static int dce_block(ir_module *m, symbols *s, ir_block *b) {
    int changes = 0;
    for (ir_node *n = b->last, *prev; n; n = prev) {
        prev = n->prev;
        for (int i = 0; i < n->nblocks; i++) changes += dce_block(m, s, n->blocks[i]);
        bool used = effectful(n) || binds(s, n);
        for (int i = 0; i < n->nout && !used; i++) used = n->out[i]->uses != NULL;
        if (used) {
            changes += halve(m, n);
            continue;
        }
        ir_erase(n);
        changes++;
    }
    return changes;
}

int lower_dce(ir_module *m) {
    int total = 0;
    for (int i = 0; i < m->funcs.n; i++) {
        ir_func *f = m->funcs.entries[i].value;
        for (int n = 1; n; total += n) {
            symbols s = {.a = &m->c->arena};
            collect(&s, f->body);
            n = dce_block(m, &s, f->body);
        }
    }
    return total;
}
