/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The check of descriptors: a whole one passes, and no spoiled one makes it read where nothing is. */
#include "plugin/descriptor.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/limits.h"
#include "described.h"

static struct described *d; /* a block of its own, so that a sanitizer sees what reads past it */
static struct qk_refusal refusal;

static void setup(void)
{
    d = malloc(sizeof(*d));
    described_init(d);
}

static void teardown(void)
{
    free(d);
}

/* All that is not NULL, to its end at 8 KiB. */
static size_t all_extent(void *arg, const void *at)
{
    (void)arg;
    return at != NULL ? 8192 : 0;
}

static int check(void)
{
    static const struct qk_note_info note = DESCRIBED_NOTE;
    return qk_descriptor_check(&d->plugin, &note, &(struct qk_memory){described_extent, d}, &refusal);
}

#define expect(code_, words)                                                                                           \
    do {                                                                                                               \
        ck_assert_int_eq(check(), QK_EINVALID);                                                                        \
        ck_assert_msg(strcmp(refusal.code, code_) == 0 && strstr(refusal.text, words) != NULL, "%s: %s", refusal.code, \
                      refusal.text);                                                                                   \
        described_init(d);                                                                                             \
    } while (0)

START_TEST(test_descriptor_whole_one_passes)
{
    ck_assert_msg(check() == 0, "%s", refusal.text);
    d->type.flags = QK_TYPE_INTERLEAVE_CHAIN | QK_TYPE_INTERLEAVE_ALWAYS | QK_TYPE_INTERLEAVE_READS |
                    QK_TYPE_LAZY_STATE | QK_TYPE_REFUSE_WHEN_FULL;
    d->type.store = d->text;
    d->methods[0].flags =
        QK_METHOD_ONE_WAY | QK_METHOD_READ_ONLY | QK_METHOD_INTERLEAVE_CHAIN | QK_METHOD_INTERLEAVE_ALWAYS;
    ck_assert_msg(check() == 0, "%s", refusal.text);
    d->plugin.n_types = 0;
    d->plugin.types = NULL;
    d->plugin.schema_len = 0;
    d->plugin.schema = NULL;
    ck_assert_int_eq(check(), 0);
}
END_TEST

START_TEST(test_descriptor_plugin_is_checked)
{
    d->plugin.abi.minor = 1;
    expect(QK_PLUGIN_ABI, "1.1");
    d->plugin.abi.size = offsetof(struct qk_plugin, services) - 1;
    expect(QK_PLUGIN_DAMAGED, "can't be read");
    d->plugin.abi.size = UINT32_MAX;
    expect(QK_PLUGIN_DAMAGED, "can't be read");
    d->plugin.name = NULL;
    expect(QK_PLUGIN_DAMAGED, "no name");
    d->plugin.version = d->name;
    expect(QK_PLUGIN_DAMAGED, "note says tally x, its descriptor says tally tally");
    d->plugin.n_types = QK_PLUGIN_TYPES_MAX + 1;
    expect(QK_PLUGIN_DAMAGED, "too many");
    d->plugin.n_types = QK_PLUGIN_TYPES_MAX;
    expect(QK_PLUGIN_DAMAGED, "can't be read");
    d->plugin.schema_len = QK_SCHEMA_MAX;
    expect(QK_PLUGIN_DAMAGED, "descriptions of its messages can't be read");
    d->plugin.schema_len = QK_SCHEMA_MAX + 1;
    expect(QK_PLUGIN_TOO_LARGE, "1048577");
}
END_TEST

START_TEST(test_descriptor_types_are_checked)
{
    d->types[0] = NULL;
    expect(QK_PLUGIN_DAMAGED, "type can't be read");
    d->type.abi.major = 2;
    expect(QK_PLUGIN_ABI, "2.0");
    d->type.abi.size = 8;
    expect(QK_PLUGIN_DAMAGED, "type can't be read");
    d->type.name = d->text + 2;
    expect(QK_PLUGIN_DAMAGED, "slash");
    d->type.service = NULL;
    expect(QK_PLUGIN_DAMAGED, "service");
    d->type.n_methods = QK_TYPE_METHODS_MAX + 1;
    expect(QK_PLUGIN_DAMAGED, "methods");
    d->type.methods = NULL;
    expect(QK_PLUGIN_DAMAGED, "methods");
    d->type.store = (const char *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "store");
    d->type.store = (const char *)(uintptr_t)16; /* beyond what an older plugin's struct has */
    d->type.abi.size = offsetof(struct qk_type, store);
    ck_assert_msg(check() == 0, "%s", refusal.text);
    described_init(d);
    d->type.placement = 5;
    expect(QK_PLUGIN_DAMAGED, "placement");
    d->type.flags = QK_TYPE_REFUSE_WHEN_FULL << 1;
    expect(QK_PLUGIN_DAMAGED, "flags");
    d->methods[0].flags = QK_METHOD_INTERLEAVE_ALWAYS << 1;
    expect(QK_PLUGIN_DAMAGED, "a method has flags");
    d->type.on_activate = (int (*)(qk_turn *, void *))(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "nowhere");
    d->methods[1].handler = NULL;
    expect(QK_PLUGIN_DAMAGED, "no handler");
    d->methods[0].name = NULL;
    expect(QK_PLUGIN_DAMAGED, "no name");
    d->methods[1].request = NULL;
    expect(QK_PLUGIN_DAMAGED, "message without a name: no descriptor of a message");
}
END_TEST

/* Gives the type a journal that is as it should be. */
static struct qk_type *give_journal(void)
{
    d->type.store = d->text;
    d->type.state = d->type.event = &d->number;
    d->type.apply = (int (*)(void *, const ProtobufCMessage *))(uintptr_t)d->text;
    return &d->type;
}

START_TEST(test_descriptor_journals_are_checked)
{
    give_journal();
    ck_assert_msg(check() == 0, "%s", refusal.text);
    give_journal()->apply = NULL;
    expect(QK_PLUGIN_DAMAGED, "no function that applies");
    give_journal()->apply = (int (*)(void *, const ProtobufCMessage *))(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "no function that applies");
    give_journal()->store = NULL;
    expect(QK_PLUGIN_DAMAGED, "no store");
    give_journal()->state = NULL;
    expect(QK_PLUGIN_DAMAGED, "no state");
    give_journal()->event = (const ProtobufCMessageDescriptor *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "message");
    give_journal()->apply = NULL; /* beyond what an older plugin's struct has */
    d->type.abi.size = offsetof(struct qk_type, event);
    ck_assert_msg(check() == 0, "%s", refusal.text);
}
END_TEST

START_TEST(test_descriptor_services_are_checked)
{
    d->plugin.services = (const struct qk_service *const *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "services can't be read");
    d->plugin.services = (const struct qk_service *const *)(uintptr_t)16; /* beyond what an older plugin's struct has */
    d->plugin.abi.size = offsetof(struct qk_plugin, services);
    ck_assert_msg(check() == 0, "%s", refusal.text);
    described_init(d);
    d->services[0] = (const struct qk_service *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "service can't be read");
    d->service[0].abi.size--;
    expect(QK_PLUGIN_DAMAGED, "service can't be read");
    d->service[0].abi.minor = 1;
    expect(QK_PLUGIN_ABI, "1.1");
    d->service[0].name = NULL;
    expect(QK_PLUGIN_DAMAGED, "service has no name");
    d->service[0].name = d->text + 2;
    expect(QK_PLUGIN_DAMAGED, "slash");
    d->service[0].lifetime = 0;
    expect(QK_PLUGIN_DAMAGED, "lifetime");
    d->service[0].lifetime = 4;
    expect(QK_PLUGIN_DAMAGED, "lifetime");
    d->service[0].create = NULL;
    expect(QK_PLUGIN_DAMAGED, "function of a service");
    d->service[1].destroy = (void (*)(void *))(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "function of a service");
    d->service[1].needs = (const struct qk_service *const *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "needs can't be read");
    d->needs[0] = (const struct qk_service *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "service can't be read");
    d->foreign.name = NULL;
    expect(QK_PLUGIN_DAMAGED, "service has no name");
    d->foreign.plugin = (const char *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "plugin of a service");
}
END_TEST

/* As many services, and as many needs, as there may be; and one more. */
START_TEST(test_descriptor_services_have_limits)
{
    struct {
        struct described d;
        const struct qk_service *list[QK_PLUGIN_SERVICES_MAX + 2];
    } *wide = calloc(1, sizeof(*wide));
    described_init(&wide->d);
    static const struct qk_note_info note = DESCRIBED_NOTE;
    struct qk_memory memory = {all_extent, NULL};
    for (int i = 0; i < QK_PLUGIN_SERVICES_MAX; i++)
        wide->list[i] = &wide->d.service[0];
    wide->d.plugin.services = wide->list;
    ck_assert_int_eq(qk_descriptor_check(&wide->d.plugin, &note, &memory, &refusal), 0);
    wide->list[QK_PLUGIN_SERVICES_MAX] = &wide->d.service[0];
    ck_assert_int_eq(qk_descriptor_check(&wide->d.plugin, &note, &memory, &refusal), QK_EINVALID);
    ck_assert_msg(strstr(refusal.text, "too many") != NULL, "%s", refusal.text);
    wide->d.plugin.services = wide->d.services;
    wide->list[QK_SERVICE_NEEDS_MAX] = NULL;
    wide->d.service[1].needs = wide->list;
    ck_assert_int_eq(qk_descriptor_check(&wide->d.plugin, &note, &memory, &refusal), 0);
    wide->list[QK_SERVICE_NEEDS_MAX] = &wide->d.service[0];
    wide->list[QK_SERVICE_NEEDS_MAX + 1] = NULL;
    ck_assert_int_eq(qk_descriptor_check(&wide->d.plugin, &note, &memory, &refusal), QK_EINVALID);
    ck_assert_msg(strstr(refusal.text, "too much") != NULL, "%s", refusal.text);
    free(wide);
}
END_TEST

/* Gives the type, or the plugin, one filter. */
static struct qk_filter *give_filter(bool to_type)
{
    d->filters[0] = &d->filter;
    d->filter = (struct qk_filter){
        .abi = QK_ABI_HEAD(struct qk_filter), .name = d->text, .incoming = (qk_filter_fn)(uintptr_t)d->text};
    if (to_type) {
        d->type.filters = d->filters;
        d->type.n_filters = 1;
    } else {
        d->plugin.filters = d->filters;
        d->plugin.n_filters = 1;
    }
    return &d->filter;
}

START_TEST(test_descriptor_filters_are_checked)
{
    for (int i = 0; i < 2; i++) {
        bool to_type = i == 0;
        give_filter(to_type);
        ck_assert_msg(check() == 0, "%s", refusal.text);
        give_filter(to_type)->name = NULL;
        expect(QK_PLUGIN_DAMAGED, "no name or no function");
        give_filter(to_type)->incoming = NULL;
        expect(QK_PLUGIN_DAMAGED, "no name or no function");
        give_filter(to_type)->outgoing = (qk_filter_fn)(uintptr_t)16;
        expect(QK_PLUGIN_DAMAGED, "no name or no function");
        give_filter(to_type)->abi.minor = 1;
        expect(QK_PLUGIN_ABI, "1.1");
        give_filter(to_type)->abi.size--;
        expect(QK_PLUGIN_DAMAGED, "a filter can't be read");
        give_filter(to_type);
        d->filters[0] = (const struct qk_filter *)(uintptr_t)16;
        expect(QK_PLUGIN_DAMAGED, "a filter can't be read");
        *(to_type ? &d->type.n_filters : &d->plugin.n_filters) = QK_FILTERS_MAX + 1;
        expect(QK_PLUGIN_DAMAGED, "too many");
        *(to_type ? &d->type.n_filters : &d->plugin.n_filters) = 1;
        expect(QK_PLUGIN_DAMAGED, "can't be read");
        /* Of a plugin from before there were filters nobody looks there. */
        *(to_type ? &d->type.n_filters : &d->plugin.n_filters) = 1;
        *(to_type ? &d->type.abi.size : &d->plugin.abi.size) =
            to_type ? offsetof(struct qk_type, filters) : offsetof(struct qk_plugin, filters);
        ck_assert_msg(check() == 0, "%s", refusal.text);
        described_init(d);
    }
}
END_TEST

START_TEST(test_descriptor_messages_are_checked)
{
    d->number.magic = 0;
    expect(QK_PLUGIN_DAMAGED, "no descriptor of a message");
    d->number.name = NULL;
    expect(QK_PLUGIN_DAMAGED, "a message without a name");
    d->number.sizeof_message = 8;
    expect(QK_PLUGIN_DAMAGED, "impossible size");
    d->number.n_fields = QK_DESCRIPTOR_FIELDS_MAX + 1;
    expect(QK_PLUGIN_DAMAGED, "fields that can't be read");
    d->number.n_fields = 0;
    d->number.n_field_ranges = 0;
    d->number.fields = (const ProtobufCFieldDescriptor *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "fields that can't be read");
    d->number.n_fields = 0;
    d->number.n_field_ranges = 0;
    d->number.fields = NULL;
    ck_assert_msg(check() == 0, "%s", refusal.text);
    described_init(d);
    d->number.fields_sorted_by_name = NULL;
    expect(QK_PLUGIN_DAMAGED, "index of names");
    d->number_by_name[0] = 2;
    expect(QK_PLUGIN_DAMAGED, "index of names");
    d->number.n_field_ranges = 0;
    expect(QK_PLUGIN_DAMAGED, "index of numbers");
    d->number_ranges[1].orig_index = 3;
    expect(QK_PLUGIN_DAMAGED, "index of numbers");
    d->total_ranges[1].start_value = 2;
    expect(QK_PLUGIN_DAMAGED, "index of numbers");
    d->total.message_init = (ProtobufCMessageInit)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "nowhere");
}
END_TEST

START_TEST(test_descriptor_fields_are_checked)
{
    d->number_fields[0].name = NULL;
    expect(QK_PLUGIN_DAMAGED, "field without a name");
    d->number_fields[0].id = 0;
    expect(QK_PLUGIN_DAMAGED, "unknown kind");
    d->number_fields[0].label = 4;
    expect(QK_PLUGIN_DAMAGED, "unknown kind");
    d->number_fields[0].type = 17;
    expect(QK_PLUGIN_DAMAGED, "unknown kind");
    d->number_fields[0].offset = sizeof(struct described_number) - 4;
    expect(QK_PLUGIN_DAMAGED, "outside");
    d->number_fields[0].offset = UINT32_MAX - 7;
    expect(QK_PLUGIN_DAMAGED, "outside");
    d->number_fields[0].offset = 0;
    expect(QK_PLUGIN_DAMAGED, "outside");
    d->number_fields[0].offset++;
    expect(QK_PLUGIN_DAMAGED, "outside");
    d->total_fields[0].quantifier_offset = 0;
    expect(QK_PLUGIN_DAMAGED, "outside");
    d->total_fields[2].quantifier_offset = 4096;
    expect(QK_PLUGIN_DAMAGED, "outside");
    d->total_fields[3].quantifier_offset = 0;
    expect(QK_PLUGIN_DAMAGED, "outside");
    d->total_fields[1].quantifier_offset = 4096; /* written to although a string needs no flag */
    expect(QK_PLUGIN_DAMAGED, "outside");
    d->total_fields[1].offset = d->total_fields[0].offset;
    expect(QK_PLUGIN_DAMAGED, "overlap");
    d->total_fields[2].quantifier_offset = d->total_fields[3].quantifier_offset;
    expect(QK_PLUGIN_DAMAGED, "overlap");
    d->total_fields[1].flags = d->total_fields[3].flags; /* of one oneof they may */
    d->total_fields[1].label = PROTOBUF_C_LABEL_NONE;
    d->total_fields[1].quantifier_offset = d->total_fields[3].quantifier_offset;
    d->total_fields[1].offset = d->total_fields[3].offset;
    ck_assert_msg(check() == 0, "%s", refusal.text);
    described_init(d);
    d->total_fields[2].id = 7;
    expect(QK_PLUGIN_DAMAGED, "index of numbers");
    d->total_fields[2].default_value = d->number_fields; /* not a length and where the bytes are */
    expect(QK_PLUGIN_DAMAGED, "default");
    d->total_fields[1].default_value = (const void *)(uintptr_t)16;
    expect(QK_PLUGIN_DAMAGED, "default");
    d->total_fields[0].descriptor = &d->unit;
    expect(QK_PLUGIN_DAMAGED, "no descriptor of a message");
    d->number_fields[1].descriptor = &d->number;
    expect(QK_PLUGIN_DAMAGED, "enumeration");
    d->unit_values[1].name = NULL;
    expect(QK_PLUGIN_DAMAGED, "value without");
    d->unit_names[0].index = 2;
    expect(QK_PLUGIN_DAMAGED, "value without");
    d->unit.n_values = 1;
    expect(QK_PLUGIN_DAMAGED, "values that can't be read");
}
END_TEST

START_TEST(test_descriptor_names_end_and_are_plain)
{
    memset(d->text, 'x', sizeof(d->text)); /* up to the end of what can be read */
    expect(QK_PLUGIN_DAMAGED, "no name or no version");
    strcpy(d->text, "a b");
    expect(QK_PLUGIN_DAMAGED, "no name or no version");
    d->text[0] = 0;
    expect(QK_PLUGIN_DAMAGED, "no name or no version");
    strcpy(d->text, "\xc3\xa4");
    expect(QK_PLUGIN_DAMAGED, "no name or no version");
}
END_TEST

struct link {
    ProtobufCMessageDescriptor message;
    ProtobufCFieldDescriptor field;
    ProtobufCIntRange ranges[2];
    unsigned by_name[2];
};

static struct link *chain;

static size_t chain_extent(void *arg, const void *at)
{
    uintptr_t begin = (uintptr_t)chain, end = begin + QK_DESCRIPTOR_MESSAGES_MAX * sizeof(*chain), p = (uintptr_t)at;
    return p >= begin && p < end ? end - p : described_extent(arg, at);
}

/* Message after message, each within the one before. */
START_TEST(test_descriptor_number_of_messages_has_a_limit)
{
    static const struct qk_note_info note = DESCRIBED_NOTE;
    size_t n = QK_DESCRIPTOR_MESSAGES_MAX - 3; /* besides the three of the block */
    chain = calloc(QK_DESCRIPTOR_MESSAGES_MAX, sizeof(*chain));
    for (size_t i = 0; i < QK_DESCRIPTOR_MESSAGES_MAX; i++) {
        chain[i].message = d->number;
        chain[i].message.n_fields = 1;
        chain[i].message.fields = &chain[i].field;
        chain[i].message.fields_sorted_by_name = chain[i].by_name;
        chain[i].message.field_ranges = chain[i].ranges;
        chain[i].ranges[0] = (ProtobufCIntRange){1, 0};
        chain[i].ranges[1] = (ProtobufCIntRange){0, 1};
        chain[i].field = d->total_fields[0];
        chain[i].field.quantifier_offset = offsetof(struct described_number, value);
        chain[i].field.offset = offsetof(struct described_number, value);
        chain[i].field.descriptor = &chain[i + 1 < n ? i + 1 : 0].message;
    }
    d->methods[0].request = &chain[0].message;
    struct qk_memory memory = {chain_extent, d};
    ck_assert_msg(qk_descriptor_check(&d->plugin, &note, &memory, &refusal) == 0, "%s", refusal.text);
    chain[n - 1].field.descriptor = &chain[n].message;
    chain[n].field.descriptor = &chain[0].message;
    ck_assert_int_eq(qk_descriptor_check(&d->plugin, &note, &memory, &refusal), QK_EINVALID);
    ck_assert_ptr_nonnull(strstr(refusal.text, "too many messages"));
    free(chain);
}
END_TEST

/* Every word takes every extreme, as a number and as an address. */
START_TEST(test_descriptor_extreme_values_never_reach_outside)
{
    uintptr_t begin = (uintptr_t)d, end = begin + sizeof(*d);
    const uint64_t values[] = {0,
                               1,
                               8,
                               255,
                               4096,
                               0x7fffffff,
                               0xffffffff,
                               begin,
                               begin + 1,
                               end,
                               end - 1,
                               end - 8,
                               begin - 8,
                               UINT64_MAX,
                               begin - 1,
                               UINT64_MAX - 7,
                               INT64_MAX,
                               (uintptr_t)&d->number,
                               (uintptr_t)&d->unit};
    unsigned passed = 0;
    for (size_t at = 0; at < sizeof(*d); at += 4) {
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
            for (size_t width = 4; width <= 8 && at + width <= sizeof(*d); width += 4) {
                uint64_t before;
                memcpy(&before, (uint8_t *)d + at, width);
                memcpy((uint8_t *)d + at, &values[v], width);
                passed += check() == 0;
                memcpy((uint8_t *)d + at, &before, width);
            }
        }
    }
    ck_assert_uint_gt(passed, 0); /* what nobody follows */
    ck_assert_int_eq(check(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descriptor");
    TCase *tc = tcase_create("descriptor");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_descriptor_whole_one_passes);
    tcase_add_test(tc, test_descriptor_plugin_is_checked);
    tcase_add_test(tc, test_descriptor_types_are_checked);
    tcase_add_test(tc, test_descriptor_journals_are_checked);
    tcase_add_test(tc, test_descriptor_services_are_checked);
    tcase_add_test(tc, test_descriptor_services_have_limits);
    tcase_add_test(tc, test_descriptor_filters_are_checked);
    tcase_add_test(tc, test_descriptor_messages_are_checked);
    tcase_add_test(tc, test_descriptor_fields_are_checked);
    tcase_add_test(tc, test_descriptor_names_end_and_are_plain);
    tcase_add_test(tc, test_descriptor_number_of_messages_has_a_limit);
    tcase_add_test(tc, test_descriptor_extreme_values_never_reach_outside);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
