test run
# an in-place change of a tensor's shape is seen under all of its names
def forward(x: Tensor) -> Tuple[Tensor, List[Tensor], int, Tensor]:
    y = x.clone()
    z = y
    row = y[0]
    names = [y, row]
    y.unsqueeze_(0)
    y.transpose_(1, 2)
    z[0, 1] += 10
    row.mul_(2)
    return z, names, names[0].dim(), y

def swapped(x: Tensor, n: int) -> Tuple[Tensor, Tensor]:
    y = x.clone()
    z = (y, n)
    for i in range(3):
        y.t_()
    y.squeeze_()
    for i in range(n):
        fresh = x + i
        other = fresh
        fresh.swapaxes_(0, 1)
        y = y + other
    return z[0], y
--- run forward
x = f32[2, 3] iota
--- want
(tensor([[[0.0, 3.0], [22.0, 14.0], [4.0, 5.0]]]), [tensor([[[0.0, 3.0], [22.0, 14.0], [4.0, 5.0]]]), tensor([0.0, 22.0, 4.0])], 3, tensor([[[0.0, 3.0], [22.0, 14.0], [4.0, 5.0]]]))
--- run swapped
x = f32[2, 3] iota
n = 2
--- want
(tensor([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]), tensor([[1.0, 10.0], [4.0, 13.0], [7.0, 16.0]]))
