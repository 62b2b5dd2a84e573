test errors
class A:
    def __init__(self, n: int):
        self.n = n
def g(a: int, b: int = 2) -> int:
    return a + b
def f():
    g()  # error: argument 'a' of 'g' is missing
    g(1, 2, 3)  # error: 'g' takes 2 arguments, more are given
    g(1, c=3)  # error: 'g' has no parameter 'c'
    g("x")  # error: argument 'a' of 'g' must be int, not str
    a = A(1)
    a.m = 3  # error: 'A' has no attribute 'm'
    a.go()  # error: 'A' has no attribute 'go'
