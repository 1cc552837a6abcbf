/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls through the real daemon: quarkd in a process of its own, the actors as a plugin that it loads, and the client
 * library over the socket. The floor is a process that sends back what it reads from such a socket.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <quark/client.h>
#include "bench.quark.h"

#define IN_FLIGHT_MAX 1024
#define SAMPLE_EVERY  8
#define START_NS      20000000000ll
#define MESSAGE_BYTES 64

/* ---- the daemon */

static struct {
    char folder[64];
    char socket[96];
    pid_t pid;
    bool isolated;
} daemon_;

static void write_file(const char *name, const char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", daemon_.folder, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || close(fd) != 0)
        bench_fail("%s: %s", path, strerror(errno));
}

static void copy_plugin(const char *from, const char *to)
{
    FILE *f = fopen(from, "re");
    struct stat st;
    if (f == NULL || fstat(fileno(f), &st) != 0)
        bench_fail("%s: %s", from, strerror(errno));
    char *bytes = malloc((size_t)st.st_size);
    if (bytes == NULL || fread(bytes, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        bench_fail("%s can't be read", from);
    fclose(f);
    write_file(to, bytes, (size_t)st.st_size);
    free(bytes);
}

static void make_folder(const char *settings)
{
    char path[96], text[512];
    strcpy(daemon_.folder, "/tmp/quark-bench-XXXXXX");
    if (mkdtemp(daemon_.folder) == NULL)
        bench_fail("%s: %s", daemon_.folder, strerror(errno));
    snprintf(path, sizeof(path), "%s/plugins", daemon_.folder);
    if (mkdir(path, 0755) != 0)
        bench_fail("%s: %s", path, strerror(errno));
    copy_plugin(BENCH_PLUGIN, "plugins/bench.so");
    copy_plugin(BENCH_ISO_PLUGIN, "plugins/iso.so");
    snprintf(daemon_.socket, sizeof(daemon_.socket), "%s/socket", daemon_.folder);
    int n = snprintf(text, sizeof(text),
                     "socket: { path = \"%s\"; };\nplugins: { directories = [ \"%s\" ]; isolation = \"%s\"; };\n"
                     "log: { level = \"warning\"; };\n%s\n",
                     daemon_.socket, path, daemon_.isolated ? "process" : "none", settings);
    write_file("quarkd.conf", text, (size_t)n);
}

static void start_daemon(const char *settings)
{
    char config[96];
    make_folder(settings);
    snprintf(config, sizeof(config), "%s/quarkd.conf", daemon_.folder);
    daemon_.pid = fork();
    if (daemon_.pid < 0)
        bench_fail("fork: %s", strerror(errno));
    if (daemon_.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(BENCH_QUARKD, "quarkd", "--config", config, (char *)NULL);
        fprintf(stderr, "quark-bench: %s: %s\n", BENCH_QUARKD, strerror(errno));
        _exit(1);
    }
}

static void stop_daemon(void)
{
    int status;
    kill(daemon_.pid, SIGTERM);
    if (waitpid(daemon_.pid, &status, 0) != daemon_.pid || status != 0)
        bench_fail("quarkd ended with status %d", status);
    static const char *const names[] = {"plugins/bench.so", "plugins/iso.so", "plugins", "quarkd.conf", "socket", ""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", daemon_.folder, names[i]);
        remove(path);
    }
}

static struct qk_client *connect_client(void)
{
    struct qk_client_options options;
    struct qk_client *client;
    qk_client_options_init(&options);
    options.socket_path = daemon_.socket;
    options.name = "quark-bench";
    if (qk_client_create(&options, &client) < 0)
        bench_fail("out of memory");
    int64_t until = bench_now_ns() + START_NS;
    int rc;
    while ((rc = qk_client_connect(client)) < 0) { /* it may not be there yet */
        if (bench_now_ns() > until || waitpid(daemon_.pid, NULL, WNOHANG) != 0)
            bench_fail("quarkd can't be reached: %s", qk_client_error(client));
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
    }
    return client;
}

struct qk_client *client_open_isolated(const char *settings, bool isolated)
{
    daemon_.isolated = isolated;
    start_daemon(settings);
    return connect_client();
}

struct qk_client *client_open(const char *settings)
{
    return client_open_isolated(settings, false);
}

int client_daemon_pid(void)
{
    return (int)daemon_.pid;
}

void client_close(struct qk_client *client)
{
    qk_client_destroy(client);
    stop_daemon();
}

/* ---- the load */

struct load {
    struct qk_client *client;
    uint64_t left; /* calls to begin */
    uint64_t n_samples;
    double *samples; /* us */
};

struct slot {
    struct load *load;
    struct qk_ref ref;
    int64_t begun_ns; /* 0: not measured */
    uint64_t n;
};

static void begin_call(struct slot *s);

static void on_reply(void *arg, const struct qk_reply *reply)
{
    struct slot *s = arg;
    if (reply->status < 0)
        bench_fail("a call failed with %s: %s", qk_status_name(reply->status), reply->text);
    if (s->begun_ns != 0)
        s->load->samples[s->load->n_samples++] = (double)(bench_now_ns() - s->begun_ns) / 1e3;
    begin_call(s);
}

static void begin_call(struct slot *s)
{
    if (s->load->left == 0)
        return;
    s->load->left--;
    Bench__Number in = BENCH__NUMBER__INIT;
    in.value = (int64_t)s->n;
    s->begun_ns = s->n++ % SAMPLE_EVERY == 0 ? bench_now_ns() : 0;
    int rc = qk_client_ask_begin(s->load->client, echo_ping_method(), s->ref, 0, &in.base, on_reply, s);
    if (rc < 0)
        bench_fail("a call could not begin: %s", qk_client_error(s->load->client));
}

/* Makes `calls` calls with `in_flight` at a time; how long that took. */
static int64_t run_load(struct load *load, uint32_t in_flight, uint64_t calls)
{
    static struct slot slots[IN_FLIGHT_MAX];
    load->left = calls;
    load->n_samples = 0;
    int64_t start = bench_now_ns();
    for (uint32_t i = 0; i < in_flight; i++) {
        slots[i] = (struct slot){.load = load, .ref = qk_ref(bench_keys[i])};
        begin_call(&slots[i]);
    }
    int rc = qk_client_drain(load->client, 600000);
    if (rc < 0)
        bench_fail("the calls did not end: %s", qk_client_error(load->client));
    return bench_now_ns() - start;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void calls_of(const struct bench_workload *w, bool isolated, struct bench_sample *ret_sample)
{
    uint64_t calls = w->size == 1 ? 20000 : 400000;
    struct load load = {.samples = malloc(sizeof(double) * (calls / SAMPLE_EVERY + IN_FLIGHT_MAX))};
    if (load.samples == NULL)
        bench_fail("out of memory");
    load.client = client_open_isolated("", isolated);
    run_load(&load, w->size, calls / 10);
    int64_t took_ns = run_load(&load, w->size, calls);
    ret_sample->value = (double)calls / ((double)took_ns / 1e9);
    qsort(load.samples, load.n_samples, sizeof(double), compare);
    ret_sample->p50_us = load.samples[load.n_samples / 2];
    ret_sample->p99_us = load.samples[load.n_samples * 99 / 100];
    client_close(load.client);
    free(load.samples);
}

void client_calls(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    calls_of(w, false, ret_sample);
}

void iso_client_calls(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    calls_of(w, true, ret_sample);
}

/* ---- the floor */

static void echo_for_ever(int fd)
{
    static char buffer[IN_FLIGHT_MAX * MESSAGE_BYTES];
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n <= 0)
            _exit(0);
        for (ssize_t at = 0; at < n;) {
            ssize_t k = write(fd, buffer + at, (size_t)(n - at));
            if (k <= 0)
                _exit(1);
            at += k;
        }
    }
}

void floor_socket(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    static char buffer[IN_FLIGHT_MAX * MESSAGE_BYTES];
    uint64_t calls = w->size == 1 ? 20000 : 1000000;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        bench_fail("socketpair: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        bench_fail("fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        echo_for_ever(fds[1]);
    }
    close(fds[1]);
    int64_t start = bench_now_ns();
    uint64_t begun = w->size, ended = 0, rest = 0;
    if (write(fds[0], buffer, begun * MESSAGE_BYTES) != (ssize_t)(begun * MESSAGE_BYTES))
        bench_fail("write: %s", strerror(errno));
    while (ended < calls) {
        ssize_t n = read(fds[0], buffer, sizeof(buffer));
        if (n <= 0)
            bench_fail("read: %s", strerror(errno));
        rest += (uint64_t)n;
        uint64_t whole = rest / MESSAGE_BYTES;
        rest %= MESSAGE_BYTES;
        ended += whole;
        uint64_t more = begun + whole <= calls ? whole : calls - begun;
        if (more > 0 && write(fds[0], buffer, more * MESSAGE_BYTES) != (ssize_t)(more * MESSAGE_BYTES))
            bench_fail("write: %s", strerror(errno));
        begun += more;
    }
    ret_sample->value = (double)calls / ((double)(bench_now_ns() - start) / 1e9);
    close(fds[0]);
    waitpid(pid, NULL, 0);
}
