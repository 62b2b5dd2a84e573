test script
# a function may call itself if its result is annotated
def f(n: int) -> int:
    return 1 if n <= 1 else n * f(n - 1)
--- want
module "test" surface

func @f(%n: int) -> int export of "f" {
  %0: int = const 1
  %1: bool = le.int %n, %0
  %2: int = if %1 {
    %3: int = const 1
    yield %3
  } else {
    %4: int = const 1
    %5: int = sub.int %n, %4
    %6: int = call @f %5
    %7: int = mul.int %n, %6
    yield %7
  }
  return %2
}
