/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scripted silo of the client's tests. */
#include "silo.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "internal.h"
#include "wire/check.h"

/* Checks on the script's thread can't use Check, which would jump out of the wrong stack. */
#define MUST(condition)                                                                     \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "%s:%d: the silo wants: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

void silo_open(struct silo *silo)
{
    *silo = (struct silo){.listen_fd = -1, .fd = -1, .now_ms = 1000};
    strcpy(silo->dir, "/tmp/quark-client-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(silo->dir));
    snprintf(silo->path, sizeof(silo->path), "%s/socket", silo->dir);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", silo->path);
    silo->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(silo->listen_fd, 0);
    ck_assert_int_eq(bind(silo->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(silo->listen_fd, 16), 0);
}

void silo_close(struct silo *silo)
{
    silo_hang_up(silo);
    if (silo->listen_fd >= 0)
        close(silo->listen_fd);
    unlink(silo->path);
    rmdir(silo->dir);
}

static int64_t clock_of(void *arg)
{
    return ((struct silo *)arg)->now_ms;
}

struct qk_client *silo_client(struct silo *silo)
{
    struct qk_client_options options;
    qk_client_options_init(&options);
    options.socket_path = silo->path;
    options.name = "test";
    struct qk_client *client;
    ck_assert_int_eq(qk_client_create(&options, &client), 0);
    qk_client_set_clock(client, clock_of, silo);
    return client;
}

struct qk_client *silo_connected(struct silo *silo)
{
    struct qk_client *client = silo_client(silo);
    silo_run(silo, silo_accept);
    int rc = qk_client_connect(client);
    silo_join(silo);
    ck_assert_msg(rc == 0, "%d: %s", rc, qk_client_error(client));
    return client;
}

static void *run(void *arg)
{
    struct silo *silo = arg;
    silo->script(silo);
    return NULL;
}

void silo_run(struct silo *silo, void (*script)(struct silo *silo))
{
    silo->script = script;
    ck_assert_int_eq(pthread_create(&silo->thread, NULL, run, silo), 0);
}

void silo_join(struct silo *silo)
{
    ck_assert_int_eq(pthread_join(silo->thread, NULL), 0);
}

void silo_accept_silently(struct silo *silo)
{
    silo_hang_up(silo);
    silo->fd = accept4(silo->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    MUST(silo->fd >= 0);
    silo->accepted++;
    struct frame hello;
    MUST(silo_read(silo->fd, &hello));
    MUST(hello.envelope->body_case == QUARK__WIRE__ENVELOPE__BODY_HELLO);
    MUST(hello.envelope->hello->version_major == 1 && hello.envelope->hello->version_minor == 0);
    MUST(strcmp(hello.envelope->hello->name, "test") == 0 && hello.size == 0);
    frame_free(&hello);
}

void silo_accept(struct silo *silo)
{
    silo_accept_silently(silo);
    Quark__Wire__Welcome welcome = QUARK__WIRE__WELCOME__INIT;
    welcome.version_major = 1;
    welcome.silo = (char *)"test-silo";
    welcome.in_flight_max = silo->in_flight_max;
    Quark__Wire__Envelope envelope = QUARK__WIRE__ENVELOPE__INIT;
    envelope.body_case = QUARK__WIRE__ENVELOPE__BODY_WELCOME;
    envelope.welcome = &welcome;
    silo_send(silo->fd, &envelope, NULL, 0);
}

void silo_hang_up(struct silo *silo)
{
    if (silo->fd >= 0)
        close(silo->fd);
    silo->fd = -1;
}

static bool read_all(int fd, uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = read(fd, bytes + at, size - at);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

bool silo_read(int fd, struct frame *ret_frame)
{
    uint32_t sizes[2];
    if (!read_all(fd, (uint8_t *)sizes, sizeof(sizes)))
        return false;
    MUST(sizes[0] >= 1 && sizes[0] <= QK_ENVELOPE_MAX && sizes[1] <= QK_PAYLOAD_MAX);
    uint8_t envelope[QK_ENVELOPE_MAX];
    ret_frame->size = sizes[1];
    ret_frame->payload = malloc(sizes[1] + 1u);
    if (!read_all(fd, envelope, sizes[0]) || !read_all(fd, ret_frame->payload, sizes[1])) {
        free(ret_frame->payload);
        return false;
    }
    MUST(qk_wire_check(&quark__wire__envelope__descriptor, envelope, sizes[0]) >= 0);
    ret_frame->envelope = quark__wire__envelope__unpack(NULL, sizes[0], envelope);
    MUST(ret_frame->envelope != NULL);
    return true;
}

void frame_free(struct frame *frame)
{
    quark__wire__envelope__free_unpacked(frame->envelope, NULL);
    free(frame->payload);
}

size_t frame_bytes(const Quark__Wire__Envelope *envelope, const void *payload, size_t size, uint8_t **ret_bytes)
{
    uint32_t sizes[2] = {(uint32_t)quark__wire__envelope__get_packed_size(envelope), (uint32_t)size};
    uint8_t *bytes = malloc(sizeof(sizes) + sizes[0] + size);
    MUST(bytes != NULL);
    memcpy(bytes, sizes, sizeof(sizes));
    quark__wire__envelope__pack(envelope, bytes + sizeof(sizes));
    if (size != 0)
        memcpy(bytes + sizeof(sizes) + sizes[0], payload, size);
    *ret_bytes = bytes;
    return sizeof(sizes) + sizes[0] + size;
}

size_t reply_bytes(uint64_t id, int32_t status, const char *text, bool may_have_run, const void *payload, size_t size,
                   uint8_t **ret_bytes)
{
    Quark__Wire__Reply reply = QUARK__WIRE__REPLY__INIT;
    reply.id = id;
    reply.status = status;
    reply.text = (char *)text;
    reply.may_have_run = may_have_run;
    Quark__Wire__Envelope envelope = QUARK__WIRE__ENVELOPE__INIT;
    envelope.body_case = QUARK__WIRE__ENVELOPE__BODY_REPLY;
    envelope.reply = &reply;
    return frame_bytes(&envelope, payload, size, ret_bytes);
}

void silo_write(int fd, const void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = send(fd, (const uint8_t *)bytes + at, size - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EPIPE)
            return; /* the client has hung up, which is for the test to judge */
        MUST(n > 0);
        at += (size_t)n;
    }
}

void silo_send(int fd, const Quark__Wire__Envelope *envelope, const void *payload, size_t size)
{
    uint8_t *bytes;
    size_t n = frame_bytes(envelope, payload, size, &bytes);
    silo_write(fd, bytes, n);
    free(bytes);
}

void silo_reply(int fd, uint64_t id, int32_t status, const char *text, bool may_have_run, const void *payload,
                size_t size)
{
    uint8_t *bytes;
    size_t n = reply_bytes(id, status, text, may_have_run, payload, size, &bytes);
    silo_write(fd, bytes, n);
    free(bytes);
}

void silo_go_away(int fd, int32_t status, const char *text)
{
    Quark__Wire__GoAway away = QUARK__WIRE__GO_AWAY__INIT;
    away.status = status;
    away.text = (char *)text;
    Quark__Wire__Envelope envelope = QUARK__WIRE__ENVELOPE__INIT;
    envelope.body_case = QUARK__WIRE__ENVELOPE__BODY_GO_AWAY;
    envelope.go_away = &away;
    silo_send(fd, &envelope, NULL, 0);
}

void silo_echo(struct silo *silo)
{
    silo_accept(silo);
    struct frame f;
    while (silo_read(silo->fd, &f)) {
        if (f.envelope->body_case == QUARK__WIRE__ENVELOPE__BODY_CALL)
            silo_reply(silo->fd, f.envelope->call->id, 0, "", false, f.payload, f.size);
        else if (f.envelope->body_case == QUARK__WIRE__ENVELOPE__BODY_ADMIN)
            silo_reply(silo->fd, f.envelope->admin->id, 0, "", false, f.payload, f.size);
        frame_free(&f);
    }
}

static bool ended;

void silo_end_client(struct qk_client *client)
{
    ended = true;
    qk_client_destroy(client);
    ended = false;
}

void seen_reply(void *arg, const struct qk_reply *reply)
{
    if (ended)
        return;
    struct seen *seen = arg;
    seen->calls++;
    seen->status = reply->status;
    seen->may_have_run = reply->may_have_run;
    seen->size = reply->size;
    seen->first = reply->size != 0 ? reply->data[0] : 0;
    ck_assert_ptr_nonnull(reply->data);
    snprintf(seen->text, sizeof(seen->text), "%s", reply->text);
}

struct qk_call_target target_of(const char *key)
{
    return (struct qk_call_target){.type_id = 0x1122334455667788ull, .method_id = 0x99aabbcc, .ref = qk_ref(key)};
}

void begin(struct qk_client *client, const char *key, struct seen *seen)
{
    struct qk_call_target target = target_of(key);
    int rc = qk_client_begin(client, &target, (const uint8_t *)key, strlen(key), seen_reply, seen);
    ck_assert_msg(rc == 0, "%d: %s", rc, qk_client_error(client));
}

int poll_now(struct qk_client *client)
{
    return qk_client_poll(client, 0);
}
