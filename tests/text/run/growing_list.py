test run
# lists that grow where only the data says how far
def forward(x: Tensor, limit: float) -> Tuple[List[int], List[Tensor]]:
    ints: List[int] = []
    parts: List[Tensor] = []
    i = 0
    while float(x.sum()) < limit:
        ints.append(i * i)
        parts.append(x)
        x = x * 2
        i += 1
    return ints, parts

def cat(x: Tensor, n: int) -> Tensor:
    parts: List[Tensor] = [x]
    for i in range(n):
        parts.append(parts[-1] + 1)
    return torch.cat(parts)

def drop(x: List[int]) -> List[int]:
    out: List[int] = []
    for v in x:
        if v < 0:
            continue
        if v == 99:
            break
        out.append(v)
    return out
--- run forward
x = f32[2] 1 2
limit = 20.0
--- want
([0, 1, 4], [tensor([1.0, 2.0]), tensor([2.0, 4.0]), tensor([4.0, 8.0])])
--- run forward
x = f32[2] 1 2
limit = 1.0
--- want
([], [])
--- run cat
x = f32[2] 1 2
n = 3
--- want
tensor([1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0])
--- run cat
x = f32[2] 1 2
n = 0
--- want
tensor([1.0, 2.0])
--- run drop
x = [1, -2, 3, 99, 4]
--- want
[1, 3]
--- run drop
x = []
--- want
[]
