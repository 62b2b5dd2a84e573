test run
# The neighbours of f16 and bf16 numbers: at powers of two, zero, subnormals, the largest and infinity.
def f(x: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
    h, g = x.to(torch.float16), x.to(torch.bfloat16)
    return torch.nextafter(h, y.to(torch.float16)).to(torch.float64), torch.nextafter(g, y.to(torch.bfloat16)).to(torch.float64)
--- run
x = f32[12] 1 1 1.999 1.999 0 -0.0 0 inf 65504 -3.4e38 6e-8 -2
y = f32[12] 2 0 3 0 1 -1 0 0 inf -inf 0 0
--- want
(tensor([1.0009765625, 0.99951171875, 2.0, 1.998046875, 5.9604644775390625e-08, -5.9604644775390625e-08, 0.0, 65504.0, inf, -inf, 0.0, -1.9990234375]), tensor([1.0078125, 0.99609375, 2.015625, 1.9921875, 9.183549615799121e-41, -9.183549615799121e-41, 0.0, 3.3895313892515355e+38, 66048.0, -inf, 5.9604644775390625e-08, -1.9921875]))
--- run
x = f32[4] 1 nan 6.104e-5 1
y = f32[4] 2 1 0 nan
--- want
(tensor([1.0009765625, nan, 6.097555160522461e-05, nan]), tensor([1.0078125, nan, 6.079673767089844e-05, nan]))
