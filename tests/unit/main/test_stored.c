/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State outlives the daemon, whatever end it meets; a plugin whose store is not there is refused. */
#include <admin.pb-c.h>
#include <check.h>
#include <quark/client.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fnv.h"
#include "process.h"

#define ACTORS 8
#define KILLS  12

#define CONFIG                                                                           \
    "socket = { path = \"%HOME%/q.sock\"; };\nplugins = { directories = [ \"" KEEPER_DIR \
    "\" ]; };\nruntime = { workers = 2; };\n"

static struct process daemon_process;
static struct qk_client *client;

static void start_client(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/q.sock", home);
    struct qk_client_options options;
    qk_client_options_init(&options);
    options.socket_path = path;
    ck_assert_int_eq(qk_client_create(&options, &client), 0);
    ck_assert_int_eq(qk_client_connect(client), 0);
}

static void start(void)
{
    char line[4096];
    daemon_process = quarkd_start("--config %HOME%/quarkd.conf", NULL);
    wait_for_line(daemon_process.err, "takes calls at", line, sizeof(line));
    start_client();
}

static int stop(int sig)
{
    qk_client_destroy(client);
    ck_assert_int_eq(kill(daemon_process.pid, sig), 0);
    return quarkd_wait(&daemon_process);
}

static struct qk_call_target target_of(const char *type, const char *method, const char *key)
{
    return (struct qk_call_target){
        .type_id = qk_fnv64(type), .method_id = qk_fnv32(method), .ref = {key, (uint32_t)strlen(key)}};
}

/* The count in a reply: a field 1 of a number, or nothing for 0. */
static uint32_t count_of(const struct qk_reply *reply)
{
    uint32_t count = 0;
    for (size_t i = 1; i < reply->size; i++)
        count |= (uint32_t)(reply->data[i] & 0x7f) << (7 * (i - 1));
    return count;
}

static uint32_t ask(const char *type, const char *method, const char *key)
{
    struct qk_reply reply;
    struct qk_call_target target = target_of(type, method, key);
    int rc = qk_client_call(client, &target, NULL, 0, &reply);
    ck_assert_msg(rc == 0, "%s/%s: %s", type, key, reply.text);
    return count_of(&reply);
}

/* What the status says of a store that is open. */
static void check_store(const Quark__Admin__StatusReply *status, const char *name, uint64_t writes)
{
    for (size_t i = 0; i < status->n_stores; i++) {
        const Quark__Admin__Store *s = status->stores[i];
        if (strcmp(s->name, name) != 0)
            continue;
        ck_assert_uint_eq(s->writes, writes);
        ck_assert_uint_eq(s->errors + s->conflicts, 0);
        ck_assert_uint_eq(s->commits, strcmp(name, "sqlite") == 0 ? writes : 0);
        ck_assert_int_eq(s->commits != 0, s->commit_max_ns != 0);
        return;
    }
    ck_abort_msg("there is no store %s", name);
}

static void check_status(uint64_t sqlite_writes, uint64_t memory_writes)
{
    Quark__Admin__StatusRequest what = QUARK__ADMIN__STATUS_REQUEST__INIT;
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_STATUS;
    request.status = &what;
    uint8_t bytes[64];
    struct qk_reply reply;
    size_t size = quark__admin__admin_request__pack(&request, bytes);
    ck_assert_int_eq(qk_client_admin(client, bytes, size, 30000, &reply), 0);
    Quark__Admin__AdminReply *r = quark__admin__admin_reply__unpack(NULL, reply.size, reply.data);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->status->n_stores, 2);
    check_store(r->status, "sqlite", sqlite_writes);
    check_store(r->status, "memory", memory_writes);
    quark__admin__admin_reply__free_unpacked(r, NULL);
}

/* ---- counting while the daemon is killed */

static struct actor {
    char key[8];
    uint32_t acknowledged;
    uint32_t sent;
} actors[ACTORS];
static unsigned replies;
static const char *counter; /* the type of the actors */

static void add(struct actor *a);

static void on_added(void *arg, const struct qk_reply *reply)
{
    struct actor *a = arg;
    if (reply->status < 0)
        return; /* the daemon is gone: it may be stored, or not */
    ck_assert_uint_gt(count_of(reply), a->acknowledged);
    a->acknowledged = count_of(reply);
    replies++;
    add(a);
}

static void add(struct actor *a)
{
    struct qk_call_target target = target_of(counter, "Add", a->key);
    if (qk_client_begin(client, &target, NULL, 0, on_added, a) == 0)
        a->sent++;
}

/* Has actors of a type count, and kills the daemon meanwhile, again and again. */
static void count_and_kill(const char *type, bool audited)
{
    uint32_t random = 7;
    counter = type;
    home_put("quarkd.conf", CONFIG "stores = { sqlite_path = \"%HOME%/state.db\"; };\n");
    memset(actors, 0, sizeof(actors));
    for (int i = 0; i < ACTORS; i++)
        snprintf(actors[i].key, sizeof(actors[i].key), "k%d", i);
    for (int round = 0; round < KILLS; round++) {
        start();
        random = random * 1664525u + 1013904223u;
        unsigned wanted = 1 + (random >> 16) % 100;
        replies = 0;
        for (int i = 0; i < ACTORS; i++) {
            uint32_t stored = ask(type, "Get", actors[i].key);
            ck_assert_uint_ge(stored, actors[i].acknowledged);
            ck_assert_uint_le(stored, actors[i].sent);
            if (audited)
                ck_assert_uint_eq(ask(type, "Audit", actors[i].key), stored);
            actors[i].acknowledged = stored;
            add(&actors[i]);
        }
        while (replies < wanted)
            ck_assert_int_ge(qk_client_poll(client, -1), 0);
        ck_assert_int_eq(stop(SIGKILL), 128 + SIGKILL);
    }
}

/* Between an append and its snapshot too: what is loaded is the fold of what is there, and two events of one append are
 * both there or neither. */
START_TEST(test_stored_journal_survives_being_killed)
{
    count_and_kill("diary", true);
    start();
    for (int i = 0; i < ACTORS; i++) {
        uint32_t stored = ask("diary", "Get", actors[i].key);
        ck_assert_uint_ge(stored, actors[i].acknowledged);
        ck_assert_uint_eq(ask("diary", "Add", actors[i].key), stored + 1);
    }
    while (ask("diary", "Add", "k0") < 300) { /* which is more than a page of a replay holds */
    }
    ck_assert_uint_eq(ask("diary", "Audit", "k0"), 300);
    ck_assert_int_eq(stop(SIGTERM), 0);
}
END_TEST

START_TEST(test_stored_state_survives_being_killed)
{
    count_and_kill("keeper", false);
    start();
    ck_assert_uint_gt(ask("keeper", "Get", "k0"), 0);
    ask("keeper", "Forget", "k0");
    ck_assert_uint_eq(ask("keeper", "Get", "k0"), 0);
    ck_assert_uint_eq(ask("scratch", "Add", "s"), 1);
    ck_assert_uint_eq(ask("scratch", "Add", "s"), 2); /* another activation */
    check_status(1, 2);
    ck_assert_int_eq(stop(SIGTERM), 0);
    start();
    ck_assert_uint_eq(ask("keeper", "Get", "k0"), 0);
    ck_assert_uint_ge(ask("keeper", "Get", "k1"), actors[1].acknowledged);
    ck_assert_uint_eq(ask("scratch", "Add", "s"), 1);
    ck_assert_int_eq(stop(SIGTERM), 0);
    char wal[128];
    snprintf(wal, sizeof(wal), "%s/state.db-wal", home);
    ck_assert_int_lt(access(wal, F_OK), 0);
}
END_TEST

START_TEST(test_stored_plugin_without_its_store_is_refused)
{
    char said[8192];
    char line[4096];
    home_put("quarkd.conf", CONFIG "stores = { sqlite_path = \"%HOME%/none/state.db\"; };\n");
    ck_assert_int_eq(quarkd_run("--check %HOME%/quarkd.conf", false, said, sizeof(said)), 0);
    ck_assert_ptr_nonnull(strstr(said, "QK0670"));
    daemon_process = quarkd_start("--config %HOME%/quarkd.conf", NULL);
    wait_for_line(daemon_process.err, "`keeper`", line, sizeof(line));
    ck_assert_ptr_nonnull(strstr(line, "QK0322"));
    ck_assert_ptr_nonnull(strstr(line, "none/state.db does not exist"));
    wait_for_line(daemon_process.err, "`stray`", line, sizeof(line));
    ck_assert_ptr_nonnull(strstr(line, "QK0321"));
    ck_assert_ptr_nonnull(strstr(line, "`attic`"));
    ck_assert_ptr_nonnull(strstr(line, "`memory` and `sqlite`"));
    wait_for_line(daemon_process.err, "takes calls at", line, sizeof(line));
    start_client();
    ck_assert_int_eq(stop(SIGTERM), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stored");
    TCase *tcase = tcase_create("stored");
    tcase_set_timeout(tcase, 100);
    tcase_add_checked_fixture(tcase, home_make, home_remove);
    tcase_add_test(tcase, test_stored_state_survives_being_killed);
    tcase_add_test(tcase, test_stored_journal_survives_being_killed);
    tcase_add_test(tcase, test_stored_plugin_without_its_store_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
