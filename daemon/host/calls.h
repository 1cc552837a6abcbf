/* SPDX-License-Identifier: Apache-2.0 */
/* The table of system calls: what happens to each that this machine has. */
#ifndef QK_HOST_CALLS_H
#define QK_HOST_CALLS_H

#include <stddef.h>

#define QK_CALLS_MAX 1024 /* above every number that a system call has */

enum qk_call_class {
    QK_CALL_NEVER,   /* what no plugin has a use for: the process ends */
    QK_CALL_PLAIN,   /* allowed; filter.c may look at its arguments */
    QK_CALL_CHOSEN,  /* allowed with the arguments that filter.c names, unknown with others */
    QK_CALL_NETWORK, /* allowed with the network, EACCES without */
    QK_CALL_REFUSED, /* EPERM: libraries try it and go on */
    QK_CALL_UNKNOWN, /* ENOSYS: libraries try it and take another way */
};

enum qk_call_class qk_call_class(int number);

#endif
