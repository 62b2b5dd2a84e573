test script
# a loop that appends
def f(n: int) -> Tuple[List[int], Dict[int, float]]:
    return [i * j for i in range(n) if i != 2 for j in range(i)], {i: float(i) for i in range(3)}
--- want
module "test" surface

func @f(%n: int) -> (list[int], dict[int, float]) export of "f" {
  %0: list[int] = list
  %1: bool = const true
  loop %n, %1 {
    ^(%i: int):
    %2: int = const 2
    %3: bool = ne.int %i, %2
    if %3 {
      %4: bool = const true
      loop %i, %4 {
        ^(%j: int):
        %5: int = mul.int %i, %j
        %6: list[int] = append.t %0, %5
        %7: bool = const true
        yield %7
      }
      yield
    } else {
      yield
    }
    %8: bool = const true
    yield %8
  }
  %9: dict[int, float] = dict
  %10: int = const 3
  %11: bool = const true
  loop %10, %11 {
    ^(%i.1: int):
    %12: float = Float.int %i.1
    %13: none = _set_item.int %9, %i.1, %12
    %14: bool = const true
    yield %14
  }
  %15: (list[int], dict[int, float]) = tuple %0, %9
  return %15
}
