test run
# loops whose tensors change size or come from before the loop
def forward(x: Tensor, n: int) -> Tuple[Tensor, Tensor]:
    y = x
    for i in range(n):
        y = torch.cat([y, x])
    z = y.view([-1, 2])
    return z.sum(0), y[-1:]

def rank_same(x: Tensor, n: int) -> Tensor:
    for i in range(n):
        x = x.unsqueeze(0).expand([2, x.size(0)]).reshape([-1])
    return x

def transpose(x: Tensor, n: int) -> Tensor:
    for i in range(n):
        x = x.t()
    return x
--- run forward
x = f32[2] 1 2
n = 2
--- want
(tensor([3.0, 6.0]), tensor([2.0]))
--- run rank_same
x = f32[2] 1 2
n = 2
--- want
tensor([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
--- run transpose
x = f32[2, 3] iota
n = 3
--- want
tensor([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]])
--- run transpose
x = f32[2, 3] iota
n = 2
--- want
tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
