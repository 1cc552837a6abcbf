/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checks that bytes are a whole shared object that this machine's dynamic loader can map: nothing that the loader reads
 * before it looks at symbols lies outside the file. Pure functions; any thread.
 */
#ifndef QK_PLUGIN_IMAGE_H
#define QK_PLUGIN_IMAGE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include "plugin/refusal.h"

#define QK_IMAGE_SEGMENTS_MAX 128
#define QK_IMAGE_MEMORY_MAX   (UINT64_C(4) << 30) /* bytes of address space that one object may ask for */

/* A file whose bounds are checked: every segment with bytes in the file lies in it. */
struct qk_image {
    const uint8_t *bytes;
    size_t size;
    unsigned n_segments;
    Elf64_Phdr segments[QK_IMAGE_SEGMENTS_MAX];
};

/* 0, or QK_EINVALID with the reason. The bytes stay the caller's and must outlive ret_image. */
int qk_image_check(const uint8_t *bytes, size_t size, struct qk_image *ret_image, struct qk_refusal *refusal);

#endif
