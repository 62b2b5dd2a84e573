test run
# Products with few columns: lanes count k, and a tile has all columns of several rows.  One column and several, padding, steps, rows
# that are no whole tiles or groups, weights that are taken in parts, an epilogue, an unknown number of rows.  Integers: all is exact.
def weights(shape: List[int], a: int) -> Tensor:
    n = 1
    for i in shape:
        n *= i
    return (torch.arange(n) * a % 7 - 3).to(torch.float32).view(shape)

def image(x: Tensor) -> Tensor:
    y = torch.conv2d(x, weights([8, 2, 1, 1], 3))
    z = torch.relu(torch.conv2d(y, weights([3, 8, 3, 3], 5), torch.arange(3).to(torch.float32), [1, 1], [1, 1]))
    return torch.cat([z, torch.conv2d(y, weights([1, 8, 3, 3], 5), None, [1, 1], [1, 1])], 1)

def line(x: Tensor) -> Tensor:
    y = torch.conv1d(x, weights([16, 1, 2], 3))
    return torch.conv1d(y, weights([2, 16, 5], 5), None, [1], [2]).sum(2)

def large(x: Tensor) -> Tensor:
    y = x.repeat(1, 32, 1, 1) + torch.conv2d(x, weights([64, 2, 1, 1], 5))
    return torch.conv2d(y, weights([3, 64, 8, 3], 5), None, [2, 1], [4, 1])

def many(x: Tensor) -> Tensor:
    y = torch.relu(torch.conv2d(x, weights([32, 2, 1, 1], 5)))
    return torch.conv2d(y, weights([5, 32, 10, 1], 5), None, [1, 1], [5, 0]).sum(3)

def rows(x: Tensor) -> Tensor:
    one = torch.linear(x, weights([1, 64], 5), torch.ones(1))
    return torch.cat([torch.linear(x, weights([6, 64], 5)) - one, one], 1)
--- run image
x = f32[2, 2, 2, 5] iota
--- want
tensor([[[[132.0, 166.0, 166.0, 166.0, 241.0], [0.0, 0.0, 0.0, 0.0, 341.0]], [[74.0, 153.0, 169.0, 185.0, 0.0], [173.0, 0.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0, 343.0], [0.0, 0.0, 0.0, 0.0, 86.0]], [[132.0, 166.0, 166.0, 166.0, 241.0], [-252.0, -51.0, -47.0, -43.0, 341.0]]], [[[0.0, 166.0, 166.0, 166.0, 701.0], [0.0, 29.0, 33.0, 37.0, 761.0]], [[854.0, 473.0, 489.0, 505.0, 0.0], [633.0, 21.0, 27.0, 33.0, 0.0]], [[0.0, 31.0, 35.0, 39.0, 763.0], [0.0, 0.0, 0.0, 0.0, 0.0]], [[-188.0, 166.0, 166.0, 166.0, 701.0], [-1032.0, 29.0, 33.0, 37.0, 761.0]]]])
--- run line
x = f32[1, 1, 102] iota
--- want
tensor([[-226206.0, 213432.0]])
--- run large
x = f32[1, 2, 3, 4] iota
--- want
tensor([[[[-2346.0, -288.0, -162.0, 156.0], [1305.0, -408.0, -345.0, -2094.0]], [[-4539.0, -2664.0, -2916.0, 420.0], [-258.0, -1335.0, -1398.0, -4917.0]], [[156.0, 3108.0, 3234.0, 5136.0], [-2346.0, -288.0, -162.0, 156.0]]]])
--- run many
x = f32[1, 2, 2, 3] iota
--- want
tensor([[[45.0, 1077.0, 366.0], [366.0, 516.0, -300.0], [-300.0, -1011.0, -693.0], [-693.0, 45.0, 1077.0], [1077.0, 366.0, 516.0]]])
--- run rows
x = f32[9, 64] iota
--- want
tensor([[-1.0, 125.0, 125.0, -1.0, 188.0, 251.0, -125.0], [-1.0, 445.0, 317.0, 63.0, 572.0, 507.0, -317.0], [-1.0, 765.0, 509.0, 127.0, 956.0, 763.0, -509.0], [-1.0, 1085.0, 701.0, 191.0, 1340.0, 1019.0, -701.0], [-1.0, 1405.0, 893.0, 255.0, 1724.0, 1275.0, -893.0], [-1.0, 1725.0, 1085.0, 319.0, 2108.0, 1531.0, -1085.0], [-1.0, 2045.0, 1277.0, 383.0, 2492.0, 1787.0, -1277.0], [-1.0, 2365.0, 1469.0, 447.0, 2876.0, 2043.0, -1469.0], [-1.0, 2685.0, 1661.0, 511.0, 3260.0, 2299.0, -1661.0]])
