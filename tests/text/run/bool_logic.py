test run
# short circuits with effects, chained comparisons, conditional expressions
def forward(x: List[int], i: int) -> Tuple[bool, int]:
    ok = i < len(x) and x[i] > 0
    v = x[i] if ok else -1
    if 0 <= i < 2 or not ok:
        v = v * 2
    return ok, v

def loop(n: int) -> int:
    k = 0
    while n > 1 and k < 100:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        k += 1
    return k
--- run forward
x = [5, -6, 7]
i = 0
--- want
(True, 10)
--- run forward
x = [5, -6, 7]
i = 1
--- want
(False, -2)
--- run forward
x = [5, -6, 7]
i = 9
--- want
(False, -2)
--- run loop
n = 27
--- want
100
