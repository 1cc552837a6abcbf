/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching: an activation keeps the names of the actors that watch it, and tells those of them that are active when it
 * fails or ends. Notices, those of failed children too, are messages whose turns no method handles; they come from
 * activations that are bounded in number, so they need no room in the mailbox.
 */
#include "runtime/frames.h"
#include "runtime/supervise.h"

#include <stdlib.h>

struct qk_watcher {
    struct qk_watcher *next;
    struct qk_rt_type *type;
    uint32_t key_len;
    char key[];
};

struct qk_msg *qk_notice_create(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len,
                                size_t text_size)
{
    struct qk_msg *msg = qk_msg_create(w, QK_MSG_NOTICE, sizeof(struct qk_notice) + key_len + 1 + text_size);
    if (msg == NULL)
        return NULL;
    struct qk_notice *n = msg->notice = qk_msg_extra(msg);
    char *bytes = (char *)(n + 1);
    memcpy(bytes, key, key_len);
    bytes[key_len] = '\0';
    msg->type = type;
    msg->method = NULL;
    msg->sender = "";
    msg->request_id = 0;
    msg->sent_ns = w->now_ns;
    msg->deadline_ns = w->now_ns + (int64_t)w->rt->config.default_timeout_ms * 1000000;
    return msg;
}

void qk_notice_post(struct qk_worker *w, struct qk_act *to, struct qk_msg *msg)
{
    enum qk_push pushed = qk_act_push(to, msg, QK_MAILBOX_COUNT_MAX);
    if (pushed == QK_PUSHED_SCHEDULE)
        qk_worker_schedule(w, to, false);
    else if (pushed != QK_PUSHED)
        qk_msg_destroy(w, msg);
}

static bool is(const struct qk_watcher *watcher, const struct qk_act *act)
{
    return qk_act_is(act, watcher->type, watcher->key, watcher->key_len);
}

/* Tells one actor, if it is active. */
static void tell(struct qk_worker *w, struct qk_act *to, struct qk_rt_type *type, const char *key, uint32_t key_len,
                 enum qk_watch_what what, int status, const char *text)
{
    size_t text_size = strlen(text) + 1;
    struct qk_msg *msg = qk_notice_create(w, type, key, key_len, text_size);
    if (msg == NULL) {
        qk_runtime_log(w->rt, QK_LOG_WARNING, to, 0,
                       "out of memory: it is not told what became of an actor it watches");
        return;
    }
    struct qk_notice *n = msg->notice;
    char *bytes = (char *)(n + 1);
    n->serial = 0;
    n->event = (struct qk_watch_event){.abi = QK_ABI_HEAD(struct qk_watch_event),
                                       .type_id = type->id,
                                       .type = type->desc->name,
                                       .ref = {bytes, key_len},
                                       .what = what,
                                       .status = status,
                                       .text = memcpy(bytes + key_len + 1, text, text_size)};
    qk_notice_post(w, to, msg);
}

static void tell_of(struct qk_worker *w, const struct qk_watcher *watcher, const struct qk_act *act,
                    enum qk_watch_what what)
{
    const struct qk_extras *x = qk_act_extras(act);
    bool failed = what == QK_WATCH_FAILED;
    struct qk_act *to = qk_act_locate(w, watcher->type, watcher->key, watcher->key_len, false);
    if (to != NULL)
        tell(w, to, act->type, qk_act_key(act), act->key_len, what, failed ? x->status : 0,
             failed && x->text != NULL ? x->text : "");
}

void qk_watchers_tell(struct qk_worker *w, struct qk_act *act, enum qk_watch_what what)
{
    struct qk_extras *x = qk_act_extras(act);
    qk_spin_lock(&w->rt->super_lock);
    for (struct qk_watcher *each = x->watchers; each != NULL; each = each->next)
        tell_of(w, each, act, what);
    if (what == QK_WATCH_ENDED)
        qk_watchers_finish(x);
    qk_spin_unlock(&w->rt->super_lock);
}

void qk_watchers_finish(struct qk_extras *extras)
{
    while (extras->watchers != NULL) {
        struct qk_watcher *next = extras->watchers->next;
        free(extras->watchers);
        extras->watchers = next;
    }
}

/* Adds a watcher that is not there yet, and owns it then. Under the lock. */
static int add(struct qk_extras *x, struct qk_watcher *watcher, const struct qk_act *self)
{
    struct qk_watcher **last = &x->watchers;
    for (; *last != NULL; last = &(*last)->next) {
        if (is(*last, self))
            return QK_EEXISTS;
    }
    if (x->n_watchers >= QK_WATCHERS_MAX)
        return QK_EOVERLOADED;
    x->n_watchers++;
    *last = watcher;
    return 0;
}

int qk_super_watch(struct qk_turn_state *t, uint64_t type_id, struct qk_ref who, const char **ret_why)
{
    struct qk_worker *w = t->worker;
    const struct qk_act *self = t->act;
    struct qk_rt_type *type = qk_types_find(&w->rt->types, type_id);
    *ret_why = "no plugin that is loaded has this actor type";
    if (type == NULL && qk_remote_has_type(w->rt, type_id)) {
        *ret_why = "its plugin runs in another process: an actor can't watch one there";
        return QK_EINVALID;
    }
    if (type == NULL)
        return QK_ENOTFOUND;
    *ret_why = "a key has 1 to 512 bytes, and no actor watches itself";
    if (who.key == NULL || who.key_len == 0 || who.key_len > QK_KEY_MAX || qk_act_is(self, type, who.key, who.key_len))
        return QK_EINVALID;
    *ret_why = "the actor's type has no on_watched";
    if (self->type->desc->on_watched == NULL)
        return QK_ESTATE;
    *ret_why = "out of memory";
    struct qk_watcher *watcher = malloc(sizeof(*watcher) + self->key_len);
    if (watcher == NULL)
        return QK_ENOMEMORY;
    *watcher = (struct qk_watcher){.type = self->type, .key_len = self->key_len};
    memcpy(watcher->key, qk_act_key(self), self->key_len);
    struct qk_act *act = qk_act_locate(w, type, who.key, who.key_len, false);
    struct qk_extras *x = act != NULL ? qk_act_need_extras(act) : NULL;
    int rc = act != NULL && x == NULL ? QK_ENOMEMORY : QK_ESTATE;
    if (x != NULL) {
        qk_spin_lock(&w->rt->super_lock);
        if (!x->gone)
            rc = add(x, watcher, self);
        qk_spin_unlock(&w->rt->super_lock);
    }
    if (rc < 0)
        free(watcher);
    if (rc == QK_ESTATE) { /* it is not active */
        tell(w, t->act, type, who.key, who.key_len, QK_WATCH_ABSENT, 0, "");
        return 0;
    }
    if (rc == QK_EOVERLOADED)
        *ret_why = "1,024 actors watch it already";
    return rc == QK_EEXISTS ? 0 : rc;
}

int qk_super_unwatch(struct qk_turn_state *t, uint64_t type_id, struct qk_ref who)
{
    struct qk_worker *w = t->worker;
    struct qk_rt_type *type = qk_types_find(&w->rt->types, type_id);
    bool named = type != NULL && who.key != NULL && who.key_len > 0 && who.key_len <= QK_KEY_MAX;
    struct qk_act *act = named ? qk_act_locate(w, type, who.key, who.key_len, false) : NULL;
    struct qk_extras *x = act != NULL ? qk_act_extras(act) : NULL;
    struct qk_watcher *found = NULL;
    if (x == NULL)
        return QK_ENOTFOUND;
    qk_spin_lock(&w->rt->super_lock);
    for (struct qk_watcher **at = &x->watchers; *at != NULL && found == NULL; at = &(*at)->next) {
        if (is(*at, t->act)) {
            found = *at;
            *at = found->next;
            x->n_watchers--;
            break;
        }
    }
    qk_spin_unlock(&w->rt->super_lock);
    free(found);
    return found != NULL ? 0 : QK_ENOTFOUND;
}
