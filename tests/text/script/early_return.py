test script
# a branch that returns takes what follows into the other branch
def f(x: int) -> int:
    if x > 2:
        return x
    x = x + 1
    return x * 2
--- want
module "test" surface

func @f(%x: int) -> int export of "f" {
  %0: int = const 2
  %1: bool = gt.int %x, %0
  %value: int = if %1 {
    yield %x
  } else {
    %2: int = const 1
    %x.1: int = add.int %x, %2
    %3: int = const 2
    %4: int = mul.int %x.1, %3
    yield %4
  }
  return %value
}
