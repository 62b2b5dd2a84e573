#!/bin/sh
# artefact.sh: what compiled modules promise.
. tests/cli/lib.sh
mlp="$models/mlp.pt --input input=f32[N,16]"

# the same compile twice gives the same bytes, wherever it is written
mkdir "$work/elsewhere"
for suffix in so o ll s; do
    expect 0 "" "$jitc" $mlp -o "$work/mlp.$suffix"
    expect 0 "" "$jitc" $mlp -o "$work/elsewhere/other.$suffix"
    cmp -s "$work/mlp.$suffix" "$work/elsewhere/other.$suffix" || fail "two compiles to .$suffix differ"
done
if grep -aq "$work" "$work/mlp.so"; then fail "the path of the output is in it"; fi

# it needs libc and libm at most
if command -v ldd >/dev/null; then
    for model in mlp lenet capsule strings containers; do
        expect 0 "" "$jitc" $models/$model.pt --example $models/$model.safetensors -o "$work/$model.so"
        foreign=$(ldd "$work/$model.so" | grep -vE 'linux-vdso|libc\.so|libm\.so|ld-linux|statically linked')
        [ -z "$foreign" ] || fail "$model.so needs: $foreign"
    done
fi

# one artefact for all batches; show tells names, dtypes, sizes with ranges, workspace
expect 0 "" "$jitc" $mlp --input N:1..64 -o "$work/sym.so"
expect 0 "forward(input: f32[N, 16]) -> f32[N, 10]" "$jitc" show "$work/sym.so"
expect 0 "N: 1..64" "$jitc" show "$work/sym.so"
expect 0 "workspace N*" "$jitc" show "$work/sym.so"
for batch in 1 3 64; do
    npy "$work/x.npy" '<f4' "($batch, 16)" $((batch * 64))
    expect 0 "" "$jitc" run "$work/sym.so" --inputs "$work/x.npy" --outputs "$work/y$batch.safetensors"
    expect 0 "" "$jitc" run $models/mlp.pt --inputs "$work/x.npy" --interpret
done
expect 0 "all agree" "$jitc" check "$work/sym.so" $models/mlp.safetensors

# a sum is written over a summand that nobody reads any more: two places, not three
printf 'def sum(x: Tensor, w: Tensor) -> Tensor:\n    a = torch.matmul(x, w)\n    return torch.matmul(a + torch.matmul(torch.matmul(w, x), w), x)\n' >"$work/sum.py"
expect 0 "" "$jitc" "$work/sum.py" --method sum --input 'x=f32[64,64]' --input 'w=f32[64,64]' -o "$work/sum.so"
expect 0 "workspace 32768" "$jitc" show "$work/sum.so"

# steps of a recurrence share the packed copy of their weights, whatever their number of rows
printf 'def steps(x: Tensor) -> Tensor:\n    w = torch.cumsum(torch.ones([64, 64]), 0) / 4096\n    for i in range(4):\n        x = torch.tanh(torch.nn.functional.linear(x, w))\n    return x\n' >"$work/steps.py"
for rows in 1 2 8; do
    expect 0 "" "$jitc" "$work/steps.py" --input "x=f32[$rows,64]" -o "$work/steps.so"
    expect 0 "weights 16384 bytes in 1 tensors" "$jitc" show "$work/steps.so"
done

# weights beside the module
expect 0 "" "$jitc" $models/lenet.pt --input 'x=f32[N,1,28,28]' --weights side -o "$work/lenet.so"
expect 0 "all agree" "$jitc" check "$work/lenet.so" $models/lenet.safetensors
rm "$work"/lenet.weights*
expect 1 "weights" "$jitc" check "$work/lenet.so" $models/lenet.safetensors

# other machines, other levels
for target in aarch64 riscv64 x86-64 x86-64-v3; do expect 0 "" "$jitc" $mlp --target $target -o "$work/$target.o"; done

# several levels in one module: the best that the processor has is chosen at load, or the one that is asked for
if [ "$(uname -m)" = x86_64 ]; then
    expect 0 "" "$jitc" $mlp --target cpu:x86-64,x86-64-v2,x86-64-v4 -o "$work/levels.so"
    expect 0 "levels x86-64-v4" "$jitc" show "$work/levels.so"
    expect 0 "x86-64 (runs here)" "$jitc" show "$work/levels.so" --level x86-64
    expect 0 "all agree" "$jitc" check "$work/levels.so" $models/mlp.safetensors --level x86-64
    expect 0 "all agree" "$jitc" check "$work/levels.so" $models/mlp.safetensors
    expect 0 "level x86-64" "$jitc" bench "$work/levels.so" --example $models/mlp.safetensors --level x86-64
    expect 1 "there is no level x86-64-v3; there are: x86-64-v4, x86-64-v2, x86-64" "$jitc" show "$work/levels.so" --level x86-64-v3
    # weights that are made at load are made by the level's own code
    expect 0 "" "$jitc" $models/resnet_tiny.pt --example $models/resnet_tiny.safetensors --target cpu:x86-64,x86-64-v2 -o "$work/levels.so"
    for level in x86-64 x86-64-v2; do expect 0 "all agree" "$jitc" check "$work/levels.so" $models/resnet_tiny.safetensors --level $level; done
    # a processor that lacks the instructions is told so, and nothing is run
    if ! grep -q avx512fp16 /proc/cpuinfo; then
        expect 0 "" "$jitc" $mlp --target x86-64-v4+avx512fp16 -o "$work/v4.so"
        expect 1 "needs a processor with x86-64-v4,avx512fp16; this one lacks avx512" "$jitc" show "$work/v4.so"
    fi
fi
expect 1 "not levels of one architecture" "$jitc" $mlp --target cpu:x86-64,aarch64 -o "$work/none.so"
for level in 0 1 2 3; do expect 0 "all agree" "$jitc" check $models/mlp.pt $models/mlp.safetensors -O$level --verify; done

# cheaper functions: other bits, within the tolerances, and the module says so
act="$models/activations"
expect 0 "" "$jitc" $act.pt --example $act.safetensors -o "$work/exact.so"
expect 0 "" "$jitc" $act.pt --example $act.safetensors --fast-math -o "$work/fast.so"
expect 0 "compiled by jitc 0.1.0 --fast-math" "$jitc" show "$work/fast.so"
expect 0 "all agree" "$jitc" check "$work/fast.so" $act.safetensors --rtol 2e-5 --atol 2e-5
for kind in exact fast; do expect 0 "" "$jitc" run "$work/$kind.so" --inputs $act.safetensors --outputs "$work/$kind.safetensors"; done
cmp -s "$work/exact.safetensors" "$work/fast.safetensors" && fail "--fast-math changes nothing"

# results larger than the caches are written around them
printf 'def forward(x: Tensor) -> Tensor:\n    return torch.relu(x)\n' >"$work/relu.py"
for n in 1000000 10000000; do expect 0 "" "$jitc" "$work/relu.py" --input "x=f32[$n]" -o "$work/relu$n.ll"; done
grep -q '!nontemporal' "$work/relu10000000.ll" || fail "large results go through the caches"
grep -q '!nontemporal' "$work/relu1000000.ll" && fail "small results go around the caches"

# the passes
expect 0 "" "$jitc" $mlp --stop-after=fuse -o "$work/fused.ir"
grep -q kernel "$work/fused.ir" || fail "no kernels in the graph after fuse"
expect 0 "" "$jitc" $mlp --print-after=dce --stats -o "$work/p.so"
grep -q 'func @' "$work/err" || fail "--print-after printed nothing"

# state lives in the session; run writes a file of cases
expect 0 "" "$jitc" run $models/multi_out.pt --inputs $models/multi_out.safetensors --outputs "$work/multi.safetensors"

# one method of several, a constant argument
expect 0 "" "$jitc" $models/mlp.pt --method __len__ -o "$work/len.so"
expect 0 "5" "$jitc" run "$work/len.so"
finish
