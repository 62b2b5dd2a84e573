test run
# carried values that swap, shift and shrink
def forward(x: Tensor, y: Tensor, n: int) -> Tuple[Tensor, Tensor]:
    for i in range(n):
        x, y = y, x + y
    return x, y

def shrink(x: Tensor, n: int) -> Tensor:
    for i in range(n):
        if x.size(0) > 1:
            x = x[1:] + x[:-1]
    return x

def fib(n: int) -> int:
    a, b = 0, 1
    for i in range(n):
        a, b = b, a + b
    return a

def grow(x: Tensor, n: int) -> Tensor:
    while x.numel() < n:
        x = torch.cat([x, x])
    return x
--- run forward
x = f32[2] 1 2
y = f32[2] 10 20
n = 3
--- want
(tensor([21.0, 42.0]), tensor([32.0, 64.0]))
--- run shrink
x = f32[4] 1 2 3 4
n = 2
--- want
tensor([8.0, 12.0])
--- run shrink
x = f32[4] 1 2 3 4
n = 9
--- want
tensor([20.0])
--- run fib
n = 50
--- want
12586269025
--- run grow
x = f32[3] 1 2 3
n = 10
--- want
tensor([1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
