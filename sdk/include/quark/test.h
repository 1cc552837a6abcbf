/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A silo inside a test: runs the actors of a plugin in the calling thread, with a clock that only the test moves.
 */
#ifndef QUARK_TEST_H
#define QUARK_TEST_H

#include <quark/abi.h>
#include <quark/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qk_test;

/** A silo with the actor types of `plugin` (the generated `quark_plugin`), on the calling thread. The caller owns it.
 *  NULL when the plugin can't be registered; standard error says why. */
struct qk_test *qk_test_create(const struct qk_plugin *plugin);

/** Registers the types of one more plugin. 0, QK_EVERSION, QK_EEXISTS, QK_EINVALID. */
int qk_test_add_plugin(struct qk_test *test, const struct qk_plugin *plugin);

/** Deactivates everything and ends the silo. Returns how many activations, messages or fibers were left over: 0 unless
 *  something leaked. NULL is fine. */
int qk_test_destroy(struct qk_test *test);

/** Calls a method as a client would and runs the silo until the reply is there. `ret_reply` (NULL: not wanted) is made
 *  with malloc; free it with the message's free_unpacked. Time stands still unless nothing else can go on: then the
 *  clock jumps to the next deadline. The reply's status; text in qk_test_error(). */
int qk_test_ask(struct qk_test *test, const struct qk_method *m, struct qk_ref to, const ProtobufCMessage *request,
                ProtobufCMessage **ret_reply);

/** Sends one way and runs the silo until nothing is left to do. */
int qk_test_tell(struct qk_test *test, const struct qk_method *m, struct qk_ref to, const ProtobufCMessage *request);

/** Message of the last error; "" when none. Valid until the next call. */
const char *qk_test_error(const struct qk_test *test);

/** Moves the clock on by `ms` and runs what becomes due (deadlines, idle collection). */
void qk_test_advance(struct qk_test *test, int64_t ms);

/** Number of activations in memory. */
uint64_t qk_test_activations(const struct qk_test *test);

/** Ends the activation of an actor as idle collection would; on_deactivate runs, with QK_DEACTIVATE_REQUESTED. 0, or
 *  QK_ENOTFOUND (also where the actor is not active), or QK_ESTATE where a turn of it is suspended. */
int qk_test_deactivate(struct qk_test *test, const struct qk_type *type, struct qk_ref ref);

#ifdef __cplusplus
}
#endif

#endif
