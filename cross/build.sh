#!/usr/bin/env bash
# Builds what is shipped: one program of the `release` profile, stripped, with camera support.
#
#   cross/build.sh TARGET...
#
# In it are the models that a board computes with; package.sh puts the others, and the demo's pictures, into /usr/share/doorward.
#
# A TARGET is aarch64-unknown-linux-gnu (Raspberry Pi 3, 4, 5 with a 64-bit system; Jetson), armv7-unknown-linux-gnueabihf (a 32-bit system) or
# x86_64-unknown-linux-gnu. The program is left at target/TARGET/release/doorward ($CARGO_TARGET_DIR is minded), that of another machine
# beside release/examples/infer, by which its instructions are counted.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The newest glibc that the program may ask for: that of Ubuntu 22.04 (JetPack 6). Debian 12 has 2.36, Debian 13 2.41.
readonly GLIBC_LIMIT=${DOORWARD_GLIBC:-2.35}

die() {
    echo "build: $*" >&2
    exit 1
}

need() {
    command -v "$1" > /dev/null || die "$1 is missing: apt install $2, or run cross/setup.sh"
}

# What the target's tools are called, the packages they are in, and readelf's word for the machine.
describe() {
    case $1 in
    aarch64-unknown-linux-gnu) prefix=aarch64-linux-gnu- packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" machine=AArch64 ;;
    armv7-unknown-linux-gnueabihf) prefix=arm-linux-gnueabihf- packages="gcc-arm-linux-gnueabihf libc6-dev-armhf-cross" machine=ARM ;;
    x86_64-unknown-linux-gnu) prefix=x86_64-linux-gnu- packages="gcc libc6-dev" machine=X86-64 ;;
    *) die "give targets: aarch64-unknown-linux-gnu, armv7-unknown-linux-gnueabihf, x86_64-unknown-linux-gnu; '$1' is none" ;;
    esac
    if [[ $1 == "$host" ]]; then prefix=''; fi
}

# Everything but Rust's crates; dies with the name of what is missing.
check() {
    local target=$1 headers
    describe "$target"
    if [[ $prefix ]]; then
        need "${prefix}gcc" "$packages"
        headers=/usr/${prefix%-}/include
    else
        need cc "$packages"
        need readelf binutils
        headers=/usr/include
    fi
    [[ -e $headers/linux/videodev2.h ]] || die "the kernel's headers for $target are missing: apt install ${packages##* } linux-libc-dev"
    [[ $target == armv7-* && ${DOORWARD_ARMV7_FLAGS:-} ]] ||
        compgen -G "$("${RUSTC:-rustc}" --print target-libdir --target "$target")/libstd-*.rlib" > /dev/null ||
        die "Rust's standard library for $target is missing: rustup target add $target, or run cross/setup.sh"
}

build() {
    cargo build --locked --release --no-default-features --features camera,embedded-models --bin doorward "$@"
}

# For the machine itself cargo builds where `cargo run --release` does, and both share one build of tract.
build_host() {
    local built=${CARGO_TARGET_DIR:-target}
    build
    mkdir -p "$built/$1/release"
    ln -f "$built/release/doorward" "$built/$1/release/"
}

inspect() {
    local built=${CARGO_TARGET_DIR:-target}/$1/release/doorward glibc
    describe "$1"
    "${prefix}readelf" -h "$built" | grep -q "Machine: .*$machine" || die "$built is not for $machine"
    glibc=$("${prefix}readelf" --dyn-syms --wide "$built" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -1)
    [[ $(printf '%s\n' "$glibc" "$GLIBC_LIMIT" | sort -V | tail -1) == "$GLIBC_LIMIT" ]] ||
        die "$built needs glibc $glibc, newer than $GLIBC_LIMIT: build it on Debian 12, or with cross (cross/README.md), or say DOORWARD_GLIBC=$glibc if your boards have that"
    echo "$built: $(stat -c %s "$built") bytes, needs glibc $glibc"
}

(($#)) || set -- ''
host=''
for target; do describe "$target"; done
command -v cargo > /dev/null || die "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
host=$(rustc -vV | sed -n 's/^host: //p')
cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
environment=${DOORWARD_CROSS:-$cache/doorward-cross}/env.sh
# shellcheck source=/dev/null
if [[ -e $environment ]]; then source "$environment"; fi
for target; do check "$target"; done
libclang=$(find /usr/lib /usr/local/lib ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} \( -name 'libclang.so*' -o -name 'libclang-[0-9]*.so*' \) -print -quit 2> /dev/null || true)
[[ $libclang ]] || die "libclang is missing, by which the camera's bindings are made: apt install libclang1, or run cross/setup.sh"

together=()
for target; do
    if [[ $target == armv7-* && ${DOORWARD_ARMV7_FLAGS:-} ]]; then
        # The variable is for the flag alone, by which cargo builds Rust's library too.
        RUSTC_BOOTSTRAP=1 build --example infer --target "$target" "$DOORWARD_ARMV7_FLAGS"
    elif [[ $target == "$host" ]]; then
        build_host "$target"
    else
        together+=(--target "$target")
    fi
done
# With the example cargo gives every dependency the features that the tests have too, so that both share one build of tract.
((${#together[@]} == 0)) || build --example infer "${together[@]}"
for target; do inspect "$target"; done
