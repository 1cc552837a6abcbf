/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opens a plugin file once and works on a copy of it from then on: a file that is overwritten in place would change
 * under the feet of the code that runs from it, and one that is exchanged between check and loading would not be the
 * one that was checked.
 */
#include "plugin/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include "base/limits.h"

void qk_file_stamp(const struct stat *st, struct qk_file_stamp *ret_stamp)
{
    *ret_stamp = (struct qk_file_stamp){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = st->st_size,
        .mode = st->st_mode,
        .uid = st->st_uid,
        .modified = st->st_mtim,
        .changed = st->st_ctim,
    };
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool qk_file_same_stamp(const struct qk_file_stamp *a, const struct qk_file_stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mode == b->mode && a->uid == b->uid &&
           same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}

int qk_file_check_trust(const struct stat *st, const char *path, uid_t user, struct qk_refusal *refusal)
{
    const char *what = S_ISDIR(st->st_mode) ? "its directory" : "the file";
    if (st->st_uid != 0 && st->st_uid != user)
        return qk_refuse(refusal, QK_PLUGIN_OWNER,
                         "%s belongs to user %u, who is neither root nor the user of quarkd: chown root:root '%s'",
                         what, (unsigned)st->st_uid, path);
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return qk_refuse(refusal, QK_PLUGIN_WRITABLE, "%s may be written to by others (mode %04o): chmod go-w '%s'",
                         what, (unsigned)(st->st_mode & 07777), path);
    return 0;
}

static int check_file(const struct stat *st, const char *path, uid_t user, struct qk_refusal *refusal)
{
    if (!S_ISREG(st->st_mode))
        return qk_refuse(refusal, QK_PLUGIN_NO_FILE, "not a regular file but a %s",
                         S_ISDIR(st->st_mode)    ? "directory"
                         : S_ISFIFO(st->st_mode) ? "pipe"
                         : S_ISSOCK(st->st_mode) ? "socket"
                                                 : "device");
    if (st->st_size > QK_PLUGIN_FILE_MAX)
        return qk_refuse(refusal, QK_PLUGIN_TOO_LARGE, "the file has %lld bytes, and %d are the most that is loaded",
                         (long long)st->st_size, QK_PLUGIN_FILE_MAX);
    return qk_file_check_trust(st, path, user, refusal);
}

static int unreadable(struct qk_refusal *refusal, const char *what)
{
    return qk_refuse(refusal, QK_PLUGIN_UNREADABLE, "%s: %s", what, strerror(errno));
}

static int no_resources(struct qk_refusal *refusal, const char *what)
{
    return qk_refuse(refusal, QK_PLUGIN_RESOURCES, "%s: %s", what, strerror(errno));
}

static int make_copy(int fd, off_t size, const char *name, int *ret_copy, struct qk_refusal *refusal)
{
    char label[200]; /* what maps and debuggers show */
    snprintf(label, sizeof(label), "%s", name);
    int copy = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0)
        return no_resources(refusal, "no memory for a copy of the file");
    int rc = 0;
    off_t done = 0;
    while (rc == 0 && done < size) {
        ssize_t n = sendfile(copy, fd, NULL, (size_t)(size - done));
        if (n > 0)
            done += n;
        else if (n == 0)
            rc = qk_refuse(refusal, QK_PLUGIN_TRUNCATED, "the file became shorter while it was read");
        else if (errno == ENOSPC || errno == ENOMEM)
            rc = no_resources(refusal, "no memory for a copy of the file");
        else if (errno != EINTR)
            rc = unreadable(refusal, "the file can't be read");
    }
    if (rc == 0 && fcntl(copy, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        rc = no_resources(refusal, "the copy of the file can't be sealed");
    if (rc == 0)
        *ret_copy = copy;
    else
        close(copy);
    return rc;
}

/* The file was read once; if it changed meanwhile, the copy may be half of the old and half of the new. */
static int check_unchanged(int fd, const struct stat *before, struct qk_refusal *refusal)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return unreadable(refusal, "the file can't be looked at");
    struct qk_file_stamp then, now;
    qk_file_stamp(before, &then);
    qk_file_stamp(&st, &now);
    if (!qk_file_same_stamp(&then, &now))
        return qk_refuse(refusal, QK_PLUGIN_UNREADABLE, "the file changed while it was read");
    return 0;
}

int qk_file_copy(int dir_fd, const char *name, const char *path, uid_t user, int *ret_copy, size_t *ret_size,
                 struct qk_refusal *refusal)
{
    struct stat st;
    int copy = -1;
    /* O_NONBLOCK: the file may be a pipe that nobody writes to. */
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ELOOP)
        return qk_refuse(refusal, QK_PLUGIN_NO_FILE, "a symbolic link: put the file itself into the directory");
    if (fd < 0 && errno == ENXIO)
        return qk_refuse(refusal, QK_PLUGIN_NO_FILE, "not a regular file but a socket or a device");
    if (fd < 0)
        return unreadable(refusal, "the file can't be opened");
    int rc = fstat(fd, &st) < 0 ? unreadable(refusal, "the file can't be looked at") : 0;
    if (rc == 0)
        rc = check_file(&st, path, user, refusal);
    if (rc == 0)
        rc = make_copy(fd, st.st_size, name, &copy, refusal);
    if (rc == 0)
        rc = check_unchanged(fd, &st, refusal);
    close(fd);
    if (rc < 0) {
        if (copy >= 0)
            close(copy);
        return rc;
    }
    *ret_copy = copy;
    *ret_size = (size_t)st.st_size;
    return 0;
}

const void *qk_file_map(int copy, size_t size, struct qk_refusal *refusal)
{
    static const uint8_t nothing[1];
    if (size == 0)
        return nothing;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, copy, 0);
    if (bytes == MAP_FAILED) {
        no_resources(refusal, "the copy of the file can't be mapped");
        return NULL;
    }
    return bytes;
}
