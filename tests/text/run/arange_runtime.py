test run
# Steps, and bounds that are floats, that only the run knows.
def ints(a: int, b: int, step: int) -> Tensor:
    return torch.arange(a, b, step)
def floats(x: Tensor, step: float) -> Tensor:
    return torch.arange(0, x.size(0), step)
def sizes(x: Tensor) -> Tensor:
    return torch.arange(0, x.numel(), x.size(1), dtype=torch.float32)
--- run ints
a = 0
b = 10
step = 3
--- want
tensor([0, 3, 6, 9])
--- run ints
a = 10
b = 0
step = -3
--- want
tensor([10, 7, 4, 1])
--- run ints
a = 3
b = 2
step = 5
--- want
raises RuntimeError: upper bound and lower bound inconsistent with step sign
--- run ints
a = 3
b = 2
step = 0
--- want
raises RuntimeError: step must be nonzero
--- run floats
x = f32[3] zero
step = 0.75
--- want
tensor([0.0, 0.75, 1.5, 2.25])
--- run floats
x = f32[1] zero
step = -1.0
--- want
raises RuntimeError: upper bound and lower bound inconsistent with step sign
--- run sizes
x = f32[3, 2] zero
--- want
tensor([0.0, 2.0, 4.0])
--- run sizes
x = f32[1, 5] zero
--- want
tensor([0.0])
