test script
# defaults and keywords are filled in; a constant int becomes a float
def g(a: float, b: int = 2, *, c: str = "x") -> str:
    return f"{a}{b}{c}"

def f() -> str:
    return g(1) + g(b=3, a=2.5, c="y")
--- want
module "test" surface

func @g(%a: float, %b: int, %c: str) -> str export of "g" {
  %0: str = const "{}{}{}"
  %1: str = format %0, %a, %b, %c
  return %1
}

func @f() -> str export of "f" {
  %0: float = const 1.0
  %1: int = const 2
  %2: str = const "x"
  %3: str = call @g %0, %1, %2
  %4: int = const 3
  %5: float = const 2.5
  %6: str = const "y"
  %7: str = call @g %5, %4, %6
  %8: str = add.str %3, %7
  return %8
}
