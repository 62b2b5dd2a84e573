test run
# an optional that a loop fills
def forward(x: Tensor, n: int) -> Optional[Tensor]:
    best: Optional[Tensor] = None
    for i in range(n):
        y = x * i
        if best is None:
            best = y
        else:
            best = torch.maximum(best, y)
    return best

def last(x: List[int]) -> int:
    r: Optional[int] = None
    for v in x:
        if v > 2:
            r = v
    if r is None:
        return -1
    return r + 1
--- run forward
x = f32[3] -1 0 2
n = 3
--- want
tensor([-0.0, 0.0, 4.0])
--- run forward
x = f32[3] -1 0 2
n = 0
--- want
None
--- run last
x = [1, 5, 2]
--- want
6
--- run last
x = [1]
--- want
-1
