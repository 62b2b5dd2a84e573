import torch


def forward(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    h = torch.relu(x @ w)
    return h / torch.ops.my_ops.norms(h).unsqueeze(1)
