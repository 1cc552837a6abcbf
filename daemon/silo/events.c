/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An administrator reads an actor's journal: its store answers, whether or not the actor is active or could be. */
#include "silo/answers.h"

#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "silo/internal.h"
#include "silo/stores.h"

/* A request on its way to the store and back. */
struct asked {
    struct qk_silo *silo;
    struct qk_port_frame *request;
};

/* The reply as bytes made with malloc; NULL without memory. The events stay in the answer. */
static uint8_t *pack_reply(const struct qk_port_frame *answer, size_t *ret_size)
{
    Quark__Admin__EventsReply reply = QUARK__ADMIN__EVENTS_REPLY__INIT;
    Quark__Admin__AdminReply whole = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__Event *events = calloc(answer->count + 1, sizeof(*events));
    Quark__Admin__Event **pointers = calloc(answer->count + 1, sizeof(Quark__Admin__Event *));
    const uint8_t *at = qk_port_frame_payload(answer), *end = at + answer->payload_len, *bytes;
    struct qk_port_event head;
    uint8_t *packed = NULL;
    while (events != NULL && pointers != NULL && reply.n_events < answer->count &&
           (bytes = qk_port_event_next(&at, end, &head)) != NULL) {
        Quark__Admin__Event *event = pointers[reply.n_events] = &events[reply.n_events];
        reply.n_events++;
        quark__admin__event__init(event);
        event->position = head.position;
        event->event = (ProtobufCBinaryData){head.size, (uint8_t *)(uintptr_t)bytes};
    }
    reply.events = pointers;
    reply.more = answer->more != 0;
    whole.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_EVENTS;
    whole.events = &reply;
    *ret_size = quark__admin__admin_reply__get_packed_size(&whole);
    if (events != NULL && pointers != NULL && (packed = malloc(*ret_size + 1)) != NULL)
        quark__admin__admin_reply__pack(&whole, packed);
    free(events);
    free(pointers);
    return packed;
}

static void on_answer(void *arg, struct qk_port_frame *answer)
{
    struct asked asked = *(struct asked *)arg;
    free(arg);
    size_t size = 0;
    if (answer->status < 0) {
        char text[QK_ERROR_TEXT_MAX + 1];
        size_t n = answer->text_len < sizeof(text) ? answer->text_len : sizeof(text) - 1;
        memcpy(text, qk_port_frame_text(answer), n);
        text[n] = '\0';
        qk_silo_end_admin(asked.silo, asked.request, answer->status, text, NULL, 0);
    } else {
        uint8_t *reply = pack_reply(answer, &size);
        qk_silo_end_admin(asked.silo, asked.request, reply != NULL ? 0 : QK_ENOMEMORY,
                          reply != NULL ? "" : "out of memory", reply, reply != NULL ? size : 0);
        free(reply);
    }
    qk_port_frame_destroy(answer);
}

void qk_silo_begin_events(struct qk_silo *silo, struct qk_port_frame *request, const Quark__Admin__EventsRequest *what)
{
    struct qk_port_frame *frame = qk_silo_address(silo, request, what->type, what->key);
    if (frame == NULL)
        return;
    struct asked *asked = malloc(sizeof(*asked));
    if (asked == NULL) {
        qk_port_frame_destroy(frame);
        qk_silo_end_admin(silo, request, QK_ENOMEMORY, "out of memory", NULL, 0);
        return;
    }
    *asked = (struct asked){silo, request};
    frame->kind = QK_PORT_STORE;
    frame->store = QK_STORE_REPLAY;
    frame->version = what->from > 0 ? what->from - 1 : 0;
    frame->count = what->limit != 0 && what->limit < QK_EVENTS_MAX ? what->limit : QK_EVENTS_MAX;
    qk_stores_ask(silo->stores, frame, on_answer, asked);
}
