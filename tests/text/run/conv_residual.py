test run
# What is added to a convolution lies in an order of its own, which keeps some of the rows apart that the image keeps together.
def weights(shape: List[int], a: int) -> Tensor:
    n = 1
    for i in shape:
        n *= i
    return (torch.arange(n) * a % 7 - 3).to(torch.float32).view(shape)

def volume(x: Tensor, r: Tensor) -> Tensor:
    y = torch.conv3d(torch.remainder(x, 7).repeat(1, 8, 1, 1, 1), weights([16, 8, 3, 3, 2], 5), None, [1, 1, 1], [1, 1, 0])
    return (y + r.permute(0, 4, 2, 3, 1))[:, ::5].sum([3, 4])

def image(x: Tensor, r: Tensor) -> Tensor:
    y = torch.conv2d(torch.remainder(x, 7).repeat(1, 8, 1, 1), weights([16, 8, 5, 3], 5), None, [1, 1], [2, 1])
    return (y + r.permute(1, 3, 2, 0))[:, ::5].sum([3])
--- run volume
x = f32[1, 1, 3, 4, 6] iota
r = f32[1, 5, 3, 4, 16] iota
--- want
tensor([[[7983.0, 9292.0, 10719.0], [8166.0, 9405.0, 10646.0], [8405.0, 9518.0, 10804.0], [8392.0, 9771.0, 11025.0]]])
--- run image
x = f32[3, 1, 4, 6] iota
r = f32[6, 3, 4, 16] iota
--- want
tensor([[[2814.0, 2934.0, 3071.0, 3157.0], [2971.0, 3066.0, 3091.0, 3220.0], [2925.0, 2974.0, 3090.0, 3227.0], [2963.0, 3085.0, 3222.0, 3297.0]], [[3169.0, 3321.0, 3455.0, 3560.0], [3384.0, 3493.0, 3487.0, 3548.0], [3270.0, 3315.0, 3477.0, 3627.0], [3338.0, 3515.0, 3649.0, 3692.0]], [[3566.0, 3694.0, 3839.0, 3921.0], [3748.0, 3850.0, 3876.0, 3988.0], [3671.0, 3726.0, 3850.0, 3999.0], [3727.0, 3861.0, 4006.0, 4066.0]]])
