test run
# lists of views, unbind and split, written one by one
def forward(x: Tensor) -> Tensor:
    y = x.clone()
    rows = y.unbind(0)
    rows[0] += 10
    for r in rows:
        r.mul_(2)
    a, b = y.split([1, 2])
    a.sub_(1)
    b[0].zero_()
    return y
--- run forward
x = f32[3, 2] 1 2 3 4 5 6
--- want
tensor([[21.0, 23.0], [0.0, 0.0], [10.0, 12.0]])
