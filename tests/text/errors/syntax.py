test errors
def f(x):
    y = = 2  # error: expected an expression, found '='
    yield x  # error: 'yield' is not supported
    z = (1 +  # error: expected an expression
def g(x):
    s = "abc  # error: this string has no end
    return $x  # error: this character has no meaning here
def h(x):
    return 99999999999999999999  # error: this integer does not fit into 64 bits
x + 1 = 2  # error: only definitions and constants may stand outside of functions
