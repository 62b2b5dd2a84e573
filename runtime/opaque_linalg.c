/* opaque_linalg.c: kernels of small dense linear algebra: cholesky, inverse, determinant, solve, singular
 * values.
 *
 * All compute in f64 on contiguous copies, batch by batch, and convert at the end. */
#include "runtime/opaque.h"

#include <math.h>

/* The last two dims of t. */
typedef struct batch {
    int64_t n, rows, cols;
} batch;

static bool batch_of(rt_env *env, const rt_tensor *t, bool square, batch *b) {
    if (t->ndim < 2)
        return rt_raise(env, "RuntimeError", "linalg: The input tensor must have at least 2 dimensions.");
    *b = (batch){1, t->shape[t->ndim - 2], t->shape[t->ndim - 1]};
    for (int i = 0; i < t->ndim - 2; i++) b->n *= t->shape[i];
    if (square && b->rows != b->cols)
        return rt_raise(env, "RuntimeError",
                        "linalg: A must be batches of square matrices, but they are %lld by %lld matrices",
                        (long long)b->rows, (long long)b->cols);
    return true;
}

/* result (f64, taken) in the dtype of `like`. */
static bool give_as(rt_env *env, rt_tensor *result, rt_dtype dtype, rt_value *out) {
    rt_tensor *r = result ? rt_tensor_copy_to(result, dtype) : NULL;
    rt_tensor_release(result);
    return rt_give_tensors(env, out, 1, &r);
}

/* ------------------------------------------------------------------ cholesky */

/* a := L in place; 0, or the order of the minor that is not positive-definite. */
static int64_t cholesky(double *a, int64_t n) {
    for (int64_t j = 0; j < n; j++) {
        double d = a[j * n + j];
        for (int64_t k = 0; k < j; k++) d -= a[j * n + k] * a[j * n + k];
        if (!(d > 0)) return j + 1;
        a[j * n + j] = d = sqrt(d);
        for (int64_t i = j + 1; i < n; i++) {
            double s = a[i * n + j];
            for (int64_t k = 0; k < j; k++) s -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = s / d;
        }
        for (int64_t i = 0; i < j; i++) a[i * n + j] = 0;
    }
    return 0;
}

/* A copy as rt_tensor in f64; upper reads the matrix by its upper half, so it is transposed first. */
static void transpose(double *a, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            double x = a[i * n + j];
            a[i * n + j] = a[j * n + i], a[j * n + i] = x;
        }
}

HOST(rt_op_cholesky) { /* self, upper */
    WANT(0, V_TENSOR);
    bool upper = nargs > 1 && rt_int_arg(args[1], 0);
    batch b;
    if (!batch_of(env, args[0].tensor, true, &b)) return false;
    rt_tensor *c = rt_tensor_copy_to(args[0].tensor, DT_F64);
    for (int64_t i = 0; c && i < b.n; i++) {
        double *a = (double *)c->storage->data + i * b.rows * b.rows;
        if (upper) transpose(a, b.rows);
        int64_t bad = cholesky(a, b.rows);
        if (bad) {
            rt_tensor_release(c);
            return rt_raise(
                env, "RuntimeError",
                "linalg.cholesky: The factorization could not be completed because the input is "
                "not positive-definite (the leading minor of order %lld is not positive-definite).",
                (long long)bad);
        }
        if (upper) transpose(a, b.rows);
    }
    return give_as(env, c, args[0].tensor->dtype, out);
}

/* ------------------------------------------------------------------ elimination */

static void swap_rows(double *a, int64_t n, int64_t i, int64_t j) {
    for (int64_t k = 0; i != j && k < n; k++) {
        double x = a[i * n + k];
        a[i * n + k] = a[j * n + k], a[j * n + k] = x;
    }
}

/* Gauss-Jordan with partial pivoting on [A | B], A n x n and B n x m: B becomes the solution.  Gives the
 * determinant; *singular: the column without pivot (from 1), or 0. */
static double eliminate(double *a, double *b, int64_t n, int64_t m, int64_t *singular) {
    double det = 1;
    *singular = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t p = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[p * n + k])) p = i;
        double pivot = a[p * n + k];
        det *= p == k ? pivot : -pivot;
        if (pivot == 0) {
            if (!*singular) *singular = k + 1;
            continue;
        }
        swap_rows(a, n, k, p);
        swap_rows(b, m, k, p);
        for (int64_t i = 0; i < n; i++) {
            double f = a[i * n + k] / pivot;
            if (i == k || f == 0 || (m == 0 && i < k)) continue;
            for (int64_t j = k; j < n; j++) a[i * n + j] -= f * a[k * n + j];
            for (int64_t j = 0; j < m; j++) b[i * m + j] -= f * b[k * m + j];
        }
    }
    for (int64_t i = 0; i < n && !*singular; i++)
        for (int64_t j = 0; j < m; j++) b[i * m + j] /= a[i * n + i];
    return det;
}

HOST(rt_op_det) {
    WANT(0, V_TENSOR);
    const rt_tensor *t = args[0].tensor;
    batch b;
    int64_t singular;
    if (!batch_of(env, t, true, &b)) return false;
    rt_tensor *c = rt_tensor_copy_to(t, DT_F64), *r = rt_tensor_new(DT_F64, t->ndim - 2, t->shape);
    for (int64_t i = 0; c && r && i < b.n; i++)
        ((double *)r->storage->data)[i] =
            eliminate((double *)c->storage->data + i * b.rows * b.rows, NULL, b.rows, 0, &singular);
    if (!c) rt_tensor_release(r), r = NULL;
    rt_tensor_release(c);
    return give_as(env, r, t->dtype, out);
}

static bool singular_error(rt_env *env, const char *op, int64_t k) {
    return rt_raise(env, "RuntimeError",
                    "%s: The diagonal element %lld is zero, the %s could not be completed because the "
                    "input matrix is singular.",
                    op, (long long)k, !strcmp(op, "linalg.inv") ? "inversion" : "solve");
}

/* Solves each of b.n systems; rhs f64 contiguous, of m columns. */
static bool solve_all(rt_env *env, rt_tensor *a, rt_tensor *rhs, const batch *b, int64_t m, const char *op) {
    int64_t singular = 0, n = b->rows;
    for (int64_t i = 0; i < b->n && !singular; i++)
        eliminate((double *)a->storage->data + i * n * n, (double *)rhs->storage->data + i * n * m, n, m,
                  &singular);
    return !singular || singular_error(env, op, singular);
}

HOST(rt_op_inverse) {
    WANT(0, V_TENSOR);
    const rt_tensor *t = args[0].tensor;
    batch b;
    if (!batch_of(env, t, true, &b)) return false;
    rt_tensor *c = rt_tensor_copy_to(t, DT_F64), *r = rt_tensor_new(DT_F64, t->ndim, t->shape);
    bool memory = c && r, ok = memory;
    if (ok) {
        double *one = memset(r->storage->data, 0, (size_t)rt_tensor_numel(r) * sizeof(double));
        for (int64_t i = 0; i < b.n; i++)
            for (int64_t k = 0; k < b.rows; k++) one[(i * b.rows + k) * b.rows + k] = 1;
        ok = solve_all(env, c, r, &b, b.rows, "linalg.inv");
    }
    rt_tensor_release(c);
    if (ok) return give_as(env, r, t->dtype, out);
    rt_tensor_release(r);
    return memory ? false : rt_host_memory_error(env);
}

/* Copy of t in f64 at the batch dims shape[0..nb) followed by its own last `tail` dims. */
static rt_tensor *batch_copy(rt_tensor *t, int nb, const int64_t *shape, int tail) {
    int64_t all[RT_MAX_RANK + 2];
    memcpy(all, shape, (size_t)nb * sizeof *all);
    for (int i = 0; i < tail; i++) all[nb + i] = t->shape[t->ndim - tail + i];
    rt_tensor *e = rt_expanded(t, nb + tail, all), *c = e ? rt_tensor_copy_to(e, DT_F64) : NULL;
    rt_tensor_release(e);
    return c;
}

/* B is a batch of vectors if it has the shape of A without the last dim. */
static bool is_vector(const rt_tensor *a, const rt_tensor *b) {
    if (b->ndim == 1) return true;
    bool same = b->ndim == a->ndim - 1;
    for (int i = 0; same && i < b->ndim; i++) same = a->shape[i] == b->shape[i];
    return same;
}

HOST(rt_op_solve) { /* A, B, left */
    WANT(0, V_TENSOR);
    WANT(1, V_TENSOR);
    rt_tensor *a = args[0].tensor, *v = args[1].tensor;
    batch b;
    if (!batch_of(env, a, true, &b)) return false;
    if (!rt_int_arg(args[2], 1))
        return rt_raise(env, "RuntimeError", "linalg.solve: left=False is not supported");
    int tail = is_vector(a, v) ? 1 : 2, na = a->ndim - 2, nv = v->ndim - tail, nb = na > nv ? na : nv;
    int64_t shape[RT_MAX_RANK], m = tail == 1 ? 1 : v->shape[v->ndim - 1];
    if (nv < 0 || v->shape[nv] != b.rows || nb + 2 > RT_MAX_RANK)
        return rt_raise(env, "RuntimeError",
                        "linalg.solve: Incompatible shapes of A and B for the equation AX = B");
    b.n = 1;
    for (int i = 0; i < nb; i++) {
        int64_t x = i < nb - na ? 1 : a->shape[i - (nb - na)], y = i < nb - nv ? 1 : v->shape[i - (nb - nv)];
        if (x != y && x != 1 && y != 1)
            return rt_raise(env, "RuntimeError", "linalg.solve: batch dimensions of A and B do not match");
        b.n *= shape[i] = x == 1 ? y : x;
    }
    rt_tensor *c = batch_copy(a, nb, shape, 2), *r = batch_copy(v, nb, shape, tail);
    bool memory = c && r, ok = memory && solve_all(env, c, r, &b, m, "linalg.solve");
    rt_tensor_release(c);
    if (ok) return give_as(env, r, a->dtype, out);
    rt_tensor_release(r);
    return memory ? false : rt_host_memory_error(env);
}

/* ------------------------------------------------------------------ singular values: one-sided Jacobi */

/* Rotates columns p and q of a (rows x cols) to be orthogonal; false: they are. */
static bool rotate(double *a, int64_t rows, int64_t cols, int64_t p, int64_t q) {
    double x = 0, y = 0, xy = 0;
    for (int64_t i = 0; i < rows; i++) {
        double u = a[i * cols + p], v = a[i * cols + q];
        x += u * u, y += v * v, xy += u * v;
    }
    if (!(fabs(xy) > 1e-15 * sqrt(x * y))) return false;
    double zeta = (y - x) / (2 * xy), t = (zeta >= 0 ? 1 : -1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
    double c = 1 / sqrt(1 + t * t), s = c * t;
    for (int64_t i = 0; i < rows; i++) {
        double u = a[i * cols + p], v = a[i * cols + q];
        a[i * cols + p] = c * u - s * v, a[i * cols + q] = s * u + c * v;
    }
    return true;
}

/* Largest first into s[0..min(rows, cols)); a is destroyed. */
static void singular_values(double *a, int64_t rows, int64_t cols, double *s, double *norms) {
    bool more = true;
    for (int sweep = 0; more && sweep < 60; sweep++) {
        more = false;
        for (int64_t p = 0; p < cols; p++)
            for (int64_t q = p + 1; q < cols; q++) more |= rotate(a, rows, cols, p, q);
    }
    int64_t n = rows < cols ? rows : cols;
    for (int64_t j = 0; j < cols; j++) {
        double sum = 0;
        for (int64_t i = 0; i < rows; i++) sum += a[i * cols + j] * a[i * cols + j];
        sum = sqrt(sum);
        int64_t k = j; /* insert, largest first */
        while (k > 0 && norms[k - 1] < sum) norms[k] = norms[k - 1], k--;
        norms[k] = sum;
    }
    memcpy(s, norms, (size_t)n * sizeof *s);
}

HOST(rt_op_svdvals) { /* A, driver */
    WANT(0, V_TENSOR);
    const rt_tensor *t = args[0].tensor;
    batch b;
    int64_t shape[RT_MAX_RANK];
    if (!batch_of(env, t, false, &b)) return false;
    int64_t n = b.rows < b.cols ? b.rows : b.cols;
    memcpy(shape, t->shape, (size_t)(t->ndim - 2) * sizeof *shape);
    shape[t->ndim - 2] = n;
    rt_tensor *c = rt_tensor_copy_to(t, DT_F64), *r = rt_tensor_new(DT_F64, t->ndim - 1, shape);
    double *norms = rt_calloc((size_t)b.cols, sizeof *norms);
    bool ok = c && r && norms;
    for (int64_t i = 0; ok && n && i < b.n; i++)
        singular_values((double *)c->storage->data + i * b.rows * b.cols, b.rows, b.cols,
                        (double *)r->storage->data + i * n, norms);
    rt_free(norms);
    rt_tensor_release(c);
    if (!ok) rt_tensor_release(r), r = NULL;
    return give_as(env, r, t->dtype, out);
}
