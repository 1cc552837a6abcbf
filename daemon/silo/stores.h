/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The stores of a silo: which type keeps its state where, and the way from the runtime's port to a store and back. */
#ifndef QK_SILO_STORES_H
#define QK_SILO_STORES_H

#include <stddef.h>
#include <stdint.h>
#include <quark/abi.h>
#include "runtime/runtime.h"
#include "store/store.h"

struct qk_stores;

struct qk_stores_config {
    const char *sqlite_path; /* of the provider "sqlite"; copied. NULL: there is none */
    uint64_t memory_bytes;   /* bound of the provider "memory" */
};

/* The store of a configured name is opened when the first type asks for it. 0 or -ENOMEM. */
int qk_stores_create(const struct qk_stores_config *config, struct qk_stores **ret_stores);

/* Where the answers go; before the runtime's workers start. */
void qk_stores_set_answer(struct qk_stores *stores, void (*answer)(void *arg, struct qk_port_frame *chain), void *arg);

/* Answers what is under way, and closes the stores. After the workers have ended, before the runtime is destroyed: the
 * answers go there. A second call does nothing. NULL is fine. */
void qk_stores_close(struct qk_stores *stores);

/* Closes and frees. NULL is fine. */
void qk_stores_destroy(struct qk_stores *stores);

/* Before the types of a plugin are registered: opens the stores that they name and notes who keeps what. 0, or a status
 * with the reason in `text` and its code of base/errors/plugin.def in ret_code. The control thread only. */
int qk_stores_admit(struct qk_stores *stores, const struct qk_plugin *plugin, const char **ret_code, char *text,
                    size_t text_size);

/* The runtime did not take the plugin that was admitted last. The control thread only. */
void qk_stores_withdraw(struct qk_stores *stores);

/* Takes the operations on stored state out of a chain of the port and hands them to their stores; the rest. On a
 * worker.
 */
struct qk_port_frame *qk_stores_take(struct qk_stores *stores, struct qk_port_frame *chain);

/* Has the store of a type answer what the silo itself asks for: `done` gets the answer, on any thread, also inside this
 * call. Owns `frame`, a QK_PORT_STORE. The control thread, before qk_stores_close(). */
void qk_stores_ask(struct qk_stores *stores, struct qk_port_frame *frame,
                   void (*done)(void *arg, struct qk_port_frame *answer), void *arg);

/* Calls `visit` for each store that is open. The control thread only. */
void qk_stores_visit(const struct qk_stores *stores,
                     void (*visit)(void *arg, const char *name, const struct qk_store_stats *stats), void *arg);

#endif
