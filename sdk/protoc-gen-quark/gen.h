/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generator's inside: what protoc sent, what we made of it, and what we found wrong with it.
 *
 * Everything lies in one arena and is never freed one by one. A run reads the request, builds the model (model.c,
 * check.c), and then either writes the files (emit*.c) or reports what is wrong (report.c). One thread.
 */
#ifndef QK_GEN_H
#define QK_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <google/protobuf/compiler/plugin.pb-c.h>
#include <quark/options.pb-c.h>
#include "base/arena.h"
#include "base/limits.h"

/* Shorter names for what protoc sends. */
typedef Google__Protobuf__FileDescriptorProto PbFile;
typedef Google__Protobuf__DescriptorProto PbMessage;
typedef Google__Protobuf__FieldDescriptorProto PbField;
typedef Google__Protobuf__ServiceDescriptorProto PbService;
typedef Google__Protobuf__MethodDescriptorProto PbMethod;
typedef Google__Protobuf__SourceCodeInfo__Location PbLocation;
typedef Google__Protobuf__Compiler__CodeGeneratorRequest PbRequest;

/* Numbers of fields in descriptor.proto, which paths of source locations are made of. */
enum {
    IN_FILE_MESSAGE = 4,
    IN_FILE_SERVICE = 6,
    IN_FILE_OPTIONS = 8,
    IN_MESSAGE_FIELD = 2,
    IN_MESSAGE_NESTED = 3,
    IN_MESSAGE_ONEOF = 8,
    IN_SERVICE_METHOD = 2,
    IN_SERVICE_OPTIONS = 3,
    IN_METHOD_INPUT = 2,
    IN_METHOD_OUTPUT = 3,
    IN_METHOD_OPTIONS = 4,
    IN_ANY_NAME = 1,
};

/* Our extensions of the options, as proto/quark/options.proto numbers them. */
enum { EXT_ACTOR = 52701, EXT_METHOD = 52702, EXT_PB_C = 1019 };

#define PATH_MAX_PARTS 80

/* Where something stands in a file, as descriptor.proto counts. */
struct gen_path {
    int parts[PATH_MAX_PARTS];
    int n;
};

struct gen_file {
    const PbFile *pb;
    bool generate;       /* else only imported */
    unsigned mark;       /* of the walk through imports */
    const char *stem;    /* the name without .proto */
    const char *package; /* as in the descriptors' C names */
    char *source;        /* the text, for messages; NULL where it can't be read */
    size_t source_size;
    bool source_tried;
};

struct gen_message {
    struct gen_file *file;
    const PbMessage *pb;
    struct gen_path path;
    const char *full_name; /* sample.Counter, no dot in front */
    const char *c_type;    /* Sample__Counter */
    const char *c_desc;    /* sample__counter__descriptor */
    struct gen_message *next;
};

struct gen_method {
    struct gen_type *type;
    const PbMethod *pb;
    struct gen_path path;
    const char *snake; /* transfer_all */
    uint32_t id;
    bool id_chosen;
    bool one_way;
    bool read_only;
    uint32_t reentrancy; /* 0, QK_METHOD_INTERLEAVE_CHAIN or QK_METHOD_INTERLEAVE_ALWAYS */
    uint32_t deadline_ms;
    uint32_t limit_ms;
    const struct gen_message *request;
    const struct gen_message *reply;
    uint32_t index; /* place in the table, by id */
};

struct gen_type {
    struct gen_file *file;
    const PbService *pb;
    struct gen_path path;
    const char *service; /* sample.Counter */
    const char *name;
    const char *prefix;
    uint64_t id;
    bool has_state;                  /* one is named */
    const struct gen_message *state; /* NULL: none, or there is none of that name */
    uint32_t placement;
    uint32_t mailbox;
    uint32_t idle_ms;
    uint32_t limit_ms;
    bool on_activate;
    bool on_deactivate;
    const char *store; /* NULL: the state is not stored */
    bool lazy_state;
    const char *event_name;          /* NULL: none is named */
    const struct gen_message *event; /* NULL: none, or there is none of that name */
    uint32_t snapshot_every;
    uint32_t reentrancy; /* 0 or a flag of enum qk_type_flags */
    uint32_t overload;   /* likewise */
    char **filters;      /* names, the outermost first */
    size_t n_filters;
    bool on_child_failure;
    bool on_watched;
    uint32_t directive;
    uint32_t strategy;
    uint32_t restart_max;
    uint32_t restart_window_ms;
    uint32_t backoff_ms;
    uint32_t backoff_max_ms;
    struct gen_method *methods; /* in the order of the .proto */
    const struct gen_method **by_id;
    uint32_t n_methods;
    struct gen_type *next;
};

/* What `--quark_opt` said. */
struct gen_params {
    const char *plugin;                      /* NULL: proxies only */
    const char *version;                     /* of the plugin */
    const char *services;                    /* name of the list of its services; NULL: it has none */
    const char *filters[QK_FILTERS_MAX + 1]; /* of the silo, the outermost first; one more than may be */
    size_t n_filters;
    const char *root; /* where the .proto files lie, for messages; NULL: the working directory */
};

struct gen {
    struct qk_arena arena;
    PbRequest *request;
    struct gen_params params;
    struct gen_file *files; /* one for each file of the request, in its order */
    struct gen_message *messages;
    struct gen_type *types; /* in the order of the files and of the services in them */
    size_t n_types;
    FILE *report; /* diagnostics so far */
    unsigned mistakes;
};

/* main.c: memory and text from the run's arena; these end the program when there is no more. */
void *gen_alloc(struct gen *g, size_t size);
char *gen_format(struct gen *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* report.c: one mistake. `file` NULL: it is in no file. */
struct gen_mistake {
    const char *code;
    struct gen_file *file;
    const struct gen_path *path;
    const char *needle; /* text within the place to mark rather than its beginning; NULL: none */
    const char *label;  /* beside the mark; NULL: none */
    const char *help;   /* NULL: none */
};
void gen_report(struct gen *g, const struct gen_mistake *m, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct gen_path gen_path_of(const struct gen_path *parent, int field, int index);
const PbLocation *gen_location(const struct gen_file *file, const struct gen_path *path);

/* names.c */
char *gen_snake(struct gen *g, const char *camel);
char *gen_c_type(struct gen *g, const char *package, const char *file_package, const char *full_name);
char *gen_c_lower(struct gen *g, const char *package, const char *file_package, const char *full_name);
char *gen_underscored(struct gen *g, const char *name);
bool gen_is_reserved(const char *identifier);
bool gen_is_name(const char *text, size_t max, bool dash);

/* options.c: the option `number` among unknown fields, pieces put together, or NULL where it isn't there. */
ProtobufCMessage *gen_option(struct gen *g, const ProtobufCMessage *options, int number,
                             const ProtobufCMessageDescriptor *desc);

/* params.c */
void gen_params_parse(struct gen *g, const char *text);

/* run.c: all of it: one request from `in`, one response to `out`. What keeps it from answering goes to `errors`: then
 * it returns 1, else 0. */
int gen_run(FILE *in, FILE *out, FILE *errors);

/* model.c: files, messages, types and methods, each checked for itself. */
void gen_model_build(struct gen *g);
/* How mistakes in an option that names a message are told. */
struct gen_words {
    const char *code;
    const char *member;  /* of the options */
    const char *meaning; /* "the state" */
};

/* The message that an option of a type names; NULL where there is none, which has been reported. */
const struct gen_message *gen_named_message(struct gen *g, const struct gen_type *t, int member, const char *name,
                                            const struct gen_words *words);
struct gen_path gen_option_path(const struct gen_path *of, int options, int extension, int member);

/* traits.c: the options of a type and of a method that say how they behave, each checked for itself. The second runs
 * once the methods are known. */
void gen_traits_set(struct gen *g, struct gen_type *t, const Quark__ActorOptions *o);
void gen_traits_check(struct gen *g, struct gen_type *t);
void gen_traits_set_method(struct gen *g, struct gen_method *m, const Quark__MethodOptions *o);

/* filters.c: the names of call filters, those of types and of the plugin; and what is written for them. */
void gen_filters_set(struct gen *g, struct gen_type *t, const Quark__ActorOptions *o);
void gen_filters_check_params(struct gen *g);
/* Those of the types of a file, and of the plugin in its first; of all files where it is NULL. Each once. */
const char *const *gen_filters_of(struct gen *g, const struct gen_file *file, size_t *ret_count);
void gen_filters_declare(struct gen *g, const struct gen_file *file, FILE *out);
const char *gen_filters_list(struct gen *g, const char *const *names, size_t n); /* two members of a table; "": none */

/* journal.c: types whose state is made of events: their options, and what is written for them. */
void gen_journal_set(struct gen *g, struct gen_type *t, const Quark__ActorOptions *o);
void gen_journal_check(struct gen *g, struct gen_type *t);
void gen_journal_prototype(const struct gen_type *t, FILE *out);
void gen_journal_functions(const struct gen_type *t, FILE *out);
void gen_journal_entry(const struct gen_type *t, FILE *out);
const char *gen_journal_members(struct gen *g, const struct gen_type *t); /* of a table; "": none */
void gen_journal_test(const struct gen_type *t, FILE *out);

/* check.c: what must hold between them. */
void gen_check(struct gen *g);

/* emit.c and its siblings: the text of one file. */
void gen_emit_header(struct gen *g, const struct gen_file *file, FILE *out);
void gen_emit_source(struct gen *g, const struct gen_file *file, FILE *out);
void gen_emit_client(struct gen *g, const struct gen_file *file, FILE *out);
void gen_emit_test(struct gen *g, const struct gen_file *file, FILE *out);
uint8_t *gen_schema(struct gen *g, size_t *ret_size);
void gen_emit_begin(struct gen *g, const struct gen_file *file, const char *what, FILE *out);
void gen_emit_end(FILE *out);
void gen_emit_comment(const struct gen_file *file, const struct gen_path *path, const char *text, FILE *out);
bool gen_has_plugin(const struct gen *g, const struct gen_file *file);
const char *gen_placement_word(uint32_t placement);
const char *gen_directive_word(uint32_t directive);
const char *gen_strategy_word(uint32_t strategy);
const char *gen_type_flags(struct gen *g, const struct gen_type *t);
const char *gen_method_flags(struct gen *g, const struct gen_method *m);

#endif
