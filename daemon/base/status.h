/* SPDX-License-Identifier: Apache-2.0 */
/* What a status code is called and what it tells a caller. Any thread. */
#ifndef QK_BASE_STATUS_H
#define QK_BASE_STATUS_H

#include <stdbool.h>
#include <quark/status.h>

/* "QK_ETIMEDOUT", "application", or the name of an errno ("ENOENT"); never NULL. */
const char *qk_status_name(int status);

/* One sentence; never NULL. */
const char *qk_status_text(int status);

/* Whether the same call may well succeed a little later. */
bool qk_status_retry_helps(int status);

/* Whether the method may have run although the call failed with this status. */
bool qk_status_may_have_run(int status);

#endif
