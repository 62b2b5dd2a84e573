test script
# a range of one argument is the loop's own counter
def f(n: int) -> int:
    t = 0
    for i in range(n):
        t += i
    for j in range(1, n, 2):
        t += j
    return t
--- want
module "test" surface

func @f(%n: int) -> int export of "f" {
  %t: int = const 0
  %0: bool = const true
  %t.3: int = loop %n, %0, %t {
    ^(%i: int, %t.1: int):
    %t.2: int = add.int %t.1, %i
    %1: bool = const true
    yield %1, %t.2
  }
  %2: int = const 1
  %3: int = const 2
  %4: int = __range_length %2, %n, %3
  %5: bool = const true
  %t.6: int = loop %4, %5, %t.3 {
    ^(%6: int, %t.4: int):
    %j: int = __derive_index %6, %2, %3
    %t.5: int = add.int %t.4, %j
    %7: bool = const true
    yield %7, %t.5
  }
  return %t.6
}
