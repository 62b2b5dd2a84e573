test script
# the flag of `break` ends the loop; `continue` needs none
def f(n: int) -> int:
    t = 0
    for i in range(n):
        if i == 7:
            break
        if i % 2 == 0:
            continue
        t += i
    return t
--- want
module "test" surface

func @f(%n: int) -> int export of "f" {
  %t: int = const 0
  %0: bool = const true
  %t.5: int = loop %n, %0, %t {
    ^(%i: int, %t.1: int):
    %1: int = const 7
    %2: bool = eq.int %i, %1
    %t.4: int, %break: bool = if %2 {
      %3: bool = const true
      yield %t.1, %3
    } else {
      %4: int = const 2
      %5: int = remainder.int %i, %4
      %6: int = const 0
      %7: bool = eq.int %5, %6
      %t.3: int = if %7 {
        yield %t.1
      } else {
        %t.2: int = add.int %t.1, %i
        yield %t.2
      }
      %8: bool = const false
      yield %t.3, %8
    }
    %9: bool = __not__ %break
    yield %9, %t.4
  }
  return %t.5
}
