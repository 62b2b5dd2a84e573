test specialise
# A branch on data stays; the branches' sizes differ, so the result has a size of its own.
def f(x: Tensor) -> Tensor:
    if bool(x.sum() > 0):
        y = x[1:]
    else:
        y = x
    return y
--- inputs
x=f32[N]
N:2..100
--- want
module "test" core
symbol N: 2..100
symbol u0: 0..2147483647

func @f(%x: f32[N]) -> f32[u0] export entry of "f" {
  %0: none = const none
  %1: f32[] = sum %x, %0
  %2: int<0> = const 0
  %3: bool[] = gt.Scalar %1, %2
  %4: bool = Bool.Tensor %3
  %5: f32[u0] = if %4 {
    %6: int<0> = const 0
    %7: int<1> = const 1
    %8: none = const none
    %9: int<1> = const 1
    %10: f32[N - 1] = slice.Tensor %x, %6, %7, %8, %9
    yield %10
  } else {
    yield %x
  }
  return %5
}
