/* emit_stmt.c: statements, variables and structured control flow.
 *
 * Variables live in scopes that mirror the nesting of blocks; behind an `if` the two scopes are joined, and what differs
 * becomes a result of the node.  When one branch leaves (return, break, continue), the statements behind the `if` are
 * emitted inside the other branch, so that what the condition says of types holds there.  Where that cannot be, the
 * rest runs under an `if` on "$exit". */
#include "script/emit.h"

/* ---- variables */

var *emit_lookup(scope *s, const char *name) {
    for (; s; s = s->up) {
        var *v = rt_map_get(&s->vars, name);
        if (v) return v;
    }
    return NULL;
}

scope *emit_push(emitter *e, scope *s) {
    scope *before = e->scope;
    e->scope = s;
    return before;
}

static scope *new_scope(emitter *e) {
    scope *s = RT_NEW(&e->c->arena, scope);
    s->up = e->scope;
    return s;
}

static var *set_var(emitter *e, const char *name, sugar s, const ir_type *declared, ir_value *root) {
    var *v = RT_NEW(&e->c->arena, var);
    *v = (var){s, declared, root};
    rt_map_put(&e->c->arena, &e->scope->vars, name, v);
    return v;
}

void emit_set(emitter *e, const char *name, sugar s) {
    var *old = emit_lookup(e->scope, name);
    set_var(e, name, s, old ? old->declared : NULL, s.kind == SG_VALUE ? s.v : NULL);
}

static void set_flag(emitter *e, const char *name, bool b) { emit_set(e, name, (sugar){.kind = SG_FLAG, .n = b}); }

static void set_undef(emitter *e, const char *name, const char *why) {
    emit_set(e, name, (sugar){.kind = SG_UNDEF, .text = why});
}

static bool hidden(const char *name) { return *name == '$'; }

/* ---- which names a statement sets, and where names are read */

static void add_target(rt_arena *arena, script_ast *t, rt_map *names) {
    if (t->kind == AST_NAME) rt_map_put(arena, names, t->name, t);
    if (t->kind == AST_TUPLE || t->kind == AST_LIST || t->kind == AST_STAR)
        for (int i = 0; i < t->n; i++) add_target(arena, t->kid[i], names);
}

void emit_assigned(rt_arena *arena, script_ast *a, rt_map *names) {
    if (!a) return;
    switch (a->kind) {
    case AST_BLOCK:
        for (int i = 0; i < a->n; i++) emit_assigned(arena, a->kid[i], names);
        break;
    case AST_ASSIGN:
        for (int i = 0; i + 1 < a->n; i++) add_target(arena, a->kid[i], names);
        break;
    case AST_ANNOTATED:
    case AST_AUGMENTED: add_target(arena, a->kid[0], names); break;
    case AST_DELETE:
        for (int i = 0; i < a->n; i++) add_target(arena, a->kid[i], names);
        break;
    case AST_IF:
    case AST_WHILE:
        emit_assigned(arena, a->kid[1], names);
        if (a->kind == AST_IF) emit_assigned(arena, a->kid[2], names);
        break;
    case AST_FOR:
        add_target(arena, a->kid[0], names);
        emit_assigned(arena, a->kid[2], names);
        break;
    case AST_WITH:
        for (int i = 2; i < a->n; i += 2)
            if (a->kid[i]) add_target(arena, a->kid[i], names);
        emit_assigned(arena, a->kid[0], names);
        break;
    default: break;
    }
}

static void note_read(emitter *e, const char *name, int at) {
    int *last = rt_map_get(&e->last_read, name);
    if (!last) {
        last = RT_NEW(&e->c->arena, int);
        rt_map_put(&e->c->arena, &e->last_read, name, last);
    }
    if (at > *last) *last = at;
}

void emit_scan_reads(emitter *e, script_ast *a, int loop_last) {
    if (!a) return;
    if (a->kind == AST_NAME) note_read(e, a->name, loop_last >= 0 ? loop_last : a->ord);
    if ((a->kind == AST_FOR || a->kind == AST_WHILE) && loop_last < 0) loop_last = a->last + 1; /* past the joins that end the body */
    for (int i = 0; i < a->n; i++) {
        bool target = a->kind == AST_ASSIGN && i + 1 < a->n && a->kid[i]->kind == AST_NAME;
        if (!target) emit_scan_reads(e, a->kid[i], loop_last);
    }
}

static bool live(emitter *e, const char *name, int after) {
    int *last = rt_map_get(&e->last_read, name);
    return last && *last > after;
}

/* ---- facts that conditions tell about types */

static fact *new_fact(emitter *e, const char *name, const ir_type *yes, const ir_type *no, fact *next) {
    fact *f = RT_NEW(&e->c->arena, fact);
    *f = (fact){name, yes, no, next};
    return f;
}

static const ir_type *variable_type(emitter *e, const char *name) {
    var *v = emit_lookup(e->scope, name);
    return v && v->s.kind == SG_VALUE ? v->s.v->type : NULL;
}

/* The type without `what`, or NULL if nothing is learnt. */
static const ir_type *minus(emitter *e, const ir_type *t, const ir_type *what) {
    if (t->kind == T_OPTIONAL) {
        if (what->kind == T_NONE) return t->elem[0];
        return ir_subtype(t->elem[0], what) ? ir_type_simple(e->c, T_NONE) : NULL;
    }
    if (t->kind != T_UNION) return NULL;
    const ir_type **left = RT_ARRAY(&e->c->arena, const ir_type *, t->n);
    int n = 0;
    for (int i = 0; i < t->n; i++)
        if (!ir_subtype(t->elem[i], what)) left[n++] = t->elem[i];
    if (!n || n == t->n) return NULL;
    return n == 1 ? left[0] : ir_type_union(e->c, n, left);
}

static fact *fact_is(emitter *e, script_ast *a) {
    bool name_first = a->kid[0]->kind == AST_NAME && a->kid[1]->kind == AST_NONE;
    bool name_second = a->kid[1]->kind == AST_NAME && a->kid[0]->kind == AST_NONE;
    if (a->n != 2 || *a->ops[0] != 'i' || a->ops[0][1] != 's' || (!name_first && !name_second)) return NULL;
    const char *name = a->kid[name_first ? 0 : 1]->name;
    const ir_type *t = variable_type(e, name), *none = ir_type_simple(e->c, T_NONE);
    const ir_type *some = t ? minus(e, t, none) : NULL;
    if (!some) return NULL;
    bool is = !strcmp(a->ops[0], "is");
    return new_fact(e, name, is ? none : some, is ? some : none, NULL);
}

static fact *fact_isinstance(emitter *e, script_ast *a) {
    bool fits = a->n == 3 && a->kid[0]->kind == AST_NAME && !strcmp(a->kid[0]->name, "isinstance") &&
                a->kid[1]->kind == AST_NAME && a->kid[2]->kind != AST_TUPLE && a->kid[2]->kind != AST_LIST;
    const ir_type *t = fits ? variable_type(e, a->kid[1]->name) : NULL;
    if (!t || !emit_is_type(e->u, e->d->file, a->kid[2])) return NULL;
    const ir_type *what = emit_type(e->u, e->d->file, a->kid[2]);
    if (!what || !ir_subtype(what, t)) return NULL;
    return new_fact(e, a->kid[1]->name, what == t ? NULL : what, minus(e, t, what), NULL);
}

static fact *append_facts(fact *a, fact *b) {
    if (!a) return b;
    fact *end = a;
    while (end->next) end = end->next;
    end->next = b;
    return a;
}

fact *emit_facts(emitter *e, script_ast *cond) {
    fact *all;
    switch (cond->kind) {
    case AST_COMPARE: return fact_is(e, cond);
    case AST_CALL: return fact_isinstance(e, cond);
    case AST_NOT:
        all = emit_facts(e, cond->kid[0]);
        for (fact *f = all; f; f = f->next) {
            const ir_type *t = f->yes;
            f->yes = f->no;
            f->no = t;
        }
        return all;
    case AST_AND:
    case AST_OR:
        all = append_facts(emit_facts(e, cond->kid[0]), emit_facts(e, cond->kid[1]));
        for (fact *f = all; f; f = f->next) *(cond->kind == AST_AND ? &f->no : &f->yes) = NULL;
        return all;
    default: return NULL;
    }
}

static void refine_var(emitter *e, const char *name, const ir_type *t) {
    var *v = emit_lookup(e->scope, name);
    if (!v || v->s.kind != SG_VALUE || v->s.v->type == t || !ir_subtype(t, v->s.v->type)) return;
    ir_value *cast = emit_cast(e, e->d->ast, v->s.v, t);
    ir_value_name(cast, name);
    set_var(e, name, sg_value(cast), v->declared, v->root);
}

void emit_refine(emitter *e, fact *facts, bool truth) {
    for (fact *f = facts; f; f = f->next) {
        const ir_type *t = truth ? f->yes : f->no;
        if (t) refine_var(e, f->name, t);
    }
}

/* ---- joining branches */

typedef struct join {
    emitter *e;
    ir_node *n;
    scope *side[2];
    flow flow[2];
    flow both;
    int after;
} join;

static bool dead(const join *j, int i) {
    return j->flow[i] == FLOW_RAISES || (j->flow[i] == FLOW_RETURNS && j->flow[!i] != FLOW_RETURNS);
}

/* The value in block i, emitted at its end if it is not a value yet. */
static ir_value *value_in(join *j, int i, sugar s) {
    emitter *e = j->e;
    ir_block *b = e->b;
    e->b = j->n->blocks[i];
    ir_value *v = s.kind == SG_FLAG ? emit_const(e, e->d->ast, rt_bool(s.n)) : s.v;
    e->b = b;
    return v;
}

static ir_value *uninit_in(join *j, int i, const ir_type *t) {
    ir_block *b = j->e->b;
    j->e->b = j->n->blocks[i];
    ir_value *v = emit_uninit(j->e, j->e->d->ast, t);
    j->e->b = b;
    return v;
}

static ir_value *output(join *j, const char *name, ir_value *yes, ir_value *no, const ir_type *t) {
    ir_value *out = ir_add_output(j->n, t);
    ir_block_result(j->n->blocks[0], yes);
    ir_block_result(j->n->blocks[1], no);
    ir_value_name(out, hidden(name) ? name + 1 : name);
    return out;
}

static bool same(const sugar *a, const sugar *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case SG_VALUE: return a->v == b->v;
    case SG_FLAG: return a->n == b->n;
    case SG_PATH:
    case SG_BUILTIN: return !strcmp(a->text, b->text);
    case SG_DECL: return a->d == b->d;
    case SG_TYPE: return a->type == b->type;
    default: return false;
    }
}

static void join_flag(join *j, const char *name) {
    emitter *e = j->e;
    sugar s[2];
    for (int i = 0; i < 2; i++) {
        var *v = emit_lookup(j->side[i], name);
        s[i] = v ? v->s : (sugar){.kind = SG_FLAG};
    }
    for (int i = 0; i < 2; i++) /* a branch that raises says what the other says */
        if (j->flow[i] == FLOW_RAISES && s[!i].kind == SG_FLAG) s[i] = s[!i];
    if (same(&s[0], &s[1])) {
        emit_set(e, name, s[0]);
        return;
    }
    ir_value *yes = value_in(j, 0, s[0]), *no = value_in(j, 1, s[1]);
    emit_set(e, name, sg_value(output(j, name, yes, no, ir_type_simple(e->c, T_BOOL))));
}

static void join_result(join *j) {
    emitter *e = j->e;
    ir_value *v[2] = {0};
    const ir_type *t = e->result;
    for (int i = 0; i < 2; i++) {
        var *x = emit_lookup(j->side[i], "$value");
        if (x && x->s.kind == SG_VALUE) v[i] = x->s.v;
        if (x && x->s.kind == SG_UNDEF) {
            emit_set(e, "$value", x->s);
            return;
        }
    }
    if (!v[0] && !v[1]) return;
    if (v[0] == v[1]) {
        emit_set(e, "$value", sg_value(v[0]));
        return;
    }
    if (!t) t = !v[0] ? v[1]->type : !v[1] ? v[0]->type : ir_join(e->c, v[0]->type, v[1]->type);
    for (int i = 0; i < 2; i++)
        if (!v[i]) v[i] = uninit_in(j, i, t);
    emit_set(e, "$value", sg_value(output(j, "$value", v[0], v[1], t)));
}

static void join_hidden(join *j) {
    emitter *e = j->e;
    if (j->both == FLOW_MAYBE) join_flag(j, "$exit");
    else if (j->both == FLOW_EXITS || j->both == FLOW_RETURNS) set_flag(e, "$exit", true);
    if (j->both == FLOW_FALLS || j->both == FLOW_RAISES) return;
    if (e->loops) {
        join_flag(j, "$break");
        join_flag(j, "$return");
    }
    join_result(j);
}

/* Behind the node a variable that only refinements touched is what it was; if one branch left, it is refined. */
static bool join_refined(join *j, const char *name, var *v[2]) {
    var *outer = emit_lookup(j->e->scope, name);
    if (!outer || outer->s.kind != SG_VALUE || !outer->root) return false;
    for (int i = 0; i < 2; i++)
        if (!dead(j, i) && (!v[i] || v[i]->root != outer->root || v[i]->s.kind != SG_VALUE)) return false;
    if (dead(j, 0) != dead(j, 1)) refine_var(j->e, name, v[dead(j, 0) ? 1 : 0]->s.v->type);
    return true;
}

static const ir_type *joined_type(join *j, const var *yes, const var *no) {
    const ir_type *declared = yes->declared ? yes->declared : no->declared;
    const ir_type *t = ir_join(j->e->c, yes->s.v->type, no->s.v->type);
    bool fits = declared && ir_subtype(yes->s.v->type, declared) && ir_subtype(no->s.v->type, declared);
    return t ? t : fits ? declared : NULL;
}

static void join_live(join *j, const char *name, var *v[2]) {
    static const char *const branch[] = {"true", "false"};
    emitter *e = j->e;
    for (int i = 0; i < 2; i++)
        if (!v[i] || v[i]->s.kind == SG_UNDEF) {
            const char *why = v[i] ? v[i]->s.text : ir_fmt(e->c, "'%s' is not defined in the %s branch", name, branch[i]);
            set_undef(e, name, why);
            return;
        }
    if (v[0]->s.kind != SG_VALUE || v[1]->s.kind != SG_VALUE) {
        set_undef(e, name, ir_fmt(e->c, "'%s' is not the same function in both branches", name));
        return;
    }
    const ir_type *t = joined_type(j, v[0], v[1]);
    if (!t) {
        set_undef(e, name, ir_fmt(e->c, "'%s' is %s in the true branch and %s in the false branch", name,
                                  emit_type_text(e->c, v[0]->s.v->type), emit_type_text(e->c, v[1]->s.v->type)));
        return;
    }
    set_var(e, name, sg_value(NULL), v[0]->declared ? v[0]->declared : v[1]->declared, NULL);
    var *out = rt_map_get(&e->scope->vars, name);
    out->s.v = out->root = output(j, name, v[0]->s.v, v[1]->s.v, t);
}

static void join_var(join *j, const char *name) {
    emitter *e = j->e;
    var *v[2] = {emit_lookup(j->side[0], name), emit_lookup(j->side[1], name)};
    if (!live(e, name, j->after) || (dead(j, 0) && dead(j, 1)) || join_refined(j, name, v)) return;
    if (v[0] && v[1] && same(&v[0]->s, &v[1]->s)) {
        set_var(e, name, v[0]->s, v[0]->declared, v[0]->root);
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (!dead(j, i)) continue;
        var *kept = v[!i];
        if (!kept || kept->s.kind != SG_VALUE) {
            if (kept) set_var(e, name, kept->s, kept->declared, NULL);
            return;
        }
        ir_value *gone = uninit_in(j, i, kept->s.v->type);
        ir_value *out = i ? output(j, name, kept->s.v, gone, gone->type) : output(j, name, gone, kept->s.v, gone->type);
        set_var(e, name, sg_value(out), kept->declared, out);
        return;
    }
    join_live(j, name, v);
}

static flow join_flow(flow a, flow b) {
    if (a == b || b == FLOW_RAISES) return a;
    if (a == FLOW_RAISES) return b;
    bool left = a >= FLOW_EXITS && b >= FLOW_EXITS;
    return left ? FLOW_EXITS : FLOW_MAYBE;
}

flow emit_merge(emitter *e, ir_node *n, scope *yes, flow fy, scope *no, flow fn, int after) {
    join j = {e, n, {yes, no}, {fy, fn}, join_flow(fy, fn), after};
    rt_map done = {0};
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < j.side[i]->vars.n; k++) {
            const char *name = j.side[i]->vars.entries[k].key;
            if (hidden(name) || rt_map_get(&done, name)) continue;
            rt_map_put(&e->c->arena, &done, name, e);
            join_var(&j, name);
        }
    join_hidden(&j);
    return j.both;
}

/* ---- if */

static void enter(emitter *e, script_ast *at) {
    if (++e->depth > AST_MAX_NESTING) emit_fail(e, at, "control flow is nested too deeply");
}

/* How the statements of a block end, judged by their text: 0 may fall through, 1 raises, 2 leaves. */
static int block_exit(script_ast *block) {
    for (int i = 0; block && i < block->n; i++) {
        script_ast *s = block->kid[i];
        if (s->kind == AST_RETURN || s->kind == AST_BREAK || s->kind == AST_CONTINUE) return 2;
        if (s->kind == AST_RAISE) return 1;
        if (s->kind == AST_WITH) {
            int k = block_exit(s->kid[0]);
            if (k) return k;
        }
        if (s->kind != AST_IF) continue;
        int yes = block_exit(s->kid[1]), no = block_exit(s->kid[2]);
        if (yes && no) return yes == 2 || no == 2 ? 2 : 1;
    }
    return 0;
}

/* What follows a list of statements that is emitted inside of a branch: the statements of `block` from `from` on,
 * then `next`. */
typedef struct rest {
    script_ast *block;
    int from;
    const struct rest *next;
} rest;

static flow list_then(emitter *e, script_ast *block, int from, const rest *k);

static int end_of(script_ast *block, const rest *k) {
    for (; k; k = k->next) block = k->block;
    return block->last;
}

typedef struct branch {
    fact *facts;
    bool truth;
    script_ast *body; /* may be NULL */
    const rest *then; /* statements that follow the body; may be NULL */
} branch;

static flow emit_branch(emitter *e, ir_node *n, const branch *x, scope **end) {
    ir_block *before = e->b;
    e->b = ir_block_new(e->f, n);
    scope *s = new_scope(e), *outer = emit_push(e, s);
    emit_refine(e, x->facts, x->truth);
    flow f = FLOW_FALLS;
    if (x->body) f = list_then(e, x->body, 0, x->then);
    else if (x->then) f = list_then(e, x->then->block, x->then->from, x->then->next);
    e->b = before;
    e->scope = outer;
    *end = s;
    return f;
}

static ir_node *if_node(emitter *e, script_ast *at, ir_value *cond) {
    return emit_node(e, at, S_IF, 1, &cond, 0, NULL);
}

static flow emit_if(emitter *e, script_ast *a, script_ast *block, int next, const rest *k, bool *consumed) {
    const rest all = {block, next, k}, *then = next < block->n || k ? &all : NULL;
    fact *facts = emit_facts(e, a->kid[0]);
    ir_value *cond = emit_cond(e, a->kid[0]);
    bool truth;
    if (emit_static(cond, &truth)) {
        script_ast *body = a->kid[truth ? 1 : 2];
        emit_refine(e, facts, truth);
        *consumed = body != NULL;
        return body ? list_then(e, body, 0, then) : FLOW_FALLS;
    }
    int yes = block_exit(a->kid[1]), no = block_exit(a->kid[2]);
    bool in_no = then && yes == 2 && !no, in_yes = then && no == 2 && !yes;
    *consumed = in_no || in_yes;
    enter(e, a);
    ir_node *n = if_node(e, a, cond);
    scope *sy, *sn;
    flow fy = emit_branch(e, n, &(branch){facts, true, a->kid[1], in_yes ? then : NULL}, &sy);
    flow fn = emit_branch(e, n, &(branch){facts, false, a->kid[2], in_no ? then : NULL}, &sn);
    e->depth--;
    return emit_merge(e, n, sy, fy, sn, fn, *consumed ? end_of(block, k) : a->last);
}

/* The statements from `from` on and then k, unless one before has left. */
static flow guarded(emitter *e, script_ast *block, int from, const rest *k) {
    script_ast *at = from < block->n ? block->kid[from] : k->block;
    ir_value *cond = emit_value(e, emit_lookup(e->scope, "$exit")->s, at);
    enter(e, at);
    ir_node *n = if_node(e, at, cond);
    scope *sy, *sn;
    emit_branch(e, n, &(branch){0}, &sy);
    ir_block *before = e->b;
    e->b = ir_block_new(e->f, n);
    sn = new_scope(e);
    scope *outer = emit_push(e, sn);
    set_flag(e, "$exit", false);
    flow fn = list_then(e, block, from, k);
    e->b = before;
    e->scope = sy;
    set_flag(e, "$exit", true);
    e->scope = outer;
    e->depth--;
    return emit_merge(e, n, sy, e->loops ? FLOW_EXITS : FLOW_RETURNS, sn, fn, end_of(block, k));
}

/* ---- assignment */

static void assign_name(emitter *e, script_ast *target, sugar s) {
    var *old = emit_lookup(e->scope, target->name);
    const ir_type *declared = old ? old->declared : NULL;
    if (s.kind == SG_FLAG || s.kind == SG_MULTI) s = sg_value(emit_value(e, s, target));
    if (s.kind == SG_VALUE) {
        if (declared) s.v = emit_want(e, target, s.v, declared, ir_fmt(e->c, "'%s'", target->name));
        if (!s.v->name) ir_value_name(s.v, target->name);
    }
    set_var(e, target->name, s, declared, s.kind == SG_VALUE ? s.v : NULL);
}

static bool in_own_init(emitter *e, const ir_class *cls) {
    return e->d->owner && e->d->owner->cls == cls && !strcmp(e->d->ast->name, "__init__");
}

static const ir_type *settled(emitter *e, const ir_type *t) { /* an empty list is one of tensors */
    if (t->kind == T_LIST && t->elem[0]->kind == T_BOTTOM) return ir_type_list(e->c, ir_type_simple(e->c, T_TENSOR));
    return t;
}

static void assign_attribute(emitter *e, script_ast *target, ir_value *v, const ir_type *declared) {
    ir_value *object = emit_expr(e, target->kid[0], NULL);
    if (object->type->kind != T_CLASS || object->type->cls->is_enum)
        emit_fail(e, target, "attributes of %s cannot be set", emit_type_text(e->c, object->type));
    ir_class *cls = object->type->cls;
    emit_fields(e->u, cls);
    int i = emit_field(cls, target->name);
    if (i < 0 && in_own_init(e, cls)) {
        emit_field_add(e->u, cls, target->name, declared ? declared : settled(e, v->type));
        i = emit_field(cls, target->name);
    }
    if (i < 0 && rt_map_get(&cls->constants, target->name))
        emit_fail(e, target, "'%s' of '%s' is a constant", target->name, cls->name);
    if (i < 0) emit_fail(e, target, "'%s' has no attribute '%s'", cls->name, target->name);
    v = emit_want(e, target, v, cls->types[i], ir_fmt(e->c, "attribute '%s'", target->name));
    emit_node(e, target, S_SETATTR, 2, (ir_value *[]){object, v}, 0, NULL)->sym = cls->fields[i];
}

static void assign_many(emitter *e, script_ast *target, sugar s, script_ast *at) {
    ir_value **items;
    int star = -1, n = target->n;
    for (int i = 0; i < n; i++)
        if (target->kid[i]->kind == AST_STAR) star = i;
    int have = emit_unpack(e, at, s, star < 0 ? n : -1, &items);
    if (star >= 0 && have < n - 1) emit_fail(e, at, "%d values are unpacked into %d names", have, n - 1);
    for (int i = 0, k = 0; i < n; i++) {
        if (i != star) {
            emit_assign(e, target->kid[i], sg_value(items[k++]), at);
            continue;
        }
        int many = have - (n - 1);
        const ir_type *elem = ir_type_simple(e->c, T_BOTTOM);
        for (int m = 0; m < many && elem; m++) elem = ir_join(e->c, elem, items[k + m]->type);
        if (!elem) emit_fail(e, at, "the values for '*' have no common type");
        emit_assign(e, target->kid[i]->kid[0], sg_value(emit_list_of(e, at, many, items + k, elem)), at);
        k += many;
    }
}

void emit_assign(emitter *e, script_ast *target, sugar s, script_ast *at) {
    switch (target->kind) {
    case AST_NAME: assign_name(e, target, s); break;
    case AST_TUPLE:
    case AST_LIST: assign_many(e, target, s, at); break;
    case AST_ATTR: assign_attribute(e, target, emit_value(e, s, at), NULL); break;
    case AST_SUBSCRIPT: emit_store(e, target, emit_value(e, s, at)); break;
    default: emit_fail(e, target, "this cannot be assigned to");
    }
}

static const ir_type *target_hint(emitter *e, script_ast *target) {
    var *v = target->kind == AST_NAME ? emit_lookup(e->scope, target->name) : NULL;
    return v ? v->declared : NULL;
}

static void assign_statement(emitter *e, script_ast *a) {
    sugar s = emit_sugar(e, a->kid[a->n - 1], target_hint(e, a->kid[0]));
    if (a->n > 2) s = sg_value(emit_value(e, s, a->kid[a->n - 1]));
    for (int i = 0; i + 1 < a->n; i++) emit_assign(e, a->kid[i], s, a->kid[a->n - 1]);
}

static void annotated_statement(emitter *e, script_ast *a) {
    script_ast *target = a->kid[0];
    const ir_type *t = emit_type(e->u, e->d->file, a->kid[1]);
    if (!t) longjmp(*e->recover, 1);
    ir_value *v = a->kid[2] ? emit_expr(e, a->kid[2], t) : NULL;
    if (v) {
        v = emit_want(e, a->kid[2], v, t, "the value");
        bool refined = t->kind == T_OPTIONAL || t->kind == T_UNION || t->kind == T_ANY; /* keep what is known */
        if (!refined) v = emit_cast(e, a, v, t);
    }
    if (target->kind == AST_ATTR && v) {
        assign_attribute(e, target, v, t);
    } else if (target->kind == AST_NAME) {
        if (v && !v->name) ir_value_name(v, target->name);
        sugar s = v ? sg_value(v) : (sugar){.kind = SG_UNDEF, .text = ir_fmt(e->c, "'%s' has no value yet", target->name)};
        set_var(e, target->name, s, t, v);
    } else {
        emit_fail(e, target, "this cannot be declared");
    }
}

static void augmented_statement(emitter *e, script_ast *a) {
    script_ast *target = a->kid[0];
    if (target->kind == AST_SUBSCRIPT) {
        emit_store_augmented(e, target, a->name, a->kid[1], a);
        return;
    }
    if (target->kind != AST_NAME && target->kind != AST_ATTR) emit_fail(e, target, "this cannot be assigned to");
    ir_value *old = emit_expr(e, target, NULL), *v = emit_expr(e, a->kid[1], old->type);
    ir_value *now = emit_binary(e, ir_fmt(e->c, "%s=", a->name), old, v, a);
    if (now == old) return; /* done in place */
    if (target->kind == AST_NAME) assign_name(e, target, sg_value(now));
    else assign_attribute(e, target, now, NULL);
}

/* ---- return, raise, assert */

static flow return_statement(emitter *e, script_ast *a) {
    ir_value *v = a->kid[0] ? emit_expr(e, a->kid[0], e->result) : emit_none(e, a);
    if (e->result) {
        v = emit_want(e, a, v, e->result, "the returned value");
    } else {
        const ir_type *t = e->found ? ir_join(e->c, e->found, v->type) : v->type;
        if (!t)
            emit_fail(e, a, "%s is returned here and %s elsewhere", emit_type_text(e->c, v->type), emit_type_text(e->c, e->found));
        e->found = t;
    }
    if (e->loops && !e->result) e->again = true;
    else emit_set(e, "$value", sg_value(v));
    set_flag(e, "$exit", true);
    if (e->loops) {
        set_flag(e, "$return", true);
        set_flag(e, "$break", true);
    }
    return FLOW_RETURNS;
}

static ir_value *text_of(emitter *e, script_ast *a) {
    ir_value *v = emit_expr(e, a, NULL);
    return v->type->kind == T_STR ? v : EMIT_OP(e, a, "str", v);
}

static void raise_node(emitter *e, script_ast *at, ir_value *message, const char *cls) {
    ir_value *name = emit_str(e, at, cls, strlen(cls));
    emit_node(e, at, S_RAISE, 2, (ir_value *[]){message, name}, 0, NULL);
}

static const char *exception_name(emitter *e, script_ast *a) {
    if (a->kind != AST_NAME && a->kind != AST_ATTR) emit_fail(e, a, "only exceptions can be raised");
    decl *d = a->kind == AST_NAME ? emit_find_in(e->u, e->d->file, a->name) : NULL;
    if (d && d->kind == DECL_CLASS) emit_class(e->u, d);
    size_t n = strlen(a->name);
    bool known = (d && d->exception) || (n > 5 && !strcmp(a->name + n - 5, "Error")) || strstr(a->name, "Exception") ||
                 !strcmp(a->name, "StopIteration");
    if (!known) emit_fail(e, a, "'%s' is not an exception", a->name);
    return d ? d->qualified : a->name;
}

static flow raise_statement(emitter *e, script_ast *a) {
    script_ast *x = a->kid[0];
    if (!x) emit_fail(e, a, "'raise' needs an exception here");
    bool call = x->kind == AST_CALL;
    const char *cls = exception_name(e, call ? x->kid[0] : x);
    if (call && x->n > 2) emit_fail(e, x, "exceptions take one message");
    raise_node(e, a, call && x->n == 2 ? text_of(e, x->kid[1]) : emit_str(e, a, "", 0), cls);
    return FLOW_RAISES;
}

/* As TorchScript has it: a RuntimeError whose text begins "AssertionError". */
static ir_value *assertion_text(emitter *e, script_ast *a) {
    script_ast *m = a->kid[1];
    const char *head = "AssertionError: ";
    if (!m) return emit_str(e, a, head, strlen(head) - 2);
    if (m->kind == AST_STR) {
        const char *all = ir_fmt(e->c, "%s%s", head, m->s);
        return emit_str(e, m, all, strlen(all));
    }
    ir_value *v = text_of(e, m);
    return EMIT_OP(e, m, "add", emit_str(e, m, head, strlen(head)), v);
}

static flow assert_statement(emitter *e, script_ast *a) {
    fact *facts = emit_facts(e, a->kid[0]);
    ir_value *cond = emit_cond(e, a->kid[0]);
    bool truth;
    if (!emit_static(cond, &truth) || !truth) {
        ir_node *n = if_node(e, a, cond);
        ir_block_new(e->f, n);
        ir_block *before = e->b;
        e->b = ir_block_new(e->f, n);
        raise_node(e, a, assertion_text(e, a), "RuntimeError");
        e->b = before;
    }
    emit_refine(e, facts, true);
    return FLOW_FALLS;
}

/* ---- with, del, expressions */

/* torch.no_grad() and its like mean nothing here. */
static bool is_mode(emitter *e, script_ast *a) {
    static const char *const modes[] = {"no_grad", "enable_grad", "inference_mode", "set_grad_enabled", "autocast",
                                        "record_function", "optimized_execution", "fuser"};
    if (a->kind == AST_CALL) a = a->kid[0];
    if ((a->kind != AST_NAME && a->kind != AST_ATTR) || (a->kind == AST_NAME && emit_lookup(e->scope, a->name))) return false;
    for (size_t i = 0; i < RT_COUNT(modes); i++)
        if (!strcmp(a->name, modes[i])) return true;
    return false;
}

static ir_value *call_method(emitter *e, ir_value *object, const char *name, int nargs, script_ast *at) {
    decl *d = object->type->kind == T_CLASS ? emit_method(e->u, object->type->cls, name) : NULL;
    if (!d) emit_fail(e, at, "%s has no method '%s'", emit_type_text(e->c, object->type), name);
    script_ast none = {.kind = AST_NONE, .file = at->file, .line = at->line, .col = at->col};
    script_ast *args[3] = {&none, &none, &none};
    return emit_value(e, emit_call_decl(e, d, object, nargs, args, at), at);
}

static flow with_statement(emitter *e, script_ast *a) {
    RT_VEC(ir_value *) managers = {0};
    RT_VEC(script_ast *) places = {0};
    for (int i = 1; i + 1 < a->n; i += 2) {
        if (is_mode(e, a->kid[i])) continue;
        ir_value *m = emit_expr(e, a->kid[i], NULL), *v = call_method(e, m, "__enter__", 0, a->kid[i]);
        if (a->kid[i + 1]) emit_assign(e, a->kid[i + 1], sg_value(v), a->kid[i]);
        RT_PUSH(&e->c->arena, &managers, m);
        RT_PUSH(&e->c->arena, &places, a->kid[i]);
    }
    flow f = emit_list(e, a->kid[0], 0); /* exits are flags: the end of the block is reached on every path */
    for (int i = managers.n - 1; i >= 0 && f != FLOW_RAISES; i--)
        call_method(e, managers.at[i], "__exit__", 3, places.at[i]);
    return f;
}

static void delete_statement(emitter *e, script_ast *a) {
    for (int i = 0; i < a->n; i++) {
        script_ast *t = a->kid[i];
        if (t->kind == AST_NAME) {
            set_undef(e, t->name, ir_fmt(e->c, "'%s' has been deleted", t->name));
        } else if (t->kind == AST_SUBSCRIPT) {
            ir_value *object = emit_expr(e, t->kid[0], NULL), *key = emit_expr(e, t->kid[1], NULL);
            EMIT_OP(e, t, "Delete", object, key);
        } else {
            emit_fail(e, t, "this cannot be deleted");
        }
    }
}

static flow leave_loop(emitter *e, script_ast *a) {
    if (!e->loops) emit_fail(e, a, "'%s' outside of a loop", a->kind == AST_BREAK ? "break" : "continue");
    set_flag(e, "$exit", true);
    if (a->kind == AST_BREAK) set_flag(e, "$break", true);
    return FLOW_EXITS;
}

static flow simple_statement(emitter *e, script_ast *a) {
    switch (a->kind) {
    case AST_EXPR:
        if (a->kid[0]->kind != AST_STR && a->kid[0]->kind != AST_ELLIPSIS) {
            sugar s = emit_sugar(e, a->kid[0], NULL);
            if (s.kind == SG_UNDEF && s.text == NULL && e->b->last && e->b->last->op->id == S_RAISE) return FLOW_RAISES;
        }
        return FLOW_FALLS;
    case AST_ASSIGN: assign_statement(e, a); return FLOW_FALLS;
    case AST_ANNOTATED: annotated_statement(e, a); return FLOW_FALLS;
    case AST_AUGMENTED: augmented_statement(e, a); return FLOW_FALLS;
    case AST_RETURN: return return_statement(e, a);
    case AST_WHILE:
    case AST_FOR: return emit_loop(e, a);
    case AST_BREAK:
    case AST_CONTINUE: return leave_loop(e, a);
    case AST_ASSERT: return assert_statement(e, a);
    case AST_RAISE: return raise_statement(e, a);
    case AST_WITH: return with_statement(e, a);
    case AST_DELETE: delete_statement(e, a); return FLOW_FALLS;
    case AST_PASS: return FLOW_FALLS;
    case AST_DEF:
    case AST_CLASS: emit_fail(e, a, "definitions inside of functions are not supported");
    default: emit_fail(e, a, "this statement is not supported here");
    }
}

/* After an error: what the statement would have set is undefined, and says so to nobody. */
static flow poison(emitter *e, script_ast *a) {
    rt_map names = {0};
    emit_assigned(&e->c->arena, a, &names);
    for (int i = 0; i < names.n; i++) set_undef(e, names.entries[i].key, NULL);
    if (a->kind != AST_RETURN) return FLOW_FALLS;
    set_undef(e, "$value", NULL);
    set_flag(e, "$exit", true);
    return FLOW_RETURNS;
}

static flow statement(emitter *e, script_ast *block, int i, const rest *k, bool *consumed) {
    jmp_buf here, *outer = e->recover;
    ir_block *b = e->b;
    scope *s = e->scope;
    int loops = e->loops, depth = e->depth;
    volatile flow f;
    e->recover = &here;
    if (!setjmp(here)) {
        script_ast *a = block->kid[i];
        f = a->kind == AST_IF ? emit_if(e, a, block, i + 1, k, consumed) : simple_statement(e, a);
    } else {
        e->b = b;
        e->scope = s;
        e->loops = loops;
        e->depth = depth;
        f = poison(e, block->kid[i]);
    }
    e->recover = outer;
    return f;
}

static flow list_then(emitter *e, script_ast *block, int from, const rest *k) {
    for (int i = from; i < block->n; i++) {
        bool consumed = false;
        flow f = statement(e, block, i, k, &consumed);
        if (consumed) return f;
        if (f == FLOW_MAYBE && (i + 1 < block->n || k)) return guarded(e, block, i + 1, k);
        if (f != FLOW_FALLS) return f;
    }
    return k ? list_then(e, k->block, k->from, k->next) : FLOW_FALLS;
}

flow emit_list(emitter *e, script_ast *block, int from) { return list_then(e, block, from, NULL); }
