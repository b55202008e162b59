#!/usr/bin/env bash
# Makes an emulated machine with cameras: Debian 12's kernel, v4l2loopback built for it, and as little around it as doorward needs.
#
#   cross/machine/build.sh DIR [ARCH]
#
# ARCH is amd64 (the default) or arm64. Prints the folder below DIR in which the machine lies, `kernel` and `initrd.gz`; boot.sh starts it.
# What it is made of comes from this machine's own mirror of Debian, by an apt of its own; nothing of this system is changed, and root is not
# needed. A folder is kept until one of these files changes.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

readonly SUITE=bookworm

die() {
    echo "machine: $*" >&2
    exit 1
}

say() {
    echo "machine: $*" >&2
}

need() {
    command -v "$1" > /dev/null || die "$1 is missing: apt install $2"
}

# --- packages, by an apt of our own -----------------------------------------------------------------------------

private_apt() {
    local root=$work/apt uri
    mkdir -p "$root"/{sources,preferences,lists/partial,cache/archives/partial}
    : > "$root/status"
    uri=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2> /dev/null | grep -v '^ *#' | grep -oE '(https?|file)://[^] ]*debian/?( |$)' | head -1 || true)
    [[ $uri ]] || die "no mirror of Debian found in /etc/apt: add a source for $SUITE"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$uri" "$SUITE" /usr/share/keyrings/debian-archive-keyring.gpg > "$root/sources/one.sources"
    {
        printf 'Dir::State "%s";\nDir::State::lists "lists/";\nDir::State::status "%s/status";\nDir::Cache "%s/cache";\n' "$root" "$root" "$root"
        printf 'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "%s/sources";\nDir::Etc::preferencesparts "%s/preferences";\n' "$root" "$root"
        printf 'APT::Architecture "amd64";\nAPT::Sandbox::User "root";\nAcquire::Languages "none";\nAPT::Architectures { "amd64"; "%s"; };\n' "$arch"
    } > "$root/apt.conf"
    export APT_CONFIG=$root/apt.conf
    apt-get -q update > "$root/log" 2>&1 || { cat "$root/log" >&2; die "cannot read $SUITE"; }
}

# fetch INTO PACKAGE...: unpacks packages into a folder.
fetch() {
    local into=$1 archive
    shift
    mkdir -p "$work/debs" "$into"
    (cd "$work/debs" && apt-get -q download "$@" > "$work/apt/log" 2>&1) || { cat "$work/apt/log" >&2; die "cannot fetch $*"; }
    for archive in "$work"/debs/*.deb; do
        dpkg-deb -x "$archive" "$into"
        rm "$archive"
    done
}

# --- the kernel and its modules ---------------------------------------------------------------------------------

fetch_kernel() {
    version=$(apt-cache depends "linux-image-$arch:$arch" | sed -nE 's/.*Depends: linux-image-([^:]*).*/\1/p' | head -1)
    [[ $version ]] || die "$SUITE has no linux-image-$arch"
    say "fetching Linux $version"
    fetch "$work/kernel" "linux-image-$version:$arch"
    fetch "$work/headers" "linux-headers-$version:$arch" "linux-headers-${version%-*}-common:all" linux-kbuild-6.1:amd64 v4l2loopback-dkms:all
    cp "$work/kernel/boot/vmlinuz-$version" "$new/kernel"
    echo "$version" > "$new/version"
    depmod -b "$work/kernel" "$version"
}

# Against Debian's headers where they were unpacked, not where they want to be installed.
build_v4l2loopback() {
    local headers=$work/headers/usr/src/linux-headers-$version common=$work/headers/usr/src/linux-headers-${version%-*}-common
    local source=$work/v4l2loopback link make=(ARCH=x86)
    say "building v4l2loopback"
    sed -i -E "s#(^|[ :=])/[^ ]*(/linux-headers-${version%-*}-common)#\1$common#g" "$headers/Makefile"
    for link in "$headers"/{scripts,tools} "$common"/{scripts,tools}; do
        [[ ! -L $link ]] || ln -sfn "$work/headers/usr/lib/linux-kbuild-6.1/${link##*/}" "$link"
    done
    cp -r "$work"/headers/usr/src/v4l2loopback-* "$source"
    patch -s -d "$source" -p1 < "$here/v4l2loopback.patch"
    [[ $arch != arm64 ]] || make=(ARCH=arm64 CROSS_COMPILE="$prefix")
    make -s -C "$headers" M="$source" "${make[@]}" modules > "$work/make.log" 2>&1 || { cat "$work/make.log" >&2; die "v4l2loopback cannot be built"; }
    "${prefix}objcopy" --strip-debug "$source/v4l2loopback.ko" "$root/modules/v4l2loopback.ko"
}

# What loads before it, numbered in that order.
copy_modules() {
    local module number=10 path
    for module in virtio_pci virtio_blk videodev; do
        modprobe -d "$work/kernel" -S "$version" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$work/order"
    while read -r path; do
        cp "$path" "$root/modules/$number-${path##*/}"
        number=$((number + 1))
    done < "$work/order"
}

# --- what runs in it --------------------------------------------------------------------------------------------

# Debian's own C library and tools, unpacked and not installed: so any architecture's can be on any machine.
make_root() {
    say "making its root"
    fetch "$root" "busybox-static:$arch" "libc6:$arch" "libgcc-s1:$arch" "libjpeg-turbo-progs:$arch" "libjpeg62-turbo:$arch"
    rm -rf "${root:?}"/{etc,usr/share,usr/lib/*/gconv,usr/lib/*/audit}
    mkdir "$root/modules"
    "${prefix}gcc" -O2 -Wall -static -o "$root/usr/bin/feed" "$here/guest/feed.c"
    install -m 755 "$here/guest/init" "$root/init"
}

# --- the run ----------------------------------------------------------------------------------------------------

arch=${2:-amd64}
(($# >= 1)) || die "give a folder: cross/machine/build.sh DIR [amd64|arm64]"
case $arch in
amd64) prefix='' ;;
arm64) prefix=aarch64-linux-gnu- ;;
*) die "ARCH is amd64 or arm64, not $arch" ;;
esac
mkdir -p "$1"
dir=$(cd "$1" && pwd)/$arch-$(cat "$here/build.sh" "$here/v4l2loopback.patch" "$here"/guest/{init,feed.c} | sha256sum | cut -c1-16)
if [[ ! -e $dir/ready ]]; then
    [[ $(dpkg --print-architecture) == amd64 ]] || die "machines are made on amd64"
    need apt-get apt
    need "${prefix}gcc" "gcc libc6-dev${prefix:+ gcc-aarch64-linux-gnu libc6-dev-arm64-cross}"
    need make make
    need patch patch
    need depmod kmod
    need cpio cpio
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    new=$work/new root=$work/root
    mkdir "$new" "$root"
    private_apt
    make_root
    fetch_kernel
    copy_modules
    build_v4l2loopback
    (cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) | gzip -1 > "$new/initrd.gz"
    touch "$new/ready"
    rm -rf "$dir" "${dir%/*}/$arch"-*
    cp -r "$new" "$dir.part"
    mv "$dir.part" "$dir"
    say "Linux $(cat "$dir/version"), $(du -sh "$dir" | cut -f1)"
fi
echo "$dir"
