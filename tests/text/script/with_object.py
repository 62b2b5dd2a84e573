test script
# __exit__ is called on every path
class Ctx:
    def __init__(self):
        self.n = 0

    def __enter__(self) -> int:
        self.n += 1
        return self.n

    def __exit__(self, t: Any, v: Any, tb: Any):
        self.n -= 1

def f(x: int) -> int:
    c = Ctx()
    with c as n:
        if x > 2:
            return n
        x += 1
    return c.n + x
--- want
module "test" surface
class Ctx {
  n: int
}

func @f(%x: int) -> int export of "f" {
  %c: Ctx = new "Ctx"
  %0: none = call @Ctx.__init__ %c
  %n: int = call @Ctx.__enter__ %c
  %1: int = const 2
  %2: bool = gt.int %x, %1
  %x.2: int, %exit: bool, %value: int = if %2 {
    %3: int = uninitialized
    %4: bool = const true
    yield %3, %4, %n
  } else {
    %5: int = const 1
    %x.1: int = add.int %x, %5
    %6: bool = const false
    %7: int = uninitialized
    yield %x.1, %6, %7
  }
  %8: none = const none
  %9: none = const none
  %10: none = const none
  %11: none = call @Ctx.__exit__ %c, %8, %9, %10
  %value.1: int = if %exit {
    yield %value
  } else {
    %12: int = getattr "n" %c
    %13: int = add.int %12, %x.2
    yield %13
  }
  return %value.1
}

func @Ctx.__init__(%self: Ctx) -> none {
  %0: int = const 0
  setattr "n" %self, %0
  %1: none = const none
  return %1
}

func @Ctx.__enter__(%self: Ctx) -> int {
  %0: int = getattr "n" %self
  %1: int = const 1
  %2: int = add.int %0, %1
  setattr "n" %self, %2
  %3: int = getattr "n" %self
  return %3
}

func @Ctx.__exit__(%self: Ctx, %t: any, %v: any, %tb: any) -> none {
  %0: int = getattr "n" %self
  %1: int = const 1
  %2: int = sub.int %0, %1
  setattr "n" %self, %2
  %3: none = const none
  return %3
}
