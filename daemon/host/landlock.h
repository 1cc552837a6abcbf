/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock: which files a process may open, whatever their modes say. */
#ifndef QK_HOST_LANDLOCK_H
#define QK_HOST_LANDLOCK_H

#include "host/sandbox.h"
#include "host/why.h"

/* The version of the kernel's interface, from 1 on, or -errno: -ENOSYS when it was built without it, -EOPNOTSUPP when
 * it was started without it, -EPERM when a filter is in the way. */
int qk_landlock_version(void);

/* Bars this process from all files but the paths of `spec` and those of the system that every process reads. Needs
 * no_new_privs. 0, or -errno with the reason. */
int qk_landlock_enter(const struct qk_sandbox_spec *spec, int version, struct qk_why *why);

#endif
