test run
# a work list
def forward(n: int) -> List[int]:
    todo = [n]
    done: List[int] = []
    while len(todo) > 0:
        k = todo.pop()
        done.append(k)
        if k > 1:
            todo.append(k // 2)
            if k % 2 == 1:
                todo.append(k - 1)
    return done

def tuples(n: int) -> List[Tuple[int, str]]:
    todo: List[Tuple[int, str]] = [(n, "n")]
    out: List[Tuple[int, str]] = []
    while len(todo) > 0 and len(out) < 6:
        k, s = todo.pop(0)
        out.append((k, s))
        todo.append((k + 1, s + "a"))
        todo.append((k * 2, s + "b"))
    return out
--- run forward
n = 7
--- want
[7, 6, 3, 2, 1, 1, 3, 2, 1, 1]
--- run tuples
n = 1
--- want
[(1, 'n'), (2, 'na'), (2, 'nb'), (3, 'naa'), (4, 'nab'), (3, 'nba')]
