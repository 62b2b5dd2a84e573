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
--- want
(tensor([0.0, 2.0]), {'n': 4, 'taken': 2}, 'took 2')
--- run
x = f32[4] -1 2 -1 5
n = 4
--- want
(tensor([-1.0, 2.0, -1.0, 5.0]), {'n': 4, 'taken': 0}, 'none')
--- run
x = f32[4] 1 1 1 1
n = 2
--- want
(tensor([0.0, 1.0]), {'n': 2, 'taken': 2}, 'took 2')
