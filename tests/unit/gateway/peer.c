/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The raw client of the tests. */
#include "peer.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_HEAD 8

void peer_make_dir(char ret_dir[64])
{
    snprintf(ret_dir, 64, "/tmp/quark-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(ret_dir));
}

void peer_remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    ck_assert_ptr_nonnull(d);
    struct dirent *e;
    while ((e = readdir(d)) != NULL)
        unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    rmdir(dir);
}

void peer_open(struct peer *p, const char *path, void (*pump)(void *arg), void *arg)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *p = (struct peer){.pump = pump, .arg = arg};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(p->fd, 0);
    ck_assert_msg(connect(p->fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect: %s", strerror(errno));
}

void peer_close(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->in);
    *p = (struct peer){.fd = -1};
}

static void wait_for(struct peer *p, short events)
{
    struct pollfd fd = {.fd = p->fd, .events = events};
    if (p->pump != NULL) {
        p->pump(p->arg);
        return;
    }
    ck_assert_int_ge(poll(&fd, 1, 60000), 1);
}

bool peer_send(struct peer *p, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size != 0) {
        ssize_t n = send(p->fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            wait_for(p, POLLOUT);
        } else {
            return false;
        }
    }
    return true;
}

static void put32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

size_t peer_frame(uint8_t *to, const Quark__Wire__Envelope *envelope, const void *payload, size_t payload_len)
{
    size_t n = quark__wire__envelope__pack(envelope, to + FRAME_HEAD);
    put32(to, (uint32_t)n);
    put32(to + 4, (uint32_t)payload_len);
    if (payload_len != 0)
        memcpy(to + FRAME_HEAD + n, payload, payload_len);
    return FRAME_HEAD + n + payload_len;
}

static void send_envelope(struct peer *p, const Quark__Wire__Envelope *envelope, const void *payload,
                          size_t payload_len)
{
    uint8_t *frame = malloc(FRAME_HEAD + 8192 + payload_len);
    if (frame == NULL)
        ck_abort_msg("out of memory");
    size_t n = peer_frame(frame, envelope, payload, payload_len);
    peer_send(p, frame, n);
    free(frame);
}

void peer_hello(struct peer *p, uint32_t major)
{
    Quark__Wire__Envelope e = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Hello hello = QUARK__WIRE__HELLO__INIT;
    hello.version_major = major;
    hello.name = (char *)"peer";
    e.body_case = QUARK__WIRE__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    send_envelope(p, &e, NULL, 0);
}

void peer_call(struct peer *p, uint64_t id, uint64_t type_id, uint32_t method_id, const char *key, const void *payload,
               size_t payload_len, bool one_way)
{
    Quark__Wire__Envelope e = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Call call = QUARK__WIRE__CALL__INIT;
    call.id = id;
    call.type_id = type_id;
    call.method_id = method_id;
    call.key.data = (uint8_t *)key;
    call.key.len = strlen(key);
    call.one_way = one_way;
    e.body_case = QUARK__WIRE__ENVELOPE__BODY_CALL;
    e.call = &call;
    send_envelope(p, &e, payload, payload_len);
}

void peer_admin(struct peer *p, uint64_t id, const void *payload, size_t payload_len)
{
    Quark__Wire__Envelope e = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Admin admin = QUARK__WIRE__ADMIN__INIT;
    admin.id = id;
    e.body_case = QUARK__WIRE__ENVELOPE__BODY_ADMIN;
    e.admin = &admin;
    send_envelope(p, &e, payload, payload_len);
}

/* Reads until `need` bytes are there. False at the end of the connection. */
static bool fill(struct peer *p, size_t need)
{
    while (p->in_len < need) {
        if (p->in_cap < need) {
            p->in_cap = need + 4096;
            p->in = realloc(p->in, p->in_cap);
            if (p->in == NULL)
                ck_abort_msg("out of memory");
        }
        ssize_t n = recv(p->fd, p->in + p->in_len, p->in_cap - p->in_len, MSG_DONTWAIT);
        if (n > 0)
            p->in_len += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            wait_for(p, POLLIN);
        else
            return false;
    }
    return true;
}

bool peer_receive(struct peer *p, struct peer_frame *ret_frame)
{
    if (!fill(p, FRAME_HEAD))
        return false;
    size_t n = get32(p->in), payload = get32(p->in + 4);
    if (n > 8192 || payload > 4 << 20)
        ck_abort_msg("a frame out of bounds");
    if (!fill(p, FRAME_HEAD + n + payload))
        return false;
    ret_frame->envelope = quark__wire__envelope__unpack(NULL, n, p->in + FRAME_HEAD);
    ret_frame->payload = malloc(payload + 1);
    if (ret_frame->envelope == NULL || ret_frame->payload == NULL)
        ck_abort_msg("a frame that does not parse");
    memcpy(ret_frame->payload, p->in + FRAME_HEAD + n, payload);
    ret_frame->payload_len = payload;
    p->in_len -= FRAME_HEAD + n + payload;
    memmove(p->in, p->in + FRAME_HEAD + n + payload, p->in_len);
    return true;
}

void peer_free(struct peer_frame *frame)
{
    quark__wire__envelope__free_unpacked(frame->envelope, NULL);
    free(frame->payload);
}

void peer_greet(struct peer *p)
{
    struct peer_frame f;
    peer_hello(p, 1);
    ck_assert(peer_receive(p, &f));
    ck_assert_int_eq(f.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_WELCOME);
    ck_assert_uint_eq(f.envelope->welcome->version_major, 1);
    peer_free(&f);
}

uint64_t peer_reply(struct peer *p, int32_t *ret_status, struct peer_frame *ret_frame)
{
    struct peer_frame f;
    /* Each assertion writes to a file of Check's, even where it holds: many replies come this way. */
    if (!peer_receive(p, &f) || f.envelope->body_case != QUARK__WIRE__ENVELOPE__BODY_REPLY)
        ck_abort_msg("something else than a reply");
    uint64_t id = f.envelope->reply->id;
    *ret_status = f.envelope->reply->status;
    if (ret_frame != NULL)
        *ret_frame = f;
    else
        peer_free(&f);
    return id;
}

void peer_expect_go_away(struct peer *p, int32_t status)
{
    struct peer_frame f;
    ck_assert(peer_receive(p, &f));
    ck_assert_int_eq(f.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_GO_AWAY);
    ck_assert_int_eq(f.envelope->go_away->status, status);
    ck_assert_str_ne(f.envelope->go_away->text, "");
    peer_free(&f);
    peer_expect_end(p);
}

void peer_expect_end(struct peer *p)
{
    struct peer_frame f;
    ck_assert(!peer_receive(p, &f));
}
