test run
# what is raised in branches and loops
def forward(x: Tensor, n: int) -> Tensor:
    if n < 0:
        raise ValueError("n is negative")
    for i in range(n):
        if i == 3:
            raise RuntimeError("too many: {}".format(n))
        x = x + 1
    assert x.size(0) > 1, "short"
    return x

def index(x: List[int], i: int) -> int:
    return x[i]

def key(d: Dict[str, int], k: str) -> int:
    return d[k]

def select(x: Tensor, i: int) -> Tensor:
    return x[i]
--- run forward
x = f32[2] 1 2
n = 2
--- want
tensor([3.0, 4.0])
--- run forward
x = f32[2] 1 2
n = -2
--- want
raises ValueError: n is negative
--- run forward
x = f32[2] 1 2
n = 4
--- want
raises RuntimeError: too many: 4
--- run forward
x = f32[1] 1
n = 1
--- want
raises RuntimeError: AssertionError: short
--- run index
x = [1, 2]
i = -1
--- want
2
--- run index
x = [1, 2]
i = 2
--- want
raises IndexError: list index out of range
--- run key
d = {"dict": [[{"s": "a"}, 1]]}
k = {"s": "a"}
--- want
1
--- run key
d = {"dict": [[{"s": "a"}, 1]]}
k = {"s": "b"}
--- want
raises KeyError: 'b'
--- run select
x = f32[3] 1 2 3
i = -1
--- want
tensor(3.0)
