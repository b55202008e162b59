#!/usr/bin/env bash
# Links a program, and leaves out what nothing of doorward can reach but a table that is filled before `main`.
#
#   LINK ARGUMENT...
#
# LINK is a link to this file by the name of a compiler, aarch64-linux-gnu-gcc say, which it calls (cross/setup.sh makes them, and tells cargo). tract-nnef enters a transformation of models
# in a table when a program starts; from there every operator of tract can be reached, so that no linker may drop one: 4 MB
# of code that doorward never runs, as it looks nothing up in that table. Here the library loses that entry.
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
    if [[ $argument == */libtract_nnef-*.rlib ]]; then
        mkdir "$work/objects"
        (cd "$work/objects" && "${prefix}ar" x "$argument" && rm -f lib.rmeta)
        for object in "$work"/objects/*.o; do
            "${prefix}objcopy" --remove-section=.init_array --remove-section='.rel*.init_array' "$object"
        done
        argument=$work/${argument##*/}
        "${prefix}ar" rcs "$argument" "$work"/objects/*.o
    fi
    arguments+=("$argument")
done
"$name" "${arguments[@]}"
