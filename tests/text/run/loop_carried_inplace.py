test run
# a carried tensor that is written in place, made anew now and then
def forward(x: Tensor, n: int) -> Tensor:
    s = torch.zeros_like(x)
    for i in range(n):
        s.add_(x)
        if i == 1:
            s = s * 2
        s[0] = -1
    return s
--- run forward
x = f32[3] 1 2 3
n = 4
--- want
tensor([-1.0, 12.0, 18.0])
