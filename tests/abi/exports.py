#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that a program offers no symbols to what it loads.

usage: exports.py PROGRAM

A variable of a library that the program has a copy of (R_*_COPY) must be visible and is no offer; nor are the linker's
own marks.
"""
import subprocess
import sys

MARKS = {"_init", "_fini", "_edata", "_end", "__bss_start", "_IO_stdin_used", "__data_start", "data_start"}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


copied = {line.split()[4].split("@")[0] for line in run("readelf", "-W", "-r", sys.argv[1]) if "_COPY" in line}
offered = {line.split()[2].split("@")[0] for line in run("nm", "-D", "--defined-only", sys.argv[1])}
extra = sorted(offered - copied - MARKS)
if extra:
    sys.exit(f"{sys.argv[1]} exports {len(extra)} symbols: {' '.join(extra[:20])}")
