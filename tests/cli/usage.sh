#!/bin/sh
# usage.sh: options, help and exit codes.
. tests/cli/lib.sh

expect 2 "usage:" "$jitc"
expect 0 "usage:" "$jitc" --help
expect 0 "usage:" "$jitc" help
expect 0 "jitc 0." "$jitc" --version
for command in run check bench show diff ops; do expect 0 "usage: jitc $command" "$jitc" $command --help; done
expect 2 "unknown option --nonsense" "$jitc" check --nonsense
expect 2 "did you mean --threads?" "$jitc" check a.pt b.safetensors --thread 2
expect 2 "--json is no option of \`check\`" "$jitc" check a.pt b.safetensors --json
expect 2 "too few arguments" "$jitc" check a.pt
expect 2 "unexpected argument" "$jitc" show a.pt b.pt
expect 2 "-o OUT is missing" "$jitc" $models/mlp.pt
expect 2 "--threads wants a number" "$jitc" run a.pt --threads none
expect 2 "-O wants a level" "$jitc" a.pt -O7 -o b.so
expect 2 "wants a value" "$jitc" a.pt --target
expect 2 "takes no value" "$jitc" check a.pt b.safetensors --interpret=yes
expect 2 "--weights wants" "$jitc" $models/mlp.pt -o "$work/a.so" --weights nowhere
expect 2 "" "$jitc" bench $models/mlp.pt
expect 1 "not there yet" "$jitc" diff a b c
expect 0 "relu" "$jitc" ops

# stdout is the product, messages go to stderr; neither has escape sequences when it is no terminal
expect 1 "error:" "$jitc" show "$work/none.pt"
if [ -s "$work/out" ]; then fail "an error message on stdout"; fi
if grep -q "$(printf '\033')" "$work/err"; then fail "escape sequences in a file"; fi
if [ -e /dev/full ]; then # whether the last write fails or an earlier one
    for words in ops --version; do expect 1 "cannot be written: No space left on device" sh -c "'$jitc' $words >/dev/full"; done
fi
for words in ops --version; do expect 1 "cannot be written: Bad file descriptor" sh -c "'$jitc' $words >&-"; done
mlp="$models/mlp.pt --inputs $models/mlp.safetensors"
expect 0 "" "$jitc" run $mlp --outputs "$work/open.safetensors"
expect 0 "" sh -c "'$jitc' run $mlp --outputs '$work/closed.safetensors' <&- >&-" # the output does not become stdout
cmp "$work/open.safetensors" "$work/closed.safetensors" || fail "an output that depends on what is open"

# check: selected cases, tolerances, a difference
expect 0 "1 case," "$jitc" check $models/mlp.pt $models/mlp.safetensors --case 1 --interpret
expect 1 "has the cases 0 to" "$jitc" check $models/mlp.pt $models/mlp.safetensors --case 9 --interpret
expect 3 "1 wrong" "$jitc" check $models/lenet.pt $models/mlp.safetensors --interpret --case 0
expect 0 "model $models/mlp.pt" "$jitc" show $models/mlp.pt
expect 0 "digraph" "$jitc" show $models/mlp.pt --dot
expect 0 "<!doctype html>" "$jitc" show $models/mlp.pt --html
finish
