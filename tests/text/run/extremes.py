test run
# Extremes with their places, by each form of loop: of equals the first, NaN above all.

def last(x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    v, i = torch.max(x, -1)
    w, j = torch.min(torch.where(x > 2, torch.full_like(x, float('nan')), x), -1)
    return v + w, i, j

def first(x: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    v, i = torch.max(x, 0)
    w, j = torch.min(torch.where(x > 2, torch.full_like(x, float('nan')), x), 0)
    return v + w, i, j

def all(x: Tensor) -> Tuple[Tensor, Tensor]:
    return torch.argmax(x), torch.argmin(x)

def pool(x: Tensor) -> Tuple[Tensor, Tensor]:
    return torch.max_pool1d_with_indices(x, 3, 2, 1)

def running(x: Tensor) -> Tuple[Tensor, Tensor]:
    return torch.cummax(x, 0)

def values(x: Tensor) -> Tensor:
    return torch.max(x, 0)[0] - torch.min(x, 1)[0][0]

--- run last
x = f32[3, 19] -2 1 1 -2 -1 1 0 2 1 -3 1 -3 3 0 -1 1 -2 -2 2 0 1 3 1 0 0 2 3 -2 -2 2 -2 3 1 0 2 -3 2 3 -3 -2 3 1 -3 -1 3 -3 3 3 -1 0 1 2 0 2 3 0 0
--- want
(tensor([nan, nan, nan]), tensor([12, 2, 2]), tensor([12, 2, 2]))
--- run first
x = f32[19, 9] 2 3 1 0 -2 -1 -3 -3 -2 0 -2 -1 2 0 3 2 3 -1 0 1 3 0 1 -1 1 1 0 1 -2 -1 2 -3 3 -1 1 2 2 -2 2 3 -1 1 1 1 -3 2 2 -2 2 3 1 -1 -1 -3 -3 0 3 2 0 -3 -1 3 -3 0 -2 -3 -1 0 3 0 3 -3 -3 1 1 3 -3 0 2 1 -1 1 -1 1 -2 -3 -1 -3 -3 -3 1 1 -3 -2 0 -1 1 -1 -2 2 -3 3 -1 -1 -1 -2 3 0 0 0 3 1 0 2 3 1 2 1 -3 1 3 1 -1 0 2 2 2 -2 -1 0 -1 1 -1 1 -1 -3 3 0 1 -1 -3 0 1 1 2 -2 -3 2 2 -1 0 -1 2 -1 1 2 -1 2 0 -3 1 -3 2 -3 -1 -1 2 0 -1 1 1
--- want
(tensor([-1.0, nan, nan, nan, nan, nan, nan, nan, -1.0]), tensor([0, 0, 2, 4, 5, 1, 12, 1, 3]), tensor([6, 0, 2, 4, 5, 1, 12, 1, 4]))
--- run first
x = f32[5, 3] -1 -2 -1 -2 -1 3 -1 3 1 -1 -1 3 0 -3 3
--- want
(tensor([-2.0, nan, nan]), tensor([4, 2, 1]), tensor([1, 2, 1]))
--- run all
x = f32[4, 11] 3 -3 1 2 2 -2 -1 1 -2 2 3 -1 -2 -1 -2 2 0 2 2 -3 -3 1 -1 -1 2 3 -2 0 3 3 -2 -3 -1 2 2 -2 1 0 -1 -2 3 -3 -3 1
--- want
(tensor(0), tensor(1))
--- run pool
x = f32[2, 9] -2 -1 3 3 3 1 -2 3 -1 -1 3 3 2 -3 3 1 -1 1
--- want
(tensor([[-1.0, 3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0, 1.0]]), tensor([[1, 2, 3, 7, 7], [1, 1, 5, 5, 8]]))
--- run running
x = f32[5, 9] -2 0 -1 1 3 3 -1 0 -1 2 0 -1 0 1 0 -3 0 -2 -2 -3 0 3 1 1 0 1 2 -2 -3 2 0 3 3 2 2 1 -1 1 -1 -2 3 -3 3 1 -1
--- want
(tensor([[-2.0, 0.0, -1.0, 1.0, 3.0, 3.0, -1.0, 0.0, -1.0], [2.0, 0.0, -1.0, 1.0, 3.0, 3.0, -1.0, 0.0, -1.0], [2.0, 0.0, 0.0, 3.0, 3.0, 3.0, 0.0, 1.0, 2.0], [2.0, 0.0, 2.0, 3.0, 3.0, 3.0, 2.0, 2.0, 2.0], [2.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.0]]), tensor([[0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 1, 0], [1, 1, 2, 2, 0, 0, 2, 2, 2], [1, 1, 3, 2, 3, 3, 3, 3, 2], [1, 4, 3, 2, 4, 3, 4, 3, 2]]))
--- run values
x = f32[9, 10] -3 3 -2 -3 -3 3 2 1 -2 0 1 -3 -3 0 2 -3 -2 1 -1 -2 2 -3 1 1 0 -3 1 -3 -1 -2 -1 3 1 0 3 3 -3 -1 -2 -2 -3 1 3 -3 -2 -2 3 -1 3 -2 3 -3 0 2 1 3 0 -3 3 -1 -2 -1 1 1 1 0 -3 0 -1 3 3 -3 3 -3 3 -2 -3 -3 -3 -3 0 -3 3 2 -3 1 1 0 -1 -2
--- want
tensor([6.0, 6.0, 6.0, 5.0, 6.0, 6.0, 6.0, 4.0, 6.0, 6.0])
