/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the silo says of itself to administrators. Any thread. */
#ifndef QK_SILO_ANSWERS_H
#define QK_SILO_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <admin.pb-c.h>

struct qk_port_frame;
struct qk_silo;

/* Answers a request that the silo answers alone and at once. 0 and a serialised AdminReply made with malloc, or a
 * status and a text. */
int qk_silo_answer(struct qk_silo *silo, const Quark__Admin__AdminRequest *request, uint8_t **ret_reply,
                   size_t *ret_size, const char **ret_text);

/* The reply to a request to deactivate. 0 or QK_ENOMEMORY. */
int qk_silo_answer_deactivate(bool was_active, uint8_t **ret_reply, size_t *ret_size);

/* Has the store of an actor read its journal; the answer comes later (events.c). Owns `request`. The control thread. */
void qk_silo_begin_events(struct qk_silo *silo, struct qk_port_frame *request, const Quark__Admin__EventsRequest *what);

/* Whether an actor type of that name is registered. */
bool qk_silo_has_type(struct qk_silo *silo, const char *name);

/* ---- gather.c */

#define QK_SILO_GATHERING ((uintptr_t)3) /* in the origin of what is asked for it */

/* Asks the processes of plugins for their actors too, and answers the request when all have; `own`, made with malloc,
 * is the reply without theirs. False without memory, and nothing has happened. */
bool qk_silo_gather(struct qk_silo *silo, struct qk_port_frame *request, const Quark__Admin__ActorsRequest *what,
                    uint8_t *own, size_t own_size);

/* One of them has answered; takes the frame. Any thread. */
struct qk_gathering;
void qk_silo_gathered(struct qk_gathering *gathering, struct qk_port_frame *part);

#endif
