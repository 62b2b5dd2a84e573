test run
# a list that one branch extends, indexed after it
def forward(x: Tensor, flag: bool) -> Tuple[Tensor, int]:
    xs = [x]
    if flag:
        xs.append(x * 2)
        xs.append(x * 3)
    elif x.size(0) > 2:
        xs = [x - 1]
    else:
        xs.pop()
        xs.append(x + 100)
    return xs[-1], len(xs)
--- run forward
x = f32[2] 1 2
flag = true
--- want
(tensor([3.0, 6.0]), 3)
--- run forward
x = f32[2] 1 2
flag = false
--- want
(tensor([101.0, 102.0]), 1)
--- run forward
x = f32[3] 1 2 3
flag = false
--- want
(tensor([0.0, 1.0, 2.0]), 1)
