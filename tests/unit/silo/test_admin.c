/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What administrators ask a silo over its socket. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <admin.pb-c.h>
#include "fixture.h"
#include "wire/check.h"

static struct peer p;

static void setup(void)
{
    fx_setup();
    fx_start(NULL);
    fx_open(&p);
}

static void teardown(void)
{
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
    fx_teardown();
}

static void send_request(uint64_t id, const Quark__Admin__AdminRequest *request)
{
    uint8_t bytes[1024];
    peer_admin(&p, id, bytes, quark__admin__admin_request__pack(request, bytes));
}

/* Asks and waits: the reply, to be freed, or NULL with the status. */
static Quark__Admin__AdminReply *ask(const Quark__Admin__AdminRequest *request, int32_t *ret_status)
{
    struct peer_frame f;
    send_request(7, request);
    ck_assert_uint_eq(peer_reply(&p, ret_status, &f), 7);
    if (*ret_status < 0)
        ck_assert_str_ne(f.envelope->reply->text, "");
    Quark__Admin__AdminReply *reply =
        *ret_status >= 0 ? quark__admin__admin_reply__unpack(NULL, f.payload_len, f.payload) : NULL;
    peer_free(&f);
    if (*ret_status >= 0)
        ck_assert_ptr_nonnull(reply);
    return reply;
}

static void free_reply(Quark__Admin__AdminReply *reply)
{
    quark__admin__admin_reply__free_unpacked(reply, NULL);
}

START_TEST(test_admin_status)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__StatusRequest body = QUARK__ADMIN__STATUS_REQUEST__INIT;
    int32_t status;
    fx_ask(&p, S_ADD, "a", 1, NULL);
    fx_ask(&p, S_FAIL, "a", 1, NULL);
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_STATUS;
    request.status = &body;
    Quark__Admin__AdminReply *reply = ask(&request, &status);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->body_case, QUARK__ADMIN__ADMIN_REPLY__BODY_STATUS);
    ck_assert_str_eq(reply->status->silo, "test");
    ck_assert_str_eq(reply->status->state, "running");
    ck_assert_str_eq(reply->status->socket, fx_path);
    ck_assert_uint_eq(reply->status->pid, (uint32_t)getpid());
    ck_assert_uint_eq(reply->status->workers, 2);
    ck_assert_uint_eq(reply->status->activations, 1);
    ck_assert_uint_eq(reply->status->turns, 2);
    ck_assert_uint_eq(reply->status->failures, 1);
    ck_assert_uint_eq(reply->status->calls_in, 2);
    ck_assert_uint_eq(reply->status->clients, 1);
    ck_assert_uint_eq(reply->status->in_flight, 1); /* this request */
    ck_assert_uint_gt(reply->status->memory_bytes, 0);
    ck_assert_uint_eq(reply->status->n_config_files, 2);
    ck_assert_str_eq(reply->status->config_files[1], "/etc/two.conf");
    free_reply(reply);
}
END_TEST

START_TEST(test_admin_types_and_schema)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__TypesRequest types = QUARK__ADMIN__TYPES_REQUEST__INIT;
    Quark__Admin__SchemaRequest schema = QUARK__ADMIN__SCHEMA_REQUEST__INIT;
    int32_t status;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_TYPES;
    request.types = &types;
    Quark__Admin__AdminReply *reply = ask(&request, &status);
    ck_assert_uint_eq(reply->types->n_types, 1);
    ck_assert_str_eq(reply->types->types[0]->name, SILO_TYPE);
    ck_assert_str_eq(reply->types->types[0]->plugin, "stations");
    ck_assert_str_eq(reply->types->types[0]->state, "rt.State");
    ck_assert_str_eq(reply->types->types[0]->placement, "hash");
    ck_assert_uint_eq(reply->types->types[0]->n_methods, N_SILO_METHODS);
    ck_assert_str_eq(reply->types->types[0]->methods[0]->request, "rt.Number");
    free_reply(reply);
    types.name = (char *)"nothing";
    ck_assert_ptr_null(ask(&request, &status));
    ck_assert_int_eq(status, QK_ENOTFOUND);
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_SCHEMA;
    request.schema = &schema;
    schema.type = (char *)SILO_TYPE;
    reply = ask(&request, &status);
    ck_assert_str_eq(reply->schema->type->name, SILO_TYPE);
    ck_assert_uint_eq(reply->schema->files.len, 3);
    free_reply(reply);
    schema.type = (char *)"";
    ck_assert_ptr_null(ask(&request, &status));
    ck_assert_int_eq(status, QK_ENOTFOUND);
}
END_TEST

static Quark__Admin__AdminReply *list_actors(const char *type, const char *prefix, uint32_t limit, int32_t *ret_status)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ActorsRequest actors = QUARK__ADMIN__ACTORS_REQUEST__INIT;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS;
    request.actors = &actors;
    actors.type = (char *)type;
    actors.key_prefix = (char *)prefix;
    actors.limit = limit;
    return ask(&request, ret_status);
}

static void expect_actors(const char *type, const char *prefix, uint32_t limit, size_t shown, uint64_t total)
{
    int32_t status;
    Quark__Admin__AdminReply *reply = list_actors(type, prefix, limit, &status);
    ck_assert_ptr_nonnull(reply);
    ck_assert_uint_eq(reply->actors->n_actors, shown);
    ck_assert_uint_eq(reply->actors->total, total);
    for (size_t i = 0; i < shown; i++) {
        ck_assert_str_eq(reply->actors->actors[i]->type, SILO_TYPE);
        ck_assert_int_eq(strncmp(reply->actors->actors[i]->key, prefix, strlen(prefix)), 0);
        ck_assert_uint_eq(reply->actors->actors[i]->turns, 1);
    }
    free_reply(reply);
}

START_TEST(test_admin_actors)
{
    int32_t status;
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%s-%d", i % 5 == 0 ? "five" : "any", i);
        fx_ask(&p, S_ADD, key, 1, NULL);
    }
    expect_actors("", "", 0, 50, 50);
    expect_actors("", "", 7, 7, 50);
    expect_actors(SILO_TYPE, "", 7, 7, 50);
    expect_actors(SILO_TYPE, "five", 0, 10, 10);
    expect_actors("", "five", 3, 3, 10);
    expect_actors("", "none", 3, 0, 0);
    ck_assert_ptr_null(list_actors("nothing", "", 0, &status));
    ck_assert_int_eq(status, QK_ENOTFOUND);
}
END_TEST

/* However many there are and whatever is asked for, the answer fits into a frame. */
START_TEST(test_admin_actors_are_bounded)
{
    char key[QK_KEY_MAX + 1];
    int32_t status;
    memset(key, 'k', sizeof(key));
    key[QK_KEY_MAX] = 0;
    for (int i = 0; i < 9000; i++) {
        char number[8];
        snprintf(number, sizeof(number), "%06d", i);
        memcpy(key, number, 6);
        fx_call(&p, (uint64_t)i + 1, S_ADD, key, 1, false);
        if (i % 100 == 99) {
            for (int k = 0; k < 100; k++)
                peer_reply(&p, &status, NULL);
        }
    }
    Quark__Admin__AdminReply *reply = list_actors("", "", UINT32_MAX, &status);
    ck_assert_ptr_nonnull(reply);
    ck_assert_uint_gt(reply->actors->n_actors, 6000);
    ck_assert_uint_lt(reply->actors->n_actors, 9000);
    ck_assert_uint_eq(reply->actors->total, 9000);
    free_reply(reply);
}
END_TEST

/* Nor does it have more fields than a client unpacks. */
START_TEST(test_admin_actors_can_be_unpacked)
{
    char key[8];
    int32_t status;
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        fx_call(&p, (uint64_t)i + 1, S_ADD, key, 1, false);
        if (i % 100 == 99) {
            for (int k = 0; k < 100; k++)
                peer_reply(&p, &status, NULL);
        }
    }
    Quark__Admin__AdminReply *reply = list_actors("", "", UINT32_MAX, &status);
    ck_assert_ptr_nonnull(reply);
    size_t size = quark__admin__admin_reply__get_packed_size(reply);
    uint8_t *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    quark__admin__admin_reply__pack(reply, bytes);
    ck_assert_int_gt(qk_wire_check(&quark__admin__admin_reply__descriptor, bytes, size), 0);
    ck_assert_uint_gt(reply->actors->n_actors, 10000);
    ck_assert_uint_eq(reply->actors->total, 20000);
    free(bytes);
    free_reply(reply);
}
END_TEST

START_TEST(test_admin_top)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__TopRequest body = QUARK__ADMIN__TOP_REQUEST__INIT;
    int32_t status;
    fx_ask(&p, S_ADD, "a", 1, NULL);
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_TOP;
    request.top = &body;
    Quark__Admin__AdminReply *reply = ask(&request, &status);
    ck_assert_uint_eq(reply->top->n_types, 1);
    ck_assert_uint_eq(reply->top->types[0]->turns, 1);
    ck_assert_uint_eq(reply->top->types[0]->queued, 0);
    ck_assert_uint_eq(reply->top->n_workers, 2);
    ck_assert_uint_eq(reply->top->workers[0]->turns + reply->top->workers[1]->turns, 1);
    ck_assert_uint_gt(reply->top->workers[0]->busy_ns + reply->top->workers[1]->busy_ns, 0);
    ck_assert_str_eq(reply->top->status->silo, "test");
    ck_assert_uint_gt(reply->top->now_ns, 0);
    free_reply(reply);
}
END_TEST

START_TEST(test_admin_plugins)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__PluginsRequest body = QUARK__ADMIN__PLUGINS_REQUEST__INIT;
    int32_t status;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_PLUGINS;
    request.plugins = &body;
    Quark__Admin__AdminReply *reply = ask(&request, &status);
    ck_assert_uint_eq(reply->plugins->n_plugins, 0);
    free_reply(reply);
}
END_TEST

static bool deactivate(const char *type, const char *key, int32_t *ret_status)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__DeactivateRequest body = QUARK__ADMIN__DEACTIVATE_REQUEST__INIT;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_DEACTIVATE;
    request.deactivate = &body;
    body.type = (char *)type;
    body.key = (char *)key;
    Quark__Admin__AdminReply *reply = ask(&request, ret_status);
    if (reply == NULL)
        return false;
    bool was_active = reply->deactivate->was_active;
    free_reply(reply);
    return was_active;
}

START_TEST(test_admin_deactivate)
{
    int32_t status;
    fx_ask(&p, S_ADD, "a", 1, NULL);
    ck_assert(deactivate(SILO_TYPE, "a", &status));
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(atomic_load(&silo_deactivated), 1);
    ck_assert(!deactivate(SILO_TYPE, "a", &status));
    ck_assert_int_eq(status, 0);
    ck_assert(!deactivate("nothing", "a", &status));
    ck_assert_int_eq(status, QK_ENOTFOUND);
    ck_assert(!deactivate(SILO_TYPE, "", &status));
    ck_assert_int_eq(status, QK_EINVALID);
}
END_TEST

static int serve(void *arg, const uint8_t *bytes, size_t size, uint8_t **ret_reply, size_t *ret_size, char *ret_text,
                 size_t text_size)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__ReloadReply body = QUARK__ADMIN__RELOAD_REPLY__INIT;
    Quark__Admin__AdminRequest *request = quark__admin__admin_request__unpack(NULL, size, bytes);
    ck_assert_ptr_nonnull(request);
    ck_assert_int_eq(request->body_case, QUARK__ADMIN__ADMIN_REQUEST__BODY_RELOAD);
    quark__admin__admin_request__free_unpacked(request, NULL);
    if (*(int *)arg < 0) {
        snprintf(ret_text, text_size, "the configuration has a mistake");
        return *(int *)arg;
    }
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_RELOAD;
    reply.reload = &body;
    *ret_reply = malloc(64);
    *ret_size = quark__admin__admin_reply__pack(&reply, *ret_reply);
    return 0;
}

START_TEST(test_admin_reload_goes_to_the_owner)
{
    static int result;
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ReloadRequest body = QUARK__ADMIN__RELOAD_REQUEST__INIT;
    int32_t status;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_RELOAD;
    request.reload = &body;
    ck_assert_ptr_null(ask(&request, &status));
    ck_assert_int_eq(status, QK_ENOTFOUND);
    qk_silo_set_admin(fx_silo, &(struct qk_silo_admin){.serve = serve, .arg = &result});
    Quark__Admin__AdminReply *reply = ask(&request, &status);
    ck_assert_int_eq(reply->body_case, QUARK__ADMIN__ADMIN_REPLY__BODY_RELOAD);
    free_reply(reply);
    result = QK_EINVALID;
    ck_assert_ptr_null(ask(&request, &status));
    ck_assert_int_eq(status, QK_EINVALID);
}
END_TEST

START_TEST(test_admin_refuses_what_does_not_parse)
{
    int32_t status;
    peer_admin(&p, 3, "\xff\xff", 2);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 3);
    ck_assert_int_eq(status, QK_EINVALID);
    peer_admin(&p, 4, NULL, 0);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 4);
    ck_assert_int_eq(status, QK_EINVALID);
}
END_TEST

/* While the silo drains it still says what it does. */
START_TEST(test_admin_is_served_to_the_end)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__StatusRequest body = QUARK__ADMIN__STATUS_REQUEST__INIT;
    struct peer_frame f;
    int32_t status;
    fx_call(&p, 1, S_WAIT, "w", 0, false);
    fx_ask(&p, S_ADD, "a", 1, NULL);
    fx_begin_stop();
    ck_assert(peer_receive(&p, &f));
    ck_assert_int_eq(f.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_GO_AWAY);
    peer_free(&f);
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_STATUS;
    request.status = &body;
    Quark__Admin__AdminReply *reply = ask(&request, &status);
    ck_assert_str_eq(reply->status->state, "draining");
    free_reply(reply);
    qk_silo_stop(fx_silo, NULL, NULL);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 1);
    fx_end_stop();
    peer_close(&p);
    fx_start(NULL); /* for the teardown */
    fx_open(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("admin");
    TCase *tc = tcase_create("admin");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_admin_status);
    tcase_add_test(tc, test_admin_types_and_schema);
    tcase_add_test(tc, test_admin_actors);
    tcase_add_test(tc, test_admin_actors_are_bounded);
    tcase_add_test(tc, test_admin_actors_can_be_unpacked);
    tcase_add_test(tc, test_admin_top);
    tcase_add_test(tc, test_admin_plugins);
    tcase_add_test(tc, test_admin_deactivate);
    tcase_add_test(tc, test_admin_reload_goes_to_the_owner);
    tcase_add_test(tc, test_admin_refuses_what_does_not_parse);
    tcase_add_test(tc, test_admin_is_served_to_the_end);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
