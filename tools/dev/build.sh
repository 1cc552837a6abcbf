# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev build, and the build folders that the other commands share.

# shellcheck source=tools/dev/setup.sh
. tools/dev/setup.sh

help_build() {
    cat <<'TEXT'
usage: ./dev build [TARGET...]

Sets up what is missing, then builds everything, or the targets named, into build/.
TEXT
}

# configure FOLDER ARGUMENT...: makes a build folder, anew when its arguments have changed.
configure() {
    local folder=$1
    shift
    if [ "$(cat "$folder/.dev-arguments" 2>/dev/null)" != "arguments: $*" ]; then
        rm -rf "$folder"
        step "configure $folder" meson setup "$@" "$folder" || return 1
        printf 'arguments: %s\n' "$*" >"$folder/.dev-arguments"
    fi
}

main_build() {
    main_setup
    # A folder that somebody configured by hand is theirs.
    [ -f build/build.ninja ] || configure build
    step "build ${*:-everything}" ninja -C build -j "${cores:?}" "$@"
}
