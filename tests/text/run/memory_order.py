test run
# reshape and contiguous alias where they are views; elementwise results and clones keep the memory order of their operand, which
# decides whether a later reshape copies

def aliases(x: Tensor) -> Tensor:
    x = x.clone()
    q = x.reshape(-1)
    q.fill_(3.0)
    w = x.contiguous()
    w.add_(1.0)
    t = x.t().reshape(-1)
    t.mul_(0)
    return x

def keeps_order(x: Tensor) -> Tensor:
    y = x.t() + 1
    z = y.reshape(-1)
    z.mul_(0)
    u = x.t().clone()
    v = u.view(3, 2).t().reshape(-1)
    v.add_(5.0)
    return y + u
--- run aliases
x = f32[2, 3] iota
--- want
tensor([[4.0, 4.0, 4.0], [4.0, 4.0, 4.0]])
--- run keeps_order
x = f32[2, 3] iota
--- want
tensor([[6.0, 12.0], [8.0, 14.0], [10.0, 16.0]])
