/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The port: the one message channel between a runtime and the silo.
 *
 * In the process a port is two functions: qk_runtime_submit() takes frames in, and the `deliver` function of the
 * runtime's configuration takes them out. Frames are passed as chains, so that one hand-over serves many of them.
 */
#ifndef QK_RUNTIME_PORT_H
#define QK_RUNTIME_PORT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum qk_port_kind {
    /* in: a call from outside; out: of an actor to one that another runtime has. Answered by exactly one QK_PORT_REPLY,
     * whatever comes of it. */
    QK_PORT_CALL = 1,
    QK_PORT_SEND = 2,   /* likewise, one way; answered by one QK_PORT_REPLY once it is in the mailbox or refused */
    QK_PORT_REPLY = 3,  /* the other way. `origin` and `call_id` come back as they were */
    QK_PORT_CANCEL = 4, /* nobody waits for (origin, call_id) any more; call_id 0 (in only): for none of the calls of
                         * the origin, which makes no more. Their turns learn of it; each reply is still delivered */
    QK_PORT_DEACTIVATE = 5, /* in: end the activation; answered by one QK_PORT_REPLY */
    QK_PORT_STORE = 6,  /* out: an operation on stored state; answered by one QK_PORT_STORED, whatever comes of it */
    QK_PORT_STORED = 7, /* in: the answer. `origin` and `call_id` come back as they were */

    /* Between a silo and the main thread of a host, above the runtime. */
    QK_PORT_QUERY = 8, /* to the host: a quark.admin.AdminRequest; answered by one QK_PORT_REPLY with an AdminReply */
    QK_PORT_LOG =
        9, /* to the silo: a line of an actor's (type_id, key) or of the host's own (type_id 0). `method_id`
            * is its level, `status` 0 or QK_PORT_LOG_STALL: the host's word on a turn that holds its thread */
    QK_PORT_SETUP = 10,  /* to the host, the first: a quark.host.Setup */
    QK_PORT_READY = 11,  /* to the silo: a quark.host.Manifest. Actors can be called */
    QK_PORT_REFUSE = 12, /* to the silo: the plugin can't be loaded; the text says why, the key is the code */
    QK_PORT_DRAIN = 13,  /* to the host: it refuses new calls */
    QK_PORT_STOP = 14,   /* to the host: it deactivates everything until the deadline, and ends */
    QK_PORT_KINDS,
};

/* What a QK_PORT_STORE asks for, of the actor that type_id and the key name. */
enum qk_port_store {
    QK_STORE_READ = 1,  /* answer: payload and version; version 0 when nothing is stored */
    QK_STORE_WRITE = 2, /* the payload, if `version` is what is stored (0: nothing); answer: the new version */
    QK_STORE_CLEAR = 3, /* if `version` is what is stored; answer: version 0 */
    /* The payload's `count` events, all or none, if `version` is the last position (0: none); answer: the new one. */
    QK_STORE_APPEND = 4,
    /* Up to `count` events behind position `version`, no more than QK_PAGE_BYTES_MAX of them but for the first. Answer:
     * they are the payload, `count` of them; `more` where there are further ones. */
    QK_STORE_REPLAY = 5,
};

/* One frame in memory: fixed part, then key, text, payload, context, sender and chain in one block. Owned by whoever
 * holds it. */
struct qk_port_frame {
    struct qk_port_frame *next;
    enum qk_port_kind kind;
    int32_t status;   /* reply: as the handler returned */
    void *origin;     /* of who asks (the silo; of QK_PORT_STORE the runtime); comes back untouched in the answer */
    uint64_t call_id; /* likewise */
    uint64_t type_id;
    uint64_t request_id; /* 0: none yet */
    int64_t deadline_ns; /* on the runtime's clock; 0: the method's or the silo's default */
    uint64_t version; /* of stored state: the one expected, in the answer the one now stored, also after a conflict */
    uint32_t store;   /* enum qk_port_store */
    uint32_t count;   /* of events, at most QK_EVENTS_MAX */
    uint32_t more;    /* answer to a replay */
    uint32_t method_id;
    uint32_t may_have_run; /* reply */
    uint32_t key_len;
    uint32_t text_len;
    uint32_t payload_len;
    uint32_t context_len; /* call, send: of a quark.wire.Context; reply: of a quark.wire.Spans; 0: none */
    uint32_t sender_len;  /* call, send of an actor: "type/key" of the caller and the zero behind it; 0: a client */
    uint32_t chain_len;   /* likewise: how many activations wait for this call. Their hashes have eight bytes each */
    uint32_t capacity;    /* bytes that fit at `bytes` */
    uint8_t bytes[];      /* key, text, payload, context, sender, chain, without gaps */
};

/* What a worker is doing, where somebody can read it who outlives the process. */
enum qk_port_turn {
    QK_PORT_TURN_NONE = 0,
    QK_PORT_TURN_RUNS = 1,
    QK_PORT_TURN_CRASHES = 2, /* this one brings the process down: a signal handler says so */
};

enum qk_port_hook {
    QK_PORT_HOOK_NONE = 0, /* a method */
    QK_PORT_HOOK_ACTIVATE,
    QK_PORT_HOOK_DEACTIVATE,
    QK_PORT_HOOK_NOTICE, /* on_child_failure, on_watched */
};

#define QK_PORT_KEY_MAX 512

#define QK_PORT_LOG_STALL 1

struct qk_port_note {
    _Atomic uint32_t turn; /* enum qk_port_turn; written last, taken back first */
    uint32_t hook;         /* enum qk_port_hook */
    uint32_t method_id;
    uint32_t key_len;
    uint64_t type_id;
    char key[QK_PORT_KEY_MAX];
};

/* A frame with room for `capacity` bytes, all lengths 0; NULL without memory. Any thread. */
struct qk_port_frame *qk_port_frame_create(size_t capacity);

/* Frees one frame; NULL is fine. Any thread. */
void qk_port_frame_destroy(struct qk_port_frame *frame);

static inline const char *qk_port_frame_key(const struct qk_port_frame *f)
{
    return (const char *)f->bytes;
}

static inline const char *qk_port_frame_text(const struct qk_port_frame *f)
{
    return (const char *)f->bytes + f->key_len;
}

static inline const uint8_t *qk_port_frame_payload(const struct qk_port_frame *f)
{
    return f->bytes + f->key_len + f->text_len;
}

static inline const uint8_t *qk_port_frame_context(const struct qk_port_frame *f)
{
    return qk_port_frame_payload(f) + f->payload_len;
}

static inline const char *qk_port_frame_sender(const struct qk_port_frame *f)
{
    return (const char *)qk_port_frame_context(f) + f->context_len;
}

/* Not aligned. */
static inline const uint8_t *qk_port_frame_chain(const struct qk_port_frame *f)
{
    return (const uint8_t *)qk_port_frame_sender(f) + f->sender_len;
}

static inline size_t qk_port_frame_size(const struct qk_port_frame *f)
{
    return (size_t)f->key_len + f->text_len + f->payload_len + f->context_len + f->sender_len +
           (size_t)f->chain_len * sizeof(uint64_t);
}

/* ---- events in a payload: one after another, each behind a head */

struct qk_port_event {
    uint64_t position; /* 0 of one that is to be appended */
    uint32_t size;
    uint32_t reserved;
};

/* Writes the head of an event of `size` bytes; where these bytes go. */
uint8_t *qk_port_event_put(uint8_t *at, uint64_t position, uint32_t size);

/* Steps over the event at *at, which the payload has up to `end`; its bytes, or NULL where there is none. */
const uint8_t *qk_port_event_next(const uint8_t **at, const uint8_t *end, struct qk_port_event *ret_event);

/*
 * ---- snapshots of states that are made of events
 *
 * The state as it is packed, and in front of it, as a field of the number that is the last there is, the position of
 * the last event in it. So the whole is still a message of the state's type, and what was saved before the type had
 * events is a snapshot of position 0.
 */
#define QK_SNAPSHOT_HEAD 13 /* bytes of that field */

void qk_port_snapshot_put(uint8_t head[QK_SNAPSHOT_HEAD], uint64_t position);

/* How many bytes stand in front of the state: QK_SNAPSHOT_HEAD or 0; and its position. */
size_t qk_port_snapshot_head(const uint8_t *bytes, size_t size, uint64_t *ret_position);

#endif
