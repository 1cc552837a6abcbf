/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the port in memory. */
#include "runtime/port.h"

#include <stdlib.h>
#include <string.h>

struct qk_port_frame *qk_port_frame_create(size_t capacity)
{
    if (capacity > UINT32_MAX)
        return NULL;
    struct qk_port_frame *frame = malloc(sizeof(*frame) + capacity);
    if (frame != NULL)
        *frame = (struct qk_port_frame){.capacity = (uint32_t)capacity};
    return frame;
}

void qk_port_frame_destroy(struct qk_port_frame *frame)
{
    free(frame);
}

uint8_t *qk_port_event_put(uint8_t *at, uint64_t position, uint32_t size)
{
    struct qk_port_event event = {.position = position, .size = size};
    memcpy(at, &event, sizeof(event));
    return at + sizeof(event);
}

const uint8_t *qk_port_event_next(const uint8_t **at, const uint8_t *end, struct qk_port_event *ret_event)
{
    if ((size_t)(end - *at) < sizeof(*ret_event))
        return NULL;
    memcpy(ret_event, *at, sizeof(*ret_event));
    const uint8_t *bytes = *at + sizeof(*ret_event);
    if (ret_event->size > (size_t)(end - bytes))
        return NULL;
    *at = bytes + ret_event->size;
    return bytes;
}

/* The tag of field 2^29 - 1, eight bytes long, as protobuf writes it. */
static const uint8_t snapshot_tag[] = {0xf9, 0xff, 0xff, 0xff, 0x0f};

void qk_port_snapshot_put(uint8_t head[QK_SNAPSHOT_HEAD], uint64_t position)
{
    memcpy(head, snapshot_tag, sizeof(snapshot_tag));
    for (unsigned i = 0; i < 8; i++)
        head[sizeof(snapshot_tag) + i] = (uint8_t)(position >> (8 * i));
}

size_t qk_port_snapshot_head(const uint8_t *bytes, size_t size, uint64_t *ret_position)
{
    *ret_position = 0;
    if (size < QK_SNAPSHOT_HEAD || memcmp(bytes, snapshot_tag, sizeof(snapshot_tag)) != 0)
        return 0;
    for (unsigned i = 0; i < 8; i++)
        *ret_position |= (uint64_t)bytes[sizeof(snapshot_tag) + i] << (8 * i);
    return QK_SNAPSHOT_HEAD;
}
