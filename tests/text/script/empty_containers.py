test script
# what an empty list holds is settled by its annotation or by what is put into it
def f(n: int) -> Tuple[List[int], List[str], Dict[str, int]]:
    a = []
    a.append(n)
    b: List[str] = []
    d = {}
    d["k"] = n
    return a, b, d
--- want
module "test" surface

func @f(%n: int) -> (list[int], list[str], dict[str, int]) export of "f" {
  %a: list[int] = list
  %0: list[int] = append.t %a, %n
  %b: list[str] = list
  %d: dict[str, int] = dict
  %1: str = const "k"
  %2: none = _set_item.str %d, %1, %n
  %3: (list[int], list[str], dict[str, int]) = tuple %a, %b, %d
  return %3
}
