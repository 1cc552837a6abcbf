/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded into a test program of another unit, this has it run inside the sandbox, closed: so what a host consists of
 * is tested where a host has to live.
 */
#include <execinfo.h>
#include <stdio.h>
#include <unistd.h>
#include "host/sandbox.h"

__attribute__((constructor)) static void go_inside(void)
{
    static const int keep[] = {0, 1, 2};
    static const struct qk_sandbox_path check = {"/tmp", QK_SANDBOX_READ | QK_SANDBOX_WRITE}; /* Check's notes */
    const struct qk_sandbox_spec spec = {.keep = keep, .n_keep = 3, .paths = &check, .n_paths = 1};
    char why[QK_SANDBOX_WHY_MAX];
    void *frames[2];
    (void)backtrace(frames, 2); /* loads the unwinder, as a host does before */
    if (qk_sandbox_enter(&spec, why, sizeof(why)) < 0 || qk_sandbox_close(why, sizeof(why)) < 0) {
        fprintf(stderr, "not inside: %s\n", why);
        _exit(1);
    }
}
