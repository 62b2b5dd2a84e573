#!/bin/sh
# profile.sh: what bench and profiles tell.
. tests/cli/lib.sh

row() { # KERNEL FIELD: the field's number in the row of a kernel, of the JSON in $work/out
    grep -F "\"name\": \"$1\"" "$work/out" | head -n 1 | sed "s/.*\"$2\": \([-0-9.e+]*\).*/\1/"
}
above() { # A B WHAT
    checks=$((checks + 1))
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 > b + 0) }' || fail "$3: $1 is not above $2"
}

expect 0 "" "$jitc" $models/mlp.pt --input 'input=f32[N,16]' --name mlp -o "$work/mlp.so"
expect 0 "median" "$jitc" bench "$work/mlp.so" --example $models/mlp.safetensors
if grep -q GFLOP "$work/out"; then fail "kernels without --profile"; fi
above "$(sed -n 's/^code \([0-9]*\) bytes.*/\1/p' "$work/out")" 100 "code bytes"
expect 2 "unexpected argument" "$jitc" bench "$work/mlp.so" --example $models/mlp.safetensors --profile "$work/t.json"

# a table of kernels with the share of the peak, the slowest first
expect 0 "outside of kernels" "$jitc" bench "$work/mlp.so" --example $models/mlp.safetensors --profile
grep -q 'linear.*f32\[N, ' "$work/out" || fail "no type of a kernel's result"
awk '/^ *us/ { last = 1e30; next } / outside / || !/%/ { next } $1 > last { bad = 1 } { last = $1 } END { exit bad }' "$work/out" ||
    fail "the kernels are not in order"
above "$(awk '/ outside / { next } $2 ~ /%/ { n += $2 } /^peak/ { print n; exit }' "$work/out")" 1 "shares of time"
above "$(sed -n 's/^peak: \([0-9.]*\) GFLOP.*/\1/p' "$work/out" | head -n 1)" 0 "the peak"

# the numbers follow from the shapes, which are known at entry: x is [N, 16], the first weight [32, 16]
expect 0 '"kernels"' "$jitc" bench "$work/mlp.so" --example $models/mlp.safetensors --json --profile="$work/bench.json"
grep -q '"median_us"' "$work/out" || fail "no latency in the JSON"
above "$(row linear+relu gflops)" 0 "GFLOP/s"
above "$(row linear+relu gb_per_s)" 0 "GB/s"
for batch in 1 3; do
    npy "$work/x.npy" '<f4' "($batch, 16)" $((batch * 64))
    expect 0 "" "$jitc" run "$work/mlp.so" --inputs "$work/x.npy" --profile "$work/run.json" --threads 1
    flops=$(sed -n 's/.*"name":"linear+relu".*"flops":\([0-9]*\).*/\1/p' "$work/run.json" | head -n 1)
    [ "$flops" = $((2 * batch * 16 * 32)) ] || fail "linear+relu at batch $batch has $flops operations"
done

# traces: one object with events, kernels within their call
for f in bench run; do
    grep -q '"traceEvents":\[' "$work/$f.json" || fail "$f.json is no trace"
    grep -q '"cat":"call","name":"forward"' "$work/$f.json" || fail "$f.json has no call"
    awk '{ gsub(/[,:{}"]/, " ") } / ph X / { for (i = 1; i < NF; i++) { if ($i == "ts") ts = $(i + 1); if ($i == "dur") dur = $(i + 1) } }
        / call / { end = ts + dur } / kernel / { n++; if (ts + dur > end + 1e-3) bad = 1 } END { exit bad || !n }' "$work/$f.json" ||
        fail "$f.json: no kernels, or one outside of its call"
done
expect 1 "cannot write" "$jitc" run $models/mlp.pt --inputs $models/mlp.safetensors --profile "$work/none/trace.json"

# the plan of memory is near the least that is possible
for size in 32,32 64,96; do
    expect 0 "" "$jitc" $models/unet_tiny.pt --input "x=f32[1,1,$size]" -o "$work/unet.so"
    expect 0 "in use at one time" "$jitc" show "$work/unet.so"
    above $(awk '/ workspace / { print $NF, $2 * 0.95 }' "$work/out") "use of the workspace at $size"
done

# what the runtime does has rows as well
expect 0 "" "$jitc" run $models/sorting.pt --inputs $models/sorting.safetensors --profile "$work/run.json"
grep -q '"cat":"kernel","name":"sort' "$work/run.json" || fail "sort has no row"
finish
