test run
# what a branch writes through a view is seen through the base, and the other way round
def forward(x: Tensor, flag: bool) -> Tuple[Tensor, Tensor]:
    y = x.clone()
    v = y[0]
    if flag:
        v.mul_(10)
    else:
        y.add_(1)
    v.sub_(0.5)
    return y, v
--- run forward
x = f32[2, 2] 1 2 3 4
flag = true
--- want
(tensor([[9.5, 19.5], [3.0, 4.0]]), tensor([9.5, 19.5]))
--- run forward
x = f32[2, 2] 1 2 3 4
flag = false
--- want
(tensor([[1.5, 2.5], [4.0, 5.0]]), tensor([1.5, 2.5]))
