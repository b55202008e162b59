#!/usr/bin/env bash
# Links a program, and leaves out what nothing reaches but a table that is filled before `main`.
#
#   LINK ARGUMENT...
#
# LINK is a link to this file by the name of a compiler, aarch64-linux-gnu-gcc say, which it calls (cross/setup.sh makes them, and tells cargo).
# tract-core and tract-nnef enter transformations of models in a table when a program starts. doorward looks nothing up there; but all of tract's operators
# can be reached from it, so that no linker may drop one: 4 MB of code that never runs. Here the libraries lose those entries. (tract-linalg
# enters its kernels in a table of its own, which is used.)
set -euo pipefail

name=${0##*/}
prefix=${name%gcc}
if [[ $name != *-gcc ]]; then
    echo "link: $0 is no link named after a compiler, as aarch64-linux-gnu-gcc: run cross/setup.sh" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arguments=()
for argument; do
    if [[ $argument == */libtract_@(core|nnef)-*.rlib ]]; then
        objects=$work/objects-${argument##*/}
        mkdir "$objects"
        (cd "$objects" && "${prefix}ar" x "$argument" && rm -f lib.rmeta)
        for object in "$objects"/*.o; do
            "${prefix}objcopy" --remove-section=.init_array --remove-section='.rel*.init_array' "$object"
        done
        argument=$work/${argument##*/}
        "${prefix}ar" rcs "$argument" "$objects"/*.o
    fi
    arguments+=("$argument")
done
"$name" "${arguments[@]}"
