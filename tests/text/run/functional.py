test run
# torch.nn.functional has parameters of its own
def forward(x: Tensor, mean: Tensor, w: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    y = F.batch_norm(x, mean, torch.ones(2), w, None, False, 0.1, 0.0)
    z = F.layer_norm(y, (2,))
    p, i = F.max_pool1d(x, 2, return_indices=True)
    return y, z, i + F.max_pool1d(x, 2).long()

def table(i: Tensor, w: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    return F.embedding(i, w), F.embedding_bag(i, w, mode="sum"), F.interpolate(w.unsqueeze(0), scale_factor=2.0)

def losses(a: Tensor, b: Tensor) -> Tuple[Tensor, Tensor]:
    return F.l1_loss(a, b, reduction="sum"), F.leaky_relu(F.mse_loss(a, b, reduction="none") - 2, 0.5, True)
--- run forward
x = f32[1, 2, 2] 1 2 3 5
mean = f32[2] 1 3
w = f32[2] 2 1
--- want
(tensor([[[0.0, 2.0], [0.0, 2.0]]]), tensor([[[-0.9999949932098389, 0.9999949932098389], [-0.9999949932098389, 0.9999949932098389]]]), tensor([[[3], [6]]]))
--- run table
i = i64[1, 2] 1 0
w = f32[2, 2] 1 2 3 4
--- want
(tensor([[[3.0, 4.0], [1.0, 2.0]]]), tensor([[4.0, 6.0]]), tensor([[[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0]]]))
--- run losses
a = f32[3] 1 2 3
b = f32[3] 3 2 4
--- want
(tensor(3.0), tensor([2.0, -1.0, -0.5]))
