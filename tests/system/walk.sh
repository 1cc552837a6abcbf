# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The steps of the system test. Each is a function that fails at the first command that does, and prints a line of
# what it saw. Commands prefixed with `inside` run in the container.

# From run.sh and container.sh, which have sourced this file.
: "${build:?}"
container_home=${container_home:-}
container_root=${container_root:-}

say_and_fail() {
    printf '%s\n' "$*"
    return 1
}

# The files that an installation could touch, for the comparison after the uninstall.
list_files() {
    (cd "$container_root" && find etc usr -not -path 'usr/share/man/*' | sort)
}

install_build() {
    list_files >"$container_home/before"
    DESTDIR="$container_root" meson install --no-rebuild -C "$build" >"$container_home/install.log"
    inside systemctl daemon-reload
    inside systemd-sysusers
    inside systemd-tmpfiles --create
    inside id quark
    inside test -d /etc/quark/plugins.d
    grep -c '^Installing' "$container_home/install.log" | sed 's/$/ files, user quark, \/etc\/quark/'
}

verify_unit() {
    inside systemd-analyze verify --man=no quarkd.service
    inside systemd-analyze --no-pager --threshold=20 security quarkd.service >"$container_home/security"
    sed -n 's/.*\(Overall exposure level.*\)/\1/p' "$container_home/security" | cut -d ' ' -f 1-6
}

walk_all() {
    walk 'install' install_build
    walk 'unit is valid and locked in (score under 2.0)' verify_unit
}
