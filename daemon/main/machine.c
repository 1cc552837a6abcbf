/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the limits of memory from /proc and from the control groups. */
#include "main/machine.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void lower(uint64_t *bound, uint64_t to)
{
    if (to != 0 && to < *bound)
        *bound = to;
}

/* The number in a file of one line; 0 when there is none ("max", no such file). */
static uint64_t read_number(const char *root, const char *dir, const char *path, const char *name)
{
    char full[PATH_MAX], text[64] = "";
    if (snprintf(full, sizeof(full), "%s%s%s/%s", root, dir, path, name) >= (int)sizeof(full))
        return 0;
    FILE *f = fopen(full, "re");
    if (f == NULL)
        return 0;
    if (fgets(text, sizeof(text), f) == NULL)
        text[0] = '\0';
    fclose(f);
    return strtoull(text, NULL, 10);
}

/* The limits of a group and of all that it is in. A container may see its group's files at the top instead. */
static void look_up(const char *root, const char *dir, char *path, const char *const *names, uint64_t *bound)
{
    for (;;) {
        for (const char *const *name = names; *name != NULL; name++)
            lower(bound, read_number(root, dir, path, *name));
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

static void look_at_groups(const char *root, uint64_t *bound)
{
    static const char *const v1[] = {"memory.limit_in_bytes", NULL};
    static const char *const v2[] = {"memory.max", "memory.high", NULL};
    char full[PATH_MAX], line[PATH_MAX];
    if (snprintf(full, sizeof(full), "%s/proc/self/cgroup", root) >= (int)sizeof(full))
        return;
    FILE *f = fopen(full, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) { /* number:controllers:path */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = '\0';
        if (strstr(controllers, "memory") != NULL)
            look_up(root, "/sys/fs/cgroup/memory", path, v1, bound);
        else if (strcmp(controllers, ":") == 0)
            look_up(root, "/sys/fs/cgroup", path, v2, bound);
    }
    if (f != NULL)
        fclose(f);
}

uint64_t qk_machine_memory(const char *root)
{
    char full[PATH_MAX], line[256];
    uint64_t bound = UINT64_MAX;
    unsigned long long kib;
    if (snprintf(full, sizeof(full), "%s/proc/meminfo", root) >= (int)sizeof(full))
        return 0;
    FILE *f = fopen(full, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "MemTotal: %llu kB", &kib) == 1)
            lower(&bound, kib * 1024);
    }
    if (f != NULL)
        fclose(f);
    look_at_groups(root, &bound);
    return bound != UINT64_MAX ? bound : 0;
}
