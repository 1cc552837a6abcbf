#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the shape of the tree: who may include whom, where third-party headers may stand, sizes, licences, words.

usage: check_tree.py [TOP]          checks the tree at TOP (default: the one that this file is in)
       check_tree.py --self-test    plants each kind of mistake in a tree of its own and looks for the complaint
"""
import os
import re
import subprocess
import sys
import tempfile

# Which folders a folder may include headers of, beside itself and the public headers. A single header may be named.
# The longest matching entry speaks for a file; tests may include whatever they test.
LIBRARIES = ["daemon/base", "daemon/wire", "daemon/loop", "daemon/runtime", "daemon/plugin", "daemon/gateway",
             "daemon/store", "daemon/transport", "daemon/hosts"]
ARROWS = {
    "daemon/base": [],
    "daemon/loop": ["daemon/base"],
    "daemon/wire": ["daemon/base"],
    "daemon/runtime": ["daemon/base", "daemon/wire"],
    "daemon/store": ["daemon/base"],
    "daemon/transport": ["daemon/base", "daemon/runtime/port.h"],
    "daemon/plugin": ["daemon/base", "daemon/wire", "daemon/runtime"],
    "daemon/gateway": ["daemon/base", "daemon/wire", "daemon/loop", "daemon/runtime/port.h"],
    "daemon/host": ["daemon/base", "daemon/wire", "daemon/runtime", "daemon/transport", "daemon/plugin",
                    "daemon/loop/clock.h", "daemon/loop/thread.h", "daemon/silo/crew.h"],
    "daemon/hosts": ["daemon/base", "daemon/wire", "daemon/loop", "daemon/runtime/port.h", "daemon/runtime/runtime.h",
                     "daemon/transport", "daemon/plugin/note.h", "daemon/plugin/refusal.h"],
    "daemon/silo": LIBRARIES,
    "daemon/main": LIBRARIES + ["daemon/silo"],
    "daemon/ctl": ["daemon/base", "daemon/wire", "sdk/client", "sdk/schema"],
    "sdk/include": [],
    "sdk/schema": ["daemon/base", "daemon/wire"],
    "sdk/client": ["daemon/base", "daemon/wire"],
    "sdk/test": ["daemon/base", "daemon/wire", "daemon/runtime"],
    "sdk/protoc-gen-quark": ["daemon/base", "daemon/wire"],
    "sdk/template": [],
    "plugins": [],
}

# Where headers from outside may stand: a pattern of the included name, and the folders.
WALLS = [
    (r"event2/|event\.h$|evhttp\.h$", ["daemon/loop", "daemon/gateway", "tests"]),
    (r"sqlite3\.h$", ["daemon/store", "tests"]),
    (r"libconfig\.h$", ["daemon/main", "tests"]),
    (r"dlfcn\.h$", ["daemon/plugin", "tests"]),
    (r"yyjson\.h$", ["sdk/schema", "daemon/ctl", "tests"]),
    (r"systemd/", ["daemon/main", "tests"]),
    (r"seccomp\.h$|linux/(landlock|seccomp|filter|audit)\.h$", ["daemon/host", "tests"]),
    (r"libsmartcols/|(n?curses|term)\.h$", ["daemon/ctl"]),
    (r"sys/inotify\.h$", ["daemon/plugin", "daemon/silo", "daemon/main"]),
    (r"check\.h$", ["tests", "sdk/template", "plugins"]),
    (r"google/protobuf/", ["sdk/protoc-gen-quark", "sdk/schema", "proto", "tests"]),
    (r"sys/(socket|un|epoll|timerfd)\.h$",
     ["daemon/loop", "daemon/gateway", "daemon/main", "daemon/host", "daemon/ctl", "sdk/client", "plugins", "tests"]),
    (r"(sys/)?(time|fcntl|poll)\.h$",
     ["daemon/base", "daemon/loop", "daemon/store", "daemon/plugin", "daemon/gateway", "daemon/silo", "daemon/main", "daemon/host",
      "daemon/hosts", "daemon/ctl",      "daemon/transport", "sdk", "plugins", "tests"]),
    (r".*\.pb-c\.h$",
     ["daemon/wire", "daemon/gateway", "daemon/silo", "daemon/main", "daemon/ctl", "daemon/host", "daemon/hosts", "sdk",
      "plugins", "tests"]),
]

# Who writes under which licence: an author of actors links nothing of the GPL.
APACHE = ["daemon/base", "daemon/wire", "daemon/runtime", "daemon/host", "sdk"]

TOP_NAMES = {"meson.build", "meson_options.txt", "daemon", "plugins", "proto", "sdk", "tests", "systemd", "docs",
             "README.md", "LICENSES", "dev"}
LINES_MAX = 800
FUNCTION_LINES_MAX = 70
README_LINES_MAX = 20
# What `quarkctl new` writes is its author's own.
WITHOUT_SPDX = re.compile(r"^LICENSES/|^sdk/template/.*\.in$|\.md$|^\.gitignore$|^\.clang-format$|"
                          r"^\.editorconfig$|^tests/.*/corpus/|"
                          r"^tests/.*\.(txt|json|conf|expected|golden)$")
WORDS = [
    (re.compile(r"\b(FIX" r"ME|XX" r"X|HA" r"CK)\b"), "a mark of unfinished work"),
    (re.compile(r"/(work|farm)/"), "a path of one machine"),
    (re.compile(r"\b(deb|security|ftp\.\w+|snapshot)\.debian\.org|registry\.npmjs|pypi\.org|proxy\.golang"),
     "a host of a package registry"),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


def within(path, folders):
    return any(path == f or path.startswith(f + "/") for f in folders)


def owner_of(path):
    """The entry of ARROWS that speaks for a file, or None."""
    found = [f for f in ARROWS if within(path, [f])]
    return max(found, key=len) if found else None


class Tree:
    def __init__(self, top):
        self.top = top
        self.complaints = []
        if os.path.exists(os.path.join(top, ".git")):
            command = ["git", "-C", top, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
            names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
            self.files = sorted({n for n in names if n and os.path.isfile(os.path.join(top, n))})
        else:
            self.files = sorted(os.path.relpath(os.path.join(d, f), top)
                                for d, _, fs in os.walk(top) for f in fs)
        self.known = set(self.files)

    def complain(self, path, line, text):
        self.complaints.append(f"{path}:{line}: {text}")

    def resolve(self, path, name):
        """The file of the tree that an #include means, as the include paths of the build have it, or None."""
        for folder in [os.path.dirname(path), "daemon", "sdk", "sdk/include"]:
            candidate = os.path.normpath(os.path.join(folder, name))
            if candidate in self.known:
                return candidate
        return None

    def check_include(self, path, number, name):
        target = self.resolve(path, name)
        if target is None:
            for pattern, folders in WALLS:
                if re.match(pattern, name) and not within(path, folders):
                    self.complain(path, number, f"<{name}> may be included only in {', '.join(folders)}")
            return
        owner = owner_of(path)
        if owner is None or within(target, [owner, "sdk/include"]):
            return
        if not within(target, ARROWS[owner]):
            allowed = ", ".join(ARROWS[owner]) or "nothing but the public headers"
            self.complain(path, number, f"{owner} may not include {target} (it may include: {allowed})")

    def check_licence(self, path, lines):
        if WITHOUT_SPDX.search(path):
            return
        line = next((l for l in lines[:4] if "SPDX-License-Identifier:" in l), None)
        if line is None:
            self.complain(path, 1, "no SPDX-License-Identifier among the first lines")
        elif re.search(r"\.(c|h|proto)$", path):
            want = "Apache-2.0" if within(path, APACHE) else "GPL-3.0-or-later"
            # Protocols and samples are there to be taken over, so they may be either.
            if want not in line and not within(path, ["proto", "plugins", "tests"]):
                self.complain(path, 1, f"this folder is under {want}")

    def check_file(self, path):
        with open(os.path.join(self.top, path), "rb") as file:
            data = file.read()
        if b"\0" in data or within(path, ["LICENSES"]) or "/corpus/" in path:
            return
        lines = data.decode("utf-8", "replace").splitlines()
        self.check_licence(path, lines)
        for number, line in enumerate(lines, 1):
            for pattern, what in WORDS:
                if pattern.search(line):
                    self.complain(path, number, f"{what}: {line.strip()[:60]}")
        if path.endswith(".md"):
            self.check_links(path, lines)
        if not re.search(r"\.[ch](\.in)?$", path):
            return
        if len(lines) >= LINES_MAX:
            self.complain(path, len(lines), f"{len(lines)} lines; {LINES_MAX} is the end: which second subject is in it?")
        if not within(path, ["tests"]):
            self.check_functions(path, lines)
        for number, line in enumerate(lines, 1):
            found = INCLUDE.match(line)
            if found:
                self.check_include(path, number, found.group(2))

    def check_links(self, path, lines):
        for number, line in enumerate(lines, 1):
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
                if not re.match(r"\w+:", target) and not os.path.exists(os.path.join(self.top, os.path.dirname(path), target)):
                    self.complain(path, number, f"a link to {target}, which isn't there")

    def check_functions(self, path, lines):
        """The layout puts a function's braces into the first column, and no others."""
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                count = number - start + 1
                if count > FUNCTION_LINES_MAX:
                    self.complain(path, start, f"a function of {count} lines; {FUNCTION_LINES_MAX} fit a screen")
                start = None

    def check_readmes(self):
        for folder in sorted({"/".join(f.split("/")[:2]) for f in self.files if re.match(r"daemon/[^/]+/.*\.c$", f)}):
            readme = folder + "/README.md"
            if readme not in self.known:
                self.complain(folder, 1, "no README.md: purpose, what it owns, what it may include, which threads run it")
                continue
            with open(os.path.join(self.top, readme), encoding="utf-8") as file:
                count = len(file.readlines())
            if count > README_LINES_MAX:
                self.complain(readme, count, f"{count} lines; a folder's README has at most {README_LINES_MAX}")
            if folder not in ARROWS:
                self.complain(folder, 1, "the folder has no entry in ARROWS of tests/tree/check_tree.py")

    def check(self):
        for name in sorted({f.split("/")[0] for f in self.files}):
            if name not in TOP_NAMES and not name.startswith("."):
                self.complain(name, 1, "the top of the tree has no place for this")
        for path in self.files:
            self.check_file(path)
        self.check_readmes()
        return self.complaints


def self_test():
    spdx_a = "// SPDX-License-Identifier: Apache-2.0\n"
    spdx_g = "// SPDX-License-Identifier: GPL-3.0-or-later\n"
    tree = {
        "daemon/base/a.h": spdx_a,
        "daemon/base/README.md": "base, see [wire](../wire/README.md) and [the map](../map.md#top), [it](https://example.org/)\n",
        "daemon/base/up.c": spdx_a + '\n#include "runtime/r.h"\n',
        "daemon/runtime/r.h": spdx_a,
        "daemon/runtime/port.h": spdx_a,
        "daemon/runtime/r.c": spdx_a + '#include "r.h"\n#include "base/a.h"\n#include <sys/socket.h>\n',
        "daemon/gateway/README.md": "x\n" * 21,
        "daemon/gateway/g.c": spdx_g + '#include "runtime/port.h"\n#include "runtime/r.h"\n#include <yyjson.h>\n',
        "daemon/wire/README.md": "wire\n",
        "daemon/wire/w.c": spdx_g + "int x;\n",
        "daemon/wire/long.c": spdx_a + "int f(void)\n{\n" + "    g();\n" * 69 + "}\n",
        "daemon/wire/short.c": spdx_a + "int f(void)\n{\n" + "    g();\n" * 68 + "}\n",
        "plugins/actors/p.c": spdx_a + '#include <quark/actor.h>\n#include "base/a.h"\n',
        "sdk/include/quark/actor.h": spdx_a + "int a;\n" * LINES_MAX,
        "tests/t.c": spdx_g + '#include "base/a.h"\n#include <dlfcn.h>\n// FIX' "ME later\n",
        "stray/x.txt": "# SPDX-License-Identifier: Apache-2.0\nget it from deb." "debian.org or /wo" "rk/here\n",
        "systemd/unit": "no licence\n",
    }
    want = """\
stray:1: the top
daemon/base/README.md:1: a link to ../map.md
daemon/base/up.c:3: daemon/base may not include daemon/runtime/r.h
daemon/gateway/g.c:3: daemon/gateway may not include daemon/runtime/r.h
daemon/gateway/g.c:4: <yyjson.h> may be
daemon/runtime/r.c:4: <sys/socket.h> may be
daemon/wire/long.c:3: a function of 71 lines
daemon/wire/w.c:1: this folder is under Apache
plugins/actors/p.c:3: plugins may not include daemon/base/a.h
sdk/include/quark/actor.h:801: 801 lines
stray/x.txt:2: a path of one machine
stray/x.txt:2: a host of
systemd/unit:1: no SPDX
tests/t.c:4: a mark
daemon/gateway/README.md:21: 21 lines
daemon/runtime:1: no README.md""".splitlines()
    with tempfile.TemporaryDirectory() as top:
        for path, text in tree.items():
            os.makedirs(os.path.join(top, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(top, path), "w", encoding="utf-8") as file:
                file.write(text)
        got = Tree(top).check()
    missing = [w for w in want if not any(g.startswith(w) for g in got)]
    extra = [g for g in got if not any(g.startswith(w) for w in want)]
    for text in missing:
        print(f"self-test: no complaint `{text}`")
    for text in extra:
        print(f"self-test: a complaint too many: {text}")
    return 1 if missing or extra else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    tree = Tree(arguments[0] if arguments else here)
    complaints = tree.check()
    for complaint in complaints:
        print(complaint)
    print(f"{len(tree.files)} files, {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
