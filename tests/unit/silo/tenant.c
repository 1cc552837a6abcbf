/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin for the tests of hosts: it crashes when it is told to, and does some honest work besides. */
#include "tenant.quark.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int tenant_add(qk_turn *t, Tenant__Count *self, const Tenant__Number *req, Tenant__Number *rep)
{
    (void)t, (void)self;
    rep->value = req->value + 1;
    return 0;
}

static int use_up(volatile char *below)
{
    volatile char here[4096];
    memset((char *)here, 1, sizeof(here));
    return below != NULL && here[7] == 0 ? 0 : use_up(here) + here[9];
}

int tenant_die(qk_turn *t, Tenant__Count *self, const Tenant__Number *req, Tenant__Number *rep)
{
    (void)t, (void)self, (void)rep;
    switch (req->value) {
    case 0:
        *(volatile int *)16 = 1;
        break;
    case 1:
        abort();
    case 2:
        exit(0);
    case 3:
        return use_up(NULL);
    default:
        socket(AF_INET, SOCK_STREAM, 0);
        execl("/bin/true", "true", (char *)NULL);
    }
    return 0;
}

int tenant_spin(qk_turn *t, Tenant__Count *self, const Tenant__Number *req, Tenant__Number *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    for (volatile unsigned i = 0;; i++)
        ;
    return 0;
}

int tenant_wait(qk_turn *t, Tenant__Count *self, const Tenant__Number *req, Tenant__Number *rep)
{
    (void)self, (void)req;
    while (!qk_cancelled(t)) {
        if (qk_yield(t) < 0)
            break;
    }
    rep->value = 77;
    return 0;
}

int tenant_keep(qk_turn *t, Tenant__Count *self, const Tenant__Number *req, Tenant__Number *rep)
{
    (void)req;
    self->n++;
    rep->value = self->n;
    return tenant_save(t, self);
}

/* The silo's own actor has no generated proxy: its method is written by hand. */
int tenant_reach(qk_turn *t, Tenant__Count *self, const Tenant__Number *req, Tenant__Number *rep)
{
    (void)self;
    static struct qk_method add;
    add = (struct qk_method){
        .id = 0, .name = "Add", .request = &tenant__number__descriptor, .reply = &tenant__number__descriptor};
    uint64_t type = 14695981039346656037ull;
    for (const char *c = "station"; *c != 0; c++)
        type = (type ^ (unsigned char)*c) * 1099511628211ull;
    uint32_t id = 2166136261u;
    for (const char *c = "Add"; *c != 0; c++)
        id = (id ^ (unsigned char)*c) * 16777619u;
    add.type_id = type;
    add.id = id;
    int rc = qk_call(t, &add, qk_ref("shared"), 0, &req->base, &rep->base);
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

int tenant_say(qk_turn *t, Tenant__Count *self, const Tenant__Number *req, Tenant__Number *rep)
{
    (void)self, (void)rep;
    qk_log(t, QK_LOG_NOTICE, "the number is %d", (int)req->value);
    return 0;
}

int tenant_carry(qk_turn *t, Tenant__Count *self, const Tenant__Load *req, Tenant__Load *rep)
{
    (void)self;
    rep->data.len = req->data.len;
    rep->data.data = qk_alloc(t, req->data.len + 1);
    if (rep->data.data == NULL)
        return QK_ENOMEMORY;
    for (size_t i = 0; i < req->data.len; i++)
        rep->data.data[i] = (uint8_t)(req->data.data[i] + 1);
    return 0;
}

int tenant_measure(qk_turn *t, Tenant__Count *self, const Tenant__Load *req, Tenant__Number *rep)
{
    (void)t, (void)self;
    rep->value = (int64_t)req->data.len;
    return 0;
}
