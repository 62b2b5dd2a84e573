test run
# Steps and diagonals that only the run knows, read and written.
def read(x: Tensor, k: int) -> Tuple[Tensor, Tensor, Tensor]:
    return torch.diagonal(x, k - 2), torch.diag_embed(x[0], k - 2), x[:, ::k]
def windows(x: Tensor, k: int) -> Tensor:
    return x.unfold(1, 2, k)
def write(x: Tensor, k: int) -> Tensor:
    y = x.clone()
    y[::k, 1:] = 9
    y.diagonal(k - 2).zero_()
    return y
--- run read
x = f32[2, 3] iota
k = 1
--- want
(tensor([3.0]), tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]), tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]))
--- run read
x = f32[3, 2] iota
k = 3
--- want
(tensor([1.0]), tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]), tensor([[0.0], [2.0], [4.0]]))
--- run windows
x = f32[2, 5] iota
k = 2
--- want
tensor([[[0.0, 1.0], [2.0, 3.0]], [[5.0, 6.0], [7.0, 8.0]]])
--- run windows
x = f32[1, 3] iota
k = 0
--- want
raises RuntimeError: unfold step must be positive
--- run write
x = f32[3, 4] iota
k = 1
--- want
tensor([[0.0, 9.0, 9.0, 9.0], [0.0, 9.0, 9.0, 9.0], [8.0, 0.0, 9.0, 9.0]])
--- run write
x = f32[4, 3] iota
k = 3
--- want
tensor([[0.0, 0.0, 9.0], [3.0, 4.0, 0.0], [6.0, 7.0, 8.0], [9.0, 9.0, 9.0]])
