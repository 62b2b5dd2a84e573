test script
# the condition is computed before the loop and at the end of the body
def f(n: int) -> int:
    c = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        c += 1
    return c
--- want
module "test" surface

func @f(%n: int) -> int export of "f" {
  %c: int = const 0
  %0: int = const 1
  %1: bool = ne.int %n, %0
  %2: int = const 9223372036854775807
  %n.3: int, %c.3: int = loop %2, %1, %n, %c {
    ^(%3: int, %n.1: int, %c.1: int):
    %4: int = const 2
    %5: int = remainder.int %n.1, %4
    %6: int = const 0
    %7: bool = eq.int %5, %6
    %n.2: int = if %7 {
      %8: int = const 2
      %9: int = floordiv.int %n.1, %8
      yield %9
    } else {
      %10: int = const 3
      %11: int = mul.int %10, %n.1
      %12: int = const 1
      %13: int = add.int %11, %12
      yield %13
    }
    %14: int = const 1
    %c.2: int = add.int %c.1, %14
    %15: int = const 1
    %16: bool = ne.int %n.2, %15
    yield %16, %n.2, %c.2
  }
  return %c.3
}
