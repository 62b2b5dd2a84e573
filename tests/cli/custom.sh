#!/bin/sh
# custom.sh: custom operators from the command line; the library is tests/deploy/custom_ops.c.
. tests/cli/lib.sh
lib=$work/libcustom_ops.so
${CC:-cc} -O1 -shared -fPIC -fvisibility=hidden -Iinclude tests/deploy/custom_ops.c -o "$lib" || exit 1
model=tests/deploy/data/custom.py
schema='my_ops::rowsum(Tensor x, float scale=1) -> Tensor; x: f32[N, M] -> f32[N]'
set -- "--op=$lib:rowsum=$schema" --op="$lib=my_ops::positive(Tensor x) -> Tensor"

# all of the command takes them; a compile alone does not need the library
cp tests/deploy/data/custom_rows.safetensors "$work/forward.safetensors"
sed 's/^def rows/def forward/' $model >"$work/model.py"
expect 0 "all agree" "$jitc" check "$work/model.py" "$work/forward.safetensors" "$@"
expect 0 "all agree" "$jitc" check "$work/model.py" "$work/forward.safetensors" "$@" --interpret
expect 0 "" "$jitc" "$work/model.py" --example "$work/forward.safetensors" "--op=/nowhere.so=$schema" -o "$work/m.so"
expect 0 "" "$jitc" "$work/model.py" --example "$work/forward.safetensors" "--op=$schema" -o "$work/m.so"
expect 0 "needs my_ops::rowsum" "$jitc" show "$work/m.so"
expect 0 "all agree" "$jitc" check "$work/m.so" "$work/forward.safetensors" "$@"
expect 0 "[5.5, 4.5]" "$jitc" run "$work/m.so" --inputs "$work/forward.safetensors" "$@"
expect 1 "my_ops::rowsum" "$jitc" check "$work/m.so" "$work/forward.safetensors"
expect 0 "my_ops::rowsum" "$jitc" show "$work/model.py" --method forward "$@"

# what is wrong is said before anything is written
bad() { # TEXT OPTION
    expect 1 "$1" "$jitc" "$work/model.py" --example "$work/forward.safetensors" "--op=$2" -o "$work/bad.so"
    absent "$work/bad.so"
}
bad "LIBRARY:SYMBOL=SCHEMA" "$lib"
bad "LIBRARY:SYMBOL=SCHEMA" "=$schema"
bad "needs a namespace" "$lib=rowsum(Tensor x) -> Tensor"
bad "type expected" "$lib=my_ops::rowsum(Tensor x, float scale=1) -> "
bad "cannot have such a schema" "$lib=my_ops::rowsum(Dict(str, Tensor) x, float scale=1) -> Tensor"
bad "the name of an argument" "$lib=my_ops::rowsum(Tensor x, float scale=1) -> Tensor; z: f32[N]"
bad "nothing says what 'K' is" "$lib=my_ops::rowsum(Tensor x, float scale=1) -> Tensor; x: f32[2*K] -> f32[K]"
bad "more types than results" "$lib=my_ops::rowsum(Tensor x, float scale=1) -> Tensor; -> f32[N], f32[N]"
bad "already" "$lib=torchvision::nms(Tensor x) -> Tensor"
expect 1 "my_ops.rowsum" "$jitc" "$work/model.py" --example "$work/forward.safetensors" -o "$work/bad.so"
expect 1 "/nowhere.so" "$jitc" check "$work/model.py" "$work/forward.safetensors" "--op=/nowhere.so=$schema"
expect 1 "nosuch" "$jitc" check "$work/model.py" "$work/forward.safetensors" "--op=$lib:nosuch=$schema" --interpret

# a declaration that the arguments do not fit, and one that the function does not keep
expect 3 "declared as f64[N, M]" "$jitc" check "$work/model.py" "$work/forward.safetensors" \
    "--op=$lib:rowsum=my_ops::rowsum(Tensor x, float scale=1) -> Tensor; x: f64[N, M] -> f64[N]"
expect 3 "other sizes" "$jitc" check "$work/model.py" "$work/forward.safetensors" "--op=$lib=my_ops::rowsum(Tensor x, float scale=1) -> Tensor; x: f32[N, M] -> f32[M + 1]"
expect 3 "not as declared" "$jitc" check "$work/model.py" "$work/forward.safetensors" "--op=$lib=my_ops::rowsum(Tensor x, float scale=1) -> Tensor; x: f32[N, M] -> f32[M + 1]" --interpret
finish
