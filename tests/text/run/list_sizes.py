test run
# Lists of sizes that only the run knows: their length is that of the examples, or what the operator wants, by a guard.
def view(x: Tensor, s: List[int]) -> Tensor:
    return x.reshape(s).sum(0)
def pad(x: Tensor, s: List[int]) -> Tensor:
    return torch.constant_pad_nd(x, s, 1)
def pool(x: Tensor, s: List[int]) -> Tensor:
    return torch.adaptive_avg_pool2d(x, s)
--- run view
x = f32[6] iota
s = [2, 3]
--- want
tensor([3.0, 5.0, 7.0])
--- run view
x = f32[6] iota
s = [6, 1]
--- want
tensor([15.0])
--- run view
x = f32[6] iota
s = [6, 2]
--- want
raises RuntimeError: shape '[6, 2]' is invalid for input of size 6
--- run pad
x = f32[2, 3] iota
s = [1, 0]
--- want
tensor([[1.0, 0.0, 1.0, 2.0], [1.0, 3.0, 4.0, 5.0]])
--- run pool
x = f32[1, 1, 4, 4] iota
s = [2, 1]
--- want
tensor([[[[3.5], [11.5]]]])
--- run pool
x = f32[1, 1, 4, 4] iota
s = [2, 1, 1]
--- want
raises RuntimeError: adaptive_avg_pool2d: output_size must have 2 elements
