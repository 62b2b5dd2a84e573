test run
# Convolutions of what was moved: pixels put in the place of channels and back, sequences as images (in both orders, with a token
# in front), slices with steps, flipped and rolled images; parts of several images put one behind the other.
def weights(shape: List[int], a: int) -> Tensor:
    n = 1
    for i in shape:
        n *= i
    return (torch.arange(n) * a % 7 - 3).to(torch.float32).view(shape)

def shuffled(x: Tensor) -> Tensor:
    y = torch.pixel_shuffle(torch.conv2d(x, weights([16, 2, 1, 1], 3)), 2)
    z = torch.conv2d(y, weights([8, 4, 3, 3], 5), None, [1, 1], [1, 1])
    return torch.conv2d(torch.pixel_unshuffle(z, 2), weights([2, 32, 3, 3], 5), None, [1, 1], [1, 1])

def tokens(x: Tensor) -> Tensor:
    y = x[:, 1:].transpose(1, 2).reshape(1, 8, 3, 4)
    a = torch.conv2d(y, weights([8, 1, 3, 3], 5), None, [1, 1], [1, 1], [1, 1], 8)
    b = torch.conv2d(y, weights([4, 8, 3, 3], 3), None, [2, 1], [1, 1])
    return torch.cat([a.flatten(2).sum(2), b.flatten(2).sum(2)], 1)

def planes(x: Tensor) -> Tensor:
    y = (x * 2)[:, :, 1:].reshape(1, 8, 3, 4)
    return torch.conv2d(y, weights([8, 1, 5, 3], 5), None, [1, 1], [2, 1], [1, 1], 8).sum(1)

def sliced(x: Tensor) -> Tensor:
    y = torch.conv2d(x[:, 1::2, ::2, 1::3], weights([8, 3, 3, 3], 5), None, [1, 1], [1, 1])
    z = torch.conv2d(torch.flip(y, [3]), weights([8, 1, 3, 3], 3), None, [1, 1], [1, 1], [1, 1], 8)
    return torch.conv2d(torch.roll(z, [1, -1], [2, 3]), weights([2, 8, 3, 3], 3), None, [1, 1], [1, 1])

def heads(x: Tensor, y: Tensor) -> Tensor:
    w = weights([6, 2, 1, 1], 3)
    a = torch.conv2d(x, w).permute(0, 2, 3, 1).reshape(1, -1, 3)
    b = torch.conv2d(y, w).permute(0, 2, 3, 1).reshape(1, -1, 3)
    return torch.cat([a, b], 1)
--- run shuffled
x = f32[1, 2, 2, 3] iota
--- want
tensor([[[[-6905.0, -6436.0, -559.0], [-2915.0, -3212.0, -9374.0]], [[382.0, -387.0, -11525.0], [6052.0, 5028.0, -4751.0]]]])
--- run tokens
x = f32[1, 13, 8] iota
--- want
tensor([[360.0, -1684.0, 1942.0, -1873.0, 1368.0, -403.0, 304.0, 409.0, -557.0, -187.0, 85.0, 35.0]])
--- run planes
x = f32[1, 8, 13] iota
--- want
tensor([[[-788.0, -234.0, -242.0, -64.0], [28.0, -160.0, -158.0, -826.0], [214.0, -366.0, -368.0, -804.0]]])
--- run sliced
x = f32[1, 6, 5, 10] iota
--- want
tensor([[[[32101.0, -24450.0, 5627.0], [-6808.0, 38360.0, 4233.0], [17570.0, -87.0, -16177.0]], [[-13866.0, -17242.0, 30340.0], [-44115.0, 31546.0, -18900.0], [24132.0, -57572.0, 37933.0]]]])
--- run heads
x = f32[1, 2, 3, 2] iota
y = f32[1, 2, 1, 2] iota
--- want
tensor([[[0.0, -6.0, -12.0], [-18.0, 18.0, 12.0], [-3.0, -4.0, -12.0], [-20.0, 21.0, 13.0], [-6.0, -2.0, -12.0], [-22.0, 24.0, 14.0], [-9.0, 0.0, -12.0], [-24.0, 27.0, 15.0], [-12.0, 2.0, -12.0], [-26.0, 30.0, 16.0], [-15.0, 4.0, -12.0], [-28.0, 33.0, 17.0], [0.0, -2.0, -4.0], [-6.0, 6.0, 4.0], [-3.0, 0.0, -4.0], [-8.0, 9.0, 5.0]]])
