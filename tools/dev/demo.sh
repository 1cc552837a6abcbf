# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev demo: builds what it needs and shows a silo at work.

# shellcheck source=tools/dev/build.sh
. tools/dev/build.sh

help_demo() {
    cat <<'TEXT'
usage: ./dev demo

Starts a silo in a temporary directory, counts the words of the licences that every Debian machine has with an actor for
each word, makes 100,000 transfers between accounts from 8 connections, and checks the totals of both.
TEXT
}

main_demo() {
    main_build
    tests/demo/demo.sh build
}
