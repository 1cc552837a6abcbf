/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Administrative requests: the gateway hands them over on a worker, the control thread answers them one at a time,
 * since going through a million actors must not hold up a worker.
 */
#include "silo/answers.h"

#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/fnv.h"
#include "silo/internal.h"
#include "wire/check.h"

#define WAITING_MAX 256 /* requests of all clients together */

/* Frames that the silo sends into the runtime itself: `origin` is the request's frame with the lowest bit set. */
#define OWN ((uintptr_t)1)

void qk_silo_end_admin(struct qk_silo *silo, struct qk_port_frame *request, int status, const char *text,
                       const uint8_t *payload, size_t size)
{
    if (size > QK_PAYLOAD_MAX) {
        status = QK_ETOOBIG;
        text = "the answer is larger than a frame may be: ask for less";
        size = 0;
    }
    size_t text_len = strnlen(text, QK_ERROR_TEXT_MAX);
    struct qk_port_frame *reply = qk_port_frame_create(text_len + size);
    if (reply == NULL) {
        reply = request;
        status = QK_ENOMEMORY;
        text_len = size = 0;
    } else {
        reply->origin = request->origin;
        reply->call_id = request->call_id;
        qk_port_frame_destroy(request);
    }
    reply->next = NULL;
    reply->kind = QK_PORT_REPLY;
    reply->status = status;
    reply->key_len = 0;
    reply->text_len = (uint32_t)text_len;
    reply->payload_len = (uint32_t)size;
    memcpy(reply->bytes, text, text_len);
    if (size != 0)
        memcpy(reply->bytes + text_len, payload, size);
    qk_gateway_deliver(silo->gw, reply);
}

/* ---- deactivating: the runtime answers later */

struct qk_port_frame *qk_silo_address(struct qk_silo *silo, struct qk_port_frame *request, const char *type,
                                      const char *key)
{
    size_t key_len = strlen(key);
    struct qk_port_frame *frame = NULL;
    if (atomic_load(&silo->state) >= QK_SILO_STOPPING) /* the runtime may not take it any more */
        qk_silo_end_admin(silo, request, QK_EUNAVAILABLE, "the silo stops", NULL, 0);
    else if (!qk_silo_has_type(silo, type))
        qk_silo_end_admin(silo, request, QK_ENOTFOUND, "no plugin that is loaded has this actor type", NULL, 0);
    else if (key_len == 0 || key_len > QK_KEY_MAX)
        qk_silo_end_admin(silo, request, QK_EINVALID, "a key has 1 to 512 bytes", NULL, 0);
    else if ((frame = qk_port_frame_create(key_len)) == NULL)
        qk_silo_end_admin(silo, request, QK_ENOMEMORY, "out of memory", NULL, 0);
    if (frame == NULL)
        return NULL;
    frame->type_id = qk_fnv64(type);
    frame->key_len = (uint32_t)key_len;
    memcpy(frame->bytes, key, key_len);
    return frame;
}

static void begin_deactivate(struct qk_silo *silo, struct qk_port_frame *request,
                             const Quark__Admin__DeactivateRequest *what)
{
    struct qk_port_frame *frame = qk_silo_address(silo, request, what->type, what->key);
    if (frame == NULL)
        return;
    frame->kind = QK_PORT_DEACTIVATE;
    frame->origin = (void *)((uintptr_t)request | OWN);
    atomic_fetch_add(&silo->own_questions, 1);
    qk_silo_route(silo, frame);
}

static void end_deactivate(struct qk_silo *silo, struct qk_port_frame *frame)
{
    struct qk_port_frame *request = (struct qk_port_frame *)((uintptr_t)frame->origin & ~OWN);
    uint8_t *reply = NULL;
    size_t size = 0;
    int status = frame->status;
    char text[QK_ERROR_TEXT_MAX + 1] = "";
    if (status == 0 || status == QK_ENOTFOUND)
        status = qk_silo_answer_deactivate(status == 0, &reply, &size);
    else
        memcpy(text, qk_port_frame_text(frame), frame->text_len < sizeof(text) ? frame->text_len : sizeof(text) - 1);
    qk_port_frame_destroy(frame);
    atomic_fetch_sub(&silo->own_questions, 1);
    qk_silo_end_admin(silo, request, status, text, reply, size);
    free(reply);
}

struct qk_port_frame *qk_silo_take_own(struct qk_silo *silo, struct qk_port_frame *chain)
{
    struct qk_port_frame **at = &chain;
    while (*at != NULL) {
        struct qk_port_frame *frame = *at;
        if (((uintptr_t)frame->origin & OWN) == 0) {
            at = &frame->next;
            continue;
        }
        *at = frame->next;
        if (((uintptr_t)frame->origin & QK_SILO_GATHERING) == QK_SILO_GATHERING)
            qk_silo_gathered((struct qk_gathering *)((uintptr_t)frame->origin & ~QK_SILO_GATHERING), frame);
        else
            end_deactivate(silo, frame);
    }
    return chain;
}

/* ---- the queue */

void qk_silo_on_admin(void *arg, struct qk_port_frame *frame)
{
    struct qk_silo *silo = arg;
    frame->next = NULL;
    pthread_mutex_lock(&silo->admin_lock);
    bool full = silo->admin_waiting >= WAITING_MAX;
    bool call = !full && !silo->admin_called;
    if (!full) {
        *silo->admin_last = frame;
        silo->admin_last = &frame->next;
        silo->admin_waiting++;
        silo->admin_called = true;
    }
    pthread_mutex_unlock(&silo->admin_lock);
    if (full)
        qk_silo_end_admin(silo, frame, QK_EOVERLOADED, "too many administrative requests wait", NULL, 0);
    if (call)
        qk_loop_post(silo->control, &silo->admin_task);
}

/* The oldest request that waits; NULL: none, and the task is to be posted for the next one. */
static struct qk_port_frame *take(struct qk_silo *silo)
{
    pthread_mutex_lock(&silo->admin_lock);
    struct qk_port_frame *frame = silo->admin_first;
    if (frame != NULL) {
        silo->admin_first = frame->next;
        if (silo->admin_first == NULL)
            silo->admin_last = &silo->admin_first;
        silo->admin_waiting--;
    } else {
        silo->admin_called = false;
    }
    pthread_mutex_unlock(&silo->admin_lock);
    return frame;
}

static void serve_by_owner(struct qk_silo *silo, struct qk_port_frame *frame)
{
    uint8_t *reply = NULL;
    size_t size = 0;
    char text[QK_ERROR_TEXT_MAX] = "";
    if (silo->admin.serve == NULL) {
        qk_silo_end_admin(silo, frame, QK_ENOTFOUND, "this silo has no configuration to show or to read again", NULL,
                          0);
        return;
    }
    int rc = silo->admin.serve(silo->admin.arg, qk_port_frame_payload(frame), frame->payload_len, &reply, &size, text,
                               sizeof(text));
    qk_silo_end_admin(silo, frame, rc, text, rc >= 0 ? reply : NULL, rc >= 0 ? size : 0);
    free(reply);
}

static void serve_by_silo(struct qk_silo *silo, struct qk_port_frame *frame, const Quark__Admin__AdminRequest *request)
{
    uint8_t *reply = NULL;
    size_t size = 0;
    const char *text = "";
    int rc = qk_silo_answer(silo, request, &reply, &size, &text);
    if (rc >= 0 && request->body_case == QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS && qk_hosts_count(silo->hosts) != 0 &&
        qk_silo_gather(silo, frame, request->actors, reply, size))
        return;
    qk_silo_end_admin(silo, frame, rc, text, reply, size);
    free(reply);
}

static void serve(struct qk_silo *silo, struct qk_port_frame *frame)
{
    struct qk_arena arena;
    ProtobufCMessage *message;
    qk_arena_init(&arena, QK_MESSAGE_ARENA_MAX);
    int rc = qk_wire_unpack(&quark__admin__admin_request__descriptor, qk_port_frame_payload(frame), frame->payload_len,
                            &arena, &message);
    if (rc < 0) {
        qk_silo_end_admin(silo, frame, rc, "the administrative request does not parse", NULL, 0);
    } else {
        const Quark__Admin__AdminRequest *request = (const Quark__Admin__AdminRequest *)message;
        switch (request->body_case) {
        case QUARK__ADMIN__ADMIN_REQUEST__BODY_RELOAD:
        case QUARK__ADMIN__ADMIN_REQUEST__BODY_CONFIG:
            serve_by_owner(silo, frame);
            break;
        case QUARK__ADMIN__ADMIN_REQUEST__BODY_DEACTIVATE:
            begin_deactivate(silo, frame, request->deactivate);
            break;
        case QUARK__ADMIN__ADMIN_REQUEST__BODY_EVENTS:
            qk_silo_begin_events(silo, frame, request->events);
            break;
        default:
            serve_by_silo(silo, frame, request);
        }
    }
    qk_arena_finish(&arena);
}

void qk_silo_on_admin_task(void *arg)
{
    struct qk_silo *silo = arg;
    struct qk_port_frame *frame = take(silo);
    if (frame == NULL)
        return;
    /* One at a time: what else the control thread has to do comes in between. */
    qk_loop_post(silo->control, &silo->admin_task);
    serve(silo, frame);
}

void qk_silo_refuse_admin(struct qk_silo *silo)
{
    struct qk_port_frame *frame;
    while ((frame = take(silo)) != NULL)
        qk_silo_end_admin(silo, frame, QK_EUNAVAILABLE, "the silo has stopped", NULL, 0);
}

void qk_silo_set_admin(struct qk_silo *silo, const struct qk_silo_admin *admin)
{
    silo->admin = *admin;
}
