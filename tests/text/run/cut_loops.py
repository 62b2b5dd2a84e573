test run
# Loops over a concat, a padded and a rolled tensor are cut where the source changes: with what follows, on inner and outer dims.
def f(x: Tensor, y: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    a = torch.relu(torch.cat([x, y, x], 1) - 2)
    b = torch.cat([x, x + 10], 2) * 2
    c = torch.nn.functional.pad(x, [1, 2, 0, 1], value=7.0)
    d = torch.roll(x, [1], [2])
    e = torch.cat([x.reshape(-1), y.reshape(-1)], 0) + 1
    return a, b, c, d, e
--- run
x = f32[1, 2, 3] iota
y = f32[1, 1, 3] iota
--- want
(tensor([[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]]), tensor([[[0.0, 2.0, 4.0, 20.0, 22.0, 24.0], [6.0, 8.0, 10.0, 26.0, 28.0, 30.0]]]), tensor([[[7.0, 0.0, 1.0, 2.0, 7.0, 7.0], [7.0, 3.0, 4.0, 5.0, 7.0, 7.0], [7.0, 7.0, 7.0, 7.0, 7.0, 7.0]]]), tensor([[[2.0, 0.0, 1.0], [5.0, 3.0, 4.0]]]), tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 2.0, 3.0]))
