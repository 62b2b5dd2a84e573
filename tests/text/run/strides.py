test run
# steps, empty and 0-d tensors
def forward(x: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    y = x.clone()
    y[::2] = 0
    z = y[1::3]
    z += 5
    e = x[3:3]
    return y, z, e + 1, e.sum()

def zero_d(x: Tensor, n: int) -> Tensor:
    s = torch.zeros([])
    for i in range(n):
        s += x[i]
    s.mul_(2)
    return s

def flip(x: Tensor, n: int) -> Tensor:
    for i in range(n):
        x = torch.flip(x, [0])
        x[0] += 1
    return x

def empty(x: Tensor) -> Tuple[Tensor, int]:
    y = x[x > 100]
    return torch.cat([y, x[:1]]), y.numel()
--- run forward
x = f32[7] 1 2 3 4 5 6 7
--- want
(tensor([0.0, 7.0, 0.0, 4.0, 5.0, 6.0, 0.0]), tensor([7.0, 5.0]), tensor([]), tensor(0.0))
--- run zero_d
x = f32[3] 1 2 3
n = 3
--- want
tensor(12.0)
--- run flip
x = f32[3] 1 2 3
n = 3
--- want
tensor([5.0, 2.0, 2.0])
--- run empty
x = f32[3] 1 2 300
--- want
(tensor([300.0, 1.0]), 1)
--- run empty
x = f32[3] 1 2 3
--- want
(tensor([1.0]), 0)
