test run
# early returns whose tensors have different sizes
def forward(x: Tensor, k: int) -> Tensor:
    if k == 0:
        return x
    if k == 1:
        return x[1:]
    for i in range(k):
        if i == 3:
            return torch.cat([x, x])
        x = x + i
    return x[:1]

def search(x: List[int], want: int) -> int:
    for i in range(len(x)):
        if x[i] == want:
            return i
    return -1
--- run forward
x = f32[3] 1 2 3
k = 0
--- want
tensor([1.0, 2.0, 3.0])
--- run forward
x = f32[3] 1 2 3
k = 1
--- want
tensor([2.0, 3.0])
--- run forward
x = f32[3] 1 2 3
k = 2
--- want
tensor([2.0])
--- run forward
x = f32[3] 1 2 3
k = 5
--- want
tensor([4.0, 5.0, 6.0, 4.0, 5.0, 6.0])
--- run search
x = [4, 5, 6]
want = 6
--- want
2
--- run search
x = [4, 5, 6]
want = 7
--- want
-1
