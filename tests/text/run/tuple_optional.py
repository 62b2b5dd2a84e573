test run
# None-ness inside tuples and lists
def forward(x: Tensor, flag: bool) -> Tuple[Tensor, Optional[Tensor]]:
    r: Tuple[Tensor, Optional[Tensor]] = (x, None)
    if flag:
        r = (x * 2, x)
    a, b = r
    if b is not None:
        a = a + b
    return a, b

def lists(x: Tensor, n: int) -> int:
    xs: List[Optional[Tensor]] = []
    for i in range(n):
        if i % 2 == 0:
            xs.append(None)
        else:
            xs.append(x * i)
    s = 0
    for y in xs:
        if y is not None:
            s += int(y[0])
    return s
--- run forward
x = f32[2] 1 2
flag = true
--- want
(tensor([3.0, 6.0]), tensor([1.0, 2.0]))
--- run forward
x = f32[2] 1 2
flag = false
--- want
(tensor([1.0, 2.0]), None)
--- run lists
x = f32[2] 1 2
n = 5
--- want
4
