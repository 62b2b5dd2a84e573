test run
# Limits beyond the range of small integers are its ends, also when only the run knows them; bools squared are integers.
def f(u: Tensor, i: Tensor, b: Tensor, low: int, high: int) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return torch.clamp(u, -1, 300), torch.clamp(i, -300, 5), torch.clamp(i, low, high), torch.hardtanh(u), torch.square(b)
--- run
u = u8[4] 0 1 2 200
i = i8[4] 0 1 -100 100
b = bool[2] 1 0
low = -50
high = 1000
--- want
(tensor([0, 1, 2, 200]), tensor([0, 1, -100, 5]), tensor([0, 1, -50, 100]), tensor([0, 1, 1, 1]), tensor([1, 0]))
