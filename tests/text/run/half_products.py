test run
# Products of factors of 16 bits in which many rows share a panel: in place, across, of one tensor, and convolutions with padding.
def rows(x: Tensor, y: Tensor) -> Tensor:
    a = (x % 11 - 5).to(torch.bfloat16)
    b = (y % 13 - 6).to(torch.bfloat16)
    return torch.matmul(a, b).to(torch.float32)[..., -2:, -3:]

def across(x: Tensor, y: Tensor) -> Tensor:
    a = (x % 11 - 5).to(torch.float16)
    b = (y % 13 - 6).to(torch.float16)
    return torch.matmul(a, b.t()).to(torch.float32)[..., -2:, -3:]

def itself(x: Tensor) -> Tensor:
    a = (x % 11 - 5).to(torch.bfloat16)
    return torch.matmul(a, a.t()).to(torch.float32)[-1, -4:]

def window(x: Tensor, y: Tensor) -> Tensor:
    a = (x % 11 - 5).to(torch.bfloat16)
    b = (y % 13 - 6).to(torch.bfloat16)
    return torch.conv2d(a, b, None, 1, 1).to(torch.float32)[0, -1, 0]
--- run rows
x = f32[9, 270] iota
y = f32[270, 35] iota
--- want
tensor([[-14.0, -71.0, -24.0], [20.0, 55.0, 51.0]])
--- run rows
x = f32[2, 9, 270] iota
y = f32[2, 270, 35] iota
--- want
tensor([[[-14.0, -71.0, -24.0], [20.0, 55.0, 51.0]], [[43.0, 17.0, -48.0], [-15.0, 40.0, 56.0]]])
--- run across
x = f32[9, 270] iota
y = f32[35, 270] iota
--- want
tensor([[-78.0, 54.0, 82.0], [65.0, -79.0, -119.0]])
--- run itself
x = f32[34, 40] iota
--- want
tensor([207.0, -100.0, -132.0, 386.0])
--- run window
x = f32[1, 9, 5, 7] iota
y = f32[33, 9, 3, 3] iota
--- want
tensor([-38.0, -95.0, -59.0, 54.0, 13.0, -50.0, -52.0])
