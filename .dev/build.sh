# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev build, and the build folders that the other commands share.

# shellcheck source=.dev/setup.sh
. .dev/setup.sh

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

# The builds that the tests and lint share, each in build-dev/NAME. All have the paths of an installed system, so that
# what is tested is what would be installed. The plain ones stop at a warning; under sanitizers gcc warns of what isn't
# there.
variant_arguments() {
    local sanitized=(-Doptimization=1 -Djemalloc=disabled)
    printf '%s\n' --prefix=/usr
    case $1 in
        gcc | clang) printf '%s\n' -Dwerror=true ;;
        asan) printf '%s\n' "${sanitized[@]}" -Db_sanitize=address,undefined ;;
        tsan) printf '%s\n' "${sanitized[@]}" -Db_sanitize=thread ;;
        fuzz)
            # Everything tells the fuzzer which way it went; only the targets bring the fuzzer itself.
            printf '%s\n' "${sanitized[@]}" -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true \
                -Dc_args=-fsanitize=fuzzer-no-link
            ;;
        bench) printf '%s\n' -Dbuildtype=release -Dbench=true ;;
        *) die "no build is called $1" ;;
    esac
}

# build_variant NAME [TARGET...]
build_variant() {
    local name=$1 arguments
    shift
    mapfile -t arguments < <(variant_arguments "$name")
    case $name in
        clang | fuzz) export CC=clang-14 ;;
        *) export CC=gcc ;;
    esac
    configure "build-dev/$name" "${arguments[@]}" || return 1
    step "build with $name" ninja --quiet -C "build-dev/$name" -j "${cores:?}" "$@"
}

main_build() {
    main_setup
    # A folder that somebody configured by hand is theirs.
    [ -f build/build.ninja ] || configure build
    step "build ${*:-everything}" ninja --quiet -C build -j "${cores:?}" "$@"
}
