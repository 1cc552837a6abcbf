/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The silo's side of the gateway in a test: takes what comes in and answers when the test says so. */
#ifndef SIDE_H
#define SIDE_H

#include "gateway/gateway.h"
#include "peer.h"

/* What has come in so far, and what the gateway stands on; a test may change `config` before side_create(). */
struct side {
    char dir[64], path[100];
    struct qk_loop *loop;
    struct qk_gateway *gw;
    struct qk_gateway_config config;
    struct qk_port_frame *calls, **calls_last, *admins;
    unsigned n_calls, n_chains, n_cancels, n_lines;
    uint64_t last_cancel;
    char last_code[16];
};
extern struct side side;

/* The fixture of every case. */
void side_setup(void);
void side_teardown(void);

/* Makes the gateway, as `config` says. */
void side_create(void);

/* Lets the gateway go on for a moment; waits until so many calls have come, or clients are there. */
void side_pump(void *arg);
void side_wait_for_calls(unsigned n);
void side_wait_for_clients(uint32_t n);

/* The oldest call that came; its reply, with `payload_len` bytes, which takes the call. */
struct qk_port_frame *side_take_call(void);
struct qk_port_frame *side_to_reply(struct qk_port_frame *call, int status, const char *text, size_t payload_len);

/* Answers the oldest call, or every one, the latter in one chain. */
void side_answer(int status, const char *text, size_t payload_len);
void side_answer_all(void);

struct qk_gateway_stats side_stats(void);

/* A client that has been greeted; a call of its. */
void side_open_peer(struct peer *p);
void side_call(struct peer *p, uint64_t id);

#endif
