# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev demo: builds, then shows a silo at work.

# shellcheck source=tools/dev/build.sh
. tools/dev/build.sh

help_demo() {
    cat <<'TEXT'
usage: ./dev demo

Starts a silo in a temporary directory, counts the words of the licences with an actor for each word, checks them against
tr | sort | uniq -c, moves money between accounts from 8 connections and checks that none was made or lost. Leaves
nothing behind. After the build it takes a few seconds.
TEXT
}

main_demo() {
    main_build all
    tests/demo/demo.sh build
}
