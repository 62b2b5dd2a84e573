test script
# an assertion raises as TorchScript does
def f(x: int) -> int:
    assert x > 0, f"bad {x}"
    return x
--- want
module "test" surface

func @f(%x: int) -> int export of "f" {
  %0: int = const 0
  %1: bool = gt.int %x, %0
  if %1 {
    yield
  } else {
    %2: str = const "bad {}"
    %3: str = format %2, %x
    %4: str = const "AssertionError: "
    %5: str = add.str %4, %3
    %6: str = const "RuntimeError"
    raise %5, %6
    yield
  }
  return %x
}
