/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actors that wait for one another as a text tells them. */
#include "lovers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

enum type { PLAIN, MIXED, SMALL, READS, HOOKED, N_TYPES };
enum method { SLOW, QUICK, READ, N_METHODS };

static const char type_letters[] = "pmsrh";
static const char *const type_names[N_TYPES] = {"p", "m", "s", "r", "h"};
static const char *const method_names[N_METHODS] = {"Slow", "Quick", "Read"};
static struct qk_method methods[N_TYPES][N_METHODS];
static struct qk_type types[N_TYPES];
static const struct qk_type *type_list[N_TYPES];
const struct qk_plugin lovers_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "lovers", .version = "1", .types = type_list, .n_types = N_TYPES};
atomic_bool lovers_let_go;
const char *lovers_in_hook;
unsigned lovers_invited;
static atomic_uint here;

static const struct qk_method *find(char type, const char *name, size_t n)
{
    int at = (int)(strchr(type_letters, type) - type_letters);
    for (int i = 0; i < N_METHODS; i++) {
        if (strlen(methods[at][i].name) == n && strncmp(methods[at][i].name, name, n) == 0)
            return &methods[at][i];
    }
    abort();
}

/* Where the bracket closes that opens at `open`. */
static const char *closing(const char *open)
{
    int depth = 0;
    for (const char *c = open;; c++) {
        depth += *c == '(' ? 1 : *c == ')' ? -1 : 0;
        if (depth == 0)
            return c;
    }
}

/* "m/b.Slow(...)" */
static const char *call(qk_turn *t, const char *at, int *ret_status)
{
    const char *dot = strchr(at, '.'), *open = strchr(at, '('), *end = closing(open);
    Rt__Text in = RT__TEXT__INIT, out = RT__TEXT__INIT;
    size_t n = (size_t)(end - open - 1);
    in.text = qk_alloc(t, n + 1);
    memcpy(in.text, open + 1, n);
    *ret_status = qk_call(t, find(*at, dot + 1, (size_t)(open - dot - 1)),
                          qk_ref_bytes(at + 2, (uint32_t)(dot - at - 2)), 0, &in.base, &out.base);
    return end + 1;
}

static int meet(qk_turn *t)
{
    unsigned all = (atomic_fetch_add(&here, 1) / lovers_invited + 1) * lovers_invited;
    int rc = 0;
    while (atomic_load(&here) < all && rc == 0)
        rc = qk_yield(t);
    return rc;
}

static int act_out(qk_turn *t, const char *script)
{
    for (const char *at = script; *at != '\0';) {
        int rc = 0;
        if (*at == ' ') {
            at++;
        } else if (strncmp(at, "hold", 4) == 0) {
            while (!atomic_load(&lovers_let_go) && !qk_cancelled(t) && rc == 0)
                rc = qk_yield(t);
            at += 4;
        } else if (strncmp(at, "meet", 4) == 0) {
            rc = meet(t);
            at += 4;
        } else {
            at = call(t, at, &rc);
        }
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
    }
    return 0;
}

static int handle(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return act_out(t, ((const Rt__Text *)req)->text);
}

static int on_activate(qk_turn *t, void *self)
{
    (void)self;
    return lovers_in_hook != NULL ? act_out(t, lovers_in_hook) : 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

void lovers_build(void)
{
    for (int i = 0; i < N_TYPES; i++) {
        for (int k = 0; k < N_METHODS; k++)
            methods[i][k] =
                (struct qk_method){.id = qk_fnv32(method_names[k]),
                                   .type_id = qk_fnv64(type_names[i]),
                                   .flags = k == READ                                ? QK_METHOD_READ_ONLY
                                            : k == QUICK && i != PLAIN && i != READS ? QK_METHOD_INTERLEAVE_ALWAYS
                                                                                     : 0,
                                   .name = method_names[k],
                                   .request = &rt__text__descriptor,
                                   .reply = &rt__text__descriptor,
                                   .handler = handle};
        qsort(methods[i], N_METHODS, sizeof(methods[i][0]), compare);
        types[i] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                    .id = qk_fnv64(type_names[i]),
                                    .name = type_names[i],
                                    .service = "rt.Lovers",
                                    .methods = methods[i],
                                    .n_methods = N_METHODS,
                                    .mailbox_max = i == SMALL ? 2 : 0,
                                    .flags = i == READS ? QK_TYPE_INTERLEAVE_READS : 0,
                                    .on_activate = i == HOOKED ? on_activate : NULL};
        type_list[i] = &types[i];
    }
    atomic_store(&lovers_let_go, false);
    lovers_in_hook = NULL;
    atomic_store(&here, 0);
}

struct qk_port_frame *lovers_call(const char *what, uint64_t id, int64_t deadline_ns)
{
    const char *dot = strchr(what, '.'), *open = strchr(what, '(');
    const struct qk_method *m = find(*what, dot + 1, (size_t)(open - dot - 1));
    Rt__Text in = RT__TEXT__INIT;
    char text[512];
    snprintf(text, sizeof(text), "%.*s", (int)(closing(open) - open - 1), open + 1);
    in.text = text;
    size_t key_len = (size_t)(dot - what - 2), size = rt__text__get_packed_size(&in);
    struct qk_port_frame *f = qk_port_frame_create(key_len + size);
    f->kind = QK_PORT_CALL;
    f->call_id = id;
    f->type_id = m->type_id;
    f->method_id = m->id;
    f->deadline_ns = deadline_ns;
    f->key_len = (uint32_t)key_len;
    f->payload_len = (uint32_t)size;
    memcpy(f->bytes, what + 2, key_len);
    rt__text__pack(&in, f->bytes + key_len);
    return f;
}
