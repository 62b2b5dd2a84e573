test script
# lists, strings, dicts, enumerate, zip and reversed by index; a tuple is unrolled
def f(xs: List[int], d: Dict[str, int], s: str) -> int:
    t = 0
    for i, (a, b) in enumerate(zip(xs, reversed(xs))):
        t += i * a - b
    for k, v in d.items():
        t += v
    for ch in s:
        t += len(ch)
    for w in (1, 2):
        t += w
    return t
--- want
module "test" surface

func @f(%xs: list[int], %d: dict[str, int], %s: str) -> int export of "f" {
  %t: int = const 0
  %0: bool = const true
  %1: int = len.t %xs
  %2: int = len.t %xs
  %3: int = min.int %1, %2
  %t.3: int = loop %3, %0, %t {
    ^(%i: int, %t.1: int):
    %a: int = __getitem__.t %xs, %i
    %4: int = const 1
    %5: int = sub.int %2, %4
    %6: int = sub.int %5, %i
    %b: int = __getitem__.t %xs, %6
    %7: int = mul.int %i, %a
    %8: int = sub.int %7, %b
    %t.2: int = add.int %t.1, %8
    %9: bool = const true
    yield %9, %t.2
  }
  %10: list[(str, int)] = items.str %d
  %11: bool = const true
  %12: int = len.t %10
  %t.6: int = loop %12, %11, %t.3 {
    ^(%13: int, %t.4: int):
    %14: (str, int) = __getitem__.t %10, %13
    %k: str, %v: int = unpack %14
    %t.5: int = add.int %t.4, %v
    %15: bool = const true
    yield %15, %t.5
  }
  %16: bool = const true
  %17: int = len.str %s
  %t.9: int = loop %17, %16, %t.6 {
    ^(%18: int, %t.7: int):
    %ch: str = __getitem__.str %s, %18
    %19: int = len.str %ch
    %t.8: int = add.int %t.7, %19
    %20: bool = const true
    yield %20, %t.8
  }
  %w: int = const 1
  %w.1: int = const 2
  %t.10: int = add.int %t.9, %w
  %t.11: int = add.int %t.10, %w.1
  return %t.11
}
