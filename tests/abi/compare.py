#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the plugin interface to its recorded layout.

usage: compare.py PRINT_ABI GOLDEN
"""
import difflib
import subprocess
import sys

now = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout
with open(sys.argv[2], encoding="utf-8") as file:
    recorded = file.read()
if now != recorded:
    sys.stdout.writelines(difflib.unified_diff(recorded.splitlines(True), now.splitlines(True), sys.argv[2], "as built"))
    sys.exit(f"the plugin interface is not as recorded. Plugins that exist were built against the record: within a major "
             f"number members are only appended, with a new minor number. If that is what was done: "
             f"{sys.argv[1]} > {sys.argv[2]}")
