test script
# a NamedTuple is a tuple type with names
class P(NamedTuple):
    x: Tensor
    n: int = 4

def f(x: Tensor) -> Tensor:
    p = P(x)
    a, b = p
    return p.x * b
--- want
module "test" surface
class P tuple {
  x: tensor
  n: int
}

func @f(%x: tensor) -> tensor export of "f" {
  %b: int = const 4
  %p: P(x: tensor, n: int) = tuple %x, %b
  %0: int = const 0
  %1: tensor = tuple_index %p, %0
  %2: tensor = mul.Scalar %1, %b
  return %2
}
