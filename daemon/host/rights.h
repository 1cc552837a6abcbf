/* SPDX-License-Identifier: Apache-2.0 */
/* What a process may use up, and which rights beyond those of its user it has. */
#ifndef QK_HOST_RIGHTS_H
#define QK_HOST_RIGHTS_H

#include "host/sandbox.h"
#include "host/why.h"

/* No core dumps, and the bounds of `spec`. `bound_memory` false leaves memory_max out. 0, or -errno with the reason. */
int qk_rights_limit(const struct qk_sandbox_spec *spec, bool bound_memory, struct qk_why *why);

/* Gives up supplementary groups, capabilities, and all ways to get any. 0, or -errno with the reason. */
int qk_rights_drop(struct qk_why *why);

#endif
