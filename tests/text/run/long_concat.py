test run
# The steps of a long sequence side by side: more parts than a loop around others is cut into.
def f(x: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
    parts: List[Tensor] = []
    for i in range(40):
        parts.append(x)
        parts.append(y + 1)
    a = torch.stack(parts) * 2
    return a[::13], a.sum([0])
--- run
x = f32[2, 1] iota
y = f32[2, 1] iota
--- want
(tensor([[[0.0], [2.0]], [[2.0], [4.0]], [[0.0], [2.0]], [[2.0], [4.0]], [[0.0], [2.0]], [[2.0], [4.0]], [[0.0], [2.0]]]), tensor([[80.0], [240.0]]))
