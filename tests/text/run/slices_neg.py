test run
# slices and indexes whose sign only the run knows
def forward(x: Tensor, a: int, b: int) -> Tensor:
    return x[a:b] * 2

def last(x: Tensor, k: int) -> Tensor:
    y = x.clone()
    y[k] = 100
    y[-k:] += 1
    return y

def lists(x: List[int], a: int, b: int) -> List[int]:
    return x[a:b] + [x[a]]
--- run forward
x = f32[5] 1 2 3 4 5
a = -3
b = -1
--- want
tensor([6.0, 8.0])
--- run forward
x = f32[5] 1 2 3 4 5
a = 1
b = 99
--- want
tensor([4.0, 6.0, 8.0, 10.0])
--- run forward
x = f32[5] 1 2 3 4 5
a = 4
b = 2
--- want
tensor([])
--- run last
x = f32[5] 1 2 3 4 5
k = -2
--- want
tensor([1.0, 2.0, 4.0, 101.0, 6.0])
--- run last
x = f32[5] 1 2 3 4 5
k = 3
--- want
tensor([1.0, 2.0, 4.0, 101.0, 6.0])
--- run lists
x = [1, 2, 3, 4]
a = -3
b = 3
--- want
[2, 3, 2]
