test errors
def f(c: bool) -> int:
    if c:
        y = 1
    return y  # error: 'y' is not defined in the false branch
def g(n: int) -> int:
    for i in range(n):
        q = i
    return q  # error: 'q' is defined only inside the loop
def h(c: bool):
    if c:
        y = 1
    else:
        y = "a"
    return y  # error: 'y' is int in the true branch and str in the false branch
def k(n: int) -> int:
    x = 1
    for i in range(n):
        x = "a"
    return x  # error: 'x' changes its type in the loop
