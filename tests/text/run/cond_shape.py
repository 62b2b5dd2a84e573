test run
# sizes and ints joined by branches and used as sizes
def forward(x: Tensor, n: int) -> Tensor:
    if n > 2:
        k = n
    else:
        k = x.size(0) + 1
    y = torch.zeros([k, 2])
    for i in range(k):
        y[i, 0] = i
    return y.sum(0) + torch.ones([k, 2]).sum(0)

def item(x: Tensor) -> Tensor:
    n = int(x[0].item())
    if n > 1:
        n = n - 1
    return torch.arange(n) + x[:1].long()

def pad(x: Tensor, n: int) -> Tensor:
    if x.size(0) < n:
        x = torch.cat([x, torch.zeros([n - x.size(0)])])
    else:
        x = x[:n]
    return x * 2
--- run forward
x = f32[2] 1 2
n = 4
--- want
tensor([10.0, 4.0])
--- run forward
x = f32[2] 1 2
n = 0
--- want
tensor([6.0, 3.0])
--- run item
x = f32[2] 4 2
--- want
tensor([4, 5, 6])
--- run item
x = f32[2] 1 2
--- want
tensor([1])
--- run pad
x = f32[3] 1 2 3
n = 5
--- want
tensor([2.0, 4.0, 6.0, 0.0, 0.0])
--- run pad
x = f32[3] 1 2 3
n = 2
--- want
tensor([2.0, 4.0])
