/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp: which system calls a process may make, and with which arguments. */
#ifndef QK_HOST_FILTER_H
#define QK_HOST_FILTER_H

#include "host/sandbox.h"
#include "host/why.h"

/* Appends to `why` what the kernel lacks, or keeps from us. */
void qk_filter_lacking(struct qk_why *why);

/* Puts the filters of both steps together and the first in force, for all threads. Needs no_new_privs. 0, or -errno
 * with the reason. */
int qk_filter_enter(const struct qk_sandbox_spec *spec, int landlock_version, struct qk_why *why);

/* The second step: no executable memory, no more filters. 0, or -errno with the reason. */
int qk_filter_close(struct qk_why *why);

const char *qk_filter_call_name(int number);

#endif
