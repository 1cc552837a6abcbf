/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One process of a plugin, from its start to its end. Its end is noticed by a descriptor of the process itself, at
 * once; what it left open is answered then, and another process is started: the first time at once, then after pauses
 * that double, until one has lived for a minute.
 */
#include "hosts/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <host.pb-c.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/log.h"
#include "loop/clock.h"

#define NS_PER_MS      1000000
#define LOOK_MS        200
#define RING_BYTES     (1u << 20)
#define SOUND_MS       60000 /* a life that ends the counting of deaths */
#define PAUSE_MIN_MS   100
#define PAUSE_MAX_MS   30000
#define KILL_AFTER_MS  1500 /* past the time given for a stop */
#define FRAMES_AT_END  100000
#define PLUGIN_FD      5
#define HIGH_FD        16
#define EXIT_REFUSED   3 /* as quark-host has them */
#define EXIT_IN_TURN   5
#define EXIT_VIOLATION 6

#define KINDS                                                                                                     \
    (1u << QK_PORT_CALL | 1u << QK_PORT_SEND | 1u << QK_PORT_REPLY | 1u << QK_PORT_CANCEL | 1u << QK_PORT_STORE | \
     1u << QK_PORT_LOG | 1u << QK_PORT_READY | 1u << QK_PORT_REFUSE)

static void move(struct qk_hosted *hosted, enum qk_hosted_state to)
{
    atomic_store(&hosted->state, to);
}

/* ---- the bell, inside the workers' loop */

static void on_bell(void *arg, unsigned events)
{
    (void)arg, (void)events; /* it has woken the poller, which looks into every ring */
}

static void open_bell(void *arg)
{
    struct qk_run *run = arg;
    if (qk_watch_create(run->hosted->hosts->config.loop, run->pair.bell_fd, QK_WATCH_READ | QK_WATCH_EDGE, on_bell, run,
                        &run->bell) < 0)
        qk_log_write(QK_LOG_ERROR, NULL, NULL, "no memory to watch a plugin's process: its answers come late");
}

static void free_run(void *arg)
{
    struct qk_run *run = arg;
    qk_watch_destroy(run->bell);
    qk_channel_destroy(run->channel);
    qk_pair_finish(&run->pair);
    if (run->pidfd >= 0)
        close(run->pidfd);
    free(run);
}

/* ---- starting */

static int make_run(struct qk_hosted *hosted, struct qk_run **ret_run)
{
    struct qk_run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        return -ENOMEM;
    atomic_fetch_add(&hosted->generation, 1);
    run->hosted = hosted;
    run->pidfd = -1;
    run->open_task = (struct qk_task){.fn = open_bell, .arg = run};
    run->close_task = (struct qk_task){.fn = free_run, .arg = run};
    int rc = qk_pair_create(RING_BYTES, &run->pair);
    const struct qk_channel_config config = {.pair = &run->pair,
                                             .origin = qk_traffic_origin(hosted),
                                             .accepts = KINDS,
                                             .questions_max = 1u << 18,
                                             .asked_max = 1u << 16,
                                             .waiting_max = 1u << 16,
                                             .waiting_bytes_max = 64u << 20};
    if (rc == 0)
        rc = qk_channel_create(&config, &run->channel);
    if (rc < 0)
        free_run(run);
    else
        *ret_run = run;
    return rc;
}

static struct qk_port_frame *make_setup(const struct qk_hosted *hosted)
{
    const struct qk_hosts_config *c = &hosted->hosts->config;
    const struct qk_runtime_config *rt = &c->runtime;
    Quark__Host__Setup setup = QUARK__HOST__SETUP__INIT;
    setup.file = hosted->file;
    setup.size = hosted->size;
    setup.workers = rt->workers;
    setup.default_timeout_ms = rt->default_timeout_ms;
    setup.mailbox_max = rt->mailbox_max;
    setup.idle_ms = rt->idle_ms;
    setup.budget = rt->budget;
    setup.fiber_stack_bytes = rt->fiber_stack_bytes;
    setup.activations_max = rt->activations_max;
    setup.spin_ns = rt->spin_ns;
    setup.seed = rt->seed;
    /* Room for a thousand calls a second for years, and apart from every other process of the silo. */
    setup.first_request_id = ((uint64_t)(hosted->index + 1) << 48) +
                             ((uint64_t)atomic_load(&((struct qk_hosted *)hosted)->generation) << 36);
    setup.long_turn_ms = c->long_turn_ms;
    setup.offload_threads = c->offload_threads;
    setup.offload_queue = c->offload_queue;
    setup.confined = c->confined;
    setup.best_effort = c->best_effort;
    int rc = qk_grants_tell(&c->grants, hosted->name, &setup);
    size_t size = quark__host__setup__get_packed_size(&setup);
    struct qk_port_frame *frame = rc == 0 ? qk_port_frame_create(size) : NULL;
    if (frame != NULL) {
        frame->kind = QK_PORT_SETUP;
        frame->payload_len = (uint32_t)size;
        quark__host__setup__pack(&setup, frame->bytes);
    }
    qk_grants_clear(&setup);
    return frame;
}

/* What of the silo's environment a plugin's process gets. */
static void pick_environment(char **ret_env, size_t room)
{
    static const char *const kept[] = {"PATH=", "LANG=", "LC_", "TZ=", "LD_LIBRARY_PATH=", "ASAN_", "UBSAN_", "TSAN_"};
    size_t n = 0;
    for (char **e = environ; *e != NULL && n + 1 < room; e++) {
        for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
            if (strncmp(*e, kept[i], strlen(kept[i])) == 0)
                ret_env[n++] = *e;
        }
    }
    ret_env[n] = NULL;
}

static int spawn_with(const char *program, const int fds[3], pid_t *ret_pid)
{
    static const int places[3] = {QK_PAIR_MEMORY_FD, QK_PAIR_BELL_FD, PLUGIN_FD};
    char *argv[] = {(char *)"quark-host", NULL}, *env[64];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    pick_environment(env, sizeof(env) / sizeof(env[0]));
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&actions, fds[i], places[i]);
    int rc = posix_spawn(ret_pid, program, &actions, &attr, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return -rc;
}

/* The descriptors are first moved out of the way of the numbers that they get over there. */
static int spawn(struct qk_hosted *hosted, struct qk_run *run)
{
    const int mine[3] = {run->pair.memory_fd, run->pair.bell_fd, hosted->copy};
    int high[3], rc = 0;
    for (int i = 0; i < 3; i++) {
        high[i] = fcntl(mine[i], F_DUPFD_CLOEXEC, HIGH_FD);
        if (high[i] < 0)
            rc = -errno;
    }
    if (rc == 0)
        rc = spawn_with(hosted->hosts->program, high, &hosted->pid);
    for (int i = 0; i < 3; i++) {
        if (high[i] >= 0)
            close(high[i]);
    }
    if (rc < 0)
        return rc;
    hosted->pidfd = (int)syscall(SYS_pidfd_open, hosted->pid, 0);
    run->pidfd = hosted->pidfd >= 0 ? fcntl(hosted->pidfd, F_DUPFD_CLOEXEC, 3) : -1;
    if (run->pidfd >= 0)
        return 0;
    rc = -errno;
    if (hosted->pidfd >= 0)
        close(hosted->pidfd);
    hosted->pidfd = -1;
    kill(hosted->pid, SIGKILL);
    waitpid(hosted->pid, NULL, 0);
    hosted->pid = 0;
    return rc;
}

int qk_process_start(struct qk_hosted *hosted)
{
    struct qk_run *run;
    struct qk_port_frame *refused;
    hosted->pidfd = -1;
    hosted->killed = NULL;
    hosted->still_ticks = 0;
    hosted->started_ns = qk_clock_now_ns(NULL);
    int rc = make_run(hosted, &run);
    if (rc < 0)
        return rc;
    struct qk_port_frame *setup = make_setup(hosted);
    rc = setup != NULL ? spawn(hosted, run) : -ENOMEM;
    if (rc < 0) {
        qk_port_frame_destroy(setup);
        free_run(run);
        return rc;
    }
    qk_channel_send(run->channel, setup, &refused);
    move(hosted, QK_HOSTED_STARTING);
    pthread_mutex_lock(&hosted->read_lock);
    pthread_mutex_lock(&hosted->send_lock);
    hosted->run = run;
    pthread_mutex_unlock(&hosted->send_lock);
    pthread_mutex_unlock(&hosted->read_lock);
    return 0;
}

/* ---- its first word; nobody else knows of the process yet */

static void describe_end(const struct qk_hosted *hosted, const siginfo_t *info, char *text, size_t size)
{
    if (hosted->killed != NULL)
        snprintf(text, size, "%s", hosted->killed);
    else if (hosted->run != NULL && hosted->run->broken)
        snprintf(text, size, "%s", hosted->run->why);
    else if (info->si_code == CLD_EXITED && info->si_status == EXIT_VIOLATION)
        snprintf(text, size, "a system call that a plugin may not make");
    else if (info->si_code == CLD_EXITED && info->si_status == EXIT_IN_TURN)
        snprintf(text, size, "exit()");
    else if (info->si_code == CLD_EXITED)
        snprintf(text, size, "exit status %d", info->si_status);
    else
        snprintf(text, size, "SIG%s", sigabbrev_np(info->si_status) != NULL ? sigabbrev_np(info->si_status) : "?");
}

/* Takes leave of the process, which has ended or is to: how it ended. */
static void reap(struct qk_hosted *hosted, siginfo_t *ret_info)
{
    memset(ret_info, 0, sizeof(*ret_info));
    if (hosted->pidfd < 0)
        return;
    while (waitid(P_PIDFD, (id_t)hosted->pidfd, ret_info, WEXITED) < 0 && errno == EINTR)
        ;
    qk_watch_destroy(hosted->death);
    hosted->death = NULL;
    close(hosted->pidfd);
    hosted->pidfd = -1;
    hosted->pid = 0;
}

void qk_process_discard(struct qk_hosted *hosted)
{
    siginfo_t info;
    if (hosted->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, hosted->pidfd, SIGKILL, NULL, 0);
        reap(hosted, &info);
    }
    if (hosted->run != NULL) {
        qk_loop_unpost(hosted->hosts->config.loop, &hosted->run->open_task);
        free_run(hosted->run);
        hosted->run = NULL;
    }
}

static int refuse_first(struct qk_port_frame *frame, struct qk_refusal *refusal)
{
    char code[8];
    static const char *const codes[] = {
        QK_PLUGIN_DAMAGED, QK_PLUGIN_UNDEFINED,    QK_PLUGIN_LIBRARY, QK_PLUGIN_RESOURCES, QK_PLUGIN_ABI,
        QK_PLUGIN_NO_NOTE, QK_PLUGIN_NEED_MISSING, QK_PLUGIN_CIRCLE,  QK_PLUGIN_OUTLIVES,  QK_PLUGIN_TOO_MANY};
    snprintf(code, sizeof(code), "%.*s", (int)frame->key_len, qk_port_frame_key(frame));
    const char *known = QK_PLUGIN_DAMAGED;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(code, codes[i]) == 0)
            known = codes[i];
    }
    int rc = qk_refuse(refusal, known, "%.*s%s", (int)frame->text_len, qk_port_frame_text(frame),
                       strcmp(known, QK_PLUGIN_NEED_MISSING) == 0
                           ? " (a plugin in a process of its own has its own services only)"
                           : "");
    qk_port_frame_destroy(frame);
    return rc;
}

static int gone_first(struct qk_hosted *hosted, struct qk_refusal *refusal)
{
    siginfo_t info;
    char how[256];
    reap(hosted, &info);
    describe_end(hosted, &info, how, sizeof(how));
    return qk_refuse(refusal, QK_PLUGIN_LIBRARY, "its process has ended while it loaded the plugin: %s", how);
}

int qk_process_await(struct qk_hosted *hosted, struct qk_port_frame **ret_manifest, struct qk_refusal *refusal)
{
    int64_t until = qk_clock_now_ns(NULL) + (int64_t)hosted->hosts->config.start_ms * NS_PER_MS;
    struct pollfd fd = {.fd = hosted->pidfd, .events = POLLIN};
    for (bool ended = false;;) {
        int n;
        struct qk_port_frame *frame = qk_traffic_receive(hosted, 1, &n);
        if (frame != NULL && frame->kind == QK_PORT_READY) {
            move(hosted, QK_HOSTED_RUNNING);
            *ret_manifest = frame;
            return 0;
        }
        if (frame != NULL && frame->kind == QK_PORT_REFUSE)
            return refuse_first(frame, refusal);
        if (frame != NULL) { /* a line of a constructor's, or nonsense */
            qk_port_frame_destroy(frame);
            continue;
        }
        if (ended)
            return gone_first(hosted, refusal);
        if (qk_clock_now_ns(NULL) > until)
            return qk_refuse(refusal, QK_PLUGIN_LIBRARY, "its process has not loaded it within %u ms",
                             hosted->hosts->config.start_ms);
        ended = poll(&fd, 1, 1) > 0; /* what it wrote before is looked at once more */
    }
}

/* ---- its end */

static void schedule(struct qk_hosted *hosted)
{
    int64_t lived_ms = (qk_clock_now_ns(NULL) - hosted->started_ns) / NS_PER_MS;
    if (lived_ms > SOUND_MS)
        hosted->deaths = 0;
    hosted->deaths++;
    int64_t pause_ms = 0;
    if (hosted->deaths > 1)
        pause_ms = hosted->deaths < 12 ? PAUSE_MIN_MS << (hosted->deaths - 2) : PAUSE_MAX_MS;
    if (pause_ms > PAUSE_MAX_MS)
        pause_ms = PAUSE_MAX_MS;
    if (pause_ms == 0)
        qk_process_on_pause(hosted);
    else
        qk_timer_arm(hosted->pause, pause_ms * NS_PER_MS);
}

/* Answers everything that is open, once what had come is taken. */
static void bury(struct qk_hosted *hosted, const siginfo_t *info)
{
    struct qk_hosts *hosts = hosted->hosts;
    char how[256], turn[768];
    int n;
    pthread_mutex_lock(&hosted->read_lock);
    struct qk_run *run = hosted->run;
    struct qk_port_frame *last_words = qk_traffic_receive(hosted, FRAMES_AT_END, &n);
    describe_end(hosted, info, how, sizeof(how));
    bool asked = hosts->stop_ns != 0;
    qk_blame_note(hosted, run->pair.board, asked, turn, sizeof(turn));
    snprintf(run->epitaph, sizeof(run->epitaph),
             "the process of plugin %s has ended (%.100s%s%.200s); the call may have run", hosted->name, how,
             *turn != 0 ? ", in " : "", turn);
    void *origin = qk_traffic_origin(hosted);
    pthread_mutex_lock(&hosted->send_lock);
    move(hosted, asked ? QK_HOSTED_ENDED : QK_HOSTED_WAITING);
    hosted->run = NULL;
    pthread_mutex_unlock(&hosted->send_lock);
    pthread_mutex_unlock(&hosted->read_lock);
    struct qk_port_frame *left = qk_channel_abandon(run->channel, QK_ECRASHED, run->epitaph);
    if (!asked)
        qk_log_write(QK_LOG_ERROR, "QK0640", NULL, "the process of plugin %s has ended: %s%s%s", hosted->name, how,
                     *turn != 0 ? ", in " : ", outside of turns", turn);
    qk_traffic_pass(hosted, last_words);
    if (left != NULL)
        hosts->config.route(hosts->config.arg, left);
    /* What it has asked of others nobody waits for. */
    struct qk_port_frame *cancel = qk_port_frame_create(0);
    if (cancel != NULL) {
        cancel->kind = QK_PORT_CANCEL;
        cancel->origin = origin;
        hosts->config.route(hosts->config.arg, cancel);
    }
    qk_loop_post(hosts->config.loop, &run->close_task);
}

static void on_death(void *arg, unsigned events)
{
    (void)events;
    struct qk_hosted *hosted = arg;
    siginfo_t info;
    reap(hosted, &info);
    bury(hosted, &info);
    if (hosted->hosts->stop_ns == 0)
        schedule(hosted);
}

int qk_process_watch(struct qk_hosted *hosted)
{
    qk_loop_post(hosted->hosts->config.loop, &hosted->run->open_task);
    return qk_watch_create(hosted->hosts->config.control, hosted->pidfd, QK_WATCH_READ, on_death, hosted,
                           &hosted->death);
}

/* The pause is over. */
void qk_process_on_pause(void *arg)
{
    struct qk_hosted *hosted = arg;
    if (hosted->hosts->stop_ns != 0)
        return;
    hosted->restarts++;
    int rc = qk_process_start(hosted);
    if (rc == 0)
        rc = qk_process_watch(hosted);
    if (rc == 0) {
        const struct qk_port_frame drain = {.kind = QK_PORT_DRAIN};
        if (hosted->hosts->draining)
            qk_hosts_tell_all(hosted->hosts, &drain);
        qk_log_write(QK_LOG_NOTICE, "QK0641", NULL, "the process of plugin %s is started again (restart %u)",
                     hosted->name, hosted->restarts);
        return;
    }
    qk_log_write(QK_LOG_ERROR, "QK0641", NULL, "the process of plugin %s can't be started again: %s", hosted->name,
                 strerror(-rc));
    qk_timer_arm(hosted->pause, (int64_t)PAUSE_MAX_MS * NS_PER_MS);
}

void qk_process_kill(struct qk_hosted *hosted, const char *why)
{
    if (hosted->pidfd < 0 || hosted->killed != NULL)
        return;
    hosted->killed = why;
    syscall(SYS_pidfd_send_signal, hosted->pidfd, SIGKILL, NULL, 0);
}

/* ---- looking after them */

static void look_at(struct qk_hosted *hosted)
{
    struct qk_hosts *hosts = hosted->hosts;
    if (hosted->pidfd < 0 || hosted->run == NULL)
        return;
    uint64_t beat = atomic_load_explicit(&hosted->run->pair.board->beat, memory_order_relaxed);
    hosted->still_ticks = beat == hosted->beat ? hosted->still_ticks + 1 : 0;
    hosted->beat = beat;
    /* Looks are counted, not time: where the silo itself did not run, its hosts did not either. */
    if (hosted->still_ticks * LOOK_MS >= hosts->config.stuck_ms)
        qk_process_kill(hosted, "a turn held its thread for longer than plugins.stuck");
    if (hosts->stop_ns != 0 && qk_clock_now_ns(NULL) > hosts->stop_ns + (int64_t)KILL_AFTER_MS * NS_PER_MS)
        qk_process_kill(hosted, "it has not ended when it was told to, and was ended");
}

void qk_process_look(void *arg)
{
    struct qk_hosts *hosts = arg;
    unsigned count = atomic_load(&hosts->count);
    for (unsigned i = 0; i < count; i++)
        look_at(atomic_load(&hosts->list[i]));
    qk_timer_arm(hosts->look, (int64_t)LOOK_MS * NS_PER_MS);
}
