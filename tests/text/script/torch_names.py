test script
# dtypes are ints; F.x(inplace=True) is the in-place form; no_grad is nothing
import torch
import torch.nn.functional as F
import math

def f(x: torch.Tensor):
    with torch.no_grad():
        y = F.relu(x.to(torch.float32), inplace=True)
    return y.view(2, -1) * math.pi, torch.zeros(2, 3, dtype=torch.long), x.float()
--- want
module "test" surface

func @f(%x: tensor) -> (tensor, tensor, tensor) export of "f" {
  %0: int = const 6
  %1: bool = const false
  %2: bool = const false
  %3: none = const none
  %4: tensor = to.dtype %x, %0, %1, %2, %3
  %y: tensor = relu_ %4
  %5: int = const 2
  %6: int = const -1
  %7: list[int] = list %5, %6
  %8: tensor = view %y, %7
  %9: float = const 3.141592653589793
  %10: tensor = mul.Scalar %8, %9
  %11: int = const 2
  %12: int = const 3
  %13: int = const 4
  %14: list[int] = list %11, %12
  %15: none = const none
  %16: none = const none
  %17: none = const none
  %18: tensor = zeros %14, %13, %15, %16, %17
  %19: int = const 6
  %20: bool = const false
  %21: bool = const false
  %22: none = const none
  %23: tensor = to.dtype %x, %19, %20, %21, %22
  %24: (tensor, tensor, tensor) = tuple %10, %18, %23
  return %24
}
