test run
# Sizes that vary are run-time values: 1 broadcasts, others must agree.
def f(x: Tensor, y: Tensor) -> Tuple[Tensor, int]:
    z = x + y
    return z.softmax(-1).sum(0), z.size(0) * z.size(1)
--- run
x = f32[2, 3] random 1
y = f32[2, 3] random 2
--- want
(tensor([0.49507927894592285, 0.8082637786865234, 0.6966569423675537]), 6)
--- run
x = f32[4, 5] random 3
y = f32[4, 5] random 4
--- want
(tensor([0.5063684582710266, 0.6904165148735046, 0.9463390707969666, 1.1491954326629639, 0.7076804041862488]), 20)
--- run
x = f32[1, 1] random 3
y = f32[1, 1] random 4
--- want
(tensor([1.0]), 1)
