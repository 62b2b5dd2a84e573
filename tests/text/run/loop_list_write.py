test run
# tensors in lists are the same tensors
def forward(x: Tensor) -> Tuple[Tensor, Tensor]:
    a = x.clone()
    b = x * 2
    for t in [a, b, a]:
        t.add_(1)
    return a, b

def slots(x: Tensor, k: int) -> List[Tensor]:
    xs = [x, x + 1, x + 2]
    xs[k] = x * 10
    xs.insert(0, xs.pop())
    xs.reverse()
    return xs

def sort(x: List[int], n: int) -> List[int]:
    x.sort()
    y = x[:n]
    y.extend([n, n + 1])
    return y + x
--- run forward
x = f32[2] 1 2
--- want
(tensor([3.0, 4.0]), tensor([3.0, 5.0]))
--- run slots
x = f32[2] 1 2
k = 1
--- want
[tensor([10.0, 20.0]), tensor([1.0, 2.0]), tensor([3.0, 4.0])]
--- run sort
x = [3, 1, 2]
n = 2
--- want
[1, 2, 2, 3, 1, 2, 3]
