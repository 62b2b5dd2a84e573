test run
# arguments that the program writes
def forward(x: Tensor, y: Tensor, flag: bool) -> Tensor:
    if flag:
        x.add_(y)
    else:
        y.zero_()
    x[0] = 7
    return x + y

def loop(x: Tensor, n: int) -> Tensor:
    for i in range(n):
        x[i] = x[i - 1] + 1
    return x
--- run forward
x = f32[2] 1 2
y = f32[2] 3 4
flag = true
--- want
tensor([10.0, 10.0])
--- run forward
x = f32[2] 1 2
y = f32[2] 3 4
flag = false
--- want
tensor([7.0, 2.0])
--- run loop
x = f32[4] 1 2 3 4
n = 3
--- want
tensor([5.0, 6.0, 7.0, 4.0])
