/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Puts faults in front of the functions of open files. */
#include "faults.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;
static const sqlite3_io_methods *real; /* whose functions those of all tables are */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint every, count, syncs;
static atomic_bool full;

void faults_every(unsigned k)
{
    atomic_store(&every, k);
}

void faults_full(bool on)
{
    atomic_store(&full, on);
}

unsigned faults_syncs(void)
{
    return atomic_load(&syncs);
}

static bool is_due(void)
{
    unsigned k = atomic_load(&every);
    return k != 0 && atomic_fetch_add(&count, 1) % k == k - 1;
}

static int on_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    if (atomic_load(&full))
        return SQLITE_FULL;
    return is_due() ? SQLITE_IOERR_WRITE : real->xWrite(file, bytes, n, at);
}

static int on_sync(sqlite3_file *file, int flags)
{
    atomic_fetch_add(&syncs, 1);
    return is_due() ? SQLITE_IOERR_FSYNC : real->xSync(file, flags);
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return is_due() ? SQLITE_IOERR_TRUNCATE : real->xTruncate(file, size);
}

/* Databases and logs have tables of their own, which differ in how they lock. */
#define TABLES 4
static const sqlite3_io_methods *originals[TABLES];
static sqlite3_io_methods methods[TABLES];

static const sqlite3_io_methods *with_faults(const sqlite3_io_methods *original)
{
    int i = 0;
    pthread_mutex_lock(&lock);
    while (i < TABLES && originals[i] != NULL && originals[i] != original)
        i++;
    if (i == TABLES)
        abort();
    if (originals[i] == NULL) {
        methods[i] = *original;
        methods[i].xWrite = on_write;
        methods[i].xSync = on_sync;
        methods[i].xTruncate = on_truncate;
        originals[i] = original;
        if (real == NULL)
            real = original;
        if (real->xWrite != original->xWrite || real->xSync != original->xSync ||
            real->xTruncate != original->xTruncate)
            abort();
    }
    pthread_mutex_unlock(&lock);
    return &methods[i];
}

static int on_open(sqlite3_vfs *self, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)self;
    int rc = real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);
    if (rc == SQLITE_OK && file->pMethods != NULL)
        file->pMethods = with_faults(file->pMethods);
    return rc;
}

void faults_install(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "faults";
    vfs.pNext = NULL;
    vfs.xOpen = on_open;
    sqlite3_vfs_register(&vfs, 1);
}
