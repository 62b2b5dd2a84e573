test run
# Several results of one kernel: a step of an optimiser, and a value that a reduction, its reader and the caller share.
def f(p: Tensor, g: Tensor, m: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    m1 = m * 0.5 + g
    q = p - 2 * m1
    c = torch.relu(q) + m1
    d = c * c.sum(1, keepdim=True)
    return q, m1, d, c
--- run
p = f32[2, 3] iota
g = f32[2, 3] iota
m = f32[2, 3] iota
--- want
(tensor([[0.0, -2.0, -4.0], [-6.0, -8.0, -10.0]]), tensor([[0.0, 1.5, 3.0], [4.5, 6.0, 7.5]]), tensor([[0.0, 6.75, 13.5], [81.0, 108.0, 135.0]]), tensor([[0.0, 1.5, 3.0], [4.5, 6.0, 7.5]]))
