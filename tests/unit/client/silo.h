/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A scripted silo for the client's tests: a Unix socket in a directory of its own, and frames made with protobuf-c.
 *
 * Connecting needs both sides at once, so a thread greets; once the client is connected everything runs on the test's
 * thread, step by step. Tests of functions that wait run a whole script on the thread.
 */
#ifndef SILO_H
#define SILO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wire.pb-c.h>
#include <quark/client.h>

struct silo {
    char dir[64];
    char path[96];
    int listen_fd;
    int fd; /* the last connection accepted */
    pthread_t thread;
    void (*script)(struct silo *silo);
    uint32_t in_flight_max; /* said in the Welcome */
    int64_t now_ms;         /* the client's clock, where the test uses silo_client() */
    int accepted;
};

struct frame {
    Quark__Wire__Envelope *envelope;
    uint8_t *payload;
    size_t size;
};

void silo_open(struct silo *silo);
void silo_close(struct silo *silo);

/* A client of the silo with a clock that the test moves, not connected. */
struct qk_client *silo_client(struct silo *silo);

/* The same, connected; the silo's end is silo->fd. */
struct qk_client *silo_connected(struct silo *silo);

/* Runs a script on the thread; silo_join() waits for its end. */
void silo_run(struct silo *silo, void (*script)(struct silo *silo));
void silo_join(struct silo *silo);

/* For scripts. Each ends the process where the client does what it must not. */
void silo_accept(struct silo *silo); /* accepts, takes the Hello, sends the Welcome */
void silo_accept_silently(struct silo *silo);
void silo_hang_up(struct silo *silo); /* closes silo->fd */

/* The next frame, waiting for it; false at the end of the connection. */
bool silo_read(int fd, struct frame *ret_frame);
void frame_free(struct frame *frame);

/* Bytes of a frame; the caller frees them. */
size_t frame_bytes(const Quark__Wire__Envelope *envelope, const void *payload, size_t size, uint8_t **ret_bytes);
size_t reply_bytes(uint64_t id, int32_t status, const char *text, bool may_have_run, const void *payload, size_t size,
                   uint8_t **ret_bytes);

void silo_write(int fd, const void *bytes, size_t size);
void silo_send(int fd, const Quark__Wire__Envelope *envelope, const void *payload, size_t size);
void silo_reply(int fd, uint64_t id, int32_t status, const char *text, bool may_have_run, const void *payload,
                size_t size);
void silo_go_away(int fd, int32_t status, const char *text);

/* Answers every call with its own payload until the connection ends. */
void silo_echo(struct silo *silo);

/* What the last callback saw, and how many there were. */
struct seen {
    int calls;
    int32_t status;
    bool may_have_run;
    size_t size;
    uint8_t first; /* byte of the payload */
    char text[512];
};
void seen_reply(void *arg, const struct qk_reply *reply);

/* Destroys the client of a test that has ended: its `seen` are gone, so callbacks look at them no more. */
void silo_end_client(struct qk_client *client);

/* The method that most tests call. */
struct qk_call_target target_of(const char *key);

/* Begins a call to `key` that must be accepted. */
void begin(struct qk_client *client, const char *key, struct seen *seen);

/* Polls once without waiting. */
int poll_now(struct qk_client *client);

#endif
