/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints the size of every struct of the plugin interface and the place of every member, and the values of its
 * constants: what must not change within one major number but by appending. */
#include <stdio.h>
#include <quark/abi.h>

#define STRUCT(type) printf("%s %zu bytes\n", #type, sizeof(type))
#define MEMBER(type, member) \
    printf("  %-14s at %3zu, %2zu bytes\n", #member, offsetof(type, member), sizeof(((type *)NULL)->member))
#define VALUE(name) printf("%s = %lld\n", #name, (long long)(name))
#define TEXT(name)  printf("%s = \"%s\"\n", #name, name)

static void print_descriptors(void)
{
    STRUCT(struct qk_abi);
    MEMBER(struct qk_abi, major);
    MEMBER(struct qk_abi, minor);
    MEMBER(struct qk_abi, size);
    STRUCT(struct qk_plugin);
    MEMBER(struct qk_plugin, abi);
    MEMBER(struct qk_plugin, name);
    MEMBER(struct qk_plugin, version);
    MEMBER(struct qk_plugin, types);
    MEMBER(struct qk_plugin, n_types);
    MEMBER(struct qk_plugin, schema);
    MEMBER(struct qk_plugin, schema_len);
    MEMBER(struct qk_plugin, services);
    MEMBER(struct qk_plugin, filters);
    MEMBER(struct qk_plugin, n_filters);
    STRUCT(struct qk_service);
    MEMBER(struct qk_service, abi);
    MEMBER(struct qk_service, plugin);
    MEMBER(struct qk_service, name);
    MEMBER(struct qk_service, lifetime);
    MEMBER(struct qk_service, reserved);
    MEMBER(struct qk_service, needs);
    MEMBER(struct qk_service, create);
    MEMBER(struct qk_service, destroy);
    STRUCT(struct qk_type);
    MEMBER(struct qk_type, abi);
    MEMBER(struct qk_type, id);
    MEMBER(struct qk_type, name);
    MEMBER(struct qk_type, service);
    MEMBER(struct qk_type, state);
    MEMBER(struct qk_type, methods);
    MEMBER(struct qk_type, n_methods);
    MEMBER(struct qk_type, mailbox_max);
    MEMBER(struct qk_type, idle_ms);
    MEMBER(struct qk_type, placement);
    MEMBER(struct qk_type, flags);
    MEMBER(struct qk_type, limit_ms);
    MEMBER(struct qk_type, on_activate);
    MEMBER(struct qk_type, on_deactivate);
    MEMBER(struct qk_type, store);
    MEMBER(struct qk_type, on_child_failure);
    MEMBER(struct qk_type, on_watched);
    MEMBER(struct qk_type, directive);
    MEMBER(struct qk_type, strategy);
    MEMBER(struct qk_type, restart_max);
    MEMBER(struct qk_type, restart_window_ms);
    MEMBER(struct qk_type, backoff_ms);
    MEMBER(struct qk_type, backoff_max_ms);
    MEMBER(struct qk_type, filters);
    MEMBER(struct qk_type, n_filters);
    MEMBER(struct qk_type, event);
    MEMBER(struct qk_type, apply);
    MEMBER(struct qk_type, snapshot_every);
    MEMBER(struct qk_type, reserved_2);
    STRUCT(struct qk_filter);
    MEMBER(struct qk_filter, abi);
    MEMBER(struct qk_filter, name);
    MEMBER(struct qk_filter, incoming);
    MEMBER(struct qk_filter, outgoing);
    STRUCT(struct qk_filtered);
    MEMBER(struct qk_filtered, abi);
    MEMBER(struct qk_filtered, kind);
    MEMBER(struct qk_filtered, reserved);
    MEMBER(struct qk_filtered, type);
    MEMBER(struct qk_filtered, method);
    MEMBER(struct qk_filtered, to);
    MEMBER(struct qk_filtered, request);
    MEMBER(struct qk_filtered, reply);
    STRUCT(struct qk_method);
    MEMBER(struct qk_method, id);
    MEMBER(struct qk_method, flags);
    MEMBER(struct qk_method, deadline_ms);
    MEMBER(struct qk_method, limit_ms);
    MEMBER(struct qk_method, type_id);
    MEMBER(struct qk_method, name);
    MEMBER(struct qk_method, request);
    MEMBER(struct qk_method, reply);
    MEMBER(struct qk_method, handler);
}

static void print_note(void)
{
    STRUCT(struct qk_note);
    MEMBER(struct qk_note, owner_size);
    MEMBER(struct qk_note, desc_size);
    MEMBER(struct qk_note, type);
    MEMBER(struct qk_note, owner);
    MEMBER(struct qk_note, abi_major);
    MEMBER(struct qk_note, abi_minor);
    MEMBER(struct qk_note, flags);
    MEMBER(struct qk_note, name);
    MEMBER(struct qk_note, version);
}

static void print_services(void)
{
    STRUCT(struct qk_ref);
    MEMBER(struct qk_ref, key);
    MEMBER(struct qk_ref, key_len);
    STRUCT(struct qk_turn);
    MEMBER(struct qk_turn, host);
    STRUCT(struct qk_host);
    MEMBER(struct qk_host, abi);
    MEMBER(struct qk_host, call);
    MEMBER(struct qk_host, begin);
    MEMBER(struct qk_host, await);
    MEMBER(struct qk_host, send);
    MEMBER(struct qk_host, alloc);
    MEMBER(struct qk_host, vfail);
    MEMBER(struct qk_host, error);
    MEMBER(struct qk_host, self);
    MEMBER(struct qk_host, caller);
    MEMBER(struct qk_host, now_ms);
    MEMBER(struct qk_host, remaining_ms);
    MEMBER(struct qk_host, request_id);
    MEMBER(struct qk_host, local);
    MEMBER(struct qk_host, deactivate);
    MEMBER(struct qk_host, yield);
    MEMBER(struct qk_host, vlog);
    MEMBER(struct qk_host, cancelled);
    MEMBER(struct qk_host, timer_start);
    MEMBER(struct qk_host, timer_cancel);
    MEMBER(struct qk_host, state);
    MEMBER(struct qk_host, offload);
    MEMBER(struct qk_host, context);
    MEMBER(struct qk_host, set_context);
    MEMBER(struct qk_host, vpanic);
    MEMBER(struct qk_host, spawn);
    MEMBER(struct qk_host, stop_child);
    MEMBER(struct qk_host, children);
    MEMBER(struct qk_host, watch);
    MEMBER(struct qk_host, unwatch);
    MEMBER(struct qk_host, service);
    MEMBER(struct qk_host, next);
    MEMBER(struct qk_host, append);
    MEMBER(struct qk_host, position);
    MEMBER(struct qk_host, replay);
}

static void print_supervision(void)
{
    STRUCT(struct qk_failure);
    MEMBER(struct qk_failure, abi);
    MEMBER(struct qk_failure, type_id);
    MEMBER(struct qk_failure, type);
    MEMBER(struct qk_failure, ref);
    MEMBER(struct qk_failure, kind);
    MEMBER(struct qk_failure, status);
    MEMBER(struct qk_failure, failures);
    MEMBER(struct qk_failure, reserved);
    MEMBER(struct qk_failure, text);
    STRUCT(struct qk_watch_event);
    MEMBER(struct qk_watch_event, abi);
    MEMBER(struct qk_watch_event, type_id);
    MEMBER(struct qk_watch_event, type);
    MEMBER(struct qk_watch_event, ref);
    MEMBER(struct qk_watch_event, what);
    MEMBER(struct qk_watch_event, status);
    MEMBER(struct qk_watch_event, text);
    STRUCT(struct qk_child);
    MEMBER(struct qk_child, type_id);
    MEMBER(struct qk_child, type);
    MEMBER(struct qk_child, ref);
    MEMBER(struct qk_child, state);
    VALUE(QK_RESUME);
    VALUE(QK_RESTART);
    VALUE(QK_STOP);
    VALUE(QK_ESCALATE);
    VALUE(QK_ONE_FOR_ONE);
    VALUE(QK_ONE_FOR_ALL);
    VALUE(QK_REST_FOR_ONE);
    VALUE(QK_FAILURE_PANIC);
    VALUE(QK_FAILURE_ACTIVATE);
    VALUE(QK_FAILURE_ESCALATED);
    VALUE(QK_WATCH_ENDED);
    VALUE(QK_WATCH_FAILED);
    VALUE(QK_WATCH_ABSENT);
    VALUE(QK_CHILD_BEGINS);
    VALUE(QK_CHILD_LIVE);
    VALUE(QK_CHILD_FAILED);
    VALUE(QK_CHILD_WAITING);
    VALUE(QK_CHILD_ENDS);
}

static void print_values(void)
{
    VALUE(QK_ABI_MAJOR);
    VALUE(QK_ABI_MINOR);
    VALUE(QK_KEY_MAX);
    VALUE(QK_EVENTS_MAX);
    VALUE(QK_NOTE_TYPE);
    VALUE(QK_FILTERED_CALL);
    VALUE(QK_FILTERED_SEND);
    VALUE(QK_FILTERED_TICK);
    VALUE(QK_FILTERED_BEGIN);
    VALUE(QK_METHOD_ONE_WAY);
    VALUE(QK_METHOD_READ_ONLY);
    VALUE(QK_METHOD_INTERLEAVE_CHAIN);
    VALUE(QK_METHOD_INTERLEAVE_ALWAYS);
    VALUE(QK_TYPE_INTERLEAVE_CHAIN);
    VALUE(QK_TYPE_INTERLEAVE_ALWAYS);
    VALUE(QK_TYPE_INTERLEAVE_READS);
    VALUE(QK_TYPE_LAZY_STATE);
    VALUE(QK_TYPE_REFUSE_WHEN_FULL);
    VALUE(QK_STATE_LOAD);
    VALUE(QK_STATE_SAVE);
    VALUE(QK_STATE_CLEAR);
    VALUE(QK_TIMER_KEEPS_ACTIVE);
    VALUE(QK_SINGLETON);
    VALUE(QK_SCOPED);
    VALUE(QK_TRANSIENT);
    VALUE(QK_PLACE_HASH);
    VALUE(QK_PLACE_RANDOM);
    VALUE(QK_PLACE_PREFER_LOCAL);
    VALUE(QK_PLACE_LEAST_LOADED);
    VALUE(QK_PLACE_STATELESS);
    VALUE(QK_DEACTIVATE_IDLE);
    VALUE(QK_DEACTIVATE_REQUESTED);
    VALUE(QK_DEACTIVATE_SHUTDOWN);
    VALUE(QK_DEACTIVATE_STOPPED);
    VALUE(QK_DEACTIVATE_RESTART);
    VALUE(QK_DEACTIVATE_FAILED);
    VALUE(QK_LOG_ERROR);
    VALUE(QK_LOG_WARNING);
    VALUE(QK_LOG_NOTICE);
    VALUE(QK_LOG_INFO);
    VALUE(QK_LOG_DEBUG);
    VALUE(QK_APP_MIN);
    VALUE(QK_APP_MAX);
    TEXT(QK_NOTE_OWNER);
    TEXT(QK_PLUGIN_SYMBOL);
#define PRINT_STATUS(name, value, text, retry, may_have_run) VALUE(name);
    QK_STATUS_MAP(PRINT_STATUS)
#undef PRINT_STATUS
}

int main(void)
{
    print_descriptors();
    print_note();
    print_services();
    print_supervision();
    print_values();
    return 0;
}
