/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The two things a plugin's object file carries: the descriptor and the note. Generated code uses these.
 */
#ifndef QUARK_PLUGIN_H
#define QUARK_PLUGIN_H

#include <quark/abi.h>

#if defined(__GNUC__)
#define QK_EXPORT __attribute__((visibility("default")))
#else
#define QK_EXPORT
#endif

/** Writes the note that names the plugin. Once for each plugin, at file scope, string literals only. */
#define QK_PLUGIN_NOTE(name_, version_)                                                                      \
    __attribute__((section(".note.quark"), used, aligned(4))) static const struct qk_note qk_plugin_note = { \
        6, sizeof(struct qk_note) - 20, QK_NOTE_TYPE, "Quark", QK_ABI_MAJOR, QK_ABI_MINOR, 0, name_, version_}

#ifdef __cplusplus
#define QK_STATIC_ASSERT static_assert
#else
#define QK_STATIC_ASSERT _Static_assert
#endif
QK_STATIC_ASSERT(sizeof(struct qk_note) == 124, "the note has no padding");

#endif
