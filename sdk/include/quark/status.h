/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Status codes: what a call into Quark, or a handler, returns.
 *
 * 0 or more is success. Less than 0 is an error: the negative errno of the system's errors, one of the QK_E*
 * codes below, or an application's own code, which lies from QK_APP_MIN down to QK_APP_MAX (a handler returns
 * QK_APP(n), n from 1 to QK_APP_COUNT).
 */
#ifndef QUARK_STATUS_H
#define QUARK_STATUS_H

#include <stdbool.h>
#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The table of Quark's own codes: X(name, value, text, retry, may_have_run).
 *
 * - `retry`: 1 where the same call may well succeed a little later.
 * - `may_have_run`: 1 where the caller can't know whether the method ran.
 */
#define QK_STATUS_MAP(X)                                                                                        \
    X(QK_ETIMEDOUT, -1001, "the deadline passed before the reply came", 1, 1)                                   \
    X(QK_EOVERLOADED, -1002, "the actor's mailbox is full", 1, 0)                                               \
    X(QK_EREENTRANT, -1003, "the call would wait for itself: the actor already waits in this call chain", 0, 0) \
    X(QK_ENOTFOUND, -1004, "no such actor type or method", 0, 0)                                                \
    X(QK_EUNAVAILABLE, -1005, "the silo takes no calls now", 1, 0)                                              \
    X(QK_ECONFLICT, -1006, "the stored version is another", 1, 0)                                               \
    X(QK_ECRASHED, -1007, "the actor has failed, or its host has", 1, 1)                                        \
    X(QK_EPROTOCOL, -1008, "the peer broke the protocol", 0, 1)                                                 \
    X(QK_ETOOBIG, -1009, "the message is larger than the limit", 0, 0)                                          \
    X(QK_EDENIED, -1010, "the peer may not do that", 0, 0)                                                      \
    X(QK_ECANCELLED, -1011, "the call was cancelled", 0, 1)                                                     \
    X(QK_ENOMEMORY, -1012, "the memory budget is used up", 1, 0)                                                \
    X(QK_EINVALID, -1013, "an argument or a message is not valid", 0, 0)                                        \
    X(QK_EVERSION, -1014, "the two sides speak different versions", 0, 0)                                       \
    X(QK_EDISCONNECTED, -1015, "the connection to the silo was lost", 1, 1)                                     \
    X(QK_EACTIVATE, -1016, "the actor could not be activated", 1, 0)                                            \
    X(QK_EEXISTS, -1017, "the name is taken", 0, 0)                                                             \
    X(QK_ESTATE, -1018, "that can't be done in this state", 0, 0)                                               \
    X(QK_EDEADLOCK, -1019, "the call and others wait for one another", 1, 1)

enum qk_status {
    QK_OK = 0,
#define QK_STATUS_ENUM(name, value, text, retry, may_have_run) name = value,
    QK_STATUS_MAP(QK_STATUS_ENUM)
#undef QK_STATUS_ENUM
};

/** Application codes: what a handler returns to say that the call failed for a reason of the application's. */
#define QK_APP_COUNT 1000
#define QK_APP(n)    (-2000 - (n))
#define QK_APP_MIN   QK_APP(QK_APP_COUNT)
#define QK_APP_MAX   QK_APP(1)

/** Whether `status` is an application's code. Any thread. */
static inline bool qk_is_app(int status)
{
    return status >= QK_APP_MIN && status <= QK_APP_MAX;
}

#ifdef __cplusplus
}
#endif

#endif
