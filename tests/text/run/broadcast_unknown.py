test run
# sizes that the run alone decides to broadcast
def forward(x: Tensor, y: Tensor) -> Tensor:
    a = x[x > 0]
    b = y[y > 0]
    return a * b + a

def mm(x: Tensor, y: Tensor) -> Tensor:
    return torch.matmul(x, y) + x.sum()

def place(x: Tensor, n: int) -> Tensor:
    y = torch.zeros([n, 3])
    y[:, 1:2] = x[:n, :1]
    return y + torch.ones([1 if n > 2 else n, 1])
--- run forward
x = f32[3] 1 -2 3
y = f32[3] -1 5 -2
--- want
tensor([6.0, 18.0])
--- run forward
x = f32[3] 1 -2 3
y = f32[3] -1 5 2
--- want
tensor([6.0, 9.0])
--- run forward
x = f32[3] 1 2 3
y = f32[3] -1 5 2
--- want
raises RuntimeError: The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 0
--- run mm
x = f32[2, 2, 3] iota
y = f32[1, 3, 2] iota
--- want
tensor([[[76.0, 79.0], [94.0, 106.0]], [[112.0, 133.0], [130.0, 160.0]]])
--- run mm
x = f32[1, 2, 3] iota
y = f32[4, 3, 2] iota
--- want
tensor([[[25.0, 28.0], [43.0, 55.0]], [[43.0, 46.0], [115.0, 127.0]], [[61.0, 64.0], [187.0, 199.0]], [[79.0, 82.0], [259.0, 271.0]]])
--- run place
x = f32[4, 2] iota
n = 2
--- want
tensor([[1.0, 1.0, 1.0], [1.0, 3.0, 1.0]])
--- run place
x = f32[4, 2] iota
n = 4
--- want
tensor([[1.0, 1.0, 1.0], [1.0, 3.0, 1.0], [1.0, 5.0, 1.0], [1.0, 7.0, 1.0]])
