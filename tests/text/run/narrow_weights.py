test run
# Weights that params hold in fewer bytes, with scales and a zero point of each column or of parts of k: few rows compute their
# elements in registers, many make f32 panels of them.  Columns and steps do not fill panels and blocks.
def table() -> Tensor:
    return torch.arange(-59, 61, dtype=torch.int8).repeat([150]).view([60, 300])

def by_column(x: Tensor) -> Tensor:
    w = (table().to(torch.float32) - 2) * (torch.arange(60).view([60, 1]) % 4 + 1)
    return torch.nn.functional.linear(x % 7 - 3, w)[-2:, 50:]

def by_part(x: Tensor) -> Tensor:
    s = torch.arange(180).view([60, 3, 1]) % 5 - 2
    w = (table().view([60, 3, 100]).to(torch.float32) * s).view([60, 300])
    return torch.matmul(x % 7 - 3, w.t())[-2:, :9]

def halves(x: Tensor) -> Tensor:
    w = table().to(torch.bfloat16) * 0.5
    return torch.nn.functional.linear((x % 11).to(torch.bfloat16), w).to(torch.float32)[-2:, 53:]
--- run by_column
x = f32[1, 300] iota
--- want
tensor([[741.0, -1172.0, 247.0, -586.0, 741.0, -1172.0, 247.0, -586.0, 741.0, -1172.0]])
--- run by_column
x = f32[3, 300] iota
--- want
tensor([[1989.0, -2148.0, 663.0, -1074.0, 1989.0, -2148.0, 663.0, -1074.0, 1989.0, -2148.0], [1620.0, -1920.0, 540.0, -960.0, 1620.0, -1920.0, 540.0, -960.0, 1620.0, -1920.0]])
--- run by_column
x = f32[15, 300] iota
--- want
tensor([[-906.0, 952.0, -302.0, 476.0, -906.0, 952.0, -302.0, 476.0, -906.0, 952.0], [741.0, -1172.0, 247.0, -586.0, 741.0, -1172.0, 247.0, -586.0, 741.0, -1172.0]])
--- run by_part
x = f32[1, 300] iota
--- want
tensor([[-513.0, -305.0, -272.0, -319.0, -31.0, 507.0, 595.0, 208.0, 221.0]])
--- run by_part
x = f32[3, 300] iota
--- want
tensor([[-590.0, -273.0, 69.0, -114.0, 728.0, 670.0, 567.0, 129.0, -774.0], [-135.0, -136.0, 403.0, 7.0, 941.0, 525.0, -1036.0, 43.0, -173.0]])
--- run by_part
x = f32[15, 300] iota
--- want
tensor([[96.0, -232.0, -200.0, -608.0, -496.0, 36.0, 308.0, 280.0, 292.0], [-513.0, -305.0, -272.0, -319.0, -31.0, 507.0, 595.0, 208.0, 221.0]])
--- run halves
x = f32[1, 300] iota
--- want
tensor([[4256.0, -3472.0, 4256.0, -3472.0, 4256.0, -3472.0, 4256.0]])
--- run halves
x = f32[3, 300] iota
--- want
tensor([[4384.0, -3824.0, 4384.0, -3824.0, 4384.0, -3824.0, 4384.0], [5824.0, -4800.0, 5824.0, -4800.0, 5824.0, -4800.0, 5824.0]])
--- run halves
x = f32[15, 300] iota
--- want
tensor([[5824.0, -4800.0, 5824.0, -4800.0, 5824.0, -4800.0, 5824.0], [4960.0, -4448.0, 4960.0, -4448.0, 4960.0, -4448.0, 4960.0]])
