test run
# Long sums stay as exact as short ones, whichever loop is the vector; float scans are summed in f64.

def exact(y: Tensor, want: Tensor) -> Tensor:
    return torch.max(torch.abs(y - want) / want) < 4e-7

def columns(x: Tensor) -> Tensor:
    return exact(torch.sum(x.abs(), 0), torch.sum(x.abs().double(), 0))

def outer(x: Tensor) -> Tensor:
    y = x.abs().view(-1, 3, 40)
    return exact(torch.sum(y, [0, 2]), torch.sum(y.double(), [0, 2]))

def few(x: Tensor) -> Tensor:
    y = x.abs().view(-1, 3)
    return exact(torch.mean(y, 0), torch.mean(y.double(), 0))

def rows(x: Tensor) -> Tensor:
    y = x.abs().view(2, -1)
    return exact(torch.sum(y, 1), torch.sum(y.double(), 1))

def scan(x: Tensor) -> Tensor:
    return exact(torch.cumsum(x.abs(), 0), torch.cumsum(x.abs().double(), 0))

# A sum in which there is nothing to add.
def none(x: Tensor) -> Tensor:
    return torch.addbmm(x, x.repeat(0, 1, 1).view(0, 2, 3), x.repeat(0, 1, 1).view(0, 3, 3))
--- run columns
x = f32[20000, 6] random 1
--- want
tensor(True)
--- run outer
x = f32[20000, 6] random 1
--- want
tensor(True)
--- run few
x = f32[20000, 6] random 1
--- want
tensor(True)
--- run rows
x = f32[20000, 6] random 1
--- want
tensor(True)
--- run scan
x = f32[20000, 6] random 1
--- want
tensor(True)
--- run none
x = f32[2, 3] iota
--- want
tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
