test run
# Writes through slices and views are seen in the base.
def f(x: Tensor) -> Tuple[Tensor, Tensor]:
    y = x.clone()
    y[1:3] += 1
    z = y.view(-1)
    z.add_(100)
    t = y.t()
    t[0].mul_(2)
    return y, z
--- run
x = f32[4, 2] iota
--- want
(tensor([[200.0, 101.0], [206.0, 104.0], [210.0, 106.0], [212.0, 107.0]]), tensor([200.0, 101.0, 206.0, 104.0, 210.0, 106.0, 212.0, 107.0]))
--- run
x = f32[3, 2] iota
--- want
(tensor([[200.0, 101.0], [206.0, 104.0], [210.0, 106.0]]), tensor([200.0, 101.0, 206.0, 104.0, 210.0, 106.0]))
