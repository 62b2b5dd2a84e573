test run
# while with else-like flags, nested returns
def forward(x: Tensor, n: int) -> Tensor:
    i = 0
    while True:
        i += 1
        if i > n:
            break
        j = 0
        while j < i:
            j += 1
            if j == 2:
                continue
            if i * j > 8:
                return x * -1
            x = x + i * j
    return x
--- run forward
x = f32[2] 1 2
n = 2
--- want
tensor([4.0, 5.0])
--- run forward
x = f32[2] 1 2
n = 9
--- want
tensor([-7.0, -8.0])
--- run forward
x = f32[2] 1 2
n = 0
--- want
tensor([1.0, 2.0])
