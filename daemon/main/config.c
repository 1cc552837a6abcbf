/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the files of a configuration in their order. */
#include "main/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The defaults go the way of every other text: the table writes a file, and that is read. */
static char *write_defaults(size_t *ret_size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, ret_size);
    if (to == NULL)
        return NULL;
    const char *section = "";
    for (int i = 0; i < QK_KEYS; i++) {
        if (strcmp(section, qk_keys[i].section) != 0)
            fprintf(to, "%s%s = {\n", i > 0 ? "};\n" : "", qk_keys[i].section);
        section = qk_keys[i].section;
        fprintf(to, "%s = %s;\n", qk_keys[i].name, qk_keys[i].value);
    }
    fputs("};\n", to);
    if (fclose(to) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int qk_config_create(struct qk_config **ret_config)
{
    struct qk_config *config = calloc(1, sizeof(*config));
    size_t size;
    char *text = config != NULL ? write_defaults(&size) : NULL;
    if (text == NULL) {
        free(config);
        return -ENOMEM;
    }
    struct qk_report report;
    qk_report_init(&report, stderr); /* a mistake in the table is one of ours, and the tests see it */
    int rc = qk_config_read_text(config, NULL, text, size, &report);
    if (rc < 0) {
        qk_config_destroy(config);
        return rc;
    }
    *ret_config = config;
    return 0;
}

void qk_config_destroy(struct qk_config *config)
{
    if (config == NULL)
        return;
    for (int i = 0; i < QK_KEYS; i++)
        qk_value_finish(&config->values[i]);
    for (size_t i = 0; i < config->n_sources; i++) {
        free(config->sources[i].path);
        free(config->sources[i].text);
    }
    free(config->sources);
    free(config);
}

void qk_config_place(const struct qk_config *config, enum qk_key_id id, int element, struct qk_diag *diag)
{
    const struct qk_value *value = &config->values[id];
    if (value->file == NULL)
        return;
    struct qk_mark where = element >= 0 ? value->places[element] : value->where;
    diag->file = value->file;
    diag->line = where.line;
    diag->column = where.column;
    diag->width = where.width;
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct qk_source *source = &config->sources[i];
        if (source->path == NULL || strcmp(source->path, value->file) != 0)
            continue;
        diag->source = source->text;
        diag->source_size = source->size;
    }
}

static void say_unreadable(struct qk_report *report, const char *path, int error, const char *what)
{
    char message[200];
    char help[320];
    snprintf(message, sizeof(message), "%s: %s", what, strerror(error));
    if (error == ENOENT)
        snprintf(help, sizeof(help), "name the file with `--config FILE`, or try `quarkd --dev`, which needs none");
    else if (error == EACCES)
        snprintf(help, sizeof(help), "`ls -l %.200s` shows who may read it", path);
    const struct qk_diag diag = {
        .code = "QK0201", .message = message, .file = path, .help = error == ENOENT || error == EACCES ? help : NULL};
    qk_report_add(report, &diag);
}

static void say(struct qk_report *report, const char *path, const char *code, const char *message)
{
    const struct qk_diag diag = {.code = code, .message = message, .file = path};
    qk_report_add(report, &diag);
}

/* Whoever writes the file decides what the daemon loads. */
static void warn_writable(struct qk_report *report, const char *path, const struct stat *st)
{
    if ((st->st_mode & S_IWOTH) == 0)
        return;
    char help[320];
    snprintf(help, sizeof(help), "chmod o-w %.200s", path);
    const struct qk_diag diag = {
        .warning = true, .code = "QK0225", .message = "everyone may write this file", .file = path, .help = help};
    qk_report_add(report, &diag);
}

/* Reads all of a regular file. 0, -errno, or -EFBIG. */
static int read_all(int fd, size_t size_hint, char **ret_text, size_t *ret_size)
{
    size_t capacity = size_hint + 2;
    size_t size = 0;
    char *text = malloc(capacity);
    while (text != NULL) {
        ssize_t n = read(fd, text + size, capacity - 1 - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || size + (size_t)n > QK_CONFIG_FILE_MAX) {
            int rc = n < 0 ? -errno : n == 0 ? 0 : -EFBIG;
            if (rc < 0) {
                free(text);
                return rc;
            }
            *ret_text = text;
            *ret_size = size;
            return 0;
        }
        size += (size_t)n;
        if (capacity - 1 - size == 0) {
            capacity *= 2;
            char *larger = realloc(text, capacity);
            if (larger == NULL)
                free(text);
            text = larger;
        }
    }
    return -ENOMEM;
}

static int read_file(struct qk_config *config, const char *path, struct qk_report *report)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int error = errno;
        say_unreadable(report, path, error, "can't read the file");
        if (fd >= 0)
            close(fd);
        return -error;
    }
    char *text = NULL;
    size_t size = 0;
    int rc = -EFBIG;
    if (!S_ISREG(st.st_mode))
        rc = -EINVAL;
    else if (st.st_size <= QK_CONFIG_FILE_MAX)
        rc = read_all(fd, (size_t)st.st_size, &text, &size);
    close(fd);
    if (rc == -EINVAL)
        say(report, path, "QK0201", "not a regular file");
    else if (rc == -EFBIG)
        say(report, path, "QK0203", "a configuration file may have 1 MiB at most");
    else if (rc < 0)
        say_unreadable(report, path, -rc, "can't read the file");
    if (rc < 0)
        return rc == -EFBIG ? -EINVAL : rc;
    warn_writable(report, path, &st);
    return qk_config_read_text(config, path, text, size, report);
}

static int wanted(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_drop_ins(struct qk_config *config, const char *path, struct qk_report *report)
{
    const char *slash = strrchr(path, '/');
    char dir[4096 + 8];
    int len = snprintf(dir, sizeof(dir), "%.*sconf.d", slash != NULL ? (int)(slash - path) + 1 : 0, path);
    if (len < 0 || (size_t)len >= sizeof(dir))
        return -ENAMETOOLONG;
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, wanted, by_bytes);
    if (n < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        int error = errno;
        say_unreadable(report, dir, error, "can't read the directory");
        return -error;
    }
    int worst = 0;
    if (n >= QK_CONFIG_FILES_MAX) {
        say(report, dir, "QK0203", "more than 256 configuration files");
        worst = -EINVAL;
    }
    for (int i = 0; i < n; i++) {
        char *file = NULL;
        if (n < QK_CONFIG_FILES_MAX && asprintf(&file, "%s/%s", dir, entries[i]->d_name) >= 0) {
            int rc = read_file(config, file, report);
            worst = worst < 0 ? worst : rc;
            free(file);
        } else if (n < QK_CONFIG_FILES_MAX) {
            worst = -ENOMEM;
        }
        free(entries[i]);
    }
    free(entries);
    return worst;
}

int qk_config_load(const char *path, struct qk_report *report, struct qk_config **ret_config)
{
    struct qk_config *config;
    int rc = qk_config_create(&config);
    if (rc < 0)
        return rc;
    rc = read_file(config, path, report);
    if (rc == 0 || rc == -EINVAL) {
        int drop_ins = read_drop_ins(config, path, report);
        rc = rc < 0 ? rc : drop_ins;
    }
    if (rc < 0) {
        qk_config_destroy(config);
        return rc;
    }
    *ret_config = config;
    return 0;
}
