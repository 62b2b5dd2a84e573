test script
# a return inside a loop is a flag and a value that the loop carries out
def f(xs: List[int]) -> int:
    for x in xs:
        if x > 2:
            return x
    return 0
--- want
module "test" surface

func @f(%xs: list[int]) -> int export of "f" {
  %0: bool = const true
  %1: int = len.t %xs
  %2: bool = const false
  %3: int = uninitialized
  %return.1: bool, %value.1: int = loop %1, %0, %2, %3 {
    ^(%4: int, %5: bool, %6: int):
    %x: int = __getitem__.t %xs, %4
    %7: int = const 2
    %8: bool = gt.int %x, %7
    %break: bool, %return: bool, %value: int = if %8 {
      %9: bool = const true
      %10: bool = const true
      yield %9, %10, %x
    } else {
      %11: bool = const false
      %12: bool = const false
      %13: int = uninitialized
      yield %11, %12, %13
    }
    %14: bool = __not__ %break
    yield %14, %return, %value
  }
  %value.2: int = if %return.1 {
    yield %value.1
  } else {
    %15: int = const 0
    yield %15
  }
  return %value.2
}
