test run
# strings and f-strings in loops
def forward(words: List[str], n: int) -> str:
    out = ""
    for i, w in enumerate(words):
        if i >= n:
            break
        out += f"{i}:{w.upper()} "
    return out.strip() + "|" + ",".join(words)
--- run forward
words = [{"s": "ab"}, {"s": "c"}, {"s": "d"}]
n = 2
--- want
'0:AB 1:C|ab,c,d'
