#!/usr/bin/env bash
# Runs a program on an emulated ARM processor: what cargo calls for `cargo test --target ...` once cross/setup.sh's env.sh is sourced.
#
#   cross/emulate.sh aarch64|armv7 PROGRAM [ARGUMENT...]
#
# $DOORWARD_CPU names the processor: cortex-a72 (default: Raspberry Pi 4, Jetson TX2's kin, no dot product) or cortex-a76
# (Raspberry Pi 5, and the A78AE of Jetson Orin is alike); cortex-a7 (Raspberry Pi 2) for armv7.
set -euo pipefail

die() {
    echo "emulate: $*" >&2
    exit 2
}

(($# > 1)) || die "give an architecture (aarch64 or armv7) and a program"
case $1 in
aarch64) emulator=qemu-aarch64 cpu=${DOORWARD_CPU:-cortex-a72} ;;
armv7) emulator=qemu-arm cpu=cortex-a7 ;;
*) die "there is no architecture '$1': aarch64 or armv7" ;;
esac
command -v $emulator > /dev/null || die "$emulator is missing: apt install qemu-user"
root=${DOORWARD_CROSS:?run cross/setup.sh and source its env.sh}/processors/$cpu
[[ -d $root ]] || die "no root for $cpu at $root: run cross/setup.sh, or correct DOORWARD_CPU"
shift
exec $emulator -cpu "$cpu" -L "$root" "$@"
