test script
# `and`, `or` and chains evaluate what they need
def f(x: Optional[int], n: int) -> bool:
    return (x is not None and x > 2) or 0 < n < 5
--- want
module "test" surface

func @f(%x: optional[int], %n: int) -> bool export of "f" {
  %0: none = const none
  %1: bool = __isnot__ %x, %0
  %2: bool = if %1 {
    %x.1: int = cast %x as int
    %3: int = const 2
    %4: bool = gt.int %x.1, %3
    yield %4
  } else {
    %5: bool = const false
    yield %5
  }
  %6: bool = if %2 {
    %7: bool = const true
    yield %7
  } else {
    %8: int = const 0
    %9: bool = lt.int %8, %n
    %10: bool = if %9 {
      %11: int = const 5
      %12: bool = lt.int %n, %11
      yield %12
    } else {
      %13: bool = const false
      yield %13
    }
    yield %10
  }
  return %6
}
