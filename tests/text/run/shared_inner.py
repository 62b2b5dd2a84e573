test run
# inner lists that are held by two outer ones, tuples of lists, and lists that grow under another name
def forward(x: Tensor, n: int) -> Tuple[List[List[int]], List[int]]:
    inner: List[int] = []
    outer: List[List[int]] = []
    for i in range(n):
        outer.append(inner)
        outer[0].append(i)
        inner.append(i * 10)
    return outer, inner

def tuples(n: int) -> Tuple[List[Tuple[int, List[int]]], List[int]]:
    a: List[int] = [5]
    out: List[Tuple[int, List[int]]] = []
    for i in range(n):
        out.append((i, a))
        a.append(i)
    return out, a

def tensors(x: Tensor, n: int) -> Tuple[int, List[Tensor]]:
    xs = [x]
    pairs = [xs, xs]
    for i in range(n):
        pairs[i % 2].append(torch.cat([x, xs[-1]]))
    ys = pairs[1]
    ys.append(x[:1])
    s = 0
    for y in xs:
        s += y.size(0)
    return s, ys

def optional(n: int, flag: bool) -> List[int]:
    a: Optional[List[int]] = None
    if flag:
        a = [n]
    b = a
    for i in range(n):
        if b is not None:
            b.append(i)
        else:
            b = [100]
            a = b
    if a is None:
        return [-1]
    return a
--- run forward
x = f32[1] 1
n = 3
--- want
([[0, 0, 1, 10, 2, 20], [0, 0, 1, 10, 2, 20], [0, 0, 1, 10, 2, 20]], [0, 0, 1, 10, 2, 20])
--- run forward
x = f32[1] 1
n = 0
--- want
([], [])
--- run tuples
n = 2
--- want
([(0, [5, 0, 1]), (1, [5, 0, 1])], [5, 0, 1])
--- run tensors
x = f32[2] 1 2
n = 3
--- want
(21, [tensor([1.0, 2.0]), tensor([1.0, 2.0, 1.0, 2.0]), tensor([1.0, 2.0, 1.0, 2.0, 1.0, 2.0]), tensor([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]), tensor([1.0])])
--- run optional
n = 2
flag = true
--- want
[2, 0, 1]
--- run optional
n = 2
flag = false
--- want
[100, 1]
--- run optional
n = 0
flag = false
--- want
[-1]
