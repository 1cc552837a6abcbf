/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From one text to values: libconfig makes the tree, the scan knows where its parts stand, the table says what they
 * may be. */
#include "main/config.h"

#include <errno.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>
#include "main/convert.h"

/* A walk through the tree, in step with the marks of the scan. */
struct walk {
    struct qk_config *config;
    const struct qk_source *source; /* path NULL: the built-in defaults */
    const struct qk_scan *scan;
    size_t at;
    struct qk_report *report;
    bool refused;
};

static struct qk_mark take(struct walk *w)
{
    return w->at < w->scan->n_marks ? w->scan->marks[w->at++] : (struct qk_mark){0};
}

static void say(struct walk *w, struct qk_mark where, const char *code, const char *message, const char *label,
                const char *help)
{
    const struct qk_diag diag = {
        .code = code,
        .message = message,
        .file = w->source->path,
        .line = where.line,
        .column = where.column,
        .width = where.width,
        .source = w->source->text,
        .source_size = w->source->size,
        .label = label != NULL && *label != '\0' ? label : NULL,
        .help = help != NULL && *help != '\0' ? help : NULL,
    };
    w->refused = true;
    qk_report_add(w->report, &diag);
}

static void say_refusal(struct walk *w, struct qk_mark where, const struct qk_objection *why)
{
    say(w, where, why->code, why->message, why->label, why->help);
}

/* Steps over the marks of what is inside a value. */
static void skip_inside(struct walk *w, const config_setting_t *setting)
{
    if (!config_setting_is_aggregate(setting))
        return;
    int n = config_setting_length(setting);
    for (int i = 0; i < n; i++) {
        const config_setting_t *child = config_setting_get_elem(setting, (unsigned)i);
        if (config_setting_is_group(setting))
            take(w);
        take(w);
        skip_inside(w, child);
    }
}

static const char *kind_of(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        return "a section";
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        return "a list";
    case CONFIG_TYPE_BOOL:
        return "a boolean";
    case CONFIG_TYPE_STRING:
        return "a text";
    default:
        return "a number";
    }
}

static int read_list(struct walk *w, const struct qk_key *key, const config_setting_t *setting, struct qk_mark where,
                     struct qk_value *value)
{
    int n = config_setting_length(setting);
    struct qk_objection why = {0};
    value->list = calloc((size_t)n + 1, sizeof(*value->list));
    value->places = calloc((size_t)n + 1, sizeof(*value->places));
    if (value->list == NULL || value->places == NULL)
        return -ENOMEM;
    if (n < key->least || n > key->most) {
        char message[160];
        snprintf(message, sizeof(message), "`%s` has %s elements", key->dotted,
                 n < key->least ? "too few" : "too many");
        char label[64];
        snprintf(label, sizeof(label), "%d, where %d to %d may be", n, (int)key->least, (int)key->most);
        say(w, where, "QK0212", message, label, NULL);
        skip_inside(w, setting);
        return 0;
    }
    for (int i = 0; i < n; i++) {
        const config_setting_t *child = config_setting_get_elem(setting, (unsigned)i);
        struct qk_mark mark = take(w);
        const char *text = config_setting_get_string(child);
        int rc = 0;
        if (text == NULL) {
            rc = qk_convert_wrong(key, kind_of(child), &why);
            snprintf(why.message, sizeof(why.message), "an element of `%s` is a text", key->dotted);
            snprintf(why.help, sizeof(why.help), "every element stands in quotes");
            skip_inside(w, child);
        } else {
            rc = qk_convert_element(key, text, &why);
        }
        if (rc < 0) {
            say_refusal(w, mark, &why);
            why = (struct qk_objection){0};
            continue;
        }
        value->places[value->n_list] = mark;
        value->list[value->n_list] = strdup(text);
        if (value->list[value->n_list++] == NULL)
            return -ENOMEM;
    }
    return 0;
}

static bool is_list_key(const struct qk_key *key)
{
    return key->type == QK_KEY_PATHS || key->type == QK_KEY_USERS || key->type == QK_KEY_GROUPS ||
           key->type == QK_KEY_NAMES || key->type == QK_KEY_GRANTS;
}

static int read_scalar(const struct qk_key *key, const config_setting_t *setting, struct qk_value *value,
                       struct qk_objection *why)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING:
        return qk_convert_text(key, config_setting_get_string(setting), value, why);
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return qk_convert_number(key, config_setting_get_int64(setting), value, why);
    case CONFIG_TYPE_BOOL:
        if (key->type != QK_KEY_BOOLEAN)
            return qk_convert_wrong(key, "a boolean", why);
        value->number = config_setting_get_bool(setting) ? 1 : 0;
        return 0;
    default:
        return qk_convert_wrong(key, kind_of(setting), why);
    }
}

static int read_key(struct walk *w, enum qk_key_id id, const config_setting_t *setting)
{
    const struct qk_key *key = &qk_keys[id];
    struct qk_mark where = take(w);
    struct qk_value value = {.where = where};
    struct qk_objection why = {0};
    int rc;
    int type = config_setting_type(setting);
    if (is_list_key(key) && (type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST)) {
        rc = read_list(w, key, setting, where, &value);
    } else {
        rc = read_scalar(key, setting, &value, &why);
        if (rc == -EINVAL) {
            say_refusal(w, where, &why);
            rc = 0;
        }
        skip_inside(w, setting);
    }
    if (rc == 0 && w->source->path != NULL) {
        value.file = strdup(w->source->path);
        rc = value.file != NULL ? 0 : -ENOMEM;
    }
    if (rc < 0) {
        qk_value_finish(&value);
        return rc;
    }
    qk_value_finish(&w->config->values[id]);
    w->config->values[id] = value;
    return 0;
}

/* The key `name`, wherever it belongs. */
static const struct qk_key *find_anywhere(const char *name)
{
    for (int i = 0; i < QK_KEYS; i++) {
        if (strcmp(qk_keys[i].name, name) == 0)
            return &qk_keys[i];
    }
    return NULL;
}

/* The name nearest to `name` among the keys of a section; the sections themselves for NULL. */
static const char *nearest(const char *name, const char *section)
{
    const char *words[QK_KEYS + 1];
    size_t n = 0;
    if (section == NULL) {
        for (const struct qk_section *s = qk_sections; s->name != NULL && n < QK_KEYS; s++)
            words[n++] = s->name;
    }
    for (int i = 0; section != NULL && i < QK_KEYS; i++) {
        if (strcmp(qk_keys[i].section, section) == 0)
            words[n++] = qk_keys[i].name;
    }
    words[n] = NULL;
    return qk_suggest(name, words);
}

static void say_unknown(struct walk *w, struct qk_mark where, const char *name, const char *section)
{
    char message[160];
    char label[160] = "";
    char help[240];
    const struct qk_key *elsewhere = find_anywhere(name);
    const char *near = nearest(name, section);
    snprintf(message, sizeof(message), "unknown %s `%.100s`", section != NULL ? "key" : "section", name);
    snprintf(help, sizeof(help),
             "quarkd.conf(5) lists the keys; `quarkd --show-config` shows all of them with their values");
    if (elsewhere != NULL) {
        if (section == NULL)
            snprintf(message, sizeof(message), "`%s` stands outside of its section", name);
        snprintf(label, sizeof(label), "belongs in the section `%s`", elsewhere->section);
        snprintf(help, sizeof(help), "write `%s = { %s = %s; };`", elsewhere->section, elsewhere->name,
                 elsewhere->value);
    } else if (near != NULL) {
        snprintf(label, sizeof(label), "did you mean `%s`?", near);
    }
    say(w, where, "QK0210", message, label, help);
}

static int read_section(struct walk *w, const struct qk_section *section, const config_setting_t *setting)
{
    take(w); /* the bracket */
    int n = config_setting_length(setting);
    for (int i = 0; i < n; i++) {
        const config_setting_t *child = config_setting_get_elem(setting, (unsigned)i);
        const char *name = config_setting_name(child);
        int id = 0;
        while (id < QK_KEYS && (strcmp(qk_keys[id].section, section->name) != 0 || strcmp(qk_keys[id].name, name) != 0))
            id++;
        struct qk_mark where = take(w);
        if (id < QK_KEYS) {
            int rc = read_key(w, (enum qk_key_id)id, child);
            if (rc < 0)
                return rc;
        } else {
            say_unknown(w, where, name, section->name);
            take(w);
            skip_inside(w, child);
        }
    }
    return 0;
}

static int read_root(struct walk *w, const config_setting_t *root)
{
    int n = config_setting_length(root);
    for (int i = 0; i < n; i++) {
        const config_setting_t *child = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(child);
        const struct qk_section *section = qk_sections;
        while (section->name != NULL && strcmp(section->name, name) != 0)
            section++;
        struct qk_mark where = take(w);
        if (section->name != NULL && config_setting_is_group(child)) {
            int rc = read_section(w, section, child);
            if (rc < 0)
                return rc;
            continue;
        }
        if (section->name != NULL) {
            char message[160];
            char help[160];
            snprintf(message, sizeof(message), "`%s` is a section", name);
            snprintf(help, sizeof(help), "write `%s = { name = value; };` with the keys of quarkd.conf(5)", name);
            say(w, where, "QK0211", message, NULL, help);
        } else {
            say_unknown(w, where, name, NULL);
        }
        take(w);
        skip_inside(w, child);
    }
    return 0;
}

/* The scan found nothing wrong: the text goes to libconfig. */
static int read_tree(struct walk *w)
{
    config_t tree;
    config_init(&tree);
    int rc = 0;
    if (config_read_string(&tree, w->source->text) == CONFIG_TRUE) {
        rc = read_root(w, config_root_setting(&tree));
    } else {
        const char *text = config_error_text(&tree);
        say(w, (struct qk_mark){.line = config_error_line(&tree)}, "QK0205", text != NULL ? text : "syntax error", NULL,
            "a list in brackets holds values of one kind");
    }
    config_destroy(&tree);
    return rc;
}

int qk_config_read_text(struct qk_config *config, const char *path, char *text, size_t size, struct qk_report *report)
{
    struct qk_source *sources = realloc(config->sources, (config->n_sources + 1) * sizeof(*sources));
    if (sources != NULL)
        config->sources = sources;
    char *copy = path != NULL ? strdup(path) : NULL;
    char *ended = realloc(text, size + 2);
    if (sources == NULL || (path != NULL && copy == NULL) || ended == NULL) {
        free(ended != NULL ? ended : text);
        free(copy);
        return -ENOMEM;
    }
    ended[size] = '\n'; /* libconfig wants the last line ended */
    ended[size + 1] = '\0';
    struct qk_source *source = &sources[config->n_sources++];
    *source = (struct qk_source){copy, ended, size};

    struct qk_scan scan;
    struct walk w = {.config = config, .source = source, .scan = &scan, .report = report};
    int rc = qk_scan_text(source->text, size, &scan);
    if (rc == -EINVAL)
        say(&w, scan.where, scan.code, scan.message, scan.label, scan.help);
    else if (rc == 0)
        rc = read_tree(&w);
    qk_scan_finish(&scan);
    return rc < 0 ? rc : w.refused ? -EINVAL : 0;
}
