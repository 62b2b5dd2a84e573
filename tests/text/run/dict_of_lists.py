test run
# dicts of lists, shared by reference
def forward(xs: List[int]) -> Dict[int, List[int]]:
    d: Dict[int, List[int]] = {}
    for x in xs:
        k = x % 3
        if k not in d:
            d[k] = []
        d[k].append(x)
    return d

def opt(d: Dict[str, int], k: str) -> int:
    v = d.get(k)
    if v is None:
        return -1
    else:
        return v
--- run forward
xs = [1, 2, 3, 4, 5, 6]
--- want
{1: [1, 4], 2: [2, 5], 0: [3, 6]}
--- run forward
xs = []
--- want
{}
--- run opt
d = {"dict": [[{"s": "a"}, 5]]}
k = {"s": "a"}
--- want
5
--- run opt
d = {"dict": [[{"s": "a"}, 5]]}
k = {"s": "z"}
--- want
-1
