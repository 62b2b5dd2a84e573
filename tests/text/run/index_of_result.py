test run
# An index that a reduction computes is checked when it is known.
def f(x: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
    i = torch.argmax(y, 0, keepdim=True)
    j = (y > 2).sum(0, keepdim=True)
    return torch.gather(x, 0, i), torch.gather(x, 0, j)
--- run
x = f32[3, 2] iota
y = f32[2, 2] iota
--- want
(tensor([[2.0, 3.0]]), tensor([[0.0, 3.0]]))
--- run
x = f32[1, 2] iota
y = f32[2, 2] iota
--- want
raises IndexError: index is out of bounds for dimension 0 with size 1
