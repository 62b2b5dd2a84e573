test errors
# writes to tensors that another name may share, where only the run knows whether it does
class Cell:
    def __init__(self, h: Tensor):
        self.h = h

    def step(self, x: Tensor) -> Tensor:
        self.h.mul_(0.5)  # error: in-place write to a tensor: it may share memory with a tensor from before the loop
        self.h = self.h + x
        return self.h

def objects(x: Tensor, n: int, flag: bool) -> Tensor:
    c = Cell(x.clone())
    y = x
    for i in range(n):
        y = c.step(x + i)
    return y

def moving_view(x: Tensor, n: int, flag: bool) -> Tensor:
    y = x.clone()
    v = y[0]
    for i in range(n):
        v.add_(10)  # error: in-place write to a tensor: it may share memory with a tensor from before the loop
        v = y[i]
    return y

def taken_up(x: Tensor, n: int, flag: bool) -> Tuple[Tensor, Tensor]:
    y = x.clone()
    a = x
    for i in range(n):
        a = y
    y.mul_(3)  # error: in-place write to a tensor: it may share memory with a tensor from before the loop
    return a, y

def in_a_tuple(x: Tensor, n: int, flag: bool) -> Tuple[Tensor, int]:
    y = x.clone()
    t = (y, 0)
    for i in range(n):
        y += 1  # error: in-place write to a tensor: it may share memory with a tensor from before the loop
        t = (t[0] * 2, i)
    return t

def picked(x: Tensor, n: int, flag: bool) -> Tuple[Tensor, Tensor]:
    xs = [x + 1, x + 2]
    y = xs[n]
    xs[0].add_(100)  # error: in-place write to a tensor
    return y, xs[0]

def kept(x: Tensor, n: int, flag: bool) -> List[Tensor]:
    s = x.clone()
    out: List[Tensor] = []
    for i in range(n):
        s.add_(1)  # error: in-place write to a tensor: it is also an element of a run-time list
        out.append(s)
    return out

def sometimes_new(x: Tensor, n: int, flag: bool) -> List[Tensor]:
    s = x.clone()
    out: List[Tensor] = []
    for i in range(n):
        s.add_(1)  # error: in-place write to a tensor: it may share memory with a tensor from before the loop
        out.append(s)
        if i % 2 == 0:
            s = s * 2
    return out
def forward(x: Tensor, n: int, flag: bool):
    objects(x, n, flag)
    moving_view(x, n, flag)
    taken_up(x, n, flag)
    in_a_tuple(x, n, flag)
    picked(x, n, flag)
    kept(x, n, flag)
    sometimes_new(x, n, flag)
--- inputs
x=f32[3]
