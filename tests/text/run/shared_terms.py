test run
# An epilogue in which each step reads the one before twice: as text it would have 2^40 terms.
def forward(x: Tensor, w: Tensor) -> Tensor:
    y = torch.mm(x, w)
    for i in range(40):
        y = y * 0.25 + y * 0.25
    return y
--- run
x = f32[2, 2] 1 2 3 4
w = f32[2, 2] 1 0 0 1
--- want
tensor([[9.094947017729282e-13, 1.8189894035458565e-12], [2.7284841053187847e-12, 3.637978807091713e-12]])
