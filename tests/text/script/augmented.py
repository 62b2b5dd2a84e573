test script
# += is in place on tensors and lists, and a new value on numbers
def f(x, n: int, l: List[int]):
    x += 1
    n += 1
    l += [n]
    l[0] -= 2
    return x, n, l
--- want
module "test" surface

func @f(%x: tensor, %n: int, %l: list[int]) -> (tensor, int, list[int]) export of "f" {
  %0: int = const 1
  %1: int = const 1
  %2: tensor = add_.Scalar %x, %0, %1
  %3: int = const 1
  %n.1: int = add.int %n, %3
  %4: list[int] = list %n.1
  %5: list[int] = add_.t %l, %4
  %6: int = const 0
  %7: int = __getitem__.t %l, %6
  %8: int = const 2
  %9: int = sub.int %7, %8
  %10: list[int] = _set_item.t %l, %6, %9
  %11: (tensor, int, list[int]) = tuple %x, %n.1, %l
  return %11
}
