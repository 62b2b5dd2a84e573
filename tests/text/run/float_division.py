test run
# Remainders of floats that only the run knows.
def f(a: float, b: float, n: int) -> Tuple[float, float, float, float, float]:
    return a % b, a // b, n % b, a % n, n // b
--- run
a = 7.5
b = -2.0
n = 7
--- want
(-0.5, -4.0, -1.0, 0.5, -4.0)
--- run
a = -0.5
b = 0.1
n = -3
--- want
(2.7755575615628914e-17, -5.0, 1.6653345369377348e-16, -0.5, -30.0)
--- run
a = -6.0
b = 3.0
n = 4
--- want
(0.0, -2.0, 1.0, 2.0, 1.0)
