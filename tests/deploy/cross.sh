#!/bin/sh
# cross.sh RELEASE MACHINE: compiled models on another machine, by qemu.  RELEASE: the build with the compiler; the runtime and
# cross_run of another architecture are in build/MACHINE, by the preset of that name.  Exit 77: what this needs is not there.
release=$1 machine=$2
cd "$(dirname "$0")/../.." || exit 1
# every kind of kernel, and the host's code; what is slow to emulate is left out
models="mlp lenet resnet_tiny bert_tiny encoder_layer lstm activations norms pools convs conv_orders half_mlp bf16_conv mobilenet_tiny
    dtypes einsums indexing interpolate scans_pads sorting control_mix raises strings containers beam_search capsule"
run() { # TARGET LEVEL QEMU
    command -v "${3%% *}" >/dev/null || { echo "no ${3%% *}: not run here"; exit 77; }
    "$release/deploy_cross" "$1" "$2" "$3 $runner" $models || exit 1
}
runner=build/$machine/cross_run
[ "$machine" != x86-64 ] || runner=$release/cross_run
[ -x "$runner" ] || { echo "no $runner: not run here"; exit 77; }
case $machine in
x86-64) # a processor without AVX gets the plainer code of the two
    run cpu:x86-64-v3,x86-64-v2 x86-64-v2 "qemu-x86_64 -cpu Nehalem"
    models="mlp encoder_layer"
    run cpu:x86-64-v3,x86-64-v2 x86-64-v3 "qemu-x86_64 -cpu max"
    ;;
aarch64) run aarch64-linux-gnu aarch64-linux-gnu "qemu-aarch64 -L /usr/aarch64-linux-gnu" ;;
riscv64) # with vectors and without
    run cpu:riscv64,riscv64v riscv64v "qemu-riscv64 -cpu rv64,v=true,vlen=128,vext_spec=v1.0 -L /usr/riscv64-linux-gnu"
    models="mlp lenet encoder_layer lstm convs norms"
    run cpu:riscv64,riscv64v riscv64 "qemu-riscv64 -cpu rv64 -L /usr/riscv64-linux-gnu"
    ;;
esac
