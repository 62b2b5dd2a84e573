test run
# optionals as arguments, refined in branches
def forward(x: Tensor, y: Optional[Tensor], s: Optional[float]) -> Tensor:
    if y is not None:
        x = x + y
    if s is None:
        s = 2.0
    return x * s

def chain(x: Optional[Tensor], n: int) -> Optional[Tensor]:
    for i in range(n):
        if x is None:
            x = torch.ones([2])
        elif i == 2:
            x = None
        else:
            x = x + 1
    return x
--- run forward
x = f32[2] 1 2
y = f32[2] 3 4
s = null
--- want
tensor([8.0, 12.0])
--- run forward
x = f32[2] 1 2
y = null
s = 3.0
--- want
tensor([3.0, 6.0])
--- run chain
x = null
n = 5
--- want
tensor([2.0, 2.0])
--- run chain
x = f32[2] 5 6
n = 3
--- want
None
--- run chain
x = null
n = 0
--- want
None
