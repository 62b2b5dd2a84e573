test errors
def f(x: int) -> int:  # error: 'f' does not return a value on every path
    while x > 0:
        x -= 1
        if x == 3:
            return 1
def g(n: int):  # error: 'g' calls itself, so it needs a return annotation
    return g(n - 1)
def h(c: bool):
    if c:
        return 1
    return "a"  # error: str is returned here and int elsewhere
