test run
# A factor that is read backwards is not copied in another order.
def forward(x: Tensor, w: Tensor) -> Tensor:
    return torch.matmul(x.t().flip(1), w.repeat(1, 16)).sum(1)

def whole(x: Tensor, w: Tensor) -> Tensor:
    return torch.matmul(x.t(), w.repeat(1, 16)).sum(1)
--- run forward
x = f32[3, 5] 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
w = f32[3, 2] 1 0 0 2 1 1
--- want
tensor([400.0, 480.0, 560.0, 640.0, 720.0])
--- run whole
x = f32[3, 5] 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
w = f32[3, 2] 1 0 0 2 1 1
--- want
tensor([560.0, 640.0, 720.0, 800.0, 880.0])
