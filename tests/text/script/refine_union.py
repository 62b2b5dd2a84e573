test script
# isinstance narrows a union
def f(x: Union[int, str, Tensor]) -> str:
    if isinstance(x, int):
        return str(x + 1)
    elif isinstance(x, str):
        return x
    return "tensor"
--- want
module "test" surface

func @f(%x: union[int, str, tensor]) -> str export of "f" {
  %0: bool = isinstance %x as int
  %value.1: str = if %0 {
    %x.1: int = cast %x as int
    %1: int = const 1
    %2: int = add.int %x.1, %1
    %3: str = str %2
    yield %3
  } else {
    %x.2: union[str, tensor] = cast %x as union[str, tensor]
    %4: bool = isinstance %x.2 as str
    %value: str = if %4 {
      %x.3: str = cast %x.2 as str
      yield %x.3
    } else {
      %5: str = const "tensor"
      yield %5
    }
    yield %value
  }
  return %value.1
}
