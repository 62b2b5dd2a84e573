# A branch on data: written as a script, both sides are compiled.
def forward(x: Tensor, w1: Tensor, w2: Tensor, z: Tensor) -> Tensor:
    if bool(z > 10):
        y = x.mm(w1)
    else:
        y = x.mm(w2)
    return y
