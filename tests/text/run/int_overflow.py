test run
# ints at their limits, division and modulo of negative numbers, mixed floats
def forward(a: int, b: int) -> Tuple[int, int, float, int, bool]:
    return a // b, a % b, a / b, a * a - (b << 2), a > b

def mixed(a: int, x: float) -> Tuple[float, int]:
    return a * x, int(x) + a

def zero(a: int, b: int) -> int:
    return a // b
--- run forward
a = -7
b = 2
--- want
(-4, 1, -3.5, 41, False)
--- run forward
a = 7
b = -2
--- want
(-4, -1, -3.5, 57, True)
--- run mixed
a = 3
x = -2.5
--- want
(-7.5, 1)
--- run zero
a = 1
b = 0
--- want
raises ZeroDivisionError: integer division or modulo by zero
