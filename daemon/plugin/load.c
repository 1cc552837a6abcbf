/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Loads a plugin from its sealed copy. The dynamic loader knows objects by the name they were opened with, and a
 * descriptor's number would be used again once it is closed: the copy therefore stays open as long as the object does.
 */
#include "plugin/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plugin/descriptor.h"
#include "runtime/runtime.h"

#define FD_PATH_MAX 32

static void fd_path(int fd, char path[static FD_PATH_MAX])
{
    snprintf(path, FD_PATH_MAX, "/proc/self/fd/%d", fd);
}

/* What the loader says begins with the name that it was given, which means nothing to people. */
static int link_refusal(const char *said, const char *name, struct qk_refusal *refusal)
{
    size_t n = strlen(name);
    if (said == NULL)
        said = "the dynamic loader does not say why";
    else if (strncmp(said, name, n) == 0 && strncmp(said + n, ": ", 2) == 0)
        said += n + 2;
    const char *symbol = strstr(said, "undefined symbol: ");
    if (symbol != NULL)
        return qk_refuse(refusal, QK_PLUGIN_UNDEFINED,
                         "it uses %s, which neither it nor a library that it is linked with defines",
                         symbol + strlen("undefined symbol: "));
    return qk_refuse(refusal, QK_PLUGIN_LIBRARY, "the dynamic loader can't load it: %s", said);
}

/* The name in the loader's list is what debuggers, profilers and backtraces show and look for symbols in. The loader's
 * own is kept, and put back before it is freed: another thread may be reading it. */
static void name_object(struct qk_loaded *loaded, const char *path)
{
    char *name = strdup(path);
    if (name == NULL)
        return;
    loaded->loaders_name = loaded->map->l_name;
    loaded->map->l_name = name;
}

/* The segment that the last address was found in: the next one is most often there too. */
struct search {
    uintptr_t at;
    uintptr_t begin;
    size_t size;
};

static bool is_found(const struct search *s)
{
    return s->at >= s->begin && s->at - s->begin < s->size;
}

static int visit_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    struct search *s = arg;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || (p->p_flags & PF_R) == 0)
            continue;
        s->begin = info->dlpi_addr + p->p_vaddr;
        s->size = p->p_memsz;
        if (is_found(s))
            return 1;
    }
    return 0;
}

/* What any object of the process has mapped may be read: a plugin's messages may lie in a library of its own. */
static size_t mapped_extent(void *arg, const void *at)
{
    struct search *s = arg;
    s->at = (uintptr_t)at;
    if (!is_found(s) && dl_iterate_phdr(visit_object, s) == 0)
        return 0;
    return s->size - (s->at - s->begin);
}

/* Copies what the plugin knows of each struct over the defaults of ours, so that nobody reads past the end of a struct
 * that a plugin of an older interface made. */
static struct qk_plugin *adopt(const struct qk_plugin *theirs)
{
    size_t n = (size_t)theirs->n_types;
    size_t list_at = sizeof(struct qk_plugin), types_at = list_at + n * sizeof(struct qk_type *);
    struct qk_plugin *ours = calloc(1, types_at + n * sizeof(struct qk_type));
    if (ours == NULL)
        return NULL;
    const struct qk_type **list = (const struct qk_type **)((char *)ours + list_at);
    struct qk_type *types = (struct qk_type *)((char *)ours + types_at);
    memcpy(ours, theirs, theirs->abi.size < sizeof(*ours) ? theirs->abi.size : sizeof(*ours));
    ours->types = list;
    for (size_t i = 0; i < n; i++) {
        const struct qk_type *type = theirs->types[i];
        memcpy(&types[i], type, type->abi.size < sizeof(*type) ? type->abi.size : sizeof(*type));
        list[i] = &types[i];
    }
    return ours;
}

/* The symbol must be the object's own: a library that the plugin is linked with may be a plugin too. */
static int find_descriptor(void *handle, const struct link_map *map, const struct qk_plugin **ret_plugin,
                           struct qk_refusal *refusal)
{
    Dl_info info;
    struct link_map *owner = NULL;
    const void *symbol = dlsym(handle, QK_PLUGIN_SYMBOL);
    if (symbol != NULL && (dladdr1(symbol, &info, (void **)&owner, RTLD_DL_LINKMAP) == 0 || owner != map))
        symbol = NULL;
    if (symbol == NULL)
        return qk_refuse(refusal, QK_PLUGIN_DAMAGED, "it has a Quark note but does not export the symbol %s",
                         QK_PLUGIN_SYMBOL);
    *ret_plugin = symbol;
    return 0;
}

static int take_descriptor(struct qk_loaded *loaded, const char *path, const struct qk_note_info *note,
                           struct qk_refusal *refusal)
{
    const struct qk_plugin *theirs = NULL;
    if (dlinfo(loaded->handle, RTLD_DI_LINKMAP, &loaded->map) != 0)
        return qk_refuse(refusal, QK_PLUGIN_LIBRARY, "the dynamic loader does not know it: %s", dlerror());
    name_object(loaded, path);
    struct search search = {0};
    int rc = find_descriptor(loaded->handle, loaded->map, &theirs, refusal);
    if (rc == 0)
        rc = qk_descriptor_check(theirs, note, &(struct qk_memory){mapped_extent, &search}, refusal);
    if (rc < 0)
        return rc;
    loaded->plugin = adopt(theirs);
    if (loaded->plugin == NULL)
        return qk_refuse(refusal, QK_PLUGIN_RESOURCES, "no memory for the plugin's descriptor");
    return 0;
}

static const char *volatile running;

const char *qk_load_running(void)
{
    return running;
}

int qk_load(int copy, size_t size, const char *path, const struct qk_note_info *note, struct qk_loaded *ret_loaded,
            struct qk_refusal *refusal)
{
    char name[FD_PATH_MAX];
    fd_path(copy, name);
    struct qk_loaded loaded = {.copy = copy, .size = size};
    dlerror();
    running = path;
    loaded.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    running = NULL;
    int rc =
        loaded.handle != NULL ? take_descriptor(&loaded, path, note, refusal) : link_refusal(dlerror(), name, refusal);
    if (rc == 0)
        *ret_loaded = loaded;
    else
        qk_unload(&loaded);
    return rc;
}

int qk_load_register(const struct qk_loaded *loaded, struct qk_runtime *rt, struct qk_refusal *refusal)
{
    char text[512] = "";
    int rc = qk_runtime_add_plugin(rt, loaded->plugin, text, sizeof(text));
    if (rc == 0)
        return 0;
    const char *code = rc == QK_EEXISTS     ? QK_PLUGIN_TYPE_TAKEN
                       : rc == QK_EVERSION  ? QK_PLUGIN_ABI
                       : rc == QK_ETOOBIG   ? QK_PLUGIN_TOO_MANY
                       : rc == -ENOMEM      ? QK_PLUGIN_RESOURCES
                       : rc == QK_ENOTFOUND ? QK_PLUGIN_NEED_MISSING
                       : rc == QK_EDEADLOCK ? QK_PLUGIN_CIRCLE
                       : rc == QK_ESTATE    ? QK_PLUGIN_OUTLIVES
                                            : QK_PLUGIN_DAMAGED;
    return qk_refuse(refusal, code, "%s", text[0] != 0 ? text : "no memory for its types");
}

/* An object may ask to stay for ever; its name, and with it the number of the descriptor, is then taken for ever. */
static bool is_still_there(int copy)
{
    char name[FD_PATH_MAX];
    fd_path(copy, name);
    void *handle = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    if (handle != NULL)
        dlclose(handle);
    return handle != NULL;
}

void qk_unload(struct qk_loaded *loaded)
{
    char *name = NULL;
    if (loaded->loaders_name != NULL) {
        name = loaded->map->l_name;
        loaded->map->l_name = loaded->loaders_name;
    }
    if (loaded->handle != NULL)
        dlclose(loaded->handle);
    free(name);
    free(loaded->plugin);
    if (loaded->copy >= 0 && (loaded->handle == NULL || !is_still_there(loaded->copy)))
        close(loaded->copy);
    *loaded = (struct qk_loaded){.copy = -1};
}
