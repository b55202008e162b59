#!/usr/bin/env bash
# Makes the Debian package of a program that cross/build.sh has built.
#
#   cross/package.sh TARGET
#
# TARGET is that of cross/build.sh: x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu or armv7-unknown-linux-gnueabihf. The package is
# left at target/debian/ ($CARGO_TARGET_DIR is minded). Manual pages and completions are what the program says of itself; one of
# another architecture runs in an emulator.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
    echo "package: $*" >&2
    exit 1
}

need() {
    command -v "$1" > /dev/null || die "$1 is missing: apt install $2"
}

target=${1:-}
case $target in
x86_64-unknown-linux-gnu) architecture=amd64 machine=X86-64 host=x86_64 ;;
aarch64-unknown-linux-gnu) architecture=arm64 machine=AArch64 host=aarch64 ;;
armv7-unknown-linux-gnueabihf) architecture=armhf machine=ARM host=armv7l ;;
*) die "give a target: x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu or armv7-unknown-linux-gnueabihf; '$target' is none" ;;
esac
need readelf binutils
need dpkg-deb dpkg
need python3 python3
command -v cargo > /dev/null || die "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
command -v cargo-deb > /dev/null || die "cargo-deb is missing: cargo install cargo-deb --locked --version 3.8.0"

# --- the program ----------------------------------------------------------------------------------------------

built=${CARGO_TARGET_DIR:-target}/$target/release
program=$built/doorward
[[ -e $program ]] || die "$program is missing: run cross/build.sh $target"
header=$(readelf -h "$program" 2> /dev/null | sed -n 's/^ *Machine: *//p' || true)
[[ $header == *"$machine"* ]] || die "$program is not for $target but for ${header:-no machine we know}: run cross/build.sh $target"

# What Cargo.toml declares in `depends` has to hold: cargo-deb's own look at the libraries does not work across architectures.
declared=$(sed -n 's/^depends = ".*libc6 (>= \([0-9.]*\)).*/\1/p' Cargo.toml)
glibc=$(readelf --dyn-syms --wide "$program" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -1 || true)
[[ $(printf '%s\n' "$glibc" "$declared" | sort -V | tail -1) == "$declared" ]] ||
    die "$program needs glibc $glibc and Cargo.toml declares libc6 (>= $declared): raise it in [package.metadata.deb]"
others=$(readelf -d --wide "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -Ev '^(lib(c|m|gcc_s)\.so\.|ld-linux)' || true)
[[ ! $others ]] || die "$program needs libraries of which Cargo.toml declares no package: $others"

# --- what it says of itself -----------------------------------------------------------------------------------

runner=()
if [[ $(uname -m) != "$host" ]]; then
    cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
    environment=${DOORWARD_CROSS:-$cache/doorward-cross}/env.sh
    # shellcheck source=/dev/null
    if [[ -e $environment ]]; then source "$environment"; fi
    name=CARGO_TARGET_${target//-/_}_RUNNER
    name=${name^^}
    [[ ${!name:-} ]] || die "nothing to run $program with on this machine: apt install qemu-user and run cross/setup.sh, or set $name"
    # The words of cargo's variable are arguments.
    # shellcheck disable=SC2206
    runner=(${!name})
    need "${runner[0]}" qemu-user
fi

say() {
    "${runner[@]}" "$program" "$@"
}

version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
maintainer=$(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)
[[ $(say --version) == "doorward $version" ]] || die "$program is not doorward $version, that of Cargo.toml: run cross/build.sh $target"

# Where [package.metadata.deb] takes them from.
papers=$built/debian
rm -rf "$papers"
mkdir -p "$papers"
say man "$papers/man"
gzip -9n "$papers"/man/*.1
say completions bash > "$papers/doorward.bash"
say completions zsh > "$papers/_doorward"
say completions fish > "$papers/doorward.fish"
# The service's configuration: that of a USB camera, with the service's gallery, which a command line of a user has not.
sed '/^\[source\]/i # Where the service keeps its gallery; enrol with this same configuration (/usr/share/doc/doorward/service.md).\n[gallery]\ndir = "/var/lib/doorward"\n' \
    configs/usb-camera.toml > "$papers/doorward.toml"
grep -q '^dir = "/var/lib/doorward"$' "$papers/doorward.toml" || die "configs/usb-camera.toml has no [source] to put [gallery] before"
cross/debian/changelog.py "$version" "$maintainer" | gzip -9n > "$papers/changelog.gz"
cross/debian/libraries.py "$target" | gzip -9n > "$papers/libraries.txt.gz"

# --- the package ------------------------------------------------------------------------------------------------

package=${CARGO_TARGET_DIR:-target}/debian/doorward_${version}_$architecture.deb
mkdir -p "${package%/*}"
cargo deb --quiet --locked --no-build --no-strip --target "$target" --output "$package" > /dev/null
echo "$package: $(stat -c %s "$package") bytes, installed $(dpkg-deb --field "$package" Installed-Size) KiB, needs glibc $glibc"
