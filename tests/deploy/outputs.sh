#!/bin/sh
# outputs.sh BUILD: what the files are that jitc writes: what a library asks for, that the same compile gives the same bytes, that
# objects and archives link into C programs, and that other targets get objects of theirs.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build/release}
jitc=$build/jitc
models=tests/models
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "outputs.sh: $*" >&2
    exit 1
}

# ---- libc and libm at most, by the name of each
for model in mlp lenet encoder_layer activations containers strings; do
    "$jitc" $models/$model.pt --example $models/$model.safetensors -o "$work/$model.so"
    needed=$(readelf -dW "$work/$model.so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')
    echo "$model.so needs: $needed"
    case $needed in
    '' | 'libc.so.6 ' | 'libm.so.6 ' | 'libc.so.6 libm.so.6 ') ;;
    *) fail "$model.so needs $needed" ;;
    esac
    rest=$(ldd "$work/$model.so" | grep -vE 'linux-vdso|ld-linux|libc\.so|libm\.so|statically linked' || true)
    [ -z "$rest" ] || fail "$model.so: ldd: $rest"
    ! readelf -lW "$work/$model.so" | grep -E 'LOAD.* RWE|GNU_STACK.*E ' || fail "$model.so has memory that is writable and executable"
done

# ---- the same bytes: again, from another folder, under another name, with the verifier on
here=$PWD
case $jitc in /*) ;; *) jitc=$here/$jitc ;; esac
for model in mlp encoder_layer containers; do
    for suffix in so a; do
        "$jitc" $models/$model.pt --example $models/$model.safetensors -o "$work/one.$suffix"
        mkdir -p "$work/sub"
        (cd "$work/sub" && TMPDIR=$work "$jitc" --verify "$here/$models/$model.pt" --example "$here/$models/$model.safetensors" -o "../another name.$suffix")
        cmp "$work/one.$suffix" "$work/another name.$suffix" || fail "$model.$suffix: not the same bytes"
        grep -q "$work" "$work/one.$suffix" && fail "$model.$suffix holds a path of this machine"
        grep -q "$here" "$work/one.$suffix" && fail "$model.$suffix holds a path of this machine"
    done
    [ $model != containers ] || continue # it has no weights
    "$jitc" $models/$model.pt --example $models/$model.safetensors --weights=side -o "$work/one.so"
    mv "$work/$model.weights" "$work/first.weights"
    "$jitc" $models/$model.pt --example $models/$model.safetensors --weights=side -o "$work/two.so"
    cmp "$work/one.so" "$work/two.so" && cmp "$work/first.weights" "$work/$model.weights" || fail "$model: weights beside: not the same bytes"
done
[ -z "$(find "$work" -name '.*jitc*' -o -name '*.tmp')" ] || fail "temporary files are left"
echo "the same bytes"

# ---- linked into a program: an object, an archive, two models at once
flags="-std=c99 -O1 -Wall -Wextra -Werror -Iinclude -I$work ${JITC_SANITIZE:+-fsanitize=$JITC_SANITIZE}"
runtime="$build/libjitc_runtime.a -lm -lpthread -ldl"
for suffix in o a; do
    "$jitc" $models/lenet.pt --input 'x=f32[N,1,28,28]' -o "$work/lenet.$suffix"
    ${CC:-cc} $flags examples/linked.c "$work/lenet.$suffix" -o "$work/linked" $runtime
    "$work/linked"
done
"$jitc" $models/mlp.pt --input 'input=f32[N,16]' -o "$work/mlp.a"
cat >"$work/both.c" <<'C'
#include "lenet.h"
#include "mlp.h"
#include "jitc/ffi.h"
#include <stdio.h>
int main(void) {
    jitc_module *a = NULL, *b = NULL;
    if (jitc_load_lenet(&a) != JITC_OK || jitc_load_mlp(&b) != JITC_OK) return puts(jitc_error()), 1;
    printf("%s and %s in one program\n", jitc_module_name(a), jitc_module_name(b));
    jitc_module_release(a);
    jitc_module_release(b);
    return 0;
}
C
${CC:-cc} $flags "$work/both.c" "$work/lenet.a" "$work/mlp.a" -o "$work/both" $runtime
"$work/both"
if command -v c++ >/dev/null; then # the header is C++ too
    cp "$work/both.c" "$work/both.cc"
    c++ -Wall -Wextra -Werror -Iinclude -I"$work" -fsyntax-only "$work/both.cc"
fi

# ---- other targets: 64-bit ELF objects, by the machine's number in the header
machine() { od -An -j18 -N2 -tu2 "$1" | tr -d ' '; }
for target in aarch64:183 riscv64:243 x86-64:62 x86-64-v4:62 aarch64-unknown-linux-musl:183; do
    for model in mlp containers; do
        "$jitc" $models/$model.pt --example $models/$model.safetensors --target "${target%:*}" --name m -o "$work/cross.a"
        (cd "$work" && ar x cross.a code.o)
        [ "$(machine "$work/code.o")" = "${target#*:}" ] || fail "$model for ${target%:*}: machine $(machine "$work/code.o")"
        [ -s "$work/cross.h" ] || fail "no header for ${target%:*}"
    done
    echo "${target%:*}: objects"
done
# A library for another machine needs no more than lld.
for target in aarch64 riscv64; do
    if ! command -v ld.lld-19 >/dev/null; then break; fi
    JITC_LD=ld.lld-19 "$jitc" $models/mlp.pt --input 'input=f32[N,16]' --target $target -o "$work/cross.so"
    [ "$(machine "$work/cross.so")" = "$(case $target in aarch64) echo 183 ;; *) echo 243 ;; esac)" ] || fail "$target: machine $(machine "$work/cross.so")"
done
if "$jitc" $models/mlp.pt --input 'input=f32[N,16]' --target vax -o "$work/vax.o" 2>"$work/why"; then fail "there is no target vax"; fi
grep -q "unknown target 'vax'; the targets are" "$work/why" || fail "$(cat "$work/why")"
[ ! -e "$work/vax.o" ] || fail "an output after an error"

# ---- no linker: a message that names the ways out, and nothing written
if JITC_LD=/nonexistent "$jitc" $models/mlp.pt --input 'input=f32[N,16]' -o "$work/none.so" 2>"$work/why"; then fail "linked without a linker"; fi
grep -q 'no linker for' "$work/why" || fail "$(cat "$work/why")"
[ ! -e "$work/none.so" ] || fail "an output after an error"
echo "done"
