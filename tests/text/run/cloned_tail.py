test run
# what follows an `if` is evaluated in each branch where its results cannot be joined
def forward(x: Tensor, flag: bool) -> Tuple[Tensor, Tensor, Tensor]:
    y = x.clone()
    z = x * 2
    w = y if flag else z
    w += 1
    v = y[0] if flag else z[1]
    v.mul_(10)
    return y, z, w

def types(x: Tensor, n: int) -> float:
    if n == 0:
        y = x
    elif n == 1:
        y = x.sum(0)
    else:
        y = x.double()
    z = y * n
    return float(z.sum())

def loops(x: Tensor, n: int) -> Tuple[Tensor, Tensor]:
    a = x.clone()
    total = torch.zeros(2)
    for i in range(n):
        b = a
        if i % 2 == 0:
            b = a + 1
        b[0] += 1
        total += b.sum(0) if i < 2 else b[0]
    return a, total
--- run forward
x = f32[2, 2] 1 2 3 4
flag = true
--- want
--- run forward
x = f32[2, 2] 1 2 3 4
flag = false
--- want
--- run types
x = f32[2, 2] 1 2 3 4
n = 1
--- want
--- run types
x = f32[2, 2] 1 2 3 4
n = 3
--- want
--- run loops
x = f32[2, 2] 1 2 3 4
n = 4
--- want
