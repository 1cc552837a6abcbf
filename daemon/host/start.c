/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of a host: hear what to do, go inside the sandbox, load the plugin, start the workers, say so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "host/host.h"
#include "host/sandbox.h"
#include "loop/clock.h"
#include "plugin/file.h"
#include "wire/check.h"

#define KINDS                                                                                                          \
    (1u << QK_PORT_CALL | 1u << QK_PORT_SEND | 1u << QK_PORT_REPLY | 1u << QK_PORT_CANCEL | 1u << QK_PORT_DEACTIVATE | \
     1u << QK_PORT_STORED | 1u << QK_PORT_QUERY | 1u << QK_PORT_SETUP | 1u << QK_PORT_DRAIN | 1u << QK_PORT_STOP)

static int refuse(struct qk_host_process *host, const char *code, const char *text)
{
    size_t code_len = strlen(code), text_len = strnlen(text, 1024);
    struct qk_port_frame *frame = qk_port_frame_create(code_len + text_len);
    if (frame != NULL) {
        frame->kind = QK_PORT_REFUSE;
        frame->key_len = (uint32_t)code_len;
        frame->text_len = (uint32_t)text_len;
        memcpy(frame->bytes, code, code_len);
        memcpy(frame->bytes + code_len, text, text_len);
        qk_host_send(host, frame);
    }
    return QK_HOST_EXIT_REFUSED;
}

static int open_channel(struct qk_host_process *host)
{
    /* The silo bounds what it sends, and answers what is asked: nothing here may wait for the other side to read. */
    const struct qk_channel_config config = {.pair = &host->pair,
                                             .accepts = KINDS,
                                             .questions_max = 1u << 20,
                                             .asked_max = UINT32_MAX,
                                             .waiting_max = UINT32_MAX,
                                             .waiting_bytes_max = SIZE_MAX};
    return qk_channel_create(&config, &host->channel);
}

/* Waits for the silo's first frame. */
static int hear(struct qk_host_process *host)
{
    struct qk_port_frame *frame = NULL;
    const char *text;
    ProtobufCMessage *message;
    qk_arena_init(&host->arena, QK_MESSAGE_ARENA_MAX);
    while (frame == NULL) {
        if (qk_channel_receive(host->channel, 1, &frame, &text) < 0)
            return QK_HOST_EXIT_BROKEN;
        if (frame == NULL)
            qk_pair_wait(&host->pair, -1);
    }
    if (frame->kind != QK_PORT_SETUP || qk_wire_unpack(&quark__host__setup__descriptor, qk_port_frame_payload(frame),
                                                       frame->payload_len, &host->arena, &message) < 0)
        return QK_HOST_EXIT_BROKEN;
    host->setup = (const Quark__Host__Setup *)message;
    qk_port_frame_destroy(frame);
    return 0;
}

/* What the configuration grants beyond what every plugin has. */
static struct qk_sandbox_path *list_paths(const Quark__Host__Setup *setup)
{
    static const unsigned access[] = {QK_SANDBOX_READ, QK_SANDBOX_READ | QK_SANDBOX_WRITE,
                                      QK_SANDBOX_READ | QK_SANDBOX_WRITE | QK_SANDBOX_DEVICE};
    struct qk_sandbox_path *paths = calloc(setup->n_paths + 1, sizeof(*paths));
    for (size_t i = 0; paths != NULL && i < setup->n_paths; i++)
        paths[i] = (struct qk_sandbox_path){setup->paths[i]->path, access[setup->paths[i]->access % 3]};
    return paths;
}

static int go_inside(struct qk_host_process *host)
{
    static const int keep[] = {STDERR_FILENO, QK_PAIR_MEMORY_FD, QK_PAIR_BELL_FD, QK_HOST_PLUGIN_FD};
    struct qk_sandbox_path *paths = list_paths(host->setup);
    const struct qk_sandbox_spec spec = {.keep = keep,
                                         .n_keep = sizeof(keep) / sizeof(keep[0]),
                                         .paths = paths,
                                         .n_paths = host->setup->n_paths,
                                         .network = host->setup->network,
                                         .memory_max = host->setup->memory_max,
                                         .files_max = host->setup->files_max,
                                         .parent = getppid(),
                                         .best_effort = host->setup->best_effort,
                                         .on_violation = qk_host_on_violation};
    char why[QK_SANDBOX_WHY_MAX] = "no memory";
    int rc = paths != NULL ? qk_sandbox_enter(&spec, why, sizeof(why)) : -1;
    free(paths);
    return rc < 0 ? refuse(host, QK_PLUGIN_RESOURCES, why) : 0;
}

static int load(struct qk_host_process *host)
{
    struct qk_refusal refusal;
    struct qk_note_info note;
    const size_t size = (size_t)host->setup->size;
    const void *bytes = qk_file_map(QK_HOST_PLUGIN_FD, size, &refusal);
    int rc = bytes != NULL ? qk_note_read(bytes, size, &note, &refusal) : QK_EINVALID;
    if (bytes != NULL && size > 0)
        munmap((void *)bytes, size);
    if (rc == 0)
        rc = qk_note_check_abi(note.abi_major, note.abi_minor, &refusal);
    if (rc == 0)
        rc = qk_load(QK_HOST_PLUGIN_FD, size, host->setup->file, &note, &host->loaded, &refusal);
    return rc < 0 ? refuse(host, refusal.code, refusal.text) : 0;
}

/* Whether there is such a type the silo knows, and says. */
static bool is_elsewhere(void *arg, uint64_t type_id)
{
    (void)arg, (void)type_id;
    return true;
}

/* Where calls come one after another, each finds a worker awake; how long that is worth while the runtime learns. */
static bool expects(void *arg)
{
    (void)arg;
    return true;
}

static struct qk_port_note *note_of(void *arg, uint32_t worker)
{
    return &((struct qk_host_process *)arg)->pair.board->workers[worker].note;
}

static int make_runtime(struct qk_host_process *host)
{
    const Quark__Host__Setup *s = host->setup;
    struct qk_runtime_config rt;
    qk_runtime_config_init(&rt);
    rt.workers = host->n_workers;
    rt.now_ns = qk_clock_now_ns;
    rt.wall_ms = qk_clock_wall_ms;
    rt.poller = (struct qk_poller){.poll = qk_host_poll, .wake = qk_host_wake, .arg = host};
    rt.deliver = qk_host_deliver;
    rt.deliver_arg = host;
    rt.offload = qk_crew_take;
    rt.offload_arg = host->crew;
    rt.log = qk_host_log;
    rt.log_arg = host;
    rt.expects = expects;
    rt.elsewhere = is_elsewhere;
    rt.note = note_of;
    rt.note_arg = host;
    rt.first_request_id = s->first_request_id;
    rt.default_timeout_ms = s->default_timeout_ms;
    rt.mailbox_max = s->mailbox_max;
    rt.idle_ms = s->idle_ms;
    rt.budget = s->budget;
    rt.fiber_stack_bytes = s->fiber_stack_bytes;
    rt.activations_max = s->activations_max;
    rt.spin_ns = s->spin_ns;
    rt.seed = s->seed;
    int rc = qk_runtime_create(&rt, &host->rt);
    if (rc == 0)
        qk_crew_set_runtime(host->crew, host->rt);
    return rc;
}

static void worker_main(void *arg)
{
    struct qk_host_worker *worker = arg;
    qk_runtime_worker_run(worker->host->rt, worker->index);
    atomic_store(&worker->ended, true);
    qk_park_wake(&worker->host->park);
}

static int start_workers(struct qk_host_process *host)
{
    for (uint32_t i = 0; i < host->n_workers; i++) {
        char name[16];
        snprintf(name, sizeof(name), "qk-w%u", i);
        host->workers[i] = (struct qk_host_worker){.host = host, .index = i, .loops = UINT64_MAX};
        int rc = qk_thread_start(name, -1, worker_main, &host->workers[i], &host->workers[i].thread);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The types are in the runtime and its workers run. */
static int run(struct qk_host_process *host)
{
    const Quark__Host__Setup *s = host->setup;
    struct qk_refusal refusal;
    host->n_workers = s->workers < 1 ? 1 : s->workers > QK_BOARD_WORKERS_MAX ? QK_BOARD_WORKERS_MAX : s->workers;
    host->workers = calloc(host->n_workers, sizeof(*host->workers));
    if (host->workers == NULL || qk_crew_create(s->offload_threads, s->offload_queue, &host->crew) < 0 ||
        make_runtime(host) < 0)
        return refuse(host, QK_PLUGIN_RESOURCES, "its process has no memory for a runtime");
    if (qk_load_register(&host->loaded, host->rt, &refusal) < 0)
        return refuse(host, refusal.code, refusal.text);
    struct qk_port_frame *manifest = qk_host_manifest(host->loaded.plugin);
    if (manifest == NULL)
        return refuse(host, QK_PLUGIN_TOO_MANY,
                      "its types, methods and messages are too many for a process of its own");
    if (start_workers(host) < 0)
        return refuse(host, QK_PLUGIN_RESOURCES, "its process can't start threads");
    qk_host_send(host, manifest);
    return 0;
}

int qk_host_start(struct qk_host_process *host)
{
    char why[QK_SANDBOX_WHY_MAX];
    if (open_channel(host) < 0)
        return QK_HOST_EXIT_BROKEN;
    int rc = hear(host);
    qk_host_explain_crashes();
    if (rc == 0 && host->setup->confined)
        rc = go_inside(host);
    if (rc == 0)
        rc = load(host);
    if (rc == 0 && host->setup->confined && qk_sandbox_close(why, sizeof(why)) < 0)
        rc = refuse(host, QK_PLUGIN_RESOURCES, why);
    return rc == 0 ? run(host) : rc;
}
