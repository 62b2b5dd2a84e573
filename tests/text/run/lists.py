test run
# A list that grows in a loop whose length the data decides; a dict; a string.
def f(x: Tensor, n: int) -> Tuple[Tensor, Dict[str, int], str]:
    parts: List[Tensor] = []
    i = 0
    while i < n and bool(x[i] > 0):
        parts.append(x[i] * i)
        i += 1
    counts = {"n": n, "taken": len(parts)}
    if len(parts) == 0:
        return x, counts, "none"
    return torch.stack(parts), counts, "took {}".format(len(parts))
--- run
x = f32[4] 1 2 -1 5
n = 4
--- run
x = f32[4] -1 2 -1 5
n = 4
--- run
x = f32[4] 1 1 1 1
n = 2
