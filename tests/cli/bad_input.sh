#!/bin/sh
# bad_input.sh: what is wrong with a file is said, with exit 1 and nothing written.
. tests/cli/lib.sh
out=$work/out.so
refuse() { # TEXT MODEL OPTIONS...
    text=$1
    shift
    expect 1 "$text" "$jitc" "$@" -o "$out"
    if ! grep -q 'error' "$work/err"; then fail "no error message: $*"; fi
    absent "$out"
}

# archives
: >"$work/empty.pt"
refuse "" "$work/empty.pt"
refuse "none.pt" "$work/none.pt"
refuse "" "$work"
size=$(wc -c <$models/lenet.pt)
for part in 1 2 3 9; do
    head -c $((size * part / 10)) $models/lenet.pt >"$work/cut.pt"
    refuse "" "$work/cut.pt"
done
for at in 40 2000 20000 $((size / 2)) $((size - 40)); do # one flipped byte: refused, or of no consequence
    cp $models/lenet.pt "$work/flip.pt"
    printf '\252' | dd of="$work/flip.pt" bs=1 seek="$at" conv=notrunc 2>/dev/null
    "$jitc" check "$work/flip.pt" $models/lenet.safetensors >"$work/out" 2>"$work/err"
    code=$?
    checks=$((checks + 1))
    if [ $code -gt 1 ]; then fail "byte $at flipped: exit $code"; fi
done
refuse "os system" tests/cli/data/os_system.pt
refuse ".." tests/cli/data/dotdot.pt
refuse 'no entry `data/0`' tests/cli/data/no_weight.pt --input "input=f32[N,16]"
absent tests/evil ../evil "$work/../evil"
for suffix in pt py ir so; do # neither read without an end nor waited for
    ln -s /dev/zero "$work/zero.$suffix"
    mkfifo "$work/fifo.$suffix"
    expect 1 "not a regular file" "$jitc" show "$work/zero.$suffix"
    expect 1 "not a regular file" "$jitc" show "$work/fifo.$suffix"
done
printf 'nonsense' >"$work/model.bin"
refuse "model" "$work/model.bin"

# inputs of the compiler
refuse "--input" $models/mlp.pt
refuse "" $models/mlp.pt --input 'input=f32[N'
refuse "" $models/mlp.pt --input 'input=q7[N]'
refuse "nothere" $models/mlp.pt --input 'nothere=f32[N,16]'
refuse "nothere" $models/mlp.pt --method nothere --input 'input=f32[N,16]'
refuse "none.safetensors" $models/mlp.pt --example "$work/none.safetensors"
refuse "pass" $models/mlp.pt --input 'input=f32[N,16]' --print-after nothere
refuse "target" $models/mlp.pt --input 'input=f32[N,16]' --target z80

# scripts: all errors, each with its line and a caret
cat >"$work/bad.py" <<'PY'
def forward(x: Tensor, n: int) -> Tensor:
    a = x + unbound
    b = x.no_such_op(1)
    c: int = "text"
    return a
PY
refuse "bad.py:2:" "$work/bad.py" --input 'x=f32[N]'
for text in "bad.py:3:" "bad.py:4:" "^" "unbound" "no_such_op"; do
    grep -qF -- "$text" "$work/err" || fail "no '$text' in the messages about bad.py"
done
printf 'def forward(x: Tensor) -> Tensor:\n    return (x\n' >"$work/syntax.py"
refuse "syntax.py:" "$work/syntax.py" --input 'x=f32[N]'

# .ir
expect 0 "" "$jitc" $models/mlp.pt -o "$work/mlp.ir"
expect 0 "all agree" "$jitc" check "$work/mlp.ir" $models/mlp.safetensors --interpret
rm "$work/mlp.weights.safetensors"
refuse "mlp.weights.safetensors" "$work/mlp.ir" --example $models/mlp.safetensors
printf 'func @f(%%x: int) -> int {\n  return %%y\n}\n' >"$work/bad.ir"
refuse "bad.ir:2" "$work/bad.ir"

# arguments of a run
expect 0 "" "$jitc" $models/mlp.pt --input 'input=f32[N,16]' --input 'N:1..64' -o "$work/mlp.so"
npy "$work/good.npy" '<f4' '(3, 16)' 192
npy "$work/f64.npy" '<f8' '(3, 16)' 384
npy "$work/rank.npy" '<f4' '(3, 4, 4)' 192
npy "$work/size.npy" '<f4' '(3, 15)' 180
npy "$work/many.npy" '<f4' '(65, 16)' 4160
npy "$work/short.npy" '<f4' '(3, 16)' 100
run="$jitc run $work/mlp.so --inputs"
expect 0 "tensor(" $run "$work/good.npy"
expect 1 "f64" $run "$work/f64.npy"
expect 1 "input" $run "$work/rank.npy"
expect 1 "15" $run "$work/size.npy"
expect 1 "from 1 to 64" $run "$work/many.npy" # names the input, the dim and its range
grep -q 'input' "$work/err" && grep -q 'N' "$work/err" || fail "the input or the size is not named: $(cat "$work/err")"
expect 1 "short.npy" $run "$work/short.npy"
expect 1 "" $run "$work/good.npy" --inputs "$work/good.npy"
expect 1 "" "$jitc" run "$work/mlp.so"
expect 1 "none.npy" $run "$work/none.npy"
head -c 5000 "$work/mlp.so" >"$work/cut.so"
expect 1 "error" "$jitc" run "$work/cut.so" --inputs "$work/good.npy"
cp "$work/good.npy" "$work/text.so"
expect 1 "error" "$jitc" show "$work/text.so"

# no room: nothing is left behind
mkdir "$work/full"
for name in m.so m.o m.ir m.ll; do
    expect 1 "error" sh -c "ulimit -f 8; exec '$jitc' $models/lenet.pt --input 'x=f32[N,1,28,28]' -o '$work/full/$name'"
    if [ -n "$(ls "$work/full")" ]; then
        fail "left behind after a failed write of $name: $(ls "$work/full")"
        rm -rf "$work/full" && mkdir "$work/full"
    fi
done
expect 1 "error" "$jitc" $models/mlp.pt --input 'input=f32[N,16]' -o "$work/no/such/folder/m.so"
finish
