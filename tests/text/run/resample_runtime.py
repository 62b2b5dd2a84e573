test run
# Factors that only the run knows; linear steps and images whose size stays or doubles copy whatever the factor is.
def image(x: Tensor) -> Tensor:
    return torch.upsample_nearest2d(x, None, [1.1, 2.1])
def known(x: Tensor) -> Tuple[Tensor, Tensor]:
    return torch.upsample_nearest1d(x, None, [1.1]), torch.upsample_linear1d(x, None, False, [1.1])
def given(x: Tensor, s: float) -> Tuple[Tensor, Tensor]:
    return torch.upsample_nearest1d(x, None, [s]), torch.upsample_linear1d(x, None, False, [s])
--- run image
x = f32[1, 1, 3, 4] iota
--- want
tensor([[[[0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0], [4.0, 4.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0], [8.0, 8.0, 9.0, 9.0, 10.0, 10.0, 11.0, 11.0]]]])
--- run image
x = f32[1, 1, 2, 5] iota
--- want
tensor([[[[0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0], [5.0, 5.0, 6.0, 6.0, 7.0, 7.0, 8.0, 8.0, 9.0, 9.0]]]])
--- run known
x = f32[1, 1, 3] iota
--- want
(tensor([[[0.0, 0.0, 1.0]]]), tensor([[[0.0, 1.0, 2.0]]]))
--- run known
x = f32[1, 1, 10] iota
--- want
(tensor([[[0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]]]), tensor([[[0.0, 0.8636363744735718, 1.7727272510528564, 2.6818182468414307, 3.590909004211426, 4.5, 5.409090995788574, 6.318181991577148, 7.227272987365723, 8.136363983154297, 9.0]]]))
--- run given
x = f32[1, 1, 3] iota
s = 1.1
--- want
(tensor([[[0.0, 0.0, 1.0]]]), tensor([[[0.0, 1.0, 2.0]]]))
--- run given
x = f32[1, 1, 3] iota
s = 2.1
--- want
(tensor([[[0.0, 0.0, 0.0, 1.0, 1.0, 2.0]]]), tensor([[[0.0, 0.2142857313156128, 0.6904761791229248, 1.1666666269302368, 1.6428570747375488, 2.0]]]))
--- run given
x = f32[1, 1, 4] iota
s = 0.6
--- want
(tensor([[[0.0, 1.0]]]), tensor([[[0.3333333134651184, 2.0]]]))
