test run
# Promotion and integer arithmetic.
def f(a: Tensor, b: Tensor, c: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    return a + b, a // 3, (c > 0) & (a > 1), c.to(torch.float64) / a
--- run
a = i64[4] 7 -7 3 1
b = f32[4] 0.5 1.5 -2 4
c = i8[4] 1 -1 127 -128
--- want
(tensor([7.5, -5.5, 1.0, 5.0]), tensor([2, -3, 1, 0]), tensor([True, False, True, False]), tensor([0.14285714285714285, 0.14285714285714285, 42.333333333333336, -128.0]))
