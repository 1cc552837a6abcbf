#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# usage: test_template.sh BUILD-DIR PREFIX SANITIZE [NAME [TEMPLATE]]
#
# Installs the SDK into an empty directory, writes a project from the template with nothing else, and walks the way that
# the project's README describes, and for `counter` on through docs/tutorial.md. Then looks at the plugin from outside.
set -eu
build=$1 prefix=$2 sanitize=$3 name=${4:-my-counter} template=${5:-counter}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "test_template: $*" >&2
    exit 1
}

DESTDIR='' meson install -C "$build" --no-rebuild --quiet --destdir "$work/stage" --tags devel >/dev/null
stage=$work/stage$prefix
find "$stage" -name '*.pc' -exec sed -i "s|$prefix|$stage|g" {} +
PKG_CONFIG_PATH=$(dirname "$(find "$stage" -name quark-sdk.pc)")
export PKG_CONFIG_PATH

version=$(pkg-config --modversion quark-sdk)
templates=$(pkg-config --variable=templatedir quark-sdk)
[ "$(pkg-config --variable=abi quark-sdk)" != "" ] || fail "quark-sdk.pc names no abi"
pkg-config --cflags quark-sdk | grep -q -e -fstack-clash-protection || fail "large frames step over a stack's guard"
python3 "$here/instantiate.py" "$templates/$template" "$name" "$version" "$work/project"
cd "$work/project"
meson setup build -Dwerror=true "-Db_sanitize=$sanitize" -Db_lundef=false >/dev/null
meson compile -C build
meson test -C build
meson install -C build --quiet

if [ "$name" = counter ]; then
    python3 "$here/tutorial.py" "$here/../../../docs/tutorial.md"
    meson compile -C build
    meson test -C build
fi

plugin=$(pkg-config --variable=plugindir quark-sdk)/lib$name.so
[ -f "$plugin" ] || fail "$plugin was not installed"
if [ "$sanitize" = none ]; then
    symbols=$(nm -D --defined-only "$plugin" | awk '{print $3}')
    [ "$symbols" = quark_plugin ] || fail "the plugin exports more or less than quark_plugin: $symbols"
    needed=$(readelf -d "$plugin" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
    [ "$needed" = "libprotobuf-c.so.1 libc.so.6 " ] || fail "the plugin needs other libraries: $needed"
fi
readelf -n "$plugin" | grep -q '^ *Quark ' || fail "the plugin has no note"
! grep -rn '@NAME\|@name\|@Name\|@SDK' "$work/project" --include='*.[ch]' --include=meson.build --include='*.proto' ||
    fail "placeholders are left"
