test run
# writes through chains of views
def forward(x: Tensor, flag: bool) -> Tuple[Tensor, Tensor]:
    y = x.clone()
    a = y.t()[1]
    b = y.view([-1])[2:]
    a.fill_(9)
    if flag:
        b.add_(1)
        y.unsqueeze(0).transpose(1, 2)[0, 0].neg_()
    z = (y.t() + 1).reshape([-1])
    z[0] = 50
    d = y.diagonal()
    d.mul_(3)
    return y, z
--- run forward
x = f32[3, 3] 1 2 3 4 5 6 7 8 9
flag = true
--- want
(tensor([[-3.0, 9.0, 4.0], [-5.0, 30.0, 7.0], [-8.0, 10.0, 30.0]]), tensor([50.0, -4.0, -7.0, 10.0, 11.0, 11.0, 5.0, 8.0, 11.0]))
--- run forward
x = f32[3, 3] 1 2 3 4 5 6 7 8 9
flag = false
--- want
(tensor([[3.0, 9.0, 3.0], [4.0, 27.0, 6.0], [7.0, 9.0, 27.0]]), tensor([50.0, 5.0, 8.0, 10.0, 10.0, 10.0, 4.0, 7.0, 10.0]))
