/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A silo inside a test: runs the actors of a plugin in the calling thread, with a clock that only the test moves and a
 * store that lives as long as the silo, whatever provider the types name.
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

/** Has everybody who uses a service get `instance`, which stays the caller's and must outlive the silo; the service is
 *  then not made, nor what only it needs. `name` is that of the service, or plugin/service where two plugins have one
 *  of that name. Before its first use. 0, QK_ENOTFOUND, QK_EINVALID (two have it), QK_ESTATE (it has been made); text
 *  in qk_test_error(). */
int qk_test_substitute(struct qk_test *test, const char *name, void *instance);

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

/** Moves the clock on by `ms` and runs what becomes due (timers, deadlines, idle collection). */
void qk_test_advance(struct qk_test *test, int64_t ms);

/** Number of activations in memory. */
uint64_t qk_test_activations(const struct qk_test *test);

/** Ends the activation of an actor as idle collection would; on_deactivate runs, with QK_DEACTIVATE_REQUESTED. 0, or
 *  QK_ENOTFOUND (also where the actor is not active), or QK_ESTATE where a turn of it is suspended. */
int qk_test_deactivate(struct qk_test *test, const struct qk_type *type, struct qk_ref ref);

/** What is stored of an actor, whether or not it is active; where it has a journal, the snapshot. `ret_state` is made
 * with malloc; free it with free_unpacked. 0; QK_ENOTFOUND when nothing is stored, QK_EINVALID where the type has no
 * `store` or the key is none; then `ret_state` is NULL. Generated: `account_test_stored`. */
int qk_test_stored(struct qk_test *test, const struct qk_type *type, struct qk_ref ref, ProtobufCMessage **ret_state);

/** Replaces what is stored of an actor with a copy of `state`, or clears it (NULL); the snapshot of one with a journal
 * can only be cleared. An active one is not told: its next save fails with QK_ECONFLICT, as if somebody else had
 * written. 0, QK_EINVALID as above, QK_ETOOBIG, -ENOMEM. Generated: `account_test_store`. */
int qk_test_store(struct qk_test *test, const struct qk_type *type, struct qk_ref ref, const ProtobufCMessage *state);

/** Position of the last event in the journal of an actor, 0 where it has none. Generated: `ledger_test_position`. */
uint64_t qk_test_position(struct qk_test *test, const struct qk_type *type, struct qk_ref ref);

/** The event at `position` of an actor's journal, from 1 on. `ret_event` is made with malloc; free it with
 *  free_unpacked. 0; QK_ENOTFOUND where there is none, QK_EINVALID where the type has no journal or the key is none;
 * then `ret_event` is NULL. Generated: `ledger_test_event`. */
int qk_test_event(struct qk_test *test, const struct qk_type *type, struct qk_ref ref, uint64_t position,
                  ProtobufCMessage **ret_event);

/** Adds an event to the journal of an actor, which is not told: where it is active its next append fails with
 *  QK_ECONFLICT, as if somebody else had written. 0, QK_EINVALID as above, QK_ETOOBIG, -ENOMEM. Generated:
 *  `ledger_test_append`. */
int qk_test_append(struct qk_test *test, const struct qk_type *type, struct qk_ref ref, const ProtobufCMessage *event);

/** Lets the next `skip` operations on stored state go on, then has `n` of them fail with `status` (less than 0),
 *  replacing what an earlier call asked for. An operation that fails changes nothing, unless `done`: then it has been
 *  done and only its answer is lost, as when a silo dies just behind a save. */
void qk_test_store_fail(struct qk_test *test, uint64_t skip, uint64_t n, int status, bool done);

/** Operations on stored state so far, those that failed included. */
uint64_t qk_test_store_operations(const struct qk_test *test);

#ifdef __cplusplus
}
#endif

#endif
