/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the command line. */
#include "main/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/diag.h"
#include "main/keys.h"

const char qk_options_help[] =
    "quarkd: runs actors from plugins, and answers calls on a local socket\n"
    "  quarkd --dev --plugins ./build             try an actor, without any configuration\n"
    "  quarkd --check /etc/quark/quarkd.conf      find mistakes in a configuration\n"
    "options: --config FILE    read FILE, not " QK_DEFAULT_CONFIG "\n"
    "  --check [FILE]          only check; --strict: warnings are mistakes too\n"
    "  --show-config           print every key with its value and origin\n"
    "  --dev                   run as you, in directories of your own\n"
    "  --plugins DIR           load plugins from DIR too; --isolate: in processes of their own\n"
    "  --socket PATH           listen on PATH        --help, --version\n"
    "exit status: 0 ok, 1 failed, 2 usage, 4 denied, 5 file missing, 6 mistakes; see quarkd(8)\n";

enum option_id {
    OPTION_CONFIG = 1,
    OPTION_CHECK,
    OPTION_STRICT,
    OPTION_SHOW_CONFIG,
    OPTION_DEV,
    OPTION_PLUGINS,
    OPTION_ISOLATE,
    OPTION_SOCKET,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option table[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"check", optional_argument, NULL, OPTION_CHECK},
    {"strict", no_argument, NULL, OPTION_STRICT},
    {"show-config", no_argument, NULL, OPTION_SHOW_CONFIG},
    {"dev", no_argument, NULL, OPTION_DEV},
    {"plugins", required_argument, NULL, OPTION_PLUGINS},
    {"isolate", no_argument, NULL, OPTION_ISOLATE},
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

__attribute__((format(printf, 3, 4))) static int refuse(const char *code, const char *help, const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    const struct qk_diag diag = {
        .code = code, .message = message, .help = help != NULL ? help : "`quarkd --help` lists the options"};
    qk_diag_write(stderr, &diag, qk_diag_wants_color(stderr));
    return -EINVAL;
}

static int refuse_option(const char *word)
{
    const char *words[sizeof(table) / sizeof(table[0])];
    size_t n = 0;
    for (const struct option *o = table; o->name != NULL; o++)
        words[n++] = o->name;
    words[n] = NULL;
    char name[64];
    const char *dashes = word + strspn(word, "-");
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(dashes, "="), dashes);
    const char *near = qk_suggest(name, words);
    char help[128];
    if (near != NULL)
        snprintf(help, sizeof(help), "did you mean `--%s`?", near);
    return refuse("QK0290", near != NULL ? help : NULL, "unknown option `%.80s`", word);
}

/* Long options may be shortened by getopt; here they are written out, so that a new one never changes a script. */
static bool is_known(const char *word)
{
    for (const struct option *o = table; o->name != NULL; o++) {
        if (strncmp(word, "--", 2) == 0 && strcspn(word + 2, "=") == strlen(o->name) &&
            strncmp(word + 2, o->name, strlen(o->name)) == 0)
            return true;
    }
    return false;
}

/* Paths of the command line begin at the directory that the daemon is started in, wherever it goes later. */
static int absolute(const char *path, char **ret_path)
{
    for (; path[0] == '.' && path[1] == '/'; path += strspn(path + 1, "/") + 1) {
    }
    char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
    if (*path != '/' && cwd == NULL)
        return refuse("QK0291", NULL, "`%.80s`: the current directory is not known: %s", path, strerror(errno));
    int n = cwd != NULL ? asprintf(ret_path, "%s/%s", cwd, path) : asprintf(ret_path, "%s", path);
    free(cwd);
    return n < 0 ? refuse("QK0291", NULL, "out of memory") : 0;
}

static int take(struct qk_options *o, int id)
{
    switch (id) {
    case OPTION_CONFIG:
        o->config = optarg;
        return 0;
    case OPTION_CHECK:
        o->action = QK_ACTION_CHECK;
        if (optarg != NULL)
            o->config = optarg;
        return 0;
    case OPTION_STRICT:
        o->strict = true;
        return 0;
    case OPTION_SHOW_CONFIG:
        o->action = QK_ACTION_SHOW_CONFIG;
        return 0;
    case OPTION_DEV:
        o->dev = true;
        return 0;
    case OPTION_PLUGINS:
        if (o->n_plugins == QK_OPTION_PLUGINS_MAX)
            return refuse("QK0291", NULL, "more than %d times `--plugins`", QK_OPTION_PLUGINS_MAX);
        if (absolute(optarg, &o->plugins[o->n_plugins]) < 0)
            return -EINVAL;
        o->n_plugins++;
        return 0;
    case OPTION_ISOLATE:
        o->isolate = true;
        return 0;
    case OPTION_SOCKET:
        free(o->socket);
        o->socket = NULL;
        if (strlen(optarg) > QK_SOCKET_PATH_MAX)
            return refuse("QK0215", NULL, "the path of a socket may have %d bytes at most", QK_SOCKET_PATH_MAX);
        return absolute(optarg, &o->socket);
    case OPTION_HELP:
        o->action = QK_ACTION_HELP;
        return 0;
    default:
        o->action = QK_ACTION_VERSION;
        return 0;
    }
}

static int check_together(struct qk_options *o, int argc, char **argv)
{
    if (o->action == QK_ACTION_CHECK && o->config == NULL && optind < argc)
        o->config = argv[optind++];
    if (optind < argc)
        return refuse("QK0291", NULL, "`%.80s` is no option", argv[optind]);
    if (o->strict && o->action != QK_ACTION_CHECK)
        return refuse("QK0291", "quarkd --check --strict [FILE]", "`--strict` belongs to `--check`");
    if (o->dev && o->config != NULL)
        return refuse("QK0291", "leave one of them out: `--dev` reads no configuration",
                      "`--dev` and a configuration file exclude each other");
    if (o->dev && o->action == QK_ACTION_CHECK)
        return refuse("QK0291", "leave one of them out: `--dev` has nothing to check",
                      "`--dev` and `--check` exclude each other");
    if (o->config == NULL)
        o->config = QK_DEFAULT_CONFIG;
    return 0;
}

static int read_words(int argc, char **argv, struct qk_options *o)
{
    opterr = 0;
    optind = 0; /* GNU: begin anew */
    for (;;) {
        int before = optind > 0 ? optind : 1;
        int index = -1;
        int id = getopt_long(argc, argv, "+:", table, &index);
        if (id == -1)
            return 0;
        const char *word = argv[before];
        if (id == ':')
            return refuse("QK0290", NULL, "`%.80s` needs an argument", word);
        if (id == '?' && strchr(word, '=') != NULL && is_known(word))
            return refuse("QK0290", NULL, "`%.*s` takes no argument", (int)strcspn(word, "="), word);
        if (id == '?' || index < 0 || !is_known(word))
            return refuse_option(word);
        int rc = take(o, id);
        if (rc < 0)
            return rc;
    }
}

int qk_options_parse(int argc, char **argv, struct qk_options *ret_options)
{
    struct qk_options o = {.action = QK_ACTION_RUN};
    int rc = read_words(argc, argv, &o);
    if (rc == 0)
        rc = check_together(&o, argc, argv);
    if (rc < 0)
        qk_options_finish(&o);
    else
        *ret_options = o;
    return rc;
}

void qk_options_finish(struct qk_options *options)
{
    free(options->socket);
    for (size_t i = 0; i < options->n_plugins; i++)
        free(options->plugins[i]);
    *options = (struct qk_options){0};
}
