test run
# a list of sizes that the caller passes: its length decides the rank
def forward(x: Tensor, sizes: List[int]) -> Tuple[Tensor, Tensor, List[int]]:
    y = x.view(sizes)
    return y, torch.zeros([1] + sizes), sizes
--- run forward
x = f32[6] iota
sizes = [2, 3]
--- want
(tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]), tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]), [2, 3])
--- run forward
x = f32[6] iota
sizes = [3, 2]
--- want
(tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]), tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]), [3, 2])
