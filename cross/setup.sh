#!/usr/bin/env bash
# Makes a Debian 12 or 13 machine able to build doorward for ARM boards, run its tests on emulated ARM processors and count their
# instructions.
#
#   cross/setup.sh [DIR]
#
# DIR is where everything goes that is not a package of the system: $DOORWARD_CROSS, else `doorward-cross` in the user's cache folder. A second
# run adds what is missing and says so; nothing is built or fetched twice. `DIR/env.sh` is for `source`; cross/build.sh finds it by itself.
#
# What it does, and with what:
#   apt     C cross compilers, their C libraries, libclang for V4L2's bindings, qemu-user
#   rustup  the standard library of both targets; without rustup, or where it cannot fetch, Debian's own Rust is unpacked
#           into DIR (the system's Rust is left alone); DOORWARD_RUST=debian asks for that way
#   gcc     the instruction counter, a plugin of qemu (cross/count)
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly TARGETS=(aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf)

say() {
    echo "setup: $*"
}

die() {
    echo "setup: $*" >&2
    exit 1
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        die "this needs root and there is no sudo: $*"
    fi
}

# --- packages of the system -----------------------------------------------------------------------------------

apt_update() {
    as_root apt-get -o DPkg::Lock::Timeout=400 update -qq
}

apt_packages() {
    local missing=() package
    for package; do
        [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2> /dev/null) == ii* ]] || missing+=("$package")
    done
    if ((${#missing[@]})); then
        say "installing ${missing[*]}"
        apt_update
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=400 install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
    fi
}

# --- packages of other suites and architectures, without touching the system's apt ---------------------------------

# private_apt NAME SUITE ARCHITECTURE...: an apt of our own in $work/NAME that knows one suite.
private_apt() {
    local root=$work/$1 suite=$2 sources uri name
    shift 2
    mkdir -p "$root"/{sources,preferences,lists/partial,cache/archives/partial}
    : > "$root/status"
    sources=$(find /etc/apt/sources.list.d -name '*.sources' -print0 2> /dev/null | xargs -0 -r cat)
    # The machine's own mirror: of the security suite for a security suite, else the first.
    uri=$(awk -v suite="$suite" '/^URIs:/ { uri = $2; if (!first) first = uri } /^Suites:/ && suite ~ /-security$/ && /-security/ { found = uri }
        END { print found ? found : first }' <<< "$sources")
    if [[ ! $uri ]]; then
        uri=$(awk -v suite="$suite" '/^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z]+:\//) { uri = $i; break }
            if (!first) first = uri; if (suite ~ /-security$/ && /-security/) found = uri } END { print found ? found : first }' /etc/apt/sources.list 2> /dev/null)
    fi
    [[ $uri ]] || die "no mirror of Debian found in /etc/apt: add a source for $suite"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$uri" "$suite" /usr/share/keyrings/debian-archive-keyring.gpg > "$root/sources/one.sources"
    {
        printf 'Dir::State "%s";\nDir::State::lists "lists/";\nDir::State::status "%s/status";\nDir::Cache "%s/cache";\n' "$root" "$root" "$root"
        printf 'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "%s/sources";\nDir::Etc::preferencesparts "%s/preferences";\n' "$root" "$root"
        printf 'APT::Architecture "amd64";\nAPT::Sandbox::User "root";\nAcquire::Languages "none";\nAPT::Architectures { '
        for name; do printf '"%s"; ' "$name"; done
        printf '};\n'
    } > "$root.conf"
    APT_CONFIG=$root.conf apt-get -q update > /dev/null 2> "$root.log" || { cat "$root.log" >&2; return 1; }
}

# fetch NAME INTO PACKAGE...: unpacks packages of a private apt into a folder.
fetch() {
    local name=$1 into=$2 archive
    shift 2
    mkdir -p "$work/$name/debs" "$into"
    (cd "$work/$name/debs" && APT_CONFIG=$work/$name.conf apt-get -q download "$@" > /dev/null)
    for archive in "$work/$name/debs"/*.deb; do
        dpkg-deb -x "$archive" "$into"
        rm "$archive"
    done
}

depends_on() {
    APT_CONFIG=$work/$1.conf apt-cache depends "$2" | awk -v pattern="$3" '$1 == "Depends:" && $2 ~ pattern { sub(/:.*/, "", $2); print $2; exit }'
}

# --- Rust's standard library for the targets -----------------------------------------------------------------------

# has_std_of RUSTC TARGET: of the machine's own rustc where the first does not exist.
has_std_of() {
    local rustc=$1
    [[ -x $rustc ]] || rustc=rustc
    compgen -G "$("$rustc" --print target-libdir --target "$2")/libstd-*.rlib" > /dev/null
}

all_std() {
    local target
    for target in "${TARGETS[@]}"; do
        has_std_of rustc "$target" || return
    done
}

rust_by_rustup() {
    [[ ${DOORWARD_RUST:-} != debian ]] || return
    command -v rustup > /dev/null || return
    say "asking rustup for ${TARGETS[*]}"
    timeout 300 rustup target add "${TARGETS[@]}" > "$work/rustup.log" 2>&1
}

# Debian builds recent Rust for its browsers, and its packages hold the standard library of the architecture they are for: those of
# another architecture beside the compiler of this one make a cross compiler.
rust_by_debian() {
    local suite llvm library rust=$dir/rust
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")-security
    [[ $(dpkg --print-architecture) == amd64 ]] || die "rustup cannot fetch ${TARGETS[*]}, and the way by Debian's packages is for amd64 machines"
    say "not by rustup: unpacking Debian's Rust of $suite into $rust"
    private_apt rust "$suite" amd64 arm64 || die "cannot read $suite"
    library=$(depends_on rust libstd-rust-web-dev:amd64 '^libstd-rust-web-[0-9]')
    llvm=$(depends_on rust rustc-web:amd64 '^libllvm')
    llvm=${llvm:-$(depends_on rust "$library:amd64" '^libllvm')}
    [[ $library && $llvm ]] || die "$suite has no rustc-web: install Rust's standard library for ${TARGETS[*]} by rustup"
    rm -rf "$rust"
    fetch rust "$rust" rustc-web:amd64 "libstd-rust-web-dev:amd64" "libstd-rust-web-dev:arm64" "$library:amd64" "$llvm:amd64"
    # Debian's mirror of armhf may lag behind; then the sources are taken and cargo builds the library itself.
    if private_apt armhf "$suite" armhf 2> /dev/null && [[ $(version_of armhf) == "$(version_of rust)" ]]; then
        fetch armhf "$rust" libstd-rust-web-dev:armhf
    else
        say "Debian's armhf packages are of another version; the library will be built from its sources"
        fetch rust "$rust" rust-web-src:all
        find "$rust"/usr/src/rustc-* -mindepth 1 -maxdepth 1 ! -name library -exec rm -rf {} +
        mkdir -p "$rust/usr/lib/rustlib/src"
        ln -sfn "$(realpath --relative-to "$rust/usr/lib/rustlib/src" "$(echo "$rust"/usr/src/rustc-*)")" "$rust/usr/lib/rustlib/src/rust"
    fi
    mkdir -p "$dir/bin"
    cat > "$dir/bin/rustc" << END
#!/bin/sh
LD_LIBRARY_PATH=$rust/usr/lib/x86_64-linux-gnu:$rust/usr/lib exec $rust/usr/bin/rustc "\$@"
END
    chmod +x "$dir/bin/rustc"
    "$dir/bin/rustc" --version > /dev/null || die "Debian's Rust does not run: $dir/bin/rustc"
}

version_of() {
    APT_CONFIG=$work/$1.conf apt-cache show libstd-rust-web-dev | awk '/^Version:/ { print $2; exit }'
}

rust_std() {
    [[ ${DOORWARD_RUST:-} == debian ]] || ! all_std || return 0
    if [[ -x $dir/bin/rustc ]]; then
        return
    fi
    rust_by_rustup && all_std && return
    rust_by_debian
}

# --- emulated processors ----------------------------------------------------------------------------------------------

# processor CPU LIBRARIES CPUINFO: a root for qemu's -L. qemu 7.2 shows a program the host's /proc/cpuinfo, by which
# tract chooses kernels; a file of that name below the root stands in for it.
processor() {
    local root=$dir/processors/$1
    mkdir -p "$root/proc"
    ln -sfn "$2/lib" "$root/lib"
    printf '%s\n' "$3" > "$root/proc/cpuinfo"
}

processors() {
    local a64=/usr/aarch64-linux-gnu a32=/usr/arm-linux-gnueabihf
    processor cortex-a72 $a64 "processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm crc32 cpuid
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x0
CPU part	: 0xd08
CPU revision	: 3"
    processor cortex-a76 $a64 "processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x4
CPU part	: 0xd0b
CPU revision	: 1"
    processor cortex-a7 $a32 "processor	: 0
model name	: ARMv7 Processor rev 5 (v7l)
BogoMIPS	: 38.40
Features	: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm
CPU implementer	: 0x41
CPU architecture: 7
CPU variant	: 0x0
CPU part	: 0xc07
CPU revision	: 5"
}

# The counter is a plugin, which a statically linked qemu (Debian 13) cannot load: there Debian 12's is unpacked beside it.
counter() {
    local plugin=$dir/libicount.so source=count/icount.c qemu=/usr/bin
    if [[ ! -e $plugin || $source -nt $plugin ]]; then
        say "building the instruction counter"
        gcc -O2 -Wall -shared -fPIC -o "$plugin" "$source"
    fi
    if ! can_count "$qemu/qemu-aarch64"; then
        qemu=$dir/qemu/usr/bin
        if [[ ! -x $qemu/qemu-aarch64 ]]; then
            say "this qemu takes no plugin; unpacking Debian 12's into $dir/qemu"
            private_apt bookworm bookworm amd64 || die "cannot read bookworm"
            fetch bookworm "$dir/qemu" qemu-user:amd64 libcapstone4:amd64 libgnutls30:amd64 libnettle8:amd64 libhogweed6:amd64 \
                libglib2.0-0:amd64 libpcre2-8-0:amd64 liburing2:amd64 libnuma1:amd64 libp11-kit0:amd64 libffi8:amd64 libidn2-0:amd64 \
                libunistring2:amd64 libtasn1-6:amd64 libgmp10:amd64
        fi
        can_count "$qemu/qemu-aarch64" || die "$qemu/qemu-aarch64 does not take the plugin $plugin; ldd says which library it misses"
    fi
    counting_qemu=$qemu
}

can_count() {
    [[ -x $1 ]] || return
    printf 'int main(void) { return 0; }\n' > "$work/nothing.c"
    aarch64-linux-gnu-gcc -o "$work/nothing" "$work/nothing.c"
    LD_LIBRARY_PATH=$dir/qemu/usr/lib/x86_64-linux-gnu "$1" -L /usr/aarch64-linux-gnu -plugin "$dir/libicount.so,out=$work/count" "$work/nothing" > /dev/null 2>&1 &&
        grep -q '^writes' "$work/count"
}

# --- env.sh -----------------------------------------------------------------------------------------------------------

write_env() {
    mkdir -p "$dir/link"
    ln -sfn "$PWD/link.sh" "$dir/link/aarch64-linux-gnu-gcc"
    ln -sfn "$PWD/link.sh" "$dir/link/arm-linux-gnueabihf-gcc"
    cat > "$dir/env.sh" << END
# Written by cross/setup.sh: for \`source\`.
[ ! -x "$dir/bin/rustc" ] || export RUSTC="$dir/bin/rustc"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$dir/link/aarch64-linux-gnu-gcc"
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER="$dir/link/arm-linux-gnueabihf-gcc"
export CC_armv7_unknown_linux_gnueabihf=arm-linux-gnueabihf-gcc AR_armv7_unknown_linux_gnueabihf=arm-linux-gnueabihf-ar
# Headers of the target, not of this machine, for V4L2's bindings.
export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="--sysroot=/usr/aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include"
export BINDGEN_EXTRA_CLANG_ARGS_armv7_unknown_linux_gnueabihf="--sysroot=/usr/arm-linux-gnueabihf -I/usr/arm-linux-gnueabihf/include"
# The processor that tests run on: cortex-a72 (default) or cortex-a76; cortex-a7.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$PWD/emulate.sh aarch64"
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER="$PWD/emulate.sh armv7"
export DOORWARD_CROSS="$dir" DOORWARD_COUNTING_QEMU="$counting_qemu"
# Where there is no library for armv7, cargo builds it from its sources (cross/build.sh says how this is used).
export DOORWARD_ARMV7_FLAGS="$armv7_flags"
END
}

# --- the run -----------------------------------------------------------------------------------------------------------

case ${1:-} in
-h | --help)
    sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$(basename "${BASH_SOURCE[0]}")"
    exit
    ;;
-*) die "there is no option $1; see --help" ;;
esac
command -v cargo > /dev/null || die "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' ../Cargo.toml)"
command -v apt-get > /dev/null || die "this is for Debian and its kin (apt-get is missing); cross/README.md says what is needed elsewhere"

cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
dir=${1:-${DOORWARD_CROSS:-${cache:+$cache/doorward-cross}}}
[[ $dir ]] || die "no folder to keep things in: give one, or set DOORWARD_CROSS or HOME"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A system fresh from its installer has no lists of packages yet.
apt-cache show libclang1 > /dev/null 2>&1 || apt_update
libclang=$(apt-cache depends libclang1 2> /dev/null | awk '$1 == "Depends:" { print $2; exit }' || true)
apt_packages gcc libc6-dev linux-libc-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user "${libclang:-libclang1}"
rust_std
armv7_flags=
has_std_of "$dir/bin/rustc" armv7-unknown-linux-gnueabihf || armv7_flags=-Zbuild-std=std,panic_unwind
processors
counter
write_env
say "done: $(du -sh "$dir" | cut -f1) in $dir; source $dir/env.sh"
