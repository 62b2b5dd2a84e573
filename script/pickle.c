/* pickle.c: see pickle.h.
 *
 * Every container, object and marker that is made is also held by the machine (`made`), so that whatever a
 * hostile pickle ties together (cycles through the memo, nesting without end) comes apart again without
 * recursion: on an error the contents of all of them are dropped first.  A result is given out only after a
 * walk that proves it free of cycles and markers, of limited depth, and of limited size even when shared
 * parts are counted at each use. */
#include "script/pickle.h"

#include "ir/mapping.h"

#include <stdlib.h>

enum {
    MAX_STACK = 1 << 22,
    MAX_MEMO = 1 << 22,
    MAX_MADE = 1 << 22,
    MEMO_AHEAD = 1 << 16, /* how far beyond the highest a memo number may be: writers count up */
    MAX_STRING = 1 << 26, /* bytes */
    MAX_NAME = 4096,      /* of a global */
    MAX_DEPTH = 200,
    MAX_EXPANDED = 1 << 24 /* nodes of the result as a tree */
};
static const int64_t MAX_STRIDE = (int64_t)1 << 48; /* so that later arithmetic on views cannot overflow */

const char script_qtensor_name[] = "torch.qtensor";

/* ---- globals */

typedef enum global {
    G_CLASS,
    G_TENSOR,
    G_QTENSOR,
    G_STORAGE,
    G_QSCHEME_TENSOR,
    G_QSCHEME_CHANNEL,
    G_ORDERED_DICT,
    G_TYPED_LIST,
    G_TAG,
    G_DEVICE
} global;

typedef struct global_row {
    const char *name;
    global kind;
    rt_dtype dtype;
} global_row;

static const global_row globals[] = {
    {"torch._utils _rebuild_tensor_v2", G_TENSOR, DT_NONE},
    {"torch._utils _rebuild_qtensor", G_QTENSOR, DT_NONE},
    {"torch FloatStorage", G_STORAGE, DT_F32},
    {"torch DoubleStorage", G_STORAGE, DT_F64},
    {"torch HalfStorage", G_STORAGE, DT_F16},
    {"torch BFloat16Storage", G_STORAGE, DT_BF16},
    {"torch LongStorage", G_STORAGE, DT_I64},
    {"torch IntStorage", G_STORAGE, DT_I32},
    {"torch ShortStorage", G_STORAGE, DT_I16},
    {"torch CharStorage", G_STORAGE, DT_I8},
    {"torch ByteStorage", G_STORAGE, DT_U8},
    {"torch BoolStorage", G_STORAGE, DT_BOOL},
    {"torch QInt8Storage", G_STORAGE, DT_I8},
    {"torch QUInt8Storage", G_STORAGE, DT_U8},
    {"torch QInt32Storage", G_STORAGE, DT_I32},
    {"torch per_tensor_affine", G_QSCHEME_TENSOR, DT_NONE},
    {"torch per_channel_affine", G_QSCHEME_CHANNEL, DT_NONE},
    {"collections OrderedDict", G_ORDERED_DICT, DT_NONE},
    {"torch device", G_DEVICE, DT_NONE},
    {"torch.jit._pickle build_intlist", G_TYPED_LIST, DT_NONE},
    {"torch.jit._pickle build_doublelist", G_TYPED_LIST, DT_NONE},
    {"torch.jit._pickle build_boollist", G_TYPED_LIST, DT_NONE},
    {"torch.jit._pickle build_tensorlist", G_TYPED_LIST, DT_NONE},
    {"torch.jit._pickle restore_type_tag", G_TAG, DT_NONE},
};

/* Markers are objects of these pseudo classes, so that they fit into tuples; none may reach the result.
 * A global: [kind, dtype, class name or index].  A storage: [base tensor, dtype, numel]. */
static const char global_mark[] = "global", storage_mark[] = "storage";

/* ---- the machine */

typedef struct machine {
    script_pickle *p;
    ir_context *c;
    const char *at, *end;
    rt_value *stack, *memo;
    int64_t nstack, cap_stack, nmemo, cap_memo;
    int64_t *marks, nmarks, cap_marks;
    rt_value *made; /* containers, objects, markers; owned */
    int64_t nmade, cap_made;
    ir_class *qtensor;
    rt_map tensors; /* storage, dtype and geometry -> rt_tensor, kept alive by a marker */
    bool stopped;
} machine;

static bool bad(const machine *m, const char *why) {
    ir_error(m->c, 0, "%s: %s", m->p->what, why);
    return false;
}

static bool grow(const machine *m, void **p, int64_t *cap, int64_t need, int64_t limit, size_t size,
                 const char *what) {
    if (need <= *cap) return true;
    if (need > limit) return bad(m, ir_fmt(m->c, "the pickle's %s is larger than the limit", what));
    int64_t n = *cap * 2 > need ? *cap * 2 : need + 16;
    if (n > limit) n = limit;
    size_t bytes;
    void *q = rt_mul_size((size_t)n, size, &bytes) ? rt_realloc(*p, bytes) : NULL;
    if (!q) return bad(m, "out of memory");
    *p = q;
    *cap = n;
    return true;
}

/* v is taken. */
static bool push(machine *m, rt_value v) {
    if (v.tag == V_UNDEF) return bad(m, "out of memory");
    if (!grow(m, (void **)&m->stack, &m->cap_stack, m->nstack + 1, MAX_STACK, sizeof *m->stack, "stack")) {
        rt_release(v);
        return false;
    }
    m->stack[m->nstack++] = v;
    return true;
}

/* Puts a container, object or marker among the made ones; v is taken. */
static bool keep(machine *m, rt_value v) {
    if (v.tag == V_UNDEF) return bad(m, "out of memory");
    if (!grow(m, (void **)&m->made, &m->cap_made, m->nmade + 1, MAX_MADE, sizeof *m->made,
              "number of values")) {
        rt_release(v);
        return false;
    }
    m->made[m->nmade++] = v;
    return true;
}

static bool push_made(machine *m, rt_value v) { return keep(m, v) && push(m, rt_retain(v)); }

/* How many values lie above the innermost mark, which no opcode but its own may take. */
static int64_t above_mark(const machine *m) { return m->nstack - (m->nmarks ? m->marks[m->nmarks - 1] : 0); }

static bool need(const machine *m, int64_t n) {
    return above_mark(m) >= n || bad(m, "the pickle is damaged (too few values on its stack)");
}

static rt_value pop(machine *m) { return m->stack[--m->nstack]; }
static rt_value *top(machine *m) { return &m->stack[m->nstack - 1]; }
static void drop(machine *m) { rt_release(pop(m)); }

static bool take_mark(machine *m, int64_t *from) {
    if (!m->nmarks) return bad(m, "the pickle is damaged (no mark on its stack)");
    *from = m->marks[--m->nmarks];
    return true;
}

static bool is_mark(rt_value v, const char *mark) {
    return v.tag == V_OBJECT && v.object->cls == (const void *)mark;
}
static bool is_global(rt_value v, global kind) {
    return is_mark(v, global_mark) && v.object->at[0].i == (int64_t)kind;
}
static bool is_instance(rt_value v) {
    return v.tag == V_OBJECT && !is_mark(v, global_mark) && !is_mark(v, storage_mark);
}

/* ---- bytes */

static bool take_bytes(machine *m, size_t n, const char **p) {
    if ((size_t)(m->end - m->at) < n) return bad(m, "the pickle is cut short");
    *p = m->at;
    m->at += n;
    return true;
}

static bool take_uint(machine *m, int n, uint64_t *x) {
    const char *p;
    if (!take_bytes(m, (size_t)n, &p)) return false;
    *x = 0;
    for (int i = n - 1; i >= 0; i--) *x = *x << 8 | (unsigned char)p[i];
    return true;
}

static bool take_line(machine *m, const char **s, size_t *n) {
    const char *nl = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (!nl) return bad(m, "the pickle is cut short");
    *s = m->at;
    *n = (size_t)(nl - m->at);
    m->at = nl + 1;
    return *n <= MAX_NAME || bad(m, "a name in the pickle is too long");
}

/* ---- scalars */

static bool op_int(machine *m, int bytes, bool is_signed) {
    uint64_t x;
    if (!take_uint(m, bytes, &x)) return false;
    return push(m, rt_int(is_signed ? (int64_t)(int32_t)(uint32_t)x : (int64_t)x));
}

static bool op_long(machine *m) {
    uint64_t n, x;
    if (!take_uint(m, 1, &n)) return false;
    if (n > 8) return bad(m, "an integer in the pickle has more than 64 bits");
    if (!take_uint(m, (int)n, &x)) return false;
    if (n && n < 8 && (x >> (8 * n - 1) & 1)) x |= ~(uint64_t)0 << 8 * n;
    return push(m, rt_int((int64_t)x));
}

static bool op_float(machine *m) {
    const char *p;
    if (!take_bytes(m, 8, &p)) return false;
    uint64_t u = 0;
    for (int i = 0; i < 8; i++) u = u << 8 | (unsigned char)p[i];
    double d;
    memcpy(&d, &u, sizeof d);
    return push(m, rt_float(d));
}

static bool op_string(machine *m, int length_bytes) {
    uint64_t n;
    const char *p;
    if (!take_uint(m, length_bytes, &n)) return false;
    if (n > MAX_STRING) return bad(m, "a string in the pickle is longer than the limit");
    return take_bytes(m, n, &p) && push(m, rt_str(p, n));
}

/* ---- memo and marks */

static bool op_put(machine *m, int bytes) {
    uint64_t i;
    if (!take_uint(m, bytes, &i) || !need(m, 1)) return false;
    if (i >= (uint64_t)m->nmemo + MEMO_AHEAD)
        return bad(m, "the pickle is damaged (a memo number out of order)");
    if (!grow(m, (void **)&m->memo, &m->cap_memo, (int64_t)i + 1, MAX_MEMO, sizeof *m->memo, "memo"))
        return false;
    while (m->nmemo <= (int64_t)i) m->memo[m->nmemo++] = (rt_value){.tag = V_UNDEF};
    rt_value old = m->memo[i];
    m->memo[i] = rt_retain(*top(m));
    rt_release(old);
    return true;
}

static bool op_get(machine *m, int bytes) {
    uint64_t i;
    if (!take_uint(m, bytes, &i)) return false;
    if (i >= (uint64_t)m->nmemo || m->memo[i].tag == V_UNDEF)
        return bad(m, "the pickle is damaged (an unknown memo number)");
    return push(m, rt_retain(m->memo[i]));
}

static bool op_mark(machine *m) {
    if (!grow(m, (void **)&m->marks, &m->cap_marks, m->nmarks + 1, MAX_STACK, sizeof *m->marks, "stack"))
        return false;
    m->marks[m->nmarks++] = m->nstack;
    return true;
}

/* ---- containers */

static bool make_tuple(machine *m, int64_t n) {
    rt_value t = rt_list_new(V_TUPLE, n);
    if (t.tag == V_UNDEF) return bad(m, "out of memory");
    m->nstack -= n;
    if (n) memcpy(t.list->at, m->stack + m->nstack, (size_t)n * sizeof *t.list->at);
    return push_made(m, t);
}

static bool op_tuple(machine *m) {
    int64_t from;
    return take_mark(m, &from) && make_tuple(m, m->nstack - from);
}

/* Appends stack[from..] to the list below. */
static bool append(machine *m, int64_t from) {
    if (from < 1 || above_mark(m) < m->nstack - from + 1 || m->stack[from - 1].tag != V_LIST)
        return bad(m, "the pickle is damaged (appends to something that is no list)");
    rt_list *l = m->stack[from - 1].list;
    bool fine = true;
    for (int64_t i = from; i < m->nstack; i++)
        fine = rt_list_push(l, m->stack[i]) && fine; /* taken in either case */
    m->nstack = from;
    return fine || bad(m, "out of memory");
}

static bool set_item(machine *m, rt_dict *d, rt_value key, rt_value value) {
    if (key.tag != V_STR && key.tag != V_INT && key.tag != V_FLOAT && key.tag != V_BOOL)
        return bad(m, "a key of a dict in the pickle is not a string, int, float or bool");
    return rt_dict_set(d, key, rt_retain(value)) || bad(m, "out of memory");
}

static bool set_items(machine *m, int64_t from) {
    if (from < 1 || above_mark(m) < m->nstack - from + 1 || m->stack[from - 1].tag != V_DICT ||
        (m->nstack - from) % 2)
        return bad(m, "the pickle is damaged (sets items of something that is no dict)");
    rt_dict *d = m->stack[from - 1].dict;
    for (int64_t i = from; i < m->nstack; i += 2)
        if (!set_item(m, d, m->stack[i], m->stack[i + 1])) return false;
    while (m->nstack > from) drop(m);
    return true;
}

static bool op_items(machine *m, bool (*fn)(machine *, int64_t)) {
    int64_t from;
    return take_mark(m, &from) && fn(m, from);
}

/* ---- globals and objects */

static bool push_global(machine *m, global kind, rt_dtype dtype, rt_value name) {
    rt_value g = rt_object_new(global_mark, 3);
    if (g.tag == V_UNDEF) {
        rt_release(name);
        return bad(m, "out of memory");
    }
    g.object->at[0] = rt_int(kind);
    g.object->at[1] = rt_int(dtype);
    g.object->at[2] = name;
    return push_made(m, g);
}

static bool op_global(machine *m) {
    const char *module, *name;
    size_t nm, nn;
    if (!take_line(m, &module, &nm) || !take_line(m, &name, &nn)) return false;
    const char *full = ir_fmt(m->c, "%.*s %.*s", (int)nm, module, (int)nn, name);
    for (size_t i = 0; i < RT_COUNT(globals); i++)
        if (!strcmp(full, globals[i].name))
            return push_global(m, globals[i].kind, globals[i].dtype, rt_strz(full));
    bool ours = (nm == 9 || (nm > 10 && module[9] == '.')) && !memcmp(module, "__torch__", 9) && nn;
    if (!ours || memchr(full, 0, nm + nn + 1))
        return bad(m, ir_fmt(m->c, "the pickle refers to `%s`, which is not allowed",
                             ir_quote(m->c, full, strlen(full))));
    full = ir_fmt(m->c, "%.*s.%.*s", (int)nm, module, (int)nn, name);
    return push_global(m, G_CLASS, DT_NONE, rt_strz(full));
}

static ir_class *class_of(machine *m, rt_value global) {
    int before = m->c->nerrors;
    const char *name = global.object->at[2].str->s;
    ir_class *cls = m->p->cls(m->p->env, name);
    if (!cls && m->c->nerrors == before)
        bad(m, ir_fmt(m->c, "the archive has no class `%s`", ir_quote(m->c, name, strlen(name))));
    return cls;
}

static bool op_newobj(machine *m) {
    if (!need(m, 2)) return false;
    rt_value g = m->stack[m->nstack - 2];
    if (!is_global(g, G_CLASS) || top(m)->tag != V_TUPLE || top(m)->list->n)
        return bad(m, "the pickle is damaged (makes an object of something that is no class)");
    ir_class *cls = class_of(m, g);
    if (!cls) return false;
    if (cls->is_enum || cls->is_tuple)
        return bad(m, ir_fmt(m->c, "the pickle makes an object of `%s`, which is not a class with attributes",
                             cls->name));
    drop(m);
    drop(m);
    return push_made(m, rt_object_new(cls, cls->nfields));
}

static bool set_state(machine *m, rt_value object, rt_value state) {
    ir_class *cls = (ir_class *)(uintptr_t)object.object->cls;
    if (m->p->has_setstate && m->p->has_setstate(m->p->env, cls)) {
        script_setstate s = {rt_retain(object), rt_retain(state)};
        RT_PUSH(&m->c->arena, &m->p->setstates, s);
        return true;
    }
    if (state.tag != V_DICT)
        return bad(m, ir_fmt(m->c, "an object of `%s` has a state that is no dict of attributes", cls->name));
    for (int i = 0; i < cls->nfields; i++) {
        rt_value key = rt_strz(cls->fields[i]);
        rt_value *v = key.tag == V_STR ? rt_dict_find(state.dict, key) : NULL;
        rt_release(key);
        if (!v)
            return bad(
                m, ir_fmt(m->c, "attribute `%s` of an object of `%s` is missing", cls->fields[i], cls->name));
        rt_release(object.object->at[i]);
        object.object->at[i] = rt_retain(*v);
    }
    return true;
}

static bool op_build(machine *m) {
    if (!need(m, 2)) return false;
    if (!is_instance(m->stack[m->nstack - 2]) || m->stack[m->nstack - 2].object->cls == m->qtensor)
        return bad(m, "the pickle is damaged (sets attributes of something that is no object)");
    bool fine = set_state(m, m->stack[m->nstack - 2], *top(m));
    drop(m);
    return fine;
}

/* ---- storages and tensors */

/* ("storage", type, key, device, number of elements) */
static bool op_persistent_id(machine *m) {
    if (!need(m, 1)) return false;
    rt_value t = *top(m);
    if (t.tag != V_TUPLE || t.list->n != 5)
        return bad(m, "the pickle is damaged (a reference that is no storage)");
    const rt_value *a = t.list->at;
    if (a[0].tag != V_STR || strcmp(a[0].str->s, "storage") || !is_global(a[1], G_STORAGE) ||
        a[2].tag != V_STR || a[3].tag != V_STR || a[4].tag != V_INT || a[4].i < 0)
        return bad(m, "the pickle is damaged (a reference that is no storage)");
    rt_dtype dtype = (rt_dtype)a[1].object->at[1].i;
    rt_value base = V_NULL;
    if (!m->p->shapes_only) {
        rt_tensor *flat = m->p->storage(m->p->env, a[2].str->s, dtype, a[4].i);
        if (!flat) return false;
        base = rt_tensor_value(flat);
    }
    rt_value s = rt_object_new(storage_mark, 3);
    if (s.tag == V_UNDEF) return rt_release(base), bad(m, "out of memory");
    s.object->at[0] = base;
    s.object->at[1] = rt_int(dtype);
    s.object->at[2] = a[4];
    drop(m);
    return push_made(m, s);
}

typedef struct geometry {
    int n;
    int64_t shape[RT_MAX_RANK], strides[RT_MAX_RANK], offset;
} geometry;

/* Checks that the view lies within `numel` elements. */
static const char *read_geometry(rt_value offset, rt_value size, rt_value stride, int64_t numel,
                                 bool any_storage, geometry *g) {
    if (offset.tag != V_INT || size.tag != V_TUPLE || stride.tag != V_TUPLE || size.list->n != stride.list->n)
        return "a tensor is malformed";
    if (size.list->n > RT_MAX_RANK) return "a tensor has too many dimensions";
    int64_t last = offset.i, count = 1;
    bool empty = false, fits = offset.i >= 0;
    g->n = (int)size.list->n;
    g->offset = offset.i;
    for (int i = 0; i < g->n; i++) {
        rt_value s = size.list->at[i], d = stride.list->at[i];
        if (s.tag != V_INT || d.tag != V_INT || s.i < 0 || d.i < 0 || d.i > MAX_STRIDE)
            return "a tensor has an impossible size or stride";
        g->shape[i] = s.i;
        g->strides[i] = d.i;
        int64_t reach = 0;
        if (s.i == 0) empty = true;
        else
            fits = rt_mul_i64(count, s.i, &count) && rt_mul_i64(s.i - 1, d.i, &reach) &&
                   rt_add_i64(last, reach, &last) && fits;
    }
    if (!fits || count > MAX_STRIDE) return "a tensor has an impossible size or offset";
    if (any_storage) return NULL;
    return (empty ? offset.i <= numel : last < numel) ? NULL : "a tensor does not fit into its storage";
}

/* Over one zero, with all strides 0. */
static rt_tensor *shape_only(rt_dtype dtype, const geometry *g) {
    int64_t one = 1, zeros[RT_MAX_RANK] = {0};
    rt_tensor *base = rt_tensor_new(dtype, 1, &one);
    if (!base) return NULL;
    memset(rt_tensor_data(base), 0, (size_t)rt_dtypes[dtype].bytes);
    rt_tensor *t = rt_tensor_view(base, g->n, g->shape, zeros, 0);
    rt_tensor_release(base);
    return t;
}

/* Tied weights: the same part of the same storage is the same tensor. */
static rt_tensor *tied_tensor(machine *m, rt_tensor *base, rt_dtype dtype, const geometry *g) {
    struct {
        rt_storage *storage;
        int64_t dtype;
        geometry g;
    } key;
    memset(&key, 0, sizeof key);
    key.storage = base->storage;
    key.dtype = dtype;
    key.g = *g;
    rt_tensor *t = rt_map_getn(&m->tensors, (const char *)&key, sizeof key);
    if (t) {
        rt_tensor_retain(t);
        return t;
    }
    if (!(t = rt_tensor_view(base, g->n, g->shape, g->strides, g->offset))) return NULL;
    t->dtype = dtype; /* two dtypes may look at one storage */
    rt_value kept = rt_object_new(storage_mark, 1);
    if (kept.tag == V_UNDEF || !keep(m, kept)) return rt_tensor_release(t), NULL;
    kept.object->at[0] = rt_tensor_value(t);
    rt_tensor_retain(t);
    rt_map_putn(&m->c->arena, &m->tensors, (const char *)&key, sizeof key, t);
    return t;
}

static bool make_tensor(machine *m, const rt_value *a, rt_value *out) {
    geometry g = {0};
    if (!is_mark(a[0], storage_mark) || a[0].object->n != 3)
        return bad(m, "the pickle is damaged (a tensor without storage)");
    const rt_value *s = a[0].object->at;
    rt_dtype dtype = (rt_dtype)s[1].i;
    const char *why = read_geometry(a[1], a[2], a[3], s[2].i, m->p->shapes_only, &g);
    if (why) return bad(m, why);
    rt_tensor *t = m->p->shapes_only ? shape_only(dtype, &g) : tied_tensor(m, s[0].tensor, dtype, &g);
    if (!t) return bad(m, "out of memory");
    *out = rt_tensor_value(t);
    return true;
}

static ir_class *qtensor_class(machine *m) {
    static const char *const names[] = {"int_repr", "scale", "zero_point", "axis"};
    if (m->qtensor) return m->qtensor;
    ir_class *cls = RT_NEW(&m->c->arena, ir_class);
    cls->name = script_qtensor_name;
    cls->nfields = 4;
    cls->fields = RT_ARRAY(&m->c->arena, const char *, 4);
    cls->types = RT_ARRAY(&m->c->arena, const ir_type *, 4);
    for (int i = 0; i < 4; i++) {
        cls->fields[i] = names[i];
        cls->types[i] = ir_type_simple(m->c, T_ANY);
    }
    return m->qtensor = cls;
}

/* (storage, offset, size, stride, quantizer, requires_grad, hooks); the quantizer's first element is its
 * scheme. */
static bool make_qtensor(machine *m, const rt_value *a, rt_value *out) {
    if (a[4].tag != V_TUPLE || a[4].list->n < 3) return bad(m, "a quantised tensor is malformed");
    const rt_value *q = a[4].list->at;
    bool channels = is_global(q[0], G_QSCHEME_CHANNEL) && a[4].list->n == 4 && q[1].tag == V_TENSOR &&
                    q[2].tag == V_TENSOR && q[3].tag == V_INT;
    bool whole =
        is_global(q[0], G_QSCHEME_TENSOR) && a[4].list->n == 3 && q[1].tag == V_FLOAT && q[2].tag == V_INT;
    if (!channels && !whole) return bad(m, "a quantised tensor is malformed");
    rt_value data, o;
    if (!make_tensor(m, a, &data)) return false;
    if ((o = rt_object_new(qtensor_class(m), 4)).tag == V_UNDEF)
        return rt_release(data), bad(m, "out of memory");
    o.object->at[0] = data;
    o.object->at[1] = rt_retain(q[1]);
    o.object->at[2] = rt_retain(q[2]);
    o.object->at[3] = channels ? q[3] : V_NULL;
    *out = o;
    return true;
}

/* An enum member by its value: class(value). */
static bool make_enum(machine *m, rt_value global, rt_value arg, rt_value *out) {
    ir_class *cls = class_of(m, global);
    if (!cls) return false;
    if (arg.tag == V_TUPLE && arg.list->n == 1) arg = arg.list->at[0];
    for (int i = 0; cls->is_enum && i < cls->constants.n; i++) {
        const rt_value *member = cls->constants.entries[i].value;
        if (member->tag != arg.tag || !rt_value_equal(*member, arg)) continue;
        *out = rt_retain(*member);
        return true;
    }
    return bad(m, ir_fmt(m->c, "`%s` is no enum with such a member", cls->name));
}

/* ---- REDUCE */

static bool apply(machine *m, rt_value f, rt_value arg, rt_value *out) {
    int64_t n = arg.tag == V_TUPLE ? arg.list->n : -1;
    const rt_value *a = n > 0 ? arg.list->at : NULL;
    switch ((global)f.object->at[0].i) {
    case G_CLASS: return make_enum(m, f, arg, out);
    case G_TENSOR:
        if (n == 6 || n == 7) return make_tensor(m, a, out);
        break;
    case G_QTENSOR:
        if (n == 7) return make_qtensor(m, a, out);
        break;
    case G_ORDERED_DICT:
        if (n == 0) return *out = rt_dict_new(), true;
        break;
    case G_TYPED_LIST:
        if (n == 1 && a[0].tag == V_LIST) return *out = rt_retain(a[0]), true;
        break;
    case G_TAG:
        if (n == 2 && a[1].tag == V_STR && (a[0].tag == V_LIST || a[0].tag == V_DICT))
            return *out = rt_retain(a[0]), true;
        break;
    case G_DEVICE:
        if (n == 1 && a[0].tag == V_STR) return *out = rt_retain(a[0]), true;
        break;
    default: break;
    }
    const char *name = f.object->at[2].str->s;
    return bad(m, ir_fmt(m->c, "the pickle uses `%s` in an unknown way", ir_quote(m->c, name, strlen(name))));
}

static bool op_reduce(machine *m) {
    rt_value out;
    if (!need(m, 2)) return false;
    rt_value f = m->stack[m->nstack - 2];
    if (!is_mark(f, global_mark)) return bad(m, "the pickle is damaged (calls something that is no name)");
    if (!apply(m, f, *top(m), &out)) return false;
    drop(m);
    drop(m);
    bool fresh = out.tag == V_DICT || (out.tag == V_OBJECT && out.object->cls == m->qtensor);
    return fresh ? push_made(m, out) : push(m, out);
}

/* ---- opcodes */

static bool op_stop(machine *m) {
    if (m->nstack != 1 || m->nmarks) return bad(m, "the pickle is damaged (it does not end with one value)");
    m->stopped = true;
    return m->at == m->end || bad(m, "the pickle has bytes after its end");
}

static bool op_proto(machine *m) {
    uint64_t v;
    if (!take_uint(m, 1, &v)) return false;
    return v == 2 || bad(m, "the pickle has an unknown protocol version (only 2 is known)");
}

static bool step(machine *m) {
    const char *op;
    if (!take_bytes(m, 1, &op)) return false;
    switch ((unsigned char)*op) {
    case 0x80: return op_proto(m);
    case 'c': return op_global(m);
    case 'q': return op_put(m, 1);
    case 'r': return op_put(m, 4);
    case 'h': return op_get(m, 1);
    case 'j': return op_get(m, 4);
    case '(': return op_mark(m);
    case '.': return op_stop(m);
    case ')': return make_tuple(m, 0);
    case 't': return op_tuple(m);
    case 0x85: return need(m, 1) && make_tuple(m, 1);
    case 0x86: return need(m, 2) && make_tuple(m, 2);
    case 0x87: return need(m, 3) && make_tuple(m, 3);
    case ']': return push_made(m, rt_list_new(V_LIST, 0));
    case 'a': return need(m, 2) && append(m, m->nstack - 1);
    case 'e': return op_items(m, append);
    case '}': return push_made(m, rt_dict_new());
    case 's': return need(m, 3) && set_items(m, m->nstack - 2);
    case 'u': return op_items(m, set_items);
    case 0x81: return op_newobj(m);
    case 'R': return op_reduce(m);
    case 'b': return op_build(m);
    case 'Q': return op_persistent_id(m);
    case 'X': return op_string(m, 4);
    case 0x8d: return op_string(m, 8);
    case 'K': return op_int(m, 1, false);
    case 'M': return op_int(m, 2, false);
    case 'J': return op_int(m, 4, true);
    case 0x8a: return op_long(m);
    case 'G': return op_float(m);
    case 0x88: return push(m, rt_bool(true));
    case 0x89: return push(m, rt_bool(false));
    case 'N': return push(m, V_NULL);
    default:
        return bad(
            m, ir_fmt(m->c, "the pickle holds the opcode 0x%02x, which is not allowed", (unsigned char)*op));
    }
}

/* ---- the result: no cycles, no markers, limited depth and size */

typedef struct seen {
    const void *at;
    int64_t size; /* 0 not visited, -1 being visited, else nodes as a tree */
    int height;   /* levels below and including this one */
} seen;

static const void *identity(rt_value v) {
    switch (v.tag) {
    case V_LIST:
    case V_TUPLE: return v.list;
    case V_DICT: return v.dict;
    case V_OBJECT: return v.object;
    default: return NULL;
    }
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const seen *)a)->at, y = (uintptr_t)((const seen *)b)->at;
    return x < y ? -1 : x > y;
}

typedef struct walk {
    machine *m;
    seen *seen;
} walk;

static seen *find_seen(const walk *w, rt_value v) {
    seen key = {.at = identity(v)};
    return bsearch(&key, w->seen, (size_t)w->m->nmade, sizeof *w->seen, by_address);
}

static bool visit(walk *w, rt_value v, int depth, seen *parent);

static bool visit_inside(walk *w, rt_value v, int depth, seen *s) {
    int64_t n = v.tag == V_OBJECT ? v.object->n : v.tag == V_DICT ? v.dict->n : v.list->n;
    const rt_value *at = v.tag == V_OBJECT ? v.object->at : v.tag == V_DICT ? v.dict->values : v.list->at;
    seen sum = {.size = 1};
    s->size = -1;
    for (int64_t i = 0; i < n; i++)
        if (!visit(w, at[i], depth + 1, &sum)) return false;
    s->size = sum.size;
    s->height = sum.height + 1;
    return true;
}

/* Adds v to the size and height of what holds it. */
static bool visit(walk *w, rt_value v, int depth, seen *parent) {
    seen leaf = {.size = 1, .height = 1}, *s = &leaf;
    if (identity(v)) {
        if (v.tag == V_OBJECT && !is_instance(v))
            return bad(w->m, "the pickle is damaged (a name or storage where a value is expected)");
        s = find_seen(w, v);
        if (s->size < 0) return bad(w->m, "the pickle's value contains itself");
        if (depth + s->height > MAX_DEPTH) return bad(w->m, "the pickle's value is nested too deeply");
        if (s->size == 0 && !visit_inside(w, v, depth, s)) return false;
    }
    parent->size += s->size;
    if (s->height > parent->height) parent->height = s->height;
    return parent->size <= MAX_EXPANDED || bad(w->m, "the pickle's value is larger than the limit");
}

static void empty(rt_value v);

/* What the result does not reach may still be tied into cycles through the memo: it is taken apart. */
static bool check_result(machine *m) {
    walk w = {m, rt_calloc((size_t)m->nmade + 1, sizeof(seen))};
    if (!w.seen) return bad(m, "out of memory");
    for (int64_t i = 0; i < m->nmade; i++) w.seen[i].at = identity(m->made[i]);
    if (m->nmade) qsort(w.seen, (size_t)m->nmade, sizeof *w.seen, by_address);
    seen all = {0};
    bool fine = visit(&w, m->stack[0], 0, &all);
    for (int i = 0; fine && i < m->p->setstates.n; i++)
        fine = visit(&w, m->p->setstates.at[i].object, 0, &all) &&
               visit(&w, m->p->setstates.at[i].state, 0, &all);
    for (int64_t i = 0; fine && i < m->nmade; i++)
        if (!find_seen(&w, m->made[i])->size) empty(m->made[i]);
    rt_free(w.seen);
    return fine;
}

/* Takes a container's contents out, leaving it empty. */
static void empty(rt_value v) {
    if (v.tag == V_LIST || v.tag == V_TUPLE) {
        for (int64_t i = 0; i < v.list->n; i++) rt_release(v.list->at[i]);
        v.list->n = 0;
    } else if (v.tag == V_DICT) {
        for (int64_t i = 0; i < v.dict->n; i++) {
            rt_release(v.dict->keys[i]);
            rt_release(v.dict->values[i]);
        }
        v.dict->n = 0;
    } else {
        for (int i = 0; i < v.object->n; i++) {
            rt_release(v.object->at[i]);
            v.object->at[i] = V_NULL;
        }
    }
}

/* On failure nothing that was made survives: emptied first, so that no release recurses. */
static void finish(machine *m, bool fine) {
    for (int64_t i = 0; !fine && i < m->nmade; i++) empty(m->made[i]);
    for (int64_t i = 0; i < m->nstack; i++) rt_release(m->stack[i]);
    for (int64_t i = 0; i < m->nmemo; i++) rt_release(m->memo[i]);
    if (!fine) script_pickle_free(m->p);
    for (int64_t i = 0; i < m->nmade; i++) rt_release(m->made[i]);
    rt_free(m->stack);
    rt_free(m->memo);
    rt_free(m->marks);
    rt_free(m->made);
}

bool script_unpickle(script_pickle *p, const char *data, size_t n, rt_value *out) {
    machine m = {.p = p, .c = p->c, .at = data, .end = data + n};
    bool fine = (n && data[0] == '\x80') || bad(&m, "not a pickle of protocol 2");
    *out = V_NULL;
    while (fine && !m.stopped) fine = step(&m);
    fine = fine && check_result(&m);
    if (fine) *out = rt_retain(m.stack[0]);
    finish(&m, fine);
    return fine;
}

void script_pickle_free(script_pickle *p) {
    for (int i = 0; i < p->setstates.n; i++) {
        rt_release(p->setstates.at[i].object);
        rt_release(p->setstates.at[i].state);
    }
    p->setstates.n = 0;
}
