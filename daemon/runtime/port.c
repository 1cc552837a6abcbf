/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the port in memory. */
#include "runtime/port.h"

#include <stdlib.h>

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
