test run
# A tensor and an int carried by a loop; break and continue.
def f(x: Tensor, n: int) -> Tuple[Tensor, int]:
    total = 0
    for i in range(n):
        if i == 2:
            continue
        if i > 5:
            break
        x = torch.tanh(x) + i
        total += i
    return x, total
--- run
x = f32[3] 0.1 0.2 0.3
n = 4
--- want
(tensor([3.8002614974975586, 3.8320775032043457, 3.857372999191284]), 4)
--- run
x = f32[3] 0.1 0.2 0.3
n = 10
--- want
(tensor([5.999908924102783, 5.999908924102783, 5.999908924102783]), 13)
--- run
x = f32[3] 0.1 0.2 0.3
n = 0
--- want
(tensor([0.10000000149011612, 0.20000000298023224, 0.30000001192092896]), 0)
