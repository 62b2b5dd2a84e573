test run
# break and continue with writes before and after
def forward(x: Tensor, stop: int) -> Tensor:
    y = x.clone()
    for i in range(y.size(0)):
        if i == stop:
            y[i] = -1
            break
        if i % 2 == 0:
            continue
        y[i] = y[i] * 100
    return y

def nested(n: int) -> List[int]:
    out: List[int] = []
    for i in range(n):
        for j in range(n):
            if j > i:
                break
            if (i + j) % 2 == 1:
                continue
            out.append(i * 10 + j)
        if len(out) > 5:
            break
    return out
--- run forward
x = f32[5] 1 2 3 4 5
stop = 3
--- want
tensor([1.0, 200.0, 3.0, -1.0, 5.0])
--- run forward
x = f32[5] 1 2 3 4 5
stop = 9
--- want
tensor([1.0, 200.0, 3.0, 400.0, 5.0])
--- run nested
n = 6
--- want
[0, 11, 20, 22, 31, 33]
