# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev demo: builds, then shows a silo at work.

# shellcheck source=.dev/build.sh
. .dev/build.sh

help_demo() {
    cat <<'TEXT'
usage: ./dev demo

Starts a silo in a temporary directory, counts the words of the licences with an actor for each word, checks them against
tr | sort | uniq -c, moves money between accounts from 8 connections and checks that none was made or lost. Then it kills
a silo that keeps the accounts on disk while money moves, starts it again, and checks once more. Leaves nothing behind.
After the build it takes a few seconds, more on a slow disk.
TEXT
}

main_demo() {
    main_build all
    tests/demo/demo.sh build
}
