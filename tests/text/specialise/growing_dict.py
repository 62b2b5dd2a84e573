test specialise
# A container that grows in a loop that could be unrolled: its elements count as work, so it soon becomes a run-time one.
from typing import Dict


def forward(x: Tensor) -> Tensor:
    d: Dict[int, int] = {}
    for i in range(1000000):
        d[i] = i
    return x + len(d)
--- inputs
x=f32[2]
--- want
module "test" core
symbol i1: 0..999999
symbol i2: -9223372036854775808..9223372036854775807

func @forward(%x: f32[2]) -> f32[2] export entry of "forward" {
  %0: dict[int, int] = dict
  %1: int<1000000> = const 1000000
  %2: bool = const true
  loop %1, %2 {
    ^(%3: int<i1>):
    %4: none = _set_item.int %0, %3, %3
    %5: bool = const true
    yield %5
  }
  %6: int<i2> = len.Dict_int %0
  %7: int<1> = const 1
  %8: f32[2] = add.Scalar %x, %6, %7
  return %8
}
