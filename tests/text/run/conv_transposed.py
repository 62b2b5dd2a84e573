test run
# Transposed convolutions by phases: shifts by the padding, runs of phases with and without all taps, sizes that the stride does
# not divide, phases without a tap, few channels (all phases in one), groups, one dim and three, more output padding.
def weights(shape: List[int], a: int) -> Tensor:
    n = 1
    for i in shape:
        n *= i
    return (torch.arange(n) * a % 7 - 3).to(torch.float32).view(shape)

def sums(x: Tensor) -> Tensor:
    return x.sum(1).flatten(1).cumsum(1)[:, ::5]

def even(x: Tensor) -> Tensor:
    return sums(torch.conv_transpose2d(x, weights([2, 9, 4, 4], 5), torch.arange(9).to(torch.float32), [2, 2], [1, 1]))

def odd(x: Tensor) -> Tensor:
    y = torch.conv_transpose2d(x, weights([2, 8, 3, 5], 3), None, [2, 3], [1, 2], [1, 2])
    return sums(torch.relu(torch.conv_transpose2d(y, weights([8, 8, 3, 3], 4), None, [2, 1], [1, 1])))

def few(x: Tensor) -> Tensor:
    return torch.conv_transpose2d(x, weights([2, 1, 4, 3], 5), torch.arange(1).to(torch.float32) + 2, [2, 2], [1, 1], [0, 1])

def groups(x: Tensor) -> Tensor:
    y = torch.conv_transpose2d(x.repeat(1, 4, 1, 1), weights([8, 1, 4, 4], 5), torch.arange(8).to(torch.float32), [2, 2], [1, 1], [0, 0], 8)
    return sums(torch.conv_transpose2d(y, weights([8, 9, 1, 2], 4), None, [2, 2], [0, 0], [1, 0], 2))

def line(x: Tensor) -> Tensor:
    return torch.conv_transpose1d(x, weights([2, 8, 16], 5), torch.arange(8).to(torch.float32), [8], [4]).sum(1)[:, ::3]

def dilated(x: Tensor) -> Tensor:
    return torch.conv_transpose1d(x, weights([2, 3, 4], 5), None, [1], [2], [0], 1, [2]).sum(1)

def volume(x: Tensor) -> Tensor:
    return sums(torch.conv_transpose3d(x, weights([2, 8, 4, 3, 2], 5), None, [2, 2, 2], [1, 1, 0], [0, 1, 0]))
--- run even
x = f32[2, 2, 3, 4] iota
--- want
tensor([[72.0, 350.0, 474.0, 467.0, 843.0, 1077.0, 984.0, 1341.0, 1669.0, 1635.0], [96.0, 518.0, 618.0, 467.0, 867.0, 1053.0, 816.0, 1245.0, 1597.0, 1419.0]])
--- run odd
x = f32[1, 2, 3, 4] iota
--- want
tensor([[591.0, 6412.0, 11479.0, 17279.0, 24816.0, 29629.0, 35376.0, 40337.0, 46496.0, 53754.0, 59983.0, 65739.0, 71007.0, 79345.0, 86997.0, 92631.0, 98985.0, 104450.0, 112434.0, 121130.0, 127139.0, 134133.0, 139909.0, 147224.0, 155865.0, 161207.0, 167020.0]])
--- run few
x = f32[2, 2, 3, 4] iota
--- want
tensor([[[[2.0, 2.0, 5.0, 1.0, 8.0, 0.0, 11.0, -25.0], [6.0, -18.0, 5.0, -20.0, 4.0, -22.0, 3.0, -64.0], [38.0, -41.0, 41.0, -42.0, 44.0, -43.0, 47.0, -20.0], [2.0, -26.0, 1.0, -28.0, 0.0, -30.0, -1.0, -72.0], [50.0, -45.0, 53.0, -46.0, 56.0, -47.0, 59.0, -12.0], [-2.0, 52.0, -4.0, 55.0, -6.0, 58.0, -8.0, 1.0]]], [[[74.0, -22.0, 77.0, -23.0, 80.0, -24.0, 83.0, -49.0], [-18.0, -66.0, -19.0, -68.0, -20.0, -70.0, -21.0, -112.0], [110.0, -65.0, 113.0, -66.0, 116.0, -67.0, 119.0, 28.0], [-22.0, -74.0, -23.0, -76.0, -24.0, -78.0, -25.0, -120.0], [122.0, -69.0, 125.0, -70.0, 128.0, -71.0, 131.0, 36.0], [-50.0, 124.0, -52.0, 127.0, -54.0, 130.0, -56.0, 25.0]]]])
--- run groups
x = f32[1, 2, 3, 2] iota
--- want
tensor([[-7.0, 51.0, 66.0, 66.0, -262.0, -246.0, -246.0, -201.0, -90.0, -90.0, -194.0, -514.0, -514.0, -578.0, -151.0, -268.0, -343.0, -568.0, -401.0, -401.0]])
--- run line
x = f32[1, 2, 5] iota
--- want
tensor([[23.0, 28.0, 51.0, 21.0, 12.0, 28.0, 37.0, 39.0, 10.0, 9.0, 57.0, 18.0, 18.0, 31.0]])
--- run dilated
x = f32[1, 2, 5] iota
--- want
tensor([[-26.0, -27.0, -18.0, -30.0, -19.0, 23.0, 23.0]])
--- run volume
x = f32[1, 2, 2, 3, 2] iota
--- want
tensor([[36.0, 18.0, 36.0, -162.0, -36.0, -135.0, -150.0, -52.0, 33.0, 47.0, 188.0, -14.0, 70.0, -26.0, 44.0, 49.0, 41.0, 157.0, 118.0, 167.0]])
