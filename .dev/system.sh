# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev system: the test of the system service alone.

# shellcheck source=.dev/build.sh
. .dev/build.sh

help_system() {
    cat <<'TEXT'
usage: ./dev system

Boots a small Debian with a systemd of its own, installs the build into it and walks the whole way: start, an actor
written with the SDK and dropped in, calls, crashes, a hang, reload, stop, uninstall. Needs root for the container. The
first run fetches Debian (a minute) and keeps it in /var/cache/quark-tests (QUARK_TEST_CACHE names another place).
TEXT
}

run_system_test() {
    as_root env QUARK_TEST_CACHE="${QUARK_TEST_CACHE:-/var/cache/quark-tests}" \
        tests/system/run.sh build-dev/gcc "$(mirror_of_this_machine)"
}

main_system() {
    main_setup
    build_variant gcc
    run_system_test
}
