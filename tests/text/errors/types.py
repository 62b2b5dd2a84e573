test errors
def f(x: str) -> int:
    return x  # error: the returned value must be int, not str
def g(x: Optional[Tensor]):
    return x + 1  # error: test it with 'is not None' first
def h(n: int):
    a, b, c = 1, 2  # error: 2 values are unpacked into 3 names
def k(t: Tuple[int, str]):
    return t[5]  # error: this tuple has 2 elements
def m(d: Dict[str, int]) -> int:
    d[1] = 2  # error: the key must be str, not int
    return 1
def n():
    return [1, "a"]  # error: elements of this list have types int and str
