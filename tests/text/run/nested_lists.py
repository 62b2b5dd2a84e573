test run
# lists of lists, shared inner lists
def forward(n: int) -> List[List[int]]:
    out: List[List[int]] = []
    row: List[int] = []
    for i in range(n):
        row.append(i)
        out.append(row)
        if i % 2 == 1:
            row = []
    return out

def shared(flag: bool) -> Tuple[List[int], List[List[int]]]:
    a = [1, 2]
    b = [a, a]
    if flag:
        b[0].append(3)
    else:
        a = [7]
    a.append(4)
    return a, b
--- run forward
n = 5
--- want
[[0, 1], [0, 1], [2, 3], [2, 3], [4]]
--- run forward
n = 0
--- want
[]
--- run shared
flag = true
--- want
([1, 2, 3, 4], [[1, 2, 3, 4], [1, 2, 3, 4]])
--- run shared
flag = false
--- want
([7, 4], [[1, 2], [1, 2]])
