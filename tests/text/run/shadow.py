test run
# variables that change their value's kind of origin, comprehensions that shadow
def forward(x: Tensor, n: int) -> Tuple[Tensor, List[int], int]:
    i = 100
    ys = [x * i for i in range(3)]
    total = ys[0]
    for y in ys:
        total = total + y
    sq = [j * j for j in range(n)]
    return total, sq, i

def unpack(x: Tensor) -> Tensor:
    x, y = x.chunk(2)
    y, x = x, y
    for x in [x, y]:
        y = y - x
    return y
--- run forward
x = f32[2] 1 2
n = 4
--- want
(tensor([3.0, 6.0]), [0, 1, 4, 9], 100)
--- run unpack
x = f32[4] 1 2 3 4
--- want
tensor([-3.0, -4.0])
