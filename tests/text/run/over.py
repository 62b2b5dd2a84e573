test run
# Results that are written over an input which nobody reads any more, and those that must not be.

def residual(x: Tensor, w: Tensor) -> Tensor:
    a = torch.matmul(x, w)
    c = torch.matmul(w, x)
    d = a + torch.matmul(c, w)
    return torch.matmul(d, x).round()[0:2, 0:9]

def turned(x: Tensor, w: Tensor) -> Tensor:
    a = torch.matmul(x, w)
    c = torch.matmul(w, x)
    d = a.transpose(0, 1) + torch.matmul(c, w)
    return torch.matmul(d, x).round()[0:2, 0:9]

def factor(x: Tensor, w: Tensor) -> Tensor:
    a = torch.matmul(x, w)
    d = a + torch.matmul(a, w)
    return torch.matmul(d, x).round()[0:2, 0:9]

def scaled(x: Tensor, w: Tensor) -> Tensor:
    a = torch.matmul(x, w)
    b = a * torch.sigmoid(torch.matmul(a.mean(0), w))
    return torch.matmul(b + b.amax(0), x).round()[0:2, 0:9]

--- run residual
x = f32[37, 37] random 1
w = f32[37, 37] random 2
--- want
tensor([[14.0, -4.0, -16.0, -29.0, 20.0, -15.0, 16.0, 13.0, 30.0], [14.0, 5.0, 21.0, -2.0, 6.0, -11.0, 16.0, -16.0, 25.0]])
--- run turned
x = f32[37, 37] random 1
w = f32[37, 37] random 2
--- want
tensor([[15.0, 5.0, -15.0, -27.0, 25.0, -14.0, 8.0, 1.0, 40.0], [19.0, 10.0, 39.0, -7.0, 9.0, -5.0, 19.0, -1.0, 45.0]])
--- run factor
x = f32[37, 37] random 1
w = f32[37, 37] random 2
--- want
tensor([[-15.0, -35.0, -14.0, -4.0, 16.0, 19.0, 12.0, -4.0, 10.0], [14.0, -28.0, -5.0, -39.0, -19.0, -8.0, -1.0, -6.0, 3.0]])
--- run scaled
x = f32[37, 37] random 1
w = f32[37, 37] random 2
--- want
tensor([[-0.0, -13.0, 2.0, -6.0, -7.0, 7.0, 12.0, -16.0, 16.0], [-0.0, -11.0, 6.0, -7.0, -7.0, -2.0, 11.0, -24.0, 15.0]])
