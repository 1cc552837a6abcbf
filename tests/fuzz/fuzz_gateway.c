/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection to the silo's socket, as a client that says anything. The input is what the client writes; its first two
 * bytes say in which pieces. Calls are answered at once, when they are cancelled, or when the client has said all it
 * will.
 */
#include <errno.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "fuzz.h"
#include "gateway/gateway.h"

#define INPUT_MAX 65536

static struct qk_loop *loop;
static struct qk_gateway *gateway;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static struct qk_port_frame *held; /* calls that are not answered yet */

static void answer(struct qk_port_frame *f)
{
    f->kind = QK_PORT_REPLY;
    f->status = f->method_id % 3 == 0 ? -1001 : 0;
    f->next = NULL;
    qk_gateway_deliver(gateway, f);
}

/* Answers what is held of (origin, call_id); call_id 0: of the origin; origin NULL: all. */
static void answer_held(const void *origin, uint64_t call_id)
{
    struct qk_port_frame **link = &held;
    while (*link != NULL) {
        struct qk_port_frame *f = *link;
        if ((origin == NULL || f->origin == origin) && (call_id == 0 || f->call_id == call_id)) {
            *link = f->next;
            answer(f);
        } else {
            link = &f->next;
        }
    }
}

static void submit(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        HOLDS((size_t)f->key_len + f->text_len + f->payload_len <= f->capacity);
        if (f->kind == QK_PORT_CANCEL) {
            answer_held(f->origin, f->call_id);
            qk_port_frame_destroy(f);
            continue;
        }
        HOLDS(f->kind == QK_PORT_CALL || f->kind == QK_PORT_SEND);
        HOLDS(f->key_len >= 1 && f->key_len <= QK_KEY_MAX);
        if (f->method_id % 2 == 0) {
            f->next = held;
            held = f;
        } else {
            answer(f);
        }
    }
}

static void answer_admin(void *arg, struct qk_port_frame *frame)
{
    (void)arg;
    frame->kind = QK_PORT_REPLY;
    frame->status = 0;
    frame->next = NULL;
    qk_gateway_deliver(gateway, frame);
}

static void on_log(void *arg, enum qk_log_level level, const char *code, const char *text)
{
    (void)arg, (void)level, (void)code;
    HOLDS(text != NULL && strchr(text, '\n') == NULL);
}

static void open_gateway(void)
{
    struct qk_gateway_config config;
    const char *code = NULL;
    char text[256];
    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/quark-fuzz-%d.sock", (int)getpid());
    qk_gateway_config_init(&config);
    config.silo = "fuzzed";
    config.socket_path = address.sun_path;
    config.submit = submit;
    config.admin = answer_admin;
    config.log = on_log;
    HOLDS(qk_loop_create(&loop) == 0);
    HOLDS(qk_gateway_create(&config, loop, &gateway, &code, text, sizeof(text)) == 0);
}

static void close_gateway(void)
{
    HOLDS(qk_gateway_destroy(gateway) == 0);
    qk_loop_destroy(loop);
    unlink(address.sun_path);
}

static void run_loop(void)
{
    while (qk_loop_poll(loop, 0) > 0) {
    }
}

static void drain(int fd)
{
    char bytes[65536];
    while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (gateway == NULL) {
        open_gateway();
        atexit(close_gateway);
    }
    if (size < 2 || size > INPUT_MAX)
        return 0;
    size_t piece = (size_t)data[0] + ((size_t)data[1] << 8) + 1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    HOLDS(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    for (size_t at = 2; at < size;) {
        size_t n = size - at < piece ? size - at : piece;
        ssize_t sent = send(fd, data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        run_loop();
        drain(fd);
        if (sent < 0 && errno != EAGAIN)
            break; /* the gateway has ended the connection */
        at += sent > 0 ? (size_t)sent : 0;
    }
    shutdown(fd, SHUT_WR);
    run_loop();
    answer_held(NULL, 0);
    run_loop();
    drain(fd);
    close(fd);
    run_loop();
    struct qk_gateway_stats stats;
    qk_gateway_get_stats(gateway, &stats);
    HOLDS(stats.clients == 0 && stats.in_flight == 0);
    return 0;
}
