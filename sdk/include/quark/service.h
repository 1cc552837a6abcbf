/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Services: what a plugin makes once and hands to whoever asks, instead of globals and of code that each handler
 * repeats. A service is declared in a header, defined in one .c file, and listed:
 *
 *     QK_SERVICE(clock, struct my_clock);                                     in a header
 *
 *     QK_SERVICE_DEFINE(clock, .lifetime = QK_SINGLETON, .create = make_clock, .destroy = free_clock);
 *     QK_SERVICE_DEFINE(diary, .lifetime = QK_SCOPED, .needs = QK_NEEDS(&clock_service_desc), .create = make_diary);
 *     QK_SERVICES(my_services, &clock_service_desc, &diary_service_desc);     in a .c file, with
 *     --quark_opt=plugin=NAME,version=1.0,services=my_services                for the generator
 *
 *     struct my_clock *clock = clock_service(t);                              in a handler, a hook, another create
 *
 * An instance is made when it is first asked for, what it needs before it, and is destroyed when its scope ends: the
 * host (QK_SINGLETON), the activation (QK_SCOPED, behind on_deactivate), the turn (QK_TRANSIENT, once its reply has
 * gone out). The newest goes first. A scope that ends by a failure or a qk_panic() ends like any other.
 *
 * `int create(qk_turn *t, void **ret_instance)` returns 0 or more and an instance, or less than 0, with a text by
 * qk_fail(): then whoever asked gets that status, and the next who asks has it tried again. It may use the services
 * that it needs, and no others. It may call actors and do all else that a handler may; but it must not wait (calls,
 * sends, stored state, qk_offload(), qk_yield() fail with QK_ESTATE) for a singleton, since the other threads that want
 * it stand still meanwhile, nor for a scoped one in a type whose turns interleave. A qk_panic() there is one of the
 * turn that asked.
 *
 * `void destroy(void *instance)` gets no turn, so it can't call actors. What it needed is still there.
 *
 * An instance of a singleton is used by several threads at a time and has to be made for that. Services live as long as
 * what needs them or longer: a plugin in which a singleton needs a scoped one is not loaded, nor is one with services
 * that need one another in a circle or that nobody has.
 */
#ifndef QUARK_SERVICE_H
#define QUARK_SERVICE_H

#include <quark/actor.h>

#if defined(__GNUC__)
#define QK_SERVICE_MAYBE_UNUSED __attribute__((unused))
#else
#define QK_SERVICE_MAYBE_UNUSED
#endif

/* The accessors. A failure of NAME_service_get() that the handler returns brings its text to the caller. */
#define QK_SERVICE_ACCESSORS(name_, type_)                                        \
    QK_SERVICE_MAYBE_UNUSED                                                       \
    static inline int name_##_service_get(qk_turn *t, type_ **ret_instance)       \
    {                                                                             \
        void *instance = NULL;                                                    \
        int rc = t->host->service(t, &name_##_service_desc, &instance);           \
        if (rc >= 0)                                                              \
            *ret_instance = (type_ *)instance;                                    \
        return rc;                                                                \
    }                                                                             \
    QK_SERVICE_MAYBE_UNUSED                                                       \
    static inline type_ *name_##_service(qk_turn *t)                              \
    {                                                                             \
        type_ *instance = NULL;                                                   \
        return name_##_service_get(t, &instance) >= 0 ? instance : (type_ *)NULL; \
    }                                                                             \
    struct qk_service

/**
 * Declares a service of this plugin and its accessors, at file scope:
 *
 * - `TYPE *NAME_service(qk_turn *t)`: the instance, or NULL with a text in qk_error();
 * - `int NAME_service_get(qk_turn *t, TYPE **ret_instance)`: 0, or the status that create failed with; QK_ENOTFOUND (it
 *   is not in the plugin's list), QK_EINVALID (from a create function that does not say that it needs it),
 *   QK_ENOMEMORY; the text in qk_error() goes with the status when the handler returns it. May suspend where create
 *   may.
 *
 * The instance is the host's: keep no pointer to it beyond its scope, and never free it.
 */
#if defined(__cplusplus)
#define QK_SERVICE(name_, type_)                             \
    extern "C" const struct qk_service name_##_service_desc; \
    QK_SERVICE_ACCESSORS(name_, type_)
#else
#define QK_SERVICE(name_, type_)                         \
    extern const struct qk_service name_##_service_desc; \
    QK_SERVICE_ACCESSORS(name_, type_)
#endif

/** Declares a service of another plugin, which has to be loaded before: QK_SERVICE_OF(time_clock, "time", "clock",
 *  struct time_clock) gives time_clock_service(t). What the plugins share is the type, whose members may be functions;
 *  neither sees the other's symbols. In QK_NEEDS() it is `&time_clock_service_desc`. */
#define QK_SERVICE_OF(name_, plugin_, service_, type_)                                         \
    QK_SERVICE_MAYBE_UNUSED                                                                    \
    static const struct qk_service name_##_service_desc = {                                    \
        QK_ABI_HEAD(struct qk_service), plugin_, service_, QK_TRANSIENT, 0, NULL, NULL, NULL}; \
    QK_SERVICE_ACCESSORS(name_, type_)

/** Defines a declared service, once, in a .c file: `.lifetime` (enum qk_lifetime), `.create`, and where there is any
 *  `.needs = QK_NEEDS(...)` and `.destroy`. */
#define QK_SERVICE_DEFINE(name_, ...) \
    const struct qk_service name_##_service_desc = {.abi = QK_ABI_HEAD(struct qk_service), .name = #name_, __VA_ARGS__}

/** What a service needs: QK_NEEDS(&clock_service_desc, ...), made in this order before it. */
#define QK_NEEDS(...) ((const struct qk_service *const[]){__VA_ARGS__, NULL})

/** The services of the plugin, once, in a .c file; the generator is told the name of the list with `services=LIST`. */
#define QK_SERVICES(list_, ...)                    \
    extern const struct qk_service *const list_[]; \
    const struct qk_service *const list_[] = {__VA_ARGS__, NULL}

#endif
