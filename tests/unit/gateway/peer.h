/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client of the socket that says whatever a test wants, right or wrong. Written on the generated messages, and so
 * independent of the code that it tests. */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wire.pb-c.h>

struct peer {
    int fd;
    /* Lets the other side go on for a moment; NULL where it has threads of its own. */
    void (*pump)(void *arg);
    void *arg;
    uint8_t *in; /* bytes read and not yet taken */
    size_t in_len;
    size_t in_cap;
};

/* A frame that came; free it with peer_free(). */
struct peer_frame {
    Quark__Wire__Envelope *envelope;
    uint8_t *payload;
    size_t payload_len;
};

/* A directory for a test's sockets, in `ret_dir`; removed with what is in it by the other. */
void peer_make_dir(char ret_dir[64]);
void peer_remove_dir(const char *dir);

/* Connects. Fails the test where that does. */
void peer_open(struct peer *p, const char *path, void (*pump)(void *arg), void *arg);
void peer_close(struct peer *p);

/* Writes all of the bytes, pumping while the socket is full. False when the other side has closed. */
bool peer_send(struct peer *p, const void *bytes, size_t size);

/* Puts a frame together; returns its size. `to` has room. */
size_t peer_frame(uint8_t *to, const Quark__Wire__Envelope *envelope, const void *payload, size_t payload_len);

/* Send one frame of the kind. */
void peer_hello(struct peer *p, uint32_t major);
void peer_call(struct peer *p, uint64_t id, uint64_t type_id, uint32_t method_id, const char *key, const void *payload,
               size_t payload_len, bool one_way);
void peer_admin(struct peer *p, uint64_t id, const void *payload, size_t payload_len);

/* Waits for the next frame. False at the end of the connection. */
bool peer_receive(struct peer *p, struct peer_frame *ret_frame);
void peer_free(struct peer_frame *frame);

/* Hello, and the Welcome that must follow. */
void peer_greet(struct peer *p);

/* The next frame must be a reply: its id and status. `ret_payload` (may be NULL) gets what it carries, to be freed. */
uint64_t peer_reply(struct peer *p, int32_t *ret_status, struct peer_frame *ret_frame);

/* The next frame must be GoAway with that status, and the connection must end after it. */
void peer_expect_go_away(struct peer *p, int32_t status);
void peer_expect_end(struct peer *p);

#endif
