/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The exit codes of quarkctl: X(name, code, text). Help and manual list them from here. */
#ifndef QK_CTL_EXIT_H
#define QK_CTL_EXIT_H

#define QK_EXIT_MAP(X)                                                 \
    X(OK, 0, "it worked")                                              \
    X(FAILED, 1, "the call failed: the actor or the silo refused it")  \
    X(USAGE, 2, "the command line or the JSON text is wrong")          \
    X(UNREACHABLE, 3, "no silo answers, or it takes no calls now")     \
    X(DENIED, 4, "this user may not do that")                          \
    X(NOT_FOUND, 5, "there is no such type, method, template or code") \
    X(CONFIG, 6, "the configuration is wrong; the old one stays")      \
    X(TIMEOUT, 7, "no reply in time: the method may have run")         \
    X(OVERLOADED, 8, "too much waits there already: it did not run")

enum qk_exit {
#define QK_EXIT_ENUM(name, code, text) QK_EXIT_##name = code,
    QK_EXIT_MAP(QK_EXIT_ENUM)
#undef QK_EXIT_ENUM
};

#endif
