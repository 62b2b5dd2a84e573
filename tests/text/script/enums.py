test script
# members are constants; == compares their values
class Color(Enum):
    RED = 1
    BLUE = 2

def f(c: int) -> int:
    k = Color.RED if c == 1 else Color.BLUE
    return k.value if k == Color.BLUE else 0
--- want
module "test" surface
class Color enum {
  const RED = 1
  const BLUE = 2
}

func @f(%c: int) -> int export of "f" {
  %0: int = const 1
  %1: bool = eq.int %c, %0
  %k: Color = if %1 {
    %2: int = const 1
    %3: Color = cast %2 as Color
    yield %3
  } else {
    %4: int = const 2
    %5: Color = cast %4 as Color
    yield %5
  }
  %6: int = const 2
  %7: Color = cast %6 as Color
  %8: int = cast %k as int
  %9: int = cast %7 as int
  %10: bool = eq.int %8, %9
  %11: int = if %10 {
    %12: int = cast %k as int
    yield %12
  } else {
    %13: int = const 0
    yield %13
  }
  return %11
}
