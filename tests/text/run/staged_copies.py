test run
# Both products of one staged kernel pack a factor before it: two kernels of the group with one name.
def forward(x: Tensor) -> Tensor:
    q, k, v = x.reshape(36, 3, 2, 16).permute(1, 2, 3, 0).unbind(0)
    k = k / k.abs().sum(-1, keepdim=True)
    y = torch.matmul(torch.matmul(q, k.transpose(-2, -1)).softmax(-1), v)
    return (y * 1000).round()[:, 5::9, 0::15]

--- run forward
x = f32[36, 96] random 3
--- want
tensor([[[9.0, 149.0, 282.0], [49.0, 133.0, 269.0]], [[26.0, -100.0, -94.0], [7.0, -112.0, -97.0]]])
