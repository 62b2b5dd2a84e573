test run
# two names of one storage in a loop
def forward(x: Tensor, n: int) -> Tuple[Tensor, Tensor]:
    a = x.clone()
    b = a
    for i in range(n):
        a.add_(1)
        b.mul_(2)
    b = b + 0
    b.zero_()
    return a, b
--- run forward
x = f32[2] 1 2
n = 3
--- want
(tensor([22.0, 30.0]), tensor([0.0, 0.0]))
