test script
# ints, slices, None and ... are views; tensors are one index
def f(x, i):
    return x[0], x[1:3, ::2], x[:, None, ..., -1], x[i], x[0, i], x.shape
--- want
module "test" surface

func @f(%x: tensor, %i: tensor) -> (tensor, tensor, tensor, tensor, tensor, list[int]) export of "f" {
  %0: int = const 0
  %1: int = const 0
  %2: tensor = select.int %x, %1, %0
  %3: int = const 1
  %4: int = const 3
  %5: int = const 1
  %6: int = const 0
  %7: tensor = slice.Tensor %x, %6, %3, %4, %5
  %8: none = const none
  %9: none = const none
  %10: int = const 2
  %11: int = const 1
  %12: tensor = slice.Tensor %7, %11, %8, %9, %10
  %13: int = const 1
  %14: tensor = unsqueeze %x, %13
  %15: int = const -1
  %16: int = const -1
  %17: tensor = select.int %14, %16, %15
  %18: list[optional[tensor]] = list %i
  %19: tensor = index.Tensor %x, %18
  %20: int = const 0
  %21: int = const 0
  %22: tensor = select.int %x, %21, %20
  %23: list[optional[tensor]] = list %i
  %24: tensor = index.Tensor %22, %23
  %25: list[int] = aten::size %x
  %26: (tensor, tensor, tensor, tensor, tensor, list[int]) = tuple %2, %12, %17, %19, %24, %25
  return %26
}
