/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration keys as a table in memory; keys.def says what they are. Needs nothing but base/limits.h and two
 * paths from the build, so that the manual can be made from it before anything else. Any thread. */
#ifndef QK_MAIN_KEYS_H
#define QK_MAIN_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/limits.h"

#define QK_US(n)  ((int64_t)(n)*1000)
#define QK_MS(n)  ((int64_t)(n)*1000000)
#define QK_S(n)   ((int64_t)(n)*1000000000)
#define QK_H(n)   ((int64_t)(n)*3600 * 1000000000)
#define QK_KIB(n) ((int64_t)(n)*1024)
#define QK_MIB(n) ((int64_t)(n)*1024 * 1024)
#define QK_GIB(n) ((int64_t)(n)*1024 * 1024 * 1024)

#define QK_SOCKET_PATH_MAX 107 /* bytes: what sockaddr_un holds, with its zero */

#define QK_DEFAULT_PLUGIN_DIRS "[ \"" QK_CONFIG_DIR "/plugins.d\", \"" QK_PLUGIN_DIR "\" ]"

enum qk_key_type {
    QK_KEY_NAME,      /* letters, digits, dot, dash, underscore */
    QK_KEY_PATH,      /* absolute */
    QK_KEY_PATHS,     /* a list of them */
    QK_KEY_USERS,     /* a list of names or numbers */
    QK_KEY_GROUPS,    /* likewise */
    QK_KEY_INTEGER,   /* whole number */
    QK_KEY_BOOLEAN,   /* true or false */
    QK_KEY_DURATION,  /* "10s" */
    QK_KEY_SIZE,      /* "64KiB" */
    QK_KEY_MODE,      /* "0660" */
    QK_KEY_LEVEL,     /* of the log */
    QK_KEY_NAMES,     /* a list of names as QK_KEY_NAME */
    QK_KEY_GRANTS,    /* a list of "PLUGIN:/path" */
    QK_KEY_ISOLATION, /* "process" or "none" */
};

enum qk_key_id {
#define QK_SECTION(name, text)
#define QK_KEY(id, section, name, type, value, least, most, when, text) QK_KEY_##id,
#include "main/keys.def"
#undef QK_KEY
#undef QK_SECTION
    QK_KEYS
};

struct qk_key {
    const char *section;
    const char *name;
    const char *dotted; /* "runtime.workers" */
    enum qk_key_type type;
    const char *value; /* the default, as a file would write it */
    int64_t least;
    int64_t most;
    bool live; /* a reload is enough */
    const char *text;
};

struct qk_section {
    const char *name;
    const char *text;
};

/* In the order of the table. */
extern const struct qk_key qk_keys[QK_KEYS];

/* Ends with a NULL name. */
extern const struct qk_section qk_sections[];

/* What a file writes for the type, for people: "duration", "list of paths". */
const char *qk_key_type_name(enum qk_key_type type);

#endif
