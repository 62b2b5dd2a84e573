/* opaque_decomp.c: kernels of matrix decompositions: slogdet, triangular solve, qr, eigh, svd.
 *
 * In f64, batch by batch, like opaque_linalg.c.  qr takes the signs of LAPACK's Householder vectors; the
 * signs of eigenvectors and singular vectors are arbitrary, as everywhere. */
#include "runtime/opaque.h"

#include <math.h>

typedef struct mats {
    rt_tensor *copy;
    int64_t n, rows, cols;
} mats; /* copy: owned, f64, contiguous */

static bool mats_of(rt_env *env, const rt_tensor *t, bool square, mats *m) {
    if (t->ndim < 2)
        return rt_raise(env, "RuntimeError", "linalg: The input tensor must have at least 2 dimensions.");
    *m = (mats){NULL, 1, t->shape[t->ndim - 2], t->shape[t->ndim - 1]};
    for (int i = 0; i < t->ndim - 2; i++) m->n *= t->shape[i];
    if (square && m->rows != m->cols)
        return rt_raise(env, "RuntimeError",
                        "linalg: A must be batches of square matrices, but they are %lld by %lld matrices",
                        (long long)m->rows, (long long)m->cols);
    m->copy = rt_tensor_copy_to(t, DT_F64);
    return m->copy || rt_host_memory_error(env);
}

/* Batch dims of t, then rows and cols (-1: left out). */
static rt_tensor *batch_new(const rt_tensor *t, int64_t rows, int64_t cols) {
    int64_t shape[RT_MAX_RANK];
    int n = t->ndim - 2;
    memcpy(shape, t->shape, (size_t)n * sizeof *shape);
    if (rows >= 0) shape[n++] = rows;
    if (cols >= 0) shape[n++] = cols;
    rt_tensor *r = rt_tensor_new(DT_F64, n, shape);
    if (r) memset(r->storage->data, 0, (size_t)rt_tensor_numel(r) * sizeof(double));
    return r;
}

static double *mat(const rt_tensor *t, int64_t i, int64_t size) {
    return t ? (double *)t->storage->data + i * size : NULL;
}

/* The f64 results (taken) in dtype. */
static bool give_all(rt_env *env, int n, rt_tensor **f64, rt_dtype dtype, rt_value *out) {
    rt_tensor *r[4];
    for (int i = 0; i < n; i++) {
        r[i] = f64[i] ? rt_tensor_copy_to(f64[i], dtype) : NULL;
        rt_tensor_release(f64[i]);
    }
    return rt_give_tensors(env, out, n, r);
}

/* ------------------------------------------------------------------ slogdet, triangular solve */

static double log_det(double *a, int64_t n, double *sign) {
    double sum = 0;
    *sign = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t p = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[p * n + k])) p = i;
        double pivot = a[p * n + k];
        if (pivot == 0) return *sign = 0, -INFINITY;
        if ((pivot < 0) != (p != k)) *sign = -*sign;
        sum += log(fabs(pivot));
        for (int64_t j = 0; p != k && j < n; j++) {
            double x = a[k * n + j];
            a[k * n + j] = a[p * n + j], a[p * n + j] = x;
        }
        for (int64_t i = k + 1; i < n; i++) {
            double f = a[i * n + k] / pivot;
            for (int64_t j = k; j < n; j++) a[i * n + j] -= f * a[k * n + j];
        }
    }
    return sum;
}

HOST(rt_op_slogdet) {
    WANT(0, V_TENSOR);
    mats m;
    if (!mats_of(env, args[0].tensor, true, &m)) return false;
    rt_tensor *r[2] = {batch_new(args[0].tensor, -1, -1), batch_new(args[0].tensor, -1, -1)};
    for (int64_t i = 0; r[0] && r[1] && i < m.n; i++)
        *mat(r[1], i, 1) = log_det(mat(m.copy, i, m.rows * m.rows), m.rows, mat(r[0], i, 1));
    rt_tensor_release(m.copy);
    return give_all(env, 2, r, args[0].tensor->dtype, out);
}

/* x := A^-1 x for n x k right-hand sides. */
static void solve_triangle(const double *a, double *x, int64_t n, int64_t k, bool upper, bool unit) {
    for (int64_t s = 0; s < n; s++) {
        int64_t i = upper ? n - 1 - s : s;
        for (int64_t j = upper ? i + 1 : 0; j < (upper ? n : i); j++)
            for (int64_t c = 0; c < k; c++) x[i * k + c] -= a[i * n + j] * x[j * k + c];
        for (int64_t c = 0; c < k && !unit; c++) x[i * k + c] /= a[i * n + i];
    }
}

HOST(rt_op_solve_triangular) { /* self, B, upper, left, unitriangular */
    WANT(0, V_TENSOR);
    WANT(1, V_TENSOR);
    rt_tensor *a = args[0].tensor, *b = args[1].tensor;
    int64_t shape[RT_MAX_RANK], n = a->ndim;
    if (!rt_int_arg(args[3], 1))
        return rt_raise(env, "RuntimeError", "linalg.solve_triangular: left=False is not supported");
    if (n < 2 || a->ndim != b->ndim || a->shape[n - 1] != a->shape[n - 2] ||
        b->shape[n - 2] != a->shape[n - 1])
        return rt_raise(env, "RuntimeError", "linalg.solve_triangular: Incompatible shapes of A and B");
    for (int i = 0; i < n - 2; i++)
        if (a->shape[i] != b->shape[i])
            return rt_raise(env, "RuntimeError",
                            "linalg.solve_triangular: batch dimensions of A and B do not match");
    mats m;
    memcpy(shape, b->shape, (size_t)n * sizeof *shape);
    if (!mats_of(env, a, true, &m)) return false;
    rt_tensor *r = rt_tensor_copy_to(b, DT_F64);
    for (int64_t i = 0; r && i < m.n; i++)
        solve_triangle(mat(m.copy, i, m.rows * m.rows), mat(r, i, m.rows * shape[n - 1]), m.rows,
                       shape[n - 1], rt_int_arg(args[2], 0), rt_int_arg(args[4], 0));
    rt_tensor_release(m.copy);
    return give_all(env, 1, &r, a->dtype, out);
}

/* ------------------------------------------------------------------ qr */

/* a (rows x cols) becomes R; q (rows x nq, the first nq columns of the identity) becomes Q. */
static void householder(double *a, int64_t rows, int64_t cols, double *q, int64_t nq, double *v,
                        double *taus) {
    int64_t k = rows < cols ? rows : cols;
    for (int64_t j = 0; j < k; j++) { /* v[j * rows + i]: the j-th vector, v[j] = 1 */
        double norm = 0, alpha = a[j * cols + j], *w = v + j * rows;
        for (int64_t i = j + 1; i < rows; i++) norm = hypot(norm, a[i * cols + j]);
        taus[j] = 0;
        if (norm == 0) continue;
        double beta = alpha >= 0 ? -hypot(alpha, norm) : hypot(alpha, norm);
        taus[j] = (beta - alpha) / beta;
        w[j] = 1;
        for (int64_t i = j + 1; i < rows; i++) w[i] = a[i * cols + j] / (alpha - beta);
        for (int64_t c = j; c < cols; c++) {
            double s = 0;
            for (int64_t i = j; i < rows; i++) s += w[i] * a[i * cols + c];
            for (int64_t i = j; i < rows; i++) a[i * cols + c] -= taus[j] * s * w[i];
        }
    }
    for (int64_t j = k - 1; j >= 0; j--)
        for (int64_t c = 0; taus[j] != 0 && c < nq; c++) {
            double s = 0, *w = v + j * rows;
            for (int64_t i = j; i < rows; i++) s += w[i] * q[i * nq + c];
            for (int64_t i = j; i < rows; i++) q[i * nq + c] -= taus[j] * s * w[i];
        }
}

HOST(rt_op_qr) { /* A, mode */
    WANT(0, V_TENSOR);
    WANT(1, V_STR);
    const char *mode = args[1].str->s;
    bool complete = !strcmp(mode, "complete"), only_r = !strcmp(mode, "r");
    mats m;
    if (!complete && !only_r && strcmp(mode, "reduced"))
        return rt_raise(
            env, "RuntimeError",
            "qr received unrecognized mode '%s' but expected one of 'reduced' (default), 'r', or 'complete'",
            mode);
    if (!mats_of(env, args[0].tensor, false, &m)) return false;
    int64_t k = m.rows < m.cols ? m.rows : m.cols, nq = complete ? m.rows : k, none = 0;
    rt_tensor *q = batch_new(args[0].tensor, m.rows, nq), *r = batch_new(args[0].tensor, nq, m.cols);
    double *v = rt_calloc((size_t)(k * m.rows), sizeof *v), *taus = rt_calloc((size_t)k, sizeof *taus);
    for (int64_t b = 0; q && r && v && taus && b < m.n; b++) {
        double *a = mat(m.copy, b, m.rows * m.cols), *qb = mat(q, b, m.rows * nq),
               *rb = mat(r, b, nq * m.cols);
        memset(v, 0, (size_t)(k * m.rows) * sizeof *v);
        for (int64_t i = 0; i < nq; i++) qb[i * nq + i] = 1;
        householder(a, m.rows, m.cols, qb, nq, v, taus);
        for (int64_t i = 0; i < nq; i++)
            for (int64_t j = i; j < m.cols; j++) rb[i * m.cols + j] = a[i * m.cols + j];
    }
    bool memory = v && taus;
    rt_free(v);
    rt_free(taus);
    rt_tensor_release(m.copy);
    if (only_r) rt_tensor_release(q), q = rt_tensor_new(DT_F64, 1, &none);
    if (!memory) rt_tensor_release(q), q = NULL;
    return give_all(env, 2, (rt_tensor *[]){q, r}, args[0].tensor->dtype, out);
}

/* ------------------------------------------------------------------ eigh: cyclic Jacobi */

static void jacobi_turn(double *a, double *v, int64_t n, int64_t p, int64_t q) {
    double apq = a[p * n + q];
    if (apq == 0) return;
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq),
           t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (int64_t k = 0; k < n; k++) {
        double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y, a[k * n + q] = s * x + c * y;
    }
    for (int64_t k = 0; k < n; k++) {
        double x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y, a[q * n + k] = s * x + c * y;
        x = v[k * n + p], y = v[k * n + q];
        v[k * n + p] = c * x - s * y, v[k * n + q] = s * x + c * y;
    }
}

static double off_diagonal(const double *a, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) sum += i == j ? 0 : a[i * n + j] * a[i * n + j];
    return sum;
}

/* a symmetric, destroyed: eigenvalues rising into w, vectors as columns of v. */
static void symmetric_eigen(double *a, int64_t n, double *w, double *v) {
    for (int64_t i = 0; i < n; i++) v[i * n + i] = 1;
    for (int sweep = 0; sweep < 60 && off_diagonal(a, n) > 0; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) jacobi_turn(a, v, n, p, q);
    for (int64_t i = 0; i < n; i++) w[i] = a[i * n + i];
    for (int64_t i = 0; i < n; i++) {
        int64_t low = i;
        for (int64_t j = i + 1; j < n; j++)
            if (w[j] < w[low]) low = j;
        double x = w[i];
        w[i] = w[low], w[low] = x;
        for (int64_t k = 0; low != i && k < n; k++) {
            x = v[k * n + i];
            v[k * n + i] = v[k * n + low], v[k * n + low] = x;
        }
    }
}

HOST(rt_op_eigh) { /* self, UPLO */
    WANT(0, V_TENSOR);
    bool upper = args[1].tag == V_STR && (args[1].str->s[0] == 'U' || args[1].str->s[0] == 'u');
    mats m;
    if (!mats_of(env, args[0].tensor, true, &m)) return false;
    int64_t n = m.rows;
    rt_tensor *r[2] = {batch_new(args[0].tensor, n, -1), batch_new(args[0].tensor, n, n)};
    for (int64_t b = 0; r[0] && r[1] && b < m.n; b++) {
        double *a = mat(m.copy, b, n * n);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < i; j++)
                if (upper) a[i * n + j] = a[j * n + i];
                else a[j * n + i] = a[i * n + j];
        symmetric_eigen(a, n, mat(r[0], b, n), mat(r[1], b, n * n));
    }
    rt_tensor_release(m.copy);
    return give_all(env, 2, r, args[0].tensor->dtype, out);
}

/* ------------------------------------------------------------------ svd: one-sided Jacobi */

/* Makes columns from..to of u (n x m, row-major) unit vectors orthogonal to all before them. */
static void complete_basis(double *u, int64_t n, int64_t m, int64_t from, int64_t to) {
    int64_t unit = 0;
    for (int64_t j = from; j < to; j++) {
        double norm = 0;
        for (; norm < 1e-6 && unit < n; unit++) {
            for (int64_t i = 0; i < n; i++) u[i * m + j] = i == unit;
            for (int pass = 0; pass < 2; pass++)
                for (int64_t k = 0; k < j; k++) {
                    double s = 0;
                    for (int64_t i = 0; i < n; i++) s += u[i * m + j] * u[i * m + k];
                    for (int64_t i = 0; i < n; i++) u[i * m + j] -= s * u[i * m + k];
                }
            norm = 0;
            for (int64_t i = 0; i < n; i++) norm += u[i * m + j] * u[i * m + j];
            norm = sqrt(norm);
        }
        for (int64_t i = 0; norm > 0 && i < n; i++) u[i * m + j] /= norm;
    }
}

static bool turn_columns(double *a, int64_t rows, double *v, int64_t n, int64_t p, int64_t q) {
    double x = 0, y = 0, xy = 0;
    for (int64_t i = 0; i < rows; i++)
        x += a[i * n + p] * a[i * n + p], y += a[i * n + q] * a[i * n + q], xy += a[i * n + p] * a[i * n + q];
    if (!(fabs(xy) > 1e-15 * sqrt(x * y))) return false;
    double zeta = (y - x) / (2 * xy), t = (zeta >= 0 ? 1 : -1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
    double c = 1 / sqrt(1 + t * t), s = c * t;
    for (int64_t i = 0; i < rows; i++) {
        double l = a[i * n + p], r = a[i * n + q];
        a[i * n + p] = c * l - s * r, a[i * n + q] = s * l + c * r;
    }
    for (int64_t i = 0; i < n; i++) {
        double l = v[i * n + p], r = v[i * n + q];
        v[i * n + p] = c * l - s * r, v[i * n + q] = s * l + c * r;
    }
    return true;
}

/* a (rows x n, rows >= n), destroyed; u rows x nu (nu >= n), s falling, v n x n (by columns). */
static void svd_tall(double *a, int64_t rows, int64_t n, double *u, int64_t nu, double *s, double *v,
                     int64_t *order) {
    bool more = true;
    memset(v, 0, (size_t)(n * n) * sizeof *v);
    for (int64_t i = 0; i < n; i++) v[i * n + i] = 1, order[i] = i;
    for (int sweep = 0; more && sweep < 60; sweep++) {
        more = false;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) more |= turn_columns(a, rows, v, n, p, q);
    }
    double *norms = s; /* by column, then sorted with `order` */
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < rows; i++) sum += a[i * n + j] * a[i * n + j];
        sum = sqrt(sum);
        int64_t k = j;
        for (; k > 0 && norms[k - 1] < sum; k--) norms[k] = norms[k - 1], order[k] = order[k - 1];
        norms[k] = sum, order[k] = j;
    }
    int64_t rank = 0;
    for (int64_t j = 0; j < n; j++) {
        if (s[j] <= 1e-300) continue;
        rank = j + 1;
        for (int64_t i = 0; i < rows; i++) u[i * nu + j] = a[i * n + order[j]] / s[j];
    }
    complete_basis(u, rows, nu, rank, nu);
}

static void transposed(const double *a, int64_t rows, int64_t cols, double *t) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) t[j * rows + i] = a[i * cols + j];
}

typedef struct svd_space {
    double *a, *u, *v;
    int64_t *order;
} svd_space;

/* One matrix a (rows x cols) into u (rows x nu), s, vh (nv x cols). */
static void svd_one(const double *a, int64_t rows, int64_t cols, double *u, int64_t nu, double *s, double *vh,
                    int64_t nv, svd_space *w) {
    bool wide = rows < cols;
    int64_t n = wide ? rows : cols, m = wide ? cols : rows, nl = wide ? nv : nu;
    if (wide) transposed(a, rows, cols, w->a);
    else memcpy(w->a, a, (size_t)(rows * cols) * sizeof *a);
    memset(w->u, 0, (size_t)(m * nl) * sizeof *w->u);
    svd_tall(w->a, m, n, w->u, nl, s, w->v, w->order);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < nl; j++) *(wide ? &vh[j * cols + i] : &u[i * nu + j]) = w->u[i * nl + j];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            *(wide ? &u[i * nu + j] : &vh[j * cols + i]) = w->v[i * n + w->order[j]];
}

HOST(rt_op_svd) { /* A, full_matrices, driver */
    WANT(0, V_TENSOR);
    mats m;
    if (!mats_of(env, args[0].tensor, false, &m)) return false;
    bool full = rt_int_arg(args[1], 1);
    int64_t k = m.rows < m.cols ? m.rows : m.cols, big = m.rows + m.cols - k, nu = full ? m.rows : k,
            nv = full ? m.cols : k;
    rt_tensor *r[3] = {batch_new(args[0].tensor, m.rows, nu), batch_new(args[0].tensor, k, -1),
                       batch_new(args[0].tensor, nv, m.cols)};
    svd_space w = {rt_calloc((size_t)(m.rows * m.cols), 8), rt_calloc((size_t)(big * big), 8),
                   rt_calloc((size_t)(k * k), 8), rt_calloc((size_t)k, 8)};
    bool memory = w.a && w.u && w.v && w.order;
    for (int64_t b = 0; memory && r[0] && r[1] && r[2] && b < m.n; b++)
        svd_one(mat(m.copy, b, m.rows * m.cols), m.rows, m.cols, mat(r[0], b, m.rows * nu), nu,
                mat(r[1], b, k), mat(r[2], b, nv * m.cols), nv, &w);
    rt_free(w.a);
    rt_free(w.u);
    rt_free(w.v);
    rt_free(w.order);
    rt_tensor_release(m.copy);
    if (!memory) rt_tensor_release(r[0]), r[0] = NULL;
    return give_all(env, 3, r, args[0].tensor->dtype, out);
}
