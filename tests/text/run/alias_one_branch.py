test run
# two names of one thing in one branch, of two things in the other
def forward(x: Tensor, flag: bool) -> Tuple[List[int], List[int]]:
    if flag:
        a = [1]
        b = a
    else:
        a = [1]
        b = [1]
    a.append(2)
    return a, b

def tensors(x: Tensor, flag: bool) -> Tensor:
    if flag:
        a = x + 1
        b = a
    else:
        a = x + 2
        b = x + 3
    c = a * 10
    return c + b

def listed(x: Tensor, flag: bool) -> Tuple[Tensor, List[Tensor]]:
    if flag:
        a = x + 1
        xs = [a, x]
    else:
        a = x + 2
        xs = [a]
    return a * 2, xs

def loops(n: int) -> Tuple[List[int], List[int]]:
    a = [0]
    b = a
    for i in range(n):
        a.append(i)
        if i == 1:
            a = [7]
            b = a
    a.append(99)
    return a, b
--- run forward
x = f32[1] 1
flag = true
--- want
([1, 2], [1, 2])
--- run forward
x = f32[1] 1
flag = false
--- want
([1, 2], [1])
--- run tensors
x = f32[1] 1
flag = true
--- want
tensor([22.0])
--- run listed
x = f32[1] 1
flag = true
--- want
(tensor([4.0]), [tensor([2.0]), tensor([1.0])])
--- run listed
x = f32[1] 1
flag = false
--- want
(tensor([6.0]), [tensor([3.0])])
--- run loops
n = 3
--- want
([7, 2, 99], [7, 2, 99])
--- run loops
n = 1
--- want
([0, 0, 99], [0, 0, 99])
