/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directories of a user's own, after the XDG base directory specification. */
#include "main/dev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096

/* $variable/quark, or $HOME/below/quark. 0, -ENOENT without a home, -ENAMETOOLONG. */
static int user_dir(const char *variable, const char *below, char ret_path[PATH_SIZE])
{
    const char *base = getenv(variable);
    const char *home = getenv("HOME");
    int n;
    if (base != NULL && *base == '/')
        n = snprintf(ret_path, PATH_SIZE, "%s/quark", base);
    else if (home != NULL && *home == '/')
        n = snprintf(ret_path, PATH_SIZE, "%s/%s/quark", home, below);
    else
        return -ENOENT;
    return n < PATH_SIZE ? 0 : -ENAMETOOLONG;
}

/* With everything above it; new ones are the user's alone. */
static int make_dirs(char *path)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        int rc = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
        if (slash != NULL)
            *slash = '/';
        if (rc < 0 || slash == NULL)
            return rc;
    }
}

/* Others must not be able to put a socket of theirs in our place: the directory is ours, and ours alone. */
static int make_private(const char *path)
{
    struct stat st;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (lstat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0 ? 0 : -EPERM;
}

static int fail(struct qk_report *report, const char *path, const char *what, int rc)
{
    char message[256];
    char help[PATH_SIZE + 64];
    snprintf(message, sizeof(message), "%s: %s", what, strerror(-rc));
    snprintf(help, sizeof(help),
             "`ls -ld %s` shows whose it is; XDG_RUNTIME_DIR, XDG_STATE_HOME and XDG_DATA_HOME "
             "choose other places",
             path);
    const struct qk_diag diag = {.code = "QK0292", .message = message, .file = path, .help = help};
    qk_report_add(report, &diag);
    return rc;
}

static int make_socket_dir(struct qk_report *report, char ret_path[PATH_SIZE])
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    if (base != NULL && *base == '/')
        snprintf(ret_path, PATH_SIZE, "%s/quark", base);
    else
        snprintf(ret_path, PATH_SIZE, "/tmp/quark-%u", (unsigned)geteuid());
    if (strlen(ret_path) + strlen("/quarkd.sock") > QK_SOCKET_PATH_MAX)
        return fail(report, ret_path, "too long for the path of a socket", -ENAMETOOLONG);
    int rc = make_private(ret_path);
    if (rc == -EPERM)
        return fail(report, ret_path, "the directory of the socket is not yours alone", rc);
    return rc < 0 ? fail(report, ret_path, "can't make the directory of the socket", rc) : 0;
}

static int make_user_dir(struct qk_report *report, const char *variable, const char *below, const char *inside,
                         char ret_path[PATH_SIZE])
{
    int rc = user_dir(variable, below, ret_path);
    if (rc == -ENOENT)
        return fail(report, variable, "neither this variable nor HOME is set", rc);
    if (rc == 0 && strlen(ret_path) + strlen(inside) >= PATH_SIZE)
        rc = -ENAMETOOLONG;
    if (rc == 0) {
        strcat(ret_path, inside);
        rc = make_dirs(ret_path);
    }
    return rc < 0 ? fail(report, ret_path, "can't make the directory", rc) : 0;
}

/* The paths go through the same reading as a file's, so that they get the same checks. */
static int write_config(struct qk_config *config, const char *socket_dir, const char *plugins, const char *state,
                        struct qk_report *report)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        return -ENOMEM;
    char socket_path[QK_SOCKET_PATH_MAX + 1];
    snprintf(socket_path, sizeof(socket_path), "%s/quarkd.sock", socket_dir);
    fputs("socket = { mode = \"0600\"; path = ", to);
    qk_value_write(to, QK_KEY_PATH, &(struct qk_value){.text = socket_path});
    fputs("; };\nplugins = { directories = ", to);
    char *list[] = {(char *)plugins, NULL};
    qk_value_write(to, QK_KEY_PATHS, &(struct qk_value){.list = list, .n_list = 1});
    fputs("; };\nstores = { sqlite_path = ", to);
    char state_file[PATH_SIZE + sizeof("/state.db")];
    snprintf(state_file, sizeof(state_file), "%s/state.db", state);
    qk_value_write(to, QK_KEY_PATH, &(struct qk_value){.text = state_file});
    fputs("; };\nsilo = { drain_timeout = \"5s\"; };\n", to);
    if (fclose(to) != 0) {
        free(text);
        return -ENOMEM;
    }
    int rc = qk_config_read_text(config, "--dev", text, size, report);
    for (int i = 0; i < QK_KEYS; i++) {
        if (config->values[i].file != NULL)
            config->values[i].where.line = 0; /* nobody has the text */
    }
    return rc;
}

int qk_dev_config(struct qk_report *report, struct qk_config **ret_config)
{
    char socket_dir[PATH_SIZE];
    char plugins[PATH_SIZE];
    char state[PATH_SIZE];
    int rc = make_socket_dir(report, socket_dir);
    if (rc == 0)
        rc = make_user_dir(report, "XDG_DATA_HOME", ".local/share", "/plugins", plugins);
    if (rc == 0)
        rc = make_user_dir(report, "XDG_STATE_HOME", ".local/state", "", state);
    if (rc < 0)
        return rc;
    struct qk_config *config;
    rc = qk_config_create(&config);
    if (rc < 0)
        return rc;
    rc = write_config(config, socket_dir, plugins, state, report);
    if (rc < 0) {
        qk_config_destroy(config);
        return rc;
    }
    *ret_config = config;
    return 0;
}

int qk_dev_enter(void)
{
    char state[PATH_SIZE];
    int rc = user_dir("XDG_STATE_HOME", ".local/state", state);
    return rc < 0 ? rc : chdir(state) < 0 ? -errno : 0;
}

void qk_dev_greet(FILE *to, const struct qk_config *config)
{
    const struct qk_value *dirs = &config->values[QK_KEY_PLUGINS_DIRECTORIES];
    const char *socket_path = config->values[QK_KEY_SOCKET_PATH].text;
    char *cwd = getcwd(NULL, 0);
    fprintf(to, "quarkd " QK_VERSION " listens on %s, its state is in %s\n", socket_path, cwd != NULL ? cwd : "?");
    free(cwd);
    fputs("plugins come from", to);
    for (size_t i = 0; i < dirs->n_list; i++)
        fprintf(to, "%s %s", i > 0 ? "," : "", dirs->list[i]);
    fprintf(to, ": what is put there is loaded at once\nnext: export QUARK_SOCKET=%s; quarkctl types\n", socket_path);
    fflush(to);
}
