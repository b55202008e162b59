#!/usr/bin/env bash
# Installs Debian packages of doorward where nothing of it ever was, and looks whether they do as they should.
#
#   cross/check-package.sh FILE.deb...
#
# lintian looks at each file. Then, in a Debian 12 of the package's own architecture, made for this and thrown away: installed with what
# it depends on; files, modes and user; `doctor` and `demo`; upgraded with an edited configuration and somebody enrolled; removed,
# which keeps both; purged, which keeps nothing; and a package for another architecture, which dpkg refuses.
#
# Needs root, for the chroot. Programs of another architecture run in an emulator: by the machine's binfmt_misc where that knows it, else
# by one of our own in a namespace (Linux 6.7 or later). All mounts are in a namespace that ends with this script.
#
# Kept from run to run in $DOORWARD_CI_CACHE, else in the user's cache folder: the bare Debian of the month, and packages it fetched.
set -euo pipefail
shopt -s inherit_errexit

readonly SUITE=bookworm
script=$(realpath "${BASH_SOURCE[0]}")
project=${script%/cross/*}

die() {
    echo "check-package: $*" >&2
    exit 1
}

need() {
    command -v "$1" > /dev/null || die "$1 is missing: apt install $2"
}

# --- outside: a namespace for each package --------------------------------------------------------------------

# What runs programs of an architecture: the emulator, the processor it plays, and by what binfmt_misc knows such programs, the ELF
# header up to the machine's number. Nothing where this machine runs them itself.
emulation() {
    local magic='\x7fELF' zeros='\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00'
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    [[ $1 != "$(dpkg --print-architecture)" ]] || return 0
    case $1 in
    amd64) printf '%s\n' "x86_64 max $magic\x02\x01\x01$zeros\x3e\x00 $mask" ;;
    arm64) printf '%s\n' "aarch64 cortex-a72 $magic\x02\x01\x01$zeros\xb7\x00 $mask" ;;
    armhf) printf '%s\n' "arm cortex-a7 $magic\x01\x01\x01$zeros\x28\x00 $mask" ;;
    *) die "packages for $1 cannot be checked: there is no emulator named for them here" ;;
    esac
}

# inside_namespace [OPTION...]: the rest of this script in a namespace of its own.
inside_namespace() {
    unshare "$@" --mount --pid --fork --kill-child --mount-proc "$script" "$package" &
    child=$!
    [[ " $* " != *" --user "* ]] || map_numbers
    local code=0
    wait "$child" || code=$?
    child=
    ((code == 0)) || die "${package##*/}: not as it should be"
}

# Users keep their numbers in the user namespace.
map_numbers() {
    local waited=0
    while [[ $(readlink "/proc/$child/ns/user") == "$(readlink /proc/self/ns/user)" ]]; do
        ((waited++ < 200)) || die "no user namespace within 10 s: this kernel may forbid them"
        sleep 0.05
    done
    echo "0 0 4294967295" > "/proc/$child/uid_map"
    echo "0 0 4294967295" > "/proc/$child/gid_map"
    echo open > "$DOORWARD_GATE"
}

clean_up() {
    if [[ ${child:-} ]]; then
        kill "$child" || true
        wait "$child" || true
    fi
    # No mount is left by now; should one be, it is left alone.
    [[ ! ${work:-} ]] || rm -rf --one-file-system "$work"
} 2> /dev/null

outside() {
    (($#)) || die "give packages: cross/check-package.sh target/debian/*.deb"
    [[ $(id -u) == 0 ]] || die "this makes a chroot and needs root: sudo $0 $*"
    need lintian lintian
    need mmdebstrap mmdebstrap
    need dpkg-deb dpkg
    need unshare util-linux
    local file words home=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
    export cache=${DOORWARD_CI_CACHE:-${home:+$home/doorward-ci}}/chroots architecture work
    [[ $cache != /chroots ]] || die "no folder to keep Debian in: set DOORWARD_CI_CACHE"
    mkdir -p "$cache"
    trap clean_up EXIT
    for file; do
        [[ -e $file ]] || die "$file is missing: run cross/package.sh"
        package=$(realpath "$file")
        architecture=$(dpkg-deb --field "$package" Architecture)
        words=$(emulation "$architecture")
        echo "=== ${file##*/}"
        lintian --allow-root --fail-on error "$package" || die "$file: lintian says above what is wrong"
        echo "ok: lintian has no errors"
        work=$(mktemp -d)
        if [[ ! $words ]]; then
            DOORWARD_CHECK=inside inside_namespace
        elif grep -qs enabled "/proc/sys/fs/binfmt_misc/qemu-${words%% *}"; then
            QEMU_CPU=$(cut -d' ' -f2 <<< "$words") DOORWARD_CHECK=inside inside_namespace
        else
            need "qemu-${words%% *}-static" qemu-user-static
            export DOORWARD_GATE=$work/gate
            mkfifo "$DOORWARD_GATE"
            DOORWARD_CHECK=gate DOORWARD_EMULATION=$words inside_namespace --user
        fi
        rm -rf --one-file-system "$work"
        work=
    done
}

# At the gate of a user namespace, waiting for its numbers: then an emulator of our own is registered, and the check begins.
at_the_gate() {
    local emulator processor magic mask
    read -r _ < "$DOORWARD_GATE"
    read -r emulator processor magic mask <<< "$DOORWARD_EMULATION"
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc ||
        die "no binfmt_misc of one's own in this kernel (Linux 6.7 has it): apt install binfmt-support, which registers the machine's"
    printf '%s' ":qemu-$emulator:M::$magic:$mask:/usr/bin/qemu-$emulator-static:OCF" > /proc/sys/fs/binfmt_misc/register
    DOORWARD_CHECK=inside QEMU_CPU=$processor exec "$script" "$package"
}

# --- inside: the chroot -----------------------------------------------------------------------------------------

# Runs a command in the chroot.
there() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        ${QEMU_CPU:+QEMU_CPU="$QEMU_CPU"} "$@"
}

# check WHAT COMMAND...: the command succeeds, or the end of all; what it printed is in $said.
check() {
    local what=$1 started=$SECONDS code=0
    shift
    said=$("$@" 2>&1) || code=$?
    ((code == 0)) || die "$what: exit code $code:"$'\n'"$said"
    echo "ok: $what ($((SECONDS - started)) s)"
}

bare_debian() {
    local tar
    tar=$cache/$SUITE-$architecture-$(date +%Y-%m).tar
    if [[ ! -e $tar ]]; then
        echo "making a bare Debian ($SUITE, $architecture)"
        mmdebstrap --quiet --mode=root --variant=minbase --architectures="$architecture" --aptopt='Acquire::Languages "none"' \
            --skip=check/qemu,output/mknod,output/dev "$SUITE" "$work/new.tar" ||
            die "mmdebstrap could not make $SUITE for $architecture: is the network there, and debian-archive-keyring installed?"
        rm -f "$cache/$SUITE-$architecture"-*.tar
        mv "$work/new.tar" "$tar"
    fi
    mkdir "$root"
    tar -x -C "$root" -f "$tar"
    mkdir -p "$root"/{dev,proc,mnt/packages} "$cache/apt-$architecture"/{archives,lists}/partial
    mount -t proc proc "$root/proc"
    local device
    for device in null zero full random urandom; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$work/packages"
    mount --bind "$work/packages" "$root/mnt/packages"
    mount --bind "$cache/apt-$architecture/archives" "$root/var/cache/apt/archives"
    mount --bind "$cache/apt-$architecture/lists" "$root/var/lib/apt/lists"
}

# repack NAME [FILE SED]...: the package again as /mnt/packages/NAME.deb, with files in it edited.
repack() {
    local name=$1 tree=$work/tree
    dpkg-deb --raw-extract "$package" "$tree"
    while shift && (($#)); do
        sed -i "$2" "$tree/$1"
        shift
    done
    dpkg-deb -Zgzip -z1 --root-owner-group --build "$tree" "$work/packages/$name.deb" > /dev/null
    rm -rf "$tree"
}

# --- inside: what is checked -----------------------------------------------------------------------------------

# Mode, owner and path, which may be a pattern.
files_and_modes() {
    local mode owner path found other
    while read -r mode owner path; do
        found=$(there sh -c "stat -c '%a %U:%G %n' $path") || { echo "$found"; return 1; }
        other=$(grep -v "^$mode $owner " <<< "$found" || true)
        [[ ! $other ]] || { echo "$other: not $mode $owner"; return 1; }
    done << 'END'
755 root:root /usr/bin/doorward
644 root:root /usr/lib/systemd/system/doorward.service
644 root:root /usr/lib/sysusers.d/doorward.conf
644 root:root /usr/lib/tmpfiles.d/doorward.conf
644 root:root /usr/lib/udev/rules.d/60-doorward.rules
750 root:doorward /etc/doorward
640 root:doorward /etc/doorward/doorward.toml
644 root:root /usr/share/doorward/models/*.*
644 root:root /usr/share/doorward/models/faces/faces.png
644 root:root /usr/share/doorward/demo/door.mjpeg
644 root:root /usr/share/doorward/demo/enrol/Resident/*
644 root:root /usr/share/man/man1/doorward.1.gz
644 root:root /usr/share/man/man1/doorward-*.1.gz
644 root:root /usr/share/bash-completion/completions/doorward
644 root:root /usr/share/zsh/vendor-completions/_doorward
644 root:root /usr/share/fish/vendor_completions.d/doorward.fish
644 root:root /usr/share/doc/doorward/copyright
644 root:root /usr/share/doc/doorward/changelog.gz
644 root:root /usr/share/doc/doorward/libraries.txt.gz
644 root:root /usr/share/doc/doorward/install.md
644 root:root /usr/share/doc/doorward/service.md
644 root:root /usr/share/doc/doorward/examples/*.toml
END
}

# The service's user: of the system, without a shell, in the groups of its devices.
service_user() {
    local entry groups
    entry=$(there getent passwd doorward) || { echo "there is no user doorward"; return 1; }
    [[ $entry == doorward:x:[1-9]*:/var/lib/doorward:*/nologin ]] || { echo "$entry"; return 1; }
    (($(cut -d: -f3 <<< "$entry") < 1000)) || { echo "not a system's user: $entry"; return 1; }
    groups=" $(there id -nG doorward) "
    [[ $groups == *" video "* && $groups == *" gpio "* ]] || { echo "groups:$groups"; return 1; }
}

as_service() {
    there runuser -u doorward -- "$@"
}

shells_and_manual() {
    # shellcheck disable=SC2016
    there bash -c '. /usr/share/bash-completion/completions/doorward && complete -p doorward' &&
        there sh -c 'for page in /usr/share/man/man1/doorward*.1.gz; do gzip -dc $page | grep -q "^\.TH doorward" || { echo $page; exit 1; }; done'
}

# Two people are granted once each, where the machine keeps up with the pictures. An emulator sees fewer of them, though they are played
# slower there: it is enough that somebody is granted and somebody denied, by the exit code.
demo() {
    local out
    out=$(there doorward demo) || { echo "$out"; return 1; }
    sed -n '/ frames captured/,$p' <<< "$out"
    [[ ${QEMU_CPU:-} ]] || grep -Eq ' faces: 2 granted, [1-9][0-9]* denied$' <<< "$out"
}

models() {
    local table
    table=$(there doorward models verify) || { echo "$table"; return 1; }
    (($(grep -c 'ok' <<< "$table") == $(grep -c '^\[\[model\]\]' "$project/models/catalogue.toml"))) || { echo "$table"; return 1; }
}

somebody_is_enrolled() {
    [[ $(as_service doorward gallery list --gallery /var/lib/doorward) == *"Barack Obama"* ]] || { echo "the gallery has lost him"; return 1; }
}

configuration_is_ours() {
    grep -q "$edit" "$root/etc/doorward/doorward.toml" || { cat "$root/etc/doorward/doorward.toml"; return 1; }
}

refused() {
    local said
    if said=$(there dpkg -i "/mnt/packages/foreign.deb" 2>&1); then
        echo "dpkg took it: $said"
        return 1
    fi
    grep -q "package architecture ($foreign) does not match system ($architecture)" <<< "$said" || { echo "$said"; return 1; }
}

nothing_is_left() {
    local left
    left=$(find "$root" -xdev -name '*doorward*')
    [[ ! $left ]] || { echo "$left"; return 1; }
}

inside() {
    root=$work/root
    bare_debian
    local version foreign=arm64 edit='# edited by whoever looks after this door'
    version=$(dpkg-deb --field "$package" Version)
    [[ $architecture != arm64 ]] || foreign=amd64
    cp "$package" "$work/packages/this.deb"
    repack foreign DEBIAN/control "s/^Architecture: .*/Architecture: $foreign/"
    repack newer DEBIAN/control 's/^Version: .*/&+newer/' etc/doorward/doorward.toml '$ a # a new default'

    check "apt knows its packages" there apt-get -q update
    check "a package for $foreign is refused" refused
    check "nothing of it is there" nothing_is_left
    check "installed with what it depends on" there apt-get -q install -y --no-install-recommends /mnt/packages/this.deb
    grep -q 'systemctl enable --now doorward' <<< "$said" || die "the installation does not say what is next: $said"
    # What a system with systemd has done by itself.
    check "systemd-tmpfiles, as at the start of the system" there systemd-tmpfiles --create doorward.conf
    check "files and modes" files_and_modes
    check "the service's user" service_user
    check "doorward --version" there doorward --version
    [[ $said == "doorward $version" ]] || die "this is not $version: $said"
    check "completions and manual" shells_and_manual
    check "doorward doctor" there doorward doctor
    check "doorward models verify, those outside the program among them" models
    check "doorward demo" demo
    echo "${said//$'\n'/$'\n'    }"

    cp "$project"/demo/enrol/Barack*/20*.jpg "$work/packages/"
    there install -d -o doorward -g doorward -m 700 /var/lib/doorward
    check "somebody is enrolled" as_service doorward enrol --config /etc/doorward/doorward.toml "Barack Obama" /mnt/packages/2009.jpg /mnt/packages/2010.jpg
    check "doorward doctor, as the service, with its configuration" as_service doorward doctor --config /etc/doorward/doorward.toml
    check "enabled" there systemctl enable doorward
    echo "$edit" >> "$root/etc/doorward/doorward.toml"
    check "upgraded over itself" there dpkg -i /mnt/packages/this.deb
    check "the edited configuration is still there" configuration_is_ours
    check "upgraded to one with another configuration" there dpkg --force-confdef --force-confold -i /mnt/packages/newer.deb
    check "the edited configuration is still there" configuration_is_ours
    grep -q 'a new default' "$root/etc/doorward/doorward.toml.dpkg-dist" || die "the new configuration is not beside the edited one"
    there systemctl -q is-enabled doorward || die "an upgrade disabled the service"
    check "whoever was enrolled still is" somebody_is_enrolled
    check "removed" there apt-get -q remove -y doorward
    [[ ! -e $root/usr/bin/doorward ]] || die "removed, and /usr/bin/doorward is still there"
    check "the configuration is kept" configuration_is_ours
    check "installed again" there dpkg -i --force-confold /mnt/packages/this.deb
    check "whoever was enrolled still is" somebody_is_enrolled
    check "purged" there apt-get -q purge -y doorward
    check "nothing is left" nothing_is_left
}

case ${DOORWARD_CHECK:-} in
gate) package=$1 && at_the_gate ;;
inside) package=$1 && inside ;;
*) outside "$@" ;;
esac
