test script
# fields come from __init__; methods of a base class are emitted for the derived one
class Base:
    def __init__(self, a: int):
        self.a = a
        self.xs: List[int] = []

    def push(self, v: int) -> int:
        self.xs.append(v * self.a)
        return len(self.xs)

class Derived(Base):
    def __call__(self, v: int) -> int:
        return self.push(v + 1)

def f(n: int) -> int:
    d = Derived(n)
    return d(2) + d.a
--- want
module "test" surface
class Derived {
  a: int
  xs: list[int]
}
class Base {
  a: int
  xs: list[int]
}

func @f(%n: int) -> int export of "f" {
  %d: Derived = new "Derived"
  %0: none = call @Derived.__init__ %d, %n
  %1: int = const 2
  %2: int = call @Derived.__call__ %d, %1
  %3: int = getattr "a" %d
  %4: int = add.int %2, %3
  return %4
}

func @Base.__init__(%self: Base, %a: int) -> none {
  setattr "a" %self, %a
  %0: list[int] = list
  setattr "xs" %self, %0
  %1: none = const none
  return %1
}

func @Derived.__init__(%self: Derived, %a: int) -> none {
  setattr "a" %self, %a
  %0: list[int] = list
  setattr "xs" %self, %0
  %1: none = const none
  return %1
}

func @Derived.__call__(%self: Derived, %v: int) -> int {
  %0: int = const 1
  %1: int = add.int %v, %0
  %2: int = call @Derived.push %self, %1
  return %2
}

func @Derived.push(%self: Derived, %v: int) -> int {
  %0: list[int] = getattr "xs" %self
  %1: int = getattr "a" %self
  %2: int = mul.int %v, %1
  %3: list[int] = append.t %0, %2
  %4: list[int] = getattr "xs" %self
  %5: int = len.t %4
  return %5
}
