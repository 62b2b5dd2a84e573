test run
def f(x: Tensor, w1: Tensor, w2: Tensor, z: Tensor) -> Tensor:
    if bool(z > 10):
        y = x.mm(w1)
    else:
        y = x.mm(w2)
    return y
--- run
x = f32[2, 2] 1 2 3 4
w1 = f32[2, 2] 1 0 0 1
w2 = f32[2, 1] 10 1
z = f32[] 11
--- want
tensor([[1.0, 2.0], [3.0, 4.0]])
--- run
x = f32[2, 2] 1 2 3 4
w1 = f32[2, 2] 1 0 0 1
w2 = f32[2, 1] 10 1
z = f32[] 10
--- want
tensor([[12.0], [34.0]])
