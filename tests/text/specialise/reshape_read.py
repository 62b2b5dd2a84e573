test specialise
# Whether reshape copies decides nothing here: no size is assumed.
def f(x: Tensor) -> Tensor:
    return x.transpose(0, 1).reshape(-1) + 1
--- inputs
x=f32[N,3]
--- want
module "test" core

func @f(%x: f32[N, 3]) -> f32[N*3] export entry of "f" {
  %0: int<0> = const 0
  %1: int<1> = const 1
  %2: f32[3, N] = transpose.int %x, %0, %1
  %3: int<-1> = const -1
  %4: list[int<-1>] = list %3
  %5: f32[N*3] = reshape %2, %4
  %6: int<1> = const 1
  %7: int<1> = const 1
  %8: f32[N*3] = add.Scalar %5, %6, %7
  return %8
}
