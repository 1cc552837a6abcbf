/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of actor types (types.c). */
#ifndef QK_RUNTIME_TYPES_H
#define QK_RUNTIME_TYPES_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/limits.h"
#include "runtime/runtime.h"

#define QK_TYPES_MAX 4096

struct qk_filter_set;
struct qk_worker;

enum qk_interleave {
    QK_INTERLEAVE_CHAIN = 1,
    QK_INTERLEAVE_ALWAYS = 2,
    QK_INTERLEAVE_READS = 4,
};

struct qk_rt_method {
    const struct qk_method *desc;
    bool flat_request; /* copying the struct copies the message */
    bool flat_reply;
    uint8_t interleave;       /* enum qk_interleave */
    _Atomic uint32_t mean_ns; /* that a turn holds its thread, until it is suspended; 0: less than QK_SLOW_NS */
    uint16_t index;
    uint32_t limit_ms; /* its own or its type's; 0: none */
};

struct qk_rt_type {
    struct qk_type copy; /* what this runtime knows of the descriptor; the rest is zero */
    const struct qk_type *desc;
    const struct qk_plugin *plugin;
    uint64_t id;
    uint32_t index; /* order of registration */
    uint32_t mailbox_max;
    uint32_t idle_ms;
    uint32_t state_size;
    uint32_t behind_size; /* of that: what lies behind the message */
    uint32_t name_len;
    bool interleaves; /* some method may: its activations stay with one worker */
    bool stored;
    bool journaled; /* its state is the fold of its events */
    bool begins;    /* a new activation has something to do before its first message */
    uint32_t mul;   /* perfect hash of the methods' ids: slots[(id * mul) >> shift] */
    uint32_t shift;
    _Atomic(struct qk_filter_set *) filters; /* NULL: none */
    uint16_t *slots;                         /* index + 1; 0: none */
    struct qk_rt_method *methods;
};

struct qk_types {
    pthread_mutex_t lock; /* registration */
    _Atomic(struct qk_rt_type *) by_id[QK_TYPES_MAX * 2];
    _Atomic(struct qk_rt_type *) in_order[QK_TYPES_MAX];
    atomic_uint count;
    const struct qk_filter *filters[QK_SILO_FILTERS_MAX]; /* of all turns and calls; under the lock */
    uint32_t n_filters;
    struct qk_filter_set *filter_sets; /* that were ever made */
};

int qk_types_init(struct qk_types *types);
void qk_types_finish(struct qk_types *types);

/* Where the calls of a method go, as a worker has found it before. */
struct qk_target {
    const struct qk_method *called; /* the caller's */
    struct qk_rt_type *type;
    const struct qk_rt_method *method;
    bool foreign; /* the caller's structs are of another layout */
};

#define QK_TARGETS 64 /* remembered by a worker; a power of two */

/* NULL when no loaded plugin has the type or the method. The worker's thread; not to be kept across a suspension. */
const struct qk_target *qk_types_look_up(struct qk_worker *w, const struct qk_method *m);

/* NULL when there is no such type. Any thread. */
struct qk_rt_type *qk_types_find(const struct qk_types *types, uint64_t id);
const struct qk_rt_method *qk_type_method(const struct qk_rt_type *type, uint32_t id);

/* Whether the caller's and the callee's struct are of one layout; remembered. Any thread. */
bool qk_types_same_layout(const ProtobufCMessageDescriptor *a, const ProtobufCMessageDescriptor *b);

#endif
