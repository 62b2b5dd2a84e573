test script
# a number on the left of a tensor uses the reflected forms
def f(x, n: int):
    a = 1 - x
    b = 2 / x
    c = 3 * x + 1
    d = x @ x
    e = (x > 0) & (1 < x)
    return a, b, c, -d, ~e, n // 2, x // 2, n ** 2, x % 3
--- want
module "test" surface

func @f(%x: tensor, %n: int) -> (tensor, tensor, tensor, tensor, tensor, int, tensor, float, tensor) export of "f" {
  %0: int = const 1
  %1: int = const 1
  %a: tensor = rsub.Scalar %x, %0, %1
  %2: int = const 2
  %3: tensor = reciprocal %x
  %b: tensor = mul.Scalar %3, %2
  %4: int = const 3
  %5: tensor = mul.Scalar %x, %4
  %6: int = const 1
  %7: int = const 1
  %c: tensor = add.Scalar %5, %6, %7
  %d: tensor = matmul %x, %x
  %8: int = const 0
  %9: tensor = gt.Scalar %x, %8
  %10: int = const 1
  %11: tensor = gt.Scalar %x, %10
  %e: tensor = __and__.Tensor %9, %11
  %12: tensor = neg %d
  %13: tensor = bitwise_not %e
  %14: int = const 2
  %15: int = floordiv.int %n, %14
  %16: int = const 2
  %17: tensor = floor_divide.Scalar %x, %16
  %18: int = const 2
  %19: float = pow.int %n, %18
  %20: int = const 3
  %21: tensor = remainder.Scalar %x, %20
  %22: (tensor, tensor, tensor, tensor, tensor, int, tensor, float, tensor) = tuple %a, %b, %c, %12, %13, %15, %17, %19, %21
  return %22
}
