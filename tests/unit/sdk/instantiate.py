#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a project from a template: what `quarkctl new` does, for the tests of the templates themselves."""
import pathlib
import sys


def instantiate(template, name, version, to):
    lower = name.replace("-", "_")
    words = {
        "@NAME@": name,
        "@name@": lower,
        "@Name@": "".join(part[:1].upper() + part[1:] for part in lower.split("_")),
        "@NAME_UPPER@": lower.upper(),
        "@SDK_VERSION@": version,
    }
    to.mkdir(parents=True)
    for path in sorted(template.iterdir()):
        target, text = path.name.removesuffix(".in"), path.read_text()
        for word, value in words.items():
            target, text = target.replace(word, value), text.replace(word, value)
        (to / target).write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: instantiate.py TEMPLATE-DIR NAME SDK-VERSION TO-DIR")
    instantiate(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4]))
