/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A run of quarkctl: its arguments, where it writes, and its connection. Data goes to `out`, talk to `err`. The
 * functions that return int give an exit code of exit.h and have told the user why, unless they say otherwise. One
 * thread.
 */
#ifndef QK_CTL_CTL_H
#define QK_CTL_CTL_H

#include <admin.pb-c.h>
#include <quark/client.h>
#include "base/arena.h"
#include "base/diag.h"
#include "ctl/command.h"
#include "ctl/exit.h"
#include "schema/json.h"

#define QK_CTL_SOCKET_MAX       256
#define QK_CTL_ADMIN_TIMEOUT_MS 10000

struct qk_ctl {
    struct qk_args args;
    FILE *out;
    FILE *err;
    bool color; /* on err */
    char socket[QK_CTL_SOCKET_MAX];
    struct qk_client *client; /* NULL until it is needed */
    bool connected;
    struct qk_arena arena; /* lives as long as the run */
    int argc;              /* the whole command line, for completion */
    char **argv;
};

/* All of the program. */
int qk_ctl_main(int argc, char **argv, FILE *out, FILE *err);

static inline bool qk_ctl_has(const struct qk_ctl *ctl, enum qk_option_id id)
{
    return ctl->args.options[id] != NULL;
}

/* Writes an error to `err` and returns `exit_code`. */
int qk_ctl_fail(struct qk_ctl *ctl, int exit_code, const char *code, const char *note, const char *help,
                const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Writes text with '?' for control characters. */
void qk_put_clean(FILE *to, const char *text);

/* session.c */

/* The socket that --socket, the environment and what exists choose. */
void qk_session_choose_socket(struct qk_ctl *ctl);

/* Asks the silo; the reply lives in the run's arena. An error of the silo is told. */
int qk_session_admin(struct qk_ctl *ctl, const Quark__Admin__AdminRequest *request,
                     const Quark__Admin__AdminReply **ret_reply);

/* The same without a word: a status, 0 or less. For completion, and where an error gets words of its own. */
int qk_session_ask(struct qk_ctl *ctl, const Quark__Admin__AdminRequest *request,
                   const Quark__Admin__AdminReply **ret_reply);

/* Tells why an administrative request failed with `status`, which qk_session_ask() returned. */
int qk_session_fail(struct qk_ctl *ctl, int status);

/* The exit code of a status. */
int qk_exit_of(int status);

/* Which part ends a call with this status: "actor", "silo" or "client". */
const char *qk_part_of(int status);

/* output.c */

/* What gives way on a terminal that is too narrow. */
enum qk_fit {
    QK_FIT_NONE,
    QK_FIT_CUT,
    QK_FIT_WRAP, /* goes on in the next line; the last column only */
};

struct qk_column {
    const char *name;
    bool right; /* aligned to the right */
    enum qk_fit fit;
};

struct qk_table {
    const struct qk_column *columns;
    unsigned n_columns;
    unsigned n_rows;
    unsigned room;
    char **cells; /* n_rows * n_columns, in malloc */
};

void qk_table_init(struct qk_table *table, const struct qk_column *columns, unsigned n_columns);
void qk_table_finish(struct qk_table *table);

/* Writes the cell of the row begun last; the format's text is copied. */
void qk_table_row(struct qk_table *table);
void qk_table_set(struct qk_table *table, unsigned column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints by --output, --raw and --no-headings; may break the lines of long texts. */
int qk_table_print(struct qk_ctl *ctl, struct qk_table *table);

/* Prints a message as a JSON document on a line of its own: one of a schema as the rules say, one of admin.proto
 * (`schema` NULL) with its defaults, so that a script finds every field. */
int qk_print_json(struct qk_ctl *ctl, const ProtobufCMessage *message, const struct qk_schema *schema,
                  enum qk_json_layout layout);

/* "3 d 04:05", "1:02:03", "12.3 s", "250 ms"; "1.5 MiB". The buffers: 32 bytes. */
const char *qk_print_ms(uint64_t ms, char *buf);
const char *qk_print_ns(uint64_t ns, char *buf);
const char *qk_print_bytes(uint64_t bytes, char *buf);

/* cmd_list.c, cmd_types.c: for the other commands */

/* The type and the schema of an actor type's plugin; tells when there is none (with a suggestion). The caller destroys
 * the schema. */
int qk_type_get(struct qk_ctl *ctl, const char *name, const Quark__Admin__Type **ret_type,
                struct qk_schema **ret_schema);

/* Splits TYPE/KEY; the type is copied to the arena. */
int qk_address_split(struct qk_ctl *ctl, const char *address, const char **ret_type, const char **ret_key);

/* Says that the silo has no such type, with one that is spelt alike. */
int qk_type_missing(struct qk_ctl *ctl, const char *name);

/* The number that an option gives, within bounds; as it was where the option is not there. Tells of others. */
int qk_number_option(struct qk_ctl *ctl, enum qk_option_id id, uint64_t min, uint64_t max, uint64_t *ret_number);

/* trace.c: prints what the call whose reply came last has caused. */
int qk_trace_print(struct qk_ctl *ctl);

/* The commands. */
int qk_cmd_call(struct qk_ctl *ctl);
int qk_cmd_actors(struct qk_ctl *ctl);
int qk_cmd_types(struct qk_ctl *ctl);
int qk_cmd_events(struct qk_ctl *ctl);
int qk_cmd_plugins(struct qk_ctl *ctl);
int qk_cmd_services(struct qk_ctl *ctl);
int qk_cmd_status(struct qk_ctl *ctl);
int qk_cmd_top(struct qk_ctl *ctl);
int qk_cmd_new(struct qk_ctl *ctl);
int qk_cmd_deactivate(struct qk_ctl *ctl);
int qk_cmd_reload(struct qk_ctl *ctl);
int qk_cmd_config(struct qk_ctl *ctl);
int qk_cmd_explain(struct qk_ctl *ctl);
int qk_cmd_completion(struct qk_ctl *ctl);
int qk_cmd_version(struct qk_ctl *ctl);
int qk_cmd_help(struct qk_ctl *ctl);
int qk_cmd_complete(struct qk_ctl *ctl);
int qk_cmd_manual(struct qk_ctl *ctl);

extern const char *const qk_columns_actors[];
extern const char *const qk_columns_types[];
extern const char *const qk_columns_events[];
extern const char *const qk_columns_plugins[];
extern const char *const qk_columns_services[];
extern const char *const qk_columns_status[];
extern const char *const qk_columns_top[];
extern const char *const qk_columns_config[];

#endif
