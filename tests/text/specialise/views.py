test specialise
# A write through a view of a view becomes a value of the base.
def f(x: Tensor) -> Tensor:
    y = x + 1
    z = y.view(-1)
    z[1:3] += 10
    return y
--- inputs
x=f32[2, 3]
--- want
module "test" core

func @f(%x: f32[2, 3]) -> f32[2, 3] export entry of "f" {
  %0: int<1> = const 1
  %1: int<1> = const 1
  %2: f32[2, 3] = add.Scalar %x, %0, %1
  %3: int<-1> = const -1
  %4: list[int<-1>] = list %3
  %5: f32[6] = reshape %2, %4
  %6: int<0> = const 0
  %7: int<1> = const 1
  %8: int<3> = const 3
  %9: int<1> = const 1
  %10: f32[2] = slice.Tensor %5, %6, %7, %8, %9
  %11: int<10> = const 10
  %12: int<1> = const 1
  %13: f32[2] = add.Scalar %10, %11, %12
  %14: int<-1> = const -1
  %15: list[int<-1>] = list %14
  %16: f32[6] = reshape %2, %15
  %17: int<0> = const 0
  %18: int<1> = const 1
  %19: int<3> = const 3
  %20: int<1> = const 1
  %21: f32[6] = slice_scatter %16, %13, %17, %18, %19, %20
  %22: int<2> = const 2
  %23: int<3> = const 3
  %24: list[int] = list %22, %23
  %25: f32[2, 3] = reshape %21, %24
  return %25
}
