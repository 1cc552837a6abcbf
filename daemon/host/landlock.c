/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock by its three system calls. What a version of the interface lacks is not asked for: the filter of system
 * calls bars sockets and signals a second time, so that the first version is enough.
 */
#include "host/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* What headers of older kernels don't name. */
#define FS_REFER       (1ull << 13) /* version 2 */
#define FS_TRUNCATE    (1ull << 14) /* version 3 */
#define FS_IOCTL_DEV   (1ull << 15) /* version 5 */
#define NET_BIND_TCP   (1ull << 0)  /* version 4 */
#define NET_CONNECT    (1ull << 1)
#define SCOPE_ABSTRACT (1ull << 0) /* version 6: abstract sockets, signals to processes outside */
#define SCOPE_SIGNAL   (1ull << 1)

/* As version 6 has it; older kernels take it as long as what they don't know is zero. */
struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

#define FS_VERSION_1 ((1ull << 13) - 1)
#define FS_ON_FILES                                                                                            \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | \
     FS_IOCTL_DEV)
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                  \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | FS_REFER | LANDLOCK_ACCESS_FS_REMOVE_DIR |     \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* Libraries, locales, time zones and the devices that are no devices: nothing that is anybody's own. */
static const struct qk_sandbox_path everybodys[] = {
    {"/lib", QK_SANDBOX_READ},
    {"/lib64", QK_SANDBOX_READ},
    {"/usr/lib", QK_SANDBOX_READ},
    {"/usr/lib64", QK_SANDBOX_READ},
    {"/usr/local/lib", QK_SANDBOX_READ},
    {"/etc/ld.so.cache", QK_SANDBOX_READ},
    {"/usr/share/locale", QK_SANDBOX_READ},
    {"/usr/share/zoneinfo", QK_SANDBOX_READ},
    {"/etc/localtime", QK_SANDBOX_READ},
    {"/dev/null", QK_SANDBOX_READ | QK_SANDBOX_WRITE},
    {"/dev/zero", QK_SANDBOX_READ},
    {"/dev/random", QK_SANDBOX_READ},
    {"/dev/urandom", QK_SANDBOX_READ},
};

/* What looking up names and checking certificates takes, for those that may use the network. */
static const struct qk_sandbox_path networks[] = {
    {"/etc/resolv.conf", QK_SANDBOX_READ},
    {"/etc/hosts", QK_SANDBOX_READ},
    {"/etc/host.conf", QK_SANDBOX_READ},
    {"/etc/gai.conf", QK_SANDBOX_READ},
    {"/etc/services", QK_SANDBOX_READ},
    {"/etc/protocols", QK_SANDBOX_READ},
    {"/etc/nsswitch.conf", QK_SANDBOX_READ},
    {"/etc/ssl/certs", QK_SANDBOX_READ},
    {"/usr/share/ca-certificates", QK_SANDBOX_READ},
};

int qk_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? -errno : (int)version;
}

static uint64_t fs_of_version(int version)
{
    uint64_t fs = FS_VERSION_1;
    if (version >= 2)
        fs |= FS_REFER;
    if (version >= 3)
        fs |= FS_TRUNCATE;
    if (version >= 5)
        fs |= FS_IOCTL_DEV;
    return fs;
}

static uint64_t fs_of_access(unsigned access)
{
    uint64_t fs = 0;
    if ((access & QK_SANDBOX_READ) != 0)
        fs |= FS_READ;
    if ((access & QK_SANDBOX_WRITE) != 0)
        fs |= FS_WRITE;
    if ((access & QK_SANDBOX_DEVICE) != 0)
        fs |= FS_IOCTL_DEV;
    return fs;
}

static int allow_file(int ruleset, int file, uint64_t fs)
{
    struct stat st;
    if (fstat(file, &st) != 0)
        return -errno;
    struct landlock_path_beneath_attr rule = {.parent_fd = file, .allowed_access = fs};
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= FS_ON_FILES;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        return -errno;
    return 0;
}

static int allow_path(int ruleset, const struct qk_sandbox_path *path, uint64_t handled, struct qk_why *why)
{
    uint64_t fs = fs_of_access(path->access) & handled;
    if (path->path[0] != '/' || (path->access & (QK_SANDBOX_READ | QK_SANDBOX_WRITE)) == 0)
        return qk_why_set(why, -EINVAL, "the path %s can't be granted: it must be absolute, for reading or writing",
                          path->path);
    int file = open(path->path, O_PATH | O_CLOEXEC);
    if (file < 0 && errno == ENOENT && (path->access & QK_SANDBOX_OPTIONAL) != 0)
        return 0;
    int rc = file < 0 ? -errno : allow_file(ruleset, file, fs);
    if (file >= 0)
        close(file);
    return rc == 0 ? 0 : qk_why_set(why, rc, "the path %s can't be granted: %s", path->path, strerror(-rc));
}

static int allow_systems(int ruleset, const struct qk_sandbox_path *paths, size_t n, uint64_t handled,
                         struct qk_why *why)
{
    for (size_t i = 0; i < n; i++) {
        struct qk_sandbox_path path = {paths[i].path, paths[i].access | QK_SANDBOX_OPTIONAL};
        int rc = allow_path(ruleset, &path, handled, why);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int allow_all(int ruleset, const struct qk_sandbox_spec *spec, uint64_t handled, struct qk_why *why)
{
    int rc = allow_systems(ruleset, everybodys, sizeof(everybodys) / sizeof(everybodys[0]), handled, why);
    if (rc == 0 && spec->network)
        rc = allow_systems(ruleset, networks, sizeof(networks) / sizeof(networks[0]), handled, why);
    for (size_t i = 0; rc == 0 && i < spec->n_paths; i++)
        rc = allow_path(ruleset, &spec->paths[i], handled, why);
    return rc;
}

int qk_landlock_enter(const struct qk_sandbox_spec *spec, int version, struct qk_why *why)
{
    struct ruleset attributes = {.fs = fs_of_version(version)};
    if (version >= 4 && !spec->network)
        attributes.net = NET_BIND_TCP | NET_CONNECT;
    if (version >= 6)
        attributes.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (ruleset < 0)
        return qk_why_set(why, -errno, "Landlock takes no rules: %s", strerror(errno));
    int rc = allow_all(ruleset, spec, attributes.fs, why);
    if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        rc = qk_why_set(why, -errno, "Landlock does not take hold: %s", strerror(errno));
    close(ruleset);
    return rc;
}
