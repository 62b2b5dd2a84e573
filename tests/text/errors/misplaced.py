test errors
def f(x):
    break  # error: 'break' outside of a loop
def g(x):
    def h(y):  # error: definitions inside of functions are not supported
        return y
    return x
def k(x):
    x.shape = 3  # error: attributes of tensor cannot be set
    raise x  # error: 'x' is not an exception
