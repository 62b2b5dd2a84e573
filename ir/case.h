/* case.h: files of test cases: safetensors with inputs and expected outputs, read and compared.
 *
 * The metadata key `cases` holds a JSON list of {"method", "args": [V...], "out": V | "raises": text,
 * "words"}; V is a number, true, false, null, {"f": "inf"}, {"s": text}, {"t": tensor name}, [V...],
 * {"tuple": [V...]},
 * {"dict": [[K, V]...]}.  Without it the tensors in.0, in.1 ... and out.0, out.1 ... are one case of
 * `forward`. */
#ifndef JITC_IR_CASE_H
#define JITC_IR_CASE_H

#include "ir/safetensors.h"

typedef struct ir_case {
    const char *method;
    rt_value args;      /* V_LIST of the arguments, self excluded; owned by the context */
    bool has_out;       /* an expected result is known */
    rt_value out;       /* V_TUPLE if the file has no metadata and several out.N */
    bool flat;          /* no metadata: compare the result's tensors, flattened, with those of `out` */
    const char *raises; /* the last line of the expected error, or NULL */
    bool words;         /* the message must contain the text of `raises` after its first ": " */
} ir_case;

typedef struct ir_cases {
    const char *file;
    double rtol, atol; /* of the metadata, else 0 */
    int n;
    ir_case *at;
} ir_cases;

ir_cases *ir_cases_open(ir_context *c, const char *path); /* NULL after a diagnostic */
ir_cases *ir_cases_memory(ir_context *c, const char *name, const void *data, size_t n);

/* Value from JSON text as above; tensors come from `s` (may be NULL).  *out is owned by the context. */
bool ir_value_from_json(ir_context *c, const char *what, const char *text, const ir_safetensors *s,
                        rt_value *out);

/* Tolerances that widen the defaults by dtype: the largest of all holds. */
typedef struct ir_tolerance {
    double rtol, atol;
    bool exported; /* ONNX and .pt2: f32 has 1e-3/1e-4 */
} ir_tolerance;

/* One leaf of the expected value: a tensor or a float; other leaves have a row only where they differ. */
typedef struct ir_difference {
    const char *path; /* `out`, `out[1]["a"]` */
    double error;     /* largest |got - want|; infinite where only one is NaN or infinite */
    double excess;    /* largest |got - want| / (atol + rtol * |want|): at most 1 when fine */
    bool fine;
    const char *message; /* when not fine: what differs first, with the place */
} ir_difference;

typedef struct ir_comparison {
    RT_VEC(ir_difference) rows;
    const char *first; /* message of the first row that is not fine, or NULL */
} ir_comparison;

/* Compares by the rules above: dtypes and shapes exactly, NaN equals NaN, floats within tolerance, the rest
 * exactly. A list and a tuple differ; a dict's order counts.  False: `first` says what differs.  Memory: the
 * context. */
bool ir_case_compare(ir_context *c, const ir_case *k, rt_value got, ir_tolerance tol, ir_comparison *out);
/* Does a raised exception (cls may be NULL) fulfil k->raises?  *why names the difference. */
bool ir_case_raised(ir_context *c, const ir_case *k, const char *cls, const char *message, const char **why);

#endif
