test script
# f-strings and % are ops; "{}" in a literal piece is an argument
def f(s: str, n: int) -> str:
    return f"{s}-{n}{{}}" + "%s %d" % (s, n) + "{}".format(n) + s[1:-1]
--- want
module "test" surface

func @f(%s: str, %n: int) -> str export of "f" {
  %0: str = const "{}"
  %1: str = const "{}-{}{}"
  %2: str = format %1, %s, %n, %0
  %3: str = const "%s %d"
  %4: (str, int) = tuple %s, %n
  %5: str = percentFormat %3, %4
  %6: str = add.str %2, %5
  %7: str = const "{}"
  %8: str = format %7, %n
  %9: str = add.str %6, %8
  %10: int = const 1
  %11: int = const -1
  %12: int = const 1
  %13: str = slice.str %s, %10, %11, %12
  %14: str = add.str %9, %13
  return %14
}
