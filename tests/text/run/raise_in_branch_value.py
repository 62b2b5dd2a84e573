test run
# one branch raises: the other's values go on
def forward(x: Tensor, mode: str) -> Tensor:
    if mode == "sum":
        y = x.sum()
    elif mode == "mean":
        y = x.mean()
    else:
        raise ValueError("bad mode " + mode)
    return y * 2

def check(x: Tensor, n: int) -> Tensor:
    if n == 0:
        y = x[5]
    else:
        y = x[0]
    return y
--- run forward
x = f32[2] 1 2
mode = {"s": "sum"}
--- want
tensor(6.0)
--- run forward
x = f32[2] 1 2
mode = {"s": "max"}
--- want
raises ValueError: bad mode max
--- run check
x = f32[2] 1 2
n = 1
--- want
tensor(1.0)
