/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which actors bring a process down. Each time it ends unasked, the turn that did it counts two against its actor;
 * where none says that it did (a kill, a violation), each turn that was under way counts one. At six an actor is in
 * quarantine: calls to it are refused for a while, so that its neighbours live.
 *
 * Whose turns they were the process has written down itself. It may lie; but only actors of its own plugin are
 * believed.
 */
#include "hosts/internal.h"

#include <stdio.h>
#include <string.h>
#include "loop/clock.h"

#define SCORE_MAX     6
#define FORGET_NS     (INT64_C(600) * 1000000000) /* after so long without another end an actor is as good as any */
#define QUARANTINE_NS (INT64_C(600) * 1000000000)

static const struct qk_type *find_type(const struct qk_hosted *hosted, uint64_t type_id)
{
    const struct qk_plugin *plugin = hosted->shadow.plugin;
    for (uint64_t i = 0; plugin != NULL && i < plugin->n_types; i++) {
        if (plugin->types[i]->id == type_id)
            return plugin->types[i];
    }
    return NULL;
}

static const char *method_name(const struct qk_type *type, const struct qk_port_note *note)
{
    static const char *const hooks[] = {[QK_PORT_HOOK_ACTIVATE] = "on_activate",
                                        [QK_PORT_HOOK_DEACTIVATE] = "on_deactivate",
                                        [QK_PORT_HOOK_NOTICE] = "a notice"};
    if (note->hook >= QK_PORT_HOOK_ACTIVATE && note->hook <= QK_PORT_HOOK_NOTICE)
        return hooks[note->hook];
    for (uint32_t i = 0; i < type->n_methods; i++) {
        if (type->methods[i].id == note->method_id)
            return type->methods[i].name;
    }
    return "a method";
}

/* The place of an actor, a new one where it has none; the least suspicious makes room. Under the lock. */
static struct qk_suspect *place_of(struct qk_blame *blame, const struct qk_port_note *note, int64_t now_ns)
{
    struct qk_suspect *least = &blame->suspects[0];
    for (uint32_t i = 0; i < blame->n; i++) {
        struct qk_suspect *s = &blame->suspects[i];
        if (s->type_id == note->type_id && s->key_len == note->key_len && memcmp(s->key, note->key, s->key_len) == 0) {
            if (now_ns - s->last_ns > FORGET_NS)
                s->score = 0;
            return s;
        }
        if (s->until_ns == 0 && (least->until_ns != 0 || s->score < least->score))
            least = s;
    }
    if (blame->n < QK_BLAME_ACTORS)
        least = &blame->suspects[blame->n++];
    else if (least->until_ns != 0)
        atomic_fetch_sub(&blame->quarantined, 1);
    *least = (struct qk_suspect){.type_id = note->type_id, .key_len = note->key_len};
    memcpy(least->key, note->key, note->key_len);
    return least;
}

static void accuse(struct qk_hosted *hosted, const struct qk_type *type, const struct qk_port_note *note,
                   uint32_t weight)
{
    struct qk_blame *blame = &hosted->blame;
    int64_t now_ns = qk_clock_now_ns(NULL);
    pthread_mutex_lock(&blame->lock);
    struct qk_suspect *s = place_of(blame, note, now_ns);
    s->score += weight;
    s->last_ns = now_ns;
    bool now_in = s->score >= SCORE_MAX && s->until_ns == 0;
    if (s->score >= SCORE_MAX)
        s->until_ns = now_ns + QUARANTINE_NS;
    if (now_in)
        atomic_fetch_add(&blame->quarantined, 1);
    pthread_mutex_unlock(&blame->lock);
    if (!now_in)
        return;
    char key[QK_KEY_MAX + 1], text[QK_KEY_MAX + 512];
    memcpy(key, note->key, note->key_len);
    key[note->key_len] = 0;
    snprintf(text, sizeof(text),
             "in quarantine for %d minutes: its turns have brought down the process of plugin %s again and again",
             (int)(QUARANTINE_NS / 60000000000), hosted->name);
    hosted->hosts->config.log(hosted->hosts->config.arg, QK_LOG_ERROR, "QK0642", type->name, key, 0, text);
}

/* One note, copied before it is looked at; false where it names no actor of the plugin. */
static bool read_note(const struct qk_hosted *hosted, const struct qk_board *board, unsigned i,
                      struct qk_port_note *ret_note, const struct qk_type **ret_type)
{
    memcpy(ret_note, &board->workers[i].note, sizeof(*ret_note));
    __asm__ volatile("" ::: "memory");
    if (ret_note->key_len == 0 || ret_note->key_len > QK_KEY_MAX)
        return false;
    uint32_t turn = atomic_load(&ret_note->turn);
    *ret_type = turn == QK_PORT_TURN_RUNS || turn == QK_PORT_TURN_CRASHES ? find_type(hosted, ret_note->type_id) : NULL;
    return *ret_type != NULL;
}

void qk_blame_note(struct qk_hosted *hosted, const struct qk_board *board, bool asked, char *ret_text, size_t size)
{
    struct qk_port_note note;
    const struct qk_type *type;
    bool certain = false;
    *ret_text = 0;
    for (int pass = 0; pass < 2 && !certain; pass++) {
        for (unsigned i = 0; i < QK_BOARD_WORKERS_MAX; i++) {
            if (!read_note(hosted, board, i, &note, &type))
                continue;
            bool did = atomic_load(&note.turn) == QK_PORT_TURN_CRASHES;
            if (did != (pass == 0))
                continue;
            certain = certain || did;
            if (*ret_text == 0)
                snprintf(ret_text, size, "%s of %s/%.*s", method_name(type, &note), type->name,
                         (int)(note.key_len < 100 ? note.key_len : 100), note.key);
            if (!asked)
                accuse(hosted, type, &note, did ? 2 : 1);
        }
    }
}

bool qk_blame_refuses(struct qk_hosted *hosted, const struct qk_port_frame *frame, char *ret_text, size_t size)
{
    struct qk_blame *blame = &hosted->blame;
    bool refuses = false;
    if (atomic_load_explicit(&blame->quarantined, memory_order_relaxed) == 0)
        return false;
    int64_t now_ns = qk_clock_now_ns(NULL);
    pthread_mutex_lock(&blame->lock);
    for (uint32_t i = 0; i < blame->n; i++) {
        struct qk_suspect *s = &blame->suspects[i];
        if (s->until_ns == 0 || s->type_id != frame->type_id || s->key_len != frame->key_len ||
            memcmp(s->key, qk_port_frame_key(frame), s->key_len) != 0)
            continue;
        refuses = now_ns < s->until_ns;
        if (refuses) {
            snprintf(ret_text, size,
                     "the actor is in quarantine for another %lld s: its turns have brought down its process again "
                     "and again",
                     (long long)((s->until_ns - now_ns) / 1000000000));
        } else {
            s->until_ns = 0;
            s->score = SCORE_MAX - 2; /* one more, and it is back */
            atomic_fetch_sub(&blame->quarantined, 1);
        }
        break;
    }
    pthread_mutex_unlock(&blame->lock);
    return refuses;
}
