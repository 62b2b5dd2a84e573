test run
# values read before a write keep what they had
def forward(x: Tensor) -> Tuple[Tensor, Tensor, Tensor, float]:
    y = x.clone()
    a = y + 0
    s = y.sum()
    v = y[:2]
    k = float(y[0])
    y.zero_()
    return a, s, v, k

def order(x: Tensor, n: int) -> Tensor:
    y = x.clone()
    before = y.clone()
    for i in range(n):
        t = y[0].clone()
        y[0] = y[1]
        y[1] = t
    return y - before
--- run forward
x = f32[3] 1 2 3
--- want
(tensor([1.0, 2.0, 3.0]), tensor(6.0), tensor([0.0, 0.0]), 1.0)
--- run order
x = f32[2] 1 5
n = 3
--- want
tensor([4.0, -4.0])
--- run order
x = f32[2] 1 5
n = 2
--- want
tensor([0.0, 0.0])
