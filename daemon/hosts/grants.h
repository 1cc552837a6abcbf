/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What isolated plugins may use beyond what every plugin may. The control thread only. */
#ifndef QK_HOSTS_GRANTS_H
#define QK_HOSTS_GRANTS_H

#include <stddef.h>
#include <stdint.h>

/* As the configuration says it, already checked. The lists end with NULL, or are NULL. */
struct qk_grants {
    uint64_t memory_max;        /* bytes, of each process, above what it begins with; 0: no bound */
    uint32_t files_max;         /* descriptors open at once; 0: as many as the daemon may have */
    const char *const *read;    /* "PLUGIN:/path" */
    const char *const *write;   /* likewise; may be read too */
    const char *const *devices; /* likewise, with the requests of its driver */
    const char *const *network; /* names of plugins */
};

/* A copy with strings of its own. 0 or -ENOMEM. */
int qk_grants_copy(const struct qk_grants *from, struct qk_grants *ret_grants);

/* Of a copy; all zero is fine. */
void qk_grants_finish(struct qk_grants *grants);

struct Quark__Host__Setup;

/* Tells a process what its plugin is granted; qk_grants_clear() frees what that took. 0 or -ENOMEM. */
int qk_grants_tell(const struct qk_grants *grants, const char *plugin, struct Quark__Host__Setup *setup);
void qk_grants_clear(struct Quark__Host__Setup *setup);

#endif
