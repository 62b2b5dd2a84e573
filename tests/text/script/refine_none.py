test script
# a test against None decides the type in each branch, and behind a branch that leaves
def f(x: Optional[int], y: Optional[int] = None) -> int:
    if x is None:
        raise ValueError("no x")
    z = y if y is not None else 0
    return x + z if y is None or y > 3 else x
--- want
module "test" surface

func @f(%x: optional[int], %y: optional[int]) -> int export of "f" {
  %0: none = const none
  %1: bool = __is__ %x, %0
  if %1 {
    %2: str = const "no x"
    %3: str = const "ValueError"
    raise %2, %3
    yield
  } else {
    yield
  }
  %x.3: int = cast %x as int
  %4: none = const none
  %5: bool = __isnot__ %y, %4
  %z: int = if %5 {
    %y.1: int = cast %y as int
    yield %y.1
  } else {
    %6: int = const 0
    yield %6
  }
  %7: none = const none
  %8: bool = __is__ %y, %7
  %9: bool = if %8 {
    %10: bool = const true
    yield %10
  } else {
    %y.4: int = cast %y as int
    %11: int = const 3
    %12: bool = gt.int %y.4, %11
    yield %12
  }
  %13: int = if %9 {
    %14: int = add.int %x.3, %z
    yield %14
  } else {
    yield %x.3
  }
  return %13
}
