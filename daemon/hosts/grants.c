/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Picks out of the lists of the configuration what one plugin is granted. */
#include "hosts/grants.h"

#include <errno.h>
#include <host.pb-c.h>
#include <stdlib.h>
#include <string.h>

static void free_list(const char *const *list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        free((char *)list[i]);
    free((void *)list);
}

static int copy_list(const char *const *from, const char *const **ret_list)
{
    size_t n = 0;
    while (from != NULL && from[n] != NULL)
        n++;
    char **list = calloc(n + 1, sizeof(*list));
    if (list == NULL)
        return -ENOMEM;
    *ret_list = (const char *const *)list;
    for (size_t i = 0; i < n; i++) {
        list[i] = strdup(from[i]);
        if (list[i] == NULL)
            return -ENOMEM;
    }
    return 0;
}

int qk_grants_copy(const struct qk_grants *from, struct qk_grants *ret_grants)
{
    struct qk_grants to = {.memory_max = from->memory_max, .files_max = from->files_max};
    if (copy_list(from->read, &to.read) < 0 || copy_list(from->write, &to.write) < 0 ||
        copy_list(from->devices, &to.devices) < 0 || copy_list(from->network, &to.network) < 0) {
        qk_grants_finish(&to);
        return -ENOMEM;
    }
    *ret_grants = to;
    return 0;
}

void qk_grants_finish(struct qk_grants *grants)
{
    free_list(grants->read);
    free_list(grants->write);
    free_list(grants->devices);
    free_list(grants->network);
    memset(grants, 0, sizeof(*grants));
}

/* The path of "PLUGIN:/path" when it is of this plugin, else NULL. */
static const char *path_for(const char *grant, const char *plugin)
{
    size_t n = strlen(plugin);
    return strncmp(grant, plugin, n) == 0 && grant[n] == ':' ? grant + n + 1 : NULL;
}

static int tell_path(const char *path, Quark__Host__Access access, Quark__Host__Setup *setup)
{
    Quark__Host__Path *one = malloc(sizeof(*one));
    Quark__Host__Path **all = realloc(setup->paths, (setup->n_paths + 1) * sizeof(*all));
    if (all != NULL)
        setup->paths = all;
    if (one == NULL || all == NULL) {
        free(one);
        return -ENOMEM;
    }
    quark__host__path__init(one);
    one->path = (char *)path;
    one->access = access;
    setup->paths[setup->n_paths++] = one;
    return 0;
}

static int tell_list(const char *const *list, const char *plugin, Quark__Host__Access access, Quark__Host__Setup *setup)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        const char *path = path_for(list[i], plugin);
        if (path != NULL && tell_path(path, access, setup) < 0)
            return -ENOMEM;
    }
    return 0;
}

int qk_grants_tell(const struct qk_grants *grants, const char *plugin, Quark__Host__Setup *setup)
{
    setup->memory_max = grants->memory_max;
    setup->files_max = grants->files_max;
    for (size_t i = 0; grants->network != NULL && grants->network[i] != NULL; i++)
        setup->network = setup->network || strcmp(grants->network[i], plugin) == 0;
    int rc = tell_list(grants->read, plugin, QUARK__HOST__ACCESS__READ, setup);
    if (rc == 0)
        rc = tell_list(grants->write, plugin, QUARK__HOST__ACCESS__WRITE, setup);
    if (rc == 0)
        rc = tell_list(grants->devices, plugin, QUARK__HOST__ACCESS__DEVICE, setup);
    return rc;
}

void qk_grants_clear(Quark__Host__Setup *setup)
{
    for (size_t i = 0; i < setup->n_paths; i++)
        free(setup->paths[i]);
    free(setup->paths);
    setup->paths = NULL;
    setup->n_paths = 0;
}
