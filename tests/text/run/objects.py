test run
# objects: fields written in branches and loops, references shared
class Acc:
    def __init__(self, x: Tensor):
        self.sum = x
        self.n = 0
        self.log: List[int] = []

    def add(self, x: Tensor):
        self.sum = self.sum + x
        self.n += 1
        self.log.append(self.n)

def forward(x: Tensor, n: int, flag: bool) -> Tuple[Tensor, int, List[int]]:
    a = Acc(x)
    b = a
    for i in range(n):
        b.add(x * i)
        if flag:
            a.n = a.n + 10
    return a.sum, a.n, a.log
--- run forward
x = f32[2] 1 2
n = 3
flag = true
--- want
(tensor([4.0, 8.0]), 33, [1, 12, 23])
--- run forward
x = f32[2] 1 2
n = 0
flag = false
--- want
(tensor([1.0, 2.0]), 0, [])
