test run
# in the first iteration a carried name still means the tensor from before the loop
def forward(x: Tensor, n: int) -> Tuple[Tensor, Tensor]:
    y = x.clone()
    a = y * 1
    b = y[0]
    for i in range(n):
        b += 1
        a = a * 2 + y
    return y, a
--- run forward
x = f32[2, 2] 1 2 3 4
n = 2
--- want
(tensor([[3.0, 4.0], [3.0, 4.0]]), tensor([[11.0, 18.0], [21.0, 28.0]]))
