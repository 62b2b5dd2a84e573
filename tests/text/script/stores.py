test script
# stores to subscripts write through views
def f(x, i, v):
    x[1:3] += 1
    x[0] = 5
    x[:, 0] = v
    x[i] = v
    return x
--- want
module "test" surface

func @f(%x: tensor, %i: tensor, %v: tensor) -> tensor export of "f" {
  %0: int = const 1
  %1: int = const 3
  %2: int = const 1
  %3: int = const 0
  %4: tensor = slice.Tensor %x, %3, %0, %1, %2
  %5: int = const 1
  %6: int = const 1
  %7: tensor = add_.Scalar %4, %5, %6
  %8: int = const 5
  %9: int = const 0
  %10: int = const 0
  %11: tensor = select.int %x, %10, %9
  %12: tensor = fill_.Scalar %11, %8
  %13: int = const 0
  %14: int = const 1
  %15: tensor = select.int %x, %14, %13
  %16: bool = const false
  %17: tensor = copy_ %15, %v, %16
  %18: list[optional[tensor]] = list %i
  %19: bool = const false
  %20: tensor = index_put_ %x, %18, %v, %19
  return %x
}
