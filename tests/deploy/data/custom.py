import torch
from typing import List, Optional, Tuple


def rows(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    y = torch.relu(x @ w)
    return torch.ops.my_ops.rowsum(y, 0.5) + 1.0


def kept(x: torch.Tensor) -> torch.Tensor:
    return torch.ops.my_ops.positive(x.flatten()) * 2.0


def largest(x: torch.Tensor) -> Tuple[float, int, bool]:
    top, at, any = torch.ops.my_ops.extent(x)
    if any:
        return top, at, any
    return -1.0, at, any


def written(x: torch.Tensor, by: int) -> Tuple[torch.Tensor, torch.Tensor]:
    y = x * 2.0
    z = torch.ops.my_ops.grow_(y, by)
    return y, z + 1.0


def blended(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    a = torch.ops.my_ops.blend([x, y, x * y], [1.0, 2.0, 3.0], None, "mean")
    return torch.ops.my_ops.blend([a], [1.0], y.sum().reshape(1))


def misled(x: torch.Tensor) -> torch.Tensor:
    return torch.ops.my_ops.lies(x) * 2.0


def in_place(x: torch.Tensor) -> torch.Tensor:
    torch.ops.my_ops.grow_(x[1:], 3)
    return x.sum()


def flattened(x: torch.Tensor) -> torch.Tensor:
    return torch.ops.my_ops.flat(x) * 2.0
