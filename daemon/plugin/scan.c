/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A scan: what is in the directories now, against what was there at the last one. What is new or has changed is loaded
 * or refused; each outcome is logged when it differs from the one before.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include "base/limits.h"
#include "base/log.h"
#include "plugin/set.h"

struct scan {
    struct qk_plugins *set;
    struct qk_plugins_changes changes;
    uint64_t left_out; /* files beyond the bound */
    unsigned waiting;  /* files that need a service which a later one may bring */
    bool again;        /* only such files are looked at */
    bool last;         /* nothing will come any more: they are refused */
};

/* A directory while it is looked at. */
struct scanned_dir {
    unsigned index;
    int fd;
    const char *path;
    struct qk_file_stamp stamp;
    struct qk_refusal refusal; /* code NULL: files of it may be loaded */
};

static void log_entry(const struct qk_plugin_entry *entry, enum qk_log_level level, const char *text)
{
    const struct qk_log_field fields[] = {
        {"QUARK_FILE", entry->path},
        {"QUARK_PLUGIN", entry->note.name[0] != 0 ? entry->note.name : NULL},
        {NULL, NULL},
    };
    qk_log_write(level, entry->code[0] != 0 ? entry->code : NULL, fields, "%s", text);
}

/* Notes why and says it once. NULL: all is well. */
static void set_reason(struct qk_plugin_entry *entry, const struct qk_refusal *why)
{
    bool same = why == NULL ? entry->code[0] == 0
                            : strcmp(entry->code, why->code) == 0 && entry->reason != NULL &&
                                  strcmp(entry->reason, why->text) == 0;
    if (same)
        return;
    free(entry->reason);
    entry->reason = why != NULL ? strdup(why->text) : NULL;
    entry->code = why != NULL ? why->code : "";
    if (why == NULL)
        return;
    char text[QK_REFUSAL_TEXT_MAX + 512];
    bool loaded = entry->state == QK_PLUGIN_LOADED;
    snprintf(text, sizeof(text), "%s %s: %s",
             loaded ? "plugin stays as it was loaded:" : "plugin refused:", entry->path, why->text);
    log_entry(entry, loaded ? QK_LOG_WARNING : QK_LOG_ERROR, text);
}

static void log_loaded(const struct qk_plugin_entry *entry)
{
    const struct qk_plugin *plugin = qk_plugins_descriptor(entry);
    char types[QK_LOG_TEXT_MAX / 2] = "", text[QK_LOG_TEXT_MAX];
    size_t at = 0;
    for (uint64_t i = 0; i < plugin->n_types && at < sizeof(types); i++)
        at += (size_t)snprintf(types + at, sizeof(types) - at, "%s%s", i > 0 ? ", " : "", plugin->types[i]->name);
    snprintf(text, sizeof(text), "plugin loaded%s: %s %s from %s, actor types: %s",
             entry->host != NULL ? " into a process of its own" : "", plugin->name, plugin->version, entry->path,
             plugin->n_types > 0 ? types : "none");
    log_entry(entry, QK_LOG_INFO, text);
}

static int check_name_free(const struct qk_plugins *set, const char *name, struct qk_refusal *refusal)
{
    for (size_t i = 0; i < set->n_loaded; i++) {
        const struct qk_plugin_entry *other = set->in_order[i];
        if (strcmp(qk_plugins_descriptor(other)->name, name) == 0)
            return qk_refuse(refusal, QK_PLUGIN_NAME_TAKEN, "the plugin %s is already loaded, from %s", name,
                             other->path);
    }
    return 0;
}

static int read_note(int copy, size_t size, struct qk_plugin_entry *entry, struct qk_refusal *refusal)
{
    const void *bytes = qk_file_map(copy, size, refusal);
    if (bytes == NULL)
        return QK_EINVALID;
    int rc = qk_note_read(bytes, size, &entry->note, refusal);
    if (size > 0)
        munmap((void *)bytes, size);
    if (rc == 0)
        snprintf(entry->abi, sizeof(entry->abi), "%u.%u", entry->note.abi_major, entry->note.abi_minor);
    return rc;
}

/* Takes the types into the runtime, when the rest of the silo has nothing against them. */
static int enrol(const struct qk_plugins *set, const struct qk_loaded *loaded, struct qk_refusal *refusal)
{
    char text[QK_REFUSAL_TEXT_MAX] = "";
    const char *code = QK_PLUGIN_DAMAGED;
    if (set->admit != NULL && set->admit(set->admit_arg, loaded->plugin, &code, text, sizeof(text)) < 0)
        return qk_refuse(refusal, code, "%s", text);
    int rc = qk_load_register(loaded, set->runtime, refusal);
    if (rc < 0 && set->withdraw != NULL)
        set->withdraw(set->admit_arg);
    return rc;
}

/* Has the plugin loaded by a process of its own. Takes the copy over. */
static int load_apart(struct qk_plugins *set, struct qk_plugin_entry *entry, int copy, size_t size,
                      struct qk_refusal *refusal)
{
    const struct qk_plugins_config *hosts = &set->hosts;
    char text[QK_REFUSAL_TEXT_MAX] = "";
    const char *code = QK_PLUGIN_DAMAGED;
    const struct qk_plugin *plugin;
    void *host;
    int kept = fcntl(copy, F_DUPFD_CLOEXEC, 3); /* to compare with */
    int rc = hosts->host(hosts->host_arg, copy, size, entry->path, &entry->note, &host, &plugin, refusal);
    if (rc == 0 && set->admit != NULL && set->admit(set->admit_arg, plugin, &code, text, sizeof(text)) < 0) {
        hosts->drop(hosts->host_arg, host);
        rc = qk_refuse(refusal, code, "%s", text);
    }
    if (rc < 0) {
        if (kept >= 0)
            close(kept);
        return rc;
    }
    entry->host = host;
    entry->hosted = plugin;
    entry->kept = kept;
    entry->kept_size = size;
    hosts->open(hosts->host_arg, host);
    return 0;
}

static int load_file(struct qk_plugins *set, const struct scanned_dir *dir, const char *name,
                     struct qk_plugin_entry *entry, struct qk_refusal *refusal)
{
    int copy;
    size_t size;
    memset(&entry->note, 0, sizeof(entry->note));
    entry->abi[0] = 0;
    int rc = qk_file_copy(dir->fd, name, entry->path, set->user, &copy, &size, refusal);
    if (rc < 0)
        return rc;
    rc = read_note(copy, size, entry, refusal);
    if (rc == 0)
        rc = qk_note_check_abi(entry->note.abi_major, entry->note.abi_minor, refusal);
    if (rc == 0)
        rc = check_name_free(set, entry->note.name, refusal);
    if (rc < 0) {
        close(copy);
        return rc;
    }
    if (set->hosts.isolates != NULL && set->hosts.isolates(set->hosts.host_arg, entry->note.name))
        return load_apart(set, entry, copy, size, refusal);
    rc = qk_load(copy, size, entry->path, &entry->note, &entry->loaded, refusal);
    if (rc < 0)
        return rc;
    rc = enrol(set, &entry->loaded, refusal);
    if (rc < 0)
        qk_unload(&entry->loaded);
    return rc;
}

static void try_load(struct scan *scan, const struct scanned_dir *dir, const char *name, struct qk_plugin_entry *entry)
{
    struct qk_plugins *set = scan->set;
    struct qk_refusal refusal = dir->refusal;
    if (refusal.code == NULL && load_file(set, dir, name, entry, &refusal) == 0) {
        entry->state = QK_PLUGIN_LOADED;
        entry->loaded_ms = set->wall_ms(set->clock_arg);
        set->in_order[set->n_loaded++] = entry;
        set_reason(entry, NULL);
        log_loaded(entry);
        scan->changes.loaded++;
        return;
    }
    if (!scan->last && strcmp(refusal.code, QK_PLUGIN_NEED_MISSING) == 0) {
        scan->waiting++;
        if (strcmp(entry->code, QK_PLUGIN_NEED_MISSING) == 0)
            return;
        free(entry->reason);
        entry->reason = NULL;
        entry->code = QK_PLUGIN_NEED_MISSING;
        return;
    }
    set_reason(entry, &refusal);
    scan->changes.refused++;
}

static bool has_same_bytes(int a, size_t a_size, int b, size_t b_size, struct qk_refusal *refusal)
{
    if (a_size != b_size)
        return false;
    const void *a_bytes = qk_file_map(a, a_size, refusal), *b_bytes = qk_file_map(b, b_size, refusal);
    bool same = a_bytes != NULL && b_bytes != NULL && memcmp(a_bytes, b_bytes, a_size) == 0;
    if (a_bytes != NULL && a_size > 0)
        munmap((void *)a_bytes, a_size);
    if (b_bytes != NULL && b_size > 0)
        munmap((void *)b_bytes, b_size);
    return same;
}

/* The file of a loaded plugin is not as it was: says so unless its bytes are the same and it would still be taken. */
static void compare_with_loaded(const struct qk_plugins *set, const struct scanned_dir *dir, const char *name,
                                struct qk_plugin_entry *entry)
{
    int copy;
    size_t size;
    struct qk_refusal refusal = dir->refusal;
    if (refusal.code == NULL && qk_file_copy(dir->fd, name, entry->path, set->user, &copy, &size, &refusal) == 0) {
        bool apart = entry->host != NULL;
        bool same = has_same_bytes(copy, size, apart ? entry->kept : entry->loaded.copy,
                                   apart ? entry->kept_size : entry->loaded.size, &refusal);
        close(copy);
        if (same) {
            set_reason(entry, NULL);
            return;
        }
        qk_refuse(&refusal, QK_PLUGIN_CHANGED, "the file is not the one that was loaded; a restart loads it");
    }
    set_reason(entry, &refusal);
}

/* Whether the outcome may be another one although the file is the same: it hung on something outside of it. */
static bool may_succeed_now(const struct qk_plugin_entry *entry)
{
    static const char *const codes[] = {QK_PLUGIN_UNREADABLE, QK_PLUGIN_UNDEFINED, QK_PLUGIN_LIBRARY,
                                        QK_PLUGIN_RESOURCES, QK_PLUGIN_NEED_MISSING};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(entry->code, codes[i]) == 0)
            return true;
    }
    return false;
}

static int visit_file(struct scan *scan, const struct scanned_dir *dir, const char *name)
{
    struct qk_plugins *set = scan->set;
    struct stat st;
    char path[4096 + 256 + 2];
    snprintf(path, sizeof(path), "%s/%s", dir->path, name);
    struct qk_plugin_entry *entry = qk_plugins_find_entry(set, path);
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* gone since the directory was read */
    if (entry != NULL)
        entry->seen = true;
    if (scan->again && entry != NULL && strcmp(entry->code, QK_PLUGIN_NEED_MISSING) != 0)
        return 0;
    if (set->watch != NULL && qk_dirwatch_is_written(set->watch, dir->index, name, st.st_size))
        return 0;
    struct qk_file_stamp stamp;
    qk_file_stamp(&st, &stamp);
    if (entry != NULL && qk_file_same_stamp(&stamp, &entry->stamp) && dir->stamp.mode == entry->dir_stamp.mode &&
        dir->stamp.uid == entry->dir_stamp.uid && strcmp(entry->code, QK_PLUGIN_GONE) != 0 && !may_succeed_now(entry))
        return 0;
    if (entry == NULL && set->n_entries == QK_PLUGINS_MAX) {
        scan->left_out++;
        return 0;
    }
    if (entry == NULL)
        entry = qk_plugins_add_entry(set, path);
    if (entry == NULL)
        return -ENOMEM;
    entry->seen = true;
    entry->stamp = stamp;
    entry->dir_stamp = dir->stamp;
    if (entry->state == QK_PLUGIN_LOADED)
        compare_with_loaded(set, dir, name, entry);
    else
        try_load(scan, dir, name, entry);
    return 0;
}

static int select_name(const struct dirent *entry)
{
    return qk_dirwatch_wants(entry->d_name);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visit_files(struct scan *scan, const struct scanned_dir *dir)
{
    struct dirent **names;
    int n = scandirat(dir->fd, ".", &names, select_name, compare_names);
    if (n < 0)
        return -errno;
    int rc = 0;
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = visit_file(scan, dir, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return rc;
}

/* What could not be read is not gone. */
static void keep_entries(struct qk_plugins *set, const char *dir)
{
    size_t n = strlen(dir);
    for (size_t i = 0; i < set->n_entries; i++) {
        const char *path = set->entries[i]->path;
        if (strncmp(path, dir, n) == 0 && path[n] == '/' && strchr(path + n + 1, '/') == NULL)
            set->entries[i]->seen = true;
    }
}

static void tell_unwatched(struct qk_plugins *set, const char *path, int rc)
{
    if (rc >= 0 || set->told_unwatched)
        return;
    set->told_unwatched = true;
    qk_log_write(QK_LOG_WARNING, NULL, NULL, "%s can't be watched (%s): new plugins there are found by a reload only",
                 path, strerror(-rc));
}

/* A directory that is missing is no error and is waited for. The descriptor, or -ENOENT, or another -errno. */
static int open_dir(struct qk_plugins *set, unsigned index)
{
    for (int attempt = 0;; attempt++) {
        int fd = open(set->dirs[index], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        if (errno != ENOENT && errno != ENOTDIR)
            return -errno;
        int rc = set->watch != NULL ? qk_dirwatch_await(set->watch, index, set->dirs[index]) : 0;
        tell_unwatched(set, set->dirs[index], rc);
        if (rc <= 0 || attempt == 8)
            return -ENOENT;
    }
}

static int scan_dir(struct scan *scan, unsigned index, struct scanned_dir *dirs)
{
    struct qk_plugins *set = scan->set;
    struct scanned_dir *dir = &dirs[index];
    struct stat st;
    *dir = (struct scanned_dir){.index = index, .path = set->dirs[index], .fd = open_dir(set, index)};
    if (dir->fd == -ENOENT)
        return 0;
    int rc = dir->fd < 0 ? dir->fd : fstat(dir->fd, &st) < 0 ? -errno : 0;
    if (rc == 0) {
        qk_file_stamp(&st, &dir->stamp);
        for (unsigned i = 0; i < index; i++) {
            if (dirs[i].stamp.ino == st.st_ino && dirs[i].stamp.dev == st.st_dev)
                goto done; /* the same directory by another name */
        }
        if (set->watch != NULL)
            tell_unwatched(set, dir->path, qk_dirwatch_arm(set->watch, index, dir->fd));
        (void)qk_file_check_trust(&st, dir->path, set->user, &dir->refusal);
        rc = visit_files(scan, dir);
    }
    if (rc < 0) {
        keep_entries(set, dir->path);
        qk_log_write(QK_LOG_ERROR, NULL, NULL, "the plugin directory %s can't be read: %s", dir->path, strerror(-rc));
    }
done:
    if (dir->fd >= 0)
        close(dir->fd);
    return rc;
}

/* How many entries were dropped. */
static unsigned handle_gone(struct qk_plugins *set)
{
    unsigned dropped = 0;
    for (size_t i = set->n_entries; i-- > 0;) {
        struct qk_plugin_entry *entry = set->entries[i];
        struct qk_refusal refusal;
        if (entry->seen)
            continue;
        if (entry->state != QK_PLUGIN_LOADED) {
            qk_plugins_remove_entry(set, i);
            dropped++;
            continue;
        }
        qk_refuse(&refusal, QK_PLUGIN_GONE, "the file is gone; the plugin is there until the silo stops");
        set_reason(entry, &refusal);
    }
    return dropped;
}

static int scan_once(struct scan *scan, struct scanned_dir *dirs, unsigned *ret_dropped)
{
    struct qk_plugins *set = scan->set;
    int rc = 0;
    scan->left_out = 0;
    for (size_t i = 0; i < set->n_entries; i++)
        set->entries[i]->seen = false;
    for (unsigned i = 0; i < set->n_dirs; i++) {
        int one = scan_dir(scan, i, dirs);
        rc = rc < 0 ? rc : one;
    }
    *ret_dropped = handle_gone(set);
    return rc;
}

int qk_plugins_scan(struct qk_plugins *set, struct qk_plugins_changes *ret_changes)
{
    struct scan scan = {.set = set};
    unsigned dropped;
    struct scanned_dir *dirs = calloc(set->n_dirs + 1, sizeof(*dirs));
    if (dirs == NULL)
        return -ENOMEM;
    int rc = scan_once(&scan, dirs, &dropped);
    if (scan.left_out > 0 && dropped > 0)
        rc = scan_once(&scan, dirs, &dropped); /* there is room now */
    /* Plugins whose services need those of others come after them, whatever their files are called. */
    scan.again = true;
    for (uint32_t before = 0; scan.waiting > 0 && rc == 0; before = scan.changes.loaded) {
        scan.waiting = 0;
        scan.last = scan.changes.loaded == before;
        rc = scan_once(&scan, dirs, &dropped);
    }
    free(dirs);
    if (scan.left_out > 0 && !set->told_too_many)
        qk_log_write(QK_LOG_ERROR, QK_PLUGIN_TOO_MANY, NULL,
                     "no more than %d plugin files are looked at; %" PRIu64 " more were left alone", QK_PLUGINS_MAX,
                     scan.left_out);
    set->told_too_many = scan.left_out > 0;
    scan.changes.refused += (uint32_t)scan.left_out;
    *ret_changes = scan.changes;
    return rc;
}
