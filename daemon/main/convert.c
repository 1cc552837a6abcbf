/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks values against the table of keys. */
#include "main/convert.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "main/units.h"

__attribute__((format(printf, 3, 4))) static int refuse(struct qk_objection *why, const char *code, const char *format,
                                                        ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why->message, sizeof(why->message), format, args);
    va_end(args);
    why->code = code;
    return -EINVAL;
}

#define LABEL(why, ...) snprintf((why)->label, sizeof((why)->label), __VA_ARGS__)
#define HELP(why, ...)  snprintf((why)->help, sizeof((why)->help), __VA_ARGS__)

static const struct qk_unit *units_of(const struct qk_key *key)
{
    return key->type == QK_KEY_DURATION ? qk_duration_units : qk_size_units;
}

/* A bound as a file would write it. */
static void bound(const struct qk_key *key, int64_t value, char ret_text[QK_UNIT_TEXT_MAX + 2])
{
    char text[QK_UNIT_TEXT_MAX];
    if (key->type == QK_KEY_INTEGER) {
        snprintf(ret_text, QK_UNIT_TEXT_MAX, "%" PRId64, value);
    } else {
        qk_unit_format(units_of(key), value, text);
        snprintf(ret_text, QK_UNIT_TEXT_MAX + 2, "\"%s\"", text);
    }
}

static int out_of_range(const struct qk_key *key, struct qk_objection *why)
{
    char least[QK_UNIT_TEXT_MAX + 2];
    char most[QK_UNIT_TEXT_MAX + 2];
    bound(key, key->least, least);
    bound(key, key->most, most);
    LABEL(why, "from %s to %s", least, most);
    return refuse(why, "QK0212", "`%s` is out of range", key->dotted);
}

/* What a right value looks like. */
static void show_example(const struct qk_key *key, struct qk_objection *why)
{
    HELP(why, "for example `%s = %s;`, which is the default", key->name, key->value);
}

int qk_convert_wrong(const struct qk_key *key, const char *found, struct qk_objection *ret_why)
{
    LABEL(ret_why, "this is %s", found);
    show_example(key, ret_why);
    return refuse(ret_why, "QK0211", "`%s` is %s %s", key->dotted, key->type == QK_KEY_INTEGER ? "an" : "a",
                  qk_key_type_name(key->type));
}

/* A text where something else belongs: show the same without quotes, or in brackets. */
static int wrong_text(const struct qk_key *key, const char *text, struct qk_objection *why)
{
    int rc = qk_convert_wrong(key, "a text", why);
    bool number = *text != '\0' && strspn(text, "0123456789") == strlen(text);
    bool boolean = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    if ((key->type == QK_KEY_INTEGER && number) || (key->type == QK_KEY_BOOLEAN && boolean))
        HELP(why, "write it without quotes: `%s = %.40s;`", key->name, text);
    else if (key->type != QK_KEY_INTEGER && key->type != QK_KEY_BOOLEAN)
        HELP(why, "write `%s = [ \"%.120s\" ];`", key->name, text);
    return rc;
}

int qk_convert_number(const struct qk_key *key, int64_t number, struct qk_value *ret_value,
                      struct qk_objection *ret_why)
{
    if (key->type == QK_KEY_DURATION || key->type == QK_KEY_SIZE) {
        const struct qk_unit *units = units_of(key);
        LABEL(ret_why, "without a unit");
        HELP(ret_why, "write for example \"%" PRId64 "%s\"", number, units[key->type == QK_KEY_DURATION ? 2 : 1].name);
        return refuse(ret_why, "QK0211", "`%s` is a %s", key->dotted, qk_key_type_name(key->type));
    }
    if (key->type != QK_KEY_INTEGER)
        return qk_convert_wrong(key, "a number", ret_why);
    if (number < key->least || number > key->most)
        return out_of_range(key, ret_why);
    ret_value->number = number;
    return 0;
}

static int convert_unit(const struct qk_key *key, const char *text, struct qk_value *ret_value,
                        struct qk_objection *ret_why)
{
    const struct qk_unit *units = units_of(key);
    const char *unit = "";
    int64_t number;
    int rc = qk_unit_parse(units, text, &number, &unit);
    if (rc == -ERANGE || (rc == 0 && (number < key->least || number > key->most)))
        return out_of_range(key, ret_why);
    if (rc == 0) {
        ret_value->number = number;
        return 0;
    }
    HELP(ret_why, "a %s is a whole number and one of %s", qk_key_type_name(key->type),
         units == qk_size_units ? "B, KiB, MiB, GiB" : "us, ms, s, min, h, d");
    if (rc == -EINVAL) {
        show_example(key, ret_why);
        return refuse(ret_why, "QK0213", "`%.60s` is no %s", text, qk_key_type_name(key->type));
    }
    if (*unit == '\0') {
        LABEL(ret_why, "did you mean \"%.20s%s\"?", text, units[key->type == QK_KEY_DURATION ? 2 : 1].name);
        return refuse(ret_why, "QK0213", "`%.60s` is no %s", text, qk_key_type_name(key->type));
    }
    for (const struct qk_unit *u = units; u->name != NULL; u++) {
        if (tolower((unsigned char)*u->name) == tolower((unsigned char)*unit)) {
            LABEL(ret_why, "did you mean \"%.*s%s\"?", unit - text > 24 ? 24 : (int)(unit - text), text, u->name);
            break;
        }
    }
    return refuse(ret_why, "QK0213", "there is no unit `%.60s`", unit);
}

static int check_path(const struct qk_key *key, const char *text, struct qk_objection *why)
{
    size_t most = key->type == QK_KEY_PATH ? (size_t)key->most : 4095;
    if (*text == '\0')
        return refuse(why, "QK0213", "`%s` has an empty path", key->dotted);
    if (*text != '/') {
        LABEL(why, "begins at no root");
        HELP(why, "write the whole path, from `/` on: a service has no directory of its own to start from");
        return refuse(why, "QK0214", "`%.120s` is a relative path", text);
    }
    if (strlen(text) > most) {
        LABEL(why, "%zu bytes", strlen(text));
        return refuse(why, "QK0215", "`%s` may have %zu bytes at most", key->dotted, most);
    }
    return 0;
}

static int check_name(const struct qk_key *key, const char *text, struct qk_objection *why)
{
    int64_t most = key->type == QK_KEY_NAME ? key->most : 255;
    if (strlen(text) > (size_t)most)
        return refuse(why, "QK0212", "`%s` may have %" PRId64 " bytes at most", key->dotted, most);
    for (const char *at = text; *at != '\0'; at++) {
        if (isalnum((unsigned char)*at) || *at == '.' || *at == '-' || *at == '_')
            continue;
        HELP(why, "letters, digits, `.`, `-` and `_` may stand in it");
        return refuse(why, "QK0213", "`%.80s` is no name", text);
    }
    return 0;
}

static int convert_mode(const struct qk_key *key, const char *text, struct qk_value *ret_value,
                        struct qk_objection *why)
{
    size_t digits = strspn(text, "01234567");
    if (digits < 3 || digits > 4 || text[digits] != '\0' || strtol(text, NULL, 8) > key->most) {
        HELP(why, "three octal digits for owner, group and others, for example \"0660\"");
        return refuse(why, "QK0213", "`%.60s` is no mode", text);
    }
    ret_value->number = strtol(text, NULL, 8);
    return 0;
}

static int convert_level(const char *text, struct qk_value *ret_value, struct qk_objection *why)
{
    int level = qk_level_value(text);
    if (level < 0) {
        const char *near = qk_suggest(text, qk_level_names);
        if (near != NULL)
            LABEL(why, "did you mean `%s`?", near);
        HELP(why, "one of error, warning, notice, info, debug");
        return refuse(why, "QK0213", "there is no level `%.60s`", text);
    }
    ret_value->number = level;
    return 0;
}

static int convert_isolation(const char *text, struct qk_value *ret_value, struct qk_objection *why)
{
    for (int i = 0; qk_isolation_names[i] != NULL; i++) {
        if (strcmp(text, qk_isolation_names[i]) == 0) {
            ret_value->number = i;
            return 0;
        }
    }
    const char *near = qk_suggest(text, qk_isolation_names);
    if (near != NULL)
        LABEL(why, "did you mean `%s`?", near);
    HELP(why, "`process`, or `none` for the daemon's own");
    return refuse(why, "QK0213", "there is no isolation `%.60s`", text);
}

int qk_convert_text(const struct qk_key *key, const char *text, struct qk_value *ret_value,
                    struct qk_objection *ret_why)
{
    int rc;
    switch (key->type) {
    case QK_KEY_DURATION:
    case QK_KEY_SIZE:
        return convert_unit(key, text, ret_value, ret_why);
    case QK_KEY_MODE:
        return convert_mode(key, text, ret_value, ret_why);
    case QK_KEY_LEVEL:
        return convert_level(text, ret_value, ret_why);
    case QK_KEY_ISOLATION:
        return convert_isolation(text, ret_value, ret_why);
    case QK_KEY_NAME:
        rc = check_name(key, text, ret_why);
        break;
    case QK_KEY_PATH:
        rc = check_path(key, text, ret_why);
        break;
    default:
        return wrong_text(key, text, ret_why);
    }
    if (rc < 0)
        return rc;
    ret_value->text = strdup(text);
    return ret_value->text != NULL ? 0 : -ENOMEM;
}

/* "PLUGIN:/path" */
static int check_grant(const struct qk_key *key, const char *text, struct qk_objection *why)
{
    char plugin[64];
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(plugin)) {
        HELP(why, "write the plugin's name, a colon, and the path: `counter:/srv/counter`");
        return refuse(why, "QK0213", "`%.80s` does not say to which plugin it is granted", text);
    }
    snprintf(plugin, sizeof(plugin), "%.*s", (int)(colon - text), text);
    int rc = check_name(key, plugin, why);
    return rc < 0 ? rc : check_path(key, colon + 1, why);
}

int qk_convert_element(const struct qk_key *key, const char *text, struct qk_objection *ret_why)
{
    if (key->type == QK_KEY_PATHS)
        return check_path(key, text, ret_why);
    if (*text == '\0')
        return refuse(ret_why, "QK0213", "`%s` has an empty name", key->dotted);
    if (key->type == QK_KEY_NAMES)
        return check_name(key, text, ret_why);
    if (key->type == QK_KEY_GRANTS)
        return check_grant(key, text, ret_why);
    return 0;
}
