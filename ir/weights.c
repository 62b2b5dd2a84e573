/* weights.c: the tensors of a module, in a safetensors file beside its .ir. */
#include "ir/mapping.h"
#include "ir/safetensors.h"

/* What a declaration `f32[4, N]` says must hold; unknown dims accept any size. */
static bool fits_type(const ir_type *type, const rt_tensor *t) {
    if (!type || type->kind != T_TENSOR) return !type || type->kind == T_ANY;
    if (type->dtype != DT_NONE && type->dtype != t->dtype) return false;
    if (type->rank < 0) return true;
    if (type->rank != t->ndim) return false;
    for (int i = 0; i < t->ndim; i++) {
        int64_t want;
        if (type->dims && type->dims[i] && ir_dim_is_const(type->dims[i], &want) && want != t->shape[i])
            return false;
    }
    return true;
}

static void set_tensor(ir_module *m, const char *file, const char *name, rt_tensor *t) {
    ir_tensor_data *d = rt_map_get(&m->tensors, name);
    if (!d) {
        d = RT_NEW(&m->c->arena, ir_tensor_data);
        d->name = ir_intern(m->c, name);
        rt_map_put(&m->c->arena, &m->tensors, name, d);
    }
    if (!fits_type(d->type, t)) {
        rt_text want = {0};
        ir_type_print(&want, d->type);
        ir_error(m->c, 0, "%s: tensor `%s` has another dtype or shape than the module declares (%s)", file,
                 ir_quote(m->c, name, strlen(name)), want.s ? want.s : "");
        rt_text_free(&want);
        return;
    }
    rt_tensor_retain(t);
    rt_tensor_release(d->tensor);
    d->tensor = t;
}

bool ir_weights_load(ir_module *m, const char *path) {
    int before = m->c->nerrors;
    ir_safetensors *s = ir_safetensors_open(m->c, path);
    if (!s) return false;
    for (int i = 0; i < s->tensors.n; i++)
        set_tensor(m, path, s->tensors.at[i].name, s->tensors.at[i].tensor);
    ir_safetensors_close(s);
    for (int i = 0; i < m->tensors.n; i++) {
        const ir_tensor_data *d = m->tensors.entries[i].value;
        if (!d->tensor && (!d->type || d->type->kind == T_TENSOR))
            ir_error(m->c, 0, "%s: tensor `%s` of the module is missing", path, d->name);
    }
    m->weights = ir_intern(m->c, path);
    return m->c->nerrors == before;
}

bool ir_weights_save(const ir_module *m, const char *path) {
    ir_named_tensor *list = RT_ARRAY(&m->c->arena, ir_named_tensor, m->tensors.n);
    int n = 0;
    for (int i = 0; i < m->tensors.n; i++) {
        const ir_tensor_data *d = m->tensors.entries[i].value;
        if (d->tensor) list[n++] = (ir_named_tensor){d->name, d->tensor};
    }
    return ir_safetensors_write(m->c, path, n, list, 0, NULL);
}
