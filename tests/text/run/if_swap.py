test run
# which of two tensors a name means is known at run time only
def forward(x: Tensor, y: Tensor, flag: bool) -> Tuple[Tensor, Tensor]:
    a = x.clone()
    b = y.clone()
    if flag:
        c = a
    else:
        c = b
    d = c + 1
    return a + d, b

def write(x: Tensor, flag: bool) -> Tensor:
    a = x.clone()
    if flag:
        c = a * 2
    else:
        c = a * 3
    c.add_(1)
    return a + c
--- run forward
x = f32[2] 1 2
y = f32[2] 3 4
flag = true
--- want
(tensor([3.0, 5.0]), tensor([3.0, 4.0]))
--- run forward
x = f32[2] 1 2
y = f32[2] 3 4
flag = false
--- want
(tensor([5.0, 7.0]), tensor([3.0, 4.0]))
--- run write
x = f32[2] 1 2
flag = false
--- want
tensor([5.0, 9.0])
