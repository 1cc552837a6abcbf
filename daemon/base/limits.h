/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of Quark, in one place. A test takes each to its limit and one past it. */
#ifndef QK_BASE_LIMITS_H
#define QK_BASE_LIMITS_H

/* Frames. */
#define QK_ENVELOPE_MAX       8192       /* bytes of a frame's envelope */
#define QK_PAYLOAD_MAX        (4 << 20)  /* bytes of a frame's payload */
#define QK_MESSAGE_DEPTH_MAX  32         /* sub-messages inside one another */
#define QK_MESSAGE_FIELDS_MAX 100000     /* fields in one message, all levels together */
#define QK_MESSAGE_ARENA_MAX  (16 << 20) /* bytes that one message may take unpacked */

/* Turns. */
#define QK_ERROR_TEXT_MAX 1024       /* bytes of the message that travels with an error */
#define QK_LOG_TEXT_MAX   4096       /* bytes of one log line */
#define QK_TURN_ARENA_MAX (64 << 20) /* bytes that one turn may allocate */
#define QK_MAILBOX_LIMIT  16384      /* the largest mailbox that a type may ask for */
#define QK_TIMERS_MAX     16384      /* timers of one activation */
#define QK_CHAIN_MAX      64         /* actors that wait for one another in one call chain */
#define QK_CHILDREN_MAX   16384      /* children of one activation */
#define QK_WATCHERS_MAX   1024       /* actors that watch one activation */

/* Context that travels with a call. */
#define QK_CONTEXT_ENTRIES_MAX 32   /* entries: correlation id, tracestate and metadata */
#define QK_CONTEXT_NAME_MAX    64   /* bytes of an entry's name */
#define QK_CONTEXT_BYTES_MAX   4096 /* bytes of all names and values */

#define QK_TRACE_SPANS_MAX 4096      /* spans that one recorded call keeps */
#define QK_TRACE_BYTES_MAX (1 << 20) /* bytes of memory that they take */
#define QK_TRACES_MAX      64        /* calls that are recorded at a time */
#define QK_TRACE_WAIT_MS   250       /* how long the answer to one waits for the end of what it has sent */

/* Journals. */
#define QK_SNAPSHOT_EVERY 100         /* events, of a type that does not say */
#define QK_PAGE_BYTES_MAX (256 << 10) /* of the events that are read at once, but for the first */

/* Plugins. */
#define QK_PLUGIN_TYPES_MAX    256         /* actor types in one plugin */
#define QK_PLUGIN_SERVICES_MAX 256         /* services in one plugin */
#define QK_SERVICES_MAX        4096        /* services of all plugins */
#define QK_SERVICE_NEEDS_MAX   64          /* services that one needs itself */
#define QK_SERVICE_DEPTH_MAX   32          /* services that need one another in a row */
#define QK_TYPE_METHODS_MAX    1024        /* methods of one type */
#define QK_PLUGIN_FILE_MAX     (256 << 20) /* bytes of a plugin file */
#define QK_FILTERS_MAX         16          /* filters of one type, and of one plugin for the silo */
#define QK_SILO_FILTERS_MAX    64          /* filters of all plugins for the silo */
#define QK_PLUGINS_MAX         1024        /* plugin files in the directory */
#define QK_SCHEMA_MAX          (1 << 20)   /* bytes of a plugin's message descriptors */

/* Clients. */
#define QK_CLIENTS_MAX       1024       /* connections to the local socket */
#define QK_CLIENT_CALLS_MAX  65536      /* calls of one connection in flight */
#define QK_CLIENT_INPUT_MAX  (8 << 20)  /* bytes of one connection that wait to be parsed */
#define QK_CLIENT_OUTPUT_MAX (16 << 20) /* bytes of unread replies at which a connection is not read any further */
#define QK_CLIENT_UNREAD_MAX (32 << 20) /* bytes of unread replies at which it is cut off */

/* Configuration. */
#define QK_CONFIG_FILES_MAX 256
#define QK_CONFIG_FILE_MAX  (1 << 20)

#endif
