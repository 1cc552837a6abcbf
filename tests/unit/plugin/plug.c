/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small plugin, built many times: each build defines what is amiss with it. */
#include <stdlib.h>
#include <quark/actor.h>
#include <quark/plugin.h>
#include "plug.pb-c.h"

#ifndef PLUG_NAME
#define PLUG_NAME "tally"
#endif
#ifndef PLUG_NOTE_NAME
#define PLUG_NOTE_NAME PLUG_NAME
#endif
#ifndef PLUG_TYPE
#define PLUG_TYPE    "tally"
#define PLUG_TYPE_ID 0xaa3f4d29d02d54ddull
#endif
#ifndef PLUG_MAJOR
#define PLUG_MAJOR QK_ABI_MAJOR
#endif
#ifndef PLUG_MINOR
#define PLUG_MINOR QK_ABI_MINOR
#endif
#ifndef PLUG_SIZE
#define PLUG_SIZE sizeof(struct qk_plugin)
#endif

#ifndef PLUG_WITHOUT_NOTE
__attribute__((section(".note.quark"), used, aligned(4))) static const struct qk_note note = {
    6, sizeof(struct qk_note) - 20, QK_NOTE_TYPE, "Quark", PLUG_MAJOR, PLUG_MINOR, 0, PLUG_NOTE_NAME, "1.0"};
#endif
#ifdef PLUG_SECOND_NOTE
QK_PLUGIN_NOTE("second", "1");
#endif

/* Tells the test that code of this file has run. */
__attribute__((constructor)) static void begin(void)
{
    setenv("QUARK_TEST_RAN", PLUG_NAME, 1);
}

#ifdef PLUG_UNDEFINED
int plug_that_nobody_wrote(void);
#endif

static int on_add(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    (void)t;
#ifdef PLUG_UNDEFINED
    plug_that_nobody_wrote();
#endif
    Plug__Number *sum = self;
    sum->value += ((const Plug__Number *)request)->value;
    ((Plug__Number *)reply)->value = sum->value;
    return 0;
}

static int on_read(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    (void)t, (void)request;
    ((Plug__Total *)reply)->sum = self;
    return 0;
}

static const struct qk_method methods[] = {
    {.id = 0x4f0befe5u,
     .type_id = PLUG_TYPE_ID,
     .name = "Read",
     .request = &plug__number__descriptor,
     .reply = &plug__total__descriptor,
     .handler = on_read},
    {.id = 0x9dc3aa14u,
     .type_id = PLUG_TYPE_ID,
     .name = "Add",
     .request = &plug__number__descriptor,
     .reply = &plug__number__descriptor,
     .handler = on_add},
};

static const struct qk_type type = {
    .abi = QK_ABI_HEAD(struct qk_type),
    .id = PLUG_TYPE_ID,
    .name = PLUG_TYPE,
    .service = "plug.Tally",
    .state = &plug__number__descriptor,
    .methods = methods,
    .n_methods = 2,
};

static const struct qk_type *const types[] = {&type};

#ifdef PLUG_SERVICES
static int make(qk_turn *t, void **ret_instance)
{
    (void)t;
    *ret_instance = (void *)&type;
    return 0;
}

#define SERVICE(name_, lifetime_, need_)                             \
    __attribute__((unused)) static const struct qk_service name_ = { \
        .abi = QK_ABI_HEAD(struct qk_service),                       \
        .name = #name_,                                              \
        .lifetime = lifetime_,                                       \
        .needs = (const struct qk_service *const[]){need_, NULL},    \
        .create = make,                                              \
    }
__attribute__((unused)) static const struct qk_service purse = {
    .abi = QK_ABI_HEAD(struct qk_service), .plugin = "lender", .name = "purse"};
static const struct qk_service b;
SERVICE(a, QK_SINGLETON, &b);
SERVICE(b, QK_SINGLETON, &a);
SERVICE(short_lived, QK_TRANSIENT, NULL);
SERVICE(long_lived, QK_SCOPED, &short_lived);
SERVICE(debt, QK_SCOPED, &purse);
__attribute__((unused)) static const struct qk_service lent = {
    .abi = QK_ABI_HEAD(struct qk_service), .name = "purse", .lifetime = QK_SINGLETON, .create = make};
static const struct qk_service *const services[] = {PLUG_SERVICES, NULL};
#endif

#ifndef PLUG_WITHOUT_SYMBOL
QK_EXPORT
#endif
extern const struct qk_plugin quark_plugin;
const struct qk_plugin quark_plugin = {
    .abi = {PLUG_MAJOR, PLUG_MINOR, PLUG_SIZE},
    .name = PLUG_NAME,
    .version = "1.0",
    .types = types,
    .n_types = 1,
    .schema = (const uint8_t *)"schema",
    .schema_len = 6,
#ifdef PLUG_SERVICES
    .services = services,
#endif
};
