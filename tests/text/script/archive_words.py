test script
# the words of archive code
def f(x: Tensor, n: int) -> Tensor:
  _0 = uninitialized(Tensor)
  xs = annotate(List[Optional[int]], [None, n])
  y = annotate(number, x)
  if torch.eq(n, 0):
    ops.prim.RaiseException("zero", "builtins.ValueError")
    z = _0
  else:
    z = torch.add(x, y, alpha=2)
  return z
--- want
module "test" surface

func @f(%x: tensor, %n: int) -> tensor export of "f" {
  %0: none = const none
  %xs: list[optional[int]] = list %0, %n
  %y: number = ScalarImplicit %x
  %1: int = const 0
  %2: bool = eq.int %n, %1
  %z.1: tensor = if %2 {
    %3: str = const "zero"
    %4: str = const "builtins.ValueError"
    raise %3, %4
    %5: tensor = uninitialized
    yield %5
  } else {
    %6: int = const 2
    %z: tensor = add.Scalar %x, %y, %6
    yield %z
  }
  return %z.1
}
