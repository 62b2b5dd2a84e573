test run
# overlapping reads and writes
def forward(x: Tensor) -> Tensor:
    y = x.clone()
    y[1:] = y[:-1]
    y.copy_(y.flip([0]))
    y[:] = y * 2
    return y

def gather(x: Tensor, idx: Tensor) -> Tensor:
    y = x.clone()
    y[idx] = y[0]
    y[idx] += 1
    y.index_add_(0, idx, x[:2])
    return y

def mask(x: Tensor) -> Tensor:
    y = x.clone()
    y[y > 2] = 0
    y[y == 0] += 5
    return y
--- run forward
x = f32[4] 1 2 3 4
--- want
tensor([6.0, 4.0, 2.0, 2.0])
--- run gather
x = f32[4] 1 2 3 4
idx = i64[2] 3 1
--- want
tensor([1.0, 4.0, 3.0, 3.0])
--- run mask
x = f32[4] 1 2 3 4
--- want
tensor([1.0, 2.0, 5.0, 5.0])
