/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks at the machine with a configuration in hand. */
#include "main/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <quark/status.h>
#include "base/errors.h"
#include "plugin/file.h"
#include "plugin/note.h"
#include "store/store.h"

static void say(const struct qk_config *config, enum qk_key_id id, int element, struct qk_report *report,
                struct qk_diag diag)
{
    qk_config_place(config, id, element, &diag);
    qk_report_add(report, &diag);
}

/* A number written out, or -1. */
static int64_t number_of(const char *text)
{
    if (*text == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 10)
        return -1;
    int64_t number = strtoll(text, NULL, 10);
    return number < UINT32_MAX ? number : -1;
}

/* The number of a user or group; -1: there is none of that name. */
static int64_t account_of(enum qk_key_id id, const char *name)
{
    int64_t number = number_of(name);
    if (number >= 0)
        return number;
    if (id == QK_KEY_SOCKET_USERS) {
        const struct passwd *user = getpwnam(name);
        return user != NULL ? (int64_t)user->pw_uid : -1;
    }
    const struct group *group = getgrnam(name);
    return group != NULL ? (int64_t)group->gr_gid : -1;
}

static void say_no_account(const struct qk_config *config, enum qk_key_id id, int element, struct qk_report *report,
                           const char *name)
{
    bool user = id == QK_KEY_SOCKET_USERS;
    char message[160];
    char help[160];
    snprintf(message, sizeof(message), "there is no %s `%.80s` on this machine", user ? "user" : "group", name);
    snprintf(help, sizeof(help), "`getent %s` lists them", user ? "passwd" : "group");
    say(config, id, element, report, (struct qk_diag){.code = "QK0220", .message = message, .help = help});
}

static int resolve_owner(const struct qk_config *config, struct qk_report *report, gid_t *ret_gid)
{
    const char *name = config->values[QK_KEY_SOCKET_GROUP].text;
    *ret_gid = (gid_t)-1;
    if (*name == '\0')
        return 0;
    int64_t number = account_of(QK_KEY_SOCKET_GROUP, name);
    if (number < 0) {
        say_no_account(config, QK_KEY_SOCKET_GROUP, -1, report, name);
        return -EINVAL;
    }
    *ret_gid = (gid_t)number;
    return 0;
}

static int resolve(const struct qk_config *config, enum qk_key_id id, struct qk_report *report, uint32_t *ret_ids)
{
    const struct qk_value *value = &config->values[id];
    int rc = 0;
    for (size_t i = 0; i < value->n_list; i++) {
        int64_t number = account_of(id, value->list[i]);
        if (number >= 0) {
            ret_ids[i] = (uint32_t)number;
            continue;
        }
        say_no_account(config, id, (int)i, report, value->list[i]);
        rc = -EINVAL;
    }
    return rc;
}

int qk_accounts_resolve(const struct qk_config *config, struct qk_report *report, struct qk_accounts *ret_accounts)
{
    _Static_assert(sizeof(uid_t) == sizeof(uint32_t) && sizeof(gid_t) == sizeof(uint32_t), "account numbers");
    size_t n_users = config->values[QK_KEY_SOCKET_USERS].n_list;
    size_t n_groups = config->values[QK_KEY_SOCKET_GROUPS].n_list;
    struct qk_accounts a = {.uids = calloc(n_users + 1, sizeof(uid_t)),
                            .n_uids = n_users,
                            .gids = calloc(n_groups + 1, sizeof(gid_t)),
                            .n_gids = n_groups};
    if (a.uids == NULL || a.gids == NULL) {
        qk_accounts_finish(&a);
        return -ENOMEM;
    }
    int owner = resolve_owner(config, report, &a.socket_gid);
    int users = resolve(config, QK_KEY_SOCKET_USERS, report, a.uids);
    int groups = resolve(config, QK_KEY_SOCKET_GROUPS, report, a.gids);
    if (owner < 0 || users < 0 || groups < 0) {
        qk_accounts_finish(&a);
        return -EINVAL;
    }
    if (n_groups == 0 && getegid() != 0)
        a.gids[a.n_gids++] = getegid();
    *ret_accounts = a;
    return 0;
}

void qk_accounts_finish(struct qk_accounts *accounts)
{
    free(accounts->uids);
    free(accounts->gids);
    *accounts = (struct qk_accounts){0};
}

/* The daemon starts without a directory that is missing, and says so. */
static void check_plugin_dir(const struct qk_config *config, int i, struct qk_report *report)
{
    const char *dir = config->values[QK_KEY_PLUGINS_DIRECTORIES].list[i];
    struct stat st;
    char message[320];
    char help[320];
    int error = stat(dir, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (error == 0 || (error == ENOENT && config->values[QK_KEY_PLUGINS_DIRECTORIES].file == NULL))
        return; /* nobody asked for the directories of the defaults */
    snprintf(message, sizeof(message), "plugin directory `%.200s`: %s", dir, strerror(error));
    snprintf(help, sizeof(help), "mkdir -p %.200s", dir);
    say(config, QK_KEY_PLUGINS_DIRECTORIES, i, report,
        (struct qk_diag){.warning = true, .code = "QK0221", .message = message, .help = error == ENOENT ? help : NULL});
}

static void say_refused(const char *path, const struct qk_refusal *why, bool warning, struct qk_report *report)
{
    const struct qk_error *error = qk_error_find(why->code);
    const struct qk_diag diag = {.warning = warning,
                                 .code = why->code,
                                 .message = why->text,
                                 .file = path,
                                 .help = error != NULL ? error->fix : NULL};
    qk_report_add(report, &diag);
}

/* Looks at a file as far as it can without running any of its code. */
static int check_plugin(int dir_fd, const char *name, const char *path, struct qk_refusal *why)
{
    int copy;
    size_t size;
    struct qk_note_info note;
    int rc = qk_file_copy(dir_fd, name, path, geteuid(), &copy, &size, why);
    if (rc < 0)
        return rc;
    const void *bytes = qk_file_map(copy, size, why);
    rc = bytes != NULL ? qk_note_read(bytes, size, &note, why) : QK_EINVALID;
    if (rc == 0)
        rc = qk_note_check_abi(note.abi_major, note.abi_minor, why);
    if (bytes != NULL && size > 0)
        munmap((void *)bytes, size);
    close(copy);
    return rc;
}

static int is_plugin_name(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 3 && strcmp(entry->d_name + len - 3, ".so") == 0;
}

/* Nothing of a directory that others may write to is loaded, so that the configuration can't mean what it says. */
static void check_plugins(const char *dir, struct qk_report *report)
{
    struct stat st;
    struct qk_refusal why;
    struct dirent **entries = NULL;
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return;
    if (fstat(dir_fd, &st) == 0 && qk_file_check_trust(&st, dir, geteuid(), &why) < 0) {
        say_refused(dir, &why, false, report);
        close(dir_fd);
        return;
    }
    int n = scandirat(dir_fd, ".", &entries, is_plugin_name, alphasort);
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s", dir, entries[i]->d_name) >= 0) {
            if (check_plugin(dir_fd, entries[i]->d_name, path, &why) < 0)
                say_refused(path, &why, true, report);
            free(path);
        }
        free(entries[i]);
    }
    free(entries);
    close(dir_fd);
}

static void check_socket_dir(const struct qk_config *config, struct qk_report *report)
{
    const char *path = config->values[QK_KEY_SOCKET_PATH].text;
    char dir[QK_SOCKET_PATH_MAX + 1];
    char message[320];
    char help[320];
    int len = (int)(strrchr(path, '/') - path);
    snprintf(dir, sizeof(dir), "%.*s", len > 0 ? len : 1, path);
    struct stat st;
    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
        return;
    snprintf(message, sizeof(message), "the directory of the socket, `%s`, does not exist", dir);
    bool volatile_dir = strncmp(dir, "/run/", 5) == 0;
    snprintf(help, sizeof(help),
             volatile_dir ? "quarkd.service makes /run/quark when it starts; else `mkdir -p %s`" : "mkdir -p %s", dir);
    say(config, QK_KEY_SOCKET_PATH, -1, report,
        (struct qk_diag){.warning = volatile_dir, .code = "QK0223", .message = message, .help = help});
}

/* Looks at the state file. Nobody asked for that of the defaults: it is made when a type needs it, by the daemon's own
 * user, who may do more than the one who checks. */
static void check_state_file(const struct qk_config *config, struct qk_report *report)
{
    const struct qk_value *value = &config->values[QK_KEY_STORES_SQLITE_PATH];
    const char *code = NULL;
    char text[512];
    int rc = qk_store_check_sqlite(value->text, &code, text, sizeof(text));
    if (rc == 0 || ((rc == -ENOENT || rc == -EACCES) && value->file == NULL))
        return;
    const struct qk_error *error = qk_error_find(code);
    say(config, QK_KEY_STORES_SQLITE_PATH, -1, report,
        (struct qk_diag){.warning = true, .code = code, .message = text, .help = error != NULL ? error->fix : NULL});
}

void qk_world_check_dirs(const struct qk_config *config, struct qk_report *report)
{
    for (size_t i = 0; i < config->values[QK_KEY_PLUGINS_DIRECTORIES].n_list; i++)
        check_plugin_dir(config, (int)i, report);
}

void qk_world_check(const struct qk_config *config, struct qk_report *report)
{
    check_socket_dir(config, report);
    check_state_file(config, report);
    const struct qk_value *dirs = &config->values[QK_KEY_PLUGINS_DIRECTORIES];
    for (size_t i = 0; i < dirs->n_list; i++)
        check_plugins(dirs->list[i], report);
}
