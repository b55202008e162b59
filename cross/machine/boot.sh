#!/usr/bin/env bash
# Starts the emulated machine, has doorward guard its door while all kinds of things happen to its camera, and brings back what came of it.
#
#   cross/machine/boot.sh MACHINE DOORWARD OUT [ARCH]
#
# MACHINE is the folder that build.sh printed, DOORWARD a program with camera support, OUT an empty folder for the results. The console goes to
# standard output. MACHINE_TIMEOUT_S (900) ends a machine that does not end by itself. Its processor is one in software, with
# all that QEMU knows: the same everywhere.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
    echo "machine: $*" >&2
    exit 1
}

(($# >= 3)) || die "give MACHINE DOORWARD OUT: cross/machine/boot.sh \"\$(cross/machine/build.sh ~/.cache/doorward-machine)\" target/release/doorward out"
machine=$1 doorward=$2 out=$3 arch=${4:-amd64}
project=${here%/cross/*}
case $arch in
amd64) qemu=(qemu-system-x86_64 -machine pc -cpu max) console=ttyS0 packages=qemu-system-x86 ;;
arm64) qemu=(qemu-system-aarch64 -machine virt -cpu max) console=ttyAMA0 packages=qemu-system-arm ;;
*) die "ARCH is amd64 or arm64, not $arch" ;;
esac
command -v "${qemu[0]}" > /dev/null || die "${qemu[0]} is missing: apt install $packages"
command -v cpio > /dev/null || die "cpio is missing: apt install cpio"
[[ -e $machine/ready ]] || die "$machine holds no machine: run cross/machine/build.sh"
[[ -x $doorward ]] || die "$doorward is no program: build it with --features camera"
mkdir -p "$out"
[[ -z $(ls -A "$out") ]] || die "$out is not empty"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What changes from run to run is a second archive behind the first, which Linux looks for at a multiple of four.
root=$work/root
install -D -m 755 "$doorward" "$root/usr/bin/doorward"
install -m 644 "$here/guest/door.toml" "$here/guest/cases.sh" "$root/"
python3 "$here/frames.py" "$root/frames"
mkdir -p "$root/enrol"
cp -r "$project/demo/enrol/Resident" "$root/enrol/resident"
cp -r "$project/demo/enrol/Barack Obama" "$root/enrol/obama"
cp "$machine/initrd.gz" "$work/initrd"
truncate -s %4 "$work/initrd"
(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) >> "$work/initrd"
truncate -s 64M "$work/disk"

timeout "${MACHINE_TIMEOUT_S:-900}" "${qemu[@]}" -accel tcg,thread=multi -smp 2 -m 1024 -display none -monitor none -serial stdio -no-reboot -nic none \
    -kernel "$machine/kernel" -initrd "$work/initrd" -append "console=$console loglevel=4 panic=-1" \
    -drive "file=$work/disk,format=raw,if=virtio" < /dev/null 2>&1 | sed -u 's/\r$//' || die "the machine did not end by itself; its console is above"
tar -x -C "$out" -f "$work/disk" || die "the machine left no results; its console is above"
