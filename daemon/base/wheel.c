/* SPDX-License-Identifier: Apache-2.0 */
/* The timing wheel: six levels of 64 slots; a timer moves down a level when the wheel below it has gone round. */
#include "base/wheel.h"

static void list_init(struct qk_timer *head)
{
    head->next = head->prev = head;
}

static void list_add(struct qk_timer *head, struct qk_timer *timer)
{
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
}

static void list_take(struct qk_timer *timer)
{
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->next = timer->prev = NULL;
}

void qk_wheel_init(struct qk_wheel *wheel, int64_t now)
{
    wheel->now = now;
    wheel->count = 0;
    for (int level = 0; level < QK_WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (int slot = 0; slot < QK_WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
    list_init(&wheel->due);
    list_init(&wheel->fresh);
}

/* Puts a timer where its distance from now says. */
static void place(struct qk_wheel *wheel, struct qk_timer *timer)
{
    if (timer->expiry <= wheel->now) {
        list_add(&wheel->due, timer);
        return;
    }
    uint64_t expiry = (uint64_t)timer->expiry;
    uint64_t differs = expiry ^ (uint64_t)wheel->now;
    int level = (63 - __builtin_clzll(differs)) / QK_WHEEL_BITS;
    if (level >= QK_WHEEL_LEVELS) {
        /* The last level goes round. What is too far even for it waits in the slot that comes last, and is placed again
         * then. */
        level = QK_WHEEL_LEVELS - 1;
        int shift = QK_WHEEL_BITS * level;
        if ((expiry >> shift) - ((uint64_t)wheel->now >> shift) >= QK_WHEEL_SLOTS)
            expiry = (uint64_t)wheel->now + ((QK_WHEEL_SLOTS - 1ull) << shift);
    }
    unsigned slot = (unsigned)(expiry >> (QK_WHEEL_BITS * level)) & (QK_WHEEL_SLOTS - 1);
    list_add(&wheel->slots[level][slot], timer);
    wheel->occupied[level] |= 1ull << slot;
}

void qk_wheel_place(struct qk_wheel *wheel, struct qk_timer *timer, int64_t expiry)
{
    assert(!qk_timer_is_started(timer));
    timer->expiry = expiry;
    wheel->count++;
    place(wheel, timer);
}

/* Places again everything of one list. */
static void place_all(struct qk_wheel *wheel, struct qk_timer *head)
{
    struct qk_timer *timer = head->next;
    head->prev->next = NULL;
    list_init(head);
    while (timer != NULL && timer != head) {
        struct qk_timer *next = timer->next;
        place(wheel, timer);
        timer = next;
    }
}

static void spill(struct qk_wheel *wheel, int level, unsigned slot)
{
    wheel->occupied[level] &= ~(1ull << slot);
    place_all(wheel, &wheel->slots[level][slot]);
}

/* The first tick after now at which a slot has to be looked at. */
static int64_t next_event(const struct qk_wheel *wheel)
{
    int64_t best = INT64_MAX;
    for (int level = 0; level < QK_WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] == 0)
            continue;
        int shift = QK_WHEEL_BITS * level;
        uint64_t position = (uint64_t)wheel->now >> shift;
        unsigned at = (unsigned)position & (QK_WHEEL_SLOTS - 1);
        uint64_t bits = wheel->occupied[level];
        uint64_t turned = at == 63 ? bits : (bits >> (at + 1)) | (bits << (63 - at));
        int64_t tick = (int64_t)((position + 1 + (unsigned)__builtin_ctzll(turned)) << shift);
        if (tick < best)
            best = tick;
    }
    return best;
}

void qk_wheel_advance(struct qk_wheel *wheel, int64_t now)
{
    place_all(wheel, &wheel->fresh);
    while (wheel->now < now) {
        int64_t tick = next_event(wheel);
        if (tick > now) {
            wheel->now = now;
            return;
        }
        wheel->now = tick;
        for (int level = QK_WHEEL_LEVELS - 1; level >= 0; level--) {
            int shift = QK_WHEEL_BITS * level;
            if (((uint64_t)tick & ((1ull << shift) - 1)) != 0)
                continue;
            unsigned slot = (unsigned)((uint64_t)tick >> shift) & (QK_WHEEL_SLOTS - 1);
            if ((wheel->occupied[level] & (1ull << slot)) != 0)
                spill(wheel, level, slot);
        }
    }
}

struct qk_timer *qk_wheel_pop(struct qk_wheel *wheel)
{
    struct qk_timer *timer = wheel->due.next;
    if (timer == &wheel->due)
        return NULL;
    list_take(timer);
    wheel->count--;
    return timer;
}

int64_t qk_wheel_next(struct qk_wheel *wheel)
{
    place_all(wheel, &wheel->fresh);
    if (wheel->due.next != &wheel->due)
        return wheel->now;
    return wheel->count == 0 ? INT64_MAX : next_event(wheel);
}
