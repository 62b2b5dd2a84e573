test run
# Integers have no negative powers; floats and tensors of exponents do.
def ints(x: Tensor, k: int) -> Tensor:
    return torch.pow(x, k)
def floats(x: Tensor, k: int) -> Tensor:
    return x.to(torch.float32) ** k
--- run ints
x = i64[3] 2 -3 0
k = 3
--- want
tensor([8, -27, 0])
--- run ints
x = i64[3] 2 -3 1
k = -1
--- want
raises RuntimeError: Integers to negative integer powers are not allowed.
--- run floats
x = i64[2] 2 -4
k = -1
--- want
tensor([0.5, -0.25])
