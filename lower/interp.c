/* interp.c: the graph interpreter: runs surface and core graphs on boxed values, op by op through
 * lower_apply.
 *
 * Values of one call live in an array indexed by value id.  A block owns what it defines: its parameters and
 * the results of its nodes are released when it ends, after its own results were retained.  Views share
 * storage, so in-place ops have PyTorch's aliasing.  The module object is copied, storages included, at the
 * first call that needs it: writes change the copy, never the archive's mapped bytes or another interpreter's
 * state. */
#include "lower/eval.h"

enum { MAX_NESTING = 1500, SMALL = 16 };

struct lower_interp {
    ir_module *m;
    lower_applier *applier;
    rt_arena arena; /* keys of the maps */
    rt_map copies;  /* address of an archive's object, list, dict, tensor or storage -> the copy */
    rt_map params;  /* name -> copied tensor (surface graphs may write it) */
    rt_map state;   /* name -> rt_value *, current contents of core state cells */
    rt_value self;  /* V_UNDEF until first needed */
    int depth;      /* nested calls and blocks now being run */
    ir_span failed; /* of the innermost node of `m` that failed */
};

typedef struct frame {
    lower_interp *in;
    ir_func *f;
    rt_value *at; /* by value id */
    rt_env *env;
    struct bound {
        const char *symbol;
        int64_t value;
    } * bound; /* core graphs: sizes and ints that types name */
    int nbound, cap;
} frame;

lower_interp *lower_interp_new(ir_module *m) {
    lower_interp *in = rt_calloc(1, sizeof *in);
    if (!in) return NULL;
    in->m = m;
    in->self.tag = V_UNDEF;
    in->applier = lower_applier_new(m->c);
    if (in->applier) return in;
    rt_free(in);
    return NULL;
}

void lower_interp_free(lower_interp *in) {
    if (!in) return;
    for (int i = 0; i < in->state.n; i++) rt_release(*(rt_value *)in->state.entries[i].value);
    for (int i = 0; i < in->params.n; i++) rt_tensor_release(in->params.entries[i].value);
    rt_release(in->self);
    lower_applier_free(in->applier);
    rt_arena_free(&in->arena);
    rt_free(in);
}

ir_span lower_interp_failed(const lower_interp *in) { return in->failed; }

lower_applier *lower_interp_applier(lower_interp *in) { return in->applier; }

static bool no_memory(rt_env *env) { return rt_raise(env, "MemoryError", "out of memory"); }

/* ---- the module's state: a deep copy that keeps sharing */

static void *copied(lower_interp *in, const void *p) {
    return rt_map_getn(&in->copies, (const char *)&p, sizeof p);
}

static void note_copy(lower_interp *in, const void *p, void *copy) {
    rt_map_putn(&in->arena, &in->copies, (const char *)&p, sizeof p, copy);
}

static rt_value copy_value(lower_interp *in, rt_value v);

/* A storage is copied once; every view of it becomes a view of the copy. */
static rt_tensor *copy_tensor(lower_interp *in, rt_tensor *t) {
    rt_tensor *copy = copied(in, t), *base = copied(in, t->storage);
    if (copy) {
        rt_tensor_retain(copy);
        return copy;
    }
    bool fresh = !base;
    if (fresh) {
        int64_t bytes = (int64_t)t->storage->bytes;
        base = rt_tensor_new(DT_U8, 1, &bytes);
        if (!base) return NULL;
        if (bytes) memcpy(base->storage->data, t->storage->data, (size_t)bytes);
    }
    copy = rt_tensor_view(base, t->ndim, t->shape, t->strides, t->offset);
    if (copy) {
        copy->dtype = t->dtype;
        if (fresh) note_copy(in, t->storage, copy);
        note_copy(in, t, copy);
    }
    if (fresh) rt_tensor_release(base);
    return copy;
}

static rt_value copy_list(lower_interp *in, rt_value v) {
    rt_value r = rt_list_new(v.tag, v.list->n);
    if (r.tag == V_UNDEF) return r;
    note_copy(in, v.list, r.list);
    for (int64_t i = 0; i < v.list->n; i++) r.list->at[i] = copy_value(in, v.list->at[i]);
    return r;
}

static rt_value copy_dict(lower_interp *in, rt_value v) {
    rt_value r = rt_dict_new();
    if (r.tag == V_UNDEF) return r;
    note_copy(in, v.dict, r.dict);
    for (int64_t i = 0; i < v.dict->n; i++)
        rt_dict_set(r.dict, v.dict->keys[i], copy_value(in, v.dict->values[i]));
    return r;
}

static rt_value copy_object(lower_interp *in, rt_value v) {
    rt_value r = rt_object_new(v.object->cls, v.object->n);
    if (r.tag == V_UNDEF) return r;
    note_copy(in, v.object, r.object);
    for (int i = 0; i < v.object->n; i++) r.object->at[i] = copy_value(in, v.object->at[i]);
    return r;
}

static rt_value copy_value(lower_interp *in, rt_value v) {
    rt_value r = v;
    if (v.tag == V_TENSOR) {
        r.tensor = copy_tensor(in, v.tensor);
        return r.tensor ? r : (rt_value){.tag = V_UNDEF};
    }
    if (v.tag != V_LIST && v.tag != V_TUPLE && v.tag != V_DICT && v.tag != V_OBJECT) return rt_retain(v);
    void *old = copied(in, v.list); /* the union's pointers share their place */
    if (old) {
        r.list = old;
        return rt_retain(r);
    }
    if (v.tag == V_DICT) return copy_dict(in, v);
    return v.tag == V_OBJECT ? copy_object(in, v) : copy_list(in, v);
}

static bool make_self(lower_interp *in, rt_env *env) {
    if (in->self.tag == V_UNDEF) in->self = copy_value(in, in->m->self);
    return in->self.tag != V_UNDEF || no_memory(env);
}

/* ---- blocks */

static bool run_node(frame *x, ir_node *n);

static bool bound_value(void *env, const char *symbol, int64_t *out) {
    const frame *x = env;
    for (int i = x->nbound - 1; i >= 0; i--)
        if (!strcmp(x->bound[i].symbol, symbol)) {
            *out = x->bound[i].value;
            return true;
        }
    return false;
}

/* A dim that is one symbol takes the value seen last. */
static void bind(frame *x, const ir_dim *d, int64_t value) {
    if (!d || d->nterms != 1 || d->terms[0].coef != 1 || d->terms[0].natoms != 1) return;
    const ir_atom *a = d->terms[0].atoms[0];
    if (a->kind != ATOM_SYMBOL) return;
    for (int i = 0; i < x->nbound; i++)
        if (!strcmp(x->bound[i].symbol, a->symbol)) {
            x->bound[i].value = value;
            return;
        }
    if (x->nbound == x->cap) {
        int cap = x->cap ? 2 * x->cap : 16;
        struct bound *more = rt_realloc(x->bound, (size_t)cap * sizeof *more);
        if (!more) return;
        x->bound = more;
        x->cap = cap;
    }
    x->bound[x->nbound++] = (struct bound){a->symbol, value};
}

static void bind_type(frame *x, const ir_type *t, rt_value v) {
    if (t->kind == T_INT && v.tag == V_INT) bind(x, t->dim, v.i);
    if (t->kind == T_TENSOR && v.tag == V_TENSOR && t->rank == v.tensor->ndim)
        for (int i = 0; i < t->rank; i++) bind(x, t->dims[i], v.tensor->shape[i]);
}

static void put(frame *x, const ir_value *v, rt_value taken) {
    rt_release(x->at[v->id]);
    x->at[v->id] = taken;
    if (x->in->m->state != IR_SURFACE) bind_type(x, v->type, taken);
}

static rt_value get(const frame *x, const ir_value *v) { return x->at[v->id]; }

static void drop(frame *x, const ir_value *v) { put(x, v, (rt_value){.tag = V_UNDEF}); }

static void leave_block(frame *x, ir_block *b) {
    for (int i = 0; i < b->params.n; i++) drop(x, b->params.at[i]);
    for (ir_node *n = b->first; n; n = n->next)
        for (int i = 0; i < n->nout; i++) drop(x, n->out[i]);
}

/* Runs b, whose parameters are set; results[i] become owned by the caller. */
static bool run_block(frame *x, ir_block *b, rt_value *results) {
    bool ok = true;
    if (x->in->depth >= MAX_NESTING) {
        leave_block(x, b);
        return rt_raise(x->env, "RecursionError", "maximum recursion depth exceeded");
    }
    x->in->depth++;
    for (ir_node *n = b->first; n && ok; n = n->next) {
        ok = run_node(x, n);
        if (!ok && !x->in->failed && x->f->module == x->in->m) x->in->failed = n->span; /* not a composite op's body */
    }
    x->in->depth--;
    for (int i = 0; ok && i < b->results.n; i++) results[i] = rt_retain(get(x, b->results.at[i]));
    leave_block(x, b);
    return ok;
}

/* Room for n values: `small` if they fit, else on the heap.  NULL: raised. */
static rt_value *room(frame *x, rt_value *small, int n) {
    rt_value *at = n <= SMALL ? small : rt_calloc((size_t)n, sizeof *at);
    if (!at) no_memory(x->env);
    for (int i = 0; at && i < n; i++) at[i] = V_NULL;
    return at;
}

static void end_room(const rt_value *small, rt_value *at) {
    if (at != small) rt_free(at);
}

static bool run_if(frame *x, ir_node *n) {
    rt_value small[SMALL], *r = room(x, small, n->nout);
    if (!r) return false;
    bool ok = run_block(x, n->blocks[get(x, n->in[0]).i ? 0 : 1], r);
    for (int i = 0; ok && i < n->nout; i++) put(x, n->out[i], r[i]);
    end_room(small, r);
    return ok;
}

static bool run_loop(frame *x, ir_node *n) {
    ir_block *b = n->blocks[0];
    int carried = n->nin - 2;
    int64_t trips = get(x, n->in[0]).i;
    rt_value small[SMALL], *r = room(x, small, carried + 1); /* condition, carried... */
    bool ok = true;
    if (!r) return false;
    r[0] = get(x, n->in[1]);
    for (int k = 0; k < carried; k++) r[k + 1] = rt_retain(get(x, n->in[k + 2]));
    for (int64_t i = 0; i < trips && r[0].i && ok; i++) {
        put(x, b->params.at[0], rt_int(i));
        for (int k = 0; k < carried; k++) put(x, b->params.at[k + 1], r[k + 1]);
        ok = run_block(x, b, r);
    }
    for (int k = 0; k < carried && ok; k++) put(x, n->out[k], r[k + 1]);
    end_room(small, r);
    return ok;
}

/* ---- calls */

/* args: all parameters, borrowed. */
static bool call(lower_interp *in, ir_func *f, const rt_value *args, rt_value *out, rt_env *env) {
    frame x = {in, f, NULL, env};
    size_t bytes;
    if (!rt_mul_size((size_t)f->nvalues, sizeof *x.at, &bytes) || !(x.at = rt_malloc(bytes)))
        return no_memory(env);
    for (int i = 0; i < f->nvalues; i++) x.at[i] = (rt_value){.tag = V_UNDEF};
    for (int i = 0; i < f->body->params.n; i++) put(&x, f->body->params.at[i], rt_retain(args[i]));
    bool ok = run_block(&x, f->body, out);
    for (int i = 0; !ok && i < f->nvalues; i++) rt_release(x.at[i]);
    rt_free(x.at);
    rt_free(x.bound);
    return ok;
}

static bool call_outer(lower_interp *in, ir_func *f, int nargs, const rt_value *args, rt_value *out,
                       rt_env *env) {
    int n = f->body->params.n;
    if (n == nargs) return call(in, f, args, out, env);
    if (n != nargs + 1 || in->m->self.tag != V_OBJECT)
        return rt_raise(env, "TypeError", "%s() takes %d arguments, %d given", f->name, n, nargs);
    if (!make_self(in, env)) return false;
    rt_value *all = rt_malloc((size_t)n * sizeof *all);
    if (!all) return no_memory(env);
    all[0] = in->self;
    if (nargs) memcpy(all + 1, args, (size_t)nargs * sizeof *all);
    bool ok = call(in, f, all, out, env);
    rt_free(all);
    return ok;
}

bool lower_interp_call(lower_interp *in, ir_func *f, int nargs, const rt_value *args, rt_value *out,
                       rt_env *env) {
    jmp_buf fail;
    if (in->arena.fail) return call_outer(in, f, nargs, args, out, env); /* from the body of a composite */
    in->arena.fail = &fail;
    in->failed = 0;
    bool ok = setjmp(fail) ? no_memory(env) : call_outer(in, f, nargs, args, out, env);
    in->arena.fail = NULL;
    in->depth = 0;
    return ok;
}

static bool run_call(frame *x, ir_node *n) {
    ir_func *f = rt_map_get(&x->f->module->funcs, n->sym);
    rt_value small[SMALL], *args, out[1] = {V_NULL};
    if (!f) return rt_raise(x->env, "NameError", "function '%s' is not defined", n->sym);
    if (f->body->params.n != n->nin)
        return rt_raise(x->env, "TypeError", "%s() takes %d arguments, %d given", f->name, f->body->params.n,
                        n->nin);
    if (!(args = room(x, small, n->nin))) return false;
    for (int i = 0; i < n->nin; i++) args[i] = get(x, n->in[i]);
    bool ok = call(x->in, f, args, out, x->env);
    if (ok && n->nout) put(x, n->out[0], out[0]);
    else if (ok) rt_release(out[0]);
    end_room(small, args);
    return ok;
}

/* ---- ops */

static bool one_tuple(frame *x, const rt_value *r, int n, rt_value *out) {
    rt_value t = rt_list_new(V_TUPLE, n);
    if (t.tag == V_UNDEF) return no_memory(x->env);
    memcpy(t.list->at, r, (size_t)n * sizeof *r);
    *out = t;
    return true;
}

/* Ops with a variable number of arguments are host functions that get them all. */
static bool apply(frame *x, ir_node *n, const rt_value *args, rt_value *r) {
    if (!n->op->schema->varargs) return lower_apply(x->in, n->op, args, r, x->env);
    rt_host_fn *fn = rt_host_find(n->op->full);
    if (!fn) return rt_raise(x->env, "NotImplementedError", "op '%s' is not supported", n->op->full);
    return fn(x->env, args, n->nin, r);
}

static bool run_op(frame *x, ir_node *n) {
    rt_value small[SMALL], few[SMALL], *args = room(x, small, n->nin);
    int nres = n->op->schema->nresults > n->nout ? n->op->schema->nresults : n->nout;
    rt_value *r = args ? room(x, few, nres > 0 ? nres : 1) : NULL;
    for (int i = 0; r && i < n->nin; i++) args[i] = get(x, n->in[i]);
    bool ok = r && apply(x, n, args, r);
    if (ok && n->nout == 1 && nres > 1) ok = one_tuple(x, r, nres, &r[0]);
    for (int i = 0; ok && i < n->nout; i++) put(x, n->out[i], r[i]);
    if (ok && n->nout == 0) rt_release(r[0]);
    if (args) end_room(small, args);
    if (r) end_room(few, r);
    return ok;
}

/* ---- structural nodes */

static bool make_list(frame *x, ir_node *n, rt_tag tag) {
    rt_value v = rt_list_new(tag, n->nin);
    if (v.tag == V_UNDEF) return no_memory(x->env);
    for (int i = 0; i < n->nin; i++) v.list->at[i] = rt_retain(get(x, n->in[i]));
    put(x, n->out[0], v);
    return true;
}

static bool make_dict(frame *x, ir_node *n) {
    rt_value v = rt_dict_new();
    if (v.tag == V_UNDEF) return no_memory(x->env);
    put(x, n->out[0], v);
    for (int i = 0; i + 1 < n->nin; i += 2)
        if (!rt_dict_set(v.dict, get(x, n->in[i]), rt_retain(get(x, n->in[i + 1])))) return no_memory(x->env);
    return true;
}

static bool is_sequence(rt_value v) { return v.tag == V_LIST || v.tag == V_TUPLE; }

static bool unpack(frame *x, ir_node *n) {
    rt_value v = get(x, n->in[0]);
    if (!is_sequence(v)) return rt_raise(x->env, "TypeError", "value to unpack is not a tuple or list");
    if (v.list->n != n->nout)
        return rt_raise(x->env, "RuntimeError", "Expected %d elements in a list but found %lld", n->nout,
                        (long long)v.list->n);
    for (int i = 0; i < n->nout; i++) put(x, n->out[i], rt_retain(v.list->at[i]));
    return true;
}

static bool tuple_index(frame *x, ir_node *n) {
    rt_value v = get(x, n->in[0]);
    int64_t i = get(x, n->in[1]).i;
    if (!is_sequence(v)) return rt_raise(x->env, "TypeError", "indexed value is not a tuple");
    if (i < 0) i += v.list->n;
    if (i < 0 || i >= v.list->n) return rt_raise(x->env, "IndexError", "tuple index out of range");
    put(x, n->out[0], rt_retain(v.list->at[i]));
    return true;
}

static int find_name(int n, const char *const *names, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

/* The slot of a field of an object or NamedTuple; NULL: raised. */
static rt_value *field(frame *x, const ir_value *of, const char *name) {
    rt_value v = get(x, of);
    int i = -1;
    if (v.tag == V_OBJECT) {
        const ir_class *cls = v.object->cls;
        i = find_name(cls->nfields < v.object->n ? cls->nfields : v.object->n, cls->fields, name);
        if (i >= 0) return &v.object->at[i];
    } else if (v.tag == V_TUPLE && of->type->fields) {
        i = find_name(of->type->n, of->type->fields, name);
        if (i >= 0 && i < v.list->n) return &v.list->at[i];
    }
    rt_raise(x->env, "AttributeError", "object has no attribute '%s'", name);
    return NULL;
}

static bool get_attr(frame *x, ir_node *n) {
    rt_value *slot = field(x, n->in[0], n->sym);
    if (!slot) return false;
    if (slot->tag == V_UNDEF) return rt_raise(x->env, "AttributeError", "attribute '%s' is not set", n->sym);
    put(x, n->out[0], rt_retain(*slot));
    return true;
}

static bool set_attr(frame *x, ir_node *n) {
    rt_value *slot = field(x, n->in[0], n->sym);
    if (!slot) return false;
    rt_value old = *slot;
    *slot = rt_retain(get(x, n->in[1]));
    rt_release(old);
    return true;
}

static bool make_object(frame *x, ir_node *n) {
    ir_class *cls = rt_map_get(&x->f->module->classes, n->sym);
    if (!cls) return rt_raise(x->env, "NameError", "class '%s' is not defined", n->sym);
    rt_value v = rt_object_new(cls, cls->nfields);
    if (v.tag == V_UNDEF) return no_memory(x->env);
    put(x, n->out[0], v);
    return true;
}

/* Is v of type t, as far as values carry types: an empty container is of every element type. */
static bool value_is(rt_value v, const ir_type *t);

static bool all_are(const rt_value *at, int64_t n, const ir_type *t) {
    for (int64_t i = 0; i < n; i++)
        if (!value_is(at[i], t)) return false;
    return true;
}

static bool tuple_is(rt_value v, const ir_type *t) {
    if (v.tag != V_TUPLE || v.list->n != t->n) return false;
    for (int i = 0; i < t->n; i++)
        if (!value_is(v.list->at[i], t->elem[i])) return false;
    return true;
}

static bool one_of(rt_value v, const ir_type *t) {
    for (int i = 0; i < t->n; i++)
        if (value_is(v, t->elem[i])) return true;
    return false;
}

static bool value_is(rt_value v, const ir_type *t) {
    switch (t->kind) {
    case T_TENSOR: return v.tag == V_TENSOR;
    case T_INT: return v.tag == V_INT;
    case T_FLOAT: return v.tag == V_FLOAT;
    case T_BOOL: return v.tag == V_BOOL;
    case T_NUMBER: return v.tag == V_INT || v.tag == V_FLOAT;
    case T_STR:
    case T_DEVICE: return v.tag == V_STR;
    case T_NONE: return v.tag == V_NONE;
    case T_LIST: return v.tag == V_LIST && all_are(v.list->at, v.list->n, t->elem[0]);
    case T_TUPLE: return tuple_is(v, t);
    case T_OPTIONAL: return v.tag == V_NONE || value_is(v, t->elem[0]);
    case T_DICT:
        return v.tag == V_DICT && all_are(v.dict->keys, v.dict->n, t->elem[0]) &&
               all_are(v.dict->values, v.dict->n, t->elem[1]);
    case T_UNION: return one_of(v, t);
    case T_CLASS: return v.tag == V_OBJECT && v.object->cls == t->cls;
    default: return t->kind == T_ANY;
    }
}

static bool raise_node(frame *x, ir_node *n) {
    rt_value message = get(x, n->in[0]), cls = n->nin > 1 ? get(x, n->in[1]) : V_NULL;
    const char *name = cls.tag == V_STR && cls.str->n ? cls.str->s : "RuntimeError";
    const char *dot = strrchr(name, '.');
    if (!strcmp(name, IR_NOT_SUPPORTED)) name = "NotImplementedError";
    return rt_raise(x->env, dot ? dot + 1 : name, "%s", message.tag == V_STR ? message.str->s : "");
}

static bool guard(frame *x, ir_node *n) {
    rt_value text = get(x, n->in[1]);
    if (get(x, n->in[0]).i) return true;
    return rt_raise(x->env, "RuntimeError", "%s",
                    text.tag == V_STR ? text.str->s : "an assumption of the compiler failed");
}

/* ---- params and state */

static bool param(frame *x, ir_node *n) {
    lower_interp *in = x->in;
    ir_tensor_data *d = rt_map_get(&x->f->module->tensors, n->sym);
    rt_tensor *t = d ? d->tensor : NULL;
    if (!t) return rt_raise(x->env, "RuntimeError", "param '%s' has no data", n->sym);
    if (x->f->module->state == IR_SURFACE && x->f->module == in->m) { /* may be written */
        rt_tensor *own = rt_map_get(&in->params, n->sym);
        if (!own && !(own = copy_tensor(in, t))) return no_memory(x->env);
        if (!rt_map_get(&in->params, n->sym)) rt_map_put(&in->arena, &in->params, n->sym, own);
        t = own;
    }
    put(x, n->out[0], rt_retain(rt_tensor_value(t)));
    return true;
}

/* First contents of a state cell: the tensor or value of that name, or the module object's attribute at that
 * path. */
static rt_value first_state(lower_interp *in, ir_module *m, const char *name) {
    ir_tensor_data *d = rt_map_get(&m->tensors, name);
    if (d) return d->tensor ? rt_retain(rt_tensor_value(d->tensor)) : copy_value(in, d->init);
    rt_value v = in->m->self;
    while (v.tag == V_OBJECT) {
        const ir_class *cls = v.object->cls;
        const char *dot = strchr(name, '.');
        size_t n = dot ? (size_t)(dot - name) : strlen(name);
        int i = 0;
        while (i < cls->nfields && (strncmp(cls->fields[i], name, n) || cls->fields[i][n])) i++;
        if (i == cls->nfields) return V_NULL;
        v = v.object->at[i];
        if (!dot) return rt_retain(v);
        name = dot + 1;
    }
    return V_NULL;
}

static rt_value *state_cell(frame *x, const char *name) {
    rt_value *cell = rt_map_get(&x->in->state, name);
    if (cell) return cell;
    cell = RT_NEW(&x->in->arena, rt_value);
    *cell = first_state(x->in, x->f->module, name);
    rt_map_put(&x->in->arena, &x->in->state, name, cell);
    return cell;
}

static bool set_state(frame *x, ir_node *n) {
    rt_value *cell = state_cell(x, n->sym), old = *cell;
    *cell = rt_retain(get(x, n->in[0]));
    rt_release(old);
    return true;
}

static bool size_node(frame *x, ir_node *n) {
    rt_value t = get(x, n->in[0]);
    int64_t d = n->nin > 1 ? get(x, n->in[1]).i : n->value.i;
    if (t.tag != V_TENSOR || d < 0 || d >= t.tensor->ndim)
        return rt_raise(x->env, "IndexError", "dimension out of range");
    put(x, n->out[0], rt_int(t.tensor->shape[d]));
    return true;
}

static bool dim_node(frame *x, ir_node *n) {
    int64_t d;
    if (!ir_dim_eval(n->out[0]->type->dim, bound_value, x, &d))
        return rt_raise(x->env, "RuntimeError", "a size is not known");
    put(x, n->out[0], rt_int(d));
    return true;
}

/* The caller's tensor gets what the program wrote into it. */
static bool write_back(frame *x, ir_node *n) {
    rt_value to = get(x, n->in[0]), from = get(x, n->in[1]);
    return (to.tag == V_TENSOR && from.tag == V_TENSOR && rt_tensor_assign(to.tensor, from.tensor)) ||
           no_memory(x->env);
}

static bool give_self(frame *x, ir_node *n) {
    if (!make_self(x->in, x->env)) return false;
    put(x, n->out[0], rt_retain(x->in->self));
    return true;
}

static bool run_kernel(frame *x, ir_node *n) {
    rt_value small[SMALL], *r = room(x, small, n->nout);
    if (!r) return false;
    ir_block *b = n->blocks[0];
    for (int i = 0; i < b->params.n && i < n->nin; i++) put(x, b->params.at[i], rt_retain(get(x, n->in[i])));
    bool ok = run_block(x, b, r);
    for (int i = 0; ok && i < n->nout; i++) put(x, n->out[i], r[i]);
    end_room(small, r);
    return ok;
}

static bool run_node(frame *x, ir_node *n) {
    if (n->op->cls != OP_STRUCT) return run_op(x, n);
    switch ((ir_struct_id)n->op->id) {
    case S_CONST: put(x, n->out[0], rt_retain(n->value)); return true;
    case S_PARAM: return param(x, n);
    case S_STATE:
        if (x->f->module->state == IR_SURFACE) return param(x, n); /* a tensor that the surface graph writes in place */
        put(x, n->out[0], rt_retain(*state_cell(x, n->sym)));
        return true;
    case S_SETSTATE: return set_state(x, n);
    case S_SELF: return give_self(x, n);
    case S_IF: return run_if(x, n);
    case S_LOOP: return run_loop(x, n);
    case S_LIST: return make_list(x, n, V_LIST);
    case S_TUPLE: return make_list(x, n, V_TUPLE);
    case S_DICT: return make_dict(x, n);
    case S_UNPACK: return unpack(x, n);
    case S_INDEX: return tuple_index(x, n);
    case S_GETATTR: return get_attr(x, n);
    case S_SETATTR: return set_attr(x, n);
    case S_NEW: return make_object(x, n);
    case S_CALL: return run_call(x, n);
    case S_CAST: put(x, n->out[0], rt_retain(get(x, n->in[0]))); return true;
    case S_ISINSTANCE: put(x, n->out[0], rt_bool(value_is(get(x, n->in[0]), n->type))); return true;
    case S_UNINIT: put(x, n->out[0], (rt_value){.tag = V_UNDEF}); return true;
    case S_RAISE: return raise_node(x, n);
    case S_GUARD: return guard(x, n);
    case S_SIZE: return size_node(x, n);
    case S_DIM: return dim_node(x, n);
    case S_WRITEBACK: return write_back(x, n);
    case S_KERNEL: return run_kernel(x, n);
    default: return rt_raise(x->env, "NotImplementedError", "node '%s' cannot be interpreted", n->op->name);
    }
}
