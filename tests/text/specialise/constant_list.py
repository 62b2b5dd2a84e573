test specialise
# A list of known length, None and a dead branch vanish.
def f(x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
    parts = [x, x * 2]
    if mask is not None:
        parts.append(mask)
    return torch.cat(parts, 1)
--- inputs
x=f32[N, 4]
mask=none
--- want
module "test" core

func @f(%x: f32[N, 4], %mask: none) -> f32[N, 8] export entry of "f" {
  %0: int<2> = const 2
  %1: f32[N, 4] = mul.Scalar %x, %0
  %2: list[f32[N, 4]] = list %x, %1
  %3: int<1> = const 1
  %4: f32[N, 8] = cat %2, %3
  return %4
}
