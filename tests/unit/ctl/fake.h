/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A client library that answers from what a test has put there, and a run of quarkctl against it. */
#ifndef QK_TESTS_CTL_FAKE_H
#define QK_TESTS_CTL_FAKE_H

#include <admin.pb-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <quark/client.h>

struct fake {
    int connect_status;
    int admin_status;                /* less than 0: of every administrative request */
    Quark__Admin__AdminReply *admin; /* else the answer; NULL: made from the request (see fake.c) */
    const char *error;               /* what qk_client_error() says */
    struct qk_reply reply;           /* of a call */
    struct qk_call_target target;    /* of the last call */
    char key[64];
    uint8_t request[256]; /* of the last call */
    size_t request_size;
    unsigned calls;
    bool record;                        /* qk_client_record() was called */
    const struct qk_client_span *spans; /* that the call caused */
    unsigned n_spans;
    uint64_t left_out;
    int context_status; /* of qk_client_set_context() */
    char context[512];  /* set for all calls: NAME=VALUE; each */
    char socket[256];   /* that was connected to */
};
extern struct fake fake;

/* What a run printed and returned; free it with run_finish(). */
struct run {
    int exit_code;
    char *out;
    char *err;
};

/* Runs quarkctl with these arguments, up to NULL. */
struct run run_ctl(const char *first, ...) __attribute__((sentinel));
void run_finish(struct run *run);

/* Runs, compares, finishes. `out` or `err` NULL: not compared. */
#define expect_run(exit_code_, out_, err_, ...)                       \
    do {                                                              \
        struct run run_ = run_ctl(__VA_ARGS__, NULL);                 \
        if ((out_) != NULL)                                           \
            ck_assert_str_eq(run_.out, (out_) != NULL ? (out_) : ""); \
        if ((err_) != NULL)                                           \
            ck_assert_str_eq(run_.err, (err_) != NULL ? (err_) : ""); \
        ck_assert_int_eq(run_.exit_code, exit_code_);                 \
        run_finish(&run_);                                            \
    } while (0)

/* A fixture: nothing fails, one actor type `every`. */
void fake_setup(void);

#endif
