# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Builds the source packages of sources.txt. They are fetched by apt through a state of its own below .deps, so that the
# machine's sources stay as they are; apt checks the archive's signature and every checksum that follows from it. A
# built one lies in .deps/ARCH/NAME-VERSION-KEY, where KEY covers the way it is built; .deps/ARCH/pkgconfig names it.

: "${top:?}" "${deps:?}"

# build_NAME SOURCE PREFIX compiles into PREFIX, static and position-independent, and writes PREFIX/NAME.pc, in which
# ${root} is the prefix. CC and AR say for which machine.
build_yyjson() {
    local source=$1 prefix=$2 version
    mkdir -p "$prefix/include" "$prefix/lib"
    "$CC" -O2 -g -fPIC -c -o "$prefix/yyjson.o" "$source/src/yyjson.c"
    "$AR" rcs "$prefix/lib/libyyjson.a" "$prefix/yyjson.o"
    rm "$prefix/yyjson.o"
    cp "$source/src/yyjson.h" "$prefix/include/"
    version=$(sed -n 's/^#define YYJSON_VERSION_STRING *"\(.*\)"$/\1/p' "$source/src/yyjson.h")
    cat >"$prefix/yyjson.pc" <<TEXT
Name: yyjson
Description: JSON reader and writer
Version: $version
Cflags: -I\${root}/include
Libs: -L\${root}/lib -lyyjson
TEXT
}

# apt with a state of its own. The checkout may be where apt's own user can't write, so apt keeps the caller's.
private_apt() {
    local tool=$1
    shift
    "$tool" -q -o Dir::State::Lists="$deps/apt/lists" -o Dir::Etc::sourcelist="$deps/apt/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null -o Dir::Cache="$deps/apt/cache" -o APT::Sandbox::User= \
        -o Acquire::Retries=3 "$@"
}

# fetch_source NAME SUITE LEAST FORM: unpacks the suite's version into .deps/src/NAME/tree and notes which it is.
fetch_source() {
    local name=$1 suite=$2 least=$3 form=$4 folder="$deps/src/$1" mirror version
    mirror=$(mirror_of_this_machine)
    [ -n "$mirror" ] || die "no Debian mirror in this machine's sources: run apt-get update and try again"
    mkdir -p "$deps/apt/lists/partial" "$deps/apt/cache/archives/partial"
    printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" \
        >"$deps/apt/sources.list"
    private_apt apt-get update
    version=$(private_apt apt-cache showsrc --only-source "$name" | sed -n 's/^Version: //p' | sort -V | tail -n 1)
    [ -n "$version" ] || die "no source package $name in $suite"
    dpkg --compare-versions "$version" ge "$least" || die "$name $version is older than the $least that is needed"
    rm -rf "$folder"
    mkdir -p "$folder"
    cd "$folder" || return
    if [ "$form" = patched ]; then
        private_apt apt-get source --download-only --only-source "$name=$version"
        dpkg-source --no-check -x ./*.dsc tree
    else
        private_apt apt-get source --download-only --only-source --tar-only "$name=$version"
        mkdir tree
        tar -C tree --strip-components=1 -xf ./*.orig.tar.*
    fi
    cd "$top" || return
    printf '%s\n' "$version" >"$folder/version"
    printf '%s\n' "$suite $least $form" >"$folder/fetched"
}

# build_source NAME SUITE LEAST FORM ARCH: what `step` runs for one package.
build_source() {
    local name=$1 suite=$2 least=$3 form=$4 arch=$5 key version prefix
    key=$(source_key "$@")
    if [ "$(cat "$deps/src/$name/fetched" 2>/dev/null)" != "$suite $least $form" ]; then
        fetch_source "$name" "$suite" "$least" "$form"
    fi
    version=$(cat "$deps/src/$name/version")
    prefix="$deps/$arch/$name-${version//[^A-Za-z0-9.+-]/_}-$key"
    rm -rf "$deps/$arch/$name-"*
    mkdir -p "$prefix" "$deps/$arch/pkgconfig"
    "build_$name" "$deps/src/$name/tree" "$prefix"
    # The path is relative to the file, so that a checkout can be moved.
    # shellcheck disable=SC2016
    { printf 'root=${pcfiledir}/../%s\n' "${prefix##*/}" && cat "$prefix/$name.pc"; } >"$deps/$arch/pkgconfig/$name.pc"
    printf '%s\n' "$key" >"$deps/$arch/$name.stamp"
}

# A key for the version asked for and for the way it is built.
source_key() {
    # shellcheck disable=SC2016
    { printf '%s\n' "$@" && declare -f "build_$1" && "$CC" -dumpfullversion; } | sha256sum | cut -c 1-8
}

# build_sources ARCH: every package of the table that isn't there yet.
build_sources() {
    local arch=$1 row
    mkdir -p "$deps"
    exec 8>"$deps/lock"
    flock 8
    while read -r -a row; do
        case ${row[0]:-#} in '#'*) continue ;; esac
        row=("${row[@]:0:4}" "$arch")
        [ "$(cat "$deps/$arch/${row[0]}.stamp" 2>/dev/null)" = "$(source_key "${row[@]}")" ] ||
            step "${row[0]} from ${row[1]}, for $arch" build_source "${row[@]}"
    done <.dev/sources.txt
    exec 8>&-
}
