test run
# a list keeps the tensors of every iteration, each written before it is put there
def forward(x: Tensor, n: int) -> List[Tensor]:
    s = x.clone()
    out: List[Tensor] = []
    for i in range(n):
        s = s * 2
        s.add_(1)
        out.append(s)
    return out

def view(x: Tensor, n: int) -> List[Tensor]:
    out: List[Tensor] = []
    for i in range(n):
        y = x + i
        y[0] = -1
        out.append(y[1:])
    return out
--- run forward
x = f32[1] 1
n = 3
--- want
[tensor([3.0]), tensor([7.0]), tensor([15.0])]
--- run view
x = f32[3] 1 2 3
n = 2
--- want
[tensor([2.0, 3.0]), tensor([3.0, 4.0])]
