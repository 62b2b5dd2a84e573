/* module.c: making modules, classes and the description of params and state. */
#include "ir/ir.h"

ir_module *ir_module_new(ir_context *c, const char *name) {
    ir_module *m = RT_NEW(&c->arena, ir_module);
    m->c = c;
    m->name = ir_intern(c, name);
    m->tile_rows = 6; /* those of x86-64-v3 */
    m->self = m->example_types = V_NULL;
    RT_PUSH(&c->arena, &c->modules, m);
    return m;
}

ir_func *ir_func_new(ir_module *m, const char *name) {
    ir_func *f = RT_NEW(&m->c->arena, ir_func);
    f->module = m;
    f->name = ir_intern(m->c, name);
    f->result = ir_type_simple(m->c, T_NONE);
    f->body = ir_block_new(f, NULL);
    rt_map_put(&m->c->arena, &m->funcs, f->name, f);
    return f;
}

ir_class *ir_class_new(ir_module *m, const char *name) {
    ir_class *cls = RT_NEW(&m->c->arena, ir_class);
    cls->name = ir_intern(m->c, name);
    rt_map_put(&m->c->arena, &m->classes, cls->name, cls);
    return cls;
}

const ir_type *ir_tensor_data_type(ir_context *c, const ir_tensor_data *d) {
    if (d->type) return d->type;
    if (!d->tensor) return ir_type_simple(c, T_ANY);
    const ir_dim *dims[RT_MAX_RANK];
    for (int i = 0; i < d->tensor->ndim; i++) dims[i] = ir_dim_const(c, d->tensor->shape[i]);
    return ir_type_tensor(c, d->tensor->dtype, d->tensor->ndim, dims);
}

void ir_module_bind(ir_module *m) {
    for (int i = 0; i < m->slots.n; i++) {
        const ir_tensor_data *d = rt_map_get(&m->tensors, m->slots.at[i].name);
        if (!d || !d->tensor) continue;
        rt_release(*m->slots.at[i].at);
        rt_tensor_retain(d->tensor);
        *m->slots.at[i].at = rt_tensor_value(d->tensor);
    }
}
