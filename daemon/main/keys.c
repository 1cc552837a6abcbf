/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of configuration keys. */
#include "main/keys.h"

enum {
    RESTART = false,
    LIVE = true,
};

const struct qk_key qk_keys[QK_KEYS] = {
#define QK_SECTION(name, text)
#define QK_KEY(id, section, name, type, value, least, most, when, text) \
    {section, name, section "." name, QK_KEY_##type, value, least, most, when, text},
#include "main/keys.def"
#undef QK_KEY
#undef QK_SECTION
};

const struct qk_section qk_sections[] = {
#define QK_SECTION(name, text) {name, text},
#define QK_KEY(id, section, name, type, value, least, most, when, text)
#include "main/keys.def"
#undef QK_KEY
#undef QK_SECTION
    {NULL, NULL},
};

const char *qk_key_type_name(enum qk_key_type type)
{
    switch (type) {
    case QK_KEY_NAME:
        return "text";
    case QK_KEY_PATH:
        return "path";
    case QK_KEY_PATHS:
        return "list of paths";
    case QK_KEY_USERS:
        return "list of users";
    case QK_KEY_GROUPS:
        return "list of groups";
    case QK_KEY_INTEGER:
        return "integer";
    case QK_KEY_BOOLEAN:
        return "boolean";
    case QK_KEY_DURATION:
        return "duration";
    case QK_KEY_SIZE:
        return "size";
    case QK_KEY_MODE:
        return "mode";
    case QK_KEY_LEVEL:
        return "level";
    case QK_KEY_NAMES:
        return "list of names";
    case QK_KEY_GRANTS:
        return "list of grants";
    case QK_KEY_ISOLATION:
        return "kind of isolation";
    }
    return "text";
}
