test errors
import torch
def f(x):
    y = torch.foo(x)  # error: unknown operator 'torch.foo'
    return y + missing
def g(x):
    return x + missing  # error: 'missing' is not defined
def h(x: int):
    return x.foo  # error: int has no attribute 'foo'
def k(x: Foo):  # error: unknown type 'Foo'
    return x
