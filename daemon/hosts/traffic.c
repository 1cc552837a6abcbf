/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames to and from hosts. What a host asks is asked in its name only: state of its own types, calls to anybody. What
 * it answers goes to who asked, as its channel knows.
 */
#include "hosts/internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/cpu.h"
#include "transport/flat.h"
#include "wire/context.h"

#define FRAMES_MAX 256 /* of one host before the next one's turn */

/* The host's place and the number of its process: an answer that comes for an earlier one is known. */
void *qk_traffic_origin(const struct qk_hosted *hosted)
{
    uint64_t generation = atomic_load_explicit(&((struct qk_hosted *)hosted)->generation, memory_order_relaxed);
    return (void *)(uintptr_t)(QK_HOST_ORIGIN | (generation & 0x3fffffff) << 24 | (uint64_t)hosted->index << 1);
}

/* The host that asked, unless it is another by now; NULL. */
static struct qk_hosted *asker(struct qk_hosts *hosts, const void *origin)
{
    unsigned index = (unsigned)((uintptr_t)origin >> 1) & 0xffff;
    struct qk_hosted *hosted = index < QK_HOSTS_MAX ? atomic_load(&hosts->list[index]) : NULL;
    return hosted != NULL && qk_traffic_origin(hosted) == origin ? hosted : NULL;
}

static struct qk_hosted *owner(const struct qk_hosts *hosts, uint64_t type_id)
{
    struct qk_hosted_type *t =
        atomic_load_explicit(&((struct qk_hosts *)hosts)->types[type_id % QK_HOSTS_BUCKETS], memory_order_acquire);
    while (t != NULL && t->type->id != type_id)
        t = t->next;
    return t != NULL ? t->hosted : NULL;
}

const struct qk_type *qk_hosts_find_type(const struct qk_hosts *hosts, uint64_t type_id)
{
    struct qk_hosted_type *t =
        atomic_load_explicit(&((struct qk_hosts *)hosts)->types[type_id % QK_HOSTS_BUCKETS], memory_order_acquire);
    while (t != NULL && t->type->id != type_id)
        t = t->next;
    return t != NULL ? t->type : NULL;
}

/* ---- to a host */

/* Answers what asks and forgets the rest. */
static struct qk_port_frame *refuse_all(struct qk_port_frame *chain, int status, const char *text)
{
    struct qk_port_frame *answers = NULL, **last = &answers;
    while (chain != NULL) {
        struct qk_port_frame *frame = chain;
        chain = frame->next;
        if (!qk_flat_is_question(frame->kind)) {
            qk_port_frame_destroy(frame);
            continue;
        }
        *last = qk_flat_answer(frame, status, text, false);
        last = &(*last)->next;
    }
    *last = NULL;
    return answers;
}

/* Takes out calls to actors in quarantine; their answers. */
static struct qk_port_frame *sift(struct qk_hosted *hosted, struct qk_port_frame **chain)
{
    struct qk_port_frame *answers = NULL;
    char text[256];
    while (*chain != NULL) {
        struct qk_port_frame *frame = *chain;
        if ((frame->kind != QK_PORT_CALL && frame->kind != QK_PORT_SEND) ||
            !qk_blame_refuses(hosted, frame, text, sizeof(text))) {
            chain = &frame->next;
            continue;
        }
        *chain = frame->next;
        frame = qk_flat_answer(frame, QK_EUNAVAILABLE, text, false);
        frame->next = answers;
        answers = frame;
    }
    return answers;
}

static const char *absence(const struct qk_hosted *hosted)
{
    return atomic_load(&((struct qk_hosted *)hosted)->state) == QK_HOSTED_WAITING
               ? "the process of the actor's plugin has ended several times in a row; it is started again in a moment"
               : "the process of the actor's plugin has ended";
}

void qk_traffic_send(struct qk_hosted *hosted, struct qk_port_frame *chain)
{
    struct qk_port_frame *refused = NULL, *sifted = NULL;
    if (qk_unlikely(atomic_load_explicit(&hosted->blame.quarantined, memory_order_relaxed) != 0))
        sifted = sift(hosted, &chain);
    if (chain != NULL) {
        pthread_mutex_lock(&hosted->send_lock);
        if (hosted->run != NULL)
            qk_channel_send(hosted->run->channel, chain, &refused);
        else
            refused = refuse_all(chain, QK_EUNAVAILABLE, absence(hosted));
        pthread_mutex_unlock(&hosted->send_lock);
    }
    const struct qk_hosts_config *config = &hosted->hosts->config;
    if (refused != NULL)
        config->route(config->arg, refused);
    if (sifted != NULL)
        config->route(config->arg, sifted);
}

/* Frames that go to one host, gathered. */
struct sheaf {
    struct qk_port_frame *first;
    struct qk_port_frame **last;
};

static void put(struct sheaf *sheaf, struct qk_port_frame *frame)
{
    frame->next = NULL;
    if (sheaf->first == NULL)
        sheaf->last = &sheaf->first;
    *sheaf->last = frame;
    sheaf->last = &frame->next;
}

static struct qk_port_frame *copy_of(const struct qk_port_frame *frame)
{
    size_t size = qk_port_frame_size(frame);
    struct qk_port_frame *copy = qk_port_frame_create(size);
    if (copy != NULL) {
        memcpy(copy, frame, sizeof(*copy) + size);
        copy->capacity = (uint32_t)size;
        copy->next = NULL;
    }
    return copy;
}

unsigned qk_hosts_tell_all(struct qk_hosts *hosts, const struct qk_port_frame *frame)
{
    unsigned n = 0, count = atomic_load_explicit(&hosts->count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        struct qk_port_frame *copy = copy_of(frame);
        if (copy == NULL)
            continue;
        qk_traffic_send(atomic_load(&hosts->list[i]), copy);
        n++;
    }
    return n;
}

/* Whose a frame is; NULL: no host's. `ret_stale`: the answer for a process that has ended. */
static struct qk_hosted *addressee(struct qk_hosts *hosts, const struct qk_port_frame *frame, bool *ret_stale)
{
    *ret_stale = false;
    switch (frame->kind) {
    case QK_PORT_CALL:
    case QK_PORT_SEND:
    case QK_PORT_DEACTIVATE:
        return owner(hosts, frame->type_id);
    case QK_PORT_REPLY:
    case QK_PORT_STORED:
        if (((uintptr_t)frame->origin & QK_HOST_ORIGIN) == 0)
            return NULL;
        struct qk_hosted *hosted = asker(hosts, frame->origin);
        *ret_stale = hosted == NULL;
        return hosted;
    default:
        return NULL;
    }
}

struct qk_port_frame *qk_hosts_take(struct qk_hosts *hosts, struct qk_port_frame *chain)
{
    unsigned count = atomic_load_explicit(&hosts->count, memory_order_acquire);
    if (count == 0)
        return chain;
    struct sheaf sheaves[QK_HOSTS_MAX];
    memset(sheaves, 0, sizeof(sheaves));
    struct qk_port_frame **at = &chain;
    while (*at != NULL) {
        struct qk_port_frame *frame = *at;
        bool stale;
        struct qk_hosted *hosted = addressee(hosts, frame, &stale);
        if (frame->kind == QK_PORT_CANCEL)
            qk_hosts_tell_all(hosts, frame);
        if (hosted == NULL && !stale) {
            at = &frame->next;
            continue;
        }
        *at = frame->next;
        if (stale) {
            qk_port_frame_destroy(frame);
            continue;
        }
        put(&sheaves[hosted->index], frame);
        if (hosted->index >= count)
            count = hosted->index + 1; /* just opened */
    }
    for (unsigned i = 0; i < count; i++) {
        if (sheaves[i].first != NULL)
            qk_traffic_send(atomic_load(&hosts->list[i]), sheaves[i].first);
    }
    return chain;
}

/* ---- from a host */

struct qk_port_frame *qk_traffic_receive(struct qk_hosted *hosted, unsigned max, int *ret_n)
{
    struct qk_port_frame *chain = NULL;
    const char *text;
    struct qk_run *run = hosted->run;
    *ret_n = 0;
    if (run == NULL || run->broken)
        return NULL;
    int n = qk_channel_receive(run->channel, max, &chain, &text);
    *ret_n = n > 0 ? n : 0;
    if (n < 0) {
        run->broken = true;
        snprintf(run->why, sizeof(run->why), "it broke the rules of its ring: %s", *text != 0 ? text : "no memory");
        syscall(SYS_pidfd_send_signal, run->pidfd, SIGKILL, NULL, 0);
    }
    return chain;
}

static const struct qk_type *own_type(const struct qk_hosted *hosted, uint64_t type_id)
{
    const struct qk_plugin *plugin = hosted->shadow.plugin;
    for (uint64_t i = 0; plugin != NULL && i < plugin->n_types; i++) {
        if (plugin->types[i]->id == type_id)
            return plugin->types[i];
    }
    return NULL;
}

static void log_line(struct qk_hosted *hosted, const struct qk_port_frame *frame)
{
    const struct qk_hosts_config *config = &hosted->hosts->config;
    const struct qk_type *type = own_type(hosted, frame->type_id);
    char key[QK_KEY_MAX + 1], text[QK_FLAT_TEXT_MAX + 1];
    memcpy(key, qk_port_frame_key(frame), frame->key_len);
    key[frame->key_len] = 0;
    memcpy(text, qk_port_frame_text(frame), frame->text_len);
    text[frame->text_len] = 0;
    bool known = frame->method_id >= QK_LOG_ERROR && frame->method_id <= QK_LOG_DEBUG;
    enum qk_log_level level = known ? (enum qk_log_level)frame->method_id : QK_LOG_NOTICE;
    const char *code = frame->status == QK_PORT_LOG_STALL ? "QK0610" : NULL;
    config->log(config->arg, level, code, type != NULL ? type->name : NULL, key, frame->request_id, text);
}

/* Whether a frame is to be handed on; what is for this folder alone is dealt with. */
static bool is_for_others(struct qk_hosted *hosted, struct qk_port_frame *frame)
{
    unsigned starting = QK_HOSTED_STARTING;
    switch (frame->kind) {
    case QK_PORT_LOG:
        log_line(hosted, frame);
        return false;
    case QK_PORT_READY: /* of a process that was started again: it is the same plugin */
        atomic_compare_exchange_strong(&hosted->state, &starting, QK_HOSTED_RUNNING);
        return false;
    case QK_PORT_REFUSE:
        return false; /* it ends by itself, and that is told */
    default:
        return true;
    }
}

/* Whether a call is in the name of an actor of the plugin: others may trust who they are called by. */
static bool is_signed(const struct qk_hosted *hosted, const struct qk_port_frame *frame)
{
    const struct qk_plugin *plugin = hosted->shadow.plugin;
    const char *sender = qk_port_frame_sender(frame), *slash = frame->sender_len != 0 ? strchr(sender, '/') : NULL;
    for (uint64_t i = 0; slash != NULL && plugin != NULL && i < plugin->n_types; i++) {
        const char *name = plugin->types[i]->name;
        if (strlen(name) == (size_t)(slash - sender) && memcmp(name, sender, (size_t)(slash - sender)) == 0)
            return true;
    }
    return false;
}

/* A recording shows whose actors the callee has called in turn, which is for administrators. */
static bool asks_for_recording(const struct qk_port_frame *frame)
{
    struct qk_context_reader r = {qk_port_frame_context(frame), qk_port_frame_context(frame) + frame->context_len};
    struct qk_context_item item;
    bool asks = false;
    while (qk_context_next(&r, &item) > 0)
        asks = item.kind == QK_CONTEXT_RECORD ? item.flag : asks; /* the last one counts, as everywhere */
    return asks;
}

/* Why what a host asks is not asked of others in the silo's name; NULL: it is. */
static const char *what_is_wrong(const struct qk_hosted *hosted, const struct qk_port_frame *frame)
{
    if (frame->kind == QK_PORT_STORE && own_type(hosted, frame->type_id) == NULL)
        return "the actor type is not of this plugin"; /* not even whether there is such state */
    if (frame->kind != QK_PORT_CALL && frame->kind != QK_PORT_SEND)
        return NULL;
    if (!is_signed(hosted, frame))
        return "the call is not in the name of an actor of this plugin";
    return asks_for_recording(frame) ? "a plugin can't have a call recorded" : NULL;
}

void qk_traffic_pass(struct qk_hosted *hosted, struct qk_port_frame *chain)
{
    const struct qk_hosts_config *config = &hosted->hosts->config;
    struct qk_port_frame **at = &chain;
    while (*at != NULL) {
        struct qk_port_frame *frame = *at;
        const char *wrong = what_is_wrong(hosted, frame);
        if (wrong != NULL) {
            struct qk_port_frame *next = frame->next;
            *at = qk_flat_answer(frame, QK_EINVALID, wrong, false);
            (*at)->next = next;
            at = &(*at)->next;
            continue;
        }
        if (is_for_others(hosted, frame)) {
            at = &frame->next;
            continue;
        }
        *at = frame->next;
        qk_port_frame_destroy(frame);
    }
    if (chain != NULL)
        config->route(config->arg, chain);
}

/* ---- the poller */

int qk_hosts_poll(struct qk_hosts *hosts)
{
    int all = 0;
    unsigned count = atomic_load_explicit(&hosts->count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        struct qk_hosted *hosted = atomic_load_explicit(&hosts->list[i], memory_order_acquire);
        struct qk_port_frame *chain = NULL;
        int n = 0;
        if (pthread_mutex_trylock(&hosted->read_lock) != 0)
            continue;
        if (hosted->run != NULL && !qk_channel_is_idle(hosted->run->channel))
            chain = qk_traffic_receive(hosted, FRAMES_MAX, &n);
        pthread_mutex_unlock(&hosted->read_lock);
        if (chain != NULL)
            qk_traffic_pass(hosted, chain);
        all += n;
    }
    return all;
}

bool qk_hosts_doze(struct qk_hosts *hosts)
{
    bool may_sleep = true;
    unsigned count = atomic_load_explicit(&hosts->count, memory_order_acquire);
    for (unsigned i = 0; i < count && may_sleep; i++) {
        struct qk_hosted *hosted = atomic_load_explicit(&hosts->list[i], memory_order_acquire);
        if (pthread_mutex_trylock(&hosted->read_lock) != 0)
            return false;
        if (hosted->run != NULL && !hosted->run->broken)
            may_sleep = qk_ring_doze(&hosted->run->pair.in);
        pthread_mutex_unlock(&hosted->read_lock);
    }
    return may_sleep;
}

void qk_hosts_rouse(struct qk_hosts *hosts)
{
    unsigned count = atomic_load_explicit(&hosts->count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++) {
        struct qk_hosted *hosted = atomic_load_explicit(&hosts->list[i], memory_order_acquire);
        if (pthread_mutex_trylock(&hosted->read_lock) != 0)
            continue;
        if (hosted->run != NULL)
            qk_ring_rouse(&hosted->run->pair.in);
        pthread_mutex_unlock(&hosted->read_lock);
    }
}

bool qk_hosts_expect(struct qk_hosts *hosts)
{
    bool expects = false;
    unsigned count = atomic_load_explicit(&hosts->count, memory_order_acquire);
    for (unsigned i = 0; i < count && !expects; i++) {
        struct qk_hosted *hosted = atomic_load_explicit(&hosts->list[i], memory_order_acquire);
        if (pthread_mutex_trylock(&hosted->read_lock) != 0)
            return true; /* somebody looks there right now */
        expects = hosted->run != NULL && qk_channel_pending(hosted->run->channel) != 0;
        pthread_mutex_unlock(&hosted->read_lock);
    }
    return expects;
}
