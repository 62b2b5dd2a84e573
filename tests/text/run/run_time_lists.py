test run
# tensors of lists that grow at run time, and containers within containers
def forward(n: int) -> Tuple[Tensor, Tensor]:
    a: List[int] = []
    b: List[float] = []
    for i in range(n):
        a.append(i)
        b.append(i / 2)
    return torch.tensor(a), torch.tensor(b, dtype=torch.float64)

def nested(n: int) -> Tuple[List[int], Dict[str, List[int]], List[List[int]]]:
    a = [1, 2]
    d = {"a": a}
    d["a"].append(3)
    l = [a, [7]]
    l[0].append(4)
    l[1].append(n)
    pair = (a, n)
    pair[0].append(5)
    return a, d, l

def extremes(a: float, b: float) -> Tuple[float, float, float, float]:
    return min(a, b), max(a, b), a % b, math.fmod(a, b)
--- run forward
n = 3
--- want
(tensor([0, 1, 2]), tensor([0.0, 0.5, 1.0]))
--- run forward
n = 0
--- want
(tensor([]), tensor([]))
--- run nested
n = 9
--- want
([1, 2, 3, 4, 5], {'a': [1, 2, 3, 4, 5]}, [[1, 2, 3, 4, 5], [7, 9]])
--- run extremes
a = -7.5
b = 2.0
--- want
(-7.5, 2.0, 0.5, -1.5)
--- run extremes
a = 7.5
b = -2.0
--- want
(-2.0, 7.5, -0.5, 1.5)
