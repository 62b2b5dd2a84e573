test run
# views and their base in a loop whose length the data decides
def forward(x: Tensor, n: int) -> Tensor:
    y = x.clone()
    v = y[1:]
    i = 0
    while i < n:
        v += 1
        y[0] *= 2
        i += 1
    return y

def rows(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for i in range(x.size(0)):
        y[i] = x[i] * i
        if i > 0:
            y[i].add_(y[i - 1])
    return y
--- run forward
x = f32[4] 1 2 3 4
n = 3
--- want
tensor([8.0, 5.0, 6.0, 7.0])
--- run forward
x = f32[4] 1 2 3 4
n = 0
--- want
tensor([1.0, 2.0, 3.0, 4.0])
--- run rows
x = f32[3, 2] 1 2 3 4 5 6
--- want
tensor([[0.0, 0.0], [3.0, 4.0], [13.0, 16.0]])
--- run rows
x = f32[5, 2] iota
--- want
tensor([[0.0, 0.0], [2.0, 3.0], [10.0, 13.0], [28.0, 34.0], [60.0, 70.0]])
