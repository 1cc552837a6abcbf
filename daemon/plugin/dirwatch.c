/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directories under inotify. Events only say that a look is due; what is there is then read from the directory, so that
 * a lost event costs nothing but the notes on who is still writing.
 */
#include "plugin/dirwatch.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/inotify.h>
#include "base/limits.h"

/* One mask for all: two numbers may share a watch, which has but one. */
#define MASK                                                                                                         \
    (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | \
     IN_MOVE_SELF | IN_ONLYDIR)

#define READS_MAX 64 /* at one go: a busy writer makes events as fast as they are read */

struct dir {
    int wd;        /* -1: not watched */
    char *awaited; /* NULL: the directory itself is watched; else the name that is to appear in the one watched */
};

struct written {
    struct written *next;
    unsigned index;
    bool changed; /* else only made */
    char name[];
};

struct qk_dirwatch {
    int fd;
    unsigned n_written;
    struct written *written;
    unsigned n_dirs;
    struct dir dirs[];
};

int qk_dirwatch_create(unsigned n_dirs, struct qk_dirwatch **ret_watch)
{
    struct qk_dirwatch *w = calloc(1, sizeof(*w) + n_dirs * sizeof(w->dirs[0]));
    if (w == NULL)
        return -ENOMEM;
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->fd < 0) {
        int rc = -errno;
        free(w);
        return rc;
    }
    w->n_dirs = n_dirs;
    for (unsigned i = 0; i < n_dirs; i++)
        w->dirs[i].wd = -1;
    *ret_watch = w;
    return 0;
}

/* Drops the notes on files of directory `index` called `name`; NULL: on all of it. */
static void forget_written(struct qk_dirwatch *w, unsigned index, const char *name)
{
    struct written **link = &w->written;
    while (*link != NULL) {
        struct written *entry = *link;
        if (entry->index == index && (name == NULL || strcmp(entry->name, name) == 0)) {
            *link = entry->next;
            free(entry);
            w->n_written--;
        } else {
            link = &entry->next;
        }
    }
}

void qk_dirwatch_destroy(struct qk_dirwatch *w)
{
    if (w == NULL)
        return;
    for (unsigned i = 0; i < w->n_dirs; i++) {
        forget_written(w, i, NULL);
        free(w->dirs[i].awaited);
    }
    close(w->fd);
    free(w);
}

int qk_dirwatch_fd(const struct qk_dirwatch *w)
{
    return w->fd;
}

static struct written *find_written(const struct qk_dirwatch *w, unsigned index, const char *name)
{
    struct written *entry = w->written;
    while (entry != NULL && (entry->index != index || strcmp(entry->name, name) != 0))
        entry = entry->next;
    return entry;
}

/* A file beyond the bound, or without memory for the note, is looked at too early and again when it is closed. */
static void note_written(struct qk_dirwatch *w, unsigned index, const char *name, bool changed)
{
    struct written *entry = find_written(w, index, name);
    if (entry == NULL && w->n_written < QK_PLUGINS_MAX) {
        size_t n = strlen(name) + 1;
        entry = malloc(sizeof(*entry) + n);
        if (entry == NULL)
            return;
        *entry = (struct written){.next = w->written, .index = index};
        memcpy(entry->name, name, n);
        w->written = entry;
        w->n_written++;
    }
    if (entry != NULL)
        entry->changed = entry->changed || changed;
}

bool qk_dirwatch_is_written(const struct qk_dirwatch *w, unsigned index, const char *name, off_t size)
{
    const struct written *entry = find_written(w, index, name);
    return entry != NULL && (entry->changed || size == 0);
}

bool qk_dirwatch_wants(const char *name)
{
    size_t n = strlen(name);
    if (n <= 3 || strcmp(name + n - 3, ".so") != 0 || strchr(".#~", name[0]) != NULL)
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c != 0; c++) {
        if (*c < 0x20 || *c == 0x7f)
            return false;
    }
    return true;
}

static void disarm(struct qk_dirwatch *w, unsigned index)
{
    int wd = w->dirs[index].wd;
    w->dirs[index].wd = -1;
    free(w->dirs[index].awaited);
    w->dirs[index].awaited = NULL;
    for (unsigned i = 0; i < w->n_dirs; i++) {
        if (w->dirs[i].wd == wd)
            return;
    }
    if (wd >= 0)
        inotify_rm_watch(w->fd, wd); /* fails when the directory is gone, and the watch with it */
}

int qk_dirwatch_arm(struct qk_dirwatch *w, unsigned index, int dir_fd)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
    int wd = inotify_add_watch(w->fd, path, MASK);
    int rc = wd < 0 ? -errno : 0;
    if (wd >= 0 && wd == w->dirs[index].wd && w->dirs[index].awaited == NULL)
        return 0;
    forget_written(w, index, NULL);
    if (wd < 0 || wd != w->dirs[index].wd)
        disarm(w, index);
    free(w->dirs[index].awaited);
    w->dirs[index] = (struct dir){.wd = wd};
    return rc;
}

/* Cuts the last step off `path` and puts it into `step`. False when none is left. */
static bool cut_step(char *path, char *step)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        path[--n] = 0;
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash[1] == 0 || strlen(slash + 1) > NAME_MAX)
        return false;
    strcpy(step, slash + 1); /* fits */
    slash[slash == path ? 1 : 0] = 0;
    return true;
}

int qk_dirwatch_await(struct qk_dirwatch *w, unsigned index, const char *path)
{
    char above[PATH_MAX], missing[PATH_MAX], step[NAME_MAX + 1];
    if (strlen(path) >= sizeof(above))
        return -ENAMETOOLONG;
    strcpy(above, path);
    int wd = -1;
    while (wd < 0) {
        strcpy(missing, above);
        if (!cut_step(above, step))
            return -ENOENT;
        wd = inotify_add_watch(w->fd, above, MASK);
        if (wd < 0 && errno != ENOENT && errno != ENOTDIR)
            return -errno;
    }
    char *awaited = strdup(step);
    if (awaited == NULL)
        return -ENOMEM;
    forget_written(w, index, NULL);
    if (wd != w->dirs[index].wd)
        disarm(w, index);
    free(w->dirs[index].awaited);
    w->dirs[index] = (struct dir){.wd = wd, .awaited = awaited};
    return access(missing, F_OK) == 0 ? 1 : 0;
}

/* True when a look is due. */
static bool handle_in_dir(struct qk_dirwatch *w, unsigned index, const struct inotify_event *e)
{
    if (e->len == 0)
        return true; /* of the directory itself */
    if (!qk_dirwatch_wants(e->name))
        return false;
    if ((e->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)) != 0)
        forget_written(w, index, e->name);
    if ((e->mask & (IN_CREATE | IN_MODIFY)) != 0 && (e->mask & IN_ISDIR) == 0)
        note_written(w, index, e->name, (e->mask & IN_MODIFY) != 0);
    return (e->mask & IN_MODIFY) == 0;
}

static bool handle(struct qk_dirwatch *w, const struct inotify_event *e)
{
    bool due = (e->mask & IN_Q_OVERFLOW) != 0;
    for (unsigned i = 0; i < w->n_dirs; i++) {
        struct dir *dir = &w->dirs[i];
        if (due)
            forget_written(w, i, NULL);
        if (dir->wd != e->wd || dir->wd < 0)
            continue;
        if ((e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
            disarm(w, i);
            due = true;
        } else if (dir->awaited == NULL) {
            due = handle_in_dir(w, i, e) || due;
        } else if ((e->mask & (IN_CREATE | IN_MOVED_TO)) != 0 && e->len > 0 && strcmp(e->name, dir->awaited) == 0) {
            due = true;
        }
    }
    return due;
}

bool qk_dirwatch_take(struct qk_dirwatch *w)
{
    alignas(struct inotify_event) char buffer[16384];
    bool due = false;
    for (int reads = 0; reads < READS_MAX; reads++) {
        ssize_t n = read(w->fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(buffer + at);
            due = handle(w, e) || due;
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    }
    return due;
}
