/* SPDX-License-Identifier: GPL-3.0-or-later */
/* events: the journal of an actor, page by page. */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <quark/status.h>
#include "base/limits.h"
#include "wire/check.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX     1000000
#define HEX_MAX       32 /* bytes of an event that can't be read */

static const struct qk_column columns[] = {{"POSITION", true, QK_FIT_NONE}, {"EVENT", false, QK_FIT_WRAP}};
const char *const qk_columns_events[] = {"POSITION", "EVENT", NULL};

/* What is shown so far. */
struct listing {
    struct qk_ctl *ctl;
    const struct qk_schema *schema;
    const ProtobufCMessageDescriptor *desc;
    struct qk_table table;
    uint64_t next; /* position */
    uint64_t left; /* of the limit */
    uint64_t broken;
};

/* The JSON of an event, made with malloc; NULL where it can't be read. */
static char *json_of(const struct listing *list, const Quark__Admin__Event *event, size_t *ret_size)
{
    struct qk_json_options options = {.schema = list->schema, .layout = QK_JSON_COMPACT};
    struct qk_json_error error;
    struct qk_arena arena;
    ProtobufCMessage *message;
    char *text = NULL;
    qk_arena_init(&arena, QK_MESSAGE_ARENA_MAX * 2);
    if (qk_wire_unpack(list->desc, event->event.data, event->event.len, &arena, &message) == 0 &&
        qk_json_print(message, &options, &error, &text, ret_size) < 0)
        text = NULL;
    qk_arena_finish(&arena);
    return text;
}

static void hex_of(const ProtobufCBinaryData *bytes, char ret_hex[2 * HEX_MAX + 4])
{
    size_t n = bytes->len < HEX_MAX ? bytes->len : HEX_MAX;
    for (size_t i = 0; i < n; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", bytes->data[i]);
    snprintf(ret_hex + 2 * n, 4, "%s", n < bytes->len ? "..." : "");
}

static void show(struct listing *list, const Quark__Admin__Event *event)
{
    size_t size = 0;
    char hex[2 * HEX_MAX + 4], *json = json_of(list, event, &size);
    if (json == NULL) {
        hex_of(&event->event, hex);
        list->broken++;
    }
    if (qk_ctl_has(list->ctl, QK_OPT_JSON)) {
        fprintf(list->ctl->out, "{\"position\": \"%" PRIu64 "\", ", event->position);
        if (json != NULL)
            fprintf(list->ctl->out, "\"event\": %.*s}\n", (int)size, json);
        else
            fprintf(list->ctl->out, "\"damaged\": \"%s\"}\n", hex);
    } else {
        qk_table_row(&list->table);
        qk_table_set(&list->table, 0, "%" PRIu64, event->position);
        if (json != NULL)
            qk_table_set(&list->table, 1, "%.*s", (int)size, json);
        else
            qk_table_set(&list->table, 1, "damaged, %zu bytes: %s", event->event.len, hex);
    }
    free(json);
}

/* Asks for one page and shows it. The reply goes with it: a journal may be long. */
static int list_page(struct listing *list, const char *type, const char *key, bool *ret_more)
{
    struct qk_ctl *ctl = list->ctl;
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__EventsRequest events = QUARK__ADMIN__EVENTS_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    struct qk_arena kept = ctl->arena;
    qk_arena_init(&ctl->arena, kept.limit);
    events.type = (char *)(uintptr_t)type;
    events.key = (char *)(uintptr_t)key;
    events.from = list->next;
    events.limit = (uint32_t)list->left;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_EVENTS;
    request.events = &events;
    int rc = qk_session_admin(ctl, &request, &reply);
    if (rc == QK_EXIT_OK) {
        const Quark__Admin__EventsReply *page = reply->events;
        for (size_t i = 0; i < page->n_events && list->left > 0; i++, list->left--) {
            show(list, page->events[i]);
            list->next = page->events[i]->position + 1;
        }
        *ret_more = page->more && page->n_events > 0;
    }
    qk_arena_finish(&ctl->arena);
    ctl->arena = kept;
    return rc;
}

static int print(struct listing *list, const char *type, const char *key)
{
    struct qk_ctl *ctl = list->ctl;
    qk_table_init(&list->table, columns, sizeof(columns) / sizeof(columns[0]));
    bool more = true;
    int rc = QK_EXIT_OK;
    while (rc == QK_EXIT_OK && more && list->left > 0)
        rc = list_page(list, type, key, &more);
    if (rc == QK_EXIT_OK && !qk_ctl_has(ctl, QK_OPT_JSON))
        rc = qk_table_print(ctl, &list->table);
    qk_table_finish(&list->table);
    if (rc == QK_EXIT_OK && more)
        fprintf(ctl->err, "there are further ones; --from %" PRIu64 " goes on, --limit N shows more\n", list->next);
    if (rc == QK_EXIT_OK && list->broken > 0)
        rc = qk_ctl_fail(ctl, QK_EXIT_FAILED, "QK0423", NULL, "the actor can't be activated before they are mended",
                         "%" PRIu64 " of the events of %s/%s can't be read", list->broken, type, key);
    return rc;
}

int qk_cmd_events(struct qk_ctl *ctl)
{
    struct listing list = {.ctl = ctl, .next = 1, .left = LIMIT_DEFAULT};
    const Quark__Admin__Type *type;
    struct qk_schema *schema;
    const char *name, *key;
    int rc = qk_address_split(ctl, ctl->args.argv[0], &name, &key);
    if (rc == QK_EXIT_OK)
        rc = qk_number_option(ctl, QK_OPT_FROM, 0, INT64_MAX, &list.next);
    if (rc == QK_EXIT_OK)
        rc = qk_number_option(ctl, QK_OPT_LIMIT, 1, LIMIT_MAX, &list.left);
    if (rc == QK_EXIT_OK)
        rc = qk_type_get(ctl, name, &type, &schema);
    if (rc != QK_EXIT_OK)
        return rc;
    list.schema = schema;
    list.desc = qk_schema_message(schema, type->event);
    if (*type->event == '\0')
        rc = qk_ctl_fail(ctl, QK_EXIT_NOT_FOUND, "QK0424", NULL,
                         "a type has a journal where its .proto names an `event`",
                         "actors of the type `%s` have no journal", name);
    else if (list.desc == NULL)
        rc = qk_ctl_fail(ctl, QK_EXIT_FAILED, "QK0422", NULL, "build the plugin again with the SDK's protoc-gen-quark",
                         "the plugin of `%s` does not carry the message `%s`", name, type->event);
    else
        rc = print(&list, name, key);
    qk_schema_destroy(schema);
    return rc;
}
