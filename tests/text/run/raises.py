test run
# Errors of the program and of operators have the class and the place.
def f(x: Tensor, i: int) -> Tensor:
    if i < 0:
        raise ValueError("i is negative")
    assert i != 7, "not seven"
    xs = [x, x + 1]
    return xs[i]
--- run
x = f32[2] 1 2
i = 1
--- want
tensor([2.0, 3.0])
--- run
x = f32[2] 1 2
i = -1
--- want
raises ValueError: i is negative
--- run
x = f32[2] 1 2
i = 7
--- want
raises RuntimeError: AssertionError: not seven
--- run
x = f32[2] 1 2
i = 2
--- want
raises IndexError: list index out of range
