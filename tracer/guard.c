/* guard.c: values that C reads.  What C does with one is not in the graph, so while a trace is on the graph checks that it
 * is what it was: an `if` on the comparison whose other arm raises GuardError with the file and line of the read.
 *
 * A read of a value from outside, which the graph does not change, needs no check, unless it turns out at the end that the
 * program had changed it after all, or the graph is that of a function handle, whose captures may change at any time. */
#include "tracer/tracer.h"

#include <math.h>

/* ======================================================= the check in the graph */

static ir_value *constant(jitc_context *c, rt_value v) {
    return ir_const(c->rec->b, trace_span(c), v, trace_type_of(c, v));
}

/* if ok {} else { raise } */
static void emit_check(jitc_context *c, ir_value *ok, const char *text) {
    trace_recorder *r = c->rec;
    ir_node *n = ir_node_new(r->f, ir_struct(c->ir, S_IF), trace_span(c), 1, &ok, 0, NULL);
    ir_append(r->b, n);
    ir_block_new(r->f, n);
    ir_block *outer = r->b;
    r->b = ir_block_new(r->f, n);
    ir_value *in[2] = {constant(c, rt_strz(text)), constant(c, rt_strz("GuardError"))};
    ir_append(r->b, ir_node_new(r->f, ir_struct(c->ir, S_RAISE), trace_span(c), 2, in, 0, NULL));
    r->b = outer;
}

/* seen == now, as a bool of the graph. */
static bool compare(jitc_context *c, trace_arg now, trace_arg *ok) {
    trace_arg in[2] = {now, {0}};
    if (now.v.tag == V_BOOL) return now.v.i ? (*ok = now, true) : trace_apply1(c, "__not__", 1, in, ok);
    if (now.v.tag == V_FLOAT && isnan(now.v.f)) {
        in[1] = now;
        return trace_apply1(c, "ne", 2, in, ok);
    }
    in[1] = trace_const(c, now.v);
    return trace_apply1(c, "eq", 2, in, ok);
}

/* All elements of a tensor: a param holds what they were. */
static bool compare_tensor(jitc_context *c, trace_arg now, trace_arg *ok) {
    rt_tensor *copy = rt_tensor_copy_to(now.v.tensor, now.v.tensor->dtype);
    trace_arg in[2] = {now, {.type = now.type}}, shape[2], sizes;
    if (!copy) return trace_memory(c);
    in[1].v = trace_temp(c, rt_tensor_value(copy));
    for (int64_t i = 0, n = rt_tensor_numel(copy); rt_dtypes[copy->dtype].kind == 'F' && i < n; i++)
        if (isnan(rt_load_f64(copy->storage->data, copy->dtype, copy->offset + i)))
            return trace_fail(c, JITC_E_UNSUPPORTED, c->at, "the elements of a tensor are read that has NaNs: no guard can tell whether they are the same");
    for (int i = 0; i < 2; i++)
        if (!trace_apply1(c, "size", 1, &in[i], &shape[i])) return false;
    if (!trace_apply1(c, "eq", 2, shape, &sizes)) return false;
    emit_check(c, sizes.node, ir_fmt(c->ir, "%s:%d: a tensor was read into C in the trace; now it has another shape", c->at.file, c->at.line));
    trace_arg same, all;
    return trace_apply1(c, "eq", 2, in, &same) && trace_apply1(c, "all", 1, &same, &all) && trace_apply1(c, "Bool", 1, &all, ok);
}

static bool remember(jitc_context *c, rt_value v) {
    if (v.tag != V_TENSOR) return true;
    trace_seen s = {v.tensor, trace_hash(v.tensor), c->at};
    rt_tensor_retain(v.tensor);
    RT_PUSH(&c->own, &c->rec->seen, s);
    return true;
}

static bool record_read(jitc_context *c, trace_arg value, const char *what) {
    trace_recorder *r = c->rec;
    trace_arg ok;
    rt_text seen = {0};
    if (value.v.tag == V_TENSOR) rt_text_str(&seen, "its elements");
    else rt_value_print(&seen, value.v, true);
    trace_guard g = {.place = {ir_intern(c->ir, c->at.file ? c->at.file : ""), c->at.line}, .nodes = r->f->nnodes};
    g.what = ir_fmt(c->ir, "%s: %s", what, seen.s ? seen.s : "");
    rt_text_free(&seen);
    if (!(value.v.tag == V_TENSOR ? compare_tensor(c, value, &ok) : compare(c, value, &ok))) return false;
    emit_check(c, ok.node, ir_fmt(c->ir, "%s:%d: %s in the trace; now it is another, and C took the path for that value alone",
                                  g.place.file, g.place.line, g.what));
    RT_PUSH(&c->own, &r->guards, g);
    return true;
}

/* ======================================================= reading */

typedef enum reading { READ_F64, READ_I64, READ_BOOL, READ_SIZE, READ_COUNT, READ_DATA } reading;
static const char *const calls[] = {"jitc_item_f64", "jitc_item_i64", "jitc_item_bool", "jitc_size", "jitc_count", "jitc_data"};

typedef struct job {
    jitc_context *c;
    trace_slot *s;
    reading kind;
    int64_t dim;
    rt_value out; /* borrowed or a number */
} job;

/* The number that is read, as a value of the graph where one is recorded. */
static bool number(job *j, trace_arg x, trace_arg *out) {
    static const char *const of_tensor[] = {"Float", "Int", "Bool"};
    if (x.v.tag == V_TENSOR) return trace_apply1(j->c, of_tensor[j->kind], 1, &x, out);
    if (x.v.tag != V_FLOAT && x.v.tag != V_INT && x.v.tag != V_BOOL)
        return trace_fail(j->c, JITC_E_ARGUMENT, j->c->at, "%s: this is no number and no tensor", calls[j->kind]);
    if ((x.v.tag == V_FLOAT && j->kind == READ_F64) || (x.v.tag == V_INT && j->kind == READ_I64) || (x.v.tag == V_BOOL && j->kind == READ_BOOL))
        return *out = x, true;
    return trace_apply1(j->c, of_tensor[j->kind], 1, &x, out);
}

static bool count(job *j, trace_arg x, trace_arg *out) {
    if (x.v.tag != V_LIST && x.v.tag != V_TUPLE)
        return trace_fail(j->c, JITC_E_ARGUMENT, j->c->at, "jitc_count: this is no list or tuple");
    if (x.v.tag == V_LIST) return trace_apply1(j->c, "len", 1, &x, out);
    *out = trace_const(j->c, rt_int(x.v.list->n)); /* a tuple's length is part of its type */
    return true;
}

static bool size(job *j, trace_arg x, trace_arg *out) {
    trace_arg in[2] = {x, trace_const(j->c, rt_int(j->dim))};
    if (x.v.tag != V_TENSOR) return trace_fail(j->c, JITC_E_ARGUMENT, j->c->at, "jitc_size: this is no tensor");
    return trace_apply1(j->c, "size", 2, in, out);
}

static bool value_of(job *j, trace_arg x, trace_arg *out) {
    switch (j->kind) {
    case READ_SIZE: return size(j, x, out);
    case READ_COUNT: return count(j, x, out);
    case READ_DATA: *out = x; return x.v.tag == V_TENSOR || trace_fail(j->c, JITC_E_ARGUMENT, j->c->at, "jitc_data: this is no tensor");
    default: return number(j, x, out);
    }
}

/* A constant of the program needs no graph. */
static bool constant_outside(const jitc_context *c, const trace_slot *s) {
    const trace_recorder *r = c->rec;
    if (!r || s->recording == r->id) return false;
    return s->v.tag != V_TENSOR || (!r->live && s->traced != r->id);
}

static bool read_value(void *env) {
    job *j = env;
    jitc_context *c = j->c;
    trace_arg x, out;
    bool graph = trace_recording(c) && !constant_outside(c, j->s);
    if (!graph) {
        if (trace_recording(c) && !remember(c, j->s->v)) return false;
        if (c->rec) c->rec->paused++;
        bool ok = trace_arg_slot(c, j->s, &x) && value_of(j, x, &out);
        if (c->rec) c->rec->paused--;
        j->out = ok ? out.v : V_NULL;
        return ok;
    }
    if (!trace_arg_slot(c, j->s, &x) || !value_of(j, x, &out)) return false;
    j->out = out.v;
    if (out.node && !record_read(c, out, calls[j->kind])) return false;
    return true;
}

static rt_value read_slot(jitc_t x, reading kind, int64_t dim, const char *file, int line) {
    jitc_context *c = x.context;
    job j = {.c = c, .kind = kind, .dim = dim, .out = V_NULL};
    if (!c) return V_NULL;
    c->at = (trace_place){file, line};
    if (!(j.s = trace_slot_of(x))) {
        if (c->status == JITC_OK) trace_fail(c, JITC_E_ARGUMENT, c->at, "%s: the handle has ended, or was never set", calls[kind]);
        return V_NULL;
    }
    if (!trace_protect(c, read_value, &j)) j.out = V_NULL;
    trace_end_call(c); /* numbers stay; tensors are those of the slot */
    return j.out;
}

double jitc_item_f64_at(jitc_t x, const char *file, int line) {
    rt_value v = read_slot(x, READ_F64, 0, file, line);
    return v.tag == V_FLOAT ? v.f : 0;
}

int64_t jitc_item_i64_at(jitc_t x, const char *file, int line) {
    rt_value v = read_slot(x, READ_I64, 0, file, line);
    return v.tag == V_INT ? v.i : 0;
}

int jitc_item_bool_at(jitc_t x, const char *file, int line) {
    rt_value v = read_slot(x, READ_BOOL, 0, file, line);
    return v.tag == V_BOOL && v.i;
}

int64_t jitc_size_at(jitc_t x, int dim, const char *file, int line) {
    rt_value v = read_slot(x, READ_SIZE, dim, file, line);
    return v.tag == V_INT ? v.i : 0;
}

int64_t jitc_count_at(jitc_t x, const char *file, int line) {
    rt_value v = read_slot(x, READ_COUNT, 0, file, line);
    return v.tag == V_INT ? v.i : 0;
}

jitc_tensor *jitc_tensor_of_at(jitc_t x, const char *file, int line) {
    rt_value v = read_slot(x, READ_DATA, 0, file, line);
    return v.tag == V_TENSOR ? v.tensor : NULL;
}

/* A copy is made anew at each read: the tensor may have been written in between. */
const void *jitc_data_at(jitc_t x, const char *file, int line) {
    rt_value v = read_slot(x, READ_DATA, 0, file, line);
    trace_slot *s = trace_slot_of(x);
    if (v.tag != V_TENSOR) return NULL;
    if (rt_tensor_contiguous(v.tensor)) return rt_tensor_data(v.tensor);
    rt_tensor *copy = rt_tensor_copy_to(v.tensor, v.tensor->dtype);
    if (!copy) {
        trace_memory(x.context);
        return NULL;
    }
    rt_tensor_release(s->flat);
    s->flat = copy;
    return rt_tensor_data(copy);
}
