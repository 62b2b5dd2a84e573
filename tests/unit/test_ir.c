/* test_ir.c: types, schemas, overload choice, building graphs, text, the verifier. */
#include "ir/ir.h"

#include <criterion/criterion.h>

static ir_context *c;
static ir_module *m;

static void start(void) {
    c = ir_context_new();
    m = ir_module_new(c, "m");
}
static void stop(void) { ir_context_free(c); }

TestSuite(ir, .init = start, .fini = stop);

static const ir_type *type(const char *text) {
    const char *at = text, *end = text + strlen(text);
    const ir_type *t = ir_type_parse(c, m, &at, end);
    cr_assert(t && at == end, "type '%s'", text);
    return t;
}

static const char *type_text(const ir_type *t) {
    rt_text s = {0};
    ir_type_print(&s, t);
    const char *r = ir_intern(c, s.s);
    rt_text_free(&s);
    return r;
}

/* ---- types */

Test(ir, type_text_round_trip) {
    ir_class_new(m, "a.B");
    ir_class_new(m, "tensor");
    static const char *const texts[] = {"tensor",
                                        "f32[]",
                                        "f32[N, 3]",
                                        "f32[...]",
                                        "tensor[?, 4]",
                                        "bool",
                                        "bool[2]",
                                        "int<N + 1>",
                                        "list[list[int]]",
                                        "optional[tensor]",
                                        "dict[str, (int, float)]",
                                        "()",
                                        "(int,)",
                                        "Pair(a: int, b: optional[str])",
                                        "Empty()",
                                        "union[int, str]",
                                        "'t",
                                        "a.B",
                                        "\"tensor\"",
                                        "number",
                                        "any",
                                        "bottom",
                                        "device",
                                        "func",
                                        "module",
                                        "none"};
    for (size_t i = 0; i < RT_COUNT(texts); i++) {
        cr_expect_str_eq(type_text(type(texts[i])), texts[i]);
        cr_expect_eq(type(texts[i]), type(texts[i]));
    }
}

Test(ir, type_malformed) {
    static const char *const texts[] = {
        "",           "f32",         "f33[2]",    "list",    "list[]",    "list[int, int]",
        "(int)",      "tensor[...]", "f32[",      "f32[1,]", "optional[", "Unknown",
        "union[int]", "int<",        "dict[int]", "'",       "\"a"};
    for (size_t i = 0; i < RT_COUNT(texts); i++) {
        const char *at = texts[i];
        cr_expect_null(ir_type_parse(c, m, &at, at + strlen(at)), "'%s'", texts[i]);
    }
    rt_text deep = {0};
    for (int i = 0; i < 100000; i++) rt_text_str(&deep, "list[");
    const char *at = deep.s;
    cr_expect_null(ir_type_parse(c, m, &at, at + deep.n));
    rt_text_free(&deep);
}

static bool sub(const char *a, const char *b) { return ir_subtype(type(a), type(b)); }
static const char *join(const char *a, const char *b) {
    const ir_type *t = ir_join(c, type(a), type(b));
    return t ? type_text(t) : "-";
}

Test(ir, subtypes) {
    cr_expect(sub("f32[N, 3]", "tensor"));
    cr_expect(sub("f32[N, 3]", "f32[?, 3]"));
    cr_expect(sub("f32[N, 3]", "f32[...]"));
    cr_expect_not(sub("f32[N, 3]", "f64[...]"));
    cr_expect_not(sub("tensor", "f32[N]"));
    cr_expect(sub("int", "number") && sub("int<3>", "int") && !sub("int", "float"));
    cr_expect(sub("none", "optional[int]") && sub("int", "optional[int]") && !sub("optional[int]", "int"));
    cr_expect(sub("list[tensor]", "list[optional[tensor]]"));
    cr_expect(sub("list[bottom]", "list[int]"));
    cr_expect(sub("P(a: int, b: str)", "(int, str)") && !sub("(int, str)", "P(a: int, b: str)"));
    cr_expect(sub("optional[int]", "union[int, str, none]") &&
              sub("union[int, str]", "union[str, int, float]"));
}

Test(ir, joins) {
    cr_expect_str_eq(join("f32[N, 3]", "f32[M, 3]"), "f32[?, 3]");
    cr_expect_str_eq(join("f32[N, 3]", "f64[N, 3]"), "tensor[N, 3]");
    cr_expect_str_eq(join("f32[3]", "f32[3, 3]"), "f32[...]");
    cr_expect_str_eq(join("none", "int"), "optional[int]");
    cr_expect_str_eq(join("optional[f32[2]]", "f32[3]"), "optional[f32[?]]");
    cr_expect_str_eq(join("list[bottom]", "list[int]"), "list[int]");
    cr_expect_str_eq(join("(int<1>, str)", "(int<2>, str)"), "(int, str)");
    cr_expect_str_eq(join("int", "float"), "-");
    cr_expect_str_eq(type_text(ir_surface(c, type("dict[str, list[f32[N]]]"))), "dict[str, list[tensor]]");
}

/* ---- schemas */

static const ir_op *add(const char *schema) { return ir_op_add(c, "aten", schema, OP_OPAQUE); }

Test(ir, schema_text) {
    static const char *const texts[] = {
        "t1.a(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
        "t2(Tensor(a!) self, int[2] stride=[1, 1], *, int? dtype=None) -> Tensor(a!)",
        "t3.x(Dict(str, t) self, str key, t default_value) -> t",
        "t4(Tensor(a)[] self, Tensor?[] indices, (int, int) x, str? s=None, float eps=1e-05, bool b=True) -> "
        "(Tensor values, Tensor indices)",
        "t5(t[](a!) self, t el) -> t[](a!)",
        "t6(str s='it') -> ()",
        "t7(str self, ...) -> ...",
        "t8.items(Dict(str, t) self) -> (str, t)[]",
    };
    for (size_t i = 0; i < RT_COUNT(texts); i++) {
        const ir_op *op = add(texts[i]);
        cr_assert(op, "%s", texts[i]);
        rt_text t = {0};
        ir_schema_print(&t, op);
        cr_expect_str_eq(t.s, texts[i]);
        rt_text_free(&t);
    }
}

Test(ir, schema_details) {
    const ir_schema *s = add("d1(Tensor(a|b) self, int[3] k=2, ScalarType? dtype=long, Generator? g=None, "
                             "float f=1, Layout l=strided) -> Tensor(a -> *)[]")
                             ->schema;
    cr_expect_eq(s->nparams, 6);
    cr_expect_eq(s->params[1].def.tag, V_LIST);
    cr_expect_eq(s->params[1].def.list->n, 3);
    cr_expect_eq(s->params[1].list_size, 3);
    cr_expect_eq(s->params[2].def.i, 4);
    cr_expect_eq(s->params[4].def.tag, V_FLOAT);
    cr_expect_eq(s->results[0].type, type("list[tensor]"));
    const ir_op *op = add("torchvision::d2(Tensor x) -> Tensor");
    cr_expect_str_eq(op->full, "torchvision::d2");
    cr_expect_eq(ir_op_find(c, "torchvision::d2"), op);
}

Test(ir, schema_malformed) {
    static const char *const texts[] = {"",
                                        "f",
                                        "f(",
                                        "f(Tensor) -> Tensor",
                                        "f(Foo x) -> Tensor",
                                        "f(int x=) -> int",
                                        "f(int x=[1) -> int",
                                        "f() -> Tensor x y",
                                        "f(int[999999999999] x) -> int",
                                        "f() -> (((((((((((((((((((((int"};
    for (size_t i = 0; i < RT_COUNT(texts); i++) cr_expect_null(ir_schema_parse(c, texts[i]), "%s", texts[i]);
}

/* ---- overload choice */

/* Space-separated types, "name=type" for keywords: which overload, and its slots. */
static const char *match(const char *name, int n, const char *const *texts) {
    ir_call_arg args[8] = {0};
    for (int i = 0; i < n; i++) {
        const char *eq = strchr(texts[i], '=');
        if (eq) args[i].kw = ir_internn(c, texts[i], (size_t)(eq - texts[i]));
        args[i].type = type(eq ? eq + 1 : texts[i]);
    }
    int slots[16];
    const char *why = "";
    const ir_op *op = ir_match(c, ir_op_overloads(c, name), n, args, slots, &why);
    if (!op) return "-";
    rt_text t = {0};
    rt_text_fmt(&t, "%s:", op->full);
    for (int i = 0; i < op->schema->nparams; i++) rt_text_fmt(&t, " %d", slots[i]);
    rt_text_str(&t, " -> ");
    ir_type_print(&t, ir_result_type(c, op, 0, slots, args));
    const char *s = ir_intern(c, t.s);
    rt_text_free(&t);
    return s;
}
#define MATCH(name, ...)                                                                                     \
    match(name, (int)RT_COUNT(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

static void add_ops(void) {
    add("zadd.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor");
    add("zadd.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor");
    add("zadd.int(int a, int b) -> int");
    add("zadd.float(float a, float b) -> float");
    add("zview(Tensor(a) self, int[] size) -> Tensor(a)");
    add("zpool(Tensor self, int[2] kernel_size, int[2] stride=[], bool ceil_mode=False) -> Tensor");
    add("zappend.t(t[](a!) self, t el) -> t[](a!)");
    add("zget.str(Dict(str, t) self, str key) -> t?");
    add("zmean(Tensor self, *, ScalarType? dtype=None) -> Tensor");
    add("zmean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor");
    add("zmax.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)");
    add("zrelu(Tensor self) -> Tensor");
    add("zfull(int[] size, Scalar fill_value, *, Device? device=None) -> Tensor");
    add("zonly(Tensor a, Tensor b) -> Tensor");
}

Test(ir, overloads) {
    add_ops();
    cr_expect_str_eq(MATCH("zadd", "tensor", "tensor"), "zadd.Tensor: 0 1 -1 -> tensor");
    cr_expect_str_eq(MATCH("zadd", "tensor", "int"), "zadd.Scalar: 0 1 -1 -> tensor");
    cr_expect_str_eq(MATCH("zadd", "tensor", "alpha=int", "other=tensor"), "zadd.Tensor: 0 2 1 -> tensor");
    cr_expect_str_eq(MATCH("zadd", "input=tensor", "other=float"), "zadd.Scalar: 0 1 -1 -> tensor");
    cr_expect_str_eq(MATCH("zadd", "int", "int"), "zadd.int: 0 1 -> int");
    cr_expect_str_eq(MATCH("zadd", "int", "tensor"), "zadd.Tensor: 0 1 -1 -> tensor");
    cr_expect_str_eq(MATCH("zadd", "int", "float"), "zadd.float: 0 1 -> float");
    cr_expect_str_eq(MATCH("zview", "tensor", "list[int]"), "zview: 0 1 -> tensor");
    cr_expect_str_eq(MATCH("zview", "tensor", "int"), "zview: 0 1 -> tensor");
    cr_expect_str_eq(MATCH("zview", "tensor", "int", "int"), "zview: 0 -3 -> tensor");
    cr_expect_str_eq(MATCH("zview", "tensor", "(int, int)"), "zview: 0 1 -> tensor");
    cr_expect_str_eq(MATCH("zpool", "tensor", "int", "stride=int"), "zpool: 0 1 2 -1 -> tensor");
    cr_expect_str_eq(MATCH("zmean", "tensor"), "zmean: 0 -1 -> tensor");
    cr_expect_str_eq(MATCH("zmean", "tensor", "int", "keepdim=bool"), "zmean.dim: 0 1 2 -1 -> tensor");
    cr_expect_str_eq(MATCH("zappend", "list[int]", "int"), "zappend.t: 0 1 -> list[int]");
    cr_expect_str_eq(MATCH("zappend", "list[bottom]", "str"), "zappend.t: 0 1 -> list[str]");
    cr_expect_str_eq(MATCH("zappend", "list[int]", "str"), "-");
    cr_expect_str_eq(MATCH("zget", "dict[str, tensor]", "str"), "zget.str: 0 1 -> optional[tensor]");
    cr_expect_str_eq(MATCH("zfull", "list[int]", "bool", "device=str"), "zfull: 0 1 2 -> tensor");
    cr_expect_str_eq(MATCH("zfull", "list[int]", "tensor"), "zfull: 0 1 -1 -> tensor");
    cr_expect_str_eq(MATCH("zonly", "tensor", "int"), "zonly: 0 1 -> tensor");
    cr_expect_str_eq(MATCH("zadd", "tensor", "str"), "-");
    cr_expect_str_eq(MATCH("zadd", "tensor"), "-");
    cr_expect_str_eq(MATCH("zadd", "tensor", "tensor", "beta=int"), "-");
    cr_expect_null(ir_op_overloads(c, "no_such_op"));
}

Test(ir, derived_forms) {
    add_ops();
    const ir_op *op = ir_op_overloads(c, "zrelu_");
    cr_assert(op);
    cr_expect_str_eq(op->schema->text, "zrelu_(Tensor(a!) self) -> Tensor(a!)");
    cr_expect_str_eq(op->inplace_of->full, "zrelu");
    cr_expect(op->effects & EFF_WRITES);
    cr_expect_str_eq(MATCH("zadd_", "tensor", "int"), "zadd_.Scalar: 0 1 -1 -> tensor");
    cr_expect_str_eq(MATCH("zadd_", "int", "int"), "-");
    cr_expect_null(ir_op_overloads(c, "zview_"));
    cr_expect_str_eq(MATCH("zrelu", "tensor", "out=tensor"), "zrelu.out: 0 1 -> tensor");
    cr_expect_str_eq(MATCH("zmax", "tensor", "int", "values=tensor", "indices=tensor"),
                     "zmax.dim_out: 0 1 -1 2 3 -> tensor");
    cr_expect_str_eq(MATCH("zrelu", "tensor"), "zrelu: 0 -> tensor");
    const ir_op *out = ir_op_find(c, "zadd.out");
    cr_assert(out);
    cr_expect_eq(out->out_params, 1);
    cr_expect_eq(ir_op_find(c, "zadd_.Tensor")->inplace_of, ir_op_find(c, "zadd.Tensor"));
}

Test(ir, table_is_sound) {
    cr_expect_eq(c->nerrors, 0, "every row of ops.def parses, names are unique");
    rt_text t = {0};
    ir_ops_document(c, &t);
    cr_expect(t.n > 1000);
    rt_text_free(&t);
    ir_diags_print(c, &t, false);
    cr_expect_eq(t.n, 0, "%s", t.s);
    rt_text_free(&t);
}

/* ---- graphs */

static int uses(const ir_value *v) {
    int n = 0;
    for (const ir_use *u = v->uses; u; u = u->next) n++;
    return n;
}

Test(ir, edits_keep_use_lists) {
    add_ops();
    const ir_op *op = ir_op_find(c, "zadd.int");
    ir_func *f = ir_func_new(m, "f");
    f->result = type("int");
    ir_value *a = ir_block_param(f->body, type("int"), "a"), *b = ir_block_param(f->body, type("int"), "a");
    cr_expect_str_eq(b->name, "a.1");
    ir_value *x = ir_emit(f->body, 0, op, 2, (ir_value *[]){a, a}, type("int"));
    ir_value *y = ir_emit(f->body, 0, op, 2, (ir_value *[]){x, b}, type("int"));
    ir_block_result(f->body, y);
    cr_expect_eq(uses(a), 2);
    ir_set_input(x->def, 1, b);
    cr_expect(uses(a) == 1 && uses(b) == 2);
    cr_expect(ir_verify_module(m));
    ir_replace_uses(y, x);
    cr_expect(uses(y) == 0 && uses(x) == 2);
    ir_erase(y->def);
    cr_expect(uses(x) == 1 && uses(b) == 1);
    cr_expect(ir_verify_module(m));
    cr_expect_str_eq(ir_value_text(x), "%0");
}

/* ---- text and verifier */

static ir_module *read(const char *text) { return ir_read_module(c, "t.ir", text, strlen(text)); }

static void expect_round_trip(const char *text) {
    ir_module *r = read(text);
    rt_text out = {0};
    if (!r) ir_diags_print(c, &out, false);
    cr_assert(r, "%s", out.s);
    ir_print_module(&out, r);
    cr_expect_str_eq(out.s, text);
    rt_text_free(&out);
}

Test(ir, round_trip) {
    expect_round_trip("module \"a\" core\nsymbol N: 1..64\n\n"
                      "func @f(%x: f32[N]) -> f32[N] entry of \"forward\" {\n"
                      "  assume N <= 32 \"why\"  @\"n.py\":3:4\n"
                      "  %c: float = const 1e-05\n"
                      "  %0: (int, str) = const (3, \"a\\n\\x01\")\n"
                      "  return %x\n}\n");
    expect_round_trip("module \"a\" surface\nclass C module {\n  w: tensor\n  next: optional[C]\n  const k = "
                      "[1, 2.0, none]\n}\n"
                      "param \"w\": f32[2]\nstate \"n\": optional[int] = none\n"
                      "self = object 0: C {\n  w = tensor \"w\"\n  next = object 1: C {\n    w = tensor "
                      "\"w\"\n    next = none\n  }\n}\n");
}

static void expect_error(const char *text, const char *message) {
    int before = c->diags.n;
    ir_module *r = read(text);
    if (r) cr_expect_not(ir_verify_module(r));
    cr_assert_gt(c->diags.n, before, "no error: %s", text);
    cr_expect(strstr(c->diags.at[before].text, message), "got '%s', wanted '%s'", c->diags.at[before].text,
              message);
}

#define F "func @f(%x: int, %c: bool) -> int {\n"
Test(ir, reader_errors) {
    expect_error("funk", "func, class, symbol");
    expect_error("func @f(%x: foo) -> int {", "type expected");
    expect_error(F "  return %y\n}\n", "%y is not defined");
    expect_error(F "  %x: int = const 1\n  return %x\n}\n", "defined twice");
    expect_error(F "  return %x\n}\n" F "  return %x\n}\n", "defined twice");
    expect_error(F "  %y: int = nonsense %x\n", "unknown op");
    expect_error(F "  %y: int = const 99999999999999999999\n", "constant expected");
    expect_error(F "  %y: str = const \"a\n", "malformed string");
    expect_error(F, "'return' expected");
    expect_error("symbol N: 5..2\n", "empty range");
    expect_error("state \"a\": int = [[1]\n", "expected");
    rt_text deep = {0};
    rt_text_str(&deep, "state \"a\": any = ");
    for (int i = 0; i < 100000; i++) rt_text_str(&deep, "[");
    expect_error(deep.s, "nested too deep");
    rt_text_free(&deep);
}

Test(ir, verifier_errors) {
    expect_error(F "  %y: float = const 1\n  return %x\n}\n", "the value is no float");
    expect_error(F "  return %c\n}\n", "int wanted, got bool");
    expect_error(F "  %r: int = if %x {\n    yield %x\n  } else {\n    yield %x\n  }\n  return %r\n}\n",
                 "bool wanted, got int");
    expect_error(F "  %r: int = if %c {\n    yield %x\n  } else {\n    yield\n  }\n  return %r\n}\n",
                 "yields 0 values");
    expect_error(F "  %r: int = if %c {\n    %y: int = const 1\n    yield %y\n  } else {\n    yield %y\n  "
                   "}\n  return %r\n}\n",
                 "%y is used where it is not defined");
    expect_error(F "  %r: int = loop %x, %c, %x {\n    ^(%i: int):\n    yield %c\n  }\n  return %r\n}\n",
                 "takes 1 parameters, not 2");
    expect_error(F "  %w: f32[2] = param \"w\"\n  return %x\n}\n", "has no \"w\"");
    expect_error("func @f(%x: tensor) -> tensor {\n  return %x\n}\n", "dtype, rank and sizes");
    expect_error("func @f(%x: int) -> int {\n  %y: int = call @g %x\n  return %y\n}\n", "no function 'g'");
    expect_error("func @f(%x: (int, str)) -> int {\n  %k: int = const 2\n  %y: int = tuple_index %x, %k\n  "
                 "return %y\n}\n",
                 "has 2 elements");
}

Test(ir, carets) {
    read("func @f(%x: int) -> int {\n  return %y\n}\n");
    rt_text t = {0};
    ir_diags_print(c, &t, false);
    cr_expect_str_eq(t.s, "t.ir:2:10: error: %y is not defined\n    return %y\n           ^\n");
    rt_text_free(&t);
}
