test run
# dicts whose keys the data decides
def forward(words: List[str]) -> Dict[str, int]:
    d: Dict[str, int] = {}
    for w in words:
        if w in d:
            d[w] += 1
        else:
            d[w] = 1
    return d

def tensors(x: Tensor, flag: bool) -> Dict[str, Tensor]:
    d = {"a": x, "b": x + 1}
    if flag:
        d["c"] = d["a"] * 2
    d["a"] = d["b"] - x
    return d

def keys(n: int) -> int:
    d: Dict[int, int] = {}
    for i in range(n):
        d[i % 3] = i
    s = 0
    for k in d.keys():
        s = s * 10 + d[k]
    return s
--- run forward
words = [{"s": "a"}, {"s": "b"}, {"s": "a"}]
--- want
{'a': 2, 'b': 1}
--- run forward
words = []
--- want
{}
--- run tensors
x = f32[2] 1 2
flag = true
--- want
{'a': tensor([1.0, 1.0]), 'b': tensor([2.0, 3.0]), 'c': tensor([2.0, 4.0])}
--- run tensors
x = f32[2] 1 2
flag = false
--- want
{'a': tensor([1.0, 1.0]), 'b': tensor([2.0, 3.0])}
--- run keys
n = 7
--- want
645
