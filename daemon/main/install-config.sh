#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# usage: install-config.sh EXAMPLE FILE: copies the installed example to its place, unless something is there already.
set -eu
case $1 in
    /*) example=${DESTDIR:-}$1 ;;
    *) example=$MESON_INSTALL_DESTDIR_PREFIX/$1 ;;
esac
[ ! -e "${DESTDIR:-}$2" ] || exit 0
install -D -m 644 "$example" "${DESTDIR:-}$2" && exit 0
# Who installs below a directory of his own may not write there, and needs no service.
[ "$(id -u)" != 0 ] || exit 1
echo "$2 was not made, as that takes root: without it, \`quarkd --dev\` runs as you" >&2
