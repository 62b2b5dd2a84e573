test run
# a branch that would change the dtype, and promotion in loops
def forward(x: Tensor, flag: bool) -> Tensor:
    if flag:
        y = x.to(torch.float64).to(torch.float32)
    else:
        y = x * 2
    return y

def count(x: Tensor) -> Tensor:
    n = torch.zeros([], dtype=torch.int64)
    while bool((x > 1).any()):
        x = x / 2
        n += 1
    return n
--- run forward
x = f32[2] 1 2
flag = true
--- want
tensor([1.0, 2.0])
--- run forward
x = f32[2] 1 2
flag = false
--- want
tensor([2.0, 4.0])
--- run count
x = f32[2] 5 100
--- want
tensor(7)
