test run
# Few rows times a concat, along the columns and along the rows of its right factor.
def f(q: Tensor, kept: Tensor, new: Tensor) -> Tuple[Tensor, Tensor]:
    k = torch.cat([kept % 5, new], 1)
    p = torch.matmul(q % 3, k.transpose(1, 2))
    o = torch.matmul(p % 4, k)
    return p[0, 1, 60:], o[1, 0, :6]
--- run
q = f32[2, 2, 48] iota
kept = f32[2, 63, 48] iota
new = f32[2, 3, 48] iota
--- want
(tensor([95.0, 94.0, 98.0, 1160.0, 3464.0, 5768.0]), tensor([122.0, 222.0, 202.0, 237.0, 217.0, 122.0]))
