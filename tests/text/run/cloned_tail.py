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
        total += b.sum(0)
    return a, total
def one_or_two(x: Tensor, flag: bool) -> Tuple[Tensor, Tensor]:
    if flag:
        a = x + 1
        b = a
    else:
        a = x + 2
        b = x + 3
    a.add_(10)
    return a, b

def view_or_not(x: Tensor, flag: bool) -> Tuple[Tensor, Tensor]:
    if flag:
        a = x + 1
        b = a[:1]
    else:
        a = x + 2
        b = x + 3
    a.add_(10)
    return a, b

def listed(x: Tensor, flag: bool) -> Tuple[Tensor, List[Tensor]]:
    if flag:
        a = x + 1
        xs = [a, a]
    else:
        a = x + 2
        xs = [x]
    a.add_(10)
    return a, xs

def optional(x: Tensor, flag: bool) -> Tuple[Optional[Tensor], Tensor, Optional[Tensor], Tensor]:
    y = x.clone()
    z = x * 2
    a: Optional[Tensor] = None
    b: Optional[Tensor] = None
    if flag:
        a = y
        z = x + 1
        b = z
    y += 10
    z += 100
    return a, y, b, z
--- run forward
x = f32[2, 2] 1 2 3 4
flag = true
--- want
(tensor([[20.0, 30.0], [4.0, 5.0]]), tensor([[2.0, 4.0], [6.0, 8.0]]), tensor([[20.0, 30.0], [4.0, 5.0]]))
--- run forward
x = f32[2, 2] 1 2 3 4
flag = false
--- want
(tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([[3.0, 5.0], [70.0, 90.0]]), tensor([[3.0, 5.0], [70.0, 90.0]]))
--- run types
x = f32[2, 2] 1 2 3 4
n = 1
--- want
10.0
--- run types
x = f32[2, 2] 1 2 3 4
n = 3
--- want
30.0
--- run loops
x = f32[2, 2] 1 2 3 4
n = 4
--- want
(tensor([[3.0, 4.0], [3.0, 4.0]]), tensor([26.0, 34.0]))
--- run one_or_two
x = f32[2] 1 2
flag = true
--- want
(tensor([12.0, 13.0]), tensor([12.0, 13.0]))
--- run one_or_two
x = f32[2] 1 2
flag = false
--- want
(tensor([13.0, 14.0]), tensor([4.0, 5.0]))
--- run view_or_not
x = f32[1] 1
flag = true
--- want
(tensor([12.0]), tensor([12.0]))
--- run view_or_not
x = f32[1] 1
flag = false
--- want
(tensor([13.0]), tensor([4.0]))
--- run listed
x = f32[2] 1 2
flag = true
--- want
(tensor([12.0, 13.0]), [tensor([12.0, 13.0]), tensor([12.0, 13.0])])
--- run listed
x = f32[2] 1 2
flag = false
--- want
(tensor([13.0, 14.0]), [tensor([1.0, 2.0])])
--- run optional
x = f32[2] 1 2
flag = true
--- want
(tensor([11.0, 12.0]), tensor([11.0, 12.0]), tensor([102.0, 103.0]), tensor([102.0, 103.0]))
--- run optional
x = f32[2] 1 2
flag = false
--- want
(None, tensor([11.0, 12.0]), None, tensor([102.0, 104.0]))
