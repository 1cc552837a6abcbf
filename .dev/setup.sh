# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev setup: Debian's packages that are missing, then the libraries built from source packages.

# shellcheck source=.dev/sources.sh
. .dev/sources.sh

help_setup() {
    cat <<'TEXT'
usage: ./dev setup [-v]

Installs the Debian packages of .dev/packages.txt that this machine lacks, and builds those of
.dev/sources.txt into .deps/. A prepared machine and checkout need neither network nor root.
TEXT
}

# install_packages GROUP...: those of the groups that dpkg does not know as installed.
install_packages() {
    local group package missing=()
    while read -r group package _; do
        case " $* " in *" $group "*) ;; *) continue ;; esac
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done <.dev/packages.txt
    [ ${#missing[@]} -gt 0 ] || return 0
    say "  missing: ${missing[*]}"
    step 'lists of packages' as_root apt-get update
    step 'packages' as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        "${missing[@]}"
}

main_setup() {
    install_packages base
    CC=gcc AR=ar build_sources "$(uname -m)"
}
