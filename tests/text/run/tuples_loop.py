test run
# tuples carried by loops and branches
def forward(x: Tensor, n: int) -> Tuple[Tensor, Tuple[int, float]]:
    s = (x, (0, 1.0))
    for i in range(n):
        y, c = s
        s = (y + i, (c[0] + i, c[1] * 0.5))
    return s

def branch(x: Tensor, flag: bool) -> Tuple[Tensor, int]:
    if flag:
        r = (x, 1)
    else:
        r = (x[1:], 2)
    return r

def lists(x: Tensor, n: int) -> List[Tuple[int, Tensor]]:
    out: List[Tuple[int, Tensor]] = []
    for i in range(n):
        out.append((i, x[i]))
    return out
--- run forward
x = f32[2] 1 2
n = 3
--- want
(tensor([4.0, 5.0]), (3, 0.125))
--- run branch
x = f32[2] 1 2
flag = true
--- want
(tensor([1.0, 2.0]), 1)
--- run branch
x = f32[2] 1 2
flag = false
--- want
(tensor([2.0]), 2)
--- run lists
x = f32[3] 1 2 3
n = 2
--- want
[(0, tensor(1.0)), (1, tensor(2.0))]
