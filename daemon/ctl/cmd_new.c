/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * new: writes a project from a template of the SDK. The words that are replaced stand in sdk/template/README.md. What
 * has been written when something fails stays, and the error says where.
 */
#include "ctl/ctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES_MAX 63
#define FILE_BYTES_MAX (1 << 20)

struct project {
    struct qk_ctl *ctl;
    char name[NAME_BYTES_MAX + 1];      /* my-counter */
    char snake[NAME_BYTES_MAX + 1];     /* my_counter */
    char camel[NAME_BYTES_MAX + 1];     /* MyCounter */
    char upper[NAME_BYTES_MAX * 2 + 1]; /* MY_COUNTER, as protoc-c writes the camel form */
    unsigned files;
};

static bool is_reserved(const char *name)
{
    static const char *const words[] = {"qk",         "quark", "all",       "benchmark", "clean",
                                        "coverage",   "dist",  "generated", "install",   "reconfigure",
                                        "scan-build", "test",  "uninstall"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(name, words[i]) == 0)
            return true;
    }
    return false;
}

static bool is_valid_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_BYTES_MAX || name[0] < 'a' || name[0] > 'z' || is_reserved(name))
        return false;
    for (size_t i = 0; i < n; i++) {
        bool mark = name[i] == '-' || name[i] == '_';
        bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9');
        if (!mark && !letter)
            return false;
        if (mark && (i + 1 == n || name[i + 1] == '-' || name[i + 1] == '_'))
            return false;
    }
    return true;
}

static void make_forms(struct project *p, const char *name)
{
    size_t camel = 0, upper = 0;
    bool raise = true;
    snprintf(p->name, sizeof(p->name), "%s", name);
    snprintf(p->snake, sizeof(p->snake), "%s", name);
    for (char *s = p->snake; *s != '\0'; s++) {
        *s = *s == '-' ? '_' : *s;
        if (*s == '_') {
            raise = true;
            continue;
        }
        bool letter = *s >= 'a' && *s <= 'z';
        p->camel[camel++] = (char)(raise && letter ? *s - 'a' + 'A' : *s);
        raise = false;
    }
    p->camel[camel] = '\0';
    for (size_t i = 0; i < camel; i++) {
        bool capital = p->camel[i] >= 'A' && p->camel[i] <= 'Z';
        if (capital && i > 0)
            p->upper[upper++] = '_';
        p->upper[upper++] = (char)(p->camel[i] >= 'a' && p->camel[i] <= 'z' ? p->camel[i] - 'a' + 'A' : p->camel[i]);
    }
    p->upper[upper] = '\0';
}

/* Writes text with its words replaced. */
static void put_replaced(const struct project *p, FILE *to, const char *text, size_t size)
{
    const struct {
        const char *word;
        const char *by;
    } words[] = {{"@NAME_UPPER@", p->upper},
                 {"@NAME@", p->name},
                 {"@name@", p->snake},
                 {"@Name@", p->camel},
                 {"@SDK_VERSION@", QUARK_VERSION}};
    for (size_t i = 0; i < size;) {
        size_t skip = 1;
        const char *by = NULL;
        for (size_t k = 0; text[i] == '@' && by == NULL && k < sizeof(words) / sizeof(words[0]); k++) {
            size_t n = strlen(words[k].word);
            if (n <= size - i && memcmp(text + i, words[k].word, n) == 0) {
                by = words[k].by;
                skip = n;
            }
        }
        if (by != NULL)
            fputs(by, to);
        else
            fputc(text[i], to);
        i += skip;
    }
}

static int io_error(struct project *p, const char *what, const char *path)
{
    return qk_ctl_fail(p->ctl, QK_EXIT_FAILED, "QK0441", strerror(errno), NULL, "%s %s failed", what, path);
}

static int copy_file(struct project *p, const char *from, const char *to)
{
    char *text = malloc(FILE_BYTES_MAX);
    FILE *in = fopen(from, "re");
    if (text == NULL || in == NULL) {
        free(text);
        if (in != NULL)
            fclose(in);
        return io_error(p, "reading", from);
    }
    size_t size = fread(text, 1, FILE_BYTES_MAX, in);
    bool ok = !ferror(in) && size < FILE_BYTES_MAX;
    fclose(in);
    /* "x": never over a file that is there. */
    FILE *out = ok ? fopen(to, "wxe") : NULL;
    if (out != NULL) {
        put_replaced(p, out, text, size);
        ok = !ferror(out);
        ok = fclose(out) == 0 && ok;
    }
    free(text);
    if (out == NULL || !ok)
        return io_error(p, "writing", to);
    p->files++;
    return QK_EXIT_OK;
}

static int copy_directory(struct project *p, const char *from, const char *to, unsigned depth);

static int copy_entry(struct project *p, const char *from, const char *to, const char *name, unsigned depth)
{
    char source[4096], target[4096], *renamed;
    size_t size;
    struct stat st;
    FILE *stream = open_memstream(&renamed, &size);
    if (stream == NULL)
        return io_error(p, "writing", to);
    put_replaced(p, stream, name, strlen(name));
    fclose(stream);
    snprintf(source, sizeof(source), "%s/%s", from, name);
    if (stat(source, &st) < 0) {
        free(renamed);
        return io_error(p, "reading", source);
    }
    if (!S_ISDIR(st.st_mode) && size > 3 && strcmp(renamed + size - 3, ".in") == 0)
        renamed[size - 3] = '\0';
    snprintf(target, sizeof(target), "%s/%s", to, renamed);
    free(renamed);
    return S_ISDIR(st.st_mode) ? copy_directory(p, source, target, depth + 1) : copy_file(p, source, target);
}

static int copy_directory(struct project *p, const char *from, const char *to, unsigned depth)
{
    DIR *dir = depth < 8 ? opendir(from) : NULL;
    if (dir == NULL)
        return io_error(p, "reading", from);
    int rc = mkdir(to, 0777) < 0 && errno != EEXIST ? io_error(p, "making", to) : QK_EXIT_OK;
    for (struct dirent *e; rc == QK_EXIT_OK && (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = copy_entry(p, from, to, e->d_name, depth);
    }
    closedir(dir);
    return rc;
}

/* Makes the directories above the last one of a path; the last one is copy_directory()'s. */
static int make_parents(struct project *p, const char *path)
{
    char part[4096];
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0777) < 0 && errno != EEXIST)
            return io_error(p, "making", part);
    }
    return QK_EXIT_OK;
}

/* Whether a project may be written there: nothing, or an empty directory. */
static bool is_free(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return true; /* what else is wrong with it comes out when it is made */
    DIR *dir = opendir(path);
    if (dir == NULL)
        return false;
    unsigned n = 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n <= 2;
}

static int is_template(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_type == DT_DIR;
}

static int no_template(struct qk_ctl *ctl, const char *folder, const char *template)
{
    char help[512] = "install the SDK (package quark-sdk), or name the directory of the templates in $QUARK_TEMPLATES";
    struct dirent **entries;
    int n_entries = scandir(folder, &entries, is_template, alphasort);
    size_t n = n_entries > 0 ? (size_t)snprintf(help, sizeof(help), "the templates are") : sizeof(help);
    for (int i = 0; i < n_entries; i++) {
        if (n < sizeof(help) - 80)
            n += (size_t)snprintf(help + n, sizeof(help) - n, "%s %.60s", i > 0 ? "," : "", entries[i]->d_name);
        free(entries[i]);
    }
    if (n_entries >= 0)
        free(entries);
    return qk_ctl_fail(ctl, QK_EXIT_NOT_FOUND, "QK0442", NULL, help, "there is no template `%.60s` in %s", template,
                       folder);
}

int qk_cmd_new(struct qk_ctl *ctl)
{
    struct project p = {.ctl = ctl};
    const char *name = ctl->args.argv[0];
    const char *template = qk_ctl_has(ctl, QK_OPT_TEMPLATE) ? ctl->args.options[QK_OPT_TEMPLATE] : "counter";
    const char *folder = getenv("QUARK_TEMPLATES");
    const char *to = qk_ctl_has(ctl, QK_OPT_DIR) ? ctl->args.options[QK_OPT_DIR] : name;
    char from[4096];
    struct stat st;
    if (folder == NULL || *folder == '\0')
        folder = QUARK_TEMPLATES;
    if (!is_valid_name(name))
        return qk_ctl_fail(
            ctl, QK_EXIT_USAGE, "QK0440", is_reserved(name) ? "the name has a meaning already" : NULL,
            "a name has a-z, 0-9, - and _, begins with a letter, ends with a letter or digit, and has at "
            "most 63 bytes",
            "`%.80s` is no name for a project", name);
    snprintf(from, sizeof(from), "%s/%s", folder, template);
    if (*to == '\0')
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0403", NULL, NULL, "`--dir` does not take an empty name");
    if (strchr(template, '/') != NULL || template[0] == '.' || stat(from, &st) < 0 || !S_ISDIR(st.st_mode))
        return no_template(ctl, folder, template);
    if (!is_free(to))
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0443", NULL, "take another name, or another directory with --dir",
                           "`%s` is there already", to);
    make_forms(&p, name);
    int rc = make_parents(&p, to);
    if (rc == QK_EXIT_OK)
        rc = copy_directory(&p, from, to, 0);
    if (rc != QK_EXIT_OK)
        return rc;
    fprintf(ctl->err,
            "wrote %u files to %s. Next:\n"
            "  cd %s && meson setup build && meson compile -C build && meson test -C build\n",
            p.files, to, to);
    return QK_EXIT_OK;
}
