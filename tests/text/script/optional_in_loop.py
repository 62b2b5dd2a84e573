test script
# a carried variable takes the join of its types
def f(n: int) -> Optional[int]:
    w = None
    for i in range(n):
        if w is None:
            w = i
        else:
            w = w + i
    return w
--- want
module "test" surface

func @f(%n: int) -> optional[int] export of "f" {
  %w: none = const none
  %0: bool = const true
  %w.7: optional[int] = loop %n, %0, %w {
    ^(%i.1: int, %w.2: optional[int]):
    %1: none = const none
    %2: bool = __is__ %w.2, %1
    %w.6: int = if %2 {
      yield %i.1
    } else {
      %w.4: int = cast %w.2 as int
      %w.5: int = add.int %w.4, %i.1
      yield %w.5
    }
    %3: bool = const true
    yield %3, %w.6
  }
  return %w.7
}
