/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes what is documented of the table of keys: the manual, the page quarkd.conf(5), the example file; and the
 * catalogue of errors as the journal reads it. Runs at build time. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/errors.h"
#include "main/keys.h"
#include "main/message_id.h"
#include "main/units.h"

/* A bound as a file would write it. */
static void put_bound(const struct qk_key *key, int64_t value)
{
    char text[QK_UNIT_TEXT_MAX];
    if (key->type == QK_KEY_INTEGER) {
        printf("%" PRId64, value);
        return;
    }
    qk_unit_format(key->type == QK_KEY_DURATION ? qk_duration_units : qk_size_units, value, text);
    fputs(text, stdout);
}

static void put_range(const struct qk_key *key)
{
    if (key->type != QK_KEY_INTEGER && key->type != QK_KEY_DURATION && key->type != QK_KEY_SIZE)
        return;
    fputs(", ", stdout);
    put_bound(key, key->least);
    fputs(" to ", stdout);
    put_bound(key, key->most);
}

static const char *when(const struct qk_key *key)
{
    return key->live ? "a reload is enough" : "needs a restart";
}

static void write_markdown(void)
{
    fputs(
        "# The configuration of quarkd\n\n"
        "`quarkd` reads `" QK_CONFIG_DIR "/quarkd.conf`, then the files `" QK_CONFIG_DIR "/conf.d/*.conf` in the order "
        "of their\nnames. A later file wins over an earlier one, key by key; a key that is set twice in one file is a "
        "mistake. All keys have\na default, so an empty file is a configuration. This page is made from the table of "
        "keys, `daemon/main/keys.def`.\n\n"
        "```\n"
        "# texts, durations and sizes stand in quotes; numbers, true and false do not\n"
        "runtime = {\n"
        "    workers = 4;\n"
        "    timeout = \"30s\";\n"
        "};\n"
        "socket = { groups = [ \"quark\", \"operators\" ]; };\n"
        "```\n\n"
        "Durations are a whole number and `us`, `ms`, `s`, `min`, `h` or `d`; sizes a whole number and `B`, `KiB`, "
        "`MiB` "
        "or `GiB`.\nComments begin with `#`. Paths begin with `/`.\n\n"
        "`quarkd --check` says what is wrong, with file, line and what to write instead; `quarkd --show-config` prints "
        "every key with\nits value and where that was set; `systemctl reload quarkd` puts a changed configuration in "
        "force. A configuration with a\nmistake is never used, not even in part: a running daemon keeps the one it "
        "has.\n",
        stdout);
    const char *section = "";
    for (int i = 0; i < QK_KEYS; i++) {
        const struct qk_key *key = &qk_keys[i];
        if (strcmp(section, key->section) != 0) {
            const struct qk_section *s = qk_sections;
            while (strcmp(s->name, key->section) != 0)
                s++;
            printf("\n## %s\n\n%s\n\n| key | kind | default | |\n| --- | --- | --- | --- |\n", s->name, s->text);
            section = key->section;
        }
        printf("| `%s` | %s", key->dotted, qk_key_type_name(key->type));
        put_range(key);
        printf(" | `%s` | %s %c%s. |\n", key->value, key->text, when(key)[0] == 'a' ? 'A' : 'N', when(key) + 1);
    }
}

/* Text with scdoc's marks made harmless. */
static void put_scdoc(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '_' || *text == '*' || *text == '\\' || *text == '#')
            putchar('\\');
        if (*text == '`')
            putchar('*');
        else
            putchar(*text);
    }
}

static void write_scdoc(void)
{
    fputs(
        "quarkd.conf(5)\n\n# NAME\n\nquarkd.conf - configuration of the Quark actor silo\n\n# SYNOPSIS\n\n"
        "*" QK_CONFIG_DIR "/quarkd.conf*++\n*" QK_CONFIG_DIR "/conf.d/\\*.conf*\n\n# DESCRIPTION\n\n"
        "The first file is read first, then those of the directory in the order of their names. A later file wins, key "
        "by key. In one file a key may be set once. Every key has a default; an empty file is a configuration.\n\n"
        "Keys stand in sections:\n\n"
        "```\nruntime = {\n    workers = 4;\n    timeout = \"30s\";\n};\n```\n\n"
        "Texts, durations and sizes stand in double quotes, lists in brackets with commas between their elements. A "
        "duration is a whole number and one of us, ms, s, min, h, d; a size a whole number and one of B, KiB, MiB, "
        "GiB. "
        "Comments begin with \\#. Paths begin with /. Files are not included by a line.\n\n"
        "*quarkd --check* finds mistakes, *quarkd --show-config* prints every key with its value and origin.\n",
        stdout);
    const char *section = "";
    for (int i = 0; i < QK_KEYS; i++) {
        const struct qk_key *key = &qk_keys[i];
        if (strcmp(section, key->section) != 0) {
            const struct qk_section *s = qk_sections;
            while (strcmp(s->name, key->section) != 0)
                s++;
            printf("\n# SECTION %s\n\n", s->name);
            put_scdoc(s->text);
            fputs("\n\n", stdout);
            section = key->section;
        }
        putchar('*');
        put_scdoc(key->name);
        fputs(" = ", stdout);
        put_scdoc(key->value);
        fputs(";*\n\t", stdout);
        put_scdoc(key->text);
        printf(" Kind: %s", qk_key_type_name(key->type));
        put_range(key);
        printf("; %s.\n\n", when(key));
    }
    fputs("# SEE ALSO\n\n*quarkd*(8), *quarkctl*(1)\n", stdout);
}

/* A comment of at most 120 columns. */
static void put_comment(const char *indent, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column == 0 || column + 1 + len > 118) {
            printf("%s%s#", column > 0 ? "\n" : "", indent);
            column = strlen(indent) + 1;
        }
        printf(" %.*s", (int)len, text);
        column += 1 + len;
        text += len + strspn(text + len, " ");
    }
    putchar('\n');
}

static void write_example(void)
{
    fputs(
        "# Configuration of quarkd. What stands here commented out is the default; quarkd.conf(5) tells more.\n"
        "# Write your own settings into files conf.d/NAME.conf beside this one: they are read after it and win, and "
        "an\n"
        "# installation leaves them alone. `quarkd --check` finds mistakes, `systemctl reload quarkd` puts changes in "
        "force.\n",
        stdout);
    const char *section = "";
    for (int i = 0; i < QK_KEYS; i++) {
        const struct qk_key *key = &qk_keys[i];
        if (strcmp(section, key->section) != 0) {
            const struct qk_section *s = qk_sections;
            while (strcmp(s->name, key->section) != 0)
                s++;
            printf("%s\n# %s\n%s = {\n", i > 0 ? "};\n" : "", s->text, s->name);
            section = key->section;
        } else {
            putchar('\n');
        }
        put_comment("    ", key->text);
        printf("    #%s = %s;\n", key->name, key->value);
    }
    fputs("};\n", stdout);
}

static void write_catalog(void)
{
    size_t n;
    const struct qk_error *errors = qk_error_all(&n);
    fputs("# Explanations of quarkd's messages, for `journalctl -x`.\n", stdout);
    for (size_t i = 0; i < n; i++)
        printf("\n-- " QK_MESSAGE_ID_PREFIX "%s\nSubject: %s: %s\nDefined-By: quarkd\nDocumentation: man:quarkd(8)\n\n"
               "%s\n\n%s\n",
               errors[i].code + 2, errors[i].code, errors[i].title, errors[i].explain, errors[i].fix);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(void);
    } kinds[] = {
        {"markdown", write_markdown}, {"scdoc", write_scdoc}, {"example", write_example}, {"catalog", write_catalog}};
    for (size_t i = 0; argc == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(argv[1], kinds[i].name) != 0)
            continue;
        kinds[i].write();
        return fflush(stdout) == 0 ? 0 : 1;
    }
    fputs("usage: keys_doc markdown|scdoc|example|catalog\n", stderr);
    return 2;
}
