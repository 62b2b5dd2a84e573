test errors
def f(x):
    return torch.relu(x, 3, 4)  # error: no overload of 'relu' takes (tensor, int, int)
