test run
# Operands of different dtypes are promoted first; products of small integers are C ints.
def f(a: Tensor, b: Tensor) -> Tuple[Tensor, Tensor]:
    return torch.gcd(a, b), torch.lcm(a, b)
--- run
a = i8[4] 12 -8 0 5
b = u8[4] 18 12 7 0
--- want
(tensor([6, 4, 7, 5]), tensor([36, 24, 0, 0]))
--- run
a = i8[3] 100 3 -128
b = i8[3] 7 -9 3
--- want
(tensor([1, 3, 1]), tensor([-68, 9, -128]))
