# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# ./dev bench: what tests/bench measures, built with optimisation.

# shellcheck source=.dev/build.sh
. .dev/build.sh

help_bench() {
    cat <<'TEXT'
usage: ./dev bench [--json] [NAME...]

Measures every workload, or those named, and prints a table; with --json one line for each workload.
TEXT
    main_setup
    build_variant bench tests/bench/quark-bench
    build-dev/bench/tests/bench/quark-bench --help
}

main_bench() {
    main_setup
    build_variant bench tests/bench/quark-bench
    build-dev/bench/tests/bench/quark-bench "$@"
}
