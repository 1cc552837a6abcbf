#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the code of the tutorial into the project of the current directory, as its reader does."""
import pathlib
import re
import sys


def main():
    blocks = re.findall(r"^```\w+\n(.*?)^```", pathlib.Path(sys.argv[1]).read_text(), re.MULTILINE | re.DOTALL)

    def block(start):
        return next(b for b in blocks if b.lstrip().startswith(start))

    def change(name, *pairs):
        path = pathlib.Path(name)
        text = path.read_text()
        for old, new in pairs:
            if old not in text:
                sys.exit(f"{name} has no `{old}`")
            text = text.replace(old, new, 1)
        path.write_text(text)

    # What the tutorial shows of the project is what the project has.
    project = pathlib.Path("counter.c").read_text()
    if block("int counter_increment") not in project:
        sys.exit("the handler that the tutorial shows is not the template's")
    change("counter.proto", ("  rpc Get(", block("// Back to zero") + "\n  rpc Get("),
           ("message State", block("// tally/KEY") + "\nmessage State"))
    change("counter.c", ("int counter_get(", block("int counter_reset") + block("int tally_sum") + "\nint counter_get("))
    change("test_counter.c", ("int main(void)", block("START_TEST(test_sums)") + "\nint main(void)"),
           ("    suite_add_tcase", "    tcase_add_test(tc, test_sums);\n    suite_add_tcase"))
    change("counter.proto", (re.search(r"^  option \(quark.actor\).*\n", pathlib.Path("counter.proto").read_text(),
                                       re.MULTILINE).group(), block("option (quark.actor) = { name")))
    change("counter.c", ("    rep->count", block("int rc = counter_save") + "    rep->count"))
    change("test_counter.c", ("int main(void)", block("START_TEST(test_keeps") + "\nint main(void)"),
           ("    suite_add_tcase", "    tcase_add_test(tc, test_keeps_what_it_counted);\n    suite_add_tcase"))
    client = "#include <stdio.h>\n#include \"counter.quark-client.h\"\nint main(void);\nint main(void)\n{\n"
    pathlib.Path("client.c").write_text(client + block("struct qk_client") + "return 0;\n}\n")
    change("meson.build", ("test('counter'", "static_library('client', 'client.c', generated[1], generated[4], "
                           "dependencies: quark)\ntest('counter'"))


if __name__ == "__main__":
    main()
