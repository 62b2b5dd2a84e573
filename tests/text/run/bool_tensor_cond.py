test run
# tensors as conditions and as ints
def forward(x: Tensor) -> Tensor:
    n = 0
    while bool(x.sum() < 100):
        x = x * 2
        n = n + int(x[0])
        if bool(x.max() > 50) and n > 3:
            x = x + n
    return x

def pick(x: Tensor, i: Tensor) -> Tensor:
    k = int(i)
    return x[k] if k < x.size(0) else x[0] * float(i)
--- run forward
x = f32[2] 1 3
--- want
tensor([94.0, 158.0])
--- run pick
x = f32[3] 1 2 3
i = i64[] 2
--- want
tensor(3.0)
--- run pick
x = f32[3] 1 2 3
i = i64[] 7
--- want
tensor(7.0)
